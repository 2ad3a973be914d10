"""Data regimes: what each generation is fitted to.

A regime turns the sample sizes of the generations into a `Supply`: how many points come from the model before, how many
are fresh from generation 0, and whether what was drawn earlier is kept.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.validation import number_in, positive_integer, positive_number

__all__ = [
    "Accumulate",
    "AccumulateSubsample",
    "FreshMix",
    "GeometricGrowth",
    "LinearGrowth",
    "Regime",
    "Replace",
    "Staged",
    "Supply",
    "sample_sizes",
]

_LOG_LARGEST = 54 * math.log(2)  # beyond it a size is refused, and its power may be beyond a float

FORGET, KEEP, SUBSAMPLE = 0, 1, 2
"""What becomes of the data of earlier generations; the numbers are those of the kernels."""


@dataclass(frozen=True, eq=False)
class Supply:
    """Where the data of each generation come from.

    Parameters
    ----------
    synthetic, fresh : int64 array (generations,)
        Points that are drawn from the model of the generation before, and from generation 0.
    fresh_share : float64 array (generations,)
        Probability that a point counted as synthetic is fresh instead.
    memory : int
        FORGET: a generation is fitted to what is drawn for it. KEEP: to all that was drawn so far. SUBSAMPLE: to as
        many points as are drawn for it, taken without replacement from all that was drawn so far.
    """

    synthetic: np.ndarray
    fresh: np.ndarray
    fresh_share: np.ndarray
    memory: int = FORGET

    @property
    def drawn(self) -> np.ndarray:
        """Points that are drawn for each generation."""
        total: np.ndarray = self.synthetic + self.fresh
        return total

    @property
    def fitted(self) -> np.ndarray:
        """Points that each generation is fitted to."""
        return self.drawn.cumsum() if self.memory == KEEP else self.drawn


class Regime(ABC):
    """Base class of the data regimes."""

    @abstractmethod
    def supply(self, sizes: np.ndarray) -> Supply:
        """Return where the data come from, for sample sizes (generations,)."""

    def __str__(self) -> str:
        return repr(self)


@dataclass(frozen=True)
class Replace(Regime):
    """Every point comes from the previous generation's model: the pure self-consuming loop.

    Examples
    --------
    >>> Replace()
    Replace()
    """

    def supply(self, sizes: np.ndarray) -> Supply:
        return Supply(sizes, np.zeros_like(sizes), np.zeros(sizes.size))


@dataclass(frozen=True)
class FreshMix(Regime):
    """Each point is fresh, from generation 0, with a probability; else it comes from the previous model.

    What is fresh is never decoded. A `MarkovChain` draws whole sequences, which are fresh with that probability each.

    Parameters
    ----------
    fraction : float
        Probability that a point is fresh, in [0, 1] (slug `fresh-mix`).

    Raises
    ------
    DomainError
        If `fraction` is outside [0, 1].

    Examples
    --------
    >>> FreshMix(0.1)
    FreshMix(fraction=0.1)
    """

    fraction: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "fraction", number_in("fraction", self.fraction, 0, 1))

    def supply(self, sizes: np.ndarray) -> Supply:
        return Supply(sizes, np.zeros_like(sizes), np.full(sizes.size, self.fraction))


@dataclass(frozen=True)
class Accumulate(Regime):
    """Every generation is fitted to all data so far; each adds points drawn from the model before it.

    The first points come from generation 0, so that real data stay for ever, as a share that falls like 1/t (slug
    `accumulate`; Gerstgrasser et al. 2024). They are drawn as those of every model: decoded, if there is a `decoding`.

    Examples
    --------
    >>> import numpy as np
    >>> Accumulate().supply(np.array([10, 10, 10])).fitted
    array([10, 20, 30])
    """

    def supply(self, sizes: np.ndarray) -> Supply:
        return Supply(sizes, np.zeros_like(sizes), np.zeros(sizes.size), KEEP)


@dataclass(frozen=True)
class AccumulateSubsample(Regime):
    """All data so far are kept, but a generation is fitted to a subsample of them, of its own sample size.

    The subsample is taken without replacement, from the points of the model before and of all earlier ones (slug
    `accumulate-subsample`; Kazdan et al. 2024).

    Examples
    --------
    >>> import numpy as np
    >>> AccumulateSubsample().supply(np.array([10, 10, 10])).fitted
    array([10, 10, 10])
    """

    def supply(self, sizes: np.ndarray) -> Supply:
        return Supply(sizes, np.zeros_like(sizes), np.zeros(sizes.size), SUBSAMPLE)


@dataclass(frozen=True)
class Staged(Regime):
    """The schedule of the source: the corpus grows by a fresh part a stage, and the rest is regenerated.

    Stage i = 0, 1, … has i parts from the model before and one fresh part, each of `n_samples` points, so that the
    share of real data is 1/(i + 1) (slug `staged`; ForTIFAI, arXiv 2509.08972).

    Parameters
    ----------
    stages : int
        Number of stages; each is a generation.
    then : Regime, optional
        What comes after the last stage; without it there are no more generations than stages.

    Raises
    ------
    DomainError
        If `stages` is no positive integer or `then` is no regime; `supply` if generations are left over.

    Examples
    --------
    >>> import numpy as np
    >>> supply = Staged(3, then=Replace()).supply(np.full(4, 100))
    >>> supply.synthetic, supply.fresh
    (array([  0, 100, 200, 100]), array([100, 100, 100,   0]))
    """

    stages: int
    then: Regime | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", positive_integer("stages", self.stages))
        if self.then is not None and not isinstance(self.then, (Replace, FreshMix)):
            raise DomainError("then", self.then, "Replace() or FreshMix(fraction): what was drawn before is not kept")

    def supply(self, sizes: np.ndarray) -> Supply:
        own, later = sizes[: self.stages], sizes[self.stages :]
        if self.then is None and later.size:
            admissible = f"at most {self.stages}, the stages of {self!r}, or `then` says what comes after"
            raise DomainError("generations", sizes.size, admissible)
        after = (self.then or Replace()).supply(later)
        return Supply(
            synthetic=np.concatenate([own * np.arange(own.size), after.synthetic]),
            fresh=np.concatenate([own, after.fresh]),
            fresh_share=np.concatenate([np.zeros(own.size), after.fresh_share]),
        )


@dataclass(frozen=True)
class LinearGrowth:
    """Sample sizes that grow by the same number of points a generation: an `n_samples` of `simulate`.

    Parameters
    ----------
    first : int
        Points of generation 1.
    step : int
        By which each generation has more than the one before; at least 0.

    Raises
    ------
    DomainError
        If a parameter is not admissible.

    Examples
    --------
    >>> sample_sizes(LinearGrowth(100, 50), 4)
    array([100, 150, 200, 250])
    """

    first: int
    step: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", positive_integer("first", self.first))
        object.__setattr__(self, "step", positive_integer("step", self.step, minimum=0))

    def __call__(self, generation: int) -> int:
        return self.first + self.step * (generation - 1)


@dataclass(frozen=True)
class GeometricGrowth:
    """Sample sizes that grow by the same factor a generation, rounded: an `n_samples` of `simulate`.

    Parameters
    ----------
    first : int
        Points of generation 1.
    ratio : float
        Of a generation's size to that of the one before, at least 1.

    Raises
    ------
    DomainError
        If a parameter is not admissible; `sample_sizes` if a size leaves the range of exact integers, 2^53.

    Examples
    --------
    >>> sample_sizes(GeometricGrowth(100, 1.5), 4)
    array([100, 150, 225, 338])
    """

    first: int
    ratio: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "first", positive_integer("first", self.first))
        object.__setattr__(self, "ratio", positive_number("ratio", self.ratio))
        if self.ratio < 1:
            raise DomainError("ratio", self.ratio, "a finite number of at least 1")

    def __call__(self, generation: int) -> int:
        log_size = math.log(self.first) + (generation - 1) * math.log(self.ratio)
        return round(self.first * self.ratio ** (generation - 1)) if log_size < _LOG_LARGEST else 2**54


def sample_sizes(n_samples: int | Sequence[int] | Callable[[int], int], generations: int) -> np.ndarray:
    """Return the sample size of each generation.

    Parameters
    ----------
    n_samples : int, sequence of int or callable
        The same for all; one for each; or a function of the generation 1, 2, ….
    generations : int

    Returns
    -------
    int64 array (generations,)

    Raises
    ------
    DomainError
        If a size is no positive integer, or a sequence has not one for each generation.

    Examples
    --------
    >>> sample_sizes(lambda t: 100 * 2**t, 3)
    array([200, 400, 800])
    """
    if callable(n_samples):
        given: Sequence[Any] = [n_samples(generation) for generation in range(1, generations + 1)]
    elif isinstance(n_samples, (Sequence, np.ndarray)) and not isinstance(n_samples, (str, bytes)):
        given = n_samples
        if len(given) != generations:
            raise DomainError("n_samples", f"{len(given)} sizes", f"one size for each of {generations} generations")
    else:
        return np.full(generations, positive_integer("n_samples", n_samples), np.int64)
    return np.array([positive_integer("n_samples", size) for size in given], np.int64)
