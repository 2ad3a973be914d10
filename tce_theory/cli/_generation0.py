"""Generation 0 from what the user has: a Zipf law, a text, a column of a CSV file."""

import contextlib
import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from tce_theory.cli._options import number
from tce_theory.cli._program import BadInputError, reason
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.models.base import Model
    from tce_theory.models.categorical import Categorical


def zipf_model(text: str) -> "Categorical":
    from tce_theory.models.categorical import Categorical

    size, _, exponent = text.partition(":")
    try:
        return Categorical.zipf(number(size), number(exponent or "1"))
    except DomainError:
        admissible = "K or K:EXPONENT, such as 1000:1.2, with a positive integer and a finite number"
        raise DomainError("zipf", text, admissible) from None


def text_model(path: Path | None, unit: str) -> tuple["Model", str]:
    """Return the frequencies in a text, and where they come from."""
    from tce_theory.models.categorical import Categorical
    from tce_theory.models.text import standard_text

    kind = "characters" if unit == "char" else "words"
    if path is None:
        model = Categorical.from_text(standard_text(), unit=unit)
        return model, f"{kind} of the standard text, Python's help topics (no other source was given)"
    with _reading("text", path):
        return Categorical.from_text(path, unit=unit), f"{kind} of {path}"


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
    rows = _csv_rows(argument, path)
    first = [cell.strip() for cell in rows[0]]
    index = _column_index(first, column, no_header)
    has_header = not no_header and first[index] != "" and isinstance(number(first[index]), str)
    name = f"column {first[index]!r}" if has_header else f"column {index + 1}"
    values = []
    for row_number, row in enumerate(rows[has_header:], 1 + has_header):
        cell = row[index].strip() if index < len(row) else ""
        values.append(_float(cell))
        if not math.isfinite(values[-1]):
            raise BadInputError(f"{path}: row {row_number}, {name} must be a finite number, got {cell!r}")
    if not values:
        raise BadInputError(f"{path}: {name} must have numbers below its header, got none")
    return values, name


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
