"""The network of a variational autoencoder and its training, by gradients that are derived by hand.

Encoder and decoder are multilayer perceptrons with tanh units (`tce_theory.kernels.network`); between them are codes
z = m + exp(v/2) e, and behind them Bernoulli pixels (`tce_theory.kernels.autoencoder`). Of a batch of B images with d
pixels each, training minimises

    (1/B) Σ_i [Σ_j F(p_ij) + KL_i],

with p_ij the probability of the j-th pixel's value, F the objective of a loss (−log p for cross entropy, which makes
this the negative evidence lower bound of images of zeros and ones) and KL_i the divergence of the code's law from the
standard normal prior (Kingma and Welling 2014, eq. 10). Losses act pixel by pixel: the gradient in a logit is
w(p) (q − x).

For grey levels p = q^x (1 − q)^(1 − x) is a target's probability by convention alone: over x in [0, 1] its integral is
not 1 (the density, that of the continuous Bernoulli of Loaiza-Ganem and Cunningham 2019, has a factor that depends on
q). What is called the evidence lower bound is then that bound's formula, which compares models by reconstructions, and
no bound on the evidence. Of all q, q = x makes p largest: e^(−H), with H the entropy of x and 1 − x.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np

from tce_theory.errors import UnsupportedCombinationError
from tce_theory.kernels import autoencoder as kernel
from tce_theory.kernels import network as perceptrons
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models._agreement import check_probabilities
from tce_theory.neural.training import Trained, Training, hold_out, kernel_loss, run_epochs

__all__ = [
    "EPOCHS",
    "AutoencoderNetwork",
    "Pass",
    "PixelProbabilities",
    "check_pixel_loss",
    "forward",
    "initial_perceptron",
    "train_autoencoder",
]

EPOCHS = 40
"""Times that all images are gone through, if a `Training` does not say."""

_ROUNDING = 1e-9  # 0.29 * 100 is 28.999…

_FAMILY = "VariationalAutoencoder"


def n_parameters(sizes: np.ndarray) -> int:
    return int((sizes[:-1] * sizes[1:] + sizes[1:]).sum())


def initial_perceptron(sizes: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Draw weights with variance 1/inputs (LeCun et al. 1998), and biases of 0."""
    layers = []
    for inputs, outputs in pairwise(sizes.tolist()):
        layers += [rng.standard_normal(inputs * outputs) / math.sqrt(inputs), np.zeros(outputs)]
    return np.concatenate(layers)


def forward(theta: np.ndarray, sizes: np.ndarray, points: np.ndarray) -> list[np.ndarray]:
    """Return what comes out of each layer of a perceptron, for points (n, sizes[0]): float64 (n, size) each."""
    flat = np.empty(len(points) * int(sizes[1:].sum()))
    perceptrons.forward(theta, sizes, np.ascontiguousarray(points), flat)
    edges = len(points) * np.cumsum(sizes[1:])
    return [part.reshape(len(points), -1) for part in np.split(flat, edges[:-1])]


def check_pixel_loss(loss: Loss) -> None:
    """Refuse losses that have no meaning, or no gradient, on the probabilities of pixels.

    Raises
    ------
    UnsupportedCombinationError, DomainError
    """
    if isinstance(loss, TruncatedCrossEntropy):
        check_probabilities(_FAMILY, loss, "value of every pixel")
        if loss.mask == "previous":
            raise UnsupportedCombinationError(
                f"{_FAMILY} does not go with mask='previous': a pixel has a probability given a code, and the model "
                "before gives an image other codes"
            )
        if loss.vacuous not in ("auto", "warm"):
            raise UnsupportedCombinationError(
                f"{_FAMILY} does not go with vacuous={loss.vacuous!r}: training by gradients stays where it is, 'warm'"
            )
    kernel_loss(loss, _FAMILY)


def weigher(loss: Loss) -> Callable[[np.ndarray, np.ndarray], None]:
    """Return what fills its second argument with the weights of the probabilities in its first, in any shape."""
    rule, gamma, parameter, weight = kernel_loss(loss, _FAMILY)
    if weight is not None:
        return lambda p, out: perceptrons.weights_by(weight, p.reshape(-1), out.reshape(-1))
    return lambda p, out: perceptrons.weights(rule, gamma, parameter, p.reshape(-1), out.reshape(-1))


@dataclass(frozen=True)
class PixelProbabilities:
    """How probable a network makes images, float64 (n, d) and (n,).

    Parameters
    ----------
    p, log_p : float64 array (n, d)
        Probabilities of the pixels' values, and their logarithms.
    likelihoods : float64 array (n,)
        Sum of `log_p` over each image.
    divergences : float64 array (n,)
        Of the codes' laws from the prior.
    """

    p: np.ndarray
    log_p: np.ndarray
    likelihoods: np.ndarray
    divergences: np.ndarray

    @property
    def bounds(self) -> np.ndarray:
        """Evidence lower bound of each image, for the noise at which this was evaluated."""
        return np.asarray(self.likelihoods - self.divergences)


@dataclass(frozen=True)
class AutoencoderNetwork:
    """Two perceptrons: pixels → hidden → means and log variances of codes; codes → hidden in reverse → logits.

    Parameters
    ----------
    pixels, latent : int
        Numbers of pixels d and of codes L.
    hidden : tuple of int
        Units of the encoder's hidden layers.
    """

    pixels: int
    latent: int
    hidden: tuple[int, ...]

    @cached_property
    def encoder(self) -> np.ndarray:
        """Sizes of the encoder's layers."""
        return np.array([self.pixels, *self.hidden, 2 * self.latent], np.int64)

    @cached_property
    def decoder(self) -> np.ndarray:
        """Sizes of the decoder's layers."""
        return np.array([self.latent, *reversed(self.hidden), self.pixels], np.int64)

    @cached_property
    def n_encoder(self) -> int:
        """Parameters of the encoder; they come first."""
        return n_parameters(self.encoder)

    @cached_property
    def n_parameters(self) -> int:
        return self.n_encoder + n_parameters(self.decoder)

    def initial(self, rng: np.random.Generator) -> np.ndarray:
        """Draw parameters, float64 (n_parameters,)."""
        return np.concatenate([initial_perceptron(self.encoder, rng), initial_perceptron(self.decoder, rng)])

    def heads(self, theta: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return means and log variances of the codes, side by side, float64 (n, 2 latent)."""
        return forward(theta[: self.n_encoder], self.encoder, images)[-1]

    def features(self, theta: np.ndarray, images: np.ndarray) -> np.ndarray:
        """Return the encoder's last hidden layer, float64 (n, units)."""
        return forward(theta[: self.n_encoder], self.encoder, images)[-2]

    def logits(self, theta: np.ndarray, codes: np.ndarray) -> np.ndarray:
        """Return the decoder's logits, float64 (n, pixels)."""
        return forward(theta[self.n_encoder :], self.decoder, codes)[-1]

    def probabilities(self, theta: np.ndarray, images: np.ndarray, noise: np.ndarray) -> PixelProbabilities:
        """Return how probable the pixels are, from codes with this noise (n, latent); with noise 0 from their means."""
        codes, divergences = np.empty(noise.shape), np.empty(len(noise))
        kernel.encode(self.heads(theta, images), noise, codes, divergences)
        log_p, p, totals = np.empty(images.shape), np.empty(images.shape), np.empty(len(images))
        kernel.log_probabilities(self.logits(theta, codes), np.ascontiguousarray(images), log_p, p, totals)
        return PixelProbabilities(p, log_p, totals, divergences)


class Pass:
    """Forward and backward through a network, for batches of at most `size` images; buffers are allocated once.

    Parameters
    ----------
    network : AutoencoderNetwork
    size : int
    loss : Loss
        Acts on the probability of each pixel's value.
    reduction : {"mean", "mean-unmasked"}
        ``"mean"``: the sum over images is divided by their number. ``"mean-unmasked"``: by the number of those that are
        not excluded, and the sum over pixels by the share of their weight, a constant of the gradient; without weight
        there is no gradient of pixels.
    exclude : float
        Share of the images of a batch, those with the highest evidence lower bounds, whose loss is dropped: pixels and
        divergence. The number is rounded down.
    """

    def __init__(self, network: AutoencoderNetwork, size: int, loss: Loss, reduction: str, exclude: float) -> None:
        self.network, self.loss, self.reduction, self.exclude = network, loss, reduction, exclude
        self.weigh = None if isinstance(loss, CrossEntropy) else weigher(loss)
        encoder, decoder = network.encoder, network.decoder
        self._encoded, self._encoder_deltas = (np.empty(size * int(encoder[1:].sum())) for _ in range(2))
        self._decoded, self._decoder_deltas = (np.empty(size * int(decoder[1:].sum())) for _ in range(2))
        self._codes, self._code_gradients = (np.empty((size, network.latent)) for _ in range(2))
        self._pixels = [np.empty((size, network.pixels)) for _ in range(3)]
        self._rows = [np.empty(size) for _ in range(3)]
        self._unused = np.empty((size, network.pixels))

    def gradient(self, theta: np.ndarray, images: np.ndarray, noise: np.ndarray, out: np.ndarray) -> None:
        """Fill `out` with the gradient in theta, for a batch of images (B, d) and noise (B, latent) of their codes."""
        network, count = self.network, len(images)
        first, second = theta[: network.n_encoder], theta[network.n_encoder :]
        encoded, decoded = _of(self._encoded, network.encoder, count), _of(self._decoded, network.decoder, count)
        deltas = _of(self._encoder_deltas, network.encoder, count), _of(self._decoder_deltas, network.decoder, count)
        codes, along = self._codes[:count], self._code_gradients[:count]
        divergences, factors, totals = (row[:count] for row in self._rows)

        perceptrons.forward(first, network.encoder, images, encoded)
        heads = _last(encoded, network.encoder, count)
        kernel.encode(heads, noise, codes, divergences)
        perceptrons.forward(second, network.decoder, codes, decoded)
        logits, residuals = (_last(flat, network.decoder, count) for flat in (decoded, deltas[1]))
        kernel.residuals(logits, images, residuals)
        self._reduce(logits, images, divergences, residuals, totals, factors)
        perceptrons.backward(second, network.decoder, codes, decoded, deltas[1], out[network.n_encoder :], along)
        kernel.encode_backward(heads, noise, along, factors, _last(deltas[0], network.encoder, count))
        unused = self._unused[:count]
        perceptrons.backward(first, network.encoder, images, encoded, deltas[0], out[: network.n_encoder], unused)

    def _reduce(
        self,
        logits: np.ndarray,
        images: np.ndarray,
        divergences: np.ndarray,
        residuals: np.ndarray,
        totals: np.ndarray,
        factors: np.ndarray,
    ) -> None:
        """Multiply residuals by what weights, exclusion and reduction make of them; fill the factors of divergences."""
        count = len(images)
        log_p, p, weights = (pixels[:count] for pixels in self._pixels)
        factors[:] = 1.0
        dropped = math.floor(self.exclude * count + _ROUNDING)
        if self.weigh is not None or dropped:
            kernel.log_probabilities(logits, images, log_p, p, totals)
        if dropped:
            kernel.keep_unlikeliest(totals - divergences, dropped, factors)
        if self.weigh is not None:
            self.weigh(p, weights)
        else:
            weights[:] = 1.0
        share, number = 1.0, count
        if self.reduction == "mean-unmasked":
            number = count - dropped
            share = float(factors @ weights.sum(axis=1)) / (number * self.network.pixels)
        factors /= number
        kernel.scale_rows(weights, factors / share if share else np.zeros(count), residuals)


def _of(flat: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """Return what a batch takes of a buffer of activations."""
    return flat[: count * int(sizes[1:].sum())]


def _last(flat: np.ndarray, sizes: np.ndarray, count: int) -> np.ndarray:
    """Return the last layer of a batch, (count, size)."""
    return flat[-count * int(sizes[-1]) :].reshape(count, -1)


def train_autoencoder(
    network: AutoencoderNetwork,
    theta: np.ndarray,
    images: np.ndarray,
    loss: Loss,
    training: Training,
    rng: np.random.Generator,
    *,
    exclude: float = 0.0,
    stop: np.ndarray | None = None,
) -> Trained:
    """Train a network in minibatches; see `Pass` for what is minimised.

    Parameters
    ----------
    network : AutoencoderNetwork
    theta : float64 array (n_parameters,)
        Where it starts, whatever `training.start` says.
    images : float64 array (n, pixels)
        Targets.
    loss : Loss
    training : Training
        With a number of epochs. Early stopping and the best parameters go by the mean evidence lower bound of the
        images that are held out, with the sign changed, at noise that is drawn once.
    rng : numpy.random.Generator
        For the images held out, their noise, the order of minibatches and the noise of codes; the numbers taken do not
        depend on the loss, unless training stops early.
    exclude : float
        See `Pass`.
    stop : uint8 array (1,), optional
        Set to 1 by another thread to end after the epoch that is being made.

    Returns
    -------
    Trained
        It has diverged if an epoch, the last one made, left a parameter infinite or NaN.
    """
    own, held_out = images, images[:0]
    if training.held_out > 0:
        own, held_out = hold_out(images, training.held_out, rng, "images")
    noise = rng.standard_normal((len(held_out), network.latent))

    def held_out_loss(at: np.ndarray) -> float:
        return -float(network.probabilities(at, held_out, noise).bounds.mean())

    job = _Minibatches(network, theta, own, loss, training, rng, exclude)
    return run_epochs(job, training, held_out_loss if len(held_out) else None, stop)


class _Minibatches:
    """Minibatches over all images, in a new order each epoch, with new noise each step."""

    averages, masked_share = None, math.nan

    def __init__(
        self,
        network: AutoencoderNetwork,
        theta: np.ndarray,
        images: np.ndarray,
        loss: Loss,
        training: Training,
        rng: np.random.Generator,
        exclude: float,
    ) -> None:
        self.theta, self.images, self.training, self.rng = theta.copy(), images, training, rng
        self.epochs = training.epochs or EPOCHS
        self.size = min(training.batch, len(images))
        self.steps, self.begun, self.made = self.epochs * -(-len(images) // self.size), 0, 0
        self.gradient, self.first, self.second = (np.zeros(theta.size) for _ in range(3))
        self.batch = np.empty((self.size, network.pixels))
        self.noise = np.empty((self.size, network.latent))
        self.through = Pass(network, self.size, loss, training.reduction, exclude)

    def run(self, epochs: int) -> bool:
        """Train for some epochs; return whether all parameters are finite."""
        for _ in range(epochs):
            order = self.rng.permutation(len(self.images))
            for begin in range(0, len(order), self.size):
                rows = order[begin : begin + self.size]
                batch, noise = self.batch[: len(rows)], self.noise[: len(rows)]
                np.take(self.images, rows, axis=0, out=batch, mode="clip")  # "raise" would copy once more
                self.rng.standard_normal(out=noise)
                self.through.gradient(self.theta, batch, noise, self.gradient)
                self.step()
            self.begun += 1
            if not np.isfinite(self.theta).all():
                return False
        return True

    def step(self) -> None:
        training = self.training
        rate = perceptrons.rate_at(self.made, self.steps, training.step_size, training.final_rate)
        self.made += 1
        if training.optimiser == "adam":
            perceptrons.adam_step(self.theta, self.gradient, self.first, self.second, self.made, rate)
        else:
            perceptrons.momentum_step(self.theta, self.gradient, self.first, rate, training.momentum)
