"""Scores of single tags, and how each method differs from a reference tag by tag."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import slanted_labels
from bench.report.figures.names import file_name
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, PAGE, styles, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.series import at_largest_share
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result

COLUMN_OF = {"map_macro": "average_precision", "roc_auc_macro": "roc_auc"}
"""Macro metric -> its column in `per_tag` of a result."""
_TAGS = 60  # in one figure; the file of numbers has all
_REFERENCES = ("random_init", "mfcc", "supervised")  # the first that is stored


def draw(stock: Stock) -> Iterator[Drawing]:
    """Average precision tag by tag and its differences: two figures for each place and setting.

    Raises:
        NotDrawnError: no stored cell has scores of tags.
    """
    any_drawn = False
    for setting in stock.settings:
        for place, results in stock.fitting(setting).items():
            share, by_series = at_largest_share(results)
            if not any(
                any(value is not None for value in _scores(cells)) for cells in by_series.values()
            ):
                continue
            any_drawn = True
            where = f"{stock.titles[place]} at {percent(share)} of the labels"
            yield _scores_figure(
                stock, by_series, file_name("tags", stock, setting, place), where, setting
            )
            if len(by_series) > 1:
                name = file_name("tag-differences", stock, setting, place)
                yield _differences(stock, by_series, name, where, setting)
    if not any_drawn:
        raise NotDrawnError("no stored cell has scores of tags")


def _scores(cells: Sequence[Result], metric: str = "map_macro") -> list[float | None]:
    """(tags,) the mean score of each tag over cells; None where a cell has none."""
    columns = [cell.per_tag.get(COLUMN_OF[metric], []) for cell in cells]
    length = max(len(column) for column in columns)
    scores: list[float | None] = []
    for place in range(length):
        values = [column[place] if place < len(column) else None for column in columns]
        known = [value for value in values if value is not None]
        scores.append(float(np.mean(known)) if len(known) == len(values) else None)
    return scores


def _matrix(
    by_series: dict[str, list[Result]], series: Sequence[str], tags: int
) -> NDArray[np.float64]:
    """(tags, series) scores; NaN where a tag has none."""
    matrix = np.full((tags, len(series)), np.nan)
    for column, name in enumerate(series):
        values = _scores(by_series[name])[:tags]
        matrix[: len(values), column] = [np.nan if value is None else value for value in values]
    return matrix


def _known(by_series: dict[str, list[Result]]) -> tuple[list[str], list[float | None]]:
    """Names of the tags, and the number of test tracks with each; None where it is not stored."""
    first = next(iter(by_series.values()))[0]
    tags = plain_names([str(tag) for tag in first.data.get("tags", [])])
    positives = first.per_tag.get("test_positives", [])
    return tags, [
        positives[place] if place < len(positives) else None for place in range(len(tags))
    ]


def plain_names(tags: Sequence[str]) -> list[str]:
    """Jamendo's tags (`instrument---piano`) without their category, where no two become alike."""
    short = [tag.rpartition("---")[2] or tag for tag in tags]
    return short if len(set(short)) == len(tags) else list(tags)


def _unscored(matrix: NDArray[np.float64], tags: Sequence[str]) -> str:
    """A sentence on the tags that have no score in any series."""
    absent = [tag for tag, row in zip(tags, matrix, strict=True) if bool(np.isnan(row).all())]
    return (
        f"Without a score, for want of test tracks with and without it ({len(absent)}): "
        f"{', '.join(absent)}."
    )


def _scores_figure(
    stock: Stock, by_series: dict[str, list[Result]], name: str, where: str, setting: Setting
) -> Drawing:
    """A heat map, tags against series, the tag with the highest mean at the top."""
    import matplotlib.pyplot as plt
    import seaborn

    series = ordered(list(by_series))
    tags, positives = _known(by_series)
    matrix = _matrix(by_series, series, len(tags))
    scored = [place for place in range(len(tags)) if not np.isnan(matrix[place]).all()]
    order = sorted(scored, key=lambda place: (-float(np.nanmean(matrix[place])), place))
    shown = order[:_TAGS]
    width = COLUMN if len(series) <= 8 else PAGE
    names = [shortened(title(method), 22) for method in series]
    figure, axes = plt.subplots(
        figsize=(width, 0.115 * max(len(shown), 8) + 0.5 + 0.045 * max(map(len, names)))
    )
    labels = [
        f"{shortened(tags[p], 28)} ({positives[p]:g})" if positives[p] else shortened(tags[p], 28)
        for p in shown
    ]
    seaborn.heatmap(
        matrix[shown], ax=axes, cmap="viridis", vmin=0, vmax=1, yticklabels=labels,
        xticklabels=names, linewidths=0.2,
        cbar_kws={"label": "average precision", "shrink": 0.5, "aspect": 30},
    )  # fmt: skip
    axes.tick_params(axis="y", labelsize=5.5, length=0, rotation=0)
    axes.tick_params(axis="x", labelsize=6, length=0, rotation=45)
    slanted_labels(axes)
    more = (
        f" The {_TAGS} best of {len(scored)} are shown; the file of numbers has all."
        if len(scored) > _TAGS
        else ""
    )
    caption = [
        f"Average precision of every tag: {where}; {setting.words}. Means over draws and seeds; in "
        f"parentheses the number of test tracks with the tag.{more}",
        _unscored(matrix, tags) if len(scored) < len(tags) else "",
    ]
    return _drawing(stock, by_series, name, figure, caption, series, tags, positives, matrix)


def _differences(
    stock: Stock, by_series: dict[str, list[Result]], name: str, where: str, setting: Setting
) -> Drawing:
    """A panel for each method: its tags' differences to the reference, in ascending order."""
    import matplotlib.pyplot as plt

    series = ordered(list(by_series))
    reference = next((method for method in _REFERENCES if method in series), series[-1])
    tags, positives = _known(by_series)
    matrix = _matrix(by_series, series, len(tags))
    others = [method for method in series if method != reference]
    columns = min(4, len(others))
    rows = -(-len(others) // columns)
    width = COLUMN if columns <= 2 else PAGE
    figure, axes = plt.subplots(
        rows, columns, figsize=(width, 1.5 * rows + 0.2), squeeze=False, sharey=True
    )
    look = styles(series)
    base = matrix[:, series.index(reference)]
    for number, method in enumerate(others):
        axis = axes[number // columns][number % columns]
        difference = matrix[:, series.index(method)] - base
        known = np.flatnonzero(~np.isnan(difference))
        order = known[np.argsort(difference[known], kind="stable")]
        places_ = np.arange(len(order))
        axis.bar(
            places_, difference[order], width=1.0, color=look[method].colour, alpha=0.3, linewidth=0
        )
        axis.step(places_, difference[order], where="mid", color=look[method].colour, linewidth=0.9)
        axis.axhline(0, color="black", linewidth=0.5)
        axis.set_title(shortened(title(method), 26))
        axis.set_xticks([])
        if len(order):
            _name_ends(axis, order, tags)
            better = int((difference[order] > 0).sum())
            axis.set_xlabel(f"better on {better} of {len(order)} tags")
    for number in range(len(others), rows * columns):
        axes[number // columns][number % columns].set_axis_off()
    for row in axes:
        row[0].set_ylabel("difference of AP")
    every = np.concatenate([matrix[:, series.index(method)] - base for method in others])
    every = np.append(every[~np.isnan(every)], 0.0)
    low, high = float(every.min()), float(every.max())
    room = 0.36 * ((high - low) or 1.0)  # for the names of tags
    axes[0][0].set_ylim(low - room, high + 0.05 * room)
    caption = [
        f"Average precision less that of {reference}, tag by tag, in order: {where}; "
        f"{setting.words}. The tags at both ends are named. {metric_title('map_macro')} is the "
        "mean over tags.",
        _unscored(matrix, tags) if np.isnan(matrix).all(axis=1).any() else "",
    ]
    return _drawing(stock, by_series, name, figure, caption, series, tags, positives, matrix)


def _name_ends(axis: Any, order: NDArray[np.int64], tags: Sequence[str]) -> None:
    """Writes the three tags at either end below the bars."""
    ends = min(3, len(order) // 2)
    for x, side, places in ((0.02, "left", order[:ends]), (0.98, "right", order[::-1][:ends])):
        names = "\n".join(shortened(tags[place], 18) for place in places)
        axis.text(
            x,
            0.02,
            names,
            transform=axis.transAxes,
            ha=side,
            va="bottom",
            fontsize=5.2,
            color="#333333",
        )


def _drawing(
    stock: Stock, by_series: dict[str, list[Result]], name: str, figure: Any, caption: list[str],
    series: Sequence[str], tags: Sequence[str], positives: Sequence[float | None],
    matrix: NDArray[np.float64],
) -> Drawing:  # fmt: skip
    """A figure with its caption and the scores of all tags."""
    results = [cell for cells in by_series.values() for cell in cells]
    rows = [
        [
            tag,
            "" if count is None else f"{count:g}",
            *("" if np.isnan(value) else f"{value:.6f}" for value in row),
        ]
        for tag, count, row in zip(tags, positives, matrix, strict=True)
    ]
    files = {"numbers.csv": numbers_csv(rows, ["tag", "test_positives", *series])}
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], files)
