"""Training of language models: the settings, the engines behind one interface, and what is recorded about the head."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.losses import (
    CrossEntropy,
    FocalLoss,
    Loss,
    SmoothTruncatedCrossEntropy,
    TruncatedCrossEntropy,
    WeightedCrossEntropy,
)
from tce_theory.models._agreement import check_probabilities
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.network import Architecture
from tce_theory.validation import _Shape, finite_array, number_in, one_of, positive_integer, positive_number

__all__ = [
    "ContextCounts",
    "HeadAverages",
    "HeadRecord",
    "Trained",
    "Training",
    "check_training",
    "head_record",
    "kernel_loss",
    "train",
    "trained_loss",
]

_SHORT_CONTEXTS = 4096  # up to so many possible contexts the full batch is the default
_PIECE = 1024  # windows that are looked at at once
_MOST_COUNTS = 2**27  # numbers in a matrix of counts

MOST_NATS = 100.0
"""Cross entropy of a target above which parameters have run away, finite or not: such a training has diverged."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """How a network is trained.

    Parameters
    ----------
    optimiser : {"adam", "sgd"}
        Adam (Kingma and Ba 2015, with their constants; its moments are 0 at the start of every training), or gradient
        descent with momentum.
    rate : float, optional
        Size of the first step; by default 0.005 for Adam and 0.5 for gradient descent.
    momentum : float
        In [0, 1), for gradient descent.
    final_rate : float
        Ratio of the last step's size to the first's, in [0, 1]; between them it falls linearly. The last is that of
        all `epochs`, whether or not training stops early.
    batch : int
        Windows in a minibatch.
    epochs : int, optional
        Times that all data are gone through. A full batch makes as many steps. By default 5 in minibatches, 300 in
        full.
    engine : {"auto", "exact", "counts", "minibatch"}
        ``"exact"``: the minimiser itself, for tabular models. ``"counts"``: full batch over the different contexts, at
        a cost that does not grow with the data. ``"minibatch"``. ``"auto"``: exact for tabular models, counts where
        there are at most 4,096 possible contexts, else minibatch.
    reduction : {"mean", "mean-unmasked"}
        The mean over all targets, in which masked ones shrink the step, as in the source; or over unmasked ones.
    start : {"warm", "scratch"}
        From the parameters given to `train`, or from new ones.
    held_out : float
        Share of the windows, in [0, 1), on which cross entropy is measured after each epoch, whatever the loss, and
        nothing is trained. They are drawn at random, so that they share tokens with their neighbours.
    patience : int, optional
        Stop after so many epochs without a lower held-out cross entropy.
    keep : {"last", "best", "retention"}
        The parameters of the last epoch, of the one with the lowest held-out cross entropy, or of the first with the
        highest retention of facts: the metric by which the source chooses, and which it then reports. Those before the
        first epoch are never kept.
    label_smoothing : float
        In [0, 1): cross entropy with a target that has 1 − label_smoothing on the token that followed, and
        label_smoothing / V on every token (Szegedy et al. 2016).
    control : {"none", "random-mask", "matched-step"}
        Train with cross entropy, beside a *twin* that is trained with TCE from the same parameters, on the same
        minibatches in the same order. ``"random-mask"``: every step leaves out as many targets as that of the twin
        masks, at random within the minibatch. How many it leaves out still says something about which: one part in b
        of what TCE does, in a minibatch of b targets, and all of it for `batch` = 1, which is refused.
        ``"matched-step"``: none is left out, but every update of the parameters is scaled to the Euclidean length of
        the twin's; velocity and moments are those of the gradients as they are. The loss is that of the twin.

    Raises
    ------
    DomainError
        If an argument lies outside its range.
    UnsupportedCombinationError
        If momentum goes with Adam, early stopping without held-out windows, held-out windows or a choice of epochs with
        an exact fit, or a control with anything that ends a training otherwise, with full batches, or a random mask
        with batches of one.

    Examples
    --------
    >>> Training(optimiser="sgd", momentum=0.9).step_size
    0.5
    """

    optimiser: str = "adam"
    rate: float | None = None
    momentum: float = 0.0
    final_rate: float = 1.0
    batch: int = 64
    epochs: int | None = None
    engine: str = "auto"
    reduction: str = "mean"
    start: str = "warm"
    held_out: float = 0.0
    patience: int | None = None
    keep: str = "last"
    label_smoothing: float = 0.0
    control: str = "none"

    def __post_init__(self) -> None:
        one_of("optimiser", self.optimiser, ("adam", "sgd"))
        one_of("engine", self.engine, ("auto", "exact", "counts", "minibatch"))
        one_of("reduction", self.reduction, ("mean", "mean-unmasked"))
        one_of("start", self.start, ("warm", "scratch"))
        one_of("keep", self.keep, ("last", "best", "retention"))
        one_of("control", self.control, ("none", "random-mask", "matched-step"))
        checked: dict[str, Any] = {
            "momentum": number_in("momentum", self.momentum, 0, 1),
            "final_rate": number_in("final_rate", self.final_rate, 0, 1),
            "batch": positive_integer("batch", self.batch),
            "held_out": number_in("held_out", self.held_out, 0, 1),
            "label_smoothing": number_in("label_smoothing", self.label_smoothing, 0, 1),
        }
        if self.rate is not None:
            checked["rate"] = positive_number("rate", self.rate)
        for name in ("epochs", "patience"):
            if getattr(self, name) is not None:
                checked[name] = positive_integer(name, getattr(self, name))
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        for name in ("momentum", "held_out", "label_smoothing"):
            if getattr(self, name) == 1:
                raise DomainError(name, 1.0, "a number in [0, 1)")
        if self.optimiser == "adam" and self.momentum > 0:
            raise UnsupportedCombinationError("momentum goes with optimiser='sgd': Adam has its own")
        if self.held_out == 0 and (self.patience is not None or self.keep == "best"):
            option = "patience" if self.patience is not None else "keep='best'"
            raise UnsupportedCombinationError(
                f"{option} needs held_out above 0: it goes by the loss on held-out windows"
            )
        if self.engine == "exact":
            self._refuse_exact()
        if self.control != "none":
            self._check_control()

    def _check_control(self) -> None:
        control = f"control={self.control!r}"
        if self.engine in ("exact", "counts"):
            raise UnsupportedCombinationError(f"{control} needs engine='minibatch', got {self.engine!r}")
        if self.held_out > 0 or self.keep != "last":
            option = f"keep={self.keep!r}" if self.keep != "last" else f"held_out={self.held_out:g}"
            raise UnsupportedCombinationError(
                f"{control} does not go with {option}: it takes the steps of its twin, all of them"
            )
        if self.label_smoothing > 0:
            raise UnsupportedCombinationError(
                f"{control} does not go with label_smoothing={self.label_smoothing:g}: its twin is trained with TCE"
            )
        if self.control == "random-mask" and self.batch == 1:
            raise UnsupportedCombinationError(
                f"{control} does not go with batch=1: of one target it would leave out what its twin masks"
            )

    @property
    def step_size(self) -> float:
        """Size of the first step."""
        if self.rate is not None:
            return self.rate
        return 0.005 if self.optimiser == "adam" else 0.5

    def engine_for(self, architecture: Architecture) -> str:
        """Return the engine that trains a network of this architecture: "exact", "counts" or "minibatch".

        Raises
        ------
        UnsupportedCombinationError
            If the engine asked for cannot train it.
        """
        if self.engine == "exact" and not architecture.is_tabular:
            raise UnsupportedCombinationError(
                "engine='exact' needs a tabular model (embedding=None): others have no exact fit"
            )
        if self.engine != "auto":
            return self.engine
        engine = "counts" if architecture.n_contexts <= _SHORT_CONTEXTS else "minibatch"
        if architecture.is_tabular:
            self._refuse_exact()
            engine = "exact"
        if self.control != "none" and engine != "minibatch":
            raise UnsupportedCombinationError(
                f"control={self.control!r} needs engine='minibatch': of this network engine='auto' makes {engine!r}"
            )
        return engine

    def _refuse_exact(self) -> None:
        if self.keep == "retention":
            raise UnsupportedCombinationError(
                "engine='exact' does not go with keep='retention': an exact fit takes no epochs to choose from"
            )
        if self.held_out > 0:
            raise UnsupportedCombinationError(
                "engine='exact' does not go with held_out: an exact fit takes no steps that could end early "
                "(engine='counts' trains a tabular model by gradient)"
            )


@dataclass(frozen=True, eq=False)
class ContextCounts:
    """Data as counts: the different contexts, and how often each token followed each of them.

    Probabilities in place of counts (the law of the context times that of the token) are infinitely many data.

    Parameters
    ----------
    contexts : numpy.ndarray of int, shape (U, k)
    counts : numpy.ndarray, shape (U, V)
        Finite, nonnegative, not all 0.

    Raises
    ------
    DomainError
        If an argument lies outside its range.

    Examples
    --------
    >>> data = ContextCounts.from_windows(np.array([[0, 1], [0, 1], [1, 0]]), 2)
    >>> data.counts
    array([[0., 2.],
           [1., 0.]])
    """

    contexts: np.ndarray
    counts: np.ndarray

    def __post_init__(self) -> None:
        counts = np.ascontiguousarray(finite_array("counts", self.counts, ndim=2))
        if (counts < 0).any() or not counts.any():
            raise DomainError("counts", float(counts.min()), "nonnegative, and not all 0")
        object.__setattr__(self, "counts", counts)
        contexts = np.asarray(self.contexts)
        if contexts.ndim != 2 or contexts.shape[0] != counts.shape[0] or not np.issubdtype(contexts.dtype, np.integer):
            shown = f"an array of {contexts.dtype} of shape {contexts.shape}"
            raise DomainError(
                "contexts", shown, f"an integer array of shape ({counts.shape[0]}, k), as counts has rows"
            )
        contexts = np.ascontiguousarray(contexts, dtype=np.int64)
        _check_tokens("contexts", contexts, counts.shape[1])
        object.__setattr__(self, "contexts", contexts)

    @classmethod
    def from_windows(cls, windows: np.ndarray, vocabulary: int) -> ContextCounts:
        """Count windows, int64 (n, k + 1): the context and then the token that follows.

        Raises
        ------
        DomainError
            If a token is not below `vocabulary`, or the matrix of counts would have more than 2**27 numbers.
        """
        rows = _windows(windows, None, vocabulary)
        k = rows.shape[1] - 1
        if vocabulary**k <= 2**62:
            codes = rows[:, :k] @ (vocabulary ** np.arange(k - 1, -1, -1))
            _, first, of = np.unique(codes, return_index=True, return_inverse=True)
            contexts = rows[first, :k]
        else:
            contexts, of = np.unique(rows[:, :k], axis=0, return_inverse=True)
        size = len(contexts) * vocabulary
        if size > _MOST_COUNTS:
            admissible = "such that counts have at most 2**27 numbers (else train in minibatches)"
            raise DomainError("windows", f"{len(contexts):,} different contexts of {vocabulary:,} tokens", admissible)
        counts = np.bincount(of.ravel() * vocabulary + rows[:, k], minlength=size).reshape(-1, vocabulary)
        return cls(contexts, counts.astype(np.float64))


@dataclass(frozen=True)
class HeadAverages:
    """Sums over the steps of a full-batch training, of which `floor-on-average` speaks.

    With κ the share of the data that is unmasked (Σ w / n; 1 for the mean over unmasked ones), CE_S and H_S the
    weighted mean cross entropy and predictive entropy of the unmasked, g the gradient that the step follows in the head
    θ_h.

    Parameters
    ----------
    steps : int
        Steps made, T.
    rate : float
        Size of the first step.
    unmasked, gap, level, squared_gradient : float
        Σ κ; Σ κ (CE_S − H_S); Σ κ (H_S + log gamma), with gamma = 1 for losses that have none; Σ ‖g‖².
    squared_start, squared_end : float
        ‖θ_h‖² before the first step and after the last.
    """

    steps: int
    rate: float
    unmasked: float
    gap: float
    level: float
    squared_gradient: float
    squared_start: float
    squared_end: float


@dataclass(frozen=True, eq=False)
class Trained:
    """Result of `train`.

    Parameters
    ----------
    theta : numpy.ndarray
        The parameters; where training diverged those where it was noticed, which may not be finite.
    epochs, steps : int
        Times that the data were gone through, the one in which training diverged included, and steps made. An exact
        fit counts as one.
    diverged : bool
        A loss or a parameter was not finite, and training stopped; logits of −inf that a tabular model started with
        are no divergence.
    averages : HeadAverages or None
        Of a full-batch training that did not diverge.
    held_out_loss : float or None
        Held-out cross entropy of theta, in nats, if windows were held out and training did not diverge.
    masked_share : float
        Mean over the steps of the share of the targets' weight that was left out, with a control really and not by its
        twin; a last, smaller minibatch counts as the others do, and so do steps after the epoch that is kept. NaN
        without steps, as of an exact fit.
    """

    theta: np.ndarray
    epochs: int
    steps: int
    diverged: bool
    averages: HeadAverages | None = None
    held_out_loss: float | None = None
    masked_share: float = math.nan


@dataclass(frozen=True)
class HeadRecord:
    """What `head-identity` and `head-certificate` say about one network on data, at any parameters.

    Parameters
    ----------
    unmasked_share : float
        Mean weight w of the targets.
    unmasked_cross_entropy, unmasked_entropy : float
        Weighted means CE_S and H_S over the targets, in nats; NaN if all are masked.
    floor : float
        −log gamma, below which CE_S cannot be under TCE; 0 for losses without a threshold. With mask="previous", and
        for smooth weights, it bounds nothing: targets above gamma have weight, too.
    product : float
        ⟨θ_h, ∇L_S⟩, which equals CE_S − H_S.
    certificate : float
        ‖θ_h‖·‖∇L_S‖, which bounds it.
    """

    unmasked_share: float
    unmasked_cross_entropy: float
    unmasked_entropy: float
    floor: float
    product: float
    certificate: float


def kernel_loss(loss: Loss, family: str = "NeuralLanguageModel") -> tuple[int, float, float, Any]:
    """Return rule, gamma, parameter and compiled weight: what tells the kernels of networks the loss.

    Raises
    ------
    UnsupportedCombinationError, DomainError
        If the loss has no meaning on probabilities.

    Examples
    --------
    >>> kernel_loss(TruncatedCrossEntropy(0.9))
    (1, 0.9, 0.0, None)
    """
    from tce_theory.kernels import network as kernel
    from tce_theory.models.categorical import _compiled

    if isinstance(loss, TruncatedCrossEntropy):
        check_probabilities(family, loss, "token", "network")
        return kernel.PREVIOUS if loss.mask == "previous" else kernel.CAP, loss.gamma, 0.0, None
    if isinstance(loss, FocalLoss):
        return kernel.FOCAL_DETACHED if loss.detach else kernel.FOCAL, 1.0, loss.exponent, None
    if isinstance(loss, SmoothTruncatedCrossEntropy):
        return kernel.SMOOTH, loss.gamma, loss.width, None
    if isinstance(loss, WeightedCrossEntropy):
        return kernel.WEIGHTED, 1.0, 0.0, _compiled(loss.function)
    if isinstance(loss, CrossEntropy):
        return kernel.CE, 1.0, 0.0, None
    raise UnsupportedCombinationError(f"{family} has no gradient for {type(loss).__name__}")


def check_training(training: Training, loss: Loss) -> None:
    """Refuse a loss that settings of its training do not go with.

    Raises
    ------
    UnsupportedCombinationError

    Examples
    --------
    >>> check_training(Training(label_smoothing=0.1), CrossEntropy())
    """
    if training.label_smoothing > 0 and not isinstance(loss, CrossEntropy):
        raise UnsupportedCombinationError(
            f"label_smoothing={training.label_smoothing:g} needs CrossEntropy(), got {loss!r}"
        )
    is_cap = isinstance(loss, TruncatedCrossEntropy) and loss.mask == "current"
    if training.control != "none" and not is_cap:
        raise UnsupportedCombinationError(
            f"control={training.control!r} needs TruncatedCrossEntropy(gamma, mask='current'), the loss of its twin, "
            f"got {loss!r}"
        )


def trained_loss(training: Training, loss: Loss) -> Loss:
    """Return the loss that a network is trained with: under a control cross entropy.

    Examples
    --------
    >>> trained_loss(Training(control="random-mask"), TruncatedCrossEntropy(0.5))
    CrossEntropy()
    """
    return loss if training.control == "none" else CrossEntropy()


def train(
    architecture: Architecture,
    theta: np.ndarray,
    data: np.ndarray | ContextCounts,
    loss: Loss,
    training: Training,
    rng: np.random.Generator,
    previous: np.ndarray | None = None,
    stop: np.ndarray | None = None,
    score: Callable[[np.ndarray], float] | None = None,
) -> Trained:
    """Train a network.

    Parameters
    ----------
    architecture : Architecture
    theta : numpy.ndarray, shape (n_parameters,)
        Where it starts if training is warm; left as it is.
    data : numpy.ndarray of int, shape (n, k + 1), or ContextCounts
        Windows, or counts for the engines that take them.
    loss : Loss
    training : Training
    rng : numpy.random.Generator
        For new parameters, the windows held out, and the order of minibatches, in this sequence; the numbers taken do
        not depend on the loss, unless training stops early.
    previous : numpy.ndarray, optional
        The model before, for TCE with mask="previous"; by default theta.
    stop : uint8 array (1,), optional
        Set to 1 by another thread to end after the epoch that is being made.
    score : callable, optional
        For keep="retention": how good parameters are.

    Returns
    -------
    Trained
        Under a control it has diverged, too, where its twin has; the result is then that of the twin.

    Raises
    ------
    DomainError
        If an argument has the wrong shape or range.
    UnsupportedCombinationError
        If settings, architecture, data and loss do not go together.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> network = Architecture(vocabulary=2, context=1, embedding=2, hidden=(3,))
    >>> windows = np.array([[0, 1]] * 30 + [[1, 0]] * 15 + [[1, 1]] * 15)
    >>> trained = train(network, network.initial(rng), windows, CrossEntropy(), Training(epochs=500), rng)
    >>> network.table(trained.theta).round(2)
    array([[0. , 1. ],
           [0.5, 0.5]])
    """
    engine = training.engine_for(architecture)
    kernel_loss(loss)  # refuses what has no meaning
    check_training(training, loss)
    if training.keep == "retention" and score is None:
        raise UnsupportedCombinationError("keep='retention' needs a score: parameters alone know no facts")
    if isinstance(loss, TruncatedCrossEntropy) and loss.vacuous not in ("auto", "warm") and engine != "exact":
        raise UnsupportedCombinationError(
            f"vacuous={loss.vacuous!r} does not go with engine={engine!r}: "
            "training by gradient ends where it comes to, which is 'warm'"
        )
    start = _parameters("theta", theta, architecture)
    before = start if previous is None else _parameters("previous", previous, architecture)
    if training.start == "scratch":
        start = architecture.initial(rng)
    kept, held_out = _split(data, architecture, training, rng)

    loss_of = None if held_out is None else _cross_entropy_of(architecture, held_out)
    with one_blas_thread():
        if engine == "exact":
            fitted = _exact(architecture, start, before, kept, loss, training.label_smoothing)
            return Trained(fitted, 1, 1, False)
        if engine == "counts":
            full = _Counts(architecture, start.copy(), before, kept, loss, training)
            return run_epochs(full, training, loss_of, stop, score)
        job = _minibatches(architecture, start, before, kept, loss, training, rng, stop)
        if isinstance(job, Trained):
            return job
        return run_epochs(job, training, loss_of, stop, score)


def _minibatches(
    architecture: Architecture,
    start: np.ndarray,
    before: np.ndarray,
    data: np.ndarray | ContextCounts,
    loss: Loss,
    training: Training,
    rng: np.random.Generator,
    stop: np.ndarray | None,
) -> _Minibatches | Trained:
    """Return a training in minibatches, after that of its twin if there is one; or the twin's, if it diverged."""
    if training.control == "none":
        return _Minibatches(architecture, start.copy(), before, data, loss, training, rng)
    twin = _Minibatches(architecture, start.copy(), before, data, loss, training, copy.deepcopy(rng), is_twin=True)
    ended = run_epochs(twin, training, None, stop)
    if ended.diverged:
        return ended
    plain = trained_loss(training, loss)
    return _Minibatches(architecture, start.copy(), before, data, plain, training, rng, twin=twin)


def head_record(
    architecture: Architecture,
    theta: np.ndarray,
    data: np.ndarray | ContextCounts,
    loss: Loss,
    previous: np.ndarray | None = None,
) -> HeadRecord:
    """Return both sides of `head-identity` and the bound of `head-certificate`, for theta on data.

    L_S is the weighted mean cross entropy of the targets, with the weights of the loss at theta held constant. The
    product comes from the parameters and the gradient in them, not from the entropies that it equals.

    Parameters
    ----------
    architecture : Architecture
    theta : numpy.ndarray, shape (n_parameters,)
    data : numpy.ndarray of int, shape (n, k + 1), or ContextCounts
    loss : Loss
    previous : numpy.ndarray, optional
        The model before, for TCE with mask="previous"; by default theta.

    Examples
    --------
    >>> network = Architecture(vocabulary=2, context=1, embedding=2, hidden=(3,))
    >>> theta = network.initial(np.random.default_rng(1))
    >>> record = head_record(network, theta, np.array([[0, 1], [1, 0], [1, 1]]), TruncatedCrossEntropy(0.6))
    >>> bool(np.isclose(record.unmasked_cross_entropy - record.unmasked_entropy, record.product, rtol=1e-12))
    True
    >>> abs(record.product) <= record.certificate
    True
    """
    rule, gamma, parameter, weight = kernel_loss(loss)
    theta = _parameters("theta", theta, architecture)
    before = theta if previous is None else _parameters("previous", previous, architecture)
    gradient, sums = np.zeros(theta.size), np.zeros(0)
    with one_blas_thread():
        for piece in _pieces(data, architecture):
            part, part_sums = _gradient(architecture, theta, before, piece, loss, (rule, gamma, parameter, weight))
            gradient += part
            sums = part_sums if sums.size == 0 else sums + part_sums
    total, mass, cross_entropy, entropy, _ = sums.tolist()
    share = 1 / mass if mass > 0 else 0.0
    head, slope = architecture.head(theta), architecture.head(gradient) * share
    seen = np.isfinite(head)  # the logit of a token that a tabular model has lost is −inf, and nothing pulls at it
    return HeadRecord(
        unmasked_share=mass / total,
        unmasked_cross_entropy=cross_entropy / mass if mass > 0 else math.nan,
        unmasked_entropy=entropy / mass if mass > 0 else math.nan,
        floor=0.0 - math.log(gamma),
        product=float(head[seen] @ slope[seen]),
        certificate=float(np.linalg.norm(head[seen]) * np.linalg.norm(slope)),
    )


def _gradient(
    architecture: Architecture,
    theta: np.ndarray,
    previous: np.ndarray,
    data: ContextCounts,
    loss: Loss,
    coded: tuple[int, float, float, Any],
) -> tuple[np.ndarray, np.ndarray]:
    """Return the gradient of the summed loss, and the sums of `kernels.network`."""
    from tce_theory.kernels import network as kernel

    rule, gamma, parameter, weight = coded
    function = kernel.counts_gradient if weight is None else kernel.counts_gradient_weighted
    gradient, sums = np.empty(theta.size), np.empty(kernel.N_SUMS)
    tokens = architecture._tokens(data.contexts)
    function(
        theta, architecture.embedding or 0, architecture.sizes, _by_table(architecture, len(tokens)), tokens,
        _weighted_counts(architecture, previous, data, loss), rule, gamma, parameter, weight, gradient, sums,
    )  # fmt: skip
    sums[kernel.TOTAL] = data.counts.sum()
    return gradient, sums


def _by_table(architecture: Architecture, rows: int) -> bool:
    """Whether the first layer is summed from a table: with more rows than tokens that takes fewer products."""
    return architecture.is_tabular or rows > architecture.vocabulary


def _weighted_counts(architecture: Architecture, previous: np.ndarray, data: ContextCounts, loss: Loss) -> np.ndarray:
    """Return the counts, times what the previous model's mask leaves of them."""
    if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous":
        return data.counts * loss.weight(architecture.probs(previous, data.contexts))
    return data.counts


def _pieces(data: np.ndarray | ContextCounts, architecture: Architecture) -> list[ContextCounts]:
    if isinstance(data, ContextCounts):
        return [_checked_counts(data, architecture)]
    windows = _windows(data, architecture.context, architecture.vocabulary)
    if architecture.n_contexts <= _SHORT_CONTEXTS:
        return [ContextCounts.from_windows(windows, architecture.vocabulary)]
    return [
        ContextCounts.from_windows(windows[start : start + _PIECE], architecture.vocabulary)
        for start in range(0, len(windows), _PIECE)
    ]


class _Counts:
    """Full batch over the different contexts; an epoch is a step."""

    def __init__(
        self,
        architecture: Architecture,
        theta: np.ndarray,
        previous: np.ndarray,
        data: np.ndarray | ContextCounts,
        loss: Loss,
        training: Training,
    ) -> None:
        from tce_theory.kernels import network as kernel

        self.architecture, self.theta, self.training = architecture, theta, training
        counted = data if isinstance(data, ContextCounts) else ContextCounts.from_windows(data, architecture.vocabulary)
        self.tokens = architecture._tokens(counted.contexts)
        self.counts = _smoothed(_weighted_counts(architecture, previous, counted, loss), training.label_smoothing)
        self.total = float(counted.counts.sum())
        self.coded = kernel_loss(loss)
        self.epochs = self.steps = training.epochs or 300
        self.begun = self.made = 0
        self.first, self.second = np.zeros(theta.size), np.zeros(theta.size)
        self.sums = np.zeros(kernel.N_AVERAGES)
        self.squared_start = _squared(architecture.head(theta))

    def run(self, epochs: int) -> bool:
        """Train for some epochs; return whether all numbers were finite."""
        from tce_theory.kernels import network as kernel

        rule, gamma, parameter, weight = self.coded
        training, architecture = self.training, self.architecture
        function = kernel.train_counts if weight is None else kernel.train_counts_weighted
        made = function(
            self.theta, architecture.embedding or 0, architecture.sizes, _by_table(architecture, len(self.tokens)),
            self.tokens, self.counts, self.total, rule, gamma, parameter, weight,
            training.reduction == "mean-unmasked", *_optimiser(training), self.made, epochs, self.steps,
            self.first, self.second, self.sums,
        )  # fmt: skip
        self.made += made
        self.begun += min(made + 1, epochs)
        return bool(made == epochs)

    @property
    def averages(self) -> HeadAverages:
        squared = _squared(self.architecture.head(self.theta))
        unmasked, gap, level, gradient, _ = self.sums.tolist()
        return HeadAverages(
            self.made, self.training.step_size, unmasked, gap, level, gradient, self.squared_start, squared
        )

    @property
    def masked_share(self) -> float:
        from tce_theory.kernels import network as kernel

        return float(self.sums[kernel.LEFT_OUT]) / self.made if self.made else math.nan


class _Minibatches:
    """Minibatches over all windows, in a new order each epoch."""

    averages = None

    def __init__(
        self,
        architecture: Architecture,
        theta: np.ndarray,
        previous: np.ndarray,
        data: np.ndarray | ContextCounts,
        loss: Loss,
        training: Training,
        rng: np.random.Generator,
        *,
        is_twin: bool = False,
        twin: _Minibatches | None = None,
    ) -> None:
        from tce_theory.kernels import network as kernel

        if isinstance(data, ContextCounts):
            raise UnsupportedCombinationError(
                "engine='minibatch' takes windows, not ContextCounts: use engine='counts'"
            )
        self.architecture, self.theta, self.training, self.rng = architecture, theta, training, rng
        self.tokens = architecture._tokens(data[:, :-1])
        self.targets = np.ascontiguousarray(data[:, -1])
        self.coded = _coded(loss, training.label_smoothing)
        self.fixed = np.zeros(0)
        if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous":
            self.fixed = np.asarray(loss.weight(architecture.target_probs(previous, data)))
        self.epochs = training.epochs or 5
        self.per_epoch = -(-len(data) // training.batch)
        self.steps, self.begun, self.made = self.epochs * self.per_epoch, 0, 0
        self.first, self.second = np.zeros(theta.size), np.zeros(theta.size)
        self.control = kernel.TWIN if is_twin else kernel.ALONE
        self.left_out, self.lengths = np.zeros(self.steps), np.zeros(self.steps if is_twin else 0)
        if twin is not None:
            self._follow(twin)

    def _follow(self, twin: _Minibatches) -> None:
        from tce_theory.kernels import network as kernel

        if self.training.control == "matched-step":
            self.control, self.lengths = kernel.MATCHED_STEP, twin.lengths
        else:
            self.control, self.left_out = kernel.RANDOM_MASK, twin.left_out
            self.coded = kernel.PREVIOUS, 1.0, 0.0, None  # weights that are given

    def run(self, epochs: int) -> bool:
        """Train for some epochs; return whether all losses were finite."""
        from tce_theory.kernels import network as kernel

        rule, gamma, parameter, weight = self.coded
        training, architecture = self.training, self.architecture
        function = kernel.train_epoch if weight is None else kernel.train_epoch_weighted
        batch = min(training.batch, len(self.tokens))
        for _ in range(epochs):
            loss, made = function(
                self.theta, architecture.embedding or 0, architecture.sizes, _by_table(architecture, batch),
                self.tokens, self.targets, self.fixed, self.rng.permutation(len(self.tokens)), batch, rule, gamma,
                parameter, weight, training.reduction == "mean-unmasked", *_optimiser(training), self.made, self.steps,
                self.first, self.second, self.control, self.left_out, self.lengths,
            )  # fmt: skip
            self.begun += 1
            self.made += made
            if not math.isfinite(loss):
                return False
        return True

    @property
    def masked_share(self) -> float:
        if not self.made:
            return math.nan
        sizes = np.full(self.per_epoch, self.training.batch)
        sizes[-1] = len(self.tokens) - sizes[:-1].sum()
        return float((self.left_out / np.tile(sizes, self.epochs))[: self.made].mean())


class Job(Protocol):
    """A training that is run some epochs at a time; `theta` is updated in place."""

    theta: np.ndarray
    epochs: int
    """To be made in all."""
    begun: int
    """Epochs so far, one that diverged included."""
    made: int
    """Steps so far."""

    @property
    def averages(self) -> HeadAverages | None: ...

    @property
    def masked_share(self) -> float:
        """Mean over the steps so far of the share of the targets' weight that was left out; NaN if not recorded."""

    def run(self, epochs: int) -> bool:
        """Train for some epochs; return whether all numbers were finite."""


def run_epochs(
    job: Job,
    training: Training,
    loss_of: Callable[[np.ndarray], float] | None,
    stop: np.ndarray | None = None,
    score: Callable[[np.ndarray], float] | None = None,
) -> Trained:
    """Run the epochs, as early stopping and divergence allow.

    Parameters
    ----------
    job : Job
    training : Training
    loss_of : callable or None
        Loss of parameters on the data held out, if there are any.
    stop : uint8 array (1,), optional
        Set to 1 by another thread to end after the epoch that is being made.
    score : callable, optional
        For keep="retention": how good parameters are.

    Returns
    -------
    Trained
    """
    lost = np.isneginf(job.theta)
    lowest, since_lowest, current = math.inf, 0, None
    best, kept = -math.inf, None
    is_one_by_one = loss_of is not None or stop is not None or training.keep == "retention"
    while job.begun < job.epochs and not (stop is not None and stop[0]):
        if not (job.run(1 if is_one_by_one else job.epochs) and _is_finite(job.theta, lost)):
            return Trained(job.theta, job.begun, job.made, True, masked_share=job.masked_share)
        if loss_of is not None:
            current = loss_of(job.theta)
            since_lowest += 1
            if current < lowest:
                lowest, since_lowest = current, 0
        merit = _merit(training, job.theta, current, score)
        if merit > best:
            best, kept = merit, (job.theta.copy(), current)
        if training.patience is not None and since_lowest >= training.patience:
            break
    theta, held_out_loss = (job.theta, current) if kept is None else kept
    return Trained(theta, job.begun, job.made, False, job.averages, held_out_loss, job.masked_share)


def _is_finite(theta: np.ndarray, lost: np.ndarray) -> bool:
    """Whether parameters are finite, but for what a tabular model had lost before."""
    return bool((np.isfinite(theta) | lost & np.isneginf(theta)).all())


def _merit(
    training: Training, theta: np.ndarray, loss: float | None, score: Callable[[np.ndarray], float] | None
) -> float:
    """Return by what parameters are kept, which is to be large; −inf if the last ones are."""
    if training.keep == "best" and loss is not None:
        return -loss
    if training.keep == "retention" and score is not None:
        return score(theta)
    return -math.inf


def _cross_entropy_of(architecture: Architecture, windows: np.ndarray) -> Callable[[np.ndarray], float]:
    return lambda theta: -float(architecture.target_log_probs(theta, windows).mean())


def _coded(loss: Loss, label_smoothing: float) -> tuple[int, float, float, Any]:
    """Return the loss as `kernel_loss` does, of targets that are smoothed."""
    from tce_theory.kernels import network as kernel

    return kernel_loss(loss) if label_smoothing == 0 else (kernel.SMOOTHED_LABELS, 1.0, label_smoothing, None)


def _smoothed(counts: np.ndarray, label_smoothing: float) -> np.ndarray:
    """Return counts (U, V) of which a share is spread evenly over all tokens, row by row."""
    if label_smoothing == 0:
        return counts
    return np.asarray((1 - label_smoothing) * counts + label_smoothing * counts.mean(axis=1, keepdims=True))


def _optimiser(training: Training) -> tuple[int, float, float, float]:
    from tce_theory.kernels import network as kernel

    code = kernel.ADAM if training.optimiser == "adam" else kernel.SGD
    return code, training.step_size, training.momentum, training.final_rate


def _exact(
    architecture: Architecture,
    theta: np.ndarray,
    previous: np.ndarray,
    data: np.ndarray | ContextCounts,
    loss: Loss,
    label_smoothing: float,
) -> np.ndarray:
    """Fit every row of a tabular model that was seen, starting from theta, as `Categorical` is fitted."""
    from tce_theory.kernels import categorical as kernel
    from tce_theory.models.categorical import _check_weight, _kernel_loss

    if isinstance(loss, WeightedCrossEntropy):
        _check_weight(loss)
    v = architecture.vocabulary
    counted = data if isinstance(data, ContextCounts) else ContextCounts.from_windows(data, v)
    counts = np.zeros((architecture.n_contexts, v))
    np.add.at(counts, architecture._tokens(counted.contexts)[:, 0], counted.counts)
    counts = _smoothed(counts, label_smoothing)
    start = previous if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous" else theta
    probs = np.ascontiguousarray(architecture.table(start).reshape(1, -1))
    rule, gamma, parameter, vacuous_rule, weight = _kernel_loss(loss)
    fit_rows = kernel.fit_rows if weight is None else kernel.fit_rows_weighted
    fit_rows(
        _whole(counts).reshape(1, -1), probs, np.arange(0, probs.size + 1, v), rule, gamma, parameter, vacuous_rule,
        weight, np.zeros(1), np.zeros(1, np.int64),
    )  # fmt: skip
    fitted = probs.reshape(-1, v)
    logits = np.full(fitted.shape, -np.inf)
    np.log(fitted, out=logits, where=fitted > 0)
    unseen = ~counts.any(axis=1)
    logits[unseen] = theta.reshape(-1, v)[unseen]
    return logits.ravel()


def _whole(counts: np.ndarray) -> np.ndarray:
    """Return counts as integers, for the exact fits; what is not whole is scaled, row by row, to a total of 2**60."""
    if (counts == np.floor(counts)).all() and counts.sum() < 2**53:
        return counts.astype(np.int64)
    totals = counts.sum(axis=1, keepdims=True)
    return np.rint(counts / np.where(totals > 0, totals, 1.0) * 2.0**60).astype(np.int64)


def _squared(vector: np.ndarray) -> float:
    finite = vector[np.isfinite(vector)]
    return float(finite @ finite)


def _split(
    data: np.ndarray | ContextCounts, architecture: Architecture, training: Training, rng: np.random.Generator
) -> tuple[np.ndarray | ContextCounts, np.ndarray | None]:
    """Return what is trained on, and the windows held out."""
    if isinstance(data, ContextCounts):
        if training.held_out > 0:
            raise UnsupportedCombinationError("held_out needs windows to hold out, not ContextCounts")
        return _checked_counts(data, architecture), None
    windows = _windows(data, architecture.context, architecture.vocabulary)
    if training.held_out == 0:
        return windows, None
    return hold_out(windows, training.held_out, rng, "windows")


def hold_out(rows: np.ndarray, share: float, rng: np.random.Generator, name: str) -> tuple[np.ndarray, np.ndarray]:
    """Return what is trained on, and a share of the rows, drawn at random, that is held out; at least one row each.

    Raises
    ------
    DomainError
        If nothing would be left to train on.
    """
    size = max(1, round(share * len(rows)))
    if size >= len(rows):
        raise DomainError("held_out", share, f"a share that leaves some of {len(rows)} {name} to train on")
    order = rng.permutation(len(rows))
    return rows[order[size:]], rows[order[:size]]


def _parameters(argument: str, theta: np.ndarray, architecture: Architecture) -> np.ndarray:
    """Return theta as a contiguous vector; a tabular model may have logits of −inf."""
    vector = np.ascontiguousarray(theta, dtype=np.float64)
    if vector.shape != (architecture.n_parameters,):
        raise DomainError(argument, _Shape(vector), f"a vector of {architecture.n_parameters:,} parameters")
    bad = np.isnan(vector) | np.isposinf(vector) | (np.isneginf(vector) & (not architecture.is_tabular))
    if bad.any():
        raise DomainError(argument, float(vector[bad][0]), "finite")
    return vector


def _windows(data: np.ndarray, context: int | None, vocabulary: int) -> np.ndarray:
    rows = np.asarray(data)
    if rows.ndim != 2 or rows.size == 0 or not np.issubdtype(rows.dtype, np.integer) or (
        context is not None and rows.shape[1] != context + 1
    ):  # fmt: skip
        columns = "k + 1" if context is None else f"{context + 1}"
        admissible = f"a nonempty integer array of windows, shape (n, {columns})"
        raise DomainError("data", f"an array of {rows.dtype} of shape {rows.shape}", admissible)
    rows = np.ascontiguousarray(rows, dtype=np.int64)
    _check_tokens("data", rows, vocabulary)
    return rows


def _checked_counts(data: ContextCounts, architecture: Architecture) -> ContextCounts:
    shape = data.contexts.shape[1], data.counts.shape[1]
    if shape != (architecture.context, architecture.vocabulary):
        raise DomainError(
            "data", f"counts of {shape[1]} tokens after {shape[0]}",
            f"counts of {architecture.vocabulary} tokens after contexts of {architecture.context}, as the network has",
        )  # fmt: skip
    return data


def _check_tokens(argument: str, tokens: np.ndarray, vocabulary: int) -> None:
    bad = (tokens < 0) | (tokens >= vocabulary)
    if bad.any():
        raise DomainError(argument, int(tokens[bad][0]), f"tokens from 0 to {vocabulary - 1}")
