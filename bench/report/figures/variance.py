"""What a single score depends on: shares of variance of pretraining seed, label draw, probe seed and test sample."""

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
from bench.report.figures.paper import bands_csv
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
_PANELS = 6


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure a place and setting: a panel a share of the labels, one bar a method.

    Raises:
        NotDrawnError: no method has several seeds or draws.
    """
    drawn = False
    for own, name, where, setting in places_by_setting("variance", stock):
        found = _all_components(stock, own)
        if found:
            drawn = True
            yield _figure(stock, own, found, name, where, setting)
    if not drawn:
        raise NotDrawnError("no method has several pretraining seeds, label draws or probe seeds")


def _all_components(
    stock: Stock, own: Sequence[Result]
) -> dict[float, dict[str, VarianceComponents]]:
    """Share of the labels -> series -> components, where more than the test sample is known."""
    found: dict[float, dict[str, VarianceComponents]] = {}
    for name, by_fraction in series(own).items():
        for cells in by_fraction.values():
            components = components_of(stock, cells)
            if components is not None and max(components.shape) > 1:
                found.setdefault(share_of(cells[0]), {})[name] = components
    return dict(sorted(found.items()))


def components_of(stock: Stock, results: Sequence[Result]) -> VarianceComponents | None:
    """Sources of variance of one series at one share; None where nothing can be said."""
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
        grid_ = balanced_grid(rows)
        return variance_components(grid_.scores, grid_.resampled)
    except InputError:
        return None


def _figure(
    stock: Stock, own: Sequence[Result], found: dict[float, dict[str, VarianceComponents]],
    name: str, where: str, setting: Setting,
) -> Drawing:  # fmt: skip
    from matplotlib.patches import Patch

    shares = list(found)[:_PANELS]
    names = ordered([one for row in found.values() for one in row])
    known = [
        place for place in range(len(SOURCES)) if any(_share(one, place) for one in _flat(found))
    ]
    handles = [
        Patch(facecolor=_COLOURS[place], hatch=_HATCHES[place], edgecolor="white")
        for place in known
    ]
    labels = [SOURCES[place] for place in known]
    height = 0.16 * len(names) + 0.55
    width = legend_rows(labels, PAGE)
    figure, axes = grid(len(shares), 1, height=height, across=3, legend_rows=width, narrow=1)
    rows = []
    for number, (share, (axis,)) in enumerate(zip(shares, axes, strict=True)):
        set_title(axis, f"{percent(share)} of the labels")
        for place, one in enumerate(reversed(names)):
            components = found[share].get(one)
            if components is None:
                axis.text(0.01, place, "one cell", va="center", fontsize=5, color="#7F7F7F")
                continue
            _bar(axis, place, components)
            rows += [
                [one, share, source.name, source.deviation, source.share, source.missing]
                for source in components.sources
            ]
        axis.set_ylim(-0.6, len(names) - 0.4)
        first = number % columns_of(len(shares), 3) == 0
        axis.set_yticks(
            range(len(names)),
            [shortened(title(one), 22) for one in reversed(names)] if first else [],
        )
        axis.tick_params(axis="y", length=0)
        axis.set_xlim(0, 1)
        axis.set_xticks([0, 0.5, 1], ["0", "50%", "100%"])
        axis.grid(False)
        if not found[share]:
            note_nothing(axis, "one cell each")
    legend(figure, handles, labels)
    unknown = sorted({line for one in _flat(found) for line in one.unknown})
    more = (
        f" {len(found) - _PANELS} further shares are in the file of numbers alone."
        if len(found) > _PANELS
        else ""
    )
    caption = [
        f"What a single {metric_title(_METRIC)} depends on: {where}; {setting.words}. Bars are shares of the known "
        f"variance; the number is the standard deviation that all known sources give one score.{more}",
        f"Not known: {'; '.join(unknown)}." if unknown else "",
    ]
    files = {
        "numbers.csv": bands_csv(
            rows, ["series", "share", "source", "deviation", "share_of_variance", "missing"]
        )
    }
    return Drawing(name, figure, [*caption, *protocol(own), *left_out(stock)], files)


def _flat(found: dict[float, dict[str, VarianceComponents]]) -> list[VarianceComponents]:
    return [one for row in found.values() for one in row.values()]


def _share(components: VarianceComponents, place: int) -> float:
    share = components.sources[place].share
    return 0.0 if np.isnan(share) else share


def _bar(axis: Any, place: int, components: VarianceComponents) -> None:
    left = 0.0
    for number in range(len(SOURCES)):
        share = _share(components, number)
        if share > 0:
            axis.barh(
                place, share, left=left, height=0.75, color=_COLOURS[number],
                hatch=_HATCHES[number], edgecolor="white", linewidth=0.4,
            )  # fmt: skip
            left += share
    total = float(np.nansum([source.variance for source in components.sources])) ** 0.5
    box = {"facecolor": "white", "edgecolor": "none", "pad": 0.6, "alpha": 0.85}
    axis.text(0.985, place, f"{total:.4f}", ha="right", va="center", fontsize=5, bbox=box)
