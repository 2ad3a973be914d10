"""Blocks: the unit of work, of storage and of resumption. A block is some consecutive replicates of a cell."""

from __future__ import annotations

import platform
import socket
import time
import traceback
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.recursion import simulate_part, versions

if TYPE_CHECKING:
    from tce_theory.experiments.definition import Cell

__all__ = ["BlockError", "BlockResult", "Task", "block_length", "missing", "run"]

_NUMBERS = 2**24
"""Random numbers in a block, about: a few tenths of a second, so that little is lost when a run is killed."""
_BYTES = 2**24
_LINE, _DETAILS = 500, 20_000
"""Most characters of an error in one line, and in full."""


@dataclass(frozen=True)
class Task:
    """A block that is to be run. It is all that a worker needs to know."""

    cell: Cell
    rows: range


@dataclass(frozen=True)
class BlockResult:
    """A block that has been run; `seconds` is what it took, `machine` where and by what it was run."""

    key: str
    rows: range
    metrics: dict[str, np.ndarray]
    events: dict[str, np.ndarray]
    seconds: float
    machine: dict[str, Any]


@dataclass(frozen=True)
class BlockError:
    """A block that could not be run, with the error in one line and in full."""

    key: str
    rows: range
    error: str
    details: str


def block_length(cell: Cell) -> int:
    """Return how many replicates a block of this cell has: a multiple of the recursion's own block size.

    It depends on nothing that is not in the key of the cell, so that a longer run has the blocks of a shorter one.
    """
    size = cell.recursion.block_size
    numbers = size * cell.generations * cell.recursion.cost
    array_bytes = size * (cell.generations + 1) * 8 * len(cell.metrics)
    return size * max(1, int(min(_NUMBERS / numbers, _BYTES / array_bytes)))


def missing(cell: Cell, finished: Iterable[range]) -> Iterator[Task]:
    """Yield the blocks that are still to be run, whatever has finished and in whatever order.

    Streams of random numbers begin at multiples of the recursion's block size: if replicates were added to a cell whose
    last stream was not used up, it is run again from its beginning, and its first replicates come out the same. Other
    than that, no replicate is run twice.
    """
    size, length = cell.recursion.block_size, block_length(cell)
    for gap in _gaps(cell.replicates, finished):
        first = gap.start - gap.start % size
        while first < gap.stop:
            stop = min(first - first % length + length, gap.stop)
            yield Task(cell, range(first, stop))
            first = stop


def _gaps(replicates: int, finished: Iterable[range]) -> Iterator[range]:
    """Yield what of range(replicates) is in none of the ranges that have finished."""
    first = 0
    for rows in sorted(finished, key=lambda rows: rows.start):
        if first < min(rows.start, replicates):
            yield range(first, min(rows.start, replicates))
        first = max(first, rows.stop)
    if first < replicates:
        yield range(first, replicates)


def run(task: Task, stop: np.ndarray | None = None) -> BlockResult | BlockError | None:
    """Run a block in the calling thread.

    Parameters
    ----------
    task : Task
    stop : uint8 array (1,), optional
        Set to 1 by another thread to end early.

    Returns
    -------
    BlockResult, BlockError or None
        None if it was stopped. Whatever the block raises, lack of memory too, is returned and not raised: one block
        that fails must not end the others.
    """
    cell = task.cell
    started = time.perf_counter()
    try:
        block = simulate_part(
            cell.recursion,
            task.rows,
            metrics=cell.metrics,
            seed=cell.seed,
            stop=stop,
        )
    except Exception as error:
        line = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
        details = traceback.format_exc()
        return BlockError(cell.key, task.rows, _shortened(line, _LINE), _shortened(details, _DETAILS))
    if block is None:
        return None
    return BlockResult(cell.key, task.rows, block.metrics, block.events, time.perf_counter() - started, _machine())


def _shortened(text: str, length: int) -> str:
    """Leave out the middle of a text that is too long; a traceback says most at its end."""
    mark = " [...] "
    return text if len(text) <= length else text[: length // 4] + mark + text[len(mark) + length // 4 - length :]


@lru_cache(maxsize=1)
def _machine() -> dict[str, Any]:
    return {"versions": versions(), "platform": platform.platform(), "host": socket.gethostname()}
