"""Results of the literature on cross entropy in the replace regime: tail bounds, a biased sampler, rates of extinction.

The Gaussian results are for a fitted mean and the unbiased variance (`ddof` 1) unless said otherwise: generation t + 1
has the variance σ_t² χ²_{n−1}/(n − 1). All functions broadcast and return a float when all arguments are numbers.

Bounds of probabilities are clipped at 1. With ``log=True`` they are returned as logarithms (clipped at 0), which do not
underflow.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

from tce_theory.theory._arguments import (
    FloatOrArray,
    Integers,
    flag,
    integers,
    numbers_in,
    numbers_or_scalar,
    positive_numbers,
)
from tce_theory.theory._special import digamma_minus_log, log_gamma_ratio
from tce_theory.theory.categorical import survival_probability
from tce_theory.theory.gaussian import StepLaw, log_variance_drift, step_law

__all__ = [
    "bernoulli_survival_bound",
    "bertrand_tail_bound",
    "best_tail_bound",
    "best_tail_order",
    "mad_log_variance_drift",
    "mad_variance_factor",
    "poisson_survival",
    "suresh_rate",
    "suresh_tail_bound",
]

_LONGEST = 10**7
"""Generations of the recursion of `suresh_rate`: its time and memory grow with them."""

_WIDEST_STEP = 300.0
"""Largest log(1 + 2s/ν) that is tried for the order s, so that s² stays in the range of float64."""

_MOST_STEPS = 60
"""Newton steps; quadratic convergence takes fewer than ten."""


def bertrand_tail_bound(t: Integers, n: Integers, epsilon: Any, *, std: Any = 1.0, log: bool = False) -> FloatOrArray:
    """Upper bound (σ_0/ε) α(n)^t of Pr(σ_t > ε): Markov's inequality for σ_t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n : int or array of int
        Points a generation, at least 2.
    epsilon : float or array of float
        Scale ε > 0, in the unit of the data.
    std : float or array of float
        σ_0, in the unit of the data.
    log : bool
        Whether to return the logarithm.

    Returns
    -------
    float or ndarray
        min(1, (σ_0/ε) α(n)^t) or its logarithm, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-tail-bounds`; after Bertrand et al. (2024). α is `tce_theory.theory.gaussian.alpha`.

    Examples
    --------
    >>> round(bertrand_tail_bound(1000, 100, 0.5), 12)
    0.1600830705
    """
    time, ratio = integers("t", t, minimum=0), _log_ratio(epsilon, std)
    law = step_law(n, ddof=1)
    return _bound(time * log_gamma_ratio(law.degrees_of_freedom / 2, 0.5) - ratio, log)


def suresh_tail_bound(t: Integers, n: Integers, epsilon: Any, *, std: Any = 1.0, log: bool = False) -> FloatOrArray:
    """Upper bound (σ_0/ε) exp(−t/(4n − 1)) of Pr(σ_t > ε).

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n : int or array of int
        Points a generation, at least 2.
    epsilon : float or array of float
        Scale ε > 0, in the unit of the data.
    std : float or array of float
        σ_0, in the unit of the data.
    log : bool
        Whether to return the logarithm.

    Returns
    -------
    float or ndarray
        min(1, (σ_0/ε) exp(−t/(4n − 1))) or its logarithm, of the broadcast shape; never below `bertrand_tail_bound`.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-tail-bounds`; after Suresh et al. (2024). It holds because α(n) < exp(−1/(4n − 3)).

    Examples
    --------
    >>> round(suresh_tail_bound(1000, 100, 0.5), 12)
    0.163144578998
    """
    time, ratio = integers("t", t, minimum=0), _log_ratio(epsilon, std)
    size = integers("n", n, minimum=2)
    return _bound(-time / (4 * size - 1) - ratio, log)


def best_tail_bound(
    t: Integers, n: Integers, epsilon: Any, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 1, log: bool = False
) -> FloatOrArray:
    """Least of all bounds of Pr(σ_t > ε) that Markov's inequality gives for a power σ_t^q, q ≥ 0.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `tce_theory.theory.gaussian.step_law`; the default is that of the other bounds.
    epsilon : float or array of float
        Scale ε > 0, in the unit of the data.
    std : float or array of float
        σ_0, in the unit of the data.
    log : bool
        Whether to return the logarithm.

    Returns
    -------
    float or ndarray
        min over q ≥ 0 of (σ_0/ε)^q E[(χ²_ν/m)^(q/2)]^t, or its logarithm, of the broadcast shape. At t = 0, where σ_t
        is known: 0 (logarithm −inf) for ε > σ_0, else 1. Where the best order would exceed the cap of
        `best_tail_order` it is the bound of the cap, which is one too; float64 has 0 for either.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-tail-bounds`; it is the Chernoff bound of the random walk log σ_t², with the best exponent (Cramér
    1938). The minimising q is `best_tail_order`.

    Examples
    --------
    >>> round(best_tail_bound(1000, 100, 0.5), 12)
    0.152471115046
    """
    time, ratio = integers("t", t, minimum=0), _log_ratio(epsilon, std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    drift = np.asarray(log_variance_drift(n, fit_mean=fit_mean, ddof=ddof))
    order = _order(time, ratio, law, drift)
    log_moment = log_gamma_ratio(law.degrees_of_freedom / 2, order) + order * law.log_mean_factor
    exponent = time * log_moment - 2 * order * ratio
    return _bound(np.where(time > 0, exponent, np.where(ratio > 0, -np.inf, 0.0)), log)


def best_tail_order(
    t: Integers, n: Integers, epsilon: Any, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 1
) -> FloatOrArray:
    """Power q of σ_t for which Markov's inequality bounds Pr(σ_t > ε) best.

    Parameters
    ----------
    t : int or array of int
        Generation, from 1.
    n, fit_mean, ddof
        See `tce_theory.theory.gaussian.step_law`.
    epsilon : float or array of float
        Scale ε > 0, in the unit of the data.
    std : float or array of float
        σ_0, in the unit of the data.

    Returns
    -------
    float or ndarray
        q ≥ 0, of the broadcast shape. It is 0, and the bound 1, when ε is no larger than exp(E log σ_t). It is capped
        at about ν exp(300); the bound of that order has a logarithm below −10^130.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-tail-bounds`. The logarithm of the bound, q log(σ_0/ε) + t log E[(χ²_ν/m)^(q/2)], is strictly convex
    in q because its second derivative is t ψ'((ν + q)/2)/4 > 0. So there is at most one stationary point:
    ψ((ν + q)/2) = log(m/2) + (2/t) log(ε/σ_0).

    Examples
    --------
    >>> round(best_tail_order(1000, 100, 0.5), 9)
    0.861166184
    """
    time, ratio = integers("t", t, minimum=1), _log_ratio(epsilon, std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    drift = np.asarray(log_variance_drift(n, fit_mean=fit_mean, ddof=ddof))
    return numbers_or_scalar(2 * _order(time, ratio, law, drift))


def mad_variance_factor(t: Integers, bias: Any) -> FloatOrArray:
    """Return E Σ_t over Σ_0 when every generation is sampled with its covariance shrunk by a factor, λ^t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    bias : float or array of float
        λ ≥ 0, the factor of the covariance of what is sampled; 1 is unbiased sampling.

    Returns
    -------
    float or ndarray
        λ^t, of the broadcast shape, in any dimension; inf beyond the range of float64.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `mad-bias`; Alemohammad et al. (2024). The fit is the sample mean and the unbiased sample covariance.

    Examples
    --------
    >>> round(mad_variance_factor(10, 0.9), 12)
    0.3486784401
    """
    time, factor = integers("t", t, minimum=0), numbers_in("bias", bias, 0.0)
    with np.errstate(over="ignore"):
        return numbers_or_scalar(np.power(factor, time))


def mad_log_variance_drift(n: Integers, bias: Any) -> FloatOrArray:
    """Almost sure rate of log(vᵀ Σ_t v) a generation under sampling bias, for any fixed direction v.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 2.
    bias : float or array of float
        λ > 0, the factor of the covariance of what is sampled.

    Returns
    -------
    float or ndarray
        log λ + ψ((n − 1)/2) − log((n − 1)/2) < log λ, in nats, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `mad-bias`. A path falls faster than its mean λ^t, by about 1/n a generation: it collapses at λ = 1, and even
    for λ a little above 1.

    Examples
    --------
    >>> round(mad_log_variance_drift(100, 1.0), 12)
    -0.010135018848
    >>> mad_log_variance_drift(100, 1.01) < 0
    True
    """
    factor = positive_numbers("bias", bias)
    return numbers_or_scalar(np.log(factor) + log_variance_drift(n, ddof=1))


def suresh_rate(k: Integers) -> FloatOrArray:
    """Return g_k, the extinction rate of a count after k generations: g_1 = 1, g_{k+1} = 1 − exp(−g_k).

    Parameters
    ----------
    k : int or array of int
        Generation, from 1 to 10^7 + 1.

    Returns
    -------
    float or ndarray
        In (0, 1], of the shape of `k`; k + 1 ≤ 2/g_k ≤ k + 1 + log(k)/3.

    Raises
    ------
    DomainError
        If `k` is out of range.

    Notes
    -----
    Slug `suresh-rates`; after Suresh et al. (2024). It is `survival_probability` of k − 1 in
    `tce_theory.theory.categorical`.

    Examples
    --------
    >>> suresh_rate(1), round(suresh_rate(2), 12)
    (1.0, 0.632120558829)
    """
    generation = integers("k", k, minimum=1, maximum=_LONGEST + 1)
    return survival_probability(generation - 1)


def poisson_survival(k: Integers, n: Integers, rate: Any) -> FloatOrArray:
    """Probability that a Poisson model has not become degenerate at 0 by generation k.

    Parameters
    ----------
    k : int or array of int
        Generation, from 1 to 10^7 + 1.
    n : int or array of int
        Points a generation, at least 1.
    rate : float or array of float
        λ_0 ≥ 0, the mean of a point at generation 0.

    Returns
    -------
    float or ndarray
        Pr(λ_k ≠ 0) = 1 − exp(−n λ_0 g_k), of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `suresh-rates`; after Suresh et al. (2024). Exact.

    Examples
    --------
    >>> round(poisson_survival(10, 10, 1.0), 6), round(poisson_survival(50, 10, 1.0), 6)
    (0.821389, 0.31871)
    """
    size, mean = integers("n", n, minimum=1), numbers_in("rate", rate, 0.0)
    with np.errstate(over="ignore"):  # exp(−inf) = 0
        return numbers_or_scalar(-np.expm1(-size * (mean * np.asarray(suresh_rate(k)))))


def bernoulli_survival_bound(k: Integers, n: Integers, p: Any) -> FloatOrArray:
    """Lower bound of the probability that a Bernoulli model still gives its class a chance at generation k.

    Parameters
    ----------
    k : int or array of int
        Generation, from 1 to 10^7 + 1.
    n : int or array of int
        Points a generation, at least 1.
    p : float or array of float
        Probability of the class at generation 0, in [0, 1].

    Returns
    -------
    float or ndarray
        1 − exp(−n p g_k) ≤ Pr(p_k ≠ 0), of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `suresh-rates`; after Suresh et al. (2024). The same for one class of a categorical model.

    Examples
    --------
    >>> round(bernoulli_survival_bound(50, 100, 0.1), 6)
    0.31871
    """
    size, share = integers("n", n, minimum=1), numbers_in("p", p, 0.0, 1.0)
    return numbers_or_scalar(-np.expm1(-size * share * np.asarray(suresh_rate(k))))


def _log_ratio(epsilon: Any, std: Any) -> np.ndarray:
    """log(ε/σ_0); the quotient itself could leave the range of float64."""
    threshold, scale = positive_numbers("epsilon", epsilon), positive_numbers("std", std)
    quotient = np.asarray(np.log(threshold) - np.log(scale))
    close = (threshold / 2 < scale) & (scale / 2 < threshold)
    difference = np.where(close, threshold - scale, 0.0)  # exact, by Sterbenz
    return np.where(close, np.log1p(difference / scale), quotient)


def _bound(exponent: Any, log: bool) -> FloatOrArray:
    clipped = np.minimum(exponent, 0.0)
    return numbers_or_scalar(clipped if flag("log", log) else np.exp(clipped))


def _order(time: np.ndarray, ratio: np.ndarray, law: StepLaw, drift: np.ndarray) -> np.ndarray:
    """Order s = q/2 of the best bound.

    With x = ν/2 and s = x (e^v − 1) the stationary point solves g(v) = ψ(x e^v) − ψ(x) = c, where
    c = (2/t) log(ε/σ_0) − drift; for c ≤ 0 the bound grows from v = 0 on. The slope of g, y ψ'(y) at y = x e^v, falls
    to 1 as v grows, because y ψ'(y) = 1 + ∫ exp(−y u) k'(u) du over u > 0, where k(u) = u/(1 − exp(−u)) is increasing.
    So g is concave with a slope above 1, and Newton's method from a point below the root climbs to it. Such a point is
    v = max(0, c + ψ(x) − log x), since ψ(y) < log y gives g(v) < v − (ψ(x) − log x).
    """
    x = law.degrees_of_freedom / 2
    with np.errstate(divide="ignore", invalid="ignore"):
        level = np.where(time > 0, 2 * ratio / time, 0.0) - drift
    level = np.minimum(np.maximum(level, 0.0), _WIDEST_STEP)
    x, level = np.broadcast_arrays(x, level)
    offset = digamma_minus_log(x)
    v = np.maximum(0.0, level + offset)
    for _ in range(_MOST_STEPS):
        y = x * np.exp(v)
        step = (level - (digamma_minus_log(y) - offset + v)) / _argument_times_trigamma(y)
        v = np.maximum(v + step, 0.0)
        if (np.abs(step) <= 1e-15 * v).all():
            break
    order: np.ndarray = x * np.expm1(v)
    return order


def _argument_times_trigamma(y: np.ndarray) -> np.ndarray:
    """Return y ψ'(y); beyond 1e8 it is 1 within 1e-8, enough for a Newton step."""
    inner = np.minimum(y, 1e8)
    slope: np.ndarray = inner * special.polygamma(1, inner)
    return slope
