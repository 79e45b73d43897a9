"""Recall at k of embeddings: whether tracks of a tag lie near one another, without any probe.

Each test track asks for its k nearest among the other test tracks. Recall at k is the share of
queries that find at least one track of their kind among them, as in metric learning (Jegou, Douze
and Schmid, "Product Quantization for Nearest Neighbor Search", PAMI 33, 2011; Oh Song et al., "Deep
Metric Learning via Lifted Structured Feature Embedding", CVPR 2016, section 6). Tracks have several
tags here, so it is counted tag by tag.
"""

import numpy as np
from numpy.typing import NDArray

RECALL_AT = (1, 5, 10)
"""Numbers of neighbours at which recall is computed."""

_PAIRS = 2**22
"""Similarities that are held in memory at once: 32 MiB in float64."""


def nearest(embeddings: NDArray[np.floating], k_max: int) -> NDArray[np.int64]:
    """Finds the nearest other tracks of each track by cosine similarity, the nearest first.

    Of equally similar tracks the one with the lower index comes first. Similarity is computed in
    float64 and rounded to 1e-9, so that equal embeddings tie whatever the order of summation. An
    embedding of zeros has similarity 0 to all others.

    Args:
        embeddings: (tracks, width), finite.
        k_max: number of neighbours of each track; where there are fewer other tracks, all of them.

    Returns:
        (tracks, min(k_max, tracks - 1)) int64 indices of tracks.
    """
    tracks = len(embeddings)
    number = min(k_max, tracks - 1)
    vectors = np.asarray(embeddings, dtype=np.float64)
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors = np.divide(vectors, length, out=np.zeros_like(vectors), where=length > 0)
    neighbours = np.empty((tracks, max(number, 0)), dtype=np.int64)
    rows = max(1, _PAIRS // max(1, tracks))
    for start in range(0, tracks if number > 0 else 0, rows):
        distance = -np.round(vectors[start : start + rows] @ vectors.T, 9)
        # A track is not its own neighbour.
        queries = np.arange(len(distance))
        distance[queries, start + queries] = np.inf
        neighbours[start : start + rows] = _smallest(distance, number)
    return neighbours


def _smallest(distance: NDArray[np.float64], number: int) -> NDArray[np.int64]:
    """Finds the smallest values of each row, in ascending order, ties by index.

    Args:
        distance: (queries, tracks).
        number: how many of each row.

    Returns:
        (queries, number) int64 indices of tracks.
    """
    # Sorting whole rows would take longer than finding the value of the last one that counts.
    limit = np.partition(distance, number - 1, axis=1)[:, number - 1 : number]
    below = distance < limit
    # Of the tracks at the limit, the first ones fill the places that are left.
    level = distance == limit
    missing = number - below.sum(1, keepdims=True)
    kept = below | (level & (level.cumsum(1) <= missing))
    index = np.nonzero(kept)[1].reshape(len(distance), number)
    order = np.take_along_axis(distance, index, axis=1).argsort(axis=1, kind="stable")
    return np.take_along_axis(index, order, axis=1)


def recall_at(
    neighbours: NDArray[np.int64], labels: NDArray[np.bool_], k: int, counts: NDArray[np.generic]
) -> NDArray[np.float64]:
    """Computes recall at k of each tag in each resample of the queries.

    It is the share, among the queries that have the tag, of those with a track of the tag among
    their k nearest. The tracks that are searched stay the same in every resample: a track drawn
    twice would else find its own copy.

    Args:
        neighbours: (tracks, k or more) of `nearest`; fewer where a track has all others.
        labels: (tracks, tags) bool.
        k: number of neighbours.
        counts: (tracks, resamples) weights of the queries; a column of ones is the recall without
            resampling.

    Returns:
        (resamples, tags) float64; NaN for a tag of fewer than two tracks, which has nothing to
        find, and where the resample holds no query of the tag.

    Raises:
        ValueError: fewer neighbours were searched than are asked for.
    """
    if k > neighbours.shape[1] < len(labels) - 1:
        raise ValueError(
            f"recall at {k} of {neighbours.shape[1]} neighbours a track; search for as many"
        )
    # (tracks, tags): whether one of the k nearest has the tag.
    near = np.zeros(labels.shape, dtype=bool)
    for place in range(min(k, neighbours.shape[1])):
        near |= labels[neighbours[:, place]]
    weights = counts.astype(np.float64).T
    queries = weights @ labels.astype(np.float64)
    scored = (queries > 0) & (labels.sum(0) > 1)
    hits = weights @ (near & labels).astype(np.float64)
    recall = np.full(queries.shape, np.nan)
    np.divide(hits, queries, out=recall, where=scored)
    return recall
