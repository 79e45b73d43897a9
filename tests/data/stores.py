"""A PCM store whose samples say which track and place they are from."""

from pathlib import Path

import numpy as np

from bench.data.pcm import PcmStore, shard_name
from bench.stages.prepare.shards import lay_out


def store_of(folder: Path, lengths: list[int]) -> PcmStore:
    """Track t at sample s holds t * 1000 + s % 1000, so that every view says where it was cut."""
    tracks = [
        np.array([number * 1000 + place % 1000 for place in range(length)], np.int16)
        for number, length in enumerate(lengths)
    ]
    np.concatenate(tracks).tofile(folder / shard_name(0))
    return PcmStore(folder, lay_out(np.array(lengths, np.int64)), sample_rate=100)
