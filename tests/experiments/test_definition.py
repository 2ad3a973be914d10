"""Definitions: what they mean, what they refuse and with which words, and what the keys of their cells depend on."""

from __future__ import annotations

import copy
import datetime
import importlib.util
import itertools
import json
import math
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import tce_theory as tce
from tce_theory.errors import DefinitionError
from tce_theory.experiments import blocks, run, schema
from tce_theory.experiments import definition as module
from tce_theory.experiments.definition import Cell, Definition
from tce_theory.recursion import simulate_part

BASE: dict[str, Any] = {
    "title": "a test",
    "n_samples": 10,
    "generations": 5,
    "replicates": 3,
    "seed": 1,
    "model": {"family": "gaussian"},
    "loss": {"name": "tce", "gamma": 0.5},
}
ZIPF = {"family": "categorical", "zipf": {"size": 5}}
SIMULATIONS = sorted((Path(__file__).parents[2] / "simulations").glob("*.toml"))


def cells(**changes: Any) -> tuple[Cell, ...]:
    return Definition.from_mapping({**BASE, **changes}).cells


def cell(**changes: Any) -> Cell:
    (only,) = cells(**changes)
    return only


def refusal(document: Any) -> str:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_mapping(document)
    line = str(caught.value)
    assert "\n" not in line
    return line


# --------------------------------------------------------------------------------------------------------- refusals

TCE = {"name": "tce", "gamma": 0.5}
# what the JSON schema refuses, too
OF_FORM: list[tuple[dict[str, Any], str]] = [
    # unknown and missing keys
    ({"seeed": 1}, "seeed is not known; did you mean seed?"),
    ({"n": 1}, "n is not known; did you mean n_samples?"),
    ({"loss": [TCE, {"name": "tce", "gama": 1}]}, "loss[1].gama is not known; did you mean gamma?"),
    (
        {"loss": {"name": "tce", "gamma": 0.5, "x": 1}},
        "loss.x is not known; known are name, gamma_over_peak, gamma, scale, mask, vacuous",
    ),
    ({"loss": {"name": "ce", "gamma": 0.5}}, "loss.gamma does not go with ce, but with tce and smooth"),
    ({"model": {**ZIPF, "std": 1}}, "model.std does not go with categorical, but with gaussian"),
    (
        {"model": {"family": "gaussian", "seed": 1}},
        "model.seed is not known; seed belongs to the top of the file, before the first [table]",
    ),
    (
        {"model": {"family": "categorical", "zipf": {"size": 3, "exp": 1}}},
        "model.zipf.exp is not known; did you mean exponent?",
    ),
    ({"a\nb": 1}, '"a\\nb" is not known; known are '),
    ({"loss": {}}, "loss.name is missing: one of ce, tce, focal, smooth"),
    ({"fidelity": [{"below": 1}]}, "fidelity[0].metric is missing"),
    ({"cases": [{"n_samples": 5}, {"n": 5}]}, "cases[1].n is not known; did you mean n_samples?"),
    # words
    ({"loss": {"name": "tca"}}, "loss.name must be one of ce, tce, focal, smooth (did you mean tce?), got 'tca'"),
    (
        {"loss": {"name": "weighted"}},
        "loss.name must be one of ce, tce, focal, smooth, got 'weighted': its weight is a function, which a file "
        "cannot hold: use tce_theory.simulate(model, tce_theory.WeightedCrossEntropy(weight), ...)",
    ),
    (
        {"loss": {"name": ["ce", "tce"]}},
        "loss.name must be one of ce, tce, focal, smooth, got ['ce', 'tce']: give a list of tables, [[loss]], "
        "for several",
    ),
    (
        {"model": {"family": "gausian"}},
        "model.family must be one of gaussian, categorical, bernoulli, poisson, multivariate, mixture, markov, "
        "regression, lm, vae (did you mean gaussian?), got 'gausian'",
    ),
    (
        {"sampler": ["auto", "points", "pionts"]},
        "sampler[2] must be one of auto, points (did you mean points?), got 'pionts'",
    ),
    ({"combine": "product"}, "combine must be one of grid, zip, got 'product'"),
    ({"loss": {**TCE, "mask": ["current", 1]}}, "loss.mask[1] must be one of current, previous, got 1"),
    # types
    ({"title": ""}, "title must be a string that is not empty, got ''"),
    ({"loss": "ce"}, "loss must be a table, got 'ce'"),
    ({"loss": [TCE, 3]}, "loss[1] must be a table, got 3"),
    ({"model": {"family": "categorical", "zipf": 3}}, "model.zipf must be a table, got 3"),
    ({"loss": {"name": "tce", "gamma": [0.1, 0.2, "x"]}}, "loss.gamma[2] must be a number, got 'x'"),
    ({"loss": {"name": "tce", "gamma": True}}, "loss.gamma must be a number, got True"),
    ({"n_samples": 10.5}, "n_samples must be an integer, got 10.5"),
    ({"n_samples": True}, "n_samples must be an integer, got True"),
    ({"n_samples": []}, "n_samples must be a list of 1 or more, got []"),
    ({"coupled": 1}, "coupled must be true or false, got 1"),
    ({"model": {"family": "gaussian", "fit_mean": [True, 0]}}, "model.fit_mean[1] must be true or false, got 0"),
    ({"metrics": "std"}, "metrics must be a list such as [\"std\"], got 'std'"),
    ({"theorems": "x"}, "theorems must be a list such as [\"tail-inflation\"], got 'x'"),
    ({"cases": {"n_samples": 5}}, "cases must be a list of tables (write [[cases]]), got {'n_samples': 5}"),
    (
        {"cases": [{"fidelity": {"metric": "std"}}]},
        "cases[0].fidelity must be a list of tables (write [[fidelity]]), got {'metric': 'std'}",
    ),
    (
        {"cases": [{"model": {"family": "gaussian", "std": [1, "a"]}}]},
        "cases[0].model.std[1] must be a number, got 'a'",
    ),
    ({"seed": "x", "n_samples": "y"}, "n_samples must be an integer, got 'y' (and 1 more problem)"),
    # ranges
    ({"n_samples": {"from": 1, "to": 2}}, "n_samples.num is missing"),
    ({"n_samples": {"from": 1, "to": 2, "num": 1}}, "n_samples.num must be at least 2, got 1"),
    ({"n_samples": {"from": 1, "to": 2, "num": 10**9}}, "n_samples.num must be at most 1000000, got 1000000000"),
    (
        {"n_samples": {"from": 0, "to": 9, "num": 3, "spacing": "lg"}},
        "n_samples.spacing must be one of linear, log (did you mean log?)",
    ),
    ({"n_samples": {"from": 1, "too": 9, "num": 3}}, "n_samples.too is not known; did you mean to?"),
    # arrays
    ({"model": {"family": "multivariate", "mean": [0, 0], "cov": [1, 1]}}, "model.cov[0] must be a list, got 1"),
    (
        {"model": {"family": "multivariate", "mean": [0, 0], "cov": [[[1, 0], [0, 1]], [[1, 0], [0, "x"]]]}},
        "model.cov[1][1][1] must be a number, got 'x'",
    ),
    ({"model": {"family": "markov", "transition": []}}, "model.transition must be a list of 1 or more, got []"),
    ({"model": {"family": "markov", "transition": 0.5}}, "model.transition must be a list, got 0.5"),
    (
        {"model": {"family": "mixture", "weights": [1], "means": [0], "covs": [[1]]}},
        "model.covs[0][0] must be a list, got 1",
    ),
    ({"model": {"family": "mixture", "two_moons": {"mods": 8}}}, "model.two_moons.mods is not known; did you mean mod"),
    (
        {"model": {"family": "regression", "noise_std": 1, "coefficients": "x"}},
        "model.coefficients must be a list, got",
    ),
    ({"model": {"family": "regression", "coefficients": [1]}}, "model.noise_std is missing"),
    (
        {"model": {"family": "regression", "coefficients": [1], "noise_std": 1, "design": "fix"}},
        "model.design must be one of fresh, shared, got 'fix'",
    ),
    # sample sizes that grow
    (
        {"n_samples": {"growth": "lin", "first": 1, "step": 1}},
        "n_samples.growth must be one of linear, geometric, listed (did you mean linear?), got 'lin'",
    ),
    ({"n_samples": [9, {"first": 1}]}, "n_samples[1].growth is missing: one of linear, geometric, listed"),
    ({"n_samples": {"growth": "linear", "first": 1}}, "n_samples.step is missing"),
    (
        {"n_samples": [{"growth": "linear", "first": 1, "step": 1, "ratio": 2}]},
        "n_samples[0].ratio does not go with linear, but with geometric",
    ),
    ({"n_samples": {"growth": "listed", "sizes": [1, 2.5]}}, "n_samples.sizes[1] must be an integer, got 2.5"),
    ({"regime": {"name": "staged", "then": {"name": "replace"}}}, "regime.stages is missing"),
    (
        {"regime": {"name": "staged", "stages": 3, "then": {"name": "accumulate"}}},
        "regime.then.name must be one of replace, fresh-mix, got 'accumulate'",
    ),
]
OF_CONTENT: list[tuple[dict[str, Any], str]] = [
    ({"loss": {"name": "tce"}}, "loss must be given by just one of gamma and gamma_over_peak, got {'name': 'tce'}"),
    (
        {"loss": {"name": "tce", "gamma": 0.5, "gamma_over_peak": 1.2}},
        "loss must be given by just one of gamma and gamma_over_peak, got ",
    ),
    (
        {"loss": {"name": "tce", "gamma_over_peak": 1.2, "scale": "relative"}},
        'loss.gamma_over_peak must be left out for scale = "relative", where gamma is a share of the peak already, '
        "got 1.2",
    ),
    (
        {"loss": {"name": "tce", "gamma_over_peak": [1.2, 0]}},
        "loss.gamma_over_peak[1] must be a finite number above 0, got 0.0",
    ),
    (
        {"model": {"family": "bernoulli", "prob": 0.4}, "loss": {"name": "tce", "gamma_over_peak": 2}},
        "gamma must be in (0, 1] for probabilities, got 1.2",
    ),
    (
        {"theorems": ["tail-inflaton"]},
        "theorems[0] must be the slug of a theorem (did you mean tail-inflation?), got 'tail-inflaton'",
    ),
    ({"theorems": ["nonesuch"]}, "theorems[0] must be the slug of a theorem (tce theory lists them), got 'nonesuch'"),
    ({"loss": {"name": "tce", "gamma": math.inf}}, "loss.gamma must be a finite number, got inf"),
    ({"loss": {"name": "tce", "gamma": 10**400}}, "loss.gamma must be a finite number, got 1000"),
    ({"n_samples": {"from": 1, "to": 1, "num": 3}}, "n_samples must be a range with two different ends, got {"),
    (
        {"n_samples": {"from": 0, "to": 9, "num": 3, "spacing": "log"}},
        "n_samples must be a range with both ends above 0, because of",
    ),
    (
        {"loss": {"name": "tce", "gamma": {"from": -1e308, "to": 1e308, "num": 3}}},
        "loss.gamma must be a range whose ends differ by",
    ),
    # values that the library refuses
    ({"n_samples": [10, 0]}, "n_samples[1] must be an integer of at least 1, got 0"),
    ({"replicates": 0}, "replicates must be an integer of at least 1, got 0"),
    ({"generations": [1, 2**60]}, "generations[1] must be an integer of at least 1 and at most 2**53, got"),
    ({"seed": -1}, "seed must be an integer of at least 0, got -1"),
    ({"seed": 2**128 + 1}, "seed must be an integer of at least 0 and at most 2**128, got"),
    (
        {"loss": [{"name": "ce"}, {"name": "tce", "gamma": [0.1, 0.2, -1]}]},
        "loss[1].gamma[2] must be a finite number above 0, got -1.0",
    ),
    (
        {"loss": {"name": "tce", "gamma": {"from": 0, "to": 1, "num": 3}}},
        "loss.gamma (range) must be a finite number above 0, got 0.0",
    ),
    (
        {"cases": [{"model": {"family": "gaussian", "std": 0}}]},
        "cases[0].model.std must be a finite number above 0, got 0.0",
    ),
    ({"model": {"family": "gaussian", "ddof": [0, 2]}}, "model.ddof[1] must be 0 or 1, got 2"),
    ({"loss": {"name": "focal", "exponent": -1}}, "loss.exponent must be a finite number >= 0, got -1.0"),
    ({"regime": {"name": "fresh-mix", "fraction": [0.5, 2]}}, "regime.fraction[1] must be a number in [0, 1], got 2.0"),
    (
        {"model": {"family": "categorical", "probs": [[0.5, 0.5], [0.5, 0.6]]}},
        "model.probs[1] must be a vector of nonnegative numbers that sum to 1, got a vector that sums to 1.1",
    ),
    (
        {"model": {"family": "categorical", "counts": [0, 0]}},
        "model.counts must be above 0 for at least one class, got",
    ),
    (
        {"model": {"family": "categorical", "zipf": {"size": [3, 10**12]}}},
        "model.zipf.size[1] must be an integer of at least 1 and at most 10000000, got 1000000000000",
    ),
    (
        {"model": {"family": "categorical"}},
        "model must be given by just one of probs, zipf, counts, text and standard_text, got",
    ),
    (
        {"model": {**ZIPF, "probs": [1]}},
        "model must be given by just one of probs, zipf, counts, text and standard_text, got",
    ),
    (
        {"model": {**ZIPF, "unit": "word"}},
        "model must be given by text or standard_text for unit to have a meaning, got",
    ),
    ({"model": {"family": "categorical", "standard_text": False}}, "model.standard_text must be true, got False"),
    (
        {"model": {"family": "categorical", "text": ["no such file"]}},
        "model.text[0] must be a file that can be read (No such file or directory: "
        f"{os.path.abspath('no such file')!r}), got 'no such file'",
    ),
    (
        {"model": {"family": "categorical", "text": "a\0"}},
        "model.text must be a file that can be read (embedded null byte), got",
    ),
    ({"replicates": 10**12}, "the number of blocks must be at most 1000000, got "),
    (
        {"generations": [5, 10**12], "metrics": ["std"]},
        "generations[1] must be at most 41666495 for blocks of 3 replicates and 1 metric (1 GB), got 1000000000000",
    ),
    (
        {"cases": [{"generations": 10**7, "replicates": 10**6, "metrics": ["std", "mean"]}]},
        "cases[0].generations must be at most 976557 for blocks of 64 replicates and 2 metrics (1 GB), got 10000000",
    ),
    # families that are given in one of several ways
    (
        {"model": {"family": "multivariate", "mean": [0]}},
        "model must be given by just one of dimension and mean + cov, got {'family': 'multivariate', 'mean': [0]}",
    ),
    (
        {"model": {"family": "mixture", "weights": [1], "two_moons": {}}},
        "model must be given by just one of two_moons and weights + means + covs, got",
    ),
    (
        {"model": {"family": "markov", "transition": [[1]], "unit": "char"}},
        "model must be given by text or standard_text for unit to have a meaning, got",
    ),
    (
        {"model": {"family": "markov", "standard_text": True, "start": [1]}},
        "model must be given by transition for start to have a meaning, got",
    ),
    (
        {"model": {"family": "multivariate", "dimension": [2, 101]}},
        "model.dimension[1] must be an integer of at least 1 and at most 100, got 101",
    ),
    (
        {"model": {"family": "multivariate", "mean": [0, 0], "cov": [[[1, 0], [0, 1]], [[1]]]}},
        "model.cov[1] must be of shape (2, 2), as there are 2 means, got",
    ),
    (
        {"model": [ZIPF, {"family": "markov", "transition": [[0.9, 0.1], [0.2, 0.9]]}]},
        "row 1 of model[1].transition must be a vector of nonnegative numbers that sum to 1, got a vector that sums to",
    ),
    (
        {"model": {"family": "markov", "transition": [[0.9, 0.1], [1]]}},
        "model.transition must be an array of finite numbers with 2 dimensions, got",
    ),
    (
        {"model": {"family": "markov", "standard_text": True, "order": 9}},
        "model.order must be at most 4 for ",
    ),
    (
        {"model": {"family": "markov", "text": "no such file", "order": 2}},
        "model.text must be a file that can be read (No such file or directory: ",
    ),
    (
        {"model": {"family": "mixture", "two_moons": {"modes": [8, 5]}}},
        "model.two_moons.modes[1] must be even: one half of them on each half circle, got 5",
    ),
    (
        {"model": {"family": "mixture", "two_moons": {}, "tol": [1e-6, 0]}},
        "model.tol[1] must be a finite number above 0, got 0.0",
    ),
    (
        {"cases": [{"model": {"family": "regression", "coefficients": [1], "noise_std": [1, 0]}}]},
        "cases[0].model.noise_std[1] must be a finite number above 0, got 0.0",
    ),
    # sample sizes that grow
    (
        {"n_samples": [5, {"growth": "geometric", "first": 9, "ratio": [1.5, 0.5]}]},
        "n_samples[1].ratio[1] must be a finite number of at least 1, got 0.5",
    ),
    (
        {"n_samples": {"growth": "geometric", "first": 9, "ratio": 1e9}, "generations": 9},
        "n_samples must be an integer of at least 1 and at most 2**53, got ",
    ),
    (
        {"n_samples": {"growth": "listed", "sizes": [10, 20]}},
        "n_samples must be one size for each of 5 generations, got '2 sizes'",
    ),
    (
        {"n_samples": {"growth": "linear", "first": 9, "step": 1}, "generations": 1_000_001},
        "generations must be at most 1000000 where the sample size is not the same for all of them, got 1000001",
    ),
    (
        {
            "model": {"family": "regression", "coefficients": [1], "noise_std": 1, "design": "shared"},
            "n_samples": {"growth": "linear", "first": 10, "step": [0, 5]},
            "loss": {"name": "ce"},
        },
        "n_samples must be 10 for all generations, the rows of the design that they share, got 15 "
        "(in the cell with n_samples.step = 5)",
    ),
    (
        {"n_samples": {"growth": "linear", "first": 1, "step": 1}, "loss": {"name": "ce"}},
        "n_samples must be at least 2 for CrossEntropy(), or no scale can be fitted, got 1",
    ),
    # combinations
    (
        {"loss": {"name": "focal"}},
        "Gaussian does not go with FocalLoss: its weight is for probabilities, not densities",
    ),
    (
        {"loss": [{"name": "ce"}, {"name": "focal"}], "n_samples": [5, 6], "generations": 7},
        "Gaussian does not go with FocalLoss: its weight is for probabilities, not densities "
        "(in the cell with n_samples = 5, loss.name = 'focal')",
    ),
    ({"cases": [{}, {"loss": {"name": "focal"}}]}, "cases[1]: Gaussian does not go with FocalLoss"),
    (
        {"n_samples": [2, 1], "loss": [{"name": "ce"}]},
        "n_samples[1] must be at least 2 for CrossEntropy(), or no scale can be fitted, got 1",
    ),
    (
        {"model": [{"family": "gaussian"}, ZIPF], "loss": {"name": "tce", "gamma": 1.5}},
        "loss.gamma must be in (0, 1] for probabilities, got 1.5 "
        "(in the cell with model.family = 'categorical', model.zipf.size = 5)",
    ),
    # metrics and criteria
    (
        {"metrics": ["mean", "stdd"]},
        "metrics[1] must be a metric of Gaussian (did you mean std?), got 'stdd'; "
        "a metric of your own needs tce_theory.simulate(metrics=...)",
    ),
    (
        {"model": [ZIPF, {"family": "gaussian"}], "metrics": ["support"], "loss": {"name": "ce"}},
        "metrics[0] must be a metric of Gaussian (mean, std, log_std, entropy, kl_from_origin, kl_to_origin, "
        "w2_squared, masked_weight), got 'support'; a metric of your own needs tce_theory.simulate(metrics=...) "
        "(in the cell with model.family = 'gaussian')",
    ),
    (
        {"fidelity": [{"metric": "st", "below": 1}]},
        "fidelity[0].metric must be a metric of Gaussian (did you mean std?), got 'st'",
    ),
    ({"fidelity": [{"metric": "std"}]}, "fidelity[0] must have exactly one of below, above and outside, got []"),
    (
        {"fidelity": [{"metric": "std", "below": 1}, {"metric": "std", "below": 1, "above": 2}]},
        "fidelity[1] must have exactly one of below, above and outside, got ['below', 'above']",
    ),
    (
        {"fidelity": [{"metric": "std", "outside": [2, 1]}]},
        "fidelity[0].outside must be a pair (low, high) with low < high, got (2.0, 1.0)",
    ),
    (
        {"fidelity": [{"metric": "std", "outside": [1, 2, 3]}]},
        "fidelity[0].outside must be a list of 2 or fewer, got [1, 2, 3]",
    ),
    (
        {"fidelity": [{"metric": "kl_from_origin", "above": 2, "relative": True}]},
        "fidelity[0].relative must be false for kl_from_origin, which is not positive and finite at generation 0, "
        "got kl_from_origin = 0",
    ),
    (
        {"fidelity": [{"metric": "masked_weight", "above": 2, "relative": True}]},
        "fidelity[0].relative must be false for masked_weight, which is not positive and finite at generation 0, "
        "got masked_weight = nan",
    ),
    (
        {
            "model": {"family": "gaussian", "std": [1, 0.1]},
            "fidelity": [{"metric": "entropy", "below": 0.5, "relative": True}],
        },
        "fidelity[0].relative must be false for entropy, which is not positive and finite at generation 0, "
        "got entropy = -0.883647 (in the cell with model.std = 0.1)",
    ),
    (
        {
            "model": {"family": "multivariate", "dimension": 5},
            "loss": {"name": "ce"},
            "fidelity": [{"metric": "w2_squared", "above": 2, "relative": True}],
        },
        "fidelity[0].relative must be false for w2_squared, which is not positive and finite at generation 0, got w2_",
    ),
    # sizes
    (
        {"combine": "zip", "n_samples": [1, 2], "loss": {"name": "tce", "gamma": [0.1, 0.2, 0.3]}},
        'settings that vary must have the same number of values for combine = "zip", got n_samples has 2, loss has 3',
    ),
    (
        {"combine": "zip", "model": {"family": "gaussian", "mean": [1, 2], "std": [1, 2, 3]}},
        'settings that vary must have the same number of values for combine = "zip", got model.mean has 2, '
        "model.std has 3",
    ),
    (
        {"n_samples": {"from": 1, "to": 2000, "num": 2000}, "seed": {"from": 1, "to": 2000, "num": 2000}},
        "the number of cells must be at most 1000000, got 4000000 (2000 of n_samples × 2000 of seed)",
    ),
    (
        {
            "model": {
                "family": "gaussian",
                "mean": {"from": 0, "to": 1, "num": 2000},
                "std": {"from": 1, "to": 2, "num": 2000},
            }
        },
        "the number of cells must be at most 1000000, got 4000000 (2000 of model.mean × 2000 of model.std)",
    ),
]
REFUSED = [*OF_FORM, *OF_CONTENT]


@pytest.mark.parametrize(("changes", "line"), REFUSED, ids=[line[:50] for _, line in REFUSED])
def test_says_where_and_what_would_be_right(changes: dict[str, Any], line: str) -> None:
    # a line that does not end in a value is only the beginning of what is said
    assert refusal({**BASE, **changes})[: len(line)] == line


def test_says_what_the_file_does_not_say(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_given: Any) -> None:
        raise tce.DomainError("ddof", 0, "anything else")

    monkeypatch.setattr(tce.Gaussian, "check", refuse)
    assert refusal(BASE) == "ddof must be anything else, got 0"
    assert refusal({**BASE, "cases": [{}]}) == "cases[0]: ddof must be anything else, got 0"
    monkeypatch.setattr(tce.Gaussian, "__post_init__", refuse)
    assert refusal(BASE) == "model: ddof must be anything else, got 0"
    ddof = {"model": {"family": "gaussian", "ddof": 0}}
    assert refusal({**BASE, "cases": [ddof]}) == "cases[0].model.ddof must be anything else, got 0"
    assert refusal({**BASE, **ddof}) == "model.ddof must be anything else, got 0"


@pytest.mark.parametrize("name", schema.REQUIRED)
def test_names_what_is_missing(name: str) -> None:
    document = {key: value for key, value in BASE.items() if key != name}
    assert refusal(document) == f"{name} is missing"
    elsewhere = refusal({**document, "cases": [{name: BASE[name]}, {}]})
    assert elsewhere == f"cases[1].{name} is missing there and above the cases"
    assert Definition.from_mapping({**document, "cases": [{name: BASE[name]}]}).cells


@pytest.mark.parametrize(
    ("document", "line"),
    [
        (3, "the definition must be a mapping, got 3"),
        ({1: 2}, "the definition must have strings as keys, got 1"),
        ({**BASE, "metrics": ["std", len]}, "metrics[1] must be a string, a number, true, false, a list or a table "),
        ({**BASE, "loss": tce.CrossEntropy()}, "loss must be a string, a number, true, false, a list or a table "),
        ({**BASE, "seed": None}, "seed must be a string, a number, true, false, a list or a table "),
        (
            {**BASE, "seed": datetime.date(2025, 1, 1)},
            "seed must be a string, a number, true, false, a list or a table ",
        ),
        ({**BASE, "seed": np.array([None])}, "seed must be a string, a number, true, false, a list or a table "),
        ({**BASE, "seed": np.float64(np.nan)}, "seed must be a finite number, got nan"),
    ],
)
def test_refuses_what_exists_only_in_python(document: Any, line: str) -> None:
    found = refusal(document)
    assert found.startswith(line)
    if "a table " in line:
        assert "(functions and objects exist only in Python: give them to tce_theory.simulate), got" in found


def test_refuses_what_is_nested_without_end() -> None:
    endless: list[Any] = []
    endless.append(endless)
    assert refusal({**BASE, "seed": endless}) == "seed[0][0] must be nested less deeply than 20 times"


def test_counts_the_cells_of_all_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_MOST_CELLS", 5)
    cases = [{"n_samples": [1, 2, 3]}, {"n_samples": [4, 5, 6]}]
    assert "at most 5, got 6" in refusal({**BASE, "cases": cases})
    assert "at most 5, got 6" in refusal({**BASE, "combine": "zip", "cases": cases})
    assert "at most 5, got 6 (6 of loss)" in refusal({**BASE, "loss": [{**TCE, "gamma": [0.1, 0.2, 0.3]}] * 2})
    cases[1]["n_samples"].pop()
    assert len(cells(cases=cases)) == 5


def test_counts_the_blocks_of_all_cells_each_once(monkeypatch: pytest.MonkeyPatch) -> None:
    length = blocks.block_length(cell())
    monkeypatch.setattr(module, "_MOST_BLOCKS", 5)
    # of one key the longer run contains the shorter one
    assert len(cells(cases=[{"replicates": 2 * length}, {"replicates": [1, 5 * length]}])) == 3
    line = refusal({**BASE, "n_samples": [10, 11], "replicates": [length, 2 * length + 1]})
    assert line == (
        f"the number of blocks must be at most 5, got 6 (3 in the cell with replicates = {2 * length + 1}, "
        "generations = 5, n_samples = 10)"
    )


def test_the_longest_block_is_one_that_a_store_holds() -> None:
    given = {"replicates": 100, "metrics": ["std", "mean"]}
    (item,) = cells(**given, generations=976_557)
    sizes = [len(task.rows) * (item.generations + 1) * 8 * 2 for task in blocks.missing(item, [])]
    assert [size > 5e8 for size in sizes] == [True, True]
    assert max(sizes) < 10**9  # of SQLite, and in an array there are some bytes more
    assert "generations must be at most 976557 for" in refusal({**BASE, **given, "generations": 976_558})


SCALED = {"name": "variance-scaling", "factor": [0.9, 1.1]}
# A valid definition of which a part is replaced by anything: it is a definition still, or it is refused in a line.
SOURCES: list[dict[str, Any]] = [
    {
        **BASE,
        "model": {"family": "gaussian", "std": [1, 2.5]},
        "loss": [{"name": "tce", "gamma": {"from": 0.1, "to": 0.5, "num": 3}}, {"name": "ce"}],
        "fidelity": [{"metric": "std", "below": 0.5, "relative": True}],
        "theorems": ["tail-inflation"],
    },
    {
        **BASE,
        "model": {"family": "categorical", "zipf": {"size": [3, 4], "exponent": 1.2}},
        "n_samples": {"from": 10, "to": 1000, "num": 3, "spacing": "log"},
        "regime": [{"name": "replace"}, {"name": "fresh-mix", "fraction": [0, 0.5]}],
        "sampler": ["auto", "points"],
        "cases": [{"seed": [2, 3]}, {"model": {"family": "categorical", "probs": [[0.5, 0.5], [1]]}}],
    },
    {
        **BASE,
        "loss": {"name": "ce"},
        "n_samples": [20, {"growth": "linear", "first": 20, "step": [0, 5]}, {"growth": "listed", "sizes": [9] * 5}],
        "model": [
            {"family": "multivariate", "mean": [[0, 0], [1, 1]], "cov": [[1, 0.5], [0.5, 1]], "structure": "full"},
            {"family": "mixture", "weights": [0.5, 0.5], "means": [-2, 2], "covs": [1, 1], "variance_floor": 0.01},
            {"family": "markov", "transition": [[[0.9, 0.1], [0.2, 0.8]], [[0, 1], [1, 0]]], "start": [1, 0]},
        ],
        "cases": [
            {},
            {"model": {"family": "mixture", "two_moons": {"modes": [2, 4]}}},
            {"model": {"family": "regression", "coefficients": [1, 2], "noise_std": 0.5}, "decoding": SCALED},
        ],
    },
]
WORDS = [
    "gaussian",
    "categorical",
    "tce",
    "gamma",
    "one",
    "range",
    "from",
    "num",
    "family",
    "name",
    "std",
    "loss",
    "\0",
    "a\nb",
]
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 9),
    st.floats(),
    st.sampled_from(WORDS),
    st.sampled_from([10**400, 2**64, len]),
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=5,
)


def _places(node: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield (*path, key)
        yield from _places(value, (*path, key))


@st.composite
def _damaged(draw: st.DrawFn) -> Any:
    document = copy.deepcopy(draw(st.sampled_from(SOURCES)))
    *path, last = draw(st.sampled_from(list(_places(document))))
    node: Any = document
    for key in path:
        node = node[key]
    if draw(st.booleans()):
        node[last] = draw(ANYTHING)
    elif isinstance(node, dict):
        node[draw(st.sampled_from(WORDS))] = draw(ANYTHING)
    else:
        node.append(draw(ANYTHING))
    return document


def _holds_or_is_refused_in_a_line(document: Any) -> None:
    try:
        definition = Definition.from_mapping(document)
    except DefinitionError as error:
        line = str(error)
    else:
        line = ""
        again = Definition.from_mapping(json.loads(json.dumps(definition.document, allow_nan=False)))
        assert [cell.key for cell in again.cells] == [cell.key for cell in definition.cells]
        json.dumps([cell.record() for cell in definition.cells], allow_nan=False)
    assert line.isprintable()
    assert len(line) < 700


@settings(max_examples=40, deadline=None, derandomize=True)
@given(_damaged())
def test_anything_is_a_definition_or_refused_in_a_line(document: Any) -> None:
    _holds_or_is_refused_in_a_line(document)


@pytest.mark.slow
@settings(max_examples=3000, deadline=None, derandomize=True)
@given(_damaged())
def test_much_more_is_a_definition_or_refused_in_a_line(document: Any) -> None:
    _holds_or_is_refused_in_a_line(document)


# ------------------------------------------------------------------------------------------------------------ files

TOML = """\
title = "a test"
n_samples = [10, 1e2]
generations = 5
replicates = 3
seed = 1
model = { family = "gaussian" }

[loss]
name = "tce"
gamma = { from = 0.1, to = 0.3, num = 3 }
"""


def test_reads_a_file(tmp_path: Path) -> None:
    path = tmp_path / "définition à lire.toml"
    for content in (TOML.encode(), TOML.encode("utf-8-sig"), TOML.replace("\n", "\r\n").encode()):
        path.write_bytes(content)
        definition = Definition.read(path)
        assert definition.title == "a test"
        assert [(cell.n_samples, cell.loss.gamma) for cell in definition.cells] == list(
            itertools.product((10, 100), (0.1, 0.2, 0.3))
        )
    assert [cell.key for cell in definition.cells] == [
        cell.key for cell in Definition.from_mapping(definition.document).cells
    ]


def test_takes_another_seed(tmp_path: Path) -> None:
    path = tmp_path / "definition.toml"
    path.write_text(TOML)
    with_seed = Definition.read(path, seed=2)
    path.write_text(TOML.replace("seed = 1", "seed = 2"))
    assert [cell.key for cell in with_seed.cells] == [cell.key for cell in Definition.read(path).cells]
    assert with_seed.document["seed"] == 2
    with pytest.raises(DefinitionError, match=r"definition\.toml: seed must be an integer of at least 0, got -2$"):
        Definition.read(path, seed=-2)


@pytest.mark.parametrize(
    ("content", "line"),
    [
        (b"title = 'x'\nseed == 1", r"not TOML: .*\(at line 2, column 7\)$"),
        (b"seed = 1\nseed = 2\n", r"not TOML: .*\(at line 2, column 9\): seed is there twice$"),
        (b"title = '\xff'", r"not in UTF-8 \(invalid start byte\)$"),
        (b"seed = " + b"1" * 5000, r"not TOML: Exceeds the limit \(4300 digits\)"),
        (b"", r"holds no settings; required are title, model, loss, n_samples, generations, replicates, seed$"),
        (b"# seed = 1\n", "holds no settings; required are title, "),
        (TOML.replace("gamma", "gama").encode(), r"loss\.gama is not known; did you mean gamma\?$"),
        (TOML.replace("seed = 1", "").encode() + b"seed = 1", r"loss\.seed is not known; seed belongs to the top"),
        (TOML.replace("seed = 1", "seed = 2020-01-01").encode(), "seed must be a string, a number, true, false"),
        (TOML.replace("seed = 1", "seed = nan").encode(), "seed must be a finite number, got nan$"),
    ],
)
def test_names_the_file(tmp_path: Path, content: bytes, line: str) -> None:
    path = tmp_path / "definition.toml"
    path.write_bytes(content)
    with pytest.raises(DefinitionError, match=re.escape(f"{path}: ") + line):
        Definition.read(path)


WORDS_NEED_QUOTES = ": words need quotes; true and false are written small"
BACKSLASHES = """: for a backslash use '...' in place of "...", and in paths / does as well"""


@pytest.mark.parametrize(
    ("content", "advice"),
    [
        ("coupled = True", WORDS_NEED_QUOTES),
        ("seed = 1\nsampler = [None, 1]\n", WORDS_NEED_QUOTES),
        ("loss = { name = ce }", WORDS_NEED_QUOTES),
        ("gamma = .5", ""),
        ("seed = ", ""),
        ("[loss]\nname = 'ce'\n\n[loss]\nname = 'tce'\n", ": write [[loss]] each time for several"),
        ("[fidelity]\nbelow = 1\n[[fidelity]]\nbelow = 2", ": write [[fidelity]] each time for several"),
        ("loss = 'ce'\n[loss]\nname = 'tce'", ": loss is there twice"),
        ("[model.zipf]\nsize = 1\n[model.zipf]\nsize = 2\n", ": model.zipf is there twice"),
        ("seed = 1\r\nn_samples = 2\r\nseed = 3\r\ntitle = 'x'", ": seed is there twice"),
        ("seed = 1\nseed = 2", ": seed is there twice"),
        ("seed = 1\nseed = [\n2]", ""),
        ("model = {family = 'categorical'}\n[model.zipf]\nsize = 3", ""),
        ("loss = 'ce'\nloss.name = 'ce'", ""),
        ('text = "C:\\data\\book.txt"', BACKSLASHES),
        ('text = "C:\\Users\\book.txt"', BACKSLASHES),
    ],
)
def test_advises_beginners_where_it_is_certain(tmp_path: Path, content: str, advice: str) -> None:
    path = tmp_path / "definition.toml"
    path.write_text(content, newline="")
    with pytest.raises(DefinitionError) as caught:
        Definition.read(path)
    with pytest.raises(tomllib.TOMLDecodeError) as plain:
        tomllib.loads(content)
    assert str(caught.value) == f"{path}: not TOML: {plain.value}{advice}"


def test_a_file_that_cannot_be_read_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Definition.read(tmp_path / "none.toml")
    with pytest.raises(IsADirectoryError):
        Definition.read(tmp_path)


def test_texts_are_beside_the_definition_and_wherever_they_are_the_same(tmp_path: Path) -> None:
    keys = []
    for folder in ("here", "elsewhere"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "text").write_text("to be or not to be")
        path = tmp_path / folder / "definition.toml"
        path.write_text(
            TOML.replace('family = "gaussian"', 'family = "categorical", text = "text", unit = ["word", "char"]')
        )
        definition = Definition.read(path)
        assert {cell.model.size for cell in definition.cells} == {4, 7}
        keys.append([cell.key for cell in definition.cells])
    assert keys[0] == keys[1]
    (tmp_path / "here" / "text").write_text("to be or not to be is the question")
    changed = [cell.key for cell in Definition.read(tmp_path / "here" / "definition.toml").cells]
    assert not {*changed} & {*keys[0]}


def test_a_text_may_be_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(variable, str(tmp_path))
    (tmp_path / "text").write_text("to be or not to be")
    model = {"family": "categorical", "text": "~/text"}
    assert cell(model=model).model.size == 4
    line = refusal({**BASE, "model": {**model, "text": "~/book"}})
    assert f"(No such file or directory: {str(tmp_path / 'book')!r}), got '~/book'" in line


def test_a_text_in_another_encoding_is_refused_at_its_path(tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes("schön ist es".encode("latin-1"))
    model = {"family": "categorical", "text": "text"}
    with pytest.raises(DefinitionError, match=r"^model\.text must be a file in UTF-8 \(invalid .*\), got 'text'$"):
        Definition.from_mapping({**BASE, "model": model}, folder=tmp_path)


# --------------------------------------------------------------------------------------------------------- meaning


def varying(found: tuple[Cell, ...], *names: str) -> list[tuple[Any, ...]]:
    return [tuple(cell.settings.get(name) for name in names) for cell in found]


def test_the_last_key_of_the_file_varies_fastest() -> None:
    swept = {"n_samples": [10, 20], "seed": [1, 2], "loss": {"name": "tce", "gamma": [0.1, 0.2]}}
    fixed = {key: value for key, value in BASE.items() if key not in swept}
    for order in itertools.permutations(swept):
        document = {**fixed, **{name: swept[name] for name in order}}
        names = ["loss.gamma" if name == "loss" else name for name in order]
        values = [[0.1, 0.2] if name == "loss" else swept[name] for name in order]
        assert varying(Definition.from_mapping(document).cells, *names) == list(itertools.product(*values))
    within = cells(model={"std": [1, 2], "family": "gaussian", "mean": [3, 4]})
    assert varying(within, "model.std", "model.mean") == [(1, 3), (1, 4), (2, 3), (2, 4)]


def test_a_list_of_tables_sweeps_the_table() -> None:
    found = cells(loss=[{"name": "ce"}, {"name": "tce", "gamma": [0.1, 0.2]}, {"name": "ce"}])
    assert varying(found, "loss.name", "loss.gamma") == [("ce", None), ("tce", 0.1), ("tce", 0.2)]
    assert [type(cell.loss).__name__ for cell in found] == ["CrossEntropy", *["TruncatedCrossEntropy"] * 2]


def test_each_case_can_be_combined_in_its_own_way() -> None:
    ways = [{}, {"combine": "zip"}, {"combine": "grid"}]
    gammas = {"loss": {"name": "tce", "gamma": [0.1, 0.2]}}
    found = [
        cells(combine=above, n_samples=[10, 20], cases=[{**gammas, **way}]) for above in ("grid", "zip") for way in ways
    ]
    assert [len(each) for each in found] == [4, 2, 4, 2, 2, 4]
    assert [cell.key for cell in found[1]] == [found[0][0].key, found[0][3].key]


def test_zip_goes_through_all_that_varies_together() -> None:
    found = cells(combine="zip", n_samples=[10, 20, 30], loss=[{"name": "ce"}, {"name": "tce", "gamma": [0.1, 0.2]}])
    assert varying(found, "n_samples", "loss.gamma", "seed") == [(10, None, 1), (20, 0.1, 1), (30, 0.2, 1)]


def test_vectors_are_one_value_and_lists_of_them_several() -> None:
    loss = {"name": "ce"}
    one = cell(model={"family": "categorical", "probs": [0.5, 0.5]}, loss=loss)
    two = cells(model={"family": "categorical", "probs": [[0.5, 0.5], [0.25, 0.75]]}, loss=loss)
    assert [item.model.probs.tolist() for item in (one, *two)] == [[0.5, 0.5], [0.5, 0.5], [0.25, 0.75]]
    assert cell(model={"family": "categorical", "counts": [2, 2]}, loss=loss).key == one.key == two[0].key


@pytest.mark.parametrize(
    ("given", "values"),
    [
        ({"from": 10, "to": 1000, "num": 3, "spacing": "log"}, [10, 100, 1000]),
        ({"from": 1e3, "to": 10, "num": 3, "spacing": "log"}, [1000, 100, 10]),
        ({"from": 10, "to": 12, "num": 5}, [10, 11, 12]),
        ({"from": 1, "to": 100, "num": 9, "spacing": "log"}, [1, 2, 3, 6, 10, 18, 32, 56, 100]),
    ],
)
def test_ranges_of_whole_numbers_are_rounded(given: Any, values: list[int]) -> None:
    found = cells(n_samples=given)
    assert [cell.n_samples for cell in found] == values
    assert all(type(cell.n_samples) is int for cell in found)


def test_a_range_has_the_values_that_one_would_write() -> None:
    listed = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]
    assert np.linspace(0.1, 0.9, 9).tolist() != listed
    found = cells(loss={"name": "tce", "gamma": {"from": 0.1, "to": 0.9, "num": 9}})
    assert [cell.loss.gamma for cell in found] == listed
    assert [cell.key for cell in found] == [cell.key for cell in cells(loss={"name": "tce", "gamma": listed})]
    odd = {"from": 0.1234567890123456789, "to": 1 / 3, "num": 2}
    assert [c.loss.gamma for c in cells(loss={"name": "tce", "gamma": odd})] == [odd["from"], odd["to"]]


def test_cases_replace_whole_keys_one_by_one() -> None:
    model = {"family": "gaussian", "std": [1, 2]}
    found = cells(
        model=model,
        cases=[{}, {"model": {"family": "gaussian", "mean": 3}}, {"n_samples": [5, 6], "seed": 2}],
    )
    assert varying(found, "model.std", "model.mean", "n_samples", "seed") == [
        (1.0, None, 10, 1),
        (2.0, None, 10, 1),
        (None, 3.0, 10, 1),
        # above the cases n_samples stands before the model, and so it does in them
        (1.0, None, 5, 2),
        (2.0, None, 5, 2),
        (1.0, None, 6, 2),
        (2.0, None, 6, 2),
    ]


def test_a_cell_that_comes_twice_is_there_once() -> None:
    assert [cell.n_samples for cell in cells(n_samples=[10, 20, 10.0])] == [10, 20]
    assert [cell.n_samples for cell in cells(cases=[{"n_samples": [10, 20]}, {"n_samples": [20, 30]}])] == [10, 20, 30]
    longer = cells(replicates=[3, 5])
    assert [cell.replicates for cell in longer] == [3, 5]
    assert longer[0].key == longer[1].key
    criteria = [[{"metric": "std", "below": limit}] for limit in (0.5, 0.7)]
    other = cells(cases=[{"fidelity": criterion} for criterion in criteria])
    assert len({cell.key for cell in other}) == 1
    assert [cell.fidelity[0].below for cell in other] == [0.5, 0.7]


def test_metrics_and_criteria_apply_to_every_cell() -> None:
    fidelity = [
        {"metric": "std", "below": 0.5, "relative": True},
        {"metric": "w2_squared", "above": 0.1, "interpolate": False},
        {"metric": "mean", "outside": [-1, 1]},
    ]
    found = cells(n_samples=[10, 20], metrics=["entropy"], fidelity=fidelity)
    assert {cell.metrics for cell in found} == {("entropy", "mean", "std", "w2_squared")}
    for item in found:
        assert item.fidelity == (
            module.Criterion("std", below=0.5, relative=True),
            module.Criterion("w2_squared", above=0.1, interpolate=False),
            module.Criterion("mean", outside=(-1.0, 1.0)),
        )
    assert cell().metrics == tuple(sorted(tce.Gaussian.default_metrics))


def test_a_cell_is_what_simulate_takes() -> None:
    item = cell(
        model={"family": "gaussian", "mean": 2, "std": 3, "fit_mean": False},
        loss={"name": "tce", "gamma": 0.4, "mask": "previous"},
        regime={"name": "fresh-mix", "fraction": 0.25},
        sampler="points",
        metrics=["std"],
    )
    run = tce.simulate(
        tce.Gaussian(2, 3, fit_mean=False),
        tce.TCE(0.4, mask="previous"),
        regime=tce.FreshMix(0.25),
        n_samples=10,
        generations=5,
        replicates=3,
        metrics=["std"],
        sampler="points",
        seed=item.seed,
    )
    block = simulate_part(item.recursion, range(3), metrics=item.metrics, seed=item.seed)
    assert block is not None
    np.testing.assert_array_equal(block.metrics["std"], run.metrics["std"])
    provenance = item.record()["provenance"]
    assert {name: run.provenance[name] for name in provenance} == provenance


COV = [[2.0, 0.5], [0.5, 1.0]]
ROWS = [[0.9, 0.1], [0.2, 0.8]]
SIZES = {"growth": "linear", "first": 20, "step": 5}
# of each family a table, the model that it stands for, and what else the cell has
FEW = {"epochs": 2}
MODELS: list[tuple[dict[str, Any], Callable[[], Any], dict[str, Any]]] = [
    ({"family": "gaussian", "std": 2}, lambda: tce.Gaussian(std=2), {"n_samples": SIZES}),
    ({"family": "categorical", "counts": [3, 1]}, lambda: tce.Categorical([0.75, 0.25]), {}),
    ({"family": "bernoulli", "prob": 0.3}, lambda: tce.Bernoulli(0.3), {"n_samples": SIZES}),
    ({"family": "poisson", "rate": 2.5}, lambda: tce.Poisson(2.5), {}),
    (
        {"family": "multivariate", "dimension": 2, "fit_mean": False},
        lambda: tce.MultivariateGaussian([0, 0], np.eye(2), fit_mean=False),
        {},
    ),
    (
        {"family": "multivariate", "mean": [1, 2], "cov": COV},
        lambda: tce.MultivariateGaussian([1, 2], COV),
        {"n_samples": SIZES},
    ),
    (
        {"family": "mixture", "two_moons": {"modes": 2, "std": 0.3}, "start": "k-means++"},
        lambda: tce.GaussianMixture.two_moons(2, std=0.3, start="k-means++"),
        {"metrics": ["entropy", "live_modes"], "generations": 2},
    ),
    (
        {"family": "mixture", "weights": [0.5, 0.5], "means": [-2, 2], "covs": [1, 1], "variance_floor": 0.01},
        lambda: tce.GaussianMixture([0.5, 0.5], [-2, 2], [1, 1], variance_floor=0.01),
        {"metrics": ["entropy"], "generations": 2, "n_samples": SIZES},
    ),
    (
        {"family": "lm", "knowledge": {"facts": 4, "filler": 0, "relations": 2}, "hidden": [4], "training": FEW},
        lambda: tce.NeuralLanguageModel(
            tce.KnowledgeCorpus(facts=4, filler=0, relations=2), hidden=(4,), training=tce.Training(**FEW)
        ),
        {"metrics": ["recall", "unmasked_entropy"], "generations": 2},
    ),
    (
        {"family": "lm", "transition": ROWS, "context": 1, "tabular": True, "prompts": "real"},
        lambda: tce.NeuralLanguageModel(
            tce.MarkovSource(tce.MarkovChain(ROWS)), context=1, embedding=None, hidden=(), prompts="real"
        ),
        {"metrics": ["kl_rate_from_origin"], "generations": 2},
    ),
    (
        {"family": "vae", "digits": True, "latent": 2, "hidden": [4], "training": FEW, "binary": True},
        lambda: tce.VariationalAutoencoder(
            tce.ImageSource.digits(binary=True), latent=2, hidden=(4,), training=tce.Training(**FEW)
        ),
        {"metrics": ["confidence", "masked_share"], "generations": 2},
    ),
    ({"family": "markov", "transition": ROWS}, lambda: tce.MarkovChain(ROWS), {"n_samples": SIZES}),
    (
        {"family": "markov", "transition": np.full((4, 2), 0.5), "order": 2, "start": [1, 0, 0, 0], "length": 7},
        lambda: tce.MarkovChain(np.full((4, 2), 0.5), order=2, start=[1, 0, 0, 0], length=7),
        {},
    ),
    (
        {"family": "regression", "coefficients": [1, -2], "noise_std": 0.5, "design": "shared", "fit_noise": True},
        lambda: tce.LinearRegression([1, -2], 0.5, design="shared", fit_noise=True),
        {},
    ),
]


def test_of_each_family_there_is_a_model() -> None:
    assert {table["family"] for table, _, _ in MODELS} == {*schema.TABLES["model"]}


@pytest.mark.parametrize(("table", "make", "more"), MODELS, ids=[table["family"] for table, _, _ in MODELS])
def test_a_stored_cell_of_any_family_is_what_simulate_gives(
    tmp_path: Path, table: dict[str, Any], make: Callable[[], Any], more: dict[str, Any]
) -> None:
    given = {"n_samples": 20, "generations": 3, "replicates": 2, **more}
    definition = Definition.from_mapping({**BASE, "model": table, "loss": {"name": "ce"}, **given})
    (item,) = definition.cells
    again = Definition.from_mapping(json.loads(json.dumps(definition.document)))
    assert [cell.key for cell in again.cells] == [item.key]

    growing = isinstance(given["n_samples"], dict)
    given |= {"n_samples": tce.LinearGrowth(20, 5) if growing else 20, "seed": item.seed, "metrics": item.metrics}
    expected = tce.simulate(make(), tce.CrossEntropy(), **given)
    (stored,) = run(definition, tmp_path / "store.sqlite").cells
    found = stored.run()
    for name, values in expected.metrics.items():
        np.testing.assert_array_equal(found.metrics[name], values)
    for name, counts in expected.events.items():
        np.testing.assert_array_equal(found.events[name], counts)
    assert found.provenance["model"] == json.loads(json.dumps(expected.provenance["model"]))
    assert found.provenance["n_samples"] == expected.provenance["n_samples"]


def test_a_chain_is_read_from_a_text_beside_the_definition(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("to be or not to be")
    for folder, text in ((tmp_path, "text"), (Path(), str(tmp_path / "text"))):
        model = {"family": "markov", "text": text, "unit": ["word", "char"], "order": [1, 2]}
        found = Definition.from_mapping({**BASE, "model": model}, folder=folder).cells
        made = [
            tce.MarkovChain.from_text(tmp_path / "text", unit=unit, order=order)
            for unit in ("word", "char")
            for order in (1, 2)
        ]
        assert [module.identity(item.model) for item in found] == [module.identity(model) for model in made]


def test_sample_sizes_that_grow() -> None:
    growing = [7, SIZES, {"growth": "geometric", "first": 10, "ratio": [2, 1]}, {"growth": "listed", "sizes": [7] * 5}]
    found = cells(n_samples=growing, seed=[1, 2])
    sizes = [7, (20, 25, 30, 35, 40), (10, 20, 40, 80, 160), 10]
    assert [item.n_samples for item in found[::2]] == sizes  # the last one is the first once more
    assert varying(found[::2], "n_samples", "n_samples.growth", "n_samples.first", "n_samples.ratio") == [
        (7, None, None, None),
        (None, "linear", 20, None),
        (None, "geometric", 10, 2.0),
        (None, "geometric", 10, 1.0),
    ]
    assert len({item.key for item in found}) == len({item.seed for item in found}) == 8


def test_sizes_that_are_the_same_have_the_same_key_however_they_are_written() -> None:
    listed = {"growth": "listed", "sizes": [20, 25, 30, 35, 40]}
    assert cell(n_samples=SIZES).key == cell(n_samples=listed).key
    assert cell(n_samples=SIZES).seed == cell(n_samples=listed).seed
    for constant in ({**SIZES, "step": 0}, {"growth": "listed", "sizes": [20] * 5}):
        assert cell(n_samples=constant).key == cell(n_samples=20).key
    assert cell(n_samples={**listed, "sizes": [20, 25, 30, 35, 41]}).key != cell(n_samples=listed).key
    assert cell(n_samples={**listed, "sizes": [25, 20, 30, 35, 40]}).key != cell(n_samples=listed).key


def test_growing_samples_are_an_axis_of_labelled_arrays(tmp_path: Path) -> None:
    pytest.importorskip("xarray")
    definition = Definition.from_mapping({**BASE, "n_samples": {**SIZES, "step": [1, 5]}})
    assert run(definition, tmp_path / "steps.sqlite").to_xarray(["std"])["step"].values.tolist() == [1, 5]
    definition = Definition.from_mapping({**BASE, "n_samples": [20, SIZES]})
    labels = run(definition, tmp_path / "sizes.sqlite").to_xarray(["std"])["n_samples"].values.tolist()
    assert labels == ["20", "linear(first=20, step=5)"]


def test_models_and_texts_are_made_and_checked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []
    checked: list[Any] = []
    zipf, start = tce.Categorical.zipf, module._at_generation_0
    monkeypatch.setattr(tce.Categorical, "zipf", lambda *given: made.append(given) or zipf(*given))
    monkeypatch.setattr(module, "_at_generation_0", lambda *given: checked.append(given) or start(*given))
    found = cells(
        model={"family": "categorical", "zipf": {"size": [3, 4]}},
        n_samples=[10, 20, 30],
        loss={"name": "tce", "gamma": [0.1, 0.2]},
        fidelity=[{"metric": "entropy", "below": 0.5, "relative": True}, {"metric": "tv", "above": 0.5}],
        cases=[{"seed": 1}, {"seed": 2}],
    )
    assert len(found) == 24
    assert made == [(3, 1.0), (4, 1.0)]
    assert len(checked) == 2
    assert len({id(cell.model) for cell in found}) == 2
    same = [{"model": {"family": "categorical", "zipf": {"size": 9}}, "n_samples": n_samples} for n_samples in (10, 20)]
    assert len({id(cell.model) for cell in cells(cases=same)}) == 1
    assert made[2:] == [(9, 1.0)]


def test_takes_arrays_and_tuples_and_keeps_a_document_of_its_own() -> None:
    given = {
        **BASE,
        "n_samples": np.array([10, 20]),
        "seed": np.int64(1),
        "loss": ({"name": np.str_("tce"), "gamma": np.linspace(0.25, 0.5, 2)},),
        "coupled": np.True_,
    }
    before = copy.deepcopy(given)
    definition = Definition.from_mapping(given)
    np.testing.assert_equal(given, before)
    assert definition.document == {
        **BASE,
        "n_samples": [10, 20],
        "loss": [{"name": "tce", "gamma": [0.25, 0.5]}],
        "coupled": True,
    }
    assert json.loads(json.dumps(definition.document)) == definition.document
    given["loss"][0]["name"] = "ce"
    assert definition.document["loss"][0]["name"] == "tce"


# ------------------------------------------------------------------------------------------------------------- keys


@pytest.mark.parametrize(
    "changes",
    [
        {"n_samples": 10.0, "generations": 5.0, "seed": 1.0},
        {"model": {"family": "gaussian", "mean": 0, "std": 1, "fit_mean": True, "ddof": 0}},
        {"model": [{"family": "gaussian", "std": [1.0]}]},
        {"loss": {"gamma": 0.5, "name": "tce", "scale": "absolute", "mask": "current", "vacuous": "auto"}},
        {"regime": {"name": "replace"}, "sampler": "auto", "combine": "zip", "coupled": False},
        {"metrics": ["std", "mean", "entropy", "log_std", "std"]},
        {"fidelity": [{"metric": "std", "below": 0.5}]},
        {"title": "another", "theorems": ["tail-inflation"], "replicates": 1000},
        {"n_samples": 7, "cases": [{"n_samples": 10}]},
    ],
)
def test_the_key_is_the_same_however_the_cell_is_written(changes: dict[str, Any]) -> None:
    assert cell(**changes).key == cell().key
    assert cell(**changes).seed == cell().seed


CHANGES: dict[str, list[Any]] = {
    "n_samples": [10, 11],
    "seed": [1, 2],
    "sampler": ["auto", "points"],
    "coupled": [False, True],
    "regime": [{"name": "replace"}, {"name": "fresh-mix", "fraction": 0}, {"name": "fresh-mix", "fraction": 0.1}],
    "model": [{"family": "gaussian"}, {"family": "gaussian", "mean": 0.1}, {"family": "gaussian", "fit_mean": False}],
    "loss": [TCE, {**TCE, "gamma": 0.6}, {**TCE, "scale": "relative", "gamma": 0.7}, {"name": "ce"}],
    "generations": [5, 6],
    "metrics": [["std"], ["std", "mean"]],
}
RECURSION = {"n_samples", "generations", "seed", "sampler", "coupled", "regime", "model", "loss"}
CHOICES = st.fixed_dictionaries({name: st.sampled_from(range(len(values))) for name, values in CHANGES.items()})


@settings(max_examples=40, deadline=None, derandomize=True)
@given(CHOICES, CHOICES)
def test_the_key_differs_where_results_would(left: dict[str, int], right: dict[str, int]) -> None:
    one, other = (cell(**{name: CHANGES[name][index] for name, index in chosen.items()}) for chosen in (left, right))
    assert (one.key == other.key) == (left == right)
    # without coupling the streams of two recursions differ; what is recorded changes no stream
    same_recursion = all(left[name] == right[name] for name in RECURSION)
    if not left["coupled"] and not right["coupled"]:
        assert (one.seed == other.seed) == same_recursion
    for item, chosen in ((one, left), (other, right)):
        if chosen["coupled"]:
            assert item.seed == CHANGES["seed"][chosen["seed"]]


def test_each_change_of_a_setting_changes_the_key() -> None:
    for name, values in CHANGES.items():
        found = [cell(**{"metrics": ["std"], name: value}) for value in values]
        assert len({item.key for item in found}) == len(values), name
        assert len({item.seed for item in found}) == (len(values) if name in RECURSION else 1), name


def test_categorical_parameters_change_the_key() -> None:
    models = [
        {"probs": [0.5, 0.5]},
        {"probs": [0.25, 0.75]},
        {"probs": [0.5, 0.5, 0]},
        {"zipf": {"size": 3}},
        {"zipf": {"size": 3, "exponent": 1.1}},
    ]
    losses = [{"name": "focal"}, {"name": "focal", "detach": True}, {"name": "smooth", "gamma": 0.5, "width": 0.1}]
    keys = {cell(model={"family": "categorical", **model}, loss=loss).key for model in models for loss in losses}
    assert len(keys) == len(models) * len(losses)


MIXTURE = {"family": "mixture", "weights": [0.5, 0.5], "means": [-2, 2], "covs": [1, 1]}
MULTIVARIATE = {"family": "multivariate", "mean": [0, 0], "cov": [[1, 0], [0, 1]]}
REGRESSION = {"family": "regression", "coefficients": [1, 2], "noise_std": 1}
CHAIN = {"family": "markov", "transition": ROWS}
# every parameter of a family changed, one at a time
DIFFERENT = [
    [
        MULTIVARIATE,
        *({**MULTIVARIATE, **change} for change in ({"mean": [0, 1]}, {"cov": [[1, 0], [0, 2]]}, {"cov": COV})),
        *({**MULTIVARIATE, **change} for change in ({"structure": "diagonal"}, {"fit_mean": False}, {"ddof": 1})),
        {"family": "multivariate", "dimension": 3},
    ],
    [
        MIXTURE,
        *({**MIXTURE, **change} for change in ({"weights": [0.25, 0.75]}, {"means": [-2, 3]}, {"covs": [1, 2]})),
        *({**MIXTURE, **change} for change in ({"tol": 1e-5}, {"max_iter": 9}, {"start": "k-means++"})),
        {**MIXTURE, "variance_floor": 0.01},
        {"family": "mixture", "two_moons": {}},
        {"family": "mixture", "two_moons": {"modes": 4}},
        {"family": "mixture", "two_moons": {"std": 0.3}},
    ],
    [
        CHAIN,
        *({**CHAIN, **change} for change in ({"transition": ROWS[::-1]}, {"start": [1, 0]}, {"length": 10})),
        {**CHAIN, "transition": [*ROWS, *ROWS], "order": 2},
        {"family": "markov", "text": "text"},
        {"family": "markov", "text": "text", "unit": "char"},
    ],
    [
        REGRESSION,
        *({**REGRESSION, **change} for change in ({"coefficients": [1, 3]}, {"noise_std": 2}, {"design": "shared"})),
        {**REGRESSION, "fit_noise": True},
    ],
]
EQUAL = [
    ({**MULTIVARIATE, "structure": "full", "fit_mean": True, "ddof": 0}, {"family": "multivariate", "dimension": 2}),
    ({**MIXTURE, "tol": 1e-6, "max_iter": 1000, "start": "warm"}, MIXTURE),
    ({"family": "mixture", "two_moons": {"modes": 8, "std": 0.2}}, {"family": "mixture", "two_moons": {}}),
    ({**CHAIN, "order": 1, "length": 100}, CHAIN),
    ({**CHAIN, "start": tce.MarkovChain(ROWS).start}, CHAIN),
    ({**REGRESSION, "design": "fresh", "fit_noise": False}, REGRESSION),
]


@pytest.mark.parametrize("models", DIFFERENT, ids=[models[0]["family"] for models in DIFFERENT])
def test_every_parameter_of_a_family_changes_the_key(models: list[dict[str, Any]], tmp_path: Path) -> None:
    (tmp_path / "text").write_text("to be or not to be")
    given = {**BASE, "loss": {"name": "ce"}, "n_samples": 30}
    found = [Definition.from_mapping({**given, "model": model}, folder=tmp_path).cells[0] for model in models]
    assert len({item.key for item in found}) == len({item.seed for item in found}) == len(models)
    known = SCHEMA["definitions"][f"{type(found[0].model).__name__}Table"]["properties"]
    assert {*known} - {"standard_text"} == {name for model in models for name in model}


@pytest.mark.parametrize(("one", "other"), EQUAL, ids=[one["family"] for one, _ in EQUAL])
def test_equal_models_have_equal_keys(one: dict[str, Any], other: dict[str, Any]) -> None:
    given = {"loss": {"name": "ce"}, "n_samples": 30}
    assert cell(model=one, **given).key == cell(model=other, **given).key


def test_another_version_of_the_results_is_another_key_with_the_same_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    before, other_family = cell(), cell(model=ZIPF)
    monkeypatch.setattr(tce.Gaussian, "results_version", tce.Gaussian.results_version + 1)
    assert cell().key != before.key
    assert cell().seed == before.seed
    assert cell(model=ZIPF).key == other_family.key


# A change of these keys makes every store run everything again: change the canonical form only with a good reason.
GOLDEN: list[tuple[dict[str, Any], str, int]] = [
    ({}, "184d20ca2727a231827217d7310bc1d8", 123325884772408374498643880877857983422),
    (
        {"model": {"family": "gaussian", "std": 2, "ddof": 1}, "loss": {"name": "ce"}},
        "8fd354b92ed3359020a8f9625bb8a9a2",
        282037880739913921948416869994918528050,
    ),
    (
        {
            "model": {"family": "categorical", "probs": [0.5, 0.25, 0.25]},
            "loss": {"name": "smooth", "gamma": 0.9, "width": 0.1},
        },
        "47a673a927bbaed73ed8502baad8e8e2",
        249699129708718678124182941691605406808,
    ),
    (
        {
            "model": {"family": "categorical", "counts": [1, 1]},
            "loss": {"name": "focal", "detach": True},
            "regime": {"name": "fresh-mix", "fraction": 0.1},
            "sampler": "points",
            "metrics": ["tv", "entropy"],
            "coupled": True,
        },
        "fdac9c7596eec37602119505ef7df5b8",
        1,
    ),
    ({"n_samples": SIZES}, "10d6f1cd759fda587851fe398a535225", 329932570693102270552243372272905031306),
]


@pytest.mark.parametrize(("changes", "key", "seed"), GOLDEN)
def test_golden_keys(monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any], key: str, seed: int) -> None:
    for family in (tce.Gaussian, tce.Categorical):
        monkeypatch.setattr(family, "results_version", 1)
    item = cell(**changes)
    assert (item.key, item.seed) == (key, seed)


def test_many_cells_have_different_keys_and_streams() -> None:
    found = cells(
        n_samples={"from": 10, "to": 109, "num": 100},
        model={"family": "gaussian", "std": {"from": 1, "to": 2, "num": 20}},
    )
    assert len(found) == len({cell.key for cell in found}) == len({cell.seed for cell in found}) == 2000


# ------------------------------------------------------------------------------------------------------ JSON schema

SCHEMA: dict[str, Any] = json.loads(schema.SCHEMA_FILE.read_text(encoding="utf-8"))
TYPES: dict[str, Any] = {"object": dict, "array": list, "string": str, "boolean": bool}
KEYWORDS = {
    *("$schema", "$ref", "definitions", "description", "default", "type", "enum", "oneOf", "anyOf", "allOf"),
    *("properties", "required", "additionalProperties", "items", "minItems", "maxItems"),
    *("minimum", "maximum", "multipleOf", "minLength"),
}


def accepts(node: dict[str, Any], value: Any) -> bool:
    """Whether a value fits a schema that has nothing but the keywords above."""
    is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
    match node.get("type"):
        case None:
            pass
        case "number" if not is_number:
            return False
        case "integer" if not (is_number and float(value).is_integer()):
            return False
        case str() as kind if kind in TYPES and not isinstance(value, TYPES[kind]):
            return False
    checks = [
        "$ref" not in node or accepts(resolved(node["$ref"]), value),
        "enum" not in node or any(value == item and type(value) is type(item) for item in node["enum"]),
        "oneOf" not in node or sum(accepts(item, value) for item in node["oneOf"]) == 1,
        "anyOf" not in node or any(accepts(item, value) for item in node["anyOf"]),
        all(accepts(item, value) for item in node.get("allOf", ())),
        not is_number or node.get("minimum", value) <= value <= node.get("maximum", value),
        not is_number or value % node.get("multipleOf", value or 1) == 0,
        not isinstance(value, str) or len(value) >= node.get("minLength", 0),
    ]
    if isinstance(value, list):
        checks.append(node.get("minItems", 0) <= len(value) <= node.get("maxItems", len(value)))
        checks.append(all(accepts(node.get("items", {}), item) for item in value))
    if isinstance(value, dict):
        properties = node.get("properties", {})
        checks.append(all(name in value for name in node.get("required", ())))
        checks.append(all(accepts(properties[name], item) for name, item in value.items() if name in properties))
        checks.append(node.get("additionalProperties", True) or all(name in properties for name in value))
    return all(checks)


def resolved(reference: str) -> dict[str, Any]:
    node: Any = SCHEMA
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    assert isinstance(node, dict)
    return node


def schemas(node: Any, *, of_names: bool = False) -> Iterator[dict[str, Any]]:
    """Yield all schemas within a schema; the keys of some tables are names and not keywords."""
    if isinstance(node, list):
        for item in node:
            yield from schemas(item)
    if isinstance(node, dict):
        if not of_names:
            yield node
        for key, item in node.items():
            if of_names or key not in ("default", "enum", "required"):
                yield from schemas(item, of_names=not of_names and key in ("properties", "definitions"))


def test_the_json_schema_is_up_to_date(tmp_path: Path) -> None:
    schema.write_json_schema(tmp_path / "schema.json")
    written = (tmp_path / "schema.json").read_bytes()
    assert schema.SCHEMA_FILE.read_bytes() == written, "run python -m tce_theory.experiments.schema"


@pytest.mark.slow
def test_the_command_that_writes_it_prints_its_path_alone() -> None:
    before = schema.SCHEMA_FILE.read_bytes()
    command = [sys.executable, "-W", "error", "-m", "tce_theory.experiments.schema"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert (done.stdout, done.stderr) == (f"{schema.SCHEMA_FILE}\n", "")
    assert schema.SCHEMA_FILE.read_bytes() == before


def test_the_json_schema_is_one_that_editors_read() -> None:
    assert SCHEMA["$schema"] == "http://json-schema.org/draft-04/schema#"
    found = list(schemas(SCHEMA))
    assert len(found) > 100
    for node in found:
        assert set(node) <= KEYWORDS, node
        assert "$ref" not in node or set(node) == {"$ref"}, "siblings of a reference are ignored in draft 4"
        assert "$ref" not in node or resolved(node["$ref"])
    for name, node in SCHEMA["definitions"].items():
        assert node.get("description"), name
        assert node["additionalProperties"] is False
        for field, item in node["properties"].items():
            assert item.get("description") or field == "mean", f"{name}.{field}"
    tce_table = SCHEMA["definitions"]["TruncatedCrossEntropyTable"]
    assert tce_table["required"] == ["name"]
    assert tce_table["properties"]["mask"]["default"] == "current"
    assert tce_table["properties"]["mask"]["oneOf"][0]["enum"] == ["current", "previous"]
    if importlib.util.find_spec("jsonschema"):
        importlib.import_module("jsonschema").Draft4Validator.check_schema(SCHEMA)


@pytest.mark.parametrize("path", SIMULATIONS, ids=[path.stem for path in SIMULATIONS])
def test_the_json_schema_accepts_what_is_shipped(path: Path) -> None:
    assert accepts(SCHEMA, tomllib.loads(path.read_text(encoding="utf-8")))


def test_the_json_schema_accepts_what_is_valid_and_refuses_what_has_the_wrong_form() -> None:
    for document in (BASE, *SOURCES, {**BASE, "n_samples": [1e3, 10]}):
        assert accepts(SCHEMA, document), document
    for changes, line in OF_FORM:
        assert not accepts(SCHEMA, {**BASE, **changes}), line
    for name in schema.REQUIRED:
        document = {key: value for key, value in BASE.items() if key != name}
        assert not accepts(SCHEMA, document)
        assert accepts(SCHEMA, {**document, "cases": [{name: BASE[name]}]})
    assert not accepts(SCHEMA, {key: value for key, value in BASE.items() if key != "title"})


def test_words_that_choose_are_no_names_of_settings() -> None:
    # else paths in messages would lack them
    names = {name for node in schemas(SCHEMA) for name in node.get("properties", ())}
    words = {word for words in schema.TABLES.values() for word in words}
    assert not names & (words | {"one", "several", "range"})


@pytest.mark.parametrize(
    "model",
    [
        {"family": "gaussian", "std": 2.0},
        {"family": "categorical", "zipf": {"size": 5}},
        {"family": "markov", "transition": ROWS},
        {"family": "mixture", "two_moons": {}},
    ],
    ids=lambda model: model["family"],
)
def test_a_threshold_over_the_peak_is_that_multiple_of_it(model: dict[str, Any]) -> None:
    loss = {"name": "tce", "gamma_over_peak": [0.9, 1.05]}
    cells = Definition.from_mapping({**BASE, "model": model, "loss": loss}).cells
    assert [cell.loss.gamma for cell in cells] == [multiple * cells[0].model.peak() for multiple in (0.9, 1.05)]
    assert [cell.settings["loss.gamma_over_peak"] for cell in cells] == [0.9, 1.05]
    # the same cells as with the thresholds themselves
    gammas = {"name": "tce", "gamma": [cell.loss.gamma for cell in cells]}
    same = Definition.from_mapping({**BASE, "model": model, "loss": gammas}).cells
    assert [cell.key for cell in same] == [cell.key for cell in cells]


def test_a_label_names_cells_and_changes_nothing() -> None:
    plain, named = (Definition.from_mapping({**BASE, **more}).cells[0] for more in ({}, {"label": "the first"}))
    assert named.settings["label"] == "the first"
    assert (named.key, named.seed) == (plain.key, plain.seed)
