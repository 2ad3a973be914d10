"""Exact fits of a model of two classes to every count, from the losses alone: no simulation code has a part in them."""

from __future__ import annotations

import numpy as np

from tce_theory.losses import CrossEntropy, FocalLoss, Loss, SmoothTruncatedCrossEntropy, TruncatedCrossEntropy

__all__ = ["fits_to_counts", "landings"]

_ROUNDING = 1e-14
"""1 − γ and 1 − 2γ this close to 0 are 0, as they are to `tce.fit`."""
_BISECTIONS = 80
"""The bracket is in log q and at most some hundreds wide: its ends meet before."""


def fits_to_counts(loss: Loss, n: int, origin: np.ndarray) -> np.ndarray:
    """Probabilities of both classes after a fit to i = 0 … n points of class 1, the others of class 2.

    Parameters
    ----------
    loss : Loss
        One that `Categorical` accepts.
    n : int
        Points.
    origin : ndarray of float, shape (2,)
        Generation 0's model. It matters to TCE with γ < 1/2 and a warm start alone, whose flow stops at once.

    Returns
    -------
    ndarray of float, shape (n + 1, 2)
        With ``mask="previous"`` the model if both classes are kept.
    """
    frequencies = np.arange(n + 1) / n
    pairs = np.stack([frequencies, frequencies[::-1]], axis=1)
    if isinstance(loss, CrossEntropy):
        return pairs
    if isinstance(loss, TruncatedCrossEntropy):
        return pairs if loss.mask == "previous" else _truncated(loss, pairs, origin)
    return _balanced(loss, n)


def landings(loss: Loss, n: int, models: np.ndarray) -> dict[int, np.ndarray]:
    """States in which a fit may depend on the model before it, with the state to which each count 0 … n leads.

    From all other states count i leads to state i. `models` are those of all states, generation 0's last; shape
    (n + 2, 2).
    """
    if not isinstance(loss, TruncatedCrossEntropy):
        return {}
    if loss.mask == "previous":
        return _filtered_landings(loss.gamma, n, models)
    if loss.vacuous in ("auto", "warm") and 1 - loss.gamma > _ROUNDING:
        return _frozen_landings(loss.gamma, n, models)
    return {}


def _truncated(loss: TruncatedCrossEntropy, pairs: np.ndarray, origin: np.ndarray) -> np.ndarray:
    """TCE with the current mask, slug `capped-projection`; `warm-degenerate` where it is vacuous.

    For γ > 1/2 a fit to both classes is the projection on [1 − γ, γ]. With γ < 1/2 every fit is vacuous: the flow from
    a model with both classes at γ or more stops at once, from any other when the rare class has reached γ.
    """
    gamma = loss.gamma
    if 1 - 2 * gamma > _ROUNDING:
        inner = np.clip(origin, gamma, 1 - gamma) if loss.vacuous in ("auto", "warm") else np.array([0.5, 0.5])
        models = np.tile(inner, (len(pairs), 1))
    else:
        models = np.clip(pairs, 1 - gamma, gamma)
    if loss.vacuous == "drawn-only" or 1 - gamma <= _ROUNDING:
        models[[0, -1]] = pairs[[0, -1]]
    return models


def _frozen_landings(gamma: float, n: int, models: np.ndarray) -> dict[int, np.ndarray]:
    """Warm start: generation 0's model, if above the cap, is kept while its rare class is not drawn."""
    start, cap = n + 1, max(gamma, 1 - gamma)
    landing = np.arange(n + 1)
    landing[[0, n]] = np.where(models[start, ::-1] > cap + _ROUNDING, start, landing[[0, n]])
    return {start: landing}


def _filtered_landings(gamma: float, n: int, models: np.ndarray) -> dict[int, np.ndarray]:
    """Mask of the previous model: a class above the threshold is left out, and lost once the other class is drawn."""
    masked = models > gamma
    masked[-1] = models[-1] > gamma + _ROUNDING  # 1 − 0.7 is above 0.3 by rounding
    result = {}
    for state in np.flatnonzero(masked.any(axis=1)):
        first_masked, second_masked = masked[state]
        landing = np.full(n + 1, state)
        if not second_masked:
            landing[:n] = 0
        if not first_masked:
            landing[1:] = n
        result[int(state)] = landing
    return result


def _balanced(loss: Loss, n: int) -> np.ndarray:
    """Fits with a smooth or user's weight w: f w(q)/q is the same for both classes (slug `focal-gradient`).

    With i points of the rare class, f = i/n ≤ 1/2, its probability q is the root of

        G(q) = log[i/(n − i)] + log[w(q)/q] − log[w(1 − q)/(1 − q)].

    w(u)/u falls strictly from infinity at 0 (w ≥ 0 does not rise; for the focal loss that is differentiated through,
    (1−u)^k (−log u) is convex for every k ≥ 0), so that G falls, from infinity at q = 0 to log[f/(1 − f)] ≤ 0 at
    q = 1/2: there is one root, or one jump through 0, in (0, 1/2]. If w does not rise, G(f) ≥ 0, and f is a lower end.
    """
    models = np.zeros((n + 1, 2))
    models[0, 1] = 1.0
    rare = np.arange(1, n // 2 + 1)
    if isinstance(loss, FocalLoss) and loss.detach:
        # G(q) = log[i/(n − i)] − (k + 1) log[q/(1 − q)]
        log_odds = np.log(rare / (n - rare)) / (loss.exponent + 1)
        q = 1 / (1 + np.exp(-log_odds))
    else:
        q = _roots(loss, rare, n)
    q[2 * rare == n] = 0.5
    models[rare, 0], models[rare, 1] = q, 1 - q
    models[n - np.arange(n // 2 + 1)] = models[: n // 2 + 1, ::-1]
    return models


def _roots(loss: Loss, rare: np.ndarray, n: int) -> np.ndarray:
    log_odds = np.log(rare / (n - rare))
    low, high = np.log(rare / n), np.full(rare.size, -np.log(2))
    reach = 1.0
    while (outside := _imbalance(loss, low, log_odds) < 0).any():
        low[outside] -= reach
        reach *= 2
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2
        left = _imbalance(loss, middle, log_odds) < 0
        high[left], low[~left] = middle[left], middle[~left]
    return np.asarray(np.exp((low + high) / 2))


def _imbalance(loss: Loss, log_q: np.ndarray, log_odds: np.ndarray) -> np.ndarray:
    """G of `_balanced` at q = exp(log_q) ≤ 1/2."""
    q, log_rest = np.exp(log_q), np.log1p(-np.exp(log_q))
    rare = _log_weight(loss, q, log_q, log_rest) - log_q
    frequent = _log_weight(loss, 1 - q, log_rest, log_q) - log_rest
    return np.asarray(log_odds + rare - frequent)


def _log_weight(loss: Loss, p: np.ndarray, log_p: np.ndarray, log_rest: np.ndarray) -> np.ndarray:
    """Logarithm of `loss.weight(p)`, also where that is below the range of float64."""
    if isinstance(loss, FocalLoss):
        k = loss.exponent
        return np.asarray((k - 1) * log_rest + np.log(np.exp(log_rest) - k * p * log_p))
    if isinstance(loss, SmoothTruncatedCrossEntropy):
        return np.asarray(-np.logaddexp(0.0, (log_p - np.log(loss.gamma)) / loss.width))
    return np.asarray(np.log(loss.weight(p)))
