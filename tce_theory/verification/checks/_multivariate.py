"""Checks of `shape-collapse` and `relative-fixed-point` on the multivariate Gaussian family."""

from __future__ import annotations

import math

import numpy as np
from scipy import special

from tce_theory.losses import CrossEntropy, TruncatedCrossEntropy
from tce_theory.models.multivariate import MultivariateGaussian
from tce_theory.theory import truncated as truncation
from tce_theory.theory import wall
from tce_theory.verification.checks import _mixture, check
from tce_theory.verification.estimates import mean_of, variance_of
from tce_theory.verification.study import Study

__all__ = ["_mixture"]  # imported for its checks, which register themselves


def _origin(d: int, structure: str = "full", *, fit_mean: bool = True) -> MultivariateGaussian:
    """Return generation 0, with a correlation if the structure has one."""
    cov = np.eye(d) + (0.3 if structure == "full" else 0.0) * (1 - np.eye(d))
    return MultivariateGaussian(np.zeros(d), cov, structure=structure, fit_mean=fit_mean)


@check("shape-collapse")
def shape_of_the_family(study: Study) -> None:
    """Growth of the log condition number in simulations, once the eigenvalues have drawn apart."""
    replicates = study.size(800, 8000)
    for d, n, fit_mean, first, last in ((2, 4, True, 40, 140), (2, 3, False, 40, 140), (3, 5, True, 50, 150)):
        run = study.simulate(
            _origin(d, fit_mean=fit_mean), CrossEntropy(), n_samples=n, generations=last, replicates=replicates,
            metrics=["log_condition"],
        )  # fmt: skip
        path = run.metrics["log_condition"]
        right = float(wall.condition_number_drift(d, n, fit_mean=fit_mean))
        study.equal(
            "growth of the log condition number", mean_of((path[:, last] - path[:, first]) / (last - first)),
            right, 1.25 * right, change="25 % more", size=replicates,
            setting=f"{'mean fitted' if fit_mean else 'mean known'}, d = {d}, n = {n}, generations {first} to {last}",
        )  # fmt: skip


@check("shape-collapse")
def volume_of_the_family(study: Study) -> None:
    """Mean and variance of the log determinant, the sum of all exponents, of simulated covariances."""
    n_t = {2: (4, 5), 3: (5, 5), 10: (13, 3)}
    replicates = study.size(16_000, 120_000)
    for d, (n, t) in n_t.items():
        run = study.simulate(
            _origin(d), CrossEntropy(), n_samples=n, generations=t, replicates=replicates, metrics=["log_det"]
        )
        growth = run.metrics["log_det"][:, t] - run.metrics["log_det"][:, 0]
        ranks = np.arange(1, d + 1)
        drift = t * float(np.sum(wall.eigenvalue_drift(ranks, n)))
        variance = t * float(special.polygamma(1, (n - ranks) / 2).sum())
        setting = f"mean fitted, d = {d}, n = {n}, t = {t}, sampled in law"
        study.equal(
            "E log determinant", mean_of(growth), drift, drift - 0.25 * math.sqrt(variance),
            change="smaller by 25 % of the standard deviation", setting=setting, size=replicates,
        )  # fmt: skip
        study.equal(
            "Var log determinant", variance_of(growth), variance, 1.35 * variance, change="35 % larger",
            setting=setting, size=replicates,
        )  # fmt: skip


@check("shape-collapse")
def no_shape_to_lose(study: Study) -> None:
    """One variance for all axes has no condition number that could grow; a diagonal covariance has one."""
    paths = {
        structure: study.simulate(
            _origin(2, structure), CrossEntropy(), n_samples=5, generations=100, replicates=study.size(100, 1000),
            metrics=["log_condition"],
        ).metrics["log_condition"]
        for structure in ("isotropic", "diagonal")
    }  # fmt: skip
    study.counterexample(
        "1 − log condition number, generation 100", 1 - paths["diagonal"][:, -1], 1 - paths["isotropic"][:, -1],
        hypothesis="isotropic covariance", setting="d = 2, n = 5: one variance for each axis",
    )  # fmt: skip


@check("relative-fixed-point")
def fixed_point_of_the_family(study: Study) -> None:
    """Factor of the scale in one generation on large samples, in 2, 3 and 10 dimensions."""
    n, replicates = 4000, study.size(60, 600)
    for d, radius, structure in ((2, 0.9, "full"), (3, 1.0, "full"), (3, 1.3, "isotropic"), (10, 2.6, "isotropic")):
        loss = TruncatedCrossEntropy(math.exp(-0.5 * radius**2), "relative")
        run = study.simulate(
            _origin(d, structure), loss, n_samples=n, generations=1, replicates=replicates, metrics=["log_det"]
        )
        found = (run.metrics["log_det"][:, 1] - run.metrics["log_det"][:, 0]) / (2 * d)
        s = float(truncation.relative_fixed_point(radius, d))
        study.equal(
            "log of the factor of the scale", mean_of(found), math.log(s), math.log(1 + 1.5 * (s - 1)),
            change="s − 1 50 % larger", setting=f"{structure}, d = {d}, a = {radius:g}, n = {n}", size=replicates,
        )  # fmt: skip


@check("shape-collapse")
def shape_under_truncation(study: Study) -> None:
    """With a wall that holds the volume, the condition number grows at the rate of cross entropy."""
    d, n, first, last = 2, 3, 5, 35
    origin = _origin(d)
    loss = TruncatedCrossEntropy(0.8 * math.exp(float(origin.log_density(np.zeros((1, d)))[0])))
    run = study.simulate(
        origin, loss, n_samples=n, generations=last, replicates=study.size(64, 500), metrics=["log_condition"]
    )
    path = run.metrics["log_condition"]
    right = float(wall.condition_number_drift(d, n))
    study.equal(
        "growth of the log condition number under TCE", mean_of((path[:, last] - path[:, first]) / (last - first)),
        right, 2.5 * right, change="two and a half times as fast", size=len(path),
        setting=f"absolute threshold at 0.8 of the peak, d = {d}, n = {n}, generations {first} to {last}",
    )  # fmt: skip


@check("relative-fixed-point")
def order_of_the_iteration(study: Study) -> None:
    """Up to a = 1 the fit is at least the one of cross entropy in every direction."""
    rng, slack = study.generator(), []
    for _ in range(study.size(60, 600)):
        d = int(rng.choice([2, 3, 10]))
        points = rng.standard_normal((3 * d + 3, d))
        plain = _origin(d).fit(points, CrossEntropy()).model
        fit = _origin(d).fit(points, TruncatedCrossEntropy(math.exp(-0.5), "relative"))
        slack.append(float(np.linalg.eigvalsh(fit.model.cov - plain.cov).min()))
    study.everywhere(
        "least eigenvalue of the fit minus that of cross entropy", np.array(slack)[:, None],
        np.array(slack)[:, None] - 0.05, change="larger by 0.05 in every direction",
        setting="a = 1, d = 2, 3, 10, samples of 3 d + 3 points",
    )  # fmt: skip


@check("relative-fixed-point")
def samples_without_a_fixed_point(study: Study) -> None:
    """Beyond a = 1 a full covariance need not have a self-consistent fit on a sample, whatever set is tried."""
    rng, n, size = study.generator(), 8, study.size(60, 600)
    sets = (np.arange(1, 2**n)[:, None] >> np.arange(n)) % 2 == 1
    none = {1.0: 0, 1.3: 0}
    for _ in range(size):
        points = rng.standard_normal((n, 2))
        points = points - points.mean(axis=0)
        covs = np.einsum("sn,ni,nj->sij", sets, points, points) / sets.sum(axis=1)[:, None, None]
        regular = np.linalg.det(covs) > 1e-9 * covs[:, 0, 0] * covs[:, 1, 1]
        inverses = np.linalg.inv(np.where(regular[:, None, None], covs, np.eye(2)))
        squares = np.einsum("ni,sij,nj->sn", points, inverses, points)
        for radius in none:
            none[radius] += not ((squares >= radius**2 * (1 - 1e-12)) == sets).all(axis=1)[regular].any()
    study.counterexample(
        "− share of samples without a fit", -none[1.3] / size, -none[1.0] / size, hypothesis="a = 1",
        setting="a = 1.3, full covariance, d = 2, samples of 8 points, all sets of points tried",
    )  # fmt: skip
