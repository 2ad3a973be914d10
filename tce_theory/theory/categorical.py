"""Categorical models: drift and loss of classes under cross entropy, and what a cap on confidence leaves.

Under cross entropy in the replace regime class frequencies follow the Wright–Fisher model: generation t + 1 is the
frequencies of n draws from generation t. TCE caps them at γ.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import FloatOrArray, integers, numbers_in, numbers_or_scalar
from tce_theory.theory._special import log_gamma_ratio
from tce_theory.validation import probability_vector

__all__ = [
    "absorption_time_limit",
    "cap_bias",
    "entropy_floor",
    "expected_surviving_types",
    "extinction_probability",
    "fresh_mix_heterozygosity",
    "heterozygosity_decay",
    "survival_probability",
    "surviving_classes_floor",
    "wright_fisher_eigenvalues",
]

_LONGEST = 10**7
"""Generations of the extinction recursion: its time and memory grow with them."""

_CHUNK = 2**18
"""Classes summed at once: a few MB, whatever the number of classes."""


def survival_probability(t: Any) -> FloatOrArray:
    """Probability 1 − q_t that a class with one expected point has not died out by generation t, to full accuracy.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0 to 10^7.

    Returns
    -------
    float or ndarray
        1 at t = 0, then s_{t+1} = 1 − exp(−s_t); of the shape of `t`. 2/s_t = t + log(t)/3 + 1.798 + o(1).

    Raises
    ------
    DomainError
        If `t` is out of range.

    Notes
    -----
    Slug `tail-extinction`: survival of a Galton–Watson process with Poisson(1) offspring, started from one individual.

    Examples
    --------
    >>> survival_probability(0), round(survival_probability(1), 12)
    (1.0, 0.632120558829)
    """
    time = integers("t", t, minimum=0, maximum=_LONGEST)
    trajectory = np.empty(int(time.max(initial=0)) + 1)
    survival = 1.0
    for generation in range(trajectory.size):
        trajectory[generation] = survival
        survival = -math.expm1(-survival)
    return numbers_or_scalar(trajectory[time.astype(np.intp)])


def extinction_probability(t: Any) -> FloatOrArray:
    """Probability q_t that a class with one expected point has died out by generation t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0 to 10^7.

    Returns
    -------
    float or ndarray
        q_0 = 0, then q_{t+1} = exp(q_t − 1); of the shape of `t`.

    Raises
    ------
    DomainError
        If `t` is out of range.

    Notes
    -----
    Slug `tail-extinction`. A class of probability p survives t generations of n points with probability 1 − q_t^(n p)
    under Poisson sampling, and at least that under multinomial sampling. For long times `survival_probability` keeps
    the digits that 1 − q_t loses.

    Examples
    --------
    >>> round(extinction_probability(1), 12)  # 1/e
    0.367879441171
    """
    return numbers_or_scalar(1 - np.asarray(survival_probability(t)))


def expected_surviving_types(probs: Any, n: Any, t: Any) -> FloatOrArray:
    """Return the expected number of classes that survive t generations of cross entropy, Σ_i (1 − q_t^(n p_i)).

    Parameters
    ----------
    probs : array of float, shape (K,)
        Class probabilities at generation 0.
    n : int or array of int
        Points a generation, at least 1.
    t : int or array of int
        Generation, from 0 to 10^7.

    Returns
    -------
    float or ndarray
        Of the broadcast shape of `n` and `t`. Exact for Poisson sampling, a lower bound for multinomial sampling.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `tail-extinction`. The bound, generation by generation: the number of points of a class of probability p is
    binomial, and its generating function at q is (1 − p(1 − q))^n ≤ exp(−n p (1 − q)).

    Examples
    --------
    >>> zipf = 1 / np.arange(1, 100_001)
    >>> round(expected_surviving_types(zipf / zipf.sum(), 10**7, 10), 6)
    91893.23519
    """
    p = probability_vector("probs", probs)
    size = integers("n", n, minimum=1)
    survival = np.asarray(survival_probability(t))
    size, survival = np.broadcast_arrays(size, survival)
    totals = [_surviving_types(p, *pair) for pair in zip(size.flat, survival.flat, strict=True)]
    return numbers_or_scalar(np.reshape(totals, size.shape))


def _surviving_types(p: np.ndarray, n: float, survival: float) -> float:
    if survival == 1:
        return float(np.count_nonzero(p))
    exponent = n * math.log1p(-survival)
    chunks = (p[start : start + _CHUNK] for start in range(0, p.size, _CHUNK))
    return math.fsum(-np.expm1(exponent * chunk).sum() for chunk in chunks)


def heterozygosity_decay(t: Any, n: Any) -> FloatOrArray:
    """Return the share of the initial heterozygosity 1 − Σ p² expected after t generations, (1 − 1/n)^t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n : int or array of int
        Points a generation, at least 1.

    Returns
    -------
    float or ndarray
        In [0, 1], of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wright-fisher`; Wright (1931).

    Examples
    --------
    >>> round(heterozygosity_decay(100, 100), 12)
    0.366032341273
    """
    time, size = integers("t", t, minimum=0), integers("n", n, minimum=1)
    return numbers_or_scalar(np.exp(special.xlog1py(time, -1 / size)))


def fresh_mix_heterozygosity(n: Any, fraction: Any, heterozygosity0: Any, *, t: Any = None) -> FloatOrArray:
    """Return the expected heterozygosity under cross entropy when a share of every generation's data is fresh.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1, drawn from (1 − α) p_t + α p_0.
    fraction : float or array of float
        Share α of fresh data, in [0, 1].
    heterozygosity0 : float or array of float
        H_0 = 1 − Σ p_0², in [0, 1).
    t : int or array of int, optional
        Generation, from 0. Without it: the limit t → ∞.

    Returns
    -------
    float or ndarray
        H_0 (θ + λ^t)/(1 + θ) with θ = (n − 1) α (2 − α) and λ = (1 − 1/n)(1 − α)², of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `fresh-mix`. n draws from m keep 1 − 1/n of the heterozygosity of m. That of m = (1 − α) p_t + α p_0 is
    1 − (1 − α)² Σp_t² − 2α(1 − α) Σ p_t p_0 − α² Σ p_0², and because E p_t = p_0 the mean of Σ p_t p_0 is Σ p_0². So
    E H_{t+1} = (1 − 1/n) [(1 − α)² E H_t + α(2 − α) H_0].

    Examples
    --------
    >>> round(fresh_mix_heterozygosity(100, 0.01, 1 - 0.3**2 - 0.7**2), 10)
    0.2785906198
    >>> round(fresh_mix_heterozygosity(100, 0.01, 0.42, t=1), 10)  # the first generation is drawn from p_0
    0.4158
    """
    size = integers("n", n, minimum=1)
    share = numbers_in("fraction", fraction, 0.0, 1.0)
    initial = numbers_in("heterozygosity0", heterozygosity0, 0.0, 1.0, open_high=True)
    theta = (size - 1) * share * (2 - share)
    if t is None:
        return numbers_or_scalar(initial * theta / (1 + theta))
    time = integers("t", t, minimum=0)
    decay = np.exp(special.xlog1py(time, -1 / size) + 2 * special.xlog1py(time, -share))
    return numbers_or_scalar(initial * (theta + decay) / (1 + theta))


def wright_fisher_eigenvalues(n: Any, k: Any) -> FloatOrArray:
    """Eigenvalue of degree k of the Wright–Fisher chain, Π_{i<k} (1 − i/n).

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    k : int or array of int
        Degree, from 0; beyond n the eigenvalue is 0.

    Returns
    -------
    float or ndarray
        In [0, 1], of the broadcast shape. With K classes degree k has multiplicity C(k + K − 2, k).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wright-fisher`; Feller (1951) for two classes. The mean of every polynomial of degree k in the frequencies
    decays through the first k of them; heterozygosity has degree 2.

    Examples
    --------
    >>> wright_fisher_eigenvalues(10, [0, 1, 2, 3]).round(6)
    array([1.  , 1.  , 0.9 , 0.72])
    """
    size, degree = np.broadcast_arrays(integers("n", n, minimum=1), integers("k", k, minimum=0))
    inside = np.minimum(degree, size)
    first = size - inside + 1  # n!/(n − k)! = Γ(first + k)/Γ(first)
    log_value = log_gamma_ratio(first, inside) + inside * np.log1p((1 - inside) / size)
    return numbers_or_scalar(np.where(degree <= size, np.exp(log_value), 0.0))


def absorption_time_limit(n: Any, p: Any) -> FloatOrArray:
    """Mean absorption time of two classes under cross entropy in the diffusion limit, −2n [p log p + (1−p) log(1−p)].

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    p : float or array of float
        Probability of one class at generation 0, in [0, 1].

    Returns
    -------
    float or ndarray
        Generations, of the broadcast shape. `tce_theory.exact.TwoClassChain` has the exact value.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wright-fisher`; Ewens (1979), from u'' p(1 − p)/2 = −n.

    Examples
    --------
    >>> round(absorption_time_limit(100, 0.5), 6)
    138.629436
    """
    size, prob = integers("n", n, minimum=1), numbers_in("p", p, 0.0, 1.0)
    return numbers_or_scalar(2 * size * (special.entr(prob) - special.xlog1py(1 - prob, -prob)))


def entropy_floor(gamma: Any) -> FloatOrArray:
    """Least entropy of a categorical distribution whose probabilities are at most γ, h_min(γ).

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold in (0, 1].

    Returns
    -------
    float or ndarray
        −mγ log γ − r log r in nats with m = ⌊1/γ⌋ and r = 1 − mγ; of the shape of `gamma`; at least −log γ.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `support-floor`: entropy is concave, so that its minimum is at a vertex of {q : max q ≤ γ}, m entries of γ and
    one of r. It is attained if there are at least ⌈1/γ⌉ classes.

    Examples
    --------
    >>> round(entropy_floor(0.9), 9), round(entropy_floor(0.3), 9)
    (0.325082973, 1.313834033)
    """
    threshold = numbers_in("gamma", gamma, 0.0, 1.0, open_low=True)
    rest = np.fmod(1.0, threshold)  # exact, unlike 1 − mγ
    return numbers_or_scalar(-(1 - rest) * np.log(threshold) + special.entr(rest))


def surviving_classes_floor(gamma: Any) -> int | np.ndarray:
    """Classes that survive for ever once the model is capped at γ, ⌈1/γ⌉.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold in [1e-12, 1].

    Returns
    -------
    int or ndarray of int
        Of the shape of `gamma`. A γ within rounding of 1/k gives k: 1/3 and 0.1 stand for the fractions.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `support-floor`: probabilities of at most γ that sum to 1 need that many classes. It holds for warm-started
    fits from a model inside the cap.

    Examples
    --------
    >>> [surviving_classes_floor(gamma) for gamma in (0.9, 0.5, 1 / 3, 0.3, 0.1)]
    [2, 2, 3, 4, 10]
    """
    inverse = 1 / numbers_in("gamma", gamma, 1e-12, 1.0)
    nearest = np.round(inverse)
    # γ and 1/γ are each rounded once: an integer is missed by at most 2 units in the last place
    is_integer = np.abs(inverse - nearest) <= 4 * np.finfo(np.float64).eps * nearest
    floor = np.where(is_integer, nearest, np.ceil(inverse)).astype(np.int64)
    return int(floor) if floor.ndim == 0 else floor


def cap_bias(probs: Any, gamma: Any) -> FloatOrArray:
    """Least total variation distance to `probs` of a distribution capped at γ, Σ_i (p_i − γ)_+.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Class probabilities at generation 0.
    gamma : float or array of float
        Confidence threshold in (0, 1], at least 1/K: below that no distribution is capped at γ.

    Returns
    -------
    float or ndarray
        In [0, 1), of the shape of `gamma`; 0 if and only if the cap is at or above the head.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `cap-bias`. The bound is attained by moving the excess to classes below the cap.

    Examples
    --------
    >>> round(cap_bias([0.6, 0.3, 0.1], 0.5), 12)
    0.1
    """
    p = probability_vector("probs", probs)
    threshold = numbers_in("gamma", gamma, 0.0, 1.0, open_low=True)
    if (threshold * p.size < 1 - 1e-12).any():
        smallest = float(threshold.min())
        raise DomainError("gamma", smallest, f"at least 1/{p.size}: {p.size} probabilities below it do not sum to 1")
    totals = [math.fsum(p[p > value] - value) for value in threshold.flat]
    return numbers_or_scalar(np.reshape(totals, threshold.shape))
