"""Multivariate Gaussian: the recursion, on Cholesky factors that may leave the range of a float.

Coordinates. Everything here is in coordinates in which generation 0 is the standard normal law; the fits of this module
commute with that change of coordinates. A covariance matrix is L L^T with a lower triangular L of positive diagonal,
kept as `root[j, i]` = L[i, j] (a column of L is a row of the array, for speed) and `power[j]`: column j of L is
root[j] * 2**power[j]. Under repeated fitting the columns shrink at different rates (slug shape-collapse), while the
ratios of the entries within a column converge, so that one exponent for each column is what a float needs.

Sums of such matrices are formed by adding vectors one by one to the factor, by rotations: L L^T + v v^T. That never
takes a difference of squares, so that a part that has collapsed keeps its digits beside one that has not.
"""

import math

import numpy as np
from numba import njit

# what becomes of the data of earlier generations, as in `tce_theory.regimes`
FORGET, KEEP, SUBSAMPLE = 0, 1, 2
# structures of the covariance matrix
FULL, DIAGONAL, ISOTROPIC = 0, 1, 2

_EXPONENT_STEP = 128
_TINY, _HUGE = 2.0**-_EXPONENT_STEP, 2.0**_EXPONENT_STEP


@njit(cache=True, nogil=True, error_model="numpy")
def _normalise(root, power):
    """Keep the diagonal of every column between 2^-128 and 2^128."""
    d = root.shape[0]
    for j in range(d):
        while 0.0 < root[j, j] < _TINY:
            for i in range(j, d):
                root[j, i] *= _HUGE
            power[j] -= _EXPONENT_STEP
        while _HUGE < root[j, j] < np.inf:
            for i in range(j, d):
                root[j, i] *= _TINY
            power[j] += _EXPONENT_STEP


@njit(cache=True, nogil=True, error_model="numpy")
def add_vector(root, power, v, q, first):
    """Replace L by the factor of L L^T + v v^T, where v stands for v * 2**q and begins with `first` zeros.

    Givens rotations of v with one column after the other; v is used up. With a the diagonal entry of the column, b the
    entry of v beside it and r^2 = a^2 + b^2, the column becomes (a column + b v)/r and v becomes (a v - b column)/r:
    the larger of the two exponents goes to the column, the smaller one to v.
    """
    d = root.shape[0]
    for k in range(first, d):
        a, b = root[k, k], v[k]
        if b == 0.0:
            continue
        if a == 0.0:  # an empty column
            sign = math.copysign(1.0, b)
            for i in range(k, d):
                root[k, i] = sign * v[i]
            power[k] = q
            return
        top, low = max(power[k], q), min(power[k], q)
        of_column = math.ldexp(1.0, int(power[k] - top))
        of_v = math.ldexp(1.0, int(q - top))
        r = math.hypot(of_column * a, of_v * b)
        keep, mix = of_column * of_column * a / r, of_v * of_v * b / r
        stay, leave = a / r, b / r
        for i in range(k, d):
            old = root[k, i]
            root[k, i] = keep * old + mix * v[i]
            v[i] = stay * v[i] - leave * old
        power[k], q = top, low


@njit(cache=True, nogil=True, error_model="numpy")
def _clear(root, power, first):
    """Empty the columns from `first` on."""
    for j in range(first, root.shape[0]):
        power[j] = 0
        for i in range(j, root.shape[0]):
            root[j, i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _scale(root, factor):
    d = root.shape[0]
    for j in range(d):
        for i in range(j, d):
            root[j, i] *= factor


@njit(cache=True, nogil=True, error_model="numpy")
def bartlett(rng, degrees, step):
    """Fill `step` with the lower triangular factor of a standard Wishart matrix, and return its number of columns.

    Bartlett (1933): the squared diagonal is chi-square with degrees, degrees - 1, ... degrees of freedom, what is below
    standard normal, all independent. With fewer degrees of freedom than dimensions there are fewer columns.
    """
    d = step.shape[0]
    columns = min(degrees, d)
    for j in range(columns):
        step[j, j] = math.sqrt(2.0 * rng.standard_gamma(0.5 * (degrees - j)))
        for i in range(j + 1, d):
            step[j, i] = rng.standard_normal()
    return columns


@njit(cache=True, nogil=True, error_model="numpy")
def multiply(root, power, step, columns):
    """Replace L by L A, with A lower triangular of so many columns; the other columns are left empty.

    Column j of the product needs the columns from j on, so that it can be formed in place: d^3/6 multiplications.
    """
    d = root.shape[0]
    for j in range(columns):
        top = power[j]
        for k in range(j + 1, d):
            top = max(top, power[k]) if root[k, k] > 0.0 else top
        factor = step[j, j] if power[j] == top else step[j, j] * math.ldexp(1.0, int(power[j] - top))
        for i in range(j, d):
            root[j, i] *= factor
        for k in range(j + 1, d):
            factor = step[j, k] if power[k] == top else step[j, k] * math.ldexp(1.0, int(power[k] - top))
            for i in range(k, d):
                root[j, i] += factor * root[k, i]
        power[j] = top
    _clear(root, power, columns)


@njit(cache=True, nogil=True, error_model="numpy")
def transform(root, power, factor, z, out):
    """Add factor * L z to `out`, of which numbers that have left the range of a float stay out."""
    d = root.shape[0]
    for k in range(d):
        weight = factor * z[k]
        for i in range(k, d):
            step = math.ldexp(weight * root[k, i], int(power[k])) if power[k] != 0 else weight * root[k, i]
            out[i] += step if abs(out[i]) < np.inf else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _merge_means(root, power, count, centre, n_more, mean_more, difference):
    """Merge the mean of n_more points, and add to the scatter what lies between the two means (Chan et al. 1983)."""
    d, n = root.shape[0], count + n_more
    between = math.sqrt((count / n) * n_more)
    for i in range(d):
        difference[i] = between * (mean_more[i] - centre[i])
        centre[i] += (mean_more[i] - centre[i]) * (n_more / n)
    if count > 0:
        add_vector(root, power, difference, 0, 0)
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def count_fresh(rng, synthetic, fresh, share):
    """Draw how many points of a generation are fresh: those that are certain, and a share of the others."""
    return fresh + (rng.binomial(synthetic, share) if share > 0.0 else 0)


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_normal(rng, z):
    for i in range(z.size):
        z[i] = rng.standard_normal()


@njit(cache=True, nogil=True, error_model="numpy")
def _add_fresh(rng, root, power, count, centre, n_fresh, fit_mean, step, work):
    """Add n_fresh points of generation 0, in law, to a scatter matrix and its mean; returns the number of points."""
    d, lost = root.shape[0], 1 if fit_mean else 0
    for j in range(bartlett(rng, n_fresh - lost, step)):
        add_vector(root, power, step[j], 0, j)
    if fit_mean:
        for i in range(d):
            work[0, i] = rng.standard_normal() / math.sqrt(n_fresh)
        return _merge_means(root, power, count, centre, n_fresh, work[0], work[1])
    return count + n_fresh


@njit(cache=True, nogil=True, error_model="numpy")
def record(t, root, power, mean, means, diagonals, roots, powers):
    """Note a model: its mean, the diagonal of its factor and, where there is room for it, the factor."""
    d = root.shape[0]
    for j in range(d):
        means[t, j], diagonals[t, j], powers[t, j] = mean[j], root[j, j], power[j]
    if roots.size > 0:
        for j in range(d):
            for i in range(j, d):
                roots[t, j, i] = root[j, i]


@njit(cache=True, nogil=True, error_model="numpy")
def advance_law(
    rng, synthetic, fresh, share, memory, spread, fit_mean, ddof, root, power, mean, kept, kept_power, kept_mean,
    kept_count, means, diagonals, roots, powers, stop, progress, slot,
):  # fmt: skip
    """Advance one replicate under cross entropy, full covariance, sampling the sufficient statistics.

    The sample mean is normal and the scatter matrix Wishart, independent of each other; if some points are fresh the
    two parts of the sample have such statistics each. The cost does not depend on the sample size.

    Parameters
    ----------
    rng : numpy.random.Generator
    synthetic, fresh : int64 array (steps,)
        Points from the model before, and from generation 0.
    share : float array (steps,)
        Probability that a point counted as synthetic is fresh.
    memory : int
        FORGET or KEEP: fit what is drawn for a generation, or all that was drawn so far.
    spread : float
        Factor of the standard deviation of what is drawn from a model.
    fit_mean : bool
    ddof : int
    root, power, mean : arrays (d, d), (d,), (d,)
        The model; it is advanced in place.
    kept, kept_power, kept_mean, kept_count : arrays (d, d), (d,), (d,), (1,)
        Factor of the scatter matrix, mean and number of all points so far, for KEEP; they go on as well.
    means, diagonals, powers : arrays (steps, d)
    roots : array (steps, d, d) or (0, 0, 0)
        Models that were reached; factors only where there is room for them.
    stop : uint8 array (1,)
        Set to end early.
    progress : int64 array
        Generations done are counted at `slot`.
    """
    d, lost = root.shape[0], 1 if fit_mean else 0
    step, work = np.zeros((d, d)), np.empty((3, d))
    for t in range(synthetic.size):
        if stop[0]:
            return
        n_fresh = count_fresh(rng, synthetic[t], fresh[t], share[t])
        n_old = synthetic[t] + fresh[t] - n_fresh
        if n_old > 0:  # the factor of their scatter matrix takes the place of the model
            if fit_mean:
                _fill_normal(rng, work[0])
                transform(root, power, spread / math.sqrt(n_old), work[0], mean)
            multiply(root, power, step, bartlett(rng, n_old - lost, step))
            if spread != 1.0:
                _scale(root, spread)
        else:
            _clear(root, power, 0)
        if memory == KEEP:
            for j in range(d if n_old > 0 else 0):
                for i in range(d):
                    work[0, i] = root[j, i] if i >= j else 0.0
                add_vector(kept, kept_power, work[0], power[j], j)
            if n_old > 0:
                kept_count[0] = (
                    _merge_means(kept, kept_power, kept_count[0], kept_mean, n_old, mean, work[1])
                    if fit_mean
                    else kept_count[0] + n_old
                )
            if n_fresh > 0:
                kept_count[0] = _add_fresh(
                    rng, kept, kept_power, kept_count[0], kept_mean, n_fresh, fit_mean, step, work
                )
            n = kept_count[0]
            for j in range(d):
                power[j], mean[j] = kept_power[j], kept_mean[j]
                for i in range(j, d):
                    root[j, i] = kept[j, i]
        else:
            n = n_old
            if n_fresh > 0:
                n = _add_fresh(rng, root, power, n_old, mean, n_fresh, fit_mean, step, work)
        _scale(root, 1.0 / math.sqrt(n - ddof))
        _normalise(root, power)
        record(t, root, power, mean, means, diagonals, roots, powers)
        progress[slot] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def _hypot(a, p, b, q):
    """Square root of the sum of the squares of a 2^p and b 2^q, with its exponent."""
    if a == 0.0 or b == 0.0:
        return (a, p) if b == 0.0 else (b, q)
    top = max(p, q)
    return math.hypot(math.ldexp(a, int(p - top)), math.ldexp(b, int(q - top))), top


@njit(cache=True, nogil=True, error_model="numpy")
def _chi(rng, degrees):
    """Draw the root of a chi-square number."""
    return math.sqrt(2.0 * rng.standard_gamma(0.5 * degrees)) if degrees > 0 else 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _merge_axes(scale, power, count, centre, n_more, more, mean_more, pooled):
    """Merge n_more points, of roots of sums of squares `more`, into those of `scale` and `centre`, axis by axis."""
    n = count + n_more
    between = math.sqrt((count / n) * n_more)
    for w in range(scale.size):
        scale[w], power[w] = _hypot(scale[w], power[w], more[w], 0)
    for i in range(centre.size):
        w = 0 if pooled else i
        difference = abs(between * (mean_more[i] - centre[i])) if count > 0 else 0.0
        scale[w], power[w] = _hypot(scale[w], power[w], difference, 0)
        centre[i] += (mean_more[i] - centre[i]) * (n_more / n)
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_axes(rng, n, fit_mean, spread, scale, power, mean, pooled):
    """Replace scales by the roots of the sums of squares of n points, and the mean by theirs."""
    d, lost = mean.size, 1 if fit_mean else 0
    if fit_mean:
        for i in range(d):
            w = 0 if pooled else i
            step = spread * math.ldexp(scale[w], int(power[w])) * (rng.standard_normal() / math.sqrt(n))
            mean[i] += step if abs(mean[i]) < np.inf else 0.0
    for w in range(scale.size):
        scale[w] *= spread * _chi(rng, (d if pooled else 1) * (n - lost))


@njit(cache=True, nogil=True, error_model="numpy")
def advance_law_axes(
    rng, synthetic, fresh, share, memory, spread, fit_mean, ddof, pooled, scale, power, mean, kept, kept_power,
    kept_mean, kept_count, means, diagonals, powers, stop, progress, slot,
):  # fmt: skip
    """As `advance_law` with one variance for each axis, or one for all (`pooled`): `scale` has size d or 1."""
    d, width = mean.size, scale.size
    more, more_power, more_mean = np.empty(width), np.empty(width, np.int64), np.empty(d)
    for t in range(synthetic.size):
        if stop[0]:
            return
        n_fresh = count_fresh(rng, synthetic[t], fresh[t], share[t])
        n_old = synthetic[t] + fresh[t] - n_fresh
        if n_old > 0:
            _draw_axes(rng, n_old, fit_mean, spread, scale, power, mean, pooled)
        else:
            for w in range(width):
                scale[w], power[w] = 0.0, 0
        n = n_old
        if memory == KEEP:
            if n_old > 0:
                # exponents near 0: what is kept has the scale of generation 0
                for w in range(width):
                    scale[w], power[w] = math.ldexp(scale[w], int(power[w])), 0
                kept_count[0] = _merge_axes(kept, kept_power, kept_count[0], kept_mean, n_old, scale, mean, pooled)
            for w in range(width):
                scale[w], power[w] = kept[w], kept_power[w]
            for i in range(d):
                mean[i] = kept_mean[i]
            n = kept_count[0]
        if n_fresh > 0:
            for w in range(width):
                more[w], more_power[w] = 1.0, 0
            for i in range(d):
                more_mean[i] = 0.0
            _draw_axes(rng, n_fresh, fit_mean, 1.0, more, more_power, more_mean, pooled)
            n = _merge_axes(scale, power, n, mean, n_fresh, more, more_mean, pooled)
        if memory == KEEP:
            kept_count[0] = n
            for w in range(width):
                kept[w], kept_power[w] = scale[w], power[w]
            for i in range(d):
                kept_mean[i] = mean[i]
        divisor = math.sqrt(float(n - ddof) * (d if pooled else 1))
        for w in range(width):
            scale[w] /= divisor
            while 0.0 < scale[w] < _TINY:
                scale[w], power[w] = scale[w] * _HUGE, power[w] - _EXPONENT_STEP
            while _HUGE < scale[w] < np.inf:
                scale[w], power[w] = scale[w] * _TINY, power[w] + _EXPONENT_STEP
        for i in range(d):
            w = 0 if pooled else i
            means[t, i], diagonals[t, i], powers[t, i] = mean[i], scale[w], power[w]
        progress[slot] += 1


# --- point by point ---

# rules of `advance_points`: cross entropy; truncation by the model being fitted; truncation by the previous model
CE, RELATIVE, PREVIOUS = 0, 1, 2

_FEW = 8  # below so many points a dimension rotations are used: there are cases that squares cannot tell from singular
_SINGULAR = 4.0 * 2.0**-52


@njit(cache=True, nogil=True, error_model="numpy")
def _rotate_in(x, keep, centre, triangle, work):
    """Fill `triangle` with the factor of the scatter of the kept points, and say whether it is regular."""
    n, d = x.shape
    power, sizes = np.zeros(d, np.int64), np.zeros(d)
    _clear(triangle, power, 0)
    for i in range(n):
        if keep[i]:
            for j in range(d):
                work[j] = x[i, j] - centre[j]
                sizes[j] += work[j] * work[j]
            add_vector(triangle, power, work, 0, 0)
    regular = True
    for j in range(d):
        regular &= triangle[j, j] > _SINGULAR * d * math.sqrt(sizes[j])
    return regular


@njit(cache=True, nogil=True, error_model="numpy")
def _scatter(x, keep, centre, triangle, work):
    """Fill the lower columns of `triangle` with the scatter matrix of the kept points."""
    n, d = x.shape
    for j in range(d):
        for k in range(d):
            triangle[j, k] = 0.0
    for i in range(n):
        if keep[i]:
            for j in range(d):
                work[j] = x[i, j] - centre[j]
            for j in range(d):
                weight = work[j]
                for k in range(j, d):
                    triangle[j, k] += weight * work[k]


@njit(cache=True, nogil=True, error_model="numpy")
def _cholesky(triangle):
    """Replace a matrix by its factor, column by column; False where a pivot loses more than half of its digits."""
    d = triangle.shape[0]
    for j in range(d):
        full = triangle[j, j]
        for k in range(j):
            weight = triangle[k, j]
            for i in range(j, d):
                triangle[j, i] -= weight * triangle[k, i]
        if not triangle[j, j] > 1e-8 * full:
            return False
        pivot = math.sqrt(triangle[j, j])
        for i in range(j, d):
            triangle[j, i] /= pivot
    return True


@njit(cache=True, nogil=True, error_model="numpy")
def _axes(x, keep, centre, triangle, pooled):
    """Fill the diagonal of `triangle` with roots of sums of squares, or of their mean over the axes."""
    n, d = x.shape
    total, regular = 0.0, True
    for j in range(d):
        square = 0.0
        for i in range(n):
            square += (x[i, j] - centre[j]) * (x[i, j] - centre[j]) if keep[i] else 0.0
        for k in range(d):
            triangle[j, k] = 0.0
        triangle[j, j] = math.sqrt(square)
        regular &= square > 0.0
        total += square
    if pooled:
        for j in range(d):
            triangle[j, j] = math.sqrt(total / d)
        regular = total > 0.0
    return regular


@njit(cache=True, nogil=True, error_model="numpy")
def factor_of(x, keep, count, centre, structure, ddof, triangle, work):
    """Fill `triangle` with the factor of the covariance matrix of the kept points; False if it is singular."""
    d = x.shape[1]
    if structure != FULL:
        regular = _axes(x, keep, centre, triangle, structure == ISOTROPIC)
    else:
        regular = False
        if count > _FEW * d:
            _scatter(x, keep, centre, triangle, work)
            regular = _cholesky(triangle)
        if not regular:
            regular = _rotate_in(x, keep, centre, triangle, work)
    _scale(triangle, 1.0 / math.sqrt(count - ddof))
    return regular


@njit(cache=True, nogil=True, error_model="numpy")
def _mask(x, centre, root, power, radius2, keep, work):
    """Drop the points inside a Mahalanobis radius from those that are kept; returns how many are left."""
    n, d = x.shape
    count = 0
    for i in range(n):
        if not keep[i]:
            continue
        for j in range(d):
            work[j] = x[i, j] - centre[j]
        square = 0.0
        for j in range(d):
            weight = work[j] / root[j, j]
            for k in range(j + 1, d):
                work[k] -= weight * root[j, k]
            weight = math.ldexp(weight, -int(power[j])) if power[j] != 0 else weight
            square += weight * weight
        keep[i] = square >= radius2
        count += keep[i]
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _mean(x, keep, count, centre):
    n, d = x.shape
    for j in range(d):
        centre[j] = 0.0
    for i in range(n):
        if keep[i]:
            for j in range(d):
                centre[j] += x[i, j]
    for j in range(d):
        centre[j] /= count


@njit(cache=True, nogil=True, error_model="numpy")
def fit_relative(x, keep, centre, radius2, structure, triangle, power, work):
    """Self-consistent fit about a fixed centre, from the cross-entropy fit in `triangle` on.

    Points that a fit has masked all later ones mask too (see `MultivariateGaussian`), so that the iteration ends.
    Returns the number of points kept, or -1 where they determine no fit up to rounding.
    """
    count = x.shape[0]
    while True:
        left = _mask(x, centre, triangle, power, radius2 * (1.0 - 1e-12), keep, work)
        if left == count:
            return count
        if left == 0 or not factor_of(x, keep, left, centre, structure, 0, triangle, work):
            return -1
        count = left


@njit(cache=True, nogil=True, error_model="numpy")
def fit_points(
    x, rule, radius2, structure, fit_mean, ddof, least, old_root, old_power, keep, centre, triangle, work
):  # fmt: skip
    """Fit points, given relative to the old mean: `triangle` and `centre`; returns the number of points kept.

    Where they determine no fit, that is -1 - the number outside the previous mask, or -1.

    `old_root` with `old_power` is the previous model in the same coordinates.
    """
    n, d = x.shape
    power = np.zeros(d, np.int64)
    for i in range(n):
        keep[i] = True
    for j in range(d):
        centre[j] = 0.0
    count = n
    if rule == PREVIOUS:
        count = _mask(x, centre, old_root, old_power, radius2, keep, work)
        if count < least:
            return -count - 1
    if fit_mean:
        _mean(x, keep, count, centre)
    if not factor_of(x, keep, count, centre, structure, ddof, triangle, work):
        return -1
    if rule == RELATIVE:
        return fit_relative(x, keep, centre, radius2, structure, triangle, power, work)
    return count


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_pool(rng, pool, n_before, n_fresh, n, root, power, mean, spread, memory):
    """Add points to all so far; for SUBSAMPLE n of them go to the front. Returns how many are fitted."""
    d = mean.size
    z = np.empty(d)
    for i in range(n_before, n_before + n):
        _fill_normal(rng, z)
        if i < n_before + n_fresh:
            for j in range(d):
                pool[i, j] = z[j]
        else:
            for j in range(d):
                pool[i, j] = mean[j]
            transform(root, power, spread, z, pool[i])
    if memory == KEEP:
        return n_before + n
    for i in range(n):  # shuffled as far as is needed; the order of what is kept means nothing
        other = i + np.int64(rng.random() * (n_before + n - i))
        for j in range(d):
            pool[i, j], pool[other, j] = pool[other, j], pool[i, j]
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def _draw_mixed(rng, x, n_fresh, root, power, mean, spread):
    """Fill x with fresh points and points of the model, relative to its mean."""
    n, d = x.shape
    z = np.empty(d)
    for i in range(n):
        _fill_normal(rng, z)
        for j in range(d):
            x[i, j] = z[j] - mean[j] if i < n_fresh else 0.0
        if i >= n_fresh:
            transform(root, power, spread, z, x[i])


@njit(cache=True, nogil=True, error_model="numpy")
def draw_data(rng, n, n_fresh, own, memory, root, power, mean, spread, pool, pooled, points):
    """Fill `points` with what a generation is fitted to; returns how many these are.

    They are relative to the mean of the model before and in the coordinates of generation 0 or, for `own`, in those in
    which the model before is standard. Draws do not depend on `own`.
    """
    d = mean.size
    if memory != FORGET:
        fitted = _draw_pool(rng, pool, pooled[0], n_fresh, n, root, power, mean, spread, memory)
        pooled[0] += n
        for i in range(fitted):
            for j in range(d):
                points[i, j] = pool[i, j] - mean[j]
        return fitted
    if own:
        for i in range(n):
            for j in range(d):
                points[i, j] = spread * rng.standard_normal()
    else:
        _draw_mixed(rng, points[:n], n_fresh, root, power, mean, spread)
    return n


@njit(cache=True, nogil=True, error_model="numpy")
def move(root, power, mean, own, centre, triangle):
    """Replace a model by the one of mean `centre` and factor `triangle`, in the coordinates of `draw_data`."""
    d = mean.size
    if own:
        transform(root, power, 1.0, centre, mean)
        multiply(root, power, triangle, d)
    else:
        for j in range(d):
            mean[j] += centre[j]
            power[j] = 0
            for i in range(j, d):
                root[j, i] = triangle[j, i]
    _normalise(root, power)


@njit(cache=True, nogil=True, error_model="numpy")
def advance_points(
    rng, synthetic, fresh, share, memory, spread, rule, threshold, is_radius, structure, fit_mean, ddof, least, root,
    power, mean, pool, pooled, means, diagonals, roots, powers, masked, stop, progress, slot,
):  # fmt: skip
    """Advance one replicate, drawing the points; returns the number of generations that kept the previous model.

    Every rule draws the same numbers, so that runs with one seed are coupled draw by draw. Where all points come from
    the model before they are in its coordinates, so that no scale is too small; where others are among them, digits of
    a model that is narrower than these by 10^-13 are lost.

    Parameters are those of `advance_law` (with SUBSAMPLE for `memory`, too), and:

    Parameters
    ----------
    rule : int
        One of CE, RELATIVE, PREVIOUS.
    threshold : float
        Squared Mahalanobis radius within which a model masks (`is_radius`), or that of generation 0, to be lowered by
        the change of the log determinant.
    structure : int
    least : int
        Fewest points for which the covariance matrix is not singular.
    pool : array (points, d) or (0, d)
        All points so far, where they are kept; `pooled` (1,) is their number.
    masked : array (steps,)
        Number of points that the mask removed.
    """
    d = mean.size
    most = 0
    for t in range(synthetic.size):
        most = max(most, synthetic[t] + fresh[t])
    most = max(most, pool.shape[0] if memory == KEEP else 0)
    points, keep = np.empty((most, d)), np.empty(most, np.bool_)
    triangle, identity, level = np.zeros((d, d)), np.eye(d), np.zeros(d, np.int64)
    centre, work, vacuous = np.empty(d), np.empty(d), 0
    for t in range(synthetic.size):
        if stop[0]:
            return vacuous
        n_fresh = count_fresh(rng, synthetic[t], fresh[t], share[t])
        n = synthetic[t] + fresh[t]
        own = memory == FORGET and n_fresh == 0
        n = draw_data(rng, n, n_fresh, own, memory, root, power, mean, spread, pool, pooled, points)
        radius2 = threshold
        if not is_radius:
            for j in range(d):
                radius2 -= 2.0 * (math.log(root[j, j]) + power[j] * math.log(2.0))
        old_root, old_power = (identity, level) if own else (root, power)
        count = fit_points(
            points[:n], rule, max(radius2, 0.0), structure, fit_mean, ddof, least, old_root, old_power, keep[:n],
            centre, triangle, work,
        )  # fmt: skip
        masked[t] = n - count if count >= 0 else n + 1 + count
        if count < 0:
            vacuous += 1
        else:
            move(root, power, mean, own, centre, triangle)
        record(t, root, power, mean, means, diagonals, roots, powers)
        progress[slot] += 1
    return vacuous
