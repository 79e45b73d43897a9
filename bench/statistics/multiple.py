"""Adjustment of p-values for multiple comparisons."""

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjusts p-values by Holm's step-down procedure, which controls the family-wise error rate.

    Rejecting the hypotheses whose adjusted p-value is at most alpha keeps the family-wise error
    rate at or below alpha, however the tests depend on one another. The i-th smallest of m p-values
    is multiplied by m - i + 1; a running maximum makes the products monotone, and they are cut at 1
    (Holm, "A simple sequentially rejective multiple test procedure", Scandinavian Journal of
    Statistics 6, 1979; as adjusted p-values: Wright, Biometrics 48, 1992).

    Args:
        p_values: (comparisons,); NaN marks a comparison that was not made and is not counted.

    Returns:
        (comparisons,) adjusted p-values in the order given, NaN where NaN was given.

    Raises:
        InputError: if a p-value lies outside [0, 1], or the array is not one-dimensional.
    """
    if p_values.ndim != 1:
        raise InputError(f"p-values have the shape {p_values.shape}; give them as one row")
    known = np.flatnonzero(~np.isnan(p_values))
    wrong = known[(p_values[known] < 0) | (p_values[known] > 1)]
    if wrong.size:
        raise InputError(f"p-value {wrong[0]} is {p_values[wrong[0]]:g}; it must lie in [0, 1]")
    order = known[np.argsort(p_values[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(p_values), np.nan)
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p_values[order] * factors))
    return adjusted
