"""The versions of the libraries, of this package and of its commit, as products state them."""

import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import bench

_LIBRARIES = (
    *("torch", "torchaudio", "lightly", "numpy", "scipy"),
    *("soundfile", "soxr", "av", "pydantic", "symusic"),
)
"""Libraries whose versions are recorded."""
COMPUTING = ("torch", "torchaudio", "lightly", "numpy", "scipy")
"""Libraries that training, embedding, probing and scoring compute with."""
DECODING = ("numpy", "soundfile", "soxr", "av", "symusic")
"""Libraries that make samples of audio files, or of musical scores."""


@cache
def library_versions() -> dict[str, str]:
    """The installed versions of the libraries that numbers depend on, by name.

    None of the libraries is imported; those that are not installed are left out.
    """
    versions = {}
    for name in _LIBRARIES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def differing(before: dict[str, str], now: dict[str, str], names: tuple[str, ...]) -> list[str]:
    """The libraries whose major or minor version differs.

    A library that is on one side only does not count, since some libraries take part only where
    certain files are read.

    Args:
        before: versions under which something was made.
        now: versions that are installed.
        names: the libraries to compare.

    Returns:
        One text a library, such as "torch 2.11.0 (here 2.14.1)".
    """
    return [
        f"{name} {before[name]} (here {now[name]})"
        for name in names
        if name in before and name in now and _series(before[name]) != _series(now[name])
    ]


def _series(version_: str) -> tuple[str, ...]:
    """The major and the minor version."""
    return tuple(version_.split("+")[0].split(".")[:2])


def now() -> str:
    """The time in UTC, to the second, as results state it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def code_version() -> dict[str, Any]:
    """The version of this package, its commit, and whether there are uncommitted changes.

    Returns:
        "version", "commit" and "changed"; the last two are None outside a checkout.
    """
    root = Path(bench.__file__).resolve().parent.parent
    code: dict[str, Any] = {"version": bench.__version__, "commit": None, "changed": None}
    if (root / ".git").exists():
        code["commit"] = _git(root, "rev-parse", "HEAD")
        folders = ("bench", "methods", "datasets")
        code["changed"] = bool(_git(root, "status", "--porcelain", "--", *folders))
    return code


def _git(root: Path, *arguments: str) -> str | None:
    """What git prints; None where it fails or is not installed."""
    command = ["git", "-C", str(root), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
