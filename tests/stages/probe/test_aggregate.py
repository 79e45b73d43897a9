"""From segments to tracks: both aggregations, and their extremes."""

from itertools import pairwise

import numpy as np
import pytest
import torch

from bench.stages.embed.segments import Embeddings
from bench.stages.probe.aggregate import mean_probability
from bench.stages.probe.inputs import rows_of
from tests.stages.probe.problems import SMALL, Split, problem, with_

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_both_aggregations_come_from_the_same_probe(kind: str) -> None:
    """The mean probability is also computed from the logits of a test split made of segments."""
    data = problem(100, segments=5)
    fitted = data.fit(with_(SMALL, kind=kind))
    rows, first = rows_of(data.embeddings, data.test, "segments")
    apart = Embeddings(
        np.concatenate([data.embeddings.tracks, data.embeddings.segments[rows]]),
        np.arange(len(data.targets) + len(rows) + 1),
        np.concatenate([data.embeddings.tracks, data.embeddings.segments[rows]]),
    )
    targets = np.concatenate([data.targets, np.zeros((len(rows), 5), dtype=bool)])
    alone = Split(apart, targets, data.train, data.valid, len(data.targets) + np.arange(len(rows)))
    logits = alone.fit(with_(SMALL, kind=kind)).logits["mean_embedding"].astype(np.float64)
    mean = np.array(
        [(1 / (1 + np.exp(-logits[start:stop]))).mean(0) for start, stop in pairwise(first)]
    )
    np.testing.assert_allclose(
        fitted.logits["mean_probability"], np.log(mean / (1 - mean)), atol=1e-5, rtol=1e-5
    )


def test_the_valid_split_is_scored_as_the_spec_aggregates() -> None:
    data = problem(100, segments=5)
    data = Split(data.embeddings, data.targets, data.train, data.valid, data.valid)
    for spec in (SMALL, with_(SMALL, kind="knn", neighbours=(3, 9))):
        for name in ("mean_embedding", "mean_probability"):
            fitted = data.fit(with_(spec, aggregation=name))
            valid_map = fitted.chosen["valid_map"]
            assert data.test_map(fitted, name) == pytest.approx(valid_map, abs=1e-5)


def test_mean_probabilities_do_not_saturate() -> None:
    logits = torch.tensor([[300.0, -5000.0], [310.0, 90.0], [2.0, 4000.0]])
    scores = mean_probability(logits, np.array([0, 2, 3]), "tags")
    # (1 - p) of the first is (e^-300 + e^-310) / 2; of the second p is one half.
    expected = [[300 + np.log(2) - np.log1p(np.exp(-10)), 0.0], [2.0, 4000.0]]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float32))
    scores = mean_probability(logits.double(), np.array([0, 2, 3]), "classes")
    expected = [[np.log(1 / 2 + 1 / 2), -220 - np.log(2)], [-3998.0, 0.0]]
    torch.testing.assert_close(scores, torch.tensor(expected, dtype=torch.float64))
