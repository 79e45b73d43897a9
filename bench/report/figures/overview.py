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
from bench.report.places import place_names, places
from bench.report.series import share_of
from bench.report.setting import fits
from bench.report.stock import Stock
from bench.results import Result

METRICS = ("map_macro", "roc_auc_macro")


def draw_scores(stock: Stock) -> Iterator[Drawing]:
    """A figure a setting: a panel a data set, mAP above ROC-AUC, one strip of bootstrap dots a method."""
    titles = place_names(stock.places)
    for setting in stock.settings:
        panels, used, notes = [], [], []
        for place, own in places(
            result for result in stock.results if fits(result, setting)
        ).items():
            panel, cells, more = panel_at_all_labels(stock, own, METRICS, titles[place])
            panels.append(panel)
            used += cells
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
    """A figure a setting: a panel a data set, mAP above ROC-AUC, one curve a method over the shares of the labels.

    Raises:
        NotDrawnError: no data set has cells at two shares.
    """
    drawn = False
    titles = place_names(stock.places)
    for setting in stock.settings:
        panels: list[curves.Curves] = []
        used: list[Result] = []
        for place, own in places(
            result for result in stock.results if fits(result, setting)
        ).items():
            if len({share_of(result) for result in own}) > 1:
                panels.append(panel_of_curves(stock, own, METRICS, titles[place]))
                used += own
        if not panels:
            continue
        drawn = True
        names = ordered([name for panel in panels for row in panel.ours.values() for name in row])
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
    if not drawn:
        raise NotDrawnError("no data set has cells at two shares of the labels")
