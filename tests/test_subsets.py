"""Labelled subsets: nested, covering, different between draws, the same for everyone."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.errors import InputError
from bench.probe.subsets import labelled_order, labelled_subset, tags_without_positive

QUICK = settings(max_examples=80, deadline=None)


def labels_of(tracks: int, tags: int, seed: int) -> np.ndarray:
    """Multi-hot labels with tags from rare to frequent, some of them without a positive."""
    random = np.random.default_rng(seed)
    return random.random((tracks, tags)) < np.geomspace(0.005, 0.5, tags)


@QUICK
@given(
    tracks=st.integers(1, 120),
    tags=st.integers(1, 12),
    seed=st.integers(0, 5000),
    draw=st.integers(0, 3),
    fractions=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
)
def test_subsets_are_nested_and_of_the_right_size(
    tracks: int, tags: int, seed: int, draw: int, fractions: tuple[float, float]
) -> None:
    labels = labels_of(tracks, tags, seed)
    small, large = (labelled_subset(labels, fraction, draw, seed, "x") for fraction in sorted(fractions))
    assert set(small) <= set(large)
    for subset, fraction in zip((small, large), sorted(fractions), strict=True):
        assert len(subset) == max(1, round(fraction * tracks))
        assert (np.diff(subset) > 0).all()
    order = labelled_order(labels, draw, seed, "x")
    assert sorted(order) == list(range(tracks))
    np.testing.assert_array_equal(np.sort(order[: len(small)]), small)


@QUICK
@given(tracks=st.integers(1, 120), tags=st.integers(1, 12), seed=st.integers(0, 5000))
def test_every_track_of_the_prefix_covers_a_new_tag_until_all_are_covered(tracks: int, tags: int, seed: int) -> None:
    labels = labels_of(tracks, tags, seed)
    possible = labels.any(0)
    open_tags = possible.copy()
    for track in labelled_order(labels, 0, seed, "x"):
        if not open_tags.any():
            break
        rarest = np.flatnonzero(open_tags)[labels[:, open_tags].sum(0).argmin()]
        new = labels[:, open_tags].sum(1)
        assert labels[track, rarest]
        assert new[track] == new[labels[:, rarest]].max()
        open_tags &= ~labels[track]
    assert not open_tags.any()
    size = tags / tracks if tags < tracks else 1.0
    missing = tags_without_positive(labels, labelled_subset(labels, size, 0, seed, "x"))
    assert missing == (~possible).sum()


def test_classes_are_covered_by_one_track_each() -> None:
    labels = np.eye(7, dtype=bool)[np.random.default_rng(0).integers(7, size=200)]
    assert tags_without_positive(labels, labelled_order(labels, 0, 0, "x")[:7]) == 0
    assert tags_without_positive(labels, labelled_order(labels, 0, 0, "x")[:6]) == 1


def test_draws_seeds_and_purposes_differ_and_repeat() -> None:
    labels = labels_of(400, 5, 0)
    base = labelled_subset(labels, 0.1, 0, 0, "x")
    np.testing.assert_array_equal(base, labelled_subset(labels, 0.1, 0, 0, "x"))
    for other in ((1, 0, "x"), (0, 1, "x"), (0, 0, "y")):
        assert set(base) != set(labelled_subset(labels, 0.1, *other))


def test_after_the_cover_the_order_is_random() -> None:
    labels = np.ones((50, 1), dtype=bool)
    firsts = [labelled_order(labels, draw, 0, "x")[1] for draw in range(300)]
    assert len(set(firsts)) > 45
    assert abs(np.mean(firsts) - 24.5) < 5 * 14.4 / 300**0.5


def test_all_tracks_at_fraction_one_and_errors_otherwise() -> None:
    labels = labels_of(33, 3, 0)
    np.testing.assert_array_equal(labelled_subset(labels, 1.0, 2, 0, "x"), np.arange(33))
    for fraction in (0.0, -0.1, 1.1):
        with pytest.raises(InputError, match="fraction"):
            labelled_subset(labels, fraction, 0, 0, "x")
    with pytest.raises(InputError, match="no tracks"):
        labelled_subset(labels[:0], 0.5, 0, 0, "x")


def test_fast_on_a_hundred_thousand_tracks() -> None:
    labels = np.random.default_rng(0).random((100_000, 50)) < np.geomspace(0.001, 0.3, 50)
    start = time.process_time()
    labelled_order(labels, 0, 0, "x")
    assert time.process_time() - start < 1
