"""Blocks and workers: whatever runs the blocks of a cell, stops it or kills it, the results are the same."""

import itertools
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import DomainError, WorkersError
from tce_theory.experiments import blocks, runner
from tce_theory.experiments.definition import Definition
from tce_theory.experiments.store import Store
from tce_theory.models.gaussian import Gaussian

PATIENCE = 60
"""Seconds after which a program has failed, on however slow a machine."""
EVERY = {
    "title": "Every family, loss, regime and sampler",
    "generations": 5,
    "replicates": 70,
    "seed": 3,
    "cases": [
        {
            "model": {"family": "gaussian", "mean": 0.5},
            "n_samples": 20,
            "sampler": ["auto", "points"],
            "regime": [{"name": "replace"}, {"name": "fresh-mix", "fraction": 0.25}],
            "loss": [
                {"name": "ce"},
                {"name": "tce", "gamma": 0.3},
                {"name": "tce", "gamma": 0.8, "scale": "relative"},
                {"name": "tce", "gamma": 0.4, "mask": "previous"},
            ],
            "metrics": list(Gaussian.metric_names),
        },
        {
            "model": {"family": "categorical", "zipf": {"size": 12}},
            "n_samples": 30,
            "sampler": ["auto", "points"],
            "regime": [{"name": "replace"}, {"name": "fresh-mix", "fraction": 0.25}],
            "loss": [
                {"name": "ce"},
                {"name": "tce", "gamma": 0.2},
                {"name": "tce", "gamma": 0.2, "mask": "previous"},
                {"name": "focal", "exponent": 2.0},
                {"name": "smooth", "gamma": 0.2, "width": 0.05},
            ],
            "metrics": list(tce.Categorical.metric_names),
        },
        {  # streams of 8 replicates
            "model": {"family": "categorical", "probs": [0.5, 0.3, 0.2]},
            "n_samples": 5000,
            "sampler": "points",
            "loss": {"name": "ce"},
        },
    ],
}
SMALL = {
    "title": "Small",
    "model": {"family": "gaussian"},
    "loss": {"name": "ce"},
    "n_samples": [10, 20, 30],
    "generations": 4,
    "replicates": 150,
    "seed": 1,
}
LONG = {**SMALL, "n_samples": 200, "sampler": "points", "generations": 2000, "replicates": 20_000, "seed": 5}
"""Hundreds of blocks of some tenths of a second: never run to the end."""


def definition(given=SMALL, **changes):
    return Definition.from_mapping({**given, **changes})


@pytest.fixture
def short_blocks(monkeypatch):
    """Make every stream of random numbers a block of its own."""
    monkeypatch.setattr(blocks, "_NUMBERS", 1)


@pytest.fixture
def store(tmp_path):
    return tmp_path / "results.sqlite"


def content(path):
    """Everything that a store holds of its blocks, but the time that they took."""
    with Store.reading(path) as source:
        return {
            (block.key, block.rows): {
                (kind, name): (array.dtype.str, array.shape, array.tobytes())
                for kind, arrays in zip(("metric", "event"), source.arrays(block), strict=True)
                for name, array in arrays.items()
            }
            for found in source.blocks().values()
            for block in found
        }


def no_threads_left():
    """Whether the threads of `run` have ended, or do within some time."""
    for _ in range(200):
        if not [t for t in threading.enumerate() if t.name.startswith(("experiments", "Thread-", "ThreadPool"))]:
            return True
        time.sleep(0.05)
    return False


# ------------------------------------------------------------------------------------------------------------ blocks


def small_cell(size, streams, replicates):
    """Stand in for a cell with blocks of `streams` streams of `size` replicates."""
    recursion = SimpleNamespace(block_size=size, cost=blocks._NUMBERS / (size * streams * 2))
    return SimpleNamespace(recursion=recursion, generations=2, metrics=("std",), replicates=replicates)


@pytest.mark.parametrize("streams", [1, 2, 3])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_blocks_tile_the_replicates_whatever_has_finished(size, streams):
    length = size * streams
    for before, replicates in itertools.product(range(1, 10), repeat=2):
        assert blocks.block_length(small_cell(size, streams, replicates)) == length
        old = [task.rows for task in blocks.missing(small_cell(size, streams, before), [])]
        assert [row for rows in old for row in rows] == list(range(before))
        for kept in itertools.chain.from_iterable(itertools.combinations(old, n) for n in range(len(old) + 1)):
            finished = list(reversed(kept))
            new = [task.rows for task in blocks.missing(small_cell(size, streams, replicates), finished)]
            rows_done = {row for rows in finished for row in rows}
            rows_new = [row for rows in new for row in rows]
            assert len(set(rows_new)) == len(rows_new)
            assert rows_done | set(rows_new) >= set(range(replicates))
            assert set(rows_new) <= set(range(replicates))
            assert all(rows.start % size == 0 and len(rows) <= length for rows in new)
            assert all(rows.start // length == (rows.stop - 1) // length for rows in new)
            # only what was left of a last stream is run again
            again = rows_done & set(rows_new)
            unused = {rows.stop // size * size for rows in finished if rows.stop % size}
            assert {row - row % size for row in again} <= unused
            # and once all this has finished nothing is missing
            assert not list(blocks.missing(small_cell(size, streams, replicates), [*finished, *new]))


def test_the_length_of_a_block_does_not_depend_on_the_replicates():
    few, many = (definition(replicates=n, n_samples=10).cells[0] for n in (1, 10**6))
    assert blocks.block_length(few) == blocks.block_length(many)
    assert few.key == many.key


def test_blocks_are_bounded_in_numbers_and_in_bytes():
    for generations, n_samples in itertools.product((1, 100, 10_000), (10, 10_000, 1_000_000)):
        cell = definition(generations=generations, n_samples=n_samples, sampler="points", loss={"name": "ce"}).cells[0]
        length, size = blocks.block_length(cell), cell.recursion.block_size
        assert length % size == 0
        if length > size:
            assert length * generations * cell.recursion.cost <= blocks._NUMBERS
            assert length * (generations + 1) * 8 * len(cell.metrics) <= blocks._BYTES


@pytest.mark.filterwarnings("ignore::tce_theory.StatisticalWarning")
def test_blocks_are_those_of_simulate(short_blocks):
    given = definition(EVERY)
    assert len({cell.recursion.block_size for cell in given.cells}) > 1
    for cell in given.cells:
        whole = tce.simulate(
            cell.model,
            cell.loss,
            n_samples=cell.n_samples,
            generations=cell.generations,
            replicates=cell.replicates,
            regime=cell.regime,
            metrics=cell.metrics,
            seed=cell.seed,
            sampler=cell.sampler,
        )
        # the first 40 replicates, then the rest: a stream that was not used up is run again
        tasks = [*blocks.missing(cell, [range(40)]), *blocks.missing(cell, [])]
        assert len(tasks) > 2
        for task in tasks:
            rows = slice(task.rows.start, task.rows.stop)
            part = blocks.run(task)
            for name in cell.metrics:
                np.testing.assert_array_equal(part.metrics[name], whole.metrics[name][rows], strict=True)
            assert set(part.events) == set(whole.events)
            for name, events in part.events.items():
                np.testing.assert_array_equal(events, whole.events[name][rows], strict=True)


def test_threads_may_share_a_cell(short_blocks):
    for cell in definition(EVERY, replicates=300).cells[::7]:
        tasks = list(blocks.missing(cell, []))
        alone = [blocks.run(task) for task in tasks]
        fresh = definition(EVERY, replicates=300).cells
        (shared,) = [other for other in fresh if other.key == cell.key]
        assert "recursion" in vars(cell)
        with ThreadPoolExecutor(8) as pool:
            together = list(pool.map(blocks.run, [blocks.Task(shared, task.rows) for task in tasks]))
        for a, b in zip(alone, together, strict=True):
            for name in cell.metrics:
                np.testing.assert_array_equal(a.metrics[name], b.metrics[name])


def test_a_block_that_was_told_to_stop_has_no_result():
    (task, *_) = blocks.missing(definition(LONG).cells[0], [])
    assert blocks.run(task, np.ones(1, np.uint8)) is None


# ---------------------------------------------------------------------------------------------------------- failures


@pytest.fixture
def failing(monkeypatch, short_blocks):
    """Make the second block of each cell with 20 samples fail as long as this is true."""
    switch = SimpleNamespace(on=True, error=ValueError("a first line\nand a second"), calls=[])
    simulate_part = blocks.simulate_part

    def sometimes(recursion, rows, **options):
        switch.calls.append((recursion.supply.drawn[0], rows))
        if switch.on and recursion.supply.drawn[0] == 20 and rows.start == 64:
            raise switch.error
        return simulate_part(recursion, rows, **options)

    monkeypatch.setattr(blocks, "simulate_part", sometimes)
    return switch


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_a_block_that_fails_is_recorded_and_the_rest_goes_on(store, failing, n_jobs):
    seen = []
    runner.run(definition(), store, n_jobs=n_jobs, on_block=seen.append)
    assert len(seen) == 9
    with Store.reading(store) as source:
        (failure,) = source.failures()
    assert failure.rows == range(64, 128)
    assert failure.error == "ValueError: a first line"
    assert "and a second" in failure.details
    assert "in sometimes" in failure.details
    assert len(content(store)) == 8

    failing.calls.clear()
    runner.run(definition(), store, n_jobs=n_jobs)
    assert failing.calls == []
    failing.on = False
    runner.run(definition(), store, n_jobs=n_jobs, retry_failed=True)
    assert failing.calls == [(20, range(64, 128))]
    with Store.reading(store) as source:
        assert source.failures() == []
    assert len(content(store)) == 9


def test_other_blocks_of_a_cell_that_failed_are_run_all_the_same(store, failing):
    def interrupt(block):
        if isinstance(block, blocks.BlockError):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(definition(), store, n_jobs=1, on_block=interrupt)
    assert len(content(store)) < 8
    runner.run(definition(), store, n_jobs=1)
    assert len(content(store)) == 8


def test_lack_of_memory_is_a_failure(store, failing):
    failing.error = MemoryError()
    runner.run(definition(), store, n_jobs=1)
    with Store.reading(store) as source:
        assert [failure.error for failure in source.failures()] == ["MemoryError"]


def test_an_error_is_bounded_in_size_and_can_be_sent(failing):
    failing.error = DomainError("x", "x" * 10**6, "shorter")
    cell = definition().cells[1]
    error = blocks.run(blocks.Task(cell, range(64, 128)))
    assert pickle.loads(pickle.dumps(error)) == error
    assert len(error.error) == blocks._LINE
    assert error.error.startswith("DomainError: x must be shorter")
    assert len(error.details) == blocks._DETAILS
    assert error.details.startswith("Traceback")


# ---------------------------------------------------------------------------------------------------------- workers


def test_results_are_the_same_for_every_number_of_threads_and_for_processes(tmp_path, short_blocks):
    given = definition(EVERY)
    for name, options in {
        "one": {"n_jobs": 1},
        "three": {"n_jobs": 3},
        "processes": {"backend": "processes", "n_jobs": 2},
    }.items():
        runner.run(given, tmp_path / name, **options)
    expected = content(tmp_path / "one")
    assert len(expected) == sum(len(list(blocks.missing(cell, []))) for cell in given.cells)
    assert content(tmp_path / "three") == expected
    assert content(tmp_path / "processes") == expected


def test_one_thread_is_told_what_is_to_be_done_and_what_was(store, short_blocks):
    seen = []

    def say(what):
        seen.append((threading.get_ident(), what))

    runner.run(definition(), store, on_start=say, on_block=say)
    assert {thread for thread, _ in seen} == {threading.get_ident()}
    tasks, done = seen[0][1], [block for _, block in seen[1:]]
    assert {(task.cell.key, task.rows) for task in tasks} == {(block.key, block.rows) for block in done}
    seen.clear()
    runner.run(definition(), store, on_start=say, on_block=say)
    assert [what for _, what in seen] == [[]]
    with Store.reading(store) as opened:  # what did nothing does not hide the run that did something
        assert opened.last_run().planned == opened.last_run().finished == len(tasks)


@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("n_jobs", [0, -2, 1.5, True])
def test_a_wrong_number_of_workers_is_refused_before_anything_is_written(store, backend, n_jobs):
    with pytest.raises(DomainError, match="n_jobs must be a positive integer, or -1"):
        runner.run(definition(), store, backend=backend, n_jobs=n_jobs)
    assert not store.exists()


def test_an_unknown_backend_is_refused(store):
    with pytest.raises(DomainError, match="backend must be one of 'threads', 'processes', 'dask', got 'loky'"):
        runner.run(definition(), store, backend="loky")
    assert not store.exists()


def test_dask_that_is_not_installed_is_asked_for(store, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(DomainError, match=r"tce_theory\[dask\]"):
        runner.run(definition(), store, backend="dask")
    assert not store.exists()


def test_results_that_wait_for_the_store_are_bounded(store, short_blocks, monkeypatch):
    bytes_of_a_block = 64 * 5 * 8 * 4
    monkeypatch.setattr(runner, "_WINDOW", 10 * bytes_of_a_block - 1)
    run_block, lock = blocks.run, threading.Lock()
    run_so_far, stored, most = 0, 0, 0

    def counted(task, stop):
        nonlocal run_so_far, most
        result = run_block(task, stop)
        with lock:
            run_so_far += 1
            most = max(most, run_so_far - stored)
        return result

    def slow(block):
        nonlocal stored
        time.sleep(0.002)
        stored += 1

    monkeypatch.setattr(blocks, "run", counted)
    runner.run(definition(replicates=1280), store, n_jobs=2, on_block=slow)
    assert stored == 60
    # a window, and of the next one what two threads have at hand while the last results are taken
    assert 3 < most <= 10 + 2


def test_windows_keep_the_order_and_leave_nothing_out(short_blocks, monkeypatch):
    tasks = list(blocks.missing(definition(replicates=1280).cells[0], []))
    for window in (1, 20_000, 10**9):
        monkeypatch.setattr(runner, "_WINDOW", window)
        groups = list(runner._windows(tasks))
        assert [task for group in groups for task in group] == tasks
        assert all(groups)
    assert len(groups) == 1


def test_a_worker_of_another_version_does_not_contribute():
    (task, *_) = blocks.missing(definition().cells[0], [])
    expected = runner._version_of_results(task.cell)
    assert isinstance(runner._run(task, np.zeros(1, np.uint8), expected), blocks.BlockResult)
    with pytest.raises(WorkersError, match=r"this process, tce_theory 0\.0 .*, and a worker has " + expected):
        runner._run(task, np.zeros(1, np.uint8), "tce_theory 0.0 with results 1 of Gaussian")


@pytest.mark.slow
def test_workers_of_another_version_do_not_contribute(store, monkeypatch):
    monkeypatch.setattr(Gaussian, "results_version", 99)  # here alone
    with pytest.raises(WorkersError, match=r"results 99 of Gaussian, and a worker has tce_theory .* results 1 of"):
        runner.run(definition(), store, backend="processes", n_jobs=2)
    assert content(store) == {}


# ----------------------------------------------------------------------------------------------------- interruptions


class NoMoreError(Exception):
    pass


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("error", [NoMoreError, KeyboardInterrupt])
def test_an_error_ends_the_threads_and_keeps_what_was_stored(store, error, n_jobs):
    seen = []

    def end(block):
        seen.append(block)
        if len(seen) == 2:
            raise error

    with pytest.raises(error):
        runner.run(definition(LONG), store, n_jobs=n_jobs, on_block=end)
    assert no_threads_left()
    assert set(content(store)) == {(block.key, block.rows) for block in seen}
    with Store.reading(store) as source:
        assert source.last_run().state == ("interrupted" if error is KeyboardInterrupt else "stopped")


PROGRAM = """
    import json, sys
    from tce_theory.experiments import runner
    from tce_theory.experiments.definition import Definition

    if __name__ == "__main__":
        try:
            runner.run(Definition.from_mapping(json.loads(sys.argv[1])), sys.argv[2], backend=sys.argv[3],
                       n_jobs=int(sys.argv[4]), on_block=lambda block: print("block", flush=True))
        except KeyboardInterrupt:
            sys.exit(130)
"""


def program(folder, *arguments):
    """Start a coordinator in a process group of its own, as a shell does, and wait for its first block."""
    import json

    script = folder / "program.py"
    script.write_text(textwrap.dedent(PROGRAM))
    command = [sys.executable, script, json.dumps(LONG), *map(str, arguments)]
    running = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert running.stdout.readline() == "block\n", running.communicate()[1]
    return running


def group_is_gone(group):
    for _ in range(10 * PATIENCE):
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.1)
    os.killpg(group, signal.SIGKILL)
    return False


posix = pytest.mark.skipif(os.name != "posix", reason="process groups are those of POSIX")


@posix
@pytest.mark.parametrize(
    ("backend", "n_jobs"),
    [
        ("threads", 2),
        pytest.param("threads", 1, marks=pytest.mark.slow),
        pytest.param("processes", 1, marks=pytest.mark.slow),
        pytest.param("processes", 2, marks=pytest.mark.slow),
    ],
)
def test_ctrl_c_ends_everything_without_a_word(tmp_path, store, backend, n_jobs):
    running = program(tmp_path, store, backend, n_jobs)
    os.killpg(running.pid, signal.SIGINT)
    out, err = running.communicate(timeout=PATIENCE)
    assert (running.returncode, err) == (130, "")
    assert group_is_gone(running.pid)
    assert len(content(store)) == 1 + out.count("block")


@posix
@pytest.mark.slow
def test_worker_processes_do_not_outlive_a_coordinator_that_was_killed(tmp_path, store):
    running = program(tmp_path, store, "processes", 2)
    running.kill()
    running.communicate(timeout=PATIENCE)
    assert group_is_gone(running.pid)


@pytest.mark.slow
def test_a_worker_process_that_is_killed_ends_the_run_which_can_go_on(tmp_path, store, short_blocks):
    psutil = pytest.importorskip("psutil", reason="needs psutil, which comes with distributed")
    given = definition(EVERY)

    def kill(block):
        for child in psutil.Process().children(recursive=True):
            if "LokyProcess" in " ".join(child.cmdline()):
                child.kill()
                return

    with pytest.raises(WorkersError, match=r"worker processes were lost \(one was killed, maybe because memory ran"):
        runner.run(given, store, backend="processes", n_jobs=2, on_block=kill)
    kept = set(content(store))
    assert kept
    again = []
    runner.run(given, store, on_block=again.append)
    assert kept.isdisjoint((block.key, block.rows) for block in again)
    runner.run(given, tmp_path / "undisturbed")
    assert content(store) == content(tmp_path / "undisturbed")
