"""Special functions and argument checks of the closed forms, held against mpmath at 50 digits."""

import math

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError
from tce_theory.theory import _arguments, _special

LOG_GRID = np.geomspace(1e-12, 0.999, 200)


@pytest.fixture(autouse=True)
def _fifty_digits():
    with mpmath.workdps(50):
        yield


def relative_error(value, exact):
    return float(abs(mpmath.mpf(float(value)) / exact - 1))


def test_log1p_minus_arg_keeps_its_digits():
    arguments = np.concatenate([-LOG_GRID, LOG_GRID, [0.3999, 0.4001, 3.0, 1e6]])
    for y, value in zip(arguments, _special.log1p_minus_arg(arguments), strict=True):
        assert relative_error(value, mpmath.log1p(mpmath.mpf(y)) - mpmath.mpf(y)) < 5e-15
    assert _special.log1p_minus_arg(0.0) == 0


def test_log1p_minus_arg_of_complex_numbers():
    arguments = 1j * np.concatenate([LOG_GRID, [3.0, 1e3]])
    for y, value in zip(arguments, _special.log1p_minus_arg(arguments), strict=True):
        exact = mpmath.log1p(mpmath.mpc(y)) - mpmath.mpc(y)
        assert float(abs(mpmath.mpc(complex(value)) - exact) / abs(exact)) < 5e-15


def test_expm1_minus_arg_keeps_its_digits():
    arguments = np.concatenate([-30 * LOG_GRID, 30 * LOG_GRID])
    for y, value in zip(arguments, _special.expm1_minus_arg(arguments), strict=True):
        assert relative_error(value, mpmath.expm1(mpmath.mpf(y)) - mpmath.mpf(y)) < 5e-15
    assert _special.expm1_minus_arg(0.0) == 0


@pytest.mark.parametrize("x", [0.5, 1.0, 3.7, 9.999, 10.0, 10.001, 49.5, 1e4, 5e7, 5e11])
def test_gamma_combinations_keep_their_digits(x):
    exact_x = mpmath.mpf(x)
    assert relative_error(_special.digamma_minus_log(x), mpmath.psi(0, exact_x) - mpmath.log(exact_x)) < 1e-14
    for a in (0.5, 2.0, 2.7, 40.0):
        exact = mpmath.loggamma(exact_x + a) - mpmath.loggamma(exact_x) - a * mpmath.log(exact_x)
        assert relative_error(_special.log_gamma_ratio(x, a), exact) < 1e-13
    for a in (0.3j, 5j, 200j):
        exact = (
            mpmath.loggamma(exact_x + mpmath.mpc(a)) - mpmath.loggamma(exact_x) - mpmath.mpc(a) * mpmath.log(exact_x)
        )
        value = mpmath.mpc(complex(_special.log_gamma_ratio(x, a)))
        assert float(abs(value - exact) / abs(exact)) < 1e-13


def test_special_functions_broadcast():
    x = np.array([0.5, 30.0])
    assert _special.log_gamma_ratio(x[:, None], np.array([0.5, 1.5, 2.5])).shape == (2, 3)
    assert _special.digamma_minus_log(x).shape == (2,)


@pytest.mark.parametrize("value", [True, 2.5, "3", None, math.nan, math.inf, 1, [5, 1], 3 + 0j, 10**400])
def test_integers_refuses(value):
    with pytest.raises(DomainError, match=r"^n must be an integer, or an array of integers, of at least 2, got"):
        _arguments.integers("n", value, minimum=2)


def test_integers_accepts_what_people_write():
    assert _arguments.integers("n", 1e8, minimum=2) == 1e8
    assert _arguments.integers("n", [2, 3], minimum=2).tolist() == [2.0, 3.0]
    with pytest.raises(DomainError, match="at most 10, got 11"):
        _arguments.integers("n", 11, minimum=2, maximum=10)


def test_numbers_in_names_the_range_and_the_first_offender():
    with pytest.raises(DomainError, match=r"gamma must be a finite number, or an array of them, in \(0, 1\], got 1.5"):
        _arguments.numbers_in("gamma", [0.5, 1.5, 2.0], 0.0, 1.0, open_low=True)
    with pytest.raises(DomainError, match=r"in \[0, 1\), got 1.0"):
        _arguments.numbers_in("h", 1.0, 0.0, 1.0, open_high=True)
    with pytest.raises(DomainError, match=r"in \(0, inf\), got inf"):
        _arguments.positive_numbers("std", math.inf)


def test_flag_refuses_numbers():
    with pytest.raises(DomainError, match="fit_mean must be True or False, got 1"):
        _arguments.flag("fit_mean", 1)


def test_scalars_become_floats():
    assert type(_arguments.numbers_or_scalar(np.float64(1.5))) is float
    assert _arguments.numbers_or_scalar([1.5]).shape == (1,)
