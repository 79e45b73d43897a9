"""Labelled subsets: nested, of whole groups, the same on every machine, to and from files."""

import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.core.errors import InputError
from bench.settings.specs import LabelsSpec
from bench.stages.probe import subsets
from bench.stages.probe.subsets import (
    PRESETS,
    labelled_order,
    labelled_subset,
    tags_without_positive,
)
from tests.stages.probe.pools import labels_of, pool_of

QUICK = settings(max_examples=80, deadline=None)
BALANCED, UNIFORM = LabelsSpec(scheme="balanced"), LabelsSpec(scheme="uniform")


@QUICK
@given(
    tracks=st.integers(2, 120),
    tags=st.integers(1, 12),
    seed=st.integers(0, 5000),
    draw=st.integers(0, 3),
    fractions=st.tuples(st.floats(0.001, 1), st.floats(0.001, 1)),
    scheme=st.sampled_from(["balanced", "uniform"]),
)
def test_subsets_are_nested_and_of_the_right_size(
    tracks, tags, seed, draw, fractions, scheme
) -> None:
    labels = labels_of(tracks, tags, seed)
    labels[:, 0] = True  # else a small subset may have no positive at all
    spec = LabelsSpec(scheme=scheme, seed=seed)
    small, large = (
        labelled_subset(pool_of(labels), fraction, draw, spec) for fraction in sorted(fractions)
    )
    assert set(small) <= set(large)
    for subset, fraction in zip((small, large), sorted(fractions), strict=True):
        assert len(subset) == max(1, round(fraction * tracks))
        assert (np.diff(subset) > 0).all()
    order = labelled_order(labels, scheme, draw, seed, "x")
    assert sorted(order) == list(range(tracks))
    np.testing.assert_array_equal(np.sort(order[: len(small)]), small)


@QUICK
@given(
    tracks=st.integers(2, 150),
    per_group=st.integers(1, 9),
    seed=st.integers(0, 5000),
    fractions=st.tuples(st.floats(0.01, 1), st.floats(0.01, 1)),
    scheme=st.sampled_from(["balanced", "uniform"]),
)
def test_by_group_whole_groups_are_taken_and_nested(
    tracks, per_group, seed, fractions, scheme
) -> None:
    labels = labels_of(tracks, 6, seed)
    labels[:, 0] = True
    groups = np.array(
        [
            f"artist {number}"
            for number in np.random.default_rng(seed).integers(0, per_group, tracks)
        ]
    )
    spec = LabelsSpec(scheme=scheme, by="group")
    small, large = (
        labelled_subset(pool_of(labels, groups), fraction, 0, spec)
        for fraction in sorted(fractions)
    )
    assert set(small) <= set(large)
    smallest = np.unique(groups, return_counts=True)[1].max()
    for subset, fraction in zip((small, large), sorted(fractions), strict=True):
        taken = set(groups[subset])
        assert set(np.flatnonzero(np.isin(groups, list(taken)))) == set(subset)
        size = max(1, round(fraction * tracks))
        assert len(taken) == 1 or len(subset) <= size
        assert len(subset) > size - smallest  # the next group would not have fitted


def test_at_one_percent_of_mtat_every_tag_has_a_positive_and_tags_are_even() -> None:
    labels = np.random.default_rng(0).random((15_244, 50)) < np.geomspace(0.005, 0.3, 50)
    pool = pool_of(labels)
    balanced, uniform = (labelled_subset(pool, 0.01, 0, spec) for spec in (BALANCED, UNIFORM))
    assert len(balanced) == len(uniform) == 152
    assert tags_without_positive(labels, balanced) == 0
    assert tags_without_positive(labels, uniform) > 0
    assert labels[balanced].sum(0).min() > 4 * labels[uniform].sum(0).min()


def test_uniform_is_uniform() -> None:
    labels = np.ones((50, 1), dtype=bool)
    firsts = [labelled_order(labels, "uniform", draw, 0, "x")[0] for draw in range(300)]
    assert len(set(firsts)) > 45
    assert abs(np.mean(firsts) - 24.5) < 5 * 14.4 / 300**0.5


def test_draws_seeds_and_purposes_differ_and_repeat() -> None:
    labels = labels_of(400, 5, 0)
    for spec in (BALANCED, UNIFORM):
        base = labelled_subset(pool_of(labels), 0.1, 0, spec)
        np.testing.assert_array_equal(base, labelled_subset(pool_of(labels), 0.1, 0, spec))
        others = [
            labelled_subset(pool_of(labels), 0.1, 1, spec),
            labelled_subset(pool_of(labels), 0.1, 0, spec.model_copy(update={"seed": 1})),
            labelled_subset(pool_of(labels, purpose="y"), 0.1, 0, spec),
        ]
        assert all(set(base) != set(other) for other in others)


def test_the_same_on_every_machine_and_version() -> None:
    """Pinned: a change of these subsets would make old and new scores incomparable.

    The labels come from no random generator, so that it cannot change them.
    """
    number = np.arange(2000)[:, None]
    labels = (number * 7919 + np.arange(12) * 104729) % 1009 < np.arange(8, 128, 10)
    pool = pool_of(labels, np.array([f"artist {track % 97}" for track in range(2000)]))
    hashes = [
        subsets.subset_hash(
            [str(name) for name in pool.ids[labelled_subset(pool, fraction, 1, spec)]]
        )
        for spec in (BALANCED, UNIFORM, LabelsSpec(by="group"))
        for fraction in (0.02, 259.0)
    ]
    assert hashes == PINNED


PINNED = [
    "5849fe2bd583c908",
    "68dc8e879768ef7d",
    "c104c45b517e6b8d",
    "cf3dcc66a3bf96bb",
    "41ce64502db3280d",
    "ac810676268b2eb4",
]


def test_sizes() -> None:
    pool = pool_of(labels_of(300, 3, 0))  # of a data set of 400
    assert len(labelled_subset(pool, 1.0, 2, UNIFORM)) == 300
    assert len(labelled_subset(pool, 259.0, 0, UNIFORM)) == 259
    of_all = LabelsSpec(of="dataset")
    assert len(labelled_subset(pool, 0.1, 0, of_all)) == 40
    assert len(labelled_subset(pool, 1.0, 0, of_all)) == 300
    for fraction, spec, words in (
        (0.0, UNIFORM, "fraction"), (-0.1, UNIFORM, "fraction"), (1.5, UNIFORM, "whole number"),
        (float("nan"), UNIFORM, "fraction"),
        (301.0, UNIFORM, "301 labelled tracks are asked for; the training"),
        (0.9, of_all, "360 labelled tracks .0.9 of the data set's 400. are asked for"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=words):
            labelled_subset(pool, fraction, 0, spec)
    with pytest.raises(InputError, match="no tracks"):
        labelled_subset(pool_of(np.zeros((0, 3), dtype=bool)), 0.5, 0, UNIFORM)


def test_a_subset_without_any_positive_is_refused() -> None:
    labels = np.zeros((100, 2), dtype=bool)
    labels[7] = True
    draw = next(
        draw for draw in range(9) if labelled_order(labels, "uniform", draw, 0, "x")[0] != 7
    )
    with pytest.raises(
        InputError, match=r"1 of 100 tracks hold no positive of any tag: take a larger fraction"
    ):
        labelled_subset(pool_of(labels), 0.01, draw, UNIFORM)
    assert labelled_subset(pool_of(labels), 0.01, 0, BALANCED).tolist() == [7]


def test_presets_are_those_of_the_papers() -> None:
    deezer, clmr = PRESETS["deezer"], PRESETS["clmr"]
    assert (deezer.fractions, deezer.draws, deezer.labels.scheme) == (
        (0.01, 0.05, 0.1, 0.2, 1.0),
        4,
        "uniform",
    )
    assert (clmr.fractions[0], clmr.labels.scheme, clmr.labels.of) == (0.01, "balanced", "dataset")
    mtat = replace(pool_of(labels_of(18_709, 50, 0)), dataset_tracks=25_863)
    assert len(labelled_subset(mtat, 0.01, 0, clmr.labels)) == 259


def test_files_hold_ids_and_positives_and_are_checked() -> None:
    labels = labels_of(60, 3, 4)
    pool = pool_of(labels)
    subset = labelled_subset(pool, 20.0, 0, BALANCED)
    content = subsets.describe(pool, subset, ("a", "b", "c"), {"dataset": "x"})
    assert content["positives"] == dict(zip("abc", labels[subset].sum(0).tolist(), strict=True))
    ids = subsets.parse(json.dumps(content), "file")
    np.testing.assert_array_equal(subsets.places(pool, ids, "file"), subset)
    other = pool_of(labels[:30])
    broken = [
        ("{}", "no 'schema_version'"),
        ("[1]", "no JSON object"),
        ("{", "no JSON object"),
        (json.dumps({**content, "schema_version": 9}), "schema 9"),
        (json.dumps({**content, "tracks": []}), "at least one"),
        (json.dumps({**content, "tracks": ids[:1] * 2}), "1 track ids stand in it twice"),
        (json.dumps({**content, "tracks": ids[1:]}), "it was changed"),
    ]
    for text, words in broken:
        with pytest.raises(InputError, match=words):
            subsets.parse(text, "file")
    with pytest.raises(InputError, match=r"of its 20 tracks are not in the training split \(track"):
        subsets.places(other, ids, "file")
    with pytest.raises(InputError, match="none of its 20 tracks has a tag"):
        subsets.places(replace(pool, labels=np.zeros_like(labels)), ids, "file")


@pytest.mark.parametrize("scheme", ["balanced", "uniform"])
def test_fast_on_a_hundred_thousand_tracks(scheme: str) -> None:
    labels = np.random.default_rng(0).random((100_000, 50)) < np.geomspace(0.001, 0.3, 50)
    start = time.process_time()
    labelled_order(labels, scheme, 0, 0, "x")
    assert time.process_time() - start < 5
