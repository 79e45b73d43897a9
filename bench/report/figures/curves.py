"""Limited-data curves: scores against the share of labels, the form of the ICASSP poster's Fig.

2 and CLMR's figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.report.agreement import KEY, SIGNS, Mark
from bench.report.figures.layout import (
    SHARE_LABEL,
    columns_of,
    grid,
    handle,
    legend,
    legend_rows,
    note_nothing,
    set_title,
    share_axis,
    slug,
    style_handles,
)
from bench.report.figures.style import COLUMN, PAGE, Style
from bench.report.names import metric_title
from bench.report.stock import Stock
from bench.results import Result

ACROSS = 4
"""Panels in a row."""
_SIGN_ROW = 0.075  # inches of a row of marks


@dataclass(frozen=True)
class Point:
    """A score at one share of the labels.

    Attributes:
        share: of the labels.
        value: mean over draws and seeds.
        low: least of them; the value itself with one.
        high: greatest.
        cells: how many.
        mark: of a published number, how ours agrees with it; None where nothing is compared.
    """

    share: float
    value: float
    low: float
    high: float
    cells: int = 1
    mark: Mark | None = None


@dataclass(frozen=True)
class Curves:
    """One data set: metric -> series -> points, ours and published.

    Attributes:
        title: above it.
        ours: metric -> series -> points.
        published: metric -> series -> points.
        note: what is said where nothing is drawn.
    """

    title: str
    ours: Mapping[str, Mapping[str, Sequence[Point]]]
    published: Mapping[str, Mapping[str, Sequence[Point]]]
    note: str = "no stored cell"


def share_of(result: Result) -> float:
    """The share of the labels that a cell used, also where it was given as a number of tracks."""
    fraction = result.spec.fraction
    train = result.data.get("train_tracks") or 0
    return fraction if fraction <= 1 or not train else min(1.0, fraction / float(train))


def points(stock: Stock, by_fraction: Mapping[float, Sequence[Result]], metric: str) -> list[Point]:
    """Mean and range over draws and seeds, at each share."""
    found = []
    for cells in by_fraction.values():
        values = [cell.metrics[metric].value for cell in cells if metric in cell.metrics]
        if values:
            mean = sum(values) / len(values)
            found.append(Point(share_of(cells[0]), mean, min(values), max(values), len(values)))
    return sorted(found, key=lambda point: point.share)


def draw_curves(
    panels: Sequence[Curves],
    metrics: Sequence[str],
    names: Sequence[str],
    styles: Mapping[str, Style],
) -> Any:
    """A figure with a panel a data set, one metric above the other, one curve a series."""
    drawn = [curve for panel in panels for curve in (panel.ours, panel.published)]
    ours = any(row for curve in drawn[0::2] for row in curve.values())
    published = any(row for curve in drawn[1::2] for row in curve.values())
    both = ours and published
    handles, labels = style_handles(styles, names, line=True, hollow=not ours)
    if both:
        grey = Style("#555555", "o")
        handles += [handle(grey), handle(Style("#555555", "o", "--"), hollow=True)]
        labels += ["ours", "published"]
    width = COLUMN if len(panels) <= 2 else PAGE
    signs = max((_sign_rows(panel) for panel in panels), default=0)
    height = 1.35 + _SIGN_ROW * signs
    in_legend = legend_rows(labels, width) + bool(signs)
    figure, axes = grid(
        len(panels), len(metrics), across=ACROSS, height=height, legend_rows=in_legend
    )
    columns = columns_of(len(panels), ACROSS)
    for number, (panel, column) in enumerate(zip(panels, axes, strict=True)):
        set_title(column[0], panel.title)
        for metric, one in zip(metrics, column, strict=True):
            _draw_panel(one, panel, metric, names, styles, both=both)
            if number % columns == 0:
                one.set_ylabel(metric_title(metric))
        column[-1].set_xlabel(SHARE_LABEL)
    legend(figure, handles, labels, key=KEY if signs else None)
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
            _line(
                axes,
                published[name],
                style,
                f"published-{gid}",
                hollow=True,
                line="--" if both else style.line,
            )
        if name in ours:
            curve = ours[name]
            if any(point.cells > 1 for point in curve):
                axes.fill_between(
                    [point.share for point in curve], [point.low for point in curve], [point.high for point in curve],
                    color=style.colour, alpha=0.18, linewidth=0, zorder=1,
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
    """How many series of a panel have marks below it.

    None where one line says that all are missing.
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
    """Below the curves the marks, one row a series in its colour, each under its share of the labels."""
    if not rows:
        return
    inches = 1.35 + _SIGN_ROW * rows
    low, high = axes.get_ylim()
    axes.set_ylim(high - (high - low) * inches / 1.35, high)
    marked = [name for name in names if any(point.mark for point in published.get(name, ()))]
    for row, name in enumerate(marked):
        for point in published[name]:
            if point.mark is not None:
                axes.text(
                    point.share, (rows - row - 0.5) * _SIGN_ROW / inches, SIGNS[point.mark],
                    color=styles[name].colour, transform=axes.get_xaxis_transform(), ha="center", va="center", fontsize=5.5,
                )  # fmt: skip


def _line(
    axes: Any, curve: Sequence[Point], style: Style, gid: str, *, hollow: bool, line: str
) -> None:
    axes.plot(
        [point.share for point in curve], [point.value for point in curve], color=style.colour, marker=style.marker,
        linestyle=line, markerfacecolor="white" if hollow else style.colour, markeredgewidth=0.8,
        markersize=style.size(3.4), linewidth=0.8 if hollow else 1.1, zorder=2 if hollow else 3,
        gid=gid,
    )  # fmt: skip


HOW = (
    "Markers are means over draws and seeds, the band reaches from the least to the greatest of them; a point with one "
    "cell has no band. Marks of agreement stand below the curves, one row a method in its colour."
)
"""As captions say it."""
