"""Gradients of networks, every layer and every loss, in minibatches and over counts.

Three references, none of which shares code with the kernels: the complex step through a NumPy network (exact to
rounding), central differences of the objective of `losses.py`, and mpmath where p tends to 1.
"""

from itertools import pairwise

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.kernels import network as kernel
from tce_theory.neural.network import Architecture
from tce_theory.neural.training import ContextCounts, Training, head_record, kernel_loss, train

STEP = 3e-6


def half(p):
    return 1.0 - 0.5 * p


LOSSES = {
    "CE": tce.CrossEntropy(),
    "TCE": tce.TCE(0.2),
    "TCE, all unmasked": tce.TCE(1.0),
    "focal": tce.FocalLoss(2.0),
    "focal, exponent below 1": tce.FocalLoss(0.5),
    "focal, detached": tce.FocalLoss(1.5, detach=True),
    "smooth": tce.SmoothTruncatedCrossEntropy(0.2, 0.3),
}
NETWORKS = {
    "two layers": Architecture(9, 3, 2, (5, 4)),
    "one layer": Architecture(5, 2, 3, (8,)),
    "no layer": Architecture(6, 2, 4, ()),
    "tabular": Architecture(4, 2, None, ()),
    "tabular, no context": Architecture(9, 0, None, ()),
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
EVERY_NETWORK = pytest.mark.parametrize("network", NETWORKS.values(), ids=NETWORKS)


def layers(network):
    """Slices of theta: embeddings, and matrix and bias of each layer."""
    if network.is_tabular:
        return {"table": slice(0, network.n_parameters)}
    parts, here = (
        {"embeddings": slice(0, network.vocabulary * network.embedding)},
        network.vocabulary * network.embedding,
    )
    for number, (n_in, n_out) in enumerate(pairwise(network.sizes)):
        parts[f"matrix {number}"] = slice(here, here + n_in * n_out)
        here += n_in * n_out
        parts[f"bias {number}"] = slice(here, here + n_out)
        here += n_out
    assert here == network.n_parameters
    return parts


def logits(network, theta, contexts):
    """The network in NumPy, for real or complex parameters."""
    v = network.vocabulary
    if network.is_tabular:
        return theta.reshape(-1, v)[(contexts * v ** np.arange(network.context - 1, -1, -1)).sum(axis=1)]
    parts = layers(network)
    out = theta[parts["embeddings"]].reshape(v, -1)[contexts].reshape(len(contexts), -1)
    for number, (n_in, n_out) in enumerate(pairwise(network.sizes)):
        out = out @ theta[parts[f"matrix {number}"]].reshape(n_in, n_out) + theta[parts[f"bias {number}"]]
        out = np.tanh(out) if number < network.sizes.size - 2 else out
    return out


def target_log_probs(network, theta, windows):
    z = logits(network, theta, windows[:, :-1])
    z = z - z.real.max(axis=1, keepdims=True)
    return z[np.arange(len(z)), windows[:, -1]] - np.log(np.exp(z).sum(axis=1))


def complex_step(network, theta, windows, loss):
    """Gradient of the summed loss: its mask, or detached weight, is a constant; the focal factor is differentiated."""
    fixed = loss.weight(np.exp(target_log_probs(network, theta, windows)))
    through = isinstance(loss, tce.FocalLoss) and not loss.detach
    gradient = np.empty(theta.size)
    for i in range(theta.size):
        moved = theta.astype(complex)
        moved[i] += 1e-30j
        log_p = target_log_probs(network, moved, windows)
        weight = (1 - np.exp(log_p)) ** loss.exponent if through else fixed
        gradient[i] = -(weight * log_p).sum().imag / 1e-30
    return gradient


def central_differences(network, theta, windows, loss):
    def objective(at):
        return float(np.sum(loss.objective(np.exp(target_log_probs(network, at, windows)))))

    moves = STEP * np.eye(theta.size)
    return np.array([(objective(theta + move) - objective(theta - move)) / (2 * STEP) for move in moves])


def problem(network, seed=1, n=60):
    rng = np.random.default_rng(seed)
    theta = network.initial(rng) + 0.5 * rng.standard_normal(network.n_parameters)
    return theta, rng.integers(0, network.vocabulary, (n, network.context + 1))


def by_counts(network, theta, data, loss, by_table=True):
    """The gradient of the full batch, summed over the data."""
    data = data if isinstance(data, ContextCounts) else ContextCounts.from_windows(data, network.vocabulary)
    rule, gamma, parameter, weight = kernel_loss(loss)
    function = kernel.counts_gradient if weight is None else kernel.counts_gradient_weighted
    gradient, sums = np.full(theta.size, np.nan), np.empty(kernel.N_SUMS)
    function(
        theta, network.embedding or 0, network.sizes, by_table or network.is_tabular, network._tokens(data.contexts),
        data.counts, rule, gamma, parameter, weight, gradient, sums,
    )  # fmt: skip
    return gradient


def by_minibatch(network, theta, windows, loss, by_table=True, reduction="mean"):
    """The mean gradient of one batch, which is the velocity after one step of gradient descent."""
    rule, gamma, parameter, weight = kernel_loss(loss)
    velocity, n = np.zeros(theta.size), len(windows)
    function = kernel.train_epoch if weight is None else kernel.train_epoch_weighted
    function(
        theta.copy(), network.embedding or 0, network.sizes, by_table or network.is_tabular,
        network._tokens(windows[:, :-1]), np.ascontiguousarray(windows[:, -1]), np.zeros(0), np.arange(n), n, rule,
        gamma, parameter, weight, reduction == "mean-unmasked", kernel.SGD, 1.0, 0.0, 1.0, 0, 1, velocity,
        np.zeros(theta.size), kernel.ALONE, np.zeros(1), np.zeros(0),
    )  # fmt: skip
    return velocity


def assert_same(network, gradient, reference, tolerance):
    """Layer by layer, relative to the largest component of the layer."""
    for name, part in layers(network).items():
        error = np.abs(gradient[part] - reference[part]).max() / max(np.abs(reference[part]).max(), 1e-3)
        assert error < tolerance, f"{name}: {error:.2e}"


@EVERY_LOSS
@EVERY_NETWORK
def test_gradients_are_those_of_the_complex_step_and_of_central_differences(network, loss):
    theta, windows = problem(network)
    exact = complex_step(network, theta, windows, loss)
    differences = central_differences(network, theta, windows, loss)
    for by_table in (True, False):
        full = by_counts(network, theta, windows, loss, by_table)
        batch = by_minibatch(network, theta, windows, loss, by_table) * len(windows)
        for gradient in (full, batch):
            assert_same(network, gradient, exact, 1e-11)
            assert_same(network, gradient, differences, 1e-7)


@pytest.mark.slow
@EVERY_NETWORK
def test_gradients_of_a_weight_given_as_a_function(network):
    loss = tce.WeightedCrossEntropy(half)
    theta, windows = problem(network)
    exact = complex_step(network, theta, windows, loss)
    for by_table in (True, False):
        assert_same(network, by_counts(network, theta, windows, loss, by_table), exact, 1e-11)
        assert_same(network, by_minibatch(network, theta, windows, loss, by_table) * len(windows), exact, 1e-11)


@pytest.mark.parametrize("name", layers(NETWORKS["two layers"]))
def test_a_wrong_factor_in_any_layer_would_be_caught(name):
    network = NETWORKS["two layers"]
    theta, windows = problem(network)
    gradient = by_counts(network, theta, windows, LOSSES["TCE"])
    gradient[layers(network)[name]] *= 1 + 1e-6
    with pytest.raises(AssertionError, match=name):
        assert_same(network, gradient, central_differences(network, theta, windows, LOSSES["TCE"]), 1e-7)


def test_the_gradient_of_another_loss_would_be_caught():
    network = NETWORKS["one layer"]
    theta, windows = problem(network)
    gradient = by_counts(network, theta, windows, tce.FocalLoss(2.0, detach=True))
    with pytest.raises(AssertionError):
        assert_same(network, gradient, central_differences(network, theta, windows, tce.FocalLoss(2.0)), 1e-7)


def test_fractional_counts_weigh_as_whole_ones_do():
    network = NETWORKS["one layer"]
    theta, windows = problem(network)
    data = ContextCounts.from_windows(windows, network.vocabulary)
    scaled = ContextCounts(data.contexts, data.counts / 7)
    np.testing.assert_allclose(
        7 * by_counts(network, theta, scaled, LOSSES["TCE"]), by_counts(network, theta, data, LOSSES["TCE"]), rtol=1e-12
    )


def test_many_contexts_in_pieces_give_the_gradient_of_all():
    network = Architecture(24, 2, 3, (8,))
    theta, windows = problem(network, n=2000)  # 576 contexts, in three pieces
    exact = by_minibatch(network, theta, windows, LOSSES["TCE"], by_table=False) * len(windows)
    for by_table in (True, False):
        gradient = by_counts(network, theta, windows, LOSSES["TCE"], by_table)
        np.testing.assert_allclose(gradient, exact, rtol=1e-9, atol=1e-11)


class TestBoundary:
    """At p = gamma exactly: equal logits of 2 or 4 tokens have probabilities that are exact in binary."""

    @pytest.mark.parametrize("size", [2, 4])
    def test_the_boundary_is_unmasked_and_just_above_it_is_masked(self, size):
        network = Architecture(size, 0, None)
        theta, windows = np.zeros(size), np.array([[1]])
        gamma = 1 / size
        expected = np.full(size, gamma) - (np.arange(size) == 1)
        for gradient in (by_counts, by_minibatch):
            assert gradient(network, theta, windows, tce.TCE(gamma)).tolist() == expected.tolist()
            assert not gradient(network, theta, windows, tce.TCE(np.nextafter(gamma, 0))).any()

    @pytest.mark.parametrize("engine", ["counts", "minibatch", "exact"])
    @pytest.mark.parametrize("size", [2, 3, 8, 64])
    def test_the_boundary_of_the_model_before_is_unmasked_too(self, size, engine):
        """Uniform over 8 tokens, say: the logarithm of 1/8 is rounded, and a power of it is more than 1/8."""
        network, theta, windows = Architecture(size, 0, None), np.zeros(size), np.array([[1]] * 3)
        gamma = 1 / size
        assert network.probs(theta, windows[:, :0]).tolist() == [[gamma] * size] * 3
        assert network.table(theta).tolist() == [[gamma] * size]
        optimiser = {} if engine == "exact" else {"optimiser": "sgd", "rate": 1.0, "epochs": 1}
        for threshold in (gamma, np.nextafter(gamma, 0)):
            loss, settings = tce.TCE(threshold, mask="previous"), Training(engine=engine, **optimiser)
            after = train(network, theta, windows, loss, settings, np.random.default_rng(1)).theta
            assert np.array_equal(network.table(after), network.table(theta)) == (threshold < gamma)

    def test_the_boundary_has_the_derivative_from_below(self):
        # the objective max(−log p, −log gamma) has a kink there: below gamma it falls, above it is flat
        network, windows, loss = Architecture(2, 0, None), np.array([[1]]), tce.TCE(0.5)
        gradient = by_counts(network, np.zeros(2), windows, loss)
        for i, sign in ((0, 1), (1, -1)):  # both lower p
            move = np.zeros(2)
            move[i] = sign * STEP
            rise = loss.objective(np.exp(target_log_probs(network, move, windows)))[0] - loss.floor
            # one-sided, so the error is of first order: half the second derivative, 1/4, times the step
            assert rise / (sign * STEP) == pytest.approx(gradient[i], abs=STEP)
        flat = loss.objective(np.exp(target_log_probs(network, np.array([0.0, STEP]), windows)))[0]
        assert flat == loss.floor

    @pytest.mark.parametrize("network", [NETWORKS["one layer"], NETWORKS["two layers"]])
    def test_every_layer_at_the_boundary(self, network):
        theta, windows = problem(network, n=1)
        head = network.head(theta)
        head[:] = 0.0  # uniform, whatever the body: and then a head that keeps the logits of this one context equal
        features = network.features(theta, windows[:, :-1])[0]
        matrix = np.random.default_rng(3).standard_normal((features.size, 1)) * np.ones(network.vocabulary)
        head[: matrix.size] = matrix.ravel()
        p = float(np.exp(network.target_log_probs(theta, windows))[0])
        assert p == pytest.approx(1 / network.vocabulary, rel=1e-14)
        cross_entropy = complex_step(network, theta, windows, tce.CrossEntropy())
        above, below = tce.TCE(p * (1 + 1e-12)), tce.TCE(p * (1 - 1e-12))
        assert_same(network, by_counts(network, theta, windows, above), cross_entropy, 1e-11)
        assert not by_counts(network, theta, windows, below).any()


@pytest.mark.parametrize("distance", [1.0, 20.0, 40.0, 300.0, 700.0])
@pytest.mark.parametrize("label", [0, 1])
def test_the_label_component_keeps_its_digits_as_p_tends_to_one_and_to_zero(distance, label):
    network, theta = Architecture(3, 0, None), np.array([distance, 0.0, 0.5])
    windows = np.array([[label]])
    with mpmath.workdps(400):
        terms = [mpmath.exp(mpmath.mpf(value)) for value in theta]
        q = [term / mpmath.fsum(terms) for term in terms]
        exact = [float(value - (i == label)) for i, value in enumerate(q)]
    for gradient in (by_counts, by_minibatch):
        ours = gradient(network, theta, windows, tce.CrossEntropy())
        np.testing.assert_allclose(ours, exact, rtol=1e-14)


@EVERY_LOSS
@EVERY_NETWORK
def test_head_identity_and_certificate_hold_at_any_parameters(network, loss):
    for seed, size in ((1, 0.3), (2, 3.0)):
        rng = np.random.default_rng(seed)
        theta = size * rng.standard_normal(network.n_parameters)
        windows = rng.integers(0, network.vocabulary, (80, network.context + 1))
        record = head_record(network, theta, windows, loss)
        log_p = target_log_probs(network, theta, windows)
        weights = loss.weight(np.exp(log_p))
        rows = np.exp(network.log_probs(theta, windows[:, :-1]))
        entropies = -(rows * np.log(rows)).sum(axis=1)
        # 1 − p, of which the reference takes its weights, has few digits where p is nearly 1
        assert record.unmasked_share == pytest.approx(weights.mean(), rel=1e-8)
        assert record.unmasked_cross_entropy == pytest.approx(-(weights @ log_p) / weights.sum(), rel=1e-8)
        assert record.unmasked_entropy == pytest.approx(weights @ entropies / weights.sum(), rel=1e-8)
        gap = record.unmasked_cross_entropy - record.unmasked_entropy
        assert record.product == pytest.approx(gap, rel=1e-10, abs=1e-12)
        assert abs(gap) <= record.certificate * (1 + 1e-12)


def test_head_identity_fails_without_the_bias():
    network = NETWORKS["one layer"]
    theta, windows = problem(network)
    network.head(theta)[-network.vocabulary :] += np.arange(network.vocabulary)
    record = head_record(network, theta, windows, tce.CrossEntropy())
    gradient = by_counts(network, theta, windows, tce.CrossEntropy()) / len(windows)
    matrix = slice(0, network.head(theta).size - network.vocabulary)
    without = network.head(theta)[matrix] @ network.head(gradient)[matrix]
    assert abs(without - (record.unmasked_cross_entropy - record.unmasked_entropy)) > 0.1


@pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
def test_reductions_divide_by_all_targets_or_by_their_weight(reduction):
    network = NETWORKS["one layer"]
    theta, windows = problem(network)
    for loss in (tce.TCE(0.2), tce.FocalLoss(2.0)):
        exact = complex_step(network, theta, windows, loss)
        weight = loss.weight(np.exp(target_log_probs(network, theta, windows))).sum()
        exact /= len(windows) if reduction == "mean" else weight
        assert_same(network, by_minibatch(network, theta, windows, loss, reduction=reduction), exact, 1e-11)
        settings = Training(optimiser="sgd", rate=1.0, epochs=1, engine="counts", reduction=reduction)
        after = train(network, theta, windows, loss, settings, np.random.default_rng(1)).theta
        assert_same(network, theta - after, exact, 1e-11)


@pytest.mark.parametrize("engine", ["counts", "minibatch"])
def test_the_previous_mask_is_that_of_the_model_before(engine):
    network = NETWORKS["one layer"]
    theta, windows = problem(network)
    before = problem(network, seed=2)[0]
    loss = tce.TCE(0.2, mask="previous")
    weights = tce.TCE(0.2).weight(np.exp(target_log_probs(network, before, windows)))
    exact = complex_step(network, theta, windows[weights > 0], tce.CrossEntropy()) / len(windows)
    settings = Training(optimiser="sgd", rate=1.0, epochs=1, engine=engine, batch=len(windows))
    after = train(network, theta, windows, loss, settings, np.random.default_rng(1), before).theta
    assert 0 < weights.mean() < 1
    assert_same(network, theta - after, exact, 1e-11)
