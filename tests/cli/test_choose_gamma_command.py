"""``tce choose-gamma``: what it prints of a choice, and what it refuses."""

import json

import pytest

import tce_theory as tce
from tce_theory.cli import main

TWO = ["choose-gamma", "categorical", "--probs", "0.6,0.4", "--n", "40", "--generations", "200"]
COEXIST = [*TWO, "--metric", "support", "--below", "2", "--replicates", "40", "--seed", "1"]
FAMILIES = {
    "gaussian": ["--metric", "std", "--below", "0.9"],
    "categorical": ["--zipf", "4", "--metric", "tv", "--above", "0.1"],
    "bernoulli": ["--metric", "entropy", "--below", "0.6"],
    "poisson": ["--metric", "rate", "--outside", "0.5,2"],
    "markov": ["--transition", "0.9,0.1;0.1,0.9", "--metric", "tv", "--above", "0.05"],
    "multivariate": ["--metric", "log_det", "--below", "-0.2"],
    "mixture": ["--modes", "2", "--metric", "sliced_w2", "--above", "0.05"],
    "regression": ["--metric", "excess_error", "--above", "0.1"],
}


def told(arguments, capsys):
    assert main(arguments) == 0
    return capsys.readouterr().out


def test_json_is_the_choice(capsys):
    document = json.loads(told([*COEXIST, "--gammas", "0.8,0.97", "--json"], capsys))
    choice = tce.choose_gamma(
        tce.Categorical([0.6, 0.4]), n_samples=40, generations=200, metric="support", below=2, gammas=[0.8, 0.97],
        replicates=40, seed=1,
    )  # fmt: skip
    assert document["gamma"] == choice.gamma == 0.97
    assert document["factor"]["ratio"] == choice.factor.ratio
    assert [effect["metric"] for effect in document["side_effects"]] == [e.metric for e in choice.side_effects]
    assert document["generation_0"].startswith("Categorical(")


def test_the_report_answers(capsys, tmp_path):
    shown = told([*COEXIST, "--gammas", "0.8,0.97", "--plot", str(tmp_path / "choice.svg")], capsys)
    assert "answer: gamma = 0.97 extends the interval by the factor" in shown
    assert "as much as: " in shown
    assert " % fresh data" in shown
    assert "harmed" in shown
    assert "exact" in shown
    assert "seed: " not in shown
    assert (tmp_path / "choice.svg").exists()


def test_the_report_says_that_none_helps(capsys):
    arguments = ["choose-gamma", "gaussian", "--n", "30", "--generations", "60", "--metric", "std", "--below", "0.9"]
    shown = told([*arguments, "--gammas", "3", "--replicates", "100", "--seed", "2"], capsys)
    assert "answer: none helps: the best, gamma = 3, has the factor" in shown
    assert "as much as" not in shown


def test_a_fresh_seed_is_told(capsys):
    assert "fresh; --seed " in told([*COEXIST[:-2], "--gammas", "0.9"], capsys)


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_family(family, capsys):
    arguments = ["choose-gamma", family, *FAMILIES[family], "--n", "30", "--generations", "4", "--replicates", "20"]
    document = json.loads(told([*arguments, "--seed", "1", "--json"], capsys))
    assert document["candidates"]
    assert document["criterion"].startswith(FAMILIES[family][FAMILIES[family].index("--metric") + 1])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([*TWO, "--metric", "std", "--below", "2"], "--metric must be one of"),
        ([*TWO, "--metric", "support"], "a threshold is missing: --below, --above or --outside"),
        ([*COEXIST, "--above", "3"], "--below and --above do not go together"),
        ([*TWO, "--metric", "support", "--below", "3"], "generation 0 does not fail in (support below 3), got support"),
        ([*COEXIST, "--gammas", "0"], "--gammas must be numbers, each of them a finite number above 0, got 0"),
        ([*COEXIST, "--scale", "rel"], "--scale must be one of absolute, relative, got rel"),
        ([*COEXIST, "--mask", "past"], "--mask must be one of current, previous, got past"),
        ([*COEXIST[:-1], "-1"], "--seed must be an integer of at least 0, got -1"),
        ([*COEXIST, "--gammas", "1.5"], "gamma must be in (0, 1] for probabilities, got 1.5"),
        ([*COEXIST, "--gammas", "low"], "--gammas must be numbers such as 0.3,0.5, got low"),
        ([*COEXIST, "--replicates", "3"], "--replicates must be an integer of at least 20, got 3"),
        ([*COEXIST, "--scale", "relative"], "relative"),
        ([*COEXIST, "--fresh", "2"], "--fresh must be"),
        ([*TWO, "--below", "2"], "--metric"),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(arguments) == 2
    lines = capsys.readouterr().err.replace("'", "").strip().splitlines()
    assert len(lines) == 1
    assert message in lines[0]
