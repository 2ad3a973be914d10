"""The convex solver of the hinge form against its certificate, other solvers, and the symmetries of the problem.

`certificate` computes the gap anew, in NumPy, from the returned mean, covariance and weights alone: the mean of
max(CE, g) minus the value of the weights at the Gaussian that has their moments, a lower bound of every objective.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from tce_theory.kernels import gaussian as one_dimensional
from tce_theory.kernels.hinge import DIAGONAL, FULL, ISOTROPIC, fit_hinge

LOG_2PI = math.log(2 * math.pi)
STRUCTURES = [FULL, DIAGONAL, ISOTROPIC]


def random_points(rng, n, d):
    """Points of one of many shapes: lattices, outliers, ties, clusters, heavy tails, skewed and shifted clouds."""
    x = rng.standard_normal((n, d))
    match int(rng.integers(8)):
        case 1:
            return np.round(2 * x)
        case 2:
            x[0] *= 100
        case 3:
            return x[rng.integers(0, max(1, n // 3), n)]
        case 4:
            return 0.1 * x + 3 * rng.integers(0, 2, (n, 1)) * rng.standard_normal(d)
        case 5:
            return rng.standard_cauchy((n, d))
        case 6:
            return x @ rng.standard_normal((d, d)) * 10.0 ** rng.uniform(-3, 3, d) + 10 * rng.standard_normal(d)
        case 7:  # collinear
            return x[:, :1] * rng.standard_normal(d) + rng.standard_normal(d)
    return x


def threshold(x, level):
    """Threshold at which log det S of the fit by cross entropy is `level`, in units of the critical scale."""
    d = x.shape[1]
    sign, log_det = np.linalg.slogdet(np.cov(x.T, bias=True).reshape(d, d))
    spread = log_det if sign > 0 and log_det > -40 * d else 0.0
    return math.exp((level - spread - d * LOG_2PI) / 2)


def restricted(matrix, structure):
    d = matrix.shape[0]
    if structure == DIAGONAL:
        return np.diag(np.diag(matrix))
    return np.eye(d) * np.trace(matrix) / d if structure == ISOTROPIC else matrix


def moments(x, weights, structure, fit_mean, mean0):
    mean = weights @ x / weights.sum() if fit_mean else mean0
    deviation = x - mean
    return mean, restricted((deviation.T * weights) @ deviation / weights.sum(), structure)


def cross_entropies(x, mean, cov):
    root = np.linalg.cholesky(cov)
    z = np.linalg.solve(root, (x - mean).T)
    return 0.5 * (z**2).sum(0) + np.log(np.diag(root)).sum() + x.shape[1] * LOG_2PI / 2


def certificate(x, gamma, structure, fit_mean, mean0, mean, cov, weights):
    """Objective of (mean, cov) minus the lower bound that the weights give, in nats a point."""
    floor = -math.log(gamma)
    bound = floor
    if weights.any():
        _, least = moments(x, weights, structure, fit_mean, mean0)
        entropy = 0.5 * (np.linalg.slogdet(least)[1] + x.shape[1] * (1 + LOG_2PI))
        bound += weights.mean() * (entropy - floor)
    return np.maximum(cross_entropies(x, mean, cov), floor).mean() - bound


def problems(seed, count, dimensions=(1, 2, 3, 5, 10)):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        d, n = int(rng.choice(dimensions)), int(rng.choice([1, 2, 3, 5, 10, 30, 100]))
        x = random_points(rng, n, d)
        level = rng.choice([rng.uniform(-d - 1, 0), rng.uniform(-d, 0.5), rng.uniform(-2 * d, 2 * d), -50.0])
        structure, fit_mean = int(rng.integers(3)), bool(rng.integers(2))
        yield x, threshold(x, level), structure, fit_mean, np.zeros(d)


@pytest.mark.parametrize("seed", range(3))
def test_fits_carry_certificates(seed):
    """Gap, weights, stationarity, the floor and the entropy identity, on every fit that is not degenerate."""
    kinds = {"vacuous": 0, "masked": 0, "cross entropy": 0}
    for x, gamma, structure, fit_mean, mean0 in problems(seed, 400):
        n, d = x.shape
        mean, cov, weights, gap, vacuous, steps = fit_hinge(x, gamma, structure, fit_mean, mean0)
        kinds["vacuous" if vacuous else "masked" if steps else "cross entropy"] += 1
        assert 0 <= gap <= 1e-11 * d
        assert steps < 1000
        assert (weights >= 0).all()
        assert (weights <= 1).all()
        np.testing.assert_array_equal(cov, cov.T)
        eigenvalues = np.linalg.eigvalsh(cov)
        if not eigenvalues[0] > 1e-9 * eigenvalues[-1]:
            continue  # a certificate from the covariance would have no digits
        floor = -math.log(gamma)
        excess = cross_entropies(x, mean, cov) - floor
        # log det and distances of the float covariance are off by eps times its condition number
        rounding = 1e-15 * d * eigenvalues[-1] / eigenvalues[0]
        slack = (1e-9 + rounding) * (1 + np.abs(excess).max())
        assert abs(certificate(x, gamma, structure, fit_mean, mean0, mean, cov, weights)) <= slack
        entropy = 0.5 * (np.linalg.slogdet(cov)[1] + d * (1 + LOG_2PI))
        if vacuous:
            assert not weights.any()
            assert excess.max() <= slack
            assert entropy >= floor - slack
            continue
        again, spread = moments(x, weights, structure, fit_mean, mean0)
        np.testing.assert_allclose(mean, again, rtol=1e-9, atol=1e-9 * math.sqrt(eigenvalues[-1]))
        np.testing.assert_allclose(cov, spread, rtol=1e-9, atol=1e-9 * eigenvalues[-1])
        assert (weights[excess > slack] == 1).all()
        assert (weights[excess < -slack] == 0).all()
        assert weights.sum() >= 1 - 1e-9  # a smaller sum could be scaled up
        violation = np.maximum(excess, 0).sum()
        assert entropy == pytest.approx(floor + violation / weights.sum(), abs=slack * n)
        assert entropy >= floor - 1e-9 * (1 + abs(floor)) - rounding
    assert min(kinds.values()) >= 40, kinds


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
def test_one_dimension_is_the_family_of_one_dimension(structure, fit_mean):
    rng = np.random.default_rng(4)
    few = np.empty((4, one_dimensional.FEW + 1))
    vacuous = masked = 0
    for _ in range(500):
        x = random_points(rng, int(rng.choice([1, 2, 3, 5, 8, 30, 200])), 1)
        scale = (float(x.std()) if np.ptp(x) > 0 else 1.0) * math.exp(rng.uniform(-0.1, 1.2))
        centre = float(x.mean())  # far from the origin the other solver loses digits
        mean0 = np.array([centre + 0.1 * scale])
        gamma = 1 / (scale * math.sqrt(2 * math.pi))
        y = (x[:, 0] - (centre if fit_mean else mean0[0])) / scale
        start, variance = (y.mean(), y.var()) if fit_mean else (0.0, float((y**2).mean()))
        if variance >= 1:
            continue
        fit = one_dimensional.fit_absolute(y, start, variance, fit_mean, few)
        mean, cov, weights, _, is_vacuous, _ = fit_hinge(x, gamma, structure, fit_mean, mean0)
        assert is_vacuous == fit[7]
        vacuous, masked = vacuous + is_vacuous, masked + (not is_vacuous)
        # next to the floor, q = 1/e, a relative change of 1e-16 in a squared distance moves q by its square root
        tolerance = 1e-9 if fit[1] > math.exp(-1) + 1e-6 else 1e-7
        assert (mean[0] - (centre if fit_mean else mean0[0])) / scale == pytest.approx(fit[0], abs=tolerance)
        assert cov[0, 0] / scale**2 == pytest.approx(fit[1], abs=tolerance)
        assert weights.sum() == pytest.approx(fit[4] + fit[5], abs=1e-6)
    assert min(vacuous, masked) >= 30


def brute_force(x, gamma, structure, fit_mean, mean0, rng):
    """Smallest objective that BFGS finds on ever sharper softplus forms of the hinge, from several starts."""
    d = x.shape[1]
    rows, columns = np.tril_indices(d) if structure == FULL else (np.arange(d), np.arange(d))
    size = 1 if structure == ISOTROPIC else rows.size

    def unpacked(theta):
        root = np.zeros((d, d))
        root[rows, columns] = theta[0] if structure == ISOTROPIC else theta[:size]
        np.fill_diagonal(root, np.exp(np.diag(root)))
        return root, theta[size:] if fit_mean else mean0

    def objective(theta, width):
        root, mean = unpacked(theta)
        z = root @ (x - mean).T  # the root of the precision
        excess = 0.5 * (z**2).sum(0) - np.log(np.diag(root)).sum() + d * LOG_2PI / 2 + math.log(gamma)
        if width == 0:
            return np.maximum(excess, 0).mean()
        return width * np.logaddexp(0, excess / width).mean()

    best = np.inf
    for _ in range(3):
        theta = 0.3 * rng.standard_normal(size + (d if fit_mean else 0))
        if fit_mean:
            theta[size:] += x.mean(0)
        for width in (1.0, 0.1, 0.01, 1e-3, 1e-4):
            theta = minimize(objective, theta, args=(width,), method="BFGS").x
            best = min(best, objective(theta, 0))
    return best - math.log(gamma)


def test_no_other_solver_does_better():
    rng = np.random.default_rng(5)
    close = 0
    for _ in range(14):
        d, n = int(rng.integers(1, 3)), int(rng.integers(4, 12))
        x = rng.standard_normal((n, d))
        x[0] *= rng.choice([1, 4])
        structure, fit_mean = int(rng.integers(3)), bool(rng.integers(2))
        gamma = threshold(x, rng.uniform(-d - 0.5, 0.0))
        mean, cov, *_ = fit_hinge(x, gamma, structure, fit_mean, np.zeros(d))
        mine = np.maximum(cross_entropies(x, mean, cov), -math.log(gamma)).mean()
        other = brute_force(x, gamma, structure, fit_mean, np.zeros(d), rng)
        assert mine <= other + 1e-12
        close += other <= mine + 1e-3
    assert close >= 12  # the other solver gets there, so that it says something


@pytest.mark.parametrize("structure", STRUCTURES)
def test_vacuous_fits_have_the_largest_entropy(structure):
    """No Gaussian near the fit with all p >= gamma has a larger entropy, and d q log q + M = 0 at the largest m."""
    rng = np.random.default_rng(6)
    for _ in range(40):
        d, n = int(rng.integers(1, 5)), int(rng.integers(6, 60))
        x = rng.standard_normal((n, d))
        gamma = threshold(x, -d - 2 - 6 * rng.random() - 2 * math.log(n))
        mean, cov, weights, gap, vacuous, _ = fit_hinge(x, gamma, structure, True, np.zeros(d))
        if not vacuous:
            continue
        assert not weights.any()
        assert gap <= 1e-12 * d
        floor = -math.log(gamma)
        assert cross_entropies(x, mean, cov).max() == pytest.approx(floor, abs=1e-11)
        size = np.linalg.slogdet(cov)[1]
        shape = cov / math.exp(size / d)
        for _ in range(60):
            bend = 10.0 ** rng.uniform(-5, -1)
            change = np.eye(d) + bend * restricted(rng.standard_normal((d, d)), structure)
            other = change @ shape @ change.T
            other *= math.exp((size + rng.exponential(1e-9) - np.linalg.slogdet(other)[1]) / d)
            moved = mean + bend * np.linalg.cholesky(cov) @ rng.standard_normal(d) * rng.integers(0, 2)
            assert cross_entropies(x, moved, other).max() > floor


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
def test_points_that_do_not_span_the_space(structure, fit_mean):
    """The convention: a minimiser, round across the span, as round as the points allow; one scale for one point."""
    rng = np.random.default_rng(7)
    for _ in range(60):
        d = int(rng.integers(2, 7))
        k = int(rng.integers(0, d))
        basis = np.eye(d)[:, rng.permutation(d)[:k]]
        if structure == FULL:
            basis = np.linalg.qr(rng.standard_normal((d, d)))[0][:, :k]
        spread = 10.0 ** rng.uniform(-2, 1)
        x = spread * rng.standard_normal((int(rng.integers(k + 1, k + 20)), k)) @ basis.T
        mean, cov, weights, gap, vacuous, _ = fit_hinge(x, 0.1, structure, fit_mean, np.zeros(d))
        assert gap <= 1e-11 * d
        if structure == ISOTROPIC and k > 0:  # a ball has a size
            continue
        assert vacuous
        assert not weights.any()
        eigenvalues = np.linalg.eigvalsh(cov)
        if eigenvalues[0] > 1e-9 * eigenvalues[-1]:
            assert cross_entropies(x, mean, cov).max() <= -math.log(0.1) + 1e-6
        if k == 0:
            np.testing.assert_allclose(cov, np.eye(d) * 0.1 ** (-2 / d) / (2 * math.pi), rtol=1e-12)
        else:  # one eigenvalue across the span
            outside = np.eye(d) - basis @ basis.T
            size = np.trace(outside @ cov) / (d - k)
            np.testing.assert_allclose(outside @ cov @ outside, size * outside, atol=1e-9 * eigenvalues[-1])


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
def test_symmetries(structure, fit_mean):
    """Affine maps of the structure (rotations for a ball), with gamma scaled by 1/|det|, carry fits to fits."""
    rng = np.random.default_rng(8)
    for _ in range(60):
        d = int(rng.integers(1, 6))
        x = random_points(rng, int(rng.integers(3, 60)), d)
        if np.linalg.matrix_rank(x - x.mean(0)) < d or np.abs(x).max() > 1e3:
            continue
        gamma = threshold(x, rng.uniform(-2 * d, 0))
        rotation = np.linalg.qr(rng.standard_normal((d, d)))[0]
        matrix = 10.0 ** rng.uniform(-3, 3) * rotation
        if structure == FULL:
            matrix = matrix @ np.diag(10.0 ** rng.uniform(-1, 1, d)) @ rotation
        elif structure == DIAGONAL:
            matrix = np.diag(10.0 ** rng.uniform(-3, 3, d))
        shift = rng.standard_normal(d) * np.abs(matrix).max()
        mean0 = x.mean(0) + 0.1
        mean, cov, weights, _, vacuous, _ = fit_hinge(x, gamma, structure, fit_mean, mean0)
        mapped = np.ascontiguousarray(x @ matrix.T + shift)
        other = fit_hinge(mapped, gamma / abs(np.linalg.det(matrix)), structure, fit_mean, matrix @ mean0 + shift)
        assert other[4] == vacuous
        expected = matrix @ cov @ matrix.T
        scale = np.abs(expected).max()
        np.testing.assert_allclose(other[0], matrix @ mean + shift, atol=1e-6 * math.sqrt(scale))
        np.testing.assert_allclose(other[1], expected, rtol=1e-6, atol=1e-6 * scale)
        assert other[2].sum() == pytest.approx(weights.sum(), abs=1e-5)


def test_certificates_reject_wrong_fits():
    """Negative control: a fit off by one per cent, or a wrong weight, has a gap far above what is tolerated."""
    rng = np.random.default_rng(9)
    tried = 0
    while tried < 100:
        d, n = int(rng.integers(1, 6)), int(rng.integers(10, 60))
        x = rng.standard_normal((n, d))
        structure = int(rng.integers(3))
        gamma = threshold(x, rng.uniform(-d, -0.2 * d))
        mean, cov, weights, _, vacuous, steps = fit_hinge(x, gamma, structure, True, np.zeros(d))
        if vacuous or not steps or weights.min() == 1:
            continue
        tried += 1
        problem = (x, gamma, structure, True, np.zeros(d))
        assert abs(certificate(*problem, mean, cov, weights)) <= 1e-12
        assert certificate(*problem, mean, 1.01 * cov, weights) > 1e-7
        assert certificate(*problem, mean + 0.01 * np.sqrt(np.diag(cov)), cov, weights) > 1e-7
        wrong = weights.copy()
        wrong[np.argmax(weights == 1)] = 0.9
        assert certificate(*problem, mean, cov, wrong) > 1e-7
        wrong = weights.copy()
        wrong[np.argmin(weights)] = 0.1
        assert certificate(*problem, mean, cov, wrong) > 1e-7


@pytest.mark.slow
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("n", "d"), [(10_000, 10), (1000, 50), (2000, 100)])
def test_large_problems(structure, n, d):
    rng = np.random.default_rng(10)
    x = rng.standard_normal((n, d))
    x[: n // 20] *= 3
    for level in (-0.05 * d, -0.6 * d, -4.0 * d):
        gamma = threshold(x, level)
        mean, cov, weights, gap, vacuous, _ = fit_hinge(x, gamma, structure, True, np.zeros(d))
        assert gap <= 1e-12 * d
        assert abs(certificate(x, gamma, structure, True, np.zeros(d), mean, cov, weights)) <= 1e-10 * d
        assert vacuous == (level < -d)
