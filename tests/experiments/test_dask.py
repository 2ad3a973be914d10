"""Experiments on a cluster of dask: the same bits as threads, and what happens when parts of the cluster die."""

import contextlib
import json
import logging
import subprocess
import sys
import time

import pytest
from test_runner import EVERY, LONG, PATIENCE, SMALL, content, definition, no_threads_left, short_blocks, store

from tce_theory.errors import DomainError, WorkersError
from tce_theory.experiments import runner
from tce_theory.models.gaussian import Gaussian

distributed = pytest.importorskip("distributed", reason='needs the extra: pip install "tce_theory[dask]"')

__all__ = ["short_blocks", "store"]  # fixtures


def silence(level):
    logging.getLogger("distributed.client").setLevel(level)


class Cluster:
    """A scheduler and two workers of one thread each, as processes of their own."""

    def __init__(self, folder, stack):
        self._stack, self._file = stack, folder / "scheduler.json"
        self.scheduler = self._start("scheduler", "--port", "0")
        self.workers = [self.start_worker() for _ in range(2)]
        address = json.loads(self._file.read_text())["address"]
        stack.callback(silence, logging.NOTSET)
        self.client = stack.enter_context(distributed.Client(address))
        stack.callback(silence, logging.CRITICAL)  # this client, too, may find that its scheduler is gone
        self.client.wait_for_workers(2, timeout=PATIENCE)

    def start_worker(self):
        return self._start("worker", "--nthreads", "1", "--no-nanny")

    def _start(self, part, *options):
        command = [sys.executable, "-m", f"distributed.cli.dask_{part}", "--scheduler-file", self._file]
        command += ["--no-dashboard", "--host", "127.0.0.1", *options]
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL, cwd=self._file.parent)
        self._stack.callback(process.wait)
        self._stack.callback(process.kill)
        deadline = time.monotonic() + PATIENCE
        while not self._file.exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        return process


@pytest.fixture
def cluster(tmp_path):
    with contextlib.ExitStack() as stack:
        yield Cluster(tmp_path, stack)


@pytest.fixture
def small_cluster():
    """Two workers in this process."""
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=False, dashboard_address=None) as local,
        distributed.Client(local) as client,
    ):
        yield client


def once(action, after=1):
    """Return a callback that acts at the block with that number."""
    seen = []

    def act(block):
        seen.append(block)
        if len(seen) == after:
            action()

    return act


def test_dask_without_a_client_asks_for_one(store):
    with pytest.raises(DomainError, match=r"distributed.Client\(address\)"):
        runner.run(definition(), store, backend="dask")
    assert not store.exists()


def test_results_are_those_of_threads(tmp_path, small_cluster, short_blocks):
    given = definition({**EVERY, "replicates": 10})
    runner.run(given, tmp_path / "threads")
    runner.run(given, tmp_path / "dask", backend="dask")
    assert content(tmp_path / "dask") == content(tmp_path / "threads")
    assert small_cluster.status == "running"


@pytest.mark.slow
def test_results_are_those_of_threads_on_a_real_cluster(tmp_path, cluster, short_blocks):
    runner.run(definition(EVERY), tmp_path / "threads")
    runner.run(definition(EVERY), tmp_path / "dask", backend="dask")
    assert content(tmp_path / "dask") == content(tmp_path / "threads")


@pytest.mark.slow
def test_workers_of_another_version_do_not_contribute(store, cluster, monkeypatch):
    monkeypatch.setattr(Gaussian, "results_version", 99)  # here alone
    with pytest.raises(WorkersError, match=r"results 99 of Gaussian, and a worker has tce_theory .* results 1 of"):
        runner.run(definition(SMALL), store, backend="dask")
    assert content(store) == {}


@pytest.mark.slow
def test_a_worker_that_is_killed_is_survived(tmp_path, cluster, short_blocks):
    given = definition(EVERY, replicates=300)
    runner.run(given, tmp_path / "threads")
    runner.run(given, tmp_path / "dask", backend="dask", on_block=once(cluster.workers[0].kill, after=3))
    assert content(tmp_path / "dask") == content(tmp_path / "threads")
    assert cluster.workers[0].wait(PATIENCE) != 0


@pytest.mark.slow
def test_the_death_of_the_scheduler_ends_the_run_which_can_go_on(tmp_path, store, cluster, caplog):
    started = time.monotonic()
    with pytest.raises(WorkersError, match=r"workers of dask were lost \(the scheduler is gone\); finished blocks are"):
        runner.run(definition(LONG), store, backend="dask", on_block=once(cluster.scheduler.kill))
    assert time.monotonic() - started < PATIENCE
    assert no_threads_left()
    assert caplog.records == []
    kept = content(store)
    assert kept
    again = []
    runner.run(definition(LONG, replicates=5 * 64), store, on_block=again.append)
    assert again
    assert set(kept).isdisjoint((block.key, block.rows) for block in again)
    runner.run(definition(LONG, replicates=5 * 64), tmp_path / "undisturbed")
    assert content(store).items() >= content(tmp_path / "undisturbed").items()


@pytest.mark.slow
def test_all_work_is_taken_back_when_a_run_ends_early(store, cluster):
    def interrupt():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        runner.run(definition(LONG), store, backend="dask", on_block=once(interrupt))
    assert no_threads_left()
    assert content(store)
    deadline = time.monotonic() + PATIENCE
    while any(cluster.client.processing().values()) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(cluster.client.processing().values())
    # the client that was there before is as it was
    assert cluster.client.submit(sum, [1, 2]).result(timeout=PATIENCE) == 3


@pytest.mark.slow
def test_a_cluster_without_workers_is_an_error(store, cluster, monkeypatch):
    monkeypatch.setattr(runner, "_PATIENCE_SECONDS", 1)
    for worker in cluster.workers:
        worker.kill()
        worker.wait()
    while cluster.client.nthreads():
        time.sleep(0.1)
    with pytest.raises(WorkersError, match="has no workers that answer"):
        runner.run(definition(SMALL), store, backend="dask")


@pytest.mark.slow
def test_a_cluster_that_is_gone_is_an_error(store, cluster):
    cluster.scheduler.kill()
    cluster.scheduler.wait()
    with pytest.raises(WorkersError, match="has no workers that answer"):
        runner.run(definition(SMALL), store, backend="dask")
    assert no_threads_left()
