"""Laws of autoencoders against quadrature over their code, which here is one number.

Each claim that holds is made by `equivalence.check`, which also rejects a constant that is wrong by a few per cent.
There are fewer than 24 claims, at an error of 2e-5 each.
"""

from __future__ import annotations

import functools
import math
import warnings

import numpy as np
import pytest
from equivalence import assert_different, assert_equivalent, check, mean_of, proportion_of

import tce_theory as tce
from tce_theory.neural.autoencoder import Pass
from tce_theory.neural.images import ImageSource
from tce_theory.neural.training import Training
from tce_theory.neural.vae import VariationalAutoencoder

NODES, WEIGHTS = np.polynomial.hermite_e.hermegauss(80)
WEIGHTS = WEIGHTS / WEIGHTS.sum()


def blobs() -> ImageSource:
    rng = np.random.default_rng(1)
    return ImageSource(np.clip(0.5 + 0.3 * rng.standard_normal((200, 4)), 0, 1))


SOURCE = blobs()
RNG = np.random.default_rng(2)
MODEL = VariationalAutoencoder(SOURCE, latent=1, hidden=(5,))
THETA = MODEL.network.initial(RNG) + 0.4 * RNG.standard_normal(MODEL.network.n_parameters)


def levels(codes: np.ndarray) -> np.ndarray:
    """What the decoder makes of codes, (n, 4)."""
    return 1 / (1 + np.exp(-MODEL.network.logits(THETA, codes[:, None])))


@pytest.mark.parametrize("output", ["mean", "binary"])
@pytest.mark.parametrize("factor", [1.0, 0.25])
def test_generated_levels_have_their_expectations(output: str, factor: float) -> None:
    """The control: the expectation at twice the variance of the code, which moves it by about a per cent."""
    model = VariationalAutoencoder(SOURCE, latent=1, hidden=(5,), output=output, parameters=THETA)
    drawn = model.decoded(tce.VarianceScaling(factor)).sample(600_000, 3)
    right = WEIGHTS @ levels(math.sqrt(factor) * NODES)
    wrong = WEIGHTS @ levels(math.sqrt(2.0 * factor) * NODES)
    pixel = int(np.abs(right - wrong).argmax())
    check(mean_of(drawn[:, pixel]), right[pixel], wrong[pixel])


def bound(theta: np.ndarray, image: np.ndarray) -> float:
    """Cross entropy plus divergence of an image, by quadrature over its code."""
    mean, log_variance = MODEL.network.heads(theta, image[None])[0]
    logits = MODEL.network.logits(theta, (mean + math.exp(log_variance / 2) * NODES)[:, None])
    crossed = (np.logaddexp(0, logits) - image * logits).sum(axis=1)
    return float(WEIGHTS @ crossed + (mean**2 + math.exp(log_variance) - 1 - log_variance) / 2)


def test_gradients_are_unbiased() -> None:
    """The mean over the noise is the derivative of the exact bound; the control is off by 4 per cent."""
    image, count = SOURCE.held_out[0], 400_000
    steps = 1e-5 * np.eye(THETA.size)
    exact = np.array([(bound(THETA + e, image) - bound(THETA - e, image)) / 2e-5 for e in steps])
    noise, pieces = np.random.default_rng(4).standard_normal((count, 1)), []
    through, out = Pass(MODEL.network, 1000, tce.CrossEntropy(), "mean", 0.0), np.empty(THETA.size)
    images = np.repeat(image[None], 1000, axis=0)
    for first in range(0, count, 1000):
        through.gradient(THETA, images, noise[first : first + 1000], out)
        pieces.append(out.copy())
    found = np.array(pieces)
    precision = np.abs(exact) / found.std(axis=0)
    encoder = int(precision[: MODEL.network.n_encoder].argmax())
    decoder = MODEL.network.n_encoder + int(precision[MODEL.network.n_encoder :].argmax())
    for index in (encoder, decoder):
        check(mean_of(found[:, index]), exact[index], 1.04 * exact[index])


def test_the_recorded_bound_is_unbiased() -> None:
    """The mean over the noise is the exact bound; the control has a divergence that is 5 per cent larger."""
    image = SOURCE.held_out[1]
    noise = np.random.default_rng(5).standard_normal((100_000, 1))
    found = MODEL.network.probabilities(THETA, np.repeat(image[None], len(noise), axis=0), noise)
    right = -bound(THETA, image)
    check(mean_of(found.bounds), right, right - 0.05 * found.divergences[0])


def test_images_are_mixed_in_at_their_share() -> None:
    """The control: a share that is 4 per cent larger."""
    model = VariationalAutoencoder(SOURCE, latent=1, hidden=(5,), parameters=THETA)
    sizes, real = np.full(1, 1000), {row.tobytes() for row in SOURCE.training}
    recursion, hits = model.recursion(tce.CrossEntropy(), sizes, tce.FreshMix(0.25), "auto"), []
    rng = np.random.default_rng(6)
    for _ in range(700):
        images, _ = recursion._data(0, model, SOURCE.training[:0], rng, rng)  # type: ignore[attr-defined]
        hits += [row.tobytes() in real for row in images]
    check(proportion_of(np.array(hits)), 0.25, 0.26)


# ------------------------------------------------------------------------------------------------- digits


@functools.cache
def first_generation(gamma: float | None, replicates: int, seed: int) -> np.ndarray:
    """Latent spread of the first network, from digits with mean decoding."""
    training = Training(epochs=40, rate=2e-3)
    model = VariationalAutoencoder(ImageSource.digits(), training=training)
    loss = tce.CrossEntropy() if gamma is None else tce.TCE(gamma)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        run = tce.simulate(
            model, loss, n_samples=1400, generations=1, replicates=replicates, metrics=["latent_spread"], seed=seed,
            n_jobs=2,
        )  # fmt: skip
    return np.array(run.metrics["latent_spread"][:, 1])


@pytest.mark.slow
def test_masked_pixels_leave_less_to_reconstruct() -> None:
    """Pixels that TCE masks do not weigh against the divergence: codes carry less, and generated images vary less.

    Runs of one seed are pairs. The controls: CE with other seeds does not differ from CE, and a gamma that masks
    nothing gives the same runs bit for bit.
    """
    plain, capped = (first_generation(gamma, 24, 11) for gamma in (None, 0.9))
    assert_different(mean_of(capped - plain), 0.0, margin=0.05)
    assert_equivalent(mean_of(first_generation(None, 24, 12) - plain), 0.0, margin=0.05)
    np.testing.assert_array_equal(first_generation(1.0, 2, 11), plain[:2])
