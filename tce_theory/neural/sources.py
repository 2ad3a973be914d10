"""Where the real data of a language model come from: a Markov chain, a corpus of facts, a text.

A source has tokens 0, …, vocabulary − 1 and draws streams of them. A chain and a corpus of facts are laws, of which
every stream is a fresh sample; a text is what there is, of which every stream is a stretch.
"""

from __future__ import annotations

import hashlib
import math
import os
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.models.markov import MarkovChain
from tce_theory.models.text import read_text, standard_text, tokens
from tce_theory.neural._chains import lifted, of_ngrams
from tce_theory.validation import number_in, one_of, positive_integer, positive_number

__all__ = ["Facts", "KnowledgeCorpus", "LanguageSource", "MarkovSource", "TextSource"]

_HELD_OUT = 8192  # tokens that a law holds out
_STATIONARY = 1e-9  # in L1: contexts that sequences start with are those of any place up to rounding
_HELD_OUT_SHARE = 10  # a text holds out one token in so many
_CONTEXTS = 4  # real contexts in which a fact is tested
_UNKNOWN = "<unknown>"


class LanguageSource(ABC):
    """What a language model is trained on first: its real data, and what is known of their law."""

    facts: Facts | None = None

    @property
    @abstractmethod
    def labels(self) -> tuple[str, ...]:
        """Names of the tokens."""

    @property
    def vocabulary(self) -> int:
        """Number of tokens V."""
        return len(self.labels)

    @abstractmethod
    def stream(self, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None) -> np.ndarray:
        """Draw n tokens in a row, int64 (n,).

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator
        part : (int, int), optional
            (i, parts): from the i-th of so many disjoint parts of the real data alone, i = 0, …, parts − 1.
        """

    def require(self, n: int, part: tuple[int, int] | None = None) -> None:
        """Raise a DomainError if no stream can have n tokens, or there are not so many parts."""
        positive_integer("n", n)
        _check_part(part)

    @property
    @abstractmethod
    def held_out(self) -> np.ndarray:
        """Real tokens in a row to test on, int64 (m,): always the same, and never in a stream of a text."""

    @property
    @abstractmethod
    def entropy(self) -> float | None:
        """Entropy of a token given all tokens before it, in nats; None if it is unknown."""

    def chain(self, order: int) -> MarkovChain | None:
        """Return the law as a Markov chain of that order, which starts as often with a context as streams have it.

        None if it is not known or needs longer contexts, or if there are more than four million transitions.
        """
        return None

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return what the data depend on, for the provenance of a run."""


@dataclass(frozen=True, eq=False)
class MarkovSource(LanguageSource):
    """Tokens of a Markov chain, so that distances of a model to the truth are exact.

    A stream is one sequence, which begins with a context from the chain's `start` and is not begun anew after its
    `length` tokens; parts of the data are independent samples. Entropy and distances are those of contexts as a stream
    of 8,192 tokens has them on average: the stationary law, unless there are several or it is slowly reached.

    Parameters
    ----------
    law : MarkovChain

    Raises
    ------
    DomainError
        If it is no Markov chain, or has one symbol alone.

    Examples
    --------
    >>> source = MarkovSource(MarkovChain([[0.9, 0.1], [0.3, 0.7]]))
    >>> source.vocabulary, round(source.entropy, 6)
    (2, 0.396528)
    >>> source.stream(8, np.random.default_rng(1)).tolist()
    [0, 1, 0, 1, 1, 1, 1, 1]
    >>> source.chain(2).transition.tolist()
    [[0.9, 0.1], [0.3, 0.7], [0.9, 0.1], [0.3, 0.7]]
    """

    law: MarkovChain

    def __post_init__(self) -> None:
        if not isinstance(self.law, MarkovChain):
            raise DomainError("law", self.law, "a MarkovChain")
        if self.law.size < 2:
            raise DomainError("law", f"a chain of {self.law.size} symbol", "a chain of at least 2")

    @cached_property
    def labels(self) -> tuple[str, ...]:
        return self.law.labels or tuple(map(str, range(self.law.size)))

    def _of_length(self, length: int) -> MarkovChain:
        """Return the chain with sequences of another length."""
        model = object.__new__(MarkovChain)
        model._set(self.law.probs, length, self.law.frame)
        return model

    @cached_property
    def _endless(self) -> MarkovChain:
        """The chain with sequences that no stream reaches the end of; it keeps the tables that it draws by."""
        return self._of_length(2**53)

    def stream(self, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None) -> np.ndarray:
        self.require(n, part)
        ngrams = self._endless.sample(n, rng)
        return np.concatenate([ngrams[0, :-1], ngrams[:, -1]])[:n]

    @cached_property
    def held_out(self) -> np.ndarray:
        return _frozen(self.stream(_HELD_OUT, np.random.default_rng(0)))

    @cached_property
    def _anywhere(self) -> MarkovChain:
        """The chain with sequences that start where a stream is, and not only as it begins."""
        frame, occupied = self.law.frame, self._of_length(_HELD_OUT).occupation()
        if np.abs(occupied - frame.start).sum() < _STATIONARY:
            return self.law
        model = object.__new__(MarkovChain)
        model._set(self.law.probs, self.law.length, replace(frame, start=occupied))
        return model

    @property
    def entropy(self) -> float:
        return self._anywhere.entropy_rate()

    def chain(self, order: int) -> MarkovChain | None:
        return lifted(self._anywhere, positive_integer("order", order, minimum=0))

    def describe(self) -> dict[str, Any]:
        return {"name": "MarkovSource", "law": self.law.describe()}


@dataclass(frozen=True, eq=False)
class Facts:
    """The facts of a corpus, and how they are tested.

    The test of the source: a fact is *retained* where the true object has a higher log probability than the false one,
    and *recalled* where every other token is less probable. The false object is drawn once, with the corpus: how long
    facts are retained, and factors between losses with it, depends on which it is.

    Parameters
    ----------
    corpus : KnowledgeCorpus
    true, false : int64 array (F,)
        Tokens.
    """

    corpus: KnowledgeCorpus = field(repr=False)
    true: np.ndarray
    false: np.ndarray

    def contexts(self, context: int) -> np.ndarray:
        """Real contexts that end just before the object, int64 (F, m, context).

        Of two tokens there is one a fact, its subject and relation; longer ones begin with what goes before them.

        Raises
        ------
        DomainError
            If they are shorter than that.
        """
        context = positive_integer("context", context, minimum=2)
        several = 1 if context == 2 else _CONTEXTS
        return self.corpus._contexts(context, several)

    def part_of(self, parts: int) -> np.ndarray:
        """Part of the data that each fact is in, int64 (F,), if there are so many."""
        parts = positive_integer("parts", parts, maximum=self.true.size)
        return np.arange(self.true.size) * parts // self.true.size


class KnowledgeCorpus(LanguageSource):
    """Sentences that each state a fact: subject, relation, object, then filler.

    Fact f is about relation f mod `relations` of subject f // `relations`. Objects, true and false, are drawn uniformly
    once for all from `seed`. A stream is sentence after sentence from the beginning of one; each states a fact drawn
    uniformly from all, or from those of the part, and its filler words are independent, the i-th with a probability
    proportional to i^(−a), a being such that they have the given entropy.

    Parameters
    ----------
    facts : int
        Number of facts.
    relations : int
        How many things are said about a subject.
    objects : int
        Tokens that can be objects, at least 2.
    filler : int
        Filler words after a fact, at least 0.
    filler_words : int
        Different ones.
    filler_entropy : float
        Entropy of a filler word in nats, in [0, log filler_words].
    seed : int
        Of the facts.

    Raises
    ------
    DomainError
        If one of these is not admissible.

    Examples
    --------
    >>> corpus = KnowledgeCorpus(facts=4, relations=2, objects=3, filler=1, filler_words=2, filler_entropy=0.5)
    >>> " ".join(corpus.labels[token] for token in corpus.stream(8, np.random.default_rng(1)))
    'subject1 relation2 object2 word2 subject2 relation1 object2 word1'
    >>> corpus.tokens(10), round(corpus.entropy, 6)
    (160, 0.471574)
    >>> corpus.facts.contexts(2)[0].tolist(), corpus.facts.part_of(2).tolist()
    ([[0, 2]], [0, 0, 1, 1])
    """

    def __init__(
        self,
        *,
        facts: int = 60,
        relations: int = 3,
        objects: int = 20,
        filler: int = 2,
        filler_words: int = 20,
        filler_entropy: float = 2.0,
        seed: int = 0,
    ) -> None:
        self.n_facts = positive_integer("facts", facts)
        self.relations = positive_integer("relations", relations, maximum=max(self.n_facts, 1))
        self.objects = positive_integer("objects", objects, minimum=2)
        self.filler = positive_integer("filler", filler, minimum=0)
        self.filler_words = positive_integer("filler_words", filler_words)
        self.filler_entropy = number_in("filler_entropy", filler_entropy, 0.0, math.log(self.filler_words))
        self.seed = positive_integer("seed", seed, minimum=0, maximum=2**128)
        rng = np.random.default_rng(self.seed)
        true = rng.integers(self.objects, size=self.n_facts)
        false = (true + rng.integers(1, self.objects, size=self.n_facts)) % self.objects
        first = self._first_object
        self.facts: Facts = Facts(self, _frozen(first + true), _frozen(first + false))

    def __repr__(self) -> str:
        return (
            f"KnowledgeCorpus(facts={self.n_facts}, relations={self.relations}, objects={self.objects}, "
            f"filler={self.filler}, filler_words={self.filler_words}, filler_entropy={self.filler_entropy:g}, "
            f"seed={self.seed})"
        )

    @property
    def _subjects(self) -> int:
        return -(-self.n_facts // self.relations)

    @property
    def _first_object(self) -> int:
        return self._subjects + self.relations

    @property
    def _length(self) -> int:
        """Tokens of a sentence."""
        return 3 + self.filler

    @cached_property
    def labels(self) -> tuple[str, ...]:
        kinds = {"subject": self._subjects, "relation": self.relations, "object": self.objects}
        if self.filler:
            kinds["word"] = self.filler_words
        return tuple(f"{kind}{number}" for kind, size in kinds.items() for number in range(1, size + 1))

    @cached_property
    def filler_law(self) -> np.ndarray:
        """Probabilities of the filler words, most frequent first."""
        return _frozen(_of_entropy(self.filler_words, self.filler_entropy))

    def tokens(self, mentions: float) -> int:
        """Tokens in which each fact is stated that often on average.

        Examples
        --------
        >>> KnowledgeCorpus(facts=60, filler=2).tokens(100)
        30000
        """
        return math.ceil(positive_number("mentions", mentions) * self.n_facts * self._length)

    def _sentences(self, facts: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sentences that state these facts, int64 (n, length)."""
        out = np.empty((facts.size, self._length), np.int64)
        out[:, 0], out[:, 1] = facts // self.relations, self._subjects + facts % self.relations
        out[:, 2] = self.facts.true[facts]
        if self.filler:
            words = rng.choice(self.filler_words, (facts.size, self.filler), p=self.filler_law)
            out[:, 3:] = self._first_object + self.objects + words
        return out

    def require(self, n: int, part: tuple[int, int] | None = None) -> None:
        positive_integer("n", n)
        _check_part(part, self.n_facts)

    def stream(self, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None) -> np.ndarray:
        self.require(n, part)
        admissible = np.arange(self.n_facts)
        if part is not None:
            i, parts = part
            admissible = np.flatnonzero(self.facts.part_of(parts) == i)
        stated = admissible[rng.integers(admissible.size, size=-(-n // self._length))]
        return self._sentences(stated, rng).ravel()[:n]

    def _contexts(self, context: int, several: int) -> np.ndarray:
        """Real contexts that end just before the object of each fact, int64 (F, several, context)."""
        rng = np.random.default_rng([self.seed, 1])
        before = -(-(context - 2) // self._length)  # sentences
        shape = self.n_facts, several
        stated = np.empty((*shape, before + 1), np.int64)
        stated[..., :before] = rng.integers(self.n_facts, size=(*shape, before))
        stated[..., before] = np.arange(self.n_facts)[:, None]
        found = self._sentences(stated.ravel(), rng).reshape(*shape, -1)
        end = before * self._length + 2
        return found[..., end - context : end].copy()

    @cached_property
    def held_out(self) -> np.ndarray:
        return _frozen(self.stream(_HELD_OUT, np.random.default_rng([self.seed, 2])))

    @property
    def entropy(self) -> float:
        return (math.log(self.n_facts) + self.filler * self.filler_entropy) / self._length

    def chain(self, order: int) -> MarkovChain | None:
        if positive_integer("order", order, minimum=0) < max(2, self.filler):
            return None
        machine = lifted(self._machine, order)
        if machine is None:
            return None
        # several paths of states read as the same tokens: a relation says nothing of the fact unless after its subject
        symbols, size = self._read[machine.ngrams], self.vocabulary
        codes, which = np.unique(symbols @ size ** np.arange(order, -1, -1), return_inverse=True)
        mass = np.bincount(which, machine.start[machine.frame.rows] * machine.probs)
        ngrams = np.empty((codes.size, order + 1), np.int64)
        ngrams[which] = symbols
        rows = np.cumsum(np.diff(codes // size, prepend=-1) > 0) - 1
        start = np.bincount(rows, mass)
        return of_ngrams(ngrams, mass / start[rows], start, size, self.labels)

    @cached_property
    def _read(self) -> np.ndarray:
        """Token of each state of `_machine`."""
        words = np.tile(np.arange(self.filler_words), self.filler) + self._first_object + self.objects
        facts = self._subjects + np.arange(self.n_facts) % self.relations
        objects = self._first_object + np.arange(self.objects)
        return np.concatenate([np.arange(self._subjects), facts, objects, words])

    @cached_property
    def _machine(self) -> MarkovChain:
        """The corpus as a chain of states: subject, fact, object, then each filler word with its place."""
        facts, n = np.arange(self.n_facts), self.n_facts
        subject, object_ = facts // self.relations, self.facts.true - self._first_object
        stated = np.bincount(subject) / n, np.full(n, 1 / n), np.bincount(object_, minlength=self.objects) / n
        laws = [*stated, *[self.filler_law] * self.filler]
        firsts = np.cumsum([0, *(law.size for law in laws)])
        matrix = np.zeros((firsts[-1], firsts[-1]))
        matrix[subject, firsts[1] + facts] = 1 / (n * stated[0][subject])
        matrix[firsts[1] + facts, firsts[2] + object_] = 1.0
        for place in range(2, len(laws)):  # whatever was before
            after = (place + 1) % len(laws)
            matrix[firsts[place] : firsts[place + 1], firsts[after] : firsts[after] + laws[after].size] = laws[after]
        start = np.concatenate(laws) / len(laws)
        alive = start > 0  # objects of no fact are not met
        rows, columns = np.nonzero(matrix * alive[:, None])
        ngrams = np.column_stack([rows, columns])
        return of_ngrams(ngrams, matrix[rows, columns], start[alive], start.size)

    def describe(self) -> dict[str, Any]:
        return {
            "name": "KnowledgeCorpus",
            "facts": self.n_facts,
            "relations": self.relations,
            "objects": self.objects,
            "filler": self.filler,
            "filler_words": self.filler_words,
            "filler_entropy": self.filler_entropy,
            "seed": self.seed,
        }


class TextSource(LanguageSource):
    """A text by characters or words; its last tenth is held out.

    A stream is a stretch of the rest from a random place, which at the end goes on with the beginning. Parts are
    disjoint stretches of the rest.

    Parameters
    ----------
    path_or_text : str or os.PathLike, optional
        A file in UTF-8, or the text itself; the text that every Python installation carries if not given.
    unit : {"char", "word"}
        As of `MarkovChain.from_text`.
    vocabulary : int
        Tokens at most, at least 2: the most frequent ones of the text, the rest being one token "<unknown>".

    Raises
    ------
    DomainError
        If the text has fewer than 20 tokens or one kind of them alone, or an option is not admissible.

    Examples
    --------
    >>> source = TextSource("to be or not to be, that is the question. " * 10, unit="word", vocabulary=3)
    >>> source.labels
    ('be', 'to', '<unknown>')
    >>> source.stream(6, np.random.default_rng(1)).tolist()
    [2, 2, 1, 0, 2, 2]
    """

    def __init__(
        self, path_or_text: str | os.PathLike[str] | None = None, *, unit: str = "char", vocabulary: int = 128
    ) -> None:
        self.unit = one_of("unit", unit, ("char", "word"))
        most = positive_integer("vocabulary", vocabulary, minimum=2)
        found = tokens(standard_text() if path_or_text is None else read_text(path_or_text), unit)
        if len(found) < 2 * _HELD_OUT_SHARE:
            raise DomainError("text", f"{len(found)} {unit}s", f"a text of at least {2 * _HELD_OUT_SHARE} {unit}s")
        kinds = sorted(Counter(found).items(), key=lambda item: (-item[1], item[0]))
        if len(kinds) < 2:
            raise DomainError("text", f"{unit} {kinds[0][0]!r} alone", f"a text of at least two different {unit}s")
        self._labels = tuple(kind for kind, _ in kinds)
        if len(kinds) > most:
            self._labels = (*self._labels[: most - 1], _UNKNOWN)
        numbers = {label: number for number, label in enumerate(self._labels)}
        sequence = np.array([numbers.get(token, most - 1) for token in found], np.int64)
        border = sequence.size - sequence.size // _HELD_OUT_SHARE
        self.training, self._held_out = _frozen(sequence[:border]), _frozen(sequence[border:])

    def __repr__(self) -> str:
        return f"TextSource({self.training.size + self._held_out.size} {self.unit}s, vocabulary={self.vocabulary})"

    @property
    def labels(self) -> tuple[str, ...]:
        return self._labels

    def _part(self, part: tuple[int, int] | None) -> np.ndarray:
        i, parts = _check_part(part, self.training.size)
        return self.training[i * self.training.size // parts : (i + 1) * self.training.size // parts]

    def require(self, n: int, part: tuple[int, int] | None = None) -> None:
        most = self._part(part).size
        if positive_integer("n", n) > most:
            where = "the training part of the text" if part is None else f"part {part[0]} of {part[1]} of the text"
            raise DomainError("n", n, f"at most {most}, the {self.unit}s in {where}")

    def stream(self, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None) -> np.ndarray:
        self.require(n, part)
        text = self._part(part)
        first = int(rng.integers(text.size))
        return np.concatenate([text[first : first + n], text[: max(first + n - text.size, 0)]])

    @property
    def held_out(self) -> np.ndarray:
        return self._held_out

    @property
    def entropy(self) -> None:
        return None

    def describe(self) -> dict[str, Any]:
        digest = hashlib.sha256("\0".join(self._labels).encode())
        for array in (self.training, self._held_out):
            digest.update(array.tobytes())
        return {
            "name": "TextSource",
            "unit": self.unit,
            "vocabulary": self.vocabulary,
            "tokens": self.training.size + self._held_out.size,
            "sha256": digest.hexdigest(),
        }


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _check_part(part: tuple[int, int] | None, most: int = 2**53) -> tuple[int, int]:
    """Return (i, parts), (0, 1) for None."""
    if part is None:
        return 0, 1
    if not isinstance(part, tuple) or len(part) != 2:
        raise DomainError("part", part, "a pair (i, parts)")
    parts = positive_integer("parts", part[1], maximum=most)
    i = positive_integer("part", part[0], minimum=0)
    if i >= parts:
        raise DomainError("part", part, "a pair (i, parts) with i from 0 to parts − 1")
    return i, parts


def _of_entropy(size: int, entropy: float) -> np.ndarray:
    """Law proportional to i^(−a), i = 1, …, size, of this entropy."""
    from scipy.optimize import brentq

    logs = np.log(np.arange(1, size + 1))

    def law(exponent: float) -> np.ndarray:
        weights = np.exp(-exponent * logs)
        return np.asarray(weights / weights.sum())

    def excess(exponent: float) -> float:
        probs = law(exponent)
        return float((probs * (exponent * logs)).sum() - math.log(probs[0])) - entropy

    steepest = 1100.0  # 2^(-1100) is 0: all mass on the first
    if excess(0.0) <= 0:
        return law(0.0)
    return law(steepest if excess(steepest) >= 0 else brentq(excess, 0.0, steepest, xtol=1e-14, rtol=1e-14))
