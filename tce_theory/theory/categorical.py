"""Categorical models: drift and loss of classes under cross entropy, and what a cap on confidence leaves.

Under cross entropy in the replace regime class frequencies follow the Wright–Fisher model: generation t + 1 is the
frequencies of n draws from generation t. TCE caps them at γ.
"""

from __future__ import annotations

import math
import sys
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import (
    FloatOrArray,
    Integers,
    Vector,
    integers,
    numbers_in,
    numbers_or_scalar,
    positive_numbers,
)
from tce_theory.theory._special import log1p_minus_arg, log_gamma_ratio
from tce_theory.validation import number_in, positive_integer, probability_vector

__all__ = [
    "CappedProjection",
    "WarmEnd",
    "WaterFillingBias",
    "absorption_time_limit",
    "cap_bias",
    "capped_projection",
    "class_survival_probability",
    "composition_decay",
    "drift_interval_bound",
    "drift_interval_floor",
    "drift_survival_bound",
    "entropy_floor",
    "entropy_interval_floor",
    "expected_surviving_types",
    "extinction_probability",
    "fixation_probability",
    "flat_gain_support",
    "flat_gain_total_variation",
    "heterozygosity_decay",
    "largest_entropy",
    "least_heterozygosity",
    "literal_anticap_threshold",
    "literal_loss_anticaps",
    "log_two_class_persistence_limit",
    "log_wright_fisher_multiplicity",
    "mode_seeking_limit",
    "survival_constant",
    "survival_probability",
    "surviving_classes_floor",
    "tabular_gap_bound",
    "tce_is_ce",
    "two_class_persistence_limit",
    "warm_end",
    "warm_heterozygosity_limit",
    "water_filling_bias",
    "wright_fisher_eigenvalues",
    "wright_fisher_multiplicity",
]

_LONGEST = 10**7
"""Generations of the extinction recursion: its time and memory grow with them."""

_CHUNK = 2**18
"""Classes summed at once: a few MB, whatever the number of classes."""

_LARGEST_EXACT = 10**5
"""Smaller argument of an exact binomial coefficient: beyond it one takes minutes."""

_ABEL = (1 / 18, 1 / 135, -1 / 972, -71 / 27216, -8759 / 5103000, 31 / 328050, 183311 / 128595600)
"""Coefficients of 1/u, 1/u², … in φ, see `survival_constant`; derived in proofs/tail-extinction.py."""


def survival_probability(t: Integers) -> FloatOrArray:
    """Probability 1 − q_t that a class with one expected point has not died out by generation t, to full accuracy.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0 to 10^7.

    Returns
    -------
    float or ndarray
        1 at t = 0, then s_{t+1} = 1 − exp(−s_t); of the shape of `t`. 2/s_t = t + log(t)/3 + C + o(1), with
        C of `survival_constant`.

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


def extinction_probability(t: Integers) -> FloatOrArray:
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


def expected_surviving_types(probs: Vector, n: Integers, t: Integers) -> FloatOrArray:
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


def heterozygosity_decay(t: Integers, n: Integers) -> FloatOrArray:
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


def drift_survival_bound(t: Integers, n: Integers, ratio: Any) -> FloatOrArray:
    """Bound of the probability that cross entropy has kept a share of its heterozygosity up to generation t.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0.
    n : int or array of int
        Points a generation, at least 1.
    ratio : float or array of float
        Threshold c in (0, 1]: T is the first generation with a heterozygosity below c times the initial one.

    Returns
    -------
    float or ndarray
        min(1, (1 − 1/n)^t/c) ≥ Pr(T > t), of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`: Markov's inequality. Attained by two classes of probability 1/2, n = 2 and c = 1.

    Examples
    --------
    >>> round(drift_survival_bound(200, 100, 0.5), 12)
    0.267959349716
    """
    time, size = integers("t", t, minimum=0), integers("n", n, minimum=1)
    share = numbers_in("ratio", ratio, 0.0, 1.0, open_low=True)
    return numbers_or_scalar(np.exp(np.minimum(special.xlog1py(time, -1 / size) - np.log(share), 0.0)))


def drift_interval_bound(n: Integers, ratio: Any) -> FloatOrArray:
    """Upper bound of the mean fidelity interval of cross entropy in its heterozygosity.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    ratio : float or array of float
        Threshold c in (0, 1]: T is the first generation with a heterozygosity below c times the initial one.

    Returns
    -------
    float or ndarray
        Σ_t min(1, (1 − 1/n)^t/c) = s + n (1 − 1/n)^s/c ≥ E T, s the number of t ≥ 0 with (1 − 1/n)^t > c; of the
        broadcast shape. At most n (1 + log(1/c)), whatever the number of classes and their probabilities.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`. For an entropy below h in place of a heterozygosity, c = `least_heterozygosity` at h over the
    initial heterozygosity. Attained by two classes of probability 1/2, n = 2 and c = 1.

    Examples
    --------
    >>> round(drift_interval_bound(100, 0.5), 6)
    168.967406
    """
    size, share = integers("n", n, minimum=1), numbers_in("ratio", ratio, 0.0, 1.0, open_low=True)
    size, share = np.broadcast_arrays(size, share)
    log_kept = np.log1p(-1 / np.maximum(size, 2))
    # where (1 − 1/n)^s = c, s and s + 1 give the same sum: the rounding of s does not matter
    certain = np.ceil(np.log(share) / log_kept)
    total = certain + size * np.exp(certain * log_kept - np.log(share))
    return numbers_or_scalar(np.where(size == 1, 1.0, total))


def drift_interval_floor(n: Integers, ratio: Any, heterozygosity: Any, num_classes: Integers) -> FloatOrArray:
    """Lower bound of the mean fidelity interval of cross entropy in its heterozygosity.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    ratio : float or array of float
        Threshold c in (0, 1]: T is the first generation with a heterozygosity below c times the initial one.
    heterozygosity : float or array of float
        D_0 = 1 − Σ p² at generation 0, in [0, 1 − 1/K].
    num_classes : int or array of int
        Number K of classes, at least 2.

    Returns
    -------
    float or ndarray
        n (1 − c) D_0/(1 − 1/K) ≤ E T, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`. With `drift_interval_bound`: of the order of n. Approached by two classes of probability 1/2,
    n = 2 and c → 0.

    Examples
    --------
    >>> drift_interval_floor(100, 0.5, 0.5, 2)
    50.0
    """
    size, share = integers("n", n, minimum=1), numbers_in("ratio", ratio, 0.0, 1.0, open_low=True)
    return numbers_or_scalar(size * (1 - share) * _relative_heterozygosity(heterozygosity, num_classes)[0])


def largest_entropy(heterozygosity: Any, num_classes: Integers) -> FloatOrArray:
    """Largest entropy of a distribution on K classes with a given heterozygosity 1 − Σ p².

    Parameters
    ----------
    heterozygosity : float or array of float
        D in [0, 1 − 1/K].
    num_classes : int or array of int
        Number K of classes, at least 2.

    Returns
    -------
    float or ndarray
        In nats, of the broadcast shape: the entropy of (1 − e, e/(K − 1), …, e/(K − 1)) with the e that has this D.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`; Harremoës and Topsøe (2001). `least_heterozygosity` is its inverse.

    Examples
    --------
    >>> round(largest_entropy(0.5, 2), 12), round(largest_entropy(0.5, 100), 12)
    (0.69314718056, 1.953971660057)
    """
    relative, size = _relative_heterozygosity(heterozygosity, num_classes)
    error = (1 - 1 / size) * relative / (1 + np.sqrt(1 - relative))
    return numbers_or_scalar(_fano(error, size))


def least_heterozygosity(entropy: Any, num_classes: Integers) -> FloatOrArray:
    """Least heterozygosity 1 − Σ p² of a distribution on K classes with a given entropy.

    Parameters
    ----------
    entropy : float or array of float
        Entropy in nats, in [0, log K].
    num_classes : int or array of int
        Number K of classes, at least 2.

    Returns
    -------
    float or ndarray
        2e − e² K/(K − 1) with the e in [0, 1 − 1/K] that has −e log e − (1 − e) log(1 − e) + e log(K − 1) equal to the
        entropy; of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`: the inverse of `largest_entropy`, and a bound for every entropy of at least this.

    Examples
    --------
    >>> round(least_heterozygosity(0.5, 2), 12), round(least_heterozygosity(1.953971660057, 100), 9)
    (0.319651714752, 0.5)
    """
    size = integers("num_classes", num_classes, minimum=2)
    level, size = np.broadcast_arrays(numbers_in("entropy", entropy, 0.0), size)
    if (level > np.log(size) * (1 + 1e-12)).any():
        raise DomainError("entropy", entropy, "at most log(num_classes)")
    error = np.reshape([_fano_error(*pair) for pair in zip(level.flat, size.flat, strict=True)], level.shape)
    return numbers_or_scalar(error * (2 - error * size / (size - 1)))


def entropy_interval_floor(n: Integers, entropy: Any, threshold: Any, num_classes: Integers) -> FloatOrArray:
    """Lower bound of the mean fidelity interval of cross entropy in its entropy.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    entropy : float or array of float
        Entropy H_0 at generation 0, at least 0, in nats.
    threshold : float or array of float
        h ≥ 0 in nats: T is the first generation with an entropy below.
    num_classes : int or array of int
        Number K of classes, at least 2.

    Returns
    -------
    float or ndarray
        n (H_0 − h)/(K − 1) ≤ E T, or 0 where that is negative; of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `drift-interval`. About half of E T for two classes and large n.

    Examples
    --------
    >>> round(entropy_interval_floor(100, 0.6931471805599453, 0.5, 2), 12)
    19.314718055995
    """
    start, level = numbers_in("entropy", entropy, 0.0), numbers_in("threshold", threshold, 0.0)
    count = integers("num_classes", num_classes, minimum=2)
    return numbers_or_scalar(integers("n", n, minimum=1) * np.maximum(start - level, 0.0) / (count - 1))


def _relative_heterozygosity(heterozygosity: Any, num_classes: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return D/(1 − 1/K), at most 1, and K."""
    size = integers("num_classes", num_classes, minimum=2)
    relative = numbers_in("heterozygosity", heterozygosity, 0.0) * (size / (size - 1))
    if (relative > 1 + 1e-12).any():
        raise DomainError("heterozygosity", heterozygosity, "at most 1 - 1/num_classes")
    return np.minimum(relative, 1.0), size


def _fano(error: Any, size: Any) -> Any:
    """Entropy of (1 − e, e/(K − 1), …, e/(K − 1))."""
    return special.entr(error) - special.xlog1py(1 - error, -error) + error * np.log(size - 1)


def _fano_error(entropy: float, size: float) -> float:
    """Return the e in [0, 1 − 1/K] at which `_fano` is `entropy`, to its own size."""
    largest = 1 - 1 / size
    if entropy <= 0 or entropy >= _fano(largest, size):
        return largest if entropy > 0 else 0.0
    root = optimize.brentq(
        lambda log_error: float(_fano(math.exp(log_error), size)) - entropy, -745.0, math.log(largest),
        xtol=1e-15, rtol=8.9e-16,
    )  # fmt: skip
    return math.exp(root)


def wright_fisher_eigenvalues(n: Integers, k: Integers) -> FloatOrArray:
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


def absorption_time_limit(n: Integers, p: Any) -> FloatOrArray:
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


def fixation_probability(p: Any) -> FloatOrArray:
    """Probability that a class, or a set of classes, is what is left in the end under cross entropy: p itself.

    Parameters
    ----------
    p : float or array of float
        Probability of the class, or of the set, at generation 0, in [0, 1].

    Returns
    -------
    float or ndarray
        Of the shape of `p`.

    Raises
    ------
    DomainError
        If `p` is out of range.

    Notes
    -----
    Slug `wright-fisher`: frequencies are bounded martingales, and exactly one class is left almost surely.

    Examples
    --------
    >>> fixation_probability([0.2, 0.3, 0.5])
    array([0.2, 0.3, 0.5])
    """
    return numbers_or_scalar(numbers_in("p", p, 0.0, 1.0).copy())


def wright_fisher_multiplicity(k: Integers, num_classes: Integers) -> int:
    """Multiplicity of the eigenvalue of degree k of the Wright–Fisher chain, C(k + K − 2, k), exactly.

    Parameters
    ----------
    k : int
        Degree, from 0.
    num_classes : int
        K, at least 2. One of `k` and K − 2 has to be at most 10^5; `log_wright_fisher_multiplicity` has no such limit.

    Returns
    -------
    int
        Of any size.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wright-fisher`: monomials of degree k in K − 1 free frequencies. Degrees 0 and 1 share the eigenvalue 1.
    Summed over degrees 0 to n these are the C(n + K − 1, n) states of the chain.

    Examples
    --------
    >>> [wright_fisher_multiplicity(k, 4) for k in range(5)]
    [1, 3, 6, 10, 15]
    """
    degree, classes = positive_integer("k", k, minimum=0), positive_integer("num_classes", num_classes, minimum=2)
    if min(degree, classes - 2) > _LARGEST_EXACT:
        raise DomainError("k", k, f"at most {_LARGEST_EXACT} if num_classes is beyond {_LARGEST_EXACT + 2}")
    return math.comb(degree + classes - 2, degree)


def log_wright_fisher_multiplicity(k: Integers, num_classes: Integers) -> FloatOrArray:
    """Logarithm of the multiplicity of the eigenvalue of degree k of the Wright–Fisher chain, log C(k + K − 2, k).

    Parameters
    ----------
    k : int or array of int
        Degree, from 0.
    num_classes : int or array of int
        K, at least 2.

    Returns
    -------
    float or ndarray
        Of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `wright-fisher`.

    Examples
    --------
    >>> round(log_wright_fisher_multiplicity(1_000_000, 10_000_000), 3)
    3350989.101
    """
    degree = integers("k", k, minimum=0)
    free = integers("num_classes", num_classes, minimum=2) - 2
    small, large = np.minimum(degree, free), np.maximum(degree, free)
    # C(L + s, s) = Γ(L + 1 + s)/Γ(L + 1)/s!, and Γ(L + 1 + s)/Γ(L + 1) = (L + 1)^s exp(log_gamma_ratio)
    rising = small * np.log(large + 1) + log_gamma_ratio(large + 1, small)
    return numbers_or_scalar(np.where(small > 0, rising - special.gammaln(small + 1), 0.0))


def survival_constant() -> float:
    """Constant C = 1.79824815423139 of the survival of a rare class, 2/s_t = t + log(t)/3 + C + o(1).

    Returns
    -------
    float
        To 14 digits.

    Notes
    -----
    Slug `tail-extinction`. With u = 2/s one generation is u' = u + 1 + 1/(3u) − …, and φ(u) = u − log(u)/3 +
    1/(18u) + 1/(135u²) − … grows by exactly 1 in it, so that C = φ(u_t) − t at every t. The series is asymptotic; at
    t = 40 what is left out is below 1e-15.

    Examples
    --------
    >>> round(survival_constant(), 12)
    1.798248154231
    """
    t = 40
    u = 2 / float(survival_probability(t))
    series = sum(coefficient / u**power for power, coefficient in enumerate(_ABEL, start=1))
    return u - t - math.log(u) / 3 + series


def class_survival_probability(t: Integers, n: Integers, p: Any) -> FloatOrArray:
    """Probability that a class survives t generations of cross entropy, 1 − q_t^(n p), or a bound on it.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0 to 10^7.
    n : int or array of int
        Points a generation, at least 1.
    p : float or array of float
        Probability of the class at generation 0, in [0, 1].

    Returns
    -------
    float or ndarray
        In [0, 1], of the broadcast shape. Exact where the class has a Poisson number of points in each generation, a
        lower bound where n points are drawn.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `tail-extinction`; the bound is that of Suresh et al. (2024) (`suresh-rates`) and sharp for rare classes.

    Examples
    --------
    >>> round(class_survival_probability(10, 1000, 0.002), 6)
    0.291432
    """
    survival = np.asarray(survival_probability(t))
    expected = integers("n", n, minimum=1) * numbers_in("p", p, 0.0, 1.0)
    # xlog1py is 0 for a class of probability 0, also at t = 0
    return numbers_or_scalar(0.0 - np.expm1(special.xlog1py(expected, -survival)))


def composition_decay(points: Integers) -> FloatOrArray:
    """Return the factor 1 − 1/N of heterozygosity within a set of classes of which N points were drawn.

    Parameters
    ----------
    points : int or array of int
        N, points of this generation that fall into the set, at least 1.

    Returns
    -------
    float or ndarray
        In [0, 1), of the shape of `points`.

    Raises
    ------
    DomainError
        If `points` is out of range.

    Notes
    -----
    Slug `tails-unprotected`: given N the draws within the set are N draws from its composition, whatever the loss; what
    is fitted has the composition of the draws as long as no class of the set is capped.

    Examples
    --------
    >>> composition_decay([1, 2, 100])
    array([0.  , 0.5 , 0.99])
    """
    count = integers("points", points, minimum=1)
    return numbers_or_scalar((count - 1) / count)


def tce_is_ce(n: Integers, gamma: Any) -> Any:
    """Tell whether TCE is cross entropy for every sample of n points, γ ≥ 1 − 1/n, if a class not drawn is lost.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    gamma : float or array of float
        Confidence threshold in [1/2, 1]. A γ within rounding of 1 − 1/n counts as equal to it.

    Returns
    -------
    bool or ndarray of bool
        Of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `two-class-persistence`: where two classes are drawn no frequency exceeds 1 − 1/n. For any number of classes,
    under the convention "drawn-only".

    Examples
    --------
    >>> tce_is_ce([10, 11, 40], [0.9, 0.9, 0.975])
    array([ True, False,  True])
    """
    size = integers("n", n, minimum=1)
    threshold = numbers_in("gamma", gamma, 0.5, 1.0)
    # 1 − γ is exact; 1/n and a γ that was computed as 1 − 1/n are off by less than 2^−53 together
    equal = np.asarray((1 - threshold) <= 1 / size + 2.0**-53)
    return bool(equal) if equal.ndim == 0 else equal


def log_two_class_persistence_limit(n: Integers, gamma: Any) -> FloatOrArray:
    """Logarithm of the mean time until one of two classes is lost under TCE, leading order for large n.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    gamma : float or array of float
        Confidence threshold in (1/2, 1).

    Returns
    -------
    float or ndarray
        log[sqrt(2nγ(1 − γ)) log(γ/(1 − γ)) γ^(−n)], of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `two-class-persistence`, where a class that is not drawn is lost; n → ∞ at a fixed γ. The relative error is of
    order n^(−1/2), of either sign: a large one where n(1 − γ) is not large (for γ ≥ 1 − 1/n TCE is cross entropy, see
    `tce_is_ce`), and for γ near 1/2. `tce_theory.exact.TwoClassChain` has the exact value.

    Examples
    --------
    >>> round(log_two_class_persistence_limit(10**6, 0.9), 6)
    105367.353209
    """
    size = integers("n", n, minimum=1)
    threshold = numbers_in("gamma", gamma, 0.5, 1.0, open_low=True, open_high=True)
    prefactor = np.log(2 * size * threshold * (1 - threshold)) / 2 + np.log(2 * np.arctanh(2 * threshold - 1))
    return numbers_or_scalar(prefactor - size * np.log(threshold))


def two_class_persistence_limit(n: Integers, gamma: Any) -> FloatOrArray:
    """Mean time until one of two classes is lost under TCE, sqrt(2nγ(1 − γ)) log(γ/(1 − γ)) γ^(−n), for large n.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1.
    gamma : float or array of float
        Confidence threshold in (1/2, 1).

    Returns
    -------
    float or ndarray
        Generations, of the broadcast shape; inf where it is beyond the range of float64
        (`log_two_class_persistence_limit` is not).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `two-class-persistence`; see `log_two_class_persistence_limit`.

    Examples
    --------
    >>> round(two_class_persistence_limit(100, 0.9))  # exact: 279516
    350962
    """
    with np.errstate(over="ignore"):
        return numbers_or_scalar(np.exp(log_two_class_persistence_limit(n, gamma)))


def warm_heterozygosity_limit(gamma: Any) -> FloatOrArray:
    """Heterozygosity that two classes keep for ever under warm-started TCE, (2γ − 1)/log(γ/(1 − γ)), for large n.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold in [1/2, 1].

    Returns
    -------
    float or ndarray
        Limit of the stationary mean of 2p(1 − p), of the shape of `gamma`: 1/2 at γ = 1/2, 0 at γ = 1.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `two-class-persistence`: n → ∞ at a fixed γ, with corrections of order n^(−1/2). It does not depend on where
    the chain started.

    Examples
    --------
    >>> round(warm_heterozygosity_limit(0.9), 12)
    0.364095690651
    """
    excess = 2 * numbers_in("gamma", gamma, 0.5, 1.0) - 1  # exact
    with np.errstate(divide="ignore"):  # artanh 1 = inf
        logit = 2 * np.arctanh(excess)
    inside = excess > 0
    return numbers_or_scalar(np.where(inside, excess / np.where(inside, logit, 1.0), 0.5))


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


def cap_bias(probs: Vector, gamma: Any) -> FloatOrArray:
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


# --- What a cap on confidence does


class CappedProjection(NamedTuple):
    """Water-filling: q_i = min(γ, f_i/λ)."""

    probs: np.ndarray
    """q, of the shape of the frequencies."""
    multiplier: float
    """λ in (0, 1], the weight that the mask leaves: q_i = f_i/λ below the cap."""
    n_capped: int
    """m, the number of classes with f_i > λγ."""


class WarmEnd(NamedTuple):
    """End of the logit gradient flow when the drawn classes fit under the cap."""

    probs: np.ndarray
    """The end point, of the shape of the previous model."""
    clock: float
    """τ: 0 if the model does not move, infinite where it moves for ever (Sγ = 1) and beyond the range of float64."""


class WaterFillingBias(NamedTuple):
    """Distances between p and its capped projection q; zero if and only if p is within the cap."""

    total_variation: float
    """Σ (p_i − γ)_+, the least of all capped distributions."""
    forward_kl: float
    """KL(p‖q), in nats."""
    reverse_kl: float
    """KL(q‖p), in nats."""


def capped_projection(frequencies: Vector, gamma: float) -> CappedProjection:
    """Fit of TCE to class frequencies: their projection on the distributions capped at γ, q_i = min(γ, f_i/λ).

    Parameters
    ----------
    frequencies : array of float, shape (K,)
        Class frequencies f: nonnegative, with sum 1. S of them are positive.
    gamma : float
        Confidence threshold in (0, 1], at least 1/S. Below 1/S the fit is vacuous and f does not decide it: see
        `warm_end`.

    Returns
    -------
    CappedProjection
        ``probs``, ``multiplier`` = (1 − F_m)/(1 − mγ) with F_m the mass of the m largest frequencies, and
        ``n_capped`` = m < 1/γ. For γ = 1/S: 1/S on the positive frequencies, and the limit of λ from larger γ.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `capped-projection`. The projection in KL(f‖q), in KL(q‖f) and in every other f-divergence. Selects the 1/γ
    largest frequencies and sorts them: O(K + min(K, 1/γ) log min(K, 1/γ)).

    Examples
    --------
    >>> fit = capped_projection([0.9, 0.07, 0.03], 0.6)
    >>> fit.probs.round(12).tolist(), fit.n_capped, round(fit.multiplier, 12)
    ([0.6, 0.28, 0.12], 1, 0.25)
    >>> zipf = 1 / np.arange(1, 11)
    >>> fit = capped_projection(zipf / zipf.sum(), 0.15)
    >>> fit.n_capped, round(fit.multiplier, 12)
    (3, 0.680124644357)
    """
    f, threshold = probability_vector("frequencies", frequencies), _one_threshold(gamma)
    n_positive = _check_coverage(f, threshold, "positive frequencies")
    if _is_reciprocal(n_positive, threshold):
        least = float(f.min(where=f > 0, initial=1.0))
        return CappedProjection((f > 0) / n_positive, least / threshold, int(np.count_nonzero(f > least)))
    m = _n_capped(f, threshold)
    level = float(_split(f, m)[1].sum() / _room(m, threshold)) if m else 1.0
    return CappedProjection(np.minimum(threshold, f / level), level, m)


def warm_end(previous: Vector, drawn: Vector, gamma: float) -> WarmEnd:
    """End of the gradient flow of TCE in the logits, from the previous model, when the drawn classes fit under the cap.

    Parameters
    ----------
    previous : array of float, shape (K,)
        Probabilities q_0 of the model that training starts from. Within the cap, max q_0 ≤ γ, unless only one class
        is drawn, or the model is frozen (every drawn class has at least γ), or Sγ = 1: otherwise the end depends on
        the frequencies and has no closed form.
    drawn : array of bool or of counts, shape (K,)
        Which classes were drawn: those with a positive entry. S of them, at least 1, each with q_0 > 0.
    gamma : float
        Confidence threshold in (0, 1], at most 1/S. Above 1/S the fit is the `capped_projection`.

    Returns
    -------
    WarmEnd
        ``probs``: γ on the drawn classes and (1 − Sγ) a_j/Σa off them, a_j = q_0j/(1 + τ q_0j); and ``clock`` = τ.
        For Sγ = 1 uniform on the drawn classes, which the flow reaches in infinite time.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `warm-degenerate`. The frequencies do not enter. Off the drawn classes exp(−z_j) grows at one rate, by τ in
    all, and Σ z is conserved: τ ≥ 0 is the one root of the increasing function

        G(τ) = Σ_drawn log q_0 + Σ_off log(1 + τ q_0j) − S log(γU(τ)/(1 − Sγ)),  U = Σ_off a_j.

    Examples
    --------
    >>> warm_end([0.4, 0.3, 0.2, 0.1], [False, False, False, True], 0.6).probs.round(8)
    array([0.15625721, 0.13591163, 0.10783116, 0.6       ])
    """
    q, threshold = probability_vector("previous", previous), _one_threshold(gamma)
    on = _drawn_classes(drawn, q)
    n_drawn = int(np.count_nonzero(on))
    if n_drawn * threshold > 1 and not _is_reciprocal(n_drawn, threshold):
        raise DomainError("gamma", threshold, f"at most 1/{n_drawn} with {n_drawn} classes drawn (capped_projection)")
    if (q[on] >= threshold).all():
        return WarmEnd(q, 0.0)
    if _is_reciprocal(n_drawn, threshold):
        return WarmEnd(on / n_drawn, math.inf)
    if n_drawn > 1 and q.max() > threshold * (1 + 1e-12):
        raise DomainError("previous", float(q.max()), f"at most gamma = {threshold:g} in every class")
    log_clock = _log_clock(q[on], q[~on], threshold)
    if log_clock == -math.inf:  # missing γ by rounding alone
        return WarmEnd(q, 0.0)
    with np.errstate(divide="ignore"):
        shares = special.expit(log_clock + np.log(q))  # τ a_j
    probs = np.where(on, threshold, _room(n_drawn, threshold) * shares / shares[~on].sum())
    return WarmEnd(probs, math.exp(log_clock) if log_clock < 709 else math.inf)


def literal_anticap_threshold(f: Any) -> FloatOrArray:
    """Threshold γ below which minimising the literal loss −Σ f_i 1(q_i ≤ γ) log q_i of two classes anti-caps.

    Parameters
    ----------
    f : float or array of float
        Frequency of the more frequent of two classes, in [1/2, 1).

    Returns
    -------
    float or ndarray
        1 − (1 − f) f^(f/(1 − f)), in (f, 1); of the shape of `f`.

    Raises
    ------
    DomainError
        If `f` is out of range.

    Notes
    -----
    Slug `literal-anticap`; the solution of h(f) = −(1 − f) log(1 − γ), h the binary entropy.

    Examples
    --------
    >>> round(literal_anticap_threshold(0.8), 12)
    0.91808
    """
    share = numbers_in("f", f, 0.5, 1.0, open_high=True)
    return numbers_or_scalar(1 - np.exp(_log_gap(share)))


def literal_loss_anticaps(f: Any, gamma: Any) -> bool | np.ndarray:
    """Whether minimising the literal loss −Σ f_i 1(q_i ≤ γ) log q_i of two classes drives q_1 to just above γ.

    Parameters
    ----------
    f : float or array of float
        Frequency of the more frequent class, in [1/2, 1).
    gamma : float or array of float
        Confidence threshold in (1/2, 1].

    Returns
    -------
    bool or ndarray of bool
        Of the broadcast shape. True if the infimum is approached as q_1 ↓ γ and attained nowhere (at f = 1/2 as
        q_2 ↓ γ as well), False if the minimum is at q_1 = f.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `literal-anticap`: for f < γ if and only if h(f) > −(1 − f) log(1 − γ), h the binary entropy, and always for
    f ≥ γ. The literal loss lets the mask vary with q; the gradient of training holds it constant and never sees this.

    Examples
    --------
    >>> literal_loss_anticaps(0.8, 0.9), literal_loss_anticaps(0.8, 0.92)
    (True, False)
    """
    share = numbers_in("f", f, 0.5, 1.0, open_high=True)
    threshold = numbers_in("gamma", gamma, 0.5, 1.0, open_low=True)
    with np.errstate(divide="ignore"):
        result = np.log1p(-threshold) > _log_gap(share)
    return bool(result) if result.ndim == 0 else result


def water_filling_bias(probs: Vector, gamma: float) -> WaterFillingBias:
    """Distances between the truth and its capped projection: what TCE costs where there is no sampling noise.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Class probabilities; S of them are positive.
    gamma : float
        Confidence threshold in (0, 1], at least 1/S.

    Returns
    -------
    WaterFillingBias
        Total variation and both directions of KL, with the digits that small biases need.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `cap-bias`. λ ≤ 1, so that the projection takes only from classes above γ: no capped distribution is nearer in
    total variation. KL(p‖q) = Σ_capped p_i log(p_i/γ) + (1 − F_m) log λ.

    Examples
    --------
    >>> [round(distance, 9) for distance in water_filling_bias([0.9, 0.07, 0.03], 0.6)]
    [0.3, 0.226289161, 0.31123868]
    """
    p = probability_vector("probs", probs)
    projection = capped_projection(p, gamma)
    gamma = float(gamma)
    capped, rest = _split(p, projection.n_capped)
    left = float(rest.sum())
    level = projection.multiplier
    excess = math.fsum(capped - gamma)
    gap = excess / float(_room(projection.n_capped, gamma)) if capped.size else 0.0  # 1 − λ
    forward = math.fsum(_kl_terms(capped, gamma, gamma - capped)) + left * float(_kl_terms(1.0, 1 / level, gap / level))
    reverse = math.fsum(_kl_terms(gamma, capped, capped - gamma)) + left / level * float(_kl_terms(1.0, level, -gap))
    return WaterFillingBias(math.fsum(capped[capped > gamma] - gamma), forward, reverse)


def flat_gain_total_variation(delta: Any) -> FloatOrArray:
    """Largest total variation distance between the uniform law on K classes and a law capped at (1 + δ)/K.

    Parameters
    ----------
    delta : float or array of float
        δ ≥ 0, the room that the cap leaves above the uniform law: γ = (1 + δ)/K.

    Returns
    -------
    float or ndarray
        δ/(1 + δ), of the shape of `delta`; attained where K/(1 + δ) is an integer.

    Raises
    ------
    DomainError
        If `delta` is out of range.

    Notes
    -----
    Slug `flat-gain`: it bounds every generation of warm-started TCE that starts from the uniform law.

    Examples
    --------
    >>> flat_gain_total_variation(0.25)
    0.2
    """
    room = numbers_in("delta", delta, 0.0)
    return numbers_or_scalar(room / (1 + room))


def flat_gain_support(size: Integers, delta: Any) -> int | np.ndarray:
    """Classes that survive for ever of K equally probable ones under the cap γ = (1 + δ)/K, ⌈K/(1 + δ)⌉.

    Parameters
    ----------
    size : int or array of int
        Number K of classes, at least 1 and at most 10^12.
    delta : float or array of float
        δ ≥ 0; from K − 1 on the cap is at 1 or above, and one class survives.

    Returns
    -------
    int or ndarray of int
        Of the broadcast shape. A K/(1 + δ) within rounding of an integer is taken as one.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `flat-gain`; a lower bound, `surviving_classes_floor` at γ.

    Examples
    --------
    >>> flat_gain_support(1000, [0.0, 0.1, 0.25])
    array([1000,  910,  800])
    """
    count, room = integers("size", size, minimum=1, maximum=10**12), numbers_in("delta", delta, 0.0)
    return surviving_classes_floor(np.minimum((1 + room) / count, 1.0))


def tabular_gap_bound(distance: Any, step: Any, steps: Integers, *, gradient_square: Any = 2.0) -> FloatOrArray:
    """Largest gap of the TCE objective at the averaged logits of gradient descent on a tabular softmax.

    Parameters
    ----------
    distance : float or array of float
        ‖z_0 − z*‖ between the first logits and a finite minimiser, at least 0.
    step : float or array of float
        Step η of gradient descent, above 0.
    steps : int or array of int
        Number T of steps, at least 1; the average is over z_0, …, z_{T−1}.
    gradient_square : float or array of float
        Bound G² on the squared norm of the gradients. The default, 2, holds for every loss of one row.

    Returns
    -------
    float or ndarray
        ‖z_0 − z*‖²/(2ηT) + ηG²/2 in nats, of the broadcast shape; inf where it is beyond the range of float64.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `tabular-limit`; Nesterov (2004), Shor (1985). Least at η = ‖z_0 − z*‖/(G sqrt(T)), where it is
    G‖z_0 − z*‖/sqrt(T).

    Examples
    --------
    >>> round(tabular_gap_bound(3.0, 0.1, 1000), 12)
    0.145
    """
    length, size = numbers_in("distance", distance, 0.0), positive_numbers("step", step)
    count = integers("steps", steps, minimum=1)
    square = numbers_in("gradient_square", gradient_square, 0.0)
    with np.errstate(over="ignore"):
        return numbers_or_scalar(length * (length / (2 * size) / count) + size * (square / 2))


def mode_seeking_limit(probs: Vector, gamma: float) -> np.ndarray:
    """Limit of the population recursion "sharpen by a temperature below 1, then fit by TCE".

    Parameters
    ----------
    probs : array of float, shape (K,)
        Class probabilities at generation 0; S of them are positive. Equal entries are ties.
    gamma : float
        Confidence threshold in (0, 1], at least 1/S; 1 is cross entropy.

    Returns
    -------
    ndarray, shape (K,)
        With the classes ranked and ties in one group: γ on the groups that together have fewer than 1/γ classes, the
        rest in equal parts on the next group, 0 on the others. It does not depend on the temperature.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `mode-seeking-limit`. Without a tie at the ⌈1/γ⌉-th rank its entropy is h_min(γ), `entropy_floor`.

    Examples
    --------
    >>> mode_seeking_limit([0.4, 0.3, 0.2, 0.1], 0.3).round(12).tolist()
    [0.3, 0.3, 0.3, 0.1]
    >>> mode_seeking_limit([0.3, 0.3, 0.2, 0.2], 0.9).tolist()  # a tie
    [0.5, 0.5, 0.0, 0.0]
    """
    p, threshold = probability_vector("probs", probs), _one_threshold(gamma)
    n_positive = _check_coverage(p, threshold, "positive probabilities")
    ranked = np.sort(p[p > 0])[::-1]
    # of the positive classes, the one of rank ⌈1/γ⌉ is in the group that shares the rest
    last = ranked[min(surviving_classes_floor(threshold), n_positive) - 1]
    above, tied = p > last, p == last
    rest = _room(int(np.count_nonzero(above)), threshold) / np.count_nonzero(tied)
    return np.where(above, threshold, np.where(tied, rest, 0.0))


def _one_threshold(gamma: Any) -> float:
    return number_in("gamma", gamma, 0.0, 1.0, open_low=True)


def _is_reciprocal(count: int, gamma: float) -> bool:
    """Whether γ is 1/count up to the rounding of γ and of 1/γ."""
    return abs(1 / gamma - count) <= 4 * sys.float_info.epsilon * count


def _check_coverage(p: np.ndarray, gamma: float, what: str) -> int:
    """Return the number S of positive entries; γ has to be at least 1/S."""
    n_positive = int(np.count_nonzero(p))
    if n_positive * gamma < 1 and not _is_reciprocal(n_positive, gamma):
        raise DomainError("gamma", gamma, f"at least 1/{n_positive} with {n_positive} {what}")
    return n_positive


def _room(count: Any, gamma: float) -> Any:
    """1 − count·γ without cancellation: the remainder of 1 by γ, which is exact, and the multiples of γ above it."""
    remainder = math.fmod(1.0, gamma)
    multiples = np.round((1 - remainder) / gamma) - count
    return np.where(count * gamma < 0.5, 1 - count * gamma, remainder + multiples * gamma)


def _n_capped(f: np.ndarray, gamma: float) -> int:
    """Smallest m with f_(m+1) ≤ γλ_m, λ_m = (1 − F_m)/(1 − mγ): it is below 1/γ, because λ_m γ ≥ 1 − F_m there."""
    if f.max() <= gamma:
        return 0
    n_top = min(f.size, int(surviving_classes_floor(gamma)))
    bottom, top = np.split(np.partition(f, f.size - n_top), [f.size - n_top])
    top.sort()
    tail = bottom.sum() + np.cumsum(top)  # mass from each class on, in rising order
    m = np.arange(n_top - 1, -1, -1)
    below_cap = np.flatnonzero(top * _room(m, gamma) <= gamma * tail)
    return int(m[below_cap[-1]]) if below_cap.size else n_top - 1


def _split(f: np.ndarray, m: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the m largest entries, and the others."""
    if m == 0:
        return f[:0], f
    rest, largest = np.split(np.partition(f, f.size - m), [f.size - m])
    return largest, rest


def _kl_terms(a: Any, b: Any, rise: Any) -> Any:
    """Return a log(a/b) − a + b ≥ 0 where rise = b − a is known to more digits than a and b show when they are near."""
    ratio = rise / a
    near = np.abs(ratio) < 0.5
    far = ratio - np.log(b / a)
    return a * np.where(near, -log1p_minus_arg(np.where(near, ratio, 0.0)), far)


def _drawn_classes(drawn: Any, q: np.ndarray) -> np.ndarray:
    counts = np.asarray(drawn)
    if counts.dtype.kind not in "biuf" or counts.shape != q.shape or not (counts >= 0).all():
        raise DomainError("drawn", drawn, f"{q.size} booleans or counts, one for each class")
    on = counts > 0
    if not on.any():
        raise DomainError("drawn", drawn, "positive for at least one class")
    if (q[on] == 0).any():
        raise DomainError("drawn", drawn, "zero for classes that the previous model excludes: they cannot be drawn")
    return np.asarray(on)


def _log_gap(f: np.ndarray) -> np.ndarray:
    """−h(f)/(1 − f), h the binary entropy."""
    return np.asarray(np.log1p(-f) + f / (1 - f) * np.log(f))


def _log_clock(on: np.ndarray, off: np.ndarray, gamma: float) -> float:
    """Return log τ, the root of G in `warm_end`; −inf if nothing moves.

    With s = −G(0) ≥ 0, every step of which is free of cancellation, and the sums over the free classes:
    G(τ) + s = Σ log(1 + τq) − S log(U(τ)/U(0)) is at least log(1 + τ max q), and at most τ (U(0) + S max q), because
    its slope is Σa + S Σa²/Σa. So e^s − 1 over max q is an upper end, and s/(U(0) + S max q) a lower end.
    """
    n_drawn, free = on.size, off[off > 0]
    missing = gamma - on
    with np.errstate(divide="ignore"):
        log_ratios = np.where(missing < gamma / 2, np.log1p(-missing / gamma), np.log(on) - math.log(gamma))
    start = n_drawn * math.log1p(missing.sum() / _room(n_drawn, gamma)) - log_ratios.sum()
    if start <= 0:
        return -math.inf
    log_free, total, largest = np.log(free), float(free.sum()), float(free.max())

    def excess(log_clock: float) -> float:
        y = log_clock + log_free
        moved = special.expit(y)
        lost = float(free @ moved) / total  # 1 − U(τ)/U(0)
        log_ratio = math.log1p(-lost) if lost < 0.5 else math.log(moved.sum() / total) - log_clock
        return float(np.logaddexp(0.0, y).sum() - n_drawn * log_ratio - start)

    low = math.log(start) - math.log(total + n_drawn * largest) - 1e-6  # the margin is for rounding
    high = start + math.log(-math.expm1(-start)) - math.log(largest) + 1e-6
    return float(optimize.brentq(excess, low, high, xtol=1e-15, rtol=8.9e-16))
