"""Tables of the cells of an experiment, as rows: lists of dictionaries. Runs are read one at a time."""

from __future__ import annotations

import contextlib
import math
import warnings
from collections import defaultdict
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.experiments.definition import Criterion
from tce_theory.experiments.store import Store
from tce_theory.fidelity import ExtensionFactor, FidelityInterval, extension_factor, fidelity_interval

if TYPE_CHECKING:
    from tce_theory.experiments.results import StoredCell
    from tce_theory.run import Run

__all__ = [
    "cell_rows",
    "compared",
    "criterion_in_words",
    "estimated",
    "extension_rows",
    "fidelity_rows",
    "frozen",
    "has",
    "in_words",
    "incomplete_notes",
    "interval_of",
    "names_of",
    "short",
    "values_of",
    "varying",
    "with_defaults",
]

Row = dict[str, Any]
Intervals = dict[Criterion, FidelityInterval | str]
"""The fidelity interval of each criterion, or why there is none."""

_DEFAULTS = {"regime.name": "replace", "sampler": "auto"}
_HOW_SIMULATED = ("generations", "replicates", "sampler", "seed")
_ESTIMATES = ("median", "median_low", "median_high", "mean", "mean_low", "mean_high", "share_censored")
_COMPARISON = (
    "ratio",
    "low",
    "high",
    "ratio_p",
    "logrank_p",
    "paired",
    "horizon",
    "is_restricted",
    "is_lower_bound",
    "baseline_censored",
    "treated_censored",
)
_MET_FROM_THE_START = (
    "generation 0 meets the criterion already, so that every time is 0: thresholds should be such that generation 0 "
    "does not cross them"
)
_SAME_NUMBER = 1e-9
_MANY = 6


# ------------------------------------------------------------------------------------------------------ settings


def names_of(cells: Iterable[StoredCell]) -> list[str]:
    """Return the names of the settings of any cell, in order."""
    return list(dict.fromkeys(name for cell in cells for name in cell.settings))


def values_of(name: str, cells: Iterable[StoredCell]) -> list[Any]:
    """Return the different values of a setting, in order; a cell that does not have it has no value."""
    found = {frozen(cell.settings[name]): cell.settings[name] for cell in cells if name in cell.settings}
    return list(found.values())


def varying(cells: Sequence[StoredCell]) -> list[str]:
    """Return the names of the settings that are not the same in all cells."""
    return [name for name in names_of(cells) if len({frozen(cell.settings.get(name)) for cell in cells}) > 1]


def frozen(value: Any) -> Hashable:
    """Return a value of JSON as something that can be compared and looked up."""
    if isinstance(value, Mapping):
        return tuple(sorted((name, frozen(item)) for name, item in value.items()))
    return tuple(map(frozen, value)) if isinstance(value, (list, tuple)) else value


def with_defaults(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with what a definition may leave out."""
    return {**settings, **{name: value for name, value in _DEFAULTS.items() if name not in settings}}


def has(settings: Mapping[str, Any], wanted: Mapping[str, Any]) -> bool:
    """Return whether settings are among those of a cell; numbers need to agree to nine digits."""
    return all(name in settings and _same(settings[name], value) for name, value in wanted.items())


def _same(one: Any, other: Any) -> bool:
    numbers = [isinstance(value, (int, float)) and not isinstance(value, bool) for value in (one, other)]
    return math.isclose(one, other, rel_tol=_SAME_NUMBER) if all(numbers) else frozen(one) == frozen(other)


def in_words(settings: Mapping[str, Any]) -> str:
    """Return settings as a reader of a message wants them; long lists of values are cut."""
    return ", ".join(f"{name} = {short(value)}" for name, value in settings.items())


def short(value: Any) -> str:
    """Return a value in a few characters: numbers to six digits, and the ends of a long list."""
    if isinstance(value, float):
        return f"{value:.6g}"
    if not isinstance(value, list):
        return str(value)
    shown = [short(item) for item in value]
    return f"[{', '.join(shown if len(shown) <= _MANY else [*shown[: _MANY - 1], '…', shown[-1]])}]"


# -------------------------------------------------------------------------------------------------------- tables


def cell_rows(cells: Sequence[StoredCell], all_settings: bool) -> list[Row]:
    """Return a row for each cell: its settings and its state."""
    states = ("status", "replicates", "finished", "seconds", "error")
    names = names_of(cells) if all_settings else varying(cells)
    # a setting called "replicates" is the state "replicates"
    names = [name for name in names if name not in states]
    return [
        {**_head(number, cell, names), **{state: getattr(cell, state) for state in states}}
        for number, cell in enumerate(cells)
    ]


def fidelity_rows(cells: Sequence[StoredCell]) -> Iterator[Row]:
    """Yield a row for each cell and criterion: the fidelity interval with limits."""
    names = varying(cells)
    with _reading(cells) as store:
        for number, cell in enumerate(cells):
            for criterion, interval in _intervals(cell, store).items():
                row = _head(number, cell, names) | {"status": cell.status}
                row |= {"criterion": criterion_in_words(criterion), "finished": cell.finished}
                yield row | estimated(_ESTIMATES, interval, _estimates, incomplete_notes(cell))


def extension_rows(cells: Sequence[StoredCell], baseline: Mapping[str, Any], replaced: Iterable[str] = ()) -> list[Row]:
    """Return a row for each cell that is no baseline and each of its criteria: the cell against its baseline.

    What conditions replace beside the loss, `replaced`, may differ where the baseline is a condition.
    """
    names = varying(cells)
    treated_by: dict[int, list[int]] = defaultdict(list)
    for number, found in _baselines(cells, baseline, replaced).items():
        treated_by[found].append(number)
    rows: dict[int, list[Row]] = {}
    with _reading(cells) as store:
        for found, numbers in treated_by.items():  # one baseline at a time, so that memory is bounded
            criteria = dict.fromkeys(criterion for number in numbers for criterion in cells[number].fidelity)
            against = _intervals(cells[found], store, criteria)
            for number in numbers:
                cell = cells[number]
                is_aligned = cell.generations == cells[found].generations
                notes = [*incomplete_notes(cell), *incomplete_notes(cells[found], "the baseline: ")]
                rows[number] = [
                    _head(number, cell, names)
                    | {"status": cell.status, "baseline": found, "criterion": criterion_in_words(criterion)}
                    | estimated(_COMPARISON, interval, partial(_comparison, against[criterion], is_aligned), notes)
                    for criterion, interval in _intervals(cell, store).items()
                ]
    return [row for number in sorted(rows) for row in rows[number]]


def _head(number: int, cell: StoredCell, names: Iterable[str]) -> Row:
    return {"cell": number, **{name: cell.settings.get(name) for name in names}, "key": cell.key}


def incomplete_notes(cell: StoredCell, whose: str = "") -> list[str]:
    """Return a note if a cell has replicates, but not all."""
    if cell.finished in (0, cell.replicates):
        return []
    return [f"{whose}only {cell.finished} of {cell.replicates} replicates have finished"]


@lru_cache(maxsize=1000)
def criterion_in_words(criterion: Criterion) -> str:
    """Return a criterion as the intervals that it makes call it."""
    words = fidelity_interval([[1.0, 1.0]], **asdict(criterion)).criterion
    return words if criterion.interpolate else f"{words} (whole generations)"


@contextlib.contextmanager
def _reading(cells: Iterable[StoredCell]) -> Iterator[Store | None]:
    """Open the store of all cells once, if there is anything to be read."""
    path = next((cell.path for cell in cells if cell.finished and cell.fidelity), None)
    if path is None:
        yield None
    else:
        with Store.reading(path) as store:
            yield store


def _intervals(cell: StoredCell, store: Store | None, criteria: Collection[Criterion] | None = None) -> Intervals:
    criteria = cell.fidelity if criteria is None else criteria
    if not criteria or not cell.finished:
        return dict.fromkeys(criteria, cell.error or "no replicate has finished")
    if store is None:  # a baseline without criteria of its own
        with Store.reading(cell.path) as opened:
            return _intervals(cell, opened, criteria)
    # what the cell does not record is for `interval_of` to say
    run = cell.measured(store, {criterion.metric for criterion in criteria} & {*cell.metrics} or cell.metrics)
    return {criterion: interval_of(run, criterion) for criterion in criteria}


def interval_of(run: Run, criterion: Criterion) -> FidelityInterval | str:
    try:
        return run.fidelity_interval(**asdict(criterion))
    except DomainError as error:
        return str(error)


def estimated(
    columns: Iterable[str],
    interval: FidelityInterval | str,
    estimate: Callable[[FidelityInterval], Row],
    remarks: Iterable[str],
) -> Row:
    """Return what is estimated from an interval; None, with the reason among the notes, where that is not possible."""
    row: Row = dict.fromkeys(columns)
    with _collected_notes() as notes:
        notes += remarks
        if isinstance(interval, str):
            notes.append(interval)
        else:
            if not interval.times.any():
                notes.append(_MET_FROM_THE_START)
            try:
                row |= estimate(interval)
            except DomainError as error:
                notes.append(str(error))
    return row | {"notes": "; ".join(dict.fromkeys(notes))}


def _estimates(interval: FidelityInterval) -> Row:
    row: Row = {"share_censored": interval.share_censored}
    for statistic in ("median", "mean"):
        row[statistic] = getattr(interval, statistic)
        if interval.times.size > 1:
            row[f"{statistic}_low"], row[f"{statistic}_high"] = interval.ci(statistic)
    return row


def _comparison(baseline: FidelityInterval | str, is_aligned: bool, treated: FidelityInterval) -> Row:
    if isinstance(baseline, str):
        raise DomainError("baseline", baseline, "a cell with a fidelity interval")
    factor = compared(baseline, treated, is_aligned)
    return {name: getattr(factor, name) for name in _COMPARISON}


def compared(
    baseline: FidelityInterval, treated: FidelityInterval, is_aligned: bool, **options: Any
) -> ExtensionFactor:
    """Return the extension factor, by pairs of the replicates that both sides have where they share their noise.

    They do if they have the same seed and stream, and are aligned: of the same number of generations. Options are those
    of `extension_factor`.
    """
    paired = is_aligned and (baseline.seed, baseline.stream) == (treated.seed, treated.stream)
    if not paired and baseline.seed == treated.seed:
        # a stream serves one replicate after the other, so that where they take different amounts of numbers, the noise
        # of one is that of another; numbers of the same seed all the same
        baseline, treated = replace(baseline, seed=None), replace(treated, seed=None)
        _warn_of_seed()
    if paired:
        common = np.intersect1d(baseline.replicates, treated.replicates)
        baseline, treated = _restricted_to(common, baseline), _restricted_to(common, treated)
    return extension_factor(baseline, treated, paired=paired, **options)


def _warn_of_seed() -> None:
    warnings.warn(
        "both sides draw from the same seed, but not the same numbers for the same replicate: they are no pairs, and "
        "not quite independent",
        StatisticalWarning,
        stacklevel=2,
    )


def _restricted_to(replicates: np.ndarray, interval: FidelityInterval) -> FidelityInterval:
    if not replicates.size:
        raise DomainError("replicates", 0, "at least 2 that both sides have finished")
    rows = np.isin(interval.replicates, replicates)
    return replace(
        interval,
        times=interval.times[rows],
        observed=interval.observed[rows],
        replicates=interval.replicates[rows],
    )


@contextlib.contextmanager
def _collected_notes() -> Iterator[list[str]]:
    """Collect statistical warnings as text; other warnings go their way."""
    notes: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StatisticalWarning)
        yield notes
    for warning in caught:
        if issubclass(warning.category, StatisticalWarning):
            notes.append(str(warning.message))
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)


# ----------------------------------------------------------------------------------------------------- baselines


def _baselines(cells: Sequence[StoredCell], baseline: Mapping[str, Any], replaced: Iterable[str]) -> dict[int, int]:
    """Return for each cell that is no baseline the one that it is to be compared with, both by their indices."""
    settings = [with_defaults(cell.settings) for cell in cells]
    is_baseline = [has(given, baseline) for given in settings]
    if not baseline or not any(is_baseline):
        raise DomainError("baseline", in_words(baseline), "settings of at least one cell")
    # under two conditions the same case has the same label; otherwise what a cell is called makes it no other one
    may_differ = {"condition", *replaced} if "condition" in baseline else {"condition", "label"}
    loosely_too = {*may_differ, *_HOW_SIMULATED}
    exactly: dict[Hashable, list[int]] = defaultdict(list)
    loosely: dict[Hashable, list[int]] = defaultdict(list)
    for number, given in enumerate(settings):
        if is_baseline[number]:
            exactly[_others(given, baseline, may_differ)].append(number)
            loosely[_others(given, baseline, loosely_too)].append(number)
    found: dict[int, int] = {}
    for number, given in enumerate(settings):
        if is_baseline[number]:
            continue
        equal = exactly.get(_others(given, baseline, may_differ)) or loosely.get(
            _others(given, baseline, loosely_too), []
        )
        if len(equal) != 1:
            cell = in_words({name: given[name] for name in varying(cells) if name in given})
            count = f"there are {len(equal)}" if equal else "there is none"
            admissible = f"settings of just one cell that is otherwise equal to the cell {cell} ({count})"
            raise DomainError("baseline", in_words(baseline), admissible)
        found[number] = equal[0]
    return found


def _others(settings: Mapping[str, Any], baseline: Mapping[str, Any], but: Iterable[str]) -> Hashable:
    """Return the settings in which a cell and its baseline have to be equal."""
    # the parameters of a loss belong to its name or its condition, those of a model to its family
    parts = tuple(f"{name.rpartition('.')[0]}." for name in baseline if name.endswith((".name", ".family", ".growth")))
    parts += ("loss.",) if "condition" in baseline else ()
    left_out = {*baseline, *but}
    return frozen({n: v for n, v in settings.items() if n not in left_out and not n.startswith(parts)})
