"""Options: how they are declared, read and checked, and those that several commands have."""

import contextlib
import functools
import inspect
import itertools
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from tce_theory.cli._program import BadInputError, reason
from tce_theory.errors import DomainError

PLOT_SUFFIXES = (".pdf", ".png", ".svg")

ZERO = "Generation 0"
SIZES = "Recursion"
REGIME = "Data regime"
LOSS = "Loss"
DECODING = "Decoding (at most one)"
FIDELITY = "Fidelity interval"
OUTPUT = "Output"


def number(value: Any) -> Any:
    """Read a number; what is none is left as it is, for the library to say what would be right."""
    if isinstance(value, str):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(value)
    return value


def numeric(name: str, panel: str, help: str, *, metavar: str = "N", also: tuple[str, ...] = ()) -> Any:
    return typer.Option(name, *also, help=help, metavar=metavar, parser=number, rich_help_panel=panel)


def textual(name: str, metavar: str, panel: str, help: str) -> Any:
    return typer.Option(name, help=help, metavar=metavar, rich_help_panel=panel)


def flag(name: str, panel: str, help: str) -> Any:
    return typer.Option(name, help=help, metavar="", rich_help_panel=panel)


Json = Annotated[
    bool, flag("--json", OUTPUT, 'Print one JSON object and nothing else; NaN is null, infinity is "Infinity".')
]
Quiet = Annotated[bool, flag("--quiet", OUTPUT, "Show no progress; results are printed all the same.")]
Jobs = Annotated[int, numeric("--jobs", SIZES, "Workers; -1 for one a processor. Results do not depend on it.")]


def accepting(*settings: Callable[..., Any]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of dataclasses as options, after its own, and hand them over as objects."""
    fields = [list(inspect.signature(setting).parameters.values()) for setting in settings]

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[len(settings) :]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            objects = [
                setting(**{item.name: given.pop(item.name) for item in items})
                for setting, items in zip(settings, fields, strict=True)
            ]
            command(*objects, **given)

        run.__signature__ = inspect.Signature([*own, *itertools.chain(*fields)])  # type: ignore[attr-defined]
        return run

    return decorate


def numbers(argument: str, text: str, admissible: str) -> list[float]:
    values = [number(part.strip()) for part in text.split(",")]
    if any(isinstance(value, str) for value in values):
        raise DomainError(argument, text, admissible)
    return values


def matrix(argument: str, text: str, admissible: str) -> list[list[float]]:
    """Read rows of numbers, with commas in a row and semicolons between rows."""
    rows = [numbers(argument, row, admissible) for row in text.split(";")]
    if len({len(row) for row in rows}) != 1:
        raise DomainError(argument, text, admissible)
    return rows


def as_option(name: str) -> str:
    return "--" + name.replace("_", "-")


def is_given(value: Any) -> bool:
    return value is not None and value is not False


def given_one(settings: dict[str, Any]) -> str | None:
    """Return which of several options that exclude each other was given, if any was."""
    given = [name for name, value in settings.items() if is_given(value)]
    if len(given) > 1:
        raise BadInputError(f"{' and '.join(map(as_option, given))} do not go together: give one of them")
    return given[0] if given else None


def refuse(settings: dict[str, Any], needed: str) -> None:
    """Refuse options that were given without the one that they belong to."""
    for name, value in settings.items():
        if is_given(value):
            raise BadInputError(f"{as_option(name)} needs {needed}")


def check_file(argument: str, path: Path | None, suffixes: Sequence[str]) -> None:
    """Refuse a file that could not be written, before the time for its content is spent."""
    if path is None:
        return
    import tempfile

    if path.suffix.lower() not in suffixes:
        raise DomainError(argument, path, f"a file that ends in {' or '.join(suffixes)}")
    target = Path(os.path.realpath(path))
    if target.is_dir() or (target.exists() and not os.access(target, os.W_OK)):
        raise DomainError(argument, path, "a file that can be written")
    try:
        tempfile.TemporaryFile(dir=target.parent).close()
    except OSError as error:
        admissible = f"a file in an existing directory that can be written to ({reason(error)})"
        raise DomainError(argument, path, admissible) from None
