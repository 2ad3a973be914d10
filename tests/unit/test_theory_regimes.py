"""Closed forms of the data regimes (accumulate, accumulate-subsample, golden-mix, staged): exact sums and points."""

import importlib
import math
from fractions import Fraction
from pathlib import Path

import mpmath
import numpy as np
import pytest

from tce_theory.errors import DomainError
from tce_theory.theory import regimes

DRAWS = ["without replacement", "with replacement", "mixture"]


@pytest.fixture(autouse=True)
def _sixty_digits():
    with mpmath.workdps(60):
        yield


@pytest.fixture(scope="module")
def equivalence():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "statistical")
        return importlib.import_module("equivalence")


def sum_of_inverse_squares(t):
    return math.fsum(1 / i**2 for i in range(1, t + 1))


# ------------------------------------------------------------------------------------------------- accumulate


@pytest.mark.parametrize("n", [1, 2, 3, 10, 1000, 10**8, 10**12])
@pytest.mark.parametrize("t", [0, 1, 2, 5, 10**4, 10**12])
def test_accumulate_factor(n, t):
    if t <= 5:
        product = Fraction(1)
        for i in range(1, t + 1):
            product *= 1 - Fraction(1, n * i**2)
        exact = mpmath.mpf(product.numerator) / product.denominator
    elif n == 1:
        exact = mpmath.mpf(0)
    else:
        z = 1 / mpmath.sqrt(n)
        exact = mpmath.gammaprod([t + 1 + z, t + 1 - z], [t + 1, t + 1, 1 + z, 1 - z])
    assert float(abs(regimes.accumulate_factor(n, t=t) - exact)) <= 4e-16 * float(exact)


def test_accumulate_limit():
    assert regimes.accumulate_factor(10) == pytest.approx(0.843435857, abs=5e-10)
    assert regimes.accumulate_factor(1) == 0.0
    n = np.array([2, 5, 10**6, 10**12])
    np.testing.assert_allclose(
        regimes.accumulate_factor(n), [float(mpmath.sincpi(1 / mpmath.sqrt(m))) for m in n.tolist()], rtol=4e-16
    )
    np.testing.assert_allclose(regimes.accumulate_factor(n, t=2**53), regimes.accumulate_factor(n), rtol=1e-15)
    assert regimes.accumulate_factor(np.array([[2], [3]]), t=np.arange(4)).shape == (2, 4)
    assert (np.diff(regimes.accumulate_factor(2, t=np.arange(50))) < 0).all()


def test_accumulate_simulated(equivalence):
    """Gaussian, from points: what the scale loses the mean takes up. Control: n + 1 in place of n."""
    rng = np.random.default_rng(41)
    n, generations, replicates = 3, 6, 150_000
    mean, std = np.zeros(replicates), np.ones(replicates)
    total, squares = np.zeros(replicates), np.zeros(replicates)
    for t in range(1, generations + 1):
        points = mean[:, None] + std[:, None] * rng.standard_normal((replicates, n))
        total += points.sum(axis=1)
        squares += (points**2).sum(axis=1)
        mean = total / (t * n)
        std = np.sqrt(np.maximum(squares / (t * n) - mean**2, 0.0))
    right, wrong = regimes.accumulate_factor([n, n + 1], t=generations)
    equivalence.check(equivalence.mean_of(std**2), right, wrong)
    equivalence.check(equivalence.mean_of(mean**2), 1 - right, 1 - wrong)


def test_accumulate_heterozygosity_simulated(equivalence):
    """Three classes, from counts. Control: n + 1 in place of n."""
    rng = np.random.default_rng(42)
    n, generations = 4, 5
    initial = np.array([0.5, 0.3, 0.2])
    probs = np.tile(initial, (120_000, 1))
    counts = np.zeros(probs.shape)
    for t in range(1, generations + 1):
        counts += rng.multinomial(n, probs)
        probs = counts / (t * n)
    heterozygosity = (1 - (probs**2).sum(axis=1)) / (1 - (initial**2).sum())
    right, wrong = regimes.accumulate_factor([n, n + 1], t=generations)
    equivalence.check(equivalence.mean_of(heterozygosity), right, wrong)


# ------------------------------------------------------------------------------------------------- regression


def test_regression_errors():
    assert regimes.regression_replace_error(7, 20, 3, noise_std=2.0) == pytest.approx(7 * 4 * 3 / 16, rel=1e-15)
    for t in (1, 2, 10, 1000):
        exact = 4 * 3 / 16 * sum_of_inverse_squares(t)
        assert regimes.regression_accumulate_error(20, 3, noise_std=2.0, t=t) == pytest.approx(exact, rel=1e-14)
    assert regimes.regression_accumulate_error(20, 3, t=0) == 0.0
    limit = regimes.regression_accumulate_error(20, 3)
    assert limit == pytest.approx(math.pi**2 / 6 * 3 / 16, rel=1e-15)
    assert regimes.regression_accumulate_error(20, 3, t=10**12) == pytest.approx(limit, rel=2e-12)
    assert regimes.regression_replace_error([1, 2], [[20], [30]], 3).shape == (2, 2)
    assert regimes.regression_accumulate_error([20, 30], 3, t=[[1], [2]]).shape == (2, 2)
    # the shortest admissible design
    assert regimes.regression_replace_error(1, 3, 1) == 1.0


def test_regression_simulated(equivalence):
    """Control: the number of fits (replace: one more; accumulate: one less)."""
    rng = np.random.default_rng(43)
    n, d, fits, replicates, noise_std = 12, 2, 3, 100_000, 0.5
    design = rng.standard_normal((replicates, n, d))
    inverse = np.linalg.inv(design.transpose(0, 2, 1) @ design) @ design.transpose(0, 2, 1)
    replaced = np.zeros((replicates, d))
    accumulated, labels = np.zeros((replicates, d)), np.zeros((replicates, n))
    for fit in range(1, fits + 1):
        noise = noise_std * rng.standard_normal((2, replicates, n))
        replaced = np.einsum("rdn,rn->rd", inverse, np.einsum("rnd,rd->rn", design, replaced) + noise[0])
        labels += np.einsum("rnd,rd->rn", design, accumulated) + noise[1]
        accumulated = np.einsum("rdn,rn->rd", inverse, labels / fit)  # least squares of equal designs: mean labels
    replace = [regimes.regression_replace_error(t, n, d, noise_std=noise_std) for t in (fits, fits + 1)]
    accumulate = [regimes.regression_accumulate_error(n, d, noise_std=noise_std, t=t) for t in (fits, fits - 1)]
    equivalence.check(equivalence.mean_of((replaced**2).sum(axis=1)), *replace)
    equivalence.check(equivalence.mean_of((accumulated**2).sum(axis=1)), *accumulate)


# ------------------------------------------------------------------------------------------------- subsampled pools


def test_subsample_limits_of_the_ledger():
    limits = [regimes.accumulate_subsample_limit(50, std=3.0, draw=draw) * 50 / 9 for draw in DRAWS]
    np.testing.assert_allclose(limits, [math.pi**2 / 2 - 2, math.pi**2 / 3, math.pi**2 / 6], rtol=1e-15)


@pytest.mark.parametrize(("draw", "slope", "offset"), [(DRAWS[0], 3, -2), (DRAWS[1], 2, 0), (DRAWS[2], 1, 0)])
@pytest.mark.parametrize("n", [10, 1000, 10**12])
def test_subsample_variance_is_near_its_leading_order(n, draw, slope, offset):
    t = np.array([1, 2, 3, 10, 1000])
    leading = [slope * sum_of_inverse_squares(i) + offset for i in t.tolist()]
    found = n * regimes.accumulate_subsample_variance(t, n, draw=draw)
    # the bound that the proof gives
    assert (np.abs(found - leading) <= 9 / 4 / (n - 1) + 1e-13).all()
    assert regimes.accumulate_subsample_variance(0, n, draw=draw) == 0.0


def exact_subsample_variance(n, t, draw):
    """The covariance of all stored points and fits, in fractions: no use of the recursion of the library."""
    if draw == "mixture":
        # fit s is the mean of n points, each with the mean of one of the fits 0 .. s − 1 chosen at random
        second = [[Fraction(0)]]  # E θ_i θ_j
        for s in range(1, t + 1):
            cross = [sum(second[i][j] for j in range(s)) / s for i in range(s)]
            pair = sum(second[i][j] for i in range(s) for j in range(s)) / Fraction(s) ** 2
            single = 1 + sum(second[i][i] for i in range(s)) / Fraction(s)
            for i in range(s):
                second[i].append(cross[i])
            second.append([*cross, single / n + pair * Fraction(n - 1, n)])
        return second[t][t]
    points: list[list[Fraction]] = []  # E x_i x_j of the pool
    variance = Fraction(0)
    for _ in range(t):
        # new points: θ + noise, θ the fit before; its products with the pool are those of a random stored point
        size = len(points)
        with_fit = [sum(row) / Fraction(size) for row in points]
        for i in range(size):
            points[i] += [with_fit[i]] * n
        for a in range(n):
            points.append([*with_fit, *[variance + (1 if a == b else 0) for b in range(n)]])
        size += n
        diagonal = sum(points[i][i] for i in range(size))
        everything = sum(sum(row) for row in points)
        if draw == "with replacement":
            pair = everything / Fraction(size) ** 2
        else:
            pair = (everything - diagonal) / Fraction(size * (size - 1))
        variance = diagonal / Fraction(size) / n + pair * Fraction(n - 1, n)
    return variance


@pytest.mark.parametrize("draw", DRAWS)
@pytest.mark.parametrize(("n", "t"), [(2, 1), (2, 6), (5, 4)])
def test_subsample_variance_in_fractions(n, t, draw):
    exact = float(exact_subsample_variance(n, t, draw))
    assert regimes.accumulate_subsample_variance(t, n, std=2.0, draw=draw) == pytest.approx(4 * exact, rel=1e-14)


@pytest.mark.parametrize("draw", DRAWS)
def test_one_point_of_the_pool_has_no_bound(draw):
    t = np.array([0, 1, 2, 100])
    harmonic = [sum(1 / i for i in range(1, each + 1)) for each in t.tolist()]
    np.testing.assert_allclose(regimes.accumulate_subsample_variance(t, 1, draw=draw), harmonic, rtol=1e-14)


def test_subsample_simulated(equivalence):
    """From points, n = 4. Control: the limit of another draw in the place of each."""
    rng = np.random.default_rng(44)
    n, generations, replicates = 4, 5, 60_000
    fits = {draw: np.zeros((replicates, 1)) for draw in DRAWS}
    pools = {draw: np.zeros((replicates, 0)) for draw in DRAWS[:2]}
    for t in range(1, generations + 1):
        for draw, pool in pools.items():
            fresh = fits[draw][:, -1:] + rng.standard_normal((replicates, n))
            pools[draw] = stored = np.concatenate([pool, fresh], axis=1)
            if draw == "with replacement":
                chosen = rng.integers(t * n, size=(replicates, n))
            else:
                chosen = np.argsort(rng.random(stored.shape), axis=1)[:, :n]
            mean = np.take_along_axis(stored, chosen, axis=1).mean(axis=1, keepdims=True)
            fits[draw] = np.concatenate([fits[draw], mean], axis=1)
        past = fits["mixture"]
        chosen = rng.integers(t, size=(replicates, n))
        points = np.take_along_axis(past, chosen, axis=1) + rng.standard_normal((replicates, n))
        fits["mixture"] = np.concatenate([past, points.mean(axis=1, keepdims=True)], axis=1)
    exact = [regimes.accumulate_subsample_variance(generations, n, draw=draw) for draw in DRAWS]
    for draw, right, wrong in zip(DRAWS, exact, [exact[1], exact[0], exact[1]], strict=True):
        equivalence.check(equivalence.mean_of(fits[draw][:, -1] ** 2), right, wrong)


# ------------------------------------------------------------------------------------------------- golden mix


@pytest.mark.parametrize("k", [1e-300, 1e-12, 0.1, 1.0, 7.0, 1e9, 1e300])
def test_golden_weight(k):
    ratio = mpmath.mpf(k)
    exact = 2 * ratio / (mpmath.sqrt(ratio**2 + 4 * ratio) + ratio)
    assert float(abs(regimes.golden_mix_weight(k) / exact - 1)) < 1e-15
    # the limiting variance at w* is w* σ²/n
    weight = regimes.golden_mix_weight(k)
    assert regimes.golden_mix_variance(25, weight, k, std=2.0) == pytest.approx(weight * 4 / 25, rel=1e-14)


@pytest.mark.parametrize("k", [1e-3, 1.0, 40.0])
def test_golden_weight_is_the_best(k):
    best = regimes.golden_mix_weight(k)
    weights = np.concatenate([best * np.linspace(0.01, 0.999, 50), best + (1 - best) * np.linspace(0.001, 1, 50)])
    assert (regimes.golden_mix_variance(1, weights, k) > regimes.golden_mix_variance(1, best, k)).all()


def test_golden_variance_by_its_recursion():
    n, w, k, std = 20, 0.03, 0.4, 1.5
    variance = 0.0
    for t in range(40):
        assert regimes.golden_mix_variance(n, w, k, std=std, t=t) == pytest.approx(variance, rel=1e-13)
        variance = (1 - w) ** 2 * (variance + std**2 * k / n) + w**2 * std**2 / n
    assert regimes.golden_mix_variance(n, 1.0, k, t=[0, 1, 2]).tolist() == [0.0, 1 / n, 1 / n]
    # without fresh data the variance grows by k σ²/n a generation
    assert regimes.golden_mix_variance(n, 1e-12, k, t=50) == pytest.approx(50 * k / n, rel=1e-9)
    assert regimes.golden_mix_variance(n, 0.5, np.ones((2, 1)), t=np.arange(3)).shape == (2, 3)
    # the limit is beyond float64, the variance of few generations is not
    assert regimes.golden_mix_variance(1, 1e-300, 1e10) == math.inf
    assert regimes.golden_mix_variance(1, 1e-300, 1e10, t=[0, 1, 3]).tolist() == [0.0, 1e10, 3e10]


# ------------------------------------------------------------------------------------------------- staged


def test_staged_shares():
    stage = np.arange(6)
    np.testing.assert_allclose(regimes.staged_real_share(stage), 1 / (stage + 1))
    np.testing.assert_allclose(regimes.staged_corpus_share(stage, 6), (stage + 1) / 6)
    # the real part of every corpus is one fraction
    np.testing.assert_allclose(regimes.staged_real_share(stage) * regimes.staged_corpus_share(stage, 6), 1 / 6)


def test_staged_factor_in_fractions():
    m = 3
    loss = Fraction(1, m)
    for i in range(30):
        assert regimes.staged_factor(m, i=i) == pytest.approx(float(1 - loss), rel=1e-14)
        s = i + 1
        # corpus i + 1: s m points of model i and m fresh ones; 1 − Σp² of their frequencies
        kept = (1 - loss) * (1 - Fraction(1, s * m))  # 1 − Σp² within the regenerated part
        within = Fraction(s * s, (s + 1) ** 2) * kept + Fraction(1, (s + 1) ** 2) * (1 - Fraction(1, m))
        loss = 1 - (within + Fraction(2 * s, (s + 1) ** 2))  # two points of different parts differ with H_0
    assert regimes.staged_factor(m) == pytest.approx(6 / 7, rel=1e-15)
    assert regimes.staged_factor(m, i=10**5) == pytest.approx(6 / 7, rel=1e-5)
    assert (np.diff(regimes.staged_factor(m, i=np.arange(100))) > 0).all()
    assert regimes.staged_factor([[1], [2]], i=[0, 3, 4]).shape == (2, 3)


def test_staged_simulated(equivalence):
    """Two classes, from counts. Control: without the regeneration, where the corpus is all real."""
    rng = np.random.default_rng(45)
    m, stages, p, replicates = 4, 4, 0.4, 150_000
    probs = rng.binomial(m, p, size=replicates) / m
    for i in range(1, stages):
        probs = (rng.binomial(i * m, probs) + rng.binomial(m, p, size=replicates)) / ((i + 1) * m)
    share = probs * (1 - probs) / (p * (1 - p))
    equivalence.check(equivalence.mean_of(share), regimes.staged_factor(m, i=stages - 1), 1 - 1 / (stages * m))


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: regimes.accumulate_factor(0), "n"),
        (lambda: regimes.accumulate_factor(3, t=-1), "t"),
        (lambda: regimes.accumulate_factor(3, t=1.5), "t"),
        (lambda: regimes.regression_replace_error(1, 10, 9), "n"),
        (lambda: regimes.regression_replace_error(1, [10, 20], [3, 19]), "n"),
        (lambda: regimes.regression_replace_error(1, 10, 0), "d"),
        (lambda: regimes.regression_accumulate_error(10, 3, noise_std=0.0), "noise_std"),
        (lambda: regimes.accumulate_subsample_limit(10, draw="bootstrap"), "draw"),
        (lambda: regimes.accumulate_subsample_limit(1), "n"),
        (lambda: regimes.accumulate_subsample_limit(10, draw=None), "draw"),
        (lambda: regimes.accumulate_subsample_variance(10**6 + 1, 10), "t"),
        (lambda: regimes.accumulate_subsample_variance(1, 10, std=math.inf), "std"),
        (lambda: regimes.golden_mix_variance(10, 0.0, 1.0), "w"),
        (lambda: regimes.golden_mix_variance(10, 1.1, 1.0), "w"),
        (lambda: regimes.golden_mix_weight(0.0), "k"),
        (lambda: regimes.staged_real_share(-1), "i"),
        (lambda: regimes.staged_corpus_share([1, 4], 4), "i"),
        (lambda: regimes.staged_corpus_share(0, 0), "stages"),
        (lambda: regimes.staged_factor(0), "m"),
        (lambda: regimes.staged_factor(2, i=10**6 + 1), "i"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be") as error:
        call()
    assert error.value.argument == argument
