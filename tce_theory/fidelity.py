"""Fidelity intervals: how long a model stays faithful, with censoring, and by what factor a loss extends it.

A fidelity interval (also: time to failure) is the first generation at which a metric crosses a threshold. Every
replicate is followed to the same horizon, so that the only censoring is at the horizon. Two things follow, and are used
throughout: the Kaplan–Meier estimate is the share of replicates that have not failed yet, and the area under it up to
the horizon, the *restricted mean*, is the plain mean of the times with the horizon in place of what is censored.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri, stdtr, stdtrit

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.validation import boolean, finite_array, finite_number, one_of, positive_integer, positive_number

__all__ = ["ExtensionFactor", "FidelityInterval", "Survival", "extension_factor", "fidelity_interval"]

_STATISTICS = ("mean", "median")
FEW_FAILURES = 20
# a resample is gathered in pieces of this many elements (8 MB), so that memory does not grow with the resamples
_PIECE = 2**20
# keeps the bootstrap's stream apart from that of a simulation with the same small seed
_BOOTSTRAP_STREAM = int.from_bytes(b"bootstrap", "big")


@dataclass(frozen=True, eq=False)
class Survival:
    """Kaplan–Meier estimate of a fidelity interval, with a pointwise confidence band.

    Attributes
    ----------
    times : numpy.ndarray
        Float64 (k,): the distinct times in generations, increasing; the last is the horizon if anything is censored.
    survival : numpy.ndarray
        Float64 (k,): share of the replicates that have not failed at each time (just after the step). It is 1 before
        the first time.
    low, high : numpy.ndarray
        Float64 (k,): limits of the band at each time.
    level : float
        Confidence level of the band, at each time by itself.
    """

    times: np.ndarray
    survival: np.ndarray
    low: np.ndarray
    high: np.ndarray
    level: float


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class FidelityInterval:
    """Times to failure of the replicates of one run, right-censored at the horizon.

    Parameters
    ----------
    times : numpy.ndarray
        Float64 (R,): crossing times in generations; the horizon where the replicate is censored.
    observed : numpy.ndarray
        Boolean (R,): whether the replicate failed by the horizon.
    horizon : float
        Generation to which every replicate was followed.
    criterion : str
        What counts as failure, in words, such as "entropy below 0.75 × generation 0".
    interpolated : bool
        Whether times are interpolated between generations; otherwise they are whole generations.
    replicates : numpy.ndarray
        Int64 (R,): index of the replicate behind each row, which a paired comparison needs.
    seed : int or None
        Seed of the run.
    stream : str or None
        What the run used its random numbers for. Runs with the same seed and stream share their noise.

    Raises
    ------
    DomainError
        If the arrays do not fit together, a time lies outside [0, horizon], or a censored time is not the horizon.

    See Also
    --------
    fidelity_interval : makes one from an array of a metric.

    Examples
    --------
    >>> import numpy as np
    >>> decay = np.exp(-np.linspace(0.01, 0.1, 40)[:, None] * np.arange(31))
    >>> interval = fidelity_interval(decay, below=0.5, metric="std")
    >>> interval
    <FidelityInterval: std below 0.5; 40 replicates to generation 30, 6 censored; median 12.4>
    >>> round(interval.median, 2), round(interval.mean, 2)
    (12.35, 15.72)
    """

    times: np.ndarray
    observed: np.ndarray
    horizon: float
    criterion: str
    interpolated: bool
    replicates: np.ndarray
    seed: int | None = None
    stream: str | None = None

    def __post_init__(self) -> None:
        times = finite_array("times", self.times).copy()
        observed = np.array(self.observed)
        horizon = positive_number("horizon", self.horizon)
        if observed.dtype != np.bool_ or observed.shape != times.shape:
            got = (observed.dtype.name, observed.shape)
            raise DomainError("observed", got, f"a boolean array of shape {times.shape}, as times")
        if times.min() < 0 or times.max() > horizon:
            raise DomainError("times", (float(times.min()), float(times.max())), f"within [0, {horizon:g}]")
        if (times[~observed] != horizon).any():
            raise DomainError("times", float(times[~observed].min()), f"the horizon {horizon:g} where censored")
        replicates = _replicate_indices(self.replicates, times.size)
        for name, array in (("times", times), ("observed", observed), ("replicates", replicates)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)
        object.__setattr__(self, "horizon", horizon)

    def __repr__(self) -> str:
        censored = int(self.times.size - self._failures)
        return (
            f"<FidelityInterval: {self.criterion}; {self.times.size} replicates to generation {self.horizon:g}, "
            f"{censored} censored; median {_median(self._uncensored_or_inf()):.3g}>"
        )

    @property
    def share_censored(self) -> float:
        """Share of the replicates that had not failed at the horizon."""
        return 1 - self._failures / self.times.size

    @property
    def is_restricted(self) -> bool:
        """Whether anything is censored, so that `mean` is restricted to the horizon."""
        return self._failures < self.times.size

    @property
    def mean(self) -> float:
        """Mean time in generations, restricted to the horizon.

        The area under the Kaplan–Meier curve up to the horizon, that is the mean of min(time, horizon). Without
        censoring it is the plain mean; with censoring it is below the mean of the times themselves, and depends on
        the horizon (Irwin 1949; Royston and Parmar 2013).

        Warns
        -----
        StatisticalWarning
            If fewer than 20 replicates failed.
        """
        self._warn_if_few()
        return float(self.times.mean())

    @property
    def median(self) -> float:
        """Kaplan–Meier median in generations: the first time by which at least half of the replicates failed.

        It is `inf` if half of them outlast the horizon. Of an even number of replicates without censoring it is the
        lower of the two middle times.

        Warns
        -----
        StatisticalWarning
            If fewer than 20 replicates failed.
        """
        self._warn_if_few()
        return float(_median(self._uncensored_or_inf()))

    def survival(self, level: float = 0.95) -> Survival:
        """Kaplan–Meier curve with a pointwise confidence band.

        Parameters
        ----------
        level : float
            Confidence level, in (0, 1).

        Returns
        -------
        Survival
            The curve at the distinct times. The band is the log-log transform of Greenwood's (Kalbfleisch and Prentice
            1980), as in ``scipy.stats.ecdf``; where the estimate is 0 or 1 and that has no value, it is
            the exact binomial one (Clopper and Pearson 1934), which censoring at the horizon alone allows.

        Raises
        ------
        DomainError
            If `level` is not in (0, 1).

        Examples
        --------
        >>> import numpy as np
        >>> times, observed = np.array([1.0, 2, 2, 3, 5, 5]), np.array([True, True, True, True, False, False])
        >>> curve = FidelityInterval(times=times, observed=observed, horizon=5, criterion="", interpolated=False,
        ...                          replicates=np.arange(6)).survival()
        >>> curve.times, curve.survival.round(3)
        (array([1., 2., 3., 5.]), array([0.833, 0.5  , 0.333, 0.333]))
        >>> curve.low.round(3), curve.high.round(3)
        (array([0.273, 0.111, 0.046, 0.046]), array([0.975, 0.804, 0.676, 0.676]))
        """
        level = _level(level)
        times = np.unique(self.times)
        failed = np.searchsorted(np.sort(self.times[self.observed]), times, side="right")
        survival = (self.times.size - failed) / self.times.size
        low, high = _survival_band(survival, self.times.size, level)
        return Survival(times, survival, low, high, level)

    def ci(
        self, statistic: str = "mean", *, level: float = 0.95, resamples: int = 4000, seed: int = 0
    ) -> tuple[float, float]:
        """Confidence interval of the mean or of the median.

        Parameters
        ----------
        statistic : str
            "mean" (restricted to the horizon): expanded percentile bootstrap (Hesterberg 2015), whose
            tails allow for the size of the sample as Student's t does. "median": inversion of the Kaplan–Meier band
            (Brookmeyer and Crowley 1982); `resamples` and `seed` have no part in it.
        level : float
            Confidence level, in (0, 1).
        resamples : int
            Bootstrap resamples, at least 100.
        seed : int
            Seed of the bootstrap: the same seed gives the same interval.

        Returns
        -------
        low, high : float
            Limits in generations. For the median `high` is `inf` when the band does not come down to one half by the
            horizon, and `low` is the horizon when its lower limit does not.

        Raises
        ------
        DomainError
            If an argument is outside its range, or there are fewer than 2 replicates.

        Warns
        -----
        StatisticalWarning
            If fewer than 20 replicates failed.

        Examples
        --------
        >>> import numpy as np
        >>> decay = np.exp(-np.linspace(0.01, 0.1, 40)[:, None] * np.arange(31))
        >>> interval = fidelity_interval(decay, below=0.5)
        >>> low, high = interval.ci("median")
        >>> round(low, 1), round(high, 1)
        (9.9, 16.4)
        """
        one_of("statistic", statistic, _STATISTICS)
        level = _level(level)
        resamples = positive_integer("resamples", resamples, minimum=100)
        rng = _bootstrap_generator(seed)
        _at_least_two(self.times.size)
        self._warn_if_few()
        if statistic == "median":
            return self._median_limits(level)
        (means,) = _resampled([self.times], _mean, resamples, rng)
        return _expanded_percentiles(means, means, level, self.times.size)

    @property
    def _failures(self) -> int:
        return int(self.observed.sum())

    def _uncensored_or_inf(self) -> np.ndarray:
        return np.where(self.observed, self.times, np.inf)

    def _median_limits(self, level: float) -> tuple[float, float]:
        curve = self.survival(level)
        below, above = curve.times[curve.low <= 0.5], curve.times[curve.high < 0.5]
        return float(below[0]) if below.size else self.horizon, float(above[0]) if above.size else math.inf

    def _warn_if_few(self) -> None:
        if self._failures < FEW_FAILURES:
            _warn(
                f"{_count(self)} replicates failed by generation {self.horizon:g} ({self.criterion}): with fewer than "
                f"{FEW_FAILURES} failures means, medians and their intervals are unreliable",
                stacklevel=4,
            )


@dataclass(frozen=True, kw_only=True)
class ExtensionFactor:
    """Ratio of two fidelity intervals, treated over baseline, with a confidence interval.

    Attributes
    ----------
    ratio : float
        Ratio of the means (or medians).
    low, high : float
        Confidence limits of the ratio; `high` can be `inf`.
    level : float
        Confidence level.
    statistic : str
        "mean" or "median".
    paired : bool
        Whether replicates were compared pair by pair.
    horizon : float
        Generation to which both sides are restricted.
    is_restricted : bool
        Whether the ratio depends on the horizon: a mean with anything censored, or a treated median not reached.
    is_lower_bound : bool
        Whether the ratio could only have been larger with a longer horizon: nothing of the baseline is censored, and
        some of the treated side is (for the median: the treated median was not reached). `low` is then a lower
        confidence limit of the unrestricted ratio, and `high` is an upper limit of the restricted one alone.
    logrank_p : float or None
        Two-sided p-value of the log-rank test of equal laws (Mantel 1966); None for pairs, which it does not suit, and
        where the test has no value because there was never a failure with something else at risk.
    ratio_p : float or None
        Two-sided p-value of equal means (restricted to the horizon): Wald's test of the logarithm of their ratio, by
        the delta method, with Student's t for the smaller side. None for medians, and where the times of neither side
        vary but differ. The log-rank test compares whole laws, this one the means of which `ratio` is made. With fewer
        than some ten failures a side it rejects less often than it says; times with tails much longer than exponential
        ones, hardly censored, make it reject more often (log-normal with σ = 1: 7 % for 5 %, 50 replicates a side).
    baseline_censored, treated_censored : float
        Shares of the replicates censored at `horizon`.
    """

    ratio: float
    low: float
    high: float
    level: float
    statistic: str
    paired: bool
    horizon: float
    is_restricted: bool
    is_lower_bound: bool
    logrank_p: float | None
    ratio_p: float | None
    baseline_censored: float
    treated_censored: float

    def __str__(self) -> str:
        text = f"{'≥ ' if self.is_lower_bound else ''}{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"
        if not self.is_restricted:
            return text
        if self.statistic == "median":
            return f"{text}, ratio of medians, the treated one not reached in {self.horizon:g} generations"
        return f"{text}, ratio of means restricted to {self.horizon:g} generations"


def fidelity_interval(
    values: Any,
    *,
    below: float | None = None,
    above: float | None = None,
    outside: tuple[float, float] | None = None,
    relative: bool = False,
    interpolate: bool = True,
    metric: str = "metric",
    replicates: Any = None,
    seed: int | None = None,
    stream: str | None = None,
) -> FidelityInterval:
    """First generation at which a metric crosses a threshold, replicate by replicate.

    A replicate fails when its value is strictly below `below`, strictly above `above`, or outside the closed band
    `outside`; a value equal to the threshold has not crossed. With t the first such generation, the interpolated time
    is where the line from generation t − 1 to generation t meets the threshold, and lies in (t − 1, t], so that t is
    its ceiling (a line that leaves from the threshold itself has crossed one rounding unit later). A crossing into or
    out of an infinite value happens at t.

    Parameters
    ----------
    values : array_like
        Metric of shape (replicates, generations + 1); column 0 is generation 0. Infinite values are values. A metric
        that describes a fit has no value at generation 0 and NaN in all of column 0: it is followed from generation
        1, the clock still counts from generation 0, and a replicate beyond its threshold at generation 1 has time 1.
    below, above : float, optional
        Threshold of a metric that falls, or rises.
    outside : tuple of float, optional
        Band (low, high) that the metric leaves.
    relative : bool
        Multiply the threshold by each replicate's own value at generation 0, which has to be positive.
    interpolate : bool
        Interpolate between generations; otherwise times are whole generations, which exact laws predict.
    metric : str
        Name of the metric, for `criterion` and for messages.
    replicates : array_like of int, optional
        Indices of the replicates in the rows; 0, 1, … by default.
    seed : int, optional
        Seed of the run that the values come from.
    stream : str, optional
        What that run used its random numbers for: with the seed it tells whether two runs share their noise.

    Returns
    -------
    FidelityInterval
        One time a row: 0 for a replicate that starts beyond its threshold, and the horizon (the last generation) for
        one that never crosses it, which is censored.

    Raises
    ------
    DomainError
        If the thresholds are not exactly one of the three, `values` has the wrong shape or a NaN (the message names
        replicate and generation), or `relative` is asked of values at generation 0 that are not positive, as a
        differential entropy or a divergence from generation 0 may not be.

    Examples
    --------
    >>> paths = [[1.0, 0.9, 0.7, 0.3], [1.0, 1.2, 1.1, 0.8], [0.4, 0.2, 0.1, 0.0]]
    >>> interval = fidelity_interval(paths, below=0.5)
    >>> interval.times, interval.observed
    (array([2.5, 3. , 0. ]), array([ True, False,  True]))
    >>> fidelity_interval(paths, below=0.5, interpolate=False).times
    array([3., 3., 0.])
    >>> fidelity_interval(paths, outside=(0.5, 1.1), relative=True).times
    array([2.5, 0.5, 1. ])
    """
    relative, interpolate = boolean("relative", relative), boolean("interpolate", interpolate)
    values = _paths(values)
    generations = values.shape[1] - 1
    indices = _replicate_indices(np.arange(len(values)) if replicates is None else replicates, len(values))
    low, high, criterion = _thresholds(below, above, outside)
    start = int(np.isnan(values[:, 0]).all())
    _refuse_nan(values, start, metric, indices)
    bounds = np.array([[low], [high]])
    if relative:
        bounds = bounds * _positive_start(values[:, 0], metric, indices)
    beyond = values[:, start:] < bounds[0][:, None]
    beyond |= values[:, start:] > bounds[1][:, None]
    observed = beyond.any(axis=1)
    crossing = beyond.argmax(axis=1) + start
    times = np.where(observed, crossing, generations).astype(np.float64)
    if interpolate:
        between = np.flatnonzero(observed & (crossing > start))
        bounds = np.broadcast_to(bounds, (2, len(values)))[:, between]
        times[between] = _meeting_times(values, between, crossing[between], bounds)
    return FidelityInterval(
        times=times,
        observed=observed,
        horizon=generations,
        criterion=f"{metric} {criterion}" + (" × generation 0" if relative else ""),
        interpolated=bool(interpolate),
        replicates=indices,
        seed=seed,
        stream=stream,
    )


def extension_factor(
    baseline: FidelityInterval,
    treated: FidelityInterval,
    statistic: str = "mean",
    *,
    paired: bool = False,
    level: float = 0.95,
    resamples: int = 4000,
    seed: int = 0,
) -> ExtensionFactor:
    """By what factor the treated side's fidelity interval is longer than the baseline's.

    Parameters
    ----------
    baseline, treated : FidelityInterval
        The two sides, by the same criterion. If their horizons differ, both are restricted to the smaller one; but a
        side of which nothing is censored is known to any horizon, and does not restrict the other.
    statistic : str
        "mean", restricted to the horizon, or "median" (Kaplan–Meier).
    paired : bool
        Compare replicate by replicate, as runs that share their seed demand: the bootstrap draws pairs, and there is
        no log-rank test.
    level : float
        Confidence level, in (0, 1).
    resamples : int
        Bootstrap resamples, at least 100.
    seed : int
        Seed of the bootstrap: the same seed gives the same interval.

    Returns
    -------
    ExtensionFactor
        Ratio, limits, log-rank p-value, and what censoring did to them.

    Raises
    ------
    DomainError
        If an argument is outside its range; a side has fewer than 2 replicates; the baseline's mean or median is 0; the
        baseline's median is not reached; or `paired` is asked of different replicates.

    Warns
    -----
    StatisticalWarning
        If fewer than 20 replicates of a side failed; if two runs with the same seed are compared as if independent, or
        two with different seeds as pairs; if the two sides have different criteria.

    Notes
    -----
    The limits are an expanded percentile bootstrap over replicates (Hesterberg 2015), the same for the
    ratio and for its logarithm. A resample whose median is not reached counts for `low` with the smallest ratio, and
    for `high` with the largest, that fits what was seen. The ratio of means of independent sides is biased upwards, by
    about CV²/R of itself, with CV the coefficient of variation of the baseline's times and R its replicates.

    *Censoring.* Let S_B and S_T be the survival functions and R(h) the ratio of their integrals up to the horizon h.
    R increases with h exactly where S_T(h)/S_B(h) > R(h). So a ratio of restricted means is a lower bound of the
    ratio of means if the baseline is not censored (its integral is whole, the treated one is not: `is_lower_bound`),
    and if the treated hazard never exceeds the baseline's (then S_T/S_B never decreases and stays above its average
    R), which no data up to h can show, so that it is not claimed here. Hazards that cross can make it too large: if the
    treated side fails later at first and sooner after the horizon.

    Examples
    --------
    >>> import numpy as np
    >>> rate = np.random.default_rng(1).uniform(0.01, 0.03, (2, 200, 1))
    >>> generation = np.arange(101)
    >>> baseline = fidelity_interval(np.exp(-rate[0] * generation), below=0.75)
    >>> treated = fidelity_interval(np.exp(-rate[1] / 2 * generation), below=0.75)
    >>> print(extension_factor(baseline, treated))
    2.12 [1.99, 2.25]
    """
    for name, side in (("baseline", baseline), ("treated", treated)):
        if not isinstance(side, FidelityInterval):
            raise DomainError(name, side, "a FidelityInterval, such as run.fidelity_interval(metric, below=…)")
    paired = boolean("paired", paired)
    one_of("statistic", statistic, _STATISTICS)
    level = _level(level)
    resamples = positive_integer("resamples", resamples, minimum=100)
    rng = _bootstrap_generator(seed)
    horizon = _common_horizon(baseline, treated)
    baseline, treated = _restricted(baseline, horizon), _restricted(treated, horizon)
    _check_pairing(baseline, treated, paired)
    _warn_of_comparison(baseline, treated, paired)

    of_times = _mean if statistic == "mean" else _median
    sides = [side.times if statistic == "mean" else side._uncensored_or_inf() for side in (baseline, treated)]
    centre, treated_centre = (float(of_times(side)) for side in sides)
    _check_baseline(centre, statistic, horizon)
    if paired:
        draws = _resampled(sides, of_times, resamples, rng)
    else:
        draws = [_resampled([side], of_times, resamples, rng)[0] for side in sides]
    ratios = _ratio_bounds(draws[0], draws[1], horizon)
    low, high = _expanded_percentiles(*ratios, level, min(side.size for side in sides))
    unreached = math.isinf(treated_centre)
    whole_mean = statistic == "mean" and not baseline.is_restricted
    return ExtensionFactor(
        ratio=min(treated_centre, horizon) / centre,
        low=low,
        high=high,
        level=level,
        statistic=statistic,
        paired=bool(paired),
        horizon=horizon,
        is_restricted=unreached or (statistic == "mean" and (baseline.is_restricted or treated.is_restricted)),
        is_lower_bound=unreached or (whole_mean and treated.is_restricted),
        logrank_p=None if paired else _logrank_p(baseline, treated),
        ratio_p=_ratio_p(baseline.times, treated.times, paired) if statistic == "mean" else None,
        baseline_censored=baseline.share_censored,
        treated_censored=treated.share_censored,
    )


# ------------------------------------------------------------------------------------------------- crossings


def _paths(values: Any) -> np.ndarray:
    admissible = "an array of numbers of shape (replicates, generations + 1), at least one replicate and generation"
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError):
        raise DomainError("values", values, admissible) from None
    if array.ndim != 2 or array.shape[0] < 1 or array.shape[1] < 2:
        raise DomainError("values.shape", array.shape, admissible)
    return array


def _replicate_indices(replicates: Any, rows: int) -> np.ndarray:
    indices = np.asarray(replicates)
    if indices.shape != (rows,) or not np.issubdtype(indices.dtype, np.integer):
        raise DomainError("replicates", (indices.dtype.name, indices.shape), f"an array of {rows} integers, one a row")
    return indices.astype(np.int64)


def _thresholds(
    below: float | None, above: float | None, outside: tuple[float, float] | None
) -> tuple[float, float, str]:
    """Band that a faithful value lies in, and what it is in words."""
    options = {"below": below, "above": above, "outside": outside}
    given = [name for name, value in options.items() if value is not None]
    if len(given) != 1:
        raise DomainError("threshold", given, "exactly one of below, above and outside")
    if below is not None:
        below = finite_number("below", below)
        return below, math.inf, f"below {below:.12g}"
    if above is not None:
        above = finite_number("above", above)
        return -math.inf, above, f"above {above:.12g}"
    band = finite_array("outside", outside)
    if band.size != 2 or not band[0] < band[1]:
        raise DomainError("outside", outside, "a pair (low, high) with low < high")
    return float(band[0]), float(band[1]), f"outside [{band[0]:.12g}, {band[1]:.12g}]"


def _refuse_nan(values: np.ndarray, start: int, metric: str, replicates: np.ndarray) -> None:
    missing = np.isnan(values[:, start:])
    if missing.any():
        row, column = np.unravel_index(int(missing.argmax()), missing.shape)
        where = f"{metric} of replicate {replicates[row]} at generation {column + start}"
        raise DomainError(where, math.nan, "a number or an infinity")


def _positive_start(initial: np.ndarray, metric: str, replicates: np.ndarray) -> np.ndarray:
    wrong = ~((initial > 0) & np.isfinite(initial))
    if wrong.any():
        row = int(wrong.argmax())
        raise DomainError(
            f"{metric} of replicate {replicates[row]} at generation 0",
            float(initial[row]),
            "positive and finite for relative=True (a share of a differential entropy, of a divergence from generation "
            "0, or of a metric without a value there means nothing)",
        )
    return initial


def _meeting_times(values: np.ndarray, rows: np.ndarray, crossing: np.ndarray, bounds: np.ndarray) -> np.ndarray:
    """Where the line from the generation before the crossing meets the threshold."""
    before, after = values[rows, crossing - 1], values[rows, crossing]
    threshold = np.where(after < bounds[0], bounds[0], bounds[1])
    with np.errstate(over="ignore", invalid="ignore"):
        step = after - before
        # an infinite step has no line: the crossing is at the later generation
        fraction = np.where(np.isfinite(step), (threshold - before) / step, 1.0)
    previous = (crossing - 1).astype(np.float64)
    # a tiny fraction must not round down to the generation that had not crossed
    return np.maximum(previous + fraction, previous + np.spacing(np.maximum(previous, 1.0)))


# ------------------------------------------------------------------------------------------------ statistics


def _mean(times: np.ndarray) -> Any:
    return times.mean(axis=-1)


def _median(times: np.ndarray) -> Any:
    """Kaplan–Meier median along the last axis, with inf for what is censored."""
    middle = (times.shape[-1] + 1) // 2 - 1
    return np.partition(times, middle, axis=-1)[..., middle]


def _survival_band(survival: np.ndarray, size: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    # censoring at the horizon alone makes Greenwood's sum telescope to (1 − S)/(n S)
    inner = (survival > 0) & (survival < 1)
    log_survival = np.log(survival, where=inner, out=np.full_like(survival, -1.0))
    spread = np.sqrt((1 - survival) / (size * np.where(inner, survival, 1.0))) / -log_survival
    factor = np.exp(ndtri((1 + level) / 2) * spread)
    edge = ((1 - level) / 2) ** (1 / size)
    low = np.where(inner, np.exp(log_survival * factor), np.where(survival == 0, 0.0, edge))
    high = np.where(inner, np.exp(log_survival / factor), np.where(survival == 0, 1 - edge, 1.0))
    return low, high


def _ratio_p(baseline: np.ndarray, treated: np.ndarray, paired: bool) -> float | None:
    """Two-sided p-value of equal means, from the logarithm of their ratio; its error is that of the delta method."""
    difference = math.log(treated.mean()) - math.log(baseline.mean()) if treated.any() else -math.inf
    relative = [side / max(side.mean(), np.finfo(float).tiny) for side in (baseline, treated)]
    if paired:
        error = (relative[1] - relative[0]).std(ddof=1) / math.sqrt(baseline.size)
    else:
        error = math.sqrt(sum(side.var(ddof=1) / side.size for side in relative))
    if error == 0:
        return 1.0 if difference == 0 else None
    return float(2 * stdtr(min(baseline.size, treated.size) - 1, -abs(difference) / error))


def _logrank_p(baseline: FidelityInterval, treated: FidelityInterval) -> float | None:
    """Two-sided p-value of the log-rank test.

    In floats: the products of counts in ``scipy.stats.logrank`` overflow its integers, silently, from about 50,000
    tied replicates a side.
    """
    failures = np.unique(np.concatenate([baseline.times[baseline.observed], treated.times[treated.observed]]))
    at_risk, failed = _counts_at(failures, baseline)
    other_at_risk, other_failed = _counts_at(failures, treated)
    all_at_risk, all_failed = at_risk + other_at_risk, failed + other_failed
    expected = at_risk * all_failed / all_at_risk
    # one left at risk has no variance: the numerator is 0
    divisor = all_at_risk**2 * np.maximum(all_at_risk - 1, 1)
    variance = (at_risk * other_at_risk * all_failed * (all_at_risk - all_failed) / divisor).sum()
    if variance == 0:
        return None
    return float(2 * ndtr(-abs((failed - expected).sum()) / math.sqrt(variance)))


def _counts_at(failures: np.ndarray, interval: FidelityInterval) -> tuple[np.ndarray, np.ndarray]:
    """Numbers at risk and failing at each time of failure; what is censored there is still at risk."""
    at_risk = interval.times.size - np.searchsorted(np.sort(interval.times), failures, side="left")
    observed = np.sort(interval.times[interval.observed])
    failed = np.searchsorted(observed, failures, side="right") - np.searchsorted(observed, failures, side="left")
    return at_risk.astype(np.float64), failed.astype(np.float64)


def _bootstrap_generator(seed: int) -> np.random.Generator:
    return np.random.default_rng([positive_integer("seed", seed, minimum=0), _BOOTSTRAP_STREAM])


def _resampled(
    columns: list[np.ndarray], statistic: Callable[[np.ndarray], Any], resamples: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """Statistic of each column over bootstrap resamples of its rows, the same rows for all columns."""
    size = columns[0].size
    piece = max(1, _PIECE // size)
    results = [np.empty(resamples) for _ in columns]
    for first in range(0, resamples, piece):
        last = min(first + piece, resamples)
        rows = rng.integers(size, size=(last - first, size))
        for result, column in zip(results, columns, strict=True):
            result[first:last] = statistic(column[rows])
    return results


def _ratio_bounds(baseline: np.ndarray, treated: np.ndarray, horizon: float) -> tuple[np.ndarray, np.ndarray]:
    """Smallest and largest ratio that fit two times, of which inf is one that lies beyond the horizon."""
    with np.errstate(divide="ignore", invalid="ignore"):
        low = np.minimum(treated, horizon) / baseline
        high = treated / np.minimum(baseline, horizon)
    # 0/0 fits every ratio
    return np.where(np.isnan(low), 0.0, low), np.where(np.isnan(high), np.inf, high)


def _expanded_percentiles(low: np.ndarray, high: np.ndarray, level: float, size: int) -> tuple[float, float]:
    """Percentiles of resampled statistics, with tails widened from the normal to Student's t for `size` replicates."""
    tail = float(ndtr(-math.sqrt(size / (size - 1)) * stdtrit(size - 1, (1 + level) / 2)))
    return (
        float(np.quantile(low, tail, method="lower")),
        float(np.quantile(high, 1 - tail, method="higher")),
    )


# ---------------------------------------------------------------------------------------- checks and warnings


def _level(level: float) -> float:
    number = finite_number("level", level)
    if not 0 < number < 1:
        raise DomainError("level", level, "a number in (0, 1)")
    return number


def _at_least_two(replicates: int) -> None:
    if replicates < 2:
        raise DomainError("replicates", replicates, "at least 2 for a confidence interval")


def _common_horizon(baseline: FidelityInterval, treated: FidelityInterval) -> float:
    censored = [side.horizon for side in (baseline, treated) if side.is_restricted]
    return min(censored, default=max(baseline.horizon, treated.horizon))


def _restricted(interval: FidelityInterval, horizon: float) -> FidelityInterval:
    observed = interval.observed & (interval.times <= horizon)
    return replace(interval, times=np.minimum(interval.times, horizon), observed=observed, horizon=horizon)


def _check_pairing(baseline: FidelityInterval, treated: FidelityInterval, paired: bool) -> None:
    _at_least_two(min(baseline.times.size, treated.times.size))
    if paired and not np.array_equal(baseline.replicates, treated.replicates):
        sizes = f"{treated.replicates.size} replicates against {baseline.replicates.size}, or other ones"
        raise DomainError("treated.replicates", sizes, "those of the baseline for paired=True")


def _check_baseline(centre: float, statistic: str, horizon: float) -> None:
    if math.isinf(centre):
        raise DomainError("baseline.median", centre, f"reached by generation {horizon:g}; compare restricted means")
    if centre == 0:
        raise DomainError(f"baseline.{statistic}", centre, "above 0: replicates that start beyond their threshold")


def _warn_of_comparison(baseline: FidelityInterval, treated: FidelityInterval, paired: bool) -> None:
    for name, side in (("baseline", baseline), ("treated side", treated)):
        if side._failures < FEW_FAILURES:
            _warn(
                f"{_count(side)} replicates of the {name} failed by generation {side.horizon:g}: with fewer than "
                f"{FEW_FAILURES} failures the ratio and its interval are unreliable",
                stacklevel=4,
            )
    if (baseline.criterion, baseline.interpolated) != (treated.criterion, treated.interpolated):
        _warn(f"the sides differ in what is a failure: {_in_words(baseline)}; {_in_words(treated)}", stacklevel=4)
    if None in (baseline.seed, treated.seed):
        return
    shared = (baseline.seed, baseline.stream) == (treated.seed, treated.stream)
    if shared and not paired:
        _warn(
            f"both sides come from seed {baseline.seed} and share their noise: pass paired=True, or run them with "
            "different seeds",
            stacklevel=4,
        )
    if paired and not shared:
        sides = " and ".join(f"seed {side.seed} ({side.stream or 'unknown stream'})" for side in (baseline, treated))
        _warn(
            f"paired=True, but {sides} share no noise: nothing is paired (use one seed and sampler='points')",
            stacklevel=4,
        )


def _count(interval: FidelityInterval) -> str:
    only = "only " if interval.is_restricted else ""
    return f"{only}{interval._failures} of {interval.times.size}"


def _in_words(interval: FidelityInterval) -> str:
    return f"{interval.criterion} ({'interpolated' if interval.interpolated else 'whole generations'})"


def _warn(message: str, *, stacklevel: int) -> None:
    warnings.warn(message, StatisticalWarning, stacklevel=stacklevel)
