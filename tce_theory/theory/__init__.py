"""Closed forms, one module a subject; nothing in here simulates.

Subjects are imported when they are first used: ``tce_theory.theory.gaussian.expected_variance(10, 100)``.
"""

from __future__ import annotations

import importlib
from types import ModuleType

__all__ = ["ancestry", "categorical", "gaussian", "literature", "loss", "regimes", "truncated", "wall"]


def __getattr__(name: str) -> ModuleType:
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
