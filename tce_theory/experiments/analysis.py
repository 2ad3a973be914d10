"""How a `Study` is made from the runs of an experiment: factors with limits that hold together, outcomes, verdicts."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from tce_theory import claims as rules
from tce_theory.experiments.design import Criterion, StudyClaim, StudyDesign
from tce_theory.experiments.mapping import adjusted_p_values
from tce_theory.experiments.study import (
    ALIKE,
    BETTER,
    FAILS,
    HOLDS,
    MOST_CENSORED,
    NOT_TOLD_APART,
    ONLY,
    WORSE,
    CellSummary,
    ClaimResult,
    ControlCheck,
    CurvePoint,
    Design,
    Entry,
    Finding,
    MetricPath,
    OtherFactor,
    Study,
    rounded,
)
from tce_theory.experiments.tables import compared, criterion_in_words, estimated, incomplete_notes, interval_of
from tce_theory.fidelity import FidelityInterval

if TYPE_CHECKING:
    from tce_theory.experiments.results import Experiment, StoredCell
    from tce_theory.run import Run

__all__ = ["Analysis"]

_POINTWISE = 0.95
_TAIL_RESAMPLES = 20
"""Resamples beyond a limit, so that it is no extreme of them."""
_RESAMPLES = (4000, 100_000)
_FEWEST = 5
"""Replicates: resamples of fewer say next to nothing of tails, so that there are no limits."""
_FACTOR = (
    "ratio",
    "low",
    "high",
    "is_lower_bound",
    "is_restricted",
    "horizon",
    "ratio_p",
    "paired",
    "baseline_censored",
    "treated_censored",
)
_IDLE = (
    "fewer than half of the replicates of either side fail by the horizon: a factor near 1 says only that nothing has "
    "happened"
)
_OF_CONTROLS = {rules.YES: WORSE, rules.HARM: BETTER, rules.NONE: ALIKE, rules.UNDECIDED: NOT_TOLD_APART}
"""What the outcome of a condition's factor over a control says of the control."""


class _Arm(NamedTuple):
    """One setting under one condition; it has no run before one of its replicates has finished."""

    cell: StoredCell
    run: Run | None

    def interval(self, criterion: Criterion) -> FidelityInterval | str:
        if self.run is None:
            return f"{self.condition}: {self.cell.error or 'no replicate has finished'}"
        interval = interval_of(self.run, criterion)
        return f"{self.condition}: {interval}" if isinstance(interval, str) else interval

    @property
    def condition(self) -> str:
        return str(self.cell.settings["condition"])


class Analysis:
    """The making of a `Study`: one setting after the other, whose runs are in memory together."""

    def __init__(self, experiment: Experiment, design: StudyDesign) -> None:
        self.experiment, self.design = experiment, design
        labels = [(str(cell.settings["label"]), str(cell.settings["condition"])) for cell in experiment.cells]
        self.cells = dict(zip(labels, experiment.cells, strict=True))
        self.settings = tuple(dict.fromkeys(setting for setting, _ in labels))
        self.conditions = tuple(dict.fromkeys(condition for _, condition in labels))
        self.treated = [condition for condition in self.conditions if condition != design.baseline]
        self.primary = design.primary
        self.machines: list[Mapping[str, Any]] = []
        self.models: dict[str, Any] = {}
        self.comparisons = len(self.settings) * len(self.treated)
        self.against_controls = {
            (setting, condition, control)
            for claim in design.claims
            for setting in claim.settings
            for condition in claim.conditions
            for control in design.controls
            if control != condition
        }

    def study(self) -> Study:
        found: dict[str, list[Any]] = {name: [] for name in ("cells", "entries", "curves", "others", "metrics")}
        checks: dict[tuple[str, str], list[ControlCheck]] = {}
        for setting in self.settings:
            arms = {condition: self._arm(setting, condition) for condition in self.conditions}
            found["cells"] += [self._summary(setting, name, arm) for name, arm in arms.items()]
            found["entries"] += [self._entry(setting, name, arms) for name in self.treated]
            found["curves"] += map(_shortened, self._curves(setting, arms))
            found["others"] += self._others(setting, arms)
            found["metrics"] += [path for name in self.conditions for path in self._paths(setting, name, arms)]
            for condition in self.treated:
                checks[setting, condition] = [
                    self._check(setting, condition, control, arms)
                    for control in self.design.controls
                    if (setting, condition, control) in self.against_controls
                ]
        return Study(
            title=self.experiment.title,
            question=self.design.question,
            store=self.experiment.path.name,
            document=dict(self.experiment.document),
            design=self._design(found["cells"]),
            cells=tuple(found["cells"]),
            entries=tuple(found["entries"]),
            claims=tuple(self._claim(claim, found["entries"], checks) for claim in self.design.claims),
            curves=tuple(found["curves"]),
            others=tuple(map(_shortened, _with_adjusted_p(found["others"]))),
            metrics=tuple(map(_shortened, _with_adjusted_p(found["metrics"]))),
        )

    def _arm(self, setting: str, condition: str) -> _Arm:
        cell = self.cells[setting, condition]
        if not cell.finished:
            return _Arm(cell, None)
        run = cell.run()
        self.machines += run.provenance.get("machines", [])
        if condition == self.design.baseline and "model" in run.provenance:
            self.models[setting] = run.provenance["model"]
        return _Arm(cell, run)

    def _design(self, cells: Sequence[CellSummary]) -> Design:
        primary = self.primary
        direction = next(name for name in ("below", "above", "outside") if getattr(primary, name) is not None)
        return Design(
            settings=self.settings,
            conditions=self.conditions,
            baseline=self.design.baseline,
            controls=tuple(self.design.controls),
            metric=primary.metric,
            criterion=criterion_in_words(primary),
            direction=direction,
            threshold=None if direction == "outside" else getattr(primary, direction),
            thresholds=tuple(map(float, self.design.thresholds)),
            relative=primary.relative,
            level=self.design.level,
            comparisons=self.comparisons,
            control_comparisons=len(self.against_controls),
            replicates=max(cell.replicates for cell in cells),
            generations=max(cell.generations for cell in self.experiment.cells),
            seconds=math.fsum(cell.seconds for cell in cells),
            versions=_versions(self.machines),
            models=self.models,
        )

    def _summary(self, setting: str, condition: str, arm: _Arm) -> CellSummary:
        cell = arm.cell
        columns = ("mean", "mean_low", "mean_high", "share_censored")
        row = estimated(columns, arm.interval(self.primary), _mean_interval, incomplete_notes(cell))
        events = arm.run.events if arm.run else {}
        return CellSummary(
            setting=setting,
            condition=condition,
            key=cell.key,
            settings=dict(cell.settings),
            status=cell.status,
            replicates=cell.replicates,
            finished=cell.finished,
            diverged=arm.run.diverged if arm.run else 0,
            vacuous=int(events["vacuous"].sum()) if "vacuous" in events else 0,
            seconds=cell.seconds,
            **_short(row),
        )

    def _entry(self, setting: str, condition: str, arms: Mapping[str, _Arm]) -> Entry:
        baseline = self.design.baseline
        level = _simultaneous(self.design.level, self.comparisons)
        row = _factor(arms[baseline], arms[condition], self.primary, level, with_pointwise=True)
        return Entry(
            setting=setting,
            condition=condition,
            against=baseline,
            criterion=criterion_in_words(self.primary),
            outcome=rules.judge_study("above", 1.0, row),
            **row,
        )

    def _check(self, setting: str, condition: str, control: str, arms: Mapping[str, _Arm]) -> ControlCheck:
        level = _simultaneous(self.design.level, len(self.against_controls))
        row = _factor(arms[control], arms[condition], self.primary, level)
        return ControlCheck(
            setting=setting,
            condition=condition,
            against=control,
            criterion=criterion_in_words(self.primary),
            says=_said_of_control(row),
            **row,
        )

    def _curves(self, setting: str, arms: Mapping[str, _Arm]) -> Iterator[CurvePoint]:
        for threshold, criterion in zip(self.design.thresholds, self.design.curve, strict=True):
            for condition in self.treated:
                yield CurvePoint(**self._by_itself(setting, condition, criterion, arms), threshold=float(threshold))

    def _others(self, setting: str, arms: Mapping[str, _Arm]) -> Iterator[OtherFactor]:
        criteria = dict.fromkeys(c for arm in arms.values() for c in arm.cell.fidelity)
        for criterion in criteria:
            for condition in self.treated if criterion != self.primary else ():
                yield OtherFactor(**self._by_itself(setting, condition, criterion, arms))

    def _by_itself(
        self, setting: str, condition: str, criterion: Criterion, arms: Mapping[str, _Arm]
    ) -> dict[str, Any]:
        """Return the fields of a factor over the baseline that is in no family; there is none where nothing happens."""
        row = _factor(arms[self.design.baseline], arms[condition], criterion, _POINTWISE)
        if _is_idle(row):
            row |= {**dict.fromkeys(("ratio", "low", "high", "p")), "notes": _IDLE}
        return {
            "setting": setting,
            "condition": condition,
            "against": self.design.baseline,
            "criterion": criterion_in_words(criterion),
            **row,
        }

    def _paths(self, setting: str, condition: str, arms: Mapping[str, _Arm]) -> Iterator[MetricPath]:
        run, baseline = arms[condition].run, arms[self.design.baseline].run
        if run is None:
            return
        for metric, values in run.metrics.items():
            found = _path(values)
            if condition != self.design.baseline and baseline is not None and metric in baseline.metrics:
                found |= _difference(baseline, run, metric)
            yield MetricPath(setting=setting, condition=condition, metric=metric, **found)

    def _claim(
        self, claim: StudyClaim, entries: Sequence[Entry], checks: Mapping[tuple[str, str], Sequence[ControlCheck]]
    ) -> ClaimResult:
        by_place = {(entry.setting, entry.condition): entry for entry in entries}
        findings = []
        for place in ((setting, condition) for setting in claim.settings for condition in claim.conditions):
            fields = {item.name: getattr(by_place[place], item.name) for item in dataclasses.fields(Entry)}
            fields["outcome"] = rules.judge_study("above", claim.above, fields)
            findings.append(Finding(**fields, controls=tuple(checks[place])))
        return ClaimResult(
            claim=claim.claim,
            above=float(claim.above),
            conditions=claim.conditions,
            settings=claim.settings,
            findings=tuple(findings),
            verdict=_verdict([finding.outcome for finding in findings]),
        )


def _simultaneous(level: float, comparisons: int) -> float:
    """Return the level of each of several intervals that are to hold together (Bonferroni)."""
    return 1 - (1 - level) / max(comparisons, 1)


def _factor(
    baseline: _Arm, treated: _Arm, criterion: Criterion, level: float, *, with_pointwise: bool = False
) -> dict[str, Any]:
    """Return the fields of a `Factor` that are estimated, with notes."""
    arms = treated, baseline
    condition, against = (arm.interval(criterion) for arm in arms)
    columns = (*_FACTOR, *(("pointwise_low", "pointwise_high") if with_pointwise else ()))
    notes = [note for arm in arms for note in incomplete_notes(arm.cell, f"{arm.condition}: ")]
    if isinstance(against, str):
        row = estimated(columns, against, _mean_interval, notes)
    else:
        compare = partial(_estimates, against, _are_aligned(baseline.run, treated.run), level, with_pointwise)
        row = estimated(columns, condition, compare, notes)
    for name in ("is_lower_bound", "is_restricted", "paired"):
        row[name] = bool(row[name])
    row["p"] = row.pop("ratio_p")
    if with_pointwise and _is_idle(row):
        row["notes"] = "; ".join(filter(None, [_IDLE, row["notes"]]))
    return row | {"level": level}


def _are_aligned(one: Run | None, other: Run | None) -> bool:
    return one is not None and other is not None and one.generations == other.generations


def _estimates(
    baseline: FidelityInterval, is_aligned: bool, level: float, with_pointwise: bool, treated: FidelityInterval
) -> dict[str, Any]:
    replicates = (baseline.replicates, treated.replicates)
    size = max(2, min(np.intersect1d(*replicates).size, *(side.size for side in replicates)))
    supported = min(level, _highest_level(size))
    found = compared(baseline, treated, is_aligned, level=supported, resamples=_resamples(supported, size))
    row = {name: getattr(found, name) for name in _FACTOR}
    if supported < level:
        row["low"], row["high"] = _stretched(found.ratio, found.low, found.high, _reach(level, size, supported))
    if with_pointwise:
        alone = compared(baseline, treated, is_aligned, level=_POINTWISE)
        row |= {"pointwise_low": alone.low, "pointwise_high": alone.high}
    if size < _FEWEST:
        row |= {name: 0.0 if name.endswith("low") else math.inf for name in row if name.endswith(("low", "high"))}
    return row


# The limits of `extension_factor` are quantiles of resamples, in tails that are widened to those of Student's t. The
# rarer the tail, the more resamples it takes: of few replicates, or at high levels, more than there is time for. Limits
# at the highest level with enough of them beyond are then stretched by the ratio of the quantiles of Student's t.


def _resamples(level: float, size: int) -> int:
    """Return so many bootstrap resamples that some of them are beyond a limit."""
    tail = float(ndtr(-math.sqrt(size / (size - 1)) * stdtrit(size - 1, (1 + level) / 2)))
    return int(min(max(_TAIL_RESAMPLES / tail, _RESAMPLES[0]), _RESAMPLES[1]))


def _highest_level(size: int) -> float:
    """Return the level whose limits have so many of the most resamples beyond them."""
    reach = -ndtri(_TAIL_RESAMPLES / _RESAMPLES[1]) * math.sqrt((size - 1) / size)
    return float(1 - 2 * stdtr(size - 1, -reach))


def _reach(level: float, size: int, supported: float) -> float:
    return float(stdtrit(size - 1, (1 + level) / 2) / stdtrit(size - 1, (1 + supported) / 2))


def _stretched(ratio: float, low: float, high: float, reach: float) -> tuple[float, float]:
    """Return limits that are that many times as far from a ratio, on the logarithmic scale."""
    if ratio == 0:
        return low, high
    with np.errstate(over="ignore", under="ignore"):
        return float(ratio * np.float64(low / ratio) ** reach), float(ratio * np.float64(high / ratio) ** reach)


def _mean_interval(interval: FidelityInterval) -> dict[str, Any]:
    row = {"mean": interval.mean, "share_censored": interval.share_censored}
    if interval.times.size > 1:
        row["mean_low"], row["mean_high"] = interval.ci("mean", level=_POINTWISE)
    return row


def _said_of_control(row: Mapping[str, Any]) -> str:
    if row["ratio"] is None or _is_idle(row):
        return rules.UNDECIDED
    return _OF_CONTROLS[rules.judge_study("above", 1.0, row)]


def _is_idle(row: Mapping[str, Any]) -> bool:
    shares = row["baseline_censored"], row["treated_censored"]
    return None not in shares and min(shares) > MOST_CENSORED


def _verdict(outcomes: Sequence[str]) -> str:
    """Return what findings say of a claim together: it holds if all of them say yes."""
    if all(outcome == rules.UNDECIDED for outcome in outcomes):
        return rules.UNDECIDED
    holds = outcomes.count(rules.YES)
    return HOLDS if holds == len(outcomes) else ONLY if holds else FAILS


# ------------------------------------------------------------------------------------------------------ metrics


def _path(values: np.ndarray) -> dict[str, Any]:
    """Return mean and standard error by generation over the replicates that have a value."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    means: list[float | None] = []
    errors: list[float | None] = []
    for column, here in zip(values.T, known.T, strict=True):
        with np.errstate(invalid="ignore"):  # infinities
            mean = float(column[here].mean()) if here.any() else math.nan
            error = float(column[here].std(ddof=1)) / math.sqrt(here.sum()) if here.sum() > 1 else math.nan
        means.append(rounded(mean))
        errors.append(rounded(error, 3))
    return {"mean": tuple(means), "error": tuple(errors), "fewest": int(count[count > 0].min(initial=len(values)))}


def _difference(baseline: Run, treated: Run, metric: str) -> dict[str, Any]:
    """Return the mean difference at the last generation: by pairs where the runs share their noise."""
    if _are_aligned(baseline, treated) and (baseline.seed, baseline._stream) == (treated.seed, treated._stream):
        _, rows, others = np.intersect1d(baseline.replicates, treated.replicates, return_indices=True)
        sides = treated.metrics[metric][others, -1], baseline.metrics[metric][rows, -1]
        known = ~(np.isnan(sides[0]) | np.isnan(sides[1]))
        with np.errstate(invalid="ignore"):  # infinities
            samples = [sides[0][known] - sides[1][known]]
        freedom = samples[0].size - 1.0
    else:
        last = [run.metrics[metric][:, -1] for run in (treated, baseline)]
        samples = [column[~np.isnan(column)] for column in last]
        freedom = min(column.size for column in samples) - 1.0
    if freedom < 1 or not all(np.isfinite(column).all() for column in samples):
        return {}
    means = [float(column.mean()) for column in samples]
    difference = means[0] - math.fsum(means[1:])
    error = math.sqrt(math.fsum(column.var(ddof=1) / column.size for column in samples))
    reach = float(stdtrit(freedom, (1 + _POINTWISE) / 2)) * error
    found = {"difference": difference, "difference_low": difference - reach, "difference_high": difference + reach}
    if error > 0:
        found["p"] = float(2 * stdtr(freedom, -abs(difference) / error))
    elif difference == 0:
        found["p"] = 1.0
    return found | {"pairs": samples[0].size if len(samples) == 1 else None}


def _short(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return fields with their numbers to six digits, which is what pictures and tables need."""
    return {name: rounded(value) if isinstance(value, float) else value for name, value in row.items()}


def _shortened(record: Any) -> Any:
    fields = {item.name: getattr(record, item.name) for item in dataclasses.fields(record)}
    return replace(record, **_short(fields))


def _with_adjusted_p(records: Sequence[Any]) -> Iterator[Any]:
    for record, p in zip(records, adjusted_p_values([record.p for record in records]), strict=True):
        yield replace(record, adjusted_p=p)


def _versions(machines: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    found: dict[str, dict[str, None]] = {}
    for machine in machines:
        for name, version in machine["versions"].items():
            found.setdefault(name, {})[str(version)] = None
    return {name: ", ".join(versions) for name, versions in found.items()}
