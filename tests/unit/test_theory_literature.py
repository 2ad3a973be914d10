"""Closed forms of the literature (gaussian-tail-bounds, mad-bias, suresh-rates): mpmath, exact laws, points."""

import importlib
import math
from pathlib import Path

import mpmath
import numpy as np
import pytest
from scipy import special

from tce_theory.errors import DomainError
from tce_theory.theory import gaussian, literature

SIZES = [2, 3, 10, 100, 10**4, 10**8, 10**12]


@pytest.fixture(autouse=True)
def _sixty_digits():
    with mpmath.workdps(60):
        yield


@pytest.fixture(scope="module")
def equivalence():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[1] / "statistical")
        return importlib.import_module("equivalence")


# ------------------------------------------------------------------------------------------------- tail bounds


def exact_log_alpha(n):
    return (
        mpmath.log(mpmath.mpf(2) / (n - 1)) / 2
        + mpmath.loggamma(mpmath.mpf(n) / 2)
        - mpmath.loggamma(mpmath.mpf(n - 1) / 2)
    )


@pytest.mark.parametrize("n", SIZES)
@pytest.mark.parametrize("t", [1, 1000, 10**9])
def test_bounds_of_bertrand_and_suresh(t, n):
    epsilon, std = 0.3, 0.2
    ratio = mpmath.log(mpmath.mpf(std) / mpmath.mpf(epsilon))
    bertrand = literature.bertrand_tail_bound(t, n, epsilon, std=std, log=True)
    suresh = literature.suresh_tail_bound(t, n, epsilon, std=std, log=True)
    assert float(abs(bertrand / (ratio + t * exact_log_alpha(n)) - 1)) < 1e-14
    assert float(abs(suresh / (ratio - mpmath.mpf(t) / (4 * n - 1)) - 1)) < 1e-14
    assert bertrand <= suresh
    # −1/(4n − 3) still bounds log α, −1/(4n − 4) does not for large n: it is the constant that the proof finds
    assert exact_log_alpha(n) < -mpmath.mpf(1) / (4 * n - 3)
    if n > 2:
        assert exact_log_alpha(n) > -mpmath.mpf(1) / (4 * n - 4)


def exact_best(t, n, epsilon, std):
    """Order and log bound, from the root of the derivative in u = log(1 + 2s/ν)."""
    x, ratio = mpmath.mpf(n - 1) / 2, mpmath.log(mpmath.mpf(epsilon) / mpmath.mpf(std))
    target = mpmath.log(x) + 2 * ratio / t
    room = target - mpmath.psi(0, x)
    if room <= 0:
        return mpmath.mpf(0), mpmath.mpf(0)
    root = mpmath.findroot(
        lambda u: mpmath.psi(0, x * mpmath.exp(u)) - target, (0, room + 2), solver="anderson", maxsteps=500
    )
    s = x * mpmath.expm1(root)
    return 2 * s, t * (mpmath.loggamma(x + s) - mpmath.loggamma(x) - s * mpmath.log(x)) - 2 * s * ratio


@pytest.mark.parametrize(
    ("t", "n", "epsilon"),
    [
        (1000, 100, 0.5), (1, 2, 1e-3), (1, 2, 100.0), (10, 2, 1e10), (3, 5, 1e100), (10**9, 2, 0.5), (1000, 50, 0.9),
        (10**9, 10**12, 1.1), (10**9, 10**12, 1.0), (10**9, 10**12, 1 - 1e-9), (5, 10**12, 1 + 1e-5),
        (10**9, 10**8, 1e-2), (1, 10**12, 1 + 1e-14),
    ],
)  # fmt: skip
def test_best_bound(t, n, epsilon):
    order, log_bound = exact_best(t, n, epsilon, 1.0)
    assert literature.best_tail_order(t, n, epsilon) == pytest.approx(float(order), rel=1e-12, abs=0)
    found = literature.best_tail_bound(t, n, epsilon, log=True)
    assert found == pytest.approx(float(log_bound), rel=1e-12, abs=0)
    assert literature.best_tail_bound(t, n, epsilon) == pytest.approx(math.exp(found), rel=1e-15)
    assert found <= literature.bertrand_tail_bound(t, n, epsilon, log=True) + 1e-12 * abs(found)


@pytest.mark.parametrize("fit", [{}, {"ddof": 0}, {"ddof": 0, "fit_mean": False}])
def test_best_bound_is_the_least_over_all_orders(fit):
    t, n, epsilon, std = 40, 7, 1.3, 1.1
    law = gaussian.step_law(n, **{"ddof": 1, **fit})
    half = float(law.degrees_of_freedom) / 2

    def log_bound(q):
        step = q / 2 * math.log(2 / float(law.divisor)) + math.lgamma(half + q / 2) - math.lgamma(half)
        return t * step - q * math.log(epsilon / std)

    best = literature.best_tail_order(t, n, epsilon, std=std, **fit)
    found = literature.best_tail_bound(t, n, epsilon, std=std, log=True, **fit)
    assert found == pytest.approx(log_bound(best), rel=1e-12)
    assert all(log_bound(q) > found for q in np.linspace(0, 4 * best, 101) if abs(q - best) > 1e-3 * best)


def test_bounds_hold_against_the_exact_law_of_one_step():
    # Pr(χ²_ν/ν > ε²) is an incomplete gamma function
    n = np.array([2, 5, 50, 10**3, 10**5])[:, None]
    epsilon = np.array([0.5, 1.0, 1.01, 1.1, 1.5, 3.0])
    exact = special.gammaincc((n - 1) / 2, (n - 1) / 2 * epsilon**2)
    for bound in (literature.best_tail_bound, literature.bertrand_tail_bound, literature.suresh_tail_bound):
        assert (bound(1, n, epsilon) >= exact).all()
    # sharp witness: at n = 10^5 an exponent 3 % larger would be violated, by a wide margin
    log_exact = math.log(special.gammaincc(99999 / 2, 99999 / 2 * 1.05**2))
    assert 1.03 * literature.best_tail_bound(1, 10**5, 1.05, log=True) < log_exact - 1


def test_ends_of_the_bounds():
    assert literature.best_tail_bound(0, 10, 0.5) == 1.0
    assert literature.best_tail_bound(0, 10, 1.5) == 0.0
    assert literature.best_tail_bound(0, 10, 1.5, log=True) == -math.inf
    assert literature.bertrand_tail_bound(0, 10, 0.5) == 1.0
    assert literature.suresh_tail_bound(1, 10, 1e-300, std=1e300, log=True) == 0.0
    assert literature.best_tail_order(1, 10, 1e300, std=1e-300) < math.inf
    assert literature.best_tail_bound(1, 10, 1e300, std=1e-300) == 0.0
    assert literature.best_tail_bound(10**15, 2, 1.0, log=True) < -1e14
    assert literature.suresh_tail_bound(1, 10, 1.7e308, std=1.7e308) == pytest.approx(math.exp(-1 / 39), rel=1e-15)
    assert literature.suresh_tail_bound(39, 10, 5e-324, std=5e-324) == pytest.approx(math.exp(-1), rel=1e-15)
    table = literature.best_tail_bound(np.array([1, 10]), np.array([[5], [6], [7]]), 1.0)
    assert table.shape == (3, 2)
    assert table[1, 1] == literature.best_tail_bound(10, 6, 1.0)
    assert type(literature.best_tail_order(1, 10, 2.0)) is float


# ------------------------------------------------------------------------------------------------- sampling bias


def test_mad_factor():
    assert literature.mad_variance_factor(10**6, 1 - 1e-6) == pytest.approx(
        float((mpmath.mpf(1 - 1e-6)) ** 10**6), rel=1e-13
    )
    assert literature.mad_variance_factor([0, 1], 0.0).tolist() == [1.0, 0.0]
    assert literature.mad_variance_factor([2, 10**9], 1.5).tolist() == [2.25, math.inf]
    assert literature.mad_variance_factor(np.arange(3), np.array([[0.5], [1.0]])).shape == (2, 3)


@pytest.mark.parametrize("n", SIZES)
def test_mad_drift(n):
    bias = 0.999
    exact = mpmath.log(mpmath.mpf(bias)) + mpmath.psi(0, mpmath.mpf(n - 1) / 2) - mpmath.log(mpmath.mpf(n - 1) / 2)
    assert float(abs(literature.mad_log_variance_drift(n, bias) / exact - 1)) < 1e-13
    assert literature.mad_log_variance_drift(n, 1.0) < 0


def test_mad_simulated(equivalence):
    """Two dimensions, from points. Controls: λ changed by 5 %."""
    rng = np.random.default_rng(31)
    n, t, bias, replicates = 12, 3, 0.8, 60_000
    cov0 = np.array([[2.0, 0.5], [0.5, 1.0]])
    root = np.broadcast_to(np.linalg.cholesky(cov0), (replicates, 2, 2))
    for _ in range(t):
        points = math.sqrt(bias) * rng.standard_normal((replicates, n, 2)) @ root.transpose(0, 2, 1)
        centred = points - points.mean(axis=1, keepdims=True)
        cov = centred.transpose(0, 2, 1) @ centred / (n - 1)
        root = np.linalg.cholesky(cov)
    right, wrong = literature.mad_variance_factor(t, bias), literature.mad_variance_factor(t, 0.95 * bias)
    for i in range(2):
        equivalence.check(equivalence.mean_of(cov[:, i, i]), right * cov0[i, i], wrong * cov0[i, i])
    direction = np.array([0.6, -0.8])
    log_variance = np.log(np.einsum("i,rij,j->r", direction, cov, direction) / (direction @ cov0 @ direction))
    equivalence.check(
        equivalence.mean_of(log_variance),
        t * literature.mad_log_variance_drift(n, bias),
        t * literature.mad_log_variance_drift(n, 0.95 * bias),
    )


# ------------------------------------------------------------------------------------------------- rates of extinction


def test_suresh_rate():
    g = mpmath.mpf(1)
    exact = [g]
    for _ in range(300):
        g = 1 - mpmath.exp(-g)
        exact.append(g)
    found = literature.suresh_rate(np.arange(1, 302))
    np.testing.assert_allclose(found, [float(value) for value in exact], rtol=1e-14)
    k = np.array([1, 2, 10, 1000, 10**6])
    inverse = 2 / literature.suresh_rate(k)
    assert ((k + 1 <= inverse) & (inverse <= k + 1 + np.log(k) / 3)).all()
    # sharp: the log is there, and its factor is 1/3
    assert inverse[-1] - inverse[-2] - (k[-1] - k[-2]) == pytest.approx(math.log(1000) / 3, rel=5e-3)


def test_survival_of_the_ledger():
    assert literature.poisson_survival(10, 10, 1.0) == pytest.approx(0.821389, abs=5e-7)
    assert literature.poisson_survival(50, 10, 1.0) == pytest.approx(0.318710, abs=5e-7)
    assert literature.poisson_survival(5, 10, 0.0) == 0.0
    assert literature.poisson_survival(5, 10**10, 1e308) == 1.0
    assert literature.poisson_survival(10**4, 1, 1e-12) == pytest.approx(
        1e-12 * literature.suresh_rate(10**4), rel=1e-14
    )
    assert literature.bernoulli_survival_bound([1, 2], [[5], [6], [7]], 0.1).shape == (3, 2)


def test_poisson_survival_simulated(equivalence):
    """Control: one generation more."""
    rng = np.random.default_rng(32)
    n, k, rate = 4, 12, 0.75
    count = np.full(400_000, n * rate)
    for _ in range(k):
        count = rng.poisson(count)
    equivalence.check(
        equivalence.proportion_of(count > 0),
        literature.poisson_survival(k, n, rate),
        literature.poisson_survival(k + 1, n, rate),
    )


@pytest.mark.parametrize(("n", "p"), [(20, 0.05), (60, 0.3), (200, 0.01)])
def test_bernoulli_bound_against_the_exact_chain(n, p):
    counts = np.arange(n + 1)
    log_choose = special.gammaln(n + 1) - special.gammaln(counts + 1) - special.gammaln(n - counts + 1)

    def law(share):
        return np.exp(log_choose + special.xlogy(counts, share) + special.xlog1py(n - counts, -share))

    matrix = np.array([law(share) for share in counts / n])
    state = law(p)
    for k in range(1, 40):
        survival = state[1:].sum()
        bound = literature.bernoulli_survival_bound(k, n, p)
        assert bound < survival
        if p == 0.01 and 2 <= k <= 20:
            # sharp witness: while the class is rare, the rate of the generation before is too large
            assert literature.bernoulli_survival_bound(k - 1, n, p) > survival
        state = state @ matrix


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: literature.bertrand_tail_bound(-1, 10, 1.0), "t"),
        (lambda: literature.bertrand_tail_bound(1, 1, 1.0), "n"),
        (lambda: literature.suresh_tail_bound(1, 10, 0.0), "epsilon"),
        (lambda: literature.suresh_tail_bound(1, 10, 1.0, std=-1.0), "std"),
        (lambda: literature.suresh_tail_bound(1, 10, 1.0, log=1), "log"),
        (lambda: literature.best_tail_bound(1, 10, math.inf), "epsilon"),
        (lambda: literature.best_tail_bound(1, 10, 1.0, fit_mean=False), "ddof"),
        (lambda: literature.best_tail_order(0, 10, 1.0), "t"),
        (lambda: literature.mad_variance_factor(1, -0.01), "bias"),
        (lambda: literature.mad_log_variance_drift(10, 0.0), "bias"),
        (lambda: literature.suresh_rate(0), "k"),
        (lambda: literature.suresh_rate(10**7 + 2), "k"),
        (lambda: literature.poisson_survival(1, 10, -1.0), "rate"),
        (lambda: literature.bernoulli_survival_bound(1, 10, 1.1), "p"),
        (lambda: literature.bernoulli_survival_bound(1, 0, 0.1), "n"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be") as error:
        call()
    assert error.value.argument == argument
