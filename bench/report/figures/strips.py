"""Strips of bootstrap dots, a method each: the form of the ICASSP poster's Fig. 1."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.report.agreement import KEY, SIGNS, Mark
from bench.report.figures.layout import (
    columns_of,
    grid,
    handle,
    legend,
    legend_rows,
    note_nothing,
    set_title,
    slug,
    style_handles,
)
from bench.report.figures.style import COLUMN, PAGE, Style
from bench.report.names import metric_title
from bench.report.stock import Score

DOTS = 100
"""Resamples that are drawn; the first of those stored."""
ACROSS = 5
"""Panels in a row."""
_FRACTIONAL = 0.6180339887498949  # golden ratio: spreads dots evenly without random numbers


@dataclass(frozen=True)
class Strip:
    """What is drawn for one method in one panel.

    Attributes:
        dots: (resamples,) of ours; empty for none.
        score: ours; None where it is missing.
        published: the published number; None for none.
        sd: its standard deviation over resamples; None where it is not known.
        mark: of the agreement; None where nothing is compared.
    """

    dots: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    score: Score | None = None
    published: float | None = None
    sd: float | None = None
    mark: Mark | None = None


@dataclass(frozen=True)
class Panel:
    """One data set: metric -> series -> what is drawn.

    Attributes:
        title: above it.
        strips: metric -> series -> strip.
        note: what is said where nothing is drawn.
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
    """A figure with a panel a data set, one metric above the other, one strip a series."""
    strips = [strip for panel in panels for row in panel.strips.values() for strip in row.values()]
    both = any(strip.score for strip in strips) and any(
        strip.published is not None for strip in strips
    )
    ours = any(strip.score for strip in strips)
    handles, labels = style_handles(styles, names, line=False, hollow=not ours)
    grey = Style("#555555", "o")
    if both:
        handles += [handle(grey, line=False), handle(grey, line=False, hollow=True)]
        labels += ["ours", "published"]
    width = COLUMN if len(panels) <= 2 else PAGE
    marked = any(strip.mark for strip in strips)
    figure, axes = grid(
        len(panels), len(metrics), across=ACROSS, legend_rows=legend_rows(labels, width) + marked
    )
    columns = columns_of(len(panels), ACROSS)
    for number, (panel, column) in enumerate(zip(panels, axes, strict=True)):
        set_title(column[0], panel.title)
        for metric, one in zip(metrics, column, strict=True):
            _draw_panel(one, panel, metric, names, styles, both=both)
            if number % columns == 0:
                one.set_ylabel(metric_title(metric))
    legend(figure, handles, labels, key=KEY if marked else None)
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
    row = panel.strips.get(metric, {})
    axes.set_xticks([])
    axes.set_xlim(-0.7, max(len(names), 3) - 0.3)
    drawn = False
    for place, name in enumerate(names):
        strip = row.get(name)
        if strip is None or (strip.score is None and strip.published is None):
            if any(other.score for other in row.values()):
                _sign(axes, place, SIGNS["missing"])
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
            _sign(axes, place, SIGNS[strip.mark])
    if not drawn:
        axes.set_yticks([])
        note_nothing(axes, panel.note)
    else:
        axes.margins(y=0.08)
        low, high = axes.get_ylim()
        axes.set_ylim(low - 0.12 * (high - low), high)  # room for the signs
    axes.locator_params(axis="y", nbins=5)


def _sign(axes: Any, place: float, sign: str) -> None:
    axes.text(
        place,
        0.01,
        sign,
        transform=axes.get_xaxis_transform(),
        ha="center",
        va="bottom",
        fontsize=6,
    )


def _published(axes: Any, place: float, strip: Strip, style: Style, gid: str) -> None:
    drawn = axes.errorbar(
        [place], [strip.published], yerr=None if strip.sd is None else [strip.sd], color=style.colour,
        marker=style.marker, markerfacecolor="white", markeredgewidth=0.9, elinewidth=0.8, capsize=1.5, zorder=3,
    )  # fmt: skip
    drawn[0].set_gid(f"published-{gid}")


def _ours(
    axes: Any, place: float, strip: Strip, score: Score, style: Style, gid: str, shift: float
) -> None:
    dots = strip.dots[:DOTS]
    if len(dots):
        spread = 0.3 * ((np.arange(len(dots)) * _FRACTIONAL) % 1 - 0.5)
        axes.plot(
            place - 0.12 + shift + spread, dots, linestyle="none", marker=".", markersize=1.6, markeredgewidth=0,
            color=style.colour, alpha=0.45, zorder=1,
        )  # fmt: skip
        middle = float(np.nanmean(strip.dots))
        axes.plot(
            [place - 0.32 + shift, place + 0.08 + shift],
            [middle] * 2,
            color=style.colour,
            linewidth=0.8,
            zorder=2,
        )
    known = not np.isnan(score.low)
    error = [[score.value - score.low], [score.high - score.value]] if known else None
    drawn = axes.errorbar(
        [place + 0.24 + shift], [score.value], yerr=error, color=style.colour, marker=style.marker,
        markersize=style.size(3.6), markeredgewidth=0.3, markeredgecolor="white", elinewidth=0.8, capsize=0, zorder=4,
    )  # fmt: skip
    drawn[0].set_gid(f"ours-{gid}")


HOW = (
    "Each filled marker is our score, its bar the 95 % interval over the choice of test tracks, bias taken off. Beside "
    f"it the first {DOTS} stored bootstrap resamples as dots, as they are, and a line at the mean of all of them: "
    "where tags are rare, resampling raises macro mAP, and the line lies above the marker by what the interval "
    "takes off."
)
"""As captions say it."""

HOW_PUBLISHED = (
    "Each hollow marker is the published mean, its bar one standard deviation over the paper's bootstrap resamples. "
    "The paper draws 50 dots a method; their values are not published one by one, so none are drawn here."
)
"""As captions say it."""
