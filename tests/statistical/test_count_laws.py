"""Poisson: its samplers, and that histograms in law, points, and the family's own reference have one law.

The Bernoulli recursion is that of two classes bit for bit (tests/unit/test_bernoulli.py), and needs no test of its own.
"""

import math

import numpy as np
import pytest
from equivalence import (
    assert_different,
    assert_equivalent,
    check,
    check_law,
    check_masses,
    difference_of,
    distance_between,
    mean_of,
    proportion_of,
    simulated,
    variance_of,
)
from scipy import special, stats

import tce_theory as tce
from tce_theory.kernels import poisson as kernel
from tce_theory.models.base import Model
from tce_theory.models.poisson import Poisson

CE = tce.CrossEntropy()
REPLACE, MIX, ACCUMULATE = tce.Replace(), tce.FreshMix(0.3), tce.Accumulate()
SUBSAMPLE, STAGED = tce.AccumulateSubsample(), tce.Staged(2, then=tce.FreshMix(0.2))


def generator(seed):
    return np.random.Generator(np.random.SFC64(seed))


def totals(mean, size):
    """Poisson numbers as the recursion draws them under cross entropy, from one point a generation."""
    rates, masked, none = np.full((size, 2), mean), np.empty((size, 2)), np.empty(0)
    drawn, counter = (np.array([1]), np.array([0]), np.array([0.0])), np.zeros(1, np.int64)
    kernel.advance(
        generator(1), *drawn, kernel.FORGET, False, kernel.CE, kernel.WARM, np.empty(0, np.int64), none, none, mean,
        rates, masked, np.zeros(size, np.int64), np.zeros(1, np.uint8), counter, 0,
    )  # fmt: skip
    return rates[:, 1]


def histograms(rng, n, rate, by_points, counts, rest):
    """One sample a row: by points, or as the recursion draws it."""
    replicates, size = counts.shape
    if not by_points:
        for row, others in zip(counts, rest, strict=True):
            kernel.draw_histogram(rng, n, rate, row, np.zeros(2, np.int64), others)
        return
    points = np.empty(replicates * n, np.int64)
    kernel.draw_points(rng, rate, points, 0, points.size)
    cells = np.minimum(points, size) + (size + 1) * np.repeat(np.arange(replicates), n)
    table = np.bincount(cells, minlength=replicates * (size + 1)).reshape(replicates, size + 1)
    counts[:], rest[:, 0] = table[:, :size], table[:, size]
    rest[:, 1] = np.where(points >= size, points, 0).reshape(replicates, n).sum(axis=1)


# ------------------------------------------------------------------------------------------------- samplers


@pytest.mark.parametrize("mean", [1.1e9, 1e12, 1e15])
def test_large_poisson_numbers(mean):
    """They are normal to 1/(6 sqrt(mean)) < 1e-5. Controls: 4 % of a deviation, and a variance 3 % larger."""
    z = (totals(mean, 700_000) - mean) / math.sqrt(mean)
    check(mean_of(z), 0.0, 0.04)
    check(variance_of(z), 1.0, 1.03)
    check_law(z, special.ndtr, lambda x: special.ndtr(x - 0.05))


def test_the_generator_alone_is_not_poisson_for_huge_means():
    """Why the kernel has its own: with a mean of 1e15 the variance of NumPy's numbers is about 4 % too large."""
    out = generator(1).poisson(1e15, 1_000_000)
    with pytest.raises(AssertionError, match="different"):
        assert_equivalent(variance_of((out - 1e15) / math.sqrt(1e15)), 1.0, margin=0.015)


@pytest.mark.parametrize(
    ("n", "rate", "by_points"),
    [
        (10, 2.5, False),
        pytest.param(500, 2.5, False, marks=pytest.mark.slow),
        (20_000, 30.0, False),
        (60, 2.5, True),
        (40, 0.2, True),
    ],
)
def test_histograms(n, rate, by_points):
    """Each count is binomial, counts have the covariance of multinomial ones, and the rest has its number and total.

    Point by point, by conditional binomials, and by inversion. Controls: means that are off by 13 to 15 % of a
    deviation; for the covariance that of independent counts.
    """
    size, replicates = math.ceil(rate + 1), 40_000 if n < 5000 else 20_000
    counts, rest = np.zeros((replicates, size), np.int64), np.zeros((replicates, 2), np.int64)
    histograms(generator(n), n, rate, by_points, counts, rest)
    assert (counts.sum(axis=1) + rest[:, 0] == n).all()
    masses, values = stats.poisson.pmf(np.arange(size), rate), np.arange(n + 1)
    for x in {size - 1, size // 2}:
        right = masses[x]
        wrong = right + (0.13 if n < 5000 else 0.15) * math.sqrt(right * (1 - right) / n)
        if n < 5000:
            found = np.bincount(counts[:, x], minlength=n + 1)
            check_masses(found, stats.binom.pmf(values, n, right), stats.binom.pmf(values, n, wrong))
        else:
            check(mean_of(counts[:, x]), n * right, n * wrong)
    a, b = masses[size - 1], masses[size - 2]
    scaled = (counts - n * masses) / np.sqrt(n * masses * (1 - masses))
    product = scaled[:, size - 1] * scaled[:, size - 2]
    exact = -math.sqrt(a * b / ((1 - a) * (1 - b)))
    if exact < -0.1:
        check(mean_of(product), exact, 0.0)
    total = counts @ np.arange(size) + rest[:, 1]
    z = (total - n * rate) / math.sqrt(n * rate)
    check(mean_of(z), 0.0, 0.15)
    check(variance_of(z), 1.0, 1.2)


@pytest.mark.slow
def test_survival_is_exact():
    """Slug suresh-rates, where the rate has to come back from a total that is drawn in law; control: 5 %."""
    extinct = simulated(Poisson(1.4), CE, ["extinct"], n=3, t=4, replicates=200_000, seed=701)[0]
    right = float(tce.theory.literature.poisson_survival(4, 3, 1.4))
    check(proportion_of(extinct == 0), right, -math.expm1(1.05 * math.log1p(-right)))


# ------------------------------------------------------------------------------------------------- one law


class Reference(Poisson):
    """The family without its recursion: points, and `fit` in Python."""

    recursion = Model.recursion


LOSSES = [(CE, None), (tce.TCE(0.25), tce.TCE(0.32)), (tce.TCE(0.25, mask="previous"), tce.TCE(0.32, mask="previous"))]
NAMES = ["CE", "TCE", "TCE, previous"]


def grid(regimes, quick):
    """All regimes with all losses; but for the quick ones, pairs of a regime and the place of a loss, they are slow."""
    return [
        pytest.param(
            regime, *LOSSES[k], id=f"{NAMES[k]}-{regime}", marks=[] if (regime, k) in quick else [pytest.mark.slow]
        )
        for regime in regimes
        for k in range(len(LOSSES))
    ]


def paths(model, loss, *, seed, n=8, replicates=30_000, **options):
    rate, masked = simulated(
        model, loss, ["rate", "masked_weight"], n=n, t=3, replicates=replicates, seed=seed, **options
    )  # fmt: skip
    return rate, rate + 0.1 * masked


def agree(first, second, other, size):
    """Accept that two samples have one law, in mean, variance and distribution; reject the third.

    The margins, of mean and distribution, are those that samples of this size can hold.
    """
    deviation = float(np.std(first))
    mean, whole = (0.12, 0.06) if size >= 20_000 else (0.25, 0.13)
    assert_equivalent(difference_of(mean_of(first), mean_of(second)), 0.0, margin=mean * deviation)
    assert_equivalent(difference_of(variance_of(first), variance_of(second)), 0.0, margin=3 * mean * deviation**2)
    assert_equivalent(distance_between(first, second), 0.0, margin=whole)
    assert_different(distance_between(second, other), 0.0, margin=whole)


@pytest.mark.parametrize(
    ("regime", "loss", "other_loss"),
    grid([REPLACE, MIX, ACCUMULATE, STAGED], quick={(ACCUMULATE, 0), (MIX, 1)}),
)
def test_histograms_in_law_and_points(loss, other_loss, regime):
    """Control, large enough to see: another gamma; under cross entropy another n."""
    law, points = (
        paths(Poisson(2.0), loss, seed=710 + i, regime=regime, sampler=sampler)
        for i, sampler in enumerate(("auto", "points"))
    )
    other = paths(Poisson(2.0), other_loss or CE, n=8 if other_loss else 3, seed=719, regime=regime)
    for samples in zip(law, points, other, strict=True):
        agree(*samples, 30_000)


@pytest.mark.parametrize(
    ("regime", "loss", "other_loss"),
    grid([REPLACE, MIX, ACCUMULATE, SUBSAMPLE, STAGED], quick=()),
)
def test_the_recursion_and_the_reference(loss, other_loss, regime):
    """The kernel against `sample` and `fit` in Python; controls as above."""
    size = 3000
    own = paths(Poisson(2.0), loss, seed=730, regime=regime)
    reference = paths(Reference(2.0), loss, seed=731, regime=regime, replicates=size)
    other = paths(Poisson(2.0), other_loss or CE, n=8 if other_loss else 3, seed=739, regime=regime)
    for samples in zip(own, reference, other, strict=True):
        agree(*samples, size)
