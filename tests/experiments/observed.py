"""A look into a running program: it tells every step that it takes, so that a test can stop it at that step.

`environment` is for a subprocess, and for all that it starts in turn: with it, each interpreter calls `install` as it
starts. It writes its steps into a named pipe that the test reads, cuts blocks down to one stream of random numbers, and
shows whatever wall clock the test wants. The program itself is not changed.
"""

import contextlib
import datetime
import functools
import importlib.machinery
import os
import sys
import time
from pathlib import Path

MARKS = "TCE_TEST_MARKS"
CLOCK = "TCE_TEST_CLOCK"


def environment(folder, marks, clock=None):
    """Return the environment of a program that is to be observed; `clock` is as for `_Clock`."""
    hook = Path(folder, "hook")
    hook.mkdir(exist_ok=True)
    Path(hook, "sitecustomize.py").write_text(
        f"import sys\nsys.path.append({str(Path(__file__).parent)!r})\nimport observed\nobserved.install()\n"
    )
    path = os.pathsep.join([str(hook), *filter(None, [os.environ.get("PYTHONPATH")])])
    extra = {CLOCK: ",".join(map(str, clock))} if clock else {}
    return {**os.environ, "PYTHONPATH": path, MARKS: str(marks), **extra}


def install():
    """Begin to observe this process."""
    observer = _Observer(os.open(os.environ[MARKS], os.O_WRONLY | os.O_APPEND))
    sys.meta_path.insert(0, observer)
    if CLOCK in os.environ:
        observer.clock = _Clock(*map(float, os.environ[CLOCK].split(",")))
    observer.mark("started")


class _Observer:
    """Puts itself around what a module of the library does, when that is imported."""

    def __init__(self, pipe):
        self.pipe = pipe
        self.clock = None
        self.changes = {"tce_theory.experiments.blocks": self.blocks, "tce_theory.experiments.store": self.store}

    def mark(self, word, block=None):
        where = f" {block.key} {block.rows.start} {block.rows.stop}" if block else ""
        with contextlib.suppress(BrokenPipeError):  # of an orphan, whose test has gone on
            os.write(self.pipe, f"{os.getpid()} {time.monotonic()} {word}{where}\n".encode())

    def find_spec(self, name, path, target=None):
        if name not in self.changes:
            return None
        spec = importlib.machinery.PathFinder.find_spec(name, path, target)
        execute, change = spec.loader.exec_module, self.changes[name]

        def exec_module(module):
            execute(module)
            change(module)

        spec.loader.exec_module = exec_module
        return spec

    def blocks(self, module):
        run = module.run
        module.block_length = lambda cell: cell.recursion.block_size

        @functools.wraps(run)
        def observed(task, *args, **kwargs):
            block = module.BlockError(task.cell.key, task.rows, "", "")
            self.mark("computing", block)
            result = run(task, *args, **kwargs)
            self.mark("computed", block)
            return result

        module.run = observed

    def store(self, module):
        add_block, add_definition = module.Store.add_block, module.Store.add_definition

        @functools.wraps(add_block)
        def observed(store, block):
            self.mark("committing", block)
            add_block(store, block)
            self.mark("committed", block)
            if self.clock:
                self.clock.committed()

        @functools.wraps(add_definition)
        def opened(store, *args, **kwargs):
            add_definition(store, *args, **kwargs)
            self.mark("opened")

        module.Store.add_block, module.Store.add_definition = observed, opened


class _Clock:
    """A wall clock that is wrong by some seconds, and jumps by some more at the n-th commit."""

    def __init__(self, offset, jump=0.0, n=-1):
        self.offset, self.jump, self.n = offset, jump, n
        read, read_ns, true = time.time, time.time_ns, datetime.datetime
        time.time = lambda: read() + self.offset
        time.time_ns = lambda: read_ns() + int(1e9 * self.offset)

        class Shifted(true):
            @classmethod
            def now(cls, tz=None):
                return true.now(tz) + datetime.timedelta(seconds=self.offset)

        datetime.datetime = Shifted

    def committed(self):
        self.n -= 1
        if self.n == 0:
            self.offset += self.jump
