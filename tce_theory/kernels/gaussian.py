"""One-dimensional Gaussian: exact truncated fits and the recursion.

Units. A fit under an absolute threshold works in units of the critical scale sigma_c = 1/(gamma sqrt(2 pi)), where the
peak density reaches gamma. In these units, with q = s^2 the variance, a point at distance d from the centre has density
gamma where d^2 = -q log q, so that the masked interval has squared radius r^2(q) = -q log q. It falls from 1/e at
q = 1/e (the floor sigma_f) to 0 at q = 1, and every truncated fit has q between the two.

The recursion keeps the scale as a fraction and an exponent of two, because the logarithm of a collapsing scale is a
random walk without end: the scale leaves the range of a float, its logarithm does not.
"""

import math

import numpy as np
from numba import njit

# rules of `advance_points`: cross entropy; truncation by the model being fitted; truncation by the previous model
CE, ABSOLUTE, RELATIVE, PREVIOUS_ABSOLUTE, PREVIOUS_RELATIVE = 0, 1, 2, 3, 4
# what becomes of the data of earlier generations, as in `tce_theory.regimes`
FORGET, KEEP, SUBSAMPLE = 0, 1, 2

_FLOOR = math.exp(-1.0)  # sigma_f^2 in units of sigma_c^2
_EXPONENT_STEP = 512
_TINY, _HUGE = 2.0**-_EXPONENT_STEP, 2.0**_EXPONENT_STEP
FEW = 12  # so few candidates are sorted and scanned rather than bracketed further
_ROUNDING = 1e-15  # two squared distances (of order one in these units) that differ by less are the same
_ON_BOUNDARY = 1e-13  # so close to the squared radius counts as on it, where a bracket has shrunk to rounding
_MAX_STEPS = 400  # twice what bisection of a float64 bracket can take


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(y, centre, radius2):
    """Count, sum and sum of squares of d = y - centre over d^2 >= radius2, and the count right of the centre.

    Four partial sums, for additions have to wait for each other. Their order is fixed: with `fastmath` the compiler
    would use vector instructions, six times faster, but in an order that differs between a kernel that has just been
    compiled and the same kernel loaded from the cache, and results would not be the same bit for bit.
    """
    n0, n1, n2, n3 = 0, 0, 0, 0
    r0, r1, r2, r3 = 0, 0, 0, 0
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    whole = y.size // 4 * 4
    for i in range(0, whole, 4):
        d = y[i] - centre
        w = d * d >= radius2
        n0, r0 = n0 + w, r0 + (w & (d > 0.0))
        a0, b0 = a0 + (d if w else 0.0), b0 + (d * d if w else 0.0)
        d = y[i + 1] - centre
        w = d * d >= radius2
        n1, r1 = n1 + w, r1 + (w & (d > 0.0))
        a1, b1 = a1 + (d if w else 0.0), b1 + (d * d if w else 0.0)
        d = y[i + 2] - centre
        w = d * d >= radius2
        n2, r2 = n2 + w, r2 + (w & (d > 0.0))
        a2, b2 = a2 + (d if w else 0.0), b2 + (d * d if w else 0.0)
        d = y[i + 3] - centre
        w = d * d >= radius2
        n3, r3 = n3 + w, r3 + (w & (d > 0.0))
        a3, b3 = a3 + (d if w else 0.0), b3 + (d * d if w else 0.0)
    for i in range(whole, y.size):
        d = y[i] - centre
        w = d * d >= radius2
        n0, r0 = n0 + w, r0 + (w & (d > 0.0))
        a0, b0 = a0 + (d if w else 0.0), b0 + (d * d if w else 0.0)
    return float(n0 + n1 + n2 + n3), (a0 + a1) + (a2 + a3), (b0 + b1) + (b2 + b3), float(r0 + r1 + r2 + r3)


@njit(cache=True, nogil=True, error_model="numpy")
def _moment(y, centre, radius2):
    """Count and sum of squares of d = y - centre over d^2 >= radius2: what the search needs, in half the time."""
    n0, n1, n2, n3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    whole = y.size // 4 * 4
    for i in range(0, whole, 4):
        d2 = (y[i] - centre) * (y[i] - centre)
        w = 1.0 if d2 >= radius2 else 0.0
        n0, b0 = n0 + w, b0 + w * d2
        d2 = (y[i + 1] - centre) * (y[i + 1] - centre)
        w = 1.0 if d2 >= radius2 else 0.0
        n1, b1 = n1 + w, b1 + w * d2
        d2 = (y[i + 2] - centre) * (y[i + 2] - centre)
        w = 1.0 if d2 >= radius2 else 0.0
        n2, b2 = n2 + w, b2 + w * d2
        d2 = (y[i + 3] - centre) * (y[i + 3] - centre)
        w = 1.0 if d2 >= radius2 else 0.0
        n3, b3 = n3 + w, b3 + w * d2
    for i in range(whole, y.size):
        d2 = (y[i] - centre) * (y[i] - centre)
        w = 1.0 if d2 >= radius2 else 0.0
        n0, b0 = n0 + w, b0 + w * d2
    return (n0 + n1) + (n2 + n3), (b0 + b1) + (b2 + b3)


@njit(cache=True, nogil=True, error_model="numpy")
def upper_variance(d2):
    """Largest q with -q log q = d2, for d2 in [0, 1/e]: the variance at which a point at distance d has density gamma.

    q = exp(W0(-d2)), W0 the principal branch of Lambert's function, by Halley's iteration from the series at the
    branch point (Corless et al. 1996, equations 4.22 and 5.9).
    """
    if d2 <= 0.0:
        return 1.0
    gap = 1.0 - d2 * math.e
    if gap <= 0.0:  # clipped at the branch point
        return _FLOOR
    p = math.sqrt(2.0 * gap)
    w = -1.0 + p - p * p / 3.0 + 11.0 / 72.0 * p * p * p
    if p > 1e-4:  # else the next term of the series is below rounding
        for _ in range(20):
            e = math.exp(w)
            f = w * e + d2
            step = f / (e * (w + 1.0) - (w + 2.0) * f / (2.0 * w + 2.0))
            w -= step
            if abs(step) <= 1e-15:
                break
    return math.exp(w)


@njit(cache=True, nogil=True, error_model="numpy")
def radius2_at(q):
    """Squared radius of the masked interval at variance q."""
    if q <= _FLOOR:
        return _FLOOR
    return -q * math.log(q) if q < 1.0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(y, centre, low, high, few):
    """Collect the points with d^2 in [low, high), farthest first.

    The rows of `few` are d^2, the point, its multiplicity (and room to work). Returns the number of columns filled.
    There can be more than FEW points only where the interval has shrunk to rounding; they are then at one distance,
    and fill one column on either side of the centre.
    """
    found = np.int64(0)
    for i in range(y.size):  # without a branch: the processor could not predict it
        d2 = (y[i] - centre) * (y[i] - centre)
        few[3, min(found, FEW)] = y[i]
        found += np.int64(d2 >= low) & np.int64(d2 < high)
    if found <= FEW:
        for i in range(found):
            point = few[3, i]
            d2 = (point - centre) * (point - centre)
            j = i
            while j > 0 and few[0, j - 1] < d2:
                few[0, j], few[1, j] = few[0, j - 1], few[1, j - 1]
                j -= 1
            few[0, j], few[1, j] = d2, point
        few[2, :found] = 1.0
        return found
    few[2, :2] = 0.0
    for i in range(y.size):
        d2 = (y[i] - centre) * (y[i] - centre)
        if low <= d2 < high:
            side = 0 if y[i] < centre else 1
            few[0, side], few[1, side] = d2, y[i]
            few[2, side] += 1.0
    if few[2, 0] > 0.0 and few[2, 1] > 0.0:
        return 2
    if few[2, 0] == 0.0:
        for row in range(3):  # a loop, because numba compiles the copy of a slice for seconds
            few[row, 0] = few[row, 1]
    return 1


@njit(cache=True, nogil=True, error_model="numpy")
def fit_scale(y, centre, q_start, few):
    """Exact variance of the truncated fit around a fixed centre, where some point is unmasked and some masked.

    The derivative of the objective is a positive multiple of G(q) = sum over unmasked points of (d^2 - q), which
    falls strictly, with a downward jump wherever a point enters (at q = `upper_variance(d^2)`). Its root is either
    the mean of d^2 over the unmasked points, or the place of a jump, whose point then has a weight between 0 and 1.
    The root is bracketed until few points are in doubt; these are sorted and scanned.

    Parameters
    ----------
    y : float array (n,)
        Points in units of sigma_c; mean of (y - centre)^2 below 1, some |y - centre| above sigma_f.
    centre : float
    q_start : float
        First guess, in (1/e, 1).
    few : float array (4, FEW + 1)
        Scratch space.

    Returns
    -------
    q : float
        Variance, in [1/e, 1].
    d2 : float
        Squared distance of the points on the boundary, or -1.
    weight : float
        Total weight of the points on the boundary.
    count, count_right : float
        Number of points beyond the boundary, and of those right of the centre.
    sum1, sum2 : float
        Sums of y - centre and of its square over the points beyond the boundary.
    left, right : float
        Boundary point left and right of the centre, or NaN.
    n_left, n_right : float
        Number of boundary points left and right of the centre.
    passes : int
        Passes over the data.
    """
    low, high = _FLOOR, 1.0
    count_low, count_high = 0.0, float(y.size)
    g_low, g_high = 0.0, 0.0
    q, side, passes = q_start, 0, 0
    while count_high - count_low > FEW and high - low > _ROUNDING:
        if not low < q < high:
            q = 0.5 * (low + high)
        count, sum2 = _moment(y, centre, radius2_at(q))
        passes += 1
        g = sum2 - count * q
        if g > 0.0:
            low, count_low, g_low = q, count, g
            g_high = 0.5 * g_high if side == 1 else g_high
            side = 1
        else:
            high, count_high, g_high = q, count, g
            g_low = 0.5 * g_low if side == -1 else g_low
            side = -1
        if passes % 4 == 0:  # bounds the number of passes
            q = 0.5 * (low + high)
        elif g_low > 0.0 and g_high < 0.0:
            # false position (Illinois), aimed a few points beyond the root so that the other end moves as well
            q = (low * g_high - high * g_low) / (g_high - g_low)
            q += side * 0.4 * FEW * (high - low) / (count_high - count_low)
        else:  # the next mean of d^2 lies beyond the root
            q = sum2 / count if count > 0.0 else 0.5 * (low + high)

    m = _gather(y, centre, radius2_at(high), radius2_at(low), few)
    count, sum1, sum2, count_right = _sums(y, centre, radius2_at(low))
    i = 0
    while i < m:  # points enter from the farthest to the nearest, those at one distance together
        d2 = few[0, i]
        if count > 0.0 and radius2_at(sum2 / count) > d2:
            break
        left, right, n_left, n_right, j = np.nan, np.nan, 0.0, 0.0, i
        while j < m and few[0, j] >= d2 - 2.0 * _ROUNDING:
            if few[1, j] < centre:
                left, n_left = few[1, j], n_left + few[2, j]
            else:
                right, n_right = few[1, j], n_right + few[2, j]
            j += 1
        entering = n_left + n_right
        if radius2_at((sum2 + entering * d2) / (count + entering)) >= d2:
            q = upper_variance(d2)
            weight = min(max((sum2 - count * q) / (q - d2), 0.0), entering) if q > d2 else 0.0
            if count + weight > 0.0:  # the same number, but precise near the floor too
                q = (sum2 + weight * d2) / (count + weight)
            return q, d2, weight, count, count_right, sum1, sum2, left, right, n_left, n_right, passes
        count += entering
        count_right += n_right
        sum1 += math.sqrt(d2) * (n_right - n_left)
        sum2 += entering * d2
        i = j
    return sum2 / count, -1.0, 0.0, count, count_right, sum1, sum2, np.nan, np.nan, 0.0, 0.0, passes


@njit(cache=True, nogil=True, error_model="numpy")
def _sums_outside(y, left, right, centre):
    """Count, count on the right, sums of d = y - centre and d^2 over y outside [left, right]; numbers at the ends."""
    count, count_right, sum1, sum2, n_left, n_right = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for i in range(y.size):
        d = y[i] - centre
        unmasked = 1.0 if (y[i] < left) | (y[i] > right) else 0.0
        n_left += 1.0 if y[i] == left else 0.0
        n_right += 1.0 if y[i] == right else 0.0
        count += unmasked
        count_right += 1.0 if y[i] > right else 0.0
        sum1 += unmasked * d
        sum2 += unmasked * d * d
    return count, count_right, sum1, sum2, n_left, n_right


@njit(cache=True, nogil=True, error_model="numpy")
def fit_between(y, left, right):
    """Fit whose masked interval ends at two given points: (mean, q, left weight, right weight, is it the optimum).

    The weights are totals left and right of the centre. Both follow from the two conditions of stationarity, which are
    linear in them.
    """
    centre, radius = 0.5 * (left + right), 0.5 * (right - left)
    d2 = radius * radius
    if d2 >= _FLOOR or radius <= 0.0:
        return centre, _FLOOR, 0.0, 0.0, False
    q = upper_variance(d2)
    count, count_right, sum1, sum2, n_left, n_right = _sums_outside(y, left, right, centre)
    both, difference = (sum2 - count * q) / (q - d2), -sum1 / radius
    w_left, w_right = 0.5 * (both - difference), 0.5 * (both + difference)
    slack = _ROUNDING * y.size
    optimal = -slack <= w_left <= n_left + slack and -slack <= w_right <= n_right + slack
    w_left, w_right = min(max(w_left, 0.0), n_left), min(max(w_right, 0.0), n_right)
    return centre, q, count - count_right + w_left, count_right + w_right, optimal


@njit(cache=True, nogil=True, error_model="numpy")
def fit_at_end(y, centre, end, n_end, count, sum1, sum2, weight):
    """Fit whose masked interval ends at one given point and at no other: (mean, q, weight, is it the optimum).

    The weight of that point decides the weighted mean and variance, and is where the point then has density gamma.
    The excess of its cross entropy falls as its weight grows, because the dual problem is concave: the root is unique.

    Parameters
    ----------
    y : float array (n,)
    centre : float
        Origin of the sums.
    end, n_end : float
        The point, and how often it occurs.
    count, sum1, sum2 : float
        Number of unmasked points beyond the interval, and their sums of y - centre and of its square.
    weight : float
        First guess.
    """
    shift = sum1 / count
    gap = end - centre - shift
    spread, gap2 = max(sum2 / count - shift * shift, 0.0), gap * gap
    low, high = count / (count + n_end), 1.0  # of the share of the points beyond the interval in the total weight
    share = count / (count + weight)
    for _ in range(_MAX_STEPS):
        q = share * spread + share * (1.0 - share) * gap2
        excess = share * share * gap2 + q * math.log(q)
        if excess > 0.0:
            high = share
        else:
            low = share
        slope = 2.0 * share * gap2 + (1.0 + math.log(q)) * (spread + (1.0 - 2.0 * share) * gap2)
        step = excess / slope
        if abs(step) <= _ROUNDING * share:
            break
        share -= step
        if not low < share < high:
            share = 0.5 * (low + high)
            if not low < share < high:
                return centre, 1.0, 0.0, False
    mean = centre + shift + (1.0 - share) * gap
    left, right = min(end, 2.0 * mean - end), max(end, 2.0 * mean - end)
    found, _, _, _, n_left, n_right = _sums_outside(y, left, right, mean)
    optimal = found == count and (n_left if gap < 0.0 else n_right) == n_end and q > _FLOOR
    return mean, q, count / share - count, optimal


@njit(cache=True, nogil=True, error_model="numpy")
def _fit_of_totals(y, centre, total_left, total_right):
    """Weighted mean and variance where the farthest points on either side have total weights that are given.

    Returns mean, q, and the boundary point left and right of the mean or NaN.
    """
    ordered = np.sort(y)
    slack = _ROUNDING * y.size
    n_left, n_right = math.ceil(total_left - slack), math.ceil(total_right - slack)
    sum1, sum2 = 0.0, 0.0
    for i in range(n_left):
        d, w = ordered[i] - centre, min(1.0, total_left - i)
        sum1, sum2 = sum1 + w * d, sum2 + w * d * d
    for i in range(n_right):
        d, w = ordered[y.size - 1 - i] - centre, min(1.0, total_right - i)
        sum1, sum2 = sum1 + w * d, sum2 + w * d * d
    shift = sum1 / (total_left + total_right)
    mean, q = centre + shift, max(sum2 / (total_left + total_right) - shift * shift, _FLOOR)
    left, right = np.nan, np.nan
    if n_left > 0 and abs((ordered[n_left - 1] - mean) ** 2 - radius2_at(q)) <= _ON_BOUNDARY:
        left = ordered[n_left - 1]
    if n_right > 0 and abs((ordered[y.size - n_right] - mean) ** 2 - radius2_at(q)) <= _ON_BOUNDARY:
        right = ordered[y.size - n_right]
    return mean, q, left, right


@njit(cache=True, nogil=True, error_model="numpy")
def fit_location_scale(y, mean, variance, few):
    """Exact truncated fit of mean and variance, in units of sigma_c; both ends of the masked interval are free.

    The profile over the mean is quasi-convex: the sign of g(c) = sum of w_i (y_i - c), with the weights of the fit
    around c, tells the direction. False position finds the root; three certificates end the search at once: an interval
    that ends at the two boundary points seen last, one that ends at a single such point, and an unmasked set that its
    own mean and variance reproduce. Where none holds to the last digit the bracket shrinks to rounding; its two ends
    differ in points on the boundary alone, and their weights, mixed so that g vanishes, are stationary.

    Parameters
    ----------
    y : float array (n,)
        Points with variance below 1 and half range above sigma_f.
    mean, variance : float
        The fit by cross entropy.
    few : float array (4, FEW + 1)
        Scratch space.

    Returns
    -------
    mean, q : float
    left, right : float
        Points on the boundary, or NaN.
    total_left, total_right : float
        Total weights of the points left and right of the mean; both 0 if all are masked.
    steps : int
        Means tried.
    """
    reach = math.sqrt(y.size * variance)  # no point is farther from the mean
    low, high = mean - reach, mean + reach
    at_low, at_high = (0.0, 0.0, 0.0), (0.0, 0.0, 0.0)  # g, total weight left and right
    g_low, g_high = 0.0, 0.0  # as false position changes them
    last_left, last_right = np.nan, np.nan
    centre, side = mean, 0
    q = max(0.5 * (variance + 1.0), _FLOOR)
    for step in range(1, _MAX_STEPS):
        if variance + (centre - mean) ** 2 >= 1.0:  # so far from the mean that nothing is masked
            count, _, _, total_right = _sums(y, centre, 0.0)
            q, g, total_left = 1.0, (mean - centre) * count, count - total_right
        else:
            q, d2, weight, count, count_right, sum1, sum2, left, right, n_left, n_right, _ = fit_scale(
                y, centre, q, few
            )
            total_left, total_right, g = count - count_right, count_right, sum1
            if d2 >= 0.0:
                new_left, new_right = (left if n_left > 0.0 else last_left), (right if n_right > 0.0 else last_right)
                if (new_left != last_left or new_right != last_right) and new_left < new_right:
                    pair = fit_between(y, new_left, new_right)
                    if pair[4]:
                        return pair[0], pair[1], new_left, new_right, pair[2], pair[3], step
                last_left, last_right = new_left, new_right
                if (n_left == 0.0 or n_right == 0.0) and count > 0.0:
                    end, n_end = (left, n_left) if n_left > 0.0 else (right, n_right)
                    one = fit_at_end(y, centre, end, n_end, count, sum1, sum2, weight)
                    if one[3]:
                        if n_left > 0.0:
                            return one[0], one[1], left, np.nan, total_left + one[2], total_right, step
                        return one[0], one[1], np.nan, right, total_left, total_right + one[2], step
                # of the ways to share the weight between the two sides that which brings g nearest to 0
                radius = math.sqrt(d2)
                w_right = 0.5 * (weight - sum1 / radius) if d2 > 0.0 else weight
                w_right = min(max(w_right, weight - n_left, 0.0), weight, n_right)
                g += radius * (2.0 * w_right - weight)
                total_left, total_right = total_left + weight - w_right, total_right + w_right
            else:
                shift = sum1 / count
                _, _, _, n_right = _sums(y, centre, radius2_at(q))
                count_new, _, _, right_new = _sums(y, centre + shift, radius2_at(q - shift * shift))
                if q - shift * shift > _FLOOR and count_new == count and right_new == n_right:
                    return centre + shift, q - shift * shift, np.nan, np.nan, total_left, total_right, step
            if abs(g) <= _ROUNDING * (total_left + total_right):
                return centre, q, left, right, total_left, total_right, step
        if g > 0.0:
            low, g_low, at_low = centre, g, (g, total_left, total_right)
            g_high = 0.5 * g_high if side == 1 else g_high
            side = 1
        else:
            high, g_high, at_high = centre, g, (g, total_left, total_right)
            g_low = 0.5 * g_low if side == -1 else g_low
            side = -1
        if step % 4 == 0 or high - low <= _ROUNDING:  # bounds the number of steps
            centre = 0.5 * (low + high)
        elif g_low > 0.0 and g_high < 0.0:
            centre = (low * g_high - high * g_low) / (g_high - g_low)
        else:
            centre += g / (total_left + total_right)
        if not low < centre < high:
            centre = 0.5 * (low + high)
        if high - low <= _ROUNDING or not low < centre < high:
            break
    share = 1.0 if at_high[0] == 0.0 else at_high[0] / (at_high[0] - at_low[0]) if at_low[0] > 0.0 else 0.0
    total_left = at_high[1] + share * (at_low[1] - at_high[1])
    total_right = at_high[2] + share * (at_low[2] - at_high[2])
    centre, q, left, right = _fit_of_totals(y, centre, total_left, total_right)
    return centre, q, left, right, total_left, total_right, step


@njit(cache=True, nogil=True, error_model="numpy")
def fit_absolute(y, mean, variance, fit_mean, few):
    """Fit under an absolute threshold, in units of sigma_c, to points whose variance is below 1.

    Returns
    -------
    mean, q : float
    left, right : float
        Points on the boundary, or NaN.
    total_left, total_right : float
        Total weights of the points left and right of the mean.
    steps : int
        Steps of the search.
    vacuous : bool
        Every point can have a density of at least gamma; the fit is the one of largest entropy.
    """
    # a range of 2 sigma_f keeps every point within 2 sigma_f of the mean: a fast pass that spares most samples the next
    count, _ = _moment(y, mean, 4.0 * _FLOOR) if fit_mean else _moment(y, 0.0, _FLOOR)
    if count == 0.0:
        lowest, highest = y.min(), y.max()
        centre = 0.5 * (lowest + highest) if fit_mean else 0.0
        farthest = max(highest - centre, centre - lowest)
        if farthest * farthest <= _FLOOR:
            return centre, upper_variance(farthest * farthest), np.nan, np.nan, 0.0, 0.0, 1, True
    if fit_mean:
        fit = fit_location_scale(y, mean, variance, few)
        return fit[0], fit[1], fit[2], fit[3], fit[4], fit[5], fit[6], fit[4] + fit[5] == 0.0
    start = max(0.5 * (variance + 1.0), _FLOOR)
    q, d2, weight, count, count_right, _, _, left, right, n_left, n_right, passes = fit_scale(y, 0.0, start, few)
    if d2 < 0.0:
        return 0.0, q, np.nan, np.nan, count - count_right, count_right, passes, False
    share = weight / (n_left + n_right)
    return 0.0, q, left, right, count - count_right + share * n_left, count_right + share * n_right, passes, False


@njit(cache=True, nogil=True, error_model="numpy")
def relative_radius2(radius, q):
    """Squared radius of the masked interval; a trifle less, so that rounding does not mask a point at the radius.

    At radius 1 all points can be at it, and q is off by the rounding of a sum over them.
    """
    return radius * radius * q * (1.0 - 1e-12)


@njit(cache=True, nogil=True, error_model="numpy")
def fit_relative(y, centre, variance, radius):
    """Smallest self-consistent variance: the mean of d^2 over d^2 >= radius^2 q, reached upwards from the CE fit.

    For a radius of at most 1 the farthest point is never masked, so that the fixed point exists.

    Returns
    -------
    q, count : float
        The variance, and the number of unmasked points.
    steps : int
    """
    q, count, steps = variance, float(y.size), 0
    while True:  # the unmasked set can only shrink, so n steps are the most
        found, _, sum2, _ = _sums(y, centre, relative_radius2(radius, q))
        if found == count or found == 0.0:
            return q, count, steps
        count, steps = found, steps + 1
        q = max(q, sum2 / count)


@njit(cache=True, nogil=True, error_model="numpy")
def fit_outside(y, radius, fit_mean):
    """Cross-entropy fit to the points with |y| >= radius: the mask of the previous model, whose mean is the origin.

    Returns
    -------
    mean, variance : float
    count : float
        Number of points kept. Below two (one where the mean is known) there is no fit, and the rest is meaningless.
    """
    count, sum1, _, _ = _sums(y, 0.0, radius * radius)
    if count < (2.0 if fit_mean else 1.0):
        return 0.0, 1.0, count
    mean = sum1 / count if fit_mean else 0.0
    sum2 = 0.0
    for i in range(y.size):
        kept = 1.0 if y[i] * y[i] >= radius * radius else 0.0
        sum2 += kept * (y[i] - mean) * (y[i] - mean)
    return mean, sum2 / count, count


@njit(cache=True, nogil=True, error_model="numpy")
def previous_radius(std, critical_std):
    """Radius, in units of the standard deviation, within which a Gaussian's density exceeds the threshold."""
    return math.sqrt(2.0 * math.log(critical_std / std)) if std < critical_std else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def mean_and_variance(y, fit_mean, ddof):
    """Cross-entropy fit: mean (the origin unless fitted) and variance."""
    mean = 0.0
    if fit_mean:
        _, sum1, _, _ = _sums(y, 0.0, 0.0)
        mean = sum1 / y.size
    _, sum2 = _moment(y, mean, 0.0)
    return mean, sum2 / (y.size - ddof)


@njit(cache=True, nogil=True, error_model="numpy")
def _normalise(fraction, exponent):
    """Keep the fraction of a scale near one, so that its square neither under- nor overflows."""
    while 0.0 < fraction < _TINY:
        fraction *= _HUGE
        exponent -= _EXPONENT_STEP
    while _HUGE < fraction < np.inf:
        fraction *= _TINY
        exponent += _EXPONENT_STEP
    return fraction, exponent


@njit(cache=True, nogil=True, error_model="numpy")
def _count_fresh(rng, synthetic, fresh, share):
    """Draw how many points of a generation are fresh: those that are certain, and a share of the others."""
    return fresh + (rng.binomial(synthetic, share) if share > 0.0 else 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _part_statistics(rng, n, centre, std, fit_mean):
    """Mean of n points, and the sum of squares about it, or about 0 where the mean is known and 0."""
    lost = 1 if fit_mean else 0
    mean = centre + std * (rng.standard_normal() / math.sqrt(n)) if fit_mean else 0.0
    total = std * std * (2.0 * rng.standard_gamma(0.5 * (n - lost))) if n > lost else 0.0
    return mean, total


@njit(cache=True, nogil=True, error_model="numpy")
def _merged(n, mean, total, n_more, mean_more, total_more):
    """Count, mean and sum of squares about it of two samples together (Chan et al. 1983)."""
    if n_more == 0:
        return n, mean, total
    count = n + n_more
    distance = mean_more - mean
    total += total_more + distance * distance * (n / count) * n_more
    return count, mean + distance * (n_more / count), total


@njit(cache=True, nogil=True, error_model="numpy")
def advance_law(
    rng, synthetic, fresh, share, memory, spread, fit_mean, ddof, mean0, std0, mean, fraction, exponent, stop,
    progress, slot,
):  # fmt: skip
    """Advance replicates under cross entropy from column 0, which is given, sampling the sufficient statistics.

    The sample mean is normal and the sum of squares chi-square, independent of each other; if some points are fresh the
    two parts of the sample have such statistics each. The cost does not depend on the sample size.

    Parameters
    ----------
    rng : numpy.random.Generator
    synthetic, fresh : int64 array (generations,)
        Points from the model before, and from generation 0.
    share : float array (generations,)
        Probability that a point counted as synthetic is fresh.
    memory : int
        FORGET or KEEP: fit what is drawn for a generation, or all that was drawn so far.
    spread : float
        Factor of the standard deviation of what is drawn from a model.
    fit_mean : bool
    ddof : int
    mean0, std0 : float
        Generation 0, from which fresh points come.
    mean, fraction : float array (replicates, generations + 1)
    exponent : int32 array (replicates, generations + 1)
        The scale is fraction * 2**exponent.
    stop : uint8 array (1,)
        Set to end early.
    progress : int64 array
        Generations done are counted at `slot`.
    """
    lost = 1 if fit_mean else 0
    for r in range(mean.shape[0]):
        mu, scale, power = mean[r, 0], fraction[r, 0], exponent[r, 0]
        count, centre, squares = 0, 0.0, 0.0  # of all that is kept, in units of std0 from mean0
        for t in range(1, mean.shape[1]):
            if stop[0]:
                return
            n_fresh = _count_fresh(rng, synthetic[t - 1], fresh[t - 1], share[t - 1])
            n = synthetic[t - 1] + fresh[t - 1]
            n_old = n - n_fresh
            if memory == KEEP:
                if n_old > 0:
                    std, offset = spread * math.ldexp(scale, int(power)) / std0, (mu - mean0) / std0
                    part = _part_statistics(rng, n_old, offset, std, fit_mean)
                    count, centre, squares = _merged(count, centre, squares, n_old, part[0], part[1])
                if n_fresh > 0:
                    part = _part_statistics(rng, n_fresh, 0.0, 1.0, fit_mean)
                    count, centre, squares = _merged(count, centre, squares, n_fresh, part[0], part[1])
                mu = mean0 + std0 * centre if fit_mean else mu
                scale, power = std0 * math.sqrt(squares / (count - ddof)), 0
            elif n_fresh == 0:
                chi2 = 2.0 * rng.standard_gamma(0.5 * (n - lost))
                if fit_mean:
                    step = spread * math.ldexp(scale, int(power)) * (rng.standard_normal() / math.sqrt(n))
                    mu = mu + step if abs(mu) < np.inf else mu  # a mean that has left the range of a float stays out
                scale *= spread * math.sqrt(chi2 / (n - ddof))
            else:
                old_std = spread * math.ldexp(scale, int(power))
                unit = max(old_std, std0)  # so that squares neither under- nor overflow
                std, fresh_std = old_std / unit, std0 / unit
                shift = 0.0
                if fit_mean:
                    shift = (mean0 - mu) / unit + fresh_std * (rng.standard_normal() / math.sqrt(n_fresh))
                total = 0.0
                if n_fresh > lost:
                    total += fresh_std * fresh_std * (2.0 * rng.standard_gamma(0.5 * (n_fresh - lost)))
                if n_old > 0:
                    if n_old > lost:
                        total += std * std * (2.0 * rng.standard_gamma(0.5 * (n_old - lost)))
                    if fit_mean:
                        old = std * (rng.standard_normal() / math.sqrt(n_old))
                        total += (n_old / n) * n_fresh * (shift - old) * (shift - old)
                        shift = old + (n_fresh / n) * (shift - old)
                mu = mu + unit * shift if abs(mu) < np.inf else mu
                scale, power = unit * math.sqrt(total / (n - ddof)), 0
            if scale < _TINY or scale > _HUGE:
                scale, power = _normalise(scale, power)
            mean[r, t], fraction[r, t], exponent[r, t] = mu, scale, power
            progress[slot] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _draw(rng, y, std, mean0, std0, mu, n_fresh, spread):
    """Fill y with points around mu, in units of the current scale or, if any point is fresh, of the larger scale."""
    if n_fresh == 0:
        for i in range(y.size):
            y[i] = spread * rng.standard_normal()
        return 1.0
    unit = max(std, std0)
    offset, fresh_spread, old_spread = (mean0 - mu) / unit, std0 / unit, spread * (std / unit)
    for i in range(n_fresh):
        y[i] = offset + fresh_spread * rng.standard_normal()
    for i in range(n_fresh, y.size):
        y[i] = old_spread * rng.standard_normal()
    return unit


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_kept(rng, pool, n_before, n, n_fresh, std, offset, spread, memory):
    """Add points to all that were drawn so far, in units of std0 from mean0; for SUBSAMPLE n of them go to the front.

    Returns the number of points, from the front, that are to be fitted.
    """
    for i in range(n_before, n_before + n_fresh):
        pool[i] = rng.standard_normal()
    for i in range(n_before + n_fresh, n_before + n):
        pool[i] = offset + spread * std * rng.standard_normal()
    if memory == KEEP:
        return n_before + n
    for i in range(n):  # shuffled as far as is needed; the order of what is kept means nothing
        j = i + np.int64(rng.random() * (n_before + n - i))
        pool[i], pool[j] = pool[j], pool[i]
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def advance_points(
    rng, synthetic, fresh, share, memory, spread, rule, threshold, fit_mean, ddof, mean0, std0, mean, fraction,
    exponent, masked, vacuous, stop, progress, slot,
):  # fmt: skip
    """Advance replicates from column 0, which is given, drawing the points.

    Every rule draws the same numbers, so that runs with one seed are coupled draw by draw. Parameters are those of
    `advance_law` (with SUBSAMPLE for `memory`, too), and:

    Parameters
    ----------
    rule : int
        One of CE, ABSOLUTE, RELATIVE, PREVIOUS_ABSOLUTE, PREVIOUS_RELATIVE.
    threshold : float
        The critical scale sigma_c (absolute rules), or the radius a = sqrt(-2 log gamma) (relative rules).
    masked : float array (replicates, generations + 1) or (0, 0)
        Weight that the mask removed from each fit.
    vacuous : int64 array (replicates,)
        Counts the generations in which too little was left unmasked to determine a fit.
    """
    most, total = 0, 0
    for t in range(synthetic.size):
        most = max(most, synthetic[t] + fresh[t])
        total += synthetic[t] + fresh[t]
    pool = np.empty(total if memory != FORGET else 0)
    points = np.empty(total if memory == KEEP else most)
    few = np.empty((4, FEW + 1))
    for r in range(mean.shape[0]):
        mu, scale, power = mean[r, 0], fraction[r, 0], exponent[r, 0]
        n_kept = 0
        for t in range(1, mean.shape[1]):
            if stop[0]:
                return
            n_fresh = _count_fresh(rng, synthetic[t - 1], fresh[t - 1], share[t - 1])
            n = synthetic[t - 1] + fresh[t - 1]
            std = math.ldexp(scale, int(power))
            if memory == FORGET:
                y = points[:n]
                unit = _draw(rng, y, std, mean0, std0, mu, n_fresh, spread)
            else:
                offset = (mu - mean0) / std0
                n_new = n
                n = _draw_kept(rng, pool, n_kept, n_new, n_fresh, std / std0, offset, spread, memory)
                n_kept += n_new
                y = points[:n]
                for i in range(n):
                    y[i] = pool[i] - offset
                unit = std0
            if memory == FORGET and n_fresh == 0:  # the scale is multiplied, so that it may leave the range of a float
                unit_scale, unit_power, old = scale, power, 1.0
                unit = std
            else:
                unit_scale, unit_power, old = unit, 0, std / unit
            shift, variance = mean_and_variance(y, fit_mean, ddof)
            weight = float(n)
            if rule == ABSOLUTE and math.sqrt(variance) * unit < threshold:
                ratio = unit / threshold
                for i in range(n):
                    y[i] *= ratio
                fit = fit_absolute(y, shift * ratio, variance * ratio * ratio, fit_mean, few)
                if masked.size > 0:
                    weight = fit[4] + fit[5]
                shift, variance, unit = fit[0], fit[1], threshold
                unit_scale, unit_power = threshold, 0
                vacuous[r] += fit[7]
            elif rule == RELATIVE:
                variance, weight, _ = fit_relative(y, shift, variance, threshold)
            elif rule in (PREVIOUS_ABSOLUTE, PREVIOUS_RELATIVE):
                radius = threshold if rule == PREVIOUS_RELATIVE else previous_radius(std, threshold)
                kept_mean, kept_variance, weight = fit_outside(y, old * radius, fit_mean)
                if weight < (2.0 if fit_mean else 1.0):  # nothing to fit: the previous model is kept
                    shift, variance, unit_scale, unit_power = 0.0, 1.0, scale, power
                    vacuous[r] += 1
                elif weight < n:
                    shift, variance = kept_mean, kept_variance
            if fit_mean and abs(mu) < np.inf:  # a mean that has left the range of a float stays out
                mu += unit * shift
            scale, power = unit_scale * math.sqrt(variance), unit_power
            if scale < _TINY or scale > _HUGE:
                scale, power = _normalise(scale, power)
            mean[r, t], fraction[r, t], exponent[r, t] = mu, scale, power
            if masked.size > 0:
                masked[r, t] = n - weight
            progress[slot] += 1
