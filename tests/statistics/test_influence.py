"""Influence, jackknife values and bias equal derivatives, deletions and slow definitions."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from bench.statistics.influence import (
    classification_influence,
    precision_bias,
    precision_micro_bias,
    ranking_influence,
    ranking_jackknife,
    ranking_micro_influence,
    ranking_micro_jackknife,
)
from bench.statistics.metrics import ranking
from tests.statistics.problems import QUICK, problem

pytestmark = pytest.mark.usefixtures("one_thread")


def slope(function: Callable[[np.ndarray], float], tracks: int) -> np.ndarray:
    """(tracks,) derivative of a function of the weights with respect to each, at weights of one.

    By central differences.
    """
    step = 1e-5
    moved = np.ones((tracks, tracks)) + step * np.eye(tracks)
    back = np.ones((tracks, tracks)) - step * np.eye(tracks)
    return np.array(
        [function(up) - function(down) for up, down in zip(moved, back, strict=True)]
    ) / (2 * step)


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


def test_influence_and_jackknife_agree_for_frequent_tags_and_are_nan_where_the_metric_is() -> None:
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
