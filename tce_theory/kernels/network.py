"""Networks: the multilayer perceptron and its gradient, losses on softmax, optimisers, and the loops that train.

Parameters are one flat vector. Those of a perceptron are its layers one after the other, each with its matrix
(in, out), row by row, and then its bias (out,); hidden layers are tanh, the last is linear. A language model has its
embeddings (V, D) before them, and its input is the embeddings of the tokens of the context side by side. A tabular
model has nothing but the table of logits, a row for each context.

`sizes` has the widths of all layers, that of the input first; activations and their gradients ("deltas") are flat,
layer by layer, as the rows of a batch by the width of the layer, without the input. A tabular model has sizes (rows of
the table, V).
"""

import math

import numpy as np
from numba import njit

# losses, numbered as in `tce_theory.kernels.categorical`
CE, CAP, PREVIOUS, FOCAL, FOCAL_DETACHED, SMOOTH, WEIGHTED = 0, 1, 2, 3, 4, 5, 6
SMOOTHED_LABELS = 7  # cross entropy of minibatches; counts are smoothed beforehand
# optimisers
SGD, ADAM = 0, 1
BETA_1, BETA_2, EPSILON = 0.9, 0.999, 1e-8  # of Adam (Kingma and Ba 2015)
# sums that the full batch keeps: Σ c; Σ c w; Σ c w CE; Σ c w H; Σ c CE (Σ over contexts and targets, c their counts)
TOTAL, WEIGHT, CROSS_ENTROPY, ENTROPY, PLAIN = 0, 1, 2, 3, 4
N_SUMS = 5
# averages over the steps of a full batch
KAPPA, GAP, LEVEL, GRADIENT, LEFT_OUT = 0, 1, 2, 3, 4
N_AVERAGES = 5
# how minibatches relate to those of a twin: not; they are the twin's; they leave out as many targets; they move as far
ALONE, TWIN, RANDOM_MASK, MATCHED_STEP = 0, 1, 2, 3

_PIECE = 256  # contexts that are worked on at once, so that what belongs to them stays in the cache
_LOG2_E = 1.0 / math.log(2.0)
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_C2, _C3, _C4, _C5, _C6, _C7, _C8, _C9, _C10, _C11, _C12, _C13 = (1.0 / math.factorial(i) for i in range(2, 14))
_LOWEST = -710.0  # e to this is no longer a normal number, and is taken as 0
_FLAT = -80.0  # tanh is 1 to rounding long before


@njit(cache=True, nogil=True, error_model="numpy")
def _halves(x):
    """Return k and e^r − 1 with x = k log 2 + r, |r| ≤ log(2)/2, to rounding: then e^x = 2^k (1 + (e^r − 1)).

    The loops that use it store 2^k by its bits and multiply in a second loop; so they run eight numbers at a time,
    which no call of exp or tanh does.
    """
    k = np.floor(x * _LOG2_E + 0.5)
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    p = _C13 * r + _C12
    p = p * r + _C11
    p = p * r + _C10
    p = p * r + _C9
    p = p * r + _C8
    p = p * r + _C7
    p = p * r + _C6
    p = p * r + _C5
    p = p * r + _C4
    p = p * r + _C3
    p = p * r + _C2
    return k, (p * r) * r + r


@njit(cache=True, nogil=True, error_model="numpy")
def _matrix(vector, first, rows, columns):
    """View a part of a vector as a matrix; a function of its own, as each reshape takes long to compile."""
    return vector[first : first + rows * columns].reshape(rows, columns)


@njit(cache=True, nogil=True, error_model="numpy")
def _product(a, b, out):
    """Matrix product; a function of its own, as each np.dot takes long to compile."""
    np.dot(a, b, out)


@njit(cache=True, nogil=True, error_model="numpy")
def _add_bias(z, bias):
    for i in range(z.shape[0]):
        for j in range(z.shape[1]):
            z[i, j] += bias[j]


@njit(cache=True, nogil=True, error_model="numpy")
def _add_bias_tanh(z, bias, bits, part):
    """Replace z by tanh(z + bias), with t = e^(−2|x|) − 1 and tanh|x| = −t / (t + 2), precise near 0 as well."""
    n = z.shape[1]
    scale = bits.view(np.float64)
    for i in range(z.shape[0]):
        for j in range(n):
            x = z[i, j] + bias[j]
            z[i, j] = x
            k, part[j] = _halves(max(-2.0 * abs(x), _FLAT))
            bits[j] = (np.int64(np.int32(k)) + 1023) << 52
        for j in range(n):
            t = scale[j] * part[j] + (scale[j] - 1.0)
            z[i, j] = math.copysign(t / (t + 2.0), z[i, j])


@njit(cache=True, nogil=True, error_model="numpy")
def _forward(theta, sizes, first, x, activations):
    """Fill the activations; with `first` = 1 the products of the first layer are there already."""
    batch, here, there = x.shape[0], 0, 0
    bits, part = np.empty(sizes.max(), np.int64), np.empty(sizes.max())
    below = x
    for layer in range(sizes.size - 1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        z = _matrix(activations, there, batch, n_out)
        bias = theta[here + n_in * n_out : here + n_in * n_out + n_out]
        if layer >= first:
            _product(below, _matrix(theta, here, n_in, n_out), z)
        if layer < sizes.size - 2:
            _add_bias_tanh(z, bias, bits, part)
        else:
            _add_bias(z, bias)
        below = z
        here += n_in * n_out + n_out
        there += batch * n_out


@njit(cache=True, nogil=True, error_model="numpy")
def forward(theta, sizes, x, activations):
    """Evaluate a multilayer perceptron.

    Parameters
    ----------
    theta : float array (n_parameters,)
        Its parameters, see the module.
    sizes : int64 array (layers + 1,)
    x : float array (B, sizes[0])
    activations : float array (B * sum(sizes[1:]),)
        Filled: layer by layer, the last linear.
    """
    _forward(theta, sizes, 0, x, activations)


@njit(cache=True, nogil=True, error_model="numpy")
def _column_sums(rows, out):
    for j in range(out.size):
        out[j] = 0.0
    for i in range(rows.shape[0]):
        for j in range(out.size):
            out[j] += rows[i, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _backward(theta, sizes, first, x, activations, deltas, gradient, input_gradient):
    """Fill the gradient; with `first` = 1 all but that of the first matrix and of the input."""
    batch = x.shape[0]
    here, there = theta.size, batch * sizes[1:].sum()
    for layer in range(sizes.size - 2, -1, -1):
        n_in, n_out = sizes[layer], sizes[layer + 1]
        here -= n_in * n_out + n_out
        there -= batch * n_out
        delta = _matrix(deltas, there, batch, n_out)
        _column_sums(delta, gradient[here + n_in * n_out : here + n_in * n_out + n_out])
        if layer < first:
            return
        matrix = _matrix(theta, here, n_in, n_out)
        into = _matrix(gradient, here, n_in, n_out)
        if layer == 0:
            _product(x.T, delta, into)
            _product(delta, matrix.T, input_gradient)
            return
        start = there - batch * n_in
        below = activations[start:there]
        _product(_matrix(below, 0, batch, n_in).T, delta, into)
        _product(delta, matrix.T, _matrix(deltas, start, batch, n_in))
        for i in range(batch * n_in):
            deltas[start + i] *= 1.0 - below[i] * below[i]


@njit(cache=True, nogil=True, error_model="numpy")
def backward(theta, sizes, x, activations, deltas, gradient, input_gradient):
    """Gradient of a multilayer perceptron.

    Parameters
    ----------
    theta, sizes, x, activations
        As `forward` took and left them.
    deltas : float array (B * sum(sizes[1:]),)
        The last layer's part has the gradient of the loss in the output; the rest is filled.
    gradient : float array (n_parameters,)
        Filled.
    input_gradient : float array (B, sizes[0])
        Filled.
    """
    _backward(theta, sizes, 0, x, activations, deltas, gradient, input_gradient)


@njit(cache=True, nogil=True, error_model="numpy")
def adam_step(theta, gradient, first, second, step, rate):
    """Make one step of Adam (Kingma and Ba 2015), the `step`-th, counted from 1; the moments are updated."""
    correction = 1.0 / math.sqrt(1.0 - BETA_2**step)
    size = rate / (1.0 - BETA_1**step)
    for i in range(theta.size):
        g = gradient[i]
        m = BETA_1 * first[i] + (1.0 - BETA_1) * g
        v = BETA_2 * second[i] + (1.0 - BETA_2) * g * g
        first[i], second[i] = m, v
        theta[i] -= size * m / (math.sqrt(v) * correction + EPSILON)


@njit(cache=True, nogil=True, error_model="numpy")
def momentum_step(theta, gradient, velocity, rate, momentum):
    """Make one step of gradient descent with momentum: velocity = momentum * velocity + gradient."""
    for i in range(theta.size):
        velocity[i] = momentum * velocity[i] + gradient[i]
        theta[i] -= rate * velocity[i]


@njit(nogil=True, error_model="numpy")
def _weight_at(rule, gamma, parameter, weight, p, complement, log_p):
    """w(p), the factor of the gradient of cross entropy; p, 1 − p and log p are each given precisely."""
    if rule == CAP:
        return 1.0 if p <= gamma else 0.0
    if rule in (FOCAL, FOCAL_DETACHED):
        factor = complement**parameter
        if rule == FOCAL_DETACHED or complement == 0.0 or p == 0.0:
            return factor
        return factor * (1.0 - parameter * p * log_p / complement)
    if rule == SMOOTH:
        excess = (log_p - math.log(gamma)) / parameter
        decay = math.exp(-abs(excess))
        return (decay if excess > 0.0 else 1.0) / (1.0 + decay)
    return 1.0 if weight is None else weight(p)


@njit(cache=True, nogil=True, error_model="numpy")
def weights(rule, gamma, parameter, p, out):
    """Fill `out` with w(p), the factor of the gradient of cross entropy.

    Parameters
    ----------
    rule : int
        CE, CAP, FOCAL, FOCAL_DETACHED or SMOOTH.
    gamma, parameter : float
        Threshold; exponent of the focal loss, or width of the smooth threshold.
    p, out : float array (n,)
    """
    for i in range(p.size):
        log_p = math.log(p[i]) if p[i] > 0.0 else -np.inf
        out[i] = _weight_at(rule, gamma, parameter, None, p[i], 1.0 - p[i], log_p)


# a function of the user as `weight` is the session's: the kernels that take one are not cached on disk
@njit(nogil=True, error_model="numpy")
def weights_by(weight, p, out):
    """Fill `out` with weight(p), for a compiled function of the user."""
    for i in range(p.size):
        out[i] = weight(p[i])


@njit(cache=True, nogil=True, error_model="numpy")
def _largest(z, i):
    """Largest of a row; eight at a time, as comparisons have to wait for each other."""
    n = z.shape[1]
    whole = n // 8 * 8
    a, b, c, d = z[i, 0], z[i, 0], z[i, 0], z[i, 0]
    e, f, g, h = a, a, a, a
    for j in range(0, whole, 8):
        a, b, c, d = max(a, z[i, j]), max(b, z[i, j + 1]), max(c, z[i, j + 2]), max(d, z[i, j + 3])
        e, f, g, h = max(e, z[i, j + 4]), max(f, z[i, j + 5]), max(g, z[i, j + 6]), max(h, z[i, j + 7])
    for j in range(whole, n):
        a = max(a, z[i, j])
    return max(max(max(a, b), max(c, d)), max(max(e, f), max(g, h)))


@njit(cache=True, nogil=True, error_model="numpy")
def _sum(z, i):
    """Sum of a row; eight partial sums, as additions have to wait for each other."""
    n = z.shape[1]
    whole = n // 8 * 8
    a, b, c, d, e, f, g, h = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(0, whole, 8):
        a, b, c, d = a + z[i, j], b + z[i, j + 1], c + z[i, j + 2], d + z[i, j + 3]
        e, f, g, h = e + z[i, j + 4], f + z[i, j + 5], g + z[i, j + 6], h + z[i, j + 7]
    for j in range(whole, n):
        a += z[i, j]
    return ((a + b) + (c + d)) + ((e + f) + (g + h))


@njit(cache=True, nogil=True, error_model="numpy")
def _exponentials(z, i, largest, bits, scale):
    """Replace a row of z by e^(z − largest)."""
    n = z.shape[1]
    for j in range(n):
        k, p = _halves(max(z[i, j] - largest, _LOWEST))
        bits[j] = max(np.int64(np.int32(k)) + 1023, 0) << 52  # type: ignore[operator]  # of 0 those of 0
        z[i, j] = 1.0 + p
    for j in range(n):
        z[i, j] *= scale[j]


@njit(cache=True, nogil=True, error_model="numpy")
def log_softmax(z):
    """Replace each row of logits z (B, V) by logarithms of probabilities."""
    bits = np.empty(z.shape[1], np.int64)
    scale = bits.view(np.float64)
    row = np.empty((1, z.shape[1]))
    for i in range(z.shape[0]):
        largest = _largest(z, i)
        for j in range(z.shape[1]):
            row[0, j] = z[i, j]
        _exponentials(row, 0, largest, bits, scale)
        place = 0
        while z[i, place] != largest and place < z.shape[1] - 1:
            place += 1
        row[0, place] = 0.0
        log_total = math.log1p(_sum(row, 0))
        for j in range(z.shape[1]):
            z[i, j] = (z[i, j] - largest) - log_total


@njit(cache=True, nogil=True, error_model="numpy")
def softmax(z):
    """Replace each row of logits z (B, V) by probabilities, as training has them."""
    bits = np.empty(z.shape[1], np.int64)
    scale = bits.view(np.float64)
    for i in range(z.shape[0]):
        _exponentials(z, i, _largest(z, i), bits, scale)
        total = _sum(z, i)
        for j in range(z.shape[1]):
            z[i, j] /= total


@njit(nogil=True, error_model="numpy")
def _point_deltas(z, targets, fixed, rule, gamma, parameter, weight, per_weight, bits):
    """Replace logits z (B, V) by the gradient of the loss in them; return the sums of −log p and of the weights.

    Parameters
    ----------
    z : float array (B, V)
    targets : int64 array (B,)
    fixed : float array (B,)
        Weights, for the rule PREVIOUS.
    rule, gamma, parameter, weight
        The loss; with SMOOTHED_LABELS the parameter is what all tokens share.
    per_weight : bool
        The mean over unmasked targets (the sum divided by the total weight) rather than over all.
    bits : int64 array (V,)
        Scratch space.
    """
    scale = bits.view(np.float64)
    batch, n = z.shape
    plain, total_weight = 0.0, 0.0
    share = 1.0 if per_weight else 1.0 / batch
    for i in range(batch):
        y = targets[i]
        largest = _largest(z, i)
        log_p = z[i, y] - largest
        _exponentials(z, i, largest, bits, scale)
        own = z[i, y]
        z[i, y] = 0.0
        others = _sum(z, i)  # without the label's term, so that 1 − p keeps its digits as p tends to 1
        total = own + others
        log_p = -math.log1p(others / own) if own >= others else log_p - math.log(total)
        plain -= log_p
        w = fixed[i] if rule == PREVIOUS else 1.0
        if rule != PREVIOUS and rule != CE:
            w = _weight_at(rule, gamma, parameter, weight, own / total, others / total, log_p)
        total_weight += w
        factor = w * share / total
        for j in range(n):
            z[i, j] *= factor
        z[i, y] = -factor * others
        if rule == SMOOTHED_LABELS:
            each = parameter * share / n
            for j in range(n):
                z[i, j] -= each
            z[i, y] += parameter * share
    if per_weight and total_weight > 0.0:
        for i in range(batch):
            for j in range(n):
                z[i, j] /= total_weight
    return plain, total_weight


@njit(nogil=True, error_model="numpy")
def _count_deltas(z, counts, rule, gamma, parameter, weight, bits, sums):
    """Replace logits z (B, V) by the gradient of the summed loss in them, and add to the sums.

    With q the probabilities and c the counts it is q_j (M − c_j w_j) − c_j w_j (1 − q_j), M = Σ c_i w_i: only the
    largest q can lose digits in 1 − q and M − c w, so these come for it from the sums over the others.
    """
    scale = bits.view(np.float64)
    n = z.shape[1]
    log_q, weighted = np.empty((1, n)), np.empty((1, n))
    for i in range(z.shape[0]):
        largest = _largest(z, i)
        place = 0
        for j in range(n):
            log_q[0, j] = z[i, j] - largest
        while log_q[0, place] != 0.0 and place < n - 1:
            place += 1
        _exponentials(z, i, largest, bits, scale)
        z[i, place] = 0.0
        others = _sum(z, i)
        z[i, place] = 1.0
        log_total, inverse = math.log1p(others), 1.0 / (1.0 + others)
        for j in range(n):
            log_q[0, j] -= log_total
            z[i, j] *= inverse
        if rule == CE:
            for j in range(n):
                weighted[0, j] = counts[i, j]
        elif rule == CAP:
            for j in range(n):
                weighted[0, j] = counts[i, j] if z[i, j] <= gamma else 0.0
        else:
            for j in range(n):
                weighted[0, j] = 0.0
                if counts[i, j] > 0.0:
                    complement = others * inverse if j == place else 1.0 - z[i, j]
                    w = _weight_at(rule, gamma, parameter, weight, z[i, j], complement, log_q[0, j])
                    weighted[0, j] = w * counts[i, j]
        own = weighted[0, place]
        weighted[0, place] = 0.0
        rest = _sum(weighted, 0)
        weighted[0, place] = own
        mass = rest + own
        sums[TOTAL] += _sum(counts, i)
        sums[WEIGHT] += mass
        cross, plain, entropy = 0.0, 0.0, 0.0
        for j in range(n):  # a token that a tabular model has lost has the logarithm −inf
            cross -= weighted[0, j] * log_q[0, j] if weighted[0, j] > 0.0 else 0.0
            plain -= counts[i, j] * log_q[0, j] if counts[i, j] > 0.0 else 0.0
            entropy -= z[i, j] * log_q[0, j] if z[i, j] > 0.0 else 0.0
        sums[CROSS_ENTROPY] += cross
        sums[PLAIN] += plain
        sums[ENTROPY] += mass * entropy
        q = z[i, place]
        for j in range(n):
            z[i, j] = z[i, j] * mass - weighted[0, j]
        z[i, place] = q * rest - own * (others * inverse)


@njit(cache=True, nogil=True, error_model="numpy")
def _clear(vector):
    for i in range(vector.size):
        vector[i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _gather(vectors, tokens, x):
    """Put the vectors of the tokens of each row side by side."""
    width = vectors.shape[1]
    for i in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            token = tokens[i, j]
            for d in range(width):
                x[i, j * width + d] = vectors[token, d]


@njit(cache=True, nogil=True, error_model="numpy")
def _scatter(deltas, tokens, out):
    """Add the gradient of each row's input to the vectors of its tokens; the transpose of `_gather`."""
    width = out.shape[1]
    for i in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            token = tokens[i, j]
            for d in range(width):
                out[token, d] += deltas[i, j * width + d]


@njit(cache=True, nogil=True, error_model="numpy")
def _sum_rows(tables, tokens, z):
    """Fill each row of z with the sum of the rows of its tokens in the tables (k, V, H) of their positions."""
    for i in range(tokens.shape[0]):
        token = tokens[i, 0]
        for h in range(z.shape[1]):
            z[i, h] = tables[0, token, h]
        for j in range(1, tokens.shape[1]):
            token = tokens[i, j]
            for h in range(z.shape[1]):
                z[i, h] += tables[j, token, h]


@njit(cache=True, nogil=True, error_model="numpy")
def _spread_rows(deltas, tokens, tables):
    """Add each row of deltas to the rows of its tokens; the transpose of `_sum_rows`."""
    for i in range(tokens.shape[0]):
        for j in range(tokens.shape[1]):
            token = tokens[i, j]
            for h in range(deltas.shape[1]):
                tables[j, token, h] += deltas[i, h]


@njit(cache=True, nogil=True, error_model="numpy")
def _fill_tables(theta, embedding, sizes, tables):
    """Fill the tables (k, V, H) of what each token at each position adds to the first layer."""
    vocabulary = tables.shape[1]
    if embedding == 0:
        for i in range(theta.size):
            tables[0, i // sizes[1], i % sizes[1]] = theta[i]
        return
    n, here = sizes[1], vocabulary * embedding
    vectors = _matrix(theta, 0, vocabulary, embedding)
    for j in range(tables.shape[0]):
        _product(vectors, _matrix(theta, here, embedding, n), tables[j])
        here += embedding * n


@njit(cache=True, nogil=True, error_model="numpy")
def _tables_gradient(theta, embedding, sizes, tables, gradient, scratch):
    """Fill the gradient in embeddings and first matrix from that in the tables; scratch (V, D)."""
    vocabulary = tables.shape[1]
    if embedding == 0:
        for i in range(gradient.size):
            gradient[i] = tables[0, i // sizes[1], i % sizes[1]]
        return
    n, here = sizes[1], vocabulary * embedding
    vectors = _matrix(theta, 0, vocabulary, embedding)
    into = _matrix(gradient, 0, vocabulary, embedding)
    _clear(gradient[:here])
    for j in range(tables.shape[0]):
        _product(vectors.T, tables[j], _matrix(gradient, here, embedding, n))
        _product(tables[j], _matrix(theta, here, embedding, n).T, scratch)
        for v in range(vocabulary):
            for d in range(embedding):
                into[v, d] += scratch[v, d]
        here += embedding * n


@njit(cache=True, nogil=True, error_model="numpy")
def _logits(theta, embedding, sizes, by_table, tables, tokens, x, activations):
    """Fill the activations, and the input x unless the tables of the first layer are used."""
    batch = tokens.shape[0]
    if by_table:
        _sum_rows(tables, tokens, _matrix(activations, 0, batch, sizes[1]))
        if embedding == 0:
            return
    else:
        _gather(_matrix(theta, 0, sizes[-1], embedding), tokens, x)
    _forward(theta[sizes[-1] * embedding :], sizes, int(by_table), x, activations)


@njit(cache=True, nogil=True, error_model="numpy")
def _add(total, part):
    for i in range(total.size):
        total[i] += part[i]


def _counts_gradient(
    theta, embedding, sizes, by_table, tokens, counts, rule, gamma, parameter, weight, gradient, sums
):  # fmt: skip
    """Fill the gradient of the loss, summed over all contexts and targets with their counts.

    Parameters
    ----------
    theta : float array (n_parameters,)
    embedding : int
        Width of the embeddings; 0 for a tabular model.
    sizes : int64 array
    by_table : bool
        Sum the first layer from a table of what each token adds at each position; always for a tabular model.
    tokens : int64 array (U, k)
        Contexts; (U, 1) their rows for a tabular model.
    counts : float array (U, V)
        Counts of the targets, for the rule PREVIOUS times their weights.
    rule, gamma, parameter, weight
        The loss.
    gradient : float array (n_parameters,)
        Filled.
    sums : float array (N_SUMS,)
        Filled.
    """
    n_contexts, positions = tokens.shape
    vocabulary, width = sizes[-1], sizes[1:].sum()
    batch = min(n_contexts, _PIECE)
    start = vocabulary * embedding
    tables = np.empty((positions if by_table else 0, sizes[0] if embedding == 0 else vocabulary, sizes[1]))
    spread = np.zeros(tables.shape)
    x = np.empty((batch, 0 if by_table else sizes[0]))
    input_gradient = np.empty(x.shape)
    activations, deltas = np.empty(batch * width), np.empty(batch * width)
    part, bits = np.zeros(theta.size), np.empty(vocabulary, np.int64)
    vectors = _matrix(gradient, 0, vocabulary, embedding)
    _clear(gradient)
    _clear(sums)
    if by_table:
        _fill_tables(theta, embedding, sizes, tables)
    for first in range(0, n_contexts, batch):
        size = min(batch, n_contexts - first)
        piece = tokens[first : first + size]
        _logits(theta, embedding, sizes, by_table, tables, piece, x[:size], activations)
        last = size * (width - vocabulary)
        for i in range(size * vocabulary):
            deltas[last + i] = activations[last + i]
        delta = _matrix(deltas, last, size, vocabulary)
        _count_deltas(delta, counts[first : first + size], rule, gamma, parameter, weight, bits, sums)
        if embedding > 0:
            _backward(
                theta[start:], sizes, int(by_table), x[:size], activations, deltas, part[start:], input_gradient[:size]
            )
            _add(gradient[start:], part[start:])
        if by_table:
            _spread_rows(_matrix(deltas, 0, size, sizes[1]), piece, spread)
        else:
            _scatter(input_gradient[:size], piece, vectors)
    if by_table:
        first_end = theta.size if embedding == 0 else start + sizes[0] * sizes[1]
        _tables_gradient(theta, embedding, sizes, spread, gradient[:first_end], np.empty((vocabulary, embedding)))


counts_gradient = njit(cache=True, nogil=True, error_model="numpy")(_counts_gradient)
counts_gradient_weighted = njit(nogil=True, error_model="numpy")(_counts_gradient)


@njit(cache=True, nogil=True, error_model="numpy")
def rate_at(step, steps, rate, final_rate):
    """Step size at `step` of `steps`, counted from 0: linear from `rate` to final_rate * rate."""
    return rate if steps < 2 else rate * (1.0 - (1.0 - final_rate) * step / (steps - 1.0))


@njit(cache=True, nogil=True, error_model="numpy")
def _update(theta, gradient, first, second, optimiser, step, rate, momentum):
    if optimiser == ADAM:
        adam_step(theta, gradient, first, second, step + 1, rate)
    else:
        momentum_step(theta, gradient, first, rate, momentum)


@njit(cache=True, nogil=True, error_model="numpy")
def _measured_update(theta, gradient, first, second, optimiser, step, rate, momentum, control, lengths, update):
    """Make a step of which the length is recorded, or is that on record; a step of length 0 has no direction."""
    _clear(update)
    _update(update, gradient, first, second, optimiser, step, rate, momentum)
    squared = 0.0
    for i in range(update.size):
        squared += update[i] * update[i]
    length, factor = math.sqrt(squared), 1.0
    if control == TWIN:
        lengths[step] = length
    else:
        factor = lengths[step] / length if length > 0.0 else 0.0
    for i in range(theta.size):
        theta[i] += factor * update[i]


def _train_counts(
    theta, embedding, sizes, by_table, tokens, counts, total, rule, gamma, parameter, weight, per_weight,
    optimiser, rate, momentum, final_rate, first_step, n_steps, steps, first, second, averages,
):  # fmt: skip
    """Make steps of the full batch, from `first_step` on; return the number made, fewer if a number is not finite."""
    gradient, sums = np.empty(theta.size), np.empty(N_SUMS)
    head = theta.size if embedding == 0 else (sizes[-2] + 1) * sizes[-1]
    floor = -math.log(gamma)
    for step in range(first_step, first_step + n_steps):
        counts_gradient_weighted(
            theta, embedding, sizes, by_table, tokens, counts, rule, gamma, parameter, weight, gradient, sums
        )
        kappa = sums[WEIGHT] / total
        mean_of = sums[WEIGHT] if per_weight else total
        if per_weight:
            kappa = 1.0 if sums[WEIGHT] > 0.0 else 0.0
        share = 1.0 / mean_of if mean_of > 0.0 else 0.0
        if not math.isfinite(sums[PLAIN]):
            return step - first_step
        squared = 0.0
        for i in range(gradient.size):
            gradient[i] *= share
        for i in range(gradient.size - head, gradient.size):
            squared += gradient[i] * gradient[i]
        averages[KAPPA] += kappa
        averages[GAP] += share * (sums[CROSS_ENTROPY] - sums[ENTROPY])
        averages[LEVEL] += share * sums[ENTROPY] - kappa * floor
        averages[GRADIENT] += squared
        averages[LEFT_OUT] += 1.0 - sums[WEIGHT] / total
        _update(theta, gradient, first, second, optimiser, step, rate_at(step, steps, rate, final_rate), momentum)
    return n_steps


train_counts = njit(cache=True, nogil=True, error_model="numpy")(_train_counts)
train_counts_weighted = njit(nogil=True, error_model="numpy")(_train_counts)


def _train_epoch(
    theta, embedding, sizes, by_table, tokens, targets, fixed, order, batch, rule, gamma, parameter, weight, per_weight,
    optimiser, rate, momentum, final_rate, first_step, steps, first, second, control, left_out, lengths,
):  # fmt: skip
    """Go once through the data in minibatches; return the mean cross entropy on the way, and how many steps were made.

    It ends at the first batch whose loss is not finite.

    Parameters
    ----------
    theta, embedding, sizes, by_table, rule, gamma, parameter, weight
        See `_counts_gradient`; theta is updated.
    tokens : int64 array (n, k)
    targets : int64 array (n,)
    fixed : float array (n,), or (0,)
        Weights that the previous model gave, for the rule PREVIOUS without control.
    order : int64 array (m,)
        The windows to take, in order.
    batch : int
    per_weight : bool
        See `_point_deltas`.
    optimiser : int
        SGD or ADAM.
    rate, momentum, final_rate : float
    first_step, steps : int
        Steps made before, and to be made in all.
    first, second : float array (n_parameters,)
        Velocity, or moments.
    control : int
        ALONE, TWIN, RANDOM_MASK (with the rule PREVIOUS) or MATCHED_STEP.
    left_out : float array (steps,)
        Weight that each step takes from its targets; filled, but read by RANDOM_MASK.
    lengths : float array (steps,)
        Of the updates; filled by TWIN, read by MATCHED_STEP.
    """
    positions, vocabulary, width = tokens.shape[1], sizes[-1], sizes[1:].sum()
    batch = min(batch, order.size)
    start = vocabulary * embedding
    tables = np.empty((positions if by_table else 0, sizes[0] if embedding == 0 else vocabulary, sizes[1]))
    spread = np.empty(tables.shape)
    x = np.empty((batch, 0 if by_table else sizes[0]))
    input_gradient = np.empty(x.shape)
    activations, deltas = np.empty(batch * width), np.empty(batch * width)
    gradient, bits = np.zeros(theta.size), np.empty(vocabulary, np.int64)
    is_measured = control in (TWIN, MATCHED_STEP)
    update = np.empty(theta.size if is_measured else 0)
    scratch = np.empty((vocabulary, embedding))
    first_end = theta.size if embedding == 0 else start + sizes[0] * sizes[1]
    now, wanted, given = np.empty((batch, positions), np.int64), np.empty(batch, np.int64), np.ones(batch)
    plain, step = 0.0, first_step
    for begin in range(0, order.size, batch):
        size = min(batch, order.size - begin)
        for i in range(size):
            row = order[begin + i]
            wanted[i] = targets[row]
            for j in range(positions):
                now[i, j] = tokens[row, j]
            if control == RANDOM_MASK:  # the windows are in random order
                given[i] = 1.0 if i < size - left_out[step] else 0.0
            elif rule == PREVIOUS:
                given[i] = fixed[row]
        if by_table:
            _fill_tables(theta, embedding, sizes, tables)
        _logits(theta, embedding, sizes, by_table, tables, now[:size], x[:size], activations)
        last = size * (width - vocabulary)
        for i in range(size * vocabulary):
            deltas[last + i] = activations[last + i]
        delta = _matrix(deltas, last, size, vocabulary)
        part, mass = _point_deltas(delta, wanted[:size], given, rule, gamma, parameter, weight, per_weight, bits)
        plain += part
        left_out[step] = size - mass
        if not math.isfinite(plain):
            return plain, step - first_step
        if embedding > 0:
            _backward(
                theta[start:], sizes, int(by_table), x[:size], activations, deltas, gradient[start:],
                input_gradient[:size],
            )  # fmt: skip
        if by_table:
            _clear(spread.reshape(-1))
            _spread_rows(_matrix(deltas, 0, size, sizes[1]), now[:size], spread)
            _tables_gradient(theta, embedding, sizes, spread, gradient[:first_end], scratch)
        else:
            _clear(gradient[:start])
            _scatter(input_gradient[:size], now[:size], _matrix(gradient, 0, vocabulary, embedding))
        size_of_step = rate_at(step, steps, rate, final_rate)
        if is_measured:
            _measured_update(
                theta, gradient, first, second, optimiser, step, size_of_step, momentum, control, lengths, update
            )
        else:
            _update(theta, gradient, first, second, optimiser, step, size_of_step, momentum)
        step += 1
    return plain / order.size, step - first_step


train_epoch = njit(cache=True, nogil=True, error_model="numpy")(_train_epoch)
train_epoch_weighted = njit(nogil=True, error_model="numpy")(_train_epoch)
