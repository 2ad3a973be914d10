"""Speed of generation against a torch loop on the CPU: the same laws and float type, one thread each, in one run.

65,000 tokens, prompts continued by 32 each: drawn under every way to decode, and searched for with beams. Our side
remembers the laws after contexts that it has met, so that what it costs depends on how often contexts come back: mostly
with a network that was trained, which is what the goal is for, and hardly ever with one at its initial parameters, the
worst case. Both are measured. The two sides run in turn, and costs are processor time; before a pair is timed, greedy
decoding and beams have to give the same text on both. torch is not among what the project installs: without it the
comparisons are skipped.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time

import numpy as np

import tce_theory as tce
from tce_theory.decoding import BeamSearch, Decoding, Temperature, TopK, TopP
from tce_theory.neural.generation import generate
from tce_theory.neural.network import Architecture
from tce_theory.neural.sources import KnowledgeCorpus
from tce_theory.neural.training import Training, train

try:
    import torch
except ImportError:
    torch = None

N, LENGTH = 65_000, 32
DECODINGS = (None, Temperature(0.7), TopK(1), TopK(10), TopP(0.9), BeamSearch(5), BeamSearch(5, repetition_penalty=3.0))
TO_REACH = 5  # drawing as it is, with a trained network


class Torch:
    """What one would write with torch: all prompts in a batch, and a forward pass a token."""

    def __init__(self, architecture: Architecture, theta: np.ndarray) -> None:
        here = architecture.vocabulary * architecture.embedding
        self.embeddings = torch.tensor(theta[:here].reshape(architecture.vocabulary, -1))
        self.layers, sizes = [], architecture.sizes.tolist()
        for n_in, n_out in itertools.pairwise(sizes):
            matrix = torch.tensor(theta[here : here + n_in * n_out].reshape(n_in, n_out))
            here += n_in * n_out
            self.layers.append((torch.tensor(theta[here : here + n_out]), matrix))
            here += n_out

    def logits(self, contexts: object) -> object:
        x = torch.nn.functional.embedding(contexts, self.embeddings).reshape(contexts.shape[0], -1)
        for bias, matrix in self.layers[:-1]:
            x = torch.addmm(bias, x, matrix).tanh_()
        return torch.addmm(self.layers[-1][0], x, self.layers[-1][1])

    def generate(self, prompts: object, decoding: Decoding | None) -> object:
        if isinstance(decoding, BeamSearch):
            return self.beams(prompts, decoding.width, decoding.repetition_penalty)
        text = torch.empty((prompts.shape[0], prompts.shape[1] + LENGTH), dtype=torch.int64)
        text[:, : prompts.shape[1]] = prompts
        for step in range(LENGTH):
            end = step + prompts.shape[1]
            text[:, end : end + 1] = self.drawn(self.logits(text[:, step:end]), decoding)
        return text[:, prompts.shape[1] :]

    def drawn(self, logits: object, decoding: Decoding | None) -> object:
        match decoding:
            case TopK(1):
                return logits.argmax(1, keepdim=True)
            case TopK(k):
                best, tokens = logits.topk(k, 1)
                return tokens.gather(1, torch.multinomial(torch.softmax(best, 1), 1))
            case TopP(p):
                probs, tokens = torch.softmax(logits, 1).sort(1, descending=True)
                probs[probs.cumsum(1) - probs >= p] = 0.0
                return tokens.gather(1, torch.multinomial(probs, 1))
            case Temperature(temperature):
                logits = logits / temperature
        return torch.multinomial(torch.softmax(logits, 1), 1)

    def beams(self, prompts: object, width: int, penalty: float) -> object:
        n, context, size = prompts.shape[0], prompts.shape[1], len(self.embeddings)
        text = prompts[:, None].expand(n, width, context)
        scores = torch.full((n, width), -torch.inf, dtype=torch.float64)
        scores[:, 0] = 0.0
        seen = torch.zeros((n, width, size), dtype=torch.bool)
        seen.scatter_(2, text, True)
        for step in range(LENGTH):
            log_probs = torch.log_softmax(self.logits(text[..., step:].reshape(n * width, context)), 1)
            log_probs = log_probs.reshape(n, width, size)
            if penalty != 1:
                log_probs = torch.where(seen, penalty * log_probs, log_probs)
            scores, best = (scores[..., None] + log_probs).reshape(n, -1).topk(width, 1)
            origins, tokens = best // size, best % size
            text = text.gather(1, origins[..., None].expand(n, width, text.shape[2]))
            text = torch.cat([text, tokens[..., None]], 2)
            if penalty != 1:
                seen = seen.gather(1, origins[..., None].expand(n, width, size))
                seen.scatter_(2, tokens[..., None], True)
        return text[:, 0, context:]


def cases() -> list[tuple[str, Architecture, np.ndarray, np.ndarray]]:
    """Return a network trained on facts, and others at their initial parameters, each with prompts."""
    rng = np.random.default_rng(1)
    corpus = KnowledgeCorpus()
    architecture = Architecture(corpus.vocabulary, 3, 16, (64,))
    windows = np.lib.stride_tricks.sliding_window_view(corpus.stream(N + 3, rng), 4)
    training = Training(engine="minibatch", epochs=10)
    trained = train(architecture, architecture.initial(rng), np.array(windows), tce.CrossEntropy(), training, rng)
    found = [("trained on facts", architecture, trained.theta, windows[::LENGTH, :3].copy())]
    for size, context, hidden in ((64, 3, (64,)), (256, 8, (256,))):
        architecture = Architecture(size, context, 16, hidden)
        prompts = rng.integers(size, size=(-(-N // LENGTH), context))
        found.append(("initial parameters", architecture, architecture.initial(rng), prompts))
    return found


def measure(case: tuple[str, Architecture, np.ndarray, np.ndarray], repetitions: int) -> None:
    name, architecture, theta, prompts = case
    tokens = len(prompts) * LENGTH
    print(
        f"{name}: V = {architecture.vocabulary}, context {architecture.context}, hidden {architecture.hidden}; "
        f"{tokens:,} tokens"
    )
    other, rng = Torch(architecture, theta), np.random.default_rng(2)
    there = torch.from_numpy(prompts)
    for decoding in DECODINGS:
        ours = generate(architecture, theta, prompts, LENGTH, decoding, rng)
        if decoding == TopK(1) or isinstance(decoding, BeamSearch):
            same = (ours == other.generate(there, decoding).numpy()).all(axis=1).mean()
            assert same > 0.999, f"{decoding}: {same:.2%} of the texts agree"
        costs = []
        for _ in range(repetitions):
            started = time.process_time()
            other.generate(there, decoding)
            middle = time.process_time()
            generate(architecture, theta, prompts, LENGTH, decoding, rng)
            costs.append((middle - started, time.process_time() - middle))
        ratios = [cost[0] / cost[1] for cost in costs]
        speeds = [tokens / statistics.median(side) / 1e6 for side in zip(*costs, strict=True)]
        ratio = statistics.median(ratios)
        aimed = decoding is None and name.startswith("trained")
        goal = f" (≥ {TO_REACH} {'✓' if ratio >= TO_REACH else '✗'})" if aimed else ""
        print(
            f"  {decoding!s:48} million tokens/s: torch {speeds[0]:5.2f}, ours {speeds[1]:5.2f}, "
            f"ratio {ratio:.1f} [{min(ratios):.1f}, {max(ratios):.1f}]{goal}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    options = parser.parse_args()
    if torch is None:
        print("torch is not installed: skipped")
        return
    torch.set_num_threads(1)
    with torch.inference_mode():
        for case in cases():
            measure(case, options.repetitions)


if __name__ == "__main__":
    main()
