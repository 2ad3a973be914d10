"""Autoencoders: gradients against differences and complex steps, the recursion against its regimes, bad input."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import mpmath
import numpy as np
import pytest
from scipy.integrate import quad

import tce_theory as tce
from tce_theory.kernels import autoencoder as kernel
from tce_theory.losses import Loss
from tce_theory.neural import vae
from tce_theory.neural.autoencoder import AutoencoderNetwork, Pass, train_autoencoder
from tce_theory.neural.checkpoints import read_checkpoint, write_checkpoint
from tce_theory.neural.image_metrics import SEED, references
from tce_theory.neural.images import ImageSource
from tce_theory.neural.training import Trained, Training
from tce_theory.neural.vae import VariationalAutoencoder

NETWORK = AutoencoderNetwork(6, 2, (5, 4))
BATCH = 7
FAST = Training(epochs=1)


def halving(p: float) -> float:
    return 1.0 - 0.5 * p


# each loss with its objective of p, written so that it takes complex numbers
OBJECTIVES: list[tuple[Loss, Callable[[Any], Any]]] = [
    (tce.CrossEntropy(), lambda p: -np.log(p)),
    (tce.TCE(0.55), lambda p: np.where(p.real <= 0.55, -np.log(p), 0.0)),
    (tce.FocalLoss(2.0), lambda p: -((1 - p) ** 2) * np.log(p)),
    (tce.FocalLoss(2.0, detach=True), lambda p: -np.log(p) - 2 * (1 - p) + (1 - p**2) / 2),
    (tce.SmoothTruncatedCrossEntropy(0.6, 0.2), lambda p: 0.2 * np.log(1 + (0.6 / p) ** 5)),
    (tce.WeightedCrossEntropy(halving), lambda p: -np.log(p) - 0.5 * (1 - p)),
]
NAMES = ["ce", "tce", "focal", "focal-detached", "smooth", "weighted"]


def batch() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Parameters, images with grey levels and with levels of 0 and 1, and noise."""
    rng = np.random.default_rng(3)
    theta = NETWORK.initial(rng) + 0.3 * rng.standard_normal(NETWORK.n_parameters)
    images = rng.random((BATCH, 6))
    images[:, :2] = np.round(images[:, :2])
    return theta, images, rng.standard_normal((BATCH, 2))


def layers(theta: Any, sizes: np.ndarray, x: Any) -> Any:
    """A perceptron, plainly."""
    here = 0
    for layer, (n, m) in enumerate(pairwise(sizes)):
        x = x @ theta[here : here + n * m].reshape(n, m) + theta[here + n * m : here + n * m + m]
        here += n * m + m
        x = np.tanh(x) if layer < len(sizes) - 2 else x
    return x


def parts(theta: Any, images: Any, noise: Any, network: AutoencoderNetwork = NETWORK) -> tuple[Any, Any]:
    """Probabilities of the pixels' values, and divergences, plainly; theta may be complex."""
    heads = layers(theta[: network.n_encoder], network.encoder, images)
    mean, log_variance = heads[:, :2], heads[:, 2:]
    logits = layers(theta[network.n_encoder :], network.decoder, mean + np.exp(log_variance / 2) * noise)
    q = 1 / (1 + np.exp(-logits))
    return q**images * (1 - q) ** (1 - images), (mean**2 + np.exp(log_variance) - 1 - log_variance).sum(axis=1) / 2


def reference(loss: Loss, objective: Callable[[Any], Any], reduction: str, exclude: float) -> Callable[[Any], Any]:
    """What training minimises at the batch, as a function of theta; what is constant of the gradient is fixed."""
    theta, images, noise = batch()
    p, divergences = parts(theta, images, noise)
    kept = np.ones(BATCH, bool)
    kept[np.argsort(np.log(p).sum(axis=1) - divergences)[BATCH - math.floor(exclude * BATCH) :]] = False
    unmasked = float(np.mean(loss.weight(p)[kept])) if reduction == "mean-unmasked" else 1.0
    number = kept.sum() if reduction == "mean-unmasked" else BATCH

    def total(at: Any) -> Any:
        p, divergences = parts(at, images, noise)
        return (objective(p).sum(axis=1) / unmasked + divergences)[kept].sum() / number

    return total


def gradient(loss: Loss, reduction: str = "mean", exclude: float = 0.0, at: Any = None) -> np.ndarray:
    theta, images, noise = batch()
    out = np.full(theta.size, np.nan)
    Pass(NETWORK, BATCH + 2, loss, reduction, exclude).gradient(theta if at is None else at, images, noise, out)
    return out


def complex_step(function: Callable[[Any], Any], theta: np.ndarray) -> np.ndarray:
    steps = 1e-30j * np.eye(theta.size)
    return np.array([function(theta + step).imag / 1e-30 for step in steps])


@pytest.mark.parametrize(("loss", "objective"), OBJECTIVES, ids=NAMES)
@pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
@pytest.mark.parametrize("exclude", [0.0, 0.3])
def test_gradient_is_that_of_the_bound(loss: Loss, objective: Any, reduction: str, exclude: float) -> None:
    expected = complex_step(reference(loss, objective, reduction, exclude), batch()[0])
    found = gradient(loss, reduction, exclude)
    np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    # negative control: a coordinate that is off by a part in 10^7 is seen
    off = found * (1 + 1e-7)
    assert not np.allclose(off, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())


@pytest.mark.parametrize("loss", [loss for loss, _ in OBJECTIVES[:-1]], ids=NAMES[:-1])
def test_gradient_is_that_of_the_objectives_of_losses(loss: Loss) -> None:
    """By central differences of five points, of `Loss.objective` itself."""
    theta, images, noise = batch()

    def total(at: np.ndarray) -> float:
        p, divergences = parts(at, images, noise)
        return float((loss.objective(p).sum(axis=1) + divergences).mean())

    found, h = gradient(loss), 5e-4
    for index in np.random.default_rng(1).choice(theta.size, 12, replace=False):
        e = np.zeros(theta.size)
        e[index] = h
        near, far = total(theta + e) - total(theta - e), total(theta + 2 * e) - total(theta - 2 * e)
        assert found[index] == pytest.approx((8 * near - far) / (12 * h), rel=1e-7, abs=1e-9)


def test_pixels_at_gamma_are_unmasked() -> None:
    """A decoder whose last layer is 0 makes every p exactly a half, whatever the grey level."""
    theta, images, noise = batch()
    theta[-4 * 5 - 6 :] = 0.0
    last = slice(-(5 * 6 + 6), None)
    theta[last] = 0.0
    p = NETWORK.probabilities(theta, images, noise).p
    np.testing.assert_array_equal(p, 0.5)
    np.testing.assert_array_equal(gradient(tce.TCE(0.5), at=theta), gradient(tce.CrossEntropy(), at=theta))
    below = gradient(tce.TCE(np.nextafter(0.5, 0)), at=theta)
    np.testing.assert_array_equal(below[NETWORK.n_encoder :], 0.0)
    assert np.abs(below[: NETWORK.n_encoder]).max() > 0  # of the divergence alone
    # with nothing unmasked the mean over unmasked pixels has no gradient either, and no division by 0
    np.testing.assert_array_equal(gradient(tce.TCE(0.4), "mean-unmasked", at=theta)[NETWORK.n_encoder :], 0.0)


def test_buffers_do_not_matter_to_a_smaller_batch() -> None:
    theta, images, noise = batch()
    whole, piece = Pass(NETWORK, BATCH, tce.TCE(0.55), "mean", 0.0), Pass(NETWORK, 3, tce.TCE(0.55), "mean", 0.0)
    first, second = np.empty(theta.size), np.empty(theta.size)
    whole.gradient(theta, images, noise, first)
    whole.gradient(theta, images[:3], noise[:3], first)
    piece.gradient(theta, images[:3], noise[:3], second)
    np.testing.assert_array_equal(first, second)


# ------------------------------------------------------------------------------------------------- pixels and codes


@pytest.mark.parametrize("x", [0.0, 1.0, 0.3, 0.999])
def test_pixels_against_mpmath(x: float) -> None:
    logits = np.array([[-700.0, -40.0, -3.0, -1e-9, 0.0, 1e-9, 3.0, 40.0, 700.0]])
    images = np.full(logits.shape, x)
    log_p, p, out, totals = (np.empty(shape) for shape in (logits.shape, logits.shape, logits.shape, 1))
    kernel.log_probabilities(logits, images, log_p, p, totals)
    kernel.residuals(logits, images, out)
    with mpmath.workdps(700):
        for j, a in enumerate(logits[0].tolist()):
            q = 1 / (1 + mpmath.exp(-mpmath.mpf(a)))
            exact = mpmath.mpf(x) * mpmath.log(q) + (1 - mpmath.mpf(x)) * mpmath.log(1 - q)
            assert log_p[0, j] == pytest.approx(float(exact), rel=4e-16, abs=1e-323)
            assert p[0, j] == pytest.approx(float(mpmath.exp(exact)), rel=2e-13, abs=1e-323)
            scale = 4e-16 if x in (0, 1) else 0.0
            assert out[0, j] == pytest.approx(float(q - x), rel=scale, abs=0.0 if scale else 3e-16)
    assert totals[0] == pytest.approx(log_p.sum(), rel=1e-14)


@pytest.mark.parametrize(("mean", "log_variance"), [(0.0, 0.0), (1.5, -2.0), (-0.3, 0.8), (2.0, 3.0), (0.1, -9.0)])
def test_divergence_against_quadrature(mean: float, log_variance: float) -> None:
    std = math.exp(log_variance / 2)

    def integrand(u: float) -> float:
        z = mean + std * u
        return math.exp(-u * u / 2) / math.sqrt(2 * math.pi) * ((z * z - u * u) / 2 - log_variance / 2)

    expected = quad(integrand, -12, 12, epsabs=1e-13, epsrel=1e-13)[0]
    codes, divergences = np.empty((1, 1)), np.empty(1)
    kernel.encode(np.array([[mean, log_variance]]), np.array([[0.7]]), codes, divergences)
    assert codes[0, 0] == pytest.approx(mean + 0.7 * std, rel=1e-15)
    assert divergences[0] == pytest.approx(expected, abs=1e-11)
    kernel.encode(np.array([[mean, log_variance + 0.03]]), np.array([[0.7]]), codes, divergences)
    assert divergences[0] != pytest.approx(expected, abs=1e-4)  # the control


def test_which_images_are_dropped() -> None:
    factors = np.empty(5)
    kernel.keep_unlikeliest(np.array([3.0, -1.0, 3.0, 7.0, 0.0]), 2, factors)
    np.testing.assert_array_equal(factors, [1, 1, 0, 0, 1])
    kernel.keep_unlikeliest(np.array([3.0, -1.0, 3.0, 7.0, 0.0]), 0, factors)
    np.testing.assert_array_equal(factors, 1)


# ------------------------------------------------------------------------------------------------- training


def small_source(labels: bool = True) -> ImageSource:
    rng = np.random.default_rng(1)
    numbers = np.arange(120) % 2
    images = np.clip(0.15 + 0.7 * numbers[:, None] + 0.1 * rng.standard_normal((120, 9)), 0, 1)
    return ImageSource(images, numbers if labels else None)


SOURCE = small_source()


def small(**options: Any) -> VariationalAutoencoder:
    return VariationalAutoencoder(SOURCE, **{"latent": 2, "hidden": (6,), "training": FAST, **options})


def trained(training: Training, loss: Loss | None = None, seed: int = 5, **options: Any) -> Trained:
    network = small().network
    theta = network.initial(np.random.default_rng(1))
    rng = np.random.default_rng(seed)
    return train_autoencoder(network, theta, SOURCE.training, loss or tce.CrossEntropy(), training, rng, **options)


def test_training_raises_the_bound_and_leaves_its_start_alone() -> None:
    network = small().network
    start = network.initial(np.random.default_rng(1))
    before, noise = start.copy(), np.zeros((len(SOURCE.training), 2))
    result = train_autoencoder(
        network, start, SOURCE.training, tce.CrossEntropy(), Training(epochs=30, rate=0.01), np.random.default_rng(2)
    )
    np.testing.assert_array_equal(start, before)
    assert (result.epochs, result.steps, result.diverged, result.held_out_loss) == (30, 60, False, None)
    bounds = [network.probabilities(theta, SOURCE.training, noise).bounds.mean() for theta in (start, result.theta)]
    assert bounds[1] > bounds[0] + 0.5


def test_the_first_steps_are_those_of_the_optimiser() -> None:
    """One batch: momentum by its definition, and the step that falls linearly to a share of the first."""
    network = small().network
    theta = network.initial(np.random.default_rng(1))
    training = Training(optimiser="sgd", rate=0.1, momentum=0.5, final_rate=0.2, epochs=3, batch=1000)
    found = trained(training).theta
    rng, velocity, gradient = np.random.default_rng(5), np.zeros(theta.size), np.empty(theta.size)
    rng.standard_normal((0, 2))
    through = Pass(network, len(SOURCE.training), tce.CrossEntropy(), "mean", 0.0)
    for rate in (0.1, 0.06, 0.02):
        images = SOURCE.training[rng.permutation(len(SOURCE.training))]
        through.gradient(theta, images, rng.standard_normal((len(images), 2)), gradient)
        velocity = 0.5 * velocity + gradient
        theta = theta - rate * velocity
    np.testing.assert_allclose(found, theta, rtol=1e-12)


def test_gamma_of_one_masks_nothing() -> None:
    plain, capped = trained(FAST), trained(FAST, tce.TCE(1.0))
    np.testing.assert_array_equal(plain.theta, capped.theta)
    assert not np.array_equal(plain.theta, trained(FAST, tce.TCE(0.6)).theta)
    assert not np.array_equal(plain.theta, trained(FAST, exclude=0.5).theta)
    np.testing.assert_array_equal(plain.theta, trained(FAST, exclude=0.01).theta)  # less than one image of a batch


def test_early_stopping_keeps_the_best() -> None:
    common = {"rate": 0.05, "held_out": 0.3}
    losses = [trained(Training(**common, epochs=epochs)).held_out_loss for epochs in range(1, 31)]
    best = int(np.argmin(losses))
    assert 0 < best < 29
    stop = next(i for i in range(2, 30) if min(losses[i - 1 : i + 1]) >= min(losses[: i - 1]))
    assert stop < 29
    patient = trained(Training(**common, epochs=30, patience=2))
    assert (patient.epochs, patient.held_out_loss) == (stop + 1, losses[stop])
    kept = trained(Training(**common, epochs=30, keep="best"))
    assert (kept.epochs, kept.held_out_loss) == (30, losses[best])
    np.testing.assert_array_equal(kept.theta, trained(Training(**common, epochs=best + 1)).theta)
    # the loss that is reported is that of the parameters that are
    rng, network = np.random.default_rng(5), small().network
    size = round(0.3 * len(SOURCE.training))
    images = SOURCE.training[rng.permutation(len(SOURCE.training))[:size]]
    bounds = network.probabilities(kept.theta, images, rng.standard_normal((size, 2))).bounds
    assert kept.held_out_loss == pytest.approx(-bounds.mean(), rel=1e-14)


def test_everything_held_out() -> None:
    network = small().network
    with pytest.raises(tce.DomainError, match="held_out must be a share that leaves some of 1 images"):
        train_autoencoder(
            network, np.zeros(network.n_parameters), SOURCE.training[:1], tce.CrossEntropy(),
            Training(held_out=0.9), np.random.default_rng(1),
        )  # fmt: skip


def test_divergence_is_reported() -> None:
    for held_out in (0.0, 0.2):
        result = trained(Training(optimiser="sgd", rate=1e200, epochs=50, held_out=held_out))
        assert result.diverged
        assert (result.epochs, result.held_out_loss) == (1, None)


def test_the_number_that_is_excluded_is_not_at_the_mercy_of_rounding() -> None:
    """A share of .29 is 29 images of 100, although 0.29 * 100 is less than 29 in doubles."""
    assert 0.29 * 100 < 29
    rng = np.random.default_rng(1)
    theta, images, noise = NETWORK.initial(rng), rng.random((100, 6)), rng.standard_normal((100, 2))
    gradients = []
    for exclude in (0.29, 0.2901, 0.28):
        gradients.append(np.empty(theta.size))
        Pass(NETWORK, 100, tce.CrossEntropy(), "mean", exclude).gradient(theta, images, noise, gradients[-1])
    np.testing.assert_array_equal(gradients[0], gradients[1])
    assert not np.array_equal(gradients[0], gradients[2])


# ------------------------------------------------------------------------------------------------- the model


def test_samples() -> None:
    theta = small().network.initial(np.random.default_rng(1))
    model = small(parameters=theta)
    codes = np.random.default_rng(4).standard_normal((5, 2))
    levels = 1 / (1 + np.exp(-layers(theta[model.network.n_encoder :], model.network.decoder, codes)))
    np.testing.assert_allclose(model.sample(5, 4), levels, rtol=1e-12)
    scaled = model.decoded(tce.VarianceScaling(0.25))
    levels = 1 / (1 + np.exp(-layers(theta[model.network.n_encoder :], model.network.decoder, codes / 2)))
    np.testing.assert_allclose(scaled.sample(5, 4), levels, rtol=1e-12)
    drawn = small(parameters=theta, output="binary").sample(4000, 4)
    assert set(np.unique(drawn)) == {0.0, 1.0}
    np.testing.assert_allclose(drawn.mean(axis=0), model.sample(4000, 4).mean(axis=0), atol=0.04)
    rows = {row.tobytes() for row in SOURCE.training}
    assert {row.tobytes() for row in small().sample(50, 1)} <= rows


def test_the_variance_of_codes_is_scaled_again_and_again() -> None:
    model = small(parameters=small().network.initial(np.random.default_rng(1)))
    for factor in (0.25, 0.04):
        model = model.decoded(tce.VarianceScaling(factor))
    assert model.code_std == pytest.approx(0.1, rel=1e-14)
    assert model.decoded(None) is model


def test_metrics_by_their_definitions() -> None:
    network, held_out = small().network, SOURCE.held_out
    theta = network.initial(np.random.default_rng(1))
    found = small(parameters=theta)._measured(["elbo", "confidence", "reconstruction_accuracy"])
    noise = np.random.default_rng(SEED).standard_normal((len(held_out), 2))
    p, divergences = parts(theta, held_out, noise, network)
    assert divergences.mean() > 0.05
    assert found["elbo"] == pytest.approx((np.log(p).sum(axis=1) - divergences).mean(), rel=1e-12)
    assert found["confidence"] == pytest.approx(parts(theta, held_out, 0.0, network)[0].mean(), rel=1e-12)
    means = layers(theta[: network.n_encoder], network.encoder, held_out)[:, :2]
    levels = 1 / (1 + np.exp(-layers(theta[network.n_encoder :], network.decoder, means)))
    accuracy = references(SOURCE).class_accuracy(levels)
    assert found["reconstruction_accuracy"] == accuracy < references(SOURCE).class_accuracy(held_out)


def test_what_is_excluded_in_a_run() -> None:
    found = {exclude: simulate(model=small(exclude=exclude)).metrics["elbo"][0, 1] for exclude in (0.0, 0.01, 0.4)}
    assert found[0.0] == found[0.01] != found[0.4]  # a hundredth of 40 images is none


def test_binary_targets() -> None:
    theta = small().network.initial(np.random.default_rng(1))
    grey, binary = small(parameters=theta), small(parameters=theta, likelihood="binary")
    split = (SOURCE.held_out >= 0.5).astype(float)
    np.testing.assert_array_equal(binary.reconstruct(SOURCE.held_out), grey.reconstruct(split))
    assert binary.measure("confidence", binary) == pytest.approx(grey._probabilities(split).p.mean(), rel=1e-14)


def test_fit_reports_the_objective_at_the_means_of_codes() -> None:
    model, loss = small(), tce.TCE(0.7)
    result = tce.fit(model, SOURCE.training, loss)
    found = result.model._probabilities(SOURCE.training)
    np.testing.assert_array_equal(result.weights, found.p <= 0.7)
    assert result.masked_weight == pytest.approx((found.p > 0.7).sum())
    expected = np.maximum(-found.log_p, -math.log(0.7)).sum(axis=1).mean() + found.divergences.mean()
    assert result.objective == pytest.approx(expected, rel=1e-12)
    again = tce.fit(model, SOURCE.training, loss)
    np.testing.assert_array_equal(result.model.parameters, again.model.parameters)


def test_files_keep_the_model(tmp_path: Path) -> None:
    theta = small().network.initial(np.random.default_rng(1))
    training = Training(optimiser="sgd", momentum=0.3)
    model = small(parameters=theta, exclude=0.2, likelihood="binary", training=training)
    model.save(tmp_path / "model.npz")
    loaded = VariationalAutoencoder.load(tmp_path / "model.npz", SOURCE)
    assert loaded.describe() == model.describe()
    np.testing.assert_array_equal(loaded.parameters, theta)
    small().save(tmp_path / "start.npz")
    assert VariationalAutoencoder.load(tmp_path / "start.npz", SOURCE).parameters is None
    assert json.loads(json.dumps(model.describe()))["exclude"] == 0.2


def test_simulate_keeps_the_networks(tmp_path: Path) -> None:
    run = simulate(model=small(checkpoints=tmp_path / "kept"), replicates=2, metrics=["elbo"])
    names = sorted(path.name for path in (tmp_path / "kept").iterdir())
    assert names == [f"replicate-{r:04d}-generation-{t:04d}.npz" for r in range(2) for t in range(1, 4)]
    last = VariationalAutoencoder.load(tmp_path / "kept" / names[-1], SOURCE)
    assert last.measure("elbo", last) == run.metrics["elbo"][1, 3]
    assert "checkpoints" not in run.provenance["model"]


def test_files_of_other_things(tmp_path: Path) -> None:
    path = tmp_path / "model.npz"
    small().save(path)
    with pytest.raises(tce.RunFileError, match="was saved with other images"):
        VariationalAutoencoder.load(path, small_source(labels=False))
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(tce.RunFileError, match="is no checkpoint of a network, or it is damaged"):
        VariationalAutoencoder.load(path, SOURCE)
    with pytest.raises(FileNotFoundError):
        VariationalAutoencoder.load(tmp_path / "nowhere", SOURCE)
    write_checkpoint(path, "NeuralLanguageModel", {}, {})
    with pytest.raises(tce.RunFileError, match="holds a NeuralLanguageModel, not a VariationalAutoencoder"):
        VariationalAutoencoder.load(path, SOURCE)
    for array in (np.array([1.0, np.nan]), np.array(["text"])):
        write_checkpoint(path, "Net", {}, {"theta": array})
        with pytest.raises(tce.RunFileError, match="theta does not hold finite numbers alone"):
            read_checkpoint(path, "Net")
    np.savez(path, header=np.array(json.dumps({"kind": "Net", "schema": 2, "settings": {}})))
    with pytest.raises(tce.RunFileError, match="was written by another version: its schema is 2, not 1"):
        read_checkpoint(path, "Net")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"latent": 0}, "latent must be an integer of at least 1"),
        ({"hidden": ()}, "hidden must be at least one number of units"),
        ({"hidden": (3, -1)}, "hidden must be an integer of at least 1"),
        ({"exclude": 1.0}, r"exclude must be a number in \[0, 1\)"),
        ({"exclude": -0.1}, "exclude must be"),
        ({"likelihood": "gray"}, "likelihood must be one of 'grey', 'binary'"),
        ({"output": "median"}, "output must be one of 'mean', 'binary'"),
        ({"training": "adam"}, "training must be a Training"),
        ({"parameters": np.zeros(3)}, "parameters must be .* numbers, those of this network, got '3 numbers'"),
        ({"parameters": np.full(3, np.nan)}, "parameters must be an array of finite numbers"),
        ({"code_std": 0}, "code_std must be a finite number above 0"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(tce.DomainError, match=message):
        small(**options)


def test_bad_source_and_bad_data() -> None:
    with pytest.raises(tce.DomainError, match="source must be an ImageSource"):
        VariationalAutoencoder(np.zeros((3, 3)))  # type: ignore[arg-type]
    for data in (np.zeros((3, 4)), np.full((3, 9), 2.0)):
        with pytest.raises(tce.DomainError, match="data must be images of 9 pixels"):
            tce.fit(small(), data, tce.CrossEntropy())


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (tce.TCE(0.9, mask="previous"), "does not go with mask='previous'"),
        (tce.TCE(0.9, scale="relative"), "does not go with scale='relative'"),
        (tce.TCE(0.9, vacuous="max-entropy"), "does not go with vacuous='max-entropy'"),
        (tce.TCE(1.5), r"gamma must be in \(0, 1\] for probabilities"),
    ],
)
def test_losses_that_are_refused(loss: Loss, message: str) -> None:
    with pytest.raises((tce.UnsupportedCombinationError, tce.DomainError), match=message):
        tce.simulate(small(), loss, n_samples=10, generations=1)


def test_what_else_is_refused() -> None:
    def run(model: VariationalAutoencoder, **options: Any) -> None:
        tce.simulate(model, tce.CrossEntropy(), n_samples=10, generations=2, **options)

    with pytest.raises(tce.UnsupportedCombinationError, match=r"by VarianceScaling\(factor\)"):
        run(small(), decoding=tce.Temperature(0.5))
    for engine in ("exact", "counts"):
        with pytest.raises(tce.UnsupportedCombinationError, match="images train in minibatches"):
            run(small(training=Training(engine=engine)))
    unlabelled = VariationalAutoencoder(small_source(labels=False), training=FAST)
    for name in ("class_entropy", "reconstruction_accuracy"):
        with pytest.raises(tce.UnsupportedCombinationError, match=f"{name} needs the classes of the real images"):
            run(unlabelled, metrics=[name])
    assert "class_entropy" not in unlabelled.default_metrics
    with pytest.raises(tce.DomainError, match="parts must be"):
        run(small(), regime=tce.Staged(1000))


# ------------------------------------------------------------------------------------------------- the recursion


def simulate(loss: Loss | None = None, model: VariationalAutoencoder | None = None, **options: Any) -> tce.Run:
    settings = {"n_samples": 40, "generations": 3, "metrics": ["elbo", "latent_spread"], "seed": 1, **options}
    return tce.simulate(model or small(), loss or tce.CrossEntropy(), **settings)


def test_results_do_not_depend_on_threads() -> None:
    one, two = simulate(replicates=3), simulate(replicates=3, n_jobs=2)
    longer = simulate(replicates=4, n_jobs=2)
    for name in one.metrics:
        np.testing.assert_array_equal(one.metrics[name], two.metrics[name])
        np.testing.assert_array_equal(one.metrics[name], longer.metrics[name][:3])
    assert np.unique(one.metrics["latent_spread"][:, 3]).size == 3


def test_losses_of_one_seed_share_their_noise() -> None:
    plain, capped = simulate(), simulate(tce.TCE(1.0))
    for name in plain.metrics:
        np.testing.assert_array_equal(plain.metrics[name], capped.metrics[name])


def test_generation_0_is_the_source() -> None:
    names = [*VariationalAutoencoder.metric_names]
    run = simulate(metrics=names)
    without = {"elbo", "confidence", "masked_share"}
    for name in names:
        assert np.isnan(run.metrics[name][0, 0]) == (name in without)
        assert np.isfinite(run.metrics[name][0, 1:]).all()
    assert run.metrics["latent_spread"][0, 0] == run.metrics["nearest_neighbour"][0, 0] == 1.0


def test_a_diverged_replicate_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first replicate's second training ends with NaN."""
    trainings: list[int] = []

    def fail_once(network: Any, theta: np.ndarray, *args: Any, **kwargs: Any) -> Trained:
        trainings.append(1)
        return Trained(np.full(theta.size, np.nan), 1, 1, True) if len(trainings) == 2 else Trained(theta, 1, 1, False)

    monkeypatch.setattr(vae, "train_autoencoder", fail_once)
    with pytest.warns(tce.StatisticalWarning, match="the training of 1 of 2 replicates diverged"):
        run = simulate(replicates=2, n_jobs=1)
    np.testing.assert_array_equal(run.events["diverged"], [2, -1])
    assert np.isfinite(run.metrics["latent_spread"][0, :2]).all()
    assert np.isnan(run.metrics["latent_spread"][0, 2:]).all()
    assert np.isfinite(run.metrics["latent_spread"][1]).all()


@pytest.mark.parametrize("training", [{"optimiser": "sgd", "rate": 1e200}, {"rate": 10.0}], ids=["inf", "finite"])
def test_training_that_runs_away_is_refused(training: dict[str, Any]) -> None:
    """Adam's steps are bounded, so that its parameters stay finite: the bound tells that they are worth nothing."""
    model = small(training=Training(epochs=9, **training))
    if "optimiser" not in training:
        assert np.isfinite(trained(model.training).theta).all()
    with pytest.raises(tce.DegenerateFitError, match="the training of all 2 replicates diverged"):
        simulate(model=model, replicates=2)
    with pytest.raises(tce.DegenerateFitError, match="take a smaller rate than 1"):
        tce.fit(model, SOURCE.training, tce.CrossEntropy())
    np.testing.assert_array_equal(simulate().events["diverged"], -1)


def test_vacuous_fits_are_counted() -> None:
    with pytest.warns(tce.StatisticalWarning, match="vacuous"):
        run = simulate(tce.TCE(1e-6), metrics=["masked_share"])
    np.testing.assert_array_equal(run.events["vacuous"], [3])
    np.testing.assert_array_equal(run.metrics["masked_share"][0, 1:], 1.0)


@pytest.fixture
def seen(monkeypatch: pytest.MonkeyPatch) -> list[np.ndarray]:
    """What each generation is trained on, by a training that does nothing."""
    found: list[np.ndarray] = []

    def remember(network: Any, theta: np.ndarray, images: np.ndarray, *args: Any, **kwargs: Any) -> Trained:
        found.append(images)
        return Trained(theta, 1, 1, False)

    monkeypatch.setattr(vae, "train_autoencoder", remember)
    return found


def real(images: np.ndarray, part: np.ndarray | None = None) -> int:
    rows = {row.tobytes() for row in (SOURCE.training if part is None else part)}
    return sum(row.tobytes() in rows for row in images)


def test_replace(seen: list[np.ndarray]) -> None:
    simulate()
    assert [(len(images), real(images)) for images in seen] == [(40, 40), (40, 0), (40, 0)]


def test_a_binary_likelihood_trains_on_zeros_and_ones(seen: list[np.ndarray]) -> None:
    simulate(model=small(likelihood="binary"), generations=2)
    simulate(generations=2)
    for binary, grey in zip(seen[:2], seen[2:], strict=True):
        assert set(np.unique(binary)) == {0.0, 1.0}
        np.testing.assert_array_equal(binary, grey >= 0.5)
        assert np.unique(grey).size > 10


def test_fresh_images_are_mixed_in_one_by_one(seen: list[np.ndarray]) -> None:
    simulate(regime=tce.FreshMix(0.25), n_samples=400)
    shares = [real(images) / 400 for images in seen]
    assert shares[0] == 1.0
    assert all(0.15 < share < 0.35 and share != 0.25 for share in shares[1:])
    simulate(regime=tce.FreshMix(1.0))
    assert [real(images) for images in seen[3:]] == [40, 40, 40]


def test_accumulated_images(seen: list[np.ndarray]) -> None:
    simulate(regime=tce.Accumulate())
    assert [(len(images), real(images)) for images in seen] == [(40, 40), (80, 40), (120, 40)]
    np.testing.assert_array_equal(seen[2][:80], seen[1])


def test_subsampled_images(seen: list[np.ndarray]) -> None:
    simulate(regime=tce.AccumulateSubsample(), n_samples=60)
    assert [len(images) for images in seen] == [60, 60, 60]
    assert real(seen[0]) == 60
    assert 15 < real(seen[1]) < 45
    assert 0 < real(seen[2]) < real(seen[1])


def test_stages_have_parts_of_their_own(seen: list[np.ndarray]) -> None:
    simulate(regime=tce.Staged(2, then=tce.Replace()))
    assert [len(images) for images in seen] == [40, 80, 40]
    assert real(seen[0], SOURCE.part(0, 2)) == 40
    assert real(seen[1], SOURCE.part(1, 2)) == real(seen[1]) == 40
    assert real(seen[2]) == 0


def test_decoding_acts_on_what_is_generated(seen: list[np.ndarray]) -> None:
    simulate(generations=2)
    simulate(generations=2, decoding=tce.VarianceScaling(1e-8))
    np.testing.assert_array_equal(seen[0], seen[2])
    assert seen[3].std(axis=0).max() < 1e-3 < seen[1].std(axis=0).max()


def test_start(monkeypatch: pytest.MonkeyPatch) -> None:
    starts: list[np.ndarray] = []

    def remember(network: Any, theta: np.ndarray, *args: Any, **kwargs: Any) -> Trained:
        starts.append(theta)
        return Trained(theta + 0.125, 1, 1, False)

    monkeypatch.setattr(vae, "train_autoencoder", remember)
    simulate()
    np.testing.assert_allclose(starts[2], starts[0] + 0.25, rtol=1e-14)
    simulate(model=small(training=Training(epochs=1, start="scratch")))
    np.testing.assert_array_equal(starts[3], starts[0])  # the same draw
    assert np.ptp(starts[4] - starts[3]) > 0.1  # and no step from the one before
