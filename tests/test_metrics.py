"""Metrics and scores beside scikit-learn's, with ties, and what happens where a tag has no positive."""

import subprocess
import sys
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from bench.config import ScoreSpec
from bench.errors import InputError
from bench.probe.bootstrap import resample_counts
from bench.probe.metrics import classification, mean_average_precision, one_vs_rest, ranking, ranking_micro
from bench.probe.score import Metric, paired_difference, score

EXACT = {"rtol": 0, "atol": 1e-7}
QUICK = settings(max_examples=60, deadline=None)


pytestmark = pytest.mark.usefixtures("one_thread")


def expected(score_of: object, labels: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> float:
    """scikit-learn's value, NaN where it is not defined."""
    present = labels[weights > 0]
    if not present.any() or (score_of is roc_auc_score and present.all()):
        return float("nan")
    return float(score_of(labels, scores, sample_weight=weights))  # type: ignore[operator]


def problem(seed: int, levels: int, tracks: int, tags: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores with `levels` different values (0: no ties), labels from rare to frequent, and counts."""
    random = np.random.default_rng(seed)
    labels = random.random((tracks, tags)) < np.linspace(0.05, 0.9, tags)
    scores = (random.normal(size=(tracks, tags)) + labels).astype(np.float32)
    if levels:
        scores = np.floor(scores * levels / 4).astype(np.float32)
    return scores, labels, resample_counts(tracks, 4, seed, "test")


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 1, 2, 5, 50]), tracks=st.integers(1, 60))
def test_ranking_equals_scikit_learn_with_ties(seed: int, levels: int, tracks: int) -> None:
    scores, labels, counts = problem(seed, levels, tracks)
    auroc, precision = ranking(scores, labels, counts)
    for resample in range(counts.shape[1]):
        for tag in range(labels.shape[1]):
            case = labels[:, tag], scores[:, tag], counts[:, resample]
            np.testing.assert_allclose(auroc[resample, tag], expected(roc_auc_score, *case), **EXACT)
            np.testing.assert_allclose(precision[resample, tag], expected(average_precision_score, *case), **EXACT)


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 2, 5]), tracks=st.integers(1, 60))
def test_micro_equals_scikit_learn_over_all_pairs(seed: int, levels: int, tracks: int) -> None:
    scores, labels, counts = problem(seed, levels, tracks)
    auroc, precision = ranking_micro(scores, labels, counts)
    for resample in range(counts.shape[1]):
        case = labels.ravel(), scores.ravel(), np.repeat(counts[:, resample], labels.shape[1])
        np.testing.assert_allclose(auroc[resample], expected(roc_auc_score, *case), **EXACT)
        np.testing.assert_allclose(precision[resample], expected(average_precision_score, *case), **EXACT)


def test_a_counted_track_is_a_repeated_track() -> None:
    scores, labels, counts = problem(3, 5, 40)
    drawn = np.repeat(np.arange(40), counts[:, 0])
    repeated = ranking(scores[drawn], labels[drawn], np.ones((len(drawn), 1), dtype=int))
    for found, same in zip(ranking(scores, labels, counts[:, :1]), repeated, strict=True):
        np.testing.assert_allclose(found, same, **EXACT)


def test_order_counts_and_nothing_else() -> None:
    scores, labels, counts = problem(5, 0, 50)
    saturating = 40 * scores.astype(np.float64)  # a sigmoid of these would tie most of them at one
    for found, same in zip(ranking(saturating, labels, counts), ranking(scores, labels, counts), strict=True):
        np.testing.assert_array_equal(found, same)
    swapped = ranking(-scores, labels, counts)[0]
    np.testing.assert_allclose(swapped, 1 - ranking(scores, labels, counts)[0], **EXACT)


def test_many_resamples_are_worked_through_in_pieces() -> None:
    scores, labels, _ = problem(7, 0, 60)
    counts = resample_counts(60, 300, 0, "pieces")
    whole = ranking(scores, labels, counts)
    for resample in (0, 127, 128, 299):
        alone = ranking(scores, labels, counts[:, resample : resample + 1])
        np.testing.assert_allclose(whole[0][resample], alone[0][0], rtol=1e-12)
        np.testing.assert_allclose(whole[1][resample], alone[1][0], rtol=1e-12)


def test_micro_memory_is_bounded() -> None:
    """All pairs x resamples of this size would take 1 GB; the peak is that of a process of its own."""
    code = """
import resource
import numpy as np
from bench.probe.metrics import ranking_micro
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
def test_classification_equals_scikit_learn_on_the_resampled_tracks(seed: int, classes: int, tracks: int) -> None:
    random = np.random.default_rng(seed)
    truth, predicted = random.integers(classes, size=(2, tracks))
    counts = resample_counts(tracks, 4, seed, "classes")
    accuracy, f1 = classification(predicted, truth, classes, counts)
    for resample in range(4):
        drawn = np.repeat(np.arange(tracks), counts[:, resample])
        assert accuracy[resample] == pytest.approx(accuracy_score(truth[drawn], predicted[drawn]), abs=1e-12)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a single class in a tiny resample
            macro = f1_score(truth[drawn], predicted[drawn], average="macro", zero_division=0)
        assert f1[resample] == pytest.approx(macro, abs=1e-12)


@QUICK
@given(seed=st.integers(0, 10_000), levels=st.sampled_from([0, 1, 3, 20]), tracks=st.integers(1, 60))
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


def scored(kind: str = "tags", resamples: int = 30, seed: int = 0) -> tuple[np.ndarray, np.ndarray, object]:
    """A small problem and its scores."""
    random = np.random.default_rng(seed)
    if kind == "classes":
        labels = random.integers(4, size=80)
        logits = (random.normal(size=(80, 5)) + 2 * np.eye(5)[labels]).astype(np.float32)
    else:
        labels = random.random((80, 5)) < 0.3
        labels[:, 2], labels[:, 4] = False, True
        logits = (random.normal(size=(80, 5)) + labels).astype(np.float32)
    return logits, labels, score(logits, labels, kind, ScoreSpec(resamples=resamples), "a test")  # type: ignore[arg-type]


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
            assert metric.low < metric.value < metric.high
            assert metric.resampled.shape == (30,)
    np.testing.assert_allclose(scores.per_tag["roc_auc"][valid], roc_auc_score(*case, average=None), **EXACT)
    assert set(scores.metrics) == {"map_macro", "map_micro", "roc_auc_macro", "roc_auc_micro"}
    assert scores.tracks == 80


def test_scores_of_classes() -> None:
    logits, labels, scores = scored("classes")
    odds = torch.from_numpy(logits).double().softmax(1).numpy()[:, :4]
    hot = np.arange(4) == labels[:, None]
    assert scores.valid.tolist() == [True] * 4 + [False]
    assert scores.metrics["map_macro"].value == pytest.approx(average_precision_score(hot, odds), abs=1e-7)
    assert scores.metrics["roc_auc_micro"].value == pytest.approx(roc_auc_score(hot, odds, average="micro"), abs=1e-7)
    assert scores.metrics["accuracy"].value == pytest.approx(accuracy_score(labels, logits.argmax(1)))
    expected_f1 = f1_score(labels, logits.argmax(1), average="macro", zero_division=0)
    assert scores.metrics["f1_macro"].value == pytest.approx(expected_f1)


def test_a_resample_without_a_tag_averages_the_others() -> None:
    labels = np.zeros((20, 2), dtype=bool)
    labels[:8, 0] = labels[0, 1] = True  # the second tag's only positive is missing from a third of the resamples
    logits = np.random.default_rng(0).normal(size=(20, 2))
    scores = score(logits, labels, "tags", ScoreSpec(resamples=200), "rare")
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
    metric = score(np.arange(10.0)[:, None], labels, "tags", ScoreSpec(resamples=100), "one").metrics["map_macro"]
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
def test_what_cannot_be_scored_is_said_in_one_line(logits: np.ndarray, labels: np.ndarray, words: str) -> None:
    with pytest.raises(InputError, match=words) as caught:
        score(logits, labels, "tags", ScoreSpec(resamples=5), "test")
    assert "\n" not in str(caught.value)


def test_paired_difference_has_a_sign_and_is_narrower() -> None:
    logits, labels, better = scored(resamples=200)
    noise = np.random.default_rng(9).normal(size=logits.shape)
    worse = score(logits + noise, labels, "tags", ScoreSpec(resamples=200), "a test")
    first, second = better.metrics["roc_auc_macro"], worse.metrics["roc_auc_macro"]
    difference, low, high = paired_difference(first, second, 0.95)
    assert difference == first.value - second.value > 0
    assert low < difference < high
    assert high - low < (first.high - first.low) + (second.high - second.low)
    assert paired_difference(second, first, 0.95) == pytest.approx((-difference, -high, -low))
    assert paired_difference(first, first, 0.95) == (0, 0, 0)
    with pytest.raises(InputError, match="200 resamples with 3"):
        paired_difference(first, Metric(0.5, 0.4, 0.6, np.zeros(3)), 0.95)
