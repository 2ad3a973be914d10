"""Opening the SQLite file of a store: what it must look like, and what SQLite's errors mean.

A file is inspected before SQLite gets it, because SQLite would take an empty file for an empty database, and make files
beside it.

While a process writes, the store is in SQLite's mode of a write-ahead log, `<store>-wal`, and others can read it. At
the end it goes back to the mode of a rollback journal, in which a store at rest is one file. With `synchronous =
NORMAL` the log is not forced to the disk at each commit: a process that is killed loses nothing that it had committed,
and a power cut may lose the last commits, whole ones, but does not damage the file.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
import stat
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from tce_theory.errors import StoreError
from tce_theory.experiments._lock import beside, sole_writer

__all__ = ["opened_for_reading", "opened_for_writing", "translated"]

_MAGIC = b"SQLite format 3\0"
_HEADER = 100
_APPLICATION = 0x54434553
_SCHEMA = 1
_TIMEOUT = 30.0
"""Seconds to wait for another connection; each of them needs milliseconds."""

_QUICK = 2**28
"""Bytes that are looked through in less than a second: damage in smaller stores is found before anything is written."""

_NOT_ANOTHER = "name another file, or delete this one if it is not needed"
_MEANINGS = {
    sqlite3.SQLITE_FULL: "the disk is full; what was finished is kept: free some space and run it again",
    sqlite3.SQLITE_IOERR: "the disk is full or does not work; what was finished is kept: mend that and run it again",
    sqlite3.SQLITE_CORRUPT: "damaged; `tce store check` says where",
    sqlite3.SQLITE_NOTADB: "damaged; `tce store check` says where",
    sqlite3.SQLITE_READONLY: "the file or its folder cannot be written; change its permissions, or copy it elsewhere",
    sqlite3.SQLITE_CANTOPEN: "the file, or one beside it, cannot be opened; look at the permissions of its folder",
    sqlite3.SQLITE_BUSY: "another process has kept it locked for too long; end that, and run it again",
}


# -------------------------------------------------------------------------------------------------------- errors


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turn errors of SQLite into a `StoreError` that says what to do."""
    try:
        yield
    except sqlite3.Error as error:
        meaning = _MEANINGS.get(_code(error))
        said = f"{meaning} (SQLite: {error})" if meaning else f"SQLite says: {error}; `tce store check` may say more"
        raise StoreError(f"{path}: {said}") from error


def _code(error: sqlite3.Error) -> int:
    """Return the primary code of an error; 0 for one of Python's own, which has none."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


# -------------------------------------------------------------------------------------------------------- header

_GUARD = threading.RLock()
_OPEN: Counter[tuple[int, int]] = Counter()
"""How often each file is open in this process. On POSIX systems a process that closes any descriptor of a file loses
all its locks on it, those of SQLite, too: a file that is open here must not be opened beside SQLite."""


def _inspect(path: Path, file: Path) -> None:
    """Refuse what is not a store, without touching it."""
    with _GUARD:
        try:
            status = file.stat()
            if not stat.S_ISREG(status.st_mode):
                raise StoreError(f"{path}: not a store but a folder or a device; name another file")
            if _OPEN[_identity(status)]:
                return
            with open(file, "rb") as opened:
                header = opened.read(_HEADER)
        except FileNotFoundError:
            raise FileNotFoundError(f"{path}: there is no such file") from None
        except OSError as error:
            raise StoreError(f"{path}: it cannot be read ({error.strerror}); look at its permissions") from None
    problem = _problem(header) or _truncation(header, file)
    if problem:
        raise StoreError(f"{path}: {problem}")


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _problem(header: bytes) -> str | None:
    """Say what is wrong with the first bytes of a file (https://www.sqlite.org/fileformat2.html, section 1.3)."""
    if not header:
        return f"not a store: it is empty; {_NOT_ANOTHER}"
    if not any(header):
        return "damaged: its first bytes are all zero; bring back a copy, or delete it and run again"
    if not header.startswith(_MAGIC[: len(header)]):
        return f"not a store, or damaged: it does not begin like an SQLite file; {_NOT_ANOTHER}"
    if len(header) < _HEADER:
        return f"truncated: only {len(header)} bytes are left; bring back a copy, or delete it and run again"
    application, schema = (int.from_bytes(header[at : at + 4], "big") for at in (68, 60))
    if application != _APPLICATION:
        return f"not a store: it is an SQLite file of something else; {_NOT_ANOTHER}"
    if schema > _SCHEMA:
        return f"written by a newer version of tce_theory (schema {schema}, known is {_SCHEMA}): update tce_theory"
    if schema != _SCHEMA:
        return f"damaged: there is no schema {schema}; bring back a copy, or delete it and run again"
    return None


def _truncation(header: bytes, file: Path) -> str | None:
    """Compare the size with what the header says, unless a log or a journal may hold the rest."""
    size = int.from_bytes(header[16:18], "big")
    page = 65536 if size == 1 else size
    pages = int.from_bytes(header[28:32], "big")
    is_valid = header[24:28] == header[92:96]
    # the size is looked up last: it grows before a log goes
    if is_valid and not any(beside(file, kind).exists() for kind in ("-wal", "-journal")):
        found = file.stat().st_size
        if found < pages * page:
            return (
                f"truncated: {found} bytes instead of {pages * page} are left; bring back a copy, "
                "or delete it and run again"
            )
    return None


# ------------------------------------------------------------------------------------------------------- opening


@contextlib.contextmanager
def opened_for_reading(path: Path) -> Iterator[sqlite3.Connection]:
    """Open a store to read it; nothing is written, but if a process was killed in the midst of a write it is undone."""
    file = Path(os.path.realpath(path))
    with _connection(path, file, "ro") as connection:
        with translated(path):
            _make_readable(path, file, connection)
        yield connection


@contextlib.contextmanager
def opened_for_writing(path: Path, tables: str) -> Iterator[sqlite3.Connection]:
    """Open a store to write it, alone; make it if there is none."""
    file = Path(os.path.realpath(path))
    if not os.path.isdir(file.parent):  # unlike that of Path, it raises nothing
        raise FileNotFoundError(f"{path}: the folder {file.parent} does not exist")
    if os.path.exists(file):
        _inspect(path, file)  # before there is a lock: nothing is left beside what is refused
    with sole_writer(path, file):
        if not file.exists():
            _make(path, file, tables)
        with _connection(path, file, "rw") as connection:
            with translated(path):
                if file.stat().st_size < _QUICK and connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
                    raise StoreError(f"{path}: damaged; `tce store check` says where")
                connection.execute("PRAGMA journal_mode = WAL")
                connection.execute("PRAGMA synchronous = NORMAL")
                connection.execute("PRAGMA foreign_keys = ON")
            try:
                yield connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # it is the first error that matters
                    _rest(connection)
                raise
            with translated(path):
                _rest(connection)


@contextlib.contextmanager
def _connection(path: Path, file: Path, mode: str) -> Iterator[sqlite3.Connection]:
    with _GUARD:
        _inspect(path, file)
        with translated(path):
            uri = f"{file.as_uri()}?mode={mode}"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, timeout=_TIMEOUT)
        identity = _identity(file.stat())
        _OPEN[identity] += 1
    try:
        yield connection
    finally:
        with _GUARD:
            connection.close()
            _OPEN[identity] -= 1


def _make_readable(path: Path, file: Path, connection: sqlite3.Connection) -> None:
    """Read once; if there is a write to be undone first, which SQLite does not do for who may only read, do it."""
    try:
        _touch(connection)
    except sqlite3.OperationalError as error:
        if _code(error) not in (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN):
            raise
        try:
            with _connection(path, file, "rw") as writing:
                _touch(writing)
            _touch(connection)
        except sqlite3.OperationalError as error:
            raise StoreError(
                f"{path}: its writer was killed, and to mend that its folder must be writable: copy it with the files "
                f"beside it ({file.name}-*) to a folder that is (SQLite: {error})"
            ) from error


def _touch(connection: sqlite3.Connection) -> None:
    connection.execute("SELECT count(*) FROM sqlite_master").fetchone()


def _make(path: Path, file: Path, tables: str) -> None:
    """Make an empty store, which is whole or not there."""
    draft = file.with_name(f".tce-{secrets.token_hex(8)}.tmp")
    try:
        with translated(path), contextlib.closing(sqlite3.connect(draft)) as connection:
            settings = f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_SCHEMA};"
            connection.executescript(f"PRAGMA journal_mode = MEMORY; BEGIN; {settings} {tables} COMMIT;")
        os.replace(draft, file)
    except BaseException:
        draft.unlink(missing_ok=True)
        raise


def _rest(connection: sqlite3.Connection) -> None:
    """Bring all into the one file, and leave none beside it."""
    connection.execute("PRAGMA busy_timeout = 1000")
    try:
        connection.execute("PRAGMA journal_mode = DELETE")
    except sqlite3.OperationalError as error:
        if _code(error) != sqlite3.SQLITE_BUSY:
            raise
        # somebody has it open to read: the log stays, emptied if possible, and the next writer removes it
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
