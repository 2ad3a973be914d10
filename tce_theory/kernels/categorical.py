"""Categorical family: multinomial sampling, exact fits, and the recursion on the surviving support.

A model is a list of class indices, in rising order, with their probabilities; classes that are lost are not in the
list, so that a generation costs what its survivors cost.
"""

import math

import numpy as np
from numba import njit

# rules of `fit_counts`: cross entropy; truncation by the model being fitted; truncation by the previous model; the
# focal loss differentiated through and detached; smooth truncation; a weight given as a function
CE, CAP, PREVIOUS, FOCAL, FOCAL_DETACHED, SMOOTH, WEIGHTED = 0, 1, 2, 3, 4, 5, 6
# what the fit is when every drawn class can have a probability of at least gamma
WARM, MAX_ENTROPY, DRAWN_ONLY = 0, 1, 2
# what becomes of the data of earlier generations, as in `tce_theory.regimes`
FORGET, KEEP, SUBSAMPLE = 0, 1, 2
# how a model's law is changed when points are drawn from it
AS_IT_IS, TEMPERATURE, TOP_K, TOP_P = 0, 1, 2, 3
# metrics, and the rows of the record
ENTROPY, HETEROZYGOSITY, SUPPORT, MAX_PROB, TV, KL_TO_ORIGIN, KL_FROM_ORIGIN, MASKED_WEIGHT = 0, 1, 2, 3, 4, 5, 6, 7
N_METRICS = 8

_SMALL_MEAN = 10.0  # below, a Poisson number is drawn by inversion
GUIDE = 2  # parts of the guide table a class: the finer, the fewer steps of a search
_RECIPROCALS = 1.0 / np.maximum(np.arange(80), 1)  # a division takes longer than the rest of a step of inversion
_CAP_ROUNDING = 1e-14  # S gamma this close to 1 is 1: the uniform model on the drawn classes
_MAX_STEPS = 200


@njit(cache=True, nogil=True, error_model="numpy")
def _sums(values, size):
    """Sum p and p (1 - p); four partial sums each, for additions have to wait for each other."""
    a0, a1, a2, a3 = 0.0, 0.0, 0.0, 0.0
    b0, b1, b2, b3 = 0.0, 0.0, 0.0, 0.0
    whole = size // 4 * 4
    for i in range(0, whole, 4):
        p, q, r, s = values[i], values[i + 1], values[i + 2], values[i + 3]
        a0, a1, a2, a3 = a0 + p, a1 + q, a2 + r, a3 + s
        b0, b1, b2, b3 = b0 + p * (1.0 - p), b1 + q * (1.0 - q), b2 + r * (1.0 - r), b3 + s * (1.0 - s)
    for i in range(whole, size):
        a0, b0 = a0 + values[i], b0 + values[i] * (1.0 - values[i])
    return (a0 + a1) + (a2 + a3), (b0 + b1) + (b2 + b3)


@njit(cache=True, nogil=True, error_model="numpy")
def _poisson_mass(k, mean):
    """Poisson probability of k; relative error below 1e-11 for k near a mean up to 10^9, 1e-9 up to 10^12."""
    if k < 0.0:
        return 0.0
    if k < 10.0:
        return math.exp(k * math.log(mean) - mean - math.lgamma(k + 1.0))
    x = 1.0 / (k * k)
    tail = (1.0 / 12.0 - (1.0 / 360.0 - (1.0 / 1260.0 - x / 1680.0) * x) * x) / k  # of Stirling's series
    distance = mean - k
    return math.exp(k * math.log1p(distance / k) - distance - tail) / math.sqrt(2.0 * math.pi * k)


@njit(cache=True, nogil=True, error_model="numpy")
def _normal_mass(low, width):
    """Probability that a standard normal lies in [low, low + width], from the nearer tail."""
    high = low + width
    if low > 0.0:
        return 0.5 * (math.erfc(low * math.sqrt(0.5)) - math.erfc(high * math.sqrt(0.5)))
    return 0.5 * (math.erfc(-high * math.sqrt(0.5)) - math.erfc(-low * math.sqrt(0.5)))


@njit(cache=True, nogil=True, error_model="numpy")
def _poisson_small(rng, mean):
    """Draw from the Poisson law with a small mean, by inversion."""
    u, k, mass = rng.random(), 0, math.exp(-mean)
    while u > mass:
        u -= mass
        k += 1
        mass *= mean * _RECIPROCALS[k]
        if k == _RECIPROCALS.size - 1:  # beyond it lies less than rounding: draw again
            u, k, mass = rng.random(), 0, math.exp(-mean)
    return k


@njit(cache=True, nogil=True, error_model="numpy")
def _poisson_rest(rng, mean, k, u):
    """Finish a draw whose proposal k the quick tests did not settle: compare the masses, else draw what is missing."""
    spread = math.sqrt(mean)
    if _normal_mass((k - mean) / spread, 1.0 / spread) * (1.0 - u) <= _poisson_mass(k, mean):
        return np.int64(k)
    while True:
        height = rng.standard_exponential()
        u = 2.0 * rng.random() - 1.0
        t = 1.8 + math.copysign(height, u)
        if t > -0.6744:
            k = np.floor(mean + spread * t)
            missing = _poisson_mass(k, mean) - _normal_mass((k - mean) / spread, 1.0 / spread)
            if 0.1069 / mean * abs(u) <= missing * math.exp(height):
                return np.int64(k)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_poisson(rng, means, scale, size, counts, uniforms, unsettled):
    """Fill `counts` with Poisson numbers of mean scale * means[i]; return their sum.

    From a mean of 10 by the rounded normal (Ahrens and Dieter 1982, algorithm PD): one normal and one uniform variate
    settle 98 of 100 draws, because up to 1.1484 below the mean and everywhere above it the Poisson law exceeds the
    rounded normal, and further below it falls short by at most (mean - k)^3 / (6 mean^2). The others are finished in a
    second loop, which leaves the first without branches: five times as fast as the Generator's own method.
    """
    left = 0
    for i in range(size):
        mean = scale * means[i]
        k = np.floor(mean + math.sqrt(mean) * rng.standard_normal())
        u = rng.random()
        below = mean - k
        settled = (below <= 1.1484) | (6.0 * mean * mean * u >= below * below * below)
        settled &= (mean >= _SMALL_MEAN) & (k >= 0.0)
        counts[i] = np.int64(k)
        uniforms[left] = u
        unsettled[left] = i
        left += 1 - np.int64(settled)
    for j in range(left):
        i = unsettled[j]
        mean = scale * means[i]
        counts[i] = (
            _poisson_small(rng, mean) if mean < _SMALL_MEAN else _poisson_rest(rng, mean, counts[i], uniforms[j])
        )
    total = 0
    for i in range(size):
        total += counts[i]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _prepare_search(weights, size, cumulative, guide):
    """Fill the cumulative weights and, for equal parts of the total (GUIDE a class), the first class in each."""
    total = 0.0
    parts = GUIDE * size
    guide[:parts] = 0
    for i in range(size):
        total += weights[i]
        cumulative[i] = total
    per_weight = parts / total
    for i in range(size - 1):
        part = np.int64(cumulative[i] * per_weight) + 1
        guide[min(part, parts - 1)] = i + 1
    latest = 0
    for part in range(parts):
        latest = max(latest, guide[part])
        guide[part] = latest
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def draw_points(rng, n, weights, size, counts, cumulative, guide):
    """Add n labels to `counts` by inversion, one uniform number a label (indexed search, Chen and Asau 1974).

    The numbers used do not depend on the weights: runs of one seed under different losses are coupled draw by draw.
    """
    total = _prepare_search(weights, size, cumulative, guide)
    parts = GUIDE * size
    for _ in range(n):
        u = rng.random()
        i = guide[np.int64(u * parts)]
        u *= total
        while cumulative[i] <= u and i < size - 1:
            i += 1
        while i > 0 and cumulative[i - 1] > u:  # the guide may be one class too far
            i -= 1
        counts[i] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def draw_law(rng, n, weights, size, counts, cumulative, guide):
    """Multinomial counts by whichever exact method is fastest for n and the number of classes.

    Few classes: conditional binomials. Few points: label by label. Else a Poisson number for each class, their total
    N aimed 1.5 standard deviations below n (drawn again if above), and n - N labels to fill up: given N, Poisson counts
    are multinomial, and the sum of independent multinomial counts with the same probabilities is multinomial.

    Parameters
    ----------
    rng : numpy.random.Generator
    n : int
    weights : float array
        Probabilities of the classes, up to a factor.
    size : int
        Number of classes.
    counts : int64 array (size,)
        Filled.
    cumulative : float array (size,)
        Scratch space.
    guide : int64 array (GUIDE * size,)
        Scratch space.
    """
    if n <= 3 * size:
        counts[:size] = 0
        draw_points(rng, n, weights, size, counts, cumulative, guide)
        return
    if 128 * size * size < n:
        total = 0.0
        for i in range(size - 1, -1, -1):  # from the end, so that small weights keep their digits
            total += weights[i]
            cumulative[i] = total
        left = n
        for i in range(size - 1):
            share = weights[i] / cumulative[i] if left > 0 else 0.0
            counts[i] = rng.binomial(left, share) if 0.0 < share < 1.0 else left * int(share >= 1.0)
            left -= counts[i]
        counts[size - 1] = left
        return
    scale = (n - 1.5 * math.sqrt(n)) / _sums(weights, size)[0]
    drawn = n + 1
    while drawn > n:
        drawn = draw_poisson(rng, weights, scale, size, counts, cumulative, guide)
    draw_points(rng, n - drawn, weights, size, counts, cumulative, guide)


@njit(cache=True, nogil=True, error_model="numpy")
def draw_without_replacement(rng, n, kept, size, total, taken, cumulative, counts):
    """Fill `counts` with n of the `total` points of which `kept` has the numbers.

    Points are numbered and drawn with replacement until n different ones were met: at most 1.39 n draws if n is at most
    half of them.
    """
    if n == total:
        for i in range(size):
            counts[i] = kept[i]
        return
    last = 0
    for i in range(size):
        counts[i] = 0
        last += kept[i]
        cumulative[i] = last
    taken[:total] = 0
    left = n
    while left > 0:
        point = np.int64(rng.random() * total)
        if taken[point] == 0:
            taken[point] = 1
            counts[np.searchsorted(cumulative[:size], point, side="right")] += 1
            left -= 1


@njit(cache=True, nogil=True, error_model="numpy")
def decode(probs, size, decoding, parameter, out):
    """Fill `out` with the law that points are drawn from."""
    if decoding == AS_IT_IS:
        for i in range(size):
            out[i] = probs[i]
        return
    total = 0.0
    if decoding == TEMPERATURE:
        largest = probs[:size].max()
        for i in range(size):
            out[i] = (probs[i] / largest) ** (1.0 / parameter)
            total += out[i]
    else:
        order = np.argsort(-probs[:size], kind="mergesort")  # stable: of ties those that come first
        out[:size] = 0.0
        for place in range(size):
            i = order[place]
            # the first class stays, however small the share that is asked for
            is_enough = decoding == TOP_P and place > 0 and total >= parameter - _CAP_ROUNDING
            if is_enough or (decoding == TOP_K and place >= parameter):
                break
            out[i] = probs[i]
            total += probs[i]
    for i in range(size):
        out[i] /= total


@njit(cache=True, nogil=True, error_model="numpy")
def project_on_cap(counts, size, n, gamma, probs):
    """Capped projection: q_i = min(gamma, c_i / multiplier), for S gamma > 1 (slug capped-projection).

    The multiplier falls at every pass and classes are only ever capped, never released, so that ties cannot loop;
    there are at most 1/gamma passes, and few on any usual vector.

    Returns
    -------
    float
        The multiplier: n times the weight left unmasked.
    """
    multiplier, capped = float(n), 0
    while True:
        above, found = 0, 0
        limit = gamma * multiplier
        for i in range(size):
            if counts[i] > limit:
                found += 1
                above += counts[i]
        if found <= capped:  # fewer can only be rounding, at a class that is just capped
            break
        capped = found
        multiplier = (n - above) / (1.0 - capped * gamma)
    for i in range(size):
        probs[i] = min(gamma, counts[i] / multiplier)
    return multiplier


@njit(cache=True, nogil=True, error_model="numpy")
def _free_mass(previous, tau):
    """Unnormalised probability of a class that nothing holds, at clock tau of the flow; the limit for infinite tau."""
    return 1.0 if tau == np.inf else previous / (1.0 + tau * previous)


@njit(cache=True, nogil=True, error_model="numpy")
def _warm_normaliser(previous, drawn, size, gamma, tau):
    """Normaliser Z at clock tau, and the sum of the logits minus its value at the start; see `warm_end`.

    Z = sum over free classes + sum over drawn ones of max(a, gamma Z) or gamma Z is piecewise linear and convex:
    Newton's iteration from the left is monotone and ends at the root.
    """
    free, n_drawn = 0.0, 0
    for i in range(size):
        if drawn[i] > 0:
            n_drawn += 1
        elif previous[i] > 0.0:
            free += _free_mass(previous[i], tau)
    z = free / (1.0 - n_drawn * gamma)
    for _ in range(size + 1):
        mass, held = free, n_drawn
        for i in range(size):
            if drawn[i] > 0 and previous[i] > gamma and _free_mass(previous[i], tau) > gamma * z:
                mass += _free_mass(previous[i], tau)
                held -= 1
        z_new = mass / (1.0 - held * gamma)
        if z_new == z:
            break
        z = z_new
    excess = 0.0
    for i in range(size):
        if previous[i] > 0.0 and tau < np.inf:
            a = _free_mass(previous[i], tau)
            if drawn[i] > 0:
                a = max(a, gamma * z) if previous[i] > gamma else gamma * z
            excess += math.log(a / previous[i])
    return z, excess


@njit(cache=True, nogil=True, error_model="numpy")
def warm_end(previous, drawn, size, gamma, probs):
    """End of the logit gradient flow from the previous model, fewer classes drawn than 1/gamma (slug warm-degenerate).

    Off the drawn classes exp(-logit) grows at one rate, so the unnormalised masses are a_j = q_j / (1 + tau q_j); the
    sum of the logits is conserved; the flow stops when every drawn class has at least gamma. From a previous model
    within the cap every drawn class ends at gamma, and both facts fix tau and the normaliser Z. A class that is drawn
    though the previous model excludes it (a fresh point) is taken at the limit of small probabilities.

    A previous model above the cap stays as it is if every drawn class has at least gamma. If not, the flow has no
    closed form, and its end depends on the counts, because a class that was held at gamma can be let go again. The fit
    is then a convention, not the end of the flow: the same two equations, with a_j/Z for a drawn class that started
    above gamma and would stay there. Of 300 random cases 13 differed from the flow by more than 0.005; the most seen
    is 0.08. It happens before the first fit that is not vacuous, and never after.

    Parameters
    ----------
    previous : float array
        Probabilities of the previous model.
    drawn : int64 array
        Counts.
    size : int
        Number of classes in the two lists.
    gamma : float
    probs : float array
        Filled with the end point.
    """
    frozen, lost, free, above = True, False, 0, False
    for i in range(size):
        if drawn[i] > 0:
            frozen = frozen and previous[i] >= gamma
            lost = lost or previous[i] == 0.0
            above = above or previous[i] > gamma
        elif previous[i] > 0.0:
            free += 1
    if frozen:
        for i in range(size):  # loops, here and below, because numba compiles the copy of a slice for seconds
            probs[i] = previous[i]
        return
    # with one free class its share is what is left, whatever tau; else the root is bracketed upwards and bisected
    search = not lost and (free != 1 or above)
    low, high, z = 0.0, np.inf, 0.0
    tau = np.inf if lost else 1.0
    for _ in range(4 * _MAX_STEPS):
        z, excess = _warm_normaliser(previous, drawn, size, gamma, tau)
        if not search:
            break
        if excess > 0.0:
            low = tau
        else:
            high = tau
        if high == np.inf:
            tau *= 4.0
            continue
        middle = math.sqrt(low * high) if high > 4.0 * low > 0.0 else 0.5 * (low + high)
        if not low < middle < high or high - low <= 1e-15 * high:
            break
        tau = middle
    for i in range(size):
        a = _free_mass(previous[i], tau) / z if previous[i] > 0.0 else 0.0
        if drawn[i] > 0:
            a = max(a, gamma) if previous[i] > gamma else gamma
        probs[i] = a


@njit(nogil=True, error_model="numpy")
def _log_pull(u, rule, gamma, parameter, weight):
    """Logarithm of (weight / p) at p = e^u: the pull of the data on a class, which falls as the class grows."""
    p = math.exp(u)
    if p >= 1.0:
        p, q, log_q = 1.0, 0.0, -np.inf
    else:
        q = -math.expm1(u)
        log_q = math.log(q)
    if rule == FOCAL_DETACHED:
        return (parameter * log_q if parameter > 0.0 else 0.0) - u
    if rule == FOCAL:
        if q == 0.0:
            return -u if parameter == 0.0 else -np.inf
        # (1-p)^(k-1) (1 - p - k p log p): both terms are nonnegative
        return (parameter - 1.0) * log_q + math.log(q - parameter * p * min(u, 0.0)) - u
    if rule == SMOOTH:
        x = (u - math.log(gamma)) / parameter
        return -(math.log1p(math.exp(x)) if x < 0.0 else x + math.log1p(math.exp(-x))) - u
    if weight is None:
        return -u
    return math.log(weight(p)) - u


@njit(nogil=True, error_model="numpy")
def _class_at(target, start, rule, gamma, parameter, weight):
    """Logarithm of the p at which `_log_pull` falls to the target; above 0 where even p = 1 pulls harder."""
    low, high, g_low, g_high = -np.inf, np.inf, 0.0, 0.0
    u, reach, side = start, 1.0, 0
    for step in range(2 * _MAX_STEPS):
        g = _log_pull(u, rule, gamma, parameter, weight) - target
        if g > 0.0:
            if u >= 0.0:
                return g  # beyond p = 1 the weight is taken as constant, so that the sum over classes stays monotone
            low, g_low = u, g
            g_high = 0.5 * g_high if side == 1 else g_high
            side = 1
        else:
            high, g_high = u, g
            g_low = 0.5 * g_low if side == -1 else g_low
            side = -1
        if abs(g) <= 1e-16 * max(1.0, -target):
            return u
        if high == np.inf or low == -np.inf:
            # where the weight falls with p the pull falls by at least as much as log p grows: g is far enough to go
            u = min(u + g * reach, 0.0)
            reach *= 2.0
            continue
        if high - low <= 4e-16 * max(1.0, -low):
            return u
        middle = 0.5 * (low + high)
        u = middle if step % 4 == 3 or g_high == -np.inf else (low * g_high - high * g_low) / (g_high - g_low)
        if not low < u < high:
            u = middle
    return u


@njit(nogil=True, error_model="numpy")
def balance(counts, size, n, rule, gamma, parameter, weight, probs):
    """Minimise a separable convex objective: q_i with f_i w(q_i)/q_i the same for every class, summing to one.

    The multiplier is found by false position on log sum(q), with one root of `_log_pull` a class inside; neighbours
    with equal counts share one. Slug focal-gradient.

    Returns
    -------
    float
        The multiplier, as a share of n.
    """
    if size == 1:
        probs[0] = 1.0
        return math.exp(_log_pull(0.0, rule, gamma, parameter, weight))
    low, high, log_multiplier = -np.inf, np.inf, 0.0
    g_low, g_high, side, total = 0.0, 0.0, 0, 1.0
    for i in range(size):
        probs[i] = counts[i] / n
    for step in range(_MAX_STEPS):
        total, u = 0.0, 0.0
        for i in range(size):
            if i == 0 or counts[i] != counts[i - 1]:
                target = log_multiplier - math.log(counts[i] / n)
                u = _class_at(target, min(math.log(probs[i]), -1e-16), rule, gamma, parameter, weight)
            probs[i] = math.exp(min(u, 700.0))
            total += probs[i]
        g = math.log(total)
        if g > 0.0:
            low, g_low = log_multiplier, g
            g_high = 0.5 * g_high if side == 1 else g_high
            side = 1
        else:
            high, g_high = log_multiplier, g
            g_low = 0.5 * g_low if side == -1 else g_low
            side = -1
        if abs(g) <= 1e-15 * (8.0 + size) or high - low <= 4e-16 * max(1.0, abs(log_multiplier)):
            break
        if low == -np.inf or high == np.inf:
            log_multiplier += g * 2.0**step  # one step may be too short, never of the wrong sign
        elif step % 4 == 3:
            log_multiplier = 0.5 * (low + high)
        else:
            log_multiplier = (low * g_high - high * g_low) / (g_high - g_low)
    for i in range(size):
        probs[i] /= total
    return math.exp(log_multiplier)


def _fit_counts(
    counts, previous, size, n, n_classes, rule, gamma, parameter, vacuous_rule, weight, index, probs
):  # fmt: skip
    """Exact fit to counts; the lists are cut to the classes that the fit keeps.

    Parameters
    ----------
    counts : int64 array
        Counts of the listed classes; compacted in place.
    previous : float array
        Probabilities of the previous model on the listed classes; compacted in place.
    size : int
        Length of the lists.
    n : int
        Sum of the counts.
    n_classes : int
        Number of classes of the family.
    rule, vacuous_rule : int
    gamma : float
        Threshold.
    parameter : float or None
        Exponent of the focal loss or width of the smooth threshold; None for the rules that need no root finding,
        whose code then leaves it out and compiles in half the time.
    weight : function of p, or None
    index : int64 array
        Listed classes, in rising order; replaced by those that are kept.
    probs : float array
        Filled with their probabilities.

    Returns
    -------
    size : int
        Number of classes kept.
    masked : float
        Weight that the loss takes away, in data points.
    vacuous : bool
        Every drawn class can have (current mask) or has (previous mask) a probability of at least gamma.
    """
    n_drawn = 0
    for i in range(size):
        n_drawn += 1 if counts[i] > 0 else 0
    room = 1.0 - n_drawn * gamma if rule == CAP else -1.0
    if room > _CAP_ROUNDING and vacuous_rule == WARM:
        warm_end(previous, counts, size, gamma, probs)
        kept = 0
        for i in range(size):
            if probs[i] > 0.0:
                index[kept], probs[kept] = index[i], probs[i]
                kept += 1
        return kept, float(n), True
    if room > _CAP_ROUNDING and vacuous_rule == MAX_ENTROPY:
        # at least gamma on the drawn classes, the rest spread evenly over the others; uniform where gamma allows it
        off = 1.0 / n_classes if n_classes * gamma <= 1.0 else room / (n_classes - n_drawn)
        on = max(gamma, off)
        probs[:n_classes] = off
        for i in range(size):
            if counts[i] > 0:
                probs[index[i]] = on
        for i in range(n_classes):
            index[i] = i
        return n_classes, float(n), True
    if rule == PREVIOUS:
        kept_mass = 0
        for i in range(size):
            kept_mass += counts[i] if previous[i] <= gamma else 0
        if kept_mass == 0:  # nothing to fit: the previous model is kept
            kept = 0
            for i in range(size):
                if previous[i] > 0.0:
                    index[kept], probs[kept] = index[i], previous[i]
                    kept += 1
            return kept, float(n), True
        kept = 0
        for i in range(size):
            if counts[i] > 0 and previous[i] <= gamma:
                index[kept], probs[kept] = index[i], counts[i] / kept_mass
                kept += 1
        return kept, float(n - kept_mass), False
    kept = 0
    for i in range(size):
        if counts[i] > 0:
            index[kept], counts[kept] = index[i], counts[i]
            kept += 1
    if rule == CE:
        for i in range(kept):
            probs[i] = counts[i] / n
        return kept, 0.0, False
    if rule == CAP:
        if room >= -_CAP_ROUNDING:
            probs[:kept] = 1.0 / kept
            # S gamma = 1 has one minimiser; the weights are those of the limit from above, f_min / f_i
            smallest = n
            for i in range(kept):
                smallest = min(smallest, counts[i])
            return kept, float(n) if room > _CAP_ROUNDING else float(n - kept * smallest), room > _CAP_ROUNDING
        return kept, n - project_on_cap(counts, kept, n, gamma, probs), False
    if parameter is not None:
        multiplier = balance(counts, kept, n, rule, gamma, parameter, weight, probs)
        return kept, n * (1.0 - multiplier), False  # w_i = multiplier q_i / f_i
    return kept, np.nan, False  # not reached


fit_counts = njit(cache=True, nogil=True, error_model="numpy")(_fit_counts)
# a kernel that takes a function as `weight` must not be cached on disk, where a later session would look for that
# function: this one is not, and other kernels call it alone
fit_counts_weighted = njit(nogil=True, error_model="numpy")(_fit_counts)


@njit(cache=True, nogil=True, error_model="numpy")
def record(index, probs, size, truth, n_truth, masked, wanted, out):
    """Write the wanted metrics of one model to the rows of `out`.

    Parameters
    ----------
    index, probs, size
        The model.
    truth : float array (K,)
        Probabilities of generation 0.
    n_truth : int
        Number of them above 0.
    masked : float
        Weight that the mask took away.
    wanted : int64 array (N_METRICS,)
        Row of each metric, or -1.
    out : float array (rows,)
    """
    if wanted[SUPPORT] >= 0:
        out[wanted[SUPPORT]] = size
    if wanted[MASKED_WEIGHT] >= 0:
        out[wanted[MASKED_WEIGHT]] = masked
    if wanted[HETEROZYGOSITY] >= 0:
        out[wanted[HETEROZYGOSITY]] = _sums(probs, size)[1]
    if wanted[MAX_PROB] >= 0:
        largest = 0.0
        for i in range(size):
            largest = max(largest, probs[i])
        out[wanted[MAX_PROB]] = largest
    if wanted[ENTROPY] >= 0:
        entropy = 0.0
        for i in range(size):
            entropy -= probs[i] * math.log(probs[i])
        out[wanted[ENTROPY]] = entropy
    if wanted[TV] >= 0:
        gained = 0.0
        for i in range(size):
            gained += max(probs[i] - truth[index[i]], 0.0)
        out[wanted[TV]] = gained
    if wanted[KL_TO_ORIGIN] >= 0:
        divergence = 0.0
        for i in range(size):
            divergence += probs[i] * math.log(probs[i] / truth[index[i]])
        out[wanted[KL_TO_ORIGIN]] = max(divergence, 0.0)
    if wanted[KL_FROM_ORIGIN] >= 0:
        divergence, covered = 0.0, 0
        for i in range(size):
            p = truth[index[i]]
            if p > 0.0:
                divergence += p * math.log(p / probs[i])
                covered += 1
        out[wanted[KL_FROM_ORIGIN]] = max(divergence, 0.0) if covered == n_truth else np.inf


def _advance(
    rng, synthetic, fresh, share, memory, decoding, decoding_parameter, rule, gamma, parameter, vacuous_rule, weight,
    truth, by_points, first, index, probs, sizes, kept, wanted, out, vacuous, fixation, stop, progress, slot,
):  # fmt: skip
    """Advance replicates from column 0 of `out`, which is generation `first`.

    Parameters
    ----------
    rng : numpy.random.Generator
    synthetic, fresh : int64 array (generations,)
        Points from the model before, and from generation 0.
    share : float array (generations,)
        Probability that a point counted as synthetic is fresh.
    memory : int
        FORGET, KEEP or SUBSAMPLE: fit what is drawn for a generation, all that was drawn so far, or as many of that.
    decoding : int
        AS_IT_IS, TEMPERATURE, TOP_K or TOP_P.
    decoding_parameter : float
    rule, gamma, parameter, vacuous_rule, weight
        The loss, see `fit_counts`.
    truth : float array (K,)
        Probabilities of generation 0, from which fresh points come.
    by_points : bool
        Draw label by label rather than the counts.
    first : int
        Generation of column 0: 0 starts every replicate from the truth; a later one needs a single replicate, whose
        model and data are in the next four, and whose column 0 is left alone.
    index, probs : int64, float array (K,)
        Model of the replicate at work, and at the end of the last.
    sizes : int64 array (1,)
        Its number of classes.
    kept : int64 array (K,)
        Counts of all that was drawn for it, if that is kept.
    wanted : int64 array (N_METRICS,)
        Row of `out` for each metric, or -1.
    out : float array (rows, replicates, columns)
    vacuous, fixation : int64 array (replicates,)
        Number of vacuous generations; first generation with a single class, or -1.
    stop : uint8 array (1,)
        Set to end early.
    progress : int64 array
        Generations done are counted at `slot`.
    """
    n_classes = truth.size
    counts, fresh_counts = np.zeros(n_classes, np.int64), np.zeros(n_classes, np.int64)
    previous = np.zeros(n_classes)
    weights = np.empty(n_classes)
    cumulative = np.empty(n_classes)
    guide = np.empty(GUIDE * n_classes, np.int64)
    all_drawn = 0
    if memory == SUBSAMPLE:
        for t in range(first + out.shape[2] - 1):
            all_drawn += synthetic[t] + fresh[t]
    taken = np.empty(all_drawn, np.uint8)
    cumulative_kept = np.empty(n_classes if memory == SUBSAMPLE else 0, np.int64)
    n_truth = 0
    for i in range(n_classes):
        n_truth += 1 if truth[i] > 0.0 else 0
    for r in range(out.shape[1]):
        size = sizes[0]
        if first == 0:
            size = 0
            for i in range(n_classes):
                kept[i] = 0
                if truth[i] > 0.0:
                    index[size], probs[size] = i, truth[i]
                    size += 1
            fixation[r] = 0 if size == 1 else -1
        n_kept = 0
        for i in range(n_classes):
            n_kept += kept[i]
        for t in range(out.shape[2]):
            masked = np.nan  # generation 0 is no fit
            if t > 0:
                if stop[0]:
                    return
                n_old, n_fresh, mixed = synthetic[first + t - 1], fresh[first + t - 1], share[first + t - 1]
                n = n_old + n_fresh
                if memory != FORGET or n_fresh > 0 or mixed > 0.0:  # classes that are lost can come back
                    previous[:] = 0.0
                    for i in range(size):
                        previous[index[i]] = probs[i]
                    for i in range(n_classes):
                        index[i] = i
                    size = n_classes
                else:
                    for i in range(size):
                        previous[i] = probs[i]
                decode(previous, size, decoding, decoding_parameter, weights)
                if by_points:
                    n_mixed = rng.binomial(n_old, mixed) if mixed > 0.0 else 0
                    counts[:size] = 0
                    draw_points(rng, n_old - n_mixed, weights, size, counts, cumulative, guide)
                    if n_fresh + n_mixed > 0:
                        draw_points(rng, n_fresh + n_mixed, truth, size, counts, cumulative, guide)
                else:
                    if mixed > 0.0:
                        for i in range(n_classes):
                            weights[i] = (1.0 - mixed) * weights[i] + mixed * truth[i]
                    draw_law(rng, n_old, weights, size, counts, cumulative, guide)
                    if n_fresh > 0:
                        draw_law(rng, n_fresh, truth, size, fresh_counts, cumulative, guide)
                        for i in range(size):
                            counts[i] += fresh_counts[i]
                if memory != FORGET:
                    n_kept += n
                    for i in range(n_classes):
                        kept[i] += counts[i]
                        counts[i] = kept[i]
                    if memory == SUBSAMPLE:
                        draw_without_replacement(rng, n, kept, n_classes, n_kept, taken, cumulative_kept, counts)
                    else:
                        n = n_kept
                size, masked, is_vacuous = fit_counts_weighted(
                    counts, previous, size, n, n_classes, rule, gamma, parameter, vacuous_rule, weight, index, probs
                )
                vacuous[r] += is_vacuous
                if size == 1 and fixation[r] < 0:
                    fixation[r] = first + t
                progress[slot] += 1
            if t > 0 or first == 0:
                record(index, probs, size, truth, n_truth, masked, wanted, out[:, r, t])
        sizes[0] = size


advance = njit(cache=True, nogil=True, error_model="numpy")(_advance)
advance_weighted = njit(nogil=True, error_model="numpy")(_advance)


def _fit_rows(counts, probs, offsets, rule, gamma, parameter, vacuous_rule, weight, masked, vacuous):
    """Fit every row that was seen, starting from the model before; a row that was not seen keeps it.

    Parameters
    ----------
    counts : int64 array (R, E)
    probs : float array (R, E)
        The models before; replaced by the fits.
    offsets : int64 array (C + 1,)
    rule, gamma, parameter, vacuous_rule, weight
        The loss, see `fit_counts`.
    masked : float array (R,)
        Filled with the weight that the loss takes away.
    vacuous : int64 array (R,)
        1 is added where the fits of all rows seen are vacuous.
    """
    widest = 0
    for row in range(offsets.size - 1):
        widest = max(widest, offsets[row + 1] - offsets[row])
    seen, index = np.empty(widest, np.int64), np.empty(widest, np.int64)
    previous, fitted = np.empty(widest), np.empty(widest)
    for r in range(counts.shape[0]):
        masked[r] = 0.0
        everywhere = True
        for row in range(offsets.size - 1):
            first = offsets[row]
            size, n = offsets[row + 1] - first, 0
            for i in range(size):
                n += counts[r, first + i]
            if n == 0:
                continue
            for i in range(size):
                seen[i], previous[i], index[i] = counts[r, first + i], probs[r, first + i], i
            kept, row_masked, row_vacuous = fit_counts_weighted(
                seen, previous, size, n, size, rule, gamma, parameter, vacuous_rule, weight, index, fitted
            )
            for i in range(size):
                probs[r, first + i] = 0.0
            for i in range(kept):
                probs[r, first + index[i]] = fitted[i]
            masked[r] += row_masked
            everywhere = everywhere and row_vacuous
        vacuous[r] += everywhere


fit_rows = njit(cache=True, nogil=True, error_model="numpy")(_fit_rows)
# with a function as `weight`: not cached on disk, where a later session would look for that function
fit_rows_weighted = njit(nogil=True, error_model="numpy")(_fit_rows)


@njit(cache=True, nogil=True, error_model="numpy")
def decode_rows(probs, offsets, decoding, parameter, laws):
    """Fill `laws` (R, E) with what sequences are drawn from: every row decoded on its own."""
    for r in range(probs.shape[0]):
        for row in range(offsets.size - 1):
            first, last = offsets[row], offsets[row + 1]
            decode(probs[r, first:last], last - first, decoding, parameter, laws[r, first:last])
