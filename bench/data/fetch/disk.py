"""What downloading and unpacking share: writing to a disk that may be full, sizes, `HaltError`."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data.manifest import InputError

CHUNK = 2**17
"""Bytes that are read at once; also the most that are lost when a connection drops."""
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class HaltError(InputError):
    """An error that every other file would meet as well, such as no network or no space."""


def part_path(path: Path) -> Path:
    """Path of a file until all of it is there."""
    return path.with_name(f"{path.name}.part")


def size_of(path: Path) -> int:
    """Bytes of a file; 0 where there is none."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def flush(path: Path) -> None:
    """Waits until the content of a file, or the names in a folder, are on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        if not path.is_dir():  # which some file systems cannot flush
            raise
    finally:
        os.close(descriptor)


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Turns an error of the file system within the block into a one-line HaltError on `path`."""
    try:
        yield
    except OSError as error:
        if error.errno in _NO_SPACE:
            raise HaltError(
                f"{path}: no space left on its disk: free some, then fetch again to go on"
            ) from error
        reason = (error.strerror or str(error)).lower()
        raise HaltError(
            f"{path}: cannot be read or written ({reason}): mend that, or choose another folder"
        ) from error


def human(size: float) -> str:
    """A number of bytes in words, such as "1.5 GB"."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
