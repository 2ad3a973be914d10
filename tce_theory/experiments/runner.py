"""`run`: do what a store lacks of a definition, with joblib's workers.

The thread that calls `run` alone writes the store. joblib dispatches and collects in a second thread, so that the first
one answers Ctrl-C while kernels run, and can give up on workers that are lost.
"""

from __future__ import annotations

import contextlib
import logging
import math
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from queue import Empty, Queue
from typing import Any, Self

import numpy as np
from joblib import Parallel, delayed, parallel_config

from tce_theory.errors import DomainError, WorkersError
from tce_theory.experiments import blocks
from tce_theory.experiments.blocks import BlockError, BlockResult, Task
from tce_theory.experiments.definition import Cell, Definition
from tce_theory.experiments.store import Store
from tce_theory.recursion import versions, workers
from tce_theory.validation import one_of

__all__ = ["planned", "run"]

_WINDOW = 2**29
"""Bytes of results between two rests of the workers. joblib does not wait for a consumer that is slower than they are,
and this is what can pile up. The rests cost little: where the results of a window take the workers little time, it is
the store that all wait for."""
_POLL_SECONDS = 0.5
_PATIENCE_SECONDS = 10


def run(
    definition: Definition,
    store: str | os.PathLike[str],
    *,
    backend: str = "threads",
    n_jobs: int = -1,
    retry_failed: bool = False,
    on_start: Callable[[list[Task]], None] | None = None,
    on_block: Callable[[BlockResult | BlockError], None] | None = None,
) -> None:
    """Run the blocks of a definition that a store lacks.

    Parameters
    ----------
    definition : Definition
    store : path
        Made if there is none.
    backend : {"threads", "processes", "dask"}
        What works; results do not depend on it. ``"dask"`` is the cluster of the current `distributed.Client`.
    n_jobs : int
        Threads or processes; −1 for one a processor. A cluster has as many as it has.
    retry_failed : bool
        Whether blocks that have failed are run again; otherwise they are left out, and the other blocks of their cell
        are not.
    on_start, on_block : callable, optional
        Called in this thread with the list of tasks before the first is run, and with each block once it is stored.

    Raises
    ------
    DomainError
        If `backend` or `n_jobs` is not admissible, or there is no cluster.
    StoreError
        If the store cannot be used.
    WorkersError
        If the workers are lost, or of another version than this process.
    KeyboardInterrupt
        After what had finished is stored. Whatever is raised, the same call goes on from what is stored.
    """
    crew = _crew(backend, n_jobs)
    with Store.writing(store) as target:
        target.add_definition(definition)
        tasks = planned(definition, target, retry_failed=retry_failed)
        if on_start is not None:
            on_start(tasks)

        def record(block: BlockResult | BlockError) -> None:
            if isinstance(block, BlockError):
                target.add_failure(block)
            else:
                target.add_block(block)
            if on_block is not None:
                on_block(block)

        if tasks:  # else the last run is still the one that did something
            with crew, target.recorded_run(backend=backend, workers=crew.count, planned=len(tasks)):
                _work_off(tasks, crew, record)


def planned(definition: Definition, store: Store | None, *, retry_failed: bool = False) -> list[Task]:
    """Return the blocks of a definition that a store lacks; all if there is no store yet.

    Blocks that have failed are left out unless `retry_failed`. The other blocks of their cell are not: what a store
    ends up with does not depend on when a run was interrupted.
    """
    finished = store.blocks() if store else {}
    failures = store.failures() if store and not retry_failed else []
    failed = {(failure.key, failure.rows.start) for failure in failures}
    largest: dict[str, Cell] = {}
    for cell in definition.cells:
        if cell.key not in largest or largest[cell.key].replicates < cell.replicates:
            largest[cell.key] = cell
    return [
        task
        for cell in largest.values()
        for task in blocks.missing(cell, [block.rows for block in finished.get(cell.key, [])])
        if (cell.key, task.rows.start) not in failed
    ]


def _work_off(tasks: Sequence[Task], crew: _Threads, record: Callable[[BlockResult | BlockError], None]) -> None:
    with _surroundings(tasks), _Deliveries(tasks, crew) as deliveries:
        try:
            for block in deliveries:
                record(block)
        except KeyboardInterrupt:
            deliveries.end()
            for block in deliveries:  # what had finished
                record(block)
            raise


@contextlib.contextmanager
def _surroundings(tasks: Sequence[Task]) -> Iterator[None]:
    """Hold, for the whole run, what each block would hold for itself: to change it back and forth costs time."""
    recursions = {type(task.cell.recursion): task.cell.recursion for task in tasks}
    with contextlib.ExitStack() as stack:
        for recursion in recursions.values():
            stack.enter_context(recursion.surroundings())
        yield


# ------------------------------------------------------------------------------------------------------- deliveries


class _Deliveries:
    """Blocks that workers have run, in the order in which they finish; as a context it ends the work at its exit."""

    def __init__(self, tasks: Sequence[Task], crew: _Threads) -> None:
        self._tasks, self._crew = tasks, crew
        self._stop = np.zeros(1, np.uint8)
        self._ended, self._deadline = False, math.inf
        # blocks; at last None, or what has ended the work early
        self._ready: Queue[BlockResult | BlockError | BaseException | None] = Queue(maxsize=1)
        self._thread = threading.Thread(target=self._deliver, name="experiments", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.end()
        for _block in self:
            pass

    def __iter__(self) -> Iterator[BlockResult | BlockError]:
        while not self._ended and time.monotonic() < self._deadline:
            try:
                item = self._ready.get(timeout=_POLL_SECONDS)
            except Empty:
                if self._stop[0]:
                    self._crew.cancel()  # again: workers may have been about to start
                elif self._crew.lost():
                    raise self._loss(None) from None
                continue
            if isinstance(item, (BlockResult, BlockError)):
                yield item
                continue
            self._ended = True
            if isinstance(item, WorkersError):
                raise item
            if item is not None and not self._stop[0]:
                raise self._loss(item) from item

    def end(self) -> None:
        """Make workers end early; what they have finished can still be taken."""
        if not (self._ended or self._stop[0]):
            self._stop[0] = 1
            self._deadline = time.monotonic() + _PATIENCE_SECONDS
            self._crew.cancel()

    def _loss(self, error: BaseException | None) -> WorkersError:
        reason = self._crew.reason(error)
        return WorkersError(
            f"the {self._crew.word} were lost ({reason}); finished blocks are kept, and the same run goes on from there"
        )

    def _deliver(self) -> None:
        """Dispatch and collect, in a thread of its own."""
        try:
            with self._crew.parallel() as parallel:
                if hasattr(signal, "pthread_sigmask"):
                    # worker processes, started at the first call, inherit it: Ctrl-C is for this process, which ends
                    # them; not earlier, because to start the trackers of resources takes it off again
                    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
                for window in _windows(self._tasks):
                    for block in parallel(self._calls(window)):
                        if block is not None:
                            self._ready.put(block)
            self._ready.put(None)
        except BaseException as error:
            self._ready.put(error)

    def _calls(self, window: Sequence[Task]) -> Iterator[Any]:
        for task in window:
            if self._stop[0]:
                return
            yield delayed(_run)(task, self._stop, _version_of_results(task.cell))


def _run(task: Task, stop: np.ndarray, expected: str) -> BlockResult | BlockError | None:
    """Run a block in a worker, unless its results would not be those of the coordinator."""
    found = _version_of_results(task.cell)
    if found != expected:
        raise WorkersError(f"workers need the version of this process, {expected}, and a worker has {found}")
    return blocks.run(task, stop)


def _version_of_results(cell: Cell) -> str:
    family, number = type(cell.model).__name__, cell.model.results_version
    return f"tce_theory {versions()['tce_theory']} with results {number} of {family}"


def _windows(tasks: Sequence[Task]) -> Iterator[Sequence[Task]]:
    """Yield tasks in groups whose results fit in the memory together."""
    first, size = 0, 0
    for index, task in enumerate(tasks):
        size += len(task.rows) * (task.cell.generations + 1) * 8 * len(task.cell.metrics)
        if size > _WINDOW:
            yield tasks[first : index + 1]
            first, size = index + 1, 0
    if first < len(tasks):
        yield tasks[first:]


# ---------------------------------------------------------------------------------------------------------- workers


class _Threads:
    """Threads of this process. They see the stop flag; the others have to be ended."""

    word = "threads"

    def __init__(self, n_jobs: int) -> None:
        self.count = workers(n_jobs)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def parallel(self) -> Parallel:
        return Parallel(self.count, backend="threading", return_as="generator_unordered")

    def cancel(self) -> None:
        pass

    def lost(self) -> bool:
        return False

    def reason(self, error: BaseException | None) -> str:
        return " ".join(f"{type(error).__name__}: {error}".split())


class _Processes(_Threads):
    """Processes on this machine."""

    word = "worker processes"

    def __exit__(self, *_: object) -> None:
        self._executor().shutdown(wait=True)

    def parallel(self) -> Parallel:
        if hasattr(signal, "pthread_sigmask"):
            from multiprocessing import resource_tracker

            resource_tracker.ensure_running()  # or it is started with the workers, and takes off the mask of signals
        # arrays go by value: that takes a small part of the time of a block, and leaves no files
        options = {"max_nbytes": None, "initializer": _start_worker, "initargs": (os.getpid(),)}
        return Parallel(self.count, backend="loky", return_as="generator_unordered", **options)

    def cancel(self) -> None:
        self._executor().shutdown(wait=True, kill_workers=True)

    @staticmethod
    def _executor() -> Any:
        from joblib.externals.loky import get_reusable_executor

        return get_reusable_executor(reuse=True)

    def reason(self, error: BaseException | None) -> str:
        if type(error).__name__ == "TerminatedWorkerError":
            return "one was killed, maybe because memory ran out"
        return super().reason(error)


def _start_worker(parent: int) -> None:
    """Leave Ctrl-C to the parent, and do not outlive it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "pthread_sigmask"):  # there, an orphan has another parent

        def watch() -> None:
            while os.getppid() == parent:
                time.sleep(_POLL_SECONDS)
            os._exit(1)

        threading.Thread(target=watch, daemon=True).start()


class _Dask(_Threads):
    """The cluster of the current client of dask."""

    word = "workers of dask"

    def __init__(self, n_jobs: int) -> None:
        super().__init__(n_jobs)
        try:
            self._distributed: Any = import_module("distributed")
        except ImportError:
            raise DomainError(
                "backend", "dask", 'installed for "dask": python -m pip install "tce_theory[dask]"'
            ) from None
        try:
            self._current = self._distributed.get_client()
        except ValueError:
            raise DomainError(
                "backend", "dask", 'given a cluster for "dask": a distributed.Client(address) first, or --scheduler'
            ) from None
        self.count = 0

    def __enter__(self) -> Self:
        address = self._current.scheduler.address
        with contextlib.ExitStack() as stack:
            for name in ("distributed.client", "tornado.application"):
                stack.enter_context(_silenced(logging.getLogger(name)))
            try:
                # a client of its own: to close it cancels what this run has submitted, and nothing else
                self._client = stack.enter_context(
                    self._distributed.Client(
                        address, security=self._current.security, set_as_default=False, timeout=_PATIENCE_SECONDS
                    )
                )
                self._client.wait_for_workers(1, timeout=_PATIENCE_SECONDS)
                self.count = sum(self._client.nthreads().values())
            except OSError as error:  # which a TimeoutError is, too
                reason = " ".join(str(error).split())
                raise WorkersError(f"the dask cluster at {address} has no workers that answer ({reason})") from error
            self._exit = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._exit.close()

    def parallel(self) -> Parallel:
        with parallel_config(backend="dask", client=self._client):
            return Parallel(return_as="generator_unordered")

    def cancel(self) -> None:
        self._client.close(timeout=_PATIENCE_SECONDS)

    def lost(self) -> bool:
        return bool(self._client.status != "running")

    def reason(self, error: BaseException | None) -> str:
        if type(error).__name__ == "KilledWorker":
            return "several died while they ran the same block, maybe because memory ran out"
        return "the scheduler is gone" if self.lost() else super().reason(error)


@contextlib.contextmanager
def _silenced(log: logging.Logger) -> Iterator[None]:
    """Keep tracebacks for a lost scheduler off the terminal: an error tells of it."""
    level = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(level)


_CREWS = {"threads": _Threads, "processes": _Processes, "dask": _Dask}


def _crew(backend: str, n_jobs: int) -> _Threads:
    return _CREWS[one_of("backend", backend, tuple(_CREWS))](n_jobs)
