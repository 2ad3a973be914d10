"""Real images for autoencoders: the part that models learn from, and the part that is held out to judge them."""

from __future__ import annotations

import hashlib
import math
import os
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tce_theory.errors import DefinitionError, DomainError
from tce_theory.validation import boolean, positive_integer

__all__ = ["ImageSource"]

_FEWEST = 50  # different images; with fewer the metrics on held-out ones say nothing
_HELD_OUT = 0.2
_SPLIT_SEED = 20_250_908  # of which images are held out; a constant, so that all runs are judged by the same ones


class ImageSource:
    """Real images with grey levels in [0, 1], and their classes if they are known.

    A fifth of the images, the same for every seed, is held out: models are never trained on them, metrics compare with
    them. The images of `training` and `held_out` are in a random order that is fixed.

    Parameters
    ----------
    images : array_like, shape (n, d) or (n, height, width)
        Floats in [0, 1], or integers, which are grey levels from 0 to the largest that occurs and are divided by it.
    labels : array_like of int, shape (n,), optional
        Classes. Without them there is no classifier, and metrics that need one are refused.
    binary : bool
        Make each pixel 1 where its grey level is at least a half, and 0 elsewhere.

    Attributes
    ----------
    training, held_out : float64 array (·, d)
        Images, read-only.
    training_labels, held_out_labels : int64 array or None
        Classes, numbered 0, 1, … in the order of `classes`.
    classes : tuple of int
        The labels that occur; empty without labels.
    shape : tuple of int
        Height and width. Images given as vectors are squares if d is a square number, and else one row.
    largest_level : int or None
        What integers were divided by; None if floats were given.

    Raises
    ------
    DomainError
        If the images are no such array, are fewer than 50 different ones, or the labels do not go with them.

    Examples
    --------
    >>> import numpy as np
    >>> source = ImageSource(np.random.default_rng(1).random((100, 4, 4)))
    >>> source
    ImageSource(100 images of 4 × 4 pixels, without classes, 20 held out)
    >>> source.stream(3, np.random.default_rng(2)).shape
    (3, 16)
    """

    def __init__(self, images: ArrayLike, labels: ArrayLike | None = None, *, binary: bool = False) -> None:
        grey, self.largest_level = _grey_levels(images)
        self.binary = boolean("binary", binary)
        self.shape = _shape(grey)
        pixels = grey.reshape(len(grey), -1)
        if self.binary:
            pixels = (pixels >= 0.5).astype(np.float64)
        different = len({row.tobytes() for row in pixels})
        if different < _FEWEST:
            raise DomainError("images", f"{different} different ones", f"at least {_FEWEST} different images")
        self.classes, numbers = _numbered(labels, len(pixels))
        order = np.random.default_rng(_SPLIT_SEED).permutation(len(pixels))
        held_out, training = np.split(order, [round(_HELD_OUT * len(order))])
        self.training, self.held_out = _frozen(pixels[training]), _frozen(pixels[held_out])
        self.training_labels = None if numbers is None else _frozen(numbers[training])
        self.held_out_labels = None if numbers is None else _frozen(numbers[held_out])

    @classmethod
    def digits(cls, *, binary: bool = False) -> ImageSource:
        """1,797 handwritten digits of 8 × 8 pixels with 17 grey levels (UCI, 1998), from scikit-learn.

        Raises
        ------
        ImportError
            If scikit-learn is not installed.

        Examples
        --------
        >>> ImageSource.digits()
        ImageSource(1797 images of 8 × 8 pixels, 10 classes, 359 held out)
        """
        try:
            from sklearn.datasets import load_digits
        except ImportError:
            raise ImportError("the digits need scikit-learn: pip install 'tce_theory[digits]'") from None
        found = load_digits()
        return cls(found.images / 16, found.target, binary=binary)

    @classmethod
    def from_file(
        cls,
        path: str | os.PathLike[str],
        labels: str | os.PathLike[str] | None = None,
        *,
        binary: bool = False,
    ) -> ImageSource:
        """Images from a file of NumPy's format .npy, and their classes from another.

        Parameters
        ----------
        path : str or os.PathLike
            An array as for the class. Pickled objects are not read.
        labels : str or os.PathLike, optional
            An integer array (n,).
        binary : bool
            As of the class.

        Raises
        ------
        DefinitionError
            If a file cannot be read, or does not hold what the class takes; the message names the file.

        Examples
        --------
        >>> ImageSource.from_file("nowhere.npy")
        Traceback (most recent call last):
        ...
        tce_theory.errors.DefinitionError: nowhere.npy: there is no such file
        """
        images, classes = _loaded(path), None if labels is None else _loaded(labels)
        try:
            return cls(images, classes, binary=binary)
        except DomainError as error:
            wrong = labels if error.argument == "labels" and labels is not None else path
            raise DefinitionError(f"{os.fspath(wrong)}: {error}") from None

    def __repr__(self) -> str:
        total = len(self.training) + len(self.held_out)
        height, width = self.shape
        kind = f"{len(self.classes)} classes" if self.classes else "without classes"
        kind += ", binary" if self.binary else ""
        return f"ImageSource({total} images of {height} × {width} pixels, {kind}, {len(self.held_out)} held out)"

    @property
    def pixels(self) -> int:
        """Pixels d of an image."""
        return int(self.training.shape[1])

    def part(self, index: int, parts: int) -> np.ndarray:
        """Return one of the disjoint parts of the training images, float64 (·, d); their sizes differ by one at most.

        Raises
        ------
        DomainError
            If there are fewer images than parts, or no such part.

        Examples
        --------
        >>> [len(ImageSource.digits().part(i, 3)) for i in range(3)]
        [480, 479, 479]
        """
        parts = positive_integer("parts", parts, maximum=len(self.training))
        index = positive_integer("index", index, minimum=0, maximum=parts - 1)
        edges = np.cumsum([0] + [len(chunk) for chunk in np.array_split(np.empty(len(self.training)), parts)])
        return self.training[edges[index] : edges[index + 1]]

    def stream(self, n: int, rng: np.random.Generator, part: tuple[int, int] | None = None) -> np.ndarray:
        """Draw n real images with replacement, float64 (n, d): never held-out ones.

        Parameters
        ----------
        n : int
        rng : numpy.random.Generator
        part : tuple of int, optional
            (i, parts): draw from the i-th of that many disjoint parts, i from 0 on.

        Returns
        -------
        float64 array (n, d)
        """
        pool = self.training if part is None else self.part(*part)
        return pool[rng.integers(len(pool), size=positive_integer("n", n, minimum=0))]

    @cached_property
    def digest(self) -> str:
        """SHA-256 of images, classes and how they are split."""
        digest = hashlib.sha256(repr((self.shape, self.classes, self.binary)).encode())
        for array in (self.training, self.held_out, self.training_labels, self.held_out_labels):
            digest.update(b"" if array is None else array.tobytes())
        return digest.hexdigest()

    def describe(self) -> dict[str, Any]:
        """Return what the images are in JSON's types, for the provenance; themselves by their digest.

        Examples
        --------
        >>> ImageSource.digits().describe()["shape"]
        [8, 8]
        """
        return {
            "name": type(self).__name__,
            "images": len(self.training) + len(self.held_out),
            "held_out": len(self.held_out),
            "shape": list(self.shape),
            "classes": list(self.classes),
            "binary": self.binary,
            "largest_level": self.largest_level,
            "sha256": self.digest,
        }


def _grey_levels(images: ArrayLike) -> tuple[np.ndarray, int | None]:
    """Return images as floats in [0, 1], and what integers were divided by."""
    admissible = "an array of grey levels with shape (n, d) or (n, height, width)"
    try:
        given = np.asarray(images)
    except ValueError:
        raise DomainError("images", "rows of different lengths", admissible) from None
    if given.dtype.kind not in "biuf" or given.ndim not in (2, 3) or given.size == 0:
        raise DomainError("images", _Shown(f"an array of {given.dtype} with shape {given.shape}"), admissible)
    if not np.isfinite(given).all():
        raise DomainError("images", _Shown(f"{_first(given, ~np.isfinite(given))}"), "finite in every pixel")
    if given.dtype.kind in "bf":
        outside = (given < 0) | (given > 1) if given.dtype.kind == "f" else np.zeros(given.shape, np.bool_)
        if outside.any():
            admissible = "in [0, 1] in every pixel (integers, which are divided by the largest, may exceed 1)"
            raise DomainError("images", _Shown(_first(given, outside)), admissible)
        return given.astype(np.float64), None
    if given.min() < 0 or given.max() == 0:
        wrong = _first(given, given < 0) if given.min() < 0 else "0 in every pixel"
        raise DomainError("images", _Shown(wrong), "grey levels from 0 on, not all of them 0")
    return given / float(given.max()), int(given.max())


def _shape(grey: np.ndarray) -> tuple[int, int]:
    if grey.ndim == 3:
        return int(grey.shape[1]), int(grey.shape[2])
    side = math.isqrt(grey.shape[1])
    return (side, side) if side**2 == grey.shape[1] else (1, int(grey.shape[1]))


def _numbered(labels: ArrayLike | None, n: int) -> tuple[tuple[int, ...], np.ndarray | None]:
    """Return the labels that occur, and each image's place among them."""
    if labels is None:
        return (), None
    given = np.asarray(labels)
    if given.shape != (n,) or given.dtype.kind not in "iu":
        shown = _Shown(f"an array of {given.dtype} with shape {given.shape}")
        raise DomainError("labels", shown, f"{n} integers, one for each image")
    classes, numbers = np.unique(given, return_inverse=True)
    if len(classes) < 2:
        raise DomainError("labels", _Shown(f"{classes[0]} for every image"), "of at least two classes")
    return tuple(classes.tolist()), numbers.astype(np.int64)


def _loaded(path: str | os.PathLike[str]) -> np.ndarray:
    name = os.fspath(path)
    try:
        found = np.load(path, allow_pickle=False)
    except FileNotFoundError:
        raise DefinitionError(f"{name}: there is no such file") from None
    except OSError as error:
        raise DefinitionError(f"{name}: cannot be read ({error.strerror or error})") from None
    except (ValueError, EOFError):
        raise DefinitionError(f"{name}: is no array of numbers in NumPy's format .npy") from None
    if not isinstance(found, np.ndarray):
        found.close()
        raise DefinitionError(f"{name}: holds several arrays; save the one with the images by numpy.save")
    return found


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _first(array: np.ndarray, bad: np.ndarray) -> str:
    index = tuple(int(i) for i in np.argwhere(bad)[0])
    return f"{array[index]:g} at index {index}"


class _Shown:
    """Text that a message shows as it is, without quotes."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text
