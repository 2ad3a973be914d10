"""What a store holds, for people: the cells of its last definition, their runs, and tables of them."""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError, StoreError
from tce_theory.experiments import tables
from tce_theory.experiments.conditions import replaced_settings
from tce_theory.experiments.definition import Criterion, Definition
from tce_theory.experiments.design import StudyDesign
from tce_theory.experiments.store import Store, StoredBlock
from tce_theory.run import Run

if TYPE_CHECKING:
    import xarray

__all__ = ["Experiment", "StoredCell", "load", "run"]

_CE = {"loss.name": "ce"}


@dataclass(frozen=True, eq=False, kw_only=True, repr=False)
class StoredCell:
    """A cell of a definition, and how much of it a store holds.

    Attributes
    ----------
    settings : Mapping of str to Any
        What the definition says of it, by dotted names such as "loss.gamma".
    key : str
        Names its results in the store.
    metrics : tuple of str
        Names of the metrics that it records.
    fidelity : tuple of Criterion
        Its fidelity criteria.
    replicates, finished : int
        Replicates that the definition wants, and how many of them there are.
    status : str
        "done"; "failed" if a block failed and has not been run since; else "partial" or "missing".
    error : str or None
        The error of the first block that failed, in one line.
    seconds : float
        What the finished blocks took, added up over workers.
    """

    settings: Mapping[str, Any]
    key: str
    metrics: tuple[str, ...]
    fidelity: tuple[Criterion, ...]
    replicates: int
    finished: int
    status: str
    error: str | None
    seconds: float
    _path: Path
    _title: str
    _provenance: Mapping[str, Any]
    _pieces: tuple[tuple[StoredBlock, range], ...]

    def __repr__(self) -> str:
        found = f"{self.status}, {self.finished} of {self.replicates} replicates"
        return f"<StoredCell: {tables.in_words(self.settings)}; {found}>"

    @property
    def path(self) -> Path:
        """The store."""
        return self._path

    @property
    def generations(self) -> int:
        """Generations after generation 0."""
        return int(self._provenance["generations"])

    @property
    def loss_parameters(self) -> Mapping[str, Any]:
        """Parameters of its loss by name, those that the definition leaves out among them."""
        parameters: Mapping[str, Any] = self._provenance["loss_parameters"]
        return parameters

    @property
    def seed(self) -> int:
        """Seed with which `tce_theory.simulate` gives the same run, bit for bit."""
        return int(self._provenance["seed"])

    def run(self) -> Run:
        """Read the replicates that have finished.

        Returns
        -------
        Run
            As from `tce_theory.simulate` with this cell's settings and `seed`. Of a cell that has not finished it has
            fewer replicates than were asked for, and its `replicates` says which. Its provenance has also the title of
            the definition, the key, and the machines that computed it.

        Raises
        ------
        StoreError
            If no replicate has finished, or the store is damaged or has been replaced since it was loaded.
        """
        if not self._pieces:
            reason = self.error or "it has not been run"
            cell = tables.in_words(self.settings)
            raise StoreError(f"{self._path}: nothing has finished of the cell {cell}: {reason}")
        with Store.reading(self._path) as store:
            return self._assembled(
                [self._part(store, block, rows) for block, rows in self._pieces],
                model=store.model(self.key),
                machines=store.machines(self.key),
                title=self._title,
                key=self.key,
            )

    def measured(self, store: Store, wanted: Collection[str]) -> Run:
        """Return what `run` does, from an open store, with these metrics alone and without their origin."""
        return self._assembled([self._part(store, block, rows, wanted) for block, rows in self._pieces])

    def _assembled(self, parts: Sequence[tuple[dict[str, Any], dict[str, Any]]], **origin: Any) -> Run:
        metrics, events = parts[0]
        return Run(
            metrics={n: np.concatenate([found[n] for found, _ in parts]) for n in self.metrics if n in metrics},
            replicates=np.concatenate([np.arange(rows.start, rows.stop) for _, rows in self._pieces]),
            n_replicates=self.replicates,
            generations=self.generations,
            events={name: np.concatenate([found[name] for _, found in parts]) for name in events},
            provenance={**self._provenance, **origin},
        )

    def _part(
        self, store: Store, block: StoredBlock, rows: range, wanted: Collection[str] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Read those rows of a block that no other one has; of its metrics only the wanted, if these are given."""
        metrics, events = store.arrays(block, wanted)
        if not metrics:
            where = f"replicates {block.rows.start} to {block.rows.stop - 1} of the cell {self.key}"
            raise StoreError(f"{self._path}: {where} are gone since the store was loaded")
        part = slice(rows.start - block.rows.start, rows.stop - block.rows.start)
        return {name: a[part] for name, a in metrics.items()}, {name: a[part] for name, a in events.items()}


@dataclass(frozen=True, eq=False, repr=False)
class Experiment:
    """What a store held of its last definition when it was loaded. Arrays are read when a cell's `run` asks for them.

    Attributes
    ----------
    path : pathlib.Path
        The store.
    document : Mapping of str to Any
        The definition: the content of its file.
    cells : tuple of StoredCell
        In the order of the definition.

    Examples
    --------
    >>> import tempfile
    >>> definition = Definition.from_mapping({
    ...     "title": "CE and TCE", "seed": 1, "n_samples": 20, "generations": 30, "replicates": 100,
    ...     "model": {"family": "gaussian"}, "loss": [{"name": "ce"}, {"name": "tce", "gamma": [0.4, 0.5]}],
    ...     "metrics": ["std"], "fidelity": [{"metric": "std", "below": 0.75}]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     experiment = run(definition, Path(folder, "example.sqlite"))
    ...     print(experiment)
    ...     cell = experiment.find(**{"loss.gamma": 0.5})
    ...     print(cell.run())
    CE and TCE: 3 cells (3 done), 300 of 300 replicates
    <Run: 100 replicates, 30 generations, seed ...; metrics std>
    Gaussian, TruncatedCrossEntropy(gamma=0.5...), Replace()
    """

    path: Path
    document: Mapping[str, Any]
    cells: tuple[StoredCell, ...]

    @property
    def title(self) -> str:
        """Title of the definition."""
        return str(self.document["title"])

    @property
    def theorems(self) -> tuple[str, ...]:
        """Slugs of the theorems that the definition bears on."""
        return tuple(self.document.get("theorems", ()))

    @property
    def study(self) -> StudyDesign | None:
        """What its conditions are compared for, as the definition stated it before it was run; None without it."""
        return StudyDesign.of(self.document)

    def __repr__(self) -> str:
        return f"<Experiment: {self}; {self.path.name}>"

    def __str__(self) -> str:
        found = Counter(cell.status for cell in self.cells)
        states = ", ".join(f"{found[s]} {s}" for s in ("done", "partial", "failed", "missing") if found[s])
        finished, wanted = (sum(getattr(c, name) for c in self.cells) for name in ("finished", "replicates"))
        number = len(self.cells)
        return f"{self.title}: {number} cell{'s' * (number != 1)} ({states}), {finished} of {wanted} replicates"

    def find(self, **settings: Any) -> StoredCell:
        """Return the one cell that has these settings.

        Parameters
        ----------
        **settings
            By the names in the definition; those with a dot as in ``find(**{"loss.gamma": 0.5}, n_samples=100)``.
            Numbers are equal if they agree to nine digits.

        Returns
        -------
        StoredCell

        Raises
        ------
        DomainError
            If a setting does not exist, or no cell or several have these.
        """
        names = tables.names_of(self.cells)
        for name in settings:
            if name not in names:
                raise DomainError("settings", name, f"one of {', '.join(names)}")
        found = [cell for cell in self.cells if tables.has(cell.settings, settings)]
        if len(found) == 1:
            return found[0]
        asked = tables.in_words(settings)
        if not found:
            present = {name: tables.values_of(name, self.cells) for name in settings}
            raise DomainError("settings", asked, f"those of a cell; there are {tables.in_words(present)}")
        differing = {name: tables.values_of(name, found) for name in tables.varying(found)}
        more = tables.in_words(differing) or "replicates, metrics or fidelity"
        raise DomainError("settings", asked, f"those of one cell; {len(found)} have them, which differ in {more}")

    def table(self, *, all_settings: bool = False) -> list[dict[str, Any]]:
        """Return a row for each cell.

        Parameters
        ----------
        all_settings : bool
            Give also the settings that are the same in all cells.

        Returns
        -------
        list of dict
            "cell" (its index in `cells`), its settings by dotted names (None where a cell does not have one), "key",
            "status", "replicates", "finished", "seconds" and "error".
        """
        return tables.cell_rows(self.cells, all_settings)

    def fidelity_table(self) -> list[dict[str, Any]]:
        """Return a row for each cell and fidelity criterion.

        Returns
        -------
        list of dict
            "cell", the settings that vary, "key", "status", "criterion", "finished" (replicates), "median" and "mean"
            of the fidelity interval in generations with 95 % limits ("median_low", …), "share_censored", and "notes":
            warnings, or why there is no value (None).

        Examples
        --------
        >>> import tempfile
        >>> definition = Definition.from_mapping({
        ...     "title": "Small", "seed": 1, "n_samples": 20, "generations": 30, "replicates": 100,
        ...     "model": {"family": "gaussian"}, "loss": [{"name": "ce"}, {"name": "tce", "gamma": 0.5}],
        ...     "metrics": ["std"], "fidelity": [{"metric": "std", "below": 0.75}]})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     experiment = run(definition, Path(folder, "example.sqlite"))
        ...     for row in experiment.fidelity_table():
        ...         print(row["loss.name"], row["criterion"], f"{row['mean']:.1f}")
        ...     for row in experiment.extension_table():
        ...         print(row["loss.name"], f"{row['ratio']:.1f}", row["paired"])
        ce std below 0.75 ...
        tce std below 0.75 ...
        tce ... False
        """
        return list(tables.fidelity_rows(self.cells))

    def extension_table(self, baseline: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Compare the fidelity intervals of each cell with those of its baseline.

        Parameters
        ----------
        baseline : Mapping of str to Any, optional
            Settings that make a cell a baseline. If not given it is the condition with which a study compares, and
            ``{"loss.name": "ce"}`` without a study. Where a "name" or "family" is among them the whole loss, regime or
            model may differ, and where "condition" is, all that conditions replace; else these settings alone. In all
            others, condition and label aside, the baseline of a cell is equal to it. If no baseline is equal in how it
            was simulated (generations, replicates, sampler, seed) the one that is equal in the rest is taken.

        Returns
        -------
        list of dict
            A row for each cell that is no baseline, and each of its criteria: "cell", the settings that vary, "key",
            "status", "baseline" (index of its cell), "criterion"; "ratio" of the means, "low", "high", "ratio_p",
            "logrank_p", "paired", "horizon", "is_restricted", "is_lower_bound", "baseline_censored" and
            "treated_censored" as in `tce_theory.ExtensionFactor`; and "notes": warnings, or why there is no value
            (None). Cells that share their noise, for which they need the same number of generations, are compared pair
            by pair, on the replicates that both have.

        Raises
        ------
        DomainError
            If `baseline` is no mapping, no cell has its settings, or a cell has no baseline or several.
        """
        if baseline is not None and not isinstance(baseline, Mapping):
            raise DomainError("baseline", baseline, 'a mapping of settings such as {"loss.name": "tce"}')
        if baseline is None:
            baseline = _CE if self.study is None else {"condition": self.study.baseline}
        return tables.extension_rows(self.cells, baseline, replaced_settings(self.document))

    def to_xarray(self, metrics: Sequence[str] | None = None) -> xarray.Dataset:
        """Return metrics and events as labelled arrays.

        Parameters
        ----------
        metrics : sequence of str, optional
            Names of metrics; all metrics and events if not given.

        Returns
        -------
        xarray.Dataset
            A variable for each metric, with the dimensions of the cells, "replicate" and "generation"; events have no
            generation. What has not finished, was not recorded, or lies after a cell's last generation is NaN.

            If the cells are all combinations of their models, losses, regimes and so on, each of these that varies is
            a dimension. Where just one number varies in it, the dimension has its name ("gamma" for "loss.gamma", or
            "loss_gamma" if "gamma" is taken) and its values; else it is "model", "loss", … with labels such as
            "tce(gamma=0.5)". If the cells are no such product there is one dimension "cell", with a coordinate for
            each setting that varies. The coordinate "key" names the cells. The attributes of the dataset are "title"
            and "theorems", that of a variable "units" if it has one.

        Raises
        ------
        ImportError
            If xarray is not installed.
        DomainError
            If no cell records a metric.

        Examples
        --------
        >>> import tempfile
        >>> definition = Definition.from_mapping({
        ...     "title": "Small", "seed": 1, "n_samples": [10, 20], "generations": 3, "replicates": 5,
        ...     "model": {"family": "gaussian"}, "loss": {"name": "tce", "gamma": [0.4, 0.5, 0.6]}})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data = run(definition, Path(folder, "example.sqlite")).to_xarray(["std"])
        >>> dict(data["std"].sizes)
        {'gamma': 3, 'n_samples': 2, 'replicate': 5, 'generation': 4}
        >>> data["std"].sel(gamma=0.5, n_samples=20, generation=3).shape
        (5,)
        """
        from tce_theory.experiments.labelled import dataset

        return dataset(self, metrics)


def load(path: str | os.PathLike[str]) -> Experiment:
    """Load what a store holds of the definition that was run last.

    Parameters
    ----------
    path : str or os.PathLike
        The store. It can be read-only, and a coordinator may be writing it.

    Returns
    -------
    Experiment
        The state of the store at this moment. Only the index is read; the arrays follow cell by cell on request.

    Raises
    ------
    DomainError
        If `path` is no path.
    FileNotFoundError
        If there is no such file.
    StoreError
        If it is not a store that can be read, or holds no definition.

    Examples
    --------
    >>> load("no such store.sqlite")
    Traceback (most recent call last):
    ...
    FileNotFoundError: ...
    """
    _check_path("path", path, "the path of a store")
    path = Path(path).resolve()
    with Store.reading(path) as store:
        document, records = store.last_definition()
        # failures first: a block that is run again in this moment is then there twice rather than not at all
        failures = store.failures()
        blocks = store.blocks()
    failed: dict[str, list[tuple[int, str]]] = {}
    for failure in failures:
        failed.setdefault(failure.key, []).append((failure.rows.start, failure.error))
    title = document["title"]
    cells = [_cell(path, title, r, blocks.get(r["key"], []), failed.get(r["key"], [])) for r in records]
    return Experiment(path, document, tuple(cells))


def run(
    definition: str | os.PathLike[str] | Definition, store: str | os.PathLike[str] | None = None, **options: Any
) -> Experiment:
    """Run the simulations of a definition, or what a store lacks of them.

    Parameters
    ----------
    definition : str, os.PathLike or Definition
        A file in TOML, or a definition.
    store : str or os.PathLike, optional
        Where results are kept. For a file it is its name with the suffix .sqlite, in the current folder, if not given.
    **options
        Those of `tce_theory.experiments.runner.run`, such as ``backend="threads"``, ``n_jobs=-1`` or
        ``retry_failed=False``.

    Returns
    -------
    Experiment
        What the store holds then.

    Raises
    ------
    DefinitionError
        If the definition is wrong; nothing has been run then.
    DomainError
        If `definition` is neither a path nor a `Definition`, `store` is no path or missing for a `Definition`, or an
        option is not admissible.
    FileNotFoundError
        If there is no such definition.
    StoreError
        If the store cannot be used.
    WorkersError
        If the workers were lost.

    Examples
    --------
    >>> import tempfile
    >>> definition = Definition.from_mapping({
    ...     "title": "Small", "seed": 1, "n_samples": 10, "generations": 3, "replicates": 5,
    ...     "model": {"family": "gaussian"}, "loss": {"name": "tce", "gamma": [0.4, 0.5, 0.6]}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     run(definition, Path(folder, "example.sqlite"))
    <Experiment: Small: 3 cells (3 done), 15 of 15 replicates; example.sqlite>
    """
    # late: reading a store needs no workers
    from tce_theory.experiments import runner

    if store is not None:
        _check_path("store", store, "the path of a file")
    if not isinstance(definition, Definition):
        _check_path("definition", definition, "the path of a file or a Definition (Definition.from_mapping makes one)")
        store = f"{Path(definition).stem}.sqlite" if store is None else store
        definition = Definition.read(definition)
    if store is None:
        raise DomainError("store", None, "the path of a file, because a Definition has no name that it could follow")
    runner.run(definition, store, **options)
    return load(store)


def _check_path(argument: str, value: Any, admissible: str) -> None:
    if not isinstance(value, (str, os.PathLike)):
        raise DomainError(argument, type(value), admissible)


def _cell(
    path: Path,
    title: str,
    record: Mapping[str, Any],
    blocks: Iterable[StoredBlock],
    failed: Iterable[tuple[int, str]],
) -> StoredCell:
    wanted = record["provenance"]["replicates"]
    pieces = tuple(_pieces(blocks, wanted))
    finished = sum(len(rows) for _, rows in pieces)
    done = finished == wanted
    # a failure beyond what this definition wants is none of it
    error = None if done else next((error for first, error in sorted(failed) if first < wanted), None)
    return StoredCell(
        settings=record["settings"],
        key=record["key"],
        metrics=tuple(record["metrics"]),
        fidelity=tuple(_criterion(given) for given in record["fidelity"]),
        replicates=wanted,
        finished=finished,
        status="done" if done else "failed" if error is not None else "partial" if finished else "missing",
        error=error,
        seconds=math.fsum(block.seconds for block, _ in pieces),
        _path=path,
        _title=title,
        _provenance=record["provenance"],
        _pieces=pieces,
    )


def _pieces(blocks: Iterable[StoredBlock], wanted: int) -> Iterator[tuple[StoredBlock, range]]:
    """Yield blocks with those of their rows that are wanted and that no block before has: each replicate once."""
    first = 0
    for block in sorted(blocks, key=lambda block: (block.rows.start, -block.rows.stop)):
        rows = range(max(first, block.rows.start), min(block.rows.stop, wanted))
        if rows:
            yield block, rows
            first = rows.stop


def _criterion(given: Mapping[str, Any]) -> Criterion:
    outside = given["outside"]
    return Criterion(**{**given, "outside": None if outside is None else tuple(outside)})
