"""Regimes and decoding: moments against their closed forms, and the kernels against the recursion in Python."""

import numpy as np
import pytest
from equivalence import assert_different, assert_equivalent, check, difference_of, mean_of, simulated

import tce_theory as tce
from tce_theory.models.base import Model
from tce_theory.theory import regimes as theory

CE = tce.CrossEntropy()
THREE = tce.Categorical([0.5, 0.3, 0.2])


def share_left(model, **options):
    """Share of the variance, or of the heterozygosity, that is left. The controls have a sample size of 11 for 10."""
    if isinstance(model, tce.Gaussian):
        (std,) = simulated(model, CE, ["std"], **options)
        return std**2
    (heterozygosity,) = simulated(model, CE, ["heterozygosity"], **options)
    return heterozygosity / model.heterozygosity()


@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize(
    ("model", "replicates"),
    [
        pytest.param(tce.Gaussian(), 600_000, id="Gaussian", marks=pytest.mark.slow),
        pytest.param(THREE, 60_000, id="classes"),
    ],
)
def test_keeping_all_data(model, replicates, sampler):
    found = share_left(model, n=10, t=6, replicates=replicates, seed=900, sampler=sampler, regime=tce.Accumulate())
    check(mean_of(found), float(theory.accumulate_factor(10, t=6)), float(theory.accumulate_factor(11, t=6)))


@pytest.mark.parametrize(
    ("model", "replicates"),
    [
        pytest.param(tce.Gaussian(), 1_300_000, id="Gaussian", marks=pytest.mark.slow),
        pytest.param(THREE, 150_000, id="classes", marks=pytest.mark.slow),
    ],
)
def test_stages(model, replicates):
    found = share_left(model, n=10, t=4, replicates=replicates, seed=901, regime=tce.Staged(4))
    check(mean_of(found), float(theory.staged_factor(10, i=3)), float(theory.staged_factor(11, i=3)))


def test_scaled_variance():
    """E σ_t² = (λ (1 − 1/n))^t; control: λ 2 % larger."""
    (std,) = simulated(
        tce.Gaussian(), CE, ["std"], n=50, t=5, replicates=60_000, seed=902, decoding=tce.VarianceScaling(0.9)
    )
    check(mean_of(std**2), (0.9 * 0.98) ** 5, (0.918 * 0.98) ** 5)


@pytest.mark.parametrize(
    ("decoding", "other", "first"),
    [
        (tce.Temperature(0.5), tce.Temperature(0.55), 0.25 / 0.38),
        (tce.TopK(2), tce.TopK(3), 0.5 / 0.8),
        (tce.TopP(0.7), tce.TopP(0.9), 0.5 / 0.8),
    ],
    ids=str,
)
@pytest.mark.parametrize("sampler", ["auto", "points"])
def test_decoding(decoding, other, first, sampler):
    """The most probable class after a generation of 10,000 points; control: another parameter."""

    def largest(how):
        (found,) = simulated(
            THREE, CE, ["max_prob"], n=10_000, t=1, replicates=400, seed=903, sampler=sampler, decoding=how
        )
        return found

    assert_equivalent(mean_of(largest(decoding)), first, margin=0.01)
    assert_different(mean_of(largest(other)), first, margin=0.01)


# --- the kernels against `sample` and `fit` in Python

REGIMES = (
    tce.Replace(),
    tce.FreshMix(0.3),
    tce.Accumulate(),
    tce.AccumulateSubsample(),
    tce.Staged(2, then=tce.FreshMix(0.2)),
)


class GaussianReference(tce.Gaussian):
    recursion = Model.recursion


class CategoricalReference(tce.Categorical):
    recursion = Model.recursion


CASES = {
    "Gaussian": (tce.Gaussian(), GaussianReference(), tce.TCE(0.5), tce.TCE(0.38), "log_std", tce.VarianceScaling(0.8)),
    "classes": (THREE, CategoricalReference(THREE.probs), tce.TCE(0.6), tce.TCE(0.45), "entropy", tce.Temperature(0.8)),
}


def slow_but(*quick):
    return [
        pytest.param(
            case, regime, decoded, id=f"{case}-{regime}{'-decoded' if decoded else ''}",
            marks=() if (case, place, decoded) in quick else pytest.mark.slow,
        )
        for case in CASES
        for place, regime in enumerate(REGIMES)
        for decoded in (False, True)
    ]  # fmt: skip


@pytest.mark.parametrize(("case", "regime", "decoded"), slow_but(("Gaussian", 3, True)))
def test_kernel_and_reference(case, regime, decoded):
    """Mean of a metric under TCE; control: another threshold, and a margin of half of what it makes."""
    model, reference, loss, other_loss, metric, decoding = CASES[case]
    options = {"n": 12, "t": 4, "regime": regime, "decoding": decoding if decoded else None}

    def values(which, with_loss, replicates, seed):
        (found,) = simulated(which, with_loss, [metric], replicates=replicates, seed=seed, **options)
        return found

    kernel, other = (values(model, each, 40_000, 904 + i) for i, each in enumerate((loss, other_loss)))
    python = values(reference, loss, 1200, 906)
    margin = abs(kernel.mean() - other.mean()) / 2
    assert_equivalent(difference_of(mean_of(kernel), mean_of(python)), 0.0, margin=margin)
    assert_different(difference_of(mean_of(other), mean_of(python)), 0.0, margin=margin)


def test_the_first_subsample_is_the_sample():
    points = np.array(
        tce.simulate(
            THREE,
            CE,
            n_samples=7,
            generations=1,
            replicates=5,
            seed=1,
            regime=tce.AccumulateSubsample(),
            metrics=["tv"],
        ).metrics["tv"]
    )
    kept = tce.simulate(THREE, CE, n_samples=7, generations=1, replicates=5, seed=1, metrics=["tv"]).metrics["tv"]
    assert points.tobytes() == kept.tobytes()
