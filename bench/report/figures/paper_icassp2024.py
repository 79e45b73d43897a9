"""The two figures of the ICASSP 2024 comparison (arXiv:2404.09177): all labels, and limited labels."""

from collections.abc import Iterator, Sequence

from bench.report.agreement import Match, agree
from bench.report.captions import left_out, protocol
from bench.report.figures import curves, strips
from bench.report.figures.own import (
    curves_numbers,
    panel_at_all_labels,
    panel_of_curves,
    strips_numbers,
)
from bench.report.figures.paper import (
    Mode,
    main_setting,
    marks_csv,
    marks_words,
    published_csv,
    sources_words,
)
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import styles
from bench.report.names import ordered
from bench.report.places import Place, place_names
from bench.report.reference import Published, of_paper, read_papers
from bench.report.setting import fits
from bench.report.stock import Stock
from bench.results import Result

METRICS = ("map_macro", "roc_auc_macro")
_PROBE = "mlp"


def draw(stock: Stock, mode: Mode) -> Iterator[Drawing]:
    """Fig. 1 and Fig. 2 in a mode.

    Raises:
        NotDrawnError: ours alone, where nothing is stored.
    """
    if mode == "ours" and not stock.results:
        raise NotDrawnError(f"no results in {stock.folder}")
    rows = of_paper("icassp2024")
    yield _all_labels([row for row in rows if row.exhibit == "Fig. 1"], stock, mode)
    yield _limited_labels([row for row in rows if row.exhibit == "Fig. 2"], stock, mode)


def _sets(rows: Sequence[Published]) -> list[tuple[str, str, str]]:
    """The data sets of an exhibit in its order: (data set, split, name in the paper)."""
    return list(dict.fromkeys((row.dataset, row.split, row.evaluated_on) for row in rows))


def _of(matches: Sequence[Match], evaluated_on: str) -> list[Match]:
    return [match for match in matches if match.published.evaluated_on == evaluated_on]


def _others(
    stock: Stock, sets: Sequence[tuple[str, str, str]], mode: Mode
) -> dict[Place, list[Result]]:
    """Where cells of ours were scored that is not in the paper.

    In the mode without the paper, everywhere.
    """
    known = {(dataset, split) for dataset, split, _ in sets if dataset}
    found = {} if mode == "published" else stock.places
    return {
        place: own
        for place, own in found.items()
        if mode == "ours" or (place.dataset, place.split) not in known
    }


def _beside(stock: Stock, dataset: str, split: str, matches: Sequence[Match]) -> list[Result]:
    """Our cells of a paper's data set: those that were matched, and other methods of the paper's probe."""
    matched = [cell for match in matches for cell in match.cells]
    mine = [
        result
        for result in stock.results
        if (result.dataset, result.data.get("split")) == (dataset, split)
    ]
    setting = main_setting(mine, read_papers()["icassp2024"].recipe, _PROBE, strictly=True)
    methods = {cell.spec.method.name for cell in matched}
    more = (
        []
        if setting is None
        else [one for one in mine if fits(one, setting) and one.spec.method.name not in methods]
    )
    return list({cell.cell: cell for cell in [*matched, *more]}.values())


def _nearest_setting(own: Sequence[Result]) -> tuple[list[Result], str]:
    """The cells of the setting that is drawn, and a sentence on those that are not."""
    setting = main_setting(own, read_papers()["icassp2024"].recipe, _PROBE)
    assert setting is not None  # there are cells
    drawn = [result for result in own if fits(result, setting)]
    others = len(own) - len(drawn)
    note = (
        f"{others} cells on {own[0].dataset} of other settings than {setting.words} are not drawn"
        if others
        else ""
    )
    return drawn, note


def _all_labels(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing:
    matches = agree(rows, stock) if mode == "both" else []
    panels: list[strips.Panel] = []
    used: list[Result] = []
    notes: list[str] = []
    if mode != "ours":
        for dataset, split, name in _sets(rows):
            mine = [row for row in rows if row.evaluated_on == name]
            here = _of(matches, name)
            own = _beside(stock, dataset, split, here) if mode == "both" and dataset else []
            panel, cells, more = panel_at_all_labels(
                stock, own, METRICS, name, published=mine, matches=here
            )
            panels.append(panel)
            used += cells
            notes += more
    for place, own in _others(stock, _sets(rows), mode).items():
        drawn, note = _nearest_setting(own)
        title = place_names(stock.places)[place]
        panel, cells, more = panel_at_all_labels(stock, drawn, METRICS, title)
        panels.append(panel)
        used += cells
        notes += [note, *more]
    names = ordered([name for panel in panels for row in panel.strips.values() for name in row])
    figure = strips.draw_strips(panels, METRICS, names, styles(names))
    caption = [
        "Fig. 1 of the ICASSP 2024 comparison of pretext tasks: macro mAP and ROC-AUC of probes on frozen encoders, "
        f"all labels{_mode_words(mode)}.",
        strips.HOW_PUBLISHED if mode != "ours" else "",
        strips.HOW if used else "",
    ]
    return Drawing(
        f"icassp2024-fig1-{mode}",
        figure,
        [*caption, *_ends(stock, mode, rows, matches, used, notes)],
        _files(mode, rows, matches) | ({"numbers.csv": strips_numbers(panels)} if used else {}),
    )


def _limited_labels(rows: Sequence[Published], stock: Stock, mode: Mode) -> Drawing:
    matches = agree(rows, stock) if mode == "both" else []
    panels: list[curves.Curves] = []
    used: list[Result] = []
    notes: list[str] = []
    if mode != "ours":
        for dataset, split, name in _sets(rows):
            mine = [row for row in rows if row.evaluated_on == name]
            here = _of(matches, name)
            own = _beside(stock, dataset, split, here) if mode == "both" and dataset else []
            panels.append(panel_of_curves(stock, own, METRICS, name, published=mine, matches=here))
            used += own
    for place, own in _others(stock, _sets(rows), mode).items():
        drawn, note = _nearest_setting(own)
        panels.append(panel_of_curves(stock, drawn, METRICS, place_names(stock.places)[place]))
        used += drawn
        notes.append(note)
    names = ordered(
        [
            name
            for panel in panels
            for side in (panel.ours, panel.published)
            for row in side.values()
            for name in row
        ]
    )
    figure = curves.draw_curves(panels, METRICS, names, styles(names))
    caption = [
        "Fig. 2 of the ICASSP 2024 comparison of pretext tasks: macro mAP and ROC-AUC against the share of the "
        f"training tracks whose labels the probe may use{_mode_words(mode)}.",
        curves.HOW if used else "",
        ""
        if mode == "ours"
        else "Published curves are means over the paper's 4 draws; its bands could not be read.",
    ]
    return Drawing(
        f"icassp2024-fig2-{mode}",
        figure,
        [*caption, *_ends(stock, mode, rows, matches, used, notes)],
        _files(mode, rows, matches) | ({"numbers.csv": curves_numbers(panels)} if used else {}),
    )


def _mode_words(mode: Mode) -> str:
    return {
        "published": "; published numbers, redrawn",
        "ours": "; our cells",
        "both": "; ours over published",
    }[mode]


def _files(mode: Mode, rows: Sequence[Published], matches: Sequence[Match]) -> dict[str, str]:
    """The published numbers, with the marks where there is something to compare them with."""
    if mode == "ours":
        return {}
    return {"marks.csv": marks_csv(matches)} if matches else {"published.csv": published_csv(rows)}


def _ends(
    stock: Stock, mode: Mode, rows: Sequence[Published], matches: Sequence[Match],
    used: Sequence[Result], notes: Sequence[str],
) -> list[str]:  # fmt: skip
    """The last paragraphs of a caption: sources, marks, protocol, what is left out."""
    paragraphs = [] if mode == "ours" else [sources_words(rows)]
    paragraphs += marks_words(matches) if matches else []
    if mode != "published":
        paragraphs += protocol(list({cell.cell: cell for cell in used}.values()))
        said = [note for note in dict.fromkeys(notes) if note]
        paragraphs += ["Not drawn: " + "; ".join(said) + "."] if said else []
        paragraphs += left_out(stock)
    return paragraphs
