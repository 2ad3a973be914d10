"""Predictions at any scale: what is left of a vocabulary after many generations of cross entropy, without simulation.

Expected values over all replicates, in the replace regime: each generation is fitted to n points of its predecessor.
"""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.models.categorical import Categorical
from tce_theory.theory import ancestry
from tce_theory.theory.categorical import heterozygosity_decay
from tce_theory.validation import number_in, one_of, positive_integer

if TYPE_CHECKING:
    from rich.table import Table

__all__ = ["Comparison", "Prediction", "predict"]

_SERIES = (1, 1.5, 2, 3, 5, 7)
"""Generations in each power of ten, where only the last one was named."""

_MOMENT_ERROR = 0.05
"""Relative error of what two moments give, over min(t/n, 1/200)²: about twice the most that was measured."""

_ARITHMETIC_ERROR = 1e-10
"""Relative, everywhere."""

_ABSOLUTE_ERROR = 1e-13
"""Of entropy and heterozygosity at the start, and falling as they do: what is left beside a probability near 1."""

_SECTIONS = 33
"""Pieces of an interval that are looked at together where a crossing is sought."""

_MOST_WORK = 10**10
"""Classes times generations times replicates that are simulated for a comparison: some minutes."""

_MOST_POINTS = 9 * 10**15
"""Beyond 2^53 not every integer has a float of its own."""

_EXACT, _MOMENTS, _CHAIN = "exact", "two moments", "two moments, then the chain"
_STATEMENTS = {
    _EXACT: "exact, but for rounding",
    _MOMENTS: "two moments of the number of ancestors; relative error below 0.05 (t/n)², measured, not proved",
    _CHAIN: "the same, then its exact law; relative error below 1.3e-6, measured, not proved",
}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Comparison:
    """Simulated means beside a prediction.

    Attributes
    ----------
    replicates : int
    seed : int
    means : dict of str to numpy.ndarray
        By metric of the prediction, float64 (T,): mean over the replicates.
    standard_errors : dict of str to numpy.ndarray
        Float64 (T,).
    """

    replicates: int
    seed: int
    means: dict[str, np.ndarray]
    standard_errors: dict[str, np.ndarray]

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and lists, for JSON."""
        values = {
            metric: {"mean": mean.tolist(), "standard_error": self.standard_errors[metric].tolist()}
            for metric, mean in self.means.items()
        }
        return {"replicates": self.replicates, "seed": self.seed, **values}


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Prediction:
    """Expected diversity of a categorical model over generations of cross entropy, as `predict` returns it.

    Attributes
    ----------
    model : Categorical
        Generation 0.
    n_samples : int
        Points a generation.
    generations : numpy.ndarray
        Int64 (T,), increasing.
    types, entropy, heterozygosity : numpy.ndarray
        Float64 (T,): expected number of surviving classes, entropy in nats, and 1 − Σp².
    types_error, entropy_error, heterozygosity_error : numpy.ndarray
        Float64 (T,): stated error of each number, up or down. What the statement rests on, `method` says.
    types_low, types_high, entropy_low : numpy.ndarray
        Float64 (T,): proved bounds on the expected values, up to rounding.
    method : tuple of str
        For each generation: "exact", the error is of rounding; "two moments" and "two moments, then the chain", the
        error is twice the largest that was measured against exact laws. Heterozygosity is always exact.
    """

    model: Categorical
    n_samples: int
    generations: np.ndarray
    types: np.ndarray
    entropy: np.ndarray
    heterozygosity: np.ndarray
    types_error: np.ndarray
    entropy_error: np.ndarray
    heterozygosity_error: np.ndarray
    types_low: np.ndarray
    types_high: np.ndarray
    entropy_low: np.ndarray
    method: tuple[str, ...]
    _spectrum: ancestry.Spectrum

    metric_names: ClassVar = ("types", "entropy", "heterozygosity")

    def __repr__(self) -> str:
        return (
            f"<Prediction: {self.model.size} classes, {self.n_samples} points a generation, "
            f"{self.generations.size} generations to {self.generations[-1]}>"
        )

    def half_life(self, metric: str, share: float = 0.5) -> int | None:
        """Return the first generation at which no more than a share of the expected value at generation 0 is left.

        Parameters
        ----------
        metric : {"types", "entropy", "heterozygosity"}
        share : float
            In (0, 1].

        Returns
        -------
        int or None
            None if it is not within the generations of the prediction. It is the time at which the *expected curve*
            crosses, which is not the expected fidelity interval: single runs cross before and after, and the mean of
            their times may lie to either side.

        Raises
        ------
        DomainError
            If the metric has no such name or is 0 at generation 0, or the share is out of range.

        Examples
        --------
        >>> prediction = predict(Categorical.zipf(10_000), n_samples=10**6, generations=1000)
        >>> prediction.half_life("types"), prediction.half_life("types", 0.9), prediction.half_life("entropy")
        (75, 15, None)
        """
        name = one_of("metric", metric, self.metric_names)
        left = number_in("share", share, 0.0, 1.0, open_low=True)
        start = self._at_start(name)
        if start == 0:
            raise DomainError("metric", metric, "one that is above 0 at generation 0")
        crossed = self._first(self.generations, getattr(self, name), left * start)
        if crossed is None:
            return None
        low, high = max((int(t) for t in self.generations if t < crossed), default=0), crossed
        while high - low > 1:
            inside = np.unique(np.linspace(low, high, _SECTIONS + 1).astype(np.int64))
            inside = inside[(inside > low) & (inside < high)]
            found = self._first(inside, self._values(name, inside), left * start)
            low = max((int(t) for t in inside if found is None or t < found), default=low)
            high = high if found is None else found
        return high

    @staticmethod
    def _first(generations: np.ndarray, values: np.ndarray, threshold: float) -> int | None:
        below = generations[values <= threshold]
        return int(below[0]) if below.size else None

    def _at_start(self, metric: str) -> float:
        match metric:
            case "types":
                return float(self._spectrum.classes)
            case "entropy":
                return self.model.entropy()
        return self.model.heterozygosity()

    def _values(self, metric: str, generations: np.ndarray) -> np.ndarray:
        if metric == "heterozygosity":
            return np.asarray(self.model.heterozygosity() * heterozygosity_decay(generations, self.n_samples))
        expected = ancestry.expected_diversity(self._spectrum, self.n_samples, generations)
        return expected.types if metric == "types" else expected.entropy

    def compare(self, replicates: int, *, seed: int | None = None, n_jobs: int = 1) -> Comparison:
        """Simulate the same recursion, for the sizes that a simulation reaches.

        Parameters
        ----------
        replicates : int
            At least 2.
        seed : int, optional
            Fresh if not given.
        n_jobs : int
            Threads; −1 for one a processor.

        Returns
        -------
        Comparison

        Raises
        ------
        DomainError
            If an argument is out of range, or the simulation would take more than some minutes.

        Examples
        --------
        >>> prediction = predict(Categorical.zipf(100), n_samples=1000, generations=[10, 100])
        >>> comparison = prediction.compare(500, seed=1)
        >>> difference = prediction.types - comparison.means["types"]
        >>> bool((abs(difference) < 4 * comparison.standard_errors["types"]).all())
        True
        """
        from tce_theory.losses import CrossEntropy
        from tce_theory.recursion import simulate

        count, last = positive_integer("replicates", replicates, minimum=2), max(int(self.generations[-1]), 1)
        a_replicate = min(self.n_samples, self._spectrum.classes) * last
        if count * a_replicate > _MOST_WORK:
            most = _MOST_WORK // a_replicate
            admissible = (
                f"from 2 to {most} at this size" if most > 1 else "left out, for no simulation reaches this size"
            )
            raise DomainError("replicates", replicates, admissible)
        metrics = {"types": "support", "entropy": "entropy", "heterozygosity": "heterozygosity"}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticalWarning)
            run = simulate(
                self.model, CrossEntropy(), n_samples=self.n_samples, generations=last, replicates=count,
                metrics=list(metrics.values()), seed=seed, n_jobs=n_jobs,
            )  # fmt: skip
        if run.interrupted:
            raise KeyboardInterrupt
        columns = {name: run.metrics[metric][:, self.generations] for name, metric in metrics.items()}
        return Comparison(
            replicates=count,
            seed=run.seed,
            means={name: values.mean(axis=0) for name, values in columns.items()},
            standard_errors={
                name: values.std(axis=0, ddof=1) / math.sqrt(len(values)) for name, values in columns.items()
            },
        )

    def to_dict(self) -> dict[str, Any]:
        """Return everything as numbers and lists, for JSON."""
        arrays = {
            name: getattr(self, name).tolist()
            for name in (
                "generations",
                *(f"{metric}{part}" for metric in self.metric_names for part in ("", "_error")),
                "types_low",
                "types_high",
                "entropy_low",
            )
        }
        settings = {
            "classes": self._spectrum.classes,
            "n_samples": self.n_samples,
            "loss": "CrossEntropy()",
            "regime": "Replace()",
        }
        return {**settings, **arrays, "method": list(self.method)}

    def table(self) -> Table:
        """Return a table for `rich`: each number with its stated error."""
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        for heading in ("generation", "types", "±", "entropy", "±", "heterozygosity"):
            table.add_column(heading, justify="right")
        for row, generation in enumerate(self.generations):
            table.add_row(
                str(generation),
                f"{self.types[row]:,.1f}",
                f"{self.types_error[row]:.0e}",
                f"{self.entropy[row]:.6f}",
                f"{self.entropy_error[row]:.0e}",
                f"{self.heterozygosity[row]:.6f}",
            )
        return table

    def statements(self) -> list[str]:
        """Return what the stated errors rest on, a line for each method that was used."""
        lines = []
        for method, statement in _STATEMENTS.items():
            used = [int(t) for t, name in zip(self.generations, self.method, strict=True) if name == method]
            if used:
                where = f"generation {used[0]}" if len(used) == 1 else f"generations {used[0]} to {used[-1]}"
                lines.append(f"{where}: {statement}")
        return lines

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        console = Console(file=text, width=100)
        console.print(self.table())
        for line in self.statements():
            console.print(line, highlight=False)
        return text.getvalue()


def predict(model: Categorical, *, n_samples: int, generations: int | Sequence[int] | np.ndarray) -> Prediction:
    """Predict vocabulary, entropy and heterozygosity after generations of cross entropy, at any scale.

    Parameters
    ----------
    model : Categorical
        Generation 0. For texts and counts see `Categorical.from_text` and `Categorical.from_counts`.
    n_samples : int
        Points drawn for each generation from the one before, from 1 to 9·10^15.
    generations : int or sequence of int
        The generations wanted, from 0 to 10^6; one number is the last of a grid of six in each power of ten.

    Returns
    -------
    Prediction
        Expected values, each with a stated error, proved bounds, and how they were computed.

    Raises
    ------
    DomainError
        If an argument is out of range.

    See Also
    --------
    simulate : any loss and regime, and distributions instead of expectations, at sizes that can be simulated.
    tce_theory.theory.ancestry : the mathematics.

    Notes
    -----
    Slugs `wright-fisher` and `tail-extinction`. It is the replace regime under cross entropy alone. TCE is the same
    until some class first exceeds γ (`neutral-until-cap`); for fresh data and accumulation `tce_theory.theory.regimes`
    has the heterozygosity, and nothing else is known in closed form.

    Examples
    --------
    A vocabulary of a million words, with a billion words drawn for each generation:

    >>> prediction = predict(Categorical.zipf(10**6), n_samples=10**9, generations=[1, 100, 10_000])
    >>> prediction.types.round()
    array([1000000.,  911046.,   65372.])
    >>> prediction.half_life("types")
    517
    """
    if not isinstance(model, Categorical):
        raise DomainError("model", model, "a Categorical model, such as Categorical.from_counts(counts)")
    size = positive_integer("n_samples", n_samples, maximum=_MOST_POINTS)
    wanted = _generations(generations)
    spectrum = ancestry.compressed(model.probs)
    later = wanted[wanted > 0]
    at_start, n_start = np.ones(wanted.size - later.size), wanted.size - later.size
    types, entropy = spectrum.classes * at_start, model.entropy() * at_start
    followed = np.zeros(n_start, np.int64)
    low, low_entropy, high = types, entropy, types
    if later.size:
        expected = ancestry.expected_diversity(spectrum, size, later)
        floor = ancestry.diversity_floor(spectrum, size, later)
        types = np.concatenate([types, expected.types])
        entropy = np.concatenate([entropy, expected.entropy])
        followed = np.concatenate([followed, expected.followed])
        low, low_entropy = np.concatenate([low, floor.types]), np.concatenate([low_entropy, floor.entropy])
        high = np.concatenate([high, np.atleast_1d(ancestry.types_ceiling(spectrum, size, later))])
    relative = _MOMENT_ERROR * (followed / size) ** 2
    heterozygosity = model.heterozygosity() * np.asarray(heterozygosity_decay(wanted, size))
    absolute = _ABSOLUTE_ERROR * np.asarray(heterozygosity_decay(np.maximum(wanted - 1, 0), size))
    return Prediction(
        model=model,
        n_samples=size,
        generations=wanted,
        types=types,
        entropy=entropy,
        heterozygosity=heterozygosity,
        types_error=relative * (types - 1) + _ARITHMETIC_ERROR * types,
        entropy_error=(relative + _ARITHMETIC_ERROR) * entropy + absolute,
        heterozygosity_error=_ARITHMETIC_ERROR * heterozygosity + absolute,
        types_low=np.maximum(low, 1.0),  # one class is always left
        types_high=high,
        entropy_low=np.maximum(low_entropy, 0.0),
        method=tuple(_method(int(t), int(through)) for t, through in zip(wanted, followed, strict=True)),
        _spectrum=spectrum,
    )


def _method(generation: int, followed: int) -> str:
    if followed == 0:
        return _EXACT
    return _MOMENTS if followed == generation else _CHAIN


def _generations(wanted: int | Sequence[int] | np.ndarray) -> np.ndarray:
    """Return the generations in order; those of a grid if one number is given."""
    if np.ndim(wanted) == 0:
        last = positive_integer("generations", wanted, maximum=ancestry.LAST_GENERATION)
        powers = 10.0 ** np.arange(len(str(last)))
        grid = np.floor(np.outer(powers, _SERIES)).ravel()
        return np.unique(np.concatenate([[0, last], grid[grid <= last]]).astype(np.int64))
    listed = [positive_integer("generations", t, minimum=0, maximum=ancestry.LAST_GENERATION) for t in wanted]  # type: ignore[union-attr]
    if not listed:
        raise DomainError("generations", wanted, "a number, or at least one number in a sequence")
    return np.unique(np.array(listed, dtype=np.int64))
