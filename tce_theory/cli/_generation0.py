"""Generation 0 from what the user has: a Zipf law, a text, a column of a CSV file."""

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tce_theory.cli._options import number
from tce_theory.cli._program import BadInputError, reason
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.models.categorical import Categorical

_OfText = TypeVar("_OfText")
_MOST_CLASSES = 100_000_000
"""Of a Zipf law; more would fill the memory of a laptop, and the system would end the program."""


def zipf_model(text: str) -> "Categorical":
    from tce_theory.models.categorical import Categorical

    size, _, exponent = text.partition(":")
    if not isinstance(number(size), str) and number(size) > _MOST_CLASSES:
        raise DomainError("zipf", text, f"K or K:EXPONENT with at most {_MOST_CLASSES} classes K")
    try:
        return Categorical.zipf(number(size), number(exponent or "1"))
    except DomainError:
        admissible = "K or K:EXPONENT, such as 1000:1.2, with a positive integer and a finite number"
        raise DomainError("zipf", text, admissible) from None


def text_model(from_text: Callable[..., _OfText], path: Path | None, unit: str, **settings: Any) -> tuple[_OfText, str]:
    """Return a family's model of a text, and where it comes from; without a path of the text that Python carries."""
    from tce_theory.models.text import standard_text

    kind = "characters" if unit == "char" else "words"
    if path is None:
        model = from_text(standard_text(), unit=unit, **settings)
        return model, f"{kind} of the standard text, Python's help topics"
    with _reading("text", path):
        return from_text(path, unit=unit, **settings), f"{kind} of {path}"


@contextlib.contextmanager
def _reading(argument: str, path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DomainError(argument, path, f"a file in UTF-8 ({error.reason})") from None
    except OSError as error:
        raise DomainError(argument, path, f"a file that can be read ({reason(error)})") from None


def csv_column(argument: str, path: Path, column: str | None, no_header: bool) -> tuple[list[float], str]:
    """Return the numbers in a column of a CSV file, and what the column is called in messages."""
    rows, name = csv_columns(argument, path, [column], no_header)
    return [value for (value,) in rows], name


def csv_columns(
    argument: str, path: Path, columns: Sequence[str | None], no_header: bool
) -> tuple[list[list[float]], str]:
    """Return the numbers in columns of a CSV file, all columns if none is named, row by row, and their names."""
    rows = _csv_rows(argument, path)
    first = [cell.strip() for cell in rows[0]]
    indices = [_column_index(first, column, no_header) for column in columns] or list(range(len(first)))
    has_header = not no_header and any(first[index] and isinstance(number(first[index]), str) for index in indices)
    names = [repr(first[index]) if has_header else str(index + 1) for index in indices]
    values = []
    for row_number, row in enumerate(rows[has_header:], 1 + has_header):
        cells = [row[index].strip() if index < len(row) else "" for index in indices]
        values.append([_float(cell) for cell in cells])
        for name, cell, value in zip(names, cells, values[-1], strict=True):
            if not math.isfinite(value):
                raise BadInputError(f"{path}: row {row_number}, column {name} must be a finite number, got {cell!r}")
    called = f"column{'s' if len(names) > 1 else ''} {', '.join(names)}"
    if not values:
        raise BadInputError(f"{path}: {called} must have numbers below its header, got none")
    return values, called


def _float(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _csv_rows(argument: str, path: Path) -> list[list[str]]:
    """Read a CSV file; its cells are separated by tabs or semicolons, if the first line has any, else by commas."""
    import csv

    with _reading(argument, path), open(path, encoding="utf-8-sig", newline="") as file:
        first_line = file.readline()
        file.seek(0)
        separator = next((character for character in "\t;" if character in first_line), ",")
        try:
            rows = list(csv.reader(file, delimiter=separator))
        except csv.Error as error:
            raise DomainError(argument, path, f"a CSV file ({error})") from None
    while rows and not any(rows[-1]):
        rows.pop()
    if not rows or not rows[0]:
        raise DomainError(argument, path, "a CSV file whose first row is not empty")
    return rows


def _column_index(first: Sequence[str], column: str | None, no_header: bool) -> int:
    """Find a column by its name in the first row, or by its number; whole numbers are never names."""
    index = 1 if column is None and len(first) == 1 else number(column)
    if isinstance(index, int) and 1 <= index <= len(first):
        return index - 1
    names = [] if no_header else [cell for cell in first if isinstance(number(cell), str) and cell]
    if column in names:
        return first.index(column)
    numbers = f"a number from 1 to {len(first)}"
    admissible = f"one of {', '.join(map(repr, names))}, or {numbers}" if names else numbers
    if column is None:
        raise BadInputError(f"--column is missing: {admissible}")
    raise DomainError("column", column, admissible)
