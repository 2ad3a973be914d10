"""Parts of the hinge solver, and its cases with a known answer."""

import math

import numpy as np
import pytest
from scipy.special import lambertw

from tce_theory.kernels import hinge


@pytest.mark.parametrize("level", [-1.0, -1.0 - 1e-12, -1.001, -1.3, -2.0, -20.0, -300.0, -1000.0])
def test_upper_root(level):
    found = hinge._log_upper_root(level)
    assert -1 <= found <= 0
    expected = lambertw(-min(math.exp(level), math.exp(-1) * (1 - 1e-16))).real  # q = exp(W0(-x)) solves -q log q = x
    assert found == pytest.approx(expected, rel=1e-12, abs=2e-7 if level > -1.0001 else 0.0)


def test_systems_with_equal_rows_are_solved():
    rng = np.random.default_rng(0)
    for n in (1, 2, 31, 32, 33, 100):
        root = rng.standard_normal((n, n))
        matrix, right = root @ root.T, rng.standard_normal(n)
        np.testing.assert_allclose(matrix @ hinge._linear_solution(matrix.copy(), right), right, atol=1e-6)
    root = rng.standard_normal((70, 10))
    matrix = root @ root.T
    right = matrix @ rng.standard_normal(70)
    np.testing.assert_allclose(matrix @ hinge._linear_solution(matrix.copy(), right), right, atol=1e-6)


@pytest.mark.parametrize("structure", [hinge.FULL, hinge.DIAGONAL, hinge.ISOTROPIC])
@pytest.mark.parametrize("fit_mean", [True, False])
def test_both_ways_to_solve_for_a_direction_agree(structure, fit_mean):
    """A system of the size of the points on the boundary, or of the parameters."""
    rng = np.random.default_rng(1)
    n, d = 60, 3
    z = rng.standard_normal((n, d))
    m = (z**2).sum(1)
    w = rng.random(n)
    slope, pull = (z.T * w) @ z - w.sum() * np.eye(d), z.T @ w
    hinge._restrict(slope, structure)
    p = hinge._parameters(d, structure, fit_mean)
    index = np.arange(p + 1)  # one more than there are parameters
    arguments = (slope, pull, structure, fit_mean, 1.0, 5.0, 5.0, 0.5)
    change, shift = hinge._direction(z, m, index, *arguments)
    few = np.arange(p)
    small = hinge._direction(z, m, few, *arguments)
    # Newton's equation, H delta = -gradient, in changes of (P, b)
    for index_used, found in ((index, (change, shift)), (few, small)):
        left_p, left_b = 5.0 * found[0], 10.0 * found[1]
        dyads, pulls = np.zeros((d, d)), np.zeros(d)
        for a in index_used:
            rate = z[a] @ found[0] @ z[a] - np.trace(found[0]) - 2 * z[a] @ found[1]
            dyads += rate / 0.5 * (np.outer(z[a], z[a]) - np.eye(d))
            pulls -= 2 * rate / 0.5 * z[a]
        hinge._restrict(dyads, structure)
        np.testing.assert_allclose(left_p + dyads, -slope, atol=1e-9)
        if fit_mean:
            np.testing.assert_allclose(left_b + pulls, 2 * pull, atol=1e-9)


def test_nothing_masked_is_cross_entropy():
    x = np.random.default_rng(2).standard_normal((50, 3))
    mean, cov, weights, gap, vacuous, steps = hinge.fit_hinge(x, 1.0, hinge.FULL, True, np.zeros(3))
    np.testing.assert_allclose(mean, x.mean(0), atol=1e-14)
    np.testing.assert_allclose(cov, np.cov(x.T, bias=True), rtol=1e-12)
    assert (weights == 1).all()
    assert (gap, vacuous, steps) == (0.0, False, 0)


def test_a_square_lies_in_its_circle():
    """Vacuous: corners of a square of half side 1; the least ellipse has m = 2 at S = identity."""
    x = np.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0], [0.0, 0.5]])
    critical = 2.0
    gamma = 1 / (2 * math.pi * critical**2)
    q = math.exp(lambertw(-1 / critical**2).real)  # d q log q + M = 0 with M = d/critical^2
    for structure in (hinge.FULL, hinge.DIAGONAL, hinge.ISOTROPIC):
        mean, cov, weights, gap, vacuous, _ = hinge.fit_hinge(x, gamma, structure, True, np.zeros(2))
        assert vacuous
        assert gap <= 1e-12
        assert not weights.any()
        np.testing.assert_allclose(mean, 0, atol=1e-12)
        np.testing.assert_allclose(cov, q * critical**2 * np.eye(2), atol=1e-11)


@pytest.mark.parametrize("gamma", [1e-200, 1e-10, 1.0, 1e10, 1e200])
def test_thresholds_of_any_size(gamma):
    x = np.random.default_rng(3).standard_normal((20, 2))
    scale = 0.5 / math.sqrt(gamma)
    base = hinge.fit_hinge(0.5 * x, 1.0, hinge.FULL, True, np.zeros(2))
    found = hinge.fit_hinge(scale * x, gamma, hinge.FULL, True, np.zeros(2))
    np.testing.assert_allclose(found[1] * gamma, base[1], rtol=1e-9)
    np.testing.assert_allclose(found[2], base[2], atol=1e-9)
