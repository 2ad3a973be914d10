"""``tce report``: what studies find, verdicts first."""

import json as jsonlib
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tce_theory.cli._cells import fits
from tce_theory.cli._options import OUTPUT, Json, Quiet, check_file, refuse, textual
from tce_theory.cli._output import encodable, output_console, print_line
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.cli.run import is_store
from tce_theory.errors import DomainError
from tce_theory.progress import shown_stages

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from rich.console import Console
    from rich.table import Table

    from tce_theory.experiments.study import Study

__all__ = ["report"]

_MARKS = "with a longer horizon a factor with ≥ could only be larger, one with ≤ only smaller, one with ~ either"
_ADMISSIBLE = "the store of a definition with [study], or what tce report --json has written"


@app.command(cls=Command)
def report(
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="[FILE…]",
            help="Stores of studies, or what --json has written; those that come with the library if none is given.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    out: Annotated[
        Path | None, textual("--out", "FILE", OUTPUT, "Write a report; FILE ends in .md, its pictures are beside it.")
    ] = None,
    format: Annotated[
        str | None, textual("--format", "png|pdf|svg", OUTPUT, "Of the pictures of --out; png if not given.")
    ] = None,
) -> None:
    """Say what studies find: verdicts on their claims, and the extension factors that these rest on.

    The definition of a study states beforehand what is compared and claimed. An unfinished one is shown as it is.

    Example: tce report replication.sqlite --out replication.md
    """
    from tce_theory.experiments.report import FORMATS, files_of, write
    from tce_theory.validation import one_of

    check_file("out", out, (".md",))
    if format is not None:
        one_of("format", format, FORMATS)
    if out is None:
        refuse({"format": format}, "--out")
    elif (folder := files_of(out)).exists() and not folder.is_dir():
        raise BadInputError(f"--out {out} needs the folder {folder.name} for its pictures, and there is a file")
    with shown_stages(quiet or json) as tell:
        studies = [study for file in dict.fromkeys(files or _own()) for study in _read(file, tell)]
    if json:
        _print_records(studies)
    else:
        _print(output_console(), studies)
    written = write(studies, out, format=format or FORMATS[0]) if out is not None else []
    for path in written if not json else ():
        print_line(output_console(), "file", os.fspath(path))


def _print_records(studies: "Sequence[Study]") -> None:
    """Print JSON with a record a line: a number a line would be most of the file."""
    print('{"studies": [' + ",\n".join(_records(study.to_dict()) for study in studies) + "]}")


def _records(study: "dict[str, Any]") -> str:
    write = partial(jsonlib.dumps, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return (
        "{"
        + ",\n".join(
            f"{write(name)}:"
            + ("[\n" + ",\n".join(map(write, value)) + "]" if isinstance(value, list) else write(value))
            for name, value in study.items()
        )
        + "}"
    )


def _own() -> list[Path]:
    """Return the recorded studies that come with the library."""
    from tce_theory.experiments.study import STUDIES

    found = sorted(STUDIES.glob("*.json"))
    if not found:
        raise BadInputError(f"no study comes with this version of the library: give a FILE, {_ADMISSIBLE}")
    return found


def _read(file: Path, tell: "Callable[[str], None] | None") -> "list[Study]":
    from tce_theory.experiments import load
    from tce_theory.experiments.study import Study

    if tell is not None:
        tell(f"Analysing {file}")
    try:
        if is_store(file):
            return [Study.of(load(file))]
        document = jsonlib.loads(file.read_text(encoding="utf-8"))
        if studies := [Study.from_dict(study) for study in document["studies"]]:
            return studies
        wanted = f"{_ADMISSIBLE}, and has no study"
    except DomainError as error:
        why = f"“{error.value}” has no [study]" if error.argument == "experiment" else f"this is {error.value}"
        wanted = f"{_ADMISSIBLE}; {why}"
    except (ValueError, KeyError, TypeError):
        is_definition = file.suffix == ".toml"
        wanted = f"{_ADMISSIBLE}" + (f"; tce run {file} makes the store of a definition" if is_definition else "")
    raise BadInputError(f"{file} must be {wanted}") from None


def _print(console: "Console", studies: "Sequence[Study]") -> None:
    from tce_theory.experiments.report import caveats

    for study in studies:
        print_line(console, "study", study.title)
        print_line(console, "question", study.question)
        if not study.is_complete:
            print_line(console, "unfinished", study.state)
        if study.claims:
            _print_verdicts(console, study)
        for line in caveats(study):
            print_line(console, "note", line)
        _print_factors(console, study)
        console.print()
    rest = "--json has every metric, criterion and threshold; --out report.md writes a report with pictures"
    print_line(console, "the rest", rest)


def _print_verdicts(console: "Console", study: "Study") -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    from tce_theory.experiments.report import controls_in_words, strongest_in_words

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 1, 0))
    for heading in ("claim", "verdict", "factor", "controls not found worse"):
        table.add_column(heading, overflow="fold")
    for result in study.claims:
        rivals = controls_in_words(result.strongest)
        cells = (result.claim, result.in_words, strongest_in_words(result), rivals)
        table.add_row(*(Text(encodable(console, cell)) for cell in cells))
    console.print(table)


def _print_factors(console: "Console", study: "Study") -> None:
    design = study.design
    together = f" together for all {design.comparisons}" if design.comparisons > 1 else ""
    limits = f"limits hold with {100 * design.level:g} %{together}"
    print_line(console, "factors", f"over {design.baseline}, until {design.criterion}; {limits}")
    entries = {(entry.condition, entry.setting): entry for entry in study.entries}
    conditions = [condition for condition in design.conditions if condition != design.baseline]
    whole = _table(console, ["condition", *design.settings])
    for condition in conditions:
        found = (entries[condition, setting] for setting in design.settings)
        _add(whole, console, [condition, *(f"{entry.shown} {entry.outcome}" for entry in found)])
    if fits(console, whole):
        console.print(whole)
    for setting in () if fits(console, whole) else design.settings:
        part = _table(console, [setting, "factor", "outcome"])
        for condition in conditions:
            entry = entries[condition, setting]
            _add(part, console, [condition, entry.shown, entry.outcome])
        console.print(part)
    if any(entry.shown[0] in "≥≤~" for entry in study.entries):
        print_line(console, "marks", _MARKS)


def _table(console: "Console", headings: "Sequence[str]") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for place, heading in enumerate(headings):
        table.add_column(encodable(console, heading), justify="right" if place else "left", no_wrap=True)
    return table


def _add(table: "Table", console: "Console", cells: "Sequence[str]") -> None:
    from rich.text import Text

    table.add_row(*(Text(encodable(console, cell)) for cell in cells))
