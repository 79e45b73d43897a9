"""One ranking counted at its thresholds, from which influence and jackknife values are made."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from bench.statistics.metrics import threshold_places


class Ranked(NamedTuple):
    """One ranking of (track, tag) pairs, counted at its thresholds from the highest to the lowest.

    The thresholds are the distinct scores of the positives.

    Attributes:
        here: (thresholds,) number of positives with the score of each threshold.
        tied: (thresholds,) number of negatives with that score.
        positives: (thresholds,) number of positives at or above the threshold.
        negatives: (thresholds,) number of negatives at or above the threshold.
        total: number of positives.
        rest: number of negatives.
        place: (tracks, tags) number of thresholds above each score.
        at_threshold: (tracks, tags) bool, whether the score equals a threshold.
    """

    here: np.ndarray
    tied: np.ndarray
    positives: np.ndarray
    negatives: np.ndarray
    total: int
    rest: int
    place: np.ndarray
    at_threshold: np.ndarray


def count_ranking(scores: np.ndarray, labels: np.ndarray) -> Ranked:
    """Counts all pairs of (tracks, tags) scores and bool labels as one ranking."""
    thresholds, place, tied = threshold_places(scores, labels)
    number = len(thresholds)
    slots = np.bincount((2 * place + labels).ravel(), minlength=2 * number + 1)
    here, negatives = slots[1::2], slots[0::2]
    return Ranked(
        here=here,
        tied=np.bincount(place[tied & ~labels], minlength=number),
        positives=here.cumsum(),
        negatives=negatives[:-1].cumsum(),
        total=int(here.sum()),
        rest=int(negatives.sum()),
        place=place,
        at_threshold=tied,
    )


def expected_precision(
    ranked: Ranked, fewer_positives: int = 0, fewer_negatives: int = 0, total: int | None = None
) -> np.ndarray:
    """Computes the precision that a new track would find at each threshold.

    `bench.statistics.influence.precision_bias` explains it. With deleted pairs, it is that of the
    ranking without them.

    Args:
        ranked: the ranking.
        fewer_positives: number of positives to delete at or above every threshold.
        fewer_negatives: number of negatives to delete at or above every threshold.
        total: number of all positives; that of the ranking where not given.

    Returns:
        (thresholds,) expected precision.
    """
    total = ranked.total if total is None else total
    others: NDArray[np.float64] = np.maximum(ranked.positives - 1.0 - fewer_positives, 0)
    others = others * total / (total - 1) if total > 1 else np.full(len(others), 0.5)
    negatives = np.maximum(ranked.negatives - fewer_negatives, 0)
    expected: NDArray[np.float64] = others / np.maximum(others + negatives, 0.5)
    # A positive with nothing else at or above it is at the very top. (Where it is the one that is
    # deleted, the value here is not used.)
    for top in np.flatnonzero((ranked.positives - fewer_positives == 1) & (negatives == 0)):
        expected[top] = (1 + (expected[top + 1] if total > 1 else 1 / 3)) / 2
    return expected


def ordered_correctly(ranked: Ranked, labels: np.ndarray) -> tuple[np.ndarray, float]:
    """Computes the share of the other kind that each pair is ordered correctly against.

    A tie counts one half.

    Returns:
        (tracks, tags) shares, of negatives below a positive and of positives above a negative; and
        the ROC-AUC. NaN where there is no other kind.
    """
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 / 0 where there is no other kind
        wrong = np.append(ranked.negatives - 0.5 * ranked.tied, 0) / np.float64(ranked.rest)
        above = np.insert(ranked.positives, 0, 0) + 0.0
        ties = 0.5 * ranked.at_threshold * np.append(ranked.here, 0)[ranked.place]
        of_negative = (above[ranked.place] + ties) / np.float64(ranked.total)
        area = 1 - (ranked.here * wrong[:-1]).sum() / np.float64(ranked.total)
        return np.where(labels, 1 - wrong[ranked.place], of_negative), float(area)


def sums_from(values: np.ndarray) -> np.ndarray:
    """Sums the values from each index to the last, with a zero for the index after the last."""
    return np.append(values[::-1].cumsum()[::-1], 0.0)
