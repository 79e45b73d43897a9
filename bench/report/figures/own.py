"""From stored cells to what strips and curves draw, with published numbers beside them where there are any."""

from collections.abc import Mapping, Sequence

import numpy as np

from bench.report.agreement import Mark, Match
from bench.report.figures.curves import Curves, Point, points
from bench.report.figures.paper import bands_csv
from bench.report.figures.strips import Panel, Strip
from bench.report.figures.style import published_series
from bench.report.names import percent
from bench.report.reference import Published
from bench.report.series import series, share_of
from bench.report.stock import Stock
from bench.results import Result


def panel_at_all_labels(
    stock: Stock, own: Sequence[Result], metrics: Sequence[str], title: str, *,
    published: Sequence[Published] = (), matches: Sequence[Match] = (),
) -> tuple[Panel, list[Result], list[str]]:  # fmt: skip
    """A panel of strips at the largest stored share of the labels.

    Args:
        stock: the stored cells.
        own: those of one place and setting.
        metrics: what is drawn.
        title: of the panel.
        published: numbers of the same data set at all labels.
        matches: the same numbers beside ours; where they are given, methods of the paper are drawn
            from them.

    Returns:
        (panel, cells that are drawn, what is not drawn).
    """
    by_series = series(own)
    largest = max(
        (share_of(cells[0]) for row in by_series.values() for cells in row.values()), default=1.0
    )
    notes = []
    drawn: dict[str, list[Result]] = {}
    for name, by_fraction in by_series.items():
        at = [cells for cells in by_fraction.values() if share_of(cells[0]) == largest]
        if at:
            drawn[name] = at[0]
        else:
            notes.append(f"{name} on {title} has no cell at {percent(largest)} of the labels")
    strips: dict[str, dict[str, Strip]] = {}
    for metric in metrics:
        row = {name: _strip(stock, cells, metric) for name, cells in drawn.items()}
        for number in published:
            if number.metric == metric:
                name = published_series(number)
                match = next((one for one in matches if one.published is number), None)
                mine = _strip(stock, match.cells, metric) if match else Strip()
                mark = match.mark if match else None
                row[name] = Strip(mine.dots, mine.score, number.value, number.sd, mark)
        strips[metric] = {
            name: strip for name, strip in row.items() if strip.score or strip.published is not None
        }
        absent = [name for name in by_series if name not in row]
        strips[metric] |= {name: Strip() for name in absent}  # drawn as missing
    if own and largest < 1:
        title = f"{title}\nat {percent(largest)} of the labels"
    used = [cell for cells in drawn.values() for cell in cells] + [
        cell for one in matches for cell in one.cells
    ]
    return Panel(title, strips), used, notes


def at_largest_share(own: Sequence[Result]) -> tuple[float, dict[str, list[Result]]]:
    """The largest share of the labels that any series of a place has, and the cells at it, by series."""
    by_series = series(own)
    largest = max(share_of(cells[0]) for row in by_series.values() for cells in row.values())
    found = {
        name: next((cells for cells in row.values() if share_of(cells[0]) == largest), [])
        for name, row in by_series.items()
    }
    return largest, {name: cells for name, cells in found.items() if cells}


def _strip(stock: Stock, cells: Sequence[Result], metric: str) -> Strip:
    score = stock.score(cells, metric) if cells else None
    return Strip() if score is None else Strip(stock.resampled(cells, metric), score)


def panel_of_curves(
    stock: Stock, own: Sequence[Result], metrics: Sequence[str], title: str, *,
    published: Sequence[Published] = (), matches: Sequence[Match] = (),
) -> Curves:  # fmt: skip
    """A panel of curves over the shares of the labels; arguments as of `panel_at_all_labels`."""
    by_series = series(own)
    ours: dict[str, dict[str, list[Point]]] = {}
    theirs: dict[str, dict[str, list[Point]]] = {}
    for metric in metrics:
        marks = {
            (published_series(one.published), one.published.label_fraction): one.mark
            for one in matches
            if one.published.metric == metric
        }
        rows = {name: points(stock, by_fraction, metric) for name, by_fraction in by_series.items()}
        ours[metric] = {name: row for name, row in rows.items() if row}
        theirs[metric] = _published(published, metric, marks)
    return Curves(title, ours, theirs)


def _published(
    rows: Sequence[Published], metric: str, marks: Mapping[tuple[str, float], Mark]
) -> dict[str, list[Point]]:
    found: dict[str, list[Point]] = {}
    for row in rows:
        if row.metric == metric:
            mark = marks.get((published_series(row), row.label_fraction))
            point = Point(row.label_fraction, row.value, row.value, row.value, mark=mark)
            found.setdefault(published_series(row), []).append(point)
    return {name: sorted(curve, key=lambda point: point.share) for name, curve in found.items()}


def strips_numbers(panels: Sequence[Panel]) -> str:
    """What is drawn of ours, as CSV."""
    rows = []
    for panel in panels:
        for metric, strips in panel.strips.items():
            for name, strip in strips.items():
                if strip.score is not None:
                    score = strip.score
                    mean = float(np.mean(strip.dots)) if len(strip.dots) else ""
                    rows.append(
                        [
                            panel.title,
                            metric,
                            name,
                            score.value,
                            score.low,
                            score.high,
                            score.cells,
                            mean,
                        ]
                    )
    return bands_csv(
        rows, ["panel", "metric", "series", "score", "low", "high", "cells", "mean_of_resamples"]
    )


def curves_numbers(panels: Sequence[Curves]) -> str:
    """What is drawn of ours, as CSV."""
    rows = [
        [panel.title, metric, name, point.share, point.value, point.low, point.high, point.cells]
        for panel in panels
        for metric, curves in panel.ours.items()
        for name, curve in _sorted(curves)
        for point in curve
    ]
    return bands_csv(
        rows, ["panel", "metric", "series", "share", "mean", "least", "greatest", "cells"]
    )


def _sorted(curves: Mapping[str, Sequence[Point]]) -> list[tuple[str, Sequence[Point]]]:
    return sorted(curves.items())
