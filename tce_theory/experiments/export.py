"""Experiments as files for other programs: tables in CSV, arrays in .npz, the definition in JSON."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.experiments.results import Experiment, StoredCell
from tce_theory.files import write_atomically

__all__ = ["export"]

_TRAJECTORIES = ("cell", "key", "metric", "generation", "finished", "mean", "median", "q05", "q95")


def export(experiment: Experiment, folder: str | os.PathLike[str]) -> list[Path]:
    """Write an experiment as files.

    Parameters
    ----------
    experiment : Experiment
        From `tce_theory.experiments.load`.
    folder : str or os.PathLike
        Where to; it is made if it does not exist. Files of the same names are replaced, each as a whole, and others are
        left alone.

    Returns
    -------
    list of pathlib.Path
        What has been written, in order:

        - definition.json: the content of the definition;
        - cells.csv: all settings and the state of each cell;
        - fidelity.csv: fidelity intervals, if the definition has criteria;
        - extension.csv: extension factors over cross entropy, if there are criteria, and a cell with cross entropy for
          each of the others;
        - trajectories.csv: mean, median and quantiles (5 %, 95 %) over the replicates that have finished, of each
          metric by generation;
        - runs/<key>.npz: all paths of a cell, for `tce_theory.Run.load` or `numpy.load`.

    Raises
    ------
    OSError
        If a file cannot be written.
    StoreError
        If the store is damaged.

    Notes
    -----
    CSV is in UTF-8, as RFC 4180 has it. Numbers have all their digits; "inf" and "nan" are values, and an empty field
    is none. The column "cell" numbers the cells in all tables. Where two cells have the same key, and differ in
    their replicates or their condition alone, the file in runs is that of the one with more. Cells are read one at a
    time.

    Examples
    --------
    >>> import tempfile
    >>> import tce_theory as tce
    >>> definition = tce.experiments.Definition.from_mapping({
    ...     "title": "Small", "seed": 1, "n_samples": 10, "generations": 3, "replicates": 5,
    ...     "model": {"family": "gaussian"}, "loss": {"name": "tce", "gamma": 0.5}, "metrics": ["std"]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     experiment = tce.experiments.run(definition, Path(folder, "small.sqlite"))
    ...     paths = export(experiment, Path(folder, "tables"))
    ...     print([path.name for path in paths[:3]], tce.Run.load(paths[3]))
    ['definition.json', 'cells.csv', 'trajectories.csv'] <Run: 5 replicates, 3 generations, seed ...; metrics std>
    Gaussian, TruncatedCrossEntropy(gamma=0.5...), Replace()
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    document = json.dumps(experiment.document, indent=2, ensure_ascii=False) + "\n"
    definition = folder / "definition.json"
    write_atomically(definition, lambda file: file.write(document.encode()))
    tables = {
        "cells.csv": experiment.table(all_settings=True),
        "fidelity.csv": experiment.fidelity_table(),
        "extension.csv": _extension_rows(experiment),
    }
    written = [definition]
    for name, rows in tables.items():
        if rows:
            _write_table(folder / name, list(rows[0]), ([_plain(v) for v in row.values()] for row in rows))
            written.append(folder / name)
    written.append(folder / "trajectories.csv")
    _write_table(written[-1], _TRAJECTORIES, _trajectories(experiment.cells))
    (folder / "runs").mkdir(exist_ok=True)
    for cell in _largest(experiment.cells):
        written.append(folder / "runs" / f"{cell.key}.npz")
        cell.run().save(written[-1])
    return written


def _extension_rows(experiment: Experiment) -> list[dict[str, Any]]:
    try:
        return experiment.extension_table()
    except DomainError:  # cells without a baseline
        return []


def _largest(cells: Iterable[StoredCell]) -> list[StoredCell]:
    """Return the cells of which anything has finished; of those with the same key the one with most replicates."""
    largest: dict[str, StoredCell] = {}
    for cell in cells:
        if cell.finished and (cell.key not in largest or largest[cell.key].replicates < cell.replicates):
            largest[cell.key] = cell
    return list(largest.values())


def _trajectories(cells: Sequence[StoredCell]) -> Iterator[Sequence[Any]]:
    for number, cell in enumerate(cells):
        if cell.finished:
            for name, values in cell.run().metrics.items():
                columns = [column.tolist() for column in _summary(values)]
                for generation, row in enumerate(zip(*columns, strict=True)):
                    yield number, cell.key, name, generation, cell.finished, *row


def _summary(values: np.ndarray) -> list[np.ndarray]:
    """Return mean, median and quantiles over replicates, generation by generation."""
    with np.errstate(all="ignore"):  # the mean of numbers that are infinite, or nearly
        mean = values.mean(axis=0)
    # one of the values, where interpolation between infinite ones would have none
    return [mean, *np.quantile(values, (0.5, 0.05, 0.95), axis=0, method="inverted_cdf")]


def _plain(value: Any) -> Any:
    """Return a setting as a field: lists and tables as JSON, true and false as in TOML."""
    return json.dumps(value) if isinstance(value, (list, Mapping, bool)) else value


def _write_table(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    def write(file: IO[bytes]) -> None:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="")
        writer = csv.writer(text)  # writes floats by repr, None as an empty field, and CRLF
        writer.writerow(header)
        writer.writerows(rows)
        text.flush()
        text.detach()  # the file is not this function's to close

    write_atomically(path, write)
