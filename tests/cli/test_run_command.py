"""tce run, tce status and tce store: what they print, where they end, and what they refuse."""

import io
import json
import logging
import os
import re
import shlex
import signal
import sqlite3
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

import pytest
from rich.console import Console

import tce_theory as tce
from tce_theory import cli
from tce_theory.cli import _cells
from tce_theory.cli import run as run_module
from tce_theory.experiments import _lock, blocks, runner
from tce_theory.experiments import estimate as estimate_module
from tce_theory.experiments.definition import Definition
from tce_theory.experiments.store import Store

SMALL = """
title = "Small"
theorems = ["gaussian-ce-law"]
model = { family = "gaussian" }
loss = [{ name = "ce" }, { name = "tce", gamma = 0.5 }]
n_samples = [10, 20]
generations = 30
replicates = 60
metrics = ["std"]
seed = 1
fidelity = [{ metric = "std", below = 0.75 }]
"""
WITHOUT_CRITERION = SMALL.replace("fidelity", "#")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The current folder, with a definition in it."""
    monkeypatch.chdir(tmp_path)
    Path("small.toml").write_text(SMALL)
    return tmp_path


@pytest.fixture
def cost(monkeypatch):
    """Save the time of estimating."""
    monkeypatch.setattr(
        estimate_module, "estimate", lambda tasks, **_: estimate_module.Estimate(len(tasks), 90.0, 2**20)
    )


def events(outcome):
    """The events of a run; every line has to be JSON."""
    refuse = lambda name: pytest.fail(f"{name} is no JSON")  # noqa: E731
    return [json.loads(line, parse_constant=refuse) for line in outcome.out.splitlines()]


def rows_of(text):
    """The cells of each row of the first table."""
    lines = iter(text.splitlines())
    header = next(line for line in lines if re.search("blocks to run|mean", line) and ":" not in line)
    assert set(next(lines)) == {"─"}
    found = []
    for line in lines:
        if not line:
            break
        found.append(re.split(r"\s{2,}", line.strip()))
    return re.split(r"\s{2,}", header.strip()), found


@pytest.fixture
def breaking(monkeypatch):
    """Let the cells with cross entropy fail, until the returned function is called."""
    whole = blocks.simulate_part
    cells = Definition.from_mapping(tomllib.loads(SMALL)).cells
    seeds = {cell.seed for cell in cells if cell.settings["loss.name"] == "ce"}

    def broken(recursion, rows, *, seed, **settings):
        if seed in seeds:
            raise ArithmeticError("no way\nthrough")
        return whole(recursion, rows, seed=seed, **settings)

    monkeypatch.setattr(blocks, "simulate_part", broken)
    return lambda: monkeypatch.setattr(blocks, "simulate_part", whole)


def interrupting(monkeypatch, after):
    """Let Ctrl-C come when some blocks have been stored."""
    whole = run_module.Watch.block

    def block(self, result):
        whole(self, result)
        if self.finished == after:
            raise KeyboardInterrupt

    monkeypatch.setattr(run_module.Watch, "block", block)
    return lambda: monkeypatch.setattr(run_module.Watch, "block", whole)


# ------------------------------------------------------------------------------------------------------- results


def test_table_has_the_fidelity_of_each_cell(succeed, folder):
    out = succeed("run", "small.toml").out
    assert "title: Small" in out
    assert "theorems: gaussian-ce-law" in out
    assert "std below 0.75" in out
    assert "generations = 30" in out
    header, rows = rows_of(out)
    assert header == ["loss", "gamma", "n_samples", "median", "95 %", "mean", "95 %", "censored"]
    experiment = tce.experiments.load("small.sqlite")
    assert len(rows) == len(experiment.cells) == 4
    for row, cell in zip(rows, experiment.cells, strict=True):
        interval = cell.run().fidelity_interval("std", below=0.75)
        low, high = interval.ci("mean")
        assert row[:3] == [
            cell.settings["loss.name"],
            str(cell.settings.get("loss.gamma", "–")),
            str(cell.settings["n_samples"]),
        ]
        assert row[5:] == [f"{interval.mean:.4g}", f"{low:.3g} – {high:.3g}", f"{100 * interval.share_censored:.3g} %"]
    assert "4 blocks in" in out
    assert "tce store export small.sqlite --out small" in out


def test_second_run_simulates_nothing_and_shows_the_same(succeed, folder, monkeypatch):
    first = succeed("run", "small.toml").out
    monkeypatch.setattr(blocks, "simulate_part", lambda *_, **__: pytest.fail("it simulates"))
    second = succeed("run", "small.toml").out
    assert rows_of(first) == rows_of(second)
    assert "nothing is missing: 4 blocks were there already" in second


def test_new_cells_alone_are_run(succeed, folder):
    succeed("run", "small.toml")
    Path("small.toml").write_text(SMALL.replace("[10, 20]", "[10, 20, 40]"))
    found = events(succeed("run", "small.toml", "--json"))
    assert (found[0]["blocks_planned"], found[0]["blocks_there"]) == (2, 4)
    new = {cell["key"] for cell in found[-1]["cells"] if cell["settings"]["n_samples"] == 40}
    assert {event["key"] for event in found if event["event"] == "block"} == new


def test_without_criterion_the_last_generation_is_shown(succeed, folder):
    Path("plain.toml").write_text(WITHOUT_CRITERION)
    out = succeed("run", "plain.toml").out
    header, rows = rows_of(out.replace("std", "mean std"))
    assert header[-1] == "mean std"
    for row, cell in zip(rows, tce.experiments.load("plain.sqlite").cells, strict=True):
        assert row[-1] == f"{cell.run().metrics['std'][:, -1].mean():.4g}"


def test_statistical_warnings_are_notes(succeed, folder):
    Path("few.toml").write_text(SMALL.replace("replicates = 60", "replicates = 15"))
    out = succeed("run", "few.toml").out
    assert "note *: " in out
    assert "unreliable (and 3 cells more)" in out
    assert all(row[3].endswith("*") for row in rows_of(out)[1])


def test_seed_replaces_that_of_the_definition(succeed, folder):
    succeed("run", "small.toml", "--seed", "5", "--store", "five.sqlite")
    assert {cell.settings["seed"] for cell in tce.experiments.load("five.sqlite").cells} == {5}


# -------------------------------------------------------------------------------------------------------- events


def test_events(succeed, folder):
    found = events(succeed("run", "small.toml", "--json"))
    start, *middle, end = found
    assert start == {
        "event": "start",
        "title": "Small",
        "cells": 4,
        "blocks_planned": 4,
        "blocks_there": 0,
        "other_blocks": 0,
        "store": "small.sqlite",
    }
    cells = {cell.key: cell for cell in tce.experiments.load("small.sqlite").cells}
    assert {event["event"] for event in middle} == {"block"}
    assert {(event["key"], event["first"], event["stop"]) for event in middle} == {(key, 0, 60) for key in cells}
    assert all(event["seconds"] > 0 for event in middle)
    assert (end["event"], end["done"], end["failed"]) == ("end", 4, 0)
    assert end["seconds"] > 0
    for cell in end["cells"]:
        interval = cells[cell["key"]].run().fidelity_interval("std", below=0.75)
        (fidelity,) = cell["fidelity"]
        median = "Infinity" if interval.median == float("inf") else interval.median
        assert (fidelity["median"], fidelity["mean"]) == (median, interval.mean)
        assert fidelity["criterion"] == interval.criterion
        assert (cell["status"], cell["finished"]) == ("done", 60)


# ------------------------------------------------------------------------------------- what else is in a store


def test_blocks_of_other_cells_are_counted(succeed, folder, cost):
    succeed("run", "small.toml")
    assert "others: " not in succeed("run", "small.toml").out
    Path("small.toml").write_text(SMALL.replace("[10, 20]", "[20, 30]"))
    line = (
        "others: 2 other blocks are in small.sqlite, of cells that this definition does not have "
        "(or of other versions of the results); they are kept\n"
    )
    assert line in succeed("run", "small.toml", "--dry-run").out
    assert succeed("run", "small.toml", "--dry-run", "--json").json["other_blocks"] == 2
    assert line in succeed("run", "small.toml").out
    assert events(succeed("run", "small.toml", "--json"))[0]["other_blocks"] == 2
    assert line in succeed("status", "small.sqlite").out
    assert succeed("status", "small.sqlite", "--json").json["other_blocks"] == 2


def test_store_of_another_definition_of_the_same_name(succeed, folder, cost):
    succeed("run", "small.toml")
    other = SMALL.replace('"Small"', '"Other"')
    line = "note: small.sqlite holds other experiments, too: Small\n"
    Path("small.toml").write_text(other)  # it shares its cells
    assert line not in succeed("run", "small.toml", "--dry-run").out
    Path("small.toml").write_text(other.replace("[10, 20]", "[30, 40]"))
    assert line in succeed("run", "small.toml", "--dry-run").out
    assert line not in succeed("run", "small.toml", "--dry-run", "--store", "small.sqlite").out
    assert succeed("run", "small.toml").out.startswith(line)
    assert line not in succeed("run", "small.toml").out
    Path("small.toml").write_text(other.replace("[10, 20]", "[50, 60]"))  # another title is what tells
    assert "holds other experiments" not in succeed("run", "small.toml").out


@pytest.mark.parametrize("missing", [0, 1])
def test_growth_that_the_disk_cannot_hold_is_refused(run, folder, monkeypatch, cost, missing):
    needed = 4 * 60 * 31 * 8
    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=needed - missing))
    outcome = run("run", "small.toml", "--json")
    if not missing:
        assert outcome.code == 0
        return
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err == (
        "tce run: small.sqlite: there would be 59.5 kB of results, and 59.5 kB are free on its disk; "
        "ask for less, or for another disk with --store\n"
    )
    assert os.listdir() == ["small.toml"]
    assert "size: about 1.05 MB: TOO MUCH, 59.5 kB are free\n" in run("run", "small.toml", "--dry-run").out
    assert run("run", "small.toml", "--dry-run", "--json").json["bytes_free"] == needed - missing


def test_what_is_there_needs_no_space(succeed, folder, monkeypatch, cost):
    succeed("run", "small.toml")
    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=2**21))
    assert "size: about 1.05 MB; 2.1 MB are free\n" in succeed("run", "small.toml", "--dry-run").out
    monkeypatch.setattr(run_module.shutil, "disk_usage", lambda path: SimpleNamespace(free=0))
    succeed("run", "small.toml")


# ------------------------------------------------------------------------------------------------------ dry runs


def test_dry_run_writes_nothing(succeed, folder, cost):
    out = succeed("run", "small.toml", "--dry-run").out
    assert os.listdir() == ["small.toml"]
    header, rows = rows_of(out)
    assert header == ["loss", "gamma", "n_samples", "blocks to run"]
    assert [row[-1] for row in rows] == ["1 of 1"] * 4
    for line in (
        "title: Small",
        "cells: 4",
        "blocks: 4 of 4 to run; small.sqlite does not exist yet",
        "time: about 90 s",
    ):
        assert line in out
    assert "size: about 1.05 MB" in out


def test_dry_run_knows_what_the_store_has(succeed, folder, cost):
    succeed("run", "small.toml")
    before = Path("small.sqlite").read_bytes()
    Path("small.toml").write_text(SMALL.replace("[10, 20]", "[10, 40]"))
    found = succeed("run", "small.toml", "--dry-run", "--json").json
    assert (found["blocks"], found["blocks_to_run"], found["seconds"], found["bytes"]) == (4, 2, 90.0, 2**20)
    assert [cell["blocks_to_run"] for cell in found["cells"]] == [
        int(cell["settings"]["n_samples"] == 40) for cell in found["cells"]
    ]
    assert "blocks: 2 of 4 to run; 2 are in small.sqlite" in succeed("run", "small.toml", "--dry-run").out
    assert Path("small.sqlite").read_bytes() == before


def test_estimate_is_that_of_the_library(succeed, folder):
    found = succeed("run", "small.toml", "--dry-run", "--json").json
    assert found["seconds"] > 0
    assert found["bytes"] > 4 * 60 * 31 * 8


def test_of_many_cells_the_first_and_the_last_are_shown(succeed, folder, cost):
    Path("many.toml").write_text(SMALL.replace("[10, 20]", "{ from = 10, to = 109, num = 100 }"))
    out = succeed("run", "many.toml", "--dry-run").out
    rows = rows_of(out)[1]
    assert len(rows) == 41
    assert set(rows[20]) == {"⋮"}
    assert rows[0][:3] == ["ce", "–", "10"]
    assert rows[-1][:3] == ["tce", "0.5", "109"]
    assert "160 of 200 cells are not shown" in out


# ------------------------------------------------------------------------------------- failures and interruptions


def test_failed_cells(run, folder, breaking):
    outcome = run("run", "small.toml")
    assert outcome.code == 1
    assert outcome.err == (
        "tce run: 2 of 4 cells failed, the first with ArithmeticError: no way; "
        "to retry: tce run small.toml --retry-failed\n"
    )
    header, rows = rows_of(outcome.out)
    assert [row[header.index("status")] for row in rows] == [{"ce": "failed", "tce": "done"}[row[0]] for row in rows]
    found = run("status", "small.sqlite").out
    assert "cells: 2 done, 2 failed, of 4" in found
    assert "failed: loss.name = ce, n_samples = 10: ArithmeticError: no way" in found

    again = run("run", "small.toml")
    assert again.code == 1
    assert "2 blocks were there already; 2 blocks that had failed before were left out" in again.out
    breaking()
    retried = run("run", "small.toml", "--retry-failed", "--json")
    assert (retried.code, retried.err) == (0, "")
    found = events(retried)
    assert (found[0]["blocks_planned"], found[0]["blocks_there"], found[-1]["done"]) == (2, 2, 2)


def test_failures_are_events(run, folder, breaking):
    outcome = run("run", "small.toml", "--json")
    assert outcome.code == 1
    found = events(outcome)
    failures = [event for event in found if event["event"] == "failure"]
    assert [(event["first"], event["stop"], event["error"]) for event in failures] == [
        (0, 60, "ArithmeticError: no way")
    ] * 2
    assert (found[-1]["done"], found[-1]["failed"]) == (2, 2)
    assert sorted(cell["status"] for cell in found[-1]["cells"]) == ["done", "done", "failed", "failed"]


def test_interruption_says_how_to_go_on(run, folder, monkeypatch):
    mend = interrupting(monkeypatch, after=1)
    argv = ["run", "small.toml", "--store", "a b é.sqlite", "--jobs", "1"]
    outcome = run(*argv)
    assert outcome.code == 130
    line = re.fullmatch(
        r"tce run: interrupted: (\d) of 4 blocks are kept in a b é.sqlite; to go on: (.*)\n", outcome.err
    )
    kept = int(line[1])
    assert kept >= 1
    with Store.reading("a b é.sqlite") as store:
        assert len(store.blocks()) == kept
    assert "last run: interrupted" in run("status", "a b é.sqlite").out
    mend()
    assert shlex.split(line[2]) == ["tce", *argv]
    found = events(run(*argv, "--json"))
    assert (found[0]["blocks_there"], found[-1]["done"]) == (kept, 4 - kept)


def test_events_of_an_interrupted_run_are_whole(folder):
    definition = SMALL.replace("[10, 20]", "{ from = 100, to = 199, num = 100 }").replace("= 30", "= 300")
    Path("long.toml").write_text(definition + 'sampler = "points"\n')
    argv = [sys.executable, "-m", "tce_theory.cli", "run", "long.toml", "--json"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        out, err = process.stdout.read(), process.stderr.read()
    assert process.returncode == 130
    found = [json.loads(line) for line in [*lines, *out.splitlines()]]
    assert [found[0]["event"], found[1]["event"], found[-1]["event"]] == ["start", "block", "interrupted"]
    with Store.reading("long.sqlite") as store:
        stored = sum(map(len, store.blocks().values()))
    assert stored == found[-1]["done"]
    assert stored - (len(found) - 2) in (0, 1)  # Ctrl-C can come between storing a block and saying so
    kept = f"{stored} of {found[0]['blocks_planned']} blocks are kept in long.sqlite"
    assert err == f"tce run: interrupted: {kept}; to go on: tce run long.toml --json\n"


# ------------------------------------------------------------------------------------------------------ progress


@pytest.mark.parametrize(("terminal", "options"), [(True, []), (True, ["--quiet"]), (True, ["--json"]), (False, [])])
def test_progress_is_shown_on_a_terminal_alone(run, folder, monkeypatch, breaking, terminal, options):
    if terminal:
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setenv("TERM", "xterm-256color")
        monkeypatch.setenv("COLUMNS", "80")
    err = run("run", "small.toml", *options).err
    shown = re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", err)
    if terminal and not options:
        assert re.search(r"100% 2 of 4 cells, [\d.,]+ a second \S+ left, 2 failed", shown)
        assert all(len(line) <= 80 for line in re.split(r"[\r\n]", shown) if "tce run" not in line)
    else:
        assert shown.count("\n") == 1  # the failures


@pytest.mark.parametrize(("options", "lines"), [([], 4), (["--quiet"], 0), (["--json"], 0)])
def test_lines_in_place_of_a_bar(run, folder, monkeypatch, breaking, options, lines):
    monkeypatch.setattr(run_module, "_LINE_SECONDS", 0)
    *found, failures = run("run", "small.toml", *options).err.splitlines()
    assert failures.startswith("tce run: 2 of 4 cells failed")
    assert len(found) == lines
    if lines:
        assert re.fullmatch(r"2 of 4 cells, [\d.,]+ a second, 0:00:00 left, 2 failed", found[-1])


# -------------------------------------------------------------------------------------------------------- status


def test_status_of_a_store_that_is_being_made(run, folder):
    line = "tce status: small.sqlite: it is being made by a run that has just started; ask again soon\n"
    with _lock.sole_writer(Path("small.sqlite"), Path("small.sqlite")):
        outcome = run("status", "small.sqlite")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", line)
    with Store.writing("small.sqlite"):
        outcome = run("status", "small.sqlite")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", line)
    assert "it holds no definition yet" in run("status", "small.sqlite").err


def test_status_of_a_complete_store(succeed, folder):
    succeed("run", "small.toml")
    out = succeed("status", "small.sqlite").out
    for part in ("title: Small", "cells: all 4 done", "replicates: 240 of 240", "4 of 4 blocks", "last run: finished"):
        assert part in out
    assert f"process {os.getpid()} on " in out
    assert re.search(r"rate: [\d,.]+ cells, [\d,.]+ replicate-generations a second", out)
    assert "time left" not in out
    found = succeed("status", "small.sqlite", "--json").json
    assert found["cells"] == {"total": 4, "done": 4, "partial": 0, "missing": 0, "failed": 0}
    assert found["bytes"] == Path("small.sqlite").stat().st_size
    run = found["run"]
    assert run["cells_per_second"] == pytest.approx(4 / run["seconds"])
    assert run["replicate_generations_per_second"] == pytest.approx(4 * 60 * 30 / run["seconds"])
    assert run["seconds_left"] == 0


def test_status_of_a_run_that_goes_on(succeed, folder):
    definition = Definition.read("small.toml")
    task = next(blocks.missing(definition.cells[0], []))
    with Store.writing("small.sqlite") as store:
        store.add_definition(definition)
        with store.recorded_run(backend="threads", workers=2, planned=4):
            assert "missing" in succeed("status", "small.sqlite").out
            store.add_block(blocks.run(task))
            out = succeed("status", "small.sqlite").out
            run = succeed("status", "small.sqlite", "--json").json["run"]
    assert "last run: running since" in out
    assert "cells: 1 done, 3 missing, of 4" in out
    assert "time left: about" in out
    assert run["state"] == "running"
    assert run["seconds_left"] == pytest.approx(3 * run["seconds"])


# --------------------------------------------------------------------------------------------- check and export


def test_check(run, succeed, folder):
    succeed("run", "small.toml")
    assert (
        succeed("store", "check", "small.sqlite").out == "small.sqlite: sound (4 blocks of 4 cells, with all arrays)\n"
    )
    with sqlite3.connect("small.sqlite") as sql:
        zeros = "UPDATE arrays SET content = zeroblob(length(content)) WHERE name = 'std' AND block IN "
        sql.execute(zeros + "(SELECT id FROM blocks LIMIT 2)")
    sql.close()
    outcome = run("store", "check", "small.sqlite")
    assert (outcome.code, outcome.err) == (1, "")
    assert len(outcome.out.splitlines()) == 2
    found = run("store", "check", "small.sqlite", "--json")
    assert found.code == 1
    assert found.json == {"store": "small.sqlite", "sound": False, "problems": outcome.out.splitlines()}


def test_export(run, succeed, folder):
    succeed("run", "small.toml")
    out = succeed("store", "export", "small.sqlite", "--out", "tables/new").out
    assert "cells.csv" in out
    assert "4 files in tables/new/runs" in out
    runs = sorted(Path("tables/new/runs").iterdir())
    assert len(runs) == 4
    assert tce.Run.load(runs[0]).metrics["std"].shape == (60, 31)
    found = succeed("store", "export", "small.sqlite", "--out", "tables/new", "--json").json
    assert {Path("tables/new", name) for name in found["files"]} >= {*runs, Path("tables/new/cells.csv")}
    refused = run("store", "export", "small.sqlite", "--out", ".")
    assert (refused.code, refused.out) == (2, "")
    assert refused.err == (
        "tce store export: --out must be a new or an empty folder, or one of an earlier export, got '.'\n"
    )


# -------------------------------------------------------------------------------------------------- wrong inputs

MISUSES = [
    (["run", "none.toml"], "none.toml: no such file or directory"),
    (["run", "."], ".: is a directory"),
    (["run", "small.sqlite"], "small.sqlite: it is a store, and not a definition in TOML; tce status shows"),
    (["run", "latin.toml"], "latin.toml: "),
    (["run", "small.toml", "--store", "small.toml"], "small.toml: not a store"),
    (["run", "small.toml", "--dry-run", "--store", "small.toml"], "small.toml: not a store"),
    (["run", "small.toml", "--store", "."], ".: not a store but a folder"),
    (["run", "small.toml", "--store", "no/x.sqlite"], "no does not exist"),
    (["run", "small.toml", "--backend", "mpi"], "--backend must be one of 'threads', 'processes', 'dask', got 'mpi'"),
    (["run", "small.toml", "--backend", "mpi", "--dry-run"], "--backend must be one of"),
    (["run", "small.toml", "--scheduler", "tcp://x:1"], "--scheduler needs --backend dask"),
    (["run", "small.toml", "--backend", "dask"], "--backend dask needs --scheduler ADDRESS"),
    (["run", "small.toml", "--jobs", "0"], "--jobs must be a positive integer, or -1 for all processors, got 0"),
    (["run", "small.toml", "--seed", "x"], "--seed must be an integer of at least 0, got 'x'"),
    (["run", "typo.toml"], "typo.toml: "),
    (["run"], "file is missing: Definition of the experiment, in TOML."),
    (["status", "none.sqlite"], "none.sqlite: there is no such file"),
    (["status", "small.toml"], "small.toml: not a store"),
    (["store", "check", "small.toml"], "small.toml: not a store"),
    (["store", "check", "."], ".: not a store but a folder"),
    (["store", "export", "small.toml", "--out", "x"], "small.toml: not a store"),
    (["store", "export", "small.sqlite"], "--out is missing"),
]


@pytest.fixture(scope="module")
def misused(tmp_path_factory):
    """A folder with everything that can be taken for something else."""
    folder = tmp_path_factory.mktemp("misused")
    (folder / "small.toml").write_text(SMALL)
    (folder / "typo.toml").write_text(SMALL.replace("replicates", "replicats"))
    (folder / "latin.toml").write_bytes('title = "é"'.encode("latin-1"))
    assert cli.main(["run", str(folder / "small.toml"), "--store", str(folder / "small.sqlite"), "--json"]) == 0
    return folder


@pytest.mark.parametrize(("argv", "message"), MISUSES, ids=[" ".join(argv) for argv, _ in MISUSES])
def test_bad_input_is_answered_by_one_line(run, misused, monkeypatch, argv, message):
    monkeypatch.chdir(misused)
    monkeypatch.delenv("DASK_SCHEDULER_ADDRESS", raising=False)
    before = {path: path.read_bytes() for path in misused.iterdir()}
    outcome = run(*argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.count("\n") == 1
    assert re.match(r"tce (run|status|store check|store export): ", outcome.err)
    assert message in outcome.err
    assert {path: path.read_bytes() for path in misused.iterdir()} == before


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="permissions do not bind this user")
def test_folder_that_cannot_be_written(run, folder):
    Path("locked").mkdir(mode=0o500)
    outcome = run("run", "small.toml", "--store", "locked/x.sqlite")
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1


def test_scheduler_that_does_not_answer(run, folder, monkeypatch):
    pytest.importorskip("distributed")
    monkeypatch.setattr(run_module, "_SECONDS_TO_CONNECT", 0.3)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9")
    before = logging.getLogger("distributed.client").level
    outcome = run("run", "small.toml", "--backend", "dask")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("tce run: --scheduler must be that of a scheduler that answers within 0.3 seconds")
    assert outcome.err.count("\n") == 1
    assert not Path("small.sqlite").exists()
    assert logging.getLogger("distributed.client").level == before


def test_lost_workers_are_one_line(run, folder, monkeypatch):
    def lose(*_, **__):
        raise tce.WorkersError("they are lost")

    monkeypatch.setattr(runner, "run", lose)
    outcome = run("run", "small.toml")
    assert (outcome.code, outcome.out, outcome.err) == (2, "", "tce run: they are lost\n")


@pytest.mark.slow
def test_cluster(succeed, folder):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as cluster:
        address = cluster.scheduler_address
        out = succeed("run", "small.toml", "--backend", "dask", "--scheduler", address).out
    succeed("run", "small.toml", "--store", "threads.sqlite")
    assert rows_of(out) == rows_of(succeed("run", "small.toml", "--store", "threads.sqlite").out)


# ---------------------------------------------------------------------------------------------------------- words


def test_help_loads_nothing_heavy():
    code = "import sys; from tce_theory.cli import main; code = main(sys.argv[1:]); print('LOADED', code, *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "run", "--help"], capture_output=True, text=True, check=True)
    code, *loaded = done.stdout.rpartition("LOADED")[2].split()
    assert code == "0"
    heavy = {"numpy", "joblib", "sqlite3", "distributed", "tce_theory.experiments.definition"}
    assert not heavy & set(loaded)


def test_values_in_words():
    assert [_cells.in_words(value) for value in (None, True, 0.1 + 0.2, 10, "ce")] == ["–", "true", "0.3", "10", "ce"]
    assert _cells.in_words([0.5, 0.25, 0.25]) == "[0.5, 0.25, 0.25]"
    assert _cells.in_words([0.2] * 5) == "[0.2, 0.2, 0.2, 0.2, …] (5)"


def test_sizes_and_times_in_words():
    sizes = [_cells.size_in_words(size) for size in (0, 999, 1000, 999_600, 123_456_789, 5e12)]
    assert sizes == ["0 bytes", "999 bytes", "1 kB", "1 MB", "123 MB", "5,000 GB"]
    times = [_cells.time_in_words(seconds) for seconds in (0.012, 9.96, 99.4, 100, 5400, 7200, 1e7)]
    assert times == ["0.012 s", "10 s", "99 s", "1.7 min", "90 min", "2 h", "2,778 h"]


@pytest.mark.parametrize("width", [20, 40, 80, 120])
def test_numbers_are_whole_on_every_terminal(width):
    names = ["loss.name", "loss.gamma", "n_samples"]
    cells = [SimpleNamespace(settings=dict(zip(names, (f"l{n}", n / 7, n), strict=True))) for n in range(1, 51)]
    columns = [f"metric_{number}" for number in range(6)]
    content = {place: [f"{place}.{number}25" for number in range(6)] for place in _cells.shown(50)}
    stream = io.StringIO()
    console = Console(file=stream, width=width, force_terminal=True, color_system=None)
    _cells.print_cells(console, cells, columns, content)
    table, _, gap = stream.getvalue().rpartition("\n\n")
    assert "10 of 50 cells" in " ".join(gap.split())
    assert "metric_5" in table
    words = re.split(r"[\s,]+", table.strip())
    assert [word for word in words if "25" in word] == [number for some in content.values() for number in some]
    assert words.count("⋮") == (1 if width < 120 else 9)
    if width == 40:
        assert table.splitlines()[1:4] == [
            "loss l1, gamma 0.142857, n_samples 1",
            "  metric_0 0.025, metric_1 0.125,",
            "    metric_2 0.225, metric_3 0.325,",
        ]
    if width >= 40:
        assert max(map(len, table.splitlines())) <= width


def test_headings_of_settings_differ_from_other_columns():
    cell = SimpleNamespace(settings={"model.std": 1, "n_samples": 1})
    assert _cells._headings(["model.std", "n_samples"], [cell]) == ["std", "n_samples"]
    assert _cells._headings(["model.std", "n_samples"], [cell], ["std"]) == ["model.std", "n_samples"]


def test_headings_are_short_where_they_can_be():
    names = ["model.family", "loss.name", "a.width", "b.width", "n_samples"]
    cell = SimpleNamespace(settings=dict.fromkeys(names, 1))
    assert _cells._headings(names, [cell]) == ["model", "loss", "a.width", "b.width", "n_samples"]
