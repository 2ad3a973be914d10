"""Continuing prompts with a network: drawn token by token, or searched for with beams.

The law after a context is computed once, whenever the context is met first, and remembered: texts repeat their
contexts, those of a trained network all the more. All continuations advance together, so that the products of matrices
are ones of many contexts. The first layer is a sum of rows: what a token adds at its place of the context.
"""

import math

import numpy as np
from numba import njit

# how a law is changed when tokens are drawn from it, as in `kernels.categorical`; or its logarithm is wanted
AS_IT_IS, TEMPERATURE, TOP_K, TOP_P, GREEDY, LOGARITHM = 0, 1, 2, 3, 4, 5

_BATCH = 64  # contexts evaluated together: what is computed of them stays in the fastest cache
_TOGETHER = 4096  # continuations that advance together
_ROUNDING = 1e-14  # a nucleus of p minus this is one of p, as in `kernels.categorical`
_LEAST = 1e-300  # of p, however small: the most probable token stays
_JUST_ABOVE_1 = 1.0 + 2.0**-51
_UNDERFLOW, _OVERFLOW = -708.0, 708.0
_LOG2_E = 1.0 / math.log(2.0)
_LN_2_HIGH, _LN_2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_ROUND = 6755399441055744.0  # 1.5 * 2^52: added to a number, it leaves the nearest integer in the last bits


@njit(cache=True, nogil=True, error_model="numpy")
def _exponentials(values, factor, powers):
    """Replace values by the exponentials of their multiples, to 4e-16, in loops that compile to vector instructions.

    e^x = 2^n e^r with n the integer nearest to x / log 2, e^r by its Taylor polynomial, and 2^n by its bits.
    """
    for i in range(values.size):
        x = min(max(values[i] * factor, _UNDERFLOW), _OVERFLOW)
        shifted = x * _LOG2_E + _ROUND
        powers[i] = shifted
        n = shifted - _ROUND
        r = (x - n * _LN_2_HIGH) - n * _LN_2_LOW
        e = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
        e = 1.0 / 39916800.0 + r * e
        e = 1.0 / 3628800.0 + r * e
        e = 1.0 / 362880.0 + r * e
        e = 1.0 / 40320.0 + r * e
        e = 1.0 / 5040.0 + r * e
        e = 1.0 / 720.0 + r * e
        e = 1.0 / 120.0 + r * e
        e = 1.0 / 24.0 + r * e
        e = 1.0 / 6.0 + r * e
        e = 0.5 + r * e
        e = 1.0 + r * e
        values[i] = 1.0 + r * e
    bits = powers.view(np.int64)
    for i in range(values.size):
        bits[i] = (bits[i] + 1023) << 52
    for i in range(values.size):
        values[i] *= powers[i]


@njit(cache=True, nogil=True, error_model="numpy")
def _tanh(values, powers):
    """Replace values by their hyperbolic tangents."""
    _exponentials(values, 2.0, powers)
    for i in range(values.size):
        values[i] = 1.0 - 2.0 / (values[i] + 1.0)


@njit(cache=True, nogil=True, error_model="numpy")
def _additions(theta, sizes, vocabulary, context, embedding):
    """Return what each token adds to the first layer, at each place of the context: (context * vocabulary, width)."""
    width, start = sizes[1], vocabulary * embedding
    out = np.empty((context * vocabulary, width))
    if embedding == 0:
        return out
    embeddings = theta[:start].reshape(vocabulary, embedding)
    for place in range(context):
        matrix = theta[start : start + embedding * width].reshape(embedding, width)
        np.dot(embeddings, matrix, out[place * vocabulary : (place + 1) * vocabulary])
        start += embedding * width
    for token in range(vocabulary):  # the bias, with the first place
        for j in range(width):
            out[token, j] += theta[start + j]
    return out


@njit(cache=True, nogil=True, error_model="numpy")
def _logits(theta, sizes, vocabulary, embedding, additions, contexts, one, powers, out):
    """Fill `out` (vocabulary, batch) with the logits after the contexts (at most as many as the batch).

    A layer has a last column of ones: the bias, which follows the matrix in theta, is one row more of it.
    """
    batch, context = out.shape[1], contexts.shape[1]
    if embedding == 0:
        for b in range(contexts.shape[0]):
            row = 0
            for place in range(context):
                row = row * vocabulary + contexts[b, place]
            for v in range(vocabulary):
                out[v, b] = theta[row * vocabulary + v]
        return
    width, start = sizes[1], vocabulary * embedding + (sizes[0] + 1) * sizes[1]
    layer = one[: batch * (width + 1)].reshape(batch, width + 1)
    for b in range(contexts.shape[0]):
        for j in range(width):
            layer[b, j] = additions[contexts[b, 0], j]
        for place in range(1, context):
            row = place * vocabulary + contexts[b, place]
            for j in range(width):
                layer[b, j] += additions[row, j]
    if sizes.size == 2:
        for b in range(contexts.shape[0]):
            for v in range(vocabulary):
                out[v, b] = layer[b, v]
        return
    for depth in range(2, sizes.size):
        _tanh(one[: batch * (width + 1)], powers[: batch * (width + 1)])
        for b in range(batch):
            layer[b, width] = 1.0
        after = sizes[depth]
        matrix = theta[start : start + (width + 1) * after].reshape(width + 1, after)
        if depth == sizes.size - 1:
            np.dot(matrix.T, layer.T, out)
        else:
            start, width = start + (width + 1) * after, after
            product = powers[: batch * width].reshape(batch, width)
            np.dot(layer, matrix, product)
            layer = one[: batch * (width + 1)].reshape(batch, width + 1)
            for b in range(batch):
                for j in range(width):
                    layer[b, j] = product[b, j]


@njit(cache=True, nogil=True, error_model="numpy")
def _truncate(weights, total, decoding, parameter, scratch):
    """Set to 0 the weights that top-k or top-p leaves out; of ties those stay that come first.

    The least weight that stays is found by quickselect (Hoare 1961), by number or by mass, in the rows of `scratch`.
    """
    rest, above, below = scratch[0], scratch[1], scratch[2]
    by_number, size = decoding == TOP_K, weights.size
    wanted = parameter if by_number else max(parameter - _ROUNDING, _LEAST) * total
    for i in range(size):
        rest[i] = weights[i]
    while True:
        a, b, c = rest[0], rest[size // 2], rest[size - 1]
        pivot = max(min(a, b), min(max(a, b), c))
        n_above, n_below, mass = 0, 0, 0.0
        for i in range(size):  # without a branch, which could not be predicted
            x = rest[i]
            above[n_above], below[n_below] = x, x
            n_above += x > pivot
            n_below += x < pivot
            mass += (1.0 if by_number else x) if x > pivot else 0.0
        each = 1.0 if by_number else pivot
        equal = size - n_above - n_below
        if mass >= wanted:
            rest, above, size = above, rest, n_above
        elif n_below > 0 and mass + equal * each < wanted:
            wanted -= mass + equal * each
            rest, below, size = below, rest, n_below
        else:
            ties = math.ceil((wanted - mass) / each)
            break
    for i in range(weights.size):
        if weights[i] == pivot and ties > 0:
            ties -= 1
        elif weights[i] <= pivot:
            weights[i] = 0.0


@njit(cache=True, nogil=True, error_model="numpy")
def _finish(logits, decoding, parameter, powers, totals, column, scratch, laws):
    """Fill `laws` with cumulative probabilities, at least 1 from the last possible token on.

    With LOGARITHM they are filled with the logarithms of the probabilities.
    """
    vocabulary, batch, n = logits.shape[0], logits.shape[1], laws.shape[0]
    for b in range(batch):
        totals[b] = logits[0, b]
    for v in range(1, vocabulary):
        for b in range(batch):
            totals[b] = max(totals[b], logits[v, b])
    if decoding == GREEDY:
        for b in range(n):
            reached = 0.0
            for v in range(vocabulary):
                reached = 1.0 if logits[v, b] == totals[b] else reached
                laws[b, v] = reached
        return
    for v in range(vocabulary):
        for b in range(batch):
            logits[v, b] -= totals[b]
    if decoding == LOGARITHM:
        for b in range(n):
            for v in range(vocabulary):
                laws[b, v] = logits[v, b]
    sharpness = min(1.0 / parameter, 1e300) if decoding == TEMPERATURE else 1.0  # infinity times 0 is no number
    _exponentials(logits.ravel(), sharpness, powers)
    if decoding in (TOP_K, TOP_P):
        for b in range(n):
            total = 0.0
            for v in range(vocabulary):
                column[v] = logits[v, b]
                total += column[v]
            _truncate(column, total, decoding, parameter, scratch)
            for v in range(vocabulary):
                logits[v, b] = column[v]
    for v in range(1, vocabulary):
        for b in range(batch):
            logits[v, b] += logits[v - 1, b]
    if decoding == LOGARITHM:
        for b in range(n):
            whole = math.log(logits[vocabulary - 1, b])
            for v in range(vocabulary):
                laws[b, v] -= whole
        return
    for b in range(n):
        scale = _JUST_ABOVE_1 / logits[vocabulary - 1, b]
        for v in range(vocabulary):
            laws[b, v] = logits[v, b] * scale


@njit(cache=True, nogil=True, error_model="numpy")
def _evaluate(theta, sizes, vocabulary, embedding, additions, contexts, decoding, parameter, laws):
    """Fill the laws after contexts, batch by batch."""
    widest, n = 0, contexts.shape[0]
    for layer in range(1, sizes.size):
        widest = max(widest, sizes[layer])
    batch = min(_BATCH, n)
    one, powers = np.zeros(batch * (widest + 1)), np.empty(batch * (widest + 1))
    logits, totals = np.zeros((vocabulary, batch)), np.empty(batch)
    column, scratch = np.empty(vocabulary), np.empty((3, vocabulary))
    for first in range(0, n, batch):
        last = min(first + batch, n)
        _logits(
            theta, sizes, vocabulary, embedding, additions, contexts[first:last], one, powers, logits
        )  # fmt: skip
        _finish(
            logits, decoding, parameter, powers[: vocabulary * batch], totals, column, scratch, laws[first:last]
        )  # fmt: skip


@njit(cache=True, nogil=True, error_model="numpy")
def _find(text, first, known, n_known, places):
    """Place among the known contexts of the one that begins at text[first]; a new one is added to them, as the last."""
    context, mask = known.shape[1], np.uint64(places.size - 1)
    code = np.uint64(0)
    for i in range(context):
        code = (code ^ np.uint64(text[first + i])) * np.uint64(0x9E3779B97F4A7C15)
        code ^= code >> np.uint64(29)
    at = code & mask
    while places[at] >= 0:
        place = places[at]
        same = True
        for i in range(context):
            same = same and known[place, i] == text[first + i]
        if same:
            return place
        at = (at + np.uint64(1)) & mask
    places[at] = n_known
    for i in range(context):
        known[n_known, i] = text[first + i]
    return n_known


@njit(cache=True, nogil=True, error_model="numpy")
def sample(theta, sizes, vocabulary, embedding, text, uniforms, decoding, parameter, remembered):
    """Continue each row of `text`, of which the first tokens are the prompt, by drawing.

    Parameters
    ----------
    theta : float array
        Parameters, see `tce_theory.neural.network.Architecture`.
    sizes : int64 array
        Widths of the layers.
    vocabulary, embedding : int
        Embedding is 0 in a tabular model.
    text : int64 array (P, context + length)
        Filled from the token `context` on.
    uniforms : float array (P, length)
    decoding, parameter : int, float
    remembered : int
        Laws kept at most, unless continuations that advance together need more.
    """
    n, length = uniforms.shape
    context = text.shape[1] - length
    together = min(n, _TOGETHER, max(remembered, 1))
    remembered = max(min(remembered, n * length), together)
    additions = _additions(theta, sizes, vocabulary, context, embedding)
    size = 2
    while size < 2 * remembered:
        size *= 2
    places, known = np.full(size, -1, np.int32), np.empty((remembered, context), np.int64)
    laws, which, n_known = np.empty((remembered, vocabulary)), np.empty(together, np.int64), 0
    for begin in range(0, n, together):
        end = min(begin + together, n)
        for step in range(length):
            if n_known + end - begin > remembered:
                n_known = 0
                places[:] = -1
            before = n_known
            for p in range(begin, end):
                which[p - begin] = _find(text[p], step, known, n_known, places)
                n_known += which[p - begin] == n_known
            if n_known > before:
                _evaluate(
                    theta, sizes, vocabulary, embedding, additions, known[before:n_known], decoding, parameter,
                    laws[before:n_known],
                )  # fmt: skip
            for p in range(begin, end):
                u, law = uniforms[p, step], which[p - begin]
                low, left = 0, vocabulary - 1
                while left > 0:  # the first token whose cumulative probability is above u
                    half = (left + 1) // 2
                    low += half if laws[law, low + half - 1] <= u else 0
                    left -= half
                text[p, context + step] = low


@njit(cache=True, nogil=True, error_model="numpy")
def _extend(scores, live, factors, laws, which, width, candidates, best, origins, tokens):
    """Find the `width` best continuations of a prompt's beams by one token, best first; return how many there are.

    Parameters
    ----------
    scores : float array (width,)
        Of the beams, of which the first `live` exist.
    factors : float array (width, vocabulary)
        Of log probabilities.
    laws : float array
        Log probabilities; that of beam w is row which[w].
    candidates : float array (vocabulary,)
        Scratch space.
    best, origins, tokens : float array (width,), int64 arrays (width,)
        Filled: scores of the continuations, the beams that they continue, and by what.
    """
    vocabulary, found = candidates.size, 0
    for w in range(live):
        score, law = scores[w], which[w]
        for v in range(vocabulary):
            candidates[v] = score + laws[law, v] * factors[w, v]
        for v in range(vocabulary):
            if found < width or candidates[v] > best[width - 1]:
                at = min(found, width - 1)
                while at > 0 and best[at - 1] < candidates[v]:
                    best[at], origins[at], tokens[at] = best[at - 1], origins[at - 1], tokens[at - 1]
                    at -= 1
                best[at], origins[at], tokens[at] = candidates[v], w, v
                found = min(found + 1, width)
    return found


@njit(cache=True, nogil=True, error_model="numpy")
def beams(theta, sizes, vocabulary, embedding, text, length, width, penalty, remembered):
    """Continue each row of `text`, of which the first tokens are the prompt, by the best of `width` beams.

    Parameters
    ----------
    theta, sizes, vocabulary, embedding, text, remembered
        See `sample`.
    length, width : int
    penalty : float
        Factor of the log probabilities of tokens that are in the prompt or the continuation.
    """
    n, context = text.shape[0], text.shape[1] - length
    together = max(1, min(n, min(_TOGETHER, remembered) // width))  # prompts
    remembered = max(remembered, together * width)
    additions = _additions(theta, sizes, vocabulary, context, embedding)
    size = 2
    while size < 2 * remembered:
        size *= 2
    places, known = np.full(size, -1, np.int32), np.empty((remembered, context), np.int64)
    laws, which, n_known = np.empty((remembered, vocabulary)), np.empty(width * together, np.int64), 0
    last = np.empty((together, width, context), np.int64), np.empty((together, width, context), np.int64)
    factors = np.empty((together, width, vocabulary)), np.empty((together, width, vocabulary))
    scores, best, candidates = np.empty((together, width)), np.empty(width), np.empty(vocabulary)
    origins, tokens = np.empty((length, together, width), np.int64), np.empty((length, together, width), np.int64)
    for begin in range(0, n, together):
        end, live = min(begin + together, n), 1
        now, after = last
        factor, next_factor = factors
        for p in range(end - begin):
            scores[p, 0] = 0.0
            for v in range(vocabulary):
                factor[p, 0, v] = 1.0
            for i in range(context):
                now[p, 0, i] = text[begin + p, i]
                factor[p, 0, text[begin + p, i]] = penalty
        for step in range(length):
            if n_known + (end - begin) * live > remembered:
                n_known = 0
                places[:] = -1
            before = n_known
            for p in range(end - begin):
                for w in range(live):
                    place = _find(now[p, w], 0, known, n_known, places)
                    which[p * live + w] = place
                    n_known += place == n_known
            if n_known > before:
                _evaluate(
                    theta, sizes, vocabulary, embedding, additions, known[before:n_known], LOGARITHM, 0.0,
                    laws[before:n_known],
                )  # fmt: skip
            found = 0
            for p in range(end - begin):
                found = _extend(
                    scores[p], live, factor[p], laws, which[p * live : (p + 1) * live], width, candidates, best,
                    origins[step, p], tokens[step, p],
                )  # fmt: skip
                for w in range(found):
                    origin, token = origins[step, p, w], tokens[step, p, w]
                    scores[p, w] = best[w]
                    for v in range(vocabulary):
                        next_factor[p, w, v] = factor[p, origin, v]
                    next_factor[p, w, token] = penalty
                    for i in range(context - 1):
                        after[p, w, i] = now[p, origin, i + 1]
                    if context > 0:
                        after[p, w, context - 1] = token
            live = found
            now, after = after, now
            factor, next_factor = next_factor, factor
        for p in range(end - begin):
            w = 0
            for step in range(length - 1, -1, -1):
                text[begin + p, context + step] = tokens[step, p, w]
                w = origins[step, p, w]
