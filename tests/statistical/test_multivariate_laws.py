"""The multivariate Gaussian recursion against its exact laws, and its three implementations against each other.

Slugs shape-collapse, relative-fixed-point, mad-bias. Each claim is an equivalence test; see `equivalence`.
"""

import math

import numpy as np
import pytest
from equivalence import (
    assert_different,
    assert_equivalent,
    check,
    check_law,
    difference_of,
    distance_between,
    mean_of,
    simulated,
    variance_of,
)
from scipy import special, stats

import tce_theory as tce
from tce_theory.kernels import multivariate as kernel
from tce_theory.models.generic import GenericRecursion
from tce_theory.models.multivariate import MultivariateGaussian
from tce_theory.theory import truncated, wall

CE = tce.CrossEntropy()
COV = np.array([[2.0, 0.8, 0.0], [0.8, 1.0, -0.3], [0.0, -0.3, 0.5]])
STRUCTURES = ("full", "diagonal", "isotropic")
REGIMES = [
    tce.Replace(),
    tce.FreshMix(0.3),
    tce.Accumulate(),
    tce.AccumulateSubsample(),
    tce.Staged(2, then=tce.FreshMix(0.2)),
]


class Reference(MultivariateGaussian):
    """The same family, point by point in Python."""

    def recursion(self, loss, sizes, regime, sampler, decoding=None):
        return GenericRecursion(self, loss, regime.supply(sizes), decoding)


def model(structure="full", family=MultivariateGaussian, **options):
    cov = {"full": COV, "diagonal": np.diag(np.diag(COV)), "isotropic": 2 * np.eye(3)}[structure]
    return family([1.0, -2.0, 0.0], cov, structure=structure, **options)


# ------------------------------------------------------------------------------------------------- Bartlett


def test_bartlett_factors_are_wishart():
    """E S = m I; Var of S_11, S_21 and the determinant's logarithm; also with fewer degrees than dimensions.

    Controls: the degrees of freedom changed by one; variances changed by 30 %.
    """
    rng, d, replicates = np.random.default_rng(1), 3, 30_000
    for degrees in (2, 7):
        scatter = np.empty((replicates, d, d))
        step = np.zeros((d, d))
        for r in range(replicates):
            columns = kernel.bartlett(rng, degrees, step)
            factor = np.tril(step.T)[:, :columns]
            scatter[r] = factor @ factor.T
        for i, j in ((0, 0), (2, 2)):
            check_law(scatter[:, i, j], stats.chi2(degrees).cdf, stats.chi2(degrees + 1).cdf)
        check(variance_of(scatter[:, 2, 0]), degrees, 1.3 * degrees)
        check(variance_of(scatter[:, 2, 1]), degrees, 1.3 * degrees)


# ------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize(("d", "n", "t"), [(2, 4, 6), (10, 14, 3)])
@pytest.mark.parametrize("fit_mean", [True, False])
def test_the_log_determinant_is_a_random_walk(d, n, t, fit_mean):
    """Its mean and variance from the registered exponents; control: 16 % of a standard deviation, 27 %."""
    base = np.random.default_rng(d).standard_normal((d, 2 * d))
    normal = MultivariateGaussian(np.zeros(d), base @ base.T, fit_mean=fit_mean)
    (log_det,) = simulated(normal, CE, ["log_det"], n=n, t=t, replicates=12_000, seed=40 + d)
    ranks = np.arange(1, d + 1)
    drift = t * float(np.sum(wall.eigenvalue_drift(ranks, n, fit_mean=fit_mean)))
    degrees = n - ranks + (0 if fit_mean else 1)
    variance = t * float(special.polygamma(1, degrees / 2).sum())
    growth = log_det - normal.measure("log_det", normal)
    check(mean_of(growth), drift, drift - 0.16 * math.sqrt(variance))
    check(variance_of(growth), variance, 1.27 * variance)


@pytest.mark.parametrize(("structure", "fit_mean"), [("diagonal", True), ("isotropic", True), ("isotropic", False)])
def test_variances_of_axes(structure, fit_mean):
    """Each is multiplied by chi-square over n: with d (n − 1) degrees of freedom if one is fitted for all axes."""
    n, d, t = 5, 3, 4
    (log_det,) = simulated(model(structure, fit_mean=fit_mean), CE, ["log_det"], n=n, t=t, replicates=12_000, seed=60)
    growth = log_det - model(structure).measure("log_det", model(structure))
    shared = d if structure == "isotropic" else 1
    degrees = shared * (n - 1 if fit_mean else n)
    # the log determinant is that of d variances, or d times that of one
    factor = d / shared if structure == "diagonal" else d
    drift = t * d * (special.digamma(degrees / 2) + math.log(2 / (shared * n)))
    variance = t * special.polygamma(1, degrees / 2) * (factor if structure == "diagonal" else d**2)
    check(mean_of(growth), drift, drift - 0.16 * math.sqrt(variance))
    check(variance_of(growth), variance, 1.27 * variance)


@pytest.mark.parametrize(
    ("d", "n"), [(2, 4), pytest.param(3, 6, marks=pytest.mark.slow), pytest.param(10, 13, marks=pytest.mark.slow)]
)
def test_the_condition_number_grows_at_the_registered_rate(d, n):
    """psi((n − 1)/2) − psi((n − d)/2); control: 20 %."""
    first, last = (40, 140) if d < 10 else (40, 80)
    normal = MultivariateGaussian(np.zeros(d), np.eye(d) + 0.5)
    run = tce.simulate(
        normal, CE, n_samples=n, generations=last, replicates=1500 if d < 10 else 200, metrics=["log_condition"], seed=5
    )
    growth = (run.metrics["log_condition"][:, last] - run.metrics["log_condition"][:, first]) / (last - first)
    right = float(wall.condition_number_drift(d, n))
    assert right == pytest.approx(special.digamma((n - 1) / 2) - special.digamma((n - d) / 2))
    check(mean_of(growth), right, 1.2 * right)


def test_drift_of_the_mean_and_decoding():
    """E|m|² in units of generation 0 = d (1 − (λ(1 − 1/n))^t) λ/(n (1 − λ(1 − 1/n))); control: 16 %."""
    n, t, factor, d = 20, 5, 0.7, 3
    (drift,) = simulated(
        model(), CE, ["mean_drift"], n=n, t=t, replicates=12_000, seed=70, decoding=tce.VarianceScaling(factor)
    )
    shrink = factor * (1 - 1 / n)
    right = d * factor / n * (1 - shrink**t) / (1 - shrink)
    check(mean_of(drift**2), right, 1.16 * right)


@pytest.mark.parametrize(
    ("d", "radius", "structure"), [(2, 0.9, "full"), (3, 1.2, "isotropic"), (10, 2.5, "isotropic")]
)
def test_relative_truncation_of_a_large_sample(d, radius, structure):
    """One generation multiplies scales by the population's factor s; control: s − 1 changed by 20 %."""
    normal = MultivariateGaussian(np.zeros(d), np.eye(d), structure=structure)
    loss = tce.TCE(math.exp(-0.5 * radius**2), "relative")
    (log_det,) = simulated(normal, loss, ["log_det"], n=3000, t=1, replicates=300, seed=80 + d)
    s = float(truncated.relative_fixed_point(radius, d))
    if d == 2:
        assert s**2 == pytest.approx(2 / (2 - radius**2))
    check(mean_of(log_det / (2 * d)), math.log(s), math.log(1 + 1.2 * (s - 1)))


# ------------------------------------------------------------------------------------------------- implementations


def agree(first, second, other):
    """Accept that two samples have one law: means to 30 % of a standard deviation, the whole law; reject another."""
    deviation = float(np.std(first))
    assert_equivalent(difference_of(mean_of(first), mean_of(second)), 0.0, margin=0.3 * deviation)
    assert_different(difference_of(mean_of(first), mean_of(other)), 0.0, margin=0.3 * deviation)
    assert_equivalent(distance_between(first, second), 0.0, margin=0.2)


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize(
    ("structure", "fit_mean", "decoding"),
    [
        ("full", True, None),
        pytest.param("full", False, tce.VarianceScaling(0.6), marks=pytest.mark.slow),
        pytest.param("diagonal", True, None, marks=pytest.mark.slow),
        pytest.param("isotropic", True, None, marks=pytest.mark.slow),
    ],
)
def test_law_and_points(structure, fit_mean, decoding, regime):
    """Sampling in law against drawing the points; control: n one and a half times as large."""
    normal = model(structure, fit_mean=fit_mean)
    metrics = ["log_det", "w2_squared"]
    options = {"t": 3, "replicates": 3000, "regime": regime, "decoding": decoding}
    law = simulated(normal, CE, metrics, n=6, seed=90, sampler="auto", **options)
    points = simulated(normal, CE, metrics, n=6, seed=91, sampler="points", **options)
    other = simulated(normal, CE, metrics, n=9, seed=92, **options)
    agree(law[0], points[0], other[0])
    deviation = float(np.std(np.log(law[1])))
    assert_equivalent(difference_of(mean_of(np.log(law[1])), mean_of(np.log(points[1]))), 0.0, margin=0.3 * deviation)


LOSSES = {
    "CE": CE,
    "relative": tce.TCE(0.65, "relative"),
    "relative, previous": tce.TCE(0.7, "relative", mask="previous"),
    "absolute, previous": tce.TCE(0.05, mask="previous"),
    "absolute": tce.TCE(0.05),
}
# every loss in every regime; structures and decodings in turn, as they have nothing to do with regimes
CELLS = [
    pytest.param(loss, STRUCTURES[(i + j) % 3], tce.VarianceScaling(0.6) if (i + 2 * j) % 3 else None, regime,
                 id=f"{name}-{STRUCTURES[(i + j) % 3]}-{regime}")
    for i, (name, loss) in enumerate(LOSSES.items())
    for j, regime in enumerate(REGIMES)
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "structure", "decoding", "regime"), CELLS)
def test_kernel_and_reference(loss, structure, decoding, regime):
    """The recursion against that of the fits; control: a shift by 60 % of a standard deviation."""
    options = {"t": 2, "replicates": 3000, "regime": regime, "decoding": decoding, "sampler": "points"}
    (fast,) = simulated(model(structure), loss, ["log_det"], n=8, seed=93, **options)
    (slow,) = simulated(model(structure, Reference), loss, ["log_det"], n=8, seed=94, **options)
    agree(fast, slow, fast + 0.6 * np.std(fast))


@pytest.mark.parametrize(("d", "radius"), [(2, 0.9), (3, 1.5), pytest.param(10, 3.0, marks=pytest.mark.slow)])
def test_previous_mask_of_a_large_sample(d, radius):
    """One generation multiplies variances by eta_d(a), in every direction; control: eta − 1 changed by 20 %."""
    normal = MultivariateGaussian(np.zeros(d), np.eye(d))
    loss = tce.TCE(math.exp(-0.5 * radius**2), "relative", mask="previous")
    (log_det,) = simulated(normal, loss, ["log_det"], n=8000, t=1, replicates=200, seed=85 + d)
    eta = float(truncated.tail_inflation(radius, d))
    w = radius**2 / 2
    assert eta == pytest.approx(special.gammaincc(d / 2 + 1, w) / special.gammaincc(d / 2, w), rel=1e-12)
    check(mean_of(log_det / d), math.log(eta), math.log(1 + 1.2 * (eta - 1)))


@pytest.mark.parametrize("regime", REGIMES[:2], ids=str)
@pytest.mark.parametrize("loss", [tce.TCE(0.65, "relative"), tce.TCE(0.7, "relative", mask="previous")], ids=str)
def test_one_dimension_has_the_law_of_gaussian(loss, regime):
    """Control: a shift by 60 % of a standard deviation."""
    one, many = tce.Gaussian(0.0, 1.5), MultivariateGaussian([0.0], [[2.25]])
    options = {"t": 3, "replicates": 3000, "regime": regime, "sampler": "points"}
    (scale,) = simulated(one, loss, ["log_std"], n=8, seed=96, **options)
    (log_det,) = simulated(many, loss, ["log_det"], n=8, seed=97, **options)
    agree(2 * scale, log_det, log_det + 0.6 * np.std(log_det))


def test_losses_are_coupled_draw_by_draw():
    """With one seed: a mask that never applies gives the run of cross entropy."""
    metrics = ["log_det", "mean_drift"]
    runs = [
        tce.simulate(model(), loss, n_samples=9, generations=20, sampler="points", metrics=metrics, seed=1)
        for loss in (CE, tce.TCE(1 - 1e-9, "relative"), tce.TCE(1 - 1e-9, "relative", mask="previous"))
    ]
    for run in runs[1:]:
        for name in metrics:
            np.testing.assert_allclose(run.metrics[name], runs[0].metrics[name], rtol=1e-12)
