"""Regimes, sample sizes and decoding: what they admit, and what they make of it."""

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.base import Model
from tce_theory.regimes import sample_sizes

CE = tce.CrossEntropy()
THREE = tce.Categorical([0.5, 0.3, 0.2])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: tce.Staged(0), "stages must be an integer of at least 1, got 0"),
        (lambda: tce.Staged(2, then=tce.Accumulate()), r"then must be Replace\(\) or FreshMix\(fraction\)"),
        (lambda: tce.Temperature(0), "temperature must be a finite number above 0, got 0"),
        (lambda: tce.TopK(0), "k must be an integer of at least 1, got 0"),
        (lambda: tce.TopP(0), r"p must be a number in \(0, 1\], got 0"),
        (lambda: tce.TopP(1.5), r"p must be a number in \(0, 1\], got 1.5"),
        (lambda: tce.VarianceScaling(-1), "factor must be a finite number above 0, got -1"),
        (lambda: sample_sizes([10, 20], 3), "n_samples must be one size for each of 3 generations, got '2 sizes'"),
        (lambda: sample_sizes([10, 0, 3], 3), "n_samples must be an integer of at least 1, got 0"),
        (lambda: sample_sizes(lambda t: 10.5, 3), "n_samples must be an integer of at least 1, got 10.5"),
        (lambda: tce.LinearGrowth(0, 5), "first must be an integer of at least 1, got 0"),
        (lambda: tce.LinearGrowth(10, -1), "step must be an integer of at least 0, got -1"),
        (lambda: tce.GeometricGrowth(10, 0.9), "ratio must be a finite number of at least 1, got 0.9"),
        (lambda: sample_sizes(tce.GeometricGrowth(10, 1e300), 3), r"n_samples must be an integer .* at most 2\*\*53"),
    ],
)
def test_inadmissible_values_are_refused(make, message):
    with pytest.raises(tce.DomainError, match=message):
        make()


def test_more_generations_than_stages_need_what_comes_then():
    with pytest.raises(tce.DomainError, match="generations must be at most 2, the stages"):
        tce.simulate(tce.Gaussian(), CE, n_samples=10, generations=3, seed=1, regime=tce.Staged(2))
    run = tce.simulate(tce.Gaussian(), CE, n_samples=10, generations=3, seed=1, regime=tce.Staged(2, tce.Replace()))
    assert run.generations == 3


def test_growth_adds_or_multiplies_and_is_what_a_run_was_fitted_to():
    assert sample_sizes(tce.LinearGrowth(10, 0), 3).tolist() == [10, 10, 10]
    assert sample_sizes(tce.GeometricGrowth(10, 1.1), 4).tolist() == [10, 11, 12, 13]
    run = tce.simulate(tce.Gaussian(), CE, n_samples=tce.LinearGrowth(10, 5), generations=3, seed=1)
    assert run.provenance["n_samples"] == [10, 15, 20]


@pytest.mark.parametrize(
    ("model", "decoding"), [(tce.Gaussian(), tce.Temperature(0.5)), (THREE, tce.VarianceScaling(0.5))], ids=str
)
def test_decoding_of_the_other_kind_is_refused(model, decoding):
    with pytest.raises(tce.UnsupportedCombinationError, match="does not go with"):
        tce.simulate(model, CE, n_samples=10, generations=1, decoding=decoding)


@pytest.mark.parametrize("model", [tce.Gaussian(), THREE], ids=str)
@pytest.mark.parametrize("sampler", ["auto", "points"])
def test_sizes_that_are_all_the_same_are_one_size(model, sampler):
    """A function, a sequence and a number give the same run, bit for bit; sizes that grow give another."""
    runs = [
        tce.simulate(model, CE, n_samples=n, generations=4, replicates=3, seed=1, sampler=sampler)
        for n in (20, [20] * 4, lambda t: 20, lambda t: 20 * t)
    ]
    first = [path.tobytes() for path in runs[0].metrics.values()]
    for run in runs[1:3]:
        assert [path.tobytes() for path in run.metrics.values()] == first
        assert run.provenance["n_samples"] == 20
    assert [path.tobytes() for path in runs[3].metrics.values()] != first
    assert runs[3].provenance["n_samples"] == [20, 40, 60, 80]


@pytest.mark.parametrize("decoding", [tce.Temperature(1.0), tce.TopK(3), tce.TopP(1.0)], ids=str)
def test_decoding_that_changes_nothing(decoding):
    paths = [
        tce.simulate(THREE, CE, n_samples=500, generations=3, replicates=5, seed=1, decoding=how).metrics["entropy"]
        for how in (None, decoding)
    ]
    np.testing.assert_allclose(*paths, rtol=1e-12)


def test_decoded_models():
    probs = tce.Categorical([0.2, 0.4, 0.2, 0.2])
    np.testing.assert_allclose(probs.decoded(tce.TopK(2)).probs, [1 / 3, 2 / 3, 0, 0])  # the first of those that tie
    np.testing.assert_allclose(probs.decoded(tce.TopP(0.75)).probs, [0.25, 0.5, 0.25, 0])
    np.testing.assert_allclose(probs.decoded(tce.Temperature(0.5)).probs, np.array([1, 4, 1, 1]) / 7)
    assert tce.Gaussian(1.0, 2.0).decoded(tce.VarianceScaling(0.25)) == tce.Gaussian(1.0, 1.0)


def test_every_regime_of_a_family_without_a_kernel():
    class Plain(tce.Gaussian):
        recursion = Model.recursion

    for regime in (tce.Replace(), tce.FreshMix(0.5), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(3)):
        runs = [
            tce.simulate(
                Plain(), tce.TCE(0.5), n_samples=15, generations=3, replicates=9, seed=2, regime=regime, n_jobs=jobs,
                metrics=["std", "masked_weight"],
            )
            for jobs in (1, 2)
        ]  # fmt: skip
        assert runs[0].metrics["std"].tobytes() == runs[1].metrics["std"].tobytes()
        assert np.isnan(runs[0].metrics["masked_weight"][:, 0]).all()
        assert np.isfinite(runs[0].metrics["masked_weight"][:, 1:]).all()


@pytest.mark.parametrize("model", [tce.Gaussian(0.3, 1.7), THREE], ids=str)
def test_metrics_of_the_kernel_are_those_that_the_model_measures(model):
    names = [name for name in model.metric_names if name != "masked_weight"]
    measured = {f"{name} again": (lambda fitted, name=name: fitted.measure(name, model)) for name in names}
    run = tce.simulate(model, CE, n_samples=30, generations=3, replicates=2, seed=4, metrics=measured)
    again = tce.simulate(model, CE, n_samples=30, generations=3, replicates=2, seed=4, metrics=names)
    for name in names:
        np.testing.assert_allclose(run.metrics[f"{name} again"], again.metrics[name], rtol=1e-10, atol=1e-12)
