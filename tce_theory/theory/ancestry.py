"""Expected vocabulary and entropy of a whole law under cross entropy, at any scale, by the ancestors of a sample.

A class is absent from a sample of generation t if and only if none of the sample's ancestors was drawn as that class
from generation 0, and these draws are independent. So both expectations follow from two things that have nothing to do
with each other: the law of the *number of ancestors* A of a sample, which is the same for all models, and the expected
number of classes in m draws from generation 0, R(m) = Σ_i [1 − (1 − p_i)^m]:

    E[types_t] = E R(A_∞),    E[H_t] = ∫_0^∞ (E R(A_u) − 1 + e^(−u)) / u² du,

where A_u belongs to a sample of Poisson(u) points of generation t, and A_∞ to all of its n points. The integral is that
of log x = ∫_0^∞ (e^(−w) − e^(−wx))/w dw, by parts. Of a points the parents are as many as boxes are occupied when a
balls fall into n boxes; the first step back gives a Binomial(n, 1 − e^(−u/n)).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import special

from tce_theory.theory._arguments import FloatOrArray, Integers, Vector, integers, numbers_or_scalar
from tce_theory.validation import positive_integer, probability_vector

__all__ = [
    "EXACT_SIZE",
    "LAST_GENERATION",
    "Expectation",
    "Floor",
    "Spectrum",
    "compressed",
    "diversity_floor",
    "expected_diversity",
    "types_ceiling",
]

EXACT_SIZE = 500
"""Points a generation up to which the chain of ancestors is followed from the start, so that all is exact."""

LAST_GENERATION = 10**6
"""The last one that is offered: up to n/200 of them are counted one by one."""

_SWITCH = 200
"""The chain of ancestors is followed after n/200 generations: no more than some 400 of them are left by then."""

_CHUNK = 2**18
"""Classes taken at once: a few MB, whatever the number of classes."""

_NODES, _WIDTH = 12, 0.5
"""Chebyshev nodes of a bin of the spectrum, and its width in log p: together good for twelve digits."""

_LARGE = 0.05
"""Probabilities from here on are kept as they are."""

_STEP, _REACH = 0.35, 36.0
"""Step in log u, for thirteen digits of the integral, and how far down log u has to go for sixteen."""


class Spectrum(NamedTuple):
    """A law on many classes as few points: Σ_i f(p_i) = Σ_j weights_j f(points_j) for the functions of this module."""

    points: np.ndarray
    """Probabilities, shape (J,)."""
    weights: np.ndarray
    """How many classes each stands for, shape (J,); may be fractions, and negative."""
    classes: int
    """Classes of positive probability."""


class Floor(NamedTuple):
    """Lower bounds on the expected diversity at generations t, each of the shape of t."""

    types: np.ndarray
    """On the expected number of surviving classes."""
    entropy: np.ndarray
    """On the expected entropy in nats."""


class Expectation(NamedTuple):
    """Expected diversity at generations t, each of the shape of t."""

    types: np.ndarray
    """Expected number of surviving classes."""
    entropy: np.ndarray
    """Expected entropy in nats."""
    followed: np.ndarray
    """Generations back through which the number of ancestors was followed by two moments alone; 0: the law is exact."""


def compressed(probs: Vector) -> Spectrum:
    """Return a law on any number of classes as a few hundred points.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Class probabilities.

    Returns
    -------
    Spectrum
        Exact for polynomials in p of degree below 12 on each bin of log p of width 1/2; sums of
        1 − (1 − q p)^N agree with those over all classes to 1e-11.

    Raises
    ------
    DomainError
        If `probs` is not a probability vector.

    Notes
    -----
    Slug `tail-extinction`. Each class is divided among the Chebyshev nodes of its bin in the shares of Lagrange's
    interpolation; bins with no more classes than nodes, and probabilities from 0.05 on, keep their classes.

    Examples
    --------
    >>> zipf = 1 / np.arange(1, 100_001)
    >>> spectrum = compressed(zipf / zipf.sum())
    >>> spectrum.points.size, spectrum.classes, round(float(spectrum.weights @ spectrum.points), 12)
    (236, 100000, 1.0)
    """
    p = probability_vector("probs", probs)
    p = p[p > 0]
    large, small = p[p >= _LARGE], p[p < _LARGE]
    if small.size == 0:
        return Spectrum(large, np.ones(large.size), p.size)
    first = math.floor(math.log(small.min()) / _WIDTH)
    n_bins = math.floor(math.log(small.max()) / _WIDTH) - first + 1
    left = np.exp((np.arange(n_bins) + first) * _WIDTH)
    middle, half = left * (math.exp(_WIDTH) + 1) / 2, left * math.expm1(_WIDTH) / 2
    moments = np.zeros((_NODES, n_bins))
    for part, index in _binned(small, first, n_bins):
        _add_moments(moments, (part - middle[index]) / half[index], index)
    angles = (np.arange(_NODES) + 0.5) * math.pi / _NODES
    cosines = np.cos(np.outer(angles, np.arange(_NODES)))
    cosines[:, 0] /= 2
    crowded = moments[0] > _NODES
    points = (middle + half * np.cos(angles)[:, None])[:, crowded].ravel()
    weights = (2 / _NODES * (cosines @ moments))[:, crowded].ravel()
    kept = np.concatenate([large, *(part[~crowded[index]] for part, index in _binned(small, first, n_bins))])
    return Spectrum(np.concatenate([kept, points]), np.concatenate([np.ones(kept.size), weights]), p.size)


def _binned(p: np.ndarray, first: int, n_bins: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    for start in range(0, p.size, _CHUNK):
        part = p[start : start + _CHUNK]
        index = np.floor(np.log(part) / _WIDTH).astype(np.intp) - first
        yield part, np.clip(index, 0, n_bins - 1)  # the logarithms of numpy and math differ in the last bit


def _add_moments(moments: np.ndarray, z: np.ndarray, index: np.ndarray) -> None:
    """Add the Chebyshev polynomials at the places z in their bins."""
    before, current = z, np.ones_like(z)  # T_(-1) = T_1
    for row in moments:
        row += np.bincount(index, weights=current, minlength=row.size)
        before, current = current, 2 * z * current - before


def expected_diversity(spectrum: Spectrum, n: Integers, t: Integers) -> Expectation:
    """Return the expected number of classes and the expected entropy after t generations of cross entropy.

    Parameters
    ----------
    spectrum : Spectrum
        Of generation 0, see `compressed`.
    n : int
        Points a generation, from 1 to 2^53.
    t : int or array of int
        Generations, from 1 to 10^6.

    Returns
    -------
    Expectation
        Each of the shape of `t`. Exact to about 1e-10 for n ≤ 500 and at t = 1 (an entropy below 1e-3 to 1e-13 of a
        nat, for a probability near 1 says no more of what is left beside it). Otherwise the law of the number of
        ancestors is taken, for up to n/200 generations back, to be determined by its first two moments, which is what
        makes any n possible; from there its chain is followed exactly.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slugs `wright-fisher`, `tail-extinction`. Ancestors as in Tavaré (1984), in discrete time. With mean m and b = m −
    variance the law is taken to be that of a sum of m²/b indicators of mean b/m, E (1 − p)^A = (1 − pb/m)^(m²/b), exact
    at t = 1 and for Poisson sampling (b = 0); one generation back

        m' = n (1 − f),  b' = m'²/n + n(n − 1) f² [1 − (1 − x²/(1 − x)²)^(m²/b)],  x = b/(mn),  f = (1 − x)^(m²/b).

    *The integral.* Given frequencies x_i, Poisson(u) points show Σ_i [1 − exp(−u x_i)] classes on average. By parts
    ∫ (Σ_i [1 − exp(−u x_i)] − 1 + e^(−u))/u² du = Σ_i x_i ∫ (exp(−u x_i) − e^(−u))/u du, for Σ x_i = 1 makes the
    numerator O(u²) at 0; and each of these integrals is −log x_i (Frullani). So it is the entropy, also on average.
    *A step back.* Of n boxes, A balls leave each empty with probability (1 − 1/n)^A and each pair with (1 − 2/n)^A.
    Under the law above these have means f and g = (1 − 2x)^N with N = m²/b, so that m' = n(1 − f), the variance is
    nf + n(n − 1)g − n²f², and m' less that is n(1 − f)² + n(n − 1)(f² − g). Last, 1 − 2x = (1 − x)² − x².

    Its error is of relative order (t/n)²: see `tce_theory.prediction`, where it is measured.

    Examples
    --------
    >>> zipf = 1 / np.arange(1, 100_001)
    >>> expected = expected_diversity(compressed(zipf / zipf.sum()), 10**7, [1, 10, 100])
    >>> expected.types.round(1), expected.entropy.round(4)
    (array([99997.5, 91893.2, 37562.8]), array([7.9629, 7.9182, 7.6607]))
    """
    size = positive_integer("n", n)
    time = _generations(t)
    u = _sample_sizes(spectrum)
    switch = 1 if size <= EXACT_SIZE else math.ceil(size / _SWITCH)
    wanted = np.unique(time)
    found = {}
    m = -size * np.expm1(-u / size)  # of the boxes each is occupied or not, independently
    b = m * m / size
    generation = 1
    for aim in wanted[wanted <= switch]:
        for _ in range(generation, int(aim)):
            m, b = _generation_back(m, b, size)
        generation = int(aim)
        found[generation] = _by_moments(spectrum, u, m, b)
    if wanted[-1] > switch:
        for _ in range(generation, switch):
            m, b = _generation_back(m, b, size)
        found |= _by_chain(spectrum, size, u, m, b, switch, wanted[wanted > switch])
    types, entropy = np.array([found[int(aim)] for aim in time.flat]).reshape(*time.shape, 2).T
    followed = np.where(np.minimum(time, switch) > 1, np.minimum(time, switch), 0)
    return Expectation(types.T, entropy.T, followed)


def _generations(t: Integers) -> np.ndarray:
    return integers("t", t, minimum=1, maximum=LAST_GENERATION).astype(np.int64)


def _sample_sizes(spectrum: Spectrum) -> np.ndarray:
    """Return u at equal steps of log u, where the trapezoidal rule converges exponentially, and u = ∞."""
    return np.append(np.exp(np.arange(-_REACH, math.log(spectrum.classes) + _REACH, _STEP)), math.inf)


def _generation_back(m: np.ndarray, b: np.ndarray, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and b = mean − variance of the number of occupied boxes; no difference of near numbers is taken."""
    x = b / m / n
    count = m * m / b
    log_empty = count * np.log1p(-x)  # logarithm of f, the expected share of empty boxes
    occupied = -n * np.expm1(log_empty)
    dependence = -np.expm1(count * np.log1p(-((x / (1 - x)) ** 2)))
    return occupied, occupied**2 / n + n * (n - 1.0) * np.exp(2 * log_empty) * dependence


def _by_moments(spectrum: Spectrum, u: np.ndarray, m: np.ndarray, b: np.ndarray) -> tuple[float, float]:
    """Types and entropy; what is seen of a model with one class is taken off, so that its entropy is 0."""
    share, count = b / m, m * m / b
    with np.errstate(divide="ignore"):  # every indicator is 1 at u = ∞ and t = 1
        seen = -np.expm1(count[:, None] * np.log1p(-share[:, None] * spectrum.points)) @ spectrum.weights
        any_seen = -np.expm1(count * np.log1p(-share))
    return float(seen[-1]), _integral(seen - any_seen * (spectrum.weights @ spectrum.points), u)


def _integral(excess: np.ndarray, u: np.ndarray) -> float:
    return float(_STEP * (excess[:-1] / u[:-1]).sum())


def _by_chain(
    spectrum: Spectrum, n: int, u: np.ndarray, m: np.ndarray, b: np.ndarray, start: int, wanted: np.ndarray
) -> dict[int, tuple[float, float]]:
    """Types and entropy at the `wanted` generations, after the chain of the number of ancestors from `start` on."""
    most = min(n, math.ceil(m[-1] + 6 * math.sqrt(m[-1])))  # ten standard deviations, for the variance is m/3
    laws = _binomial_mixture(m, b, most)
    entropy_law = _STEP * (laws[:-1] / u[:-1, None]).sum(axis=0)
    ancestors = np.arange(most + 1)
    # R(a) − 1 without cancellation, and 0 for an empty sample
    p = spectrum.points
    with np.errstate(divide="ignore", invalid="ignore"):  # a model with one class
        beyond_first = -np.expm1(special.xlog1py(ancestors[1:, None] - 1.0, -p))
    excess = np.concatenate([[0.0], beyond_first @ (spectrum.weights * (1 - p))])
    powers = [_occupancy(n, most)]
    found, generation = {}, start
    for aim in wanted:
        for bit in range(int(aim - generation).bit_length()):
            if bit == len(powers):
                powers.append(powers[-1] @ powers[-1])
            if int(aim - generation) >> bit & 1:
                excess = powers[bit] @ excess
        generation = int(aim)
        found[generation] = (1 + float(laws[-1] @ excess), float(entropy_law @ excess))
    return found


def _binomial_mixture(m: np.ndarray, b: np.ndarray, most: int) -> np.ndarray:
    """Laws on 0, …, most with mean m and variance m − b: mixtures of Binomial(N, s) and Binomial(N + 1, s)."""
    count = m * m / b
    whole = np.round(count)
    count = np.where(np.abs(count - whole) <= 1e-13 * whole, whole, count)  # n itself, after one generation
    low = np.floor(count)
    ratio, rest = low / count, 1 - 1 / count
    # the second factorial moment is m² · rest: a quadratic equation for the weight of N + 1
    root = np.sqrt(np.maximum(ratio**2 - rest * (count - low) * ratio, 0.0))
    weight = (count - low) * ratio / (ratio + root)
    share = np.minimum(m / (low + weight), 1.0)
    lower, upper = _binomial(low, share, most), _binomial(low + 1, share, most)
    return np.asarray(lower + weight[:, None] * (upper - lower))


def _binomial(count: np.ndarray, share: np.ndarray, most: int) -> np.ndarray:
    """Probabilities of 0, …, most, one row a law; sums of logarithms, for `count` may have fifteen digits."""
    k = np.arange(most + 1)
    left = np.maximum(count[:, None] - k[:-1], 0.0)
    with np.errstate(divide="ignore"):
        log_choices = np.cumsum(np.log(left) - np.log(k[1:]), axis=1)
        log_choices = np.concatenate([np.zeros((count.size, 1)), log_choices], axis=1)
        rest = np.maximum(count[:, None] - k, 0.0)
        log_law = log_choices + special.xlogy(k, share[:, None]) + special.xlog1py(rest, -share[:, None])
    return np.asarray(np.exp(log_law))


def _occupancy(n: int, most: int) -> np.ndarray:
    """Law of the number of occupied ones of n boxes, a row for each number of balls from 0 to `most`."""
    table = np.zeros((most + 1, most + 1))
    table[0, 0] = 1
    occupied = np.arange(most + 1) / n
    for ball in range(most):
        table[ball + 1] = table[ball] * occupied
        table[ball + 1, 1:] += table[ball, :-1] * (1 - occupied[:-1])
    return table


def types_ceiling(spectrum: Spectrum, n: Integers, t: Integers) -> FloatOrArray:
    """Upper bound on the expected number of classes that survive t generations of cross entropy.

    Parameters
    ----------
    spectrum : Spectrum
        Of generation 0, see `compressed`.
    n : int
        Points a generation, from 1 to 2^53.
    t : int or array of int
        Generations, from 1 to 10^6.

    Returns
    -------
    float or ndarray
        Σ_i [1 − (1 − p_i)^(a_t)], of the shape of `t`; exact at t = 1.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slugs `tail-extinction`, `wright-fisher`. a_1 = n and a_(s+1) = n [1 − (1 − 1/n)^(a_s)]. Given a ancestors the mean
    number one generation further back is n [1 − (1 − 1/n)^a], concave in a, so that a_t is at least the mean number of
    ancestors; and the expected number of classes among m draws is concave in m, and rises (Jensen's inequality, twice).

    Examples
    --------
    >>> zipf = 1 / np.arange(1, 100_001)
    >>> round(types_ceiling(compressed(zipf / zipf.sum()), 10**7, 100), 3)
    37562.782
    """
    size, time = positive_integer("n", n), _generations(t)
    ancestors = np.empty(int(time.max(initial=1)))
    ancestors[0] = size
    log_missed = math.log1p(-1 / size) if size > 1 else -math.inf
    for generation in range(1, ancestors.size):
        ancestors[generation] = -size * math.expm1(ancestors[generation - 1] * log_missed)
    with np.errstate(divide="ignore"):  # a model with one class
        seen = -np.expm1(ancestors[time - 1][..., None] * np.log1p(-spectrum.points))
    return numbers_or_scalar(seen @ spectrum.weights)


def diversity_floor(spectrum: Spectrum, n: Integers, t: Integers) -> Floor:
    """Lower bounds on the expected number of classes and the expected entropy after t generations of cross entropy.

    Parameters
    ----------
    spectrum : Spectrum
        Of generation 0, see `compressed`.
    n : int
        Points a generation, from 1 to 2^53.
    t : int or array of int
        Generations, from 1 to 10^6.

    Returns
    -------
    Floor
        Each of the shape of `t`; the values of Poisson sampling, under which frequencies X_i need not sum to 1: the
        number of positive ones, as in `tce_theory.theory.categorical.expected_surviving_types`, and
        Σ_i E[−X_i log X_i], which is some t/(2n) below the entropy under multinomial sampling.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `tail-extinction`. E exp(−u X_i) = exp(−n p_i s_t) with s_0 = u/n and s_(t+1) = 1 − exp(−s_t), and generation
    by generation no less than under multinomial sampling, (1 − p(1 − q))^n ≤ exp(−n p (1 − q)). The entropy is
    ∫ (Σ_i [1 − E exp(−u X_i)] − 1 + e^(−u))/u² du; the number of classes has u = ∞.

    Examples
    --------
    >>> zipf = 1 / np.arange(1, 100_001)
    >>> low = diversity_floor(compressed(zipf / zipf.sum()), 10**7, [10, 100])
    >>> low.types.round(6), low.entropy.round(6)
    (array([91893.23519 , 37562.689962]), array([7.918222, 7.660709]))
    """
    size, time = positive_integer("n", n), _generations(t)
    u = _sample_sizes(spectrum)
    survival, generation = u / size, 0
    found = {}
    for aim in np.unique(time):
        for _ in range(generation, int(aim)):
            survival = -np.expm1(-survival)
        generation = int(aim)
        seen = -np.expm1(-size * survival[:, None] * spectrum.points) @ spectrum.weights
        found[generation] = seen[-1], _integral(seen + np.expm1(-u), u)
    types, entropy = np.array([found[int(aim)] for aim in time.flat]).reshape(*time.shape, 2).T
    return Floor(types.T, entropy.T)
