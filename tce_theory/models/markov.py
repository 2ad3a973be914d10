"""The Markov family: tokens that depend on the ones before them, as in the simplest language models."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tce_theory.decoding import Decoding
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
from tce_theory.models.categorical import Categorical, _check_weight, _kernel_decoding, _kernel_loss
from tce_theory.models.text import count_tokens, read_text, tokens
from tce_theory.regimes import FORGET, KEEP, SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import finite_array, generator, one_of, positive_integer, probability_vector

__all__ = ["MarkovChain"]

_LENGTH = 100
_DENSE = 500  # contexts of which the stationary law is found by a dense solve
_MOST_CODES = 2**62  # codes of n-grams are int64


@dataclass(frozen=True, eq=False)
class _Frame:
    """What all generations have in common; transitions are listed context by context.

    Parameters
    ----------
    ngrams : int64 array (E, order + 1)
        Symbols of the context and of the successor, of each transition.
    offsets : int64 array (C + 1,)
        Transitions of context c are those from offsets[c] to offsets[c + 1].
    next_row : int32 array (E,)
        Context after each transition.
    start : float64 array (C,)
        Law of the first context.
    size : int
        Number of symbols K.
    labels : tuple of str or None
    """

    ngrams: np.ndarray
    offsets: np.ndarray
    next_row: np.ndarray
    start: np.ndarray
    size: int
    labels: tuple[str, ...] | None = field(compare=False)

    @property
    def n_rows(self) -> int:
        return int(self.offsets.size - 1)

    @property
    def order(self) -> int:
        return int(self.ngrams.shape[1] - 1)

    @property
    def rows(self) -> np.ndarray:
        """Context of each transition."""
        return np.repeat(np.arange(self.n_rows), np.diff(self.offsets))

    @property
    def cumulative_start(self) -> np.ndarray:
        """Cumulative law of the first context, exactly 1 from the last possible one on."""
        cumulative = np.cumsum(self.start)
        cumulative[np.flatnonzero(self.start)[-1] :] = 1.0
        return cumulative


@dataclass(frozen=True, eq=False, init=False, repr=False)
class MarkovChain(Model):
    """Sequences of symbols, each of which depends on the `order` symbols before it.

    A sample of n tokens consists of sequences of `length` tokens (the last may be shorter), each begun anew with a
    context from the law `start`, as a language model continues prompts; the prompt itself is not counted. `start` and
    `length` are given and never fitted. Each row of the chain, the law of the symbol after a context, is fitted to what
    followed that context as `Categorical` is, with warm start; a row that was not seen stays as it is.

    Parameters
    ----------
    transition : array_like, shape (K**order, K)
        Row c has the law of the symbol that follows context c. Contexts are in lexicographic order: the one of symbols
        s_1, ..., s_m, the oldest first, is row s_1 K^(m-1) + ... + s_m.
    order : int
        Symbols m in a context.
    labels : sequence of str, optional
        Names of the symbols.
    start : array_like, shape (K**order,), optional
        Law of the first context of every sequence; the stationary law if not given.
    length : int
        Tokens in a sequence.

    Raises
    ------
    DomainError
        If `transition` is no stack of probability vectors of a fitting shape, or an option is not admissible; if the
        stationary law is not unique and `start` is not given.

    Notes
    -----
    Metrics. Let o_t(c) be the *occupation*: the expected share of a sequence's tokens that model t draws in context c,
    the average of (start P_t^k)(c) over k = 0, …, length − 1. It exists and is unique for every chain, reducible and
    periodic ones included; it is the stationary law if that is unique and the sequence is long or `start` is that law,
    and in long sequences of a reducible chain it tends to the Cesàro limit from `start`. It is computed by as many
    steps of the chain, which end early once a step moves less than 1e-13 in L1.

    "entropy_rate"
        Σ_c o_t(c) H(P_t(c, ·)): the entropy of a sequence given its prompt, per token, in nats.
    "kl_rate_from_origin", "kl_rate_to_origin"
        Σ_c o_0(c) KL(P_0(c, ·)‖P_t(c, ·)), and Σ_c o_t(c) KL(P_t(c, ·)‖P_0(c, ·)): exactly the divergences between the
        laws of sequences, per token. The first is inf once a transition of generation 0 is lost.
    "tv"
        Σ_c o_0(c) TV(P_t(c, ·), P_0(c, ·)).
    "support"
        Transitions of positive probability, over all rows.
    "distinct_ngrams"
        Different (order + 1)-grams in the data that the model was fitted to; generation 0 has none.
    "longest_cycle", "absorbing_share"
        A cycle of contexts that each have one successor is absorbing: the text repeats itself for ever. Length in
        tokens of the longest one that sequences reach (0 if none), and Σ o_t(c) over the contexts of all of them.
    "masked_weight"
        Sum of 1 − w over the tokens, as of a fit.

    In `simulate` the event "vacuous" counts the generations in which the fits of all rows that were seen are vacuous.
    `FreshMix` makes each *sequence* fresh with its probability, as a document is real or generated; `Staged` draws its
    fresh tokens as sequences of their own. `AccumulateSubsample` draws transitions without replacement from those kept,
    so that their order within sequences is lost, which no fit needs. Decoding acts on every row.

    See Also
    --------
    Categorical : each row on its own; slugs `capped-projection`, `warm-degenerate`, `support-floor`.

    Examples
    --------
    >>> chain = MarkovChain([[0.9, 0.1], [0.3, 0.7]])
    >>> chain.start.round(4)
    array([0.75, 0.25])
    >>> round(chain.entropy_rate(), 6)
    0.396528
    >>> text = MarkovChain.from_text("to be or not to be")
    >>> text.labels, text.n_contexts
    (('be', 'to', 'not', 'or'), 4)
    """

    probs: np.ndarray
    length: int
    frame: _Frame = field(repr=False)

    metric_names = (
        "entropy_rate",
        "kl_rate_from_origin",
        "kl_rate_to_origin",
        "tv",
        "support",
        "distinct_ngrams",
        "longest_cycle",
        "absorbing_share",
        "masked_weight",
    )
    default_metrics = ("entropy_rate", "tv", "support")

    def __init__(
        self,
        transition: ArrayLike,
        *,
        order: int = 1,
        labels: Sequence[str] | None = None,
        start: ArrayLike | None = None,
        length: int = _LENGTH,
    ) -> None:
        matrix = finite_array("transition", transition, ndim=2).copy()  # rows are normalised in place
        order, size = positive_integer("order", order), matrix.shape[1]
        if order > 62 or matrix.shape[0] != size**order:
            raise DomainError(
                "transition", f"shape {matrix.shape}", f"of shape (K**{order}, K): a row for each context"
            )
        for row in range(len(matrix)):
            matrix[row] = probability_vector(f"row {row} of transition", matrix[row])
        contexts = np.array(np.unravel_index(np.arange(len(matrix)), (size,) * order)).T
        ngrams = np.column_stack([np.repeat(contexts, size, axis=0), np.tile(np.arange(size), len(matrix))])
        next_row = (np.arange(matrix.size) % len(matrix)).astype(np.int32)
        offsets = np.arange(0, matrix.size + 1, size)
        law = _stationary(matrix.ravel(), offsets, next_row) if start is None else probability_vector("start", start)
        if law.size != len(matrix):
            raise DomainError("start", f"a vector of {law.size}", f"a vector of {len(matrix)}, the number of contexts")
        frame = _Frame(ngrams, offsets, next_row, law, size, _names(labels, size))
        self._set(matrix.ravel(), positive_integer("length", length), frame)

    def _set(self, probs: np.ndarray, length: int, frame: _Frame) -> None:
        probs.flags.writeable = False
        object.__setattr__(self, "probs", probs)
        object.__setattr__(self, "length", length)
        object.__setattr__(self, "frame", frame)

    def _exactly(self, probs: np.ndarray) -> MarkovChain:
        """Return a model of this family with these probabilities, bit by bit."""
        model = object.__new__(MarkovChain)
        model._set(probs, self.length, self.frame)
        return model

    @classmethod
    def from_text(
        cls, path_or_text: str | os.PathLike[str], *, unit: str = "word", order: int = 1, length: int = _LENGTH
    ) -> MarkovChain:
        """Relative frequencies of the n-grams, n = order + 1, of the words or characters of a text.

        The text is closed into a cycle, its beginning following its end, so that every context has a successor; this
        adds at most `order` n-grams that it does not have. The frequencies of contexts are then the stationary law,
        with which sequences start. Rows are the contexts of the text and have the successors that occur in it.

        Parameters
        ----------
        path_or_text : str or os.PathLike
            A file in UTF-8, or the text itself.
        unit : {"word", "char"}
            As of `Categorical.from_text`.
        order : int
            Tokens in a context.
        length : int
            Tokens in a sequence.

        Raises
        ------
        DomainError
            If the text has no more than `order` tokens, or so many kinds of them that n-grams cannot be numbered.

        Examples
        --------
        >>> chain = MarkovChain.from_text("to be or not to be")
        >>> chain.ngrams.shape, chain.probs.tolist()
        ((5, 2), [0.5, 0.5, 1.0, 1.0, 1.0])
        """
        text, order = read_text(path_or_text), positive_integer("order", order)
        kinds = count_tokens(text, one_of("unit", unit, ("word", "char")))
        found = tokens(text, unit)
        if len(found) <= order:
            raise DomainError("text", f"{len(found)} tokens", f"a text of more than {order} tokens ({unit}s)")
        size = len(kinds)
        if (order + 1) * math.log2(size) > math.log2(_MOST_CODES):
            raise DomainError("order", order, f"at most {int(62 / math.log2(size)) - 1} for {size} different tokens")
        numbers = {token: number for number, token in enumerate(kinds)}
        sequence = np.array([numbers[token] for token in found], np.int64)
        windows = np.column_stack([np.roll(sequence, -shift) for shift in range(order + 1)])
        weights = np.array([size**power for power in range(order - 1, -1, -1)])
        codes, seen = np.unique(windows[:, :-1] @ weights, return_counts=True)
        ngrams, counts = np.unique(windows, axis=0, return_counts=True)
        rows = np.searchsorted(codes, ngrams[:, :-1] @ weights)
        offsets = np.searchsorted(rows, np.arange(codes.size + 1))
        next_row = np.searchsorted(codes, ngrams[:, 1:] @ weights).astype(np.int32)
        frame = _Frame(ngrams, offsets, next_row, seen / seen.sum(), size, tuple(kinds))
        model = object.__new__(cls)
        model._set(counts / seen[rows], positive_integer("length", length), frame)
        return model

    # --- parameters

    @property
    def order(self) -> int:
        """Symbols in a context."""
        return self.frame.order

    @property
    def size(self) -> int:
        """Number of symbols K."""
        return self.frame.size

    @property
    def n_contexts(self) -> int:
        """Number of rows."""
        return self.frame.n_rows

    @property
    def ngrams(self) -> np.ndarray:
        """Context and successor of each transition, int64 (E, order + 1), in the order of `probs`."""
        return self.frame.ngrams

    @property
    def start(self) -> np.ndarray:
        """Law of the first context of a sequence."""
        return self.frame.start

    @property
    def labels(self) -> tuple[str, ...] | None:
        """Names of the symbols."""
        return self.frame.labels

    @property
    def transition(self) -> Any:
        """Matrix (contexts, symbols): an array, or `scipy.sparse.csr_array` if rows do not list all symbols."""
        if self.probs.size == self.n_contexts * self.size:
            return self.probs.reshape(self.n_contexts, self.size)
        from scipy.sparse import csr_array

        return csr_array((self.probs, self.ngrams[:, -1], self.frame.offsets), (self.n_contexts, self.size))

    def __repr__(self) -> str:
        if self.probs.size <= 9 and self.probs.size == self.n_contexts * self.size:
            return f"MarkovChain({self.transition.round(4).tolist()}, order={self.order})"
        return f"MarkovChain(order={self.order}, {self.n_contexts} contexts, {self.probs.size} transitions)"

    def describe(self) -> dict[str, Any]:
        frame = self.frame
        digest = hashlib.sha256()
        for array in (self.probs, frame.ngrams, frame.offsets, frame.start):
            digest.update(array.tobytes())
        return {
            "name": "MarkovChain",
            "order": self.order,
            "length": self.length,
            "size": self.size,
            "contexts": self.n_contexts,
            "transitions": int(self.probs.size),
            "sha256": digest.hexdigest(),
        }

    # --- sampling

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n tokens with their contexts, int64 (n, order + 1): sequences of `length`, one after the other.

        Examples
        --------
        >>> MarkovChain([[0, 1], [1, 0]], length=3).sample(4, seed=1).tolist()
        [[1, 0], [0, 1], [1, 0], [0, 1]]
        """
        from tce_theory.kernels import markov as kernel

        n, frame = positive_integer("n", n), self.frame
        path = np.empty(n, np.int32)
        edges, onward, cumulative, guide, bounds = _tables(self, with_truth=False)
        uniforms = generator(seed).random(_numbers(n, 0, 0.0, self.length))
        start = frame.cumulative_start
        kernel.walk(uniforms, n, 0, 0.0, self.length, start, onward, cumulative, guide, bounds, path)
        return np.asarray(frame.ngrams[edges[path]])

    def decoded(self, decoding: Decoding | None) -> MarkovChain:
        from tce_theory.kernels import categorical

        laws = np.empty((1, self.probs.size))
        categorical.decode_rows(self.probs[None].copy(), self.frame.offsets, *_kernel_decoding(decoding), laws)
        return self._exactly(laws[0])

    # --- measures

    def occupation(self) -> np.ndarray:
        """Return the expected share of a sequence's tokens that are drawn in each context, float64 (contexts,)."""
        from tce_theory.kernels import markov as kernel

        occupied = np.empty(self.n_contexts)
        kernel.occupation(
            self.probs, self.frame.offsets, self.frame.next_row, self.frame.start, self.length, occupied
        )  # fmt: skip
        return occupied

    def entropy_rate(self) -> float:
        """Entropy of a sequence given its first context, per token, in nats."""
        return self.measure("entropy_rate", self)

    def peak(self) -> float:
        """Return the largest probability of any transition."""
        return float(self.probs.max())

    def measure(self, metric: str, origin: MarkovChain) -> float:
        known = [name for name in self.metric_names if name not in _OF_DATA]
        if metric not in known:
            raise DomainError("metric", metric, "one of " + ", ".join(map(repr, known)))
        if origin.frame is not self.frame and not np.array_equal(origin.ngrams, self.ngrams):
            raise DomainError("origin", origin, "a chain with the same transitions in its list")
        from tce_theory.kernels import markov as kernel

        out = np.empty((1, 1))
        none = np.zeros((1, self.probs.size), np.int64)
        _record(kernel, origin, self.probs[None].copy(), origin.occupation(), none, np.zeros(1), [metric], out)
        return float(out[0, 0])

    # --- fits

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        check_classes("MarkovChain", decoding, "symbols")
        if isinstance(loss, TruncatedCrossEntropy):
            check_probabilities("MarkovChain", loss, "symbol of every row", "row")
        elif isinstance(loss, WeightedCrossEntropy):
            _check_weight(loss)
        elif not isinstance(loss, (CrossEntropy, FocalLoss, SmoothTruncatedCrossEntropy)):
            raise UnsupportedCombinationError(f"MarkovChain has no exact fit for {type(loss).__name__}")

    def _counts(self, data: Any) -> np.ndarray:
        """Count each transition: in counts, in n-grams (n, order + 1), or along one sequence of symbols."""
        if isinstance(data, Counts):
            if data.values.size != self.probs.size:
                raise DomainError(
                    "data", f"counts of {data.values.size} transitions", f"counts of {self.probs.size} transitions"
                )
            return data.values
        found, width = np.asarray(data), self.order + 1
        if found.ndim == 1 and found.size >= width:
            found = np.lib.stride_tricks.sliding_window_view(found, width)
        if found.ndim != 2 or found.shape[1:] != (width,) or not len(found) or found.dtype.kind not in "iu":
            admissible = f"integer symbols in one sequence of more than {self.order}, or n-grams of shape (n, {width})"
            raise DomainError("data", f"an array of {found.dtype} of shape {found.shape}", admissible)
        if found.min() < 0 or found.max() >= self.size:
            bad = int(found[(found < 0) | (found >= self.size)][0])
            raise DomainError("data", bad, f"symbols from 0 to {self.size - 1} (counts go in as tce.Counts)")
        weights = np.array([self.size**power for power in range(self.order, -1, -1)])
        codes, wanted = self.ngrams @ weights, found @ weights
        places = np.minimum(np.searchsorted(codes, wanted), codes.size - 1)
        missing = codes[places] != wanted
        if missing.any():
            raise DomainError("data", found[missing][0].tolist(), "n-grams that generation 0's rows list")
        return np.bincount(places, minlength=codes.size)

    def fit(self, data: Any, loss: Loss) -> Fit[MarkovChain]:
        """Fit each row that was seen as a categorical model.

        The data are n-grams (n, order + 1), one sequence of symbols (n,), or `Counts` of the transitions. Weights are
        those of transitions, 1 for those of rows that were not seen.
        """
        counts = self._counts(data)
        self.check(loss, Replace())
        offsets, n = self.frame.offsets, int(counts.sum())
        probs, weights = self.probs.copy(), np.ones(self.probs.size)
        boundary: list[np.ndarray] = []
        objective, masked, vacuous = 0.0, 0.0, True
        for first, last in itertools.pairwise(offsets):
            seen = counts[first:last]
            if not seen.any():
                continue
            before = _ROW._exactly(self.probs[first:last].copy())
            row = before.fit(Counts(seen), loss)
            probs[first:last], weights[first:last] = row.model.probs, row.weights
            boundary.append(first + row.boundary_index)
            objective += row.objective * int(seen.sum()) / n
            masked += row.masked_weight
            vacuous &= row.vacuous
        return Fit(
            model=self._exactly(probs),
            objective=objective,
            weights=weights,
            masked_weight=masked,
            boundary_index=np.concatenate(boundary),
            vacuous=vacuous,
            n_iter=0,
        )

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        return _MarkovRecursion(self, loss, regime.supply(sizes), decoding)


_OF_DATA = ("distinct_ngrams", "masked_weight")
_ROW = Categorical([1.0])  # makes the rows


def _names(labels: Sequence[str] | None, size: int) -> tuple[str, ...] | None:
    if labels is None:
        return None
    if isinstance(labels, str) or len(labels) != size:
        raise DomainError("labels", labels, f"a sequence of {size} names, one for each symbol")
    return tuple(labels)


def _stationary(probs: np.ndarray, offsets: np.ndarray, next_row: np.ndarray) -> np.ndarray:
    """Stationary law of the contexts, if there is only one."""
    from scipy.sparse import csr_array, eye_array
    from scipy.sparse.csgraph import connected_components
    from scipy.sparse.linalg import spsolve

    n = offsets.size - 1
    alive = probs > 0
    rows = np.repeat(np.arange(n), np.diff(offsets))[alive]
    matrix = csr_array((probs[alive], (rows, next_row[alive])), (n, n))
    n_classes, of = connected_components(matrix, connection="strong")
    is_open = np.zeros(n_classes, bool)
    is_open[of[rows[of[rows] != of[next_row[alive]]]]] = True
    if (~is_open).sum() > 1:
        admissible = "a chain with one closed class, or one with `start`, which says where sequences start"
        raise DomainError("transition", f"one with {(~is_open).sum()} closed classes", admissible)
    states = np.flatnonzero(~is_open[of])
    balance = (matrix[states][:, states].T - eye_array(states.size)).tolil()
    balance[-1] = 1.0
    target = np.zeros(states.size)
    target[-1] = 1.0
    solved = np.linalg.solve(balance.toarray(), target) if states.size <= _DENSE else spsolve(balance.tocsc(), target)
    law = np.zeros(n)
    law[states] = np.maximum(solved, 0.0)
    return np.asarray(law / law.sum())


def _numbers(n: int, fresh: int, share: float, length: int) -> int:
    """Uniform numbers that `kernels.markov.walk` takes."""
    sequences = math.ceil(n / length)
    return n + fresh + sequences * (2 if share > 0 else 1) + math.ceil(fresh / length)


def _tables(model: MarkovChain, *, with_truth: bool) -> tuple[np.ndarray, ...]:
    """Search tables of all rows: of the model alone, or twice, the second for fresh tokens."""
    from tce_theory.kernels import markov as kernel

    frame, times = model.frame, 1 + with_truth
    places, rows = times * model.probs.size, times * frame.n_rows
    edges, onward, guide = (np.empty(places, np.int32) for _ in range(3))
    tables = edges, onward, np.empty(places), guide, np.empty((rows, 2), np.int32)
    for time in range(times):
        kernel.prepare(model.probs.copy(), frame.offsets, frame.next_row, time * frame.n_rows, *tables)
    return tables


def _record(
    kernel: Any,
    origin: MarkovChain,
    probs: np.ndarray,
    occupied: np.ndarray,
    counts: np.ndarray,
    masked: np.ndarray,
    metrics: Sequence[str],
    out: np.ndarray,
) -> None:
    """Write metrics of models (R, E) to the rows of `out` (metrics, R); `occupied` is that of the origin."""
    wanted = np.full(kernel.N_METRICS, -1, np.int64)
    for row, name in enumerate(metrics):
        wanted[getattr(kernel, name.upper())] = row
    frame = origin.frame
    kernel.record(
        probs, origin.probs.copy(), frame.offsets, frame.next_row, frame.start, origin.length, occupied, counts, masked,
        wanted, out,
    )  # fmt: skip


class _MarkovRecursion(Recursion):
    """Blocks of the recursion; all replicates of a block advance together, each with a stream of its own."""

    stream = "tokens"

    def __init__(self, model: MarkovChain, loss: Loss, supply: Supply, decoding: Decoding | None) -> None:
        self.model, self.supply = model, supply
        self.kernel_loss = _kernel_loss(loss)
        self.decoding = None if decoding is None else _kernel_decoding(decoding)
        self.cost = float(max(supply.drawn.mean(), model.probs.size))
        self.block_size = block_size_for(self.cost)

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        from tce_theory.kernels import markov as kernel

        model, generations = self.model, self.supply.drawn.size
        shape = replicates, model.probs.size
        streams = rng.spawn(replicates)  # so that a replicate does not depend on how many there are
        probs, counts = np.tile(model.probs, (replicates, 1)), np.zeros(shape, np.int64)
        kept = np.zeros(shape, np.int64) if self.supply.memory != FORGET else counts
        masked, vacuous = np.zeros(replicates), np.zeros(replicates, np.int64)
        fresh = bool(self.supply.fresh.any() or self.supply.fresh_share.any())
        tables, occupied = _tables(model, with_truth=fresh), model.occupation()
        values = {name: np.full((replicates, generations + 1), np.nan) for name in (*metrics, *functions)}
        piece = np.empty((len(metrics), replicates))
        for t in range(generations + 1):
            if control.stop[0]:
                return Block({}, {})
            if t > 0:
                self._draw(kernel, streams, t - 1, probs, tables, counts)
                if self.supply.memory != FORGET:
                    kept += counts
                if self.supply.memory == SUBSAMPLE:
                    self._subsample(streams, t - 1, kept, counts)
                data = kept if self.supply.memory == KEEP else counts
                self._fit(data, probs, masked, vacuous)
                control.progress[control.slot] += replicates
            _record(kernel, model, probs, occupied, data if t > 0 else counts, masked, metrics, piece)
            for row, name in enumerate(metrics):
                if t > 0 or name not in _OF_DATA:
                    values[name][:, t] = piece[row]
            for r in range(replicates if functions else 0):
                current = model._exactly(probs[r].copy())
                for name, function in functions.items():
                    values[name][r, t] = function(current)
        return Block(values, {"vacuous": vacuous})

    def _draw(
        self,
        kernel: Any,
        streams: Sequence[np.random.Generator],
        step: int,
        probs: np.ndarray,
        tables: tuple[np.ndarray, ...],
        counts: np.ndarray,
    ) -> None:
        from tce_theory.kernels import categorical

        supply, frame, length = self.supply, self.model.frame, self.model.length
        n, fresh, share = int(supply.synthetic[step]), int(supply.fresh[step]), float(supply.fresh_share[step])
        uniforms = np.empty((len(streams), _numbers(n, fresh, share, length)))
        for r, stream in enumerate(streams):
            stream.random(out=uniforms[r])
        laws = probs
        if self.decoding is not None:
            laws = np.empty_like(probs)
            categorical.decode_rows(probs, frame.offsets, *self.decoding, laws)
        kernel.draw(
            uniforms, n, fresh, share, length, laws, frame.cumulative_start, frame.offsets, frame.next_row, *tables,
            counts,
        )  # fmt: skip

    def _fit(self, data: np.ndarray, probs: np.ndarray, masked: np.ndarray, vacuous: np.ndarray) -> None:
        from tce_theory.kernels import categorical

        rule, gamma, parameter, vacuous_rule, weight = self.kernel_loss
        fit_rows = categorical.fit_rows if weight is None else categorical.fit_rows_weighted
        offsets = self.model.frame.offsets
        fit_rows(data, probs, offsets, rule, gamma, parameter, vacuous_rule, weight, masked, vacuous)

    def _subsample(
        self, streams: Sequence[np.random.Generator], step: int, kept: np.ndarray, counts: np.ndarray
    ) -> None:
        """Fill `counts` with as many of the kept transitions as were drawn, without replacement."""
        from tce_theory.kernels import categorical

        n, total, size = int(self.supply.drawn[step]), int(self.supply.drawn[: step + 1].sum()), kept.shape[1]
        taken, cumulative = np.empty(total, np.uint8), np.empty(size, np.int64)
        for r, stream in enumerate(streams):
            categorical.draw_without_replacement(stream, n, kept[r], size, total, taken, cumulative, counts[r])
