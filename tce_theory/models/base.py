"""What every family provides: a model, its exact fits, and its recursion over blocks of replicates."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields
from typing import Any, ClassVar, Self

import numpy as np

from tce_theory.decoding import Decoding
from tce_theory.errors import UnsupportedCombinationError
from tce_theory.fitting import Fit
from tce_theory.losses import Loss
from tce_theory.regimes import Regime

__all__ = ["Block", "Control", "Model", "Recursion"]


class Model(ABC):
    """A member of a parametric family.

    A family is a frozen dataclass that says how to `sample`, how to `fit` and what to `measure`; it then works with
    `tce_theory.simulate` in every regime. Families with kernels of their own override `recursion`.

    Attributes
    ----------
    fit_kind : str
        What `fit` finds, in words, for the table of what goes with what.
    metric_names, default_metrics : tuple of str
        What `measure` knows, and what is recorded if nothing else is asked for. "masked_weight", which describes a fit
        and not a model, is recorded by the recursion.
    results_version : int
        Counts how often results of this family's recursion have changed for the same seed and parameters. Stored
        experiments with another number are run again; a test holds results against recorded ones.
    """

    fit_kind: ClassVar[str] = "exact fit"
    metric_names: ClassVar[tuple[str, ...]] = ()
    default_metrics: ClassVar[tuple[str, ...]] = ()
    results_version: ClassVar[int] = 1

    @abstractmethod
    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points; the first axis is that of points."""

    @abstractmethod
    def fit(self, data: Any, loss: Loss) -> Fit[Self]:
        """Fit the family to data, starting from this model; users call `tce_theory.fit`, which also warns."""

    @abstractmethod
    def measure(self, metric: str, origin: Self) -> float:
        """Return the value of one of `metric_names`; `origin` is generation 0."""

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        """Raise UnsupportedCombinationError or DomainError if the family does not go with this: here with decoding."""
        if decoding is not None:
            raise UnsupportedCombinationError(f"{type(self).__name__} is sampled as it is, not with {decoding!r}")

    def decoded(self, decoding: Decoding | None) -> Self:
        """Return the model that points are drawn from."""
        return self

    def peak(self) -> float:
        """Return the largest value of the density, or of the probabilities: the natural scale of a threshold gamma."""
        raise UnsupportedCombinationError(f"{type(self).__name__} has no peak(): it does not say how large its law is")

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        """Prepare the recursion that starts from this model, for sample sizes (generations,)."""
        from tce_theory.models.generic import GenericRecursion

        return GenericRecursion(self, loss, regime.supply(sizes), decoding)

    def describe(self) -> dict[str, Any]:
        """Return family and parameters in JSON's types, for the provenance; long arrays by their digest."""
        return {"name": type(self).__name__, **{item.name: _plain(getattr(self, item.name)) for item in fields(self)}}  # type: ignore[arg-type]


_RECORDED = 10_000  # numbers of an array that are recorded


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        if value.size <= _RECORDED:
            return value.tolist()
        return {"shape": list(value.shape), "sha256": hashlib.sha256(value.tobytes()).hexdigest()}
    return value if isinstance(value, (str, int, float, bool, type(None))) else repr(value)


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

    def surroundings(self) -> AbstractContextManager[None]:
        """Return a context that holds while blocks run, such as limits of other libraries; none by default."""
        return nullcontext()

    @abstractmethod
    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        """Run the replicates of one block; its result is discarded if `control.stop` was set meanwhile."""


def block_size_for(cost: float) -> int:
    """Replicates in a block for a cost, in random numbers, of one generation: fewer the more it costs."""
    return int(np.clip(2 ** int(np.log2(2**16 / max(cost, 1.0))), 1, 64)) if cost < 2**16 else 1
