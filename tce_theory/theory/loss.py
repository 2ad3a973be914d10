"""Truncated Cross Entropy, its floor of entropy, and the focal loss: gradients, identities and minimisers.

Cross entropies, entropies and floors are in nats. γ is the confidence threshold, g = −log γ the floor of the loss, and
the weight w_i of sample i is 1 where its probability is below γ, 0 where it is above, and in [0, 1] on the threshold;
N = Σ w_i. Norms are Euclidean. Functions of numbers broadcast and return a float when all arguments are numbers; a
`Vector` is one whole array of one axis.
"""

from __future__ import annotations

import math
from typing import Any

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
from tce_theory.validation import finite_number, number_in, probability_vector

__all__ = [
    "average_entropy_excess",
    "average_entropy_floor",
    "certified_interval",
    "decay_excess",
    "entropy_margin",
    "entropy_rate",
    "entropy_rate_bound",
    "focal_minimiser",
    "focal_uniform_rate",
    "focal_weight",
    "focal_weight_peak",
    "head_certificate",
    "head_excess",
    "hinge_objective",
    "loss_floor",
    "masked_gradient_bound",
    "poisson_rate_floor",
    "stationary_entropy",
    "tabular_entropy_rate",
    "tce_gradient",
    "tce_hessian",
    "weighted_gradient",
]

_LARGEST_EXPONENT = 1e6
"""Of the focal loss."""

_SMALLEST_EXPONENT = 1e-6
"""Of the focal loss, where an equation is solved: its condition number grows like one over the exponent."""

_CHUNK = 2**16
"""Classes solved at once: they stay in the cache."""


def weighted_gradient(probs: Vector, frequencies: Vector, weights: Vector) -> np.ndarray:
    """Gradient in the logits of cross entropy whose examples are weighted by class, the weights held constant.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Probabilities q of the model, with sum 1.
    frequencies : array of float, shape (K,)
        Label distribution f of the data, with sum 1.
    weights : array of float, shape (K,)
        Weight w_i ≥ 0 of an example of class i.

    Returns
    -------
    ndarray, shape (K,)
        q_j M − f_j w_j with M = Σ f_i w_i; its components sum to 0.

    Raises
    ------
    DomainError
        If an argument is out of range, or the lengths differ.

    Notes
    -----
    Slugs `tce-gradient` and `focal-gradient`. It vanishes with M > 0 exactly where q_j/w_j is proportional to f_j on
    the classes with w_j > 0 and q_j = 0 on those without: the stationarity of a detached weight w(q).

    Examples
    --------
    >>> weighted_gradient([0.5, 0.3, 0.2], [0.2, 0.3, 0.5], [1, 1, 1]).round(6)
    array([ 0.3,  0. , -0.3])
    """
    q, f = _two_distributions(probs, frequencies)
    w = _vector("weights", weights, 0.0, size=q.size)
    gradient: np.ndarray = q * (f @ w) - f * w
    return gradient


def tce_gradient(probs: Vector, frequencies: Vector, gamma: float) -> np.ndarray:
    """Gradient of TCE in the logits, q_j M − f_j χ_j, with χ_j = 1 if q_j ≤ γ, else 0, and M = Σ f_i χ_i.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Probabilities q of the model, with sum 1.
    frequencies : array of float, shape (K,)
        Label distribution f of the data, with sum 1. For one example with label y: 1 at y.
    gamma : float
        Confidence threshold in (0, 1].

    Returns
    -------
    ndarray, shape (K,)
        The gradient; its components sum to 0.

    Raises
    ------
    DomainError
        If an argument is out of range, or the lengths differ.

    Notes
    -----
    Slug `tce-gradient`. ForTIFAI (arXiv 2509.08972) defines the loss; its mask is a constant of the gradient.

    Examples
    --------
    >>> tce_gradient([0.7, 0.2, 0.1], [0.6, 0.3, 0.1], 0.6).round(6)
    array([ 0.28, -0.22, -0.06])
    """
    return weighted_gradient(probs, frequencies, _mask(probs, gamma))


def tce_hessian(probs: Vector, frequencies: Vector, gamma: float) -> np.ndarray:
    """Hessian of TCE in the logits, M (diag q − q qᵀ), M = Σ f_i χ_i, off the threshold.

    Parameters
    ----------
    probs, frequencies, gamma
        See `tce_gradient`.

    Returns
    -------
    ndarray, shape (K, K)
        Symmetric and positive semidefinite: vᵀ(diag q − q qᵀ)v is the variance of v under q.

    Raises
    ------
    DomainError
        If an argument is out of range, or the lengths differ.

    Notes
    -----
    Slug `tce-gradient`.

    Examples
    --------
    >>> tce_hessian([0.7, 0.3], [0.6, 0.4], 0.6).round(6)
    array([[ 0.084, -0.084],
           [-0.084,  0.084]])
    """
    q, f = _two_distributions(probs, frequencies)
    off = np.eye(q.size) - q
    # Σ q_i (e_i − q)(e_i − q)ᵀ has no difference of near equals as q_j tends to 1
    hessian: np.ndarray = f @ _mask(probs, gamma) * (off.T @ (q[:, None] * off))
    return np.asarray((hessian + hessian.T) / 2)


def masked_gradient_bound(gamma: Any) -> FloatOrArray:
    """Bound 1 − γ between masked and unmasked examples in |∂CE/∂z_y| = 1 − q_y, y the label.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold in (0, 1].

    Returns
    -------
    float or ndarray
        A masked example would have had a smaller derivative, an unmasked one has at least this; of the shape of
        `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is out of range.

    Notes
    -----
    Slug `tce-gradient`.

    Examples
    --------
    >>> masked_gradient_bound(0.75)
    0.25
    """
    return numbers_or_scalar(1 - numbers_in("gamma", gamma, 0.0, 1.0, open_low=True))


def loss_floor(gamma: Any) -> FloatOrArray:
    """Floor of the loss and of the entropy, g = −log γ.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold above 0: a probability, or a density (then it may exceed 1, and the floor is negative).

    Returns
    -------
    float or ndarray
        In nats, of the shape of `gamma`.

    Raises
    ------
    DomainError
        If `gamma` is not finite and above 0.

    Notes
    -----
    Slug `entropy-identity`.

    Examples
    --------
    >>> round(loss_floor(0.9), 12)
    0.105360515658
    """
    return numbers_or_scalar(0.0 - np.log(positive_numbers("gamma", gamma)))


def poisson_rate_floor(gamma: Any, rate: Any) -> FloatOrArray:
    """Rate below which no TCE fit of a Poisson model is, min(λ, −log γ).

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold in (0, 1].
    rate : float or array of float
        Rate λ ≥ 0 of the previous model, from which training starts; or that of generation 0, for all generations.

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
    Slug `poisson-rate-floor`: for the mask by the model that is fitted. Attained by data that are all 0.

    Examples
    --------
    >>> round(poisson_rate_floor(0.9, 2.0), 6), poisson_rate_floor(0.9, 0.05)
    (0.105361, 0.05)
    """
    threshold, previous = numbers_in("gamma", gamma, 0.0, 1.0, open_low=True), numbers_in("rate", rate, 0.0)
    return numbers_or_scalar(np.minimum(previous, loss_floor(threshold)))


def hinge_objective(cross_entropies: Vector, gamma: Any) -> FloatOrArray:
    """Objective of TCE, the mean of max(CE_i, g).

    Parameters
    ----------
    cross_entropies : array of float, shape (n,)
        −log p(x_i) of all samples, in nats.
    gamma : float or array of float
        Confidence threshold, above 0.

    Returns
    -------
    float or ndarray
        In nats, at least g = −log γ; of the shape of `gamma`.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `hinge-form`: masked training is, almost everywhere, gradient descent on it.

    Examples
    --------
    >>> round(hinge_objective([0.01, 0.5, 2.0], 0.9), 12)
    0.868453505219
    """
    floor = np.asarray(loss_floor(gamma))
    return numbers_or_scalar(floor + _excess(_vector("cross_entropies", cross_entropies), floor, np.mean))


def stationary_entropy(cross_entropies: Vector, gamma: Any, total_weight: Any) -> FloatOrArray:
    """Weighted mean entropy of a model where TCE is stationary, H̄ = g + V/N with V = Σ (CE_i − g)_+.

    Parameters
    ----------
    cross_entropies : array of float, shape (n,)
        −log p(x_i) of all samples under the stationary model, in nats.
    gamma : float or array of float
        Confidence threshold, above 0.
    total_weight : float or array of float
        N in (0, n]: the number of samples with p(x_i) < γ, plus the weights of those on the threshold (n minus
        `masked_weight` of a `tce_theory.Fit`).

    Returns
    -------
    float or ndarray
        In nats, of the broadcast shape of `gamma` and `total_weight`; at least g = −log γ.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `entropy-identity`; read there what it takes: N > 0, and a family that can be tempered. For conditional models
    H̄ = Σ w_i H_i/N weights the entropies of the contexts.

    Examples
    --------
    The categorical fit to counts (9, 7, 4) under γ = 0.4 is (0.4, 0.6 · 7/11, 0.6 · 4/11). Its first class is on the
    threshold; the two others have q_j N = 7 and 4 where TCE is stationary, so that N = 11/0.6.

    >>> q = np.array([0.4, 0.6 * 7 / 11, 0.6 * 4 / 11])
    >>> losses = np.repeat(-np.log(q), [9, 7, 4])
    >>> round(stationary_entropy(losses, 0.4, 11 / 0.6), 12), round(float(-q @ np.log(q)), 12)
    (1.06630073135, 1.06630073135)
    """
    losses = _vector("cross_entropies", cross_entropies)
    floor = np.asarray(loss_floor(gamma))
    # what the caller adds up may exceed n by rounding
    weight = numbers_in("total_weight", total_weight, 0.0, losses.size * (1 + 1e-9), open_low=True)
    return numbers_or_scalar(floor + _excess(losses, floor, np.sum) / weight)


def entropy_rate(cross_entropies: Vector, gamma: Any, entropy: Any) -> FloatOrArray:
    """Rate dH/dt = Σ χ_i (CE_i − H) of the entropy along natural gradient flow of TCE.

    Parameters
    ----------
    cross_entropies : array of float, shape (n,)
        −log p(x_i) of all samples, in nats.
    gamma : float or array of float
        Confidence threshold, above 0.
    entropy : float or array of float
        Entropy H of the model, in nats.

    Returns
    -------
    float or ndarray
        In nats per unit of time, of the broadcast shape of `gamma` and `entropy`; at least N (g − H).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `entropy-invariance`. The flow is θ' = −F(θ)^(−1) ∇ Σ max(CE_i, g), F the Fisher information of an exponential
    family with constant base measure; a sum over samples, so that the mean over n has a rate n times smaller. χ_i = 1
    where CE_i ≥ g.

    Examples
    --------
    >>> round(entropy_rate([0.01, 0.5, 2.0], 0.9, 0.3), 12)
    1.9
    """
    losses = _vector("cross_entropies", cross_entropies)
    floor, level = np.asarray(loss_floor(gamma)), numbers_in("entropy", entropy, -np.inf, open_low=True)
    floor, level = np.broadcast_arrays(floor, level)
    rates = [(losses[losses >= g] - h).sum() for g, h in zip(floor.flat, level.flat, strict=True)]
    return numbers_or_scalar(np.reshape(rates, floor.shape))


def entropy_rate_bound(entropy: Any, gamma: Any, total_weight: Any) -> FloatOrArray:
    """Lower bound N (g − H) of the rate of the entropy along natural gradient flow of TCE.

    Parameters
    ----------
    entropy : float or array of float
        Entropy H of the model, in nats.
    gamma : float or array of float
        Confidence threshold, above 0.
    total_weight : float or array of float
        N ≥ 0, the number of unmasked samples.

    Returns
    -------
    float or ndarray
        In nats per unit of time (see `entropy_rate`), of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `entropy-invariance`: the set of models with H ≥ g is never left.

    Examples
    --------
    >>> entropy_rate_bound(0.3, 1.0, 10)
    -3.0
    """
    level = numbers_in("entropy", entropy, -np.inf, open_low=True)
    return numbers_or_scalar(numbers_in("total_weight", total_weight, 0.0) * (np.asarray(loss_floor(gamma)) - level))


def tabular_entropy_rate(probs: Vector, frequencies: Vector, gamma: float) -> float:
    """Rate of the entropy of a softmax under plain gradient flow of TCE on its logits.

    Parameters
    ----------
    probs : array of float, shape (K,)
        Probabilities q of the model, with sum 1.
    frequencies : array of float, shape (K,)
        Label distribution f of the data, with sum 1.
    gamma : float
        Confidence threshold in (0, 1].

    Returns
    -------
    float
        Σ_j q_j (log q_j + H) (q_j M − f_j χ_j), in nats per unit of time; nonnegative whenever H ≤ −log γ.

    Raises
    ------
    DomainError
        If an argument is out of range, or the lengths differ.

    Notes
    -----
    Slug `entropy-invariance`.

    Examples
    --------
    >>> round(tabular_entropy_rate([0.9, 0.1], [0.8, 0.2], 0.5), 12)  # H = 0.325 is below −log 0.5 = 0.693
    0.071190076306
    """
    q = _distribution("probs", probs)
    log = np.log(np.where(q > 0, q, 1.0))
    return float((q * (log - q @ log)) @ tce_gradient(probs, frequencies, gamma))


def head_excess(parameters: Vector, gradient: Vector) -> float:
    """Cross entropy less entropy, CE_S − H_S, of any network with a linear last layer, from that layer alone.

    Parameters
    ----------
    parameters : array of float, shape (P,)
        All parameters θ_h of the last layer, weights and biases.
    gradient : array of float, shape (P,)
        Gradient in θ_h of the mean cross entropy over the unmasked targets S.

    Returns
    -------
    float
        ⟨θ_h, ∇L_S⟩ in nats: mean cross entropy less mean entropy over S.

    Raises
    ------
    DomainError
        If an argument is out of range, or the lengths differ.

    Notes
    -----
    Slug `head-identity`; holds at any parameters.

    Examples
    --------
    One binary target of class 1 under logits (0, log 3), from one feature of value 1 and no bias:

    >>> round(head_excess([0.0, np.log(3)], [1 / 4, -1 / 4]), 12)
    -0.274653072167
    >>> round(float(np.log(4 / 3) - (3 / 4 * np.log(4 / 3) + 1 / 4 * np.log(4))), 12)
    -0.274653072167
    """
    theta = _vector("parameters", parameters)
    return float(theta @ _vector("gradient", gradient, size=theta.size))


def head_certificate(parameter_norm: Any, gradient_norm: Any) -> FloatOrArray:
    """Bound ‖θ_h‖ ‖∇L_S‖ of |H_S − CE_S| for any network with a linear last layer, at any parameters.

    Parameters
    ----------
    parameter_norm : float or array of float
        ‖θ_h‖ ≥ 0, of all parameters of the last layer.
    gradient_norm : float or array of float
        ‖∇L_S‖ ≥ 0, of the gradient in θ_h of the mean cross entropy over the unmasked targets S.

    Returns
    -------
    float or ndarray
        In nats, of the broadcast shape. The mean entropy over S is at least −log γ less this bound.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `head-certificate`: Cauchy–Schwarz in `head_excess`.

    Examples
    --------
    >>> head_certificate(20.0, 0.001)
    0.02
    """
    return numbers_or_scalar(
        numbers_in("parameter_norm", parameter_norm, 0.0) * numbers_in("gradient_norm", gradient_norm, 0.0)
    )


def decay_excess(decay: Any, weight_norm: Any, n: Integers, total_weight: Any) -> FloatOrArray:
    """Mean entropy less mean cross entropy over unmasked targets where TCE with weight decay is stationary.

    Parameters
    ----------
    decay : float or array of float
        λ ≥ 0 of the penalty (λ/2) ‖W‖².
    weight_norm : float or array of float
        ‖W‖ ≥ 0, of those parameters of the last layer that are decayed.
    n : int or array of int
        Number of targets that the loss is averaged over, masked ones included, at least 1.
    total_weight : float or array of float
        N > 0, the number of unmasked targets.

    Returns
    -------
    float or ndarray
        λ ‖W‖² n/N ≥ 0, in nats, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `head-certificate`. For a penalty in the objective, not for decoupled decay (AdamW).

    Examples
    --------
    >>> round(decay_excess(1e-4, 30.0, 1000, 500), 12)
    0.18
    """
    strength, norm = numbers_in("decay", decay, 0.0), numbers_in("weight_norm", weight_norm, 0.0)
    ratio = integers("n", n, minimum=1) / positive_numbers("total_weight", total_weight)
    return numbers_or_scalar(strength * norm * norm * ratio)  # not norm²: it may overflow where the product does not


def average_entropy_excess(
    initial_norm: Any, final_norm: Any, step_size: Any, steps: Integers, mean_square_gradient: Any
) -> FloatOrArray:
    """Time average of κ_t (CE_S − H_S)_t over gradient descent, from the last layer's norms alone.

    Parameters
    ----------
    initial_norm, final_norm : float or array of float
        ‖θ_0‖ and ‖θ_T‖ of the last layer before the first and after the last step.
    step_size : float or array of float
        Step η > 0 of plain full-batch gradient descent.
    steps : int or array of int
        Number of steps T, at least 1.
    mean_square_gradient : float or array of float
        Mean over the steps of ‖g_t‖², g_t the last layer's gradient of the loss averaged over all targets.

    Returns
    -------
    float or ndarray
        (‖θ_0‖² − ‖θ_T‖²)/(2ηT) + (η/2) mean ‖g_t‖², in nats, of the broadcast shape; exact.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `floor-on-average`. κ_t is the share of unmasked targets.

    Examples
    --------
    >>> round(average_entropy_excess(3.0, 5.0, 0.1, 1000, 0.02), 12)
    -0.079
    """
    first, last = numbers_in("initial_norm", initial_norm, 0.0), numbers_in("final_norm", final_norm, 0.0)
    eta, time = positive_numbers("step_size", step_size), integers("steps", steps, minimum=1)
    noise = numbers_in("mean_square_gradient", mean_square_gradient, 0.0)
    drift = (first - last) / (2 * eta * time) * (first + last)  # in this order: a norm may be large
    return numbers_or_scalar(drift + eta / 2 * noise)


def average_entropy_floor(
    initial_norm: Any, step_size: Any, steps: Integers, mean_square_gradient: Any, unmasked_share: Any
) -> FloatOrArray:
    """Lower bound of the weighted time average of H_S + log γ over gradient descent on TCE.

    Parameters
    ----------
    initial_norm : float or array of float
        ‖θ_0‖ ≥ 0 of the last layer.
    step_size : float or array of float
        Step η > 0 of plain full-batch gradient descent.
    steps : int or array of int
        Number of steps T, at least 1.
    mean_square_gradient : float or array of float
        Mean over the steps of ‖g_t‖², g_t the last layer's gradient of the loss averaged over all targets.
    unmasked_share : float or array of float
        Mean over the steps of the share κ_t of unmasked targets, in (0, 1].

    Returns
    -------
    float or ndarray
        −[‖θ_0‖²/(2ηT) + (η/2) mean ‖g_t‖²]/κ̄ ≤ Σ κ_t (H_S + log γ)_t / Σ κ_t, in nats, of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `floor-on-average`. No momentum, Adam or decay; the last layer not tied to the embedding.

    Examples
    --------
    >>> round(average_entropy_floor(3.0, 0.1, 1000, 0.02, 0.5), 12)
    -0.092
    """
    share = numbers_in("unmasked_share", unmasked_share, 0.0, 1.0, open_low=True)
    excess = average_entropy_excess(initial_norm, 0.0, step_size, steps, mean_square_gradient)
    return numbers_or_scalar(-np.asarray(excess) / share)


def entropy_margin(gamma: Any, threshold: Any, parameter_norm: Any, gradient_norm: Any) -> FloatOrArray:
    """Lower bound of how far the mean entropy of the unmasked targets is above a threshold, at any parameters.

    Parameters
    ----------
    gamma : float or array of float
        Confidence threshold of TCE, above 0.
    threshold : float or array of float
        Entropy h in nats, below which the network is said to have failed.
    parameter_norm : float or array of float
        ‖θ_h‖ ≥ 0, of all parameters of the last layer.
    gradient_norm : float or array of float
        ‖∇L_S‖ ≥ 0, of the gradient in θ_h of the mean cross entropy over the unmasked targets S.

    Returns
    -------
    float or ndarray
        −log γ − h − ‖θ_h‖ ‖∇L_S‖ ≤ H_S − h, in nats, of the broadcast shape: where it is not negative, the network has
        not failed.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `floor-interval`; it says nothing about masked targets, nor where all are masked.

    Examples
    --------
    >>> round(entropy_margin(0.3, 1.0, 20.0, 0.001), 12)
    0.183972804326
    """
    level = numbers_in("threshold", threshold, -np.inf, open_low=True)
    bound = np.asarray(head_certificate(parameter_norm, gradient_norm))
    return numbers_or_scalar(np.asarray(loss_floor(gamma)) - level - bound)


def certified_interval(certificates: Vector, gamma: float, threshold: float) -> float:
    """First generation that could have failed by the certificates of all so far: a lower bound of the interval.

    Parameters
    ----------
    certificates : array of float, shape (generations,)
        Bounds ‖θ_h‖ ‖∇L_S‖ of generations 1, 2, …; 0 where all targets are masked, so that there is no metric to fail.
    gamma : float
        Confidence threshold of TCE in (0, 1].
    threshold : float
        Entropy h in nats: a generation fails where the mean entropy of its unmasked targets is below.

    Returns
    -------
    float
        First generation with a certificate above −log γ − h; inf if there is none among these.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `floor-interval`. In whole generations: an interpolated time can be up to one generation earlier.

    Examples
    --------
    >>> certified_interval([0.01, 0.05, 0.3, 0.02], 0.3, 1.0)
    3.0
    """
    bounds = _vector("certificates", certificates, 0.0)
    slack = -math.log(number_in("gamma", gamma, 0.0, 1.0, open_low=True)) - finite_number("threshold", threshold)
    uncertain = np.flatnonzero(bounds > slack)
    return float(uncertain[0] + 1) if uncertain.size else math.inf


def focal_weight(p: Any, exponent: Any, *, detach: bool = False) -> FloatOrArray:
    """Factor by which the focal loss (1 − p)^k (−log p) multiplies the gradient of cross entropy.

    Parameters
    ----------
    p : float or array of float
        Probability of the label, in [0, 1].
    exponent : float or array of float
        k in [0, 10^6].
    detach : bool
        Whether the factor (1 − p)^k is held constant, or differentiated through.

    Returns
    -------
    float or ndarray
        φ(p) = (1 − p)^k − k p (1 − p)^(k−1) log p, or (1 − p)^k if detached; of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `focal-gradient`; φ is also the function of Charoenphakdee et al. (2021) through which minimisers are found,
    see `focal_minimiser`. Lin et al. (2017) define the loss.

    Examples
    --------
    >>> round(focal_weight(0.5, 2), 12), focal_weight(0.5, 2, detach=True)
    (0.59657359028, 0.25)
    """
    detach = flag("detach", detach)
    prob, k = numbers_in("p", p, 0.0, 1.0), numbers_in("exponent", exponent, 0.0, _LARGEST_EXPONENT)
    inside = (prob > 0) & (prob < 1)
    safe = np.where(inside, prob, 0.5)
    odds = np.where(inside, -safe * np.log(safe) / (1 - safe), prob)
    with np.errstate(divide="ignore", invalid="ignore"):
        power = np.where(k > 0, np.exp(k * np.log1p(-prob)), 1.0)
    return numbers_or_scalar(power if detach else power * (1 + k * odds))


def focal_weight_peak(exponent: Any) -> FloatOrArray:
    """Probability v* at which the differentiated focal loss has its largest weight.

    Parameters
    ----------
    exponent : float or array of float
        k in (0, 10^6].

    Returns
    -------
    float or ndarray
        In (0, 0.2032) and below 1/k, of the shape of `exponent`.

    Raises
    ------
    DomainError
        If `exponent` is out of range.

    Notes
    -----
    Slug `idempotence`: the only root in (0, 1) of (1 − kv)(−log v) = 2 (1 − v). For 1/K < v* the uniform distribution
    on K classes is unstable when models are fitted to their own output.

    Examples
    --------
    >>> round(focal_weight_peak(2), 12)
    0.104057658044
    """
    k = numbers_in("exponent", exponent, 0.0, _LARGEST_EXPONENT, open_low=True)
    return numbers_or_scalar(np.reshape([_weight_peak(float(value)) for value in k.flat], k.shape))


def _weight_peak(k: float) -> float:
    # (1 − kv)(−log v)/(1 − v) decreases where kv < 1, as a product of positive decreasing functions. It is below 2 at
    # v = 1/4 (1.85 for k = 0) and 0 at v = 1/k; where −log v ≥ 4 and kv ≤ 1/2 it is above 2.
    def excess(log_v: float) -> float:
        v = np.exp(log_v)
        return float((k * v - 1) * log_v - 2 * (1 - v))

    low, high = np.log(min(np.exp(-4.0), 0.5 / k)), np.log(min(0.25, 1 / k))
    return float(np.exp(optimize.brentq(excess, low, high, xtol=1e-16, rtol=8.9e-16)))


def focal_uniform_rate(size: Integers, exponent: Any, *, detach: bool = True) -> FloatOrArray:
    """Factor by which one fit of the focal loss to a model's own output multiplies small deviations from uniform.

    Parameters
    ----------
    size : int or array of int
        Number of classes K, at least 2.
    exponent : float or array of float
        k in [0, 10^6].
    detach : bool
        Whether the factor (1 − p)^k of the loss is held constant, or differentiated through.

    Returns
    -------
    float or ndarray
        (K − 1)/(K − 1 + k) if detached. Otherwise φ/(φ − vφ') at v = 1/K, above 1 (unstable) exactly if v is below
        `focal_weight_peak`. Of the broadcast shape.

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `idempotence`; without sampling noise.

    Examples
    --------
    >>> focal_uniform_rate(5, 4)
    0.5
    >>> round(focal_uniform_rate(20, 2, detach=False), 12), round(focal_uniform_rate(6, 2, detach=False), 12)
    (1.071889335115, 0.883377648018)
    """
    detach = flag("detach", detach)
    classes, k = integers("size", size, minimum=2), numbers_in("exponent", exponent, 0.0, _LARGEST_EXPONENT)
    others = classes - 1
    if detach:
        return numbers_or_scalar(others / (others + k))
    odds = np.log(classes) / others
    return numbers_or_scalar(others * (1 + k * odds) / (others + 2 * k + k * (k - 1) * odds))


def focal_minimiser(label_probs: Vector, exponent: float, *, detach: bool = False) -> np.ndarray:
    """Model that minimises the expected focal loss for a label distribution.

    Parameters
    ----------
    label_probs : array of float, shape (K,)
        Label distribution η; only ratios matter, so that counts will do.
    exponent : float
        k in [10^(−6), 10^6].
    detach : bool
        Whether the factor (1 − p)^k is held constant, or differentiated through. Detached, it is the stationary point,
        which minimises the integrated weight.

    Returns
    -------
    ndarray, shape (K,)
        v with η_i proportional to v_i/w(v_i), w = `focal_weight`; 0 where η_i is 0. Relative error of each element:
        below 3e-13 (what float64 leaves of a ratio of 1e-300, and less than 1e-15 for ratios near 1).

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    Slug `focal-gradient`; Charoenphakdee et al. (2021). v/w(v) increases from 0 to ∞ on (0, 1), for every k > 0, so
    that the solution exists, is unique and keeps the order of η. Ten million classes take some ten seconds.

    Examples
    --------
    >>> focal_minimiser([0.9, 0.09, 0.01], 2.0).round(6)
    array([0.688371, 0.277264, 0.034365])
    >>> focal_minimiser([0.9, 0.09, 0.01], 2.0, detach=True).round(6)
    array([0.657931, 0.28636 , 0.055709])
    """
    eta = _vector("label_probs", label_probs, 0.0)
    ratio = _FocalRatio(_number("exponent", exponent, _SMALLEST_EXPONENT, _LARGEST_EXPONENT), flag("detach", detach))
    support = np.flatnonzero(eta > 0)
    if support.size == 0:
        raise DomainError("label_probs", float(eta.sum()), "nonnegative numbers that are not all 0")
    minimiser = np.zeros_like(eta)
    if support.size == 1:
        minimiser[support] = 1.0
        return minimiser
    # the largest class leads; the others follow from their ratios to it
    lead = support[np.argmax(eta[support])]
    rest = support[support != lead]
    log_ratio = np.log(eta[rest]) - np.log(eta[lead])
    minimiser[lead], minimiser[rest] = _solve_simplex(log_ratio, ratio)
    return minimiser


class _FocalRatio:
    """ℓ = log(v/w(v)) as a function of x = logit(v), and its inverse.

    With o = −v log v/(1 − v) in (0, 1): ℓ = log v − k log(1 − v) − log(1 + k o), increasing, from −∞ to ∞. Detached,
    the last term is absent. The logit keeps the digits of v and of 1 − v. Its slope is derived in
    proofs/focal-gradient.py.
    """

    def __init__(self, exponent: float, detach: bool) -> None:
        self.k, self.detach = exponent, detach

    def __call__(self, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return ℓ and its derivative in x."""
        k = self.k
        shrunk = np.exp(-np.abs(x))
        softplus = np.log1p(shrunk)  # of −|x|
        log_v, log_complement = np.minimum(x, 0) - softplus, -np.maximum(x, 0) - softplus
        complement = np.where(x > 0, shrunk, 1.0) / (1 + shrunk)
        v = np.where(x > 0, 1.0, shrunk) / (1 + shrunk)
        if self.detach:
            return log_v - k * log_complement, complement + k * v
        odds = np.exp(np.minimum(x, 700.0)) * -log_v
        odds = np.where(x > 35, 1.0, odds)
        slope = (complement + 2 * k * v + k * (k - 1) * v * odds) / (1 + k * odds)
        return log_v - k * log_complement - np.log1p(k * odds), slope

    def bracket(self, level: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds of the x with ℓ(x) = level.

        log v − k log(1 − v) = x + (k − 1) log(1 + e^x), and log(1 + e^x) lies between max(x, 0) and that plus log 2;
        the last term of ℓ is between −log(1 + k) and 0. So ℓ is within constants of x + (k − 1) max(x, 0).
        """
        k = self.k
        above = max(k - 1, 0) * np.log(2)
        below = max(1 - k, 0) * np.log(2) + np.log1p(k)
        low, high = level - above - 1e-9, level + below + 1e-9
        return np.where(low > 0, low / k, low), np.where(high > 0, high / k, high)

    def inverse(self, level: np.ndarray, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the x with ℓ(x) = level, from a guess, and the slope there; Newton steps kept within a bracket."""
        low, high = self.bracket(level)
        x = np.clip(start, low, high)
        for _ in range(200):
            value, slope = self(x)
            step = (level - value) / slope
            low, high = np.where(step >= 0, x, low), np.where(step <= 0, x, high)
            moved = x + step
            moved = np.where((moved >= low) & (moved <= high), moved, (low + high) / 2)
            done = np.abs(moved - x) <= 1e-9 * (1 + np.abs(x))
            x = moved
            if done.all():  # a Newton step of 1e-9 leaves an error of its square
                break
        return x, slope


def _solve_simplex(log_ratio: np.ndarray, ratio: _FocalRatio) -> tuple[float, np.ndarray]:
    """Return v of the leading class and of the others, whose log η exceed that of the leading one by `log_ratio` ≤ 0.

    The excess log Σ v_i − log(1 − v), with the sum over the others and v that of the leading class, increases in x =
    logit(v); nothing in it cancels. Its root is bracketed: the leading v is the largest, so at least 1/K. From above,
    with R(v) = v/w(v) and ρ = η_2/η_1 for the largest of the others, R(v_2) = ρ R(v) and v_2 ≤ c = 1 − v give
    ρ R(1 − c) ≤ R(c); because u^k ≤ w(1 − u) ≤ (1 + k) u^k, it follows that ((1 − c)/c)^(k+1) ≤ (1 + k)/ρ.
    """
    x_rest = np.zeros_like(log_ratio)
    low = -np.log(log_ratio.size)
    high = (np.log1p(ratio.k) - log_ratio.max()) / (1 + ratio.k)
    low, high = low - 1e-9 * (1 + abs(low)), high + 1e-9 * (1 + abs(high))
    x = high if high < 1 else (low + high) / 2
    for _ in range(200):
        log_total, growth = _others(x, log_ratio, x_rest, ratio)
        excess = log_total + np.logaddexp(0.0, x)
        step = -excess / (growth + special.expit(x))
        low, high = (x, high) if step >= 0 else (low, x)
        moved = x + step if low <= x + step <= high else (low + high) / 2
        converged = abs(moved - x) <= 1e-15 * (1 + abs(x)) or moved in (low, high)
        x = float(moved)
        if converged or abs(step) <= 1e-15 * (1 + abs(x)):
            break
    _others(x, log_ratio, x_rest, ratio)
    return float(special.expit(x)), special.expit(x_rest)


def _others(x: float, log_ratio: np.ndarray, x_rest: np.ndarray, ratio: _FocalRatio) -> tuple[float, float]:
    """Solve for the other classes given the leading one, in place; return log Σ v_i and its derivative in x."""
    level, lead_slope = ratio(np.asarray(x))
    largest = slice(top := int(np.argmax(log_ratio)), top + 1)
    # sums are relative to the largest of the others, which may be below the range of float64
    reference = special.log_expit(ratio.inverse(level + log_ratio[largest], x_rest[largest])[0])
    total = growth = 0.0
    for begin in range(0, log_ratio.size, _CHUNK):
        part = slice(begin, begin + _CHUNK)
        x_rest[part], slopes = ratio.inverse(level + log_ratio[part], x_rest[part])
        relative = np.exp(special.log_expit(x_rest[part]) - reference)
        total += float(relative.sum())
        growth += float((relative * special.expit(-x_rest[part]) / slopes).sum())
    return float(reference[0] + np.log(total)), growth / total * float(lead_slope)


def _mask(probs: Vector, gamma: float) -> np.ndarray:
    threshold = _number("gamma", gamma, 0.0, 1.0, open_low=True)
    return np.where(_distribution("probs", probs) <= threshold, 1.0, 0.0)


def _excess(losses: np.ndarray, floor: np.ndarray, reduce: Any) -> np.ndarray:
    """Reduce (CE_i − g)_+ over the samples, for each floor."""
    return np.reshape([reduce(np.maximum(losses - g, 0.0)) for g in floor.flat], floor.shape)


def _number(argument: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    array = numbers_in(argument, value, low, high, open_low=open_low)
    if array.ndim:
        raise DomainError(argument, f"shape {array.shape}", "one number")
    return float(array)


def _vector(argument: str, value: Any, low: float = -np.inf, *, size: int | None = None) -> np.ndarray:
    """Return finite numbers along one axis, at least `low`, as many as `size`."""
    array = numbers_in(argument, value, low, open_low=low == -np.inf)
    if array.ndim != 1 or array.size == 0:
        raise DomainError(argument, f"shape {array.shape}", "numbers along one axis, at least one")
    if size is not None and array.size != size:
        raise DomainError(argument, f"length {array.size}", f"of length {size}, like the others")
    return array


def _distribution(argument: str, value: Any) -> np.ndarray:
    return np.asarray(probability_vector(argument, value))


def _two_distributions(probs: Vector, frequencies: Vector) -> tuple[np.ndarray, np.ndarray]:
    q, f = _distribution("probs", probs), _distribution("frequencies", frequencies)
    if f.size != q.size:
        raise DomainError("frequencies", f"length {f.size}", f"of length {q.size}, like probs")
    return q, f
