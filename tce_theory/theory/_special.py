"""Special functions in the combinations that occur here, without the cancellation of their parts."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

__all__ = ["digamma_minus_log", "expm1_minus_arg", "log1p_minus_arg", "log_gamma_ratio", "stirling_remainder"]

# B_2k, k = 1 .. 8: with an argument of at least 10 the first neglected term of either series is below 1e-16
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
_ASYMPTOTIC_FROM = 10
_ATANH_TERMS = 14
_EXP_TERMS = 15


def log1p_minus_arg(y: Any) -> Any:
    """Return log(1 + y) − y, elementwise, for real y > −1 or complex y.

    With r = y/(2 + y), log(1 + y) = 2 artanh(r) and 2r − y = −y r, which leaves no difference of near equals.
    """
    y = np.asarray(y)
    near = np.abs(y) < 0.4
    inner = np.where(near, y, 0.0)
    r = inner / (2 + inner)
    tail = np.zeros_like(r)
    for k in range(_ATANH_TERMS, 0, -1):
        tail = tail * r * r + 1 / (2 * k + 1)
    return np.where(near, r * (2 * r * r * tail - inner), special.log1p(np.where(near, 1.0, y)) - y)


def expm1_minus_arg(y: Any) -> Any:
    """Return exp(y) − 1 − y, elementwise, for real y."""
    y = np.asarray(y, dtype=np.float64)
    near = np.abs(y) < 0.5
    inner = np.where(near, y, 0.0)
    series = np.zeros_like(inner)
    for k in range(_EXP_TERMS, 1, -1):
        series = series * inner + 1 / math.factorial(k)
    return np.where(near, series * inner * inner, np.expm1(np.where(near, 1.0, y)) - y)


def stirling_remainder(x: Any) -> Any:
    """Return log Γ(x) − [(x − 1/2) log x − x + log(2π)/2] for |x| ≥ 10 with positive real part, or real x ≥ 10."""
    inverse_square = 1 / (x * x)
    series: Any = 0.0
    for k in range(len(_BERNOULLI), 0, -1):
        series = series * inverse_square + _BERNOULLI[k - 1] / (2 * k * (2 * k - 1))
    return series / x


def log_gamma_ratio(x: Any, a: Any) -> Any:
    """Return log[Γ(x + a)/Γ(x)] − a log x for real x > 0 and real or complex a with Re(a) ≥ 0.

    The three terms grow like x log x, their sum decays like a(a − 1)/(2x): the relative accuracy is near that of
    float64 for any x.
    """
    x, a = np.asarray(x, dtype=np.float64), np.asarray(a)
    small = x < _ASYMPTOTIC_FROM
    base = np.where(small, x + _ASYMPTOTIC_FROM, x)
    ratio = a / base
    result = (
        base * log1p_minus_arg(ratio)
        + (a - 0.5) * special.log1p(ratio)
        + stirling_remainder(base + a)
        - stirling_remainder(base)
    )
    if not small.any():
        return result
    shift = a * np.log1p(_ASYMPTOTIC_FROM / x)
    for j in range(_ASYMPTOTIC_FROM):
        shift = shift - special.log1p(a / (x + j))
    return result + np.where(small, shift, 0.0)


def digamma_minus_log(x: Any) -> Any:
    """Return ψ(x) − log x for real x > 0, which decays like −1/(2x)."""
    x = np.asarray(x, dtype=np.float64)
    small = x < _ASYMPTOTIC_FROM
    base = np.where(small, _ASYMPTOTIC_FROM, x)
    inverse_square = 1 / (base * base)
    series = np.zeros_like(base)
    for k in range(len(_BERNOULLI), 0, -1):
        series = (series + _BERNOULLI[k - 1] / (2 * k)) * inverse_square
    return np.where(small, special.digamma(x) - np.log(x), -0.5 / base - series)
