"""Metrics of one-dimensional Gaussians as functions of their parameters; of discrete laws as functions of vectors.

The recursion's kernels compute the discrete ones on the surviving support; those here are the definitions.
"""

from __future__ import annotations

import math

import numpy as np

__all__ = [
    "entropy",
    "gaussian_entropy",
    "gaussian_kl",
    "gaussian_w2_squared",
    "heterozygosity",
    "kl_divergence",
    "total_variation",
]

FloatOrArray = float | np.ndarray


def gaussian_entropy(log_std: FloatOrArray) -> FloatOrArray:
    """Differential entropy of a normal law, in nats, from the logarithm of its standard deviation.

    Examples
    --------
    >>> round(gaussian_entropy(0.0), 6)
    1.418939
    """
    return 0.5 * math.log(2 * math.pi * math.e) + log_std


def gaussian_kl(
    mean_p: FloatOrArray, log_std_p: FloatOrArray, mean_q: FloatOrArray, log_std_q: FloatOrArray
) -> FloatOrArray:
    """Kullback–Leibler divergence KL(p‖q) of normal laws, in nats.

    It is accurate also where p and q are close, and inf where it exceeds the range of a float.

    Examples
    --------
    >>> round(float(gaussian_kl(0.0, 0.0, 1.0, np.log(2.0))), 6)
    0.443147
    """
    log_ratio = 2 * (np.asarray(log_std_p) - log_std_q)
    with np.errstate(over="ignore", invalid="ignore"):
        # e^x - 1 - x, by its series where the difference would cancel
        spread = np.where(
            np.abs(log_ratio) < 1e-3,
            log_ratio**2 * (0.5 + log_ratio * (1 / 6 + log_ratio * (1 / 24 + log_ratio / 120))),
            np.expm1(log_ratio) - log_ratio,
        )
        distance = np.asarray(mean_p) - mean_q
        shift = (distance * np.exp(-np.asarray(log_std_q))) ** 2
        # equal means add nothing, however narrow q is; a mean that has left the range of a float is infinitely far
        shift = np.where(distance == 0, 0.0, np.where(np.isinf(distance), np.inf, shift))
        return np.asarray(0.5 * (spread + shift))[()]


def gaussian_w2_squared(
    mean_p: FloatOrArray, std_p: FloatOrArray, mean_q: FloatOrArray, std_q: FloatOrArray
) -> FloatOrArray:
    """Squared 2-Wasserstein distance of normal laws.

    Examples
    --------
    >>> gaussian_w2_squared(0.0, 1.0, 3.0, 2.0)
    10.0
    """
    return (mean_p - mean_q) ** 2 + (std_p - std_q) ** 2


def entropy(probs: np.ndarray) -> float:
    """Shannon entropy in nats.

    Examples
    --------
    >>> round(entropy(np.array([0.5, 0.5, 0.0])), 6)
    0.693147
    """
    alive = probs[probs > 0]
    return float(-(alive * np.log(alive)).sum()) + 0.0


def heterozygosity(probs: np.ndarray) -> float:
    """Probability 1 − Σp² that two draws differ.

    Examples
    --------
    >>> heterozygosity(np.array([0.5, 0.5]))
    0.5
    """
    return float((probs * (1 - probs)).sum())  # near fixation 1 - sum of squares would cancel


def total_variation(p: np.ndarray, q: np.ndarray) -> float:
    """Total-variation distance, half the L1 distance.

    Examples
    --------
    >>> total_variation(np.array([1.0, 0.0]), np.array([0.5, 0.5]))
    0.5
    """
    return float(np.maximum(p - q, 0).sum())


def kl_divergence(p: np.ndarray, q: np.ndarray) -> float:
    """Kullback–Leibler divergence KL(p‖q) in nats; inf where p has a class that q lacks.

    Examples
    --------
    >>> kl_divergence(np.array([0.5, 0.5]), np.array([1.0, 0.0]))
    inf
    """
    alive = p > 0
    if (q[alive] == 0).any():
        return math.inf
    return max(float((p[alive] * np.log(p[alive] / q[alive])).sum()), 0.0)
