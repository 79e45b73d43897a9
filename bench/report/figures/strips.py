"""Strips of bootstrap dots, one for each method: the form of Fig. 1 of the ICASSP poster."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.agreement import KEY, SIGNS, Mark
from bench.report.figures.layout import (
    error_bars,
    handles_of_both,
    metric_grid,
    note_nothing,
    sign_below,
    slug,
)
from bench.report.figures.style import Style
from bench.report.stock import Score

DOTS = 100
"""Resamples that are drawn: the first of those stored."""
ACROSS = 5
"""The most panels in a row."""
_FRACTIONAL = 0.6180339887498949  # golden ratio: spreads dots evenly without random numbers


@dataclass(frozen=True)
class Strip:
    """What is drawn of one method in one panel.

    Attributes:
        dots: (resamples,) our score in each resample; empty for none.
        score: our score; None where it is missing.
        published: the published number; None where there is none.
        sd: standard deviation of the published number over resamples; None where it is not known.
        mark: how ours agrees with the published number; None where nothing is compared.
    """

    dots: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    score: Score | None = None
    published: float | None = None
    sd: float | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Panel:
    """One data set and split.

    Attributes:
        title: title of the panel.
        strips: metric -> series -> strip.
        note: what is written where nothing is drawn.
    """

    title: str
    strips: Mapping[str, Mapping[str, Strip]]
    note: str = "no stored cell"


def draw_strips(
    panels: Sequence[Panel],
    metrics: Sequence[str],
    names: Sequence[str],
    styles: Mapping[str, Style],
) -> Any:
    """A figure with one panel for each data set, one metric above the other.

    Args:
        panels: what is drawn.
        metrics: names of the metrics, from the top down.
        names: the series, from left to right.
        styles: how each series is drawn.
    """
    strips = [strip for panel in panels for row in panel.strips.values() for strip in row.values()]
    ours = any(strip.score for strip in strips)
    published = any(strip.published is not None for strip in strips)
    marked = any(strip.mark for strip in strips)
    handles, labels = handles_of_both(styles, names, line=False, ours=ours, published=published)
    figure, axes = metric_grid(
        [panel.title for panel in panels],
        metrics,
        handles,
        labels,
        across=ACROSS,
        key=KEY if marked else None,
    )
    both = ours and published
    for panel, column in zip(panels, axes, strict=True):
        for metric, axis in zip(metrics, column, strict=True):
            _draw_panel(axis, panel, metric, names, styles, both=both)
    return figure


def _draw_panel(
    axes: Any,
    panel: Panel,
    metric: str,
    names: Sequence[str],
    styles: Mapping[str, Style],
    *,
    both: bool,
) -> None:
    """Draws the strips of one metric; with `both`, published numbers stand left of ours."""
    row = panel.strips.get(metric, {})
    axes.set_xticks([])
    axes.set_xlim(-0.7, max(len(names), 3) - 0.3)
    drawn = False
    for place, name in enumerate(names):
        strip = row.get(name)
        if strip is None or (strip.score is None and strip.published is None):
            if any(other.score for other in row.values()):
                sign_below(axes, place, SIGNS["missing"])
            continue
        drawn = True
        gid = slug(panel.title, metric, name)
        if strip.published is not None:
            _published(
                axes, place - (0.3 if both and strip.score else 0.0), strip, styles[name], gid
            )
        if strip.score is not None:
            _ours(axes, place, strip, strip.score, styles[name], gid, shift=0.06 if both else 0.0)
        if strip.mark is not None:
            sign_below(axes, place, SIGNS[strip.mark])
    if not drawn:
        axes.set_yticks([])
        note_nothing(axes, panel.note)
    else:
        axes.margins(y=0.08)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.12 * (high - low), high)  # room for the signs
    axes.locator_params(axis="y", nbins=5)


def _published(axes: Any, place: float, strip: Strip, style: Style, gid: str) -> None:
    """A hollow marker at the published number, with a bar of one standard deviation."""
    drawn = axes.errorbar(
        [place], [strip.published], yerr=None if strip.sd is None else [strip.sd],
        color=style.colour, marker=style.marker, markerfacecolor="white", markeredgewidth=0.9,
        elinewidth=0.8, capsize=1.5, zorder=3,
    )  # fmt: skip
    drawn[0].set_gid(f"published-{gid}")


def _ours(
    axes: Any, place: float, strip: Strip, score: Score, style: Style, gid: str, shift: float
) -> None:
    """Dots of resamples with a line at their mean, and a filled marker with the interval."""
    dots = strip.dots[:DOTS]
    if len(dots):
        spread = 0.3 * ((np.arange(len(dots)) * _FRACTIONAL) % 1 - 0.5)
        axes.plot(
            place - 0.12 + shift + spread, dots, linestyle="none", marker=".", markersize=1.6,
            markeredgewidth=0, color=style.colour, alpha=0.45, zorder=1,
        )  # fmt: skip
        middle = float(np.nanmean(strip.dots))
        axes.plot(
            [place - 0.32 + shift, place + 0.08 + shift],
            [middle] * 2,
            color=style.colour,
            linewidth=0.8,
            zorder=2,
        )
    drawn = axes.errorbar(
        [place + 0.24 + shift], [score.value], yerr=error_bars(score), color=style.colour,
        marker=style.marker, markersize=style.size(3.6), markeredgewidth=0.3,
        markeredgecolor="white", elinewidth=0.8, capsize=0, zorder=4,
    )  # fmt: skip
    drawn[0].set_gid(f"ours-{gid}")


HOW = (
    "Each filled marker is our score, its bar the 95 % interval over the choice of test tracks, "
    f"bias taken off. Beside it the first {DOTS} stored bootstrap resamples as dots, as they are, "
    "and a line at the mean of all of them: where tags are rare, resampling raises macro mAP, and "
    "the line lies above the marker by what the interval takes off."
)
"""How strips of ours are read, as captions print it."""

HOW_PUBLISHED = (
    "Each hollow marker is the published mean, its bar one standard deviation over the paper's "
    "bootstrap resamples. The paper draws 50 dots a method; their values are not published one by "
    "one, so none are drawn here."
)
"""How published numbers are read, as captions print it."""
