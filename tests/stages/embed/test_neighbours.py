"""Nearest neighbours and recall at k, compared with a slow reference."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.stages.embed import neighbours
from bench.stages.embed.neighbours import nearest, recall_at
from bench.statistics.bootstrap import resample_counts


def slow_nearest(embeddings: np.ndarray, k: int) -> np.ndarray:
    """Finds neighbours track by track, ties by index."""
    nearest_tracks = []
    for query, vector in enumerate(embeddings):
        similar = []
        for track, other in enumerate(embeddings):
            length = np.linalg.norm(vector) * np.linalg.norm(other)
            if track != query:
                similar.append(
                    (-round(float(vector @ other / length), 9) if length else 0.0, track)
                )
        nearest_tracks.append([track for _, track in sorted(similar)[:k]])
    return np.array(nearest_tracks).reshape(len(embeddings), -1)


def slow_recall(
    neighbours: np.ndarray, labels: np.ndarray, k: int, counts: np.ndarray
) -> np.ndarray:
    """Counts hits query by query."""
    recall = np.full((counts.shape[1], labels.shape[1]), np.nan)
    for resample in range(counts.shape[1]):
        for tag in range(labels.shape[1]):
            queries = [
                track
                for track in range(len(labels))
                if labels[track, tag]
                for _ in range(counts[track, resample])
            ]
            if queries and labels[:, tag].sum() > 1:
                recall[resample, tag] = np.mean(
                    [labels[neighbours[track, :k], tag].any() for track in queries]
                )
    return recall


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 1000), tracks=st.integers(2, 30), k=st.integers(1, 6), ties=st.booleans()
)
def test_both_equal_the_slow_reference(seed: int, tracks: int, k: int, ties: bool) -> None:
    random = np.random.default_rng(seed)
    embeddings = (
        random.integers(-1, 2, size=(tracks, 3)) if ties else random.normal(size=(tracks, 3))
    )
    labels = random.random((tracks, 4)) < [0.05, 0.3, 0.6, 1.0]
    counts = resample_counts(tracks, 3, seed, "retrieval")
    neighbours = nearest(embeddings.astype(np.float32), k)
    np.testing.assert_array_equal(neighbours, slow_nearest(embeddings.astype(np.float64), k))
    for fewer in range(1, k + 1):
        recall = recall_at(neighbours, labels, fewer, counts)
        np.testing.assert_allclose(
            recall, slow_recall(neighbours, labels, fewer, counts), rtol=1e-12
        )


def test_chunks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    embeddings = np.random.default_rng(0).normal(size=(50, 4))
    whole = nearest(embeddings, 5)
    monkeypatch.setattr(neighbours, "_PAIRS", 50 * 7)
    np.testing.assert_array_equal(nearest(embeddings, 5), whole)


def test_vectors_that_are_zero_or_equal_do_no_harm() -> None:
    embeddings = np.ones((6, 3))
    assert nearest(embeddings, 2).tolist() == [[1, 2], [0, 2], [0, 1], [0, 1], [0, 1], [0, 1]]
    embeddings[2] = 0
    neighbours = nearest(embeddings, 5)
    assert neighbours[2].tolist() == [0, 1, 3, 4, 5]
    assert (neighbours[[0, 1, 3, 4, 5], -1] == 2).all()
    assert nearest(np.zeros((3, 2)), 9).tolist() == [[1, 2], [0, 2], [0, 1]]
    assert nearest(np.zeros((1, 2)), 3).shape == (1, 0)


def test_embeddings_that_are_the_labels_find_everything_and_random_ones_what_chance_finds() -> None:
    random = np.random.default_rng(0)
    classes = random.integers(10, size=500)
    labels = classes[:, None] == np.arange(10)
    ones = np.ones((500, 1), dtype=np.int32)
    assert (recall_at(nearest(labels.astype(np.float32), 1), labels, 1, ones) == 1).all()
    by_chance = recall_at(nearest(random.normal(size=(500, 8)), 5), labels, 5, ones).mean()
    assert by_chance == pytest.approx(1 - 0.9**5, abs=0.08)


def test_more_neighbours_than_were_searched_are_refused() -> None:
    neighbours = nearest(np.eye(9), 3)
    with pytest.raises(ValueError, match="recall at 5 of 3 neighbours"):
        recall_at(neighbours, np.ones((9, 1), dtype=bool), 5, np.ones((9, 1)))
