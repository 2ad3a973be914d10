"""The store: one SQLite file that holds definitions, finished blocks with their arrays, and failures.

It is written by the coordinating process alone; others can read it meanwhile. At rest it is one file, which can be
copied and read wherever it lies. A finished block is there with all its arrays, or not at all. No logic depends on the
clock: times are for people.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import socket
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from tce_theory.errors import StoreError
from tce_theory.experiments import _check
from tce_theory.experiments._lock import is_locked, now
from tce_theory.experiments._sqlite import opened_for_reading, opened_for_writing, translated

if TYPE_CHECKING:
    from tce_theory.experiments.blocks import BlockError, BlockResult
    from tce_theory.experiments.definition import Definition

__all__ = ["Failure", "Store", "StoredBlock", "StoredRun", "digest_of", "digest_of_cell"]

Arrays = dict[str, np.ndarray]

_TABLES = """
CREATE TABLE definitions (
    id INTEGER PRIMARY KEY,
    digest TEXT NOT NULL UNIQUE,
    description TEXT NOT NULL,
    last INTEGER NOT NULL DEFAULT 0 -- counts the uses: the greatest is the definition that was run last
);
CREATE TABLE models (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, description TEXT NOT NULL);
CREATE TABLE machines (id INTEGER PRIMARY KEY, digest TEXT NOT NULL UNIQUE, description TEXT NOT NULL);
CREATE TABLE cells (
    definition INTEGER NOT NULL REFERENCES definitions,
    position INTEGER NOT NULL,
    key TEXT NOT NULL,
    replicates INTEGER NOT NULL,
    model INTEGER NOT NULL REFERENCES models,
    record TEXT NOT NULL,
    digest TEXT NOT NULL, -- of all of this: `digest_of_cell`
    PRIMARY KEY (definition, position)
);
CREATE INDEX cells_by_key ON cells (key);
CREATE TABLE runs (
    id INTEGER PRIMARY KEY,
    state TEXT NOT NULL CHECK (state IN ('running', 'finished', 'interrupted', 'stopped', 'killed')),
    started TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    backend TEXT NOT NULL,
    workers INTEGER NOT NULL,
    planned INTEGER NOT NULL,
    finished INTEGER NOT NULL DEFAULT 0,
    failed INTEGER NOT NULL DEFAULT 0,
    seconds REAL NOT NULL DEFAULT 0
);
CREATE TABLE blocks (
    id INTEGER PRIMARY KEY,
    key TEXT NOT NULL,
    first INTEGER NOT NULL CHECK (first >= 0),
    stop INTEGER NOT NULL CHECK (stop > first),
    seconds REAL NOT NULL,
    finished TEXT NOT NULL,
    machine INTEGER NOT NULL REFERENCES machines,
    UNIQUE (key, first, stop)
);
CREATE TABLE arrays (
    block INTEGER NOT NULL REFERENCES blocks,
    kind TEXT NOT NULL CHECK (kind IN ('metric', 'event')),
    name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    content BLOB NOT NULL, -- as in a file .npy
    PRIMARY KEY (block, kind, name)
);
CREATE TABLE failures (
    key TEXT NOT NULL,
    first INTEGER NOT NULL CHECK (first >= 0),
    stop INTEGER NOT NULL CHECK (stop > first),
    error TEXT NOT NULL,
    details TEXT NOT NULL,
    failed TEXT NOT NULL,
    PRIMARY KEY (key, first)
);
"""


@dataclass(frozen=True)
class StoredBlock:
    """A finished block, without its arrays."""

    id: int
    key: str
    rows: range
    seconds: float

    def __str__(self) -> str:
        return f"cell {self.key}, replicates {self.rows.start} to {self.rows.stop - 1}"


@dataclass(frozen=True)
class Failure:
    """A block that failed."""

    key: str
    rows: range
    error: str
    details: str


@dataclass(frozen=True)
class StoredRun:
    """A run of a coordinator.

    Attributes
    ----------
    state : str
        "running", "finished", "interrupted" (by Ctrl-C), "stopped" (by an error) or "killed".
    started : str
        Date and time by the clock of its host, in ISO 8601.
    host : str
    pid : int
        Number of the process on its host.
    backend : str
    workers : int
    planned, finished, failed : int
        Numbers of blocks.
    seconds : float
        From its start to the last block, or to its end, by a clock that nobody sets.
    """

    state: str
    started: str
    host: str
    pid: int
    backend: str
    workers: int
    planned: int
    finished: int
    failed: int
    seconds: float


class Store:
    """An open store. Use `Store.reading` and `Store.writing`.

    Raises
    ------
    StoreError
        If the file is damaged, foreign, or newer; if another process writes it; or if the disk is full.

    Notes
    -----
    Who reads while another process writes must be on the same machine, because SQLite's log is shared in memory. A
    store at rest can be read from anywhere.

    Examples
    --------
    >>> import tempfile
    >>> from tce_theory.experiments.blocks import BlockError
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with Store.writing(Path(folder, "store.sqlite")) as store:
    ...         store.add_failure(BlockError("k", range(3), "ValueError: no", "Traceback"))
    ...     with Store.reading(Path(folder, "store.sqlite")) as store:
    ...         store.failures()
    [Failure(key='k', rows=range(0, 3), error='ValueError: no', details='Traceback')]
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.path, self._connection = path, connection
        self._file = Path(os.path.realpath(path))
        self._run: tuple[int, float] | None = None

    @classmethod
    @contextlib.contextmanager
    def writing(cls, path: str | os.PathLike[str]) -> Iterator[Self]:
        """Open a store to add to it, and make it if there is none; its folder must exist.

        Raises
        ------
        FileNotFoundError
            If there is no such folder.
        """
        with opened_for_writing(Path(path), _TABLES) as connection:
            store = cls(Path(path), connection)
            with store._transaction() as sql:  # nobody else holds the lock
                sql.execute("UPDATE runs SET state = 'killed' WHERE state = 'running'")
            yield store

    @classmethod
    @contextlib.contextmanager
    def reading(cls, path: str | os.PathLike[str]) -> Iterator[Self]:
        """Open a store to read it, also while another process writes it.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        """
        with opened_for_reading(Path(path)) as connection:
            yield cls(Path(path), connection)

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """Return what a query finds."""
        with translated(self.path):
            return self._connection.execute(query, values).fetchall()

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with translated(self.path):
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
                self._connection.execute("COMMIT")
            except BaseException:
                if self._connection.in_transaction:  # a full disk may have ended it
                    self._connection.execute("ROLLBACK")
                raise

    def _parsed(self, text: str) -> Any:
        try:
            return json.loads(text)
        except (TypeError, ValueError):
            raise self._damaged() from None

    # ------------------------------------------------------------------------------------------- definitions

    def add_definition(self, definition: Definition) -> None:
        """Record a definition with its cells; it becomes the last one."""
        models: dict[int, tuple[int, str]] = {}
        with self._transaction() as sql:
            number = _interned(sql, "definitions", definition.document)
            sql.execute("UPDATE definitions SET last = 1 + (SELECT max(last) FROM definitions) WHERE id = ?", (number,))
            rows = []
            for position, cell in enumerate(definition.cells):
                if id(cell.model) not in models:
                    described = cell.model.describe()
                    models[id(cell.model)] = _interned(sql, "models", described), digest_of(_in_json(described))
                record = json.dumps(cell.record())
                model, model_digest = models[id(cell.model)]
                digest = digest_of_cell(cell.key, cell.replicates, model_digest, record)
                rows.append((number, position, cell.key, cell.replicates, model, record, digest))
            sql.execute("DELETE FROM cells WHERE definition = ?", (number,))
            sql.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def last_definition(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Return the definition that was run last, and the records of its cells."""
        found = self.rows("SELECT id, description FROM definitions ORDER BY last DESC LIMIT 1")
        if not found:
            raise StoreError(f"{self.path}: it holds no definition yet; `tce run` puts one there")
        number, document = found[0]
        records = self.rows("SELECT record FROM cells WHERE definition = ? ORDER BY position", number)
        return self._parsed(document), [self._parsed(record) for (record,) in records]

    def model(self, key: str) -> dict[str, Any]:
        """Return the description of the model of a cell."""
        query = "SELECT description FROM models JOIN cells ON cells.model = models.id WHERE key = ? LIMIT 1"
        for (text,) in self.rows(query, key):
            return dict(self._parsed(text))
        raise StoreError(f"{self.path}: it has no cell {key}")

    # ------------------------------------------------------------------------------------------------ blocks

    def add_block(self, block: BlockResult) -> None:
        """Add a finished block in one transaction.

        If it is there already nothing is changed.

        Raises
        ------
        StoreError
            If it is there with other results.
        """
        packed = [
            (kind, name, hashlib.sha256(content).hexdigest(), content)
            for kind, arrays in (("metric", block.metrics), ("event", block.events))
            for name, content in ((name, _packed(array)) for name, array in arrays.items())
        ]
        place = (block.key, block.rows.start, block.rows.stop)
        with self._transaction() as sql:
            if self._is_there(place, {(kind, name): digest for kind, name, digest, _ in packed}):
                return
            machine = _interned(sql, "machines", block.machine)
            number = sql.execute(
                "INSERT INTO blocks (key, first, stop, seconds, finished, machine) VALUES (?, ?, ?, ?, ?, ?)",
                (*place, block.seconds, now(), machine),
            ).lastrowid
            sql.executemany("INSERT INTO arrays VALUES (?, ?, ?, ?, ?)", [(number, *row) for row in packed])
            sql.execute("DELETE FROM failures WHERE key = ? AND stop > ? AND first < ?", place)
            self._count(sql, "finished")

    def _is_there(self, place: tuple[str, int, int], digests: Mapping[tuple[str, str], str]) -> bool:
        query = "SELECT id, key, first, stop, seconds FROM blocks WHERE key = ? AND first = ? AND stop = ?"
        for block in self._blocks(query, *place):
            rows = self.rows("SELECT kind, name, sha256 FROM arrays WHERE block = ?", block.id)
            if {(kind, name): digest for kind, name, digest in rows} != digests:
                raise StoreError(f"{self.path}: {block}, is there with other results; this is an error in tce_theory")
            return True
        return False

    def _blocks(self, query: str, *values: Any) -> Iterator[StoredBlock]:
        for number, key, first, stop, seconds in self.rows(query, *values):
            yield StoredBlock(number, key, self._range(first, stop), seconds)

    def _range(self, first: Any, stop: Any) -> range:
        try:
            return range(first, stop)
        except TypeError:
            raise self._damaged() from None

    def _damaged(self) -> StoreError:
        return StoreError(f"{self.path}: damaged; `tce store check` says where")

    def blocks(self) -> dict[str, list[StoredBlock]]:
        """Return the finished blocks by the keys of their cells, without reading arrays."""
        found: dict[str, list[StoredBlock]] = {}
        for block in self._blocks("SELECT id, key, first, stop, seconds FROM blocks ORDER BY key, first, stop DESC"):
            found.setdefault(block.key, []).append(block)
        return found

    def arrays(self, block: StoredBlock, metrics: Collection[str] | None = None) -> tuple[Arrays, Arrays]:
        """Read metrics (replicates, generations + 1) and events (replicates,) of a block, and verify them.

        If `metrics` are given, read these alone and no events.
        """
        found: dict[str, Arrays] = {"metric": {}, "event": {}}
        names = () if metrics is None else tuple(metrics)
        some = "" if metrics is None else f"AND kind = 'metric' AND name IN ({', '.join('?' * len(names))}) "
        # by its place and not by its number, which in a store that has been replaced is that of another block
        query = "SELECT id FROM blocks WHERE key = ? AND first = ? AND stop = ?"
        for kind, name, digest, content in self.rows(
            f"SELECT kind, name, sha256, content FROM arrays WHERE block = ({query}) {some}ORDER BY rowid",
            *(block.key, block.rows.start, block.rows.stop, *names),
        ):
            try:
                array = _unpacked(content, digest)
                if array.ndim != (2 if kind == "metric" else 1) or len(array) != len(block.rows):
                    raise ValueError(f"it has the shape {array.shape}")
            except Exception as error:  # what NumPy's reader raises on damage is an open list
                raise StoreError(
                    f"{self.path}: damaged: {block}: {kind} {name!r}: {error}; bring back a copy of the store"
                ) from None
            found[kind][name] = array
        return found["metric"], found["event"]

    def machines(self, key: str) -> list[dict[str, Any]]:
        """Return where and by what the blocks of a cell were run."""
        query = "SELECT description FROM machines WHERE id IN (SELECT machine FROM blocks WHERE key = ?) ORDER BY id"
        return [self._parsed(text) for (text,) in self.rows(query, key)]

    # ---------------------------------------------------------------------------------------------- failures

    def add_failure(self, failed: BlockError) -> None:
        """Record a block that failed, in place of what was known of it."""
        with self._transaction() as sql:
            row = (failed.key, failed.rows.start, failed.rows.stop, failed.error, failed.details, now())
            sql.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", row)
            self._count(sql, "failed")

    def failures(self) -> list[Failure]:
        """Return the blocks that failed and have not been run since."""
        rows = self.rows("SELECT key, first, stop, error, details FROM failures ORDER BY key, first")
        return [Failure(key, self._range(first, stop), error, details) for key, first, stop, error, details in rows]

    # -------------------------------------------------------------------------------------------------- runs

    @contextlib.contextmanager
    def recorded_run(self, *, backend: str, workers: int, planned: int) -> Iterator[None]:
        """Record how the work inside goes, for those who watch.

        Parameters
        ----------
        backend : str
        workers : int
        planned : int
            Number of blocks that are to be run.
        """
        with self._transaction() as sql:
            number = sql.execute(
                "INSERT INTO runs (state, started, host, pid, backend, workers, planned) "
                "VALUES ('running', ?, ?, ?, ?, ?, ?)",
                (now(), socket.gethostname(), os.getpid(), backend, workers, planned),
            ).lastrowid
        assert number is not None
        self._run = number, time.monotonic()
        try:
            yield
        except BaseException as error:
            with contextlib.suppress(StoreError):  # it is the first error that matters
                self._end_run("interrupted" if isinstance(error, KeyboardInterrupt) else "stopped")
            raise
        else:
            self._end_run("finished")
        finally:
            self._run = None

    def _count(self, sql: sqlite3.Connection, outcome: str) -> None:
        if self._run is not None:
            number, started = self._run
            query = f"UPDATE runs SET {outcome} = {outcome} + 1, seconds = ? WHERE id = ?"
            sql.execute(query, (time.monotonic() - started, number))

    def _end_run(self, state: str) -> None:
        assert self._run is not None
        number, started = self._run
        with self._transaction() as sql:
            query = "UPDATE runs SET state = ?, seconds = ? WHERE id = ?"
            sql.execute(query, (state, time.monotonic() - started, number))

    def last_run(self) -> StoredRun | None:
        """Return the last run, None if there was none."""
        query = (
            "SELECT state, started, host, pid, backend, workers, planned, finished, failed, seconds FROM runs "
            "ORDER BY id DESC LIMIT 1"
        )
        found = self.rows(query)
        # a run records its end before the lock goes: read again, it is still running only if it was killed
        while found and found[0][0] == "running" and not is_locked(self._file):
            again = self.rows(query)
            if again == found:
                return StoredRun("killed", *found[0][1:])
            found = again
        return StoredRun(*found[0]) if found else None

    # ------------------------------------------------------------------------------------------------- check

    def check(self, progress: Callable[[int, int], None] | None = None) -> list[str]:
        """Look for damage in everything that is stored.

        Parameters
        ----------
        progress : callable, optional
            Gets the number of blocks that have been looked at, and of all.

        Returns
        -------
        list of str
            A line for each problem; none if the store is sound.
        """
        return list(_check.problems(self, progress))


def digest_of(text: str) -> str:
    """Return the checksum of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def digest_of_cell(key: str, replicates: int, model: str, record: str) -> str:
    """Return the checksum of a row of the table of cells; `model` is that of its model."""
    return digest_of(f"{key} {replicates} {model} {record}")


def _in_json(description: Mapping[str, Any]) -> str:
    return json.dumps(description, sort_keys=True)


def _interned(sql: sqlite3.Connection, table: str, description: Mapping[str, Any]) -> int:
    """Return the number of a description, which is stored once."""
    text = _in_json(description)
    digest = digest_of(text)
    found = sql.execute(f"SELECT id FROM {table} WHERE digest = ?", (digest,)).fetchone()
    if found is None:
        found = (sql.execute(f"INSERT INTO {table} (digest, description) VALUES (?, ?)", (digest, text)).lastrowid,)
    return int(found[0])


def _packed(array: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    np.lib.format.write_array(buffer, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def _unpacked(content: bytes, digest: str) -> np.ndarray:
    if hashlib.sha256(content).hexdigest() != digest:
        raise ValueError("its checksum is wrong")
    return np.asarray(np.lib.format.read_array(io.BytesIO(content), allow_pickle=False))
