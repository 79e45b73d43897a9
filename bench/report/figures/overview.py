"""Scores at all labels and limited-data curves of every stored setting, not tied to a paper."""

from collections.abc import Iterator

from bench.report.captions import left_out, protocol
from bench.report.figures import curves, strips
from bench.report.figures.names import file_name
from bench.report.figures.own import (
    curves_numbers,
    panel_at_all_labels,
    panel_of_curves,
    strips_numbers,
)
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import styles
from bench.report.names import ordered
from bench.report.series import share_of
from bench.report.stock import Stock
from bench.results import Result

METRICS = ("map_macro", "roc_auc_macro")


def draw_scores(stock: Stock) -> Iterator[Drawing]:
    """Strips at the largest share of the labels: a figure a setting, a panel a data set."""
    for setting in stock.settings:
        panels, used, notes = [], [], []
        for place, cells in stock.fitting(setting).items():
            panel, drawn, more = panel_at_all_labels(stock, cells, METRICS, stock.titles[place])
            panels.append(panel)
            used += drawn
            notes += more
        names = ordered([name for panel in panels for row in panel.strips.values() for name in row])
        figure = strips.draw_strips(panels, METRICS, names, styles(names))
        caption = [
            f"Scores at the largest stored share of the labels: {setting.words}.",
            strips.HOW,
            *protocol(used),
        ]
        caption += ["Not drawn: " + "; ".join(notes) + "."] if notes else []
        files = {"numbers.csv": strips_numbers(panels)}
        yield Drawing(
            file_name("scores", stock, setting), figure, [*caption, *left_out(stock)], files
        )


def draw_fractions(stock: Stock) -> Iterator[Drawing]:
    """Curves over the shares of the labels: a figure a setting, a panel a data set.

    Raises:
        NotDrawnError: no data set has cells at two shares.
    """
    any_drawn = False
    for setting in stock.settings:
        panels: list[curves.Curves] = []
        used: list[Result] = []
        for place, cells in stock.fitting(setting).items():
            if len({share_of(result) for result in cells}) > 1:
                panels.append(panel_of_curves(stock, cells, METRICS, stock.titles[place]))
                used += cells
        if not panels:
            continue
        any_drawn = True
        names = ordered(curves.names_of(panels))
        figure = curves.draw_curves(panels, METRICS, names, styles(names))
        caption = [
            f"Scores against the share of the labels: {setting.words}.",
            curves.HOW,
            *protocol(used),
        ]
        files = {"numbers.csv": curves_numbers(panels)}
        yield Drawing(
            file_name("fractions", stock, setting), figure, [*caption, *left_out(stock)], files
        )
    if not any_drawn:
        raise NotDrawnError("no data set has cells at two shares of the labels")
