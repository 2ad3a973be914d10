"""How far generated images are from real ones, by references that are trained once, on real images alone.

The references of an `ImageSource` belong to it and depend on nothing else: neither on the models that are judged nor on
a user's seed. They are

- a *classifier*, if the images have labels: a perceptron with one hidden layer of 64 units;
- a *feature space*: the hidden layer of the classifier, or of the reference encoder if there are no labels;
- the *generation-0 encoder*: that of an autoencoder with 8 codes, trained by cross entropy.

A model is judged by `GENERATED` images (fewer if there are not as many real ones to train on), all models by images of
the same random numbers; the generation 0 is judged by as many different real images of the training part.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy.special import softmax

from tce_theory.errors import UnsupportedCombinationError
from tce_theory.kernels import network as perceptrons
from tce_theory.losses import CrossEntropy
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.autoencoder import AutoencoderNetwork, forward, initial_perceptron, train_autoencoder
from tce_theory.neural.images import ImageSource
from tce_theory.neural.training import Training

__all__ = [
    "CLASS_METRICS",
    "GENERATED",
    "METRICS",
    "References",
    "class_entropy",
    "frechet_distance",
    "nearest_distance",
    "references",
    "total_variance",
]

GENERATED = 1000
"""Images by which a model is judged."""

SEED = 8_091_997
"""Of what is random in references and metrics; a constant, so that all models are judged alike."""

_LATENT, _HIDDEN = 8, (128,)  # of the encoder
_UNITS = 64  # of the classifier
_EPOCHS, _BATCH, _RATE = 60, 64, 2e-3

_lock = threading.Lock()


def references(source: ImageSource) -> References:
    """Return the references of a source, trained at the first call.

    Examples
    --------
    >>> source = ImageSource(np.random.default_rng(1).random((50, 4)))
    >>> references(source) is references(source)
    True
    """
    with _lock:
        found = source.__dict__.get("_references")
        if found is None:
            found = source.__dict__["_references"] = References(source)
    return found


class References:
    """What images are judged by; see the module.

    Parameters
    ----------
    source : ImageSource

    Attributes
    ----------
    real : float64 array (m, d)
        Different real images of the training part, m = min(`GENERATED`, all there are).
    accuracy : float or None
        Share of the held-out real images that the classifier gets right.

    Examples
    --------
    >>> found = references(ImageSource(np.random.default_rng(1).random((50, 4))))
    >>> found.accuracy, found.real.shape
    (None, (40, 4))
    """

    def __init__(self, source: ImageSource) -> None:
        self.source = source
        self.real = source.training[: min(GENERATED, len(source.training))]
        classifier_rng, encoder_rng = np.random.default_rng(SEED).spawn(2)
        with one_blas_thread():
            self._encoder = AutoencoderNetwork(source.pixels, _LATENT, _HIDDEN)
            self._encoder_theta = _trained_encoder(self._encoder, source.training, encoder_rng)
            self._classifier: tuple[np.ndarray, np.ndarray] | None = None
            if source.training_labels is not None:
                self._classifier = _trained_classifier(
                    source.training, source.training_labels, len(source.classes), classifier_rng
                )
            self._real_variance = total_variance(self.codes(self.real))
            self._held_out = _moments(self.features(source.held_out))
            self._real_distance = nearest_distance(self.real)

    @property
    def accuracy(self) -> float | None:
        return None if self._classifier is None else self.class_accuracy(self.source.held_out)

    def codes(self, images: np.ndarray) -> np.ndarray:
        """Return the means of the codes that the generation-0 encoder gives to images, float64 (n, 8)."""
        return self._encoder.heads(self._encoder_theta, images)[:, :_LATENT]

    def features(self, images: np.ndarray) -> np.ndarray:
        """Return images in the feature space, float64 (n, units)."""
        if self._classifier is None:
            return self._encoder.features(self._encoder_theta, images)
        return forward(*self._classifier, images)[-2]

    def class_scores(self, images: np.ndarray) -> np.ndarray:
        """Return the classifier's logits, float64 (n, classes)."""
        if self._classifier is None:
            raise UnsupportedCombinationError("images without labels have no classifier")
        return forward(*self._classifier, images)[-1]

    def class_accuracy(self, images: np.ndarray) -> float:
        """Return the share of versions of the held-out images, in their order, that are classified rightly."""
        return float((self.class_scores(images).argmax(axis=1) == self.source.held_out_labels).mean())

    def latent_spread(self, images: np.ndarray) -> float:
        return total_variance(self.codes(images)) / self._real_variance

    def class_entropy(self, images: np.ndarray) -> float:
        numbers = self.class_scores(images).argmax(axis=1)
        return class_entropy(np.bincount(numbers, minlength=len(self.source.classes)))

    def frechet(self, images: np.ndarray) -> float:
        return frechet_distance(*_moments(self.features(images)), *self._held_out)

    def nearest_neighbour(self, images: np.ndarray) -> float:
        if self._real_distance == 0:
            raise UnsupportedCombinationError("nearest_neighbour needs real images that are not all there twice")
        return nearest_distance(images) / self._real_distance


METRICS: dict[str, Callable[[References, np.ndarray], float]] = {
    "latent_spread": References.latent_spread,
    "class_entropy": References.class_entropy,
    "frechet": References.frechet,
    "nearest_neighbour": References.nearest_neighbour,
}
"""Metrics of generated images, float64 (n, d)."""

CLASS_METRICS = ("class_entropy", "reconstruction_accuracy")
"""Metrics that need labels."""


def total_variance(codes: np.ndarray) -> float:
    """Return the trace of the covariance of points (n, k): the sum of the variances of their coordinates.

    Examples
    --------
    >>> total_variance(np.array([[0.0, 1.0], [2.0, 1.0]]))
    1.0
    """
    return float(codes.var(axis=0).sum())


def class_entropy(counts: np.ndarray) -> float:
    """Return the entropy of classes by their counts, in nats.

    Examples
    --------
    >>> round(class_entropy(np.array([5, 5, 0])), 6)
    0.693147
    """
    shares = counts[counts > 0] / counts.sum()
    return float(0.0 - (shares * np.log(shares)).sum())


def frechet_distance(
    mean: np.ndarray, covariance: np.ndarray, other_mean: np.ndarray, other_covariance: np.ndarray
) -> float:
    """Return the squared Fréchet distance of two Gaussians, ‖m − m'‖² + tr(C + C' − 2 (C C')^½).

    It is the squared 2-Wasserstein distance (Dowson and Landau 1982), and that of the Fréchet inception distance.

    Parameters
    ----------
    mean, other_mean : float64 array (k,)
    covariance, other_covariance : float64 array (k, k)
        Symmetric and nonnegative; they may be singular.

    Examples
    --------
    >>> frechet_distance(np.zeros(1), np.eye(1), np.full(1, 3.0), 4 * np.eye(1))
    10.0
    """
    # the trace of the root is a sum of singular values of the product of two roots: nothing complex comes up where a
    # covariance is singular, as it does in a root of C C' itself
    cross = np.linalg.svd(_root(covariance) @ _root(other_covariance), compute_uv=False).sum()
    squared = float(((mean - other_mean) ** 2).sum() + np.trace(covariance) + np.trace(other_covariance) - 2 * cross)
    return max(squared, 0.0)


def nearest_distance(images: np.ndarray) -> float:
    """Return the mean Euclidean distance of an image to the nearest other one.

    Examples
    --------
    >>> nearest_distance(np.array([[0.0], [1.0], [3.0]]))
    1.3333333333333333
    """
    from scipy.spatial.distance import cdist

    distances = cdist(images, images)
    np.fill_diagonal(distances, np.inf)
    return float(distances.min(axis=1).mean())


def check_metrics(source: ImageSource, names: Any) -> None:
    """Refuse metrics that need labels if there are none."""
    for name in names:
        if name in CLASS_METRICS and not source.classes:
            raise UnsupportedCombinationError(
                f"{name} needs the classes of the real images: ImageSource(images, labels) has them"
            )


def _moments(features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return features.mean(axis=0), np.atleast_2d(np.cov(features, rowvar=False))


def _root(covariance: np.ndarray) -> np.ndarray:
    """Return the symmetric root; rounding may have made eigenvalues of 0 negative."""
    values, vectors = np.linalg.eigh(covariance)
    return np.asarray((vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T)


def _trained_encoder(network: AutoencoderNetwork, images: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    theta, settings = network.initial(rng), Training(epochs=_EPOCHS, rate=_RATE, final_rate=0.1)
    return train_autoencoder(network, theta, images, CrossEntropy(), settings, rng).theta


def _trained_classifier(
    images: np.ndarray, labels: np.ndarray, classes: int, rng: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Return parameters and sizes of a perceptron that has learned the classes of images, by Adam."""
    sizes = np.array([images.shape[1], _UNITS, classes], np.int64)
    theta = initial_perceptron(sizes, rng)
    gradient, first, second = (np.zeros(theta.size) for _ in range(3))
    step = 0
    for _ in range(_EPOCHS):
        for rows in np.array_split(rng.permutation(len(images)), -(-len(images) // _BATCH)):
            batch = images[rows]
            flat, deltas = (np.empty(len(rows) * int(sizes[1:].sum())) for _ in range(2))
            perceptrons.forward(theta, sizes, batch, flat)
            last = slice(len(rows) * _UNITS, None)
            q = softmax(flat[last].reshape(len(rows), -1), axis=1)
            q[np.arange(len(rows)), labels[rows]] -= 1.0
            deltas[last] = q.ravel() / len(rows)
            perceptrons.backward(theta, sizes, batch, flat, deltas, gradient, np.empty(batch.shape))
            step += 1
            perceptrons.adam_step(theta, gradient, first, second, step, _RATE)
    return theta, sizes
