"""Laws of sources written as Markov chains: of higher order than they are, or of given transitions alone."""

from __future__ import annotations

import math

import numpy as np

from tce_theory.models.markov import _LENGTH, MarkovChain, _Frame

__all__ = ["lifted", "of_ngrams"]

_MOST_TRANSITIONS, _MOST_BITS = 2**22, 62  # of a chain of higher order, and of the code of one


def lifted(chain: MarkovChain, order: int) -> MarkovChain | None:
    """Return the same law as a chain of higher order, if it is not too large to be listed.

    Its contexts are the sequences that the rows of the chain list, in lexicographic order.
    """
    if order == chain.order:
        return chain
    frame = chain.frame
    if order < chain.order or (order + 1) * math.log2(frame.size) > _MOST_BITS:
        return None
    paths = np.ones(frame.n_rows)  # of transitions, from each context
    for _ in range(order + 1 - chain.order):
        paths = np.add.reduceat(paths[frame.next_row], frame.offsets[:-1])
        if paths.sum() > _MOST_TRANSITIONS:
            return None
    edge = np.arange(chain.probs.size)  # last transition of every sequence
    ngrams, mass, widths = frame.ngrams, frame.start[frame.rows] * chain.probs, np.diff(frame.offsets)
    for _ in range(order - chain.order):
        onward = frame.next_row[edge]
        ends = np.cumsum(widths[onward])
        contexts, start = ngrams, mass
        which = np.repeat(np.arange(edge.size), widths[onward])
        edge = np.arange(which.size) + (frame.offsets[onward] - ends + widths[onward])[which]
        ngrams = np.column_stack([contexts[which], frame.ngrams[edge, -1]])
        mass = start[which] * chain.probs[edge]
    return of_ngrams(ngrams, chain.probs[edge], start, chain.size, chain.labels, chain.length)


def of_ngrams(
    ngrams: np.ndarray,
    probs: np.ndarray,
    start: np.ndarray,
    size: int,
    labels: tuple[str, ...] | None = None,
    length: int = _LENGTH,
) -> MarkovChain:
    """Return a chain that lists these transitions alone, which are in lexicographic order."""
    weights = size ** np.arange(ngrams.shape[1] - 2, -1, -1)
    codes = ngrams[:, :-1] @ weights
    contexts = codes[np.flatnonzero(np.diff(codes, prepend=-1))]
    offsets = np.append(np.searchsorted(codes, contexts), codes.size)
    next_row = np.searchsorted(contexts, ngrams[:, 1:] @ weights).astype(np.int32)
    chain = object.__new__(MarkovChain)
    chain._set(probs, length, _Frame(ngrams, offsets, next_row, start, size, labels))
    return chain
