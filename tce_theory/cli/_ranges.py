"""Values of the parameters of a closed form, as people type them: numbers, ranges, lists, whole vectors."""

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tce_theory.cli._generation0 import zipf_model
from tce_theory.cli._options import number, numbers
from tce_theory.errors import DomainError

__all__ = ["Parameter", "parameters_of", "read"]

_POINTS = 11
_MOST_POINTS = 10_000
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a closed form; `kind` is "number", "integer", "vector", "boolean" or "word"."""

    name: str
    kind: str
    required: bool

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Read the parameters of a closed form from its signature."""
    kinds = {"Vector": "vector", "Integers": "integer", "bool": "boolean", "str": "word"}
    return [
        Parameter(item.name, kinds.get(str(item.annotation), "number"), item.default is inspect.Parameter.empty)
        for item in inspect.signature(function).parameters.values()
    ]


def read(parameter: Parameter, text: str) -> tuple[list[Any], bool]:
    """Return the values that `text` stands for, and whether they are spaced evenly in the logarithm."""
    match parameter.kind:
        case "vector":
            return [_vector(parameter, text)], False
        case "boolean":
            return [_boolean(parameter, part) for part in text.split(",")], False
        case "word":
            return list(text.split(",")), False
    if ":" in text:
        return _range(parameter, text)
    return numbers(parameter.option, text, "a number, a list such as 10,100, or a range such as 10:1000:log"), False


def _range(parameter: Parameter, text: str) -> tuple[list[Any], bool]:
    admissible = "FROM:TO, FROM:TO:log, FROM:TO:COUNT or FROM:TO:log:COUNT, such as 10:1000:log"
    ends, more = text.split(":")[:2], text.split(":")[2:]
    low, high = (number(end.strip()) for end in ends)
    logarithmic = more[:1] == ["log"]
    counts = [number(part) for part in more[logarithmic:]] or [_POINTS]
    count = counts[0]
    if any(isinstance(end, str) or not math.isfinite(end) for end in (low, high)) or len(counts) > 1:
        raise DomainError(parameter.option, text, admissible)
    if not isinstance(count, int) or not 2 <= count <= _MOST_POINTS:
        raise DomainError(parameter.option, text, f"{admissible}, with a COUNT from 2 to {_MOST_POINTS}")
    if low == high or (logarithmic and (low <= 0 or high <= 0)):
        raise DomainError(parameter.option, text, "a range with two different ends, above 0 if it is logarithmic")
    if logarithmic:
        ratio = high / low
        values = [low * ratio ** (i / (count - 1)) for i in range(count - 1)]
    else:
        values = [low + (high - low) * i / (count - 1) for i in range(count - 1)]
    values = [low, *values[1:], high]
    if parameter.kind == "integer":
        values = list(dict.fromkeys(round(value) for value in values))
    return values, logarithmic


def _vector(parameter: Parameter, text: str) -> Any:
    admissible = "numbers with commas between them, such as 0.5,0.3,0.2, or zipf:K[:EXPONENT]"
    if not text.startswith("zipf:"):
        return numbers(parameter.option, text, admissible)
    try:
        return zipf_model(text.removeprefix("zipf:")).probs
    except DomainError:
        raise DomainError(parameter.option, text, admissible) from None


def _boolean(parameter: Parameter, text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise DomainError(parameter.option, text, "true or false")
    return value
