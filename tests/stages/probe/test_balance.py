"""The balanced order of labelling, held against its rules step by step."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stages.probe.subsets import labelled_order, tags_without_positive
from tests.stages.probe.pools import labels_of

QUICK = settings(max_examples=80, deadline=None)


@QUICK
@given(tracks=st.integers(1, 120), tags=st.integers(1, 12), seed=st.integers(0, 5000))
def test_balanced_covers_every_tag_first(tracks: int, tags: int, seed: int) -> None:
    labels = labels_of(tracks, tags, seed)
    possible = labels.any(0)
    open_tags = possible.copy()
    order = labelled_order(labels, "balanced", 0, seed, "x")
    for track in order:
        if not open_tags.any():
            break
        rarest = np.flatnonzero(open_tags)[labels[:, open_tags].sum(0).argmin()]
        new = labels[:, open_tags].sum(1)
        assert labels[track, rarest]
        assert new[track] == new[labels[:, rarest]].max()
        open_tags &= ~labels[track]
    assert not open_tags.any()
    assert tags_without_positive(labels, order[:tags]) == (~possible).sum()


@QUICK
@given(tracks=st.integers(1, 120), tags=st.integers(1, 8), seed=st.integers(0, 5000))
def test_balanced_goes_on_with_the_tag_that_has_fewest(tracks: int, tags: int, seed: int) -> None:
    labels = labels_of(tracks, tags, seed)
    order = labelled_order(labels, "balanced", 0, seed, "x")
    frequency = labels.sum(0)
    for size in range(tracks):
        had, left = labels[order[:size]].sum(0), np.setdiff1d(np.arange(tracks), order[:size])
        wanting = labels[left].any(0)
        if not wanting.any():
            assert not labels[order[size:]].any()
            break
        if (had[wanting] == 0).any():
            continue  # still covering
        fewest = had[wanting].min()
        rarest = frequency[wanting & (had == fewest)].min()
        assert labels[order[size]][wanting & (had == fewest) & (frequency == rarest)].any()


def test_classes_are_covered_by_one_track_each() -> None:
    labels = np.eye(7, dtype=bool)[np.random.default_rng(0).integers(7, size=200)]
    order = labelled_order(labels, "balanced", 0, 0, "x")
    assert tags_without_positive(labels, order[:7]) == 0
    assert tags_without_positive(labels, order[:6]) == 1
    assert np.ptp(labels[order[:70]].sum(0)) <= 1
