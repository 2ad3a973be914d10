"""Data regimes under cross entropy: what keeping old data, or adding fresh data, does to the variance.

Generation 0 is the truth. Families whose fit has the mean and the variance of its data (a Gaussian with fitted mean and
`ddof` 0; a categorical model, label by label) share the factors given here. The location model fits a mean alone, to
points of known variance σ². All functions broadcast and return a float when all arguments are numbers.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from tce_theory.errors import DomainError
from tce_theory.theory._arguments import (
    FloatOrArray,
    Integers,
    integers,
    numbers_in,
    numbers_or_scalar,
    positive_numbers,
    scales,
)
from tce_theory.theory._special import log_gamma_ratio
from tce_theory.theory.gaussian import step_law

__all__ = [
    "BetaLaw",
    "FreshMixMoments",
    "accumulate_factor",
    "accumulate_subsample_limit",
    "accumulate_subsample_variance",
    "fresh_mix_beta",
    "fresh_mix_critical_fraction",
    "fresh_mix_gaussian_moments",
    "fresh_mix_heterozygosity",
    "fresh_mix_theta",
    "golden_mix_variance",
    "golden_mix_weight",
    "regression_accumulate_error",
    "regression_replace_error",
    "staged_corpus_share",
    "staged_factor",
    "staged_real_share",
]

_LONGEST = 10**6
"""Generations of the recursions that have no closed form: their time and memory grow with them."""

_DRAWS = {"without replacement": math.pi**2 / 2 - 2, "with replacement": math.pi**2 / 3, "mixture": math.pi**2 / 6}


def accumulate_factor(n: Integers, *, t: Integers = None) -> FloatOrArray:
    """Share of the variance, or of the heterozygosity, expected to be left when all data so far are kept.

    Parameters
    ----------
    n : int or array of int
        Points that each generation adds, at least 1; the first n are from the truth.
    t : int or array of int, optional
        Generation, from 0; generation t is fitted to t·n points. Without it: the limit t → ∞.

    Returns
    -------
    float or ndarray
        E σ_t²/σ_0² = Π_{i ≤ t} (1 − 1/(n i²)), in [0, 1], of the broadcast shape; its limit is
        sin(π/sqrt(n))/(π/sqrt(n)), which is 0 for n = 1.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `accumulate`: for a Gaussian fitted with `ddof` 0, and for E H_t/H_0 of a categorical model, H = 1 − Σ p². The
    product is sinc(z) Γ(t + 1 + z) Γ(t + 1 − z)/Γ(t + 1)² with z = 1/sqrt(n) and sinc(z) = sin(πz)/(πz).

    Examples
    --------
    >>> round(accumulate_factor(10), 9)
    0.843435857
    >>> round(accumulate_factor(10, t=2), 9)  # 0.9 · 0.975
    0.8775
    """
    size = integers("n", n, minimum=1)
    z = 1 / np.sqrt(size)
    limit = np.where(size > 1, np.sinc(z), 0.0)
    if t is None:
        return numbers_or_scalar(limit)
    time = integers("t", t, minimum=0)
    z, time = np.broadcast_arrays(z, time)
    usual = (z < 1) & (time > 0)
    x, power = np.where(usual, time + 1, 3.0), np.where(usual, z, 0.5)
    # log of Γ(x + z) Γ(x − z)/Γ(x)²; each term is small when x is large
    tail = log_gamma_ratio(x, power) - log_gamma_ratio(x - power, power) - power * np.log1p(-power / x)
    return numbers_or_scalar(np.where(time > 0, limit * np.exp(tail), 1.0))


def regression_replace_error(t: Integers, n: Integers, d: Integers, *, noise_std: Any = 1.0) -> FloatOrArray:
    """Excess test error of linear regression after t fits, each to labels by the fit before alone.

    Parameters
    ----------
    t : int or array of int
        Number of fits, from 0; the first is to real labels.
    n : int or array of int
        Rows of the design, at least d + 2.
    d : int or array of int
        Columns of the design, at least 1.
    noise_std : float or array of float
        σ, standard deviation of the noise of every label.

    Returns
    -------
    float or ndarray
        t σ² d/(n − d − 1), in the unit of the labels squared, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `accumulate`; after Gerstgrasser et al. (2024). Least squares on one design with independent standard normal
    entries, shared by all fits, with fresh noise each; the test point is a further row of such a design.

    Examples
    --------
    >>> regression_replace_error(5, 20, 9)
    4.5
    """
    time = integers("t", t, minimum=0)
    return numbers_or_scalar(time * _regression_error(n, d, noise_std))


def regression_accumulate_error(n: Integers, d: Integers, *, noise_std: Any = 1.0, t: Integers = None) -> FloatOrArray:
    """Excess test error of linear regression when the labels of all generations are kept.

    Parameters
    ----------
    n : int or array of int
        Rows of the design, at least d + 2.
    d : int or array of int
        Columns of the design, at least 1.
    noise_std : float or array of float
        σ, standard deviation of the noise of every label.
    t : int or array of int, optional
        Number of fits, from 0; the first is to real labels. Without it: the limit t → ∞.

    Returns
    -------
    float or ndarray
        σ² d/(n − d − 1) · Σ_{i ≤ t} 1/i², in the unit of the labels squared, of the broadcast shape; at most π²/6 times
        that of one fit.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `accumulate`; after Gerstgrasser et al. (2024). See `regression_replace_error`.

    Examples
    --------
    >>> regression_accumulate_error(20, 9, t=2)
    1.125
    >>> round(regression_accumulate_error(20, 9), 9)  # 0.9 · π²/6
    1.48044066
    """
    inverse_squares = math.pi**2 / 6 if t is None else _inverse_squares(integers("t", t, minimum=0))
    return numbers_or_scalar(inverse_squares * _regression_error(n, d, noise_std))


def accumulate_subsample_limit(n: Integers, *, std: Any = 1.0, draw: str = "without replacement") -> FloatOrArray:
    """Limiting variance of a fitted mean when each fit draws n points from all data so far, to leading order in 1/n.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 2: with 1 the variance grows like σ² log t.
    std : float or array of float
        σ, the known scale of the data.
    draw : {"without replacement", "with replacement", "mixture"}
        Whether the n points are drawn from the pool of stored points, or freshly from the equal mixture of the truth
        and all past models.

    Returns
    -------
    float or ndarray
        c σ²/n in the unit of the data squared, of the broadcast shape, with c = π²/2 − 2, π²/3 and π²/6 in the order of
        `draw`. The limit t → ∞ of the exact variance differs by at most 9 σ²/(4 n (n − 1)).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `accumulate-subsample`. `accumulate_subsample_variance` is exact at finite t and n.

    Examples
    --------
    >>> round(accumulate_subsample_limit(100), 9), round(accumulate_subsample_limit(100, draw="mixture"), 9)
    (0.029348022, 0.016449341)
    """
    size, scale = integers("n", n, minimum=2), scales("std", std)
    return numbers_or_scalar(_DRAWS[_known_draw(draw)] * scale**2 / size)


def accumulate_subsample_variance(
    t: Integers, n: Integers, *, std: Any = 1.0, draw: str = "without replacement"
) -> FloatOrArray:
    """Variance of a fitted mean at generation t when each fit draws n points from all data so far; exact.

    Parameters
    ----------
    t : int or array of int
        Generation, from 0 (the truth) to 10^6.
    n : int or array of int
        Points a generation, at least 1.
    std : float or array of float
        σ, the known scale of the data.
    draw : {"without replacement", "with replacement", "mixture"}
        See `accumulate_subsample_limit`.

    Returns
    -------
    float or ndarray
        In the unit of the data squared, of the broadcast shape. To leading order in 1/n it is σ²/n times 3S − 2, 2S
        and S, in the order of `draw`, with S = Σ_{i ≤ t} 1/i². For n = 1 it is σ² Σ_{i ≤ t} 1/i, whatever `draw` is.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `accumulate-subsample`. With m and q the mean square of the pool's mean and of its points around the truth and
    u = q − m, the variance of the fit is m + u c/n, where c = n(t − 1)/(t n − 1) without replacement, else 1; m and u
    follow a linear recursion.

    Examples
    --------
    >>> round(100 * accumulate_subsample_variance(1000, 100), 6)
    2.942079
    """
    time, size = integers("t", t, minimum=0, maximum=_LONGEST), integers("n", n, minimum=1)
    scale = scales("std", std)
    draw = _known_draw(draw)
    time, size = np.broadcast_arrays(time, size)
    variance = np.zeros(time.shape)
    for each in np.unique(size):
        here = size == each
        variance[here] = _subsample_path(float(each), int(time[here].max()), draw)[time[here].astype(np.intp)]
    return numbers_or_scalar(scale**2 * variance)


def _subsample_path(n: float, longest: int, draw: str) -> np.ndarray:
    """Variance at generations 0 .. longest, in units of σ²."""
    path = np.zeros(longest + 1)
    stored = draw != "mixture"
    # of the pool that generation 1 draws from: n points of the truth, or the truth itself
    square_of_mean, spread = (1 / n, 1 - 1 / n) if stored else (0.0, 1.0)
    for t in range(1, longest + 1):
        share = spread / n
        if draw == "without replacement":
            share *= n * (t - 1) / (t * n - 1) if t > 1 else 0.0
        path[t] = square_of_mean + share
        # E of the squared step of the pool's mean, times (t + 1)²
        step = share + 1 / n if stored else share
        square_of_mean += step / (t + 1) ** 2
        spread += (1 + share - spread) / (t + 1) - step / (t + 1) ** 2
    return path


def golden_mix_variance(n: Integers, w: Any, k: Any, *, std: Any = 1.0, t: Integers = None) -> FloatOrArray:
    """Variance of a fitted mean that averages fresh and synthetic data with fixed weights.

    Parameters
    ----------
    n : int or array of int
        Fresh points a generation, at least 1.
    w : float or array of float
        Weight of the fresh mean, in (0, 1]; the synthetic mean has 1 − w.
    k : float or array of float
        Fresh over synthetic points, above 0: n/k points come from the previous model. n/k need not be an integer here.
    std : float or array of float
        σ, the known scale of the data.
    t : int or array of int, optional
        Generation, from 0 (the truth). Without it: the limit t → ∞.

    Returns
    -------
    float or ndarray
        σ²/n · [k(1 − w)² + w²]/(w(2 − w)) · (1 − (1 − w)^(2t)), in the unit of the data squared, of the broadcast
        shape; inf beyond the range of float64.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `golden-mix`; after He et al. (2025). θ_t = (1 − w) · synthetic mean + w · fresh mean.

    Examples
    --------
    >>> round(golden_mix_variance(1, 0.5, 1.0), 9), round(golden_mix_variance(1, golden_mix_weight(1.0), 1.0), 9)
    (0.666666667, 0.618033989)
    """
    size, scale = integers("n", n, minimum=1), scales("std", std)
    weight, ratio = numbers_in("w", w, 0.0, 1.0, open_low=True), positive_numbers("k", k)
    with np.errstate(over="ignore"):
        one_step = scale**2 / size * (ratio * (1 - weight) ** 2 + weight**2)
        if t is None:
            return numbers_or_scalar(one_step / (weight * (2 - weight)))
        # 1 + (1 − w)² + ... + (1 − w)^(2t − 2)
        steps = np.expm1(special.xlog1py(2 * integers("t", t, minimum=0), -weight)) / np.expm1(
            special.xlog1py(2.0, -weight)
        )
        return numbers_or_scalar(np.where(steps > 0, one_step, 0.0) * steps)


def golden_mix_weight(k: Any) -> FloatOrArray:
    """Weight w* of fresh data with the least limiting variance, which is w* σ²/n.

    Parameters
    ----------
    k : float or array of float
        Fresh over synthetic points, above 0.

    Returns
    -------
    float or ndarray
        w* = (sqrt(k² + 4k) − k)/2 in (0, 1], of the shape of `k`; about sqrt(k) for small k, 1 − 1/k for large k.

    Raises
    ------
    DomainError
        If `k` is out of range.

    Notes
    -----
    Slug `golden-mix`; He et al. (2025). For k = 1 it is 1 over the golden ratio. Evaluated as
    2 sqrt(k)/(sqrt(k) + sqrt(k + 4)).

    Examples
    --------
    >>> round(golden_mix_weight(1.0), 12)
    0.61803398875
    """
    root = np.sqrt(positive_numbers("k", k))
    return numbers_or_scalar(2 / (1 + np.hypot(root, 2.0) / root))


def staged_real_share(i: Integers) -> FloatOrArray:
    """Share of real data in the corpus of stage i, 1/(i + 1).

    Parameters
    ----------
    i : int or array of int
        Stage, from 0.

    Returns
    -------
    float or ndarray
        Of the shape of `i`. Each older fraction, regenerated up to i times, has the same share.

    Raises
    ------
    DomainError
        If `i` is out of range.

    Notes
    -----
    Slug `staged`: the schedule of ForTIFAI (arXiv 2509.08972). Stage i trains on the corpus of stage i − 1, regenerated
    by the model of stage i − 1, and the i-th fresh fraction of the real data.

    Examples
    --------
    >>> staged_real_share([0, 1, 4]).tolist()
    [1.0, 0.5, 0.2]
    """
    return numbers_or_scalar(1 / (integers("i", i, minimum=0) + 1))


def staged_corpus_share(i: Integers, stages: Integers) -> FloatOrArray:
    """Size of the corpus of stage i over that of all real data, (i + 1)/N.

    Parameters
    ----------
    i : int or array of int
        Stage, from 0 to N − 1.
    stages : int or array of int
        N, the number of stages and of fractions of the real data, at least 1.

    Returns
    -------
    float or ndarray
        In (0, 1], of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `staged`. See `staged_real_share`.

    Examples
    --------
    >>> staged_corpus_share([0, 1, 3], 4).tolist()
    [0.25, 0.5, 1.0]
    """
    stage, number = np.broadcast_arrays(integers("i", i, minimum=0), integers("stages", stages, minimum=1))
    if (late := stage >= number).any():
        raise DomainError("i", float(stage[late][0]), f"below the number of stages, {number[late][0]:g}")
    return numbers_or_scalar((stage + 1) / number)


def staged_factor(m: Integers, *, i: Integers = None) -> FloatOrArray:
    """Share of the variance, or of the heterozygosity, expected to be left at stage i of the staged schedule.

    Parameters
    ----------
    m : int or array of int
        Points of a fresh fraction, at least 1.
    i : int or array of int, optional
        Stage, from 0 to 10^6. Without it: the limit i → ∞, with ever new fractions of m points.

    Returns
    -------
    float or ndarray
        E H_i/H_0, H = 1 − Σ p² of the truth and of the corpus of stage i, of the broadcast shape: 1 − 1/m at stage 0,
        growing to 1 − 1/(2m + 1).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `staged`: for categorical models, and for E σ_i²/σ_0² of a Gaussian fitted with `ddof` 0. The loss
    L = 1 − E H/H_0 follows (i + 2)² L_{i+1} = (i + 1)(i + 1 − 1/m) L_i + (i + 2)/m.

    Examples
    --------
    >>> round(staged_factor(10, i=1), 9), round(staged_factor(10), 9)
    (0.9275, 0.952380952)
    """
    size = integers("m", m, minimum=1)
    if i is None:
        return numbers_or_scalar(2 * size / (2 * size + 1))
    stage, size = np.broadcast_arrays(integers("i", i, minimum=0, maximum=_LONGEST), size)
    factor = np.empty(size.shape)
    for each in np.unique(size):
        here = size == each
        factor[here] = _staged_path(float(each), int(stage[here].max()))[stage[here].astype(np.intp)]
    return numbers_or_scalar(factor)


def _staged_path(m: float, last: int) -> np.ndarray:
    loss = np.empty(last + 1)
    loss[0] = 1 / m
    for i in range(last):
        s = i + 1
        loss[s] = (s * (s - 1 / m) * loss[i] + (s + 1) / m) / (s + 1) ** 2
    return 1 - loss


def _regression_error(n: Any, d: Any, noise_std: Any) -> np.ndarray:
    """Excess test error of one fit, σ² d/(n − d − 1)."""
    rows, columns = np.broadcast_arrays(integers("n", n, minimum=3), integers("d", d, minimum=1))
    noise = scales("noise_std", noise_std)
    if (few := rows < columns + 2).any():
        raise DomainError("n", float(rows[few][0]), f"at least d + 2, which is {columns[few][0] + 2:g}")
    error: np.ndarray = noise**2 * columns / (rows - columns - 1)
    return error


def _inverse_squares(time: np.ndarray) -> np.ndarray:
    """Σ_{i ≤ t} 1/i²."""
    total: np.ndarray = np.where(time > 0, math.pi**2 / 6 - special.polygamma(1, time + 1), 0.0)
    return total


def _known_draw(draw: Any) -> str:
    if not isinstance(draw, str) or draw not in _DRAWS:
        raise DomainError("draw", draw, " or ".join(repr(known) for known in _DRAWS))
    return draw


# A share of every generation's data is fresh (slug fresh-mix)


class FreshMixMoments(NamedTuple):
    """Second moments of a Gaussian model when a share of every generation's data is fresh."""

    variance: FloatOrArray
    """E σ_t²."""
    squared_shift: FloatOrArray
    """E (μ_t − μ_0)²."""


class BetaLaw(NamedTuple):
    """Parameters of a Beta law."""

    a: FloatOrArray
    b: FloatOrArray


def fresh_mix_theta(n: Integers, fraction: Any) -> FloatOrArray:
    """Strength θ = (n − 1) α (2 − α) of fresh data against sampling noise.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 1, drawn from (1 − α) p_t + α p_0.
    fraction : float or array of float
        Share α of fresh data, in [0, 1].

    Returns
    -------
    float or ndarray
        Of the broadcast shape; of the heterozygosity θ/(1 + θ) is left in the limit.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `fresh-mix`.

    Examples
    --------
    >>> round(fresh_mix_theta(100, 0.01), 12)
    1.9701
    """
    size, share = integers("n", n, minimum=1), numbers_in("fraction", fraction, 0.0, 1.0)
    return numbers_or_scalar((size - 1) * share * (2 - share))


def fresh_mix_heterozygosity(n: Integers, fraction: Any, heterozygosity0: Any, *, t: Integers = None) -> FloatOrArray:
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
    theta = np.asarray(fresh_mix_theta(n, fraction))
    if t is None:
        return numbers_or_scalar(initial * theta / (1 + theta))
    time = integers("t", t, minimum=0)
    decay = np.exp(special.xlog1py(time, -1 / size) + 2 * special.xlog1py(time, -share))
    return numbers_or_scalar(initial * (theta + decay) / (1 + theta))


def fresh_mix_beta(n: Integers, fraction: Any, prob0: Any) -> BetaLaw:
    """Beta law to which the frequency of one of two classes is close after many generations with fresh data.

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 2, drawn from (1 − α) p_t + α p_0.
    fraction : float or array of float
        Share α of fresh data, in (0, 1].
    prob0 : float or array of float
        Probability p_0 of the class at generation 0, in (0, 1).

    Returns
    -------
    BetaLaw
        (θ p_0, θ (1 − p_0)) with θ of `fresh_mix_theta`, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `fresh-mix`: the diffusion limit, n → ∞ with nα fixed, is Beta(2nα p_0, 2nα (1 − p_0)), and θ/(2nα) → 1; with θ
    its mean and variance are exact at every n. Wright (1931). `tce_theory.exact.TwoClassChain` has the exact law.

    Examples
    --------
    >>> law = fresh_mix_beta(100, 0.01, 0.3)
    >>> round(law.a, 5), round(law.b, 5)
    (0.59103, 1.37907)
    """
    numbers_in("fraction", fraction, 0.0, 1.0, open_low=True)
    integers("n", n, minimum=2)
    prob = numbers_in("prob0", prob0, 0.0, 1.0, open_low=True, open_high=True)
    theta = np.asarray(fresh_mix_theta(n, fraction))
    return BetaLaw(*(numbers_or_scalar(each) for each in np.broadcast_arrays(theta * prob, theta * (1 - prob))))


def fresh_mix_gaussian_moments(
    n: Integers, fraction: Any, *, t: Integers = None, std: Any = 1.0, fit_mean: bool = True, ddof: int = 0
) -> FreshMixMoments:
    """Mean variance and mean squared shift of a Gaussian model when a share of every generation's data is fresh.

    Parameters
    ----------
    n : int or array of int
        Points a generation, drawn from the mixture (1 − α) N(μ_t, σ_t²) + α N(μ_0, σ_0²).
    fraction : float or array of float
        Share α of fresh data, in [0, 1].
    t : int or array of int, optional
        Generation, from 0. Without it: the limit t → ∞.
    std : float or array of float
        σ_0, in [1e-150, 1e150], in the unit of the data.
    fit_mean, ddof
        See `tce_theory.theory.gaussian.step_law`.

    Returns
    -------
    FreshMixMoments
        (E σ_t², E (μ_t − μ_0)²) in the unit of the data squared, of the broadcast shape. inf where it is beyond the
        range of float64; in the limit also where there is none: with `ddof` 1 both grow without bound unless α is
        above `fresh_mix_critical_fraction` (without fresh data the variance stays at σ_0²).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `fresh-mix`. In units of σ_0², s = E σ², m = E (μ − μ_0)² and the variance of the mixture
    v = (1 − α) s + α + α(1 − α) m follow s' = v (n − 1)/(n − ddof), m' = (1 − α)² m + v/n, with a fitted mean. With
    `ddof` 0, s + m stays at 1, and s follows the recursion of the heterozygosity. A known mean leaves s = 1, m = 0.

    Examples
    --------
    >>> moments = fresh_mix_gaussian_moments(100, 0.01)
    >>> round(moments.variance, 12), round(moments.squared_shift, 12)
    (0.66331099963, 0.33668900037)
    >>> fresh_mix_gaussian_moments(100, 0.004, ddof=1).variance
    inf
    """
    law = step_law(n, fit_mean=fit_mean, ddof=ddof)
    size, share = integers("n", n, minimum=1), numbers_in("fraction", fraction, 0.0, 1.0)
    scale = scales("std", std)
    time = np.array(math.inf) if t is None else integers("t", t, minimum=0)
    size, share, time, scale, _ = np.broadcast_arrays(size, share, time, scale, law.divisor)
    if not fit_mean:
        variance, shift = np.ones(size.shape), np.zeros(size.shape)
    elif ddof == 1:
        variance, shift = _unbiased_moments(size, share, time)
    else:
        theta = np.asarray(fresh_mix_theta(size, share))
        log_decay = _times(time, np.log1p(-1 / size)) + 2 * _times(time, _log1p(-share))
        variance, shift = (theta + np.exp(log_decay)) / (1 + theta), (0.0 - np.expm1(log_decay)) / (1 + theta)
    with np.errstate(over="ignore"):
        return FreshMixMoments(*(numbers_or_scalar(scale * (scale * moment)) for moment in (variance, shift)))


def fresh_mix_critical_fraction(n: Integers) -> FloatOrArray:
    """Share of fresh data that keeps the mean variance of a Gaussian model bounded with `ddof` 1, about 1/(2n).

    Parameters
    ----------
    n : int or array of int
        Points a generation, at least 2.

    Returns
    -------
    float or ndarray
        The root α of n α (2 − α) = 1 − α in (0, 1), of the shape of `n`.

    Raises
    ------
    DomainError
        If `n` is out of range.

    Notes
    -----
    Slug `fresh-mix`. At it and below it (but above 0) E σ_t² and E (μ_t − μ_0)² grow without bound.

    Examples
    --------
    >>> round(fresh_mix_critical_fraction(100), 12)
    0.004987500078
    """
    size = integers("n", n, minimum=2)
    return numbers_or_scalar(2 / (2 * size + 1 + np.hypot(2 * size, 1)))


def _unbiased_moments(size: np.ndarray, share: np.ndarray, time: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Moments with ddof 1 in units of σ_0², through the eigenvalues of the recursion; `time` may be inf.

    With x = s − 1 and r = 1 − α, (x, m)' = r M (x, m) + (0, 1/n), M = I + [[0, α], [1/n, −α(1 − 1/n)]]. The
    eigenvalues of r M are r(1 + u) and r²/(1 + u), u ≥ 0. Sums of their powers with positive weights are m; x is a
    difference of the sums, each of them of the order of 1 + x.
    """
    free = share > 0
    alpha = np.where(free, share, 1.0)
    gap = np.sqrt((alpha * (1 - 1 / size)) ** 2 + 4 * alpha / size)
    below = (alpha * (1 - 1 / size) + gap) / 2
    above = alpha / size / below
    fast, slow = (
        _power_sum(2 * _log1p(-alpha) - np.log1p(above), time),
        _power_sum(_log1p(-alpha) + np.log1p(above), time),
    )
    with np.errstate(over="ignore"):
        shift = (above * slow + below * fast) / (size * gap)
        variance = 1 + alpha / (size * gap) * (slow - fast)
    return np.where(free, variance, 1.0), np.where(free, shift, time / size)


def _power_sum(log_ratio: np.ndarray, time: np.ndarray) -> np.ndarray:
    """Return Σ_{j<t} exp(j log_ratio), also for t = inf; inf where it is too large."""
    flat = log_ratio == 0
    safe = np.where(flat, -1.0, log_ratio)
    with np.errstate(over="ignore"):
        total = np.expm1(_times(time, safe)) / np.expm1(safe)
    return np.where(flat, time, total)


def _times(time: np.ndarray, log_ratio: np.ndarray) -> np.ndarray:
    """Return t · log_ratio, 0 at t = 0 for log_ratio −inf, and at log_ratio 0 for t inf."""
    with np.errstate(invalid="ignore"):
        return np.where((time == 0) | (log_ratio == 0), 0.0, time * log_ratio)


def _log1p(y: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore"):  # log 0 = −inf
        result: np.ndarray = np.log1p(y)
    return result
