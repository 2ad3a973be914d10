"""Two classes as a Markov chain on counts: persistence, distribution and spectrum, without Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property

import numpy as np

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.exact._binomial import binomial_matrix
from tce_theory.validation import number_in, one_of, positive_integer

__all__ = ["TwoClassChain"]

_MOST_POINTS = 4000
"""The matrix of 4001 states takes 128 MB, and elimination about a minute."""
_LEAST_FRACTION = 1e-9
"""Sampling probabilities near 1 are rounded by 1e-16, which has to be little against the fresh share."""


@dataclass(frozen=True)
class TwoClassChain:
    """Recursion of a model of two classes, as the Markov chain of the number of class-1 points in a generation.

    Generation 0 is the model `prob0` = p_0. The points of generation t + 1 are n draws from (1 − α) q_t + α p_0, with
    q_t the model's probability of class 1 and α the `fraction` of fresh data. With i of them in class 1 the model
    becomes

    - cross entropy (`gamma` None): q = i/n;
    - TCE: q = i/n clipped to [1 − γ, γ] if both classes are drawn. If one is not (i = 0 or n), it is lost under
      "drawn-only" (q = i/n) and held at 1 − γ under "warm".

    Parameters
    ----------
    n : int
        Points a generation, from 1 to 4000.
    prob0 : float
        Probability of class 1 at generation 0, in [0, 1].
    gamma : float, optional
        Confidence threshold of TCE, in [1/2, 1]; None is cross entropy.
    vacuous : {"drawn-only", "warm"}
        What becomes of a class that is not drawn.
    fraction : float
        Share α of fresh data in every generation: 0, or in [1e-9, 1].

    Raises
    ------
    DomainError
        If an argument is out of range; with "warm", also if `prob0` is outside [1 − γ, γ]: until the first fit such a
        model is frozen, and the count alone is not a Markov chain.

    Notes
    -----
    Slugs `wright-fisher`, `two-class-persistence` and `fresh-mix`.

    Examples
    --------
    >>> round(TwoClassChain(100, 0.5).mean_absorption_time(), 6)
    136.602278
    >>> round(TwoClassChain(100, 0.5, gamma=0.95).mean_absorption_time(), 5)
    1211.11382
    """

    n: int
    prob0: float
    _: KW_ONLY
    gamma: float | None = None
    vacuous: str = "drawn-only"
    fraction: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", positive_integer("n", self.n, maximum=_MOST_POINTS))
        number_in("prob0", self.prob0, 0.0, 1.0)
        one_of("vacuous", self.vacuous, ("drawn-only", "warm"))
        if number_in("fraction", self.fraction, 0.0, 1.0) < _LEAST_FRACTION and self.fraction != 0:
            raise DomainError("fraction", self.fraction, f"0, or in [{_LEAST_FRACTION:g}, 1]")
        if self.gamma is None:
            return
        gamma = number_in("gamma", self.gamma, 0.5, 1.0)
        # 1 − 0.7 is above 0.3 by rounding
        if self.vacuous == "warm" and max(self.prob0, 1 - self.prob0) > gamma + 1e-12:
            admissible = f"in [1 − gamma, gamma] = [{1 - gamma:g}, {gamma:g}] for a warm start"
            raise DomainError("prob0", self.prob0, admissible)

    @cached_property
    def model_probs(self) -> np.ndarray:
        """Model's probability of class 1 after each count, q(0 … n); shape (n + 1,)."""
        frequencies = np.arange(self.n + 1) / self.n
        if self.gamma is None:
            return _frozen(frequencies)
        probs = np.clip(frequencies, 1 - self.gamma, self.gamma)
        if self.vacuous == "drawn-only":
            probs[[0, -1]] = 0.0, 1.0
        return _frozen(probs)

    @cached_property
    def sampling_probs(self) -> np.ndarray:
        """Probability of class 1 in the next generation's data, (1 − α) q + α p_0; shape (n + 1,)."""
        return _frozen((1 - self.fraction) * self.model_probs + self.fraction * self.prob0)

    @cached_property
    def transition(self) -> np.ndarray:
        """Transition matrix on the counts 0 … n; shape (n + 1, n + 1)."""
        return _frozen(binomial_matrix(self.n, self.sampling_probs))

    @cached_property
    def first_generation(self) -> np.ndarray:
        """Law of the count of generation 1, n draws from generation 0; shape (n + 1,)."""
        return _frozen(binomial_matrix(self.n, np.array([self.prob0]))[0])

    def distribution(self, t: int) -> np.ndarray:
        """Law of the count of generation t.

        Parameters
        ----------
        t : int
            Generation, from 1.

        Returns
        -------
        ndarray of float, shape (n + 1,)
            Of the number of class-1 points; the model they give is `model_probs`.

        Raises
        ------
        DomainError
            If `t` is out of range.

        Examples
        --------
        Half the heterozygosity is lost after about n log 2 generations:

        >>> chain = TwoClassChain(100, 0.5)
        >>> q = chain.model_probs
        >>> round(float(chain.distribution(69) @ (2 * q * (1 - q))), 12), round(0.5 * 0.99**69, 12)
        (0.24991851495, 0.24991851495)
        """
        steps = positive_integer("t", t) - 1
        law, power = self.first_generation, self.transition
        while steps > self.n:  # below, the remaining products with the vector cost less than one squaring
            if steps % 2:
                law = law @ power
            power = power @ power
            steps //= 2
        for _ in range(steps):
            law = law @ power
        return law

    def mean_absorption_time(self) -> float:
        """Mean generation at which one class is lost for ever, starting from generation 0.

        Returns
        -------
        float
            In generations; inf if no class is ever lost for good ("warm" with γ < 1, or fresh data of both classes). By
            elimination without subtractions, so that times of 1e16 keep their digits.

        Raises
        ------
        DomainError
            If the mean is beyond the range of float64.

        Notes
        -----
        Slugs `wright-fisher` and `two-class-persistence`. Elimination of Grassmann, Taksar and Heyman (1985) for the
        mean time; accuracy: O'Cinneide (1993, Numerische Mathematik 65, 109).

        Examples
        --------
        >>> round(TwoClassChain(20, 0.1).mean_absorption_time(), 7)
        11.9806621
        """
        absorbing = self._absorbing
        if not absorbing.any():
            return math.inf
        if self.prob0 in (0, 1):
            return 0.0
        inside = self.transition[np.ix_(~absorbing, ~absorbing)]
        leave = self.transition[np.ix_(~absorbing, absorbing)].sum(axis=1)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            times = _mean_exit_times(inside, leave)
            mean = 1 + float(self.first_generation[~absorbing] @ times)
        if not math.isfinite(mean):
            raise DomainError("n", self.n, "smaller, or gamma larger: the mean absorption time is beyond 1e308")
        return mean

    def stationary_distribution(self) -> np.ndarray:
        """Law of the count after many generations, where no class can be lost for ever.

        Returns
        -------
        ndarray of float, shape (n + 1,)
            By elimination without subtractions.

        Raises
        ------
        UnsupportedCombinationError
            If a class can be lost for ever: then the chain ends in one class.

        Notes
        -----
        Slugs `two-class-persistence` (warm start) and `fresh-mix`.

        Examples
        --------
        >>> chain = TwoClassChain(100, 0.3, fraction=0.01)
        >>> q = chain.model_probs
        >>> round(float(chain.stationary_distribution() @ (2 * q * (1 - q))), 10)
        0.2785906198
        """
        if self._absorbing.any():
            raise UnsupportedCombinationError("a class can be lost for ever: the stationary laws are on one class")
        return _stationary_law(self.transition)

    @property
    def _absorbing(self) -> np.ndarray:
        """Counts that the chain never leaves; shape (n + 1,)."""
        counts = np.arange(self.n + 1)
        lost = (counts == 0) & (self.sampling_probs == 0)
        fixed = (counts == self.n) & (self.sampling_probs == 1)
        return np.asarray(lost | fixed)

    def spectrum(self) -> np.ndarray:
        """Eigenvalues of the transition matrix, in falling order; shape (n + 1,).

        They are real and in [0, 1], because binomial probabilities are totally positive and q is monotone in the count.
        The absolute error is about 1e-14 for n = 100.

        Notes
        -----
        Slug `wright-fisher`: under cross entropy they are `tce_theory.theory.categorical.wright_fisher_eigenvalues`.

        Examples
        --------
        >>> TwoClassChain(10, 0.5).spectrum()[:4].round(6)
        array([1.  , 1.  , 0.9 , 0.72])
        """
        return np.sort(np.linalg.eigvals(self.transition).real)[::-1]


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array


def _mean_exit_times(inside: np.ndarray, leave: np.ndarray) -> np.ndarray:
    """Mean steps until exit from each state; `inside` the transitions among them, `leave` the exit probabilities.

    States are eliminated from the last to the first: a visit to k is replaced by where the chain goes from k, and the
    time spent there is added to the states it was entered from. The probability of leaving k is summed, never 1 − P_kk.
    """
    matrix, exits = inside.copy(), leave.copy()
    times = np.ones(exits.size)
    departures = np.empty(exits.size)
    for k in range(exits.size - 1, -1, -1):
        departures[k] = matrix[k, :k].sum() + exits[k]
        entered = matrix[:k, k] / departures[k]
        matrix[:k, :k] += np.outer(entered, matrix[k, :k])
        exits[:k] += entered * exits[k]
        times[:k] += entered * times[k]
    for k in range(exits.size):
        times[k] = (times[k] + matrix[k, :k] @ times[:k]) / departures[k]
    return times


def _stationary_law(transition: np.ndarray) -> np.ndarray:
    matrix = transition.copy()
    size = matrix.shape[0]
    for k in range(size - 1, 0, -1):
        matrix[:k, k] /= matrix[k, :k].sum()
        matrix[:k, :k] += np.outer(matrix[:k, k], matrix[k, :k])
    law = np.ones(size)
    for k in range(1, size):
        law[k] = law[:k] @ matrix[:k, k]
    return np.asarray(law / law.sum())
