"""Names of metrics and series as tables and figures print them, and the order of the series."""

from collections.abc import Sequence

from bench.report.stock import method_of

METRICS = {
    "map_macro": "mAP",
    "roc_auc_macro": "ROC-AUC",
    "map_micro": "mAP (micro)",
    "roc_auc_micro": "ROC-AUC (micro)",
    "accuracy": "Accuracy",
    "f1_macro": "F1 (macro)",
}
"""Metrics as figures and tables call them."""


def metric_title(metric: str) -> str:
    """A metric's name as figures show it."""
    return METRICS.get(metric, metric)


_ORDER = ("simclr", "clustering", "barlow_twins", "byol", "vicreg")


_LAST = ("supervised", "mfcc", "random_init")


def ordered(names: Sequence[str]) -> list[str]:
    """Series in the order of the ICASSP poster, then others by name, then baselines."""

    def place(name: str) -> tuple[int, int, str]:
        method = method_of(name)
        if method in _ORDER:
            return 0, _ORDER.index(method), name
        if method in _LAST:
            return 2, _LAST.index(method), name
        return 1, 0, name

    return sorted(set(names), key=place)


def percent(share: float) -> str:
    """A share as figures print it."""
    return f"{100 * share:.3g}%"
