"""ROC-AUC, average precision, accuracy and F1 of many bootstrap resamples at once, exact with ties.

A resample is a vector of counts per track, so a metric of it is scikit-learn's with `sample_weight`; the tests hold the
two equal. The scores of a tag are compared with those of its positives once, whatever the number of resamples: the
positives' distinct scores are thresholds, every track falls into a slot at or between them, and sums of counts a slot,
accumulated from the lowest to the highest threshold, are all that a ranking metric needs.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_ELEMENTS = 2**20
"""Largest number of float64 values in one table of slots; about ten such tables exist at once (some 80 MB)."""


@contextmanager
def one_thread(needed: bool = True) -> Iterator[None]:
    """Keeps torch to one thread of the CPU if `needed`, and leaves the number of threads as it was.

    For many short operations. Threads gain them little, and each operation waits for all threads, which takes a hundred
    times longer than computing where other jobs want the cores.
    """
    before = torch.get_num_threads()
    torch.set_num_threads(1 if needed else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class _Slots(NamedTuple):
    """Where tracks fall among the thresholds of a ranking (the distinct scores of its positives, ascending).

    Attributes:
        place: (tags, tracks) int64: 3 j for a negative between thresholds j - 1 and j, 3 j + 1 for one tied with
            threshold j, 3 j + 2 for a positive with that score.
        thresholds: number of thresholds.
    """

    place: Tensor
    thresholds: int


def _slots(scores: np.ndarray, labels: np.ndarray) -> _Slots:
    """Slots of one ranking of all (track, tag) pairs; scores and labels are (tracks, tags)."""
    thresholds = np.unique(scores[labels])
    place = np.searchsorted(thresholds, scores.ravel()).reshape(scores.shape)  # the first threshold >= score
    tied = np.append(thresholds, np.nan)[place] == scores
    slots = 3 * place + tied + labels
    return _Slots(torch.from_numpy(np.ascontiguousarray(slots.T)), len(thresholds))


def _areas(slots: _Slots, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of one ranking.

    ROC-AUC is the share of (positive, negative) pairs in the right order, a tie counting one half (Hanley and McNeil,
    Radiology 143, 1982). Average precision is sum_j (recall_j - recall_{j-1}) precision_j over the distinct thresholds
    from the highest to the lowest, without interpolation (scikit-learn's definition).

    Args:
        slots: of (tags, tracks).
        counts: (tracks, resamples) float64.

    Returns:
        Two (resamples,) float64, NaN where there is no positive, and for ROC-AUC where there is no negative.
    """
    table = np.zeros((3 * slots.thresholds + 1, counts.shape[1]))
    for place in slots.place:
        # Only this is torch's, since numpy's `add.at` is slow.
        torch.from_numpy(table).index_add_(0, place, torch.from_numpy(counts))
    between, tied, positive = table[:-1:3], table[1::3], table[2::3]
    negative_up_to = (between + tied).cumsum(0)
    positive_up_to = positive.cumsum(0)
    negatives, positives = table[0::3].sum(0) + tied.sum(0), positive.sum(0)
    ordered_pairs = (positive * (negative_up_to - 0.5 * tied)).sum(0)
    true_above = positives - positive_up_to + positive  # with a score at or above the threshold
    all_above = true_above + negatives - negative_up_to + tied
    # A threshold that no track of the resample reaches has no positive either: its term is zero, never 0 / 0.
    precision = true_above / np.maximum(all_above, np.finfo(np.float64).tiny)
    with np.errstate(invalid="ignore"):  # 0 / 0 where there is no positive or no negative: NaN, as said
        return ordered_pairs / (positives * negatives), (positive * precision).sum(0) / positives


def _rank(rankings: list[_Slots], counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of several rankings, each (resamples, rankings); a few resamples at a time."""
    tracks, resamples = counts.shape
    rows = max([tracks] + [3 * slots.thresholds + 1 for slots in rankings])
    chunk = max(1, min(128, _ELEMENTS // rows))  # more than 128 columns fall out of the processor's cache
    auroc = np.empty((resamples, len(rankings)))
    precision = np.empty_like(auroc)
    with one_thread():
        for start in range(0, resamples, chunk):
            part = np.ascontiguousarray(counts[:, start : start + chunk], dtype=np.float64)
            for index, slots in enumerate(rankings):
                auroc[start : start + chunk, index], precision[start : start + chunk, index] = _areas(slots, part)
    return auroc, precision


def ranking(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of each tag in each resample.

    Args:
        scores: (tracks, tags) finite; logits will do, since only their order counts.
        labels: (tracks, tags) bool.
        counts: (tracks, resamples) weights; a column of ones is the metric without resampling.

    Returns:
        Two (resamples, tags) float64: ROC-AUC and average precision, NaN where the resample holds no positive of the
        tag, and for ROC-AUC where it holds no negative.
    """
    columns = range(scores.shape[1])
    return _rank([_slots(scores[:, tag : tag + 1], labels[:, tag : tag + 1]) for tag in columns], counts)


def ranking_micro(scores: np.ndarray, labels: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision over all (track, tag) pairs as one ranking; a track's pairs share its count.

    Args:
        scores: (tracks, tags) finite, comparable between tags.
        labels: (tracks, tags) bool.
        counts: (tracks, resamples) weights.

    Returns:
        Two (resamples,) float64: ROC-AUC and average precision.
    """
    auroc, precision = _rank([_slots(scores, labels)], counts)
    return auroc[:, 0], precision[:, 0]


def classification(
    predicted: np.ndarray, truth: np.ndarray, classes: int, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and macro F1 of each resample.

    F1 is averaged over the classes that occur in the truth or among the predictions of that resample, which is what
    `sklearn.metrics.f1_score(average="macro")` does by default with the resampled tracks: a class that occurs in
    neither is left out, and one that is never predicted, or predicted but never there, counts as zero.

    Args:
        predicted: (tracks,) int class indices.
        truth: (tracks,) int class indices.
        classes: number of classes.
        counts: (tracks, resamples) weights.

    Returns:
        Two (resamples,) float64: accuracy and macro F1.
    """
    weights = counts.astype(np.float64)
    hit = predicted == truth
    every = np.arange(classes)[:, None]
    true_positive = ((truth == every) & hit).astype(np.float64) @ weights
    # 2 TP + FP + FN is the number of times that the class is predicted plus the number of times that it is true.
    occurrences = (truth == every).astype(np.float64) @ weights + (predicted == every).astype(np.float64) @ weights
    f1 = np.divide(2 * true_positive, occurrences, out=np.zeros_like(occurrences), where=occurrences > 0)
    return hit.astype(np.float64) @ weights / weights.sum(0), f1.sum(0) / (occurrences > 0).sum(0)


def one_vs_rest(logits: Tensor) -> Tensor:
    """Log-odds of each class against all others, log p / (1 - p) with p the softmax of the logits.

    Tracks are ranked by these and not by the logits themselves: a constant added to all logits of a track leaves its
    softmax as it is, but would change its rank among the tracks. The order is that of the softmax, but log-odds do not
    saturate, so confident tracks are not tied.

    Args:
        logits: (..., classes).

    Returns:
        (..., classes) of the same dtype; infinite where there is but one class.
    """
    total = logits.logsumexp(-1, keepdim=True)
    best = logits.argmax(-1, keepdim=True)
    others = logits.scatter(-1, best, -torch.inf).logsumexp(-1, keepdim=True)
    # For all but the best class p <= 1/2, where log(1 - p) is safe; the best one's rest is summed on its own.
    odds = logits - total - torch.log1p(-(logits - total).exp())
    return odds.scatter(-1, best, logits.gather(-1, best) - others)


def mean_average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Macro average precision without resampling, over the tags that have a positive; made for sweeps, on any device.

    Args:
        scores: (..., tracks, tags), several rankings of the same tracks.
        labels: (tracks, tags) bool.

    Returns:
        (...) float64, NaN where no tag has a positive.
    """
    known = labels.any(0)
    ordered, order = scores[..., known].transpose(-1, -2).sort(dim=-1, descending=True)
    hits = labels[:, known].T.expand(ordered.shape).gather(-1, order)
    # Tied tracks stand or fall together: each takes the precision at the last track of its tie.
    tracks = ordered.shape[-1]
    place = torch.arange(tracks, device=scores.device)
    last = torch.ones_like(hits)
    last[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    end = torch.where(last, place, tracks).flip(-1).cummin(-1).values.flip(-1)
    precision = hits.cumsum(-1).gather(-1, end).double() / (end + 1)
    return ((precision * hits).sum(-1) / hits.sum(-1)).mean(-1)
