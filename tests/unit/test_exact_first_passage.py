"""First-passage law of the Gaussian scale, and its law at one generation under cross entropy.

Slugs gaussian-ce-law, scale-no-go, critical-truncation and extension-law. The step under the previous-mask relative
rule, and its law at one generation, are in test_exact_log_variance.py.
"""

import dataclasses
import itertools
import math

import mpmath
import numpy as np
import pytest
from scipy import integrate

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.exact import gaussian_first_passage, log_variance_cdf
from tce_theory.exact._step import Step, step_under
from tce_theory.exact.first_passage import _Band, _propagate
from tce_theory.theory import gaussian, wall

FITS = [
    pytest.param({"fit_mean": True, "ddof": 0}, id="ml"),
    pytest.param({"fit_mean": True, "ddof": 1}, id="unbiased"),
    pytest.param({"fit_mean": False, "ddof": 0}, id="known-mean"),
]
HALF, DOUBLE = 0.5**0.5, 2**0.5
"""Ends of the factor-2 band in the variance."""


# --- the step


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("n", [2, 3, 10, 25, 1000])
def test_step_is_log_chi_square(n, fit):
    step = Step.of(n, **fit)
    nu, m = mpmath.mpf(n - 1 if fit["fit_mean"] else n), mpmath.mpf(n - fit["ddof"])
    with mpmath.workdps(40):
        for deviation in (-6, -1, 0.0, 0.5, 2):
            z = mpmath.mpf(step.mean + deviation * step.std)
            y = m * mpmath.exp(z)
            density = mpmath.exp(nu / 2 * mpmath.log(y / 2) - y / 2 - mpmath.loggamma(nu / 2))
            below = mpmath.gammainc(nu / 2, 0, y / 2, regularized=True)
            assert float(abs(float(step.density(np.array(float(z)))) / density - 1)) < 1e-12
            assert float(abs(float(step.below(float(z))) / below - 1)) < 1e-11
            assert float(step.above(float(z))) == pytest.approx(float(1 - below), rel=1e-11)
    q = np.array([0.3, 1.0, 2.0])
    moments = [mpmath.gamma(nu / 2 + a) / mpmath.gamma(nu / 2) * (2 / m) ** a for a in q]
    np.testing.assert_allclose(np.exp(step.log_mgf(q)), np.array(moments, dtype=float), rtol=1e-12)
    inverse = mpmath.gamma(nu / 2 - 0.2) / mpmath.gamma(nu / 2) * (2 / m) ** -0.2
    assert math.exp(step.log_mgf_below(np.array(0.2))) == pytest.approx(float(inverse), rel=1e-12)
    assert step.log_mgf(step.lundberg) == pytest.approx(0, abs=1e-12)


# --- the law at one generation


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("n", [2, 3, 10, 100, 10**4, 10**6])
def test_first_generation_is_chi_square(n, fit):
    # a check of both: the inversion of the characteristic function, and scipy's incomplete gamma up to n = 10^6
    step = Step.of(n, **fit)
    x = step.mean + step.std * np.linspace(-9, 9, 361)
    np.testing.assert_allclose(log_variance_cdf(x, 1, n, **fit), step.below(x), atol=1e-12, rtol=0)


@pytest.mark.parametrize("fit", FITS)
def test_second_generation_is_a_convolution(fit):
    n = 4
    step = Step.of(n, **fit)
    for x in (-3.0, -0.5, 0.4, 2.0):
        with mpmath.workdps(20):

            def integrand(y, x=x):
                return float(step.density(np.array(float(y)))) * float(step.below(x - float(y)))

            exact = mpmath.quad(integrand, [-40, -20, -10, -5, -2, 0, 1, 2, 4])
        assert log_variance_cdf(x, 2, n, **fit) == pytest.approx(float(exact), abs=1e-12)


@pytest.mark.parametrize(("t", "n"), [(3, 2), (50, 5), (10**6, 100), (10**4, 10**10)])
def test_moments_of_the_law_are_the_closed_forms(t, n):
    moments = gaussian.log_std_moments(t, n)
    mean, std = 2 * moments.mean, 2 * math.sqrt(moments.variance)
    x = mean + std * np.linspace(-40, 14, 54_001)
    survival = 1 - log_variance_cdf(x, t, n)
    first = x[0] + np.trapezoid(survival, x)
    assert (first - mean) / std == pytest.approx(0, abs=1e-6)
    second = x[0] ** 2 + np.trapezoid(2 * x * survival, x)
    central = second - first**2 if t < 10**4 else np.trapezoid(2 * (x - mean) * (survival - (x < mean)), x)
    assert central / std**2 == pytest.approx(1, abs=1e-5)


def test_law_far_out_and_in_shape():
    assert log_variance_cdf([-1e9, 1e9], 5, 10).tolist() == [0.0, 1.0]
    assert type(log_variance_cdf(0.0, 5, 10)) is float
    x = np.linspace(-3, 1, 12).reshape(3, 4)
    values = log_variance_cdf(x, 5, 10)
    assert values.shape == (3, 4)
    assert np.all(np.diff(values.ravel()) > 0)


# --- the first-passage law


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize("n", [2, 5, 40])
@pytest.mark.parametrize(("low", "high"), [(HALF, DOUBLE), (0.6, math.inf), (0.0, 1.3)])
def test_first_two_generations_by_adaptive_quadrature(n, low, high, fit):
    step = Step.of(n, **fit)
    bottom, top = 2 * math.log(low) if low else -math.inf, 2 * math.log(high)

    def leave(y):
        below = float(step.below(bottom - y)) if low else 0.0
        above = float(step.above(top - y)) if high < math.inf else 0.0
        return below + above

    def integrand(y):
        return float(step.density(np.array(float(y)))) * leave(float(y))

    ends = [max(bottom, -60.0), min(top, 12.0)]
    breaks = sorted({*ends, *(b for b in (-20.0, -8.0, -3.0, -1.0, 0.0, 0.5, 2.0) if ends[0] < b < ends[1])})
    second = float(mpmath.quad(integrand, breaks))
    law = gaussian_first_passage(n, low=low, high=high, horizon=5, **fit)
    np.testing.assert_allclose(law.mass[:2], [leave(0.0), second], atol=1e-8, rtol=0)
    assert law.error <= 1e-8


@pytest.mark.parametrize("fit", FITS)
@pytest.mark.parametrize(
    ("n", "low", "high", "horizon"),
    [
        (2, HALF, DOUBLE, 40),
        (2, 0.01, math.inf, 60),
        (3, 0.0, 2.0, 60),
        (100, 0.8, math.inf, 800),
        (3000, 0.9, 1.2, 900),
    ],
)
def test_stated_error_holds_against_a_finer_solution(n, low, high, horizon, fit):
    rough = gaussian_first_passage(n, low=low, high=high, horizon=horizon, tolerance=1e-4, **fit)
    sharp = gaussian_first_passage(n, low=low, high=high, horizon=horizon, tolerance=1e-11, **fit)
    assert np.abs(rough.survival - sharp.survival).max() <= rough.error + sharp.error
    assert rough.error <= 1e-4
    assert sharp.error <= 1e-11


def test_law_is_a_law():
    law = gaussian_first_passage(30, low=0.8, high=1.25, horizon=200)
    assert law.mass.shape == (200,)
    assert law.survival.shape == (201,)
    assert law.survival[0] == 1.0
    assert law.mass.min() >= 0
    assert np.all(np.diff(law.survival) <= 0)
    np.testing.assert_allclose(1 - np.cumsum(law.mass), law.survival[1:], atol=2e-8)
    assert law.horizon == 200
    assert law.restricted_mean == pytest.approx(np.minimum(np.arange(1, 201), 200) @ law.mass + 200 * law.survival[-1])
    assert law.survival[int(law.median)] <= 0.5 < law.survival[int(law.median) - 1]


def test_law_is_frozen():
    law = gaussian_first_passage(30, low=0.8, horizon=5)
    with pytest.raises(dataclasses.FrozenInstanceError):
        law.error = 0.0
    with pytest.raises(ValueError, match="read-only"):
        law.mass[0] = 0.0


def test_a_wide_band_is_no_band():
    # with the lower end alone, and no way back from far below: Pr(τ > 1) is one tail, and a remote upper end is no end
    near = gaussian_first_passage(50, low=0.7, high=1e9, horizon=300)
    open_end = gaussian_first_passage(50, low=0.7, horizon=300)
    np.testing.assert_allclose(near.survival, open_end.survival, atol=2e-9)
    assert open_end.survival[1] == pytest.approx(1 - log_variance_cdf(2 * math.log(0.7), 1, 50), abs=1e-8)


def test_upward_passage_is_bounded_by_lundberg():
    high = 1.5
    law = gaussian_first_passage(20, high=high, horizon=2000)
    assert law.median == math.inf
    bound = high ** (-2 * wall.wall_tail_index(20))
    assert 0.5 * bound < 1 - law.survival[-1] < bound


def test_survival_ends_in_zero_not_in_noise():
    law = gaussian_first_passage(2, low=0.9, high=1.1, horizon=2000)
    assert law.survival[-1] == 0.0
    assert law.mass[-1] == 0.0


@pytest.mark.parametrize("fit_mean", [True, False])
def test_mean_approaches_the_diffusion_limit(fit_mean):
    # a walk overshoots each end by 0.5826 standard deviations of a step on average (Siegmund 1979), which leaves a
    # relative error of order 1/n
    b = math.log(2)
    errors = {}
    for n in (100, 1600):
        law = gaussian_first_passage(n, low=HALF, high=DOUBLE, horizon=12 * n, fit_mean=fit_mean)
        assert law.survival[-1] < 1e-8
        overshoot = 0.5826 * math.sqrt(gaussian.log_variance_step_variance(n, fit_mean=fit_mean))
        errors[n] = abs(wall.ce_mean_interval_limit(n, b + overshoot, fit_mean=fit_mean) / law.restricted_mean - 1)
        plain = wall.ce_mean_interval_limit(n, b, fit_mean=fit_mean)
        assert abs(plain / law.restricted_mean - 1) > 5 * errors[n]
    assert errors[100] < 1e-2
    assert errors[1600] < 1e-3


def test_largest_sample_size():
    law = gaussian_first_passage(10**6, low=1 / 1.01, high=1.01, horizon=2000)
    b = 2 * math.log(1.01)
    overshoot = 0.5826 * math.sqrt(2e-6)
    mean = wall.ce_mean_interval_limit(10**6, b + overshoot)
    assert law.survival[-1] < 1e-4
    assert law.restricted_mean == pytest.approx(mean, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"low": 0.5, "n": 1}, "^n must be an integer of at least 2"),
        ({"low": 0.5, "n": 10**6 + 1}, "^n must be .* at most 1000000"),
        ({"low": 0.5, "n": [10, 20]}, "^n must be"),
        ({"low": 1.0}, "^low must be"),
        ({"low": -0.1}, "^low must be"),
        ({"low": math.nan}, "^low must be"),
        ({"high": 1.0}, "^high must be above 1, or inf"),
        ({"high": math.nan}, "^high must be"),
        ({}, "^low must be above 0, or high finite"),
        ({"low": 0.5, "horizon": 0}, "^horizon must be"),
        ({"low": 0.5, "tolerance": 1e-13}, "^tolerance must be"),
        ({"low": 0.5, "ddof": 2}, "^ddof must be"),
        ({"low": 0.5, "ddof": 1, "fit_mean": False}, "^ddof must be"),
        ({"low": 0.5, "fit_mean": "no"}, "^fit_mean must be"),
        ({"low": 1e-6, "high": 1e6, "n": 10**6}, "^n must be smaller, or the band narrower: it needs"),
    ],
)
def test_domain(arguments, message):
    arguments = {"n": 20, "horizon": 10, **arguments}
    with pytest.raises(DomainError, match=message):
        gaussian_first_passage(arguments.pop("n"), **arguments)


@pytest.mark.parametrize("arguments", [(math.nan, 1, 10), (0.0, 0, 10), (0.0, 1, 1)])
def test_domain_of_the_law_at_one_generation(arguments):
    with pytest.raises(DomainError):
        log_variance_cdf(*arguments)


# --- the previous-mask relative rule


def previous(radius):
    return tce.TCE(math.exp(-(radius**2) / 2), scale="relative", mask="previous")


@pytest.mark.parametrize(
    ("n", "radius", "fit_mean", "low", "high"),
    [
        (2, 0.5, True, 0.3, 4.0),
        (3, 0.3, True, HALF, DOUBLE),
        (2, 0.7, False, 0.5, 2.0),
        (3, 1.0, False, HALF, DOUBLE),
        (100, 0.025, True, HALF, DOUBLE),
    ],
)
def test_first_two_generations_under_truncation(n, radius, fit_mean, low, high):
    """Adaptive quadrature in pieces between the kinks; a walk that does not move in generation 1 may leave in 2."""
    step = step_under(previous(radius), n, fit_mean, 0)
    bottom, top = 2 * math.log(low), 2 * math.log(high)

    def leave(y):
        return float(step.below(bottom - y) + step.above(top - y))

    def integrand(y):
        return float(step.density(np.array(y))) * leave(y)

    rough = [end for kink, _ in step.kinks for end in (kink, bottom - kink, top - kink)]
    breaks = sorted({bottom, top, 0.0, *(end for end in rough if bottom < end < top)})
    second = sum(integrate.quad(integrand, a, b, epsabs=1e-12, limit=200)[0] for a, b in itertools.pairwise(breaks))
    law = gaussian_first_passage(
        n, low=low, high=high, horizon=3, fit_mean=fit_mean, loss=previous(radius), tolerance=1e-9
    )
    np.testing.assert_allclose(law.mass[:2], [leave(0.0), second + step.atom * leave(0.0)], atol=2e-9, rtol=0)


@pytest.mark.parametrize(
    ("n", "radius", "fit_mean", "low", "high"),
    [
        (2, 0.5, True, 0.1, math.inf),
        (3, 2.0, True, 0.0, 5.0),
        (1, 0.5, False, 0.2, 3.0),
        (3, 1.0, False, HALF, DOUBLE),
        (100, 0.025, True, 0.5, math.inf),
    ],
)
def test_stated_error_holds_under_truncation(n, radius, fit_mean, low, high):
    options = {"low": low, "high": high, "horizon": 100, "fit_mean": fit_mean, "loss": previous(radius)}
    rough = gaussian_first_passage(n, tolerance=1e-4, **options)
    sharp = gaussian_first_passage(n, tolerance=2e-10, **options)
    assert sharp.error <= 2e-10
    assert np.abs(rough.survival - sharp.survival).max() <= rough.error + sharp.error
    # a much finer grid, whether or not the two above differ
    step = step_under(previous(radius), n, fit_mean, 0)
    band, cut_off = _Band.of(step, low, high, 100, 2e-11)
    finer = _propagate(step, band, 2 * sharp.n_nodes // 16, 100, n)
    assert np.abs(finer.survival - sharp.survival).max() <= sharp.error + cut_off
    np.testing.assert_allclose(1 - np.cumsum(sharp.mass), sharp.survival[1:], atol=1e-9)
    assert sharp.mass.min() >= 0
    assert np.all(np.diff(sharp.survival) <= 1e-15)


def test_a_walk_that_never_falls_leaves_through_the_top():
    # with a known mean and a = 1 every step is at least 0: an end below is no end
    options = {"horizon": 30, "fit_mean": False, "loss": previous(1.0)}
    both = gaussian_first_passage(3, low=0.5, high=2.0, **options)
    upper = gaussian_first_passage(3, high=2.0, **options)
    np.testing.assert_allclose(both.survival, upper.survival, atol=1e-9)
    assert both.survival[-1] < 1e-6
    assert gaussian_first_passage(3, low=0.9, **options).survival[-1] == pytest.approx(1, abs=1e-8)


def test_rare_kept_points_leave_the_model_as_it_is():
    # both points are 4 standard deviations out with a probability of 4e-9, and such a pair all but always leaves it
    p = math.erfc(4 / math.sqrt(2))
    law = gaussian_first_passage(2, low=HALF, high=DOUBLE, horizon=1000, loss=previous(4.0), tolerance=1e-10)
    assert law.mass[0] == pytest.approx(p**2, rel=1e-3)
    assert 1 - law.survival[-1] == pytest.approx(1000 * law.mass[0], rel=1e-5)


def test_gamma_near_one_is_cross_entropy():
    options = {"low": HALF, "high": DOUBLE, "horizon": 300}
    plain = gaussian_first_passage(60, **options)
    one = gaussian_first_passage(60, loss=tce.TCE(1.0, scale="relative", mask="previous"), **options)
    assert np.array_equal(one.survival, plain.survival)
    change = [
        np.abs(gaussian_first_passage(60, loss=previous(a), **options).survival - plain.survival).max()
        for a in (1e-4, 1e-6)
    ]
    assert 1e-6 < change[0] < 1e-2
    assert change[1] == pytest.approx(change[0] / 100, rel=0.02)


def test_extension_at_zero_drift():
    """Slugs critical-truncation and extension-law: b coth(b), for a band that is wider by the mean overshoot.

    As in `test_mean_approaches_the_diffusion_limit`; what remains is of order 1/n.
    """
    b = math.log(2)
    rest = {}
    for n, radius in ((100, 0.025188678), (1000, 0.002507690)):
        options = {"low": HALF, "high": DOUBLE, "horizon": 15 * n}
        held = gaussian_first_passage(n, loss=previous(radius), **options)
        assert held.survival[-1] < 1e-8
        factor = held.restricted_mean / gaussian_first_passage(n, **options).restricted_mean
        wide = b + 0.5826 * math.sqrt(2 / n)
        rest[n] = abs(factor - wide / math.tanh(wide))
        assert factor - b / math.tanh(b) > 3 * rest[n]
    assert rest[1000] == pytest.approx(rest[100] / 10, rel=0.5)
    # a third of the critical radius falls short of it
    weak, held = (
        gaussian_first_passage(100, loss=previous(radius), low=HALF, high=DOUBLE, horizon=1500)
        for radius in (0.0084, 0.025188678)
    )
    assert weak.restricted_mean < 0.96 * held.restricted_mean
