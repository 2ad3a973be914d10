"""Gaussian model under cross entropy: the law of its scale and location from generation to generation.

Each generation is fitted to n points drawn from the generation before it alone ("replace"). The variance is multiplied
by an independent factor χ²_ν/m a generation:

=================  ======  =====  =====
fit                `ddof`  ν      m
=================  ======  =====  =====
mean fitted        0       n − 1  n
mean fitted        1       n − 1  n − 1
mean known         0       n      n
=================  ======  =====  =====

All functions broadcast over generations `t`, sample sizes `n` and scales `std`, and return a float when all of these
are numbers. They keep at least 13 digits for n up to 1e12; what has decayed to exp(−y) has a relative error of about
1e-15 y.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from scipy import special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import FloatOrArray, Integers, flag, integers, numbers_or_scalar, scales
from tce_theory.theory._special import digamma_minus_log, log_gamma_ratio

__all__ = [
    "LogMoments",
    "StepLaw",
    "alpha",
    "expected_std",
    "expected_variance",
    "expected_w2_squared",
    "log_std_moments",
    "log_variance_drift",
    "log_variance_step_variance",
    "std_factor",
    "step_law",
    "variance_of_mean",
    "variance_of_variance",
]


class StepLaw(NamedTuple):
    """One generation multiplies the variance by χ²_ν / m; arrays of the shape of `n`."""

    degrees_of_freedom: np.ndarray
    """ν."""
    divisor: np.ndarray
    """m."""

    @property
    def log_mean_factor(self) -> np.ndarray:
        """log(ν/m), the logarithm of the mean factor; to full accuracy for large n."""
        log_factor: np.ndarray = np.log1p((self.degrees_of_freedom - self.divisor) / self.divisor)
        return log_factor


class LogMoments(NamedTuple):
    """Mean and variance of log σ_t."""

    mean: FloatOrArray
    variance: FloatOrArray


def step_law(n: Integers, *, fit_mean: bool = True, ddof: int = 0) -> StepLaw:
    """Degrees of freedom and divisor of the factor χ²_ν/m by which one generation multiplies the variance.

    Parameters
    ----------
    n : int or array of int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    fit_mean : bool
        Whether the mean is fitted (by the sample mean) or known.
    ddof : {0, 1}
        0 divides the sum of squares by n (maximum likelihood), 1 by n − 1; with a known mean only 0.

    Returns
    -------
    StepLaw
        (ν, m), arrays of the shape of `n`.

    Raises
    ------
    DomainError
        If an argument is out of range, or `ddof` is 1 while the mean is known.

    Notes
    -----
    Slug `gaussian-ce-law`: Cochran's theorem.

    Examples
    --------
    >>> law = step_law(10)
    >>> float(law.degrees_of_freedom), float(law.divisor)
    (9.0, 10.0)
    """
    fit_mean = flag("fit_mean", fit_mean)
    size = integers("n", n, minimum=2 if fit_mean else 1)
    if np.ndim(ddof) or ddof not in (0, 1) or isinstance(ddof, bool):
        raise DomainError("ddof", ddof, "0 or 1")
    if not fit_mean:
        if ddof:
            raise DomainError("ddof", ddof, "0 when the mean is known: there is no degree of freedom to correct for")
        return StepLaw(size, size)
    return StepLaw(size - 1, size - ddof)


def log_variance_drift(n: Integers, *, fit_mean: bool = True, ddof: int = 0) -> FloatOrArray:
    """Mean step of log σ² a generation, ψ(ν/2) + log(2/m).

    Parameters
    ----------
    n, fit_mean, ddof
        See `step_law`.

    Returns
    -------
    float or ndarray
        In nats, of the shape of `n`; negative in every case (`ddof` 1 included), so that σ_t → 0 almost surely.

    Raises
    ------
    DomainError
        See `step_law`.

    Notes
    -----
    Slug `gaussian-ce-law`: about −2/n with a fitted mean and `ddof` 0, −1/n in the two other cases.

    Examples
    --------
    >>> round(log_variance_drift(100), 12)
    -0.020185354702
    """
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    return numbers_or_scalar(digamma_minus_log(law.degrees_of_freedom / 2) + law.log_mean_factor)


def log_variance_step_variance(n: Integers, *, fit_mean: bool = True, ddof: int = 0) -> FloatOrArray:
    """Variance of the step of log σ² a generation, ψ'(ν/2); about 2/n.

    Parameters
    ----------
    n, fit_mean, ddof
        See `step_law`; the variance does not depend on `ddof`.

    Returns
    -------
    float or ndarray
        In nats squared, of the shape of `n`.

    Raises
    ------
    DomainError
        See `step_law`.

    Notes
    -----
    Slug `gaussian-ce-law`.

    Examples
    --------
    >>> round(log_variance_step_variance(100), 12)
    0.020407455047
    """
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    return numbers_or_scalar(special.polygamma(1, law.degrees_of_freedom / 2))


def log_std_moments(t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0) -> LogMoments:
    """Mean and variance of log σ_t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    LogMoments
        ``mean`` = log σ_0 + t/2 · drift and ``variance`` = t/4 · step variance, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`. log σ_t is a sum of independent steps. Over long horizons these moments are what a
    simulation should be held against: σ_t is close to log-normal, and its mean is carried by rare replicates as soon as
    the variance here exceeds 1.

    Examples
    --------
    >>> moments = log_std_moments(200, 100)
    >>> round(moments.mean, 10), round(moments.variance, 10)
    (-2.0185354702, 1.0203727523)
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    drift = log_variance_drift(n, fit_mean=fit_mean, ddof=ddof)
    step_variance = log_variance_step_variance(n, fit_mean=fit_mean, ddof=ddof)
    mean, variance = np.broadcast_arrays(np.log(scale) + time / 2 * drift, time / 4 * step_variance)
    return LogMoments(numbers_or_scalar(mean), numbers_or_scalar(variance))


def expected_variance(
    t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0
) -> FloatOrArray:
    """Mean of σ_t²: σ_0² (1 − 1/n)^t with a fitted mean and `ddof` 0, σ_0² otherwise.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data squared, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`.

    Examples
    --------
    >>> round(expected_variance(10, 100), 12)
    0.904382075009
    >>> expected_variance(10, 100, std=2.0, ddof=1)
    4.0
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    return numbers_or_scalar(scale**2 * np.exp(time * law.log_mean_factor))


def std_factor(n: Integers, *, fit_mean: bool = True, ddof: int = 0) -> FloatOrArray:
    """Mean factor of σ a generation, E σ_{t+1} / E σ_t = sqrt(2/m) Γ((ν + 1)/2)/Γ(ν/2).

    Parameters
    ----------
    n, fit_mean, ddof
        See `step_law`.

    Returns
    -------
    float or ndarray
        In (0, 1), of the shape of `n`.

    Raises
    ------
    DomainError
        See `step_law`.

    Notes
    -----
    Slug `gaussian-ce-law`: about 1 − 3/(4n) with a fitted mean and `ddof` 0, 1 − 1/(4n) otherwise.

    Examples
    --------
    >>> round(std_factor(100), 12)
    0.992478054981
    """
    return numbers_or_scalar(np.exp(_log_std_factor(step_law(n, fit_mean=fit_mean, ddof=ddof))))


def alpha(n: Integers) -> FloatOrArray:
    """Return α(n) = sqrt(2/(n − 1)) Γ(n/2)/Γ((n − 1)/2), the factor of E σ a generation under `ddof` 1.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 2.

    Returns
    -------
    float or ndarray
        In (0, 1), of the shape of `n`.

    Raises
    ------
    DomainError
        If `n` is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`; after Bertrand et al. (2024). `std_factor` is the same for the other fits.

    Examples
    --------
    >>> round(alpha(2), 12)  # sqrt(2/pi)
    0.797884560803
    """
    return std_factor(n, ddof=1)


def expected_std(t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0) -> FloatOrArray:
    """Mean of σ_t, σ_0 · std_factor(n)^t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`.

    Examples
    --------
    >>> round(expected_std(100, 100, ddof=1), 12)
    0.776839931003
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    return numbers_or_scalar(scale * np.exp(time * _log_std_factor(step_law(n, fit_mean=fit_mean, ddof=ddof))))


def variance_of_mean(t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0) -> FloatOrArray:
    """Variance of μ_t around μ_0: σ_0² (1 − (1 − 1/n)^t) with `ddof` 0, t σ_0²/n with 1, 0 for a known mean.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data squared, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`. The increments of μ are uncorrelated with variance E σ_s²/n, summed over s < t. With a
    fitted mean and `ddof` 0, E σ_t² + Var μ_t = σ_0² at every t.

    Examples
    --------
    >>> variance_of_mean(50, 100, ddof=1)
    0.5
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    if not fit_mean:
        relative = np.zeros(np.broadcast_shapes(time.shape, law.divisor.shape))
    elif ddof == 1:
        relative = _drift_of_mean(time, law)
    else:
        relative = -np.expm1(time * law.log_mean_factor)
    return numbers_or_scalar(scale**2 * relative)


def variance_of_variance(
    t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0
) -> FloatOrArray:
    """Variance of σ_t², σ_0⁴ [(ν(ν + 2)/m²)^t − (ν/m)^(2t)] in the notation of `step_law`.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data to the fourth power, of the broadcast shape; inf beyond the range of float64.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-ce-law`. Its square root over that of the number of replicates is the standard error of a simulated
    mean of σ_t². With `ddof` 1 it grows like exp(2t/n): once t is a few times n rare paths carry the mean of σ_t², and
    no feasible number of replicates shows that it is σ_0²; hold `log_std_moments` against the simulation instead.

    Examples
    --------
    >>> round(variance_of_variance(100, 100, ddof=1), 12)
    6.389548748651
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    nu, m = law.degrees_of_freedom, law.divisor
    # ν(ν + 2) − m² = (ν − m + 1)(ν + 1 + m) − 1 without cancellation
    log_second = np.log1p(((nu - m + 1) * (nu + 1 + m) - 1) / m**2)
    with np.errstate(over="ignore"):
        second = np.exp(4 * np.log(scale) + time * log_second)
    spread = -np.expm1(-time * np.log1p(2 / nu))  # the share of the second moment that is variance
    return numbers_or_scalar(np.where(time > 0, second, 0.0) * spread)


def expected_w2_squared(
    t: Integers, n: Integers, *, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0
) -> FloatOrArray:
    """Mean squared 2-Wasserstein distance between generation t and generation 0.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n, fit_mean, ddof
        See `step_law`.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.

    Returns
    -------
    float or ndarray
        In the unit of the data squared, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `gaussian-w2`. W2² = (μ_t − μ_0)² + (σ_t − σ_0)², whose mean is Var μ_t + E σ_t² + σ_0² − 2 σ_0 E σ_t. With
    f = `std_factor`:

    - fitted mean, `ddof` 0: 2 σ_0² (1 − f^t), bounded by 2 σ_0², because E σ_t² + Var μ_t = σ_0²;
    - fitted mean, `ddof` 1: σ_0² (t/n + 2 − 2 f^t), where f is α(n);
    - known mean: 2 σ_0² (1 − f^t).

    Examples
    --------
    >>> round(expected_w2_squared(100, 100, ddof=1), 12)
    1.446320137993
    >>> round(expected_w2_squared(100, 100), 12)
    1.060014257096
    """
    time, scale = integers("t", t, minimum=0), scales("std", std)
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    # E σ_t² + Var μ_t stays at σ_0² but for the drift of the mean that ddof 1 does not pay for
    excess = _drift_of_mean(time, law) if fit_mean and ddof == 1 else 0.0
    return numbers_or_scalar(scale**2 * (excess - 2 * np.expm1(time * _log_std_factor(law))))


def _log_std_factor(law: StepLaw) -> np.ndarray:
    ratio: np.ndarray = log_gamma_ratio(law.degrees_of_freedom / 2, 0.5)
    return ratio + law.log_mean_factor / 2


def _drift_of_mean(time: np.ndarray, law: StepLaw) -> np.ndarray:
    """Var μ_t/σ_0² = t/n with a fitted mean and ddof 1."""
    variance: np.ndarray = time / (law.degrees_of_freedom + 1)
    return variance
