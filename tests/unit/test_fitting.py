"""`fit`: what it reports, what it warns of, and what it refuses."""

import dataclasses
import math
import warnings

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.losses import Loss
from tce_theory.models.base import Model

GAUSSIAN, CATEGORICAL = tce.Gaussian(), tce.Categorical([0.5, 0.3, 0.2])
POINTS = [-1.0, 0.2, 1.7]


# -- the report -------------------------------------------------------------------------------------------------------


def test_report_of_a_gaussian_fit():
    # outside: ±2 (weight 1); on the boundary: ±1, eight times each; inside: 0
    points = np.concatenate([[-2.0, 2.0], np.repeat([-1.0, 1.0], 8), np.zeros(4)])
    variance = 1.5
    gamma = math.exp(-0.5 / variance) / math.sqrt(2 * math.pi * variance)
    share = 2 * (4 - variance) / (16 * (variance - 1))  # Σ w (x² − variance) = 0
    result = tce.fit(tce.Gaussian(), points, tce.TCE(gamma))
    assert isinstance(result, tce.Fit)
    assert (result.model.mean, result.model.std**2) == (pytest.approx(0, abs=1e-15), pytest.approx(variance, rel=1e-14))
    np.testing.assert_allclose(result.weights, [1, 1, *[share] * 16, 0, 0, 0, 0], rtol=1e-13)
    assert result.boundary_index.tolist() == list(range(2, 18))
    np.testing.assert_array_equal(result.boundary_weight, result.weights[2:18])
    assert result.masked_weight == pytest.approx(4 + 16 * (1 - share), rel=1e-13)
    assert not result.vacuous
    cross_entropy = 0.5 * (points**2 / variance + math.log(2 * math.pi * variance))
    assert result.objective == pytest.approx(np.maximum(cross_entropy, -math.log(gamma)).mean(), rel=1e-14)
    assert result.n_iter >= 1


def test_report_of_a_categorical_fit():
    result = tce.fit(CATEGORICAL, tce.Counts([90, 7, 3]), tce.TCE(0.6))
    # λ = (1 − 0.9)/(1 − 0.6) = 0.25, and w = λ 0.6/0.9
    np.testing.assert_allclose(result.weights, [0.25 * 0.6 / 0.9, 1, 1], rtol=1e-13)
    assert result.boundary_index.tolist() == [0]
    assert result.boundary_weight.tolist() == [result.weights[0]]
    assert result.masked_weight == pytest.approx(90 * (1 - result.weights[0]), rel=1e-13)
    expected = -(0.9 * math.log(0.6) + 0.07 * math.log(0.28) + 0.03 * math.log(0.12))
    assert result.objective == pytest.approx(expected, rel=1e-14)
    assert not result.vacuous


@pytest.mark.parametrize(
    ("model", "data", "loss"),
    [
        (tce.Gaussian(), POINTS, tce.CrossEntropy()),
        (tce.Gaussian(0.3, fit_mean=False), POINTS, tce.CrossEntropy()),
        (tce.Gaussian(ddof=1), POINTS, tce.CrossEntropy()),
        (CATEGORICAL, [0, 0, 2, 1], tce.CrossEntropy()),
    ],
)
def test_report_of_a_cross_entropy_fit(model, data, loss):
    result = tce.fit(model, data, loss)
    assert result.masked_weight == 0
    assert result.boundary_index.size == result.boundary_weight.size == 0
    assert (result.weights == 1).all()
    assert result.objective == pytest.approx(-result.model.log_density(data).mean(), rel=1e-14)
    assert (result.vacuous, result.n_iter) == (False, 0)


def test_masked_weight_is_the_sum_over_the_data():
    rng = np.random.default_rng(1)
    for _ in range(100):
        points = rng.standard_normal(20)
        for loss in (tce.TCE(0.3), tce.TCE(0.8, scale="relative"), tce.TCE(0.3, mask="previous")):
            result = tce.fit(tce.Gaussian(), points, loss)
            assert result.weights.shape == (20,)
            assert result.masked_weight == pytest.approx((1 - result.weights).sum(), abs=1e-13)
        counts = rng.integers(1, 9, 6)
        for loss in (tce.TCE(0.25), tce.FocalLoss(), tce.SmoothTruncatedCrossEntropy(0.3, 0.1)):
            result = tce.fit(tce.Categorical([1 / 6] * 6), tce.Counts(counts), loss)
            assert result.weights.shape == (6,)
            assert result.masked_weight == pytest.approx((counts * (1 - result.weights)).sum(), abs=1e-9)


def test_reports_are_frozen_and_print_without_their_weights():
    result = tce.fit(GAUSSIAN, POINTS, tce.TCE(0.3))
    with pytest.raises(dataclasses.FrozenInstanceError):
        result.objective = 0.0
    assert "objective=" in repr(result)
    assert " weights=" not in repr(result)


def test_the_model_that_was_given_is_not_changed():
    model = tce.Categorical([0.5, 0.3, 0.2])
    counts = tce.Counts([9, 0, 1])
    tce.fit(model, counts, tce.TCE(0.6))
    assert model.probs.tolist() == [0.5, 0.3, 0.2]
    assert counts.values.tolist() == [9, 0, 1]
    points = np.array(POINTS)
    tce.fit(GAUSSIAN, points, tce.TCE(0.3))
    assert points.tolist() == POINTS


def test_a_fit_keeps_what_is_known():
    assert tce.fit(tce.Gaussian(0.5, fit_mean=False), POINTS, tce.TCE(0.3)).model.mean == 0.5
    assert not tce.fit(tce.Gaussian(0.5, fit_mean=False), POINTS, tce.TCE(0.3)).model.fit_mean
    assert tce.fit(tce.Gaussian(ddof=1), POINTS, tce.CrossEntropy()).model.ddof == 1
    named = tce.Categorical([0.5, 0.5], labels=["a", "b"])
    assert tce.fit(named, [0, 0, 1], tce.TCE(0.9)).model.labels == ("a", "b")


@pytest.mark.parametrize(
    ("model", "data", "loss"),
    [
        (GAUSSIAN, [0.0, 0.1], tce.TCE(1.0)),
        (GAUSSIAN, [3.0], tce.TCE(1.0)),
        (tce.Gaussian(0.0, 0.1), [0.0, 0.01, 5.0], tce.TCE(0.85, mask="previous")),
        (CATEGORICAL, [2, 2], tce.TCE(0.6)),
        (CATEGORICAL, [2, 2], tce.TCE(0.6, vacuous="max-entropy")),
        (CATEGORICAL, [2, 2], tce.TCE(0.6, vacuous="drawn-only")),
        (tce.Categorical([0.9, 0.1]), [0, 0], tce.TCE(0.6, mask="previous")),
    ],
)
def test_a_vacuous_fit_warns(model, data, loss):
    with pytest.warns(tce.StatisticalWarning, match="chosen by convention") as caught:
        result = tce.fit(model, data, loss)
    assert result.vacuous
    assert caught[0].filename == __file__  # it points at the caller


def test_other_fits_do_not_warn():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        tce.fit(GAUSSIAN, POINTS, tce.TCE(0.3))
        tce.fit(CATEGORICAL, [0, 1, 2, 0], tce.TCE(0.6))


# -- Counts -----------------------------------------------------------------------------------------------------------


def test_counts():
    counts = tce.Counts([3, 0, 1])
    assert counts.total == 4
    assert counts.values.dtype == np.int64
    with pytest.raises(ValueError, match="read-only"):
        counts.values[0] = 7
    assert tce.Counts([1e3, 2.0]).values.tolist() == [1000, 2]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([1, -1], "nonnegative whole numbers"),
        ([1.5, 2], "nonnegative whole numbers"),
        ([1, math.nan], "finite"),
        ([0, 0], "all 0"),
        ([], "array"),
        ([[1, 2]], "1 dimension"),
        (3, "1 dimension"),
        (["a"], "finite numbers"),
        ([2**54], "at most"),
    ],
)
def test_counts_that_are_refused(values, complaint):
    with pytest.raises(tce.DomainError, match=complaint):
        tce.Counts(values)


# -- errors -----------------------------------------------------------------------------------------------------------


class OtherLoss(Loss):
    def _weight(self, at):
        return np.ones_like(at.value)

    def _objective(self, at):
        return -at.log


DATA_ERRORS = [
    (GAUSSIAN, tce.Counts([1, 2]), tce.CrossEntropy(), "Counts are for discrete families"),
    (GAUSSIAN, [[1.0, 2.0]], tce.CrossEntropy(), "1 dimension"),
    (GAUSSIAN, 1.0, tce.CrossEntropy(), "1 dimension"),
    (GAUSSIAN, [], tce.TCE(0.3), "finite numbers"),
    (GAUSSIAN, [1.0, math.nan], tce.CrossEntropy(), "nan at index 1"),
    (GAUSSIAN, [1.0, math.inf], tce.CrossEntropy(), "inf at index 1"),
    (GAUSSIAN, ["a", "b"], tce.CrossEntropy(), "finite numbers"),
    (tce.Gaussian(1e308, fit_mean=False), [-1e308], tce.CrossEntropy(), "range is a finite number"),
    (GAUSSIAN, [1.0], tce.CrossEntropy(), "at least 2 points"),
    (tce.Gaussian(ddof=1), [1.0], tce.CrossEntropy(), "at least 2 points"),
    (GAUSSIAN, [1.0], tce.TCE(0.9, scale="relative"), "at least 2 points"),
    (GAUSSIAN, [1.0], tce.TCE(0.9, mask="previous"), "at least 2 points"),
    (CATEGORICAL, [0, 3], tce.CrossEntropy(), "labels from 0 to 2.*got 3"),
    (CATEGORICAL, [0, -1], tce.CrossEntropy(), "labels from 0 to 2.*got -1"),
    (CATEGORICAL, [0.0, 1.0], tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, [True, False], tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, ["a"], tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, [[0, 1]], tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, [], tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, 1, tce.CrossEntropy(), "vector of integer labels"),
    (CATEGORICAL, tce.Counts([1, 2]), tce.CrossEntropy(), "counts of 3 classes, got 'counts of 2 classes'"),
]


@pytest.mark.parametrize(("model", "data", "loss", "complaint"), DATA_ERRORS)
def test_data_that_are_refused(model, data, loss, complaint):
    with pytest.raises(tce.DomainError, match=complaint) as caught:
        tce.fit(model, data, loss)
    assert caught.value.argument == "data"


@pytest.mark.parametrize(
    ("model", "data", "loss", "complaint"),
    [
        (CATEGORICAL, [0, 1], tce.TCE(1.5), r"gamma must be in \(0, 1\]"),
        (GAUSSIAN, POINTS, tce.TCE(0.6, scale="relative"), r"gamma must be at least e\^\(-1/2\)"),
        (GAUSSIAN, POINTS, tce.TCE(1e-310), "gamma must be between"),
        (GAUSSIAN, POINTS, tce.TCE(1e308), "gamma must be between"),
        (3, POINTS, tce.CrossEntropy(), "model must be a model of this library"),
        (tce.Gaussian, POINTS, tce.CrossEntropy(), "model must be a model of this library"),
        (GAUSSIAN, POINTS, "TCE", "loss must be a loss of this library"),
        (GAUSSIAN, POINTS, tce.TCE, "loss must be a loss of this library"),
    ],
)
def test_arguments_that_are_refused(model, data, loss, complaint):
    with pytest.raises(tce.DomainError, match=complaint):
        tce.fit(model, data, loss)


@pytest.mark.parametrize(
    ("model", "loss", "complaint"),
    [
        (GAUSSIAN, tce.FocalLoss(), "FocalLoss: its weight is for probabilities"),
        (GAUSSIAN, tce.SmoothTruncatedCrossEntropy(0.5, 0.1), "its weight is for probabilities"),
        (GAUSSIAN, tce.WeightedCrossEntropy(lambda p: 1.0), "its weight is for probabilities"),
        (tce.Gaussian(ddof=1), tce.TCE(0.3), "TCE is maximum likelihood"),
        (GAUSSIAN, tce.TCE(0.3, vacuous="warm"), "only the fit of largest entropy"),
        (GAUSSIAN, tce.TCE(0.3, vacuous="drawn-only"), "only the fit of largest entropy"),
        (GAUSSIAN, tce.TCE(0.9, scale="relative", vacuous="max-entropy"), "never a choice among minimisers"),
        (GAUSSIAN, tce.TCE(0.3, mask="previous", vacuous="max-entropy"), "never a choice among minimisers"),
        (CATEGORICAL, tce.TCE(0.9, scale="relative"), "most probable class would always be masked"),
        (CATEGORICAL, tce.TCE(0.9, mask="previous", vacuous="warm"), "the previous model is kept"),
        (CATEGORICAL, OtherLoss(), "no exact fit for OtherLoss"),
    ],
)
def test_combinations_that_are_refused(model, loss, complaint):
    data = POINTS if isinstance(model, tce.Gaussian) else [0, 1, 1]
    with pytest.raises(tce.UnsupportedCombinationError, match=complaint):
        tce.fit(model, data, loss)


@pytest.mark.parametrize(
    ("model", "data", "loss"),
    [
        (GAUSSIAN, [0.1, 0.1, 0.1], tce.CrossEntropy()),
        (tce.Gaussian(0.1, fit_mean=False), [0.1], tce.CrossEntropy()),
        (tce.Gaussian(ddof=1), [0.1, 0.1], tce.CrossEntropy()),
        (GAUSSIAN, [0.1, 0.1], tce.TCE(0.9, scale="relative")),
        (tce.Gaussian(0.0, 0.1), [0.0, 3.0, 3.0], tce.TCE(0.9, mask="previous")),
    ],
)
def test_likelihoods_without_a_maximum(model, data, loss):
    with pytest.raises(tce.DegenerateFitError, match="identical"):
        tce.fit(model, data, loss)


def test_errors_are_value_errors():
    for error in (tce.DomainError, tce.UnsupportedCombinationError, tce.DegenerateFitError):
        assert issubclass(error, ValueError)


def test_models_are_the_library_s_own():
    assert isinstance(GAUSSIAN, Model)
    assert isinstance(CATEGORICAL, Model)
