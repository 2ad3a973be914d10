"""Checks of the Gaussian model under absolute truncation, and of covariance matrices.

Cross entropy and truncation are simulated on the same draws, so that bounds hold path by path. Stationary laws and mean
exit times of the reflected walk solve integral equations with the exact density of a step; brute force on a grid stands
in for the fits.
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from scipy import optimize, special

from tce_theory.errors import StatisticalWarning
from tce_theory.exact import gaussian_first_passage
from tce_theory.exact._step import Step
from tce_theory.fitting import Fit, fit
from tce_theory.losses import CrossEntropy, TruncatedCrossEntropy
from tce_theory.models.gaussian import Gaussian
from tce_theory.theory import gaussian
from tce_theory.theory import wall as theory
from tce_theory.verification.checks import _multivariate, check
from tce_theory.verification.estimates import difference_of, mean_of, proportion_of, variance_of
from tce_theory.verification.study import ERROR, Study

__all__ = ["_multivariate"]  # imported for its checks, which register themselves

_FIVE = 1.05
_LOG_FIVE = math.log(1.05)
_GAMMA = 1 / math.sqrt(2 * math.pi)
"""Threshold with σ_c = 1."""
_SHARED = ((2, False), (2, True), (3, True), (10, False), (10, True), (60, True))


def _coupled(
    study: Study, n: int, fit_mean: bool, replicates: int, generations: int, std: float = 1.2
) -> tuple[np.ndarray, np.ndarray]:
    """Paths of Y = log(σ²/σ_c²) under truncation, and the steps of cross entropy on the same points."""
    plain, held = study.coupled(
        Gaussian(2.0, std, fit_mean=fit_mean), [CrossEntropy(), TruncatedCrossEntropy(_GAMMA)], n_samples=n,
        generations=generations, replicates=replicates, metrics=["log_std"], sampler="points",
    )  # fmt: skip
    return 2 * held.metrics["log_std"], 2 * np.diff(plain.metrics["log_std"], axis=1)


def _walk(steps: np.ndarray, start: np.ndarray) -> np.ndarray:
    """W_{t+1} = max(0, W_t + ξ_t)."""
    walk = np.empty((steps.shape[0], steps.shape[1] + 1))
    walk[:, 0] = np.maximum(0.0, start)
    for t in range(steps.shape[1]):
        walk[:, t + 1] = np.maximum(0.0, walk[:, t] + steps[:, t])
    return walk


def _fit(points: Any, fit_mean: bool = False, gamma: float = _GAMMA, mask: str = "current") -> Fit[Gaussian]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)  # of vacuous fits
        return fit(Gaussian(fit_mean=fit_mean), points, TruncatedCrossEntropy(gamma, mask=mask))


def _label(fit_mean: bool) -> str:
    return f"mean {'fitted' if fit_mean else 'known'}"


# ------------------------------------------------------------------------------------------------- density-floor


@check("density-floor")
def sandwich(study: Study) -> None:
    """One fit against the one of cross entropy to the same points, in every generation of simulated paths."""
    for n, fit_mean in _SHARED[:5]:
        y, steps = _coupled(study, n, fit_mean, study.size(150, 1000), 120)
        free, after = y[:, :-1] + steps, y[:, 1:]
        floor = -1 + (_LOG_FIVE if n == 2 else 0.3)
        setting = f"{_label(fit_mean)}, n = {n}, 120 generations"
        study.everywhere(
            "log σ² − log max(σ_f², σ̂²)", after - np.maximum(-1, free), after - np.maximum(floor, free),
            change="σ_f² 5 % larger" if n == 2 else "σ_f² 35 % larger", setting=setting,
        )  # fmt: skip
        study.everywhere(
            "log max(σ_c², σ̂²) − log σ²", np.maximum(0, free) - after, np.maximum(-_LOG_FIVE, free) - after,
            change="σ_c² 5 % smaller", setting=setting,
        )  # fmt: skip


@check("density-floor")
def minimiser(study: Study) -> None:
    """Compare the objective of the fit with that on a grid of means and scales, on random points."""
    rng, log_gamma = study.generator(), math.log(_GAMMA)
    scales = np.geomspace(0.2, 3, 120)

    def objective(points: np.ndarray, mean: Any, std: Any) -> np.ndarray:
        loss = np.log(std) + ((points - mean) / std) ** 2 / 2 - log_gamma
        return np.asarray(np.maximum(loss, -log_gamma).mean(axis=-1))

    for fit_mean in (False, True):
        slacks, wrong = [], []
        for _ in range(study.size(80, 800)):
            points = rng.standard_normal(int(rng.integers(2, 9))) * rng.choice([0.4, 0.7, 1.1])
            means = np.linspace(points.min(), points.max(), 31) if fit_mean else np.zeros(1)
            grid = objective(points[None, None, :], means[:, None, None], scales[None, :, None])
            model = _fit(points, fit_mean).model
            slacks.append([grid.min() - objective(points, model.mean, model.std)])
            wrong.append([grid.min() - objective(points, model.mean, _FIVE * model.std)])
        study.everywhere(
            "objective on the grid − objective of the fit", slacks, wrong, change="σ 5 % larger",
            setting=f"{_label(fit_mean)}, random points, 2 to 8 of them",
        )  # fmt: skip


@check("density-floor")
def stationary_points(study: Study) -> None:
    """Find the smallest stationary point that counts a sample by the sign of the derivative, on random points."""
    rng, q = study.generator(), np.geomspace(0.01, 4, 4000)
    radius2 = np.maximum(-q * np.log(q), 0.0)
    found = []
    for _ in range(study.size(400, 3000)):
        squares = np.append(rng.uniform(0.3, 0.5), rng.uniform(0, 0.3, 3))
        counted = squares[:, None] > radius2
        slope = (counted * (squares[:, None] - q)).sum(axis=0)
        crossing = np.flatnonzero((slope[:-1] > 0) & (slope[1:] <= 0) & np.asarray(counted.any(axis=0))[1:])
        if crossing.size:
            found.append([math.log(q[crossing[0] + 1]) + 1])
    slack = np.array(found)
    study.everywhere(
        "log(σ²/σ_f²) at stationary points", slack, slack - _LOG_FIVE, change="σ_f² 5 % larger",
        setting=f"mean known, sign changes of the derivative, {len(found)} random samples of 4 points",
    )  # fmt: skip


@check("density-floor")
def vacuous(study: Study) -> None:
    """When all points are masked at once, and the fit that is chosen then, against its equation for the density."""
    rng, size = study.generator(), study.size(80, 800)
    gamma = np.exp(rng.uniform(-3, 3, size))
    floor = np.asarray(theory.floor_std(gamma))
    for fit_mean in (False, True):
        share = rng.uniform(0.05, 0.999, size)
        flags, scales, roots = [], [], []
        for g, f, v in zip(gamma, floor, share * floor, strict=True):
            points = np.append(rng.uniform(-v, v, 3), [v, -v])

            def excess(log_std: float, v: float = v, g: float = g) -> float:
                return float(Gaussian(0.0, math.exp(log_std)).log_density(v)) - math.log(g)

            result = _fit(points, fit_mean, g)
            scales.append(result.model.std)
            roots.append(math.exp(optimize.brentq(excess, math.log(f) - 1e-12, math.log(f) + 0.6, xtol=1e-13)))
            flags.append([result.vacuous, _fit(points * 1.02 * f / v, fit_mean, g).vacuous])
        study.instances(
            "σ of a vacuous fit", scales, roots, _FIVE * np.array(roots), change="5 % larger",
            setting=f"{_label(fit_mean)}: largest scale with density γ at distance v, by bisection", tolerance=1e-7,
        )  # fmt: skip
        study.instances(
            "vacuous for v ≤ σ_f, not for v = 1.02 σ_f", flags, np.tile([1.0, 0.0], (size, 1)),
            np.tile([1.0, 1.0], (size, 1)), change="σ_f 5 % larger", setting=f"{_label(fit_mean)}, random γ and points",
        )  # fmt: skip
        study.instances(
            "σ_c exp(W_0(−(v/σ_c)²)/2)", theory.boundary_std(share * floor, gamma), roots, _FIVE * np.array(roots),
            change="5 % larger", setting="by bisection on the density", tolerance=1e-7,
        )  # fmt: skip


@check("density-floor")
def witnesses(study: Study) -> None:
    """Points at which the bounds are attained, and hypotheses without which they fail."""
    floor, between = math.exp(-0.5), study.generator().uniform(0.65, 0.95, study.size(20, 200))
    found = [_fit([floor * (1 + 1e-9), 0, 0]).model.std, _fit([0.0, 0.0]).model.std]
    right = [floor, 1.0]
    for v in between:
        found.append(_fit([v, -v]).model.std)
        right.append(v)
    study.instances(
        "σ fitted to (σ_f, 0, 0), (0, 0) and (v, −v)", found, right, _FIVE * np.array(right), change="5 % larger",
        setting="mean known, σ_f < v < σ_c", tolerance=1e-7,
    )  # fmt: skip
    gamma, points = 0.85, np.array([0.1, -0.1])
    masked = np.asarray(Gaussian(0.0, 0.1, fit_mean=False).log_density(points)) > math.log(gamma)
    bound = float(theory.floor_std(gamma))
    study.counterexample(
        "σ − σ_f", (0.1 if masked.all() else 1.0) - bound, _fit(points, gamma=gamma).model.std - bound,
        hypothesis="largest entropy where all points are masked", setting="γ = 0.85, points ±0.1, σ = 0.1 masks both",
    )  # fmt: skip
    settings = {"n_samples": 5, "generations": 60, "replicates": 200, "metrics": ["log_std"]}
    current, previous, plain = (
        study.simulate(Gaussian(), loss, **settings).metrics["log_std"]
        for loss in (
            TruncatedCrossEntropy(_GAMMA), TruncatedCrossEntropy(_GAMMA, mask="previous"), CrossEntropy()
        )
    )  # fmt: skip
    for other, hypothesis in ((previous, "mask of the model that is fitted"), (plain, "truncation")):
        study.counterexample(
            "log(σ/σ_f)", other + 0.5, current + 0.5, hypothesis=hypothesis,
            setting="mean fitted, n = 5: previous mask, or cross entropy",
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------- density-wall


@check("density-wall")
def path_bounds(study: Study) -> None:
    """W_t − 1 ≤ Y_t ≤ W_t, and the bounds of one step, on every path and in every generation."""
    for n, fit_mean in _SHARED:
        y, steps = _coupled(study, n, fit_mean, study.size(150, 1000) if n < 60 else study.size(40, 400), 150)
        walk, free, after = _walk(steps, y[:, 0]), y[:, :-1] + steps, y[:, 1:]
        setting = f"{_label(fit_mean)}, n = {n}, 150 generations from σ_0 = 1.2 σ_c"
        study.everywhere(
            "W_t − Y_t", walk - y, walk - _LOG_FIVE - y, change="σ_c² 5 % smaller", setting=setting
        )  # fmt: skip
        width = {2: 0.95, 3: 0.9}.get(n, 0.6 if n == 10 else 0.1)
        study.everywhere(
            "Y_t − W_t + 1", y - walk + 1, y - walk + width, change=f"width {width} instead of 1", setting=setting
        )  # fmt: skip
        study.everywhere(
            "one step, both bounds", np.stack([after - np.maximum(-1, free), np.maximum(0, free) - after], axis=1),
            np.maximum(-_LOG_FIVE, free) - after, change="σ_c² 5 % smaller", setting=setting,
        )  # fmt: skip


@check("density-wall")
def reflection(study: Study) -> None:
    """Reflected walk as a maximum over its past, on random steps; critical scale by the density itself."""
    rng, size = study.generator(), study.size(40, 400)
    steps, start = rng.normal(-0.1, 0.5, (size, 60)), rng.uniform(-1, 2, size)
    sums = np.cumsum(np.pad(steps, ((0, 0), (1, 0))), axis=1)
    backward = sums - np.minimum.accumulate(sums, axis=1)
    right = np.maximum(np.maximum(0, start)[:, None] + sums, backward)
    walk = _walk(steps, start)
    for name, found in (("by its recursion", walk), ("of the library", theory.reflected_walk(steps, start))):
        study.instances(
            f"W_t {name}", found[:, -1], right[:, -1], right[:, -1] + _LOG_FIVE, change="larger by log 1.05",
            setting="max(W_0 + S_t, max over s of S_t − S_s), random steps",
        )  # fmt: skip
    gamma = np.exp(rng.uniform(-5, 5, size))
    peaks = np.array([float(Gaussian(0.0, s).log_density(0.0)) for s in np.asarray(theory.critical_std(gamma))])
    study.instances(
        "peak density at σ_c", np.exp(peaks), gamma, _FIVE * gamma, change="5 % larger", setting="random γ"
    )  # fmt: skip


@check("density-wall")
def recurrence(study: Study) -> None:
    """Floor from a start far below, return to the wall by its exact law, and loss of memory."""
    y, _ = _coupled(study, 2, False, study.size(200, 1000), 60, std=1e-4)
    study.everywhere(
        "log(σ_t²/σ_f²), t ≥ 1", y[:, 1:] + 1, y[:, 1:] + 1 - _LOG_FIVE, change="σ_f² 5 % larger",
        setting="mean known, n = 2, σ_0 = σ_c/10000",
    )  # fmt: skip
    n, horizon, replicates = 5, 10, study.size(170_000, 800_000)
    run = study.simulate(
        Gaussian(0.0, 1.5), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=horizon, replicates=replicates,
        metrics=["std"],
    )  # fmt: skip
    inside = run.metrics["std"] <= 1.0
    times = np.where(inside.any(axis=1), inside.argmax(axis=1), horizon)
    law = gaussian_first_passage(n, low=1 / 1.5, horizon=horizon)
    study.equal(
        f"E min(first t with σ_t ≤ σ_c, {horizon})", mean_of(times), law.restricted_mean, _FIVE * law.restricted_mean,
        change="5 % longer", setting=f"mean fitted, n = {n}, σ_0 = 1.5 σ_c, exact first passage", size=replicates,
    )  # fmt: skip
    t, replicates = 10, study.size(140_000, 500_000)
    ends = [
        study.simulate(
            Gaussian(0.0, std), TruncatedCrossEntropy(_GAMMA), n_samples=2, generations=t, replicates=replicates,
            metrics=["log_std"],
        ).metrics["log_std"][:, t]
        for std in (0.7, 2.0)
    ]  # fmt: skip
    study.equal(
        f"difference of E log σ_t over starts, t = {t}", difference_of(mean_of(ends[1]), mean_of(ends[0])), 0.0,
        0.1 * float(ends[0].std()), change="10 % of a standard deviation",
        setting="mean fitted, n = 2, σ_0 = 2 σ_c and 0.7 σ_c", size=replicates,
    )  # fmt: skip


@check("density-wall")
def hypotheses(study: Study) -> None:
    """Another minimiser in the vacuous case breaks the lower bound; so do the previous mask and cross entropy."""
    gamma, points = 0.85, np.array([0.1, -0.1])
    critical, floor = float(theory.critical_std(gamma)), math.log(gamma)
    losses = [
        float(np.maximum(-Gaussian(0.0, std, fit_mean=False).log_density(points), -floor).mean())
        for std in (0.1, _fit(points, gamma=gamma).model.std)
    ]
    study.instances(
        "objective of both minimisers", losses, [-floor, -floor], [-floor - 0.01, -floor - 0.01],
        change="lower by 0.01", setting="γ = 0.85, points ±0.1: −log γ, the least there is",
    )  # fmt: skip
    widest = _fit(points, gamma=gamma).model.std
    study.counterexample(
        "Y_{t+1} + 1", 2 * math.log(0.1 / critical) + 1, 2 * math.log(widest / critical) + 1,
        hypothesis="largest entropy where all points are masked", setting="γ = 0.85, points ±0.1: fit of cross entropy",
    )  # fmt: skip
    plain, held, other = study.coupled(
        Gaussian(0.0, 1.2),
        [CrossEntropy(), TruncatedCrossEntropy(_GAMMA), TruncatedCrossEntropy(_GAMMA, mask="previous")],
        n_samples=5, generations=100, replicates=100, metrics=["log_std"], sampler="points",
    )  # fmt: skip
    y = [2 * run.metrics["log_std"] for run in (plain, held, other)]
    walk = _walk(np.diff(y[0], axis=1), y[0][:, 0])
    for path, hypothesis in ((y[2], "mask of the model that is fitted"), (y[0], "truncation")):
        study.counterexample(
            "least of W_t − Y_t and Y_t − W_t + 1", np.minimum(walk - path, path - walk + 1),
            np.minimum(walk - y[1], y[1] - walk + 1), hypothesis=hypothesis,
            setting="mean fitted, n = 5, on the same draws: previous mask, or cross entropy",
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------- wall-population


def _on_population(tau: float, mask: str, points: int = 200_001) -> float:
    """Scale fitted to a fine quadrature of the population: the weighted variance of what is not masked, iterated."""
    x = np.linspace(0, 12, points)
    weights = np.exp(-(x**2) / 2)
    mass, squares = (np.cumsum((weights * x**power)[::-1])[::-1] * x[1] for power in (0, 2))

    def variance(edge: float) -> float:
        # trapezoidal sums, with the part of the cell that the edge cuts
        at = min(int(edge / x[1]) + 1, points - 1)
        part = x[at] - edge
        ends = math.exp(-(edge**2) / 2), weights[at]
        total = mass[at] - weights[at] * x[1] / 2 + part * (ends[0] + ends[1]) / 2
        second = squares[at] - (weights * x**2)[at] * x[1] / 2
        second += part * (ends[0] * edge**2 + ends[1] * x[at] ** 2) / 2
        return float(tau**2 * second / total)

    if mask == "previous":
        return math.sqrt(variance(math.sqrt(-2 * math.log(tau))))

    def excess(s: float) -> float:
        return s**2 - variance(s * math.sqrt(-2 * math.log(s)) / tau)

    return float(optimize.brentq(excess, max(tau, math.exp(-0.5)), 1 - (1 - tau) ** 2 / 10, xtol=1e-13))


@check("wall-population")
def population_maps(study: Study) -> None:
    """Both maps against sums over a fine grid of the population, and against fits to its quantiles."""
    rng, size = study.generator(), study.size(10, 100)
    tau = rng.uniform(0.2, 0.97, size)
    for mask in ("current", "previous"):
        found = np.array([_on_population(float(x), mask, 20_001) for x in tau])
        right = np.asarray(theory.population_map(tau, mask=mask))
        study.instances(
            f"s, mask of the {mask} model, random τ", found, right, tau + _FIVE * (right - tau),
            change="climb 5 % larger", setting="numerical integration over the population", tolerance=1e-6,
        )  # fmt: skip
    n = study.size(50_000, 400_000)
    data = special.ndtri((np.arange(n) + 0.5) / n)
    for mask in ("current", "previous"):
        for fit_mean in (True, False):
            pairs = []
            for x in tau[:4]:
                model = fit(
                    Gaussian(0.0, x, fit_mean=fit_mean), x * data, TruncatedCrossEntropy(_GAMMA, mask=mask)
                ).model  # fmt: skip
                pairs.append((model.std, float(theory.population_map(x, mask=mask)), x))
            found, right, start = np.array(pairs).T
            study.instances(
                f"σ fitted to {n} quantiles, mask of the {mask} model", found, right, start + _FIVE * (right - start),
                change="climb 5 % larger", setting=f"{_label(fit_mean)}, random τ", tolerance=5e-4,
            )  # fmt: skip
    above = rng.uniform(1, 3, 10)
    study.instances(
        "s = τ for τ ≥ 1", [_fit(x * data / math.sqrt(float((data**2).mean()))).model.std for x in above], above,
        _FIVE * above, change="5 % larger", setting="fits to quantiles, scaled to the deviation τ", tolerance=1e-9,
    )  # fmt: skip


@check("wall-population")
def climb(study: Study) -> None:
    """τ < s < 1 and s grows, by integration; near the wall the shortfall becomes πε²."""
    tau = np.sort(study.generator().uniform(0.1, 0.97, (study.size(150, 600), 3)), axis=1)
    s = np.array([[_on_population(float(x), "current", 20_001) for x in row] for row in tau])
    slack = np.concatenate([s - np.maximum(tau, math.exp(-0.5)), 1 - s, np.diff(s)], axis=1)
    above = s - _FIVE * np.maximum(tau, math.exp(-0.5))
    study.everywhere(
        "s − max(τ, e^(−1/2)), 1 − s, s(τ′) − s(τ)", slack, above,
        change="s at least 5 % above", setting="integration over the population, random τ",
    )  # fmt: skip
    shortfalls = [1e-2, 1e-3, 1e-4]
    study.limit(
        "ε′/ε²", [1 / e for e in shortfalls],
        [(1 - float(theory.population_map(1 - e))) / e**2 for e in shortfalls], math.pi, _FIVE * math.pi, order=1,
        change="π 5 % larger", setting="ε = 0.01, 0.001, 0.0001; order in 1/ε",
    )  # fmt: skip
    small = [1e-2, 1e-3, 1e-4]
    study.limit(
        "s for the previous mask as τ → 0", [1 / x for x in small],
        [_on_population(x, "previous", 20_001) for x in small], 0.0, 0.03, order=0.9, change="floor at 0.03",
        setting="integration over the population; order in 1/τ",
    )  # fmt: skip


@check("wall-population")
def overshoot(study: Study) -> None:
    """Maximum of the map with the previous mask, by search on the integral; with the current mask there is none."""
    low = optimize.minimize_scalar(lambda x: -_on_population(x, "previous"), bounds=(0.8, 0.95), method="bounded",
                                   options={"xatol": 1e-7})  # fmt: skip
    best = theory.largest_overshoot()
    for quantity, found, right, quoted, tolerance in (
        ("largest s", -low.fun, best.std, 1.10619071, 1e-7), ("its τ", low.x, best.tau, 0.8916275, 1e-4)
    ):  # fmt: skip
        study.instances(
            f"{quantity}, previous mask", [found, found], [right, quoted], [_FIVE * right, _FIVE * quoted],
            change="5 % larger", setting="search on the integral over the population", tolerance=tolerance,
        )  # fmt: skip
    a = np.linspace(0.01, 4, 4000)
    hazard = math.sqrt(2 / math.pi) / special.erfcx(a / math.sqrt(2))
    changes = np.abs(np.diff(np.sign(a * hazard**2 + (1 - 3 * a**2) * hazard - 2 * a))).sum() / 2
    study.instances(
        "roots of a h² + (1 − 3a²) h = 2a", changes, 1.0, 2.0, change="two", setting="sign changes on a grid of a ≤ 4"
    )  # fmt: skip
    tau = study.generator().uniform(0.7, 0.95, 20)
    study.counterexample(
        "1 − s", 1 - np.asarray(theory.population_map(tau, mask="previous")),
        1 - np.array([_on_population(float(x), "current", 20_001) for x in tau]),
        hypothesis="mask of the model that is fitted", setting="previous mask, random τ",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- wall-law


def _moment(kappa: float, n: int, lost: int) -> float:
    """Log E exp(κ ξ), exp(ξ) = χ²_{n − lost}/n, by the trapezoidal rule in log χ²."""
    x = np.linspace(-60, math.log(60 * (n + 40)), 40_001)
    log_density = (n - lost) / 2 * x - np.exp(x) / 2
    shift = log_density.max()
    weights = np.exp(log_density - shift)
    return float(np.log((weights * np.exp(kappa * (x - math.log(n)))).sum() / weights.sum()))


def _nodes(bottom: float, top: float, width: float) -> tuple[np.ndarray, np.ndarray]:
    """Composite Gauss–Legendre rule."""
    points, weights = np.polynomial.legendre.leggauss(10)
    edges = np.linspace(bottom, top, math.ceil((top - bottom) / width) + 1)
    half = np.diff(edges)[:, None] / 2
    return (edges[:-1, None] + half * (points + 1)).ravel(), (half * weights).ravel()


def _stationary_survival(n: int, fit_mean: bool, at: np.ndarray) -> np.ndarray:
    """Pr(W > y) of the stationary reflected walk, the law of its largest partial sum."""
    step = Step.of(n, fit_mean, 0)
    nodes, weights = _nodes(0.0, 8.0 if fit_mean else 16.0, 4 * step.std)
    inside = step.density(nodes[:, None] - nodes) * weights
    survival = np.linalg.solve(np.eye(nodes.size) - inside, step.above(nodes))
    return np.asarray(step.above(at) + (step.density(at[:, None] - nodes) * weights) @ survival)


@check("wall-law")
def tail_index(study: Study) -> None:
    """κ against the root of E exp(κξ) = 1 by quadrature, its range, and its expansion."""
    sizes = np.unique(study.generator().integers(2, 300, study.size(12, 60)))
    for fit_mean in (True, False):
        roots = [
            optimize.brentq(lambda k, n=int(n), m=fit_mean: _moment(k, n, int(m)) / k, 0.5, 3.5, xtol=1e-13)
            for n in sizes
        ]
        right = np.asarray(theory.wall_tail_index(sizes, fit_mean=fit_mean))
        study.instances(
            "κ, random n", roots, right, _FIVE * right, change="5 % larger",
            setting=f"{_label(fit_mean)}, E exp(κξ) = 1 by quadrature", tolerance=1e-8,
        )  # fmt: skip
        if not fit_mean:
            study.instances(
                "κ = 1", roots, np.ones(len(roots)), np.full(len(roots), _FIVE), change="5 % larger",
                setting="mean known, E exp(κξ) = 1 by quadrature", tolerance=1e-8,
            )  # fmt: skip
            continue
        slack = np.array([[k - 2, 3 - k] for k in roots])
        study.everywhere(
            "κ − 2 and 3 − κ", slack, slack - [0.1, 0], change="κ above 2.1",
            setting="mean fitted, E exp(κξ) = 1 by quadrature, random n",
        )  # fmt: skip
    quoted = np.array([2.053486, 2.005033])
    study.instances(
        "κ at n = 10 and 100", [optimize.brentq(lambda k, n=n: _moment(k, n, 1), 1.5, 3.0) for n in (10, 100)], quoted,
        _FIVE * quoted, change="5 % larger", setting="mean fitted, by quadrature; to the digits quoted", tolerance=3e-7,
    )  # fmt: skip
    large = [200, 400, 800]
    study.limit(
        "n(κ − 2)", large, [n * (float(theory.wall_tail_index(n)) - 2) for n in large], 0.5, 0.525, order=1,
        change="5 % larger", setting="mean fitted",
    )  # fmt: skip


@check("wall-law")
def survival(study: Study) -> None:
    """Stationary law of the walk, exactly and simulated: its tail, Lundberg's bound, and its limit."""
    levels = np.linspace(0.2, 5, 13)
    for fit_mean in (True, False):
        indices, tails, slacks, wrong = [], [], [], []
        for n in (5, 8, 12, 20, 40, 80, 160):
            index = float(theory.wall_tail_index(n, fit_mean=fit_mean))
            exact = _stationary_survival(n, fit_mean, levels)
            indices.append(index)
            tails.append(math.log(exact[-3] / exact[-1]) / (levels[-1] - levels[-3]))
            slacks.append(1 - exact * np.exp(index * levels))
            wrong.append(1 - exact * np.exp(1.2 * index * levels))
        right = np.array(indices)
        study.instances(
            "decay rate of Pr(W > y) in y", tails, right, _FIVE * right, change="κ 5 % larger",
            setting=f"{_label(fit_mean)}, n = 5 … 160, exact stationary law", tolerance=3e-3,
        )  # fmt: skip
        study.everywhere(
            "1 − x^κ Pr(W > log x)", slacks, wrong, change="κ 20 % larger",
            setting=f"{_label(fit_mean)}, n = 5 … 160, exact stationary law",
        )  # fmt: skip
        sizes, ratio = [100, 400, 1600], 2.0
        values = [float(_stationary_survival(n, fit_mean, np.array([math.log(ratio)]))[0]) for n in sizes]
        right_limit = float(theory.limit_survival(ratio, fit_mean=fit_mean))
        study.limit(
            f"Pr(W > log {ratio:g})", sizes, values, right_limit, _FIVE * right_limit, order=0.5,
            change="5 % larger", setting=f"{_label(fit_mean)}, exact stationary law",
        )  # fmt: skip
    n, t, level, replicates = 10, 60, math.log(1.5), study.size(200_000, 600_000)
    run = study.simulate(
        Gaussian(), CrossEntropy(), n_samples=n, generations=t, replicates=replicates, metrics=["log_std"]
    )
    sums = 2 * run.metrics["log_std"]
    found = sums[:, -1] - sums.min(axis=1) > level
    exact_share = float(_stationary_survival(n, True, np.array([level]))[0])
    study.equal(
        "Pr(W > log 1.5)", proportion_of(found), exact_share, 1.1 * exact_share, change="10 % larger",
        setting=f"mean fitted, n = {n}, t = {t} from the wall, exact stationary law", size=replicates,
    )  # fmt: skip


@check("wall-law")
def truncated_tail(study: Study) -> None:
    """Bound the tail under truncation itself; with a known mean it breaks the bound for a fitted one."""
    n, t, ratio, replicates = 5, 25, math.exp(1.5), study.size(15_000, 100_000)
    (low, high), (broken, _), (_, free) = (
        proportion_of(
            study.simulate(
                Gaussian(fit_mean=fit_mean), loss, n_samples=n, generations=t, replicates=replicates, metrics=["std"]
            ).metrics["std"][:, t] ** 2 > ratio
        ).limits(ERROR)
        for loss, fit_mean in (
            (TruncatedCrossEntropy(_GAMMA), True), (TruncatedCrossEntropy(_GAMMA), False), (CrossEntropy(), True)
        )
    )  # fmt: skip
    index = float(theory.wall_tail_index(n))
    least = float(_stationary_survival(n, True, np.array([math.log(ratio) + 1]))[0])
    study.counterexample(
        "x^(−κ) − Pr(σ²/σ_c² > x), x = e^1.5", ratio**-index - broken, ratio**-index - high,
        hypothesis="mean fitted",
        setting=f"truncation, mean known, n = {n}, t = {t}, confidence limits of {replicates} replicates",
    )  # fmt: skip
    study.counterexample(
        "Pr(σ²/σ_c² > x) − Pr(W > 1 + log x), x = e^1.5",
        free - least, low - least, hypothesis="truncation",
        setting=f"cross entropy, mean fitted, n = {n}, t = {t}, confidence limits of {replicates} replicates",
    )  # fmt: skip


@check("wall-law")
def limit_law(study: Study) -> None:
    """Density and quantiles of the limit, from its survival function by differences and bisection."""
    rng, size = study.generator(), study.size(40, 400)
    ratio, probability = rng.uniform(1.1, 5, size), rng.uniform(0.01, 0.95, size)
    for fit_mean in (True, False):
        step = 1e-4
        slope = -(theory.limit_survival(ratio + step, fit_mean=fit_mean)
                  - np.asarray(theory.limit_survival(ratio - step, fit_mean=fit_mean))) / (2 * step)  # fmt: skip
        density = np.asarray(theory.limit_density(ratio, fit_mean=fit_mean))
        study.instances(
            "density 2x^(−3)" if fit_mean else "density x^(−2)", slope, density, _FIVE * density, change="5 % larger",
            setting=f"{_label(fit_mean)}, differences of the survival function", tolerance=1e-6,
        )  # fmt: skip
        quantile = np.asarray(theory.limit_quantile(probability, fit_mean=fit_mean))
        roots = [
            optimize.brentq(lambda x, p=p, m=fit_mean: theory.limit_survival(x, fit_mean=m) - 1 + p, 1.0, 1e3)
            for p in probability
        ]
        study.instances(
            "quantiles", roots, quantile, _FIVE * quantile, change="5 % larger",
            setting=f"{_label(fit_mean)}, bisection", tolerance=1e-9,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------- wall-extension


def _exit_time(b: float, drift: float, depth: float | None) -> float:
    """Mean exit time from 0 of Brownian motion with variance 2, out at b and at −b or reflected at −depth."""
    size = 48
    low = -b if depth is None else -depth
    half, middle = (b - low) / 2, (b + low) / 2
    x = np.cos(np.pi * np.arange(size + 1) / size)
    c = np.where((np.arange(size + 1) % size) == 0, 2.0, 1.0) * (-1.0) ** np.arange(size + 1)
    matrix = np.outer(c, 1 / c) / (x[:, None] - x[None, :] + np.eye(size + 1))
    matrix = (matrix - np.diag(matrix.sum(axis=1))) / half
    operator, right = matrix @ matrix + drift * matrix, -np.ones(size + 1)
    operator[0], right[0] = np.eye(size + 1)[0], 0.0
    operator[-1], right[-1] = (np.eye(size + 1)[-1] if depth is None else matrix[-1]), 0.0
    times = np.linalg.solve(operator, right)
    at = -middle / half
    nodes = np.polynomial.chebyshev.Chebyshev.fit(x, times, size)
    return float(nodes(at))


def _walk_interval(n: int, b: float, fit_mean: bool, depth: float | None) -> float:
    """Mean exit time over n of the walk itself: free in (−b, b), or reflected at −depth and out at b."""
    step = Step.of(n, fit_mean, 0)
    bottom = -b if depth is None else -depth
    nodes, weights = _nodes(bottom, b, 3 * step.std)
    inside = step.density(nodes[None, :] - nodes[:, None]) * weights
    start = step.density(nodes) * weights
    if depth is None:
        return float(1 + start @ np.linalg.solve(np.eye(nodes.size) - inside, np.ones(nodes.size))) / n
    to_wall, from_wall = step.below(bottom - nodes), step.density(nodes - bottom) * weights
    matrix = np.block([[inside, to_wall[:, None]], [from_wall[None, :], step.below(np.zeros((1, 1)))]])
    times = np.linalg.solve(np.eye(nodes.size + 1) - matrix, np.ones(nodes.size + 1))
    return float(1 + start @ times[:-1] + step.below(bottom) * times[-1]) / n


@check("wall-extension")
def diffusion(study: Study) -> None:
    """Mean intervals against their differential equation; the factor, its growth and its ends."""
    rng, size = study.generator(), study.size(40, 400)
    b = rng.uniform(0.2, 2.0, size)
    r = b * rng.uniform(0, 0.99, size)
    for fit_mean, k in ((True, 2.0), (False, 1.0)):
        free = np.array([_exit_time(x, -k, None) for x in b])
        held = np.array([_exit_time(x, -k, y) for x, y in zip(b, r, strict=True)])
        for quantity, found, right in (
            ("mean interval over n, cross entropy", free, theory.ce_mean_interval_limit(100, b, fit_mean=fit_mean)),
            ("mean interval over n, r < b", held, theory.wall_mean_interval(100, b, r, fit_mean=fit_mean)),
            ("extension factor", held / free, 100 * np.asarray(theory.wall_extension(b, r, fit_mean=fit_mean))),
        ):
            scaled = np.asarray(right) / 100
            study.instances(
                f"{quantity}, random b, r", found, scaled, _FIVE * scaled, change="5 % larger",
                setting=f"{_label(fit_mean)}, collocation for the mean exit time", tolerance=1e-8,
            )  # fmt: skip
    width = math.log(2)
    depths = width * np.sort(rng.uniform(0, 1, (study.size(40, 200), 3)), axis=1)
    free_time = _exit_time(width, -2.0, None)
    factors = np.array([[_exit_time(width, -2.0, x) / free_time for x in row] for row in depths])
    ends = np.array([5 / (2 * width) - 5 / 3, 10 / width - 5 / 3])
    slack = np.concatenate([np.diff(factors), factors - ends[0], ends[1] - factors], axis=1)
    wrong = np.append(slack, factors[:, :1] - 2 * ends[0], axis=1)
    study.everywhere(
        "growth in r, factor − 1.94…, 12.76… − factor", slack, wrong, change="factor at least 3.88",
        setting="b = log 2, mean fitted, collocation, random r < b", tolerance=1e-8,
    )  # fmt: skip
    study.instances(
        "factor at r = 0 and r → b, b = log 2",
        [_exit_time(width, -2.0, 0.0) / free_time, _exit_time(width, -2.0, width) / free_time], ends, _FIVE * ends,
        change="5 % larger", setting="collocation", tolerance=1e-8,
    )  # fmt: skip


@check("wall-extension")
def limits(study: Study) -> None:
    """Exact mean intervals of cross entropy and of the reflected walk at finite n converge to the formulas."""
    b, sizes = math.log(2), [4000, 16_000] if study.effort == "quick" else [4000, 16_000, 64_000]
    for fit_mean in (True, False):
        for depth in (None, 0.0, 0.3):
            values = [_walk_interval(n, b, fit_mean, depth) for n in sizes]
            if depth is None:
                right = float(theory.ce_mean_interval_limit(1000, b, fit_mean=fit_mean)) / 1000
            else:
                right = float(theory.wall_mean_interval(1000, b, depth, fit_mean=fit_mean)) / 1000
            name = "cross entropy" if depth is None else f"reflected walk, r = {depth}"
            study.limit(
                f"mean interval over n, {name}", sizes, values, right, 0.95 * right, order=0.5, change="5 % smaller",
                setting=f"{_label(fit_mean)}, b = log 2, integral equation of the exact walk",
            )  # fmt: skip


@check("wall-extension")
def on_paths(study: Study) -> None:
    """No gain for r ≥ b on any path; before the edge there is one, and at the edge none."""
    b, replicates, generations = 0.3, study.size(300, 3000), 80
    for n, fit_mean in ((5, True), (20, True), (20, False)):

        def intervals(r: float, b: float = b, n: int = n, fit_mean: bool = fit_mean) -> tuple[np.ndarray, np.ndarray]:
            runs = study.coupled(
                Gaussian(0.0, math.exp(r / 2), fit_mean=fit_mean), [CrossEntropy(), TruncatedCrossEntropy(_GAMMA)],
                n_samples=n, generations=generations, replicates=replicates, metrics=["log_std"], sampler="points",
            )  # fmt: skip
            outside = [np.abs(2 * run.metrics["log_std"] - r) > b for run in runs]
            first = [np.where(x.any(axis=1), x.argmax(axis=1), generations) for x in outside]
            return first[0], first[1]

        free, held = np.concatenate([intervals(r) for r in (b, 1.2 * b, 1.51)], axis=1)
        inner_free, inner_held = intervals(0.95 * b)
        setting = f"{_label(fit_mean)}, n = {n}, b = {b}, r = b, 1.2 b, 1.51, on the same points"
        study.everywhere(
            "−|interval of TCE − interval of CE|, r ≥ b", -np.abs(held - free)[:, None],
            -np.abs(inner_held - inner_free)[:, None], change="r 5 % below b", setting=setting,
        )  # fmt: skip
        if n == 5:
            width = math.log(2)
            edge_free, edge_held = intervals(width, width)
            ratio = _exit_time(width, -2.0, width) / _exit_time(width, -2.0, None)
            study.counterexample(
                "interval of TCE − 12.7 times that of CE, r = b = log 2", edge_held - 12.7 * edge_free, ratio - 12.7,
                hypothesis="the limit formula, r → b", setting=f"{_label(fit_mean)}, n = {n}, on the same points",
            )  # fmt: skip


@check("wall-extension")
def not_uniform(study: Study) -> None:
    """At n = 100 the interval is half of the limit or more for r = 0, and far less near the edge."""
    b, n = math.log(2), 100
    limits = []
    for r, horizon, replicates in ((0.67, 500, study.size(200, 2000)), (0.0, 1500, study.size(150, 1500))):
        run = study.simulate(
            Gaussian(0.0, math.exp(r / 2)), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=horizon,
            replicates=replicates, metrics=["log_std"],
        )  # fmt: skip
        outside = np.abs(2 * run.metrics["log_std"] - r) > b
        times = np.where(outside.any(axis=1), outside.argmax(axis=1), horizon)
        limits.append(mean_of(times / theory.wall_mean_interval(n, b, r)).limits(ERROR))
    study.counterexample(
        "interval over its limit − 1/2", limits[0][1] - 0.5, limits[1][0] - 0.5, hypothesis="r away from b",
        setting=f"truncation, mean fitted, n = {n}, b = log 2: r = 0.67; with r = 0; confidence limits",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- mean-wanders


@check("mean-wanders")
def displacement(study: Study) -> None:
    """Displacement where the bound is sharp and where it is not, and that displacements add up."""
    n, t, replicates = 10, 6, study.size(200_000, 1_000_000)
    run = study.simulate(
        Gaussian(0.0, 100.0), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=t, replicates=replicates,
        metrics=["mean"],
    )  # fmt: skip
    for s in (1, t):
        right = float(theory.least_variance_of_mean(s, n, _GAMMA, std=100.0)) / 1e4
        study.equal(
            f"E(μ_t − μ_0)²/σ_0², t = {s}", mean_of((run.metrics["mean"][:, s] / 100) ** 2), right, 1.1 * right,
            change="bound 10 % larger", setting=f"truncation, the wall out of reach (σ_c = σ_0/100), n = {n}",
            size=replicates,
        )  # fmt: skip
    n, t, replicates = 8, 60, study.size(4000, 40_000)
    held = study.simulate(
        Gaussian(), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=t, replicates=replicates, metrics=["mean"]
    ).metrics["mean"][:, t]  # fmt: skip
    bound = float(theory.least_variance_of_mean(t, n, _GAMMA))
    low = mean_of(held**2).limits(ERROR)[0]
    free = float(gaussian.variance_of_mean(t, n))  # exact: a sample of it has a tail too heavy for its mean
    study.counterexample(
        "E(μ_t − μ_0)² over its bound − 1", free / bound - 1, low / bound - 1, hypothesis="truncation",
        setting=f"cross entropy, exact; truncation, σ_0 = σ_c, n = {n}, t = {t}, confidence limit",
    )  # fmt: skip
    n, t, replicates = 10, 5, study.size(150_000, 800_000)
    mean = study.simulate(
        Gaussian(), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=t, replicates=replicates, metrics=["mean"]
    ).metrics["mean"]  # fmt: skip
    parts = (np.diff(mean, axis=1) ** 2).sum(axis=1)
    study.equal(
        "E(μ_t − μ_0)² − Σ E(μ_{s+1} − μ_s)²", mean_of(mean[:, t] ** 2 - parts), 0.0, 0.1 * float(parts.mean()),
        change="10 % of the sum", setting=f"truncation, σ_0 = σ_c, n = {n}, t = {t}", size=replicates,
    )  # fmt: skip


@check("mean-wanders")
def growth(study: Study) -> None:
    """Variance of a step of the mean, between σ²/n and nσ², and the bound against cross entropy."""
    n, replicates = 5, study.size(30_000, 200_000)
    slacks, wrong = [], []
    for ratio in np.linspace(0.61, 0.68, 8):
        run = study.simulate(
            Gaussian(0.0, float(ratio)), TruncatedCrossEntropy(_GAMMA), n_samples=n, generations=1,
            replicates=replicates, metrics=["mean"],
        )  # fmt: skip
        low, high = mean_of((run.metrics["mean"][:, 1] / ratio) ** 2).limits(ERROR)
        slacks.append([n * low - 1, 1 - high / n])
        wrong.append([1 - n * low])
    study.everywhere(
        "nv − 1 and 1 − v/n, v = E(μ_{t+1} − μ_t)²/σ_t²", slacks, wrong, change="v ≤ 1/n",
        setting=f"truncation, σ_t = 0.61 … 0.68 σ_c, n = {n}, confidence limits of {replicates} replicates each",
    )  # fmt: skip
    replicates = study.size(200_000, 800_000)
    run = study.simulate(
        Gaussian(0.0, 0.65), TruncatedCrossEntropy(_GAMMA), n_samples=2, generations=1, replicates=replicates,
        metrics=["mean"],
    )  # fmt: skip
    study.equal(
        "v = 1/n, n = 2", mean_of((run.metrics["mean"][:, 1] / 0.65) ** 2), 0.5, 0.45, change="10 % smaller",
        setting="truncation, σ_t = 0.65 σ_c: two points lie on either side of their mean", size=replicates,
    )  # fmt: skip
    n, t, replicates = 10, 8, study.size(20_000, 100_000)
    held, relative = (
        study.simulate(
            Gaussian(), loss, n_samples=n, generations=t, replicates=replicates, metrics=["std"]
        ).metrics["std"][:, t]
        for loss in (TruncatedCrossEntropy(_GAMMA), TruncatedCrossEntropy(0.6, scale="relative", mask="previous"))
    )  # fmt: skip
    bound = float(n)
    study.counterexample(
        "max(nσ_c², σ_0²) − E σ_t²", bound - mean_of(relative**2).limits(ERROR)[0],
        bound - mean_of(held**2).limits(ERROR)[1], hypothesis="absolute threshold",
        setting=f"relative threshold 0.6, previous mask, σ_0 = σ_c, n = {n}, t = {t}, confidence limits",
    )  # fmt: skip
    rng, size = study.generator(), study.size(300, 3000)
    times, sizes = rng.integers(1, 300, size), rng.integers(2, 50, size)
    std = np.exp(rng.uniform(-2, 2, size))
    least = np.asarray(theory.least_variance_of_mean(times, sizes, _GAMMA, std=std))
    free = np.asarray(gaussian.variance_of_mean(times, sizes, std=std))
    direct = np.array([_summed_bound(int(a), int(m), float(s)) for a, m, s in zip(times, sizes, std, strict=True)])
    study.instances(
        "bound of E(μ_t − μ_0)²", least, direct, _FIVE * direct, change="5 % larger",
        setting="summed term by term, random t, n and σ_0",
    )  # fmt: skip
    study.everywhere(
        "bound over E(μ_t − μ_0)² of cross entropy − 1", (direct / free - 1)[:, None], (direct / free - _FIVE)[:, None],
        change="5 % above", setting="random t, n and σ_0",
    )  # fmt: skip
    n, t, replicates = 20, 10, study.size(220_000, 800_000)
    for ddof in (0, 1):
        run = study.simulate(
            Gaussian(ddof=ddof), CrossEntropy(), n_samples=n, generations=t, replicates=replicates, metrics=["mean"]
        )
        right = t / n if ddof else 1 - (1 - 1 / n) ** t
        study.equal(
            f"E(μ_t − μ_0)²/σ_0², cross entropy, t = {t}", mean_of(run.metrics["mean"][:, t] ** 2), right, 1.1 * right,
            change="10 % larger", setting=f"ddof = {ddof}, n = {n}", size=replicates,
        )  # fmt: skip


def _summed_bound(t: int, n: int, std: float) -> float:
    floor = math.exp(-1)
    return sum(max(floor if s else 0.0, std**2 * (1 - 1 / n) ** s) for s in range(t)) / n


@check("mean-wanders")
def distances(study: Study) -> None:
    """Distances to generation 0: larger under truncation from the stated generation on, and bounded below."""
    n, t, replicates, std = 3, 6, study.size(20_000, 200_000), math.exp(-0.5)
    loss = TruncatedCrossEntropy(_GAMMA)
    run = study.simulate(
        Gaussian(0.0, std), loss, n_samples=n, generations=t, replicates=replicates, metrics=["w2_squared"]
    )
    held, free = mean_of(run.metrics["w2_squared"][:, t]), float(gaussian.expected_w2_squared(t, n, std=std))
    twice = 2 * std**2
    study.counterexample(
        "E W_2² over 2σ_0² − 1", free / twice - 1, held.limits(ERROR)[0] / twice - 1, hypothesis="truncation",
        setting=f"cross entropy, exactly; with truncation, σ_0 = σ_f, n = {n}, t = {t} = 1 + (2n − 1)σ_0²/σ_f², limits",
    )  # fmt: skip
    run = study.simulate(
        Gaussian(0.0, 0.8), loss, n_samples=5, generations=30, replicates=study.size(500, 5000),
        metrics=["kl_to_origin", "mean"],
    )  # fmt: skip
    kl, shift = run.metrics["kl_to_origin"], run.metrics["mean"] ** 2 / (2 * 0.64)
    study.everywhere(
        "KL(N_t‖N_0) − (μ_t − μ_0)²/(2σ_0²)", kl - shift, kl - _FIVE * shift, change="5 % larger",
        setting="truncation, σ_0 = 0.8 σ_c, n = 5, 30 generations",
    )  # fmt: skip
    n, t, replicates = 20, 20, study.size(200_000, 600_000)
    delta = -float(special.digamma((n - 1) / 2)) - math.log(2 / n)
    run = study.simulate(
        Gaussian(), CrossEntropy(), n_samples=n, generations=t, replicates=replicates, metrics=["kl_to_origin"]
    )
    study.equal(
        f"E KL(N_t‖N_0), cross entropy, t = {t}", mean_of(run.metrics["kl_to_origin"][:, t]), t * delta / 2,
        _FIVE * t * delta / 2, change="δ 5 % larger", setting=f"ddof 0, n = {n}", size=replicates,
    )  # fmt: skip
    n, t, replicates = 10, 20, study.size(10_000, 60_000)
    near, far = (
        mean_of(
            study.simulate(
                Gaussian(0.0, std), loss, n_samples=n, generations=t, replicates=replicates,
                metrics=["kl_to_origin"],
            ).metrics["kl_to_origin"][:, t]
        ).limits(ERROR)
        for std in (0.5 * math.exp(-0.5), 1.2)
    )  # fmt: skip
    free = -t * (float(special.digamma((n - 1) / 2)) + math.log(2 / n)) / 2
    study.counterexample(
        "E KL(N_t‖N_0) over that of cross entropy − 1", far[1] / free - 1, near[0] / free - 1, hypothesis="small σ_0",
        setting=f"truncation, n = {n}, t = {t}, σ_0 = 1.2 σ_c; with σ_0 = σ_f/2, confidence limits",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- shape-collapse


def _fitted(rng: np.random.Generator, root: np.ndarray, n: int, fit_mean: bool) -> np.ndarray:
    """Covariance matrices fitted by maximum likelihood to n points each, given Cholesky factors of the previous."""
    points = rng.standard_normal((root.shape[0], n, root.shape[1])) @ np.swapaxes(root, 1, 2)
    if fit_mean:
        points -= points.mean(axis=1, keepdims=True)
    return np.asarray(np.swapaxes(points, 1, 2) @ points / n)


def _start(d: int) -> np.ndarray:
    return np.asarray(np.diag(np.linspace(2.0, 1.0, d)) + 0.3)


@check("shape-collapse")
def minors(study: Study) -> None:
    """Mean and variance of the logarithm of leading minors, in a random basis, for both fits."""
    n, d, t, replicates = 6, 3, 2, study.size(180_000, 600_000)
    rng = study.generator()
    basis = np.linalg.qr(rng.standard_normal((d, d)))[0]
    for fit_mean in (True, False):
        fitted = np.broadcast_to(_start(d), (replicates, d, d))
        for _ in range(t):
            fitted = _fitted(rng, np.linalg.cholesky(fitted), n, fit_mean)
        turned, origin = basis @ fitted @ basis.T, basis @ _start(d) @ basis.T
        for k in range(1, d + 1):
            growth = np.log(np.linalg.det(turned[:, :k, :k]) / np.linalg.det(origin[:k, :k]))
            degrees = n - np.arange(1, k + 1) + (0 if fit_mean else 1)
            mean = t * float((special.digamma(degrees / 2) + math.log(2 / n)).sum())
            variance = t * float(special.polygamma(1, degrees / 2).sum())
            setting = f"{_label(fit_mean)}, d = {d}, n = {n}, t = {t}, random basis"
            study.equal(
                f"E log of the {k} × {k} minor", mean_of(growth), mean, mean - 0.1 * math.sqrt(variance),
                change="smaller by 10 % of the standard deviation", setting=setting, size=replicates,
            )  # fmt: skip
            study.equal(
                f"Var log of the {k} × {k} minor", variance_of(growth), variance, 1.1 * variance, change="10 % larger",
                setting=setting, size=replicates,
            )  # fmt: skip


@check("shape-collapse")
def exponents(study: Study) -> None:
    """Growth of the eigenvalues and of the condition number a generation, once they have drawn apart."""
    d, first, last, replicates = 2, 100, 200, study.size(8400, 36_000)
    for n, fit_mean in ((4, True), (3, False)):
        rng, unit = study.generator(), np.broadcast_to(np.eye(d), (replicates, d, d))
        root, logs = np.linalg.cholesky(np.broadcast_to(_start(d), (replicates, d, d))), []
        for t in range(1, last + 1):
            # the fit to points L z is L S Lᵀ, S that to z: a product of factors, which keeps its digits
            root = root @ np.linalg.cholesky(_fitted(rng, unit, n, fit_mean))
            if t in (first, last):
                logs.append(_log_eigenvalues(root))
        growth = (logs[1] - logs[0]) / (last - first)
        setting = f"{_label(fit_mean)}, d = {d}, n = {n}, generations {first} to {last}"
        for i in range(d):
            right = float(theory.eigenvalue_drift(i + 1, n, fit_mean=fit_mean))
            study.equal(
                f"growth of the logarithm of eigenvalue {i + 1}", mean_of(growth[:, i]), right, 1.08 * right,
                change="8 % more", setting=setting, size=replicates,
            )  # fmt: skip
        right = float(theory.condition_number_drift(d, n, fit_mean=fit_mean))
        study.equal(
            "growth of the logarithm of the condition number", mean_of(growth[:, 0] - growth[:, 1]), right,
            1.1 * right, change="10 % more", setting=setting, size=replicates,
        )  # fmt: skip
    sizes = [100, 200, 400]
    for dimension in (2, 5):
        values = [n * float(theory.condition_number_drift(dimension, n)) for n in sizes]
        study.limit(
            f"n times the growth of the log condition number, d = {dimension}", sizes, values, dimension - 1,
            _FIVE * (dimension - 1), order=1, change="5 % larger", setting="mean fitted",
        )  # fmt: skip


@check("shape-collapse")
def one_variance_for_all_directions(study: Study) -> None:
    """Growth of the condition number: none where a factor of the covariance is fitted and not its shape."""
    d, n, t, replicates = 2, 10, 30, study.size(200, 2000)
    rng = study.generator()
    log_condition: dict[str, np.ndarray] = {}
    for name in ("full", "isotropic"):
        fitted = np.broadcast_to(_start(d), (replicates, d, d))
        start = _log_eigenvalues(np.linalg.cholesky(fitted))
        for _ in range(t):
            new = _fitted(rng, np.linalg.cholesky(fitted), n, True)
            if name == "isotropic":  # the shape of generation 0, scaled by the mean variance of the whitened points
                scale = np.trace(np.linalg.solve(fitted, new), axis1=1, axis2=2) / d
                new = scale[:, None, None] * fitted
            fitted = new
        gap = _log_eigenvalues(np.linalg.cholesky(fitted)) - start
        log_condition[name] = gap[:, 0] - gap[:, 1]
    least = 0.5 * t * float(theory.condition_number_drift(d, n))
    study.counterexample(
        "mean growth of the log condition number in 30 generations over half of what it tends to",
        log_condition["isotropic"].mean() - least, log_condition["full"].mean() - least,
        hypothesis="the whole covariance is fitted", setting=f"d = {d}, n = {n}; fitted up to a factor, and in full",
    )  # fmt: skip


def _log_eigenvalues(root: np.ndarray) -> np.ndarray:
    """Logarithms of the eigenvalues of L Lᵀ for 2 × 2 Cholesky factors L, largest first."""
    log_determinant = 2 * (np.log(root[:, 0, 0]) + np.log(root[:, 1, 1]))
    product = root @ np.swapaxes(root, 1, 2)
    half = (product[:, 0, 0] + product[:, 1, 1]) / 2
    largest = np.log(half + np.hypot((product[:, 0, 0] - product[:, 1, 1]) / 2, product[:, 0, 1]))
    return np.stack([largest, log_determinant - largest], axis=1)
