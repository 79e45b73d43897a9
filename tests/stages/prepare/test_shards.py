"""The layout of tracks in the files of a store."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.stages.prepare.shards import lay_out


@given(
    frames=st.lists(st.integers(1, 50), min_size=1, max_size=40),
    cut=st.integers(0, 40),
    shard_bytes=st.integers(2, 200),
)
def test_tracks_lie_one_behind_another_in_files_of_bounded_size(frames, cut, shard_bytes):
    lengths = np.array(frames, np.int64)
    index = lay_out(lengths, shard_bytes)
    assert np.array_equal(index[:, 2], lengths)
    # Later tracks do not move earlier ones.
    assert np.array_equal(index[:cut], lay_out(lengths[:cut], shard_bytes))
    for shard in range(int(index[-1, 0]) + 1):
        held = index[index[:, 0] == shard]
        assert np.array_equal(held[:, 1], np.cumsum(held[:, 2]) - held[:, 2])
        assert 2 * held[:, 2].sum() <= shard_bytes or len(held) == 1
        if shard:  # no file was begun before it had to be
            before = index[index[:, 0] == shard - 1]
            assert 2 * (before[:, 2].sum() + held[0, 2]) > shard_bytes
