"""Power analysis: the smallest difference between two methods that a test set can detect."""

import math

from scipy.special import ndtri

from bench.core.errors import InputError


def smallest_detectable(
    standard_error: float, *, alpha: float = 0.05, power: float = 0.8, comparisons: int = 1
) -> float:
    """Computes the smallest true difference that a two-sided test finds with the given power.

    It is (z_{1 - alpha / 2} + z_power) standard errors: Cohen, "Statistical Power Analysis for the
    Behavioral Sciences", 2nd edition 1988, chapter 2 (there in units of the standard deviation;
    alpha 0.05 and power 0.8 are his conventions); for benchmarks Card et al., "With little power
    comes great responsibility", EMNLP 2020. The estimated difference is taken to be normally
    distributed, and the chance of finding the difference with the wrong sign is neglected.

    Args:
        standard_error: standard error of the paired difference, in units of the metric, from the
            bootstrap or from all known sources of variance. The standard error of one method's
            score is too large, since variation that both methods share cancels in the difference.
        alpha: two-sided significance level; with several comparisons that of the family.
        power: probability of finding the difference, above alpha / 2.
        comparisons: number of pairs that are tested together. Each is then tested at alpha /
            comparisons (Bonferroni). This is also the first step of Holm's procedure, so that a
            difference this large is found whatever the other differences are.

    Returns:
        The difference in units of the metric; NaN for a NaN standard error.

    Raises:
        InputError: if the standard error is negative or infinite, alpha or power lies outside (0,
            1), the power is not above alpha / 2, or there is no comparison.
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
            f"power {power:g} is reached without any difference at alpha {alpha:g}; "
            "ask for more, like 0.8"
        )
    quantiles = ndtri(1 - alpha / (2 * comparisons)) + ndtri(power)
    return float(quantiles * standard_error)
