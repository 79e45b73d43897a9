"""The disk space that a store will take, estimated before hours are spent on what cannot fit."""

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
    """Refuses to make a store that the disk cannot hold.

    Args:
        folder: where the store is made.
        root: folder of the data set.
        paths: of the audio files, relative to `root`.
        sample_rate: of the store, in Hz.
        there: bytes of the store that an earlier attempt has written.
        decoders: the processes that read the headers of the files.

    Returns:
        Bytes that the store will take, about.

    Raises:
        InputError: the store will take more than is free.
    """
    needed = round(2 * sample_rate * seconds_of(root, paths, decoders)) + _TRACK_BYTES * len(paths)
    free = free_bytes(folder)
    if needed - there > free:
        # The folder's own name is a key; the user knows the one above it.
        raise InputError(
            f"not enough room in {folder.parent}: {len(paths)} tracks at {sample_rate} Hz take "
            f"about {human(needed)}{f', of which {human(there)} are there' if there else ''}, and "
            f"{human(free)} are free: free some, or choose another disk with --home"
        )
    return needed


def seconds_of(root: Path, paths: Sequence[str], decoders: Decoders) -> float:
    """Estimates the length of all files together, in seconds.

    Of each format the headers of some files are read, which tell how long a byte is; the others are
    taken to be as long as their size says.

    Args:
        root: folder of the data set.
        paths: of the audio files, relative to `root`.
        decoders: the processes that read the headers.
    """
    sizes: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for path in paths:
        status = file_status(root / path)
        if status and status.st_size:
            sizes[Path(path).suffix.lower()].append((status.st_size, path))
    total = 0.0
    for files in sizes.values():
        # Evenly spread, as files of one folder are often alike.
        places = np.unique(np.linspace(0, len(files) - 1, _LOOKED_AT).round().astype(int)).tolist()
        lengths = decoders.seconds([root / files[place][1] for place in places])
        known = [
            (length, files[place][0])
            for place, length in zip(places, lengths, strict=True)
            if length
        ]
        read = sum(size for _, size in known)
        if read:
            total += sum(length for length, _ in known) * sum(size for size, _ in files) / read
    return total


def free_bytes(folder: Path) -> int:
    """Bytes that are left on the disk that holds a folder."""
    return shutil.disk_usage(folder).free
