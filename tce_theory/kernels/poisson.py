"""Poisson family: histograms in law, exact fits under truncation, and the recursion.

A value x can be masked only if its mass at the rate x, the largest that it can have, exceeds the threshold. That mass
falls with x, so that the values that matter are 0, 1, …, K - 1. A sample is the histogram of these, and the number and
the total of the others ("the rest"), on which a fit depends no further. Under cross entropy K = 0.
"""

import math

import numpy as np
from numba import njit

# rules of the recursion: cross entropy; truncation by the model being fitted; truncation by the previous model
CE, HINGE, PREVIOUS = 0, 1, 2
# what the fit is if some rates mask every point: the nearest to the previous rate, or the largest
WARM, LARGEST = 0, 1
# what becomes of the data of earlier generations, as in `tce_theory.regimes`
FORGET, KEEP, SUBSAMPLE = 0, 1, 2

ASYMPTOTIC_ENTROPY = 100.0  # from this rate on the series of the entropy is exact to 1e-13
EXACT_POISSON = 1e9  # beyond this mean the Generator compares masses that have lost their digits
_REACH = 100.0  # outside of `_range` lies exp(-_REACH / 2), which times the largest n is below rounding
_POINTS_A_VALUE = 3  # up to this many points a value it is faster to draw points than the histogram
_MAX_STEPS = 60


@njit(cache=True, nogil=True, error_model="numpy")
def log_peak(x):
    """Logarithm of the mass of x at the rate x, by Stirling's series."""
    if x < 1.0:
        return 0.0
    if x < 16.0:
        return x * math.log(x) - x - math.lgamma(x + 1.0)
    y = 1.0 / (x * x)
    rest = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - (1.0 / 1680.0 - y / 1188.0) * y) * y) * y) / x
    return -0.5 * math.log(2.0 * math.pi * x) - rest


@njit(cache=True, nogil=True, error_model="numpy")
def deviance(x, rate):
    """Return x log(x / rate) + rate - x, without cancellation where the two are close (Loader 2000)."""
    if x == 0.0:
        return rate
    if rate == 0.0:
        return np.inf
    distance = x - rate
    if abs(distance) >= 0.1 * (x + rate):
        return x * math.log(x / rate) - distance
    v = distance / (x + rate)
    total, term, order = distance * v, 2.0 * x * v, 1.0
    while True:
        term *= v * v
        order += 2.0
        more = total + term / order
        if more == total:
            return total
        total = more


@njit(cache=True, nogil=True, error_model="numpy")
def log_mass(x, rate):
    """Logarithm of the mass of x."""
    return log_peak(x) - deviance(x, rate)


@njit(cache=True, nogil=True, error_model="numpy")
def log_masses(values, rate, out):
    """Fill `out` with the logarithm of the mass of each value."""
    for i in range(values.size):
        out[i] = log_mass(float(values[i]), rate)


@njit(cache=True, nogil=True, error_model="numpy")
def count_maskable(floor, most):
    """Count the values that some rate masks, up to `most`: 0, 1, … of which the peak is above exp(-floor)."""
    low, high = -1, most
    while high - low > 1:
        middle = (low + high) // 2
        if log_peak(float(middle)) > -floor:
            low = middle
        else:
            high = middle
    return high


@njit(cache=True, nogil=True, error_model="numpy")
def bands(values, floor, lower, upper):
    """Fill the ends of the rates that mask each value, of which the peak is above exp(-floor).

    With rate = x u they solve u - 1 - log u = delta > 0: Newton's iteration for u = 1 + v above, for u = exp(-s) below,
    on convex functions from a point beyond the root, so that it is monotone. Of the value 0 the lower end is -1, so
    that the rate 0 masks it, too.
    """
    for i in range(values.size):
        x = float(values[i])
        if x == 0.0:
            lower[i], upper[i] = -1.0, floor
            continue
        delta = (floor + log_peak(x)) / x
        v = delta + math.sqrt(delta * (delta + 2.0))
        for _ in range(_MAX_STEPS):
            step = (v - math.log1p(v) - delta) * (1.0 + v) / v
            v -= step
            if step <= 1e-15 * v:
                break
        s = 0.5 * (delta + math.sqrt(delta * (delta + 8.0)))
        for _ in range(_MAX_STEPS):
            step = (s + math.expm1(-s) - delta) / -math.expm1(-s)
            s -= step
            if step <= 1e-15 * s:
                break
        lower[i], upper[i] = x * math.exp(-s), x * (1.0 + v)


@njit(cache=True, nogil=True, error_model="numpy")
def fit_hinge(values, counts, lower, upper, start, stop, rest_n, rest_total, previous, vacuous_rule):
    """Minimise the hinge form: the scan over the ends of the masked rates (slug hinge-form).

    The objective is convex in log rate. Its slope, sum of c w (rate - x), is linear in the rate between two ends and
    jumps up at each. Both ends rise with the value, so that the values that a rate masks follow each other: those
    between two pointers, which move from end to end until the slope changes sign.

    Parameters
    ----------
    values, counts : int64 array
        Values that can be masked, in rising order, and how often each was drawn.
    lower, upper : float array
        Their `bands`.
    start, stop : int
        The part of the arrays with the values that were drawn.
    rest_n, rest_total : int
        Number and total of the points that no rate masks.
    previous : float
        Previous rate.
    vacuous_rule : int
        WARM or LARGEST.

    Returns
    -------
    rate : float
    masked : float
        Weight that the loss takes away, in data points.
    vacuous : bool
    first, last : int
        Places [first, last) of the values that have the weight 0.
    boundary : int
        Place of the value on the boundary, or -1.
    weight : float
        Its weight.
    steps : int
    """
    n, total = rest_n, rest_total
    for k in range(start, stop):
        n += counts[k]
        total += counts[k] * values[k]
    left_n, left_total = n, total  # of the points that are not masked
    first, last, edge, steps = start, start, 0.0, 0
    while True:
        while last < stop and counts[last] == 0:
            last += 1
        while first < stop and counts[first] == 0:
            first += 1
        if first >= stop:  # beyond the last end nothing is masked
            return max(left_total / left_n, edge), 0.0, False, stop, stop, -1, 1.0, steps
        entering = last < stop and lower[last] <= upper[first]
        k = last if entering else first
        end = lower[k] if entering else upper[k]
        if left_n == 0:
            # all is masked from `edge` to `end`, and outside the slope points there: gradient flow, which on a line is
            # the same in every coordinate, ends at the nearest point of the interval
            rate = end if vacuous_rule == LARGEST else max(edge, min(previous, end))
            return rate, float(n), True, start, stop, -1, 0.0, steps
        slope = left_n * end - left_total
        if slope >= 0.0:
            return max(left_total / left_n, edge), float(n - left_n), False, first, last, -1, 1.0, steps
        sign = -1 if entering else 1
        left_n += sign * counts[k]
        left_total += sign * counts[k] * values[k]
        beyond = left_n * end - left_total
        if beyond > 0.0:
            weight = (beyond if entering else -slope) / (beyond - slope)
            others = left_n if entering else left_n - counts[k]
            return end, n - others - weight * counts[k], False, first, last, k, weight, steps
        edge = max(end, 0.0)
        first, last = first + (1 - entering), last + entering
        steps += 1


@njit(cache=True, nogil=True, error_model="numpy")
def fit_outside(values, counts, lower, upper, start, stop, rest_n, rest_total, previous):
    """Fit by cross entropy what the previous rate does not mask: rate, masked weight, whether it masks everything."""
    n, total, masked = rest_n, rest_total, 0
    for k in range(start, stop):
        if lower[k] < previous < upper[k]:
            masked += counts[k]
        else:
            n += counts[k]
            total += counts[k] * values[k]
    return (total / n if n > 0 else previous), float(masked), n == 0


@njit(cache=True, nogil=True, error_model="numpy")
def draw_total(rng, mean):
    """Draw one Poisson number, with a mean up to 10^15.

    Of a large mean by transformed rejection (Hörmann 1993, PTRS), as the Generator does, but with masses that keep
    their digits: there log mass is a difference of numbers that exceed 2^53 times the tolerance.
    """
    if mean <= EXACT_POISSON:
        return np.int64(rng.poisson(mean)) if mean > 0.0 else np.int64(0)
    b = 0.931 + 2.53 * math.sqrt(mean)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    while True:
        u, v = rng.random() - 0.5, rng.random()
        near = 0.5 - abs(u)
        if near < 0.013 and v > near:
            continue
        k = math.floor((2.0 * a / near + b) * u + mean + 0.43)
        if near >= 0.07 and v <= 0.9277 - 3.6224 / (b - 2.0):
            return np.int64(k)
        if v > 0.0 and math.log(v * inverse_alpha / (a / (near * near) + b)) <= log_mass(float(k), mean):
            return np.int64(k)


@njit(cache=True, nogil=True, error_model="numpy")
def _range(rate):
    """Return the values low, …, high - 1 outside of which lies less than rounding (Chernoff's bounds)."""
    half = _REACH / 6.0
    low = math.floor(rate - math.sqrt(_REACH * rate))
    high = math.ceil(rate + half + math.sqrt(half * half + _REACH * rate))
    return max(np.int64(low), np.int64(0)), np.int64(high) + 1


@njit(cache=True, nogil=True, error_model="numpy")
def _masses(rate, low, high):
    """Masses of low, …, high - 1 over that of the mode."""
    out = np.empty(high - low)
    mode = np.int64(rate)
    mass = 1.0
    out[mode - low] = mass
    for x in range(mode + 1, high):
        mass *= rate / x
        out[x - low] = mass
    mass = 1.0
    for x in range(mode, low, -1):
        mass *= x / rate
        out[x - 1 - low] = mass
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _tally(x, count, counts, span, rest):
    """Add points of one value to the histogram or to the rest."""
    if x < counts.size:
        counts[x] += count
        span[0], span[1] = min(span[0], x), max(span[1], x + 1)
    else:
        rest[0] += count
        rest[1] += count * x


@njit(cache=True, nogil=True, error_model="numpy")
def draw_histogram(rng, n, rate, counts, span, rest):
    """Add n points to a histogram, in law; the cost is about the spread of the law.

    By conditional binomials over the values, from the left; by their total where no value is near enough to be masked.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
    rate : float
    counts : int64 array (K,)
    span : int64 array (2,)
        Part of `counts` that is not 0: first place, and last place + 1.
    rest : int64 array (2,)
        Number and total of the other points.
    """
    low, high = _range(rate)
    if low >= counts.size:
        rest[0] += n
        rest[1] += draw_total(rng, n * rate)
    elif rate == 0.0:
        _tally(0, n, counts, span, rest)
    elif n <= _POINTS_A_VALUE * (high - low):
        for _ in range(n):
            _tally(rng.poisson(rate), 1, counts, span, rest)
    else:
        masses = _masses(rate, low, high)
        beyond = 0.0
        for x in range(high - 1, low - 1, -1):  # from the end, so that small masses keep their digits
            beyond += masses[x - low]
            masses[x - low] /= beyond
        left = n
        for x in range(low, high):
            share = masses[x - low]
            count = rng.binomial(left, share) if share < 1.0 else left
            if count > 0:
                _tally(x, count, counts, span, rest)
            left -= count
            if left == 0:
                break


@njit(cache=True, nogil=True, error_model="numpy")
def draw_points(rng, rate, points, first, last):
    """Fill points[first:last] by inversion, one uniform number a point.

    The numbers used do not depend on the rate: runs of one seed under different losses are coupled draw by draw.
    """
    if first == last:
        return
    low, high = _range(rate)
    cumulative = _masses(rate, low, high)
    for k in range(1, cumulative.size):
        cumulative[k] += cumulative[k - 1]
    for i in range(first, last):
        u = rng.random() * cumulative[-1]
        left, right = 0, cumulative.size - 1  # of the first entry above u
        while left < right:
            middle = (left + right) // 2
            if cumulative[middle] > u:
                right = middle
            else:
                left = middle + 1
        points[i] = low + left


@njit(cache=True, nogil=True, error_model="numpy")
def advance(
    rng, synthetic, fresh, share, memory, by_points, rule, vacuous_rule, values, lower, upper, rate0, rate, masked,
    vacuous, stop, progress, slot,
):  # fmt: skip
    """Advance replicates from column 0, which is given.

    Parameters
    ----------
    rng : numpy.random.Generator
    synthetic, fresh : int64 array (generations,)
        Points from the model before, and from generation 0.
    share : float array (generations,)
        Probability that a point counted as synthetic is fresh.
    memory : int
        FORGET, KEEP or SUBSAMPLE: fit what is drawn for a generation, all that was drawn so far, or as many of that.
    by_points : bool
        Draw point by point rather than histograms; SUBSAMPLE needs it.
    rule, vacuous_rule : int
        The loss.
    values : int64 array (K,)
        0, 1, …: the values that some rate masks; none under cross entropy.
    lower, upper : float array (K,)
        Their `bands`.
    rate0 : float
        Generation 0, from which fresh points come.
    rate, masked : float array (replicates, generations + 1)
        The rate, and the weight that the loss took away.
    vacuous : int64 array (replicates,)
        Number of vacuous generations.
    stop : uint8 array (1,)
        Set to end early.
    progress : int64 array
        Generations done are counted at `slot`.
    """
    most, total = 0, 0
    for t in range(synthetic.size):
        most = max(most, synthetic[t] + fresh[t])
        total += synthetic[t] + fresh[t]
    points = np.empty(total if memory == SUBSAMPLE else most if by_points else 0, np.int64)
    counts = np.zeros(values.size, np.int64)
    span, rest = np.zeros(2, np.int64), np.zeros(2, np.int64)
    for r in range(rate.shape[0]):
        current, n_kept = rate[r, 0], 0
        for t in range(1, rate.shape[1]):
            if stop[0]:
                return
            n_fresh = fresh[t - 1]
            if share[t - 1] > 0.0:
                n_fresh += rng.binomial(synthetic[t - 1], share[t - 1])
            n = synthetic[t - 1] + fresh[t - 1]
            if memory != KEEP or t == 1:
                for k in range(span[0], span[1]):
                    counts[k] = 0
                span[0], span[1], rest[0], rest[1] = counts.size, 0, 0, 0
            if by_points:
                draw_points(rng, rate0, points, n_kept, n_kept + n_fresh)
                draw_points(rng, current, points, n_kept + n_fresh, n_kept + n)
                if memory == SUBSAMPLE:
                    n_kept += n
                    for i in range(n):  # shuffled as far as is needed; the order of what is kept means nothing
                        j = i + np.int64(rng.random() * (n_kept - i))
                        points[i], points[j] = points[j], points[i]
                for i in range(n):
                    _tally(points[i], 1, counts, span, rest)
            else:
                if n_fresh > 0:
                    draw_histogram(rng, n_fresh, rate0, counts, span, rest)
                if n_fresh < n:
                    draw_histogram(rng, n - n_fresh, current, counts, span, rest)
            weight_lost, is_vacuous = 0.0, False
            if span[0] >= span[1]:
                current = rest[1] / rest[0]
            elif rule == PREVIOUS:
                current, weight_lost, is_vacuous = fit_outside(
                    values, counts, lower, upper, span[0], span[1], rest[0], rest[1], current
                )
            else:
                fit = fit_hinge(values, counts, lower, upper, span[0], span[1], rest[0], rest[1], current, vacuous_rule)
                current, weight_lost, is_vacuous = fit[0], fit[1], fit[2]
            vacuous[r] += is_vacuous
            rate[r, t], masked[r, t] = current, weight_lost
            progress[slot] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def entropies(rates, out):
    """Entropy of each rate, in nats: the sum over the values, or its asymptotic series."""
    most = np.int64(ASYMPTOTIC_ENTROPY + _REACH / 6.0 + math.sqrt(_REACH * (_REACH / 36.0 + ASYMPTOTIC_ENTROPY))) + 3
    log_factorial = np.empty(most)
    log_factorial[0] = 0.0
    for x in range(1, most):
        log_factorial[x] = math.lgamma(x + 1.0)
    for i in range(rates.size):
        rate = rates[i]
        if rate == 0.0:
            out[i] = 0.0
        elif rate < ASYMPTOTIC_ENTROPY:
            _, high = _range(rate)
            log_rate, mass, total = math.log(rate), math.exp(-rate), 0.0
            for x in range(min(high, most)):
                total += mass * (rate - x * log_rate + log_factorial[x])
                mass *= rate / (x + 1)
            out[i] = total
        else:
            y = 1.0 / rate
            tail = 9.0 / 80.0 + y * (863.0 / 2520.0 + y * (1375.0 / 1008.0))
            tail = y * (1.0 / 12.0 + y * (1.0 / 24.0 + y * (19.0 / 360.0 + y * tail)))
            out[i] = 0.5 * (math.log(2.0 * math.pi * rate) + 1.0) - tail
