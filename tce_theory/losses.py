"""Losses on the probability that a model gives to what was observed: cross entropy and its truncations.

Every loss is described by one function of a probability p, its *weight* w(p): the factor by which it multiplies the
gradient of the cross entropy −log p. Training therefore follows the gradient of a continuous *objective* F with
F'(p) = −w(p)/p, whatever the masked form that is printed as the loss (`hinge-form`). Up to a constant F is the
integral of w(u)/u from p to 1:

=============================== ======================================= ============================================
loss                            weight w(p)                             objective F(p)
=============================== ======================================= ============================================
`CrossEntropy`                  1                                       −log p
`TruncatedCrossEntropy`         1 if p ≤ gamma, else 0                  max(−log p, −log gamma)
`FocalLoss`                     (1−p)^k − k p (1−p)^(k−1) log p         (1−p)^k (−log p)
`FocalLoss`, detached           (1−p)^k                                 ∫ (1−u)^k / u du from p to 1
`SmoothTruncatedCrossEntropy`   1 / (1 + (p/gamma)^(1/width))           difference of two softplus functions
`WeightedCrossEntropy`          any function of p                       ∫ w(u)/u du from p to 1, by quadrature
=============================== ======================================= ============================================

All objectives but that of TCE vanish at p = 1; TCE's is its integral plus the floor −log gamma.

The source of TCE is ForTIFAI (2025), arXiv 2509.08972; that of the focal loss Lin et al. (2017), eq. 4.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import KW_ONLY, InitVar, dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.validation import finite_array, finite_number, number_in, one_of, positive_number

__all__ = [
    "TCE",
    "CrossEntropy",
    "FocalLoss",
    "Loss",
    "SmoothTruncatedCrossEntropy",
    "TruncatedCrossEntropy",
    "WeightedCrossEntropy",
]

FloatArray: TypeAlias = NDArray[np.float64]

_REDUCTIONS = ("none", "mean", "mean-unmasked")

# where a weight given by the user is checked, and where its quadrature is split, so that no feature wider than the
# spacing is overlooked: dense on [0, 1], and towards both ends
_GRID = np.unique(
    np.concatenate(
        [
            np.linspace(0.0, 1.0, 65),
            np.logspace(-300, -20, 15),
            np.logspace(-16, -1, 31),
            1.0 - np.logspace(-15, -2, 14),
        ]
    )
)

# eps^(1/5) balances rounding against the error of a five-point difference
_RELATIVE_STEP = float(np.finfo(np.float64).eps) ** 0.2


class _Probability(NamedTuple):
    """Probabilities with their logarithms and complements, which keep their precision where p rounds to 0 or 1."""

    value: FloatArray
    log: FloatArray
    complement: FloatArray


class Loss(ABC):
    """A loss of the probability p that a model gives to the observed class (or, for some, of a density).

    The public methods are the same for every loss. `weight`, `value` and `objective` are functions of p, elementwise
    (a number for a number); `gradient` and `hessian` are derivatives of the objective in the logits of softmax.

    The argument `reduction` says what becomes of the examples:

    - ``"none"``: one result for each example;
    - ``"mean"``: the mean over all examples, masked ones included. This is what the source's code does: as more targets
      are masked the effective step shrinks;
    - ``"mean-unmasked"``: the sum over all examples divided by their total weight, and 0 if that is 0.
    """

    def weight(self, p: ArrayLike) -> FloatArray:
        """Return the factor of the cross-entropy gradient, a constant of differentiation unless the class says so.

        Parameters
        ----------
        p : array_like, any shape
            Probabilities in [0, 1]; losses that are defined for densities take any number >= 0.

        Returns
        -------
        ndarray, shape of `p`
            The weights. Their mean is the effective share of unmasked examples.

        Raises
        ------
        DomainError
            If `p` has an element outside its range.

        Examples
        --------
        >>> TruncatedCrossEntropy(0.9).weight([0.5, 0.9, 0.95])
        array([1., 1., 0.])
        """
        return _plain(self._weight(_from_values(p, self._largest)))

    def value(self, p: ArrayLike, reduction: str = "none") -> FloatArray:
        """Return the loss in its masked form, weight times −log p, in nats.

        It is inf at p = 0 where the weight is not 0, and 0 where the weight is 0. As a function of the model it can be
        discontinuous; training does not minimise it (`literal-anticap`), but `objective`.

        Parameters
        ----------
        p : array_like, any shape
            Probabilities in [0, 1]; losses that are defined for densities take any number >= 0.
        reduction : {"none", "mean", "mean-unmasked"}
            See the class.

        Returns
        -------
        ndarray, shape of `p`, or a number if reduced
            The values.

        Raises
        ------
        DomainError
            If `p` has an element outside its range, `reduction` is unknown, or no element is there to be averaged.

        Examples
        --------
        >>> TruncatedCrossEntropy(0.9).value([0.5, 0.95]).round(6)
        array([0.693147, 0.      ])
        >>> TruncatedCrossEntropy(0.9).value([0.5, 0.95], reduction="mean").round(6)
        np.float64(0.346574)
        >>> TruncatedCrossEntropy(0.9).value([0.5, 0.95], reduction="mean-unmasked").round(6)
        np.float64(0.693147)
        """
        at = _from_values(p, self._largest)
        return _reduced(self._value(at), self._weight(at), reduction, "p")

    def objective(self, p: ArrayLike, reduction: str = "none") -> FloatArray:
        """Return the continuous objective whose gradient training follows (`hinge-form`), in nats.

        It is the integral of weight(u)/u from p to 1; for TCE plus −log gamma, so that it is max(−log p, −log gamma).
        It is inf at p = 0 where the integral diverges.

        Parameters
        ----------
        p : array_like, any shape
            Probabilities in [0, 1]; losses that are defined for densities take any number >= 0.
        reduction : {"none", "mean", "mean-unmasked"}
            See the class.

        Returns
        -------
        ndarray, shape of `p`, or a number if reduced
            The objective.

        Raises
        ------
        DomainError
            If `p` has an element outside its range, `reduction` is unknown, or no element is there to be averaged.
        UnsupportedCombinationError
            If p alone does not decide what is masked (TCE with the relative scale or the previous mask).

        Examples
        --------
        >>> TruncatedCrossEntropy(0.9).objective([0.5, 0.95]).round(6)
        array([0.693147, 0.105361])
        """
        self._require_objective()
        at = _from_values(p, self._largest)
        return _reduced(self._objective(at), self._weight(at), reduction, "p")

    def gradient(self, logits: ArrayLike, target: ArrayLike, reduction: str = "none") -> FloatArray:
        """Return the gradient in the logits (`tce-gradient`, `focal-gradient`).

        For a label y it is w(q_y)·(q − e_y), with q = softmax(logits); for a label distribution f it has the components
        q_j M − f_j w(q_j), where M = Σ f_i w(q_i). It is exact to rounding for logits of any size: 1 − q_y keeps its
        precision where q_y rounds to 1.

        Parameters
        ----------
        logits : array_like, shape (..., K)
            Unnormalised log probabilities of K classes.
        target : array_like, shape (...) of int, or shape (..., K)
            The label of each example, or its label distribution (nonnegative, with sum 1).
        reduction : {"none", "mean", "mean-unmasked"}
            See the class. The weight of an example is M.

        Returns
        -------
        ndarray, shape (..., K), or (K,) if reduced
            The gradient; its components sum to 0.

        Raises
        ------
        DomainError
            If an argument lies outside its range, or no example is there to be averaged.
        UnsupportedCombinationError
            If q alone does not decide what is masked (TCE with the relative scale or the previous mask).

        Examples
        --------
        >>> import numpy as np
        >>> logits = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2]])
        >>> TruncatedCrossEntropy(0.6).gradient(logits, [0, 0]).round(6)
        array([[ 0. ,  0. ,  0. ],
               [-0.5,  0.3,  0.2]])
        """
        q, labels = self._at_logits(logits, target)
        weights = labels * self._weight(q)
        total = weights.sum(axis=-1)
        # q_j M − f_j w_j, with the terms in f_j w_j put together so that nothing cancels as q_j tends to 1
        terms = q.value * (total[..., None] - weights) - weights * q.complement
        return _reduced(terms, total, reduction, "logits")

    def hessian(self, logits: ArrayLike, target: ArrayLike, reduction: str = "none") -> FloatArray:
        """Return the Hessian of the objective in the logits.

        With q = softmax(logits), label distribution f and M = Σ f_i w(q_i) it is

            M (diag q − q qᵀ) − Σ_i f_i q_i w'(q_i) (e_i − q)(e_i − q)ᵀ.

        The second sum is absent for CE and, off its kink p = gamma, for TCE (`tce-gradient`). It adds convexity for a
        decreasing weight, so CE, TCE, detached focal and smooth TCE are convex in the logits; the focal loss that is
        differentiated through is not.

        Parameters
        ----------
        logits : array_like, shape (..., K)
            Unnormalised log probabilities of K classes.
        target : array_like, shape (...) of int, or shape (..., K)
            The label of each example, or its label distribution (nonnegative, with sum 1).
        reduction : {"none", "mean", "mean-unmasked"}
            See the class. The weight of an example is M.

        Returns
        -------
        ndarray, shape (..., K, K), or (K, K) if reduced
            The Hessian, exactly symmetric.

        Raises
        ------
        DomainError
            If an argument lies outside its range, or no example is there to be averaged.
        UnsupportedCombinationError
            If q alone does not decide what is masked (TCE with the relative scale or the previous mask).

        Examples
        --------
        >>> import numpy as np
        >>> TruncatedCrossEntropy(0.9).hessian(np.log([0.5, 0.3, 0.2]), 0).round(6)
        array([[ 0.25, -0.15, -0.1 ],
               [-0.15,  0.21, -0.06],
               [-0.1 , -0.06,  0.16]])
        """
        q, labels = self._at_logits(logits, target)
        total = (labels * self._weight(q)).sum(axis=-1)
        # diag q − q qᵀ = Σ q_i (e_i − q)(e_i − q)ᵀ, so the whole is one sum of such squares
        squares = total[..., None] * q.value - labels * self._slope(q)
        offsets = _offsets(q)
        terms = np.swapaxes(offsets, -1, -2) @ (squares[..., None] * offsets)
        return _reduced((terms + np.swapaxes(terms, -1, -2)) / 2, total, reduction, "logits")

    @abstractmethod
    def _weight(self, at: _Probability) -> FloatArray:
        """Return w(p)."""

    @abstractmethod
    def _objective(self, at: _Probability) -> FloatArray:
        """Return F(p)."""

    def _value(self, at: _Probability) -> FloatArray:
        """Return w(p)·(−log p), and 0 where the weight is 0."""
        return _masked_product(self._weight(at), at)

    def _slope(self, at: _Probability) -> FloatArray:
        """Return p w'(p); a weight that is piecewise constant has none."""
        return np.zeros_like(at.value)

    @property
    def _largest(self) -> float:
        """The upper end of the admissible p: inf where a density will do."""
        return 1.0

    @property
    def _refusal(self) -> str | None:
        """Why there is no objective, if the weight is not a function of the model's own p alone."""
        return None

    def _require_objective(self) -> None:
        if self._refusal is not None:
            raise UnsupportedCombinationError(self._refusal)

    def _at_logits(self, logits: ArrayLike, target: ArrayLike) -> tuple[_Probability, FloatArray]:
        self._require_objective()
        z = _real_array("logits", logits)
        if z.ndim == 0 or z.shape[-1] == 0:
            raise DomainError("logits", logits, "an array of shape (..., K) with K >= 1")
        return _softmax(z), _label_distribution(target, z.shape)


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """Cross entropy, −log p, in nats: the weight is 1 everywhere. Densities above 1 are admitted.

    Its objective is its value. It is TCE with gamma = 1, where p is a probability.

    Examples
    --------
    >>> CrossEntropy().value([0.5, 1.0]).round(6)
    array([0.693147, 0.      ])
    """

    def _weight(self, at: _Probability) -> FloatArray:
        return np.ones_like(at.value)

    def _objective(self, at: _Probability) -> FloatArray:
        return _negated(at.log)

    @property
    def _largest(self) -> float:
        return math.inf


@dataclass(frozen=True)
class TruncatedCrossEntropy(Loss):
    """Truncated Cross Entropy (TCE): −log p where p ≤ gamma, 0 where p > gamma, with the mask held constant.

    ForTIFAI (2025), arXiv 2509.08972. The mask is a constant of the gradient (stop-gradient), so that training follows
    max(−log p, −log gamma) and not the printed, discontinuous loss (`hinge-form`, `literal-anticap`). The boundary p =
    gamma is unmasked.

    Parameters
    ----------
    gamma : float
        Confidence threshold, finite and above 0. It may exceed 1 for densities, but not on the relative scale.
    scale : {"absolute", "relative"}
        ``"absolute"``: masked where p > gamma. ``"relative"`` (continuous families): masked where p divided by the
        maximum of the density exceeds gamma. `weight` and `value` of a relative TCE take that ratio as their p.
    mask : {"current", "previous"}
        Which model decides the mask: the one being fitted, or that of the previous generation. `weight` is evaluated at
        the probability that decides; `value` takes p for both, which is the loss where a fit starts from the previous
        model.
    vacuous : {"auto", "warm", "max-entropy", "drawn-only"}
        Which minimiser a fit takes if some model masks every sample. ``"warm"``: where gradient flow from the previous
        model ends (for a previous model above the cap a convention close to it). ``"max-entropy"``: the minimiser of
        largest entropy among all models of the family, which gives mass to classes that were lost, too.
        ``"drawn-only"``: the uniform model on the classes that were drawn; all others are lost. ``"auto"``: warm for
        categorical, Bernoulli and Poisson models (for Poisson the nearest rate that masks every sample; its
        ``"max-entropy"`` is the largest such rate), max-entropy for Gaussian ones. It matters to fits alone.

    Attributes
    ----------
    floor
    relative_radius

    Raises
    ------
    DomainError
        If a parameter lies outside its range.

    Notes
    -----
    The objective agrees with those of the other losses up to the constant −log gamma, its least value: it is the floor
    plus the integral of weight(u)/u from p to 1 (for a density above 1, max(−log p, −log gamma) as it stands). With the
    relative scale or the previous mask p alone does not decide what is masked; `objective`, `gradient` and `hessian`
    are then refused.

    Examples
    --------
    >>> loss = TCE(0.9)
    >>> loss.value([0.5, 0.9, 0.95]).round(6)
    array([0.693147, 0.105361, 0.      ])
    >>> round(loss.floor, 6)
    0.105361
    >>> TCE(1.5).value([1.2, 2.0]).round(6)
    array([-0.182322,  0.      ])
    """

    gamma: float
    scale: str = "absolute"
    _: KW_ONLY
    mask: str = "current"
    vacuous: str = "auto"

    def __post_init__(self) -> None:
        one_of("scale", self.scale, ("absolute", "relative"))
        one_of("mask", self.mask, ("current", "previous"))
        one_of("vacuous", self.vacuous, ("auto", "warm", "max-entropy", "drawn-only"))
        if self.scale == "relative":
            gamma = number_in("gamma", self.gamma, 0, 1, open_low=True)
        else:
            gamma = positive_number("gamma", self.gamma)
        object.__setattr__(self, "gamma", gamma)

    @property
    def floor(self) -> float:
        """The loss floor g = −log gamma, in nats: negative if gamma > 1.

        Examples
        --------
        >>> round(TCE(0.5).floor, 6)
        0.693147
        """
        return 0.0 - math.log(self.gamma)

    @property
    def relative_radius(self) -> float:
        """The Mahalanobis radius a = sqrt(−2 log gamma) within which a Gaussian is masked on the relative scale.

        Raises
        ------
        UnsupportedCombinationError
            On the absolute scale, where the radius depends on the model's scale.

        Examples
        --------
        >>> round(TCE(0.9, scale="relative").relative_radius, 6)
        0.459044
        """
        if self.scale != "relative":
            raise UnsupportedCombinationError(
                "relative_radius needs scale='relative': on the absolute scale the radius depends on the model"
            )
        return math.sqrt(2 * self.floor)

    def _weight(self, at: _Probability) -> FloatArray:
        return (at.value <= self.gamma).astype(np.float64)

    def _objective(self, at: _Probability) -> FloatArray:
        return np.asarray(np.maximum(_negated(at.log), self.floor))

    @property
    def _largest(self) -> float:
        return math.inf if self.scale == "absolute" else 1.0

    @property
    def _refusal(self) -> str | None:
        if self.scale == "relative":
            return (
                "objective, gradient and hessian need scale='absolute': on the relative scale the mask depends on the "
                "maximum of the density, and the most probable class of a categorical model would always be masked"
            )
        if self.mask == "previous":
            return (
                "objective, gradient and hessian need mask='current': the previous model's mask is not a function of "
                "the model being fitted; multiply those of CrossEntropy() by weight() of the previous probabilities"
            )
        return None


TCE = TruncatedCrossEntropy


@dataclass(frozen=True)
class FocalLoss(Loss):
    """Focal loss, (1 − p)^k·(−log p) (Lin et al. 2017, eq. 4), differentiated through or with its factor detached.

    Parameters
    ----------
    exponent : float
        The exponent k, finite and >= 0; 0 gives cross entropy.
    detach : bool
        False: the factor (1 − p)^k is differentiated too; then `weight` is the factor of the CE gradient,
        (1−p)^k − k p (1−p)^(k−1) log p (`focal-gradient`; Charoenphakdee et al. 2021), and the objective is the value.
        True: the factor is a constant of the gradient, as TCE's mask is; `weight` is (1 − p)^k and the objective is the
        integral of (1 − u)^k / u from p to 1, an incomplete beta function.

    Raises
    ------
    DomainError
        If a parameter lies outside its range.

    Notes
    -----
    Both objectives vanish at p = 1, as TCE's does once its floor −log gamma is subtracted. The detached objective is
    −log p − (digamma(k + 1) + Euler's constant) + O(p) as p tends to 0; it has a relative error below 1e-12 (checked
    for exponents up to 1e6).

    Examples
    --------
    >>> FocalLoss(2.0).value([0.5, 0.9]).round(6)
    array([0.173287, 0.001054])
    >>> FocalLoss(2.0).weight([0.5, 0.9]).round(6)
    array([0.596574, 0.028965])
    >>> FocalLoss(2.0, detach=True).weight([0.5, 0.9]).round(6)
    array([0.25, 0.01])
    """

    exponent: float = 2.0
    detach: bool = False

    def __post_init__(self) -> None:
        exponent = finite_number("exponent", self.exponent)
        if exponent < 0:
            raise DomainError("exponent", self.exponent, "a finite number >= 0")
        object.__setattr__(self, "exponent", exponent)
        if not isinstance(self.detach, bool):
            raise DomainError("detach", self.detach, "True or False")

    def _weight(self, at: _Probability) -> FloatArray:
        factor = _complement_power(at, self.exponent)
        return factor if self.detach else factor * (1 + self.exponent * _entropy_odds(at))

    def _value(self, at: _Probability) -> FloatArray:
        return _masked_product(_complement_power(at, self.exponent), at)

    def _objective(self, at: _Probability) -> FloatArray:
        return _focal_integral(at, self.exponent) if self.detach else self._value(at)

    def _slope(self, at: _Probability) -> FloatArray:
        k = self.exponent
        # the slope may be infinite at p = 1, but the Hessian multiplies it by (1 − p)²
        inside = at.complement > 1e-300
        complement = np.where(inside, at.complement, 1.0)
        slope = np.where(inside, -k * at.value * _complement_power(at._replace(complement=complement), k - 1), 0.0)
        if self.detach:
            return slope
        log = np.where(at.value > 0, at.log, 0.0)
        return slope * (2 + log + (k - 1) * _entropy_odds(at))


@dataclass(frozen=True)
class SmoothTruncatedCrossEntropy(Loss):
    """TCE with a logistic weight of log p around log gamma in place of a sharp mask, detached.

    The weight 1/(1 + (p/gamma)^(1/width)) is 1/2 at p = gamma, and tends to TCE's as `width` tends to 0.

    Parameters
    ----------
    gamma : float
        Confidence threshold in (0, 1].
    width : float
        Width of the logistic in log p, finite and above 0: the weight goes from .73 to .27 as p goes from gamma/e^width
        to gamma·e^width.

    Raises
    ------
    DomainError
        If a parameter lies outside its range.

    Notes
    -----
    The objective is width·[softplus(log(gamma/p)/width) − softplus(log(gamma)/width)]. It vanishes at p = 1; as the
    width tends to 0 it tends to TCE's objective minus the floor −log gamma.

    Examples
    --------
    >>> SmoothTruncatedCrossEntropy(0.9, 0.05).weight([0.5, 0.9, 0.99]).round(6)
    array([0.999992, 0.5     , 0.129408])
    """

    gamma: float
    width: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "gamma", number_in("gamma", self.gamma, 0, 1, open_low=True))
        object.__setattr__(self, "width", positive_number("width", self.width))

    def _weight(self, at: _Probability) -> FloatArray:
        excess, decay = self._excess(at)
        return np.asarray(np.where(excess > 0, decay, 1.0) / (1 + decay))

    def _slope(self, at: _Probability) -> FloatArray:
        decay = self._excess(at)[1]
        with np.errstate(over="ignore"):
            steepness = np.minimum(decay / self.width, np.finfo(np.float64).max)
        return np.asarray(-steepness / (1 + decay) ** 2)

    def _objective(self, at: _Probability) -> FloatArray:
        excess, decay = self._excess(at)
        start = math.log(self.gamma)
        at_one = math.exp(start / self.width)
        with np.errstate(over="ignore"):
            distance = _negated(at.log) / self.width
        # the difference of the softplus functions cancels as p tends to 1, its logarithmic form does not
        growth = self.width * np.log1p(at_one / (1 + at_one) * np.expm1(np.minimum(distance, 1.0)))
        difference = np.maximum(-excess, 0) + self.width * (np.log1p(decay) - math.log1p(at_one))
        return np.asarray(np.where(distance < 1, growth, difference))

    def _excess(self, at: _Probability) -> tuple[FloatArray, FloatArray]:
        """Return x = log(p/gamma) and exp(−|x|/width)."""
        excess = at.log - math.log(self.gamma)
        with np.errstate(over="ignore"):
            return excess, np.exp(-np.abs(excess) / self.width)


@dataclass(frozen=True)
class WeightedCrossEntropy(Loss):
    """Cross entropy with any detached weight of the probability.

    Parameters
    ----------
    weight : callable
        A function of one float in [0, 1] that returns a finite number >= 0. To be used in simulations it has to compile
        under numba; here it is called for one float at a time, so that any Python function will do. It is checked on a
        grid of [0, 1] at construction, and wherever it is evaluated.

    Attributes
    ----------
    function : callable
        The weight as it was given; the method `weight` evaluates it on arrays.

    Raises
    ------
    DomainError
        If the weight cannot be called, raises, or returns anything but a finite number >= 0.

    Notes
    -----
    The objective is the integral of weight(u)/u from p to 1, by adaptive quadrature in log u with a relative error
    estimate below 1e-8 (1e-11 is usual, for smooth weights and for steps); a DomainError if it is not reached. It
    vanishes at p = 1, as TCE's does once its floor is subtracted. At p = 0 it is inf if the weight is not 0 there;
    otherwise the integral starts from the least positive double. A feature narrower than 1/64 in p may be overlooked.

    The Hessian needs the derivative of the weight, by a five-point difference with steps of 7e-4 min(p, 1 − p). Its
    entries are off by some 1e-12 for weights that vary on the scale of p and 1 − p, by more for sharper ones, and
    arbitrary within such a step of a discontinuity. The derivative is taken as 0 where p < 1e-300 or 1 − p < 1e-12.

    Examples
    --------
    >>> loss = WeightedCrossEntropy(lambda p: 1.0 - p)
    >>> loss.weight([0.25, 1.0])
    array([0.75, 0.  ])
    >>> loss.objective([0.25, 1.0]).round(6)
    array([0.636294, 0.      ])
    """

    # the name of the argument is that of the method, so the function is kept under another
    weight: InitVar[Callable[[float], float]] = field()
    function: Callable[[float], float] = field(init=False)

    def __post_init__(self, weight: Callable[[float], float]) -> None:
        if not callable(weight):
            raise DomainError("weight", weight, "a function of one probability")
        object.__setattr__(self, "function", weight)
        self._apply(_GRID)

    def __repr__(self) -> str:
        # without the address of the function, which would make the provenance of two runs differ
        return f"WeightedCrossEntropy({getattr(self.function, '__qualname__', 'weight')})"

    def _weight(self, at: _Probability) -> FloatArray:
        return self._apply(at.value)

    def _slope(self, at: _Probability) -> FloatArray:
        p, step = at.value, _RELATIVE_STEP * np.minimum(at.value, at.complement)
        apart = (p > 1e-300) & (at.complement >= 1e-12)
        # a step that p can be moved by exactly
        step = np.where(apart, (p + step) - p, 0.0)
        near = self._apply(p + step) - self._apply(p - step)
        far = self._apply(p + 2 * step) - self._apply(p - 2 * step)
        return (8 * near - far) * (p / np.where(apart, 12 * step, 1.0))

    def _objective(self, at: _Probability) -> FloatArray:
        least = np.nextafter(0.0, 1.0)
        starts = np.maximum(at.value, least)
        nodes = np.unique(np.concatenate([starts.ravel(), _GRID]))
        nodes = nodes[nodes >= starts.min(initial=1.0)]
        integrals = self._integrals_to_one(nodes)[np.searchsorted(nodes, starts)]
        diverges = (at.value == 0) & (self._apply(at.value) > 0)
        return np.asarray(np.where(diverges, np.inf, integrals))

    def _integrals_to_one(self, nodes: FloatArray) -> FloatArray:
        """Return the integral of w(u)/u from each node to the last."""
        from scipy.integrate import quad

        def weight_at_log(log_u: float) -> float:
            return self._evaluate(math.exp(log_u))

        logs = [math.log(node) for node in nodes]
        with np.errstate(all="ignore"):
            pieces = [
                quad(weight_at_log, low, high, epsabs=0.0, epsrel=1e-12, limit=200, full_output=1)[:2]
                for low, high in pairwise(logs)
            ]
        total, error = (math.fsum(column) for column in zip(*pieces, strict=True)) if pieces else (0.0, 0.0)
        if error > 1e-8 * total:
            raise DomainError("weight", self.function, "a piecewise smooth function, whose quadrature converges")
        # summed from the last node, where the integrals are small, so that each keeps its relative precision
        tails = np.cumsum([piece for piece, _ in reversed(pieces)])[::-1]
        return np.append(tails, 0.0)

    def _apply(self, points: FloatArray) -> FloatArray:
        """Evaluate the weight elementwise."""
        with np.errstate(all="ignore"):
            values = [self._evaluate(float(point)) for point in points.ravel()]
        return np.array(values, dtype=np.float64).reshape(points.shape)

    def _evaluate(self, point: float) -> float:
        admissible = "a function that returns a finite number >= 0 for every p in [0, 1]"
        try:
            number = float(self.function(point))
        except Exception as error:
            admissible += f" (at p = {point!r} it raised {error!r})"
            raise DomainError("weight", self.function, admissible) from error
        if not 0 <= number < math.inf:
            raise DomainError("weight", self.function, f"{admissible} (at p = {point!r} it returned {number!r})")
        return number


def _plain(array: FloatArray) -> FloatArray:
    """Return a 0-dimensional array as a number."""
    return array[()]


def _negated(array: FloatArray) -> FloatArray:
    """Return −array without negative zeros."""
    return np.asarray(0.0 - array)


def _masked_product(factor: FloatArray, at: _Probability) -> FloatArray:
    """Return factor·(−log p), and 0 where the factor is 0."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(factor > 0, factor * _negated(at.log), 0.0))


def _real_array(argument: str, value: Any) -> FloatArray:
    """Return `value` as a float64 array of any shape without NaN or infinity."""
    try:
        ndim = np.ndim(value)
    except ValueError:
        raise DomainError(argument, value, "an array of finite numbers") from None
    if ndim == 0:
        return np.asarray(finite_number(argument, value))
    return finite_array(argument, value, ndim=ndim, minimum_size=0)


def _from_values(p: ArrayLike, largest: float) -> _Probability:
    values = _real_array("p", p)
    outside = (values < 0) | (values > largest)
    if outside.any():
        admissible = "in [0, 1]" if largest == 1 else "a finite number >= 0"
        raise DomainError("p", float(values[outside][0]), admissible)
    with np.errstate(divide="ignore"):
        return _Probability(values, np.asarray(np.log(values)), np.asarray(1.0 - values))


def _softmax(logits: FloatArray) -> _Probability:
    """Return softmax(logits) over the last axis; log q and 1 − q keep their relative precision as q tends to 1."""
    top = np.argmax(logits, axis=-1)[..., None]
    with np.errstate(over="ignore"):
        shifted = logits - np.take_along_axis(logits, top, axis=-1)
    odds = np.exp(shifted)
    np.put_along_axis(odds, top, 0.0, axis=-1)
    others = odds.sum(axis=-1, keepdims=True)
    np.put_along_axis(odds, top, 1.0, axis=-1)
    q = odds / (1 + others)
    complement = 1 - q
    np.put_along_axis(complement, top, others / (1 + others), axis=-1)
    return _Probability(q, shifted - np.log1p(others), complement)


def _label_distribution(target: ArrayLike, shape: tuple[int, ...]) -> FloatArray:
    """Return `target` as label distributions of the given shape (..., K): labels become rows of 0 and one 1."""
    admissible = (
        f"integer labels in [0, {shape[-1] - 1}] of shape {shape[:-1]} "
        f"or label distributions (nonnegative, with sum 1) of shape {shape}"
    )
    try:
        array = np.asarray(target)
    except ValueError:
        raise DomainError("target", target, admissible) from None
    if array.shape == shape:
        return _normalised_rows(_real_array("target", target), admissible)
    if array.shape != shape[:-1] or array.dtype.kind not in "iu":
        raise DomainError("target", target, admissible)
    outside = (array < 0) | (array >= shape[-1])
    if outside.any():
        raise DomainError("target", int(array[outside][0]), admissible)
    rows = np.zeros(shape)
    np.put_along_axis(rows, array.astype(np.intp)[..., None], 1.0, axis=-1)
    return rows


def _normalised_rows(rows: FloatArray, admissible: str) -> FloatArray:
    if (rows < 0).any():
        raise DomainError("target", float(rows[rows < 0][0]), admissible)
    sums = rows.sum(axis=-1, keepdims=True)
    off = np.abs(sums - 1) > 1e-9
    if off.any():
        raise DomainError("target", float(sums[off][0]), admissible)
    return np.asarray(rows / sums)


def _offsets(q: _Probability) -> FloatArray:
    """Return the matrix with rows q − e_i, its diagonal at full relative precision."""
    offsets = np.repeat(q.value[..., None, :], q.value.shape[-1], axis=-2)
    classes = np.arange(q.value.shape[-1])
    offsets[..., classes, classes] = -q.complement
    return offsets


def _reduced(terms: FloatArray, weights: FloatArray, reduction: str, argument: str) -> FloatArray:
    """Return the terms of the examples, one each along the axes of `weights`, reduced as asked."""
    one_of("reduction", reduction, _REDUCTIONS)
    if reduction == "none":
        return _plain(terms)
    if weights.size == 0:
        raise DomainError(argument, terms.tolist(), "an array with at least one example to be averaged")
    total = np.asarray(terms.sum(axis=tuple(range(weights.ndim))))
    divisor = float(weights.size if reduction == "mean" else weights.sum())
    return _plain(np.asarray(total / divisor) if divisor > 0 else np.zeros_like(total))


def _complement_power(at: _Probability, exponent: float) -> FloatArray:
    """Return (1 − p)^exponent, precise also where 1 − p rounds to 1 and the exponent is large."""
    small = np.exp(exponent * np.log1p(-np.minimum(at.value, 0.5)))
    return np.asarray(np.where(at.value < 0.5, small, at.complement**exponent))


def _entropy_odds(at: _Probability) -> FloatArray:
    """Return −p log p/(1 − p), with its limits 0 at p = 0 and 1 at p = 1."""
    inside = (at.value > 0) & (at.complement > 0)
    safe_log = np.where(inside, at.log, 0.0)
    ratio = -at.value * safe_log / np.where(inside, at.complement, 1.0)
    return np.asarray(np.where(at.complement > 0, ratio, 1.0))


def _focal_integral(at: _Probability, exponent: float) -> FloatArray:
    """Return the integral of (1 − u)^k / u from p to 1."""
    near_zero = (at.value < 0.25) & (exponent * at.value < 3)
    integral = np.empty_like(at.value)
    integral[near_zero] = _focal_integral_near_zero(at.value[near_zero], at.log[near_zero], exponent)
    rest = _Probability(*(part[~near_zero] for part in at))
    # as a series in 1 − p, after Pfaff's transformation: (1−p)^(k+1)/((k+1) p) ₂F₁(1, 1; k+2; −(1−p)/p)
    scale = _complement_power(rest, exponent + 1) / ((exponent + 1) * rest.value)
    integral[~near_zero] = scale / _hypergeometric_fraction(rest.complement / rest.value, exponent + 2)
    return integral


def _focal_integral_near_zero(p: FloatArray, log_p: FloatArray, exponent: float) -> FloatArray:
    """Return −log p − H_k + the integral of (1 − (1 − u)^k)/u from 0 to p, the last by its binomial series."""
    from scipy.special import digamma

    term = exponent * p
    series = term.copy()
    for m in range(1, 40):
        term = term * ((m - exponent) * p / (m + 1))
        series += term / (m + 1)
    return np.asarray(series - log_p - (float(digamma(exponent + 1)) + np.euler_gamma))


def _hypergeometric_fraction(x: FloatArray, c: float, depth: int = 60) -> FloatArray:
    """Return 1/₂F₁(1, 1; c; −x) for x >= 0, c >= 2 by Gauss's continued fraction, whose terms are all positive."""
    fraction = np.ones_like(x)
    for n in range(depth, -1, -1):
        even = (n + 1) / (c + 2 * n) * ((c + n - 1) / (c + 2 * n + 1))
        odd = (n + 1) / (c + 2 * n) * ((c + n - 1) / (c + 2 * n - 1))
        fraction = 1 + odd * x / (1 + even * x / fraction)
    return fraction
