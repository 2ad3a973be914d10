"""Checks of array arguments, and the way back from arrays to numbers.

The closed forms take numbers or arrays and broadcast; `tce_theory.validation` checks single numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tce_theory.errors import DomainError

__all__ = [
    "FloatOrArray",
    "Integers",
    "Vector",
    "flag",
    "integers",
    "numbers_in",
    "numbers_or_scalar",
    "positive_numbers",
    "scales",
]

FloatOrArray = float | np.ndarray

Integers = Any
"""Integers, one or an array of them."""

Vector = Any
"""One whole vector, such as the probabilities of all classes; it does not broadcast."""


def integers(argument: str, value: Any, *, minimum: int, maximum: int = 2**53) -> np.ndarray:
    """Return `value` as float64 integers in [minimum, maximum]; 1e8 is an integer, 10.5 and True are not."""
    limit = f" and at most {maximum}" if maximum < 2**53 else ""
    admissible = f"an integer, or an array of integers, of at least {minimum}{limit}"
    array = _real_array(argument, value, admissible)
    if (np.isfinite(array) & (array > 2**53)).any():
        admissible += f" and at most {min(maximum, 2**53)}"
    bad = ~((array >= minimum) & (array <= maximum) & (array == np.floor(array)))
    return _checked(argument, value, array, bad, admissible)


def numbers_in(
    argument: str, value: Any, low: float, high: float = math.inf, *, open_low: bool = False, open_high: bool = False
) -> np.ndarray:
    """Return `value` as finite float64 numbers between `low` and `high`."""
    left, right = "(" if open_low else "[", ")" if open_high or high == math.inf else "]"
    admissible = f"a finite number, or an array of them, in {left}{low:g}, {high:g}{right}"
    array = _real_array(argument, value, admissible)
    above = array > low if open_low else array >= low
    below = array < high if open_high else array <= high
    return _checked(argument, value, array, ~(above & below & np.isfinite(array)), admissible)


def positive_numbers(argument: str, value: Any) -> np.ndarray:
    """Return `value` as finite float64 numbers above 0."""
    return numbers_in(argument, value, 0.0, open_low=True)


def scales(argument: str, value: Any) -> np.ndarray:
    """Return `value` as positive float64 numbers whose squares neither over- nor underflow."""
    return numbers_in(argument, value, 1e-150, 1e150)


def flag(argument: str, value: Any) -> bool:
    """Return `value` as a bool; numbers and strings are mistakes."""
    if not isinstance(value, (bool, np.bool_)):
        raise DomainError(argument, value, "True or False")
    return bool(value)


def numbers_or_scalar(array: Any) -> FloatOrArray:
    """Return an array of no dimensions as a float, any other as it is."""
    result = np.asarray(array, dtype=np.float64)
    return float(result) if result.ndim == 0 else result


def _real_array(argument: str, value: Any, admissible: str) -> np.ndarray:
    try:
        raw = np.asarray(value)
        if raw.dtype.kind not in "iufO":  # booleans, strings, dates and complex numbers would convert in silence
            raise TypeError
        return raw.astype(np.float64)
    except (TypeError, ValueError, OverflowError):
        raise DomainError(argument, value, admissible) from None


def _checked(argument: str, value: Any, array: np.ndarray, bad: np.ndarray, admissible: str) -> np.ndarray:
    if bad.any():
        raise DomainError(argument, value if array.ndim == 0 else float(array[bad][0]), admissible)
    return array
