"""The analysis of studies: how often it finds an effect where there is none, and how often one of half as much again.

Times until failure are log-normal, shared by all conditions but for noise of their own, as where conditions share their
seeds; paths are straight lines that cross the threshold there. With 8 conditions against one baseline and 16
replicates the familywise error, that any of the 8 outcomes is an effect, is to be at most 5 %: of n studies more than
k have one with a probability below 0.1 %, by the binomial law, if that is so. The negative control leaves out the
correction for 8 comparisons, on the same studies: more than k of them have an effect then.
"""

from dataclasses import asdict
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy.stats import binom

from tce_theory.claims import judge_study
from tce_theory.experiments.design import Criterion, StudyClaim, StudyDesign
from tce_theory.experiments.study import Study
from tce_theory.run import Run

CONDITIONS = ("baseline", *"abcdefgh")
REPLICATES, GENERATIONS, THRESHOLD = 16, 80, 0.75
FAMILYWISE, CHANCE = 0.05, 1e-3


def study(seed, factor=1.0):
    """A study whose conditions all fail `factor` times as late as its baseline."""
    rng = np.random.default_rng([20, seed])
    shared = np.exp(0.4 * rng.standard_normal(REPLICATES))
    cells = []
    for condition in CONDITIONS:
        times = 15 * shared * np.exp(0.2 * rng.standard_normal(REPLICATES))
        times *= 1 if condition == "baseline" else factor
        paths = 1 - (1 - THRESHOLD) * np.arange(GENERATIONS + 1) / times[:, None]
        run = Run(
            metrics={"kept": paths}, replicates=np.arange(REPLICATES), n_replicates=REPLICATES,
            generations=GENERATIONS, events={}, provenance={"seed": 1, "stream": "shared"},
        )  # fmt: skip
        cells.append(
            SimpleNamespace(
                settings={"label": "all", "condition": condition}, key=condition, fidelity=(), generations=GENERATIONS,
                replicates=REPLICATES, finished=REPLICATES, status="done", error=None, seconds=0.0,
                run=partial(lambda found: found, run),
            )
        )  # fmt: skip
    design = StudyDesign(
        question="", baseline="baseline", controls=(), primary=Criterion("kept", below=THRESHOLD), thresholds=(),
        level=1 - FAMILYWISE, claims=(StudyClaim("Something lasts longer.", CONDITIONS[1:], ("all",)),),
    )  # fmt: skip
    return Study.of(SimpleNamespace(title="", path=Path("x"), document={}, cells=tuple(cells), study=design))


def effects(found, *, corrected):
    """Say whether any outcome is an effect, with limits that hold together or each by itself."""
    outcomes = []
    for entry in found.entries:
        limits = (entry.low, entry.high) if corrected else (entry.pointwise_low, entry.pointwise_high)
        outcomes.append(judge_study("above", 1.0, asdict(entry) | dict(zip(("low", "high"), limits, strict=True))))
    assert not corrected or outcomes == [entry.outcome for entry in found.entries]
    return not {*outcomes} <= {"no effect", "undecided"}


def check_familywise_error(number):
    most = int(binom.isf(CHANCE, number, FAMILYWISE))
    studies = [study(seed) for seed in range(number)]
    assert sum(effects(found, corrected=True) for found in studies) <= most
    assert sum(effects(found, corrected=False) for found in studies) > most
    assert all(entry.paired for entry in studies[0].entries)


@pytest.mark.slow
def test_effects_are_found_in_at_most_five_percent_of_studies_without_any():
    check_familywise_error(400)


def test_what_chance_makes_of_eight_comparisons_is_no_effect_in_short():
    """One of the studies of the slow test in which the correction decides."""
    found = study(4)
    assert effects(found, corrected=False)
    assert not effects(found, corrected=True)
    assert all(entry.level == pytest.approx(1 - FAMILYWISE / 8) for entry in found.entries)


@pytest.mark.slow
def test_a_factor_of_one_and_a_half_is_found():
    """Each of the 8 with a power of at least 95 %: of 8 × 50 more than k are missed with a chance as above."""
    outcomes = [entry.outcome for seed in range(50) for entry in study(1000 + seed, 1.5).entries]
    missed = sum(outcome != "yes" for outcome in outcomes)
    assert missed <= binom.isf(CHANCE, len(outcomes), 0.05)
    assert "harm" not in outcomes


def test_a_factor_of_one_and_a_half_is_found_in_short():
    found = study(1000, 1.5)
    assert [entry.outcome for entry in found.entries] == ["yes"] * 8
    assert found.claims[0].verdict == "holds"
