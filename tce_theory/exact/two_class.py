"""Two classes as a Markov chain: persistence, distribution, spectrum and fidelity, without Monte Carlo."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

import numpy as np

from tce_theory import metrics as measures
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.exact._binomial import binomial_matrix
from tce_theory.exact._elimination import Elimination, stationary_law
from tce_theory.exact._two_class_fit import fits_to_counts, landings
from tce_theory.exact.law import FirstPassageLaw
from tce_theory.fidelity import fidelity_interval
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models.categorical import Categorical
from tce_theory.regimes import Replace
from tce_theory.validation import number_in, one_of, positive_integer

__all__ = ["QuasiStationaryLaw", "TwoClassChain"]

_CROSS_ENTROPY = CrossEntropy()
_MOST_POINTS = 4000
"""The matrix of 4002 states takes 128 MB."""
_LONGEST = 10**7
_EXTINCT = 1e-290
"""Survival below which the rest of a law is 0: subnormal numbers would be slow and wrong."""
_ROUGH_STEPS = 50
"""Generations to a rough idea of the stationary law, by which states are put in order for the elimination."""
_ENTRY_ERROR = 1e-14
"""Relative error of a transition probability; the survival at generation t has t times as much."""
_CONVERGED = 1e-12
_MOST_ITERATIONS = 1000

_METRICS = (
    "entropy",
    "heterozygosity",
    "support",
    "support_fraction",
    "max_prob",
    "tv",
    "kl_to_origin",
    "kl_from_origin",
)


@dataclass(frozen=True, eq=False)
class QuasiStationaryLaw:
    """Law of a chain that has not lost a class for many generations.

    Attributes
    ----------
    probabilities : ndarray of float, shape (n + 2,)
        Of the states of the chain; 0 where a class is lost.
    rate : float
        Probability of losing a class in one generation from this law, 1 − λ, where λ is the largest eigenvalue of the
        transitions among the other states. It keeps its digits where λ rounds to 1.
    error : float
        Relative width of an interval that contains `rate`, up to rounding: the bounds of Collatz and Wielandt.
    """

    probabilities: np.ndarray
    rate: float
    error: float

    @property
    def mean_time(self) -> float:
        """Mean generations to the loss of a class from this law, 1/rate."""
        return 1 / self.rate


@dataclass(frozen=True)
class TwoClassChain:
    """Recursion of a model of two classes, as the Markov chain of its models.

    Generation 0 is the model `prob0` = p_0. The points of generation t + 1 are n draws from (1 − α) q_t + α p_0, with
    q_t the model's probability of class 1 and α the `fraction` of fresh data. The next model is the fit of `loss` to
    them, as `tce.fit` has it for `tce.Categorical`, computed here in another way: TCE in closed form, other weights by
    bisection between bounds that hold one root.

    The chain has n + 2 states. State i = 0 … n is the model that a fit to i points of class 1 gives; state n + 1, the
    last, is generation 0's model, where the chain starts. A fit leads to the state of its count, with two exceptions:

    - TCE with a warm start (`vacuous` "auto" or "warm") keeps generation 0's model, if that is above the cap (γ, or
      1 − γ for γ < 1/2), until the rare class is drawn (slug `support-floor`);
    - TCE with ``mask="previous"`` leaves out a class whose probability was above γ. If nothing else was drawn the chain
      stays in its state; otherwise the class is lost, which is state 0 or n.

    Parameters
    ----------
    n : int
        Points a generation, from 1 to 4000.
    prob0 : float
        Probability of class 1 at generation 0, in [0, 1].
    loss : Loss
        Cross entropy by default. Any that `tce.Categorical` accepts: `TCE` with γ ≤ 1, absolute scale, either mask and
        every `vacuous` convention; `FocalLoss`; `SmoothTruncatedCrossEntropy`; `WeightedCrossEntropy`, with a weight
        that is positive and does not rise.
    fraction : float
        Share α of fresh data in every generation, in [0, 1].

    Raises
    ------
    DomainError
        If an argument is out of range.
    UnsupportedCombinationError
        If the loss does not go with probabilities (TCE on the relative scale).

    Notes
    -----
    Slugs `wright-fisher`, `two-class-persistence` and `fresh-mix`.

    The matrix takes time and memory of order n² (n = 2000: half a second, 32 MB), a mean time or a stationary law n³
    operations in products of matrices (a second), a distribution or first-passage law n² a generation (milliseconds),
    the spectrum n³ with a larger constant (three seconds).

    Examples
    --------
    >>> from tce_theory import TCE
    >>> round(TwoClassChain(100, 0.5).mean_absorption_time(), 6)
    136.602278
    >>> round(TwoClassChain(100, 0.5, loss=TCE(0.95, vacuous="drawn-only")).mean_absorption_time(), 5)
    1211.11382
    """

    n: int
    prob0: float
    _: KW_ONLY
    loss: Loss = _CROSS_ENTROPY
    fraction: float = 0.0

    def __post_init__(self) -> None:
        object.__setattr__(self, "n", positive_integer("n", self.n, maximum=_MOST_POINTS))
        object.__setattr__(self, "prob0", number_in("prob0", self.prob0, 0.0, 1.0))
        object.__setattr__(self, "fraction", number_in("fraction", self.fraction, 0.0, 1.0))
        if not isinstance(self.loss, Loss):
            raise DomainError("loss", self.loss, "a loss, such as tce.TCE(0.9)")
        Categorical(self._origin).check(self.loss, Replace())

    # ------------------------------------------------------------------------------------------ models and transitions

    @property
    def start(self) -> int:
        """Index of the state of generation 0's model, n + 1."""
        return self.n + 1

    @property
    def model_probs(self) -> np.ndarray:
        """Model's probability of class 1 in each state; shape (n + 2,)."""
        return np.asarray(self._models[:, 0])

    @cached_property
    def sampling_probs(self) -> np.ndarray:
        """Probability of class 1 in the next generation's data, (1 − α) q + α p_0; shape (n + 2,)."""
        return _frozen(self._sampling[:, 0].copy())

    @cached_property
    def transition(self) -> np.ndarray:
        """Transition matrix of the states; shape (n + 2, n + 2).

        Each entry has a relative error of about 1e-14, and of at most 1e-13 where it is as small as 1e-300. The last
        row is the law of generation 1; the last column is 0 but where generation 0's model is kept.
        """
        return _frozen(self._landed(binomial_matrix(self.n, self._sampling[:, 0], self._sampling[:, 1])))

    @property
    def _origin(self) -> np.ndarray:
        return np.array([self.prob0, 1 - self.prob0])

    @cached_property
    def _models(self) -> np.ndarray:
        """Probabilities of both classes in each state; shape (n + 2, 2)."""
        return _frozen(np.vstack([fits_to_counts(self.loss, self.n, self._origin), self._origin]))

    @cached_property
    def _sampling(self) -> np.ndarray:
        """Probabilities of both classes in the data, each with its own digits; shape (n + 2, 2)."""
        # a sum of two nonnegative terms: p + α (p_0 − p) would lose the digits of a small p_0 for α near 1
        return _frozen(np.clip((1 - self.fraction) * self._models + self.fraction * self._origin, 0.0, 1.0))

    @cached_property
    def _possible(self) -> np.ndarray:
        """Which states follow each one with a probability above 0, even below the range of float64."""
        counts = np.ones((self.n + 2, self.n + 1), dtype=bool)
        counts[self._sampling[:, 0] == 0, 1:] = False
        counts[self._sampling[:, 1] == 0, :-1] = False
        return self._landed(counts)

    @cached_property
    def _lost(self) -> np.ndarray:
        """States in which one class is lost for ever; shape (n + 2,)."""
        every = np.ones(self.n + 2, dtype=bool)
        lost = ~every
        for probs in self._models.T:
            lost |= ~self._reachable(probs > 0, every, backwards=True)
        return lost

    def _landed(self, counts: np.ndarray) -> np.ndarray:
        """From the law of the count in each state, shape (n + 2, n + 1), that of the next state."""
        states = np.zeros((self.n + 2, self.n + 2), dtype=counts.dtype)
        states[:, :-1] = counts
        for state, landing in landings(self.loss, self.n, self._models).items():
            states[state] = np.bincount(landing, weights=counts[state], minlength=self.n + 2)
        return states

    def _reachable(self, from_states: np.ndarray, within: np.ndarray, *, backwards: bool = False) -> np.ndarray:
        """`from_states`, and the states of `within` that they lead to (or, backwards, that lead to them)."""
        possible = self._possible.T if backwards else self._possible
        found: np.ndarray = from_states.copy()
        while True:
            more = found | (possible[found].any(axis=0) & within)
            if (more == found).all():
                return found
            found = more

    def _is_start(self) -> np.ndarray:
        return np.asarray(np.arange(self.n + 2) == self.start)

    # ------------------------------------------------------------------------------------------------- law in time

    def distribution(self, t: int) -> np.ndarray:
        """Law of the state at generation t.

        Parameters
        ----------
        t : int
            Generation, from 0.

        Returns
        -------
        ndarray of float, shape (n + 2,)
            Probabilities of the states, the models of which are `model_probs`. From generation 1 on, the first n + 1
            are those of the counts of class 1, and the last that of generation 0's model, where that is kept. Beyond
            generation n it takes log2(t/n) products of matrices (a few seconds each for n = 2000).

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
        steps = positive_integer("t", t, minimum=0)
        law, power = self._is_start().astype(np.float64), self.transition
        while steps > self.n:  # below, the remaining products with the vector cost less than one squaring
            if steps % 2:
                law = law @ power
            power = power @ power
            power /= power.sum(axis=1, keepdims=True)  # or rounding in the sums doubles with each squaring
            steps //= 2
        for _ in range(steps):
            law = law @ power
        return np.asarray(law / law.sum())

    def stationary_distribution(self) -> np.ndarray:
        """Law of the state after many generations, where no class can be lost for ever.

        Returns
        -------
        ndarray of float, shape (n + 2,)
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
        every = np.ones(self.n + 2, dtype=bool)
        visited = self._reachable(self._is_start(), every)
        if (visited & self._lost).any():
            raise UnsupportedCombinationError("a class can be lost for ever: the stationary laws are on one class")
        states = np.flatnonzero(self._recurrent(visited))
        inside = self.transition[np.ix_(states, states)]
        rough = np.full(states.size, 1 / states.size)
        for _ in range(_ROUGH_STEPS):
            rough = rough @ inside
        order = np.argsort(-rough, kind="stable")
        law = np.zeros(self.n + 2)
        law[states[order]] = stationary_law(inside[np.ix_(order, order)])
        return law

    def _recurrent(self, visited: np.ndarray) -> np.ndarray:
        """Return the states that the chain never ceases to visit: the one set that all visited states lead to."""
        state = self._is_start()
        while True:
            following = self._reachable(state, visited)
            transient = following & ~self._reachable(state, visited, backwards=True)
            if not transient.any():
                break
            state = np.arange(self.n + 2) == np.flatnonzero(transient)[0]
        if not self._reachable(following, visited, backwards=True)[visited].all():
            raise UnsupportedCombinationError("where the chain ends depends on chance: there are several laws")
        return following

    # ------------------------------------------------------------------------------------------------- absorption

    def mean_absorption_time(self) -> float:
        """Mean generation at which one class is lost for ever, starting from generation 0.

        Returns
        -------
        float
            In generations; inf if there is a chance that no class is ever lost for good ("warm" with γ < 1, or fresh
            data of both classes). By elimination without subtractions, so that times of 1e16 keep their digits.

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
        return self._mean_exit_time(~self._lost)

    def _mean_exit_time(self, inside: np.ndarray) -> float:
        """Mean generations until the first state that is not `inside`."""
        if not inside[self.start]:
            return 0.0
        visited = self._reachable(self._is_start(), inside)
        if not self._reachable(~inside, inside, backwards=True)[visited].all():
            return math.inf
        elimination, _ = self._elimination(visited, inside)
        with np.errstate(over="ignore", invalid="ignore"):
            time = float(elimination.mean_exit_times()[-1])  # the start is the last state
        if not math.isfinite(time):
            raise self._beyond_range()
        return time

    def _elimination(self, states: np.ndarray, inside: np.ndarray) -> tuple[Elimination, np.ndarray]:
        """Elimination of `states`, which lead to each other or out of `inside`, and the exit probabilities."""
        rows = self.transition[states]
        exits = rows[:, ~inside].sum(axis=1)
        with np.errstate(divide="ignore", over="ignore", invalid="ignore"):
            elimination = Elimination(rows[:, states], exits)
        if not (elimination.departures > 0).all():
            raise self._beyond_range()
        return elimination, exits

    def _beyond_range(self) -> DomainError:
        return DomainError("n", self.n, "smaller, or another criterion or loss: the mean time is beyond 1e308")

    def quasi_stationary_distribution(self) -> QuasiStationaryLaw:
        """Law of the state after many generations, given that no class has been lost, and the rate of losses in it.

        Returns
        -------
        QuasiStationaryLaw
            Its law, the rate of loss a generation, and how well that is known. Rates of 1e-300 keep their digits.

        Raises
        ------
        UnsupportedCombinationError
            If no class is ever lost for good, if one is lost at once, or if the models with two classes do not all lead
            to each other, as with ``mask="previous"``: then the limit depends on the start.
        DomainError
            If the rate is below the range of float64.

        Notes
        -----
        Slug `two-class-persistence`. With Q the transitions among the states with two classes, the law is the left
        eigenvector ν of (I − Q)⁻¹ with its largest eigenvalue 1/rate, by inverse iteration with one elimination without
        subtractions. Each step bounds the rate by the least and the largest ratio of the vector after it to that before
        (Collatz 1942; Wielandt 1950); it ends when they differ by less than a relative 1e-12, or no longer approach
        each other for rounding. The limit given survival: Darroch and Seneta (1965).

        Examples
        --------
        Given survival, drift of two classes spreads almost evenly over the counts, and the rate is 1/n (Ewens 1963):

        >>> law = TwoClassChain(100, 0.3).quasi_stationary_distribution()
        >>> round(law.rate, 12), round(law.mean_time, 9)
        (0.01, 100.0)
        """
        inside = self._unlost_class()
        elimination, exits = self._elimination(inside, inside | ~self._lost)
        law = np.full(exits.size, 1 / exits.size)
        spread = math.inf
        for _ in range(_MOST_ITERATIONS):
            with np.errstate(over="ignore", invalid="ignore"):
                visits = elimination.expected_visits(law)
            if not np.isfinite(visits).all():
                raise self._beyond_range()
            compared = law > _EXTINCT
            ratios = visits[compared] / law[compared]
            previous, spread = spread, float(ratios.max() / ratios.min() - 1)
            law = visits / visits.sum()
            if spread < _CONVERGED or (spread < math.sqrt(_CONVERGED) and spread > previous / 1.05):
                break
        else:
            raise DomainError("n", self.n, f"another one: after {_MOST_ITERATIONS} steps the error is {spread:.1e}")
        probabilities = np.zeros(self.n + 2)
        probabilities[inside] = law
        return QuasiStationaryLaw(_frozen(probabilities), float(law @ exits), spread)

    def _unlost_class(self) -> np.ndarray:
        """Return the states with two classes that the chain visits; the start only if it may be kept."""
        visited: np.ndarray = self._reachable(self._is_start(), ~self._lost) & ~self._lost
        if not self._reachable(self._lost, ~self._lost, backwards=True)[visited].all():
            raise UnsupportedCombinationError("no class need ever be lost for good: use stationary_distribution()")
        if not self._possible[:, self.start].any():
            visited[self.start] = False
        if not visited.any():
            raise UnsupportedCombinationError("a class is lost at once: there is no law given that none is")
        first = np.arange(self.n + 2) == np.flatnonzero(visited)[0]
        together = self._reachable(first, visited) & self._reachable(first, visited, backwards=True)
        if (together != visited).any():
            raise UnsupportedCombinationError(
                "models with two classes do not all lead to each other (mask='previous' never brings one back below "
                "gamma): the law given survival depends on the start"
            )
        return visited

    def spectrum(self) -> np.ndarray:
        """Eigenvalues of the transition matrix among the states 0 … n, in falling order of modulus; shape (n + 1,).

        They are real and in [0, 1], because binomial probabilities are totally positive and q is monotone in the count;
        under ``mask="previous"``, where it is not, they may be complex. Generation 0's model, to which no fit leads
        back, adds the eigenvalue ``transition[-1, -1]``. The absolute error under cross entropy is 1e-14 for n = 500,
        2e-13 for n = 2000.

        Notes
        -----
        Slug `wright-fisher`: under cross entropy they are `tce_theory.theory.categorical.wright_fisher_eigenvalues`.

        Examples
        --------
        >>> TwoClassChain(10, 0.5).spectrum()[:4].round(6)
        array([1.  , 1.  , 0.9 , 0.72])
        """
        values = np.linalg.eigvals(self.transition[:-1, :-1])
        if isinstance(self.loss, TruncatedCrossEntropy) and self.loss.mask == "previous":
            return values[np.argsort(-np.abs(values), kind="stable")]
        return np.sort(values.real)[::-1]

    # ------------------------------------------------------------------------------------------------- fidelity

    def fidelity_interval(
        self,
        metric: str,
        *,
        below: float | None = None,
        above: float | None = None,
        outside: tuple[float, float] | None = None,
        relative: bool = False,
        horizon: int,
    ) -> FirstPassageLaw:
        """Law of the first generation at which a metric of the model crosses a threshold.

        Parameters
        ----------
        metric : str
            One of "entropy", "heterozygosity", "support", "support_fraction", "max_prob", "tv", "kl_to_origin" and
            "kl_from_origin", as `tce.Categorical` records them. ("masked_weight" describes a fit, not a model.)
        below, above, outside, relative
            As in `tce_theory.fidelity.fidelity_interval`: a value equal to the threshold has not crossed, which a
            threshold on one of the chain's own values leaves to rounding.
        horizon : int
            Last generation of the law, at most 10^7.

        Returns
        -------
        FirstPassageLaw
            Probabilities at the generations 1 … horizon, as `Run.fidelity_interval` measures them with
            ``interpolate=False``. A model that starts beyond its threshold has time 0: all survival is 0.

        Raises
        ------
        DomainError
            If there is no such metric, or an argument is out of range.

        Examples
        --------
        Generations until the entropy has fallen by a quarter, with 100 points a generation:

        >>> law = TwoClassChain(100, 0.3).fidelity_interval("entropy", below=0.75, relative=True, horizon=500)
        >>> law.median, round(law.restricted_mean, 4)
        (22.0, 36.7662)
        """
        inside = self._within(metric, below, above, outside, relative)
        horizon = positive_integer("horizon", horizon, maximum=_LONGEST)
        mass, survival = np.zeros(horizon), np.zeros(horizon + 1)
        error = 0.0
        if inside[self.start]:
            visited = self._reachable(self._is_start(), inside)
            rows = self.transition[visited]
            stay, leave = np.asfortranarray(rows[:, visited]), rows[:, ~inside].sum(axis=1)
            law = np.zeros(leave.size)
            law[-1] = survival[0] = 1.0
            for t in range(1, horizon + 1):
                mass[t - 1] = law @ leave
                law = law @ stay
                survival[t] = min(law.sum(), survival[t - 1])
                if survival[t] < _EXTINCT:
                    survival[t] = 0.0
                    break
            error = _ENTRY_ERROR * float((np.arange(horizon + 1) * survival).max(initial=1.0))
        return FirstPassageLaw(_frozen(mass), _frozen(survival), error, int(inside.sum()))

    def mean_fidelity_time(
        self,
        metric: str,
        *,
        below: float | None = None,
        above: float | None = None,
        outside: tuple[float, float] | None = None,
        relative: bool = False,
    ) -> float:
        """Mean of the first generation at which a metric of the model crosses a threshold.

        Parameters
        ----------
        metric, below, above, outside, relative
            As in `fidelity_interval`.

        Returns
        -------
        float
            In generations, by elimination without subtractions; 0 if the chain starts beyond its threshold, inf if
            there is a chance that it never crosses it.

        Raises
        ------
        DomainError
            If there is no such metric, an argument is out of range, or the mean is beyond the range of float64.

        Examples
        --------
        >>> chain = TwoClassChain(100, 0.3)
        >>> round(chain.mean_fidelity_time("entropy", below=0.75, relative=True), 4)
        36.7665
        """
        return self._mean_exit_time(self._within(metric, below, above, outside, relative))

    def _within(
        self,
        metric: str,
        below: float | None,
        above: float | None,
        outside: tuple[float, float] | None,
        relative: bool,
    ) -> np.ndarray:
        """States that have not crossed the threshold: the library's own criterion, on paths from the start to each."""
        values = self._metric(metric)
        paths = np.stack([np.full(values.size, values[-1]), values], axis=1)
        crossed = fidelity_interval(
            paths, below=below, above=above, outside=outside, relative=relative, interpolate=False, metric=metric
        )
        return ~crossed.observed

    def _metric(self, metric: str) -> np.ndarray:
        """Value of a metric in each state; shape (n + 2,)."""
        one_of("metric", metric, _METRICS)
        origin = self._origin

        def value(model: np.ndarray) -> float:
            if metric in ("support", "support_fraction"):
                size = np.count_nonzero(model)
                return float(size if metric == "support" else size / np.count_nonzero(origin))
            if metric == "max_prob":
                return float(model.max())
            arguments: dict[str, tuple[Any, ...]] = {
                "tv": (model, origin),
                "kl_to_origin": (model, origin),
                "kl_from_origin": (origin, model),
            }
            function = {"tv": "total_variation"}.get(metric, "kl_divergence" if metric.startswith("kl") else metric)
            return float(getattr(measures, function)(*arguments.get(metric, (model,))))

        return np.array([value(model) for model in self._models])


def _frozen(array: np.ndarray) -> np.ndarray:
    array.flags.writeable = False
    return array
