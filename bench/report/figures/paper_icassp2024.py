"""Both figures of the ICASSP 2024 comparison (arXiv:2404.09177): all labels, limited labels."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from bench.report.agreement import Match, agree
from bench.report.figures import curves, strips
from bench.report.figures.own import (
    curves_numbers,
    panel_at_all_labels,
    panel_of_curves,
    strips_numbers,
)
from bench.report.figures.paper import Mode, ends, files, main_setting
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import styles
from bench.report.names import ordered
from bench.report.reference import Published, of_paper, read_papers
from bench.report.setting import fits
from bench.report.stock import Stock
from bench.results import Result

METRICS = ("map_macro", "roc_auc_macro")
_PAPER = "icassp2024"
_PROBE = "mlp"
_MODE_WORDS: dict[Mode, str] = {
    "published": "; published numbers, redrawn",
    "ours": "; our cells",
    "both": "; ours over published",
}


@dataclass(frozen=True)
class _Source:
    """What one panel is drawn from.

    Attributes:
        title: title of the panel.
        cells: cells of ours.
        published: published numbers; empty for a data set that is not in the paper.
        matches: the same numbers beside ours.
        note: a sentence on cells that are not drawn; may be empty.
    """

    title: str
    cells: list[Result]
    published: list[Published] = field(default_factory=list)
    matches: list[Match] = field(default_factory=list)
    note: str = ""


def draw(stock: Stock, mode: Mode) -> Iterator[Drawing]:
    """Fig. 1 and Fig. 2 of the paper.

    Args:
        stock: the stored cells.
        mode: what the figures show.

    Raises:
        NotDrawnError: ours alone are asked for, and nothing is stored.
    """
    if mode == "ours" and not stock.results:
        raise NotDrawnError(f"no results in {stock.folder}")
    rows = of_paper(_PAPER)
    yield _all_labels([row for row in rows if row.exhibit == "Fig. 1"], stock, mode)
    yield _limited_labels([row for row in rows if row.exhibit == "Fig. 2"], stock, mode)


def _all_labels(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing:
    """Fig. 1: strips at all labels."""
    matches = agree(rows, stock) if mode == "both" else []
    panels: list[strips.Panel] = []
    used: list[Result] = []
    notes: list[str] = []
    for source in _sources(rows, matches, stock, mode):
        panel, cells, more = panel_at_all_labels(
            stock,
            source.cells,
            METRICS,
            source.title,
            published=source.published,
            matches=source.matches,
        )
        panels.append(panel)
        used += cells
        notes += [source.note, *more]
    names = ordered([name for panel in panels for row in panel.strips.values() for name in row])
    figure = strips.draw_strips(panels, METRICS, names, styles(names))
    caption = [
        "Fig. 1 of the ICASSP 2024 comparison of pretext tasks: macro mAP and ROC-AUC of probes on "
        f"frozen encoders, all labels{_MODE_WORDS[mode]}.",
        strips.HOW_PUBLISHED if mode != "ours" else "",
        strips.HOW if used else "",
    ]
    return Drawing(
        f"icassp2024-fig1-{mode}",
        figure,
        [*caption, *ends(stock, mode, rows, matches, used, notes)],
        files(mode, rows, matches) | ({"numbers.csv": strips_numbers(panels)} if used else {}),
    )


def _limited_labels(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing:
    """Fig. 2: curves over the shares of the labels."""
    matches = agree(rows, stock) if mode == "both" else []
    sources = _sources(rows, matches, stock, mode)
    panels = [
        panel_of_curves(
            stock,
            source.cells,
            METRICS,
            source.title,
            published=source.published,
            matches=source.matches,
        )
        for source in sources
    ]
    used = [cell for source in sources for cell in source.cells]
    names = ordered(curves.names_of(panels))
    figure = curves.draw_curves(panels, METRICS, names, styles(names))
    caption = [
        "Fig. 2 of the ICASSP 2024 comparison of pretext tasks: macro mAP and ROC-AUC against the "
        f"share of the training tracks whose labels the probe may use{_MODE_WORDS[mode]}.",
        curves.HOW if used else "",
        ""
        if mode == "ours"
        else "Published curves are means over the paper's 4 draws; its bands could not be read.",
    ]
    notes = [source.note for source in sources]
    return Drawing(
        f"icassp2024-fig2-{mode}",
        figure,
        [*caption, *ends(stock, mode, rows, matches, used, notes)],
        files(mode, rows, matches) | ({"numbers.csv": curves_numbers(panels)} if used else {}),
    )


def _sources(
    rows: Sequence[Published], matches: Sequence[Match], stock: Stock, mode: Mode
) -> list[_Source]:
    """What the panels are drawn from: the paper's data sets, then those that only we have.

    Where ours alone are drawn, every place of ours has a panel.
    """
    sets = list(dict.fromkeys((row.dataset, row.split, row.evaluated_on) for row in rows))
    sources = []
    if mode != "ours":
        for dataset, split, name in sets:
            published = [row for row in rows if row.evaluated_on == name]
            here = [match for match in matches if match.published.evaluated_on == name]
            cells = _beside(stock, dataset, split, here) if mode == "both" and dataset else []
            sources.append(_Source(name, cells, published, here))
    if mode != "published":
        known = {(dataset, split) for dataset, split, _ in sets if dataset}
        for place, cells in stock.places.items():
            if mode == "ours" or (place.dataset, place.split) not in known:
                drawn, note = _of_nearest_setting(cells)
                sources.append(_Source(stock.titles[place], drawn, note=note))
    return sources


def _beside(stock: Stock, dataset: str, split: str, matches: Sequence[Match]) -> list[Result]:
    """Our cells of one of the paper's data sets.

    These are the cells that were matched, and other methods with the paper's probe.
    """
    matched = [cell for match in matches for cell in match.cells]
    here = [
        result
        for result in stock.results
        if (result.dataset, result.data.get("split")) == (dataset, split)
    ]
    setting = main_setting(here, read_papers()[_PAPER].recipe, _PROBE, strictly=True)
    methods = {cell.spec.method.name for cell in matched}
    more = (
        []
        if setting is None
        else [
            result
            for result in here
            if fits(result, setting) and result.spec.method.name not in methods
        ]
    )
    return list({cell.cell: cell for cell in [*matched, *more]}.values())


def _of_nearest_setting(cells: Sequence[Result]) -> tuple[list[Result], str]:
    """The cells of the setting that is drawn, and a sentence on those that are not."""
    setting = main_setting(cells, read_papers()[_PAPER].recipe, _PROBE)
    assert setting is not None  # there are cells
    drawn = [result for result in cells if fits(result, setting)]
    others = len(cells) - len(drawn)
    note = (
        f"{others} cells on {cells[0].dataset} of other settings than {setting.words} are not drawn"
        if others
        else ""
    )
    return drawn, note
