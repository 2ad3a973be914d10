"""Linear regression with relabelling: the model, its fits (their conditions, the Gaussian family), refusals."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.regression import LinearRegression

CE = tce.CrossEntropy()
REGIMES = [
    tce.Replace(),
    tce.FreshMix(0.3),
    tce.Accumulate(),
    tce.AccumulateSubsample(),
    tce.Staged(2, then=tce.FreshMix(0.5)),
]


def regression_data(rng, n, d, noise=0.3, scale=1.0):
    x = scale * rng.standard_normal((n, d))
    return np.column_stack([x, x @ rng.standard_normal(d) + noise * rng.standard_normal(n)])


def residuals_of(model, data):
    return data[:, -1] - data[:, :-1] @ model.coefficients


# ------------------------------------------------------------------------------------------------- the model


def test_parameters_and_sample():
    model = LinearRegression([1, 2], 0.5)
    assert model.coefficients.tolist() == [1.0, 2.0]
    with pytest.raises(ValueError, match="read-only"):
        model.coefficients[0] = 3
    points = model.sample(50_000, seed=1)
    assert points.shape == (50_000, 3)
    residuals = residuals_of(model, points)
    assert residuals.std() == pytest.approx(0.5, rel=0.02)
    assert np.cov(points[:, :2].T) == pytest.approx(np.eye(2), abs=0.03)
    np.testing.assert_array_equal(model.sample(5, seed=2), model.sample(5, seed=2))
    assert -model.log_density(points).mean() == pytest.approx(model.entropy(), abs=0.02)
    scaled = model.decoded(tce.VarianceScaling(4.0))
    assert (scaled.noise_std, scaled.coefficients.tolist()) == (1.0, [1.0, 2.0])


def test_a_given_design_is_taken_in_turn():
    design = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    points = LinearRegression([1.0, -1.0], 1e-9, design=design).sample(7, seed=0)
    np.testing.assert_array_equal(points[:, :2], design[[0, 1, 2, 0, 1, 2, 0]])
    assert points[:3, 2] == pytest.approx([1, -1, 0], abs=1e-7)


def test_it_describes_itself():
    described = LinearRegression([1.0], 2.0, design=[[1.0], [2.0]]).describe()
    assert json.loads(json.dumps(described)) == {
        "name": "LinearRegression",
        "coefficients": [1.0],
        "noise_std": 2.0,
        "design": [[1.0], [2.0]],
        "fit_noise": False,
    }


def test_metrics():
    origin = LinearRegression([3.0, 4.0], 1.0)
    model = LinearRegression([3.6, 4.8], 0.5)  # one along the truth
    measured = {name: model.measure(name, origin) for name in model.metric_names if name != "masked_weight"}
    assert measured["excess_error"] == pytest.approx(1.0)
    assert measured["error_along"] == pytest.approx(1.0)
    assert measured["error_across"] == pytest.approx(0.0, abs=1e-12)
    assert measured["coefficient_norm"] == pytest.approx(6.0)
    assert measured["noise_std"] == pytest.approx(0.5)
    assert measured["log_noise_std"] == pytest.approx(math.log(0.5))
    assert measured["entropy"] == pytest.approx(tce.Gaussian(0.0, 0.5).entropy())
    # averaged over inputs, of which x (w − w0) is normal with variance |w − w0|² = 1
    z, weight = np.polynomial.hermite_e.hermegauss(20)
    shifts = [tce.Gaussian(float(shift), 0.5) for shift in z]
    for name, pairs in (
        ("kl_to_origin", [shift.kl_divergence(tce.Gaussian()) for shift in shifts]),
        ("kl_from_origin", [tce.Gaussian().kl_divergence(shift) for shift in shifts]),
    ):
        assert measured[name] == pytest.approx(np.average(pairs, weights=weight))
    assert LinearRegression([1.0], 1.0).measure("error_along", LinearRegression([0.0], 1.0)) == 0
    with pytest.raises(tce.DomainError, match="metric must be one of"):
        model.measure("std", origin)


@pytest.mark.parametrize(
    ("arguments", "options", "complaint"),
    [
        (([], 1.0), {}, "coefficients"),
        (([math.nan], 1.0), {}, "coefficients"),
        (([1.0], 0.0), {}, "noise_std"),
        (([1.0], 1.0), {"design": "fixed"}, "design must be one of 'fresh', 'shared'"),
        (([1.0, 2.0], 1.0), {"design": [[1.0, 2.0], [2.0, 4.0]]}, "rank"),
        (([1.0, 2.0], 1.0), {"design": [[1.0], [2.0]]}, "rank"),
        (([1.0], 1.0), {"fit_noise": 1}, "fit_noise"),
    ],
)
def test_parameters_that_are_refused(arguments, options, complaint):
    with pytest.raises(tce.DomainError, match=complaint):
        LinearRegression(*arguments, **options)


# ------------------------------------------------------------------------------------------------- cross entropy


@pytest.mark.parametrize("fit_noise", [True, False])
def test_cross_entropy_is_least_squares(fit_noise):
    rng = np.random.default_rng(1)
    for n, d in ((5, 2), (40, 7), (3, 2)):
        data = regression_data(rng, n, d)
        fit = tce.fit(LinearRegression(rng.standard_normal(d), 0.7, fit_noise=fit_noise), data, CE)
        expected = np.linalg.solve(data[:, :-1].T @ data[:, :-1], data[:, :-1].T @ data[:, -1])
        np.testing.assert_allclose(fit.model.coefficients, expected, rtol=1e-10, atol=1e-12)
        scatter = math.sqrt((residuals_of(fit.model, data) ** 2).mean())
        assert fit.model.noise_std == pytest.approx(scatter if fit_noise else 0.7)
        assert fit.objective == pytest.approx(-fit.model.log_density(data).mean())
        assert (fit.masked_weight, fit.vacuous) == (0, False)


def test_fits_that_do_not_exist():
    model = LinearRegression([1.0, 1.0], 1.0, fit_noise=True)
    with pytest.raises(tce.DegenerateFitError, match="rank 1"):
        tce.fit(model, [[1.0, 1.0, 0.0], [2.0, 2.0, 1.0], [3.0, 3.0, 1.0]], CE)
    with pytest.raises(tce.DegenerateFitError, match="within rounding"):
        tce.fit(model, [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [1.0, 1.0, 0.0]], CE)
    with pytest.raises(tce.DomainError, match="at least 3 points"):
        tce.fit(model, np.eye(3)[:2], CE)
    with pytest.raises(tce.DomainError, match=r"shape \(n, 3\), the label last"):
        tce.fit(model, np.ones((5, 2)), CE)
    with pytest.raises(tce.DomainError, match="Counts"):
        tce.fit(model, tce.Counts([1, 2]), CE)


# ------------------------------------------------------------------------------------------------- TCE


def assert_optimal(fit, data, loss_floor, *, fit_noise):
    """Σ w ∇CE = 0 with weights on the right sides of the floor: in a convex problem that is the global minimum."""
    above = -fit.model.log_density(data) - loss_floor
    w, r, x = fit.weights, residuals_of(fit.model, data), data[:, :-1]
    assert (above[w == 0] <= 1e-8).all()
    assert (above[w == 1] >= -1e-8).all()
    assert np.abs(above[(w > 0) & (w < 1)]).max(initial=0) <= 1e-8
    assert ((w >= 0) & (w <= 1)).all()
    slack = 1e-8 * np.abs(r[:, None] * x).sum(axis=0).max() + 1e-12
    assert np.abs((w * r) @ x).max() <= slack
    if fit_noise:
        assert abs((w * ((r / fit.model.noise_std) ** 2 - 1)).sum()) <= 1e-8 * len(r)
    assert fit.objective == pytest.approx(loss_floor + np.maximum(above, 0).mean())


@pytest.mark.parametrize("fit_noise", [True, False])
def test_absolute_fits_are_optimal(fit_noise):
    """The certificate on data of many kinds; with fitted noise the entropy identity and the wall, too."""
    rng = np.random.default_rng(2)
    kinds = {"vacuous": 0, "boundary": 0, "masked": 0, "unmasked": 0}
    for _ in range(100):
        d = int(rng.integers(1, 5))
        n = int(rng.integers(d + 1, 60))
        data = regression_data(rng, n, d, noise=rng.choice([0.05, 0.3, 1.0]), scale=rng.choice([1e-3, 1.0, 1e3]))
        if rng.random() < 0.2:
            data[:, -1] = data[:, -1].round(1)
        if rng.random() < 0.2:
            data[n // 2 :] = data[: n - n // 2]
        if np.linalg.matrix_rank(data[:, :-1]) < d:
            continue
        loss = tce.TCE(math.exp(rng.uniform(-2, 1.5)))
        model = LinearRegression(rng.standard_normal(d), rng.choice([0.1, 0.3, 1.0]), fit_noise=fit_noise)
        fit = model.fit(data, loss)
        kinds["vacuous"] += fit.vacuous
        kinds["boundary"] += fit.boundary_index.size > 0
        kinds["masked" if fit.masked_weight else "unmasked"] += 1
        assert (-fit.model.log_density(data) <= loss.floor + 1e-8).all() == fit.vacuous or fit.masked_weight == 0
        if not fit.vacuous:
            assert_optimal(fit, data, loss.floor, fit_noise=fit_noise)
        if not fit_noise:
            assert fit.model.noise_std == model.noise_std
            continue
        total = fit.weights.sum()
        if total > 0.01:
            excess = np.maximum(-fit.model.log_density(data) - loss.floor, 0).sum()
            assert fit.model.entropy() == pytest.approx(loss.floor + excess / total, abs=1e-7 * n / total)
        critical = 1 / (loss.gamma * math.sqrt(2 * math.pi))
        scatter = math.sqrt((residuals_of(LinearRegression(tce_least_squares(data), 1.0), data) ** 2).mean())
        assert fit.model.noise_std >= max(scatter, critical * math.exp(-0.5)) * (1 - 1e-9)
        assert fit.model.noise_std <= max(scatter, critical) * (1 + 1e-9)
    wanted = {"vacuous", "boundary", "masked", "unmasked"}
    assert all(kinds[kind] >= 5 for kind in wanted), kinds


def tce_least_squares(data):
    return np.linalg.lstsq(data[:, :-1], data[:, -1])[0]


@pytest.mark.parametrize("fit_noise", [True, False])
def test_absolute_fits_against_a_grid(fit_noise):
    """No model on a grid around the fit has a smaller objective, and the nearest ones are hardly worse."""
    rng, worst = np.random.default_rng(7), 0.0
    for _ in range(20):
        data, loss = regression_data(rng, int(rng.integers(2, 12)), 1), tce.TCE(math.exp(rng.uniform(-1, 1)))
        model = LinearRegression([0.0], 0.3, fit_noise=fit_noise)
        fit = model.fit(data, loss)
        w = fit.model.coefficients[0] + np.linspace(-1, 1, 401)
        std = fit.model.noise_std * (np.geomspace(0.3, 3, 201) if fit_noise else np.ones(1))
        z = (data[:, 1] - w[:, None, None] * data[:, 0]) / std[:, None]
        objective = np.maximum(z**2 / 2 + np.log(std * math.sqrt(2 * math.pi))[:, None], loss.floor).mean(axis=-1)
        assert objective.min() >= fit.objective - 1e-9
        worst = max(worst, objective.min() - fit.objective)
    assert worst < 1e-3


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize("mask", ["current", "previous"])
def test_a_constant_input_is_the_gaussian_family(scale, mask):
    """The coefficient of a constant input is a mean."""
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 10, 40):
        for gamma in (0.3, 0.8, 0.95) if scale == "absolute" else (0.7, 0.95):
            loss = tce.TCE(gamma, scale, mask=mask)
            if n < 2 and (scale, mask) != ("absolute", "current"):
                continue
            y = 0.5 * rng.standard_normal(n) + 3
            gaussian = tce.Gaussian(2.9, 0.4).fit(y, loss)
            fit = LinearRegression([2.9], 0.4, fit_noise=True).fit(np.column_stack([np.ones(n), y]), loss)
            assert fit.model.noise_std == pytest.approx(gaussian.model.std, rel=1e-8)
            assert fit.model.coefficients[0] == pytest.approx(gaussian.model.mean, abs=1e-8)
            assert fit.objective == pytest.approx(gaussian.objective, abs=1e-8)
            assert fit.masked_weight == pytest.approx(gaussian.masked_weight, abs=1e-6)
            assert fit.vacuous == gaussian.vacuous


def test_known_noise():
    """A relative threshold is an absolute one times the peak density; from the peak on nothing is masked."""
    rng = np.random.default_rng(4)
    data, model = regression_data(rng, 30, 2), LinearRegression([0.0, 0.0], 0.3)
    peak = 1 / (0.3 * math.sqrt(2 * math.pi))
    relative = model.fit(data, tce.TCE(0.8, "relative"))
    absolute = model.fit(data, tce.TCE(0.8 * peak))
    np.testing.assert_allclose(relative.model.coefficients, absolute.model.coefficients, rtol=1e-10)
    assert relative.objective == pytest.approx(absolute.objective)
    assert 0 < relative.masked_weight < 30
    unmasked = model.fit(data, tce.TCE(1.01 * peak))
    assert unmasked.masked_weight == 0
    np.testing.assert_array_equal(unmasked.model.coefficients, model.fit(data, CE).model.coefficients)


def test_vacuous_fits():
    """The least largest residual; two points and one coefficient by hand."""
    data = [[1.0, 0.0], [1.0, 1.0]]
    with pytest.warns(tce.StatisticalWarning, match="chosen by convention"):
        fit = tce.fit(LinearRegression([0.0], 1.0), data, tce.TCE(0.1))
    assert (fit.vacuous, fit.masked_weight) == (True, 2)
    assert fit.model.coefficients[0] == pytest.approx(0.5)
    with pytest.warns(tce.StatisticalWarning):
        exact = tce.fit(LinearRegression([0.0], 1.0, fit_noise=True), data[:1], tce.TCE(0.1))
    assert exact.model.noise_std == pytest.approx(10 / math.sqrt(2 * math.pi))


@pytest.mark.parametrize("scale", ["absolute", "relative"])
@pytest.mark.parametrize("fit_noise", [True, False])
def test_previous_mask(scale, fit_noise):
    rng = np.random.default_rng(5)
    model, loss = LinearRegression([1.0, 2.0], 0.5, fit_noise=fit_noise), tce.TCE(0.7, scale, mask="previous")
    data = model.sample(40, rng)
    p = np.exp(model.log_density(data)) * (1 if scale == "absolute" else 0.5 * math.sqrt(2 * math.pi))
    fit, kept = model.fit(data, loss), model.fit(data[p <= 0.7], CE)
    np.testing.assert_array_equal(fit.weights, p <= 0.7)
    np.testing.assert_allclose(fit.model.coefficients, kept.model.coefficients)
    assert fit.model.noise_std == pytest.approx(kept.model.noise_std)
    # too few are left: the model is kept
    data[:, -1] = data[:, :-1] @ model.coefficients
    data[0, -1] += 10
    fit = model.fit(data, loss)
    assert fit.vacuous
    assert fit.model.noise_std == model.noise_std
    np.testing.assert_array_equal(fit.model.coefficients, model.coefficients)


def test_what_is_refused():
    known, fitted = LinearRegression([1.0], 1.0), LinearRegression([1.0], 1.0, fit_noise=True)
    for model, loss, complaint in (
        (known, tce.FocalLoss(), "for probabilities"),
        (known, tce.SmoothTruncatedCrossEntropy(0.9, 0.1), "for probabilities"),
        (known, tce.TCE(0.3, vacuous="max-entropy"), "never a choice among minimisers"),
        (fitted, tce.TCE(0.3, vacuous="warm"), "only the fit of largest entropy"),
        (fitted, tce.TCE(0.3, mask="previous", vacuous="max-entropy"), "never a choice"),
    ):
        with pytest.raises(tce.UnsupportedCombinationError, match=complaint):
            model.check(loss, tce.Replace())
    with pytest.raises(tce.DomainError, match=r"0\.606531"):
        fitted.check(tce.TCE(0.5, "relative"), tce.Replace())
    known.check(tce.TCE(0.5, "relative"), tce.Replace())  # with known noise there is an objective
    with pytest.raises(tce.UnsupportedCombinationError, match="VarianceScaling"):
        known.check(CE, tce.Replace(), tce.TopK(1))


# ------------------------------------------------------------------------------------------------- the recursion


def run(model, loss=CE, **options):
    settings = {"n_samples": 12, "generations": 4, "replicates": 3, "seed": 1} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(model, loss, **settings)


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("design", ["fresh", "shared", "given"])
def test_every_regime_runs(design, regime):
    given = np.random.default_rng(6).standard_normal((12, 2)) if design == "given" else design
    for loss, fit_noise, sampler in (
        (CE, True, "auto"),
        (CE, False, "points"),
        (tce.TCE(0.9), True, "auto"),
        (tce.TCE(0.9, mask="previous"), False, "auto"),
    ):
        model = LinearRegression([1.0, -2.0], 0.5, design=given, fit_noise=fit_noise)
        options = {
            "regime": regime,
            "sampler": sampler,
            "metrics": model.metric_names,
            "decoding": tce.VarianceScaling(0.9),
        }
        one = run(model, loss, **options)
        for name, values in one.metrics.items():
            assert np.isfinite(values[:, 1:] if name == "masked_weight" else values).all()
        assert one.metrics["excess_error"][:, 0].tolist() == [0, 0, 0]
    again = run(model, loss, n_jobs=2, **options)
    np.testing.assert_array_equal(one.metrics["excess_error"], again.metrics["excess_error"])


def test_functions_of_a_model_agree_with_the_metrics():
    model = LinearRegression([1.0, -2.0], 0.5, fit_noise=True)
    functions = {
        name: lambda m, name=name: m.measure(name, model) for name in model.metric_names if "masked" not in name
    }
    renamed = {f"{name}_again": function for name, function in functions.items()}
    for regime in (tce.Replace(), tce.Accumulate()):
        built_in, own = run(model, metrics=list(functions), regime=regime), run(model, metrics=renamed, regime=regime)
        for name in functions:
            np.testing.assert_allclose(built_in.metrics[name], own.metrics[f"{name}_again"], rtol=1e-9, atol=1e-12)


def test_a_shared_design_has_one_size():
    shared = LinearRegression([1.0], 1.0, design="shared")
    with pytest.raises(tce.DomainError, match="n_samples must be 10 for all generations"):
        run(shared, n_samples=[10, 10, 12, 10])
    with pytest.raises(tce.DomainError, match="n_samples must be 3 for all"):
        run(LinearRegression([1.0], 1.0, design=[[1.0], [2.0], [0.5]]))
    with pytest.raises(tce.DomainError, match="n_samples must be at least 3 for 2 coefficients"):
        run(LinearRegression([1.0, 1.0], 1.0, fit_noise=True), n_samples=2)


def test_fitted_noise_may_vanish_and_known_noise_stays():
    fitted = run(LinearRegression([1.0, 1.0], 1.0, fit_noise=True), n_samples=3, generations=1500,
                 metrics=["log_noise_std", "noise_std", "excess_error"])  # fmt: skip
    assert (fitted.metrics["log_noise_std"][:, -1] < -800).all()
    assert (fitted.metrics["noise_std"][:, -1] == 0).all()
    assert (fitted.events["underflow"] > 0).all()
    known = run(LinearRegression([1.0, 1.0], 1.0), metrics=["noise_std", "entropy"])
    assert (known.metrics["noise_std"] == 1).all()
    assert "underflow" not in known.events


def test_memory_of_kept_data_does_not_grow():
    """10^6 points a generation, all kept: in law that is a triangular matrix."""
    result = run(LinearRegression(np.ones(5), 1.0), n_samples=10**6, generations=50, regime=tce.Accumulate())
    assert (result.metrics["excess_error"][:, -1] < 1e-4).all()
