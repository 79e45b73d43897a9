"""Scores of single tags with intervals, from a tag's score and its number of positive tracks.

The resamples that are stored of a cell are of averages over tags. For a single tag the textbook
intervals are given, on the logit scale so that they stay within 0 and 1. They take tracks as
independent, and are missing where a tag has no score or where the score is 0 or 1.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from bench.results import Result

_METRICS = ("average_precision", "roc_auc")


@dataclass(frozen=True)
class TagScore:
    """A score of one tag with its interval; None where they are not defined.

    Attributes:
        value: the score.
        low: lower end of its interval.
        high: upper end of the interval.
    """

    value: float | None
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Tag:
    """One tag of a cell.

    Attributes:
        name: name of the tag.
        positives: number of test tracks with the tag; None where that is not stored.
        precision: average precision.
        roc_auc: area under the ROC curve.
    """

    name: str
    positives: int | None
    precision: TagScore
    roc_auc: TagScore


def tags(result: Result) -> list[Tag]:
    """Every tag of a cell, with or without a score."""
    confidence, tracks = result.spec.score.confidence, result.counts["test_tracks"]
    rows = []
    for place, name in enumerate(result.data["tags"]):
        positives, precision, roc_auc = (
            _at(result, column, place) for column in ("test_positives", *_METRICS)
        )
        count = None if positives is None else int(positives)
        rows.append(
            Tag(
                str(name),
                count,
                _score(precision, precision_error(precision, count), confidence),
                _score(roc_auc, roc_auc_error(roc_auc, count, tracks - (count or 0)), confidence),
            )
        )
    return rows


def _at(result: Result, column: str, place: int) -> float | None:
    """The entry of a tag in a column of `per_tag`; None where it is not stored."""
    values = result.per_tag.get(column, [])
    return values[place] if place < len(values) else None


def precision_error(value: float | None, positives: int | None) -> float:
    """Standard error of the logit of an average precision; NaN where it has none.

    1 / sqrt(positives value (1 - value)): Boyd, Eng and Page, "Area under the precision-recall
    curve: point estimates and confidence intervals", ECML PKDD 2013, section 3.2.
    """
    if value is None or positives is None or positives < 1 or not 0 < value < 1:
        return math.nan
    return 1 / math.sqrt(positives * value * (1 - value))


def roc_auc_error(value: float | None, positives: int | None, negatives: int) -> float:
    """Standard error of the logit of a ROC-AUC; NaN where it has none.

    That of the area from Hanley and McNeil, "The meaning and use of the area under a receiver
    operating characteristic (ROC) curve", Radiology 143, 1982, with Q1 = A / (2 - A) and Q2 = 2 A^2
    / (1 + A), over A (1 - A) for the logit.
    """
    if value is None or positives is None or positives < 1 or negatives < 1 or not 0 < value < 1:
        return math.nan
    both_positive, both_negative = value / (2 - value), 2 * value**2 / (1 + value)
    variance = value * (1 - value) + (positives - 1) * (both_positive - value**2)
    variance += (negatives - 1) * (both_negative - value**2)
    return math.sqrt(variance / (positives * negatives)) / (value * (1 - value))


def _score(value: float | None, error: float, confidence: float) -> TagScore:
    """A score with its interval: normal on the logit scale, with the given standard error there."""
    if value is None or math.isnan(error):
        return TagScore(value)
    middle = math.log(value / (1 - value))
    reach = NormalDist().inv_cdf((1 + confidence) / 2) * error
    return TagScore(value, _logistic(middle - reach), _logistic(middle + reach))


def _logistic(value: float) -> float:
    # Written so that neither end overflows.
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
