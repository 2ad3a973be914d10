"""Exact laws of fidelity intervals, wherever there is one: of models, losses and criteria as `simulate` takes them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tce_theory.errors import UnsupportedCombinationError
from tce_theory.exact.first_passage import gaussian_first_passage
from tce_theory.exact.law import FirstPassageLaw
from tce_theory.exact.two_class import TwoClassChain
from tce_theory.fidelity import fidelity_interval
from tce_theory.losses import Loss
from tce_theory.models.base import Model
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.regimes import FreshMix, Regime, Replace

__all__ = ["fidelity_law"]


def fidelity_law(
    model: Model,
    loss: Loss,
    *,
    n_samples: int,
    generations: int,
    metric: str,
    below: float | None = None,
    above: float | None = None,
    outside: tuple[float, float] | None = None,
    relative: bool = False,
    regime: Regime | None = None,
) -> FirstPassageLaw:
    """Law of the first generation at which a metric crosses a threshold, where it is known.

    Parameters
    ----------
    model : Gaussian or Categorical
        The scale of a Gaussian in the regime `Replace`, under cross entropy or the previous-mask relative rule (see
        `gaussian_first_passage`); two classes under any loss, in `Replace` or `FreshMix` (see `TwoClassChain`).
    loss : Loss
    n_samples : int
    generations : int
        Last generation of the law.
    metric : str
        Of a Gaussian "std", "log_std" or "entropy"; of two classes any that describes the model.
    below, above, outside, relative
        As in `tce_theory.fidelity.fidelity_interval`.
    regime : Regime, optional
        `Replace()` if not given.

    Returns
    -------
    FirstPassageLaw
        As `Run.fidelity_interval` measures it with ``interpolate=False``.

    Raises
    ------
    UnsupportedCombinationError
        If the law is not known.
    DomainError
        If an argument is not admissible, or beyond the reach of the computation.

    Notes
    -----
    Slugs `gaussian-ce-law`, `scale-no-go`, `wright-fisher`, `two-class-persistence` and `fresh-mix`.

    Examples
    --------
    >>> from tce_theory import CrossEntropy
    >>> law = fidelity_law(Gaussian(), CrossEntropy(), n_samples=100, generations=2000, metric="std",
    ...                    outside=(0.5**0.5, 2**0.5), relative=True)
    >>> round(law.restricted_mean, 6)
    25.353133
    """
    regime = Replace() if regime is None else regime
    criterion: dict[str, Any] = {"below": below, "above": above, "outside": outside, "relative": relative}
    if isinstance(model, Categorical) and model.probs.size == 2 and isinstance(regime, (Replace, FreshMix)):
        fraction = regime.fraction if isinstance(regime, FreshMix) else 0.0
        chain = TwoClassChain(n_samples, float(model.probs[0]), loss=loss, fraction=fraction)
        return chain.fidelity_interval(metric, **criterion, horizon=generations)
    if isinstance(model, Gaussian) and isinstance(regime, Replace) and metric in _SCALES:
        if _starts_beyond(model, metric, criterion):
            return FirstPassageLaw(np.zeros(generations), np.zeros(generations + 1), 0.0, 0)
        low, high = _band(model, metric, criterion)
        return gaussian_first_passage(
            n_samples,
            low=low,
            high=high,
            horizon=generations,
            fit_mean=model.fit_mean,
            ddof=model.ddof,
            loss=loss,
        )
    raise UnsupportedCombinationError(
        f"no exact law of {metric} is known for {type(model).__name__} in the regime {regime!r}: there is one for the "
        f"scale ({', '.join(_SCALES)}) of a Gaussian in Replace(), and for two classes in Replace() and FreshMix"
    )


_SCALES = ("std", "log_std", "entropy")
"""Metrics of a Gaussian that are functions of σ alone: σ itself, or log σ and a constant."""
_LARGEST_LOG = 700.0


_BESIDE_1 = (math.nextafter(1.0, 0.0), math.nextafter(1.0, 2.0))


def _starts_beyond(model: Gaussian, metric: str, criterion: dict[str, Any]) -> bool:
    """Whether generation 0 fails; refuses a criterion that is not admissible."""
    start = model.measure(metric, model)
    return bool(fidelity_interval([[start, start]], **criterion, metric=metric).observed[0])


def _band(model: Gaussian, metric: str, criterion: dict[str, Any]) -> tuple[float, float]:
    """Return the band of σ/σ_0 that a criterion on a metric amounts to, if generation 0 is within it."""
    start = model.measure(metric, model)

    def ratio(threshold: float) -> float:
        value = threshold * start if criterion["relative"] else threshold
        return value / start if metric == "std" else math.exp(min(value - start, _LARGEST_LOG))

    low, high = criterion["outside"] or (criterion["below"], criterion["above"])
    # a threshold at the start itself is not crossed yet, and as good as one beside it: steps have a density
    return (
        0.0 if low is None else min(max(0.0, ratio(low)), _BESIDE_1[0]),
        math.inf if high is None else max(ratio(high), _BESIDE_1[1]),
    )
