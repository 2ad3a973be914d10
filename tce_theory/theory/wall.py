"""Gaussian model under absolute TCE: the wall at the scale whose peak density is the threshold.

TCE is cross entropy with a reflecting wall at σ_c: with W_0 = max(0, log(σ_0²/σ_c²)) and the steps ξ_t of cross
entropy, W_{t+1} = max(0, W_t + ξ_t), and log(σ_t²/σ_c²) lies in [W_t − 1, W_t] at every t (slug `density-wall`). The
mean intervals here are its diffusion limit: for large n, in time t/n, log σ² is a Brownian motion with variance 2 and
drift −2 (mean fitted) or −1 (mean known).

Fidelity intervals are those of the criterion |log(σ_t²/σ_0²)| > b, and the wall is at σ_c² = exp(−r) σ_0². All
functions broadcast and return a float when all of these are numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import optimize

from tce_theory.theory._arguments import FloatOrArray, flag, integers, numbers_in, numbers_or_scalar, positive_numbers
from tce_theory.theory._special import expm1_minus_arg, log_gamma_ratio
from tce_theory.theory.gaussian import step_law

__all__ = [
    "ce_mean_interval_limit",
    "critical_std",
    "extension_law",
    "floor_std",
    "wall_extension",
    "wall_mean_interval",
    "wall_tail_index",
]

_WIDEST = 100.0
"""Largest half-width of a band in log σ²: beyond it the intervals approach the range of float64."""


def critical_std(gamma: Any) -> FloatOrArray:
    """Scale σ_c = 1/(γ sqrt(2π)) at which the peak density of a Gaussian is γ.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold, above 0, in the unit of a density (one over that of the data).

    Returns
    -------
    float or ndarray
        In the unit of the data, of the shape of `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is not finite and above 0.

    Notes
    -----
    Slug `density-wall`: σ_CE ≤ σ_TCE ≤ max(σ_CE, σ_c), and at σ_c the wall stands.

    Examples
    --------
    >>> round(critical_std(0.85), 9)
    0.469343859
    """
    return numbers_or_scalar(1 / (math.sqrt(2 * math.pi) * positive_numbers("gamma", gamma)))


def floor_std(gamma: Any) -> FloatOrArray:
    """Scale σ_f = 1/(γ sqrt(2πe)) at which the differential entropy of a Gaussian is −log γ.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold, above 0, in the unit of a density (one over that of the data).

    Returns
    -------
    float or ndarray
        In the unit of the data, of the shape of `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is not finite and above 0.

    Notes
    -----
    Slug `density-floor`: every fit that leaves at least one sample unmasked has σ ≥ σ_f.

    Examples
    --------
    >>> round(floor_std(0.85), 9)
    0.284671441
    """
    return numbers_or_scalar(1 / (math.sqrt(2 * math.pi * math.e) * positive_numbers("gamma", gamma)))


def wall_tail_index(n: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Tail index κ of the stationary law of σ²/σ_c² above the wall, Pr(σ²/σ_c² > x) ~ C x^(−κ).

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        In (2, 3) with a fitted mean, where it is about 2 + 1/(2n); exactly 1 with a known mean. Of the shape of `n`.

    Raises
    ------
    DomainError
        If `n` is out of range.

    Notes
    -----
    Slug `wall-law`: the positive root of E exp(κ ξ) = Γ((n−1)/2 + κ)/Γ((n−1)/2) · (2/n)^κ = 1 (Lundberg exponent of the
    reflected walk). The left side is 1 − 1/n² at κ = 2 and 1 + (3 − 1/n − 3/n²)/n at κ = 3, and its logarithm is
    convex, so that the root is bracketed.

    Examples
    --------
    >>> round(wall_tail_index(10), 6), round(wall_tail_index(100), 6)
    (2.053486, 2.005033)
    >>> wall_tail_index(10, fit_mean=False)
    1.0
    """
    law = step_law(n, fit_mean=fit_mean)
    if not fit_mean:
        return numbers_or_scalar(np.ones(law.divisor.shape))
    roots = [
        _tail_index(shape, log_factor)
        for shape, log_factor in zip((law.degrees_of_freedom / 2).flat, law.log_mean_factor.flat, strict=True)
    ]
    return numbers_or_scalar(np.reshape(roots, law.divisor.shape))


def _tail_index(shape: float, log_factor: float) -> float:
    # divided by κ (so that 0 is no root) and scaled by the size of its terms (so that n = 1e12 looks like n = 10)
    def excess(kappa: float) -> float:
        return float((log_gamma_ratio(shape, kappa) / kappa + log_factor) * shape)

    return float(optimize.brentq(excess, 2.0, 3.0, xtol=1e-15, rtol=8.9e-16))


def ce_mean_interval_limit(n: Any, b: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean fidelity interval of cross entropy for |log(σ_t²/σ_0²)| > b, in the diffusion limit.

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    b : float or array of float
        Half-width of the band in log σ², in (0, 100].
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood, `ddof` 0) or known.

    Returns
    -------
    float or ndarray
        Generations: n (b/2) tanh(b) with a fitted mean, n b tanh(b/2) with a known one (which is also the law of
        `ddof` 1). Corrections are of relative order n^(−1/2), because the walk overshoots the band: at n = 1000 and
        b = log 2 its mean is 7 % longer. `tce_theory.exact.gaussian_first_passage` has the exact law.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-extension`. With drift −k, k = 2 or 1, and time in units of n, the mean exit time u solves
    u'' − k u' = −1, u(±b) = 0, and u(0) = (b/k) tanh(kb/2).

    Examples
    --------
    >>> round(ce_mean_interval_limit(1000, np.log(2)), 9)
    207.944154168
    """
    size, width, k = _size_width_drift(n, b, fit_mean)
    return numbers_or_scalar(size * _ce_time(width, k))


def wall_mean_interval(n: Any, b: Any, r: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean fidelity interval of TCE for |log(σ_t²/σ_0²)| > b with its wall at σ_c² = exp(−r) σ_0², diffusion limit.

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    b : float or array of float
        Half-width of the band in log σ², in (0, 100].
    r : float or array of float
        Depth of the wall below σ_0² in log σ², r = 2 log(σ_0/σ_c) ≥ 0. At r = b: the limit from r < b.
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        Generations: n [(exp(k(b+r)) − exp(kr))/k² − b/k] for r ≤ b with k = 2 (mean fitted) or 1 (known); for r > b the
        model leaves the band before the wall acts, and the interval is that of cross entropy. Corrections are of
        relative order n^(−1/2) at fixed r < b, and large: the simulated mean over this one, b = log 2, is 1.99 for
        r = 0 and 1.64 for r = 0.45 at n = 100, and 1.26 and 1.19 at n = 1000.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-extension`. The mean exit time u of Brownian motion with drift −k, reflected at −r, through b solves
    u'' − k u' = −1, u'(−r) = 0, u(b) = 0. It is a limit of the walk W of `density-wall`.

    The limit is not uniform in r. At finite n the fit dips below the wall, by up to 1 in log σ², and leaves the band
    downwards once b − r is small: within about 0.1 of b at n = 100 and 0.02 at n = 1000 there is no gain, but a loss
    (at n = 1000 and r = 0.69 of b = log 2 the simulated mean is 0.085 of this one). The value at r = b is a supremum
    that no finite n comes near.

    Examples
    --------
    >>> round(wall_mean_interval(1000, np.log(2), 0.0), 9)
    403.42640972
    """
    size, width, k = _size_width_drift(n, b, fit_mean)
    depth = numbers_in("r", r, 0.0)
    return numbers_or_scalar(size * np.where(depth <= width, _wall_time(width, depth, k), _ce_time(width, k)))


def wall_extension(b: Any, r: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Extension factor of TCE over cross entropy for |log(σ_t²/σ_0²)| > b, wall at exp(−r) σ_0², diffusion limit.

    Parameters
    ----------
    b : float or array of float
        Half-width of the band in log σ², in (0, 100].
    r : float or array of float
        Depth of the wall below σ_0² in log σ², r = 2 log(σ_0/σ_c) ≥ 0.
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        `wall_mean_interval` over `ce_mean_interval_limit`: it grows with r up to r = b and is exactly 1 beyond. Read
        the notes of `wall_mean_interval` before you quote it near r = b.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-extension`.

    Examples
    --------
    >>> b = np.log(2)
    >>> [round(wall_extension(b, r), 2) for r in (0.0, b, 1.01 * b)]
    [1.94, 12.76, 1.0]
    """
    _, width, k = _size_width_drift(2, b, fit_mean)
    depth = numbers_in("r", r, 0.0)
    ratio = _wall_time(width, depth, k) / _ce_time(width, k)
    return numbers_or_scalar(np.where(depth <= width, ratio, 1.0))


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
    Slug `extension-law`. Without drift the mean exit time of the band is n b²/2.

    Examples
    --------
    >>> round(extension_law(np.log(2)), 4)
    1.1552
    """
    _, width, k = _size_width_drift(2, b, fit_mean)
    return numbers_or_scalar(k * width / 2 / np.tanh(k * width / 2))


def _size_width_drift(n: Any, b: Any, fit_mean: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Check n and b; the drift of log σ² is −k/n with a step variance of 2/n."""
    fit_mean = flag("fit_mean", fit_mean)
    size = integers("n", n, minimum=2 if fit_mean else 1)
    width = numbers_in("b", b, 0.0, _WIDEST, open_low=True)
    return size, width, 2.0 if fit_mean else 1.0


def _ce_time(width: np.ndarray, k: float) -> np.ndarray:
    return width / k * np.tanh(k * width / 2)


def _wall_time(width: np.ndarray, depth: np.ndarray, k: float) -> np.ndarray:
    """Mean exit time over n, valid for depth ≤ width, as a sum of nonnegative terms."""
    inside = np.minimum(depth, width)
    growth = np.expm1(k * inside) * np.expm1(k * width)
    return np.asarray((expm1_minus_arg(k * width) + growth) / k**2)
