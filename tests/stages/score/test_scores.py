"""Scores of tags and classes equal scikit-learn's; resamples without a positive are left out."""

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, roc_auc_score

from bench.core.errors import InputError
from bench.settings.specs import ScoreSpec
from bench.stages.score.scores import HeldOut, Kind, Scores, score
from bench.statistics.bootstrap import resample_counts
from bench.statistics.metrics import ranking
from tests.statistics.problems import EXACT

pytestmark = pytest.mark.usefixtures("one_thread")


def score_all(
    logits: np.ndarray, labels: np.ndarray, kind: Kind, spec: ScoreSpec, purpose: str
) -> Scores:
    """All tracks scored, each a group of its own."""
    test = HeldOut(labels, kind, np.arange(len(labels)).astype(str), purpose)
    return score(logits, test, spec, test.resamples(spec))


def scored(
    kind: Kind = "tags", resamples: int = 30, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, Scores]:
    """A small problem and its scores."""
    random = np.random.default_rng(seed)
    labels: np.ndarray
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
