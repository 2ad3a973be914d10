"""Truncated fit of a Gaussian in d dimensions under an absolute threshold: a convex solver with a certificate.

Units. Twice the loss in excess of the floor of a point is h = log det S + m, with S the covariance in units of the
critical scale (2 pi)^(-1/2) gamma^(-1/d) and m the squared Mahalanobis distance; the density is gamma where h = 0. The
objective, the sum of max(h, 0), is convex in P = S^-1 and b = S^-1 mean (slug hinge-form). The Gaussian with the
moments of the weights w has sum w h = N (log det S + d), N = sum w, which is a lower bound of the objective of every
Gaussian: that of the entropy identity. The difference of the two, sum of (1 - w) max(h, 0) + w max(-h, 0), is a
certificate in which nothing cancels.

Method. Proximal steps in the weights (the method of multipliers): w = clip(w_old + h/eps) turns the kink of the hinge
into a parabola of width eps, and the smooth convex problem in (P, b) is solved by Newton's method with an exact line
search, in coordinates in which the current Gaussian is standard. The Hessian is a multiple of the identity plus one
dyad for every point on a parabola, so that a step solves a linear system of the size of their number or of the number
of parameters, whichever is smaller. When the sets have settled, Newton's method in the weights of the points on the
boundary ends with moments that are stationary to rounding.

Everything masked. If some ellipsoid p >= gamma holds all points the minimum is the floor, and the fit is that of
largest entropy. A multiple q of a matrix of determinant one then allows d q log q + m <= 0, so that the shape is the
one for which the largest m is smallest: the ellipsoid of least volume that holds the points (for ISOTROPIC the ball,
for DIAGONAL the ellipsoid along the axes), and q the upper root. The same solver finds it, with w >= 0 unbounded and
m <= 1 in place of h; its dual decides whether the case is vacuous at all.
"""

import math

import numpy as np
from numba import njit

FULL, DIAGONAL, ISOTROPIC = 0, 1, 2  # structures of the covariance

GAP_TARGET = 1e-12  # per point and dimension, where the search ends
_ROUNDED = 1e-18  # where Newton's method in the weights ends: near the floor the gap is the square of an error
_FLAT = 1e-14  # spread of a direction, relative to the largest coordinate, that rounding explains
_OUTER, _INNER, _POLISH = 60, 60, 12  # most steps of either kind
_LEAST_EPS = 1e-7
_CHUNK, _BLOCK = 256, 32
_RIDGE = 1e-13  # relative, so that equal points do not make a system singular


@njit(cache=True, nogil=True, error_model="numpy")
def _log_upper_root(level):
    """Logarithm of the largest q with -q log q = exp(level), for level <= -1; v = -log q solves log v - v = level."""
    if level >= -1.0:
        return -1.0
    if level < -40.0:
        return -math.exp(level)
    low, high = 0.0, 1.0
    gap = -1.0 - level
    v = 1.0 - math.sqrt(2.0 * gap) if gap < 0.3 else math.exp(level)
    for _ in range(100):
        if not low < v < high:
            v = 0.5 * (low + high)
        if v == 0.0 or v == 1.0:
            break
        excess = math.log(v) - v - level
        if excess > 0.0:
            high = v
        else:
            low = v
        step = excess * v / (1.0 - v)
        v -= step
        if abs(step) <= 1e-16 * v:
            break
    return -v


@njit(cache=True, nogil=True, error_model="numpy")
def _times(a, b):
    """Product of C-ordered matrices; in a function of its own, for each call of `dot` takes long to compile."""
    return np.dot(a, b)


@njit(cache=True, nogil=True, error_model="numpy")
def _times_transposed(a, b):
    return np.dot(a, b.T)


@njit(cache=True, nogil=True, error_model="numpy")
def _applied(a, x):
    out = np.zeros(a.shape[0])
    for k in range(a.shape[0]):
        for m in range(a.shape[1]):
            out[k] += a[k, m] * x[m]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _panel_update(a, start, stop):
    """Subtract from the columns start:stop of a what the columns before them explain; matrix products are fast."""
    n = a.shape[0]
    below, beside = np.empty((n - start, start)), np.empty((stop - start, start))
    for i in range(start, n):
        for k in range(start):
            below[i - start, k] = a[i, k]
            if i < stop:
                beside[i - start, k] = a[i, k]
    explained = _times_transposed(below, beside)
    for i in range(start, n):
        for j in range(start, stop):
            a[i, j] -= explained[i - start, j - start]


@njit(cache=True, nogil=True, error_model="numpy")
def _linear_solution(a, b):
    """Solve a x = b, a positive semidefinite, by Cholesky's method in blocks; destroys a.

    Directions that rounding leaves without a pivot get 0: points on the boundary can outnumber the parameters.
    """
    n = b.size
    least = np.empty(n)
    for i in range(n):
        least[i] = _RIDGE * a[i, i]
    for start in range(0, n, _BLOCK):
        stop = min(start + _BLOCK, n)
        if start > 0:
            _panel_update(a, start, stop)
        for j in range(start, stop):
            pivot = a[j, j]
            for k in range(start, j):
                pivot -= a[j, k] * a[j, k]
            a[j, j] = math.sqrt(pivot) if pivot > least[j] else np.inf
            for i in range(j + 1, n):
                total = a[i, j]
                for k in range(start, j):
                    total -= a[i, k] * a[j, k]
                a[i, j] = total / a[j, j]
    x = b.copy()
    for i in range(n):
        total = x[i]
        for k in range(i):
            total -= a[i, k] * x[k]
        x[i] = total / a[i, i]
    for i in range(n - 1, -1, -1):
        x[i] /= a[i, i]
        for k in range(i):
            x[k] -= a[i, k] * x[i]
    return x


@njit(cache=True, nogil=True, error_model="numpy")
def _identity(d):
    out = np.zeros((d, d))
    for k in range(d):
        out[k, k] = 1.0
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _squares(z):
    """Squared length of every row."""
    out = np.empty(z.shape[0])
    for i in range(z.shape[0]):
        total = 0.0
        for k in range(z.shape[1]):
            total += z[i, k] * z[i, k]
        out[i] = total
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _scatter(z, w):
    """Sum of w z z'."""
    weighted = np.empty_like(z)
    for i in range(z.shape[0]):
        for k in range(z.shape[1]):
            weighted[i, k] = w[i] * z[i, k]
    return np.dot(z.T, weighted)


@njit(cache=True, nogil=True, error_model="numpy")
def _restrict(matrix, structure):
    """Project a symmetric matrix on the structure, in place."""
    d = matrix.shape[0]
    trace = 0.0
    for k in range(d):
        trace += matrix[k, k]
    for k in range(d):
        for m in range(d):
            if k != m:
                value = 0.5 * (matrix[k, m] + matrix[m, k]) if structure == FULL and m > k else 0.0
                if m > k:
                    matrix[k, m], matrix[m, k] = value, value
        if structure == ISOTROPIC:
            matrix[k, k] = trace / d


@njit(cache=True, nogil=True, error_model="numpy")
def _spectrum(matrix, structure):
    """Eigenvalues and eigenvectors; those of a diagonal matrix in the order of the axes."""
    d = matrix.shape[0]
    values, vectors = np.empty(d), _identity(d)
    if structure == FULL and d > 1:
        found, axes = np.linalg.eigh(matrix)
        for k in range(d):
            values[k] = found[k]
            for m in range(d):
                vectors[m, k] = axes[m, k]
    else:
        for k in range(d):
            values[k] = matrix[k, k]
    return values, vectors


@njit(cache=True, nogil=True, error_model="numpy")
def _principal(y, back, forward, flat, structure, tolerance):
    """One step towards principal axes of unit spread, in which flat directions are 0. Changes `flat`.

    A column of forward gives a coordinate as a linear form: the spread over its length is that of a direction.
    Returns y, back, forward, the logarithm of the change of volume, and how far the moments were off.
    """
    n, d = y.shape
    moment = _scatter(y, np.full(n, 1.0 / n))
    off = 0.0
    for k in range(d):
        for m in range(d):
            off = max(off, abs(moment[k, m] - (1.0 if k == m and not flat[k] else 0.0)))
    if off <= 1e-12:
        return y, back, forward, 0.0, off
    _, axes = _spectrum(moment, structure)
    y, back, forward = _times(y, axes), _times(back, axes), _times(forward, axes)
    log_det = 0.0
    for k in range(d):
        total = 0.0
        for i in range(n):
            total += y[i, k] * y[i, k]
        scale = math.sqrt(total / n)
        length = 0.0
        for m in range(d):
            length += forward[m, k] * forward[m, k]
        flat[k] = scale <= tolerance * math.sqrt(length)
        scale = 1.0 if flat[k] else scale
        log_det += math.log(scale)
        for i in range(n):
            y[i, k] = 0.0 if flat[k] else y[i, k] / scale
        for m in range(d):
            back[m, k] *= scale
            forward[m, k] /= scale
    return y, back, forward, log_det, off


@njit(cache=True, nogil=True, error_model="numpy")
def _whitened(points, structure, fit_mean, mean0):
    """Coordinates y in which the fit by cross entropy is standard: x = origin + back y.

    Returns y, origin, back, the logarithm of the determinant of back, and which coordinates are flat: directions
    in which the points do not spread. For FULL they are principal axes, found again until the moments are those
    of the identity: for thin data an eigenvalue of a moment matrix is not accurate, but a spread is.
    """
    n, d = points.shape
    origin, largest, spread = mean0.copy(), np.zeros(d), np.zeros(d)
    y = np.empty((n, d))
    for k in range(d):
        if fit_mean:
            total = 0.0
            for i in range(n):
                total += points[i, k] - points[0, k]
            origin[k] = points[0, k] + total / n
        for i in range(n):
            y[i, k] = points[i, k] - origin[k]
            largest[k] = max(largest[k], abs(points[i, k]))
            spread[k] = max(spread[k], abs(y[i, k]))
        largest[k] = max(largest[k], abs(origin[k]))
    flat = np.zeros(d, dtype=np.bool_)
    unit, noise, square, n_flat = 0.0, 1.0, 0.0, 0
    for k in range(d):  # divided by the largest deviation first, so that squares stay in the range of a float
        flat[k] = spread[k] <= _FLAT * largest[k]
        n_flat += flat[k]
        if not flat[k]:
            total = 0.0
            for i in range(n):
                total += (y[i, k] / spread[k]) ** 2
            noise = max(noise, largest[k] / spread[k])
            spread[k] *= math.sqrt(total / n)
            unit = max(unit, spread[k])
    if structure == ISOTROPIC and n_flat < d:
        for k in range(d):
            square += 0.0 if flat[k] else (spread[k] / unit) ** 2
        for k in range(d):
            spread[k], flat[k] = unit * math.sqrt(square / d), False
    log_det, back = 0.0, np.zeros((d, d))
    for k in range(d):
        back[k, k] = 1.0 if flat[k] else spread[k]
        log_det += math.log(back[k, k])
        for i in range(n):
            y[i, k] = 0.0 if flat[k] else y[i, k] / back[k, k]
    if structure == FULL and d > 1:
        tolerance = 4.0 * _FLAT * noise
        forward = _identity(d)
        for _ in range(8):
            y, back, forward, change, off = _principal(y, back, forward, flat, structure, tolerance)
            log_det += change
            if off <= 1e-12:
                break
    return y, origin, back, log_det, flat


@njit(cache=True, nogil=True, error_model="numpy")
def _gram(z, m, index, structure, eta, nu, total):
    """Inner products of the gradients of h of some points, each part divided by its curvature."""
    size, d = index.size, z.shape[1]
    some = np.empty((size, d))
    for a in range(size):
        for k in range(d):
            some[a, k] = z[index[a], k]
    linear = _times_transposed(some, some)
    if structure == DIAGONAL:
        for a in range(size):
            for k in range(d):
                some[a, k] *= some[a, k]
        square = _times_transposed(some, some)
    else:
        square = linear
    out = np.empty((size, size))
    for a in range(size):
        ma = m[index[a]]
        for b in range(size):
            mb = m[index[b]]
            if structure == FULL:
                value = linear[a, b] * linear[a, b] - eta * (ma + mb - d)
            elif structure == DIAGONAL:
                value = square[a, b] - eta * (ma + mb - d)
            else:
                value = (ma - eta * d) * (mb - eta * d) / d
            out[a, b] = value / nu + (2.0 * linear[a, b] / total if total > 0.0 else 0.0)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _parameters(d, structure, fit_mean):
    shape = d * (d + 1) // 2 if structure == FULL else d if structure == DIAGONAL else 1
    return shape + (d if fit_mean else 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_features(row, z, m, structure, fit_mean, eta, nu, total):
    """Gradient of h of one point in coordinates in which the curvature of h is the identity."""
    d = z.size
    k = 0
    scale = 1.0 / math.sqrt(nu)
    if structure == ISOTROPIC:
        row[0] = scale * (m - eta * d) / math.sqrt(d)
        k = 1
    else:
        for a in range(d):
            row[k] = scale * (z[a] * z[a] - eta)
            k += 1
            if structure == FULL:
                for b in range(a + 1, d):
                    row[k] = scale * math.sqrt(2.0) * z[a] * z[b]
                    k += 1
    if fit_mean:
        scale = -math.sqrt(2.0 / total)
        for a in range(d):
            row[k] = scale * z[a]
            k += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _direction(z, m, index, slope, pull, structure, fit_mean, eta, nu, total, eps):
    """Newton's direction (change of P, change of b) where slope and pull are the sums of the gradients."""
    d = z.shape[1]
    size, p = index.size, _parameters(d, structure, fit_mean)
    shift = pull.copy() if fit_mean else np.zeros(d)
    change = slope.copy()
    if 0 < size <= p:
        gram = _gram(z, m, index, structure, eta, nu, total if fit_mean else 0.0)
        right = np.empty(size)
        trace = 0.0
        for k in range(d):
            trace += slope[k, k]
        for a in range(size):
            i = index[a]
            gram[a, a] += eps + _RIDGE * gram[a, a]
            value = -eta * trace
            for k in range(d):
                row = 0.0
                for b in range(d):
                    row += slope[k, b] * z[i, b]
                value += z[i, k] * row
            value /= nu
            if fit_mean:
                for k in range(d):
                    value += 2.0 * z[i, k] * pull[k] / total
            right[a] = value
        share = _linear_solution(gram, right)
        some, weights = np.empty((size, d)), 0.0
        for a in range(size):
            weights += share[a]
            for k in range(d):
                some[a, k] = z[index[a], k]
        dyads = _scatter(some, share)
        for k in range(d):
            dyads[k, k] -= eta * weights
        _restrict(dyads, structure)
        for k in range(d):
            for a in range(d):
                change[k, a] -= dyads[k, a]
        if fit_mean:
            for a in range(size):
                for k in range(d):
                    shift[k] -= share[a] * some[a, k]
    elif size > p:
        matrix = np.zeros((p, p))
        rows = np.zeros((_CHUNK, p))
        done, use = 0, np.empty(_CHUNK)
        while done < size:
            here = min(_CHUNK, size - done)
            for a in range(here):
                i = index[done + a]
                _fill_features(rows[a], z[i], m[i], structure, fit_mean, eta, nu, total)
            for a in range(_CHUNK):
                use[a] = 1.0 if a < here else 0.0
            part = _scatter(rows, use)
            for a in range(p):
                for b in range(p):
                    matrix[a, b] += part[a, b]
            done += here
        right = np.empty(p)
        trace, k, scale = 0.0, 0, math.sqrt(nu)
        for a in range(p):
            matrix[a, a] += eps + _RIDGE * matrix[a, a]
        for a in range(d):
            trace += slope[a, a]
        if structure == ISOTROPIC:
            right[0] = trace / math.sqrt(d) / scale
            k = 1
        else:
            for a in range(d):
                right[k] = slope[a, a] / scale
                k += 1
                if structure == FULL:
                    for b in range(a + 1, d):
                        right[k] = math.sqrt(2.0) * slope[a, b] / scale
                        k += 1
        if fit_mean:
            for a in range(d):
                right[k] = -math.sqrt(2.0 / total) * pull[a]
                k += 1
        step = _linear_solution(matrix, right)
        k, scale = 0, eps * math.sqrt(nu)
        for a in range(d):
            if structure == ISOTROPIC:
                change[a, a] = step[0] / math.sqrt(d) * scale
                continue
            change[a, a] = step[k] * scale
            k += 1
            if structure == FULL:
                for b in range(a + 1, d):
                    value = step[k] / math.sqrt(2.0) * scale
                    change[a, b], change[b, a] = value, value
                    k += 1
        if fit_mean:
            k = p - d
            for a in range(d):
                shift[a] = -step[k + a] * math.sqrt(total / 2.0) * eps
    for k in range(d):
        shift[k] /= total
        for a in range(d):
            change[k, a] /= -nu
    return change, shift


@njit(cache=True, nogil=True, error_model="numpy")
def _weights(w_old, h, eps, upper, w):
    """Fill w with the clipped weights; returns their sum."""
    total = 0.0
    for i in range(h.size):
        value = w_old[i] + h[i] / eps
        value = 0.0 if value < 0.0 else upper if value > upper else value
        w[i] = value
        total += value
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _slope_along(t, values, turned, h, along, w_old, eps, upper, eta, kappa):
    """Return the derivative of the smoothed objective at t along P + t A, b + t beta; it rises, by convexity."""
    log_det, rate, bend, tilt = 0.0, 0.0, 0.0, 0.0
    for k in range(values.size):
        grown = 1.0 + t * values[k]
        log_det += math.log(grown)
        rate += values[k] / grown
        bend += turned[k] * turned[k] / grown
        tilt += turned[k] * turned[k] * values[k] / (grown * grown)
    moved = t * t * bend - eta * log_det
    moving = 2.0 * t * bend - t * t * tilt - eta * rate
    out = -kappa * rate
    for i in range(h.size):
        value = w_old[i] + (h[i] + moved + t * along[i]) / eps
        value = 0.0 if value < 0.0 else upper if value > upper else value
        out += value * (along[i] + moving)
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _step_length(values, turned, h, along, w_old, eps, upper, eta, kappa):
    """Step length at which the derivative along the direction has all but vanished; 1 if it is still negative there."""
    at_zero = _slope_along(0.0, values, turned, h, along, w_old, eps, upper, eta, kappa)
    lowest = 0.0
    for k in range(values.size):
        lowest = min(lowest, values[k])
    low, high, t = 0.0, 1.0, 1.0
    if lowest < -0.99:  # P has to stay positive
        t = -0.99 / lowest
        high = t
    f_low, f_high = at_zero, 0.0
    for step in range(40):
        f = _slope_along(t, values, turned, h, along, w_old, eps, upper, eta, kappa)
        if abs(f) <= 0.1 * abs(at_zero) or (f <= 0.0 and t == high):
            break
        if f > 0.0:
            high, f_high = t, f
        else:
            low, f_low = t, f
        t = 0.5 * (low + high)
        if step % 2 == 1 and f_high > 0.0 and f_low < 0.0:
            t = (low * f_high - high * f_low) / (f_high - f_low)
    return t


@njit(cache=True, nogil=True, error_model="numpy")
def _moments(y, w, structure, fit_mean, eta):
    """Gaussian with the moments of the weights: mean, inverse root W of the covariance, its inverse, log det.

    For the ellipsoid of least volume the sum of w z z' stands for the covariance.
    """
    n, d = y.shape
    total = 0.0
    for i in range(n):
        total += w[i]
    mean = np.zeros(d)
    z = y
    if fit_mean:
        for i in range(n):
            for k in range(d):
                mean[k] += w[i] * y[i, k]
        z = np.empty_like(y)
        for k in range(d):
            mean[k] /= total
        for i in range(n):
            for k in range(d):
                z[i, k] = y[i, k] - mean[k]
    cov = _scatter(z, w)
    if eta > 0.0:
        for k in range(d):
            for m in range(d):
                cov[k, m] /= total
    _restrict(cov, structure)
    values, vectors = _spectrum(cov, structure)
    root, back = np.empty((d, d)), np.empty((d, d))
    log_det, least, most = 0.0, values[0], values[0]
    for k in range(d):
        least, most = min(least, values[k]), max(most, values[k])
    if not least > 1e-15 * most:  # singular
        return mean, root, back, -np.inf, total
    for k in range(d):
        log_det += math.log(values[k])
        scale = math.sqrt(values[k])
        for m in range(d):
            root[k, m] = vectors[m, k] / scale
            back[m, k] = vectors[m, k] * scale
    return mean, root, back, log_det, total


@njit(cache=True, nogil=True, error_model="numpy")
def _standardised(y, mean, root):
    """Points in coordinates in which the Gaussian is standard."""
    n, d = y.shape
    z = np.empty((n, d))
    for i in range(n):
        for k in range(d):
            z[i, k] = y[i, k] - mean[k]
    return _times_transposed(z, root)


@njit(cache=True, nogil=True, error_model="numpy")
def _gap_of(h, w):
    """Objective at the fit minus the lower bound of the weights that it comes from, term by term."""
    gap = 0.0
    for i in range(h.size):
        gap += (1.0 - w[i]) * h[i] if h[i] > 0.0 else -w[i] * h[i]
    return gap


@njit(cache=True, nogil=True, error_model="numpy")
def _certificate(y, w, structure, fit_mean, eta, level):
    """Gaussian of the weights and its gap: (gap, mean, root, back, log det, total, z, m, h)."""
    n, d = y.shape
    mean, root, back, log_det, total = _moments(y, w, structure, fit_mean, eta)
    if log_det == -np.inf:
        empty = np.empty(0)
        return np.inf, mean, root, back, log_det, total, y, empty, empty
    z = _standardised(y, mean, root)
    m = _squares(z)
    h = np.empty(n)
    most = 0.0
    for i in range(n):
        h[i] = m[i] + level + eta * log_det
        most = max(most, m[i])
    gap = _gap_of(h, w) / n if eta > 0.0 else d * math.log(max(most * total / d, 1.0))
    return gap, mean, root, back, log_det, total, z, m, h


@njit(cache=True, nogil=True, error_model="numpy")
def _doubtful(w, h, upper):
    """Return the indices of the points whose weight is not at the bound to which h pushes it."""
    count = 0
    out = np.empty(h.size, dtype=np.int64)
    for i in range(h.size):
        if not ((w[i] >= upper and h[i] >= 0.0) or (w[i] <= 0.0 and h[i] <= 0.0)):
            out[count] = i
            count += 1
    return out[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _polish(y, w, structure, fit_mean, eta, level):
    """Newton's method in the weights of the boundary points, while the gap falls. Changes w; returns the gap, steps."""
    n, d = y.shape
    upper = 1.0 if eta > 0.0 else np.inf
    most = 2 * _parameters(d, structure, fit_mean) + 64
    found = _certificate(y, w, structure, fit_mean, eta, level)
    gap = found[0]
    steps = 1
    while steps < _POLISH and _ROUNDED * d < gap < np.inf:
        z, m, h, total = found[6], found[7], found[8], found[5]
        index = _doubtful(w, h, upper)
        if index.size == 0 or index.size > most:
            break
        gram = _gram(z, m, index, structure, eta, total if eta > 0.0 else 1.0, total if fit_mean else 0.0)
        right, trial = np.empty(index.size), w.copy()
        for a in range(index.size):
            right[a] = h[index[a]]
        for a in range(index.size):  # where more points are on the boundary than there are parameters
            gram[a, a] += _RIDGE * gram[a, a] + 1e-300
        change = _linear_solution(gram, right)
        for a in range(index.size):
            trial[index[a]] = min(max(w[index[a]] + change[a], 0.0), upper)
        found = _certificate(y, trial, structure, fit_mean, eta, level)
        steps += 1
        if not found[0] < gap:
            break
        settled = found[0] > 0.5 * gap
        gap = found[0]
        for i in range(n):
            w[i] = trial[i]
        if settled:
            break
    return gap, steps


@njit(cache=True, nogil=True, error_model="numpy")
def _advance(t, values, vectors, turned, mean, back):
    """Move the mean, in place, to that of P + t A, b + t beta; returns the change of log det S."""
    d = values.size
    moved, change = np.zeros(d), 0.0
    for k in range(d):
        grown = 1.0 + t * values[k]
        change -= math.log(grown)
        for a in range(d):
            moved[a] += vectors[a, k] * (t * turned[k] / grown)
    moved = _applied(back, moved)
    for a in range(d):
        mean[a] += moved[a]
    return change


@njit(cache=True, nogil=True, error_model="numpy")
def _solve(y, structure, fit_mean, eta, level, floor):
    """Weights of the hinge fit, or of the ellipsoid of least volume, for points whose fit by cross entropy is standard.

    Parameters
    ----------
    y : float array (n, d)
    eta, level : float
        1: minimise the sum of max(level + log det S + m, 0). 0: minimise log det S where level + m <= 0, level = -1.
    floor : float
        The ellipsoid is of no interest if it is found that its log det (with m <= d) must exceed this.

    Returns
    -------
    w : float array (n,)
        The fit has the moments of these weights.
    gap : float
        Certificate: per point, or of log det.
    steps : int
        Passes over the data.
    """
    n, d = y.shape
    hinge, kappa = eta > 0.0, 1.0 - eta
    upper = 1.0 if hinge else np.inf
    w_old = np.full(n, 1.0 if hinge else d / n)
    best, best_gap = w_old.copy(), np.inf
    scale = 1.0 if hinge else math.sqrt(d)
    mean, root, back = np.zeros(d), np.zeros((d, d)), np.zeros((d, d))
    for k in range(d):
        root[k, k], back[k, k] = 1.0 / scale, scale
    log_det = 2.0 * d * math.log(scale)
    eps = 1.0 if hinge else 1.0 / d
    target = GAP_TARGET * d
    tolerance = 1e-2
    w, h = np.empty(n), np.empty(n)
    steps = 0
    for _ in range(_OUTER):
        for _ in range(_INNER):
            z = _standardised(y, mean, root)
            m = _squares(z)
            for i in range(n):
                h[i] = m[i] + level + eta * log_det
            total = _weights(w_old, h, eps, upper, w)
            steps += 1
            nu = kappa + eta * total
            slope, pull = _scatter(z, w), np.zeros(d)
            for k in range(d):
                slope[k, k] -= nu
                if fit_mean:
                    for i in range(n):
                        pull[k] += w[i] * z[i, k]
            _restrict(slope, structure)
            size = 0.0
            for k in range(d):
                size += 2.0 * pull[k] * pull[k]
                for a in range(d):
                    size += slope[k, a] * slope[k, a]
            if math.sqrt(size) <= tolerance * max(total, 0.1 if hinge else 1.0):
                break
            index = _doubtful_band(w, upper)
            curved = max(total, 0.1)
            change, shift = _direction(z, m, index, slope, pull, structure, fit_mean, eta, max(nu, 0.1), curved, eps)
            values, vectors = _spectrum(change, structure)
            turned = np.zeros(d)
            for k in range(d):
                for a in range(d):
                    turned[k] += vectors[a, k] * shift[a]
            along = _along(z, change, shift)
            t = _step_length(values, turned, h, along, w_old, eps, upper, eta, kappa)
            log_det += _advance(t, values, vectors, turned, mean, back)
            wide, narrow = np.empty((d, d)), vectors
            for k in range(d):
                grown = math.sqrt(1.0 + t * values[k])
                for a in range(d):
                    wide[k, a] = vectors[a, k] * grown
                    narrow[a, k] /= grown
            root, back = _times(wide, root), _times(back, narrow)
        total = 0.0
        for i in range(n):
            w_old[i] = w[i]
            total += w[i]
        if total <= 0.0:
            break
        gap, more = _polish(y, w, structure, fit_mean, eta, level)
        steps += more
        if gap < best_gap:
            best_gap = gap
            for i in range(n):
                best[i] = w[i]
        if best_gap <= target:
            break
        if not hinge and floor < np.inf:
            found = _moments(y, w, structure, fit_mean, 1.0)
            if found[3] > floor:
                return w, gap, steps
        eps = max(0.1 * eps, _LEAST_EPS)
        tolerance = max(0.1 * tolerance, 1e-10)
    return best, best_gap, steps


@njit(cache=True, nogil=True, error_model="numpy")
def _doubtful_band(w, upper):
    """Return the indices of the points on their parabola."""
    count = 0
    out = np.empty(w.size, dtype=np.int64)
    for i in range(w.size):
        if 0.0 < w[i] < upper:
            out[count] = i
            count += 1
    return out[:count]


@njit(cache=True, nogil=True, error_model="numpy")
def _along(z, change, shift):
    """Rate of m of every point along a direction."""
    turned = _times(z, change)
    out = np.empty(z.shape[0])
    for i in range(z.shape[0]):
        total = 0.0
        for k in range(z.shape[1]):
            total += z[i, k] * (turned[i, k] - 2.0 * shift[k])
        out[i] = total
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _covariance(back, inner, log_scale):
    """Matrix exp(log_scale) back inner inner' back', symmetric to the last digit."""
    factor = _times(back, inner)
    scale = math.exp(0.5 * log_scale)
    for k in range(factor.shape[0]):
        for m in range(factor.shape[1]):
            factor[k, m] *= scale
    cov = _times_transposed(factor, factor)
    for k in range(cov.shape[0]):
        for m in range(k):
            cov[k, m] = cov[m, k]
    return cov


@njit(cache=True, nogil=True, error_model="numpy")
def _orthonormal(columns):
    """Orthonormal columns that span the same space, and the logarithm of the volume (modified Gram-Schmidt, twice)."""
    d, k = columns.shape
    out, log_volume = columns.copy(), 0.0
    for j in range(k):
        for _ in range(2):
            for m in range(j):
                inner = 0.0
                for a in range(d):
                    inner += out[a, m] * out[a, j]
                for a in range(d):
                    out[a, j] -= inner * out[a, m]
        largest, total = 0.0, 0.0
        for a in range(d):
            largest = max(largest, abs(out[a, j]))
        for a in range(d):
            total += (out[a, j] / largest) ** 2
        total = largest * math.sqrt(total)
        log_volume += math.log(total)
        for a in range(d):
            out[a, j] /= total
    return out, log_volume


@njit(cache=True, nogil=True, error_model="numpy")
def _span(y, back, flat, n_flat):
    """Coordinates and columns of the directions that are not flat."""
    n, d = y.shape
    inside, span = np.empty((n, d - n_flat)), np.empty((d, d - n_flat))
    j = 0
    for m in range(d):
        if not flat[m]:
            for i in range(n):
                inside[i, j] = y[i, m]
            for a in range(d):
                span[a, j] = back[a, m]
            j += 1
    return inside, span


@njit(cache=True, nogil=True, error_model="numpy")
def _stretched(span, inner, log_det, log_unit):
    """Covariance for points that do not span the space, by the convention of `fit_hinge`, from that in the span."""
    d, k = span.shape
    basis, log_volume = _orthonormal(span)
    log_size = (log_det + 2.0 * log_volume) / k - 2.0 * log_unit  # of the least ellipsoid, in its span
    level = math.log(k / d) + log_size
    along = _log_upper_root(level) if level <= -1.0 else level
    across = along if level <= -1.0 else along - d * (level + 1.0) / (d - k)
    cov = _covariance(span, inner, along - log_size)
    projector = _times_transposed(basis, basis)
    size = math.exp(across + 2.0 * log_unit)
    for a in range(d):
        for b in range(d):
            cov[a, b] += size * ((1.0 if a == b else 0.0) - projector[a, b])
    return cov


@njit(cache=True, nogil=True, error_model="numpy")
def _moved(origin, back, mean):
    out = _applied(back, mean)
    for k in range(origin.size):
        out[k] += origin[k]
    return out


# in Python, over compiled parts: linking them once more would take the compiler as long as they took themselves
def fit_hinge(
    points: np.ndarray, gamma: float, structure: int, fit_mean: bool, mean0: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, bool, int]:
    """Minimise the mean of max(CE, -log gamma) over the Gaussians of a structure.

    Parameters
    ----------
    points : float array (n, d), C order
    gamma : float
        Threshold, a density.
    structure : int
        FULL, DIAGONAL or ISOTROPIC.
    fit_mean : bool
    mean0 : float array (d,)
        The mean unless it is fitted.

    Returns
    -------
    mean : float array (d,)
    cov : float array (d, d)
    weights : float array (n,)
        1 where p < gamma, 0 where p > gamma; the fit has their moments unless all are 0.
    gap : float
        Certificate, in nats. Ordinary fits: the objective is at most this much above the minimum. Vacuous fits: the
        entropy is at most this much below the largest.
    vacuous : bool
        Every point can have a density of at least gamma; the weights are 0. The fit is the one of largest entropy.
        If the points do not span the space the largest entropy is not attained (one can go on stretching the Gaussian
        and making it thinner). Then the covariance is one number in all directions without spread, the ellipsoid
        of least volume in the span, and of these the one whose two scales differ least, of largest entropy.
    steps : int
        Passes over the data; 0 if the fit by cross entropy masks nothing.
    """
    n, d = points.shape
    log_unit = -0.5 * math.log(2.0 * math.pi) - math.log(gamma) / d
    y, origin, back, log_back, flat = _whitened(points, structure, fit_mean, mean0)
    n_flat = 0
    for k in range(d):
        n_flat += flat[k]
    if n_flat == d:
        return origin, _covariance(_identity(d), _identity(d), 2.0 * log_unit), np.zeros(n), 0.0, True, 0
    if n_flat > 0:  # always vacuous: a Gaussian thin enough across the span has any density on it
        inside, span = _span(y, back, flat, n_flat)
        w, gap, steps = _solve(inside, structure, fit_mean, 0.0, -1.0, np.inf)
        mean, _, inner, log_det, _ = _moments(inside, w, structure, fit_mean, 1.0)
        cov = _stretched(span, inner, log_det, log_unit)
        return _moved(origin, span, mean), cov, np.zeros(n), 0.5 * gap, True, steps
    level = 2.0 * log_back - 2.0 * d * log_unit
    least = np.inf
    m = _squares(y)
    for i in range(n):
        least = min(least, m[i])
    if level + least >= 0.0:
        return origin, _covariance(back, _identity(d), 0.0), np.ones(n), 0.0, False, 0
    steps = 0
    if level <= -d:  # else the weights 1 show that the minimum exceeds the floor
        w, gap, steps = _solve(y, structure, fit_mean, 0.0, -1.0, -d - level + 1e-13 * (d + abs(level)))
        mean, _, inner, log_det, _ = _moments(y, w, structure, fit_mean, 1.0)
        if log_det <= -d - level + 1e-13 * (d + abs(level)):
            reach = (log_det + gap + level) / d  # an ellipsoid that holds all points
            grown = _log_upper_root(reach)
            short = 0.5 * d * (_log_upper_root((log_det + level) / d) - grown)
            cov = _covariance(back, inner, grown - (log_det + level) / d)
            return _moved(origin, back, mean), cov, np.zeros(n), short, True, steps
    w, gap, more = _solve(y, structure, fit_mean, 1.0, level, np.inf)
    mean, _, inner, _, _ = _moments(y, w, structure, fit_mean, 1.0)
    return _moved(origin, back, mean), _covariance(back, inner, 0.0), w, 0.5 * gap, False, steps + more
