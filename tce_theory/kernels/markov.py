"""Markov family: token sequences, fits row by row, and measures of the law of sequences.

The transitions of all contexts are one list: those of context c lie between offsets[c] and offsets[c + 1], and each
leads to the context next_row[e]. The list is that of generation 0; a transition that is lost keeps its place with
probability 0. Replicates of a block advance together, so that a call of a kernel is paid once a generation and block.
"""

import math

import numpy as np
from numba import njit

# metrics, and the rows of the record
ENTROPY_RATE, KL_RATE_FROM_ORIGIN, KL_RATE_TO_ORIGIN, TV, SUPPORT = 0, 1, 2, 3, 4
DISTINCT_NGRAMS, LONGEST_CYCLE, ABSORBING_SHARE, MASKED_WEIGHT = 5, 6, 7, 8
N_METRICS = 9

_IN_STEP = 8  # sequences that are drawn in step
_SETTLED = 1e-13  # the law of the context at a step is taken as constant once a step moves less than this


@njit(cache=True, nogil=True, error_model="numpy")
def prepare(law, offsets, next_row, first_row, edges, onward, cumulative, guide, bounds):
    """Fill the search tables of every row, over the transitions that are alive, so that lost ones cost nothing.

    Tables may hold two models, the second generation 0: its rows are numbered on, and so are its places.

    Parameters
    ----------
    law : float array (E,)
        Probabilities of the transitions.
    offsets, next_row : int64 array (C + 1,), int32 array (E,)
    first_row : int
        Row of the tables at which this model begins: 0 or C.
    edges : int32 array (places,)
        Filled: transition at each place.
    onward : int32 array (places,)
        Filled: row of the tables that it leads to.
    cumulative : float array (places,)
        Filled: cumulative probabilities in the row.
    guide : int32 array (places,)
        Filled: for as many equal parts of [0, 1] as the row has transitions, the first place that a number there can
        lead to.
    bounds : int32 array (rows, 2)
        Filled: first place of each row, and number of its transitions.
    """
    shift = next_row.size if first_row > 0 else 0
    for row in range(offsets.size - 1):
        first, size, total = shift + offsets[row], 0, 0.0
        for e in range(offsets[row], offsets[row + 1]):
            if law[e] > 0.0:
                total += law[e]
                edges[first + size] = e
                onward[first + size] = first_row + next_row[e]
                cumulative[first + size] = total
                size += 1
        bounds[first_row + row, 0], bounds[first_row + row, 1] = first, size
        for i in range(first, first + size):
            cumulative[i] /= total
        place = first
        for part in range(size):
            while place < first + size - 1 and cumulative[place] * size <= part:
                place += 1
            guide[first + part] = place


@njit(cache=True, nogil=True, error_model="numpy")
def walk(uniforms, n, fresh, share, length, start, onward, cumulative, guide, bounds, path):
    """Fill `path` with the places of n transitions of a model and of `fresh` ones of generation 0.

    They are drawn by inversion (indexed search, Chen and Asau 1974), several sequences in step: in each a token has to
    wait for the one before, but not for the other sequences.

    Parameters
    ----------
    uniforms : float array
        Uniform numbers, sequence after sequence: if `share` is above 0, one for where each of the n comes from; one for
        the first context; one for each token. They do not depend on the model: runs of one seed under different
        losses are coupled token by token.
    n, fresh : int
    share : float
        Probability that a sequence counted among the n comes from generation 0.
    length : int
        Tokens of a sequence; the last of each kind may be shorter.
    start : float array (C,)
        Cumulative law of the first context.
    onward, cumulative, guide, bounds : arrays
        Search tables, see `prepare`; of two models if anything is fresh.
    path : int32 array (n + fresh,)
    """
    row, done = np.zeros(_IN_STEP, np.int64), np.zeros(_IN_STEP, np.int64)
    left, used = np.zeros(_IN_STEP, np.int64), np.zeros(_IN_STEP, np.int64)
    begun, taken = 0, 0
    while begun < n + fresh:
        width = 0
        while width < _IN_STEP and begun < n + fresh:
            from_truth = begun >= n
            left[width] = min(length, (n + fresh if from_truth else n) - begun)
            if not from_truth and share > 0.0:
                from_truth = uniforms[taken] < share
                taken += 1
            row[width] = np.searchsorted(start, uniforms[taken], side="right") + (start.size if from_truth else 0)
            done[width], used[width] = begun, taken + 1
            begun, taken = begun + left[width], taken + 1 + left[width]
            width += 1
        for k in range(left[0]):  # no other is longer
            for w in range(width):
                if k < left[w]:
                    u = uniforms[used[w] + k]
                    first, alive = np.int64(bounds[row[w], 0]), np.int64(bounds[row[w], 1])
                    i, last = np.int64(guide[first + np.int64(u * alive)]), first + alive - 1
                    while i < last and cumulative[i] <= u:
                        i += 1
                    path[done[w] + k] = i
                    row[w] = onward[i]


@njit(cache=True, nogil=True, error_model="numpy")
def draw(
    uniforms, n, fresh, share, length, laws, start, offsets, next_row, edges, onward, cumulative, guide, bounds, counts
):  # fmt: skip
    """Count the transitions of a generation's sequences, for every replicate.

    Parameters
    ----------
    uniforms : float array (R, numbers)
    n, fresh, share, length, start, offsets, next_row
        See `walk` and `prepare`.
    laws : float array (R, E)
        What each replicate draws from.
    edges, onward, cumulative, guide, bounds : arrays
        Search tables; those of generation 0 are filled already.
    counts : int64 array (R, E)
        Filled.
    """
    path = np.empty(n + fresh, np.int32)
    for r in range(laws.shape[0]):
        prepare(laws[r], offsets, next_row, 0, edges, onward, cumulative, guide, bounds)
        walk(uniforms[r], n, fresh, share, length, start, onward, cumulative, guide, bounds, path)
        for e in range(next_row.size):
            counts[r, e] = 0
        for k in range(n + fresh):
            counts[r, edges[path[k]]] += 1


@njit(cache=True, nogil=True, error_model="numpy")
def occupation(probs, offsets, next_row, start, length, occupied):
    """Fill `occupied` (C,) with the expected share of a sequence's tokens that are drawn in each context.

    The average of start P^k over k = 0, ..., length - 1: exact up to _SETTLED * length in total.
    """
    n_rows = offsets.size - 1
    live, probability = np.empty(next_row.size, np.int32), np.empty(next_row.size)
    ends = np.empty(n_rows, np.int64)
    size = 0
    for row in range(n_rows):  # what is alive, one after the other
        for e in range(offsets[row], offsets[row + 1]):
            if probs[e] > 0.0:
                live[size], probability[size] = next_row[e], probs[e]
                size += 1
        ends[row] = size
    now, after = np.empty(n_rows), np.empty(n_rows)
    for row in range(n_rows):
        now[row], occupied[row] = start[row], start[row]
    for k in range(1, length):
        for row in range(n_rows):
            after[row] = 0.0
        e = 0
        for row in range(n_rows):
            mass = now[row]
            if mass > 0.0:
                for i in range(e, ends[row]):
                    after[live[i]] += mass * probability[i]
            e = ends[row]
        moved = 0.0
        for row in range(n_rows):
            moved += abs(after[row] - now[row])
            now[row] = after[row]
        settled = moved <= _SETTLED
        steps = length - k if settled else 1
        for row in range(n_rows):
            occupied[row] += steps * now[row]
        if settled:
            break
    for row in range(n_rows):
        occupied[row] /= length


@njit(cache=True, nogil=True, error_model="numpy")
def cycles(probs, offsets, next_row, occupied):
    """Length of the longest cycle that a sequence cannot leave, and the share of tokens drawn in such cycles.

    Every context of such a cycle has one successor; cycles that sequences do not reach are left out.
    """
    n_rows = offsets.size - 1
    onward = np.full(n_rows, -1, np.int64)
    for row in range(n_rows):
        alive = 0
        for e in range(offsets[row], offsets[row + 1]):
            if probs[e] > 0.0:
                alive += 1
                onward[row] = next_row[e]
        if alive != 1:
            onward[row] = -1
    longest, share = 0, 0.0
    visitor = np.full(n_rows, -1, np.int64)
    for row in range(n_rows):
        place = row
        while place >= 0 and visitor[place] < 0:
            visitor[place] = row
            place = onward[place]
        if place >= 0 and visitor[place] == row:  # back on the way of this very visit
            size, mass, at = 1, occupied[place], onward[place]
            while at != place:
                size, mass, at = size + 1, mass + occupied[at], onward[at]
            if mass > 0.0:
                longest, share = max(longest, size), share + mass
    return longest, share


@njit(cache=True, nogil=True, error_model="numpy")
def _entropy(law, offsets, weights):
    """Average of the rows' entropies."""
    total = 0.0
    for row in range(offsets.size - 1):
        own = 0.0
        for e in range(offsets[row], offsets[row + 1]):
            if law[e] > 0.0:
                own -= law[e] * math.log(law[e])
        total += weights[row] * own
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _divergence(law, other, offsets, weights):
    """Average of the rows' divergences KL(law || other): inf where a row that has weight lacks a transition."""
    total = 0.0
    for row in range(offsets.size - 1):
        if weights[row] > 0.0:
            own = 0.0
            for e in range(offsets[row], offsets[row + 1]):
                if law[e] > 0.0:
                    own += law[e] * math.log(law[e] / other[e]) if other[e] > 0.0 else np.inf
            total += weights[row] * max(own, 0.0)
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def _distance(law, other, offsets, weights):
    """Average of the rows' total-variation distances."""
    total = 0.0
    for row in range(offsets.size - 1):
        own = 0.0
        for e in range(offsets[row], offsets[row + 1]):
            own += max(law[e] - other[e], 0.0)
        total += weights[row] * own
    return total


@njit(cache=True, nogil=True, error_model="numpy")
def record(probs, truth, offsets, next_row, start, length, occupied_truth, counts, masked, wanted, out):
    """Write the wanted metrics of each replicate's model to its column of `out`.

    Parameters
    ----------
    probs : float array (R, E)
    truth : float array (E,)
        Generation 0.
    offsets, next_row : int64 array (C + 1,), int32 array (E,)
    start : float array (C,)
        Law of the first context.
    length : int
        Tokens of a sequence.
    occupied_truth : float array (C,)
        Occupation under generation 0.
    counts : int64 array (R, E)
        What the model was fitted to.
    masked : float array (R,)
    wanted : int64 array (N_METRICS,)
        Row of each metric, or -1.
    out : float array (rows, R)
    """
    own_law = wanted[ENTROPY_RATE] >= 0 or wanted[KL_RATE_TO_ORIGIN] >= 0
    in_cycles = wanted[LONGEST_CYCLE] >= 0 or wanted[ABSORBING_SHARE] >= 0
    occupied = np.empty(offsets.size - 1)
    for r in range(probs.shape[0]):
        if own_law or in_cycles:
            occupation(probs[r], offsets, next_row, start, length, occupied)
        if wanted[ENTROPY_RATE] >= 0:
            out[wanted[ENTROPY_RATE], r] = _entropy(probs[r], offsets, occupied)
        if wanted[KL_RATE_FROM_ORIGIN] >= 0:
            out[wanted[KL_RATE_FROM_ORIGIN], r] = _divergence(truth, probs[r], offsets, occupied_truth)
        if wanted[KL_RATE_TO_ORIGIN] >= 0:
            out[wanted[KL_RATE_TO_ORIGIN], r] = _divergence(probs[r], truth, offsets, occupied)
        if wanted[TV] >= 0:
            out[wanted[TV], r] = _distance(probs[r], truth, offsets, occupied_truth)
        if in_cycles:
            longest, share = cycles(probs[r], offsets, next_row, occupied)
            if wanted[LONGEST_CYCLE] >= 0:
                out[wanted[LONGEST_CYCLE], r] = longest
            if wanted[ABSORBING_SHARE] >= 0:
                out[wanted[ABSORBING_SHARE], r] = share
        support, types = 0, 0
        for e in range(next_row.size):
            support += probs[r, e] > 0.0
            types += counts[r, e] > 0
        if wanted[SUPPORT] >= 0:
            out[wanted[SUPPORT], r] = support
        if wanted[DISTINCT_NGRAMS] >= 0:
            out[wanted[DISTINCT_NGRAMS], r] = types
        if wanted[MASKED_WEIGHT] >= 0:
            out[wanted[MASKED_WEIGHT], r] = masked[r]
