"""Fills in templates of pages. Everything is escaped but the drawings of this package."""

import math
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from bench.report.html.board import place_in_words
from bench.report.html.charts import short

TITLES = {
    "map_macro": "mAP",
    "roc_auc_macro": "ROC-AUC",
    "accuracy": "Accuracy",
    "f1_macro": "Macro-F1",
    "map_micro": "Micro AP",
    "roc_auc_micro": "Micro ROC-AUC",
}
NONE = "\N{EN DASH}"
"""What stands where there is no number."""


@cache
def environment() -> Environment:
    """The templates of this package, with the functions that they use as filters."""
    made = Environment(
        loader=PackageLoader("bench.report.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=False,
    )
    made.filters |= {
        "score": score,
        "signed": signed,
        "limits": limits,
        "count": count,
        "share": share,
        "p_value": p_value,
        "metric": metric_title,
        "duration": duration,
        "exact": exact,
        "place": place_in_words,
        "short": short,
    }
    return made


def page(template: str, **content: Any) -> bytes:
    """One page in UTF-8.

    Args:
        template: name of the template.
        content: what the template names.
    """
    text = environment().get_template(template).render(**content)
    # A lone surrogate, which a file name may bring, is no text that can be written.
    return (text.strip() + "\n").encode("utf-8", errors="replace")


def score(value: float | None) -> str:
    """A score with three decimals."""
    return NONE if value is None or math.isnan(value) else f"{value:.3f}"


def signed(value: float | None) -> str:
    """A difference with three decimals and a sign, with a minus as wide as a plus."""
    if value is None or math.isnan(value):
        return NONE
    return f"{value:+.3f}".replace("-", "\N{MINUS SIGN}")


def limits(ends: tuple[float | None, float | None], sign: bool = False) -> str:
    """Both ends of an interval in brackets; nothing where there is no interval.

    Args:
        ends: lower and upper end.
        sign: whether both have a sign.
    """
    low, high = ends
    if low is None or high is None or math.isnan(low) or math.isnan(high):
        return ""
    form = signed if sign else score
    return f"[{form(low)}, {form(high)}]"


def count(number: float) -> str:
    """A whole number with narrow spaces between thousands."""
    return f"{number:,.0f}".replace(",", "\N{NARROW NO-BREAK SPACE}")


def share(fraction: float) -> str:
    """A fraction of the labels in per cent; above 1 it is a number of tracks."""
    if fraction > 1:
        return f"{count(fraction)} tracks"
    return f"{fraction * 100:.6g}\N{NO-BREAK SPACE}%"


def p_value(value: float) -> str:
    """A p-value with four decimals; a question mark where there is none."""
    if math.isnan(value):
        return "?"
    return "<\N{NO-BREAK SPACE}0.0001" if value < 0.0001 else f"{value:.4f}"


def metric_title(name: str) -> str:
    """A metric's title; its own name where it has none."""
    if name.startswith("recall_at_"):
        return f"Recall at {name.removeprefix('recall_at_')}"
    return TITLES.get(name, name)


def duration(seconds: float) -> str:
    """A time in seconds, minutes or hours, whichever fits."""
    for size, unit in ((3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"


def exact(value: float | None) -> str:
    """A number that the browser sorts by; nothing where there is none."""
    return "" if value is None or math.isnan(value) else f"{value:.6g}"
