"""The multivariate Gaussian family: full, diagonal or isotropic covariance."""

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
from tce_theory.regimes import FORGET, KEEP, SUBSAMPLE, Regime, Replace, Supply
from tce_theory.validation import boolean, finite_array, generator, one_of, positive_integer

__all__ = ["MultivariateGaussian"]

_MOST_DIMENSIONS = 100
_STRUCTURES = ("full", "diagonal", "isotropic")
_MOST_GAP = 1e-10  # nats a dimension between a fit and its dual bound
_MOST_LOG_DENSITY = 600.0  # of a threshold, beside that of a standard normal law
_LOG_2PI = math.log(2 * math.pi)


@dataclass(frozen=True, eq=False)
class MultivariateGaussian(Model):
    """Normal law in d dimensions with a fitted covariance matrix, and a mean that is fitted or known.

    Parameters
    ----------
    mean : array_like, shape (d,)
        For d from 1 to 100.
    cov : array_like, shape (d, d)
        Symmetric and positive definite.
    structure : {"full", "diagonal", "isotropic"}
        What fits estimate of the covariance matrix: all of it, one variance for each axis, or one for all axes. `cov`
        has to have that form.
    fit_mean : bool
        Whether fits estimate the mean; otherwise it is known and stays.
    ddof : int
        0 for the maximum-likelihood covariance, 1 for the unbiased one (cross entropy alone).

    Raises
    ------
    DomainError
        If a parameter is not admissible.

    See Also
    --------
    Gaussian : the same in one dimension.
    tce_theory.theory.wall.condition_number_drift : how fast the shape is lost under cross entropy.
    tce_theory.theory.truncated.relative_fixed_point : relative truncation on the population.

    Notes
    -----
    Slugs `shape-collapse` and `relative-fixed-point`. Relative TCE with the mask of the model being fitted iterates
    from the cross-entropy fit, about a fixed centre, until the masked points are those within the radius a of the
    model. The step from a matrix S to that of the points outside takes away points with y yᵀ ≼ (yᵀ S⁻¹ y) S ≼ a² S.
    For a ≤ 1 they are no larger than S in every direction, so that the matrices increase (in the Loewner order), the
    masked set grows, and the iteration ends at the smallest of all self-consistent fits, which always exists. With an
    isotropic structure traces alone matter, and the same holds up to a² = d. For the other structures a > 1 is refused,
    because a sample need not have any self-consistent fit: of samples of 8 points in two dimensions, a full covariance,
    12 % have none at a = 1.1 and 45 % at a = 1.3, by trying all sets of points. More data do not mend that. In two
    dimensions a step of the iteration multiplies a small deviation of the shape from the population's fixed point by
    −a⁴/(4(2 − a²)): points that a fit masks or unmasks can move it back across them; and from a² = √12 − 2 on (a =
    1.21) the factor is below −1, and the fixed point repels. The previous mask takes every a.

    Absolute TCE with the mask of the model being fitted draws and fits in coordinates in which the model before is
    standard, wherever all points come from it, so that condition numbers beyond the range of a float do no harm. Where
    a fit is not certified all the same (event "unsolved": the first such generation, or −1), the replicate ends: the
    model stays what it was, and masked_weight is NaN from there on.

    Examples
    --------
    >>> model = MultivariateGaussian([0.0, 1.0], [[2.0, 0.5], [0.5, 1.0]])
    >>> round(model.entropy(), 6)
    3.117685
    >>> model.sample(3, seed=1).shape
    (3, 2)
    """

    mean: np.ndarray
    cov: np.ndarray
    _: KW_ONLY
    structure: str = "full"
    fit_mean: bool = True
    ddof: int = 0

    metric_names = (
        "mean_drift",
        "log_det",
        "log_condition",
        "entropy",
        "kl_from_origin",
        "kl_to_origin",
        "w2_squared",
        "masked_weight",
    )
    default_metrics = ("mean_drift", "log_det", "entropy")
    results_version = 2

    def __post_init__(self) -> None:
        mean = finite_array("mean", self.mean).copy()
        if mean.size > _MOST_DIMENSIONS:
            raise DomainError("mean", f"{mean.size} numbers", f"a vector of at most {_MOST_DIMENSIONS} numbers")
        one_of("structure", self.structure, _STRUCTURES)
        cov = _covariance(self.cov, mean.size, self.structure)
        object.__setattr__(self, "fit_mean", boolean("fit_mean", self.fit_mean))
        if isinstance(self.ddof, bool) or self.ddof not in (0, 1):
            raise DomainError("ddof", self.ddof, "0 or 1")
        if self.ddof == 1 and not self.fit_mean:
            raise DomainError("ddof", self.ddof, "0 where the mean is known: no degree of freedom is lost")
        self._set(mean, cov, _root_of(cov))

    def _set(self, mean: np.ndarray, cov: np.ndarray, root: np.ndarray) -> None:
        for name, array in (("mean", mean), ("cov", cov), ("_root", root)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @property
    def _factor(self) -> np.ndarray:
        """Lower triangular L with L Lᵀ = cov and a positive diagonal, which fits determine to more digits than cov."""
        factor: np.ndarray = self._root  # type: ignore[attr-defined]
        return factor

    @property
    def dimension(self) -> int:
        """Number of dimensions d."""
        return int(self.mean.size)

    @classmethod
    def from_samples(
        cls, samples: Any, *, structure: str = "full", fit_mean: bool = True, ddof: int = 0, mean: Any = None
    ) -> MultivariateGaussian:
        """Fit generation 0 to data by cross entropy.

        Parameters
        ----------
        samples : array_like, shape (n, d)
            For a full covariance matrix more points than dimensions, not in one hyperplane.
        structure, fit_mean, ddof
            As for the class.
        mean : array_like, shape (d,), optional
            The known mean, if `fit_mean` is False; 0 if not given.

        Returns
        -------
        MultivariateGaussian

        Raises
        ------
        DomainError
            If the samples are not finite numbers in two dimensions, or too few.
        DegenerateFitError
            If the fit is singular.

        Examples
        --------
        >>> MultivariateGaussian.from_samples([[0, 0], [2, 0], [0, 2], [2, 2]]).cov
        array([[1., 0.],
               [0., 1.]])
        """
        d = finite_array("samples", samples, ndim=2).shape[1]
        start = cls(np.zeros(d) if mean is None else mean, np.eye(d), structure=structure, fit_mean=fit_mean, ddof=ddof)
        return start.fit(samples, CrossEntropy()).model

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points, float64 (n, d)."""
        rng = generator(seed)
        return np.asarray(self.mean + rng.standard_normal((positive_integer("n", n), self.dimension)) @ self._factor.T)

    def log_density(self, x: Any) -> np.ndarray:
        """Logarithm of the density at each point; the last axis is that of dimensions."""
        points = np.asarray(x, dtype=np.float64)
        with np.errstate(over="ignore"):
            squares = _distances2(points.reshape(-1, self.dimension) - self.mean, self._factor)
            density = -0.5 * squares - 0.5 * (self._log_det() + self.dimension * _LOG_2PI)
        return density.reshape(points.shape[:-1])

    def _log_det(self) -> float:
        return float(2 * np.log(np.diagonal(self._factor)).sum())

    def entropy(self) -> float:
        """Differential entropy in nats."""
        return 0.5 * (self.dimension * (1 + _LOG_2PI) + self._log_det())

    def peak(self) -> float:
        return math.exp(-0.5 * (self.dimension * _LOG_2PI + self._log_det()))

    def kl_divergence(self, other: MultivariateGaussian) -> float:
        """Kullback–Leibler divergence KL(self‖other) in nats."""
        return self.measure("kl_to_origin", self._same_family(other))

    def w2_squared(self, other: MultivariateGaussian) -> float:
        """Squared 2-Wasserstein distance (Bures)."""
        return self.measure("w2_squared", self._same_family(other))

    def measure(self, metric: str, origin: MultivariateGaussian) -> float:
        if metric not in self.metric_names or metric == "masked_weight":
            raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names[:-1])))
        root = _solve_lower(origin._factor, self._factor)
        mean = _solve_lower(origin._factor, self.mean - origin.mean)
        powers = np.zeros((1, self.dimension), np.int64)
        return float(_Path(origin, mean[None], np.diagonal(root)[None], powers, root[None]).metric(metric)[0])

    def decoded(self, decoding: Decoding | None) -> MultivariateGaussian:
        if not isinstance(decoding, VarianceScaling):
            return self
        return self._with(self.mean, math.sqrt(decoding.factor) * self._factor)

    def _same_family(self, other: Any) -> MultivariateGaussian:
        if not isinstance(other, MultivariateGaussian) or other.dimension != self.dimension:
            raise DomainError("other", other, f"a MultivariateGaussian in {self.dimension} dimensions")
        return other

    def _with(self, mean: np.ndarray, root: np.ndarray) -> MultivariateGaussian:
        """Return the model of this structure with a mean and a factor, which are admissible."""
        model = object.__new__(MultivariateGaussian)
        for name in ("structure", "fit_mean", "ddof"):
            object.__setattr__(model, name, getattr(self, name))
        model._set(np.array(mean), root @ root.T, np.array(root))
        return model

    # --- what goes with what ---

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        name = type(self).__name__
        check_density(name, loss, decoding)
        if not isinstance(loss, TruncatedCrossEntropy):
            return
        if self.ddof != 0:
            raise UnsupportedCombinationError(
                f"{name} with ddof=1 goes with CrossEntropy alone: TCE is maximum likelihood"
            )
        if loss.scale == "relative" and loss.mask == "current":
            self._check_radius(loss)
        check_largest_entropy(name, loss, _is_hinge(loss))

    def _check_radius(self, loss: TruncatedCrossEntropy) -> None:
        """Refuse a radius with which a sample need not have a self-consistent fit."""
        isotropic = self.structure == "isotropic"
        square = self.dimension if isotropic else 1
        if loss.relative_radius**2 > square:
            least = f"at least e^(-{square}/2) = {math.exp(-square / 2):.6g} for the relative scale"
            reason = (
                ", or no fixed point exists"
                if isotropic or self.dimension == 1
                else f" with a {self.structure} covariance, or a sample need not have a self-consistent fit "
                "(structure='isotropic' and mask='previous' take less)"
            )
            raise DomainError("gamma", loss.gamma, least + reason)

    @property
    def _least_points(self) -> int:
        """Fewest points in general position whose covariance matrix is not singular."""
        free = 1 if self.fit_mean else 0
        return free + (self.dimension if self.structure == "full" else 1)

    def _minimum_samples(self, loss: Loss) -> int:
        return 1 if _is_hinge(loss) else self._least_points

    def _too_few(self, n: int, loss: Loss, argument: str, what: str = "") -> DomainError:
        reason = (
            f"{self.dimension} dimensions" + (" and the mean" if self.fit_mean else "")
            if self.structure == "full"
            else f"a {self.structure} covariance" + (" and the mean" if self.fit_mean else "")
        )
        admissible = f"at least {self._minimum_samples(loss)}{what} for {reason}, or the fitted covariance is singular"
        return DomainError(argument, n, admissible)

    # --- fits ---

    def fit(self, data: Any, loss: Loss) -> Fit[MultivariateGaussian]:
        if isinstance(data, Counts):
            raise DomainError("data", data, "an array of points: Counts are for discrete families")
        points = finite_array("data", data, ndim=2)
        self.check(loss, Replace())
        if points.shape[1] != self.dimension:
            raise DomainError("data", f"{points.shape[1]} columns", f"points in {self.dimension} dimensions")
        if points.shape[0] < self._minimum_samples(loss):
            raise self._too_few(points.shape[0], loss, "data", " points")
        if isinstance(loss, TruncatedCrossEntropy):
            if loss.mask == "previous":
                return self._fit_previous(points, loss)
            return self._fit_absolute(points, loss) if loss.scale == "absolute" else self._fit_relative(points, loss)
        model, _ = self._cross_entropy(points)
        return self._fit(model, points, loss, np.ones(points.shape[0]), n_iter=0)

    def _cross_entropy(self, points: np.ndarray) -> tuple[MultivariateGaussian, np.ndarray]:
        """Return the fit and the deviations from its mean, from the points' halves: no under- or overflow on the way.

        Deviations are taken from the first point on, which keeps the digits of data far from 0.
        """
        origin = points[0] if self.fit_mean else self.mean
        half = points / 2 - origin / 2
        scale = np.abs(half).max(axis=0)
        if self.structure == "isotropic":
            scale = np.full_like(scale, scale.max())
        if not scale.all():
            raise DegenerateFitError("data are identical along an axis: the likelihood has no maximum")
        unit = half / scale
        shift = unit.mean(axis=0) if self.fit_mean else np.zeros(self.dimension)
        unit = unit - shift
        root = 2 * scale[:, None] * _factor_of(unit, self.structure, self.ddof)
        with np.errstate(over="ignore", under="ignore"):
            deviations = 2 * (half - scale * shift)
            variances = (root**2).sum(axis=1)
        if not (np.isfinite(deviations).all() and np.isfinite(variances).all() and variances.all()):
            spread = f"points at distances up to {2 * scale.max():g}"
            raise DomainError("data", spread, "points whose variances are within the range of a float")
        return self._with(origin + 2 * (scale * shift), root), deviations

    def _fit(
        self,
        model: MultivariateGaussian,
        points: np.ndarray,
        loss: Loss,
        weights: np.ndarray,
        *,
        n_iter: int,
        vacuous: bool = False,
    ) -> Fit[MultivariateGaussian]:
        objective = float((weights * -model.log_density(points)).mean())
        return Fit.weighted(model, objective, weights, n_iter=n_iter, vacuous=vacuous)

    def _fit_relative(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[MultivariateGaussian]:
        """Self-consistent fixed point about a fixed centre, from the cross-entropy fit on (see the class)."""
        start, deviations = self._cross_entropy(points)
        y = _solve_lower(start._factor, deviations.T).T  # in which the cross-entropy fit is standard
        root, kept, steps = _fixed_point(y, loss.relative_radius, self.structure)
        model = self._with(start.mean, start._factor @ root)
        return self._fit(model, points, loss, kept.astype(np.float64), n_iter=steps)

    def _fit_previous(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[MultivariateGaussian]:
        """Cross-entropy fit to the points that this model does not mask; this model where too few are left."""
        with np.errstate(over="ignore"):
            kept = _distances2(points - self.mean, self._factor) >= self._masked_radius2(loss)
        weights = kept.astype(np.float64)
        if kept.sum() < self._least_points:
            return self._fit(self, points, loss, weights, n_iter=0, vacuous=True)
        return self._fit(self._cross_entropy(points[kept])[0], points, loss, weights, n_iter=0)

    def _masked_radius2(self, loss: TruncatedCrossEntropy) -> float:
        """Squared Mahalanobis radius within which this model masks."""
        if loss.scale == "relative":
            return loss.relative_radius**2
        return max(2 * loss.floor - self.dimension * _LOG_2PI - self._log_det(), 0.0)

    def _fit_absolute(self, points: np.ndarray, loss: TruncatedCrossEntropy) -> Fit[MultivariateGaussian]:
        """Minimiser of the hinge form, with a certificate (slugs hinge-form, entropy-identity)."""
        mean, root, weights, vacuous, steps = self._absolute(points, -loss.floor, singular=True)
        model = self._with(mean, root)
        entropies = -model.log_density(points)
        on_boundary = (weights > 0) & (weights < 1)
        objective = float(np.maximum(entropies, loss.floor).mean())
        return Fit.weighted(model, objective, weights, n_iter=steps, vacuous=vacuous, boundary=on_boundary)

    def _absolute(
        self, points: np.ndarray, log_gamma: float, *, singular: bool
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, bool, int]:
        """Fit to a threshold on densities: mean, factor, weights, whether the case is vacuous, steps.

        In coordinates in which the fit by cross entropy is standard, which keeps the digits of covariances that are
        nearly singular. If there is none, and `singular` allows that, in those of the points.
        """
        from tce_theory.kernels import hinge as kernel

        try:
            start, deviations = self._cross_entropy(points)
        except DegenerateFitError:
            if not singular:
                raise
            y, base, origin = points - self.mean, np.eye(self.dimension), self.mean
        else:
            y, base, origin = _solve_lower(start._factor, deviations.T).T, start._factor, start.mean
            log_gamma += 0.5 * start._log_det()
            if log_gamma > _MOST_LOG_DENSITY:  # far above all densities: nothing is masked
                return origin, base, np.ones(len(points)), False, 0
        if abs(log_gamma) > _MOST_LOG_DENSITY:
            value = f"e^{log_gamma:.6g} where the data have unit spread"
            raise DomainError("gamma", value, "comparable with the densities of fits to the data")
        mean, cov, weights, gap, vacuous, steps = kernel.fit_hinge(
            np.ascontiguousarray(y), math.exp(log_gamma), _STRUCTURES.index(self.structure), self.fit_mean,
            np.zeros(self.dimension),
        )  # fmt: skip
        if not gap <= _MOST_GAP * self.dimension:
            raise DegenerateFitError(f"the fit is not certified: it may be {gap:.3g} nats from the optimum")
        try:
            root = base @ _root_of(cov)
        except np.linalg.LinAlgError:
            raise DegenerateFitError(
                "the fitted covariance is singular up to rounding: its condition number is beyond the range of a float"
            ) from None
        return origin + base @ mean, root, np.asarray(weights), bool(vacuous), int(steps)

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        supply = regime.supply(sizes)
        if supply.fitted.min() < self._minimum_samples(loss):
            raise self._too_few(int(supply.fitted.min()), loss, "n_samples")
        if isinstance(loss, TruncatedCrossEntropy) and _is_hinge(loss):
            return _HingeRecursion(self, loss, supply, decoding)
        if isinstance(loss, CrossEntropy) and sampler == "auto" and supply.memory != SUBSAMPLE:
            return _LawRecursion(self, supply, decoding)
        return _PointsRecursion(self, loss, supply, decoding)


def _is_hinge(loss: Loss) -> bool:
    return isinstance(loss, TruncatedCrossEntropy) and loss.scale == "absolute" and loss.mask == "current"


# --- linear algebra ---


def _covariance(value: Any, d: int, structure: str) -> np.ndarray:
    """Check a covariance matrix."""
    cov = finite_array("cov", value, ndim=2).copy()
    if cov.shape != (d, d):
        raise DomainError("cov", f"an array of shape {cov.shape}", f"of shape {(d, d)}, as there are {d} means")
    diagonal = np.diagonal(cov)
    beside = cov - np.diag(diagonal)
    if structure != "full" and beside.any():
        raise DomainError("cov", _entry(cov, beside != 0), f"diagonal for structure={structure!r}")
    if structure == "isotropic" and (diagonal != diagonal[0]).any():
        unequal = f"{diagonal.min():g} and {diagonal.max():g} on the diagonal"
        raise DomainError("cov", unequal, "a multiple of the identity for structure='isotropic'")
    if (diagonal <= 0).any():
        raise DomainError("cov", float(diagonal.min()), "positive definite, with numbers above 0 on the diagonal")
    scale = np.sqrt(diagonal)
    skew = np.abs(cov - cov.T) / scale / scale[:, None] > 1e-9
    if skew.any():
        raise DomainError("cov", f"{_entry(cov, skew)}, {_entry(cov.T, skew)} opposite", "symmetric")
    cov = cov / 2 + cov.T / 2
    try:
        least = float(np.diagonal(np.linalg.cholesky(cov / scale / scale[:, None])).min())
    except np.linalg.LinAlgError:
        least = 0.0
    if least**2 <= d * np.finfo(np.float64).eps:
        admissible = "positive definite, and not only up to rounding"
        raise DomainError("cov", f"a matrix whose least pivot, for unit variances, is {least**2:g}", admissible)
    return cov


def _entry(matrix: np.ndarray, where: np.ndarray) -> str:
    row, column = np.argwhere(where)[0]
    return f"{matrix[row, column]:g} at {(int(row), int(column))}"


def _root_of(cov: np.ndarray) -> np.ndarray:
    """Cholesky factor of a positive definite matrix, whatever its scale."""
    scale = np.sqrt(np.diagonal(cov))
    return np.asarray(scale[:, None] * np.linalg.cholesky(cov / scale / scale[:, None]))


def _factor_of(unit: np.ndarray, structure: str, ddof: int) -> np.ndarray:
    """Factor of the covariance matrix of centred points, by orthogonal triangularisation."""
    n, d = unit.shape
    if structure != "full":
        squares = (unit**2).sum(axis=0) / (n - ddof)
        return np.diag(np.sqrt(squares if structure == "diagonal" else np.full(d, squares.mean())))
    lengths = np.linalg.norm(unit, axis=0)
    triangle = np.linalg.qr(unit, mode="r")
    diagonal = np.diagonal(triangle)
    if diagonal.size < d or (np.abs(diagonal) <= 4 * d * np.finfo(np.float64).eps * lengths).any():
        raise DegenerateFitError("data lie in a hyperplane: the likelihood has no maximum")
    return np.asarray((triangle * np.sign(diagonal)[:, None]).T / math.sqrt(n - ddof))


def _solve_lower(root: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Solve L x = b, for one vector or for columns, by forward substitution.

    LAPACK's way is slower for few dimensions, by far so where its threads meet others.
    """
    out = np.empty_like(right, dtype=np.float64)
    for i in range(len(root)):
        out[i] = (right[i] - root[i, :i] @ out[:i]) / root[i, i]
    return out


def _distances2(deviations: np.ndarray, root: np.ndarray) -> np.ndarray:
    """Squared Mahalanobis distances, (n,)."""
    return np.asarray((_solve_lower(root, deviations.T) ** 2).sum(axis=0))


def _fixed_point(y: np.ndarray, radius: float, structure: str) -> tuple[np.ndarray, np.ndarray, int]:
    """Iterate fits to the points that the fits before leave unmasked: factor, kept, steps.

    The squared radius is a trifle less, so that rounding does not mask a point at the radius.
    """
    root, kept = np.eye(y.shape[1]), np.ones(len(y), bool)
    for step in range(len(y)):
        after = kept & (_distances2(y, root) >= radius * radius * (1 - 1e-12))
        if (after == kept).all():
            return root, kept, step
        kept = after
        root = _factor_of(y[kept], structure, 0)
    raise DegenerateFitError("the self-consistent fit is singular up to rounding")


def _inverse(unit: np.ndarray) -> np.ndarray:
    """Inverses of lower triangular matrices with a unit diagonal, (…, d, d), by forward substitution."""
    inverse = np.zeros_like(unit)
    for i in range(unit.shape[-1]):
        inverse[:, i : i + 1, :i] = -unit[:, i : i + 1, :i] @ inverse[:, :i, :i]
        inverse[:, i, i] = 1.0
    return inverse


def _log_norm2(matrices: np.ndarray) -> np.ndarray:
    """Logarithm of the squared largest singular value."""
    scale = np.abs(matrices).max(axis=(1, 2))
    unit = matrices / scale[:, None, None]
    return np.asarray(np.log(np.linalg.eigvalsh(unit @ np.swapaxes(unit, 1, 2))[:, -1]) + 2 * np.log(scale))


@dataclass(frozen=True)
class _Path:
    """Models in coordinates in which generation 0, `origin`, is standard.

    Parameters
    ----------
    origin : MultivariateGaussian
    means : array (t, d)
    diagonals : array (t, d)
    powers : int array (t, d)
        Column j of a factor is that of `roots` times 2**powers[j].
    roots : array (t, d, d), optional
        Where it is missing the factor is diagonal.
    """

    origin: MultivariateGaussian
    means: np.ndarray
    diagonals: np.ndarray
    powers: np.ndarray
    roots: np.ndarray | None

    def metric(self, name: str) -> np.ndarray:
        with np.errstate(over="ignore", under="ignore", invalid="ignore"):
            return np.asarray(getattr(self, "_" + name)())

    def _log_diagonal(self) -> np.ndarray:
        return np.asarray(np.log(self.diagonals) + self.powers * math.log(2))

    def _columns(self) -> np.ndarray:
        """Factors, up to the powers of their columns."""
        if self.roots is not None:
            return self.roots
        return np.asarray(self.diagonals[:, :, None] * np.eye(self.origin.dimension))

    def _factors(self) -> np.ndarray:
        return np.asarray(np.ldexp(self._columns(), self.powers[:, None, :]))

    def _mean_drift(self) -> np.ndarray:
        size = np.abs(self.means).max(axis=1, keepdims=True)
        unit = np.where((size > 0) & np.isfinite(size), size, 1.0)
        return np.asarray((np.sqrt(((self.means / unit) ** 2).sum(axis=1, keepdims=True)) * unit)[:, 0])

    def _log_det(self) -> np.ndarray:
        return np.asarray(self.origin._log_det() + 2 * self._log_diagonal().sum(axis=1))

    def _entropy(self) -> np.ndarray:
        return np.asarray(0.5 * (self.origin.dimension * (1 + _LOG_2PI) + self._log_det()))

    def _log_condition(self) -> np.ndarray:
        """From the largest singular values of the factor and of its inverse, each in a scale of its own."""
        at_origin = self.origin._factor
        log_diagonal = self._log_diagonal() + np.log(np.diagonal(at_origin))
        least = log_diagonal.min(axis=1, keepdims=True)
        if self.origin.structure != "full" or self.origin.dimension == 1:
            return np.asarray(2 * (log_diagonal.max(axis=1) - least[:, 0]))
        columns = at_origin @ self._columns()
        top = self.powers.max(axis=1, keepdims=True)
        largest = _log_norm2(np.ldexp(columns, (self.powers - top)[:, None, :])) + 2 * math.log(2) * top[:, 0]
        inverse = _inverse(columns / np.diagonal(columns, axis1=1, axis2=2)[:, None, :])
        inverse *= np.exp(least - log_diagonal)[:, :, None]
        return np.asarray(np.maximum(largest + _log_norm2(inverse) - 2 * least[:, 0], 0.0))

    def _kl_to_origin(self) -> np.ndarray:
        """Sum of nonnegative terms, so that it is accurate where the laws are close."""
        below = np.tril(self._factors(), -1)
        diagonal = measures.gaussian_kl(0.0, self._log_diagonal(), 0.0, 0.0)
        squares = (below**2).sum(axis=(1, 2)) + (self.means**2).sum(axis=1)
        return np.asarray(np.sum(diagonal, axis=1) + 0.5 * squares)

    def _kl_from_origin(self) -> np.ndarray:
        log_diagonal, columns = self._log_diagonal(), self._columns()
        inverse = _inverse(columns / np.diagonal(columns, axis1=1, axis2=2)[:, None, :])
        with_mean = np.concatenate([np.tril(inverse, -1), inverse @ self.means[:, :, None]], axis=2)
        # 0 stays 0, however narrow the model is; a mean beyond the range of a float is infinitely far
        scaled = np.where(with_mean == 0, 0.0, with_mean * np.exp(-log_diagonal)[:, :, None])
        squares = np.where(np.isnan(scaled), np.inf, scaled**2).sum(axis=(1, 2))
        return np.asarray(np.sum(measures.gaussian_kl(0.0, 0.0, 0.0, log_diagonal), axis=1) + 0.5 * squares)

    def _w2_squared(self) -> np.ndarray:
        """Least squared distance of the factors up to a rotation of one, and that of the means."""
        at_origin = self.origin._factor
        factors = at_origin @ self._factors()
        far = ~np.isfinite(self.means).all(axis=1, keepdims=True)
        distance = np.where(far, np.inf, np.where(far, 0.0, self.means) @ at_origin.T)
        finite = np.isfinite(factors).all(axis=(1, 2))
        factors = np.where(finite[:, None, None], factors, 0.0)
        size = np.abs(factors).max(axis=(1, 2), keepdims=True)
        # the rotation does not depend on the scale, and LAPACK does not end on infinity
        unit = factors / np.where(size > 0, size, 1.0)
        left, _, right = np.linalg.svd((at_origin / np.abs(at_origin).max()).T @ unit)
        bures = ((factors - at_origin @ (left @ right)) ** 2).sum(axis=(1, 2))
        return np.asarray(np.where(finite, bures, np.inf) + (distance**2).sum(axis=1))


_WHOLE_FACTOR = {"log_condition", "kl_from_origin", "kl_to_origin", "w2_squared"}
_RECORDED = 2**17  # numbers in the factors that are held at a time


class _MultivariateRecursion(Recursion):
    """Blocks of the recursion, replicate by replicate, in pieces of so many generations as memory should hold.

    Attributes
    ----------
    may_fail : bool
        Whether a generation may have no fit; `masked` is then NaN from there on.
    """

    may_fail = False

    def __init__(self, model: MultivariateGaussian, supply: Supply, decoding: Decoding | None) -> None:
        self.model, self.supply = model, supply
        self.spread = math.sqrt(decoding.factor) if isinstance(decoding, VarianceScaling) else 1.0

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        generations, d = self.supply.drawn.size, self.model.dimension
        values = {name: np.full((replicates, generations + 1), np.nan) for name in (*metrics, *functions)}
        vacuous, unsolved, underflow = (np.full(replicates, start, np.int64) for start in (0, -1, -1))
        last_log_scale = np.empty(replicates)
        whole = self.model.structure == "full" and bool(functions or _WHOLE_FACTOR & set(metrics))
        start = np.zeros((1, d)), np.ones((1, d)), np.zeros((1, d), np.int64), np.eye(d)[None]
        self._record(values, functions, slice(0, replicates), 0, _Path(self.model, *start), np.full((1, 1), np.nan))
        piece = min(max(_RECORDED // (d * d if whole else d), 1), generations)
        # short replicates are measured together; of long ones, a piece at a time
        together = max(_RECORDED // (d * d if whole else d) // generations, 1)
        state: tuple[np.ndarray, ...] = ()
        for lot in range(0, replicates, together):
            rows = slice(lot, min(lot + together, replicates))
            for first in range(0, generations, piece):
                shape = rows.stop - lot, min(piece, generations - first)
                means, diagonals, powers = np.empty((*shape, d)), np.empty((*shape, d)), np.empty((*shape, d), np.int64)
                roots, masked = np.zeros((*shape, d, d) if whole else (shape[0], 0, 0, 0)), np.zeros(shape)
                for k, r in enumerate(range(rows.start, rows.stop)):
                    state = self._start() if first == 0 else state  # of the one replicate if there are more pieces
                    recorded = (means[k], diagonals[k], roots[k], powers[k], masked[k])
                    vacuous[r] += self._advance(rng, slice(first, first + shape[1]), state, recorded, control)
                    if control.stop[0]:
                        return Block({}, {})
                factors = np.swapaxes(roots.reshape(-1, d, d), 1, 2) if whole else None
                flat = means.reshape(-1, d), diagonals.reshape(-1, d), powers.reshape(-1, d)
                path = _Path(self.model, *flat, factors)
                lost = self._record(values, functions, rows, first + 1, path, masked)
                for event, here in ((underflow, lost), (unsolved, np.isnan(masked))):
                    fresh = (event[rows] < 0) & here.any(axis=1)
                    event[rows] = np.where(fresh, first + 1 + here.argmax(axis=1), event[rows])
            last_log_scale[rows] = path.metric("log_det").reshape(shape)[:, -1] / (2 * d)
        events = {"vacuous": vacuous, "underflow": underflow} | ({"unsolved": unsolved} if self.may_fail else {})
        return Block(values, events, last_log_scale)

    def _record(
        self,
        values: dict[str, np.ndarray],
        functions: Mapping[str, Callable[[Any], float]],
        rows: slice,
        first: int,
        path: _Path,
        masked: np.ndarray,
    ) -> np.ndarray:
        """Measure pieces of paths; return in which generations the covariance is beyond the range of a float.

        The path has the shape of `masked`, (replicates, generations), in one axis.
        """
        shape, columns = masked.shape, slice(first, first + masked.shape[1])
        for name in values:
            if name not in functions:
                values[name][rows, columns] = masked if name == "masked_weight" else path.metric(name).reshape(shape)
        with np.errstate(over="ignore", under="ignore"):
            at_origin = self.model._factor
            diagonal = np.ldexp(path.diagonals, path.powers) * np.diagonal(at_origin)
            lost = ((diagonal**2 == 0) | ~np.isfinite(diagonal**2)).any(axis=1)
            if functions:
                factors = path._factors()
                for name, function in functions.items():
                    found = np.full(lost.size, np.nan)
                    for t in np.flatnonzero(~lost):
                        model = self.model._with(self.model.mean + at_origin @ path.means[t], at_origin @ factors[t])
                        found[t] = function(model)
                    values[name][rows, columns] = found.reshape(shape)
        return np.asarray(lost.reshape(shape))

    def _start(self) -> tuple[np.ndarray, ...]:
        raise NotImplementedError

    def _advance(
        self,
        rng: np.random.Generator,
        steps: slice,
        state: tuple[np.ndarray, ...],
        recorded: tuple[np.ndarray, ...],
        control: Control,
    ) -> int:
        """Advance the state and record the models; return the number of vacuous generations."""
        raise NotImplementedError


class _LawRecursion(_MultivariateRecursion):
    """The recursion under cross entropy, with the sufficient statistics sampled in law."""

    stream = "statistics"

    def __init__(self, model: MultivariateGaussian, supply: Supply, decoding: Decoding | None) -> None:
        super().__init__(model, supply, decoding)
        d = model.dimension
        self.cost = float(d * (d + 3) / 2) if model.structure == "full" else 2.0 * d
        self.block_size = block_size_for(self.cost)

    def _start(self) -> tuple[np.ndarray, ...]:
        """Model and, where it is needed, the statistics of all points so far."""
        d = self.model.dimension
        width = 1 if self.model.structure == "isotropic" else d
        root = np.eye(d) if self.model.structure == "full" else np.ones(width)
        powers = np.zeros(width, np.int64)
        kept = np.zeros_like(root), powers.copy(), np.zeros(d), np.zeros(1, np.int64)
        return root, powers, np.zeros(d), *kept

    def _advance(
        self,
        rng: np.random.Generator,
        steps: slice,
        state: tuple[np.ndarray, ...],
        recorded: tuple[np.ndarray, ...],
        control: Control,
    ) -> int:
        from tce_theory.kernels import multivariate

        kernel: Any = multivariate  # numba's stubs do not know tuples of any length

        model, supply = self.model, self.supply
        means, diagonals, roots, powers, _ = recorded
        drawn = (supply.synthetic[steps], supply.fresh[steps], supply.fresh_share[steps], supply.memory, self.spread)
        shared = (control.stop, control.progress, control.slot)
        if model.structure == "full":
            kernel.advance_law(
                rng, *drawn, model.fit_mean, model.ddof, *state, means, diagonals, roots, powers, *shared
            )
        else:
            pooled = model.structure == "isotropic"
            kernel.advance_law_axes(
                rng, *drawn, model.fit_mean, model.ddof, pooled, *state, means, diagonals, powers, *shared
            )
        return 0


class _PointsRecursion(_MultivariateRecursion):
    """The recursion with every point drawn."""

    stream = "points"

    def __init__(self, model: MultivariateGaussian, loss: Loss, supply: Supply, decoding: Decoding | None) -> None:
        super().__init__(model, supply, decoding)
        self.loss = loss
        self.cost = float(supply.fitted.mean()) * model.dimension
        self.block_size = block_size_for(self.cost)

    def _start(self) -> tuple[np.ndarray, ...]:
        """Model and, where they are needed, all points so far."""
        d, supply = self.model.dimension, self.supply
        pool = np.empty((int(supply.drawn.sum()) if supply.memory in (KEEP, SUBSAMPLE) else 0, d))
        return np.eye(d), np.zeros(d, np.int64), np.zeros(d), pool, np.zeros(1, np.int64)

    def _advance(
        self,
        rng: np.random.Generator,
        steps: slice,
        state: tuple[np.ndarray, ...],
        recorded: tuple[np.ndarray, ...],
        control: Control,
    ) -> int:
        from tce_theory.kernels import multivariate

        kernel: Any = multivariate  # numba's stubs do not know tuples of any length

        model, supply, loss = self.model, self.supply, self.loss
        drawn = (supply.synthetic[steps], supply.fresh[steps], supply.fresh_share[steps], supply.memory, self.spread)
        rule, threshold, is_radius = kernel.CE, 0.0, True
        if isinstance(loss, TruncatedCrossEntropy):
            rule = kernel.PREVIOUS if loss.mask == "previous" else kernel.RELATIVE
            is_radius = loss.scale == "relative"
            threshold = (
                loss.relative_radius**2 if is_radius else 2 * loss.floor - model.dimension * _LOG_2PI - model._log_det()
            )
        structure = _STRUCTURES.index(model.structure)
        family = (structure, model.fit_mean, model.ddof, model._least_points)
        shared = (control.stop, control.progress, control.slot)
        return int(kernel.advance_points(rng, *drawn, rule, threshold, is_radius, *family, *state, *recorded, *shared))


class _HingeRecursion(_PointsRecursion):
    """The recursion under an absolute threshold and the current mask: the same draws, and a solver called from Python.

    A replicate ends with the first fit that cannot be certified.
    """

    may_fail = True

    def __init__(
        self, model: MultivariateGaussian, loss: TruncatedCrossEntropy, supply: Supply, decoding: Decoding | None
    ) -> None:
        super().__init__(model, loss, supply, decoding)
        self.floor = loss.floor
        d = model.dimension
        self.standard = MultivariateGaussian(
            np.zeros(d), np.eye(d), structure=model.structure, fit_mean=model.fit_mean
        )  # fmt: skip

    def _start(self) -> tuple[np.ndarray, ...]:
        return *super()._start(), np.zeros(1, np.bool_)

    def _advance(
        self,
        rng: np.random.Generator,
        steps: slice,
        state: tuple[np.ndarray, ...],
        recorded: tuple[np.ndarray, ...],
        control: Control,
    ) -> int:
        from tce_theory.kernels import multivariate as kernel

        supply, vacuous = self.supply, 0
        *moving, ended = state
        root, power, mean, _, _ = moving
        means, diagonals, roots, powers, masked = recorded
        sizes = zip(supply.synthetic[steps], supply.fresh[steps], supply.fresh_share[steps], strict=True)
        for t, (synthetic, fresh, share) in enumerate(sizes):
            if control.stop[0]:
                return vacuous
            masked[t] = np.nan
            if not ended[0]:
                n_fresh = kernel.count_fresh(rng, int(synthetic), int(fresh), float(share))
                try:
                    masked[t], is_vacuous = self._generation(rng, int(synthetic + fresh), n_fresh, moving)
                    vacuous += is_vacuous
                except (DegenerateFitError, DomainError, np.linalg.LinAlgError):  # also data out of a float's range
                    ended[0] = True
            kernel.record(t, root, power, mean, means, diagonals, roots, powers)
            control.progress[control.slot] += 1
        return vacuous

    def _generation(
        self, rng: np.random.Generator, n: int, n_fresh: int, moving: list[np.ndarray]
    ) -> tuple[float, bool]:
        """Draw, fit and move the model: the masked weight, and whether the fit was vacuous."""
        from tce_theory.kernels import multivariate as kernel

        model, memory = self.model, self.supply.memory
        root, power, mean, pool, pooled = moving
        own = memory == FORGET and n_fresh == 0 and n >= model._least_points
        points = np.empty((max(n, len(pool)), model.dimension))
        count = kernel.draw_data(
            rng, n, n_fresh, own, memory, root, power, mean, self.spread, pool, pooled, points
        )  # fmt: skip
        points = points[:count]
        few = count < model._least_points
        base, log_gamma = np.eye(model.dimension), -self.floor
        if few:  # they do not span the space: the convention for the rest of it belongs to the original coordinates
            base = model._factor
        else:
            log_gamma += 0.5 * model._log_det()
        if own:
            log_gamma += float(np.log(np.diagonal(root)).sum() + math.log(2) * power.sum())
        centre, factor, weights, vacuous, _ = self.standard._absolute(points @ base.T, log_gamma, singular=few)
        if few:
            centre, factor = (_solve_lower(base, part) for part in (centre, factor))
        kernel.move(root, power, mean, own, centre, np.ascontiguousarray(factor.T))
        return float((1 - weights).sum()), vacuous
