"""Equivalence tests: whether an observed quantity is what a law predicts, to within a stated margin.

An estimate comes with confidence limits, each of which is wrong with probability at most `error`. Its verdict is

- "imprecise" if the limits are so far apart that a true prediction could fail: the precision gate. Too few replicates
  are a failure, not a pass;
- "equivalent" if both limits lie within the margin of the prediction (two one-sided tests, Schuirmann 1987);
- "different" otherwise. Behind the gate this is a finding too: the observed value is then so far from the prediction
  that equality itself is rejected.

A prediction that is off by the margin or more is therefore accepted with probability at most `error`, and a true one
fails with probability at most 2 `error`.

Means and variances rest on the central limit theorem (thousands of replicates, finite fourth or eighth moments);
proportions, and distances between distribution functions, have limits that hold for every sample size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import optimize, special, stats

__all__ = [
    "Equivalence",
    "Estimate",
    "compare",
    "difference_of",
    "dissimilarity",
    "distance_between",
    "distance_to_law",
    "distance_to_masses",
    "mean_of",
    "proportion_of",
    "variance_of",
]


class Estimate(Protocol):
    """A value with confidence limits."""

    @property
    def value(self) -> float:
        """What was observed."""

    @property
    def standard_error(self) -> float | None:
        """Its standard error, if the limits rest on one."""

    def limits(self, error: float) -> tuple[float, float]:
        """Lower and upper limit, each wrong with probability at most `error`."""

    def reach(self, error: float) -> float:
        """How far from the true value a limit is, but for a probability of 2 `error`."""


@dataclass(frozen=True)
class Equivalence:
    """Outcome of a comparison."""

    observed: float
    standard_error: float | None
    low: float
    high: float
    predicted: float
    margin: float
    error: float
    verdict: str

    def __str__(self) -> str:
        return (
            f"{self.verdict}: observed {self.observed:.8g} in [{self.low:.8g}, {self.high:.8g}], "
            f"predicted {self.predicted:.8g} ± {self.margin:.3g} (each limit wrong with probability {self.error:.1g})"
        )


def compare(estimate: Estimate, predicted: float, margin: float, error: float) -> Equivalence:
    """Compare an estimate with a prediction."""
    low, high = (float(limit) for limit in estimate.limits(error))
    if not estimate.reach(error) <= margin:
        verdict = "imprecise"
    elif predicted - margin < low and high < predicted + margin:
        verdict = "equivalent"
    else:
        verdict = "different"
    return Equivalence(estimate.value, estimate.standard_error, low, high, float(predicted), margin, error, verdict)


@dataclass(frozen=True)
class _Normal:
    value: float
    standard_error: float
    degrees: float

    def _half_width(self, error: float) -> float:
        return float(-special.stdtrit(self.degrees, error) * self.standard_error)

    def limits(self, error: float) -> tuple[float, float]:
        half_width = self._half_width(error)
        return self.value - half_width, self.value + half_width

    def reach(self, error: float) -> float:
        # a limit is one half-width from the value, which is seldom more than another from the truth
        return 2 * self._half_width(error)


def mean_of(sample: Any) -> Estimate:
    """Mean of independent observations."""
    sample = np.asarray(sample, dtype=np.float64)
    return _Normal(float(sample.mean()), float(sample.std(ddof=1)) / math.sqrt(sample.size), sample.size - 1)


def variance_of(sample: Any) -> Estimate:
    """Variance of independent observations.

    Its standard error is that of the mean of its influence values (x - mean)^2, so that it holds for every kurtosis;
    the one of normal observations would be too small by sqrt(3) for those of log chi-square with one degree of freedom.
    """
    sample = np.asarray(sample, dtype=np.float64)
    squares = mean_of((sample - sample.mean()) ** 2)
    unbiased = sample.size / (sample.size - 1)
    return _Normal(unbiased * squares.value, unbiased * squares.standard_error, sample.size - 1)


def difference_of(first: Estimate, second: Estimate) -> Estimate:
    """Difference of two independent means or variances."""
    if first.standard_error is None or second.standard_error is None:
        raise TypeError("the difference is that of means or variances")
    return _Normal(first.value - second.value, math.hypot(first.standard_error, second.standard_error), math.inf)


@dataclass(frozen=True)
class _Proportion:
    successes: int
    trials: int

    @property
    def value(self) -> float:
        return self.successes / self.trials

    @property
    def standard_error(self) -> float:
        return math.sqrt(self.value * (1 - self.value) / self.trials)

    def limits(self, error: float) -> tuple[float, float]:
        k, n = self.successes, self.trials
        low = float(special.betaincinv(k, n - k + 1, error)) if k else 0.0
        high = float(special.betaincinv(k + 1, n - k, 1 - error)) if k < n else 1.0
        return low, high

    def reach(self, error: float) -> float:
        low, high = self.limits(error)
        return 2 * max(self.value - low, high - self.value)


def proportion_of(hits: Any) -> Estimate:
    """Share of True among independent booleans; exact limits (Clopper and Pearson 1934)."""
    hits = np.asarray(hits)
    if hits.dtype != np.bool_:
        raise TypeError(f"hits must be booleans, got {hits.dtype}")
    return _Proportion(int(hits.sum()), hits.size)


@dataclass(frozen=True)
class _Distance:
    value: float
    sizes: tuple[int, ...]
    standard_error: None = None

    def _half_width(self, error: float) -> float:
        return sum(math.sqrt(math.log(2 * len(self.sizes) / error) / (2 * size)) for size in self.sizes)

    def limits(self, error: float) -> tuple[float, float]:
        half_width = self._half_width(error)
        return self.value - half_width, self.value + half_width

    def reach(self, error: float) -> float:
        return 2 * self._half_width(error)


def distance_to_law(sample: Any, cdf: Callable[[np.ndarray], np.ndarray]) -> Estimate:
    """Largest distance of the sample's distribution function from a continuous one; predicted is 0.

    The limits are those of Dvoretzky, Kiefer and Wolfowitz with the constant of Massart (1990).
    """
    ordered = np.sort(np.asarray(sample, dtype=np.float64))
    law = np.asarray(cdf(ordered))
    steps = np.arange(ordered.size + 1) / ordered.size
    return _Distance(float(max((law - steps[:-1]).max(), (steps[1:] - law).max())), (ordered.size,))


def distance_to_masses(counts: Any, masses: Any) -> Estimate:
    """As `distance_to_law`, for the counts of ordered values that have the probabilities `masses`."""
    counts = np.asarray(counts)
    size = int(counts.sum())
    return _Distance(float(np.abs(np.cumsum(counts) / size - np.cumsum(masses)).max()), (size,))


def distance_between(first: Any, second: Any) -> Estimate:
    """Largest distance of the distribution functions of two independent samples; predicted is 0."""
    first, second = np.sort(first), np.sort(second)
    points = np.concatenate([first, second])
    shares = [np.searchsorted(side, points, side="right") / side.size for side in (first, second)]
    return _Distance(float(np.abs(shares[0] - shares[1]).max()), (first.size, second.size))


@dataclass(frozen=True)
class _Dissimilarity:
    """Pearson's statistic as an estimate of delta, delta^2 = sum of (p - q)^2 / q, by its noncentral law."""

    statistic: float
    degrees: int
    size: int
    standard_error: None = None

    @property
    def value(self) -> float:
        return math.sqrt(max(self.statistic - self.degrees, 0.0) / self.size)

    def _noncentrality(self, statistic: float, error: float) -> float:
        """Noncentrality at which a statistic as small as this, or smaller, has probability `error`; 0 if none has."""
        if stats.chi2.cdf(statistic, self.degrees) <= error:
            return 0.0
        highest = 2 * statistic + 100 * (1 - math.log(error))
        return float(
            optimize.brentq(lambda value: stats.ncx2.cdf(statistic, self.degrees, value) - error, 0.0, highest)
        )

    def limits(self, error: float) -> tuple[float, float]:
        low, high = (self._noncentrality(self.statistic, tail) for tail in (1 - error, error))
        return math.sqrt(low / self.size), math.sqrt(high / self.size)

    def reach(self, error: float) -> float:
        return math.sqrt(self._noncentrality(float(stats.chi2.isf(2 * error, self.degrees)), error) / self.size)


def dissimilarity(counts: Any, masses: Any, least: float = 25.0) -> Estimate:
    """Distance delta of the law of the counts from `masses`, delta^2 = sum of (p - q)^2 / q; predicted is 0.

    Neighbouring cells are merged until `least` are expected in each (the last ones with the one before), so that the
    chi-square law is accurate; delta is that of the merged cells. The test is that of Wellek (2010, chapter 9).
    """
    counts, expected = np.asarray(counts), np.asarray(masses) * np.sum(counts)
    if abs(expected.sum() - counts.sum()) > 1e-6 * counts.sum():
        raise ValueError("the masses do not sum to 1")
    if expected.sum() < 2 * least:
        raise ValueError(f"{expected.sum():g} counts do not fill two cells of {least:g}")
    observed, wanted = [0.0], [0.0]
    for seen, mean in zip(counts, expected, strict=True):
        if wanted[-1] >= least:
            observed.append(0.0)
            wanted.append(0.0)
        observed[-1] += float(seen)
        wanted[-1] += float(mean)
    if wanted[-1] < least:
        observed[-2:], wanted[-2:] = [sum(observed[-2:])], [sum(wanted[-2:])]
    cells, means = np.array(observed), np.array(wanted)
    return _Dissimilarity(float(((cells - means) ** 2 / means).sum()), cells.size - 1, int(counts.sum()))
