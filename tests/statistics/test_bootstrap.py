"""Resamples are multinomial, the same everywhere, and nested; groups are drawn as a whole."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.statistics.bootstrap import resample_counts

pytestmark = pytest.mark.usefixtures("one_thread")


def test_counts_are_a_function_of_the_arguments() -> None:
    counts = resample_counts(37, 20, 1, "split")
    assert counts.shape == (37, 20)
    assert (counts.sum(0) == 37).all()
    np.testing.assert_array_equal(counts, resample_counts(37, 20, 1, "split"))
    for other in (resample_counts(37, 20, 2, "split"), resample_counts(37, 20, 1, "other")):
        assert (other != counts).any()


def test_counts_are_the_same_on_every_machine_and_under_every_numpy() -> None:
    """Stored scores of two machines may be paired only because of this."""
    counts = resample_counts(1000, 30, 0, "golden").astype("<i4")
    assert hashlib.sha256(counts.tobytes()).hexdigest()[:16] == "c81fe78dc1165c93"


@pytest.mark.parametrize("tracks", [1, 2, 31, 1000])
def test_fewer_resamples_are_the_first_of_more(tracks: int) -> None:
    np.testing.assert_array_equal(
        resample_counts(tracks, 1000, 0, "x")[:, :50], resample_counts(tracks, 50, 0, "x")
    )


@pytest.mark.parametrize("tracks", [50, 64, 65])
def test_counts_are_multinomial(tracks: int) -> None:
    resamples = 20_000
    counts = resample_counts(tracks, resamples, 0, "moments")
    covariance = np.cov(counts)
    # Mean 1, variance 1 - 1/n, covariance -1/n; each bound is about six standard errors.
    assert np.abs(counts.mean(1) - 1).max() < 6 / resamples**0.5
    assert np.abs(np.diag(covariance) - (1 - 1 / tracks)).max() < 12 / resamples**0.5
    assert covariance[~np.eye(tracks, dtype=bool)].mean() == pytest.approx(-1 / tracks, abs=1e-3)


@settings(max_examples=30, deadline=None)
@given(
    groups=st.lists(st.sampled_from("abcdef"), min_size=1, max_size=30), seed=st.integers(0, 100)
)
def test_tracks_of_a_group_are_drawn_together(groups: list[str], seed: int) -> None:
    names, group = np.unique(groups, return_inverse=True)
    counts = resample_counts(len(groups), 10, seed, "groups", np.array(groups))
    first = np.array([counts[group == index][0] for index in range(len(names))])
    np.testing.assert_array_equal(counts, first[group])
    assert (first.sum(0) == len(names)).all()
    np.testing.assert_array_equal(first, resample_counts(len(names), 10, seed, "groups"))


def test_groups_of_one_are_tracks_and_their_names_do_not_count() -> None:
    alone = resample_counts(20, 5, 0, "groups")
    for names in (np.arange(20), np.array([f"artist {number:02}" for number in range(20)])):
        np.testing.assert_array_equal(resample_counts(20, 5, 0, "groups", names), alone)
    with pytest.raises(ValueError, match="3 groups for 20 tracks"):
        resample_counts(20, 5, 0, "groups", np.arange(3))


def test_groups_make_the_spread_of_alike_tracks_right() -> None:
    """100 groups of 5 equal values: the mean has the variance of 100 values and not of 500."""
    groups = np.repeat(np.arange(100), 5)
    values = np.random.default_rng(0).normal(size=100)[groups]
    spread = [
        (values @ counts / counts.sum(0)).std()
        for counts in (
            resample_counts(500, 2000, 0, "x"),
            resample_counts(500, 2000, 0, "x", groups),
        )
    ]
    assert spread[1] == pytest.approx(values.std() / 10, rel=0.06)
    assert spread[0] == pytest.approx(values.std() / 500**0.5, rel=0.06)
