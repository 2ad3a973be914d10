"""Writing files that are whole or not there."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

__all__ = ["write_atomically"]


def write_atomically(path: str | os.PathLike[str], write: Callable[[IO[bytes]], Any]) -> None:
    """Write a file under a temporary name and rename it; what was there before stays whole if that fails.

    Parameters
    ----------
    path : str or os.PathLike
        Where to; a symbolic link is followed.
    write : callable
        Gets the open file and writes the content.

    Raises
    ------
    OSError
        If the file cannot be written, its directory does not exist, or `path` is there and is not a file: a device
        or a directory is never replaced.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_atomically(Path(folder, "note.txt"), lambda file: file.write(b"whole"))
    ...     [file.name for file in Path(folder).iterdir()]
    ['note.txt']
    """
    target = Path(os.path.realpath(path))
    if target.exists() and not target.is_file():
        raise OSError(f"{os.fspath(path)} is there and is not a file")
    if not target.parent.is_dir():
        raise FileNotFoundError(f"{os.fspath(path)}: the directory {target.parent} does not exist")
    # in the same directory, because a file can only be renamed within its file system
    temporary = target.with_name(f".tce-{secrets.token_hex(8)}.tmp")
    try:
        with open(temporary, "xb") as file:
            write(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
