"""Poisson: exact fits against brute force, metrics against mpmath, the floor of the rate, edges and errors."""

import math
import warnings

import mpmath
import numpy as np
import pytest
from scipy import special

import tce_theory as tce
from tce_theory.kernels import poisson as kernel
from tce_theory.models.poisson import Poisson

CE = tce.CrossEntropy()
REGIMES = [
    tce.Replace(), tce.FreshMix(0.2), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(2, then=tce.Replace())
]  # fmt: skip


def quiet_fit(model, data, loss):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.fit(model, data, loss)


def log_mass(x, rate):
    return special.xlogy(x, rate) - rate - special.gammaln(np.asarray(x) + 1.0)


def objective(rate, data, loss):
    return np.maximum(-log_mass(data, np.asarray(rate)[..., None]), loss.floor).mean(axis=-1)


def sample(rng):
    """Small samples of all kinds: of one law, of two, with ties, of wide spread, all equal."""
    n, rate = int(rng.integers(1, 30)), 10 ** rng.uniform(-1.5, 2)
    match rng.integers(5):
        case 0:
            return rng.poisson(rate, n)
        case 1:
            return np.concatenate([rng.poisson(rate, n), rng.poisson(10 * rate, int(rng.integers(1, 10)))])
        case 2:
            return rng.integers(0, 4, n)
        case 3:
            return np.full(n, rng.poisson(rate))
    return (rng.random(n) ** 4 * 100).astype(np.int64)


# ------------------------------------------------------------------------------------------------------- fits


def test_fits_are_minimisers_with_a_certificate():
    """On 400 samples: nothing on a fine grid is lower, and weights that suit the masses make the slope vanish."""
    rng = np.random.default_rng(1)
    grid = np.exp(np.linspace(-8, 8, 3001))
    seen = {"vacuous": 0, "boundary": 0, "inside": 0, "unmasked": 0}
    for _ in range(400):
        data, loss = sample(rng), tce.TCE(float(np.exp(-(10 ** rng.uniform(-1.5, 0.9)))))
        start = Poisson(10 ** rng.uniform(-2, 2))
        fit = quiet_fit(start, data, loss)
        rate, log_gamma = fit.model.rate, -loss.floor
        near = rate * np.exp(np.linspace(-1e-3, 1e-3, 41)) if rate else grid
        least = min(objective(grid, data, loss).min(), objective(near, data, loss).min())
        assert fit.objective == pytest.approx(float(objective(rate, data, loss)), rel=1e-12)
        assert fit.objective <= least + 1e-12 * max(1.0, least)
        w, log_p = fit.weights, log_mass(data, rate)
        assert w.shape == data.shape
        assert ((w >= 0) & (w <= 1)).all()
        assert fit.masked_weight == pytest.approx((1 - w).sum(), abs=1e-9)
        assert (log_p[w < 1] >= log_gamma - 1e-11).all()
        if fit.vacuous:
            seen["vacuous"] += 1
            assert fit.objective == pytest.approx(loss.floor)
            continue
        assert (log_p[w > 0] <= log_gamma + 1e-11).all()
        assert abs((w * (rate - data)).sum()) <= 1e-10 * (data.sum() + data.size * rate)
        assert (log_p[fit.boundary_index] == pytest.approx(log_gamma, abs=1e-11)) if fit.boundary_index.size else True
        seen["boundary" if fit.boundary_index.size else "inside" if fit.masked_weight else "unmasked"] += 1
    assert min(seen.values()) > 20, seen


def test_vacuous_fits_are_the_end_of_the_gradient_flow_or_the_largest_rate():
    """The flow is followed in small steps of log rate; the largest rate is where the objective leaves its floor."""
    rng = np.random.default_rng(2)
    found = 0
    while found < 15:
        data, loss = sample(rng), tce.TCE(float(np.exp(-rng.uniform(0.5, 6))))
        start = 10 ** rng.uniform(-1, 1.5)
        fit = quiet_fit(Poisson(start), data, loss)
        if not fit.vacuous:
            continue
        found += 1
        log_rate = math.log(start)
        for _ in range(10_000):
            rate = math.exp(log_rate)
            slope = ((log_mass(data, rate) < -loss.floor) * (rate - data)).mean()
            if slope == 0:
                break
            log_rate -= 1e-3 * np.sign(slope)
        assert math.log(fit.model.rate) == pytest.approx(log_rate, abs=2e-3)
        largest = quiet_fit(Poisson(start), data, tce.TCE(loss.gamma, vacuous="max-entropy"))
        assert largest.vacuous
        assert largest.model.rate >= fit.model.rate
        assert objective(largest.model.rate * (1 - 1e-9), data, loss) == pytest.approx(loss.floor, rel=1e-12)
        assert objective(largest.model.rate * (1 + 1e-6), data, loss) > loss.floor
    assert quiet_fit(Poisson(0.3), [0, 0], tce.TCE(0.5)).model.rate == 0.3
    assert quiet_fit(Poisson(3.0), [0, 0], tce.TCE(0.5)).model.rate == pytest.approx(math.log(2))
    assert quiet_fit(Poisson(0.0), [0, 0], tce.TCE(0.5)).model.rate == 0


def test_no_fit_is_below_the_floor_of_the_rate():
    """Never below min(previous rate, -log gamma), which data of zeros attain; the previous model's mask can go to 0."""
    rng = np.random.default_rng(3)
    for _ in range(500):
        data, loss, start = sample(rng), tce.TCE(float(np.exp(-(10 ** rng.uniform(-2, 1))))), 10 ** rng.uniform(-2, 2)
        floor = min(start, loss.floor)
        assert tce.theory.loss.poisson_rate_floor(loss.gamma, start) == pytest.approx(floor, rel=1e-15)
        for vacuous in ("warm", "max-entropy"):
            fit = quiet_fit(Poisson(start), data, tce.TCE(loss.gamma, vacuous=vacuous))
            assert fit.model.rate >= floor
            if not fit.vacuous:
                assert fit.model.rate >= loss.floor
                if loss.gamma >= 0.20944:
                    assert fit.model.entropy() >= loss.floor
    loss = tce.TCE(0.5, mask="previous")
    assert quiet_fit(Poisson(1.0), [0, 0], loss).model.rate == 0
    assert quiet_fit(Poisson(0.5), [0, 0], loss).model.rate == 0.5  # there zeros are masked


def test_ties_of_the_ends():
    """At gamma = exp(-sqrt 2) the masses of 0 and 2 cross at sqrt 2: which of the two is on the boundary varies."""
    loss = tce.TCE(math.exp(-math.sqrt(2)))
    for zeros in range(1, 12):
        for twos in range(1, 6):
            data = np.repeat([0, 2, 9], [zeros, twos, 1])
            fit = quiet_fit(Poisson(1.0), data, loss)
            rates = np.linspace(0.5, 9, 2001)
            assert fit.objective <= objective(rates, data, loss).min() + 1e-12
            assert abs((fit.weights * (fit.model.rate - data)).sum()) < 1e-9


def test_a_population_in_a_tie_keeps_its_rate_and_a_sample_may_lower_it():
    """What slug poisson-rate-floor refutes: of Poisson(sqrt 2) the value 1 is masked, 0 and 2 are on the threshold."""
    root, values = math.sqrt(2), np.arange(40)
    counts = tce.Counts(np.rint(1e15 * np.exp(log_mass(values, root))))
    tied, beside = (quiet_fit(Poisson(root), counts, tce.TCE(gamma)) for gamma in (math.exp(-root), 0.2435))
    assert tied.model.rate == pytest.approx(root, rel=1e-12)
    assert tied.masked_weight > 3e14
    assert beside.model.rate > root + 1e-5
    lower = quiet_fit(Poisson(2.0), np.repeat([0, 3], [1, 9]), tce.TCE(0.2))
    assert lower.model.rate == pytest.approx(2.2486, abs=1e-4)


@pytest.mark.parametrize("arguments", [(0.0, 1.0), (1.1, 1.0), (0.5, -1.0), (0.5, math.nan)])
def test_arguments_of_the_floor_that_are_refused(arguments):
    with pytest.raises(tce.DomainError):
        tce.theory.loss.poisson_rate_floor(*arguments)


def test_the_previous_mask_is_a_cross_entropy_fit_of_what_it_leaves():
    rng = np.random.default_rng(4)
    for _ in range(200):
        data, gamma, start = sample(rng), float(np.exp(-rng.uniform(0, 4))), 10 ** rng.uniform(-1, 1.5)
        kept = log_mass(data, start) <= math.log(gamma)
        fit = quiet_fit(Poisson(start), data, tce.TCE(gamma, mask="previous"))
        assert fit.vacuous == (not kept.any())
        assert fit.model.rate == pytest.approx(data[kept].mean() if kept.any() else start)
        assert fit.masked_weight == (~kept).sum()
        assert (fit.weights == kept).all()


def test_the_entropy_has_no_floor():
    """The registered counterexample, {0, 20} at gamma = 0.01: stationary at 10, below the floor of other families."""
    assert Poisson(1.5633502644895632).entropy() == pytest.approx(1.5633502644895632, abs=1e-14)  # where it begins to
    fit = tce.fit(Poisson(3.0), [0, 20], tce.TCE(0.01))
    assert fit.model.rate == 10
    assert not fit.vacuous
    assert fit.masked_weight == 0
    assert fit.model.entropy() == pytest.approx(2.5614, abs=1e-4)
    assert fit.model.entropy() < -math.log(0.01) == pytest.approx(4.60517)


@pytest.mark.parametrize("data", [[0], [0, 0, 0], [7], [0, 1, 2, 50], [10**9, 10**9 + 5]])
def test_gamma_one_is_cross_entropy(data):
    for loss in (tce.TCE(1.0), tce.TCE(1.0, mask="previous"), CE):
        fit = tce.fit(Poisson(2.0), data, loss)
        assert fit.model.rate == np.mean(data)
        assert fit.masked_weight == 0
        assert fit.objective == pytest.approx(float(-log_mass(np.array(data), np.mean(data)).mean()), rel=1e-6)


def test_counts_and_points_are_the_same_data():
    points = np.repeat([0, 1, 4, 9], [3, 1, 5, 2])
    counts = tce.Counts(np.bincount(points, minlength=12))
    for loss in (CE, tce.TCE(0.1), tce.TCE(0.2), tce.TCE(0.3, mask="previous")):
        by_points, by_counts = (quiet_fit(Poisson(2.0), data, loss) for data in (points, counts))
        assert by_points.model == by_counts.model
        assert by_points.objective == by_counts.objective
        assert (by_counts.weights[points] == by_points.weights).all()
        assert by_counts.boundary_index.size == (by_points.boundary_index.size > 0)


def test_the_recursion_fits_as_the_family_does():
    """The kernel on a histogram with gaps, and a rest that is never masked, against `fit`."""
    rng = np.random.default_rng(5)
    for _ in range(300):
        data, loss, start = sample(rng), tce.TCE(float(np.exp(-rng.uniform(0.01, 5)))), float(10 ** rng.uniform(-1, 2))
        values = np.arange(kernel.count_maskable(loss.floor, 10**6))
        lower, upper = np.empty(values.size), np.empty(values.size)
        kernel.bands(values, loss.floor, lower, upper)
        inside = data[data < values.size]
        counts = np.bincount(inside, minlength=values.size)
        rest = data[data >= values.size]
        arguments = (values, counts, lower, upper, 0, values.size, rest.size, int(rest.sum()), start)
        for rule, vacuous in ((kernel.WARM, "warm"), (kernel.LARGEST, "max-entropy")):
            found = kernel.fit_hinge(*arguments, rule)
            fit = quiet_fit(Poisson(start), data, tce.TCE(loss.gamma, vacuous=vacuous))
            assert found[:3] == pytest.approx((fit.model.rate, fit.masked_weight, fit.vacuous))
        found = kernel.fit_outside(*arguments)
        fit = quiet_fit(Poisson(start), data, tce.TCE(loss.gamma, mask="previous"))
        assert found == pytest.approx((fit.model.rate, fit.masked_weight, fit.vacuous))


@pytest.mark.parametrize("floor", [1e-9, 0.1, 0.999, 1.001, 3.0, 6.0])
def test_the_ends_of_the_masked_rates(floor):
    """Against 40 digits; both ends rise with the value, on which the scan relies."""
    size = kernel.count_maskable(floor, 10**7)
    assert (size == 0) or kernel.log_peak(float(size - 1)) > -floor >= kernel.log_peak(float(size))
    values = np.arange(size)
    lower, upper = np.empty(size), np.empty(size)
    kernel.bands(values, floor, lower, upper)
    assert (np.diff(lower) > 0).all()
    assert (np.diff(upper) > 0).all()
    with mpmath.workdps(40):
        for x in np.unique(np.geomspace(1, max(size, 2), 20).astype(int) - 1)[:size]:
            for rate in (lower[x], upper[x]):
                if rate <= 0:
                    continue
                error = int(x) * mpmath.log(rate) - rate - mpmath.loggamma(int(x) + 1) + floor
                assert abs(error) <= 2e-14 * abs(int(x) - rate) + 1e-15


# ------------------------------------------------------------------------------------------------- model, metrics


@pytest.mark.parametrize("rate", [1e-300, 1e-9, 0.3, 1.0, 7.7, 50.0, 99.9, 100.0, 250.0])
def test_entropy(rate):
    with mpmath.workdps(40):
        r = mpmath.mpf(rate)
        exact, p = mpmath.mpf(0), mpmath.exp(-r)
        for x in range(1, 700):
            exact -= p * mpmath.log(p)
            p *= r / x
        assert Poisson(rate).entropy() == pytest.approx(float(exact), rel=1e-12, abs=1e-13)


def test_entropy_far_out_and_at_extinction():
    assert Poisson(0.0).entropy() == 0
    assert Poisson(1e12).entropy() == pytest.approx(0.5 * math.log(2 * math.pi * math.e * 1e12), rel=1e-13)


@pytest.mark.parametrize(
    ("a", "b"), [(1.0, 1.0000001), (3.0, 7.0), (0.1, 0.2), (300.0, 301.0), (1e3, 1.1e3), (1e-9, 3.0), (0.0, 2.0)]
)
def test_divergence_and_total_variation(a, b):
    with mpmath.workdps(40):
        x, y = mpmath.mpf(a), mpmath.mpf(b)
        for first, second, p, q in ((Poisson(a), Poisson(b), x, y), (Poisson(b), Poisson(a), y, x)):
            exact = mpmath.inf if q == 0 else (p * mpmath.log(p / q) if p else 0) + q - p
            assert first.kl_divergence(second) == pytest.approx(float(exact), rel=1e-13)
        distance, p, q = mpmath.mpf(0), mpmath.exp(-x), mpmath.exp(-y)
        for k in range(1, 2500):
            distance += max(p - q, 0)
            p, q = p * x / k, q * y / k
        for first, second in ((a, b), (b, a)):
            assert Poisson(first).total_variation(Poisson(second)) == pytest.approx(float(distance), abs=1e-14)
    assert Poisson(b).kl_divergence(Poisson(b)) == Poisson(b).total_variation(Poisson(b)) == 0


def test_log_density():
    x = np.array([[0, 1], [5, 1000]])
    assert Poisson(3.0).log_density(x) == pytest.approx(log_mass(x, 3.0))
    assert Poisson(0.0).log_density([0, 1]).tolist() == [0, -math.inf]
    with mpmath.workdps(40):
        for rate, k in ((1e9, 10**9 + 200_000), (1e15, 10**15 + 10**8)):
            exact = k * mpmath.log(rate) - rate - mpmath.loggamma(k + 1)
            assert Poisson(rate).log_density([k])[0] == pytest.approx(float(exact), rel=1e-12)


def test_samples():
    assert Poisson(2.0).sample(5, seed=1).tolist() == Poisson(2.0).sample(5, seed=1).tolist()
    assert Poisson(0.0).sample(3, seed=1).tolist() == [0, 0, 0]
    far = Poisson(1e14).sample(2000, seed=1)
    assert abs((far - 1e14).mean()) < 5e7 / math.sqrt(20)


# ------------------------------------------------------------------------------------------------- recursion


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("loss", [CE, tce.TCE(0.2), tce.TCE(0.2, mask="previous")], ids=str)
def test_every_regime_runs_and_does_not_depend_on_the_threads(regime, sampler, loss):
    options = {"n_samples": 20, "generations": 6, "replicates": 150, "seed": 5, "regime": regime, "sampler": sampler}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        runs = [
            tce.simulate(Poisson(2.0), loss, metrics=Poisson.metric_names, n_jobs=jobs, **options) for jobs in (1, 2)
        ]
    for name in Poisson.metric_names:
        values = runs[0].metrics[name]
        assert np.array_equal(values, runs[1].metrics[name], equal_nan=True)
        assert not np.isnan(values[:, 1:]).any()
    rate = runs[0].metrics["rate"]
    assert (rate[:, 0] == 2).all()
    for name in ("entropy", "tv", "kl_to_origin", "kl_from_origin"):
        r, t = 3, 4
        assert runs[0].metrics[name][r, t] == Poisson(rate[r, t]).measure(name, Poisson(2.0))


def test_points_are_coupled_draw_by_draw():
    """A loss that masks nothing has the path of cross entropy; one that does leaves it where it masks first."""
    options = {"n_samples": 30, "generations": 20, "replicates": 40, "seed": 6, "sampler": "points"}
    plain = tce.simulate(Poisson(20.0), CE, metrics=["rate"], **options).metrics["rate"]
    never, some = (
        tce.simulate(Poisson(20.0), loss, metrics=["rate", "masked_weight"], **options).metrics
        for loss in (tce.TCE(0.6), tce.TCE(0.085))
    )
    assert np.array_equal(never["rate"], plain)
    for r in range(40):
        masked = np.flatnonzero(some["masked_weight"][r] > 0)
        first = masked[0] if masked.size else plain.shape[1]
        assert np.array_equal(some["rate"][r, :first], plain[r, :first])
    assert (some["rate"] != plain).any()


def test_extinction_is_recorded_and_absorbing():
    run = tce.simulate(Poisson(0.5), CE, n_samples=3, generations=30, replicates=200, seed=1)
    extinct = run.metrics["extinct"]
    assert (np.diff(extinct) >= 0).all()
    assert (run.metrics["entropy"][extinct == 1] == 0).all()
    first = np.where(extinct.any(axis=1), extinct.argmax(axis=1), -1)
    assert np.array_equal(run.events["extinction"], first)
    fresh = tce.simulate(
        Poisson(0.5), CE, n_samples=3, generations=30, replicates=200, seed=1, regime=tce.FreshMix(0.5)
    )
    assert (np.diff(fresh.metrics["extinct"]) < 0).any()


def test_functions_of_a_model():
    run = tce.simulate(
        Poisson(3.0), CE, n_samples=5, generations=3, replicates=4, seed=1, metrics=["rate", lambda model: -model.rate]
    )
    assert np.array_equal(run.metrics["<lambda>"], -run.metrics["rate"])


def test_large_sizes_and_rates():
    run = tce.simulate(Poisson(1e3), CE, n_samples=10**12, generations=4, replicates=50, seed=1)
    assert np.abs(run.metrics["rate"] - 1e3).max() < 1e-3
    run = tce.simulate(Poisson(1e10), tce.TCE(0.01), n_samples=1000, generations=2, replicates=5, seed=1)
    assert np.abs(run.metrics["rate"] / 1e10 - 1).max() < 1e-5
    run = tce.simulate(Poisson(3.0), tce.TCE(0.2), n_samples=10**14, generations=2, replicates=5, seed=1)
    assert run.metrics["rate"].std(axis=0).max() < 1e-5


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("rate", [-1, math.nan, math.inf, 2e15, "3", None])
def test_rates_that_are_refused(rate):
    with pytest.raises(tce.DomainError, match=r"rate must be a number in \[0, 1e\+15\]"):
        Poisson(rate)


@pytest.mark.parametrize("data", [[], [[1, 2]], [-1], [0.5], [math.nan], ["a"], [1e300]])
def test_data_that_are_refused(data):
    with pytest.raises(tce.DomainError, match="data must be"):
        tce.fit(Poisson(1.0), data, CE)


@pytest.mark.parametrize(
    ("loss", "reason"),
    [
        (tce.TCE(0.5, "relative"), "most probable value would always be masked"),
        (tce.TCE(0.5, vacuous="drawn-only"), "every rate above 0"),
        (tce.TCE(0.5, mask="previous", vacuous="warm"), "previous model is kept"),
        (tce.FocalLoss(2.0), "constant between known rates"),
        (tce.SmoothTruncatedCrossEntropy(0.5, 0.1), "constant between known rates"),
    ],
)
def test_losses_that_are_refused(loss, reason):
    for run in (
        lambda: tce.fit(Poisson(1.0), [1, 2], loss),
        lambda: tce.simulate(Poisson(1.0), loss, n_samples=5, generations=1),
    ):
        with pytest.raises(tce.UnsupportedCombinationError, match=reason):
            run()


def test_other_refusals():
    with pytest.raises(tce.DomainError, match=r"gamma must be in \(0, 1\]"):
        tce.fit(Poisson(1.0), [1], tce.TCE(1.5))
    with pytest.raises(tce.UnsupportedCombinationError, match="Conway"):
        tce.simulate(Poisson(1.0), CE, n_samples=5, generations=1, decoding=tce.Temperature(0.5))
    with pytest.raises(tce.DomainError, match="n_samples must be at most"):
        tce.simulate(Poisson(1e10), CE, n_samples=10**6, generations=1)
    with pytest.raises(tce.DomainError, match="gamma must be at least 2e-4"):
        tce.simulate(Poisson(1.0), tce.TCE(1e-4), n_samples=5, generations=1)
    with pytest.raises(tce.DomainError, match="rate must be at most 1e"):
        tce.simulate(Poisson(1e11), CE, n_samples=5, generations=1, sampler="points")
    with pytest.raises(tce.DomainError, match="other must be a Poisson"):
        Poisson(1.0).kl_divergence(tce.Gaussian())
    with pytest.raises(tce.DomainError, match="metric must be one of"):
        Poisson(1.0).measure("masked_weight", Poisson(1.0))
