"""Limited-data curves: scores against the share of the labels.

This is the form of Fig. 2 of the ICASSP poster and of CLMR's figure of limited labels.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.agreement import KEY, SIGNS, Mark
from bench.report.figures.layout import (
    SHARE_LABEL,
    handles_of_both,
    metric_grid,
    note_nothing,
    share_axis,
    slug,
)
from bench.report.figures.style import Style
from bench.report.series import share_of
from bench.report.stock import Stock
from bench.results import Result

ACROSS = 4
"""The most panels in a row."""
_HEIGHT = 1.35  # inches of an axes without marks
_SIGN_ROW = 0.075  # inches of a row of marks


@dataclass(frozen=True)
class Point:
    """A score at one share of the labels.

    Attributes:
        share: share of the labels.
        value: mean over draws and seeds.
        low: the least score of them; the value itself with one cell.
        high: the greatest score of them.
        cells: number of cells.
        mark: how ours agrees with this published number; None where nothing is compared.
    """

    share: float
    value: float
    low: float
    high: float
    cells: int = 1
    mark: Mark | None = None


@dataclass(frozen=True)
class Curves:
    """The curves of one data set and split.

    Attributes:
        title: title of the panel.
        ours: metric -> series -> points.
        published: metric -> series -> points.
        note: what is written where nothing is drawn.
    """

    title: str
    ours: Mapping[str, Mapping[str, Sequence[Point]]]
    published: Mapping[str, Mapping[str, Sequence[Point]]]
    note: str = "no stored cell"


def names_of(panels: Sequence[Curves]) -> list[str]:
    """Every series of every panel and metric, ours and published."""
    return [
        name
        for panel in panels
        for side in (panel.ours, panel.published)
        for row in side.values()
        for name in row
    ]


def points(stock: Stock, by_fraction: Mapping[float, Sequence[Result]], metric: str) -> list[Point]:
    """Mean and range over draws and seeds at each share, by ascending share."""
    curve = []
    for cells in by_fraction.values():
        values = [cell.metrics[metric].value for cell in cells if metric in cell.metrics]
        if values:
            mean = sum(values) / len(values)
            curve.append(Point(share_of(cells[0]), mean, min(values), max(values), len(values)))
    return sorted(curve, key=lambda point: point.share)


def draw_curves(
    panels: Sequence[Curves],
    metrics: Sequence[str],
    names: Sequence[str],
    styles: Mapping[str, Style],
) -> Any:
    """A figure with one panel for each data set, one metric above the other.

    Args:
        panels: what is drawn.
        metrics: names of the metrics, from the top down.
        names: the series, in the order of the legend.
        styles: how each series is drawn.
    """
    ours = any(row for panel in panels for row in panel.ours.values())
    published = any(row for panel in panels for row in panel.published.values())
    signs = max((_sign_rows(panel) for panel in panels), default=0)
    handles, labels = handles_of_both(styles, names, line=True, ours=ours, published=published)
    figure, axes = metric_grid(
        [panel.title for panel in panels],
        metrics,
        handles,
        labels,
        across=ACROSS,
        height=_HEIGHT + _SIGN_ROW * signs,
        key=KEY if signs else None,
    )
    both = ours and published
    for panel, column in zip(panels, axes, strict=True):
        for metric, axis in zip(metrics, column, strict=True):
            _draw_panel(axis, panel, metric, names, styles, both=both)
        column[-1].set_xlabel(SHARE_LABEL)
    return figure


def _draw_panel(
    axes: Any,
    panel: Curves,
    metric: str,
    names: Sequence[str],
    styles: Mapping[str, Style],
    *,
    both: bool,
) -> None:
    """Draws the curves of one metric; with `both`, lines of published numbers are broken."""
    ours, published = panel.ours.get(metric, {}), panel.published.get(metric, {})
    shares = [point.share for curve in (*ours.values(), *published.values()) for point in curve]
    if not shares:
        axes.set_xticks([])
        axes.set_yticks([])
        note_nothing(axes, panel.note)
        return
    for name in names:
        style, gid = styles[name], slug(panel.title, metric, name)
        if name in published:
            line = "--" if both else style.line
            _line(axes, published[name], style, f"published-{gid}", hollow=True, line=line)
        if name in ours:
            curve = ours[name]
            if any(point.cells > 1 for point in curve):
                axes.fill_between(
                    [point.share for point in curve], [point.low for point in curve],
                    [point.high for point in curve], color=style.colour, alpha=0.18, linewidth=0,
                    zorder=1,
                )  # fmt: skip
            _line(axes, curve, style, f"ours-{gid}", hollow=False, line=style.line)
    if both and not ours:
        axes.text(
            0.98,
            0.04,
            "- no cell of ours",
            transform=axes.transAxes,
            ha="right",
            va="bottom",
            fontsize=5.5,
        )
    share_axis(axes, shares)
    axes.locator_params(axis="y", nbins=5)
    _signs(axes, published, names, styles, _sign_rows(panel))


def _sign_rows(panel: Curves) -> int:
    """How many series of a panel have marks below its curves.

    None where no cell of ours is there: one line then says that all are missing.
    """
    if not any(panel.ours.values()):
        return 0
    rows = [
        sum(any(point.mark for point in curve) for curve in row.values())
        for row in panel.published.values()
    ]
    return max(rows, default=0)


def _signs(
    axes: Any,
    published: Mapping[str, Sequence[Point]],
    names: Sequence[str],
    styles: Mapping[str, Style],
    rows: int,
) -> None:
    """Writes the marks below the curves.

    Each series has a row in its colour, each mark stands under its share of the labels.
    """
    if not rows:
        return
    # The axis is lengthened downwards, so that the curves keep their size and the rows stand
    # below them.
    inches = _HEIGHT + _SIGN_ROW * rows
    low, high = axes.get_ylim()
    axes.set_ylim(high - (high - low) * inches / _HEIGHT, high)
    marked = [name for name in names if any(point.mark for point in published.get(name, ()))]
    for row, name in enumerate(marked):
        for point in published[name]:
            if point.mark is not None:
                axes.text(
                    point.share, (rows - row - 0.5) * _SIGN_ROW / inches, SIGNS[point.mark],
                    color=styles[name].colour, transform=axes.get_xaxis_transform(), ha="center",
                    va="center", fontsize=5.5,
                )  # fmt: skip


def _line(
    axes: Any, curve: Sequence[Point], style: Style, gid: str, *, hollow: bool, line: str
) -> None:
    axes.plot(
        [point.share for point in curve], [point.value for point in curve], color=style.colour,
        marker=style.marker, linestyle=line, markerfacecolor="white" if hollow else style.colour,
        markeredgewidth=0.8, markersize=style.size(3.4), linewidth=0.8 if hollow else 1.1,
        zorder=2 if hollow else 3, gid=gid,
    )  # fmt: skip


HOW = (
    "Markers are means over draws and seeds, the band reaches from the least to the greatest of "
    "them; a point with one cell has no band. Marks of agreement stand below the curves, one row "
    "a method in its colour."
)
"""How curves are read, as captions print it."""
