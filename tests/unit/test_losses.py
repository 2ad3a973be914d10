"""Losses of a probability: known numbers, boundaries, and the ledger's statements about them."""

from __future__ import annotations

import copy
import dataclasses
import math
import pickle

import numpy as np
import pytest
from scipy.integrate import quad

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.losses import (
    TCE,
    CrossEntropy,
    FocalLoss,
    Loss,
    SmoothTruncatedCrossEntropy,
    TruncatedCrossEntropy,
    WeightedCrossEntropy,
)

INF = math.inf
TINY = 5e-324
BELOW_ONE = float(np.nextafter(1.0, 0.0))


def one(p: float) -> float:
    return 1.0


def linear(p: float) -> float:
    return 1.0 - p


def step(p: float) -> float:
    return 1.0 if p <= 0.73 else 0.25


LOSSES = [
    CrossEntropy(),
    TCE(0.9),
    TCE(0.3),
    TCE(1.0),
    FocalLoss(0.0),
    FocalLoss(0.3),
    FocalLoss(2.0),
    FocalLoss(50.0),
    FocalLoss(0.0, detach=True),
    FocalLoss(0.3, detach=True),
    FocalLoss(2.0, detach=True),
    FocalLoss(1e6, detach=True),
    SmoothTruncatedCrossEntropy(0.9, 0.05),
    SmoothTruncatedCrossEntropy(1.0, 2.0),
    SmoothTruncatedCrossEntropy(0.5, 1e-320),
    SmoothTruncatedCrossEntropy(0.5, 1e300),
    WeightedCrossEntropy(one),
    WeightedCrossEntropy(linear),
    WeightedCrossEntropy(step),
]
P = np.concatenate([[TINY, 1e-200, 1e-20], np.linspace(0.01, 0.99, 50), [1 - 1e-9, BELOW_ONE, 1.0]])


def entropy_of_two(f: float) -> float:
    return -f * math.log(f) - (1 - f) * math.log(1 - f)


class TestTruncation:
    @pytest.mark.parametrize("gamma", [0.1, 0.5, 0.9, 1.0, 1.7])
    def test_the_boundary_is_unmasked(self, gamma):
        loss = TCE(gamma)
        p = [math.nextafter(gamma, 0), gamma, math.nextafter(gamma, INF)]
        p = [u for u in p if u <= 1 or gamma >= 1]
        np.testing.assert_array_equal(loss.weight(p), [1, 1, 0][: len(p)])
        np.testing.assert_array_equal(loss.value(p), [-math.log(p[0]), -math.log(gamma), 0][: len(p)])

    def test_known_values(self):
        loss = TCE(0.9)
        np.testing.assert_array_equal(loss.value([0.0, 0.5, 0.9, 0.95, 1.0]), [INF, math.log(2), -math.log(0.9), 0, 0])
        floor = -math.log(0.9)
        np.testing.assert_array_equal(loss.objective([0.0, 0.5, 0.95, 1.0]), [INF, math.log(2), floor, floor])
        assert loss.floor == floor

    def test_a_threshold_above_one_is_for_densities(self):
        loss = TCE(1.5)
        assert loss.floor == -math.log(1.5) < 0
        np.testing.assert_array_equal(loss.weight([0.5, 1.5, 1.6]), [1, 1, 0])
        np.testing.assert_array_equal(loss.value([1.2, 40.0]), [-math.log(1.2), 0])
        np.testing.assert_array_equal(loss.objective([1.2, 40.0]), [-math.log(1.2), -math.log(1.5)])

    def test_floor_has_no_negative_zero(self):
        assert math.copysign(1, TCE(1.0).floor) == 1
        for function in (CrossEntropy().value, CrossEntropy().objective, TCE(1.0).objective):
            assert math.copysign(1, function(1.0)) == 1

    def test_relative_radius(self):
        assert TCE(math.exp(-0.5), scale="relative").relative_radius == pytest.approx(1, rel=1e-15)
        assert TCE(1.0, scale="relative").relative_radius == 0
        with pytest.raises(UnsupportedCombinationError, match="relative_radius needs scale='relative'"):
            TCE(0.9).relative_radius  # noqa: B018

    def test_relative_weight_and_value_take_the_ratio_to_the_maximum(self):
        loss = TCE(0.9, scale="relative")
        np.testing.assert_array_equal(loss.weight([0.9, 0.91, 1.0]), [1, 0, 0])
        np.testing.assert_array_equal(loss.value([0.5, 1.0]), [math.log(2), 0])
        with pytest.raises(DomainError, match=r"p must be in \[0, 1\], got 1.5"):
            loss.weight(1.5)

    @pytest.mark.parametrize(
        ("loss", "reason"),
        [(TCE(0.9, scale="relative"), "scale='absolute'"), (TCE(0.9, mask="previous"), "mask='current'")],
    )
    def test_no_objective_where_p_does_not_decide_the_mask(self, loss, reason):
        for call in (lambda: loss.objective(0.5), lambda: loss.gradient([0, 1], 0), lambda: loss.hessian([0, 1], 0)):
            with pytest.raises(UnsupportedCombinationError, match=reason):
                call()

    def test_previous_mask_weights_the_deciding_probability(self):
        np.testing.assert_array_equal(TCE(0.9, mask="previous").weight([0.9, 0.95]), [1, 0])

    @pytest.mark.parametrize(("size", "gamma"), [(2, 1 / 2), (3, 1 / 3), (4, 0.25), (10, 0.1)])
    def test_uniform_logits_sit_on_the_boundary(self, size, gamma):
        gradient = TCE(gamma).gradient(np.zeros(size), 0)
        assert gradient[0] == pytest.approx(1 / size - 1, rel=1e-15)

    def test_gradient_of_tce_slug(self):
        # tce-gradient: masked |∂CE/∂z_y| < 1 − γ, unmasked at least 1 − γ
        gamma = 0.75
        logits = np.stack([np.linspace(-6, 6, 401), np.zeros(401)], axis=-1)
        logits[0] = np.log([0.75, 0.25])
        ce = np.abs(CrossEntropy().gradient(logits, np.zeros(401, int))[:, 0])
        tce = np.abs(TCE(gamma).gradient(logits, np.zeros(401, int))[:, 0])
        masked = tce == 0
        assert masked.any()
        assert (~masked).any()
        assert (ce[masked] < 1 - gamma).all()
        assert (ce[~masked] >= 1 - gamma).all()
        np.testing.assert_array_equal(tce[~masked], ce[~masked])

    def test_gradient_of_an_empirical_distribution(self):
        # tce-gradient: q_j M − f_j χ_j, here with class 0 masked: M = .4
        q, f = np.array([0.7, 0.2, 0.1]), np.array([0.6, 0.1, 0.3])
        np.testing.assert_allclose(TCE(0.6).gradient(np.log(q), f), [0.28, 0.08 - 0.1, 0.04 - 0.3], atol=1e-15)

    def test_capped_fit_is_stationary_with_a_boundary_weight(self):
        # the capped projection of (.9, .07, .03) at γ = .6 is (.6, .28, .12): no weight of class 0 in [0, 1] moves it
        f, q = np.array([0.9, 0.07, 0.03]), np.array([0.6, 0.28, 0.12])
        boundary_weight = 0.6 * 0.1 / (0.9 * 0.4)
        above, below = TCE(0.59).gradient(np.log(q), f), TCE(0.61).gradient(np.log(q), f)
        np.testing.assert_allclose((1 - boundary_weight) * above + boundary_weight * below, 0, atol=1e-15)

    def test_everything_masked_stops(self):
        loss = TCE(0.5)
        np.testing.assert_array_equal(loss.gradient([3.0, 0.0], 0), [0, 0])
        np.testing.assert_array_equal(loss.hessian([3.0, 0.0], 0), np.zeros((2, 2)))


class TestLiteralAnticap:
    """`literal-anticap`: the printed loss, minimised with its mask, can push confidence above the threshold."""

    @staticmethod
    def expected(function, f, first):
        return f * function(first) + (1 - f) * function(1 - first)

    def test_example(self):
        f, gamma = 0.8, 0.9
        loss = TCE(gamma)
        capped = np.linspace(1 - gamma, gamma, 80_001)
        above = gamma + np.logspace(-12, -2, 1000)
        literal_capped = self.expected(loss.value, f, capped)
        literal_above = self.expected(loss.value, f, above)
        assert literal_capped.min() == pytest.approx(entropy_of_two(f), abs=1e-9)
        assert capped[literal_capped.argmin()] == pytest.approx(f, abs=1e-5)
        assert literal_above.argmin() == 0
        assert literal_above[0] == pytest.approx(-0.2 * math.log(0.1), abs=1e-11)
        assert literal_above.min() == pytest.approx(0.460517018599, abs=1e-11)
        assert literal_above.min() < literal_capped.min()
        # the infimum is not attained: at the threshold itself the example is unmasked
        assert self.expected(loss.value, f, gamma) > literal_capped.min()

    def test_training_does_not_see_it(self):
        f, gamma = 0.8, 0.9
        first = np.linspace(0.001, 0.999, 9981)
        objective = self.expected(TCE(gamma).objective, f, first)
        assert first[objective.argmin()] == pytest.approx(f, abs=1e-4)
        np.testing.assert_allclose(TCE(gamma).gradient(np.log([f, 1 - f]), [f, 1 - f]), 0, atol=1e-15)

    def test_condition(self):
        outcomes = set()
        for gamma in (0.6, 0.75, 0.9, 0.97):
            for f in np.linspace(0.5, gamma - 0.01, 12):
                capped = self.expected(TCE(gamma).value, f, np.linspace(1 - gamma, gamma, 4001)[1:-1]).min()
                above = self.expected(TCE(gamma).value, f, gamma + 1e-9)
                predicted = entropy_of_two(f) > -(1 - f) * math.log(1 - gamma)
                outcomes.add(predicted)
                assert (above < capped) == predicted
        assert outcomes == {False, True}


class TestSpecialCases:
    @pytest.mark.parametrize(
        "loss", [TCE(1.0), FocalLoss(0.0), FocalLoss(0.0, detach=True), WeightedCrossEntropy(lambda p: 1.0)]
    )
    def test_reduces_to_cross_entropy(self, loss):
        ce = CrossEntropy()
        logits = np.random.default_rng(1).normal(0, 4, (20, 5))
        labels = np.arange(20) % 5
        np.testing.assert_array_equal(loss.weight(P), ce.weight(P))
        np.testing.assert_array_equal(loss.value(P), ce.value(P))
        np.testing.assert_allclose(loss.objective(P), ce.objective(P), rtol=1e-14)
        np.testing.assert_array_equal(loss.gradient(logits, labels), ce.gradient(logits, labels))
        np.testing.assert_allclose(loss.hessian(logits, labels), ce.hessian(logits, labels), atol=1e-15)

    def test_smooth_tends_to_tce(self):
        tce = TCE(0.7)
        p = np.concatenate([np.linspace(0.01, 0.69, 30), np.linspace(0.71, 1.0, 30)])
        errors = []
        for width in (1e-1, 1e-2, 1e-3):
            smooth = SmoothTruncatedCrossEntropy(0.7, width)
            errors.append(np.abs(smooth.objective(p) - (tce.objective(p) - tce.floor)).max())
            # softplus differs from the positive part by at most width·log 2, at either end of the difference
            assert errors[-1] <= width * math.log(2)
        assert errors[0] > 1e-2
        np.testing.assert_allclose(SmoothTruncatedCrossEntropy(0.7, 1e-4).weight(p), tce.weight(p), atol=1e-40)
        assert SmoothTruncatedCrossEntropy(0.7, 1e-4).weight(0.7) == 0.5

    def test_smooth_weight_is_the_formula(self):
        p = np.linspace(0, 1, 101)
        expected = 1 / (1 + (p / 0.8) ** (1 / 0.3))
        np.testing.assert_allclose(SmoothTruncatedCrossEntropy(0.8, 0.3).weight(p), expected, rtol=1e-14)

    def test_smooth_weight_of_tail_logits(self):
        # exp(−10⁴) rounds to 0, but its logarithm still has a weight of its own
        width = 5000.0
        gradient = SmoothTruncatedCrossEntropy(1.0, width).gradient([0.0, -1e4], 1)
        assert gradient[0] == pytest.approx(1 / (1 + math.exp(-1e4 / width)), rel=1e-14)

    @pytest.mark.parametrize("exponent", [0.3, 1.0, 2.0, 7.5])
    def test_focal_weights_are_the_formulas(self, exponent):
        p = np.linspace(0.01, 0.99, 99)
        through = (1 - p) ** exponent - exponent * p * (1 - p) ** (exponent - 1) * np.log(p)
        np.testing.assert_allclose(FocalLoss(exponent).weight(p), through, rtol=1e-13)
        np.testing.assert_allclose(FocalLoss(exponent, detach=True).weight(p), (1 - p) ** exponent, rtol=1e-13)
        np.testing.assert_allclose(FocalLoss(exponent).value(p), -((1 - p) ** exponent) * np.log(p), rtol=1e-13)
        np.testing.assert_array_equal(FocalLoss(exponent).value(P), FocalLoss(exponent, detach=True).value(P))

    def test_focal_weight_where_the_complement_rounds_to_one(self):
        assert FocalLoss(1e17, detach=True).weight(1e-17) == pytest.approx(math.exp(-1), rel=1e-15)

    @pytest.mark.parametrize("detach", [False, True])
    @pytest.mark.parametrize(("exponent", "at_one"), [(0.0, 1.0), (1e-300, 0.0), (0.5, 0.0), (3.0, 0.0), (1e300, 0.0)])
    def test_focal_ends(self, exponent, at_one, detach):
        loss = FocalLoss(exponent, detach=detach)
        np.testing.assert_array_equal(loss.weight([0.0, 1.0]), [1, at_one])
        np.testing.assert_array_equal(loss.value([0.0, 1.0]), [INF, 0])
        np.testing.assert_array_equal(loss.objective([0.0, 1.0]), [INF, 0])

    def test_differentiated_focal_weight_peaks_inside(self):
        # idempotence: the factor of the differentiated focal loss is largest at v* = .104 for k = 2
        p = np.linspace(0.001, 0.999, 99_801)
        assert p[FocalLoss(2.0).weight(p).argmax()] == pytest.approx(0.104, abs=5e-4)
        assert (np.diff(FocalLoss(2.0, detach=True).weight(p)) < 0).all()

    @pytest.mark.parametrize("exponent", [1, 2, 3, 6])
    def test_detached_focal_objective_of_integer_exponents(self, exponent):
        # ∫ (1 − u)^k / u = −log p − Σ_{j ≤ k} (1 − p)^j / j
        p = np.linspace(0.01, 0.9, 90)
        j = np.arange(1, exponent + 1)[:, None]
        expected = -np.log(p) - ((1 - p) ** j / j).sum(axis=0)
        np.testing.assert_allclose(FocalLoss(exponent, detach=True).objective(p), expected, rtol=1e-9, atol=1e-15)

    def test_weight_may_be_a_compiled_function(self):
        numba = pytest.importorskip("numba")
        loss = WeightedCrossEntropy(numba.njit(lambda p: 1.0 - p))
        np.testing.assert_array_equal(loss.weight(P), 1 - P)

    @pytest.mark.parametrize("weight", [lambda p: True, lambda p: 1, lambda p: np.float64(1), lambda p: np.array(1.0)])
    def test_weight_may_return_any_number(self, weight):
        np.testing.assert_array_equal(WeightedCrossEntropy(weight).weight([[0.0, 0.5]]), [[1, 1]])

    def test_weight_that_vanishes_at_zero(self):
        assert WeightedCrossEntropy(math.sqrt).objective(0.0) == pytest.approx(2, rel=1e-12)
        assert WeightedCrossEntropy(math.sqrt).value(0.0) == 0
        assert WeightedCrossEntropy(linear).objective(0.0) == INF

    def test_quadrature_of_steps_and_of_the_detached_focal_weight(self):
        p = np.concatenate([[1e-300, 1e-9], np.linspace(0.01, 0.99, 21), [1 - 1e-9]])
        stepped = np.where(p <= 0.73, np.log(0.73 / p) - 0.25 * math.log(0.73), -0.25 * np.log(p))
        np.testing.assert_allclose(WeightedCrossEntropy(step).objective(p), stepped, rtol=1e-11)
        # up to .99: closer to 1 the function itself loses digits to the rounding of 1 − u
        quadrature = WeightedCrossEntropy(lambda u: (1 - u) ** 1.5).objective(p[:-1])
        np.testing.assert_allclose(quadrature, FocalLoss(1.5, detach=True).objective(p[:-1]), rtol=1e-11)

    def test_quadrature_overlooks_nothing_near_one(self):
        # one point far down: without splitting, the step is a sixth of a per cent of the range of log p
        assert WeightedCrossEntropy(lambda p: 1.0 if p <= 0.95 else 0.0).objective(1e-13) == pytest.approx(
            math.log(0.95e13), rel=1e-12
        )
        assert WeightedCrossEntropy(lambda p: 0.0 if p <= 0.95 else 1.0).objective(0.0) == pytest.approx(
            -math.log(0.95), rel=1e-12
        )

    def test_weight_is_replaced_under_its_own_name(self):
        loss = WeightedCrossEntropy(one)
        assert loss.function is one
        assert dataclasses.replace(loss, weight=linear) == WeightedCrossEntropy(linear) != loss

    def test_divergent_quadrature_is_refused(self):
        loss = WeightedCrossEntropy(lambda p: abs(p - 0.123456) ** -0.999 if p != 0.123456 else 0.0)
        with pytest.raises(DomainError, match="quadrature converges"):
            loss.objective(0.01)

    @pytest.mark.parametrize("exponent", [0.5, 1.0, 4.0])
    def test_hessian_uses_the_derivative_of_any_weight(self, exponent):
        logits = np.random.default_rng(2).normal(0, 3, (30, 4))
        labels = np.arange(30) % 4
        numerical = WeightedCrossEntropy(lambda p: (1 - p) ** exponent).hessian(logits, labels)
        exact = FocalLoss(exponent, detach=True).hessian(logits, labels)
        np.testing.assert_allclose(numerical, exact, atol=3e-12)


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
class TestEveryLoss:
    def test_no_nan_at_the_ends(self, loss):
        for function in (loss.weight, loss.value, loss.objective):
            assert not np.isnan(function(P)).any()
            assert np.isfinite(function(P[1:])).all()
            assert not np.isnan(function([0.0, 1.0])).any()
        assert (loss.weight(P) >= 0).all()

    def test_value_is_weighted_cross_entropy(self, loss):
        if isinstance(loss, FocalLoss) and not loss.detach:
            weight = FocalLoss(loss.exponent, detach=True).weight(P)
        else:
            weight = loss.weight(P)
        np.testing.assert_allclose(loss.value(P), weight * -np.log(P), rtol=1e-15)

    def test_objective_is_the_integral_of_the_weight(self, loss):
        # the definition, by a quadrature that knows nothing of the loss but its weight
        objective = loss.objective(np.array([0.02, 0.2, 0.6, 0.95, 1.0]))
        points = [math.log(u) for u in (0.3, 0.5, 0.73, 0.9)]
        for p, got in zip([0.02, 0.2, 0.6, 0.95], objective, strict=False):
            inside = [x for x in points if x > math.log(p)] or None
            expected = quad(lambda s: loss.weight(math.exp(s)), math.log(p), 0, points=inside, limit=300, epsabs=1e-11)
            assert got - objective[-1] == pytest.approx(expected[0], rel=1e-9, abs=1e-10)
        assert objective[-1] == (loss.floor if isinstance(loss, TruncatedCrossEntropy) else 0)

    def test_shapes(self, loss):
        for function in (loss.weight, loss.value, loss.objective):
            assert np.ndim(function(0.5)) == 0
            assert np.shape(function(np.full((2, 3), 0.5))) == (2, 3)
            assert np.shape(function(np.empty((0, 3)))) == (0, 3)
        logits = np.zeros((2, 3, 4))
        for target in (np.zeros((2, 3), int), np.full((2, 3, 4), 0.25)):
            assert loss.gradient(logits, target).shape == (2, 3, 4)
            assert loss.hessian(logits, target).shape == (2, 3, 4, 4)
            assert loss.gradient(logits, target, reduction="mean").shape == (4,)
            assert loss.hessian(logits, target, reduction="mean-unmasked").shape == (4, 4)

    def test_huge_logits(self, loss):
        logits = 1e4 * np.array([[1, -1, 0, 0.99], [-1, 1, 1, -1], [0, 0, 0, 1]])
        for label in range(4):
            gradient, hessian = loss.gradient(logits, [label] * 3), loss.hessian(logits, [label] * 3)
            assert np.isfinite(gradient).all()
            assert np.isfinite(hessian).all()
            np.testing.assert_allclose(gradient.sum(axis=-1), 0, atol=1e-15)
        widest = 1.5e308 * np.array([1.0, -1.0])
        assert np.isfinite(loss.gradient(widest, 1)).all()
        assert np.isfinite(loss.hessian(widest, 1)).all()

    def test_is_a_value(self, loss):
        assert copy.deepcopy(loss) == loss == pickle.loads(pickle.dumps(loss))
        assert hash(loss) == hash(copy.copy(loss))
        with pytest.raises(dataclasses.FrozenInstanceError):
            loss.gamma = 0.5


def test_saturated_gradient_keeps_its_precision():
    # 1 − q_y = e^(−100) where q_y rounds to 1
    np.testing.assert_allclose(CrossEntropy().gradient([100.0, 0.0], 0), [-math.exp(-100), math.exp(-100)], rtol=1e-14)
    both = FocalLoss(0.5, detach=True).hessian([100.0, 0.0], 0)
    np.testing.assert_allclose(both[0, 0], 1.5 * math.exp(-150), rtol=1e-13)


def test_hessian_is_exactly_symmetric():
    # a product of matrices alone is symmetric to rounding only
    rng = np.random.default_rng(3)
    hessian = FocalLoss(1.3).hessian(rng.normal(0, 2, (50, 7)), rng.dirichlet(np.ones(7), 50))
    np.testing.assert_array_equal(hessian, np.swapaxes(hessian, -1, -2))


def test_distributions_are_normalised():
    rounded = np.array([0.2, 0.8 + 9e-10])
    exact = rounded / rounded.sum()
    for method in (CrossEntropy().gradient, CrossEntropy().hessian):
        np.testing.assert_allclose(method([1.0, 0.0], rounded), method([1.0, 0.0], exact), rtol=1e-14)


def test_cross_entropy_hessian_is_the_covariance():
    q = np.array([0.5, 0.3, 0.2])
    for target in (1, [0.1, 0.2, 0.7]):
        hessian = CrossEntropy().hessian(np.log(q), target)
        np.testing.assert_allclose(hessian, np.diag(q) - np.outer(q, q), atol=1e-16)


def test_differentiated_focal_loss_is_not_convex_in_the_logits():
    logits = np.log([0.01, 0.99])
    assert np.linalg.eigvalsh(FocalLoss(2.0).hessian(logits, 0)).min() < -0.05
    assert np.linalg.eigvalsh(FocalLoss(2.0, detach=True).hessian(logits, 0)).min() > -1e-16


class TestReduction:
    p = (0.5, 0.8, 0.95, 0.99)
    loss = TCE(0.9)
    logits = np.log(np.stack([p, 1 - np.array(p)], axis=-1))
    labels = (0, 0, 0, 0)

    def test_values(self):
        total = -math.log(0.5) - math.log(0.8)
        assert self.loss.value(self.p, reduction="mean") == pytest.approx(total / 4, rel=1e-15)
        assert self.loss.value(self.p, reduction="mean-unmasked") == pytest.approx(total / 2, rel=1e-15)
        floored = total + 2 * self.loss.floor
        assert self.loss.objective(self.p, reduction="mean") == pytest.approx(floored / 4, rel=1e-15)
        assert self.loss.objective(self.p, reduction="mean-unmasked") == pytest.approx(floored / 2, rel=1e-15)

    def test_gradients_and_hessians(self):
        mean = self.loss.gradient(self.logits, self.labels, reduction="mean")
        np.testing.assert_allclose(mean, [-0.7 / 4, 0.7 / 4], rtol=1e-14)
        unmasked = self.loss.gradient(self.logits, self.labels, reduction="mean-unmasked")
        np.testing.assert_allclose(unmasked, [-0.35, 0.35], rtol=1e-14)
        hessian = self.loss.hessian(self.logits, self.labels, reduction="mean")
        np.testing.assert_allclose(hessian, (0.25 + 0.16) / 4 * np.array([[1, -1], [-1, 1]]), rtol=1e-13)
        hessian = self.loss.hessian(self.logits, self.labels, reduction="mean-unmasked")
        np.testing.assert_allclose(hessian, (0.25 + 0.16) / 2 * np.array([[1, -1], [-1, 1]]), rtol=1e-13)

    def test_fractional_weights_divide_by_their_sum(self):
        loss = FocalLoss(2.0, detach=True)
        weights = (1 - np.array(self.p)) ** 2
        expected = (weights * -np.log(self.p)).sum() / weights.sum()
        assert loss.value(self.p, reduction="mean-unmasked") == pytest.approx(expected, rel=1e-14)
        distributions = np.array([[0.5, 0.5], [0.1, 0.9], [1, 0], [0, 1]])
        each = loss.gradient(self.logits, distributions)
        share = (distributions * (1 - np.exp(self.logits)) ** 2).sum()
        reduced = loss.gradient(self.logits, distributions, reduction="mean-unmasked")
        np.testing.assert_allclose(reduced, each.sum(axis=0) / share, rtol=1e-13)

    def test_everything_masked_gives_zero(self):
        masked = self.logits[2:]
        for reduction in ("mean", "mean-unmasked"):
            assert self.loss.value([0.95, 0.99], reduction=reduction) == 0
            np.testing.assert_array_equal(self.loss.gradient(masked, [0, 0], reduction=reduction), [0, 0])
            np.testing.assert_array_equal(self.loss.hessian(masked, [0, 0], reduction=reduction), np.zeros((2, 2)))
        assert self.loss.objective([0.95, 0.99], reduction="mean") == self.loss.floor
        assert self.loss.objective([0.95, 0.99], reduction="mean-unmasked") == 0

    def test_a_single_example_is_its_own_mean(self):
        for reduction in ("none", "mean", "mean-unmasked"):
            assert self.loss.value(0.5, reduction=reduction) == math.log(2)
            np.testing.assert_array_equal(
                self.loss.gradient(self.logits[0], 0, reduction=reduction), self.loss.gradient(self.logits[0], 0)
            )


class TestErrors:
    @pytest.mark.parametrize(
        ("make", "argument", "message"),
        [
            (lambda: TCE(0), "gamma", "gamma must be a finite number above 0, got 0"),
            (lambda: TCE(-0.5), "gamma", "gamma must be a finite number above 0, got -0.5"),
            (lambda: TCE(INF), "gamma", "gamma must be a finite number"),
            (lambda: TCE(math.nan), "gamma", "gamma must be a finite number"),
            (lambda: TCE("0.9"), "gamma", "gamma must be a finite number"),
            (lambda: TCE(1.1, scale="relative"), "gamma", "gamma must be a number in (0, 1], got 1.1"),
            (lambda: TCE(0, scale="relative"), "gamma", "gamma must be a number in (0, 1], got 0"),
            (lambda: TCE(0.9, scale="log"), "scale", "scale must be one of 'absolute', 'relative', got 'log'"),
            (lambda: TCE(0.9, mask="next"), "mask", "mask must be one of 'current', 'previous', got 'next'"),
            (lambda: TCE(0.9, vacuous="cold"), "vacuous", "vacuous must be one of 'auto', 'warm', 'max-entropy'"),
            (lambda: FocalLoss(-1), "exponent", "exponent must be a finite number >= 0, got -1"),
            (lambda: FocalLoss(INF), "exponent", "exponent must be a finite number"),
            (lambda: FocalLoss(2.0, detach=1), "detach", "detach must be True or False, got 1"),
            (lambda: SmoothTruncatedCrossEntropy(1.5, 0.1), "gamma", "gamma must be a number in (0, 1], got 1.5"),
            (lambda: SmoothTruncatedCrossEntropy(0, 0.1), "gamma", "gamma must be a number in (0, 1], got 0"),
            (lambda: SmoothTruncatedCrossEntropy(0.5, 0), "width", "width must be a finite number above 0, got 0"),
            (lambda: WeightedCrossEntropy(0.5), "weight", "weight must be a function of one probability, got 0.5"),
            (lambda: WeightedCrossEntropy(lambda p: p - 0.5), "weight", "at p = 0.0 it returned -0.5"),
            (lambda: WeightedCrossEntropy(lambda p: math.nan), "weight", "at p = 0.0 it returned nan"),
            (lambda: WeightedCrossEntropy(lambda p: 1 / p), "weight", "at p = 0.0 it raised ZeroDivisionError"),
            (lambda: WeightedCrossEntropy(lambda p: 1 / (1 - p)), "weight", "at p = 1.0 it raised ZeroDivisionError"),
            (lambda: WeightedCrossEntropy(lambda p: "much"), "weight", "at p = 0.0 it raised ValueError"),
            (lambda: WeightedCrossEntropy(lambda p, q: 1.0), "weight", "at p = 0.0 it raised TypeError"),
        ],
    )
    def test_parameters(self, make, argument, message):
        with pytest.raises(DomainError) as caught:
            make()
        assert caught.value.argument == argument
        assert message in str(caught.value)

    def test_two_arguments_are_positional(self):
        assert TCE(0.9, "relative") == TCE(0.9, scale="relative")
        with pytest.raises(TypeError):
            TCE(0.9, "relative", "previous")

    def test_a_weight_that_fails_off_the_grid_is_still_caught(self):
        loss = WeightedCrossEntropy(lambda p: -1.0 if p == 1 / 3 else 1.0)
        with pytest.raises(DomainError, match=r"at p = 0\.3333.* it returned -1\.0"):
            loss.weight([0.5, 1 / 3])

    @pytest.mark.parametrize("method", ["weight", "value", "objective"])
    @pytest.mark.parametrize(
        ("loss", "p"),
        [
            (CrossEntropy(), -0.1),
            (TCE(0.9), [0.5, -1e-300]),
            (FocalLoss(), 1.0 + 1e-15),
            (SmoothTruncatedCrossEntropy(0.9, 0.1), [[0.5], [2.0]]),
            (WeightedCrossEntropy(one), 1.5),
            (CrossEntropy(), math.nan),
            (CrossEntropy(), [0.5, INF]),
            (CrossEntropy(), "half"),
            (CrossEntropy(), [[0.5], [0.5, 0.5]]),
        ],
    )
    def test_p(self, method, loss, p):
        with pytest.raises(DomainError, match=r"^p must be") as caught:
            getattr(loss, method)(p)
        assert caught.value.argument == "p"

    @pytest.mark.parametrize("method", ["gradient", "hessian"])
    @pytest.mark.parametrize(
        ("logits", "target", "argument"),
        [
            (1.0, 0, "logits"),
            (np.empty((2, 0)), [0, 0], "logits"),
            ([0.0, math.inf], 0, "logits"),
            ([0.0, math.nan], 0, "logits"),
            ([0.0, 1.0], 2, "target"),
            ([0.0, 1.0], -1, "target"),
            ([0.0, 1.0], 1.0, "target"),
            ([0.0, 1.0], True, "target"),
            ([0.0, 1.0], [0.5, 0.4], "target"),
            ([0.0, 1.0], [1.5, -0.5], "target"),
            ([0.0, 1.0], [math.nan, 1.0], "target"),
            ([0.0, 1.0], [0.2, 0.3, 0.5], "target"),
            ([[0.0, 1.0], [0.0, 1.0]], [0], "target"),
            ([[0.0, 1.0], [0.0, 1.0]], [[1, 0], [1]], "target"),
        ],
    )
    def test_logits_and_target(self, method, logits, target, argument):
        with pytest.raises(DomainError, match=f"^{argument} must be") as caught:
            getattr(CrossEntropy(), method)(logits, target)
        assert caught.value.argument == argument

    def test_reduction(self):
        calls = [
            lambda reduction: CrossEntropy().value(0.5, reduction=reduction),
            lambda reduction: CrossEntropy().objective(0.5, reduction=reduction),
            lambda reduction: CrossEntropy().gradient([0, 1], 0, reduction=reduction),
            lambda reduction: CrossEntropy().hessian([0, 1], 0, reduction=reduction),
        ]
        for call in calls:
            with pytest.raises(
                DomainError, match="reduction must be one of 'none', 'mean', 'mean-unmasked', got 'sum'"
            ):
                call("sum")

    def test_nothing_to_average(self):
        with pytest.raises(DomainError, match=r"^p must be an array with at least one example"):
            CrossEntropy().value([], reduction="mean")
        with pytest.raises(DomainError, match=r"^logits must be an array with at least one example"):
            CrossEntropy().gradient(np.empty((0, 3)), np.empty(0, int), reduction="mean-unmasked")

    def test_the_base_is_abstract(self):
        with pytest.raises(TypeError):
            Loss()
