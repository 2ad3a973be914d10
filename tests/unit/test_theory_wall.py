"""Closed forms of the wall (density-wall, density-floor, wall-law, wall-extension, extension-law)."""

import math

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError
from tce_theory.exact._step import Step
from tce_theory.exact.first_passage import _composite_gauss_legendre
from tce_theory.theory import wall

LOG2 = math.log(2)


def test_scales_of_the_ledger():
    assert wall.critical_std(0.85) == pytest.approx(0.469343859, abs=5e-10)
    assert wall.floor_std(0.85) == pytest.approx(wall.critical_std(0.85) * math.exp(-0.5), rel=1e-15)
    gamma = np.array([1e-6, 0.3, 5.0])
    std = wall.floor_std(gamma)
    np.testing.assert_allclose(0.5 * np.log(2 * np.pi * np.e * std**2), -np.log(gamma), atol=1e-14)
    np.testing.assert_allclose(1 / (np.sqrt(2 * np.pi) * wall.critical_std(gamma)), gamma, rtol=1e-15)


def test_tail_index_of_the_ledger():
    assert wall.wall_tail_index(10) == pytest.approx(2.053486, abs=5e-7)
    assert wall.wall_tail_index(100) == pytest.approx(2.005033, abs=5e-7)
    assert wall.wall_tail_index([1, 10, 10**12], fit_mean=False).tolist() == [1.0, 1.0, 1.0]


@pytest.mark.parametrize("n", [2, 3, 10, 21, 10**3, 10**6, 10**12])
def test_tail_index_solves_its_equation(n):
    with mpmath.workdps(60):
        shape = mpmath.mpf(n - 1) / 2

        def excess(kappa):
            return (mpmath.loggamma(shape + kappa) - mpmath.loggamma(shape)) / kappa + mpmath.log(mpmath.mpf(2) / n)

        exact = mpmath.findroot(excess, (2, 2.5), solver="anderson")
        assert float(abs(wall.wall_tail_index(n) / exact - 1)) < 2e-15
        # the bracket that the docstring proves
        assert excess(mpmath.mpf(2)) < 0 < excess(mpmath.mpf(3))
    assert wall.wall_tail_index([n, n]).shape == (2,)


def test_extension_factors_of_the_ledger():
    assert wall.wall_extension(LOG2, 0.0) == pytest.approx(1.94, abs=5e-3)
    assert wall.wall_extension(LOG2, LOG2) == pytest.approx(12.76, abs=5e-3)
    assert wall.wall_extension(LOG2, LOG2 * (1 + 1e-12)) == 1.0
    # sigma_0 = 1, gamma = 0.85: a factor-2 band is left before the wall acts
    assert wall.wall_extension(LOG2, -2 * math.log(wall.critical_std(0.85))) == 1.0
    assert wall.extension_law(LOG2) == pytest.approx(1.1552, abs=5e-5)
    assert wall.extension_law(2.249) == pytest.approx(2.3, abs=5e-4)
    assert wall.extension_law(LOG2, fit_mean=False) == pytest.approx(LOG2 / 2 / math.tanh(LOG2 / 2), rel=1e-14)


def test_intervals_are_the_formulas_of_the_ledger():
    n, b, r = 50, 0.9, 0.4
    ce, held = n * b / 2 * math.tanh(b), n * ((math.exp(2 * (b + r)) - math.exp(2 * r)) / 4 - b / 2)
    assert wall.ce_mean_interval_limit(n, b) == pytest.approx(ce, rel=1e-14)
    assert wall.wall_mean_interval(n, b, r) == pytest.approx(held, rel=1e-14)
    assert wall.wall_extension(b, r) == pytest.approx(held / ce, rel=1e-14)
    assert wall.extension_law(b) == pytest.approx(n * b**2 / 2 / ce, rel=1e-14)
    assert wall.wall_mean_interval(n, b, 1.0) == pytest.approx(ce, rel=1e-14)


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize(("b", "r"), [(1e-9, 0.0), (1e-9, 5e-10), (1e-3, 0.0), (0.3, 0.1), (2.0, 2.0), (80.0, 3.0)])
def test_intervals_keep_their_digits(b, r, fit_mean):
    with mpmath.workdps(60):
        k, width, depth = (2 if fit_mean else 1), mpmath.mpf(b), mpmath.mpf(r)
        held = (mpmath.exp(k * (width + depth)) - mpmath.exp(k * depth)) / k**2 - width / k
        free = width / k * mpmath.tanh(k * width / 2)
        assert float(abs(wall.wall_mean_interval(100, b, r, fit_mean=fit_mean) / (100 * held) - 1)) < 1e-13
        assert float(abs(wall.ce_mean_interval_limit(100, b, fit_mean=fit_mean) / (100 * free) - 1)) < 1e-13
        assert float(abs(wall.wall_extension(b, r, fit_mean=fit_mean) / (held / free) - 1)) < 1e-13


def walk_mean_interval(n, b, fit_mean, wall_depth=None):
    """Mean first passage of the walk itself over n: free in (−b, b), or reflected at −wall_depth and out at b.

    Solves m(x) = 1 + E m(x + ξ) by quadrature; the reflected walk has an atom at the wall.
    """
    step = Step.of(n, fit_mean, 0)
    bottom = -b if wall_depth is None else -wall_depth
    nodes, weights = _composite_gauss_legendre(bottom, b, math.ceil((b - bottom) / (3 * step.std)))
    inside = step.density(nodes[None, :] - nodes[:, None]) * weights
    from_start = step.density(nodes) * weights
    if wall_depth is None:
        return (1 + from_start @ np.linalg.solve(np.eye(nodes.size) - inside, np.ones(nodes.size))) / n
    to_wall = step.below(bottom - nodes)
    from_wall = step.density(nodes - bottom) * weights
    matrix = np.block([[inside, to_wall[:, None]], [from_wall[None, :], step.below(np.zeros((1, 1)))]])
    times = np.linalg.solve(np.eye(nodes.size + 1) - matrix, np.ones(nodes.size + 1))
    return (1 + from_start @ times[:-1] + step.below(bottom) * times[-1]) / n


def diffusion_limit(interval):
    """Extrapolate interval(n) over sizes 250, 1000, 4000 to n → ∞ through the powers n^(−1/2) and n^(−1)."""
    coarse, middle, fine = (interval(n) for n in (250, 1000, 4000))
    return (8 * fine - 6 * middle + coarse) / 3


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("r", [None, 0.0, 0.3, LOG2])
def test_intervals_are_the_limit_of_the_walk(r, fit_mean):
    limit = diffusion_limit(lambda n: walk_mean_interval(n, LOG2, fit_mean, r))
    if r is None:
        formula, other = wall.ce_mean_interval_limit, wall.ce_mean_interval_limit(1000, LOG2, fit_mean=not fit_mean)
        value = formula(1000, LOG2, fit_mean=fit_mean)
        nearby = formula(1000, 1.01 * LOG2, fit_mean=fit_mean)
    else:
        formula, other = wall.wall_mean_interval, wall.wall_mean_interval(1000, LOG2, r, fit_mean=not fit_mean)
        value = formula(1000, LOG2, r, fit_mean=fit_mean)
        nearby = formula(1000, 1.01 * LOG2, r, fit_mean=fit_mean)
    # the next order of the extrapolation, n^(−3/2), leaves less than 1e-3; the negative controls are 1 % off in b, and
    # the formula of the other fit
    assert abs(1000 * limit / value - 1) < 1e-3
    assert abs(1000 * limit / nearby - 1) > 5e-3
    assert abs(1000 * limit / other - 1) > 5e-2


def test_functions_broadcast_and_return_floats_for_numbers():
    b, r = np.array([0.5, 1.0]), np.array([[0.0], [0.5], [0.7]])
    assert wall.wall_extension(b, r).shape == (3, 2)
    assert wall.wall_mean_interval(np.array([10, 20]), b, r).shape == (3, 2)
    assert wall.wall_extension(b, r)[2, 0] == 1.0
    for value in (wall.critical_std(1), wall.extension_law(1), wall.wall_extension(1, 0), wall.wall_tail_index(5)):
        assert type(value) is float
    assert wall.wall_extension(100.0, 100.0) > 1e80  # the far corner of the domain is finite


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: wall.critical_std(0), "gamma"),
        (lambda: wall.floor_std(math.inf), "gamma"),
        (lambda: wall.wall_tail_index(1), "n"),
        (lambda: wall.wall_extension(0.0, 0.0), "b"),
        (lambda: wall.wall_extension(101.0, 0.0), "b"),
        (lambda: wall.wall_extension(1.0, -0.1), "r"),
        (lambda: wall.wall_mean_interval(0, 1.0, 0.0), "n"),
        (lambda: wall.ce_mean_interval_limit(10, math.nan), "b"),
        (lambda: wall.extension_law(-1.0), "b"),
        (lambda: wall.extension_law(1.0, fit_mean="yes"), "fit_mean"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
