"""Checks of the bounds of fidelity intervals: of cross entropy by drift, and of TCE by the floor of the entropy."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from tce_theory.exact import TwoClassChain
from tce_theory.losses import TCE
from tce_theory.theory import categorical as theory
from tce_theory.theory import loss as loss_theory
from tce_theory.verification.checks import check
from tce_theory.verification.checks._drift import _multinomial_chain
from tce_theory.verification.checks._loss_heads import _aligned, _network
from tce_theory.verification.checks._losses import FIVE, entropy_of
from tce_theory.verification.study import Study

# ------------------------------------------------------------------------------------------------- drift-interval


class _Drift(NamedTuple):
    """Cross entropy on all frequencies of n points in K classes, exactly."""

    states: np.ndarray
    transition: np.ndarray

    @property
    def heterozygosity(self) -> np.ndarray:
        return np.asarray(1 - (self.states**2).sum(axis=1))

    @property
    def entropy(self) -> np.ndarray:
        return np.asarray(entropy_of(self.states))

    def survival(self, alive: np.ndarray, start: int, generations: int) -> np.ndarray:
        """Return Pr(T > t), t = 0, 1, …, for the first generation T outside the states that are `alive`."""
        law = np.zeros(len(self.states))
        law[start] = 1.0
        left = []
        for _ in range(generations):
            law = law * alive
            left.append(law.sum())
            law = law @ self.transition
        return np.array(left)

    def mean_time(self, alive: np.ndarray, start: int) -> float:
        inside = np.flatnonzero(alive)
        matrix = np.eye(inside.size) - self.transition[np.ix_(inside, inside)]
        return float(np.linalg.solve(matrix, np.ones(inside.size))[np.flatnonzero(inside == start)[0]])


def _drift(size: int, n: int) -> _Drift:
    states = np.array([state for state in itertools.product(range(n + 1), repeat=size) if sum(state) == n])
    return _Drift(states / n, _multinomial_chain(size, n))


_CHAINS = ((2, 2), (2, 5), (2, 24), (3, 4), (3, 9), (4, 5))
"""Classes and points."""


@check("drift-interval")
def upper_bounds(study: Study) -> None:
    """Hold exact laws of the interval against the bounds, in the heterozygosity and in the entropy."""
    rng, tails, wrong_tails, means, wrong_means = study.generator(), [], [], [], []
    for size, n in _CHAINS:
        chain = _drift(size, n)
        values, entropies, times = chain.heterozygosity, chain.entropy, np.arange(8)
        for _ in range(study.size(12, 60)):
            start = int(rng.choice(np.flatnonzero(values > 0)))
            ratio = rng.uniform(0.96 if n == 2 else 0.05, 1)  # n = 2: attained as c tends to 1
            threshold = ratio * entropies[start]
            least = float(theory.least_heterozygosity(threshold, size)) / values[start]
            for alive, c in ((values >= ratio * values[start], ratio), (entropies >= threshold, min(least, 1.0))):
                found = chain.survival(alive, start, times.size)
                bound = np.asarray(theory.drift_survival_bound(times, n, c))
                time, mean = chain.mean_time(alive, start), float(theory.drift_interval_bound(n, c))
                linear = n * (1 - math.log(c))
                tails.append(bound - found)
                wrong_tails.append(bound / FIVE - found)
                means.append([mean - time, linear - mean])
                wrong_means.append([mean / FIVE - time, linear / FIVE - mean])
    setting = "exact chains of 2 to 4 classes, 2 to 24 points, random starts; c near 1 for n = 2, where it is attained"
    study.everywhere(
        "Pr(T > t) ≤ min(1, (1 − 1/n)^t/c)", tails, wrong_tails, change="bound 5 % smaller", setting=setting
    )
    study.everywhere(
        "E T ≤ s + n (1 − 1/n)^s/c ≤ n (1 + log 1/c)", means, wrong_means, change="bounds 5 % smaller", setting=setting
    )


@check("drift-interval")
def lower_bounds(study: Study) -> None:
    """Hold exact means against the bounds from below."""
    rng, slacks, wrongs = study.generator(), [], []

    def hold(n: int, size: int, ratio: float, starts: tuple[float, float], times: tuple[float, float]) -> None:
        first = float(theory.drift_interval_floor(n, ratio, starts[0], size))
        second = float(theory.entropy_interval_floor(n, starts[1], ratio * starts[1], size))
        slacks.append([times[0] - first, times[1] - second])
        wrongs.append([times[0] - FIVE * first, times[1] - 1.6 * second])

    for size, n in _CHAINS:
        chain = _drift(size, n)
        values, entropies = chain.heterozygosity, chain.entropy
        for _ in range(study.size(20, 80)):
            start = int(rng.choice(np.flatnonzero(values > 0)))
            ratio = rng.uniform(0.001, 0.03) if n == 2 else rng.uniform(0.01, 0.95)
            times = [chain.mean_time(metric >= ratio * metric[start], start) for metric in (values, entropies)]
            hold(n, size, ratio, (values[start], entropies[start]), (times[0], times[1]))
    for ratio in rng.uniform(0.001, 0.03, 20):  # one draw from (1/2, 1/2) leaves one class
        hold(1, 2, ratio, (0.5, math.log(2)), (1.0, 1.0))
    setting = "exact chains of 2 to 4 classes, 1 to 24 points; c near 0 for n = 2, where the first is attained"
    slack, wrong = np.array(slacks), np.array(wrongs)
    study.everywhere(
        "E T ≥ n (1 − c) D_0/(1 − 1/K)", slack[:, :1], wrong[:, :1], change="bound 5 % larger", setting=setting
    )
    study.everywhere(
        "E T_h ≥ n (H_0 − h)/(K − 1)", slack[:, 1:], wrong[:, 1:], setting=setting,
        change="bound 60 % larger: beyond the time of two classes and one point",
    )  # fmt: skip


@check("drift-interval")
def entropy_and_heterozygosity(study: Study) -> None:
    """Search for more entropy at a given heterozygosity, and for less heterozygosity at a given entropy."""
    rng, slacks, wrongs = study.generator(), [], []
    for i in range(study.size(400, 8000)):
        size = int(rng.integers(2, 12))
        probs = rng.dirichlet(np.full(size, 10.0 ** rng.uniform(-1, 1)))
        if i % 2:  # the law that attains it
            probs = np.append(probs.max(), np.full(size - 1, (1 - probs.max()) / (size - 1)))
        value, entropy = float(1 - (probs**2).sum()), float(entropy_of(probs))
        most = float(theory.largest_entropy(min(value, 1 - 1 / size), size))
        least = float(theory.least_heterozygosity(min(entropy, math.log(size)), size))
        slacks.append([most - entropy, value - least])
        wrongs.append([most / FIVE - entropy, value - FIVE * least])
    study.everywhere(
        "H ≤ largest entropy at D; D ≥ least heterozygosity at H", slacks, wrongs, change="each 5 % tighter",
        setting="random distributions on 2 to 11 classes; half are (1 − e, e/(K − 1), …), which attains both",
    )  # fmt: skip


@check("drift-interval")
def varying_sizes(study: Study) -> None:
    """Sizes that depend on the model, up to n, and generations without draws: exactly."""
    n, slacks, wrongs = 24, [], []
    states = np.arange(n + 1) / n
    values = 2 * states * (1 - states)
    few = np.zeros((n + 1, n + 1))
    few[:, ::2] = np.stack([_binomial_row(n // 2, p) for p in states])
    full = np.stack([_binomial_row(n, p) for p in states])
    for ratio in np.linspace(0.1, 1, study.size(15, 60)):
        for narrow in (values >= 0.3, values < 0.3):  # where only half as many are drawn
            alive = values >= ratio * 0.5
            inside = np.flatnonzero(alive)
            matrix = np.where(narrow[:, None], few, full)[np.ix_(inside, inside)]
            time = np.linalg.solve(np.eye(inside.size) - matrix, np.ones(inside.size))[inside == n // 2][0]
            bound = float(theory.drift_interval_bound(n, ratio))
            slacks.append([bound - time])
            wrongs.append([float(theory.drift_interval_bound(n // 8, ratio)) - time])
    study.everywhere(
        "E T ≤ the bound for the largest size", slacks, wrongs, change="n/8 for n",
        setting="two classes; 24 draws, or 12 where the heterozygosity is above (or below) .3",
    )  # fmt: skip


def _binomial_row(n: int, p: float) -> np.ndarray:
    k = np.arange(n + 1)
    return np.array([math.comb(n, int(i)) * p**i * (1 - p) ** (n - i) for i in k])


@check("drift-interval")
def two_classes(study: Study) -> None:
    """Exact means for two classes, by a linear system and by the law of the library."""
    stated, found, laws = np.array([16.3871, 63.4558]), [], []
    for n in (20, 100):
        x = np.arange(n + 1) / n
        inside = np.flatnonzero(8 * x * (1 - x) >= 1 - 1e-12)
        matrix = np.stack([_binomial_row(n, float(p)) for p in x[inside]])[:, inside]
        found.append(float(np.linalg.solve(np.eye(inside.size) - matrix, np.ones(inside.size))[inside == n // 2][0]))
        law = TwoClassChain(n, 0.5).fidelity_interval("heterozygosity", below=0.25 - 1e-12, horizon=40 * n)
        laws.append(law.restricted_mean)
    study.instances(
        "E T, n = 20, 100, c = 1/2", found, stated, FIVE * stated, change="5 % larger", tolerance=6e-6,
        setting="linear system solved with NumPy, p_0 = (1/2, 1/2)",
    )  # fmt: skip
    study.instances(
        "E T of the law of two classes", laws, np.array(found), FIVE * np.array(found), change="5 % larger",
        setting="fidelity law of the library, up to generation 40 n", tolerance=1e-7,
    )  # fmt: skip
    crossing = np.array([n * math.log(1 / c) for n, c in ((2, 0.9), (2, 0.01))])
    study.instances(
        "E T, n = 2, p_0 = (1/2, 1/2), c = .9 and .01", [_drift(2, 2).mean_time(np.array([0, 1, 0]) > 0, 1)] * 2,
        [2.0, 2.0], crossing, change="n log(1/c), where the mean crosses", setting="exact chain",
    )  # fmt: skip


@check("drift-interval")
def outside_its_hypotheses(study: Study) -> None:
    """Fresh data, and a cap: intervals beyond every multiple of n."""
    n, horizon = 20, 4000
    bound = float(theory.drift_interval_bound(n, 0.5))
    below = 0.25 - 1e-12

    def slack(chain: TwoClassChain) -> float:
        law = chain.fidelity_interval("heterozygosity", below=below, horizon=horizon)
        return float(bound - law.restricted_mean)

    plain = slack(TwoClassChain(n, 0.5))
    study.counterexample(
        "E min(T, 4000) ≤ n (1 + log 1/c)", slack(TwoClassChain(n, 0.5, fraction=0.3)), plain,
        hypothesis="no fresh data", setting="two classes, n = 20, c = 1/2; 30 % fresh data",
    )  # fmt: skip
    capped = TwoClassChain(n, 0.5, loss=TCE(0.8))
    study.counterexample(
        "E min(T, 4000) ≤ n (1 + log 1/c)", slack(capped), plain, hypothesis="cross entropy",
        setting="two classes, n = 20, c = 1/2; TCE(.8), warm: never",
    )  # fmt: skip
    slacks, wrongs = [], []
    for gamma in np.linspace(0.55, 0.95, study.size(15, 60)):
        probs = TwoClassChain(n, 0.5, loss=TCE(float(gamma))).model_probs
        entropies, floor = entropy_of(np.stack([probs, 1 - probs], axis=1)), float(theory.entropy_floor(gamma))
        slacks.append([entropies.min() - floor, floor + math.log(gamma)])
        wrongs.append([entropies.min() - FIVE * floor, floor + math.log(gamma)])
    study.everywhere(
        "H_t ≥ h_min(γ) ≥ −log γ", slacks, wrongs, change="h_min 5 % larger",
        setting="all models that TCE can lead to from (1/2, 1/2), n = 20, γ from .55 to .95",
    )  # fmt: skip


# ------------------------------------------------------------------------------------------------- floor-interval


@check("floor-interval")
def margin_and_interval(study: Study) -> None:
    """Networks at random parameters, and paths of which the last is on the edge of what is certified."""
    rng, slacks, wrongs = study.generator(), [], []
    times: list[list[float]] = []
    wrong_times: list[list[float]] = []
    for _ in range(study.size(100, 2000)):
        gamma = rng.uniform(0.3, 0.45)
        certificates, entropies = [], []
        for scale in (*rng.uniform(0.0, 0.02, int(rng.integers(1, 6))), None):
            if scale is None:  # one target at p = γ whose head is parallel to its gradient: H̄ is −log γ less the bound
                at = _aligned(rng, gamma)
                norms, entropy = (np.linalg.norm(at.parameters), np.linalg.norm(at.slope)), at.entropy
            else:  # nearly uniform
                examples, parameters, _ = _network(rng)
                parameters = scale * parameters
                norms = np.linalg.norm(parameters), np.linalg.norm(examples.slopes(parameters).mean(axis=0))
                entropy = float(entropy_of(np.exp(examples.log_probs(parameters))).mean())
            certificates.append(float(loss_theory.head_certificate(*norms)))
            entropies.append(entropy)
            threshold = rng.uniform(-1, 2)
            slacks.append([entropy - threshold - float(loss_theory.entropy_margin(gamma, threshold, *norms))])
            wrong = loss_theory.entropy_margin(gamma, threshold, norms[0] / FIVE, norms[1])
            wrongs.append([entropy - threshold - float(wrong)])
        threshold = entropies[-1] + 0.5 * (1 - 1 / FIVE) * certificates[-1]
        failed = 1 + int(np.argmax(np.array(entropies) < threshold))
        for values, kept in ((np.array(certificates), times), (np.array(certificates) / FIVE, wrong_times)):
            certified = loss_theory.certified_interval(values, gamma, threshold)
            kept.append([failed - min(certified, len(entropies) + 1)])
    study.everywhere(
        "H̄ − h ≥ −log γ − h − ‖θ_h‖ ‖∇L‖", slacks, wrongs, change="‖θ_h‖ 5 % smaller",
        setting="networks that are nearly uniform, and single targets at p = γ, θ_h parallel to ∇L",
    )  # fmt: skip
    study.everywhere(
        "T ≥ first generation that is not certified", times, wrong_times, change="certificates 5 % smaller",
        setting="paths of 2 to 6 such networks, of which the last alone fails",
    )  # fmt: skip


@check("floor-interval")
def without_its_hypotheses(study: Study) -> None:
    """Show where the entropy is below the floor although the head is at rest."""
    unmasked = math.log(2)
    masked = float(entropy_of(np.array([0.99, 0.01])))
    study.counterexample(
        "mean H ≥ −log γ", (unmasked + masked) / 2 + math.log(0.6), unmasked + math.log(0.6),
        hypothesis="unmasked targets alone",
        setting="two contexts of a table, q = (.5, .5) at rest and q = (.99, .01) masked, γ = .6",
    )  # fmt: skip
    fixed = float(entropy_of(np.array([0.1, 0.9])))
    f, g = np.array([0.3, 0.7]), -math.log(0.7)
    losses = [float(f @ np.maximum(-np.log(q), g)) for q in ([0.1, 0.9], [0.9, 0.1])]
    free = float(entropy_of(f))  # the fit with a free scale, where nothing is masked
    study.counterexample(
        "H̄ ≥ −log γ", fixed - g if losses[0] < losses[1] else math.nan, free - g, hypothesis="a head with a free scale",
        setting="logits ±log 3 of two classes, f = (.3, .7), γ = .7; the better of the two",
    )  # fmt: skip
    study.counterexample(
        "H̄ ≥ −log γ with full weight on p = γ", _full_weight(100.0), _full_weight(0.0),
        hypothesis="the weights of stationarity (or γ ≥ 1/2)",
        setting="three classes, one feature, γ = .3955: targets at p = γ of which a small weight is stationary",
    )  # fmt: skip


def _full_weight(extra: float) -> float:
    """H̄ + log γ of the registry's counterexample, with the stationary weight 1/100 on p = γ, and more."""
    bases = np.array([44.0, 45.0, 38.0])
    q = (bases / 45) ** 16 / ((bases / 45) ** 16).sum()
    r = (1 / bases) / (1 / bases).sum()
    f = r - 0.16 * (q - np.array([1.0, 0.0, 0.0]))
    slope = 0.01 * (q - np.array([1.0, 0.0, 0.0])) - (r - f) / 16
    if np.abs(slope).max() > 1e-15 or f.min() <= 0 or r.max() >= q[0]:
        raise RuntimeError("not stationary, or not unmasked")
    weight = 0.01 + extra
    return float((weight * entropy_of(q) + entropy_of(r)) / (weight + 1) + math.log(q[0]))
