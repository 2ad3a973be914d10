"""Closed forms of the categorical recursion (wright-fisher to tails-unprotected, support-floor, cap-bias)."""

import math

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.exact import TwoClassChain
from tce_theory.theory import categorical


def zipf(size, exponent=1.0):
    weights = np.arange(1, size + 1) ** -exponent
    return weights / weights.sum()


# --- tail-extinction


def test_surviving_types_of_the_ledger():
    expected = categorical.expected_surviving_types(zipf(10**5), 10**7, [10, 100])
    np.testing.assert_allclose(expected, [91893.235190, 37562.689962], atol=5e-7, rtol=0)


def test_extinction_recursion_keeps_its_digits():
    times = [0, 1, 2, 10, 100, 10**4]
    with mpmath.workdps(40):
        survival, exact = mpmath.mpf(1), {}
        for t in range(10**4 + 1):
            if t in times:
                exact[t] = survival
            survival = -mpmath.expm1(-survival)
        for t in times:
            assert float(abs(categorical.survival_probability(t) / exact[t] - 1)) < 1e-13
            assert float(abs(categorical.extinction_probability(t) - (1 - exact[t]))) < 1e-15


def test_extinction_recursion_far_out():
    # 2/s_t = t + log(t)/3 + 1.80 + o(1) (ledger), with 1.7982 for the constant
    t = np.array([10**4, 10**5, 10**6])
    constant = 2 / categorical.survival_probability(t) - t - np.log(t) / 3
    np.testing.assert_allclose(constant, 1.7982, atol=3e-4)


def test_suresh_rates_are_the_same_recursion():
    # g_1 = 1, g_{k+1} = 1 − exp(−g_k); n = 10, λ = 1: Pr(λ_k ≠ 0) = 1 − exp(−10 g_k)
    for k, expected in ((10, 0.821389), (50, 0.318710)):
        assert -math.expm1(-10 * categorical.survival_probability(k - 1)) == pytest.approx(expected, abs=5e-7)


def test_surviving_types_where_extinction_is_all_but_certain():
    t, n = 10**5, 100
    probs = np.array([1e-9, 0.3, 0.7 - 1e-9])
    with mpmath.workdps(40):
        log_q = mpmath.log1p(-mpmath.mpf(categorical.survival_probability(t)))
        exact = -sum(mpmath.expm1(n * mpmath.mpf(p) * log_q) for p in probs)
        assert float(abs(categorical.expected_surviving_types(probs, n, t) / exact - 1)) < 1e-13


def test_surviving_types_at_the_start_and_in_shape():
    probs = [0.5, 0.5, 0.0]
    assert categorical.expected_surviving_types(probs, 10, 0) == 2.0
    table = categorical.expected_surviving_types(probs, [[5], [10]], [0, 1, 2])
    assert table.shape == (2, 3)
    assert table[1, 1] == pytest.approx(2 * -math.expm1(-5), rel=1e-14)
    assert np.all(np.diff(table, axis=1) < 0)


def test_surviving_types_sums_chunks():
    size = 3 * 2**18 + 5
    uniform = np.full(size, 1 / size)
    assert categorical.expected_surviving_types(uniform, 2 * size, 3) == pytest.approx(
        size * (1 - categorical.extinction_probability(3) ** 2), rel=1e-12
    )


# --- wright-fisher


def test_heterozygosity_decay_keeps_its_digits():
    with mpmath.workdps(40):
        for n, t in ((2, 5), (100, 136), (10**12, 10**11)):
            exact = (1 - mpmath.mpf(1) / n) ** t
            assert float(abs(categorical.heterozygosity_decay(t, n) / exact - 1)) < 1e-13
    assert categorical.heterozygosity_decay([0, 1, 2], 1).tolist() == [1.0, 0.0, 0.0]


def test_wright_fisher_eigenvalues_are_products():
    for n in (1, 5, 30, 1000):
        products = np.concatenate([[1.0], np.cumprod(1 - np.arange(n) / n)])
        np.testing.assert_allclose(categorical.wright_fisher_eigenvalues(n, np.arange(n + 1)), products, rtol=2e-12)
    assert categorical.wright_fisher_eigenvalues(5, [6, 100]).tolist() == [0.0, 0.0]
    assert 1 - categorical.wright_fisher_eigenvalues(10**12, 2) == pytest.approx(1e-12, rel=1e-3)


def test_absorption_time_limit():
    assert categorical.absorption_time_limit(100, 0.5) == pytest.approx(200 * math.log(2), rel=1e-14)
    assert categorical.absorption_time_limit(100, [0.0, 1.0]).tolist() == [0.0, 0.0]
    p = mpmath.mpf(1e-12)
    exact = -2 * (p * mpmath.log(p) + (1 - p) * mpmath.log1p(-p))
    assert float(abs(categorical.absorption_time_limit(1, 1e-12) / exact - 1)) < 1e-14


def test_bounds_on_the_absorption_time_at_every_n():
    for n in (1, 2, 3, 10, 200):
        for p in (0.5, 0.3, 0.02):
            time = TwoClassChain(n, p).mean_absorption_time()
            assert categorical.absorption_time_limit(n, p) / 2 <= time <= n * (1 + math.log(n))


def test_fixation_probability_is_the_initial_one():
    assert categorical.fixation_probability(0.3) == 0.3
    probs = np.array([[0.0, 1.0]])
    result = categorical.fixation_probability(probs)
    assert result.tolist() == [[0.0, 1.0]]
    assert result is not probs


@pytest.mark.parametrize(("n", "num_classes"), [(1, 2), (7, 2), (5, 3), (6, 4), (3, 9)])
def test_multiplicities_add_up_to_the_states(n, num_classes):
    total = sum(categorical.wright_fisher_multiplicity(k, num_classes) for k in range(n + 1))
    assert total == math.comb(n + num_classes - 1, num_classes - 1)


def test_multiplicities_are_those_of_the_chain_of_three_classes():
    n = 4
    states = [(i, j, n - i - j) for i in range(n + 1) for j in range(n + 1 - i)]
    matrix = np.array([
        [math.factorial(n) * math.prod((i / n) ** j / math.factorial(j) for i, j in zip(a, b, strict=True))
         for b in states]
        for a in states
    ])  # fmt: skip
    found = np.sort(np.linalg.eigvals(matrix).real)[::-1]
    degrees = np.repeat(np.arange(n + 1), [categorical.wright_fisher_multiplicity(k, 3) for k in range(n + 1)])
    np.testing.assert_allclose(found, categorical.wright_fisher_eigenvalues(n, degrees), atol=1e-7)


@pytest.mark.parametrize("k", [0, 1, 2, 37, 10**4, 10**6, 10**12])
@pytest.mark.parametrize("num_classes", [2, 3, 50, 10**4, 10**7, 10**12])
def test_log_multiplicity_keeps_its_digits(k, num_classes):
    with mpmath.workdps(60):
        exact = mpmath.loggamma(k + num_classes - 1) - mpmath.loggamma(k + 1) - mpmath.loggamma(num_classes - 1)
        found = categorical.log_wright_fisher_multiplicity(k, num_classes)
        assert float(abs(found - exact)) <= 2e-14 * max(float(exact), 1e-300) + 0.0
    if max(k, num_classes) <= 10**4:
        exact = categorical.wright_fisher_multiplicity(k, num_classes)
        assert found == pytest.approx(float(mpmath.log(exact)), rel=1e-13, abs=0)


# --- tail-extinction: one class, and the constant


def test_survival_constant():
    with mpmath.workdps(40):
        # 2/s_t − t − log(t)/3 − C is about log(t)/(9t): expand once more, u − log(u)/3 + 1/(18u) + 1/(135u²) = t + C
        survival, t = mpmath.mpf(1), 10**4
        for _ in range(t):
            survival = -mpmath.expm1(-survival)
        u = 2 / survival
        constant = u - t - mpmath.log(u) / 3 + 1 / (18 * u) + 1 / (135 * u**2)
        assert float(abs(categorical.survival_constant() - constant)) < 1e-13
    assert round(categorical.survival_constant(), 3) == 1.798


def test_class_survival_probability():
    with mpmath.workdps(40):
        for t, n, p in ((1, 10, 0.05), (100, 10**12, 1e-13), (10**4, 10**6, 3e-7), (7, 5, 1.0)):
            log_q = mpmath.log1p(-mpmath.mpf(categorical.survival_probability(t)))
            exact = -mpmath.expm1(n * mpmath.mpf(p) * log_q)
            assert float(abs(categorical.class_survival_probability(t, n, p) / exact - 1)) < 1e-13
    assert categorical.class_survival_probability([0, 3], 10, [[0.0], [0.2]])[:, 0].tolist() == [0.0, 1.0]
    assert categorical.class_survival_probability(10**6, 10**7, 0.0) == 0.0
    probs = zipf(30)
    assert categorical.class_survival_probability(9, 50, probs).sum() == pytest.approx(
        categorical.expected_surviving_types(probs, 50, 9), rel=1e-14
    )


def test_survival_under_multinomial_sampling_is_above_the_bound_and_the_bound_is_sharp():
    for n, count in ((5, 1), (30, 1), (30, 4), (200, 1)):
        chain = TwoClassChain(n, count / n)
        for t in (1, 2, 6, 25):
            survival = 1 - chain.distribution(t)[0]
            bound = categorical.class_survival_probability(t, n, count / n)
            assert bound < survival
            # the same with n + 2 expected points in place of n is no bound for a rare class: the constant is right
            if n == 200 and t <= 6:
                assert categorical.class_survival_probability(t, n + 2, count / n) > survival


# --- tails-unprotected


def test_composition_decay():
    assert categorical.composition_decay([1, 2, 4]).tolist() == [0.0, 0.5, 0.75]
    assert 1 - categorical.composition_decay(10**12) == pytest.approx(1e-12, rel=1e-3)
    # three classes, two of them in U, by enumeration of all samples of five points with N of them in U
    p, n = (0.2, 0.3, 0.5), 5
    initial = 2 * 0.4 * 0.6
    for inside in range(1, n + 1):
        weights, heterozygosity = [], []
        for i in range(inside + 1):
            weights.append(math.comb(inside, i) * p[0] ** i * p[1] ** (inside - i))
            heterozygosity.append(2 * i * (inside - i) / inside**2)
        mean = np.average(heterozygosity, weights=weights)
        assert mean == pytest.approx(initial * categorical.composition_decay(inside), abs=1e-15)


# --- two-class-persistence


def test_persistence_limit_keeps_its_digits():
    with mpmath.workdps(60):
        for n in (1, 100, 10**6, 10**12):
            for gamma in (0.5 + 1e-12, 0.6, 0.9, 0.999, 1 - 1e-12, 1 - 2.0**-53):
                g = mpmath.mpf(gamma)
                exact = mpmath.log(2 * n * g * (1 - g)) / 2 + mpmath.log(mpmath.log(g / (1 - g))) - n * mpmath.log(g)
                found = categorical.log_two_class_persistence_limit(n, gamma)
                assert float(abs(found - exact)) < 2e-14 * (1 + float(abs(exact)))
    assert categorical.two_class_persistence_limit(100, 0.9) == pytest.approx(279516.367 / 0.796, rel=1e-3)
    assert categorical.two_class_persistence_limit([10, 10**12], 0.9)[1] == math.inf
    assert categorical.log_two_class_persistence_limit([[10], [20]], [0.6, 0.7, 0.8]).shape == (2, 3)


@pytest.mark.parametrize("gamma", [0.8, 0.9])
def test_persistence_limit_is_the_limit_of_exact_times(gamma):
    # the relative error is of order n^(−1/2): extrapolate over n and 4n; what is left is of order 1/n
    ratios = []
    for n in (100, 400):
        loss = tce.TCE(gamma, vacuous="drawn-only")
        exact = math.log(TwoClassChain(n, 0.5, loss=loss).mean_absorption_time())
        ratios.append(math.exp(exact - categorical.log_two_class_persistence_limit(n, gamma)))
    limit = 2 * ratios[1] - ratios[0]
    assert abs(limit - 1) < 0.05
    assert abs(limit / 1.15 - 1) > 0.05  # negative control: another constant before the power of gamma


def test_persistence_limit_errs_on_either_side():
    loss = tce.TCE(0.99, vacuous="drawn-only")
    exact = TwoClassChain(400, 0.5, loss=loss).mean_absorption_time()
    assert exact / categorical.two_class_persistence_limit(400, 0.99) == pytest.approx(1.39, abs=5e-3)


def test_bounds_on_the_persistence_time_at_every_n():
    for n, gamma in ((1, 0.7), (2, 0.5), (3, 0.9999), (20, 0.6), (100, 0.9), (100, 0.99), (200, 0.55)):
        loss = gamma**n + (1 - gamma) ** n
        for prob0 in (0.5, gamma):
            time = TwoClassChain(n, prob0, loss=tce.TCE(gamma, vacuous="drawn-only")).mean_absorption_time()
            assert (
                (1 - 1e-12) / loss
                <= time
                <= min(2.0 ** (n - 1) * (1 + 1e-12), n / (4 * gamma * (1 - gamma)) * (1 + 1 / loss))
            )


def test_tce_is_ce_on_its_edge():
    n = np.concatenate([np.arange(2, 20_000), 10 ** np.arange(5, 13)])
    assert categorical.tce_is_ce(n, 1 - 1 / n).all()
    assert categorical.tce_is_ce(n, (n - 1) / n).all()
    # for n up to 10^7 one part in 10^8 of 1/n is far more than rounding
    n = n[n <= 10**7]
    assert not categorical.tce_is_ce(n[1:], 1 - 1.00000002 / n[1:]).any()
    assert categorical.tce_is_ce(1, 0.5) is True
    assert categorical.tce_is_ce(2, 0.5) is True
    assert categorical.tce_is_ce(3, 0.6) is False
    assert categorical.tce_is_ce(10**15, 1.0) is True


@pytest.mark.parametrize("n", [2, 3, 10, 40])
def test_tce_is_ce_is_what_the_chain_does(n):
    for gamma in (0.5, 0.7, 1 - 1.01 / n, 1 - 1 / n, 1 - 0.99 / n):
        if gamma >= 0.5:
            chain = TwoClassChain(n, 0.3, loss=tce.TCE(gamma, vacuous="drawn-only"))
            same = np.allclose(chain.model_probs[: n + 1], np.arange(n + 1) / n, rtol=1e-12)
            assert categorical.tce_is_ce(n, gamma) is same


def test_warm_heterozygosity_limit():
    with mpmath.workdps(50):
        for gamma in (0.5 + 2.0**-53, 0.5 + 1e-9, 0.6, 0.9, 0.999999, 1 - 2.0**-53):
            g = mpmath.mpf(gamma)
            exact = (2 * g - 1) / mpmath.log(g / (1 - g))
            assert float(abs(categorical.warm_heterozygosity_limit(gamma) / exact - 1)) < 1e-14
    assert categorical.warm_heterozygosity_limit([0.5, 1.0]).tolist() == [0.5, 0.0]


def test_warm_heterozygosity_limit_is_the_limit_of_stationary_laws():
    gamma, values = 0.8, []
    for n in (100, 400):
        chain = TwoClassChain(n, 0.3, loss=tce.TCE(gamma, vacuous="warm"))
        values.append(chain.stationary_distribution() @ (2 * chain.model_probs * (1 - chain.model_probs)))
    limit = 2 * values[1] - values[0]
    # what is left is of order 1/n; negative control: gamma changed by 1 %, which is 1.2 % of the limit
    assert abs(limit / categorical.warm_heterozygosity_limit(gamma) - 1) < 5e-3
    assert abs(limit / categorical.warm_heterozygosity_limit(0.81) - 1) > 5e-3


# --- support-floor, cap-bias


def test_entropy_floor_of_the_ledger():
    expected = [0.325082973, 0.610864302, 1.313834033]
    np.testing.assert_allclose(categorical.entropy_floor([0.9, 0.7, 0.3]), expected, atol=5e-10, rtol=0)


def test_entropy_floor_at_reciprocals_of_integers():
    k = np.arange(1, 2000)
    np.testing.assert_allclose(categorical.entropy_floor(1 / k), np.log(k), rtol=1e-13, atol=1e-13)
    for gamma in (0.1, 0.07, 1e-300):
        assert categorical.entropy_floor(gamma) >= -math.log(gamma) * (1 - 1e-14)


def test_entropy_floor_is_sharp():
    rng = np.random.default_rng(5)
    gamma, size = 0.3, 6
    draws = rng.dirichlet(np.full(size, 0.5), size=20_000)
    draws = draws[draws.max(axis=1) <= gamma]
    assert len(draws) > 100
    entropies = -np.sum(draws * np.log(np.maximum(draws, 1e-300)), axis=1)
    assert entropies.min() >= categorical.entropy_floor(gamma)
    vertex = np.array([0.3, 0.3, 0.3, 0.1])
    assert categorical.entropy_floor(gamma) == pytest.approx(-np.sum(vertex * np.log(vertex)), rel=1e-14)


def test_surviving_classes_floor_forgives_rounding_alone():
    k = np.arange(1, 10**6)
    np.testing.assert_array_equal(categorical.surviving_classes_floor(1 / k), k)
    np.testing.assert_array_equal(
        categorical.surviving_classes_floor([0.1, 0.2, 0.05, 0.01, 0.025]), [10, 5, 20, 100, 40]
    )
    # just below 1/k one more class is needed, just above it no fewer
    for count in (2, 3, 10, 49):
        assert categorical.surviving_classes_floor((1 - 1e-13) / count) == count + 1
        assert categorical.surviving_classes_floor((1 + 1e-13) / count) == count
    assert categorical.surviving_classes_floor(1.0) == 1
    assert type(categorical.surviving_classes_floor(0.4)) is int


def test_cap_bias():
    probs = [0.6, 0.3, 0.1]
    np.testing.assert_allclose(categorical.cap_bias(probs, [1.0, 0.6, 0.5, 0.35]), [0.0, 0.0, 0.1, 0.25], atol=1e-15)
    assert categorical.cap_bias(probs, 1 / 3) == pytest.approx(0.6 - 1 / 3, rel=1e-14)
    # no capped distribution is nearer, and one is as near
    rng = np.random.default_rng(6)
    gamma = 0.5
    draws = rng.dirichlet(np.ones(3), size=20_000)
    draws = draws[draws.max(axis=1) <= gamma]
    distances = np.abs(draws - probs).sum(axis=1) / 2
    assert distances.min() >= categorical.cap_bias(probs, gamma)
    assert distances.min() == pytest.approx(categorical.cap_bias(probs, gamma), abs=0.01)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: categorical.extinction_probability(-1), "t"),
        (lambda: categorical.extinction_probability(10**7 + 1), "t"),
        (lambda: categorical.expected_surviving_types([0.5, 0.4], 10, 1), "probs"),
        (lambda: categorical.expected_surviving_types([0.5, 0.5], 0, 1), "n"),
        (lambda: categorical.heterozygosity_decay(1.5, 10), "t"),
        (lambda: categorical.fixation_probability(1.5), "p"),
        (lambda: categorical.wright_fisher_multiplicity(2, 1), "num_classes"),
        (lambda: categorical.wright_fisher_multiplicity(10**6, 10**6), "k"),
        (lambda: categorical.log_wright_fisher_multiplicity(-1, 3), "k"),
        (lambda: categorical.class_survival_probability(1, 10, -0.1), "p"),
        (lambda: categorical.composition_decay(0), "points"),
        (lambda: categorical.tce_is_ce(10, 0.4), "gamma"),
        (lambda: categorical.two_class_persistence_limit(10, 0.5), "gamma"),
        (lambda: categorical.log_two_class_persistence_limit(10, 1.0), "gamma"),
        (lambda: categorical.warm_heterozygosity_limit(0.49), "gamma"),
        (lambda: categorical.wright_fisher_eigenvalues(10, -1), "k"),
        (lambda: categorical.absorption_time_limit(10, 1.1), "p"),
        (lambda: categorical.entropy_floor(0.0), "gamma"),
        (lambda: categorical.surviving_classes_floor(1e-13), "gamma"),
        (lambda: categorical.cap_bias([0.5, 0.5], 0.4), "gamma"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
