"""Checks of drift and of the loss of classes: cross entropy, and where TCE acts as it does."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
from scipy import linalg, stats

from tce_theory.exact import TwoClassChain
from tce_theory.fitting import Counts, fit
from tce_theory.losses import TCE, CrossEntropy
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.theory import categorical as theory
from tce_theory.theory import wall
from tce_theory.verification.checks import check
from tce_theory.verification.checks._capped import quiet
from tce_theory.verification.estimates import mean_of, proportion_of
from tce_theory.verification.study import Study

_CE = CrossEntropy()
_FIVE = "5 % larger"


def _drawn_only(gamma: float) -> TCE:
    return TCE(gamma, vacuous="drawn-only")


# --- wright-fisher


def _chain_heterozygosity(chain: TwoClassChain, t: int) -> float:
    q = chain.model_probs
    return float(chain.distribution(t) @ (2 * q * (1 - q)))


@check("wright-fisher")
def heterozygosity(study: Study) -> None:
    """Mean heterozygosity, simulated; exactly, it decays otherwise with fresh data or a cap."""
    model, n, t, replicates = Categorical.zipf(20), 16, 16, study.size(45_000, 450_000)
    left = study.simulate(
        model, _CE, n_samples=n, generations=t, replicates=replicates, metrics=["heterozygosity"]
    ).metrics["heterozygosity"]
    predicted = float(theory.heterozygosity_decay(t, n))
    study.equal(
        "E H_t/H_0, n = 16, t = 16", mean_of(left[:, t] / model.heterozygosity()), predicted, (1 - 1.1 / n) ** t,
        change="1.1/n for 1/n", setting="Zipf(1), K = 20", size=replicates,
    )  # fmt: skip
    slack: dict[bool, list[float]] = {}
    for plain in (True, False):
        chains = [TwoClassChain(20, 0.3)] if plain else [
            TwoClassChain(20, 0.3, fraction=0.05), TwoClassChain(20, 0.3, loss=TCE(0.8))
        ]  # fmt: skip
        slack[plain] = [
            -abs(_chain_heterozygosity(chain, t) / 0.42 - float(theory.heterozygosity_decay(t, 20)))
            for chain in chains
            for t in (5, 20, 60)
        ]
    study.counterexample(
        "E H_t = (1 − 1/n)^t H_0", slack[False], slack[True], hypothesis="cross entropy, replace",
        setting="exact chains, n = 20, p = .3, t = 5, 20, 60; 5 % fresh data, and TCE(.8)",
    )  # fmt: skip


@check("wright-fisher")
def spectrum(study: Study) -> None:
    """Eigenvalues of the chain of two classes, and their multiplicities for three and four."""
    n = study.size(40, 200)
    degree = np.arange(2, n + 1)
    predicted = np.asarray(theory.wright_fisher_eigenvalues(n, degree))
    degree, predicted = degree[predicted > 1e-4], predicted[predicted > 1e-4]
    wrong = np.array([np.prod(1 - 1.05 * np.arange(k) / n) for k in degree])
    found = TwoClassChain(n, 0.5).spectrum()[degree]
    study.instances(
        "λ_k = Π (1 − i/n)", found, predicted, wrong, change="1.05/n for 1/n", tolerance=1e-8,
        setting=f"transition matrix of two classes, n = {n}, λ_k > 1e-4",
    )  # fmt: skip
    for size, n in ((3, 5), (4, 4)):
        values = linalg.eigvals(_multinomial_chain(size, n)).real
        # degrees 0 and 1 share the eigenvalue 1
        levels = np.asarray(theory.wright_fisher_eigenvalues(n, np.arange(1, n + 1)))
        counts = (np.abs(values[:, None] - levels) < 1e-4).sum(axis=0)
        monomials = np.array([theory.wright_fisher_multiplicity(k, size) for k in range(1, n + 1)])
        more = np.array([theory.wright_fisher_multiplicity(k, size + 1) for k in range(1, n + 1)])
        monomials[0], more[0] = monomials[0] + 1, more[0] + 1
        study.instances(
            f"multiplicity of λ_k, K = {size}, n = {n}", counts, monomials, more, change="K variables for K − 1",
            setting="eigenvalues of the transition matrix",
        )  # fmt: skip


def _multinomial_chain(size: int, n: int) -> np.ndarray:
    states = np.array([state for state in itertools.product(range(n + 1), repeat=size) if sum(state) == n])
    return np.array([stats.multinomial.pmf(states, n, state / n) for state in states])


@check("wright-fisher")
def last_class(study: Study) -> None:
    """Which class is left: simulated, and exactly."""
    probs, t, replicates = np.array([0.5, 0.3, 0.2]), 18, study.size(100_000, 1_000_000)
    found = study.simulate(
        Categorical(probs), _CE, n_samples=2, generations=t, replicates=replicates, metrics=["tv"]
    ).metrics["tv"][:, t]
    study.equal(
        "P(class 1 is left) = p_1 = .5", proportion_of(np.abs(found - 0.5) < 1e-9), 0.5, 0.55, change="p_1 10 % larger",
        setting="p = (.5, .3, .2), n = 2, t = 18, when all but 4e-6 of the paths are fixed", size=replicates,
    )  # fmt: skip
    p = np.array([0.05, 0.3, 0.5, 0.8])
    exact = [TwoClassChain(20, value).distribution(600)[20] for value in p]
    study.instances(
        "P(class 1 is left) = p", exact, theory.fixation_probability(p), 1.05 * p, change=f"p {_FIVE}", tolerance=1e-8,
        setting="exact chain of two classes, n = 20, t = 600",
    )  # fmt: skip


@check("wright-fisher")
def absorption_times(study: Study) -> None:
    """Exact mean times against a plain linear solve, and their approach to the diffusion limit."""
    found = [_mean_time(np.arange(21) / 20, 0.1), _mean_time(np.arange(101) / 100, 0.5)]
    stated = np.array([11.9806621, 136.602278])
    study.instances(
        "E T for n = 20, p = .1, and n = 100, p = .5", found, stated, 1.05 * stated, change=f"E T {_FIVE}",
        setting="linear system solved with NumPy", tolerance=5e-9,
    )  # fmt: skip
    sizes = [200, study.size(800, 1600)]
    for p in (0.5, 0.3):
        limit = float(theory.absorption_time_limit(1, p))
        study.limit(
            f"E T/n, p = {p}", sizes, [TwoClassChain(n, p).mean_absorption_time() / n for n in sizes], limit,
            1.05 * limit, order=1.0, change=f"limit {_FIVE}", setting=f"exact chains, n = {sizes[0]}, {sizes[1]}",
        )  # fmt: skip


@check("wright-fisher")
def fixation_times(study: Study) -> None:
    """When one of two classes is lost, as the simulator reports it, against the exact chain."""
    t, replicates = 5, study.size(60_000, 600_000)
    run = study.simulate(
        Categorical([0.1, 0.9]), _CE, n_samples=20, generations=t, replicates=replicates, metrics=["entropy"]
    )
    chain = TwoClassChain(20, 0.1)
    predicted, earlier = (float(chain.distribution(generation)[[0, 20]].sum()) for generation in (t, t - 1))
    study.equal(
        "P(T ≤ 5), n = 20, p = .1", proportion_of(run.events["fixation"] >= 0), predicted, earlier, size=replicates,
        change="one generation less", setting="generation of the event, simulated",
    )  # fmt: skip
    late = run.events["fixation"][run.events["fixation"] >= 0] == t
    share = 1 - earlier / predicted
    study.equal(
        "P(T = 5 | T ≤ 5), n = 20, p = .1", proportion_of(late), share, 0.0, size=late.size,
        change="events noted one generation early", setting="generation of the event, simulated",
    )  # fmt: skip


def _mean_time(models: np.ndarray, start: float) -> float:
    """Mean time to the loss of a class: models of counts 0 … n, from `start`."""
    n = models.size - 1
    inside = np.flatnonzero((models > 0) & (models < 1))
    matrix = stats.binom.pmf(inside, n, models[inside][:, None])
    times = np.linalg.solve(np.eye(inside.size) - matrix, np.ones(inside.size))
    return float(1 + stats.binom.pmf(inside, n, start) @ times)


# --- tail-extinction


@check("tail-extinction")
def one_class(study: Study) -> None:
    """One class under Poisson sampling: simulated, and by its transition matrix."""
    rng, t, size = study.generator(), 5, study.size(400_000, 4_000_000)
    points = rng.poisson(3.0, size)
    for _ in range(t - 1):
        points = rng.poisson(points)
    predicted = float(theory.class_survival_probability(t, 100, 0.03))
    study.equal(
        "P(N_t > 0), np = 3, t = 5", proportion_of(points > 0), predicted, 1.05 * predicted,
        change=f"probability {_FIVE}", setting="N_{t+1} Poisson with mean N_t", size=size,
    )  # fmt: skip
    means, times = np.array([0.2, 1.0, 2.5]), np.array([1, 2, 5, 10, 20])
    states = np.arange(400)
    step = stats.poisson.pmf(states, states[:, None])
    law = stats.poisson.pmf(states, means[:, None])
    laws = [law := law @ step if i else law for i in range(times.max())]
    found = [1 - laws[t - 1][:, 0] for t in times]
    predicted_all = np.array([theory.class_survival_probability(t, 10, means / 10) for t in times])
    wrong = [theory.class_survival_probability(t, 10, 1.05 * means / 10) for t in times]
    study.instances(
        "P(N_t > 0) = 1 − q_t^{np}", found, predicted_all, wrong, change=f"np {_FIVE}", tolerance=1e-8,
        setting="transition matrix of 400 counts; np = .2, 1, 2.5, t = 1 … 20",
    )  # fmt: skip


@check("tail-extinction")
def multinomial_sampling(study: Study) -> None:
    """Exact survival under multinomial sampling: at least the Poisson value, and near it for rare classes only."""
    rows, wrong = [], []
    for n, count in ((200, 1), (200, 2), (100, 1), (30, 1), (30, 4), (10, 5)):
        chain, t = TwoClassChain(n, count / n), np.arange(1, 13)
        exact = np.array([1 - chain.distribution(int(time))[0] for time in t])
        rows.append(exact / theory.class_survival_probability(t, n, count / n) - 1)
        wrong.append(exact / theory.class_survival_probability(t, n, 1.05 * count / n) - 1)
    study.everywhere(
        "P(N_t > 0) ≥ 1 − q_t^{np}", np.array(rows).ravel()[:, None], np.array(wrong).ravel()[:, None],
        change=f"np {_FIVE}", setting="exact chains, np = 1 … 5, n = 10 … 200, t = 1 … 12",
    )  # fmt: skip
    study.counterexample(
        "P(N_t > 0) = 1 − q_t^{np}", -np.abs(rows), _poisson_difference(), hypothesis="Poisson sampling",
        setting="the same chains, and the transition matrix of Poisson counts, np = 1", tolerance=1e-8,
    )  # fmt: skip


def _poisson_difference() -> np.ndarray:
    states = np.arange(300)
    law, step = stats.poisson.pmf(states, 1.0), stats.poisson.pmf(states, states[:, None])
    found = []
    for t in range(1, 13):
        found.append(-abs((1 - law[0]) / theory.class_survival_probability(t, 100, 0.01) - 1))
        law = law @ step
    return np.array(found)


@check("tail-extinction")
def surviving_types(study: Study) -> None:
    """Classes left of Zipf's law: Poisson sampling in NumPy, and the recursion against exact chains."""
    rng, model, n, t = study.generator(), Categorical.zipf(2000), 200_000, 10
    left = []
    for _ in range(study.size(60, 1000)):
        points = rng.poisson(n * model.probs)
        for _ in range(t - 1):
            points = rng.poisson(points)
        left.append(np.count_nonzero(points))
    predicted = float(theory.expected_surviving_types(model.probs, n, t))
    study.equal(
        "E S_t, Poisson, n = 200,000, t = 10", mean_of(left), predicted, 1.05 * predicted,
        change=f"E S_t {_FIVE}", setting="Zipf(1), K = 2000", size=len(left),
    )  # fmt: skip
    model, n, t, replicates = Categorical.zipf(30), 100, 5, study.size(8000, 100_000)
    support = study.simulate(model, _CE, n_samples=n, generations=t, replicates=replicates, metrics=["support"])
    times = np.array([1, 2, 5, 10])
    exact = {size: _exact_support(model, size, times) for size in (50, n)}
    study.equal(
        "E S_t, multinomial, n = 100, t = 5", mean_of(support.metrics["support"][:, t]), exact[n][2],
        1.05 * exact[n][2], change=f"E S_t {_FIVE}", size=replicates,
        setting="Zipf(1), K = 30, against exact chains of each class and the rest",
    )  # fmt: skip
    ratio = np.concatenate([exact[size] / theory.expected_surviving_types(model.probs, size, times) for size in exact])
    study.everywhere(
        "E S_t ≥ Σ (1 − q_t^{np_i})", ratio[:, None] - 1, ratio[:, None] / 1.05 - 1, change=f"bound {_FIVE}",
        setting="the same chains, n = 50 and 100, t = 1, 2, 5, 10",
    )  # fmt: skip
    zipf = Categorical.zipf(100_000).probs
    found = theory.expected_surviving_types(zipf, 10**7, [10, 100])
    stated = np.array([91893.235190, 37562.689962])
    study.instances(
        "Σ (1 − q_t^{np_i}), t = 10, 100", found, stated, 1.05 * stated, change=f"sum {_FIVE}", tolerance=2e-11,
        setting="Zipf(1), K = 1e5, n = 1e7",
    )  # fmt: skip


def _exact_support(model: Categorical, n: int, times: np.ndarray) -> np.ndarray:
    """Return the expected number of classes left, exactly: each class and the rest are a chain of two."""
    chains = [TwoClassChain(n, float(p)) for p in model.probs]
    return np.array([sum(1 - chain.distribution(int(t))[0] for chain in chains) for t in times])


@check("tail-extinction")
def constant(study: Study) -> None:
    """Convergence of 2/s_t − t − log(t)/3, and its value at a late t."""
    constant = theory.survival_constant()
    sizes = [10**3, 10**4, study.size(10**5, 10**6)]
    values = [float(2 / theory.survival_probability(t) - t - math.log(t) / 3) for t in sizes]
    study.limit(
        "2/s_t − t − log(t)/3 → C", sizes, values, constant, 1.05 * constant, order=1.0, change=f"C {_FIVE}",
        setting="iterated to t = 1e5 (full: 1e6)",
    )  # fmt: skip
    # what is left out at t is log(t)/(9t) to leading order: twice that is a bound on its size here
    late = sizes[-1]
    study.instances(
        "C", values[-1], constant, 1.05 * constant, change=f"C {_FIVE}", tolerance=2 * math.log(late) / (9 * late),
        setting=f"2/s_t − t − log(t)/3 at t = {late}",
    )  # fmt: skip


# --- two-class-persistence


@check("two-class-persistence")
def time_to_loss(study: Study) -> None:
    """Survival of both classes, simulated: 2^{n−1} generations on average at γ = 1/2; the exact chain elsewhere."""
    n, t, replicates = 4, 5, study.size(160_000, 1_600_000)
    run = study.simulate(
        Categorical([0.5, 0.5]), _drawn_only(0.5), n_samples=n, generations=t, replicates=replicates,
        metrics=["support"],
    )  # fmt: skip
    survival, wrong = ((1 - 1 / time) ** t for time in (8.0, 8.8))
    study.equal(
        "P(T > 5), γ = 1/2, n = 4: (1 − 2^{1−n})^5", proportion_of(run.metrics["support"][:, t] == 2), survival, wrong,
        change="mean time 10 % larger", setting="drawn-only", size=replicates,
    )  # fmt: skip
    sizes = np.arange(2, 41)
    times = [TwoClassChain(int(n), 0.5, loss=_drawn_only(0.5)).mean_absorption_time() for n in sizes]
    half = 2.0 ** (sizes - 1)
    study.instances(
        "E T = 2^{n−1} at γ = 1/2", times, half, 1.05 * half, change=f"E T {_FIVE}", setting="exact chains, n = 2 … 40"
    )
    chain, replicates = TwoClassChain(10, 0.3, loss=_drawn_only(0.8)), study.size(70_000, 700_000)
    run = study.simulate(
        Categorical([0.3, 0.7]), chain.loss, n_samples=10, generations=8, replicates=replicates, metrics=["support"]
    )
    exact, wrong = (
        1 - float(law[0] + law[10])
        for law in (chain.distribution(8), TwoClassChain(10, 0.3, loss=_drawn_only(0.84)).distribution(8))
    )
    study.equal(
        "P(T > 8), γ = .8, n = 10, p_0 = .3", proportion_of(run.metrics["support"][:, 8] == 2), exact, wrong,
        change="γ 5 % larger", setting="drawn-only, against the exact chain", size=replicates,
    )  # fmt: skip


@check("two-class-persistence")
def bounds(study: Study) -> None:
    """Exact mean times between their bounds, against a plain linear solve, and infinite under a warm start."""
    times, lower, upper, rough, dull = [], [], [], [], []
    for n, gamma in itertools.product((1, 2, 5, 20, 60, 150), (0.5, 0.55, 0.7, 0.9, 0.99)):
        for p in (0.5, gamma):
            times.append(TwoClassChain(n, p, loss=_drawn_only(gamma)).mean_absorption_time())
            loss = gamma**n + (1 - gamma) ** n
            lower.append(1 / loss)
            upper.append(n / (4 * gamma * (1 - gamma)) * (1 + 1 / loss))
            rough.append(upper[-1] / n)
            dull.append(2.0 ** (n - 1))
    setting = "exact chains, n = 1 … 150, γ = .5 … .99, p_0 = .5 and γ; drawn-only"
    found = np.array(times)[:, None]
    for quantity, slack, wrong, change in (
        ("E T ≥ 1/(γ^n + (1 − γ)^n)", found.T / lower - 1, found.T / lower / 1.05 - 1, f"bound {_FIVE}"),
        ("E T ≤ 2^{n−1}", 1 - found.T / dull, 1 - found.T / dull / 0.95, "bound 5 % smaller"),
        (
            "E T ≤ n/(4γ(1 − γ)) (1 + 1/(γ^n + (1 − γ)^n))", 1 - found.T / upper, 1 - found.T / rough,
            "without the factor n",
        ),
    ):  # fmt: skip
        study.everywhere(quantity, slack.T, wrong.T, change=change, setting=setting)
    warm = 1 / TwoClassChain(20, 0.5, loss=TCE(0.7)).mean_absorption_time()
    study.counterexample(
        "1/E T ≥ that of the upper bound", warm - 1 / np.array(upper), 1 / found[:, 0] - 1 / np.array(upper),
        hypothesis="drawn-only", setting=f"warm, γ = .7, n = 20: E T = ∞; with it {setting}", tolerance=1e-12,
    )  # fmt: skip
    solved = [_mean_time(_clipped(100, gamma), 0.5) for gamma in (0.9, 0.95)]
    stated = np.array([279516.367, 1211.11382])
    study.instances(
        "E T, n = 100, p_0 = .5, γ = .9 and .95", solved, stated, 1.05 * stated, change=f"E T {_FIVE}",
        setting="linear system solved with NumPy", tolerance=4e-9,
    )  # fmt: skip


def _clipped(n: int, gamma: float) -> np.ndarray:
    """Models of the counts 0 … n, drawn-only."""
    models = np.clip(np.arange(n + 1) / n, 1 - gamma, gamma)
    models[[0, n]] = 0, 1
    return models


@check("two-class-persistence")
def leading_order(study: Study) -> None:
    """Exact mean times over their leading order: they tend to 1 like n^(−1/2), from below or above."""
    sizes = [400, study.size(800, 1600)]
    for gamma in (0.9, 0.8):
        ratios = [_over_leading_order(n, gamma) for n in sizes]
        study.limit(
            f"E T/[√(2nγ(1 − γ)) log(γ/(1 − γ)) γ^(−n)], γ = {gamma}", sizes, ratios, 1.0, 1.05, order=0.5,
            change=f"leading order {_FIVE}", setting=f"exact chains, n = {sizes[0]}, {sizes[1]}, p_0 = .5",
        )  # fmt: skip
    cases = [(100, 0.9, 0.796), (400, 0.9, 0.880), (400, 0.99, 1.39)]
    if study.effort == "full":
        cases.append((1600, 0.9, 0.936))
    stated = np.array([case[2] for case in cases])
    study.instances(
        "E T over its leading order", [_over_leading_order(n, gamma) for n, gamma, _ in cases], stated, 1.05 * stated,
        change=f"ratio {_FIVE}", tolerance=4e-3, setting="exact chains; n, γ = 100, .9; 400, .9; 400, .99",
    )  # fmt: skip


def _over_leading_order(n: int, gamma: float) -> float:
    exact = math.log(TwoClassChain(n, 0.5, loss=_drawn_only(gamma)).mean_absorption_time())
    return math.exp(exact - float(theory.log_two_class_persistence_limit(n, gamma)))


@check("two-class-persistence")
def where_tce_is_ce(study: Study) -> None:
    """Coupled paths under drawn-only: the same for γ ≥ 1 − 1/n, not below; nor under a warm start."""
    n, replicates = 20, study.size(300, 5000)
    losses = [_CE, _drawn_only(0.95), _drawn_only(0.9), TCE(0.95)]
    paths = [
        run.metrics["entropy"]
        for run in study.coupled(
            Categorical([0.3, 0.7]), losses, n_samples=n, generations=30, replicates=replicates,
            metrics=["entropy"], sampler="points",
        )
    ]  # fmt: skip
    slack = [-np.abs(path - paths[0]) for path in paths[1:]]
    study.everywhere(
        "TCE = cross entropy for γ ≥ 1 − 1/n", slack[0], slack[1], change="γ 5 % smaller",
        setting="coupled paths, drawn-only, n = 20, γ = .95, 30 generations",
    )  # fmt: skip
    study.counterexample(
        "TCE = cross entropy for γ ≥ 1 − 1/n", slack[2], slack[0], hypothesis="drawn-only", setting="the same, warm"
    )
    edges = [(n, gamma) for n in (2, 3, 10, 40) for gamma in (0.5, 0.7, 1 - 1.05 / n, 1 - 1 / n, 1 - 0.95 / n)]
    edges = [(n, gamma) for n, gamma in edges if gamma >= 0.5]
    models = [TwoClassChain(n, 0.3, loss=_drawn_only(gamma)).model_probs[:-1] for n, gamma in edges]
    same = [np.allclose(model * (model.size - 1), np.arange(model.size)) for model in models]
    predicted = np.array([theory.tce_is_ce(n, gamma) for n, gamma in edges])
    study.instances(
        "whether TCE is cross entropy", np.array(same), predicted, ~predicted, change="the opposite",
        setting="fits to all counts, n = 2, 3, 10, 40, γ around 1 − 1/n",
    )  # fmt: skip


@check("two-class-persistence")
def warm_start(study: Study) -> None:
    """Under a warm start the chain forgets p_0; its stationary heterozygosity, simulated and in the limit."""
    n, gamma, t, replicates = 15, 0.8, 12, study.size(40_000, 400_000)
    right, wrong = (TwoClassChain(n, 0.4, loss=TCE(value)) for value in (gamma, 1.05 * gamma))
    found = study.simulate(
        Categorical([0.4, 0.6]), TCE(gamma), n_samples=n, generations=t, replicates=replicates,
        metrics=["heterozygosity"],
    ).metrics["heterozygosity"][:, t]  # fmt: skip
    study.equal(
        "E H_12, γ = .8, n = 15", mean_of(found), *(_chain_heterozygosity(chain, t) for chain in (right, wrong)),
        change="γ 5 % larger", setting="warm, p_0 = .4, against the exact chain", size=replicates,
    )  # fmt: skip
    late = [_chain_heterozygosity(TwoClassChain(n, p, loss=TCE(gamma)), 400) for p in (0.2, 0.35, 0.8)]
    stationary, shifted = (_stationary_heterozygosity(chain) for chain in (right, wrong))
    study.instances(
        "E H_400 = stationary E H", late, np.full(3, stationary), np.full(3, shifted), change="γ 5 % larger",
        setting="exact chains, p_0 = .2, .35, .8", tolerance=1e-9,
    )  # fmt: skip
    drawn_only = [_chain_heterozygosity(TwoClassChain(n, p, loss=_drawn_only(gamma)), 400) for p in (0.2, 0.35, 0.8)]
    study.counterexample(
        "E H_400 = stationary E H", -np.abs(np.array(drawn_only) - stationary),
        -np.abs(np.array(late) - stationary), hypothesis="warm start", setting="the same, drawn-only",
    )  # fmt: skip
    sizes = [100, study.size(400, 1600)]
    for gamma in (0.8, 0.9):
        limit = float(theory.warm_heterozygosity_limit(gamma))
        values = [_stationary_heterozygosity(TwoClassChain(n, 0.5, loss=TCE(gamma))) for n in sizes]
        study.limit(
            f"stationary E 2p(1 − p), γ = {gamma}", sizes, values, limit, 1.05 * limit, order=0.5,
            change=f"limit {_FIVE}", setting=f"exact chains, n = {sizes[0]}, {sizes[1]}",
        )  # fmt: skip


def _stationary_heterozygosity(chain: TwoClassChain) -> float:
    q = chain.model_probs
    return float(chain.stationary_distribution() @ (2 * q * (1 - q)))


# --- neutral-until-cap


def _first(condition: np.ndarray) -> np.ndarray:
    """First generation at which it holds, or one after the last."""
    return np.asarray(np.where(condition.any(axis=1), condition.argmax(axis=1), condition.shape[1]))


@check("neutral-until-cap")
def categorical_paths(study: Study) -> None:
    """Coupled paths of cross entropy and TCE part when a frequency first exceeds γ, not before and not later."""
    gamma, replicates = 0.8, study.size(300, 5000)
    options: dict[str, Any] = {
        "generations": 60, "replicates": replicates, "metrics": ["max_prob", "entropy", "tv", "kl_to_origin"],
        "sampler": "points",
    }  # fmt: skip
    same: list[np.ndarray] = []
    for probs, n in (([0.3, 0.7], 15), ([0.1, 0.2, 0.3, 0.4], 12)):
        model = Categorical(probs)
        losses = [_CE, TCE(gamma), _drawn_only(gamma)]
        plain, capped, kept = (run.metrics for run in study.coupled(model, losses, n_samples=n, **options))
        exceeds = _first(plain["max_prob"] > gamma)
        later = _first(plain["max_prob"] > 1.05 * gamma)
        parts = _first(np.any([plain[name] != capped[name] for name in plain], axis=0))
        parts_kept = _first(plain["max_prob"] != kept["max_prob"])
        same.append(np.column_stack([parts - exceeds, parts - later, exceeds - parts, exceeds - parts_kept]))
    times = np.concatenate(same).astype(float)
    setting = "coupled paths, γ = .8, n = 15 from (.3, .7), n = 12 from (.1, .2, .3, .4), 60 generations"
    study.everywhere(
        "paths are the same before a frequency exceeds γ", times[:, :1], times[:, 1:2], change="1.05 γ", setting=setting
    )
    study.counterexample(
        "paths part when a frequency exceeds γ", times[:, 3], times[:, 2], hypothesis="warm start",
        setting=f"{setting}; drawn-only",
    )  # fmt: skip
    model = Categorical([0.3, 0.7])
    one, other = (
        study.simulate(model, loss, n_samples=15, **options).metrics["max_prob"] for loss in (_CE, TCE(gamma))
    )
    study.counterexample(
        "paths are the same before a frequency exceeds γ", _first(one != other) - _first(one > gamma), times[:, 0],
        hypothesis="the same random numbers", setting=f"{setting}; seeds of their own",
    )  # fmt: skip


@check("neutral-until-cap")
def single_fits(study: Study) -> None:
    """Fits to counts: those of cross entropy if no frequency exceeds γ, and others if one does."""
    rng = study.generator()
    slack: dict[bool, list[float]] = {True: [], False: []}
    for _ in range(study.size(300, 5000)):
        counts = 1 + rng.multinomial(40, rng.dirichlet(np.ones(4)))
        top, gamma = counts.max() / counts.sum(), rng.uniform(0.3, 0.95)
        fitted = fit(Categorical(np.full(4, 0.25)), Counts(counts), TCE(gamma)).model.probs
        slack[bool(top <= gamma)].append(-float(np.abs(fitted - counts / counts.sum()).max()))
    study.everywhere(
        "TCE fit = frequencies", np.array(slack[True])[:, None], np.array(slack[False])[:, None],
        change="where a frequency exceeds γ", setting="fits to counts of 44 points in 4 classes, γ in (.3, .95)",
    )  # fmt: skip


@check("neutral-until-cap")
def gaussian_paths(study: Study) -> None:
    """Coupled Gaussian paths are the same while σ ≥ σ_c; below σ_c they need not part."""
    gamma, replicates = 0.5, study.size(300, 3000)
    times = []
    for fit_mean, n in ((True, 10), (False, 30)):
        plain, truncated = (
            run.metrics
            for run in study.coupled(
                Gaussian(fit_mean=fit_mean), [_CE, TCE(gamma)], n_samples=n, generations=40,
                replicates=replicates, metrics=["mean", "std"], sampler="points",
            )
        )  # fmt: skip
        parts = _first((plain["std"] != truncated["std"]) | (plain["mean"] != truncated["mean"]))
        bounds = [_first(plain["std"] < factor * wall.critical_std(gamma)) for factor in (1.0, 0.95)]
        times.append(np.column_stack([parts - bound for bound in bounds]))
    slack = np.concatenate(times).astype(float)
    study.everywhere(
        "Gaussian paths are the same while σ ≥ σ_c", slack[:, :1], slack[:, 1:], change="while σ ≥ .95 σ_c",
        setting="coupled paths, γ = .5, n = 10, and n = 30 with a known mean, 40 generations",
    )  # fmt: skip
    moved = {}
    for middle in (True, False):
        data = np.array([-1.0, 1.0] + [-0.2, 0.1, 0.1] * middle)
        stds = [fit(Gaussian(), data, loss).model.std for loss in (_CE, TCE(0.3))]
        moved[middle] = abs(stds[1] - stds[0]) - 1e-6
    study.counterexample(
        "the TCE fit is another if σ < σ_c", moved[False], moved[True], tolerance=0.0,
        hypothesis="a point lies where the density exceeds γ",
        setting="data ±1, γ = .3, σ = 1 < σ_c = 1.33; with it −.2, .1, .1 more",
    )  # fmt: skip


# --- tails-unprotected


def _factor(n: int, mass: np.ndarray) -> np.ndarray:
    """E[(1 − 1/N) 1{N ≥ 1}], N binomial."""
    count = np.arange(1, n + 1)
    return np.asarray(stats.binom.pmf(count, n, np.asarray(mass)[..., None]) @ (1 - 1 / count))


def _within(points: np.ndarray) -> np.ndarray:
    """Heterozygosity of the composition; 0 without points."""
    total = np.maximum(points.sum(axis=-1), 1)
    return np.where(points.sum(axis=-1) > 0, 1 - (points**2).sum(axis=-1) / total**2, 0.0)


@check("tails-unprotected")
def composition(study: Study) -> None:
    """Heterozygosity within U of the draws, and of the fits whose classes of U are below the cap."""
    rng, n, size = study.generator(), 12, study.size(400_000, 2_000_000)
    p = np.array([0.1, 0.1, 0.15, 0.65])
    share = p[:3] / p[:3].sum()
    draws = rng.multinomial(n, p, size)[:, :3]
    ratio, inside = _within(draws) / (1 - share @ share), draws.sum(axis=1)
    for points in (2, 4):
        predicted = float(theory.composition_decay(points))
        given = ratio[inside == points]
        study.equal(
            f"E[H_U′ | N_U = {points}]/H_U", mean_of(given), predicted, 1 - 1.1 * (1 - predicted),
            change="1.1/N_U for 1/N_U", setting="p = (.1, .1, .15, .65), U the first three, n = 12", size=given.size,
        )  # fmt: skip
    mean = float(_factor(n, np.array(0.35)))
    study.equal("E H_U′/H_U", mean_of(ratio), mean, 0.95 * mean, change="5 % smaller", setting="the same", size=size)
    found, predicted_all = [], []
    for _ in range(study.size(300, 5000)):
        counts = 1 + rng.multinomial(30, p)
        fitted = fit(Categorical(p), Counts(counts), TCE(0.5)).model.probs
        if theory.capped_projection(counts / counts.sum(), 0.5).probs[:3].max() < 0.5:
            found.append(fitted[:3] / fitted[:3].sum())
            predicted_all.append(counts[:3] / counts[:3].sum())
    study.instances(
        "composition of the fit within U is that of the draws", found, predicted_all, 1.05 * np.array(predicted_all),
        change=f"shares {_FIVE}", setting="fits with γ = .5, no class of U capped",
    )  # fmt: skip


@check("tails-unprotected")
def one_generation(study: Study) -> None:
    """Simulate one generation; where class 3 is at its cap, with 1 to 4 points in U, look at the composition of U."""
    p, n, gamma, replicates = np.array([0.1, 0.15, 0.75]), 12, 0.6, study.size(150_000, 1_500_000)
    found = study.simulate(
        Categorical(p), TCE(gamma), n_samples=n, generations=1, replicates=replicates,
        metrics=["max_prob", "heterozygosity"],
    ).metrics  # fmt: skip
    top = found["max_prob"][:, 1]
    same = 1 - found["heterozygosity"][:, 1] - top**2
    # where nothing falls into U the model stays at .75
    within = np.where(np.abs(top - gamma) < 1e-12, 1 - same / (1 - top) ** 2, 0.0) / (1 - 0.4**2 - 0.6**2)
    points = np.arange(1, 5)
    masses = stats.binom.pmf(points, n, 0.25)
    predicted, wrong = (float(masses @ (1 - factor / points)) for factor in (1.0, 1.1))
    study.equal(
        "E[H_U′ 1{1 ≤ N_U ≤ 4}]/H_U", mean_of(within), predicted, wrong, change="1.1/N_U for 1/N_U",
        setting="TCE recursion, p = (.1, .15, .75), U the first two, γ = .6, n = 12, t = 1", size=replicates,
    )  # fmt: skip


@check("tails-unprotected")
def every_sample(study: Study) -> None:
    """By enumeration of all samples: the factor 1 − 1/N_U, for a fixed U and without a condition on the cap."""
    p, n, gamma = np.array([0.25, 0.25, 0.5]), 3, 0.6
    plain, uncapped, rarest = [], [], []
    for q, size in ((p, n), (np.array([0.1, 0.3, 0.2, 0.4]), 6)):
        samples = np.array([s for s in itertools.product(range(size + 1), repeat=q.size) if sum(s) == size])
        weights = stats.multinomial.pmf(samples, size, q)
        share = q[:2] / q[:2].sum()
        initial = 1 - share @ share
        for points in range(2, size + 1):  # of one point both sides are 0
            given = samples[:, :2].sum(axis=1) == points
            mean = np.average(_within(samples[given, :2]), weights=weights[given])
            plain.append([mean, initial * theory.composition_decay(points)])
        if q is p:
            fits = samples[:, :2].max(axis=1) <= gamma * size  # of U none is above the cap
            given = fits & (samples[:, :2].sum(axis=1) == 2)
            uncapped.append(np.average(_within(samples[given, :2]), weights=weights[given]) - initial * 0.5)
        else:
            # U chosen after the draw, the two least frequent
            chosen = np.sort(samples, axis=1)[:, :2]
            given = chosen.sum(axis=1) == 2
            rarest.append(np.average(_within(chosen[given]), weights=weights[given]) - initial * 0.5)
    sides = np.array(plain)
    study.instances(
        "1 + E[H_U′ | N_U]", 1 + sides[:, 0], 1 + sides[:, 1], 1 + 1.05 * sides[:, 1],
        change=f"factor {_FIVE}", setting="all samples of 3 points in 3 classes and 6 in 4; U the first two",
        tolerance=1e-9,
    )  # fmt: skip
    difference = -np.abs(sides[:, 0] - sides[:, 1])
    study.counterexample(
        "E[H_U′ | N_U = 2] = H_U/2", -np.abs(uncapped), difference, hypothesis="no condition on which class is capped",
        setting="p = (.25, .25, .5), n = 3, γ = .6, given that no class of U is capped",
    )  # fmt: skip
    study.counterexample(
        "E[H_U′ | N_U = 2] = H_U/2", -np.abs(rarest), difference, hypothesis="U is fixed in advance",
        setting="p = (.1, .3, .2, .4), n = 6, U the two least frequent of the draw",
    )  # fmt: skip


@check("tails-unprotected")
def mass_and_vacuous_fits(study: Study) -> None:
    """Mass of U: the factor rises with it for n ≥ 2. A vacuous fit has another composition than the draws."""
    mass = np.linspace(0.01, 0.99, 99)
    rises = {n: np.diff(_factor(n, mass)) for n in (1, 2, 3, 10, 100)}
    study.counterexample(
        "E[(1 − 1/N_U) 1{N_U ≥ 1}] rises with P_U, by 1e-9 a step at least", rises.pop(1) - 1e-9,
        np.concatenate(list(rises.values())) - 1e-9, hypothesis="n ≥ 2", tolerance=0.0,
        setting="binomial sums, P_U = .01 … .99 in steps of .01, n = 2, 3, 10, 100; without it n = 1",
    )  # fmt: skip
    rng = study.generator()
    apart: list[float] = []
    together: list[float] = []
    for _ in range(study.size(100, 2000)):
        start = theory.capped_projection(rng.dirichlet(np.ones(6)), 0.4).probs
        for classes, kept in ((2, apart), (5, together)):
            counts = np.append(1 + rng.multinomial(15, np.full(classes, 1 / classes)), np.zeros(6 - classes, int))
            with quiet():
                fitted = fit(Categorical(start), Counts(counts), TCE(0.4)).model.probs
            if classes == 2 or theory.capped_projection(counts / counts.sum(), 0.4).probs[1:3].max() < 0.4:
                composition = fitted[1:3] / fitted[1:3].sum() - counts[1:3] / counts[1:3].sum()
                kept.append(-float(np.abs(composition).max()))
    study.counterexample(
        "composition of the fit within U is that of the draws", apart, together, hypothesis="Sγ > 1",
        setting="fits with γ = .4 to draws from 5 of 6 classes, and from 2; U the classes 2 and 3",
    )  # fmt: skip
