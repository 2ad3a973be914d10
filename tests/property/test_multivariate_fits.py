"""Fits of the multivariate Gaussian against brute force, and the claims about relative truncation that they rest on."""

import itertools
import math

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.kernels import multivariate as kernel
from tce_theory.models.multivariate import MultivariateGaussian

CE = tce.CrossEntropy()
STRUCTURES = ("full", "diagonal", "isotropic")


def relative(radius, **options):
    return tce.TCE(math.exp(-0.5 * radius**2), "relative", **options)


def start(d, structure="full", **options):
    return MultivariateGaussian(np.zeros(d), np.eye(d), structure=structure, **options)


def shaped(scatter, structure):
    """The part of a covariance matrix that a structure has."""
    if structure == "full":
        return scatter
    diagonal = np.diag(scatter)
    return np.diag(diagonal if structure == "diagonal" else np.full(len(diagonal), diagonal.mean()))


def moments(points, centre, structure):
    return shaped((points - centre).T @ (points - centre) / len(points), structure)


def random_points(rng, d, n):
    """Points of several shapes: normal, heavy tails, clusters, a lattice, far from 0."""
    points = rng.standard_normal((n, d))
    match int(rng.integers(5)):
        case 1:
            points /= rng.uniform(0.02, 1, (n, 1))
        case 2:
            points += 10 * rng.integers(0, 2, (n, 1))
        case 3:
            points = np.round(2 * points) + 1e-3 * points
        case 4:
            points = points @ rng.standard_normal((d, d)) + 1e4
    return points


def distances2(points, centre, cov):
    return np.einsum("ni,ni->n", (points - centre) @ np.linalg.inv(cov), points - centre)


# ------------------------------------------------------------------------------------------------- cross entropy


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(("fit_mean", "ddof"), [(True, 0), (True, 1), (False, 0)])
def test_cross_entropy(structure, fit_mean, ddof):
    rng = np.random.default_rng(1)
    for _ in range(60):
        d = int(rng.integers(1, 6))
        points = random_points(rng, d, int(rng.integers(d + 2, 40)))
        given = start(d, structure, fit_mean=fit_mean, ddof=ddof)
        fit = tce.fit(given, points, CE)
        mean = points.mean(axis=0) if fit_mean else np.zeros(d)
        cov = moments(points, mean, structure) * len(points) / (len(points) - ddof)
        np.testing.assert_allclose(fit.model.mean, mean, rtol=1e-12, atol=1e-12)
        scale = np.sqrt(np.diag(cov))
        np.testing.assert_allclose(fit.model.cov / scale / scale[:, None], cov / scale / scale[:, None], atol=1e-9)
        assert (fit.model.structure, fit.model.fit_mean, fit.model.ddof) == (structure, fit_mean, ddof)
        if ddof == 0:  # no parameter does better, and the entropy identity: H is the mean cross entropy
            assert fit.objective == pytest.approx(fit.model.entropy(), rel=1e-9, abs=1e-9)
            for _ in range(3):
                root = fit.model._factor * np.exp(0.1 * rng.standard_normal())
                other = given._with(mean + 0.1 * fit_mean * root @ rng.standard_normal(d), root)
                assert -other.log_density(points).mean() >= fit.objective - 1e-9


def test_singular_fits_are_refused():
    rng = np.random.default_rng(2)
    flat = rng.standard_normal((20, 2)) @ rng.standard_normal((2, 3)) + 5
    for points in (flat, np.ones((5, 3)), rng.standard_normal((20, 3)) * [1, 1, 0]):
        with pytest.raises(tce.DegenerateFitError):
            tce.fit(start(3), points, CE)
    assert tce.fit(start(3, "diagonal"), flat, CE).model.entropy() > -10
    for data, message in (
        (np.zeros(3), "data must be an array of finite numbers with 2 dimensions"),
        (np.zeros((9, 2)), "data must be points in 3 dimensions, got '2 columns'"),
        (np.zeros((3, 3)), "data must be at least 4 points for 3 dimensions and the mean"),
        (tce.Counts([1, 2]), "data must be an array of points"),
    ):
        with pytest.raises(tce.DomainError, match=message):
            tce.fit(start(3), data, CE)


@pytest.mark.parametrize("scale", [2.0**-480, 1.0, 2.0**440])
def test_scales_and_offsets_do_not_cost_digits(scale):
    """Points far from 0, of any scale, with axes 10^12 apart: the factor has all digits, its inverse too."""
    rng = np.random.default_rng(3)
    unit = rng.integers(-50, 50, (30, 3)).astype(float)
    points = unit * np.array([1.0, 2.0**40, 2.0**-10]) * scale
    fit, of_unit = (MultivariateGaussian.from_samples(data) for data in (points, unit))
    np.testing.assert_allclose(
        fit._factor / (np.array([[1.0], [2.0**40], [2.0**-10]]) * scale), of_unit._factor, rtol=1e-13
    )
    far = MultivariateGaussian.from_samples(unit + 2.0**40)
    np.testing.assert_allclose(far._factor, of_unit._factor, rtol=1e-13)


# ------------------------------------------------------------------------------------------------- relative, current


def fixed_points(points, centre, radius, structure):
    """Every self-consistent set of unmasked points, by trying all sets."""
    found = []
    for size in range(1, len(points) + 1):
        for chosen in itertools.combinations(range(len(points)), size):
            kept = np.zeros(len(points), bool)
            kept[list(chosen)] = True
            cov = moments(points[kept], centre, structure)
            if np.linalg.cond(cov) > 1e12:
                continue
            if ((distances2(points, centre, cov) >= radius**2 * (1 - 1e-12)) == kept).all():
                found.append((kept, cov))
    return found


@pytest.mark.parametrize("structure", STRUCTURES)
def test_the_smallest_self_consistent_fit(structure):
    """By trying all sets of points: up to radius 1 (isotropic: √d) there is a fit, and it is below all others."""
    rng = np.random.default_rng(4)
    several = 0
    for trial in range(20):
        d, fit_mean = 2, bool(trial % 2)
        points = random_points(rng, d, 8)
        radius = rng.uniform(0.6, 1.0) * (math.sqrt(d) if structure == "isotropic" else 1.0)
        fit = tce.fit(start(d, structure, fit_mean=fit_mean), points, relative(radius))
        centre = points.mean(axis=0) if fit_mean else np.zeros(d)
        found = fixed_points(points, centre, radius, structure)
        several += len(found) > 1
        assert not fit.vacuous
        assert any((fit.weights == kept).all() for kept, _ in found)
        for _, cov in found:
            scale = np.sqrt(np.diag(cov))
            assert np.linalg.eigvalsh((cov - fit.model.cov) / scale / scale[:, None]).min() > -1e-9
    assert several >= 1


@pytest.mark.parametrize(("structure", "most"), [("full", 1.0), ("diagonal", 1.0), ("isotropic", 1.7)])
def test_the_iteration_increases_and_ends(structure, most):
    """Up to radius 1 (isotropic: √d) the fits increase in the Loewner order, from the cross-entropy fit on."""
    rng, d = np.random.default_rng(5), 3
    longest = 0
    for _ in range(100):
        points = random_points(rng, d, int(rng.choice([5, 8, 20, 100])))
        radius = rng.uniform(0.3, most)
        centre, kept, steps = points.mean(axis=0), np.ones(len(points), bool), 0
        cov = moments(points, centre, structure)
        while True:
            after = distances2(points, centre, cov) >= radius**2 * (1 - 1e-12)
            if (after == kept).all():
                break
            assert (after <= kept).all()
            new = moments(points[after], centre, structure)
            scale = np.sqrt(np.diag(cov))
            assert np.linalg.eigvalsh((new - cov) / scale / scale[:, None]).min() > -1e-9
            cov, kept, steps = new, after, steps + 1
        longest = max(longest, steps)
        fit = tce.fit(start(d, structure), points, relative(radius))
        assert (fit.weights == kept).all()
        assert fit.n_iter == steps
        np.testing.assert_allclose(fit.model.cov / scale_of(cov), cov / scale_of(cov), atol=1e-9)
        # the entropy identity, weighted: the fit's entropy is the mean cross entropy of what is kept
        assert fit.objective * len(points) / fit.weights.sum() == pytest.approx(fit.model.entropy(), abs=1e-7)
    assert longest >= 4


def scale_of(cov):
    return np.sqrt(np.outer(np.diag(cov), np.diag(cov)))


@pytest.mark.parametrize("structure", ["full", "diagonal"])
def test_beyond_radius_one_a_sample_may_have_no_fit(structure):
    """Why it is refused: by trying all sets, many samples have no self-consistent one; up to radius 1 all have."""
    rng, none, shrunk = np.random.default_rng(6), {1.0: 0, 1.3: 0}, 0
    for _ in range(12):
        points = rng.standard_normal((8, 2))
        for radius in none:
            with np.errstate(all="ignore"):
                none[radius] += not fixed_points(points, points.mean(axis=0), radius, structure)
    for _ in range(400):  # the first step may be smaller than the cross-entropy fit in some direction: no Loewner order
        points = rng.standard_normal((6, 2))
        centre = points.mean(axis=0)
        whole = moments(points, centre, structure)
        left = points[distances2(points, centre, whole) >= 1.3**2]
        shrunk += np.linalg.eigvalsh(moments(left, centre, structure) - whole).min() < -1e-3
    assert none[1.0] == 0
    assert none[1.3] >= 2
    assert shrunk >= 2
    with pytest.raises(tce.DomainError, match=rf"at least e\^\(-1/2\) = 0.606531 .* a {structure} covariance"):
        start(2, structure).fit(points, relative(1.3))
    assert start(2, "isotropic").fit(points, relative(1.3)).weights.sum() > 0


# ------------------------------------------------------------------------------------------------- previous mask


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("absolute", [False, True])
def test_previous_mask(structure, absolute):
    rng, vacuous = np.random.default_rng(7), 0
    for _ in range(80):
        d = int(rng.integers(1, 4))
        cov = shaped(np.eye(d) + 0.3, structure)
        previous = MultivariateGaussian(rng.standard_normal(d), cov, structure=structure)
        points = previous.sample(int(rng.integers(d + 1, 14)), rng)
        peak = math.exp(float(previous.log_density(previous.mean)))
        gamma = peak * rng.uniform(0.05, 1.2) if absolute else rng.uniform(0.05, 1.0)
        loss = tce.TCE(gamma, mask="previous") if absolute else tce.TCE(gamma, "relative", mask="previous")
        density = np.exp(previous.log_density(points)) / (1 if absolute else peak)
        kept = density <= gamma
        fit = previous.fit(points, loss)
        assert (fit.weights == kept).all()
        assert fit.vacuous == (kept.sum() < (d + 1 if structure == "full" else 2))
        if fit.vacuous:
            vacuous += 1
            assert fit.model is previous
        else:
            expected = moments(points[kept], points[kept].mean(axis=0), structure)
            np.testing.assert_allclose(fit.model.cov, expected, rtol=1e-9, atol=1e-11)
            mean_of_kept = fit.objective * len(points) / kept.sum()
            assert mean_of_kept == pytest.approx(fit.model.entropy(), abs=1e-8)
    assert vacuous >= 3


# ------------------------------------------------------------------------------------------------- one dimension


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize(
    "loss",
    [CE, relative(0.4), relative(1.0), tce.TCE(0.8, "relative", mask="previous"), tce.TCE(0.3, mask="previous")],
    ids=["CE", "relative", "relative, a = 1", "relative, previous", "absolute, previous"],
)
def test_one_dimension_is_the_gaussian_family(structure, fit_mean, loss):
    rng = np.random.default_rng(8)
    for _ in range(40):
        points = random_points(rng, 1, int(rng.integers(2, 30)))[:, 0]
        one = tce.Gaussian(0.2, 0.9, fit_mean=fit_mean)
        many = MultivariateGaussian([0.2], [[0.9**2]], structure=structure, fit_mean=fit_mean)
        expected, found = one.fit(points, loss), many.fit(points[:, None], loss)
        assert found.model.mean[0] == pytest.approx(expected.model.mean, rel=1e-13)
        assert found.model._factor[0, 0] == pytest.approx(expected.model.std, rel=1e-12)
        assert (found.weights == expected.weights).all()
        assert (found.vacuous, found.n_iter) == (expected.vacuous, expected.n_iter)
        assert found.objective == pytest.approx(expected.objective, rel=1e-11, abs=1e-12)


# ------------------------------------------------------------------------------------------------- absolute, current


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
def test_entropy_identity_of_absolute_fits(structure, fit_mean):
    """H = g + V/N on data of every shape, and H ≥ max(H of cross entropy, g); control: N 5 % smaller."""
    rng, masked, off = np.random.default_rng(10), 0, 0
    for _ in range(60):
        d = int(rng.integers(1, 5))
        points = random_points(rng, d, int(rng.integers(d + 2, 40)))
        given = start(d, structure, fit_mean=fit_mean)
        plain = given.fit(points, CE).model
        floor = plain.entropy() + rng.uniform(-0.3 * d, 0.3 * d)
        fit = given.fit(points, tce.TCE(math.exp(-floor)))
        excess = np.maximum(-fit.model.log_density(points) - floor, 0).sum()
        assert fit.model.entropy() >= max(floor, plain.entropy()) - 1e-7
        assert fit.objective == pytest.approx(floor + excess / len(points), abs=1e-9)
        total = fit.weights.sum()
        assert fit.vacuous == (total == 0)
        if total > 0:
            assert fit.model.entropy() == pytest.approx(floor + excess / total, abs=1e-6)
            masked += total < len(points) - 1
            off += abs(fit.model.entropy() - floor - excess / (0.95 * total)) > 1e-3
    assert masked >= 20
    assert off >= 20


def test_the_absolute_fit_in_one_dimension_is_that_of_gaussian():
    rng = np.random.default_rng(11)
    for structure, scale in itertools.product(STRUCTURES, (1.0, 1e-6)):
        points = scale * rng.standard_normal((40, 1))
        loss = tce.TCE(2 / (scale * math.sqrt(2 * math.pi)) * rng.uniform(0.4, 1.1))
        many, one = start(1, structure).fit(points, loss), tce.Gaussian().fit(points[:, 0], loss)
        assert many.model._factor[0, 0] == pytest.approx(one.model.std, rel=1e-7)
        assert many.model.mean[0] == pytest.approx(one.model.mean, abs=1e-7 * scale)
        assert many.masked_weight == pytest.approx(one.masked_weight, abs=1e-5)


# ------------------------------------------------------------------------------------------------- the kernel


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("fit_mean", [True, False])
def test_the_kernel_fits_as_the_model_does(structure, fit_mean):
    """Few points and many (rotations and squares), every rule, and a previous model with exponents."""
    rng = np.random.default_rng(9)
    for trial in range(60):
        d = int(rng.integers(1, 5))
        n = int(rng.integers(d + 1, 6 * d)) if trial % 2 else 200
        previous = start(d, structure, fit_mean=fit_mean)
        points = rng.standard_normal((n, d)) * 1.1 + 0.1 * fit_mean
        radius = rng.uniform(0.2, 1.3)
        for rule, loss in (
            (kernel.CE, CE),
            (kernel.RELATIVE, relative(min(radius, math.sqrt(d) if structure == "isotropic" else 1.0))),
            (kernel.PREVIOUS, relative(radius, mask="previous")),
        ):
            fit = previous.fit(points, loss)
            radius2 = loss.relative_radius**2 if rule != kernel.CE else 0.0
            triangle, centre = np.zeros((d, d)), np.zeros(d)
            power = rng.integers(-9, 9, d)
            count = kernel.fit_points(
                points, rule, radius2, STRUCTURES.index(structure), fit_mean, 0, previous._least_points,
                np.diag(2.0**-power), power, np.ones(n, bool), centre, triangle, np.zeros(d),
            )  # fmt: skip
            assert (count < 0) == fit.vacuous
            if count >= 0:
                assert count == fit.weights.sum()
                np.testing.assert_allclose(centre, fit.model.mean, atol=1e-12)
                np.testing.assert_allclose(np.tril(triangle.T), fit.model._factor, atol=1e-9)
