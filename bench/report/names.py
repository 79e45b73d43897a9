"""Names of metrics and series as tables and figures print them, and the order of the series."""

from collections.abc import Sequence

METRICS = {
    "map_macro": "mAP",
    "roc_auc_macro": "ROC-AUC",
    "map_micro": "mAP (micro)",
    "roc_auc_micro": "ROC-AUC (micro)",
    "accuracy": "Accuracy",
    "f1_macro": "F1 (macro)",
}
"""Titles of the metrics in figures and tables."""
_FIRST = ("simclr", "clustering", "barlow_twins", "byol", "vicreg")  # as in the ICASSP poster
_LAST = ("supervised", "mfcc", "random_init")  # baselines
_LONGEST_LABEL = 40  # characters of a name in a figure


def metric_title(metric: str) -> str:
    """A metric's title; its own name where it has none."""
    return METRICS.get(metric, metric)


def method_of(name: str) -> str:
    """The method of a series: its name up to the parenthesis with the settings that differ."""
    return name.partition(" (")[0]


def ordered(names: Sequence[str]) -> list[str]:
    """Series in the order of the ICASSP poster, then other methods by name, then baselines."""

    def place(name: str) -> tuple[int, int, str]:
        method = method_of(name)
        if method in _FIRST:
            return 0, _FIRST.index(method), name
        if method in _LAST:
            return 2, _LAST.index(method), name
        return 1, 0, name

    return sorted(set(names), key=place)


def percent(share: float) -> str:
    """A share between 0 and 1 in per cent, with three significant digits."""
    return f"{100 * share:.3g}%"


def shortened(name: str, longest: int = _LONGEST_LABEL) -> str:
    """A name on one line, its middle replaced by an ellipsis where it is too long.

    Args:
        name: any text.
        longest: the most characters.
    """
    name = " ".join(name.split())
    half = longest // 2
    return name if len(name) <= longest else f"{name[: half - 1]}…{name[-half:]}"
