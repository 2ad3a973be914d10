"""What running some tasks will take, before they are run: from short probes of a few of their cells."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from tce_theory.experiments.blocks import Task
from tce_theory.experiments.definition import Cell
from tce_theory.models.base import Control
from tce_theory.recursion import block_generator, workers

__all__ = ["Estimate", "estimate"]

_PROBING_SECONDS = 2.0
_PROBES = 8
_NUMBERS_AROUND = 4096
"""Random numbers that take about as long as what surrounds those of a stream."""

# processor time for a block and for a byte of it, beside that of the kernels: `benchmarks/experiments.py`
_BLOCK_SECONDS, _BYTE_SECONDS = 3e-4, 7e-9

# what a store takes beside numbers; what is longer than a page takes whole ones
_CELL_BYTES, _BLOCK_BYTES, _ARRAY_BYTES, _PAGE_BYTES = 800, 300, 300, 4096
_EVENTS = 2


@dataclass(frozen=True)
class Estimate:
    """What is to be run: number of blocks, seconds that it takes, and bytes by which the store grows."""

    blocks: int
    seconds: float
    bytes: int


def estimate(tasks: Sequence[Task], *, n_jobs: int = -1) -> Estimate:
    """Estimate what tasks take.

    Parameters
    ----------
    tasks : sequence of Task
        From `tce_theory.experiments.runner.planned`.
    n_jobs : int
        Workers, each as fast as a processor of this machine; −1 for one a processor.

    Returns
    -------
    Estimate

    Notes
    -----
    Cells that differ in numbers alone, such as `n_samples` or `gamma`, form a group. Some cells of each group are run
    for a moment, at most ten of a group and for about two seconds in all beside the time to compile: the cheapest, the
    dearest, and others where most of the work is. Between these the time that a random number takes is interpolated, on
    a logarithmic scale, over the cells in order of cost.

    Held against the definitions of `simulations` that run in less than a minute, and sweeps over sizes, losses and
    regimes, the seconds of one worker were 0.7 to 1.5 times the processor time that was then used, and the bytes 0.9 to
    1.05 times those by which the store grew (0.85 to 1.2 where arrays are smaller than a page of 4 KiB). A replicate of
    more than some tenths of a second is not run to its end: where classes die out, its time comes out too long.
    What other work on the machine takes is not foreseen.

    Examples
    --------
    >>> from tce_theory.experiments import blocks, definition
    >>> given = {
    ...     "title": "Collapse", "model": {"family": "gaussian"}, "loss": {"name": "ce"}, "n_samples": [10, 100],
    ...     "generations": 50, "replicates": 1000, "metrics": ["std"], "seed": 1}
    >>> cells = definition.Definition.from_mapping(given).cells
    >>> found = estimate([task for cell in cells for task in blocks.missing(cell, [])])
    >>> found.blocks, found.bytes > 2 * 1000 * 51 * 8, found.seconds > 0
    (2, True, True)
    """
    groups: dict[tuple[Any, ...], list[_Work]] = {}
    for work in _works(tasks):
        groups.setdefault(_group(work.cell), []).append(work)
    total, longest, size = 0.0, 0.0, 0
    for members in groups.values():
        ordered = sorted(members, key=_Work.order)
        seconds = _stream_seconds(ordered, _PROBING_SECONDS / len(groups))
        for work, stream in zip(ordered, seconds, strict=True):
            total += stream * work.rows / work.stream
            longest = max(longest, stream * work.longest / work.stream)
            size += work.bytes
    storing = len(tasks) * _BLOCK_SECONDS + size * _BYTE_SECONDS
    # one process stores, beside the workers; on the processors of one machine they all take turns
    wall = max((total + storing) / workers(n_jobs), longest, storing)
    return Estimate(len(tasks), float(wall), size)


@dataclass
class _Work:
    """What is to be done of one cell: replicates, those of the longest block, and bytes that are stored."""

    cell: Cell
    rows: int = 0
    longest: int = 0
    bytes: int = _CELL_BYTES

    def add(self, rows: range) -> None:
        self.rows += len(rows)
        self.longest = max(self.longest, len(rows))
        metrics = len(self.cell.metrics) * _stored(8 * len(rows) * (self.cell.generations + 1))
        self.bytes += _BLOCK_BYTES + metrics + _EVENTS * _stored(8 * len(rows))

    @property
    def stream(self) -> int:
        return min(self.cell.recursion.block_size, self.longest)

    @property
    def numbers(self) -> float:
        """Random numbers of a stream if nothing dies out, and some for what surrounds them."""
        return self.stream * self.cell.generations * self.cell.recursion.cost + _NUMBERS_AROUND

    def order(self) -> tuple[float, float, int, int]:
        """Key by which the cells of a group are sorted: what the time of a random number depends on, too."""
        return self.cell.recursion.cost, float(np.mean(self.cell.n_samples)), self.cell.generations, self.stream


def _stored(size: int) -> int:
    """Return the bytes that an array takes in a store."""
    size += _ARRAY_BYTES
    return size if size < _PAGE_BYTES else math.ceil(size / _PAGE_BYTES) * _PAGE_BYTES


def _works(tasks: Iterable[Task]) -> Iterable[_Work]:
    found: dict[str, _Work] = {}
    for task in tasks:
        found.setdefault(task.cell.key, _Work(task.cell)).add(task.rows)
    return found.values()


def _group(cell: Cell) -> tuple[Any, ...]:
    """Return what decides the speed beside numbers: family, loss and mask, regime, decoding, and what is drawn."""
    parts = [part for part in (cell.model, cell.loss, cell.regime, cell.decoding) if part is not None]
    words = (getattr(part, item.name) for part in parts for item in fields(part))  # type: ignore[arg-type]
    return *map(type, parts), cell.recursion.stream, *(word for word in words if isinstance(word, (bool, str)))


def _stream_seconds(ordered: Sequence[_Work], limit: float) -> np.ndarray:
    """Estimate the seconds of a stream of each cell of a group, from probes of some that take the limit together."""
    numbers = np.array([work.numbers for work in ordered])
    _probe(ordered[0].cell, 1, 0.0)  # compile, or load what was compiled
    speeds: dict[int, float] = {}
    until = time.monotonic() + limit
    for place in _places(numbers * [work.rows / work.stream for work in ordered]):
        if len(speeds) < 2 or time.monotonic() < until:
            speeds[place] = math.log(_seconds_of_stream(ordered[place], limit) / numbers[place])
    places = sorted(speeds)
    known = [speeds[place] for place in places]
    return np.asarray(numbers * np.exp(np.interp(np.arange(len(ordered)), places, known)))


def _places(amounts: np.ndarray) -> list[int]:
    """Return which cells of a group to probe: the dearest, the cheapest, and others with equal work between them."""
    done, last = np.cumsum(amounts), len(amounts) - 1
    inner = np.searchsorted(done, np.linspace(0, done[-1], _PROBES)).clip(0, last)
    middle_first = sorted(inner.tolist(), key=lambda place: abs(done[place] - done[-1] / 2))
    return list(dict.fromkeys([last, 0, *middle_first]))


def _seconds_of_stream(work: _Work, limit: float) -> float:
    """Run one replicate of a cell, then some more if it is short, and extend to a whole stream."""
    # to its end if possible: where classes die out, the first generations are the dearest
    one = _probe(work.cell, 1, limit / 2)
    several = min(work.stream, int(limit / _PROBES / one))
    if several < 2:
        return one * work.stream
    all_of_them = _probe(work.cell, several, limit)
    slope = max(all_of_them - one, 0.0) / (several - 1)
    return all_of_them + slope * (work.stream - several)


def _probe(cell: Cell, replicates: int, limit: float) -> float:
    """Run some replicates for a limited time; return the processor time that they take, or would take."""
    control = Control(np.zeros(1, np.uint8), np.zeros(1, np.int64), 0)
    timer = threading.Timer(limit, control.stop.fill, (1,))
    timer.start()
    started = time.thread_time()  # other work on the machine disturbs it least
    cell.recursion.run_block(block_generator(cell.seed, 0), replicates, cell.metrics, {}, control)
    seconds = time.thread_time() - started
    timer.cancel()
    timer.join()
    return max(seconds, 1e-7) * replicates * cell.generations / max(int(control.progress[0]), 1)
