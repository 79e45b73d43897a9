"""CLMR's figures (arXiv:2103.09410): limited labels, and transfer between data sets."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.report.agreement import SIGNS, Match, agree
from bench.report.figures import curves
from bench.report.figures.layout import (
    error_bars,
    grid,
    handles_of_both,
    legend,
    legend_rows,
    note_nothing,
    sign_below,
    slug,
)
from bench.report.figures.own import curves_numbers, panel_of_curves
from bench.report.figures.paper import Mode, ends, files, main_setting, numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, Style, published_series, styles
from bench.report.groups import grouped
from bench.report.names import metric_title, ordered
from bench.report.places import place_of
from bench.report.reference import Published, of_paper, read_papers
from bench.report.series import share_of
from bench.report.setting import fits, is_trained, pretrain_of, probe_of, uses_labels
from bench.report.stock import Score, Stock
from bench.results import Result

_LABELS_METRICS = ("map_macro",)
_METRICS = ("roc_auc_macro", "map_macro")
_PROBES = ("linear", "mlp")
_UNIFORM = (
    "The paper draws its subsets balanced over tags, and of segments rather than clips; its curves "
    "must not be set against those of uniform draws."
)


def draw(stock: Stock, mode: Mode) -> Iterator[Drawing | NotDrawnError]:
    """The figure of limited labels and that of transfer, or the reason why one is not drawn.

    Args:
        stock: the stored cells.
        mode: what the figures show.

    Raises:
        NotDrawnError: ours alone are asked for, and nothing is stored.
    """
    if mode == "ours" and not stock.results:
        raise NotDrawnError(f"no results in {stock.folder}")
    rows = of_paper("clmr")
    yield _limited_labels([row for row in rows if row.exhibit == "labels"], stock, mode)
    yield _transfer([row for row in rows if row.exhibit == "transfer"], stock, mode)


def _limited_labels(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing:
    matches = agree(rows, stock) if mode == "both" else []
    sets = list(dict.fromkeys((row.dataset, row.split, row.evaluated_on) for row in rows))
    panels: list[curves.Curves] = []
    used: list[Result] = []
    if mode != "ours":
        for dataset, split, name in sets:
            published = [row for row in rows if row.evaluated_on == name]
            here = [match for match in matches if match.published in published]
            cells = [
                result
                for result in stock.results
                if (result.dataset, result.data.get("split")) == (dataset, split)
            ]
            cells = _of_nearest_setting(cells, strictly=True) if mode == "both" else []
            panels.append(
                panel_of_curves(
                    stock, cells, _LABELS_METRICS, name, published=published, matches=here
                )
            )
            used += cells
    if mode != "published":
        known = {(dataset, split) for dataset, split, _ in sets} if mode == "both" else set()
        for place, cells in stock.places.items():
            if (place.dataset, place.split) not in known:
                drawn = _of_nearest_setting(cells)
                panels.append(panel_of_curves(stock, drawn, _LABELS_METRICS, stock.titles[place]))
                used += drawn
    names = ordered(curves.names_of(panels))
    figure = curves.draw_curves(panels, _LABELS_METRICS, names, styles(names))
    caption = [
        "CLMR's figure of limited labels: PR-AUC (macro mAP) against the share of the labels, of a "
        "linear probe on the frozen encoder (SimCLR) and of the same encoder trained on the labels "
        "alone (Supervised).",
        "" if mode == "ours" else _UNIFORM,
        curves.HOW if used else "",
        *ends(stock, mode, rows, matches, used),
    ]
    numbers = {"numbers.csv": curves_numbers(panels)} if used else {}
    return Drawing(
        f"clmr-labels-{mode}", figure, caption, {**files(mode, rows, matches), **numbers}
    )


def _of_nearest_setting(cells: Sequence[Result], *, strictly: bool = False) -> list[Result]:
    """The cells of the setting nearest to the paper's; see `main_setting`."""
    setting = main_setting(cells, read_papers()["clmr"].recipe, "linear", strictly=strictly)
    return [] if setting is None else [result for result in cells if fits(result, setting)]


_Points = dict[tuple[str, str, str, str], tuple[float, Score | None, str]]
"""(metric, probe, series, pretrained on) -> (score, ours with its interval, sign of agreement)."""


def _transfer(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing | NotDrawnError:
    matches = agree(rows, stock) if mode == "both" else []
    published, ours, used = _published_transfer(rows if mode != "ours" else [], matches)
    where = "MagnaTagATune"
    if mode == "ours":
        ours, used, where = _own_transfer(stock)
        if not used:
            return NotDrawnError(
                "clmr-transfer-ours: no stored cell was pretrained on another data set than its own"
            )
    caption = [
        f"CLMR's transfers: pretrained on one data set, probed on {where}, all labels. Hollow "
        "markers are published numbers, filled ones ours with the 95 % interval over the choice of "
        "test tracks.",
        *ends(stock, mode, rows, matches, used),
    ]
    numbers = numbers_csv(
        [
            [
                *key,
                value,
                "" if score is None else score.low,
                "" if score is None else score.high,
            ]
            for key, (value, score, _) in ours.items()
        ],
        ["metric", "probe", "series", "pretrained_on", "score", "low", "high"],
    )
    further = {"numbers.csv": numbers} if ours else {}
    return Drawing(
        f"clmr-transfer-{mode}",
        _transfer_figure(published, ours),
        caption,
        {**files(mode, rows, matches), **further},
    )


def _published_transfer(
    rows: Sequence[Published], matches: Sequence[Match]
) -> tuple[_Points, _Points, list[Result]]:
    """The published points, ours that match them, and the cells of ours."""
    published: _Points = {}
    ours: _Points = {}
    used: list[Result] = []
    for row in rows:
        key = (row.metric, row.probe, published_series(row), row.pretrain_as)
        match = next((match for match in matches if match.published is row), None)
        published[key] = row.value, None, SIGNS[match.mark] if match else ""
        if match and match.ours:
            ours[key] = match.ours.value, match.ours, ""
            used += match.cells
    return published, ours, used


def _own_transfer(stock: Stock) -> tuple[_Points, list[Result], str]:
    """Our cells by what they were pretrained on.

    They are those of the place with most pretraining data sets, at its largest share of the labels.

    Returns:
        (points, cells, title of the place); empty where no place has two pretraining data sets.
    """
    most, title = 1, ""
    used: list[Result] = []
    for place, cells in stock.places.items():
        largest = max(share_of(result) for result in cells)
        trained = [
            result
            for result in cells
            if is_trained(result) and not uses_labels(result) and share_of(result) == largest
        ]
        kinds = {pretrain_of(result) for result in trained}
        if len(kinds) > most:
            most, used, title = len(kinds), trained, stock.titles[place]

    def key(result: Result) -> tuple[str, str, str]:
        pretrained_on = pretrain_of(result) or place_of(result).dataset
        return probe_of(result), result.spec.method.name, pretrained_on

    points: _Points = {}
    for (probe, method, pretrained_on), cells in grouped(used, key).items():
        for metric in _METRICS:
            score = stock.score(cells, metric)
            if score and probe in _PROBES:
                points[metric, probe, method, pretrained_on] = score.value, score, ""
    return points, used, title


def _transfer_figure(published: _Points, ours: _Points) -> Any:
    """A panel for each probe, one metric above the other, pretraining data sets side by side."""
    points = {**published, **ours}
    columns = list(dict.fromkeys(key[3] for key in points))
    series = ordered([key[2] for key in points])
    style = styles(series)
    handles, labels = handles_of_both(
        style, series, line=False, ours=bool(ours), published=bool(published)
    )
    probes = [probe for probe in _PROBES if any(key[1] == probe for key in points)]
    figure, axes = grid(
        len(probes), len(_METRICS), height=1.4, legend_rows=legend_rows(labels, PAGE), narrow=0
    )
    for probe, column in zip(probes, axes, strict=True):
        column[0].set_title(f"{'MLP' if probe == 'mlp' else probe} probe")
        for metric, axis in zip(_METRICS, column, strict=True):
            _draw_panel(axis, metric, probe, columns, series, style, published, ours)
            axis.set_ylabel(metric_title(metric) if column is axes[0] else "")
        column[-1].set_xlabel("pretrained on")
    legend(figure, handles, labels)
    return figure


def _draw_panel(
    axes: Any, metric: str, probe: str, columns: Sequence[str], series: Sequence[str],
    style: dict[str, Style], published: _Points, ours: _Points,
) -> None:  # fmt: skip
    """Draws one metric of one probe: a column for each pretraining data set."""
    drawn = False
    for place, column in enumerate(columns):
        for number, name in enumerate(series):
            key = (metric, probe, name, column)
            x = place + 0.5 * ((number + 0.5) / len(series) - 0.5)
            gid = slug(metric, probe, name, column)
            if key in published:
                value, _, sign = published[key]
                axes.plot(
                    [x - (0.06 if key in ours else 0)], [value], marker=style[name].marker,
                    color=style[name].colour, markerfacecolor="white", linestyle="none",
                    markeredgewidth=0.9, gid=f"published-{gid}",
                )  # fmt: skip
                sign_below(axes, x, sign)
                drawn = True
            if key in ours and (score := ours[key][1]):
                line = axes.errorbar(
                    [x + (0.06 if key in published else 0)], [score.value],
                    marker=style[name].marker, yerr=error_bars(score), color=style[name].colour,
                    elinewidth=0.8, markersize=3.6, markeredgewidth=0,
                )  # fmt: skip
                line[0].set_gid(f"ours-{gid}")
                drawn = True
    axes.set_xlim(-0.5, len(columns) - 0.5)
    axes.set_xticks(range(len(columns)), columns)
    if not drawn:
        axes.set_yticks([])
        note_nothing(axes, "no stored cell")
        return
    axes.margins(y=0.12)
    low, high = axes.get_ylim()
    axes.set_ylim(low - 0.1 * (high - low), high)
    axes.locator_params(axis="y", nbins=5)
