"""Definitions of experiments: read, checked as a whole, and expanded into cells.

A *cell* is one setting of `simulate`. Its *key* is a hash of all that its results depend on: model, loss, regime,
sizes, metrics, sampler, stream of random numbers, and the version of the family's results. Where two definitions have a
cell in common, it has the same key in both, however they write it.

What varies
    A list or a range where one value is expected sweeps it; a list of tables sweeps a table. `metrics` and `fidelity`
    are lists anyway: all of them apply to every cell.
Order
    With ``combine = "grid"`` all combinations are cells, in the order of the keys in the file: the last one varies
    fastest. With ``"zip"`` the first values of all that vary are the first cell, and so on.
Cases
    Each case replaces whole keys of the settings above it, `combine` among them, and is expanded by itself. A cell that
    comes twice is there once.
Conditions
    All cases are expanded under the first condition, then under the second, and so on. A cell that is the same under
    two conditions is there under both, with the same key.
Seeds
    The stream of a cell is derived from the seed and from what is simulated: model, loss, regime, `n_samples`,
    generations, sampler. So cells are independent of each other, and more replicates or other metrics leave the paths
    as they are. With ``coupled = true`` the seed is used as it stands, so that cells of equal `n_samples` and
    generations share their noise, draw by draw if the sampler is "points".
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from tce_theory import theorems
from tce_theory.decoding import Decoding
from tce_theory.errors import DefinitionError, DomainError, UnsupportedCombinationError
from tce_theory.experiments.blocks import block_length
from tce_theory.experiments.conditions import Version, versions
from tce_theory.experiments.design import (
    Criterion,
    CriterionError,
    StudyDesign,
    check_cells,
    check_labels,
    criterion_of,
)
from tce_theory.experiments.schema import (
    REQUIRED,
    SEVERAL,
    TABLES,
    CaseTable,
    DefinitionTable,
    GammaOverPeak,
    Swept,
    Table,
    hint,
    made,
    plain,
    shown,
    validated,
)
from tce_theory.losses import Loss
from tce_theory.models.base import Model, Recursion
from tce_theory.neural.images import ImageSource
from tce_theory.neural.sources import LanguageSource
from tce_theory.recursion import block_generator, simulate_part
from tce_theory.regimes import Regime, Replace, Staged, sample_sizes
from tce_theory.validation import positive_integer

__all__ = ["Cell", "Criterion", "Definition", "StudyDesign"]

_MOST_CELLS = 1_000_000
_MOST_BLOCKS = 1_000_000
_MOST_BYTES = 10**9 - 4096
"""What a block may take: SQLite holds 10^9 bytes in a value, and an array has a header there."""
_BIT_GENERATOR = type(block_generator(0, 0).bit_generator).__name__
_NEEDED = ("title", *REQUIRED)
_LEAST = {"n_samples": 1, "generations": 1, "replicates": 1, "seed": 0}


@dataclass(frozen=True, eq=False)
class Cell:
    """One simulation of a definition.

    Attributes
    ----------
    settings : dict
        What the definition says of it, by dotted names such as "loss.gamma", in JSON's types.
    model, loss, regime, decoding, n_samples, generations, replicates, metrics, sampler, seed
        Arguments of `tce_theory.simulate`; `n_samples` is a tuple where it differs between generations, and `seed` is
        the stream of this cell alone, unless the definition is coupled.
    fidelity : tuple of Criterion
    key : str
        Names the cell in a store.
    """

    settings: Mapping[str, Any]
    model: Model
    loss: Loss
    regime: Regime
    decoding: Decoding | None
    n_samples: int | tuple[int, ...]
    generations: int
    replicates: int
    metrics: tuple[str, ...]
    sampler: str
    seed: int
    fidelity: tuple[Criterion, ...]
    key: str

    def record(self) -> dict[str, Any]:
        """Return what a store keeps of the cell beside its model: JSON."""
        return {
            "key": self.key,
            "settings": dict(self.settings),
            "provenance": {
                "family": type(self.model).__name__,
                "loss": repr(self.loss),
                "loss_parameters": {item.name: getattr(self.loss, item.name) for item in fields(self.loss)},  # type: ignore[arg-type]
                "regime": repr(self.regime),
                "decoding": None if self.decoding is None else repr(self.decoding),
                "n_samples": self.n_samples if isinstance(self.n_samples, int) else list(self.n_samples),
                "generations": self.generations,
                "replicates": self.replicates,
                "seed": self.seed,
                "sampler": self.sampler,
                "block_size": self.recursion.block_size,
                "stream": self.recursion.stream,
                "bit_generator": _BIT_GENERATOR,
            },
            "metrics": list(self.metrics),
            "fidelity": [asdict(criterion) for criterion in self.fidelity],
        }

    @cached_property
    def recursion(self) -> Recursion:
        """The recursion that runs its blocks."""
        sizes = sample_sizes(self.n_samples, self.generations)
        return self.model.recursion(self.loss, sizes, self.regime, self.sampler, self.decoding)


@dataclass(frozen=True, eq=False)
class Definition:
    """Which simulations to run: the content of a definition file, checked and expanded.

    A list or a range, ``{from = 0.1, to = 0.9, num = 9}`` with ``spacing = "log"`` if wanted, sweeps what it stands
    for; so does a list of tables. Settings that vary are combined as a grid, whose last key in the file varies fastest,
    or by ``combine = "zip"`` one by one. Each of the ``cases`` replaces whole keys of the settings above, and is
    expanded by itself. Streams of random numbers are derived from the seed and the recursion, so that cells are
    independent, unless ``coupled = true``. Each of the ``conditions`` has a loss, and settings in place of those of the
    models; all cases are run under each of them, and a ``study`` says what they are compared for.

    Attributes
    ----------
    title : str
    theorems : tuple of str
        Slugs that it bears on.
    cells : tuple of Cell
        In the order of the file, condition after condition; a cell that comes twice under a condition is there once.
    document : dict
        The content of the file in JSON's types, from which `Definition.from_mapping` makes the same definition.
    study : StudyDesign or None
        What the conditions are compared for, if the file says so.

    Examples
    --------
    >>> definition = Definition.from_mapping({
    ...     "title": "A sharper mask", "model": {"family": "gaussian"}, "loss": {"name": "tce", "gamma": [0.3, 0.5]},
    ...     "n_samples": [10, 100], "generations": 50, "replicates": 1000, "seed": 1,
    ... })
    >>> [(cell.loss.gamma, cell.n_samples) for cell in definition.cells]
    [(0.3, 10), (0.3, 100), (0.5, 10), (0.5, 100)]
    """

    title: str
    theorems: tuple[str, ...]
    cells: tuple[Cell, ...]
    document: Mapping[str, Any]
    study: StudyDesign | None = None

    @classmethod
    def read(cls, path: str | os.PathLike[str], *, seed: int | None = None) -> Definition:
        """Read and check a file in TOML.

        Parameters
        ----------
        path : str or os.PathLike
        seed : int, optional
            In place of the file's; cases that have seeds of their own keep them.

        Raises
        ------
        DefinitionError
            If the file is no valid definition; one line says where and what would be right.
        OSError
            If the file cannot be read.
        """
        try:
            text = Path(path).read_text(encoding="utf-8-sig")
        except UnicodeDecodeError as error:
            raise DefinitionError(f"{os.fspath(path)}: not in UTF-8 ({error.reason})") from None
        try:
            document = tomllib.loads(text)
        except (ValueError, RecursionError) as error:
            advice = _advice(str(error), text)
            raise DefinitionError(f"{os.fspath(path)}: not TOML: {error}{advice and f': {advice}'}") from None
        if not document:
            raise DefinitionError(f"{os.fspath(path)}: holds no settings; required are {', '.join(_NEEDED)}")
        if seed is not None:
            document["seed"] = seed
        try:
            return cls.from_mapping(document, folder=Path(path).parent)
        except DefinitionError as error:
            raise DefinitionError(f"{os.fspath(path)}: {error}") from None

    @classmethod
    def from_mapping(cls, document: Mapping[str, Any], *, folder: str | os.PathLike[str] = ".") -> Definition:
        """Check and expand what a file would hold.

        Parameters
        ----------
        document : mapping
            Strings, numbers, booleans, lists (also tuples and arrays of NumPy) and mappings.
        folder : str or os.PathLike
            Where the paths in it start.

        Raises
        ------
        DefinitionError
            If it is no valid definition; one line says where and what would be right.
        """
        if not isinstance(document, Mapping):
            raise DefinitionError(f"the definition must be a mapping, got {shown(document)}")
        document = plain(document)
        table = validated(document)
        for index, slug in enumerate(table.theorems):
            if slug not in theorems.every():
                near = theorems.nearest(slug)
                advice = f"did you mean {' or '.join(near)}?" if near else "tce theory lists them"
                raise DefinitionError(f"theorems[{index}] must be the slug of a theorem ({advice}), got {shown(slug)}")
        study = StudyDesign.of(document)
        check_labels(document, study)
        parts: _Parts = {}
        cells: dict[Any, Cell] = {}
        for version in versions(document):
            with version.named():
                read = validated(version.document, version.places) if version.path else table
            builder = _Builder(Path(folder), table.coupled, version, parts)
            for case in _cases(version, read):
                with version.named():
                    for cell in builder.cells(case, already=len(cells)):
                        cells.setdefault((version.label, cell.key, cell.replicates, cell.fidelity), cell)
        _limit_blocks(cells.values())
        if study is not None:
            check_cells(study, [*cells.values()], document)
        return cls(table.title, tuple(table.theorems), tuple(cells.values()), document, study)


# ------------------------------------------------------------------------------------------ what the file says


class _Entry(NamedTuple):
    """What a key of the file holds: checked, as it was written, and where that is."""

    node: Any
    written: Any
    path: str


class _Given(NamedTuple):
    """A value, and where in the file it stands."""

    value: Any
    path: str


class _Case(NamedTuple):
    """What one case says, or the whole file if it has none."""

    where: str
    entries: dict[str, _Entry]
    combine: str


_Choice = dict[str, _Given]
"""One way of making a choice among all that vary, by dotted names."""


def _cases(version: Version, table: DefinitionTable) -> Iterator[_Case]:
    base = _entries(version.document, table, "", version.places)
    if version.label is not None:
        base = {"condition": _Entry(version.label, version.label, f"{version.path}.label"), **base}
    for index, case in enumerate(table.cases or ()):
        where = f"cases[{index}]"
        entries = {**base, **_entries(version.document["cases"][index], case, f"{where}.", version.places)}
        yield _complete(_Case(where, entries, _way(case, table)))
    if not table.cases:
        yield _complete(_Case("", base, _way(table)))


def _way(*tables: CaseTable) -> str:
    """Return how settings are combined: as the first table says that does say it."""
    return next((table.combine for table in tables if "combine" in table.model_fields_set), "grid")


def _entries(written: Mapping[str, Any], table: CaseTable, prefix: str, places: Mapping[str, str]) -> dict[str, _Entry]:
    """Return the settings in the order of the file."""
    names = [name for name in written if name in CaseTable.model_fields and name != "combine"]
    paths = {name: f"{prefix}{name}" for name in names}
    return {name: _Entry(getattr(table, name), written[name], places.get(path, path)) for name, path in paths.items()}


def _complete(case: _Case) -> _Case:
    missing = [name for name in REQUIRED if name not in case.entries]
    if missing:
        path = f"{case.where}.{missing[0]}" if case.where else missing[0]
        raise DefinitionError(f"{path} is missing{' there and above the cases' if case.where else ''}")
    return case


def _choices(entry: _Entry, name: str, combine: str, places: Mapping[str, str]) -> list[_Choice]:
    """Return all that an entry can be, by dotted names."""
    node, written, path = entry
    match node:
        case Swept():
            return [{name: _Given(*given)} for given in zip(node.values, node.paths(path), strict=True)]
        case list():
            choices: list[_Choice] = []
            for index, (item, as_written) in enumerate(zip(node, written, strict=True)):
                choices += _choices(_Entry(item, as_written, f"{path}[{index}]"), name, combine, places)
                _limit(len(choices), f"{len(choices)} of {path}")
            return choices
        case Table() if written:
            paths = {key: f"{path}.{key}" for key in written}
            inner = {key: _Entry(getattr(node, key), written[key], places.get(at, at)) for key, at in paths.items()}
            parts = {item.path: _choices(item, f"{name}.{key}", combine, places) for key, item in inner.items()}
            rows = _combined(parts, combine)
            return [{key: given for part in row for key, given in part.items()} for row in rows]
    return [{name: _Given(written, path)}]


def _combined(columns: Mapping[str, Sequence[Any]], combine: str, already: int = 0) -> Iterator[tuple[Any, ...]]:
    """Yield a choice from each column, which is named by its path: all of them, or row by row."""
    lengths = {path: len(column) for path, column in columns.items() if len(column) > 1}
    if combine == "grid":
        _limit(math.prod(lengths.values()) + already, " × ".join(f"{n} of {path}" for path, n in lengths.items()))
        return itertools.product(*columns.values())
    if len(set(lengths.values())) > 1:
        found = ", ".join(f"{path} has {length}" for path, length in lengths.items())
        raise DefinitionError(
            f'settings that vary must have the same number of values for combine = "zip", got {found}'
        )
    length = max(lengths.values(), default=1)
    _limit(length + already, f"{length} rows")
    return zip(*(column if len(column) > 1 else list(column) * length for column in columns.values()), strict=True)


def _limit(number: int, what: str) -> None:
    if number > _MOST_CELLS:
        raise DefinitionError(f"the number of cells must be at most {_MOST_CELLS}, got {number} ({what})")


def _limit_blocks(cells: Iterable[Cell]) -> None:
    """Refuse what has too many blocks to list them: counted, because a list of them would fill the memory."""
    found: dict[str, tuple[int, Cell]] = {}
    for cell in cells:
        number = math.ceil(cell.replicates / block_length(cell))
        if cell.key not in found or found[cell.key][0] < number:
            found[cell.key] = number, cell
    total = sum(number for number, _ in found.values())
    if total > _MOST_BLOCKS:
        number, cell = max(found.values(), key=lambda item: item[0])
        raise DefinitionError(
            f"the number of blocks must be at most {_MOST_BLOCKS}, got {total} ({number} in the cell with replicates = "
            f"{cell.replicates}, generations = {cell.generations}, n_samples = {shown(cell.n_samples)})"
        )


# ------------------------------------------------------------------------------------------------------- cells


class _Option(NamedTuple):
    """A value of an argument of `simulate`, with what the file says of it."""

    value: Any
    settings: dict[str, Any]
    choice: _Choice


_Parts = dict[tuple[str, str], Any]
"""Models, losses, regimes and so on by what the file says of them."""


class _Builder:
    """Makes the cells of a version; it makes and checks every model, loss, regime and combination of them once."""

    def __init__(self, folder: Path, coupled: bool, version: Version, parts: _Parts) -> None:
        self.folder, self.coupled, self.version = folder, coupled, version
        self._parts = parts
        self._options: dict[tuple[str, str], list[_Option]] = {}
        self._losses: dict[tuple[int, int], Loss] = {}
        self._sizes: dict[tuple[Any, int], int | tuple[int, ...]] = {}
        self._identities: dict[int, str] = {}
        self._streams: dict[tuple[Any, ...], int] = {}
        self._criteria: dict[str, tuple[Criterion, ...]] = {}
        self._measured: dict[tuple[Any, ...], tuple[tuple[str, ...], tuple[Criterion, ...]]] = {}

    def cells(self, case: _Case, already: int) -> Iterator[Cell]:
        """Yield the cells of a case; `already` counts those of the cases before."""
        columns = {
            name: self._options_of(name, entry, case.combine)
            for name, entry in case.entries.items()
            if name not in ("metrics", "fidelity")
        }
        paths = {case.entries[name].path: options for name, options in columns.items()}
        for row in _combined(paths, case.combine, already):
            yield self._cell(case, columns, dict(zip(columns, row, strict=True)))

    def _options_of(self, name: str, entry: _Entry, combine: str) -> list[_Option]:
        if (entry.path, combine) not in self._options:
            choices = _choices(entry, name, combine, self.version.places)
            self._options[entry.path, combine] = [self._option(name, choice, entry.path) for choice in choices]
        return self._options[entry.path, combine]

    def _option(self, name: str, choice: _Choice, path: str) -> _Option:
        settings = {key: given.value for key, given in choice.items()}
        try:
            if name in TABLES and name not in settings:
                value = self._part(name, {key.removeprefix(f"{name}."): item for key, item in settings.items()})
            elif name in _LEAST:
                limit = {"maximum": 2**128} if name == "seed" else {}
                value = positive_integer(name, settings[name], minimum=_LEAST[name], **limit)
            else:
                value = settings[name]
        except DomainError as error:
            raise DefinitionError(_at_its_path(error, choice, path)) from None
        except UnsupportedCombinationError as error:
            raise DefinitionError(f"{path}: {error}" if path else str(error)) from None
        return _Option(value, settings, choice)

    def _part(self, name: str, given: dict[str, Any]) -> Any:
        label = name, json.dumps(given, sort_keys=True)
        if label not in self._parts:
            self._parts[label] = made(name, given, self.folder)
        return self._parts[label]

    def _loss_for(self, model: Model, loss: Loss | GammaOverPeak) -> Loss:
        """Return the loss, whose threshold may depend on the model."""
        if isinstance(loss, Loss):
            return loss
        label = id(loss), id(model)
        if label not in self._losses:
            self._losses[label] = loss.loss_for(model)
        return self._losses[label]

    def _sizes_of(self, n_samples: Any, generations: int) -> int | tuple[int, ...]:
        """Return the sample size of all generations, or of each if they are not the same."""
        label = n_samples, generations
        if isinstance(n_samples, int):
            return n_samples
        if label not in self._sizes:
            if generations > _LONGEST_SCHEDULE:
                admissible = f"at most {_LONGEST_SCHEDULE} where the sample size is not the same for all of them"
                raise DomainError("generations", generations, admissible)
            sizes = tuple(sample_sizes(n_samples, generations).tolist())
            self._sizes[label] = sizes[0] if len({*sizes}) == 1 else sizes
        return self._sizes[label]

    def _cell(self, case: _Case, columns: Mapping[str, list[_Option]], row: Mapping[str, _Option]) -> Cell:
        model = row["model"].value
        regime = row["regime"].value if "regime" in row else _REPLACE
        decoding = row["decoding"].value if "decoding" in row else None
        sampler = row["sampler"].value if "sampler" in row else "auto"
        n_samples, generations, replicates, seed = (row[name].value for name in _LEAST)
        try:
            loss = self._loss_for(model, row["loss"].value)
            n_samples = self._sizes_of(n_samples, generations)
            stream_size = self._checked(model, loss, regime, decoding, n_samples, generations, sampler)
            metrics, fidelity = self._measures(model, case, partial(_shortest, loss, regime, n_samples))
            _check_size(generations, min(stream_size, replicates), len(metrics))
        except (DomainError, UnsupportedCombinationError, CriterionError) as error:
            raise DefinitionError(_with_cell(error, case, columns, row)) from None
        law = {
            "model": self._identity(model),
            "loss": self._identity(loss),
            "regime": self._identity(regime),
            "n_samples": n_samples if isinstance(n_samples, int) else _digest(n_samples),
            "sampler": sampler,
            "generations": generations,
            **({} if decoding is None else {"decoding": self._identity(decoding)}),
        }
        # the stream depends on what is simulated, and not on how often, or on what is recorded
        stream = seed if self.coupled else int(_digest({"seed": seed, **law})[:32], 16)
        results = {
            **law,
            "metrics": metrics,
            "stream": stream,
            "version": model.results_version,
        }
        return Cell(
            settings={key: value for option in row.values() for key, value in option.settings.items()},
            model=model,
            loss=loss,
            regime=regime,
            decoding=decoding,
            n_samples=n_samples,
            generations=generations,
            replicates=replicates,
            metrics=metrics,
            sampler=sampler,
            seed=stream,
            fidelity=fidelity,
            key=_digest(results)[:32],
        )

    def _checked(
        self,
        model: Model,
        loss: Loss,
        regime: Regime,
        decoding: Decoding | None,
        n_samples: int | tuple[int, ...],
        generations: int,
        sampler: str,
    ) -> int:
        """Return how many replicates share a stream of random numbers at most, after checking what goes with what."""
        # a schedule with stages alone can be too short for the generations; what is kept can only make streams smaller
        is_schedule = isinstance(regime, Staged) or not isinstance(n_samples, int)
        length = min(generations, _LONGEST_SCHEDULE) if is_schedule else 1
        label = id(model), id(loss), id(regime), id(decoding), n_samples, length, sampler
        if label not in self._streams:
            model.check(loss, regime, decoding)
            sizes = sample_sizes(n_samples, length)
            self._streams[label] = model.recursion(loss, sizes, regime, sampler, decoding).block_size
        return self._streams[label]

    def _identity(self, part: Any) -> str:
        if id(part) not in self._identities:
            self._identities[id(part)] = _digest(identity(part))
        return self._identities[id(part)]

    def _measures(
        self, model: Model, case: _Case, shortest: Callable[[Model], Recursion]
    ) -> tuple[tuple[str, ...], tuple[Criterion, ...]]:
        """Return metrics and criteria, after checking them for this model."""
        wanted, criteria = (case.entries.get(name) for name in ("metrics", "fidelity"))
        label = id(model), wanted and wanted.path, criteria and criteria.path
        if label not in self._measured:
            metrics: Sequence[str] = model.default_metrics
            if wanted is not None:
                metrics = wanted.node
                for index, metric in enumerate(metrics):
                    _check_metric(model, metric, f"{wanted.path}[{index}]")
            fidelity = self._criteria_of(model, criteria, shortest) if criteria is not None else ()
            names = {*metrics, *(criterion.metric for criterion in fidelity)}
            self._measured[label] = tuple(sorted(names)), fidelity
        return self._measured[label]

    def _criteria_of(
        self, model: Model, entry: _Entry, shortest: Callable[[Model], Recursion]
    ) -> tuple[Criterion, ...]:
        paths = [f"{entry.path}[{index}]" for index in range(len(entry.node))]
        if entry.path not in self._criteria:
            self._criteria[entry.path] = tuple(map(criterion_of, entry.node, paths))
        for criterion, path in zip(self._criteria[entry.path], paths, strict=True):
            _check_criterion(model, criterion, path, shortest)
        return self._criteria[entry.path]


_REPLACE = Replace()
_LONGEST_SCHEDULE = 1_000_000


def _check_size(generations: int, replicates: int, n_metrics: int) -> None:
    """Refuse generations of which the smallest block, that of one stream, does not fit in a store."""
    most = _MOST_BYTES // (8 * replicates * n_metrics) - 1
    if generations > most:
        of_what = f"{replicates} replicate{'s' * (replicates > 1)} and {n_metrics} metric{'s' * (n_metrics > 1)}"
        raise DomainError("generations", generations, f"at most {most} for blocks of {of_what} (1 GB)")


def _check_metric(model: Model, metric: str, path: str) -> None:
    if metric not in model.metric_names:
        names = ", ".join(model.metric_names)
        near = hint(metric, model.metric_names)
        raise CriterionError(
            f"{path} must be a metric of {type(model).__name__} ({near or names}), got {shown(metric)}; "
            "a metric of your own needs tce_theory.simulate(metrics=...)"
        )


def _shortest(loss: Loss, regime: Regime, n_samples: int | tuple[int, ...], model: Model) -> Recursion:
    """Return the recursion of one generation: of a setting that has been checked, for any other may be refused."""
    size = n_samples if isinstance(n_samples, int) else n_samples[0]
    return model.recursion(loss, sample_sizes(size, 1), regime, "auto")


def _check_criterion(model: Model, criterion: Criterion, path: str, shortest: Callable[[Model], Recursion]) -> None:
    """Refuse another family's metric, and a share of what the shortest run shows not to be positive at generation 0."""
    _check_metric(model, criterion.metric, f"{path}.metric")
    if not criterion.relative:
        return
    start = _at_generation_0(model, criterion.metric, shortest)
    if not 0 < start < math.inf:
        raise CriterionError(
            f"{path}.relative must be false for {criterion.metric}, which is not positive and finite at generation 0, "
            f"got {criterion.metric} = {start:g}"
        )


def _at_generation_0(model: Model, metric: str, shortest: Callable[[Model], Recursion]) -> float:
    try:
        return model.measure(metric, model)
    except DomainError:  # a metric of fits or of data, for which a generation has to be run
        block = simulate_part(shortest(model), range(1), metrics=[metric], seed=0)
        assert block is not None  # nothing stops it
        return float(block.metrics[metric][0, 0])


# ------------------------------------------------------------------------------------------------------ errors


_NAMED = re.compile(r"^[ \t]*(\[{0,2})[ \t]*([\w.-]+)[ \t]*[]=]", re.MULTILINE)
"""A line with a table or a key: brackets and name."""


def _advice(error: str, text: str) -> str:
    """Return what a beginner may have meant where TOML is refused; empty where that is not certain."""
    place = re.search(r"at line (\d+), column (\d+)", error)
    line = text.split("\n")[int(place[1]) - 1 if place else -1]
    if error.startswith("Invalid value") and place and re.match("[A-Za-z]", line[int(place[2]) - 1 :]):
        return "words need quotes; true and false are written small"
    if error.startswith(("Unescaped '\\'", "Invalid hex value")):
        return "for a backslash use '...' in place of \"...\", and in paths / does as well"
    if error.startswith(("Cannot overwrite a value", "Cannot declare")):
        name = named[2] if (named := _NAMED.match(line)) else ""
        places = [brackets for brackets, other in _NAMED.findall(text) if other == name]
        if len(places) > 1 and all(places) and name in SEVERAL:
            return f"write [[{name}]] each time for several"
        if len(places) > 1:
            return f"{name} is there twice"
    return ""


def _at_its_path(error: DomainError, choice: _Choice, path: str) -> str:
    """Say where in the file the value stands that a constructor refuses."""
    for name, given in choice.items():
        whole, _, last = error.argument.rpartition(" ")  # the argument, or such as "row 1 of" it
        if name.rpartition(".")[2] == last:
            return f"{whole} {given.path} must be {error.admissible}, got {shown(error.value)}".lstrip()
    return f"{path}: {error}" if path else str(error)


def _with_cell(error: Exception, case: _Case, columns: Mapping[str, list[_Option]], row: Mapping[str, _Option]) -> str:
    """Write the refusal of a combination, and name the cell by its settings that vary."""
    line = str(error)
    if isinstance(error, DomainError):
        choice = {name: given for option in row.values() for name, given in option.choice.items()}
        line = _at_its_path(error, choice, case.where)
    elif isinstance(error, UnsupportedCombinationError) and case.where:
        line = f"{case.where}: {line}"
    varying = {
        name: value
        for part, option in row.items()
        for name, value in option.settings.items()
        if any(other.settings.get(name, ...) != value for other in columns[part])
        and not (isinstance(error, DomainError) and name.rpartition(".")[2] == error.argument)
    }
    words = ", ".join(f"{name} = {shown(value)}" for name, value in varying.items())
    return f"{line} (in the cell with {words})" if words else line


# -------------------------------------------------------------------------------------------------------- keys


def identity(part: Any) -> dict[str, Any]:
    """Return what a model, loss or regime is: its class, and the parameters that differ from their defaults."""
    found: dict[str, Any] = {"class": type(part).__name__}
    for item in fields(part):
        value = getattr(part, item.name)
        is_left_out = value is None and item.default in (None, MISSING)
        if item.compare and not (is_left_out or (np.isscalar(value) and value == item.default)):
            found[item.name] = _plain_identity(value)
    return found


def _plain_identity(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return _digest_of_array(value)
    if isinstance(value, (LanguageSource, ImageSource)):
        return value.describe()
    return identity(value) if is_dataclass(value) else value


def _digest_of_array(array: np.ndarray) -> str:
    return hashlib.sha256(f"{array.dtype.str}{array.shape}".encode() + array.tobytes()).hexdigest()


def _digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
