"""The mixture family: parameters, densities, modes, metrics, and what is refused."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import integrate, stats

import tce_theory as tce
from tce_theory.kernels import mixture as kernel
from tce_theory.models.mixture import GaussianMixture

CE = tce.CrossEntropy()


@pytest.fixture(scope="module")
def moons():
    return GaussianMixture.two_moons()


def random_mixture(rng, size, d, **settings):
    root = rng.normal(0, 1, (size, d, d))
    covs = root @ root.transpose(0, 2, 1) + 0.2 * np.eye(d)
    return GaussianMixture(rng.dirichlet(np.full(size, 4.0)), rng.normal(0, 3, (size, d)), covs, **settings)


# ---------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("arguments", "argument"),
    [
        (([0.5, 0.6], [0, 1], [1, 1]), "weights"),
        (([0.5, 0.5], [0, 1, 2], [1, 1, 1]), "means"),
        (([0.5, 0.5], [0, 1], [1]), "covs"),
        (([0.5, 0.5], [0, 1], [1, -1]), "covs"),
        (([1.0], [[0, 0]], [[[1, 2], [2, 1]]]), "covs"),
        (([1.0], [[0, 0]], [[[1, 0.5], [0, 1]]]), "covs"),
        (([1.0], [[0, 0]], [[1, 1]]), "covs"),
        (([1.0], [math.nan], [1]), "means"),
    ],
)
def test_parameters_are_checked(arguments, argument):
    with pytest.raises(tce.DomainError) as error:
        GaussianMixture(*arguments)
    assert error.value.argument == argument


@pytest.mark.parametrize(
    ("settings", "argument"),
    [
        ({"tol": 0}, "tol"),
        ({"max_iter": 0}, "max_iter"),
        ({"start": "random"}, "start"),
        ({"variance_floor": -1}, "variance_floor"),
    ],
)
def test_settings_are_checked(settings, argument):
    with pytest.raises(tce.DomainError) as error:
        GaussianMixture([1.0], [0.0], [1.0], **settings)
    assert error.value.argument == argument


def test_arrays_are_copies_that_cannot_be_written():
    means = np.array([0.0, 1.0])
    model = GaussianMixture([0.5, 0.5], means, [1.0, 1.0])
    means[0] = 9
    assert model.means[0] == 0
    with pytest.raises(ValueError, match="read-only"):
        model.means[0] = 1


def test_two_moons_names_what_is_odd():
    with pytest.raises(tce.DomainError, match="even"):
        GaussianMixture.two_moons(3)


def test_describe_is_json(moons):
    described = moons.describe()
    assert described["name"] == "GaussianMixture"
    assert described["start"] == "warm"
    assert len(described["weights"]) == 8


# ---------------------------------------------------------------------------------------------------- the law


def test_density_is_that_of_scipy():
    rng = np.random.default_rng(1)
    for d, n in [(2, 1), (2, 63), (3, 64), (5, 65), (2, 1000)]:
        model = random_mixture(rng, 4, d)
        x = rng.normal(0, 5, (n, d))
        parts = zip(model.weights, model.means, model.covs, strict=True)
        each = np.array([w * stats.multivariate_normal(m, c).pdf(x).reshape(n) for w, m, c in parts])
        np.testing.assert_allclose(np.exp(model.log_density(x)), each.sum(axis=0), rtol=1e-11)
        np.testing.assert_allclose(model.responsibilities(x), (each / each.sum(axis=0)).T, atol=1e-11)


def test_density_far_away_is_finite():
    model = GaussianMixture([0.5, 0.5], [-1.0, 1.0], [1.0, 1.0])
    assert model.log_density([1e10])[0] == pytest.approx(-0.5e20, rel=1e-9)


def test_sample_moments():
    model = random_mixture(np.random.default_rng(2), 3, 2)
    x = model.sample(400_000, seed=3)
    mean = model.weights @ model.means
    spread = np.einsum("k,kab->ab", model.weights, model.covs)
    cov = spread + (model.weights[:, None] * (model.means - mean)).T @ (model.means - mean)
    np.testing.assert_allclose(x.mean(axis=0), mean, atol=5 * math.sqrt(cov.max() / len(x)))
    np.testing.assert_allclose(np.cov(x.T), cov, atol=0.02 * cov.max())


def test_a_lost_component_is_never_drawn():
    model = GaussianMixture([0.0, 1.0, 0.0], [-9.0, 0.0, 9.0], [1.0, 1.0, 1.0])
    assert np.abs(model.sample(1000, seed=1)).max() < 6
    assert (model.responsibilities(np.linspace(-9, 9, 5))[:, [0, 2]] == 0).all()
    assert model.measure("live_components", model) == 1


def test_decoding_scales_every_covariance(moons):
    np.testing.assert_allclose(moons.decoded(tce.VarianceScaling(0.25)).covs, 0.25 * moons.covs)
    assert moons.decoded(None) is moons


# ---------------------------------------------------------------------------------------------------- metrics


def test_modes_of_two_normals():
    # of two with one variance there are two modes if their means are further apart than twice the deviation
    for distance, count in [(1.9, 1), (2.1, 2), (6.0, 2)]:
        points, heights = GaussianMixture([0.5, 0.5], [0.0, distance], [1.0, 1.0]).modes()
        assert len(points) == count
        assert (np.diff(heights) <= 0).all()


def test_modes_are_maxima():
    rng = np.random.default_rng(4)
    for _ in range(20):
        model = random_mixture(rng, 5, 2)
        points, heights = model.modes()
        around = points[:, None, :] + 1e-3 * rng.normal(size=(len(points), 50, 2))
        assert (model.log_density(around.reshape(-1, 2)).reshape(len(points), 50) <= heights[:, None] + 1e-10).all()


def test_a_mode_where_long_components_cross_is_found():
    """Three components, four modes; control: from the means alone there are three."""
    cross = GaussianMixture(
        [0.4, 0.4, 0.2], [[0.0, 2.0], [2.0, 0.0], [9.0, 9.0]],
        [np.diag([0.05, 4.0]), np.diag([4.0, 0.05]), 0.1 * np.eye(2)],
    )  # fmt: skip
    points, _ = cross.modes()
    assert any(np.allclose(point, [0, 0], atol=0.1) for point in points)
    axis = np.linspace(-1, 1, 81)
    grid = np.stack(np.meshgrid(axis, axis), axis=-1).reshape(-1, 2)
    best = grid[np.argmax(cross.log_density(grid))]
    np.testing.assert_allclose(best, 0, atol=0.1)


def test_kl_comes_with_an_honest_error():
    """Against quadrature on the line, in units of the standard error; control: a twentieth of that error."""
    rng, x, scores = np.random.default_rng(8), np.linspace(-60, 60, 12_001), []
    for _ in range(60):
        p, q = random_mixture(rng, 3, 1), random_mixture(rng, 3, 1)
        log_p, log_q = p.log_density(x), q.log_density(x)
        value, error = p.kl_divergence(q)
        scores.append((value - np.trapezoid(np.exp(log_p) * (log_p - log_q), x)) / error)
    assert np.abs(scores).max() < 4
    assert 0.6 < np.std(scores) < 1.5
    assert np.abs(20 * np.array(scores)).max() > 4


def test_sliced_w2_against_distribution_functions():
    """Quantiles of the projections, to 5 % (512 points stand for a component); control: 10 % off."""
    rng, x, u = np.random.default_rng(9), np.linspace(-40, 40, 8001), (np.arange(4000) + 0.5) / 4000
    for _ in range(5):
        pair, squares = [random_mixture(rng, 3, 2) for _ in range(2)], []
        for angle in math.pi * np.arange(16) / 16:
            direction = np.array([math.cos(angle), math.sin(angle)])
            quantiles = []
            for model in pair:
                spread = np.sqrt(np.einsum("a,kab,b->k", direction, model.covs, direction))
                below = stats.norm.cdf((x[:, None] - model.means @ direction) / spread) @ model.weights
                quantiles.append(np.interp(u, below, x))
            squares.append(((quantiles[0] - quantiles[1]) ** 2).mean())
        right = math.sqrt(np.mean(squares))
        assert pair[0].sliced_w2(pair[1]) == pytest.approx(right, rel=0.05)
        assert pair[0].sliced_w2(pair[1]) != pytest.approx(1.1 * right, rel=0.05)


def test_modes_merge_along_the_moons():
    assert [len(GaussianMixture.two_moons(std=std).modes()[0]) for std in (0.2, 0.35)] == [8, 8]
    assert len(GaussianMixture.two_moons(std=0.6).modes()[0]) < 8


def test_entropy_of_one_component_is_exact():
    cov = np.array([[2.0, 0.7], [0.7, 1.0]])
    model = GaussianMixture([1.0], [[3.0, -1.0]], [cov])
    assert model.entropy() == pytest.approx(stats.multivariate_normal([3, -1], cov).entropy(), abs=1e-12)


def test_entropy_and_kl_against_quadrature():
    p = GaussianMixture([0.3, 0.7], [-2.0, 1.0], [0.5, 2.0])
    q = GaussianMixture([0.6, 0.4], [-1.0, 2.0], [1.5, 1.0])
    x = np.linspace(-15, 15, 20_001)
    log_p, log_q = p.log_density(x), q.log_density(x)
    entropy = integrate.simpson(-np.exp(log_p) * log_p, x=x)
    kl = integrate.simpson(np.exp(log_p) * (log_p - log_q), x=x)
    assert p.entropy() == pytest.approx(entropy, abs=0.02)
    value, error = p.kl_divergence(q)
    assert value == pytest.approx(kl, abs=4 * error)
    assert error < 0.01
    assert p.kl_divergence(p) == (0.0, 0.0)


def test_sliced_w2_of_normals_is_the_closed_form():
    p, q = GaussianMixture([1.0], [0.0], [1.0]), GaussianMixture([1.0], [3.0], [4.0])
    assert p.sliced_w2(q) == pytest.approx(math.sqrt(10), rel=1e-3)
    # in the plane, of a shift by v, the root of the mean of (v·u)² over directions: |v|/√2
    a = GaussianMixture([1.0], [[0.0, 0.0]], [np.eye(2)])
    b = GaussianMixture([1.0], [[3.0, 4.0]], [np.eye(2)])
    assert a.sliced_w2(b) == pytest.approx(5 / math.sqrt(2), rel=1e-9)


def test_sliced_w2_does_not_see_how_a_mixture_is_written():
    p = GaussianMixture([1.0], [[0.0, 1.0]], [np.eye(2)])
    q = GaussianMixture([0.3, 0.7], [[0.0, 1.0]] * 2, [np.eye(2)] * 2)
    assert p.sliced_w2(q) == pytest.approx(0, abs=1e-6)


def test_mode_mass_error_is_the_mass_that_moved():
    apart = GaussianMixture.two_moons(std=0.1)
    moved = GaussianMixture([0.0, 0.25, *[0.125] * 6], apart.means, apart.covs)
    assert moved.measure("mode_mass_error", apart) == pytest.approx(0.125, abs=1e-3)


def test_metrics_at_the_origin(moons):
    values = {name: moons.measure(name, moons) for name in moons.metric_names if name != "masked_weight"}
    assert values["live_modes"] == values["live_components"] == 8
    assert all(values[name] == 0 for name in ("mode_mass_error", "sliced_w2", "kl_from_origin", "kl_from_origin_se"))
    with pytest.raises(tce.DomainError, match="metric"):
        moons.measure("std", moons)


def test_metrics_are_functions_of_the_model(moons):
    again, other = GaussianMixture.two_moons(), GaussianMixture.two_moons(std=0.3)
    for name in ("entropy", "sliced_w2", "kl_from_origin", "mode_mass_error"):
        assert other.measure(name, moons) == other.measure(name, again)


# ---------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    "loss",
    [
        tce.TCE(0.5, scale="relative"),
        tce.TCE(0.5, vacuous="max-entropy"),
        tce.TCE(0.5, vacuous="drawn-only"),
        tce.TCE(0.5, mask="previous", vacuous="warm"),
        tce.FocalLoss(),
    ],
)
def test_losses_that_have_no_meaning(moons, loss):
    with pytest.raises(tce.UnsupportedCombinationError, match="GaussianMixture"):
        moons.check(loss, tce.Replace())


def test_a_floor_has_no_place_under_the_current_mask():
    model = GaussianMixture([1.0], [0.0], [1.0], variance_floor=0.1)
    model.check(tce.TCE(0.5, mask="previous"), tce.Replace())
    with pytest.raises(tce.UnsupportedCombinationError, match="variance_floor"):
        model.check(tce.TCE(0.5), tce.Replace())


def test_decoding_of_classes_is_refused(moons):
    with pytest.raises(tce.UnsupportedCombinationError, match="VarianceScaling"):
        moons.check(CE, tce.Replace(), tce.Temperature(0.5))


def test_data_are_checked(moons):
    for data in (np.zeros(5), np.zeros((5, 3)), np.full((5, 2), np.nan), tce.Counts([1, 2])):
        with pytest.raises(tce.DomainError, match="data"):
            moons.fit(data, CE)
    with pytest.raises(tce.DomainError, match="at least 3"):
        moons.fit(np.zeros((2, 2)), CE)
    with pytest.raises(tce.DomainError, match="n_samples"):
        tce.simulate(moons, CE, n_samples=2, generations=1)


# ---------------------------------------------------------------------------------------------------- components lost


def test_identical_points_have_no_fit():
    model = GaussianMixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0])
    with pytest.raises(tce.DegenerateFitError, match="component"):
        model.fit(np.ones(10), CE)
    floored = GaussianMixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0], variance_floor=0.01)
    np.testing.assert_allclose(floored.fit(np.ones(10), CE).model.covs, 0.01)


def test_a_singular_component_is_an_error_outside_a_recursion_and_reported_inside():
    model = GaussianMixture([0.5, 0.5], [0.0, 5.0], [1.0, 1e-4])
    data = np.append(np.random.default_rng(1).normal(0, 1, 50), [5.0, 5.0])
    with pytest.raises(tce.DegenerateFitError, match="component 1 becomes singular"):
        model.fit(data, CE)
    fit = model._fitted(data, CE, remove=True)
    assert fit.singular == (1,)
    assert fit.model.weights.tolist() == [1, 0]
    assert fit.model.means[0] == pytest.approx(data.mean())
    assert fit.model.covs[0] == pytest.approx(data.var())
    assert fit.converged


def test_a_component_without_points_vanishes():
    model = GaussianMixture([0.5, 0.5], [0.0, 1000.0], [1.0, 1.0])
    fit = model.fit(np.random.default_rng(1).normal(0, 1, 50), CE)
    assert fit.vanished == (1,)
    assert fit.singular == ()
    assert fit.model.weights.tolist() == [1, 0]
    assert fit.model.means[1] == 1000  # as it was


def test_recursion_reports_the_first_loss():
    run = tce.simulate(
        GaussianMixture.two_moons(), CE, n_samples=60, generations=30, replicates=3, seed=1,
        metrics=["live_components", "live_modes"],
    )  # fmt: skip
    lost = np.argmax(run.metrics["live_components"] < 8, axis=1)
    first = [run.events[name] for name in ("singular", "vanished")]
    assert (lost > 0).all()
    assert (np.minimum(*(np.where(event < 0, 99, event) for event in first)) == lost).all()
    assert (np.diff(run.metrics["live_components"], axis=1) <= 0).all()


def test_recursion_survives_total_collapse():
    model = GaussianMixture([0.5, 0.5], [1.0, 3.0], [1.0, 1.0])
    run = tce.simulate(model, CE, n_samples=4, generations=300, replicates=3, seed=1, metrics=["entropy"])
    gone = run.events["underflow"]
    assert (gone > 0).all()
    for path, generation in zip(run.metrics["entropy"], gone, strict=True):
        assert np.isfinite(path).all()
        assert (path[generation:] == path[generation - 1]).all()
        assert path[-1] < -20


def test_one_point_under_a_mask():
    model = GaussianMixture([0.5, 0.5], [0.0, 1.0], [1.0, 1.0])
    for gamma in (0.1, 0.5, 3.0):
        fit = model.fit([0.3], tce.TCE(gamma))
        assert fit.vacuous
        assert fit.objective == pytest.approx(-math.log(gamma))


# ---------------------------------------------------------------------------------------------------- kernels


def test_eigenvalues_are_raised():
    rng = np.random.default_rng(5)
    for d in (1, 2, 3, 7):
        root = rng.normal(size=(d, d))
        matrix = root @ root.T
        values, vectors = np.linalg.eigh(matrix)
        least = float(np.median(values))
        raised = matrix.copy()
        kernel._raise_eigenvalues(raised, least, np.empty((d, d)))
        np.testing.assert_allclose(raised, (vectors * np.maximum(values, least)) @ vectors.T, atol=1e-12 * values.max())


def test_factor_by_rotations():
    rng = np.random.default_rng(6)
    for d in (1, 2, 4):
        factor = rng.normal(size=(d, d))
        out = np.empty((d, d))
        kernel._lower(factor.copy(), out)
        np.testing.assert_allclose(out, np.linalg.cholesky(factor @ factor.T), atol=1e-10)
