"""``tce map``: where TCE helps, where it does nothing, and where it harms."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._cells import fits, record
from tce_theory.cli._options import OUTPUT, PLOT_SUFFIXES, accepting, check_file, numeric, textual
from tce_theory.cli._output import output_console, print_json, print_line, short
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.cli.run import RunOptions, Watch, execute, is_store

if TYPE_CHECKING:
    from rich.console import Console

    from tce_theory.experiments.mapping import ExtensionMap
    from tce_theory.experiments.results import Experiment

_VERDICTS = "Verdicts"
_REACHED = 2.3
"""The factor that the source reports."""
_MOST_LINES = 20


@dataclass(frozen=True, kw_only=True)
class MapOptions(RunOptions):
    """The options of ``tce map``."""

    significance: Annotated[
        float, numeric("--significance", _VERDICTS, "False discovery rate of “helps” and “harms”.", metavar="NUMBER")
    ] = 0.05
    margin: Annotated[
        float, numeric("--margin", _VERDICTS, "“neutral” means within this share of 1.", metavar="NUMBER")
    ] = 0.1
    plot: Annotated[
        Path | None, textual("--plot", "FILE", OUTPUT, "Draw the map; FILE ends in .pdf, .png or .svg.")
    ] = None


@app.command("map", cls=Command)
@accepting(MapOptions)
def map_(
    options: MapOptions,
    *,
    context: typer.Context,
    file: Annotated[
        str, typer.Argument(metavar="quick|reference|FILE", help="A map, a definition in TOML, or a store.")
    ] = "quick",
) -> None:
    """Map the extension factor of TCE over families, thresholds, sample sizes, metrics and regimes, with verdicts.

    Runs what the store lacks first; after an interruption the same command goes on. Of a store that is given in place
    of a definition the map is read as it is.

    Example: tce map quick --plot map.pdf
    """
    from tce_theory.experiments.mapping import MAPS, check_cells, check_levels, located

    check_levels(options.significance, options.margin)
    check_file("plot", options.plot, PLOT_SUFFIXES)
    path, usual_store = located(file)
    if not path.exists():
        raise BadInputError(f"{file}: no such map or file; maps that come with the library are {', '.join(MAPS)}")
    if is_store(path):
        from tce_theory.experiments import load

        _report(load(path), None, options)
        return
    store = options.store or Path(usual_store)
    command = ["tce", *context.obj]
    # events of the run are for tce run: here --json is for the map
    running = options if options.dry_run else replace(options, json=False, quiet=options.quiet or options.json)
    execute(path, store, running, command, lambda watch, experiment: _report(experiment, watch, options), check_cells)


def _report(experiment: "Experiment", watch: Watch | None, options: MapOptions) -> None:
    from tce_theory.experiments.mapping import ExtensionMap

    found = ExtensionMap.of(experiment, significance=options.significance, margin=options.margin)
    if options.json:
        print_json(_as_json(found))
    else:
        _print(output_console(), found)
        if watch is not None:
            watch.end_of_work(output_console())
    if options.plot is not None:
        from tce_theory.plotting import save
        from tce_theory.plotting.maps import extension_map

        save(extension_map(found), options.plot)
        if not options.json:
            print_line(output_console(), "file", os.fspath(options.plot))


def _as_json(found: "ExtensionMap") -> dict[str, Any]:
    return {
        "title": found.title,
        "significance": found.significance,
        "margin": found.margin,
        "entries": found.table(),
    }


def _print(console: "Console", found: "ExtensionMap") -> None:
    from collections import Counter

    from rich import box
    from rich.table import Table

    from tce_theory.experiments.mapping import VERDICTS, best

    print_line(console, "map", str(found))
    headings = ["setting", "until", "best", "at γ", *VERDICTS]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="left" if heading in ("setting", "until") else "right")
    lines: list[list[str]] = []
    rows = list(found.rows.items())
    for place, ((setting, criterion), entries) in enumerate(rows):
        is_first = place == 0 or rows[place - 1][0][0] != setting
        is_last = place + 1 == len(rows) or rows[place + 1][0][0] != setting
        counts = Counter(entry.verdict for entry in entries)
        verdicts = (str(counts[verdict] or "–") for verdict in VERDICTS)
        largest = best(entries)
        factor = ("–", "–") if largest is None else (largest.factor, short(largest.gamma))
        lines.append([setting if is_first else "", criterion, *factor, *verdicts])
        table.add_row(*lines[-1], end_section=is_last)
    if fits(console, table):
        console.print(table)
    else:
        for setting, *rest in lines:
            if setting:
                console.print(f"\n{setting}", soft_wrap=True, markup=False)
            for text in record(headings[1:], rest, 1, console.width):
                console.print(text, soft_wrap=True, markup=False)
        console.print()
    reached = found.reaching(_REACHED)
    for entry, harmed in reached[:_MOST_LINES]:
        price = f"; harms {', '.join(other.criterion for other in harmed)}" if harmed else ""
        where = f"{entry.setting}, n = {entry.n_samples:,}, γ = {short(entry.gamma)}, {entry.criterion}"
        print_line(console, f"≥ {_REACHED:g}", f"{where}: {entry.factor}{price}")
    if len(reached) > _MOST_LINES:
        print_line(console, f"≥ {_REACHED:g}", f"{len(reached) - _MOST_LINES} more; --json and --plot show all")
