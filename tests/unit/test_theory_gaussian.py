"""Closed forms of the Gaussian recursion under cross entropy (gaussian-ce-law, gaussian-w2), against mpmath."""

import math

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError
from tce_theory.theory import gaussian

FITS = [
    pytest.param({"fit_mean": True, "ddof": 0}, id="ml"),
    pytest.param({"fit_mean": True, "ddof": 1}, id="unbiased"),
    pytest.param({"fit_mean": False, "ddof": 0}, id="known-mean"),
]
SIZES = [2, 3, 10, 20, 21, 22, 100, 10**4, 10**8, 10**12]


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(50):
        yield


def exact_law(n, fit_mean, ddof):
    return mpmath.mpf(n - 1 if fit_mean else n), mpmath.mpf(n - ddof)


def exact_log_std_factor(n, fit_mean, ddof):
    nu, m = exact_law(n, fit_mean, ddof)
    return mpmath.log(2 / m) / 2 + mpmath.loggamma((nu + 1) / 2) - mpmath.loggamma(nu / 2)


def relative_error(value, exact):
    return float(abs(mpmath.mpf(value) / exact - 1)) if exact else abs(value)


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("n", SIZES)
def test_step_moments(n, fit):
    nu, m = exact_law(n, **fit)
    drift = mpmath.psi(0, nu / 2) + mpmath.log(2 / m)
    assert relative_error(gaussian.log_variance_drift(n, **fit), drift) < 1e-14
    assert relative_error(gaussian.log_variance_step_variance(n, **fit), mpmath.psi(1, nu / 2)) < 1e-14
    assert gaussian.log_variance_drift(n, **fit) < 0


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("t", [0, 1, 7, 10**6, 10**12])
def test_moments_at_a_generation(t, n, fit):
    nu, m = exact_law(n, **fit)
    shrinkage = (nu / m) ** t
    if not fit["fit_mean"]:
        wander = mpmath.mpf(0)
    elif fit["ddof"] == 1:
        wander = mpmath.mpf(t) / n
    else:
        wander = 1 - shrinkage
    log_factor = exact_log_std_factor(n, **fit)
    mean_std = mpmath.exp(t * log_factor)
    w2_squared = wander + shrinkage + 1 - 2 * mean_std

    std = 1.5
    # exp(−y) has the relative error of y times y
    slack = 1e-13 + 1e-15 * float(abs(t * log_factor))
    if shrinkage > 1e-250:
        assert relative_error(gaussian.expected_variance(t, n, std=std, **fit), std**2 * shrinkage) < 4 * slack
    if mean_std > 1e-250:
        assert relative_error(gaussian.expected_std(t, n, std=std, **fit), std * mean_std) < 2 * slack
    assert relative_error(gaussian.variance_of_mean(t, n, std=std, **fit), std**2 * wander) < 1e-13
    log_second = mpmath.log(nu * (nu + 2) / m**2)
    spread = mpmath.exp(t * log_second) - shrinkage**2
    if t and 1e-250 < spread < 1e250:
        slack = 1e-13 + 1e-15 * float(abs(t * log_second))
        assert relative_error(gaussian.variance_of_variance(t, n, std=std, **fit), std**4 * spread) < 4 * slack
    assert relative_error(gaussian.expected_w2_squared(t, n, std=std, **fit), std**2 * w2_squared) < 1e-13


@pytest.mark.parametrize("n", [2, 10, 10**9])
def test_alpha_is_the_constant_of_the_ledger(n):
    size = mpmath.mpf(n)
    exact = mpmath.exp(mpmath.log(2 / (size - 1)) / 2 + mpmath.loggamma(size / 2) - mpmath.loggamma((size - 1) / 2))
    assert relative_error(gaussian.alpha(n), exact) < 1e-15
    assert gaussian.alpha(n) == gaussian.std_factor(n, ddof=1)


def test_w2_of_the_ledger_under_ddof_one():
    n, t = 37, 50
    expected = t / n + 2 - 2 * gaussian.alpha(n) ** t
    assert gaussian.expected_w2_squared(t, n, ddof=1) == pytest.approx(expected, rel=1e-13)


def test_total_variance_is_conserved_by_maximum_likelihood_alone():
    t = np.arange(0, 400, 7)
    total = gaussian.expected_variance(t, 20, std=3.0) + gaussian.variance_of_mean(t, 20, std=3.0)
    np.testing.assert_allclose(total, 9.0, rtol=1e-14)
    unbiased = gaussian.expected_variance(t, 20, ddof=1) + gaussian.variance_of_mean(t, 20, ddof=1)
    assert unbiased[-1] == pytest.approx(1 + t[-1] / 20)


def test_log_std_moments_are_those_of_a_walk():
    moments = gaussian.log_std_moments(40, 12, std=2.0)
    assert moments.mean == pytest.approx(math.log(2) + 20 * gaussian.log_variance_drift(12), rel=1e-14)
    assert moments.variance == pytest.approx(10 * gaussian.log_variance_step_variance(12), rel=1e-14)
    assert gaussian.log_std_moments(0, 12, std=2.0) == (math.log(2), 0.0)


def test_variance_of_variance_at_its_ends():
    assert gaussian.variance_of_variance([0, 1], 10, std=1e150).tolist() == [0.0, math.inf]
    assert gaussian.variance_of_variance(10**6, 10, ddof=1) == math.inf
    assert gaussian.variance_of_variance(10**9, 10) == 0.0
    # one generation: that of chi-square
    assert gaussian.variance_of_variance(1, 11, ddof=1) == pytest.approx(2 / 10, rel=1e-15)
    assert gaussian.variance_of_variance(1, 11, fit_mean=False) == pytest.approx(2 / 11, rel=1e-15)


def test_asymptotic_rates():
    n = 10**8
    assert gaussian.log_variance_drift(n) * n == pytest.approx(-2, rel=1e-7)
    assert gaussian.log_variance_drift(n, ddof=1) * n == pytest.approx(-1, rel=1e-7)
    assert gaussian.log_variance_drift(n, fit_mean=False) * n == pytest.approx(-1, rel=1e-7)
    assert math.log(gaussian.std_factor(n)) * n == pytest.approx(-3 / 4, rel=1e-6)
    assert math.log(gaussian.alpha(n)) * n == pytest.approx(-1 / 4, rel=1e-6)


def test_functions_broadcast_and_return_floats_for_numbers():
    t, n, std = np.arange(4), np.array([[10], [20], [30]]), 2.0
    for function in (
        gaussian.expected_variance,
        gaussian.expected_std,
        gaussian.variance_of_mean,
        gaussian.variance_of_variance,
        gaussian.expected_w2_squared,
    ):
        for fit in ({}, {"ddof": 1}, {"fit_mean": False}):
            table = function(t, n, std=std, **fit)
            assert table.shape == (3, 4)
            assert type(function(2, 20, std=std, **fit)) is float
            assert table[1, 2] == function(2, 20, std=std, **fit)
            assert function(2, 20, std=[1.0, 2.0], **fit).shape == (2,)
    assert gaussian.log_std_moments(t, n).variance.shape == (3, 4)
    assert gaussian.log_std_moments(t, n).mean.shape == (3, 4)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: gaussian.log_variance_drift(1), "n"),
        (lambda: gaussian.log_variance_drift(0, fit_mean=False), "n"),
        (lambda: gaussian.log_variance_drift(10.5), "n"),
        (lambda: gaussian.alpha([2, 1]), "n"),
        (lambda: gaussian.std_factor(10, ddof=2), "ddof"),
        (lambda: gaussian.std_factor(10, ddof=True), "ddof"),
        (lambda: gaussian.std_factor(10, ddof=np.array([0, 1])), "ddof"),
        (lambda: gaussian.std_factor(10, ddof=1, fit_mean=False), "ddof"),
        (lambda: gaussian.std_factor(10, fit_mean=0), "fit_mean"),
        (lambda: gaussian.expected_std(-1, 10), "t"),
        (lambda: gaussian.expected_variance(1, 10, std=0.0), "std"),
        (lambda: gaussian.variance_of_variance(0.5, 10), "t"),
        (lambda: gaussian.expected_w2_squared(1, 10, std=math.nan), "std"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be") as error:
        call()
    assert error.value.argument == argument
