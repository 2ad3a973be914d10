"""Exact laws and closed forms against direct Monte Carlo in plain NumPy: points are drawn and models are refitted.

Every claim is an equivalence test: the interval of Z standard errors around the simulated mean has to lie within a
margin of the claimed value. The margin is half of what the claim moves by when its constant is off by the stated few
per cent, so that the same test rejects the wrong constant (the negative control); the interval has to be shorter than
half of the margin (the precision gate). Z = 4.5 makes 7e-6 a comparison, 3e-4 over this file.
"""

import math

import numpy as np
import pytest

from tce_theory import TCE, CrossEntropy
from tce_theory.exact import TwoClassChain, gaussian_first_passage, log_variance_cdf
from tce_theory.theory import categorical, gaussian

Z = 4.5


def is_equivalent(sample, claim, margin):
    half_width = Z * np.std(sample, ddof=1) / math.sqrt(len(sample))
    assert half_width < margin / 2, "too few replicates to decide"
    return abs(np.mean(sample) - claim) + half_width < margin


def check(sample, claim, wrong):
    """Accept the claim and reject the wrong one."""
    margin = abs(claim - wrong) / 2
    assert is_equivalent(sample, claim, margin)
    assert not is_equivalent(sample, wrong, margin)


def refit(rng, mean, std, n, fit_mean, ddof, radius=0.0):
    """One generation on n points for each replicate: cross entropy, but for points within `radius` scales."""
    points = mean[:, None] + std[:, None] * rng.standard_normal((mean.size, n))
    if radius:
        return refit_kept(points, mean, std, fit_mean, radius)
    new_mean = points.mean(axis=1) if fit_mean else mean
    squares = ((points - new_mean[:, None]) ** 2).sum(axis=1)
    return new_mean, np.sqrt(squares / (n - ddof))


def refit_kept(points, mean, std, fit_mean, radius):
    kept = np.abs(points - mean[:, None]) >= radius * std[:, None]
    count = kept.sum(axis=1)
    some = np.maximum(count, 1)
    new_mean = np.where(kept, points, 0.0).sum(axis=1) / some if fit_mean else mean
    squares = np.where(kept, (points - new_mean[:, None]) ** 2, 0.0).sum(axis=1)
    enough = count >= (2 if fit_mean else 1)
    return np.where(enough, new_mean, mean), np.where(enough, np.sqrt(squares / some), std)


# --- first passage


def passage_times(rng, replicates, n, low, high, horizon, fit_mean, ddof, radius=0.0):
    times = np.full(replicates, horizon)
    alive, mean, std = np.arange(replicates), np.zeros(replicates), np.ones(replicates)
    for t in range(1, horizon + 1):
        mean, std = refit(rng, mean, std, n, fit_mean, ddof, radius)
        out = (std <= low) | (std >= high)
        times[alive[out]] = t
        alive, mean, std = alive[~out], mean[~out], std[~out]
    return times, alive.size


@pytest.mark.parametrize(
    ("n", "wrong_n", "low", "high", "fit_mean", "ddof"),
    [(20, 22, 0.5**0.5, 2**0.5, True, 0), (20, 22, 0.75, math.inf, True, 1), (15, 16, 0.8, 1.25, False, 0)],
)
def test_first_passage_law(n, wrong_n, low, high, fit_mean, ddof):
    horizon, replicates = 40, 200_000
    rng = np.random.default_rng(20240817)
    times, survivors = passage_times(rng, replicates, n, low, high, horizon, fit_mean, ddof)
    right, wrong = (
        gaussian_first_passage(size, low=low, high=high, horizon=horizon, fit_mean=fit_mean, ddof=ddof)
        for size in (n, wrong_n)
    )
    check(times, right.restricted_mean, wrong.restricted_mean)
    assert survivors / replicates == pytest.approx(right.survival[-1], abs=Z / math.sqrt(4 * replicates))

    counts = np.bincount(times, minlength=horizon + 1)[1:horizon]
    assert abs(goodness_of_fit(counts, replicates * right.mass[:-1])) < Z
    assert goodness_of_fit(counts, replicates * wrong.mass[:-1]) > 2 * Z


@pytest.mark.parametrize(
    ("n", "radius", "wrong_radius", "low", "high", "fit_mean"),
    [(2, 0.5, 0.45, 0.3, 2.0, True), (3, 0.8, 0.76, 0.5, 2.0, False)],
)
def test_first_passage_law_under_truncation(n, radius, wrong_radius, low, high, fit_mean):
    horizon, replicates = 25, 100_000
    rng = np.random.default_rng(20241123)
    times, survivors = passage_times(rng, replicates, n, low, high, horizon, fit_mean, 0, radius)
    right, wrong = (
        gaussian_first_passage(n, low=low, high=high, horizon=horizon, fit_mean=fit_mean, loss=previous_mask(a))
        for a in (radius, wrong_radius)
    )
    check(times, right.restricted_mean, wrong.restricted_mean)
    assert survivors / replicates == pytest.approx(right.survival[-1], abs=Z / math.sqrt(4 * replicates))
    counts = np.bincount(times, minlength=horizon + 1)[1:horizon]
    assert abs(goodness_of_fit(counts, replicates * right.mass[:-1])) < Z
    assert goodness_of_fit(counts, replicates * wrong.mass[:-1]) > 2 * Z


def previous_mask(radius):
    return TCE(math.exp(-(radius**2) / 2), scale="relative", mask="previous")


def goodness_of_fit(counts, expected):
    """Pearson's statistic over well-filled bins, standardised; the bins left out make the cells nearly independent."""
    filled = expected > 25
    statistic = np.sum((counts[filled] - expected[filled]) ** 2 / expected[filled])
    return (statistic - filled.sum()) / math.sqrt(2 * filled.sum())


@pytest.mark.parametrize(("n", "wrong_n", "fit_mean", "ddof"), [(4, 5, True, 0), (12, 13, True, 1), (12, 13, False, 0)])
def test_law_at_one_generation(n, wrong_n, fit_mean, ddof):
    # Kolmogorov–Smirnov: sqrt(R) D exceeds 2.6 with probability 3e-6
    t, replicates = 6, 100_000
    rng = np.random.default_rng(7)
    mean, std = np.zeros(replicates), np.ones(replicates)
    for _ in range(t):
        mean, std = refit(rng, mean, std, n, fit_mean, ddof)
    x = np.sort(2 * np.log(std))
    steps = (np.arange(replicates) + 0.5) / replicates

    def distance(size):
        law = log_variance_cdf(x, t, size, fit_mean=fit_mean, ddof=ddof)
        return math.sqrt(replicates) * np.abs(law - steps).max()

    assert distance(n) < 2.6
    assert distance(wrong_n) > 5.2


@pytest.mark.parametrize(("fit_mean", "ddof"), [(True, 0), (True, 1), (False, 0)])
def test_gaussian_moments(fit_mean, ddof):
    # distances are read early, where their tails are light, and scales late, where n has had its effect
    n, wrong_n, early, late, replicates = 10, 11, 4, 12, 400_000
    rng = np.random.default_rng(11)
    mean, std = np.zeros(replicates), np.full(replicates, 2.0)
    fit = {"std": 2.0, "fit_mean": fit_mean, "ddof": ddof}

    def compare(sample, closed_form, t):
        check(sample, closed_form(t, n, **fit), closed_form(t, wrong_n, **fit))

    for t in range(1, late + 1):
        mean, std = refit(rng, mean, std, n, fit_mean, ddof)
        if t == early:
            compare(mean**2 + (std - 2.0) ** 2, gaussian.expected_w2_squared, t)
            if fit_mean:
                compare(mean**2, gaussian.variance_of_mean, t)
    compare(std, gaussian.expected_std, late)
    right, wrong = (gaussian.log_std_moments(late, size, **fit) for size in (n, wrong_n))
    check(np.log(std), right.mean, wrong.mean)
    check((np.log(std) - right.mean) ** 2, right.variance, wrong.variance)


# --- two classes


def absorption_times(rng, replicates, n, prob0, gamma=None):
    """Generation at which one class is not drawn (and, drawn-only, lost)."""
    times = np.zeros(replicates, dtype=int)
    alive, q = np.arange(replicates), np.full(replicates, prob0)
    t = 0
    while alive.size:
        t += 1
        counts = rng.binomial(n, q)
        over = (counts == 0) | (counts == n)
        times[alive[over]] = t
        alive, counts = alive[~over], counts[~over]
        q = counts / n if gamma is None else np.clip(counts / n, 1 - gamma, gamma)
    return times


def drawn_only(gamma):
    return CrossEntropy() if gamma is None else TCE(gamma, vacuous="drawn-only")


@pytest.mark.parametrize(
    ("n", "prob0", "gamma", "wrong"),
    [
        (20, 0.3, None, {"n": 21}),
        (20, 0.3, 0.85, {"n": 21}),
        (20, 0.3, 0.85, {"gamma": 0.87}),
    ],
)
def test_mean_absorption_time(n, prob0, gamma, wrong):
    claim, control = (
        TwoClassChain(other.get("n", n), prob0, loss=drawn_only(other.get("gamma", gamma))).mean_absorption_time()
        for other in ({}, wrong)
    )
    # the precision gate asks for a standard error of margin/(2 Z); times are at most about exponential
    replicates = math.ceil(1.5 * (claim / (abs(claim - control) / 2 / (2 * Z))) ** 2)
    times = absorption_times(np.random.default_rng(23), min(replicates, 400_000), n, prob0, gamma)
    check(times, claim, control)


@pytest.mark.parametrize(("vacuous", "fraction"), [("warm", 0.0), ("drawn-only", 0.1)])
def test_distribution_of_two_classes(vacuous, fraction):
    n, prob0, t, replicates = 25, 0.3, 8, 200_000
    rng = np.random.default_rng(29)
    q = np.full(replicates, prob0)
    for _ in range(t):
        counts = rng.binomial(n, (1 - fraction) * q + fraction * prob0)
        q = np.clip(counts / n, 0.2, 0.8)
        if vacuous != "warm":
            q = np.where(counts == 0, 0.0, np.where(counts == n, 1.0, q))
    observed = np.bincount(counts, minlength=n + 1)
    right, wrong = (
        TwoClassChain(n, prob0, loss=TCE(gamma, vacuous=vacuous), fraction=fraction).distribution(t)[: n + 1]
        for gamma in (0.8, 0.82)
    )
    assert abs(goodness_of_fit(observed, replicates * right)) < Z
    assert goodness_of_fit(observed, replicates * wrong) > 2 * Z


def test_warm_start_above_the_cap():
    # frozen until the rare class is drawn; the control has 1 % more of the frequent one
    n, prob0, gamma, t, replicates = 15, 0.97, 0.8, 4, 200_000
    rng = np.random.default_rng(37)
    q = np.full(replicates, prob0)
    for _ in range(t):
        counts = rng.binomial(n, q)
        kept = (counts == n) & (q > gamma)
        q = np.where(kept, q, np.clip(counts / n, 1 - gamma, gamma))
    observed = np.bincount(np.where(q == prob0, n + 1, counts), minlength=n + 2)
    right, wrong = (TwoClassChain(n, p, loss=TCE(gamma)).distribution(t) for p in (prob0, 0.98))
    assert abs(goodness_of_fit(observed, replicates * right)) < Z
    assert goodness_of_fit(observed, replicates * wrong) > 2 * Z


def test_extinction_under_poisson_sampling():
    expected_count, t, replicates = 3.0, 5, 300_000
    rng = np.random.default_rng(31)
    counts = np.full(replicates, expected_count)
    for _ in range(t):
        counts = rng.poisson(counts)
    survived = 1 - categorical.extinction_probability(t) ** expected_count
    check(counts > 0, survived, 1 - categorical.extinction_probability(t) ** (1.05 * expected_count))
