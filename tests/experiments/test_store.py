"""The store: what it keeps, what it refuses, and what it survives."""

import contextlib
import hashlib
import io
import os
import re
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from tce_theory.errors import StoreError
from tce_theory.experiments import _lock, _sqlite, store
from tce_theory.experiments.blocks import BlockError, BlockResult
from tce_theory.experiments.store import Store

MACHINE = {"versions": {"numpy": "2"}, "platform": "Linux", "host": "here"}
posix = pytest.mark.skipif(sys.platform == "win32", reason="needs signals and permissions of POSIX")


def block(key="k", rows=range(4), generations=2, shift=0.0, machine=MACHINE):
    values = np.arange(rows.start, rows.stop)[:, None] + np.linspace(0, 1, generations + 1) + shift
    events = {"vacuous": np.arange(rows.start, rows.stop)}
    return BlockResult(key, rows, {"std": values, "mean": -values}, events, 0.25, machine)


class Model:
    def __init__(self, size):
        self.size, self.described = size, 0

    def describe(self):
        self.described += 1
        return {"name": "Categorical", "probs": [1 / self.size] * self.size}


def definition(title="t", keys=("k",), model=None):
    model = model or Model(2)
    cells = [
        SimpleNamespace(key=key, replicates=10, model=model, record=lambda key=key: {"key": key, "title": title})
        for key in keys
    ]
    return SimpleNamespace(cells=cells, document={"title": title, "γ": [0.5]})


def bits(arrays):
    return [{name: (a.dtype.str, a.shape, a.tobytes()) for name, a in part.items()} for part in arrays]


def contents(path):
    """Return everything in a store as bits."""
    with Store.reading(path) as opened:
        return {
            (key, found.rows): bits(opened.arrays(found)) for key, blocks in opened.blocks().items() for found in blocks
        }


def state(folder):
    """Return names, bytes and times of what is in a folder."""
    return {
        path.name: (path.read_bytes() if path.is_file() else None, path.stat().st_mtime_ns)
        for path in sorted(folder.iterdir())
    }


@pytest.fixture
def path(tmp_path):
    return tmp_path / "store.sqlite"


def fill(path):
    with Store.writing(path) as opened:
        opened.add_definition(definition())
        for first in range(0, 40, 4):
            opened.add_block(block(rows=range(first, first + 4)))
    return path


@pytest.fixture
def filled(path):
    return fill(path)


def change(path, statement, *values):
    """Do to a store what the library does not do."""
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.execute("PRAGMA ignore_check_constraints = ON")
        connection.execute(statement, values)


HELPER = f"""
import os, sys, time
sys.path.insert(0, {str(Path(__file__).parent)!r})
from types import SimpleNamespace
import numpy as np
from tce_theory.errors import StoreError
from tce_theory.experiments.store import Store
path = sys.argv[1]
def block(first, size=4):
    return SimpleNamespace(key="k", rows=range(first, first + 4), metrics={{"std": np.full((4, size), float(first))}},
                           events={{}}, seconds=0.1, machine={{}})
def say(*words):
    print(*words, flush=True)
"""


@contextlib.contextmanager
def helper(path, code):
    """Run code in another process; the test reads its lines, and writes lines to it."""
    process = subprocess.Popen(
        [sys.executable, "-c", HELPER + code, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


WRITER = """
with Store.writing(path) as store:
    with store.recorded_run(backend="threads", workers=2, planned=9):
        for first in range(0, 12, 4):
            store.add_block(block(first))
        say("ready")
        sys.stdin.readline()
"""


def killed(path):
    """Leave a store as a writer that is killed leaves it."""
    with helper(path, WRITER) as process:
        assert process.stdout.readline() == "ready\n"
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert Path(f"{path}-wal").stat().st_size > 0


# -------------------------------------------------------------------------------------------------- what it keeps


def test_blocks_come_back_bit_for_bit(path):
    quiet_nan = np.array([0x7FF8000000000123], np.uint64).view(float)[0]
    values = np.array([[1.0, np.nan, -np.inf], [-0.0, np.nextafter(0, 1), quiet_nan]])
    given = BlockResult("k", range(2), {"std": values, "mean": np.asfortranarray(values)}, {"n": np.arange(2)}, 1.5, {})
    with Store.writing(path) as opened:
        opened.add_block(given)
        (found,) = opened.blocks()["k"]
        assert bits(opened.arrays(found)) == bits((given.metrics, given.events))
    with Store.reading(path) as opened:
        assert opened.blocks() == {"k": [found]}
        metrics, events = opened.arrays(found)
    assert bits((metrics, events)) == bits((given.metrics, given.events))
    assert (list(metrics), found.rows, found.seconds) == (["std", "mean"], range(2), 1.5)


def test_blocks_are_listed_in_order_without_reading_arrays(path):
    with Store.writing(path) as opened:
        for rows in (range(8, 12), range(4), range(8)):
            opened.add_block(block(rows=rows))
    change(path, "DROP TABLE arrays")
    with Store.reading(path) as opened:
        assert [found.rows for found in opened.blocks()["k"]] == [range(8), range(4), range(8, 12)]


def test_the_last_definition_does_not_depend_on_the_clock(path, monkeypatch):
    years = iter(range(2030, 1990, -1))
    monkeypatch.setattr(store, "now", lambda: f"{next(years)}-01-01T00:00:00+00:00")
    with Store.writing(path) as opened:
        with pytest.raises(StoreError, match=r"store\.sqlite: it holds no definition yet"):
            opened.last_definition()
        for title in ("one", "two", "three", "one"):
            opened.add_definition(definition(title, keys=("a", "b")))
            with opened.recorded_run(backend=title, workers=1, planned=0):
                pass
            assert opened.last_definition()[0] == {"title": title, "γ": [0.5]}
            assert opened.last_run().backend == title
        assert opened.last_definition()[1] == [{"key": "a", "title": "one"}, {"key": "b", "title": "one"}]


def test_cells_of_one_model_store_it_once(path):
    model = Model(10_000)
    with Store.writing(path) as opened:
        opened.add_definition(definition(keys=[f"k{number}" for number in range(10_000)], model=model))
        assert model.described == 1
        opened.add_definition(definition("other", keys=["x"], model=Model(10_000)))
        assert opened.model("k7") == opened.model("x") == Model(10_000).describe()
        assert len(opened.last_definition()[1]) == 1
        with pytest.raises(StoreError, match="it has no cell k10000"):
            opened.model("k10000")
    assert path.stat().st_size < 5_000_000


def test_machines_of_a_cell(path):
    other = {**MACHINE, "host": "there"}
    with Store.writing(path) as opened:
        for number, machine in enumerate([MACHINE, other, dict(MACHINE)]):
            opened.add_block(block(rows=range(4 * number, 4 * number + 4), machine=machine))
        opened.add_block(block("x", machine=other))
        assert opened.machines("k") == [MACHINE, other]
        assert opened.machines("x") == [other]
        assert opened.machines("none") == []


def test_a_failure_goes_when_its_replicates_have_been_run(path):
    with Store.writing(path) as opened:
        for first in (0, 10):
            opened.add_failure(BlockError("k", range(first, first + 10), "E: first", "long"))
        opened.add_failure(BlockError("k", range(10), "E: second", "long"))
        opened.add_failure(BlockError("x", range(10), "E: x", "long"))
        assert [failure.error for failure in opened.failures()] == ["E: second", "E: first", "E: x"]
        opened.add_block(block(rows=range(8, 10)))
        opened.add_block(block(rows=range(20, 24)))
    with Store.reading(path) as opened:
        assert [(failure.key, failure.rows.start) for failure in opened.failures()] == [("k", 10), ("x", 0)]


def test_the_same_block_twice(path):
    with Store.writing(path) as opened:
        opened.add_block(block())
        opened.add_block(block(machine={}))
        with pytest.raises(StoreError, match="cell k, replicates 0 to 3, is there with other results"):
            opened.add_block(block(shift=1e-15))
        assert len(opened.blocks()["k"]) == 1
        assert opened.machines("k") == [MACHINE]
    assert contents(path)["k", range(4)] == bits((block().metrics, block().events))


def test_a_transaction_is_whole_or_not_there(path):
    unstorable = block(rows=range(4, 8))
    unstorable.metrics["z"] = np.array([object()] * 4)
    with Store.writing(path) as opened:
        opened.add_block(block())
        with pytest.raises(ValueError, match="Object arrays"):
            opened.add_block(unstorable)
        broken = definition("broken", keys=("a", "b"))
        broken.cells[1].record = lambda: 1 / 0
        with pytest.raises(ZeroDivisionError):
            opened.add_definition(broken)
        with pytest.raises(StoreError, match="holds no definition"):
            opened.last_definition()
        opened.add_block(block(rows=range(4, 8)))
    assert [rows for _, rows in contents(path)] == [range(4), range(4, 8)]


# ----------------------------------------------------------------------------------------------- what it refuses

HEADER_AT = {"application": 68, "schema": 60}


def patched(content, at, value):
    return content[:at] + value.to_bytes(4, "big") + content[at + 4 :]


def foreign(content):
    with contextlib.closing(sqlite3.connect(":memory:")) as connection:
        connection.execute("CREATE TABLE definitions (id)")
        return patched(content, HEADER_AT["application"], 0)


REFUSED = {
    "empty": (lambda content: b"", "not a store: it is empty"),
    "zeros": (lambda content: bytes(len(content)), "damaged: its first bytes are all zero"),
    "random": (lambda content: np.random.default_rng(0).bytes(len(content)), "does not begin like an SQLite file"),
    "text": (lambda content: 'title = "γ"\n'.encode() * 50, "does not begin like an SQLite file"),
    "short text": (lambda content: b"S", "truncated: only 1 bytes are left"),
    "in the header": (lambda content: content[:99], "truncated: only 99 bytes are left"),
    "after the header": (lambda content: content[:100], "truncated: 100 bytes instead of"),
    "one page": (lambda content: content[:4096], "truncated: 4096 bytes instead of"),
    "by one byte": (lambda content: content[:-1], "truncated: "),
    "foreign": (foreign, "an SQLite file of something else"),
    "newer": (lambda content: patched(content, 60, 2), r"newer version of tce_theory \(schema 2, known is 1\): update"),
    "no schema": (lambda content: patched(content, 60, 0), "damaged: there is no schema 0"),
}


@pytest.mark.parametrize("way", [Store.reading, Store.writing])
@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_not_a_store_is_refused_untouched(filled, kind, way):
    spoil, problem = REFUSED[kind]
    filled.write_bytes(spoil(filled.read_bytes()))
    before = state(filled.parent)
    with pytest.raises(StoreError, match=problem) as caught, way(filled):
        pass
    assert state(filled.parent) == before
    message = str(caught.value)
    assert message.startswith(f"{filled}: ")
    assert "\n" not in message
    assert re.search("another file|bring back a copy|update", message)


@pytest.mark.parametrize("way", [Store.reading, Store.writing])
def test_folders_and_devices_are_refused(tmp_path, way):
    with pytest.raises(StoreError, match="not a store but a folder or a device"), way(tmp_path):
        pass
    if hasattr(os, "mkfifo"):
        os.mkfifo(tmp_path / "pipe")
        with pytest.raises(StoreError, match="not a store but a folder or a device"), way(tmp_path / "pipe"):
            pass
        assert [found.name for found in tmp_path.iterdir()] == ["pipe"]


def test_a_missing_file_or_folder(path):
    with pytest.raises(FileNotFoundError, match=r"store\.sqlite: there is no such file"), Store.reading(path):
        pass
    missing = path / "sub"
    with pytest.raises(FileNotFoundError, match=r"sub: the folder .*store\.sqlite does not exist"):
        Store.writing(missing).__enter__()
    assert list(path.parent.iterdir()) == []


@pytest.mark.parametrize("seed", range(20))
def test_damage_inside_is_found_and_nothing_but_a_store_error_is_raised(filled, seed):
    rng = np.random.default_rng(seed)
    sound, content = contents(filled), bytearray(filled.read_bytes())
    length = int(rng.choice([1, 20, 2000]))
    at = int(rng.integers(100, len(content) - length))
    content[at : at + length] = rng.bytes(length)
    filled.write_bytes(content)
    before = state(filled.parent)
    with contextlib.suppress(StoreError), Store.reading(filled) as opened:
        problems = opened.check()
        reads = [opened.last_definition, opened.blocks, opened.failures, opened.last_run, lambda: opened.model("k")]
        for read in [*reads, lambda: opened.machines("k")]:
            with contextlib.suppress(StoreError):
                read()
        if not problems:  # it hit nothing: much of a small file is unused
            assert contents(filled) == sound
    assert state(filled.parent) == before


@pytest.mark.parametrize("table", ["blocks", "failures"])
def test_a_range_that_is_no_number(filled, table):
    with Store.writing(filled) as opened:
        opened.add_failure(BlockError("x", range(3), "E", "long"))
    change(filled, f"UPDATE {table} SET stop = 'x'")
    with Store.reading(filled) as opened:
        with pytest.raises(StoreError, match="damaged; `tce store check` says where"):
            opened.blocks(), opened.failures()
        assert opened.check()


def test_a_closed_store_says_so(filled):
    with Store.reading(filled) as opened:
        pass
    with pytest.raises(StoreError, match="closed database"):
        opened.blocks()


def test_a_reader_cannot_write(filled):
    with Store.reading(filled) as opened, pytest.raises(StoreError, match="cannot be written"):
        opened.add_block(block("x"))


# ------------------------------------------------------------------------------------------------- where it lies


NAMES = ["a b.sqlite", 'it\'s "q".db', "what?mode=rwc#x", "50%20.db", "γ-Größe-実験.sqlite", "x;y&z"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_will_do(tmp_path, name):
    if sys.platform == "win32" and set(name) & set('?"'):
        pytest.skip("Windows has no such names")
    folder = tmp_path / "f older#é%3f"
    folder.mkdir()
    with Store.writing(folder / name) as opened:
        opened.add_block(block())
    with Store.reading(folder / name) as opened:
        assert list(opened.blocks()) == ["k"]
    assert [found.name for found in folder.iterdir()] == [name]


@posix
def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "there").mkdir()
    link, target = tmp_path / "link", tmp_path / "there" / "store.sqlite"
    link.symlink_to(target)
    with Store.writing(link) as opened:
        opened.add_block(block())
        with pytest.raises(StoreError, match="in use by process"), Store.writing(target):
            pass
    assert link.is_symlink()
    assert list(target.parent.iterdir()) == [target]
    with Store.writing(link) as opened:
        opened.add_block(block("x"))
    assert contents(link) == contents(target)


def test_a_relative_path_holds_when_the_folder_is_changed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with Store.writing("store.sqlite") as opened, opened.recorded_run(backend="threads", workers=1, planned=1):
        (tmp_path / "sub").mkdir()
        monkeypatch.chdir(tmp_path / "sub")
        opened.add_block(block())
        assert opened.last_run().state == "running"
    assert sorted(found.name for found in tmp_path.iterdir()) == ["store.sqlite", "sub"]


def test_at_rest_it_is_one_file_that_needs_no_log(filled):
    assert list(filled.parent.iterdir()) == [filled]
    assert filled.read_bytes()[18:20] == b"\x01\x01"  # 2 is the mode of a write-ahead log
    before = state(filled.parent)
    assert len(contents(filled)) == 10
    assert state(filled.parent) == before


def raise_through(manager, error):
    if not manager.__exit__(type(error), error, None):
        raise error


def test_any_exception_leaves_one_whole_file(filled):
    for error in (KeyboardInterrupt, RuntimeError, GeneratorExit):
        writing = Store.writing(filled)
        writing.__enter__().add_block(block(error.__name__))
        with pytest.raises(error):
            raise_through(writing, error())
        assert list(filled.parent.iterdir()) == [filled]
        assert filled.read_bytes()[18:20] == b"\x01\x01"
        assert (error.__name__, range(4)) in contents(filled)


# -------------------------------------------------------------------------------------------- one writes, others read


def test_a_second_writer_is_refused_at_once(path):
    with Store.writing(path) as opened:
        started = time.monotonic()
        with pytest.raises(StoreError, match=r"in use by process \d+ on .* since \d{4}-.*: watch it with `tce status`"):
            Store.writing(path).__enter__()
        assert time.monotonic() - started < _sqlite._TIMEOUT / 2
        opened.add_block(block())
    with Store.writing(path) as opened:
        opened.add_block(block("x"))
    assert list(path.parent.iterdir()) == [path]


@posix
def test_a_killed_writer_leaves_its_blocks_and_no_lock(path):
    with helper(path, WRITER) as process:
        assert process.stdout.readline() == "ready\n"
        with pytest.raises(StoreError, match=f"in use by process {process.pid} on "):
            Store.writing(path).__enter__()
        with Store.reading(path) as opened:
            run = opened.last_run()
            assert (run.state, run.pid, run.planned, run.finished) == ("running", process.pid, 9, 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert Path(f"{path}.lock").exists()
    with Store.reading(path) as opened:
        assert opened.last_run().state == "killed"
        assert len(opened.blocks()["k"]) == 3
        assert opened.check() == []
    with Store.writing(path) as opened:
        assert opened.last_run().state == "killed"
        with opened.recorded_run(backend="threads", workers=1, planned=1):
            assert opened.last_run().state == "running"
    assert list(path.parent.iterdir()) == [path]
    assert [rows for _, rows in contents(path)] == [range(4), range(4, 8), range(8, 12)]


@posix
def test_a_reader_sees_what_another_process_writes(path):
    with Store.writing(path) as opened:
        opened.add_block(block("before"))
    with Store.reading(path) as reader, helper(path, WRITER) as process:
        assert list(reader.blocks()) == ["before"]
        assert process.stdout.readline() == "ready\n"
        assert sorted(reader.blocks()) == ["before", "k"]
        assert len(reader.arrays(reader.blocks()["k"][2])[0]["std"]) == 4
        process.communicate("\n")
        assert process.returncode == 0
        # the reader keeps the writer from removing the log, and loses nothing by its end
        assert len(reader.blocks()["k"]) == 3
    with Store.reading(path) as reader:
        assert (reader.check(), reader.last_run().state) == ([], "finished")
    assert Path(f"{path}-wal").stat().st_size == 0
    with Store.writing(path):
        pass
    assert list(path.parent.iterdir()) == [path]


OTHER = """
import sqlite3
with Store.reading(path) as store:
    say(len(store.blocks()))
connection = sqlite3.connect(path)
connection.execute("SELECT * FROM runs")
connection.close()
"""


def test_readers_in_the_process_of_the_writer_do_not_undo_its_locks(path):
    # closing any descriptor of a file takes all locks of the process from it; the log would then go with the next
    # process that closes the store
    with Store.writing(path) as opened:
        opened.add_block(block())
        with Store.reading(path) as reader:
            assert len(reader.blocks()) == 1
        with helper(path, OTHER) as process:
            assert process.stdout.readline() == "1\n"
            assert process.wait() == 0
        assert Path(f"{path}-wal").exists()
        opened.add_block(block("x"))
    assert sorted(key for key, _ in contents(path)) == ["k", "x"]


def test_no_two_hold_the_lock(path):
    inside, most, taken = [0], [0], [0]

    def compete():
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            with contextlib.suppress(StoreError), _lock.sole_writer(path, path):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                taken[0] += 1
                time.sleep(0)
                inside[0] -= 1

    threads = [threading.Thread(target=compete) for _ in range(6)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert most == [1]
    assert taken[0] > 20
    assert list(path.parent.iterdir()) == []


def test_a_lock_that_changed_hands_while_it_was_opened_is_not_taken(path, monkeypatch):
    """The holder removes the file between the other's opening and locking it."""
    lock, locks = Path(f"{path}.lock"), _lock._locks
    tries = []

    def late(file, *, shared):
        tries.append(file)
        if len(tries) == 1:
            lock.unlink()
        return locks(file, shared=shared)

    monkeypatch.setattr(_lock, "_locks", late)
    with _lock.sole_writer(path, path):
        assert len(tries) == 2
        assert lock.exists()
        monkeypatch.undo()
        assert _lock.is_locked(path)
    assert not _lock.is_locked(path)


@pytest.mark.parametrize(
    ("error", "expected"), [(None, "finished"), (KeyboardInterrupt, "interrupted"), (ValueError, "stopped")]
)
def test_a_run_is_recorded(path, monkeypatch, error, expected):
    clock = iter([100.0, 101.5, 103.0, 110.0])
    monkeypatch.setattr(store.time, "monotonic", lambda: next(clock))
    with Store.writing(path) as opened:
        assert opened.last_run() is None
        with contextlib.suppress(BaseException), opened.recorded_run(backend="dask", workers=3, planned=7):
            opened.add_block(block())
            opened.add_failure(BlockError("k", range(4, 8), "E", "long"))
            run = opened.last_run()
            assert (run.state, run.finished, run.failed, run.seconds) == ("running", 1, 1, 3.0)
            assert (run.backend, run.workers, run.planned, run.pid) == ("dask", 3, 7, os.getpid())
            if error:
                raise error
        opened.add_block(block("x"))  # not of the run
        run = opened.last_run()
    assert (run.state, run.finished, run.failed, run.seconds) == (expected, 1, 1, 10.0)


# ------------------------------------------------------------------------------------------- folders that are read only

NOBODY = """
os.setgid(65534)
os.setuid(65534)
"""
READ = """
try:
    with Store.reading(path) as store:
        found = [store.arrays(block)[0]["std"][0, 0] for block in store.blocks()["k"]]
        say(*found, store.check())
except StoreError as error:
    say(error)
"""
WRITE = """
try:
    with Store.writing(path):
        say("written")
except StoreError as error:
    say(error)
"""


@pytest.fixture
def public():
    """Return a path in a folder that others may read; pytest closes its own to them."""
    if sys.platform == "win32" or os.getuid() != 0:
        pytest.skip("only root can become another user, and permissions do not bind root")
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        if not all(parent.stat().st_mode & 0o001 for parent in Path(folder).parents):
            pytest.skip("the folder for temporary files is closed to other users")
        yield Path(folder, "store.sqlite")


def read_by_nobody(path):
    with helper(path, NOBODY + READ + WRITE) as process:
        return process.communicate()[0].splitlines()


def test_a_read_only_folder(public):
    fill(public)
    before = state(public.parent)
    read, written = read_by_nobody(public)
    assert read == " ".join(str(float(first)) for first in range(0, 40, 4)) + " []"
    assert "its folder cannot be written (Permission denied)" in written
    assert state(public.parent) == before


def test_a_killed_store_in_a_read_only_folder(public):
    killed(public)
    read, _ = read_by_nobody(public)
    assert read == "0.0 4.0 8.0 []"
    Path(f"{public}-shm").unlink()
    read, _ = read_by_nobody(public)
    assert re.search("its writer was killed, .* copy it with the files beside it", read)


def test_a_file_that_cannot_be_read(public):
    fill(public).chmod(0o600)
    read, written = read_by_nobody(public)
    assert "it cannot be read (Permission denied)" in read
    assert "it cannot be read (Permission denied)" in written


def test_a_folder_where_no_lock_can_be_made(filled, monkeypatch):
    def refuse(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(_lock, "_locked", refuse)
    with pytest.raises(StoreError, match=r"its folder cannot be written \(Permission denied\)"), Store.writing(filled):
        pass


@posix
def test_a_killed_store_is_read_and_mended(path):
    killed(path)
    copy = path.parent / "copy"
    copy.mkdir()
    for kind in ("", "-wal"):
        (copy / f"{path.name}{kind}").write_bytes(Path(f"{path}{kind}").read_bytes())
    assert len(contents(path)) == len(contents(copy / path.name)) == 3
    assert Path(f"{path}-wal").stat().st_size > 0  # reading leaves it to the next writer
    with Store.writing(path):
        pass
    assert len(contents(path)) == 3
    assert Path(f"{path}-wal").exists() is False


def test_a_write_that_was_cut_short_is_undone(filled):
    """The start and the end of a writer change the file itself, with a rollback journal."""
    expected, copy = contents(filled), filled.parent / "copy.sqlite"
    with contextlib.closing(sqlite3.connect(filled, isolation_level=None)) as connection:
        connection.execute("PRAGMA cache_size = 1")
        connection.execute("BEGIN IMMEDIATE")
        connection.execute("DELETE FROM arrays")
        connection.execute("CREATE TABLE filler (x)")
        connection.executemany("INSERT INTO filler VALUES (?)", [("x" * 3000,)] * 300)
        copy.write_bytes(filled.read_bytes())
        Path(f"{copy}-journal").write_bytes(Path(f"{filled}-journal").read_bytes())
        connection.execute("ROLLBACK")
    assert copy.stat().st_size > filled.stat().st_size
    assert contents(copy) == expected
    assert contents(filled) == expected


# ----------------------------------------------------------------------------------------------------- a full disk

FULL = """
import resource
resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, resource.RLIM_INFINITY))
first = 0
try:
    with Store.writing(path) as store, store.recorded_run(backend="threads", workers=1, planned=100):
        while True:
            store.add_block(block(first, 2000))
            first += 4
except StoreError as error:
    say(first // 4)
    say(error)
"""


@posix
def test_a_full_disk_keeps_what_was_finished(path):
    with helper(path, FULL) as process:
        finished, error = process.communicate()[0].splitlines()
    assert re.search("disk is full or does not work; what was finished is kept: mend that and run it again", error)
    finished = int(finished)
    assert finished > 1
    with Store.reading(path) as opened:
        assert len(opened.blocks()["k"]) == finished
        assert opened.check() == []
    with Store.writing(path) as opened:
        opened.add_block(block("x"))
    assert list(path.parent.iterdir()) == [path]
    assert len(contents(path)) == finished + 1


def test_a_full_store_goes_on_when_there_is_space(filled):
    with Store.writing(filled) as opened:
        (pages,) = opened.rows("PRAGMA page_count")[0]
        opened.rows(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StoreError, match="the disk is full; what was finished is kept: free some space"):
            opened.add_block(block("big", rows=range(500), generations=50))
        assert "big" not in opened.blocks()
        opened.rows("PRAGMA max_page_count = 1000000")
        opened.add_block(block("big", rows=range(500), generations=50))
    assert len(contents(filled)) == 11


@posix
def test_a_disk_too_full_for_a_new_store_leaves_nothing(path):
    limit = "import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, (8000, 8000))\n"
    with helper(path, limit + WRITE) as process:
        error = process.communicate()[0]
    assert re.search(r"store\.sqlite: .*(disk is full|cannot be made)", error)
    assert list(path.parent.iterdir()) == []


# --------------------------------------------------------------------------------------------------------- check

DAMAGE = {
    "content": ("UPDATE arrays SET content = zeroblob(length(content)) WHERE block = 3 AND name = 'mean'",),
    "checksum": ("UPDATE arrays SET sha256 = 'x' WHERE block = 3 AND kind = 'event'",),
    "no arrays": ("DELETE FROM arrays WHERE block = 3",),
    "rows": ("UPDATE blocks SET stop = stop + 1 WHERE id = 3",),
    "range": ("UPDATE blocks SET stop = first WHERE id = 3",),
    "machine": ("UPDATE blocks SET machine = 9",),
    "cells": ("UPDATE cells SET record = '{'",),
    "models": ("UPDATE models SET description = x'ff'",),
    "definition": ("UPDATE definitions SET description = replace(description, 'title', 'titel')",),
    "record": ("UPDATE cells SET record = replace(record, 'title', 'titel')",),
    "replicates": ("UPDATE cells SET replicates = replicates + 1",),
    "overlap": ("UPDATE blocks SET first = 10, stop = 14 WHERE id = 4",),
}
FOUND = {
    "content": [r"damaged: cell k, replicates 8 to 11: metric 'mean': its checksum is wrong; bring back a copy"],
    "checksum": [r"damaged: cell k, replicates 8 to 11: event 'vacuous': its checksum is wrong; bring back a copy"],
    "no arrays": ["cell k, replicates 8 to 11: it has no metrics"],
    "rows": [r"damaged: cell k, replicates 8 to 12: metric 'std': it has the shape \(4, 3\); bring back a copy"],
    "range": ["blocks: row 3 has the replicates from 8 to before 8", "damaged: cell k, replicates 8 to 7: metric"],
    "machine": ["blocks: row 1 refers to a row of machines that is not there"],
    "cells": ["cells: row 1 is not JSON"],
    "models": ["models: row 1 is not JSON"],
    "definition": ["definitions: row 1: its checksum is wrong"],
    "record": ["cells: row 1: its checksum is wrong"],
    "replicates": ["cells: row 1: its checksum is wrong"],
    "overlap": [f"cell k, replicates 10 to 13: {name} differs from that of replicates 8 to 11, which overlap"
                for name in ("mean", "std", "vacuous")],
}  # fmt: skip


@pytest.mark.parametrize("kind", DAMAGE)
def test_check_finds_damage(filled, kind):
    with Store.reading(filled) as opened:
        seen = []
        assert opened.check(lambda done, total: seen.append((done, total))) == []
        assert seen == [(number, 10) for number in range(1, 11)]
    change(filled, *DAMAGE[kind])
    with Store.reading(filled) as opened:
        problems = opened.check()
        for expected in FOUND[kind]:
            assert any(re.match(expected, problem) for problem in problems), problems
        if kind != "machine":
            assert len(problems) == len(FOUND[kind])
        if kind in ("content", "checksum"):
            with pytest.raises(StoreError, match=f"^{re.escape(str(filled))}: {FOUND[kind][0]}"):
                opened.arrays(opened.blocks()["k"][2])
        if kind == "cells":
            with pytest.raises(StoreError, match="damaged; `tce store check` says where"):
                opened.last_definition()


def test_blocks_that_overlap_and_agree_are_sound(path):
    with Store.writing(path) as opened:
        for rows in (range(4), range(10), range(4, 8), range(8, 12)):
            opened.add_block(block(rows=rows))
        assert opened.check() == []
        opened.add_block(block("x", rows=range(4)))
        opened.add_block(block("x", rows=range(10), shift=1e-15))
        assert opened.check() == [
            f"cell x, replicates 0 to 3: {name} differs from that of replicates 0 to 9, which overlap"
            for name in ("mean", "std")
        ]


def test_a_block_is_compared_with_one_that_is_not_its_neighbour(path):
    with Store.writing(path) as opened:
        for rows, shift in ((range(10), 0), (range(4), 0), (range(4, 8), 1e-15)):
            opened.add_block(block(rows=rows, shift=shift))
        assert len(opened.check()) == 2


def test_nothing_is_unpickled(filled):
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.array([{}] * 4), allow_pickle=True)
    content = buffer.getvalue()
    digest = hashlib.sha256(content).hexdigest()
    change(filled, "UPDATE arrays SET content = ?, sha256 = ? WHERE block = 1", content, digest)
    with Store.reading(filled) as opened, pytest.raises(StoreError, match="Object arrays cannot be loaded"):
        opened.arrays(opened.blocks()["k"][0])


def test_the_application_is_in_the_header(filled):
    header = filled.read_bytes()[:100]
    assert header[68:72] == b"TCES"
    assert int.from_bytes(header[60:64], "big") == 1
