"""Gaussian model under absolute TCE: the wall at the scale whose peak density is the threshold.

TCE is cross entropy with a reflecting wall at σ_c: with W_0 = max(0, log(σ_0²/σ_c²)) and the steps ξ_t of cross
entropy, W_{t+1} = max(0, W_t + ξ_t), and log(σ_t²/σ_c²) lies in [W_t − 1, W_t] at every t (slug `density-wall`). The
mean intervals and the law of σ²/σ_c² here are its diffusion limit: for large n, in time t/n, log σ² is a Brownian
motion with variance 2 and drift −2 (mean fitted) or −1 (mean known).

Where all samples can be masked at once, these laws need the minimiser of largest entropy, which is the default for
Gaussian models. Fidelity intervals are those of the criterion |log(σ_t²/σ_0²)| > b, and the wall is at
σ_c² = exp(−r) σ_0². The wall holds the scale, not the location (`least_variance_of_mean`) and not the shape of a
covariance matrix (`condition_number_drift`).

All functions broadcast and return a float when all of these are numbers.
"""

from __future__ import annotations

import itertools
import math
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import (
    FloatOrArray,
    Integers,
    Vector,
    flag,
    integers,
    numbers_in,
    numbers_or_scalar,
    positive_numbers,
)
from tce_theory.theory._special import digamma_minus_log, expm1_minus_arg, log_gamma_ratio
from tce_theory.theory.gaussian import step_law

__all__ = [
    "Bounds",
    "Overshoot",
    "boundary_std",
    "ce_mean_interval_limit",
    "condition_number_drift",
    "critical_std",
    "eigenvalue_drift",
    "floor_std",
    "largest_overshoot",
    "least_variance_of_mean",
    "limit_density",
    "limit_quantile",
    "limit_survival",
    "log_variance_bounds",
    "next_variance_bounds",
    "population_map",
    "reflected_walk",
    "wall_extension",
    "wall_mean_interval",
    "wall_tail_index",
]

_NARROWEST, _WIDEST = 1e-100, 100.0
"""Half-widths of a band in log σ²: outside, the intervals leave the range of float64."""
_SCALES = 1e-300, 1e300
"""Admissible thresholds: outside, the critical scale leaves the range of float64."""
_SQUARES = 1e-150, 1e150
"""The same where scales are squared."""
_AT_THE_FLOOR = 1e-9
"""Where σ/σ_c is below it, the population map is exp(−1/2) to all digits of float64."""

_NEAR_BRANCH_POINT = 0.005
_LAMBERT_SERIES = (1, 1, 1 / 3, 1 / 36, -1 / 270, 1 / 4320, 1 / 17010, -139 / 5443200, 1 / 204120)
"""λ in powers of η, λ − 1 − log λ = η²/2 (as in the expansion of the gamma function); the next term is 2e-7 η^9."""


class Bounds(NamedTuple):
    """Lower and upper bound of a quantity, of one shape."""

    lower: FloatOrArray
    upper: FloatOrArray


class Overshoot(NamedTuple):
    """Where the previous mask overshoots most, both in units of σ_c."""

    tau: float
    """σ before."""
    std: float
    """σ after."""


def critical_std(gamma: Any) -> FloatOrArray:
    """Scale σ_c = 1/(γ sqrt(2π)) at which the peak density of a Gaussian is γ.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold, in [1e-300, 1e300], in the unit of a density (one over that of the data).

    Returns
    -------
    float or ndarray
        In the unit of the data, of the shape of `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `density-wall`: σ_CE ≤ σ_TCE ≤ max(σ_CE, σ_c), and at σ_c the wall stands.

    Examples
    --------
    >>> round(critical_std(0.85), 9)
    0.469343859
    """
    return numbers_or_scalar(1 / (math.sqrt(2 * math.pi) * numbers_in("gamma", gamma, *_SCALES)))


def floor_std(gamma: Any) -> FloatOrArray:
    """Scale σ_f = 1/(γ sqrt(2πe)) at which the differential entropy of a Gaussian is −log γ.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold, in [1e-300, 1e300], in the unit of a density (one over that of the data).

    Returns
    -------
    float or ndarray
        In the unit of the data, of the shape of `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `density-floor`: every fit that leaves at least one sample unmasked has σ ≥ σ_f.

    Examples
    --------
    >>> round(floor_std(0.85), 9)
    0.284671441
    """
    return numbers_or_scalar(1 / (math.sqrt(2 * math.pi * math.e) * numbers_in("gamma", gamma, *_SCALES)))


def boundary_std(distance: Any, gamma: Any) -> FloatOrArray:
    """Largest scale at which a Gaussian has density γ at a given distance from its mean.

    Parameters
    ----------
    distance : float or array of float
        Distance from the mean, in the unit of the data: in [0, σ_f], where σ_f = `floor_std(gamma)`; beyond it the
        density is below γ for every scale.
    gamma : float or array of float
        Confidence threshold, in [1e-300, 1e300], in the unit of a density (one over that of the data).

    Returns
    -------
    float or ndarray
        σ = σ_c exp(W_0(−(v/σ_c)²)/2) in [σ_f, σ_c], v the distance and W_0 the principal branch of Lambert's function;
        of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `density-floor`: the fit of largest entropy if all samples can be masked at once, v being the largest distance.
    At v = σ_f the slope is infinite: within a relative δ of it, digits are lost in proportion to δ^(−1/2).

    Examples
    --------
    >>> boundary_std(0.0, 0.85) == critical_std(0.85)
    True
    >>> round(boundary_std(0.2, 0.85), 10)
    0.4187527176
    """
    threshold = numbers_in("gamma", gamma, *_SCALES)
    critical, floor, at_distance = np.broadcast_arrays(
        critical_std(threshold), floor_std(threshold), numbers_in("distance", distance, 0.0)
    )
    share = at_distance / floor
    beyond = share > 1 + 4 * np.finfo(float).eps  # σ_f itself may come with a rounding error
    if beyond.any():
        raise DomainError(
            "distance", float(at_distance[beyond][0]), f"at most floor_std(gamma) = {floor[beyond][0]:.17g}"
        )
    return numbers_or_scalar(critical * np.exp(_lambert(np.minimum(share, 1.0)) / 2))


def _lambert(share: np.ndarray) -> np.ndarray:
    """Return W_0(−share²/e) for shares in [0, 1].

    With λ = −W, λ − 1 − log λ = −2 log(share): a series in η = −sqrt(−4 log(share)) towards the branch point, where
    scipy has fewer digits or none.
    """
    with np.errstate(divide="ignore"):  # log 0 is far from the branch point
        depth = -2 * np.log(share)
    near = depth < _NEAR_BRANCH_POINT
    eta = -np.sqrt(2 * np.where(near, depth, 0.0))
    series = np.polynomial.polynomial.polyval(eta, _LAMBERT_SERIES)
    away = special.lambertw(-np.square(np.where(near, 0.0, share)) / math.e).real
    lambert: np.ndarray = np.where(near, -series, away)
    return lambert


def next_variance_bounds(ce_variance: Any, gamma: Any) -> Bounds:
    """Bounds of the variance that TCE fits to a sample, from the variance that cross entropy fits to it.

    Parameters
    ----------
    ce_variance : float or array of float
        Maximum-likelihood variance of the sample (around the known mean, or around its own), at least 0, in the unit of
        the data squared.
    gamma : float or array of float
        Confidence threshold, in [1e-150, 1e150], in the unit of a density (one over that of the data).

    Returns
    -------
    Bounds
        max(σ_f², `ce_variance`) and max(σ_c², `ce_variance`), in the unit of the data squared, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slugs `density-floor` and `density-wall`. The bounds coincide where `ce_variance` ≥ σ_c²: nothing is masked. Each is
    attained below it.

    Examples
    --------
    >>> bounds = next_variance_bounds(0.1, 0.85)
    >>> round(bounds.lower, 9), round(bounds.upper, 9)
    (0.1, 0.220283658)
    """
    threshold, variance = numbers_in("gamma", gamma, *_SQUARES), numbers_in("ce_variance", ce_variance, 0.0)
    lower, upper = (np.maximum(np.square(scale(threshold)), variance) for scale in (floor_std, critical_std))
    return Bounds(numbers_or_scalar(lower), numbers_or_scalar(upper))


def reflected_walk(steps: Vector, start: Any = 0.0) -> np.ndarray:
    """Walk W_{t+1} = max(0, W_t + ξ_t) that follows log(σ_t²/σ_c²) from above.

    Parameters
    ----------
    steps : array of float, shape (..., t)
        Steps ξ of cross entropy, log(variance of the sample of a generation / variance of its model), in nats. The last
        axis is time.
    start : float or array of float, shape (...)
        log(σ_0²/σ_c²), at least −1; W_0 = max(0, `start`).

    Returns
    -------
    ndarray, shape (..., t + 1)
        W_0 … W_t, in nats.

    Raises
    ------
    DomainError
        If an argument is out of range, or `steps` is a single number.

    Notes
    -----
    Slug `density-wall`. It is Lindley's recursion for the waiting times in a queue.

    Examples
    --------
    >>> reflected_walk([-0.5, 0.25, 0.5, -1.0]).tolist()
    [0.0, 0.0, 0.25, 0.75, 0.0]
    """
    increments = numbers_in("steps", steps, -math.inf)
    if increments.ndim == 0:
        raise DomainError("steps", steps, "an array with time as its last axis")
    initial = np.maximum(numbers_in("start", start, -1.0), 0.0)
    shape = np.broadcast_shapes(increments.shape[:-1], initial.shape)
    by_time = np.moveaxis(np.broadcast_to(increments, (*shape, increments.shape[-1])), -1, 0)
    walk = itertools.accumulate(
        by_time, lambda w, step: np.maximum(w + step, 0.0), initial=np.broadcast_to(initial, shape)
    )
    return np.stack(list(walk), axis=-1)


def log_variance_bounds(steps: Vector, start: Any = 0.0) -> Bounds:
    """Bounds of log(σ_t²/σ_c²) under TCE on every path, from the steps that cross entropy makes on the same samples.

    Parameters
    ----------
    steps, start
        See `reflected_walk`.

    Returns
    -------
    Bounds
        W_t − 1 and W_t for each generation from 0, arrays of shape (..., t + 1), in nats.

    Raises
    ------
    DomainError
        See `reflected_walk`.

    Notes
    -----
    Slug `density-wall`; for every n, and whether the mean is fitted or known. Neither bound can be improved.

    Examples
    --------
    >>> log_variance_bounds([-0.5, 0.25]).lower.tolist()
    [-1.0, -1.0, -0.75]
    """
    walk = reflected_walk(steps, start)
    return Bounds(walk - 1, walk)


def wall_tail_index(n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
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


def limit_survival(ratio: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Probability that σ²/σ_c² exceeds a value in the long run, in the diffusion limit.

    Parameters
    ----------
    ratio : float or array of float
        Value of σ²/σ_c², at least 0.
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        `ratio`^(−κ) with κ = 2 (mean fitted) or 1 (mean known), and 1 for ratios below 1; of the shape of `ratio`.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-law`: log(σ²/σ_c²) has the exponential law that is stationary for Brownian motion with variance 2 and
    drift −κ, reflected at 0. For every finite n this is an upper bound of the stationary law, as κ bounds
    `wall_tail_index` from below.

    Examples
    --------
    >>> limit_survival(2.0), limit_survival(2.0, fit_mean=False), limit_survival(0.5)
    (0.25, 0.5, 1.0)
    """
    value, index = numbers_in("ratio", ratio, 0.0), _limit_index(fit_mean)
    return numbers_or_scalar(np.maximum(value, 1.0) ** -index)


def limit_density(ratio: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Density of σ²/σ_c² in the long run, in the diffusion limit.

    Parameters
    ----------
    ratio, fit_mean
        See `limit_survival`.

    Returns
    -------
    float or ndarray
        κ `ratio`^(−κ − 1) with κ = 2 (mean fitted) or 1 (mean known), and 0 for ratios below 1; of the shape of
        `ratio`.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-law`: Pareto's law. With a known mean it has no mean, with a fitted mean no variance.

    Examples
    --------
    >>> limit_density(2.0), limit_density(0.5)
    (0.25, 0.0)
    """
    value, index = numbers_in("ratio", ratio, 0.0), _limit_index(fit_mean)
    return numbers_or_scalar(np.where(value < 1, 0.0, index * np.maximum(value, 1.0) ** (-index - 1)))


def limit_quantile(probability: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Quantile of σ²/σ_c² in the long run, in the diffusion limit.

    Parameters
    ----------
    probability : float or array of float
        In [0, 1).
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        (1 − `probability`)^(−1/κ) with κ = 2 (mean fitted) or 1 (mean known); of the shape of `probability`.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-law`.

    Examples
    --------
    >>> limit_quantile(0.75), limit_quantile(0.75, fit_mean=False)
    (2.0, 4.0)
    """
    level = numbers_in("probability", probability, 0.0, 1.0, open_high=True)
    return numbers_or_scalar((1 - level) ** (-1 / _limit_index(fit_mean)))


def _limit_index(fit_mean: bool) -> float:
    return 2.0 if flag("fit_mean", fit_mean) else 1.0


def ce_mean_interval_limit(n: Integers, b: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean fidelity interval of cross entropy for |log(σ_t²/σ_0²)| > b, in the diffusion limit.

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    b : float or array of float
        Half-width of the band in log σ², in [1e-100, 100].
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


def wall_mean_interval(n: Integers, b: Any, r: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Mean fidelity interval of TCE for |log(σ_t²/σ_0²)| > b with its wall at σ_c² = exp(−r) σ_0², diffusion limit.

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    b : float or array of float
        Half-width of the band in log σ², in [1e-100, 100].
    r : float or array of float
        Depth of the wall below σ_0² in log σ², r = 2 log(σ_0/σ_c) ≥ 0.
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        Generations: n [(exp(k(b+r)) − exp(kr))/k² − b/k] for r < b with k = 2 (mean fitted) or 1 (known); for r ≥ b the
        model leaves the band when cross entropy does, and the interval is that of cross entropy. The interval at finite
        n differs much: its simulated mean over this one (± standard error), b = log 2 and the mean fitted, is
        1.88 ± 0.07 for r = 0 and 1.56 ± 0.06 for r = 0.45 at n = 100, and 1.18 ± 0.09 for r = 0 at n = 1000.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-extension`. The mean exit time u of Brownian motion with drift −k, reflected at −r, through b solves
    u'' − k u' = −1, u'(−r) = 0, u(b) = 0. It is a limit of the walk W of `density-wall`.

    The limit is not uniform in r. At finite n the fit dips below the wall, by up to 1 in log σ², and leaves the band
    downwards once b − r is small: the interval then falls short of this one, and from r = b on it is that of cross
    entropy, for every n. At b = log 2 the simulated mean over this one is 0.76 ± 0.03 for r = 0.6 and 0.138 ± 0.004 for
    r = 0.67 at n = 100, and 0.105 ± 0.006 for r = 0.69 at n = 1000 (`proofs/wall-extension.py`).

    Examples
    --------
    >>> round(wall_mean_interval(1000, np.log(2), 0.0), 9)
    403.42640972
    """
    size, width, k = _size_width_drift(n, b, fit_mean)
    depth = numbers_in("r", r, 0.0)
    return numbers_or_scalar(size * np.where(depth < width, _wall_time(width, depth, k), _ce_time(width, k)))


def wall_extension(b: Any, r: Any, *, fit_mean: bool = True) -> FloatOrArray:
    """Extension factor of TCE over cross entropy for |log(σ_t²/σ_0²)| > b, wall at exp(−r) σ_0², diffusion limit.

    Parameters
    ----------
    b : float or array of float
        Half-width of the band in log σ², in [1e-100, 100].
    r : float or array of float
        Depth of the wall below σ_0² in log σ², r = 2 log(σ_0/σ_c) ≥ 0.
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        `wall_mean_interval` over `ce_mean_interval_limit`: it grows with r below r = b, and is exactly 1 from there on.
        Read the notes of `wall_mean_interval` before you quote it near r = b.

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
    >>> [round(wall_extension(b, r), 2) for r in (0.0, 0.9999 * b, b)]
    [1.94, 12.76, 1.0]
    """
    _, width, k = _size_width_drift(2, b, fit_mean)
    depth = numbers_in("r", r, 0.0)
    ratio = _wall_time(width, depth, k) / _ce_time(width, k)
    return numbers_or_scalar(np.where(depth < width, ratio, 1.0))


def population_map(tau: Any, *, mask: str = "current") -> FloatOrArray:
    """Scale that TCE fits to infinitely many samples of a Gaussian of scale τ, both in units of σ_c.

    Parameters
    ----------
    tau : float or array of float
        Scale of the samples over σ_c, above 0.
    mask : {"current", "previous"}
        Whether samples are masked by the model that is fitted or by the one that they were drawn from.

    Returns
    -------
    float or ndarray
        s = σ_new/σ_c, of the shape of `tau`; s = τ for τ ≥ 1, where nothing is masked. Below the wall:

        - current mask: the one solution of s² = τ² η(s a/τ), a = sqrt(−2 log s), η the factor of `tail_inflation`. It
          lies between max(τ, exp(−1/2)) and 1;
        - previous mask: τ sqrt(η(a)), a = sqrt(−2 log τ); above τ, and above 1 for τ > 0.6512

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wall-population`. Whether the mean is fitted or known makes no difference: by symmetry it stays. With the
    current mask the shortfall ε = 1 − τ becomes π ε² + O(ε³) in one generation; with the previous mask the map
    overshoots by sqrt(ε/π) + O(ε).

    With u = s a/τ the equation reads log s = −u²/(2 η(u)), log τ = log s − log(η(u))/2: the right sides are explicit,
    and τ falls strictly from 1 to 0 as u grows from 0 to ∞, which is why there is one solution.

    Examples
    --------
    >>> round(population_map(0.5), 12), population_map(1.5)
    (0.812148454498, 1.5)
    >>> round(population_map(0.5, mask="previous"), 12)
    0.860971506493
    """
    scale = positive_numbers("tau", tau)
    if mask not in ("current", "previous"):
        raise DomainError("mask", mask, "'current' or 'previous'")
    below = np.minimum(scale, 1.0)
    if mask == "previous":
        radius = np.sqrt(-2 * np.log(below))
        fitted = below * np.sqrt(1 + radius * _hazard(radius))
    else:
        fitted = np.reshape([_self_consistent(value) for value in below.flat], below.shape)
    return numbers_or_scalar(np.where(scale >= 1, scale, fitted))


def _self_consistent(tau: float) -> float:
    if tau == 1.0 or tau < _AT_THE_FLOOR:  # towards 0 it is exp(−1/2) (1 + e τ² + …)
        return 1.0 if tau == 1.0 else math.exp(-0.5)

    def exponent(u: float) -> float:
        return float(u * u / (2 * (1 + u * _hazard(u))))

    # log τ(u) = −exponent(u) − log(η(u))/2 falls strictly from 0 at u = 0; as η(u) ≥ 1 + u², it is below log τ where
    # 1 + u² = 1/τ²
    def excess(u: float) -> float:
        return exponent(u) + math.log1p(u * _hazard(u)) / 2 + math.log(tau)

    largest = math.sqrt((1 - tau) * (1 + tau)) / tau
    root = optimize.brentq(excess, 0.0, largest, xtol=1e-300, rtol=8.9e-16)
    return math.exp(-exponent(root))


def _hazard(u: Any) -> Any:
    """Hazard of the standard normal law."""
    return math.sqrt(2 / math.pi) / special.erfcx(u / math.sqrt(2))


def largest_overshoot() -> Overshoot:
    """Largest scale to which TCE with the previous mask widens a population below the wall.

    Returns
    -------
    Overshoot
        ``tau`` and ``std``, the scales before and after, in units of σ_c.

    Notes
    -----
    Slug `wall-population`. The maximum of τ sqrt(η(a)) over a = sqrt(−2 log τ) is where a h² + (1 − 3a²) h = 2a, h the
    hazard of the standard normal law at a. The difference of the sides is h(0) > 0 at a = 0 and h² − 2h − 2 < 0 at
    a = 1, as a < h < a + 1/a; there is no other zero.

    Examples
    --------
    >>> overshoot = largest_overshoot()
    >>> round(overshoot.tau, 7), round(overshoot.std, 8)
    (0.8916275, 1.10619071)
    """

    def slope(a: float) -> float:
        h = _hazard(a)
        return float(a * h * h + (1 - 3 * a * a) * h - 2 * a)

    radius = optimize.brentq(slope, 0.0, 1.0, xtol=1e-15, rtol=8.9e-16)
    tau = math.exp(-radius * radius / 2)
    return Overshoot(tau, tau * math.sqrt(1 + radius * float(_hazard(radius))))


def least_variance_of_mean(t: Integers, n: Integers, gamma: Any, *, std: Any = 1.0) -> FloatOrArray:
    """Lower bound of E(μ_t − μ_0)² under TCE with a fitted mean.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n : int or array of int
        Points a generation, at least 2.
    gamma : float or array of float
        Confidence threshold, in [1e-150, 1e150], in the unit of a density (one over that of the data).
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data squared, of the broadcast shape: the sum over s < t of σ_0²/n for s = 0 and of
        max(σ_f², σ_0² (1 − 1/n)^s)/n after it. It grows like t σ_f²/n without bound, and is at least
        `tce_theory.theory.gaussian.variance_of_mean`, the value under cross entropy, which stays below σ_0².

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `mean-wanders`. The location that TCE fits is the sample mean plus a function of the residuals, which are
    independent of it: its variance given σ_s is at least σ_s²/n. E σ_s² is bounded by `next_variance_bounds`.

    Examples
    --------
    >>> [round(least_variance_of_mean(t, 10, 0.85), 6) for t in (1, 10, 1000)]
    [0.1, 0.651322, 8.829526]
    """
    time, size = integers("t", t, minimum=0), integers("n", n, minimum=2)
    variance = np.square(numbers_in("std", std, *_SQUARES))
    floor = np.square(floor_std(numbers_in("gamma", gamma, *_SQUARES)))
    log_factor = np.log1p(-1 / size)
    # generations for which cross entropy alone keeps the variance above the floor; the first is drawn from σ_0
    above = np.minimum(time, np.maximum(np.ceil(np.log(floor / variance) / log_factor), 1.0))
    return numbers_or_scalar(-variance * np.expm1(above * log_factor) + (time - above) * floor / size)


def eigenvalue_drift(i: Integers, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Rate at which the logarithm of the i-th largest eigenvalue of a fitted covariance matrix falls, cross entropy.

    Parameters
    ----------
    i : int or array of int
        Rank of the eigenvalue, 1 for the largest.
    n : int or array of int
        Points a generation: at least i + 1 with a fitted mean, at least i with a known one. (For the fit to exist in d
        dimensions, i = d has to be admissible.)
    fit_mean : bool
        Whether the mean is fitted (maximum likelihood) or known.

    Returns
    -------
    float or ndarray
        Limit of log(i-th eigenvalue of Σ_t)/t: ψ((n − i)/2) + log(2/n) with a fitted mean, ψ((n − i + 1)/2) + log(2/n)
        with a known one; in nats a generation, negative, of the broadcast shape. It does not depend on the dimension.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `shape-collapse`: the Lyapunov exponents. About −(i + 1)/n, or −i/n with a known mean.

    Examples
    --------
    >>> round(eigenvalue_drift(1, 100), 12), round(eigenvalue_drift(2, 100), 12)
    (-0.020185354702, -0.030441495266)
    """
    rank, size, lost = _rank_and_size("i", i, n, fit_mean)
    return numbers_or_scalar(digamma_minus_log((size - rank - lost + 1) / 2) + np.log1p((1 - rank - lost) / size))


def condition_number_drift(d: Integers, n: Integers, *, fit_mean: bool = True) -> FloatOrArray:
    """Rate at which the logarithm of the condition number of a fitted covariance matrix grows, cross entropy.

    Parameters
    ----------
    d : int or array of int
        Dimension, at least 1.
    n : int or array of int
        Points a generation: at least d + 1 with a fitted mean, at least d with a known one.
    fit_mean : bool
        Whether the mean is fitted or known.

    Returns
    -------
    float or ndarray
        Limit of log(largest over smallest eigenvalue of Σ_t)/t: ψ((n − 1)/2) − ψ((n − d)/2) with a fitted mean, n + 1
        in place of n with a known one; in nats a generation, at least 0, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `shape-collapse`. About (d − 1)/n: in some n generations the shape is lost, whatever holds the volume.

    Examples
    --------
    >>> round(condition_number_drift(2, 100), 12)
    0.010256140564
    >>> condition_number_drift(1, 100)
    0.0
    """
    rank, size, lost = _rank_and_size("d", d, n, fit_mean)
    small, large = (size - rank - lost + 1) / 2, (size - lost) / 2
    return numbers_or_scalar(
        digamma_minus_log(large) - digamma_minus_log(small) + np.log1p((rank - 1) / (size - rank - lost + 1))
    )


def _rank_and_size(argument: str, rank: Any, n: Any, fit_mean: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """Check both; the degrees of freedom that the mean takes."""
    lost = 1 if flag("fit_mean", fit_mean) else 0
    order, size = integers(argument, rank, minimum=1), integers("n", n, minimum=1 + lost)
    least, found = np.broadcast_arrays(order + lost, size)
    if (found < least).any():
        needed = f"at least {argument} + 1" if lost else f"at least {argument}"
        raise DomainError("n", int(found[found < least][0]), f"{needed} = {int(least[found < least][0])}")
    return order, size, lost


def _size_width_drift(n: Any, b: Any, fit_mean: bool) -> tuple[np.ndarray, np.ndarray, float]:
    """Check n and b; the drift of log σ² is −k/n with a step variance of 2/n."""
    fit_mean = flag("fit_mean", fit_mean)
    size = integers("n", n, minimum=2 if fit_mean else 1)
    width = numbers_in("b", b, _NARROWEST, _WIDEST)
    return size, width, 2.0 if fit_mean else 1.0


def _ce_time(width: np.ndarray, k: float) -> np.ndarray:
    return width / k * np.tanh(k * width / 2)


def _wall_time(width: np.ndarray, depth: np.ndarray, k: float) -> np.ndarray:
    """Mean exit time over n, valid for depth ≤ width, as a sum of nonnegative terms."""
    inside = np.minimum(depth, width)
    growth = np.expm1(k * inside) * np.expm1(k * width)
    return np.asarray((expm1_minus_arg(k * width) + growth) / k**2)
