"""Small drawings as inline SVG: intervals beside numbers, and curves of a training.

A page holds some fifty of them, and is kept small: coordinates are whole numbers, and styles stand
in the style sheet alone. A drawing repeats what is written beside it, so that it is hidden from
screen readers.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from markupsafe import Markup

BAR = 110
"""Width of an interval's drawing, in pixels; it stands in the style sheet as well."""
_EDGE = 3  # pixels that the mark of a value may reach beyond the scale
MOST_POINTS = 60
"""The most vertices of a curve; a panel is not wide enough for more."""
_PANEL = (0, 10, 300, 110)  # left, top, right, bottom of the plot, in units of the drawing
_LOGARITHMIC = 30.0  # a curve that spans more than this factor is drawn on a logarithmic scale


@dataclass(frozen=True)
class Scale:
    """The values between which a column of intervals is drawn."""

    low: float
    high: float

    def at(self, value: float) -> int:
        """The pixel of a value from the left; values outside are put on the edge."""
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return _EDGE + round(min(1.0, max(0.0, share)) * (BAR - 2 * _EDGE))


def scale(values: Sequence[float | None], zero: bool = False) -> Scale:
    """A scale with round ends that holds all values, and with `zero` zero as well."""
    known = [value for value in values if value is not None and math.isfinite(value)] + (
        [0.0] if zero else []
    )
    if not known:
        return Scale(0.0, 1.0)
    low, high = min(known), max(known)
    step = _round_step(max(high - low, 1e-3) / 4)
    return Scale(math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step)


def interval(
    value: float | None, low: float | None, high: float | None, on: Scale, zero: bool = False
) -> Markup:
    """An interval: a line from end to end, and an upright tick at the value.

    Args:
        value: the value; nothing is drawn without one.
        low: lower end; no line is drawn without one.
        high: upper end.
        on: the scale of the column.
        zero: whether zero has a faint tick.
    """
    if value is None or not math.isfinite(value):
        return Markup("")
    middle = on.at(value)
    line = ""
    if low is not None and high is not None and math.isfinite(low) and math.isfinite(high):
        start = on.at(low)
        line = f"M{start} 7h{on.at(high) - start}"
    base = Markup('<path class="z" d="M{} 0v14"/>').format(on.at(0.0)) if zero else Markup("")
    return Markup('<svg class="i" aria-hidden="true">{}<path d="{}M{} 2v10"/></svg>').format(
        base, line, middle
    )


@dataclass(frozen=True)
class Curve:
    """One series of a training.

    Attributes:
        name: name of the series.
        picture: the drawing.
        words: first, last and extreme values, for those who do not see the drawing.
    """

    name: str
    picture: Markup
    words: str


def curve(name: str, points: Sequence[tuple[float, float]], most: int = MOST_POINTS) -> Curve:
    """Draws a series against the training step.

    Args:
        name: name of the series.
        points: (step, value) by ascending step; values that are not finite are counted, not drawn.
        most: the most vertices of the drawing.
    """
    known = [
        (step, value) for step, value in points if math.isfinite(step) and math.isfinite(value)
    ]
    lost = len(points) - len(known)
    unknown = f"; {lost} of {len(points)} values are not finite and not drawn" if lost else ""
    if not known:
        return Curve(name, Markup(""), f"no finite value{unknown}")
    values = [value for _, value in known]
    words = (
        f"{short(values[0])} at step {known[0][0]:g}, {short(values[-1])} at step {known[-1][0]:g}"
    )
    words += f"; lowest {short(min(values))}, highest {short(max(values))}{unknown}"
    logarithmic = min(values) > 0 and max(values) / min(values) > _LOGARITHMIC
    words += "; logarithmic scale" if logarithmic else ""
    return Curve(name, _panel(_thinned(known, most), logarithmic), words)


def _panel(points: Sequence[tuple[float, float]], logarithmic: bool) -> Markup:
    """A curve in its frame, with the greatest and least value and the last step as labels."""
    left, top, right, bottom = _PANEL
    last = max(step for step, _ in points) or 1.0
    heights = [math.log10(value) if logarithmic else value for _, value in points]
    low, high = min(heights), max(heights)
    span = (high - low) or 1.0
    places = [
        (
            left + round(step / last * (right - left)),
            bottom - round((height - low) / span * (bottom - top)),
        )
        for (step, _), height in zip(points, heights, strict=True)
    ]
    x, y = places[0]
    drawn = f"M{max(0, x - 3)} {y}h3"  # a single point is a dash
    if len(places) > 1:
        steps = [f"{to_x - x} {to_y - y}" for (x, y), (to_x, to_y) in pairwise(places)]
        drawn = f"M{x} {y}l" + " ".join(steps).replace(" -", "-")
    high_text = short(max(value for _, value in points))
    low_text = short(min(value for _, value in points))
    return Markup(
        '<svg class="c" viewBox="-2 0 360 132" aria-hidden="true">'
        '<path class="g" d="M0 {}H{}M0 {}H{}"/>'
        '<path class="l" d="{}"/><text x="306" y="{}">{}</text><text x="306" y="{}">{}</text>'
        '<text x="0" y="128">0</text><text x="300" y="128" class="e">{}</text></svg>'
    ).format(
        top, right, bottom, right, drawn, top + 4, high_text, bottom + 4, low_text, f"{last:g}"
    )


def _thinned(points: Sequence[tuple[float, float]], most: int) -> list[tuple[float, float]]:
    """At most `most` points, evenly over the series, and the extreme ones."""
    if len(points) <= most:
        return list(points)
    kept = {round(place * (len(points) - 1) / (most - 1)) for place in range(most)}
    # Spikes are what a reader looks for: the extreme points are always drawn.
    values = [value for _, value in points]
    kept |= {values.index(min(values)), values.index(max(values))}
    return [points[place] for place in sorted(kept)]


def _round_step(step: float) -> float:
    """The least of 1, 2 and 5 times a power of ten that is no smaller than a step."""
    power = 10.0 ** math.floor(math.log10(step))
    return next(size * power for size in (1.0, 2.0, 5.0, 10.0) if size * power >= step * (1 - 1e-9))


def short(value: float) -> str:
    """A number with three significant digits, or with all of them before the point."""
    value = float(f"{value:.9g}") or 0.0  # no minus zero, no tail of a step that is not exact
    text = (
        f"{value:.3g}"
        if abs(value) < 1000
        else f"{value:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")
    )
    return f"\N{MINUS SIGN}{text[1:]}" if value < 0 else text
