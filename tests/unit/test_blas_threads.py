"""One thread of BLAS while networks run, whichever thread asks for it, and set once for a whole experiment."""

import contextlib
import time
from concurrent.futures import ThreadPoolExecutor
from threading import get_ident

import numpy as np
import pytest
from threadpoolctl import OpenBLASController, threadpool_limits

import tce_theory as tce
from tce_theory.experiments import runner
from tce_theory.experiments.definition import Definition
from tce_theory.neural import _blas, recursion
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.sources import MarkovSource

LM = {"family": "lm", "transition": [[0.7, 0.3], [0.2, 0.8]], "context": 2, "training": {"epochs": 2}}
EXPERIMENT = {
    "title": "Four trainings",
    "model": LM,
    "loss": [{"name": "ce"}, {"name": "tce", "gamma": 0.6}],
    "n_samples": 40,
    "generations": 1,
    "replicates": 2,
    "seed": 1,
}
THREADS_MATTER = pytest.mark.skipif(
    len(_blas._libraries()) == 0 or min(library.get_num_threads() for library in _blas._libraries()) < 2,
    reason="BLAS has one thread at most",
)
ONE_CONTROLS = pytest.mark.skipif(
    not hasattr(OpenBLASController, "clear_controlling_thread"), reason="threadpoolctl lets every thread set numbers"
)


def threads():
    return [library.get_num_threads() for library in _blas._libraries()]


def busy(product):
    """Processors at work during products of matrices, made by this thread."""
    product()  # helpers that wait for work have gone to sleep after it
    time.sleep(0.2)
    whole, own = time.process_time(), time.thread_time()
    for _ in range(20):
        product()
    return (time.process_time() - whole) / (time.thread_time() - own)


# --------------------------------------------------------------------------------------------------- from any thread


def all_one():
    return [1] * len(threads())


def asked():
    with one_blas_thread():
        return threads()


def plainly():
    with threadpool_limits(1, user_api="blas"):
        return threads()


class Library:
    """A library of BLAS that one thread controls, as threadpoolctl 3.8 has it, and that may be cleared of it or not."""

    def __init__(self, controlling):
        self.controlling, self.number = controlling, 2

    def get_num_threads(self):
        return self.number

    def set_num_threads(self, number):
        self.controlling = self.controlling or get_ident()
        if self.controlling == get_ident():
            self.number = number


class Clearable(Library):
    def clear_controlling_thread(self, force=False):
        if force:
            self.controlling = None


def test_control_is_taken_from_another_thread_and_given_up(monkeypatch):
    libraries = Clearable(-1), Clearable(None), Library(None), Library(-1)
    monkeypatch.setattr(_blas, "_libraries", lambda: libraries)
    assert asked() == [1, 1, 1, 2]  # the last cannot be cleared, by which the test can tell
    assert threads() == [2, 2, 2, 2]
    assert [library.controlling for library in libraries[:2]] == [None, None]


@THREADS_MATTER
@ONE_CONTROLS
def test_it_holds_while_another_thread_controls_blas():
    before = threads()
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for library, number in zip(_blas._libraries(), before, strict=True):
            first.submit(library.set_num_threads, number).result()
        assert second.submit(plainly).result() == before  # the control: threadpoolctl by itself does nothing there
        assert second.submit(asked).result() == all_one()
        assert threads() == before
        assert first.submit(asked).result() == all_one()
        assert second.submit(plainly).result() == all_one()  # nor does it keep control from others
    assert threads() == before


@THREADS_MATTER
def test_one_thread_may_begin_and_another_end():
    before = threads()
    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        one, two = one_blas_thread(), one_blas_thread()
        first.submit(one.__enter__).result()
        second.submit(two.__enter__).result()
        first.submit(one.__exit__, None, None, None).result()
        assert second.submit(threads).result() == all_one()
        second.submit(two.__exit__, None, None, None).result()
    assert threads() == before


@THREADS_MATTER
@pytest.mark.slow
def test_one_processor_works_in_a_thread_that_is_not_the_first():
    """Not only what BLAS says of itself: the time of all processors is that of the thread."""
    matrix = np.random.default_rng(1).random((400, 400))

    def measured():
        with one_blas_thread():
            alone = busy(lambda: matrix @ matrix)
        return alone, busy(lambda: matrix @ matrix)

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        for library in _blas._libraries():  # which puts the first in control
            first.submit(library.set_num_threads, library.get_num_threads()).result()
        for thread in (second, first):
            alone, together = thread.submit(measured).result()
            assert alone < 1.2
            assert together > 1.5


# ------------------------------------------------------------------------------------------------- of an experiment


class Watched:
    """The numbers of threads that BLAS has in each training, and how often the number is set."""

    def __init__(self, monkeypatch):
        self.seen, self.workers, self.times_set = [], set(), 0
        self.train, self.set_threads = recursion.train, _blas._set_threads
        monkeypatch.setattr(recursion, "train", self.trained)
        monkeypatch.setattr(_blas, "_set_threads", self.set)

    def trained(self, *arguments, **options):
        self.seen.append(threads())
        self.workers.add(get_ident())
        return self.train(*arguments, **options)

    def set(self, library, number):
        self.times_set += 1
        self.set_threads(library, number)


@pytest.fixture
def watched(monkeypatch):
    return Watched(monkeypatch)


def once():
    """How often the number is set if it is set once, and set back."""
    return 2 * len(_blas._libraries())


def run(folder, n_jobs, **changes):
    runner.run(Definition.from_mapping({**EXPERIMENT, **changes}), folder / "store.sqlite", n_jobs=n_jobs)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_threads_of_an_experiment_train_as_simulate_does(watched, tmp_path, n_jobs):
    """With one thread of BLAS, that is set for the whole experiment and not anew for each block."""
    model = tce.NeuralLanguageModel(MarkovSource(tce.MarkovChain(LM["transition"])), context=2)
    tce.simulate(model, tce.CrossEntropy(), n_samples=40, generations=1, replicates=2, seed=1, n_jobs=n_jobs)
    assert (watched.seen, watched.times_set) == ([all_one()] * 2, once())
    watched.seen.clear()
    watched.times_set = 0
    watched.workers.clear()
    run(tmp_path, n_jobs)
    assert (watched.seen, watched.times_set) == ([all_one()] * 4, once())
    assert get_ident() not in watched.workers  # blocks do run in other threads than the one that set it


def test_without_the_surroundings_every_block_sets_it(watched, tmp_path, monkeypatch):
    """The control of the test above."""
    monkeypatch.setattr(runner, "_surroundings", lambda tasks: contextlib.nullcontext())
    monkeypatch.setattr(runner.blocks, "_NUMBERS", 1)
    run(tmp_path, 1)
    assert watched.times_set == 4 * once()


def test_an_experiment_without_networks_leaves_blas_alone(watched, tmp_path):
    run(tmp_path, 1, model={"family": "gaussian"})
    assert watched.times_set == 0
