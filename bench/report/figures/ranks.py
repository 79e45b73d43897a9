"""Critical-difference diagrams: average ranks of methods over data sets (Demsar, JMLR 7, 2006)."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import slug
from bench.report.figures.names import file_name
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, styles, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.places import Place
from bench.report.series import at_largest_share
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result
from bench.statistics.ranks import Friedman, friedman

_METRIC = "map_macro"
# Measures of the diagram, in inches from its upper edge.
_LINE = 0.15  # a line of names
_BAR = 0.09  # a bar of methods that do not differ
_TOP = 0.42  # the axis of ranks
_MARGIN = 0.28  # share of the width on either side, for names


def draw(stock: Stock) -> Iterator[Drawing]:
    """A diagram for each setting, over the data sets on which all its methods have a score.

    Raises:
        NotDrawnError: no setting has two methods on two data sets.
    """
    reasons = []
    any_drawn = False
    for setting in stock.settings:
        ranked = _ranked(stock, setting)
        if isinstance(ranked, str):
            reasons.append(ranked)
        else:
            any_drawn = True
            yield _diagram(stock, setting, ranked)
    if not any_drawn:
        raise NotDrawnError("; ".join(dict.fromkeys(reasons)))


@dataclass(frozen=True)
class _Ranked:
    """What a diagram is drawn from.

    Attributes:
        share: share of the labels.
        cells: place -> series -> its cells.
        methods: series with a score on every place.
        absent: series without a score on some place.
        unused: places that are not used.
    """

    share: float
    cells: dict[Place, dict[str, list[Result]]]
    methods: list[str]
    absent: list[str]
    unused: list[Place]


def _ranked(stock: Stock, setting: Setting) -> _Ranked | str:
    """The methods and data sets of a setting that can be ranked, or why there are too few."""
    by_place = stock.fitting(setting)
    # Splits of one data set are not independent: the one with most cells stands for it.
    chosen: dict[str, Place] = {}
    for place, cells in by_place.items():
        if place.dataset not in chosen or len(cells) > len(by_place[chosen[place.dataset]]):
            chosen[place.dataset] = place
    if len(chosen) < 2:
        number = "one" if chosen else "none"
        return f"ranks need two data sets; there is {number} (splits of one do not count)"
    largest = {place: at_largest_share(by_place[place]) for place in chosen.values()}
    share = min(share for share, _ in largest.values())
    used = {
        place: {
            name: cells
            for name, cells in by_series.items()
            if all(_METRIC in cell.metrics for cell in cells)
        }
        for place, (its_share, by_series) in largest.items()
        if its_share == share
    }
    names = ordered([name for by_series in used.values() for name in by_series])
    methods = [name for name in names if all(name in by_series for by_series in used.values())]
    if len(methods) < 2 or len(used) < 2:
        return (
            "ranks need two methods with cells on each of two data sets at "
            f"{percent(share)} of the labels"
        )
    absent = [name for name in names if name not in methods]
    return _Ranked(share, used, methods, absent, [place for place in by_place if place not in used])


def _diagram(stock: Stock, setting: Setting, ranked: _Ranked) -> Drawing:
    """Ranks the methods, and draws the diagram with its caption."""
    test = friedman(
        np.array(
            [
                [
                    np.mean([cell.metrics[_METRIC].value for cell in by_series[name]])
                    for name in ranked.methods
                ]
                for by_series in ranked.cells.values()
            ]
        )
    )
    used = ", ".join(stock.titles[place] for place in ranked.cells)
    absent, unused = (
        ", ".join(ranked.absent),
        ", ".join(stock.titles[place] for place in ranked.unused),
    )
    results = [
        cell for row in ranked.cells.values() for name in ranked.methods for cell in row[name]
    ]
    caption = [
        f"Critical-difference diagram of {metric_title(_METRIC)} at {percent(ranked.share)} of the "
        f"labels over {len(ranked.cells)} data sets ({used}): {setting.words}. Methods stand at "
        "their average rank, 1 is best; a bar joins methods that do not differ at "
        f"{test.alpha:g} (Nemenyi, critical difference {test.critical_difference:.2f}). Friedman "
        f"p {test.p_value:.3g}, Iman-Davenport p {test.f_p_value:.3g}. {test.weak}",
        f"Not ranked, since cells are missing on some data set: {absent}." if absent else "",
        f"Not used, since one split of a data set is, or for want of cells: {unused}."
        if unused
        else "",
        *protocol(results),
        *left_out(stock),
    ]
    rows = list(zip(ranked.methods, test.average_ranks.tolist(), strict=True))
    files = {"numbers.csv": numbers_csv(rows, ["series", "average_rank"])}
    name = file_name("ranks", stock, setting)
    return Drawing(name, _draw(test, ranked.methods), caption, files)


def _draw(test: Friedman, names: Sequence[str]) -> Any:
    """The diagram: an axis of ranks, bars of groups below it, and names left and right."""
    import matplotlib.pyplot as plt

    count = len(names)
    bars = _BAR * max(1, len(test.groups))
    height = 0.5 + bars + _LINE * ((count + 1) // 2) + 0.05
    figure = plt.figure(figsize=(COLUMN, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_ylim(height, 0)
    span = (count - 1) / (1 - 2 * _MARGIN) if count > 1 else 1.0  # ranks over the whole width
    axes.set_xlim(1 - _MARGIN * span, 1 + (1 - _MARGIN) * span)
    _draw_axis(axes, test, count)
    for number, group in enumerate(test.groups):
        y = _TOP + 0.07 + _BAR * number
        ends = [test.average_ranks[member] for member in group]
        axes.plot(
            [min(ends) - 0.03, max(ends) + 0.03],
            [y, y],
            color="black",
            linewidth=2,
            solid_capstyle="butt",
        )
    _draw_methods(axes, test, names, _TOP + 0.08 + bars, span)
    return figure


def _draw_axis(axes: Any, test: Friedman, count: int) -> None:
    """Draws the axis of ranks, and above it a bar as long as the critical difference."""
    axes.plot([1, count], [_TOP, _TOP], color="black", linewidth=0.8)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [_TOP - 0.05, _TOP], color="black", linewidth=0.8)
        axes.text(rank, _TOP - 0.07, str(rank), ha="center", va="bottom", fontsize=6)
    wide = min(test.critical_difference, count - 1)
    axes.plot([1, 1 + wide], [0.12, 0.12], color="black", linewidth=1.2)
    more = "" if wide == test.critical_difference else " (wider than the axis)"
    axes.text(
        1 + wide / 2,
        0.1,
        f"CD = {test.critical_difference:.2f}{more}",
        ha="center",
        va="bottom",
        fontsize=6,
    )


def _draw_methods(
    axes: Any, test: Friedman, names: Sequence[str], below: float, span: float
) -> None:
    """Joins each method's rank with its name: the better half on the left, the others right.

    Args:
        axes: the diagram.
        test: the test of the ranks.
        names: the methods.
        below: where the lines of names begin.
        span: width of the diagram, in ranks.
    """
    look = styles(names)
    ranks, count = test.average_ranks, len(names)
    order = sorted(range(count), key=lambda place: (ranks[place], place))
    half = (count + 1) // 2
    for number, place in enumerate(order):
        left = number < half
        row = number if left else count - 1 - number
        y = below + _LINE * (row + 0.5)
        edge = 1 - 0.02 * span if left else count + 0.02 * span
        style = look[names[place]]
        axes.plot(
            [ranks[place], ranks[place], edge], [_TOP, y, y], color=style.colour, linewidth=0.7
        )
        axes.plot(
            [ranks[place]], [_TOP], color=style.colour, marker=style.marker, markersize=4,
            zorder=5, gid=f"rank-{slug(names[place])}",
        )  # fmt: skip
        text = f"{shortened(title(names[place]), 18)} {ranks[place]:.2f}"
        axes.text(
            edge,
            y,
            f"{text} " if left else f" {text}",
            ha="right" if left else "left",
            va="center",
            fontsize=6,
        )
