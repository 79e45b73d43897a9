"""Scores by nearest neighbours."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from bench.stages.probe.inputs import rows_of
from tests.stages.probe.problems import SMALL, problem, split, with_

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.mark.parametrize("aggregation", ["mean_embedding", "mean_probability"])
def test_neighbours_are_those_of_scikit_learn(aggregation: str) -> None:
    data = problem(80, segments=4)
    spec = with_(SMALL, kind="knn", neighbours=(7,), aggregation=aggregation)
    fitted = data.fit(spec)
    known = data.standardised(data.train).numpy()
    model = NearestNeighbors(n_neighbors=7, metric="cosine").fit(known)
    labelled = data.embeddings.tracks[data.train].astype(np.float64)
    rows, first = rows_of(
        data.embeddings, data.test, "segments" if aggregation == "mean_probability" else "tracks"
    )
    source = (
        data.embeddings.segments if aggregation == "mean_probability" else data.embeddings.tracks
    )
    queries = (source[rows] - labelled.mean(0)) / labelled.std(0)
    nearest = model.kneighbors(queries, return_distance=False)
    labels = data.targets[data.train]
    frequency = (labels.sum(0) + 1) / (len(labels) + 2)
    share = (labels[nearest].sum(1) + frequency) / 8
    mean = np.add.reduceat(share, first[:-1], axis=0) / np.diff(first)[:, None]
    np.testing.assert_allclose(fitted.logits[aggregation], np.log(mean / (1 - mean)), atol=1e-5)


def test_the_number_of_neighbours_is_chosen_and_never_more_than_there_are() -> None:
    data = problem(30)
    fitted = data.fit(with_(SMALL, kind="knn", neighbours=(100, 1, 40, 5)))
    assert [row["neighbours"] for row in fitted.sweep] == [1, 5, 30]
    assert fitted.chosen == max(fitted.sweep, key=lambda row: row["valid_map"])
    # All embeddings are alike: the first labelled tracks are the neighbours, and scores are finite.
    same = split([(np.ones((9, 3)), np.arange(9)[:, None] < 3)] * 3)
    logits = same.fit(with_(SMALL, kind="knn", neighbours=(3,))).logits["mean_embedding"]
    np.testing.assert_allclose(logits, np.log((3 + 4 / 11) / (1 - 4 / 11)), rtol=1e-6)
