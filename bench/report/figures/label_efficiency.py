"""How many labels a method needs to match another that has all of them."""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

from bench.report.captions import left_out, protocol
from bench.report.figures.curves import Point, points
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import bands_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, PAGE, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.series import series, share_of
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result

_METRIC = "map_macro"


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure a place and setting: a table of shares, methods against methods.

    Raises:
        NotDrawnError: no place has two methods and two shares of the labels.
    """
    drawn = False
    for own, name, where, setting in places_by_setting("label-efficiency", stock):
        curves = {name: points(stock, row, _METRIC) for name, row in series(own).items()}
        curves = {name: curve for name, curve in curves.items() if curve}
        if len(curves) > 1 and any(len(curve) > 1 for curve in curves.values()):
            drawn = True
            yield _figure(stock, own, curves, name, where, setting)
    if not drawn:
        raise NotDrawnError(
            "no data set has two methods, and one of them at two shares of the labels"
        )


def needed(curve: Sequence[Point], target: float) -> tuple[float, str]:
    """The smallest share at which a curve reaches a score, by straight lines over the logarithm of the share.

    Args:
        curve: in order of the share.
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


def _figure(
    stock: Stock,
    own: Sequence[Result],
    curves: dict[str, list[Point]],
    name: str,
    where: str,
    setting: Setting,
) -> Drawing:
    import matplotlib.pyplot as plt
    import seaborn

    names = ordered(list(curves))
    largest = max(share_of(result) for result in own)
    rows, colours, texts = [], [], []
    for one in names:
        shades, words = [], []
        for other in names:
            target = curves[other][-1]
            share, how = (
                needed(curves[one], target.value)
                if target.share == largest
                else (math.nan, "no cell")
            )
            rows.append([one, other, "" if math.isnan(share) else share, how])
            shades.append(math.nan if math.isnan(share) else math.log10(share))
            words.append(_words(share, how))
        colours.append(shades)
        texts.append(words)
    width = COLUMN if len(names) <= 5 else PAGE
    longest = max(len(shortened(title(one), 16)) for one in names)
    figure, axes = plt.subplots(figsize=(width, 0.24 * len(names) + 0.5 + 0.035 * longest))
    lowest = min(point.share for curve in curves.values() for point in curve)
    seaborn.heatmap(
        colours, ax=axes, annot=texts, fmt="", annot_kws={"fontsize": 5.5}, cmap="viridis_r", cbar=False,
        vmin=math.log10(lowest) * 1.15 - 0.01, vmax=0.0, linewidths=0.5, linecolor="white",
        xticklabels=[shortened(title(one), 16) for one in names],
        yticklabels=[shortened(title(one), 22) for one in names],
    )  # fmt: skip
    axes.set_facecolor("#EEEEEE")
    axes.grid(False)
    axes.set_xlabel(f"to match, with {percent(largest)} of the labels", labelpad=2)
    axes.set_ylabel("labels needed by")
    axes.tick_params(length=0)
    axes.tick_params(axis="x", rotation=30)
    axes.tick_params(axis="y", rotation=0)
    for label in axes.get_xticklabels():
        label.set_horizontalalignment("right")
        label.set_rotation_mode("anchor")
    # Cells without a number are not coloured by seaborn, and their words not written.
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
    caption = [
        f"Label efficiency: the share of the labels that the method of a row needs to match the "
        f"{metric_title(_METRIC)} that the method of a column has with {percent(largest)} of them: {where}; "
        f"{setting.words}. Means over draws and seeds, joined by straight lines over the logarithm of the "
        "share; the first share that reaches the score. "
        f"≤ where the smallest stored share reaches it already; 'not reached' where {percent(largest)} does not.",
    ]
    files = {"numbers.csv": bands_csv(rows, ["method", "to_match", "share", "how"])}
    return Drawing(name, figure, [*caption, *protocol(own), *left_out(stock)], files)


def _words(share: float, how: str) -> str:
    if math.isnan(share):
        return how.replace(" ", "\n")
    return f"≤{percent(share)}" if how else percent(share)
