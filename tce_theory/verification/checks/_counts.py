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
from tce_theory.theory import literature
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


@check("suresh-rates")
def truncated_recursion(study: Study) -> None:
    """TCE never lets the rate fall below min(λ_0, −log γ); the mask of the previous model does."""
    slack, wrong, without = [], [], []
    for gamma, rate in ((0.95, 1.0), (0.6, 0.3), (0.3, 2.0), (0.05, 0.5)):
        least = min(rate, -math.log(gamma))
        settings = {"n_samples": 4, "generations": 40, "replicates": study.size(400, 8000), "metrics": ["rate"]}
        paths = study.simulate(Poisson(rate), TCE(gamma), **settings).metrics["rate"]
        slack.append(paths - least)
        wrong.append(paths - 1.05 * least)
        without.append(study.simulate(Poisson(rate), TCE(gamma, mask="previous"), **settings).metrics["rate"] - least)
    setting = "n = 4, 40 generations, γ = .05 … .95"
    study.everywhere(
        "λ_t ≥ min(λ_0, −log γ)", np.concatenate(slack), np.concatenate(wrong), change="5 % larger", setting=setting,
        tolerance=0.0,
    )  # fmt: skip
    study.counterexample(
        "λ_t ≥ min(λ_0, −log γ)", np.concatenate(without), np.concatenate(slack),
        hypothesis="mask by the model that is fitted", setting=f"mask by the previous model, {setting}",
    )  # fmt: skip


@check("entropy-identity")
def poisson_entropy(study: Study) -> None:
    """Poisson fits fall below −log γ, for their base measure is not constant; for γ ≥ 1/e the rate alone forbids it."""
    gamma, data = 0.01, np.array([0, 20])
    table = fit(Categorical.zipf(401, 0.0), Counts([10] + [1] * 400), TCE(gamma)).model
    slack, held = (model.entropy() + math.log(gamma) for model in (fit(Poisson(1.0), data, TCE(gamma)).model, table))
    study.counterexample(
        "H ≥ −log γ", slack, held, hypothesis="a constant base measure",
        setting="data {0, 20}, γ = .01: the Poisson fit is λ = 10, unmasked; a table",
    )  # fmt: skip
    slacks, wrongs = [], []
    for gamma in (0.4, 0.6, 0.9):
        run = study.simulate(
            Poisson(-math.log(gamma)), TCE(gamma), n_samples=6, generations=20, replicates=study.size(200, 4000),
            metrics=["entropy"],
        )  # fmt: skip
        slacks.append(run.metrics["entropy"] + math.log(gamma))
        least = Poisson(-math.log(gamma)).entropy()  # the rate never falls below that
        wrongs.append(run.metrics["entropy"] - 1.05 * least)
    study.everywhere(
        "H_t ≥ −log γ, γ ≥ 1/e, Poisson", np.concatenate(slacks), np.concatenate(wrongs),
        change="5 % above the entropy of the rate −log γ, which is attained", setting="n = 6, 20 generations",
    )  # fmt: skip


@check("entropy-identity")
def poisson_inflation(study: Study) -> None:
    """Without noise TCE raises a Poisson rate until no mass exceeds γ: with that base measure it has no other floor."""
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
