"""From stored cells to what strips and curves draw, with published numbers beside ours."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.report.agreement import Mark, Match
from bench.report.figures.curves import Curves, Point, points
from bench.report.figures.paper import numbers_csv
from bench.report.figures.strips import Panel, Strip
from bench.report.figures.style import published_series
from bench.report.names import percent
from bench.report.reference import Published
from bench.report.series import at_largest_share, series
from bench.report.stock import Stock
from bench.results import Result


def panel_at_all_labels(
    stock: Stock, cells: Sequence[Result], metrics: Sequence[str], title: str, *,
    published: Sequence[Published] = (), matches: Sequence[Match] = (),
) -> tuple[Panel, list[Result], list[str]]:  # fmt: skip
    """A panel of strips at the largest stored share of the labels.

    Args:
        stock: the stored cells.
        cells: those of one place and setting; may be empty.
        metrics: names of the metrics.
        title: title of the panel.
        published: published numbers of the same data set at all labels.
        matches: the same numbers beside ours; where they are given, the paper's methods are drawn
            from the cells that they matched.

    Returns:
        (panel, cells that are drawn, sentences on what is not drawn).
    """
    largest, drawn = at_largest_share(cells) if cells else (1.0, {})
    strips: dict[str, dict[str, Strip]] = {}
    names = list(series(cells))
    for metric in metrics:
        row = {name: _strip(stock, at_share, metric) for name, at_share in drawn.items()}
        row |= {
            published_series(number): _beside(stock, number, matches)
            for number in published
            if number.metric == metric
        }
        strips[metric] = {
            name: strip for name, strip in row.items() if strip.score or strip.published is not None
        }
        strips[metric] |= {name: Strip() for name in names if name not in row}  # drawn as missing
    notes = [
        f"{name} on {title} has no cell at {percent(largest)} of the labels"
        for name in names
        if name not in drawn
    ]
    if cells and largest < 1:
        title = f"{title}\nat {percent(largest)} of the labels"
    used = [cell for at_share in drawn.values() for cell in at_share]
    used += [cell for match in matches for cell in match.cells]
    return Panel(title, strips), used, notes


def _beside(stock: Stock, number: Published, matches: Sequence[Match]) -> Strip:
    """A published number, with our strip where it is matched."""
    match = next((match for match in matches if match.published is number), None)
    ours = _strip(stock, match.cells, number.metric) if match else Strip()
    return Strip(ours.dots, ours.score, number.value, number.sd, match.mark if match else None)


def _strip(stock: Stock, cells: Sequence[Result], metric: str) -> Strip:
    """The strip of cells of one series; an empty one where none has the metric."""
    score = stock.score(cells, metric) if cells else None
    return Strip() if score is None else Strip(stock.resampled(cells, metric), score)


def panel_of_curves(
    stock: Stock, cells: Sequence[Result], metrics: Sequence[str], title: str, *,
    published: Sequence[Published] = (), matches: Sequence[Match] = (),
) -> Curves:  # fmt: skip
    """A panel of curves over the shares of the labels; arguments as of `panel_at_all_labels`."""
    by_series = series(cells)
    ours: dict[str, dict[str, list[Point]]] = {}
    theirs: dict[str, dict[str, list[Point]]] = {}
    for metric in metrics:
        marks = {
            (published_series(match.published), match.published.label_fraction): match.mark
            for match in matches
            if match.published.metric == metric
        }
        rows = {name: points(stock, by_fraction, metric) for name, by_fraction in by_series.items()}
        ours[metric] = {name: row for name, row in rows.items() if row}
        theirs[metric] = _published(published, metric, marks)
    return Curves(title, ours, theirs)


def _published(
    rows: Sequence[Published], metric: str, marks: Mapping[tuple[str, float], Mark]
) -> dict[str, list[Point]]:
    """The published curves of a metric by series.

    Args:
        rows: published numbers of one data set.
        metric: name of the metric.
        marks: (series, share of the labels) -> mark of the agreement.
    """
    curves: dict[str, list[Point]] = {}
    for row in rows:
        if row.metric == metric:
            mark = marks.get((published_series(row), row.label_fraction))
            point = Point(row.label_fraction, row.value, row.value, row.value, mark=mark)
            curves.setdefault(published_series(row), []).append(point)
    return {name: sorted(curve, key=lambda point: point.share) for name, curve in curves.items()}


def strips_numbers(panels: Sequence[Panel]) -> str:
    """Our scores that strips show, as CSV."""
    rows = [
        [
            panel.title,
            metric,
            name,
            strip.score.value,
            strip.score.low,
            strip.score.high,
            strip.score.cells,
            float(np.mean(strip.dots)) if len(strip.dots) else "",
        ]
        for panel in panels
        for metric, strips in panel.strips.items()
        for name, strip in strips.items()
        if strip.score is not None
    ]
    return numbers_csv(
        rows, ["panel", "metric", "series", "score", "low", "high", "cells", "mean_of_resamples"]
    )


def curves_numbers(panels: Sequence[Curves]) -> str:
    """Our points that curves show, as CSV."""
    rows = [
        [panel.title, metric, name, point.share, point.value, point.low, point.high, point.cells]
        for panel in panels
        for metric, curves in panel.ours.items()
        for name, curve in sorted(curves.items())
        for point in curve
    ]
    return numbers_csv(
        rows, ["panel", "metric", "series", "share", "mean", "least", "greatest", "cells"]
    )
