"""Elimination of the states of a Markov chain without subtractions (Grassmann, Taksar and Heyman 1985).

Every number is a sum, product or quotient of nonnegative ones, so that each keeps its relative accuracy, however rare
the exits are (O'Cinneide 1993, Numerische Mathematik 65, 109).
"""

from __future__ import annotations

import numpy as np
from scipy.linalg import solve_triangular

__all__ = ["Elimination", "stationary_law"]

_BLOCK = 64
"""States that are eliminated one by one before the rest is updated by one product of matrices."""


class Elimination:
    """Factors of I − Q, for the transition probabilities Q among some states and the exit probabilities from them.

    States are eliminated from the last to the first: a visit to k is replaced by where the chain goes from k. The
    probability of leaving k is the sum of where it leads, never 1 − Q_kk. With U the expected visits to k per visit to
    i < k, N the transitions from k to j < k when k is eliminated, and D the departures from k,

        I − Q = (I − U)(D − N),

    so that solving with it adds nonnegative numbers only.

    Attributes
    ----------
    departures : ndarray of float, shape (m,)
        Probability of going from each state to an earlier one, or out, in one step of the chain on the earlier ones
        and itself; 0 where that is below the range of float64.
    """

    def __init__(self, inside: np.ndarray, exits: np.ndarray) -> None:
        self.departures, eliminated = _eliminate(inside, exits)
        # D − N in the lower triangle; the upper one is that of I − U, whose diagonal of ones is understood
        self._factors = np.negative(eliminated, out=eliminated)
        np.fill_diagonal(self._factors, self.departures)

    def mean_exit_times(self) -> np.ndarray:
        """Mean steps until exit from each state, (I − Q)⁻¹ 1; shape (m,)."""
        visits = self._solve(np.ones(self.departures.size), lower=False, transposed=False)
        return self._solve(visits, lower=True, transposed=False)

    def expected_visits(self, start: np.ndarray) -> np.ndarray:
        """Mean number of steps spent in each state before exit, start (I − Q)⁻¹; shape (m,)."""
        departures = self._solve(start, lower=True, transposed=True)
        return self._solve(departures, lower=False, transposed=True)

    def _solve(self, right: np.ndarray, *, lower: bool, transposed: bool) -> np.ndarray:
        solution: np.ndarray = solve_triangular(
            self._factors, right, lower=lower, trans=int(transposed), unit_diagonal=not lower, check_finite=False
        )
        return solution


def stationary_law(transition: np.ndarray) -> np.ndarray:
    """Stationary law of an irreducible chain; the first state should be among the most probable ones."""
    _, eliminated = _eliminate(transition, np.zeros(transition.shape[0]))
    first = np.zeros(transition.shape[0])
    first[0] = 1.0
    law = solve_triangular(-eliminated, first, lower=False, trans=1, unit_diagonal=True, check_finite=False)
    return np.asarray(law / law.sum())


def _eliminate(inside: np.ndarray, exits: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Departures D, and a matrix with U above and N below the diagonal."""
    matrix, out = inside.copy(), exits.copy()
    size = out.size
    departures = np.empty(size)
    for high in range(size, 0, -_BLOCK):
        low = max(high - _BLOCK, 0)
        for k in range(high - 1, low - 1, -1):
            departures[k] = matrix[k, :k].sum() + out[k]
            if departures[k] > 0:  # the first state of a chain without exit has none
                matrix[:k, k] /= departures[k]
            # rows of this block as a whole, and of earlier rows the columns of this block
            matrix[low:k, :k] += np.outer(matrix[low:k, k], matrix[k, :k])
            matrix[:low, low:k] += np.outer(matrix[:low, k], matrix[k, low:k])
            out[low:k] += matrix[low:k, k] * out[k]
        matrix[:low, :low] += matrix[:low, low:high] @ matrix[low:high, :low]
        out[:low] += matrix[:low, low:high] @ out[low:high]
    return departures, matrix
