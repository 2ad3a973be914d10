"""`results_version` of a family changes when its results do, and only then.

Stored experiments of another version are run again, so that a change of results that leaves the version as it was would
mix two kinds of results in one store. Here every family is held against recorded results. This file is also a script,
which writes them again: `python tests/unit/test_results_version.py`.
"""

import importlib
import inspect
import itertools
import json
import math
import pkgutil
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
import tce_theory.models
import tce_theory.neural
from tce_theory.decoding import Decoding
from tce_theory.kernels import categorical, gaussian
from tce_theory.losses import Loss
from tce_theory.models.base import Model
from tce_theory.regimes import Regime

GOLDEN = Path(__file__).with_name("golden_results.json")
COMMAND = "python tests/unit/test_results_version.py"

# each with a number of points for which its samplers and fits take another way
MODELS = {
    "Gaussian": (tce.Gaussian(1.0, 1.0), 12),
    "Gaussian, mean known": (tce.Gaussian(1.0, 1.0, fit_mean=False), 12),
    "Gaussian, ddof = 1": (tce.Gaussian(1.0, 1.0, ddof=1), 12),
    "three classes": (tce.Categorical([0.5, 0.3, 0.2]), 2000),
    "Zipf on 8 classes": (tce.Categorical.zipf(8), 12),
    "Zipf on 60 classes": (tce.Categorical.zipf(60), 300),
    "two dimensions": (tce.MultivariateGaussian([0.0, 1.0], [[1.0, 0.4], [0.4, 2.0]]), 12),
    "two dimensions, diagonal": (
        tce.MultivariateGaussian([0.0, 1.0], [[1.0, 0.0], [0.0, 2.0]], structure="diagonal"),
        12,
    ),
    "two components": (tce.GaussianMixture([0.6, 0.4], [[-1.0], [2.0]], [[[1.0]], [[0.5]]], max_iter=5), 40),
    "regression": (tce.LinearRegression([1.0, -2.0], 0.5), 12),
    "regression, one design": (tce.LinearRegression([1.0, -2.0], 0.5, design="shared", fit_noise=True), 12),
    "three states": (tce.MarkovChain([[0.1, 0.6, 0.3], [0.5, 0.2, 0.3], [0.3, 0.3, 0.4]]), 60),
    "two classes": (tce.Bernoulli(0.3), 12),
    "Poisson": (tce.Poisson(2.5), 12),
    # short trainings, so that the last bits of a processor's products do not grow
    "a network of facts": (
        tce.NeuralLanguageModel(
            tce.KnowledgeCorpus(facts=4, relations=2, objects=3, filler=1, filler_words=3, filler_entropy=0.9),
            context=2,
            embedding=3,
            hidden=(4,),
            length=8,
            training=tce.Training(epochs=2, engine="minibatch"),
        ),
        48,
    ),
    "a network of a chain": (
        tce.NeuralLanguageModel(
            tce.MarkovSource(tce.MarkovChain([[0.7, 0.3], [0.4, 0.6]])),
            context=1,
            embedding=2,
            hidden=(),
            length=8,
            prompts="real",
            training=tce.Training(optimiser="sgd", epochs=3),
        ),
        48,
    ),
    "a table": (
        tce.NeuralLanguageModel(
            tce.MarkovSource(tce.MarkovChain([[0.7, 0.3], [0.4, 0.6]])), context=1, embedding=None, hidden=(), length=8
        ),
        48,
    ),
    "an autoencoder": (
        tce.VariationalAutoencoder(
            tce.ImageSource(np.random.default_rng(1).random((60, 3, 3)), np.arange(60) % 2),
            latent=2,
            hidden=(3,),
            training=tce.Training(epochs=2),
        ),
        30,
    ),
}
LOSSES = (
    tce.CrossEntropy(),
    *(tce.TCE(0.3, vacuous=rule) for rule in ("auto", "warm", "max-entropy", "drawn-only")),
    tce.TCE(0.3, mask="previous"),
    tce.TCE(0.8, scale="relative"),
    tce.TCE(0.8, scale="relative", mask="previous"),
    tce.FocalLoss(2.0),
    tce.FocalLoss(2.0, detach=True),
    tce.SmoothTruncatedCrossEntropy(0.3, 0.1),
)
REGIMES = (tce.Replace(), tce.FreshMix(0.3), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(2, tce.Replace()))
DECODINGS = (
    tce.Temperature(0.7),
    tce.TopK(2),
    tce.TopP(0.8),
    tce.VarianceScaling(0.8),
    tce.BeamSearch(2, repetition_penalty=2.0),
)
# with every loss the first two; the other ways to come by data do not meet the fit, and two losses will do
WAYS = (
    *itertools.product(LOSSES, REGIMES[:2], [None]),
    *itertools.product(LOSSES[:2], REGIMES[2:], [None]),
    *itertools.product(LOSSES[:1], REGIMES[:1], DECODINGS),
)
SAMPLERS = ("auto", "points")
IN_PYTHON_ALONE = {"WeightedCrossEntropy"}  # no store has results of a loss that no definition can name


def concrete(base):
    """Classes of the library that are derived from `base` and can be made."""
    for package in (tce_theory.models, tce_theory.neural):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            importlib.import_module(module.name)
    found, todo = set(), [base]
    while todo:
        derived = todo.pop().__subclasses__()
        todo += derived
        found |= {
            item for item in derived if item.__module__.startswith("tce_theory.") and not inspect.isabstract(item)
        }
    return found


def goes_together(model, loss, regime, decoding):
    try:
        model.check(loss, regime, decoding)
    except ValueError:
        return False
    return True


def results(family):
    """A few results of every way through a family's recursion: the first replicates of two streams, at the end."""
    found = {}
    models = {name: chosen for name, chosen in MODELS.items() if type(chosen[0]) is family}
    samplers = SAMPLERS[:1] if family.__module__.startswith("tce_theory.neural") else SAMPLERS  # they have just one
    for (name, (model, n)), (loss, regime, decoding), sampler in itertools.product(models.items(), WAYS, samplers):
        if not goes_together(model, loss, regime, decoding):
            continue
        size = model.recursion(loss, np.full(4, n), regime, sampler, decoding).block_size
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tce.StatisticalWarning)
            run = tce.simulate(
                model, loss, n_samples=n, generations=4, replicates=size + 1, regime=regime, sampler=sampler,
                metrics=model.metric_names, seed=7, decoding=decoding,
            )  # fmt: skip
        ends = {key: [float(f"{path[-1]:.13g}") for path in paths[[0, size]]] for key, paths in run.metrics.items()}
        events = {key: [int(count) for count in counts[[0, size]]] for key, counts in run.events.items()}
        drawn = f"{regime!r}; {sampler}" if decoding is None else f"{regime!r}; {decoding!r}; {sampler}"
        found[f"{name}; {loss!r}; {drawn}"] = ends | events
    return found


def record(family):
    return {"results_version": family.results_version, "results": results(family)}


def same(one, other):
    if isinstance(one, int) and isinstance(other, int):
        return one == other
    return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-12) or (math.isnan(one) and math.isnan(other))


def changes(recorded, found):
    """What differs, in words, among the results that both have."""
    for case in recorded.keys() & found.keys():
        old, new = recorded[case], found[case]
        for name in sorted(old.keys() & new.keys()):
            if not all(map(same, old[name], new[name])):
                yield f"{case}: {name} was {old[name]} and is {new[name]}"


def complaint(family, recorded, found):
    """What is wrong with the version of a family, and what to do about it; None if nothing is."""
    name = family.__name__
    if recorded is None or not found["results"]:
        return f"{name} has no recorded results: add models of it to MODELS, and run `{COMMAND}`"
    if found["results_version"] != recorded["results_version"]:
        was, now = recorded["results_version"], found["results_version"]
        return f"{name}.results_version was {was} and is {now}: run `{COMMAND}`, which records its results"
    different = sorted(changes(recorded["results"], found["results"]))
    if different:
        return (
            f"results of {name} have changed ({len(different)} numbers, the first: {different[0]}). "
            f"If this is meant, raise {name}.results_version and run `{COMMAND}`"
        )
    if recorded["results"].keys() != found["results"].keys():
        return f"the cases that are recorded for {name} are not those of this file: run `{COMMAND}`"
    return None


def recorded_results():
    return json.loads(GOLDEN.read_text())


FAMILIES = sorted(concrete(Model), key=lambda family: family.__name__)


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_results_are_those_of_the_version(family):
    problem = complaint(family, recorded_results().get(family.__name__), record(family))
    assert problem is None, problem


def test_every_kind_of_loss_and_regime_is_among_them():
    assert {type(loss).__name__ for loss in LOSSES} == {item.__name__ for item in concrete(Loss)} - IN_PYTHON_ALONE
    assert {type(regime) for regime in REGIMES} == concrete(Regime)
    assert {type(decoding) for decoding in DECODINGS} == concrete(Decoding)
    assert recorded_results().keys() == {family.__name__ for family in FAMILIES}


# ------------------------------------------------------------------------------------------------- controls


def slightly_off(kernel, place):
    """A kernel whose array at `place` of its arguments ends a millionth off."""

    def changed(*arguments):
        kernel(*arguments)
        arguments[place][..., -1] *= 1 + 1e-6

    return changed


@pytest.mark.parametrize(
    ("family", "module", "name", "place"),
    [
        (tce.Gaussian, gaussian, "advance_law", 11),
        (tce.Gaussian, gaussian, "advance_points", 13),
        (tce.Categorical, categorical, "advance", 20),
    ],
)
def test_a_change_of_a_kernel_is_noticed(monkeypatch, family, module, name, place):
    monkeypatch.setattr(module, name, slightly_off(getattr(module, name), place))
    problem = complaint(family, recorded_results()[family.__name__], record(family))
    assert "have changed" in problem
    assert f"raise {family.__name__}.results_version" in problem


def test_a_change_of_a_count_is_noticed():
    found = record(tce.Gaussian)
    next(iter(found["results"].values()))["vacuous"][1] += 1
    assert "vacuous was" in complaint(tce.Gaussian, recorded_results()["Gaussian"], found)


def test_a_new_version_needs_new_results(monkeypatch):
    monkeypatch.setattr(tce.Gaussian, "results_version", tce.Gaussian.results_version + 1)
    problem = complaint(tce.Gaussian, recorded_results()["Gaussian"], record(tce.Gaussian))
    assert f"run `{COMMAND}`" in problem


def test_a_family_without_results_is_noticed():
    class Unknown(Model):
        pass

    assert "Unknown has no recorded results" in complaint(Unknown, None, record(Unknown))


# --------------------------------------------------------------------------------------------------- script


def write():
    """Record the results, unless some have changed and the version of their family has not."""
    before = recorded_results() if GOLDEN.exists() else {}
    after = {family.__name__: record(family) for family in FAMILIES}
    for name, found in after.items():
        old = before.get(name)
        if old and old["results_version"] == found["results_version"]:
            different = sorted(changes(old["results"], found["results"]))
            if different:
                sys.exit(f"results of {name} have changed: raise {name}.results_version first ({different[0]})")
    lines = []
    for name, found in after.items():
        cases = ",\n".join(f"  {json.dumps(case)}: {json.dumps(ends)}" for case, ends in found["results"].items())
        version = found["results_version"]
        lines.append(f'{json.dumps(name)}: {{"results_version": {version}, "results": {{\n{cases}\n}}}}')
    GOLDEN.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    write()
