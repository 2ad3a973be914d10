"""What every family provides: a model, its exact fits, and its recursion over blocks of replicates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np

from tce_theory.fitting import Fit
from tce_theory.losses import Loss
from tce_theory.regimes import Regime

__all__ = ["Block", "Control", "Model", "Recursion"]


class Model(ABC):
    """A member of a parametric family.

    Attributes
    ----------
    results_version : int
        Counts how often results of this family's recursion have changed for the same seed and parameters. Stored
        experiments with another number are run again; a test holds results against recorded ones.
    """

    results_version: ClassVar[int] = 1
    metric_names: tuple[str, ...] = ()
    default_metrics: tuple[str, ...] = ()

    @abstractmethod
    def check(self, loss: Loss, regime: Regime) -> None:
        """Raise UnsupportedCombinationError or DomainError if the family has no exact fit for this loss and regime."""

    @abstractmethod
    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points."""

    @abstractmethod
    def fit(self, data: Any, loss: Loss) -> Fit[Self]:
        """Fit the family to data; users call `tce_theory.fit`, which also warns."""

    @abstractmethod
    def recursion(self, loss: Loss, n_samples: int, regime: Regime, sampler: str) -> Recursion:
        """Prepare the recursion that starts from this model."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Return family and parameters in JSON's types, for the provenance."""


@dataclass(frozen=True)
class Control:
    """What a running block shares with the thread that waits for it.

    Parameters
    ----------
    stop : uint8 array (1,)
        Set to 1 to end early.
    progress : int64 array
        Replicate-generations done, counted at `slot`.
    slot : int
    """

    stop: np.ndarray
    progress: np.ndarray
    slot: int


@dataclass(frozen=True)
class Block:
    """What a block of replicates yields.

    Parameters
    ----------
    metrics : dict of str to float64 array (replicates, generations + 1)
    events : dict of str to int64 array (replicates,)
    last_log_scale : float64 array (replicates,), optional
        Logarithm of the scale at the last generation, of a family that has one: its spread decides whether means over
        replicates can be trusted.
    """

    metrics: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    last_log_scale: np.ndarray | None = None


class Recursion(ABC):
    """A recursion that is ready to run block by block.

    Attributes
    ----------
    cost : float
        Random numbers that a generation of one replicate takes.
    block_size : int
        Replicates in a block. It depends on the family, the sample size and the sampler alone, because the streams of
        random numbers belong to blocks.
    stream : str
        What the random numbers are used for, such as "points": two recursions with one seed share their noise if they
        have this and the block size in common.
    """

    cost: float
    block_size: int
    stream: str

    @abstractmethod
    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        generations: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        """Run the replicates of one block; its result is discarded if `control.stop` was set meanwhile."""


def block_size_for(cost: float) -> int:
    """Replicates in a block for a cost, in random numbers, of one generation: fewer the more it costs."""
    return int(np.clip(2 ** int(np.log2(2**16 / max(cost, 1.0))), 1, 64)) if cost < 2**16 else 1
