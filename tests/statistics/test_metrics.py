"""Metrics and scores beside scikit-learn's, with ties, and what happens where a tag has no positive."""

import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from bench.core.errors import InputError
from bench.settings.specs import ScoreSpec
from bench.stages.score.scores import HeldOut, Scores, score
from bench.statistics.bootstrap import resample_counts
from bench.statistics.influence import (
    classification_influence,
    precision_bias,
    precision_micro_bias,
    ranking_influence,
    ranking_jackknife,
    ranking_micro_influence,
    ranking_micro_jackknife,
)
from bench.statistics.metrics import (
    classification,
    mean_average_precision,
    one_vs_rest,
    ranking,
    ranking_micro,
)

EXACT = {"rtol": 0, "atol": 1e-7}
QUICK = settings(max_examples=60, deadline=None)


pytestmark = pytest.mark.usefixtures("one_thread")


def expected(
    score_of: object, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> float:
    """scikit-learn's value, NaN where it is not defined."""
    present = labels[weights > 0]
    if not present.any() or (score_of is roc_auc_score and present.all()):
        return float("nan")
    return float(score_of(labels, scores, sample_weight=weights))  # type: ignore[operator]


def problem(
    seed: int, levels: int, tracks: int, tags: int = 3
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with `levels` different values (0: no ties), labels from rare to frequent, and counts."""
    random = np.random.default_rng(seed)
    labels = random.random((tracks, tags)) < np.linspace(0.05, 0.9, tags)
    scores = (random.normal(size=(tracks, tags)) + labels).astype(np.float32)
    if levels:
        scores = np.floor(scores * levels / 4).astype(np.float32)
    return scores, labels, resample_counts(tracks, 4, seed, "test")


@QUICK
@given(
    seed=st.integers(0, 10_000), levels=st.sampled_from([0, 1, 2, 5, 50]), tracks=st.integers(1, 60)
)
def test_ranking_equals_scikit_learn_with_ties(seed: int, levels: int, tracks: int) -> None:
    scores, labels, counts = problem(seed, levels, tracks)
    auroc, precision = ranking(scores, labels, counts)
    for resample in range(counts.shape[1]):
        for tag in range(labels.shape[1]):
            case = labels[:, tag], scores[:, tag], counts[:, resample]
            np.testing.assert_allclose(
                auroc[resample, tag], expected(roc_auc_score, *case), **EXACT
            )
            np.testing.assert_allclose(
                precision[resample, tag], expected(average_precision_score, *case), **EXACT
            )


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(1, 60))
def test_micro_equals_scikit_learn_over_all_pairs(seed: int, levels: int, tracks: int) -> None:
    scores, labels, counts = problem(seed, levels, tracks)
    auroc, precision = ranking_micro(scores, labels, counts)
    for resample in range(counts.shape[1]):
        case = labels.ravel(), scores.ravel(), np.repeat(counts[:, resample], labels.shape[1])
        np.testing.assert_allclose(auroc[resample], expected(roc_auc_score, *case), **EXACT)
        np.testing.assert_allclose(
            precision[resample], expected(average_precision_score, *case), **EXACT
        )


def test_a_counted_track_is_a_repeated_track() -> None:
    scores, labels, counts = problem(3, 5, 40)
    drawn = np.repeat(np.arange(40), counts[:, 0])
    repeated = ranking(scores[drawn], labels[drawn], np.ones((len(drawn), 1), dtype=int))
    for found, same in zip(ranking(scores, labels, counts[:, :1]), repeated, strict=True):
        np.testing.assert_allclose(found, same, **EXACT)


def test_order_counts_and_nothing_else() -> None:
    scores, labels, counts = problem(5, 0, 50)
    saturating = 40 * scores.astype(np.float64)  # a sigmoid of these would tie most of them at one
    for found, same in zip(
        ranking(saturating, labels, counts), ranking(scores, labels, counts), strict=True
    ):
        np.testing.assert_array_equal(found, same)
    swapped = ranking(-scores, labels, counts)[0]
    np.testing.assert_allclose(swapped, 1 - ranking(scores, labels, counts)[0], **EXACT)


def test_many_resamples_are_worked_through_in_pieces_and_on_threads() -> None:
    """Both pieces of resamples and of thresholds: 2000 tracks have some 900 positives of the last tag."""
    scores, labels, _ = problem(7, 0, 1000)
    counts = resample_counts(1000, 600, 0, "pieces")
    for function in (ranking, ranking_micro):
        whole = function(scores, labels, counts)
        for resample in (0, 249, 250, 599):
            alone = function(scores, labels, counts[:, resample : resample + 1])
            for found, same in zip(whole, alone, strict=True):
                np.testing.assert_allclose(found[resample], same[0], rtol=1e-12)
        torch.set_num_threads(3)
        for found, same in zip(function(scores, labels, counts), whole, strict=True):
            np.testing.assert_array_equal(found, same)
        assert torch.get_num_threads() == 3
        torch.set_num_threads(1)


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(1, 40))
def test_weights_of_any_size_are_scikit_learns(seed: int, levels: int, tracks: int) -> None:
    scores, labels, _ = problem(seed, levels, tracks)
    weights = np.random.default_rng(seed).exponential(size=(tracks, 2)) * 1000
    auroc, precision = ranking(scores, labels, weights)
    for resample in range(2):
        for tag in range(labels.shape[1]):
            case = labels[:, tag], scores[:, tag], weights[:, resample]
            np.testing.assert_allclose(
                auroc[resample, tag], expected(roc_auc_score, *case), **EXACT
            )
            np.testing.assert_allclose(
                precision[resample, tag], expected(average_precision_score, *case), **EXACT
            )


def test_counts_too_large_for_single_precision_stay_exact() -> None:
    scores, labels, counts = problem(2, 5, 50)
    large = (counts * 1_000_003).astype(np.int64)
    for found, same in zip(
        ranking(scores, labels, large), ranking(scores, labels, counts), strict=True
    ):
        np.testing.assert_allclose(found, same, rtol=1e-12)


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(2, 40))
def test_a_weight_of_zero_is_a_track_less_and_tracks_twice_change_nothing(
    seed: int, levels: int, tracks: int
) -> None:
    scores, labels, counts = problem(seed, levels, tracks)
    ones = np.ones((tracks, 1), dtype=np.int32)
    kept = counts[:, 0] > 0
    for function in (ranking, ranking_micro):
        without = function(scores, labels, kept[:, None].astype(np.int32))
        removed = function(scores[kept], labels[kept], ones[kept])
        twice = function(np.tile(scores, (2, 1)), np.tile(labels, (2, 1)), np.tile(ones, (2, 1)))
        for found, same in zip(
            (*without, *twice), (*removed, *function(scores, labels, ones)), strict=True
        ):
            np.testing.assert_allclose(found, same, rtol=1e-12)


@given(seed=st.integers(0, 10_000), tracks=st.integers(2, 40))
@QUICK
def test_perfect_scores_are_one_and_constant_ones_are_chance(seed: int, tracks: int) -> None:
    _, labels, counts = problem(seed, 0, tracks)
    labels[0], labels[1] = True, False
    for scores, area, precision in ((labels, 1.0, 1.0), (np.zeros(labels.shape), 0.5, 0.0)):
        found = ranking(scores.astype(np.float32), labels, counts)
        shares = counts.T @ labels / tracks
        defined = (shares > 0) & (shares < 1)
        np.testing.assert_array_equal(np.isnan(found[0]), ~defined)
        np.testing.assert_allclose(found[0][defined], area, **EXACT)
        np.testing.assert_allclose(found[1][shares > 0], np.maximum(shares, precision)[shares > 0])


def test_micro_memory_is_bounded() -> None:
    """All pairs x resamples of this size would take 1 GB.

    The peak is that of a process of its own.
    """
    code = """
import resource
import numpy as np
from bench.statistics.metrics import (ranking_micro)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
random = np.random.default_rng(0)
scores, counts = random.normal(size=(5000, 50)), random.integers(3, size=(5000, 500))
before = peak()
ranking_micro(scores, scores > 1.5, counts)
print(peak() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 300


@QUICK
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 6), tracks=st.integers(1, 40))
def test_classification_equals_scikit_learn_on_the_resampled_tracks(
    seed: int, classes: int, tracks: int
) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(classes, size=(2, tracks))
    counts = resample_counts(tracks, 4, seed, "classes")
    accuracy, f1 = classification(predicted, truth, classes, counts)
    for resample in range(4):
        drawn = np.repeat(np.arange(tracks), counts[:, resample])
        assert accuracy[resample] == pytest.approx(
            accuracy_score(truth[drawn], predicted[drawn]), abs=1e-12
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a single class in a tiny resample
            macro = f1_score(truth[drawn], predicted[drawn], average="macro", zero_division=0)
        assert f1[resample] == pytest.approx(macro, abs=1e-12)


def slope(function: Callable[[np.ndarray], float], tracks: int) -> np.ndarray:
    """(tracks,) derivative of a function of the weights by each weight, at one, by central differences."""
    step = 1e-5
    moved = np.ones((tracks, tracks)) + step * np.eye(tracks)
    back = np.ones((tracks, tracks)) - step * np.eye(tracks)
    return np.array(
        [function(up) - function(down) for up, down in zip(moved, back, strict=True)]
    ) / (2 * step)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(3, 25))
def test_influence_is_the_derivative_of_scikit_learns_metrics(
    seed: int, levels: int, tracks: int
) -> None:
    scores, labels, _ = problem(seed, levels, tracks)
    labels[0], labels[1] = True, False
    metrics = (roc_auc_score, average_precision_score)
    for metric, found, micro in zip(
        metrics,
        ranking_influence(scores, labels),
        ranking_micro_influence(scores, labels),
        strict=True,
    ):
        for tag in range(labels.shape[1]):
            case = partial(
                lambda m, t, w: m(labels[:, t], scores[:, t], sample_weight=w), metric, tag
            )
            np.testing.assert_allclose(found[:, tag], slope(case, tracks), atol=1e-8)
        pairs = partial(
            lambda m, w: m(
                labels.ravel(), scores.ravel(), sample_weight=np.repeat(w, labels.shape[1])
            ),
            metric,
        )
        np.testing.assert_allclose(micro, slope(pairs, tracks), atol=1e-8)
        np.testing.assert_allclose([*found.sum(0), micro.sum()], 0, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(3, 25))
def test_jackknife_is_what_is_lost_without_a_track(seed: int, levels: int, tracks: int) -> None:
    scores, labels, _ = problem(seed, levels, tracks)
    labels[0], labels[1] = True, False

    def areas(label: np.ndarray, score_of: np.ndarray) -> np.ndarray:
        corrected = average_precision_score(label, score_of) - slow_precision_bias(score_of, label)
        return np.array([roc_auc_score(label, score_of), corrected])

    found, micro = ranking_jackknife(scores, labels), ranking_micro_jackknife(scores, labels)
    for tag in range(labels.shape[1]):
        case = labels[:, tag], scores[:, tag]
        for track in range(tracks):
            label, score_of = (np.delete(values, track) for values in case)
            lost = np.zeros(2)
            if label.any() and not label.all():
                lost = areas(*case) - areas(label, score_of)
            elif label.any():  # the only negative is gone, and the area with it
                lost[1] = (areas(*case) - [0, 1 - slow_precision_bias(score_of, label)])[1]
            values = [metric[track, tag] for metric in found]
            np.testing.assert_allclose(values, lost * (tracks - 1) / tracks, atol=1e-12)
    assert np.isfinite(micro).all()


def test_influence_and_jackknife_agree_where_tags_are_frequent_and_are_nan_where_the_metric_is() -> (
    None
):
    scores, labels, _ = problem(4, 0, 2000)
    both = (
        (ranking_influence, ranking_jackknife),
        (ranking_micro_influence, ranking_micro_jackknife),
    )
    for functions in both:
        for influence, jackknife in zip(
            *(function(scores, labels) for function in functions), strict=True
        ):
            np.testing.assert_allclose((influence**2).sum(0), (jackknife**2).sum(0), rtol=0.1)
    labels[:, 0], labels[:, 1] = False, True
    for function in both[0]:
        auroc, precision = function(scores, labels)
        assert np.isnan(auroc).all(0).tolist() == [True, True, False]
        assert np.isnan(precision).all(0).tolist() == [True, False, False]
        assert not np.isnan(auroc[:, 2]).any()


def test_a_single_positive_takes_nothing_with_it() -> None:
    scores, labels = np.arange(5.0)[:, None], np.arange(5)[:, None] == 2
    auroc, precision = ranking_jackknife(scores, labels)
    assert auroc[2, 0] == precision[2, 0] == 0
    assert precision_bias(scores, labels)[0] == pytest.approx(1 / 3 - 0.5 / 2.5)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), tracks=st.integers(2, 20), classes=st.integers(2, 5))
def test_influence_of_classes_is_the_derivative_of_scikit_learns_metrics(
    seed: int, tracks: int, classes: int
) -> None:
    truth, predicted = np.random.default_rng(seed).integers(classes, size=(2, tracks))
    accuracy, f1 = classification_influence(predicted, truth, classes)

    def macro(weights: np.ndarray) -> float:
        return float(
            f1_score(truth, predicted, average="macro", sample_weight=weights, zero_division=0)
        )

    np.testing.assert_allclose(
        accuracy,
        slope(lambda w: accuracy_score(truth, predicted, sample_weight=w), tracks),
        atol=1e-8,
    )
    np.testing.assert_allclose(f1, slope(macro, tracks), atol=1e-8)
    np.testing.assert_allclose([accuracy.sum(), f1.sum()], 0, atol=1e-12)


def slow_precision_bias(scores: np.ndarray, labels: np.ndarray) -> float:
    """Average precision less the mean of K' / (K' + N), written positive by positive."""
    positives = int(labels.sum())
    excess = 0.0
    for track in np.flatnonzero(labels):
        at_or_above = scores >= scores[track]
        negatives = (at_or_above & ~labels).sum()
        others = (at_or_above & labels).sum() - 1
        scaled = others * positives / (positives - 1) if positives > 1 else 0.5
        if others + negatives:
            expected = scaled / (scaled + negatives)
        elif positives == 1:
            expected = (1 + 1 / 3) / 2
        else:
            second = np.sort(scores[labels])[-2]
            scaled = ((scores >= second) & labels).sum() - 1
            scaled = scaled * positives / (positives - 1)
            expected = (1 + scaled / (scaled + ((scores >= second) & ~labels).sum())) / 2
        excess += (others + 1) / (others + 1 + negatives) - expected
    return excess / positives


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(3, 40))
def test_bias_of_average_precision_is_its_definition(seed: int, levels: int, tracks: int) -> None:
    scores, labels, _ = problem(seed, levels, tracks)
    labels[0], labels[1] = True, False
    scores[:, 0] = scores[:, 0] + np.arange(tracks) * (levels == 0)
    if all(len(np.unique(column)) > 1 for column in scores.T):
        slow = [
            slow_precision_bias(scores[:, tag], labels[:, tag]) for tag in range(labels.shape[1])
        ]
        np.testing.assert_allclose(precision_bias(scores, labels), slow, atol=1e-12)
        assert precision_micro_bias(scores, labels) == pytest.approx(
            slow_precision_bias(scores.ravel(), labels.ravel())
        )


def test_bias_of_average_precision_is_what_small_test_sets_have_too_much() -> None:
    """500 test sets of 300 tracks; the truth is that of 400 000, the standard errors are 0.002."""
    random = np.random.default_rng(0)

    def draw(tracks: int) -> tuple[np.ndarray, np.ndarray]:
        labels = random.random((tracks, 3)) < [0.02, 0.05, 0.2]
        return random.normal(size=(tracks, 3)) + [0.5, 1.5, 2.0] * labels, labels

    truth = ranking(*draw(400_000), np.ones((400_000, 1), dtype=np.int32))[1][0]
    tests = [draw(300) for _ in range(500)]
    values = np.array([ranking(*test, np.ones((300, 1)))[1][0] for test in tests])
    uncorrected = np.nanmean(values, axis=0) - truth
    corrected = np.nanmean(values - [precision_bias(*test) for test in tests], axis=0) - truth
    assert (uncorrected[:2] > 0.02).all()
    assert (np.abs(corrected[:2]) < 0.35 * uncorrected[:2]).all()
    assert abs(corrected[2]) < 0.01


@QUICK
@given(
    seed=st.integers(0, 10_000), levels=st.sampled_from([0, 1, 3, 20]), tracks=st.integers(1, 60)
)
def test_sweep_map_equals_the_scored_map(seed: int, levels: int, tracks: int) -> None:
    scores, labels, _ = problem(seed, levels, tracks)
    stacked = torch.from_numpy(np.stack([scores, -scores]))
    found = mean_average_precision(stacked, torch.from_numpy(labels)).numpy()
    for point, sign in enumerate((1, -1)):
        precision = ranking(sign * scores, labels, np.ones((tracks, 1)))[1][0]
        mean = precision[~np.isnan(precision)].mean() if labels.any() else np.nan
        np.testing.assert_allclose(found[point], mean, **EXACT)


def test_one_vs_rest_is_the_softmax_unsaturated() -> None:
    logits = torch.randn(50, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0)) * 3
    shifted = logits + torch.arange(50.0, dtype=torch.float64)[:, None]
    torch.testing.assert_close(one_vs_rest(logits).sigmoid(), logits.softmax(-1))
    torch.testing.assert_close(one_vs_rest(logits), one_vs_rest(shifted))
    confident = one_vs_rest(torch.tensor([[100.0, 0.0], [200.0, 0.0]], dtype=torch.float64))
    assert confident[1, 0] > confident[0, 0]  # both are exactly 1 as probabilities


def score_all(
    logits: np.ndarray, labels: np.ndarray, kind: str, spec: ScoreSpec, purpose: str
) -> Scores:
    """All tracks scored, each a group of its own."""
    test = HeldOut(labels, kind, np.arange(len(labels)).astype(str), purpose)  # type: ignore[arg-type]
    return score(logits, test, spec, test.resamples(spec))


def scored(
    kind: str = "tags", resamples: int = 30, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, Scores]:
    """A small problem and its scores."""
    random = np.random.default_rng(seed)
    if kind == "classes":
        labels = random.integers(4, size=80)
        logits = (random.normal(size=(80, 5)) + 2 * np.eye(5)[labels]).astype(np.float32)
    else:
        labels = random.random((80, 5)) < 0.3
        labels[:, 2], labels[:, 4] = False, True
        logits = (random.normal(size=(80, 5)) + labels).astype(np.float32)
    return logits, labels, score_all(logits, labels, kind, ScoreSpec(resamples=resamples), "a test")


def test_scores_of_tags() -> None:
    logits, labels, scores = scored()
    valid = [0, 1, 3]
    assert scores.valid.tolist() == [True, True, False, True, False]
    assert np.isnan(scores.per_tag["average_precision"][[2, 4]]).all()
    case = labels[:, valid], logits[:, valid]
    for name, function in {"map": average_precision_score, "roc_auc": roc_auc_score}.items():
        for average in ("macro", "micro"):
            metric = scores.metrics[f"{name}_{average}"]
            assert metric.value == pytest.approx(function(*case, average=average), abs=1e-7)
            assert metric.low <= metric.value < metric.high
            assert metric.resampled.shape == (30,)
    np.testing.assert_allclose(
        scores.per_tag["roc_auc"][valid], roc_auc_score(*case, average=None), **EXACT
    )
    assert set(scores.metrics) == {"map_macro", "map_micro", "roc_auc_macro", "roc_auc_micro"}
    assert scores.tracks == 80


def test_scores_of_classes() -> None:
    logits, labels, scores = scored("classes")
    odds = torch.from_numpy(logits).double().softmax(1).numpy()[:, :4]
    hot = np.arange(4) == labels[:, None]
    assert scores.valid.tolist() == [True] * 4 + [False]
    assert scores.metrics["map_macro"].value == pytest.approx(
        average_precision_score(hot, odds), abs=1e-7
    )
    assert scores.metrics["roc_auc_micro"].value == pytest.approx(
        roc_auc_score(hot, odds, average="micro"), abs=1e-7
    )
    assert scores.metrics["accuracy"].value == pytest.approx(
        accuracy_score(labels, logits.argmax(1))
    )
    expected_f1 = f1_score(labels, logits.argmax(1), average="macro", zero_division=0)
    assert scores.metrics["f1_macro"].value == pytest.approx(expected_f1)


def test_a_resample_without_a_tag_averages_the_others() -> None:
    labels = np.zeros((20, 2), dtype=bool)
    labels[:8, 0] = labels[0, 1] = (
        True  # the second tag's only positive is missing from a third of the resamples
    )
    logits = np.random.default_rng(0).normal(size=(20, 2))
    scores = score_all(logits, labels, "tags", ScoreSpec(resamples=200), "rare")
    counts = resample_counts(20, 200, 0, "rare")
    precision = ranking(logits, labels, counts)[1]
    gone = np.isnan(precision[:, 1])
    assert 0.2 < gone.mean() < 0.5
    resampled = scores.metrics["map_macro"].resampled
    np.testing.assert_allclose(resampled[gone], precision[gone, 0])
    np.testing.assert_allclose(resampled[~gone], precision[~gone].mean(1))


def test_a_resample_without_any_positive_is_left_out_of_the_interval() -> None:
    labels = np.zeros((10, 1), dtype=bool)
    labels[0] = True
    metric = score_all(
        np.arange(10.0)[:, None], labels, "tags", ScoreSpec(resamples=100), "one"
    ).metrics["map_macro"]
    assert 0.2 < np.isnan(metric.resampled).mean() < 0.5
    assert np.isfinite([metric.low, metric.high]).all()


def test_without_resamples_there_is_a_value_and_no_interval() -> None:
    metric = scored(resamples=0)[2].metrics["map_macro"]
    assert np.isfinite(metric.value)
    assert np.isnan([metric.low, metric.high]).all()
    assert metric.value == pytest.approx(scored()[2].metrics["map_macro"].value, abs=1e-12)


@pytest.mark.parametrize(
    ("logits", "labels", "words"),
    [
        (np.zeros((4, 2)), np.zeros((4, 2), dtype=bool), "no tag has a positive"),
        (np.full((4, 2), np.nan), np.eye(4, 2, dtype=bool), "8 of 8 test logits are not finite"),
        (np.zeros((3, 2)), np.eye(4, 2, dtype=bool), "3 rows of logits for 4 test tracks"),
    ],
)
def test_what_cannot_be_scored_is_said_in_one_line(
    logits: np.ndarray, labels: np.ndarray, words: str
) -> None:
    with pytest.raises(InputError, match=words) as caught:
        score_all(logits, labels, "tags", ScoreSpec(resamples=5), "test")
    assert "\n" not in str(caught.value)
