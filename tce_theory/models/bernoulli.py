"""The Bernoulli family: the categorical family with the classes 0 and 1, told by the probability of 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from tce_theory.decoding import Decoding
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.fitting import Fit
from tce_theory.losses import Loss
from tce_theory.models.base import Block, Control, Model, Recursion
from tce_theory.models.categorical import Categorical
from tce_theory.regimes import Regime, Replace
from tce_theory.validation import number_in

__all__ = ["Bernoulli"]

# metrics that the categorical family has under another name
_CATEGORICAL = {"variance": "heterozygosity", "fixed": "support"}


@dataclass(frozen=True)
class Bernoulli(Model):
    """Law on 0 and 1.

    Parameters
    ----------
    prob : float
        Probability of 1, in [0, 1]; cross entropy never returns from 0 or 1 (fixation).

    Raises
    ------
    DomainError
        If `prob` is outside [0, 1].

    See Also
    --------
    Categorical : `Categorical([1 - prob, prob])` has the same fits and, with the same seed, the same recursion.
    tce_theory.theory.literature.bernoulli_survival_bound : when 1 is lost under cross entropy.
    tce_theory.exact.TwoClassChain : the law of the recursion without simulation.

    Notes
    -----
    The metric "prob" is computed from the models, a generation at a time, which takes longer than the others.

    Examples
    --------
    >>> model = Bernoulli(0.3)
    >>> round(model.entropy(), 6), round(model.variance(), 6)
    (0.610864, 0.21)
    >>> model.sample(4, seed=1)
    array([...])
    """

    prob: float

    metric_names = ("prob", "entropy", "variance", "tv", "kl_to_origin", "kl_from_origin", "fixed", "masked_weight")
    default_metrics = ("entropy", "variance", "fixed")

    def __post_init__(self) -> None:
        object.__setattr__(self, "prob", number_in("prob", self.prob, 0, 1))

    @property
    def categorical(self) -> Categorical:
        """The same law as a categorical model."""
        return Categorical([1 - self.prob, self.prob])

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points 0 or 1, int64 (n,)."""
        return self.categorical.sample(n, seed)

    def log_density(self, x: Any) -> np.ndarray:
        """Logarithm of the probability of each point; −inf for one that cannot be drawn."""
        return self.categorical.log_density(x)

    def entropy(self) -> float:
        """Shannon entropy in nats."""
        return self.categorical.entropy()

    def peak(self) -> float:
        return max(self.prob, 1 - self.prob)

    def variance(self) -> float:
        """Variance prob·(1 − prob)."""
        return self.prob * (1 - self.prob)

    def kl_divergence(self, other: Bernoulli) -> float:
        """Kullback–Leibler divergence KL(self‖other) in nats; inf where `other` lacks a value."""
        return self.categorical.kl_divergence(_same_family(other).categorical)

    def total_variation(self, other: Bernoulli) -> float:
        """Total-variation distance |prob − other.prob|."""
        return abs(self.prob - _same_family(other).prob)

    def measure(self, metric: str, origin: Bernoulli) -> float:
        match metric:
            case "prob":
                return self.prob
            case "variance":
                return self.variance()
            case "tv":
                return self.total_variation(origin)
            case "fixed":
                return float(self.prob in (0.0, 1.0))
            case "entropy" | "kl_to_origin" | "kl_from_origin":
                return self.categorical.measure(metric, _same_family(origin).categorical)
        raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names[:-1])))

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        try:
            self.categorical.check(loss, regime, decoding)
        except UnsupportedCombinationError as error:
            raise UnsupportedCombinationError(str(error).replace("Categorical", "Bernoulli", 1)) from None

    def fit(self, data: Any, loss: Loss) -> Fit[Bernoulli]:
        """Fit the probability; data are points 0 or 1, or `Counts` of the two; weights are those of the two values."""
        self.check(loss, Replace())
        fit = self.categorical.fit(data, loss)
        return replace(fit, model=_of(fit.model))  # type: ignore[arg-type, return-value]

    def decoded(self, decoding: Decoding | None) -> Bernoulli:
        return _of(self.categorical.decoded(decoding))

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        return _BernoulliRecursion(self.categorical.recursion(loss, sizes, regime, sampler, decoding))


def _of(model: Categorical) -> Bernoulli:
    return Bernoulli(float(model.probs[1]))


def _told(function: Callable[[Any], float]) -> Callable[[Any], float]:
    """Make a function of this family's models one of categorical models."""
    return lambda model: function(_of(model))


def _same_family(other: Any) -> Bernoulli:
    if not isinstance(other, Bernoulli):
        raise DomainError("other", other, "a Bernoulli model")
    return other


class _BernoulliRecursion(Recursion):
    """The recursion of the categorical family, and its metrics under their names here."""

    def __init__(self, inner: Recursion) -> None:
        self.inner = inner
        self.cost, self.block_size, self.stream = inner.cost, inner.block_size, inner.stream

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        names = [_CATEGORICAL.get(name, name) for name in metrics if name != "prob"]
        wanted = {name: _told(function) for name, function in functions.items()}
        if "prob" in metrics:
            wanted["prob"] = _told(lambda model: float(model.prob))
        block = self.inner.run_block(rng, replicates, names, wanted, control)
        if control.stop[0]:
            return block
        values = {name: block.metrics[_CATEGORICAL.get(name, name)] for name in (*metrics, *functions)}
        if "variance" in values:
            values["variance"] = values["variance"] / 2
        if "fixed" in values:
            values["fixed"] = np.asarray(values["fixed"] == 1, dtype=np.float64)
        return replace(block, metrics=values)
