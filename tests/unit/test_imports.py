"""Importing the library is light, and so is asking the command line for help. `make check` runs this file too."""

import subprocess
import sys
import sysconfig
import time
from pathlib import Path

HEAVY = {"numba", "scipy", "sympy", "matplotlib"}
TCE = Path(sysconfig.get_path("scripts")) / "tce"


def interpreter(code):
    # isolated: neither the current directory nor the user's settings of Python decide what is imported
    return [sys.executable, "-I", "-c", code]


def loaded_by(statement):
    """Top-level modules that are loaded after `statement` in a fresh interpreter."""
    code = f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"
    return set(subprocess.run(interpreter(code), check=True, capture_output=True, text=True).stdout.split())


def fastest(*commands, repeats=7):
    """Seconds that each command needs at best; they take turns, so that a slow moment hits them all."""
    best = [float("inf")] * len(commands)
    for _ in range(repeats):
        for i, command in enumerate(commands):
            start = time.perf_counter()
            subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True)
            best[i] = min(best[i], time.perf_counter() - start)
    return best


def seconds_above_start_up(statement):
    bare, whole = fastest(interpreter("pass"), interpreter(statement))
    return whole - bare


def test_import_loads_nothing_heavy():
    assert not loaded_by("import tce_theory") & (HEAVY | {"numpy"})


def test_command_line_loads_nothing_heavy_before_a_command_is_known():
    assert not loaded_by("import tce_theory.cli") & HEAVY


def test_a_heavy_import_would_be_seen():
    assert loaded_by("import scipy.special, numba") >= {"scipy", "numba", "numpy"}


def test_import_takes_less_than_three_tenths_of_a_second():
    assert seconds_above_start_up("import tce_theory") < 0.3


def test_a_slow_import_would_be_seen():
    assert seconds_above_start_up("import time; time.sleep(0.4)") >= 0.3


def test_help_takes_less_than_seven_tenths_of_a_second():
    # start-up of the interpreter included: it is what a user waits for
    (seconds,) = fastest([TCE, "--help"])
    assert seconds < 0.7
