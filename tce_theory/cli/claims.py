"""``tce claims``: what the source of TCE claims, and what is found."""

import contextlib
import io
import json as jsonlib
import shlex
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._options import Json, Quiet
from tce_theory.cli._output import encodable, output_console, print_json, print_line
from tce_theory.cli._program import INTERRUPTED, Command, app, main
from tce_theory.progress import shown_stages

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tce_theory.claims import Finding, Report

__all__ = ["ask", "claims"]


def ask(command: str) -> Mapping[str, Any]:
    """Run a command of this program in this process, and return what it prints with ``--json``."""
    arguments = [*shlex.split(command)[1:], "--json", "--quiet"]
    with contextlib.redirect_stdout(io.StringIO()) as output:
        code = main(arguments)
    if code == INTERRUPTED:
        raise KeyboardInterrupt
    if code:
        raise RuntimeError(f"{command} ended with exit code {code}")
    answer: Mapping[str, Any] = jsonlib.loads(output.getvalue())
    return answer


@app.command(cls=Command)
def claims(
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[CLAIM…]",
            help="delay, variance, factor, modalities or confidence; all if none is named.",
            show_default=False,
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Hold each claim of the paper that TCE comes from against what this library finds.

    Every number comes from a command that is shown with it, and has its seed in it; all of them take about a minute.

    Example: tce claims delay factor
    """
    from tce_theory.claims import evaluate, named

    wanted = named(names) if names else None
    with shown_stages(quiet or json) as tell:
        report = evaluate(ask, wanted, tell)
    if json:
        print_json(report.to_dict())
    else:
        _print(output_console(), report)


def _print(console: "Console", report: "Report") -> None:
    from tce_theory.claims import NOTES

    commands: dict[str, int] = {}
    for claim in report.claims:
        print_line(console, "claim", f"{claim.statement} ({claim.name})")
        print_line(console, "source", claim.place)
        print_line(console, "for it", claim.reading)
        console.print(_table(console, report.findings[claim.name], commands))
        print_line(console, "verdict", report.verdict(claim))
        console.print()
    for line in (*report.summary, *NOTES, "“*”: theory had expected another outcome; --json says which, and why."):
        print_line(console, "note", line)
    if commands:
        console.print("\nCommands. With --json they print the very numbers.", style="bold")
    for command, number in commands.items():
        console.print(f"[{number}] {command}", markup=False, soft_wrap=True)


def _table(console: "Console", findings: "tuple[Finding, ...]", commands: dict[str, int]) -> "Table":
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("setting: what is measured")
    table.add_column("found", justify="right", no_wrap=True)
    table.add_column("for it")
    table.add_column("by", justify="right", no_wrap=True)
    for item in findings:
        command = item.probe.command
        by = f"[{commands.setdefault(command, len(commands) + 1)}]" if command else ""
        cells = (item.name, item.shown, item.outcome + ("" if item.is_as_expected else " *"), by)
        table.add_row(*(Text(encodable(console, cell)) for cell in cells))
    return table
