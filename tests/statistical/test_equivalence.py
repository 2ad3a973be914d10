"""The equivalence tests themselves: how often they accept what is false, reject what is true, and see too little.

Their error is set to 5 % here, so that a few thousand experiments can count it. What an experiment does is held against
its nominal probability by the exact binomial law: a count that has a probability below 1e-6 under it fails.
"""

import itertools
import math

import equivalence
import numpy as np
import pytest
from equivalence import check, check_counts, check_law, check_masses
from scipy import stats

from tce_theory.verification import estimates
from tce_theory.verification.estimates import (
    Estimate,
    compare,
    difference_of,
    dissimilarity,
    distance_between,
    distance_to_law,
    distance_to_masses,
    mean_of,
    proportion_of,
    variance_of,
)

ERROR = 0.05
RARE = 1e-6
EXPERIMENTS = 2000


def shares(estimate, truth, margin, *, experiments=EXPERIMENTS):
    """Counts of each verdict for a prediction that is true, and for ones that are off by exactly the margin."""
    rng = np.random.default_rng(20250301)
    found = {"true": [], "above": [], "below": []}
    for _ in range(experiments):
        one = estimate(rng)
        for name, predicted in (("true", truth), ("above", truth + margin), ("below", truth - margin)):
            found[name].append(compare(one, predicted, margin, ERROR).verdict)
    assert "imprecise" not in itertools.chain(*found.values())
    return {name: verdicts.count("equivalent") for name, verdicts in found.items()}


def at_most(count, probability, experiments=EXPERIMENTS):
    return stats.binom.sf(count - 1, experiments, probability) > RARE


def at_least(count, probability, experiments=EXPERIMENTS):
    return stats.binom.cdf(count, experiments, probability) > RARE


def log_chi2(rng, size):
    """Logarithm of chi-square with one degree of freedom: variance pi^2/2, kurtosis 7."""
    return np.log(rng.chisquare(1, size))


@pytest.mark.parametrize(
    ("estimate", "truth", "margin", "slack"),
    [
        (lambda rng: mean_of(rng.normal(3, 2, 100)), 3.0, 1.0, 1.0),
        (lambda rng: difference_of(mean_of(rng.normal(3, 2, 100)), mean_of(rng.normal(1, 1, 50))), 2.0, 1.0, 1.1),
        (lambda rng: proportion_of(rng.random(300) < 0.2), 0.2, 0.11, 1.0),
        # skewness moves the two sides apart: by a factor 1.4 at 2,000 observations, by less in larger samples
        (lambda rng: mean_of(rng.exponential(1, 2000)), 1.0, 0.085, 1.4),
        (lambda rng: variance_of(rng.normal(0, 1, 2000)), 1.0, 0.15, 1.4),
        (lambda rng: variance_of(log_chi2(rng, 8000)), math.pi**2 / 2, 0.8, 1.4),
    ],
    ids=["mean", "difference", "proportion", "skewed mean", "variance", "variance of large kurtosis"],
)
def test_false_acceptance_and_power(estimate, truth, margin, slack):
    found = shares(estimate, truth, margin)
    assert at_most(found["above"], slack * ERROR)
    assert at_most(found["below"], slack * ERROR)
    assert at_least(found["true"], 1 - 2 * slack * ERROR)


def test_false_acceptance_is_the_nominal_one_for_means():
    """Not merely below it: the limits are not wider than they have to be."""
    found = shares(lambda rng: mean_of(rng.normal(3, 2, 100)), 3.0, 1.0)
    assert at_least(found["above"], 0.8 * ERROR)
    assert at_least(found["below"], 0.8 * ERROR)


def test_a_standard_error_without_the_kurtosis_accepts_too_much():
    """What `variance_of` is for: with the standard error of normal data a false claim passes three times as often."""

    def naive(rng):
        sample = log_chi2(rng, 8000)
        variance = sample.var(ddof=1)
        return estimates._Normal(variance, variance * math.sqrt(2 / sample.size), sample.size - 1)

    found = shares(naive, math.pi**2 / 2, 0.8)
    assert not at_most(found["above"], 2.5 * ERROR)
    assert not at_most(found["below"], 2.5 * ERROR)


def test_distances_between_distribution_functions():
    """Uniform on [0, 1] against uniform on [0.1, 1.1], which is exactly 0.1 away; two samples likewise."""

    def shifted(by):
        return lambda rng: distance_to_law(rng.random(1500) + by, lambda x: np.clip(x, 0, 1))

    def two(by):
        return lambda rng: distance_between(rng.random(6000), rng.random(6000) + by)

    for make in (shifted, two):
        rng, experiments = np.random.default_rng(5), 600
        off = [compare(make(0.1)(rng), 0.0, 0.1, ERROR).verdict for _ in range(experiments)]
        true = [compare(make(0.0)(rng), 0.0, 0.1, ERROR).verdict for _ in range(experiments)]
        assert "imprecise" not in off
        assert at_most(off.count("equivalent"), ERROR, experiments)
        assert at_least(true.count("equivalent"), 1 - 2 * ERROR, experiments)


def test_distance_to_a_discrete_law_counts_each_value_once():
    masses = stats.binom.pmf(np.arange(6), 5, 0.3)
    counts = np.round(1e6 * masses).astype(int)
    assert distance_to_masses(counts, masses).value < 1e-6
    moved = counts + np.array([0, -10_000, 0, 0, 10_000, 0])
    assert distance_to_masses(moved, masses).value == pytest.approx(0.01, rel=1e-4)


def test_distance_to_a_law_looks_at_both_sides_of_a_step():
    assert distance_to_law(np.array([0.5]), lambda x: x).value == 0.5
    assert distance_to_law(np.array([0.9, 0.95]), lambda x: x).value == 0.9
    assert distance_between(np.array([1.0, 1.0, 2.0]), np.array([1.0, 2.0, 2.0])).value == pytest.approx(1 / 3)


def test_dissimilarity_of_counts():
    right = stats.binom.pmf(np.arange(11), 10, 0.4)
    wrong = stats.binom.pmf(np.arange(11), 10, 0.43)
    delta = math.sqrt(((right - wrong) ** 2 / right).sum())
    rng = np.random.default_rng(11)
    size, experiments = 8000, 200
    true = [compare(dissimilarity(rng.multinomial(size, right), right), 0.0, delta, ERROR) for _ in range(experiments)]
    off = [compare(dissimilarity(rng.multinomial(size, wrong), right), 0.0, delta, ERROR) for _ in range(experiments)]
    assert "imprecise" not in {one.verdict for one in true + off}
    assert at_least(sum(one.verdict == "equivalent" for one in true), 1 - 2 * ERROR, experiments)
    assert at_most(sum(one.verdict == "equivalent" for one in off), 1.2 * ERROR, experiments)
    # the estimate is that of delta, and its limits hold it
    assert np.mean([one.observed for one in off]) == pytest.approx(delta, rel=0.1)
    held = sum(one.low <= delta <= one.high for one in off)
    assert at_least(held, 1 - 2.4 * ERROR, experiments)
    assert at_most(held, 1 - 1.2 * ERROR, experiments)


@pytest.mark.parametrize(
    "estimate",
    [
        mean_of([0.9, 1.0, 1.1]),
        variance_of(np.array([0.0, 1.0, 2.0])),
        proportion_of(np.array([True, False])),
        distance_to_law((np.arange(50) + 0.5) / 50, lambda x: x),
        distance_between(np.arange(100), np.arange(100)),
        dissimilarity(np.array([50, 50]), np.array([0.5, 0.5])),
        mean_of(np.array([np.nan, 1.0])),
    ],
    ids=["mean", "variance", "proportion", "law", "two samples", "counts", "not a number"],
)
def test_too_few_observations_are_a_failure(estimate: Estimate):
    """Although what they show is exactly what was predicted."""
    predicted = 0.0 if isinstance(estimate, (estimates._Distance, estimates._Dissimilarity)) else estimate.value
    assert compare(estimate, predicted, 0.05, equivalence.ERROR).verdict == "imprecise"
    with pytest.raises(AssertionError, match="imprecise"):
        equivalence.assert_equivalent(estimate, predicted, margin=0.05)
    with pytest.raises(AssertionError, match="negative control is not rejected; imprecise"):
        equivalence.assert_different(estimate, predicted + 1, margin=0.05)


def test_a_check_needs_the_right_one_accepted_and_the_wrong_one_rejected():
    sample = np.random.default_rng(3).normal(2.0, 1.0, 100_000)
    assert check(mean_of(sample), 2.0, 2.1).verdict == "equivalent"
    with pytest.raises(AssertionError, match="different"):
        check(mean_of(sample), 2.1, 2.0)
    with pytest.raises(AssertionError, match="imprecise"):
        check(mean_of(sample), 2.0, 2.01)
    check_law(sample, lambda x: stats.norm.cdf(x, 2), lambda x: stats.norm.cdf(x, 2.1))
    with pytest.raises(AssertionError, match="different"):
        check_law(sample, lambda x: stats.norm.cdf(x, 2.1), lambda x: stats.norm.cdf(x, 2))
    values = np.arange(21)
    right, wrong = stats.binom.pmf(values, 20, 0.3), stats.binom.pmf(values, 20, 0.32)
    counts = np.bincount(np.random.default_rng(4).binomial(20, 0.3, 40_000), minlength=21)
    for compared in (check_masses, check_counts):
        assert compared(counts, right, wrong).verdict == "equivalent"
        with pytest.raises(AssertionError, match="different"):
            compared(counts, wrong, right)


def test_the_budget_is_counted(monkeypatch):
    assert math.isclose(equivalence.ERROR * equivalence.MOST_CLAIMS, equivalence.BUDGET)
    monkeypatch.setattr(equivalence, "_claims", itertools.count(equivalence.MOST_CLAIMS))
    sample = np.random.default_rng(3).normal(2.0, 1.0, 100_000)
    equivalence.assert_equivalent(mean_of(sample), 2.0, margin=0.1)
    with pytest.raises(AssertionError, match="budget"):
        equivalence.assert_equivalent(mean_of(sample), 2.0, margin=0.1)


def test_an_outcome_says_what_it_found():
    sample = np.random.default_rng(3).normal(2.0, 1.0, 10_000)
    outcome = compare(mean_of(sample), 2.0, 0.1, equivalence.ERROR)
    assert outcome.low < outcome.observed < outcome.high
    assert outcome.standard_error == pytest.approx(0.01, rel=0.05)
    assert str(outcome).startswith("equivalent: observed ")
    with pytest.raises(AttributeError):
        outcome.verdict = "different"
