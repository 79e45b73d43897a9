"""Panels, legends and axes that several figures share."""

import math
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, cast

from bench.report.figures.style import COLUMN, PAGE, Style, title

SHARE_LABEL = "labels (%, log scale)"
"""Below an axis of label shares."""
_LEGEND_ROW = 0.17  # inches


def grid(
    panels: int, rows: int = 1, *, height: float = 1.35, across: int = 5, legend_rows: int = 1,
    share_x: bool = False, narrow: int = 2,
) -> tuple[Any, list[list[Any]]]:  # fmt: skip
    """Axes for `panels` panels of `rows` axes each, one above the other.

    Panels stand beside each other, `across` at most, then below. Up to `narrow` of them take a
    column's width, more take a page's.

    Args:
        panels: how many.
        rows: axes of each.
        height: of one of the axes, in inches.
        across: panels in a row at most.
        legend_rows: rows of the legend below, for which room is kept.
        share_x: whether the axes of a panel share their horizontal axis.
        narrow: see above.

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
    found = []
    for panel in range(blocks * columns):
        block, column = divmod(panel, columns)
        mine = [axes[block * rows + row][column] for row in range(rows)]
        if panel < panels:
            found.append(mine)
        else:
            for one in mine:
                one.set_axis_off()
    return figure, found


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
    """A legend below the panels, in as many columns as the width takes.

    With `key`, a line above it.
    """
    if handles:
        rows = legend_rows(labels, width or figure.get_figwidth())
        columns = math.ceil(len(labels) / rows)
        figure.legend(
            handles, labels, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5,
            title=key, title_fontsize=6.5,
        )  # fmt: skip


def legend_columns(labels: Sequence[str], width: float) -> int:
    """How many columns of a legend fit into a width, in inches."""
    longest = max(len(label) for label in labels)
    return max(1, min(len(labels), int(width / (0.36 + 0.053 * longest))))


def legend_rows(labels: Sequence[str], width: float) -> int:
    """How many rows a legend takes."""
    return math.ceil(len(labels) / legend_columns(labels, width)) if labels else 0


def handle(style: Style, *, line: bool = True, hollow: bool = False) -> Any:
    """What stands for a series in a legend."""
    from matplotlib.lines import Line2D

    return Line2D(
        [], [], color=style.colour, marker=style.marker, linestyle=cast(Any, style.line if line else "none"),
        markerfacecolor="white" if hollow else style.colour, markeredgewidth=0.8, markersize=style.size(4),
    )  # fmt: skip


def style_handles(
    styles: Mapping[str, Style], names: Sequence[str], *, line: bool, hollow: bool = False
) -> tuple[list[Any], list[str]]:
    """Handles and labels of series."""
    return [handle(styles[name], line=line, hollow=hollow) for name in names], [
        title(name) for name in names
    ]


def logarithmic(axis: Any) -> None:
    """Makes an axis that has its data logarithmic, with plain numbers: no text of figures is read as mathematics.

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
    """A logarithmic axis of label shares, with a tick for each of them."""
    from matplotlib.ticker import FixedLocator, NullLocator

    shares = sorted(set(shares))
    axes.set_xscale("log")
    # Ticks nearer than a sixth of a decade would print one over the other.
    shown: list[float] = []
    for share in reversed(shares):
        if not shown or math.log10(shown[-1] / share) > 0.2:
            shown.append(share)
    axes.xaxis.set_major_locator(FixedLocator(shown))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xticks(shown, [f"{100 * share:.3g}" for share in shown])
    low, high = shares[0], shares[-1]
    axes.set_xlim(low / 1.35, high * 1.35)


def set_title(axes: Any, text: str) -> None:
    """A title, broken into lines where it is wider than its panel."""
    inches = axes.get_position().width * axes.figure.get_figwidth()
    width = max(12, int(inches / 0.062))
    lines = [line for part in text.split("\n") for line in textwrap.wrap(part, width)]
    axes.set_title("\n".join(lines))


def slug(*parts: object) -> str:
    """An id or part of a file name: letters, digits, dots and hyphens alone."""
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
