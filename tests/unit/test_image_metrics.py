"""Metrics of images, each against a plain definition; and the references that they go by."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np
import pytest
from scipy.linalg import sqrtm

import tce_theory as tce
from tce_theory.neural import image_metrics
from tce_theory.neural.image_metrics import (
    METRICS,
    References,
    class_entropy,
    frechet_distance,
    nearest_distance,
    references,
    total_variance,
)
from tce_theory.neural.images import ImageSource


def blobs(labels: bool = True, n: int = 150) -> ImageSource:
    """Images of two classes, dark and bright, that anything tells apart."""
    rng = np.random.default_rng(1)
    numbers = np.arange(n) % 2
    images = np.clip(0.2 + 0.6 * numbers[:, None] + 0.1 * rng.standard_normal((n, 9)), 0, 1)
    return ImageSource(images, numbers if labels else None)


SOURCE = blobs()
JUDGE = references(SOURCE)


def plain_root_trace(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.trace(sqrtm(a @ b)).real)


def test_frechet_against_the_root_of_the_product() -> None:
    rng = np.random.default_rng(2)
    one, other = rng.standard_normal((40, 5)), 0.5 * rng.standard_normal((60, 5)) + 1
    moments = [(x.mean(axis=0), np.cov(x, rowvar=False)) for x in (one, other)]
    (m, c), (m2, c2) = moments
    expected = ((m - m2) ** 2).sum() + np.trace(c) + np.trace(c2) - 2 * plain_root_trace(c, c2)
    assert frechet_distance(m, c, m2, c2) == pytest.approx(expected, rel=1e-10)
    assert frechet_distance(m, 1.03 * c, m2, c2) != pytest.approx(expected, rel=1e-4)  # the control


def test_frechet_of_one_law_and_of_commuting_and_singular_ones() -> None:
    rng = np.random.default_rng(3)
    points = rng.standard_normal((20, 4))
    c = np.cov(points, rowvar=False)
    assert frechet_distance(np.zeros(4), c, np.zeros(4), c) == pytest.approx(0.0, abs=1e-12)
    flat = np.diag([4.0, 0.0, 1.0, 0.0])
    assert frechet_distance(np.zeros(4), flat, np.ones(4), np.diag([1.0, 9.0, 1.0, 0.0])) == pytest.approx(4 + 1 + 9)
    assert frechet_distance(np.zeros(4), np.zeros((4, 4)), np.zeros(4), c) == pytest.approx(np.trace(c))


def test_nearest_distance_by_a_loop() -> None:
    images = np.random.default_rng(4).random((30, 6))
    nearest = [min(math.dist(a, b) for j, b in enumerate(images) if j != i) for i, a in enumerate(images)]
    assert nearest_distance(images) == pytest.approx(np.mean(nearest), rel=1e-12)
    assert nearest_distance(np.repeat(images, 2, axis=0)) == 0.0


def test_total_variance_and_class_entropy() -> None:
    points = np.random.default_rng(5).standard_normal((50, 3)) * [1, 2, 0]
    expected = np.mean(((points - points.mean(axis=0)) ** 2).sum(axis=1))
    assert total_variance(points) == pytest.approx(expected, rel=1e-12)
    assert class_entropy(np.full(10, 7)) == pytest.approx(math.log(10), rel=1e-14)
    assert class_entropy(np.array([0, 9, 0])) == 0.0
    assert class_entropy(np.array([1, 3])) == pytest.approx(-0.25 * math.log(0.25) - 0.75 * math.log(0.75))


def test_real_images_judge_themselves() -> None:
    assert len(JUDGE.real) == len(SOURCE.training) == 120
    assert JUDGE.accuracy == 1.0
    assert METRICS["latent_spread"](JUDGE, JUDGE.real) == METRICS["nearest_neighbour"](JUDGE, JUDGE.real) == 1.0
    assert METRICS["class_entropy"](JUDGE, JUDGE.real) == pytest.approx(math.log(2), abs=0.01)
    features = JUDGE.features(SOURCE.held_out)
    assert features.shape == (30, 64)
    assert METRICS["frechet"](JUDGE, SOURCE.held_out) == pytest.approx(0.0, abs=1e-9)


def test_images_that_collapse_are_seen() -> None:
    one = np.repeat(SOURCE.training[:1], 100, axis=0)
    for name in ("latent_spread", "class_entropy", "nearest_neighbour"):
        assert METRICS[name](JUDGE, one) == pytest.approx(0.0, abs=1e-12)
    halfway = SOURCE.training.mean(axis=0) + 0.5 * (SOURCE.training - SOURCE.training.mean(axis=0))
    assert METRICS["nearest_neighbour"](JUDGE, halfway) == pytest.approx(0.5, rel=1e-12)
    assert METRICS["latent_spread"](JUDGE, halfway) < 0.7
    assert METRICS["frechet"](JUDGE, one) > METRICS["frechet"](JUDGE, JUDGE.real)


def test_classes() -> None:
    dark = SOURCE.training[SOURCE.training_labels == 0]
    assert METRICS["class_entropy"](JUDGE, dark) == 0.0
    assert JUDGE.class_accuracy(1 - SOURCE.held_out) < 0.1


def test_references_depend_on_the_images_alone() -> None:
    again = References(blobs())
    images = np.random.default_rng(6).random((40, 9))
    for name, metric in METRICS.items():
        assert metric(again, images) == metric(JUDGE, images), name


def test_references_are_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[Any] = []

    class Slow:
        def __init__(self, source: ImageSource) -> None:
            made.append(source)

    monkeypatch.setattr(image_metrics, "References", Slow)
    source = blobs()
    threads = [threading.Thread(target=references, args=(source,)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert made == [source]


def test_without_labels_the_features_are_the_encoders() -> None:
    judge = References(blobs(labels=False))
    assert judge.accuracy is None
    assert judge.features(judge.real).shape == (120, 128)
    assert METRICS["frechet"](judge, judge.source.held_out) == pytest.approx(0.0, abs=1e-9)
    with pytest.raises(tce.UnsupportedCombinationError, match="images without labels have no classifier"):
        METRICS["class_entropy"](judge, judge.real)


def test_images_that_are_all_there_twice() -> None:
    images = np.repeat(np.random.default_rng(7).random((200, 4)), 2, axis=0)
    judge = object.__new__(References)
    judge._real_distance = nearest_distance(images)
    with pytest.raises(tce.UnsupportedCombinationError, match="not all there twice"):
        METRICS["nearest_neighbour"](judge, images[:10])


@pytest.mark.slow
def test_references_of_the_digits() -> None:
    judge = references(ImageSource.digits())
    assert judge.accuracy is not None
    assert judge.accuracy > 0.96
    assert METRICS["class_entropy"](judge, judge.real) > 0.99 * math.log(10)
    assert judge.real.shape == (1000, 64)
