"""Checks of Poisson and Bernoulli recursions: extinction under cross entropy, and what TCE makes of it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import stats

from tce_theory.exact import TwoClassChain
from tce_theory.fitting import Counts, fit
from tce_theory.losses import TCE, CrossEntropy
from tce_theory.models.bernoulli import Bernoulli
from tce_theory.models.categorical import Categorical
from tce_theory.models.poisson import Poisson
from tce_theory.theory import literature, loss
from tce_theory.verification.checks import check
from tce_theory.verification.checks._capped import quiet
from tce_theory.verification.estimates import proportion_of
from tce_theory.verification.study import ERROR, Study

__all__: list[str] = []

_CE = CrossEntropy()
_EIGHT = "exponent 8 % larger"


@check("suresh-rates")
def poisson_recursion(study: Study) -> None:
    """Survival of simulated Poisson recursions, sampled in law and with every point drawn."""
    n, k, rate, replicates = 3, 4, 1.4, study.size(170_000, 2_000_000)
    right = float(literature.poisson_survival(k, n, rate))
    for sampler in ("auto", "points"):
        run = study.simulate(
            Poisson(rate), _CE, n_samples=n, generations=k, replicates=replicates, metrics=["extinct"], sampler=sampler
        )
        study.equal(
            f"Pr(λ_k ≠ 0), n = {n}, λ_0 = {rate}, k = {k}", proportion_of(run.metrics["extinct"][:, k] == 0), right,
            _exponent_larger(right, 1.08), change=_EIGHT, setting=f'recursion, sampler="{sampler}"', size=replicates,
        )  # fmt: skip


@check("suresh-rates")
def bernoulli_recursion(study: Study) -> None:
    """Survival of simulated Bernoulli recursions: that of the exact chain, and above the bound."""
    n, p, replicates, k = 20, 0.16, study.size(170_000, 1_500_000), np.arange(1, 9)
    run = study.simulate(
        Bernoulli(p), _CE, n_samples=n, generations=8, replicates=replicates, metrics=["kl_from_origin", "tv"]
    )
    # a value that is lost makes the divergence infinite, and which one it is the distance tells
    alive = ~(np.isinf(run.metrics["kl_from_origin"]) & (run.metrics["tv"] < 0.5))
    exact = 1 - float(TwoClassChain(n, p).distribution(3)[0])
    study.equal(
        f"Pr(p_k ≠ 0), n = {n}, p = {p}, k = 3", proportion_of(alive[:, 3]), exact, _exponent_larger(exact, 1.08),
        change=_EIGHT, setting="recursion against the exact chain", size=replicates,
    )  # fmt: skip
    low = np.array([proportion_of(alive[:, age]).limits(ERROR)[0] for age in k])
    bound = np.asarray(literature.bernoulli_survival_bound(k, n, p))
    study.everywhere(
        "Pr(p_k ≠ 0) ≥ 1 − exp(−n p g_k)", low - bound, low - _exponent_larger(bound, 1.2),
        change="exponent 20 % larger", setting=f"lower confidence limits, n = {n}, p = {p}, k = 1 … 8",
    )  # fmt: skip


def _exponent_larger(survival: Any, factor: float) -> Any:
    """Survival with the exponent of its complement multiplied."""
    return -np.expm1(factor * np.log1p(-survival))


@check("poisson-rate-floor")
def truncated_recursion(study: Study) -> None:
    """TCE never lets the rate fall below min(λ_0, −log γ); the mask of the previous model does."""
    slack, wrong, without = [], [], []
    for gamma, rate in ((0.95, 1.0), (0.6, 0.3), (0.3, 2.0), (0.05, 0.5)):
        least = float(loss.poisson_rate_floor(gamma, rate))
        settings = {"n_samples": 4, "generations": 40, "replicates": study.size(400, 8000), "metrics": ["rate"]}
        paths = study.simulate(Poisson(rate), TCE(gamma), **settings).metrics["rate"]
        slack.append(paths - least)
        wrong.append(paths - 1.05 * least)
        without.append(study.simulate(Poisson(rate), TCE(gamma, mask="previous"), **settings).metrics["rate"] - least)
    setting = "n = 4, 40 generations, γ = .05 … .95"
    study.everywhere(
        "λ_t ≥ min(λ_0, −log γ)", np.concatenate(slack), np.concatenate(wrong), change="5 % larger", setting=setting,
        tolerance=1e-12,
    )  # fmt: skip
    study.counterexample(
        "λ_t ≥ min(λ_0, −log γ)", np.concatenate(without), np.concatenate(slack),
        hypothesis="mask by the model that is fitted", setting=f"mask by the previous model, {setting}",
    )  # fmt: skip


@check("entropy-identity")
def poisson_entropy(study: Study) -> None:
    """Poisson fits fall below −log γ, for their base measure is not constant."""
    gamma, data = 0.01, np.array([0, 20])
    table = fit(Categorical.zipf(401, 0.0), Counts([10] + [1] * 400), TCE(gamma)).model
    slack, held = (model.entropy() + math.log(gamma) for model in (fit(Poisson(1.0), data, TCE(gamma)).model, table))
    study.counterexample(
        "H ≥ −log γ", slack, held, hypothesis="a constant base measure",
        setting="data {0, 20}, γ = .01: the Poisson fit is λ = 10, unmasked; a table",
    )  # fmt: skip


@check("poisson-rate-floor")
def entropy_of_fits(study: Study) -> None:
    """Fits that are not vacuous have an entropy of at least −log γ for γ ≥ γ*; in the worst case the rate is −log γ."""
    rng, critical = study.generator(), math.exp(-_LARGEST_FLOOR)
    slacks, higher = [], []
    for gamma in np.linspace(critical, 0.95, study.size(25, 100)):
        level = -math.log(gamma)
        for _ in range(5):
            data = np.append(rng.poisson(rng.uniform(0.2, 6.0), rng.integers(2, 12)), 40)
            slacks.append(fit(Poisson(1.0), data, TCE(gamma)).model.entropy() - level)
        worst = fit(Poisson(1.0), _zeros_and_one(gamma), TCE(gamma)).model.entropy()
        slacks.append(worst - level)
        higher.append(worst - 1.05 * Poisson(level).entropy())
    study.everywhere(
        "H ≥ −log γ", np.array(slacks), np.array(higher),
        change="5 % above the entropy of the rate −log γ, which is attained",
        setting="random data with a value 40, and nearly all zeros; γ = γ* … .95",
    )  # fmt: skip
    below = [
        fit(Poisson(1.0), _zeros_and_one(gamma), TCE(gamma)).model.entropy() + math.log(gamma)
        for gamma in (0.99 * critical, 0.1, 0.01)
    ]
    study.counterexample(
        "H ≥ −log γ", np.array(below), np.array(slacks), hypothesis="γ ≥ γ* = .2094",
        setting="γ = .99 γ*, .1, .01: one large value, and so many zeros that the rate is −log γ",
    )  # fmt: skip


_LARGEST_FLOOR = 1.5633502644895632  # g*, at which the entropy of Poisson(g) is g


def _zeros_and_one(gamma: float) -> Counts:
    """Zeros and one large value, of which the fit is −log gamma, without being vacuous."""
    value = int(40 - 10 * math.log(gamma))
    counts = np.zeros(value + 1, np.int64)
    counts[0], counts[value] = math.ceil(value / -math.log(gamma)), 1
    return Counts(counts)


@check("poisson-rate-floor")
def poisson_inflation(study: Study) -> None:
    """Without noise TCE raises a Poisson rate until no mass exceeds γ, but for ties; of samples it may lower it."""
    rises, wrongs, ends = [], [], []
    for gamma in (0.11, 0.2, 0.3, 0.5):
        rate = 0.4 / gamma if gamma < 0.3 else 0.4
        final = _first_unmasked(gamma)
        for _ in range(60):
            values = np.arange(int(rate + 12 * math.sqrt(rate) + 30))
            population = Counts(np.rint(1e15 * stats.poisson.pmf(values, rate)))
            with quiet():
                after = fit(Poisson(rate), population, TCE(gamma)).model.rate
            plain = float(population.values @ values) / population.total
            if final - rate > 1e-3:
                rises.append(min(after - rate, final - after))
                wrongs.append(plain - rate - 1e-6)
            rate = after
        ends.append(rate / final)
    study.everywhere(
        "λ_t < λ_{t+1} ≤ the first rate without a mask", np.array(rises), np.array(wrongs),
        change="cross entropy, which keeps the rate", setting="populations of 1e15 points, γ = .11 … .5",
    )  # fmt: skip
    study.instances(
        "lim λ_t over the first rate with max p ≤ γ", ends, np.ones(len(ends)), np.full(len(ends), 1.05),
        change="5 % larger", setting="60 generations, γ = .11 … .5", tolerance=1e-3,
    )  # fmt: skip
    root = math.sqrt(2)
    tie = Counts(np.rint(1e15 * stats.poisson.pmf(np.arange(40), root)))
    with quiet():
        tied, beside = (fit(Poisson(root), tie, TCE(gamma)) for gamma in (math.exp(-root), 1.001 * math.exp(-root)))
        lower = fit(Poisson(2.0), Counts([1, 0, 0, 9]), TCE(0.2)).model.rate
    study.counterexample(
        "λ_{t+1} > λ_t", tied.model.rate - root - 1e-7, beside.model.rate - root - 1e-7, hypothesis="no tie",
        setting=f"population λ = √2, γ = p(0) = p(2), {tied.masked_weight / 1e15:.2f} of it masked; γ 0.1 % larger",
    )  # fmt: skip
    study.counterexample(
        "the fit is at least the mean", lower - 2.7, beside.model.rate - root, hypothesis="the population",
        setting="data: one 0, nine 3; γ = .2",
    )  # fmt: skip


def _first_unmasked(gamma: float) -> float:
    """First rate at which no mass exceeds gamma; the largest mass, that of ⌊λ⌋, falls as the rate grows."""
    low, high = 0.0, 1.0 / gamma**2
    for _ in range(200):
        middle = (low + high) / 2
        if stats.poisson.pmf(math.floor(middle), middle) > gamma:
            low = middle
        else:
            high = middle
    return high
