"""``tce run``: do what a store lacks of a definition."""

import contextlib
import logging
import os
import shlex
import shutil
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._cells import (
    cells_as_json,
    count,
    others_in_words,
    print_cells,
    print_head,
    print_results,
    print_settings,
    rate_in_words,
    shown,
    size_in_words,
    time_in_words,
)
from tce_theory.cli._options import OUTPUT, SIZES, Jobs, Quiet, accepting, flag, numeric, refuse, textual
from tce_theory.cli._output import output_console, print_event, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, Failure, InterruptedWorkError, app
from tce_theory.errors import DomainError, StoreError
from tce_theory.progress import shown_stages

__all__ = ["RunOptions", "Watch", "execute", "is_store"]

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

    from tce_theory.experiments.blocks import BlockError, BlockResult, Task
    from tce_theory.experiments.definition import Definition
    from tce_theory.experiments.estimate import Estimate
    from tce_theory.experiments.results import Experiment
    from tce_theory.experiments.store import Store

_FAILED = 1
_EXECUTION = "Execution"
_BACKENDS = ("threads", "processes", "dask")
_SECONDS_TO_CONNECT = 10
_SPEED_SECONDS = 300
"""How far the estimate of the time left looks back: blocks can take a minute."""
_LINE_SECONDS = 60
"""How often there is a line where there is no terminal, at most."""
_STORE_START = b"SQLite format 3\0"
_ADDRESS = "DASK_SCHEDULER_ADDRESS"


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """The options of ``tce run``."""

    store: Annotated[
        Path | None, textual("--store", "FILE", OUTPUT, "Where results are kept; NAME.sqlite if not given.")
    ] = None
    dry_run: Annotated[bool, flag("--dry-run", OUTPUT, "Show the cells and what they will take; write nothing.")] = (
        False
    )
    retry_failed: Annotated[bool, flag("--retry-failed", _EXECUTION, "Run again what failed.")] = False
    seed: Annotated[int | None, numeric("--seed", SIZES, "Seed in place of the one in the definition.")] = None
    n_jobs: Jobs = -1
    backend: Annotated[
        str, textual("--backend", "|".join(_BACKENDS), _EXECUTION, "The workers; results do not depend on it.")
    ] = "threads"
    scheduler: Annotated[
        str | None, textual("--scheduler", "ADDRESS", _EXECUTION, f"dask: its scheduler; {_ADDRESS} if not given.")
    ] = None
    json: Annotated[
        bool, flag("--json", OUTPUT, "Print each event as a JSON object in a line; just one with --dry-run.")
    ] = False
    quiet: Quiet = False


@app.command(cls=Command)
@accepting(RunOptions)
def run(
    options: RunOptions,
    *,
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Definition of the experiment, in TOML.")],
) -> None:
    """Run the simulations of a definition, or what its store lacks of them.

    After an interruption the same command goes on; after a change of the definition it runs what is new.

    Exit code 1 if a cell failed.

    Example: tce run simulations/smoke.toml
    """
    execute(
        file,
        options.store or Path(f"{file.stem}.sqlite"),
        options,
        ["tce", *context.obj],
        lambda watch, experiment: watch.end(experiment),
    )


def execute(
    file: Path,
    path: Path,
    options: RunOptions,
    command: Sequence[str],
    report: Callable[["Watch", "Experiment"], None],
    check: Callable[["Definition"], None] = lambda definition: None,
) -> None:
    """Run a definition, or show what that would take, with a report at the end; `command` is what the user wrote.

    `check` refuses definitions of which there would be nothing to report.
    """
    from tce_theory.validation import one_of

    one_of("backend", options.backend, _BACKENDS)
    definition = _read(file, options.seed)
    check(definition)
    if options.backend != "dask":
        refuse({"scheduler": options.scheduler}, "--backend dask")
    plan = _plan(definition, path, options)
    if options.dry_run:
        _show_plan(plan, options)
        return
    _refuse_growth(plan)
    if plan.stranger and not options.json:
        print_line(output_console(), "note", plan.stranger)
    with _watching(options, definition, path) as watch:
        try:
            experiment = _run(watch, options)
            watch.close()
            report(watch, experiment)
        except KeyboardInterrupt:
            raise InterruptedWorkError(f"interrupted: {watch.interrupt()}; to go on: {shlex.join(command)}") from None
    _refuse_failures(experiment, command)


def is_store(file: Path) -> bool:
    """Return whether a file is a store, and not a definition."""
    with file.open("rb") as content:
        return content.read(len(_STORE_START)) == _STORE_START


def _read(file: Path, seed: Any) -> "Definition":
    from tce_theory.experiments.definition import Definition
    from tce_theory.validation import positive_integer

    if is_store(file):
        raise BadInputError(f"{file}: it is a store, and not a definition in TOML; tce status shows what it holds")
    return Definition.read(file, seed=None if seed is None else positive_integer("seed", seed, minimum=0))


def _refuse_failures(experiment: "Experiment", command: Sequence[str]) -> None:
    """End with an error if cells failed."""
    failed = [cell for cell in experiment.cells if cell.status == "failed"]
    if failed:
        again = command if "--retry-failed" in command else [*command, "--retry-failed"]
        number = f"{len(failed)} of {count(len(experiment.cells), 'cell')} failed"
        raise Failure(
            f"tce {command[1]}: {number}, the first with {failed[0].error}; to retry: {shlex.join(again)}", _FAILED
        )


# ------------------------------------------------------------------------------------------------------- the plan


@dataclass(frozen=True)
class _Plan:
    """What would be run."""

    definition: "Definition"
    path: Path
    tasks: "list[Task]"
    to_run: Counter[str]
    """How many blocks of each cell are to be run, by its key."""
    all_blocks: Counter[str]
    """How many it has."""
    others: int
    """How many blocks of other cells the store has."""
    stranger: str | None
    """What else is in the store, if its name was not given and its last definition has nothing to do with this one."""
    free: int | None
    """Bytes that are free where the store is; None if its folder does not exist."""


def _plan(definition: "Definition", path: Path, options: RunOptions) -> _Plan:
    from tce_theory.experiments.runner import planned
    from tce_theory.experiments.store import Store

    every = tasks = planned(definition, None)
    others, stranger = 0, None
    if path.exists():
        with Store.reading(path) as store:
            tasks = planned(definition, store, retry_failed=options.retry_failed)
            others = _others(definition, store)
            stranger = None if options.store else _stranger(definition, store)
    to_run, all_blocks = (Counter(task.cell.key for task in some) for some in (tasks, every))
    return _Plan(definition, path, tasks, to_run, all_blocks, others, stranger, _free(path))


def _others(definition: "Definition", store: "Store") -> int:
    """Count the blocks of a store that are of no cell of a definition."""
    keys = {cell.key for cell in definition.cells}
    return sum(len(blocks) for key, blocks in store.blocks().items() if key not in keys)


def _stranger(definition: "Definition", store: "Store") -> str | None:
    """Say what a store holds if its last definition has nothing to do with this one."""
    try:
        document, records = store.last_definition()
    except StoreError:  # there is none yet; damage is for the run to find
        return None
    if document["title"] == definition.title or {r["key"] for r in records} & {c.key for c in definition.cells}:
        return None
    return f"{store.path} holds other experiments, too: {document['title']}"


def _free(path: Path) -> int | None:
    try:
        return shutil.disk_usage(os.path.dirname(os.path.realpath(path))).free
    except OSError:
        return None


def _refuse_growth(plan: _Plan) -> None:
    """Refuse what the disk cannot hold, by the numbers alone: a store takes a little more."""
    needed = sum(8 * len(task.rows) * (task.cell.generations + 1) * len(task.cell.metrics) for task in plan.tasks)
    if plan.free is not None and needed > plan.free:
        sizes = f"{size_in_words(needed)} of results, and {size_in_words(plan.free)} are free on its disk"
        raise BadInputError(f"{plan.path}: there would be {sizes}; ask for less, or for another disk with --store")


def _show_plan(plan: _Plan, options: RunOptions) -> None:
    from tce_theory.experiments.estimate import estimate

    with shown_stages(options.quiet or options.json) as stage:
        if stage is not None:
            stage("timing a sample of the cells")
        cost = estimate(plan.tasks, n_jobs=options.n_jobs)
    if options.json:
        print_json(_as_json(plan, cost))
        return
    console, definition, cells = output_console(), plan.definition, plan.definition.cells
    print_head(console, definition)
    print_settings(console, cells)
    keys = {place: cells[place].key for place in shown(len(cells))}
    rows = {place: [f"{plan.to_run[key]} of {plan.all_blocks[key]}"] for place, key in keys.items()}
    print_cells(console, cells, ["blocks to run"], rows)
    print_line(console, "cells", f"{len(cells):,}")
    print_line(console, "blocks", f"{len(plan.tasks):,} of {plan.all_blocks.total():,} to run; {_what_is_there(plan)}")
    print_line(console, "time", f"about {time_in_words(cost.seconds)}{_on_what(options)}")
    print_line(console, "size", f"about {size_in_words(cost.bytes)}{_of_what(cost.bytes, plan.free)}")
    if plan.others:
        print_line(console, "others", others_in_words(plan.others, plan.path))
    if plan.stranger:
        print_line(console, "note", plan.stranger)


def _of_what(size: int, free: int | None) -> str:
    if free is None:
        return ""
    return f"{': TOO MUCH,' if size > free else ';'} {size_in_words(free)} are free"


def _what_is_there(plan: _Plan) -> str:
    if not plan.path.exists():
        return f"{plan.path} does not exist yet"
    there, failed = _there(plan.definition, plan.path, plan.tasks)
    return f"{there:,} are in {plan.path}" + (f", where {failed:,} have failed" if failed else "")


def _on_what(options: RunOptions) -> str:
    from tce_theory.recursion import workers

    if options.backend == "dask":
        return f" on {count(workers(options.n_jobs), 'processor')} like those of this machine"
    return f" with {count(workers(options.n_jobs), 'worker')} on this machine"


def _as_json(plan: _Plan, cost: "Estimate") -> dict[str, Any]:
    cells = [
        {
            "key": cell.key,
            "settings": cell.settings,
            "blocks": plan.all_blocks[cell.key],
            "blocks_to_run": plan.to_run[cell.key],
        }
        for cell in plan.definition.cells
    ]
    return {
        "title": plan.definition.title,
        "theorems": plan.definition.theorems,
        "store": plan.path,
        "cells": cells,
        "blocks": plan.all_blocks.total(),
        "blocks_to_run": len(plan.tasks),
        "other_blocks": plan.others,
        "seconds": cost.seconds,
        "bytes": cost.bytes,
        "bytes_free": plan.free,
    }


# -------------------------------------------------------------------------------------------------------- the run


def _run(watch: "Watch", options: RunOptions) -> "Experiment":
    from tce_theory.experiments.results import load
    from tce_theory.experiments.runner import run as run_definition

    with _cluster(options):
        run_definition(
            watch.definition,
            watch.path,
            backend=options.backend,
            n_jobs=options.n_jobs,
            retry_failed=options.retry_failed,
            on_start=watch.start,
            on_block=watch.block,
        )
    watch.seconds = time.perf_counter() - watch.started
    return load(watch.path)


@contextlib.contextmanager
def _cluster(options: RunOptions) -> Iterator[None]:
    """Connect to the scheduler of dask, if it is wanted."""
    address = options.scheduler or os.environ.get(_ADDRESS)
    if options.backend != "dask":
        yield
        return
    if not address:
        raise BadInputError(f"--backend dask needs --scheduler ADDRESS, such as tcp://node1:8786, or {_ADDRESS}")
    try:
        from distributed import Client
    except ImportError:
        needed = 'python -m pip install "tce_theory[dask]"'
        raise BadInputError(f"--backend dask needs the extra dask, which is not installed: {needed}") from None
    log = logging.getLogger("distributed.client")
    level = log.level
    log.setLevel(logging.CRITICAL)  # that a connection is lost is said in one line, and not with a traceback
    try:
        with _client(Client, address):
            yield
    finally:
        log.setLevel(level)


def _client(kind: Any, address: str) -> Any:
    try:
        return kind(address, timeout=_SECONDS_TO_CONNECT)
    except (OSError, ValueError) as error:
        answer = f"that of a scheduler that answers within {_SECONDS_TO_CONNECT} seconds ({error})"
        raise DomainError("scheduler", address, answer) from None


@contextlib.contextmanager
def _watching(options: RunOptions, definition: "Definition", path: Path) -> "Iterator[Watch]":
    """Watch a run: with events for machines, a bar if the standard error stream is a terminal, else some lines."""
    if options.json:
        yield _Events(definition, path)
    elif options.quiet:
        yield Watch(definition, path)
    elif not sys.stderr.isatty():
        yield _Lines(definition, path)
    else:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = [
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[cells]}"),
            TimeRemainingColumn(),
            TextColumn("left[red]{task.fields[failures]}[/red]"),
        ]
        with Progress(
            *columns, console=Console(stderr=True), transient=True, expand=True, speed_estimate_period=_SPEED_SECONDS
        ) as progress:
            yield _Bar(definition, path, progress)


def _there(definition: "Definition", path: Path, tasks: "list[Task]") -> tuple[int, int]:
    """Count the blocks of a definition that a store has, and those that are left out because they failed."""
    from tce_theory.experiments.runner import planned
    from tce_theory.experiments.store import Store

    with Store.reading(path) as store:
        lacking = len(planned(definition, store, retry_failed=True))
    return len(planned(definition, None)) - lacking, lacking - len(tasks)


class Watch:
    """What a run has done so far."""

    def __init__(self, definition: "Definition", path: Path) -> None:
        self.definition, self.path = definition, path
        self.started = time.perf_counter()
        self.seconds = 0.0
        self.planned: int | None = None
        self.there = self.failed_before = self.finished = self.failed = self.cells = 0
        """Blocks that were there already, that had failed already, and that have finished or failed in this run; cells
        that have finished in it."""
        self.left: Counter[str] = Counter()
        """Blocks that are still to be run, by the keys of their cells."""
        self.others = 0
        """Blocks in the store that are of no cell of the definition."""

    def start(self, tasks: "list[Task]") -> None:
        from tce_theory.experiments.store import Store

        self.planned = len(tasks)
        self.there, self.failed_before = _there(self.definition, self.path, tasks)
        self.left = Counter(task.cell.key for task in tasks)
        with Store.reading(self.path) as store:
            self.others = _others(self.definition, store)

    def block(self, block: "BlockResult | BlockError") -> None:
        from tce_theory.experiments.blocks import BlockError

        if isinstance(block, BlockError):
            self.failed += 1
            return
        self.finished += 1
        self.left[block.key] -= 1
        self.cells += not self.left[block.key]

    def interrupt(self) -> str:
        """Say what is kept."""
        if self.planned is None:
            return f"what had finished is kept in {self.path}"
        # from the store: Ctrl-C can come when a block is stored, and before it is counted
        kept, _ = _there(self.definition, self.path, [])
        self.finished = kept - self.there
        return f"{kept:,} of {count(self.there + self.planned, 'block')} are kept in {self.path}"

    def close(self) -> None:
        """Take down what shows how far the work is."""

    def end(self, experiment: "Experiment") -> None:
        """Report what was found."""
        console = output_console()
        print_head(console, experiment)
        print_settings(console, experiment.cells)
        print_results(console, experiment)
        self.end_of_work(console)

    def end_of_work(self, console: "Console") -> None:
        """Say what was done, and where it is."""
        print_line(console, "run", self._in_words())
        print_line(console, "store", f"{self.path}, {size_in_words(self.path.stat().st_size)}")
        if self.others:
            print_line(console, "others", others_in_words(self.others, self.path))
        name, folder = (shlex.quote(os.fspath(path)) for path in (self.path, self.path.with_suffix("").name))
        print_line(console, "next", f"tce status {name}, or tce store export {name} --out {folder}")

    def _in_words(self) -> str:
        if not self.planned and not self.failed_before:
            return f"nothing is missing: {count(self.there, 'block')} were there already"
        parts = {
            f"{count(self.finished, 'block')} in {time_in_words(self.seconds)}": self.planned,
            f"{self.failed:,} failed": self.failed,
            f"{count(self.there, 'block')} were there already": self.there,
            f"{count(self.failed_before, 'block')} that had failed before were left out": self.failed_before,
        }
        return "; ".join(part for part, number in parts.items() if number)


class _Events(Watch):
    """Prints what happens as JSON, one object a line."""

    def start(self, tasks: "list[Task]") -> None:
        super().start(tasks)
        print_event(
            "start",
            title=self.definition.title,
            cells=len(self.definition.cells),
            blocks_planned=self.planned,
            blocks_there=self.there,
            other_blocks=self.others,
            store=self.path,
        )

    def block(self, block: "BlockResult | BlockError") -> None:
        from tce_theory.experiments.blocks import BlockError

        super().block(block)
        place = {"key": block.key, "first": block.rows.start, "stop": block.rows.stop}
        if isinstance(block, BlockError):
            print_event("failure", **place, error=block.error)
        else:
            print_event("block", **place, seconds=block.seconds)

    def interrupt(self) -> str:
        kept = super().interrupt()
        print_event("interrupted", done=self.finished, failed=self.failed, seconds=time.perf_counter() - self.started)
        return kept

    def end(self, experiment: "Experiment") -> None:
        print_event(
            "end", done=self.finished, failed=self.failed, seconds=self.seconds, cells=cells_as_json(experiment)
        )


class _Measuring(Watch):
    """Measures the work that is done."""

    def __init__(self, definition: "Definition", path: Path) -> None:
        super().__init__(definition, path)
        self.work: dict[tuple[str, int], float] = {}

    def start(self, tasks: "list[Task]") -> None:
        super().start(tasks)
        for task in tasks:
            cell = task.cell
            work = len(task.rows) * cell.generations * cell.recursion.cost
            self.work[cell.key, task.rows.start] = work

    def _cells(self) -> str:
        rate = self.cells / (time.perf_counter() - self.started)
        speed = f", {rate_in_words(rate)} a second" if rate else ""
        return f"{self.cells:,} of {count(len(self.left), 'cell')}{speed}"

    def _failures(self) -> str:
        return f", {self.failed:,} failed" if self.failed else ""


class _Lines(_Measuring):
    """Prints a line now and then, for a log."""

    def __init__(self, definition: "Definition", path: Path) -> None:
        super().__init__(definition, path)
        self.last = self.started
        self.done = 0.0

    def block(self, block: "BlockResult | BlockError") -> None:
        super().block(block)
        self.done += self.work[block.key, block.rows.start]
        now = time.perf_counter()
        if now - self.last >= _LINE_SECONDS:
            self.last = now
            left = (now - self.started) * (sum(self.work.values()) / self.done - 1)
            time_left = timedelta(seconds=max(round(left), 0))
            with contextlib.suppress(OSError):  # if whoever reads the log has left, the run goes on
                print(f"{self._cells()}, {time_left} left{self._failures()}", file=sys.stderr, flush=True)


class _Bar(_Measuring):
    """Shows a bar, as long as the work that is done."""

    def __init__(self, definition: "Definition", path: Path, progress: "Progress") -> None:
        super().__init__(definition, path)
        self.progress = progress
        self.bar = progress.add_task("", cells="", failures="", start=False, visible=False)

    def start(self, tasks: "list[Task]") -> None:
        super().start(tasks)
        self.progress.update(self.bar, total=sum(self.work.values()), cells=self._cells(), visible=bool(tasks))
        self.progress.start_task(self.bar)

    def block(self, block: "BlockResult | BlockError") -> None:
        super().block(block)
        work = self.work[block.key, block.rows.start]
        self.progress.update(self.bar, advance=work, cells=self._cells(), failures=self._failures())

    def close(self) -> None:
        self.progress.stop()
