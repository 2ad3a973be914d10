"""Closed forms of relative truncation (tail-inflation, relative-fixed-point, critical-truncation, extension-law)."""

import math
import sys
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import optimize, special

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.theory import gaussian, truncated

sys.path.insert(0, str(Path(__file__).parents[1] / "statistical"))
from equivalence import check, mean_of, proportion_of, simulated, variance_of

LOG2 = math.log(2)


def relative_error(value, exact):
    return float(abs(mpmath.mpf(value) / exact - 1))


# ------------------------------------------------------------------------------------------------ thresholds, factors


def test_radius_and_threshold_are_inverse():
    a = np.array([0.0, 1e-8, 0.3, 1.0, 5.0, 38.0])
    np.testing.assert_allclose(truncated.relative_radius(truncated.relative_gamma(a)), a, rtol=1e-13, atol=2e-8)
    assert truncated.relative_gamma(1.0) == math.exp(-0.5)
    assert truncated.relative_gamma(1e308) == 0.0
    assert math.copysign(1, truncated.relative_radius(1.0)) == 1  # 0, and not −0
    assert truncated.relative_radius(math.nextafter(1, 0)) == pytest.approx(1.4901161e-8, rel=1e-6)


def inflation(a, d):
    """η_d(a) at high precision: the ratio of gamma functions, by a series below and a continued fraction above."""
    w, shape = mpmath.mpf(a) ** 2 / 2, mpmath.mpf(d) / 2
    if w > shape + 5 * mpmath.sqrt(shape) + 5:
        level = w - shape + 2001
        for j in range(1000, 0, -1):
            level = w - shape + 2 * j - 1 - j * (j - shape) / level
        return (shape + level) / shape
    term, total, j = 1 / shape, mpmath.mpf(0), 0
    while term > total * mpmath.mpf(10) ** -60:
        total, j = total + term, j + 1
        term *= w / (shape + j)
    density = mpmath.exp(shape * mpmath.log(w) - w - mpmath.loggamma(shape))
    return 1 + density / ((1 - density * total) * shape)


@pytest.mark.parametrize("d", [1, 2, 3, 19, 20, 21, 1001, 10**6])
def test_tail_inflation_at_high_precision(d):
    # around the mean radius, where the two ways of computing it meet, and far from it
    half = d / 2
    for w in (1e-6 * half, half / 2, half, half + 5.9 * half**0.5 + 2, half + 6.1 * half**0.5 + 2, 3 * half + 9, 5e11):
        a = math.sqrt(2 * w)
        with mpmath.workdps(60):
            assert relative_error(truncated.tail_inflation(a, d), inflation(a, d)) < 1e-13


def test_tail_inflation_limits():
    np.testing.assert_array_equal(truncated.tail_inflation(0.0, [1, 2, 3, 10**6]), 1.0)
    a = np.geomspace(1e-3, 1e6, 50)
    np.testing.assert_allclose(truncated.tail_inflation(a, 2), 1 + a**2 / 2, rtol=1e-14)
    eta = truncated.tail_inflation(a[a < 1e3])
    assert (eta > 1 + a[a < 1e3] ** 2).all()
    assert (eta < 2 + a[a < 1e3] ** 2).all()
    assert truncated.tail_inflation(1e-9) - 1 == pytest.approx(math.sqrt(2 / math.pi) * 1e-9, rel=1e-6)


def test_relative_fixed_point_of_the_ledger():
    assert truncated.relative_fixed_point(0.5) == pytest.approx(1.36960494464, abs=5e-12)
    assert truncated.relative_fixed_point(0.9) == pytest.approx(3.10660934774, abs=5e-12)
    a = np.array([0.0, 1e-9, 0.3, 1.0, 1.41])
    np.testing.assert_allclose(truncated.relative_fixed_point(a, 2) ** 2, 2 / (2 - a**2), rtol=1e-14)
    assert truncated.relative_fixed_point(0.0, [1, 3, 10**6]).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("d", [1, 3, 50, 10**6])
@pytest.mark.parametrize("edge", [1e-300, 1e-5, 0.5, 0.9, 1 - 1e-6, 1 - 1e-12])
def test_relative_fixed_point_changes_sides_of_its_equation(d, edge):
    a = math.sqrt(d) * edge
    s = truncated.relative_fixed_point(a, d)
    with mpmath.workdps(60):

        def excess(scale):
            return scale**2 / inflation(mpmath.mpf(a) * scale, d) - 1

        # η_d(as)/s² decreases, so that the root lies between these
        assert (
            excess(mpmath.mpf(s) * (1 - mpmath.mpf(10) ** -13))
            < 0
            < excess(mpmath.mpf(s) * (1 + mpmath.mpf(10) ** -13))
        )


def test_relative_fixed_point_near_the_edge():
    for d in (1, 3, 10):
        a = math.sqrt(d) * (1 - 1e-7)
        with mpmath.workdps(40):
            lead = 2 / (d - mpmath.mpf(a) ** 2) + mpmath.mpf(d - 2) / d
            assert abs(float(mpmath.mpf(truncated.relative_fixed_point(a, d)) ** 2 - lead)) < 1e-4
            assert abs(float(mpmath.mpf(truncated.relative_fixed_point(a, d)) ** 2 - lead)) < 0.01 * abs(d - 2) / d


def test_population_drift():
    a = np.array([0.0, 0.2, 0.8])
    current, previous = truncated.population_drift(a), truncated.population_drift(a, mask="previous")
    np.testing.assert_allclose(current, 2 * np.log(truncated.relative_fixed_point(a)), rtol=1e-15)
    assert (current[1:] > previous[1:]).all()
    # the step at finite n tends to it
    assert truncated.log_variance_drift(0.8, 10**12) == pytest.approx(previous[2], abs=1e-11)


def test_population_step_variance():
    # previous mask: the exact law at large n
    for a in (0.0, 0.3, 2.0):
        exact = truncated.log_variance_step_variance(a, 10**9)
        assert truncated.population_step_variance(a, 10**9, mask="previous") == pytest.approx(exact, rel=1e-7)
    # current mask at high precision near the edge, where the kurtosis and the slope cancel
    with mpmath.workdps(60):
        a = mpmath.mpf(0.99)
        s = mpmath.findroot(lambda s: inflation(a * s, 1) - s**2, truncated.relative_fixed_point(0.99))
        c, w = a * s, s**2
        kappa = (3 * w + c**2 * (w - 1)) / w**2 - 1
        exact = kappa / (mpmath.erfc(c / mpmath.sqrt(2)) * (1 - (1 - a**2) * (w - 1) / 2) ** 2)
        assert relative_error(truncated.population_step_variance(0.99, 1), exact) < 1e-9
    assert truncated.population_step_variance([0.0, 0.0], [10, 20]).tolist() == [0.2, 0.1]


def test_current_mask_against_simulation():
    # the smallest fixed point, reached monotonely from the fit to all points; the control is the previous mask
    a, n = 0.5, 1000
    points = np.abs(np.random.default_rng(7).standard_normal((4000, n)))
    variance, before = (points**2).mean(axis=1), np.zeros(len(points))
    while (variance != before).any():
        before = variance
        kept = points >= a * np.sqrt(variance)[:, None]
        variance = (points**2 * kept).sum(axis=1) / kept.sum(axis=1)
    step = np.log(variance)
    check(mean_of(step), truncated.population_drift(a), truncated.population_drift(0.98 * a))
    right, wrong = (truncated.population_step_variance(a, n, mask=mask) for mask in ("current", "previous"))
    check(variance_of(step), right, wrong)


@pytest.mark.parametrize("bias", [1e-12, 1e-3, 0.5, 0.9, 1 - 1e-6, 1 - 1e-12])
def test_stable_radius_solves_its_equation(bias):
    a = truncated.stable_radius(bias)
    with mpmath.workdps(50):
        lower, upper = (inflation(mpmath.mpf(a) * (1 + shift), 1) for shift in (-1e-14, 1e-14))
        assert lower < 1 / mpmath.mpf(bias) < upper
    assert truncated.stable_radius([1.0, bias]).tolist() == [0.0, a]


def test_stable_radius_does_not_prevent_collapse():
    n = np.array([2, 3, 10, 1000, 10**6, 10**12])
    drift = truncated.stable_radius_drift(n)
    assert (drift < 0).all()
    np.testing.assert_allclose(n[3:] * drift[3:], -1, atol=2e-3)
    np.testing.assert_allclose(drift[3:] / gaussian.log_variance_drift(n[3:]), 0.5, atol=1e-3)
    np.testing.assert_allclose(
        truncated.stable_radius_drift(n, fit_mean=False), gaussian.log_variance_drift(n, fit_mean=False), rtol=1e-13
    )


def test_the_criterion_halves_the_rate_for_many_points_only():
    n = np.array([2, 3, 4, 5, 10, 100, 1000])
    radius = truncated.stable_radius(1 - 1 / n)
    factor = truncated.variance_factor(radius, n)
    assert factor[0] == pytest.approx(1, abs=1e-14)
    assert (factor[1:] < 1).all()
    ratio = truncated.stable_radius_drift(n) / gaussian.log_variance_drift(n)
    assert 100 * (ratio[5] - 0.5) == pytest.approx(11 / 24, abs=3e-2)
    assert 1000 * (ratio[6] - 0.5) == pytest.approx(11 / 24, abs=3e-3)
    kept = truncated.kept_probability(radius, n)
    assert ratio[2] * kept[2] > 1.1  # n = 4: faster, even where the previous model is kept in between
    assert (ratio[3:] < 1).all()


# ------------------------------------------------------------------------------------------------------- one step


@pytest.mark.parametrize("fit_mean", [True, False])
def test_without_truncation_it_is_cross_entropy(fit_mean):
    n = np.array([2, 3, 10, 100, 10**5])
    drift, variance = gaussian.log_variance_drift, gaussian.log_variance_step_variance
    np.testing.assert_allclose(
        truncated.log_variance_drift(0, n, fit_mean=fit_mean), drift(n, fit_mean=fit_mean), rtol=1e-14
    )
    np.testing.assert_allclose(
        truncated.log_variance_step_variance(0, n, fit_mean=fit_mean), variance(n, fit_mean=fit_mean), rtol=1e-13
    )
    # and continuous there, even where all of the drift is of order 1/n
    assert truncated.log_variance_drift(1e-30, 10**12, fit_mean=fit_mean) == pytest.approx(
        drift(10**12, fit_mean=fit_mean), rel=1e-12
    )
    np.testing.assert_allclose(truncated.variance_factor(0, n, fit_mean=fit_mean), 1 - fit_mean / n, rtol=1e-15)


def log_moments(log_of, density, pieces):
    """Mean and variance of a logarithm, by quadrature over a density that need not be normalised."""
    moments = [mpmath.quad(lambda x, p=power: log_of(x) ** p * density(x), pieces) for power in range(3)]
    return moments[1] / moments[0], moments[2] / moments[0] - (moments[1] / moments[0]) ** 2


@pytest.mark.parametrize("a", [0.75, 8.0])
def test_two_points_by_direct_quadrature(a):
    # n = 2 with a fitted mean: V = (y1 − y2)²/4. The difference of two points is x with
    # density ∝ φ(x/√2) times Q(√2(a + x/2)) (same side), or Φ(√2(x/2 − a)) − 1/2 (opposite sides, x ≥ 2a)
    with mpmath.workdps(30):
        radius, root2 = mpmath.mpf(a), mpmath.sqrt(2)
        size = mpmath.exp(radius**2)  # of the integrals, for which the quadrature has an absolute tolerance

        def density(x):
            same = mpmath.ncdf(-root2 * (radius + x / 2))
            opposite = (mpmath.erf(x / 2 - radius) / 2) if x > 2 * radius else mpmath.mpf(0)
            return size * mpmath.npdf(x / root2) * (same + opposite)

        scale = 1 / (1 + radius)
        pieces = {start + steps * scale for start in (mpmath.mpf(0), 2 * radius) for steps in (0, 0.5, 4, 30, 200)}
        pieces = sorted(piece for piece in pieces if piece <= 2 * radius + 40)
        mean, variance = log_moments(lambda x: 2 * mpmath.log(x / 2), density, pieces)
    assert abs(truncated.log_variance_drift(a, 2) - float(mean)) < 1e-12
    assert truncated.log_variance_step_variance(a, 2) == pytest.approx(float(variance), rel=1e-10)


@pytest.mark.parametrize("a", [1e-6, 0.45, 2.0, 8.0])
def test_one_point_by_direct_quadrature(a):
    with mpmath.workdps(30):
        radius = mpmath.mpf(a)
        pieces = [radius, radius + 0.01, radius + 1, radius + 15]
        mean, variance = log_moments(lambda x: 2 * mpmath.log(x), lambda x: mpmath.exp((radius**2 - x * x) / 2), pieces)
    assert abs(truncated.log_variance_drift(a, 1, fit_mean=False) - float(mean)) < 1e-12
    assert truncated.log_variance_step_variance(a, 1, fit_mean=False) == pytest.approx(float(variance), rel=1e-10)


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("a", [0.01, 0.7])
def test_gauss_rule_and_direct_sum_agree(a, fit_mean, monkeypatch):
    n = 300
    drift, variance = (
        function(a, n, fit_mean=fit_mean)
        for function in (truncated.log_variance_drift, truncated.log_variance_step_variance)
    )
    factor = truncated.variance_factor(a, n, fit_mean=fit_mean)
    monkeypatch.setattr(truncated, "_DIRECT_BELOW", 10**9 if n * math.erfc(a / math.sqrt(2)) > 128 else 0)
    assert truncated.log_variance_drift(a, n, fit_mean=fit_mean) == pytest.approx(drift, rel=1e-12)
    assert truncated.log_variance_step_variance(a, n, fit_mean=fit_mean) == pytest.approx(variance, rel=1e-10)
    assert truncated.variance_factor(a, n, fit_mean=fit_mean) == pytest.approx(factor, rel=1e-13)


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("a", [0.05, 1.0, 3.0])
def test_large_samples_by_the_delta_method(a, fit_mean):
    # E log V = log η − (c + κ/2)/k + O(k^−2) given k kept points, and E 1/K = 1/(np) + O(n^−2)
    n = 10**9
    p, eta = math.erfc(a / math.sqrt(2)), truncated.tail_inflation(a)
    kurtosis = (3 * eta + a**2 * (eta - 1)) / eta**2
    predicted = math.log(eta) - (fit_mean + (kurtosis - 1) / 2) / (n * p)
    found = truncated.log_variance_drift(a, n, fit_mean=fit_mean)
    second_order = 10 / (n * p) ** 2  # |τ/3 − 3κ²/4 − 3/2| + 1 + κ/2 is below 10
    assert abs(found - predicted) < second_order + 3e-16 * (1 + abs(predicted))
    # the negative control: the same without the term in 1/n
    assert abs(found - math.log(eta)) > 3 * (second_order + 3e-16)
    variance = truncated.log_variance_step_variance(a, n, fit_mean=fit_mean)
    assert variance == pytest.approx((kurtosis - 1) / (n * p), abs=20 / (n * p) ** 2)


@pytest.mark.parametrize("a", [0.0, 0.3, 2.0, 4.8])
@pytest.mark.parametrize("fit_mean", [True, False])
def test_variance_of_a_step_where_the_expansion_takes_over(a, fit_mean):
    kept = np.array([0.99, 1.01]) * truncated._expansion_from(a, fit_mean)
    _, found = truncated._log_moments(a, kept, fit_mean)
    expansion = truncated._large_sample_variance(a, kept, fit_mean)
    assert found[1] == expansion[1]
    assert found[0] != expansion[0]
    assert found[0] == pytest.approx(expansion[0], rel=1e-9 if a <= 2 else 5e-8 if fit_mean else 5e-9)


@pytest.mark.parametrize(("n", "a"), [(2, 0.5), (10, 1e-3), (10, 1.0), (40, 3.0), (10**6, 5.0)])
def test_probability_and_factor_at_high_precision(n, a):
    with mpmath.workdps(80):
        p = mpmath.erfc(mpmath.mpf(a) / mpmath.sqrt(2))
        none, one = (1 - p) ** n, n * p * (1 - p) ** (n - 1)
        assert relative_error(truncated.kept_probability(a, n), 1 - none - one) < 1e-12
        assert relative_error(truncated.kept_probability(a, n, fit_mean=False), 1 - none) < 1e-12
        if n <= 40:
            masses = {k: mpmath.binomial(n, k) * p**k * (1 - p) ** (n - k) for k in range(2, n + 1)}
            inverse = sum(mass / k for k, mass in masses.items()) / sum(masses.values())
            factor = inflation(a, 1) * (1 - inverse)
            assert relative_error(truncated.variance_factor(a, n), factor) < 1e-13


def test_masked_points():
    assert truncated.expected_masked(truncated.log_critical_radius(10), 10) == pytest.approx(2.426, abs=5e-4)
    assert truncated.expected_masked(truncated.log_critical_radius(10**12), 10**12) == pytest.approx(2, rel=1e-11)
    assert truncated.expected_masked(truncated.mean_critical_radius(10**12), 10**12) == pytest.approx(1, rel=1e-11)


# ----------------------------------------------------------------------------------------------------- critical radii


def test_critical_radii_of_the_ledger():
    np.testing.assert_allclose(
        truncated.mean_critical_radius([10, 100, 1000]), [0.145225526, 0.012663378, 0.001254572], atol=5e-10
    )
    # the ledger has .3089292366 for n = 10, one unit off in its ninth digit
    np.testing.assert_allclose(
        truncated.log_critical_radius([10, 100, 1000]), [0.308929236337, 0.025188678209, 0.002507689946], atol=5e-13
    )


@pytest.mark.parametrize("n", [10**2, 10**5, 10**12])
def test_critical_radii_for_large_samples(n):
    # the next terms are of order n^−3 relative to n^−1; coefficients below 10 in all three
    scale, margin = math.sqrt(math.pi / 2) / n, 10 / n**2 + 1e-12
    assert truncated.mean_critical_radius(n) / scale == pytest.approx(1 + 1 / n, abs=margin)
    assert truncated.log_critical_radius(n) / (2 * scale) == pytest.approx(1 + 5 / (12 * n), abs=margin)
    assert truncated.log_critical_radius(n, fit_mean=False) / scale == pytest.approx(1 - 2 / (3 * n), abs=margin)
    assert truncated.mean_critical_radius(n, fit_mean=False) == 0.0


def test_critical_radii_are_zeros():
    for n in (2, 20, 10**7):
        a = truncated.mean_critical_radius(n)
        assert abs(truncated.variance_factor(a, n) - 1) < 1e-14
        assert truncated.log_variance_drift(a, n) < 0
    for n in (9, 20, 10**7):
        a = truncated.log_critical_radius(n)
        assert truncated.log_variance_drift(a * (1 - 1e-9), n) < 0 < truncated.log_variance_drift(a * (1 + 1e-9), n)
    for n in (1, 2, 50, 10**7):
        a = truncated.log_critical_radius(n, fit_mean=False)
        below, above = (truncated.log_variance_drift(a * (1 + x), n, fit_mean=False) for x in (-1e-9, 1e-9))
        assert below < 0 < above
        assert a < 1  # every kept point is beyond a, so that V ≥ a²


def test_more_points_have_more_drift():
    n = np.array([2, 3, 5, 8, 9, 20, 64, 65, 127, 128, 129, 300, 10**4, 10**7, 10**12])
    for a in (1e-6, 0.3, 4.0):
        factor = truncated.variance_factor(a, n)
        assert (np.diff(factor) > -1e-15).all()
        for fit_mean in (True, False):
            drift = truncated.log_variance_drift(a, n, fit_mean=fit_mean)
            assert (np.diff(drift) > -1e-14).all()
            assert (np.diff(drift[:8]) > 0).all()
    for fit_mean in (True, False):
        assert (np.diff(truncated.log_critical_radius([9, 10, 11, 30, 129, 10**5], fit_mean=fit_mean)) < 0).all()
    assert truncated.log_critical_radius(9) == pytest.approx(0.4014, abs=5e-5)


def laplace_transform(u, a, n):
    """E exp(−uS) given at least two of n kept points, mean fitted: one quadrature over m, on panels."""
    p, k = math.erfc(a / math.sqrt(2)), np.arange(2, n + 1)
    weights = np.array([math.comb(n, i) * p**i * (1 - p) ** (n - i) for i in k])
    weights /= weights.sum()
    v = 1 / (1 + 2 * u)
    root, unit = math.sqrt(v), math.sqrt(2 * u * v)  # M = unit · x, of variance 1/k in x
    ends = np.concatenate([np.arange(0, 8.1, 0.25), (a + root * np.arange(-10, 10.5, 0.5)) / unit])
    ends = np.unique(np.clip(ends, 0, 8))
    nodes, node_weights = np.polynomial.legendre.leggauss(16)
    half = np.diff(ends)[:, None] / 2
    x = ends[:-1, None] + half * (1 + nodes)
    kept = (special.ndtr((unit * x - a) / root) + special.ndtr((-unit * x - a) / root)) / p
    power = root * np.exp(-x * x / 2) * kept
    integrand = sum(w * math.sqrt(i / (2 * math.pi)) / root * power**i for w, i in zip(weights, k, strict=True))
    return 2 * float((half * node_weights * integrand).sum())


@pytest.mark.parametrize(("a", "n"), [(0.3, 10), (1.5, 4)])
def test_drift_by_another_quadrature(a, n):
    # S_0 exponential with mean n, and the trapezoidal rule in log u
    step, p = 0.1, math.erfc(a / math.sqrt(2))
    u = np.exp(np.arange(-40, 70, step))
    integral = sum(1 / (1 + n * each) - laplace_transform(each, a, n) for each in u) * step
    masses = {k: math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(2, n + 1)}
    mean_log_size = sum(mass * math.log(k) for k, mass in masses.items()) / sum(masses.values())
    drift = math.log(n) - np.euler_gamma + integral - mean_log_size
    assert truncated.log_variance_drift(a, n) == pytest.approx(drift, abs=2e-12)


def test_drift_of_few_points():
    assert truncated.mean_critical_radius(2) == pytest.approx(truncated.stable_radius(0.5), rel=1e-14)
    # n = 10: positive between two zeros; n = 8: nowhere on a grid, and falling to a limit for large a
    second = optimize.brentq(lambda a: truncated.log_variance_drift(a, 10), 0.6, 1.0, xtol=1e-7)
    assert second == pytest.approx(0.79146, abs=1e-5)
    grid = np.concatenate([np.linspace(0, 1.5, 31), np.linspace(2, 8, 7)])
    assert truncated.log_variance_drift(grid, 8).max() < -0.07
    assert truncated.log_variance_drift(0.5, 9) > 0.01
    with pytest.raises(DomainError, match=r"^n must be at least 9"):
        truncated.log_critical_radius([100, 8])


def simulated_steps(a, n, replicates, seed, fit_mean):
    """Steps of log σ² with the previous mask, one a replicate that keeps enough points, and who does."""
    points = np.random.default_rng(seed).standard_normal((replicates, n))
    kept = np.abs(points) >= a
    count = kept.sum(axis=1)
    mean = np.where(kept, points, 0).sum(axis=1) / np.maximum(count, 1) if fit_mean else np.zeros(replicates)
    squares = np.where(kept, (points - mean[:, None]) ** 2, 0).sum(axis=1)
    enough = count >= (2 if fit_mean else 1)
    return squares[enough] / count[enough], enough


@pytest.mark.parametrize(("a", "n", "fit_mean", "seed"), [(0.8, 4, True, 1), (0.31, 10, True, 2), (1.5, 5, False, 3)])
def test_step_against_simulation(a, n, fit_mean, seed):
    # The negative control is the law at 1.3 a (the moments), large enough to see at this number of replicates, or with
    # one point fewer (the probability).
    factor, enough = simulated_steps(a, n, 400_000, seed, fit_mean)
    for estimate, function in (
        (mean_of(factor), truncated.variance_factor),
        (mean_of(np.log(factor)), truncated.log_variance_drift),
        (variance_of(np.log(factor)), truncated.log_variance_step_variance),
    ):
        other = function(1.3 * a, n, fit_mean=fit_mean)
        check(estimate, function(a, n, fit_mean=fit_mean), other)
    if n < 10:
        right, wrong = (truncated.kept_probability(a, size, fit_mean=fit_mean) for size in (n, n - 1))
        check(proportion_of(enough), right, wrong)


def test_step_against_the_simulator():
    # the negative control is the law of two points more
    a, n = 0.3, 12
    loss = tce.TruncatedCrossEntropy(truncated.relative_gamma(a), scale="relative", mask="previous")
    (std,) = simulated(tce.Gaussian(), loss, ["std"], n=n, t=1, replicates=60_000, seed=11)
    right, wrong = truncated.log_variance_drift(a, n), truncated.log_variance_drift(a, n + 2)
    check(mean_of(2 * np.log(std)), right, wrong)


# --------------------------------------------------------------------------------------------------- over generations


def test_extension_law():
    assert truncated.extension_law(LOG2) == pytest.approx(1.1552, abs=5e-5)
    assert truncated.extension_law(2.24940) == pytest.approx(2.3, abs=1e-5)
    assert truncated.extension_law(LOG2, fit_mean=False) == pytest.approx(LOG2 / 2 / math.tanh(LOG2 / 2), rel=1e-14)
    b = np.array([1e-300, 1e-9, 0.5, 100.0])
    np.testing.assert_allclose(truncated.extension_law(b), [1.0, 1.0, 0.5 / math.tanh(0.5), 100.0], rtol=1e-15)
    for width in (0.3, 2.0):  # against the exit times: without drift n b²/2, under cross entropy n (b/2) tanh b
        assert truncated.extension_law(width) == pytest.approx(width**2 / 2 / (width / 2 * math.tanh(width)), rel=1e-14)


def test_top_share_drift():
    assert truncated.top_share_drift(0.02, 100) == pytest.approx(0.0, abs=1e-17)
    assert truncated.top_share_drift(0.02, 100, fit_mean=False) == pytest.approx(0.01)
    # dropping a share is masking within its quantile, to leading order
    share, n = 0.004, 10**4
    radius = optimize.brentq(lambda a: math.erf(a / math.sqrt(2)) - share, 0, 1)
    exact = truncated.log_variance_drift(radius, n)
    assert truncated.top_share_drift(share, n) == pytest.approx(exact, abs=share**2 + share / n)


def test_functions_broadcast_and_return_floats_for_numbers():
    a, n = np.array([0.1, 0.5]), np.array([[3], [5], [8]])
    for function in (
        truncated.log_variance_drift,
        truncated.log_variance_step_variance,
        truncated.variance_factor,
        truncated.kept_probability,
        truncated.expected_masked,
        truncated.top_share_drift,
    ):
        table = function(a, n)
        assert table.shape == (3, 2)
        assert table[2, 1] == function(0.5, 8)
        assert type(function(0.5, 8)) is float
    assert truncated.tail_inflation(a, n).shape == (3, 2)
    assert truncated.relative_fixed_point(a, n).shape == (3, 2)
    for value in (
        truncated.tail_inflation(1),
        truncated.relative_fixed_point(0.5),
        truncated.population_drift(0.5),
        truncated.stable_radius(0.5),
        truncated.mean_critical_radius(5),
        truncated.log_critical_radius(2, fit_mean=False),
        truncated.extension_law(1),
    ):
        assert type(value) is float
    assert truncated.log_critical_radius(np.array([[10, 20]])).shape == (1, 2)


def test_corners_of_the_domain_are_finite():
    for fit_mean in (True, False):
        for n in (2, 65, 10**12):
            for a in (1e-300, 1e-9, 8.0):
                drift = truncated.log_variance_drift(a, n, fit_mean=fit_mean)
                factor = truncated.variance_factor(a, n, fit_mean=fit_mean)
                assert truncated.log_variance_step_variance(a, n, fit_mean=fit_mean) > 0
                assert drift <= math.log(factor) + 1e-15  # Jensen's inequality


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: truncated.relative_radius(0.0), "gamma"),
        (lambda: truncated.relative_radius(1.1), "gamma"),
        (lambda: truncated.relative_gamma(-1.0), "a"),
        (lambda: truncated.tail_inflation(math.nan), "a"),
        (lambda: truncated.tail_inflation(1.0, 0), "dimension"),
        (lambda: truncated.tail_inflation(1.0, 10**7), "dimension"),
        (lambda: truncated.relative_fixed_point(1.0), "a"),
        (lambda: truncated.relative_fixed_point([0.5, 2.0], 3), "a"),
        (lambda: truncated.relative_fixed_point(1e300), "a"),
        (lambda: truncated.population_drift(0.5, mask="next"), "mask"),
        (lambda: truncated.population_step_variance(0.995, 10), "a"),
        (lambda: truncated.population_step_variance(0.5, 0), "n"),
        (lambda: truncated.stable_radius(0.0), "bias"),
        (lambda: truncated.stable_radius_drift(1), "n"),
        (lambda: truncated.expected_masked(0.5, 0), "n"),
        (lambda: truncated.kept_probability(9.0, 10), "a"),
        (lambda: truncated.variance_factor(0.5, 1), "n"),
        (lambda: truncated.log_variance_drift(0.5, 10**13), "n"),
        (lambda: truncated.log_variance_drift(0.5, 10, fit_mean=1), "fit_mean"),
        (lambda: truncated.log_variance_step_variance(-0.1, 10), "a"),
        (lambda: truncated.mean_critical_radius(1), "n"),
        (lambda: truncated.log_critical_radius(0, fit_mean=False), "n"),
        (lambda: truncated.extension_law(-1.0), "b"),
        (lambda: truncated.extension_law(1.0, fit_mean="yes"), "fit_mean"),
        (lambda: truncated.top_share_drift(1.0, 10), "share"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
