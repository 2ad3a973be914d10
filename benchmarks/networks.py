"""Speed of training networks against torch on the CPU: the same mathematics, float64, one thread each, in one run.

Tokens per second of minibatches and of the full batch, where the time of a step goes, and the gain of two workers over
seeds. The two sides run in turn, and costs are processor time; before a pair is timed, both sides make the same steps
from the same parameters, and have to end at the same ones. torch is not among what the project installs: without it the
comparisons are skipped.
"""

from __future__ import annotations

import argparse
import functools
import statistics
import time
from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np

import tce_theory as tce
from tce_theory.kernels import network as kernel
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.network import Architecture
from tce_theory.neural.training import ContextCounts, Training, train

try:
    import torch
except ImportError:
    torch = None

EMBEDDING = 16
N = 65_000
LOSS = tce.CrossEntropy()


def windows(architecture: Architecture, n: int, seed: int = 1) -> np.ndarray:
    """Windows of a sequence of Zipf tokens."""
    v, k = architecture.vocabulary, architecture.context
    law = 1 / np.arange(1, v + 1)
    stream = np.random.default_rng(seed).choice(v, n + k, p=law / law.sum())
    return np.ascontiguousarray(np.lib.stride_tricks.sliding_window_view(stream, k + 1))


class Torch:
    """What one would write with torch: Embedding, Linear, tanh, cross_entropy, Adam; data in tensors, no DataLoader."""

    def __init__(self, architecture: Architecture, theta: np.ndarray, adam: str) -> None:
        nn, k, width = torch.nn, architecture.context, architecture.embedding
        embedding = nn.Embedding(architecture.vocabulary, width)
        layers: list[object] = [embedding, nn.Flatten()]
        sizes = architecture.sizes.tolist()
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.Tanh()]
        assert sizes[0] == k * width
        self.model = nn.Sequential(*layers[:-1]).double()
        self.model.load_state_dict(self._state(architecture, theta))
        self.optimiser = torch.optim.Adam(self.model.parameters(), lr=1e-3, **{adam: True})

    def _state(self, architecture: Architecture, theta: np.ndarray) -> dict[str, object]:
        here = architecture.vocabulary * architecture.embedding
        parts = [theta[:here].reshape(architecture.vocabulary, -1)]
        sizes = architecture.sizes.tolist()
        for n_in, n_out in pairwise(sizes):
            parts.append(theta[here : here + n_in * n_out].reshape(n_in, n_out).T)
            here += n_in * n_out
            parts.append(theta[here : here + n_out])
            here += n_out
        return {
            name: torch.tensor(np.ascontiguousarray(part))
            for name, part in zip(self.model.state_dict(), parts, strict=True)
        }

    def theta(self) -> np.ndarray:
        embeddings, *layers = (part.detach().numpy() for part in self.model.parameters())
        return np.concatenate([embeddings.ravel()] + [part.T.ravel() for part in layers])

    def epoch(self, contexts: object, targets: object, order: object, batch: int) -> None:
        contexts, targets = contexts[order], targets[order]
        for first in range(0, len(targets), batch):
            loss = torch.nn.functional.cross_entropy(
                self.model(contexts[first : first + batch]), targets[first : first + batch]
            )
            self.optimiser.zero_grad(set_to_none=True)
            loss.backward()
            self.optimiser.step()


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


class Recorded:
    """Stands in for a generator: the permutation that both sides take."""

    def __init__(self, order: np.ndarray) -> None:
        self.order = order

    def permutation(self, n: int) -> np.ndarray:
        assert n == self.order.size
        return self.order


def pair(architecture: Architecture, n: int, training: Training, repetitions: int) -> list[tuple[float, float]]:
    """Seconds of torch and of ours for one epoch, in turn, by the faster of torch's implementations of Adam."""
    data, theta = windows(architecture, n), architecture.initial(np.random.default_rng(2))
    order = np.random.default_rng(3).permutation(n)
    contexts, targets = torch.from_numpy(data[:, :-1].copy()), torch.from_numpy(data[:, -1].copy())
    permuted = torch.from_numpy(order)
    batch = training.batch if training.engine == "minibatch" else n
    counted = ContextCounts.from_windows(data, architecture.vocabulary) if training.engine == "counts" else data

    def other(side: Torch) -> None:
        side.epoch(contexts, targets, permuted, batch)

    def ours() -> np.ndarray:
        return train(architecture, theta, counted, LOSS, training, Recorded(order)).theta  # type: ignore[arg-type]

    sides = {adam: Torch(architecture, theta, adam) for adam in ("fused", "foreach")}
    for side in sides.values():
        other(side)
        difference = np.abs(side.theta() - ours()).max()
        assert difference < 1e-7, f"the two sides do not do the same: parameters differ by {difference:g}"
    fastest = min(sides.values(), key=lambda side: min(seconds(lambda: other(side)) for _ in range(2)))
    return [(seconds(lambda: other(fastest)), seconds(ours)) for _ in range(repetitions)]


def line(name: str, tokens: int, pairs: Sequence[tuple[float, float]], goal: float) -> None:
    ratios = [slow / fast for slow, fast in pairs]
    median = statistics.median(ratios)
    other, own = (tokens / statistics.median(side) for side in zip(*pairs, strict=True))
    print(
        f"{name}  {other:>11,.0f}  {own:>11,.0f}  {median:6.2f} [{min(ratios):.2f}, {max(ratios):.2f}]  "
        f"(≥ {goal:g} {'✓' if median >= goal else '✗'})"
    )


def minibatches(repetitions: int) -> None:
    print(f"minibatch, Adam, embeddings of {EMBEDDING}, one hidden layer: tokens per second\n")
    print("  V   k    H    B        torch         ours   ratio")
    for batch in (64, 256):
        for vocabulary in (64, 256):
            for context in (3, 8):
                for hidden in (64, 256):
                    architecture = Architecture(vocabulary, context, EMBEDDING, (hidden,))
                    training = Training(engine="minibatch", batch=batch, epochs=1, rate=1e-3)
                    n = 40 * batch if hidden == 256 else 100 * batch
                    pairs = pair(architecture, n, training, repetitions)
                    name = f"{vocabulary:>3} {context:>3} {hidden:>4} {batch:>4}"
                    line(name, n, pairs, 1.3 if batch == 64 else 1.0)


def full_batch(repetitions: int) -> None:
    print(f"\nfull batch of {N:,} tokens, Adam: tokens per second\n")
    print("  V   k    H                   torch         ours   ratio")
    for vocabulary, context, hidden in ((64, 1, 64), (64, 2, 64), (16, 3, 64)):
        architecture = Architecture(vocabulary, context, EMBEDDING, (hidden,))
        pairs = pair(architecture, N, Training(engine="counts", epochs=1, rate=1e-3), repetitions)
        line(f"{vocabulary:>3} {context:>3} {hidden:>4}          ", N, pairs, 20.0)


def least(work: Callable[[], object], times: int) -> float:
    """Microseconds of one call, at best."""
    work()

    def repeated() -> None:
        for _ in range(times):
            work()

    return min(seconds(repeated) for _ in range(9)) / times * 1e6


def profile(architecture: Architecture, batch: int) -> None:
    """Where the time of a minibatch step goes: the parts of the kernel, called one by one."""
    rng, v = np.random.default_rng(1), architecture.vocabulary
    (hidden,), n_in, steps = architecture.hidden, int(architecture.sizes[0]), 60
    theta, data = architecture.initial(rng), windows(architecture, steps * batch)
    training = Training(engine="minibatch", batch=batch, epochs=1, rate=1e-3)
    step = least(lambda: train(architecture, theta, data, LOSS, training, np.random.default_rng(0)), 2) / steps
    x, z, h = rng.normal(size=(batch, n_in)), rng.normal(size=(batch, v)), rng.normal(size=(batch, hidden))
    first, head, into = rng.normal(size=(n_in, hidden)), rng.normal(size=(hidden, v)), np.empty((batch, n_in))
    moments, targets, ones = np.full((3, theta.size), 1e-3), rng.integers(0, v, batch), np.ones(batch)
    bits, part, tokens = np.empty(max(v, hidden), np.int64), np.empty(hidden), data[:batch, :-1].copy()
    bias, vectors, z_bits = np.zeros(hidden), np.zeros((v, EMBEDDING)), np.empty(v, np.int64)

    def products() -> None:
        x @ first, h @ head, h.T @ z, z @ head.T, x.T @ h, h @ first.T

    def loss() -> None:
        kernel._point_deltas(z, targets, ones, kernel.CE, 1.0, 0.0, None, False, z_bits)

    def gather() -> None:
        kernel._gather(vectors, tokens, into)
        kernel._scatter(into, tokens, vectors)

    parts = {
        "products": least(products, 20),
        "tanh": least(lambda: kernel._add_bias_tanh(h, bias, bits, part), 50),
        "softmax and its gradient": least(loss, 50),
        "embeddings": least(gather, 50),
        "Adam": least(lambda: kernel.adam_step(theta, *moments, 1, 1e-12), 50),
    }
    rate = 6 * batch * hidden * (n_in + v) / parts["products"] / 1e3
    shown = ", ".join(f"{name} {100 * cost / step:.0f} %" for name, cost in parts.items())
    rest = 100 * (1 - sum(parts.values()) / step)
    print(
        f"{v:>3} {architecture.context:>3} {hidden:>4} {batch:>4}  {step:>6,.0f} µs: {shown}, the rest {rest:.0f} % "
        f"(products at {rate:.0f} GFLOPS)"
    )


def profiles() -> None:
    print("\nwhere a step of a minibatch goes, the products of matrices made outside the kernel\n")
    print("  V   k    H    B")
    for vocabulary, context, hidden, batch in (
        (64, 3, 64, 64),
        (256, 3, 64, 64),
        (256, 8, 256, 64),
        (256, 8, 256, 256),
    ):
        profile(Architecture(vocabulary, context, EMBEDDING, (hidden,)), batch)


def workers(repetitions: int) -> None:
    """Replicates of a simulation on two threads, against one: it takes a machine with nothing else to do."""
    print("\ntwo workers against one, four replicates of two generations (wall-clock time)\n")
    for name, context, training in (
        ("minibatch", 3, Training(engine="minibatch", epochs=4)),
        ("full batch", 2, Training(engine="counts", epochs=50)),
    ):
        model = tce.NeuralLanguageModel(tce.KnowledgeCorpus(facts=60), context=context, training=training)

        simulated = functools.partial(
            tce.simulate, model, LOSS, n_samples=N // 4, generations=2, replicates=4, metrics=["masked_share"], seed=1
        )
        simulated()
        ratios, costs = [], []
        for _ in range(repetitions):
            walls, processors = [], []
            for n_jobs in (1, 2):
                started, processor = time.perf_counter(), time.process_time()
                simulated(n_jobs=n_jobs)
                walls.append(time.perf_counter() - started)
                processors.append(time.process_time() - processor)
            ratios.append(walls[0] / walls[1])
            costs.append(processors[1] / processors[0])
        median = statistics.median(ratios)
        print(
            f"{name:<11} {median:.2f} [{min(ratios):.2f}, {max(ratios):.2f}]  (≥ 1.7 {'✓' if median >= 1.7 else '✗'}); "
            f"processor time of two against one {statistics.median(costs):.2f}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=7)
    repetitions = parser.parse_args().repetitions
    if torch is None:
        print("torch is not installed: comparisons with it are skipped\n")
    else:
        torch.set_num_threads(1)
        with one_blas_thread():
            minibatches(repetitions)
            full_batch(repetitions)
    with one_blas_thread():
        profiles()
    workers(repetitions)


if __name__ == "__main__":
    main()
