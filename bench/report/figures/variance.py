"""Shares of variance: how much of a single score is seed, label draw, probe seed or test sample."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.core.errors import InputError
from bench.report.captions import left_out, protocol
from bench.report.figures.layout import (
    columns_of,
    grid,
    legend,
    legend_rows,
    note_nothing,
    set_title,
)
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, title
from bench.report.names import metric_title, ordered, percent, shortened
from bench.report.series import series, share_of
from bench.report.setting import Setting
from bench.report.stock import Stock
from bench.results import Result
from bench.statistics.grid import balanced_grid
from bench.statistics.variance import SOURCES, VarianceComponents, variance_components

_METRIC = "map_macro"
_COLOURS = ("#0072B2", "#E69F00", "#CC79A7", "#009E73", "#BBBBBB")
_HATCHES = ("", "///", "...", "\\\\\\", "")
_PANELS = 6  # shares of the labels that are drawn
_ACROSS = 3  # the most panels in a row
_COLUMNS = ["series", "share", "source", "deviation", "share_of_variance", "missing"]

Components = dict[float, dict[str, VarianceComponents]]
"""Share of the labels -> series -> its sources of variance."""


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure for each place and setting: a panel a share of the labels, a bar a method.

    Raises:
        NotDrawnError: no method has several seeds or draws.
    """
    any_drawn = False
    for cells, name, where, setting in places_by_setting("variance", stock):
        components = _all_components(stock, cells)
        if components:
            any_drawn = True
            yield _drawing(stock, cells, components, name, where, setting)
    if not any_drawn:
        raise NotDrawnError("no method has several pretraining seeds, label draws or probe seeds")


def _all_components(stock: Stock, results: Sequence[Result]) -> Components:
    """The sources of variance wherever more than the test sample is known, by ascending share."""
    found: Components = {}
    for name, by_fraction in series(results).items():
        for cells in by_fraction.values():
            components = components_of(stock, cells)
            if components is not None and max(components.shape) > 1:
                found.setdefault(share_of(cells[0]), {})[name] = components
    return dict(sorted(found.items()))


def components_of(stock: Stock, results: Sequence[Result]) -> VarianceComponents | None:
    """The sources of variance of one series at one share of the labels.

    None with fewer than two cells, or where they make no balanced grid.
    """
    cells = [cell for cell in stock.cells(results) if _METRIC in cell.result.metrics]
    if len(cells) < 2:
        return None
    shared = min(len(cell.values.resampled.get(_METRIC, ())) for cell in cells)
    rows = []
    for cell in cells:
        spec, metric = cell.result.spec, cell.result.metrics[_METRIC]
        resampled = cell.values.resampled[_METRIC][:shared] if shared > 1 else None
        rows.append((spec.seed, spec.draw, spec.probe_seed, metric.value, resampled))
    try:
        balanced = balanced_grid(rows)
        return variance_components(balanced.scores, balanced.resampled)
    except InputError:
        return None


def _drawing(
    stock: Stock, cells: Sequence[Result], components: Components, name: str, where: str,
    setting: Setting,
) -> Drawing:  # fmt: skip
    """The figure of one place and setting, with its caption and numbers."""
    figure, rows = _figure(components)
    every = _every(components)
    unknown = sorted({line for each in every for line in each.unknown})
    more = (
        f" {len(components) - _PANELS} further shares are in the file of numbers alone."
        if len(components) > _PANELS
        else ""
    )
    caption = [
        f"What a single {metric_title(_METRIC)} depends on: {where}; {setting.words}. Bars are "
        "shares of the known variance; the number is the standard deviation that all known sources "
        f"give one score.{more}",
        f"Not known: {'; '.join(unknown)}." if unknown else "",
        *protocol(cells),
        *left_out(stock),
    ]
    return Drawing(name, figure, caption, {"numbers.csv": numbers_csv(rows, _COLUMNS)})


def _figure(components: Components) -> tuple[Any, list[list[Any]]]:
    """The figure, and the numbers that it shows."""
    from matplotlib.patches import Patch

    shares = list(components)[:_PANELS]
    every = _every(components)
    names = ordered([name for row in components.values() for name in row])
    known = [
        source for source in range(len(SOURCES)) if any(_share(each, source) for each in every)
    ]
    handles = [
        Patch(facecolor=_COLOURS[source], hatch=_HATCHES[source], edgecolor="white")
        for source in known
    ]
    labels = [SOURCES[source] for source in known]
    figure, axes = grid(
        len(shares),
        1,
        height=0.16 * len(names) + 0.55,
        across=_ACROSS,
        legend_rows=legend_rows(labels, PAGE),
        narrow=1,
    )
    rows = []
    for number, (share, (axis,)) in enumerate(zip(shares, axes, strict=True)):
        set_title(axis, f"{percent(share)} of the labels")
        named = number % columns_of(len(shares), _ACROSS) == 0
        rows += [
            [name, share, *numbers]
            for name, *numbers in _draw_panel(axis, names, components[share], named=named)
        ]
    legend(figure, handles, labels)
    return figure, rows


def _every(components: Components) -> list[VarianceComponents]:
    return [each for row in components.values() for each in row.values()]


def _share(components: VarianceComponents, source: int) -> float:
    """Share of the known variance of a source; 0 where it is not known."""
    share = components.sources[source].share
    return 0.0 if np.isnan(share) else share


def _draw_panel(
    axis: Any, names: Sequence[str], components: dict[str, VarianceComponents], *, named: bool
) -> list[list[Any]]:
    """Draws a bar for each series from the top down, and returns the numbers of its sources.

    Args:
        axis: the panel.
        names: all series of the figure, whether they have components here or not.
        components: series -> its sources of variance.
        named: whether the names of the series stand beside the bars.
    """
    rows: list[list[Any]] = []
    for place, name in enumerate(reversed(names)):
        each = components.get(name)
        if each is None:
            axis.text(0.01, place, "one cell", va="center", fontsize=5, color="#7F7F7F")
            continue
        _bar(axis, place, each)
        rows += [
            [name, source.name, source.deviation, source.share, source.missing]
            for source in each.sources
        ]
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_yticks(
        range(len(names)),
        [shortened(title(name), 22) for name in reversed(names)] if named else [],
    )
    axis.tick_params(axis="y", length=0)
    axis.set_xlim(0, 1)
    axis.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
    axis.grid(False)
    if not components:
        note_nothing(axis, "one cell each")
    return rows


def _bar(axis: Any, place: int, components: VarianceComponents) -> None:
    """Draws the shares of one series, and writes the standard deviation of all sources on them."""
    left = 0.0
    for source in range(len(SOURCES)):
        share = _share(components, source)
        if share > 0:
            axis.barh(
                place, share, left=left, height=0.75, color=_COLOURS[source],
                hatch=_HATCHES[source], edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            left += share
    total = float(np.nansum([source.variance for source in components.sources])) ** 0.5
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    axis.text(0.985, place, f"{total:.4f}", ha="right", va="center", fontsize=5, bbox=box)
