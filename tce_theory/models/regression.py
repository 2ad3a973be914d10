"""Linear regression with relabelling: the one supervised family."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tce_theory.decoding import Decoding, VarianceScaling
from tce_theory.errors import DegenerateFitError, DomainError
from tce_theory.fitting import Counts, Fit
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy
from tce_theory.models._agreement import check_density, check_largest_entropy
from tce_theory.models.base import Block, Control, Model, Recursion, block_size_for
from tce_theory.models.generic import GenericRecursion
from tce_theory.regimes import SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import boolean, finite_array, generator, one_of, positive_integer, positive_number

__all__ = ["LinearRegression"]

_LOG_ROOT = 0.5 * math.log(2 * math.pi)
_ROUNDING = 1e-14  # residuals of labels that differ from a fit by rounding alone, relative to the largest label
_SAME = 1e-9  # values of the hinge, and weights, that differ by less are the same
_DOUBTFUL = 1e-4  # weights that are farther than this from 0 and 1, before the fit is polished, are on the boundary
_MOST_REPAIRS = 20


@dataclass(frozen=True, eq=False)
class LinearRegression(Model):
    """Law of a label given its input, N(x·w, std²), with fitted coefficients w and a noise that is known or fitted.

    Each generation labels inputs with the model before it and is fitted to them. Test inputs are standard normal.

    Parameters
    ----------
    coefficients : array_like, shape (d,)
        The coefficients w.
    noise_std : float
        Standard deviation of the noise of every label, above 0.
    design : {"fresh", "shared"} or array_like of shape (m, d)
        Where inputs come from: standard normal ones, new for every generation; standard normal ones that all
        generations of a replicate share (Gerstgrasser et al. 2024); or the rows given, for all replicates.
    fit_noise : bool
        Whether fits estimate the noise, too (maximum likelihood); otherwise it is known and stays, as in the sources.

    Raises
    ------
    DomainError
        If a parameter is not admissible.

    See Also
    --------
    tce_theory.theory.regimes.regression_replace_error : closed form of the excess error in the regime `Replace`.
    tce_theory.theory.regimes.regression_accumulate_error : that in the regime `Accumulate`, with a shared design.

    Notes
    -----
    Slug `accumulate`; Gerstgrasser et al. (2024), Dohmatob et al. (2024). Data for a fit are an array (n, d + 1) with
    the label in the last column; densities are those of a label given its input.

    TCE on the absolute scale minimises max(−log p, −log gamma). It is convex, in the coefficients or, if the noise is
    fitted, in coefficients over noise and one over noise. With known noise TCE masks small residuals, or, where the
    density never reaches gamma, nothing: noise that is known cannot collapse, and what is masked is information lost.
    With fitted noise all is as for `Gaussian`: the noise never falls below the floor (slug `density-floor`).

    If some coefficients mask all labels, the fit has the least largest residual (and the largest admissible noise).

    With a design that is shared or given, `AccumulateSubsample` may take too few different rows of it to determine the
    coefficients, which ends the run with a DegenerateFitError: n has to be several times d.

    Examples
    --------
    >>> model = LinearRegression([1.0, -2.0], 0.5)
    >>> model.sample(2, seed=1).shape
    (2, 3)
    >>> import tce_theory as tce
    >>> run = tce.simulate(model, tce.CrossEntropy(), n_samples=20, generations=5, replicates=1000, seed=1)
    >>> float(run.metrics["excess_error"][:, 5].mean().round(2))  # 5 · 0.25 · 2 / (20 − 2 − 1) = 0.147
    0.15
    """

    coefficients: np.ndarray
    noise_std: float
    _: KW_ONLY
    design: str | np.ndarray = "fresh"
    fit_noise: bool = False

    metric_names = (
        "excess_error",
        "error_along",
        "error_across",
        "coefficient_norm",
        "noise_std",
        "log_noise_std",
        "entropy",
        "kl_from_origin",
        "kl_to_origin",
        "masked_weight",
    )
    default_metrics = ("excess_error", "error_along", "coefficient_norm", "entropy")

    def __post_init__(self) -> None:
        coefficients = finite_array("coefficients", self.coefficients).copy()
        coefficients.flags.writeable = False
        object.__setattr__(self, "coefficients", coefficients)
        object.__setattr__(self, "noise_std", positive_number("noise_std", self.noise_std))
        object.__setattr__(self, "fit_noise", boolean("fit_noise", self.fit_noise))
        if isinstance(self.design, str):
            one_of("design", self.design, ("fresh", "shared"))
            return
        design = finite_array("design", self.design, ndim=2).copy()
        d = coefficients.size
        if design.shape[1] != d or np.linalg.matrix_rank(design) < d:
            raise DomainError(
                "design", f"an array of shape {design.shape}", f"'fresh', 'shared' or rows of rank d = {d}"
            )
        design.flags.writeable = False
        object.__setattr__(self, "design", design)

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points, float64 (n, d + 1): inputs, and the label last.

        Inputs are standard normal, or the rows of a given design in turn.
        """
        rng, n = generator(seed), positive_integer("n", n)
        if isinstance(self.design, str):
            return self.label(rng.standard_normal((n, self.coefficients.size)), rng)
        return self.label(self.design[np.arange(n) % len(self.design)], rng)

    def label(self, inputs: ArrayLike, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw a label for each input.

        Parameters
        ----------
        inputs : array_like, shape (n, d)
        seed : int or numpy.random.Generator, optional

        Returns
        -------
        float64 array (n, d + 1)
            The inputs, and the label last.

        Examples
        --------
        >>> LinearRegression([1.0, -2.0], 1e-9).label([[3.0, 1.0]], seed=0).round(6)
        array([[3., 1., 1.]])
        """
        rng = generator(seed)
        inputs = self._inputs("inputs", inputs, 0)
        labels = inputs @ self.coefficients + self.noise_std * rng.standard_normal(len(inputs))
        return np.column_stack([inputs, labels])

    def _inputs(self, argument: str, value: Any, more: int) -> np.ndarray:
        points = finite_array(argument, value, ndim=2)
        columns = self.coefficients.size + more
        if points.shape[1] != columns:
            shape = f"an array of shape (n, {columns})" + (", the label last" if more else "")
            raise DomainError(argument, f"shape {points.shape}", shape)
        return points

    def log_density(self, points: ArrayLike) -> np.ndarray:
        """Logarithm of the density of each label given its input, for points (n, d + 1)."""
        points = self._inputs("points", points, 1)
        with np.errstate(over="ignore"):
            z = (points[:, -1] - points[:, :-1] @ self.coefficients) / self.noise_std
            return np.asarray(-0.5 * z**2 - math.log(self.noise_std) - _LOG_ROOT)

    def entropy(self) -> float:
        """Differential entropy of a label given its input, in nats."""
        return 0.5 + _LOG_ROOT + math.log(self.noise_std)

    def peak(self) -> float:
        return math.exp(-_LOG_ROOT) / self.noise_std

    def kl_divergence(self, other: LinearRegression) -> float:
        """Kullback–Leibler divergence KL(self‖other) of labels, in nats, averaged over standard normal inputs."""
        if not isinstance(other, LinearRegression) or other.coefficients.size != self.coefficients.size:
            raise DomainError("other", other, f"a LinearRegression model with {self.coefficients.size} coefficients")
        error = float(((self.coefficients - other.coefficients) ** 2).sum())
        return float(_kl(error, math.log(self.noise_std), math.log(other.noise_std)))

    def measure(self, metric: str, origin: LinearRegression) -> float:
        shift = self.coefficients - origin.coefficients
        summary = np.array(
            [
                (shift**2).sum(),
                shift @ _direction(origin.coefficients),
                (self.coefficients**2).sum(),
                math.log(self.noise_std),
            ]
        )
        if metric == "masked_weight" or metric not in self.metric_names:
            raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names[:-1])))
        return float(_metric(metric, summary, math.log(origin.noise_std)))

    def decoded(self, decoding: Decoding | None) -> LinearRegression:
        factor = decoding.factor if isinstance(decoding, VarianceScaling) else 1.0
        return self._replace(self.coefficients, math.sqrt(factor) * self.noise_std)

    def _replace(self, coefficients: np.ndarray, noise_std: float) -> LinearRegression:
        """As the class does, but without looking at the design once more."""
        model = copy.copy(self)
        coefficients = finite_array("coefficients", coefficients)
        coefficients.flags.writeable = False
        object.__setattr__(model, "coefficients", coefficients)
        object.__setattr__(model, "noise_std", positive_number("noise_std", noise_std))
        return model

    # --- what goes with what ---

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        name = type(self).__name__
        check_density(name, loss, decoding)
        if not isinstance(loss, TruncatedCrossEntropy):
            return
        if self.fit_noise and loss.scale == "relative" and loss.mask == "current" and loss.relative_radius > 1:
            raise DomainError(
                "gamma", loss.gamma, "at least e^(-1/2) = 0.606531 for the relative scale, or no fixed point exists"
            )
        if loss.scale == "absolute" and not 0 < _critical_std(loss) < math.inf:
            raise DomainError("gamma", loss.gamma, "between 2.3e-309 and 7.1e307, or the critical scale is no float")
        # with known noise all that is vacuous has the same entropy
        check_largest_entropy(name, loss, self.fit_noise and loss.mask == "current" and loss.scale == "absolute")

    def _minimum_samples(self, loss: Loss) -> int:
        """Points that determine a fit: as many as coefficients, and one more for the noise (TCE's has a wall)."""
        walled = isinstance(loss, TruncatedCrossEntropy) and loss.scale == "absolute" and loss.mask == "current"
        return self.coefficients.size + (1 if self.fit_noise and not walled else 0)

    # --- fits ---

    def fit(self, data: Any, loss: Loss) -> Fit[LinearRegression]:
        if isinstance(data, Counts):
            raise DomainError("data", data, "an array of points: Counts are for discrete families")
        points = self._inputs("data", data, 1)
        self.check(loss, Replace())
        minimum = self._minimum_samples(loss)
        if len(points) < minimum:
            raise DomainError("data", f"{len(points)} points", f"at least {minimum} points")
        if isinstance(loss, TruncatedCrossEntropy):
            if loss.mask == "previous":
                return self._fit_previous(points, loss)
            if self.fit_noise and loss.scale == "relative":
                return self._fit_relative(points, loss)
            return self._fit_hinge(points, loss)
        shift, residuals = self._least_squares(points)
        return self._fit(shift, self._std(residuals), points, loss, np.ones(len(points)), n_iter=0)

    def _least_squares(self, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Shift of the coefficients from this model's to those of least squares, and the residuals."""
        inputs = points[:, :-1]
        expected, labels = inputs @ self.coefficients, points[:, -1]
        residuals = labels - expected
        shift, _, rank, _ = np.linalg.lstsq(inputs, residuals)
        if rank < self.coefficients.size:
            raise DegenerateFitError(
                f"inputs have rank {rank}, below {self.coefficients.size}: they do not determine the coefficients"
            )
        residuals = residuals - inputs @ shift
        if np.abs(residuals).max() <= _ROUNDING * max(np.abs(labels).max(), np.abs(expected).max()):
            residuals[:] = 0.0
        return shift, residuals

    def _std(self, residuals: np.ndarray) -> float:
        """Noise of a fit: fitted to the residuals, or known."""
        if not self.fit_noise:
            return self.noise_std
        std = _root_mean_square(residuals)
        if std == 0:
            raise DegenerateFitError("labels are fitted to within rounding: the likelihood of the noise has no maximum")
        return std

    def _floor(self, loss: TruncatedCrossEntropy) -> float:
        """Loss floor; with known noise a relative threshold is an absolute one."""
        if loss.scale == "absolute":
            return loss.floor
        return loss.floor + math.log(self.noise_std) + _LOG_ROOT

    def _fit(
        self,
        shift: np.ndarray,
        std: float,
        points: np.ndarray,
        loss: Loss,
        weights: np.ndarray,
        *,
        n_iter: int,
        vacuous: bool = False,
        boundary: np.ndarray | None = None,
    ) -> Fit[LinearRegression]:
        model = self._replace(self.coefficients + shift, std)
        cross_entropy = -model.log_density(points)
        hinge = isinstance(loss, TruncatedCrossEntropy) and loss.mask == "current"
        if hinge and not (self.fit_noise and loss.scale == "relative"):  # type: ignore[attr-defined]
            objective = float(np.maximum(cross_entropy, self._floor(loss)).mean())  # type: ignore[arg-type]
        else:
            objective = float((weights * cross_entropy).mean())
        return Fit.weighted(model, objective, weights, n_iter=n_iter, vacuous=vacuous, boundary=boundary)

    def _fit_previous(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[LinearRegression]:
        """Least squares on the labels that this model does not mask; this model where they do not determine a fit."""
        kept = -self.log_density(points) >= self._floor(loss)
        weights = kept.astype(np.float64)
        rest = points[kept]
        if len(rest) < self._minimum_samples(loss) or np.linalg.matrix_rank(rest[:, :-1]) < self.coefficients.size:
            return self._fit(
                np.zeros_like(self.coefficients), self.noise_std, points, loss, weights, n_iter=0, vacuous=True
            )
        shift, residuals = self._least_squares(rest)
        return self._fit(shift, self._std(residuals), points, loss, weights, n_iter=0)

    def _fit_relative(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[LinearRegression]:
        """Smallest self-consistent noise around the least-squares fit to all points (slug relative-fixed-point)."""
        from tce_theory.kernels import gaussian as kernel

        shift, residuals = self._least_squares(points)
        std = self._std(residuals)
        y = residuals / std
        q, _, steps = kernel.fit_relative(y, 0.0, 1.0, loss.relative_radius)
        weights = (y * y >= kernel.relative_radius2(loss.relative_radius, q)).astype(np.float64)
        return self._fit(shift, std * math.sqrt(q), points, loss, weights, n_iter=steps)

    def _fit_hinge(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[LinearRegression]:
        """Minimiser of the hinge form (slug hinge-form); see kernels.regression."""
        from tce_theory.kernels import regression as kernel

        critical_std = math.exp(self._floor(loss) - _LOG_ROOT)
        shift, residuals = self._least_squares(points)
        scatter, ones = _root_mean_square(residuals), np.ones(len(points))
        if (scatter if self.fit_noise else self.noise_std) >= critical_std:  # nothing is masked
            return self._fit(shift, self._std(residuals), points, loss, ones, n_iter=0)
        known = critical_std / self.noise_std
        # a largest residual up to which some noise masks everything
        radius = math.exp(-0.5) if self.fit_noise else math.sqrt(2 * math.log(known)) / known
        y = residuals / critical_std
        inputs, factor = np.linalg.qr(points[:, :-1])
        x = inputs * math.sqrt(len(y))
        if scatter <= radius * critical_std:
            centre, largest = _least_largest(x, y)
            if largest <= radius:
                std = _widest(largest) * critical_std if self.fit_noise else self.noise_std
                shift = shift + critical_std * math.sqrt(len(y)) * np.linalg.solve(factor, centre)
                return self._fit(shift, std, points, loss, 0 * ones, n_iter=1, vacuous=True)
        b, precision, weights, steps = kernel.fit_hinge(
            x, y, math.exp(0.25) if self.fit_noise else known, self.fit_noise
        )
        b, precision, weights, boundary = _polished(x, y, b, precision, weights, fit_noise=self.fit_noise)
        shift = shift + critical_std * math.sqrt(len(y)) * np.linalg.solve(factor, b / precision)
        std = critical_std / precision if self.fit_noise else self.noise_std
        return self._fit(shift, std, points, loss, weights, n_iter=steps, boundary=boundary)

    # --- recursion ---

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        supply, minimum = regime.supply(sizes), self._minimum_samples(loss)
        if supply.fitted.min() < minimum:
            admissible = f"at least {minimum} for {self.coefficients.size} coefficients and {loss!r}"
            raise DomainError("n_samples", int(supply.fitted.min()), admissible)
        fresh = isinstance(self.design, str) and self.design == "fresh"
        rows = len(self.design) if not isinstance(self.design, str) else int(sizes[0])
        if not fresh and (sizes != rows).any():
            wrong = int(sizes[sizes != rows][0])
            raise DomainError("n_samples", wrong, f"{rows} for all generations, the rows of the design that they share")
        by_rows = not fresh and bool(supply.fresh_share.any())
        if isinstance(loss, CrossEntropy) and sampler == "auto" and supply.memory != SUBSAMPLE and not by_rows:
            return _LawRecursion(self, supply, rows, decoding)
        return (
            GenericRecursion(self, loss, supply, decoding)
            if fresh
            else _DesignRecursion(self, loss, supply, rows, decoding)
        )


def _critical_std(loss: TruncatedCrossEntropy) -> float:
    """Noise at which the peak density reaches the threshold."""
    return 1 / (loss.gamma * math.sqrt(2 * math.pi))


def _root_mean_square(values: np.ndarray) -> float:
    """Without under- or overflow on the way."""
    scale = float(np.abs(values).max())
    return scale * math.sqrt(float(((values / scale) ** 2).mean())) if scale > 0 else 0.0


def _direction(coefficients: np.ndarray) -> np.ndarray:
    """Return the unit vector along the coefficients, or 0."""
    length = _root_mean_square(coefficients) * math.sqrt(coefficients.size)
    return coefficients / length if length > 0 else np.zeros_like(coefficients)


def _kl(error: Any, log_std: Any, log_std_other: Any) -> Any:
    """KL divergence of labels between two models whose coefficients have a squared distance."""
    difference = log_std - log_std_other
    with np.errstate(over="ignore"):
        return 0.5 * (np.expm1(2 * difference) + error * np.exp(-2 * log_std_other)) - difference


def _metric(name: str, summary: np.ndarray, log_std0: float) -> Any:
    """Metrics from squared error, error along the truth, squared norm and log noise, in the last axis."""
    error, along, norm2, log_std = np.moveaxis(summary, -1, 0)
    match name:
        case "excess_error":
            return error
        case "error_along":
            return along
        case "error_across":
            return np.maximum(error - along**2, 0.0)
        case "coefficient_norm":
            return np.sqrt(norm2)
        case "noise_std":
            return np.exp(log_std)
        case "log_noise_std":
            return log_std
        case "entropy":
            return log_std + (0.5 + _LOG_ROOT)
        case "kl_from_origin":
            return _kl(error, log_std0, log_std)
        case _:
            return _kl(error, log_std, log_std0)


def _widest(largest: float) -> float:
    """Largest noise, in units of the critical one, at which the density reaches the threshold at a residual."""
    from tce_theory.kernels import gaussian as kernel

    return math.sqrt(kernel.upper_variance(largest * largest))


def _least_largest(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Coefficients with the least largest residual, and that residual (Chebyshev), by linear programming."""
    from scipy.optimize import linprog

    n, d = x.shape
    scale = float(np.abs(y).max())
    if scale == 0:
        return np.zeros(d), 0.0
    ones = np.ones((n, 1))
    rows = np.block([[x, -ones], [-x, -ones]])
    found = linprog(
        np.append(np.zeros(d), 1.0),
        A_ub=rows,
        b_ub=np.concatenate([y, -y]) / scale,
        bounds=(None, None),
        method="highs-ds",
    )
    centre = scale * found.x[:-1]
    return centre, float(np.abs(y - x @ centre).max())


def _polished(
    x: np.ndarray, y: np.ndarray, b: np.ndarray, precision: float, weights: np.ndarray, *, fit_noise: bool
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Solve the conditions of optimality to rounding, from a fit that is nearly optimal.

    They are: Σ w_i ∇f_i = 0, f_i = 0 on the boundary, and weights 1 where f_i > 0, 0 where f_i < 0; what is on which
    side is mended until it fits. If that fails (points in a degenerate position) the fit stays as it was given.
    """
    side = np.where(weights > 0.5, 1, -1)
    side[(weights > _DOUBTFUL) & (weights < 1 - _DOUBTFUL)] = 0
    theta, w = np.append(b, precision), np.where(side == 0, weights, (side + 1) / 2)
    for _ in range(_MOST_REPAIRS):
        theta, w, f = _solve_conditions(x, y, theta, w, side == 0, fit_noise=fit_noise)
        wrong_weight = (side == 0) & ((w < -_SAME) | (w > 1 + _SAME))
        wrong_side = (side != 0) & (side * f < -_SAME)
        if not np.isfinite(theta).all() or theta[-1] <= 0:
            break
        if not (wrong_weight.any() or wrong_side.any()):
            if np.abs(f[side == 0]).max(initial=0.0) > _SAME:
                break
            return theta[:-1], float(theta[-1]), w.clip(0, 1), side == 0
        side[wrong_weight] = np.where(w[wrong_weight] > 1, 1, -1)
        side[wrong_side] = 0
        w = np.where(side == 0, w.clip(0, 1), (side + 1) / 2)
    return b, precision, weights, (weights > _DOUBTFUL) & (weights < 1 - _DOUBTFUL)


def _solve_conditions(
    x: np.ndarray, y: np.ndarray, theta: np.ndarray, w: np.ndarray, boundary: np.ndarray, *, fit_noise: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Newton's method on the conditions, with given sides; returns parameters, weights, and the values f."""
    d, size = x.shape[1], x.shape[1] + fit_noise
    a = np.column_stack([-x, y])[:, :size]
    theta, w, on = theta.copy(), w.copy(), np.flatnonzero(boundary)
    for last in (False, False, False, False, False, True):
        s = theta[d] * y - x @ theta[:d]
        f = 0.5 * s * s - math.log(theta[d]) if theta[d] > 0 else np.full(s.size, np.nan)
        if last or not np.isfinite(f).all():
            break
        g = s[:, None] * a
        if fit_noise:
            g[:, d] -= 1 / theta[d]
        matrix = np.zeros((size + on.size, size + on.size))
        matrix[:size, :size] = (w[:, None] * a).T @ a
        if fit_noise:
            matrix[d, d] += w.sum() / theta[d] ** 2
        matrix[:size, size:], matrix[size:, :size] = g[on].T, g[on]
        step = np.linalg.lstsq(matrix, -np.concatenate([w @ g, f[on]]))[0]
        theta[:size] += step[:size]
        w[on] += step[size:]
        if np.abs(step).max(initial=0.0) < 1e-14:
            break
    return theta, w, f


class _GivenDesignRecursion(GenericRecursion):
    """Point by point, with the rows of a given design."""

    model: LinearRegression

    def __init__(
        self, model: LinearRegression, loss: Loss, supply: Supply, rows: int, decoding: Decoding | None
    ) -> None:
        super().__init__(model, loss, supply, decoding)
        self.rows = rows

    def _data(self, rng: np.random.Generator, step: int, model: Any, pool: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        share = self.supply.fresh_share[step]
        if share == 0:  # whole copies of the design: `sample` takes its rows in turn
            return super()._data(rng, step, model, pool)
        fresh = rng.random(self.rows) < share
        design = self.model.design
        parts = [(self.model, design[fresh]), (model.decoded(self.decoding), design[~fresh])]
        return np.concatenate([teacher.label(rows, rng) for teacher, rows in parts if len(rows)]), pool


class _DesignRecursion(_GivenDesignRecursion):
    """Point by point, with one design for all generations of a replicate."""

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        blocks = []
        for _ in range(replicates):
            model = self._with_design(rng)
            one = _GivenDesignRecursion(model, self.loss, self.supply, self.rows, self.decoding)
            blocks.append(one.run_block(rng, 1, metrics, functions, control))
            if control.stop[0]:
                return Block({}, {})
        return Block(
            {name: np.concatenate([block.metrics[name] for block in blocks]) for name in blocks[0].metrics},
            {name: np.concatenate([block.events[name] for block in blocks]) for name in blocks[0].events},
        )

    def _with_design(self, rng: np.random.Generator) -> LinearRegression:
        model = self.model
        if not isinstance(model.design, str):
            return model
        design = rng.standard_normal((self.rows, model.coefficients.size))
        return LinearRegression(model.coefficients, model.noise_std, design=design, fit_noise=model.fit_noise)


class _LawRecursion(Recursion):
    """Least squares by statistics in law."""

    stream = "statistics"

    def __init__(self, model: LinearRegression, supply: Supply, rows: int, decoding: Decoding | None) -> None:
        self.model, self.supply, self.rows = model, supply, rows
        self.spread = math.sqrt(decoding.factor) if isinstance(decoding, VarianceScaling) else 1.0
        d = model.coefficients.size
        self.cost = 0.5 * (d + 1) * (d + 2)
        self.block_size = block_size_for(self.cost)

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        from tce_theory.kernels import regression as kernel

        model, supply = self.model, self.supply
        d, columns = model.coefficients.size, supply.drawn.size + 1
        unit, log_unit = model.noise_std, math.log(model.noise_std)
        truth, direction = model.coefficients / unit, _direction(model.coefficients)
        summary = np.zeros((replicates, columns, 4))
        summary[:, 0, kernel.NORM2] = (truth**2).sum()
        path = np.zeros((replicates, columns, d) if functions else (0, 0, 0))
        shared = not isinstance(model.design, str) or model.design == "shared"
        given = np.zeros((0, 0)) if isinstance(model.design, str) else np.linalg.qr(model.design, mode="r")
        kernel.advance_law(
            rng, supply.synthetic, supply.fresh, supply.fresh_share, supply.memory, self.spread, model.fit_noise,
            shared, given, self.rows, truth, direction, summary, path, control.stop, control.progress, control.slot,
        )  # fmt: skip
        if control.stop[0]:
            return Block({}, {})
        summary *= [unit**2, unit, unit**2, 1.0]
        summary[..., kernel.LOG_STD] += log_unit
        std = np.exp(summary[..., kernel.LOG_STD])
        values = {name: _metric(name, summary, log_unit) for name in metrics if name != "masked_weight"}
        if "masked_weight" in metrics:
            values["masked_weight"] = np.where(np.arange(columns) > 0, np.zeros(std.shape), np.nan)
        values |= self._computed(functions, path, std)
        events = {"vacuous": np.zeros(replicates, np.int64)}
        if not model.fit_noise:
            return Block(values, events)
        lost = std == 0
        events["underflow"] = np.where(lost.any(axis=1), lost.argmax(axis=1), -1)
        return Block(values, events, summary[:, -1, kernel.LOG_STD])

    def _computed(
        self, functions: Mapping[str, Callable[[Any], float]], path: np.ndarray, std: np.ndarray
    ) -> dict[str, np.ndarray]:
        """Apply functions of a model to every model; NaN where its noise is below the range of a float."""
        computed = {name: np.full(std.shape, np.nan) for name in functions}
        if functions:
            for where in map(tuple, np.argwhere(std > 0)):
                model = self.model._replace(self.model.coefficients + self.model.noise_std * path[where], std[where])
                for name, function in functions.items():
                    computed[name][where] = function(model)
        return computed
