"""What stands on the comparison page of one arena."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from bench.core.table import Table
from bench.report.compare_tables import variance_table
from bench.report.comparison import Pair
from bench.report.html.charts import Scale, interval, scale
from bench.report.html.collect import slug
from bench.report.html.comparing import ALPHA, Compared
from bench.report.html.render import share, signed
from bench.report.html.strata import Stratum

_WIDEST_MATRIX = 14  # configurations


@dataclass(frozen=True)
class PairRow:
    """One pair, with its interval drawn and what it says in words."""

    pair: Pair
    bar: Markup
    reading: str


@dataclass(frozen=True)
class MetricPart:
    """The pairs of a stratum for one metric.

    Attributes:
        metric: which.
        names: columns of the matrix, best first.
        matrix: (name, cells as (text, whether the difference is sure)); empty where there are too
            many or too few.
        rows: every pair.
        scale: of the drawings.
        variance: sources of variance of single scores.
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
        anchor: its id on the page.
        title: in words.
        metrics: what is compared.
        alone: why nothing is; empty where something is.
    """

    anchor: str
    title: str
    metrics: tuple[MetricPart, ...]
    alone: str

    @property
    def pairs(self) -> int:
        """Number of pairs compared."""
        return max((len(part.rows) for part in self.metrics), default=0)


def parts(compared: Sequence[Compared]) -> list[Part]:
    """The strata of one arena, in their order."""
    found: dict[int, list[Compared]] = {}
    for one in compared:
        found.setdefault(id(one.stratum), []).append(one)
    labels = {one.stratum.labels for one in compared}
    return [_part(several, len(labels) > 1) for several in found.values()]


def _part(several: Sequence[Compared], name_labels: bool) -> Part:
    stratum = several[0].stratum
    title = stratum_title(stratum) + (f", labels {stratum.labels}" if name_labels else "")
    made = tuple(_metric_part(one) for one in several if one.pairs or one.notes)
    alone = "" if made else _alone(stratum)
    return Part(
        slug(f"f{stratum.fraction:.12g}-{stratum.probe}-{stratum.labels}".replace(" ", "-")),
        title,
        made,
        alone,
    )


def stratum_title(stratum: Stratum) -> str:
    """Fraction and probe in words."""
    labels = (
        f"{share(stratum.fraction)} of the labels"
        if stratum.fraction <= 1
        else share(stratum.fraction)
    )
    return f"{labels}, {stratum.probe} probe"


def _alone(stratum: Stratum) -> str:
    names = ", ".join(row.name for row in stratum.rows)
    return (
        f"There is nothing to compare {names} with here."
        if len(stratum.rows) == 1
        else "Nothing could be compared."
    )


def _metric_part(one: Compared) -> MetricPart:
    on = scale(
        [
            end
            for pair in one.pairs
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
        for pair in one.pairs
    ]
    names = tuple(row.name for row in one.stratum.rows if one.metric in row.scores)
    fits = 2 < len(names) <= _WIDEST_MATRIX and bool(one.pairs)
    matrix = (
        [(name, [_cell(one, name, other) for other in names]) for name in names] if fits else []
    )
    variance = variance_table(one.found) if one.found and one.pairs else None
    return MetricPart(one.metric, names, matrix, rows, on, variance, one.notes)


def _cell(one: Compared, first: str, second: str) -> tuple[str, bool]:
    found = one.between(first, second)
    if found is None:
        return "", False
    pair, sign = found
    sure = pair.adjusted < ALPHA
    return signed(sign * pair.found.difference) + ("*" if sure else ""), sure


def _reading(pair: Pair) -> str:
    """What the adjusted p-value says, in words."""
    if math.isnan(pair.adjusted):
        return "not tested"
    if pair.adjusted >= ALPHA:
        return "not told apart"
    return f"{pair.first if pair.found.difference > 0 else pair.second} higher"
