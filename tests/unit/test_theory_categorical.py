"""Closed forms of the categorical recursion (tail-extinction, wright-fisher, fresh-mix, support-floor, cap-bias)."""

import math

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError
from tce_theory.theory import categorical


def zipf(size, exponent=1.0):
    weights = np.arange(1, size + 1) ** -exponent
    return weights / weights.sum()


# --- tail-extinction


def test_surviving_types_of_the_ledger():
    expected = categorical.expected_surviving_types(zipf(10**5), 10**7, [10, 100])
    np.testing.assert_allclose(expected, [91893.235190, 37562.689962], atol=5e-7, rtol=0)


def test_extinction_recursion_keeps_its_digits():
    times = [0, 1, 2, 10, 100, 10**4]
    with mpmath.workdps(40):
        survival, exact = mpmath.mpf(1), {}
        for t in range(10**4 + 1):
            if t in times:
                exact[t] = survival
            survival = -mpmath.expm1(-survival)
        for t in times:
            assert float(abs(categorical.survival_probability(t) / exact[t] - 1)) < 1e-13
            assert float(abs(categorical.extinction_probability(t) - (1 - exact[t]))) < 1e-15


def test_extinction_recursion_far_out():
    # 2/s_t = t + log(t)/3 + 1.80 + o(1) (ledger), with 1.7982 for the constant
    t = np.array([10**4, 10**5, 10**6])
    constant = 2 / categorical.survival_probability(t) - t - np.log(t) / 3
    np.testing.assert_allclose(constant, 1.7982, atol=3e-4)


def test_suresh_rates_are_the_same_recursion():
    # g_1 = 1, g_{k+1} = 1 − exp(−g_k); n = 10, λ = 1: Pr(λ_k ≠ 0) = 1 − exp(−10 g_k)
    for k, expected in ((10, 0.821389), (50, 0.318710)):
        assert -math.expm1(-10 * categorical.survival_probability(k - 1)) == pytest.approx(expected, abs=5e-7)


def test_surviving_types_where_extinction_is_all_but_certain():
    t, n = 10**5, 100
    probs = np.array([1e-9, 0.3, 0.7 - 1e-9])
    with mpmath.workdps(40):
        log_q = mpmath.log1p(-mpmath.mpf(categorical.survival_probability(t)))
        exact = -sum(mpmath.expm1(n * mpmath.mpf(p) * log_q) for p in probs)
        assert float(abs(categorical.expected_surviving_types(probs, n, t) / exact - 1)) < 1e-13


def test_surviving_types_at_the_start_and_in_shape():
    probs = [0.5, 0.5, 0.0]
    assert categorical.expected_surviving_types(probs, 10, 0) == 2.0
    table = categorical.expected_surviving_types(probs, [[5], [10]], [0, 1, 2])
    assert table.shape == (2, 3)
    assert table[1, 1] == pytest.approx(2 * -math.expm1(-5), rel=1e-14)
    assert np.all(np.diff(table, axis=1) < 0)


def test_surviving_types_sums_chunks():
    size = 3 * 2**18 + 5
    uniform = np.full(size, 1 / size)
    assert categorical.expected_surviving_types(uniform, 2 * size, 3) == pytest.approx(
        size * (1 - categorical.extinction_probability(3) ** 2), rel=1e-12
    )


# --- wright-fisher


def test_heterozygosity_decay_keeps_its_digits():
    with mpmath.workdps(40):
        for n, t in ((2, 5), (100, 136), (10**12, 10**11)):
            exact = (1 - mpmath.mpf(1) / n) ** t
            assert float(abs(categorical.heterozygosity_decay(t, n) / exact - 1)) < 1e-13
    assert categorical.heterozygosity_decay([0, 1, 2], 1).tolist() == [1.0, 0.0, 0.0]


def test_wright_fisher_eigenvalues_are_products():
    for n in (1, 5, 30, 1000):
        products = np.concatenate([[1.0], np.cumprod(1 - np.arange(n) / n)])
        np.testing.assert_allclose(categorical.wright_fisher_eigenvalues(n, np.arange(n + 1)), products, rtol=2e-12)
    assert categorical.wright_fisher_eigenvalues(5, [6, 100]).tolist() == [0.0, 0.0]
    assert 1 - categorical.wright_fisher_eigenvalues(10**12, 2) == pytest.approx(1e-12, rel=1e-3)


def test_absorption_time_limit():
    assert categorical.absorption_time_limit(100, 0.5) == pytest.approx(200 * math.log(2), rel=1e-14)
    assert categorical.absorption_time_limit(100, [0.0, 1.0]).tolist() == [0.0, 0.0]
    p = mpmath.mpf(1e-12)
    exact = -2 * (p * mpmath.log(p) + (1 - p) * mpmath.log1p(-p))
    assert float(abs(categorical.absorption_time_limit(1, 1e-12) / exact - 1)) < 1e-14


# --- fresh-mix


def test_fresh_mix_limit_of_the_ledger():
    assert categorical.fresh_mix_heterozygosity(100, 0.01, 2 * 0.3 * 0.7) == pytest.approx(0.2785906198, abs=5e-11)


def test_fresh_mix_transient_is_its_recursion():
    n, fraction, initial = 30, 0.07, 0.6
    value = initial
    for t in range(200):
        transient = categorical.fresh_mix_heterozygosity(n, fraction, initial, t=t)
        assert transient == pytest.approx(value, rel=1e-13)
        value = (1 - 1 / n) * ((1 - fraction) ** 2 * value + fraction * (2 - fraction) * initial)
    limit = categorical.fresh_mix_heterozygosity(n, fraction, initial)
    assert categorical.fresh_mix_heterozygosity(n, fraction, initial, t=10**4) == pytest.approx(limit, rel=1e-13)


def test_fresh_mix_without_and_with_nothing_but_fresh_data():
    t = np.arange(5)
    np.testing.assert_allclose(
        categorical.fresh_mix_heterozygosity(10, 0.0, 0.5, t=t), 0.5 * categorical.heterozygosity_decay(t, 10)
    )
    np.testing.assert_allclose(categorical.fresh_mix_heterozygosity(10, 1.0, 0.5, t=t), [0.5] + [0.45] * 4)
    assert categorical.fresh_mix_heterozygosity(10, 0.0, 0.5) == 0.0


# --- support-floor, cap-bias


def test_entropy_floor_of_the_ledger():
    expected = [0.325082973, 0.610864302, 1.313834033]
    np.testing.assert_allclose(categorical.entropy_floor([0.9, 0.7, 0.3]), expected, atol=5e-10, rtol=0)


def test_entropy_floor_at_reciprocals_of_integers():
    k = np.arange(1, 2000)
    np.testing.assert_allclose(categorical.entropy_floor(1 / k), np.log(k), rtol=1e-13, atol=1e-13)
    for gamma in (0.1, 0.07, 1e-300):
        assert categorical.entropy_floor(gamma) >= -math.log(gamma) * (1 - 1e-14)


def test_entropy_floor_is_sharp():
    rng = np.random.default_rng(5)
    gamma, size = 0.3, 6
    draws = rng.dirichlet(np.full(size, 0.5), size=20_000)
    draws = draws[draws.max(axis=1) <= gamma]
    assert len(draws) > 100
    entropies = -np.sum(draws * np.log(np.maximum(draws, 1e-300)), axis=1)
    assert entropies.min() >= categorical.entropy_floor(gamma)
    vertex = np.array([0.3, 0.3, 0.3, 0.1])
    assert categorical.entropy_floor(gamma) == pytest.approx(-np.sum(vertex * np.log(vertex)), rel=1e-14)


def test_surviving_classes_floor_forgives_rounding_alone():
    k = np.arange(1, 10**6)
    np.testing.assert_array_equal(categorical.surviving_classes_floor(1 / k), k)
    np.testing.assert_array_equal(
        categorical.surviving_classes_floor([0.1, 0.2, 0.05, 0.01, 0.025]), [10, 5, 20, 100, 40]
    )
    # just below 1/k one more class is needed, just above it no fewer
    for count in (2, 3, 10, 49):
        assert categorical.surviving_classes_floor((1 - 1e-13) / count) == count + 1
        assert categorical.surviving_classes_floor((1 + 1e-13) / count) == count
    assert categorical.surviving_classes_floor(1.0) == 1
    assert type(categorical.surviving_classes_floor(0.4)) is int


def test_cap_bias():
    probs = [0.6, 0.3, 0.1]
    np.testing.assert_allclose(categorical.cap_bias(probs, [1.0, 0.6, 0.5, 0.35]), [0.0, 0.0, 0.1, 0.25], atol=1e-15)
    assert categorical.cap_bias(probs, 1 / 3) == pytest.approx(0.6 - 1 / 3, rel=1e-14)
    # no capped distribution is nearer, and one is as near
    rng = np.random.default_rng(6)
    gamma = 0.5
    draws = rng.dirichlet(np.ones(3), size=20_000)
    draws = draws[draws.max(axis=1) <= gamma]
    distances = np.abs(draws - probs).sum(axis=1) / 2
    assert distances.min() >= categorical.cap_bias(probs, gamma)
    assert distances.min() == pytest.approx(categorical.cap_bias(probs, gamma), abs=0.01)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: categorical.extinction_probability(-1), "t"),
        (lambda: categorical.extinction_probability(10**7 + 1), "t"),
        (lambda: categorical.expected_surviving_types([0.5, 0.4], 10, 1), "probs"),
        (lambda: categorical.expected_surviving_types([0.5, 0.5], 0, 1), "n"),
        (lambda: categorical.heterozygosity_decay(1.5, 10), "t"),
        (lambda: categorical.fresh_mix_heterozygosity(10, 1.1, 0.5), "fraction"),
        (lambda: categorical.fresh_mix_heterozygosity(10, 0.1, 1.0), "heterozygosity0"),
        (lambda: categorical.wright_fisher_eigenvalues(10, -1), "k"),
        (lambda: categorical.absorption_time_limit(10, 1.1), "p"),
        (lambda: categorical.entropy_floor(0.0), "gamma"),
        (lambda: categorical.surviving_classes_floor(1e-13), "gamma"),
        (lambda: categorical.cap_bias([0.5, 0.5], 0.4), "gamma"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
