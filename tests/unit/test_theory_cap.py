"""Closed forms of the cap on confidence.

capped-projection, warm-degenerate, literal-anticap, cap-bias, flat-gain, tabular-limit, mode-seeking-limit
"""

import math
from fractions import Fraction

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.theory import categorical


def zipf(size, exponent=1.0):
    weights = np.arange(1, size + 1) ** -float(exponent)
    return weights / weights.sum()


def exact_water_filling(frequencies, gamma):
    """Water-filling of the normalised frequencies in rational arithmetic: probabilities, λ, m."""
    f = [Fraction(float(value)) for value in frequencies]
    total, cap = sum(f), Fraction(gamma)
    f = [value / total for value in f]
    ranked = sorted(f, reverse=True)
    m = 0
    while ranked[m] * (1 - m * cap) > cap * sum(ranked[m:]):
        m += 1
    level = sum(ranked[m:]) / (1 - m * cap)
    return [min(cap, value / level) for value in f], level, m


# --- capped-projection


def test_projections_of_the_ledger():
    fit = categorical.capped_projection(zipf(10), 0.15)
    # λ = (1 − F_3)/(1 − 0.45): 1/1 + 1/2 + … + 1/10 = 7381/2520, and 2761/2520 of it are left
    assert fit.multiplier == pytest.approx(float(Fraction(2761, 7381) / Fraction(55, 100)), rel=1e-15)
    assert fit.n_capped == 3
    fit = categorical.capped_projection([0.9, 0.07, 0.03], 0.6)
    np.testing.assert_allclose(fit.probs, [0.6, 0.28, 0.12], rtol=1e-14)


@pytest.mark.parametrize(
    ("frequencies", "gamma"),
    [
        (zipf(30), 0.04),
        (zipf(30), 1 / 30 + 1e-12),  # all but one class is capped
        (zipf(200, 3.0), 0.00501),
        ([0.25, 0.25, 0.25, 0.125, 0.125], 0.21),  # ties
        ([0.5, 0.5 - 1e-13, 1e-13], 0.4),
        ([1 - 3e-300, 1e-300, 2e-300], 0.7),
        ([0.3, 0.3, 0.2, 0.2], 0.3),  # at the cap
        ([0.4, 0.0, 0.3, 0.3, 0.0], 0.34),
        ([0.4, 0.3, 0.3], 1.0),
        (zipf(50), 0.1),
    ],
)
def test_projection_is_exact_water_filling(frequencies, gamma):
    probs, level, m = exact_water_filling(frequencies, gamma)
    fit = categorical.capped_projection(frequencies, gamma)
    assert fit.n_capped == m
    assert fit.multiplier == pytest.approx(float(level), rel=1e-13)
    np.testing.assert_allclose(fit.probs, np.array(probs, float), rtol=1e-13)
    assert fit.probs.max() <= gamma
    again = categorical.capped_projection(fit.probs, gamma)  # idempotent: nothing above the cap is left
    np.testing.assert_allclose(again.probs, fit.probs, rtol=1e-15)
    assert again.n_capped == 0


def test_projection_at_random_points_is_exact_and_the_fit_of_the_library():
    rng = np.random.default_rng(11)
    for _ in range(60):
        counts = rng.multinomial(200, rng.dirichlet(np.full(8, 0.3)))
        n_positive = np.count_nonzero(counts)
        gamma = 1 / n_positive + rng.random() * (1 - 1 / n_positive)
        probs, level, m = exact_water_filling(counts / 200, gamma)
        fit = categorical.capped_projection(counts / 200, gamma)
        np.testing.assert_allclose(fit.probs, np.array(probs, float), rtol=1e-13)
        assert (fit.multiplier, fit.n_capped) == (pytest.approx(float(level), rel=1e-13), m)
        fitted = tce.fit(tce.Categorical(np.full(8, 1 / 8)), tce.Counts(counts), tce.TCE(gamma)).model.probs
        np.testing.assert_allclose(fitted, fit.probs, rtol=1e-12, atol=1e-15)


def test_projection_of_ten_million_classes():
    size = 10**7
    f = 1 / np.arange(1, size + 1)
    f /= f.sum()
    gamma = 2.0 / size
    fit = categorical.capped_projection(f, gamma)
    m = fit.n_capped
    assert f[m - 1] > gamma * fit.multiplier >= f[m]
    assert 10**5 < m < 1 / gamma
    assert abs(fit.probs.sum() - 1) < 1e-12


def test_projection_is_nearest_in_every_divergence():
    rng = np.random.default_rng(12)
    f, gamma = np.array([0.55, 0.2, 0.15, 0.1]), 0.4
    best = categorical.capped_projection(f, gamma).probs
    others = rng.dirichlet(np.ones(4), size=20_000)
    others = others[others.max(axis=1) <= gamma]
    assert len(others) > 1000
    divergences = {
        "kl": lambda q: np.sum(f * np.log(f / q), axis=-1),
        "reverse kl": lambda q: np.sum(q * np.log(q / f), axis=-1),
        "hellinger": lambda q: np.sum((np.sqrt(f) - np.sqrt(q)) ** 2, axis=-1),
        "chi2": lambda q: np.sum((f - q) ** 2 / q, axis=-1),
        "total variation": lambda q: np.abs(f - q).sum(axis=-1) / 2,
        "hockey stick": lambda q: np.maximum(f - 1.2 * q, 0).sum(axis=-1),
    }
    for name, divergence in divergences.items():
        assert divergence(others).min() >= divergence(best) - 1e-12, name
    # negative control: the nearest in Euclidean distance, which is no f-divergence, is another point
    shifted = np.array([0.4, 0.25, 0.2, 0.15])
    assert np.sum((f - shifted) ** 2) < np.sum((f - best) ** 2)
    assert divergences["kl"](shifted) > divergences["kl"](best) + 1e-3


def test_projection_where_all_positive_classes_are_at_the_cap():
    fit = categorical.capped_projection([0.5, 0.3, 0.2, 0.0], 1 / 3)
    np.testing.assert_allclose(fit.probs, [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-15)
    near = categorical.capped_projection([0.5, 0.3, 0.2, 0.0], 1 / 3 + 1e-9)
    assert fit.multiplier == pytest.approx(0.6, rel=1e-14)
    assert near.multiplier == pytest.approx(0.6, rel=1e-7)
    assert fit.n_capped == near.n_capped == 2
    for count in (3, 7, 10, 49, 1000):
        uniform = categorical.capped_projection(zipf(count), 1 / count)
        np.testing.assert_allclose(uniform.probs, 1 / count, rtol=1e-14)
        assert uniform.n_capped == count - 1
        assert type(uniform.multiplier) is float
    rng = np.random.default_rng(17)
    for count in np.repeat(np.arange(2, 60), 5):  # the least frequency stays below its own multiple, whatever rounds
        f = rng.dirichlet(np.ones(count))
        assert categorical.capped_projection(f, 1 / count).n_capped == count - 1


# --- warm-degenerate


def exact_warm_end(previous, drawn, gamma):
    """The end point and τ by bisection of G at 50 digits."""
    with mpmath.workdps(50):
        q = [mpmath.mpf(float(value)) for value in previous]
        total = mpmath.fsum(q)
        on = [value / total for value, d in zip(q, drawn, strict=True) if d]
        off = [value / total for value, d in zip(q, drawn, strict=True) if not d]
        room = 1 - len(on) * mpmath.mpf(gamma)

        def excess(x):
            tau = mpmath.exp(x)
            mass = mpmath.fsum(a / (1 + tau * a) for a in off)
            logs = mpmath.fsum(mpmath.log(a) for a in on) + mpmath.fsum(mpmath.log1p(tau * a) for a in off)
            return logs - len(on) * mpmath.log(gamma * mass / room)

        low, high = mpmath.mpf(-100), mpmath.mpf(10_000)
        assert excess(low) < 0 < excess(high)
        for _ in range(120):
            middle = (low + high) / 2
            low, high = (middle, high) if excess(middle) < 0 else (low, middle)
        tau = mpmath.exp(low)
        mass = mpmath.fsum(a / (1 + tau * a) for a in off)
        ends = [
            mpmath.mpf(gamma) if d else room * (v / total) / (1 + tau * v / total) / mass
            for v, d in zip(q, drawn, strict=True)
        ]
        return [float(end) for end in ends], float(low)


def test_warm_end_of_the_ledger():
    end = categorical.warm_end([0.4, 0.3, 0.2, 0.1], [0, 0, 0, 1], 0.6)
    np.testing.assert_allclose(end.probs, [0.15625721, 0.13591163, 0.10783116, 0.6], atol=5e-9)


@pytest.mark.parametrize(
    ("previous", "drawn", "gamma", "tolerance"),
    [
        ([0.4, 0.3, 0.2, 0.1], [0, 0, 0, 1], 0.6, 1e-12),
        ([0.4, 0.3, 0.2, 0.1], [0, 1, 0, 1], 0.45, 1e-12),
        ([0.4, 0.3, 0.2, 0.1], [0, 1, 0, 1], 0.5 - 1e-9, 1e-12),
        ([0.5, 0.5 - 1e-12, 1e-12], [0, 0, 1], 0.51, 1e-12),
        ([0.5, 0.5 - 1e-300, 1e-300], [0, 0, 1], 0.9, 1e-12),
        # hardly moves: the digits of τ are those of γ − q_0, of which 1e-13 has four
        ([0.3, 0.3 - 1e-13, 0.2, 0.2 + 1e-13], [1, 1, 0, 0], 0.3, 2e-3),
        ([0.3, 0.25, 0.25, 0.2], [1, 0, 1, 0], 0.3, 1e-12),  # one drawn class at the cap already
        (zipf(100), np.arange(100) % 20 == 19, 0.199, 1e-12),
        ([0.8, 0.1, 0.06, 0.04], [0, 0, 1, 0], 0.15, 1e-12),  # outside the cap, but one class drawn
        ([0.99, 0.01 - 1e-9, 1e-9], [0, 0, 1], 1e-3, 1e-12),
    ],
)
def test_warm_end_solves_its_equation(previous, drawn, gamma, tolerance):
    end = categorical.warm_end(previous, drawn, gamma)
    exact, log_clock = exact_warm_end(previous, np.asarray(drawn) > 0, gamma)
    np.testing.assert_allclose(end.probs, exact, rtol=1e-12)
    assert math.log(end.clock) == pytest.approx(log_clock, abs=max(tolerance, 1e-15 * abs(log_clock)))
    assert end.probs.sum() == pytest.approx(1, abs=1e-13)


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")  # vacuous fits are what is tested
def test_warm_end_is_the_fit_of_the_library():
    rng = np.random.default_rng(13)
    for _ in range(40):
        gamma = rng.uniform(0.2, 0.9)
        previous = categorical.capped_projection(rng.dirichlet(np.ones(8)), gamma).probs
        counts = np.zeros(8, int)
        most = math.ceil(1 / gamma) - 1
        counts[rng.choice(8, rng.integers(1, most + 1), replace=False)] = rng.integers(1, 50)
        end = categorical.warm_end(previous, counts, gamma).probs
        fitted = tce.fit(tce.Categorical(previous), tce.Counts(counts), tce.TCE(gamma, vacuous="warm")).model.probs
        np.testing.assert_allclose(end, fitted, rtol=1e-9)


def descend(previous, frequencies, gamma, step):
    """Gradient descent on the logits until every drawn class has at least γ."""
    logits, drawn = np.log(previous), frequencies > 0
    for _ in range(10**6):
        q = np.exp(logits - logits.max())
        q /= q.sum()
        if (q[drawn] >= gamma).all():
            return q
        pull = frequencies * (q < gamma)
        logits -= step * (q * pull.sum() - pull)
    raise AssertionError("no end")


def test_warm_end_is_where_small_steps_of_descent_lead_for_any_frequencies():
    previous, gamma = np.array([0.38, 0.3, 0.2, 0.07, 0.05]), 0.4
    end = categorical.warm_end(previous, [0, 0, 0, 1, 1], gamma).probs
    rest = previous[:3] / previous[:3].sum() * 0.2  # negative control: the mass that is left shared out in proportion
    for share in (0.1, 0.9):
        reached = descend(previous, np.array([0, 0, 0, share, 1 - share]), gamma, 1e-3)
        assert np.abs(reached - end).max() < 3e-3  # three steps
        assert np.abs(reached[:3] - rest).max() > 1e-2


def test_warm_end_beyond_its_hypotheses_depends_on_the_frequencies():
    previous, gamma = np.array([0.8, 0.1, 0.1]), 0.15
    for share in (0.8, 0.2):
        reached = descend(previous, np.array([0, share, 1 - share]), gamma, 1e-3)
        favoured, other = (1, 2) if share > 0.5 else (2, 1)
        assert reached[favoured] > gamma + 0.004  # four steps
        assert reached[other] == pytest.approx(gamma, abs=1e-3)
    with pytest.raises(DomainError, match=r"^previous must be"):
        categorical.warm_end(previous, [0, 1, 1], gamma)


def test_warm_end_where_nothing_moves_or_all_is_taken():
    frozen = categorical.warm_end([0.95, 0.05], [1, 0], 0.9)
    assert (frozen.probs.tolist(), frozen.clock) == ([0.95, 0.05], 0.0)
    full = categorical.warm_end([0.4, 0.3, 0.2, 0.1], [0, 3, 0, 8], 0.5)
    assert (full.probs.tolist(), full.clock) == ([0, 0.5, 0, 0.5], math.inf)
    # the limit of Sγ ↑ 1
    near = categorical.warm_end([0.4, 0.3, 0.2, 0.1], [0, 3, 0, 8], 0.5 - 1e-10)
    np.testing.assert_allclose(near.probs, full.probs, atol=3e-10)
    third = categorical.warm_end([0.3, 0.3, 0.3, 0.1], [1, 1, 1, 0], 1 / 3)
    np.testing.assert_allclose(third.probs, [1 / 3, 1 / 3, 1 / 3, 0], rtol=1e-15)


def test_warm_end_of_many_classes():
    size = 10**5
    end = categorical.warm_end(np.full(size, 1 / size), np.arange(size) == 7, 0.3)
    np.testing.assert_allclose(np.delete(end.probs, 7), 0.7 / (size - 1), rtol=1e-11)


# --- literal-anticap


def literal_loss(f, gamma, q):
    return -f * (q <= gamma) * np.log(q) - (1 - f) * (1 - q <= gamma) * np.log(1 - q)


def test_literal_loss_of_the_ledger():
    assert categorical.literal_loss_anticaps(0.8, 0.9) is True
    assert categorical.literal_anticap_threshold(0.8) == pytest.approx(1 - 0.2 * 0.8**4, rel=1e-15)


def test_literal_loss_by_search():
    grid = np.arange(1, 200_000) / 200_000
    rng = np.random.default_rng(14)
    seen = set()
    for f, gamma in zip(rng.uniform(0.52, 0.98, 60), rng.uniform(0.52, 0.999, 60), strict=True):
        best = grid[np.argmin(literal_loss(f, gamma, grid))]
        where = gamma + 5e-6 if categorical.literal_loss_anticaps(f, gamma) else f
        if abs(gamma - categorical.literal_anticap_threshold(f)) > 1e-3:
            assert best == pytest.approx(where, abs=6e-6)
            seen.add(bool(where == f))
    assert seen == {True, False}


def test_literal_threshold_keeps_its_digits_and_agrees_with_the_condition():
    for f in (0.5, 0.6, 0.9, 1 - 1e-9, 1 - 1e-15):
        with mpmath.workdps(40):
            share = mpmath.mpf(f)
            room = (1 - share) * share ** (share / (1 - share))
            threshold = 1 - room
            entropy = -share * mpmath.log(share) - (1 - share) * mpmath.log(1 - share)
            assert abs(entropy + (1 - share) * mpmath.log(room)) < 1e-35
        assert categorical.literal_anticap_threshold(f) == pytest.approx(float(threshold), rel=1e-15)
        if f > 0.5:
            assert categorical.literal_loss_anticaps(f, [f, 1.0]).tolist() == [True, False]
    assert categorical.literal_loss_anticaps([[0.6], [0.9]], [0.7, 0.8, 0.95]).shape == (2, 3)


# --- cap-bias


@pytest.mark.parametrize(
    ("probs", "gamma"),
    [
        ([0.9, 0.07, 0.03], 0.6),
        (zipf(30), 0.04),
        ([0.5 + 1e-9, 0.3, 0.2 - 1e-9], 0.5),  # a small bias
        ([0.5, 0.3, 0.2], 0.34),
        ([0.5, 0.3, 0.2], 1 / 3),
        ([0.5, 0.3, 0.2], 0.5),
        ([1 - 1e-200, 1e-200], 0.9),
        ([1 - 1e-3, 1e-3 - 1e-22, 1e-22], 0.334),  # a class of 1e-22 is raised to 0.332
        ([1 - 1e-3, 1e-3 - 1e-22, 1e-22], 1 / 3 + 1e-13),  # and capped
    ],
)
def test_water_filling_bias_keeps_its_digits(probs, gamma):
    exact, _, _ = exact_water_filling(probs, gamma) if gamma != 1 / 3 else ([Fraction(1, 3)] * 3, None, None)
    bias = categorical.water_filling_bias(probs, gamma)
    with mpmath.workdps(60):
        p = [Fraction(float(value)) for value in probs]
        p = [mpmath.mpf(v.numerator) / v.denominator for v in (value / sum(p) for value in p)]
        q = [mpmath.mpf(v.numerator) / v.denominator for v in exact]
        variation = mpmath.fsum(max(a - b, 0) for a, b in zip(p, q, strict=True))
        forward = mpmath.fsum(a * mpmath.log(a / b) for a, b in zip(p, q, strict=True))
        backward = mpmath.fsum(b * mpmath.log(b / a) for a, b in zip(p, q, strict=True))
    # the inputs are rounded, at 1e-16: a total variation of 1e-9 has 7 digits, its square in KL as many
    tolerance = 1e-6 if "1e-9" in str(probs) or variation < 1e-8 else 1e-12
    expected = [float(variation), float(forward), float(backward)]
    np.testing.assert_allclose(bias, expected, rtol=tolerance, atol=1e-30)
    assert bias.total_variation == pytest.approx(categorical.cap_bias(probs, gamma), rel=1e-12)


# --- flat-gain


def test_flat_gain_is_sharp_where_the_support_is_an_integer():
    size, delta = 1000, 0.25
    support = categorical.flat_gain_support(size, delta)
    assert support == 800
    p = np.zeros(size)
    p[:support] = (1 + delta) / size
    assert np.abs(p - 1 / size).sum() / 2 == pytest.approx(categorical.flat_gain_total_variation(delta), rel=1e-13)


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")  # vacuous fits are part of the claim
def test_flat_gain_bounds_random_capped_laws_and_simulated_ones():
    rng = np.random.default_rng(15)
    size, delta = 10, 0.6
    bound = categorical.flat_gain_total_variation(delta)
    largest = 0.0
    for _ in range(500):
        p = categorical.capped_projection(rng.dirichlet(np.full(size, 0.05)) + 1e-12, (1 + delta) / size).probs
        largest = max(largest, np.abs(p - 1 / size).sum() / 2)
        assert np.count_nonzero(p) >= categorical.flat_gain_support(size, delta)
    assert 0.9 * bound < largest <= bound
    run = tce.simulate(
        tce.Categorical(np.full(size, 1 / size)),
        tce.TCE((1 + delta) / size),
        n_samples=20,
        generations=200,
        replicates=20,
        metrics=["tv", "support"],
        seed=3,
    )
    assert run.metrics["tv"].max() <= bound + 1e-12
    assert run.metrics["support"].min() >= categorical.flat_gain_support(size, delta)
    assert run.metrics["tv"].max() > 0.9 * bound


def test_flat_gain_shapes_and_limits():
    assert categorical.flat_gain_total_variation([0.0, 1.0, 1e300]).tolist() == [0.0, 0.5, 1.0]
    assert categorical.flat_gain_support([10**12, 5], [[0.0], [9.0]]).tolist() == [[10**12, 5], [10**11, 1]]
    assert type(categorical.flat_gain_support(10, 0.5)) is int


# --- tabular-limit


def test_tabular_bound_holds_and_a_thousandth_of_it_does_not():
    f, gamma = np.array([0.9, 0.07, 0.03]), 0.6
    best = categorical.capped_projection(f, gamma).probs

    def objective(q):
        return float(np.sum(f * np.maximum(-np.log(q), -math.log(gamma))))

    for step, steps in ((0.3, 50), (1.0, 200), (0.05, 400)):
        logits, total = np.zeros(3), np.zeros(3)
        largest = 0.0
        for _ in range(steps):
            q = np.exp(logits) / np.exp(logits).sum()
            total += logits
            pull = f * (q <= gamma)
            gradient = q * pull.sum() - pull
            largest = max(largest, float(gradient @ gradient))
            logits = logits - step * gradient
        mean = np.exp(total / steps) / np.exp(total / steps).sum()
        # a minimiser in logits, centred like every iterate
        distance = float(np.linalg.norm(np.log(best) - np.log(best).mean()))
        gap = objective(mean) - objective(best)
        assert 0 <= gap <= categorical.tabular_gap_bound(distance, step, steps, gradient_square=largest)
        assert gap <= categorical.tabular_gap_bound(distance, step, steps)
        assert gap > 1e-3 * categorical.tabular_gap_bound(distance, step, steps, gradient_square=largest)
    assert categorical.tabular_gap_bound([1.0, 2.0], [[0.1], [0.2]], 10).shape == (2, 2)


def test_tabular_averages_of_the_ledger():
    # the mean of the logits at a constant step is off by a multiple of the step; 0.6 is the limit
    f, gamma = np.array([0.9, 0.07, 0.03]), 0.6
    found = []
    for step in (1.0, 0.3, 0.05):
        logits, total, steps = np.zeros(3), np.zeros(3), int(2000 / step**0.5)
        for index in range(2 * steps):
            q = np.exp(logits) / np.exp(logits).sum()
            total += logits if index >= steps else 0
            pull = f * (q <= gamma)
            logits = logits - step * (q * pull.sum() - pull)
        mean = total / steps
        found.append((np.exp(mean) / np.exp(mean).sum())[0])
    np.testing.assert_allclose(found, [0.641, 0.612, 0.602], atol=6e-4)


# --- mode-seeking-limit


@pytest.mark.parametrize(
    ("probs", "gamma"),
    [
        ([0.4, 0.3, 0.2, 0.1], 0.3),
        ([0.1, 0.2, 0.3, 0.4], 0.9),
        ([0.3, 0.3, 0.2, 0.2], 0.9),  # a tie
        ([0.4, 0.2, 0.2, 0.2], 0.5),  # 1/γ an integer, and a tie at its rank
        ([0.35, 0.35, 0.2, 0.1], 0.5),  # 1/γ an integer, and a tie above its rank
        ([0.4, 0.3, 0.2, 0.1], 0.25),
        ([0.4, 0.3, 0.2, 0.1], 1.0),
        ([0.5, 0.2, 0.2, 0.1, 0.0], 0.4),
    ],
)
@pytest.mark.parametrize("temperature", [0.5, 0.8])
def test_mode_seeking_limit_is_where_the_recursion_goes(probs, gamma, temperature):
    p = np.array(probs)
    for _ in range(60):
        sharp = (p / p.max()) ** (1 / temperature)
        sharp = np.maximum(sharp, (p > 0) * 1e-280)
        p = categorical.capped_projection(sharp / sharp.sum(), gamma).probs
    limit = categorical.mode_seeking_limit(probs, gamma)
    np.testing.assert_allclose(p, limit, atol=1e-9)
    assert limit.sum() == pytest.approx(1, abs=1e-14)


def test_mode_seeking_limit_without_ties_has_the_least_entropy():
    rng = np.random.default_rng(16)
    for gamma in rng.uniform(0.05, 1.0, 50):
        limit = categorical.mode_seeking_limit(rng.dirichlet(np.ones(40)), gamma)
        entropy = -np.sum(limit[limit > 0] * np.log(limit[limit > 0]))
        assert entropy == pytest.approx(categorical.entropy_floor(gamma), abs=1e-12)
    tied = categorical.mode_seeking_limit([0.3, 0.3, 0.2, 0.2], 0.9)
    assert tied.tolist() == [0.5, 0.5, 0.0, 0.0]
    assert math.log(2) > categorical.entropy_floor(0.9) + 0.3


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: categorical.capped_projection([0.5, 0.5], 0.4), "gamma"),
        (lambda: categorical.capped_projection([0.5, 0.5, 0.0], 0.4), "gamma"),
        (lambda: categorical.capped_projection([0.5, 0.5], 1.1), "gamma"),
        (lambda: categorical.capped_projection([0.5, 0.4], 0.9), "frequencies"),
        (lambda: categorical.capped_projection([0.5, math.nan], 0.9), "frequencies"),
        (lambda: categorical.warm_end([0.5, 0.5], [1, 1], 0.9), "gamma"),
        (lambda: categorical.warm_end([0.5, 0.5], [0, 0], 0.9), "drawn"),
        (lambda: categorical.warm_end([0.5, 0.5], [1], 0.9), "drawn"),
        (lambda: categorical.warm_end([0.5, 0.5], [-1, 1], 0.9), "drawn"),
        (lambda: categorical.warm_end([0.5, 0.5, 0.0], [0, 0, 1], 0.9), "drawn"),
        (lambda: categorical.warm_end([0.7, 0.2, 0.1], [0, 1, 1], 0.4), "previous"),
        (lambda: categorical.literal_loss_anticaps(0.4, 0.9), "f"),
        (lambda: categorical.literal_loss_anticaps(0.6, 0.5), "gamma"),
        (lambda: categorical.literal_anticap_threshold(1.0), "f"),
        (lambda: categorical.water_filling_bias([0.5, 0.5], 0.4), "gamma"),
        (lambda: categorical.flat_gain_total_variation(-0.1), "delta"),
        (lambda: categorical.flat_gain_support(0, 0.1), "size"),
        (lambda: categorical.tabular_gap_bound(1.0, 0.0, 10), "step"),
        (lambda: categorical.tabular_gap_bound(1.0, 0.1, 0), "steps"),
        (lambda: categorical.tabular_gap_bound(-1.0, 0.1, 1), "distance"),
        (lambda: categorical.tabular_gap_bound(1.0, 0.1, 1, gradient_square=-1.0), "gradient_square"),
        (lambda: categorical.mode_seeking_limit([0.5, 0.5], 0.4), "gamma"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
