"""Checks of `mixture-entropy-identity` on the family of Gaussian mixtures."""

from __future__ import annotations

import math

import numpy as np
from scipy import optimize

from tce_theory.errors import DegenerateFitError
from tce_theory.losses import TruncatedCrossEntropy
from tce_theory.models.mixture import GaussianMixture
from tce_theory.verification.checks import check
from tce_theory.verification.checks._losses import FIVE, columns, derivative
from tce_theory.verification.study import Study

__all__: list[str] = []

_LOG_2PI_E = math.log(2 * math.pi * math.e)
_LINE = np.linspace(-14, 14, 4001)


def _joint_entropy(model: GaussianMixture) -> float:
    """Entropy of component and point, in closed form."""
    inside = 0.5 * (model.dimension * _LOG_2PI_E + np.log(_determinants(model)))
    return float(model.weights @ (inside - np.log(model.weights)))


def _determinants(model: GaussianMixture) -> np.ndarray:
    return np.asarray(model.covs if model.covs.ndim == 1 else np.linalg.det(model.covs))


def _posterior_entropies(model: GaussianMixture, points: np.ndarray) -> np.ndarray:
    share = model.responsibilities(points)
    return np.asarray(-(share * np.log(np.where(share > 0, share, 1))).sum(axis=1))


def _random(rng: np.random.Generator, size: int, d: int) -> GaussianMixture:
    root = rng.normal(size=(size, d, d))
    covs = root @ root.transpose(0, 2, 1) + 0.2 * np.eye(d)
    return GaussianMixture(
        rng.dirichlet(np.full(size, 4.0)), 2 * rng.normal(size=(size, d)), covs, tol=1e-9, max_iter=3000
    )


def _tempered(model: GaussianMixture, beta: float) -> GaussianMixture:
    weights = model.weights**beta * _determinants(model) ** ((1 - beta) / 2)
    return GaussianMixture(weights / weights.sum(), model.means, model.covs / beta)


@check("mixture-entropy-identity")
def slope_of_temperature(study: Study) -> None:
    """Compare the derivative of cross entropy in the inverse temperature with CE + H(r) − H(K, X)."""
    rng, rows = study.generator(), []
    for _ in range(study.size(30, 600)):
        d = int(rng.integers(1, 4))
        model = _random(rng, int(rng.integers(2, 5)), d)
        points = 3 * rng.normal(size=(4, d))
        found = derivative(lambda t, m=model, x=points: -_tempered(m, 1 + t).log_density(x))
        plain = -model.log_density(points) - _joint_entropy(model)
        posterior = _posterior_entropies(model, points)
        rows.append((found, plain + posterior, plain + posterior - 0.05, 1 + np.abs(plain)))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "∂CE_i/∂β at β = 1", found, predicted, wrong, change="H(K, X) .05 nats larger",
        setting="2 to 4 components in 1 to 3 dimensions: finite differences", scale=scale,
    )  # fmt: skip


@check("mixture-entropy-identity")
def identity_of_fits(study: Study) -> None:
    """Compare the entropy of component and point of converged fits with g + V/N + the mean of H(r_i)."""
    rng, slacks = study.generator(), []
    rows: list[tuple[float, ...]] = []
    number = study.size(12, 150)
    while len(rows) < number:
        d = int(rng.integers(1, 3))
        start = _random(rng, 2, d)
        points = start.sample(80, rng)
        gamma = math.exp(float(np.quantile(start.log_density(points), rng.uniform(0.2, 0.9))))
        try:
            fit = start.fit(points, TruncatedCrossEntropy(gamma))
        except DegenerateFitError:
            continue
        total, model = float(fit.weights.sum()), fit.model
        if not fit.converged or total < 10 or fit.vanished:
            continue
        excess = np.maximum(-model.log_density(points) + math.log(gamma), 0).sum()
        posterior = fit.weights @ _posterior_entropies(model, points) / total
        joint, level = _joint_entropy(model), -math.log(gamma) + excess / total
        rows.append((joint, level + posterior, level + posterior / FIVE - 0.05, 1 + abs(level)))
        slacks.append(joint + math.log(gamma))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "H(K, X) = g + V/N + mean H(r_i)", found, predicted, wrong, change="lower by .05 nats and 5 % of H(r_i)",
        setting="2 components in 1 and 2 dimensions, 80 points, fits to 1e-9 nats: tce.fit", tolerance=1e-3,
        scale=scale,
    )  # fmt: skip
    study.everywhere(
        "H(K, X) + log γ", np.array(slacks)[:, None], np.array(slacks)[:, None] - 1.5, change="a floor 1.5 nats higher",
        setting="the same fits", tolerance=1e-3,
    )  # fmt: skip


@check("mixture-entropy-identity")
def floor_of_the_point_alone(study: Study) -> None:
    """Two normal laws at ±m, four points on the threshold: stationary, and below the floor."""
    model, points, weights = _on_the_threshold(2.1)
    gamma = math.exp(float(model.log_density(points[:1])[0]))
    share = weights[:, None] * model.responsibilities(points)
    counts = share.sum(axis=0)
    means = points @ share / counts
    moments = np.concatenate([counts, means, (points**2) @ share / counts - means**2])
    right = np.concatenate([model.weights, model.means, model.covs])
    study.instances(
        "moments of weighted EM at the example: stationary", moments, right, FIVE * right, change="moments 5 % larger",
        setting="m = 2.1, γ = 0.1241",
    )  # fmt: skip
    log_density = model.log_density(_LINE)
    entropy = -float(np.trapezoid(np.exp(log_density) * log_density, _LINE))
    study.counterexample(
        "H + log γ", entropy + math.log(gamma), _joint_entropy(model) + math.log(gamma),
        hypothesis="H of component and point together", setting="H of the point, at the example",
    )  # fmt: skip


def _on_the_threshold(m: float) -> tuple[GaussianMixture, np.ndarray, np.ndarray]:
    """Mixture of N(±m, 1), four points of one density for which it is stationary, and their weights."""
    model = GaussianMixture([0.5, 0.5], [-m, m], [1.0, 1.0])

    def residuals(unknown: np.ndarray) -> np.ndarray:
        points, share = unknown[:2], np.array([1 - unknown[2], unknown[2]])
        inner, outer = model.log_density(points)
        moments = [share @ (points * np.tanh(m * points)) - m, share @ points**2 - 1 - m * m, outer - inner]
        return np.array(moments)

    x_1, x_2, share = optimize.root(residuals, [1.1, 3.07, 0.5], tol=1e-13).x
    return model, np.array([x_1, -x_1, x_2, -x_2]), np.array([1 - share, 1 - share, share, share]) / 2
