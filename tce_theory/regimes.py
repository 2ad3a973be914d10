"""Data regimes: where the points of the next generation come from."""

from __future__ import annotations

from dataclasses import dataclass

from tce_theory.validation import number_in

__all__ = ["FreshMix", "Regime", "Replace"]


@dataclass(frozen=True)
class Regime:
    """Base class of the data regimes."""

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


@dataclass(frozen=True)
class FreshMix(Regime):
    """Each point is fresh, from generation 0, with a probability; else it comes from the previous model.

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
