"""Adjusted p-values, ranks, power, paired differences and sources of variance, against independent references."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.core.errors import InputError
from bench.statistics.detectable import smallest_detectable
from bench.statistics.grid import Cell, balanced_grid
from bench.statistics.intervals import percentile
from bench.statistics.multiple import holm
from bench.statistics.paired import paired
from bench.statistics.ranks import critical_difference, friedman
from bench.statistics.variance import SOURCES, VarianceComponents, variance_components

NAN = float("nan")
GRIDS = list(itertools.product([1, 2, 3], [1, 2, 4], [1, 3]))


def random_grid(
    shape: tuple[int, int, int], resamples: int = 40, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Scores with every effect, and resampled scores with every interaction."""
    random = np.random.default_rng([seed, *shape])
    scores, shifts = np.full(shape, 0.4), np.zeros((*shape, resamples))
    for size in [(1, 1, 1), (shape[0], 1, 1), (1, shape[1], 1), (*shape[:2], 1), shape]:
        scores = scores + 0.01 * random.standard_normal(size)
        shifts = shifts + 0.01 * random.standard_normal((*size, resamples))
    return scores, scores[..., None] + shifts


def by_name(found: VarianceComponents, field: str) -> dict[str, float]:
    return {source.name: getattr(source, field) for source in found.sources}


# Holm


@pytest.mark.parametrize(
    ("p_values", "adjusted"),
    [
        (
            [0.01, 0.04, 0.03, 0.005],
            [0.03, 0.06, 0.06, 0.02],
        ),  # 4 x 0.005, 3 x 0.01, 2 x 0.03, then the maximum so far
        (
            [0.01, 0.02, 0.03, 0.04, 0.05],
            [0.05, 0.08, 0.09, 0.09, 0.09],
        ),  # R: p.adjust((1:5) / 100, "holm")
        # Demsar 2006, section 3.2.2: C4.5 against three variants; 0.016 < 0.017 and 0.019 < 0.025
        # are rejected.
        ([0.016, 0.607, 0.019], [0.048, 0.607, 0.048]),
        ([0.9, 0.8], [1.0, 1.0]),
        ([], []),
    ],
)
def test_holm_by_hand(p_values: list[float], adjusted: list[float]) -> None:
    np.testing.assert_allclose(holm(np.array(p_values)), adjusted)


@given(
    st.lists(st.one_of(st.floats(0, 1), st.just(NAN)), max_size=12),
    st.randoms(use_true_random=False),
)
def test_holm_is_the_step_down_procedure(values: list[float], shuffle) -> None:
    adjusted = holm(np.array(values, dtype=np.float64))
    known = [value for value in values if not math.isnan(value)]
    assert np.isnan(adjusted).sum() == len(values) - len(known)
    for alpha in (0.01, 0.05, 0.3):
        level = math.inf  # Holm: reject from the smallest on, until one is above alpha / (m - i)
        for place, value in enumerate(sorted(known)):
            if value * (len(known) - place) > alpha:
                level = value
                break
        for value, result in zip(values, adjusted, strict=True):
            assert math.isnan(value) or (result <= alpha) == (value < level)
    order = list(range(len(values)))
    shuffle.shuffle(order)
    np.testing.assert_array_equal(holm(np.array(values, dtype=np.float64)[order]), adjusted[order])


def test_holm_refuses_what_is_no_p_value() -> None:
    with pytest.raises(InputError, match=r"p-value 1 is 1\.2; it must lie in \[0, 1\]"):
        holm(np.array([0.1, 1.2]))
    with pytest.raises(InputError, match="one row"):
        holm(np.zeros((2, 2)))


# Ranks


@pytest.mark.parametrize("ties", [False, True])
@pytest.mark.parametrize(("datasets", "methods"), [(12, 3), (6, 5), (30, 8)])
def test_friedman_is_scipys(datasets: int, methods: int, ties: bool) -> None:
    scores = np.random.default_rng(datasets).normal(size=(datasets, methods)) + np.linspace(
        0, 1, methods
    )
    scores = np.round(scores) if ties else scores
    found = friedman(scores)
    statistic, p_value = stats.friedmanchisquare(*scores.T)
    assert found.statistic == pytest.approx(statistic)
    assert found.p_value == pytest.approx(p_value)
    np.testing.assert_allclose(found.average_ranks, stats.rankdata(-scores, axis=1).mean(0))
    # Iman and Davenport's F is the F of a two-way analysis of variance of the ranks.
    ranks = stats.rankdata(scores, axis=1)
    columns = datasets * ((ranks.mean(0) - ranks.mean()) ** 2).sum() / (methods - 1)
    rest = ((ranks - ranks.mean(0)) ** 2).sum() / ((methods - 1) * (datasets - 1))
    assert found.f_statistic == pytest.approx(columns / rest)
    assert found.f_p_value == pytest.approx(
        stats.f.sf(columns / rest, methods - 1, (methods - 1) * (datasets - 1))
    )


def test_demsars_example() -> None:
    """JMLR 7, 2006, table 6 and section 3.2.2: 14 data sets, average ranks 3.143, 2.000, 2.893, 1.964.

    In the row of 0.972 he prints 0.975 twice, with the ranks 2 and 3: they were tied by rounding
    alone.
    """
    table = """0.763 0.768 0.771 0.798  0.599 0.591 0.590 0.569  0.954 0.971 0.968 0.967  0.628 0.661 0.654 0.657
        0.882 0.888 0.886 0.898  0.936 0.931 0.916 0.931  0.661 0.668 0.609 0.685  0.583 0.583 0.563 0.625
        0.775 0.838 0.866 0.875  1.000 1.000 1.000 1.000  0.940 0.962 0.965 0.962  0.619 0.666 0.614 0.669
        0.972 0.981 0.9751 0.975  0.957 0.978 0.946 0.970"""
    found = friedman(np.array(table.split(), dtype=np.float64).reshape(14, 4))
    np.testing.assert_allclose(found.average_ranks, [3.143, 2.0, 2.893, 1.964], atol=5e-4)
    # He prints 9.28 and F 3.69, without the correction for ties; with it both are larger.
    uncorrected = 12 * 14 / 20 * (float((found.average_ranks**2).sum()) - 4 * 25 / 4)
    assert uncorrected == pytest.approx(9.28, abs=0.01)
    assert found.statistic > uncorrected
    assert found.f_p_value < 0.05
    assert critical_difference(4, 14, alpha=0.10) == pytest.approx(1.12, abs=0.005)
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert found.weak == ""


@pytest.mark.parametrize(
    ("alpha", "quantiles"),
    [
        (0.05, [1.960, 2.343, 2.569, 2.728, 2.850, 2.949, 3.031, 3.102, 3.164]),
        (0.10, [1.645, 2.052, 2.291, 2.459, 2.589, 2.693, 2.780, 2.855, 2.920]),
    ],
)
def test_quantiles_are_demsars_table_5a(alpha: float, quantiles: list[float]) -> None:
    for methods, quantile in enumerate(quantiles, start=2):
        # 6 N = k (k + 1) would make the critical difference q itself.
        found = critical_difference(methods, 100, alpha=alpha) * math.sqrt(
            600 / (methods * (methods + 1))
        )
        assert found == pytest.approx(quantile, abs=1e-3)


def test_groups_are_the_longest_runs_that_do_not_differ() -> None:
    ranks = np.array([[4, 1, 2, 3, 5.0]] * 20)  # critical difference 6.1 / sqrt 20 = 1.36
    assert friedman(-ranks).groups == ((1, 2), (2, 3), (3, 0), (0, 4))
    assert friedman(-ranks[:9]).groups == ((1, 2, 3), (2, 3, 0), (3, 0, 4))  # 2.03
    assert friedman(-ranks[:2]).groups == ((1, 2, 3, 0, 4),)
    assert friedman(-np.repeat(ranks, 3, axis=0)).groups == ()


@given(st.integers(2, 8), st.integers(2, 7), st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_ranks_do_not_depend_on_scale_or_order(datasets: int, methods: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    scores = np.round(random.normal(size=(datasets, methods)), 1)
    found = friedman(scores)
    order = random.permutation(methods)
    moved = friedman((np.exp(scores) * random.uniform(1, 9, (datasets, 1)))[:, order])
    np.testing.assert_allclose(moved.average_ranks, found.average_ranks[order])
    assert moved.statistic == pytest.approx(found.statistic, abs=1e-9)
    assert moved.f_p_value == pytest.approx(found.f_p_value)
    for group in found.groups:
        assert np.ptp(found.average_ranks[list(group)]) < found.critical_difference


def test_agreement_ties_and_few_data_sets_are_said() -> None:
    found = friedman(np.tile([3.0, 2.0, 1.0], (2, 1)))
    assert found.f_statistic == math.inf
    # Of 3! rankings the second data set gives the first one's: 1 / 6, which chi-square would call
    # 0.135 and F 0.
    assert found.p_value == found.f_p_value == found.smallest_p == pytest.approx(1 / 6)
    assert "even the same ranking on all of them has p = 0.17" in found.weak
    assert (
        "no pair can be told apart" in friedman(np.random.default_rng(0).normal(size=(2, 8))).weak
    )
    assert (
        "differ by 3.05 of at most 4" in friedman(np.random.default_rng(0).normal(size=(4, 5))).weak
    )
    tied = friedman(np.zeros((6, 3)))
    assert (tied.statistic, tied.p_value, tied.f_p_value) == (0, 1, 1)


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.zeros((1, 3)), "ranks of 1 data set say nothing; give two or more"),
        (np.zeros((3, 1)), "ranks of 1 method say nothing"),
        (np.zeros((0, 3)), "ranks of 0 data sets"),
        (np.zeros(3), "give (data sets, methods)"),
        (np.array([[1, 2], [3, NAN]]), "method 1 has no score on data set 1"),
    ],
)
def test_ranks_refuse(scores: np.ndarray, message: str) -> None:
    with pytest.raises(InputError) as error:
        friedman(scores)
    assert message in str(error.value)


# Power


def test_smallest_detectable_is_found_with_the_power_asked_for() -> None:
    assert smallest_detectable(1.0) == pytest.approx(
        1.95996 + 0.84162, abs=1e-5
    )  # the 2.8 of the textbooks
    difference = smallest_detectable(0.004, alpha=0.05, power=0.9, comparisons=10)
    drawn = np.random.default_rng(0).normal(difference, 0.004, 100_000)
    found = 2 * stats.norm.sf(np.abs(drawn) / 0.004) < 0.005
    assert found.mean() == pytest.approx(0.9, abs=5 * math.sqrt(0.09 / 100_000))
    assert math.isnan(smallest_detectable(NAN))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"standard_error": -1.0}, "standard error is -1"),
        ({"alpha": 0.0}, "alpha is 0"),
        ({"power": 1.0}, "power is 1"),
        ({"comparisons": 0}, "comparisons is 0"),
        ({"power": 0.02}, "reached without any difference"),
    ],
)
def test_smallest_detectable_refuses(changed: dict[str, float], message: str) -> None:
    with pytest.raises(InputError, match=message):
        smallest_detectable(**{"standard_error": 1.0} | changed)


# Paired differences


def test_too_few_resamples_give_no_interval() -> None:
    spread = np.linspace(0, 1, 19)[None]
    found = paired(np.array([0.5]), np.array([0.2]), spread, spread / 2, 0.95)
    assert np.isnan([found.low, found.high]).all()
    assert found.standard_error > 0


def test_paired_difference_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.statistics.paired.FEWEST_RESAMPLES", 1)
    first = np.array([[0.5, 0.6, 0.7, NAN], [0.7, 0.6, 0.5, 0.9]])
    second = np.array([[0.4, 0.6, 0.8, 0.1], [0.4, 0.6, 0.6, 0.1]])
    found = paired(np.array([0.6, 0.6]), np.array([0.5, 0.6]), first, second, 0.5)
    differences = np.array([0.2, 0.0, -0.1])
    assert found.difference == pytest.approx(0.05)
    assert (found.low, found.high) == pytest.approx(percentile(differences, 0.5))
    assert found.standard_error == pytest.approx(differences.std(ddof=1))
    assert found.ahead == pytest.approx(0.5)
    assert (found.p_value, found.resamples) == (1.0, 3)


def test_paired_p_value_agrees_with_the_interval() -> None:
    random = np.random.default_rng(0)
    for shift in np.linspace(-0.04, 0.04, 33):
        resampled = random.normal(shift, 0.01, (1, 999))
        found = paired(np.array([shift]), np.zeros(1), resampled, np.zeros((1, 999)), 0.95)
        assert (found.p_value < 0.045) <= (not found.low <= 0 <= found.high)
        assert (found.p_value > 0.055) <= (found.low <= 0 <= found.high)
        swapped = paired(np.zeros(1), np.array([shift]), np.zeros((1, 999)), resampled, 0.95)
        assert (swapped.low, swapped.high) == pytest.approx((-found.high, -found.low))
        assert (swapped.ahead, swapped.p_value) == pytest.approx((1 - found.ahead, found.p_value))
    assert found.p_value == pytest.approx(2 / 1000)


def test_paired_without_resamples_and_with_wrong_shapes() -> None:
    empty = np.empty((2, 0))
    found = paired(np.ones(2), np.zeros(2), empty, empty, 0.95)
    assert found.difference == 1
    assert np.isnan([found.low, found.high, found.standard_error, found.ahead, found.p_value]).all()
    for arguments, message in [
        ((np.ones(2), np.ones(3), empty, empty, 0.95), "give one a cell"),
        (
            (np.ones(2), np.ones(2), empty, np.empty((2, 5)), 0.95),
            r"must be \(2 cells, resamples\)",
        ),
        ((np.array([1, NAN]), np.ones(2), empty, empty, 0.95), "not a number"),
        ((np.ones(2), np.ones(2), empty, empty, 95), "confidence is 95"),
    ]:
        with pytest.raises(InputError, match=message):
            paired(*arguments)


# Sources of variance


def anova_by_projection(scores: np.ndarray) -> dict[str, float]:
    """Components from sums of squares by least squares and their expectations as traces, for any linear model.

    E[y' P y] = sum over sources of variance tr(P Z Z'), with P the projection that a source adds to
    those before it and Z its incidence matrix (Searle, Casella and McCulloch 1992, section 5.2,
    Henderson's method 1).
    """
    places = np.array(list(np.ndindex(scores.shape)))
    keys = [places[:, [0]], places[:, [1]], places[:, [0, 1]], places]
    incidence, projections, names = [], [], []
    spanned = np.ones((len(places), 1))
    for name, key in zip(SOURCES, keys, strict=False):
        levels, which = np.unique(key, axis=0, return_inverse=True)
        columns = np.eye(len(levels))[which.ravel()]
        before, both = spanned @ np.linalg.pinv(spanned), np.hstack([spanned, columns])
        added = both @ np.linalg.pinv(both) - before
        if round(np.trace(added)) > 0:
            incidence.append(columns)
            projections.append(added)
            names.append(name)
        spanned = both
    values = scores.ravel()
    squares = [values @ projection @ values for projection in projections]
    expected = [[np.trace(projection @ z @ z.T) for z in incidence] for projection in projections]
    return dict(zip(names, np.linalg.solve(expected, squares), strict=True)) if names else {}


@pytest.mark.parametrize("shape", GRIDS)
def test_components_are_those_of_the_expected_mean_squares(shape: tuple[int, int, int]) -> None:
    scores, resampled = random_grid(shape)
    found = variance_components(scores, resampled)
    reference = anova_by_projection(scores)
    for name, estimate in by_name(found, "estimate").items():
        if name != "test sample":
            assert estimate == pytest.approx(
                reference.get(name, NAN), rel=1e-8, abs=1e-16, nan_ok=True
            )
    shifts = resampled - resampled.mean(-1, keepdims=True)
    each = [anova_by_projection(shifts[..., resample]) for resample in range(shifts.shape[-1])]
    for name, interaction in by_name(found, "interaction").items():
        expected = sum(one.get(name, NAN) for one in each) / (len(each) - 1)
        assert interaction == pytest.approx(expected, rel=1e-8, abs=1e-16, nan_ok=True)
    # The variance of a single score is the same sum, however many of its sources can be told apart.
    whole = sum(value for value in by_name(found, "interaction").values() if not math.isnan(value))
    assert found.sources[-1].estimate + whole == pytest.approx(found.cell_variance)


def test_test_sample_is_the_covariance_of_cells_that_share_nothing() -> None:
    scores, resampled = random_grid((3, 4, 2))
    found = variance_components(scores, resampled)
    covariance = np.cov(resampled.reshape(24, -1))
    places = list(np.ndindex(scores.shape))
    same = {(a, b): [] for a in (False, True) for b in (False, True)}
    for (first, one), (second, two) in itertools.permutations(enumerate(places), 2):
        same[one[0] == two[0], one[1] == two[1]].append(covariance[first, second])
    nothing = np.mean(same[False, False])
    assert found.sources[-1].estimate == pytest.approx(nothing)
    interaction = by_name(found, "interaction")
    assert interaction["pretraining seed"] == pytest.approx(np.mean(same[True, False]) - nothing)
    assert interaction["label draw"] == pytest.approx(np.mean(same[False, True]) - nothing)
    assert found.cell_variance == pytest.approx(np.diag(covariance).mean())
    assert found.resampled_variance == pytest.approx(covariance.mean())


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
    """Track by track normal effects and a real bootstrap, as in `tests/benchmarks/variance_components.py`."""
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


# Grids


def cells_of(places: list[tuple[int, int, int]], resamples: int = 3) -> list[Cell]:
    return [(*place, sum(place) / 10, np.full(resamples, sum(place) / 10)) for place in places]


def test_whole_grid_is_kept_in_order() -> None:
    places = list(itertools.product([0, 5], [1, 2, 3], [0, 1]))
    found = balanced_grid(cells_of(places)[::-1])
    assert (found.scores.shape, found.left_out, found.note) == ((2, 3, 2), (), "")
    assert (found.seeds, found.draws) == ((0, 5), (1, 2, 3))
    np.testing.assert_allclose(found.scores.ravel(), [sum(place) / 10 for place in places])
    assert found.resampled is not None
    np.testing.assert_allclose(found.resampled, found.scores[..., None] * np.ones(3))
    assert balanced_grid([(*cell[:4], None) for cell in cells_of(places)]).resampled is None


def test_what_is_left_out_is_said() -> None:
    places = [(seed, draw, 0) for seed in range(3) for draw in range(3)]
    found = balanced_grid(cells_of([*places[:-1], (7, 0, 0), (0, 0, 1)]))
    assert found.scores.shape == (3, 2, 1)
    assert len(found.left_out) == 4
    assert found.note.startswith(
        "largest balanced grid: 3 pretraining seeds x 2 label draws x 1 probe seed, 6 of 10"
    )
    assert "(7, 0, 0)" in found.note


@given(
    st.sets(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2)), min_size=1, max_size=30
    )
)
@settings(max_examples=60, deadline=None)
def test_grid_is_the_largest_there_is(places: set[tuple[int, int, int]]) -> None:
    found = balanced_grid(cells_of(sorted(places)))
    subsets = [chosen for size in range(1, 5) for chosen in itertools.combinations(range(4), size)]
    best = 0
    for seeds, draws in itertools.product(subsets, subsets):
        counts = [
            sum((seed, draw, probe) in places for probe in range(3))
            for seed in seeds
            for draw in draws
        ]
        best = max(best, min(counts) * len(counts))
    assert found.scores.size == best == len(places) - len(found.left_out)


def test_grid_refuses() -> None:
    with pytest.raises(InputError, match="no cell"):
        balanced_grid([])
    with pytest.raises(InputError, match=r"\(0, 1, 2\) is there 2 times"):
        balanced_grid(cells_of([(0, 1, 2), (0, 1, 2)]))
    with pytest.raises(InputError, match=r"cells have \[2, 3\] resamples"):
        balanced_grid([*cells_of([(0, 0, 0)], 2), *cells_of([(0, 0, 1)], 3)])
