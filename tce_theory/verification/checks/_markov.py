"""Checks of chains: what holds row by row, and where rows of one sequence are not independent samples."""

from __future__ import annotations

import numpy as np

from tce_theory.decoding import Temperature
from tce_theory.losses import TCE
from tce_theory.models.markov import MarkovChain
from tce_theory.theory import categorical as theory
from tce_theory.verification.checks import check
from tce_theory.verification.estimates import mean_of
from tce_theory.verification.study import Study

_SHARP = [[0.6, 0.3, 0.1], [0.1, 0.6, 0.3], [0.3, 0.1, 0.6]]
_CHAIN = [[0.4, 0.3, 0.2, 0.1], [0.1, 0.4, 0.3, 0.2], [0.25, 0.25, 0.25, 0.25], [0.3, 0.1, 0.2, 0.4]]


# --- support-floor


@check("support-floor")
def floors_of_every_row(study: Study) -> None:
    """Chains that start with all rows within the cap: transitions and entropy rate at every generation."""
    gamma, model = 0.45, MarkovChain(_CHAIN, length=20)
    found = study.simulate(
        model, TCE(gamma), n_samples=30, generations=40, replicates=study.size(150, 1500),
        metrics=["support", "entropy_rate"],
    ).metrics  # fmt: skip
    setting = "four symbols, γ = .45, 30 tokens in sequences of 20, 40 generations"
    classes = found["support"] / (4 * theory.surviving_classes_floor(gamma)) - 1
    rate = found["entropy_rate"] / theory.entropy_floor(gamma) - 1
    for quantity, slack in (("transitions ≥ 4 ⌈1/γ⌉", classes), ("entropy rate ≥ h_min(γ)", rate)):
        study.everywhere(quantity, slack, slack - 0.05, change="bound 5 % larger", setting=setting)
    outside = study.simulate(
        MarkovChain([[0.95, 0.05], [0.05, 0.95]]), TCE(0.9), n_samples=20, generations=20,
        replicates=study.size(50, 500), metrics=["entropy_rate"],
    ).metrics["entropy_rate"]  # fmt: skip
    study.counterexample(
        "entropy rate ≥ h_min(γ)", outside / theory.entropy_floor(0.9) - 1, rate,
        hypothesis="every row of generation 0 is in C_γ", setting=f"{setting}; rows (.95, .05), γ = .9",
    )  # fmt: skip


# --- tails-unprotected

_TOKENS = 12


def _sequences(study: Study, rows: list[list[float]], size: int) -> np.ndarray:
    """Transitions (size, _TOKENS, 2) of sequences that start in context 0."""
    model = MarkovChain(rows, start=np.eye(len(rows))[0], length=_TOKENS)
    return model.sample(size * _TOKENS, study.generator()).reshape(size, _TOKENS, 2)


@check("tails-unprotected")
def composition_of_a_row(study: Study) -> None:
    """Successors after which the chain goes on alike: neutral drift with as many draws as fell into them."""
    # symbols 1 and 2 have equal rows, so that which of them came says nothing about how often row 0 is seen again
    rows, size = [[0.4, 0.36, 0.24], [0.7, 0.1, 0.2], [0.7, 0.1, 0.2]], study.size(300_000, 3_000_000)
    after_0 = np.where((seen := _sequences(study, rows, size))[..., 0] == 0, seen[..., 1], 0)
    counts = np.stack([(after_0 == symbol).sum(axis=1) for symbol in (1, 2)], axis=1)
    number = counts.sum(axis=1)
    counts, number = counts[number > 0], number[number > 0]
    share = counts / number[:, None]
    left = (1 - (share**2).sum(axis=1)) / 0.48 - (1 - 1 / number)
    study.equal(
        "E [H'_U/H_U − (1 − 1/N_U)]", mean_of(left), 0.0, -0.1 * float((1 / number).mean()), change="1.1/N_U for 1/N_U",
        setting=f"row (.4, .36, .24), U the last two, whose rows are equal; sequences of {_TOKENS} tokens",
        size=number.size,
    )  # fmt: skip


@check("tails-unprotected")
def rows_of_a_sequence(study: Study) -> None:
    """Find the mean frequency of a successor that leads back to its row below its probability: no independent sample.

    Each draw has the row's law, but how often the row is seen depends on what is drawn. The mean frequency is found by
    summing over all sequences; a prompt for each token would restore the row's law.
    """
    size = study.size(60_000, 600_000)
    seen = _sequences(study, [[0.5, 0.5], [0.9, 0.1]], size)
    in_row = seen[..., 0] == 0
    share = (in_row & (seen[..., 1] == 0)).sum(axis=1) / in_row.sum(axis=1)
    exact = _mean_share(np.array([[0.5, 0.5], [0.9, 0.1]]))
    study.equal(
        "E f(0 after 0)", mean_of(share), exact, 0.5, change="the row's law, .5", size=size,
        setting=f"rows (.5, .5) and (.9, .1), from 0, one sequence of {_TOKENS} tokens; exact by summation",
    )  # fmt: skip


def _mean_share(matrix: np.ndarray) -> float:
    """Mean frequency of 0 after 0 in a sequence that starts in 0, over the numbers of visits and of returns."""
    law = np.zeros((2, _TOKENS + 1, _TOKENS + 1))  # context, visits of 0, of which followed by 0
    law[0, 0, 0] = 1.0
    for _ in range(_TOKENS):
        new = np.zeros_like(law)
        new[0, 1:, 1:] += matrix[0, 0] * law[0, :-1, :-1]
        new[1, 1:, :] += matrix[0, 1] * law[0, :-1, :]
        new[0] += matrix[1, 0] * law[1]
        new[1] += matrix[1, 1] * law[1]
        law = new
    visits = np.arange(_TOKENS + 1)
    return float((law.sum(axis=0) * visits[None, :] / np.maximum(visits, 1)[:, None]).sum())


# --- mode-seeking-limit


@check("mode-seeking-limit")
def limit_of_every_row(study: Study) -> None:
    """Under a temperature every row ends at γ on one symbol and the rest on one more: the least entropy on the cap."""
    gamma, model, replicates = 0.6, MarkovChain(_SHARP), study.size(20, 200)
    rate = study.simulate(
        model, TCE(gamma), n_samples=3000, generations=12, replicates=replicates, decoding=Temperature(0.5),
        metrics=["entropy_rate"],
    ).metrics["entropy_rate"][:, -1]  # fmt: skip
    floor = float(theory.entropy_floor(gamma))
    study.instances(
        "entropy rate → h_min(γ)", rate, np.full(replicates, floor), np.full(replicates, 1.05 * floor),
        change="h_min 5 % larger", setting="three symbols, γ = .6, T = .5, 3,000 tokens, generation 12",
    )  # fmt: skip
