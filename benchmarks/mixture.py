"""Speed of the EM of mixtures against scikit-learn's, from the same start to the same tolerance, in one run.

One generation: 10,000 points, 5 components in the plane, a warm start from the model that the points are drawn from.
Both sides take the same number of steps, which is checked. Processor time of one thread; scikit-learn is among what
`make test` installs, and not needed by the library itself.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections.abc import Callable
from functools import partial

import numpy as np

import tce_theory as tce
from tce_theory.models.mixture import GaussianMixture

TARGET = 5.0


def five(std: float, tol: float) -> GaussianMixture:
    """Five Gaussians on a circle of radius 3."""
    angles = 2 * np.pi * np.arange(5) / 5
    means = 3 * np.column_stack([np.cos(angles), np.sin(angles)])
    return GaussianMixture(np.full(5, 0.2), means, np.tile(std**2 * np.eye(2), (5, 1, 1)), tol=tol)


def scikit_learn(start: GaussianMixture, points: np.ndarray) -> Callable[[], int]:
    from sklearn.mixture import GaussianMixture as Oracle

    precisions = np.linalg.inv(start.covs)

    def run() -> int:
        model = Oracle(
            start.weights.size, tol=start.tol, max_iter=start.max_iter, reg_covar=0.0, weights_init=start.weights,
            means_init=start.means, precisions_init=precisions,
        )  # fmt: skip
        return int(model.fit(points).n_iter_)

    return run


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    from threadpoolctl import threadpool_limits

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=15)
    repetitions = parser.parse_args().repetitions
    warnings.simplefilter("ignore")
    for std, name in ((0.6, "apart"), (1.5, "overlapping")):
        for tol in (1e-3, 1e-6):
            origin = five(std, tol)
            start = origin.fit(origin.sample(10_000, seed=1), tce.CrossEntropy()).model
            points = start.sample(10_000, seed=2)
            other = scikit_learn(start, points)
            library = partial(start.fit, points, tce.CrossEntropy())
            steps = library().n_iter
            assert steps == other()
            with threadpool_limits(1):
                pairs = [(seconds(library), seconds(other)) for _ in range(repetitions)]
            ratios = [theirs / ours for ours, theirs in pairs]
            ours = statistics.median(pair[0] for pair in pairs)
            print(
                f"{name:12} tol {tol:g}, {steps:3} steps: {1e3 * ours:7.2f} ms, ratio {statistics.median(ratios):.1f} "
                f"[{min(ratios):.1f}, {max(ratios):.1f}], to reach {TARGET:g}"
            )


if __name__ == "__main__":
    main()
