"""Equivalence tests of the suite: the estimates are those of `tce_theory.verification.estimates`.

The suite may make `MOST_CLAIMS` claims, which `assert_equivalent` counts, at an `ERROR` of `BUDGET / MOST_CLAIMS` each:
all claims of the suite that are accepted hold, to within their margins, with probability 1 - BUDGET.

The margin is best set by what has to be seen. `check` takes a right and a wrong prediction, with the constant changed
by a few per cent: the margin is half of their difference, the right one has to be found equivalent, and the wrong one
different. A check that cannot tell them apart is imprecise, and fails.
"""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import tce_theory as tce
from tce_theory.models.base import Model
from tce_theory.verification.estimates import (
    Equivalence,
    Estimate,
    compare,
    difference_of,
    dissimilarity,
    distance_between,
    distance_to_law,
    distance_to_masses,
    mean_of,
    proportion_of,
    variance_of,
)

__all__ = [
    "BUDGET",
    "ERROR",
    "MOST_CLAIMS",
    "assert_different",
    "assert_equivalent",
    "check",
    "check_counts",
    "check_law",
    "check_masses",
    "compare",
    "difference_of",
    "dissimilarity",
    "distance_between",
    "distance_to_law",
    "distance_to_masses",
    "mean_of",
    "proportion_of",
    "simulated",
    "variance_of",
]

BUDGET = 0.02
MOST_CLAIMS = 1000
ERROR = BUDGET / MOST_CLAIMS

_PIECE_NUMBERS, _PIECE_REPLICATES = 2**22, 2**16  # in one array of a run
_claims = itertools.count(1)


def assert_equivalent(estimate: Estimate, predicted: float, *, margin: float) -> Equivalence:
    """Make a claim of the suite."""
    assert next(_claims) <= MOST_CLAIMS, "the suite makes more claims than its error budget allows"
    outcome = compare(estimate, predicted, margin, ERROR)
    assert outcome.verdict == "equivalent", str(outcome)
    return outcome


def assert_different(estimate: Estimate, predicted: float, *, margin: float) -> Equivalence:
    """Reject a claim: the negative control."""
    outcome = compare(estimate, predicted, margin, ERROR)
    assert outcome.verdict == "different", f"the negative control is not rejected; {outcome}"
    return outcome


def check(estimate: Estimate, right: float, wrong: float) -> Equivalence:
    """Accept the right prediction and reject the wrong one, with half of their difference for a margin."""
    margin = abs(right - wrong) / 2
    outcome = assert_equivalent(estimate, right, margin=margin)
    assert_different(estimate, wrong, margin=margin)
    return outcome


def check_law(
    sample: Any, right: Callable[[np.ndarray], np.ndarray], wrong: Callable[[np.ndarray], np.ndarray]
) -> Equivalence:
    """Accept one distribution function and reject another, with half of their distance for a margin."""
    sample = np.asarray(sample, dtype=np.float64)
    margin = float(np.abs(right(sample) - wrong(sample)).max()) / 2
    outcome = assert_equivalent(distance_to_law(sample, right), 0.0, margin=margin)
    assert_different(distance_to_law(sample, wrong), 0.0, margin=margin)
    return outcome


def check_masses(counts: Any, right: Any, wrong: Any) -> Equivalence:
    """Accept one discrete law and reject another, with half of their distance for a margin."""
    margin = float(np.abs(np.cumsum(right) - np.cumsum(wrong)).max()) / 2
    outcome = assert_equivalent(distance_to_masses(counts, right), 0.0, margin=margin)
    assert_different(distance_to_masses(counts, wrong), 0.0, margin=margin)
    return outcome


def check_counts(counts: Any, right: Any, wrong: Any, least: float = 25.0) -> Equivalence:
    """Accept one discrete law and reject another, with half of their dissimilarity for a margin."""
    right, wrong = np.asarray(right), np.asarray(wrong)
    margin = math.sqrt(float(((right - wrong)[wrong > 0] ** 2 / wrong[wrong > 0]).sum())) / 2
    outcome = assert_equivalent(dissimilarity(counts, right, least), 0.0, margin=margin)
    assert_different(dissimilarity(counts, wrong, least), 0.0, margin=margin)
    return outcome


# ------------------------------------------------------------------------------------------------- simulation


def simulated(
    model: Model,
    loss: Any,
    metrics: Sequence[str],
    *,
    n: int,
    t: int,
    replicates: int,
    seed: int,
    **options: Any,
) -> list[np.ndarray]:
    """Metrics at generation t, one array of shape (replicates,) each.

    Long paths are run in pieces, which bounds memory; piece i has the seed 1000 seed + i. Warnings about what a mean
    over replicates says are left out: that is what the tests are about.
    """
    piece = min(max(_PIECE_NUMBERS // (t + 1), 1), _PIECE_REPLICATES)
    columns: list[list[np.ndarray]] = []
    for i, first in enumerate(range(0, replicates, piece)):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tce.StatisticalWarning)
            run = tce.simulate(
                model, loss, n_samples=n, generations=t, replicates=min(piece, replicates - first),
                metrics=list(metrics), seed=1000 * seed + i, n_jobs=2, **options,
            )  # fmt: skip
        columns.append([run.metrics[name][:, t].copy() for name in metrics])
    return [np.concatenate(column) for column in zip(*columns, strict=True)]
