"""How many labels a method needs to match another method that has all of them."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from bench.report.captions import left_out, protocol
from bench.report.figures.curves import Point, points
from bench.report.figures.layout import slanted_labels
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, PAGE, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.series import series, share_of
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result

_METRIC = "map_macro"

Curve = list[Point]
Needed = tuple[float, str]
"""(share of the labels, how it is known), as `needed` gives it."""


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure for each place and setting: a table of shares, methods against methods.

    Raises:
        NotDrawnError: no place has two methods and two shares of the labels.
    """
    any_drawn = False
    for cells, name, where, setting in places_by_setting("label-efficiency", stock):
        curves = {method: points(stock, row, _METRIC) for method, row in series(cells).items()}
        curves = {method: curve for method, curve in curves.items() if curve}
        if len(curves) > 1 and any(len(curve) > 1 for curve in curves.values()):
            any_drawn = True
            yield _drawing(stock, cells, curves, name, where, setting)
    if not any_drawn:
        raise NotDrawnError(
            "no data set has two methods, and one of them at two shares of the labels"
        )


def needed(curve: Sequence[Point], target: float) -> Needed:
    """The smallest share of the labels at which a curve reaches a score.

    Between points the curve is a straight line over the logarithm of the share.

    Args:
        curve: points by ascending share.
        target: the score to be reached.

    Returns:
        (share, how it is known): "" where it lies between two points of the curve, "at most" where
        the first point reaches it already, "not reached" (and NaN) where none does.
    """
    if curve[0].value >= target:
        return curve[0].share, "at most" if curve[0].share < 1 else ""
    for before, after in pairwise(curve):
        if after.value >= target:
            part = (target - before.value) / (after.value - before.value)
            return before.share * (after.share / before.share) ** part, ""
    return math.nan, "not reached"


def _drawing(
    stock: Stock, cells: Sequence[Result], curves: dict[str, Curve], name: str, where: str,
    setting: Setting,
) -> Drawing:  # fmt: skip
    """The figure of one place and setting, with its caption and numbers."""
    names = ordered(list(curves))
    largest = max(share_of(result) for result in cells)
    table = [
        [_needed_by(curves[mine], curves[other], largest) for other in names] for mine in names
    ]
    rows = [
        [mine, other, "" if math.isnan(share) else share, how]
        for mine, row in zip(names, table, strict=True)
        for other, (share, how) in zip(names, row, strict=True)
    ]
    lowest = min(point.share for curve in curves.values() for point in curve)
    caption = [
        "Label efficiency: the share of the labels that the method of a row needs to match the "
        f"{metric_title(_METRIC)} that the method of a column has with {percent(largest)} of "
        f"them: {where}; {setting.words}. Means over draws and seeds, joined by straight lines "
        "over the logarithm of the share; the first share that reaches the score. ≤ where the "
        "smallest stored share reaches it already; 'not reached' where "
        f"{percent(largest)} does not.",
        *protocol(cells),
        *left_out(stock),
    ]
    files = {"numbers.csv": numbers_csv(rows, ["method", "to_match", "share", "how"])}
    return Drawing(name, _figure(names, table, lowest, largest), caption, files)


def _needed_by(curve: Curve, other: Curve, largest: float) -> Needed:
    """What a method needs to match another's score at the largest share, where it has one."""
    target = other[-1]
    return needed(curve, target.value) if target.share == largest else (math.nan, "no cell")


def _figure(
    names: Sequence[str], table: Sequence[Sequence[Needed]], lowest: float, largest: float
) -> Any:
    """The table as a heat map, coloured by the logarithm of the share.

    Args:
        names: the methods, of rows and columns.
        table: for each row what is needed to match each column.
        lowest: the smallest stored share of the labels.
        largest: the largest stored share.
    """
    import matplotlib.pyplot as plt
    import seaborn

    colours = [[math.log10(share) for share, _ in row] for row in table]  # NaN stays NaN
    texts = [[_words(share, how) for share, how in row] for row in table]
    width = COLUMN if len(names) <= 5 else PAGE
    longest = max(len(shortened(title(name), 16)) for name in names)
    figure, axes = plt.subplots(figsize=(width, 0.24 * len(names) + 0.5 + 0.035 * longest))
    seaborn.heatmap(
        colours, ax=axes, annot=texts, fmt="", annot_kws={"fontsize": 5.5}, cmap="viridis_r",
        cbar=False, vmin=math.log10(lowest) * 1.15 - 0.01, vmax=0.0, linewidths=0.5,
        linecolor="white",
        xticklabels=[shortened(title(name), 16) for name in names],
        yticklabels=[shortened(title(name), 22) for name in names],
    )  # fmt: skip
    axes.set_facecolor("#EEEEEE")
    axes.grid(False)
    axes.set_xlabel(f"to match, with {percent(largest)} of the labels", labelpad=2)
    axes.set_ylabel("labels needed by")
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=30)
    axes.tick_params(axis="y", rotation=0)
    slanted_labels(axes)
    # Seaborn neither colours cells without a number nor writes their words.
    for row, words in enumerate(texts):
        for column, word in enumerate(words):
            if math.isnan(colours[row][column]):
                axes.text(
                    column + 0.5,
                    row + 0.5,
                    word,
                    ha="center",
                    va="center",
                    fontsize=5,
                    color="#555555",
                )
    return figure


def _words(share: float, how: str) -> str:
    """What stands in a cell of the table."""
    if math.isnan(share):
        return how.replace(" ", "\n")
    return f"≤{percent(share)}" if how else percent(share)
