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
_limits: list[Any] = []


@cache
def _controller() -> Any:
    """Return the controller of the libraries of BLAS in this process; finding them takes milliseconds."""
    import scipy.linalg  # noqa: F401  # the BLAS that numba calls is scipy's, which has to be loaded to be found
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()


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
    global _users
    with _lock:
        if _users == 0:
            _limits.append(_controller().limit(limits=1, user_api="blas"))
        _users += 1
    try:
        yield
    finally:
        with _lock:
            _users -= 1
            if _users == 0:
                _limits.pop().restore_original_limits()
