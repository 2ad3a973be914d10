"""Checks of what a cap on confidence does to a categorical model, fit by fit."""

from __future__ import annotations

import contextlib
import itertools
import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from scipy import optimize, special

from tce_theory.errors import StatisticalWarning
from tce_theory.fitting import Counts, fit
from tce_theory.losses import TCE
from tce_theory.models.categorical import Categorical
from tce_theory.theory import categorical as theory
from tce_theory.verification.checks import check
from tce_theory.verification.checks._logit_flow import flow
from tce_theory.verification.study import Study

_SIZE = 5
"""Classes of a random instance."""
_FIVE = "5 % larger"


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Leave out warnings of vacuous fits, which are what is looked at."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)
        yield


def hinge(f: np.ndarray, q: np.ndarray, gamma: float) -> np.ndarray:
    """Σ f max(−log q, −log γ), over the last axis."""
    with np.errstate(divide="ignore"):
        terms = np.maximum(-np.log(q), -math.log(gamma))
    return np.asarray(np.where(f > 0, f * np.where(f > 0, terms, 0.0), 0.0).sum(axis=-1))


def capped_problem(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Frequencies of `_SIZE` classes, and a threshold below the largest."""
    while True:
        f = rng.dirichlet(np.full(_SIZE, 0.8))
        low, high = 1.05 / _SIZE, 0.98 * f.max()
        if low < high and f.min() > 1e-3:
            return f, rng.uniform(low, high)


def _with_larger_multiplier(f: np.ndarray, gamma: float, level: float) -> np.ndarray:
    """Give what min(γ, f/1.05λ) leaves to the most frequent class."""
    q = np.minimum(gamma, f / (1.05 * level))
    q[f.argmax()] += 1 - q.sum()
    return np.asarray(q)


def _exchanges(q: np.ndarray) -> np.ndarray:
    """Return q with a part of one class moved to another: all pairs, four parts."""
    pairs = np.array(list(itertools.permutations(range(q.size), 2)))
    moves = np.eye(q.size)[pairs[:, 0]] - np.eye(q.size)[pairs[:, 1]]
    parts = np.array([1e-3, 1e-2, 0.1, 0.5])
    return np.asarray(q + parts[:, None, None] * q[pairs[:, 1], None] * moves).reshape(-1, q.size)


def least_on_cap(divergence: Callable[[np.ndarray], float], size: int, gamma: float) -> np.ndarray:
    """Minimise over the distributions capped at γ, by sequential quadratic programming."""
    found = optimize.minimize(
        divergence, np.full(size, 1 / size), method="SLSQP", bounds=[(1e-9, gamma)] * size,
        constraints={"type": "eq", "fun": lambda q: q.sum() - 1, "jac": np.ones_like}, options={"ftol": 1e-14,
        "maxiter": 500},
    )  # fmt: skip
    return np.asarray(found.x)


# --- capped-projection


@check("capped-projection")
def no_exchange_improves_the_fit(study: Study) -> None:
    """Exchange parts of all pairs of classes; as L_γ = Σ f_i φ(q_i), φ convex, the fit is least if none improves it."""
    rng, size = study.generator(), study.size(300, 4000)
    slacks: list[np.ndarray] = []
    wrong: list[np.ndarray] = []
    for _ in range(size):
        f, gamma = capped_problem(rng)
        projection = theory.capped_projection(f, gamma)
        for q, kept in ((projection.probs, slacks), (_with_larger_multiplier(f, gamma, projection.multiplier), wrong)):
            kept.append(hinge(f, _exchanges(q), gamma) - hinge(f, q, gamma))
    study.everywhere(
        "L_γ(q + ε(e_i − e_j)) − L_γ(q) ≥ 0 at q = min(γ, f/λ)", np.array(slacks), np.array(wrong),
        change=f"λ {_FIVE}", setting=f"{_SIZE} classes, f Dirichlet, γ < max f; all pairs, four ε each",
    )  # fmt: skip


@check("capped-projection")
def multiplier(study: Study) -> None:
    """λ and m against an optimiser that knows the cap alone, and against the library's fits to counts."""
    rng = study.generator()
    found, predicted, fits, projections, excess, weights, stated = [], [], [], [], [], [], []
    for _ in range(study.size(30, 600)):
        f, gamma = capped_problem(rng)
        projection = theory.capped_projection(f, gamma)
        q = least_on_cap(lambda q, f=f: -float(f @ np.log(q)), _SIZE, gamma)  # type: ignore[misc]
        free = projection.probs < gamma * (1 - 1e-6)
        found.append(float(f[free].sum() / q[free].sum()))
        predicted.append(projection.multiplier)
    study.instances(
        "λ = (1 − F_m)/(1 − mγ)", found, predicted, 1.05 * np.array(predicted), change=f"λ {_FIVE}", tolerance=1e-6,
        setting="mass of f over mass of q on the free classes, q = argmin KL(f‖q) over max q ≤ γ by SLSQP",
    )  # fmt: skip
    for _ in range(study.size(300, 4000)):
        f, gamma = capped_problem(rng)
        counts = np.maximum(np.round(1000 * f), 1).astype(np.int64)
        projection = theory.capped_projection(counts / counts.sum(), gamma)
        result = fit(Categorical(f), Counts(counts), TCE(gamma))
        q = result.model.probs
        weights.append([*result.weights, 1 - result.masked_weight / counts.sum()])
        level = projection.multiplier
        stated.append([*np.minimum(1.0, level * gamma * counts.sum() / counts), level])
        fits.append(q)
        projections.append(projection.probs)
        n_capped = np.count_nonzero(q >= gamma * (1 - 1e-12))
        excess.append([math.ceil(1 / gamma) - 1 - n_capped, n_capped])
    study.instances(
        "q = min(γ, f/λ)", fits, projections, 1.05 * np.array(projections), change=f"q {_FIVE}", tolerance=1e-11,
        setting="fits to counts of about 1000 points",
    )  # fmt: skip
    study.instances(
        "weights: 1 below the cap, λγ/f_i at it; mean λ", weights, stated, 1.05 * np.array(stated),
        change=f"weights {_FIVE}", setting="the same fits", tolerance=1e-11,
    )  # fmt: skip
    slack = np.array(excess, float)
    study.everywhere(
        "m ≤ ⌈1/γ⌉ − 1", slack[:, :1], slack[:, :1] - 1, change="⌈1/γ⌉ − 2", setting="classes at γ in the same fits"
    )


@check("capped-projection")
def every_divergence(study: Study) -> None:
    """Compare the fit with other capped q in six f-divergences, and in Euclidean distance, which is none."""
    rng, size = study.generator(), study.size(100, 2000)
    slacks, wrong, euclidean = [], [], []
    for _ in range(size):
        f, gamma = capped_problem(rng)
        best = theory.capped_projection(f, gamma).probs
        others = np.array([theory.capped_projection(rng.dirichlet(np.ones(_SIZE)), gamma).probs for _ in range(20)])
        steps = np.array([1e-3, 0.1, 1.0])[:, None, None]
        points = ((1 - steps) * best + steps * others).reshape(-1, _SIZE)
        least, around = _divergences(f, best[None]), _divergences(f, points)
        slacks.append((around - least).ravel())
        wrong.append((around - 1.05 * least).ravel())
        euclidean.append(((f - points) ** 2).sum(axis=1) - ((f - best) ** 2).sum())
    setting = f"{_SIZE} classes; q from random capped distributions, and near the fit q*"
    names = "KL(f‖q), KL(q‖f), Hellinger, χ², total variation, E₁.₂"
    study.everywhere(
        f"D(f‖q) ≥ D(f‖q*) for {names}", np.array(slacks), np.array(wrong), change=f"least divergence {_FIVE}",
        setting=setting,
    )  # fmt: skip
    study.counterexample(
        "|f − q|² ≥ |f − q*|²", np.array(euclidean), np.array(slacks), hypothesis="an f-divergence", setting=setting
    )


def _divergences(f: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.array([
            (f * np.log(f / q)).sum(axis=-1),
            special.xlogy(q, q / f).sum(axis=-1),
            ((np.sqrt(f) - np.sqrt(q)) ** 2).sum(axis=-1),
            ((f - q) ** 2 / q).sum(axis=-1),
            np.abs(f - q).sum(axis=-1) / 2,
            np.maximum(f - 1.2 * q, 0).sum(axis=-1),
        ])  # fmt: skip


@check("capped-projection")
def monotone_capping(study: Study) -> None:
    """Capping pass by pass: λ never rises, and at most m + 1 passes end at the fit."""
    rng, size = study.generator(), study.size(500, 10_000)
    falls, spare, ends, predicted = [], [], [], []
    for _ in range(size):
        f, gamma = capped_problem(rng)
        projection = theory.capped_projection(f, gamma)
        capped, levels = np.zeros(_SIZE, bool), []
        while True:
            levels.append((1 - f[capped].sum()) / (1 - capped.sum() * gamma))
            over = ~capped & (f > levels[-1] * gamma)
            if not over.any():
                break
            capped |= over
        falls.append(min(-np.diff(levels)))
        spare.append(capped.sum() + 1 - len(levels))
        ends.append(levels[-1])
        predicted.append(projection.multiplier)
    setting = f"{_SIZE} classes, f Dirichlet"
    slack = np.column_stack([falls, spare])
    study.everywhere(
        "λ falls, and passes ≤ m + 1", slack, slack - np.array([0.0, 1.0]), change="at most m passes", setting=setting
    )
    study.instances(
        "λ after the last pass", ends, predicted, 1.05 * np.array(predicted), change=f"λ {_FIVE}", setting=setting
    )


@check("capped-projection")
def as_many_as_fit_under_the_cap(study: Study) -> None:
    """For Sγ = 1 each drawn class gets γ; for Sγ < 1 every q with γ on them is least, and for Sγ ≥ 1 one is."""
    rng = study.generator()
    found, wanted = [], []
    for _ in range(study.size(100, 2000)):
        drawn = int(rng.integers(2, 9))
        counts = np.append(1 + rng.poisson(rng.uniform(0, 20, drawn)), [0, 0])
        model = Categorical(np.full(drawn + 2, 1 / (drawn + 2)))
        with quiet():
            found.append(fit(model, Counts(counts), TCE(1 / drawn)).model.probs.max())
        wanted.append(1 / drawn)
    study.instances(
        "max q at Sγ = 1", found, wanted, 1.05 * np.array(wanted), change=f"γ {_FIVE}",
        setting="fits to counts on 2 to 8 of the classes", tolerance=1e-12,
    )  # fmt: skip
    f = np.array([0.5, 0.3, 0.2, 0.0])
    corners = 0.3 * np.array([[1, 1, 1, 0]] * 4) + 0.1 * np.eye(4)
    points = rng.dirichlet(np.ones(4), size=study.size(20_000, 200_000))
    points = np.vstack([points, rng.dirichlet(np.full(4, 0.3), size=1000) @ corners])
    growth = {}
    for gamma in (0.3, 0.4):
        q = np.array([0.31, 0.33, 0.34, 0.02]) if gamma == 0.3 else theory.capped_projection(f, gamma).probs
        far = points[np.abs(points - q).max(axis=1) > 0.05]
        growth[gamma] = hinge(f, far, gamma) - hinge(f, q, gamma)
    study.counterexample(
        "the least L_γ is at one q: L_γ(q′) > L_γ(q) if max |q′ − q| > 1/20", growth[0.3] - 1e-6, growth[0.4] - 1e-6,
        hypothesis="Sγ > 1",
        setting="f = (.5, .3, .2, 0), γ = .3 (Sγ = .9) and .4 (1.2); q′ Dirichlet, and random with q_1, q_2, q_3 ≥ .3",
    )  # fmt: skip
    study.everywhere(
        "L_γ(q′) ≥ −log γ, the value wherever q ≥ γ on the drawn classes", growth[0.3][:, None],
        growth[0.3][:, None] - 0.05 * (-math.log(0.3)), change=f"−log γ {_FIVE}", setting="γ = .3, as before",
    )  # fmt: skip


# --- warm-degenerate


def _warm_problem(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, float]:
    """q_0 within the cap, frequencies on fewer than 1/γ of 6 classes, γ; some drawn class has a way to go."""
    while True:
        gamma = rng.uniform(0.22, 0.7)
        start = theory.capped_projection(rng.dirichlet(np.ones(6)), gamma).probs
        drawn = rng.choice(6, rng.integers(1, math.ceil(1 / gamma)), replace=False)
        f = np.zeros(6)
        f[drawn] = rng.dirichlet(np.full(drawn.size, 3.0))
        if start[drawn].min() < 0.9 * gamma:
            return start, f, gamma


def _end_at(start: np.ndarray, drawn: np.ndarray, gamma: float, clock: float) -> np.ndarray:
    """Where a flow with this clock would end."""
    free = np.where(drawn, 0.0, start / (1 + clock * start))
    return np.where(drawn, gamma, (1 - drawn.sum() * gamma) * free / free.sum())


@check("warm-degenerate")
def end_of_the_flow(study: Study) -> None:
    """Integrate the flow: one clock, that of the closed form, and the end that it says; as in the library's fits."""
    rng = study.generator()
    flows: list[tuple[np.ndarray, ...]] = []
    for _ in range(study.size(25, 500)):
        start, f, gamma = _warm_problem(rng)
        end, closed = flow(start, f, gamma), theory.warm_end(start, f, gamma)
        off = f == 0
        clocks = np.exp(-end.logits[off]) - 1 / start[off]
        shifted = _end_at(start, ~off, gamma, 1.05 * closed.clock)
        flows.append((clocks, np.full(clocks.size, closed.clock), end.probs[off], closed.probs[off], shifted[off]))
        flows[-1] += (end.probs[~off], np.full(np.count_nonzero(~off), gamma))
    parts = [np.concatenate(part) for part in zip(*flows, strict=True)]
    clock, one_clock, free, closed_free, shifted_free, held, caps = parts
    setting = "gradient flow, 6 classes, f on fewer than 1/γ of them, q_0 ∈ C_γ; integrated to 1e-10"
    study.instances(
        "τ from each free class, 1/a_j − 1/q_0j", clock, one_clock, 1.05 * one_clock, change=f"τ {_FIVE}",
        setting=setting, tolerance=1e-6,
    )  # fmt: skip
    study.instances(
        "end off the drawn classes, (1 − Sγ) a_j/U", free, closed_free, shifted_free, change=f"τ {_FIVE}",
        setting=setting, tolerance=1e-6,
    )  # fmt: skip
    study.instances(
        "end on the drawn classes, γ", held, caps, 1.05 * caps, change=f"γ {_FIVE}", setting=setting, tolerance=1e-6
    )
    study.instances(
        "end of the library's warm start", *_warm_fits(rng, study.size(100, 4000)), change=f"τ {_FIVE}",
        setting="fits to counts on fewer than 1/γ of 6 classes", tolerance=1e-7,
    )  # fmt: skip


def _warm_fits(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Fits, the closed form and a wrong one, off the drawn classes."""
    found, predicted, wrong = [], [], []
    for _ in range(size):
        start, f, gamma = _warm_problem(rng)
        drawn, counts = f > 0, np.ceil(20 * f).astype(np.int64)
        with quiet():
            fitted = fit(Categorical(start), Counts(counts), TCE(gamma, vacuous="warm")).model.probs
        closed = theory.warm_end(start, counts, gamma)
        found.append(fitted[~drawn])
        predicted.append(closed.probs[~drawn])
        wrong.append(_end_at(start, drawn, gamma, 1.05 * closed.clock)[~drawn])
    return np.concatenate(found), np.concatenate(predicted), np.concatenate(wrong)


@check("warm-degenerate")
def frequencies_do_not_matter(study: Study) -> None:
    """Within the cap the end is the same for any frequencies on the drawn classes; from outside it is not."""
    spread = {}
    for inside, start, gamma in (
        (True, np.array([0.38, 0.3, 0.2, 0.07, 0.05]), 0.4), (False, np.array([0.8, 0.07, 0.03, 0.05, 0.05]), 0.15)
    ):  # fmt: skip
        f = np.array([[0, 0, 0, share, 1 - share] for share in (0.1, 0.35, 0.7, 0.9)])
        ends = np.array([flow(start, row, gamma).probs for row in f])
        spread[inside] = -np.ptp(ends, axis=0)
    study.counterexample(
        "same end for f_4 = .1, .35, .7, .9", spread[False], spread[True], hypothesis="q_0 ∈ C_γ", tolerance=1e-6,
        setting="flow from (.8, .07, .03, .05, .05), γ = .15; with it (.38, .3, .2, .07, .05), γ = .4; 4, 5 drawn",
    )  # fmt: skip
    many = [0.04 / 6] * 6
    found = [
        flow(np.array([0.8, 0.1, 0.06, *rest]), np.array([0, share, 1 - share, *([0] * len(rest))]), 0.15).probs[:3]
        for rest in ([0.04], many)
        for share in (0.9, 0.1)
    ]
    stated = np.array([
        [0.6218, 0.1718, 0.15], [0.6430, 0.15, 0.1519], [0.6201, 0.1715, 0.15], [0.6413, 0.15, 0.1519]
    ])  # fmt: skip
    study.instances(
        "ends from (.8, .1, .06, .04), γ = .15", found, stated, 1.05 * stated, change=f"ends {_FIVE}", tolerance=5e-4,
        setting="flow, classes 2 and 3 drawn, f_2 = .9 and .1; then with six classes for the last",
    )  # fmt: skip


@check("warm-degenerate")
def finite_time_and_frozen(study: Study) -> None:
    """From any q_0 the flow stops with q ≥ γ on the drawn classes; if they have it already nothing moves."""
    rng, size = study.generator(), study.size(30, 500)
    least, still, moved = np.empty(size), np.empty(size), np.empty(size)
    for i in range(size):
        gamma = rng.uniform(0.1, 0.3)
        start, f = rng.dirichlet(np.full(5, 0.5)) * 0.99 + 0.002, np.zeros(5)
        drawn = rng.choice(5, rng.integers(1, 4), replace=False)
        f[drawn] = rng.dirichlet(np.full(drawn.size, 3.0))
        least[i] = flow(start, f, gamma).probs[f > 0].min() / gamma - 1
        mode = np.arange(5) == start.argmax()
        for kept, threshold in ((still, 0.95 * start.max()), (moved, 1.05 * start.max())):
            with quiet():
                model = fit(Categorical(start), Counts(3 * mode), TCE(min(threshold, 1.0))).model
            kept[i] = -np.abs(model.probs - start).max()
    study.everywhere(
        "q_i ≥ γ on the drawn classes at the end of the flow", least[:, None], least[:, None] - 0.05,
        change=f"γ {_FIVE}", setting="flow from Dirichlet q_0, within the cap or not, 1 to 3 of 5 classes drawn",
        tolerance=1e-6,
    )  # fmt: skip
    study.counterexample(
        "the model stays as it is", moved, still, hypothesis="every drawn class has q_0 > γ",
        setting="fits to the most probable class alone, γ = 1.05 of its probability, and .95 of it",
    )  # fmt: skip


@check("warm-degenerate")
def reciprocal_threshold(study: Study) -> None:
    """As Sγ ↑ 1 the end tends to the uniform distribution on the drawn classes, where the fit is at Sγ = 1."""
    start, f = np.array([0.4, 0.3, 0.2, 0.1]), np.array([0, 0.7, 0, 0.3])
    sizes = [10.0, 40.0, 160.0]
    # with 1 − Sγ = 1/size the drawn classes miss the uniform distribution by 1/size together
    values = [float(flow(start, f, (1 - 1 / size) / 2).probs[1]) for size in sizes]
    study.limit(
        "q_2 as Sγ ↑ 1", sizes, values, 0.5, 0.525, order=1.0, change=f"limit {_FIVE}",
        setting="flow from (.4, .3, .2, .1), classes 2 and 4 drawn, 1 − 2γ = 1/10, 1/40, 1/160",
    )  # fmt: skip
    with quiet():
        fitted = fit(Categorical(start), Counts([0, 7, 0, 3]), TCE(0.5)).model.probs
    uniform = np.array([0, 0.5, 0, 0.5])
    study.instances(
        "fit at Sγ = 1", fitted[[1, 3]], uniform[[1, 3]], 1.05 * uniform[[1, 3]], change=f"uniform {_FIVE}",
        setting="counts (0, 7, 0, 3), γ = 1/2",
    )  # fmt: skip


# --- literal-anticap


def _literal(f: Any, gamma: Any, q: np.ndarray) -> np.ndarray:
    """Loss with the mask that moves."""
    return np.asarray(-f * (q <= gamma) * np.log(q) - (1 - f) * (1 - q <= gamma) * np.log1p(-q))


def _search(f: np.ndarray, gamma: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the least literal loss, and where, on a grid that is finest at the ends and above γ."""
    inside = special.expit(np.linspace(-12, 12, 4001))
    above = np.concatenate([[1e-12], np.linspace(1e-4, 1 - 1e-6, 2000)])
    q = np.concatenate([
        np.broadcast_to(inside, (*f.shape, inside.size)),
        gamma[..., None] + (1 - gamma[..., None]) * above,
        (1 - gamma[..., None]) * (1 - above),
        f[..., None],
    ], axis=-1)  # fmt: skip
    loss = _literal(f[..., None], gamma[..., None], q)
    best = loss.argmin(axis=-1)[..., None]
    return np.take_along_axis(loss, best, -1)[..., 0], np.take_along_axis(q, best, -1)[..., 0]


@check("literal-anticap")
def where_the_infimum_is(study: Study) -> None:
    """Search over all q: the infimum, where it is approached, and the threshold below which it is at γ."""
    rng, size = study.generator(), study.size(300, 800)
    f, gamma = rng.uniform(0.5, 0.98, size), rng.uniform(0.51, 0.99, size)
    # not nearer to the change than the grid sees
    f, gamma = (side[np.abs(gamma - theory.literal_anticap_threshold(f)) > 1e-3] for side in (f, gamma))
    loss, place = _search(f, gamma)
    anticaps = theory.literal_loss_anticaps(f, gamma)
    entropy = special.entr(f) + special.entr(1 - f)
    at_the_cap = -(1 - f) * np.log1p(-gamma)
    predicted = np.where(anticaps, at_the_cap, entropy)
    setting = "f in (.5, .98), γ in (.51, .99); search on a grid of 8000 q"
    study.instances(
        "inf ℓ", loss, predicted, 1.05 * predicted, change=f"inf ℓ {_FIVE}", setting=setting, tolerance=1e-9
    )
    place_predicted = np.where(anticaps, gamma, f)
    study.instances(
        "arg inf ℓ", place, place_predicted, 1.05 * place_predicted, change=f"place {_FIVE}", setting=setting
    )
    beyond = f >= gamma
    study.everywhere(
        "inf ℓ ≤ ℓ(γ+) < h(f) for all f ≥ γ", (entropy - loss)[beyond][:, None], (entropy - at_the_cap)[:, None],
        change="for f < γ too", setting=setting,
    )  # fmt: skip


@check("literal-anticap")
def threshold(study: Study) -> None:
    """Bisection of γ by search for the infimum finds γ_c(f)."""
    f = study.generator().uniform(0.5, 0.97, study.size(60, 400))
    low, high = np.full(f.size, 0.5 + 1e-9), np.full(f.size, 1 - 1e-9)
    for _ in range(30):
        middle = (low + high) / 2
        anticaps = _search(f, middle)[1] > middle
        low, high = np.where(anticaps, middle, low), np.where(anticaps, high, middle)
    predicted = 1 - theory.literal_anticap_threshold(f)
    study.instances(
        "1 − γ_c(f) = (1 − f) f^(f/(1 − f))", 1 - low, predicted, 1.05 * predicted, change=f"1 − γ_c {_FIVE}",
        setting="f in (.5, .97); 30 bisections, each by search over q", tolerance=1e-5,
    )  # fmt: skip
    found = [float(part[0]) for part in _search(np.array([0.8]), np.array([0.9]))]
    stated = np.array([0.4605, 0.9])
    study.instances(
        "inf ℓ and its place, f = .8, γ = .9", found, stated, 1.05 * stated, change=f"both {_FIVE}",
        setting="search over q", tolerance=2e-4,
    )  # fmt: skip


@check("literal-anticap")
def mask_held_constant(study: Study) -> None:
    """With the mask held constant, max(−log q, −log γ), the data's own frequencies are least."""
    f, gamma = np.array([0.8, 0.2]), 0.9
    q = np.linspace(1e-3, 1 - 1e-3, study.size(5000, 50_000))
    both = np.column_stack([q, 1 - q])
    held = hinge(f, both, gamma) - hinge(f, f, gamma)
    literal = _literal(f[0], gamma, q) - _literal(f[0], gamma, f[0])
    study.counterexample(
        "ℓ(q) ≥ ℓ(f) for all q", literal, held, hypothesis="the mask is held constant", setting="f = .8, γ = .9"
    )


# --- tabular-limit


def _row_gradient(f: np.ndarray, logits: np.ndarray, gamma: float | np.ndarray) -> np.ndarray:
    """Subgradient of the objective of one row, or of many."""
    q = special.softmax(logits, axis=-1)
    pull = f * (q <= gamma)
    return np.asarray(pull.sum(axis=-1, keepdims=True) * q - pull)


@check("tabular-limit")
def gap(study: Study) -> None:
    """Descent from random logits, and one steep start for which the bound is nearly attained."""
    rng, size, steps = study.generator(), study.size(200, 2000), study.size(300, 3000)
    problems = [capped_problem(rng) for _ in range(size)]
    f, gamma = np.array([one[0] for one in problems]), np.array([one[1] for one in problems])[:, None]
    best = np.log([theory.capped_projection(*one).probs for one in problems])
    best -= best.mean(axis=1, keepdims=True)
    logits = best + rng.normal(0, 2, best.shape)
    logits -= logits.mean(axis=1, keepdims=True)
    step, start, other = np.exp(rng.uniform(-4, 1, size)), logits, best + rng.normal(0, 1, best.shape)
    total = np.zeros_like(logits)
    for _ in range(steps):
        total += logits
        logits = logits - step[:, None] * _row_gradient(f, logits, gamma)
    mean = special.softmax(total / steps, axis=1)
    slacks, wrong = [], []
    for i in range(size):
        loss, cap = hinge(f[i], mean[i], gamma[i, 0]), gamma[i, 0]
        for end in (best[i], other[i]):
            bound = theory.tabular_gap_bound(float(np.linalg.norm(start[i] - end)), step[i], steps)
            gap = loss - hinge(f[i], special.softmax(end), cap)
            slacks.append(bound - gap)
            wrong.append(0.95 * bound - gap)
    # one step on one drawn class from logits ±h: the loss is nearly linear, and √2 ‖z_0 − z*‖ the bound at the best η
    for height in np.linspace(10, 30, 20):
        length = math.sqrt(2) * height
        row = special.softmax([-height, height])
        gap = hinge(np.array([1.0, 0.0]), row, 0.5) - math.log(2)
        bound = theory.tabular_gap_bound(length, length / math.sqrt(2), 1)
        slacks.append(bound - gap)
        wrong.append(0.95 * bound - gap)
    study.everywhere(
        "L(z̄) − L(z) ≤ ‖z_0 − z‖²/(2ηT) + ηG²/2, z = z* and others", np.array(slacks)[:, None],
        np.array(wrong)[:, None],
        change="bound 5 % smaller",
        setting=f"{steps} steps on {size} random rows; one step on f = (1, 0), γ = 1/2, z_0 = (−h, h), h = 10 … 30",
    )  # fmt: skip


@check("tabular-limit")
def gradients(study: Study) -> None:
    """‖v‖² ≤ 2, nearly attained; v from differences of the objective."""
    rng, size = study.generator(), study.size(2000, 50_000)
    f, logits = rng.dirichlet(np.full(4, 0.1), size), rng.normal(0, 8, (size, 4))
    gamma = rng.uniform(0.05, 1, size)[:, None]
    squares = (_row_gradient(f, logits, gamma) ** 2).sum(axis=1)[:, None]
    study.everywhere(
        "‖v‖² ≤ 2", 2 - squares, 0.95 * 2 - squares, change="1.9", setting="4 classes; Dirichlet f, steep random logits"
    )
    steps = 1e-5 * np.eye(4)
    smooth = np.flatnonzero(np.abs(special.log_softmax(logits, axis=1) - np.log(gamma)).min(axis=1) > 1e-3)[:200]
    found = [
        [
            (hinge(f[i], special.softmax(logits[i] + h), gamma[i, 0]) - hinge(f[i], special.softmax(logits[i] - h),
             gamma[i, 0])) / 2e-5
            for h in steps
        ]
        for i in smooth
    ]  # fmt: skip
    norms = 1 + np.linalg.norm(found, axis=1)
    predicted = np.linalg.norm(_row_gradient(f[smooth], logits[smooth], gamma[smooth]), axis=1)
    study.instances(
        "1 + ‖v‖", norms, 1 + predicted, 1.05 * (1 + predicted), change=f"sum {_FIVE}", tolerance=1e-6,
        setting="central differences of the objective",
    )  # fmt: skip


@check("tabular-limit")
def rows(study: Study) -> None:
    """Step down the whole matrix: it is a step ηπ_c on each row; a bias that contexts share couples them."""
    rng, gamma, rate = study.generator(), 0.5, 0.3
    found, predicted = [], []
    coupling: dict[bool, list[float]] = {False: [], True: []}
    for _ in range(study.size(10, 200)):
        shares, f = rng.dirichlet(np.full(3, 5.0)), rng.dirichlet(np.ones(4), 3)
        logits = rng.normal(0, 1, (3, 4))
        step = -rate * _difference_gradient(lambda z, s=shares, f=f: _matrix_loss(z, s, f, gamma), logits)  # type: ignore[misc]
        found.append(step)
        predicted.append(-rate * shares[:, None] * _row_gradient(f, logits, gamma))
        other = f.copy()
        other[0] = other[0, ::-1]
        for shared in (False, True):
            moved = [
                _difference_gradient(
                    lambda z, s=shares, f=data, shared=shared: _matrix_loss(_biased(z, shared), s, f, gamma),  # type: ignore[misc]
                    np.vstack([logits, np.zeros(4)]),
                )
                for data in (f, other)
            ]
            # rows 2 and 3 of the logits after the step, bias included
            logit_change = (moved[0] - moved[1])[1:3] + shared * (moved[0] - moved[1])[3]
            coupling[shared].append(-np.abs(logit_change).max())
    found_, predicted_ = 1 + np.array(found), 1 + np.array(predicted)
    wrong = 1 + 1.05 * np.array(predicted)
    study.instances(
        "1 + step on each row, −ηπ_c v_c", found_, predicted_, wrong, change="π_c 5 % larger", tolerance=1e-8,
        setting="differences of the whole objective, 3 contexts, 4 classes",
    )  # fmt: skip
    study.counterexample(
        "the step of rows 2, 3 does not depend on the data of row 1", coupling[True], coupling[False],
        hypothesis="no bias that contexts share", setting="differences of the whole objective", tolerance=1e-7,
    )  # fmt: skip


def _biased(logits: np.ndarray, shared: bool) -> np.ndarray:
    return np.asarray(logits[:3] + shared * logits[3])


def _matrix_loss(logits: np.ndarray, shares: np.ndarray, f: np.ndarray, gamma: float) -> float:
    q = special.softmax(logits, axis=1)
    return float((shares[:, None] * f * np.maximum(-np.log(q), -math.log(gamma))).sum())


def _difference_gradient(function: Callable[[np.ndarray], float], at: np.ndarray) -> np.ndarray:
    steps = 1e-6 * np.eye(at.size).reshape(-1, *at.shape)
    return np.reshape([(function(at + h) - function(at - h)) / 2e-6 for h in steps], at.shape)


@check("tabular-limit")
def minimisers(study: Study) -> None:
    """Where descent with a constant step ends on average, and that a finite minimiser needs every class drawn."""
    f, gamma, steps = np.array([0.9, 0.07, 0.03]), 0.6, np.array([1.0, 0.3, 0.05])
    logits, total, count = np.zeros((3, 3)), np.zeros((3, 3)), 20_000
    for t in range(count):
        if t >= count // 2:
            total += logits
        logits = logits - steps[:, None] * _row_gradient(f, logits, gamma)
    found = special.softmax(2 * total / count, axis=1)[:, 0]
    stated = np.array([0.641, 0.612, 0.602])
    setting = "descent on one row, f = (.9, .07, .03), γ = .6; logits averaged over the steps 10,000 to 20,000"
    study.instances(
        "q_1 for η = 1, .3, .05", found, stated, 1.05 * stated, change=f"q_1 {_FIVE}", setting=setting, tolerance=1e-3
    )
    study.limit(
        "q_1 → γ as η → 0",
        list(1 / steps),
        list(found),
        gamma,
        1.05 * gamma,
        order=1.0,
        change=f"γ {_FIVE}",
        setting=setting,
    )
    slack = {}
    for drawn, f in ((False, np.array([0.5, 0.5, 0.0])), (True, np.array([0.5, 0.3, 0.2]))):
        best = f if drawn else np.array([0.5, 0.5, 0.0])
        logits = np.array([0.3, -0.2, 0.5])
        for _ in range(5000):
            logits = logits - _row_gradient(f, logits, 0.9)
        slack[drawn] = hinge(f, best, 0.9) - hinge(f, special.softmax(logits), 0.9)
    study.counterexample(
        "descent reaches the least L_γ", slack[False], slack[True], hypothesis="all K classes are drawn",
        setting="5,000 steps with η = 1, γ = .9; f = (.5, .5, 0), and (.5, .3, .2)", tolerance=1e-8,
    )  # fmt: skip
