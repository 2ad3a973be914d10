"""Fits of mixtures: EM against scikit-learn, and the hinge form against certificates that need no other solver.

The hinge form of a mixture is not convex, so that a fit is held against two things. Descent: the objective, evaluated
here, never rises from step to step. Stationarity: with the returned weights, the least value over all mixtures of the
surrogate, sum of w_i Q_i + (1 − w_i) g with Q_i that of EM at the fit, is a lower bound of what a step can reach; it is
computed here anew, and is within `tol` of the objective.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.mixture import GaussianMixture

CE = tce.CrossEntropy()
LOG_2PI = math.log(2 * math.pi)


def random_problem(rng, *, ties=False):
    """A start, points that are not quite from it, and a threshold anywhere between masking nothing and everything."""
    d, size = int(rng.choice([1, 1, 2, 2, 3])), int(rng.integers(1, 5))
    n = int(rng.choice([60, 150, 400]))
    scale = 10.0 ** rng.uniform(-6, 6) if rng.random() < 0.3 else 1.0
    offset = scale * rng.normal(0, 1000) if rng.random() < 0.2 else 0.0
    root = rng.normal(0, 1, (size, d, d))
    covs = scale**2 * (root @ root.transpose(0, 2, 1) + 0.1 * np.eye(d))
    means = scale * rng.normal(0, 2, (size, d)) + offset
    weights = rng.dirichlet(np.full(size, 3.0))
    settings = {"tol": 10.0 ** rng.uniform(-9, -4), "max_iter": 2000}

    def mixture(means):
        if d == 1:
            return GaussianMixture(weights, means[:, 0], covs[:, 0, 0], **settings)
        return GaussianMixture(weights, means, covs, **settings)

    points = mixture(means).sample(n, rng)
    if ties:
        points = np.round((points - offset) / scale * 2) / 2 * scale + offset
    start = mixture(means + scale * rng.normal(0, 0.5, means.shape))
    level = np.quantile(start.log_density(points), rng.random())
    return start, points, float(np.exp(level))


def parts(model, points):
    """Data as (n, d), and the model's means and covariances with these dimensions."""
    x = np.asarray(points).reshape(len(points), -1)
    size, d = model.weights.size, x.shape[1]
    return x, model.means.reshape(size, d), model.covs.reshape(size, d, d)


def shares_and_spread(model, points):
    share = model.responsibilities(points)
    return share, (share * np.log(np.where(share > 0, share, 1))).sum(axis=1)


def lower_bound(model, points, weights, floor):
    """Least mean of w Q + (1 − w) g, attained by EM with weighted points, from its definition."""
    x, _, _ = parts(model, points)
    share, spread = shares_and_spread(model, points)
    weighted = weights[:, None] * share
    total = float(weights @ spread + (1 - weights).sum() * floor)
    for column in weighted.T:
        count = column.sum()
        if count == 0:
            continue
        centre = column @ x / count
        cov = (column[:, None] * (x - centre)).T @ (x - centre) / count
        entropy = 0.5 * x.shape[1] * (LOG_2PI + 1) + 0.5 * np.linalg.slogdet(cov)[1]
        total += count * (entropy - math.log(count / weights.sum()))
    return total / len(x)


def hinge(model, points, gamma):
    return float(np.maximum(-model.log_density(points), -math.log(gamma)).mean())


def descends(history, removed_at=()):
    """Whether the objective never rises by more than rounding; a removal may raise it."""
    rises = np.delete(np.diff(history), [step - 1 for step in removed_at if step > 0])
    return rises.size == 0 or rises.max() <= 1e-12 * (1 + np.abs(history).max())


# ------------------------------------------------------------------------------------------------ cross entropy


# scikit-learn 1.9.1, NumPy 2.4.6: GaussianMixture(2, tol=1e-8, max_iter=1000, reg_covar=0) on `reference`
REFERENCE = {
    "n_iter": 37,
    "weights": [0.577068318645, 0.422931681355],
    "means": [[-0.909010891786, -0.067745709663], [1.349054337427, 1.109520755525]],
    "covs": [
        [[0.887857909095, -0.049374676014], [-0.049374676014, 0.184045738268]],
        [[0.35499177464, 0.015116486286], [0.015116486286, 0.610762475351]],
    ],
}


def reference(**settings):
    """Data of seed 11, and the start of the reference."""
    rng = np.random.default_rng(11)
    points = [rng.normal([-1, 0], [1, 0.5], (60, 2)), rng.normal([1.5, 1], [0.6, 1], (40, 2))]
    start = GaussianMixture([0.5, 0.5], [[-1, 0], [1, 1]], [np.eye(2), np.eye(2)], **settings)
    return start, np.concatenate(points)


def test_em_is_that_of_scikit_learn_as_recorded():
    start, points = reference(tol=1e-8)
    fit = start.fit(points, CE)
    assert fit.n_iter == REFERENCE["n_iter"]
    for name in ("weights", "means", "covs"):
        np.testing.assert_allclose(getattr(fit.model, name), REFERENCE[name], atol=1e-9)


def test_em_is_that_of_scikit_learn():
    from sklearn.mixture import GaussianMixture as Oracle  # here, because its import takes seconds

    rng = np.random.default_rng(1)
    for _ in range(12):
        start, points, _ = random_problem(rng)
        x, means, covs = parts(start, points)
        other = Oracle(
            start.weights.size, tol=start.tol, max_iter=start.max_iter, reg_covar=0.0, weights_init=start.weights,
            means_init=means, precisions_init=np.linalg.inv(covs),
        ).fit(x)  # fmt: skip
        fit = start.fit(points, CE)
        _, fitted_means, fitted_covs = parts(fit.model, points)
        scale = np.sqrt(covs.max())
        assert fit.n_iter == other.n_iter_
        np.testing.assert_allclose(fit.model.weights, other.weights_, atol=1e-6)
        np.testing.assert_allclose(fitted_means, other.means_, atol=1e-6 * scale)
        np.testing.assert_allclose(fitted_covs, other.covariances_, atol=1e-6 * scale**2)


def test_em_descends_on_every_step():
    rng = np.random.default_rng(2)
    for _ in range(60):
        start, points, _ = random_problem(rng)
        fit = start._fitted(points, CE, remove=True)
        assert descends(fit.history, fit.removed_at)
        assert fit.history[0] == pytest.approx(-start.log_density(points).mean(), rel=1e-12)
        assert fit.objective == pytest.approx(-fit.model.log_density(points).mean(), rel=1e-12)
        assert fit.converged == (fit.history[-3] - fit.history[-2] < start.tol if fit.n_iter > 1 else False)
        assert fit.masked_weight == 0


def test_one_component_is_the_gaussian_fit():
    rng = np.random.default_rng(3)
    for _ in range(20):
        points = 10.0 ** rng.uniform(-5, 5) * (rng.normal(0, 1, 50) + rng.normal(0, 100))
        gaussian = tce.Gaussian().fit(points, CE).model
        start = GaussianMixture([1.0], [gaussian.mean + gaussian.std], [4 * gaussian.std**2])
        fit = start.fit(points, CE).model
        assert fit.means[0] == pytest.approx(gaussian.mean, rel=1e-13)
        assert math.sqrt(fit.covs[0]) == pytest.approx(gaussian.std, rel=1e-11)


def test_one_component_in_space_has_the_moments_of_the_sample():
    points = np.random.default_rng(12).normal(0, 1, (40, 3)) @ np.array([[1, 0, 0], [2, 1, 0], [0, 1, 0.1]]) + 50
    fit = GaussianMixture([1.0], [[40, 50, 60]], [4 * np.eye(3)]).fit(points, CE).model
    np.testing.assert_allclose(fit.means[0], points.mean(axis=0), rtol=1e-13)
    np.testing.assert_allclose(fit.covs[0], np.cov(points.T, bias=True), rtol=1e-9)


def test_fits_are_deterministic():
    start, points = reference(start="k-means++")
    first, again = start.fit(points, CE), start.fit(points, CE)
    np.testing.assert_array_equal(first.model.covs, again.model.covs)
    assert first.objective == again.objective


def test_k_means_forgets_the_start():
    _, points = reference()
    ends = [
        GaussianMixture([0.9, 0.1], means, [np.eye(2)] * 2, start="k-means++").fit(points, CE)
        for means in ([[0, 0], [1, 1]], [[50, 0], [90, 1]])
    ]
    np.testing.assert_array_equal(ends[0].model.means, ends[1].model.means)
    assert descends(ends[0].history)


def test_a_floor_is_kept_and_descended():
    rng = np.random.default_rng(4)
    for _ in range(20):
        start, points, _ = random_problem(rng)
        _, _, covs = parts(start, points)
        least = float(np.median(np.linalg.eigvalsh(covs)))
        floored = GaussianMixture(start.weights, start.means, start.covs, variance_floor=least, max_iter=200)
        fit = floored.fit(points, CE)
        assert np.linalg.eigvalsh(parts(fit.model, points)[2]).min() >= least * (1 - 1e-9)
        assert descends(fit.history)


# ------------------------------------------------------------------------------------------------ previous mask


@pytest.mark.parametrize("scale", ["absolute", "relative"])
def test_previous_mask_is_em_on_the_kept_points(scale):
    rng = np.random.default_rng(5)
    for _ in range(25):
        start, points, gamma = random_problem(rng)
        density = start.log_density(points)
        top = start.modes()[1][0] if scale == "relative" else 0.0
        gamma = min(gamma / math.exp(top), 1.0)
        loss = tce.TCE(gamma, scale, mask="previous")
        kept = density <= math.log(gamma) + top
        if kept.sum() < 30:
            continue
        try:
            fit, plain = start.fit(points, loss), start.fit(points[kept], CE)
        except tce.DegenerateFitError:
            continue
        np.testing.assert_array_equal(fit.weights, kept)
        np.testing.assert_array_equal(fit.model.covs, plain.model.covs)
        assert descends(fit.history, fit.removed_at)
        assert fit.masked_weight == (~kept).sum()
        assert fit.objective == pytest.approx(plain.objective * kept.mean(), rel=1e-9)


def test_previous_model_is_kept_where_all_is_masked():
    start, points = reference()
    for loss in (tce.TCE(1e-30, mask="previous"), tce.TCE(1e-30, "relative", mask="previous")):
        fit = start.fit(points, loss)
        assert fit.vacuous
        assert fit.model is start
        assert fit.masked_weight == 100


# ------------------------------------------------------------------------------------------------ current mask


def check_hinge(start, points, gamma):
    """Assert descent and the certificate; return the fit."""
    fit = start.fit(points, tce.TCE(gamma))
    floor = -math.log(gamma)
    assert fit.history[0] == pytest.approx(hinge(start, points, gamma), rel=1e-11)
    assert fit.objective == pytest.approx(hinge(fit.model, points, gamma), rel=1e-12)
    assert descends(fit.history, fit.removed_at)
    assert fit.objective >= floor - 1e-12 * abs(floor)
    assert ((fit.weights >= 0) & (fit.weights <= 1)).all()
    if fit.converged:
        gap = fit.objective - lower_bound(fit.model, points, fit.weights, floor)
        assert -1e-9 <= gap <= 1.001 * start.tol + 1e-11
    return fit


def test_hinge_descends_and_ends_with_a_certificate():
    rng = np.random.default_rng(6)
    fits = []
    for _ in range(150):
        try:
            fits.append(check_hinge(*random_problem(rng)))
        except tce.DegenerateFitError:  # a component that contracts upon few points
            continue
    assert len(fits) >= 140
    assert np.mean([fit.converged for fit in fits]) >= 0.97
    masked = np.array([fit.masked_weight / fit.weights.size for fit in fits])
    assert (masked > 0.1).mean() > 0.5  # the mask is at work
    assert np.mean([fit.boundary_index.size > 0 for fit in fits]) > 0.5


def test_hinge_with_ties_descends():
    rng = np.random.default_rng(7)
    for _ in range(40):
        try:
            check_hinge(*random_problem(rng, ties=True))
        except tce.DegenerateFitError:
            continue


def test_each_step_lowers_by_half_of_what_was_possible():
    # hence the least bound of T steps is at most 2 (L_0 − g)/T
    rng = np.random.default_rng(8)
    for _ in range(30):
        start, points, gamma = random_problem(rng)
        try:
            fit = start.fit(points, tce.TCE(gamma))
        except tce.DegenerateFitError:
            continue
        if fit.converged and fit.n_iter and not fit.removed_at:
            first = GaussianMixture(start.weights, start.means, start.covs, tol=start.tol, max_iter=1)
            one = first.fit(points, tce.TCE(gamma))
            assert one.history[0] - one.history[1] >= 0.5 * one.bound * (1 - 1e-6)
            assert fit.bound <= 2 * (fit.history[0] + math.log(gamma)) / fit.n_iter + start.tol


def test_em_on_the_unmasked_points_is_no_descent():
    # the negative control of all this: the plain way rises on many problems
    rng = np.random.default_rng(9)
    rises = 0
    for _ in range(40):
        start, points, gamma = random_problem(rng)
        unmasked = -start.log_density(points) >= -math.log(gamma)
        if unmasked.sum() < 20:
            continue
        plain = GaussianMixture(start.weights, start.means, start.covs, max_iter=1)
        try:
            step = plain.fit(points[unmasked], CE).model
        except tce.DegenerateFitError:
            continue
        rises += hinge(step, points, gamma) > hinge(start, points, gamma) + 1e-9
    assert rises >= 3


def test_no_mask_is_cross_entropy():
    start, points = reference(tol=1e-10)
    plain, masked = start.fit(points, CE), start.fit(points, tce.TCE(1e6))
    np.testing.assert_allclose(masked.model.covs, plain.model.covs, atol=1e-4)
    assert masked.masked_weight == 0
    assert masked.objective == pytest.approx(plain.objective, abs=1e-8)


def test_one_component_is_the_gaussian_fit_under_a_mask():
    rng = np.random.default_rng(10)
    for _ in range(40):
        points = rng.normal(0, 1, int(rng.integers(10, 200))) ** int(rng.choice([1, 3]))
        gamma = 1 / (points.std() * math.exp(rng.uniform(0, 0.8)) * math.sqrt(2 * math.pi))
        exact = tce.Gaussian().fit(points, tce.TCE(gamma))
        fit = GaussianMixture([1.0], [0.3], [2.0], tol=1e-12).fit(points, tce.TCE(gamma))
        assert fit.objective <= exact.objective + 1e-10
        if not exact.vacuous and exact.masked_weight < points.size - 3:
            assert fit.model.means[0] == pytest.approx(exact.model.mean, abs=1e-3)
            assert math.sqrt(fit.model.covs[0]) == pytest.approx(exact.model.std, rel=1e-3)
            assert fit.masked_weight == pytest.approx(exact.masked_weight, abs=0.05)


@pytest.mark.parametrize("d", [2, 3])
def test_one_component_is_the_multivariate_gaussian(d):
    cov = 1.3 * np.eye(d) + 0.2
    many = tce.MultivariateGaussian(np.zeros(d), cov)
    one = GaussianMixture([1.0], np.zeros((1, d)), [cov], tol=1e-12)
    points, peak = many.sample(150, seed=1), math.exp(float(many.log_density(np.zeros((1, d)))[0]))
    for loss in (
        CE, tce.TCE(0.5 * peak), tce.TCE(0.9 * peak), tce.TCE(0.5 * peak, mask="previous"),
        tce.TCE(0.6, "relative", mask="previous"),
    ):  # fmt: skip
        exact, fit = many.fit(points, loss), one.fit(points, loss)
        np.testing.assert_allclose(fit.model.means[0], exact.model.mean, atol=1e-7)
        np.testing.assert_allclose(fit.model.covs[0], exact.model.cov, atol=1e-7)
        assert fit.objective == pytest.approx(exact.objective, abs=1e-10)
        assert fit.masked_weight == pytest.approx(exact.masked_weight, abs=1e-4)
    assert many.entropy() == pytest.approx(one.entropy(), abs=1e-12)


def joint_entropy(model, points):
    """Entropy of component and point together."""
    _, _, covs = parts(model, points)
    live = model.weights > 0
    weights, d = model.weights[live], covs.shape[1]
    inside = 0.5 * d * (LOG_2PI + 1) + 0.5 * np.linalg.slogdet(covs[live])[1]
    return float(weights @ (inside - np.log(weights)))


def test_entropy_identity_holds_for_component_and_point_together():
    # mixtures lack the direction of temperature, but the pairs of component and point are an exponential family:
    # their entropy is the weighted mean of −log p plus that of the entropy of the responsibilities
    rng = np.random.default_rng(11)
    without = []
    for _ in range(50):
        start, points, gamma = random_problem(rng)
        start = GaussianMixture(start.weights, start.means, start.covs, tol=1e-9, max_iter=5000)
        try:
            fit = start.fit(points, tce.TCE(gamma))
        except tce.DegenerateFitError:
            continue
        total, floor = fit.weights.sum(), -math.log(gamma)
        if not fit.converged or total < 20:
            continue
        above = np.maximum(-fit.model.log_density(points) - floor, 0).sum()
        _, spread = shares_and_spread(fit.model, points)
        right = floor + above / total - fit.weights @ spread / total
        assert joint_entropy(fit.model, points) == pytest.approx(right, abs=2e-3)
        assert joint_entropy(fit.model, points) >= floor - 2e-3
        without.append(joint_entropy(fit.model, points) - floor - above / total)
    assert len(without) >= 20
    assert max(without) > 0.05  # the control: the identity is not that of one component


def test_vacuous_fits_stay_where_they_are():
    start, points = reference()
    fit = start.fit(points, tce.TCE(1e-12))
    assert fit.vacuous
    assert fit.n_iter == 0
    assert fit.converged
    assert fit.masked_weight == 100
    np.testing.assert_array_equal(fit.model.means, start.means)
    with pytest.warns(tce.StatisticalWarning, match="convention"):
        tce.fit(start, points, tce.TCE(1e-12))
