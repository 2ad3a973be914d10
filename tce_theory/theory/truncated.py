"""Gaussian model under relative truncation: samples within a radius of a scales around the centre are masked.

The threshold γ is relative to the peak of the density, so that a sample is masked where its Mahalanobis radius is below
a = sqrt(−2 log γ). By scale equivariance log σ² is a random walk with independent steps (slug `scale-no-go`).

With the previous generation's mask the law of one step is computed here for every n: K, the number of the n points that
are kept, is binomial, and given K the step is that of K independent points from the normal law outside the radius. It
is conditional on at least two kept points if the mean is fitted (to the kept points, by maximum likelihood), on at
least one if it is known; with fewer there is no fit, and a recursion keeps the model that it has.

With the mask of the model that is being fitted the step has no closed form at finite n. Its limit for n → ∞ is the
population factor of `relative_fixed_point`, and the variance of a step is of order 1/n.

All functions broadcast and return a float when all of their arguments are numbers.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import linalg, optimize, special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import FloatOrArray, Integers, flag, integers, numbers_in, numbers_or_scalar
from tce_theory.theory._special import digamma_minus_log, log1p_minus_arg, stirling_remainder

__all__ = [
    "expected_masked",
    "extension_law",
    "kept_probability",
    "log_critical_radius",
    "log_variance_drift",
    "log_variance_step_variance",
    "mean_critical_radius",
    "population_drift",
    "population_step_variance",
    "relative_fixed_point",
    "relative_gamma",
    "relative_radius",
    "stable_radius",
    "stable_radius_drift",
    "tail_inflation",
    "top_share_drift",
    "variance_factor",
]

_LARGEST_RADIUS = 8.0
"""Of the law of a step at finite n; beyond it fewer than one point in 10^15 is kept."""

_WIDEST = 100.0
"""Largest half-width of a band in log σ²."""

_FEWEST_FOR_LOG_ROOT = 9
"""Smallest n at which the drift with a fitted mean has a zero."""

_ROOT2 = math.sqrt(2.0)
_HAZARD0 = math.sqrt(2 / math.pi)
"""Hazard of the standard normal law at 0."""


# ---------------------------------------------------------------------------------------------- thresholds and radii


def relative_radius(gamma: Any) -> FloatOrArray:
    """Radius a = sqrt(−2 log γ), in scales, at which a Gaussian density is γ times its peak.

    Parameters
    ----------
    gamma : float or array of float
        Threshold relative to the peak of the density, in (0, 1].

    Returns
    -------
    float or ndarray
        Of the shape of `gamma`; the same in every dimension.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `tail-inflation`.

    Examples
    --------
    >>> round(relative_radius(0.85), 12)
    0.570120916118
    """
    return numbers_or_scalar(np.sqrt(2 * np.abs(np.log(numbers_in("gamma", gamma, 0.0, 1.0, open_low=True)))))


def relative_gamma(a: Any) -> FloatOrArray:
    """Threshold γ = exp(−a²/2) relative to the peak of the density that masks within `a` scales.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, at least 0.

    Returns
    -------
    float or ndarray
        In [0, 1], of the shape of `a`; 0 where it underflows, from a = 38.6 on.

    Raises
    ------
    DomainError
        If `a` is negative or not finite.

    Notes
    -----
    Slug `relative-fixed-point`: the self-consistent rule in one dimension needs a < 1, γ > exp(−1/2).

    Examples
    --------
    >>> round(relative_gamma(1.0), 6)
    0.606531
    """
    radius = np.minimum(numbers_in("a", a, 0.0), 100.0)  # a larger one would overflow when squared, and gives 0 as well
    return numbers_or_scalar(np.exp(-(radius**2) / 2))


# ------------------------------------------------------------------------------------------------ on the population


def tail_inflation(a: Any, dimension: Integers = 1) -> FloatOrArray:
    """Factor η_d(a) by which leaving out what lies within a scales of the centre inflates the variance.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, in [0, 1e6].
    dimension : int or array of int
        Number of dimensions d, from 1 to 10^6.

    Returns
    -------
    float or ndarray
        Variance in each coordinate of a standard normal vector outside the radius, η_d(a) = Q(d/2 + 1, a²/2)/Q(d/2,
        a²/2) ≥ 1, Q the regularised upper incomplete gamma function; of the broadcast shape. Relative error below
        1e-12.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `tail-inflation`. In one dimension η(a) = 1 + a h(a), h the hazard of the standard normal law; in two,
    η(a) = 1 + a²/2. In d dimensions half the squared radius is G ~ Gamma(d/2), and η_d(a) = E(G | G ≥ w)/(d/2) with
    w = a²/2. Neither of the functions Q appears where it underflows: there the mean excess over w is a continued
    fraction.

    Examples
    --------
    >>> round(tail_inflation(1.0), 12)
    2.525135276161
    >>> tail_inflation(3.0, dimension=2)
    5.5
    """
    radius = numbers_in("a", a, 0.0, 1e6)
    shape = integers("dimension", dimension, minimum=1, maximum=10**6) / 2
    w, shape = np.broadcast_arrays(radius**2 / 2, shape)
    line = 1 + radius * _HAZARD0 / special.erfcx(radius / _ROOT2)
    return numbers_or_scalar(np.where(shape == 0.5, line, (w + _mean_excess(shape, w)) / shape))


def relative_fixed_point(a: Any, dimension: Integers = 1) -> FloatOrArray:
    """Factor s of the scale in one generation of self-consistent relative truncation, on the population.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the fitted scale, at least 0 and with a² < d.
    dimension : int or array of int
        Number of dimensions d, from 1 to 10^6.

    Returns
    -------
    float or ndarray
        The one solution s ≥ 1 of s² = η_d(a s), of the broadcast shape. Relative error below 1e-12, up to the edge of
        existence, for the given `a` (the problem itself magnifies a rounding of `a` by 1/(1 − a²/d)).

    Raises
    ------
    DomainError
        If an argument is out of range; for a² ≥ d there is no solution.

    Notes
    -----
    Slug `relative-fixed-point`. Exactly s² = 2/(2 − a²) for d = 2; s² = 2/(d − a²) + (d − 2)/d + o(1) as a² → d.

    In w = (as)²/2 the equation is w = c e(w) with c = a²/(d − a²) and e(w) = E(G | G ≥ w) − w for G ~ Gamma(d/2). The
    mean excess e runs monotonely from d/2 at w = 0 to 1 as w → ∞ (its hazard does from the other side), so that the
    root lies between c and c d/2. It is unique: e(w)/w + 1 is the mean of the density proportional to x^(d/2−1) exp(−w
    x) on x ≥ 1, an exponential family in −w, and strictly decreases.

    Examples
    --------
    >>> round(relative_fixed_point(0.5), 11), round(relative_fixed_point(0.9), 11)
    (1.36960494464, 3.10660934774)
    >>> relative_fixed_point(1.0, dimension=2) ** 2  # doctest: +ELLIPSIS
    2.0...
    """
    radius = numbers_in("a", a, 0.0)
    size = integers("dimension", dimension, minimum=1, maximum=10**6)
    radius, size = np.broadcast_arrays(radius, size)
    gap = _difference_to_square(size, np.minimum(radius, 2000.0))
    beyond = gap <= 0
    if beyond.any():
        admissible = "below the square root of the dimension (for a larger radius there is no fixed point)"
        raise DomainError("a", float(radius[beyond].flat[0]), admissible)
    scales = [_fixed_scale(*entry) for entry in zip(radius.flat, size.flat, gap.flat, strict=True)]
    return numbers_or_scalar(np.reshape(scales, radius.shape))


def _difference_to_square(size: np.ndarray, a: np.ndarray) -> np.ndarray:
    """Return d − a² without cancellation: the rounding error of a² is computed (Dekker 1971) and taken out."""
    shifted = a * 134217729.0  # 2^27 + 1 splits a into halves whose products are exact
    high = shifted - (shifted - a)
    low = a - high
    square = a * a
    error = ((high * high - square) + 2 * high * low) + low * low
    return np.asarray((size - square) - error)


def _fixed_scale(radius: float, size: float, gap: float) -> float:
    if radius < 1e-30 or size == 2:  # s² = 1 + O(a), or exact
        return math.sqrt(size / gap)
    shape, ratio = size / 2, radius * (radius / gap)

    def excess(w: float) -> float:
        return float(w / ratio - _mean_excess(np.asarray(shape), np.asarray(w)))

    low, high = ratio * min(1.0, shape), ratio * max(1.0, shape)
    # the signs are those of the proof up to rounding, where an end is the root to all digits
    if excess(low) >= 0:
        root = low
    elif excess(high) <= 0:
        root = high
    else:
        root = float(optimize.brentq(excess, low, high, xtol=1e-300, rtol=8.9e-16, maxiter=500))
    return math.sqrt(2 * float(_mean_excess(np.asarray(shape), np.asarray(root))) / gap)


def population_drift(a: Any, *, mask: str = "current", dimension: Integers = 1) -> FloatOrArray:
    """Step of log σ² in one generation of relative truncation on the population, the limit for n → ∞.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale: from 0 to 1e6, and a² < d with the current mask.
    mask : {"current", "previous"}
        Whether the mask is that of the model being fitted or that of the previous generation's.
    dimension : int or array of int
        Number of dimensions d, from 1 to 10^6.

    Returns
    -------
    float or ndarray
        2 log s with the current mask, log η_d(a) with the previous one; in nats, positive for a > 0.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `relative-fixed-point`. At finite n the drift is lower by a term of order 1/n and a step has a variance of
    order 1/n; with the previous mask both are computed by `log_variance_drift` and `log_variance_step_variance`, with
    the current one they have no closed form.

    Examples
    --------
    >>> round(population_drift(0.5), 12), round(population_drift(0.5, mask="previous"), 12)
    (0.629044673354, 0.451418799438)
    """
    if mask not in ("current", "previous"):
        raise DomainError("mask", mask, '"current" or "previous"')
    if mask == "current":
        return numbers_or_scalar(2 * np.log(relative_fixed_point(a, dimension)))
    return numbers_or_scalar(np.log(tail_inflation(a, dimension)))


def population_step_variance(a: Any, n: Integers, *, mask: str = "current") -> FloatOrArray:
    """Variance of the step of log σ² in one generation of relative truncation, leading order for n → ∞; one dimension.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale: in [0, 0.99] with the current mask (at 0.99 one point in 10^22 is
        kept), in [0, 8] with the previous one.
    n : int or array of int
        Points a generation, at least 1.
    mask : {"current", "previous"}
        Whether the mask is that of the model being fitted or that of the previous generation's.

    Returns
    -------
    float or ndarray
        κ(c)/(n p(c) D²), of the broadcast shape: p(c) is the probability outside c, and κ(c) + 1 is the kurtosis of
        what is there. Current mask: c = a s(a) and D = 1 − (1 − a²)(s² − 1)/2; previous mask: c = a and D = 1. Whether
        the centre is known or the mean of all points makes no difference to this order.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `relative-fixed-point`: the variance of the limit law of sqrt(n) times the step, over n, from the estimating
    equation Σ (z² − s²) = 0 over |z| ≥ as. With the previous mask `log_variance_step_variance` is exact.

    Examples
    --------
    >>> round(population_step_variance(0.5, 1000), 9)
    0.003217286
    """
    if mask not in ("current", "previous"):
        raise DomainError("mask", mask, '"current" or "previous"')
    radius = numbers_in("a", a, 0.0, _LARGEST_RADIUS if mask == "previous" else 0.99)
    size = integers("n", n, minimum=1)
    if mask == "current":
        scale = np.asarray(relative_fixed_point(radius))
        edge, squared = radius * scale, scale**2
        slope = 1 - (1 - radius) * (1 + radius) * (squared - 1) / 2
    else:
        edge, squared, slope = radius, 1 + _inflation_minus_one(radius), np.ones_like(radius)
    kappa = (3 * squared + edge**2 * (squared - 1)) / squared**2 - 1
    return numbers_or_scalar(kappa / (size * special.erfc(edge / _ROOT2) * slope**2))


def stable_radius(bias: Any) -> FloatOrArray:
    """Radius at which the source's criterion λ η(a) = 1 holds.

    Parameters
    ----------
    bias : float or array of float
        Factor λ by which a generation multiplies the mean of the variance without truncation, in (0, 1]; 1 − 1/n for
        the sampling noise of maximum likelihood with a fitted mean.

    Returns
    -------
    float or ndarray
        The one a ≥ 0 with η(a) = 1/λ, of the shape of `bias`.

    Raises
    ------
    DomainError
        If `bias` is not in [1e-12, 1].

    Notes
    -----
    Slug `scale-no-go`: the criterion does not prevent collapse, see `stable_radius_drift`. With λ = 1 − 1/n it keeps
    the mean of the variance to leading order only: the loss is 1/K, K ≤ n the number of kept points, and
    `variance_factor` is below 1 there for n > 2; `mean_critical_radius` keeps the mean exactly. Bracket: with y = 1/λ −
    1, max(h(0), a) ≤ h(a) ≤ h(0) + a for the hazard h, because 0 < h' < 1; hence a is at most min(y/h(0), sqrt(y)) and
    at least the positive root of a² + h(0) a = y. η is strictly increasing, so that the root is unique.

    Examples
    --------
    >>> round(stable_radius(0.9), 12)
    0.126267192535
    """
    factor = numbers_in("bias", bias, 1e-12, 1.0)
    roots = [_radius_of_inflation((1 - value) / value) for value in factor.flat]
    return numbers_or_scalar(np.reshape(roots, factor.shape))


def _radius_of_inflation(y: float) -> float:
    """Root a of η(a) − 1 = y."""
    if y == 0:
        return 0.0
    low = 2 * y / (_HAZARD0 + math.sqrt(2 / math.pi + 4 * y))
    high = min(y / _HAZARD0, math.sqrt(y))

    def excess(a: float) -> float:
        return float(_inflation_minus_one(a) / y - 1)

    if excess(low) >= 0:  # equal ends, up to rounding
        return low
    return high if excess(high) <= 0 else float(optimize.brentq(excess, low, high, xtol=1e-300, rtol=8.9e-16))


def _inflation_minus_one(a: Any) -> Any:
    return a * _HAZARD0 / special.erfcx(a / _ROOT2)


def _mean_excess(shape: np.ndarray, w: np.ndarray) -> np.ndarray:
    """E(G | G ≥ w) − w for G ~ Gamma(shape), by the hazard near and below the mean, by a continued fraction above."""
    far = w > shape + 6 * np.sqrt(shape) + 2
    inner = np.where(far, shape, w)
    near_value = shape - inner + _scaled_hazard(shape, inner)
    outer = np.where(far, w, shape + 6 * np.sqrt(shape) + 2)
    # Γ(α, w) = w^α e^(−w) / (w + 1 − α − 1(1 − α)/(w + 3 − α − …)), Legendre; 60 levels are enough from here on
    level = outer - shape + (2 * 60 + 1)
    for j in range(60, 1, -1):
        level = outer - shape + (2 * j - 1) - j * (j - shape) / level
    far_value = 1 - (1 - shape) / level
    return np.asarray(np.where(far, far_value, near_value))


def _scaled_hazard(shape: np.ndarray, w: np.ndarray) -> np.ndarray:
    """Return w times the hazard of Gamma(shape) at w, w^α e^(−w)/Γ(α, w), for w not far above the mean."""
    large = shape >= 10
    stirling = np.where(large, shape, 10.0)
    with np.errstate(divide="ignore"):  # at w = 0 the logarithm is −inf, and the hazard times w is 0
        log_large = stirling * log1p_minus_arg(np.where(large, (w - shape) / stirling, 0.0))
        log_large = log_large + np.log(stirling / (2 * math.pi)) / 2 - stirling_remainder(stirling)
        small = np.where(large, 1.0, shape)
        log_small = small * np.log(w) - w - special.gammaln(small)
    density = np.exp(np.where(large, log_large, log_small))
    return np.asarray(density / special.gammaincc(shape, w))


# --------------------------------------------------------------------------------- one step with the previous mask


def expected_masked(a: Any, n: Integers) -> FloatOrArray:
    """Mean number of masked points a generation, n erf(a/sqrt(2)), with the previous generation's mask.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, at least 0.
    n : int or array of int
        Points a generation, at least 1.

    Returns
    -------
    float or ndarray
        In [0, n], of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`: about two at zero drift of log σ², about one at zero drift of the mean of σ².

    Examples
    --------
    >>> round(expected_masked(log_critical_radius(100), 100), 4)
    2.0096
    """
    radius, size = numbers_in("a", a, 0.0), integers("n", n, minimum=1)
    return numbers_or_scalar(size * special.erf(radius / _ROOT2))


def kept_probability(a: Any, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Probability that enough points are kept for a fit: two if the mean is fitted, one if it is known.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, in [0, 8].
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        In (0, 1], of the broadcast shape. Everything else here is conditional on this event.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`. With p = erfc(a/sqrt(2)): I_p(2, n − 1) and I_p(1, n), I the regularised incomplete beta
    function.

    Examples
    --------
    >>> round(kept_probability(1.0, 10), 12)
    0.875799640704
    """
    radius, size, fit_mean = _radius_and_size(a, n, fit_mean)
    least = 2.0 if fit_mean else 1.0
    return numbers_or_scalar(special.betainc(least, size - least + 1, special.erfc(radius / _ROOT2)))


def variance_factor(a: Any, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean of σ²_{t+1}/σ²_t under relative truncation with the previous mask.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, in [0, 8].
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (to the kept points) or known.

    Returns
    -------
    float or ndarray
        η(a) (1 − E[1/K | K ≥ 2]) with a fitted mean, η(a) with a known one; conditional on enough kept points. Relative
        error below 1e-13.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`. Given K kept points the mean of their variance around their own mean is η(a) (1 − 1/K).

    Examples
    --------
    >>> round(variance_factor(0.0, 10), 12), round(variance_factor(0.3, 10), 12)
    (0.9, 1.123067526286)
    """

    def factor(radius: float, size: float) -> float:
        lost = _mean_inverse_kept(radius, size) if fit_mean else 0.0
        return float((1 + _inflation_minus_one(radius)) * (1 - lost))

    return _at_each(factor, *_radius_and_size(a, n, fit_mean)[:2])


def log_variance_drift(a: Any, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean step of log σ² a generation under relative truncation with the previous mask.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, in [0, 8].
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (to the kept points) or known.

    Returns
    -------
    float or ndarray
        In nats, of the broadcast shape; conditional on enough kept points. The error is below 1e-12 of log η(a) + 2/n.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`. Given K = k kept points with sum of squares S (around their mean if that is fitted) the
    mean of log S follows from its Laplace transform φ, E log S = E log S_0 + ∫ (φ_0(u) − φ(u)) du/u, with S_0 = η χ²_ν
    for a reference. Known mean: φ is the k-th power of that of one squared point. Fitted mean: with exp(−u S) =
    sqrt(ku/π) ∫ exp(−u Σ(y − m)²) dm it is an integral of k-th powers over m. Both integrals are by quadrature; the sum
    over K is direct where n is small or few points are kept, and otherwise the 24-point Gauss rule of the binomial law
    (zeros of a Krawtchouk polynomial). No expansion in 1/n is used.

    For large n the drift is about h(0) a − 2/n (fitted mean) or h(0) a − 1/n (known) where both are small. It is
    negative again at large a, where few points are kept: for n = 10 from a = 0.7915 on.

    Examples
    --------
    >>> round(log_variance_drift(0.1, 10), 12)
    -0.147880004798
    """
    return _at_each(
        lambda radius, size: _step_moments(radius, size, fit_mean)[0], *_radius_and_size(a, n, fit_mean)[:2]
    )


def log_variance_step_variance(a: Any, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Variance of the step of log σ² a generation under relative truncation with the previous mask.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, in [0, 8].
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (to the kept points) or known.

    Returns
    -------
    float or ndarray
        In nats squared, of the broadcast shape; conditional on enough kept points. Relative error below 5e-8 (mean
        fitted) or 5e-9 (known); for a ≤ 2 below 1e-9, and below 1e-10 up to 10^5 kept points.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`. As `log_variance_drift`, with the second logarithmic moment from the same integral with
    a weight −2 (log u + C), C Euler's constant. With k kept points that loses about 1e-16 k to cancellation, and more
    for a > 2; the expansion κ/k + c/k² of the delta method, κ + 1 the kurtosis of a kept point, takes over where it is
    the better one: from 10^6 kept points on for a ≤ 2, otherwise from 5e5 (mean fitted) or 5e4 (known). The error is
    largest on either side of this switch. For a → 0 and large n the variance is about 2/n, as under cross entropy.

    Examples
    --------
    >>> round(log_variance_step_variance(0.1, 10), 10)
    0.2478353485
    """
    return _at_each(
        lambda radius, size: _step_moments(radius, size, fit_mean)[1], *_radius_and_size(a, n, fit_mean)[:2]
    )


def mean_critical_radius(n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Radius a_mean(n) at which truncation with the previous mask keeps the mean of the variance.

    Parameters
    ----------
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (to the kept points) or known.

    Returns
    -------
    float or ndarray
        Root of `variance_factor` = 1, of the shape of `n`; 0 with a known mean. Relative error below 1e-12. It
        decreases with n.

    Raises
    ------
    DomainError
        If `n` is out of range.

    Notes
    -----
    Slug `critical-truncation`: sqrt(π/2)/n · (1 + 1/n + …). The root is bracketed: E[1/K | K ≥ 2] lies in [1/n, 1/2],
    so that the factor is at most 1 where η(a) = n/(n − 1), and at least 1 where η(a) = 2. Smaller roots, and roots with
    η(a) > 2, do not exist for n > 2; that there is one root between is numerical.

    Examples
    --------
    >>> [round(mean_critical_radius(n), 9) for n in (10, 100, 1000)]
    [0.145225526, 0.012663378, 0.001254572]
    """
    _, size, fit_mean = _radius_and_size(0.0, n, fit_mean)
    if not fit_mean:
        return numbers_or_scalar(np.zeros(size.shape))
    return numbers_or_scalar(np.reshape([_mean_root(value) for value in size.flat], size.shape))


def _mean_root(size: float) -> float:
    def excess(a: float) -> float:
        gain = _inflation_minus_one(a)
        return float(size * (gain - (1 + gain) * _mean_inverse_kept(a, size)))

    low, high = _radius_of_inflation(1 / (size - 1)), _radius_of_inflation(1.0)
    # for large n the end is the root but for a relative 1/n: a tighter end, where the sign allows it
    near = low * (1 + 4 / size)
    if near < high and excess(near) > 0:
        high = near
    if size == 2 or excess(low) >= 0:  # at n = 2 both ends are the root
        return low
    return float(optimize.brentq(excess, low, high, xtol=1e-300, rtol=8.9e-16))


def log_critical_radius(n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Radius a_log(n) at which truncation with the previous mask has no drift of log σ²: the smallest.

    Parameters
    ----------
    n : int or array of int
        Points a generation: from 9 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (to the kept points) or known.

    Returns
    -------
    float or ndarray
        Smallest root of `log_variance_drift`, of the shape of `n`. Relative error below 1e-11.

    Raises
    ------
    DomainError
        If `n` is out of range. With a fitted mean there is a root for every n ≥ 9; for n ≤ 8 the drift is negative for
        every a (numerically).

    Notes
    -----
    Slug `critical-truncation`: sqrt(2π)/n · (1 + 5/(12n) + …) with a fitted mean, sqrt(π/2)/n · (1 − 2/(3n) + …) with a
    known one. The drift increases with n for every a > 0, so that the smallest root decreases with n, from 0.4014 at n
    = 9. By Jensen's inequality the drift is negative at `mean_critical_radius`, which is the lower end of the bracket;
    the upper end is the first of a sequence of radii, each 10 % above the one before, at which the drift is positive.
    That the drift is negative below this bracket and has one zero in it is numerical.

    Examples
    --------
    >>> [round(log_critical_radius(n), 9) for n in (10, 100, 1000)]
    [0.308929236, 0.025188678, 0.00250769]
    """
    _, size, fit_mean = _radius_and_size(0.0, n, fit_mean)
    if fit_mean and (size < _FEWEST_FOR_LOG_ROOT).any():
        admissible = f"at least {_FEWEST_FOR_LOG_ROOT}: below, the drift is negative whatever the radius"
        raise DomainError("n", float(size[size < _FEWEST_FOR_LOG_ROOT].flat[0]), admissible)
    return numbers_or_scalar(np.reshape([_log_root(value, fit_mean) for value in size.flat], size.shape))


def _log_root(size: float, fit_mean: bool) -> float:
    def drift(a: float) -> float:
        return size * _step_moments(a, size, fit_mean)[0]

    low = _mean_root(size) if fit_mean else 0.0
    lead = math.sqrt(2 * math.pi) / size * (1 + 5 / (12 * size)) if fit_mean else math.sqrt(math.pi / 2) / size
    high = 1.001 * (lead if fit_mean else lead / (1 + 2 / (3 * size)))
    while drift(high) <= 0:
        if high > 2:
            raise ArithmeticError(f"no zero of the drift was found for n = {size:g}")
        low, high = high, 1.1 * high
    return float(optimize.brentq(drift, low, high, xtol=1e-300, rtol=8.9e-16))


def stable_radius_drift(n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean step of log σ² where the source's criterion λ η(a) = 1 holds, with λ the bias of the fit.

    Parameters
    ----------
    n : int or array of int
        Points a generation: from 2 with a fitted mean, from 1 with a known one, to 10^12.
    fit_mean : bool
        Whether the mean is fitted (λ = 1 − 1/n) or known (λ = 1, which needs no truncation).

    Returns
    -------
    float or ndarray
        Negative, conditional on enough kept points: about −1/n. With a fitted mean that is half of the rate of cross
        entropy, −2/n, as n → ∞: the ratio is 1/2 + 11/(24n) + …, 0.583 at n = 10, and for n = 3 it is above 1. With a
        known mean the ratio is 1.

    Raises
    ------
    DomainError
        If `n` is out of range.

    Notes
    -----
    Slug `scale-no-go`: the mean of the factor of σ² is at most 1, and by Jensen's inequality σ → 0 almost surely for
    every n. Where the previous model is kept if too few points are left, a generation's mean step is this times
    `kept_probability`.

    Examples
    --------
    >>> round(1000 * stable_radius_drift(1000), 4)
    -1.0018
    """
    _, size, fit_mean = _radius_and_size(0.0, n, fit_mean)

    def drift(count: float) -> float:
        radius = _radius_of_inflation(1 / (count - 1)) if fit_mean else 0.0
        return _step_moments(radius, count, fit_mean)[0]

    return numbers_or_scalar(np.reshape([drift(value) for value in size.flat], size.shape))


def _radius_and_size(a: Any, n: Integers, fit_mean: bool) -> tuple[np.ndarray, np.ndarray, bool]:
    fit_mean = flag("fit_mean", fit_mean)
    radius = numbers_in("a", a, 0.0, _LARGEST_RADIUS)
    return radius, integers("n", n, minimum=2 if fit_mean else 1, maximum=10**12), fit_mean


def _at_each(function: Callable[[float, float], float], radius: np.ndarray, size: np.ndarray) -> FloatOrArray:
    radius, size = np.broadcast_arrays(radius, size)
    values = [function(*entry) for entry in zip(radius.flat, size.flat, strict=True)]
    return numbers_or_scalar(np.reshape(values, radius.shape))


def _mean_inverse_kept(a: float, size: float) -> float:
    kept, weights = _kept_rule(a, size, 2)
    return float(weights @ (1 / kept))


def _step_moments(a: float, size: float, fit_mean: bool) -> tuple[float, float]:
    """Mean and variance of the step of log σ²."""
    kept, weights = _kept_rule(a, size, 2 if fit_mean else 1)
    means, variances = _log_moments(a, kept, fit_mean)
    mean = float(weights @ means)
    return mean, float(weights @ variances + weights @ (means - mean) ** 2)


_FEW = 64
_DIRECT_BELOW = 128
_GAUSS_POINTS = 24


def _kept_rule(a: float, size: float, least: int) -> tuple[np.ndarray, np.ndarray]:
    """Nodes and weights of the law of the number of kept points, conditional on at least `least`.

    Where n or the mean m = np is small: all counts of relevant probability. Otherwise the Gauss rule of the binomial
    law, whose error is that of approximating a function of K that is smooth on the scale m by a polynomial of degree 47
    over a few standard deviations, which are at most sqrt(m); the condition then has a probability of 1 − O(m e^(−m)).
    """
    p, q = special.erfc(a / _ROOT2), special.erf(a / _ROOT2)
    if q == 0:
        return np.array([size]), np.ones(1)
    if size > _FEW and size * p >= _DIRECT_BELOW:
        j = np.arange(float(_GAUSS_POINTS))
        beside = np.sqrt(j[1:] * (size - j[1:] + 1) * p * q)
        nodes, vectors = linalg.eigh_tridiagonal(j * (q - p), beside)
        return size * p + nodes, vectors[0] ** 2
    top = min(size, size * p + 14 * math.sqrt(size * p) + 60)
    kept = np.arange(least, math.floor(top) + 1.0)
    ratios = np.log((size - kept[1:] + 1) / kept[1:]) + (math.log(p) - math.log(q))
    log_weights = np.concatenate([[0.0], np.cumsum(ratios)])
    weights = np.exp(log_weights - log_weights.max())
    relevant = weights > 1e-18
    return kept[relevant], weights[relevant] / weights[relevant].sum()


# The integral over u, from 0 to ∞, in t with 1 + 2ηu = exp(2t/k), is by the trapezoidal rule in x, t = exp(x − exp(−x))
# (double exponential; Takahasi & Mori 1974), the one over the mean by Gauss's rule on panels.
def _double_exponential(step: float) -> tuple[np.ndarray, np.ndarray]:
    abscissae = np.arange(round(-3.6 / step), round(4.4 / step)) * step
    times = np.exp(abscissae - np.exp(-abscissae))
    return times, step * times * (1 + np.exp(-abscissae))


_TIME_RULES = {True: _double_exponential(0.05), False: _double_exponential(0.025)}
"""By `fit_mean`: without an average over the mean the integrand varies faster (one point, a near 0)."""
_PANEL_NODES, _PANEL_WEIGHTS = np.polynomial.legendre.leggauss(32)
_GAP_NODES, _GAP_WEIGHTS = np.polynomial.legendre.leggauss(10)


def _expansion_from(a: float, fit_mean: bool) -> float:
    """Kept points from which the variance is expanded in 1/k, about where this is as exact as the quadrature.

    The quadrature loses 1e-16 k to cancellation, and more for large a; with a known mean the next term of the expansion
    is small there.
    """
    if a <= 2:
        return 1e6
    return 5e5 if fit_mean else 5e4


def _log_moments(a: float, kept: np.ndarray, fit_mean: bool) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of log V, V the variance of k points of the normal law outside `a`; k need not be an integer.

    S = kV is compared with S_0 = η χ²_ν, whose Laplace transform is (1 + 2ηu)^(−ν/2) = exp(−νt/k). That of S is (1 +
    2u)^(−ν/2) E R^k, where R is the ratio of the probabilities outside `a` under the tilted law N(M, 1/(1 + 2u)) and
    under N(0, 1), with M = 0 (known mean) or M ~ N(0, (1 − 1/(1 + 2u))/k) (fitted mean).
    """
    degrees = kept - 1 if fit_mean else kept
    reference = digamma_minus_log(degrees / 2) + (np.log1p(-1 / kept) if fit_mean else 0.0)
    gain = _inflation_minus_one(a)
    times, time_weights = _TIME_RULES[fit_mean]
    k, t = kept[:, None], times[None, :]
    v, complement = np.exp(-2 * t / k), -np.expm1(-2 * t / k)  # 1/(1 + 2ηu) and 1 − that
    tilted = v * (1 + gain) / (1 + v * gain)  # 1/(1 + 2u)
    spread = complement / (1 + v * gain)  # 1 − 1/(1 + 2u)
    lift = -degrees[:, None] / 2 * np.log1p(-complement * gain / (1 + gain))
    edge_shift = a * np.expm1(np.log1p(complement / (v * (1 + gain))) / 2)  # a/sqrt(tilted) − a
    deficit = _tilted_deficit(a, k, np.sqrt(tilted), spread, lift, edge_shift, fit_mean)
    kernel = np.exp(-t * (degrees[:, None] / k)) * (2 / k) / complement * deficit * time_weights
    first = kernel.sum(axis=-1)
    second = -2 * (kernel * (np.log(k * complement / 2) + 2 * t / k + np.euler_gamma)).sum(axis=-1)
    means = np.log1p(gain) + reference + first
    variances = special.polygamma(1, degrees / 2) + second - (2 * reference + first) * first
    return means, np.where(kept > _expansion_from(a, fit_mean), _large_sample_variance(a, kept, fit_mean), variances)


def _tilted_deficit(
    a: float,
    k: np.ndarray,
    scale: np.ndarray,
    spread: np.ndarray,
    lift: np.ndarray,
    edge_shift: np.ndarray,
    fit_mean: bool,
) -> np.ndarray:
    """1 − exp(lift) E R^k."""
    p = special.erfc(a / _ROOT2)
    edge = a + edge_shift
    near = edge_shift < 0.5
    half = np.where(near, edge_shift / 2, 0.0)
    quadrature = sum(w * _density(a + half * (1 + x)) for x, w in zip(_GAP_NODES, _GAP_WEIGHTS, strict=True))
    # probability that the tilted law, centred, adds to the masked part
    added = np.where(near, 2 * half * quadrature, p - special.erfc(edge / _ROOT2))
    if not fit_mean:
        with np.errstate(divide="ignore"):
            return np.asarray(-np.expm1(lift + k * np.log1p(-np.minimum(added / p, 1.0))))
    unit = np.sqrt(spread / k)  # of M: M = unit · x with x standard normal, x ≥ 0 by symmetry
    middle, width = a / unit, scale / unit
    # exp(−u S) keeps M/spread near the mean of the kept points, at most about a, so that x beyond this has no weight
    last = np.sqrt(k * spread) * a + 9.5
    left, right = np.clip(middle - 8 * width, 0, last), np.clip(middle + 8 * width, 0, last)
    edges = [np.zeros_like(last), left / 2, left, (left + right) / 2, right, (right + last) / 2, last]
    k = np.broadcast_to(k, last.shape)
    total = np.zeros_like(last)
    for low, high in itertools.pairwise(edges):
        inside = high > low
        panel = _Panel(*(array[inside][:, None] for array in (low, high, unit / scale, k, lift, edge, added)))
        total[inside] += panel.integral(p)
    return np.asarray(-total)


class _Panel(NamedTuple):
    """One interval of x for each of several (k, t); columns."""

    low: np.ndarray
    high: np.ndarray
    shift_unit: np.ndarray
    k: np.ndarray
    lift: np.ndarray
    edge: np.ndarray
    added: np.ndarray

    def integral(self, p: float) -> np.ndarray:
        """Twice the integral of φ(x) (exp(lift) R^k − 1) over the interval."""
        half = (self.high - self.low) / 2
        x = self.low + half * (1 + _PANEL_NODES)
        log_ratio = _log_kept_ratio(p, self.edge, self.added, x * self.shift_unit)
        integral: np.ndarray = 2 * half[:, 0] * (_tilted_density(x, self.lift + self.k * log_ratio) @ _PANEL_WEIGHTS)
        return integral


def _tilted_density(x: np.ndarray, exponent: np.ndarray) -> np.ndarray:
    """Return the standard normal density at x times exp(exponent) − 1, without overflow or cancellation."""
    density = _density(x)
    large = exponent > 1
    small_part = density * np.expm1(np.where(large, 0.0, exponent))
    large_part = np.exp(np.where(large, exponent, 0.0) - x * x / 2) / math.sqrt(2 * math.pi) - density
    return np.asarray(np.where(large, large_part, small_part))


_SHIFT_TERMS = 8


def _shift_coefficients(edge: np.ndarray) -> list[np.ndarray]:
    """Coefficients of shift^(2j), j ≥ 1, in Pr(|Z + shift| ≥ edge) − Pr(|Z| ≥ edge): 2 φ(b) He_{2j−1}(b)/(2j)!."""
    even, odd = np.ones_like(edge), edge
    coefficients = []
    scale = 2 * _density(edge)
    for j in range(1, _SHIFT_TERMS + 1):
        scale = scale / ((2 * j - 1) * (2 * j))
        coefficients.append(scale * odd)
        even = edge * odd - (2 * j - 1) * even
        odd = edge * even - 2 * j * odd
    return coefficients


def _log_kept_ratio(p: float, edge: np.ndarray, added: np.ndarray, shift: np.ndarray) -> np.ndarray:
    """Return log R, by differences where it is small: a series in the shift, which loses no digits when k is large."""
    small = shift * np.maximum(edge, 1) < 0.5
    squared = np.where(small, shift * shift, 0.0)
    series = np.zeros_like(shift)
    for coefficient in reversed(_shift_coefficients(np.where(edge < 60, edge, 0.0))):
        series = (series + coefficient) * squared
    masked = np.where(small, (added - series) / p, 0.0)
    kept = np.full_like(shift, p)
    large = ~small
    if large.any():
        far, bounds = shift[large], np.broadcast_to(edge, shift.shape)[large]
        kept[large] = special.ndtr(far - bounds) + special.ndtr(-far - bounds)
    with np.errstate(divide="ignore"):  # nothing kept: log R = −inf, R^k = 0
        return np.asarray(np.where(small, np.log1p(-np.minimum(masked, 1.0)), np.log(kept / p)))


def _large_sample_variance(a: float, kept: np.ndarray, fit_mean: bool) -> np.ndarray:
    """Two terms of the variance of log V in 1/k.

    With w = y²/η − 1 for a kept point y, κ = E w², τ = E w³, the delta method gives κ/k + (5κ²/2 − τ + c)/k², c = 2 for
    a fitted mean (which adds −2κ + 3 + 3κ − 1 − κ to the coefficient for a known one) and 0 for a known one.
    """
    gain = _inflation_minus_one(a)
    eta, cube = 1 + gain, a * a * gain  # cube = a³ h(a)
    fourth = 3 * eta + cube
    sixth = 5 * fourth + a * a * cube
    kappa = fourth / eta**2 - 1
    tau = sixth / eta**3 - 3 * fourth / eta**2 + 2
    return np.asarray(kappa / kept + (2.5 * kappa**2 - tau + (2.0 if fit_mean else 0.0)) / kept**2)


def _density(x: Any) -> Any:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


# -------------------------------------------------------------------------------------------------- over generations


def extension_law(b: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Extension factor of zero-drift relative truncation over cross entropy for |log(σ_t²/σ_0²)| > b, diffusion limit.

    Parameters
    ----------
    b : float or array of float
        Half-width of the band in log σ², in (0, 100].
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        b coth(b) with a fitted mean, (b/2) coth(b/2) with a known one; does not depend on n.

    Raises
    ------
    DomainError
        If `b` is out of range.

    Notes
    -----
    Slug `extension-law`. In time n log σ² is a Brownian motion with variance 2, and with the drift −k of cross entropy,
    k = 2 (mean fitted) or 1 (known), or 0; the mean exit times are n (b/k) tanh(kb/2) and n b²/2. A factor of 2.3 with
    a fitted mean needs b = 2.2494, a band of a factor 9.48 in σ² on either side.

    Examples
    --------
    >>> round(extension_law(np.log(2)), 4)
    1.1552
    """
    width = numbers_in("b", b, 0.0, _WIDEST, open_low=True)
    half = width if flag("fit_mean", fit_mean) else width / 2
    return numbers_or_scalar(half / np.tanh(half))


def top_share_drift(share: Any, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean step of log σ² a generation if the most likely share f of the samples is dropped: f − 2/n, leading order.

    Parameters
    ----------
    share : float or array of float
        Share f of the n points, those of highest likelihood, that is left out of the fit; in [0, 1).
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        f − 2/n with a fitted mean, f − 1/n with a known one, of the broadcast shape; neglects terms of order f², f/n
        and 1/n².

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `critical-truncation`. The share f lies within the radius a = f/h(0) to leading order, which inflates log σ² by
    h(0) a = f. Only f ≈ 2/n balances the sampling noise; a fixed share explodes once n > 2/f.

    Examples
    --------
    >>> round(top_share_drift(0.1, 100), 12)
    0.08
    """
    fraction = numbers_in("share", share, 0.0, 1.0, open_high=True)
    fit_mean = flag("fit_mean", fit_mean)
    size = integers("n", n, minimum=2 if fit_mean else 1)
    return numbers_or_scalar(fraction - (2 if fit_mean else 1) / size)
