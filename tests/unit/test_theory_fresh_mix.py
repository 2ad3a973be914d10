"""Closed forms of fresh data in every generation (fresh-mix)."""

import math

import mpmath
import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.exact import TwoClassChain
from tce_theory.theory import categorical, gaussian, regimes

# --- categories


def test_limit_of_the_ledger():
    assert regimes.fresh_mix_heterozygosity(100, 0.01, 2 * 0.3 * 0.7) == pytest.approx(0.2785906198, abs=5e-11)


def test_transient_is_its_recursion():
    n, fraction, initial = 30, 0.07, 0.6
    value = initial
    for t in range(200):
        transient = regimes.fresh_mix_heterozygosity(n, fraction, initial, t=t)
        assert transient == pytest.approx(value, rel=1e-13)
        value = (1 - 1 / n) * ((1 - fraction) ** 2 * value + fraction * (2 - fraction) * initial)
    limit = regimes.fresh_mix_heterozygosity(n, fraction, initial)
    assert regimes.fresh_mix_heterozygosity(n, fraction, initial, t=10**4) == pytest.approx(limit, rel=1e-13)


def test_without_and_with_nothing_but_fresh_data():
    t = np.arange(5)
    np.testing.assert_allclose(
        regimes.fresh_mix_heterozygosity(10, 0.0, 0.5, t=t), 0.5 * categorical.heterozygosity_decay(t, 10)
    )
    np.testing.assert_allclose(regimes.fresh_mix_heterozygosity(10, 1.0, 0.5, t=t), [0.5] + [0.45] * 4)
    assert regimes.fresh_mix_heterozygosity(10, 0.0, 0.5) == 0.0


@pytest.mark.parametrize("n", [2, 100, 10**12])
@pytest.mark.parametrize("fraction", [1e-15, 1e-6, 0.3, 1 - 1e-12])
def test_heterozygosity_keeps_its_digits(n, fraction):
    with mpmath.workdps(60):
        alpha = mpmath.mpf(fraction)
        theta, ratio = (n - 1) * alpha * (2 - alpha), (1 - mpmath.mpf(1) / n) * (1 - alpha) ** 2
        assert float(abs(regimes.fresh_mix_theta(n, fraction) / theta - 1)) < 1e-15
        for t in (0, 1, 10**3, 10**6):
            exact = (theta + ratio**t) / (1 + theta) / 2
            assert float(abs(regimes.fresh_mix_heterozygosity(n, fraction, 0.5, t=t) / exact - 1)) < 1e-13


@pytest.mark.parametrize(("n", "fraction", "prob0"), [(20, 0.02, 0.5), (60, 0.1, 0.3), (200, 0.003, 0.2)])
def test_beta_law_has_the_exact_mean_and_variance(n, fraction, prob0):
    chain = TwoClassChain(n, prob0, fraction=fraction)
    law, q = chain.stationary_distribution(), chain.model_probs
    a, b = regimes.fresh_mix_beta(n, fraction, prob0)
    assert law @ q == pytest.approx(a / (a + b), rel=1e-12)
    assert law @ (q - prob0) ** 2 == pytest.approx(a * b / ((a + b) ** 2 * (a + b + 1)), rel=1e-11)


def test_beta_law_is_near_the_exact_one():
    # distribution functions at counts + 1/2 differ by O(1/n); negative control: twice the fresh data
    n, prob0, fraction = 800, 0.4, 0.005
    law = np.cumsum(TwoClassChain(n, prob0, fraction=fraction).stationary_distribution())
    edges = (np.arange(n) + 0.5) / n

    def distance(share):
        beta = regimes.fresh_mix_beta(n, share, prob0)
        cdf = [float(mpmath.betainc(beta.a, beta.b, 0, x, regularized=True)) for x in edges[::20]]
        return np.abs(np.array(cdf) - law[:n:20]).max()

    assert distance(fraction) < 4 / n
    assert distance(2 * fraction) > 40 / n


# --- Gaussians


def moments_by_recursion(n, fraction, t, ddof):
    scale, shift, alpha = mpmath.mpf(1), mpmath.mpf(0), mpmath.mpf(fraction)
    for _ in range(t):
        mixture = (1 - alpha) * scale + alpha + alpha * (1 - alpha) * shift
        scale, shift = mixture * (n - 1) / (n - ddof), (1 - alpha) ** 2 * shift + mixture / n
    return scale, shift


@pytest.mark.parametrize("ddof", [0, 1])
@pytest.mark.parametrize("n", [2, 3, 100, 10**6, 10**12])
@pytest.mark.parametrize("fraction", [0.0, 1e-12, 1e-6, 0.004, 0.3, 1 - 1e-9, 1.0])
def test_moments_are_their_recursion(n, fraction, ddof):
    with mpmath.workdps(50):
        for t in (0, 1, 2, 300):
            found = regimes.fresh_mix_gaussian_moments(n, fraction, t=t, ddof=ddof)
            for value, exact in zip(found, moments_by_recursion(n, fraction, t, ddof), strict=True):
                assert float(abs(value - exact)) <= 2e-13 * float(abs(exact))


@pytest.mark.parametrize(("n", "fraction"), [(2, 0.25), (100, 0.00499), (100, 0.01), (10**6, 4.9e-7), (10**12, 1e-6)])
def test_unbiased_moments_at_late_generations_by_matrix_powers(n, fraction):
    t = 10**6
    with mpmath.workdps(60):
        alpha, size = mpmath.mpf(fraction), mpmath.mpf(n)
        mixture = mpmath.matrix([[1 - alpha, alpha * (1 - alpha), alpha]])
        step = mpmath.matrix([
            [mixture[0], mixture[1], mixture[2]],
            [mixture[0] / size, (1 - alpha) ** 2 + mixture[1] / size, mixture[2] / size],
            [0, 0, 1],
        ])  # fmt: skip
        exact = step**t * mpmath.matrix([1, 0, 1])
        found = regimes.fresh_mix_gaussian_moments(n, fraction, t=t, ddof=1)
        for value, reference in zip(found, exact[:2], strict=True):
            # a growth by exp(y) has a relative error of about 1e-16 (t + y)
            assert float(abs(value / reference - 1)) < (1e-9 if n == 2 else 1e-12)


def test_limits_of_the_moments():
    for n, fraction in ((10, 0.2), (100, 0.01), (10**9, 1e-8)):
        for ddof in (0, 1):
            scale, shift = regimes.fresh_mix_gaussian_moments(n, fraction, ddof=ddof)
            # fixed point of the recursion, in the mean variance and in the mean
            mixture = (1 - fraction) * scale + fraction + fraction * (1 - fraction) * shift
            assert scale == pytest.approx(mixture * (n - 1) / (n - ddof), rel=1e-14)
            assert shift * fraction * (2 - fraction) == pytest.approx(mixture / n, rel=1e-14)
    # ddof 1 at n = 100, alpha = 0.01: m = 1/(n alpha (2 - alpha) - (1 - alpha)) = 1
    moments = regimes.fresh_mix_gaussian_moments(100, 0.01, std=3.0, ddof=1)
    assert moments.variance == pytest.approx(9 * 1.99, rel=1e-12)
    assert moments.squared_shift == pytest.approx(9, rel=1e-12)


def test_variance_follows_the_heterozygosity_under_maximum_likelihood():
    n, fraction, t = np.array([3, 50, 10**6]), 0.07, np.array([[0], [1], [40]])
    scale, shift = regimes.fresh_mix_gaussian_moments(n, fraction, t=t)
    np.testing.assert_allclose(scale, 2 * regimes.fresh_mix_heterozygosity(n, fraction, 0.5, t=t), rtol=1e-14)
    np.testing.assert_allclose(scale + shift, 1, rtol=1e-14)


def test_moments_without_fresh_data_are_those_of_replacement():
    t, n = np.array([0, 1, 10, 10**6]), 37
    for fit_mean, ddof in ((True, 0), (True, 1), (False, 0)):
        scale, shift = regimes.fresh_mix_gaussian_moments(n, 0.0, t=t, std=2.0, fit_mean=fit_mean, ddof=ddof)
        expected = gaussian.expected_variance(t, n, std=2.0, fit_mean=fit_mean, ddof=ddof)
        np.testing.assert_allclose(scale, np.broadcast_to(expected, t.shape), rtol=1e-12)
        np.testing.assert_allclose(
            shift, gaussian.variance_of_mean(t, n, std=2.0, fit_mean=fit_mean, ddof=ddof), rtol=1e-12
        )
    assert regimes.fresh_mix_gaussian_moments(37, 0.0) == (0.0, 1.0)
    assert regimes.fresh_mix_gaussian_moments(37, 0.0, ddof=1) == (1.0, math.inf)
    assert regimes.fresh_mix_gaussian_moments(37, [0.0, 0.4], fit_mean=False, t=8).variance.tolist() == [1.0, 1.0]


def test_critical_fraction_separates_bounded_from_unbounded_moments():
    n = np.array([2, 10, 1000, 10**6])
    edge = regimes.fresh_mix_critical_fraction(n)
    np.testing.assert_allclose(n * edge * (2 - edge), 1 - edge, rtol=1e-13)
    assert np.isfinite(regimes.fresh_mix_gaussian_moments(n, edge * 1.0001, ddof=1).variance).all()
    assert np.isinf(regimes.fresh_mix_gaussian_moments(n, edge * 0.9999, ddof=1).variance).all()
    assert regimes.fresh_mix_critical_fraction(10**12) == pytest.approx(5e-13, rel=1e-11)
    assert regimes.fresh_mix_gaussian_moments(2, 0.01, t=10**6, ddof=1) == (math.inf, math.inf)
    assert np.isfinite(regimes.fresh_mix_gaussian_moments(n, edge * 0.9999, ddof=0).variance).all()


def test_moments_against_simulation():
    """Equivalence by intervals of 4.5 standard errors (7e-6 a comparison, 4 comparisons).

    Negative control: the moments of the other divisor. The margin is half of what they differ by.
    """
    n, fraction, t = 8, 0.3, 6
    for ddof in (0, 1):
        run = tce.simulate(
            tce.Gaussian(ddof=ddof), tce.CrossEntropy(), n_samples=n, generations=t, replicates=60_000,
            regime=tce.FreshMix(fraction), metrics=["mean", "std"], seed=5 + ddof,
        )  # fmt: skip
        samples = run.metrics["std"][:, t] ** 2, run.metrics["mean"][:, t] ** 2
        right, wrong = (regimes.fresh_mix_gaussian_moments(n, fraction, t=t, ddof=each) for each in (ddof, 1 - ddof))
        for sample, claim, control in zip(samples, right, wrong, strict=True):
            margin = abs(claim - control) / 2
            assert is_equivalent(sample, claim, margin)
            assert not is_equivalent(sample, control, margin)


def is_equivalent(sample, claim, margin):
    half_width = 4.5 * np.std(sample, ddof=1) / math.sqrt(len(sample))
    assert half_width < margin / 2, "too few replicates to decide"
    return abs(np.mean(sample) - claim) + half_width < margin


# --- shapes and domains


def test_moments_without_a_limit_are_infinite():
    variance, shift = regimes.fresh_mix_gaussian_moments(10, 0.0, std=1e150, ddof=1)
    assert variance == pytest.approx(1e300, rel=1e-14)
    assert shift == math.inf
    for std in (1e200, 1e-200):
        with pytest.raises(tce.DomainError, match="std must be"):
            regimes.fresh_mix_gaussian_moments(10, 0.1, t=3, std=std)


def test_functions_broadcast_and_return_floats_for_numbers():
    for value in (
        regimes.fresh_mix_theta(10, 0.1),
        regimes.fresh_mix_critical_fraction(10),
        *regimes.fresh_mix_beta(10, 0.1, 0.5),
        *regimes.fresh_mix_gaussian_moments(10, 0.1),
        *regimes.fresh_mix_gaussian_moments(10, 0.1, t=3, ddof=1),
    ):
        assert type(value) is float
    moments = regimes.fresh_mix_gaussian_moments([10, 20], 0.1, t=[[1], [2], [3]], std=[1.0, 2.0], ddof=1)
    assert moments.variance.shape == moments.squared_shift.shape == (3, 2)
    law = regimes.fresh_mix_beta([[10], [20]], [0.1, 0.2], 0.5)
    assert law.a.shape == law.b.shape == (2, 2)


@pytest.mark.parametrize(
    ("call", "argument"),
    [
        (lambda: regimes.fresh_mix_heterozygosity(10, 1.1, 0.5), "fraction"),
        (lambda: regimes.fresh_mix_heterozygosity(10, 0.1, 1.0), "heterozygosity0"),
        (lambda: regimes.fresh_mix_heterozygosity(10, 0.1, 0.5, t=-1), "t"),
        (lambda: regimes.fresh_mix_theta(0, 0.5), "n"),
        (lambda: regimes.fresh_mix_beta(10, 0.0, 0.5), "fraction"),
        (lambda: regimes.fresh_mix_beta(1, 0.1, 0.5), "n"),
        (lambda: regimes.fresh_mix_beta(10, 0.1, 1.0), "prob0"),
        (lambda: regimes.fresh_mix_gaussian_moments(1, 0.1), "n"),
        (lambda: regimes.fresh_mix_gaussian_moments(10, -0.1), "fraction"),
        (lambda: regimes.fresh_mix_gaussian_moments(10, 0.1, t=0.5), "t"),
        (lambda: regimes.fresh_mix_gaussian_moments(10, 0.1, std=0.0), "std"),
        (lambda: regimes.fresh_mix_gaussian_moments(10, 0.1, fit_mean=False, ddof=1), "ddof"),
        (lambda: regimes.fresh_mix_critical_fraction(1), "n"),
    ],
)
def test_domain(call, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        call()
