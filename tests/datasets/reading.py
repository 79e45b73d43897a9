"""What tests of the data sets share: reading a manifest, and roots with something wrong."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from bench.core import registry
from bench.core.errors import InputError
from bench.data.manifest import SPLITS, Manifest
from tests.fake_datasets import TREES

SHARED = Path(__file__).resolve().parents[3] / "shared" / "splits"
needs_lists = pytest.mark.skipif(not SHARED.is_dir(), reason="the published lists are not at hand")

Change = Callable[[Path], Path]
"""Changes the tree at a root, and returns the root to be read."""


def read(name: str, root: Path, **settings: object) -> Manifest:
    """The manifest of a data set with some settings; its progress ends at the total."""
    module = registry.load("datasets", name)
    calls: list[tuple[int, int]] = []
    made: Manifest = module.manifest(
        root, module.Settings(**settings), lambda done, total: calls.append((done, total))
    )
    assert calls
    assert calls[-1][0] == calls[-1][1]
    return made


def by_id(made: Manifest, column: str) -> dict[str, Any]:
    """Id of each track -> its value in a column."""
    return dict(zip(made.tracks["track_id"], made.tracks[column], strict=True))


def counts(made: Manifest) -> dict[str, int]:
    """How many tracks each split has, and how many tags there are, as PUBLISHED says it."""
    return {split: int((made.tracks["split"] == split).sum()) for split in SPLITS} | {
        "tags": len(made.tags)
    }


def remove(*names: str) -> Change:
    """Removes what matches some patterns from a root."""

    def change(root: Path) -> Path:
        for name in names:
            for path in list(root.glob(name)):
                shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        return root

    return change


def rewrite(name: str, old: str, new: str) -> Change:
    """Changes a text in one of a root's tables."""

    def change(root: Path) -> Path:
        text = (root / name).read_bytes().decode()
        assert old in text
        (root / name).write_bytes(text.replace(old, new).encode())
        return root

    return change


def require_refused(name: str, change: Change, message: str, folder: Path) -> None:
    """Reads a data set from a root with something wrong: the error is one line that matches."""
    root = change(TREES[name][0](folder / name))
    with pytest.raises(InputError, match=message) as raised:
        read(name, root)
    assert "\n" not in str(raised.value)
