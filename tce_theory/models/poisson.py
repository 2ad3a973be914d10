"""The Poisson family: one rate, the simplest model that can go extinct."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from tce_theory.decoding import Decoding
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.fitting import Counts, Fit
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models._agreement import check_probabilities
from tce_theory.models.base import Block, Control, Model, Recursion, block_size_for
from tce_theory.regimes import SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import generator, number_in, positive_integer

__all__ = ["Poisson"]

_LARGEST_RATE = 1e15
_LARGEST_RATE_BY_POINTS = 1e10  # inversion keeps a table of the law, of about 20 sqrt(rate) values
_MOST_MASKABLE = 2**22  # values in the histogram of a recursion


@dataclass(frozen=True)
class Poisson(Model):
    """Poisson law, with a fitted rate.

    Parameters
    ----------
    rate : float
        In [0, 1e15]; 0 is the law of the value 0, from which cross entropy never returns (extinction).

    Raises
    ------
    DomainError
        If `rate` is not admissible.

    See Also
    --------
    tce_theory.theory.literature.poisson_survival : when the recursion goes extinct under cross entropy.
    tce_theory.theory.loss.poisson_rate_floor : below which no TCE fit is.

    Notes
    -----
    The mass of x at a rate exceeds the threshold on an interval of rates around x, if it does at all. Between the ends
    of these intervals the objective of TCE is convex in log rate with a known minimiser, so that its fit is exact
    (slug `hinge-form`).

    **A floor of the rate** (slug `poisson-rate-floor`; mask by the current model, gamma < 1). Whatever is drawn, no fit
    has a rate below min(previous rate, −log gamma): at a rate r < −log gamma the masses rise up to r, so that those of
    all x ≤ r are at least exp(−r) > gamma; what is left unmasked is larger than r, and pulls the rate up. The recursion
    from a rate above 0 therefore never goes extinct, and stays at min(rate_0, −log gamma) or above; data that are all 0
    attain it. The mask of the previous model has no such floor. The entropy of fits that are not vacuous has one,
    −log gamma, exactly for gamma ≥ 0.2094, because a Poisson law of rate g has an entropy of at least g exactly for
    g ≤ 1.5634. For smaller gamma the Poisson family is the counterexample of slug `entropy-identity`, for its base
    measure 1/x! is not constant.

    **Inflation of the rate.** Without sampling noise a generation of TCE raises the rate when it masks anything, up to
    the first rate at which no mass exceeds gamma (about 1/(2π gamma²) for small gamma), where it stays. Proof: the
    masked values are some a ≤ x ≤ b with p(b) > gamma ≥ p(a − 1), and because r p(x) = (x + 1) p(x + 1) the slope of
    cross entropy over them, Σ p(x) (r − x), telescopes to r (p(b) − p(a − 1)) > 0. Over all x it is 0, so that the
    slope of what is left unmasked is negative at r, and its root is above r. (But for ties: where p(a − 1) and p(b + 1)
    both are exactly gamma, the rate stays.) Of a single sample the fit may be below that of cross entropy.

    Examples
    --------
    >>> model = Poisson(2.0)
    >>> round(model.entropy(), 6)
    1.704883
    >>> model.sample(3, seed=1)
    array([...])
    """

    rate: float

    metric_names = ("rate", "entropy", "kl_to_origin", "kl_from_origin", "tv", "extinct", "masked_weight")
    default_metrics = ("rate", "entropy", "extinct")

    def __post_init__(self) -> None:
        object.__setattr__(self, "rate", number_in("rate", self.rate, 0, _LARGEST_RATE))

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points, int64 (n,)."""
        from tce_theory.kernels import poisson as kernel

        rng, size = generator(seed), positive_integer("n", n)
        if self.rate <= kernel.EXACT_POISSON:
            return rng.poisson(self.rate, size)
        return np.array([kernel.draw_total(rng, self.rate) for _ in range(size)], np.int64)

    def log_density(self, x: Any) -> np.ndarray:
        """Logarithm of the mass of each value; −inf where it is 0."""
        from tce_theory.kernels import poisson as kernel

        values = _values(np.asarray(x).reshape(-1))
        out = np.empty(values.size)
        kernel.log_masses(values, self.rate, out)
        return out.reshape(np.shape(x))

    def entropy(self) -> float:
        """Shannon entropy in nats, to 1e-12."""
        return float(_entropy(np.array([self.rate]))[0])

    def peak(self) -> float:
        return float(np.exp(self.log_density(math.floor(self.rate))))

    def kl_divergence(self, other: Poisson) -> float:
        """Kullback–Leibler divergence KL(self‖other) in nats; inf where `other` is extinct and this is not."""
        return float(_kl(np.float64(self.rate), np.float64(_same_family(other).rate)))

    def total_variation(self, other: Poisson) -> float:
        """Total-variation distance."""
        return float(_total_variation(np.float64(self.rate), np.float64(_same_family(other).rate)))

    def measure(self, metric: str, origin: Poisson) -> float:
        if metric not in self.metric_names or metric == "masked_weight":
            raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names[:-1])))
        return float(_metric(metric, np.array([self.rate]), _same_family(origin).rate)[0])

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        if decoding is not None:
            raise UnsupportedCombinationError(
                f"Poisson does not go with {decoding!r}: what it makes of the law is no Poisson law "
                "(a temperature makes it Conway–Maxwell–Poisson); for a cut or heated law use Categorical"
            )
        if isinstance(loss, CrossEntropy):
            return
        if not isinstance(loss, TruncatedCrossEntropy):
            raise UnsupportedCombinationError(
                f"Poisson does not go with {type(loss).__name__}: it has exact fits for CrossEntropy and TCE, whose "
                "weights are constant between known rates"
            )
        check_probabilities("Poisson", loss, "value")
        if loss.vacuous == "drawn-only":
            raise UnsupportedCombinationError(
                "Poisson does not go with vacuous='drawn-only': every rate above 0 gives a probability to all values"
            )

    def fit(self, data: Any, loss: Loss) -> Fit[Poisson]:
        """Fit the rate; data are points or `Counts` of the values 0, 1, …, which the weights are then those of."""
        values, counts, places = _histogram(data)
        self.check(loss, Replace())
        n, total = int(counts.sum()), math.fsum(counts * values.astype(np.float64))
        if total > n * _LARGEST_RATE:
            raise DomainError("data", f"points with the mean {total / n:g}", f"a mean of at most {_LARGEST_RATE:g}")
        if isinstance(loss, TruncatedCrossEntropy):
            return self._fit_truncated(values, counts, places, loss)
        return _fit(Poisson(total / n), values, counts, places, loss, np.ones(values.size))

    def _fit_truncated(
        self, values: np.ndarray, counts: np.ndarray, places: np.ndarray, loss: TruncatedCrossEntropy
    ) -> Fit[Poisson]:
        """Exact fit; see kernels.poisson."""
        from tce_theory.kernels import poisson as kernel

        inner = int(np.searchsorted(values, kernel.count_maskable(loss.floor, 2**62)))
        lower, upper = np.empty(inner), np.empty(inner)
        kernel.bands(values[:inner], loss.floor, lower, upper)
        rest = counts[inner:].sum(), (counts[inner:] * values[inner:]).sum()
        sample = (values[:inner], counts[:inner], lower, upper, 0, inner, int(rest[0]), int(rest[1]), self.rate)
        weights = np.ones(values.size)
        if loss.mask == "previous":
            rate, _, vacuous = kernel.fit_outside(*sample)
            weights[:inner][(lower < self.rate) & (self.rate < upper)] = 0
            return _fit(Poisson(rate), values, counts, places, loss, weights, vacuous=bool(vacuous))
        rule = kernel.LARGEST if loss.vacuous == "max-entropy" else kernel.WARM
        rate, _, vacuous, first, last, boundary, weight, steps = kernel.fit_hinge(*sample, rule)
        weights[first:last] = 0
        if boundary >= 0:
            weights[boundary] = weight
        return _fit(
            Poisson(rate), values, counts, places, loss, weights, vacuous=bool(vacuous), boundary=boundary, n_iter=steps
        )

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        supply = regime.supply(sizes)
        if supply.fitted.max() * max(self.rate, 1.0) > _LARGEST_RATE:
            admissible = f"at most {_LARGEST_RATE:g}/rate points to fit, whose total keeps its digits"
            raise DomainError("n_samples", int(supply.fitted.max()), admissible)
        by_points = sampler == "points" or supply.memory == SUBSAMPLE
        if by_points and self.rate > _LARGEST_RATE_BY_POINTS:
            raise DomainError(
                "rate", self.rate, f"at most {_LARGEST_RATE_BY_POINTS:g} where points are drawn one by one"
            )
        return _PoissonRecursion(self, loss, supply, by_points)


def _fit(
    model: Poisson,
    values: np.ndarray,
    counts: np.ndarray,
    places: np.ndarray,
    loss: Loss,
    weights: np.ndarray,
    *,
    vacuous: bool = False,
    boundary: int = -1,
    n_iter: int = 0,
) -> Fit[Poisson]:
    """Report a fit, from weights of the values that were drawn; `places` are those of the points, -1 for no value."""
    cross_entropy, n = -model.log_density(values), counts.sum()
    if isinstance(loss, TruncatedCrossEntropy) and loss.mask == "current":
        terms = np.maximum(cross_entropy, loss.floor)
    else:
        terms = np.where(weights > 0, cross_entropy, 0.0)
    return Fit(
        model=model,
        objective=float((counts * terms).sum() / n),
        weights=np.append(weights, 0.0 if vacuous else 1.0)[places],
        masked_weight=float((counts * (1 - weights)).sum()),
        boundary_index=np.flatnonzero(places == boundary) if boundary >= 0 else np.empty(0, np.int64),
        vacuous=vacuous,
        n_iter=n_iter,
    )


def _values(data: np.ndarray) -> np.ndarray:
    """Return values as int64, or raise DomainError."""
    admissible = "nonnegative whole numbers, at most 2**53"
    if data.dtype.kind not in "iuf":
        raise DomainError("data", f"an array of {data.dtype}", f"an array of {admissible}")
    bad = ~((data >= 0) & (data <= 2**53) & (data == np.floor(data)))
    if bad.any():
        raise DomainError("data", data[bad][0].item(), admissible)
    return data.astype(np.int64)


def _histogram(data: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Values that were drawn, in rising order, how often, and the place among them of each point or value counted."""
    if isinstance(data, Counts):
        values = np.flatnonzero(data.values)
        places = np.full(data.values.size, -1)
        places[values] = np.arange(values.size)
        return values, data.values[values], places
    points = np.asarray(data)
    if points.ndim != 1 or points.size == 0:
        raise DomainError("data", f"an array of shape {points.shape}", "a nonempty vector of whole numbers, or Counts")
    values, places, counts = np.unique(_values(points), return_inverse=True, return_counts=True)
    return values, counts, places


def _same_family(other: Any) -> Poisson:
    if not isinstance(other, Poisson):
        raise DomainError("other", other, "a Poisson model")
    return other


def _entropy(rates: np.ndarray) -> np.ndarray:
    from tce_theory.kernels import poisson as kernel

    out = np.empty(rates.shape)
    kernel.entropies(np.ascontiguousarray(rates).reshape(-1), out.reshape(-1))
    return out


def _kl(rate: Any, other: Any) -> Any:
    """Divergence from a law with one rate to that with another: rate log(rate/other) + other − rate."""
    rate, other = np.broadcast_arrays(rate, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        distance = np.where(other > 0, (rate - other) / other, np.inf)
        # (1 + d) log(1 + d) − d, by its series where the difference would cancel: terms (−d)^k/(k (k − 1)), k ≥ 2
        series = np.zeros_like(distance)
        for k in range(12, 1, -1):
            series = 1 / (k * (k - 1)) - distance * series
        near = np.where(np.abs(distance) < 0.02, distance, 0.0)
        far = special.xlogy(rate, rate / other) - (rate - other)
    value = np.where(np.abs(distance) < 0.02, other * near * near * series, far)
    return np.where(other > 0, value, np.where(rate > 0, np.inf, 0.0))


def _total_variation(rate: Any, other: Any) -> Any:
    """Difference of the distribution functions where the masses cross: an incomplete gamma integral between the rates.

    The mass of the smaller rate is the larger one up to k = (b − a)/log(b/a).
    """
    low, high = np.minimum(rate, other), np.maximum(rate, other)
    with np.errstate(divide="ignore", invalid="ignore"):
        log_ratio = np.log1p((high - low) / low)
        crossing = np.where(log_ratio > 0, (high - low) / log_ratio, low)
    k = np.floor(np.where(low > 0, crossing, 0.0))
    value = np.where(
        k + 1 > high,
        special.gammainc(k + 1, high) - special.gammainc(k + 1, low),
        special.gammaincc(k + 1, low) - special.gammaincc(k + 1, high),
    )
    return np.clip(value, 0.0, 1.0)


def _metric(name: str, rates: np.ndarray, origin: float) -> np.ndarray:
    match name:
        case "rate":
            return rates
        case "entropy":
            return _entropy(rates)
        case "kl_to_origin":
            return np.asarray(_kl(rates, origin))
        case "kl_from_origin":
            return np.asarray(_kl(origin, rates))
        case "tv":
            return np.asarray(_total_variation(rates, origin))
    return np.asarray(rates == 0, dtype=np.float64)


class _PoissonRecursion(Recursion):
    """Blocks of the Poisson recursion: totals in law under cross entropy, histograms under TCE, or points."""

    def __init__(self, model: Poisson, loss: Loss, supply: Supply, by_points: bool) -> None:
        from tce_theory.kernels import poisson as kernel

        self.model, self.supply, self.by_points = model, supply, by_points
        self.rule, self.vacuous_rule, n_values, floor = kernel.CE, kernel.WARM, 0, 0.0
        if isinstance(loss, TruncatedCrossEntropy):
            self.rule = kernel.PREVIOUS if loss.mask == "previous" else kernel.HINGE
            self.vacuous_rule = kernel.LARGEST if loss.vacuous == "max-entropy" else kernel.WARM
            floor = loss.floor
            n_values = int(kernel.count_maskable(floor, _MOST_MASKABLE + 1))
            if n_values > _MOST_MASKABLE:
                raise DomainError("gamma", loss.gamma, "at least 2e-4, for values up to 1/(2π gamma²) can be masked")
        self.values = np.arange(n_values)
        self.bands = np.empty(n_values), np.empty(n_values)
        kernel.bands(self.values, floor, *self.bands)
        drawn, spread = float(supply.drawn.mean()), 20 * math.sqrt(model.rate) + 40
        in_law = 1.0 if n_values == 0 else min(drawn, spread)
        self.cost = drawn if by_points else in_law
        self.block_size = block_size_for(self.cost)
        self.stream = "points" if by_points else "totals" if n_values == 0 else "histograms"

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        from tce_theory.kernels import poisson as kernel

        supply = self.supply
        shape = (replicates, supply.drawn.size + 1)
        rate, masked, vacuous = np.empty(shape), np.empty(shape), np.zeros(replicates, np.int64)
        rate[:, 0], masked[:, 0] = self.model.rate, np.nan  # generation 0 is no fit
        kernel.advance(
            rng, supply.synthetic, supply.fresh, supply.fresh_share, supply.memory, self.by_points, self.rule,
            self.vacuous_rule, self.values, *self.bands, self.model.rate, rate, masked, vacuous, control.stop,
            control.progress, control.slot,
        )  # fmt: skip
        if control.stop[0]:
            return Block({}, {})
        values = {name: masked if name == "masked_weight" else _metric(name, rate, self.model.rate) for name in metrics}
        for name, function in functions.items():
            values[name] = np.array([[function(Poisson(one)) for one in path] for path in rate])
        extinct = rate == 0
        extinction = np.where(extinct.any(axis=1), extinct.argmax(axis=1), -1)
        return Block(values, {"vacuous": vacuous, "extinction": extinction})
