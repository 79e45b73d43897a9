"""Quality against what it cost: hours of pretraining, parameters, tracks drawn."""

from collections.abc import Iterator, Sequence

import numpy as np

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import (
    grid,
    legend,
    legend_rows,
    logarithmic,
    note_nothing,
    slug,
    style_handles,
)
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import bands_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, styles
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


def cost_of(result: Result) -> dict[str, float]:
    """Hours of pretraining, parameters in millions and tracks drawn in thousands.

    0 for what is not trained.
    """
    trained = is_trained(result)
    drawn = float(result.protocol.get("steps") or 0) * result.spec.train.batch_size
    return {
        "hours": float(result.seconds.get("pretrain", 0.0)) / 3600 if trained else 0.0,
        "parameters": float(result.training.get("parameters") or 0) / 1e6,
        "tracks": drawn / 1e3,
    }


def draw(stock: Stock) -> Iterator[Drawing]:
    """A figure a place and setting.

    Raises:
        NotDrawnError: nothing that was pretrained is stored.
    """
    drawn = False
    for own, name, where, setting in places_by_setting("cost", stock):
        if any(is_trained(result) for result in own):
            drawn = True
            yield _figure(stock, own, name, where, setting)
    if not drawn:
        raise NotDrawnError("nothing that was pretrained is stored")


def _figure(
    stock: Stock, own: Sequence[Result], name: str, where: str, setting: Setting
) -> Drawing:
    share, by_series = at_largest_share(own)
    series = ordered(list(by_series))
    look = styles(series)
    handles, labels = style_handles(look, series, line=False)
    figure, axes = grid(
        len(_COSTS), 1, height=1.6, across=3, legend_rows=legend_rows(labels, PAGE), narrow=0
    )
    rows = []
    for (kind, label), (axis,) in zip(_COSTS.items(), axes, strict=True):
        axis.set_xlabel(label)
        costs = {
            one: float(np.mean([cost_of(cell)[kind] for cell in by_series[one]])) for one in series
        }
        positive = [cost for cost in costs.values() if cost > 0]
        for one in series:
            score = stock.score(by_series[one], _METRIC)
            if score is None:
                continue
            rows.append([one, kind, costs[one], score.value, score.low, score.high])
            if costs[one] <= 0:  # no place on a logarithmic axis: a level that costs nothing
                axis.axhline(
                    score.value, color=look[one].colour, linewidth=0.7, linestyle=":", zorder=1
                )
                continue
            error = (
                None
                if np.isnan(score.low)
                else [[score.value - score.low], [score.high - score.value]]
            )
            drawn = axis.errorbar(
                [costs[one]], [score.value], yerr=error, color=look[one].colour, marker=look[one].marker,
                markersize=look[one].size(4), linestyle="none", elinewidth=0.7, markeredgewidth=0,
            )  # fmt: skip
            drawn[0].set_gid(slug("cost", kind, one))
        if not positive:
            note_nothing(axis, "not known")
        elif max(positive) > 5 * min(positive):
            logarithmic(axis.xaxis)
        else:
            axis.set_xlim(0.8 * min(positive), 1.2 * max(positive))
        axis.locator_params(axis="y", nbins=5)
    axes[0][0].set_ylabel(metric_title(_METRIC))
    legend(figure, handles, labels)
    results = [cell for cells in by_series.values() for cell in cells]
    devices = ", ".join(sorted({result.device for result in results}))
    caption = [
        f"Quality against cost: {where} at {percent(share)} of the labels; {setting.words}. Bars are 95 % intervals "
        f"over the choice of test tracks; dotted lines are methods to which a cost does not apply. Hours are "
        f"of {devices}"
        f"{', and of different devices cannot be compared' if ',' in devices else ''}; parameters are those of "
        "the encoder, without heads.",
    ]
    files = {"numbers.csv": bands_csv(rows, ["series", "cost", "amount", "score", "low", "high"])}
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], files)
