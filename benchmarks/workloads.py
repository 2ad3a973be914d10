"""The workloads of the benchmarks: what the library does, and what a user would otherwise run.

Every workload is a pair of functions without arguments that do the same number of replicate-generations, and that
number, so that costs can be given per generation.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numba import njit
from scipy.special import lambertw

import tce_theory as tce

ZIPF = tce.Categorical.zipf(1000)
ACTIVE_GAMMA = 1 / math.sqrt(2 * math.pi)  # sigma_c = 1
ACTIVE_STD = 0.85  # below sigma_c, so that every fit of the first generation is truncated


@dataclass(frozen=True)
class Workload:
    """One comparison: `ours` against `other`, and the ratio of their costs a generation that is to be reached.

    `floor` gives the cost of the random numbers of one generation, from the costs of one number of each kind.
    """

    name: str
    ours: Callable[[int], object]
    other: Callable[[], object]
    other_name: str
    generations: int
    other_generations: int
    floor: Callable[[dict[str, float]], float]
    target: float
    at_most: bool = False


def library(
    model: tce.Gaussian | tce.Categorical, loss: object, n: int, replicates: int, generations: int, metric: str
):
    """Return a run through the public API, as a function of the number of threads."""

    def run(n_jobs: int) -> object:
        return tce.simulate(
            model,
            loss,
            n_samples=n,
            generations=generations,
            replicates=replicates,
            metrics=[metric],
            seed=1,
            n_jobs=n_jobs,
        )

    return run


def numpy_gaussian_ce(n: int, generations: int) -> Callable[[], object]:
    """Draw n points, refit, repeat: the loop that everybody writes."""

    def run() -> float:
        rng = np.random.default_rng(1)
        mean, std = 0.0, 1.0
        for _ in range(generations):
            points = rng.normal(mean, std, n)
            mean, std = points.mean(), points.std()
        return std

    return run


def fit_known_mean(y: np.ndarray, critical: float) -> float:
    """Exact fit around 0, as in the ledger, vectorised: sort, cumulative sums, Lambert's function."""
    if np.mean(y * y) >= critical**2:
        return math.sqrt(np.mean(y * y))
    z = np.sort(np.abs(y))[::-1]
    first = int(np.count_nonzero(z >= critical * math.exp(-0.5)))
    scale = critical * np.exp(lambertw(-np.minimum((z[max(first, 1) - 1 :] / critical) ** 2, math.exp(-1))).real / 2)
    if first == 0:
        return float(scale[0])
    sums = np.cumsum(z * z)[first - 1 :]
    counts = np.arange(first, y.size + 1)
    enters = scale[1:]  # where the next point would enter
    smooth = sums[:-1] / counts[:-1] < enters**2
    kink = sums[1:] <= counts[1:] * enters**2
    hits = np.flatnonzero(smooth | kink)
    if hits.size == 0:
        return math.sqrt(sums[-1] / y.size)
    k = hits[0]
    return math.sqrt(sums[k] / counts[k]) if smooth[k] else float(enters[k])


def fit_mean_too(x: np.ndarray, critical: float) -> tuple[float, float]:
    """Bisection on the mean around `fit_known_mean`, as in the ledger."""
    low, high = x.min(), x.max()
    if x.var() >= critical**2:
        return x.mean(), x.std()
    for _ in range(60):
        centre = (low + high) / 2
        d = x - centre
        std = fit_known_mean(d, critical)
        radius = std * math.sqrt(max(2 * math.log(critical / std), 0.0)) if std < critical else 0.0
        low, high = (centre, high) if d[np.abs(d) > radius].sum() > 0 else (low, centre)
    return centre, std


def numpy_gaussian_tce(n: int, replicates: int, *, fit_mean: bool) -> Callable[[], object]:
    """Draw the points with NumPy and fit by the ledger's algorithm in vectorised NumPy: one generation a replicate."""

    def run() -> float:
        rng = np.random.default_rng(1)
        for _ in range(replicates):
            points = rng.normal(0.0, ACTIVE_STD, n)
            std = fit_mean_too(points, 1.0)[1] if fit_mean else fit_known_mean(points, 1.0)
        return std

    return run


@njit(nogil=True)
def _draw_normals(rng, y, repeats):
    for _ in range(repeats):
        for i in range(y.size):
            y[i] = rng.standard_normal()


@njit(nogil=True)
def _draw(rng, kind, shape, y):
    for i in range(y.size):
        if kind == 0:
            y[i] = rng.standard_normal()
        elif kind == 1:
            y[i] = rng.random()
        else:
            y[i] = rng.standard_gamma(shape)


def cost_of_numbers() -> dict[str, float]:
    """Return the processor seconds of one normal, uniform and gamma variate inside numba."""
    rng, y = np.random.Generator(np.random.SFC64(1)), np.empty(1_000_000)
    costs = {}
    for kind, name in enumerate(("normal", "uniform", "gamma")):
        _draw(rng, kind, 5000.0, y[:1])
        started = time.process_time()
        _draw(rng, kind, 5000.0, y)
        costs[name] = (time.process_time() - started) / y.size
    return costs


def categorical_floor(loss: object, n: int) -> Callable[[dict[str, float]], float]:
    """Return the floor of a categorical generation, from the classes that are alive in a run of it."""

    def floor(costs: dict[str, float]) -> float:
        run = tce.simulate(ZIPF, loss, n_samples=n, generations=200, replicates=32, metrics=["support"], seed=1)
        alive = run.metrics["support"][:, :-1]
        # one uniform a label where labels are few; else a normal and a uniform a class, and labels to fill up
        by_class = alive * (costs["normal"] + costs["uniform"]) + 1.5 * math.sqrt(n) * costs["uniform"]
        return float(np.where(n <= 3 * alive, n * costs["uniform"], by_class).mean())

    return floor


def draw_normals(n: int, generations: int) -> Callable[[], object]:
    """Draw the points inside numba and do nothing with them: the floor of any method that needs points."""
    rng, y = np.random.Generator(np.random.SFC64(1)), np.empty(n)
    return lambda: _draw_normals(rng, y, generations)


def water_filling(counts: np.ndarray, n: int, gamma: float) -> np.ndarray:
    """Capped projection in NumPy: sort, cumulative mass, first admissible number of capped classes."""
    shares = counts / n
    largest = np.sort(shares)[::-1][: math.ceil(1 / gamma)]
    mass = np.concatenate([[0.0], np.cumsum(largest)[:-1]])
    multiplier = (1 - mass) / (1 - np.arange(largest.size) * gamma)
    m = np.argmax(largest <= gamma * multiplier)
    return np.minimum(gamma, shares / multiplier[m])


def numpy_categorical(n: int, replicates: int, generations: int, gamma: float | None) -> Callable[[], object]:
    """Draw with `Generator.multinomial` each generation, with NumPy water-filling if gamma is given."""

    def run() -> float:
        rng = np.random.default_rng(1)
        for _ in range(replicates):
            probs = ZIPF.probs
            for _ in range(generations):
                counts = rng.multinomial(n, probs)
                probs = counts / n if gamma is None else water_filling(counts, n, gamma)
                heterozygosity = 1 - (probs * probs).sum()
                probs = probs / probs.sum()
        return heterozygosity

    return run


def gaussian_ce(scale: int) -> Workload:
    replicates, generations = 10_000 * scale, 200
    return Workload(
        "Gaussian CE, n = 10,000",
        library(tce.Gaussian(), tce.CrossEntropy(), 10_000, replicates, generations, "std"),
        numpy_gaussian_ce(10_000, 500 * scale),
        "NumPy loop over points",
        replicates * generations,
        500 * scale,
        lambda costs: costs["gamma"] + costs["normal"],
        target=2000,
    )


def gaussian_tce(scale: int, *, fit_mean: bool) -> list[Workload]:
    """One generation a replicate, from below the critical scale: the threshold is active in every fit."""
    n, replicates, others = 1000, 12_800 * scale, (40 if fit_mean else 1000) * scale
    name = f"Gaussian TCE absolute, n = 1,000, mean {'fitted' if fit_mean else 'known'}"
    ours = library(tce.Gaussian(std=ACTIVE_STD, fit_mean=fit_mean), tce.TCE(ACTIVE_GAMMA), n, replicates, 1, "std")
    ledger = numpy_gaussian_tce(n, others, fit_mean=fit_mean)
    draws = draw_normals(n, replicates)

    def floor(costs: dict[str, float]) -> float:
        return n * costs["normal"]

    return [
        Workload(name, ours, ledger, "the ledger's algorithm in NumPy", replicates, others, floor, target=10),
        Workload(
            name, ours, draws, "drawing the points in numba", replicates, replicates, floor,
            target=10 if fit_mean else 4, at_most=True,
        ),
    ]  # fmt: skip


def categorical(scale: int, n: int, gamma: float | None, target: float) -> Workload:
    replicates, others, generations = 128 * scale, 4 * scale, 200
    loss = tce.CrossEntropy() if gamma is None else tce.TCE(gamma)
    return Workload(
        f"categorical {'CE' if gamma is None else 'TCE'}, Zipf(1), K = 1,000, n = {n:,}, 200 generations",
        library(ZIPF, loss, n, replicates, generations, "heterozygosity"),
        numpy_categorical(n, others, generations, gamma),
        "Generator.multinomial" + ("" if gamma is None else " and NumPy water-filling"),
        replicates * generations,
        others * generations,
        categorical_floor(loss, n),
        target,
    )


def workloads(scale: int = 1) -> list[Workload]:
    """Return every comparison; a larger scale takes longer and is less noisy."""
    return [
        gaussian_ce(scale),
        *gaussian_tce(scale, fit_mean=False),
        *gaussian_tce(scale, fit_mean=True),
        categorical(scale, 1000, None, target=3),
        categorical(scale, 100_000, 0.05, target=5),
    ]
