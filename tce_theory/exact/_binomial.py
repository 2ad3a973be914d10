"""Binomial probabilities with relative accuracy, also far out in the tails."""

from __future__ import annotations

import numpy as np
from scipy import special

from tce_theory.theory._special import log1p_minus_arg, stirling_remainder

__all__ = ["binomial_matrix"]

_ELEMENTS = 2**17
"""Probabilities that are computed at a time, for the dozen arrays that it takes to fit into the cache."""


def binomial_matrix(n: int, probs: np.ndarray, complements: np.ndarray | None = None) -> np.ndarray:
    """Rows Pr(Binomial(n, probs[i]) = j), j = 0 … n; shape (len(probs), n + 1).

    `complements` is 1 − probs, for probabilities so near 1 that the difference has no digits. Saddle-point form (Loader
    2000): the exponents are deviances, which are small where the probability is not, and not differences of log
    factorials.
    """
    complements = 1 - probs if complements is None else complements
    pmf = np.empty((probs.size, n + 1))
    rows = max(1, _ELEMENTS // (n + 1))
    for first in range(0, probs.size, rows):
        piece = slice(first, first + rows)
        pmf[piece] = _binomial_rows(n, probs[piece], complements[piece])
    return pmf


def _binomial_rows(n: int, probs: np.ndarray, complements: np.ndarray) -> np.ndarray:
    counts = np.arange(n + 1.0)
    rest = n - counts
    remainder = _log_factorial_remainder(counts)
    log_coefficient = remainder[n] - remainder - remainder[::-1]
    inner = slice(1, n)
    log_coefficient[inner] += 0.5 * np.log(n / (2 * np.pi * counts[inner] * rest[inner]))
    log_pmf = np.empty((probs.size, n + 1))
    log_pmf[:, 0] = _power_of_complement(n, probs, complements)
    log_pmf[:, n] = _power_of_complement(n, complements, probs)
    # the deviance divides by the mean: where it is 0 the interior of the row is 0
    certain = (probs == 0) | (complements == 0)
    p, q = (np.where(certain, 0.5, side)[:, None] for side in (probs, complements))
    log_pmf[:, inner] = log_coefficient[inner] - _deviance(counts[inner], n * p) - _deviance(rest[inner], n * q)
    pmf: np.ndarray = np.exp(log_pmf)
    pmf[certain, inner] = 0.0
    return pmf


def _power_of_complement(n: int, probs: np.ndarray, complements: np.ndarray) -> np.ndarray:
    """Return n log(1 − p) from whichever of p and 1 − p is the smaller."""
    return np.asarray(np.where(probs < 0.5, special.xlog1py(n, -probs), special.xlogy(n, complements)))


def _deviance(count: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Return count · log(count/mean) − count + mean for count > 0; near the mean as mean · [(1 + e) log(1 + e) − e]."""
    with np.errstate(over="ignore"):  # a mean of 1e-308, where the probability is 0
        e = (count - mean) / mean
        far = count * np.log(count / mean) - count + mean
    near = e < 1
    e = np.where(near, e, 0.0)
    inner = mean * (e * e + (1 + e) * log1p_minus_arg(e))
    deviance: np.ndarray = np.where(near, inner, far)
    return deviance


def _log_factorial_remainder(counts: np.ndarray) -> np.ndarray:
    """Return log k! − [(k + 1/2) log k − k + log(2π)/2], the remainder of Stirling's series for k!; 0 at k = 0."""
    k = np.maximum(counts, 1.0)
    direct = special.gammaln(k + 1) - ((k + 0.5) * np.log(k) - k + 0.5 * np.log(2 * np.pi))
    remainder = np.where(k < 10, direct, stirling_remainder(np.maximum(k, 10.0)))
    return np.asarray(np.where(counts == 0, 0.0, remainder))
