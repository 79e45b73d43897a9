"""The PCM store: every track of a data set as int16 samples in files that are mapped into memory.

So to read a random crop costs no more than to read it from the disk.
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
        """Takes the index; each file is mapped when it is first read.

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
        """Samples [start, start + length) of a track, which is repeated where it is shorter.

        Returns:
            (length,) int16, read-only where it is the store's own memory.
        """
        offset, frames = int(self._offsets[track]), int(self.frames[track])
        audio = self._audio(int(self._shards[track]))
        return excerpt(audio[offset : offset + frames], start, length)

    def _audio(self, shard: int) -> NDArray[np.int16]:
        """All samples of one of the store's files."""
        audio = self._opened.get(shard)
        if audio is None:
            with open(self._folder / shard_name(shard), "rb") as file:
                mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            # A plain array: slicing an np.memmap takes longer than reading four seconds of audio.
            audio = self._opened[shard] = np.frombuffer(mapped, "<i2")
        return audio

    def __getstate__(self) -> dict[str, object]:
        """Leaves the mapped files out of a pickle; a worker process maps them itself."""
        return {**self.__dict__, "_opened": {}}


def excerpt(track: NDArray[np.int16], start: int, length: int) -> NDArray[np.int16]:
    """(frames,) samples -> (length,) those from `start` on; a shorter track is repeated."""
    if start + length <= len(track):
        return track[start : start + length]
    return track[np.arange(start, start + length) % len(track)]


def shard_name(number: int) -> str:
    """Name of one of a store's files."""
    return f"audio-{number:05}.i16"
