"""CLMR's figures (arXiv:2103.09410): limited labels on MagnaTagATune and MSD, and transfer to MagnaTagATune."""

from collections.abc import Iterator, Sequence
from typing import Any

from bench.report.agreement import SIGNS, Match, agree
from bench.report.captions import left_out, protocol
from bench.report.figures import curves
from bench.report.figures.layout import (
    grid,
    handle,
    legend,
    legend_rows,
    note_nothing,
    slug,
    style_handles,
)
from bench.report.figures.own import curves_numbers, panel_of_curves
from bench.report.figures.paper import (
    Mode,
    bands_csv,
    main_setting,
    marks_csv,
    marks_words,
    published_csv,
    sources_words,
)
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import PAGE, Style, published_series, styles
from bench.report.names import metric_title, ordered
from bench.report.places import place_names, place_of
from bench.report.reference import Published, of_paper, read_papers
from bench.report.series import share_of
from bench.report.setting import fits, is_trained, pretrain_of, probe_of, uses_labels
from bench.report.stock import Score, Stock
from bench.results import Result

_LABELS_METRICS = ("map_macro",)
_METRICS = ("roc_auc_macro", "map_macro")
_PROBES = ("linear", "mlp")
_UNIFORM = (
    "The paper draws its subsets balanced over tags, and of segments rather than clips; its curves must not be set "
    "against those of uniform draws."
)


def draw(stock: Stock, mode: Mode) -> Iterator[Drawing | NotDrawnError]:
    """The limited-label figure and the transfer figure in a mode.

    A reason in place of one that cannot be drawn.
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
            mine = [row for row in rows if row.evaluated_on == name]
            here = [match for match in matches if match.published in mine]
            own = [
                result
                for result in stock.results
                if (result.dataset, result.data.get("split")) == (dataset, split)
            ]
            own = _setting_of(own, strictly=True) if mode == "both" else []
            panels.append(
                panel_of_curves(stock, own, _LABELS_METRICS, name, published=mine, matches=here)
            )
            used += own
    if mode != "published":
        names = place_names(stock.places)
        known = {(dataset, split) for dataset, split, _ in sets} if mode == "both" else set()
        for place, own in stock.places.items():
            if (place.dataset, place.split) not in known:
                drawn = _setting_of(own)
                panels.append(panel_of_curves(stock, drawn, _LABELS_METRICS, names[place]))
                used += drawn
    series = ordered(
        [
            name
            for panel in panels
            for side in (panel.ours, panel.published)
            for row in side.values()
            for name in row
        ]
    )
    figure = curves.draw_curves(panels, _LABELS_METRICS, series, styles(series))
    caption = [
        "CLMR's figure of limited labels: PR-AUC (macro mAP) against the share of the labels, of a linear probe on the "
        "frozen encoder (SimCLR) and of the same encoder trained on the labels alone (Supervised).",
        "" if mode == "ours" else _UNIFORM,
        curves.HOW if used else "",
    ]
    files = {"numbers.csv": curves_numbers(panels)} if used else {}
    return Drawing(f"clmr-labels-{mode}", figure, [*caption, *_ends(stock, mode, rows, matches, used)], {
        **_files(mode, rows, matches), **files,
    })  # fmt: skip


def _setting_of(own: Sequence[Result], *, strictly: bool = False) -> list[Result]:
    """The cells of the setting nearest to the paper's."""
    setting = main_setting(own, read_papers()["clmr"].recipe, "linear", strictly=strictly)
    return [] if setting is None else [result for result in own if fits(result, setting)]


_Points = dict[tuple[str, str, str, str], tuple[float, Score | None, str]]
"""(metric, probe, series, pretrained on) -> (score, ours with its interval, sign)."""


def _transfer(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing | NotDrawnError:
    matches = agree(rows, stock) if mode == "both" else []
    published: _Points = {}
    ours: _Points = {}
    used: list[Result] = []
    if mode != "ours":
        for row in rows:
            key = (row.metric, row.probe, published_series(row), row.pretrain_as)
            match = next((one for one in matches if one.published is row), None)
            published[key] = row.value, None, SIGNS[match.mark] if match else ""
            if match and match.ours:
                ours[key] = match.ours.value, match.ours, ""
                used += match.cells
    where = "MagnaTagATune"
    if mode == "ours":
        ours, used, where = _own_transfer(stock)
        if not used:
            return NotDrawnError(
                "clmr-transfer-ours: no stored cell was pretrained on another data set than its own"
            )
    name = f"clmr-transfer-{mode}"
    points = {**published, **ours}
    columns = list(dict.fromkeys(key[3] for key in points))
    series = ordered([key[2] for key in points])
    style = styles(series)
    handles, labels = style_handles(style, series, line=False, hollow=not ours)
    if ours and published:
        grey = Style("#555555", "o")
        handles += [handle(grey, line=False), handle(grey, line=False, hollow=True)]
        labels += ["ours", "published"]
    probes = [probe for probe in _PROBES if any(key[1] == probe for key in points)]
    figure, axes = grid(
        len(probes), len(_METRICS), height=1.4, legend_rows=legend_rows(labels, PAGE), narrow=0
    )
    for probe, column in zip(probes, axes, strict=True):
        column[0].set_title(f"{'MLP' if probe == 'mlp' else probe} probe")
        for metric, one in zip(_METRICS, column, strict=True):
            _draw(one, metric, probe, columns, series, style, published, ours)
            one.set_ylabel(metric_title(metric) if column is axes[0] else "")
        column[-1].set_xlabel("pretrained on")
    legend(figure, handles, labels)
    caption = [
        f"CLMR's transfers: pretrained on one data set, probed on {where}, all labels. Hollow markers are published "
        "numbers, filled ones ours with the 95 % interval over the choice of test tracks.",
    ]
    numbers = bands_csv(
        [
            [*key, value, "" if s is None else s.low, "" if s is None else s.high]
            for key, (value, s, _) in ours.items()
        ],
        ["metric", "probe", "series", "pretrained_on", "score", "low", "high"],
    )
    files = {**_files(mode, rows, matches), **({"numbers.csv": numbers} if ours else {})}
    return Drawing(name, figure, [*caption, *_ends(stock, mode, rows, matches, used)], files)


def _own_transfer(stock: Stock) -> tuple[_Points, list[Result], str]:
    """Our cells by what they were pretrained on, on the place with most kinds of pretraining data."""
    best: tuple[int, list[Result], str] = (1, [], "")
    names = place_names(stock.places)
    for place, own in stock.places.items():
        largest = max(share_of(result) for result in own)
        trained = [
            r for r in own if is_trained(r) and not uses_labels(r) and share_of(r) == largest
        ]
        kinds = {pretrain_of(result) for result in trained}
        if len(kinds) > best[0]:
            best = len(kinds), trained, names[place]
    groups: dict[tuple[str, str, str], list[Result]] = {}
    for result in best[1]:
        mine = pretrain_of(result) or place_of(result).dataset
        groups.setdefault((probe_of(result), result.spec.method.name, mine), []).append(result)
    found: _Points = {}
    for (probe, method, mine), cells in groups.items():
        for metric in _METRICS:
            score = stock.score(cells, metric)
            if score and probe in _PROBES:
                found[metric, probe, method, mine] = score.value, score, ""
    return found, best[1], best[2]


def _draw(
    axes: Any, metric: str, probe: str, columns: Sequence[str], series: Sequence[str],
    style: dict[str, Style], published: _Points, ours: _Points,
) -> None:  # fmt: skip
    drawn = False
    for place, column in enumerate(columns):
        for number, name in enumerate(series):
            key = (metric, probe, name, column)
            x = place + 0.5 * ((number + 0.5) / len(series) - 0.5)
            gid = slug(metric, probe, name, column)
            if key in published:
                value, _, sign = published[key]
                axes.plot(
                    [x - (0.06 if key in ours else 0)], [value], marker=style[name].marker, color=style[name].colour,
                    markerfacecolor="white", linestyle="none", markeredgewidth=0.9, gid=f"published-{gid}",
                )  # fmt: skip
                axes.text(
                    x,
                    0.01,
                    sign,
                    transform=axes.get_xaxis_transform(),
                    ha="center",
                    va="bottom",
                    fontsize=6,
                )
                drawn = True
            if key in ours and (score := ours[key][1]):
                known = score.low == score.low
                line = axes.errorbar(
                    [x + (0.06 if key in published else 0)], [score.value], marker=style[name].marker,
                    yerr=[[score.value - score.low], [score.high - score.value]] if known else None,
                    color=style[name].colour, elinewidth=0.8, markersize=3.6, markeredgewidth=0,
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


def _files(mode: Mode, rows: Sequence[Published], matches: Sequence[Match]) -> dict[str, str]:
    if mode == "ours":
        return {}
    return {"marks.csv": marks_csv(matches)} if matches else {"published.csv": published_csv(rows)}


def _ends(
    stock: Stock,
    mode: Mode,
    rows: Sequence[Published],
    matches: Sequence[Match],
    used: Sequence[Result],
) -> list[str]:
    """The last paragraphs of a caption."""
    paragraphs = [] if mode == "ours" else [sources_words(rows)]
    paragraphs += marks_words(matches) if matches else []
    if mode != "published":
        paragraphs += protocol(list({cell.cell: cell for cell in used}.values()))
        paragraphs += left_out(stock)
    return paragraphs
