"""Linear regression with relabelling: the sampler in law against points, and the recursion against closed forms.

Slug accumulate. Each claim is an equivalence test with a margin of half of what the negative control changes, or,
between samplers, a stated one; see `equivalence`.
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
)
from scipy import special, stats

import tce_theory as tce
from tce_theory.models.regression import LinearRegression
from tce_theory.theory import regimes as theory

CE = tce.CrossEntropy()
TRUTH, NOISE = [1.0, -2.0, 0.5], 0.5
METRICS = ["excess_error", "error_along", "log_noise_std"]


def model(design, fit_noise=False):
    return LinearRegression(TRUTH, NOISE, design=design, fit_noise=fit_noise)


def in_arrays(design, regime, n, t, replicates, seed, spread=1.0, fit_noise=False):
    """The recursion with every point drawn, all replicates at once: no use of the library but the supply."""
    rng, supply, truth = np.random.default_rng(seed), regime.supply(np.full(t, n)), np.array(TRUTH)
    d = truth.size
    shared = rng.standard_normal((replicates, n, d))
    w, std = np.tile(truth, (replicates, 1)), np.full(replicates, NOISE)
    kept_x, kept_y = np.empty((replicates, 0, d)), np.empty((replicates, 0))
    for step in range(t):
        drawn = int(supply.drawn[step])
        x = rng.standard_normal((replicates, drawn, d))
        if design == "shared":
            x = np.tile(shared, (1, drawn // n, 1))
        fresh = (np.arange(drawn) < supply.fresh[step]) | (rng.random((replicates, drawn)) < supply.fresh_share[step])
        mean = np.where(fresh, x @ truth, np.einsum("rnd,rd->rn", x, w))
        y = mean + np.where(fresh, NOISE, spread * std[:, None]) * rng.standard_normal((replicates, drawn))
        if supply.memory:
            x, y = kept_x, kept_y = np.concatenate([kept_x, x], axis=1), np.concatenate([kept_y, y], axis=1)
        if supply.memory == 2:
            chosen = np.argsort(rng.random(y.shape), axis=1)[:, :drawn]
            x, y = np.take_along_axis(x, chosen[..., None], axis=1), np.take_along_axis(y, chosen, axis=1)
        gram, moment = np.einsum("rni,rnj->rij", x, x), np.einsum("rni,rn->ri", x, y)
        w = np.linalg.solve(gram, moment[..., None])[..., 0]
        if fit_noise:
            std = np.sqrt(((y - np.einsum("rnd,rd->rn", x, w)) ** 2).mean(axis=1))
    return [((w - truth) ** 2).sum(axis=1), (w - truth) @ truth / np.linalg.norm(truth), np.log(std)]


def agree(first, second, other, whole):
    """One law: the mean to 8 % of a standard deviation, all of it to `whole`; another law is told apart."""
    deviation = float(np.std(first))
    assert_equivalent(difference_of(mean_of(first), mean_of(second)), 0.0, margin=0.08 * deviation)
    assert_equivalent(distance_between(first, second), 0.0, margin=whole)
    assert_different(distance_between(second, other), 0.0, margin=whole)


def compared(first, second, other, *, fit_noise, whole=0.045):
    agree(*(np.log(sample[0]) for sample in (first, second, other)), whole)
    agree(*(np.log(np.abs(sample[1])) for sample in (first, second, other)), whole)
    if fit_noise:
        agree(first[2], second[2], other[2], whole)


@pytest.mark.parametrize(
    ("design", "fit_noise", "regime"),
    [
        pytest.param("fresh", True, tce.FreshMix(0.3), marks=pytest.mark.slow),
        ("shared", False, tce.Accumulate()),
        pytest.param("fresh", True, tce.Replace(), marks=pytest.mark.slow),
        pytest.param("fresh", True, tce.Accumulate(), marks=pytest.mark.slow),
        pytest.param("fresh", False, tce.Accumulate(), marks=pytest.mark.slow),
        pytest.param("fresh", True, tce.Staged(3, then=tce.FreshMix(0.5)), marks=pytest.mark.slow),
        pytest.param("shared", True, tce.Replace(), marks=pytest.mark.slow),
        pytest.param("shared", True, tce.Accumulate(), marks=pytest.mark.slow),
        pytest.param("shared", True, tce.Staged(4), marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_law_and_points(design, fit_noise, regime):
    """With noise scaled by half where it is fitted. Control, large enough to see: n = 12 instead of 9."""
    options = {"t": 4, "replicates": 55_000}
    scaling = {"decoding": tce.VarianceScaling(0.5)} if fit_noise else {}
    law = simulated(model(design, fit_noise), CE, METRICS, n=9, seed=700, regime=regime, **options, **scaling)
    other = simulated(model(design, fit_noise), CE, METRICS, n=12, seed=701, regime=regime, **options, **scaling)
    spread = math.sqrt(0.5) if fit_noise else 1.0
    points = in_arrays(design, regime, 9, seed=702, spread=spread, fit_noise=fit_noise, **options)
    compared(law, points, other, fit_noise=fit_noise)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("design", "fit_noise", "regime"),
    [
        ("fresh", True, tce.AccumulateSubsample()),
        ("shared", False, tce.Staged(3, then=tce.FreshMix(0.5))),
        ("shared", True, tce.FreshMix(0.3)),
        ("shared", True, tce.AccumulateSubsample()),
    ],
    ids=str,
)
def test_the_library_by_points(design, fit_noise, regime):
    """`Model.sample` and `Model.fit` generation by generation. Control, large enough to see: n = 12 instead of 9."""
    points = simulated(
        model(design, fit_noise), CE, METRICS, n=9, t=4, replicates=16_000, seed=710, regime=regime, sampler="points"
    )
    reference = in_arrays(design, regime, 9, 4, 55_000, seed=711, fit_noise=fit_noise)
    other = in_arrays(design, regime, 12, 4, 55_000, seed=712, fit_noise=fit_noise)
    compared(points, reference, other, fit_noise=fit_noise, whole=0.07)


@pytest.mark.parametrize("design", ["fresh", pytest.param("shared", marks=pytest.mark.slow)])
def test_one_fit_in_law(design):
    """In one dimension n (w − w0)²/NOISE² is an F variable with 1 and n degrees of freedom; control: n less one."""
    one, n = LinearRegression([2.0], NOISE, design=design), 2
    (error,) = simulated(one, CE, ["excess_error"], n=n, t=1, replicates=160_000, seed=720)
    check_law(n * error / NOISE**2, *(stats.f(1, degrees).cdf for degrees in (n, n - 1)))


# ------------------------------------------------------------------------------------------------- closed forms


@pytest.mark.parametrize("design", ["fresh", pytest.param("shared", marks=pytest.mark.slow)])
@pytest.mark.parametrize(("n", "t"), [(20, 6), pytest.param(200, 20, marks=pytest.mark.slow)])
def test_replaced_labels(design, n, t):
    """t d NOISE²/(n − d − 1), whatever the design; controls: 6 %, and n for n − d − 1."""
    (error,) = simulated(model(design), CE, ["excess_error"], n=n, t=t, replicates=90_000, seed=730 + t)
    right = theory.regression_replace_error(t, n, 3, noise_std=NOISE)
    check(mean_of(error), right, 1.06 * right)
    if n == 20:
        assert_different(mean_of(error), t * 3 * NOISE**2 / n, margin=0.1 * right)


@pytest.mark.parametrize(("n", "t"), [(20, 2), (9, 5)])
@pytest.mark.slow
def test_accumulated_labels_of_a_shared_design(n, t):
    """NOISE² d/(n − d − 1) Σ 1/i²; control: that of fresh designs, or, where they are near, 6 %."""
    options = {"n": n, "t": t, "replicates": 220_000 if n > 9 else 150_000, "regime": tce.Accumulate()}
    (error,) = simulated(model("shared"), CE, ["excess_error"], seed=740 + t, **options)
    right = theory.regression_accumulate_error(n, 3, noise_std=NOISE, t=t)
    wrong = NOISE**2 * fresh_design_error(n, 3, t)
    check(mean_of(error), right, wrong if n < 10 else 1.06 * right)


def fresh_design_error(n, d, t):
    """Σ_i d/(i (i n − d − 1)) for noise 1.

    The moments of all data give A_i u_i = A_i u_{i−1} + X_i'e_i, u = w − w0, A_i = Σ X_j'X_j: errors add up like those
    of a martingale. E tr A_i^{-1} X_i'X_i A_i^{-1} = E tr A_i^{-1}/i, because the i designs are alike.
    """
    i = np.arange(1, t + 1)
    return float((d / (i * (i * n - d - 1))).sum())


@pytest.mark.parametrize(
    ("n", "t"), [pytest.param(20, 2, marks=pytest.mark.slow), (9, 5), pytest.param(6, 100, marks=pytest.mark.slow)]
)
def test_accumulated_labels_of_fresh_designs(n, t):
    """Control: that of a shared design, which is larger, or 6 % where they are near."""
    options = {"n": n, "t": t, "replicates": 150_000 if n > 9 else 40_000, "regime": tce.Accumulate()}
    (error,) = simulated(model("fresh"), CE, ["excess_error"], seed=750 + t, **options)
    right = NOISE**2 * fresh_design_error(n, 3, t)
    wrong = theory.regression_accumulate_error(n, 3, noise_std=NOISE, t=t)
    assert wrong > right
    check(mean_of(error), right, wrong if n < 10 else 1.06 * right)
    limit = 3 / 4 * (-special.digamma(1 - 4 / n) - np.euler_gamma)
    assert fresh_design_error(n, 3, 10**6) == pytest.approx(limit, rel=1e-4)


def test_fitted_noise():
    """E log(std_t²/NOISE²) = t (ψ((n − d)/2) + log(2/n)); and the error is bounded: what noise loses, it gains.

    E |w_t − w0|² = NOISE² n/(n − d − 1) (1 − (1 − d/n)^t). Control: 5 % of the drift, 6 % of the error.
    """
    n, d, t = 20, 3, 8
    error, log_std = simulated(
        model("fresh", True), CE, ["excess_error", "log_noise_std"], n=n, t=t, replicates=80_000, seed=760
    )
    drift = t / 2 * (special.digamma((n - d) / 2) + math.log(2 / n))
    check(mean_of(log_std), math.log(NOISE) + drift, math.log(NOISE) + 1.05 * drift)
    right = NOISE**2 * n / (n - d - 1) * (1 - (1 - d / n) ** t)
    check(mean_of(error), right, 1.06 * right)


# ------------------------------------------------------------------------------------------------- TCE


def kept_share_and_square(a):
    """Pr(|z| > a) and E z² 1(|z| > a)."""
    share = 2 * stats.norm.sf(a)
    return share, share + 2 * a * stats.norm.pdf(a)


@pytest.mark.slow
def test_known_noise_loses_by_truncation():
    """A label that is masked is lost: the error of a fit is 1/m of that of CE for large n, m = E z² 1(|z| > a).

    Control: CE's. With the previous mask it is m/q² of it, q = Pr(|z| > a), and at every n: NOISE² (m/q) d
    E[1/(K − d − 1)] with K kept points (K binomial, at least d + 2 with all but negligible probability). Control: 10 %.
    """
    gamma, n, d = 0.4, 400, 3
    q, m = kept_share_and_square(math.sqrt(-2 * math.log(gamma)))
    unit = theory.regression_replace_error(1, n, d, noise_std=NOISE)
    options = {"n": n, "t": 1, "seed": 770}
    (current,) = simulated(model("fresh"), tce.TCE(gamma, "relative"), ["excess_error"], replicates=2000, **options)
    check(mean_of(current), unit / m, unit)
    loss = tce.TCE(gamma, "relative", mask="previous")
    (previous,) = simulated(model("fresh"), loss, ["excess_error"], replicates=20_000, **options)
    kept = np.arange(d + 2, n + 1)
    right = NOISE**2 * m / q * d * float((stats.binom.pmf(kept, n, q) / (kept - d - 1)).sum())
    check(mean_of(previous), right, 1.1 * right)


@pytest.mark.slow
def test_fitted_noise_has_a_wall():
    """TCE holds the noise up (slug density-wall), and so the error grows on, where CE's is bounded (mean-wanders)."""
    critical = NOISE / 1.5
    loss = tce.TCE(1 / (critical * math.sqrt(2 * math.pi)))
    options = {"n": 12, "t": 60, "replicates": 100, "seed": 780}
    error, log_std = simulated(model("fresh", True), loss, ["excess_error", "log_noise_std"], **options)
    ce_error, ce_log_std = simulated(model("fresh", True), CE, ["excess_error", "log_noise_std"], **options)
    assert log_std.min() >= math.log(critical) - 0.5 - 1e-9
    assert ce_log_std.max() < math.log(critical)
    assert error.mean() > 4 * ce_error.mean()
