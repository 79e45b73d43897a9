"""Analysis of variance of a balanced grid: A crossed with B, and C nested in their pairs.

After Searle, Casella and McCulloch, "Variance Components", 1992, chapters 3 and 4. Arrays over
sources are in the order A, B, AB, C. In a grid of scores, A is the pretraining seed, B the label
draw, AB their interaction and C the probe seed. The shape of a grid is (na, nb, nc): pretraining
seeds, label draws, and probe seeds of each pair.
"""

import numpy as np
from numpy.typing import NDArray


def levels_of_mean(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Counts the levels of A, B, AB and C over which the mean of the grid is taken, (4,)."""
    seeds, draws, probes = shape
    return np.array([seeds, draws, seeds * draws, seeds * draws * probes], dtype=np.float64)


def degrees_of_freedom(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Returns the degrees of freedom of the mean squares of A, B, AB and C.

    Args:
        shape: shape of the grid.

    Returns:
        (4,) degrees of freedom; 0 where a source has one level.
    """
    seeds, draws, probes = shape
    return np.array(
        [seeds - 1, draws - 1, (seeds - 1) * (draws - 1), seeds * draws * (probes - 1)],
        dtype=np.float64,
    )


def mean_squares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Computes the mean squares of a two-way crossed classification with a nested error.

    Args:
        values: (pretraining seeds, label draws, probe seeds, analyses), one grid for each analysis.

    Returns:
        (4, analyses) mean squares of A, B, AB and C; 0 where a source has one level.
    """
    seeds, draws, probes = values.shape[:3]
    # Equal scores must have a variance of exactly zero, so mean squares as small as the rounding
    # errors of the means are set to zero.
    rounding = (8 * np.finfo(np.float64).eps * np.abs(values).max(axis=(0, 1, 2))) ** 2
    values = values - values[:1, :1, :1]
    pair = values.mean(axis=2, keepdims=True)
    seed, draw = pair.mean(axis=1, keepdims=True), pair.mean(axis=0, keepdims=True)
    grand = seed.mean(axis=0, keepdims=True)
    deviations = (seed - grand, draw - grand, pair - seed - draw + grand, values - pair)
    repeats = (draws * probes, seeds * probes, probes, 1)
    sums = np.stack(
        [n * (part**2).sum(axis=(0, 1, 2)) for n, part in zip(repeats, deviations, strict=True)]
    )
    squares = sums / np.maximum(degrees_of_freedom((seeds, draws, probes)), 1)[:, None]
    return np.where(squares > rounding, squares, 0.0)


def coefficients(shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Returns the variance components as linear combinations of the four mean squares.

    They solve the expected mean squares E MS_A = C + nc AB + nb nc A, E MS_B = C + nc AB + na nc B,
    E MS_AB = C + nc AB and E MS_C = C. A mean square without degrees of freedom cannot be
    subtracted; the variance that it would measure then stays in the component above it.

    Args:
        shape: shape of the grid.

    Returns:
        (4, 4) one row for each component; the row of a source with one level is NaN.
    """
    seeds, draws, probes = shape
    rows = np.zeros((4, 4))
    known = degrees_of_freedom(shape) > 0
    for source, repeats in enumerate((draws * probes, seeds * probes, probes, 1)):
        rows[source, source] = 1 / repeats
        # The mean square to subtract is that of AB or, where it is not known, that of C.
        below = [error for error in (2, 3) if error > source and known[error]]
        if below:
            rows[source, below[0]] = -1 / repeats
        if not known[source]:
            rows[source] = np.nan
    return rows


def satterthwaite(
    parts: NDArray[np.float64],
    squares: NDArray[np.float64],
    shape: tuple[int, int, int],
    variance: float,
) -> float:
    """Approximates the degrees of freedom of the variance of the mean, after Satterthwaite.

    The result is never below the fewest degrees of freedom of the mean squares that raise the
    variance: mean squares that are subtracted could otherwise bring it below one.

    Args:
        parts: (components, 4) one row for each component above zero: its combination of mean
            squares, divided by the number of levels that the mean is taken over.
        squares: (4,) mean squares.
        shape: shape of the grid.
        variance: variance of the mean, including that of the test sample.

    Returns:
        The degrees of freedom; infinite where no mean square enters the variance.
    """
    terms, degrees = parts.sum(axis=0) * squares, degrees_of_freedom(shape)
    if not (terms > 0).any():
        return float("inf")
    known = degrees > 0
    matched = variance**2 / float((terms[known] ** 2 / degrees[known]).sum())
    return max(matched, float(degrees[terms > 0].min()))
