"""Kernels of Gaussian mixtures: drawing, densities, EM, and the descent on the hinge form under a current mask.

Points are given with coordinates in rows, (d, n), so that the inner loops run over neighbouring points and vectorise.
A component has the logarithm of its weight, its mean, and a factor of its covariance. Components of weight 0 are left
out by the caller.
"""

import math

import numpy as np
from numba import njit

CHUNK = 64
"""Points that are worked on together: their intermediate results stay in the nearest cache."""

DONE, VANISHED, SINGULAR = 0, 1, 2
"""Why a search ended: by its own rules, or because a component has no weight or no covariance left."""

_LOG_2PI = math.log(2.0 * math.pi)
_NEGLIGIBLE = -40.0  # of a logarithm of two densities' ratio: e^-40 is below the rounding of a sum that has 1 in it
_LEAST_POINTS = 1e-6  # a component that stands for fewer points than this has vanished
_LEAST_PIVOT = 1e-12  # share of a coordinate's variance that the coordinates before it must leave
_EPS = 2.220446049250313e-16
_INNER, _HALVINGS = 200, 30


@njit(cache=True, nogil=True, error_model="numpy")
def draw(rng, cumulative, mean, chol, out):
    """Fill out (n, d) with points of the mixture; `cumulative` are the summed weights, the last of them 1."""
    k_last, d = mean.shape[0] - 1, mean.shape[1]
    normal = np.empty(d)
    for i in range(out.shape[0]):
        u, k = rng.random(), 0
        while k < k_last and u >= cumulative[k]:
            k += 1
        for a in range(d):
            normal[a] = rng.standard_normal()
        for a in range(d):
            value = mean[k, a]
            for b in range(a + 1):
                value += chol[k, a, b] * normal[b]
            out[i, a] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _invert(root, out):
    """Inverse of a lower-triangular matrix."""
    d = root.shape[0]
    for a in range(d):
        for b in range(a + 1, d):
            out[a, b] = 0.0
        out[a, a] = 1.0 / root[a, a]
        for b in range(a):
            total = 0.0
            for c in range(b, a):
                total += root[a, c] * out[c, b]
            out[a, b] = -total * out[a, a]


@njit(cache=True, nogil=True, error_model="numpy")
def _inverses(log_weight, chol, inverse, constant):
    """Inverse of each lower-triangular factor, and the logarithm of each component's density at its mean."""
    d = chol.shape[1]
    for k in range(chol.shape[0]):
        constant[k] = log_weight[k] - 0.5 * d * _LOG_2PI
        for a in range(d):
            constant[k] -= math.log(chol[k, a, a])
        _invert(chol[k], inverse[k])


@njit(cache=True, nogil=True, error_model="numpy")
def _log_joint(x, first, last, constant, mean, inverse, joint, z):
    """Whitened coordinates z (K, d, count) and log weight times density (K, count) of the points first to last."""
    d, count = x.shape[0], last - first
    for k in range(mean.shape[0]):
        row = joint[k]
        for j in range(count):
            row[j] = constant[k]
        for a in range(d):
            za = z[k, a]
            for j in range(count):
                za[j] = 0.0
            for b in range(a + 1):
                factor, centre, xb = inverse[k, a, b], mean[k, b], x[b, first:last]
                for j in range(count):
                    za[j] += factor * (xb[j] - centre)
            for j in range(count):
                row[j] -= 0.5 * za[j] * za[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _responsibilities(joint, count, top, total):
    """Turn log joint densities into responsibilities; `top` becomes the log density of each point."""
    for j in range(count):
        top[j] = joint[0, j]
    for k in range(1, joint.shape[0]):
        row = joint[k]
        for j in range(count):
            top[j] = row[j] if row[j] > top[j] else top[j]
    for j in range(count):
        total[j] = 0.0
    for k in range(joint.shape[0]):
        row = joint[k]
        for j in range(count):
            below = row[j] - top[j]
            if below == 0.0:
                row[j] = 1.0
            elif below > _NEGLIGIBLE:
                row[j] = math.exp(below)
            else:
                row[j] = 0.0
            total[j] += row[j]
    for j in range(count):
        if total[j] != 1.0:
            top[j] += math.log(total[j])
            total[j] = 1.0 / total[j]
    for k in range(joint.shape[0]):
        row = joint[k]
        for j in range(count):
            row[j] *= total[j]


@njit(cache=True, nogil=True, error_model="numpy")
def log_density(x, log_weight, mean, chol, out):
    """Fill out (n,) with the logarithm of the density at the points x (d, n)."""
    n_components, d = mean.shape
    inverse, constant = np.zeros_like(chol), np.empty(n_components)
    _inverses(log_weight, chol, inverse, constant)
    joint, z = np.empty((n_components, CHUNK)), np.empty((n_components, d, CHUNK))
    top, total = np.empty(CHUNK), np.empty(CHUNK)
    for first in range(0, x.shape[1], CHUNK):
        last = min(first + CHUNK, x.shape[1])
        _log_joint(x, first, last, constant, mean, inverse, joint, z)
        _responsibilities(joint, last - first, top, total)
        for j in range(last - first):
            out[first + j] = top[j]


@njit(cache=True, nogil=True, error_model="numpy")
def responsibilities(x, log_weight, mean, chol, out):
    """Fill out (K, n) with the probability that each point x (d, n) is of each component."""
    n_components, d = mean.shape
    inverse, constant = np.zeros_like(chol), np.empty(n_components)
    _inverses(log_weight, chol, inverse, constant)
    joint, z = np.empty((n_components, CHUNK)), np.empty((n_components, d, CHUNK))
    top, total = np.empty(CHUNK), np.empty(CHUNK)
    for first in range(0, x.shape[1], CHUNK):
        last = min(first + CHUNK, x.shape[1])
        _log_joint(x, first, last, constant, mean, inverse, joint, z)
        _responsibilities(joint, last - first, top, total)
        for k in range(n_components):
            for j in range(last - first):
                out[k, first + j] = joint[k, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _cholesky(matrix, out):
    """Lower-triangular factor; False if a pivot is not above 0."""
    d = matrix.shape[0]
    for a in range(d):
        for b in range(a + 1):
            total = matrix[a, b]
            for c in range(b):
                total -= out[a, c] * out[b, c]
            if a == b:
                if not total > 0.0:
                    return False
                out[a, a] = math.sqrt(total)
            else:
                out[a, b] = total / out[b, b]
        for b in range(a + 1, d):
            out[a, b] = 0.0
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _is_singular(chol, rounding):
    """Whether a covariance has a direction that rounding alone keeps from 0."""
    for a in range(chol.shape[0]):
        variance = 0.0
        for b in range(a + 1):
            variance += chol[a, b] * chol[a, b]
        if not chol[a, a] * chol[a, a] > _LEAST_PIVOT * variance or not variance > rounding[a]:
            return True
    return False


@njit(cache=True, nogil=True, error_model="numpy")
def rounding_of(x):
    """Variance, in each coordinate, of points that differ by rounding alone."""
    out = np.zeros(x.shape[0])
    for a in range(x.shape[0]):
        for i in range(x.shape[1]):
            out[a] = max(out[a], abs(x[a, i]))
        out[a] = (8.0 * _EPS * out[a]) ** 2
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _raise_eigenvalues(matrix, least, vectors):
    """Raise the eigenvalues of a symmetric matrix to `least`, by Jacobi's rotations: the best covariance above it."""
    d = matrix.shape[0]
    for a in range(d):
        for b in range(d):
            vectors[a, b] = 1.0 if a == b else 0.0
    for _ in range(60):
        largest = 0.0
        for p in range(d):
            for q in range(p):
                off = matrix[p, q]
                if off == 0.0 or abs(off) <= 1e-17 * math.sqrt(abs(matrix[p, p] * matrix[q, q])):
                    continue
                largest = 1.0
                angle = 0.5 * math.atan2(2.0 * off, matrix[q, q] - matrix[p, p])
                c, s = math.cos(angle), math.sin(angle)
                for a in range(d):
                    u, v = matrix[a, p], matrix[a, q]
                    matrix[a, p], matrix[a, q] = c * u - s * v, s * u + c * v
                for a in range(d):
                    u, v = matrix[p, a], matrix[q, a]
                    matrix[p, a], matrix[q, a] = c * u - s * v, s * u + c * v
                    u, v = vectors[a, p], vectors[a, q]
                    vectors[a, p], vectors[a, q] = c * u - s * v, s * u + c * v
                matrix[p, q] = 0.0
                matrix[q, p] = 0.0
        if largest == 0.0:
            break
    values = np.empty(d)
    for a in range(d):
        values[a] = max(matrix[a, a], least)
    for a in range(d):
        for b in range(d):
            matrix[a, b] = 0.0
            for c in range(d):
                matrix[a, b] += vectors[a, c] * values[c] * vectors[b, c]


@njit(cache=True, nogil=True, error_model="numpy")
def _sweep(x, constant, mean, inverse, joint, z, top, total, moments):
    """Mean of −log p over the points; weights and whitened first and second moments of each component, by lane.

    The lanes are the places in a chunk: sums by lane are vectors of which the order of addition is fixed.
    """
    n_components, d = mean.shape
    loss = 0.0
    for k in range(n_components):
        for place in range(moments.shape[1]):
            for j in range(CHUNK):
                moments[k, place, j] = 0.0
    for first in range(0, x.shape[1], CHUNK):
        last = min(first + CHUNK, x.shape[1])
        count = last - first
        _log_joint(x, first, last, constant, mean, inverse, joint, z)
        _responsibilities(joint, count, top, total)
        for j in range(count):
            loss -= top[j]
        for k in range(n_components):
            row, into = joint[k], moments[k, 0]
            for j in range(count):
                into[j] += row[j]
            place = 1
            for a in range(d):
                za, into = z[k, a], moments[k, place]
                for j in range(count):
                    total[j] = row[j] * za[j]
                    into[j] += total[j]
                place += 1
                for b in range(a + 1):
                    zb, into = z[k, b], moments[k, place]
                    for j in range(count):
                        into[j] += total[j] * zb[j]
                    place += 1
    return loss / x.shape[1]


@njit(cache=True, nogil=True, error_model="numpy")
def _sum(values):
    total = 0.0
    for j in range(values.size):
        total += values[j]
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _updated(moments, k, chol, least, delta, second, root, new_chol):
    """Factor of the covariance that the moments of component k give, and its mean's shift in units of the old factor.

    Returns whether the covariance is positive definite.
    """
    d = chol.shape[0]
    n = _sum(moments[k, 0])
    place = 1
    for a in range(d):
        delta[a] = _sum(moments[k, place]) / n
        place += 1
        for b in range(a + 1):
            second[a, b] = _sum(moments[k, place]) / n - delta[a] * delta[b]
            place += 1
    if least > 0.0:
        # in the original coordinates, because a singular matrix has no factor
        for a in range(d):
            for b in range(a):
                second[b, a] = second[a, b]
        for a in range(d):
            for b in range(d):
                root[a, b] = 0.0
                for c in range(d):
                    root[a, b] += chol[a, c] * second[c, b]
        for a in range(d):
            for b in range(a + 1):
                second[a, b] = 0.0
                for c in range(d):
                    second[a, b] += root[a, c] * chol[b, c]
                second[b, a] = second[a, b]
        _raise_eigenvalues(second, least, root)
        return _cholesky(second, new_chol)
    if not _cholesky(second, root):
        return False
    for a in range(d):
        for b in range(a + 1):
            new_chol[a, b] = 0.0
            for c in range(b, a + 1):
                new_chol[a, b] += chol[a, c] * root[c, b]
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def em(x, log_weight, mean, chol, least, tol, steps, max_iter, history):
    """Maximise the likelihood by EM from the given components, which are overwritten.

    Parameters
    ----------
    x : float array (d, n)
    log_weight : float array (K,)
    mean : float array (K, d)
    chol : float array (K, d, d)
        Lower-triangular factors of the covariances.
    least : float
        Eigenvalues of covariances are raised to this; 0 for none.
    tol : float
        Ends when the mean of −log p has changed by less in a step.
    steps, max_iter : int
        Steps that were done before, and the most.
    history : float array (max_iter + 1,)
        The mean of −log p before each step, from place `steps` on.

    Returns
    -------
    steps, reason, component : int
        For VANISHED and SINGULAR the component; the parameters are then those of the step before.
    converged : bool
    """
    n_components, d = mean.shape
    n = x.shape[1]
    inverse, constant = np.zeros_like(chol), np.empty(n_components)
    joint, z = np.empty((n_components, CHUNK)), np.empty((n_components, d, CHUNK))
    top, total = np.empty(CHUNK), np.empty(CHUNK)
    moments = np.empty((n_components, 1 + d + d * (d + 1) // 2, CHUNK))
    delta, second, root = np.empty((n_components, d)), np.empty((d, d)), np.empty((d, d))
    new_chol = np.zeros_like(chol)
    rounding = rounding_of(x)
    start = steps
    while steps < max_iter:
        _inverses(log_weight, chol, inverse, constant)
        history[steps] = _sweep(x, constant, mean, inverse, joint, z, top, total, moments)
        for k in range(n_components):
            if _sum(moments[k, 0]) < _LEAST_POINTS:
                return steps, VANISHED, k, False
            regular = _updated(moments, k, chol[k], least, delta[k], second, root, new_chol[k])
            if not regular or (least == 0.0 and _is_singular(new_chol[k], rounding)):
                return steps, SINGULAR, k, False
        for k in range(n_components):
            log_weight[k] = math.log(_sum(moments[k, 0]) / n)
            for a in range(d):
                for b in range(a + 1):
                    mean[k, a] += chol[k, a, b] * delta[k, b]
            for a in range(d):
                for b in range(a + 1):
                    chol[k, a, b] = new_chol[k, a, b]
        steps += 1
        if steps - start > 1 and abs(history[steps - 1] - history[steps - 2]) < tol:
            return steps, DONE, -1, True
    return steps, DONE, -1, False


# ---------------------------------------------------------------------------------- the hinge form, current mask


@njit(cache=True, nogil=True, error_model="numpy")
def expectation(x, log_weight, mean, chol, share, z, spread, loss):
    """Fill in responsibilities (K, n), whitened coordinates (K, d, n), sum of share·log share (n,) and −log p (n,)."""
    n_components, d = mean.shape
    inverse, constant = np.zeros_like(chol), np.empty(n_components)
    _inverses(log_weight, chol, inverse, constant)
    joint, part = np.empty((n_components, CHUNK)), np.empty((n_components, d, CHUNK))
    top, total = np.empty(CHUNK), np.empty(CHUNK)
    for first in range(0, x.shape[1], CHUNK):
        last = min(first + CHUNK, x.shape[1])
        _log_joint(x, first, last, constant, mean, inverse, joint, part)
        _responsibilities(joint, last - first, top, total)
        for j in range(last - first):
            loss[first + j] = -top[j]
            spread[first + j] = 0.0
        for k in range(n_components):
            for j in range(last - first):
                r = joint[k, j]
                share[k, first + j] = r
                if 0.0 < r < 1.0:
                    spread[first + j] += r * math.log(r)
            for a in range(d):
                for j in range(last - first):
                    z[k, a, first + j] = part[k, a, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _weighted_moments(weight, share, z, count, delta, second):
    """Weight, mean and covariance (lower triangle) of each component, for points of the given weights."""
    n_components, d, n = z.shape
    for k in range(n_components):
        count[k] = 0.0
        for a in range(d):
            delta[k, a] = 0.0
            for b in range(d):
                second[k, a, b] = 0.0
        for i in range(n):
            r = weight[i] * share[k, i]
            if r > 0.0:
                count[k] += r
                for a in range(d):
                    delta[k, a] += r * z[k, a, i]
                    for b in range(a + 1):
                        second[k, a, b] += r * z[k, a, i] * z[k, b, i]
        if count[k] > 0.0:
            for a in range(d):
                delta[k, a] /= count[k]
            for a in range(d):
                for b in range(a + 1):
                    second[k, a, b] = second[k, a, b] / count[k] - delta[k, a] * delta[k, b]


@njit(cache=True, nogil=True, error_model="numpy")
def _dual(weight, spread, floor, count, second, log_det, root, log_root):
    """Least value over all mixtures of the surrogate with fixed weights: a lower bound of the hinge surrogate's.

    `root` becomes the factors of the covariances that attain it, `log_root` the logarithms of their determinants'
    roots. Minus infinity if one is singular.
    """
    n_components, d = second.shape[:2]
    total, value = 0.0, 0.0
    for i in range(weight.size):
        total += weight[i]
        value += weight[i] * spread[i]
    value += (weight.size - total) * floor
    for k in range(n_components):
        log_root[k] = 0.0
        if total == 0.0:
            continue
        if not count[k] > 0.0 or not _cholesky(second[k], root[k]):
            return -np.inf
        for a in range(d):
            log_root[k] += math.log(root[k, a, a])
        entropy = 0.5 * d * (_LOG_2PI + 1.0) + log_det[k] + log_root[k]
        value += count[k] * (entropy - math.log(count[k] / total))
    return value


@njit(cache=True, nogil=True, error_model="numpy")
def _surrogate(share, z, spread, log_weight, log_det, shift, matrix, log_matrix, out):
    """Surrogate of −log p of every point, for components at `shift` whose whitening is `matrix`, both in units of z."""
    n_components, d, n = z.shape
    for i in range(n):
        out[i] = spread[i]
    moved = np.empty(d)
    for k in range(n_components):
        constant = 0.5 * d * _LOG_2PI + log_det[k] - log_matrix[k] - log_weight[k]
        for i in range(n):
            r = share[k, i]
            if r > 0.0:
                for a in range(d):
                    moved[a] = z[k, a, i] - shift[k, a]
                square = 0.0
                for a in range(d):
                    value = 0.0
                    for b in range(d):
                        value += matrix[k, a, b] * moved[b]
                    square += value * value
                out[i] += r * (constant + 0.5 * square)


@njit(cache=True, nogil=True, error_model="numpy")
def _hinge_sum(loss, floor):
    total = 0.0
    for i in range(loss.size):
        total += max(loss[i], floor)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _smooth_sum(loss, floor, anchor, width):
    """Sum of the hinges, each smoothed around the point where its weight is the anchor's (an augmented Lagrangian)."""
    total = 0.0
    for i in range(loss.size):
        above = loss[i] - floor
        w = min(max(anchor[i] + above / width, 0.0), 1.0)
        total += w * above - 0.5 * width * (w - anchor[i]) ** 2
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _clipped(loss, floor, anchor, width, out):
    for i in range(loss.size):
        out[i] = min(max(anchor[i] + (loss[i] - floor) / width, 0.0), 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _newton(weight, share, z, log_weight, width, direction):
    """Newton's direction for the smoothed surrogate in natural parameters; its decrease of slope, a nonnegative number.

    Whitened, the information of a component is diagonal: count for the mean, a half of it for a diagonal entry of the
    precision. Each point on its way between the weights 0 and 1 adds a matrix of rank one.
    """
    n_components, d, n = z.shape
    size = 1 + d + d * (d + 1) // 2
    hessian = np.zeros((n_components * size, n_components * size))
    gradient = np.zeros(n_components * size)
    row = np.empty(n_components * size)
    total = 0.0
    for i in range(n):
        w = weight[i]
        if w == 0.0:
            continue
        total += w
        for k in range(n_components):
            r, place = share[k, i], k * size
            row[place] = math.exp(log_weight[k]) - r
            place += 1
            hessian[place, place] += w * r  # the count, kept here until all of it is known
            for a in range(d):
                row[place] = -r * z[k, a, i]
                place += 1
            for a in range(d):
                for b in range(a):
                    row[place] = r * z[k, a, i] * z[k, b, i]
                    place += 1
                row[place] = 0.5 * r * (z[k, a, i] * z[k, a, i] - 1.0)
                place += 1
        for p in range(row.size):
            gradient[p] += w * row[p]
    for k in range(n_components):
        place = k * size
        count = max(hessian[place + 1, place + 1], 1e-12 * n)
        hessian[place, place] = max(total * math.exp(log_weight[k]), 1e-12 * n)
        place += 1
        for _ in range(d):
            hessian[place, place] = count
            place += 1
        for a in range(d):
            for _ in range(a):
                hessian[place, place] = count
                place += 1
            hessian[place, place] = 0.5 * count
            place += 1
    for i in range(n):
        if not 0.0 < weight[i] < 1.0:
            continue
        for k in range(n_components):
            r, place = share[k, i], k * size
            row[place] = math.exp(log_weight[k]) - r
            place += 1
            for a in range(d):
                row[place] = -r * z[k, a, i]
                place += 1
            for a in range(d):
                for b in range(a):
                    row[place] = r * z[k, a, i] * z[k, b, i]
                    place += 1
                row[place] = 0.5 * r * (z[k, a, i] * z[k, a, i] - 1.0)
                place += 1
        for p in range(row.size):
            if row[p] != 0.0:
                factor = row[p] / width
                for q in range(row.size):
                    hessian[p, q] += factor * row[q]
    root = np.empty_like(hessian)
    if not _cholesky(hessian, root):
        return 0.0
    for p in range(row.size):  # forward, then backward substitution
        value = -gradient[p]
        for q in range(p):
            value -= root[p, q] * direction[q]
        direction[p] = value / root[p, p]
    for p in range(row.size - 1, -1, -1):
        value = direction[p]
        for q in range(p + 1, row.size):
            value -= root[q, p] * direction[q]
        direction[p] = value / root[p, p]
    slope = 0.0
    for p in range(row.size):
        slope -= gradient[p] * direction[p]
    return slope


@njit(cache=True, nogil=True, error_model="numpy")
def _along(direction, step, log_weight, shift, matrix, inverse, log_matrix, new_log_weight):
    """Components a step along a direction in natural parameters; False if a precision is not positive definite."""
    n_components, d = shift.shape
    size = 1 + d + d * (d + 1) // 2
    precision, root = np.empty((d, d)), np.empty((d, d))
    top = -np.inf
    for k in range(n_components):
        place = k * size
        new_log_weight[k] = log_weight[k] + step * direction[place]
        top = max(top, new_log_weight[k])
        linear = place + 1
        place += 1 + d
        for a in range(d):
            for b in range(a):
                precision[a, b] = step * direction[place]
                precision[b, a] = precision[a, b]
                place += 1
            precision[a, a] = 1.0 + step * direction[place]
            place += 1
        if not _cholesky(precision, root):
            return False
        log_matrix[k] = 0.0
        for a in range(d):
            log_matrix[k] += math.log(root[a, a])
            value = step * direction[linear + a]
            for b in range(a):  # forward, then backward substitution
                value -= root[a, b] * shift[k, b]
            shift[k, a] = value / root[a, a]
        _invert(root, precision)
        for a in range(d):
            for b in range(d):
                matrix[k, a, b] = root[b, a]
                inverse[k, a, b] = precision[b, a]
        for a in range(d - 1, -1, -1):
            value = shift[k, a]
            for b in range(a + 1, d):
                value -= root[b, a] * shift[k, b]
            shift[k, a] = value / root[a, a]
    total = 0.0
    for k in range(n_components):
        total += math.exp(new_log_weight[k] - top)
    for k in range(n_components):
        new_log_weight[k] -= top + math.log(total)
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _move(mean, factor, z, log_det, shift, matrix, inverse, log_matrix):
    """Make components at `shift` with whitening `matrix` the current ones: z, means, factors of covariances."""
    n_components, d, n = z.shape
    moved = np.empty(d)
    for k in range(n_components):
        for a in range(d):
            for b in range(d):
                mean[k, a] += factor[k, a, b] * shift[k, b]
            for b in range(d):
                moved[b] = 0.0
                for c in range(d):
                    moved[b] += factor[k, a, c] * inverse[k, c, b]
            for b in range(d):
                factor[k, a, b] = moved[b]
        log_det[k] -= log_matrix[k]
        for i in range(n):
            for a in range(d):
                moved[a] = z[k, a, i] - shift[k, a]
            for a in range(d):
                value = 0.0
                for b in range(d):
                    value += matrix[k, a, b] * moved[b]
                z[k, a, i] = value


@njit(cache=True, nogil=True, error_model="numpy")
def _lower(factor, out):
    """Lower-triangular factor of the same covariance, by rotations of columns: squares would lose half the digits."""
    d = factor.shape[0]
    for a in range(d):
        for b in range(a + 1, d):
            length = math.hypot(factor[a, a], factor[a, b])
            if factor[a, b] != 0.0:
                c, s = factor[a, a] / length, factor[a, b] / length
                for row in range(d):
                    u, v = factor[row, a], factor[row, b]
                    factor[row, a], factor[row, b] = c * u + s * v, c * v - s * u
        for row in range(d):
            out[row, a] = 0.0 if row < a else factor[row, a] * math.copysign(1.0, factor[a, a])


@njit(cache=True, nogil=True, error_model="numpy")
def _copy(source, target):
    for i in range(source.size):
        target[i] = source[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _band(loss, floor, size):
    """Width of the smoothing, within which about `size` points lie; to within a factor of 1.25, by bisection."""
    low, high = 1e-6, 1e-6
    while high < 1e6:
        inside = 0
        for i in range(loss.size):
            inside += abs(loss[i] - floor) < high
        if inside >= min(size, loss.size):
            break
        low, high = high, 8.0 * high
    while high > 1.25 * low:
        middle = math.sqrt(low * high)
        inside = 0
        for i in range(loss.size):
            inside += abs(loss[i] - floor) < middle
        if inside >= min(size, loss.size):
            high = middle
        else:
            low = middle
    return 2.0 * high


@njit(cache=True, nogil=True, error_model="numpy")
def hinge_step(log_weight, mean, chol, floor, tol, share, z, spread, loss, anchor, last_width, weight):
    """Lower the hinge surrogate by at least half of what is provably possible.

    The surrogate, the sum of max(Q_i, g) with Q_i that of EM, is convex in natural parameters. For any weights in
    [0, 1] the least value of the sum of w_i Q_i + (1 − w_i) g is a lower bound, in closed form. The caller repeats
    this and `expectation`; one kernel for both would take long to compile.

    Parameters
    ----------
    log_weight, mean, chol
        Of the components, as of `em`; overwritten.
    floor, tol : float
        g = −log gamma; the bound at which the components are stationary.
    share, z, spread, loss
        From `expectation`; z is overwritten.
    anchor : float array (n,)
        Guess of the weights, kept from step to step.
    last_width : float array (1,)
        Width of the smoothing, kept from step to step; infinite at first.
    weight : float array (n,)
        Becomes the weights that prove the bound.

    Returns
    -------
    objective : float
        The mean of max(−log p, g) before the step.
    bound : float
        At most by this can the surrogate be lowered. If it is at most `tol` the components are left as they are.
    lowered, proved : bool
        Whether the components have changed; whether the promise was kept.
    """
    n_components, d, n = z.shape
    trial, now = np.empty(n), np.empty(n)
    objective = _hinge_sum(loss, floor)
    widest = _band(loss, floor, 2 * n_components * (1 + d + d * (d + 1) // 2))
    width = min(widest, 10.0 * last_width[0])
    now_log_weight, now_mean, factor = log_weight.copy(), mean.copy(), chol.copy()
    log_det = np.zeros(n_components)
    for k in range(n_components):
        for a in range(d):
            log_det[k] += math.log(chol[k, a, a])
    count, delta, second = np.empty(n_components), np.empty((n_components, d)), np.empty((n_components, d, d))
    root, log_root = np.zeros((n_components, d, d)), np.empty(n_components)
    matrix, log_matrix, shift = np.zeros((n_components, d, d)), np.empty(n_components), np.empty((n_components, d))
    inverse, candidate = np.zeros((n_components, d, d)), np.empty(n)
    new_log_weight = np.empty(n_components)
    direction = np.empty(n_components * (1 + d + d * (d + 1) // 2))
    _copy(loss, now)
    reached, lower = objective, -np.inf
    lowered = False
    # the first weights are those that the mask has, which makes the step that of EM where no point is near the mask
    for i in range(n):
        trial[i] = 1.0 if loss[i] > floor else 0.0
    first = True
    for _ in range(_INNER):
        if not first:
            _clipped(now, floor, anchor, width, trial)
        for attempt in range(2):
            if attempt == 1:
                if not first:
                    break
                first = False
                _clipped(now, floor, anchor, width, trial)
            _weighted_moments(trial, share, z, count, delta, second)
            bound = _dual(trial, spread, floor, count, second, log_det, root, log_root)
            if bound > lower:
                lower = bound
                _copy(trial, weight)
            if objective - lower <= tol * n:
                return objective / n, (objective - lower) / n, False, True
            total = _sum(count)
            if bound > -np.inf and total > 0.0:
                for k in range(n_components):
                    new_log_weight[k] = math.log(count[k] / total)
                    _invert(root[k], matrix[k])
                    log_matrix[k] = -log_root[k]
                _surrogate(share, z, spread, new_log_weight, log_det, delta, matrix, log_matrix, candidate)
                value = _hinge_sum(candidate, floor)
                if value < objective and value <= 0.5 * (objective + lower):
                    _move(now_mean, factor, z, log_det, delta, matrix, root, log_matrix)
                    _copy(new_log_weight, now_log_weight)
                    reached, lowered = value, True
                    break
        if lowered:
            break
        slope = _newton(trial, share, z, now_log_weight, width, direction)
        before = _smooth_sum(now, floor, anchor, width)
        step, found = 1.0, False
        for _ in range(_HALVINGS if slope > 0.0 else 0):
            if _along(direction, step, now_log_weight, shift, matrix, inverse, log_matrix, new_log_weight):
                _surrogate(share, z, spread, new_log_weight, log_det, shift, matrix, log_matrix, candidate)
                if _smooth_sum(candidate, floor, anchor, width) <= before - 1e-4 * step * slope:
                    found = True
                    break
            step *= 0.5
        if found:
            _move(now_mean, factor, z, log_det, shift, matrix, inverse, log_matrix)
            _copy(new_log_weight, now_log_weight)
            _copy(candidate, now)
            reached = _hinge_sum(now, floor)
            if reached < objective and reached <= 0.5 * (objective + lower):
                lowered = True
                _clipped(now, floor, anchor, width, trial)
                _copy(trial, anchor)
                break
        possible = objective - max(lower, floor * n)
        solved = slope <= 1e-4 * possible or (step == 1.0 and slope <= 0.1 * possible)
        if not solved and step < 0.05:
            width = min(4.0 * width, widest)
        elif solved:
            _clipped(now, floor, anchor, width, trial)
            _copy(trial, anchor)
            width = max(0.3 * width, 1e-12)  # the narrower, the closer to the hinge, and the harder for Newton's steps
    last_width[0] = width if lowered else np.inf  # a search that fails starts again from the widest
    bound = (objective - lower) / n
    if not lowered and not reached < objective:
        return objective / n, bound, False, False
    _copy(now_log_weight, log_weight)
    for k in range(n_components):
        _copy(now_mean[k], mean[k])
        _lower(factor[k], chol[k])
    return objective / n, bound, True, lowered


@njit(cache=True, nogil=True, error_model="numpy")
def lost(log_weight, chol, rounding, n):
    """Return the first component that has no weight or no covariance left, and why: VANISHED, SINGULAR or DONE."""
    for k in range(log_weight.size):
        if math.exp(log_weight[k]) * n < _LEAST_POINTS:
            return VANISHED, k
        if _is_singular(chol[k], rounding):
            return SINGULAR, k
    return DONE, -1
