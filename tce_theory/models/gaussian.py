"""The one-dimensional Gaussian family."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np

from tce_theory import metrics as measures
from tce_theory.decoding import Decoding, VarianceScaling
from tce_theory.errors import DegenerateFitError, DomainError, UnsupportedCombinationError
from tce_theory.fitting import Counts, Fit
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models._agreement import check_density, check_largest_entropy
from tce_theory.models.base import Block, Control, Model, Recursion, block_size_for
from tce_theory.regimes import SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import boolean, finite_array, finite_number, generator, positive_integer, positive_number

__all__ = ["Gaussian"]

_SAME_DISTANCE = 4e-15  # squared distances, in units of the critical variance, that differ by rounding alone


@dataclass(frozen=True)
class Gaussian(Model):
    """Normal law with a fitted standard deviation, and a mean that is fitted or known.

    Parameters
    ----------
    mean : float
    std : float
        Standard deviation, above 0.
    fit_mean : bool
        Whether fits estimate the mean; otherwise it is known and stays.
    ddof : int
        0 for the maximum-likelihood variance, 1 for the unbiased one (cross entropy alone).

    Raises
    ------
    DomainError
        If a parameter is not admissible.

    See Also
    --------
    tce_theory.theory.gaussian : closed forms for the recursion under cross entropy.
    tce_theory.theory.wall : the critical scale and the floor under an absolute threshold.

    Examples
    --------
    >>> model = Gaussian(std=2.0)
    >>> round(model.entropy(), 6)
    2.112086
    >>> model.sample(3, seed=1).round(3)
    array([...])
    """

    mean: float = 0.0
    std: float = 1.0
    _: KW_ONLY
    fit_mean: bool = True
    ddof: int = 0

    metric_names = (
        "mean",
        "std",
        "log_std",
        "entropy",
        "kl_from_origin",
        "kl_to_origin",
        "w2_squared",
        "masked_weight",
    )
    default_metrics = ("mean", "std", "log_std", "entropy")

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", finite_number("mean", self.mean))
        object.__setattr__(self, "std", positive_number("std", self.std))
        object.__setattr__(self, "fit_mean", boolean("fit_mean", self.fit_mean))
        if isinstance(self.ddof, bool) or self.ddof not in (0, 1):
            raise DomainError("ddof", self.ddof, "0 or 1")
        if self.ddof == 1 and not self.fit_mean:
            raise DomainError("ddof", self.ddof, "0 where the mean is known: no degree of freedom is lost")

    @classmethod
    def from_samples(cls, samples: Any, *, fit_mean: bool = True, ddof: int = 0, mean: float = 0.0) -> Gaussian:
        """Fit generation 0 to data by cross entropy.

        Parameters
        ----------
        samples : array_like, shape (n,)
            At least two different numbers (one that differs from `mean`, if that is known).
        fit_mean, ddof
            As for the class.
        mean : float
            The known mean, if `fit_mean` is False.

        Returns
        -------
        Gaussian

        Raises
        ------
        DomainError
            If the samples are not finite numbers in one dimension.
        DegenerateFitError
            If all samples are equal.

        Examples
        --------
        >>> Gaussian.from_samples([1.0, 2.0, 3.0, 4.0])
        Gaussian(mean=2.5, std=1.118..., fit_mean=True, ddof=0)
        """
        return cls(mean, fit_mean=fit_mean, ddof=ddof).fit(samples, CrossEntropy()).model

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points, float64 (n,)."""
        rng = generator(seed)
        return self.mean + self.std * rng.standard_normal(positive_integer("n", n))

    def log_density(self, x: Any) -> np.ndarray:
        """Logarithm of the density at each point."""
        with np.errstate(over="ignore"):
            z = (np.asarray(x, dtype=np.float64) - self.mean) / self.std
            return -0.5 * z**2 - math.log(self.std) - 0.5 * math.log(2 * math.pi)

    def entropy(self) -> float:
        """Differential entropy in nats."""
        return float(measures.gaussian_entropy(math.log(self.std)))

    def peak(self) -> float:
        return 1 / (math.sqrt(2 * math.pi) * self.std)

    def kl_divergence(self, other: Gaussian) -> float:
        """Kullback–Leibler divergence KL(self‖other) in nats."""
        other = self._same_family(other)
        return float(measures.gaussian_kl(self.mean, math.log(self.std), other.mean, math.log(other.std)))

    def w2_squared(self, other: Gaussian) -> float:
        """Squared 2-Wasserstein distance."""
        other = self._same_family(other)
        return float(measures.gaussian_w2_squared(self.mean, self.std, other.mean, other.std))

    def measure(self, metric: str, origin: Gaussian) -> float:
        match metric:
            case "mean" | "std":
                return float(getattr(self, metric))
            case "log_std":
                return math.log(self.std)
            case "entropy":
                return self.entropy()
            case "kl_from_origin":
                return origin.kl_divergence(self)
            case "kl_to_origin":
                return self.kl_divergence(origin)
            case "w2_squared":
                return self.w2_squared(origin)
        raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names)))

    def decoded(self, decoding: Decoding | None) -> Gaussian:
        factor = decoding.factor if isinstance(decoding, VarianceScaling) else 1.0
        return self._replace(self.mean, math.sqrt(factor) * self.std)

    @staticmethod
    def _same_family(other: Any) -> Gaussian:
        if not isinstance(other, Gaussian):
            raise DomainError("other", other, "a Gaussian model")
        return other

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        check_density("Gaussian", loss, decoding)
        if not isinstance(loss, TruncatedCrossEntropy):
            return
        if self.ddof != 0:
            raise UnsupportedCombinationError(
                "Gaussian with ddof=1 goes with CrossEntropy alone: TCE is maximum likelihood"
            )
        if loss.scale == "relative" and loss.mask == "current" and loss.relative_radius > 1:
            raise DomainError(
                "gamma", loss.gamma, "at least e^(-1/2) = 0.606531 for the relative scale, or no fixed point exists"
            )
        if loss.scale == "absolute" and not 0 < _critical_std(loss) < math.inf:
            raise DomainError("gamma", loss.gamma, "between 2.3e-309 and 7.1e307, or the critical scale is no float")
        check_largest_entropy("Gaussian", loss, loss.mask == "current" and loss.scale == "absolute")

    def _minimum_samples(self, loss: Loss) -> int:
        one_suffices = isinstance(loss, TruncatedCrossEntropy) and loss.scale == "absolute" and loss.mask == "current"
        return 2 if self.fit_mean and not one_suffices else 1

    def fit(self, data: Any, loss: Loss) -> Fit[Gaussian]:
        if isinstance(data, Counts):
            raise DomainError("data", data, "an array of points: Counts are for discrete families")
        points = finite_array("data", data)
        self.check(loss, Replace())
        if points.size < self._minimum_samples(loss):
            raise DomainError("data", f"{points.size} point", f"at least {self._minimum_samples(loss)} points")
        if isinstance(loss, TruncatedCrossEntropy):
            if loss.mask == "previous":
                return self._fit_previous(points, loss)
            return self._fit_absolute(points, loss) if loss.scale == "absolute" else self._fit_relative(points, loss)
        mean, _, std = self._cross_entropy(points)
        if std == 0:
            raise DegenerateFitError("data are identical: the likelihood of a Gaussian has no maximum")
        return self._fit(self._replace(mean, std), points, loss, np.ones(points.size), n_iter=0)

    def _replace(self, mean: float, std: float) -> Gaussian:
        return Gaussian(mean, std, fit_mean=self.fit_mean, ddof=self.ddof)

    def _cross_entropy(self, points: np.ndarray) -> tuple[float, np.ndarray, float]:
        """Mean, deviations from it, standard deviation, without under- or overflow on the way.

        Deviations are taken from the first point on, which keeps the digits of data far from 0 (their mean, as a
        float, may be off by more than their standard deviation) and makes equal points exactly so.
        """
        origin = float(points[0]) if self.fit_mean else self.mean
        half = points / 2 - origin / 2
        scale = float(np.abs(half).max())
        if scale == 0:
            return origin, half, 0.0
        unit = half / scale
        shift = float(unit.mean()) if self.fit_mean else 0.0
        unit -= shift
        std = math.sqrt((unit**2).sum() / (points.size - self.ddof))
        with np.errstate(over="ignore"):
            deviations = 2 * (half - scale * shift)
        if not np.isfinite(deviations).all():
            raise DomainError("data", f"points at a distance of 2 * {scale:g}", "points whose range is a finite number")
        return origin + 2 * (scale * shift), deviations, 2 * (scale * std)

    def _fit(
        self,
        model: Gaussian,
        points: np.ndarray,
        loss: Loss,
        weights: np.ndarray,
        *,
        n_iter: int,
        vacuous: bool = False,
        boundary: np.ndarray | None = None,
    ) -> Fit[Gaussian]:
        cross_entropy = -model.log_density(points)
        if isinstance(loss, TruncatedCrossEntropy) and loss.scale == "absolute" and loss.mask == "current":
            objective = float(np.maximum(cross_entropy, loss.floor).mean())
        else:
            objective = float((weights * cross_entropy).mean())
        return Fit.weighted(model, objective, weights, n_iter=n_iter, vacuous=vacuous, boundary=boundary)

    def _fit_absolute(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[Gaussian]:
        """Exact minimiser of the hinge form (slugs density-wall, hinge-form); see kernels.gaussian."""
        from tce_theory.kernels import gaussian as kernel

        critical_std = _critical_std(loss)
        mean, deviations, std = self._cross_entropy(points)
        if std >= critical_std:  # nothing is masked
            return self._fit(self._replace(mean, std), points, loss, np.ones(points.size), n_iter=0)
        ratio = std / critical_std
        centre, q, left, right, total_left, total_right, steps, vacuous = kernel.fit_absolute(
            deviations / critical_std, 0.0, ratio * ratio, self.fit_mean, np.empty((4, kernel.FEW + 1))
        )
        model = self._replace(mean + critical_std * centre, critical_std * math.sqrt(q))
        weights, boundary = _hinge_weights(
            deviations / critical_std - centre,
            q,
            (left - centre, right - centre),
            (total_left, total_right),
            fit_mean=self.fit_mean,
        )
        if vacuous:
            weights = np.zeros(points.size)
        return self._fit(model, points, loss, weights, n_iter=steps, vacuous=vacuous, boundary=boundary)

    def _fit_relative(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[Gaussian]:
        """Smallest self-consistent fixed point around a fixed centre (slug relative-fixed-point)."""
        from tce_theory.kernels import gaussian as kernel

        mean, deviations, std = self._cross_entropy(points)
        if std == 0:
            raise DegenerateFitError("data are identical: a relative threshold leaves the scale undetermined")
        y = deviations / std
        q, _, steps = kernel.fit_relative(y, 0.0, 1.0, loss.relative_radius)
        weights = (y * y >= kernel.relative_radius2(loss.relative_radius, q)).astype(np.float64)
        return self._fit(self._replace(mean, std * math.sqrt(q)), points, loss, weights, n_iter=steps)

    def _fit_previous(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[Gaussian]:
        """Cross-entropy fit to the points that the previous model does not mask; that model where too few are left."""
        from tce_theory.kernels import gaussian as kernel

        radius = (
            loss.relative_radius
            if loss.scale == "relative"
            else float(kernel.previous_radius(self.std, _critical_std(loss)))
        )
        with np.errstate(over="ignore"):
            kept = np.abs(points - self.mean) >= radius * self.std
        weights = kept.astype(np.float64)
        if kept.sum() < (2 if self.fit_mean else 1):
            return self._fit(self, points, loss, weights, n_iter=0, vacuous=True)
        mean, _, std = self._cross_entropy(points[kept])
        if std == 0:
            raise DegenerateFitError("the data that the previous model leaves unmasked are identical")
        return self._fit(self._replace(mean, std), points, loss, weights, n_iter=0)

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        supply, minimum = regime.supply(sizes), self._minimum_samples(loss)
        if supply.fitted.min() < minimum:
            admissible = f"at least {minimum} for {loss!r}, or no scale can be fitted"
            raise DomainError("n_samples", int(supply.fitted.min()), admissible)
        return _GaussianRecursion(self, loss, supply, sampler, decoding)


def _critical_std(loss: TruncatedCrossEntropy) -> float:
    """Scale at which the peak density reaches the threshold."""
    return 1 / (loss.gamma * math.sqrt(2 * math.pi))


def _hinge_weights(
    y: np.ndarray, q: float, ends: tuple[float, float], totals: tuple[float, float], *, fit_mean: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of each point, and which lie on the boundary, from the fit in units of the critical scale.

    Points `y` and `ends` (on the boundary left and right of the mean, or NaN) are relative to the mean; `totals` are
    the weights of all points on either side. The sides matter where the mean is fitted; where it is known, points at
    one distance have one weight.
    """
    from tce_theory.kernels import gaussian as kernel

    y2 = y * y
    known = [end * end for end in ends if not math.isnan(end)] or [kernel.radius2_at(q)]
    sides = [(known[0] if math.isnan(end) else end * end) for end in ends]
    groups = list(zip(sides, totals, (y < 0, y >= 0), strict=True))
    if not fit_mean or min(sides) <= _SAME_DISTANCE:  # at the centre there are no sides either
        groups = [(known[0], sum(totals), np.ones(y.size, bool))]
    weights, boundary = np.zeros(y.size), np.zeros(y.size, bool)
    for radius2, total, side in groups:
        on = side & (np.abs(y2 - radius2) <= _SAME_DISTANCE)
        beyond = side & ~on & (y2 > radius2)
        weights[beyond] = 1
        if on.any():
            weights[on] = np.clip((total - np.count_nonzero(beyond)) / np.count_nonzero(on), 0, 1)
        boundary |= on
    return weights, boundary


class _GaussianRecursion(Recursion):
    """Blocks of the Gaussian recursion: sufficient statistics in law where the fit allows it, else points."""

    def __init__(self, model: Gaussian, loss: Loss, supply: Supply, sampler: str, decoding: Decoding | None) -> None:
        self.model, self.loss, self.supply = model, loss, supply
        self.spread = math.sqrt(decoding.factor) if isinstance(decoding, VarianceScaling) else 1.0
        self.in_law = isinstance(loss, CrossEntropy) and sampler == "auto" and supply.memory != SUBSAMPLE
        self.cost = 1.0 if self.in_law else float(supply.fitted.mean())
        self.block_size = block_size_for(self.cost)
        self.stream = "statistics" if self.in_law else "points"

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        shape = (replicates, self.supply.drawn.size + 1)
        mean, fraction = np.empty(shape), np.empty(shape)
        exponent = np.zeros(shape, np.int32)
        masked = np.empty(shape if "masked_weight" in metrics else (0, 0))
        vacuous = np.zeros(replicates, np.int64)
        # the exponent stays 0 unless the scale comes near the end of the range of a float
        middling = 1e-150 < self.model.std < 1e150
        start = (self.model.std, 0) if middling else math.frexp(self.model.std)
        mean[:, 0], fraction[:, 0], exponent[:, 0] = self.model.mean, *start
        if masked.size:
            masked[:, 0] = np.nan
        self._advance(rng, mean, fraction, exponent, masked, vacuous, control)
        if control.stop[0]:
            return Block({}, {})
        with np.errstate(over="ignore", under="ignore"):  # beyond the range of a float: 0 or inf, and flagged
            computed = self._computed(functions, mean, np.ldexp(fraction, exponent))
            return self._block(metrics, mean, fraction, exponent, masked, vacuous, computed)

    def _computed(
        self, functions: Mapping[str, Callable[[Any], float]], mean: np.ndarray, std: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Apply functions of a model to every model; NaN where its scale is beyond the range of a float."""
        computed = {name: np.full(mean.shape, np.nan) for name in functions}
        if functions:
            for where in np.argwhere((std > 0) & np.isfinite(std)):
                model = self.model._replace(mean[tuple(where)], std[tuple(where)])
                for name, function in functions.items():
                    computed[name][tuple(where)] = function(model)
        return computed

    def _block(
        self,
        metrics: Sequence[str],
        mean: np.ndarray,
        fraction: np.ndarray,
        exponent: np.ndarray,
        masked: np.ndarray,
        vacuous: np.ndarray,
        computed: dict[str, np.ndarray],
    ) -> Block:
        """Metrics and events from the path of mean and scale."""
        log_std = np.log(fraction) if set(metrics) - {"mean", "std", "w2_squared", "masked_weight"} else fraction
        underflow = np.full(mean.shape[0], -1, np.int64)
        std = fraction
        if exponent.any():
            log_std = np.log(fraction) + exponent * math.log(2)
            std = np.ldexp(fraction, exponent)
            lost = (std == 0) | np.isinf(std)
            underflow = np.where(lost.any(axis=1), lost.argmax(axis=1), -1)
        built_in = {name: self._metric(name, mean, std, log_std, masked) for name in metrics}
        last_log_scale = np.log(fraction[:, -1]) + exponent[:, -1] * math.log(2)
        return Block({**built_in, **computed}, {"vacuous": vacuous, "underflow": underflow}, last_log_scale)

    def _advance(
        self,
        rng: np.random.Generator,
        mean: np.ndarray,
        fraction: np.ndarray,
        exponent: np.ndarray,
        masked: np.ndarray,
        vacuous: np.ndarray,
        control: Control,
    ) -> None:
        from tce_theory.kernels import gaussian as kernel

        model = self.model
        supply = self.supply
        drawn = (supply.synthetic, supply.fresh, supply.fresh_share, supply.memory, self.spread)
        common = (model.fit_mean, model.ddof, model.mean, model.std, mean, fraction, exponent)
        shared = (control.stop, control.progress, control.slot)
        if self.in_law:
            kernel.advance_law(rng, *drawn, *common, *shared)
            if masked.size:
                masked[:, 1:] = 0.0
            return
        rule, threshold = kernel.CE, 0.0
        if isinstance(self.loss, TruncatedCrossEntropy):
            absolute = self.loss.scale == "absolute"
            threshold = _critical_std(self.loss) if absolute else self.loss.relative_radius
            if self.loss.mask == "previous":
                rule = kernel.PREVIOUS_ABSOLUTE if absolute else kernel.PREVIOUS_RELATIVE
            else:
                rule = kernel.ABSOLUTE if absolute else kernel.RELATIVE
        kernel.advance_points(rng, *drawn, rule, threshold, *common, masked, vacuous, *shared)

    def _metric(
        self, name: str, mean: np.ndarray, std: np.ndarray, log_std: np.ndarray, masked: np.ndarray
    ) -> np.ndarray:
        mean0, std0, log_std0 = self.model.mean, self.model.std, math.log(self.model.std)
        match name:
            case "mean":
                return mean
            case "std":
                return std
            case "log_std":
                return log_std
            case "entropy":
                return np.asarray(measures.gaussian_entropy(log_std))
            case "kl_from_origin":
                return np.asarray(measures.gaussian_kl(mean0, log_std0, mean, log_std))
            case "kl_to_origin":
                return np.asarray(measures.gaussian_kl(mean, log_std, mean0, log_std0))
            case "w2_squared":
                return np.asarray(measures.gaussian_w2_squared(mean, std, mean0, std0))
            case _:
                return masked
