"""Closed forms of the bounds of fidelity intervals, and what the theorems on networks say of recorded runs.

Slugs: floor-interval, drift-interval, head-identity, head-certificate, floor-on-average, tabular-limit.
"""

import math

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory import exact
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.sources import MarkovSource
from tce_theory.neural.training import Training
from tce_theory.theory import categorical, loss
from tce_theory.verification.checks._networks import networks_reach_the_exact_fit
from tce_theory.verification.study import Study

# --- floor-interval


def test_margin_is_the_certificate_below_the_floor():
    assert loss.entropy_margin(0.3, 0.5, 4.0, 0.1) == pytest.approx(-math.log(0.3) - 0.5 - 0.4, rel=1e-15)
    assert loss.entropy_margin([0.3, 0.5], [[0.1], [0.2]], 1.0, 0.0).shape == (2, 2)
    assert loss.entropy_margin(1.0, 0.0, 1e200, 0.0) == 0.0


@pytest.mark.parametrize(
    ("certificates", "gamma", "threshold", "first"),
    [
        ([0.0, 0.0], 0.5, math.log(2), math.inf),  # on the floor itself, at rest
        ([0.1, 0.3, 0.2], 0.5, 0.5, 2.0),
        ([0.0], 0.5, 0.7, 1.0),  # above the floor nothing is certified
        ([5.0, 5.0], 0.5, -10.0, math.inf),
    ],
)
def test_certified_interval(certificates, gamma, threshold, first):
    assert loss.certified_interval(certificates, gamma, threshold) == first


# --- drift-interval


@pytest.mark.parametrize("n", [1, 2, 3, 17, 1000])
@pytest.mark.parametrize("ratio", [1.0, 0.999, 0.5, 0.25, 1e-3])
def test_drift_bound_is_the_sum_of_the_tails(n, ratio):
    tails = categorical.drift_survival_bound(np.arange(60 * n + 10), n, ratio)
    bound = categorical.drift_interval_bound(n, ratio)
    assert bound == pytest.approx(tails.sum(), rel=1e-12)
    assert bound <= n * (1 - math.log(ratio)) * (1 + 1e-12)


def test_drift_bound_where_the_number_of_certain_generations_is_at_its_edge():
    for s in range(1, 12):
        ratio = 0.75**s  # (1 − 1/4)^s, exactly
        assert categorical.drift_interval_bound(4, ratio) == pytest.approx(s + 4, rel=1e-14)


def test_drift_bounds_at_extreme_points():
    with mpmath.workdps(40):
        n, ratio = mpmath.mpf(10) ** 15, mpmath.mpf(0.5)
        keep = 1 - 1 / n
        certain = mpmath.ceil(mpmath.log(ratio) / mpmath.log(keep))
        exactly = certain + n * keep**certain / ratio
        tail = keep ** (2 * 10**15) / ratio
    assert categorical.drift_interval_bound(10**15, 0.5) == pytest.approx(float(exactly), rel=1e-14)
    assert categorical.drift_survival_bound(2 * 10**15, 10**15, 0.5) == pytest.approx(float(tail), rel=1e-13)
    assert categorical.drift_survival_bound([0, 1], 1, 0.5).tolist() == [1.0, 0.0]
    assert categorical.drift_interval_bound(10, 1e-300) == pytest.approx(10 * (1 + 300 * math.log(10)), rel=0.06)


@pytest.mark.parametrize(("n", "prob", "ratio"), [(20, 0.5, 0.5), (20, 0.1, 0.9), (100, 0.3, 0.25)])
def test_exact_intervals_lie_between_the_bounds(n, prob, ratio):
    start = 2 * prob * (1 - prob)
    law = exact.TwoClassChain(n, prob).fidelity_interval("heterozygosity", below=ratio * start, horizon=60 * n)
    low = categorical.drift_interval_floor(n, ratio, start, 2)
    assert low < law.restricted_mean < categorical.drift_interval_bound(n, ratio)
    tails = categorical.drift_survival_bound(np.arange(60 * n + 1), n, ratio)
    assert (law.survival <= tails + 1e-12).all()


@pytest.mark.parametrize("size", [2, 3, 50, 10**6])
@pytest.mark.parametrize("share", [0.0, 1e-12, 0.1, 0.5, 0.999, 1.0])
def test_largest_entropy_and_least_heterozygosity_are_inverse(size, share):
    value = share * (1 - 1 / size)
    entropy = categorical.largest_entropy(value, size)
    assert categorical.least_heterozygosity(min(entropy, math.log(size)), size) == pytest.approx(value, rel=1e-12)
    assert entropy <= math.log(size) * (1 + 1e-15)


def test_largest_entropy_against_its_definition():
    with mpmath.workdps(40):
        for size, text in ((2, "1e-9"), (7, "0.3"), (10**5, "0.7")):
            e = mpmath.mpf(text)
            value = 1 - (1 - e) ** 2 - e**2 / (size - 1)
            entropy = -(1 - e) * mpmath.log(1 - e) - e * mpmath.log(e / (size - 1))
            assert categorical.largest_entropy(float(value), size) == pytest.approx(float(entropy), rel=1e-12)
            assert categorical.least_heterozygosity(float(entropy), size) == pytest.approx(float(value), rel=1e-12)


def test_no_distribution_has_more_entropy():
    rng = np.random.default_rng(7)
    probs = rng.dirichlet(np.full(5, 0.3), 2000)
    entropies = -np.where(probs > 0, probs * np.log(np.where(probs > 0, probs, 1.0)), 0.0).sum(axis=1)
    bound = categorical.largest_entropy(1 - (probs**2).sum(axis=1), 5)
    assert (entropies <= bound + 1e-12).all()
    assert (entropies > bound / 1.05).any()  # so that 5 % less would fail


def test_entropy_interval_floor():
    assert categorical.entropy_interval_floor(100, 1.0, 0.5, 3) == 25.0
    assert categorical.entropy_interval_floor(100, 0.5, 1.0, 3) == 0.0


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: loss.entropy_margin(0.0, 0.5, 1.0, 1.0), "gamma"),
        (lambda: loss.entropy_margin(0.5, math.inf, 1.0, 1.0), "threshold"),
        (lambda: loss.entropy_margin(0.5, 0.5, -1.0, 1.0), "parameter_norm"),
        (lambda: loss.certified_interval([], 0.5, 0.5), "certificates"),
        (lambda: loss.certified_interval([math.nan], 0.5, 0.5), "certificates"),
        (lambda: loss.certified_interval([-1.0], 0.5, 0.5), "certificates"),
        (lambda: loss.certified_interval([1.0], 1.5, 0.5), "gamma"),
        (lambda: loss.certified_interval([1.0], 0.5, math.nan), "threshold"),
        (lambda: categorical.drift_survival_bound(-1, 10, 0.5), "t"),
        (lambda: categorical.drift_survival_bound(1, 0, 0.5), "n"),
        (lambda: categorical.drift_interval_bound(10, 0.0), "ratio"),
        (lambda: categorical.drift_interval_bound(10, 1.1), "ratio"),
        (lambda: categorical.drift_interval_floor(10, 0.5, 0.6, 2), "heterozygosity"),
        (lambda: categorical.drift_interval_floor(10, 0.5, 0.5, 1), "num_classes"),
        (lambda: categorical.largest_entropy(-0.1, 2), "heterozygosity"),
        (lambda: categorical.least_heterozygosity(0.7, 2), "entropy"),
        (lambda: categorical.entropy_interval_floor(10, -1.0, 0.5, 2), "entropy"),
    ],
)
def test_errors_name_the_argument(call, argument):
    with pytest.raises(tce.DomainError, match=f"^{argument} "):
        call()


# --- recorded runs

FULL = Training(optimiser="sgd", rate=0.5, epochs=120, engine="counts")
BATCHES = Training(rate=0.02, epochs=3, engine="minibatch")
HEAD = ["unmasked_entropy", "unmasked_cross_entropy", "head_product", "head_certificate"]


def recorded(loss, training, metrics, **options):
    law = np.full((6, 6), 0.06) + 0.64 * np.eye(6)[:, [1, 2, 3, 4, 5, 0]]
    model = NeuralLanguageModel(
        MarkovSource(tce.MarkovChain(law)), context=2, embedding=4, hidden=(8,), training=training, length=25
    )
    run = tce.simulate(model, loss, n_samples=250, generations=3, replicates=2, metrics=metrics, seed=3, **options)
    return {name: run.metrics[name][:, 1:] for name in metrics}


@pytest.mark.parametrize("training", [FULL, BATCHES], ids=["full batch", "Adam"])
@pytest.mark.parametrize("gamma", [None, 0.7, 0.4])
def test_every_network_of_a_run_obeys_the_identity_and_the_certificate(training, gamma):
    rule = tce.CrossEntropy() if gamma is None else tce.TCE(gamma)
    entropy, cross_entropy, product, certificate = recorded(rule, training, HEAD).values()
    gap = cross_entropy - entropy
    np.testing.assert_allclose(gap, product, rtol=0, atol=1e-13)
    assert np.abs(gap - 1.05 * product).max() > 1e-4  # so that 5 % more would fail
    assert (np.abs(gap) <= certificate * (1 + 1e-12)).all()
    floor = 0.0 if gamma is None else -math.log(gamma)
    assert (entropy >= floor - certificate).all()
    for row in range(len(entropy)):
        for threshold in (0.3, 0.9, 1.2):
            failed = np.flatnonzero(entropy[row] < threshold)
            time = failed[0] + 1 if failed.size else math.inf
            assert time >= loss.certified_interval(certificate[row], 1.0 if gamma is None else gamma, threshold)


def test_every_training_of_a_run_obeys_the_average_identity():
    names = ["average_excess", "average_excess_identity", "average_floor_slack"]
    excess, by_norms, slack = recorded(tce.TCE(0.4), FULL, names).values()
    np.testing.assert_allclose(excess, by_norms, rtol=0, atol=1e-12)
    assert np.abs(excess).max() > 1e-3
    assert (slack >= 0).all()


# --- checks


@pytest.mark.slow
def test_a_constant_step_misses_the_exact_fit_by_the_order_of_its_size():
    """The counterexample of the check compares a table with its own exact fit: off by some per cent, and not more."""
    study = Study("tabular-limit", "networks_reach_the_exact_fit")
    networks_reach_the_exact_fit(study)
    (found,) = [evidence for evidence in study.evidence if evidence.kind == "counterexample"]
    assert found.passed
    assert -0.05 < found.observed < -1e-3
