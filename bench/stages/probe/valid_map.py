"""Macro average precision of many rankings of the valid split at once, exact with ties."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from bench.stages.probe.aggregate import Kind
from bench.statistics.metrics import mean_average_precision, one_vs_rest


class ValidMap:
    """Scores logits of the valid split by their macro average precision."""

    def __init__(self, targets: NDArray[np.bool_], kind: Kind) -> None:
        """Takes (tracks, outputs) bool, one-hot for classes.

        Outputs without a positive are left out of the mean.
        """
        self._kind = kind
        self._targets = torch.from_numpy(np.ascontiguousarray(targets))
        self._known = np.flatnonzero(targets.any(0))
        self._labels = np.ascontiguousarray(targets.T[targets.any(0)])

    def __call__(self, logits: Tensor) -> NDArray[np.float64]:
        """Scores (..., outputs, tracks) logits of at least one probe.

        Returns:
            (...) float64, -1 where the logits of a probe are not all finite.
        """
        # One pass, as a sum is not finite where one of its terms is not.
        finite = logits.sum((-1, -2)).isfinite()
        scores = logits
        if self._kind == "classes":
            scores = one_vs_rest(logits.transpose(-1, -2)).transpose(-1, -2)
        if scores.is_cpu:
            rankings = scores.reshape(-1, *scores.shape[-2:]).numpy()
            if len(self._known) < rankings.shape[-2]:
                rankings = rankings[:, self._known]
            # One probe after another, which stays in the processor's cache.
            values = np.array(
                [average_precision(ranking, self._labels).mean() for ranking in rankings]
            )
            values = values.reshape(scores.shape[:-2])
        else:
            labels = self._targets.to(scores.device)
            values = mean_average_precision(scores.transpose(-1, -2), labels).cpu().numpy()
        return np.where(finite.cpu().numpy(), values, -1.0)


def average_precision(
    scores: NDArray[np.float32], labels: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """Average precision of each ranking, as scikit-learn's: tied tracks stand or fall together.

    A float32 and its label are packed into one integer that sorts as the score does, so that
    numpy's vectorised sort orders them without an index.

    Args:
        scores: (..., tags, tracks).
        labels: (tags, tracks); every tag has a positive.

    Returns:
        (..., tags) float64; meaningless where scores are not finite.
    """
    tracks = scores.shape[-1]
    keys = np.left_shift(sortable(scores), 1, dtype=np.int64)
    keys |= labels.astype(np.int64)
    keys = keys.reshape(-1, tracks)
    keys.sort(axis=1)
    positives = np.broadcast_to(labels.sum(1), scores.shape[:-1]).ravel()
    ends = positives.cumsum()
    flat = keys.ravel()
    # Where the positives stand among all keys: row by row, the lowest score of a row first.
    positions = np.flatnonzero((flat & 1).astype(bool))
    rows = np.arange(len(keys)).repeat(positives)
    places = positions - rows * tracks
    order = np.arange(len(rows)) - (ends - positives)[rows]  # among the positives of its row
    # Within equal scores positives sort behind negatives, so a positive is tied with another track
    # where the key before it holds the same score. Rows with ties are counted anew: every
    # positive takes the place of the first track of its tie.
    tied = (places > 0) & (flat[positions - 1] >> 1 == flat[positions] >> 1)
    for row in np.unique(rows[tied]):
        part = slice(ends[row] - positives[row], ends[row])
        values = keys[row] >> 1
        of_positives = values[places[part]]
        order[part] = np.searchsorted(of_positives, of_positives)
        places[part] = np.searchsorted(values, of_positives)
    # Of the tracks that rank as high as a positive or higher, the share of positives.
    precision = (positives[rows] - order) / (tracks - places)
    mean: NDArray[np.float64] = np.add.reduceat(precision, ends - positives) / positives
    return mean.reshape(scores.shape[:-1])


def sortable(scores: NDArray[np.float32]) -> NDArray[np.int32]:
    """Turns scores into integers of the same order."""
    bits = (scores + np.float32(0)).view(np.int32)  # -0 becomes 0
    bits ^= (bits >> 31) & np.int32(0x7FFFFFFF)  # of negative numbers, whose bits grow as they fall
    return bits
