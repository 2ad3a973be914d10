"""Variational autoencoders of images, as a family: each generation learns from images that the one before generated."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import KW_ONLY, asdict, dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from tce_theory.decoding import Decoding, VarianceScaling
from tce_theory.errors import DegenerateFitError, DomainError, RunFileError, UnsupportedCombinationError
from tce_theory.fitting import Fit
from tce_theory.losses import Loss
from tce_theory.models.base import Block, Control, Model, Recursion
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.autoencoder import (
    AutoencoderNetwork,
    PixelProbabilities,
    check_pixel_loss,
    train_autoencoder,
)
from tce_theory.neural.checkpoints import generation_file, read_checkpoint, write_checkpoint
from tce_theory.neural.image_metrics import CLASS_METRICS, METRICS, SEED, check_metrics, references
from tce_theory.neural.images import ImageSource
from tce_theory.neural.training import MOST_NATS, Trained, Training
from tce_theory.regimes import FORGET, KEEP, Regime, Replace, Staged
from tce_theory.validation import finite_array, generator, number_in, one_of, positive_integer, positive_number

__all__ = ["VariationalAutoencoder"]

_MASKED = "masked_share"
_OF_FITS = (_MASKED,)
_OF_NETWORKS = ("elbo", "confidence")
_MOST_UNITS = 2**16
_DEFAULT = Training()


@dataclass(frozen=True, eq=False, repr=False)
class VariationalAutoencoder(Model):
    """A variational autoencoder with Gaussian codes and Bernoulli pixels (Kingma and Welling 2014).

    Its encoder and decoder are perceptrons with tanh units. A grey level x is a target whose probability is
    p = q^x (1 − q)^(1−x), with q the decoder's; losses act on each pixel's p, TCE masks pixels with p > gamma. A pixel
    whose grey level is not near 0 or 1 has no q that makes p large, so that it is hardly ever masked. Over grey
    levels p is no normalised law, and "elbo" not the bound of one; see `tce_theory.neural.autoencoder`.

    Generation 0 is the source, real images as they are; generation 1 is the first network.

    Parameters
    ----------
    source : ImageSource
        Real images.
    latent : int
        Number of codes.
    hidden : sequence of int
        Units of the encoder's hidden layers; the decoder has them in reverse.
    training : Training, optional
        Optimiser and its settings; the engine is "auto" or "minibatch". Each generation starts from the parameters of
        the one before (``start="warm"``) or from new ones (``"scratch"``).
    likelihood : {"grey", "binary"}
        What a target is: the grey level, or 1 where it is at least a half and 0 elsewhere.
    exclude : float
        Share of the images of each batch, in [0, 1), that are left out of the loss: those with the highest evidence
        lower bounds under the model that is being trained.
    output : {"mean", "binary"}
        What a pixel of a generated image is: q, or 1 with probability q.
    parameters : float64 array, optional
        Of the trained network; None is generation 0.
    code_std : float
        Standard deviation of the codes that `sample` draws; `VarianceScaling` changes it.
    checkpoints : str or os.PathLike, optional
        Folder in which `simulate` keeps the network of every generation, one file each, "replicate-…-generation-….npz".
        It is no part of `describe`. Two runs need two folders.

    Raises
    ------
    DomainError
        If a parameter lies outside its range.

    Notes
    -----
    What training minimises is in `tce_theory.neural.autoencoder`; ``training.reduction`` says what the sum over pixels
    is divided by: "mean" counts masked pixels, as the source of TCE does, "mean-unmasked" does not, and then the
    divergence counts less beside the pixels. A mask by the previous model is refused: its pixels have probabilities
    given codes of its own. A fit where every pixel of every image ends masked counts as "vacuous"; pixels then teach
    nothing, the divergence alone does, and conventions for vacuous fits but "warm" are refused.

    `Staged` takes its real images from disjoint parts of the source, in `FreshMix` each image is real with its
    probability. `VarianceScaling` acts on codes, and thus on networks, not on generation 0. Metrics are those of the
    model as it is, without decoding, from images of fixed random numbers (`tce_theory.neural.image_metrics`):

    "latent_spread"
        Total variance of the generated images' codes under the generation-0 encoder, over that of real images.
    "frechet"
        Squared Fréchet distance between generated and held-out real images in the fixed feature space. It is above 0
        for real images, too: the value at generation 0.
    "nearest_neighbour"
        Mean distance of a generated image to the nearest other one, over that of as many real ones.
    "class_entropy"
        Entropy of the fixed classifier's classes of generated images, in nats; it needs labels.
    "reconstruction_accuracy"
        Share of the held-out real images whose reconstruction, from the mean of their codes, the fixed classifier gets
        right; at generation 0 of the images themselves. It needs labels.
    "elbo"
        Evidence lower bound of a held-out real image in nats, one draw of the code each; no value at generation 0.
    "confidence"
        Mean p over the pixels of held-out real images, from the mean of their codes; no value at generation 0.
    "masked_share"
        Share of the weight that the loss takes from the pixels a generation was trained on, at its end, from the mean
        of their codes. That `exclude` drops images does not count. No value at generation 0.

    In `simulate` the event "vacuous" counts generations, and "diverged" is the first generation whose training ended
    with a parameter that is infinite or NaN, or with a negative bound above 100 nats a pixel (−1 if none); metrics are
    NaN from there on.

    Examples
    --------
    >>> import tce_theory as tce
    >>> model = VariationalAutoencoder(ImageSource.digits(), training=Training(epochs=2))
    >>> run = tce.simulate(model, tce.TCE(0.9), n_samples=500, generations=2, metrics=["elbo", "masked_share"], seed=1)
    >>> run.metrics["elbo"].shape, bool(run.metrics["masked_share"][0, 1] > 0.1)
    ((1, 3), True)
    """

    source: ImageSource
    _: KW_ONLY
    latent: int = 8
    hidden: Sequence[int] = (128,)
    training: Training = _DEFAULT
    likelihood: str = "grey"
    exclude: float = 0.0
    output: str = "mean"
    parameters: np.ndarray | None = None
    code_std: float = 1.0
    checkpoints: str | os.PathLike[str] | None = None

    fit_kind = "training by gradients"
    metric_names = (*METRICS, "reconstruction_accuracy", *_OF_NETWORKS, *_OF_FITS)
    default_metrics = ("latent_spread", "class_entropy", "frechet", "nearest_neighbour", "reconstruction_accuracy")

    def __post_init__(self) -> None:
        if not isinstance(self.source, ImageSource):
            raise DomainError("source", self.source, "an ImageSource, such as ImageSource.digits()")
        if not isinstance(self.training, Training):
            raise DomainError("training", self.training, "a Training, such as Training(epochs=20)")
        hidden = tuple(self.hidden) if isinstance(self.hidden, (tuple, list)) else (self.hidden,)
        if not hidden:
            raise DomainError("hidden", hidden, "at least one number of units")
        checked = {
            "latent": positive_integer("latent", self.latent, maximum=_MOST_UNITS),
            "hidden": tuple(positive_integer("hidden", units, maximum=_MOST_UNITS) for units in hidden),
            "likelihood": one_of("likelihood", self.likelihood, ("grey", "binary")),
            "output": one_of("output", self.output, ("mean", "binary")),
            "exclude": number_in("exclude", self.exclude, 0, 1),
            "code_std": positive_number("code_std", self.code_std),
        }
        if checked["exclude"] == 1:
            raise DomainError("exclude", self.exclude, "a number in [0, 1)")
        if not self.source.classes:
            names = tuple(name for name in self.default_metrics if name not in CLASS_METRICS)
            object.__setattr__(self, "default_metrics", names)
        for name, value in checked.items():
            object.__setattr__(self, name, value)
        if self.parameters is not None:
            object.__setattr__(self, "parameters", self._checked_parameters())

    def _checked_parameters(self) -> np.ndarray:
        theta = finite_array("parameters", self.parameters).copy()
        wanted = self.network.n_parameters
        if theta.size != wanted:
            raise DomainError("parameters", f"{theta.size} numbers", f"{wanted} numbers, those of this network")
        theta.flags.writeable = False
        return theta

    def __repr__(self) -> str:
        state = "generation 0" if self.parameters is None else f"{self.network.n_parameters} parameters"
        return f"VariationalAutoencoder({self.source!r}, latent={self.latent}, hidden={self.hidden}, {state})"

    @cached_property
    def network(self) -> AutoencoderNetwork:
        """Sizes of the layers, and what they compute from parameters."""
        return AutoencoderNetwork(self.source.pixels, self.latent, tuple(self.hidden))

    def describe(self) -> dict[str, Any]:
        theta = self.parameters
        return {
            "name": type(self).__name__,
            "source": self.source.describe(),
            **self._settings(),
            "parameters": None if theta is None else hashlib.sha256(theta.tobytes()).hexdigest(),
        }

    def _settings(self) -> dict[str, Any]:
        names = ("latent", "likelihood", "exclude", "output", "code_std")
        settings = {name: getattr(self, name) for name in names}
        return {**settings, "hidden": list(self.hidden), "training": asdict(self.training)}

    # --- files

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write settings and parameters to a file, which does not hold the images.

        Raises
        ------
        OSError
            If the file cannot be written.
        """
        arrays = {} if self.parameters is None else {"parameters": self.parameters}
        write_checkpoint(path, type(self).__name__, {**self._settings(), "source": self.source.digest}, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str], source: ImageSource) -> VariationalAutoencoder:
        """Read a model that was saved, of the same images.

        Raises
        ------
        FileNotFoundError
            If there is no such file.
        RunFileError
            If it is no such file, or it was saved with other images.

        Examples
        --------
        >>> import tempfile
        >>> source = ImageSource.digits()
        >>> with tempfile.NamedTemporaryFile() as file:
        ...     VariationalAutoencoder(source, latent=3).save(file.name)
        ...     VariationalAutoencoder.load(file.name, source).latent
        3
        """
        settings, arrays = read_checkpoint(path, cls.__name__)
        if settings.pop("source", None) != source.digest:
            raise RunFileError(f"{os.fspath(path)} was saved with other images than {source!r}")
        try:
            training = Training(**settings.pop("training"))
            return cls(source, training=training, parameters=arrays.get("parameters"), **settings)
        except (KeyError, TypeError, DomainError) as error:
            raise RunFileError(f"{os.fspath(path)} is damaged: {error}") from None

    # --- images

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n images, float64 (n, pixels): real ones at generation 0, and else from the decoder.

        Examples
        --------
        >>> VariationalAutoencoder(ImageSource.digits()).sample(3, seed=1).shape
        (3, 64)
        """
        n, rng = positive_integer("n", n), generator(seed)
        if self.parameters is None:
            return self.source.stream(n, rng)
        codes = self.code_std * rng.standard_normal((n, self.latent))
        with one_blas_thread():
            levels = _sigmoid(self.network.logits(self.parameters, codes))
        return (rng.random(levels.shape) < levels).astype(np.float64) if self.output == "binary" else levels

    def decoded(self, decoding: Decoding | None) -> VariationalAutoencoder:
        """Return the model with its codes' variance scaled."""
        if isinstance(decoding, VarianceScaling):
            return replace(self, code_std=self.code_std * math.sqrt(decoding.factor))
        return self

    def reconstruct(self, images: np.ndarray) -> np.ndarray:
        """Return the decoder's levels at the mean of the codes of images (n, pixels); at generation 0 the images."""
        if self.parameters is None:
            return images
        with one_blas_thread():
            heads = self.network.heads(self.parameters, self._targets(images))
            return _sigmoid(self.network.logits(self.parameters, heads[:, : self.latent]))

    def _targets(self, images: np.ndarray) -> np.ndarray:
        return (images >= 0.5).astype(np.float64) if self.likelihood == "binary" else images

    def _probabilities(self, images: np.ndarray, noise: np.ndarray | None = None) -> PixelProbabilities:
        """Return how probable images are; without noise at the means of their codes."""
        if self.parameters is None:
            raise UnsupportedCombinationError("generation 0 is a set of images: it gives pixels no probabilities")
        noise = np.zeros((len(images), self.latent)) if noise is None else noise
        with one_blas_thread():
            return self.network.probabilities(self.parameters, self._targets(images), noise)

    def _masked_share(self, images: np.ndarray, loss: Loss) -> float:
        """Return the mean of 1 − w over the pixels of images, at the means of their codes."""
        return 1.0 - float(np.mean(loss.weight(self._probabilities(images).p)))

    # --- metrics

    def measure(self, metric: str, origin: Model) -> float:
        known = [name for name in self.metric_names if name not in _OF_FITS]
        return self._measured([one_of("metric", metric, known)])[metric]

    def _measured(self, names: Sequence[str]) -> dict[str, float]:
        """Return metrics of this model, but those of fits; NaN for those that generation 0 has not."""
        check_metrics(self.source, names)
        with one_blas_thread():  # as in a run, so that the digits are those of a run
            return self._values(names)

    def _values(self, names: Sequence[str]) -> dict[str, float]:
        values = dict.fromkeys(names, math.nan)
        if set(names) & set(METRICS):
            judge = references(self.source)
            images = judge.real if self.parameters is None else self._shown(len(judge.real))
            values |= {name: METRICS[name](judge, images) for name in names if name in METRICS}
        if "reconstruction_accuracy" in values:
            reconstructed = self.reconstruct(self.source.held_out)
            values["reconstruction_accuracy"] = references(self.source).class_accuracy(reconstructed)
        if self.parameters is not None:
            if "elbo" in values:
                noise = np.random.default_rng(SEED).standard_normal((len(self.source.held_out), self.latent))
                values["elbo"] = float(self._probabilities(self.source.held_out, noise).bounds.mean())
            if "confidence" in values:
                values["confidence"] = float(self._probabilities(self.source.held_out).p.mean())
        return values

    def _shown(self, n: int) -> np.ndarray:
        """Draw the images by which this model is judged: for all models from the same random numbers."""
        return self.sample(n, np.random.default_rng(SEED))

    # --- fits

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        if decoding is not None and not isinstance(decoding, VarianceScaling):
            raise UnsupportedCombinationError(
                f"VariationalAutoencoder does not go with {decoding!r}: the variance of its codes can be changed, by "
                "VarianceScaling(factor)"
            )
        if self.training.engine not in ("auto", "minibatch"):
            raise UnsupportedCombinationError(
                f"VariationalAutoencoder does not go with engine={self.training.engine!r}: images train in minibatches"
            )
        self._refuse_controls()
        check_pixel_loss(loss)

    def _refuse_controls(self) -> None:
        """Refuse what only the training of a language model has."""
        training = self.training
        chosen = {
            f"label_smoothing={training.label_smoothing:g}": training.label_smoothing > 0,
            f"control={training.control!r}": training.control != "none",
            "keep='retention'": training.keep == "retention",
        }
        for setting, is_chosen in chosen.items():
            if is_chosen:
                raise UnsupportedCombinationError(
                    f"VariationalAutoencoder does not go with {setting}, which is for language models"
                )

    def fit(self, data: Any, loss: Loss) -> Fit[VariationalAutoencoder]:
        """Train on images (n, pixels), from these parameters; what is random in it has a fixed seed.

        The objective and the weights of the `Fit` are those of all images, at the means of their codes: training itself
        has noise in the codes, and leaves out what `exclude` says.

        Raises
        ------
        DegenerateFitError
            If training diverges.
        """
        self.check(loss, Replace())
        images = self._checked_images(data)
        initialisation, training = np.random.default_rng(SEED).spawn(2)
        trained = self._trained(images, loss, initialisation, training)
        model = self._after(trained, images)
        if model is None:
            raise DegenerateFitError(
                f"training diverged in epoch {trained.epochs}: take a smaller rate than {self.training.step_size:g}"
            )
        found = model._probabilities(images)
        weights = np.asarray(loss.weight(found.p))
        objective = float(np.asarray(loss.objective(found.p)).sum(axis=1).mean() + found.divergences.mean())
        return Fit.weighted(model, objective, weights, n_iter=trained.steps, vacuous=not weights.any())

    def _checked_images(self, data: Any) -> np.ndarray:
        images = finite_array("data", data, ndim=2)
        if images.shape[1] != self.source.pixels or images.min() < 0 or images.max() > 1:
            admissible = f"images of {self.source.pixels} pixels in [0, 1], one a row"
            raise DomainError("data", f"shape {images.shape}, from {images.min():g} to {images.max():g}", admissible)
        return images

    def _trained(
        self,
        images: np.ndarray,
        loss: Loss,
        initialisation: np.random.Generator,
        training: np.random.Generator,
        stop: np.ndarray | None = None,
    ) -> Trained:
        theta = self.parameters
        if theta is None or self.training.start == "scratch":
            theta = self.network.initial(initialisation)
        targets = self._targets(images)
        return train_autoencoder(
            self.network, theta, targets, loss, self.training, training, exclude=self.exclude, stop=stop
        )  # fmt: skip

    def _after(self, trained: Trained, images: np.ndarray) -> VariationalAutoencoder | None:
        """Return the model with the parameters of a training on images; None if it diverged."""
        if trained.diverged:
            return None
        model = replace(self, parameters=trained.theta)
        bound = float(model._probabilities(images).bounds.mean())
        return model if bound >= -MOST_NATS * self.source.pixels else None  # None for NaN, too

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        return _Recursion(self, loss, regime, sizes, decoding)


class _Recursion(Recursion):
    """One replicate a block; what is random is split by what it is for, so that losses of one seed share it."""

    stream = "data, initialisation, training and codes of networks"
    block_size = 1

    def __init__(
        self,
        model: VariationalAutoencoder,
        loss: Loss,
        regime: Regime,
        sizes: np.ndarray,
        decoding: Decoding | None,
    ) -> None:
        self.model, self.loss, self.decoding = model, loss, decoding
        self.supply = regime.supply(sizes)
        self.parts = regime.stages if isinstance(regime, Staged) else None
        if self.parts is not None:
            model.source.part(0, self.parts)  # that there are enough images is found out at once
        self.cost = float(self.supply.fitted.mean()) * model.network.n_parameters

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        check_metrics(self.model.source, metrics)
        values = {name: np.full((replicates, self.supply.drawn.size + 1), np.nan) for name in (*metrics, *functions)}
        events = {"vacuous": np.zeros(replicates, np.int64), "diverged": np.full(replicates, -1, np.int64)}
        for r in range(replicates):
            for t, (model, masked) in enumerate(self._generations(rng, control.stop)):
                if control.stop[0]:
                    return Block({}, {})
                if model is None:
                    events["diverged"][r] = t
                    control.progress[control.slot] += self.supply.drawn.size + 1 - t
                    break
                record = {**model._measured([name for name in metrics if name not in _OF_FITS]), _MASKED: masked}
                record |= {name: function(model) for name, function in functions.items()}
                for name, array in values.items():
                    array[r, t] = record[name]
                events["vacuous"][r] += masked == 1.0
                if t > 0 and model.checkpoints is not None:
                    model.save(generation_file(model.checkpoints, rng, t))
                control.progress[control.slot] += t > 0
        return Block(values, events)

    def surroundings(self) -> AbstractContextManager[None]:
        return one_blas_thread()

    def _generations(
        self, rng: np.random.Generator, stop: np.ndarray
    ) -> Iterator[tuple[VariationalAutoencoder | None, float]]:
        """Yield the models from generation 0 on, and the share of their fit that is masked; None for a diverged one."""
        model, pool = self.model, self.model.source.training[:0]
        yield model, math.nan
        data_rng, initial_rng, training_rng, code_rng = rng.spawn(4)
        for step in range(self.supply.drawn.size):
            # generators of their own for each generation, so that losses of one seed share what they do not change
            streams = [parent.spawn(1)[0] for parent in (data_rng, initial_rng, training_rng, code_rng)]
            images, pool = self._data(step, model, pool, streams[0], streams[3])
            after = model._after(model._trained(images, self.loss, streams[1], streams[2], stop), images)
            if after is None:
                yield None, math.nan
                return
            model = after
            yield model, model._masked_share(images, self.loss)

    def _data(
        self,
        step: int,
        model: VariationalAutoencoder,
        pool: np.ndarray,
        data_rng: np.random.Generator,
        code_rng: np.random.Generator,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return what a generation is trained on, and all that was drawn so far if that is kept."""
        supply, source = self.supply, self.model.source
        n_mixed = int(data_rng.binomial(supply.synthetic[step], supply.fresh_share[step]))
        part = (step, self.parts) if self.parts is not None and step < self.parts else None
        real = source.stream(int(supply.fresh[step]) + n_mixed, data_rng, part)
        generated = real[:0]
        if supply.synthetic[step] > n_mixed:
            drawn_by = data_rng if model.parameters is None else code_rng
            generated = model.decoded(self.decoding).sample(int(supply.synthetic[step]) - n_mixed, drawn_by)
        drawn = np.concatenate([real, generated])
        if supply.memory == FORGET:
            return drawn, pool
        pool = np.concatenate([pool, drawn])
        return (pool if supply.memory == KEEP else data_rng.choice(pool, len(drawn), replace=False)), pool


def _sigmoid(logits: np.ndarray) -> np.ndarray:
    return np.asarray(np.exp(-np.logaddexp(0.0, -logits)))
