"""What is going on, on a terminal."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator

__all__ = ["shown_stages"]


@contextlib.contextmanager
def shown_stages(quiet: bool) -> Iterator[Callable[[str], None] | None]:
    """Show what is being done on the standard error stream, if that is a terminal: yields what is told each stage."""
    if quiet or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console

    with Console(stderr=True).status("") as status:
        yield status.update
