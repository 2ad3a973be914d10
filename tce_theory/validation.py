"""Checks of arguments at the public boundary, each with the library's own error."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tce_theory.errors import DomainError

__all__ = [
    "boolean",
    "finite_array",
    "finite_number",
    "generator",
    "number_in",
    "one_of",
    "positive_integer",
    "positive_number",
    "probability_vector",
    "recorded_seed",
]


def boolean(argument: str, value: Any) -> bool:
    """Return `value` as a bool, or raise DomainError if it is neither True nor False."""
    if not isinstance(value, (bool, np.bool_)):
        raise DomainError(argument, value, "True or False")
    return bool(value)


def finite_number(argument: str, value: Any) -> float:
    """Return `value` as a float, or raise DomainError if it is not a finite real number."""
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        raise DomainError(argument, value, "a finite number") from None
    if isinstance(value, (str, bytes, bool, np.bool_)) or not math.isfinite(number):
        raise DomainError(argument, value, "a finite number")
    return number


def positive_number(argument: str, value: Any) -> float:
    """Return `value` as a float, or raise DomainError if it is not finite and above 0."""
    number = finite_number(argument, value)
    if number <= 0:
        raise DomainError(argument, value, "a finite number above 0")
    return number


def number_in(argument: str, value: Any, low: float, high: float, *, open_low: bool = False) -> float:
    """Return `value` as a float in [low, high], or (low, high] with `open_low`."""
    bracket = "(" if open_low else "["
    admissible = f"a number in {bracket}{low:g}, {high:g}]"
    try:
        number = finite_number(argument, value)
    except DomainError:
        raise DomainError(argument, value, admissible) from None
    if number > high or number < low or (open_low and number == low):
        raise DomainError(argument, value, admissible)
    return number


def positive_integer(argument: str, value: Any, *, minimum: int = 1, maximum: int = 2**53) -> int:
    """Return `value` as an int of at least `minimum` (and at most `maximum`), or raise DomainError."""
    admissible = f"an integer of at least {minimum}"
    if maximum < 2**53 or (isinstance(value, (int, float)) and value > maximum):
        admissible += f" and at most {maximum if maximum.bit_count() > 1 else f'2**{maximum.bit_length() - 1}'}"
    if isinstance(value, (bool, np.bool_)):
        raise DomainError(argument, value, admissible)
    try:
        # 1e8 is how people write a sample size; 10.5 is a mistake
        number = int(value) if isinstance(value, float) and value.is_integer() else operator.index(value)
    except (TypeError, OverflowError):
        raise DomainError(argument, value, admissible) from None
    if not minimum <= number <= maximum:
        raise DomainError(argument, value, admissible)
    return number


def one_of(argument: str, value: Any, choices: Sequence[str]) -> str:
    """Return `value` if it is one of `choices`, or raise DomainError."""
    if not isinstance(value, str) or value not in choices:
        raise DomainError(argument, value, "one of " + ", ".join(repr(choice) for choice in choices))
    return value


def finite_array(argument: str, value: Any, *, ndim: int = 1, minimum_size: int = 1) -> np.ndarray:
    """Return `value` as a float64 array of `ndim` dimensions without NaN or infinity."""
    admissible = f"an array of finite numbers with {ndim} dimension{'s' if ndim > 1 else ''}"
    if minimum_size > 1:
        admissible += f" and at least {minimum_size} elements"
    if np.ma.is_masked(value):
        raise DomainError(argument, "a masked array", f"{admissible}, none of them masked")
    try:
        if np.iscomplexobj(value):  # imaginary parts would be dropped
            raise TypeError
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DomainError(argument, value, admissible) from None
    if array.ndim != ndim or array.size < minimum_size:
        nonempty = "a nonempty" if array.size == 0 else "an"
        raise DomainError(argument, _Shape(array) if array.ndim else value, admissible.replace("an", nonempty, 1))
    if not np.isfinite(array).all():
        raise DomainError(argument, _First(array, ~np.isfinite(array)), admissible)
    return array


def probability_vector(argument: str, value: Any) -> np.ndarray:
    """Return `value` as a float64 vector of nonnegative entries that sum to 1.

    The sum may be off by 1e-9, which is divided out, unless it is no more than rounding: a probability that was given
    as a threshold should stay on the threshold.
    """
    array = finite_array(argument, value)
    if (array < 0).any():
        raise DomainError(argument, _First(array, array < 0), "a vector of nonnegative numbers that sum to 1")
    total = array.sum()
    if abs(total - 1) > 1e-9:
        raise DomainError(argument, _Sum(total), "a vector of nonnegative numbers that sum to 1")
    rounding = 4 * np.finfo(np.float64).eps * max(1.0, math.log2(array.size))
    return array.copy() if abs(total - 1) <= rounding else np.asarray(array / total)


class _Shape:
    """Shows an array in a message by its shape."""

    def __init__(self, array: np.ndarray) -> None:
        self.shape = array.shape

    def __repr__(self) -> str:
        return f"an array of shape {self.shape}"


class _First:
    """Shows an array in a message by its first offending element."""

    def __init__(self, array: np.ndarray, bad: np.ndarray) -> None:
        self.index = tuple(int(i) for i in np.argwhere(bad)[0])
        self.value = float(array[self.index])

    def __repr__(self) -> str:
        return f"{self.value} at index {self.index[0] if len(self.index) == 1 else self.index}"


class _Sum:
    """Shows a vector in a message by its sum."""

    def __init__(self, total: float) -> None:
        self.total = float(total)

    def __repr__(self) -> str:
        return f"a vector that sums to {self.total:.12g}"


def generator(seed: Any) -> np.random.Generator:
    """Return a generator for a seed: itself, one from a nonnegative integer, or one with fresh entropy for None."""
    if isinstance(seed, np.random.Generator):
        return seed
    return np.random.default_rng(None if seed is None else positive_integer("seed", seed, minimum=0, maximum=2**128))


def recorded_seed(seed: Any) -> int:
    """Return a nonnegative seed, or a fresh one for None, as a number that a result can record."""
    if seed is None:
        return int(np.random.SeedSequence().generate_state(1, np.uint64)[0])
    return positive_integer("seed", seed, minimum=0, maximum=2**128)
