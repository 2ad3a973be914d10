"""The step of log σ² under the previous-mask relative rule, and its law at one generation (slug scale-no-go)."""

import importlib
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import special, stats

import tce_theory as tce
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.exact import gaussian_first_passage, log_variance_cdf
from tce_theory.exact._kept_squares import Kept, ManyPoints, Pattern, Resolution
from tce_theory.exact._piecewise import Piecewise, lagrange
from tce_theory.exact._step import Step, step_under
from tce_theory.theory.truncated import tail_inflation


@pytest.fixture(scope="module")
def equivalence():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "statistical")
        return importlib.import_module("equivalence")


def previous(radius):
    return tce.TCE(math.exp(-(radius**2) / 2), scale="relative", mask="previous")


def step_of(n, radius, fit_mean=True):
    return step_under(previous(radius), n, fit_mean, 0)


def kept_probability(radius):
    return math.erfc(radius / math.sqrt(2))


# --- the step


@pytest.mark.parametrize("radius", [1e-6, 0.3, 2.5])
def test_two_points_of_two_in_closed_form(radius):
    """Of two kept points with the difference d, either both are on one side, or (d > 2a) on opposite ones."""
    radius = previous(radius).relative_radius  # gamma near 1 rounds it
    step = step_of(2, radius)
    assert step.atom == pytest.approx(1 - kept_probability(radius) ** 2, rel=1e-14)
    x = np.concatenate([np.linspace(-20, 3, 101), 2 * math.log(radius) + np.array([-1e-6, 1e-6, 1e-3])])
    difference = 2 * np.exp(x / 2)
    centre = stats.norm.sf(math.sqrt(2) * (radius + difference / 2))
    between = 1 - 2 * stats.norm.sf(math.sqrt(2) * np.maximum(difference / 2 - radius, 0.0))
    pairs = stats.norm.pdf(difference / math.sqrt(2)) / math.sqrt(2) * (4 * centre + 2 * between)
    np.testing.assert_allclose(step.density(x), pairs * difference / 2, atol=1e-12, rtol=0)


@pytest.mark.parametrize("radius", [1e-4, 0.7])
def test_known_mean_with_two_points_by_quadrature(radius):
    """A sum of two truncated chi-square variables, and one alone; mpmath integrates the convolution."""
    step = step_of(2, radius, fit_mean=False)
    p, low = kept_probability(radius), radius**2
    for x in (2 * math.log(radius) + 0.01, -0.5, 0.4, 1.5):
        v = math.exp(x)
        one = math.exp(-v / 2) / math.sqrt(2 * math.pi * v)
        q = 2 * v
        both = mpmath.quad(lambda s, q=q: mpmath.exp(-q / 2) / (2 * mpmath.pi * mpmath.sqrt(s * (q - s))), [low, q / 2])
        expected = 2 * (1 - p) * one * v + 2 * float(both) * q
        assert float(step.density(np.array(x))) == pytest.approx(expected, abs=1e-12)
    assert float(step.density(np.array(2 * math.log(radius) - 1e-6))) == 0.0


def test_three_points_by_polar_coordinates():
    """R = sqrt(Q) has the chi law, and given R and the direction the three points move with their mean, c ~ N(0, 1/3).

    The density is that law times the mean over directions of the probability that no |c + R e_i| is below a, which is
    that of a union of three intervals.
    """
    radius = 0.5
    step, p = step_of(3, radius), kept_probability(radius)
    angle = 2 * math.pi * (np.arange(30_000) + 0.5) / 30_000
    directions = math.sqrt(2 / 3) * np.cos(angle + 2 * math.pi / 3 * np.arange(3)[:, None])
    for r in (0.2, 0.8, 2.0, 3.5):
        centres = np.sort(-r * directions, axis=0)
        masked, reach = 0.0, np.full(angle.size, -math.inf)
        for centre in centres:
            begin, reach = np.maximum(centre - radius, reach), centre + radius
            masked = masked + special.ndtr(math.sqrt(3) * reach) - special.ndtr(math.sqrt(3) * begin)
        three = (1 - masked.mean()) * r * r / 2 * math.exp(-(r**2) / 2) * 2
        x = 2 * math.log(r) - math.log(3)
        # two of three, from the law of two points
        pair = step_of(2, radius).density(np.array(x)) / p**2 * 3 * p**2 * (1 - p)
        assert float(step.density(np.array(x))) == pytest.approx(three / 2 + float(pair), abs=1e-8)


@pytest.mark.parametrize(
    ("n", "radius", "fit_mean"),
    [(3, 2.0, True), (100, 0.025, True), (150, 0.5, True), (5, 6.0, False), (40, 0.4, False)],
)
def test_mass_and_mean_factor(n, radius, fit_mean):
    """Pr sums to 1, and E σ²_{t+1}/σ_t² given k kept points is η(a), times 1 − 1/k if the mean is fitted."""
    step = step_of(n, radius, fit_mean)
    x, mass = step.law.nodes, step.law.weights * step.law.values
    assert step.atom + mass.sum() == pytest.approx(1, abs=1e-11)
    assert step.error < 1e-10
    k = np.arange(2 if fit_mean else 1, n + 1)
    factors = tail_inflation(radius) * (1 - 1 / k if fit_mean else np.ones(k.size))
    expected = stats.binom.pmf(k, n, kept_probability(radius)) @ factors
    assert (mass * np.exp(x)).sum() == pytest.approx(expected, rel=1e-10)
    assert math.exp(step.log_mgf(np.array([1.0]))[0]) == pytest.approx(expected + step.atom, rel=1e-10)
    assert float(step.below(0.3) + step.above(0.3)) == pytest.approx(1, abs=1e-11)
    assert float(step.above(-1e-9) - step.above(1e-9)) == pytest.approx(step.atom, abs=1e-8)


@pytest.mark.parametrize(("n", "radius"), [(100, 0.025188678), (1000, 0.002507690)])
def test_drift_vanishes_at_the_critical_radius(n, radius):
    """Slug critical-truncation; the radii are its reference values, rounded to 9 decimals."""
    assert abs(step_of(n, radius).mean) < 5e-10 * n
    assert step_of(n, 1.01 * radius).mean > 0.005 * 2 / n


def test_the_two_inversions_agree():
    """Patterns of signs against the vertical line, at a number of points at which both work."""
    k, radius = 30, 0.3
    kept = Kept(radius, True)
    q = np.linspace(2.0, 80.0, 40)
    line = ManyPoints(kept, {k: 1.0}, 200.0, Resolution()).density(k, q)
    few = np.zeros(q.size)
    for m in range(k // 2, k + 1):
        pattern = Pattern(kept, k, m, 200.0, Resolution())
        inside = q > pattern.least
        few[inside] += (2 if 2 * m > k else 1) * pattern.density(q[inside] - pattern.least)
    np.testing.assert_allclose(line, few, atol=1e-14, rtol=0)


@pytest.mark.parametrize("fit_mean", [True, False])
def test_gamma_of_one_is_cross_entropy(fit_mean):
    assert isinstance(step_under(tce.TCE(1.0, scale="relative", mask="previous"), 20, fit_mean, 0), Step)
    plain = Step.of(60, fit_mean, 0)
    x = plain.mean + plain.std * np.linspace(-6, 6, 41)
    # a share of a sqrt(2/pi) of 60 points is left out, which moves the law by as much
    for radius in (1e-3, 1e-6):
        change = np.abs(step_of(60, radius, fit_mean).below(x) - plain.below(x)).max()
        assert 0 < change < 60 * radius


def test_piecewise_polynomials():
    wave = Piecewise.of(lambda x: np.exp(-x) * np.cos(3 * x), np.array([0.0, 1.0, 5.0]), 1e-15)
    x = np.linspace(0.01, 4.99, 57)
    np.testing.assert_allclose(wave(x), np.exp(-x) * np.cos(3 * x), atol=1e-13)
    primitive = (np.exp(-x) * (3 * np.sin(3 * x) - np.cos(3 * x)) + 1) / 10
    np.testing.assert_allclose(wave.integral(x), primitive, atol=1e-14)
    assert wave(np.array([-0.1, 5.1])).tolist() == [0.0, 0.0]
    s = np.array([0.0, 0.7, 40.0, 3000.0])
    exact = [complex(sum((1 - mpmath.exp(-5 * z)) / z for z in (1 - 1j * (t + 3), 1 - 1j * (t - 3))) / 2) for t in s]
    np.testing.assert_allclose(wave.transform(s), exact, atol=1e-14)
    np.testing.assert_allclose(lagrange(np.polynomial.legendre.leggauss(16)[0]), np.eye(16), atol=1e-13)


# --- the law at one generation


@pytest.mark.parametrize(("n", "radius", "fit_mean"), [(2, 0.5, True), (1, 0.5, False), (2, 0.7, False)])
def test_second_generation_is_a_convolution(n, radius, fit_mean):
    step = step_of(n, radius, fit_mean)
    x = np.array([-4.0, -0.7, 0.0, 0.3, 1.6])
    # split where the distribution function of the other step is not smooth
    exact = []
    for point in x:
        edges = np.unique(np.concatenate([step.law.edges, point - step.law.edges, [point]]))
        edges = edges[(edges >= step.law.edges[0]) & (edges <= step.law.edges[-1])]
        fine = Piecewise(edges, np.zeros((edges.size - 1, 16)), 0.0)
        y, weights = fine.nodes, fine.weights
        below = step.law.integral(point - y) + step.atom * (y <= point)
        first = float(step.law.integral(np.array(point))) + step.atom * (point >= 0)
        exact.append((weights * step.density(y) * below).sum() + step.atom * first)
    np.testing.assert_allclose(log_variance_cdf(x, 2, n, fit_mean=fit_mean, loss=previous(radius)), exact, atol=2e-12)


def test_first_generation_is_the_step():
    step = step_of(3, 2.0)
    x = np.array([-50.0, -3.0, -1e-12, 0.0, 1.0, 1.4, 50.0])
    law = log_variance_cdf(x, 1, 3, loss=previous(2.0))
    np.testing.assert_allclose(law, [*step.below(x[:3]), step.below(0.0) + step.atom, *step.below(x[4:])], atol=1e-12)
    assert law[3] - law[2] == pytest.approx(step.atom, abs=1e-10)


@pytest.mark.parametrize(("t", "n", "radius"), [(40, 3, 0.5), (10**4, 100, 0.025)])
def test_moments_are_t_times_those_of_the_step(t, n, radius):
    step = step_of(n, radius)
    mean, std = t * step.mean, math.sqrt(t) * step.std
    x = mean + std * np.linspace(-12, 12, 4001)
    upper = 1 - log_variance_cdf(x, t, n, loss=previous(radius))
    assert (x[0] + np.trapezoid(upper, x) - mean) / std == pytest.approx(0, abs=1e-4)
    assert np.trapezoid(2 * (x - mean) * (upper - (x < mean)), x) / std**2 == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize(
    ("n", "radius", "wrong", "t", "fit_mean", "replicates"),
    [(3, 0.5, 0.6, 5, True, 100_000), (50, 0.05, 0.1, 8, True, 60_000), (2, 0.7, 0.78, 4, False, 90_000)],
)
def test_law_against_the_recursion(equivalence, n, radius, wrong, t, fit_mean, replicates):
    """The library's simulation of points; control: another radius. Mean and variance, and where continuous the law."""
    model = tce.Gaussian(fit_mean=fit_mean)
    (log_std,) = equivalence.simulated(
        model, previous(radius), ["log_std"], n=n, t=t, replicates=replicates, seed=77 + n
    )
    step, other = step_of(n, radius, fit_mean), step_of(n, wrong, fit_mean)
    equivalence.check(equivalence.mean_of(2 * log_std), t * step.mean, t * other.mean)
    equivalence.check(equivalence.variance_of(2 * log_std), t * step.std**2, 1.1 * t * step.std**2)
    grid = np.linspace(2 * log_std.min() - 1, 2 * log_std.max() + 1, 401)
    grid = grid + (0.5 * (grid[1] - grid[0]) - grid[np.argmin(np.abs(grid))])  # the atom in the middle of a cell

    def cells(a):
        law = log_variance_cdf(grid, t, n, fit_mean=fit_mean, loss=previous(a))
        return np.diff(np.concatenate([[0.0], law, [1.0]]))

    counts = np.bincount(np.searchsorted(grid, 2 * log_std, side="left"), minlength=grid.size + 1)
    equivalence.check_masses(counts, cells(radius), cells(wrong))


# --- refusals


@pytest.mark.parametrize(
    ("loss", "ddof", "message"),
    [
        (tce.TCE(0.5), 0, "not a random walk"),
        (tce.TCE(0.5, mask="previous"), 0, "not a random walk"),
        (tce.TCE(0.9, scale="relative"), 0, "mask='current' has no known law"),
        (tce.TCE(0.9, scale="relative", mask="previous", vacuous="warm"), 0, "vacuous='warm'"),
        (tce.TCE(0.9, scale="relative", mask="previous"), 1, "ddof=1 goes with CrossEntropy alone"),
        (tce.FocalLoss(), 0, "no known law"),
        ("cross entropy", 0, "no known law"),
    ],
)
def test_losses_without_a_law_are_refused(loss, ddof, message):
    with pytest.raises(UnsupportedCombinationError, match=message):
        log_variance_cdf(0.0, 3, 10, ddof=ddof, loss=loss)
    with pytest.raises(UnsupportedCombinationError, match=message):
        gaussian_first_passage(10, low=0.5, horizon=3, ddof=ddof, loss=loss)


def test_limits_of_truncation():
    with pytest.raises(DomainError, match=r"^n must be an integer of at least 2 and at most 10000"):
        log_variance_cdf(0.0, 1, 10**4 + 1, loss=previous(0.1))
    with pytest.raises(DomainError, match=r"^gamma must be larger"):
        log_variance_cdf(0.0, 1, 10, loss=previous(9.0))
    with pytest.raises(DomainError, match=r"^tolerance must be at least"):
        gaussian_first_passage(100, low=0.5, high=2.0, horizon=500, tolerance=1e-12, loss=previous(0.025))
