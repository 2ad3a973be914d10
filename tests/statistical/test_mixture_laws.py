"""The recursion of mixtures: that of the reference in every regime, and the known law of one component.

The recursion is the reference, `GenericRecursion`, but for components that are lost; their results are therefore equal
bit for bit where none is, which needs no statistics.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
from equivalence import check, mean_of, simulated
from scipy.special import digamma

import tce_theory as tce
from tce_theory.models.base import Control
from tce_theory.models.generic import GenericRecursion
from tce_theory.models.mixture import GaussianMixture
from tce_theory.recursion import block_generator

CE = tce.CrossEntropy()
LOSSES = [CE, tce.TCE(0.3), tce.TCE(0.3, mask="previous"), tce.TCE(0.9, "relative", mask="previous")]
REGIMES = [tce.Replace(), tce.FreshMix(0.3), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(2, tce.Replace())]
METRICS = ("entropy", "masked_weight", "kl_from_origin")


def block(recursion, seed=1):
    control = Control(np.zeros(1, np.uint8), np.zeros(1, np.int64), 0)
    return recursion.run_block(block_generator(seed, 0), 2, METRICS, {}, control)


@pytest.mark.parametrize("regime", REGIMES, ids=lambda regime: type(regime).__name__)
@pytest.mark.parametrize("decoding", [None, tce.VarianceScaling(0.9)], ids=["as it is", "decoded"])
@pytest.mark.parametrize("loss", LOSSES, ids=repr)
def test_recursion_is_the_reference(loss, regime, decoding):
    model = GaussianMixture([0.6, 0.4], [[-1.0, 0.0], [1.5, 0.0]], [np.eye(2) * 0.4, np.eye(2) * 0.7])
    sizes = np.full(3, 300)
    own = block(model.recursion(loss, sizes, regime, "auto", decoding))
    reference = block(GenericRecursion(model, loss, regime.supply(sizes), decoding))
    for name in METRICS:
        np.testing.assert_array_equal(own.metrics[name], reference.metrics[name])
    np.testing.assert_array_equal(own.events["vacuous"], reference.events["vacuous"])
    assert (own.events["singular"] == -1).all()
    other = block(model.recursion(loss, sizes, regime, "auto", decoding), seed=2)
    assert (other.metrics["entropy"][:, -1] != own.metrics["entropy"][:, -1]).all()  # the control


@pytest.mark.parametrize(("d", "seed"), [(1, 1), (2, 2)])
def test_one_component_loses_entropy_as_a_gaussian_does(d, seed):
    """log|Σ| falls by the logarithms of chi-squares, one a dimension (slugs gaussian-ce-law, shape-collapse).

    Control: a drift that is twice as large, because replicates are few.
    """
    n, t = 20, 5
    model = GaussianMixture([1.0], [0.0], [1.0]) if d == 1 else GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    (entropy,) = simulated(model, CE, ["entropy"], n=n, t=t, replicates=800, seed=seed)
    degrees = n - 1 - np.arange(d)
    drift = 0.5 * t * float((digamma(degrees / 2) + math.log(2 / n)).sum())
    check(mean_of(entropy - model.entropy()), drift, 2 * drift)


def test_results_do_not_depend_on_threads():
    settings = {"n_samples": 100, "generations": 4, "replicates": 6, "seed": 3, "metrics": ["entropy", "live_modes"]}
    runs = [tce.simulate(GaussianMixture.two_moons(4), CE, n_jobs=jobs, **settings) for jobs in (1, 2)]
    for name in settings["metrics"]:
        np.testing.assert_array_equal(runs[0].metrics[name], runs[1].metrics[name])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")
def test_modes_merge_on_the_two_moons():
    """The default scenario: modes are lost within 50 generations, and more of them under a mask.

    Control: with 20 times the sample size they stay.
    """
    settings = {"generations": 50, "replicates": 12, "seed": 4, "metrics": ["live_modes", "entropy"], "n_jobs": 2}
    moons = GaussianMixture.two_moons()
    plain = tce.simulate(moons, CE, n_samples=200, **settings).metrics
    masked = tce.simulate(moons, tce.TCE(0.3), n_samples=200, **settings).metrics
    many = tce.simulate(moons, CE, n_samples=4000, **settings).metrics
    assert (plain["live_modes"][:, 0] == 8).all()
    assert plain["live_modes"][:, 50].mean() < 6.5
    assert masked["live_modes"][:, 50].mean() < plain["live_modes"][:, 50].mean() - 1
    assert masked["entropy"][:, 50].mean() > moons.entropy() > plain["entropy"][:, 50].mean() + 2
    assert many["live_modes"][:, 50].mean() > 7.5
