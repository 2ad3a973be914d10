"""Predictions: their errors against exact laws and against simulation, their time and their memory.

`python benchmarks/prediction.py` prints the tables of docs/prediction.md; `--speed-only` the last one alone.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import time

import numpy as np
from scipy import special, stats

import tce_theory as tce
from tce_theory.prediction import predict

LAWS = {
    "Zipf(1), K = 1,000": tce.Categorical.zipf(1000),
    "Zipf(0.5), K = 1,000": tce.Categorical.zipf(1000, 0.5),
    "Zipf(2), K = 100": tce.Categorical.zipf(100, 2.0),
    "uniform, K = 1,000": tce.Categorical(np.full(1000, 1e-3)),
    "two classes, .999": tce.Categorical([0.999, 0.001]),
    "two classes, .5": tce.Categorical([0.5, 0.5]),
}
SHARES = (0.001, 0.005, 0.02, 0.1, 1.0, 2.0)
SIMULATED = [
    (tce.Categorical.zipf(1000), 600, 600, 5000),
    (tce.Categorical.zipf(1000), 5000, 200, 2000),
    (tce.Categorical.zipf(10_000), 10**5, 300, 400),
    (tce.Categorical.zipf(100_000), 10**6, 50, 50),
]
COMMAND = ("predict", "--zipf", "1e7", "--n", "1e13", "--generations", "10000")


def of_a_class(n: int, times: list[int]) -> list[np.ndarray]:
    """Expected presence and −x log x of a class, by its count in generation 1: the transition matrix, no ancestors."""
    counts = np.arange(n + 1)
    matrix = stats.binom.pmf(counts[None], n, counts[:, None] / n)
    values = np.stack([counts > 0, special.entr(counts / n)]).astype(float).T
    found, t = [], 1
    for aim in times:
        for _ in range(t, aim):
            values = matrix @ values
        t = aim
        found.append(values)
    return found


def of_all_classes(model: tce.Categorical, n: int, values: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Expected types and entropy of a law."""
    probs, copies = np.unique(model.probs, return_counts=True)
    first = copies @ stats.binom.pmf(np.arange(n + 1)[None], n, probs[:, None])
    types, entropy = np.array([first @ value for value in values]).T
    return types, entropy


def errors_against_exact_laws(n: int) -> None:
    """The largest relative error over the laws, and the share of it in what is stated."""
    times = sorted({max(2, round(share * n)) for share in SHARES})
    worst, values = np.zeros((len(times), 4)), of_a_class(n, times)
    for model in LAWS.values():
        prediction = predict(model, n_samples=n, generations=times)
        types, entropy = of_all_classes(model, n, values)
        of_types, of_entropy = np.abs(prediction.types - types), np.abs(prediction.entropy - entropy)
        columns = (
            of_types / types, of_entropy / entropy, of_types / prediction.types_error,
            of_entropy / prediction.entropy_error,
        )  # fmt: skip
        worst = np.maximum(worst, np.stack(columns, axis=1))
    print(f"\nlargest relative errors over {len(LAWS)} laws, n = {n:,}, against the exact law of each class\n")
    print("| t | t/n | types | entropy | types: of the stated error | entropy: of the stated error |")
    print("|---|---|---|---|---|---|")
    for t, row in zip(times, worst, strict=True):
        print(f"| {t:,} | {t / n:.4f} | {row[0]:.0e} | {row[1]:.0e} | {row[2]:.2f} | {row[3]:.2f} |")


def errors_against_simulation() -> None:
    """Simulated means less predictions at the last generation, in standard errors."""
    print("\nsimulated less predicted\n")
    print("| K | n | t | replicates | types | difference | entropy | difference |")
    print("|---|---|---|---|---|---|---|---|")
    for model, n, t, replicates in SIMULATED:
        prediction = predict(model, n_samples=n, generations=[t])
        comparison = prediction.compare(replicates, seed=1, n_jobs=-1)
        cells = [f"{model.size:,}", f"{n:,}", f"{t:,}", f"{replicates:,}"]
        for metric in ("types", "entropy"):
            mean, error = comparison.means[metric][0], comparison.standard_errors[metric][0]
            predicted = getattr(prediction, metric)[0]
            cells += [f"{predicted:,.5g}", f"{mean - predicted:+.2g} ± {error:.2g}"]
        print("| " + " | ".join(cells) + " |")


def speed() -> None:
    """Wall-clock time and peak memory of the whole command."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-m", "tce_theory.cli", *COMMAND], check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - started
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor, memory = used.ru_utime + used.ru_stime, used.ru_maxrss / 1024
    print(
        f"\ntce {' '.join(COMMAND)}: {seconds:.1f} s (< 5 s {'✓' if seconds < 5 else '✗'}), "
        f"processor {processor:.1f} s, {memory:.0f} MiB (< 1,024 MiB {'✓' if memory < 1024 else '✗'})"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--speed-only", action="store_true")
    if not parser.parse_args().speed_only:
        errors_against_exact_laws(400)
        errors_against_exact_laws(1000)
        errors_against_simulation()
    speed()


if __name__ == "__main__":
    main()
