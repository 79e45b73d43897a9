"""ROC-AUC, average precision, accuracy and F1 of many bootstrap resamples at once, exact with ties.

A resample is a vector of counts, one for each track, so that a metric of it equals scikit-learn's
with `sample_weight`, as the tests check. A tag is ranked only once, whatever the number of
resamples: the distinct scores of its positives are thresholds, every track falls into a slot at a
threshold or between two of them, and the sums of counts of each slot, accumulated from the highest
to the lowest threshold, are all that a ranking metric needs.

torchmetrics is not used: its metrics take no weights, and it divides in single precision. The tests
hold the two equal as far as that allows.
"""

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from bench.core.threads import in_threads

_COLUMNS = 250
"""Resamples in a piece of work: the counts of 5000 tracks then take 5 MB, and each tensor operation
is large enough to be worth its overhead.
"""

_ROWS = 512
"""Thresholds in a piece of work: a table of sums then takes 1 MB in float32, however long the
ranking is.
"""

_EXACT = 2**24
"""All integers up to this one are exact in float32."""


class _Ranking(NamedTuple):
    """A ranking of (track, tag) pairs, cut into slots at its thresholds.

    The thresholds are the distinct scores of the positives in descending order.

    Attributes:
        rows: (pairs,) int32 track of each pair, slot by slot. Slot 2 j holds the negatives from
            threshold j up to, but without, threshold j - 1; slot 2 j + 1 the positives with the
            score of threshold j; the last slot the negatives below all thresholds.
        starts: (2 thresholds + 2,) int32 index in `rows` of each slot's first pair, and the number
            of pairs.
        tied_rows: (tied pairs,) int32 track of each negative that has the score of a threshold,
            threshold by threshold.
        tied_starts: (thresholds + 1,) int32 index in `tied_rows` of each threshold's first pair,
            and their number; a single 0 where no negative is tied.
    """

    rows: Tensor
    starts: Tensor
    tied_rows: Tensor
    tied_starts: Tensor


def threshold_places(
    scores: np.ndarray, labels: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Finds where pairs fall among the thresholds of their ranking.

    Args:
        scores: (tracks, tags) scores; all pairs together are one ranking.
        labels: (tracks, tags) bool.

    Returns:
        (thresholds,) distinct scores of the positives, descending; (tracks, tags) int64 number of
        thresholds above each score; (tracks, tags) bool, whether the score equals a threshold.
    """
    ascending = np.unique(scores[labels])
    below = np.searchsorted(ascending, scores.ravel(), side="right").reshape(scores.shape)
    tied = (below > 0) & (np.append(ascending, np.nan)[below - 1] == scores)
    return ascending[::-1], len(ascending) - below, tied


def _rank(scores: np.ndarray, labels: np.ndarray) -> _Ranking:
    """Ranks all pairs of (tracks, tags) scores and bool labels as one ranking."""
    thresholds, place, tied = threshold_places(scores, labels)
    row = np.broadcast_to(np.arange(len(scores))[:, None], scores.shape)
    rows, starts = _by_slot(2 * place + labels, row, 2 * len(thresholds) + 1)
    tied &= ~labels
    tied_rows, tied_starts = _by_slot(place[tied], row[tied], len(thresholds) if tied.any() else 0)
    return _Ranking(rows, starts, tied_rows, tied_starts)


def _by_slot(slot: np.ndarray, row: np.ndarray, slots: int) -> tuple[Tensor, Tensor]:
    """Orders the rows of pairs by slot.

    Args:
        slot: slot of each pair, of any shape.
        row: track of each pair, of the same shape.
        slots: number of slots.

    Returns:
        (pairs,) int32 rows in the order of slots; (slots + 1,) int32 first index of each slot, and
        the number of pairs.
    """
    tracks = int(row.max(initial=0)) + 1
    # Sorting one number for each pair is faster than sorting indices by slot.
    keys = np.sort((slot * tracks + row).ravel())
    rows, starts = keys % tracks, np.searchsorted(keys, np.arange(slots + 1) * tracks)
    return torch.from_numpy(rows.astype(np.int32)), torch.from_numpy(starts.astype(np.int32))


def _sums(counts: Tensor, rows: Tensor, starts: Tensor, first: int, last: int) -> Tensor:
    """Sums the counts of each slot from `first` up to, without, `last`: (slots, resamples)."""
    begin, end = int(starts[first]), int(starts[last])
    return functional.embedding_bag(rows[begin:end], counts, starts[first:last] - begin, mode="sum")


def _areas(ranking: _Ranking, counts: Tensor) -> tuple[Tensor, Tensor]:
    """Computes ROC-AUC and average precision of one ranking in each resample.

    ROC-AUC is the share of (positive, negative) pairs in the right order, a tie counting one half
    (Hanley and McNeil, Radiology 143, 1982). Average precision is sum_j (recall_j - recall_{j-1})
    precision_j over the distinct thresholds from the highest to the lowest, without interpolation
    (scikit-learn's definition).

    Args:
        ranking: the ranking.
        counts: (tracks, resamples) float32 or float64 weights.

    Returns:
        Two (resamples,) float64, NaN where there is no positive, and for ROC-AUC where there is no
        negative.
    """
    resamples, thresholds = counts.shape[1], len(ranking.starts) // 2 - 1
    # Weight of the negatives, then of the positives, above the current piece of thresholds.
    above = counts.new_zeros(2 * resamples)
    reversed_pairs = torch.zeros(resamples, dtype=torch.float64)
    precision = torch.zeros(resamples, dtype=torch.float64)
    for start in range(0, thresholds, _ROWS):
        stop = min(start + _ROWS, thresholds)
        table = _sums(counts, ranking.rows, ranking.starts, 2 * start, 2 * stop).view(
            stop - start, -1
        )
        running = table.cumsum(0).add_(above)
        # A copy: where the counts are float64, `double` is a view, and the operations below that
        # work in place would change the last row.
        above = running[-1].clone()
        positive = table[:, resamples:].double()
        negatives, positives = running[:, :resamples].double(), running[:, resamples:].double()
        reversed_pairs += (positive * negatives).sum(0)
        # If no track of the resample reaches a threshold, it has no positive either. The smallest
        # positive number in the denominator makes its term 0 instead of 0 / 0.
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
    """Computes ROC-AUC and average precision of several rankings of the same tracks.

    Args:
        rankings: the rankings.
        labels_a_track: number of pairs that a ranking has for each track.
        counts: (tracks, resamples) weights.

    Returns:
        Two (resamples, rankings) float64: ROC-AUC and average precision.
    """
    resamples = counts.shape[1]
    auroc = np.empty((resamples, len(rankings)))
    precision = np.empty_like(auroc)

    def work(start: int) -> None:
        part = slice(start, start + _COLUMNS)
        columns = _columns(counts[:, part], labels_a_track)
        for index, ranking in enumerate(rankings):
            areas = _areas(ranking, columns)
            auroc[part, index], precision[part, index] = areas[0].numpy(), areas[1].numpy()

    in_threads(work, range(0, resamples, _COLUMNS))
    return auroc, precision


def _columns(counts: np.ndarray, labels_a_track: int) -> Tensor:
    """Converts counts to float32 where all their sums over a ranking are exact in it, else float64.

    float32 halves the memory that is read and written.
    """
    if counts.dtype.kind in "iub":
        single = torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float32))
        if labels_a_track * float(single.sum(0, dtype=torch.float64).max()) < _EXACT:
            return single
    return torch.from_numpy(np.ascontiguousarray(counts, dtype=np.float64))


def ranking(
    scores: np.ndarray, labels: np.ndarray, counts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Computes ROC-AUC and average precision of each tag in each resample.

    Args:
        scores: (tracks, tags) finite; logits will do, since only their order matters.
        labels: (tracks, tags) bool.
        counts: (tracks, resamples) weights, none negative; a column of ones gives the metric
            without resampling. Integers are several times faster than floats.

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
    """Computes ROC-AUC and average precision over all (track, tag) pairs as one ranking.

    All pairs of a track share its count.

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
    """Computes accuracy and macro F1 in each resample.

    F1 is averaged over the classes that occur in the truth or among the predictions of the
    resample, which is what `sklearn.metrics.f1_score(average="macro")` does by default with the
    resampled tracks. A class that occurs in neither is left out; one that is never predicted, or
    predicted but never true, counts as zero.

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
    """Computes the log-odds of each class against all others, log p / (1 - p) of the softmax p.

    Tracks are ranked by these and not by the logits themselves, since a constant that is added to
    all logits of a track leaves its softmax unchanged, but would change its rank among the tracks.
    The log-odds rank tracks as the softmax does, but do not saturate, so that confident tracks are
    not tied.

    Args:
        logits: (..., classes).

    Returns:
        (..., classes) of the same dtype; infinite where there is only one class.
    """
    total = logits.logsumexp(-1, keepdim=True)
    best = logits.argmax(-1, keepdim=True)
    others = logits.scatter(-1, best, -torch.inf).logsumexp(-1, keepdim=True)
    # For all classes but the best, p <= 1/2, where log(1 - p) loses no precision. For the best
    # class, 1 - p may vanish, so it is summed from the other classes.
    odds = logits - total - torch.log1p(-(logits - total).exp())
    return odds.scatter(-1, best, logits.gather(-1, best) - others)


def mean_average_precision(scores: Tensor, labels: Tensor) -> Tensor:
    """Computes macro average precision without resampling, over the tags that have a positive.

    It serves the choice between many probes on the valid split, and works on any device.

    Args:
        scores: (..., tracks, tags) scores, several sets of them for the same tracks.
        labels: (tracks, tags) bool.

    Returns:
        (...) float64; NaN where no tag has a positive.
    """
    known = labels.any(0)
    ordered, order = scores[..., known].transpose(-1, -2).sort(dim=-1, descending=True)
    hits = labels[:, known].T.expand(ordered.shape).gather(-1, order)
    # Tied tracks share a threshold: each takes the precision at the last track of its tie.
    tracks = ordered.shape[-1]
    place = torch.arange(tracks, device=scores.device)
    last = torch.ones_like(hits)
    last[..., :-1] = ordered[..., 1:] != ordered[..., :-1]
    end = torch.where(last, place, tracks).flip(-1).cummin(-1).values.flip(-1)
    precision = hits.cumsum(-1).gather(-1, end).double() / (end + 1)
    return ((precision * hits).sum(-1) / hits.sum(-1)).mean(-1)
