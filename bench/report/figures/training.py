"""Training curves, and diagnostics of collapse beside them."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.report.captions import left_out, protocol
from bench.report.figures.layout import (
    grid,
    legend,
    legend_rows,
    logarithmic,
    note_nothing,
    set_title,
    slug,
    style_handles,
)
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, Style, styles, title
from bench.report.groups import grouped
from bench.report.names import ordered
from bench.report.series import series_names
from bench.report.setting import is_trained, pretrain_of
from bench.report.stock import Stock
from bench.results import Result

_SIGNS = {
    "deviation": "deviation of embeddings",
    "effective_rank": "effective rank",
    "valid_map": "mAP on the valid split",
}
"""Diagnostic -> label of its axis."""
_LINES = 5  # pretrainings of a method that are drawn
_WIDE = 20  # factor between least and greatest from which on an axis is logarithmic
_DASHES = (":", "--", "-.", (0, (5, 1)), (0, (1, 3)))  # of the terms of a loss
_EXPLAINED = (
    "Deviation: mean deviation of the L2-normalised embeddings' dimensions times the root of their "
    "number; 1 when they are spread evenly over the sphere, 0 when all are alike (Chen and He "
    "2021). Effective rank: RankMe of the centred embeddings (Garrido et al. 2023); it compares "
    "runs of one method. Both on a fixed batch of views."
)


def draw(stock: Stock) -> Iterator[Drawing]:
    """Loss curves and diagnostics: a figure each for a pretraining data set, encoder and recipe.

    Raises:
        NotDrawnError: no stored cell has a training curve.
    """
    trained = [
        result for result in stock.results if is_trained(result) and result.training.get("curve")
    ]
    if not trained:
        raise NotDrawnError("no stored cell has a training curve")

    def key(result: Result) -> tuple[str, str, str]:
        spec = result.spec
        return pretrain_of(result) or result.dataset, spec.encoder.name, spec.recipe

    for (dataset, encoder, recipe), results in sorted(grouped(trained, key).items()):
        runs = pretrainings(results)
        name = slug(dataset, encoder, recipe)
        where = f"pretrained on {dataset}, encoder {encoder}, recipe {recipe}"
        yield _losses(stock, runs, f"training-{name}", where)
        yield _diagnostics(stock, runs, f"diagnostics-{name}", where)


def pretrainings(results: Sequence[Result]) -> dict[str, list[Result]]:
    """One result for each pretraining, by series and in the order of seeds.

    All cells that were probed from one pretraining hold the same curve; they are known by the key
    of its product.
    """
    first: dict[str, Result] = {}
    for result in results:
        first.setdefault(str(result.products.get("pretrain", result.cell)), result)
    names = series_names(list(first.values()))
    by_seed = sorted(
        first.values(), key=lambda result: (result.spec.seed, result.dataset, result.cell)
    )
    return grouped(by_seed, lambda result: names[result.cell])


def _losses(stock: Stock, runs: dict[str, list[Result]], name: str, where: str) -> Drawing:
    """The figure of loss curves.

    Args:
        stock: the stored cells.
        runs: series -> its pretrainings.
        name: name of the figure.
        where: what all pretrainings share, for the caption.
    """
    series = ordered(list(runs))
    figure, axes = grid(len(series), 1, height=1.25, across=4, legend_rows=0, narrow=1)
    look = styles(series)
    rows = []
    for method, (axis,) in zip(series, axes, strict=True):
        set_title(axis, title(method))
        shown = runs[method][:_LINES]
        _draw_losses(axis, shown, look[method])
        rows += [
            [method, result.spec.seed, point["step"], term, value]
            for result in shown
            for point in result.training["curve"]
            for term, value in point.items()
            if term != "step"
        ]
    axes[0][0].set_ylabel("loss")
    results = [result for several in runs.values() for result in several]
    caption = [
        f"Training curves: {where}. One panel a method, one line a pretraining (at most {_LINES} "
        "of each), solid for the loss, broken for its terms; losses of different methods cannot be "
        "compared.",
        *protocol(results),
        *left_out(stock),
    ]
    files = {"numbers.csv": numbers_csv(rows, ["series", "seed", "step", "term", "value"])}
    return Drawing(name, figure, caption, files)


def _draw_losses(axis: Any, runs: Sequence[Result], style: Style) -> None:
    """Draws the loss and its terms of pretrainings of one series."""
    terms = [key for key in runs[0].training["curve"][0] if key not in ("step", "loss")]
    for result in runs:
        curve = result.training["curve"]
        axis.plot(
            [point["step"] for point in curve],
            [point["loss"] for point in curve],
            color=style.colour,
            linewidth=0.9,
            zorder=3,
        )
        for number, term in enumerate(terms):
            known = [(point["step"], point[term]) for point in curve if term in point]
            axis.plot(
                *zip(*known, strict=True),
                color=style.colour,
                linewidth=0.6,
                linestyle=_DASHES[number % len(_DASHES)],
                alpha=0.7,
            )
    for number, term in enumerate(terms):
        line = _DASHES[number % len(_DASHES)]
        axis.plot([], [], color=style.colour, linewidth=0.6, linestyle=line, label=term)
    losses = [point["loss"] for result in runs for point in result.training["curve"]]
    every = [float(value) for line in axis.get_lines() for value in line.get_ydata()]
    # A term before its weight may stand far above the loss, and would press the loss onto the axis.
    falls, dwarfed = max(losses) > _WIDE * min(losses), max(every) > _WIDE * max(losses)
    if min(losses) > 0 and (falls or dwarfed):
        logarithmic(axis.yaxis)
    if terms:
        axis.plot([], [], color=style.colour, linewidth=0.9, label="loss")
        axis.legend(fontsize=5, handlelength=1.4, loc="best", borderaxespad=0.1)
    axis.set_xlabel("step")
    axis.locator_params(axis="x", nbins=4, integer=True)


def _diagnostics(stock: Stock, runs: dict[str, list[Result]], name: str, where: str) -> Drawing:
    """The figure of diagnostics, one panel for each; arguments as of `_losses`."""
    series = ordered(list(runs))
    look = styles(series)
    results = [result for several in runs.values() for result in several]
    points = [point for result in results for point in result.training.get("diagnostics", ())]
    shown = [key for key in _SIGNS if any(key in point for point in points)] or ["deviation"]
    handles, labels = style_handles(look, series, line=True)
    figure, axes = grid(
        len(shown), 1, height=1.5, across=3, legend_rows=legend_rows(labels, PAGE), narrow=1
    )
    rows = []
    for key, (axis,) in zip(shown, axes, strict=True):
        rows += _draw_diagnostic(
            axis, key, {method: runs[method][:_LINES] for method in series}, look
        )
    legend(figure, handles, labels)
    warned = sorted(
        {
            f"{method}, seed {result.spec.seed}: {result.training['warning']}"
            for method in series
            for result in runs[method]
            if result.training.get("warning")
        }
    )
    caption = [
        f"Diagnostics during training: {where}; one line a pretraining (at most {_LINES} of each "
        "method).",
        _EXPLAINED,
        f"Warnings: {'; '.join(warned)}." if warned else "No run looks collapsed.",
        *protocol(results),
        *left_out(stock),
    ]
    files = {"numbers.csv": numbers_csv(rows, ["series", "seed", "step", "sign", "value"])}
    return Drawing(name, figure, caption, files)


def _draw_diagnostic(
    axis: Any, key: str, runs: dict[str, list[Result]], look: dict[str, Style]
) -> list[list[Any]]:
    """Draws one diagnostic of all series, and returns its numbers.

    Args:
        axis: the panel.
        key: name of the diagnostic.
        runs: series -> pretrainings that are drawn.
        look: how each series is drawn.
    """
    rows: list[list[Any]] = []
    for name, results in runs.items():
        for result in results:
            known = [point for point in result.training.get("diagnostics", ()) if key in point]
            if known:
                axis.plot(
                    [point["step"] for point in known], [point[key] for point in known],
                    color=look[name].colour, marker=look[name].marker, linestyle=look[name].line,
                    linewidth=0.7, markersize=2.2,
                )  # fmt: skip
                rows += [
                    [name, result.spec.seed, point["step"], key, point[key]] for point in known
                ]
    axis.set_ylabel(_SIGNS[key])
    axis.set_xlabel("step")
    axis.set_ylim(0, 1.08 * axis.get_ylim()[1])
    axis.locator_params(axis="x", nbins=6, integer=True)
    if not rows:
        note_nothing(axis, "no diagnostics stored")
    return rows
