"""The law of a first passage at whole generations."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

__all__ = ["FirstPassageLaw"]


@dataclass(frozen=True, eq=False)
class FirstPassageLaw:
    """Law of the first generation τ at which a model is outside its band.

    Attributes
    ----------
    mass : ndarray of float, shape (horizon,)
        ``mass[t - 1]`` = Pr(τ = t), t = 1 … horizon.
    survival : ndarray of float, shape (horizon + 1,)
        ``survival[t]`` = Pr(τ > t), t = 0 … horizon. A model that starts outside its band has τ = 0, and zeros here.
    error : float
        Estimate of the largest error in `survival`. Of a quadrature: the change on refining the grid, the bound on what
        was cut off an unbounded band, and under truncation the effect of the error of the step's law. Of a
        finite chain: rounding, which grows with t as long as it survives.
    n_nodes : int
        Nodes of the quadrature, or states of the chain inside the band.
    """

    mass: np.ndarray
    survival: np.ndarray
    error: float
    n_nodes: int

    @property
    def horizon(self) -> int:
        """Last generation of the law."""
        return self.mass.size

    @property
    def restricted_mean(self) -> float:
        """E min(τ, horizon) in generations, with an error of at most about horizon · `error`."""
        return math.fsum(self.survival[:-1])

    @property
    def median(self) -> float:
        """Smallest t with Pr(τ ≤ t) ≥ 1/2, or inf if that is beyond the horizon."""
        passed = np.flatnonzero(self.survival <= 0.5)
        return float(passed[0]) if passed.size else math.inf
