"""Do the intervals of fidelity intervals and of extension factors cover what they claim?

Each test draws a few thousand experiments with a known answer, counts how often the interval covers it, and claims that
the true coverage lies within a margin of the nominal one. It is an equivalence test: the Clopper–Pearson interval of
the coverage, at a confidence of 1 − 2·BUDGET, has to lie within the margin, so that each claim is wrong with
probability at most BUDGET, and the nine claims of this file together with at most 9·BUDGET = .0018. Before that comes
the precision gate: at the nominal coverage that interval must be narrower than the margin, so that too few experiments
fail rather than pass. The negative control is the same test of an answer that is off by a stated few per cent: it has
to fail.
"""

import math

import numpy as np
import pytest
from scipy import stats

from tce_theory.fidelity import FidelityInterval, extension_factor

BUDGET = 2e-4
NOMINAL = 0.95
MARGIN = 0.03
RESAMPLES = 400
EXPERIMENTS = 3000


def censored_at(times, horizon=np.inf):
    horizon = min(horizon, 1e9)
    return FidelityInterval(
        times=np.minimum(times, horizon),
        observed=times <= horizon,
        horizon=horizon,
        criterion="",
        interpolated=True,
        replicates=np.arange(times.size),
    )


def covers_as_claimed(intervals, truth):
    intervals = np.asarray(intervals)
    size = len(intervals)
    covered = int(((intervals[:, 0] <= truth) & (truth <= intervals[:, 1])).sum())
    at_nominal = clopper_pearson(round(NOMINAL * size), size)
    assert at_nominal.high - at_nominal.low < MARGIN, "too few experiments to say anything"
    limits = clopper_pearson(covered, size)
    return limits.low > NOMINAL - MARGIN and limits.high < NOMINAL + MARGIN


def clopper_pearson(successes, size):
    return stats.binomtest(successes, size).proportion_ci(1 - 2 * BUDGET, method="exact")


def extension_factors(draw, statistic="mean", *, experiments=EXPERIMENTS, paired=False):
    """Rows (low, high, ratio), one an experiment."""
    rng = np.random.default_rng(20250101)
    found = []
    for experiment in range(experiments):
        baseline, treated = draw(rng)
        factor = extension_factor(baseline, treated, statistic, paired=paired, resamples=RESAMPLES, seed=experiment)
        found.append((factor.low, factor.high, factor.ratio))
    return np.array(found)


def test_ratio_of_means_of_exponential_times():
    def draw(rng):
        return censored_at(rng.exponential(10, 150)), censored_at(rng.exponential(23, 150))

    found = extension_factors(draw)
    assert covers_as_claimed(found, 2.3)
    # standard error of the log ratio: sqrt(2/150) = .115
    assert not covers_as_claimed(found, 2.3 * 1.07)
    assert not covers_as_claimed(found, 2.3 / 1.07)


def test_ratio_of_restricted_means_of_geometric_times():
    """E min(T, h) = (1 − (1 − p)^h)/p for whole generations, of which the horizon censors a fifth and a half."""
    horizon, fail, treated_fail = 40, 0.04, 0.0175
    restricted = [(1 - (1 - p) ** horizon) / p for p in (fail, treated_fail)]

    def draw(rng):
        return censored_at(rng.geometric(fail, 150), horizon), censored_at(rng.geometric(treated_fail, 150), horizon)

    found = extension_factors(draw)
    truth = restricted[1] / restricted[0]
    assert covers_as_claimed(found, truth)
    assert not covers_as_claimed(found, 1.05 * truth)
    assert not covers_as_claimed(found, truth / 1.05)
    # the ratio of the unrestricted means, 2.29, is another number
    assert truth < 1.5


def test_pairs_with_a_common_factor():
    def draw(rng):
        shared = rng.exponential(10, 100)
        return censored_at(shared), censored_at(2 * shared * rng.gamma(10, 0.1, 100))

    paired = extension_factors(draw, paired=True)
    assert covers_as_claimed(paired, 2)
    assert not covers_as_claimed(paired, 2 * 1.05)
    # as if independent the interval is several times too wide and covers always; at .95 it would, 300 times in a row,
    # with a probability of 2e-7
    independent = extension_factors(draw, experiments=300)
    assert ((independent[:, 0] <= 2) & (independent[:, 1] >= 2)).all()


def test_few_replicates():
    """Sixteen a side, as in a study of networks; plain percentiles would cover .924 and fail the test."""

    def draw(rng):
        return censored_at(rng.exponential(10, 16)), censored_at(rng.exponential(20, 16))

    with pytest.warns(match="unreliable"):
        found = extension_factors(draw)
    assert covers_as_claimed(found, 2)
    assert not covers_as_claimed(found, 2 * 1.25)
    # the ratio itself is biased: E 1/mean is 16/15 of 1/E for exponential times (four standard errors: 6e-5)
    error = found[:, 2].std() / math.sqrt(EXPERIMENTS)
    assert abs(found[:, 2].mean() - 2 * 16 / 15) < 4 * error
    assert abs(found[:, 2].mean() - 2) > 4 * error


def test_ratio_of_medians_with_a_tail_censored():
    def draw(rng):
        return censored_at(rng.exponential(10, 101), 25), censored_at(rng.exponential(20, 101), 25)

    found = extension_factors(draw, "median")
    assert covers_as_claimed(found, 2)
    # standard error of the log ratio: sqrt(2/101)/log 2 = .203
    assert not covers_as_claimed(found, 2 * 1.2)


def test_limits_of_the_mean_and_of_the_median():
    rng = np.random.default_rng(7)
    means, medians = [], []
    for experiment in range(EXPERIMENTS):
        found = censored_at(rng.exponential(10, 150), 25)
        means.append(found.ci(resamples=RESAMPLES, seed=experiment))
        medians.append(found.ci("median"))
    restricted = 10 * (1 - math.exp(-2.5))
    assert covers_as_claimed(means, restricted)
    assert not covers_as_claimed(means, 1.07 * restricted)
    median = 10 * math.log(2)
    assert covers_as_claimed(medians, median)
    assert not covers_as_claimed(medians, 1.1 * median)


PAIRS = 100
TESTED = 12_000  # experiments: limits of 5 % are then within 1 % of it


def rejection_rates(ratio, paired, rng):
    """Share of experiments in which equal means are rejected at a level of 5 %, as two limits."""
    rejected = 0
    for _ in range(TESTED):
        times = [rng.gamma(4.0, scale, PAIRS) for scale in (1.0, ratio)]
        if paired:
            times[1] = ratio * times[0] * rng.uniform(0.5, 1.5, PAIRS)
        factor = extension_factor(*map(censored_at, times), paired=paired, resamples=100)
        rejected += factor.ratio_p < 1 - NOMINAL
    return stats.binomtest(rejected, TESTED).proportion_ci(1 - 2 * BUDGET)


@pytest.mark.slow
@pytest.mark.parametrize("paired", [False, True])
def test_p_value_of_the_ratio(paired):
    """Equal means are rejected in 5 % of experiments, within 2 %; means that differ by 20 % in clearly more."""
    rng = np.random.default_rng(29)
    low, high = rejection_rates(1.0, paired, rng)
    assert 0.03 < low < high < 0.07
    assert rejection_rates(1.2, paired, rng).low > 0.07
