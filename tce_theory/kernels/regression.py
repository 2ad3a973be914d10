"""Linear regression: the recursion of least squares in law, and the fit under an absolute threshold.

The rows of a Gaussian design enter least squares through the triangular factor R of X = QR alone: R'R is Wishart, and
by Bartlett (1933) the entries of R are independent, standard normal above the diagonal and chi on it. Given X the
labels Xw + e have Q'(Xw + e) = Rw + z with z standard normal, and what is left of e has a chi-square square. So a
sample of any size is at most d rows and one number.

Units: noise in units of generation 0's, coefficients relative to those of generation 0.
"""

import math

import numpy as np
from numba import njit

# what becomes of the data of earlier generations, as in `tce_theory.regimes`
FORGET, KEEP = 0, 1
# columns of `summary`
ERROR, ALONG, NORM2, LOG_STD = 0, 1, 2, 3

_FIRST_BARRIER, _LAST_BARRIER, _BARRIER_STEP = 1.0, 1.001e-9, 0.1
_MOST_STEPS = 60  # Newton steps for one barrier; seldom more than ten
_LEAST_STEP = 1e-6
_ROUNDING = 1e-14  # relative, of the objective


@njit(cache=True, nogil=True, error_model="numpy")
def draw_factor(rng, n, factor):
    """Fill the upper triangle with the factor of n standard normal rows; return how many rows of it there are."""
    d = factor.shape[0]
    rows = min(n, d)
    for i in range(rows):
        factor[i, i] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (n - i)))
        for j in range(i + 1, d):
            factor[i, j] = rng.standard_normal()
    return rows


@njit(cache=True, nogil=True, error_model="numpy")
def back_substitute(factor, right, solution):
    """Solve an upper triangular system."""
    for i in range(factor.shape[0] - 1, -1, -1):
        value = right[i]
        for j in range(i + 1, factor.shape[0]):
            value -= factor[i, j] * solution[j]
        solution[i] = value / factor[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _insert(factor, right, row, label, first):
    """Rotate a row of data, zero before column `first`, into a triangular factor; return what the fit leaves of it."""
    d = factor.shape[0]
    for i in range(first, d):
        if row[i] == 0.0:
            continue
        length = math.hypot(factor[i, i], row[i])
        cosine, sine = factor[i, i] / length, row[i] / length
        for j in range(i, d):
            above = factor[i, j]
            factor[i, j] = cosine * above + sine * row[j]
            row[j] = cosine * row[j] - sine * above
        above = right[i]
        right[i] = cosine * above + sine * label
        label = cosine * label - sine * above
    return label


@njit(cache=True, nogil=True, error_model="numpy")
def _insert_part(rng, n, std, coefficients, design, n_design, factor, right, row):
    """Add n labelled points of a model; return the square that this leaves to the common fit.

    With a given design, by its factor (else that is empty), the points are n / n_design copies of it.
    """
    d = factor.shape[0]
    rows, scale = min(n, d), math.sqrt(n / max(n_design, 1))
    left = 0.0
    for i in range(rows):
        if design.size > 0:
            for j in range(i, d):
                row[j] = scale * design[i, j]
        else:
            row[i] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (n - i)))
            for j in range(i + 1, d):
                row[j] = rng.standard_normal()
        label = std * rng.standard_normal()
        for j in range(i, d):
            label += row[j] * coefficients[j]
        rest = _insert(factor, right, row, label, i)
        left += rest * rest
    if n > d:
        left += std * std * (2.0 * rng.standard_gamma(0.5 * (n - d)))
    return left


@njit(cache=True, nogil=True, error_model="numpy")
def _summarise(coefficients, truth, direction, log_std, summary):
    error, along, norm2 = 0.0, 0.0, 0.0
    for j in range(truth.size):
        error += coefficients[j] * coefficients[j]
        along += coefficients[j] * direction[j]
        norm2 += (truth[j] + coefficients[j]) * (truth[j] + coefficients[j])
    summary[ERROR], summary[ALONG], summary[NORM2], summary[LOG_STD] = error, along, norm2, log_std


@njit(cache=True, nogil=True, error_model="numpy")
def advance_law(
    rng, synthetic, fresh, share, memory, spread, fit_noise, shared, given, n_design, truth, direction, summary, path,
    stop, progress, slot,
):  # fmt: skip
    """Advance replicates of least squares from column 0, which is given, sampling the sufficient statistics.

    Neither cost nor memory depends on the sample size, nor memory of what is kept on the generation.

    Parameters
    ----------
    rng : numpy.random.Generator
    synthetic, fresh : int64 array (generations,)
        Points labelled by the model before, and by generation 0.
    share : float array (generations,)
        Probability that a point counted as synthetic is fresh; 0 if the design is shared.
    memory : int
        FORGET or KEEP: fit what is drawn for a generation, or all that was drawn so far.
    spread : float
        Factor of the standard deviation of the noise of labels.
    fit_noise : bool
        Whether the noise is estimated (maximum likelihood) or known.
    shared : bool
        Whether all generations of a replicate have one design, of `n_design` rows.
    given : float array (d, d) or (0, 0)
        Triangular factor of a design that all replicates share.
    truth, direction : float array (d,)
        Coefficients of generation 0, and the unit vector along them, or 0.
    summary : float array (replicates, generations + 1, 4)
        Squared error, error along the truth, squared norm, log of the noise: in units of generation 0's noise.
    path : float array (replicates, generations + 1, d) or (0, 0, 0)
        Coefficients less those of generation 0.
    stop : uint8 array (1,)
        Set to end early.
    progress : int64 array
        Generations done are counted at `slot`.
    """
    d = truth.size
    factor, right, row = np.zeros((d, d)), np.zeros(d), np.zeros(d)
    coefficients, zero, step = np.zeros(d), np.zeros(d), np.zeros(d)
    design = np.zeros((d, d)) if shared else np.zeros((0, 0))
    for r in range(summary.shape[0]):
        coefficients[:] = 0.0
        log_std, left, count = 0.0, 0.0, 0
        factor[:] = 0.0
        right[:] = 0.0
        if given.size > 0:
            for i in range(d):
                for j in range(i, d):
                    design[i, j] = given[i, j]
        elif shared:
            draw_factor(rng, n_design, design)
        for t in range(1, summary.shape[1]):
            if stop[0]:
                return
            n = synthetic[t - 1] + fresh[t - 1]
            n_fresh = fresh[t - 1] + (rng.binomial(synthetic[t - 1], share[t - 1]) if share[t - 1] > 0.0 else 0)
            std = spread * math.exp(log_std)
            if memory == FORGET and n_fresh == 0:  # relative to the model before, so that the noise may vanish
                scale = std
                if shared:
                    scale /= math.sqrt(n / n_design)
                else:
                    draw_factor(rng, n, factor)
                for j in range(d):
                    right[j] = rng.standard_normal()
                back_substitute(design if shared else factor, right, step)
                for j in range(d):
                    coefficients[j] += scale * step[j]
                if fit_noise:
                    log_std += math.log(spread) + 0.5 * math.log(2.0 * rng.standard_gamma(0.5 * (n - d)) / n)
            else:
                if memory == FORGET:
                    left, count = 0.0, 0
                    factor[:] = 0.0
                    right[:] = 0.0
                if n_fresh < n:
                    left += _insert_part(rng, n - n_fresh, std, coefficients, design, n_design, factor, right, row)
                if n_fresh > 0:
                    left += _insert_part(rng, n_fresh, 1.0, zero, design, n_design, factor, right, row)
                count += n
                back_substitute(factor, right, coefficients)
                if fit_noise:
                    log_std = 0.5 * math.log(left / count)
            _summarise(coefficients, truth, direction, log_std, summary[r, t])
            if path.size > 0:
                for j in range(d):
                    path[r, t, j] = coefficients[j]
            progress[slot] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _weight(f, barrier):
    """Weight of a point, the derivative of its smoothed hinge, and the derivative of that.

    The smoothed hinge of f is the least t - barrier (log(t - f) + log t); its derivative v solves
    f = barrier (1/(1 - v) - 1/v), and tends to the step function as the barrier tends to 0.
    """
    k = abs(f) / barrier
    small = 2.0 / (2.0 + k + math.sqrt(k * k + 4.0))
    large = 1.0 - small
    slope = 1.0 / (barrier * (1.0 / (small * small) + 1.0 / (large * large)))
    return (large if f > 0.0 else small), slope


@njit(cache=True, nogil=True, error_model="numpy")
def _smoothed(x, y, precision, b, barrier):
    """Sum of the smoothed hinges, or inf outside the domain."""
    if precision <= 0.0:
        return np.inf
    total, offset = 0.0, math.log(precision)
    for i in range(y.size):
        s = precision * y[i]
        for j in range(b.size):
            s -= x[i, j] * b[j]
        f = 0.5 * s * s - offset
        v, _ = _weight(f, barrier)
        # t = barrier/(1 - v) and t - f = barrier/v, the smaller one from the other
        t = barrier / (1.0 - v) if f <= 0.0 else f + barrier / v
        gap = barrier / v if f > 0.0 else t - f
        total += t - barrier * (math.log(t) + math.log(gap))
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _solve_positive(matrix, right):
    """Solve a symmetric positive definite system in place, by Cholesky; the solution is in `right`."""
    d = right.size
    for j in range(d):
        pivot = matrix[j, j]
        for k in range(j):
            pivot -= matrix[j, k] * matrix[j, k]
        pivot = math.sqrt(max(pivot, 1e-300))
        matrix[j, j] = pivot
        for i in range(j + 1, d):
            value = matrix[i, j]
            for k in range(j):
                value -= matrix[i, k] * matrix[j, k]
            matrix[i, j] = value / pivot
    for i in range(d):
        for k in range(i):
            right[i] -= matrix[i, k] * right[k]
        right[i] /= matrix[i, i]
    for i in range(d - 1, -1, -1):
        for k in range(i + 1, d):
            right[i] -= matrix[k, i] * right[k]
        right[i] /= matrix[i, i]


@njit(cache=True, nogil=True, error_model="numpy")
def _newton(x, y, precision, b, barrier, fit_noise, weights, gradient, hessian, g):
    """Gradient and Hessian of the sum of smoothed hinges, in (b, precision)."""
    d = b.size
    size = d + 1 if fit_noise else d
    gradient[:] = 0.0
    hessian[:] = 0.0
    for i in range(y.size):
        s = precision * y[i]
        for j in range(d):
            s -= x[i, j] * b[j]
        v, slope = _weight(0.5 * s * s - math.log(precision), barrier)
        weights[i] = v
        for j in range(d):
            g[j] = -s * x[i, j]
        if fit_noise:
            g[d] = s * y[i] - 1.0 / precision
        for j in range(size):
            gradient[j] += v * g[j]
            a = y[i] if j == d else -x[i, j]
            for k in range(j + 1):
                other = y[i] if k == d else -x[i, k]
                hessian[j, k] += v * a * other + slope * g[j] * g[k]
        if fit_noise:
            hessian[d, d] += v / (precision * precision)


@njit(cache=True, nogil=True, error_model="numpy")
def fit_hinge(x, y, precision, fit_noise):
    """Follow the minimiser of the smoothed objective until the objective is within 2e-9 of its least, for each point.

    The objective is the sum of max(f_i, 0), f_i = (precision y_i - x_i b)^2 / 2 - log(precision), which is convex in
    (b, precision): precision is 1/sigma and y in units of the critical scale, b the coefficients over sigma.

    Parameters
    ----------
    x : float array (n, d)
        With columns of about unit mean square, without which steps would be ill conditioned.
    y : float array (n,)
    precision : float
        Where to start, or what it is if `fit_noise` is False.
    fit_noise : bool

    Returns
    -------
    b : float array (d,)
    precision : float
    weights : float array (n,)
        In (0, 1); near the ends but for points on the boundary.
    steps : int
    """
    n, d = x.shape
    size = d + 1 if fit_noise else d
    b, trial, weights = np.zeros(d), np.zeros(d), np.ones(n)
    gradient, hessian, g, step = np.zeros(size), np.zeros((size, size)), np.zeros(size), np.zeros(size)
    barrier, steps = _FIRST_BARRIER, 0
    while True:
        value = _smoothed(x, y, precision, b, barrier)
        for _ in range(_MOST_STEPS):
            steps += 1
            _newton(x, y, precision, b, barrier, fit_noise, weights, gradient, hessian, g)
            for j in range(size):
                step[j] = -gradient[j]
            _solve_positive(hessian, step)
            decrement = 0.0
            for j in range(size):
                decrement -= gradient[j] * step[j]
            if not decrement > max(1e-3 * barrier, _ROUNDING * value):
                break
            length = 1.0
            while True:
                for j in range(d):
                    trial[j] = b[j] + length * step[j]
                precision_there = precision + length * step[d] if fit_noise else precision
                there = _smoothed(x, y, precision_there, trial, barrier)
                if there <= value - 0.1 * length * decrement or length < _LEAST_STEP:
                    break
                length *= 0.5
            if length < _LEAST_STEP:
                break
            for j in range(d):
                b[j] = trial[j]
            precision, value = precision_there, there
        if barrier <= _LAST_BARRIER:
            return b, precision, weights, steps
        barrier *= _BARRIER_STEP
