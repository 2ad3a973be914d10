"""Decoding: how a model's law is changed when the next generation's points are drawn from it.

What a model gives to the next generation is decoded, generation 0 included; points that a regime calls fresh
(`FreshMix`, `Staged`) are drawn from generation 0 as it is.
"""

from __future__ import annotations

from dataclasses import dataclass

from tce_theory.errors import DomainError
from tce_theory.validation import number_in, positive_integer, positive_number

__all__ = ["BeamSearch", "Decoding", "Temperature", "TopK", "TopP", "VarianceScaling"]


class Decoding:
    """Base class of the ways to decode."""


@dataclass(frozen=True)
class Temperature(Decoding):
    """Probabilities to the power 1/temperature, normalised: below 1 modes are sought, 1 changes nothing.

    Parameters
    ----------
    temperature : float
        Above 0 (slug `mode-seeking-limit`).

    Raises
    ------
    DomainError
        If it is not a finite number above 0.

    Examples
    --------
    >>> Temperature(0.7)
    Temperature(temperature=0.7)
    """

    temperature: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "temperature", positive_number("temperature", self.temperature))


@dataclass(frozen=True)
class TopK(Decoding):
    """The k most probable classes alone; of classes that tie for the last place those that come first.

    Parameters
    ----------
    k : int
        At least 1; 1 is greedy decoding.

    Raises
    ------
    DomainError
        If it is no positive integer.

    Examples
    --------
    >>> TopK(1)
    TopK(k=1)
    """

    k: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "k", positive_integer("k", self.k))


@dataclass(frozen=True)
class TopP(Decoding):
    """Nucleus sampling: the fewest most probable classes that together have a probability of at least p.

    Parameters
    ----------
    p : float
        In (0, 1]; 1 changes nothing (Holtzman et al. 2020).

    Raises
    ------
    DomainError
        If it is outside (0, 1].

    Examples
    --------
    >>> TopP(0.9)
    TopP(p=0.9)
    """

    p: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "p", number_in("p", self.p, 0, 1, open_low=True))


@dataclass(frozen=True)
class BeamSearch(Decoding):
    """The most probable continuation that a search with so many beams finds: nothing is drawn.

    At each step the `width` best of all continuations of the beams by one token are kept, by the sum of their log
    probabilities, ties going to the better beam and then to the lower token; all continuations have the same length.
    Log probabilities of tokens that are already in the prompt or the continuation are multiplied by the penalty before,
    as is usual (Keskar et al. 2019). For networks alone.

    Parameters
    ----------
    width : int
        Beams, at least 1; 1 is greedy decoding.
    repetition_penalty : float
        At least 1; 1 is none.

    Raises
    ------
    DomainError
        If one of them is not admissible.

    Examples
    --------
    >>> BeamSearch(5, repetition_penalty=3.0)
    BeamSearch(width=5, repetition_penalty=3.0)
    """

    width: int = 5
    repetition_penalty: float = 1.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "width", positive_integer("width", self.width))
        penalty = positive_number("repetition_penalty", self.repetition_penalty)
        if penalty < 1:
            raise DomainError("repetition_penalty", self.repetition_penalty, "a finite number of at least 1")
        object.__setattr__(self, "repetition_penalty", penalty)


@dataclass(frozen=True)
class VarianceScaling(Decoding):
    """The covariance times a factor: below 1 points are drawn closer to the mean than the model has them.

    Parameters
    ----------
    factor : float
        Above 0 (slug `mad-bias`; the sampling bias of Alemohammad et al. 2023).

    Raises
    ------
    DomainError
        If it is not a finite number above 0.

    Examples
    --------
    >>> VarianceScaling(0.9)
    VarianceScaling(factor=0.9)
    """

    factor: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "factor", positive_number("factor", self.factor))
