"""The command line: ``tce demo`` and ``tce simulate``.

Exit codes are 0 for success, 1 when a check fails, 2 for bad input, and 130 after Ctrl-C. Bad input is answered by one
line on the standard error stream that says what is wrong and what would be right; other errors keep their traceback.

Every command imports what it needs when it runs, so that help is there at once. What an option may be is checked where
the library checks it: a value that is no number is passed on as it is, and the library's `DomainError`, which has the
admissible range, is shown with the name of the option (`_Command`).

A new command is a function with ``@app.command(cls=_Command)``. Options that commands share are fields of a dataclass,
which `_accepting` adds to their own.
"""

import contextlib
import difflib
import functools
import inspect
import json
import math
import os
import sys
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer
from typer.core import TyperCommand

from tce_theory.errors import (
    DegenerateFitError,
    DomainError,
    InterruptedRunWarning,
    RunFileError,
    StatisticalWarning,
    UnsupportedCombinationError,
)

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from tce_theory.fidelity import FidelityInterval
    from tce_theory.losses import Loss
    from tce_theory.models.base import Model
    from tce_theory.run import Run

__all__ = ["app", "main"]

_BAD_INPUT = 2
_INTERRUPTED = 130

# typer exports no other class of usage errors; this one is click's where typer still depends on click
_UsageError: type[Exception] = typer.BadParameter.__mro__[1]

_LOSSES = {
    "ce": ("CrossEntropy", ()),
    "tce": ("TruncatedCrossEntropy", ("gamma", "scale", "mask", "vacuous")),
    "focal": ("FocalLoss", ("exponent", "detach")),
    "smooth": ("SmoothTruncatedCrossEntropy", ("gamma", "width")),
}
_THRESHOLDS = ("below", "above", "outside")
_PLOT_SUFFIXES = (".pdf", ".png", ".svg")
_QUANTILES = {"median": 0.5, "q05": 0.05, "q95": 0.95}


class _BadInputError(ValueError):
    """What the user asked for cannot be; the message says what would be right."""


class _InterruptedError(Exception):
    """Ctrl-C; the message says what was kept."""


class _Failure(Exception):
    """Ends the program with one line on the standard error stream."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


# ------------------------------------------------------------------------------------------------- the program


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
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")  # a table with a question mark is better than none
    command = typer.main.get_command(app)
    try:
        with command.make_context("tce", arguments) as context:
            command.invoke(context)
    except typer.Exit as error:
        return error.exit_code
    except _UsageError as error:
        return _fail(_usage_line(error), _BAD_INPUT)
    except _Failure as error:
        return _fail(str(error), error.exit_code)
    except KeyboardInterrupt:
        return _fail("tce: interrupted before anything had finished: nothing is kept", _INTERRUPTED)
    except BrokenPipeError:
        _drop_unwritten_output()
        return 1  # whoever read the output has left; as rich does, where it is the one that writes
    return 0


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


class _Command(TyperCommand):
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
            UnicodeDecodeError,
            OSError,
            MemoryError,
            _BadInputError,
        ) as error:
            raise _Failure(f"{ctx.command_path}: {self._in_words(error)}", _BAD_INPUT) from error
        except _InterruptedError as error:
            raise _Failure(f"{ctx.command_path}: {error}", _INTERRUPTED) from error

    def _in_words(self, error: Exception) -> str:
        match error:
            case DomainError():
                options = {param.name: param.opts[0] for param in self.params}
                value = str(error.value) if isinstance(error.value, PurePath) else error.value
                return f"{options.get(error.argument, error.argument)} must be {error.admissible}, got {value!r}"
            case OSError(filename=str() | bytes() | PurePath()):
                return f"{os.fsdecode(error.filename)}: {_reason(error)}"
            case OSError():
                return _reason(error)
            case MemoryError():
                return f"not enough memory, ask for less ({error or 'no details'})"
        return str(error)


def _reason(error: OSError) -> str:
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
    commands = getattr(error.ctx.command, "commands", {}) if error.ctx else {}
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


# ------------------------------------------------------------------------------------------------- options

_ZERO = "Generation 0"
_SIZES = "Recursion"
_LOSS = "Loss"
_FIDELITY = "Fidelity interval"
_OUTPUT = "Output"


def _number(value: Any) -> Any:
    """Read a number; what is none is left as it is, for the library to say what would be right."""
    if isinstance(value, str):
        for kind in (int, float):
            with contextlib.suppress(ValueError):
                return kind(value)
    return value


def _numeric(name: str, panel: str, help: str, *, metavar: str = "N", also: tuple[str, ...] = ()) -> Any:
    return typer.Option(name, *also, help=help, metavar=metavar, parser=_number, rich_help_panel=panel)


def _text(name: str, metavar: str, panel: str, help: str) -> Any:
    return typer.Option(name, help=help, metavar=metavar, rich_help_panel=panel)


def _flag(name: str, panel: str, help: str) -> Any:
    return typer.Option(name, help=help, metavar="", rich_help_panel=panel)


_Json = Annotated[
    bool, _flag("--json", _OUTPUT, 'Print one JSON object and nothing else; NaN is null, infinity is "Infinity".')
]
_Quiet = Annotated[bool, _flag("--quiet", _OUTPUT, "Show no progress; results are printed all the same.")]
_Jobs = Annotated[int, _numeric("--jobs", _SIZES, "Threads; -1 for one a processor. Results do not depend on it.")]
_Column = Annotated[
    str | None,
    _text("--column", "NAME|N", _ZERO, "Column of the CSV file, by name or counted from 1."),
]
_NoHeader = Annotated[
    bool, _flag("--no-header", _ZERO, "The first row of the CSV file is data too. Otherwise words in it are a header.")
]


@dataclass(frozen=True, kw_only=True)
class _SimulationOptions:
    """The options of ``tce simulate`` that do not depend on the family; names are those of `simulate`'s arguments."""

    n_samples: Annotated[int, _numeric("--n-samples", _SIZES, "Points drawn for each generation.", also=("--n",))]
    generations: Annotated[int, _numeric("--generations", _SIZES, "Generations after generation 0.")]
    replicates: Annotated[int, _numeric("--replicates", _SIZES, "Independent repetitions.")] = 1000
    fraction: Annotated[
        float | None,
        _numeric("--fresh", _SIZES, "Share of points from generation 0; 0 if not given.", metavar="SHARE"),
    ] = None
    sampler: Annotated[
        str,
        _text("--sampler", "auto|points", _SIZES, "auto: statistics where they suffice; points: always every point."),
    ] = "auto"
    seed: Annotated[int | None, _numeric("--seed", _SIZES, "Seed of the random numbers; fresh if not given.")] = None
    n_jobs: _Jobs = -1
    loss: Annotated[str, _text("--loss", "ce|tce|focal|smooth", _LOSS, "What each generation minimises.")] = "ce"
    gamma: Annotated[
        float | None, _numeric("--gamma", _LOSS, "tce, smooth: confidence threshold.", metavar="NUMBER")
    ] = None
    scale: Annotated[
        str | None,
        _text("--scale", "absolute|relative", _LOSS, "tce: gamma is a density (default), or a share of its peak."),
    ] = None
    mask: Annotated[
        str | None,
        _text("--mask", "current|previous", _LOSS, "tce: masked by the model being fitted (default), or before it."),
    ] = None
    vacuous: Annotated[
        str | None,
        _text("--vacuous", "NAME", _LOSS, "tce: the fit if all is masked: auto, warm, max-entropy or drawn-only."),
    ] = None
    exponent: Annotated[
        float | None, _numeric("--exponent", _LOSS, "focal: power of 1 - p; 2 if not given.", metavar="NUMBER")
    ] = None
    detach: Annotated[bool, _flag("--detach", _LOSS, "focal: its factor is a constant of the gradient.")] = False
    width: Annotated[
        float | None, _numeric("--width", _LOSS, "smooth: width of the threshold in log p.", metavar="NUMBER")
    ] = None
    below: Annotated[
        float | None, _numeric("--below", _FIDELITY, "It ends when the metric falls below this.", metavar="NUMBER")
    ] = None
    above: Annotated[
        float | None, _numeric("--above", _FIDELITY, "It ends when the metric rises above this.", metavar="NUMBER")
    ] = None
    outside: Annotated[
        str | None, _text("--outside", "LOW,HIGH", _FIDELITY, "It ends when the metric leaves this band.")
    ] = None
    fidelity_metric: Annotated[
        str | None, _text("--fidelity-metric", "NAME", _FIDELITY, "The metric; that of --metric if there is just one.")
    ] = None
    relative: Annotated[
        bool, _flag("--relative", _FIDELITY, "Thresholds are multiples of the value at generation 0.")
    ] = False
    no_interpolate: Annotated[
        bool, _flag("--no-interpolate", _FIDELITY, "Count whole generations, without interpolation between them.")
    ] = False
    metrics: Annotated[
        list[str] | None, _text("--metric", "NAME", _OUTPUT, "Metric to record, see above; may be given several times.")
    ] = None
    out: Annotated[Path | None, _text("--out", "FILE.npz", _OUTPUT, "Save the run, for tce_theory.Run.load.")] = None
    plot: Annotated[Path | None, _text("--plot", "FILE", _OUTPUT, "Draw the run; FILE ends in .pdf, .png or .svg.")] = (
        None
    )
    json: _Json = False
    quiet: _Quiet = False


_Settings = TypeVar("_Settings")


def _accepting(settings: Callable[..., _Settings]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Let a command take the fields of a dataclass as options, after its own, and hand them over as one object."""
    shared = list(inspect.signature(settings).parameters.values())

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        own = list(inspect.signature(command).parameters.values())[1:]

        @functools.wraps(command)
        def run(**given: Any) -> None:
            command(settings(**{item.name: given.pop(item.name) for item in shared}), **given)

        run.__signature__ = inspect.Signature([*own, *shared])  # type: ignore[attr-defined]
        return run

    return decorate


# ------------------------------------------------------------------------------------------------- commands

app = typer.Typer(
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Exit codes: 0 success, 1 a check failed, 2 bad input, 130 after Ctrl-C.",
)
simulation = typer.Typer(help="Simulate generations of models, each fitted to data drawn from its predecessor.")
app.add_typer(simulation, name="simulate")


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


@app.command(cls=_Command)
def demo(
    text: Annotated[
        Path | None, _text("--text", "FILE", _ZERO, "Text whose words are generation 0; one of Python's if not given.")
    ] = None,
    out: Annotated[Path, _text("--out", "DIR", _OUTPUT, "Directory for figure and numbers.")] = Path("tce-demo"),
    seed: Annotated[int, _numeric("--seed", _SIZES, "Seed of the random numbers.")] = 0,
    quick: Annotated[bool, _flag("--quick", _SIZES, "Fewer replicates and generations: some seconds.")] = False,
    n_jobs: _Jobs = -1,
    json: _Json = False,
    quiet: _Quiet = False,
) -> None:
    """Show in a minute what TCE does: a table, a figure, and the numbers behind them."""
    from tce_theory.demo import run_demo

    before = _files_in(out)
    try:
        with _stages(quiet) as stage:
            result = run_demo(text=text, out=out, seed=seed, quick=quick, n_jobs=n_jobs, progress=stage)
    except KeyboardInterrupt:
        written = sorted(name for name, when in _files_in(out).items() if before.get(name) != when)
        kept = f"{', '.join(written)} in {out} is kept" if written else "nothing is kept"
        raise _InterruptedError(f"interrupted: {kept}") from None
    if json:
        _print_json(result.summary)
        return
    console = _console()
    console.print(result.table())
    for note in result.notes:
        _print_line(console, "note", note)
    _print_line(console, "files", f"{', '.join(path.name for path in result.files)} in {out}")
    _print_line(console, "time", f"{result.seconds:.1f} s")


def _files_in(directory: Path) -> dict[str, int]:
    """Return the names of the files in a directory, and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in directory.glob("*")}


@simulation.command(cls=_Command)
@_accepting(_SimulationOptions)
def gaussian(
    options: _SimulationOptions,
    *,
    mean: Annotated[float | None, _numeric("--mean", _ZERO, "Mean; 0 if not given.", metavar="NUMBER")] = None,
    std: Annotated[
        float | None, _numeric("--std", _ZERO, "Standard deviation, above 0; 1 if not given.", metavar="NUMBER")
    ] = None,
    csv: Annotated[Path | None, _text("--csv", "FILE", _ZERO, "Fit generation 0 to a column of this CSV file.")] = None,
    column: _Column = None,
    no_header: _NoHeader = False,
    fit_mean: Annotated[
        bool, _flag("--fit-mean/--known-mean", _ZERO, "Whether fits estimate the mean, or it is known.")
    ] = True,
    ddof: Annotated[
        int, _numeric("--ddof", _ZERO, "0 for the maximum-likelihood variance, 1 for the unbiased one.", metavar="0|1")
    ] = 0,
) -> None:
    """Simulate a Gaussian whose standard deviation, and mean unless it is known, are fitted anew each generation.

    Example: tce simulate gaussian --n 100 --generations 500 --loss tce --gamma 0.5

    Metrics of the model: mean, std, log_std, entropy. Of the fit: masked_weight.
    Against generation 0: kl_from_origin, kl_to_origin, w2_squared.
    """
    from tce_theory.models.gaussian import Gaussian

    if csv is None:
        _refuse({"column": column, "no_header": no_header}, "--csv FILE")
        model = Gaussian(0.0 if mean is None else mean, 1.0 if std is None else std, fit_mean=fit_mean, ddof=ddof)
        _simulate(model, None, options)
        return
    if std is not None:
        raise _BadInputError("--std does not go with --csv, whose standard deviation is taken")
    if mean is not None and fit_mean:
        raise _BadInputError("--mean goes with --csv only if it is known: add --known-mean")
    values, name = _csv_column("csv", csv, column, no_header)
    model = Gaussian.from_samples(values, fit_mean=fit_mean, ddof=ddof, mean=0.0 if mean is None else mean)
    _simulate(model, f"fitted to {len(values)} numbers, {name} of {csv}", options)


@simulation.command(cls=_Command)
@_accepting(_SimulationOptions)
def categorical(
    options: _SimulationOptions,
    *,
    probs: Annotated[
        str | None, _text("--probs", "P,P,…", _ZERO, "Probabilities of the classes, which sum to 1.")
    ] = None,
    zipf: Annotated[
        str | None, _text("--zipf", "K[:EXPONENT]", _ZERO, "Zipf's law on K classes; exponent 1 if not given.")
    ] = None,
    counts: Annotated[
        Path | None,
        _text("--counts", "FILE", _ZERO, "Frequencies from a column of this CSV file."),
    ] = None,
    column: _Column = None,
    no_header: _NoHeader = False,
    text: Annotated[
        Path | None,
        _text(
            "--text",
            "FILE",
            _ZERO,
            "Frequencies in this text; one of Python's if nothing is given.",
        ),
    ] = None,
    unit: Annotated[
        str | None, _text("--unit", "word|char", _ZERO, "What is counted in a text: words if not given.")
    ] = None,
) -> None:
    """Simulate frequencies of words, or any law on K classes, fitted anew each generation.

    Example: tce simulate categorical --zipf 1000 --n 10000 --generations 50 --metric tv --above 0.1

    Metrics of the model: entropy, heterozygosity, support, support_fraction, max_prob.
    Against generation 0: tv, kl_to_origin, kl_from_origin. Of the fit: masked_weight.
    """
    from tce_theory.models.categorical import Categorical

    sources = {"probs": probs, "zipf": zipf, "counts": counts, "text": text}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise _BadInputError(f"{' and '.join(map(_as_option, given))} do not go together: give one of them")
    if counts is None:
        _refuse({"column": column, "no_header": no_header}, "--counts FILE")
    if given and text is None:
        _refuse({"unit": unit}, "--text FILE")
    model: Model
    source = None
    if probs is not None:
        model = Categorical(_numbers("probs", probs, "numbers with commas between them, such as 0.5,0.3,0.2"))
    elif zipf is not None:
        model = _zipf(zipf)
    elif counts is not None:
        values, name = _csv_column("counts", counts, column, no_header)
        model, source = Categorical.from_counts(values), f"{name} of {counts}"
    else:
        model, source = _of_text(text, unit or "word")
    _simulate(model, source, options)


# ------------------------------------------------------------------------------------------------- generation 0


def _zipf(text: str) -> "Model":
    from tce_theory.models.categorical import Categorical

    size, _, exponent = text.partition(":")
    try:
        return Categorical.zipf(_number(size), _number(exponent or "1"))
    except DomainError:
        admissible = "K or K:EXPONENT, such as 1000:1.2, with a positive integer and a finite number"
        raise DomainError("zipf", text, admissible) from None


def _of_text(path: Path | None, unit: str) -> tuple["Model", str]:
    """Return the frequencies in a text, and where they come from."""
    from tce_theory.models.categorical import Categorical
    from tce_theory.models.text import standard_text

    kind = "characters" if unit == "char" else "words"
    if path is None:
        model = Categorical.from_text(standard_text(), unit=unit)
        return model, f"{kind} of the standard text, Python's help topics (no other source was given)"
    with _reading("text", path):
        return Categorical.from_text(path, unit=unit), f"{kind} of {path}"


def _numbers(argument: str, text: str, admissible: str) -> list[float]:
    values = [_number(part.strip()) for part in text.split(",")]
    if any(isinstance(value, str) for value in values):
        raise DomainError(argument, text, admissible)
    return values


@contextlib.contextmanager
def _reading(argument: str, path: Path) -> Iterator[None]:
    try:
        yield
    except UnicodeDecodeError as error:
        raise DomainError(argument, path, f"a file in UTF-8 ({error.reason})") from None
    except OSError as error:
        raise DomainError(argument, path, f"a file that can be read ({_reason(error)})") from None


def _csv_column(argument: str, path: Path, column: str | None, no_header: bool) -> tuple[list[float], str]:
    """Return the numbers in a column of a CSV file, and what the column is called in messages."""
    rows = _csv_rows(argument, path)
    first = [cell.strip() for cell in rows[0]]
    index = _column_index(first, column, no_header)
    has_header = not no_header and first[index] != "" and isinstance(_number(first[index]), str)
    name = f"column {first[index]!r}" if has_header else f"column {index + 1}"
    values = []
    for row_number, row in enumerate(rows[has_header:], 1 + has_header):
        cell = row[index].strip() if index < len(row) else ""
        values.append(_float(cell))
        if not math.isfinite(values[-1]):
            raise _BadInputError(f"{path}: row {row_number}, {name} must be a finite number, got {cell!r}")
    if not values:
        raise _BadInputError(f"{path}: {name} must have numbers below its header, got none")
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
    index = 1 if column is None and len(first) == 1 else _number(column)
    if isinstance(index, int) and 1 <= index <= len(first):
        return index - 1
    names = [] if no_header else [cell for cell in first if isinstance(_number(cell), str) and cell]
    if column in names:
        return first.index(column)
    numbers = f"a number from 1 to {len(first)}"
    admissible = f"one of {', '.join(map(repr, names))}, or {numbers}" if names else numbers
    if column is None:
        raise _BadInputError(f"--column is missing: {admissible}")
    raise DomainError("column", column, admissible)


# ------------------------------------------------------------------------------------------------- simulation


def _simulate(model: "Model", source: str | None, options: _SimulationOptions) -> None:
    """Check everything that can be checked, simulate, save, and report."""
    from tce_theory.recursion import simulate
    from tce_theory.regimes import FreshMix, Replace

    loss = _loss(options)
    _check_file("out", options.out, (".npz",))
    _check_file("plot", options.plot, _PLOT_SUFFIXES)
    metrics = list(options.metrics or model.default_metrics)
    followed = _followed_metric(model, options)
    if followed is not None:
        _check_threshold(model, followed, options)
        metrics.append(followed)
    with _notes() as notes:
        run = simulate(
            model,
            loss,
            n_samples=options.n_samples,
            generations=options.generations,
            replicates=options.replicates,
            regime=Replace() if options.fraction is None else FreshMix(options.fraction),
            metrics=metrics,
            seed=options.seed,
            n_jobs=options.n_jobs,
            progress=not options.quiet,
            sampler=options.sampler,
        )
        if options.out is not None:
            run.save(options.out)  # before anything else can go wrong
        try:
            origin = repr(model) if source is None else f"{model!r}, {source}"
            fidelity = None if followed is None else _fidelity_summary(followed, _interval(run, followed, options))
            _report(_Report(run, origin, fidelity, list(dict.fromkeys(notes))), options)
        except KeyboardInterrupt:
            raise _InterruptedError(_what_is_kept(run, options.out)) from None
    if run.interrupted:
        raise _InterruptedError(_what_is_kept(run, options.out))


def _report(report: "_Report", options: _SimulationOptions) -> None:
    if options.json:
        _print_json(report.as_json())
    else:
        report.print(_console(), fresh_seed=options.seed is None)
    if options.plot is not None:
        from tce_theory.plotting import run_overview, save

        save(run_overview(report.run), options.plot)
    if not options.json:
        for path in (options.out, options.plot):
            if path is not None:
                _print_line(_console(), "file", os.fspath(path))


def _as_option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _is_given(value: Any) -> bool:
    return value is not None and value is not False


def _refuse(settings: dict[str, Any], needed: str) -> None:
    """Refuse options that were given without the one that they belong to."""
    for name, value in settings.items():
        if _is_given(value):
            raise _BadInputError(f"{_as_option(name)} needs {needed}")


def _loss(options: _SimulationOptions) -> "Loss":
    from tce_theory import losses

    if options.loss == "weighted":
        raise _BadInputError(
            "--loss weighted needs Python, because its weight is a function: "
            "tce_theory.simulate(model, tce_theory.WeightedCrossEntropy(weight), ...)"
        )
    if options.loss not in _LOSSES:
        raise DomainError("loss", options.loss, "one of " + ", ".join(_LOSSES))
    class_name, allowed = _LOSSES[options.loss]
    every = dict.fromkeys(name for _, names in _LOSSES.values() for name in names)
    given = {name: getattr(options, name) for name in every if _is_given(getattr(options, name))}
    for name in given:
        if name not in allowed:
            fitting = " or ".join(f"--loss {loss}" for loss, (_, names) in _LOSSES.items() if name in names)
            raise _BadInputError(f"{_as_option(name)} does not go with --loss {options.loss}, but with {fitting}")
    for name in ("gamma", "width"):
        if name in allowed and name not in given:
            raise _BadInputError(f"--loss {options.loss} needs {_as_option(name)} NUMBER")
    loss: Loss = getattr(losses, class_name)(**given)
    return loss


def _check_file(argument: str, path: Path | None, suffixes: Sequence[str]) -> None:
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
        admissible = f"a file in an existing directory that can be written to ({_reason(error)})"
        raise DomainError(argument, path, admissible) from None


def _what_is_kept(run: "Run", out: Path | None) -> str:
    found = f"interrupted: {run.replicates.size} of {run.n_replicates} replicates had finished"
    if out is None:
        return f"{found}; nothing is saved, for want of --out FILE.npz"
    return f"{found} and are saved in {out}; tce_theory.Run.load({os.fspath(out)!r}).replicates says which"


# ------------------------------------------------------------------------------------------------- fidelity


def _followed_metric(model: "Model", options: _SimulationOptions) -> str | None:
    """Name of the metric whose fidelity interval is wanted, if any is."""
    if all(getattr(options, name) is None for name in _THRESHOLDS):
        names = ("fidelity_metric", "relative", "no_interpolate")
        _refuse({name: getattr(options, name) for name in names}, "a threshold: --below, --above or --outside")
        return None
    from tce_theory.validation import one_of

    recorded = options.metrics or []
    followed = options.fidelity_metric or (recorded[0] if len(recorded) == 1 else None)
    if followed is None:
        raise _BadInputError(f"a threshold needs --fidelity-metric: one of {', '.join(model.metric_names)}")
    return one_of("fidelity_metric" if options.fidelity_metric else "metrics", followed, model.metric_names)


def _interval(run: "Run", metric: str, options: _SimulationOptions) -> "FidelityInterval":
    outside = None
    if options.outside is not None:
        admissible = "LOW,HIGH: two numbers, the lower one first"
        band = _numbers("outside", options.outside, admissible)
        if len(band) != 2 or not band[0] < band[1]:
            raise DomainError("outside", options.outside, admissible)
        outside = (band[0], band[1])
    return run.fidelity_interval(
        metric,
        below=options.below,
        above=options.above,
        outside=outside,
        relative=options.relative,
        interpolate=not options.no_interpolate,
    )


def _check_threshold(model: "Model", metric: str, options: _SimulationOptions) -> None:
    """Ask for the fidelity interval of the smallest run there is: what would be refused after hours is refused now."""
    from tce_theory.losses import CrossEntropy
    from tce_theory.recursion import simulate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)
        run = simulate(model, CrossEntropy(), n_samples=2, generations=1, metrics=[metric], seed=0)
        _interval(run, metric, options)


def _fidelity_summary(metric: str, interval: "FidelityInterval") -> dict[str, Any]:
    enough = interval.times.size > 1
    return {
        "metric": metric,
        "criterion": interval.criterion,
        "interpolated": interval.interpolated,
        "horizon": interval.horizon,
        "median": interval.median,
        "median_ci": list(interval.ci("median")) if enough else None,
        "mean": interval.mean,
        "mean_ci": list(interval.ci("mean")) if enough else None,
        "share_censored": interval.share_censored,
    }


# ------------------------------------------------------------------------------------------------- reports


def _summary(values: "np.ndarray") -> dict[str, "np.ndarray"]:
    """Mean, median and quantiles over replicates, generation by generation."""
    import numpy as np

    with np.errstate(all="ignore"):  # the mean of numbers that are infinite, or nearly
        summary = {"mean": values.mean(axis=0)}
    for name, probability in _QUANTILES.items():
        # one of the values, where interpolation between infinite ones would have none
        summary[name] = np.quantile(values, probability, axis=0, method="inverted_cdf")
    return summary


@dataclass(frozen=True)
class _Report:
    """What is shown of a run."""

    run: "Run"
    origin: str
    fidelity: dict[str, Any] | None
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        run = self.run
        return {
            "provenance": dict(run.provenance),
            "generation_0": self.origin,
            "replicates": int(run.replicates.size),
            "interrupted": run.interrupted,
            "metrics": {
                name: {key: column.tolist() for key, column in _summary(values).items()}
                for name, values in run.metrics.items()
            },
            "events": self._events(),
            "fidelity": self.fidelity,
            "notes": self.notes,
        }

    def _events(self) -> dict[str, dict[str, int | None]]:
        """Count the replicates with each event; and how often it occurs (vacuous fits), or when first (the others)."""
        events: dict[str, dict[str, int | None]] = {}
        for name, values in self.run.events.items():
            if name == "vacuous":
                events[name] = {"replicates": int((values > 0).sum()), "fits": int(values.sum())}
            else:
                when = values[values >= 0]
                events[name] = {"replicates": int(when.size), "first": int(when.min()) if when.size else None}
        return events

    def print(self, console: "Console", *, fresh_seed: bool) -> None:
        run, provenance = self.run, self.run.provenance
        found = f"{run.replicates.size} of {run.n_replicates}" if run.interrupted else f"{run.n_replicates}"
        points = provenance["n_samples"]
        sizes = f"{found} replicates of {run.generations} generations, {points} points a generation"
        _print_line(console, "generation 0", self.origin)
        _print_line(console, "loss", provenance["loss"])
        _print_line(console, "recursion", f"{provenance['regime']}, {sizes}")
        console.print(self._table())
        if self.fidelity is not None:
            _print_line(console, "fidelity", _fidelity_line(self.fidelity))
        for name, event in self._events().items():
            if event["replicates"]:
                _print_line(console, name, self._event_line(event))
        for note in self.notes:
            _print_line(console, "note", note)
        if fresh_seed:
            _print_line(console, "seed", f"{run.seed} (fresh; --seed {run.seed} makes this run again)")

    def _table(self) -> "Table":
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("metric")
        for heading in ("generation", "mean", "median", "5 %", "95 %"):
            table.add_column(heading, justify="right", overflow="fold")
        last = self.run.generations
        shown = sorted({round(last * quarter / 4) for quarter in range(5)})
        for name, values in self.run.metrics.items():
            summary = _summary(values[:, shown])
            for row, generation in enumerate(shown):
                numbers = [_short(float(column[row])) for column in summary.values()]
                table.add_row(name if row == 0 else "", str(generation), *numbers, end_section=generation == last)
        return table

    def _event_line(self, event: dict[str, int | None]) -> str:
        when = f"the earliest at generation {event['first']}" if "first" in event else f"{event['fits']} fits"
        return f"in {event['replicates']} of {self.run.replicates.size} replicates, {when}"


def _fidelity_line(fidelity: dict[str, Any]) -> str:
    """Say in a line how long a metric stays within its threshold."""

    def estimate(name: str) -> str:
        limits = fidelity[f"{name}_ci"]
        return f"{name} {_short(fidelity[name])}" + (f" [{_short(limits[0])}, {_short(limits[1])}]" if limits else "")

    limits = ", 95 % confidence limits" if fidelity["mean_ci"] else ""
    restricted = ", to which the mean is restricted" if fidelity["share_censored"] else ""
    return (
        f"{fidelity['criterion']}: {estimate('median')}, {estimate('mean')} generations{limits}; "
        f"{100 * fidelity['share_censored']:.3g} % censored at generation {fidelity['horizon']:g}{restricted}"
    )


def _short(number: float) -> str:
    if math.isnan(number):
        return "–"
    if math.isinf(number):
        return "∞" if number > 0 else "−∞"
    return f"{number:.0f}" if 1e4 <= abs(number) < 1e7 else f"{number:.4g}"


def _console() -> "Console":
    from rich.console import Console

    console = Console(highlight=False)
    # nobody's window limits a file or a pipe
    return console if console.is_terminal else Console(highlight=False, width=max(console.width, 120))


def _print_line(console: "Console", label: str, content: str) -> None:
    """Print what a label stands for: in a column of its own on a terminal, else in one line for other programs."""
    from rich.table import Table
    from rich.text import Text

    text = Text(" ".join(content.split()))
    if not console.is_terminal:
        console.print(Text(f"{label}: ").append_text(text), soft_wrap=True)
        return
    grid = Table.grid(padding=(0, 1))
    grid.add_column(style="bold", width=len("generation 0:"))
    grid.add_column(overflow="fold")
    grid.add_row(f"{label}:", text)
    console.print(grid)


def _print_json(value: dict[str, Any]) -> None:
    print(json.dumps(_jsonable(value), indent=2, allow_nan=False, ensure_ascii=False))


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
def _notes() -> Iterator[list[str]]:
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


@contextlib.contextmanager
def _stages(quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Show what is being done on the standard error stream, if that is a terminal."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update


if __name__ == "__main__":
    sys.exit(main())
