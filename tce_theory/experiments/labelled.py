"""Experiments as labelled arrays (xarray)."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.experiments import tables

if TYPE_CHECKING:
    import xarray

    from tce_theory.experiments.results import Experiment, StoredCell

__all__ = ["dataset"]

Index = tuple[int, ...]

_UNITS = {
    **dict.fromkeys(("entropy", "kl_from_origin", "kl_to_origin"), "nat"),
    **dict.fromkeys(("entropy_rate", "kl_rate_from_origin", "kl_rate_to_origin"), "nat"),
    **dict.fromkeys(("tv", "heterozygosity", "support_fraction", "max_prob", "absorbing_share"), "1"),
    "longest_cycle": "tokens",
    "support": "classes",
    "masked_weight": "points",
    "vacuous": "generations",
    "generation": "generations",
}
_WORDS = ("name", "family", "growth")
"""Settings that choose a table."""
_ORDER = ("model", "loss", "regime", "decoding", "n_samples", "generations", "replicates", "sampler", "seed")


@dataclass(frozen=True)
class _Axis:
    """A dimension of the cells: the setting or the part that it stands for, and its labels."""

    setting: str
    labels: Sequence[Any]


def dataset(experiment: Experiment, metrics: Sequence[str] | None) -> xarray.Dataset:
    """Return what `Experiment.to_xarray` documents."""
    try:
        import xarray
    except ImportError:
        raise ImportError("to_xarray needs xarray: pip install 'tce_theory[xarray]'") from None

    cells = experiment.cells
    axes, indices = _product(cells) or ([_Axis("cell", range(len(cells)))], [(i,) for i in range(len(cells))])
    shape = tuple(len(axis.labels) for axis in axes)
    values, counts = _filled(cells, indices, shape, _checked(metrics, cells), events=metrics is None)

    taken = {*values, *counts, "replicate", "generation", "cell", "key"}
    dimensions = [axis.setting if axis.setting == "cell" else _name(axis.setting, taken) for axis in axes]
    coordinates: dict[str, Any] = {
        name: (name, list(axis.labels)) for name, axis in zip(dimensions, axes, strict=True) if name != "cell"
    }
    if dimensions == ["cell"]:
        columns = {name: [cell.settings.get(name) for cell in cells] for name in tables.varying(cells)}
        coordinates |= {_name(name, taken): ("cell", _column(column)) for name, column in columns.items()}
    keys = np.empty(shape, dtype=object)
    for cell, index in zip(cells, indices, strict=True):
        keys[index] = cell.key
    coordinates["key"] = (dimensions, keys.astype(str))

    longest = {"replicate": max(c.replicates for c in cells), "generation": max(c.generations for c in cells) + 1}
    coordinates |= {name: (name, np.arange(size)) for name, size in longest.items()}
    variables = {name: ((*dimensions, "replicate", "generation"), array) for name, array in values.items()}
    variables |= {name: ((*dimensions, "replicate"), array) for name, array in counts.items()}
    attributes = {"title": experiment.title, "theorems": ", ".join(experiment.theorems)}
    result = xarray.Dataset(variables, coordinates, attributes)
    for name in {*result.variables} & {*_UNITS}:
        result[name].attrs["units"] = _UNITS[str(name)]
    return result


def _checked(metrics: Any, cells: Sequence[StoredCell]) -> list[str]:
    present = list(dict.fromkeys(name for cell in cells for name in cell.metrics))
    if metrics is None:
        return present
    if isinstance(metrics, str):
        raise DomainError("metrics", metrics, "a list of names")
    for name in metrics:
        if name not in present:
            raise DomainError("metrics", name, f"one of {', '.join(present)}")
    return list(metrics)


# ----------------------------------------------------------------------------------------------------- dimensions


def _product(cells: Sequence[StoredCell]) -> tuple[list[_Axis], list[Index]] | None:
    """Return the axes and the place of each cell, if the cells are all combinations of what varies."""
    parts = [_parts(tables.with_defaults(cell.settings)) for cell in cells]
    axes: list[_Axis] = []
    columns: list[list[int]] = []
    for top in _ORDER:
        column = [given.get(top, {}) for given in parts]
        different = {tables.frozen(part): part for part in column}
        if len(different) > 1:
            places = {part: place for place, part in enumerate(different)}
            axes.append(_axis(top, list(different.values())))
            columns.append([places[tables.frozen(part)] for part in column])
    indices: list[Index] = list(zip(*columns, strict=True)) if columns else [()] * len(cells)
    combinations = int(np.prod([len(axis.labels) for axis in axes], dtype=object))
    return (axes, indices) if len(set(indices)) == len(cells) == combinations else None


def _parts(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return settings by the part that they belong to, so that "loss" has "loss.name" and "loss.gamma"."""
    parts: dict[str, dict[str, Any]] = {}
    for name, value in settings.items():
        parts.setdefault(name.partition(".")[0], {})[name] = value
    return parts


def _axis(top: str, parts: list[dict[str, Any]]) -> _Axis:
    """Return the axis of a part of the settings that varies: with numbers if it is just one of them."""
    names = list(dict.fromkeys(name for part in parts for name in part))
    differing = [name for name in names if len({tables.frozen(part.get(name)) for part in parts}) > 1]
    if len(differing) == 1:
        values = [part.get(differing[0]) for part in parts]
        if all(map(_is_number, values)):
            return _Axis(differing[0], values)
    labels = [_label(top, part, differing) for part in parts]
    if len(set(labels)) < len(labels):
        # long lists that differ in the middle
        labels = [f"{label} #{place}" for place, label in enumerate(labels)]
    return _Axis(top, labels)


def _label(top: str, part: Mapping[str, Any], differing: Sequence[str]) -> str:
    if top in part:
        return str(part[top])
    named = {name.removeprefix(f"{top}."): value for name, value in part.items()}
    head = next((named[word] for word in _WORDS if word in named), top)
    shown = [name.removeprefix(f"{top}.") for name in differing if name in part]
    given = ", ".join(f"{name}={tables.short(named[name])}" for name in shown if name not in _WORDS)
    return f"{head}({given})" if given else str(head)


def _name(setting: str, taken: Container[str]) -> str:
    """Return the last part of a dotted name, or the whole one if that is taken."""
    last = setting.rpartition(".")[2]
    return setting.replace(".", "_") if last in taken or last in _WORDS else last


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _column(values: Sequence[Any]) -> np.ndarray:
    """Return a coordinate: numbers if there is nothing else, with NaN for what is missing; else words."""
    if all(value is None or _is_number(value) for value in values):
        return np.array([np.nan if value is None else value for value in values])
    return np.array(["" if value is None else tables.short(value) for value in values])


# --------------------------------------------------------------------------------------------------------- values


def _filled(
    cells: Sequence[StoredCell], indices: Sequence[Index], shape: Index, metrics: Sequence[str], *, events: bool
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Read cell by cell the metrics, and the events if they are wanted, into arrays that are NaN elsewhere."""
    replicates = max(cell.replicates for cell in cells)
    generations = max(cell.generations for cell in cells)
    values = {name: np.full((*shape, replicates, generations + 1), np.nan) for name in metrics}
    counts: dict[str, np.ndarray] = {}
    for cell, index in zip(cells, indices, strict=True):
        if not cell.finished:
            continue
        run = cell.run()
        for name in values.keys() & run.metrics.keys():
            values[name][index][run.replicates, : run.generations + 1] = run.metrics[name]
        for name in run.events if events else ():
            array = counts.setdefault(name, np.full((*shape, replicates), np.nan))
            array[index][run.replicates] = run.events[name]
    return values, counts
