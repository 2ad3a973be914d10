"""Parameters of a closed form: what they are, and their values as people type them: numbers, ranges, lists, vectors."""

import contextlib
import importlib
import inspect
import math
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tce_theory.cli._generation0 import zipf_model
from tce_theory.cli._options import number, numbers
from tce_theory.errors import DomainError

__all__ = ["Parameter", "parameters_of", "read", "summary_of"]

_POINTS = 11
_MOST_POINTS = 10_000
_MOST_CLASSES = 10_000_000
"""Of a Zipf law; more do not fit into the memory of a laptop."""
_KINDS = {"Vector": "vector", "Integers": "integer", "int": "integer", "bool": "boolean", "str": "word"}
_BOOLEANS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}


@dataclass(frozen=True)
class Parameter:
    """A parameter of a closed form; `kind` is "number", "integer", "vector", "boolean" or "word"."""

    name: str
    kind: str
    required: bool
    default: Any = None
    meaning: str = ""

    @property
    def option(self) -> str:
        return "--" + self.name.replace("_", "-")


def parameters_of(function: Callable[..., Any]) -> list[Parameter]:
    """Read the parameters of a closed form from its signature and its docstring."""
    meanings = _meanings_of(function)
    return [
        Parameter(
            name=item.name,
            kind=_KINDS.get(str(item.annotation), "number"),
            required=item.default is inspect.Parameter.empty,
            default=None if item.default is inspect.Parameter.empty else item.default,
            meaning=meanings.get(item.name, ""),
        )
        for item in inspect.signature(function).parameters.values()
    ]


def summary_of(function: Callable[..., Any]) -> str:
    """Read the first sentence of a docstring; empty where Python has dropped docstrings."""
    summary = " ".join((inspect.getdoc(function) or "").split("\n\n")[0].split())
    return re.sub(r"^Return (?:the )?([a-z])", lambda match: match[1].upper(), summary).removesuffix(".")


def _meanings_of(function: Callable[..., Any]) -> dict[str, str]:
    """Read what a docstring in the style of numpydoc says of the parameters."""
    section = (inspect.getdoc(function) or "").partition("Parameters\n----------\n")[2].split("\n\n")[0]
    meanings = {}
    for names, text in re.findall(r"^(\w[\w, ]*?)(?: :[^\n]*)?\n((?: [^\n]*(?:\n|$))+)", section, flags=re.MULTILINE):
        for name in names.split(", "):
            meanings[name] = _looked_up(function, name, " ".join(text.split()))
    return meanings


def _looked_up(function: Callable[..., Any], name: str, text: str) -> str:
    """Replace "See `other`" by what the docstring of that function says of the parameter."""
    if reference := re.match(r"See `([\w.]+)`", text):
        module, _, other = reference[1].rpartition(".")
        with contextlib.suppress(ImportError, AttributeError):
            return _meanings_of(getattr(importlib.import_module(module or function.__module__), other)).get(name, text)
    return text


def read(parameter: Parameter, text: str, points: int = _POINTS) -> tuple[list[Any], bool]:
    """Return the values that `text` stands for, and whether they are spaced evenly in the logarithm.

    A range that does not say how many values it has, has `points`.
    """
    match parameter.kind:
        case "vector":
            return [_vector(parameter, text)], False
        case "boolean":
            return [_boolean(parameter, part) for part in text.split(",")], False
        case "word":
            return [part.strip() for part in text.split(",")], False
    if ":" in text:
        return _range(parameter, text, points)
    return numbers(parameter.option, text, "a number, a list such as 10,100, or a range such as 10:1000:log"), False


def _range(parameter: Parameter, text: str, points: int) -> tuple[list[Any], bool]:
    admissible = "FROM:TO, FROM:TO:log, FROM:TO:COUNT or FROM:TO:log:COUNT, such as 10:1000:log"
    ends, more = text.split(":")[:2], text.split(":")[2:]
    low, high = (number(end.strip()) for end in ends)
    logarithmic = more[:1] == ["log"]
    counts = [number(part) for part in more[logarithmic:]] or [points]
    count = counts[0]
    if not (_is_finite(low) and _is_finite(high)) or len(counts) > 1:
        raise DomainError(parameter.option, text, admissible)
    if not isinstance(count, int) or not 2 <= count <= _MOST_POINTS:
        raise DomainError(parameter.option, text, f"{admissible}, with a COUNT from 2 to {_MOST_POINTS}")
    if low == high or (logarithmic and (low <= 0 or high <= 0)):
        raise DomainError(parameter.option, text, "a range with two different ends, above 0 if it is logarithmic")
    if parameter.kind == "integer" and not (low == int(low) and high == int(high)):
        raise DomainError(parameter.option, text, "a range between two integers")
    ratio = high / low if logarithmic else high - low
    if not _is_finite(ratio):
        raise DomainError(parameter.option, text, "a range within what a float holds")
    if logarithmic:
        values = [low * ratio ** (i / (count - 1)) for i in range(count - 1)]
    else:
        values = [low + ratio * i / (count - 1) for i in range(count - 1)]
    values = [low, *values[1:], high]
    if parameter.kind == "integer":
        values = list(dict.fromkeys(round(value) for value in values))
    return values, logarithmic


def _is_finite(end: Any) -> bool:
    try:
        return not isinstance(end, str) and math.isfinite(end)
    except OverflowError:  # an integer beyond any float
        return False


def _vector(parameter: Parameter, text: str) -> Any:
    admissible = "numbers with commas between them, such as 0.5,0.3,0.2, or zipf:K[:EXPONENT]"
    law, colon, shape = text.partition(":")
    if not colon or law.strip().lower() != "zipf":
        return numbers(parameter.option, text, admissible)
    size = number(shape.partition(":")[0])
    if not isinstance(size, str) and size > _MOST_CLASSES:
        raise DomainError(parameter.option, text, f"zipf:K[:EXPONENT] with at most {_MOST_CLASSES} classes K")
    try:
        return zipf_model(shape).probs
    except DomainError:
        raise DomainError(parameter.option, text, admissible) from None


def _boolean(parameter: Parameter, text: str) -> bool:
    value = _BOOLEANS.get(text.strip().lower())
    if value is None:
        raise DomainError(parameter.option, text, "true or false")
    return value
