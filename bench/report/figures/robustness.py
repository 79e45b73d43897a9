"""Scores on degraded test tracks: a panel each for noise, pitch shift, mp3 and sample rate."""

from collections.abc import Iterator, Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import numpy as np

from bench.report.captions import left_out, protocol
from bench.report.degraded import METRIC, TITLES, audio, cell_of, read
from bench.report.figures.layout import (
    grid,
    legend,
    legend_rows,
    note_nothing,
    set_title,
    slug,
    style_handles,
)
from bench.report.figures.names import places_by_setting
from bench.report.figures.paper import numbers_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, PAGE, Style, styles
from bench.report.names import metric_title, ordered, percent
from bench.report.series import at_largest_share
from bench.report.setting import Setting
from bench.report.stock import Score, Stock
from bench.results import CLEAN, Result, preferred

_MOST_BANDS = 4  # series with a band; more of them would hide each other
_AXES = {
    "noise": "signal-to-noise ratio (dB)",
    "mp3": "bit rate (kbit/s)",
    "rate": "sample rate (Hz)",
}
"""Kind of degradation -> label of its axis."""

Level = float | None
"""Level of a degradation; None for the clean tracks."""


def draw(stock: Stock) -> Iterator[Drawing | NotDrawnError]:
    """A figure for each place and setting, and a reason for each stored file that is not used.

    Args:
        stock: the stored cells; scores on degraded audio are read from its folder.

    Raises:
        NotDrawnError: nothing was scored on degraded audio.
    """
    degraded = _read(stock.folder)
    yield from (NotDrawnError(f"robustness: {line}") for line in degraded.left_out)
    any_drawn = False
    for cells, name, where, setting in places_by_setting("robustness", degraded):
        if any(audio(result)[0] != CLEAN for result in cells):
            any_drawn = True
            yield _drawing(degraded, cells, name, where, setting)
    if not any_drawn:
        raise NotDrawnError(
            "no stored cell was scored on noisy, pitch-shifted or coded audio: `bench robustness`"
        )


def _read(folder: Path) -> Stock:
    """The scores on degraded audio of a results folder.

    Of cells that were scored several times, only the usual scoring is kept.
    """
    found, lines = read(folder)
    kept = {
        cell_of(result)
        for result in preferred([result for result in found if audio(result)[0] == CLEAN])
    }
    results = [result for result in found if cell_of(result) in kept]
    if len(results) < len(found):
        lines.append(
            f"{len(found) - len(results)} scores on degraded audio of cells scored otherwise are "
            "not used"
        )
    stock = Stock(folder, tuple(results), lines)
    stock.results = tuple(result for result in stock.results if stock.cell(result))
    return stock


def _drawing(
    stock: Stock, cells: Sequence[Result], name: str, where: str, setting: Setting
) -> Drawing:
    """The figure of one place and setting, with its caption and numbers."""
    share, by_series = at_largest_share([result for result in cells if audio(result)[0] == CLEAN])
    series = ordered(list(by_series))
    figure, rows = _figure(_scores(stock, cells, by_series), series)
    used = [result for clean in by_series.values() for result in clean]
    caption = [
        f"Robustness: {where} at {percent(share)} of the labels; {setting.words}. Encoders and "
        "probes are those of clean tracks; the test tracks alone were changed, at the encoder's "
        "sample rate: white noise at a ratio to the track's mean power, pitch shifted at the same "
        "tempo, a mono mp3 at a constant bit rate, resampled to a lower rate and back. Levels "
        f"stand side by side, whatever lies between them. {_bands(len(series))} over the choice of "
        "test tracks, which all points share: a change within a curve is surer than they show "
        "(`bench robustness` prints paired intervals).",
        *protocol(used),
        *left_out(stock),
    ]
    columns = ["series", "kind", "level", "score", "low", "high", "cells"]
    return Drawing(name, figure, caption, {"numbers.csv": numbers_csv(rows, columns)})


Scores = dict[tuple[str, str, float], Score]
"""(series, kind of degradation, level) -> mean score."""


def _scores(stock: Stock, cells: Sequence[Result], by_series: dict[str, list[Result]]) -> Scores:
    """The mean score of each series on each version of the test tracks.

    Args:
        stock: the scores on degraded audio.
        cells: those of one place and setting.
        by_series: series -> its scores on clean audio.
    """
    versions: dict[tuple[str, str, float], list[Result]] = {}
    for name, clean in by_series.items():
        ids = {cell_of(result) for result in clean}
        for result in cells:
            if cell_of(result) in ids:
                versions.setdefault((name, *audio(result)), []).append(result)
    return {
        version: score
        for version, results in versions.items()
        if (score := stock.score(results, METRIC))
    }


def _figure(scores: Scores, series: Sequence[str]) -> tuple[Any, list[list[Any]]]:
    """The figure, and the numbers that it shows."""
    look = styles(series)
    kinds = [kind for kind in TITLES if any(kind == other for _, other, _ in scores)]
    handles, labels = style_handles(look, series, line=True)
    width = COLUMN if len(kinds) <= 2 else PAGE
    figure, axes = grid(len(kinds), 1, height=1.6, across=4, legend_rows=legend_rows(labels, width))
    rows: list[list[Any]] = []
    for kind, (panel,) in zip(kinds, axes, strict=True):
        set_title(panel, TITLES[kind])
        rows += _draw_panel(panel, kind, scores, series, look)
    axes[0][0].set_ylabel(metric_title(METRIC))
    # One scale for all panels, so that what does most harm is seen to do so.
    limits = [panel.get_ylim() for (panel,) in axes]
    for (panel,) in axes:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    legend(figure, handles, labels)
    return figure, rows


def _bands(series: int) -> str:
    """How a figure of so many series shows the intervals."""
    return (
        "Bands are 95 % intervals"
        if series <= _MOST_BANDS
        else "The numbers beside the figure have 95 % intervals"
    )


def _draw_panel(
    axes: Any, kind: str, scores: Scores, series: Sequence[str], look: dict[str, Style]
) -> list[list[Any]]:
    """Draws one kind of degradation, and returns the numbers."""
    levels = _levels(kind, {level for _, other, level in scores if other == kind})
    rows: list[list[Any]] = []
    for name in series:
        curve: list[tuple[int, Score]] = []
        for place, level in enumerate(levels):
            score = scores.get((name, CLEAN, 0.0) if level is None else (name, kind, level))
            if score is not None:
                curve.append((place, score))
                rows.append([name, kind, CLEAN if level is None else level, *astuple(score)])
        if not curve:
            continue
        at, style = [place for place, _ in curve], look[name]
        low, high = ([getattr(score, end) for _, score in curve] for end in ("low", "high"))
        if len(series) <= _MOST_BANDS and not np.isnan(low).any():
            axes.fill_between(at, low, high, color=style.colour, alpha=0.10, linewidth=0, zorder=1)
        axes.plot(
            at, [score.value for _, score in curve], color=style.colour, marker=style.marker,
            linestyle=style.line, markersize=style.size(3.2), markeredgewidth=0, linewidth=0.9,
            zorder=3, gid=slug("robustness", kind, name),
        )  # fmt: skip
    if not rows:
        note_nothing(axes, "no cell")
    axes.set_xticks(
        range(len(levels)), [CLEAN if level is None else f"{level:g}" for level in levels]
    )
    axes.set_xlabel(_AXES.get(kind, "semitones"))
    axes.locator_params(axis="y", nbins=5)
    return rows


def _levels(kind: str, stored: set[float]) -> list[Level]:
    """The levels from left to right: clean tracks first, in the middle for a pitch shift."""
    if kind != "pitch":
        return [None, *sorted(stored, reverse=True)]
    return [
        *sorted(level for level in stored if level < 0),
        None,
        *sorted(level for level in stored if level > 0),
    ]
