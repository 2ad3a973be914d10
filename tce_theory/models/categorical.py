"""The categorical family: a word-frequency (unigram) model, or any law on K classes."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tce_theory import metrics as measures
from tce_theory.decoding import Decoding, Temperature, TopK, TopP
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.fitting import Counts, Fit
from tce_theory.losses import (
    CrossEntropy,
    FocalLoss,
    Loss,
    SmoothTruncatedCrossEntropy,
    TruncatedCrossEntropy,
    WeightedCrossEntropy,
)
from tce_theory.models._agreement import check_classes, check_probabilities
from tce_theory.models.base import Block, Control, Model, Recursion, block_size_for
from tce_theory.models.text import count_tokens, read_text
from tce_theory.regimes import SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import finite_number, generator, one_of, positive_integer, probability_vector

__all__ = ["Categorical"]

_RECORDED_CLASSES = 10_000  # longer vectors are recorded by a digest


@dataclass(frozen=True, eq=False, init=False, repr=False)
class Categorical(Model):
    """Law on K classes.

    Parameters
    ----------
    probs : array_like, shape (K,)
        Probabilities, which sum to 1 (to 1e-9; the rest is divided out).
    labels : sequence of str, optional
        Names of the classes.

    Raises
    ------
    DomainError
        If `probs` is not a probability vector, or `labels` has another length.

    See Also
    --------
    tce_theory.theory.categorical : closed forms for the recursion.

    Examples
    --------
    >>> model = Categorical([0.5, 0.3, 0.2])
    >>> round(model.entropy(), 6)
    1.029653
    >>> Categorical.zipf(3, 1.0).probs.round(4)
    array([0.5455, 0.2727, 0.1818])
    """

    probs: np.ndarray
    labels: tuple[str, ...] | None = field(compare=False)  # names, on which no result depends

    metric_names = (
        "entropy",
        "heterozygosity",
        "support",
        "support_fraction",
        "max_prob",
        "tv",
        "kl_to_origin",
        "kl_from_origin",
        "masked_weight",
    )
    default_metrics = ("entropy", "heterozygosity", "support")

    def __init__(self, probs: ArrayLike, *, labels: Sequence[str] | None = None) -> None:
        vector = probability_vector("probs", probs)
        vector.flags.writeable = False
        object.__setattr__(self, "probs", vector)
        if isinstance(labels, str):
            raise DomainError("labels", labels, "a sequence of names")
        names = None if labels is None else tuple(labels)
        if names is not None and len(names) != vector.size:
            raise DomainError("labels", f"{len(names)} names", f"a sequence of {vector.size} names, as probs")
        object.__setattr__(self, "labels", names)

    def _exactly(self, probs: np.ndarray) -> Categorical:
        """Return a model of this family with these probabilities, bit by bit: one that is capped stays on the cap."""
        model = object.__new__(Categorical)
        probs.flags.writeable = False
        object.__setattr__(model, "probs", probs)
        object.__setattr__(model, "labels", self.labels)
        return model

    def __repr__(self) -> str:
        shown = np.array2string(self.probs, threshold=6, edgeitems=3, precision=4, separator=", ", max_line_width=1000)
        return f"Categorical({shown})" if self.size <= 6 else f"Categorical({shown}, size={self.size})"

    @property
    def size(self) -> int:
        """Number of classes K."""
        return int(self.probs.size)

    @classmethod
    def zipf(cls, size: int, exponent: float = 1.0) -> Categorical:
        """Zipf's law: p_i proportional to i^(−exponent) for i = 1, …, size.

        Raises
        ------
        DomainError
            If `size` is not a positive integer or `exponent` is not finite.

        Examples
        --------
        >>> Categorical.zipf(10, 1.0).probs[0].round(6)
        np.float64(0.341417)
        """
        log_weights = -finite_number("exponent", exponent) * np.log(np.arange(1, positive_integer("size", size) + 1))
        weights = np.exp(log_weights - log_weights.max())
        return cls(weights / weights.sum())

    @classmethod
    def from_counts(cls, counts: Any, *, labels: Sequence[str] | None = None) -> Categorical:
        """Relative frequencies of counts (an array, `Counts`, or a mapping from labels to counts).

        Examples
        --------
        >>> Categorical.from_counts({"be": 3, "not": 1}).labels
        ('be', 'not')
        """
        if isinstance(counts, Mapping):
            labels, counts = tuple(str(label) for label in counts), list(counts.values())
        values = counts.values if isinstance(counts, Counts) else Counts(counts).values
        return cls(values / values.sum(), labels=labels)

    @classmethod
    def from_text(cls, path_or_text: str | os.PathLike[str], *, unit: str = "word") -> Categorical:
        """Relative frequencies of the words or characters of a text, most frequent first.

        Parameters
        ----------
        path_or_text : str or os.PathLike
            A file in UTF-8, or the text itself.
        unit : {"word", "char"}
            Words are runs of letters and digits in lower case, with inner apostrophes.

        Raises
        ------
        DomainError
            If the text has no token, or `path_or_text` looks like a path but there is no such file.

        Examples
        --------
        >>> model = Categorical.from_text("to be or not to be")
        >>> model.labels
        ('be', 'to', 'not', 'or')
        >>> model.probs.round(4)
        array([0.3333, 0.3333, 0.1667, 0.1667])
        """
        counts = count_tokens(read_text(path_or_text), one_of("unit", unit, ("word", "char")))
        if not counts:
            raise DomainError("text", path_or_text, f"a text with at least one {unit}")
        return cls.from_counts(counts)

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n labels, int64 (n,)."""
        return generator(seed).choice(self.size, positive_integer("n", n), p=self.probs)

    def log_density(self, labels: Any) -> np.ndarray:
        """Logarithm of the probability of each label; −inf for a class that is lost."""
        with np.errstate(divide="ignore"):
            return np.asarray(np.log(self.probs)[self._labels(labels)])

    def entropy(self) -> float:
        """Shannon entropy in nats."""
        return measures.entropy(self.probs)

    def heterozygosity(self) -> float:
        """Probability 1 − Σp² that two draws differ."""
        return measures.heterozygosity(self.probs)

    def peak(self) -> float:
        return float(self.probs.max())

    def kl_divergence(self, other: Categorical) -> float:
        """Kullback–Leibler divergence KL(self‖other) in nats; inf where `other` lacks a class."""
        return measures.kl_divergence(self.probs, self._other(other))

    def total_variation(self, other: Categorical) -> float:
        """Total-variation distance."""
        return measures.total_variation(self.probs, self._other(other))

    def measure(self, metric: str, origin: Categorical) -> float:
        match metric:
            case "entropy":
                return self.entropy()
            case "heterozygosity":
                return self.heterozygosity()
            case "support":
                return float(np.count_nonzero(self.probs))
            case "support_fraction":
                return np.count_nonzero(self.probs) / np.count_nonzero(origin.probs)
            case "max_prob":
                return float(self.probs.max())
            case "tv":
                return self.total_variation(origin)
            case "kl_to_origin":
                return self.kl_divergence(origin)
            case "kl_from_origin":
                return origin.kl_divergence(self)
        raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names)))

    def decoded(self, decoding: Decoding | None) -> Categorical:
        from tce_theory.kernels import categorical as kernel

        probs = np.empty(self.size)
        kernel.decode(self.probs, self.size, *_kernel_decoding(decoding), probs)
        return self._exactly(probs)

    def _other(self, other: Categorical) -> np.ndarray:
        if not isinstance(other, Categorical):
            raise DomainError("other", other, "a Categorical model")
        if other.size != self.size:
            raise DomainError("other", f"a model of {other.size} classes", f"a model of {self.size} classes")
        return other.probs

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256(self.probs.tobytes()).hexdigest()
        described: dict[str, Any] = {"name": "Categorical", "size": self.size, "probs_sha256": digest}
        if self.size <= _RECORDED_CLASSES:
            described["probs"] = self.probs.tolist()
        return described

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        check_classes("Categorical", decoding)
        if isinstance(loss, TruncatedCrossEntropy):
            check_probabilities("Categorical", loss)
        elif isinstance(loss, WeightedCrossEntropy):
            _check_weight(loss)
        elif not isinstance(loss, (CrossEntropy, FocalLoss, SmoothTruncatedCrossEntropy)):
            raise UnsupportedCombinationError(f"Categorical has no exact fit for {type(loss).__name__}")

    def _labels(self, data: Any) -> np.ndarray:
        labels = np.asarray(data)
        if labels.ndim != 1 or labels.size == 0 or not np.issubdtype(labels.dtype, np.integer):
            raise DomainError(
                "data", f"an array of {labels.dtype} of shape {labels.shape}", "a vector of integer labels"
            )
        bad = (labels < 0) | (labels >= self.size)
        if bad.any():
            raise DomainError(
                "data", int(labels[bad][0]), f"labels from 0 to {self.size - 1} (counts go in as tce.Counts)"
            )
        return labels

    def _counts(self, data: Any) -> np.ndarray:
        if not isinstance(data, Counts):
            return np.bincount(self._labels(data), minlength=self.size).astype(np.int64)
        if data.values.size != self.size:
            raise DomainError("data", f"counts of {data.values.size} classes", f"counts of {self.size} classes")
        return data.values

    def fit(self, data: Any, loss: Loss) -> Fit[Categorical]:
        from tce_theory.kernels import categorical as kernel

        counts = self._counts(data)
        self.check(loss, Replace())
        n = int(counts.sum())
        index, probs, working = np.arange(self.size), np.empty(self.size), counts.copy()
        # classes are a list with their previous probabilities; the kernel cuts it to those that the fit keeps
        kernel_loss = _kernel_loss(loss)
        fit_counts = kernel.fit_counts if kernel_loss[-1] is None else kernel.fit_counts_weighted
        kept, masked, vacuous = fit_counts(
            working, self.probs.copy(), self.size, n, self.size, *kernel_loss, index, probs
        )
        fitted = np.zeros(self.size)
        fitted[index[:kept]] = probs[:kept]
        model = self._exactly(fitted)
        weights, boundary = self._weights(loss, counts / n, fitted, masked / n, vacuous)
        alive = counts > 0
        shares = counts[alive] / n
        if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous":
            kept_shares = shares * weights[alive]
            objective = float(-(kept_shares[kept_shares > 0] * np.log(fitted[alive][kept_shares > 0])).sum())
            if vacuous:
                objective = 0.0
        else:
            objective = float((shares * np.asarray(loss.objective(fitted[alive]))).sum())
        return Fit(
            model=model,
            objective=objective,
            weights=weights,
            masked_weight=float(masked),
            boundary_index=np.flatnonzero(boundary),
            vacuous=bool(vacuous),
            n_iter=0,
        )

    def _weights(
        self, loss: Loss, shares: np.ndarray, fitted: np.ndarray, masked: float, vacuous: bool
    ) -> tuple[np.ndarray, np.ndarray]:
        """Weight of each class, and which of them sit where the weight jumps, with a share of the jump.

        Stationarity makes w f / q the same for every drawn class, and gives the weight on a jump.
        """
        none = np.zeros(self.size, bool)
        if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "previous":
            return np.asarray(loss.weight(self.probs)), none
        if vacuous:
            return np.zeros(self.size), none
        drawn = shares > 0
        stationary = (1 - masked) * fitted[drawn] / shares[drawn]
        weights = np.asarray(loss.weight(fitted), dtype=np.float64)
        on_jump = none.copy()
        if isinstance(loss, TruncatedCrossEntropy):
            on_jump[drawn] = fitted[drawn] >= loss.gamma * (1 - 1e-13)
            weights, stationary = np.ones(self.size), np.minimum(stationary, 1.0)  # above 1 by rounding alone
        elif isinstance(loss, WeightedCrossEntropy):
            on_jump[drawn] = np.abs(weights[drawn] - stationary) > 1e-6 * stationary
        weights[on_jump] = stationary[on_jump[drawn]]
        return weights, on_jump

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        return _CategoricalRecursion(self, loss, regime.supply(sizes), sampler, decoding)


def _check_weight(loss: WeightedCrossEntropy) -> None:
    """Refuse a weight that rises or vanishes on a grid of 4,000 probabilities: its fit would be no convex problem."""
    grid = np.concatenate([np.logspace(-12, -2, 41), np.linspace(0.01, 0.99, 4000), 1 - np.logspace(-2, -9, 29)])
    weights = np.asarray(loss.weight(grid))
    if (weights <= 0).any():
        at = float(grid[weights <= 0][0])
        raise DomainError(
            "weight", f"0 at p = {at:g}", "above 0 for every p < 1 where a model is fitted (for a hard mask use TCE)"
        )
    rising = np.flatnonzero(np.diff(weights) > 1e-12 * weights[:-1])
    if rising.size:
        at = float(grid[rising[0]])
        raise DomainError("weight", f"rising at p = {at:g}", "nonincreasing in p, or the fit is not a convex problem")


def _kernel_loss(loss: Loss) -> tuple[int, float, float | None, int, Any]:
    """Rule, gamma, parameter, convention for vacuous fits, weight: the arguments that tell the kernel the loss.

    The order is that of `kernels.categorical.fit_counts`; it takes the convention before the weight.
    """
    from tce_theory.kernels import categorical as kernel

    conventions = {
        "auto": kernel.WARM,
        "warm": kernel.WARM,
        "max-entropy": kernel.MAX_ENTROPY,
        "drawn-only": kernel.DRAWN_ONLY,
    }
    if isinstance(loss, TruncatedCrossEntropy):
        rule = kernel.PREVIOUS if loss.mask == "previous" else kernel.CAP
        return rule, loss.gamma, None, conventions[loss.vacuous], None
    if isinstance(loss, FocalLoss):
        rule = kernel.FOCAL_DETACHED if loss.detach else kernel.FOCAL
        return rule, 1.0, float(loss.exponent), kernel.WARM, None
    if isinstance(loss, SmoothTruncatedCrossEntropy):
        return kernel.SMOOTH, loss.gamma, float(loss.width), kernel.WARM, None
    if isinstance(loss, WeightedCrossEntropy):
        return kernel.WEIGHTED, 1.0, 1.0, kernel.WARM, _compiled(loss.function)
    return kernel.CE, 1.0, None, kernel.WARM, None


@lru_cache(maxsize=32)
def _compiled(function: Callable[[float], float]) -> Any:
    """Compile a user's weight with numba, once a session; a function that is compiled already is taken as it is."""
    from numba import config, njit
    from numba.core.errors import NumbaError

    if hasattr(function, "py_func") or getattr(config, "DISABLE_JIT", False):
        return function
    compiled: Any = njit(function)
    try:
        compiled(0.5)
    except NumbaError as error:
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise DomainError("weight", function, f"a function that numba can compile ({reason})") from None
    return compiled


class _CategoricalRecursion(Recursion):
    """Blocks of the categorical recursion, on the surviving support."""

    def __init__(self, model: Categorical, loss: Loss, supply: Supply, sampler: str, decoding: Decoding | None) -> None:
        self.model, self.supply = model, supply
        self.kernel_loss = _kernel_loss(loss)
        self.decoding = _kernel_decoding(decoding)
        self.by_points = sampler == "points"
        drawn = float(supply.drawn.mean())
        self.cost = drawn if self.by_points or supply.memory == SUBSAMPLE else min(drawn, model.size)
        self.block_size = block_size_for(self.cost)
        self.stream = "points" if self.by_points else "counts"

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        from tce_theory.kernels import categorical as kernel

        recorded = {name: "support" if name == "support_fraction" else name for name in metrics}
        rows = sorted(set(recorded.values()))
        wanted = np.full(kernel.N_METRICS, -1, np.int64)
        for row, name in enumerate(rows):
            wanted[getattr(kernel, name.upper())] = row
        generations = self.supply.drawn.size
        out = np.empty((len(rows), replicates, generations + 1))
        vacuous, fixation = np.zeros(replicates, np.int64), np.full(replicates, -1, np.int64)
        size = self.model.size
        state = np.empty(size, np.int64), np.empty(size), np.zeros(1, np.int64), np.zeros(size, np.int64)
        computed = {name: np.empty((replicates, generations + 1)) for name in functions}

        if functions:
            for r in range(replicates):
                one = slice(r, r + 1)
                for t in range(generations + 1):
                    # a contiguous copy of two columns, for a kernel keeps to the layout of arrays that it has met;
                    # generation 0 is one column, and needs no draw
                    piece = np.empty((len(rows), 1, min(t + 1, 2)))
                    self._kernel(rng, max(t - 1, 0), state, wanted, piece, vacuous[one], fixation[one], control)
                    if control.stop[0]:
                        return Block({}, {})
                    out[:, r, t] = piece[:, 0, -1]
                    current = self._current(state)
                    for name, function in functions.items():
                        computed[name][r, t] = function(current)
        else:
            self._kernel(rng, 0, state, wanted, out, vacuous, fixation, control)
        if control.stop[0]:
            return Block({}, {})
        values = {name: out[rows.index(row)] for name, row in recorded.items()}
        if "support_fraction" in values:
            values["support_fraction"] = values["support_fraction"] / np.count_nonzero(self.model.probs)
        return Block({**values, **computed}, {"vacuous": vacuous, "fixation": fixation})

    def _current(self, state: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]) -> Categorical:
        index, probs, sizes, _ = state
        vector = np.zeros(self.model.size)
        vector[index[: sizes[0]]] = probs[: sizes[0]]
        return self.model._exactly(vector)

    def _kernel(
        self,
        rng: np.random.Generator,
        first: int,
        state: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray],
        wanted: np.ndarray,
        out: np.ndarray,
        vacuous: np.ndarray,
        fixation: np.ndarray,
        control: Control,
    ) -> None:
        from tce_theory.kernels import categorical as kernel

        rule, gamma, parameter, vacuous_rule, weight = self.kernel_loss
        advance = kernel.advance if weight is None else kernel.advance_weighted
        supply = self.supply
        advance(
            rng, supply.synthetic, supply.fresh, supply.fresh_share, supply.memory, *self.decoding, rule, gamma,
            parameter, vacuous_rule, weight, self.model.probs, self.by_points, first, *state, wanted, out, vacuous,
            fixation, control.stop, control.progress, control.slot,
        )  # fmt: skip


def _kernel_decoding(decoding: Decoding | None) -> tuple[int, float]:
    from tce_theory.kernels import categorical as kernel

    match decoding:
        case Temperature(temperature):
            return kernel.TEMPERATURE, temperature
        case TopK(k):
            return kernel.TOP_K, float(k)
        case TopP(p):
            return kernel.TOP_P, p
    return kernel.AS_IT_IS, 0.0
