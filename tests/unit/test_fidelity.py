"""Crossing times, censoring, and the statistics of fidelity intervals."""

import math
import tracemalloc
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.fidelity import (
    FidelityInterval,
    _bootstrap_generator,
    _ratio_bounds,
    extension_factor,
    fidelity_interval,
)

EPS = np.finfo(float).eps
INF, NAN = math.inf, math.nan


def interval(
    times,
    horizon=100.0,
    *,
    censored=0,
    seed=None,
    stream=None,
    replicates=None,
    criterion="x below 1",
    interpolated=True,
):
    """Interval with the given failures and so many replicates censored at the horizon."""
    times = np.concatenate([np.asarray(times, dtype=float), np.full(censored, float(horizon))])
    observed = np.arange(times.size) < times.size - censored
    return FidelityInterval(
        times=times,
        observed=observed,
        horizon=horizon,
        criterion=criterion,
        interpolated=interpolated,
        replicates=np.arange(times.size) if replicates is None else replicates,
        seed=seed,
        stream=stream,
    )


def times_of(values, **options):
    return fidelity_interval(values, **options).times.tolist()


# ------------------------------------------------------------------------------------------------- crossings


@pytest.mark.parametrize(
    ("row", "options", "interpolated", "whole"),
    [
        ([1.0, 0.9, 0.7, 0.3], {"below": 0.5}, 2.5, 3),
        ([0.0, 0.1, 0.5], {"above": 0.2}, 1.25, 2),
        ([1.0, 0.5, 0.25], {"below": 0.5}, 1 + EPS, 2),  # equal to the threshold has not crossed, at 1
        ([0.0, 1.0, 1.0, 2.0], {"above": 1}, 2 + 2 * EPS, 3),
        ([1.0, 0.25], {"below": 1.0}, EPS, 1),
        ([1.0, 0.5, 0.5], {"below": 0.5}, None, None),
        ([0.4, 0.6, 0.1], {"below": 0.5}, 0, 0),  # starts beyond
        ([3.0, 3.0], {"outside": (1, 2)}, 0, 0),
        ([1.0, 0.2, 0.9, 0.1], {"below": 0.5}, 0.625, 1),  # the first crossing counts, not the last
        ([1.0, 1.0, 1.0], {"below": 0.5}, None, None),
        ([1.5, 1.0, 2.0, 3.0], {"outside": (1, 2)}, 2 + 2 * EPS, 3),  # the edges of the band lie inside
        ([1.5, 1.25, 0.75, 5.0], {"outside": (1, 2)}, 1.5, 2),
        ([1.5, 5.0, 0.75], {"outside": (1, 2)}, 1 / 7, 1),
        ([0.0, 0.1, INF], {"above": 0.2}, 2, 2),  # into an infinite value: the later generation
        ([0.0, 0.1, -INF], {"below": -3}, 2, 2),
        ([INF, 0.1], {"below": 1}, 1, 1),  # and out of one
        ([INF, 0.1], {"above": 1}, 0, 0),
        ([-INF, INF], {"above": 0}, 1, 1),
        ([1e308, -1e308], {"below": 0.0}, 1, 1),  # a step too long for a float is an infinite one
        ([NAN, 0.9, 0.3], {"below": 0.5}, 1 + 2 / 3, 2),  # no value at generation 0
        ([NAN, 0.3, 0.9], {"below": 0.5}, 1, 1),
        ([2.0, 1.8, 1.2], {"below": 0.75, "relative": True}, 1.5, 2),
        ([2.0, 1.0, 0.0], {"outside": (0.75, 1.5), "relative": True}, 0.5, 1),
        ([2.0, 2.0, 4.0], {"outside": (0.75, 1.5), "relative": True}, 1.5, 2),
    ],
)
def test_crossing_time(row, options, interpolated, whole):
    for expected, interpolate in ((interpolated, True), (whole, False)):
        found = fidelity_interval([row], interpolate=interpolate, **options)
        assert found.observed.tolist() == [expected is not None]
        assert found.times.tolist() == [pytest.approx(len(row) - 1 if expected is None else expected, rel=1e-15)]
        assert found.horizon == len(row) - 1
        assert found.interpolated is interpolate


def brute_force(row, low, high, interpolate):
    """One row, in exact rational arithmetic; None if it never crosses."""
    start = int(math.isnan(row[0]))
    for generation in range(start, len(row)):
        value = row[generation]
        if low <= value <= high:
            continue
        before = row[generation - 1] if generation > start else INF
        if not interpolate or math.isinf(before) or math.isinf(value):
            return Fraction(generation)
        threshold = Fraction(low if value < low else high)
        return generation - 1 + (threshold - Fraction(before)) / (Fraction(value) - Fraction(before))
    return None


VALUES = st.one_of(
    st.sampled_from([0.0, 0.5, 1.0, 2.0, INF, -INF]),
    st.floats(-1e6, 1e6),
    st.floats(-5, 5),
)


@st.composite
def paths(draw, values=VALUES):
    rows, columns = draw(st.integers(1, 6)), draw(st.integers(2, 12))
    return np.array([[draw(values) for _ in range(columns)] for _ in range(rows)])


@given(paths(), st.sampled_from([0.5, 1.0, -2.0, 3.3]), st.sampled_from([0.25, 7.0]), st.booleans(), st.booleans())
def test_same_as_row_by_row_in_exact_arithmetic(values, low, width, interpolate, no_start):
    if no_start:
        values[:, 0] = NAN
    for options, band in (
        ({"below": low}, (low, INF)),
        ({"above": low}, (-INF, low)),
        ({"outside": (low, low + width)}, (low, low + width)),
    ):
        found = fidelity_interval(values, interpolate=interpolate, **options)
        for row, time, observed in zip(values.tolist(), found.times, found.observed, strict=True):
            exact = brute_force(row, *band, interpolate)
            assert observed == (exact is not None)
            expected = values.shape[1] - 1 if exact is None else exact
            # two subtractions, a quotient and a sum round, and a crossing is at least one unit after its generation
            assert abs(Fraction(float(time)) - expected) <= 4 * EPS * values.shape[1]


@given(paths(), st.sampled_from([0.5, 1.0, -2.0]))
def test_whole_times_are_the_ceilings_of_interpolated_ones(values, threshold):
    for options in ({"below": threshold}, {"above": threshold}, {"outside": (threshold, threshold + 1)}):
        whole = fidelity_interval(values, interpolate=False, **options)
        interpolated = fidelity_interval(values, **options)
        np.testing.assert_array_equal(np.ceil(interpolated.times), whole.times)
        np.testing.assert_array_equal(interpolated.observed, whole.observed)


@given(paths(), st.floats(-3, 3))
def test_mirror_images(values, threshold):
    below, above = fidelity_interval(values, below=threshold), fidelity_interval(values, above=threshold + 1)
    np.testing.assert_array_equal(fidelity_interval(-values, above=-threshold).times, below.times)
    band = fidelity_interval(values, outside=(threshold, threshold + 1))
    np.testing.assert_array_equal(band.times, np.minimum(below.times, above.times))
    np.testing.assert_array_equal(band.observed, below.observed | above.observed)


@given(paths(st.floats(0.01, 100)), st.sampled_from([0.25, 0.5, 2.0]))
def test_relative_is_a_threshold_of_each_replicate(values, factor):
    """With powers of two the products are exact, and so is the comparison."""
    relative = fidelity_interval(values, below=factor, relative=True)
    each = [fidelity_interval(row[None], below=factor * row[0]).times[0] for row in values]
    np.testing.assert_array_equal(relative.times, each)


def test_a_tiny_fraction_does_not_round_down_to_the_generation_before():
    row = [[1.0] * 1000 + [1.0 + EPS, -1e16]]
    time = fidelity_interval(row, below=1.0).times[0]
    assert 1000 < time < 1000 + 1e-12


def test_what_the_interval_carries():
    found = fidelity_interval(
        [[1.0, 0.1], [1.0, 2.0]], below=0.75, relative=True, metric="entropy", replicates=[3, 8], seed=5
    )
    assert found.criterion == "entropy below 0.75 × generation 0"
    assert found.replicates.tolist() == [3, 8]
    assert found.seed == 5
    assert fidelity_interval([[1.0, 0.1]], outside=(0.5, 2)).criterion == "metric outside [0.5, 2]"
    assert fidelity_interval([[1.0, 0.1]], above=2).criterion == "metric above 2"


def test_arrays_are_read_only_and_the_values_untouched():
    values = np.array([[1.0, 0.1], [1.0, 2.0]])
    copy = values.copy()
    found = fidelity_interval(values, below=0.5, replicates=(indices := np.arange(2)))
    indices[0] = 9
    assert found.replicates.tolist() == [0, 1]
    for array in (found.times, found.observed, found.replicates):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
    np.testing.assert_array_equal(values, copy)
    with pytest.raises(AttributeError):
        found.horizon = 3


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "exactly one of below, above and outside, got []"),
        ({"below": 1, "above": 2}, "exactly one of below, above and outside, got ['below', 'above']"),
        ({"below": NAN}, "below must be a finite number"),
        ({"above": INF}, "above must be a finite number"),
        ({"outside": (2, 1)}, "low < high, got (2, 1)"),
        ({"outside": (1, 1)}, "low < high"),
        ({"outside": (1, 2, 3)}, "low < high"),
        ({"outside": 1}, "outside must be"),
        ({"below": 1, "replicates": [1]}, "replicates must be an array of 2 integers"),
        ({"below": 1, "replicates": [0.0, 1.0]}, "replicates must be an array of 2 integers"),
    ],
)
def test_arguments_that_are_refused(options, message):
    with pytest.raises(DomainError) as caught:
        fidelity_interval([[1.0, 2.0], [1.0, 2.0]], **options)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "values", [[1.0, 2.0], [[1.0], [2.0]], np.empty((0, 3)), [[[1.0, 2.0]]], [["a", "b"]], [[1, 2], [3]]]
)
def test_values_of_another_shape_are_refused(values):
    with pytest.raises(DomainError, match="replicates, generations \\+ 1"):
        fidelity_interval(values, below=1)


@pytest.mark.parametrize(
    ("values", "where"),
    [
        ([[1.0, 0.0, 1.0], [1.0, 0.0, NAN]], "replicate 12 at generation 2"),  # even after the crossing
        ([[1.0, 1.0, 1.0], [NAN, 1.0, 1.0]], "replicate 12 at generation 0"),  # no value there in some rows only
        ([[NAN, 1.0, NAN], [NAN, 1.0, 1.0]], "replicate 11 at generation 2"),
    ],
)
def test_other_missing_values_are_errors_that_say_where(values, where):
    with pytest.raises(DomainError, match=f"kl of {where} must be a number or an infinity, got nan"):
        fidelity_interval(values, below=0.5, metric="kl", replicates=[11, 12])


@pytest.mark.parametrize("first", [0.0, -1.0, INF, NAN])
def test_relative_needs_a_positive_value_at_generation_0(first):
    values = [[1.0, 1.0], [first, 1.0]]
    if math.isnan(first):
        values[0][0] = NAN
    with pytest.raises(DomainError, match="at generation 0 must be positive and finite for relative=True"):
        fidelity_interval(values, below=0.5, relative=True)


def test_memory_stays_well_below_the_size_of_the_values():
    values = np.random.default_rng(0).normal(size=(2000, 1001)).cumsum(axis=1)
    tracemalloc.start()
    fidelity_interval(values, outside=(-20, 20))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * values.nbytes


# --------------------------------------------------------------------------------- the interval by itself


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"times": np.array([1.0, 9.0])}, "times must be within [0, 5]"),
        ({"times": np.array([-1.0, 5.0])}, "times must be within [0, 5]"),
        ({"times": np.array([1.0, 4.0])}, "the horizon 5 where censored, got 4.0"),
        ({"times": np.array([1.0, NAN])}, "times must be an array of finite numbers"),
        ({"times": np.array([])}, "times must be a nonempty array"),
        ({"observed": np.array([1, 0])}, "observed must be a boolean array"),
        ({"observed": np.array([True])}, "observed must be a boolean array of shape (2,)"),
        ({"replicates": np.arange(3)}, "replicates must be an array of 2 integers"),
        ({"horizon": 0}, "horizon must be"),
    ],
)
def test_an_interval_checks_that_its_parts_fit(change, message):
    parts = {"times": np.array([1.0, 5.0]), "observed": np.array([True, False]), "horizon": 5, "criterion": ""}
    parts |= {"interpolated": True, "replicates": np.arange(2)} | change
    with pytest.raises(DomainError) as caught:
        FidelityInterval(**parts)
    assert message in str(caught.value)


def test_kaplan_meier_by_hand():
    """Six replicates, ties at 2, two censored at 5: S = 5/6, 3/6, 2/6 and area 1 + 5/6 + 1/2 + 2/3 = 3."""
    found = interval([3, 2, 1, 2], horizon=5, censored=2)
    curve = found.survival()
    np.testing.assert_array_equal(curve.times, [1, 2, 3, 5])
    np.testing.assert_array_equal(curve.survival, [5 / 6, 3 / 6, 2 / 6, 2 / 6])
    # at time 2, where S = 1/2 of 6, log(−log S) has standard error sqrt(1/6)/log 2
    power = math.exp(1.959963984540054 * math.sqrt(1 / 6) / math.log(2))
    assert curve.low[1] == pytest.approx(0.5**power, rel=1e-12)
    assert curve.high[1] == pytest.approx(0.5 ** (1 / power), rel=1e-12)
    with pytest.warns(StatisticalWarning, match="only 4 of 6 replicates failed by generation 5"):
        assert found.mean == pytest.approx(3, rel=1e-15)
    with pytest.warns(StatisticalWarning):
        assert found.median == 2
    assert found.share_censored == pytest.approx(1 / 3)
    assert found.is_restricted


@pytest.mark.parametrize(("failures", "censored"), [(30, 0), (30, 12), (25, 25), (25, 40)])
def test_kaplan_meier_is_that_of_scipy(failures, censored):
    rng = np.random.default_rng(failures + censored)
    found = interval(rng.integers(1, 12, failures), horizon=12, censored=censored)
    reference = stats.ecdf(
        stats.CensoredData(uncensored=found.times[found.observed], right=found.times[~found.observed])
    ).sf
    curve = found.survival(0.9)
    np.testing.assert_array_equal(curve.times, reference.quantiles)
    np.testing.assert_allclose(curve.survival, reference.probabilities, atol=1e-14)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # at S = 0, where SciPy has no limits
        band = reference.confidence_interval(0.9, method="log-log")
    inner = (curve.survival > 0) & (curve.survival < 1)
    assert inner.sum() > 5
    np.testing.assert_allclose(curve.low[inner], band.low.probabilities[inner], rtol=1e-12)
    np.testing.assert_allclose(curve.high[inner], band.high.probabilities[inner], rtol=1e-12)
    area = np.diff(np.concatenate([[0], curve.times])) @ np.concatenate([[1], curve.survival[:-1]])
    assert found.mean == pytest.approx(area, rel=1e-14)
    half = reference.quantiles[reference.probabilities <= 0.5 + 1e-12]
    assert found.median == (half[0] if half.size else INF)


def test_band_at_the_edges_is_the_exact_binomial_one():
    """S = 0 and S = 1 have no log-log limits; 1 − .025^(1/n) bounds a share of which none of n was seen."""
    nobody_left = interval(np.arange(1.0, 31.0)).survival()
    assert (nobody_left.survival[-1], nobody_left.low[-1]) == (0, 0)
    exact = stats.binomtest(0, 30).proportion_ci(0.95, method="exact")
    assert nobody_left.high[-1] == pytest.approx(exact.high, rel=1e-12)
    everybody_left = interval([], censored=30).survival()
    assert everybody_left.times.tolist() == [100]
    assert (everybody_left.survival.tolist(), everybody_left.high.tolist()) == ([1], [1])
    assert everybody_left.low[0] == pytest.approx(stats.binomtest(30, 30).proportion_ci(0.95).low, rel=1e-12)
    for curve in (nobody_left, everybody_left):
        assert np.isfinite([curve.low, curve.high]).all()
        assert (curve.low <= curve.survival).all()
        assert (curve.survival <= curve.high).all()


def test_without_censoring_mean_is_the_plain_one_and_the_median_the_lower_middle():
    found = interval(np.arange(40, 0, -1))
    assert (found.mean, found.median) == (20.5, 20)
    assert (found.share_censored, found.is_restricted) == (0, False)
    assert interval(np.arange(1, 42)).median == 21


@pytest.mark.parametrize(("censored", "median"), [(29, 30), (30, 30), (31, INF)])
def test_median_is_reached_when_half_have_failed(censored, median):
    assert interval(np.arange(1, 31), censored=censored).median == median


def test_a_failure_at_the_horizon_is_a_failure():
    found = interval([5.0] * 30, horizon=5, censored=10)
    assert (found.median, found.mean, found.share_censored) == (5, 5, 0.25)
    assert found.survival().survival.tolist() == [0.25]


def test_all_censored():
    found = interval([], censored=30)
    assert repr(found).endswith("30 replicates to generation 100, 30 censored; median inf>")
    with pytest.warns(StatisticalWarning, match="only 0 of 30"):
        assert (found.median, found.is_restricted) == (INF, True)
    with pytest.warns(StatisticalWarning):
        assert found.mean == 100
    with pytest.warns(StatisticalWarning):
        assert found.ci("median") == (100, INF)
    with pytest.warns(StatisticalWarning):
        assert found.ci() == (100, 100)


def test_median_limits_invert_the_band():
    found = interval(np.arange(1, 41), horizon=60, censored=20)
    curve = found.survival()
    low, high = found.ci("median")
    at = dict(zip(curve.times.tolist(), zip(curve.low, curve.high, strict=True), strict=True))
    assert at[low][0] <= 0.5 < at[low - 1][0]
    assert at[high][1] < 0.5 <= at[high - 1][1]
    assert low < found.median < high
    # a median that is reached with a limit that is not
    low, high = interval(np.arange(1, 32), censored=29).ci("median")
    assert low < 31
    assert high == INF


def test_limits_are_percentiles_with_tails_of_student_t():
    """Eight replicates: tails of .0057 where plain percentiles have .025, and Student's t without its factor .0090."""
    times = np.random.default_rng(3).exponential(10, 8)
    few, constant = interval(times, horizon=1000), interval([9.0] * 500, horizon=1000)
    with pytest.warns(StatisticalWarning):
        low, high = few.ci(resamples=100_000, seed=1)
    with pytest.warns(StatisticalWarning):
        factor = extension_factor(few, constant, resamples=100_000, seed=1)
    means = np.random.default_rng(0).choice(times, (500_000, 8)).mean(axis=1)
    tail = stats.norm.cdf(math.sqrt(8 / 7) * stats.t(7).ppf(0.025))
    # five standard errors of a share over 100,000 resamples and of one over 500,000
    margin = 5 * math.sqrt(tail * (1 / 100_000 + 1 / 500_000))
    assert stats.norm.cdf(stats.t(7).ppf(0.025)) - tail > 2 * margin
    for lower, upper in ((low, high), (9 / factor.high, 9 / factor.low)):
        assert np.mean(means < lower) == pytest.approx(tail, abs=margin)
        assert np.mean(means > upper) == pytest.approx(tail, abs=margin)


def test_the_same_seed_gives_the_same_interval():
    found = interval(np.random.default_rng(0).exponential(10, 30), horizon=1000)
    assert found.ci(seed=4) == found.ci(seed=4)
    assert found.ci(seed=4) != found.ci(seed=5)
    low, high = found.ci(level=0.5)
    assert found.ci()[0] < low < found.mean < high < found.ci()[1]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"statistic": "mode"}, "statistic must be one of 'mean', 'median'"),
        ({"level": 0}, "level must be a number in (0, 1)"),
        ({"level": 1.0}, "level must be a number in (0, 1)"),
        ({"level": NAN}, "level must be a finite number"),
        ({"resamples": 99}, "resamples must be an integer of at least 100"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
    ],
)
def test_arguments_of_statistics_that_are_refused(arguments, message):
    found = interval(np.arange(1, 31))
    for call in (found.ci, lambda **kwargs: extension_factor(found, found, **kwargs)):
        with pytest.raises(DomainError) as caught:
            call(**arguments)
        assert message in str(caught.value)
    with pytest.raises(DomainError, match="at least 2 for a confidence interval"):
        interval([3.0]).ci()
    with pytest.raises(DomainError, match="at least 2 for a confidence interval"):
        extension_factor(found, interval([3.0]))


def test_few_failures_warn_at_the_callers_line_but_not_in_repr():
    few, enough = interval(np.arange(1, 20), censored=50), interval(np.arange(1, 21))
    for ask in (lambda i: i.mean, lambda i: i.median, lambda i: i.ci(), lambda i: i.ci("median")):
        with pytest.warns(StatisticalWarning, match="only 19 of 69") as caught:
            ask(few)
        assert [warning.filename for warning in caught] == [__file__]
        ask(enough)
    with pytest.warns(StatisticalWarning, match="only 19 of 69 replicates of the treated side") as caught:
        extension_factor(enough, few)
    assert [warning.filename for warning in caught] == [__file__]
    assert "69 replicates to generation 100, 50 censored" in repr(few)
    assert few.is_restricted
    few.survival()


# ----------------------------------------------------------------------------------------- extension factors


def exponential(mean, size=200, *, seed=0, horizon=1e6, **options):
    times = np.random.default_rng(seed).exponential(mean, size)
    return interval(times[times <= horizon], horizon, censored=int((times > horizon).sum()), **options)


def test_ratio_of_means_by_hand():
    factor = extension_factor(interval([2.0, 4.0] * 20), interval([9.0] * 40))
    assert factor.ratio == 3
    assert factor.low < 3 < factor.high
    assert (factor.is_restricted, factor.is_lower_bound) == (False, False)
    assert (factor.baseline_censored, factor.treated_censored, factor.statistic, factor.level) == (0, 0, "mean", 0.95)
    assert str(factor) == f"3.00 [{factor.low:.2f}, {factor.high:.2f}]"


def test_an_interval_against_itself_pair_by_pair_is_exactly_one():
    found = exponential(10, seed=1)
    factor = extension_factor(found, found, paired=True)
    assert (factor.ratio, factor.low, factor.high, factor.logrank_p) == (1, 1, 1, None)
    independent = extension_factor(found, found)
    assert independent.low < 0.9 < 1.1 < independent.high
    assert independent.logrank_p == pytest.approx(1)


def test_limits_are_those_of_the_delta_method_in_large_samples():
    """Standard error of the log ratio: sqrt(CV²/R + CV²/R); pairs with a common factor lose what they share."""
    rng = np.random.default_rng(5)
    size = 4000
    shared, own = rng.exponential(1, size), rng.uniform(0.9, 1.1, size)
    baseline, treated = interval(shared, 1e6), interval(2 * shared * own, 1e6)
    spread = [times.std() / times.mean() / math.sqrt(size) for times in (baseline.times, treated.times)]
    independent = extension_factor(baseline, treated, resamples=10_000)
    expected = 2 * 1.959964 * math.hypot(*spread)
    assert math.log(independent.high / independent.low) == pytest.approx(expected, rel=0.05)
    paired = extension_factor(baseline, treated, paired=True, resamples=10_000)
    residual = treated.times / treated.times.mean() - baseline.times / baseline.times.mean()
    expected = 2 * 1.959964 * residual.std() / math.sqrt(size)
    assert math.log(paired.high / paired.low) == pytest.approx(expected, rel=0.05)
    assert paired.ratio == independent.ratio


def test_restricted_means_say_so():
    baseline, treated = exponential(50, horizon=100, seed=1), exponential(200, horizon=100, seed=2)
    assert baseline.is_restricted
    factor = extension_factor(baseline, treated)
    assert factor.ratio == pytest.approx(treated.times.mean() / baseline.times.mean())
    assert (factor.is_restricted, factor.is_lower_bound, factor.horizon) == (True, False, 100)
    assert str(factor).endswith("], ratio of means restricted to 100 generations")
    assert not str(factor).startswith("≥")
    assert factor.treated_censored == treated.share_censored > factor.baseline_censored > 0


@pytest.mark.parametrize("censored", [1, 20, 40])
def test_a_whole_baseline_makes_the_restricted_ratio_a_lower_bound(censored):
    """Whatever is censored could only have lived longer, be it one replicate or half of them."""
    baseline, treated = interval([2.0, 4.0] * 20), interval([9.0] * 30, censored=censored)
    factor = extension_factor(baseline, treated)
    assert (factor.is_restricted, factor.is_lower_bound) == (True, True)
    assert str(factor).startswith("≥ ")
    assert str(factor).endswith("], ratio of means restricted to 100 generations")
    longer = interval([9.0] * 30 + [150.0] * censored, horizon=200)
    assert extension_factor(baseline, longer).ratio > factor.ratio
    # the other way round the ratio is too large, and no bound from below
    assert not extension_factor(treated, baseline).is_lower_bound


def test_ratio_of_restricted_means_grows_with_the_horizon_if_the_treated_hazard_is_lower():
    baseline, treated = exponential(50, 4000, seed=1), exponential(150, 4000, seed=2)
    ratios = []
    for horizon in (20, 50, 100, 200, 400):
        sides = [interval(i.times[i.times <= horizon], horizon, censored=int((i.times > horizon).sum()))
                 for i in (baseline, treated)]  # fmt: skip
        ratios.append(extension_factor(*sides, resamples=100).ratio)
    assert ratios == sorted(ratios)
    assert ratios[0] < 1.2 < 2.5 < ratios[-1] < extension_factor(baseline, treated, resamples=100).ratio


def test_hazards_that_cross_can_make_the_restricted_ratio_too_large():
    """Why a ratio of restricted means is not called a bound when the baseline is censored."""
    baseline = [10.0] * 20 + [1000.0] * 20
    treated = [150.0] * 40

    def at(horizon):
        def cut(times):
            kept = [time for time in times if time <= horizon]
            return interval(kept, horizon, censored=len(times) - len(kept))

        return extension_factor(cut(baseline), cut(treated), resamples=100)

    assert at(200).ratio > 1 > at(2000).ratio
    assert (at(200).is_restricted, at(200).is_lower_bound) == (True, False)


def test_different_horizons_are_restricted_to_the_smaller():
    baseline = interval([10.0] * 25 + [60.0] * 5, horizon=80, censored=10)
    treated = interval([30.0] * 30, horizon=50, censored=10)
    factor = extension_factor(baseline, treated)
    assert factor.horizon == 50
    assert factor.ratio == pytest.approx((30 * 30 + 10 * 50) / (10 * 25 + 15 * 50), rel=1e-15)
    assert (factor.baseline_censored, factor.treated_censored) == (15 / 40, 10 / 40)
    same = extension_factor(interval([10.0] * 25, horizon=50, censored=15), treated)
    assert same == factor


def test_a_failure_at_the_common_horizon_is_kept():
    baseline = interval([10.0] * 25 + [50.0] * 5, horizon=80, censored=10)
    assert extension_factor(baseline, interval([30.0] * 30, horizon=50, censored=10)).baseline_censored == 0.25


def test_a_side_without_censoring_is_known_to_any_horizon():
    baseline, treated = interval([10.0, 20.0] * 20, horizon=50), interval([60.0] * 30, horizon=200, censored=10)
    factor = extension_factor(baseline, treated)
    assert (factor.horizon, factor.is_lower_bound) == (200, True)
    assert factor.ratio == pytest.approx((60 * 30 + 200 * 10) / 40 / 15, rel=1e-15)
    whole = extension_factor(baseline, interval([60.0] * 40, horizon=200))
    assert (whole.ratio, whole.is_restricted) == (4, False)


def test_ratio_of_medians():
    baseline, treated = exponential(50, 301, seed=1), exponential(100, 301, seed=2, horizon=400)
    factor = extension_factor(baseline, treated, "median")
    assert factor.ratio == np.median(treated.times) / np.median(baseline.times)
    assert factor.low < 2 < factor.high
    # reached medians do not depend on the horizon, censored tails or not
    assert treated.is_restricted
    assert (factor.is_restricted, factor.is_lower_bound) == (False, False)
    assert str(factor) == f"{factor.ratio:.2f} [{factor.low:.2f}, {factor.high:.2f}]"


def test_a_treated_median_that_is_not_reached_gives_a_lower_bound():
    baseline, treated = interval(np.arange(1, 41)), interval(np.arange(41, 71), censored=50)
    factor = extension_factor(baseline, treated, "median")
    assert factor.ratio == 100 / 20
    assert (factor.is_restricted, factor.is_lower_bound, factor.high) == (True, True, INF)
    assert 2 < factor.low < 5
    text = str(factor)
    assert text.startswith("≥ 5.00 [")
    assert text.endswith("inf], ratio of medians, the treated one not reached in 100 generations")


def test_resampled_medians_beyond_the_horizon_widen_the_limits_and_never_narrow_them():
    baseline = interval(np.linspace(10, 20, 31), censored=29)
    treated = interval(np.linspace(40, 80, 200))
    factor = extension_factor(baseline, treated, "median")
    # about 45 % of the resampled baselines have a median somewhere above 100: the ratio may be anything down to 0
    assert factor.low == 0
    assert factor.high < treated.times.max() / 10
    assert factor.is_restricted is False


def test_a_baseline_without_a_median_or_with_mean_0_is_refused():
    treated = interval(np.arange(1, 41))
    with pytest.raises(
        DomainError, match=r"baseline\.median must be reached by generation 100; compare restricted means"
    ):
        extension_factor(interval(np.arange(1, 31), censored=31), treated, "median")
    for statistic in ("mean", "median"):
        with pytest.raises(DomainError, match=f"baseline.{statistic} must be above 0: .* start beyond"):
            extension_factor(interval([0.0] * 30), treated, statistic)
    mostly = interval([0.0] * 25 + [5.0] * 15)
    assert extension_factor(mostly, treated).ratio == pytest.approx(20.5 / (75 / 40))
    with pytest.raises(DomainError, match=r"baseline\.median"):
        extension_factor(mostly, treated, "median")


def test_resamples_without_a_baseline_leave_the_upper_limit_open():
    """One replicate in 40 has a positive time: exp(−1) of the resamples miss it."""
    factor = extension_factor(interval([0.0] * 39 + [40.0]), interval([2.0] * 40))
    assert factor.ratio == 2
    assert factor.low < 1
    assert factor.high == INF
    # 0/0 is any ratio
    factor = extension_factor(interval([0.0] * 39 + [40.0]), interval([0.0] * 39 + [40.0]))
    assert (factor.low, factor.high) == (0, INF)


def test_pairs_need_the_same_replicates():
    rows = np.array([0, 1, *range(3, 41)])
    baseline, treated = interval(np.arange(1, 41), replicates=rows, seed=1), interval(np.arange(1, 41), seed=1)
    with pytest.raises(DomainError, match=r"treated\.replicates must be those of the baseline for paired=True"):
        extension_factor(baseline, treated, paired=True)
    with pytest.raises(DomainError, match="40 replicates against 41"):
        extension_factor(interval(np.arange(1, 42)), treated, paired=True)
    assert extension_factor(baseline, baseline, paired=True).paired


def test_one_seed_used_for_different_numbers_is_no_pairing():
    law, points, more_points = (
        interval(np.arange(1, 41), seed=7, stream=stream) for stream in ("statistics", "points", "points")
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        extension_factor(law, points)
        extension_factor(points, more_points, paired=True)
    with pytest.warns(StatisticalWarning, match="nothing is paired"):
        extension_factor(law, points, paired=True)
    with pytest.warns(StatisticalWarning, match="share their noise"):
        extension_factor(points, more_points)


def test_a_shared_seed_is_a_paired_comparison():
    one, same, other, unknown = (interval(np.arange(1, 41), seed=seed) for seed in (7, 7, 8, None))
    with pytest.warns(StatisticalWarning, match="seed 7 and share their noise: pass paired=True, or run") as caught:
        extension_factor(one, same)
    assert [warning.filename for warning in caught] == [__file__]
    with pytest.warns(StatisticalWarning, match="seed 7 .* and seed 8 .* share no noise"):
        extension_factor(one, other, paired=True)
    # and nothing here, where a warning would be an error
    extension_factor(one, same, paired=True)
    extension_factor(one, other)
    for paired in (False, True):
        extension_factor(one, unknown, paired=paired)
        extension_factor(unknown, unknown, paired=paired)


def test_sides_that_fail_by_different_criteria_warn():
    one = interval(np.arange(1, 41))
    for other in (interval(np.arange(1, 41), criterion="x below 2"), interval(np.arange(1, 41), interpolated=False)):
        with pytest.warns(
            StatisticalWarning, match="the sides differ in what is a failure: x below 1 .interpolated.; "
        ):
            extension_factor(one, other)


def test_logrank_by_hand():
    """Baseline 1, 2, 3 and treated 2, 4, 5+, ten times each: O − E and V summed over the times of failure."""
    baseline, treated = interval([1, 2, 3] * 10, horizon=5), interval([2, 4] * 10, horizon=5, censored=10)
    observed_minus_expected = 30 - (10 * 30 / 60 + 20 * 20 / 50 + 10 * 10 / 30 + 0)
    variance = sum(
        ours * theirs * failed * (ours + theirs - failed) / ((ours + theirs) ** 2 * (ours + theirs - 1))
        for ours, theirs, failed in ((30, 30, 10), (20, 30, 20), (10, 20, 10))
    )
    p_value = math.erfc(abs(observed_minus_expected) / math.sqrt(2 * variance))
    assert extension_factor(baseline, treated).logrank_p == pytest.approx(p_value, rel=1e-12)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("decimals", [0, 8])
def test_logrank_is_that_of_scipy(seed, decimals):
    rng = np.random.default_rng(seed)
    sides = [np.round(rng.exponential(mean, 60) + 1, decimals) for mean in (20, 26)]
    baseline, treated = (interval(t[t <= 40], 40, censored=int((t > 40).sum())) for t in sides)
    reference = stats.logrank(
        *(stats.CensoredData(uncensored=i.times[i.observed], right=i.times[~i.observed]) for i in (baseline, treated))
    )
    p_value = extension_factor(baseline, treated, resamples=100).logrank_p
    assert p_value == pytest.approx(reference.pvalue, rel=1e-10)
    assert 1e-6 < p_value < 1


def test_logrank_of_many_tied_replicates_does_not_overflow():
    """The products of counts exceed 2^63 here; exact integers say what is right."""
    counts = ((50_000, 49_000), (40_000, 41_000), (10_000, 10_000))
    times = [np.repeat([1.0, 2.0, 3.0], side) for side in zip(*counts, strict=True)]
    left = [100_000, 100_000]
    difference, variance = Fraction(0), Fraction(0)
    for failed in counts:
        total, all_failed = sum(left), sum(failed)
        difference += failed[0] - Fraction(left[0] * all_failed, total)
        variance += Fraction(left[0] * left[1] * all_failed * (total - all_failed), total**2 * (total - 1))
        left = [before - now for before, now in zip(left, failed, strict=True)]
    p_value = math.erfc(abs(float(difference)) / math.sqrt(2 * float(variance)))
    factor = extension_factor(interval(times[0]), interval(times[1]), resamples=100)
    assert factor.logrank_p == pytest.approx(p_value, rel=1e-9)
    assert 1e-9 < p_value < 0.1


def test_logrank_without_a_contest_has_no_value():
    all_at_once = interval([3.0] * 30)
    assert extension_factor(all_at_once, all_at_once).logrank_p is None
    with pytest.warns(StatisticalWarning):
        nobody = extension_factor(interval([], censored=30), interval([], censored=30))
    assert (nobody.ratio, nobody.logrank_p, nobody.is_restricted, nobody.is_lower_bound) == (1, None, True, False)


def test_the_same_seed_gives_the_same_factor():
    one, other = exponential(10, seed=1), exponential(20, seed=2)
    assert extension_factor(one, other, seed=3) == extension_factor(one, other, seed=3)
    assert extension_factor(one, other, seed=3).low != extension_factor(one, other, seed=4).low


def test_the_bootstrap_does_not_reuse_the_noise_of_a_simulation_with_its_seed():
    first = _bootstrap_generator(0).integers(2**60)
    for source in (0, [0], [0, 0], [0, 1], np.random.SeedSequence(0, spawn_key=(0,))):
        assert np.random.default_rng(source).integers(2**60) != first


@pytest.mark.parametrize(
    ("baseline", "treated", "low", "high"),
    [
        (20, 50, 2.5, 2.5),
        (20, INF, 5, INF),  # beyond the horizon of 100
        (INF, 50, 0, 0.5),
        (INF, INF, 0, INF),
        (0, 50, INF, INF),
        (0, 0, 0, INF),
        (20, 0, 0, 0),
    ],
)
def test_what_is_known_of_a_ratio(baseline, treated, low, high):
    found = _ratio_bounds(np.array([float(baseline)]), np.array([float(treated)]), 100.0)
    assert [bound.tolist() for bound in found] == [[low], [high]]


@pytest.mark.parametrize("statistic", ["mean", "median"])
def test_memory_of_the_bootstrap_is_bounded(statistic):
    baseline, treated = exponential(10, 10_000, seed=1), exponential(20, 10_000, seed=2)
    tracemalloc.start()
    extension_factor(baseline, treated, statistic, resamples=400, paired=True)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # indices, gathered times and a partial sort of 2^20 numbers each; all resamples at once would be 32 MB for 400
    assert peak < 28e6


def test_p_value_of_the_ratio_by_hand():
    """log of the ratio over the root of the sum of (standard error/mean)², against Student's t of the smaller side."""
    baseline, treated = interval([1.0, 2, 3, 6] * 10, horizon=9), interval([2.0, 4, 6] * 10, horizon=9)
    errors = [side.times.std(ddof=1) / math.sqrt(side.times.size) / side.times.mean() for side in (baseline, treated)]
    expected = 2 * stats.t.sf(math.log(4 / 3) / math.hypot(*errors), df=29)
    assert extension_factor(baseline, treated).ratio_p == pytest.approx(expected, rel=1e-12)
    assert extension_factor(treated, baseline).ratio_p == pytest.approx(expected, rel=1e-12)


def test_p_value_of_the_ratio_of_pairs_is_that_of_their_differences():
    rng = np.random.default_rng(1)
    times = rng.uniform(1, 2, 40)
    baseline, treated = (interval(side, horizon=9) for side in (times, times * rng.uniform(1, 1.02, 40)))
    relative = treated.times / treated.times.mean() - baseline.times / baseline.times.mean()
    difference = math.log(treated.times.mean() / baseline.times.mean())
    expected = 2 * stats.t.sf(difference / (relative.std(ddof=1) / math.sqrt(40)), df=39)
    factors = [extension_factor(baseline, treated, paired=paired) for paired in (True, False)]
    assert factors[0].ratio_p == pytest.approx(expected, rel=1e-9)
    assert factors[0].ratio_p < 1e-6 < 0.3 < factors[1].ratio_p


def test_p_value_of_the_ratio_where_nothing_varies():
    ones, twos = interval([1.0] * 30, horizon=9), interval([2.0] * 30, horizon=9)
    assert extension_factor(ones, ones).ratio_p == 1
    assert extension_factor(ones, twos).ratio_p is None
    assert extension_factor(ones, twos, statistic="median").ratio_p is None
