"""``tce verify``."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tce_theory.cli._options import OUTPUT, SIZES, Jobs, Json, Quiet, check_file, flag, numeric, textual
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import Command, app

if TYPE_CHECKING:
    from tce_theory.verification import Evidence, VerificationReport

_FAILED = 1


@app.command(cls=Command)
def verify(
    slugs: Annotated[
        list[str] | None,
        typer.Argument(metavar="[SLUG…]", help="Theorems to check; all if none is named.", show_default=False),
    ] = None,
    effort: Annotated[
        str, textual("--effort", "quick|full", SIZES, "About a minute, or a quarter of an hour.")
    ] = "quick",
    controls: Annotated[
        bool, flag("--controls", OUTPUT, "Show the wrong claims too, and what became of them.")
    ] = False,
    seed: Annotated[int, numeric("--seed", SIZES, "Seed of the random numbers.")] = 0,
    n_jobs: Jobs = -1,
    html: Annotated[Path | None, textual("--html", "FILE", OUTPUT, "Write the evidence as a page.")] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Check theorems against simulation and computation, each with a wrong claim that has to be rejected.

    Exit code 1 if a claim does not hold, or if a wrong one is not rejected.

    Example: tce verify density-wall gaussian-ce-law --effort full
    """
    from tce_theory.files import write_atomically
    from tce_theory.verification import verify as verify_theorems

    check_file("html", html, (".html",))
    with _live(quiet or json) as progress:
        report = verify_theorems(slugs or None, effort=effort, seed=seed, n_jobs=n_jobs, progress=progress)
    if html is not None:
        write_atomically(html, lambda file: file.write(report.to_html().encode()))
    if json:
        print_json(report.to_json())
    else:
        _print(report, controls)
    if not report.passed:
        raise typer.Exit(_FAILED)


@contextlib.contextmanager
def _live(hidden: bool) -> "Iterator[Callable[[list[Evidence]], None] | None]":
    """Show the evidence as it comes in, on the standard error stream, if that is a terminal."""
    if hidden or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.live import Live

    from tce_theory.verification.report import VerificationReport

    console = Console(stderr=True)
    found: list[Evidence] = []

    def show(evidence: "list[Evidence]") -> None:
        found.extend(evidence)
        # as many of the last rows as the window holds
        latest = tuple(found[-max(1, console.height - 8) :])
        live.update(VerificationReport(latest, "", 0, 0.0).table(width=console.width), refresh=True)

    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield show


def _print(report: "VerificationReport", controls: bool) -> None:
    from rich.console import Console

    from tce_theory.verification.report import WIDTH

    console = output_console()
    wide = console if console.is_terminal else Console(width=WIDTH)
    wide.print(report.table(controls=controls, width=wide.width))
    for item in report.failures:
        call = f'tce.verify("{item.slug}", effort="{report.effort}", seed={report.seed})'
        print_line(console, "FAILED", f"{item.slug}, {item.quantity} ({item.setting})")
        print_line(console, "reproduce", f"import tce_theory as tce; print({call})")
    print_line(console, "summary", report.summary)
