"""Sources of images: what they take, what they refuse, and which images they give."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.neural.images import ImageSource


def made(n: int = 100, shape: tuple[int, ...] = (4, 4), **options: Any) -> ImageSource:
    return ImageSource(np.random.default_rng(1).random((n, *shape)), **options)


def test_a_fifth_is_held_out_and_nothing_is_lost() -> None:
    images = np.random.default_rng(1).random((101, 4, 5))
    source = ImageSource(images, np.arange(101) % 3 + 7)
    assert (len(source.held_out), len(source.training)) == (20, 81)
    assert source.shape == (4, 5)
    assert source.classes == (7, 8, 9)
    together = np.concatenate([source.training, source.held_out])
    labels = np.concatenate([source.training_labels, source.held_out_labels])
    order = np.lexsort(together.T)
    expected = np.lexsort(images.reshape(101, -1).T)
    np.testing.assert_array_equal(together[order], images.reshape(101, -1)[expected])
    np.testing.assert_array_equal(labels[order], (np.arange(101) % 3)[expected])


def test_the_split_does_not_follow_the_order_of_the_classes() -> None:
    source = made(1000, labels=np.repeat([0, 1], 500))
    assert 0.4 < source.held_out_labels.mean() < 0.6


def test_integers_are_divided_by_the_largest_grey_level() -> None:
    levels = np.random.default_rng(1).integers(0, 17, (100, 16))
    source = ImageSource(levels.astype(np.uint8))
    assert source.largest_level == levels.max() == 16
    assert source.training.max() == 1.0
    np.testing.assert_array_equal(np.unique(source.training * 16), np.arange(17.0))
    assert made().largest_level is None


def test_binary_images_are_split_at_a_half() -> None:
    grey, binary = made(), made(binary=True)
    np.testing.assert_array_equal(binary.training, grey.training >= 0.5)
    # a half itself is 1: 60 images with a half in places of their own, and just less elsewhere
    halves = np.full((60, 64), np.nextafter(0.5, 0))
    halves[np.arange(60), np.arange(60)] = 0.5
    np.testing.assert_array_equal(ImageSource(halves, binary=True).training.sum(axis=1), 1.0)


def test_vectors_are_squares_where_they_can_be() -> None:
    assert made(shape=(9,)).shape == (3, 3)
    assert made(shape=(10,)).shape == (1, 10)


def test_images_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        made().training[0, 0] = 0.0


def test_the_stream_gives_training_images_with_replacement() -> None:
    source, rng = made(), np.random.default_rng(2)
    drawn = source.stream(5000, rng)
    rows = {row.tobytes() for row in drawn}
    assert rows == {row.tobytes() for row in source.training}
    assert not rows & {row.tobytes() for row in source.held_out}
    assert len(source.stream(0, rng)) == 0


def test_parts_are_disjoint_and_together_all() -> None:
    source = made()
    parts = [{row.tobytes() for row in source.part(i, 7)} for i in range(7)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(source.training)
    assert max(map(len, parts)) - min(map(len, parts)) <= 1
    drawn = source.stream(500, np.random.default_rng(1), (3, 7))
    assert {row.tobytes() for row in drawn} == parts[3]


def test_the_digest_is_that_of_the_images() -> None:
    assert made().digest == made().digest
    assert made().digest != made(binary=True).digest
    assert made().digest != made(labels=np.arange(100) % 2).digest
    assert made().describe()["sha256"] == made().digest


def test_digits() -> None:
    source = ImageSource.digits()
    assert source.shape == (8, 8)
    assert source.classes == tuple(range(10))
    assert len(source.training) + len(source.held_out) == 1797
    np.testing.assert_array_equal(np.unique(source.training * 16), np.arange(17.0))


def test_digits_without_scikit_learn(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(ImportError, match=r"^the digits need scikit-learn: pip install 'tce_theory\[digits\]'$"):
        ImageSource.digits()


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.random.default_rng(1).random(100), r"images must be .* got an array of float64 with shape \(100,\)"),
        (np.full((100, 4), "a"), r"images must be an array of grey levels with shape \(n, d\) or \(n, height, width\)"),
        (np.zeros((0, 4)), "images must be"),
        ([[0.0], [0.0, 1.0]], "images must be .* got 'rows of different lengths'"),
        (np.full((100, 4), np.nan), r"images must be finite in every pixel, got nan at index \(0, 0\)"),
        (np.full((100, 4), 16.0), r"images must be in \[0, 1\] .* got 16 at index \(0, 0\)"),
        (np.full((100, 4), -1), r"images must be grey levels from 0 on, .* got -1 at index \(0, 0\)"),
        (np.zeros((100, 4), np.uint8), "images must be grey levels from 0 on, not all of them 0"),
        (np.random.default_rng(1).random((49, 4)), "images must be at least 50 different images, got '49 different"),
        (np.ones((500, 4)), "images must be at least 50 different images, got '1 different"),
    ],
)
def test_bad_images(images: Any, message: str) -> None:
    with pytest.raises(tce.DomainError, match=message) as caught:
        ImageSource(images)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.arange(99), "labels must be 100 integers, one for each image, got an array of int64 with shape"),
        (np.zeros(100), "labels must be 100 integers"),
        (np.zeros(100, int), "labels must be of at least two classes, got 0 for every image"),
    ],
)
def test_bad_labels(labels: Any, message: str) -> None:
    with pytest.raises(tce.DomainError, match=message):
        made(labels=labels)


@pytest.mark.parametrize(("index", "parts"), [(0, 0), (0, 81), (3, 3), (-1, 3)])
def test_bad_parts(index: int, parts: int) -> None:
    with pytest.raises(tce.DomainError, match=r"parts|index"):
        made().part(index, parts)


def test_files(tmp_path: Path) -> None:
    images, labels = np.random.default_rng(1).random((60, 3, 3)), np.arange(60) % 4
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "labels.npy", labels)
    source = ImageSource.from_file(tmp_path / "images.npy", tmp_path / "labels.npy")
    assert source.digest == ImageSource(images, labels).digest


def test_bad_files(tmp_path: Path) -> None:
    good, labels = np.random.default_rng(1).random((60, 3, 3)), np.arange(60) % 4

    def refused(content: Any, message: str, wrong_labels: Any = None) -> None:
        path, second = tmp_path / "images.npy", tmp_path / "labels.npy"
        path.write_bytes(content) if isinstance(content, bytes) else np.save(path, content)
        np.save(second, labels if wrong_labels is None else wrong_labels)
        with pytest.raises(tce.DefinitionError, match=message) as caught:
            ImageSource.from_file(path, second)
        assert "\n" not in str(caught.value)
        assert str(tmp_path) in str(caught.value)

    refused(b"", "images.npy: is no array of numbers in NumPy's format")
    refused(b"no numpy", "images.npy: is no array of numbers in NumPy's format")
    refused(np.array([{}, 1], dtype=object), "images.npy: is no array of numbers")
    refused(np.where(good > 0.9, np.nan, good), "images.npy: images must be finite")
    refused(good * 300, r"images.npy: images must be in \[0, 1\]")
    refused(good[:10], "images.npy: images must be at least 50 different images")
    refused(good, "labels.npy: labels must be 60 integers", labels[:5])
    with open(tmp_path / "several.npz", "wb") as file:
        np.savez(file, a=good, b=good)
    with pytest.raises(tce.DefinitionError, match=r"several.npz: holds several arrays"):
        ImageSource.from_file(tmp_path / "several.npz")
    with pytest.raises(tce.DefinitionError, match="there is no such file"):
        ImageSource.from_file(tmp_path / "nowhere.npy")
    with pytest.raises(tce.DefinitionError, match="cannot be read"):
        ImageSource.from_file(tmp_path)
