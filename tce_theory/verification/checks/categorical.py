"""Checks of categorical models: what a cap leaves in the end; single fits and drift are in files of their own."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy import optimize

from tce_theory import metrics
from tce_theory.fitting import Counts, fit
from tce_theory.losses import TCE, CrossEntropy
from tce_theory.models.categorical import Categorical
from tce_theory.theory import categorical as theory
from tce_theory.verification.checks import _drift, _intervals, _markov, check
from tce_theory.verification.checks._capped import capped_problem, least_on_cap, quiet
from tce_theory.verification.study import Study

__all__ = ["_drift", "_intervals", "_markov"]  # imported for its checks, which register themselves

_CE = CrossEntropy()
_FIVE = "5 % larger"


def _uniform(size: int) -> Categorical:
    return Categorical(np.full(size, 1 / size))


def _vertex(rng: np.random.Generator, size: int, gamma: float) -> np.ndarray:
    """Vertex of the distributions capped at γ, by linear programming."""
    return np.asarray(
        optimize.linprog(rng.normal(size=size), A_eq=np.ones((1, size)), b_eq=[1.0], bounds=(0.0, gamma)).x
    )


# --- support-floor

_FLOORS = ((2, 0.9, 4), (3, 0.6, 5), (5, 0.3, 4))
"""Classes, γ, n."""


@check("support-floor")
def floors_on_every_path(study: Study) -> None:
    """Warm-started from the uniform law: largest probability, classes and entropy at every generation."""
    replicates = study.size(100, 1500)
    slack: dict[str, list[np.ndarray]] = {"max q/γ": [], "S/⌈1/γ⌉": [], "H/h_min(γ)": []}
    for size, gamma, n in _FLOORS:
        found = study.simulate(
            _uniform(size), TCE(gamma, vacuous="warm"), n_samples=n, generations=60, replicates=replicates,
            metrics=["max_prob", "support", "entropy"],
        ).metrics  # fmt: skip
        slack["max q/γ"].append(1 - found["max_prob"] / gamma)
        slack["S/⌈1/γ⌉"].append(found["support"] / theory.surviving_classes_floor(gamma) - 1)
        slack["H/h_min(γ)"].append(found["entropy"] / theory.entropy_floor(gamma) - 1)
    for ratio, parts in slack.items():
        together = np.concatenate(parts)
        relation = "≤ 1" if ratio == "max q/γ" else "≥ 1"
        study.everywhere(
            f"{ratio} {relation}", together, together - 0.05, change="bound 5 % tighter",
            setting="from uniform; (K, γ, n) = (2, .9, 4), (3, .6, 5), (5, .3, 4), 60 generations",
        )  # fmt: skip


@check("support-floor")
def hypotheses_of_the_floors(study: Study) -> None:
    """From outside the cap a model stays below the floor until the rare class is drawn; drawn-only loses classes."""
    options: dict[str, Any] = {"n_samples": 4, "generations": 40, "replicates": study.size(100, 1000)}
    outside, inside = (
        study.simulate(Categorical([p, 1 - p]), TCE(0.9), metrics=["entropy"], **options).metrics["entropy"]
        for p in (0.95, 0.9)
    )
    floor = theory.entropy_floor(0.9)
    study.counterexample(
        "H ≥ h_min(.9)", outside - floor, inside - floor, hypothesis="q_0 ∈ C_γ",
        setting="γ = .9, n = 4 from (.95, .05), and from (.9, .1)",
    )  # fmt: skip
    lost, kept = (
        study.simulate(_uniform(5), TCE(0.3, vacuous=rule), metrics=["support"], **options).metrics["support"]
        for rule in ("drawn-only", "warm")
    )
    study.counterexample(
        "S ≥ ⌈1/γ⌉", lost - 4, kept - 4, hypothesis="warm start", setting="K = 5, γ = .3, n = 4; drawn-only, and warm"
    )


@check("support-floor")
def return_to_the_cap(study: Study) -> None:
    """From outside: the first fit that is not vacuous is within the cap, and no later one leaves it."""
    model, gamma = Categorical([0.7, 0.2, 0.06, 0.04]), 0.4
    options: dict[str, Any] = {"n_samples": 6, "replicates": study.size(500, 10_000), "metrics": ["max_prob"]}
    once = study.simulate(model, TCE(gamma), generations=1, **options)
    first = 1 - once.metrics["max_prob"][:, 1:] / gamma
    fitted = once.events["vacuous"][:, None] == 0
    study.everywhere(
        "max q_1 ≤ γ where Sγ > 1", np.where(fitted, first, 0.0), np.where(fitted, first - 0.05, 0.0),
        change="γ 5 % smaller", setting="one generation from (.7, .2, .06, .04), γ = .4, n = 6",
    )  # fmt: skip
    later = 1 - study.simulate(model, TCE(gamma), generations=40, **options).metrics["max_prob"] / gamma
    entered = np.maximum.accumulate(later >= -1e-12, axis=1)
    study.everywhere(
        "max q_t ≤ γ from the first such t on", np.where(entered, later, 0.0), np.where(entered, later - 0.05, 0.0),
        change="γ 5 % smaller", setting="40 generations from there",
    )  # fmt: skip


@check("support-floor")
def least_entropy(study: Study) -> None:
    """Entropy at vertices of C_γ found by linear programming, and inside it; −log γ at 1/γ = 2, 3, …."""
    rng, size = study.generator(), 8
    gammas = rng.uniform(0.15, 1, study.size(30, 400))
    vertices = [np.maximum(_vertex(rng, size, gamma), 0) for gamma in gammas]
    found = [metrics.entropy(vertex) for vertex in vertices]
    floors = np.asarray(theory.entropy_floor(gammas))
    study.instances(
        "H at a vertex of C_γ, h_min(γ)", found, floors, 1.05 * floors, change=f"h_min {_FIVE}",
        setting="K = 8, γ in (.15, 1), random linear programs",
    )  # fmt: skip
    inside = []
    for gamma, vertex in zip(gammas, vertices, strict=True):
        others = [theory.capped_projection(rng.dirichlet(np.full(size, 0.3)), gamma).probs for _ in range(20)]
        shares = np.geomspace(1e-4, 1, 20)
        inside.append([
            metrics.entropy((1 - share) * vertex + share * other) for share, other in zip(shares, others, strict=True)
        ])  # fmt: skip
    slack = np.array(inside) / floors[:, None] - 1
    study.everywhere(
        "H ≥ h_min(γ) on C_γ",
        slack,
        slack - 0.05,
        change=f"h_min {_FIVE}",
        setting="between these vertices and capped projections",
    )
    whole = 1 / np.arange(2, 30)
    excess = np.asarray(theory.entropy_floor(gammas)) + np.log(gammas)
    study.counterexample(
        "h_min(γ) ≤ −log γ", -excess, -np.asarray(theory.entropy_floor(whole)) - np.log(whole),
        hypothesis="1/γ is an integer", setting="γ in (.15, 1), and 1/2 … 1/29",
    )  # fmt: skip


# --- cap-bias


@check("cap-bias")
def total_variation_on_every_path(study: Study) -> None:
    """Within the cap the distance from the truth is at least the excess of the head, and n = 400 comes near it."""
    model, gamma, n = Categorical([0.6, 0.25, 0.1, 0.05]), 0.4, 400
    tv = study.simulate(
        model, TCE(gamma), n_samples=n, generations=30, replicates=study.size(200, 3000), metrics=["tv"]
    ).metrics["tv"]
    slack = tv / theory.cap_bias(model.probs, gamma) - 1
    setting = "p_0 = (.6, .25, .1, .05), γ = .4, n = 400, 30 generations"
    study.everywhere(
        "TV(p_t, p_0) ≥ Σ (p_0i − γ)_+", slack[:, 1:], slack[:, 1:] - 0.05, change=f"bound {_FIVE}", setting=setting
    )
    study.counterexample(
        "TV(p_t, p_0) ≥ Σ (p_0i − γ)_+", slack[:, 0], slack[:, 1:], hypothesis="p_t ∈ C_γ",
        setting="generation 0, against all later ones",
    )  # fmt: skip


@check("cap-bias")
def least_distances(study: Study) -> None:
    """Minimise total variation by linear, divergences by quadratic programming; and compare those of fits."""
    rng = study.generator()
    distances, biases, at_fit, of_fit = [], [], [], []
    for _ in range(study.size(25, 500)):
        p, gamma = capped_problem(rng)
        bias = theory.water_filling_bias(p, gamma)
        forward = least_on_cap(lambda q, p=p: float(p @ np.log(p / q)), p.size, gamma)  # type: ignore[misc]
        reverse = least_on_cap(lambda q, p=p: float(q @ np.log(q / p)), p.size, gamma)  # type: ignore[misc]
        distances.append([
            _least_variation(p, gamma), metrics.kl_divergence(p, forward), metrics.kl_divergence(reverse, p)
        ])  # fmt: skip
        biases.append(bias)
        counts = np.maximum(np.round(1e4 * p), 1).astype(np.int64)
        truth = Categorical(counts / counts.sum())
        fitted = fit(truth, Counts(counts), TCE(gamma)).model
        at_fit.append([fitted.total_variation(truth), truth.kl_divergence(fitted), fitted.kl_divergence(truth)])
        of_fit.append(theory.water_filling_bias(truth.probs, gamma))
    names = "TV, KL(p_0‖q), KL(q‖p_0)"
    for quantity, found, predicted, setting in (
        (f"least {names} on C_γ", distances, biases, "linear programs, SLSQP; 5 classes, γ < max p_0"),
        (f"{names} of the projection", at_fit, of_fit, "fits to data with the frequencies p_0"),
    ):
        study.instances(
            quantity, found, predicted, 1.05 * np.array(predicted), change=f"bias {_FIVE}", setting=setting,
            tolerance=1e-5,
        )  # fmt: skip


def _least_variation(p: np.ndarray, gamma: float) -> float:
    """Least Σ (p − q)_+ over the q capped at γ: least Σ u, u ≥ p − q, u ≥ 0."""
    size = p.size
    found = optimize.linprog(
        np.repeat([0.0, 1.0], size), A_ub=-np.hstack([np.eye(size)] * 2), b_ub=-p,
        A_eq=np.repeat([[1.0, 0.0]], size, axis=1).reshape(1, -1), b_eq=[1.0],
        bounds=[(0, gamma)] * size + [(0, None)] * size,
    )  # fmt: skip
    return float(found.fun)


# --- flat-gain


@check("flat-gain")
def bounds_on_every_path(study: Study) -> None:
    """Distance from the uniform law and number of classes, for ever; cross entropy and another truth break them."""
    replicates = study.size(100, 1500)
    options: dict[str, Any] = {"generations": 80, "replicates": replicates, "metrics": ["tv", "support"]}
    far, few, ce_far = [], [], []
    for size, delta, n in ((4, 1 / 3, 4), (12, 0.5, 20), (5, 0.7, 6)):
        loss = TCE((1 + delta) / size)
        runs = study.coupled(_uniform(size), [loss, _CE], n_samples=n, sampler="points", **options)
        found, without = (run.metrics for run in runs)
        bound = theory.flat_gain_total_variation(delta)
        far.append(1 - found["tv"] / bound)
        few.append(found["support"] / theory.flat_gain_support(size, delta) - 1)
        ce_far.append(1 - without["tv"] / bound)
    slack, classes = np.concatenate(far), np.concatenate(few)
    setting = "from uniform; (K, δ, n) = (4, 1/3, 4), (12, 1/2, 20), (5, .7, 6), 80 generations"
    study.everywhere("TV ≤ δ/(1 + δ)", slack, slack - 0.05, change="bound 5 % smaller", setting=setting)
    study.everywhere("S ≥ ⌈K/(1 + δ)⌉", classes, classes - 0.05, change=f"bound {_FIVE}", setting=setting)
    study.counterexample(
        "TV ≤ δ/(1 + δ)", np.concatenate(ce_far), slack, hypothesis="TCE, γ = (1 + δ)/K", setting=f"{setting}; CE"
    )
    other = study.simulate(Categorical([0.33, 0.33, 0.3, 0.04]), TCE(1 / 3), n_samples=4, **options)
    study.counterexample(
        "TV ≤ δ/(1 + δ)", 1 / 4 - other.metrics["tv"], slack, hypothesis="p_0 is uniform",
        setting="p_0 = (.33, .33, .3, .04), γ = 1/3, n = 4",
    )  # fmt: skip


@check("flat-gain")
def attained(study: Study) -> None:
    """Go to vertices of C_γ: their distance is the bound if and only if K/(1 + δ) is an integer."""
    rng = study.generator()
    gaps: dict[bool, list[float]] = {True: [], False: []}
    found, predicted = [], []
    for _ in range(study.size(20, 300)):
        size = int(rng.integers(3, 12))
        kept = int(rng.integers(2, size))
        for whole, divisor in ((True, kept), (False, kept + rng.uniform(0.1, 0.9))):
            delta = size / divisor - 1
            vertex = _vertex(rng, size, (1 + delta) / size)
            distance = metrics.total_variation(np.maximum(vertex, 0), np.full(size, 1 / size))
            gaps[whole].append(distance - float(theory.flat_gain_total_variation(delta)))
        counts = rng.permutation(np.append(1 + rng.poisson(3, kept), np.zeros(size - kept, int)))
        with quiet():
            fitted = fit(_uniform(size), Counts(counts), TCE(1 / kept)).model
        found.append(fitted.total_variation(_uniform(size)))
        predicted.append(theory.flat_gain_total_variation(size / kept - 1))
    study.instances(
        "TV of the fit to K/(1 + δ) classes, δ/(1 + δ)", found, predicted, 1.05 * np.array(predicted),
        change=f"bound {_FIVE}", setting="K = 3 … 11, random counts",
    )  # fmt: skip
    study.counterexample(
        "TV at a vertex of C_γ ≥ δ/(1 + δ)", gaps[False], gaps[True], hypothesis="K/(1 + δ) is an integer",
        setting="vertices by linear programming, K = 3 … 11",
    )  # fmt: skip


# --- mode-seeking-limit


def _sharpened_path(p: np.ndarray, gamma: float, temperature: float, steps: int) -> np.ndarray:
    """Models of the population recursion, p_0 first."""
    path = [p]
    for _ in range(steps):
        sharp = np.exp((np.log(np.maximum(path[-1], 1e-300)) - math.log(path[-1].max())) / temperature)
        sharp = np.where(path[-1] > 0, sharp, 0.0)
        path.append(theory.capped_projection(sharp / sharp.sum(), gamma).probs)
    return np.array(path)


@check("mode-seeking-limit")
def limit_of_the_recursion(study: Study) -> None:
    """Iterate sharpening and fitting, ties included: the limit, its entropy, and what happens on the way."""
    rng = study.generator()
    ends, limits, shifted, entropies, floors = [], [], [], [], []
    ratios, earlier, stays, flattened = [], [], [], []
    for _ in range(study.size(60, 1500)):
        p = rng.integers(1, 7, 6).astype(float)
        p /= p.sum()
        gamma = float(rng.choice([rng.uniform(0.2, 0.95), 1 / 2, 1 / 3, 1 / 4]))
        temperature = rng.uniform(0.5, 0.8)
        path = _sharpened_path(p, gamma, temperature, 60)
        ends.append(path[-1])
        limits.append(theory.mode_seeking_limit(p, gamma))
        shifted.append(theory.mode_seeking_limit(p, 1.05 * gamma))
        ranked, rank = np.sort(p)[::-1], theory.surviving_classes_floor(gamma)
        if ranked[rank - 1] > ranked[min(rank, 5)] and (rank < 2 or ranked[rank - 2] > ranked[rank - 1]):
            entropies.append(metrics.entropy(path[-1]))
            floors.append(float(theory.entropy_floor(gamma)))
        for before, after in itertools.pairwise(path[:4]):
            free = np.flatnonzero(after < gamma * (1 - 1e-9))
            i, j = (free[side] for side in np.triu_indices(free.size, 1))
            wanted = np.abs(np.log(before[i] / before[j])) > 1e-9
            ratios.append(np.log(after[i] / after[j])[wanted])
            earlier.append(np.log(before[i] / before[j])[wanted] / temperature)
        stays.append(_fall_from_the_cap(path, gamma))
        flattened.append(_fall_from_the_cap(_sharpened_path(p, gamma, 1.25, 60), gamma))
    setting = "K = 6, p_0 from ties of 1 … 6, γ random and 1/2, 1/3, 1/4; T in (.5, .8), 60 steps"
    study.instances(
        "p_60, the limit", 1 + np.array(ends), 1 + np.array(limits), 1 + np.array(shifted), change=f"γ {_FIVE}",
        setting=f"{setting}; 1 added to each p", tolerance=1e-6,
    )  # fmt: skip
    study.instances(
        "H → h_min(γ)", entropies, floors, 1.05 * np.array(floors), change=f"h_min {_FIVE}", setting=setting,
        tolerance=1e-6,
    )  # fmt: skip
    predicted = np.concatenate(earlier)
    study.instances(
        "r_{t+1} = r_t/T below the cap", np.concatenate(ratios), predicted, predicted / 1.05, change=f"T {_FIVE}",
        setting="first three steps", tolerance=1e-8,
    )  # fmt: skip
    study.counterexample(
        "p_t ≥ γ is followed by p_{t+1} = γ", np.concatenate(flattened), np.concatenate(stays),
        hypothesis="temperature T < 1", setting=f"{setting}; without it T = 1.25",
    )  # fmt: skip


def _fall_from_the_cap(path: np.ndarray, gamma: float) -> np.ndarray:
    at_cap = path[:-1] >= gamma * (1 - 1e-12)
    return np.asarray(-np.abs(path[1:] - gamma)[at_cap])


@check("mode-seeking-limit")
def other_decoding(study: Study) -> None:
    """Ties, greedy decoding and top-p decoding do not get down to h_min."""
    zipf, gamma = Categorical.zipf(20), 0.5
    greedy = zipf
    with quiet():
        for _ in range(5):
            mode = Counts(np.where(greedy.probs == greedy.probs.max(), 9, 0))
            greedy = fit(greedy, mode, TCE(gamma)).model
    top_p, kept = zipf.probs, []
    for _ in range(30):
        top_p, drawn = _top_p_step(top_p, gamma)
        kept.append([drawn * gamma])
    found = [greedy.entropy(), metrics.entropy(top_p)]
    stated = np.array([2.0516, 1.2425])
    setting = "Zipf(1), K = 20, γ = .5; greedy decoding, and top-p .9, 30 generations"
    study.instances("H", found, stated, 1.05 * stated, change=f"H {_FIVE}", setting=setting, tolerance=5e-5)
    model = np.array([12, 6, 4, 3]) / 25
    study.instances(
        "what top-p leaves, (12, 6, 4, 3)/25", top_p[:4], model, 1.05 * model, change=f"each {_FIVE}", setting=setting
    )
    slack = np.array(kept) - 2
    study.everywhere("Sγ ≥ 2 under top-p", slack, slack - 0.1, change=f"bound {_FIVE}", setting=setting)
    tied = metrics.entropy(_sharpened_path(np.array([0.3, 0.3, 0.2, 0.2]), 0.9, 0.7, 60)[-1])
    without = np.array([theory.entropy_floor(0.9) - tied, *(theory.entropy_floor(0.5) - np.array(found))])
    sharp = metrics.entropy(_sharpened_path(zipf.probs, gamma, 0.7, 60)[-1])
    study.counterexample(
        "H → h_min(γ)", without, theory.entropy_floor(0.5) - sharp, hypothesis="a temperature, no tie at the rank",
        setting="p_0 = (.3, .3, .2, .2), γ = .9; greedy; top-p", tolerance=1e-6,
    )  # fmt: skip


def _top_p_step(p: np.ndarray, gamma: float) -> tuple[np.ndarray, int]:
    """Fit to the most probable classes that together have at least .9; and their number."""
    order = np.argsort(-p, kind="stable")
    keep = order[: int(np.searchsorted(np.cumsum(p[order]), 0.9 - 1e-12)) + 1]
    left = np.zeros_like(p)
    left[keep] = p[keep] / p[keep].sum()
    return theory.capped_projection(left, gamma).probs, keep.size
