"""``tce simulate`` of every family, in every regime, with every way to decode, is what the library does."""

import functools
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import typer

import tce_theory as tce
from tce_theory import plotting
from tce_theory.cli import simulate

FAMILIES = {
    "gaussian": tce.Gaussian,
    "categorical": tce.Categorical,
    "bernoulli": tce.Bernoulli,
    "poisson": tce.Poisson,
    "markov": tce.MarkovChain,
    "multivariate": tce.MultivariateGaussian,
    "mixture": tce.GaussianMixture,
    "regression": tce.LinearRegression,
}
NETWORKS = ("lm", "vae")  # in test_simulate_networks.py
SIZES = ("--n", "20", "--generations", "4", "--replicates", "3", "--seed", "7", "--quiet")
SMALL = {"n_samples": 20, "generations": 4, "replicates": 3, "seed": 7}
ROWS = [[0.9, 0.1], [0.3, 0.7]]
ONE = ("--n", "60", "--generations", "1", "--seed", "1", "--json")
TRANSITION = ("--transition", "0.9,0.1;0.3,0.7")
TEXT = "to be or not to be, that is the question"


built_once = functools.cache(typer.main.get_command)


@pytest.fixture(autouse=True)
def commands(monkeypatch):
    """Build the tree of commands once, which takes longer than most of these tests."""
    monkeypatch.setattr(typer.main, "get_command", built_once)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text(TEXT)
    Path("table.csv").write_text("a,b,name\n1,2,x\n3,1,y\n4,5,z\n0,7,w\n")
    Path("bare.csv").write_text("1,2\n3,1\n4,5\n0,7\n")
    Path("hole.csv").write_text("a,b\n1,2\n3,\n")
    return tmp_path


@pytest.fixture
def simulated(succeed, folder):
    def simulated(family, *options):
        succeed("simulate", family, *SIZES, *options, "--out", "run.npz")
        return tce.Run.load("run.npz")

    return simulated


def same(run, expected):
    volatile = ("command", "created")
    provenances = [{k: v for k, v in r.provenance.items() if k not in volatile} for r in (run, expected)]
    assert provenances[0] == provenances[1]
    assert list(run.metrics) == list(expected.metrics)
    for name in run.metrics:
        np.testing.assert_array_equal(run.metrics[name], expected.metrics[name])
    return True


# ------------------------------------------------------------------------------------------------- help


def test_every_family_has_a_command():
    analytic = [command for command in simulate.simulation.registered_commands if command.name not in NETWORKS]
    assert [command.callback.__name__ for command in analytic] == list(FAMILIES)
    models = {name for name, home in tce._HOMES.items() if home.startswith("models.")}
    assert {family.__name__ for family in FAMILIES.values()} == models - {"MixtureFit"}


@pytest.mark.parametrize("name", FAMILIES)
def test_help_names_every_metric_and_fits_a_terminal(succeed, monkeypatch, name):
    monkeypatch.setenv("COLUMNS", "80")
    page = succeed("simulate", name, "--help").out
    words = re.findall(r"\w+", page.partition("Options")[0].partition("Metrics")[2])
    assert set(FAMILIES[name].metric_names) <= set(words)
    assert {word for word in words if "_" in word} <= set(FAMILIES[name].metric_names)
    assert max(map(len, page.splitlines())) <= 80
    for panel in ("Generation 0", "Recursion", "Data regime", "Loss", "Decoding", "Fidelity interval", "Output"):
        assert f"─ {panel}" in page


@pytest.mark.parametrize("name", FAMILIES)
def test_the_example_of_each_page_runs(succeed, name):
    (example,) = re.findall(r"Example: tce (.*)", getattr(simulate, name).__doc__)
    argv = shlex.split(example)
    assert argv[:2] == ["simulate", name]
    out = succeed(*argv, "--n", "60", "--generations", "2", "--replicates", "2", "--seed", "1", "--json").json
    assert out["provenance"]["family"] == FAMILIES[name].__name__


QUICKSTART = (Path(__file__).parents[2] / "docs" / "quickstart.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("line", re.findall(r"^tce (simulate .*)", QUICKSTART, flags=re.MULTILINE))
def test_the_commands_of_the_quick_start_run(succeed, line):
    argv = shlex.split(line, comments=True)
    metric = FAMILIES[argv[1]].metric_names[0]
    succeed(*argv, "--n", "30", "--generations", "3", "--replicates", "2", "--metric", metric)


def test_the_table_of_the_quick_start_names_options_of_each_family(succeed):
    rows = re.findall(r"^\| `(\w+)` \|(.*)", QUICKSTART, flags=re.MULTILINE)
    assert [name for name, _ in rows] == [*FAMILIES, *NETWORKS]
    for name, row in rows:
        page = succeed("simulate", name, "--help").out.partition("Generation 0")[2].partition("─ Recursion")[0]
        named = re.findall(r"--[a-z-]+", row)
        assert named
        assert set(named) <= set(re.findall(r"--[a-z-]+", page))


# ------------------------------------------------------------------------------------------------- models


def moons(**settings):
    return tce.GaussianMixture.two_moons(**settings)


MODELS = [
    ("bernoulli", [], tce.Bernoulli(0.5)),
    ("bernoulli", ["--prob", ".3"], tce.Bernoulli(0.3)),
    ("poisson", [], tce.Poisson(1)),
    ("poisson", ["--rate", "4.5"], tce.Poisson(4.5)),
    ("markov", TRANSITION, tce.MarkovChain(ROWS)),
    (
        "markov",
        ["--transition", "1,0;0,1", "--start", ".5,.5", "--length", "5"],
        tce.MarkovChain(np.eye(2), start=[0.5, 0.5], length=5),
    ),
    ("markov", ["--text", "text.txt"], tce.MarkovChain.from_text(TEXT)),
    (
        "markov",
        ["--text", "text.txt", "--unit", "char", "--order", "2"],
        tce.MarkovChain.from_text(TEXT, unit="char", order=2),
    ),
    ("multivariate", [], tce.MultivariateGaussian(np.zeros(2), np.eye(2))),
    (
        "multivariate",
        ["--dimension", "3", "--structure", "isotropic", "--ddof", "1"],
        tce.MultivariateGaussian(np.zeros(3), np.eye(3), structure="isotropic", ddof=1),
    ),
    (
        "multivariate",
        ["--mean", "1,-1", "--known-mean"],
        tce.MultivariateGaussian([1.0, -1.0], np.eye(2), fit_mean=False),
    ),
    (
        "multivariate",
        ["--cov", "2,.5;.5,1", "--mean", "0,1"],
        tce.MultivariateGaussian([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]]),
    ),
    (
        "multivariate",
        ["--csv", "table.csv", "--column", "b", "--column", "1"],
        tce.MultivariateGaussian.from_samples([[2, 1], [1, 3], [5, 4], [7, 0]]),
    ),
    (
        "multivariate",
        ["--csv", "bare.csv", "--structure", "diagonal", "--known-mean", "--mean", "1,1"],
        tce.MultivariateGaussian.from_samples(
            [[1, 2], [3, 1], [4, 5], [0, 7]], structure="diagonal", fit_mean=False, mean=[1, 1]
        ),
    ),
    ("mixture", ["--modes", "2", "--std", ".3"], moons(modes=2, std=0.3)),
    (
        "mixture",
        ["--modes", "2", "--start", "k-means++", "--tol", "1e-4", "--max-iter", "9", "--variance-floor", ".01"],
        moons(modes=2, start="k-means++", tol=1e-4, max_iter=9, variance_floor=0.01),
    ),
    (
        "mixture",
        ["--means", "-2/2", "--covs", "1/.5", "--weights", ".25,.75"],
        tce.GaussianMixture([0.25, 0.75], [-2.0, 2.0], [1.0, 0.5]),
    ),
    (
        "mixture",
        ["--means", "0,0/3,1", "--covs", "1,0;0,1/2,.5;.5,1"],
        tce.GaussianMixture([0.5, 0.5], [[0, 0], [3, 1]], [np.eye(2), [[2, 0.5], [0.5, 1]]]),
    ),
    (
        "mixture",
        ["--means", "0,0/3,1"],
        tce.GaussianMixture([0.5, 0.5], [[0, 0], [3, 1]], [np.eye(2), np.eye(2)]),
    ),
    ("regression", [], tce.LinearRegression([0.5**0.5] * 2, 1.0)),
    ("regression", ["--dimension", "4"], tce.LinearRegression([0.5] * 4, 1.0)),
    (
        "regression",
        ["--coefficients", "1,-2", "--noise-std", ".5", "--design", "shared", "--fit-noise"],
        tce.LinearRegression([1.0, -2.0], 0.5, design="shared", fit_noise=True),
    ),
]


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize(("family", "options", "model"), MODELS, ids=[" ".join([f, *o]) for f, o, _ in MODELS])
def test_generation_0(simulated, family, options, model):
    metric = model.metric_names[0]
    expected = tce.simulate(model, tce.CrossEntropy(), **SMALL, metrics=[metric])
    assert same(simulated(family, *options, "--metric", metric), expected)


def test_two_moons_are_the_default_mixture(succeed):
    out = succeed("simulate", "mixture", *ONE, "--metric", "live_components").json
    assert out["provenance"]["model"] == tce.GaussianMixture.two_moons().describe()
    assert out["generation_0"] == "GaussianMixture, two moons of 8 components with standard deviation 0.2"
    assert out["replicates"] == 32  # where the other families have 1000


def test_standard_text_is_the_default_chain(succeed):
    from tce_theory.models.text import standard_text

    model = tce.MarkovChain.from_text(standard_text())
    out = succeed("simulate", "markov", *ONE, "--metric", "support").json
    assert out["provenance"]["model"] == model.describe()
    assert "words of the standard text" in out["generation_0"]
    assert out["replicates"] == 32


def test_arrays_of_a_model_are_shown_short(succeed):
    line = succeed("simulate", "multivariate", "--dimension", "60", *SIZES, "--n", "70").out.splitlines()[0]
    assert line.startswith("generation 0: MultivariateGaussian(mean=[0., 0., ..., 0., 0.], cov=[[1., 0., ..., 0., 0.]")
    assert len(line) < 250


# ------------------------------------------------------------------------------------------------- recursions

PLAIN = {
    "gaussian": ([], tce.Gaussian()),
    "categorical": (["--probs", ".5,.3,.2"], tce.Categorical([0.5, 0.3, 0.2])),
    "bernoulli": ([], tce.Bernoulli(0.5)),
    "poisson": ([], tce.Poisson(1)),
    "markov": (TRANSITION, tce.MarkovChain(ROWS)),
    "multivariate": ([], tce.MultivariateGaussian(np.zeros(2), np.eye(2))),
    "mixture": (["--means", "-2/2"], tce.GaussianMixture([0.5, 0.5], [-2.0, 2.0], [1.0, 1.0])),
    "regression": ([], tce.LinearRegression([0.5**0.5] * 2, 1.0)),
}
REGIMES = [
    (["--fresh", ".25"], {"regime": tce.FreshMix(0.25)}),
    (["--regime", "accumulate"], {"regime": tce.Accumulate()}),
    (["--regime", "accumulate-subsample"], {"regime": tce.AccumulateSubsample()}),
    (["--regime", "staged", "--stages", "2", "--then", "replace"], {"regime": tce.Staged(2, then=tce.Replace())}),
    (["--growth", "linear:5"], {"n_samples": tce.LinearGrowth(20, 5)}),
]


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize("options", [options for options, _ in REGIMES], ids=lambda options: " ".join(options))
@pytest.mark.parametrize("family", PLAIN)
def test_every_family_in_every_regime(simulated, family, options):
    own, model = PLAIN[family]
    (settings,) = [settings for given, settings in REGIMES if given == options]
    metric = model.metric_names[0]
    expected = tce.simulate(model, tce.CrossEntropy(), **{**SMALL, **settings}, metrics=[metric])
    assert same(simulated(family, *own, *options, "--metric", metric), expected)


OTHER = [
    ("gaussian", ["--regime", "replace"], {}),
    ("gaussian", ["--regime", "fresh-mix", "--fresh", "0"], {"regime": tce.FreshMix(0)}),
    ("gaussian", ["--regime", "staged", "--stages", "4"], {"regime": tce.Staged(4)}),
    (
        "gaussian",
        ["--regime", "staged", "--stages", "2", "--then", "fresh-mix", "--fresh", ".5"],
        {"regime": tce.Staged(2, then=tce.FreshMix(0.5))},
    ),
    ("gaussian", ["--growth", "geometric:1.5"], {"n_samples": tce.GeometricGrowth(20, 1.5)}),
    ("categorical", ["--temperature", ".7"], {"decoding": tce.Temperature(0.7)}),
    ("bernoulli", ["--temperature", ".7"], {"decoding": tce.Temperature(0.7)}),
    ("markov", ["--top-k", "1"], {"decoding": tce.TopK(1)}),
    ("categorical", ["--top-p", ".8"], {"decoding": tce.TopP(0.8)}),
    *[
        (family, ["--variance-scaling", ".9"], {"decoding": tce.VarianceScaling(0.9)})
        for family in ("gaussian", "multivariate", "mixture", "regression")
    ],
    ("regression", ["--sampler", "points"], {"sampler": "points"}),
]


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize(("family", "options", "settings"), OTHER, ids=[" ".join([f, *o]) for f, o, _ in OTHER])
def test_regimes_growth_and_decoding(simulated, family, options, settings):
    own, model = PLAIN[family]
    metric = model.metric_names[0]
    expected = tce.simulate(model, tce.CrossEntropy(), **{**SMALL, **settings}, metrics=[metric])
    assert same(simulated(family, *own, *options, "--metric", metric), expected)


# ------------------------------------------------------------------------------------------------- what is shown


def setting(succeed, *options):
    (line,) = [line for line in succeed("simulate", *options, *SIZES).out.splitlines() if line.startswith("recursion")]
    return line


def test_the_setting_is_shown_in_a_line(succeed):
    many = "3 replicates of 4 generations"
    assert setting(succeed, "gaussian") == f"recursion: Replace(), {many}, 20 points a generation"
    assert setting(succeed, "gaussian", "--regime", "accumulate", "--growth", "linear:5") == (
        f"recursion: Accumulate(), {many}, 20 … 35 points a generation, fits to 20 … 110 points"
    )
    assert setting(succeed, "gaussian", "--regime", "staged", "--stages", "4", "--variance-scaling", ".9") == (
        f"recursion: Staged(stages=4, then=None), decoded with VarianceScaling(factor=0.9), {many}, "
        "20 … 80 points a generation"
    )


EVENTS = [
    (
        ["mixture", "--modes", "2", "--max-iter", "1"],
        "unconverged",
        "12 fits (the search for a fit ended before it had converged)",
    ),
    (
        ["mixture", "--modes", "2", "--n", "4"],
        "singular",
        "(a component contracted to a point or a line and was removed)",
    ),
    (["poisson", "--rate", ".1", "--generations", "90"], "extinction", "(the rate is 0 and stays 0)"),
    (["bernoulli", "--generations", "200"], "fixation", "(one class is left)"),
    (["markov", *TRANSITION, "--loss", "tce", "--gamma", ".1"], "vacuous", "(the unmasked data determined no fit"),
    (["multivariate", "--n", "3", "--generations", "2000"], "underflow", "(the scale is below the smallest number"),
]


@pytest.mark.parametrize(("options", "name", "words"), EVENTS, ids=[name for _, name, _ in EVENTS])
def test_events_are_shown_in_words(succeed, options, name, words):
    family, *rest = options
    argv = ("simulate", family, *SIZES, *rest)
    (line,) = [line for line in succeed(*argv).out.splitlines() if line.startswith(f"{name}: ")]
    assert words in line
    event = succeed(*argv, "--json").json["events"][name]
    assert 0 < event["replicates"] <= 3
    count = event.get("fits", event.get("first"))
    assert count > 0
    assert line.startswith(f"{name}: in {event['replicates']} of 3 replicates, ")
    assert re.search(rf"\b{count}\b", line)


def test_every_event_of_every_family_has_words():
    from tce_theory.cli import _run_report

    events = set()
    for family, (_, model) in PLAIN.items():
        metric = [FAMILIES[family].metric_names[0]]
        events |= set(tce.simulate(model, tce.CrossEntropy(), **SMALL, metrics=metric).events)
    assert events <= set(_run_report._IN_WORDS)
    assert len(events) == 7


FIDELITY = [
    ("markov", [*TRANSITION, "--metric", "distinct_ngrams", "--below", "2"], "distinct_ngrams below 2"),
    ("mixture", ["--modes", "2", "--metric", "sliced_w2", "--above", ".1"], "sliced_w2 above 0.1"),
    (
        "multivariate",
        ["--dimension", "9", "--metric", "entropy", "--below", ".5", "--relative"],
        "entropy below 0.5",
    ),
]


@pytest.mark.parametrize(("family", "options", "criterion"), FIDELITY, ids=[family for family, _, _ in FIDELITY])
def test_fidelity_intervals(succeed, family, options, criterion):
    """Also of metrics that generation 0 does not have, and where two points are too few for a fit."""
    out = succeed("simulate", family, *SIZES, *options, "--json").json
    assert out["fidelity"]["criterion"].startswith(criterion)


# ------------------------------------------------------------------------------------------------- bad input

G = ("gaussian", *SIZES)
MISUSES = [
    # regimes
    ([*G, "--regime", "mix"], "--regime must be one of replace, fresh-mix, accumulate, accumulate-subsample, staged"),
    ([*G, "--regime", "fresh-mix"], "fresh-mix needs --fresh SHARE"),
    ([*G, "--regime", "accumulate", "--fresh", ".1"], "--fresh needs fresh-mix: as --regime, or as --then"),
    ([*G, "--regime", "staged"], "--regime staged needs --stages N"),
    ([*G, "--stages", "3"], "--stages needs --regime staged"),
    ([*G, "--then", "replace"], "--then needs --regime staged"),
    ([*G, "--regime", "staged", "--stages", "3"], "--generations must be at most 3, the stages of Staged(stages=3"),
    ([*G, "--regime", "staged", "--stages", "0"], "--stages must be an integer of at least 1, got 0"),
    ([*G, "--regime", "staged", "--stages", "3", "--then", "accumulate"], "--then must be replace or fresh-mix"),
    ([*G, "--regime", "staged", "--stages", "3", "--then", "fresh-mix"], "fresh-mix needs --fresh SHARE"),
    ([*G, "--regime", "staged", "--stages", "3", "--fresh", ".1"], "--fresh needs fresh-mix"),
    # growth
    ([*G, "--growth", "linear"], "--growth must be linear:STEP, a whole number of at least 0, or geometric:RATIO"),
    ([*G, "--growth", "cubic:2"], "--growth must be linear:STEP"),
    ([*G, "--growth", "linear:1.5"], "--growth must be linear:STEP"),
    ([*G, "--growth", "geometric:0.5"], "--growth must be linear:STEP"),
    ([*G, "--growth", "linear:1", "--generations", "x"], "--generations must be an integer of at least 1, got 'x'"),
    ([*G, "--growth", "linear:1", "--n", "x"], "--n-samples must be an integer of at least 1, got 'x'"),
    ([*G, "--growth", "geometric:1e9"], "--growth must be so slow that generation 4 has at most 2**53 points"),
    # decoding
    ([*G, "--temperature", ".7"], "Gaussian does not go with Temperature(temperature=0.7)"),
    ([*G, "--variance-scaling", "0"], "--variance-scaling must be a finite number above 0, got 0"),
    (["categorical", *SIZES, "--top-k", "0"], "--top-k must be an integer of at least 1, got 0"),
    (["categorical", *SIZES, "--top-p", "2"], "--top-p must be a number in (0, 1], got 2"),
    (["categorical", *SIZES, "--temperature", "0"], "--temperature must be a finite number above 0, got 0"),
    (
        ["categorical", *SIZES, "--top-p", ".5", "--top-k", "2"],
        "--top-k and --top-p do not go together: give one of them",
    ),
    (["poisson", *SIZES, "--temperature", ".7"], "Poisson does not go with Temperature(temperature=0.7)"),
    (["markov", *SIZES, *TRANSITION, "--variance-scaling", ".7"], "MarkovChain does not go with VarianceScaling"),
    # losses
    (["regression", *SIZES, "--loss", "focal"], "LinearRegression does not go with FocalLoss"),
    (
        ["mixture", *SIZES, "--loss", "tce", "--gamma", ".9", "--scale", "relative"],
        "GaussianMixture does not go with scale='relative', mask='current'",
    ),
    # models
    (["bernoulli", *SIZES, "--prob", "1.5"], "--prob must be a number in [0, 1], got 1.5"),
    (["poisson", *SIZES, "--rate", "-1"], "--rate must be a number in [0, 1e+15], got -1"),
    (["markov", *SIZES, "--transition", "1,0;1"], "--transition must be rows of equal length, such as 0.9,0.1;0.3,0.7"),
    (["markov", *SIZES, "--transition", "1,0;1,1"], "row 1 of transition must be a vector of nonnegative numbers"),
    (["markov", *SIZES, *TRANSITION, "--order", "2"], "--transition must be of shape (K**2, K)"),
    (["markov", *SIZES, *TRANSITION, "--unit", "char"], "--unit needs --text FILE"),
    (["markov", *SIZES, *TRANSITION, "--text", "text.txt"], "--transition and --text do not go together"),
    (["markov", *SIZES, "--start", ".5,.5"], "--start needs --transition"),
    (["markov", *SIZES, *TRANSITION, "--start", ".5"], "--start must be"),
    (["markov", *SIZES, "--text", "none.txt"], "--text must be a file that can be read"),
    (["markov", *SIZES, "--text", "text.txt", "--order", "99"], "--text must be a text of more than 99 tokens"),
    (["multivariate", *SIZES, "--dimension", "101"], "--dimension must be an integer of at least 1 and at most 100"),
    (["multivariate", *SIZES, "--dimension", "20"], "--n-samples must be at least 21 for 20 dimensions and the mean"),
    (["multivariate", *SIZES, "--dimension", "2", "--cov", "1"], "--dimension and --cov do not go together"),
    (["multivariate", *SIZES, "--dimension", "2", "--mean", "0,0"], "--dimension and --mean do not go together"),
    (["multivariate", *SIZES, "--cov", "1,2;3"], "--cov must be rows of equal length, such as 2,0.5;0.5,1"),
    (["multivariate", *SIZES, "--cov", "1,2;2,1"], "--cov must be"),
    (["multivariate", *SIZES, "--structure", "round"], "--structure must be one of 'full', 'diagonal', 'isotropic'"),
    (["multivariate", *SIZES, "--column", "a"], "--column needs --csv FILE"),
    (["multivariate", *SIZES, "--csv", "table.csv"], "row 2, column 'name' must be a finite number, got 'x'"),
    (["multivariate", *SIZES, "--csv", "hole.csv"], "hole.csv: row 3, column 'b' must be a finite number, got ''"),
    (["multivariate", *SIZES, "--csv", "bare.csv", "--mean", "0,0"], "--mean goes with --csv only if it is known"),
    (["mixture", *SIZES, "--modes", "3"], "--modes must be even: one half of them on each half circle, got 3"),
    (["mixture", *SIZES, "--modes", "1e5"], "--modes must be an integer of at least 2 and at most 10000, got 100000"),
    (["mixture", *SIZES, "--std", "0"], "--std must be a finite number above 0, got 0"),
    (["mixture", *SIZES, "--std", "1e-200"], "--std must be a finite number above 0, as has to be its square"),
    (["categorical", *SIZES, "--zipf", "1e9"], "--zipf must be K or K:EXPONENT with at most 100000000 classes K"),
    ([*G, "--n", "1e18"], "--n-samples must be an integer of at least 1 and at most 2**53, got 1e+18"),
    (["mixture", *SIZES, "--means", "0/1", "--modes", "2"], "--modes does not go with --means"),
    (["mixture", *SIZES, "--weights", "1"], "--weights needs --means"),
    (["mixture", *SIZES, "--means", "0/1,2"], "--means must be means of one length, such as 0,0/3,1"),
    (["mixture", *SIZES, "--means", "0/1", "--covs", "1"], "--covs must be 2 matrices with / between them"),
    (["mixture", *SIZES, "--means", "0/1", "--covs", "1/x"], "--covs must be matrices with / between them"),
    (["mixture", *SIZES, "--means", "0/1", "--covs", "1/-1"], "--covs must be positive definite"),
    (["mixture", *SIZES, "--means", "0/1", "--weights", "1"], "--means must be one for each of 1 weights"),
    (["mixture", *SIZES, "--start", "cold"], "--start must be one of 'warm', 'k-means++', got 'cold'"),
    (["regression", *SIZES, "--coefficients", "1;2"], "--coefficients must be numbers with commas between them"),
    (["regression", *SIZES, "--coefficients", "1", "--dimension", "2"], "--coefficients and --dimension do not go"),
    (["regression", *SIZES, "--noise-std", "0"], "--noise-std must be a finite number above 0, got 0"),
    (["regression", *SIZES, "--design", "old"], "--design must be one of 'fresh', 'shared', got 'old'"),
    (["regression", *SIZES, "--dimension", "1e9"], "--dimension must be an integer of at least 1 and at most 10000"),
]


@pytest.mark.parametrize(("argv", "message"), MISUSES, ids=[" ".join([a[0], *a[10:]]) for a, _ in MISUSES])
def test_what_does_not_go_together_is_answered_by_one_line(run, folder, argv, message):
    outcome = run("simulate", *argv)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"tce simulate {argv[0]}: ")
    assert outcome.err.count("\n") == 1
    assert message in outcome.err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--dimension", "90", "--loss", "tce", "--gamma", "1e-40", "--ddof", "1"], "goes with CrossEntropy alone"),
        (["--metric", "entropy", "--below", "2", "--above", "3"], "threshold must be exactly one of below, above"),
        (["--metric", "log_condition", "--above", "2", "--relative"], "for relative=True"),
    ],
)
def test_refusals_come_before_the_work(run, options, message):
    """This one would take days."""
    argv = ("simulate", "multivariate", "--n", "1e4", "--generations", "1e6", "--replicates", "1e5")
    outcome = run(*argv, *options)
    assert outcome.code == 2
    assert message in outcome.err


# ------------------------------------------------------------------------------------------------- pictures


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
@pytest.mark.parametrize("family", PLAIN)
def test_every_family_is_drawn(family):
    """Every metric has a label of its own, and every panel something to see."""
    model = PLAIN[family][1]
    names = [name for name in model.metric_names if not name.startswith("kl_")]
    figure = plotting.run_overview(tce.simulate(model, tce.CrossEntropy(), **SMALL, metrics=names))
    labels = [ax.get_ylabel() for ax in figure.axes]
    assert len(set(labels)) == len(names)
    assert not {label for label in labels if "_" in label}
    assert all(np.isfinite(ax.lines[0].get_ydata()).any() for ax in figure.axes)


def test_of_what_is_0_or_1_the_share_is_drawn():
    run = tce.simulate(tce.Bernoulli(0.5), tce.CrossEntropy(), n_samples=5, generations=20, replicates=50, seed=1)
    panel = plotting.run_overview(run).axes[2]
    share = run.metrics["fixed"].mean(axis=0)
    assert 0 < share[10] < 1
    np.testing.assert_array_equal(panel.lines[0].get_ydata(), share)
    assert panel.get_ylabel() == "share of replicates at 0 or 1"
    alone = tce.simulate(tce.Bernoulli(0.5), tce.CrossEntropy(), **SMALL, metrics=["fixed"])
    (legend,) = plotting.run_overview(alone).legends
    assert [text.get_text() for text in legend.get_texts()] == ["CE, n = 20"]  # no median, no bands


def test_regime_decoding_and_growth_are_named():
    run = tce.simulate(
        tce.Gaussian(),
        tce.CrossEntropy(),
        **{**SMALL, "n_samples": tce.GeometricGrowth(1000, 1.1)},
        regime=tce.Accumulate(),
        decoding=tce.VarianceScaling(0.9),
    )
    (legend,) = plotting.run_overview(run).legends
    assert legend.get_title().get_text() == "Gaussian, 3 replicates\nAccumulate(), VarianceScaling(factor=0.9)"
    assert legend.get_texts()[0].get_text() == "CE, n = 1,000 … 1,331: median"


def divergences(values):
    run = tce.Run(
        metrics={"kl_from_origin": np.array(values)},
        replicates=np.arange(len(values)),
        n_replicates=len(values),
        generations=len(values[0]) - 1,
        events={},
        provenance={"seed": 1},
    )
    (ax,) = plotting.run_overview(run).axes
    return ax


@pytest.mark.parametrize(
    ("values", "scale", "words"),
    [
        ([[0, 1.0, 2.0, 3.0]], "linear", []),
        ([[0, 1.0, 50.0, 1001.0]], "log", []),
        ([[0, 1.0, np.inf, np.inf]], "linear", ["median infinite\nfrom generation 2 on"]),
        ([[0, np.inf, 1.0, np.inf]], "linear", ["median infinite\nin 2 generations"]),
    ],
)
def test_divergences_that_explode(values, scale, words):
    ax = divergences(values)
    assert ax.get_yscale() == scale
    assert [text.get_text() for text in ax.texts] == words
