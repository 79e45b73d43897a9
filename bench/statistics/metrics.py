"""ROC-AUC, average precision, accuracy and F1 of many bootstrap resamples at once, exact with ties.

A resample is a vector of counts per track, so a metric of it is scikit-learn's with
`sample_weight`; the tests hold the two equal. The scores of a tag are compared with those of its
positives once, whatever the number of resamples: the positives' distinct scores are thresholds,
every track falls into a slot at or between them, and sums of counts a slot, accumulated from the
highest to the lowest threshold, are all that a ranking metric needs.

The influence of a track is the derivative of a metric with respect to the track's weight at weight
one (the infinitesimal jackknife; Efron, "The Jackknife, the Bootstrap and Other Resampling Plans",
SIAM 1982, chapter 6). The sum of its squares estimates the metric's variance.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.core.threads import in_threads

_COLUMNS = 250
"""Resamples a piece of work: the counts of 5000 tracks then take 5 MB, and each operation is worth
its call.
"""

_ROWS = 512
"""Thresholds a piece of work: a table of sums then takes 1 MB in float32, however long the
ranking.
"""

_EXACT = 2**24
"""Integers up to here are exact in float32."""


class _Ranking(NamedTuple):
    """A ranking of (track, label) pairs, cut at its thresholds: the distinct scores of its positives, descending.

    Attributes:
        rows: (pairs,) int32 track of each pair, slot by slot. Slot 2 j holds the negatives from
            threshold j up to, without, threshold j - 1; slot 2 j + 1 the positives with the score
            of threshold j; the last slot the negatives below all thresholds.
        starts: (2 thresholds + 2,) int32 first pair of each slot, and the number of pairs.
        tied_rows: (tied pairs,) int32 track of each negative that has the score of a threshold.
        tied_starts: (thresholds + 1,) int32 the same for these, threshold by threshold; empty where
            there is none.
    """

    rows: Tensor
    starts: Tensor
    tied_rows: Tensor
    tied_starts: Tensor


def threshold_places(
    scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where pairs fall among the thresholds of their ranking.

    Args:
        scores: (tracks, tags) of one ranking of all pairs.
        labels: (tracks, tags) bool.

    Returns:
        Thresholds, (thresholds,), descending; (tracks, tags) int64 number of thresholds above each
        score; (tracks, tags) bool, whether the score is that of a threshold.
    """
    ascending = np.unique(scores[labels])
    below = np.searchsorted(ascending, scores.ravel(), side="right").reshape(scores.shape)
    tied = (below > 0) & (np.append(ascending, np.nan)[below - 1] == scores)
    return ascending[::-1], len(ascending) - below, tied


def _rank(scores: np.ndarray, labels: np.ndarray) -> _Ranking:
    """The one ranking of all pairs of (tracks, tags) scores and bool labels."""
    thresholds, place, tied = threshold_places(scores, labels)
    row = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)
    rows, starts = _by_slot(2 * place + labels, row, 2 * len(thresholds) + 1)
    only = tied & ~labels
    tied_rows, tied_starts = _by_slot(place[only], row[only], len(thresholds) if only.any() else 0)
    return _Ranking(rows, starts, tied_rows, tied_starts)


def _by_slot(slot: np.ndarray, row: np.ndarray, slots: int) -> tuple[Tensor, Tensor]:
    """Rows ordered by slot, and the first place of each of so many slots and the number of rows, (slots + 1,)."""
    tracks = int(row.max(initial=0)) + 1
    keys = np.sort((slot * tracks + row).ravel())  # numbers sort faster than indices
    starts = np.searchsorted(keys, np.arange(slots + 1) * tracks)
    return torch.from_numpy((keys % tracks).astype(np.int32)), torch.from_numpy(
        starts.astype(np.int32)
    )


def _sums(counts: Tensor, rows: Tensor, starts: Tensor, first: int, last: int) -> Tensor:
    """Sums of counts of the slots from `first` up to `last`: (slots, resamples)."""
    begin, end = int(starts[first]), int(starts[last])
    return functional.embedding_bag(rows[begin:end], counts, starts[first:last] - begin, mode="sum")


def _areas(ranking: _Ranking, counts: Tensor) -> tuple[Tensor, Tensor]:
    """ROC-AUC and average precision of one ranking.

    ROC-AUC is the share of (positive, negative) pairs in the right order, a tie counting one half
    (Hanley and McNeil, Radiology 143, 1982). Average precision is sum_j (recall_j - recall_{j-1})
    precision_j over the distinct thresholds from the highest to the lowest, without interpolation
    (scikit-learn's definition).

    Args:
        ranking: of pairs of the tracks.
        counts: (tracks, resamples) float32 or float64.

    Returns:
        Two (resamples,) float64, NaN where there is no positive, and for ROC-AUC where there is no
        negative.
    """
    resamples, thresholds = counts.shape[1], len(ranking.starts) // 2 - 1
    above = counts.new_zeros(2 * resamples)  # negatives and positives down to the threshold
    reversed_pairs = torch.zeros(resamples, dtype=torch.float64)
    precision = torch.zeros(resamples, dtype=torch.float64)
    for start in range(0, thresholds, _ROWS):
        stop = min(start + _ROWS, thresholds)
        table = _sums(counts, ranking.rows, ranking.starts, 2 * start, 2 * stop).view(
            stop - start, -1
        )
        running = table.cumsum(0).add_(above)
        above = running[-1].clone()  # in float64 the operations below are in place
        positive = table[:, resamples:].double()
        negatives, positives = running[:, :resamples].double(), running[:, resamples:].double()
        reversed_pairs += (positive * negatives).sum(0)
        # A threshold that no track of the resample reaches has no positive either: its term is
        # zero, never 0 / 0.
        all_above = (negatives.add_(positives)).clamp_min_(torch.finfo(torch.float64).tiny)
        precision += positives.div_(all_above).mul_(positive).sum(0)
        if len(ranking.tied_starts) > 1:
            tied = _sums(counts, ranking.tied_rows, ranking.tied_starts, start, stop)
            reversed_pairs -= 0.5 * (positive * tied).sum(0)
    below = _sums(counts, ranking.rows, ranking.starts, 2 * thresholds, 2 * thresholds + 1)[0]
    negatives, positives = (above[:resamples] + below).double(), above[resamples:].double()
    return 1 - reversed_pairs / (positives * negatives), precision / positives


def _resampled(
    rankings: list[_Ranking], labels_a_track: int, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of several rankings of the same tracks, each (resamples, rankings)."""
    resamples = counts.shape[1]
    auroc = np.empty((resamples, len(rankings)))
    precision = np.empty_like(auroc)

    def work(start: int) -> None:
        part = slice(start, start + _COLUMNS)
        columns = _columns(counts[:, part], labels_a_track)
        for index, ranking in enumerate(rankings):
            found = _areas(ranking, columns)
            auroc[part, index], precision[part, index] = found[0].numpy(), found[1].numpy()

    in_threads(work, range(0, resamples, _COLUMNS))
    return auroc, precision


def _columns(counts: np.ndarray, labels_a_track: int) -> Tensor:
    """Counts as float32 where every sum of them over the pairs of a ranking is exact in it, else as float64."""
    if counts.dtype.kind in "iub":
        single = torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float32))
        if labels_a_track * float(single.sum(0, dtype=torch.float64).max()) < _EXACT:
            return single
    return torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float64))


def ranking(
    scores: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision of each tag in each resample.

    Args:
        scores: (tracks, tags) finite; logits will do, since only their order counts.
        labels: (tracks, tags) bool.
        counts: (tracks, resamples) weights, none negative; a column of ones is the metric without
            resampling. Integers are several times faster than floats.

    Returns:
        Two (resamples, tags) float64: ROC-AUC and average precision, NaN where the resample holds
        no positive of the tag, and for ROC-AUC where it holds no negative.
    """
    rankings = in_threads(
        lambda tag: _rank(scores[:, tag, None], labels[:, tag, None]), range(scores.shape[1])
    )
    return _resampled(rankings, 1, counts)


def ranking_micro(
    scores: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """ROC-AUC and average precision over all (track, tag) pairs as one ranking.

    A track's pairs share its count.

    Args:
        scores: (tracks, tags) finite, comparable between tags.
        labels: (tracks, tags) bool.
        counts: (tracks, resamples) weights, as for `ranking`.

    Returns:
        Two (resamples,) float64: ROC-AUC and average precision.
    """
    auroc, precision = _resampled([_rank(scores, labels)], scores.shape[1], counts)
    return auroc[:, 0], precision[:, 0]


def classification(
    predicted: np.ndarray, truth: np.ndarray, classes: int, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Accuracy and macro F1 of each resample.

    F1 is averaged over the classes that occur in the truth or among the predictions of that
    resample, which is what `sklearn.metrics.f1_score(average="macro")` does by default with the
    resampled tracks: a class that occurs in neither is left out, and one that is never predicted,
    or predicted but never there, counts as zero.

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
    # 2 TP + FP + FN is the number of times that the class is predicted plus the number of times
    # that it is true.
    occurrences = (truth == every).astype(np.float64) @ weights + (predicted == every).astype(
        np.float64
    ) @ weights
    f1 = np.divide(
        2 * true_positive, occurrences, out=np.zeros_like(occurrences), where=occurrences > 0
    )
    return hit.astype(np.float64) @ weights / weights.sum(0), f1.sum(0) / (occurrences > 0).sum(0)


def one_vs_rest(logits: Tensor) -> Tensor:
    """Log-odds of each class against all others, log p / (1 - p) with p the softmax of the logits.

    Tracks are ranked by these and not by the logits themselves: a constant added to all logits of a
    track leaves its softmax as it is, but would change its rank among the tracks. The order is that
    of the softmax, but log-odds do not saturate, so confident tracks are not tied.

    Args:
        logits: (..., classes).

    Returns:
        (..., classes) of the same dtype; infinite where there is but one class.
    """
    total = logits.logsumexp(-1, keepdim=True)
    best = logits.argmax(-1, keepdim=True)
    others = logits.scatter(-1, best, -torch.inf).logsumexp(-1, keepdim=True)
    # For all but the best class p <= 1/2, where log(1 - p) is safe; the best one's rest is summed
    # on its own.
    odds = logits - total - torch.log1p(-(logits - total).exp())
    return odds.scatter(-1, best, logits.gather(-1, best) - others)


def mean_average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Macro average precision without resampling, over the tags that have a positive.

    Made for sweeps, on any device.

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
