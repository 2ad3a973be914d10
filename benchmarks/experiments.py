"""Print what experiments cost over bare calls of `simulate`, and how fast the store is: `make bench`.

Where there are two sides they run in turn, and the median of their ratios is shown with the smallest and the largest.
Wall-clock time is what a user waits for; processor time is what other work on the machine disturbs least.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

import tce_theory as tce
from tce_theory.experiments import Definition, blocks, load, runner
from tce_theory.experiments.blocks import BlockResult
from tce_theory.experiments.store import Store

WORKERS = 2


@dataclass(frozen=True)
class Row:
    """A line of the table: what was measured, in words, and whether it is good enough."""

    work: str
    measured: str
    target: str
    reached: bool | None


@dataclass(frozen=True)
class Cost:
    """Seconds by the clock on the wall, and of processors."""

    wall: float
    processor: float


def cost(work: Callable[[], object]) -> Cost:
    started, used = time.perf_counter(), time.process_time()
    work()
    return Cost(time.perf_counter() - started, time.process_time() - used)


def ratio(pairs: list[tuple[float, float]]) -> tuple[float, str]:
    ratios = [one / other for one, other in pairs]
    median = statistics.median(ratios)
    return median, f"{median:.3f} [{min(ratios):.3f}, {max(ratios):.3f}]"


# ------------------------------------------------------------------------------------------- against simulate


def dear_cells(number: int) -> Definition:
    """Cells of about a second each, by one processor."""
    return Definition.from_mapping(
        {
            "title": "Cells of a second",
            "model": {"family": "gaussian", "fit_mean": False},
            "loss": {"name": "tce", "gamma": 0.3},
            "n_samples": [1000 + cell for cell in range(number)],
            "generations": 100,
            "replicates": 1280,
            "metrics": ["std"],
            "seed": 1,
        }
    )


def cheap_cells(number: int) -> Definition:
    """Cells of about a millisecond each."""
    return Definition.from_mapping(
        {
            "title": "Cells of a millisecond",
            "model": {"family": "gaussian", "fit_mean": False},
            "loss": {"name": "tce", "gamma": 0.3},
            "n_samples": 1000,
            "generations": 10,
            "replicates": 8,
            "metrics": ["std"],
            "seed": {"from": 1, "to": number, "num": number},
        }
    )


def directly(definition: Definition) -> None:
    """Do what a user without experiments would."""
    for cell in definition.cells:
        tce.simulate(
            cell.model, cell.loss, n_samples=cell.n_samples, generations=cell.generations, replicates=cell.replicates,
            regime=cell.regime, metrics=cell.metrics, seed=cell.seed, sampler=cell.sampler, n_jobs=WORKERS,
        )  # fmt: skip


def stored(definition: Definition) -> None:
    with tempfile.TemporaryDirectory() as folder:
        runner.run(definition, Path(folder, "store.sqlite"), n_jobs=WORKERS)


def compared(name: str, definition: Definition, repetitions: int, most: float | None) -> list[Row]:
    """Run cells through the store and by calls of `simulate`, in turn."""
    costs = [(cost(lambda: stored(definition)), cost(lambda: directly(definition))) for _ in range(repetitions)]
    processor, shown = ratio([(ours.processor, bare.processor) for ours, bare in costs])
    wall, shown_wall = ratio([(ours.wall, bare.wall) for ours, bare in costs])
    work = f"{len(definition.cells):,} cells of {name}: run over simulate"
    target = "" if most is None else f"≤ {most}"
    return [
        Row(f"{work}, processor time", shown, target, None if most is None else processor <= most),
        Row(f"{work}, wall-clock time", shown_wall, target, None if most is None else wall <= most),
    ]


def ten_thousand(number: int) -> list[Row]:
    """The whole way of many cheap cells: expansion, run, table."""
    expansion = cost(lambda: cheap_cells(number))
    definition = cheap_cells(number)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.sqlite")
        run = cost(lambda: runner.run(definition, path, n_jobs=WORKERS))
        again = cost(lambda: runner.run(definition, path, n_jobs=WORKERS))
        size = path.stat().st_size
    bare = cost(lambda: [blocks.run(task) for cell in definition.cells for task in blocks.missing(cell, [])])
    total, most = expansion.wall + run.wall, 60 * number / 10_000
    return [
        Row(f"{number:,} cells of a millisecond: expanded and run", f"{total:.1f} s", f"≤ {most:g} s", total <= most),
        Row("    of it expanded", f"{expansion.wall:.1f} s", "", None),
        Row("    of it run", f"{run.wall:.1f} s, {number / run.wall:,.0f} cells/s", "", None),
        Row("    processor time of the run", f"{run.processor:.1f} s", "", None),
        Row("    processor time of the kernels and what surrounds them alone", f"{bare.processor:.1f} s", "", None),
        Row("    run again, with nothing to do", f"{again.wall:.1f} s", "", None),
        Row("    bytes of the store per cell", f"{size / number:,.0f}", "", None),
    ]


# ------------------------------------------------------------------------------------------------- the store


def artificial(cell: object, first: int, replicates: int, arrays: dict[str, np.ndarray]) -> BlockResult:
    events = {name: np.zeros(replicates, np.int64) for name in ("vacuous", "underflow")}
    return BlockResult(cell.key, range(first, first + replicates), arrays, events, 0.1, {"host": "benchmark"})


def opening(cells: int, blocks_of_cell: int, repetitions: int) -> list[Row]:
    """Open a store and list its cells."""
    size = 64
    document = dict(cheap_cells(cells).document, replicates=size * blocks_of_cell, generations=4)
    definition = Definition.from_mapping(document)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "store.sqlite")
        with Store.writing(path) as store:
            store.add_definition(definition)
            arrays = {"std": np.ones((size, 5))}
            started = time.perf_counter()
            for cell in definition.cells:
                for block in range(blocks_of_cell):
                    store.add_block(artificial(cell, block * size, size, arrays))
            commit = (time.perf_counter() - started) / (cells * blocks_of_cell)
        costs = [cost(lambda: [cell.status for cell in load(path).cells]) for _ in range(repetitions)]
        experiment = load(path)
        table = cost(experiment.table)
    wall, processor = (statistics.median(getattr(item, clock) for item in costs) for clock in ("wall", "processor"))
    number = cells * blocks_of_cell
    return [
        Row(f"open a store of {cells:,} cells, {number:,} blocks, list them", f"{wall:.2f} s", "≤ 1 s", wall <= 1),
        Row("    processor time", f"{processor:.2f} s", "", None),
        Row("    and make the table, processor time", f"{table.processor:.2f} s", "", None),
        Row("    commit of a small block", f"{commit * 1e6:,.0f} µs", "", None),
    ]


def committing(number: int) -> list[Row]:
    """Commit large blocks, against what is in it: packing, digests, the disk."""
    cell, arrays = (
        dear_cells(1).cells[0],
        {f"metric {i}": np.random.default_rng(i).random((64, 8000)) for i in range(4)},
    )
    megabytes = sum(array.nbytes for array in arrays.values()) / 1e6
    contents = [array.tobytes() for array in arrays.values()]

    def commits(folder: str) -> None:
        with Store.writing(Path(folder, "store.sqlite")) as store:
            for block in range(number):
                store.add_block(artificial(cell, 64 * block, 64, arrays))

    def digests() -> None:
        for _ in range(number):
            [hashlib.sha256(content).digest() for content in contents]

    def writes(folder: str) -> None:
        with open(Path(folder, "plain"), "wb") as file:
            for _ in range(number):
                file.writelines(contents)
            file.flush()
            os.fsync(file.fileno())

    with tempfile.TemporaryDirectory() as folder:
        ours, digest, plain = cost(lambda: commits(folder)), cost(digests), cost(lambda: writes(folder))
    rate = {"commit of large blocks": ours, "    SHA-256 alone": digest, "    plain write and one fsync": plain}
    return [
        Row(name, f"{megabytes * number / item.wall:,.0f} MB/s ({item.processor / item.wall:.0%} processor)", "", None)
        for name, item in rate.items()
    ]


# ----------------------------------------------------------------------------------------------------- table


def shown(rows: list[Row]) -> Table:
    table = Table(title=f"Experiments and their store, {WORKERS} workers")
    for column in ("work", "measured", "to reach"):
        table.add_column(column, justify="left" if column == "work" else "right")
    for row in rows:
        mark = "" if row.reached is None else " ✓" if row.reached else " ✗"
        table.add_row(row.work, row.measured, row.target + mark)
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--quick", action="store_true", help="a tenth of the work")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    part = 10 if options.quick else 1
    repetitions = 1 if options.quick else options.repetitions
    warnings.simplefilter("ignore", tce.StatisticalWarning)
    stored(cheap_cells(2)), stored(dear_cells(1))  # compile, warm up
    rows = [
        *compared("a second", dear_cells(2 if options.quick else 4), repetitions, 1.05),
        *compared("a millisecond", cheap_cells(1000 // part), repetitions, None),
        *ten_thousand(10_000 // part),
        *opening(200 // part, 100, repetitions),
        *opening(20_000 // part, 1, repetitions),
        *committing(100 // part),
    ]
    if options.json:
        print(json.dumps([vars(row) for row in rows], ensure_ascii=False, indent=1))
    else:
        Console(width=130).print(shown(rows))


if __name__ == "__main__":
    main()
