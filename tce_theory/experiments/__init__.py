"""Experiments: many simulations from one definition, kept in a store that loses nothing.

`run` does what a store lacks of a definition; `load` gives what it holds. Names are loaded when they are first used.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

_HOMES = {"Definition": "definition", "Experiment": "results", "load": "results", "run": "results"}

__all__ = ["Definition", "Experiment", "load", "run"]

if TYPE_CHECKING:
    from tce_theory.experiments.definition import Definition
    from tce_theory.experiments.results import Experiment, load, run


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
