"""Writing the PCM store: tracks one after another in files of a bounded size, called shards."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.data.pcm import shard_name

SHARD_BYTES = 2**32
"""Most bytes of a file.

It is small enough to copy, or to make again, and so large that a million tracks are a few hundred
files, all open at once.
"""


def lay_out(frames: NDArray[np.int64], shard_bytes: int = SHARD_BYTES) -> NDArray[np.int64]:
    """Decides in which file each track lies, and where in it.

    It depends on the lengths alone, so that a store that was interrupted and completed equals one
    made in one go. A track is never divided; one that is longer than a file has a file of its own.

    Args:
        frames: (tracks,) length of each in samples, all above 0.
        shard_bytes: most bytes of a file.

    Returns:
        (tracks, 3) int64: number of the file, offset in samples, length in samples.
    """
    index = np.empty((len(frames), 3), np.int64)
    ends = np.cumsum(frames)
    first = shard = 0
    while first < len(frames):
        before = int(ends[first] - frames[first])
        fits = int(np.searchsorted(ends, before + shard_bytes // 2, side="right"))
        last = max(fits, first + 1)
        index[first:last, 0] = shard
        index[first:last, 1] = ends[first:last] - frames[first:last] - before
        first, shard = last, shard + 1
    index[:, 2] = frames
    return index


class ShardWriter:
    """Appends tracks to the files of a store, where `lay_out` places them."""

    def __init__(
        self, folder: Path, frames: NDArray[np.int64], shard_bytes: int = SHARD_BYTES
    ) -> None:
        """Cuts the files of an earlier attempt back to its first tracks, to go on behind them.

        Args:
            folder: of the store.
            frames: (tracks,) lengths in samples of the tracks that are kept, the first ones.
            shard_bytes: most bytes of a file.
        """
        self._folder, self._shard_frames = folder, shard_bytes // 2
        self._shard = self._used = 0
        if len(frames):
            self._shard, offset, length = (
                int(number) for number in lay_out(frames, shard_bytes)[-1]
            )
            self._used = offset + length
        for number, path in enumerate(sorted(folder.glob("audio-*.i16"))):
            if number > self._shard:
                path.unlink()
        self._open()
        self._file.truncate(2 * self._used)

    def append(self, samples: NDArray[np.int16]) -> None:
        """Writes one track of at least one sample."""
        if self._used and self._used + len(samples) > self._shard_frames:
            self.close()
            self._shard, self._used = self._shard + 1, 0
            self._open()
        write_whole(self._file, self._path, np.ascontiguousarray(samples, "<i2").data.cast("B"))
        self._used += len(samples)

    def sync_later(self) -> Callable[[], None]:
        """Gives a function that returns once everything appended until now is on the disk.

        Another thread may call it, while this one appends to the next file.
        """
        # A descriptor of its own, as this thread may close the file meanwhile.
        path, descriptor = self._path, os.dup(self._file.fileno())

        def sync() -> None:
            try:
                with named(path):
                    os.fsync(descriptor)
            finally:
                os.close(descriptor)

        return sync

    def close(self) -> None:
        """Forces to the disk what is not there yet, and closes the file."""
        self.sync_later()()
        self._file.close()

    def _open(self) -> None:
        self._path = self._folder / shard_name(self._shard)
        self._file = unbuffered(self._path)


def unbuffered(path: Path) -> FileIO:
    """Opens a file to append to, such that what is appended survives a kill of the process."""
    return FileIO(path, "a")


def write_whole(file: FileIO, path: Path, content: memoryview | bytes) -> None:
    """Appends all of the content: one call of the system may take less than it is given."""
    with named(path):
        left = memoryview(content)
        while len(left):
            left = left[file.write(left) :]


@contextmanager
def named(path: Path) -> Iterator[None]:
    """Adds the file's name to an error of the file system: a failed write() carries none."""
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(path)) from error
