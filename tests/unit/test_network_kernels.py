"""Kernels of networks: exponentials, softmax, perceptron, optimisers and weights against mpmath and plain NumPy.

This file is also a script, which a process with NUMBA_DISABLE_JIT=1 runs, to compare the kernels with plain Python.
"""

import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.kernels import categorical
from tce_theory.kernels import network as kernel
from tce_theory.neural.network import Architecture
from tce_theory.neural.training import Training, head_record, train

EPS = np.finfo(float).eps


def log_softmax(rows):
    out = np.array(rows, float, ndmin=2)
    kernel.log_softmax(out)
    return out


def tanh(points):
    """The kernel's tanh, through a perceptron whose matrices are 1."""
    x = np.ascontiguousarray(np.reshape(points, (-1, 1)), dtype=float)
    sizes, activations = np.array([1, 1, 1]), np.empty(2 * x.size)
    kernel.forward(np.array([1.0, 0.0, 1.0, 0.0]), sizes, x, activations)
    return activations[: x.size]


def test_tanh_is_right_to_rounding_from_tiny_to_large_arguments():
    rng = np.random.default_rng(1)
    x = np.concatenate([np.logspace(-300, 2.5, 120), rng.uniform(0.1, 25.0, 120), [0.0]])
    x = np.concatenate([x, -x])
    exact = np.array([float(mpmath.tanh(value)) for value in x])
    np.testing.assert_allclose(tanh(x), exact, rtol=8 * EPS, atol=0)
    assert tanh([1000.0, -np.inf]).tolist() == [1.0, -1.0]


@pytest.mark.parametrize("size", [1, 2, 7, 8, 9, 65])
def test_log_softmax_is_right_to_rounding(size):
    rows = np.random.default_rng(size).normal(size=(4, size)) * [[0.1], [1.0], [30.0], [300.0]]
    with mpmath.workdps(40):
        for row, ours in zip(rows, log_softmax(rows), strict=True):
            total = mpmath.log(mpmath.fsum(mpmath.exp(mpmath.mpf(value)) for value in row))
            exact = [float(mpmath.mpf(value) - total) for value in row]
            # the logits round to this
            np.testing.assert_allclose(ours, exact, rtol=8 * EPS, atol=4 * EPS * abs(row).max())


@pytest.mark.parametrize("size", [1, 7, 8, 65])
def test_softmax_is_right_to_rounding(size):
    rows = np.random.default_rng(size).normal(size=(4, size)) * [[0.1], [1.0], [30.0], [200.0]]
    ours = rows.copy()
    kernel.softmax(ours)
    with mpmath.workdps(40):
        for row, found in zip(rows, ours, strict=True):
            terms = [mpmath.exp(mpmath.mpf(value)) for value in row]
            exact = [float(term / mpmath.fsum(terms)) for term in terms]
            # a logit's difference to the largest is rounded, and with it the exponent
            # numbers below the normal ones are taken as 0
            np.testing.assert_allclose(found, exact, rtol=(8 + 2 * abs(row).max()) * EPS, atol=3e-308)
    lost = np.array([[0.0, -np.inf, 0.0, np.log(2.0)], [np.nan, 0.0, 0.0, 0.0]])
    kernel.softmax(lost)
    assert lost[0] == pytest.approx([0.25, 0.0, 0.25, 0.5], rel=4 * EPS)
    assert np.isnan(lost[1]).all()


def test_log_softmax_keeps_its_digits_as_p_tends_to_one_and_to_zero():
    ours = log_softmax([[40.0, 0.0, -800.0]])[0]
    with mpmath.workdps(40):
        exact = -mpmath.log1p(mpmath.exp(-40) + mpmath.exp(-840))
        assert ours[0] == pytest.approx(float(exact), rel=4 * EPS)
    np.testing.assert_allclose(ours[1:], [-40.0, -840.0], rtol=EPS)


def test_log_softmax_of_lost_tokens_and_of_logits_of_any_size():
    assert log_softmax([[0.0, -np.inf, 0.0]])[0] == pytest.approx([-math.log(2), -np.inf, -math.log(2)])
    assert log_softmax([[1e308, -1e308]])[0].tolist() == [0.0, -np.inf]
    assert np.isnan(log_softmax([[np.nan, 0.0, 1.0]])).any()
    assert np.isnan(log_softmax([[0.0, 1.0, np.nan]])).any()


def plain_perceptron(theta, sizes, x):
    """All activations, the input first."""
    layers, here = [x], 0
    for number, (n_in, n_out) in enumerate(pairwise(sizes)):
        z = layers[-1] @ theta[here : here + n_in * n_out].reshape(n_in, n_out)
        here += n_in * n_out
        z = z + theta[here : here + n_out]
        here += n_out
        layers.append(np.tanh(z) if number < len(sizes) - 2 else z)
    return layers


def perceptron(sizes, batch, seed=1):
    rng = np.random.default_rng(seed)
    n_parameters = sum((n_in + 1) * n_out for n_in, n_out in pairwise(sizes))
    return rng.normal(size=n_parameters), np.array(sizes), rng.normal(size=(batch, sizes[0]))


SHAPES = pytest.mark.parametrize(("sizes", "batch"), [([3, 4], 5), ([3, 9, 2], 1), ([2, 17, 3, 8, 5], 6)])


@SHAPES
def test_forward_is_the_perceptron(sizes, batch):
    theta, widths, x = perceptron(sizes, batch)
    activations = np.empty(batch * sum(sizes[1:]))
    kernel.forward(theta, widths, x, activations)
    expected = np.concatenate([layer.ravel() for layer in plain_perceptron(theta, sizes, x)[1:]])
    np.testing.assert_allclose(activations, expected, rtol=1e-13, atol=1e-14)


def complex_step(function, at, step=1e-30):
    """Gradient of a function that is analytic in each coordinate, exact to rounding (Squire and Trapp 1998)."""
    gradient = np.empty(at.size)
    for i in range(at.size):
        moved = at.astype(complex)
        moved[i] += 1j * step
        gradient[i] = function(moved).imag / step
    return gradient


@SHAPES
def test_backward_is_the_complex_step_gradient_in_parameters_and_input(sizes, batch):
    theta, widths, x = perceptron(sizes, batch)
    pull = np.random.default_rng(2).normal(size=(batch, sizes[-1]))
    activations, deltas = np.empty(batch * sum(sizes[1:])), np.full(batch * sum(sizes[1:]), np.nan)
    deltas[-pull.size :] = pull.ravel()
    gradient, input_gradient = np.full(theta.size, np.nan), np.full(x.shape, np.nan)
    kernel.forward(theta, widths, x, activations)
    kernel.backward(theta, widths, x, activations, deltas, gradient, input_gradient)
    in_theta = complex_step(lambda t: (plain_perceptron(t, sizes, x)[-1] * pull).sum(), theta)
    in_x = complex_step(lambda v: (plain_perceptron(theta, sizes, v.reshape(x.shape))[-1] * pull).sum(), x.ravel())
    np.testing.assert_allclose(gradient, in_theta, rtol=1e-11, atol=1e-12)
    np.testing.assert_allclose(input_gradient.ravel(), in_x, rtol=1e-11, atol=1e-12)


def test_adam_is_that_of_kingma_and_ba():
    rng = np.random.default_rng(1)
    theta, first, second = rng.normal(size=11), np.zeros(11), np.zeros(11)
    expected, m, v = theta.copy(), np.zeros(11), np.zeros(11)
    for step in range(1, 6):
        gradient = rng.normal(size=11) * 10.0 ** rng.integers(-9, 3, 11)
        kernel.adam_step(theta, gradient, first, second, step, 0.01)
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        expected = expected - 0.01 * (m / (1 - 0.9**step)) / (np.sqrt(v / (1 - 0.999**step)) + 1e-8)
    np.testing.assert_allclose(theta, expected, rtol=1e-12)


def test_momentum_is_that_of_polyak():
    rng = np.random.default_rng(1)
    theta, velocity = rng.normal(size=5), np.zeros(5)
    expected, plain = theta.copy(), np.zeros(5)
    for _ in range(4):
        gradient = rng.normal(size=5)
        kernel.momentum_step(theta, gradient, velocity, 0.1, 0.9)
        plain = 0.9 * plain + gradient
        expected = expected - 0.1 * plain
    np.testing.assert_allclose(theta, expected, rtol=1e-14)


WEIGHTS = {
    "CE": (tce.CrossEntropy(), kernel.CE, 1.0, 0.0),
    "TCE": (tce.TCE(0.3), kernel.CAP, 0.3, 0.0),
    "focal": (tce.FocalLoss(2.5), kernel.FOCAL, 1.0, 2.5),
    "focal, exponent 0": (tce.FocalLoss(0.0), kernel.FOCAL, 1.0, 0.0),
    "focal, detached": (tce.FocalLoss(0.5, detach=True), kernel.FOCAL_DETACHED, 1.0, 0.5),
    "smooth": (tce.SmoothTruncatedCrossEntropy(0.3, 0.01), kernel.SMOOTH, 0.3, 0.01),
}


@pytest.mark.parametrize(("loss", "rule", "gamma", "parameter"), WEIGHTS.values(), ids=WEIGHTS)
def test_weights_are_those_of_the_losses(loss, rule, gamma, parameter):
    p = np.concatenate([[0.0, 5e-324, 1e-300, 0.3, np.nextafter(0.3, 1), 1.0], np.linspace(0.001, 0.999, 50)])
    out = np.empty(p.size)
    kernel.weights(rule, gamma, parameter, p, out)
    np.testing.assert_allclose(out, loss.weight(p), rtol=1e-12, atol=1e-300)


def test_rules_are_numbered_as_in_the_exact_fits():
    names = ("CE", "CAP", "PREVIOUS", "FOCAL", "FOCAL_DETACHED", "SMOOTH", "WEIGHTED")
    assert [getattr(kernel, name) for name in names] == [getattr(categorical, name) for name in names]


def trained_networks():
    """Parameters of small networks that every branch of the loops has trained, and a record of each head."""
    losses = (tce.TCE(0.3), tce.TCE(0.3, mask="previous"), tce.FocalLoss(), tce.SmoothTruncatedCrossEntropy(0.3, 0.1))
    out = []
    for network in (Architecture(5, 2, 3, (4,)), Architecture(3, 1, None)):
        data = np.random.default_rng(1).integers(0, network.vocabulary, (30, network.context + 1))
        theta = network.initial(np.random.default_rng(2))
        for loss in losses:
            for settings in ({"engine": "counts"}, {"batch": 4}, {"batch": 16, "reduction": "mean-unmasked"}):
                training = Training(**{"engine": "minibatch", "epochs": 3} | settings)
                out.append(train(network, theta, data, loss, training, np.random.default_rng(3)).theta)
            out.append([head_record(network, theta, data, loss).product])
    return np.concatenate(out)


@pytest.mark.slow
def test_plain_python_trains_the_same_networks(tmp_path):
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(tce.__file__).parents[1])}
    subprocess.run([sys.executable, __file__, tmp_path / "plain.npy"], check=True, env=environment)
    # the compiler fuses some products with sums, which rounds once less
    np.testing.assert_allclose(np.load(tmp_path / "plain.npy"), trained_networks(), rtol=1e-11, atol=1e-13)


if __name__ == "__main__":
    np.save(sys.argv[1], trained_networks())
