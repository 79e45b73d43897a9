"""The stamp of a product: the versions of the libraries that made it, and digests of its files."""

from collections.abc import Sequence
from pathlib import Path

from bench.core.digests import damage, digests
from bench.core.files import read_json, write_json
from bench.core.versions import COMPUTING, DECODING, differing, library_versions, now

STAMP = "made.json"
"""File in every product that holds its stamp."""
_NO_PART = (STAMP, "state.pt")  # of a product: a checkpoint is removed once it is published


def stamp(folder: Path, stage: str, sources: Sequence[Path]) -> None:
    """Records the versions of the libraries under which a product and its sources are made.

    An attempt that goes on from what an earlier one left records the versions of both.

    Args:
        folder: of the product under way.
        stage: folder of home, such as "pretrained".
        sources: folders of the products that it is made from.
    """
    lineage: dict[str, dict[str, str]] = {}
    for source in sources:
        lineage = {**_lineage(source), **lineage}  # the nearer source says what it was made under
    versions = library_versions()
    begun = _lineage(folder).get(stage, versions)
    if differing(begun, versions, _counted(stage)):
        lineage[f"{stage}, begun"] = begun
    write_json(folder / STAMP, {"lineage": {**lineage, stage: versions}, "created": now()})


def _lineage(folder: Path) -> dict[str, dict[str, str]]:
    """The versions of a product and of all that it was made from: stage -> library -> version."""
    try:
        lineage: dict[str, dict[str, str]] = read_json(folder / STAMP)["lineage"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}  # nothing is there yet, or the product is damaged, which `damage_of` says
    return lineage


def _counted(stage: str) -> tuple[str, ...]:
    """The libraries whose version can change the numbers of a stage's products."""
    return DECODING if stage.startswith(("prepared", "datasets")) else COMPUTING


def other_versions(folder: Path) -> dict[str, list[str]]:
    """The libraries whose version has changed since a product, or what it is made from, was made.

    Only major and minor versions count.

    Args:
        folder: of the product.

    Returns:
        Stage -> libraries, such as ["torch 2.11.0 (here 2.14.1)"]; stages without any are left out.
    """
    here = library_versions()
    changed = {
        stage: differing(then, here, _counted(stage)) for stage, then in _lineage(folder).items()
    }
    return {stage: libraries for stage, libraries in changed.items() if libraries}


def seal(folder: Path) -> None:
    """Writes down the digests of a product's files, the last thing before it is published."""
    stamp = read_json(folder / STAMP)
    write_json(folder / STAMP, {**stamp, "files": digests(folder, _NO_PART)})


def damage_of(folder: Path, *, in_full: bool = False) -> str:
    """What is wrong with a finished product, in words; "" where its files are as they were made.

    Args:
        folder: of the product.
        in_full: reads every byte again, in place of files that have changed since the last look.
    """
    try:
        expected = read_json(folder / STAMP)["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return f"{STAMP} is missing or damaged"
    return damage(folder, expected, in_full=in_full)
