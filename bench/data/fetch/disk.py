"""What downloading and unpacking have in common: writing to a disk that may be full, and the error that halts all."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.data.manifest import InputError

CHUNK = 2**17  # bytes, also the most that an abrupt end of the connection can cost
_NO_SPACE = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


class HaltError(InputError):
    """What would meet every other file as well: no network, no space, a folder that cannot be written."""


def part_path(path: Path) -> Path:
    """Where a file lies until it is whole."""
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
    """Errors of the file system as one line."""
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
    """A number of bytes in the unit that suits it."""
    for unit in ("bytes", "kB", "MB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "bytes" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"
