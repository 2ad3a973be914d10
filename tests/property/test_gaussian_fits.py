"""Truncated fits of the Gaussian family against certificates of optimality and against other ways to compute them.

Two certificates need no other solver. Stationarity: the returned weights are admissible (1 where p < gamma, 0 where
p > gamma) and the weighted points have the returned mean and variance; since the cross entropy is convex in natural
parameters this proves a global minimum (slug hinge-form). Duality: the mean of max(CE_i, g) is never below that of
w_i CE_i + (1 − w_i) g, whose minimum over all Gaussians is known in closed form; a gap of zero proves the same without
any use of convexity. The first notices an error to first order, the second needs no argument.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from scipy.special import lambertw

import tce_theory as tce
from tce_theory.kernels import gaussian as kernel
from tce_theory.recursion import block_generator

EPS = np.finfo(np.float64).eps
LOG_2PI = math.log(2 * math.pi)
ROOT_E = math.sqrt(math.e)
reproducible = settings(
    max_examples=400,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)


def critical_std(gamma):
    return 1 / (gamma * math.sqrt(2 * math.pi))


def threshold_at(std):
    """The threshold whose critical scale is `std`."""
    return 1 / (std * math.sqrt(2 * math.pi))


def tce_fit(points, gamma, *, fit_mean=True, mean=0.0, **options):
    # the method, because tce.fit warns of vacuous fits
    return tce.Gaussian(mean, fit_mean=fit_mean).fit(points, tce.TCE(gamma, **options))


def violations(points, gamma, result, fit_mean):
    """How far the conditions of stationarity are off, in units of what rounding explains; at most 1 is a pass.

    Rounding: a sum of n terms may be off by n eps times the sum of their sizes; the parameters are floats, so that the
    deviation (x − mean)/std is off by eps times |x|/std; the search takes squared distances within 1e-15 as equal.
    """
    x = np.asarray(points, dtype=np.longdouble)
    weights = np.asarray(result.weights, dtype=np.longdouble)
    mean, std = np.longdouble(result.model.mean), np.longdouble(result.model.std)
    d = (x - mean) / std
    size = float(np.abs(x / std).max() + abs(mean / std)) if fit_mean else float(np.abs(d).max())
    unit = EPS * (64 + x.size)
    excess = -d * d / 2 - np.log(std) - np.log(np.longdouble(gamma)) - np.longdouble(LOG_2PI) / 2  # log(p/gamma)
    slack = unit * (1 + d * d + np.abs(d) * size + unit * size**2)
    if not np.isfinite(weights).all() or (weights < 0).any() or (weights > 1).any():
        return {"weights": math.inf}
    if result.vacuous:
        return {"weights": 0.0 if not weights.any() else math.inf, "below gamma": float((-excess / slack).max())}
    # a point within 1e-7 of the mean has the peak density up to rounding, whatever its distance
    blurred = np.abs(d[np.abs(d) < 2e-7]).sum()
    found = {
        "below gamma, not of weight 1": float(np.where(weights < 1, -excess / slack, -np.inf).max()),
        "above gamma, not of weight 0": float(np.where(weights > 0, excess / slack, -np.inf).max()),
        "variance": float(
            np.abs((weights * (d * d - 1)).sum()) / (unit * ((d * d + 1).sum() + (weights * np.abs(d)).sum() * size))
        ),
    }
    if fit_mean:
        found["mean"] = float(
            np.abs((weights * d).sum()) / (unit * ((np.abs(d) + 1).sum() + weights.sum() * size) + blurred)
        )
    return found


def is_stationary(points, gamma, result, fit_mean=True):
    return max(violations(points, gamma, result, fit_mean).values()) <= 1


def cross_entropies(points, result):
    d = (np.asarray(points, dtype=np.longdouble) - result.model.mean) / result.model.std
    return d * d / 2 + np.log(np.longdouble(result.model.std)) + np.longdouble(LOG_2PI) / 2


def duality_gap(points, gamma, result, fit_mean=True):
    """Objective minus a lower bound on the objective of every Gaussian, in units of what rounding explains."""
    floor = -np.log(np.longdouble(gamma))
    entropies = cross_entropies(points, result)
    primal = np.maximum(entropies, floor).mean()
    weights = np.asarray(result.weights, dtype=np.longdouble)
    total, n = weights.sum(), weights.size
    dual = floor
    x, mean, std = np.asarray(points, dtype=np.longdouble), result.model.mean, np.longdouble(result.model.std)
    d = (x - mean) / std
    if total > 0:
        centre = (weights * d).sum() / total if fit_mean else 0
        variance = (weights * (d - centre) ** 2).sum() / total
        least = (np.longdouble(LOG_2PI) + 1 + np.log(variance)) / 2 + np.log(std)
        dual = (total * least + (n - total) * floor) / n
    size = float(np.abs(x / std).max() + abs(mean / std)) if fit_mean else 1.0
    # the mean is a float: where it is far from 0 in units of std, its rounding moves every deviation
    moved = 2 * EPS * size
    slack = EPS * (64 + n) * (1 + float(abs(primal)) + float((d * d).mean())) + moved * (
        float(np.abs(d).mean()) + moved
    )
    return float((primal - dual) / slack)


# -- samples ----------------------------------------------------------------------------------------------------------


def random_points(rng, largest=400):
    """Points of one of many shapes: ties, lattices, symmetric and clustered data, outliers, nearly equal values."""
    n = int(rng.choice([1, 2, 3, 4, 5, 8, 13, 30, 100, largest]))
    match int(rng.integers(15)):
        case 0:
            return rng.standard_normal(n)
        case 1:
            return rng.integers(-3, 4, n).astype(float)
        case 2:
            return np.repeat(rng.standard_normal(3), rng.integers(1, largest // 2, 3))
        case 3:
            half = rng.standard_normal(n)
            return np.concatenate([half, -half])
        case 4:
            return np.concatenate([rng.normal(-3, 0.1, n), rng.normal(3, 0.1, max(1, n // 2))])
        case 5:
            points = 0.1 * rng.standard_normal(n)
            points[0] = rng.choice([1e1, 1e2, 1e4])
            return points
        case 6:
            return rng.standard_cauchy(n)
        case 7:
            return rng.random(n) ** 4
        case 8:
            return rng.integers(-30, 31, n) / 8
        case 9:
            return np.full(n, rng.standard_normal())
        case 10:
            return rng.choice([0.0, 1.0], n, p=[0.9, 0.1])
        case 11:  # equal but for the last digits
            points = np.repeat(rng.standard_normal(5), rng.integers(1, 60, 5))
            return points * (1 + EPS * rng.integers(-3, 4, points.size))
        case 12:  # decimals whose sums differ in the last digit
            return rng.integers(-20, 20, n) * 0.1 + rng.integers(0, 3, n) * 0.7
        case 13:
            a = rng.random(n) + 1
            return np.concatenate([a, -a, np.tile([0.5, -0.5], rng.integers(1, 200)), np.zeros(rng.integers(1, 100))])
        case _:  # many points close to either end
            near = 10.0 ** rng.uniform(-17, 0, rng.integers(1, 20))
            ends = np.repeat([-1.0, 1.0], rng.integers(1, 50, 2))
            return np.concatenate([ends, 1 - near, near - 1])


def random_critical_std(rng, points):
    """A critical scale near one of the places where the kind of fit changes."""
    half_range = float(np.ptp(points)) / 2
    base = float(points.std()) if half_range > 0 else 1.0
    choice = int(rng.integers(6)) if half_range > 0 else 0
    match choice:
        case 0:
            return base * math.exp(rng.uniform(0, 2))
        case 1:  # nearly nothing is masked
            return base * (1 + 10.0 ** rng.uniform(-17, 0))
        case 2:  # nearly vacuous, on either side
            return half_range * ROOT_E * (1 + rng.choice([-1, 0, 1]) * 10.0 ** rng.uniform(-17, -1))
        case 3:
            return half_range * ROOT_E * rng.uniform(0.3, 1.05)
        case 4:  # the next point is on the boundary exactly, with weight 0
            d2 = np.sort((points - points.mean()) ** 2)[::-1]
            k = int(rng.integers(1, points.size))
            variance = float(d2[:k].mean())
            return math.sqrt(variance * math.exp(d2[k] / variance))
        case _:
            return base * math.exp(rng.uniform(-0.1, 0.7))


def random_problem(rng, *, place=True, largest=400):
    """Points, threshold and a known mean; `place` puts some at extreme scales or far from the origin."""
    points = random_points(rng, largest)
    std = random_critical_std(rng, points)
    mean = float(rng.choice([0.0, 0.1])) * float(points.std())
    kind = int(rng.integers(4)) if place else 0
    if kind == 1:
        factor = 10.0 ** rng.uniform(-150, 150)
        points, std, mean = points * factor, std * factor, mean * factor
    elif kind == 2:
        offset = float(points.std() or 1.0) * 10.0 ** rng.uniform(0, 15)
        points, mean = points + offset, mean + offset
    return points, threshold_at(std), mean


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("fit_mean", [True, False])
def test_fits_carry_certificates_of_optimality(seed, fit_mean):
    rng = np.random.default_rng([seed, 1])
    vacuous = boundary = 0
    for _ in range(600):
        points, gamma, mean = random_problem(rng)
        result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
        found = violations(points, gamma, result, fit_mean)
        assert max(found.values()) <= 1, (found, gamma, points.tolist())
        assert duality_gap(points, gamma, result, fit_mean) <= 1, (gamma, points.tolist())
        vacuous += result.vacuous
        boundary += result.boundary_index.size > 0
    assert min(vacuous, boundary) >= 60  # the data reach every branch


def test_large_samples_carry_certificates():
    rng = np.random.default_rng(2)
    for _ in range(40):
        points, gamma, mean = random_problem(rng, largest=5000)
        for fit_mean in (True, False):
            result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
            assert is_stationary(points, gamma, result, fit_mean), (gamma, points.tolist())
            assert duality_gap(points, gamma, result, fit_mean) <= 1


values = st.one_of(
    st.integers(-5, 5).map(float),
    st.floats(-10, 10),
    st.sampled_from([0.0, 0.1, 0.2, 0.30000000000000004, 0.3, -0.3, 1.0, 1.0000000000000002]),
)


@reproducible
@given(
    st.lists(values, min_size=1, max_size=30),
    st.integers(1, 40),
    st.floats(-0.5, 2.0),
    st.sampled_from([1e-150, 1e-100, 1.0, 2.0**40, 1e150]),
    st.sampled_from([0.0, 1e6, 1e15]),
    st.booleans(),
)
def test_fits_of_arbitrary_lists_carry_certificates(points, repeats, log_ratio, scale, offset, fit_mean):
    shape = np.repeat(points, repeats)
    std = float(shape.std())
    assume(std == 0 or std > 1e-8)  # scales are varied below; this keeps the offset from swallowing the data
    placed = scale * (shape + offset * (std or 1.0))
    gamma = threshold_at(math.exp(log_ratio) * scale * (float(placed.std() / scale) or 1.0))
    mean = scale * offset * (std or 1.0)
    if fit_mean is False and math.exp(log_ratio) < 1 and not (placed - mean).any():
        return  # identical points at a known mean: no fit without a mask, and a vacuous one otherwise
    result = tce_fit(placed, gamma, fit_mean=fit_mean, mean=mean)
    assert is_stationary(placed, gamma, result, fit_mean), violations(placed, gamma, result, fit_mean)
    assert duality_gap(placed, gamma, result, fit_mean) <= 1


@pytest.mark.parametrize("gamma", [1e-100, 1e-30, 1e-3, 1.0, 1.5, 1e3, 1e30, 1e100])
def test_thresholds_of_any_size(gamma):
    rng = np.random.default_rng(3)
    std = critical_std(gamma)
    for _ in range(50):
        points = std * rng.uniform(0.2, 1.2) * rng.standard_normal(int(rng.integers(1, 60)))
        for fit_mean in (True, False):
            assert is_stationary(points, gamma, tce_fit(points, gamma, fit_mean=fit_mean), fit_mean)


def test_certificates_reject_wrong_fits():
    """Negative control: one per cent off in one parameter, or a weight dropped, and the certificate fails."""
    rng = np.random.default_rng(4)
    rejected = tried = 0
    while tried < 300:
        points, gamma, _ = random_problem(rng, place=False)
        right = tce_fit(points, gamma)
        if right.vacuous or right.masked_weight == 0:
            continue
        tried += 1
        model, std = right.model, right.model.std
        wider, shifted = replace(model, std=1.01 * std), replace(model, mean=model.mean + 0.01 * std)
        for wrong_model in (wider, shifted):
            wrong = replace(right, model=wrong_model)
            assert not is_stationary(points, gamma, wrong)
            assert duality_gap(points, gamma, wrong) > 1
        if right.boundary_index.size and 1e-3 < right.boundary_weight[0] < 1 - 1e-3:
            for value in (0.0, 1.0):
                weights = right.weights.copy()
                weights[right.boundary_index[0]] = value
                assert not is_stationary(points, gamma, replace(right, weights=weights))
                rejected += 1
    assert rejected >= 100
    vacuous = tce_fit([0.0, 0.1], 1.0)
    assert vacuous.vacuous
    assert is_stationary([0.0, 0.1], 1.0, vacuous)
    for factor in (0.99, 1.01):  # narrower is a minimiser too, but not that of largest entropy
        wrong = replace(vacuous, model=replace(vacuous.model, std=factor * vacuous.model.std))
        assert is_stationary([0.0, 0.1], 1.0, wrong) is (factor < 1)


def test_vacuous_fits_have_the_largest_entropy():
    rng = np.random.default_rng(5)
    tried = 0
    while tried < 300:
        points, gamma, mean = random_problem(rng, place=False)
        for fit_mean in (True, False):
            result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
            if not result.vacuous:
                continue
            tried += 1
            std = critical_std(gamma)
            centre = (points.max() + points.min()) / 2 if fit_mean else mean
            reach = float(np.abs(points - centre).max())
            assert reach <= std / ROOT_E * (1 + 1e-12)
            assert result.model.mean == pytest.approx(centre, abs=1e-14 * (1 + abs(centre)))
            # the largest std at which the farthest point has density gamma: from any mean, no larger one will do
            wider = 1.001 * result.model.std
            means = centre + std * np.linspace(-1, 1, 201) if fit_mean else np.array([centre])
            farthest = np.maximum(points.max() - means, means - points.min())
            assert ((-0.5 * (farthest / wider) ** 2 - math.log(wider * gamma) - LOG_2PI / 2) < 0).all()
            assert result.objective == pytest.approx(-math.log(gamma), rel=1e-13, abs=1e-13)
            assert result.masked_weight == points.size


# -- brute force ------------------------------------------------------------------------------------------------------


def hinge(points, gamma, mean, log_std):
    """The objective on a grid: the mean of max(CE, −log gamma)."""
    d = (points - mean[..., None]) * np.exp(-log_std)[..., None]
    return np.maximum(d * d / 2 + log_std[..., None] + LOG_2PI / 2, -math.log(gamma)).mean(axis=-1)


def minimum_on_grids(points, gamma, mean=None):
    """Least objective on a grid that is zoomed in around its best node."""
    low, high = points.min(), points.max()
    centre = np.array([(low + high) / 2 if mean is None else mean, math.log(critical_std(gamma))])
    half = np.array([(high - low) / 2 if mean is None else 0.0, 6.0])
    best = math.inf
    for _ in range(45):
        means = centre[0] + half[0] * np.linspace(-1, 1, 17 if mean is None else 1)
        logs = centre[1] + half[1] * np.linspace(-1, 1, 17)
        grid = hinge(points, gamma, *np.meshgrid(means, logs, indexing="ij"))
        i, j = np.unravel_index(np.argmin(grid), grid.shape)
        if mean is None:
            centre[0] = means[i]
        centre[1] = logs[j]
        best = min(best, grid[i, j])
        half *= 0.55  # 4.4 nodes to either side stay inside
    return best


def test_no_node_of_a_fine_grid_is_better():
    rng = np.random.default_rng(6)
    close = 0
    for _ in range(150):
        points, gamma, mean = random_problem(rng, place=False, largest=60)
        points = points[:100]
        for fit_mean in (True, False):
            result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
            found = minimum_on_grids(points, gamma, None if fit_mean else mean)
            scale = 1 + abs(result.objective) + ((points - result.model.mean) / result.model.std).var()
            assert found >= result.objective - 1e-13 * scale
            close += found <= result.objective + 1e-5 * scale
    assert close >= 280  # of 300: the search is not blind


def minimum_by_slsqp(points, gamma, start):
    """Least objective by a general solver, on the epigraph form in natural parameters: a smooth convex problem."""
    floor = -math.log(gamma)

    def cross_entropy(v):  # p proportional to exp(v0 x − v1 x²)
        return v[1] * points**2 - v[0] * points + v[0] ** 2 / (4 * v[1]) - 0.5 * np.log(v[1]) + 0.5 * math.log(math.pi)

    def jacobian(v):
        first = v[0] / (2 * v[1]) - points
        second = points**2 - v[0] ** 2 / (4 * v[1] ** 2) - 0.5 / v[1]
        return np.column_stack([-first, -second, np.eye(points.size)])

    n = points.size
    at = np.array([start.mean / start.std**2, 0.5 / start.std**2])
    found = minimize(
        lambda v: v[2:].mean(),
        np.concatenate([at, np.maximum(cross_entropy(at), floor) + 0.1]),
        jac=lambda v: np.concatenate([[0.0, 0.0], np.full(n, 1 / n)]),
        method="SLSQP",
        bounds=[(None, None), (1e-8, None)] + [(floor, None)] * n,
        constraints={"type": "ineq", "fun": lambda v: v[2:] - cross_entropy(v), "jac": jacobian},
        options={"ftol": 1e-13, "maxiter": 300},
    )
    return float(np.maximum(cross_entropy(found.x), floor).mean())


def test_a_general_convex_solver_agrees():
    rng = np.random.default_rng(7)
    close = 0
    for _ in range(60):
        points = rng.choice([rng.standard_normal(8), rng.integers(-2, 3, 8).astype(float), rng.random(8) ** 3])
        gamma = threshold_at((float(points.std()) or 1.0) * math.exp(rng.uniform(0.02, 0.5)))
        result = tce_fit(points, gamma)
        found = minimum_by_slsqp(points, gamma, tce.Gaussian(float(points.mean()), float(points.std()) + 0.1))
        assert found >= result.objective - 1e-12
        close += found <= result.objective + 1e-6
    assert close >= 54


# -- the ledger's algorithm, written plainly --------------------------------------------------------------------------


def ledger_scale(points, mean, gamma):
    """Scale around a known mean, and the sum of w (x − mean), by the algorithm of the ledger (slug density-wall)."""
    critical = critical_std(gamma)
    deviations = np.array(sorted(points - mean, key=lambda d: -abs(d)))
    z, n = np.abs(deviations), len(points)
    if (z**2).mean() >= critical**2:
        return math.sqrt((z**2).mean()), deviations.sum()

    def upper(v):
        return critical * math.exp(lambertw(max(-((v / critical) ** 2), -1 / math.e)).real / 2)

    k = int((z >= critical / ROOT_E).sum())
    total = float((z[:k] ** 2).sum())
    if k == 0:
        return upper(z[0]), deviations[0]
    while True:
        if k == n:
            return math.sqrt(total / n), deviations.sum()
        s2 = upper(z[k]) ** 2
        if total / k < s2:
            return math.sqrt(total / k), deviations[:k].sum()
        if total + z[k] ** 2 <= (k + 1) * s2:
            weight = (total - k * s2) / (s2 - z[k] ** 2)
            return math.sqrt(s2), deviations[:k].sum() + weight * deviations[k]
        total += z[k] ** 2
        k += 1


def ledger_fit(points, gamma):
    """Mean and scale by bisection on the sign of the sum of w (x − mean)."""
    low, high = points.min(), points.max()
    for _ in range(80):
        mean = (low + high) / 2
        if ledger_scale(points, mean, gamma)[1] > 0:
            low = mean
        else:
            high = mean
    return mean, ledger_scale(points, mean, gamma)[0]


def generic_problem(rng):
    points = random_points(rng, 60)[:60]
    return points, threshold_at((float(points.std()) or 1.0) * math.exp(rng.uniform(-0.1, 0.8)))


def test_ledger_algorithm_with_known_mean():
    rng = np.random.default_rng(8)
    for _ in range(1000):
        points, gamma = generic_problem(rng)
        mean = float(rng.normal(0, 0.3)) * float(points.std())
        result = tce_fit(points, gamma, fit_mean=False, mean=mean)
        assert result.model.std == pytest.approx(ledger_scale(points, mean, gamma)[0], rel=1e-10)
        assert result.model.mean == mean


def test_ledger_algorithm_with_fitted_mean():
    rng = np.random.default_rng(9)
    for _ in range(120):
        points, gamma = generic_problem(rng)
        result = tce_fit(points, gamma)
        mean, std = ledger_fit(points, gamma)
        size = std + np.abs(points).max()
        assert result.model.std == pytest.approx(std, rel=1e-10, abs=1e-10 * size), (gamma, points.tolist())
        assert result.model.mean == pytest.approx(mean, abs=1e-10 * size), (gamma, points.tolist())


def test_ledger_comparison_would_see_a_hundredth():
    points, gamma = np.array([-1.3, -0.2, 0.1, 0.4, 0.9]), threshold_at(0.9)
    assert tce_fit(points, gamma).model.std == pytest.approx(ledger_fit(points, gamma)[1], rel=1e-10)
    assert tce_fit(points, 1.01 * gamma).model.std != pytest.approx(ledger_fit(points, gamma)[1], rel=1e-3)


# -- cases with known answers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("n", [1, 2, 500])
@pytest.mark.parametrize("gamma", [1e-100, 0.3, 7.0])
def test_identical_points_give_the_critical_scale(n, gamma, fit_mean):
    result = tce_fit(np.full(n, 0.1), gamma, fit_mean=fit_mean, mean=0.1)
    assert result.model.mean == 0.1
    assert result.model.std == pytest.approx(critical_std(gamma), rel=4 * EPS)
    assert result.vacuous
    assert result.masked_weight == n


@pytest.mark.parametrize("scale", [1e-150, 0.1, 1.0, 1e150])
def test_half_range_of_exactly_the_floor(scale):
    """The set of minimisers is one point, where the variance has a square-root singularity: half the digits."""
    gamma = threshold_at(scale * ROOT_E)
    for points in ([-scale, scale], [-scale, 0.3 * scale, scale], [-scale] * 9 + [scale] * 2):
        result = tce_fit(points, gamma)
        assert result.model.std == pytest.approx(scale, rel=1e-7)
        assert result.model.mean == pytest.approx(0, abs=1e-7 * scale)
        assert result.objective == pytest.approx(-math.log(gamma), rel=1e-14, abs=1e-14)
        assert is_stationary(np.array(points), gamma, result)
    inside, outside = (tce_fit([-scale, scale], gamma * factor) for factor in (1 - 1e-9, 1 + 1e-9))
    assert inside.vacuous
    assert not outside.vacuous


@pytest.mark.parametrize("fit_mean", [True, False])
def test_cross_entropy_scale_of_exactly_the_critical_scale(fit_mean):
    points = np.array([-1.0, 1.0, -1.0, 1.0])
    gamma = threshold_at(1.0)
    result = tce_fit(points, gamma, fit_mean=fit_mean)
    assert (result.model.mean, result.model.std) == (0.0, pytest.approx(1.0, rel=4 * EPS))
    assert result.masked_weight == 0
    # with a point at the centre, whose density is the peak and equals gamma, its weight makes up the difference
    middle = tce_fit([-1.0, 0.0, 0.0, 0.0, 1.0], threshold_at(0.8), fit_mean=fit_mean)
    assert middle.model.std == pytest.approx(0.8, rel=1e-15)
    assert middle.boundary_index.tolist() == [1, 2, 3]
    np.testing.assert_allclose(middle.boundary_weight, (2 / 0.64 - 2) / 3, rtol=1e-13)
    assert middle.masked_weight == pytest.approx(5 - 2 / 0.64, rel=1e-13)


def test_a_boundary_point_of_weight_nought_and_one():
    """The masked interval ends exactly at a point whose weight stationarity fixes to an end of [0, 1]."""
    for kept, radius2 in ((2, 0.5), (4, 0.5)):
        points = np.array([-1.0, 1.0, -math.sqrt(radius2), math.sqrt(radius2), 0.0])
        variance = (points[:kept] ** 2).mean()
        gamma = threshold_at(math.sqrt(variance * math.exp(radius2 / variance)))
        result = tce_fit(points, gamma)
        assert result.model.std**2 == pytest.approx(variance, rel=1e-13)
        assert is_stationary(points, gamma, result)
        assert result.weights.sum() == pytest.approx(kept, abs=1e-12)


def test_two_ends_with_heavy_ties():
    """No centre but the optimum has both ends of the masked interval at the boundary: the search sees one at a time."""
    points = np.repeat([-0.41702368, 0.35451533, 3.25737601], [156, 110, 8])
    result = tce_fit(points, threshold_at(1.0))
    assert is_stationary(points, threshold_at(1.0), result)
    assert result.boundary_index.size == 266
    left, right = result.weights[0], result.weights[200]
    assert (156 * left, 110 * right) == (pytest.approx(92.0841, abs=1e-3), pytest.approx(23.8853, abs=1e-3))


def test_symmetric_ties_stay_within_the_scratch_space():
    """Hundreds of ties on alternating sides: they once filled memory beyond the scratch array."""
    points = np.concatenate([np.tile([-0.6, 0.6], 400), [2.0, -2.0]])
    for fit_mean in (True, False):
        result = tce_fit(points, threshold_at(1.2), fit_mean=fit_mean)
        assert is_stationary(points, threshold_at(1.2), result, fit_mean)
        np.testing.assert_array_equal(result.boundary_index, np.arange(800))
        np.testing.assert_allclose(result.boundary_weight, result.boundary_weight[0], rtol=1e-12)


@pytest.mark.parametrize("fit_mean", [True, False])
def test_ledger_counterexample_all_masked(fit_mean):
    """gamma = .85, data ±0.1: the CE fit is stationary, all masked, of entropy below −log gamma; it is not the fit."""
    points, gamma = np.array([-0.1, 0.1]), 0.85
    narrow = tce.Gaussian(0.0, 0.1, fit_mean=fit_mean)
    assert (np.exp(narrow.log_density(points)) > gamma).all()
    assert narrow.entropy() < -math.log(gamma)
    result = tce_fit(points, gamma, fit_mean=fit_mean)
    assert result.vacuous
    assert result.masked_weight == 2
    variance = critical_std(gamma) ** 2 * math.exp(lambertw(-0.01 / critical_std(gamma) ** 2).real)
    assert result.model.std == pytest.approx(math.sqrt(variance), rel=1e-14)
    assert np.exp(result.model.log_density(points)) == pytest.approx([gamma, gamma], rel=1e-13)
    assert result.model.entropy() > -math.log(gamma)


# -- theorems ---------------------------------------------------------------------------------------------------------


def test_scale_lies_between_its_bounds():
    """σ_CE ≤ σ_TCE ≤ max(σ_CE, σ_c), and σ ≥ σ_f unless vacuous (slug density-floor)."""
    rng = np.random.default_rng(10)
    for _ in range(1500):
        points, gamma, mean = random_problem(rng)
        critical = critical_std(gamma)
        for fit_mean in (True, False):
            result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
            # scaled, because squares of 1e-170 underflow
            unit = float(np.abs(points - mean).max()) or 1.0
            d = (points - points[0]) / unit if fit_mean else (points - mean) / unit
            plain = unit * (float(d.std()) if fit_mean else math.sqrt((d * d).mean()))
            slack = 1 + 1e-12
            assert plain <= result.model.std * slack
            assert result.model.std <= max(plain, critical) * slack
            if not result.vacuous:
                assert result.model.std * slack >= critical / ROOT_E
                assert result.model.entropy() >= -math.log(gamma) - 1e-12


def test_entropy_identity():
    """H = Σ w CE/Σ w = g + V/N with V = Σ (CE − g)_+ and N = Σ w (slug entropy-identity)."""
    rng = np.random.default_rng(11)
    tested = 0
    for _ in range(1500):
        points, gamma, mean = random_problem(rng, place=False)
        floor = -math.log(gamma)
        for fit_mean in (True, False):
            result = tce_fit(points, gamma, fit_mean=fit_mean, mean=mean)
            if result.vacuous:
                continue
            tested += 1
            entropies = cross_entropies(points, result)
            total = result.weights.sum()
            # a sum of terms of the size of CE, divided by a total that may be small
            slack = 1e-14 * points.size * (1 + float(np.abs(entropies).max())) / total
            assert abs(float((result.weights * entropies).sum()) / total - result.model.entropy()) <= slack
            identity = floor + float(np.maximum(entropies - floor, 0).sum()) / total
            assert identity == pytest.approx(result.model.entropy(), abs=slack)
            if result.masked_weight > 0.01 * points.size:
                wrong = tce.Gaussian(result.model.mean, 1.02 * result.model.std).entropy()
                assert abs(identity - wrong) > slack  # the control: two per cent in the scale
    assert tested >= 1500


def test_entropy_is_nondecreasing_in_the_floor():
    rng = np.random.default_rng(12)
    for _ in range(60):
        points = random_points(rng)
        base = float(points.std()) or 1.0
        thresholds = threshold_at(base) * np.exp(np.linspace(1, -2.5, 60))
        if points.std() == 0:
            thresholds = thresholds[thresholds <= threshold_at(base)]
        for fit_mean in (True, False):
            fits = [
                tce_fit(points, gamma, fit_mean=fit_mean, mean=float(points.mean())) for gamma in thresholds.tolist()
            ]
            stds = np.array([result.model.std for result in fits])
            assert (stds[1:] >= stds[:-1] * (1 - 1e-12)).all()


def test_fits_are_equivariant():
    """fit(c x + d, γ/c) = c fit(x, γ) + d."""
    rng = np.random.default_rng(13)
    for _ in range(500):
        points, gamma = generic_problem(rng)
        factor, offset = 10.0 ** rng.uniform(-100, 100), float(rng.choice([0.0, 1.0, -1e3]))
        plain, moved = tce_fit(points, gamma), tce_fit(factor * (points + offset), gamma / factor)
        tolerance = 1e-11 * (1 + abs(offset)) * (1 + float(np.abs(points).max()) / plain.model.std)
        assert moved.model.std / factor == pytest.approx(plain.model.std, rel=tolerance)
        assert abs(moved.model.mean / factor - offset - plain.model.mean) <= tolerance * plain.model.std
        assert moved.vacuous == plain.vacuous
    points = rng.standard_normal(50)
    shrunk = tce_fit(2.0**-300 * points, 2.0**300 * 0.5)  # exact in floats, so equal to the last digit
    assert shrunk.model.std == 2.0**-300 * tce_fit(points, 0.5).model.std


def test_far_from_the_origin_the_scale_keeps_its_digits():
    """The mean as a float is off by more than the deviations from it; their scale is not."""
    points = np.array([1e15, 1e15 + 0.125])
    assert tce.Gaussian().fit(points, tce.CrossEntropy()).model.std == 0.0625
    assert tce_fit(points, threshold_at(0.08)).model.std <= 0.08 * (1 + 1e-15)
    assert tce.Gaussian().fit(1e9 + np.arange(5.0), tce.CrossEntropy()).model.std == math.sqrt(2)


# -- relative scale ---------------------------------------------------------------------------------------------------


def smallest_fixed_point(deviations, radius):
    """Smallest s² that is the mean of d² over the points with d² ≥ a² s², among all sets of k farthest points."""
    d2 = np.sort(np.asarray(deviations, dtype=np.longdouble) ** 2)[::-1]
    means = np.cumsum(d2) / np.arange(1, d2.size + 1)
    inside = radius**2 * means * (1 - 1e-12)  # at radius 1 all points can be at the radius
    consistent = (d2 >= inside) & (np.append(d2[1:], -1) < inside)
    return float(means[consistent].min()) if consistent.any() else None


def relative_gamma(radius):
    return math.exp(-(radius**2) / 2)


@pytest.mark.parametrize("fit_mean", [True, False])
def test_relative_fit_is_the_smallest_fixed_point(fit_mean):
    rng = np.random.default_rng(14)
    several = 0
    for _ in range(2500):
        points = random_points(rng)
        if points.size < 2 or np.ptp(points) == 0:
            continue
        gamma = relative_gamma(float(rng.choice([0.01, 0.1, 0.3, 0.5, 0.7, 0.9, 0.99, 1.0])))
        loss = tce.TCE(gamma, scale="relative")
        mean = 0.1
        result = tce.Gaussian(mean, fit_mean=fit_mean).fit(points, loss)
        centre = float(points.mean()) if fit_mean else mean
        d = points - centre
        expected = smallest_fixed_point(d, loss.relative_radius)
        assert expected is not None
        assert result.model.std**2 == pytest.approx(expected, rel=1e-11), (gamma, points.tolist())
        assert result.model.mean == pytest.approx(centre, abs=1e-14 * (1 + np.abs(points).max()))
        kept = result.weights == 1
        assert result.masked_weight == points.size - kept.sum()
        assert result.model.std**2 == pytest.approx(float((d[kept] ** 2).mean()), rel=1e-11)
        assert (np.abs(d[~kept]) < loss.relative_radius * result.model.std).all()
        assert not result.vacuous
        entropies = cross_entropies(points, result)
        assert result.objective == pytest.approx(float((result.weights * entropies).mean()), rel=1e-11, abs=1e-11)
        several += count_fixed_points(d, loss.relative_radius) > 1
    assert several >= 50  # the smallest of several is a matter of choice on these data


def count_fixed_points(deviations, radius):
    d2 = np.sort(np.asarray(deviations) ** 2)[::-1]
    means = np.cumsum(d2) / np.arange(1, d2.size + 1)
    return int(((d2 >= radius**2 * means) & (np.append(d2[1:], -1) < radius**2 * means)).sum())


def test_relative_radius_of_exactly_one():
    """Two points around their mean are both at the radius: unmasked, like every point on the boundary."""
    loss = tce.TCE(math.exp(-0.5), scale="relative")
    for points in ([-1.0, 1.0], [0.1, 0.7], [3.1, 1.7, 1.7, 3.1], np.tile([0.1, 0.3], 25000)):
        result = tce.Gaussian().fit(points, loss)
        assert result.model.std == pytest.approx(np.std(points), rel=1e-13)
        assert result.masked_weight == 0


@pytest.mark.parametrize("mask", ["current", "previous"])
def test_relative_fits_are_equivariant_in_scale(mask):
    rng = np.random.default_rng(15)
    loss = tce.TCE(0.8, scale="relative", mask=mask)
    for _ in range(200):
        points, factor = rng.standard_normal(int(rng.integers(3, 40))), 10.0 ** rng.uniform(-150, 150)
        plain = tce.Gaussian(0.1, 1.2).fit(points, loss)
        scaled = tce.Gaussian(0.1 * factor, 1.2 * factor).fit(factor * points, loss)
        assert scaled.model.std == pytest.approx(factor * plain.model.std, rel=1e-12)
        assert scaled.masked_weight == plain.masked_weight


@pytest.mark.parametrize("radius", [1.0001, 1.5, 3.0])
def test_relative_fit_beyond_radius_one_is_refused(radius):
    with pytest.raises(tce.DomainError, match=r"gamma must be at least e\^\(-1/2\)"):
        tce.fit(tce.Gaussian(), [0.0, 1.0, 3.0], tce.TCE(relative_gamma(radius), scale="relative"))


def test_beyond_radius_one_some_samples_have_no_fixed_point():
    """Why it is refused: at radius 1.2 a sample of two points has none."""
    assert smallest_fixed_point([-1.0, 1.0], 1.2) is None
    assert smallest_fixed_point([-1.0, 1.0], 1.0) == 1.0


# -- mask of the previous model ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize("fit_mean", [True, False])
def test_previous_mask_is_cross_entropy_on_what_it_keeps(scale, fit_mean):
    rng = np.random.default_rng(16)
    kept_previous = fitted = 0
    for _ in range(1500):
        points = rng.choice([rng.standard_normal(30), np.round(rng.standard_normal(30), 1), rng.standard_cauchy(30)])
        points = points[: int(rng.choice([2, 3, 5, 30]))]
        previous = tce.Gaussian(float(rng.normal(0, 0.5)), math.exp(rng.normal(-0.5, 0.7)), fit_mean=fit_mean)
        loss = tce.TCE(math.exp(rng.normal(-0.5, 0.7) * (1 if scale == "absolute" else 0) - 0.3), scale=scale,
                       mask="previous")  # fmt: skip
        density = np.exp(-0.5 * ((points - previous.mean) / previous.std) ** 2)
        if scale == "absolute":
            density /= previous.std * math.sqrt(2 * math.pi)
        if np.abs(density / loss.gamma - 1).min() <= 1e-12:
            continue  # on the boundary up to rounding: either answer is right
        keep = density <= loss.gamma
        if fit_mean and keep.sum() >= 2 and np.ptp(points[keep]) == 0:
            with pytest.raises(tce.DegenerateFitError, match="unmasked are identical"):
                previous.fit(points, loss)
            continue
        result = previous.fit(points, loss)
        if keep.sum() < (2 if fit_mean else 1):
            kept_previous += 1
            assert result.model == previous
            assert result.vacuous
            np.testing.assert_array_equal(result.weights, keep)
            assert result.masked_weight == (~keep).sum()
            continue
        fitted += 1
        mean = points[keep].mean() if fit_mean else previous.mean
        std = math.sqrt(((points[keep] - mean) ** 2).mean())
        assert result.model.mean == pytest.approx(mean, abs=1e-13 * (1 + np.abs(points).max()))
        assert result.model.std == pytest.approx(std, rel=1e-12)
        assert not result.vacuous
        np.testing.assert_array_equal(result.weights, keep)
        assert result.masked_weight == (~keep).sum()
        expected = (keep * -result.model.log_density(points)).mean()
        assert result.objective == pytest.approx(expected, rel=1e-14)
    assert min(kept_previous, fitted) >= 30


def test_one_kept_point_with_a_fitted_mean_keeps_the_previous_model():
    previous = tce.Gaussian(0.0, 0.1)
    loss = tce.TCE(0.85, mask="previous")
    with pytest.warns(tce.StatisticalWarning, match="chosen by convention"):
        result = tce.fit(previous, [0.0, 0.01, 5.0], loss)
    assert result.model == previous
    assert result.vacuous
    assert result.masked_weight == 2
    known = tce.Gaussian(0.0, 0.1, fit_mean=False).fit([0.0, 0.01, 5.0], loss)
    assert known.model.std == 5.0
    assert known.masked_weight == 2


# -- the recursion takes the same fits --------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [1.0, 1e3, 1e6, 1e9])
def test_the_search_ends_far_from_the_origin(offset):
    """In a recursion with fresh data the points of a generation need not lie around the origin."""
    rng = np.random.default_rng(18)
    few = np.empty((4, kernel.FEW + 1))
    for _ in range(300):
        points = np.round(rng.standard_normal(int(rng.integers(2, 60))), int(rng.integers(1, 9)))
        points *= rng.uniform(0.3, 0.95) / (points.std() or 1.0)
        centred = kernel.fit_absolute(points, points.mean(), points.var(), True, few)
        moved = points + offset
        found = kernel.fit_absolute(moved, moved.mean(), moved.var(), True, few)
        if centred[7] == found[7] and centred[1] > 0.37:  # away from the floor, where the variance is sensitive
            assert found[1] == pytest.approx(centred[1], abs=1e-12 + 1e-13 * offset)
            assert found[4] + found[5] == pytest.approx(centred[4] + centred[5], abs=1e-9 + 1e-9 * offset)


LOSSES = [
    tce.CrossEntropy(),
    tce.TCE(0.4),
    tce.TCE(0.9, scale="relative"),
    tce.TCE(0.4, mask="previous"),
    tce.TCE(0.9, scale="relative", mask="previous"),
]


@pytest.mark.filterwarnings("ignore::tce_theory.StatisticalWarning")
@pytest.mark.parametrize("n", [5, 40])
@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_generations_of_the_recursion_are_fits(loss, fit_mean, n):
    model = tce.Gaussian(fit_mean=fit_mean)
    run = tce.simulate(
        model, loss, n_samples=n, generations=60, seed=17, sampler="points", metrics=["mean", "std", "masked_weight"]
    )
    rng = block_generator(17, 0)
    for t in range(1, 61):
        result = model.fit(model.mean + model.std * rng.standard_normal(n), loss)
        model = result.model
        assert run.metrics["std"][0, t] == pytest.approx(model.std, rel=1e-9)
        assert run.metrics["mean"][0, t] == pytest.approx(model.mean, abs=1e-9 * (1 + abs(model.mean)))
        assert run.metrics["masked_weight"][0, t] == pytest.approx(result.masked_weight, abs=1e-7)
