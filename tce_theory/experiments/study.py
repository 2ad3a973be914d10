"""What a study finds: the extension factors of its conditions, corrected for their number, and verdicts on its claims.

A study is a definition with ``[[conditions]]`` and ``[study]``, which says beforehand what is compared with what, by
which criterion, and what is claimed. All that follows from its runs is a `Study`: numbers and words alone, which a JSON
file holds, so that pages and pictures are made without the runs.
"""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tce_theory import claims as rules
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.experiments.results import Experiment

__all__ = [
    "CellSummary",
    "ClaimResult",
    "ControlCheck",
    "CurvePoint",
    "Design",
    "Entry",
    "Factor",
    "Finding",
    "MetricPath",
    "OtherFactor",
    "Study",
    "listed",
    "places",
    "rounded",
]

STUDIES = Path(__file__).with_name("studies")
"""Recorded studies that come with the library, as ``tce report --json`` writes them."""
ALIKE, NOT_TOLD_APART, BETTER, WORSE = "alike", "not told apart", "better", "worse"
HOLDS, ONLY, FAILS = "holds", "only when", "does not"
MASKED = ("average_masked_share", "masked_share")
CONFIDENCE = "predictive_entropy"
MOST_CENSORED = 0.5
"""Of a side: with more, nothing is known of what comes after the horizon."""
_MOST_PLACES = 6

Record = TypeVar("Record")


@dataclass(frozen=True, kw_only=True)
class Factor:
    """How much longer one condition stays faithful than another, in one setting.

    Attributes
    ----------
    setting, condition, against : str
        Labels: the case, the condition, and the one that it is compared with.
    criterion : str
        What counts as failure.
    level : float
        Confidence level of `low` and `high`.
    ratio, low, high : float or None
        The extension factor with its limits; None where there is none, for a reason in `notes`.
    is_lower_bound, is_restricted : bool
    horizon, p : float or None
        As `tce_theory.ExtensionFactor` has them (`p` is its `ratio_p`).
    paired : bool
        Whether replicates were compared pair by pair.
    baseline_censored, treated_censored : float or None
        Shares of the replicates that outlast the horizon.
    notes : str
    """

    setting: str
    condition: str
    against: str
    criterion: str
    level: float
    ratio: float | None
    low: float | None
    high: float | None
    is_lower_bound: bool
    is_restricted: bool
    horizon: float | None
    p: float | None
    paired: bool
    baseline_censored: float | None
    treated_censored: float | None
    notes: str

    @property
    def bound(self) -> str:
        """What a longer horizon could make of the factor: "≥" larger, "≤" smaller, "~" either; "" if neither."""
        if self.is_lower_bound:
            return "≥"
        if not self.is_restricted:
            return ""
        return "~" if self.treated_censored else "≤"

    @property
    def shown(self) -> str:
        """The factor with its limits, to two places; a dash if there is none."""
        if self.ratio is None:
            return "–"
        ratio = f"{self.bound} {places(self.ratio)}".strip()
        return f"{ratio} [{places(self.low)}, {places(self.high)}]"


@dataclass(frozen=True, kw_only=True)
class CurvePoint(Factor):
    """A factor against the baseline where failure begins at another threshold of the primary metric.

    Attributes
    ----------
    threshold : float
    """

    threshold: float


@dataclass(frozen=True, kw_only=True)
class OtherFactor(Factor):
    """A factor against the baseline by a criterion that is not the primary one.

    Attributes
    ----------
    adjusted_p : float or None
        `p` adjusted for the number of such factors of the study (Benjamini and Yekutieli 2001).
    """

    adjusted_p: float | None = None


@dataclass(frozen=True, kw_only=True)
class Entry(Factor):
    """A primary factor: a condition against the baseline by the primary criterion.

    Attributes
    ----------
    pointwise_low, pointwise_high : float or None
        Its 95 % limits by itself; `low` and `high` hold together with those of all primary factors.
    outcome : str
        "yes" if it is above 1 (in a claim: above what the claim asks), "short of it", "no effect", "harm" or
        "undecided", as `tce_theory.claims.judge` says of `low` and `high`. The upper limit does not count if the factor
        is a lower bound, or most replicates of the condition outlast the horizon; the lower limit does not if most of
        the baseline do.
    """

    pointwise_low: float | None
    pointwise_high: float | None
    outcome: str


@dataclass(frozen=True, kw_only=True)
class ControlCheck(Factor):
    """The factor of a claimed condition over a control.

    Attributes
    ----------
    says : str
        Of the control: "better" than the condition if the interval is below 1, "worse" if it is above, "alike" if it
        has 1 in it and is within a tenth of 1, "not told apart" if it has 1 in it and is wider, with limits that count
        as for an `Entry`. "undecided" where there is no factor, or most replicates of both outlast the horizon.
    """

    says: str


@dataclass(frozen=True, kw_only=True)
class Finding(Entry):
    """What one setting and condition say to a claim.

    Attributes
    ----------
    controls : tuple of ControlCheck
        The condition against each control in the same setting.
    """

    controls: tuple[ControlCheck, ...]

    @property
    def rivals(self) -> tuple[str, ...]:
        """The controls that are not found to be worse."""
        return tuple(check.against for check in self.controls if check.says in (BETTER, ALIKE, NOT_TOLD_APART))


@dataclass(frozen=True, kw_only=True)
class ClaimResult:
    """A claim of the study, and what was found.

    Attributes
    ----------
    claim : str
    above : float
        What the factor has to be above.
    conditions, settings : tuple of str
    findings : tuple of Finding
        One for each setting and condition.
    verdict : str
        "holds" if all findings say yes, "only when" if some do, "does not" if none does but some are decided, else
        "undecided".
    """

    claim: str
    above: float
    conditions: tuple[str, ...]
    settings: tuple[str, ...]
    findings: tuple[Finding, ...]
    verdict: str

    @property
    def in_words(self) -> str:
        """The verdict, with where it holds, unless that is in too many places to say, and what else was found."""
        text = self.verdict
        found = self._saying(rules.YES)
        if self.verdict == ONLY and len(found) > _MOST_PLACES:
            text = f"{ONLY}: {len(found)} of {len(self.findings)} settings and conditions"
        elif self.verdict == ONLY:
            where: dict[str, list[str]] = {}
            for finding in found:
                where.setdefault(finding.setting, []).append(finding.condition)
            text = f"{ONLY}: " + "; ".join(f"{listed(names, 'or')} ({setting})" for setting, names in where.items())
        return "; ".join([text, *self._rest()])

    def _rest(self) -> Iterator[str]:
        """Yield how many findings are of each outcome but "yes", unless all are undecided."""
        for outcome in (rules.SHORT, rules.NONE, rules.HARM, rules.UNDECIDED):
            number = len(self._saying(outcome))
            if number and self.verdict != rules.UNDECIDED:
                yield f"{outcome} in {number} of {len(self.findings)}" if len(self.findings) > 1 else outcome

    @property
    def strongest(self) -> Finding | None:
        """The finding with the highest lower limit, if any has one; if possible one whose baseline fails."""
        known = [finding for finding in self.findings if finding.low is not None]
        failing = [finding for finding in known if (finding.baseline_censored or 0.0) <= MOST_CENSORED]
        return max(failing or known, key=lambda finding: finding.low or 0.0, default=None)

    def _saying(self, outcome: str) -> list[Finding]:
        return [finding for finding in self.findings if finding.outcome == outcome]


@dataclass(frozen=True, kw_only=True)
class CellSummary:
    """One setting under one condition: how much of it has run, and how long it stays faithful.

    Attributes
    ----------
    setting, condition, key : str
    settings : dict
        What the definition says of the cell, by dotted names.
    status : str
        "done", "partial", "failed" or "missing".
    replicates, finished : int
        Asked for, and there.
    diverged : int
        Replicates whose training diverged.
    vacuous : int
        Generations, over all replicates, that ended with every target masked.
    mean, mean_low, mean_high : float or None
        Primary fidelity interval in generations, restricted to the horizon, with 95 % limits by itself.
    share_censored : float or None
    seconds : float
        What its blocks took, added up over workers.
    notes : str
    """

    setting: str
    condition: str
    key: str
    settings: dict[str, Any]
    status: str
    replicates: int
    finished: int
    diverged: int
    vacuous: int
    mean: float | None
    mean_low: float | None
    mean_high: float | None
    share_censored: float | None
    seconds: float
    notes: str


@dataclass(frozen=True, kw_only=True)
class MetricPath:
    """A metric by generation, and how it differs from the baseline's at the last one.

    Attributes
    ----------
    setting, condition, metric : str
    mean, error : tuple of (float or None)
        Mean over replicates and its standard error (to three digits), from generation 0 on; None where no replicate has
        a value (for an error: where fewer than two have one, or one is infinite).
    fewest : int
        Least number of replicates with a value in a generation in which any has one.
    difference, difference_low, difference_high : float or None
        Mean difference from the baseline at the last generation with 95 % limits by itself, by Student's t; None for
        the baseline, and where values are infinite or missing.
    pairs : int or None
        Pairs that the difference is the mean of; None where replicates are not paired.
    p, adjusted_p : float or None
        Two-sided p-value of no difference; the same adjusted for the number of all such differences of the study
        (Benjamini and Yekutieli 2001).
    """

    setting: str
    condition: str
    metric: str
    mean: tuple[float | None, ...]
    error: tuple[float | None, ...]
    fewest: int
    difference: float | None = None
    difference_low: float | None = None
    difference_high: float | None = None
    pairs: int | None = None
    p: float | None = None
    adjusted_p: float | None = None

    @property
    def last(self) -> float | None:
        """The mean at the last generation."""
        return self.mean[-1]

    @property
    def over_generations(self) -> float | None:
        """The mean over all generations after generation 0 that have one."""
        known = [value for value in self.mean[1:] if value is not None]
        return math.fsum(known) / len(known) if known else None


@dataclass(frozen=True, kw_only=True)
class Design:
    """What was fixed before any run, and what it took.

    Attributes
    ----------
    settings, conditions : tuple of str
        Labels, in the order of the definition.
    baseline : str
    controls : tuple of str
    metric : str
        The primary metric.
    criterion : str
        The primary criterion in words.
    direction : str
        "below", "above" or "outside": where the primary metric fails.
    threshold : float or None
        Of the primary criterion; None for "outside".
    thresholds : tuple of float
        Those of the curves.
    relative : bool
        Whether thresholds are shares of generation 0.
    level : float
        At which the intervals of all primary factors hold together; so do, by themselves, those against controls.
    comparisons, control_comparisons : int
        How many there are of each.
    replicates : int
        Of each cell; the largest number if they differ.
    generations : int
        The longest horizon.
    seconds : float
        What all blocks took, added up over workers.
    versions : dict
        Of Python and the packages that computed it; several, separated by commas, where machines differ.
    models : dict
        The model of the baseline in each setting that has run, with all that the definition leaves out.
    """

    settings: tuple[str, ...]
    conditions: tuple[str, ...]
    baseline: str
    controls: tuple[str, ...]
    metric: str
    criterion: str
    direction: str
    threshold: float | None
    thresholds: tuple[float, ...]
    relative: bool
    level: float
    comparisons: int
    control_comparisons: int
    replicates: int
    generations: int
    seconds: float
    versions: dict[str, str]
    models: dict[str, Any]


@dataclass(frozen=True, kw_only=True, repr=False)
class Study:
    """What a study finds: numbers and words alone.

    Attributes
    ----------
    title, question : str
    store : str
        Name of the store that it was read from.
    document : dict
        The definition: the content of its file.
    design : Design
    cells : tuple of CellSummary
    entries : tuple of Entry
        The primary factor of each setting and each condition but the baseline.
    claims : tuple of ClaimResult
    curves : tuple of CurvePoint
        Factors over thresholds, each with its 95 % interval by itself. None where fewer than half of the replicates of
        either side fail.
    others : tuple of OtherFactor
        Factors by all other criteria, likewise.
    metrics : tuple of MetricPath
        Every metric that is recorded.

    Notes
    -----
    With m primary factors, all settings and conditions together, each has an interval at 1 − (1 − level)/m
    (Bonferroni), so that all of them hold together with probability `level`; likewise those over controls. Intervals
    are bootstraps over replicates, by pairs where conditions share their noise (`tce_theory.extension_factor`), with so
    many resamples that a limit is no extreme of them. Where that would be more than 100,000, as with few replicates or
    very many factors, limits at the highest level that so many allow are stretched on the logarithmic scale, by the
    ratio of the quantiles of Student's t; of fewer than 5 replicates there are no limits. With 16 pairs and log-normal
    times an effect was found in 5.8 % (± 1.0 %) of 600 studies in which none of 8 conditions had any, and in 27 %
    without the correction. Replicates that diverged have no values, and a condition with any has no factor.

    Factors are of means that are restricted to the horizon. Numbers are kept to six significant digits, but for
    primary factors and those over controls.
    """

    title: str
    question: str
    store: str
    document: dict[str, Any]
    design: Design
    cells: tuple[CellSummary, ...]
    entries: tuple[Entry, ...]
    claims: tuple[ClaimResult, ...]
    curves: tuple[CurvePoint, ...]
    others: tuple[OtherFactor, ...]
    metrics: tuple[MetricPath, ...]

    @classmethod
    def of(cls, experiment: Experiment) -> Study:
        """Analyse a study, as far as it has been run.

        Parameters
        ----------
        experiment : Experiment
            Of a definition with ``[study]``.

        Raises
        ------
        DomainError
            If the definition has no ``[study]``.
        StoreError
            If the store cannot be read.

        Examples
        --------
        >>> import tempfile
        >>> from pathlib import Path
        >>> from tce_theory.experiments import Definition, run
        >>> definition = Definition.from_mapping({
        ...     "title": "A wall", "seed": 1, "n_samples": 50, "generations": 150, "replicates": 50, "coupled": True,
        ...     "label": "Gaussian", "model": {"family": "gaussian"}, "fidelity": [{"metric": "std", "below": 0.7}],
        ...     "conditions": [{"label": "CE", "loss": {"name": "ce"}},
        ...                    {"label": "TCE", "loss": {"name": "tce", "gamma": 0.5}}],
        ...     "study": {"question": "Does the wall hold?", "baseline": "CE",
        ...               "primary": {"metric": "std", "below": 0.7},
        ...               "claims": [{"claim": "It holds the scale.", "conditions": ["TCE"]}]}})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     study = Study.of(run(definition, Path(folder, "wall.sqlite")))
        >>> print(study)
        A wall: It holds the scale. holds
        >>> study.entries[0].outcome, Study.from_dict(study.to_dict()) == study
        ('yes', True)
        """
        design = experiment.study
        if design is None:
            raise DomainError("experiment", experiment.title, "one whose definition has [study]")
        from tce_theory.experiments.analysis import Analysis

        return Analysis(experiment, design).study()

    def __repr__(self) -> str:
        return f"<Study: {self}>"

    def __str__(self) -> str:
        verdicts = "; ".join(f"{result.claim} {result.in_words}" for result in self.claims)
        return f"{self.title}: {verdicts or 'no claims'}"

    @property
    def is_complete(self) -> bool:
        """Whether all replicates of all cells have run."""
        return all(cell.status == "done" for cell in self.cells)

    @property
    def state(self) -> str:
        """How much has run."""
        done = sum(cell.status == "done" for cell in self.cells)
        finished, wanted = (sum(getattr(cell, name) for cell in self.cells) for name in ("finished", "replicates"))
        return f"{done} of {len(self.cells)} cells are done, {finished:,} of {wanted:,} replicates"

    @property
    def idle_settings(self) -> tuple[str, ...]:
        """The settings in which fewer than half of the baseline's replicates fail: nothing is found to last longer."""
        return tuple(
            cell.setting
            for cell in self.cells
            if cell.condition == self.design.baseline and (cell.share_censored or 0.0) > MOST_CENSORED
        )

    @property
    def diverged(self) -> tuple[CellSummary, ...]:
        """The cells without a factor because the training of some replicates diverged."""
        return tuple(cell for cell in self.cells if cell.diverged)

    @property
    def metric_names(self) -> tuple[str, ...]:
        """The metrics that are recorded."""
        return tuple(dict.fromkeys(path.metric for path in self.metrics))

    @property
    def mechanism(self) -> tuple[str, ...]:
        """The metrics that say what TCE does: the share masked and the entropy of predictions, as far as recorded."""
        masked = next((name for name in MASKED if name in self.metric_names), None)
        return tuple(name for name in (masked, CONFIDENCE) if name in self.metric_names)

    def entry(self, setting: str, condition: str) -> Entry | None:
        """Return a primary factor; None for the baseline."""
        return next((e for e in self.entries if (e.setting, e.condition) == (setting, condition)), None)

    def path(self, setting: str, condition: str, metric: str) -> MetricPath | None:
        """Return a metric by generation; None where it is not recorded or nothing has run."""
        wanted = setting, condition, metric
        return next((p for p in self.metrics if (p.setting, p.condition, p.metric) == wanted), None)

    def to_dict(self) -> dict[str, Any]:
        """Return all of it in JSON's types; infinity is "Infinity"."""
        found: dict[str, Any] = _to_json(asdict(self))
        return found

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> Study:
        """Return the study that `to_dict` has written.

        Raises
        ------
        DomainError
            If it is no such document.
        """
        admissible = "a study as Study.to_dict writes it"
        try:
            study: Study = _from_json(cls, document)
        except KeyError as error:
            raise DomainError("document", f"one without {error}", admissible) from None
        except (TypeError, ValueError, AttributeError):
            raise DomainError("document", "one with values of another kind", admissible) from None
        treated = [name for name in study.design.conditions if name != study.design.baseline]
        wanted = {(setting, name) for setting in study.design.settings for name in treated}
        if {(entry.setting, entry.condition) for entry in study.entries} != wanted:
            raise DomainError("document", "one whose factors are not those of its conditions", admissible)
        return study


def listed(names: Sequence[str], word: str) -> str:
    """Return names in a row, with a word before the last one; a semicolon separates names with commas in them."""
    comma = "; " if any("," in name for name in names) else ", "
    return f" {word} ".join(filter(None, [comma.join(names[:-1]), *names[-1:]]))


# --------------------------------------------------------------------------------------------------------- JSON


def rounded(number: float, digits: int = 6) -> float | None:
    """Return a number to some significant digits; None for NaN."""
    return None if math.isnan(number) else float(f"{number:.{digits}g}")


def places(number: float | None) -> str:
    """Return a factor to two places, or to so many more that one beside 1 is not shown as 1."""
    if number is None:
        return "–"
    if math.isinf(number):
        return "∞"
    if number >= 99.5:
        return f"{number:.3g}"
    return next(
        (text for text in (f"{number:.{digits}f}" for digits in (2, 3, 4)) if float(text) != 1), f"{number:.2f}"
    )


def _to_json(value: Any) -> Any:
    match value:
        case Mapping():
            return {key: _to_json(item) for key, item in value.items()}
        case list() | tuple():
            return [_to_json(item) for item in value]
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
    return value


def _from_json(kind: type[Record], document: Mapping[str, Any]) -> Record:
    """Return a dataclass of numbers, strings and dataclasses from what `_to_json` has made of it."""
    hints = typing.get_type_hints(kind)
    names = [item.name for item in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: _read(hints[name], document[name]) for name in names})


def _read(hint: Any, value: Any) -> Any:
    origin, parts = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        return tuple(_read(parts[0], item) for item in value)
    if dataclasses.is_dataclass(hint):
        return _from_json(hint, value)  # type: ignore[arg-type]
    if origin is types.UnionType:
        return None if value is None else _read(parts[0], value)
    if hint is float:
        return float(value)  # "Infinity" among them
    if hint is not Any and not isinstance(value, origin or hint):
        raise TypeError(f"{value!r} where {hint} was expected")
    return value
