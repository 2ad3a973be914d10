"""What is measured of a language model: on real text, on the facts of a corpus, and on what a generation was fitted to.

A `Yardstick` holds what all models of one source are measured by: held-out real text, the tests of facts, the law of
the source where it is known. It gives the metrics of a model; those of a fit are functions of the data and of the
trained network. `NeuralLanguageModel` says what each metric is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from tce_theory.models.markov import MarkovChain
from tce_theory.neural.sources import LanguageSource, TextSource
from tce_theory.neural.training import ContextCounts, HeadRecord

if TYPE_CHECKING:
    from tce_theory.neural.network import Architecture
    from tce_theory.neural.training import HeadAverages

__all__ = [
    "AVERAGES",
    "CHAIN",
    "DATA",
    "FACTS",
    "HEAD",
    "MASKED",
    "ON_CAP",
    "TEXT",
    "TRUTH",
    "Yardstick",
    "average_metrics",
    "calibration_error",
    "capped_record",
    "capped_weights",
    "distinct",
    "head_metrics",
    "unigram_divergence",
]

TEXT = ("predictive_entropy", "heldout_cross_entropy", "calibration_error", "confidence_real")
FACTS = ("retention", "recall")
CHAIN = ("entropy_rate",)
TRUTH = ("kl_rate_from_origin", "kl_rate_to_origin")
DATA = ("confidence_synthetic", "distinct_1", "distinct_2", "distinct_3", "unigram_kl")
MASKED = ("masked_share", "average_masked_share")
HEAD = ("unmasked_entropy", "unmasked_cross_entropy", "floor_gap", "head_product", "head_certificate")
AVERAGES = ("average_excess", "average_excess_identity", "average_floor_slack")
"""Names of the metrics: of a model on held-out text; on facts; of its law as a chain; of the distance to a known law;
of a fit; of what it leaves out; of the head at the end of a training; of the head over the whole of it."""

ON_CAP = 1 - 1e-12
"""A probability of at least this times gamma is on gamma: fits put it there, up to rounding."""

_BINS = 15  # of the calibration error
_MOST_HELD_OUT = 8192  # windows on which a model is measured
_PIECE = 2**20  # probabilities that are looked at at once
_MOST_CONTEXTS, _MOST_TRANSITIONS = 2**16, 2**22  # of a law that is written down
_UNIGRAM_TOKENS = 2**18  # of a law that is no chain, from which its unigram law is counted
_LEAST_CONTEXT = 2  # subject and relation


@dataclass(frozen=True)
class _OnText:
    """What a law says about held-out real text; each is float64 (m,), one number for a window."""

    entropy: np.ndarray
    target_log_prob: np.ndarray
    top: np.ndarray
    is_top: np.ndarray


class Yardstick:
    """What the models of one source and architecture are measured by.

    Parameters
    ----------
    source : LanguageSource
    architecture : Architecture
    length : int
        Tokens in a block.

    Examples
    --------
    >>> from tce_theory.neural.network import Architecture
    >>> from tce_theory.neural.sources import MarkovSource
    >>> source = MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]]))
    >>> yardstick = Yardstick(source, Architecture(2, 1, None), 100)
    >>> yardstick.measure(np.log([0.9, 0.1, 0.3, 0.7]), ["kl_rate_from_origin"])
    {'kl_rate_from_origin': 0.0}
    """

    def __init__(self, source: LanguageSource, architecture: Architecture, length: int) -> None:
        self.source, self.architecture, self.length = source, architecture, length

    # --- what there is to measure by

    @property
    def names(self) -> tuple[str, ...]:
        """Metrics that a model of this source has."""
        facts = FACTS if self.source.facts is not None and self.architecture.context >= _LEAST_CONTEXT else ()
        chain = CHAIN if self.is_writable else ()
        truth = TRUTH[: 2 if self.is_writable else 1] if self.law is not None else ()
        return (*TEXT, *facts, *chain, *truth)

    @property
    def is_writable(self) -> bool:
        """Whether a law of contexts of this length is short enough to be written down."""
        contexts = self.architecture.n_contexts
        return contexts <= _MOST_CONTEXTS and contexts * self.architecture.vocabulary <= _MOST_TRANSITIONS

    @property
    def order(self) -> int:
        """Order of chains that stand for models: that of a model without context is 1."""
        return max(self.architecture.context, 1)

    @cached_property
    def powers(self) -> np.ndarray:
        """What a context is multiplied by to give its number."""
        return np.asarray(self.architecture.vocabulary ** np.arange(self.order - 1, -1, -1))

    @cached_property
    def windows(self) -> np.ndarray:
        """Held-out real windows, int64 (m, order + 1), spread evenly over the text."""
        width, tokens = self.order + 1, self.source.held_out
        starts = np.arange(tokens.size - width + 1)
        if starts.size > _MOST_HELD_OUT:
            starts = np.linspace(0, starts.size - 1, _MOST_HELD_OUT).astype(np.int64)
        return np.asarray(tokens[starts[:, None] + np.arange(width)])

    @cached_property
    def law(self) -> MarkovChain | None:
        """The law of the source as a chain, which lists what real text has; None if it is not known as one."""
        chain = self.source.chain(self.order)
        if chain is None or chain.n_contexts > _MOST_CONTEXTS:
            return None
        same = object.__new__(MarkovChain)
        same._set(chain.probs, self.length, chain.frame)
        return same

    @cached_property
    def truth(self) -> MarkovChain | None:
        """The same law as a chain that lists all transitions, if it can be written down.

        Contexts that real text does not have get a uniform row, which counts nowhere.
        """
        chain = self.law if self.is_writable else None
        if chain is None:
            return None
        v, rows = self.architecture.vocabulary, self.architecture.vocabulary**self.order
        table, start = np.full((rows, v), 1 / v), np.zeros(rows)
        contexts = chain.ngrams[:, :-1] @ self.powers
        table[contexts] = 0.0
        table[contexts, chain.ngrams[:, -1]] = chain.probs
        start[contexts[chain.frame.offsets[:-1]]] = chain.start
        return self._chain(table, start)

    @cached_property
    def frame(self) -> MarkovChain:
        """A chain that begins as real text does; the laws of networks are put into it."""
        if self.truth is not None:
            return self.truth
        v, codes = self.architecture.vocabulary, self.windows[:, :-1] @ self.powers
        start = np.bincount(codes, minlength=v**self.order) / codes.size
        return self._chain(np.full((v**self.order, v), 1 / v), start)

    def _chain(self, table: np.ndarray, start: np.ndarray) -> MarkovChain:
        return MarkovChain(table, order=self.order, labels=self.source.labels, start=start, length=self.length)

    def chain(self, theta: np.ndarray) -> MarkovChain:
        """Return a network as a Markov chain; one without context has the same law in every row."""
        table = self.architecture.table(theta)
        return self.frame._exactly(np.ascontiguousarray(np.broadcast_to(table, self.frame.transition.shape)).ravel())

    @cached_property
    def unigrams(self) -> np.ndarray:
        """How probable each token is in real text, float64 (V,)."""
        v = self.architecture.vocabulary
        if self.law is not None:
            return np.bincount(self.law.ngrams[:, -1], self._occupied[self.law.frame.rows] * self.law.probs, v)
        if isinstance(self.source, TextSource):
            tokens = np.concatenate([self.source.training, self.source.held_out])
        else:
            tokens = self.source.stream(_UNIGRAM_TOKENS, np.random.default_rng(0))
        return np.bincount(tokens, minlength=v) / tokens.size

    @cached_property
    def _occupied(self) -> np.ndarray:
        """How often each context of the law is met in real text."""
        assert self.law is not None
        return self.law.occupation()

    @cached_property
    def _fact_contexts(self) -> np.ndarray:
        assert self.source.facts is not None
        return self.source.facts.contexts(self.architecture.context)

    # --- measures of a model

    def measure(
        self, theta: np.ndarray | None, names: Sequence[str], shown: tuple[int, int] | None = None
    ) -> dict[str, float]:
        """Return metrics of a network, or of the source itself where theta is None.

        Parameters
        ----------
        theta : numpy.ndarray or None
        names : sequence of str
            Of `names`.
        shown : (int, int), optional
            (i, parts): facts are counted of the first i of so many parts of the data; of all by default.
        """
        values: dict[str, float] = {}
        wanted = set(names)
        if wanted & set(TEXT):
            values |= self._on_text(theta)
        if wanted & set(FACTS):
            values |= self._on_facts(theta, shown)
        if TRUTH[0] in wanted:
            values[TRUTH[0]] = 0.0 if theta is None else self._divergence(theta)
        if wanted & {*CHAIN, TRUTH[1]}:
            values |= self._of_chain(theta, wanted)
        return {name: values[name] for name in names}

    def _on_text(self, theta: np.ndarray | None) -> dict[str, float]:
        if theta is None and self.law is None:
            entropy = math.nan if self.source.entropy is None else self.source.entropy
            return dict.fromkeys(TEXT, math.nan) | dict.fromkeys(TEXT[:2], entropy)
        found = self._looked_at(theta)
        return {
            "predictive_entropy": float(found.entropy.mean()),
            "heldout_cross_entropy": 0.0 - float(found.target_log_prob.mean()),
            "calibration_error": calibration_error(found.top, found.is_top),
            "confidence_real": float(np.exp(found.target_log_prob).mean()),
        }

    def _looked_at(self, theta: np.ndarray | None) -> _OnText:
        """Look at the held-out windows in pieces, because all probabilities together may not fit into memory."""
        step = max(_PIECE // self.architecture.vocabulary, 1)
        pieces = [self._piece(theta, self.windows[i : i + step]) for i in range(0, len(self.windows), step)]
        return _OnText(*(np.concatenate(parts) for parts in zip(*pieces, strict=True)))

    def _piece(self, theta: np.ndarray | None, windows: np.ndarray) -> tuple[np.ndarray, ...]:
        log_p = self.log_probs(theta, windows[:, :-1])
        p = np.exp(log_p)
        entropy = -(p * np.where(p > 0, log_p, 0.0)).sum(axis=1)
        at_target = log_p[np.arange(len(windows)), windows[:, -1]]
        return entropy, at_target, p.max(axis=1), p.argmax(axis=1) == windows[:, -1]

    def log_probs(self, theta: np.ndarray | None, contexts: np.ndarray) -> np.ndarray:
        """Return log probabilities after contexts (n, order), float64 (n, V), of a network or of the known law."""
        if theta is not None:
            return self.architecture.log_probs(theta, contexts[:, self.order - self.architecture.context :])
        assert self.law is not None
        listed = self.law.ngrams[self.law.frame.offsets[:-1], :-1] @ self.powers
        rows, codes = (
            np.minimum(np.searchsorted(listed, contexts @ self.powers), listed.size - 1),
            contexts @ self.powers,
        )
        transition = self.law.transition
        found = transition[rows] if isinstance(transition, np.ndarray) else transition[rows].toarray()
        probs = np.where((listed[rows] == codes)[:, None], found, 1 / self.architecture.vocabulary)
        with np.errstate(divide="ignore"):  # what is impossible
            return np.asarray(np.log(probs))

    def _on_facts(self, theta: np.ndarray | None, shown: tuple[int, int] | None) -> dict[str, float]:
        facts = self.source.facts
        if theta is None or facts is None:
            return dict.fromkeys(FACTS, 1.0)
        contexts = self._fact_contexts
        n_facts, several, k = contexts.shape
        score = self.architecture.log_probs(theta, contexts.reshape(-1, k)).reshape(n_facts, several, -1).mean(axis=1)
        every = np.arange(n_facts)
        true, false = score[every, facts.true], score[every, facts.false]
        score[every, facts.true] = -np.inf
        counted = np.full(n_facts, True) if shown is None else facts.part_of(shown[1]) < shown[0]
        return {
            "retention": float((true > false)[counted].mean()),
            "recall": float((true > score.max(axis=1))[counted].mean()),
        }

    def _divergence(self, theta: np.ndarray) -> float:
        """Return the divergence of the law of blocks of real text from that of a network's, a token."""
        assert self.law is not None
        frame, probs, total = self.law.frame, self.law.probs, 0.0
        rows, contexts = frame.rows, frame.ngrams[frame.offsets[:-1], :-1]
        step = max(_PIECE // self.architecture.vocabulary, 1)
        for first in range(0, len(contexts), step):
            log_q = self.log_probs(theta, contexts[first : first + step])
            edges = slice(frame.offsets[first], frame.offsets[min(first + step, len(contexts))])
            p, mass = probs[edges], self._occupied[rows[edges]]
            terms = np.zeros(p.size)
            met = (p > 0) & (mass > 0)
            terms[met] = np.log(p[met]) - log_q[rows[edges] - first, frame.ngrams[edges, -1]][met]
            total += float((mass * p * terms).sum())
        return max(total, 0.0)

    def _of_chain(self, theta: np.ndarray | None, wanted: set[str]) -> dict[str, float]:
        if theta is None and self.truth is None:
            return {CHAIN[0]: math.nan if self.source.entropy is None else self.source.entropy}
        chain = self.frame if theta is None else self.chain(theta)
        return {name: chain.measure(name, self.frame) for name in (*CHAIN, TRUTH[1]) if name in wanted}


# ------------------------------------------------------------------------------------------------- of arrays


def calibration_error(top: np.ndarray, is_right: np.ndarray) -> float:
    """Return the expected calibration error: how far confidence and accuracy of the first choices are apart.

    The predictions are sorted into 15 bins of equal width by the probability of the first choice; the error is the mean
    over all predictions of |accuracy − mean confidence| of their bin (Guo et al. 2017, eq. 3).

    Parameters
    ----------
    top : numpy.ndarray, shape (m,)
        Probability of the most probable token.
    is_right : numpy.ndarray of bool, shape (m,)
        Whether it is what followed.

    Examples
    --------
    >>> calibration_error(np.array([0.9, 0.9, 0.9, 0.9]), np.array([True, True, True, False])).__round__(6)
    0.15
    """
    bins = np.minimum((top * _BINS).astype(np.int64), _BINS - 1)
    gaps = np.bincount(bins, weights=is_right - top, minlength=_BINS)
    return float(np.abs(gaps).sum() / top.size)


def distinct(tokens: np.ndarray, blocks: np.ndarray, n: int) -> float:
    """Return the share of different n-grams among all n-grams of a text, none of which reaches over the end of a block.

    Parameters
    ----------
    tokens : numpy.ndarray of int, shape (m,)
    blocks : numpy.ndarray of int, shape (m,)
        Block of each token; those of a block are next to each other.
    n : int

    Returns
    -------
    float
        0 if no block is as long.

    Examples
    --------
    >>> distinct(np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 0, 0, 1, 1]), 2)
    0.5
    """
    if tokens.size < n:
        return 0.0
    grams = np.lib.stride_tricks.sliding_window_view(tokens, n)[blocks[n - 1 :] == blocks[: tokens.size - n + 1]]
    if not len(grams):
        return 0.0
    size = int(tokens.max()) + 1
    # numbers sort much faster than rows
    different = np.unique(grams @ size ** np.arange(n)).size if size**n < 2**62 else len(np.unique(grams, axis=0))
    return different / len(grams)


def unigram_divergence(tokens: np.ndarray, law: np.ndarray) -> float:
    """Return KL(frequencies of the tokens ‖ law) in nats; inf where a token occurs that the law does not have.

    Examples
    --------
    >>> round(unigram_divergence(np.array([0, 0, 0, 1]), np.array([0.5, 0.5])), 6)
    0.130812
    """
    shares = np.bincount(tokens, minlength=law.size) / tokens.size
    seen = shares > 0
    if (law[seen] == 0).any():
        return math.inf
    return max(float((shares[seen] * np.log(shares[seen] / law[seen])).sum()), 0.0)


def head_metrics(record: HeadRecord) -> dict[str, float]:
    """Return the metrics of `HEAD`; where every target is masked, entropy and cross entropy of the others are inf.

    Examples
    --------
    >>> from tce_theory.neural.training import HeadRecord
    >>> head_metrics(HeadRecord(0.5, 1.25, 1.0, 0.75, 0.25, 2.0))["floor_gap"]
    0.25
    """
    if record.unmasked_share == 0:
        return dict.fromkeys(HEAD[:3], math.inf) | dict.fromkeys(HEAD[3:], 0.0)
    return {
        "unmasked_entropy": record.unmasked_entropy,
        "unmasked_cross_entropy": record.unmasked_cross_entropy,
        "floor_gap": record.unmasked_entropy - record.floor,
        "head_product": record.product,
        "head_certificate": record.certificate,
    }


def average_metrics(averages: HeadAverages) -> dict[str, float]:
    """Return the metrics of `AVERAGES`, of a training by plain gradient descent with a constant step.

    Examples
    --------
    >>> from tce_theory.neural.training import HeadAverages
    >>> average_metrics(HeadAverages(10, 0.5, 8.0, 2.0, 1.0, 4.0, 9.0, 1.0))
    {'average_excess': 0.2, 'average_excess_identity': 0.9, 'average_floor_slack': 1.375}
    """
    steps, rate = averages.steps, averages.rate
    curvature = rate / 2 * averages.squared_gradient / steps
    drift = (averages.squared_start - averages.squared_end) / (2 * rate * steps)
    bound = averages.squared_start / (2 * rate * steps) + curvature
    return {
        "average_excess": averages.gap / steps,
        "average_excess_identity": drift + curvature,
        "average_floor_slack": math.inf
        if averages.unmasked == 0
        else (averages.level + bound * steps) / averages.unmasked,
    }


# ------------------------------------------------------------------------------- exact fits of tabular models


def capped_weights(
    architecture: Architecture, theta: np.ndarray, data: np.ndarray | ContextCounts, gamma: float
) -> np.ndarray:
    """Return the weights of the targets at an exact fit under TCE, those on gamma by stationarity.

    With weights w and counts c, a row q of a stationary table has w c proportional to q (slug `hinge-form`), which
    says what the weight of a token on gamma is; rounding would decide on its mask.

    Parameters
    ----------
    architecture : Architecture
        Of a tabular model.
    theta : numpy.ndarray
        An exact fit to the data.
    data : int64 array (n, k + 1) or ContextCounts
    gamma : float

    Returns
    -------
    numpy.ndarray
        Float64 (n,), or (contexts, V) for counts.

    Examples
    --------
    >>> from tce_theory.neural.network import Architecture
    >>> table = Architecture(2, 0, None)
    >>> capped_weights(table, np.log([0.6, 0.4]), np.array([[0], [0], [0], [1]]), 0.6)
    array([0.5, 0.5, 0.5, 1. ])
    """
    _, _, weights = _capped(architecture, theta, data, gamma)
    if isinstance(data, ContextCounts):
        return np.asarray(weights[architecture._tokens(data.contexts)[:, 0]])
    return np.asarray(weights[architecture._tokens(data[:, :-1])[:, 0], data[:, -1]])


def capped_record(
    architecture: Architecture, theta: np.ndarray, data: np.ndarray | ContextCounts, gamma: float
) -> HeadRecord:
    """Return the record of an exact fit under TCE, with the weights of stationarity.

    Examples
    --------
    >>> from tce_theory.neural.network import Architecture
    >>> table = Architecture(2, 0, None)
    >>> record = capped_record(table, np.log([0.6, 0.4]), np.array([[0], [0], [0], [1]]), 0.6)
    >>> round(record.unmasked_share, 6), round(record.unmasked_entropy, 6), abs(record.product) < 1e-15
    (0.625, 0.673012, True)
    """
    counts, probs, weights = _capped(architecture, theta, data, gamma)
    mass = weights * counts
    total, floor = float(mass.sum()), 0.0 - math.log(gamma)
    if total == 0:
        return HeadRecord(0.0, math.nan, math.nan, floor, 0.0, 0.0)
    log_q = np.log(probs, out=np.zeros_like(probs), where=probs > 0)
    slope = (mass.sum(axis=1, keepdims=True) * probs - mass) / total
    logits = np.where(np.isneginf(theta), 0.0, theta).reshape(probs.shape)
    return HeadRecord(
        unmasked_share=total / float(counts.sum()),
        unmasked_cross_entropy=0.0 - float((mass * log_q).sum()) / total,
        unmasked_entropy=0.0 - float(mass.sum(axis=1) @ (probs * log_q).sum(axis=1)) / total,
        floor=floor,
        product=float((logits * slope).sum()),
        certificate=float(np.linalg.norm(logits) * np.linalg.norm(slope)),
    )


def _capped(
    architecture: Architecture, theta: np.ndarray, data: np.ndarray | ContextCounts, gamma: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return counts, probabilities and weights, float64 (contexts, V), of all contexts in their order."""
    v = architecture.vocabulary
    counted = data if isinstance(data, ContextCounts) else ContextCounts.from_windows(data, v)
    counts, probs = np.zeros((architecture.n_contexts, v)), architecture.table(theta)
    np.add.at(counts, architecture._tokens(counted.contexts)[:, 0], counted.counts)
    # with gamma = 1 nothing is masked: a token that is certain is not above it
    is_capped = (probs >= gamma * ON_CAP) & (counts > 0) & (gamma < 1)
    free = np.where((counts > 0) & ~is_capped, probs, 0.0).sum(axis=1, keepdims=True)
    free_counts = np.where(is_capped, 0.0, counts).sum(axis=1, keepdims=True)
    # what stands for one unit of probability; 0 where nothing that was drawn is below gamma
    scale = np.divide(free_counts, free, out=np.zeros_like(free), where=free > 0)
    stationary = np.divide(scale * probs, counts, out=np.ones_like(counts), where=is_capped)
    return counts, probs, np.where(is_capped, np.minimum(stationary, 1.0), 1.0)
