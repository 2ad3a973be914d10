"""The command line does what the library does, and answers bad input with one line."""

import contextlib
import fcntl
import importlib.metadata
import inspect
import json
import math
import os
import pty
import re
import resource
import select
import shlex
import signal
import struct
import subprocess
import sys
import sysconfig
import tempfile
import termios
import time
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
from tce_theory import recursion
from tce_theory.cli import _output, simulate

TCE = Path(sysconfig.get_path("scripts")) / "tce"
# output that is still in a buffer when the program ends is a case of its own
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
GAUSSIAN = ("simulate", "gaussian", "--n", "20", "--generations", "8", "--replicates", "30", "--seed", "7")
CATEGORICAL = ("simulate", "categorical", "--n", "20", "--generations", "8", "--replicates", "30", "--seed", "7")
SMALL = {"n_samples": 20, "generations": 8, "replicates": 30, "seed": 7}


@pytest.fixture
def simulated(succeed):
    """Run a simulation by the command line and return its file."""

    def simulated(*argv):
        with tempfile.TemporaryDirectory() as folder:
            succeed(*argv, "--out", f"{folder}/run.npz")
            return tce.Run.load(f"{folder}/run.npz")

    return simulated


def same(run, expected):
    """Whether two runs are the same bit by bit, apart from when and how they were started."""
    volatile = ("command", "created")
    provenances = [{k: v for k, v in r.provenance.items() if k not in volatile} for r in (run, expected)]
    assert provenances[0] == provenances[1]
    assert list(run.metrics) == list(expected.metrics)
    for name in run.metrics:
        np.testing.assert_array_equal(run.metrics[name], expected.metrics[name])
    for name in run.events:
        np.testing.assert_array_equal(run.events[name], expected.events[name])
    return True


# ------------------------------------------------------------------------------------------------- help


def test_version(succeed):
    assert succeed("--version").out == f"tce {importlib.metadata.version('tce_theory')}\n"


def test_without_arguments_there_is_help(succeed):
    out = succeed().out
    assert "demo" in out
    assert "simulate" in out
    assert out == succeed("--help").out


def test_every_setting_of_simulate_is_an_option():
    settings = set(inspect.signature(tce.simulate).parameters) - {"model", "loss"}
    by_another_name = {"decoding": "temperature", "progress": "quiet"}
    wanted = {by_another_name.get(name, name) for name in settings}
    assert wanted <= {field.name for field in fields(simulate.SimulationOptions)}


@pytest.mark.parametrize("command", [("demo",), ("simulate",), ("simulate", "gaussian"), ("simulate", "categorical")])
def test_help_is_fast_and_loads_nothing_heavy(command):
    code = (
        "import sys, tce_theory.cli; code = tce_theory.cli.main(sys.argv[1:]); "
        "print('LOADED', code, *{name.partition('.')[0] for name in sys.modules})"
    )
    argv = [sys.executable, "-c", code, *command, "--help"]
    best = math.inf
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(argv, capture_output=True, text=True, check=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        # of the processor, because other work on the machine must not fail this
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    code, *loaded = done.stdout.rpartition("LOADED")[2].split()
    assert code == "0"
    assert not {"numpy", "scipy", "numba", "matplotlib", "sympy"} & set(loaded)
    assert best < 0.7


# ------------------------------------------------------------------------------------------------- same as the library


LOSSES = [
    ([], tce.CrossEntropy()),
    (["--loss", "tce", "--gamma", ".3"], tce.TCE(0.3)),
    (["--loss", "tce", "--gamma", ".3", "--mask", "previous"], tce.TCE(0.3, mask="previous")),
    (["--loss", "tce", "--gamma", ".3", "--vacuous", "drawn-only"], tce.TCE(0.3, vacuous="drawn-only")),
    (["--loss", "focal"], tce.FocalLoss()),
    (["--loss", "focal", "--exponent", "1.5", "--detach"], tce.FocalLoss(1.5, detach=True)),
    (["--loss", "smooth", "--gamma", ".3", "--width", ".1"], tce.SmoothTruncatedCrossEntropy(0.3, 0.1)),
]


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize(("options", "loss"), LOSSES)
def test_losses(simulated, options, loss):
    run = simulated(*CATEGORICAL, "--zipf", "6:1.5", *options)
    assert same(run, tce.simulate(tce.Categorical.zipf(6, 1.5), loss, **SMALL))


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize(
    ("options", "model", "settings"),
    [
        ([], tce.Gaussian(), {}),
        (["--mean", "-1", "--std", "2.5", "--known-mean"], tce.Gaussian(-1, 2.5, fit_mean=False), {}),
        (["--ddof", "1"], tce.Gaussian(ddof=1), {}),
        (["--fresh", "0.25"], tce.Gaussian(), {"regime": tce.FreshMix(0.25)}),
        (["--sampler", "points", "--jobs", "1"], tce.Gaussian(), {"sampler": "points"}),
        (["--metric", "w2_squared", "--metric", "std"], tce.Gaussian(), {"metrics": ["w2_squared", "std"]}),
    ],
)
def test_gaussian(simulated, options, model, settings):
    assert same(simulated(*GAUSSIAN, *options), tce.simulate(model, tce.CrossEntropy(), **SMALL, **settings))


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
def test_relative_scale(simulated):
    run = simulated(*GAUSSIAN, "--loss", "tce", "--gamma", ".95", "--scale", "relative")
    assert same(run, tce.simulate(tce.Gaussian(), tce.TCE(0.95, scale="relative"), **SMALL))


def test_sizes_may_be_written_as_people_write_them(simulated):
    run = simulated("simulate", "gaussian", "--n-samples", "2e1", "--generations", "8.0", "--seed", "7")
    assert run.n_replicates == 1000
    assert (run.provenance["n_samples"], run.generations) == (20, 8)


def test_json_is_what_the_run_says(succeed):
    out = succeed(*GAUSSIAN, "--loss", "tce", "--gamma", ".5", "--json").json
    expected = tce.simulate(tce.Gaussian(), tce.TCE(0.5), **SMALL)
    assert out["provenance"]["seed"] == 7
    assert out["provenance"]["model"] == expected.provenance["model"]
    assert (out["replicates"], out["interrupted"], out["fidelity"], out["notes"]) == (30, False, None, [])
    assert list(out["metrics"]) == list(expected.metrics)
    for name, values in expected.metrics.items():
        summary = out["metrics"][name]
        assert summary["mean"] == values.mean(axis=0).tolist()
        assert summary["median"] == np.quantile(values, 0.5, axis=0, method="inverted_cdf").tolist()
        # 5 % of 30 values lie at or below the second smallest, 95 % at or below the second largest
        ordered = np.sort(values, axis=0)
        assert summary["q05"] == ordered[1].tolist()
        assert summary["q95"] == ordered[28].tolist()
    assert out["events"] == {"vacuous": {"replicates": 0, "fits": 0}, "underflow": {"replicates": 0, "first": None}}


def test_json_has_no_number_that_is_none(succeed):
    metrics = ["kl_from_origin", "masked_weight"]
    expected = tce.simulate(tce.Categorical.zipf(30), tce.CrossEntropy(), **SMALL, metrics=metrics)
    assert np.isinf(expected.metrics["kl_from_origin"][:, -1]).all()
    out = succeed(*CATEGORICAL, "--zipf", "30", "--metric", metrics[0], "--metric", metrics[1], "--json").json
    assert out["metrics"]["kl_from_origin"]["mean"][-1] == "Infinity"
    assert float(out["metrics"]["kl_from_origin"]["q95"][-1]) == math.inf
    assert out["metrics"]["masked_weight"]["mean"] == [None] + [0.0] * 8


# ------------------------------------------------------------------------------------------------- generation 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--probs", "0.5, 0.3,0.2"], tce.Categorical([0.5, 0.3, 0.2])),
        (["--zipf", "12"], tce.Categorical.zipf(12)),
        (["--zipf", "12:0.5"], tce.Categorical.zipf(12, 0.5)),
        (["--text", "poem.txt"], tce.Categorical.from_text("to be or not to be")),
        (["--text", "poem.txt", "--unit", "char"], tce.Categorical.from_text("to be or not to be", unit="char")),
        (["--counts", "counts.csv"], tce.Categorical([0.5, 0.125, 0.375])),
        (["--counts", "words.csv", "--column", "count"], tce.Categorical([0.75, 0.25])),
    ],
)
def test_sources_of_a_law(simulated, tmp_path, monkeypatch, options, expected):
    monkeypatch.chdir(tmp_path)
    Path("poem.txt").write_text("to be or not to be", encoding="utf-8")
    Path("counts.csv").write_text("4\n1\n3\n")
    Path("words.csv").write_text("word,count\nthe,3\nof,1\n")
    run = simulated(*CATEGORICAL, *options)
    assert run.provenance["model"] == expected.describe()


def test_standard_text_is_used_and_named(succeed):
    from tce_theory.models.text import standard_text

    model = tce.Categorical.from_text(standard_text())
    out = succeed(*CATEGORICAL, "--json").json
    assert out["provenance"]["model"]["probs_sha256"] == model.describe()["probs_sha256"]
    assert "standard text" in out["generation_0"]
    letters = tce.Categorical.from_text(standard_text(), unit="char")
    assert succeed(*CATEGORICAL, "--unit", "char", "--json").json["provenance"]["model"]["size"] == letters.size


NUMBERS = [1.5, -2.0, 4.0]


@pytest.mark.parametrize(
    ("content", "options"),
    [
        ("1.5\n-2\n4\n", []),
        ("height\n1.5\n-2\n4\n", []),
        ("\ufeffheight\n1.5\n-2\n4\n\n\n", ["--column", "height"]),
        ("name,height\na,1.5\nb,-2\nc,4\n", ["--column", "height"]),
        ("name,height\na,1.5\nb,-2\nc,4\n", ["--column", "2"]),
        ("name;height\r\na, b;1.5\r\nb;-2\r\nc;4\r\n", ["--column", "height"]),
        ("name\theight\na\t1.5\nb\t-2\nc\t4\n", ["--column", "2"]),
        ('"a ""name"", quoted", height \n"a, b", 1.5\nb,-2e0\nc,4.\n', ["--column", "height"]),
        ("7,1.5\n8,-2\n9,4\n", ["--column", "2", "--no-header"]),
        ("7,1.5\n8,-2\n9,4\n", ["--column", "2"]),
    ],
)
def test_csv_of_a_gaussian(simulated, tmp_path, content, options):
    path = tmp_path / "data.csv"
    path.write_bytes(content.encode())
    model = tce.Gaussian.from_samples(NUMBERS)
    assert simulated(*GAUSSIAN, "--csv", path, *options).provenance["model"] == model.describe()


def test_csv_with_a_known_mean(simulated, tmp_path):
    path = tmp_path / "data.csv"
    path.write_text("1.5\n-2\n4\n")
    model = tce.Gaussian.from_samples(NUMBERS, fit_mean=False, mean=1.0)
    run = simulated(*GAUSSIAN, "--csv", path, "--known-mean", "--mean", "1")
    assert run.provenance["model"] == model.describe()


# ------------------------------------------------------------------------------------------------- fidelity


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        (["--below", "0.9"], {"below": 0.9}),
        (["--below", "0.9", "--relative"], {"below": 0.9, "relative": True}),
        (["--above", "1.9", "--no-interpolate"], {"above": 1.9, "interpolate": False}),
        (["--outside", "1.7,2.2"], {"outside": (1.7, 2.2)}),
        (["--below", "0"], {"below": 0.0}),
    ],
)
def test_fidelity_interval(succeed, options, arguments):
    argv = (*GAUSSIAN, "--std", "2", "--metric", "entropy", "--fidelity-metric", "std", *options)
    out = succeed(*argv, "--json").json
    run = tce.simulate(tce.Gaussian(std=2.0), tce.CrossEntropy(), **SMALL, metrics=["entropy", "std"])
    assert list(out["metrics"]) == ["entropy", "std"]
    interval = run.fidelity_interval("std", **arguments)
    fidelity = {
        key: float(value) if value == "Infinity" else value
        for key, value in out["fidelity"].items()
        if not key.endswith("_ci")
    }
    assert fidelity == {
        "metric": "std",
        "criterion": interval.criterion,
        "interpolated": interval.interpolated,
        "horizon": 8.0,
        "median": interval.median,
        "mean": interval.mean,
        "share_censored": interval.share_censored,
    }
    assert [float(limit) for limit in out["fidelity"]["mean_ci"]] == list(interval.ci("mean"))
    assert [float(limit) for limit in out["fidelity"]["median_ci"]] == list(interval.ci("median"))


def test_fidelity_follows_the_only_metric_and_is_shown(succeed):
    text = succeed(*GAUSSIAN, "--metric", "std", "--below", "0.9").out
    interval = tce.simulate(tce.Gaussian(), tce.CrossEntropy(), **SMALL).fidelity_interval("std", below=0.9)
    (line,) = [line for line in text.splitlines() if line.startswith("fidelity: ")]
    assert line.startswith(f"fidelity: std below 0.9: median {interval.median:.4g} [")
    assert f"mean {interval.mean:.4g} [" in line
    assert f"{100 * interval.share_censored:.3g} % censored at generation 8" in line


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
def test_one_replicate_has_no_confidence_interval(succeed):
    argv = ("simulate", "gaussian", "--n", "5", "--generations", "40", "--replicates", "1", "--seed", "1")
    options = ("--metric", "std", "--below", "0.9")
    fidelity = succeed(*argv, *options, "--json").json["fidelity"]
    assert (fidelity["mean_ci"], fidelity["median_ci"]) == (None, None)
    assert "confidence" not in succeed(*argv, *options).out


# ------------------------------------------------------------------------------------------------- screens and files


def table_rows(text):
    lines = text.partition("─ \n")[2].splitlines()
    return [line.split() for line in lines if line.startswith(" ") and line.strip()]


def test_table_has_five_generations_of_every_metric(succeed):
    text = succeed(*GAUSSIAN, "--metric", "std", "--metric", "masked_weight").out
    run = tce.simulate(tce.Gaussian(), tce.CrossEntropy(), **SMALL)
    rows = table_rows(text)
    assert [row[-5] for row in rows] == ["0", "2", "4", "6", "8"] * 2
    std = run.metrics["std"][:, 4]
    assert rows[2][-4:-2] == [f"{std.mean():.4g}", f"{np.quantile(std, 0.5, method='inverted_cdf'):.4g}"]
    assert rows[5] == ["masked_weight", "0", "–", "–", "–", "–"]
    assert "\x1b" not in text
    assert "seed:" not in text


def test_short_runs_and_large_numbers(succeed):
    text = succeed("simulate", "categorical", "--zipf", "20000:0", "--n", "1", "--generations", "2", "--seed", "1").out
    rows = table_rows(text)
    assert [row[-5] for row in rows] == ["0", "1", "2"] * 3
    assert rows[6] == ["support", "0", "20000", "20000", "20000", "20000"]


def test_infinite_numbers_are_shown(succeed):
    text = succeed(*CATEGORICAL, "--zipf", "30", "--metric", "kl_from_origin").out
    assert table_rows(text)[-1] == ["8", "∞", "∞", "∞", "∞"]


def test_fresh_seed_is_shown_and_makes_the_run_again(succeed):
    argv = ("simulate", "gaussian", "--n", "5", "--generations", "2", "--replicates", "3")
    first, second = (succeed(*argv).out for _ in range(2))
    seed = re.search(r"--seed (\d+)", first)[1]
    again = succeed(*argv, "--seed", seed).out
    assert first != second
    assert again == "".join(line for line in first.splitlines(keepends=True) if not line.startswith("seed:"))


def test_statistical_warnings_are_notes(succeed):
    argv = ("simulate", "gaussian", "--n", "3", "--generations", "30", "--replicates", "50", "--seed", "1")
    text = succeed(*argv, "--metric", "std", "--below", "1e-30").out
    notes = [line for line in text.splitlines() if line.startswith("note: ")]
    assert len(notes) == 2
    assert "variance of log std" in notes[0]
    assert notes[1].startswith("note: only 0 of 50 replicates failed")
    assert "Warning" not in text
    assert succeed(*argv, "--metric", "std", "--json").json["notes"] == [notes[0].removeprefix("note: ")]
    assert succeed(*argv, "--metric", "log_std", "--json").json["notes"] == []


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
def test_events_are_shown(succeed):
    argv = (*CATEGORICAL, "--probs", ".5,.3,.2", "--generations", "200")
    run = tce.simulate(tce.Categorical([0.5, 0.3, 0.2]), tce.CrossEntropy(), **{**SMALL, "generations": 200})
    first = run.events["fixation"][run.events["fixation"] >= 0]
    assert first.size > 0
    line = f"fixation: in {first.size} of 30 replicates, the earliest at generation {first.min()} (one class is left)"
    assert line in succeed(*argv).out.splitlines()
    masked = succeed(*CATEGORICAL, "--probs", ".5,.3,.2", "--loss", "tce", "--gamma", ".1").out
    assert "\nvacuous: in 30 of 30 replicates, 240 fits (the unmasked data determined no fit" in masked
    assert "fixation" not in masked


@pytest.mark.parametrize(("suffix", "magic"), [(".pdf", b"%PDF"), (".PNG", b"\x89PNG"), (".svg", b"<?xml")])
def test_plot(succeed, tmp_path, suffix, magic):
    path = tmp_path / f"run{suffix}"
    text = succeed(*GAUSSIAN, "--metric", "std", "--plot", path).out
    assert path.read_bytes().startswith(magic)
    assert text.splitlines()[-1] == f"file: {path}"


def test_json_is_alone_on_standard_output(succeed, tmp_path):
    outcome = succeed(*GAUSSIAN, "--json", "--plot", tmp_path / "run.svg", "--out", tmp_path / "run.npz")
    assert outcome.json["provenance"]["seed"] == 7
    assert {path.name for path in tmp_path.iterdir()} == {"run.svg", "run.npz"}


# ------------------------------------------------------------------------------------------------- bad input


TCE_LOSS = ("--loss", "tce", "--gamma", "0.5")
METRIC = ("--fidelity-metric", "std")
MISUSES = [
    # the command itself
    (["simulte"], "tce: no such command 'simulte'. Did you mean 'simulate'?"),
    (
        ["walk"],
        "tce: no such command 'walk'; the commands are demo, simulate, choose-gamma, map, predict, ",
    ),
    (["simulate"], "tce simulate: missing command; the commands are gaussian, categorical"),
    (["simulate", "gausian"], "tce simulate: no such command 'gausian'. Did you mean 'gaussian'?"),
    (["--quick"], "tce: no such option --quick; --quick belongs to tce demo"),
    (["simulate", "--gamma", "1"], "tce simulate: no such option --gamma; --gamma belongs to tce simulate gaussian"),
    (["demo", "--qick"], "tce demo: no such option --qick; did you mean --quick?"),
    (["demo", "--seed", "-1"], "tce demo: --seed must be an integer of at least 0, got -1"),
    # options that do not exist, lack a value, or are missing
    ([*GAUSSIAN, "--gama", "1"], "no such option --gama; did you mean --gamma?"),
    ([*GAUSSIAN, "--gen", "1"], "no such option --gen; did you mean --generations?"),
    ([*GAUSSIAN, "--xyzzy"], "no such option --xyzzy; tce simulate gaussian --help lists them all"),
    ([*GAUSSIAN, "--probs", "1"], "no such option --probs; --probs belongs to tce simulate categorical"),
    ([*CATEGORICAL, "--std", "1"], "no such option --std; --std belongs to tce simulate gaussian"),
    ([*GAUSSIAN, "--gamma"], "option '--gamma' requires an argument"),
    ([*GAUSSIAN, "gamma"], "got unexpected extra argument(s) (gamma)"),
    (GAUSSIAN[:2], "--n-samples is missing: Points drawn for each generation."),
    (GAUSSIAN[:4], "--generations is missing: Generations after generation 0."),
    # values
    ([*GAUSSIAN, "--n", "0"], "--n-samples must be an integer of at least 1, got 0"),
    ([*GAUSSIAN, "--n", "1"], "--n-samples must be at least 2 for CrossEntropy(), or no scale can be fitted, got 1"),
    ([*GAUSSIAN, "--generations", "ten"], "--generations must be an integer of at least 1, got 'ten'"),
    ([*GAUSSIAN, "--replicates", "2.5"], "--replicates must be an integer of at least 1, got 2.5"),
    ([*GAUSSIAN, "--seed", "-1"], "--seed must be an integer of at least 0"),
    ([*GAUSSIAN, "--jobs", "0"], "--jobs must be a positive integer, or -1 for all processors, got 0"),
    ([*GAUSSIAN, "--fresh", "1.5"], "--fresh must be a number in [0, 1], got 1.5"),
    ([*GAUSSIAN, "--fresh", "all"], "--fresh must be a number in [0, 1], got 'all'"),
    ([*GAUSSIAN, "--sampler", "law"], "--sampler must be one of 'auto', 'points', got 'law'"),
    ([*GAUSSIAN, "--std", "0"], "--std must be a finite number above 0, got 0"),
    ([*GAUSSIAN, "--mean", "inf"], "--mean must be a finite number, got inf"),
    ([*GAUSSIAN, "--ddof", "2"], "--ddof must be 0 or 1, got 2"),
    ([*GAUSSIAN, "--ddof", "1", "--known-mean"], "--ddof must be 0 where the mean is known"),
    ([*GAUSSIAN, "--metric", "width"], "--metric must be one of 'mean', 'std', "),
    # losses
    ([*GAUSSIAN, "--loss", "mse"], "--loss must be one of ce, tce, focal, smooth, got 'mse'"),
    ([*GAUSSIAN, "--loss", "weighted"], "--loss weighted needs Python, because its weight is a function"),
    ([*GAUSSIAN, "--loss", "tce"], "--loss tce needs --gamma NUMBER"),
    ([*CATEGORICAL, "--loss", "smooth", "--gamma", ".5"], "--loss smooth needs --width NUMBER"),
    ([*GAUSSIAN, "--gamma", "0.5"], "--gamma does not go with --loss ce, but with --loss tce or --loss smooth"),
    ([*GAUSSIAN, *TCE_LOSS, "--width", "0"], "--width does not go with --loss tce, but with --loss smooth"),
    ([*GAUSSIAN, *TCE_LOSS, "--detach"], "--detach does not go with --loss tce, but with --loss focal"),
    ([*GAUSSIAN, "--loss", "tce", "--gamma", "0"], "--gamma must be a finite number above 0, got 0"),
    ([*GAUSSIAN, *TCE_LOSS, "--scale", "log"], "--scale must be one of 'absolute', 'relative', got 'log'"),
    ([*GAUSSIAN, *TCE_LOSS, "--scale", "relative"], "--gamma must be at least e^(-1/2) = 0.606531"),
    ([*GAUSSIAN, *TCE_LOSS, "--vacuous", "warm"], "Gaussian does not go with vacuous='warm'"),
    ([*GAUSSIAN, *TCE_LOSS, "--ddof", "1"], "Gaussian with ddof=1 goes with CrossEntropy alone"),
    ([*GAUSSIAN, "--loss", "focal"], "Gaussian does not go with FocalLoss"),
    ([*CATEGORICAL, "--loss", "tce", "--gamma", "1.5"], "--gamma must be in (0, 1] for probabilities, got 1.5"),
    ([*CATEGORICAL, "--loss", "focal", "--exponent", "-1"], "--exponent must be a finite number >= 0, got -1"),
    # fidelity intervals
    ([*GAUSSIAN, "--below", "1"], "a threshold needs --fidelity-metric: one of mean, std, "),
    ([*GAUSSIAN, "--below", "1", "--fidelity-metric", "x"], "--fidelity-metric must be one of 'mean', 'std', "),
    ([*GAUSSIAN, "--below", "1", "--metric", "x"], "--metric must be one of 'mean', 'std', "),
    ([*GAUSSIAN, *METRIC], "--fidelity-metric needs a threshold: --below, --above or --outside"),
    ([*GAUSSIAN, "--no-interpolate"], "--no-interpolate needs a threshold: --below, --above or --outside"),
    ([*GAUSSIAN, *METRIC, "--below", "low"], "--below must be a finite number, got 'low'"),
    ([*GAUSSIAN, *METRIC, "--below", "1", "--above", "2"], "threshold must be exactly one of below, above and outside"),
    ([*GAUSSIAN, *METRIC, "--outside", "2,1"], "--outside must be LOW,HIGH: two numbers, the lower one first"),
    ([*GAUSSIAN, *METRIC, "--outside", "1"], "--outside must be LOW,HIGH: two numbers, the lower one first, got '1'"),
    # generation 0
    ([*CATEGORICAL, "--probs", ".5,.4"], "--probs must be a vector of nonnegative numbers that sum to 1, got a vector"),
    ([*CATEGORICAL, "--probs", ".5;.5"], "--probs must be numbers with commas between them"),
    ([*CATEGORICAL, "--zipf", "0"], "--zipf must be K or K:EXPONENT, such as 1000:1.2, with a positive integer"),
    ([*CATEGORICAL, "--zipf", "9:steep"], "--zipf must be K or K:EXPONENT, such as 1000:1.2, with a positive integer"),
    ([*CATEGORICAL, "--zipf", "9", "--probs", "1"], "--probs and --zipf do not go together: give one of them"),
    ([*CATEGORICAL, "--zipf", "9", "--unit", "char"], "--unit needs --text FILE"),
    ([*CATEGORICAL, "--zipf", "9", "--column", "1"], "--column needs --counts FILE"),
    ([*CATEGORICAL, "--unit", "line"], "--unit must be one of 'word', 'char', got 'line'"),
    ([*CATEGORICAL, "--text", "none.txt"], "--text must be a file that can be read (no such file or directory)"),
    ([*CATEGORICAL, "--text", "."], "--text must be a file that can be read (is a directory), got '.'"),
    ([*CATEGORICAL, "--text", "latin.txt"], "--text must be a file in UTF-8 (unexpected end of data), got 'latin.txt'"),
    ([*CATEGORICAL, "--text", "empty"], "--text must be a text with at least one word, got 'empty'"),
    ([*CATEGORICAL, "--counts", "table.csv", "--column", "1"], "--counts must be nonnegative whole numbers"),
    ([*GAUSSIAN, "--column", "1"], "--column needs --csv FILE"),
    ([*GAUSSIAN, "--csv", "none.csv"], "--csv must be a file that can be read (no such file or directory)"),
    ([*GAUSSIAN, "--csv", "."], "--csv must be a file that can be read (is a directory)"),
    ([*GAUSSIAN, "--csv", "latin.txt"], "--csv must be a file in UTF-8 (unexpected end of data)"),
    ([*GAUSSIAN, "--csv", "empty"], "--csv must be a CSV file whose first row is not empty, got 'empty'"),
    ([*GAUSSIAN, "--csv", "table.csv"], "--column is missing: one of 'height', 'weight', or a number from 1 to 2"),
    (
        [*GAUSSIAN, "--csv", "table.csv", "--column", "x"],
        "--column must be one of 'height', 'weight', or a number",
    ),
    ([*GAUSSIAN, "--csv", "table.csv", "--column", "3"], "or a number from 1 to 2, got '3'"),
    ([*GAUSSIAN, "--csv", "table.csv", "--column", "0"], "or a number from 1 to 2, got '0'"),
    (
        [*GAUSSIAN, "--csv", "table.csv", "--column", "weight"],
        "table.csv: row 3, column 'weight' must be a finite number, got ''",
    ),
    (
        [*GAUSSIAN, "--csv", "table.csv", "--column", "height", "--no-header"],
        "--column must be a number from 1 to 2, got 'height'",
    ),
    (
        [*GAUSSIAN, "--csv", "table.csv", "--column", "1", "--no-header"],
        "table.csv: row 1, column 1 must be a finite number, got 'height'",
    ),
    ([*GAUSSIAN, "--csv", "comma.csv", "--column", "1"], "comma.csv: row 2, column '1,5' must be a finite number"),
    ([*GAUSSIAN, "--csv", "nan.csv"], "nan.csv: row 1, column 1 must be a finite number, got 'nan'"),
    ([*GAUSSIAN, "--csv", "header.csv"], "header.csv: column 'height' must have numbers below its header, got none"),
    ([*GAUSSIAN, "--csv", "equal.csv"], "data are identical: the likelihood of a Gaussian has no maximum"),
    ([*GAUSSIAN, "--csv", "equal.csv", "--std", "1"], "--std does not go with --csv"),
    ([*GAUSSIAN, "--csv", "equal.csv", "--mean", "1"], "--mean goes with --csv only if it is known: add --known-mean"),
    # files that could not be written
    ([*GAUSSIAN, "--out", "run.csv"], "--out must be a file that ends in .npz, got 'run.csv'"),
    ([*GAUSSIAN, "--out", "nowhere/run.npz"], "--out must be a file in an existing directory that can be written to"),
    ([*GAUSSIAN, "--out", "folder.npz"], "--out must be a file that can be written, got 'folder.npz'"),
    ([*GAUSSIAN, "--plot", "run.gif"], "--plot must be a file that ends in .pdf or .png or .svg, got 'run.gif'"),
    ([*GAUSSIAN, "--plot", "nowhere/run.pdf"], "--plot must be a file in an existing directory that can be written to"),
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("empty").touch()
    Path("latin.txt").write_bytes("café".encode("latin-1"))
    Path("table.csv").write_text("height,weight\n1.5,2\n2.5,\n")
    Path("comma.csv").write_text("1,5;2,5\n2,5;3,5\n")
    Path("nan.csv").write_text("nan\n1\n2\n")
    Path("header.csv").write_text("height\n")
    Path("equal.csv").write_text("2\n2\n2\n")
    Path("folder.npz").mkdir()
    return tmp_path


@pytest.mark.parametrize(("argv", "message"), MISUSES, ids=[" ".join(argv[-2:]) for argv, _ in MISUSES])
def test_bad_input_is_answered_by_one_line(run, folder, argv, message):
    before = set(folder.iterdir())
    outcome = run(*argv)
    assert outcome.code == 2
    assert outcome.out == ""
    assert outcome.err.endswith("\n")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err
    assert re.match(r"tce( demo| simulate( gaussian| categorical)?)?: ", outcome.err)
    assert set(folder.iterdir()) == before


def test_a_line_stays_one_line_whatever_it_quotes(run, tmp_path):
    path = tmp_path / "two\nlines\x1b[31m.csv"
    path.write_text("1\nx\n")
    outcome = run(*GAUSSIAN, "--csv", path)
    assert outcome.code == 2
    assert outcome.err.count("\n") == 1
    assert "\x1b" not in outcome.err


def forbidden(*_, **__):
    pytest.fail("the simulation was started")


@pytest.mark.parametrize("option", ["--out", "--plot"])
def test_files_are_tried_before_the_simulation(run, tmp_path, monkeypatch, option):
    monkeypatch.setattr(recursion, "simulate", forbidden)
    name = {"--out": "run.npz", "--plot": "run.pdf"}[option]

    def refused(**_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(tempfile, "TemporaryFile", refused)
    outcome = run(*GAUSSIAN, option, tmp_path / name)
    assert outcome.code == 2
    assert "in an existing directory that can be written to (permission denied)" in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--below", "0.5", "--relative", "--fidelity-metric", "kl_to_origin"],
            "positive and finite for relative=True",
        ),
        (["--outside", "3,2", "--fidelity-metric", "std"], "--outside must be"),
    ],
)
def test_thresholds_are_tried_before_the_simulation(run, options, message):
    """This one would take days."""
    argv = ("simulate", "gaussian", "--n", "1e4", "--generations", "1e6", "--replicates", "1e5", *TCE_LOSS)
    outcome = run(*argv, *options)
    assert outcome.code == 2
    assert message in outcome.err


def raising(error):
    def simulate(*_, **__):
        raise error

    return simulate


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (tce.RunFileError("old.npz: not a readable run"), "old.npz: not a readable run"),
        (MemoryError("Unable to allocate 9 TiB"), "not enough memory, ask for less (Unable to allocate 9 TiB)"),
        (FileNotFoundError(2, "No such file or directory", "x"), "x: no such file or directory"),
        (PermissionError(13, "Permission denied", "x"), "x: permission denied"),
        (OSError(28, "No space left on device"), "no space left on device"),
    ],
)
def test_errors_of_the_system_are_one_line(run, monkeypatch, error, message):
    monkeypatch.setattr(recursion, "simulate", raising(error))
    outcome = run(*GAUSSIAN)
    assert (outcome.code, outcome.err) == (2, f"tce simulate gaussian: {message}\n")


def test_unexpected_errors_keep_their_traceback(run, monkeypatch):
    monkeypatch.setattr(recursion, "simulate", raising(ZeroDivisionError("a bug")))
    with pytest.raises(ZeroDivisionError, match="a bug"):
        run(*GAUSSIAN)


# ------------------------------------------------------------------------------------------------- Ctrl-C


def test_interrupted_before_anything_had_finished(run, monkeypatch):
    monkeypatch.setattr(recursion, "simulate", raising(KeyboardInterrupt()))
    outcome = run(*GAUSSIAN)
    assert (outcome.code, outcome.out) == (130, "")
    assert outcome.err == "tce: interrupted before anything had finished: nothing is kept\n"


def test_interrupted_without_a_file(run, monkeypatch):
    whole = tce.simulate(tce.Gaussian(), tce.CrossEntropy(), **SMALL)
    kept = np.arange(12)
    partial = tce.Run(
        metrics={name: values[kept] for name, values in whole.metrics.items()},
        replicates=kept,
        n_replicates=30,
        generations=8,
        events={name: values[kept] for name, values in whole.events.items()},
        provenance=whole.provenance,
    )
    monkeypatch.setattr(recursion, "simulate", lambda *_, **__: partial)
    outcome = run(*GAUSSIAN, "--json")
    assert outcome.code == 130
    assert outcome.json["interrupted"]
    assert outcome.json["replicates"] == 12
    assert outcome.err == (
        "tce simulate gaussian: interrupted: 12 of 30 replicates had finished; "
        "nothing is saved, for want of --out FILE.npz\n"
    )
    assert "12 of 30 replicates of 8 generations" in run(*GAUSSIAN).out


def test_interrupted_while_reporting_keeps_the_file(run, tmp_path, monkeypatch):
    monkeypatch.setattr(simulate, "print_json", raising(KeyboardInterrupt()))
    outcome = run(*GAUSSIAN, "--json", "--out", tmp_path / "run.npz")
    assert outcome.code == 130
    assert f"30 of 30 replicates had finished and are saved in {tmp_path / 'run.npz'}" in outcome.err
    assert not tce.Run.load(tmp_path / "run.npz").interrupted


@contextlib.contextmanager
def terminal(columns):
    """Yield both ends of a pseudo terminal: ours, and the one for a program."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
    try:
        yield ours, theirs
    finally:
        os.close(ours)


def read_until(descriptor, wanted, seconds):
    """Read from a terminal until something appears, or, if nothing is wanted, until the program has closed it."""
    text, end = b"", time.monotonic() + seconds
    while wanted is None or wanted not in text:
        ready, _, _ = select.select([descriptor], [], [], max(0, end - time.monotonic()))
        assert ready, text
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # Linux's end of file
            piece = b""
        if not piece:
            assert wanted is None, text
            break
        text += piece
    return text.decode()


def test_ctrl_c_keeps_what_has_finished(tmp_path):
    path = tmp_path / "run.npz"
    argv = ["simulate", "gaussian", "--n", "1000", "--generations", "50", "--replicates", "100_000", "--seed", "3"]
    with terminal(80) as (ours, theirs):
        process = subprocess.Popen(
            [TCE, *argv, *TCE_LOSS, "--metric", "std", "--jobs", "1", "--out", path],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=theirs,
            env=os.environ | {"TERM": "xterm"},
        )
        os.close(theirs)
        try:
            read_until(ours, b"simulating", seconds=60)  # the progress bar: some generations are done
            time.sleep(1)  # and some replicates
            process.send_signal(signal.SIGINT)
            start = time.monotonic()
            errors = read_until(ours, None, seconds=10)
            code = process.wait(10)
            seconds = time.monotonic() - start
            text = process.stdout.read().decode()
        finally:
            process.kill()
            process.stdout.close()
            process.wait()
    assert code == 130
    assert seconds < 10  # all of it would take far longer
    assert errors.splitlines()[-1].startswith("\x1b[?25htce simulate gaussian: interrupted: ")
    assert "Warning" not in errors
    run = tce.Run.load(path)
    assert run.interrupted
    assert 0 < run.replicates.size < 100_000
    assert f"{run.replicates.size} of 100000 replicates" in text
    expected = tce.simulate(
        tce.Gaussian(), tce.TCE(0.5), n_samples=1000, generations=50, replicates=32, seed=3, metrics=["std"]
    )
    np.testing.assert_array_equal(run.metrics["std"][:32], expected.metrics["std"])


# ------------------------------------------------------------------------------------------------- as a program


@pytest.mark.parametrize("columns", [80, 120])
def test_screen_fits_the_terminal(columns):
    with terminal(columns) as (ours, theirs):
        process = subprocess.Popen(
            [TCE, *CATEGORICAL, *TCE_LOSS, "--below", "2", "--fidelity-metric", "support"],
            stdin=subprocess.DEVNULL,
            stdout=theirs,
            stderr=theirs,
            env={**os.environ, "TERM": "xterm", "NO_COLOR": "1"},
        )
        os.close(theirs)
        text = read_until(ours, None, seconds=60)
        assert process.wait(10) == 0
    # the progress bar, if it takes long enough for one, is drawn again and again in its line
    lines = [re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", line) for line in re.split("[\r\n]+", text)]
    assert len(lines) > 20
    assert max(map(len, lines)) <= columns
    assert any(line.startswith("note:         only") for line in lines)


def test_module_runs_as_a_program():
    done = subprocess.run([sys.executable, "-m", "tce_theory.cli", "simulate", "x"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    families = "gaussian, categorical, bernoulli, poisson, markov, multivariate, mixture, regression, lm, vae"
    assert done.stderr == f"tce simulate: no such command 'x'; the commands are {families}\n"


@pytest.mark.parametrize("options", [["--json"], ["--json", "--generations", "2000"], []])
def test_reader_that_leaves_is_no_error(options):
    process = subprocess.Popen(
        [TCE, *GAUSSIAN, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENVIRONMENT
    )
    process.stdout.close()
    assert process.stderr.read() == b""
    process.stderr.close()
    assert process.wait() == 1


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs a device that is always full")
def test_full_disk_is_one_line():
    with open("/dev/full", "w") as full:
        argv = [TCE, *GAUSSIAN, "--metric", "std", "--json"]
        done = subprocess.run(argv, stdout=full, stderr=subprocess.PIPE, text=True, env=ENVIRONMENT)
    assert (done.returncode, done.stderr) == (2, "tce simulate gaussian: no space left on device\n")


def test_output_without_unicode_is_no_error():
    environment = {**ENVIRONMENT, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    argv = [TCE, *GAUSSIAN, "--metric", "masked_weight"]
    done = subprocess.run(argv, capture_output=True, env=environment)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"?" not in done.stdout
    assert re.search(rb"\s-\s", done.stdout)


def test_signs_that_a_stream_does_not_have():
    assert "12 – 13, −∞ … γ".encode("ascii", _output.PLAIN_SIGNS) == b"12 - 13, -inf ... ?"
    assert "–∞".encode("cp1252", _output.PLAIN_SIGNS) == b"\x96inf"


@pytest.mark.parametrize(
    ("argv", "closed", "code", "lines"),
    [(GAUSSIAN, ">&-", 0, (0, 0)), (("--version",), "2>&-", 0, (1, 0)), (("status", "none"), ">&-", 2, (0, 1))],
)
def test_closed_streams_are_no_error(argv, closed, code, lines):
    command = f"{shlex.join([str(TCE), *argv])} {closed}"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, env=ENVIRONMENT)
    assert done.returncode == code
    assert (done.stdout.count("\n"), done.stderr.count("\n")) == lines


# ------------------------------------------------------------------------------------------------- demo


def test_demo_json_is_the_summary(succeed, tmp_path):
    outcome = succeed("demo", "--quick", "--seed", "5", "--json", "--out", tmp_path / "demo")
    assert outcome.json == json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert outcome.json["seed"] == 5


@dataclass
class Demonstration:
    notes: tuple[str, ...] = ("a note\nof two lines",)
    files: tuple[Path, ...] = (Path("d/demo.pdf"), Path("d/summary.json"))
    seconds: float = 1.234

    def table(self):
        from rich.table import Table

        return Table("a heading")


def test_demo_shows_table_notes_and_files(succeed, monkeypatch):
    settings = {}

    def run_demo(**given):
        settings.update(given)
        return Demonstration()

    monkeypatch.setattr("tce_theory.demo.run_demo", run_demo)
    text = succeed("demo", "--text", "poem.txt", "--out", "d", "--seed", "3", "--quick", "--jobs", "2").out
    lines = text.splitlines()
    assert "a heading" in "".join(lines)
    assert lines[-3:] == ["note: a note of two lines", "files: demo.pdf, summary.json in d", "time: 1.2 s"]
    assert settings == {
        "text": Path("poem.txt"),
        "out": Path("d"),
        "seed": 3,
        "quick": True,
        "n_jobs": 2,
        "progress": None,  # the standard error stream is no terminal here
    }


def test_demo_says_on_a_terminal_what_it_is_doing(run, monkeypatch):
    stages = []

    def run_demo(*, progress, **_):
        progress("simulating words")
        stages.append("done")
        return Demonstration()

    monkeypatch.setattr("tce_theory.demo.run_demo", run_demo)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert run("demo", "--out", "d").code == 0
    assert stages == ["done"]


@pytest.mark.parametrize("written", [True, False])
def test_demo_interrupted(run, monkeypatch, tmp_path, written):
    (tmp_path / "old.npz").touch()
    os.utime(tmp_path / "old.npz", (1, 1))

    def run_demo(*, out, **_):
        if written:
            (out / "gaussian.npz").touch()
        raise KeyboardInterrupt

    monkeypatch.setattr("tce_theory.demo.run_demo", run_demo)
    outcome = run("demo", "--out", tmp_path)
    kept = f"gaussian.npz in {tmp_path} is kept" if written else "nothing is kept"
    assert (outcome.code, outcome.err) == (130, f"tce demo: interrupted: {kept}\n")
