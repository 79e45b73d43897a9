"""Scores against their cost: hours of pretraining, parameters, tracks drawn in pretraining."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import (
    error_bars,
    grid,
    legend,
    legend_rows,
    logarithmic,
    note_nothing,
    slug,
    style_handles,
)
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, Style, styles
from bench.report.names import metric_title, ordered, percent
from bench.report.series import at_largest_share
from bench.report.setting import Setting, is_trained
from bench.report.stock import Stock
from bench.results import Result

_METRIC = "map_macro"
_COSTS = {
    "hours": "hours of pretraining",
    "parameters": "parameters of the encoder (millions)",
    "tracks": "tracks drawn in pretraining (thousands)",
}
"""Kind of cost -> label of its axis."""


def cost_of(result: Result) -> dict[str, float]:
    """What a cell cost; hours and tracks are 0 for what is not trained.

    Returns:
        "hours" of pretraining, "parameters" of the encoder in millions, and "tracks" drawn in
        pretraining in thousands.
    """
    trained = is_trained(result)
    drawn = float(result.protocol.get("steps") or 0) * result.spec.train.batch_size
    return {
        "hours": float(result.seconds.get("pretrain", 0.0)) / 3600 if trained else 0.0,
        "parameters": float(result.training.get("parameters") or 0) / 1e6,
        "tracks": drawn / 1e3,
    }


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure for each place and setting, with one panel for each kind of cost.

    Raises:
        NotDrawnError: nothing that was pretrained is stored.
    """
    any_drawn = False
    for cells, name, where, setting in places_by_setting("cost", stock):
        if any(is_trained(result) for result in cells):
            any_drawn = True
            yield _drawing(stock, cells, name, where, setting)
    if not any_drawn:
        raise NotDrawnError("nothing that was pretrained is stored")


def _drawing(
    stock: Stock, cells: Sequence[Result], name: str, where: str, setting: Setting
) -> Drawing:
    """The figure of one place and setting, with its caption and numbers."""
    share, by_series = at_largest_share(cells)
    series = ordered(list(by_series))
    look = styles(series)
    handles, labels = style_handles(look, series, line=False)
    figure, axes = grid(
        len(_COSTS), 1, height=1.6, across=3, legend_rows=legend_rows(labels, PAGE), narrow=0
    )
    rows = []
    for (kind, label), (axis,) in zip(_COSTS.items(), axes, strict=True):
        axis.set_xlabel(label)
        rows += _draw_panel(
            axis, kind, stock, {method: by_series[method] for method in series}, look
        )
    axes[0][0].set_ylabel(metric_title(_METRIC))
    legend(figure, handles, labels)
    results = [cell for at_share in by_series.values() for cell in at_share]
    devices = ", ".join(sorted({result.device for result in results}))
    several = ", and of different devices cannot be compared" if "," in devices else ""
    caption = [
        f"Quality against cost: {where} at {percent(share)} of the labels; {setting.words}. Bars "
        "are 95 % intervals over the choice of test tracks; dotted lines are methods to which a "
        f"cost does not apply. Hours are of {devices}{several}; parameters are those of the "
        "encoder, without heads.",
        *protocol(results),
        *left_out(stock),
    ]
    files = {"numbers.csv": numbers_csv(rows, ["series", "cost", "amount", "score", "low", "high"])}
    return Drawing(name, figure, caption, files)


def _draw_panel(
    axis: Any, kind: str, stock: Stock, cells: dict[str, list[Result]], look: dict[str, Style]
) -> list[list[Any]]:
    """Draws the scores against one kind of cost, and returns the numbers.

    Args:
        axis: the panel.
        kind: one of `_COSTS`.
        stock: the stored cells.
        cells: series -> its cells.
        look: how each series is drawn.
    """
    rows: list[list[Any]] = []
    costs = {
        name: float(np.mean([cost_of(cell)[kind] for cell in results]))
        for name, results in cells.items()
    }
    for name, results in cells.items():
        score = stock.score(results, _METRIC)
        if score is None:
            continue
        rows.append([name, kind, costs[name], score.value, score.low, score.high])
        style = look[name]
        if costs[name] <= 0:  # no place on a logarithmic axis: a level that costs nothing
            axis.axhline(score.value, color=style.colour, linewidth=0.7, linestyle=":", zorder=1)
            continue
        drawn = axis.errorbar(
            [costs[name]], [score.value], yerr=error_bars(score), color=style.colour,
            marker=style.marker, markersize=style.size(4), linestyle="none", elinewidth=0.7,
            markeredgewidth=0,
        )  # fmt: skip
        drawn[0].set_gid(slug("cost", kind, name))
    positive = [cost for cost in costs.values() if cost > 0]
    if not positive:
        note_nothing(axis, "not known")
    elif max(positive) > 5 * min(positive):
        logarithmic(axis.xaxis)
    else:
        axis.set_xlim(0.8 * min(positive), 1.2 * max(positive))
    axis.locator_params(axis="y", nbins=5)
    return rows
