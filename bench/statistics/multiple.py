"""Adjusting p-values for the number of comparisons."""

import numpy as np
from numpy.typing import NDArray

from bench.core.errors import InputError


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's step-down adjustment: comparing the result with alpha keeps the family-wise error rate at alpha.

    The i-th smallest of m p-values is multiplied by m - i + 1; the products are made monotone by a
    running maximum and cut at 1 (Holm, "A simple sequentially rejective multiple test procedure",
    Scandinavian Journal of Statistics 6, 1979; as adjusted p-values: Wright, Biometrics 48, 1992).
    It holds for tests that depend on one another in any way.

    Args:
        p_values: (comparisons,); NaN marks a comparison that was not made and is not counted.

    Returns:
        (comparisons,) adjusted p-values in the order given, NaN where NaN was given.

    Raises:
        InputError: a p-value outside [0, 1], or an array of another shape.
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
