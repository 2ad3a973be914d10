"""Which threshold, if any: the choice of gamma for a model, a sample size, a metric and a horizon.

Candidates are compared with cross entropy by exact laws where there are any and by simulation otherwise. The best of
many is likely to have been lucky, too, so that it is measured once more, with other random numbers, and chosen only if
it helps there. What it costs on other metrics, and what fresh or accumulated data would have done, is measured beside.
"""

from __future__ import annotations

import contextlib
import math
import sys
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, TypeAlias

import numpy as np
from scipy.optimize import isotonic_regression

from tce_theory.decoding import Decoding
from tce_theory.errors import DomainError, StatisticalWarning, UnsupportedCombinationError
from tce_theory.exact import FirstPassageLaw, fidelity_law
from tce_theory.fidelity import FEW_FAILURES, ExtensionFactor, FidelityInterval, extension_factor, fidelity_interval
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models.base import Model
from tce_theory.progress import shown_stages
from tce_theory.recursion import simulate
from tce_theory.regimes import Accumulate, FreshMix, Regime, Replace
from tce_theory.run import Run
from tce_theory.validation import finite_array, one_of, positive_integer, recorded_seed

__all__ = ["GammaChoice", "Option", "SideEffect", "choose_gamma"]

_OF_THE_PEAK = (0.5, 0.7, 0.85, 0.95, 1.0, 1.05, 1.1, 1.2, 1.35, 1.5, 2.0, 3.0)
"""Candidates on the absolute scale, as multiples of the greatest density or probability of generation 0."""
_OF_THE_CRITICAL_RADIUS = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 4.0, 8.0)
"""Candidates on the relative scale: multiples of the radius sqrt(2π)/n at which log σ has no drift."""
_FRACTIONS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_LEVEL = 0.95
_CE = CrossEntropy()
_LARGEST = sys.float_info.max
_TIE = 1e-3
_NEGLIGIBLE = 1e-9
"""Share that outlasts the horizon which is rounding: of exact laws no share is 0."""
_Times: TypeAlias = FidelityInterval | FirstPassageLaw


@dataclass(frozen=True, kw_only=True)
class Option:
    """A way to train, against cross entropy in the same regime.

    Attributes
    ----------
    name : str
        "gamma", "fraction" (cross entropy with fresh data) or "accumulate" (cross entropy on all data so far).
    value : float or None
        The threshold, or the fraction.
    factor : ExtensionFactor
        Of the fidelity interval of the metric in question, in whole generations.
    is_exact : bool
        Whether the factor is computed from exact laws: its limits are then those of rounding and quadrature.
    """

    name: str
    value: float | None
    factor: ExtensionFactor
    is_exact: bool


@dataclass(frozen=True, kw_only=True)
class SideEffect:
    """What the chosen threshold does to another metric.

    Attributes
    ----------
    metric : str
    start : float
        Its value at generation 0.
    distance : float
        Median distance from the start, up or down, under cross entropy at the generation by which half of its
        replicates have failed in the metric in question (or at the last one). A replicate fails in this metric once it
        is farther away than that.
    factor : ExtensionFactor
        Of the fidelity interval with that criterion. If `factor.high` is below 1 the metric departs sooner than under
        cross entropy: from the truth, to either side, so that an entropy that rises counts as one that falls does. Each
        interval is by itself: of many effects that are none, one in forty lies below 1 at 95 %.
    """

    metric: str
    start: float
    distance: float
    factor: ExtensionFactor


@dataclass(frozen=True, kw_only=True, eq=False)
class GammaChoice:
    """What `choose_gamma` found.

    Attributes
    ----------
    gamma : float or None
        The threshold; None if none helps. One helps if the lower limit of `factor` is above 1 and its p-value is at
        most 0.05: if none has an effect, one is chosen in at most some 2.5 % of studies, however many are tried.
    factor : ExtensionFactor or None
        Extension factor of the best candidate, from random numbers that had no part in its choice. None if cross
        entropy does not fail, so that there is nothing to extend.
    best : float or None
        The mildest candidate that is not distinguishably worse than the one with the largest factor, whether it helps
        or not: the largest threshold, which masks least, with a factor of at least the lower limit of the largest one
        (or a thousandth less than the largest, where that is known better).
    is_exact : bool
        Whether `factor` is computed from exact laws.
    candidates : tuple of Option
        All thresholds that were tried; their intervals are each by itself.
    rivals : tuple of Option
        Cross entropy with fractions of fresh data, and on accumulated data, as far as the family goes with them.
    equivalent_fraction : tuple of float or None
        The fraction of fresh data with which cross entropy has the same factor, and its limits: where the upper limits
        of the factors of fresh data reach the lower one of `factor`, and their lower limits its upper one. Factors are
        made to rise with the fraction and interpolated between those that were tried; infinity stands for more than
        the largest of them. None if nothing helps, or fresh data cannot be compared.
    side_effects : tuple of SideEffect
    criterion : str
        What counts as failure.
    baseline_mean : float
        Mean fidelity interval under cross entropy, restricted to the horizon, in generations.
    setting : dict
        Model, sample size, generations, regime, decoding, scale, mask, replicates and seed.
    notes : tuple of str
    """

    gamma: float | None
    factor: ExtensionFactor | None
    best: float | None
    is_exact: bool
    candidates: tuple[Option, ...]
    rivals: tuple[Option, ...]
    equivalent_fraction: tuple[float, float, float] | None
    side_effects: tuple[SideEffect, ...]
    criterion: str
    baseline_mean: float
    setting: dict[str, Any]
    notes: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in JSON's types (but for infinities)."""
        return asdict(self)


def choose_gamma(
    model: Model,
    *,
    n_samples: int,
    generations: int,
    metric: str,
    below: float | None = None,
    above: float | None = None,
    outside: tuple[float, float] | None = None,
    relative: bool = False,
    gammas: Sequence[float] | None = None,
    scale: str = "absolute",
    mask: str = "current",
    regime: Regime | None = None,
    decoding: Decoding | None = None,
    replicates: int = 1000,
    seed: int | None = None,
    n_jobs: int = -1,
    progress: bool = False,
) -> GammaChoice:
    """Choose the threshold of TCE that keeps a metric within its limits for longest, or say that none helps.

    Parameters
    ----------
    model : Model
        Generation 0, the truth.
    n_samples : int
        Points drawn for each generation.
    generations : int
        The horizon: intervals are compared up to here.
    metric : str
        Name of one of the family's metrics.
    below, above, outside, relative
        When it fails, as for `Run.fidelity_interval`.
    gammas : sequence of float, optional
        Candidates. If not given they are spread around the greatest density or probability of generation 0 (absolute
        scale), or around the threshold at which log σ has no drift (relative scale; slug `critical-truncation`).
    scale, mask : str
        As of `TruncatedCrossEntropy`.
    regime : Regime, optional
        Where the data come from, for cross entropy and TCE alike; `Replace()` if not given.
    decoding : Decoding, optional
    replicates : int
        Of every simulation.
    seed : int, optional
        Fresh entropy, which `setting` records, if not given.
    n_jobs : int
        Threads; −1 for one a processor. Results do not depend on it.
    progress : bool
        Show on the standard error stream, if that is a terminal, what is being simulated.

    Returns
    -------
    GammaChoice

    Raises
    ------
    DomainError
        If an argument is not admissible, or generation 0 has failed already.
    UnsupportedCombinationError
        If the family does not go with TCE of this scale and mask, the regime or the decoding.

    Notes
    -----
    All intervals are in whole generations, and factors are ratios of means restricted to the horizon (slug
    `extension-law` has the law of the ratio for Gaussians). Simulations draw from streams of their own, all derived
    from the seed. Where cross entropy is known exactly, a candidate with at least 20 failures is compared with a
    constant; with fewer its limits would be too narrow for that, and both sides are simulated.

    The candidates are compared first; the mildest of those that are not distinguishably worse than the best (see
    `GammaChoice`) is then simulated once more, with cross entropy, and these fresh numbers alone decide whether it
    helps. So it is a choice for one metric, one threshold of that metric and one horizon: means restricted to another
    horizon may have another ratio, and if survival curves cross even one on the other side of 1.

    Examples
    --------
    How long two classes coexist, exactly; and what that costs:

    >>> import tce_theory as tce
    >>> choice = tce.choose_gamma(tce.Categorical([0.6, 0.4]), n_samples=50, generations=400, metric="support",
    ...                           below=2, gammas=[0.7, 0.95], replicates=200, seed=1)
    >>> choice.gamma, round(choice.factor.ratio, 2), choice.is_exact
    (0.95, 6.11, True)
    >>> [effect.metric for effect in choice.side_effects if effect.factor.high < 1]
    ['tv', 'kl_to_origin']
    """
    if not isinstance(model, Model):
        raise DomainError("model", model, "a model of this library, such as Gaussian() or Categorical(probs)")
    n_samples = positive_integer("n_samples", n_samples)
    generations = positive_integer("generations", generations)
    replicates = positive_integer("replicates", replicates, minimum=20)
    seed = recorded_seed(seed)
    criterion = {"below": below, "above": above, "outside": outside, "relative": relative}
    study = _Study(
        model=model,
        sizes={"n_samples": n_samples, "generations": generations},
        metric=metric,
        criterion=criterion,
        regime=Replace() if regime is None else regime,
        decoding=decoding,
        replicates=replicates,
        n_jobs=n_jobs,
        seeds=np.random.SeedSequence(seed),
    )
    one_of("metric", metric, _measures(model))
    losses = _candidates(model, n_samples, gammas, scale, mask)
    for loss in (_CE, *losses):
        model.check(loss, study.regime, decoding)
    with warnings.catch_warnings(), shown_stages(not progress) as stage:
        warnings.simplefilter("ignore", StatisticalWarning)  # what matters here of it is among the notes
        found = study.choice(losses, stage or (lambda text: None))
    setting = {
        "model": repr(model),
        **study.sizes,
        "regime": repr(study.regime),
        "decoding": None if decoding is None else repr(decoding),
        "scale": scale,
        "mask": mask,
        "replicates": replicates,
        "seed": seed,
    }
    return GammaChoice(**found, setting=setting)


def _candidates(model: Model, n: int, gammas: Sequence[float] | None, scale: str, mask: str) -> list[Loss]:
    """Return the losses with the thresholds that are given, or those of the usual ones that the family goes with."""

    def loss(gamma: float) -> Loss:
        return TruncatedCrossEntropy(gamma, scale=scale, mask=mask)

    loss(1.0)  # a scale or a mask that does not exist is no reason to have no candidates
    if gammas is not None:
        given = dict.fromkeys(finite_array("gammas", gammas).tolist())
        try:
            return [loss(gamma) for gamma in given]
        except DomainError as error:
            raise DomainError("gammas", error.value, f"numbers, each of them {error.admissible}") from None
    if scale == "relative":
        radii = [multiple * math.sqrt(2 * math.pi) / n for multiple in _OF_THE_CRITICAL_RADIUS]
        values = [math.exp(-(radius**2) / 2) for radius in radii]
    else:
        values = [multiple * model.peak() for multiple in _OF_THE_PEAK]
    found = []
    for value in values:
        with contextlib.suppress(DomainError):  # above 1 for probabilities, say
            candidate = loss(value)
            model.check(candidate, Replace())
            found.append(candidate)
    return found


@dataclass(frozen=True, kw_only=True)
class _Study:
    """Fidelity intervals in one setting, each from a stream of its own."""

    model: Model
    sizes: dict[str, int]
    metric: str
    criterion: dict[str, Any]
    regime: Regime
    decoding: Decoding | None
    replicates: int
    n_jobs: int
    seeds: np.random.SeedSequence

    @property
    def horizon(self) -> int:
        return self.sizes["generations"]

    def choice(self, losses: Sequence[Loss], tell: Callable[[str], None]) -> dict[str, Any]:
        """Return the attributes of the choice."""
        tell("cross entropy")
        run = self.run(_CE, self.regime, [self.metric])
        interval = self.interval(run)
        if not interval.times.any():
            admissible = f"one that generation 0 does not fail in ({interval.criterion})"
            raise DomainError("metric", self.metric, admissible)
        baseline = _Baseline(self.law(_CE, self.regime), interval)
        candidates = []
        for loss in losses:
            tell(f"TCE, gamma = {loss.gamma:.4g}")  # type: ignore[attr-defined]
            candidates.append(self.option("gamma", loss.gamma, baseline, loss, self.regime))  # type: ignore[attr-defined]
        rivals = self.rivals(baseline, tell)
        found: dict[str, Any] = {
            "gamma": None,
            "factor": None,
            "best": None,
            "is_exact": False,
            "candidates": tuple(candidates),
            "rivals": rivals,
            "equivalent_fraction": None,
            "side_effects": (),
            "criterion": interval.criterion,
            "baseline_mean": baseline.mean,
            "notes": (),
        }
        if not interval.observed.any():
            note = f"cross entropy does not fail within {self.horizon} generations: there is nothing to extend"
            return {**found, "notes": (note,)}
        if not candidates:
            return {**found, "notes": ("the family admits none of the usual thresholds: give some as gammas",)}
        best = _mildest_of_the_best(candidates)
        loss = next(loss for loss in losses if loss.gamma == best.value)  # type: ignore[attr-defined]
        tell(f"once more, gamma = {best.value:.4g}")
        factor, effects, notes = self.confirmed(best, loss, baseline, tell)
        helps = factor.low > 1 and (factor.ratio_p is None or factor.ratio_p <= 1 - _LEVEL)
        fraction = _equivalent_fraction(factor, rivals, self.horizon / baseline.mean) if helps else None
        return {
            **found,
            "gamma": best.value if helps else None,
            "factor": factor,
            "best": best.value,
            "is_exact": best.is_exact,
            "equivalent_fraction": fraction,
            "side_effects": effects,
            "notes": notes,
        }

    def confirmed(
        self, best: Option, loss: Loss, baseline: _Baseline, tell: Callable[[str], None]
    ) -> tuple[ExtensionFactor, tuple[SideEffect, ...], tuple[str, ...]]:
        """Return the factor from new random numbers, and effects on other metrics and notes, from the same runs."""
        others = [name for name in _measures(self.model) if name != self.metric]
        tell("other metrics")
        runs = [self.run(loss_, self.regime, [self.metric, *others]) for loss_ in (_CE, loss)]
        failed = self.interval(runs[0])
        anew = replace(baseline, interval=failed)
        factor = best.factor if best.is_exact else anew.factor(self.interval(runs[1]))
        at = failed.median
        at = self.horizon if math.isinf(at) else int(at)
        effects = [self.side_effect(name, at, *runs) for name in others]
        return factor, tuple(effect for effect in effects if effect is not None), _notes(failed, runs[1])

    def side_effect(self, metric: str, at: int, baseline: Run, treated: Run) -> SideEffect | None:
        """Return what happens to another metric; None if it says nothing of generation 0, or has not moved."""
        start = float(baseline.metrics[metric][0, 0])
        if not math.isfinite(start):
            return None
        distances = np.abs(baseline.metrics[metric][:, at] - start)
        distance = float(np.quantile(distances, 0.5, method="inverted_cdf"))
        if not distance > 0:
            return None
        allowed = min(distance, _LARGEST)
        intervals = [
            fidelity_interval(
                np.abs(run.metrics[metric] - start),
                above=allowed,
                interpolate=False,
                metric=f"distance of {metric} from {start:g}",
                seed=run.seed,
            )
            for run in (baseline, treated)
        ]
        if not intervals[0].times.all() or not intervals[0].observed.any():
            return None
        return SideEffect(
            metric=metric, start=start, distance=distance, factor=extension_factor(intervals[0], intervals[1])
        )

    def rivals(self, baseline: _Baseline, tell: Callable[[str], None]) -> tuple[Option, ...]:
        """Return what cross entropy gains from fresh data in place of generated ones, and from keeping all."""
        if not isinstance(self.regime, Replace):
            return ()  # there are fresh or old data in it already
        found = []
        for regime in (*map(FreshMix, _FRACTIONS), Accumulate()):
            is_mix = isinstance(regime, FreshMix)
            tell(f"{100 * regime.fraction:g} % fresh data" if isinstance(regime, FreshMix) else "accumulated data")
            with contextlib.suppress(UnsupportedCombinationError):
                self.model.check(_CE, regime, self.decoding)
                value = regime.fraction if isinstance(regime, FreshMix) else None
                found.append(self.option("fraction" if is_mix else "accumulate", value, baseline, _CE, regime))
        return tuple(found)

    def option(self, name: str, value: float | None, baseline: _Baseline, loss: Loss, regime: Regime) -> Option:
        law = self.law(loss, regime) if baseline.law is not None else None
        factor = baseline.factor(law or self.interval(self.run(loss, regime, [self.metric])))
        return Option(name=name, value=value, factor=factor, is_exact=law is not None)

    # ------------------------------------------------------------------------------------------------- intervals

    def law(self, loss: Loss, regime: Regime) -> FirstPassageLaw | None:
        """Return the exact law of the interval, if it is known and within reach."""
        if self.decoding is not None:
            return None
        try:
            return fidelity_law(self.model, loss, **self.sizes, metric=self.metric, **self.criterion, regime=regime)
        except (UnsupportedCombinationError, DomainError):
            return None

    def run(self, loss: Loss, regime: Regime, metrics: Sequence[str]) -> Run:
        seed = int(self.seeds.spawn(1)[0].generate_state(1, np.uint64)[0])
        run = simulate(
            self.model,
            loss,
            n_samples=self.sizes["n_samples"],
            generations=self.sizes["generations"],
            replicates=self.replicates,
            n_jobs=self.n_jobs,
            regime=regime,
            decoding=self.decoding,
            metrics=metrics,
            seed=seed,
        )
        if run.interrupted:  # a choice by the replicates that had finished would pass for the one that was asked for
            raise KeyboardInterrupt
        return run

    def interval(self, run: Run) -> FidelityInterval:
        return run.fidelity_interval(self.metric, **self.criterion, interpolate=False)


@dataclass(frozen=True)
class _Baseline:
    """Cross entropy, simulated and, where it is known, exactly."""

    law: FirstPassageLaw | None
    interval: FidelityInterval

    @property
    def mean(self) -> float:
        return _mean(self.law or self.interval)

    def factor(self, treated: _Times) -> ExtensionFactor:
        # few failures say less than a bootstrap of them: without any, it would be certain that there are none
        if isinstance(treated, FidelityInterval) and (self.law is None or treated.observed.sum() < FEW_FAILURES):
            return extension_factor(self.interval, treated, level=_LEVEL)
        return _factor(self.law or self.interval, treated)


def _measures(model: Model) -> tuple[str, ...]:
    """Return the metrics that measure a model: neither its data, nor the noise of another metric."""
    return tuple(name for name in model.metric_names if name != "masked_weight" and not name.endswith("_se"))


def _mean(times: _Times) -> float:
    return times.restricted_mean if isinstance(times, FirstPassageLaw) else times.mean


def _equivalent_fraction(
    factor: ExtensionFactor, rivals: Sequence[Option], longest: float
) -> tuple[float, float, float] | None:
    """Return where the factor of fresh data, made monotone, reaches that of TCE; and limits, of the noise of both."""
    mixes = [option for option in rivals if option.name == "fraction"]
    if not mixes:
        return None
    fractions = [0.0, *(option.value or 0.0 for option in mixes)]

    def where(ratio: float, factors: list[float]) -> float:
        curve = isotonic_regression([1.0, *factors]).x
        rises = np.concatenate([[True], np.diff(curve) > 0])
        # what outlasts the horizon does so to a thousandth; beyond the largest fraction nothing is known
        reached = min(ratio, longest * (1 - _TIE))
        return float(np.interp(reached, curve[rises], np.array(fractions)[rises], right=math.inf))

    return (
        where(factor.ratio, [option.factor.ratio for option in mixes]),
        where(factor.low, [option.factor.high for option in mixes]),
        where(factor.high, [option.factor.low for option in mixes]),
    )


def _mildest_of_the_best(candidates: Sequence[Option]) -> Option:
    """Return the largest threshold, which masks least, of those that are not distinguishably worse than the best."""
    best = max(candidates, key=lambda option: option.factor.ratio)
    enough = min(best.factor.low, best.factor.ratio * (1 - _TIE))
    return max((option for option in candidates if option.factor.ratio >= enough), key=lambda option: option.value or 0)


def _notes(baseline: FidelityInterval, treated: Run) -> tuple[str, ...]:
    """Return what a reader has to know of the runs behind the factor."""
    notes = []
    failures = int(baseline.observed.sum())
    if failures < FEW_FAILURES:
        notes.append(
            f"{failures} of {baseline.observed.size} replicates failed under cross entropy: factors are unreliable"
        )
    vacuous = treated.events.get("vacuous", np.zeros(1)).sum() / (treated.replicates.size * treated.generations)
    if vacuous > 0:
        notes.append(f"{100 * vacuous:.2g} % of the fits were vacuous: a convention determined them, not the data")
    return tuple(notes)


def _factor(baseline: _Times, treated: _Times) -> ExtensionFactor:
    """Compare two intervals, one of which at least is known exactly."""
    (low0, high0), (low1, high1) = map(_limits, (baseline, treated))
    censored = [_share_censored(times) for times in (baseline, treated)]
    return ExtensionFactor(
        ratio=_mean(treated) / _mean(baseline),
        low=low1 / high0,
        high=high1 / low0,
        level=_LEVEL,
        statistic="mean",
        paired=False,
        horizon=float(baseline.horizon),
        is_restricted=any(share > _NEGLIGIBLE for share in censored),
        is_lower_bound=censored[0] <= _NEGLIGIBLE < censored[1],
        logrank_p=None,
        ratio_p=None,
        baseline_censored=censored[0],
        treated_censored=censored[1],
    )


def _limits(times: _Times) -> tuple[float, float]:
    if isinstance(times, FidelityInterval):
        return times.ci("mean", level=_LEVEL)
    error = times.horizon * times.error
    return times.restricted_mean - error, times.restricted_mean + error


def _share_censored(times: _Times) -> float:
    return float(times.survival[-1]) if isinstance(times, FirstPassageLaw) else times.share_censored
