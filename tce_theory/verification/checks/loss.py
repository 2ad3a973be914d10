"""Checks of Truncated Cross Entropy, of its floor of the entropy, and of the focal loss.

Derivatives are finite differences, minimisers come from general-purpose optimisers or from the fits of the library, and
networks with their training are written out: a closed form is never held against itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import integrate, optimize, special

from tce_theory.fitting import Counts, Fit
from tce_theory.losses import TCE, CrossEntropy
from tce_theory.models.gaussian import Gaussian
from tce_theory.theory import loss as theory
from tce_theory.verification.checks import (
    _loss_focal,  # noqa: F401
    _loss_heads,  # noqa: F401
    _networks,  # noqa: F401
    check,
)
from tce_theory.verification.checks._losses import (
    FIVE,
    LOG_SQRT_2PI,
    Examples,
    at_labels,
    between,
    categorical_fit,
    columns,
    derivative,
    derivatives,
    entropy_of,
    fitted,
    gaussian_ce,
    mean_and_variance,
    natural_parameters_of,
    normal_log,
    random_counts,
    random_examples,
    random_softmax,
)
from tce_theory.verification.study import Study

# --------------------------------------------------------------------------------------------------- tce-gradient


@check("tce-gradient")
def gradient(study: Study) -> None:
    """Compare the gradient in the logits with differences, for label distributions and for labels."""
    rng, mixed, single = study.generator(), [], []
    for _ in range(study.size(60, 1200)):
        case = random_softmax(rng)
        found = derivatives(lambda z, case=case: -case.pull @ special.log_softmax(z), case.logits)
        predicted = theory.tce_gradient(case.probs, case.frequencies, case.gamma)
        total = case.pull.sum()
        wrong = predicted + 0.05 * total * case.probs
        for closed in (predicted, TCE(case.gamma).gradient(case.logits, case.frequencies)):
            mixed.append((found, closed, wrong, np.full(found.size, total)))
        label = int(np.argmin(case.probs))
        found = derivatives(lambda z, label=label: -special.log_softmax(z)[label], case.logits)
        predicted = TCE(case.gamma).gradient(case.logits, label)
        single.append((found, predicted, predicted + 0.05 * case.probs, np.ones(found.size)))
    found, predicted, wrong, scale = columns(mixed)
    study.instances(
        "∂L/∂z_j = q_j M − f_j χ_j", found, predicted, wrong, change="M 5 % larger", scale=scale,
        setting="random logits of 2 to 8 classes, f and γ: finite differences, against tce_gradient and TCE.gradient",
    )  # fmt: skip
    found, predicted, wrong, scale = columns(single)
    study.instances(
        "χ_y (q − e_y), of TCE.gradient", found, predicted, wrong, change="q 5 % larger", scale=scale,
        setting="the same for one label, of an unmasked class",
    )  # fmt: skip


@check("tce-gradient")
def hessian(study: Study) -> None:
    """Compare the Hessian, and the variance that makes it positive semidefinite, with differences."""
    rng, entries, curvatures = study.generator(), [], []
    for _ in range(study.size(40, 800)):
        case = random_softmax(rng)
        loss, total = TCE(case.gamma), case.pull.sum()
        cross = 0.05 * total * np.outer(case.probs, case.probs)
        slopes = (
            derivatives(lambda z, loss=loss, case=case: loss.gradient(z, case.frequencies), case.logits),
            derivatives(
                lambda z, case=case: theory.tce_gradient(special.softmax(z), case.frequencies, case.gamma), case.logits
            ),
        )
        closed = (
            theory.tce_hessian(case.probs, case.frequencies, case.gamma),
            loss.hessian(case.logits, case.frequencies),
        )
        entries += [(s, h, h - cross, np.full(s.size, total)) for s, h in zip(slopes, closed, strict=True)]
        v = rng.normal(size=case.probs.size)
        line = [-case.pull @ special.log_softmax(case.logits + t * 0.01 * v) for t in (-2, -1, 0, 1, 2)]
        curvature = np.dot([-1, 16, -30, 16, -1], line) / (12 * 0.01**2)
        variance = total * (case.probs @ v**2 - (case.probs @ v) ** 2)
        curvatures.append((curvature, variance, FIVE * variance, total * (v @ v)))
    found, predicted, wrong, scale = columns(entries)
    study.instances(
        "∂²L/∂z_j∂z_k = M (q_j δ_jk − q_j q_k)", found, predicted, wrong, change="M q_j q_k 5 % larger", scale=scale,
        setting="finite differences of the gradients, against tce_hessian and TCE.hessian", tolerance=1e-8,
    )  # fmt: skip
    found, predicted, wrong, scale = columns(curvatures)
    study.instances(
        "curvature along v = M Var_q(v)", found, predicted, wrong, change="variance 5 % larger", scale=scale,
        setting="second differences of the loss along random v", tolerance=1e-7,
    )  # fmt: skip


@check("tce-gradient")
def masked_examples(study: Study) -> None:
    """Masked examples have the small derivatives in the logit of their label."""
    rng, shape = study.generator(), (study.size(400, 8000), 50)
    gamma = rng.uniform(0.1, 0.95, (shape[0], 1))
    logits, labels = 2 * rng.normal(size=(*shape, 4)), rng.integers(4, size=shape)
    size = np.abs(at_labels(CrossEntropy().gradient(logits, labels), labels))
    masked = at_labels(special.softmax(logits, axis=-1), labels) > gamma
    bound = np.asarray(theory.masked_gradient_bound(gamma))
    slack, wrong = (np.where(masked, low - size, size - high) for low, high in ((bound, bound), (0.95 * bound, bound)))
    study.everywhere(
        "|∂CE/∂z_y| < 1 − γ where masked, ≥ where not", slack, wrong, change="bound 5 % smaller where masked",
        setting="50 random examples of 4 classes for each γ in [.1, .95]", tolerance=1e-12,
    )  # fmt: skip


@check("tce-gradient")
def on_the_threshold(study: Study) -> None:
    """Show that a class exactly at p = γ is unmasked; a fit under the cap leaves several there."""
    rng = study.generator()
    rows: list[Any] = []
    for _ in range(study.size(100, 1000)):
        gamma = rng.uniform(0.01, 0.99)
        points = np.array([np.nextafter(gamma, 0), gamma, np.nextafter(gamma, 1)])
        rows.append((TCE(gamma).value(points), -math.log(gamma) * np.array([1, 1, 0]), -math.log(gamma) * np.eye(3)[0]))
    found, predicted, wrong = columns(rows)
    study.instances(
        "χ (−log p) at p just below, at, and just above γ", found, predicted, wrong, change="χ = 1 only for p < γ",
        setting="TCE.value at three neighbouring floats, random γ",
    )  # fmt: skip
    rows = []
    for size in range(2, study.size(40, 200)):
        label, z = int(rng.integers(size)), np.zeros(size)
        found = derivatives(lambda z, label=label: -special.log_softmax(z)[label], z)
        for predicted in (
            TCE(1 / size).gradient(z, label),
            theory.tce_gradient(special.softmax(z), np.eye(size)[label], 1 / size),
        ):
            rows.append((found, predicted, np.zeros(size), np.ones(size)))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "gradient where all q_j = γ: that of cross entropy", found, predicted, wrong, change="χ = 1 only for p < γ",
        setting="the uniform model on K classes, γ = 1/K", scale=scale,
    )  # fmt: skip


@check("tce-gradient")
def natural_parameters(study: Study) -> None:
    """Compare the gradient in natural parameters, of a Gaussian and of a Poisson law, with differences."""
    rng = study.generator()
    rows: list[Any] = []
    while len(rows) < study.size(60, 1200):
        eta, x = np.array([rng.normal(), -rng.uniform(0.25, 2.0)]), rng.normal()
        level = float(gaussian_ce(eta, x))
        floor = level + rng.choice([-1.0, 1.0])  # unmasked, masked
        found = derivatives(lambda t, x=x, floor=floor: np.maximum(gaussian_ce(t, x), floor), eta, 2e-4)
        mean, variance = mean_and_variance(eta)
        expected, seen = np.array([mean, mean**2 + variance]), np.array([x, x**2])
        rows.append((found, *_residual(expected, seen, level, floor)))
        theta, count = np.array([rng.uniform(-1, 2)]), int(rng.integers(8))
        level = float(_poisson_ce(theta[0], count))
        floor = level + rng.choice([-0.5, 0.5])
        found = derivatives(lambda t, x=count, floor=floor: np.maximum(_poisson_ce(t[0], x), floor), theta, 2e-4)
        rows.append((found, *_residual(np.exp(theta), np.array([count]), level, floor)))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "gradient in θ = χ (E T − T(x))", found, predicted, wrong, change="E T 5 % larger", scale=scale,
        setting="Gaussian and Poisson laws, one example: finite differences", tolerance=1e-7,
    )  # fmt: skip


def _residual(expected: np.ndarray, seen: np.ndarray, level: float, floor: float) -> tuple[np.ndarray, ...]:
    """Prediction, the wrong one, and their scale."""
    chi = float(TCE(math.exp(-floor)).weight(math.exp(-level)))
    scale = np.full(expected.size, np.abs(expected).max() + np.abs(seen).max())
    return chi * (expected - seen), chi * (FIVE * expected - seen), scale


def _poisson_ce(log_mean: float, count: int) -> float:
    return math.exp(log_mean) - count * log_mean + math.lgamma(count + 1)


# ----------------------------------------------------------------------------------------------------- hinge-form


def _minimum(
    cross_entropies: Callable[[np.ndarray], np.ndarray],
    slopes: Callable[[np.ndarray], np.ndarray],
    start: np.ndarray,
    gamma: float,
    bounds: list[tuple[float | None, float | None]],
) -> np.ndarray:
    """Minimise the mean of max(CE_i, g): the mean of t_i ≥ CE_i, g, by sequential quadratic programming."""
    floor, size = -math.log(gamma), start.size
    first = np.maximum(cross_entropies(start), floor)
    cost = np.append(np.zeros(size), np.full(first.size, 1 / first.size))
    constraint = {
        "type": "ineq",
        "fun": lambda x: x[size:] - cross_entropies(x[:size]),
        "jac": lambda x: np.append(-slopes(x[:size]), np.eye(first.size), axis=1),
    }
    found = optimize.minimize(
        lambda x: cost @ x, np.append(start, first), jac=lambda x: cost, constraints=[constraint], method="SLSQP",
        bounds=bounds + [(floor, None)] * first.size, options={"ftol": 1e-15, "maxiter": 1000},
    )  # fmt: skip
    return np.asarray(found.x[:size])


def _softmax_minimum(examples: Examples, gamma: float, start: np.ndarray) -> np.ndarray:
    shape = start.shape
    flat = _minimum(
        lambda x: examples.cross_entropies(x.reshape(shape)), lambda x: examples.slopes(x.reshape(shape)),
        start.ravel(), gamma, [(None, None)] * start.size,
    )  # fmt: skip
    return flat.reshape(shape)


def _gaussian_minimum(points: np.ndarray, gamma: float) -> np.ndarray:
    """Natural parameters of the minimiser, mean fitted."""

    def slopes(eta: np.ndarray) -> np.ndarray:
        mean, variance = mean_and_variance(eta)
        return np.stack([mean - points, mean**2 + variance - points**2], axis=1)

    start = natural_parameters_of(points.mean(), 1.5 * points.std())
    return _minimum(lambda eta: gaussian_ce(eta, points), slopes, start, gamma, [(None, None), (None, -1e-3)])


def _hinge(cross_entropies: np.ndarray, gamma: Any) -> Any:
    """Mean of max(CE, g) over the last axis."""
    return np.maximum(cross_entropies, -np.log(gamma)[..., None]).mean(axis=-1)


class _Sample(NamedTuple):
    """Gaussian data, and a threshold that masks some of them in the fit, as one that is 5 % smaller does."""

    points: np.ndarray
    gamma: float


def _sample(rng: np.random.Generator, n: int) -> _Sample:
    while True:
        points = rng.normal(size=n) * rng.uniform(0.3, 2.0)
        gamma = rng.uniform(0.5, 0.9) / (points.std() * math.sqrt(2 * math.pi))
        fits = [fitted(Gaussian(), points, TCE(value)) for value in (gamma, gamma / FIVE)]
        if all(item.masked_weight > 0 and not item.vacuous for item in fits):
            return _Sample(points, gamma)


@check("tce-gradient")
def mask_that_moves(study: Study) -> None:
    """Across the threshold the literal loss jumps: its difference quotient is not the gradient, for any step."""
    rng = study.generator()
    slack: dict[str, list[float]] = {"constant": [], "literal": []}
    for _ in range(study.size(20, 200)):
        q = rng.dirichlet(np.ones(4))
        gamma = min(q[0] + 1e-9, 1.0)  # class 0 is unmasked by a hair
        rest = special.logsumexp(np.log(q[1:]))
        gradient = float(TCE(gamma).gradient(np.log(q), 0)[0])
        moved = float(special.expit(math.log(q[0]) + 1e-5 - rest))
        for name, after in (("constant", -math.log(moved)), ("literal", 0.0 if moved > gamma else -math.log(moved))):
            slack[name].append(1e-3 - abs((after + math.log(q[0])) / 1e-5 - gradient))
    study.counterexample(
        ".001 − |difference quotient − ∂L/∂z_y|", slack["literal"], slack["constant"],
        hypothesis="the mask is held constant", setting="label just below γ, step 1e-5 across it",
    )  # fmt: skip


@check("hinge-form")
def objective(study: Study) -> None:
    """Masked training follows the gradient of the mean of max(CE, g)."""
    rng, rows = study.generator(), []
    for _ in range(study.size(20, 400)):
        examples, parameters = random_examples(rng, 40), rng.normal(size=(4, 4))
        losses = examples.cross_entropies(parameters)
        gamma, _ = between(np.exp(-losses), trim=10)
        found = derivatives(
            lambda w, e=examples, gamma=gamma: theory.hinge_objective(e.cross_entropies(w), gamma), parameters, 5e-4
        )
        logits, labels = examples.features @ parameters.T, examples.labels
        masked, plain = (
            np.einsum("nk,nd->kd", loss.gradient(logits, labels), examples.features) / 40
            for loss in (TCE(gamma), CrossEntropy())
        )
        rows.append((found, masked, masked + 0.05 * (plain - masked), np.full(found.size, np.linalg.norm(masked))))
    for _ in range(study.size(20, 400)):
        points, eta = rng.normal(size=30), natural_parameters_of(rng.normal() / 4, rng.uniform(0.6, 1.5))
        density = np.exp(-gaussian_ce(eta, points))
        gamma, _ = between(density, trim=7)
        found = derivatives(
            lambda t, x=points, gamma=gamma: theory.hinge_objective(gaussian_ce(t, x), gamma), eta, 1e-4
        )
        each = derivatives(lambda t, x=points: gaussian_ce(t, x), eta, 1e-4)
        weight = TCE(gamma).weight(density)
        masked = (each * weight).mean(axis=1)
        wrong = masked + 0.05 * (each * (1 - weight)).mean(axis=1)
        rows.append((found, masked, wrong, np.full(2, np.abs(each).mean())))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "∇ mean max(CE_i, g) = mean χ_i ∇CE_i", found, predicted, wrong, change="masked examples have weight .05",
        setting="linear softmax, 40 examples, and Gaussian, 30 points: finite differences", scale=scale, tolerance=1e-7,
    )  # fmt: skip


@check("hinge-form")
def kink(study: Study) -> None:
    """On the threshold the objective has no gradient: the derivatives to both sides differ."""
    step, gaps = 1e-4, []
    for prob in (0.6, 0.5):
        logits = special.logit(prob) + step * np.array([-1.0, 0.0, 1.0])
        left, middle, right = TCE(0.6).objective(special.expit(logits))
        gaps.append(abs(right - 2 * middle + left) / step)
    study.counterexample(
        ".01 − |right − left derivative|", 0.01 - gaps[0], 0.01 - gaps[1], hypothesis="almost every θ: p ≠ γ",
        setting="binary softmax, γ = .6, at p = .6 and .5",
    )  # fmt: skip


@check("hinge-form")
def minimisers(study: Study) -> None:
    """Compare fits of the library with a general-purpose optimiser, and their weights with stationarity."""
    rng, brute, balance = study.generator(), [], []
    for _ in range(study.size(25, 500)):
        points, gamma = _sample(rng, 12)
        exact, shifted = (fitted(Gaussian(), points, TCE(value)) for value in (gamma, gamma / FIVE))
        variance = mean_and_variance(_gaussian_minimum(points, gamma))[1]
        brute.append((variance, exact.model.std**2, shifted.model.std**2))
        weights = exact.weights
        squares = float(weights @ (points - exact.model.mean) ** 2 / weights.sum())
        balance.append((squares, exact.model.std**2, FIVE * exact.model.std**2))
    found, predicted, wrong = columns(brute)
    study.instances(
        "σ² of the minimiser", found, predicted, wrong, change="γ 5 % smaller", tolerance=1e-5,
        setting="Gaussian, 12 points: sequential quadratic programming, against tce.fit",
    )  # fmt: skip
    found, predicted, wrong = columns(balance)
    study.instances(
        "Σ w_i (x_i − μ)² = σ² Σ w_i", found, predicted, wrong, change="σ² 5 % larger",
        setting="the same fits, with the weights that tce.fit reports",
    )  # fmt: skip


@check("hinge-form")
def stationarity(study: Study) -> None:
    """Weights in [0, 1] that jump at the threshold, and no direction of descent: exactly at the minimiser."""
    rng, classes = study.generator(), 6
    ratios: list[Any] = []
    slacks: list[Any] = []
    wrongs: list[Any] = []
    while len(slacks) < study.size(60, 1200):
        counts, gamma = random_counts(rng, classes), rng.uniform(0.2, 0.5)
        shares = counts.values / counts.total
        if shares.max() <= gamma * FIVE:
            continue
        probs, shifted = (categorical_fit(counts, TCE(value)).model.probs for value in (gamma, gamma * FIVE))
        free = probs < gamma * (1 - 1e-9)
        total = shares[free] / probs[free]  # M, from any class below the threshold
        weights = total.mean() * gamma / shares[~free]  # in [0, 1]
        ratios.append((total, np.full(total.size, total.mean()), FIVE * total))
        steps = 0.01 * rng.normal(size=(200, classes))
        values = [
            (np.maximum(-special.log_softmax(np.log(q) + steps, axis=-1), -math.log(gamma)) @ shares)
            - np.maximum(-special.log_softmax(np.log(q)), -math.log(gamma)) @ shares
            for q in (probs, shifted)
        ]
        slacks.append(np.append(values[0], [np.min(1 - weights, initial=0.0), weights.min(initial=1.0)]))
        wrongs.append(np.append(values[1], [0.0, 0.0]))
    found, predicted, wrong = columns(ratios)
    study.instances(
        "M = f_j/q_j is the same for all q_j < γ", found, predicted, wrong, change="M 5 % larger",
        setting="tce.fit of a categorical to random counts of 6 classes, γ in [.2, .5]",
    )  # fmt: skip
    study.everywhere(
        "0 ≤ w_j = M γ/f_j ≤ 1 on the threshold; L rises in all directions", np.array(slacks), np.array(wrongs),
        change="the fit for γ 5 % larger", setting="the same fits, 200 directions in the logits", tolerance=1e-12,
    )  # fmt: skip


@check("hinge-form")
def convexity(study: Study) -> None:
    """Show that the objective is convex where cross entropy is; not in the mean and scale of a Gaussian."""
    rng, replicates = study.generator(), study.size(200, 4000)
    examples = random_examples(rng, 20)
    ends = 3 * rng.normal(size=(2, replicates, 4, 4))
    gamma = rng.uniform(0.05, 0.9, replicates)
    slack = _midpoint_slack(examples.cross_entropies, ends, np.maximum, gamma)
    wrong = _midpoint_slack(examples.cross_entropies, ends, np.minimum, gamma)
    points = rng.normal(size=15)
    means, stds = rng.normal(size=(2, replicates)), rng.uniform(0.2, 3, (2, replicates))

    def natural(eta: np.ndarray) -> np.ndarray:
        return np.asarray(gaussian_ce(np.moveaxis(eta, -1, 0)[..., None], points))

    def moments(pair: np.ndarray) -> np.ndarray:
        return np.asarray(-normal_log(points, pair[..., :1], pair[..., 1:]))

    ends = np.moveaxis(natural_parameters_of(means, stds), 0, -1)
    slacks = np.stack([slack, _midpoint_slack(natural, ends, np.maximum, gamma)], axis=1)
    wrongs = np.stack([wrong, _midpoint_slack(natural, ends, np.minimum, gamma)], axis=1)
    study.everywhere(
        "L((θ_1 + θ_2)/2) ≤ (L(θ_1) + L(θ_2))/2", slacks, wrongs, change="min in place of max",
        setting="linear softmax, 20 examples, and Gaussian in natural parameters, 15 points: random pairs",
    )  # fmt: skip
    study.counterexample(
        "convexity of L", _midpoint_slack(moments, np.stack([means, stds], axis=-1), np.maximum, gamma), slacks[:, 1],
        hypothesis="CE_i convex in θ", setting="the same Gaussians in (μ, σ), where CE_i is not convex",
    )  # fmt: skip
    spread = math.sqrt(24.0)  # Cauchy location, data ±5: stationary at 0, with the minima at ±√24
    study.counterexample(
        "L ≥ L at a stationary point", _cauchy(spread) - _cauchy(0.0), _normal_location(spread) - _normal_location(0.0),
        hypothesis="CE_i convex in θ", setting="data ±5 under a Cauchy, and a normal, law with free location, γ = .5",
    )  # fmt: skip


def _midpoint_slack(losses: Callable[[np.ndarray], np.ndarray], ends: np.ndarray, clip: Any, gamma: Any) -> np.ndarray:
    floor = -np.log(gamma)[:, None]
    first, second, middle = (clip(losses(at), floor).mean(axis=-1) for at in (*ends, ends.mean(axis=0)))
    return np.asarray((first + second) / 2 - middle)


def _cauchy(location: float) -> float:
    losses = [math.log(math.pi * (1 + (x - location) ** 2)) for x in (-5.0, 5.0)]
    return float(theory.hinge_objective(losses, 0.5))


def _normal_location(location: float) -> float:
    return float(theory.hinge_objective([-normal_log(x, location, 1.0) for x in (-5.0, 5.0)], 0.5))


@check("hinge-form")
def vacuous(study: Study) -> None:
    """Show that the objective is at least g, and is g on the convex set of models with all p_i ≥ γ."""
    rng, replicates = study.generator(), study.size(400, 8000)
    points = rng.normal(size=8)
    eta = natural_parameters_of(rng.normal(size=replicates), rng.uniform(0.3, 3, replicates))
    # nearly equal pairs too, for which the claim about the middle is sharp
    change = 10.0 ** rng.uniform(-4, 0, replicates)
    other = eta + change * (natural_parameters_of(rng.normal(size=replicates), rng.uniform(0.3, 3, replicates)) - eta)
    losses = [gaussian_ce(at[..., None], points) for at in (eta, other, (eta + other) / 2)]
    gamma = np.exp(-np.maximum(losses[0], losses[1]).max(axis=1))  # at which both are vacuous
    floor = np.asarray(theory.loss_floor(gamma))
    found = np.stack([_hinge(loss, gamma) for loss in losses])
    study.instances(
        "L = g where all p_i ≥ γ, at two models and between them", found, np.broadcast_to(floor, found.shape),
        np.broadcast_to(floor + math.log(FIVE), found.shape), change="γ 5 % smaller in g",
        setting="Gaussian in natural parameters, 8 points, random pairs", scale=np.maximum(1, np.abs(found)),
    )  # fmt: skip
    random = _hinge(losses[0], np.full(replicates, 0.3))
    slack = np.stack([random + math.log(0.3), floor - losses[2].max(axis=1)], axis=1)
    wrong = np.stack([random + math.log(0.3), floor - math.log(FIVE) - losses[2].max(axis=1)], axis=1)
    study.everywhere(
        "L ≥ g; the middle of two models with all p_i ≥ γ is one", slack, wrong, change="γ 5 % larger at the middle",
        setting="the same models; γ = .3 for the first",
    )  # fmt: skip


@check("hinge-form")
def uniqueness(study: Study) -> None:
    """One minimiser where cross entropy is strictly convex, but not in a table of contexts."""
    rng, slacks, wrongs = study.generator(), [], []
    for _ in range(study.size(40, 800)):
        points, gamma = _sample(rng, 10)
        best, shifted = (
            natural_parameters_of(model.mean, model.std)
            for model in (fitted(Gaussian(), points, TCE(v)).model for v in (gamma, gamma / FIVE))
        )
        radius = np.abs(best).max() * np.array([0.05, 0.2])
        angles = rng.uniform(0, 2 * math.pi, (100, 1))
        near = best + np.concatenate([np.cos(angles), np.sin(angles)], axis=1) * rng.choice(radius, (100, 1))
        near = near[near[:, 1] < 0]
        lowest, value, shifted_value = (
            _gaussian_hinge(at, points, gamma).min() for at in (near, best[None], shifted[None])
        )
        slacks.append(lowest - value - 1e-9)
        wrongs.append(min(lowest, value) - shifted_value - 1e-9)
    study.everywhere(
        "L > L at the fit, everywhere else", np.array(slacks), np.array(wrongs), change="the fit for γ 5 % smaller",
        setting="Gaussian, 10 points: tce.fit against 100 models at distances of 5 and 20 %", tolerance=0.0,
    )  # fmt: skip
    # two contexts of a table: labels 1, 2 in the first; label 1 in the second, with probability q
    table = [_hinge(-np.log([0.5, 0.5, q, q]), np.asarray(0.75)) for q in (0.76, 0.95)]
    study.counterexample(
        "L > L at the minimiser, everywhere else", table[1] - table[0] - 1e-9, np.array(slacks),
        hypothesis="CE_i strictly convex", setting="a table of two contexts, γ = 3/4: q = .76 and .95 in the second",
        tolerance=0.0,
    )  # fmt: skip


def _gaussian_hinge(eta: np.ndarray, points: np.ndarray, gamma: float) -> np.ndarray:
    """Objective of Gaussians (models, 2)."""
    return np.asarray(_hinge(gaussian_ce(eta.T[..., None], points), np.full(len(eta), gamma)))


class _TwoMinima(NamedTuple):
    """Predictions (n, K) at two minimisers, and which examples are unmasked at one of them."""

    first: np.ndarray
    second: np.ndarray
    unmasked: np.ndarray


def _two_minima(rng: np.random.Generator) -> _TwoMinima:
    """Minimisers from two starts: eight examples with conflicting labels, two that can all be masked."""
    features = np.zeros((10, 4))
    features[:8, :2], features[8:, 2:] = rng.normal(size=(2, 2))[rng.integers(2, size=8)], rng.normal(size=(2, 2))
    rotation = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    examples = Examples(features @ rotation, rng.integers(3, size=10), 3)
    starts = 2 * rng.normal(size=(2, 3, 4))
    first, second = (np.exp(examples.log_probs(_softmax_minimum(examples, 0.6, start))) for start in starts)
    least = np.minimum(at_labels(first, examples.labels), at_labels(second, examples.labels))
    return _TwoMinima(first, second, least < 0.6 * (1 - 1e-4))


@check("hinge-form")
def conditional_models(study: Study) -> None:
    """Minimisers of a linear softmax agree on unmasked examples, and need not on the others."""
    rng = study.generator()
    minima = [_two_minima(rng) for _ in range(study.size(12, 240))]
    minima = [item for item in minima if item.unmasked.any()]
    found, predicted = columns((item.first[item.unmasked], item.second[item.unmasked]) for item in minima)
    study.instances(
        "predictions on unmasked examples, at two minimisers", found, predicted,
        0.95 * predicted + 0.05 / 3, change="5 % of the mass spread evenly",
        setting="linear softmax, 10 examples, γ = .6: sequential quadratic programming from two starts",
        scale=np.ones_like(found), tolerance=1e-5,
    )  # fmt: skip
    apart = [np.abs(item.first - item.second).max(axis=1) for item in minima]
    study.counterexample(
        ".01 − difference of the predictions",
        0.01 - np.concatenate([gap[~item.unmasked] for gap, item in zip(apart, minima, strict=True)]),
        0.01 - np.concatenate([gap[item.unmasked] for gap, item in zip(apart, minima, strict=True)]),
        hypothesis="p_i < γ at one of the minimisers", setting="the same minimisers, on the other examples",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------ entropy-identity


@check("entropy-identity")
def temperature(study: Study) -> None:
    """Compare the derivative of cross entropy in the inverse temperature with CE − H."""
    rng, rows = study.generator(), []
    for _ in range(study.size(60, 1200)):
        logits = 2 * rng.normal(size=(3, 5))  # three contexts
        found = derivative(lambda t, z=logits: -special.log_softmax((1 + t) * z, axis=-1))
        losses, entropy = -special.log_softmax(logits, axis=-1), entropy_of(special.softmax(logits, axis=-1))[:, None]
        rows.append((found, losses - entropy, losses - FIVE * entropy, 1 + losses))
        points, mean, std = rng.normal(size=4), rng.normal(), rng.uniform(0.3, 3)
        # a Gaussian to the power β has the variance σ²/β
        found = derivative(lambda t, x=points, m=mean, s=std: -normal_log(x, m, s / math.sqrt(1 + t)))
        losses, level = -normal_log(points, mean, std), Gaussian(mean, std).entropy()
        rows.append((found, losses - level, losses - level - 0.05, 1 + np.abs(losses)))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "∂CE_i/∂β = CE_i − H_i at β = 1", found, predicted, wrong, change="H 5 % (Gaussian: .05 nats) larger",
        setting="a table of 3 contexts, and Gaussians: finite differences", scale=scale,
    )  # fmt: skip


class _Stationary(NamedTuple):
    """A stationary model: cross entropies of the data, its mean entropy, N, n and γ."""

    losses: np.ndarray
    entropy: float
    weight: float
    gamma: float


def _gaussian_stationary(rng: np.random.Generator) -> _Stationary:
    points, gamma = _sample(rng, int(rng.integers(5, 40)))
    result = fitted(Gaussian(), points, TCE(gamma))
    losses = -np.asarray(result.model.log_density(points))
    return _Stationary(losses, result.model.entropy(), points.size - result.masked_weight, gamma)


def _categorical_stationary(rng: np.random.Generator) -> _Stationary:
    size = int(rng.integers(2, 12))
    counts, gamma = random_counts(rng, size), rng.uniform(1 / size, 1)
    result = categorical_fit(counts, TCE(gamma))
    losses = np.repeat(-np.log(result.model.probs), counts.values)
    return _Stationary(losses, result.model.entropy(), counts.total - result.masked_weight, gamma)


def _conditional_stationary(rng: np.random.Generator) -> _Stationary:
    """Minimise over a linear softmax; the weights on the threshold are those that balance the gradient."""
    gamma = rng.uniform(0.5, 0.8)
    while True:
        examples = random_examples(rng, 12, inputs=2, classes=3)
        best = _softmax_minimum(examples, gamma, rng.normal(size=(3, 3)))
        losses, slopes = examples.cross_entropies(best), examples.slopes(best)
        at = np.abs(losses + math.log(gamma)) < 1e-5
        weights = np.where(losses + math.log(gamma) > 0, 1.0, 0.0)
        if (losses + math.log(gamma))[~at].max(initial=-1) <= 0:  # nothing unmasked: N may be 0
            continue
        weights[at] = 0.0
        weights[at] = np.linalg.lstsq(slopes[at].T, -(weights @ slopes), rcond=None)[0]
        if at.sum() > np.linalg.matrix_rank(slopes[at], tol=1e-6):  # the weights are not determined
            continue
        entropies = entropy_of(np.exp(examples.log_probs(best)))
        return _Stationary(losses, float(weights @ entropies / weights.sum()), float(weights.sum()), gamma)


@check("entropy-identity")
def identity(study: Study) -> None:
    """Compare the entropy of stationary models with g + V/N, and with the floor."""
    rng = study.generator()
    slacks: list[float] = []
    families: tuple[tuple[str, Callable[[np.random.Generator], _Stationary], int, float], ...] = (
        ("Gaussian, 5 to 40 points: tce.fit", _gaussian_stationary, 40, 1e-9),
        ("categorical, 2 to 11 classes: tce.fit", _categorical_stationary, 60, 1e-9),
        ("linear softmax, 12 examples: sequential quadratic programming", _conditional_stationary, 12, 1e-4),
    )
    for setting, family, number, tolerance in families:
        rows = []
        for _ in range(study.size(number, 20 * number)):
            at = family(rng)
            predicted, wrong = (
                float(theory.stationary_entropy(at.losses, at.gamma, weight))
                for weight in (at.weight, at.weight / FIVE)
            )
            floor = float(theory.loss_floor(at.gamma))
            rows.append((at.entropy, predicted, min(wrong, 1e9), 1 + abs(floor)))
            slacks.append(at.entropy - floor)
        found, predicted, wrong, scale = columns(rows)
        study.instances(
            "H̄ = g + Σ (CE_i − g)_+/N", found, predicted, wrong, change="N 5 % smaller", setting=setting,
            tolerance=tolerance, scale=scale,
        )  # fmt: skip
    # equality: all samples on the threshold, as in fits to as many classes as have room under the cap
    for size in range(2, 20):
        counts = random_counts(rng, size)
        slacks.append(categorical_fit(counts, TCE(1 / size)).model.entropy() - math.log(size))
    study.everywhere(
        "H̄ ≥ −log γ", np.array(slacks), np.array(slacks) - math.log(FIVE),
        change="γ 5 % smaller in the floor", tolerance=1e-6,
        setting="the same models, and fits to S = 2, …, 19 classes with Sγ = 1",
    )  # fmt: skip


@check("entropy-identity")
def monotony(study: Study) -> None:
    """Raise the floor step by step: the entropy never falls, the weight never rises."""
    rng, slacks, wrongs = study.generator(), [], []
    for _ in range(study.size(15, 300)):
        counts = random_counts(rng, 8)
        points = rng.normal(size=20)
        peak = 1 / (points.std() * math.sqrt(2 * math.pi))
        ladders: tuple[list[Fit[Any]], ...] = (
            [categorical_fit(counts, TCE(gamma)) for gamma in np.linspace(1, 0.13, 25)],
            [fitted(Gaussian(), points, TCE(gamma)) for gamma in peak * np.linspace(1.2, 0.55, 25)],
        )
        for ladder, total in zip(ladders, (counts.total, 20), strict=True):
            entropies = np.array([item.model.entropy() for item in ladder if not item.vacuous])
            weights = np.array([total - item.masked_weight for item in ladder if not item.vacuous])
            rise, fall = np.diff(entropies), -np.diff(weights) / total
            above = entropies[1:] - entropies[0]  # that of cross entropy
            pad = np.full(24 - rise.size, 1.0)
            slacks.append(np.concatenate([rise, fall, above, pad, pad, pad]))
            wrongs.append(np.concatenate([rise - 0.05 * np.abs(entropies[1:]), fall, above, pad, pad, pad]))
    study.everywhere(
        "H̄(g) rises, N(g) falls, H̄ ≥ H̄ of cross entropy", np.array(slacks), np.array(wrongs),
        change="H̄ rises by 5 % at every step", setting="categorical and Gaussian fits at 25 thresholds",
    )  # fmt: skip


@check("entropy-identity")
def hypotheses(study: Study) -> None:
    """Drop each hypothesis of the floor in turn."""
    # everything masked, N = 0
    points, gamma = np.array([-0.1, 0.1]), 0.85
    stuck = fitted(Gaussian(fit_mean=False), points, CrossEntropy()).model
    held = fitted(Gaussian(fit_mean=False), np.array([-0.1, 0.1, 0.9]), TCE(gamma)).model
    weight = float(np.max(TCE(gamma).weight(np.exp(stuck.log_density(points)))))
    floor = -math.log(gamma)
    study.counterexample(
        "H + log γ", stuck.entropy() - floor + weight, held.entropy() - floor, hypothesis="N > 0",
        setting="Gaussian σ = .1, data ±.1, γ = .85: all masked; with a third point .9, unmasked",
    )  # fmt: skip
    # a base measure that is not constant
    sample, floor = np.array([0, 20]), -math.log(0.01)
    slope = derivative(lambda t: sum(max(_poisson_ce(math.log(10) + t, int(x)), floor) for x in sample) / 2, 1e-4)
    k = np.arange(150)
    masses = np.exp(-np.array([_poisson_ce(math.log(10), int(x)) for x in k]))
    tilted = categorical_fit(Counts(np.array([10] + [1] * 400)), TCE(0.01)).model
    study.counterexample(
        "H + log γ", entropy_of(masses) - floor + abs(slope), tilted.entropy() - floor,
        hypothesis="a constant base measure", setting="Poisson data {0, 20}, γ = .01: λ = 10 is stationary; a table",
        tolerance=1e-6,
    )  # fmt: skip
    # no temperature: the scale is known
    narrow = -normal_log(np.array([-5.0, 5.0]), 0.0, 0.1)
    free = fitted(Gaussian(), np.array([-5.0, 5.0]), TCE(1.0)).model
    study.counterexample(
        "H + log γ", Gaussian(0.0, 0.1).entropy() + max(0.0, -narrow.min()), free.entropy(),
        hypothesis="a family that can be tempered", setting="data ±5, γ = 1: Gaussian with σ = .1 known, and free",
    )  # fmt: skip
    # not every context
    single, gamma = np.array([0.99, 0.01]), 0.9
    study.counterexample(
        "H of a context + log γ", entropy_of(single) + math.log(gamma), _logistic(0.7)[1],
        hypothesis="the mean over unmasked contexts", setting="q = (.99, .01), label 1, γ = .9: masked",
    )  # fmt: skip
    study.counterexample(
        "H of a context + log γ", _logistic(0.7)[0], _logistic(0.7)[1], hypothesis="the mean over contexts",
        setting="logistic model of one parameter, γ = .7: q = 8/9 (label 0), and 2/3 (eight times, label 1)",
    )  # fmt: skip


def _logistic(gamma: float) -> tuple[float, float]:
    """Entropy less floor at the first example, and on average, where one parameter θ = 1 is stationary."""
    logits = np.append(special.logit(8 / 9), np.full(8, special.logit(2 / 3)))
    labels = np.append(0, np.ones(8))

    def losses(theta: float) -> np.ndarray:
        return np.asarray(np.logaddexp(0.0, np.where(labels == 1, -1, 1) * theta * logits))

    slope = derivative(lambda t: theory.hinge_objective(losses(1 + t), gamma))
    if abs(slope) > 1e-9 or (losses(1.0) < -math.log(gamma)).any():
        raise ValueError("θ = 1 is not stationary")
    entropies = special.entr(special.expit(logits)) + special.entr(special.expit(-logits))
    return float(entropies[0] + math.log(gamma)), float(entropies.mean() + math.log(gamma))


# ---------------------------------------------------------------------------------------------- entropy-invariance


def _natural_velocity(
    losses: Callable[[np.ndarray], np.ndarray], mean: Callable[[np.ndarray], np.ndarray], at: np.ndarray, gamma: float
) -> np.ndarray:
    """−F^(−1) ∇ Σ max(CE_i, g), with the gradient and F, the Jacobian of E T, by finite differences."""
    floor = -math.log(gamma)
    slope = derivatives(lambda t: np.maximum(losses(t), floor).sum(), at, 1e-4)
    return np.asarray(-np.linalg.solve(derivatives(mean, at, 1e-4), slope))


@check("entropy-invariance")
def natural_gradient(study: Study) -> None:
    """Compare the rate of the entropy along natural-gradient flow with Σ χ_i (CE_i − H), and with its bound."""
    rng, rows = study.generator(), []
    for _ in range(study.size(25, 500)):
        while True:
            z, labels = rng.normal(size=4), rng.integers(5, size=20)
            probs = special.softmax(np.append(z, 0.0))
            gamma, room = between(probs)
            if room > 0.1 and (probs[labels] < gamma).any():
                break

        def losses(t: np.ndarray, labels: np.ndarray = labels) -> np.ndarray:
            return np.asarray(-special.log_softmax(np.append(t, 0.0))[labels])

        def mean(t: np.ndarray) -> np.ndarray:
            return np.asarray(special.softmax(np.append(t, 0.0))[:-1])

        def entropy(t: np.ndarray) -> float:
            return float(entropy_of(special.softmax(np.append(t, 0.0))))

        rows.append(_rate(losses, mean, entropy, z, gamma))
        points, eta = rng.normal(size=20), natural_parameters_of(rng.normal() / 4, rng.uniform(0.6, 1.5))
        gamma, room = between(np.exp(-gaussian_ce(eta, points)), trim=5)

        def gaussian_losses(t: np.ndarray, points: np.ndarray = points) -> np.ndarray:
            return np.asarray(gaussian_ce(t, points))

        def differential(t: np.ndarray) -> float:
            return 0.5 + LOG_SQRT_2PI + 0.5 * math.log(mean_and_variance(t)[1])

        if room > 0.01:
            rows.append(_rate(gaussian_losses, _moments, differential, eta, gamma))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "dH/dt = Σ χ_i (CE_i − H)", found, predicted, wrong, change="H .05 nats larger", scale=scale, tolerance=1e-6,
        setting="natural-gradient flow of a categorical and of a Gaussian, 20 points: finite differences",
    )  # fmt: skip


def _rate(losses: Any, mean: Any, entropy: Any, at: np.ndarray, gamma: float) -> tuple[Any, ...]:
    velocity = _natural_velocity(losses, mean, at, gamma)
    speed = np.linalg.norm(velocity)
    found = speed * derivative(lambda t: entropy(at + t * velocity / speed), 1e-4)
    level, all_losses = entropy(at), losses(at)
    predicted, wrong = (theory.entropy_rate(all_losses, gamma, h) for h in (level, level + 0.05))
    return found, predicted, wrong, all_losses.size * (1 + abs(level))


def _poisson_entropy(log_mean: float) -> float:
    return float(entropy_of(np.exp([-_poisson_ce(log_mean, x) for x in range(150)])))


@check("entropy-invariance")
def base_measure(study: Study) -> None:
    """Follow natural-gradient flow of a Poisson law, whose base measure is not constant: below g its entropy falls."""
    start, gamma, sample = math.log(11), 0.01, (0, 20)
    losses = np.array([_poisson_ce(start, x) for x in sample])
    speed = sum(x - 11 for x in sample if _poisson_ce(start, x) > -math.log(gamma)) / 11  # F = λ
    level = _poisson_entropy(start)
    rate = derivative(lambda t: _poisson_entropy(start + speed * t), 1e-3)
    bound = float(theory.entropy_rate_bound(level, gamma, int((losses > -math.log(gamma)).sum())))
    points, eta = np.array([-3.0, 5.0]), natural_parameters_of(0.0, 0.5)

    def differential(at: np.ndarray) -> float:
        return 0.5 + LOG_SQRT_2PI + 0.5 * math.log(mean_and_variance(at)[1])

    velocity = _natural_velocity(lambda t: np.asarray(gaussian_ce(t, points)), _moments, eta, gamma)
    gaussian_rate = derivative(lambda t: differential(eta + velocity * t), 1e-5)
    gaussian_bound = float(theory.entropy_rate_bound(differential(eta), gamma, 2))
    study.counterexample(
        "dH/dt − N (g − H), with H < g", rate - bound, gaussian_rate - gaussian_bound,
        hypothesis="a constant base measure", setting="Poisson, λ = 11, data {0, 20}, γ = .01; Gaussian, data {−3, 5}",
    )  # fmt: skip


def _moments(eta: np.ndarray) -> np.ndarray:
    mean, variance = mean_and_variance(eta)
    return np.array([mean, mean**2 + variance])


@check("entropy-invariance")
def natural_gradient_bound(study: Study) -> None:
    """Show dH/dt ≥ N (g − H), with equality where the unmasked samples are on the threshold."""
    rng, slacks, wrongs = study.generator(), [], []
    for i in range(study.size(400, 8000)):
        std, gamma, n = rng.uniform(0.05, 1), rng.uniform(0.3, 1), int(rng.integers(1, 20))
        points = std * rng.normal(size=n) * 2
        peak = 1 / (std * math.sqrt(2 * math.pi))
        if i % 4 == 0 and peak > gamma:  # all just outside of the mask
            points = np.full(n, std * math.sqrt(2 * math.log(peak / gamma)) * (1 + 1e-12))
        losses, entropy = -normal_log(points, 0.0, std), Gaussian(0.0, std).entropy()
        unmasked = losses > -math.log(gamma)
        rate = float((losses[unmasked] - entropy).sum())
        bound = float(theory.entropy_rate_bound(entropy, gamma, int(unmasked.sum())))
        slacks.append(rate - bound)
        wrongs.append(rate - bound - 0.05 * abs(bound))
    study.everywhere(
        "dH/dt ≥ N (g − H)", np.array(slacks), np.array(wrongs), change="bound 5 % larger",
        setting="random Gaussians and data, a quarter with all points at the edge of the mask",
    )  # fmt: skip


@check("entropy-invariance")
def tabular(study: Study) -> None:
    """Compare the rate along plain logit flow with differences, and its sign below the floor."""
    rng, rows = study.generator(), []
    for _ in range(study.size(80, 1600)):
        case = random_softmax(rng)
        velocity = -TCE(case.gamma).gradient(case.logits, case.frequencies)
        found = derivative(lambda t, case=case, v=velocity: entropy_of(special.softmax(case.logits + t * v)), 1e-2)
        predicted = theory.tabular_entropy_rate(case.probs, case.frequencies, case.gamma)
        level = entropy_of(case.probs)
        wrong = predicted - 0.05 * level * float(case.probs @ velocity)
        rows.append((found, predicted, wrong, 1.0))
    found, predicted, wrong, scale = columns(rows)
    study.instances(
        "dH/dt = Σ q_j (log q_j + H) (q_j M − f_j χ_j)", found, predicted, wrong, change="H 5 % larger", scale=scale,
        setting="plain logit flow of 2 to 8 classes: finite differences", tolerance=1e-8,
    )  # fmt: skip
    slacks: list[float] = []
    wrongs: list[float] = []
    while len(slacks) < study.size(300, 6000):
        size, gamma = int(rng.integers(2, 20)), rng.uniform(0.05, 0.95)
        probs = rng.dirichlet(np.full(size, rng.uniform(0.1, 2)))
        frequencies = rng.dirichlet(np.full(size, 0.2))
        if len(slacks) % 3 == 0:  # one label, on the threshold; the others equal: where the claim is sharp
            gamma = rng.uniform(0.97, 1.03) / size
            probs = np.append(gamma * (1 - 1e-9), np.full(size - 1, (1 - gamma) / (size - 1)))
            frequencies = np.eye(size)[0]
        level, floor = entropy_of(probs), -math.log(gamma)
        rate = theory.tabular_entropy_rate(probs, frequencies, gamma)
        if level <= 1.05 * floor:
            slacks.append(rate if level <= floor else 1.0)
            wrongs.append(rate)
    study.everywhere(
        "H ≤ g implies dH/dt ≥ 0", np.array(slacks), np.array(wrongs), change="for H up to 5 % above g",
        setting="plain logit flow: random models and labels, a third of them with one label on the threshold",
        tolerance=1e-12,
    )  # fmt: skip


def _implicit_step(probs: np.ndarray, pull: np.ndarray, gamma: np.ndarray) -> np.ndarray:
    """Implicit Euler step of q' = Σ χ_i (e_i − q), the natural-gradient flow, with weights in [0, 1] on the threshold.

    For s = 1 + step·N it is q_j clipped to γ where the weight may make up for it; the sum falls in s.
    """
    low, high = np.ones(len(probs)), 1 + pull.sum(axis=1)
    for _ in range(60):
        s = ((low + high) / 2)[:, None]
        over = np.clip(gamma[:, None], probs / s, (probs + pull) / s).sum(axis=1) > 1
        low, high = np.where(over, s[:, 0], low), np.where(over, high, s[:, 0])
    return np.asarray(np.clip(gamma[:, None], probs / low[:, None], (probs + pull) / low[:, None]))


def _implicit_variance(variance: np.ndarray, squares: np.ndarray, gamma: np.ndarray, step: float) -> np.ndarray:
    """Take such a step for v' = Σ χ_i (x_i² − v), the variance of a Gaussian with known mean."""
    low = np.minimum(variance, squares.min(axis=1))
    high = np.maximum(variance, squares.max(axis=1))
    for _ in range(80):
        v = (low + high) / 2
        chi = -0.5 * squares / v[:, None] - 0.5 * np.log(2 * math.pi * v)[:, None] <= np.log(gamma)[:, None]
        above = v - variance + step * (chi * (v[:, None] - squares)).sum(axis=1) > 0
        low, high = np.where(above, low, v), np.where(above, v, high)
    return np.asarray((low + high) / 2)


@check("entropy-invariance")
def natural_gradient_paths(study: Study) -> None:
    """Follow natural-gradient flow: no path leaves the models above the floor, and below it the entropy rises."""
    rng, replicates = study.generator(), study.size(100, 2000)
    counts = rng.multinomial(30, rng.dirichlet(np.full(6, 0.5), replicates)).astype(float)
    gamma = rng.uniform(0.2, 0.9, replicates)
    counts[::4], gamma[::4] = [10, 10, 10, 0, 0, 0], 1 / 3  # ends on the floor, from above
    probs = rng.dirichlet(np.full(6, 0.5), replicates)
    probs[::4] = 1 / 6
    paths = [entropy_of(probs)]
    for _ in range(60):
        probs = _implicit_step(probs, 0.01 * counts, gamma)
        paths.append(entropy_of(probs))
    _never_left(study, np.array(paths).T, gamma, "categorical, 6 classes, 30 points")
    squares = rng.normal(size=(replicates, 12)) ** 2
    gamma = rng.uniform(0.2, 0.6, replicates)
    squares[::4], gamma[::4] = 0.5, 1 / math.sqrt(2 * math.pi * math.e * 0.5)
    variance = rng.uniform(0.01, 2, replicates)
    variance[::4] = 2.0
    paths = [variance]
    for _ in range(60):
        paths.append(_implicit_variance(paths[-1], squares, gamma, 0.02))
    _never_left(study, 0.5 + LOG_SQRT_2PI + 0.5 * np.log(np.array(paths).T), gamma, "Gaussian, mean known, 12 points")


def _never_left(study: Study, entropies: np.ndarray, gamma: np.ndarray, setting: str) -> None:
    floor = np.asarray(theory.loss_floor(gamma))[:, None]
    slack, wrong = (
        entropies[:, 1:] - np.minimum(entropies[:, :-1], level) for level in (floor, floor + math.log(FIVE))
    )
    study.everywhere(
        "H ≥ min(H before, g)", slack, wrong, change="γ 5 % smaller in g", tolerance=1e-8,
        setting=f"natural-gradient flow by implicit Euler steps: {setting}; a quarter ends on the floor, from above",
    )  # fmt: skip


@check("entropy-invariance")
def tabular_paths(study: Study) -> None:
    """Follow plain logit flow, from mask to mask: the same holds."""
    rng, slacks, wrongs = study.generator(), [], []
    for i in range(study.size(32, 640)):
        size, gamma = 6, rng.uniform(0.2, 0.8)
        logits, frequencies = 1.5 * rng.normal(size=size), rng.dirichlet(np.full(size, 0.5))
        if i % 2:  # ends on the floor, from above
            drawn = int(rng.integers(2, 5))
            logits, frequencies, gamma = np.zeros(size), np.repeat([1 / drawn, 0], [drawn, size - drawn]), 1 / drawn
            logits[drawn:] = rng.uniform(-0.2, 0.2, size - drawn)
        path, floor = _logit_path(logits, frequencies, gamma), -math.log(gamma)
        slacks.append((path[1:] - np.minimum(path[:-1], floor)).min())
        wrongs.append((path[1:] - np.minimum(path[:-1], floor + math.log(FIVE))).min())
    study.everywhere(
        "H ≥ min(H before, g)", np.array(slacks), np.array(wrongs), change="γ 5 % smaller in g", tolerance=1e-7,
        setting="plain logit flow, 6 classes, up to where it slides on the threshold; half end on the floor",
    )  # fmt: skip


def _logit_path(logits: np.ndarray, frequencies: np.ndarray, gamma: float, horizon: float = 500.0) -> np.ndarray:
    """Return entropies along z' = −∇L: pieces of one mask each, until the flow would come back to the one it left."""
    level, below = math.log(gamma), special.log_softmax(logits) <= math.log(gamma)
    entropies, time = [np.atleast_1d(entropy_of(special.softmax(logits)))], 0.0
    for _ in range(100):
        events = [_Crossing(int(j), level, 1 if below[j] else -1) for j in np.flatnonzero(frequencies)]
        piece = integrate.solve_ivp(
            lambda _, z, pull=frequencies * below: pull - pull.sum() * special.softmax(z), (time, horizon), logits,
            method="DOP853", rtol=1e-9, atol=1e-10, events=events,
        )  # fmt: skip
        entropies.append(entropy_of(special.softmax(piece.y.T, axis=-1)))
        place = next((e.place for e, times in zip(events, piece.t_events, strict=True) if len(times)), None)
        if place is None:
            break
        time, logits = piece.t[-1], piece.y[:, -1]
        below = below ^ (np.arange(below.size) == place)
        pull, probs = frequencies * below, special.softmax(logits)
        motion = pull - pull.sum() * probs
        if (motion[place] - probs @ motion > 0) == below[place]:  # back to where it came from
            break
    return np.concatenate(entropies)


class _Crossing:
    """Ends a piece where a class reaches the threshold, from below (1) or from above (−1)."""

    terminal = True

    def __init__(self, place: int, level: float, direction: int) -> None:
        self.place, self.level, self.direction = place, level, direction

    def __call__(self, _: float, logits: np.ndarray) -> float:
        return float(special.log_softmax(logits)[self.place]) - self.level
