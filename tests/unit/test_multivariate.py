"""The multivariate Gaussian family: parameters, metrics, what is refused, and its recursion in every regime."""

import math
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy.linalg import sqrtm

import tce_theory as tce
from tce_theory.kernels import multivariate as kernel
from tce_theory.models.multivariate import MultivariateGaussian
from tce_theory.recursion import block_generator

CE = tce.CrossEntropy()
METRICS = list(MultivariateGaussian.metric_names)
REGIMES = [
    tce.Replace(),
    tce.FreshMix(0.3),
    tce.Accumulate(),
    tce.AccumulateSubsample(),
    tce.Staged(3, then=tce.FreshMix(0.1)),
]
STRUCTURES = ("full", "diagonal", "isotropic")


def covariance(rng, d, structure="full"):
    if structure == "isotropic":
        return rng.uniform(0.5, 3) * np.eye(d)
    if structure == "diagonal":
        return np.diag(rng.uniform(0.5, 3, d))
    base = rng.standard_normal((d, d + 2))
    return base @ base.T


def model(seed=0, d=3, structure="full", **options):
    rng = np.random.default_rng(seed)
    return MultivariateGaussian(rng.standard_normal(d), covariance(rng, d, structure), structure=structure, **options)


def simulate(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(*args, **options)


# ------------------------------------------------------------------------------------------------- parameters


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (([0, 0], np.eye(3)), {}, r"cov must be of shape \(2, 2\), as there are 2 means, got .*\(3, 3\)"),
        (([0, 0], [[1, 2], [2, 1]]), {}, "cov must be positive definite"),
        (([0, 0], [[1, 1], [1, 1]]), {}, "cov must be positive definite"),
        (([0, 0], [[1, 0], [0, -1]]), {}, "cov must be positive definite"),
        (([0, 0], [[1, 0.5], [0.4, 1]]), {}, "cov must be symmetric"),
        (([0, 0], [[1, 0.5], [0.5, 1]]), {"structure": "diagonal"}, "cov must be diagonal"),
        (([0, 0], [[1, 0], [0, 2]]), {"structure": "isotropic"}, "cov must be a multiple of the identity"),
        (([0, math.nan], np.eye(2)), {}, "mean must be"),
        (([0, 0], [[1, math.inf], [0, 1]]), {}, "cov must be"),
        ((np.zeros(101), np.eye(101)), {}, "mean must be a vector of at most 100 numbers"),
        (([], np.eye(0)), {}, "mean must be"),
        (([0.0], [[1.0]]), {"structure": "round"}, "structure must be one of"),
        (([0.0], [[1.0]]), {"ddof": 2}, "ddof must be 0 or 1"),
        (([0.0], [[1.0]]), {"ddof": 1, "fit_mean": False}, "ddof must be 0 where the mean is known"),
        (([0.0], [[1.0]]), {"fit_mean": 1}, "fit_mean must be True or False"),
    ],
)
def test_parameters_are_checked(arguments, options, message):
    with pytest.raises(tce.DomainError, match=message):
        MultivariateGaussian(*arguments, **options)


def test_parameters_cannot_be_changed():
    mean, cov = np.zeros(2), np.eye(2)
    normal = MultivariateGaussian(mean, cov)
    mean[0] = cov[0, 0] = 5.0
    assert normal.mean[0] == 0
    assert normal.cov[0, 0] == 1
    with pytest.raises(ValueError, match="read-only"):
        normal.cov[0, 0] = 2.0
    assert normal.describe() == {
        "name": "MultivariateGaussian", "mean": [0.0, 0.0], "cov": [[1.0, 0.0], [0.0, 1.0]], "structure": "full",
        "fit_mean": True, "ddof": 0,
    }  # fmt: skip


@pytest.mark.parametrize("scale", [1e-300, 1.0, 1e300])
def test_extreme_scales_are_admissible(scale):
    normal = MultivariateGaussian([0, 0], scale * np.array([[2.0, 1.0], [1.0, 2.0]]))
    assert normal.entropy() == pytest.approx(math.log(2 * math.pi * math.e) + 0.5 * math.log(3) + math.log(scale))
    mixed = MultivariateGaussian([0, 0], [[1e-300, 0.5], [0.5, 1e300]])
    assert mixed.entropy() == pytest.approx(math.log(2 * math.pi * math.e) + 0.5 * math.log(0.75))
    assert mixed.measure("log_condition", mixed) == pytest.approx(600 * math.log(10) - math.log(0.75))


def test_samples_have_the_law_of_the_model():
    normal = model()
    points = normal.sample(200_000, seed=1)
    assert points.shape == (200_000, 3)
    np.testing.assert_allclose(points.mean(axis=0), normal.mean, atol=0.05)
    np.testing.assert_allclose(np.cov(points.T), normal.cov, atol=0.1)
    assert -normal.log_density(points).mean() == pytest.approx(normal.entropy(), abs=0.02)
    with pytest.raises(tce.DomainError, match="n must be"):
        normal.sample(0)


# ------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize("d", [1, 2, 3, 10])
def test_metrics_by_their_definitions(d):
    origin, other = model(1, d), model(2, d)
    distance = other.mean - origin.mean
    found = {name: other.measure(name, origin) for name in METRICS[:-1]}
    inverse = [np.linalg.inv(normal.cov) for normal in (origin, other)]
    log_ratio = np.linalg.slogdet(other.cov)[1] - np.linalg.slogdet(origin.cov)[1]
    root = np.real(sqrtm(origin.cov))
    bures = np.trace(origin.cov + other.cov - 2 * np.real(sqrtm(root @ other.cov @ root)))
    expected = {
        "mean_drift": math.sqrt(distance @ inverse[0] @ distance),
        "log_det": np.linalg.slogdet(other.cov)[1],
        "log_condition": math.log(np.linalg.cond(other.cov)),
        "entropy": 0.5 * np.linalg.slogdet(2 * math.pi * math.e * other.cov)[1],
        "kl_from_origin": 0.5 * (np.trace(inverse[1] @ origin.cov) + distance @ inverse[1] @ distance - d + log_ratio),
        "kl_to_origin": 0.5 * (np.trace(inverse[0] @ other.cov) + distance @ inverse[0] @ distance - d - log_ratio),
        "w2_squared": distance @ distance + bures,
    }
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-12)
    assert other.kl_divergence(origin) == pytest.approx(expected["kl_to_origin"], rel=1e-9)
    assert origin.w2_squared(other) == pytest.approx(found["w2_squared"], rel=1e-9)


def test_metrics_in_one_dimension_are_those_of_gaussian():
    one, origin = tce.Gaussian(0.3, 1.7), tce.Gaussian(-1.0, 0.4)
    many, many_origin = (MultivariateGaussian([x.mean], [[x.std**2]]) for x in (one, origin))
    for name in ("entropy", "kl_from_origin", "kl_to_origin", "w2_squared"):
        assert many.measure(name, many_origin) == pytest.approx(one.measure(name, origin), rel=1e-13)
    assert many.measure("log_condition", many_origin) == 0
    points = [-0.3, 0.2, 5.0]
    np.testing.assert_allclose(many.log_density(np.reshape(points, (3, 1))), one.log_density(points), rtol=1e-13)


@pytest.mark.parametrize("step", [1e-3, 1e-6, 1e-9])
def test_metrics_keep_their_digits_close_to_the_origin(step):
    """Divergences of laws that are `step` apart are of order step^2, far below the rounding of their terms."""
    d = 4
    rng = np.random.default_rng(3)
    change = np.tril(rng.standard_normal((d, d)))
    origin = MultivariateGaussian(np.zeros(d), np.eye(d))
    near = origin._with(step * rng.standard_normal(d), np.eye(d) + step * change)
    symmetric = change + change.T
    leading = 0.25 * (symmetric**2).sum() + 0.5 * ((near.mean / step) ** 2).sum()
    for name in ("kl_from_origin", "kl_to_origin"):
        assert near.measure(name, origin) / step**2 == pytest.approx(leading, rel=20 * step + 1e-6)
    bures = 0.25 * (symmetric**2).sum() + ((near.mean / step) ** 2).sum()
    assert near.measure("w2_squared", origin) / step**2 == pytest.approx(bures, rel=20 * step + 1e-6)
    assert origin.measure("kl_from_origin", origin) == 0
    assert origin.measure("w2_squared", origin) == pytest.approx(0, abs=1e-28)


def test_what_a_model_cannot_measure():
    with pytest.raises(tce.DomainError, match="metric must be one of 'mean_drift'"):
        model().measure("masked_weight", model())
    for other in (model(d=2), tce.Gaussian()):
        with pytest.raises(tce.DomainError, match="other must be a MultivariateGaussian in 3 dimensions"):
            model().kl_divergence(other)


# ------------------------------------------------------------------------------------------------- what goes with what


@pytest.mark.parametrize(
    ("loss", "options", "message"),
    [
        (tce.FocalLoss(), {}, "does not go with FocalLoss"),
        (CE, {"decoding": tce.Temperature(0.5)}, "a density takes VarianceScaling"),
        (tce.TCE(0.6, "relative"), {}, r"gamma must be at least e\^\(-1/2\) = 0.60653.*a full covariance"),
        (tce.TCE(0.9, "relative", vacuous="warm"), {}, "never a choice among minimisers"),
        (tce.TCE(0.9, mask="previous", vacuous="max-entropy"), {}, "never a choice among minimisers"),
        (CE, {"n_samples": 3}, "n_samples must be at least 4 for 3 dimensions and the mean, or the fitted"),
        (CE, {"n_samples": [9, 3]}, "n_samples must be at least 4"),
        (tce.TCE(0.9, "relative"), {"n_samples": 3}, "n_samples must be at least 4"),
    ],
)
def test_what_is_refused(loss, options, message):
    settings = {"n_samples": 10, "generations": 2, **options}
    with pytest.raises((tce.DomainError, tce.UnsupportedCombinationError), match=message):
        tce.simulate(model(), loss, **settings)


def test_least_sample_sizes():
    """One more than dimensions with a fitted mean; as many with a known one; fewer where less is fitted."""
    for structure, fit_mean, least in (
        ("full", True, 4), ("full", False, 3), ("diagonal", True, 2), ("diagonal", False, 1), ("isotropic", True, 2),
        ("isotropic", False, 1),
    ):  # fmt: skip
        normal = model(structure=structure, fit_mean=fit_mean)
        for sampler in ("auto", "points"):
            run = simulate(normal, CE, n_samples=least, generations=5, metrics=METRICS, sampler=sampler, seed=1)
            assert np.isfinite(run.metrics["log_det"]).all()
        if least > 1:
            with pytest.raises(tce.DomainError, match=f"at least {least}"):
                simulate(normal, CE, n_samples=least - 1, generations=5)
    # Accumulate needs enough in its first generation alone; Staged counts fresh points too
    run = simulate(model(), CE, n_samples=[4, 1, 1], generations=3, regime=tce.Accumulate(), metrics=METRICS, seed=1)
    assert np.isfinite(run.metrics["log_condition"]).all()


def test_tce_goes_with_maximum_likelihood_alone():
    with pytest.raises(tce.UnsupportedCombinationError, match="TCE is maximum likelihood"):
        tce.fit(model(ddof=1), np.eye(3), tce.TCE(0.9, "relative"))


# ------------------------------------------------------------------------------------------------- absolute threshold


@pytest.mark.parametrize(
    ("structure", "n", "fit_mean"),
    [("full", 12, True), ("full", 12, False), ("full", 3, True), ("diagonal", 6, True), ("isotropic", 1, True)],
)
def test_the_absolute_recursion_is_that_of_the_fits(structure, n, fit_mean):
    """Generation by generation with the same draws, in the original coordinates; with too few points, too."""
    normal, loss = model(structure=structure, fit_mean=fit_mean), tce.TCE(0.03)
    run = simulate(normal, loss, n_samples=n, generations=12, metrics=METRICS, seed=1)
    rng, current = block_generator(1, 0), normal
    for t in range(1, 13):
        fit = current.fit(current.mean + rng.standard_normal((n, 3)) @ current._factor.T, loss)
        current = fit.model
        assert run.metrics["masked_weight"][0, t] == pytest.approx(fit.masked_weight, abs=1e-5)
        for name in METRICS[:-1]:
            assert run.metrics[name][0, t] == pytest.approx(current.measure(name, normal), rel=1e-6, abs=1e-6)
    assert run.events["unsolved"] == -1


def test_the_absolute_recursion_is_coupled_with_the_others():
    """A threshold that is never reached gives the run of cross entropy, to the last digits."""
    runs = [
        simulate(model(), loss, n_samples=9, generations=20, replicates=3, sampler="points", metrics=["log_det"],
                 seed=1, regime=regime)
        for regime in (tce.Replace(), tce.FreshMix(0.2))
        for loss in (CE, tce.TCE(1e9))
    ]  # fmt: skip
    for plain, masked in (runs[:2], runs[2:]):
        np.testing.assert_allclose(masked.metrics["log_det"], plain.metrics["log_det"], atol=1e-9)


def test_absolute_truncation_goes_on_beyond_the_range_of_a_float():
    """The volume stays at the wall while the shape is lost at the registered rate: 2 log 2 for d = 2, n = 3."""
    normal = MultivariateGaussian([0, 0], np.eye(2))
    run = simulate(
        normal, tce.TCE(0.8 / (2 * math.pi)), n_samples=3, generations=700, metrics=METRICS, seed=1, replicates=2
    )
    condition = run.metrics["log_condition"]
    assert (run.events["unsolved"] == -1).all()
    assert (condition[:, -1] > 710).all()  # beyond 10^308
    assert ((condition[:, -1] - condition[:, 100]) / 600).mean() == pytest.approx(2 * math.log(2), rel=0.1)
    assert np.isfinite(run.metrics["log_det"]).all()
    # the entropy identity, by the wall: never below the floor of entropy, never far above the start
    assert (run.metrics["entropy"][:, 1:] > -math.log(0.8 / (2 * math.pi)) - 1e-9).all()
    assert run.metrics["entropy"].max() < normal.entropy() + 6


def test_growth_under_an_absolute_threshold():
    """Variance scaling of 4 leaves nothing to mask, and leaves the range of a float."""
    run = simulate(
        model(), tce.TCE(0.1), n_samples=50, generations=600, decoding=tce.VarianceScaling(4.0), seed=2,
        metrics=["log_det", "masked_weight"],
    )  # fmt: skip
    assert (run.metrics["masked_weight"][:, 1:] < 50).all()
    assert run.metrics["log_det"][0, -1] > 2000
    assert run.events["unsolved"] == -1


def test_a_fit_without_a_certificate_ends_its_replicate_alone(monkeypatch):
    from tce_theory.kernels import hinge

    solve, calls = hinge.fit_hinge, iter(range(10**6))

    def fails_once(*arguments):
        *found, gap, vacuous, steps = solve(*arguments)
        return *found, (1.0 if next(calls) == 6 else gap), vacuous, steps

    monkeypatch.setattr(hinge, "fit_hinge", fails_once)
    run = simulate(
        model(), tce.TCE(0.1), n_samples=9, generations=10, replicates=3, metrics=["log_det", "masked_weight"], seed=1
    )
    assert run.events["unsolved"].tolist() == [7, -1, -1]
    log_det, masked = run.metrics["log_det"][0], run.metrics["masked_weight"]
    assert (log_det[7:] == log_det[6]).all()
    assert (np.diff(log_det[:7]) != 0).all()
    assert np.isnan(masked[0, 7:]).all()
    assert np.isfinite(masked[1:, 1:]).all()


# ------------------------------------------------------------------------------------------------- the recursion


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize(
    "loss",
    [CE, tce.TCE(0.7, "relative"), tce.TCE(0.7, "relative", mask="previous"), tce.TCE(0.03, mask="previous")],
    ids=["CE", "relative", "previous", "absolute, previous"],
)
def test_every_regime(regime, structure, loss):
    normal = model(structure=structure)
    for decoding in (None, tce.VarianceScaling(0.8)):
        for sampler in ("auto", "points"):
            settings = {"n_samples": 12, "generations": 4, "regime": regime, "decoding": decoding, "sampler": sampler}
            run = simulate(normal, loss, replicates=3, metrics=METRICS, seed=5, **settings)
            for name in METRICS:
                later = run.metrics[name][:, 1:]
                assert np.isfinite(later).all(), name
                first = run.metrics[name][:, 0]
                if name == "masked_weight":
                    assert np.isnan(first).all()
                else:
                    np.testing.assert_allclose(first, normal.measure(name, normal), atol=1e-12)
            # the first replicates of a longer run, on two threads, with fewer metrics
            more = simulate(normal, loss, replicates=5, metrics=["log_det"], seed=5, n_jobs=2, **settings)
            np.testing.assert_array_equal(more.metrics["log_det"][:3], run.metrics["log_det"])


def test_functions_see_the_models():
    normal = model()
    functions = {
        "det": lambda m: m.entropy(),
        "cond": lambda m: m.measure("log_condition", normal),
        "w2": lambda m: m.w2_squared(normal),
        "kl": lambda m: normal.kl_divergence(m),
        "drift": lambda m: m.measure("mean_drift", normal),
        "structure": lambda m: m.structure == "full" and m.fit_mean and m.ddof == 1,
    }
    names = ["entropy", "log_condition", "w2_squared", "kl_from_origin", "mean_drift"]
    normal = model(ddof=1)
    runs = [
        simulate(normal, CE, n_samples=9, generations=20, replicates=2, metrics=wanted, seed=3)
        for wanted in (functions, names)
    ]
    for function, name in zip(functions, names, strict=False):
        np.testing.assert_allclose(runs[0].metrics[function], runs[1].metrics[name], rtol=1e-9, atol=1e-12)
    assert (runs[0].metrics["structure"] == 1).all()


@pytest.mark.parametrize("structure", STRUCTURES)
@pytest.mark.parametrize("sampler", ["auto", "points"])
def test_collapse_goes_on_beyond_the_range_of_a_float(structure, sampler):
    """Smallest samples and thousands of generations: the volume, the shape and the entropy go on, nothing is NaN."""
    normal = model(d=2, structure=structure)
    metrics = [name for name in METRICS if name != "masked_weight"]
    run = simulate(normal, CE, n_samples=3, generations=3000, metrics=[*metrics, len_of], seed=2, sampler=sampler)
    path = {name: run.metrics[name][0] for name in run.metrics}
    assert path["log_det"][-1] < -4000
    np.testing.assert_allclose(path["entropy"], 0.5 * path["log_det"] + 1 + math.log(2 * math.pi), rtol=1e-12)
    if structure == "full":
        assert path["log_condition"][-1] > 2 * 690  # beyond 10^600
        assert np.abs(np.diff(path["log_condition"])).max() < 60  # no jump where floats end
    elif structure == "isotropic":
        assert (path["log_condition"] == 0).all()
    assert np.isfinite(path["log_condition"]).all()
    for name in ("mean_drift", "kl_to_origin", "w2_squared"):
        assert np.isfinite(path[name]).all()
    assert not np.isnan(path["kl_from_origin"]).any()
    assert path["kl_from_origin"][-1] == math.inf
    lost = int(run.events["underflow"][0])
    assert 100 < lost < 1500
    assert np.isfinite(path["len_of"][:lost]).all()
    assert np.isnan(path["len_of"][lost])


def len_of(normal):
    return len(normal.mean)


def test_growth_beyond_the_range_of_a_float():
    run = simulate(
        model(), CE, n_samples=50, generations=2000, decoding=tce.VarianceScaling(4.0), metrics=METRICS, seed=2
    )
    assert np.isfinite(run.metrics["log_det"]).all()
    assert np.isfinite(run.metrics["log_condition"]).all()
    assert run.metrics["w2_squared"][0, -1] == math.inf
    assert not any(np.isnan(run.metrics[name][0, 1:]).any() for name in METRICS)
    assert 0 < run.events["underflow"][0] < 2000


def test_a_collapsed_part_keeps_its_digits_beside_a_fresh_one():
    """With few fresh points the fit keeps directions that only the collapsed model fills."""
    run = simulate(
        model(d=3), CE, n_samples=4, generations=3000, regime=tce.FreshMix(0.002), metrics=METRICS, seed=4,
        replicates=2,
    )  # fmt: skip
    assert np.isfinite(run.metrics["log_det"]).all()
    assert np.isfinite(run.metrics["log_condition"]).all()
    assert run.metrics["log_condition"].max() > 200
    assert not any(np.isnan(run.metrics[name][:, 1:]).any() for name in METRICS)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_memory_of_accumulate_does_not_grow(structure):
    normal = model(d=5, structure=structure)
    simulate(normal, CE, n_samples=10**6, generations=5, regime=tce.Accumulate(), seed=1)
    used = []
    for generations in (500, 5000):
        tracemalloc.start()
        simulate(normal, CE, n_samples=10**6, generations=generations, regime=tce.Accumulate(), seed=1)
        used.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    # the metrics themselves, and the piece of the path that is held: no points, no matrix a generation
    assert used[1] - used[0] < 4500 * 8 * 80


# ------------------------------------------------------------------------------------------------- kernels


def graded(rng, d, spread):
    """A factor with columns of very different exponents, as its parts and as a matrix in units of the first."""
    root = np.tril(rng.standard_normal((d, d)))
    root[np.diag_indices(d)] = np.abs(root[np.diag_indices(d)]) + 0.1
    power = rng.integers(-spread, spread + 1, d)
    return root.T.copy(), power, root * 2.0**power


def test_adding_a_vector_to_a_factor():
    rng = np.random.default_rng(0)
    for _ in range(100):
        d = int(rng.integers(1, 8))
        root, power, matrix = graded(rng, d, 20)
        first, q = int(rng.integers(0, d)), int(rng.integers(-20, 20))
        v = rng.standard_normal(d)
        v[:first] = 0
        expected = matrix @ matrix.T + np.outer(v, v) * 4.0**q
        kernel.add_vector(root, power, v, q, first)
        found = np.tril(root.T) * 2.0**power
        scale = np.sqrt(np.diag(expected))
        unit = np.outer(scale, scale)
        np.testing.assert_allclose(found @ found.T / unit, expected / unit, atol=1e-13)


def test_multiplying_factors():
    rng = np.random.default_rng(1)
    for _ in range(100):
        d = int(rng.integers(1, 8))
        root, power, matrix = graded(rng, d, 30)
        step = graded(rng, d, 0)
        expected = matrix @ step[2]
        kernel.multiply(root, power, step[0], d)
        found = np.tril(root.T) * 2.0**power
        scale = np.abs(matrix) @ np.abs(step[2])
        assert (np.abs(found - expected) <= 1e-14 * scale).all()


def test_sums_of_vectors_of_any_exponent():
    """Two orthogonal vectors a thousand powers of two apart, in either order: the diagonal is exact."""
    for powers in ((0, -3000), (-3000, 0), (5000, -5000)):
        root, power = np.zeros((2, 2)), np.zeros(2, np.int64)
        kernel.add_vector(root, power, np.array([3.0, 4.0]), powers[0], 0)
        kernel.add_vector(root, power, np.array([-4.0, 3.0]), powers[1], 0)
        logs = np.log2(np.diag(root)) + power
        assert logs.sum() == pytest.approx(math.log2(25) + sum(powers), abs=1e-9)
