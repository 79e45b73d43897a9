"""How much room a store will take, before hours are spent on what cannot fit."""

import shutil
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.core.errors import InputError
from bench.data.decode import file_status
from bench.data.decoders import Decoders
from bench.data.fetch.disk import human

_LOOKED_AT = 200  # files whose headers are read; the others' length is taken from their size
_TRACK_BYTES = 400  # of index, manifest, labels and journal


def require_room(
    folder: Path, root: Path, paths: Sequence[str], sample_rate: int, there: int, decoders: Decoders
) -> int:
    """Refuses to begin what the disk cannot hold.

    Args:
        folder: where the store is made.
        root: of the data set.
        paths: of its files, relative to `root`.
        sample_rate: of the store, in Hz.
        there: bytes of the store that an earlier attempt has written.
        decoders: read the headers.

    Returns:
        bytes that the store will take, about.

    Raises:
        InputError: more than is free.
    """
    needed = round(2 * sample_rate * seconds_of(root, paths, decoders)) + _TRACK_BYTES * len(paths)
    free = free_bytes(folder)
    if needed - there > free:
        # The folder's own name is a key; the user knows the one above it.
        raise InputError(
            f"not enough room in {folder.parent}: {len(paths)} tracks at {sample_rate} Hz take about {human(needed)}"
            f"{f', of which {human(there)} are there' if there else ''}, and {human(free)} are free: free some, or "
            "choose another disk with --home"
        )
    return needed


def seconds_of(root: Path, paths: Sequence[str], decoders: Decoders) -> float:
    """Length of all files together, in seconds, from the headers of some of each format and the sizes of all."""
    sizes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in paths:
        status = file_status(root / path)
        if status and status.st_size:
            sizes[Path(path).suffix.lower()].append((status.st_size, path))
    total = 0.0
    for files in sizes.values():
        places = np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).round().astype(int)).tolist()
        lengths = decoders.seconds([root / files[place][1] for place in places])
        known = [
            (length, files[place][0])
            for place, length in zip(places, lengths, strict=True)
            if length
        ]
        read = sum(size for _, size in known)
        total += (
            sum(length for length, _ in known) * sum(size for size, _ in files) / read
            if read
            else 0.0
        )
    return total


def free_bytes(folder: Path) -> int:
    """Room that is left on the disk that a folder lies on."""
    return shutil.disk_usage(folder).free
