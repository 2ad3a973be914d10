"""``tce status``: how far a store is."""

import os
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._cells import (
    cell_in_words,
    count,
    others_in_words,
    print_head,
    rate_in_words,
    size_in_words,
    time_in_words,
)
from tce_theory.cli._options import Json
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.errors import StoreError

if TYPE_CHECKING:
    from tce_theory.experiments.results import Experiment
    from tce_theory.experiments.store import StoredBlock, StoredRun

_STATES = ("done", "partial", "missing", "failed")
_MOST_ERRORS = 10


@app.command(cls=Command)
def status(
    store: Annotated[Path, typer.Argument(metavar="STORE", help="File that tce run writes.")],
    json: Json = False,
) -> None:
    """Show how far an experiment is: what is done, what failed, and the time left. It can be running.

    Example: tce status smoke.sqlite
    """
    experiment, last, blocks = _read(store)
    states = Counter(cell.status for cell in experiment.cells)
    keys = {cell.key for cell in experiment.cells}
    found: dict[str, Any] = {
        "title": experiment.title,
        "theorems": experiment.theorems,
        "store": store,
        "bytes": _size(store),
        "cells": {"total": len(experiment.cells)} | {state: states[state] for state in _STATES},
        "replicates": {
            "finished": sum(cell.finished for cell in experiment.cells),
            "wanted": sum(cell.replicates for cell in experiment.cells),
        },
        "other_blocks": sum(block.key not in keys for block in blocks),
        "run": None if last is None else asdict(last) | _rates(experiment, last, blocks),
        "failures": [
            {"key": cell.key, "settings": dict(cell.settings), "error": cell.error}
            for cell in experiment.cells
            if cell.status == "failed"
        ],
    }
    if json:
        print_json(found)
    else:
        _print(experiment, found)


def _read(path: Path) -> "tuple[Experiment, StoredRun | None, list[StoredBlock]]":
    """Read a store, its last run and its blocks."""
    from tce_theory.experiments._lock import is_locked
    from tce_theory.experiments.results import load
    from tce_theory.experiments.store import Store

    last, blocks = None, []
    try:
        with Store.reading(path) as opened:
            last = opened.last_run()
            blocks = [block for some in opened.blocks().values() for block in some]
        return load(path), last, blocks
    except (FileNotFoundError, StoreError):
        # at the start of its first run a store has no file, then no definition
        if last is None and not blocks and is_locked(Path(os.path.realpath(path))):
            raise BadInputError(f"{path}: it is being made by a run that has just started; ask again soon") from None
        raise


def _size(path: Path) -> int:
    """Return the bytes of a store, and of what SQLite has beside it while it is written."""
    beside = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (beside.stat().st_size if beside.exists() else 0)


def _rates(experiment: "Experiment", last: "StoredRun", blocks: "list[StoredBlock]") -> dict[str, float | None]:
    """Return how fast the last run was, or is, and how long the rest takes if it goes on like that."""
    if not last.finished or not last.seconds:
        return dict.fromkeys(("cells_per_second", "replicate_generations_per_second", "seconds_left"))
    new = sorted(blocks, key=lambda block: block.id)[-last.finished :]
    cells = {cell.key: cell for cell in experiment.cells}
    done = {block.key for block in new if block.key in cells and cells[block.key].status == "done"}
    steps = sum(len(block.rows) * cells[block.key].settings["generations"] for block in new if block.key in cells)
    left = last.planned - last.finished - last.failed
    return {
        "cells_per_second": len(done) / last.seconds,
        "replicate_generations_per_second": steps / last.seconds,
        # blocks are made to take about as long as each other
        "seconds_left": left * last.seconds / (last.finished + last.failed),
    }


def _print(experiment: "Experiment", found: dict[str, Any]) -> None:
    console, cells, replicates = output_console(), found["cells"], found["replicates"]
    print_head(console, experiment)
    states = ", ".join(f"{cells[state]:,} {state}" for state in _STATES if cells[state])
    print_line(
        console, "cells", f"all {states}" if cells["done"] == cells["total"] else f"{states}, of {cells['total']:,}"
    )
    print_line(console, "replicates", f"{replicates['finished']:,} of {replicates['wanted']:,}")
    run = found["run"]
    if run is not None:
        since = run["started"].replace("T", " ").replace("+00:00", " UTC")
        state = "running since" if run["state"] == "running" else f"{run['state']}; started"
        where = f"process {run['pid']} on {run['host']}, {run['backend']} ({count(run['workers'], 'worker')})"
        print_line(console, "last run", f"{state} {since}; {where}")
        failed = f", {run['failed']:,} failed" if run["failed"] else ""
        blocks = f"{run['finished']:,} of {count(run['planned'], 'block')}{failed}, in {time_in_words(run['seconds'])}"
        print_line(console, "it did", blocks)
        if run["cells_per_second"] is not None:
            cell_rate, rate = (rate_in_words(run[f"{what}_per_second"]) for what in ("cells", "replicate_generations"))
            print_line(console, "rate", f"{cell_rate} cells, {rate} replicate-generations a second")
        if run["seconds_left"]:
            condition = "" if run["state"] == "running" else ", once it goes on"
            print_line(console, "time left", f"about {time_in_words(run['seconds_left'])}{condition}")
    for failure in found["failures"][:_MOST_ERRORS]:
        print_line(console, "failed", f"{cell_in_words(failure['settings'], experiment.cells)}: {failure['error']}")
    if len(found["failures"]) > _MOST_ERRORS:
        print_line(console, "failed", f"{len(found['failures']) - _MOST_ERRORS:,} cells more; --json has them all")
    print_line(console, "store", f"{os.fspath(found['store'])}, {size_in_words(found['bytes'])}")
    if found["other_blocks"]:
        print_line(console, "others", others_in_words(found["other_blocks"], found["store"]))
