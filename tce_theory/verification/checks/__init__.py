"""The checks of the theorems, one module a subject, as in `tce_theory.theorems`."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from dataclasses import dataclass

from tce_theory import theorems
from tce_theory.verification.study import Study

__all__ = ["Check", "check", "every"]

_checks: list[Check] = []


@dataclass(frozen=True)
class Check:
    """A function that holds one aspect of a theorem against computation or simulation."""

    slug: str
    name: str
    function: Callable[[Study], None]


def check(slug: str) -> Callable[[Callable[[Study], None]], Callable[[Study], None]]:
    """Register the decorated function, under its own name, as a check of a theorem."""

    def register(function: Callable[[Study], None]) -> Callable[[Study], None]:
        _checks.append(Check(slug, function.__name__, function))
        return function

    return register


@functools.cache
def every() -> tuple[Check, ...]:
    """Return all checks, in the reading order of their theorems."""
    for subject in theorems.by_subject():
        importlib.import_module(f"{__name__}.{subject}")
    order = {slug: place for place, slug in enumerate(theorems.every())}
    return tuple(sorted(_checks, key=lambda item: order[item.slug]))
