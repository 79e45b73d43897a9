"""What difference a test set could detect, before anybody reads meaning into one that it could not."""

import math

from scipy.special import ndtri

from bench.core.errors import InputError


def smallest_detectable(
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> float:
    """Smallest true difference that a two-sided test finds with the given power, (z_{1-alpha/2} + z_power) se.

    Cohen, "Statistical Power Analysis for the Behavioral Sciences", 2nd edition 1988, chapter 2
    (there in units of the standard deviation; alpha 0.05 and power 0.8 are his conventions); for
    benchmarks Card et al., "With little power comes great responsibility", EMNLP 2020. The
    difference is taken as normal, and the chance to find it with the wrong sign as nothing.

    Args:
        standard_error: of the paired difference, in units of the metric: of the bootstrap, or of
            all known sources of variance; not that of one method's score, in which what both
            methods share does not cancel.
        alpha: two-sided significance level, of the family where there are several comparisons.
        power: chance to find the difference, above alpha / 2.
        comparisons: number of pairs that are tested together. Each is then tested at alpha /
            comparisons (Bonferroni), which is the first step of Holm's procedure too: a difference
            this large is found whatever the others are.

    Returns:
        The difference in units of the metric; NaN for a NaN standard error.

    Raises:
        InputError: a standard error below zero, alpha or power outside (0, 1), or no comparison.
    """
    if standard_error < 0 or math.isinf(standard_error):
        raise InputError(
            f"standard error is {standard_error:g}; it must be zero or above and finite"
        )
    for name, value in (("alpha", alpha), ("power", power)):
        if not 0 < value < 1:
            raise InputError(
                f"{name} is {value:g}; it must lie between 0 and 1, such as 0.05 or 0.8"
            )
    if comparisons < 1:
        raise InputError(f"comparisons is {comparisons}; it must be 1 or more")
    if power <= alpha / 2:
        raise InputError(
            f"power {power:g} is reached without any difference at alpha {alpha:g}; ask for more, like 0.8"
        )
    quantiles = ndtri(1 - alpha / (2 * comparisons)) + ndtri(power)
    return float(quantiles * standard_error)
