"""The PCM store: every track of a data set as int16 in memory-mapped files.

A random crop costs a page read.
"""

import mmap
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class PcmStore:
    """Read access to a prepared data set's audio.

    Attributes:
        sample_rate: in Hz.
        frames: (tracks,) int64, length of each track in samples.
    """

    def __init__(self, folder: Path, index: NDArray[np.int64], sample_rate: int) -> None:
        """Opens nothing yet; each file is mapped when it is first read.

        Args:
            folder: where the files `audio-00000.i16` and so on lie.
            index: (tracks, 3) int64: which file, offset in it in samples, and length in samples.
            sample_rate: in Hz.
        """
        self._folder = folder
        self._shards, self._offsets, self.frames = index[:, 0], index[:, 1], index[:, 2]
        self._opened: dict[int, NDArray[np.int16]] = {}
        self.sample_rate = sample_rate

    def read(self, track: int, start: int, length: int) -> NDArray[np.int16]:
        """Samples [start, start + length) of a track.

        A shorter track is repeated, so that `start` may lie anywhere.

        Returns:
            (length,) int16, read-only where it is the store's own memory.
        """
        offset, frames = int(self._offsets[track]), int(self.frames[track])
        audio = self._audio(int(self._shards[track]))
        if start + length <= frames:
            return audio[offset + start : offset + start + length]
        index = np.arange(start, start + length) % frames
        return audio[offset : offset + frames][index]

    def _audio(self, shard: int) -> NDArray[np.int16]:
        audio = self._opened.get(shard)
        if audio is None:
            with open(self._folder / shard_name(shard), "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # A plain array: slicing an np.memmap takes longer than reading four seconds.
            audio = self._opened[shard] = np.frombuffer(mapped, "<i2")
        return audio

    def __getstate__(self) -> dict[str, object]:
        """For a worker process: it maps the files itself."""
        return {**self.__dict__, "_opened": {}}


def shard_name(number: int) -> str:
    """Name of one of a store's files."""
    return f"audio-{number:05}.i16"
