"""The PCM store: every track of a data set as int16 in one memory-mapped file. A random crop costs a page read."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray


class PcmStore:
    """Read access to a prepared data set's audio.

    Attributes:
        sample_rate: in Hz.
        frames: (tracks,) int64, length of each track in samples.
    """

    def __init__(self, audio: Path, offsets: NDArray[np.int64], frames: NDArray[np.int64], sample_rate: int) -> None:
        """Maps the file; nothing is read yet."""
        self._audio = np.memmap(audio, dtype=np.int16, mode="r")
        self._offsets = offsets
        self.frames = frames
        self.sample_rate = sample_rate

    def read(self, track: int, start: int, length: int) -> NDArray[np.int16]:
        """Samples [start, start + length) of a track; a shorter track is repeated, so that `start` may lie anywhere.

        Returns:
            (length,) int16
        """
        offset, frames = int(self._offsets[track]), int(self.frames[track])
        if start + length <= frames:
            return np.asarray(self._audio[offset + start : offset + start + length])
        index = np.arange(start, start + length) % frames
        return np.asarray(self._audio[offset : offset + frames])[index]
