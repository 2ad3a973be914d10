"""``tce simulate lm`` and ``tce simulate vae``: what the library does, compared over losses, with clear refusals."""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.cli._networks import NetworkOptions, completed

SMALL = ("--n", "120", "--generations", "2", "--replicates", "2", "--seed", "7", "--quiet")
FACTS = ("--facts", "6", "--filler", "0", "--hidden", "8", "--epochs", "3")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("text.txt").write_text("to be or not to be, that is the question. " * 60)
    Path("empty.txt").write_text("")
    Path("same.txt").write_text("a" * 100)
    rng = np.random.default_rng(1)
    np.save("images.npy", rng.random((300, 5, 5)))
    np.save("holes.npy", np.full((40, 5, 5), np.nan))
    np.save("words.npy", np.array([["a"]]))
    return tmp_path


def as_json(succeed, *arguments):
    return succeed("simulate", *arguments, *SMALL, "--json").json


# ------------------------------------------------------------------------------------------------- what is simulated


def test_default_scenario(succeed, folder):
    """Three losses with one seed, staged, at temperature .7; each is what the library does."""
    found = as_json(succeed, "lm", *FACTS)
    assert list(found["runs"]) == ["CE", "TCE, γ = 0.9", "TCE, γ = 0.3"]
    model = tce.NeuralLanguageModel(
        tce.KnowledgeCorpus(facts=6, filler=0, relations=3), hidden=(8,), training=tce.Training(epochs=3)
    )
    losses = tce.CrossEntropy(), tce.TCE(0.9), tce.TCE(0.3)
    for loss, report in zip(losses, found["runs"].values(), strict=True):
        run = tce.simulate(
            model, loss, n_samples=120, generations=2, replicates=2, seed=7,
            regime=tce.Staged(2), decoding=tce.Temperature(0.7),
        )  # fmt: skip
        assert report["provenance"]["loss"] == repr(loss)
        for name, values in run.metrics.items():
            assert report["metrics"][name]["mean"] == pytest.approx(values.mean(axis=0).tolist(), abs=0)


def test_defaults_are_those_of_the_scenario():
    options = completed(NetworkOptions(), 3600, staged=True)
    found = options.n_samples, options.generations, options.replicates, options.regime, options.stages
    assert (*found, options.temperature) == (3600, 6, 4, "staged", 6, 0.7)
    options = completed(NetworkOptions(regime="replace", beams=5, generations=9), 3600, staged=True)
    assert (options.regime, options.temperature, options.generations, options.stages) == ("replace", None, 9, None)
    options = completed(NetworkOptions(), 1000, staged=False)
    assert (options.regime, options.temperature, options.generations) == (None, None, 6)


def test_one_loss_is_a_run_like_any_other(succeed, folder):
    succeed("simulate", "lm", *FACTS, *SMALL, "--loss", "focal", "--beams", "2", "--out", "run.npz")
    run = tce.Run.load("run.npz")
    assert run.provenance["loss"] == "FocalLoss(exponent=2.0, detach=False)"
    assert run.provenance["decoding"] == "BeamSearch(width=2, repetition_penalty=1.0)"


@pytest.mark.parametrize(
    ("arguments", "loss", "settings"),
    [
        (("--loss", "ce", "--label-smoothing", "0.1"), tce.CrossEntropy(), {"label_smoothing": 0.1}),
        (
            ("--loss", "tce", "--gamma", "0.3", "--control", "matched-step", "--engine", "minibatch"),
            tce.TCE(0.3),
            {"control": "matched-step", "engine": "minibatch"},
        ),
        (("--loss", "ce", "--keep", "retention"), tce.CrossEntropy(), {"keep": "retention"}),
    ],
    ids=["label smoothing", "matched step", "retention"],
)
def test_controls_are_those_of_the_library(succeed, folder, arguments, loss, settings):
    succeed("simulate", "lm", *FACTS, *SMALL, *arguments, "--regime", "replace", "--out", "run.npz")
    model = tce.NeuralLanguageModel(
        tce.KnowledgeCorpus(facts=6, filler=0, relations=3),
        hidden=(8,),
        training=tce.Training(epochs=3, **settings),
    )
    found = tce.Run.load("run.npz").metrics["predictive_entropy"]
    expected, without = (
        tce.simulate(
            chosen,
            loss,
            n_samples=120,
            generations=2,
            replicates=2,
            seed=7,
            decoding=tce.Temperature(0.7),
            metrics=["predictive_entropy"],
        )
        for chosen in (model, replace(model, training=tce.Training(epochs=3)))
    )
    np.testing.assert_array_equal(found, expected.metrics["predictive_entropy"])
    assert not np.array_equal(found, without.metrics["predictive_entropy"])


def test_factors_are_those_of_pairs(succeed, folder):
    found = as_json(succeed, "lm", *FACTS, "--metric", "heldout_cross_entropy", "--above", "1.05", "--relative")
    assert set(found["extension_factors"]) == {"TCE, γ = 0.9", "TCE, γ = 0.3"}
    for report in found["runs"].values():
        assert report["fidelity"]["metric"] == "heldout_cross_entropy"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--text", "text.txt", "--unit", "word", "--vocabulary", "5"), "words of text.txt"),
        (("--transition", "0.9,0.1;0.3,0.7", "--context", "1"), "MarkovSource"),
        (("--transition", "0.9,0.1;0.3,0.7", "--context", "1", "--tabular"), "table of 2 contexts"),
    ],
)
def test_sources(succeed, folder, arguments, words):
    few = () if "--tabular" in arguments else ("--epochs", "1")
    found = as_json(succeed, "lm", *arguments, "--loss", "ce", *few)
    assert words in found["generation_0"]


def test_checkpoints_can_be_read(succeed, folder):
    succeed("simulate", "lm", *FACTS, *SMALL, "--loss", "ce", "--checkpoints", "kept")
    files = sorted(Path("kept").iterdir())
    assert len(files) == 4
    source = tce.KnowledgeCorpus(facts=6, filler=0, relations=3)
    assert tce.NeuralLanguageModel.load(files[-1], source).parameters is not None


def test_images_of_the_user(succeed, folder):
    found = as_json(succeed, "vae", "--images", "images.npy", "--hidden", "6", "--latent", "2", "--epochs", "1")
    assert list(found["runs"]) == ["CE", "TCE, γ = 0.9", "TCE, γ = 0.7"]
    assert "class_entropy" not in found["runs"]["CE"]["metrics"]  # there are no labels


# ------------------------------------------------------------------------------------------------- what is shown


def test_table_and_picture(succeed, folder):
    shown = succeed("simulate", "lm", *FACTS, *SMALL, "--plot", "lm.png").out
    assert "TCE, γ = 0.3" in shown
    assert "retention" in shown
    assert Path("lm.png").read_bytes()[:4] == b"\x89PNG"


def test_replicates_that_diverge_are_said_and_have_no_interval(succeed, folder, monkeypatch):
    from dataclasses import replace

    from tce_theory.neural import recursion

    train = recursion.train

    def failing(architecture, theta, windows, *more, **rest):
        result = train(architecture, theta, windows, *more, **rest)
        return replace(result, diverged=bool(windows[0, -1] % 2))

    monkeypatch.setattr(recursion, "train", failing)
    shown = succeed("simulate", "lm", *FACTS, *SMALL, "--loss", "ce", "--metric", "recall", "--below", "0.5").out
    assert "no fidelity interval" in shown
    assert "1 of 2 replicates diverged" in shown


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("arguments", "line"),
    [
        (("lm", "--text", "empty.txt"), "a text of at least 20 chars"),
        (("lm", "--text", "same.txt"), "at least two different chars"),
        (("lm", "--text", "missing.txt"), "--text must be a file that can be read"),
        (("lm", "--gamma", "1.5"), "--gamma must be in (0, 1] for probabilities, got 1.5"),
        (("lm", "--hidden", "3,x"), "--hidden must be whole numbers"),
        (("lm", "--facts", "5", "--text", "text.txt"), "--facts and --text do not go together"),
        (("lm", "--mentions", "3", "--standard-text"), "--mentions needs a corpus of facts"),
        (("lm", "--unit", "char"), "--unit needs --text FILE or --standard-text"),
        (("lm", "--tabular", "--hidden", "8"), "--hidden needs a network: leave out --tabular"),
        (("lm", "--repetition-penalty", "3"), "--repetition-penalty needs --beams WIDTH"),
        (("lm", "--exponent", "2"), "--exponent needs --loss NAME"),
        (("lm", "--out", "run.npz"), "--out needs --loss NAME"),
        (("lm", "--checkpoints", "kept"), "--checkpoints needs --loss NAME"),
        (("lm", "--loss", "ce", "--checkpoints", "."), "--checkpoints must be a new or an empty folder"),
        (("lm", "--facts", "5"), "--facts must be at least 6, one for each of the --stages, got 5"),
        (("lm", "--facts", "1"), "--facts must be an integer of at least 3, got 1"),
        (("lm", "--text", "text.txt", "--n", "5000"), "--n-samples must be at most"),
        (("lm", "--beams", "0"), "--beams must be"),
        (("lm", "--generations", "0"), "--generations must be"),
        (("lm", "--generations", "1e9"), "--generations must be"),
        (("lm", "--mentions", "3", "--n", "100"), "--mentions and --n do not go together"),
        (("lm", "--tabular", "--rate", "0.1"), "--rate needs --engine counts or minibatch"),
        (("lm", "--patience", "3"), "patience needs held_out above 0"),
        (("lm", "--label-smoothing", "1"), "--label-smoothing must be a number in [0, 1), got 1.0"),
        (("lm", "--label-smoothing", "0.1"), "--label-smoothing needs --loss ce"),
        (("lm", "--control", "dropout"), "--control must be one of 'none', 'random-mask', 'matched-step'"),
        (("lm", "--control", "random-mask"), "--control needs --loss tce"),
        (("lm", "--control", "random-mask", "--loss", "ce"), "control='random-mask' needs TruncatedCrossEntropy"),
        (("lm", "--control", "random-mask", "--tabular"), "--control needs --engine minibatch with --tabular"),
        (("lm", "--keep", "first"), "--keep must be one of 'last', 'best', 'retention'"),
        (("lm", "--keep", "retention", "--standard-text"), "keep='retention' needs a source with facts"),
        (("vae", "--images", "images.npy", "--control", "random-mask"), "which is for language models"),
        (("lm", "--standard-text", "--metric", "retention"), "--metric must be one of"),
        (("vae", "--images", "missing.npy"), "missing.npy: there is no such file"),
        (("vae", "--images", "holes.npy"), "holes.npy"),
        (("vae", "--images", "words.npy"), "words.npy"),
        (("vae", "--labels", "words.npy"), "--labels needs --images FILE.npy"),
        (("vae", "--temperature", "0.5"), "does not go with Temperature"),
        (("vae", "--exclude", "1"), "--exclude must be"),
        (("vae", "--images", "images.npy", "--epochs", "1", "--rate", "1e10", *SMALL), "all 2 replicates diverged"),
        (("categorical", "--beams", "3", "--n", "9", "--generations", "2"), "BeamSearch"),
    ],
)
def test_refusals(run, folder, arguments, line):
    outcome = run("simulate", *arguments)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert line in outcome.err


def test_digits_need_an_extra(run, folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    outcome = run("simulate", "vae")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "pip install 'tce_theory[digits]' (or give --images FILE.npy)" in outcome.err
    Path("digits.toml").write_text(
        'title = "digits"\nn_samples = 9\ngenerations = 1\nreplicates = 1\nseed = 1\n'
        'model = { family = "vae", digits = true }\nloss = { name = "ce" }\n'
    )
    outcome = run("run", "digits.toml")
    assert (outcome.code, outcome.err.count("\n")) == (2, 1)
    assert "model.digits must be left out for images, or scikit-learn installed" in outcome.err
