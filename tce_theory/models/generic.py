"""The recursion of any family that can sample and fit: point by point, in Python."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tce_theory.decoding import Decoding
from tce_theory.fitting import Fit
from tce_theory.losses import Loss
from tce_theory.models.base import Block, Control, Model, Recursion, block_size_for
from tce_theory.regimes import FORGET, KEEP, Supply

__all__ = ["GenericRecursion"]

_OVERHEAD = 2.0**14  # a generation in Python takes about as long as this many random numbers


class GenericRecursion(Recursion):
    """Blocks of a recursion that calls `Model.sample` and `Model.fit` for every generation."""

    stream = "points of the model"

    def __init__(self, model: Model, loss: Loss, supply: Supply, decoding: Decoding | None) -> None:
        self.model, self.loss, self.supply, self.decoding = model, loss, supply, decoding
        self.cost = _OVERHEAD + float(supply.fitted.mean())
        self.block_size = block_size_for(self.cost)

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        generations = self.supply.drawn.size
        values = {name: np.full((replicates, generations + 1), np.nan) for name in (*metrics, *functions)}
        vacuous = np.zeros(replicates, np.int64)

        def record(r: int, t: int, model: Model, fit: Fit[Any] | None) -> None:
            for name in metrics:
                if name != "masked_weight":
                    values[name][r, t] = model.measure(name, self.model)
                elif fit is not None:
                    values[name][r, t] = fit.masked_weight
            for name, function in functions.items():
                values[name][r, t] = function(model)

        for r in range(replicates):
            model, pool = self.model, self.model.sample(1, rng)[:0]
            record(r, 0, model, None)
            for t in range(1, generations + 1):
                if control.stop[0]:
                    return Block({}, {})
                data, pool = self._data(rng, t - 1, model, pool)
                fit = model.fit(data, self.loss)
                model = fit.model
                vacuous[r] += fit.vacuous
                record(r, t, model, fit)
                control.progress[control.slot] += 1
        return Block(values, {"vacuous": vacuous})

    def _data(
        self, rng: np.random.Generator, step: int, model: Model, pool: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a generation is fitted to, and all that was drawn so far if that is kept."""
        supply = self.supply
        n_mixed = int(rng.binomial(supply.synthetic[step], supply.fresh_share[step]))
        n_fresh, n_synthetic = int(supply.fresh[step]) + n_mixed, int(supply.synthetic[step]) - n_mixed
        parts = [self.model.sample(n_fresh, rng)] if n_fresh else []
        parts += [model.decoded(self.decoding).sample(n_synthetic, rng)] if n_synthetic else []
        drawn = np.concatenate(parts)
        if supply.memory == FORGET:
            return drawn, pool
        pool = np.concatenate([pool, drawn])
        return (pool if supply.memory == KEEP else rng.choice(pool, len(drawn), replace=False)), pool
