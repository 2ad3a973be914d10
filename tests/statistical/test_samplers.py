"""Random numbers: the Poisson and multinomial samplers, and that sampling in law and by points have the same law."""

import inspect
import math

import mpmath
import numpy as np
import pytest
from equivalence import (
    assert_different,
    assert_equivalent,
    check,
    check_counts,
    check_masses,
    difference_of,
    distance_between,
    mean_of,
    simulated,
    variance_of,
)
from numba import njit
from scipy import special, stats

import tce_theory as tce
from tce_theory.kernels import categorical as kernel

CE = tce.CrossEntropy()


def generator(seed):
    return np.random.Generator(np.random.SFC64(seed))


def poisson_numbers(mean, size, seed):
    numbers = np.empty(size, np.int64)
    # as in the multinomial sampler, where a mean is a share of a common factor
    means, scratch = np.full(size, mean / 3.7), (np.empty(size), np.empty(size, np.int64))
    assert kernel.draw_poisson(generator(seed), means, 3.7, size, numbers, *scratch) == numbers.sum()
    return numbers


@njit
def rounded_normals(rng, mean, out):
    for i in range(out.size):
        out[i] = max(math.floor(mean + math.sqrt(mean) * rng.standard_normal()), 0)


@njit
def counts_by(draw_law, rng, n, weights, out):
    cumulative, guide = np.empty(weights.size), np.empty(kernel.GUIDE * weights.size, np.int64)
    for i in range(out.shape[0]):
        if draw_law:
            kernel.draw_law(rng, n, weights, weights.size, out[i], cumulative, guide)
        else:
            kernel.draw_points(rng, n, weights, weights.size, out[i], cumulative, guide)


# ------------------------------------------------------------------------------------------------- Poisson

MEANS = [0.1, 1.0, 9.99, 10.0, 10.01, 12.5, 47.0, 1e3, 1e5, 1e7, 1e10]


def poisson_cells(mean):
    """Upper ends of about 60 cells of similar probability, or single values; the last is infinite."""
    return np.append(np.unique(stats.poisson.ppf(np.linspace(0.002, 0.998, 61), mean)), np.inf)


def cell_masses(ends, mean):
    return np.diff(stats.poisson.cdf(ends, mean), prepend=0.0)


@pytest.mark.parametrize("mean", MEANS)
def test_poisson(mean):
    """Pearson's distance and the largest distance of the distribution functions.

    Control: a mean that is off by 4 % of a standard deviation (from 20 on that is less than 1 % of the mean).
    """
    numbers = poisson_numbers(mean, 1_000_000, seed=int(1000 * mean))
    ends = poisson_cells(mean)
    counts = np.bincount(np.searchsorted(ends, numbers), minlength=ends.size)
    right, wrong = cell_masses(ends, mean), cell_masses(ends, mean + 0.04 * math.sqrt(mean))
    check_counts(counts, right, wrong)
    check_masses(counts, right, wrong)
    check(mean_of((numbers - mean) / math.sqrt(mean)), 0.0, 0.04)
    check(variance_of(numbers / math.sqrt(mean)), 1.0, 1.06 if mean < 1 else 1.03)


@pytest.mark.parametrize("mean", [10.0, 47.0])
def test_the_rounded_normal_alone_is_not_poisson(mean):
    """A second control: the algorithm without its correction is rejected by the same test."""
    numbers = np.empty(1_000_000, np.int64)
    rounded_normals(generator(3), mean, numbers)
    ends = poisson_cells(mean)
    counts = np.bincount(np.searchsorted(ends, numbers), minlength=ends.size)
    with pytest.raises(AssertionError, match="different"):
        check_counts(counts, cell_masses(ends, mean), cell_masses(ends, mean + 0.04 * math.sqrt(mean)))


@pytest.mark.parametrize("mean", [0.1, 9.99, 10.0, 1e3, 1e10])
def test_far_tails_of_poisson(mean):
    """Beyond 4.5 standard deviations: the number of draws in the tails is binomial; an exact test at 1e-6."""
    size = 4_000_000
    numbers = poisson_numbers(mean, size, seed=11)
    low, high = np.floor(mean - 4.5 * math.sqrt(mean)), np.ceil(mean + 4.5 * math.sqrt(mean))
    for found, probability in (
        ((numbers < low).sum(), stats.poisson.cdf(low - 1, mean)),
        ((numbers > high).sum(), stats.poisson.sf(high, mean)),
    ):
        assert min(stats.binom.cdf(found, size, probability), stats.binom.sf(found - 1, size, probability)) > 1e-6
    assert numbers.min() >= 0


# Algorithm PD of Ahrens and Dieter (1982): f is the mass that the rounded normal gives to k, p that of Poisson.
LEAST = kernel._SMALL_MEAN
GRID = np.unique(
    np.concatenate([LEAST + np.linspace(0, 2, 201), np.linspace(12, 100, 177), np.geomspace(100, 1e6, 81)])
)


def masses_around(mean):
    """k, p, f, left ends t of the cells of k, for k within seven standard deviations of the mean."""
    spread = math.sqrt(mean)
    k = np.arange(max(math.ceil(mean - 7 * spread), 0), math.floor(mean + 7 * spread) + 1)
    # at most 20,000 of them, for the largest means every few values
    k = k[:: max(k.size // 20_000, 1)]
    t = (k - mean) / spread
    near = np.where(t > 0, -1.0, 1.0)
    ends = np.abs(special.ndtr(near * t) - special.ndtr(near * (t + 1 / spread)))
    return k, stats.poisson.pmf(k, mean), ends, t


def test_the_tests_of_algorithm_pd_hold():
    """What makes the sampler exact, for means from 10 to 10^6.

    - immediate acceptance: p >= f for k >= mean - 1.1484 (it holds down to floor(mean - 1.1484), and no further);
    - squeeze: p/f >= 1 - (mean - k)^3/(6 mean^2) below;
    - hat: (p - f) exp|t - 1.8| <= 0.1069/mean over the whole cell of k, and p <= f for every cell that begins left of
      -0.6744, where nothing is drawn.

    The constants are those of the kernel.

    Controls: a switch at 2.2 below the mean, a constant of 0.105, a squeeze with 6.2, a start at -0.5.
    """
    for function, constants in (
        (kernel.draw_poisson, ("below <= 1.1484", "6.0 * mean * mean * u >= below * below * below")),
        (kernel._poisson_rest, ("0.1069 / mean", "t > -0.6744", "1.8 + math.copysign(height, u)")),
    ):
        assert all(text in inspect.getsource(function.py_func) for text in constants)
    controls = {"switch": False, "hat": False, "squeeze": False, "start": False}
    for mean in GRID:
        k, p, f, t = masses_around(mean)
        distance, residual = mean - k, p - f
        rounding = 1e-13 * p + 1e-300
        assert (residual >= -rounding)[k >= math.floor(mean - 1.1484)].all()
        controls["switch"] |= (residual < -rounding)[distance <= 2.2].any()
        below = distance > 1.1484
        assert (p >= f * (1 - distance**3 / (6 * mean**2)) - rounding)[below].all()
        controls["squeeze"] |= (p < f * (1 - distance**3 / (6.2 * mean**2)) - rounding)[below].any()
        # the cell of k is [t, t + 1/spread): its end that is farther from 1.8 counts
        farthest = np.maximum(np.abs(t - 1.8), np.abs(t + 1 / math.sqrt(mean) - 1.8))
        inside = t + 1 / math.sqrt(mean) > -0.6744
        hat = (residual * np.exp(farthest))[inside].max()
        assert hat <= 0.1069 / mean
        controls["hat"] |= hat > 0.105 / mean
        assert (residual <= rounding)[t < -0.6744].all()
        controls["start"] |= (residual > rounding)[t < -0.5].any()
    assert controls == dict.fromkeys(controls, True)


def test_the_mass_of_poisson_in_the_kernel():
    """Against 40 digits, out to six standard deviations; beyond 10^6 the exponent has digits to lose."""
    for mean, tolerance in ((10.0, 1e-12), (33.3, 1e-12), (1e3, 1e-12), (1e6, 1e-12), (1e9, 1e-10)):
        for k in np.unique(np.floor(mean + math.sqrt(mean) * np.linspace(-6, 6, 25)).clip(0)):
            with mpmath.workdps(40):
                exact = float(mpmath.exp(k * mpmath.log(mean) - mean - mpmath.loggamma(k + 1)))
            assert kernel._poisson_mass(k, mean) == pytest.approx(exact, rel=tolerance)
    assert kernel._poisson_mass(-1.0, 10.0) == 0


# ------------------------------------------------------------------------------------------------- multinomial

TEN = np.array([0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.04, 0.03, 0.02, 0.01])
TWO = np.array([0.7, 0.3])
MULTINOMIALS = [
    (True, 20, TEN),  # label by label, n <= 3 K
    (True, 200, TEN),  # by Poisson numbers
    (True, 12_000, TEN),  # by Poisson numbers, near the most, 128 K^2
    (True, 13_000, TEN),  # by conditional binomials
    (True, 6, TWO),
    (True, 500, TWO),
    (True, 600, TWO),
    (False, 6, TWO),
    (False, 20, TEN),
    (False, 200, TEN),
]


@pytest.mark.parametrize(("draw_law", "n", "probs"), MULTINOMIALS)
def test_multinomial(draw_law, n, probs):
    """Each count is binomial, and each pair has the covariance -n p q.

    Controls: for the first, middle and last class a mean that is off by 6 % of a standard deviation; for correlations
    beyond -0.1 those of independent counts, 0.
    """
    replicates = 210_000
    counts = np.zeros((replicates, probs.size), np.int64)
    # weights need not be normalised
    counts_by(draw_law, generator(n), n, 3.7 * probs, counts)
    assert (counts.sum(axis=1) == n).all()
    assert counts.min() >= 0
    values = np.arange(n + 1)
    for i in sorted({0, probs.size // 2, probs.size - 1}):
        shifted = probs[i] + 0.06 * math.sqrt(probs[i] * (1 - probs[i]) / n)
        found = np.bincount(counts[:, i], minlength=n + 1)
        check_masses(found, stats.binom.pmf(values, n, probs[i]), stats.binom.pmf(values, n, shifted))
    scaled = (counts - n * probs) / np.sqrt(n * probs * (1 - probs))
    for i in range(probs.size):
        for j in range(i):
            right = -math.sqrt(probs[i] * probs[j] / ((1 - probs[i]) * (1 - probs[j])))
            if right < -0.1:
                check(mean_of(scaled[:, i] * scaled[:, j]), right, 0.0)


@pytest.mark.parametrize(("draw_law", "n"), [(True, 9), (True, 100), (True, 2000), (False, 50)])
def test_a_class_of_probability_zero_is_never_drawn(draw_law, n):
    """By no method, wherever it stands."""
    for weights in ([0.0, 0.5, 0.5], [0.5, 0.0, 0.5], [0.5, 0.5, 0.0], [0.0, 0.0, 1e-9], [1e-12, 0.0, 1.0]):
        weights = np.array(weights)
        counts = np.zeros((20_000, 3), np.int64)
        counts_by(draw_law, generator(1), n, weights, counts)
        assert (counts.sum(axis=1) == n).all()
        assert (counts[:, weights == 0] == 0).all()


def test_rare_classes_keep_their_digits():
    """A thousand classes with expected counts from 1e-6 to 1e-3, or to 0.2: the number of their draws is Poisson.

    An exact test at 1e-6; control: 15 % more or less.
    """
    weights = np.concatenate([[1.0], np.geomspace(1e-12, 1e-9, 1000)])
    size = 20_000
    for n in (10**6, 2 * 10**8):  # by Poisson numbers and by conditional binomials
        counts = np.zeros((size // (1 if n == 10**6 else 10), weights.size), np.int64)
        counts_by(True, generator(2), n, weights, counts)
        rare = counts[:, 1:].sum()
        expected = counts.shape[0] * n * weights[1:].sum() / weights.sum()
        assert min(stats.poisson.cdf(rare, expected), stats.poisson.sf(rare - 1, expected)) > 1e-6
        assert max(stats.poisson.cdf(rare, 1.15 * expected), stats.poisson.sf(rare - 1, 0.85 * expected)) < 1e-6


# ------------------------------------------------------------------------------------------------- law and points


def both(model, loss, metrics, *, n, t, replicates, seed, **options):
    """The same metrics with sampling in law and by points, from different seeds."""
    return [
        simulated(model, loss, metrics, n=n, t=t, replicates=replicates, seed=seed + i, sampler=sampler, **options)
        for i, sampler in enumerate(("auto", "points"))
    ]


def agree(first, second, other):
    """Accept that two samples have one law: means to 8 % of a standard deviation, variances to 15 %, the whole law.

    The third sample, of another law, is the control, for the mean and for the whole law.
    """
    deviation = float(np.std(first))
    assert_equivalent(difference_of(mean_of(first), mean_of(second)), 0.0, margin=0.08 * deviation)
    assert_different(difference_of(mean_of(first), mean_of(other)), 0.0, margin=0.08 * deviation)
    assert_equivalent(difference_of(variance_of(first), variance_of(second)), 0.0, margin=0.15 * deviation**2)
    assert_equivalent(distance_between(first, second), 0.0, margin=0.045)
    assert_different(distance_between(second, other), 0.0, margin=0.045)


@pytest.mark.parametrize("regime", [tce.Replace(), tce.FreshMix(0.3)], ids=str)
@pytest.mark.parametrize(("n", "fit_mean", "ddof"), [(2, True, 0), (8, True, 1), (8, False, 0)])
def test_gaussian_law_and_points(n, fit_mean, ddof, regime):
    """Control: n changed by a half, which is large enough to see."""
    model, metrics = tce.Gaussian(1.0, 2.0, fit_mean=fit_mean, ddof=ddof), ["log_std", "mean"]
    options = {"t": 4, "replicates": 50_000, "regime": regime}
    law, points = both(model, CE, metrics, n=n, seed=400 + n, **options)
    other = simulated(model, CE, metrics, n=n + n // 2, seed=409 + n, **options)
    agree(law[0], points[0], other[0])
    if fit_mean:
        agree(*(np.log(np.abs(mean - 1)) for mean in (law[1], points[1], other[1])))


@pytest.mark.parametrize("regime", [tce.Replace(), tce.FreshMix(0.1)], ids=str)
@pytest.mark.parametrize(
    ("loss", "other_loss"),
    [
        (CE, None),
        (tce.TCE(0.4), tce.TCE(0.45)),
        (tce.TCE(0.4, mask="previous"), tce.TCE(0.45, mask="previous")),
        (tce.TCE(0.4, vacuous="max-entropy"), tce.TCE(0.45, vacuous="max-entropy")),
    ],
    ids=["CE", "TCE", "TCE, previous", "TCE, max-entropy"],
)
def test_categorical_law_and_points(loss, other_loss, regime):
    """With counts drawn by Poisson numbers. Control, large enough to see: n halved, or gamma changed by an eighth."""
    model, metrics, n = tce.Categorical([0.35, 0.25, 0.15, 0.1, 0.1, 0.05]), ["entropy", "tv"], 30
    options = {"t": 5, "replicates": 50_000, "regime": regime}
    law, points = both(model, loss, metrics, n=n, seed=420, **options)
    other = simulated(model, other_loss or CE, metrics, n=n if other_loss else n // 2, seed=429, **options)
    for samples in zip(law, points, other, strict=True):
        agree(*samples)
