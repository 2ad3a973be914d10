"""Multivariate Gaussian, cross entropy: a generation sampled in law against n points drawn with NumPy and np.cov.

`python benchmarks/multivariate.py`: processor time on one core, both sides in turn in this run; median of the ratios.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import numpy as np

import tce_theory as tce
from tce_theory.models.multivariate import MultivariateGaussian

D, N, TARGET = 10, 10_000, 100.0
GENERATIONS, OTHER_GENERATIONS, REPETITIONS = 20_000, 20, 7


def ours() -> None:
    model = MultivariateGaussian(np.zeros(D), np.eye(D))
    tce.simulate(model, tce.CrossEntropy(), n_samples=N, generations=GENERATIONS, seed=1)


def other() -> None:
    rng = np.random.default_rng(1)
    mean, cov = np.zeros(D), np.eye(D)
    for _ in range(OTHER_GENERATIONS):
        points = mean + rng.standard_normal((N, D)) @ np.linalg.cholesky(cov).T
        mean, cov = points.mean(axis=0), np.cov(points.T, bias=True)


def seconds(work: Callable[[], None], generations: int) -> float:
    started = time.process_time()
    work()
    return (time.process_time() - started) / generations


def main() -> None:
    ours(), other()  # compile, warm up
    pairs = [(seconds(ours, GENERATIONS), seconds(other, OTHER_GENERATIONS)) for _ in range(REPETITIONS)]
    ratios = [theirs / mine for mine, theirs in pairs]
    costs = [statistics.median(side) * 1e6 for side in zip(*pairs, strict=True)]
    ratio = statistics.median(ratios)
    print(f"d = {D}, n = {N}: in law {costs[0]:.3g} µs a generation, NumPy {costs[1]:,.0f} µs")
    print(f"ratio {ratio:,.0f} [{min(ratios):,.0f}, {max(ratios):,.0f}], to reach {TARGET:g}: {ratio >= TARGET}")


if __name__ == "__main__":
    main()
