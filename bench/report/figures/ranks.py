"""Critical-difference diagrams: average ranks over data sets, and methods that do not differ (Demsar, JMLR 7, 2006)."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import slug
from bench.report.figures.names import file_name
from bench.report.figures.paper import bands_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, styles, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.places import Place, place_names, places
from bench.report.series import at_largest_share
from bench.report.setting import Setting, fits
from bench.report.stock import Stock
from bench.results import Result
from bench.statistics.ranks import Friedman, friedman

_METRIC = "map_macro"
_LINE = 0.15  # inches


def draw(stock: Stock) -> Iterator[Drawing]:
    """A diagram a setting, over the data sets on which all its methods have a score.

    Raises:
        NotDrawnError: no setting has two methods on two data sets.
    """
    reasons = []
    drawn = False
    for setting in stock.settings:
        found = _diagram(stock, setting)
        if isinstance(found, str):
            reasons.append(found)
        else:
            drawn = True
            yield found
    if not drawn:
        raise NotDrawnError("; ".join(dict.fromkeys(reasons)))


def _diagram(stock: Stock, setting: Setting) -> Drawing | str:
    """The diagram of a setting, or why there is none."""
    by_place = places(result for result in stock.results if fits(result, setting))
    titles = place_names(stock.places)
    # Splits of one data set are not independent: one of each, that with most cells.
    chosen: dict[str, Place] = {}
    for place, own in by_place.items():
        if place.dataset not in chosen or len(own) > len(by_place[chosen[place.dataset]]):
            chosen[place.dataset] = place
    if len(chosen) < 2:
        return f"ranks need two data sets; there is {'one' if chosen else 'none'} (splits of one do not count)"
    at = {place: at_largest_share(by_place[place]) for place in chosen.values()}
    share = min(found[0] for found in at.values())
    used = {
        place: {
            name: cells
            for name, cells in by_series.items()
            if all(_METRIC in cell.metrics for cell in cells)
        }
        for place, (own_share, by_series) in at.items()
        if own_share == share
    }
    methods = ordered([name for by_series in used.values() for name in by_series])
    everywhere = [name for name in methods if all(name in by_series for by_series in used.values())]
    if len(everywhere) < 2 or len(used) < 2:
        return f"ranks need two methods with cells on each of two data sets at {percent(share)} of the labels"
    scores = np.array(
        [
            [
                np.mean([cell.metrics[_METRIC].value for cell in by_series[name]])
                for name in everywhere
            ]
            for by_series in used.values()
        ]
    )
    test = friedman(scores)
    figure = _draw(test, everywhere)
    absent = [name for name in methods if name not in everywhere]
    left = [titles[place] for place in by_place if place not in used]
    datasets = ", ".join(titles[place] for place in used)
    caption = [
        f"Critical-difference diagram of {metric_title(_METRIC)} at {percent(share)} of the labels over {len(used)} "
        f"data sets ({datasets}): {setting.words}. Methods stand at their average rank, 1 is best; a bar joins methods "
        f"that do not differ at {test.alpha:g} (Nemenyi, critical difference {test.critical_difference:.2f}). Friedman "
        f"p {test.p_value:.3g}, Iman-Davenport p {test.f_p_value:.3g}. {test.weak}",
        f"Not ranked, since cells are missing on some data set: {', '.join(absent)}."
        if absent
        else "",
        f"Not used, since one split of a data set is, or for want of cells: {', '.join(left)}."
        if left
        else "",
    ]
    results: list[Result] = [
        cell for row in used.values() for name in everywhere for cell in row[name]
    ]
    rows = [
        [name, rank] for name, rank in zip(everywhere, test.average_ranks.tolist(), strict=True)
    ]
    files = {"numbers.csv": bands_csv(rows, ["series", "average_rank"])}
    name = file_name("ranks", stock, setting)
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], files)


def _draw(test: Friedman, names: Sequence[str]) -> Any:
    """The diagram: names left and right below an axis of ranks, bars of groups between."""
    import matplotlib.pyplot as plt

    look = styles(names)
    ranks = test.average_ranks
    count = len(names)
    order = sorted(range(count), key=lambda place: (ranks[place], place))
    half = (count + 1) // 2
    bars = 0.09 * max(1, len(test.groups))
    height = 0.5 + bars + _LINE * half + 0.05
    figure = plt.figure(figsize=(COLUMN, height), layout="none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    axes.set_ylim(height, 0)
    margin = 0.28
    span = (count - 1) / (1 - 2 * margin) if count > 1 else 1.0
    axes.set_xlim(1 - margin * span, 1 + (1 - margin) * span)
    top = 0.42
    axes.plot([1, count], [top, top], color="black", linewidth=0.8)
    for rank in range(1, count + 1):
        axes.plot([rank, rank], [top - 0.05, top], color="black", linewidth=0.8)
        axes.text(rank, top - 0.07, str(rank), ha="center", va="bottom", fontsize=6)
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
    for number, group in enumerate(test.groups):
        y = top + 0.07 + 0.09 * number
        ends = [ranks[member] for member in group]
        axes.plot(
            [min(ends) - 0.03, max(ends) + 0.03],
            [y, y],
            color="black",
            linewidth=2,
            solid_capstyle="butt",
        )
    for number, place in enumerate(order):
        left = number < half
        row = number if left else count - 1 - number
        y = top + 0.08 + bars + _LINE * (row + 0.5)
        edge = 1 - 0.02 * span if left else count + 0.02 * span
        colour = look[names[place]].colour
        axes.plot([ranks[place], ranks[place], edge], [top, y, y], color=colour, linewidth=0.7)
        axes.plot([ranks[place]], [top], color=colour, marker=look[names[place]].marker, markersize=4, zorder=5,
                  gid=f"rank-{slug(names[place])}")  # fmt: skip
        text = f"{shortened(title(names[place]), 18)} {ranks[place]:.2f}"
        axes.text(
            edge,
            y,
            f"{text} " if left else f" {text}",
            ha="right" if left else "left",
            va="center",
            fontsize=6,
        )
    return figure
