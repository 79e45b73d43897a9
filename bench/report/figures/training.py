"""Training curves, and the signs of collapse beside them."""

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
from bench.report.figures.paper import bands_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, Style, styles, title
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
_LINES = 5
_WIDE = 20  # times, from which on an axis is logarithmic
_EXPLAINED = (
    "Deviation: mean deviation of the L2-normalised embeddings' dimensions times the root of their number; 1 when they "
    "are spread evenly over the sphere, 0 when all are alike (Chen and He 2021). Effective rank: RankMe of the centred "
    "embeddings (Garrido et al. 2023); it compares runs of one method. Both on a fixed batch of views."
)


def runs(results: Sequence[Result]) -> dict[str, list[Result]]:
    """One result a pretraining, by the series that it belongs to, in the order of seeds.

    Pretrainings are told apart by their product's key: every cell that was probed from one says the
    same of it.
    """
    trained: dict[str, Result] = {}
    for result in results:
        if is_trained(result) and result.training.get("curve"):
            trained.setdefault(str(result.products.get("pretrain", result.cell)), result)
    names = series_names(list(trained.values()))
    found: dict[str, list[Result]] = {}
    for result in sorted(trained.values(), key=lambda one: (one.spec.seed, one.dataset, one.cell)):
        found.setdefault(names[result.cell], []).append(result)
    return found


def draw(stock: Stock) -> Iterator[Drawing]:
    """Loss terms of every method, and the diagnostics of all of them, one figure each for a data set and encoder.

    Raises:
        NotDrawnError: no stored cell has a training curve.
    """
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in stock.results:
        if is_trained(result) and result.training.get("curve"):
            key = (
                pretrain_of(result) or result.dataset,
                result.spec.encoder.name,
                result.spec.recipe,
            )
            groups.setdefault(key, []).append(result)
    if not groups:
        raise NotDrawnError("no stored cell has a training curve")
    for (dataset, encoder, recipe), results in sorted(groups.items()):
        found = runs(results)
        name = slug(dataset, encoder, recipe)
        where = f"pretrained on {dataset}, encoder {encoder}, recipe {recipe}"
        yield _losses(stock, found, f"training-{name}", where)
        yield _diagnostics(stock, found, f"diagnostics-{name}", where)


def _losses(stock: Stock, found: dict[str, list[Result]], name: str, where: str) -> Drawing:
    series = ordered(list(found))
    figure, axes = grid(len(series), 1, height=1.25, across=4, legend_rows=0, narrow=1)
    look = styles(series)
    rows = []
    for one, (axis,) in zip(series, axes, strict=True):
        set_title(axis, title(one))
        used = found[one][:_LINES]
        terms = [key for key in used[0].training["curve"][0] if key not in ("step", "loss")]
        for result in used:
            curve = result.training["curve"]
            steps = [point["step"] for point in curve]
            axis.plot(
                steps,
                [point["loss"] for point in curve],
                color=look[one].colour,
                linewidth=0.9,
                zorder=3,
            )
            for number, term in enumerate(terms):
                known = [(point["step"], point[term]) for point in curve if term in point]
                line = (":", "--", "-.", (0, (5, 1)), (0, (1, 3)))[number % 5]
                axis.plot(
                    *zip(*known, strict=True),
                    color=look[one].colour,
                    linewidth=0.6,
                    linestyle=line,
                    alpha=0.7,
                )
            rows += [
                [one, result.spec.seed, point["step"], key, value]
                for point in curve
                for key, value in point.items()
                if key != "step"
            ]
        for number, term in enumerate(terms):
            line = (":", "--", "-.", (0, (5, 1)), (0, (1, 3)))[number % 5]
            axis.plot([], [], color=look[one].colour, linewidth=0.6, linestyle=line, label=term)
        values = [point["loss"] for result in used for point in result.training["curve"]]
        every = [float(value) for line in axis.get_lines() for value in line.get_ydata()]
        # A term before its weight may stand far above the loss, and would press the loss onto the
        # axis.
        falls, dwarfed = max(values) > _WIDE * min(values), max(every) > _WIDE * max(values)
        if min(values) > 0 and (falls or dwarfed):
            logarithmic(axis.yaxis)
        if terms:
            axis.plot([], [], color=look[one].colour, linewidth=0.9, label="loss")
            axis.legend(fontsize=5, handlelength=1.4, loc="best", borderaxespad=0.1)
        axis.set_xlabel("step")
        axis.locator_params(axis="x", nbins=4, integer=True)
    axes[0][0].set_ylabel("loss")
    caption = [
        f"Training curves: {where}. One panel a method, one line a pretraining (at most {_LINES} of each), solid for "
        "the loss, broken for its terms; losses of different methods cannot be compared.",
    ]
    results = [result for several in found.values() for result in several]
    files = {"numbers.csv": bands_csv(rows, ["series", "seed", "step", "term", "value"])}
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], files)


def _diagnostics(stock: Stock, found: dict[str, list[Result]], name: str, where: str) -> Drawing:
    series = ordered(list(found))
    look = styles(series)
    points = [
        point
        for several in found.values()
        for result in several
        for point in result.training.get("diagnostics", ())
    ]
    shown = [key for key in _SIGNS if any(key in point for point in points)] or ["deviation"]
    handles, labels = style_handles(look, series, line=True)
    figure, axes = grid(
        len(shown), 1, height=1.5, across=3, legend_rows=legend_rows(labels, PAGE), narrow=1
    )
    rows = []
    for key, (axis,) in zip(shown, axes, strict=True):
        drawn = False
        for one in series:
            for result in found[one][:_LINES]:
                known = [point for point in result.training.get("diagnostics", ()) if key in point]
                if known:
                    drawn = True
                    _line(axis, known, key, look[one])
                    rows += [
                        [one, result.spec.seed, point["step"], key, point[key]] for point in known
                    ]
        axis.set_ylabel(_SIGNS[key])
        axis.set_xlabel("step")
        axis.set_ylim(0, 1.08 * axis.get_ylim()[1])
        axis.locator_params(axis="x", nbins=6, integer=True)
        if not drawn:
            note_nothing(axis, "no diagnostics stored")
    legend(figure, handles, labels)
    warned = sorted(
        {
            f"{one}, seed {result.spec.seed}: {result.training['warning']}"
            for one in series
            for result in found[one]
            if result.training.get("warning")
        }
    )
    caption = [
        f"Diagnostics during training: {where}; one line a pretraining (at most {_LINES} of each method)."
    ]
    caption += [
        _EXPLAINED,
        f"Warnings: {'; '.join(warned)}." if warned else "No run looks collapsed.",
    ]
    results = [result for several in found.values() for result in several]
    files = {"numbers.csv": bands_csv(rows, ["series", "seed", "step", "sign", "value"])}
    return Drawing(name, figure, [*caption, *protocol(results), *left_out(stock)], files)


def _line(axis: Any, known: Sequence[dict[str, float]], key: str, look: Style) -> None:
    axis.plot(
        [point["step"] for point in known], [point[key] for point in known], color=look.colour, marker=look.marker,
        linestyle=look.line, linewidth=0.7, markersize=2.2,
    )  # fmt: skip
