"""Digests of the files of a product: taken when it is made, checked whenever it is opened.

A file is read once for each state of it: what was found whole is remembered in a note in the
product's folder, with the size, times and number of each file, so that opening a product again
costs a look at the file system. A write changes those; rot of a disk that does not is found by
`bench data verify` and `bench doctor --products`, which read everything.
"""

import hashlib
import json
from collections.abc import Collection
from pathlib import Path
from typing import Any

_BLOCK = 2**20  # bytes that are read at once
_READ_IN_FULL = 4 * 2**30
"""Files of more bytes are looked at in _SAMPLES places, unless a full check is wanted."""
_SAMPLES = 256

NOTE = ".whole.json"
"""The note of a product, which says in which state its files were found whole."""
Digests = dict[str, dict[str, Any]]
"""Path in a product -> "bytes", "sha256" and, for large files, "sample": SHA-256 of some blocks."""


def digests(folder: Path, without: Collection[str] = ()) -> Digests:
    """The digests of all files in a folder and its subfolders.

    Args:
        folder: of the product.
        without: names of files that do not belong to the product.
    """
    found: Digests = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.name in (NOTE, *without):
            continue
        size = path.stat().st_size
        entry: dict[str, Any] = {"bytes": size, "sha256": _sha256(path)}
        if size > _READ_IN_FULL:
            entry["sample"] = _sample(path, size)
        found[path.relative_to(folder).as_posix()] = entry
    return found


def damage(folder: Path, expected: Digests, *, in_full: bool = False) -> str:
    """What is wrong with the files of a product, in words; "" where all are as they were made.

    Args:
        folder: of the product.
        expected: their digests.
        in_full: reads every byte, whatever is remembered of an earlier check.
    """
    note = folder / NOTE
    known = {} if in_full else _known(note)
    states: dict[str, list[int]] = {}
    for name, entry in expected.items():
        path = folder / name
        try:
            state = _state(path)
            if known.get(name) != state and (wrong := _wrong(path, entry, in_full)):
                return f"{name} {wrong}"
        except FileNotFoundError:
            return f"{name} is missing"
        except OSError as error:
            return f"{name} cannot be read ({(error.strerror or str(error)).lower()})"
        states[name] = state
    if any(known.get(name) != state for name, state in states.items()):
        _remember(note, states)
    return ""


def trust(folder: Path) -> None:
    """Remembers that the files of a product are whole, whose digests have just been taken."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != NOTE)
    states = {path.relative_to(folder).as_posix(): _state(path) for path in files}
    _remember(folder / NOTE, states)


def _wrong(path: Path, entry: dict[str, Any], in_full: bool) -> str:
    """What is wrong with a file; "" for nothing."""
    size = path.stat().st_size
    if size != entry["bytes"]:
        return f"has {size} bytes, and was made with {entry['bytes']}"
    if "sample" in entry and not in_full:
        return "" if _sample(path, size) == entry["sample"] else "is not as it was made"
    return "" if _sha256(path) == entry["sha256"] else "is not as it was made"


def _state(path: Path) -> list[int]:
    """What the file system says of a file; any write changes it."""
    found = path.stat()
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino]


def _known(note: Path) -> dict[str, list[int]]:
    """The states in which the files were found whole; empty where no note can be read."""
    try:
        known = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return known if isinstance(known, dict) else {}


def _remember(note: Path, states: dict[str, list[int]]) -> None:
    """Writes the note; a home that cannot be written is checked anew each time."""
    temporary = note.with_name(f".{note.name}.tmp")
    try:
        temporary.write_text(json.dumps(states), encoding="utf-8")
        temporary.replace(note)
    except OSError:
        temporary.unlink(missing_ok=True)


def _sha256(path: Path) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sample(path: Path, size: int) -> str:
    """Digest of blocks that lie evenly over a file, the first and the last among them."""
    taken = hashlib.sha256(str(size).encode())
    with open(path, "rb") as file:
        for number in range(_SAMPLES):
            file.seek(round(number * (size - _BLOCK) / (_SAMPLES - 1)))
            taken.update(file.read(_BLOCK))
    return taken.hexdigest()
