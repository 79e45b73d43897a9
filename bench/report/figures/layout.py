"""Panels, legends and axes that several kinds of figures share."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bench.report.figures.style import COLUMN, PAGE, Style, title
from bench.report.names import metric_title
from bench.report.stock import Score

SHARE_LABEL = "labels (%, log scale)"
"""Label of an axis of label shares."""
_LEGEND_ROW = 0.17  # inches
_GREY = "#555555"


def grid(
    panels: int, rows: int = 1, *, height: float = 1.35, across: int = 5, legend_rows: int = 1,
    share_x: bool = False, narrow: int = 2,
) -> tuple[Any, list[list[Any]]]:  # fmt: skip
    """A figure of panels, each of which has one axes or several below each other.

    Panels stand beside each other until a row is full. Up to `narrow` panels take the width of a
    column, more take that of a page.

    Args:
        panels: number of panels.
        rows: number of axes of each panel.
        height: height of one axes, in inches.
        across: the most panels in a row.
        legend_rows: rows of the legend below, for which room is kept.
        share_x: whether the axes of a panel share their horizontal axis.
        narrow: the most panels of a figure of column width.

    Returns:
        (figure, a list of axes for each panel).
    """
    import matplotlib.pyplot as plt

    columns = columns_of(panels, across)
    blocks = math.ceil(panels / columns)
    width = COLUMN if panels <= narrow else PAGE
    size = (width, blocks * rows * height + 0.25 * blocks + legend_rows * _LEGEND_ROW)
    figure, axes = plt.subplots(
        blocks * rows,
        columns,
        figsize=size,
        squeeze=False,
        sharex="col" if share_x and blocks == 1 else False,
    )
    used = []
    for panel in range(blocks * columns):
        block, column = divmod(panel, columns)
        stacked = [axes[block * rows + row][column] for row in range(rows)]
        if panel < panels:
            used.append(stacked)
        else:
            for empty in stacked:
                empty.set_axis_off()
    return figure, used


def metric_grid(
    titles: Sequence[str], metrics: Sequence[str], handles: Sequence[Any], labels: Sequence[str], *,
    across: int, height: float = 1.35, key: str | None = None,
) -> tuple[Any, list[list[Any]]]:  # fmt: skip
    """A figure with one panel for each title, one axes for each metric, and a legend below.

    Args:
        titles: titles of the panels.
        metrics: names of the metrics, from the top down.
        handles: handles of the legend.
        labels: labels of the legend.
        across: the most panels in a row.
        height: height of one axes, in inches.
        key: a line above the legend, such as the meaning of signs.

    Returns:
        (figure, a list of axes for each panel).
    """
    width = COLUMN if len(titles) <= 2 else PAGE
    rows = legend_rows(labels, width) + (key is not None)
    figure, axes = grid(len(titles), len(metrics), across=across, height=height, legend_rows=rows)
    columns = columns_of(len(titles), across)
    for number, (text, column) in enumerate(zip(titles, axes, strict=True)):
        set_title(column[0], text)
        if number % columns == 0:
            for metric, panel in zip(metrics, column, strict=True):
                panel.set_ylabel(metric_title(metric))
    legend(figure, handles, labels, key=key)
    return figure, axes


def columns_of(panels: int, across: int) -> int:
    """How many panels stand in a row, so that rows are as even as can be."""
    return math.ceil(panels / math.ceil(panels / across))


def legend(
    figure: Any,
    handles: Sequence[Any],
    labels: Sequence[str],
    width: float | None = None,
    *,
    key: str | None = None,
) -> None:
    """Adds a legend below the panels, in as many columns as the width takes.

    Args:
        figure: the figure.
        handles: one for each label; nothing is added where there are none.
        labels: texts of the legend.
        width: available width in inches; that of the figure where None.
        key: a line above the legend.
    """
    if handles:
        rows = legend_rows(labels, width or figure.get_figwidth())
        columns = math.ceil(len(labels) / rows)
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.2,
            handletextpad=0.5, title=key, title_fontsize=6.5,
        )  # fmt: skip


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into a width in inches."""
    longest = max(len(label) for label in labels)
    return max(1, min(len(labels), int(width / (0.36 + 0.053 * longest))))


def legend_rows(labels: Sequence[str], width: float) -> int:
    """How many rows a legend takes in a width in inches."""
    return math.ceil(len(labels) / legend_columns(labels, width)) if labels else 0


def handle(style: Style, *, line: bool = True, hollow: bool = False) -> Any:
    """The handle of a series in a legend.

    Args:
        style: how the series is drawn.
        line: whether it has a line beside its marker.
        hollow: whether the marker is white inside.
    """
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=style.colour, marker=style.marker,
        linestyle=cast(Any, style.line if line else "none"),
        markerfacecolor="white" if hollow else style.colour, markeredgewidth=0.8,
        markersize=style.size(4),
    )  # fmt: skip


def style_handles(
    styles: Mapping[str, Style], names: Sequence[str], *, line: bool, hollow: bool = False
) -> tuple[list[Any], list[str]]:
    """Handles and labels of series; `line` and `hollow` as of `handle`."""
    return [handle(styles[name], line=line, hollow=hollow) for name in names], [
        title(name) for name in names
    ]


def handles_of_both(
    styles: Mapping[str, Style], names: Sequence[str], *, line: bool, ours: bool, published: bool
) -> tuple[list[Any], list[str]]:
    """Handles and labels of series, and of the two kinds of markers where both are drawn.

    Markers of ours are filled, those of published numbers are hollow.

    Args:
        styles: how each series is drawn.
        names: the series.
        line: whether markers are joined by lines.
        ours: whether any score of ours is drawn.
        published: whether any published number is drawn.
    """
    handles, labels = style_handles(styles, names, line=line, hollow=not ours)
    if ours and published:
        handles.append(handle(Style(_GREY, "o"), line=line))
        handles.append(handle(Style(_GREY, "o", "--"), line=line, hollow=True))
        labels += ["ours", "published"]
    return handles, labels


def error_bars(score: Score) -> list[list[float]] | None:
    """The interval of a score as matplotlib's `yerr`; None where it has none."""
    known = not math.isnan(score.low)
    return [[score.value - score.low], [score.high - score.value]] if known else None


def sign_below(axes: Any, x: float, sign: str) -> None:
    """Writes a sign at the lower edge of an axes."""
    axes.text(
        x, 0.01, sign, transform=axes.get_xaxis_transform(), ha="center", va="bottom", fontsize=6
    )


def logarithmic(axis: Any) -> None:
    """Makes an axis logarithmic that has its data already, with plain numbers as labels.

    Matplotlib's own labels are formulas, and no text of figures is read as mathematics.

    Args:
        axis: `axes.xaxis` or `axes.yaxis`.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    getattr(axis.axes, f"set_{axis.axis_name}scale")("log")
    low, high = axis.get_minpos(), axis.get_data_interval()[1]
    # Less than two decades may hold a single power of ten.
    axis.set_major_locator(
        LogLocator(subs=(1.0,) if high > 100 * low else (1.0, 2.0, 5.0), numticks=6)
    )
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_minor_formatter(NullFormatter())


def share_axis(axes: Any, shares: Sequence[float]) -> None:
    """Makes the horizontal axis a logarithmic one of label shares, with a tick for each share."""
    from matplotlib.ticker import FixedLocator, NullLocator

    shares = sorted(set(shares))
    axes.set_xscale("log")
    # Ticks nearer than a fifth of a decade would print one over the other.
    shown: list[float] = []
    for share in reversed(shares):
        if not shown or math.log10(shown[-1] / share) > 0.2:
            shown.append(share)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{100 * share:.3g}" for share in shown])
    low, high = shares[0], shares[-1]
    axes.set_xlim(low / 1.35, high * 1.35)


def slanted_labels(axes: Any) -> None:
    """Lets the ends of rotated labels of the horizontal axis stand at their ticks."""
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")


def set_title(axes: Any, text: str) -> None:
    """Sets a title, broken into lines where it is wider than its panel."""
    inches = axes.get_position().width * axes.figure.get_figwidth()
    width = max(12, int(inches / 0.062))
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, width)]
    axes.set_title("\n".join(lines))


def slug(*parts: object) -> str:
    """Parts joined to an id or part of a file name: letters, digits, dots and hyphens alone."""
    return (
        re.sub(r"[^A-Za-z0-9.]+", "-", "-".join(str(part) for part in parts)).strip("-")
        or "unnamed"
    )


def note_nothing(axes: Any, text: str) -> None:
    """Says in an empty panel why it is empty."""
    axes.text(
        0.5,
        0.5,
        text,
        transform=axes.transAxes,
        ha="center",
        va="center",
        color="#7F7F7F",
        fontsize=6,
    )
