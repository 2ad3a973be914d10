"""What the checks of losses share: finite differences, random models and data, fits."""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from tce_theory.errors import StatisticalWarning
from tce_theory.fitting import Counts, Fit, fit
from tce_theory.losses import Loss
from tce_theory.models.categorical import Categorical

__all__ = [
    "FIVE",
    "LOG_SQRT_2PI",
    "Examples",
    "Softmax",
    "at_labels",
    "between",
    "categorical_fit",
    "columns",
    "derivative",
    "derivatives",
    "entropy_of",
    "fitted",
    "gaussian_ce",
    "mean_and_variance",
    "natural_parameters_of",
    "normal_log",
    "population_fit",
    "random_counts",
    "random_examples",
    "random_softmax",
]

FIVE = 1.05
LOG_SQRT_2PI = math.log(2 * math.pi) / 2


def derivative(function: Any, step: float = 2e-3) -> Any:
    """Return the derivative at 0, by a five-point difference."""
    return (8 * (function(step) - function(-step)) - (function(2 * step) - function(-2 * step))) / (12 * step)


def derivatives(function: Any, point: np.ndarray, step: float = 2e-3) -> np.ndarray:
    """Return the derivatives in every coordinate of a point, along the first axis."""
    units = np.eye(point.size).reshape(-1, *point.shape)
    return np.array([derivative(lambda t, unit=unit: function(point + t * unit), step) for unit in units])


def columns(rows: Iterable[Any]) -> list[Any]:
    """Join the entries of equal place, each as numbers along one axis."""
    return [np.concatenate([np.ravel(entry) for entry in column]) for column in zip(*rows, strict=True)]


def entropy_of(probs: np.ndarray) -> Any:
    return special.entr(probs).sum(axis=-1)


def at_labels(array: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.asarray(np.take_along_axis(array, labels[..., None], axis=-1)[..., 0])


def between(probs: np.ndarray, trim: int = 0) -> tuple[float, float]:
    """Return a threshold in the middle of the widest gap of log p (`trim` left out at either end), and half of it."""
    logs = np.sort(np.log(probs))[trim : probs.size - trim]
    widest = int(np.argmax(np.diff(logs)))
    low, high = logs[widest], logs[widest + 1]
    return math.exp((low + high) / 2), (high - low) / 2


class Softmax(NamedTuple):
    """A random softmax with label frequencies, and a threshold that masks some classes and is near none."""

    logits: np.ndarray
    probs: np.ndarray
    frequencies: np.ndarray
    gamma: float

    @property
    def pull(self) -> np.ndarray:
        """Frequencies of the unmasked classes."""
        return self.frequencies * (self.probs < self.gamma)


def random_softmax(rng: np.random.Generator) -> Softmax:
    size = int(rng.integers(2, 9))
    while True:
        logits = 1.5 * rng.normal(size=size)
        probs = special.softmax(logits)
        gamma, room = between(probs)
        if room > 0.03:
            return Softmax(logits, probs, rng.dirichlet(np.ones(size)), gamma)


def gaussian_ce(eta: np.ndarray, x: Any) -> Any:
    """−log density of a Gaussian with natural parameters (μ/σ², −1/(2σ²)) on the first axis."""
    first, second = eta[0], eta[1]
    return -first * x - second * np.square(x) - first**2 / (4 * second) + 0.5 * np.log(-math.pi / second)


def mean_and_variance(eta: np.ndarray) -> tuple[Any, Any]:
    return -eta[0] / (2 * eta[1]), -0.5 / eta[1]


def natural_parameters_of(mean: Any, std: Any) -> np.ndarray:
    return np.array([mean / std**2, -0.5 / std**2])


class Examples(NamedTuple):
    """Examples of a linear softmax: features (with a 1 for the bias), labels, number of classes."""

    features: np.ndarray
    labels: np.ndarray
    classes: int

    def log_probs(self, parameters: np.ndarray) -> np.ndarray:
        """Logarithm of all predicted probabilities; parameters of shape (..., K, d)."""
        return np.asarray(special.log_softmax(self.features @ np.swapaxes(parameters, -1, -2), axis=-1))

    def cross_entropies(self, parameters: np.ndarray) -> np.ndarray:
        """−log p of every label."""
        logs = self.log_probs(parameters)
        return -at_labels(logs, np.broadcast_to(self.labels, logs.shape[:-1]))

    def slopes(self, parameters: np.ndarray) -> np.ndarray:
        """Return the derivatives of each cross entropy in all parameters (n, K d)."""
        residuals = np.exp(self.log_probs(parameters)) - np.eye(self.classes)[self.labels]
        return np.asarray((residuals[:, :, None] * self.features[:, None, :]).reshape(self.labels.size, -1))


def random_examples(rng: np.random.Generator, n: int, inputs: int = 3, classes: int = 4) -> Examples:
    features = np.append(rng.uniform(-1, 1, (n, inputs)), np.ones((n, 1)), axis=1)
    return Examples(features, rng.integers(classes, size=n), classes)


def random_counts(rng: np.random.Generator, size: int, n: int = 200) -> Counts:
    """Draw counts of which each is at least 1."""
    return Counts(1 + rng.multinomial(n, rng.dirichlet(np.full(size, 0.5))))


def fitted(model: Any, data: Any, loss: Loss) -> Fit[Any]:
    """Fit as `tce.fit` does, without its warning of vacuous fits."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)
        return fit(model, data, loss)


def categorical_fit(counts: Counts, loss: Loss) -> Fit[Categorical]:
    size = counts.values.size
    return fitted(Categorical(np.full(size, 1 / size)), counts, loss)


def normal_log(x: Any, mean: Any, std: Any) -> Any:
    return -0.5 * ((x - mean) / std) ** 2 - np.log(std) - LOG_SQRT_2PI


def population_fit(probs: np.ndarray, loss: Loss) -> np.ndarray:
    """Fit to a distribution: to counts of 2^50 points, which round it by less than 1e-15."""
    return categorical_fit(Counts(np.round(probs * 2.0**50)), loss).model.probs
