"""Conditions: what a definition is under each of the ways of training that it compares.

A condition has a loss of its own, and settings in place of those of every model. Under a condition a definition is as
if these stood in it; where they do stand in the file is kept for messages.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from tce_theory.errors import DefinitionError
from tce_theory.experiments.schema import is_range, path_of

__all__ = ["Version", "replaced_settings", "versions"]


class Version(NamedTuple):
    """A definition as it is under one condition, or as it stands if it has none.

    Attributes
    ----------
    label : str or None
        Of the condition.
    path : str
        Where the condition stands in the file; empty if there is none.
    document : dict
        The definition with the loss and the settings of the condition in it.
    places : dict
        Of paths in the document that stand elsewhere in the file, and where.
    """

    label: str | None
    path: str
    document: Mapping[str, Any]
    places: Mapping[str, str]

    @contextlib.contextmanager
    def named(self) -> Iterator[None]:
        """Say in errors under which condition they are, unless they stand in it."""
        try:
            yield
        except DefinitionError as error:
            line = str(error)
            if self.path and not line.startswith(self.path):
                raise DefinitionError(f"{self.path}: {line}") from None
            raise


def versions(document: Mapping[str, Any]) -> Iterator[Version]:
    """Yield a definition, whose form has been checked, as it is under each of its conditions.

    Examples
    --------
    >>> early = {"label": "early stopping", "loss": {"name": "ce"}, "model": {"training": {"patience": 3}}}
    >>> document = {"model": {"family": "lm", "training": {"epochs": 9}}, "conditions": [early]}
    >>> (version,) = versions(document)
    >>> version.document["model"]
    {'family': 'lm', 'training': {'epochs': 9, 'patience': 3}}
    >>> version.places["model.training.patience"]
    'conditions[0].model.training.patience'
    """
    if "conditions" not in document:
        yield Version(None, "", document, {})
        return
    for index, condition in enumerate(document["conditions"]):
        path = path_of(["conditions", index])
        places: dict[str, str] = {}
        # a loss that has no place is the last of all, and varies fastest
        changed = _changed({**document, "loss": None}, condition, "", path, places)
        for name in ("conditions", "study"):
            changed.pop(name, None)
        if "cases" in changed:
            changed["cases"] = [
                _changed(case, condition, f"{path_of(['cases', place])}.", path, places)
                for place, case in enumerate(document["cases"])
            ]
        yield Version(condition["label"], path, changed, places)


def _changed(
    settings: Mapping[str, Any], condition: Mapping[str, Any], prefix: str, path: str, places: dict[str, str]
) -> dict[str, Any]:
    """Return the settings of a case, or those above the cases, as they are under a condition."""
    changed = dict(settings)
    if "loss" in settings:
        changed["loss"] = condition["loss"]
        places[f"{prefix}loss"] = f"{path}.loss"
    if "model" in settings and "model" in condition:
        changed["model"] = _merged(settings["model"], condition["model"], f"{prefix}model", f"{path}.model", places)
    return changed


def _merged(given: Any, change: Mapping[str, Any], path: str, source: str, places: dict[str, str]) -> Any:
    """Put the settings of a condition into a table, or into each of several, key by key."""
    if isinstance(given, list):
        return [_merged(item, change, path_of([path, index]), source, places) for index, item in enumerate(given)]
    merged = dict(given)
    for key, value in change.items():
        here, there = f"{path}.{path_of([key])}", f"{source}.{path_of([key])}"
        if _is_table(value) and _is_table(given.get(key)):
            merged[key] = _merged(given[key], value, here, there, places)
        else:
            merged[key], places[here] = value, there
    return merged


def _is_table(value: Any) -> bool:
    return isinstance(value, dict) and not is_range(value)


def replaced_settings(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the dotted names of the settings of models that any condition replaces.

    Examples
    --------
    >>> replaced_settings({"conditions": [{"label": "3", "model": {"training": {"patience": 3, "epochs": 9}}}]})
    ('model.training.patience', 'model.training.epochs')
    """
    names = (name for condition in document.get("conditions", ()) for name in _names(condition.get("model", {})))
    return tuple(dict.fromkeys(f"model.{name}" for name in names))


def _names(table: Mapping[str, Any]) -> Iterator[str]:
    for key, value in table.items():
        if _is_table(value):
            yield from (f"{key}.{name}" for name in _names(value))
        else:
            yield key
