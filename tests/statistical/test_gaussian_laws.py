"""The Gaussian recursion under cross entropy against its exact laws (slugs gaussian-ce-law, gaussian-w2, fresh-mix).

Each claim is an equivalence test with a margin of half of what the negative control changes; see `equivalence`.
"""

import math
import warnings

import numpy as np
import pytest
from equivalence import (
    check,
    check_counts,
    check_law,
    check_masses,
    mean_of,
    simulated,
    variance_of,
)

import tce_theory as tce
from tce_theory.exact import gaussian_first_passage, log_variance_cdf
from tce_theory.theory import gaussian as theory
from tce_theory.theory import regimes

CE = tce.CrossEntropy()
MEAN, STD = -3.0, 0.5
FITS = [(True, 0), (True, 1), (False, 0)]


def model(fit_mean, ddof):
    return tce.Gaussian(MEAN, STD, fit_mean=fit_mean, ddof=ddof)


# ------------------------------------------------------------------------------------------------- log-scale moments


@pytest.mark.parametrize("n", [2, 5, 100, 10**6])
@pytest.mark.parametrize(("fit_mean", "ddof"), FITS)
@pytest.mark.parametrize(("t", "replicates", "change"), [(1, 110_000, 0.05), (10, 110_000, 0.05), (100, 45_000, 0.08)])
def test_log_std_moments(n, fit_mean, ddof, t, replicates, change):
    """Mean and variance of log sigma_t, up to n = 10^6 by sampling in law.

    Controls: the drift changed by 5 % (at t = 100: 8 %), where that shift exceeds as much of the standard deviation of
    log sigma_t; else (n large, t short: noise hides any change of a few per cent of a drift of order 1/n) a shift by
    5 % (8 %) of the standard deviation. The step variance changed by 8 % (13 %).
    """
    if t == 1 and n <= 5:
        replicates = 270_000  # one step has a kurtosis of up to 7
    seed = 100 + 10 * FITS.index((fit_mean, ddof)) + t
    (log_std,) = simulated(model(fit_mean, ddof), CE, ["log_std"], n=n, t=t, replicates=replicates, seed=seed)
    right = theory.log_std_moments(t, n, std=STD, fit_mean=fit_mean, ddof=ddof)
    drift, deviation = right.mean - math.log(STD), math.sqrt(right.variance)
    check(mean_of(log_std), right.mean, right.mean + math.copysign(change * max(abs(drift), deviation), drift))
    check(variance_of(log_std), right.variance, (1 + 1.6 * change) * right.variance)


@pytest.mark.parametrize(("fit_mean", "ddof", "other"), [(True, 0, (True, 1)), (True, 1, (True, 0))])
def test_the_two_divisors_are_told_apart(fit_mean, ddof, other):
    """At n = 100 and t = 100 they differ by half a nat; control: the drift of the other."""
    n, t = 100, 100
    (log_std,) = simulated(model(fit_mean, ddof), CE, ["log_std"], n=n, t=t, replicates=20_000, seed=7 + ddof)
    right = theory.log_std_moments(t, n, std=STD, fit_mean=fit_mean, ddof=ddof)
    wrong = theory.log_std_moments(t, n, std=STD, fit_mean=other[0], ddof=other[1])
    check(mean_of(log_std), right.mean, wrong.mean)


@pytest.mark.parametrize(
    ("n", "wrong_n", "t", "fit_mean", "ddof"), [(3, 4, 6, True, 0), (20, 21, 40, True, 1), (12, 13, 20, False, 0)]
)
@pytest.mark.parametrize("sampler", ["auto", "points"])
def test_law_of_log_std(n, wrong_n, t, fit_mean, ddof, sampler):
    """The whole law at one generation, by both samplers; control: n changed by one, at n = 20 by 5 %."""
    (log_std,) = simulated(
        model(fit_mean, ddof), CE, ["log_std"], n=n, t=t, replicates=190_000, seed=300 + n, sampler=sampler
    )

    def law(size):
        # on a grid between the sample's ends: the characteristic function is slow point by point
        grid = np.linspace(2 * log_std.min(), 2 * log_std.max(), 4001) - 2 * math.log(STD)
        values = log_variance_cdf(grid, t, size, fit_mean=fit_mean, ddof=ddof)
        return lambda x: np.interp(2 * (x - math.log(STD)), grid, values)

    check_law(log_std, law(n), law(wrong_n))


# ------------------------------------------------------------------------------------------------- distances


@pytest.mark.parametrize(("fit_mean", "ddof"), FITS)
@pytest.mark.parametrize(("n", "t"), [(5, 1), (100, 1), (100, 10), (1000, 5), (10**6, 2)])
def test_w2_and_the_second_moments(n, t, fit_mean, ddof):
    """Where Var log sigma_t is at most 0.15, so that sample means are what they seem; control: n changed by 8 %.

    At n = 5 that is no sample size: the constant is changed by 8 % instead.
    """
    law = {"std": STD, "fit_mean": fit_mean, "ddof": ddof}
    assert theory.log_std_moments(t, n, **law).variance < 0.3
    metrics = ["w2_squared", "mean", "std"]
    w2, mean, std = simulated(model(fit_mean, ddof), CE, metrics, n=n, t=t, replicates=140_000, seed=500 + t)

    def checked(sample, closed_form):
        right = closed_form(t, n, **law)
        wrong = closed_form(t, round(1.08 * n), **law) if n >= 100 else 1.08 * right
        check(mean_of(sample), right, wrong)

    checked(w2, theory.expected_w2_squared)
    np.testing.assert_allclose(w2, (mean - MEAN) ** 2 + (std - STD) ** 2, rtol=1e-12)
    if fit_mean:
        checked((mean - MEAN) ** 2, theory.variance_of_mean)
    else:
        assert (mean == MEAN).all()
    check(mean_of(std**2), *(factor * theory.expected_variance(t, n, **law) for factor in (1, 1.05)))
    check(mean_of(std), *(factor * theory.expected_std(t, n, **law) for factor in (1, 1.05)))


def test_variance_moves_from_the_scale_to_the_mean():
    """With a fitted mean and ddof 0, E sigma_t^2 + Var mu_t stays at sigma_0^2; with ddof 1 it grows; control: 5 %."""
    n, t = 100, 50
    for ddof, right in ((0, 1.0), (1, 1.0 + t / n)):
        mean, std = simulated(model(True, ddof), CE, ["mean", "std"], n=n, t=t, replicates=170_000, seed=600 + ddof)
        check(mean_of(((mean - MEAN) ** 2 + std**2) / STD**2), right, 1.05 * right)


# ------------------------------------------------------------------------------------------------- fresh data


def fresh_second_moments(t, n, fraction, ddof):
    """E sigma_t^2 and E (mu_t - mu_0)^2 in units of sigma_0^2, with a share of fresh points and a fitted mean.

    Given generation t, each of the n points comes from the mixture (1 - a) N(mu_t, sigma_t^2) + a N(mu_0, sigma_0^2),
    whose mean is mu_0 + (1 - a) d, d = mu_t - mu_0, and whose variance is
    v = (1 - a) sigma_t^2 + a sigma_0^2 + a (1 - a) d^2. The sample mean has variance v/n around the mixture's mean, and
    the sum of squares around it has mean (n - 1) v, for independent points of any law. So the two moments follow an
    exact linear recursion, although sigma_t^2 is no longer a multiple of chi-square.
    """
    scale, shift = 1.0, 0.0
    for _ in range(t):
        mixture = (1 - fraction) * scale + fraction + fraction * (1 - fraction) * shift
        scale, shift = mixture * (n - 1) / (n - ddof), (1 - fraction) ** 2 * shift + mixture / n
    return scale, shift


@pytest.mark.parametrize("t", [0, 1, 7, 300])
@pytest.mark.parametrize(("n", "fraction"), [(2, 0.3), (50, 0.02), (10**6, 1e-6), (10, 1.0), (10, 0.0)])
def test_fresh_data_act_on_the_variance_as_on_heterozygosity(t, n, fraction):
    """With ddof 0, s + m stays at sigma_0^2; then m' = (1 - a)^2 m + [1 - (1 - a)^2 m]/n, solved as in fresh-mix."""
    scale, shift = fresh_second_moments(t, n, fraction, ddof=0)
    assert scale + shift == pytest.approx(1, rel=1e-12)
    # heterozygosity 1/2 stands for the variance 1
    right = 2 * regimes.fresh_mix_heterozygosity(n, fraction, 0.5, t=t)
    assert scale == pytest.approx(right, rel=1e-12)


@pytest.mark.parametrize(
    ("n", "fraction", "t", "ddof", "sampler"),
    [
        (10, 0.05, 1, 0, "auto"),
        (10, 0.05, 10, 0, "auto"),
        (10, 0.2, 10, 1, "auto"),
        (10, 0.05, 10, 0, "points"),
        (30, 0.03, 20, 0, "auto"),
        (3, 0.3, 6, 0, "auto"),
        (3, 0.3, 6, 0, "points"),
    ],
)
def test_fresh_mix(n, fraction, t, ddof, sampler):
    """Control: the share of fresh data changed by a fifth, or, where that moves a moment by less than 6 %, by 6 %."""
    mean, std = simulated(
        model(True, ddof), CE, ["mean", "std"], n=n, t=t, replicates=320_000 if n < 30 else 190_000, seed=700 + t,
        regime=tce.FreshMix(fraction), sampler=sampler,
    )  # fmt: skip
    moments = fresh_second_moments(t, n, fraction, ddof), fresh_second_moments(t, n, 1.2 * fraction, ddof)
    for sample, right, wrong in zip(((std / STD) ** 2, ((mean - MEAN) / STD) ** 2), *moments, strict=True):
        check(mean_of(sample), right, wrong if abs(wrong - right) > 0.06 * right else 1.06 * right)


@pytest.mark.parametrize("sampler", ["auto", "points"])
def test_fresh_mix_with_a_known_mean(sampler):
    """E sigma_t^2 stays; E sigma_t^4 = q follows q' = (1 - 1/n) E v^2 + 3 [(1 - a) q + a]/n, v = (1 - a) sigma_t^2 + a.

    The variance is a mean of n independent squares, of fourth moment 3 [(1 - a) sigma_t^4 + a]. Control: 5 %, and n
    changed by 10 %.
    """
    n, fraction, t = 20, 0.3, 5
    (std,) = simulated(
        model(False, 0), CE, ["std"], n=n, t=t, replicates=250_000, seed=790, regime=tce.FreshMix(fraction),
        sampler=sampler,
    )  # fmt: skip
    variance = (std / STD) ** 2
    check(mean_of(variance), 1.0, 1.05)

    def second_moment(size):
        q = 1.0
        for _ in range(t):
            square = (1 - fraction) ** 2 * q + 2 * fraction * (1 - fraction) + fraction**2
            q = (1 - 1 / size) * square + 3 * ((1 - fraction) * q + fraction) / size
        return q

    check(variance_of(variance), second_moment(n) - 1, second_moment(1.1 * n) - 1)


# ------------------------------------------------------------------------------------------------- first passage


@pytest.mark.parametrize(
    ("n", "band", "fit_mean", "ddof", "horizon"),
    [
        (20, (0.5**0.5, 2**0.5), True, 0, 60),
        (20, (0.75, math.inf), True, 1, 60),
        (40, (0.8, 1.25), False, 0, 60),
        (2, (0.05, 5.0), True, 0, 12),
    ],
)
def test_first_passage(n, band, fit_mean, ddof, horizon):
    """Whole generations until sigma leaves its band, in the mean up to the horizon and as a distribution.

    Control: n changed by 10 %; at n = 2 the lower end of the band raised by a fifth, which is 6 % in its logarithm.
    """
    low, high = band
    right, wrong = (
        gaussian_first_passage(size, low=end, high=high, horizon=horizon, fit_mean=fit_mean, ddof=ddof)
        for size, end in ((n, low), (n, 1.2 * low) if n == 2 else (round(1.1 * n), low))
    )
    criterion = {"below": low} if high == math.inf else {"outside": band}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)  # of means of the scale, which are not used
        intervals = [
            tce.simulate(
                model(fit_mean, ddof), CE, n_samples=n, generations=horizon, replicates=37_000, metrics=["std"],
                seed=seed, n_jobs=2,
            ).fidelity_interval("std", **criterion, relative=True, interpolate=False)
            for seed in range(900 + n, 904 + n)
        ]  # fmt: skip
    # a generation beyond the horizon stands for those that have not left
    times = np.concatenate([np.where(found.observed, found.times, horizon + 1) for found in intervals])
    check(mean_of(np.minimum(times, horizon)), right.restricted_mean, wrong.restricted_mean)
    counts = np.bincount(times.astype(int), minlength=horizon + 2)[1:]
    masses = [np.append(law.mass, law.survival[-1]) for law in (right, wrong)]
    check_masses(counts, *masses)
    check_counts(counts, *masses)
