"""Metrics equal scikit-learn's and torchmetrics', with ties, weights and absent classes."""

import subprocess
import sys
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import rankdata
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_f1_score,
    multiclass_stat_scores,
    multilabel_average_precision,
)

from bench.statistics.bootstrap import resample_counts
from bench.statistics.metrics import (
    classification,
    mean_average_precision,
    one_vs_rest,
    ranking,
    ranking_micro,
)
from tests.statistics.problems import EXACT, QUICK, problem

pytestmark = pytest.mark.usefixtures("one_thread")


def expected(
    score_of: Callable[..., float], labels: np.ndarray, scores: np.ndarray, weights: np.ndarray
) -> float:
    """scikit-learn's value, NaN where it is not defined."""
    present = labels[weights > 0]
    if not present.any() or (score_of is roc_auc_score and present.all()):
        return float("nan")
    return float(score_of(labels, scores, sample_weight=weights))


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
    """Neither pieces of resamples nor of thresholds change a value, and threads change no bit.

    600 resamples are three pieces; the last tag has some 900 positives, which are two pieces of
    thresholds.
    """
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
    """All pairs times all resamples of this size would take 1 GB.

    The peak is measured in a process of its own.
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


@QUICK
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 8), tracks=st.integers(1, 40))
def test_classification_equals_torchmetrics_on_the_resampled_tracks(
    seed: int, classes: int, tracks: int
) -> None:
    """Exactly by torchmetrics' integer counts; its own ratios are in single precision."""
    random = np.random.default_rng(seed)
    occurring = random.integers(1, classes, endpoint=True)  # the other classes are absent
    truth, predicted = random.integers(occurring, size=(2, tracks))
    counts = resample_counts(tracks, 4, seed, "classes")
    accuracy, f1 = classification(predicted, truth, classes, counts)
    for resample in range(4):
        drawn = np.repeat(np.arange(tracks), counts[:, resample])
        case = torch.from_numpy(predicted[drawn]), torch.from_numpy(truth[drawn]), classes
        found = multiclass_stat_scores(*case, average=None).double()
        true_positive, false_positive, _, false_negative, _ = found.unbind(-1)
        occurrences = 2 * true_positive + false_positive + false_negative
        per_class = (2 * true_positive / occurrences)[occurrences > 0]
        assert accuracy[resample] == pytest.approx(float(true_positive.sum()) / tracks, abs=1e-12)
        assert f1[resample] == pytest.approx(float(per_class.mean()), abs=1e-12)
        single = float(multiclass_accuracy(*case, average="micro"))
        assert accuracy[resample] == pytest.approx(single, abs=1e-6)
        assert f1[resample] == pytest.approx(float(multiclass_f1_score(*case)), abs=1e-6)


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(2, 60))
def test_mean_average_precision_equals_torchmetrics(seed: int, levels: int, tracks: int) -> None:
    """To single precision, in which torchmetrics computes."""
    scores, labels, _ = problem(seed, levels, tracks)
    # Ranks from 0 to 1: torchmetrics squashes other scores by a sigmoid, which may tie them.
    ranks = torch.from_numpy(rankdata(scores, axis=0) / tracks)
    truth = torch.from_numpy(labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a tag without a positive
        by_tag = multilabel_average_precision(ranks, truth.int(), labels.shape[1], average="none")
    known = by_tag[truth.any(0)]
    found = float(mean_average_precision(ranks, truth))
    assert found == pytest.approx(float(known.mean()), abs=1e-6, nan_ok=True)


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
