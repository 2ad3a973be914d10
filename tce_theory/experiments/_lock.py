"""The lock of a store: one process writes it.

It is a lock of the operating system on `<store>.lock`. A process that is killed loses it, so that a file that was left
behind locks nobody out.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from tce_theory.errors import StoreError

__all__ = ["beside", "is_locked", "now", "sole_writer"]


def now() -> str:
    """Return the time of the day, for people: nothing depends on it."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def beside(file: Path, kind: str) -> Path:
    """Return the path of a file that goes with a store."""
    return file.with_name(file.name + kind)


if sys.platform == "win32":
    import msvcrt

    def _locks(file: IO[bytes], *, shared: bool) -> bool:
        # a byte far behind the content, which others may then read
        file.seek(2**30)
        try:
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        file.seek(0)
        return True
else:
    import fcntl

    def _locks(file: IO[bytes], *, shared: bool) -> bool:
        # flock and not lockf: its locks belong to the open file, so that they hold within a process, too, and last when
        # another descriptor of the file is closed
        try:
            fcntl.flock(file, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True


@contextlib.contextmanager
def sole_writer(path: Path, file: Path) -> Iterator[None]:
    """Hold the lock of a store, or refuse."""
    lock = beside(file, ".lock")
    try:
        held = _locked(lock)
    except OSError as error:
        raise StoreError(f"{path}: its folder cannot be written ({error.strerror}); copy it elsewhere") from None
    if held is None:
        raise StoreError(f"{path}: in use by {_holder(lock)}: watch it with `tce status`, or wait for its end")
    try:
        with contextlib.suppress(OSError):  # who holds it is for people alone; a full disk is no reason to stop here
            held.truncate(0)
            held.write(json.dumps({"process": os.getpid(), "host": socket.gethostname(), "since": now()}).encode())
            held.flush()
        yield
    finally:
        _release(held, lock)


def _locked(lock: Path) -> IO[bytes] | None:
    """Return the file of a lock that has been taken, None if another process has it."""
    for _ in range(5):  # `is_locked` holds it for an instant
        held = open(lock, "a+b")  # noqa: SIM115
        if _locks(held, shared=False) and _is_still(lock, held):
            return held
        held.close()
        time.sleep(0.01)
    return None


def _is_still(lock: Path, held: IO[bytes]) -> bool:
    """Say whether a name still means the open file: who held the lock before removes it while it holds it."""
    try:
        return os.path.samestat(os.fstat(held.fileno()), os.stat(lock))
    except FileNotFoundError:
        return False


def _release(held: IO[bytes], lock: Path) -> None:
    # On POSIX systems the file is removed while the lock is held. A process that has opened it already may then get the
    # lock of a file without a name; it sees that (`_is_still`) and begins again with a new file. No two can hold a lock
    # on the file that has the name. Windows does not remove a file that is open anywhere, so there it comes last.
    is_windows = sys.platform == "win32"
    with contextlib.suppress(OSError):
        if not is_windows:
            lock.unlink()
    with contextlib.suppress(OSError):
        held.close()
    if is_windows:
        with contextlib.suppress(OSError):
            lock.unlink()


def _holder(lock: Path) -> str:
    try:
        told = json.loads(lock.read_bytes())
        return f"process {told['process']} on {told['host']} since {told['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


def is_locked(file: Path) -> bool:
    """Say whether a process writes the store now."""
    try:
        with open(beside(file, ".lock"), "rb") as lock:
            return not _locks(lock, shared=True)
    except OSError:
        return False
