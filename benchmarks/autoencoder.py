"""Speed of an autoencoder's training against torch: the same network, loss, optimiser and float type, one thread each.

Run it as `python benchmarks/autoencoder.py`. The two sides run in turn, and first agree on a gradient; times are
processor time.
"""

from __future__ import annotations

import argparse
import itertools
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np

import tce_theory as tce
from tce_theory.losses import Loss
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.autoencoder import AutoencoderNetwork, Pass, train_autoencoder
from tce_theory.neural.images import ImageSource
from tce_theory.neural.training import Training

RATE = 2e-3


class TorchAutoencoder:
    """What one would write: layers, a loss by autograd, Adam."""

    def __init__(self, torch: Any, network: AutoencoderNetwork, theta: np.ndarray, loss: Loss) -> None:
        self.torch, self.network = torch, network
        self.gamma = loss.gamma if isinstance(loss, tce.TruncatedCrossEntropy) else None
        self.layers, here = [], 0
        for sizes in (network.encoder.tolist(), network.decoder.tolist()):
            layers = []
            for n, m in itertools.pairwise(sizes):
                layer = torch.nn.Linear(n, m, dtype=torch.float64)
                with torch.no_grad():
                    layer.weight.copy_(torch.from_numpy(theta[here : here + n * m].reshape(n, m).T.copy()))
                    layer.bias.copy_(torch.from_numpy(theta[here + n * m : here + n * m + m].copy()))
                here += n * m + m
                layers += [layer, torch.nn.Tanh()]
            self.layers.append(torch.nn.Sequential(*layers[:-1]))
        parameters = [parameter for part in self.layers for parameter in part.parameters()]
        self.optimiser = torch.optim.Adam(parameters, lr=RATE)

    def lost(self, images: Any, noise: Any) -> Any:
        torch = self.torch
        mean, log_variance = self.layers[0](images).chunk(2, dim=1)
        logits = self.layers[1](mean + torch.exp(log_variance / 2) * noise)
        crossed = torch.nn.functional.binary_cross_entropy_with_logits(logits, images, reduction="none")
        if self.gamma is not None:
            crossed = crossed * (torch.exp(-crossed.detach()) <= self.gamma)
        divergence = (mean**2 + torch.exp(log_variance) - 1 - log_variance).sum() / 2
        return (crossed.sum() + divergence) / len(images)

    def gradient(self, images: np.ndarray, noise: np.ndarray) -> np.ndarray:
        """The gradient, in the order of this library's parameters."""
        self.optimiser.zero_grad()
        self.lost(self.torch.from_numpy(images), self.torch.from_numpy(noise)).backward()
        pieces = []
        for part in self.layers:
            for layer in part[::2]:
                pieces += [layer.weight.grad.numpy().T.ravel(), layer.bias.grad.numpy()]
        return np.concatenate(pieces)

    def train(self, images: np.ndarray, batch: int, epochs: int) -> None:
        torch = self.torch
        data = torch.from_numpy(images.copy())
        for _ in range(epochs):
            order = torch.randperm(len(data))
            for begin in range(0, len(data), batch):
                chosen = data[order[begin : begin + batch]]
                noise = torch.randn(len(chosen), self.network.latent, dtype=torch.float64)
                self.optimiser.zero_grad()
                self.lost(chosen, noise).backward()
                self.optimiser.step()


def seconds(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def compare(torch: Any, loss: Loss, batch: int, hidden: int, repetitions: int, epochs: int) -> None:
    """Images a second, of training, by either side."""
    images = ImageSource.digits().training
    network = AutoencoderNetwork(images.shape[1], 8, (hidden,))
    rng = np.random.default_rng(1)
    theta = network.initial(rng)
    settings = Training(epochs=epochs, batch=batch, rate=RATE)

    def ours() -> None:
        train_autoencoder(network, theta, images, loss, settings, np.random.default_rng(1))

    ours()  # compiles
    if torch is None:
        speed = len(images) * epochs / statistics.median(seconds(ours) for _ in range(repetitions))
        print(f"{_name(loss):8} batch {batch:3}, hidden {hidden:3}: ours {speed:9,.0f} images/s")
        return
    other = TorchAutoencoder(torch, network, theta, loss)
    noise, gradient = rng.standard_normal((batch, 8)), np.empty(theta.size)
    Pass(network, batch, loss, "mean", 0.0).gradient(theta, images[:batch], noise, gradient)
    off = np.abs(other.gradient(images[:batch].copy(), noise) - gradient).max() / np.abs(gradient).max()
    pairs = [(seconds(lambda: other.train(images, batch, epochs)), seconds(ours)) for _ in range(repetitions)]
    theirs, mine = (len(images) * epochs / statistics.median(side) for side in zip(*pairs, strict=True))
    ratios = [theirs_took / mine_took for theirs_took, mine_took in pairs]
    print(
        f"{_name(loss):8} batch {batch:3}, hidden {hidden:3}: torch {theirs:8,.0f} images/s, ours {mine:8,.0f}, ratio "
        f"{statistics.median(ratios):.2f} [{min(ratios):.2f}, {max(ratios):.2f}]; gradients differ by {off:.0e}"
    )


def profile(loss: Loss, batch: int, hidden: int, repetitions: int) -> None:
    """Shares of a step, by leaving out what is not measured."""
    import cProfile
    import pstats

    images = ImageSource.digits().training
    network = AutoencoderNetwork(images.shape[1], 8, (hidden,))
    theta, settings = network.initial(np.random.default_rng(1)), Training(epochs=repetitions, batch=batch, rate=RATE)
    watched = cProfile.Profile()
    found = watched.runcall(train_autoencoder, network, theta, images, loss, settings, np.random.default_rng(1))
    rows = pstats.Stats(watched).stats  # type: ignore[attr-defined]
    total = sum(own for _, _, own, _, _ in rows.values())
    print(f"a step, {_name(loss)}, batch {batch}, hidden {hidden}: {total / found.steps * 1e6:.0f} µs under a profiler")
    for (_, _, name), (_, _, own, _, _) in sorted(rows.items(), key=lambda item: -item[1][2])[:9]:
        print(f"  {own / total:5.1%}  {name}")


def _name(loss: Loss) -> str:
    return f"TCE {loss.gamma}" if isinstance(loss, tce.TruncatedCrossEntropy) else "CE"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=5)
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
        print("torch is not installed: the comparison with it is skipped")
    else:
        torch.set_num_threads(1)
    with one_blas_thread():
        for hidden in (64, 128, 256):
            for batch in (64, 256):
                for loss in (tce.CrossEntropy(), tce.TCE(0.9)):
                    compare(torch, loss, batch, hidden, options.repetitions, options.epochs)
        profile(tce.TCE(0.9), 64, 128, 4 * options.repetitions)


if __name__ == "__main__":
    main()
