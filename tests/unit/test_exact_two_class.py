"""Two-class chains (wright-fisher, two-class-persistence, fresh-mix, tail-extinction)."""

import dataclasses
import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.exact import TwoClassChain
from tce_theory.exact._binomial import binomial_matrix
from tce_theory.theory import categorical


def heterozygosity(chain):
    q = chain.model_probs
    return 2 * q * (1 - q)


# --- binomial probabilities


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 100, 1500])
def test_binomial_probabilities_keep_their_digits(n):
    probs = np.array([0.0, 1e-12, 0.1, 0.37, 0.5, 0.999, 1.0])
    matrix = binomial_matrix(n, probs)
    assert matrix.shape == (probs.size, n + 1)
    with mpmath.workdps(40):
        for p, row in zip(probs, matrix, strict=True):
            for j in np.unique(np.linspace(0, n, 25).astype(int)):
                exact = mpmath.binomial(n, int(j)) * mpmath.mpf(p) ** int(j) * (1 - mpmath.mpf(p)) ** (n - int(j))
                if exact > 1e-290:
                    slack = 1e-14 + 1e-15 * float(-mpmath.log(exact))
                    assert float(abs(row[j] / exact - 1)) < slack
                else:
                    assert row[j] < 1e-289
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-13)


# --- absorption


def test_absorption_times_of_the_ledger():
    assert TwoClassChain(100, 0.5).mean_absorption_time() == pytest.approx(136.602278, abs=5e-7)
    assert TwoClassChain(20, 0.1).mean_absorption_time() == pytest.approx(11.9806621, abs=5e-8)
    assert TwoClassChain(100, 0.5, gamma=0.9).mean_absorption_time() == pytest.approx(279516.367, abs=5e-4)
    assert TwoClassChain(100, 0.5, gamma=0.95).mean_absorption_time() == pytest.approx(1211.11382, abs=5e-6)


@pytest.mark.parametrize(
    ("n", "ratio"), [(100, 0.796), (400, 0.880), pytest.param(1600, 0.936, marks=pytest.mark.slow)]
)
def test_persistence_against_its_leading_order(n, ratio):
    gamma = 0.9
    leading = math.sqrt(2 * n * gamma * (1 - gamma)) * math.log(gamma / (1 - gamma)) * gamma**-n
    assert TwoClassChain(n, 0.5, gamma=gamma).mean_absorption_time() / leading == pytest.approx(ratio, abs=5e-4)


def exact_absorption_time(n, prob0, gamma=None):
    """Mean absorption time in rational arithmetic."""

    def row(p):
        return [math.comb(n, j) * p**j * (1 - p) ** (n - j) for j in range(n + 1)]

    def model(i):
        q = Fraction(i, n)
        return q if gamma is None or i in (0, n) else min(gamma, max(1 - gamma, q))

    matrix = [[Fraction(int(i == j)) - value for j, value in enumerate(row(model(i)))][1:n] for i in range(1, n)]
    times = [Fraction(1)] * (n - 1)
    for k in range(n - 1):
        for i in range(n - 1):
            if i != k and matrix[i][k]:
                factor = matrix[i][k] / matrix[k][k]
                matrix[i] = [a - factor * b for a, b in zip(matrix[i], matrix[k], strict=True)]
                times[i] -= factor * times[k]
    start = row(prob0)[1:n]
    return 1 + sum(p * times[i] / matrix[i][i] for i, p in enumerate(start))


@pytest.mark.parametrize("gamma", [None, Fraction(1, 2), Fraction(3, 4), Fraction(15, 16)])
def test_absorption_time_in_rational_arithmetic(gamma):
    # binary fractions, so that both computations are about the same chain
    n, prob0 = 8, Fraction(3, 16)
    value = TwoClassChain(n, float(prob0), gamma=None if gamma is None else float(gamma)).mean_absorption_time()
    assert value == pytest.approx(float(exact_absorption_time(n, prob0, gamma)), rel=1e-13)


def test_long_times_keep_their_digits():
    # γ = 1/2: every model but the absorbed ones is (1/2, 1/2), and the time is geometric
    for n in (20, 200, 1000):
        value = TwoClassChain(n, 0.5, gamma=0.5).mean_absorption_time()
        assert value == pytest.approx(2.0 ** (n - 1), rel=1e-10)


def test_time_beyond_float_is_refused():
    with pytest.raises(DomainError, match="beyond 1e308"):
        TwoClassChain(1030, 0.5, gamma=0.5).mean_absorption_time()


def test_tce_is_ce_for_gamma_near_one():
    n = 40
    ce = TwoClassChain(n, 0.3)
    np.testing.assert_allclose(TwoClassChain(n, 0.3, gamma=1 - 1 / n).model_probs, ce.model_probs, rtol=1e-14)
    assert TwoClassChain(n, 0.3, gamma=1 - 1.5 / n).mean_absorption_time() > ce.mean_absorption_time() * 1.01
    # with γ = 1 a class that is not drawn is lost under both conventions
    np.testing.assert_array_equal(TwoClassChain(n, 0.3, gamma=1.0, vacuous="warm").model_probs, ce.model_probs)


def test_absorption_where_it_is_trivial_or_never():
    assert TwoClassChain(1, 0.3).mean_absorption_time() == 1.0
    assert TwoClassChain(10, 0.0).mean_absorption_time() == 0.0
    assert TwoClassChain(10, 0.5, gamma=0.9, vacuous="warm").mean_absorption_time() == math.inf
    assert TwoClassChain(10, 0.5, fraction=1e-9).mean_absorption_time() == math.inf


def test_absorption_time_approaches_the_diffusion_limit():
    errors = [
        1 - TwoClassChain(n, 0.3).mean_absorption_time() / categorical.absorption_time_limit(n, 0.3) for n in (50, 400)
    ]
    assert errors[1] < 0.006 < errors[0] < 0.05


# --- law at a generation


@pytest.mark.parametrize("settings", [{}, {"gamma": 0.8}, {"gamma": 0.8, "vacuous": "warm"}, {"fraction": 0.2}])
def test_distribution_is_the_power_of_the_transition(settings):
    chain = TwoClassChain(12, 0.3, **settings)
    law = chain.first_generation
    for t in range(1, 20):
        np.testing.assert_allclose(chain.distribution(t), law, rtol=1e-12, atol=1e-15)
        law = law @ chain.transition
    assert chain.distribution(10**9).sum() == pytest.approx(1, rel=1e-6)


def test_mean_absorption_time_is_the_sum_of_survival():
    chain = TwoClassChain(12, 0.3, gamma=0.7)
    survival = [1.0]
    while survival[-1] > 1e-14:
        law = chain.distribution(len(survival))
        survival.append(law[1:-1].sum())
    assert chain.mean_absorption_time() == pytest.approx(sum(survival), rel=1e-10)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 1.0])
def test_heterozygosity_is_the_closed_form(fraction):
    n, prob0 = 37, 0.2
    chain = TwoClassChain(n, prob0, fraction=fraction)
    for t in (1, 2, 10, 100):
        expected = categorical.fresh_mix_heterozygosity(n, fraction, 2 * prob0 * (1 - prob0), t=t)
        assert chain.distribution(t) @ heterozygosity(chain) == pytest.approx(expected, rel=1e-12)


def test_survival_of_a_class_is_at_least_the_poisson_value():
    n, prob0 = 50, 0.04
    chain = TwoClassChain(n, prob0)
    for t in (1, 2, 5, 20):
        multinomial = 1 - chain.distribution(t)[0]
        poisson = 1 - categorical.extinction_probability(t) ** (n * prob0)
        assert poisson < multinomial
    # sharp: the bound is the limit of rare classes with the same expected count
    rare = TwoClassChain(500, 0.004).distribution(5)[0]
    assert 1 - rare == pytest.approx(1 - categorical.extinction_probability(5) ** 2, rel=5e-3)


# --- stationary law


def test_fresh_mix_heterozygosity_of_the_ledger():
    chain = TwoClassChain(100, 0.3, fraction=0.01)
    assert chain.stationary_distribution() @ heterozygosity(chain) == pytest.approx(0.2785906198, abs=5e-11)


def test_warm_start_forgets_the_origin():
    # the diffusion limit is (2γ − 1)/log(γ/(1 − γ)), with corrections of order n^(−1/2)
    gamma, limit = 0.9, 0.8 / math.log(9)
    values = {}
    for n in (100, 400):
        chain = TwoClassChain(n, 0.5, gamma=gamma, vacuous="warm")
        law = chain.stationary_distribution()
        np.testing.assert_allclose(law @ chain.transition, law, atol=1e-15)
        np.testing.assert_allclose(TwoClassChain(n, 0.2, gamma=gamma, vacuous="warm").stationary_distribution(), law)
        values[n] = law @ heterozygosity(chain)
    assert 2 * values[400] - values[100] == pytest.approx(limit, rel=2e-3)
    assert values[400] == pytest.approx(limit, rel=0.03)


def test_stationary_law_of_a_chain_that_ends_is_refused():
    with pytest.raises(UnsupportedCombinationError, match="lost for ever"):
        TwoClassChain(10, 0.5).stationary_distribution()


# --- spectrum


@pytest.mark.parametrize("n", [1, 2, 20, 100])
def test_spectrum_of_wright_fisher(n):
    expected = categorical.wright_fisher_eigenvalues(n, np.arange(n + 1))
    np.testing.assert_allclose(TwoClassChain(n, 0.5).spectrum(), expected, atol=1e-12)


def test_spectrum_is_real_under_every_convention():
    for settings in ({"gamma": 0.8}, {"gamma": 0.8, "vacuous": "warm"}, {"fraction": 0.2}):
        chain = TwoClassChain(30, 0.3, **settings)
        assert np.abs(np.linalg.eigvals(chain.transition).imag).max() < 1e-6
        spectrum = chain.spectrum()
        assert spectrum[0] == pytest.approx(1, rel=1e-12)
        assert spectrum.min() > -1e-6


# --- the object


def test_chain_is_frozen_and_so_are_its_arrays():
    chain = TwoClassChain(10.0, 0.5)
    assert type(chain.n) is int
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.n = 5
    for array in (chain.transition, chain.model_probs, chain.first_generation):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize(
    ("arguments", "settings", "argument"),
    [
        ((0, 0.5), {}, "n"),
        ((4001, 0.5), {}, "n"),
        ((10, 1.1), {}, "prob0"),
        ((10, 0.5), {"gamma": 0.4}, "gamma"),
        ((10, 0.5), {"gamma": 1.1}, "gamma"),
        ((10, 0.05), {"gamma": 0.9, "vacuous": "warm"}, "prob0"),
        ((10, 0.5), {"vacuous": "max-entropy"}, "vacuous"),
        ((10, 0.5), {"fraction": -0.1}, "fraction"),
        ((10, 0.5), {"fraction": 1e-10}, "fraction"),
    ],
)
def test_domain(arguments, settings, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        TwoClassChain(*arguments, **settings)


def test_warm_start_accepts_its_edge_whatever_the_rounding():
    assert TwoClassChain(10, 0.3, gamma=0.7, vacuous="warm").mean_absorption_time() == math.inf
    with pytest.raises(DomainError, match=r"^t must be"):
        TwoClassChain(10, 0.3).distribution(0)
