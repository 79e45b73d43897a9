"""Scores on noisy, pitch-shifted, coded and band-limited test tracks, a panel a way to make audio worse."""

from collections.abc import Iterator, Sequence
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
from bench.report.figures.paper import bands_csv
from bench.report.figures.save import Drawing, NotDrawnError
from bench.report.figures.style import COLUMN, PAGE, Style, styles
from bench.report.names import metric_title, ordered, percent
from bench.report.series import at_largest_share
from bench.report.setting import Setting
from bench.report.stock import Score, Stock
from bench.results import CLEAN, Result, preferred

_MOST_BANDS = 4  # more of them hide each other
_AXES = {
    "noise": "signal-to-noise ratio (dB)",
    "mp3": "bit rate (kbit/s)",
    "rate": "sample rate (Hz)",
}


def draw(stock: Stock) -> Iterator[Drawing | NotDrawnError]:
    """A figure a place and setting, and a line for each stored file that is not used.

    Raises:
        NotDrawnError: nothing was scored on degraded audio.
    """
    degraded = _read(stock.folder)
    yield from (NotDrawnError(f"robustness: {line}") for line in degraded.left_out)
    drawn = False
    for own, name, where, setting in places_by_setting("robustness", degraded):
        if any(audio(result)[0] != CLEAN for result in own):
            drawn = True
            yield _figure(degraded, own, name, where, setting)
    if not drawn:
        raise NotDrawnError(
            "no stored cell was scored on noisy, pitch-shifted or coded audio: `bench robustness`"
        )


def _read(folder: Path) -> Stock:
    """What is stored of degraded audio.

    Of cells that were scored several times, the usual scoring.
    """
    found, lines = read(folder)
    kept = {
        cell_of(result)
        for result in preferred([result for result in found if audio(result)[0] == CLEAN])
    }
    results = [result for result in found if cell_of(result) in kept]
    if len(results) < len(found):
        lines.append(
            f"{len(found) - len(results)} scores on degraded audio of cells scored otherwise are not used"
        )
    stock = Stock(folder, tuple(results), lines)
    stock.results = tuple(result for result in stock.results if stock.cell(result))
    return stock


def _figure(
    stock: Stock, own: Sequence[Result], name: str, where: str, setting: Setting
) -> Drawing:
    share, by_series = at_largest_share([result for result in own if audio(result)[0] == CLEAN])
    series = ordered(list(by_series))
    look = styles(series)
    versions: dict[tuple[str, str, float], list[Result]] = {}
    for one, cells in by_series.items():
        ids = {cell_of(cell) for cell in cells}
        for result in own:
            if cell_of(result) in ids:
                versions.setdefault((one, *audio(result)), []).append(result)
    scores = {
        key: score for key, cells in versions.items() if (score := stock.score(cells, METRIC))
    }
    kinds = [kind for kind in TITLES if any(key[1] == kind for key in scores)]
    handles, labels = style_handles(look, series, line=True)
    width = COLUMN if len(kinds) <= 2 else PAGE
    figure, axes = grid(len(kinds), 1, height=1.6, across=4, legend_rows=legend_rows(labels, width))
    rows: list[list[Any]] = []
    for number, (kind, (panel,)) in enumerate(zip(kinds, axes, strict=True)):
        set_title(panel, TITLES[kind])
        rows += _draw_panel(panel, kind, scores, series, look)
        if number == 0:
            panel.set_ylabel(metric_title(METRIC))
    limits = [
        panel.get_ylim() for (panel,) in axes
    ]  # one scale, so that what does most harm is seen to
    for (panel,) in axes:
        panel.set_ylim(min(low for low, _ in limits), max(high for _, high in limits))
    legend(figure, handles, labels)
    caption = [
        f"Robustness: {where} at {percent(share)} of the labels; {setting.words}. Encoders and probes are those of "
        "clean tracks; the test tracks alone were changed, at the encoder's sample rate: white noise at a ratio to the "
        "track's mean power, pitch shifted at the same tempo, a mono mp3 at a constant bit rate, resampled to a lower "
        f"rate and back. Levels stand side by side, whatever lies between them. {_bands(len(series))} over the choice "
        "of test tracks, which all points share: a change within a curve is surer than they show (`bench robustness` "
        "prints paired intervals).",
    ]
    files = {
        "numbers.csv": bands_csv(rows, ["series", "kind", "level", "score", "low", "high", "cells"])
    }
    used = [result for cells in by_series.values() for result in cells]
    return Drawing(name, figure, [*caption, *protocol(used), *left_out(stock)], files)


def _bands(series: int) -> str:
    return (
        "Bands are 95 % intervals"
        if series <= _MOST_BANDS
        else "The numbers beside the figure have 95 % intervals"
    )


def _draw_panel(
    axes: Any,
    kind: str,
    scores: dict[tuple[str, str, float], Score],
    series: Sequence[str],
    look: dict[str, Style],
) -> list[list[Any]]:
    """Draws a panel, and returns its numbers."""
    levels = _levels(kind, {level for _, other, level in scores if other == kind})
    rows = []
    for one in series:
        curve = []
        for place, level in enumerate(levels):
            score = scores.get((one, CLEAN, 0.0) if level is None else (one, kind, level))
            if score is not None:
                curve.append((place, score))
                rows.append(
                    [
                        one,
                        kind,
                        CLEAN if level is None else level,
                        score.value,
                        score.low,
                        score.high,
                        score.cells,
                    ]
                )
        if not curve:
            continue
        at, style = [place for place, _ in curve], look[one]
        low, high = ([getattr(score, end) for _, score in curve] for end in ("low", "high"))
        if len(series) <= _MOST_BANDS and not np.isnan(low).any():
            axes.fill_between(at, low, high, color=style.colour, alpha=0.10, linewidth=0, zorder=1)
        axes.plot(
            at, [score.value for _, score in curve], color=style.colour, marker=style.marker,
            linestyle=style.line, markersize=style.size(3.2), markeredgewidth=0, linewidth=0.9, zorder=3, gid=slug("robustness", kind, one),
        )  # fmt: skip
    if not rows:
        note_nothing(axes, "no cell")
    axes.set_xticks(
        range(len(levels)), [CLEAN if level is None else f"{level:g}" for level in levels]
    )
    axes.set_xlabel(_AXES.get(kind, "semitones"))
    axes.locator_params(axis="y", nbins=5)
    return rows


def _levels(kind: str, stored: set[float]) -> list[float | None]:
    """The places of the axis, from the clean tracks (None) on; a shift has them in its middle."""
    if kind != "pitch":
        return [None, *sorted(stored, reverse=True)]
    return [
        *sorted(level for level in stored if level < 0),
        None,
        *sorted(level for level in stored if level > 0),
    ]
