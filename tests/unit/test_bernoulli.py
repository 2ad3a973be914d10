"""Bernoulli: the categorical family with two classes, bit for bit; its metrics, edges and errors."""

import math
import warnings

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.bernoulli import Bernoulli

CE = tce.CrossEntropy()
REGIMES = [
    tce.Replace(), tce.FreshMix(0.2), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(2, then=tce.Replace())
]  # fmt: skip
SAME = {"entropy": "entropy", "tv": "tv", "kl_to_origin": "kl_to_origin", "kl_from_origin": "kl_from_origin",
        "masked_weight": "masked_weight"}  # fmt: skip
BOTH = [tce.Categorical([0.7, 0.3]), Bernoulli(0.3)]


@pytest.mark.parametrize("decoding", [None, tce.Temperature(0.8)], ids=str)
@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("loss", [CE, tce.TCE(0.8), tce.TCE(0.8, mask="previous"), tce.FocalLoss(2.0)], ids=str)
def test_the_recursion_is_that_of_two_classes_bit_for_bit(loss, sampler, regime, decoding):
    options = {"n_samples": 25, "generations": 8, "replicates": 70, "seed": 7, "regime": regime, "sampler": sampler}
    options["decoding"] = decoding
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        reference, run = (
            tce.simulate(model, loss, metrics=[*SAME.values(), *more], **options)
            for model, more in zip(BOTH, (["heterozygosity", "support"], ["variance", "fixed"]), strict=True)
        )
    for name, other in SAME.items():
        assert np.array_equal(run.metrics[name], reference.metrics[other], equal_nan=True), name
    assert np.array_equal(2 * run.metrics["variance"], reference.metrics["heterozygosity"])
    assert np.array_equal(run.metrics["fixed"] == 1, reference.metrics["support"] == 1)
    for event in ("vacuous", "fixation"):
        assert np.array_equal(run.events[event], reference.events[event])


def test_the_probability_itself():
    options = {"n_samples": 25, "generations": 20, "replicates": 30, "seed": 7}
    reference = tce.simulate(BOTH[0], CE, metrics={"last": lambda model: model.probs[1]}, **options)
    run = tce.simulate(
        Bernoulli(0.3), CE, metrics=["prob", "fixed", "variance", lambda model: 2 * model.prob], **options
    )
    prob = run.metrics["prob"]
    assert np.array_equal(prob, reference.metrics["last"])
    assert np.array_equal(run.metrics["<lambda>"], 2 * prob)
    assert np.array_equal(run.metrics["fixed"] == 1, (prob == 0) | (prob == 1))
    assert run.metrics["variance"] == pytest.approx(prob * (1 - prob), rel=1e-12)
    assert list(run.metrics) == ["prob", "fixed", "variance", "<lambda>"]


@pytest.mark.parametrize(
    "loss", [CE, tce.TCE(0.6), tce.TCE(0.4, vacuous="max-entropy"), tce.TCE(0.5, mask="previous"), tce.FocalLoss(1.0)]
)
@pytest.mark.parametrize("data", [[0, 1, 1, 1], [1], [0, 0], tce.Counts([3, 9])])
def test_fits_are_those_of_two_classes(loss, data):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        reference, fit = (tce.fit(model, data, loss) for model in BOTH)
    assert fit.model.prob == reference.model.probs[1]
    for name in ("objective", "masked_weight", "vacuous", "n_iter"):
        assert getattr(fit, name) == getattr(reference, name)
    assert np.array_equal(fit.weights, reference.weights)
    assert np.array_equal(fit.boundary_index, reference.boundary_index)


@pytest.mark.parametrize(("p", "q"), [(0.3, 0.5), (0.0, 0.5), (1.0, 0.2), (0.5, 0.0)])
def test_metrics(p, q):
    model, origin = Bernoulli(p), Bernoulli(q)
    for name in ("entropy", "tv", "kl_to_origin", "kl_from_origin"):
        expected = tce.Categorical([1 - p, p]).measure(name, tce.Categorical([1 - q, q]))
        assert model.measure(name, origin) == pytest.approx(expected)
    assert model.measure("prob", origin) == p
    assert model.measure("variance", origin) == model.variance() == p * (1 - p)
    assert model.measure("fixed", origin) == (p in (0, 1))
    assert model.total_variation(origin) == abs(p - q)
    assert model.kl_divergence(model) == 0


def test_sampling_and_decoding():
    assert Bernoulli(0.3).sample(50, seed=1).tolist() == BOTH[0].sample(50, seed=1).tolist()
    assert Bernoulli(1.0).sample(3, seed=1).tolist() == [1, 1, 1]
    assert Bernoulli(0.3).log_density([0, 1]) == pytest.approx(np.log([0.7, 0.3]))
    odds = (0.3 / 0.7) ** 2
    assert Bernoulli(0.3).decoded(tce.Temperature(0.5)).prob == pytest.approx(odds / (1 + odds))
    assert Bernoulli(0.3).decoded(None) == Bernoulli(0.3)


def test_refusals():
    for prob in (-0.1, 1.1, math.nan, "a"):
        with pytest.raises(tce.DomainError, match=r"prob must be a number in \[0, 1\]"):
            Bernoulli(prob)
    with pytest.raises(tce.UnsupportedCombinationError, match="Bernoulli does not go with scale='relative'"):
        tce.fit(Bernoulli(0.5), [0, 1], tce.TCE(0.5, "relative"))
    with pytest.raises(tce.UnsupportedCombinationError, match="Bernoulli does not go with VarianceScaling"):
        tce.simulate(Bernoulli(0.5), CE, n_samples=5, generations=1, decoding=tce.VarianceScaling(0.5))
    with pytest.raises(tce.DomainError, match="labels from 0 to 1"):
        tce.fit(Bernoulli(0.5), [0, 2], CE)
    with pytest.raises(tce.DomainError, match="other must be a Bernoulli"):
        Bernoulli(0.5).kl_divergence(BOTH[0])
    with pytest.raises(tce.DomainError, match="metric must be one of"):
        Bernoulli(0.5).measure("mean", Bernoulli(0.5))
