"""Derivatives of the losses against their objectives, the latter written anew in many digits."""

from __future__ import annotations

import math

import mpmath as mp
import numpy as np
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tce_theory.losses import (
    TCE,
    CrossEntropy,
    FocalLoss,
    Loss,
    SmoothTruncatedCrossEntropy,
    WeightedCrossEntropy,
)

DIGITS = 50
reproducible = settings(
    max_examples=60,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)

gammas = st.floats(0.05, 0.99)
exponents = st.floats(0.0, 12.0)
exact_losses = st.one_of(
    st.just(CrossEntropy()),
    st.builds(TCE, gammas),
    st.builds(FocalLoss, exponents, st.booleans()),
    st.builds(SmoothTruncatedCrossEntropy, gammas, st.floats(0.02, 2.0)),
)
# decreasing weights: convex in the logits
convex_losses = st.one_of(
    st.just(CrossEntropy()),
    st.builds(TCE, gammas),
    st.builds(FocalLoss, exponents, st.just(True)),
    st.builds(SmoothTruncatedCrossEntropy, gammas, st.floats(0.02, 2.0)),
)
any_weight = st.floats(0.2, 3.0).map(lambda a: WeightedCrossEntropy(lambda p: 1.0 + math.cos(a * p)))


@st.composite
def examples(draw, smallest=2, largest=4, scale=8.0):
    """Logits, a target (label or distribution) and the latter as a distribution."""
    k = draw(st.integers(smallest, largest))
    logits = np.array(draw(st.lists(st.floats(-scale, scale), min_size=k, max_size=k)))
    if draw(st.booleans()):
        label = draw(st.integers(0, k - 1))
        return logits, label, np.eye(k)[label]
    masses = np.array(draw(st.lists(st.floats(0.01, 1.0), min_size=k, max_size=k)))
    distribution = masses / masses.sum()
    return logits, distribution, distribution


def objective_in_digits(loss: Loss, p: mp.mpf) -> mp.mpf:
    """The table of objectives, from their definitions."""
    if isinstance(loss, CrossEntropy):
        return -mp.log(p)
    if isinstance(loss, TCE):
        return max(-mp.log(p), -mp.log(mp.mpf(loss.gamma)))
    if isinstance(loss, FocalLoss) and not loss.detach:
        return (1 - p) ** mp.mpf(loss.exponent) * -mp.log(p)
    if isinstance(loss, FocalLoss):
        k = mp.mpf(loss.exponent)
        return (1 - p) ** (k + 1) / (k + 1) * mp.hyp2f1(1, k + 1, k + 2, 1 - p)
    assert isinstance(loss, SmoothTruncatedCrossEntropy)
    gamma, width = mp.mpf(loss.gamma), mp.mpf(loss.width)
    return width * (mp.log1p((gamma / p) ** (1 / width)) - mp.log1p(gamma ** (1 / width)))


def expected_objective(loss: Loss, logits: list[mp.mpf], distribution: np.ndarray) -> mp.mpf:
    odds = [mp.exp(z) for z in logits]
    total = mp.fsum(odds)
    return mp.fsum(
        mp.mpf(float(f)) * objective_in_digits(loss, odd / total)
        for f, odd in zip(distribution, odds, strict=True)
        if f > 0
    )


def shifted(logits: np.ndarray, **steps: mp.mpf) -> list[mp.mpf]:
    digits = [mp.mpf(float(z)) for z in logits]
    for index, step in steps.items():
        digits[int(index[1:])] += step
    return digits


def gradient_in_digits(loss: Loss, logits: np.ndarray, distribution: np.ndarray) -> np.ndarray:
    """Central differences with a step of 1e-12 in 50 digits: exact to 20 digits or so."""
    h = mp.mpf(10) ** -12
    return np.array(
        [
            float(
                (
                    expected_objective(loss, shifted(logits, **{f"z{j}": h}), distribution)
                    - expected_objective(loss, shifted(logits, **{f"z{j}": -h}), distribution)
                )
                / (2 * h)
            )
            for j in range(logits.size)
        ]
    )


def softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max())
    return odds / odds.sum()


def off_the_kink(loss: Loss, logits: np.ndarray) -> bool:
    return not isinstance(loss, TCE) or bool((np.abs(np.log(softmax(logits) / loss.gamma)) > 1e-6).all())


@reproducible
@given(exact_losses, examples())
def test_gradient_is_that_of_the_objective(loss, example):
    logits, target, distribution = example
    assume(off_the_kink(loss, logits))
    with mp.workdps(DIGITS):
        expected = gradient_in_digits(loss, logits, distribution)
    got = loss.gradient(logits, target)
    if np.ndim(target) == 0:
        # nothing cancels for a label: every component has a relative precision of its own
        np.testing.assert_allclose(got, expected, rtol=1e-11, atol=1e-290)
    else:
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-13)


@reproducible
@given(exact_losses, examples(scale=5.0))
def test_gradient_agrees_with_differences_of_the_public_objective(loss, example):
    logits, target, distribution = example
    h = 1e-5
    assume(not isinstance(loss, TCE) or (np.abs(np.log(softmax(logits) / loss.gamma)) > 1e-4).all())
    # third derivatives of the logistic grow as width^-2, of a focal loss as its exponent squared
    steepness = max(1.0, 1 / getattr(loss, "width", 1.0), getattr(loss, "exponent", 1.0)) ** 2

    def objective(z):
        return float((distribution * loss.objective(softmax(z))).sum())

    differences = [(objective(logits + h * e) - objective(logits - h * e)) / (2 * h) for e in np.eye(logits.size)]
    np.testing.assert_allclose(loss.gradient(logits, target), differences, atol=2e-9 + steepness * h**2)


@settings(reproducible, max_examples=30)
@given(exact_losses, examples(largest=3))
def test_hessian_is_that_of_the_objective(loss, example):
    logits, target, distribution = example
    assume(off_the_kink(loss, logits))
    h = mp.mpf(10) ** -10
    k = logits.size
    with mp.workdps(DIGITS):

        def at(i, a, j, b):
            z = shifted(logits)
            z[i] += a * h
            z[j] += b * h
            return expected_objective(loss, z, distribution)

        def second_difference(i, j):
            return float((at(i, 1, j, 1) - at(i, 1, j, -1) - at(i, -1, j, 1) + at(i, -1, j, -1)) / (4 * h * h))

        expected = np.array([[second_difference(i, j) for j in range(k)] for i in range(k)])
    np.testing.assert_allclose(loss.hessian(logits, target), expected, rtol=1e-11, atol=3e-13)


@settings(reproducible, max_examples=30)
@given(st.one_of(exact_losses, any_weight), examples(scale=5.0))
def test_hessian_agrees_with_differences_of_the_gradient(loss, example):
    logits, target, _ = example
    assume(not isinstance(loss, TCE) or (np.abs(np.log(softmax(logits) / loss.gamma)) > 1e-3).all())
    h = 1e-5
    steepness = max(1.0, 1 / getattr(loss, "width", 1.0), getattr(loss, "exponent", 1.0)) ** 3
    differences = [
        (loss.gradient(logits + h * e, target) - loss.gradient(logits - h * e, target)) / (2 * h)
        for e in np.eye(logits.size)
    ]
    np.testing.assert_allclose(loss.hessian(logits, target), differences, atol=1e-10 + steepness * h**2)


@reproducible
@given(st.one_of(exact_losses, any_weight), examples(smallest=1, largest=6, scale=700.0))
def test_gradients_sum_to_zero_and_hessians_are_symmetric(loss, example):
    logits, target, _ = example
    gradient, hessian = loss.gradient(logits, target), loss.hessian(logits, target)
    assert abs(gradient.sum()) <= 1e-15 * max(1.0, np.abs(gradient).max()) * logits.size
    np.testing.assert_array_equal(hessian, hessian.T)
    np.testing.assert_allclose(hessian.sum(axis=0), 0, atol=1e-14 * max(1.0, np.abs(hessian).max()))


@reproducible
@given(convex_losses, examples(largest=6, scale=50.0))
def test_decreasing_weights_are_convex_in_the_logits(loss, example):
    logits, target, _ = example
    hessian = loss.hessian(logits, target)
    eigenvalues = np.linalg.eigvalsh(hessian)
    assert eigenvalues[0] >= -1e-14 * max(eigenvalues[-1], 1e-300)


@reproducible
@given(
    st.one_of(
        st.builds(FocalLoss, exponents, st.booleans()),
        st.builds(SmoothTruncatedCrossEntropy, gammas, st.floats(0.1, 2.0)),
        any_weight,
    ),
    examples(scale=4.0),
)
def test_stationary_points_of_positive_weights(loss, example):
    # focal-gradient: the gradient vanishes exactly where f_j is proportional to q_j/w(q_j)
    logits, _, _ = example
    q = softmax(logits)
    weights = loss.weight(q)
    assume((weights > 1e-6).all())
    f = q / weights / (q / weights).sum()
    total = (f * weights).sum()
    np.testing.assert_allclose(loss.gradient(logits, f), 0, atol=1e-13 * total)
    np.testing.assert_allclose(loss.gradient(logits, f, reduction="mean-unmasked"), 0, atol=1e-13)


@reproducible
@given(exact_losses, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=8))
def test_elementwise(loss, p):
    for function in (loss.weight, loss.value, loss.objective):
        together = function(p)
        # NumPy's vector and scalar code differ in the last digits of log and pow
        np.testing.assert_allclose(together, [function(u) for u in p], rtol=1e-14)
        assert not np.isnan(together).any()
    assert (loss.weight(p) >= 0).all()
    assert (loss.objective(p) >= 0).all()


@reproducible
@given(st.floats(0.0, 300.0), st.floats(1e-300, 1.0), st.booleans())
def test_detached_focal_objective_to_twelve_digits(exponent, p, logarithmic):
    p = 10.0 ** (-300 * p) if logarithmic else p
    assume(0 < p < 1)
    with mp.workdps(DIGITS):
        k, c = mp.mpf(exponent), 1 - mp.mpf(p)
        expected = c ** (k + 1) / ((k + 1) * mp.mpf(p)) * mp.hyp2f1(1, 1, k + 2, -c / mp.mpf(p))
        assume(expected > 1e-290)
        assert abs(FocalLoss(exponent, detach=True).objective(p) / expected - 1) < 1e-12


@reproducible
@given(gammas, st.floats(1e-3, 1e3), st.floats(1e-300, 1.0))
def test_smooth_objective_in_many_digits(gamma, width, p):
    with mp.workdps(450):
        expected = objective_in_digits(SmoothTruncatedCrossEntropy(gamma, width), mp.mpf(p))
        assume(expected > 1e-290)
        # log(p/gamma)/width is known to 1e-16/width only
        tolerance = 1e-12 * max(1, 1 / width)
        assert abs(SmoothTruncatedCrossEntropy(gamma, width).objective(p) / expected - 1) < tolerance
