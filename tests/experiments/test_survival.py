"""What a sweep survives: the real program, killed, interrupted, starved, and shown damaged files.

Whatever happened, the same command goes on, and the store ends with the same bits as that of an undisturbed run.
"""

import contextlib
import os
import random
import re
import select
import signal
import sqlite3
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass

import psutil
import pytest
from observed import environment

from tce_theory import cli
from tce_theory.errors import StoreError
from tce_theory.experiments import blocks, results, runner
from tce_theory.experiments.definition import Definition
from tce_theory.experiments.store import Store

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals and named pipes are those of POSIX")

PATIENCE = 120
"""Seconds after which a program has failed, on however slow a machine."""
STREAM = 64
SWEEP = """
title = "What a sweep survives"
n_samples = [900, 1000]
generations = 30
replicates = {replicates}
seed = 1
sampler = "points"

[[cases]]
model = {{family = "gaussian", mean = 0.5}}
loss = [{{name = "ce"}}, {{name = "tce", gamma = 0.7, scale = "relative"}}]
metrics = ["mean", "std"]

[[cases]]
model = {{family = "categorical", zipf = {{size = 50}}}}
loss = [{{name = "ce"}}, {{name = "tce", gamma = 0.02}}]
metrics = ["entropy", "support"]
"""
# the second cell is one block that takes a minute or more
LONG = """
title = "A long block"
n_samples = 1000
generations = 20
replicates = 64
seed = 1
sampler = "points"
model = {family = "gaussian"}
loss = {name = "ce"}

[[cases]]
[[cases]]
n_samples = 1000000
generations = 10000
replicates = 1
"""


def sweep(streams):
    """Return a definition of 8 cells, each of so many blocks, the last one short."""
    return SWEEP.format(replicates=streams * STREAM - 20)


# ------------------------------------------------------------------------------------------------ running programs


@dataclass(frozen=True)
class Mark:
    """A step of a process, by the monotonic clock; `block` is the key of its cell, the first replicate, and the end."""

    pid: int
    time: float
    word: str
    block: tuple[str, int, int] | None


class Program:
    """A running `tce` whose steps can be waited for; `before` is Python that its process runs first."""

    def __init__(self, folder, *argv, clock=None, before=None, cwd=None):
        name = f"{len(list(folder.glob('marks-*')))}"
        pipe, self._errors = folder / f"marks-{name}", folder / f"errors-{name}"
        os.mkfifo(pipe)
        self._pipe = os.open(pipe, os.O_RDWR | os.O_NONBLOCK)
        self._text = b""
        self.marks = []
        self.born = time.monotonic()
        prepare = ["-c", f"{before}\nimport os, sys\nos.execv(sys.executable, [sys.executable, *sys.argv[1:]])"]
        with open(self._errors, "wb") as errors:
            self.process = subprocess.Popen(
                [sys.executable, *(prepare if before else []), "-m", "tce_theory.cli", *map(str, argv)],
                stdout=subprocess.DEVNULL,
                stderr=errors,
                env=environment(folder, pipe, clock),
                cwd=cwd,
                start_new_session=True,
            )

    @property
    def errors(self):
        return self._errors.read_text()

    def own(self, word):
        """Return the marks of the coordinator."""
        return [mark for mark in self.marks if (mark.pid, mark.word) == (self.process.pid, word)]

    def all(self, word):
        return [mark for mark in self.marks if mark.word == word]

    def listen(self, seconds):
        """Read marks, until there are some or time is up."""
        if select.select([self._pipe], [], [], max(seconds, 0))[0]:
            self._text += os.read(self._pipe, 2**16)
            *lines, self._text = self._text.split(b"\n")
            for pid, now, word, *block in (line.decode().split() for line in lines):
                place = (block[0], int(block[1]), int(block[2])) if block else None
                self.marks.append(Mark(int(pid), float(now), word, place))

    def wait(self):
        """Wait for the end, and return the exit code."""
        self.wait_for(lambda: False)
        return self.process.returncode

    def wait_for(self, reached):
        """Wait until something is reached; return whether it was, or the program has ended before."""
        end = time.monotonic() + PATIENCE
        while not reached():
            ended = self.process.poll() is not None
            self.listen(0 if ended else min(0.05, end - time.monotonic()))
            if ended and not select.select([self._pipe], [], [], 0)[0]:
                return reached()
            assert time.monotonic() < end, "the program hangs"
        return True

    def reach(self, word, number=1):
        assert self.wait_for(lambda: len(self.own(word)) >= number), self.errors

    def kill(self, after=0.0, group=True):
        """Kill it some seconds from now, and return whether it was still alive."""
        end = time.perf_counter() + after
        while (left := end - time.perf_counter()) > 0.002:
            self.listen(left - 0.001)
        while time.perf_counter() < end:
            pass
        if group:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
        else:
            self.process.kill()
        return self.wait() == -signal.SIGKILL

    def processes(self):
        """Return the processes that it started and that are still alive."""
        pids = {mark.pid for mark in self.marks} - {self.process.pid}
        # an orphan that has ended stays a zombie where nobody adopts it
        return [
            process
            for process in psutil.process_iter(["status"])
            if process.pid in pids and process.info["status"] != psutil.STATUS_ZOMBIE
        ]

    def close(self):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        os.close(self._pipe)


@pytest.fixture
def start(tmp_path):
    """Start a program that will not outlive the test."""
    programs = []

    def start(*argv, **options):
        programs.append(Program(tmp_path, *argv, **options))
        return programs[-1]

    yield start
    for program in programs:
        program.close()


@pytest.fixture
def go(start, tmp_path):
    """Start `tce run` of a text on the store of this test."""

    def go(text, *options, store=tmp_path / "store.sqlite", **others):
        file = tmp_path / "definition.toml"
        file.write_text(text)
        return start("run", file, "--store", store, "--jobs", 2, *options, **others)

    return go


def run_here(text, store):
    """Run a text in this process, in the blocks of the observed programs; return which blocks were run."""
    done = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "block_length", lambda cell: cell.recursion.block_size)
        runner.run(Definition.from_mapping(tomllib.loads(text)), store, n_jobs=2, on_block=done.append)
    return {(block.key, block.rows.start, block.rows.stop) for block in done}


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """Return what the store of an undisturbed run holds."""
    known = {}

    def undisturbed(streams):
        if streams not in known:
            store = tmp_path_factory.mktemp("undisturbed") / "store.sqlite"
            run_here(sweep(streams), store)
            known[streams] = content(store)
            assert len(known[streams]["blocks"]) == 8 * streams
        return known[streams]

    return undisturbed


# ---------------------------------------------------------------------------------------------------------- stores


def content(path):
    """Return what a store holds, but for what depends on when and where it was made."""
    with Store.reading(path) as store:
        assert store.check() == []
        document, cells = store.last_definition()
        return {
            "document": document,
            "cells": cells,
            "models": [store.model(cell["key"]) for cell in cells],
            "blocks": stored(store),
            "failures": store.failures(),
        }


def listed(store):
    """Return the finished blocks as (key of the cell, first replicate, end)."""
    return {(block.key, block.rows.start, block.rows.stop) for found in store.blocks().values() for block in found}


def stored(store):
    """Return the finished blocks with the bits of their arrays."""
    return {
        (block.key, block.rows.start, block.rows.stop): bits(store.arrays(block))
        for found in store.blocks().values()
        for block in found
    }


def bits(kinds):
    return [
        {name: (array.dtype.str, array.shape, array.tobytes()) for name, array in sorted(arrays.items())}
        for arrays in kinds
    ]


def finished(path):
    """Return the blocks of a store that may not have been made before its program was killed."""
    try:
        with Store.reading(path) as store:
            return listed(store)
    except (StoreError, FileNotFoundError):
        return set()


def one_line(text, *parts):
    """Whether an error is one line that has these parts in it."""
    assert text.endswith("\n")
    assert text.count("\n") == 1
    for part in parts:
        assert part in text
    return True


# ---------------------------------------------------------------------------------------------- kill -9, anywhere

# moments of a run, of which the last is only there when little is left to do
MOMENTS = ("start", "opened", *("commit", "between") * 3, "commit", "end")


class Killer:
    """Kills runs of one sweep until there have been enough of them."""

    def __init__(self, go, rng, expected):
        self.go, self.rng, self.expected = go, rng, expected
        self.phases = []
        self.start_up = 0.5

    def sweep(self, text, store, moments, backend):
        """Kill at each of these moments, going on each time; then let the run come to its end."""
        done, times = set(), dict.fromkeys(self.expected["blocks"], 0)
        for index, moment in enumerate([*moments, None]):
            program = self.go(text, "--backend", backend, store=store)
            if moment is None:
                assert program.wait() == 0, program.errors
            else:
                self._kill(program, moment, len(times) - len(done), len(moments) - index, backend)
            # exactly what had not been finished is begun again, and nothing that was finished is lost
            assert done.isdisjoint(mark.block for mark in program.all("computing"))
            for mark in program.own("committing"):
                times[mark.block] += 1
            before, done = done, finished(store)
            assert before <= done
            assert {mark.block for mark in program.own("committed")} <= done
            assert done - before <= {mark.block for mark in program.own("committing")}
        assert content(store) == self.expected
        # a block comes to its commit again only if it was killed there
        assert sum(times.values()) - len(times) <= self.phases.count("in a commit")

    def _kill(self, program, moment, left, kills, backend):
        rng = self.rng
        match moment:
            case "start":
                program.kill(rng.uniform(0, 1.1 * self.start_up))
            case "opened":
                program.reach("opened")
                program.kill(rng.uniform(0, 0.3))
            case "commit":
                program.reach("committing", rng.randint(1, 1 + left // (kills + 1)))
                program.kill(rng.uniform(0, 0.001))
            case "between":
                program.reach("committed", rng.randint(1, 1 + left // (kills + 1)))
                program.kill(rng.uniform(0, 0.02), group=backend == "threads" or rng.random() < 0.5)
            case "end":
                program.reach("committed", left)
                program.kill(rng.uniform(0, 0.02))
        if opened := program.own("opened"):
            self.start_up = opened[0].time - program.born
        if program.process.returncode == -signal.SIGKILL:
            self.phases.append(self._phase(program, left))
        else:
            assert (moment, program.process.returncode) == ("end", 0), program.errors

    @staticmethod
    def _phase(program, left):
        """Say where a program was killed, from what it had done."""
        committing, committed = len(program.own("committing")), len(program.own("committed"))
        if not program.own("opened"):
            return "starting"
        if committing > committed:
            return "in a commit"
        return "ending" if committed == left else "between commits" if committed else "before the first commit"


def test_killed_and_run_again(go, tmp_path, undisturbed):
    killer = Killer(go, random.Random(1), undisturbed(4))
    killer.sweep(sweep(4), tmp_path / "store.sqlite", ("opened", "between", "commit"), "threads")
    assert len(killer.phases) == 3


@pytest.mark.slow
def test_killed_at_50_moments(go, tmp_path, undisturbed):
    rng = random.Random(2)
    killer = Killer(go, rng, undisturbed(30))
    for attempt in range(8):
        moments = [*rng.sample(MOMENTS[:-1], len(MOMENTS) - 1), MOMENTS[-1]]
        killer.sweep(sweep(30), tmp_path / f"{attempt}.sqlite", moments, "processes" if attempt == 2 else "threads")
        if len(killer.phases) >= 50:
            break
    counts = {phase: killer.phases.count(phase) for phase in killer.phases}
    assert len(killer.phases) >= 50
    assert set(counts) == {"starting", "before the first commit", "in a commit", "between commits", "ending"}


# ----------------------------------------------------------------------------------------- interrupted and stopped


@pytest.mark.parametrize("backend", ["threads", pytest.param("processes", marks=pytest.mark.slow)])
def test_interrupted_in_a_long_block(go, start, tmp_path, backend):
    store = tmp_path / "store.sqlite"
    program = go(LONG, "--backend", backend)
    program.reach("committed")
    assert program.wait_for(lambda: len(program.all("computing")) == 2)
    refused(start, program, tmp_path)
    os.killpg(program.process.pid, signal.SIGINT)  # as a terminal does
    begun = time.monotonic()
    assert program.wait() == 130
    assert time.monotonic() - begun < 10, "it waited for a block of a minute"
    assert one_line(program.errors, "tce run: interrupted", "1 of 2 blocks are kept", "to go on")
    assert ended(program)
    assert len(finished(store)) == 1
    with Store.reading(store) as target:
        assert target.last_run().state == "interrupted"


def ended(program):
    """Whether all that a program started comes to its end too."""
    end = time.monotonic() + 20
    while program.processes() and time.monotonic() < end:
        time.sleep(0.1)
    return not program.processes()


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threads", "processes"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stopped_between_blocks(go, tmp_path, undisturbed, backend, number):
    store = tmp_path / "store.sqlite"
    program = go(sweep(8), "--backend", backend)
    program.reach("committed", 20)
    program.process.send_signal(number)  # to the coordinator alone, as a batch system does
    assert program.wait() in ((130,) if number == signal.SIGINT else (130, 143, -signal.SIGTERM))
    assert ended(program)
    done = finished(store)
    assert {mark.block for mark in program.own("committed")} <= done
    program = go(sweep(8), "--backend", backend)
    assert program.wait() == 0
    assert done.isdisjoint(mark.block for mark in program.all("computing"))
    assert content(store) == undisturbed(8)


@pytest.mark.slow
def test_a_worker_is_killed(go, tmp_path, undisturbed):
    store = tmp_path / "store.sqlite"
    program = go(sweep(8), "--backend", "processes")
    program.reach("committed", 20)
    os.kill(program.all("computing")[-1].pid, signal.SIGKILL)
    if program.wait() != 0:
        assert program.process.returncode == 2
        assert one_line(program.errors, "tce run: ", "worker", "killed", "finished blocks are kept")
        done = finished(store)
        assert {mark.block for mark in program.own("committed")} <= done
        assert ended(program)
        program = go(sweep(8), "--backend", "processes")
        assert program.wait() == 0
        assert done.isdisjoint(mark.block for mark in program.all("computing"))
    assert content(store) == undisturbed(8)


# ------------------------------------------------------------------------------------- others at the same time


@pytest.mark.slow
def test_a_second_coordinator_is_refused(go, start, tmp_path, undisturbed):
    first = go(sweep(8))
    for number in (1, 10, 20):
        first.reach("committed", number)
        first.process.send_signal(signal.SIGSTOP)  # wherever it is, maybe in a commit
        refused(start, first, tmp_path)
        first.process.send_signal(signal.SIGCONT)
    assert first.wait() == 0, first.errors
    assert content(tmp_path / "store.sqlite") == undisturbed(8)


def refused(start, first, folder):
    """Start what runs already once more: it must not be."""
    store = folder / "store.sqlite"
    second = start("run", folder / "definition.toml", "--store", store)
    assert second.wait() == 2
    assert one_line(second.errors, f"tce run: {store}: in use by process {first.process.pid}")
    assert not second.all("computing")


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["threads", "processes"])
def test_the_store_is_free_once_its_coordinator_was_killed(go, tmp_path, backend):
    first = go(LONG, "--backend", backend)
    assert first.wait_for(lambda: len(first.all("computing")) == 2)
    # its workers may live on, until they notice
    assert first.kill(group=False)
    with Store.reading(tmp_path / "store.sqlite") as store:
        assert store.last_run().state == "killed"
    second = go(LONG.replace("10000", "20"), "--backend", backend)
    assert second.wait() == 0, second.errors


@pytest.mark.slow
def test_readers_see_whole_blocks_while_it_runs(go, tmp_path, undisturbed):
    readers(go, tmp_path / "store.sqlite", 30, undisturbed(30))


def readers(go, path, streams, expected):
    """Read a store again and again while it is written: it only ever grows, by whole blocks, in one order for all."""
    program = go(sweep(streams))
    program.reach("opened")
    seen, before = [], {}
    with Store.reading(path) as kept:
        while program.process.poll() is None:
            program.listen(0)
            committed = {mark.block for mark in program.own("committed")}
            if len(seen) % 2:
                now = dict.fromkeys(finished(path))
                assert set(before) <= set(now)
            else:
                with Store.reading(path) as store:
                    now = stored(store)
                assert all(now[block] == expected["blocks"][block] for block in now)
            # a reader that stays is no obstacle
            assert set(now) <= listed(kept)
            assert committed <= set(now)
            seen.append(len(now))
            before = now
    assert program.wait() == 0, program.errors
    assert content(path) == expected
    assert len(set(seen)) >= 3


@pytest.mark.slow
def test_status_while_it_runs(go, start, tmp_path):
    program = go(sweep(30))
    program.reach("committed", 10)
    for _ in range(3):
        status = start("status", tmp_path / "store.sqlite")
        assert (status.wait(), status.errors) == (0, "")
    assert program.wait() == 0


# ----------------------------------------------------------------------------------------------------------- clocks

HOUR, DAY = 3600.0, 86400.0


@pytest.mark.slow
def test_the_clock_goes_back_in_a_run(go, tmp_path, undisturbed):
    path = tmp_path / "store.sqlite"
    program = go(sweep(4), clock=(DAY, -HOUR, 4))
    assert program.wait() == 0, program.errors
    assert times_are_sound(path, 32)
    # that run was in the future
    assert not run_here(sweep(4), path)
    assert content(path) == undisturbed(4)
    # what was run last is the last definition, whatever the clock says
    assert not run_here(sweep(1).replace("survives", "did"), path)
    assert content(path)["document"]["title"] == "What a sweep did"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("before", "after"),
    [((0.0,), (-HOUR, -HOUR, 4)), ((0.0, DAY, 4), (-HOUR,)), ((DAY, -DAY, 4), (DAY, -HOUR, 4)), ((-DAY,), (DAY,))],
)
def test_clock_changes(go, tmp_path, undisturbed, before, after):
    path = tmp_path / "store.sqlite"
    first = go(sweep(4), clock=before)
    first.reach("committed", 12)
    assert first.kill()
    done = finished(path)
    assert times_are_sound(path, len(done))
    second = go(sweep(4), clock=after)
    assert second.wait() == 0, second.errors
    assert done.isdisjoint(mark.block for mark in second.all("computing"))
    assert content(path) == undisturbed(4)
    assert times_are_sound(path, 32 - len(done))


def times_are_sound(path, number):
    """Whether the last run has finished so many blocks, in a time that a clock can have measured."""
    with Store.reading(path) as store:
        run = store.last_run()
        assert run.finished == number
        assert 0 < run.seconds < PATIENCE
        assert all(0 < block.seconds < PATIENCE for found in store.blocks().values() for block in found)
    return True


# --------------------------------------------------------------------------------------------------- paths and folders


def call(capsys, *argv):
    """Run the command line in this process; return its exit code and its errors."""
    capsys.readouterr()
    return cli.main([str(argument) for argument in argv]), capsys.readouterr().err


SMALL = """
title = "Small"
n_samples = 20
generations = 5
replicates = 10
seed = 1
model = {family = "gaussian"}
loss = {name = "ce"}
"""


@pytest.mark.parametrize(
    "name", ["with spaces", 'it\'s "quoted"', "Größe-λ-模型", "a?mode=memory&b#c", "100%25 %41", "-dash", "new\nline"]
)
def test_names_of_files(tmp_path, capsys, name):
    folder = tmp_path / name
    folder.mkdir()
    file, store = folder / f"{name}.toml", folder / f"{name}.sqlite"
    file.write_text(SMALL)
    assert call(capsys, "run", file, "--store", store) == (0, "")
    assert len(content(store)["blocks"]) == 1
    assert call(capsys, "status", store) == (0, "")
    assert {path.suffix for path in folder.iterdir()} <= {".toml", ".sqlite", ".lock"}


@contextlib.contextmanager
def read_only(folder):
    folder.chmod(0o555)
    try:
        yield
    finally:
        folder.chmod(0o755)


# takes from the superuser the power to write what may not be written
BOUND_BY_PERMISSIONS = """
import ctypes, sys
if sys.platform == "linux":
    for capability in (1, 2):  # CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH
        ctypes.CDLL(None).prctl(24, capability, 0, 0, 0)  # PR_CAPBSET_DROP
"""


def test_only_the_store_is_written(start, tmp_path):
    """The folder of the definition cannot be written, and the current one is gone."""
    folder, gone = tmp_path / "definitions", tmp_path / "gone"
    folder.mkdir()
    gone.mkdir()
    (folder / "definition.toml").write_text(SMALL)
    before = f"import os\nos.rmdir({str(gone)!r})\n{BOUND_BY_PERMISSIONS}"

    with read_only(folder):
        program = start(
            "run", folder / "definition.toml", "--store", tmp_path / "store.sqlite", cwd=gone, before=before
        )
        assert program.wait() == 0, program.errors
    assert len(finished(tmp_path / "store.sqlite")) == 1


@pytest.mark.parametrize("existing", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_store_in_a_folder_that_cannot_be_written(go, tmp_path, existing):
    folder = tmp_path / "stores"
    folder.mkdir()
    store = folder / "store.sqlite"
    if existing:
        run_here(SMALL, store)
    before = listing(folder)
    with read_only(folder):
        program = go(SMALL.replace("20", "30"), store=store, before=BOUND_BY_PERMISSIONS)
        assert program.wait() == 2
        assert one_line(program.errors, "tce run: ", str(store), "cannot be written")
    assert listing(folder) == before


def listing(folder):
    return {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------------------------ full disk


# SQLite's log is the first file to come to its limit; the numbers are of all stages from the making of the store on
LIMITS = [300_000, *(pytest.param(limit, marks=pytest.mark.slow) for limit in (2_000, 5_000, 60_000, 150_000, 700_000))]


@pytest.mark.parametrize("limit", LIMITS)
def test_files_can_grow_no_more(go, tmp_path, undisturbed, limit):
    path = tmp_path / "store.sqlite"
    before = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))"
    assert starved(go(sweep(4), before=before), path) < 32
    assert goes_on(path, sweep(4), undisturbed(4))


def starved(program, path):
    """Wait for a program that must not come to its end; return how many blocks it has finished."""
    assert program.wait() == 2, program.errors
    assert one_line(program.errors, f"tce run: {path}: ", "disk")
    done = finished(path)
    assert {mark.block for mark in program.own("committed")} <= done
    return len(done)


def goes_on(path, text, expected):
    done = finished(path)
    assert done.isdisjoint(run_here(text, path))
    assert content(path) == expected
    return True


@pytest.mark.slow
def test_full_disk(go, tmp_path, undisturbed):
    folder = tmp_path / "disk"
    folder.mkdir()
    path = folder / "store.sqlite"
    # room for the arrays, without which a run does not start, but not for SQLite's log beside them
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2500k", "tmpfs", folder], capture_output=True).returncode:
        pytest.skip("may not mount a file system")
    try:
        assert 0 < starved(go(sweep(8), store=path), path) < 64
        subprocess.run(["mount", "-o", "remount,size=100m", folder], check=True)
        assert goes_on(path, sweep(8), undisturbed(8))
    finally:
        subprocess.run(["umount", folder], check=True)


# -------------------------------------------------------------------------------------------------------- damaged files


def newer(path):
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA user_version = 1000")


def foreign(path):
    path.unlink()
    with contextlib.closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE blocks (id)")


def truncated(part):
    def damage(path):
        os.truncate(path, int(part * path.stat().st_size))

    return damage


def overwritten(make, first=0.0):
    def damage(path):
        size = path.stat().st_size
        with open(path, "r+b") as file:
            file.seek(int(first * size))
            file.write(make(size - int(first * size)))

    return damage


DAMAGES = {
    "truncated to 100 bytes": lambda path: os.truncate(path, 100),
    "truncated to a quarter": truncated(0.25),
    "truncated to 0.9": truncated(0.9),
    "zeros": overwritten(bytes),
    "random bytes": overwritten(random.Random(3).randbytes),
    "random bytes from the tenth on": overwritten(random.Random(4).randbytes, 0.1),
    "newer": newer,
    "foreign": foreign,
    "text": lambda path: path.write_text(SMALL),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=list(DAMAGES))
def test_damaged_store(tmp_path, capsys, damage):
    folder = tmp_path / "stores"
    folder.mkdir()
    store, file = folder / "store.sqlite", tmp_path / "definition.toml"
    file.write_text(SMALL.replace("replicates = 10", "replicates = 2000"))
    assert call(capsys, "run", file, "--store", store) == (0, "")
    for extra in set(folder.iterdir()) - {store}:
        extra.unlink()
    damage(store)
    before = listing(folder)
    for command in (("run", file, "--store", store), ("status", store)):
        code, errors = call(capsys, *command)
        assert code == 2
        assert one_line(errors, f"tce {command[0]}: {store}")
    with pytest.raises(StoreError, match=re.escape(str(store))):
        results.load(store)
    assert {name: kept for name, kept in listing(folder).items() if not name.endswith(".lock")} == before


# ------------------------------------------------------------------------------------------------------------ extending


@pytest.fixture
def ran(tmp_path):
    """Run a text in this process, in blocks of the usual length; return the list of those that were run."""

    def ran(text):
        done = []
        runner.run(Definition.from_mapping(tomllib.loads(text)), tmp_path / "store.sqlite", on_block=done.append)
        return [(block.key, block.rows.start, block.rows.stop) for block in done]

    return ran


SEVERAL = """
title = "Several"
n_samples = [20, 30]
generations = 5
replicates = 100
seed = 1
model = {family = "gaussian"}
loss = [{name = "ce"}, {name = "tce", gamma = 0.7, scale = "relative"}]
metrics = ["mean", "std"]
"""


def test_more_replicates_run_only_what_is_new(ran, tmp_path):
    store = tmp_path / "store.sqlite"
    keys = {key for key, _, _ in ran(SEVERAL)}
    assert len(keys) == 4
    more = ran(SEVERAL.replace("100", "1000"))
    # the stream of the replicates 64 to 127 had not been used up
    assert sorted(more) == sorted((key, STREAM, 1000) for key in keys)
    assert ran(SEVERAL.replace("100", "1000")) == ran(SEVERAL) == ran(SEVERAL.replace("100", "999")) == []
    assert content(store)["failures"] == []
    extended = {key: replicates(store, key, 1000) for key in keys}
    store.unlink()
    ran(SEVERAL.replace("100", "1000"))
    assert extended == {key: replicates(store, key, 1000) for key in keys}


def replicates(path, key, number):
    """Return the metrics of a cell, replicate by replicate, from whichever blocks have them."""
    with Store.reading(path) as store:
        found = {}
        for block in store.blocks()[key]:
            metrics = store.arrays(block)[0]
            for row in block.rows:
                bits = {name: values[row - block.rows.start].tobytes() for name, values in metrics.items()}
                assert found.setdefault(row, bits) == bits
    assert sorted(found) == list(range(number))
    return found


@pytest.mark.parametrize(
    ("old", "new", "cells"),
    [
        ("[20, 30]", "[20, 30, 40]", 2),
        ("[20, 30]", "[40, 20]", 2),
        ("0.7", "0.8", 2),
        ("seed = 1", "seed = 2", 4),
        ("generations = 5", "generations = 6", 4),
        ('["mean", "std"]', '["mean", "std", "entropy"]', 4),
        ('["mean", "std"]', '["std"]', 4),
        # nothing that a result depends on
        ("Several", "Others", 0),
        ("title", "# a comment\ntitle", 0),
        ('title = "Several"\nn_samples = [20, 30]', 'n_samples = [30, 20]\ntitle = "Several"', 0),
        ('["mean", "std"]', '["std", "mean"]', 0),
        ("title", 'theorems = ["gaussian-ce-law"]\ntitle', 0),
        ("title", 'fidelity = [{metric = "std", below = 0.5}]\ntitle', 0),
        ('{name = "ce"}', "{ name = 'ce' }", 0),
        ("replicates = 100", "replicates = 1e2", 0),
        ('{family = "gaussian"}', '{family = "gaussian", mean = 0.0, std = 1}', 0),
    ],
)
def test_a_changed_definition_runs_its_new_cells_alone(ran, old, new, cells):
    known = {key for key, _, _ in ran(SEVERAL)}
    assert old in SEVERAL
    fresh = {key for key, _, _ in ran(SEVERAL.replace(old, new))}
    assert len(fresh) == cells
    assert known.isdisjoint(fresh)
    assert ran(SEVERAL) == []
