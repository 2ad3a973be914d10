"""Closed forms of the losses (tce-gradient … focal-gradient, idempotence): mpmath, brute force, and the losses."""

import math

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.theory import loss

LOG2 = math.log(2)


def softmax(logits):
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return shifted / shifted.sum(axis=-1, keepdims=True)


def entropy_of(q):
    return float(-np.sum(q * np.log(np.where(q > 0, q, 1.0)), axis=-1))


# --- gradients ------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.05, 0.3, 0.6, 1.0])
@pytest.mark.parametrize("scale", [0.3, 3.0, 12.0])
def test_gradient_and_hessian_are_those_of_the_loss(gamma, scale):
    random = np.random.default_rng(1)
    logits, frequencies = scale * random.normal(size=7), random.dirichlet(np.ones(7))
    probs, one = softmax(logits), tce.TCE(gamma)
    np.testing.assert_allclose(
        loss.tce_gradient(probs, frequencies, gamma), one.gradient(logits, frequencies), rtol=1e-12, atol=1e-15
    )
    np.testing.assert_allclose(
        loss.tce_hessian(probs, frequencies, gamma), one.hessian(logits, frequencies), rtol=1e-12, atol=1e-15
    )


def test_gradient_is_the_slope_of_the_hinge_objective():
    random = np.random.default_rng(2)
    labels = random.integers(0, 4, size=60)
    logits, gamma, step = np.array([0.9, 0.1, -0.3, -1.0]), 0.35, 1e-6

    def objective(z):
        return loss.hinge_objective(-np.log(softmax(z))[labels], gamma)

    frequencies = np.bincount(labels, minlength=4) / 60
    slope = [(objective(logits + step * e) - objective(logits - step * e)) / (2 * step) for e in np.eye(4)]
    probs = softmax(logits)
    assert (probs > gamma).any()
    np.testing.assert_allclose(loss.tce_gradient(probs, frequencies, gamma), slope, atol=1e-9)
    # cross entropy has another gradient here: the mask is seen
    assert np.abs(probs - frequencies - slope).max() > 0.01


def test_curvature_is_a_variance():
    random = np.random.default_rng(3)
    probs, direction = random.dirichlet(np.ones(9)), random.normal(size=9)
    hessian = loss.tce_hessian(probs, np.eye(9)[0], 1.0)
    assert direction @ hessian @ direction == pytest.approx(probs @ direction**2 - (probs @ direction) ** 2, rel=1e-13)
    confident = np.array([1 - 1e-9, 1e-9 - 1e-15, 1e-15])
    hessian = loss.tce_hessian(confident, [0, 0, 1], 1.0)
    np.testing.assert_allclose(np.diag(hessian), confident * [1e-9, 1 - confident[1], 1.0], rtol=2e-7)


def test_masked_examples_have_the_small_gradients():
    gamma = np.array([0.2, 0.9, 1.0])
    np.testing.assert_allclose(loss.masked_gradient_bound(gamma), [0.8, 0.1, 0.0], atol=1e-16)
    for prob in (0.85, 0.9, 0.95):
        size = abs(tce.CrossEntropy().gradient(np.log([prob, 1 - prob]), 0)[0])
        assert (size < loss.masked_gradient_bound(0.9) - 1e-12) == (prob > 0.9)


# --- objective and entropy ------------------------------------------------------------


def test_hinge_objective_is_that_of_the_loss():
    probs = np.array([1e-300, 0.1, 0.8, 0.9, 0.95])
    for gamma in (1e-3, 0.8, 0.9, 1.0):
        expected = tce.TCE(gamma).objective(probs, reduction="mean")
        assert loss.hinge_objective(-np.log(probs), gamma) == pytest.approx(expected, rel=1e-14)
    assert loss.hinge_objective(-np.log(probs), np.full((2, 1), 0.5)).shape == (2, 1)
    # densities: thresholds and samples above 1
    assert loss.hinge_objective([-2.0, -1.0], math.e**1.5) == pytest.approx(-1.25, rel=1e-15)


@pytest.mark.parametrize("gamma", [0.2, 0.3, 0.45])
def test_entropy_of_categorical_fits(gamma):
    counts = np.array([50, 26, 13, 7, 3, 1])
    fit = tce.fit(tce.Categorical(np.full(6, 1 / 6)), tce.Counts(counts), tce.TCE(gamma))
    probs = fit.model.probs
    assert gamma < 0.5 == counts[0] / counts.sum()
    weight = 100 - fit.masked_weight
    floor = loss.stationary_entropy(np.repeat(-np.log(probs), counts), gamma, weight)
    assert floor == pytest.approx(entropy_of(probs), rel=1e-12)
    # a total weight that is 1 % off is seen
    wrong = loss.stationary_entropy(np.repeat(-np.log(probs), counts), gamma, 0.99 * weight)
    assert abs(wrong - entropy_of(probs)) > 1e-4


@pytest.mark.parametrize("gamma", [0.7, 0.85, 1.2])
def test_entropy_of_gaussian_fits(gamma):
    data = np.random.default_rng(4).normal(size=40) * 0.3
    fit = tce.fit(tce.Gaussian(fit_mean=False), data, tce.TCE(gamma))
    std = fit.model.std
    losses = 0.5 * (data / std) ** 2 + math.log(std * math.sqrt(2 * math.pi))
    entropy = math.log(std) + 0.5 * math.log(2 * math.pi * math.e)
    assert fit.masked_weight > 0.01
    assert loss.stationary_entropy(losses, gamma, 40 - fit.masked_weight) == pytest.approx(entropy, rel=1e-9)
    assert entropy >= loss.loss_floor(gamma)


def test_entropy_of_fits_grows_with_the_floor():
    counts = np.array([400, 300, 150, 100, 49, 1])
    entropies = []
    for gamma in np.linspace(1.0, 0.18, 42):
        fit = tce.fit(tce.Categorical(np.full(6, 1 / 6)), tce.Counts(counts), tce.TCE(gamma))
        entropies.append(entropy_of(fit.model.probs))
        assert entropies[-1] >= loss.loss_floor(gamma) - 1e-12
    assert entropies[0] == pytest.approx(entropy_of(counts / 1000), rel=1e-12)
    assert np.diff(entropies).min() > -1e-12
    assert entropies[-1] > entropies[0] + 0.3


def test_floor_fails_where_its_hypotheses_do():
    # all samples masked: the fit of cross entropy to ±0.1 is stationary
    std = tce.fit(tce.Gaussian(fit_mean=False), np.array([-0.1, 0.1]), tce.CrossEntropy()).model.std
    assert std == pytest.approx(0.1, rel=1e-12)
    assert tce.TCE(0.85).weight(math.exp(-0.5) / (0.1 * math.sqrt(2 * math.pi))) == 0
    assert math.log(std) + 0.5 * math.log(2 * math.pi * math.e) < loss.loss_floor(0.85) - 1
    # Poisson data {0, 20}: the base measure 1/x! is not constant
    with mpmath.workdps(30):
        terms = [mpmath.exp(-10) * mpmath.mpf(10) ** x / mpmath.factorial(x) for x in range(120)]
        entropy = float(-sum(p * mpmath.log(p) for p in terms))
    assert entropy == pytest.approx(2.56, abs=5e-3)
    losses = [10.0, 10 - 20 * math.log(10) + math.lgamma(21)]
    assert min(losses) > loss.loss_floor(0.01)
    assert loss.stationary_entropy(losses, 0.01, 2) > loss.loss_floor(0.01) > entropy + 2


def test_entropy_rate_along_natural_gradient_flow():
    random = np.random.default_rng(5)
    z, gamma, step = np.append(random.normal(size=5), 0.0), 0.3, 1e-6
    labels = random.integers(0, 6, size=30)

    def losses(z):
        return -np.log(softmax(z))[labels]

    assert (losses(z) < loss.loss_floor(gamma)).any()
    probs = softmax(z)
    # the last logit is 0, which makes the family minimal
    fisher = (np.diag(probs) - np.outer(probs, probs))[:-1, :-1]
    gradient = 30 * loss.tce_gradient(probs, np.bincount(labels, minlength=6) / 30, gamma)[:-1]
    velocity = np.append(-np.linalg.solve(fisher, gradient), 0.0)
    slope = (entropy_of(softmax(z + step * velocity)) - entropy_of(softmax(z - step * velocity))) / (2 * step)
    entropy = entropy_of(probs)
    rate = loss.entropy_rate(losses(z), gamma, entropy)
    assert rate == pytest.approx(slope, rel=1e-6)
    unmasked = int((losses(z) >= loss.loss_floor(gamma)).sum())
    assert rate > loss.entropy_rate_bound(entropy, gamma, unmasked)
    assert loss.entropy_rate_bound([0.1, 0.2], [[0.5], [0.9]], 3).shape == (2, 2)
    assert loss.entropy_rate(losses(z), [0.2, 0.3, 0.4], np.full((2, 1), entropy))[1, 1] == pytest.approx(rate)


def test_entropy_rate_of_a_table():
    random = np.random.default_rng(6)
    step, below = 1e-6, 0
    for _ in range(200):
        z, frequencies, gamma = 2 * random.normal(size=5), random.dirichlet(np.full(5, 0.3)), random.uniform(0.2, 0.9)
        probs = softmax(z)
        if np.abs(np.log(probs / gamma)).min() < 1e-3:
            continue
        velocity = -loss.tce_gradient(probs, frequencies, gamma)
        slope = (entropy_of(softmax(z + step * velocity)) - entropy_of(softmax(z - step * velocity))) / (2 * step)
        rate = loss.tabular_entropy_rate(probs, frequencies, gamma)
        assert rate == pytest.approx(slope, abs=1e-8)
        if entropy_of(probs) <= loss.loss_floor(gamma):
            below += 1
            assert rate >= 0
    assert below > 30
    # above the floor the entropy may fall
    assert loss.tabular_entropy_rate([0.3, 0.3, 0.4], [0, 0, 1], 0.9) < -0.01


# --- the last layer ------------------------------------------------------------


class Head:
    """Targets under a linear layer with random features, all unmasked ones averaged over n or over themselves."""

    def __init__(self, gamma, scale=1.0, seed=7):
        random = np.random.default_rng(seed)
        self.gamma, self.features = gamma, np.append(random.normal(size=(50, 3)), np.ones((50, 1)), axis=1)
        self.labels = random.choice(4, size=50, p=[0.7, 0.1, 0.1, 0.1])
        self.theta = scale * random.normal(size=(4, 4))

    def state(self):
        """Return the share of unmasked targets, Σ CE and Σ H over these divided by n, and the gradient of the mean."""
        probs = softmax(self.features @ self.theta)
        chosen = probs[np.arange(50), self.labels]
        kept = chosen <= self.gamma
        entropies = -np.sum(probs * np.log(probs), axis=1)
        gradient = self.features.T @ (kept[:, None] * (probs - np.eye(4)[self.labels])) / 50
        return kept.mean(), -(kept * np.log(chosen)).sum() / 50, (kept * entropies).sum() / 50, gradient


def test_head_identity_and_certificate():
    for seed in range(5):
        head = Head(0.5, scale=2.0, seed=seed)
        share, losses, entropies, gradient = head.state()
        assert 0 < share < 1
        excess = (losses - entropies) / share
        assert loss.head_excess(head.theta.ravel(), gradient.ravel() / share) == pytest.approx(excess, rel=1e-12)
        norms = np.linalg.norm(head.theta), np.linalg.norm(gradient) / share
        assert abs(excess) < loss.head_certificate(*norms)
        assert entropies / share >= loss.loss_floor(0.5) - loss.head_certificate(*norms)


def test_decay_raises_the_entropy():
    head, decay = Head(0.8, seed=9), 0.002
    decayed = np.array([[1.0], [1.0], [1.0], [0.0]])  # not the biases
    for _ in range(12000):
        share, losses, entropies, gradient = head.state()
        head.theta -= gradient + decay * decayed * head.theta
    assert 0 < share < 1
    norm = np.linalg.norm(decayed * head.theta)
    excess = loss.decay_excess(decay, norm, 50, 50 * share)
    assert (entropies - losses) / share == pytest.approx(excess, rel=1e-6)
    assert excess > 1e-3
    assert entropies / share > loss.loss_floor(0.8) + excess


@pytest.mark.parametrize("steps", [1, 7, 1000])
def test_floor_on_average(steps):
    head, eta = Head(0.4, scale=3.0), 0.5
    initial, records = np.linalg.norm(head.theta), []
    for _ in range(steps):
        share, losses, entropies, gradient = head.state()
        records.append((share, losses - entropies, entropies, (gradient**2).sum()))
        head.theta -= eta * gradient
    shares, excess, entropies, squares = np.array(records).T
    final = np.linalg.norm(head.theta)
    exact = loss.average_entropy_excess(initial, final, eta, steps, squares.mean())
    assert exact == pytest.approx(excess.mean(), abs=1e-12)
    assert abs(exact) > 1e-4
    above = (entropies - shares * loss.loss_floor(0.4)).sum() / shares.sum()
    floor = loss.average_entropy_floor(initial, eta, steps, squares.mean(), shares.mean())
    assert floor == pytest.approx(
        -loss.average_entropy_excess(initial, 0.0, eta, steps, squares.mean()) / shares.mean(), rel=1e-14
    )
    assert above >= floor


def test_excess_over_a_long_time_does_not_cancel():
    close = loss.average_entropy_excess(1e8, 1e8 + 1e-7, 1e-3, 10**12, 0.0)
    with mpmath.workdps(40):
        first, last = mpmath.mpf(1e8), mpmath.mpf(1e8 + 1e-7)
        assert close == pytest.approx(float((first**2 - last**2) / (2 * mpmath.mpf(1e-3) * 10**12)), rel=1e-14)


def test_large_norms_do_not_overflow():
    assert loss.decay_excess(1e-300, 1e200, 10, 5) == pytest.approx(2e100, rel=1e-14)
    assert loss.average_entropy_excess(1e200, 0.0, 1e200, 10, 0.0) == pytest.approx(5e198, rel=1e-14)
    assert loss.average_entropy_floor(1e200, 1e200, 10, 0.0, 0.5) == pytest.approx(-1e199, rel=1e-14)


# --- focal loss ------------------------------------------------------------


def exact_focal_weight(p, k, detach):
    power = (1 - p) ** k
    return power if detach else power - k * (1 - p) ** (k - 1) * p * mpmath.log(p)


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize("k", [1e-6, 0.3, 1.0, 2.0, 50.0, 1e6])
def test_focal_weight_keeps_its_digits(k, detach):
    points = [1e-300, 1e-12, 1e-6, 1e-4, 0.03, 0.2, 0.5, 0.9, 1 - 1e-9, 1 - 2**-53]
    with mpmath.workdps(400):
        for p in points:
            exact = exact_focal_weight(mpmath.mpf(p), mpmath.mpf(k), detach)
            found = loss.focal_weight(p, k, detach=detach)
            if exact > 1e-300:  # the condition number of a power is its exponent times the logarithm
                tolerance = 1e-15 * (3 + abs(float(mpmath.log(exact))))
                assert float(abs(found / exact - 1)) < tolerance
            else:
                assert found < 1e-299
    np.testing.assert_allclose(
        loss.focal_weight(points[1:-2], k, detach=detach),
        tce.FocalLoss(k, detach=detach).weight(points[1:-2]),
        rtol=1e-12,
        atol=1e-300,
    )


def test_focal_weight_at_the_ends():
    assert loss.focal_weight([0.0, 1.0], 2.0).tolist() == [1.0, 0.0]
    assert loss.focal_weight([0.0, 0.5, 1.0], 0.0).tolist() == [1.0, 1.0, 1.0]
    assert loss.focal_weight([[0.2], [0.4]], [1.0, 2.0, 3.0]).shape == (2, 3)


def exact_minimiser(eta, k, detach, guess):
    """Newton's method at 60 digits for the logits and the common log(v/w(v)) − log η; there is one root only."""

    def equations(level, *logits):
        v = [1 / (1 + mpmath.exp(-x)) for x in logits]
        complement = [1 / (1 + mpmath.exp(x)) for x in logits]
        log_ratios = [
            mpmath.log(p / (c**k * (1 - (0 if detach else k * p * mpmath.log(p) / c))))
            for p, c in zip(v, complement, strict=True)
        ]
        return [r - mpmath.log(e) - level for r, e in zip(log_ratios, eta, strict=True)] + [mpmath.fsum(v) - 1]

    logits = [mpmath.log(v / (1 - mpmath.mpf(v))) for v in guess]
    level = equations(0, *logits)[0]
    root = mpmath.findroot(equations, [level, *logits], tol=1e-60)
    return [1 / (1 + mpmath.exp(-x)) for x in root[1:]]


@pytest.mark.parametrize(
    ("eta", "k", "detach"),
    [
        ([0.9, 0.09, 0.01], 2.0, False),
        ([0.9, 0.09, 0.01], 2.0, True),
        ([1 - 1e-12, 1e-12], 1e-6, False),
        ([1 - 1e-12, 1e-12], 0.3, True),
        ([0.5, 0.5 - 1e-12, 1e-12], 50.0, False),
        ([0.7, 0.3, 1e-300], 0.3, False),
        ([0.6, 0.4], 1e6, False),
    ],
)
def test_focal_minimiser_keeps_its_digits(eta, k, detach):
    with mpmath.workdps(60):
        found = loss.focal_minimiser(eta, k, detach=detach)
        exact = exact_minimiser(eta, mpmath.mpf(k), detach, found)
        assert max(float(abs(ours / theirs - 1)) for ours, theirs in zip(found, exact, strict=True)) < 1e-13


@pytest.mark.parametrize("k", [0.5, 2.0])
def test_focal_minimiser_minimises(k):
    eta = np.array([0.62, 0.3, 0.08])
    best = loss.focal_minimiser(eta, k)

    def risk(v):
        return float(eta @ tce.FocalLoss(k).value(v))

    for direction in ([1, -1, 0], [0, 1, -1], [1, 1, -2]):
        for step in (-1e-3, 1e-3):
            assert risk(best + step * np.array(direction)) > risk(best) + 1e-8
    # detached, its weights balance the gradient; those of the other kind do not
    for detach in (True, False):
        point = loss.focal_minimiser(eta, k, detach=detach)
        weights = loss.focal_weight(point, k, detach=detach)
        assert np.abs(loss.weighted_gradient(point, eta, weights)).max() < 1e-15
        others = loss.focal_weight(point, k, detach=not detach)
        assert np.abs(loss.weighted_gradient(point, eta, others)).max() > 1e-3
        np.testing.assert_allclose(
            tce.FocalLoss(k, detach=detach).gradient(np.log(point), eta), np.zeros(3), atol=1e-15
        )


def test_focal_minimiser_of_many_classes():
    eta = 1 / np.arange(1.0, 200_001)
    for detach in (True, False):
        found = loss.focal_minimiser(eta, 2.0, detach=detach)
        ratio = eta * loss.focal_weight(found, 2.0, detach=detach) / found
        assert ratio.max() / ratio.min() - 1 < 1e-12
        assert found.sum() == pytest.approx(1, rel=1e-13)
        assert (np.diff(found) < 0).all()


def test_focal_minimiser_at_the_ends_of_the_range():
    # two classes, detached, k = 1: (v/(1 − v))² = η_1/η_2
    np.testing.assert_allclose(loss.focal_minimiser([1.0, 1e-300], 1.0, detach=True), [1.0, 1e-150], rtol=1e-12)
    # differentiated, 1 − v = c small: 3 c³ = η_2/η_1
    assert loss.focal_minimiser([1e300, 1e-300], 2.0)[1] == pytest.approx((1e-200 / 3 ** (1 / 3)), rel=1e-12)
    assert loss.focal_minimiser([1e300, 1e-300], 1e-6).tolist() == [1.0, 0.0]  # 1e-600 is below the least float
    assert loss.focal_minimiser([1e308, 1e308], 2.0).tolist() == [0.5, 0.5]


def test_focal_minimiser_in_simple_cases():
    assert loss.focal_minimiser([0, 3, 0], 2.0).tolist() == [0, 1, 0]
    np.testing.assert_allclose(loss.focal_minimiser([5, 0, 5, 5], 2.0), [1 / 3, 0, 1 / 3, 1 / 3], rtol=1e-15)
    np.testing.assert_allclose(loss.focal_minimiser([0.8, 0.2], 1e-6), [0.8, 0.2], atol=1e-6)
    # detached with k = 1: v/(1 − v) proportional to η, for two classes (v/(1 − v))² = η_1/η_2
    np.testing.assert_allclose(loss.focal_minimiser([9, 1], 1.0, detach=True), [0.75, 0.25], rtol=1e-15)
    np.testing.assert_array_equal(
        loss.focal_minimiser([0.1, 0.6, 0.3], 2.0), loss.focal_minimiser([0.6, 0.3, 0.1], 2.0)[[2, 0, 1]]
    )


def test_peak_of_the_focal_weight():
    assert loss.focal_weight_peak(2) == pytest.approx(0.104, abs=5e-4)
    for k in (1e-9, 0.5, 1.0, 2.0, 100.0, 1e6):
        with mpmath.workdps(40):
            near = mpmath.mpf(loss.focal_weight_peak(k))
            exact = mpmath.findroot(
                lambda v, k=k: (1 - k * v) * mpmath.log(v) + 2 * (1 - v), (near * 0.99, near * 1.01), solver="anderson"
            )
            assert float(abs(loss.focal_weight_peak(k) / exact - 1)) < 1e-14
        peak = loss.focal_weight_peak(k)
        around = loss.focal_weight(np.minimum(peak * np.logspace(-2, 2, 201), 1.0), k)
        assert around.argmax() == 100
    assert loss.focal_weight_peak([[1.0, 2.0]]).shape == (1, 2)
    assert loss.focal_weight_peak(1e-320) == pytest.approx(loss.focal_weight_peak(1e-20), rel=1e-15)


@pytest.mark.parametrize("k", [1e-3, 0.5, 1.0, 2.0, 10.0, 1e3])
def test_fits_of_the_focal_loss_stay_on_fewer_classes(k):
    fewer = math.ceil(1 / loss.focal_weight_peak(k)) - 1
    assert fewer >= 4
    # a class that has all but died out shrinks by the factor 1/φ(1/m) a fit; beside two classes it grows
    factors = [loss.focal_minimiser([*[1 / classes] * classes, 1e-12], k)[-1] / 1e-12 for classes in (fewer, 2)]
    assert factors[0] == pytest.approx(1 / loss.focal_weight(1 / fewer, k), rel=1e-6)
    assert factors[0] < 1 < factors[1]
    # and within the others deviations shrink
    assert loss.focal_uniform_rate(fewer, k, detach=False) < 1 < loss.focal_uniform_rate(fewer + 2, k, detach=False)


@pytest.mark.parametrize("detach", [True, False])
@pytest.mark.parametrize(("size", "k"), [(2, 0.5), (6, 2.0), (20, 2.0), (1000, 10.0)])
def test_rate_near_uniform_is_that_of_the_minimiser(size, k, detach):
    small = 1e-6 / size
    tilt = small * np.where(np.arange(size) % 2, 1.0, -1.0)
    moved = loss.focal_minimiser(1 / size + tilt, k, detach=detach) - 1 / size
    rate = loss.focal_uniform_rate(size, k, detach=detach)
    assert moved @ tilt / (tilt @ tilt) == pytest.approx(rate, rel=1e-5)
    assert (rate > 1) == (not detach and 1 / size < loss.focal_weight_peak(k))


def test_rate_near_uniform_for_any_size():
    assert loss.focal_uniform_rate(10**7, 2.0) == pytest.approx(1 - 2e-7, abs=1e-13)
    assert loss.focal_uniform_rate([2, 3], [[1.0], [2.0]]).tolist() == [[0.5, 2 / 3], [1 / 3, 0.5]]
    assert loss.focal_uniform_rate(50, 0.0, detach=False) == 1.0
    with mpmath.workdps(40):
        v, k = mpmath.mpf(10) ** -7, mpmath.mpf(2)
        weight = exact_focal_weight(v, k, False)
        slope = mpmath.diff(lambda u: exact_focal_weight(u, k, False), v)
        rate = loss.focal_uniform_rate(10**7, 2.0, detach=False)
        assert float(abs(rate / (weight / (weight - v * slope)) - 1)) < 1e-15


def test_detached_focal_flattens_and_the_other_destroys_tails():
    start = 0.05 + 0.002 * np.linspace(1, -1, 20)
    flat = steep = start
    for _ in range(400):
        flat = loss.focal_minimiser(flat, 2.0, detach=True)
        steep = loss.focal_minimiser(steep, 2.0)
    np.testing.assert_allclose(flat, 0.05, rtol=1e-12)
    assert steep.max() > 0.1
    assert steep.min() < 1e-6
    # fitted to its own output once more, TCE changes nothing
    counts = np.array([400, 300, 150, 100, 49, 1])
    once = tce.fit(tce.Categorical(np.full(6, 1 / 6)), tce.Counts(counts), tce.TCE(0.3)).model
    assert np.abs(loss.tce_gradient(once.probs, once.probs, 0.3 * (1 + 1e-12))).max() < 1e-15


# --- domain ------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: loss.weighted_gradient([0.5, 0.5], [1.0], [1, 1]), "frequencies"),
        (lambda: loss.weighted_gradient([0.5, 0.5], [0.5, 0.5], [1]), "weights"),
        (lambda: loss.weighted_gradient([0.5, 0.5], [0.5, 0.5], [1, -1]), "weights"),
        (lambda: loss.tce_gradient([0.5, 0.6], [0.5, 0.5], 0.9), "probs"),
        (lambda: loss.tce_gradient([0.5, 0.5], [0.5, 0.5], [0.9, 0.8]), "gamma"),
        (lambda: loss.tce_hessian([0.5, 0.5], [0.5, 0.5], 1.1), "gamma"),
        (lambda: loss.masked_gradient_bound(1.5), "gamma"),
        (lambda: loss.loss_floor(0.0), "gamma"),
        (lambda: loss.hinge_objective([], 0.5), "cross_entropies"),
        (lambda: loss.hinge_objective([0.1, math.inf], 0.5), "cross_entropies"),
        (lambda: loss.stationary_entropy([0.1, 2.0], 0.5, 0), "total_weight"),
        (lambda: loss.stationary_entropy([0.1, 2.0], 0.5, 3), "total_weight"),
        (lambda: loss.entropy_rate([0.1], 0.5, math.nan), "entropy"),
        (lambda: loss.entropy_rate_bound(0.1, 0.5, -1), "total_weight"),
        (lambda: loss.head_excess([1.0, 2.0], [1.0]), "gradient"),
        (lambda: loss.head_excess([[1.0, 2.0]], [1.0, 2.0]), "parameters"),
        (lambda: loss.head_certificate(-1, 0), "parameter_norm"),
        (lambda: loss.decay_excess(-1, 1, 1, 1), "decay"),
        (lambda: loss.decay_excess(1, 1, 1, 0), "total_weight"),
        (lambda: loss.average_entropy_excess(1, 1, 0, 1, 1), "step_size"),
        (lambda: loss.average_entropy_excess(1, 1, 1, 0, 1), "steps"),
        (lambda: loss.average_entropy_floor(1, 1, 1, 1, 0), "unmasked_share"),
        (lambda: loss.focal_weight(1.1, 2), "p"),
        (lambda: loss.focal_weight(0.1, -1), "exponent"),
        (lambda: loss.focal_weight(0.1, 2, detach=1), "detach"),
        (lambda: loss.focal_weight_peak(0), "exponent"),
        (lambda: loss.focal_uniform_rate(1, 2), "size"),
        (lambda: loss.focal_minimiser([0.5, 0.5], 0), "exponent"),
        (lambda: loss.focal_minimiser([0.5, 0.5], [1, 2]), "exponent"),
        (lambda: loss.focal_minimiser([0.0, 0.0], 2), "label_probs"),
        (lambda: loss.focal_minimiser([-0.1, 1.1], 2), "label_probs"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
