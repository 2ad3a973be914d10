"""Exact laws of fidelity intervals, for models, losses and criteria as `simulate` takes them."""

import math

import numpy as np
import pytest
from scipy import stats

import tce_theory as tce
from tce_theory.exact import TwoClassChain, fidelity_law, gaussian_first_passage

CE = tce.CrossEntropy()
PREVIOUS = tce.TCE(0.99, scale="relative", mask="previous")


@pytest.mark.parametrize("loss", [CE, pytest.param(PREVIOUS, marks=pytest.mark.slow)], ids=str)
@pytest.mark.parametrize(
    ("metric", "criterion"),
    [
        ("std", {"outside": (1.5, 3.0)}),
        ("std", {"outside": (0.75, 1.5), "relative": True}),
        ("log_std", {"outside": (math.log(1.5), math.log(3))}),
        ("entropy", {"outside": tuple(math.log(std) + 0.5 * math.log(2 * math.pi * math.e) for std in (1.5, 3.0))}),
    ],
)
def test_thresholds_on_functions_of_the_scale_are_bands_of_the_scale(loss, metric, criterion):
    model = tce.Gaussian(5.0, 2.0)
    law = fidelity_law(model, loss, n_samples=30, generations=50, metric=metric, **criterion)
    expected = gaussian_first_passage(30, low=0.75, high=1.5, horizon=50, loss=loss)
    np.testing.assert_allclose(law.survival, expected.survival, atol=1e-10)


@pytest.mark.parametrize(("side", "low", "high"), [("below", 0.5, math.inf), ("above", 0.0, 2.0)])
def test_one_sided_thresholds(side, low, high):
    threshold = low or high
    model = tce.Gaussian(fit_mean=False)
    law = fidelity_law(model, CE, n_samples=10, generations=30, metric="std", **{side: threshold}, relative=True)
    expected = gaussian_first_passage(10, low=low, high=high, horizon=30, fit_mean=False)
    np.testing.assert_allclose(law.survival, expected.survival, atol=1e-10)


def test_a_model_that_starts_beyond_its_threshold_fails_at_once():
    law = fidelity_law(tce.Gaussian(), CE, n_samples=10, generations=5, metric="std", below=1.5)
    assert law.restricted_mean == 0
    assert law.survival.tolist() == [0] * 6


@pytest.mark.parametrize(
    ("criterion", "mean"),
    [({"below": 1.0}, 2.1116), ({"above": 1.0}, None), ({"outside": (1.0, 2.0)}, 1.9408)],
    ids=str,
)
@pytest.mark.parametrize("metric", ["std", "log_std", "entropy"])
def test_a_threshold_at_the_start_itself_is_not_crossed_yet(metric, criterion, mean):
    model = tce.Gaussian()
    start = model.measure("entropy", model)
    shift = {"std": lambda std: std, "log_std": math.log, "entropy": lambda std: start + math.log(std)}[metric]
    (name, value) = next(iter(criterion.items()))
    threshold = tuple(map(shift, value)) if name == "outside" else shift(value)
    law = fidelity_law(model, CE, n_samples=10, generations=50, metric=metric, **{name: threshold})
    assert law.survival[0] == 1
    # the first step goes down with the probability that a chi-square with 9 degrees of freedom is below 10
    down = stats.chi2.cdf(10, 9)
    if name != "outside":
        assert law.survival[1] == pytest.approx(1 - down if name == "below" else down, abs=1e-9)
    if mean is not None:
        assert law.restricted_mean == pytest.approx(mean, abs=1e-4)


def test_two_classes_are_a_chain():
    model, loss = tce.Categorical([0.3, 0.7]), tce.TCE(0.8)
    law = fidelity_law(model, loss, n_samples=20, generations=40, metric="tv", above=0.2, regime=tce.FreshMix(0.1))
    chain = TwoClassChain(20, 0.3, loss=loss, fraction=0.1)
    np.testing.assert_array_equal(law.survival, chain.fidelity_interval("tv", above=0.2, horizon=40).survival)


@pytest.mark.parametrize(
    ("model", "loss", "metric", "regime"),
    [
        (tce.Gaussian(), CE, "w2_squared", tce.Replace()),
        (tce.Gaussian(), CE, "std", tce.FreshMix(0.1)),
        (tce.Gaussian(), tce.TCE(0.4), "std", tce.Replace()),
        (tce.Categorical([0.5, 0.5]), CE, "tv", tce.Accumulate()),
        (tce.Categorical.zipf(3), CE, "tv", tce.Replace()),
        (tce.Poisson(2.0), CE, "entropy", tce.Replace()),
    ],
    ids=str,
)
def test_what_is_not_known_is_refused(model, loss, metric, regime):
    with pytest.raises(tce.UnsupportedCombinationError):
        fidelity_law(model, loss, n_samples=10, generations=5, metric=metric, above=1.5, regime=regime)


def test_criteria_are_checked():
    with pytest.raises(tce.DomainError, match="exactly one of below, above and outside"):
        fidelity_law(tce.Gaussian(), CE, n_samples=10, generations=5, metric="std", below=0.5, above=2.0)
    with pytest.raises(tce.DomainError, match="relative=True"):
        fidelity_law(tce.Gaussian(), CE, n_samples=10, generations=5, metric="log_std", below=0.5, relative=True)
