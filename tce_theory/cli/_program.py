"""The program: exit codes, one line for a user's error, and the commands' base class.

What an option may be is checked where the library checks it: a value that is no number is passed on as it is, and the
library's `DomainError`, which has the admissible range, is shown with the name of the option (`Command`).
"""

import difflib
import os
import sys
from collections.abc import Sequence
from pathlib import PurePath
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from tce_theory.cli._output import PLAIN_SIGNS
from tce_theory.errors import (
    DefinitionError,
    DegenerateFitError,
    DomainError,
    RunFileError,
    StoreError,
    UnsupportedCombinationError,
    WorkersError,
)

__all__ = [
    "BAD_INPUT",
    "INTERRUPTED",
    "BadInputError",
    "Command",
    "Failure",
    "InterruptedWorkError",
    "app",
    "main",
    "reason",
]

BAD_INPUT = 2
INTERRUPTED = 130

# typer exports no other class of usage errors; this one is click's where typer still depends on click
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class BadInputError(ValueError):
    """What the user asked for cannot be; the message says what would be right."""


class InterruptedWorkError(Exception):
    """Ctrl-C; the message says what was kept."""


class Failure(Exception):
    """Ends the program with one line on the standard error stream."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


class _Program(TyperGroup):
    """Lists its commands in the order in which people come to them; what is not named here comes last."""

    _ORDER = (
        "demo", "simulate", "choose-gamma", "map", "predict", "claims", "run", "report", "status", "store", "theory",
        "verify",
    )  # fmt: skip

    def list_commands(self, ctx: Any) -> list[str]:
        names = super().list_commands(ctx)
        return sorted(names, key=lambda name: self._ORDER.index(name) if name in self._ORDER else len(self._ORDER))


app = typer.Typer(
    cls=_Program,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 a check failed, 2 bad input, 130 after Ctrl-C.",
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        print(f"tce {version('tce_theory')}")
        raise typer.Exit


@app.callback()
def _tce(
    _version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, metavar="", help="Print the version.")
    ] = False,
) -> None:
    """Model collapse, and what Truncated Cross Entropy (TCE) changes about it."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments after the name of the program; those of the process if not given.

    Returns
    -------
    int
        The exit code: 0 for success, 1 when a check fails, 2 for bad input, 130 after Ctrl-C.

    Examples
    --------
    >>> main(["--version"])
    tce ...
    0
    """
    arguments = list(sys.argv[1:] if argv is None else argv) or ["--help"]
    _open_closed_streams()
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors=PLAIN_SIGNS)  # a table with a question mark is better than none
    command = typer.main.get_command(app)
    try:
        with command.make_context("tce", list(arguments), obj=arguments) as context:
            command.invoke(context)
    except typer.Exit as error:
        return error.exit_code
    except _UsageError as error:
        return _fail(_usage_line(error), BAD_INPUT)
    except Failure as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("tce: interrupted before anything had finished: nothing is kept", INTERRUPTED)
    except BrokenPipeError:
        _drop_unwritten_output()
        return 1  # whoever read the output has left; as rich does, where it is the one that writes
    return 0


def _open_closed_streams() -> None:
    """Let nobody hear what goes to a stream that the shell has closed (``>&-``), for which Python has None."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115


def _fail(line: str, exit_code: int) -> int:
    # one line whatever a message, or the name of a file in it, is made of
    print("".join(char if char.isprintable() else " " for char in line), file=sys.stderr)
    _drop_unwritten_output()
    return exit_code


def _drop_unwritten_output() -> None:
    """See to it that what could not be written does not raise again when the program ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Command(TyperCommand):
    """A command whose user's errors become one line with the command's name, and the names of its options."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except _UsageError as error:
            error.ctx = ctx  # type: ignore[attr-defined]  # typer forgets it where an option lacks its value
            raise

    def invoke(self, ctx: Any) -> Any:
        try:
            result = super().invoke(ctx)
            sys.stdout.flush()  # a full disk is to be heard of here
            return result
        except BrokenPipeError:
            raise
        except (
            DomainError,
            UnsupportedCombinationError,
            DegenerateFitError,
            RunFileError,
            DefinitionError,
            StoreError,
            WorkersError,
            UnicodeDecodeError,
            OSError,
            MemoryError,
            BadInputError,
        ) as error:
            raise Failure(f"{ctx.command_path}: {self._in_words(error)}", BAD_INPUT) from error
        except InterruptedWorkError as error:
            raise Failure(f"{ctx.command_path}: {error}", INTERRUPTED) from error

    def _in_words(self, error: Exception) -> str:
        match error:
            case DomainError():
                options = {param.name: param.opts[0] for param in self.params}
                value = str(error.value) if isinstance(error.value, PurePath) else error.value
                return f"{options.get(error.argument, error.argument)} must be {error.admissible}, got {value!r}"
            case OSError(filename=str() | bytes() | PurePath()):
                return f"{os.fsdecode(error.filename)}: {reason(error)}"
            case OSError():
                return reason(error)
            case MemoryError():
                return f"not enough memory, ask for less ({error or 'no details'})"
        return str(error)


def reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _usage_line(error: Any) -> str:
    """One line for an error in the options themselves, such as one that does not exist."""
    where = error.ctx.command_path if error.ctx else "tce"
    match type(error).__name__:  # typer keeps the classes to itself
        case "NoSuchOption":
            return f"{where}: no such option {error.option_name}{_nearest_option(error)}"
        case "MissingParameter":
            return f"{where}: {error.param.opts[0]} is missing: {error.param.help}"
    message: str = error.format_message().rstrip(".")
    group = error.ctx.command if error.ctx else None
    commands = group.list_commands(error.ctx) if isinstance(group, TyperGroup) else []
    if commands and "Did you mean" not in message:
        message += f"; the commands are {', '.join(commands)}"
    return f"{where}: {message[0].lower()}{message[1:]}"


def _nearest_option(error: Any) -> str:
    """Say where an unknown option belongs, or which one may have been meant."""
    name, command, parent = error.option_name, error.ctx.command, error.ctx.parent
    for group in (error.ctx, parent):
        for other in getattr(group.command, "commands", {}).values() if group else ():
            if other is not command and name in _option_names(other):
                return f"; {name} belongs to {group.command_path} {other.name}"
    names = _option_names(command)
    stem = "--" + name.lstrip("-")
    near = [option for option in names if option.startswith(stem)] or difflib.get_close_matches(stem, names, 1)
    return f"; did you mean {' or '.join(near)}?" if near else f"; {error.ctx.command_path} --help lists them all"


def _option_names(command: Any) -> list[str]:
    return [*(name for param in command.params for name in (*param.opts, *param.secondary_opts)), "--help"]
