"""Speed of Markov chains: a generation of word bigrams against a NumPy and dict loop, and the whole run of the issue.

Run it as `python benchmarks/markov.py`; the two sides of the ratio run in turn, and costs are processor time.
"""

from __future__ import annotations

import argparse
import statistics
import time
import warnings
from collections import Counter, defaultdict

import numpy as np

import tce_theory as tce
from tce_theory.models.markov import MarkovChain
from tce_theory.models.text import standard_text

N, LENGTH, GENERATIONS, REPLICATES = 65_000, 100, 100, 32


def dict_loop(model: MarkovChain, generations: int) -> dict[int, tuple[np.ndarray, np.ndarray]]:
    """The loop that everybody writes: a dict from words to successors, drawn by NumPy, counted by a Counter."""
    rng = np.random.default_rng(1)
    rows: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for row in range(model.n_contexts):
        places = slice(*model.frame.offsets[row : row + 2])
        rows[int(model.ngrams[places.start, 0])] = model.ngrams[places, 1], np.cumsum(model.probs[places])
    starts = rng.choice(model.n_contexts, (generations, N // LENGTH), p=model.start)
    for generation in range(generations):
        counts: dict[int, Counter[int]] = defaultdict(Counter)
        uniforms = rng.random(N)
        for first, word in zip(range(0, N, LENGTH), starts[generation].tolist(), strict=True):
            for u in uniforms[first : first + LENGTH]:
                successors, cumulative = rows[word]
                following = int(successors[min(cumulative.searchsorted(u, side="right"), successors.size - 1)])
                counts[word][following] += 1
                word = following
        for word, seen in counts.items():
            values = np.fromiter(seen.values(), np.float64)
            rows[word] = np.fromiter(seen, np.int64), np.cumsum(values) / values.sum()
    return rows


def library(model: MarkovChain, loss: object, replicates: int, generations: int, metric: str, n_jobs: int) -> tce.Run:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(
            model, loss, n_samples=N, generations=generations, replicates=replicates, metrics=[metric], seed=1,
            n_jobs=n_jobs,
        )  # fmt: skip


def ratio(repetitions: int, generations: int) -> None:
    """Cost of a bigram generation, cross entropy, by either side."""
    model = MarkovChain.from_text(standard_text())
    library(model, tce.CrossEntropy(), 1, 1, "support", 1)
    ratios, costs = [], []
    for _ in range(repetitions):
        started = time.process_time()
        dict_loop(model, generations)
        middle = time.process_time()
        library(model, tce.CrossEntropy(), 10, generations, "support", 1)
        costs.append([(middle - started) / generations, (time.process_time() - middle) / generations / 10])
        ratios.append(costs[-1][0] / costs[-1][1])
    other, ours = (statistics.median(side) * 1e3 for side in zip(*costs, strict=True))
    reached = "✓" if statistics.median(ratios) >= 50 else "✗"
    print(
        f"a generation of {N:,} tokens of word bigrams: NumPy and dict {other:.1f} ms, ours {ours:.2f} ms, ratio "
        f"{statistics.median(ratios):.0f} [{min(ratios):.0f}, {max(ratios):.0f}] (≥ 50 {reached})"
    )


def whole_runs() -> None:
    """The run of the issue, with two threads."""
    for unit, order in (("word", 1), ("char", 2)):
        model = MarkovChain.from_text(standard_text(), unit=unit, order=order)
        for loss in (tce.CrossEntropy(), tce.TCE(0.9)):
            started, processor = time.perf_counter(), time.process_time()
            library(model, loss, REPLICATES, GENERATIONS, "entropy_rate", 2)
            wall = time.perf_counter() - started
            print(
                f"{unit} {order + 1}-grams, {loss}: {REPLICATES} replicates of {GENERATIONS} generations in "
                f"{wall:.1f} s (processor {time.process_time() - processor:.1f} s; < 30 s {'✓' if wall < 30 else '✗'})"
            )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--generations", type=int, default=5)
    parser.add_argument("--ratio-only", action="store_true")
    options = parser.parse_args()
    ratio(options.repetitions, options.generations)
    if not options.ratio_only:
        whole_runs()


if __name__ == "__main__":
    main()
