"""What is printed: tables and lines for people, JSON for machines."""

import codecs
import contextlib
import json
import math
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from tce_theory.errors import InterruptedRunWarning, StatisticalWarning

if TYPE_CHECKING:
    from rich.console import Console


PLAIN_SIGNS = "tce-plain-signs"
"""How signs are written that the encoding of a stream does not have: a name for the `errors` of `str.encode`."""

_PLAIN = {"–": "-", "−": "-", "─": "-", "∞": "inf", "…": "...", "⋮": "...", "×": "x", "≥": ">=", "≤": "<=", "→": "->"}


def _in_plain_signs(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    signs = error.object[error.start : error.end]
    return "".join(_PLAIN.get(sign, "?") for sign in signs), error.end


codecs.register_error(PLAIN_SIGNS, _in_plain_signs)


def encodable(console: "Console", text: str) -> str:
    """Return a text as the stream will show it, so that it can be laid out."""
    return text.encode(console.encoding, PLAIN_SIGNS).decode(console.encoding)


def short(number: float) -> str:
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:.0f}" if 1e4 <= abs(number) < 1e7 else f"{number:.4g}"


def output_console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    # nobody's window limits a file or a pipe
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 120))


def print_line(console: "Console", label: str, content: str) -> None:
    """Print what a label stands for: in a column of its own on a terminal, else in one line for other programs."""
    from rich.table import Table
    from rich.text import Text

    text = Text(encodable(console, " ".join(content.split())))
    if not console.is_terminal:
        console.print(Text(f"{label}: ").append_text(text), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bold", width=len("generation 0:"))
    grid.add_column(overflow="fold")
    grid.add_row(f"{label}:", text)
    console.print(grid)


def print_json(value: dict[str, Any]) -> None:
    print(json.dumps(_jsonable(value), indent=2, allow_nan=False, ensure_ascii=False))


def print_event(event: str, **content: Any) -> None:
    """Print an object in a line of its own, at once."""
    line = json.dumps(_jsonable({"event": event, **content}), allow_nan=False, ensure_ascii=False)
    sys.stdout.write(f"{line}\n")  # in one piece, also if Ctrl-C comes in between
    sys.stdout.flush()


def _jsonable(value: Any) -> Any:
    """Replace what JSON has no number for."""
    match value:
        case dict():
            return {key: _jsonable(item) for key, item in value.items()}
        case list() | tuple():
            return [_jsonable(item) for item in value]
        case float() if math.isnan(value):
            return None
        case float() if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        case PurePath():
            return os.fspath(value)
    return value


@contextlib.contextmanager
def collected_notes() -> Iterator[list[str]]:
    """Collect statistical warnings as text; other warnings are shown as they are."""
    notes: list[str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("always", StatisticalWarning)
        warnings.simplefilter("ignore", InterruptedRunWarning)  # the exit says it
        show = warnings.showwarning

        def collect(message: Warning | str, category: type[Warning], *where: Any, **more: Any) -> None:
            if issubclass(category, StatisticalWarning):
                notes.append(str(message))
            else:
                show(message, category, *where, **more)

        warnings.showwarning = collect
        yield notes
