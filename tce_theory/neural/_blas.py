"""One thread of BLAS a replicate: replicates run side by side, and threads of BLAS inside them would only collide."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

__all__ = ["one_blas_thread"]

_lock = threading.Lock()
_users = 0
_before: list[int] = []


@cache
def _libraries() -> list[Any]:
    """Return the libraries of BLAS in this process; finding them takes milliseconds."""
    import scipy.linalg  # noqa: F401  # the BLAS that numba calls is scipy's, which has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return [library for library in ThreadpoolController().lib_controllers if library.user_api == "blas"]


def _set_threads(library: Any, number: int) -> None:
    # The number is that of the whole process, and threadpoolctl 3.8 in silence lets no thread set it but the first that
    # has, while that lives or until it is cleared. Here any thread may, and none keeps others from it afterwards.
    clear = getattr(library, "clear_controlling_thread", lambda force: None)
    clear(force=True)
    library.set_num_threads(number)
    clear(force=True)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Let BLAS use one thread inside the block.

    Blocks may be nested, and may overlap in several threads: the first to begin sets the limit, which holds for the
    whole process, and the last to end restores what was before.

    Examples
    --------
    >>> from threadpoolctl import threadpool_info
    >>> with one_blas_thread():
    ...     {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}
    {1}
    """
    global _users, _before
    with _lock:
        if _users == 0:
            _before = [library.get_num_threads() for library in _libraries()]
            for library in _libraries():
                _set_threads(library, 1)
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                for library, number in zip(_libraries(), _before, strict=True):
                    _set_threads(library, number)
