"""The command line: ``tce …``, one module a command.

Exit codes are 0 for success, 1 when a check fails, 2 for bad input, and 130 after Ctrl-C. Bad input is answered by one
line on the standard error stream that says what is wrong and what would be right; other errors keep their traceback.

Every command imports what it needs when it runs, so that help is there at once. A new command is a module here with a
function decorated by ``@app.command(cls=Command)``, and a line below. Options that commands share are fields of a
dataclass, which `accepting` adds to their own.
"""

from tce_theory.cli import (
    choose_gamma,
    claims,
    demo,
    map,
    predict,
    report,
    run,
    simulate,
    status,
    store,
    theory,
    verify,
)
from tce_theory.cli._program import app, main

__all__ = [
    "app",
    "choose_gamma",
    "claims",
    "demo",
    "main",
    "map",
    "predict",
    "report",
    "run",
    "simulate",
    "status",
    "store",
    "theory",
    "verify",
]
