"""Views: where segments lie, and what a batch depends on."""

import itertools

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.randomness import generator, seed_for
from bench.data.pcm import PcmStore
from bench.data.views import ViewSampler, segment_starts
from bench.settings.specs import ViewsSpec
from tests.data.stores import store_of


def sampler(
    store: PcmStore, seed: int = 0, batch_size: int = 4, views: int = 2, **spec: object
) -> ViewSampler:
    rows = np.arange(len(store.frames))
    return ViewSampler(store, rows, 1.0, views, batch_size, ViewsSpec.model_validate(spec), seed)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**31),
    step=st.integers(0, 10_000),
    gap=st.floats(0, 3),
    frames=st.integers(40, 900),
)
def test_two_segments_keep_the_gap_wherever_the_track_allows(
    tmp_path_factory, seed, step, gap, frames
):
    store = store_of(tmp_path_factory.mktemp("pcm"), [frames] * 4)
    drawn = sampler(store, seed, min_gap_seconds=gap)
    for number in range(4):
        uniform = generator(seed, "test", step).random((4, 3))[number]
        first, second = drawn._starts(frames, uniform)
        if frames >= 100:
            assert 0 <= min(first, second) <= max(first, second) <= frames - 100
            possible = min(100 + round(gap * 100), frames - 100)
            assert abs(first - second) >= possible
    assert drawn.short == (4 if frames < 100 else 0)
    assert drawn.tight == (4 if frames < 200 + round(gap * 100) else 0)


def test_segments_are_spread_over_the_whole_track_and_in_both_orders(tmp_path):
    drawn = sampler(store_of(tmp_path, [1000] * 4), min_gap_seconds=0.5)
    starts = np.array(
        [drawn._starts(1000, numbers) for numbers in generator(0, "test").random((2000, 3))]
    )
    assert starts.min() < 20
    assert starts.max() > 880
    assert 0.45 < (starts[:, 0] < starts[:, 1]).mean() < 0.55


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 1000), step=st.integers(0, 500))
def test_batches_depend_on_seed_and_step_alone(tmp_path_factory, seed, step):
    store = store_of(tmp_path_factory.mktemp("pcm"), [400] * 9)
    first, second = sampler(store, seed), sampler(store, seed)
    for other in range(3):
        second.batch(other)  # what was drawn before must not matter
    one, two = first.batch(step), second.batch(step)
    assert np.array_equal(one.waveforms, two.waveforms)
    assert np.array_equal(one.rows, two.rows)
    assert np.array_equal(one.waveforms[0, :, 0] // 1000, one.rows)
    assert not np.array_equal(sampler(store, seed + 1).batch(step).waveforms, one.waveforms)


def test_an_item_does_not_depend_on_the_batch_size():
    small, large = (generator(7, "segments", 3).random((size, 3)) for size in (4, 9))
    assert np.array_equal(small, large[:4])


def test_random_numbers_of_different_coordinates_differ():
    drawn = {
        generator(seed, purpose, step).random()
        for seed in range(5)
        for purpose in "abc"
        for step in range(5)
    }
    assert len(drawn) == 75
    assert len({seed_for(0, "a", step) for step in range(100)}) == 100


def test_every_track_comes_once_an_epoch_and_none_twice_in_a_batch(tmp_path):
    drawn = sampler(store_of(tmp_path, [400] * 12))
    epoch = np.concatenate([drawn.batch(step).rows for step in range(3)])
    assert sorted(epoch) == list(range(12))
    assert not np.array_equal(
        epoch, np.concatenate([drawn.batch(step).rows for step in range(3, 6)])
    )


def test_same_mode_gives_every_view_the_same_segment(tmp_path):
    views = sampler(store_of(tmp_path, [400] * 6), mode="same").batch(0).waveforms
    assert np.array_equal(views[0], views[1])
    different = sampler(store_of(tmp_path, [400] * 6)).batch(0).waveforms
    assert not np.array_equal(different[0], different[1])


def test_fewer_tracks_than_a_batch_give_several_items_each(tmp_path):
    batch = sampler(store_of(tmp_path, [400] * 3), batch_size=8, views=1).batch(0)
    assert batch.waveforms.shape == (1, 8, 100)
    assert set(batch.rows) == {0, 1, 2}


@given(frames=st.integers(1, 10_000), samples=st.integers(1, 500))
def test_segments_do_not_overlap_and_stay_inside(frames, samples):
    starts = segment_starts(frames, samples)
    assert starts[0] == 0
    assert all(later - earlier == samples for earlier, later in itertools.pairwise(starts))
    assert len(starts) == 1 or starts[-1] + samples <= frames
    assert frames - (starts[-1] + samples) < samples
