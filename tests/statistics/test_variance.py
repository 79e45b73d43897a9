"""Sources of variance: which are known, how they add up, and what the interval covers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.core.errors import InputError
from bench.statistics.variance import SOURCES, variance_components
from tests.statistics.grids import GRIDS, by_name, random_grid

NAN = float("nan")


@given(
    st.sampled_from(GRIDS),
    st.integers(0, 1000),
    st.floats(-3, 3),
    st.floats(0.01, 100),
    st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_shift_scale_and_order_of_levels(
    shape: tuple[int, int, int], seed: int, shift: float, scale: float, correct_bias: bool
) -> None:
    scores, resampled = random_grid(shape, seed=seed)
    random = np.random.default_rng(seed)
    orders = [random.permutation(length) for length in shape]
    pick = np.ix_(*orders)
    found = variance_components(scores, resampled, correct_bias=correct_bias)
    moved = variance_components(
        shift + scale * scores[pick], shift + scale * resampled[pick], correct_bias=correct_bias
    )
    for before, after in zip(found.sources, moved.sources, strict=True):
        assert after.estimate == pytest.approx(
            before.estimate * scale**2, rel=1e-6, abs=1e-15 * scale**2, nan_ok=True
        )
        assert after.share == pytest.approx(before.share, rel=1e-6, abs=1e-9, nan_ok=True)
        assert (after.missing, after.within) == (before.missing, before.within)
    ends = [shift + scale * end for end in (found.low, found.high)]
    assert (moved.low, moved.high) == pytest.approx(ends, rel=1e-6)
    assert moved.degrees == pytest.approx(found.degrees, rel=1e-6)
    assert moved.largest == found.largest


@pytest.mark.parametrize("shape", GRIDS)
def test_parts_add_up(shape: tuple[int, int, int]) -> None:
    found = variance_components(*random_grid(shape))
    known = [source for source in found.sources if not source.missing]
    assert sum(source.share for source in known) == pytest.approx(1)
    assert sum(source.of_mean for source in known) == pytest.approx(found.standard_error**2)
    assert found.largest == max(known, key=lambda source: source.variance).name
    assert (found.low + found.high) / 2 == pytest.approx(found.mean)
    assert len(found.unknown) == len(SOURCES) - len(known)
    for source in found.sources:
        numbers = (source.variance, source.deviation, source.share, source.of_mean, source.degrees)
        assert np.isnan(numbers).all() == bool(source.missing)
        assert not np.isnan(numbers).any() or np.isnan(numbers).all()


def test_one_level_is_not_known_and_never_zero() -> None:
    found = variance_components(*random_grid((1, 3, 1)))
    assert found.unknown == (
        "pretraining seed: not known: one pretraining seed, not counted",
        "pretraining seed x label draw: not known: one pretraining seed, counted in label draw",
        "probe seed: not known: one probe seed, counted in label draw",
    )
    found = variance_components(random_grid((1, 1, 1))[0])
    assert len(found.unknown) == 5
    assert np.isnan(
        [found.standard_error, found.low, found.high, found.p_value, found.degrees]
    ).all()
    assert (found.largest, found.largest_of_mean) == ("", "")
    found = variance_components(random_grid((3, 3, 1))[0])
    assert found.unknown[-1] == "test sample: not known: no resamples, not counted"
    found = variance_components(random_grid((1, 1, 3))[0])
    assert [source.name for source in found.sources if not source.missing] == ["probe seed"]


def test_one_way_grid_gives_students_interval() -> None:
    scores = np.random.default_rng(0).normal(0.4, 0.01, (6, 1, 1))
    found = variance_components(scores, confidence=0.9)
    test = stats.ttest_1samp(scores.ravel(), 0)
    low, high = test.confidence_interval(0.9)
    assert (found.low, found.high, found.degrees) == pytest.approx((low, high, 5))
    assert found.p_value == pytest.approx(test.pvalue)


def test_negative_estimates_are_zero_and_said() -> None:
    scores = np.array([[0.4, 0.5], [0.5, 0.4]])[..., None]  # all rows and columns have one mean
    found = variance_components(scores)
    assert found.truncated == ("pretraining seed", "label draw")
    assert [source.variance for source in found.sources[:3]] == pytest.approx([0, 0, 0.01])
    assert found.sources[0].estimate == pytest.approx(-0.005)
    assert found.standard_error == pytest.approx(math.sqrt(0.01 / 4))
    equal = variance_components(np.full((3, 3, 2), 0.1), np.full((3, 3, 2, 5), 0.1))
    assert (equal.standard_error, equal.truncated, equal.largest) == (0, (), "")
    assert (equal.low, equal.high) == (equal.mean, equal.mean)


def test_bias_moves_the_interval_and_resamples_without_a_value_are_left_out() -> None:
    scores, resampled = random_grid((2, 2, 1))
    plain = variance_components(scores, resampled)
    resampled = np.concatenate([resampled, np.full((2, 2, 1, 3), 7.0)], axis=-1)
    resampled[0, 1, 0, -3:] = NAN
    again = variance_components(scores, resampled)
    np.testing.assert_array_equal(
        list(by_name(again, "estimate").values()), list(by_name(plain, "estimate").values())
    )
    assert (again.low, again.high, again.bias) == (plain.low, plain.high, plain.bias)
    biased = variance_components(scores, resampled + 0.001, correct_bias=True)
    assert biased.bias == pytest.approx(plain.bias + 0.001)
    assert (biased.low, biased.high) == pytest.approx(
        (plain.low - biased.bias, plain.high - biased.bias)
    )
    assert variance_components(scores, resampled + 1, correct_bias=True).high == biased.mean


@pytest.mark.parametrize(
    ("scores", "resampled", "options", "message"),
    [
        (np.zeros((2, 2)), None, {}, "give (pretraining seeds, label draws, probe seeds)"),
        (np.zeros((2, 0, 1)), None, {}, "scores have the shape (2, 0, 1)"),
        (np.array([[[0.1], [NAN]]]), None, {}, "the score of cell (0, 1, 0) is not a number"),
        (np.zeros((2, 2, 1)), np.zeros((2, 2, 5)), {}, "resamples have the shape (2, 2, 5)"),
        (np.zeros((2, 2, 1)), None, {"confidence": 1.0}, "confidence is 1"),
        (np.zeros((2, 2, 1)), None, {"correct_bias": True}, "no bias to correct"),
    ],
)
def test_components_refuse(
    scores: np.ndarray, resampled: np.ndarray | None, options: dict, message: str
) -> None:
    with pytest.raises(InputError) as error:
        variance_components(scores, resampled, **options)
    assert message in str(error.value)


def test_known_components_are_recovered_and_the_interval_holds_its_rate() -> None:
    """Normal effects for each track and a real bootstrap, as in the benchmark of the components.

    See `tests/benchmarks/variance_components.py`.
    """
    effects, interactions = np.array([3.0, 4.0, 2.0, 2.0, 2.0]), np.array([2.0, 1.0, 2.0, 1.0])
    shape, tracks, resamples, trials = (3, 4, 2), 60, 100, 400
    sizes = [(3, 1, 1), (1, 4, 1), (3, 4, 1), shape]
    estimates, apart, held = np.zeros((trials, 5)), np.zeros((trials, 4)), 0
    for trial in range(trials):
        random = np.random.default_rng(trial)
        scores = effects[-1] * tracks**0.5 * random.standard_normal(tracks) + np.zeros((*shape, 1))
        for size, effect, interaction in zip(sizes, effects, interactions, strict=False):
            scores = scores + effect * random.standard_normal((*size, 1))
            scores = scores + interaction * tracks**0.5 * random.standard_normal((*size, tracks))
        counts = random.multinomial(tracks, np.full(tracks, 1 / tracks), size=resamples).T
        found = variance_components(scores.mean(-1), scores @ counts / tracks)
        estimates[trial] = [source.estimate for source in found.sources]
        apart[trial] = [source.interaction for source in found.sources[:-1]]
        held += found.low <= 0 <= found.high
    truth = effects**2 + np.append(interactions, 0) ** 2
    for drawn, expected in [(estimates, truth), (apart, interactions**2 * (tracks - 1) / tracks)]:
        error = drawn.std(axis=0) / trials**0.5
        assert (np.abs(drawn.mean(0) - expected) < 4 * error + 0.02 * expected).all()
    assert 0.90 < held / trials < 0.99  # four standard errors of 0.011 about 0.95
