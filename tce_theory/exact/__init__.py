"""Laws without Monte Carlo: what simulations are held against where no closed form exists."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "FirstPassageLaw": "law",
    "QuasiStationaryLaw": "two_class",
    "TwoClassChain": "two_class",
    "fidelity_law": "fidelity",
    "gaussian_first_passage": "first_passage",
    "log_variance_cdf": "log_variance",
}

__all__ = [
    "FirstPassageLaw",
    "QuasiStationaryLaw",
    "TwoClassChain",
    "fidelity_law",
    "gaussian_first_passage",
    "log_variance_cdf",
]


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
