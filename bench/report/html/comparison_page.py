"""The content of a comparison page: all pairs of one arena, stratum by stratum."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.core.table import Table
from bench.report.compare_tables import variance_table
from bench.report.comparison import Pair
from bench.report.groups import grouped
from bench.report.html.charts import Scale, interval, scale
from bench.report.html.collect import slug
from bench.report.html.comparing import ALPHA, Compared
from bench.report.html.render import share, signed
from bench.report.html.strata import Stratum

_WIDEST_MATRIX = 14  # configurations, at most


@dataclass(frozen=True)
class PairRow:
    """One pair, with the drawing of its interval and its reading in words."""

    pair: Pair
    bar: Markup
    reading: str


@dataclass(frozen=True)
class MetricPart:
    """The pairs of a stratum for one metric.

    Attributes:
        metric: name of the metric.
        names: configurations, which are columns of the matrix, best first.
        matrix: (configuration, cells as (text, whether the difference is sure)); empty where there
            are too many or too few of them.
        rows: every pair.
        scale: scale of the drawings.
        variance: sources of variance of single scores; None without a pair.
        notes: what a reader must know.
    """

    metric: str
    names: tuple[str, ...]
    matrix: list[tuple[str, list[tuple[str, bool]]]]
    rows: list[PairRow]
    scale: Scale
    variance: Table | None
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """One stratum on the page.

    Attributes:
        anchor: id of the stratum on the page.
        title: the stratum in words.
        metrics: the comparisons, one for each metric.
        alone: why nothing is compared; empty where something is.
    """

    anchor: str
    title: str
    metrics: tuple[MetricPart, ...]
    alone: str

    @property
    def pairs(self) -> int:
        """Number of pairs that are compared."""
        return max((len(part.rows) for part in self.metrics), default=0)


def parts(compared: Sequence[Compared]) -> list[Part]:
    """The strata of one arena, in the order in which they were compared.

    Args:
        compared: the comparisons of the arena, for every stratum and metric.
    """
    by_stratum = grouped(compared, lambda each: id(each.stratum))
    labels = {each.stratum.labels for each in compared}
    return [_part(several, len(labels) > 1) for several in by_stratum.values()]


def _part(several: Sequence[Compared], name_labels: bool) -> Part:
    """One stratum; with `name_labels` its title says how the labelled tracks were drawn."""
    stratum = several[0].stratum
    title = stratum_title(stratum) + (f", labels {stratum.labels}" if name_labels else "")
    made = tuple(_metric_part(each) for each in several if each.pairs or each.notes)
    alone = "" if made else _alone(stratum)
    return Part(
        slug(f"f{stratum.fraction:.12g}-{stratum.probe}-{stratum.labels}".replace(" ", "-")),
        title,
        made,
        alone,
    )


def stratum_title(stratum: Stratum) -> str:
    """Fraction and probe of a stratum in words."""
    labels = (
        f"{share(stratum.fraction)} of the labels"
        if stratum.fraction <= 1
        else share(stratum.fraction)
    )
    return f"{labels}, {stratum.probe} probe"


def _alone(stratum: Stratum) -> str:
    """Why nothing is compared in a stratum."""
    names = ", ".join(row.name for row in stratum.rows)
    return (
        f"There is nothing to compare {names} with here."
        if len(stratum.rows) == 1
        else "Nothing could be compared."
    )


def _metric_part(compared: Compared) -> MetricPart:
    """The pairs of one stratum and metric, as a matrix and as rows."""
    on = scale(
        [
            end
            for pair in compared.pairs
            for end in (pair.found.difference, pair.found.low, pair.found.high)
        ],
        zero=True,
    )
    rows = [
        PairRow(
            pair,
            interval(pair.found.difference, pair.found.low, pair.found.high, on, zero=True),
            _reading(pair),
        )
        for pair in compared.pairs
    ]
    names = tuple(row.name for row in compared.stratum.rows if compared.metric in row.scores)
    fitting = 2 < len(names) <= _WIDEST_MATRIX and bool(compared.pairs)
    matrix = (
        [(name, [_cell(compared, name, other) for other in names]) for name in names]
        if fitting
        else []
    )
    variance = variance_table(compared.found) if compared.found and compared.pairs else None
    return MetricPart(compared.metric, names, matrix, rows, on, variance, compared.notes)


def _cell(compared: Compared, first: str, second: str) -> tuple[str, bool]:
    """The difference of two configurations, and whether it is sure."""
    compared_pair = compared.between(first, second)
    if compared_pair is None:
        return "", False
    pair, sign = compared_pair
    sure = pair.adjusted < ALPHA
    return signed(sign * pair.found.difference) + ("*" if sure else ""), sure


def _reading(pair: Pair) -> str:
    """What the adjusted p-value says, in words."""
    if math.isnan(pair.adjusted):
        return "not tested"
    if pair.adjusted >= ALPHA:
        return "not told apart"
    return f"{pair.first if pair.found.difference > 0 else pair.second} higher"
