"""Mixtures of Gaussians with full covariances."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tce_theory.decoding import Decoding, VarianceScaling
from tce_theory.errors import DegenerateFitError, DomainError, UnsupportedCombinationError
from tce_theory.fitting import Counts, Fit
from tce_theory.losses import Loss, TruncatedCrossEntropy
from tce_theory.models._agreement import check_density
from tce_theory.models.base import Block, Control, Model, Recursion
from tce_theory.models.generic import GenericRecursion
from tce_theory.regimes import Regime, Replace
from tce_theory.validation import finite_array, generator, one_of, positive_integer, positive_number, probability_vector

__all__ = ["GaussianMixture", "MixtureFit"]

_KL_POINTS = 20_000  # of generation 0, on which KL is estimated
_NORMALS = 512  # points of each component that stand for a model in entropy, masses and distances
_DIRECTIONS = 16
_SEED = 20250912  # of the fixed points: metrics are functions of the model alone
_LIVE = 0.01  # least weight of a component whose mean is a start of the search for modes
_SAME_MODE = 0.05  # distance of two modes, in local standard deviations, below which they are one
_MODE_STEPS = 2000
_UNPROVED = 3  # steps in a row whose promise could not be kept, after which a search is given up
_SEEDING = 0  # of k-means++: a fit is a function of the data


@dataclass(frozen=True, eq=False)
class MixtureFit(Fit["GaussianMixture"]):
    """Result of a fit of a `GaussianMixture`: that of `Fit`, and how the search went.

    Parameters
    ----------
    history : float64 array (n_iter + 1,)
        The objective that the search descends, before each step and at the end: the mean of −log p over the points that
        are fitted (cross entropy, previous mask) or of max(−log p, −log gamma) (current mask). It never rises, up to
        rounding, except where a component is removed.
    bound : float
        Current mask: by how much, at most, a further step could lower the objective's surrogate, at the final model or,
        where `converged` is False, at the model before it. Otherwise the decrease of the last step.
    converged : bool
        Whether the search ended because `bound` had come down to `tol`.
    vanished, singular : tuple of int
        Components that were removed, because they stood for less than 1e-6 points, or because their covariance became
        singular (a removal that only a recursion makes; `fit` raises a DegenerateFitError instead). Their weight is 0.
    removed_at : tuple of int
        Steps after which components were removed: places of `history` before which it may rise.
    """

    history: np.ndarray = field(repr=False)
    bound: float
    converged: bool
    vanished: tuple[int, ...]
    singular: tuple[int, ...]
    removed_at: tuple[int, ...]


@dataclass(frozen=True, eq=False, init=False)
class GaussianMixture(Model):
    """Mixture of Gaussians with full covariances, in one dimension or more.

    Parameters
    ----------
    weights : array_like, shape (K,)
        Probabilities of the components. A component of weight 0 has been lost; fits that start from the model leave it.
    means : array_like, shape (K, d), or (K,) in one dimension
    covs : array_like, shape (K, d, d), or (K,) in one dimension
        Covariances (variances), positive definite.
    tol : float
        A search ends when a step changes the mean of −log p by less (cross entropy and previous mask), or when it is
        proved that the next one could lower its surrogate by no more (current mask). In nats per point, above 0.
    max_iter : int
        Most steps of a search.
    start : {"warm", "k-means++"}
        Where a fit starts: from the model it is a fit of, as when a model is fine-tuned from its predecessor; or from
        scratch, from clusters around K points of the data, chosen by k-means++ (Arthur & Vassilvitskii 2007) with fixed
        random numbers. A fit is a function of the data and of its start.
    variance_floor : float, optional
        Least eigenvalue of the covariances of fits; none if not given.

    Raises
    ------
    DomainError
        If a parameter is not admissible.

    Notes
    -----
    Slugs `hinge-form` and `mixture-entropy-identity`.

    The likelihood of a mixture has many local maxima, and none is global: it grows beyond all bounds where a component
    contracts to a point. A fit is the end of a search from a named start. What each descends, and what is guaranteed:

    - *Cross entropy*: expectation maximisation (EM). The mean of −log p never rises (Dempster et al. 1977).
    - *TCE, previous mask*: EM on the points that the model before leaves unmasked, which are the same in every step: it
      leaves out samples of high likelihood, as the source does. The mean of −log p over the others never rises. On the
      relative scale p is divided by the height of the greatest of its `modes`. If at most d points are unmasked the
      model before is kept (vacuous).
    - *TCE, current mask, absolute scale*: the hinge form, the mean of max(−log p, g), g = −log gamma (slug
      `hinge-form`). EM on the unmasked points alone is no descent: points that the mask has left alone may rise above
      g. Here every step lowers a majoriser: with Q_i ≥ −log p_i the surrogate of EM, which touches at the current
      model, max(Q_i, g) ≥ max(−log p_i, g), and the sum of the left-hand sides is convex in natural parameters. For
      weights w in [0, 1], the least value of Σ w_i Q_i + (1 − w_i) g is a lower bound of its minimum; it has a closed
      form, EM with weighted points. Weights are improved (augmented Lagrangian, Newton steps) until either a step
      lowers the surrogate by at least half of what the bound leaves possible, or that is at most `tol`: the
      certificate that the model is stationary, which `MixtureFit.bound` reports, with the weights that prove it. Since
      the objective is at least g, the least bound of T such steps is at most 2 (L_0 − g)/T. A search whose inner
      iteration fails three times in a row, as it may where a component contracts upon tied points, is given up with
      `converged` False. Where all points are masked, the model that is reached first is kept (vacuous).
    - *TCE, current mask, relative scale* is refused: see `check`.

    References
    ----------
    Dempster, Laird & Rubin (1977), J. R. Stat. Soc. B 39. Hunter & Lange (2004), Am. Stat. 58 (majorisation).

    Examples
    --------
    >>> from tce_theory.losses import CrossEntropy
    >>> model = GaussianMixture([0.5, 0.5], [-2.0, 2.0], [1.0, 1.0])
    >>> fit = model.fit(model.sample(1000, seed=1), CrossEntropy())
    >>> fit.model.means.round(2), fit.converged
    (array([-2.06,  2.02]), True)
    """

    weights: np.ndarray
    means: np.ndarray
    covs: np.ndarray
    _: KW_ONLY
    tol: float = 1e-6
    max_iter: int = 1000
    start: str = "warm"
    variance_floor: float | None = None

    fit_kind = "certified descent"
    metric_names = (
        "live_components",
        "live_modes",
        "mode_mass_error",
        "sliced_w2",
        "kl_from_origin",
        "kl_from_origin_se",
        "entropy",
        "masked_weight",
    )
    default_metrics = ("live_modes", "mode_mass_error", "sliced_w2", "kl_from_origin")
    results_version = 2

    def __init__(
        self,
        weights: ArrayLike,
        means: ArrayLike,
        covs: ArrayLike,
        *,
        tol: float = 1e-6,
        max_iter: int = 1000,
        start: str = "warm",
        variance_floor: float | None = None,
    ) -> None:
        probs = probability_vector("weights", weights)
        flat = np.ndim(means) == 1
        centres = finite_array("means", means, ndim=1 if flat else 2)
        spreads = finite_array("covs", covs, ndim=1 if flat else 3)
        if centres.shape[0] != probs.size:
            raise DomainError("means", f"an array of shape {centres.shape}", f"one for each of {probs.size} weights")
        expected = centres.shape if flat else (*centres.shape, centres.shape[1])
        if spreads.shape != expected:
            raise DomainError("covs", f"an array of shape {spreads.shape}", f"an array of shape {expected}")
        settings = {
            "weights": probs,
            "means": centres,
            "covs": spreads,
            "tol": positive_number("tol", tol),
            "max_iter": positive_integer("max_iter", max_iter),
            "start": one_of("start", start, ("warm", "k-means++")),
            "variance_floor": None if variance_floor is None else positive_number("variance_floor", variance_floor),
        }
        for name, value in settings.items():
            if isinstance(value, np.ndarray):
                value = value.copy()
                value.flags.writeable = False
            object.__setattr__(self, name, value)
        _ = self._factors  # refuses covariances that are not positive definite

    @classmethod
    def two_moons(cls, modes: int = 8, *, std: float = 0.2, **settings: Any) -> GaussianMixture:
        """Equally likely round Gaussians along two interleaved half circles of radius 1: a law with many modes.

        Parameters
        ----------
        modes : int
            Even; one half of them on each half circle, evenly spaced.
        std : float
            Of each Gaussian, in each direction. With the 8 of 0.2 the density has 8 modes.
        **settings
            Those of the class: tol, max_iter, start, variance_floor.

        Returns
        -------
        GaussianMixture

        Raises
        ------
        DomainError
            If `modes` is not even, or `std` is not above 0.

        Examples
        --------
        >>> GaussianMixture.two_moons(2).means.round(3)
        array([[ 0. ,  1. ],
               [ 1. , -0.5]])
        """
        count = positive_integer("modes", modes, minimum=2)
        if count % 2:
            raise DomainError("modes", modes, "even: one half of them on each half circle")
        angles = math.pi * (np.arange(count // 2) + 0.5) / (count // 2)
        upper = np.column_stack([np.cos(angles), np.sin(angles)])
        means = np.concatenate([upper, [1.0, 0.5] - upper])
        variance = positive_number("std", std) ** 2
        if not 0 < variance < math.inf:
            raise DomainError("std", std, "a finite number above 0, as has to be its square")
        covs = np.tile(variance * np.eye(2), (count, 1, 1))
        return cls(np.full(count, 1 / count), means, covs, **settings)

    # ------------------------------------------------------------------------------------------------ the law

    @property
    def dimension(self) -> int:
        """Dimension d of a point."""
        return 1 if self.means.ndim == 1 else int(self.means.shape[1])

    @cached_property
    def _live(self) -> np.ndarray:
        return np.flatnonzero(self.weights > 0)

    @cached_property
    def _factors(self) -> np.ndarray:
        """Lower-triangular factors (K, d, d) of the covariances."""
        covs = self.covs.reshape(self.weights.size, self.dimension, self.dimension)
        if (np.abs(covs - covs.transpose(0, 2, 1)) > 1e-8 * np.abs(covs).max(axis=(1, 2), keepdims=True)).any():
            raise DomainError("covs", "a matrix that is not symmetric", "symmetric and positive definite")
        try:
            return np.linalg.cholesky(covs)
        except np.linalg.LinAlgError:
            raise DomainError("covs", "a matrix that is not", "positive definite") from None

    @cached_property
    def _state(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logarithms of weights, means (K, d) and factors of the live components, as the kernels take them."""
        means = self.means.reshape(self.weights.size, self.dimension)
        return np.log(self.weights[self._live]), means[self._live], self._factors[self._live]

    def _columns(self, x: Any, name: str = "x") -> np.ndarray:
        """Points as the kernels take them, (d, n)."""
        points = np.asarray(x, dtype=np.float64)
        return np.ascontiguousarray(points.reshape(-1, self.dimension).T)

    def sample(self, n: int, seed: int | np.random.Generator | None = None) -> np.ndarray:
        """Draw n points, float64 (n,) in one dimension, else (n, d)."""
        from tce_theory.kernels import mixture as kernel

        out = np.empty((positive_integer("n", n), self.dimension))
        log_weights, means, factors = self._state
        kernel.draw(generator(seed), np.cumsum(np.exp(log_weights)), means, factors, out)
        return out[:, 0] if self.means.ndim == 1 else out

    def log_density(self, x: Any) -> np.ndarray:
        """Logarithm of the density at points, shape (n,) in one dimension, else (n, d)."""
        from tce_theory.kernels import mixture as kernel

        columns = self._columns(x)
        out = np.empty(columns.shape[1])
        kernel.log_density(columns, *self._state, out)
        return out

    def responsibilities(self, x: Any) -> np.ndarray:
        """Probability that each point is of each component, float64 (n, K)."""
        from tce_theory.kernels import mixture as kernel

        columns = self._columns(x)
        out = np.zeros((self._live.size, columns.shape[1]))
        kernel.responsibilities(columns, *self._state, out)
        full = np.zeros((columns.shape[1], self.weights.size))
        full[:, self._live] = out.T
        return full

    def modes(self) -> tuple[np.ndarray, np.ndarray]:
        """Distinct local maxima of the density that are reached by ascent from fixed starts.

        Starts belong to the components of a weight of at least 0.01 (or the heaviest): the mean of each, and for each
        two the point (Λ_j + Λ_k)⁻¹ (Λ_j μ_j + Λ_k μ_k), for where long components cross there is a mode near none of
        the means (all critical points of two components lie on a ridge through that point, Ray & Lindsay 2005). The
        ascent is the iteration x ← (Σ r_k Λ_k)⁻¹ Σ r_k Λ_k μ_k (Carreira-Perpiñán 2000), which never descends. End
        points closer than 0.05 local standard deviations are one mode. In more than one dimension a mixture may have
        modes besides; none of 60 random ones of 4 components in the plane had.

        Returns
        -------
        points : float64 array (m, d)
            The highest mode first.
        log_densities : float64 array (m,)
        """
        starts = np.flatnonzero(self.weights >= min(_LIVE, float(self.weights.max())))
        _, means, factors = self._state
        inverse = np.linalg.inv(factors)
        precision = inverse.transpose(0, 2, 1) @ inverse
        pulled = np.einsum("kab,kb->ka", precision, means)
        heavy = np.searchsorted(self._live, starts)
        first, second = (heavy[side] for side in np.triu_indices(heavy.size, 1))
        between = np.linalg.solve(precision[first] + precision[second], (pulled[first] + pulled[second])[:, :, None])
        x = np.concatenate([means[heavy], between[:, :, 0]])
        for _ in range(_MODE_STEPS):
            share = self.responsibilities(x)[:, self._live]
            local = np.einsum("ik,kab->iab", share, precision)
            moved = np.linalg.solve(local, (share @ pulled)[:, :, None])[:, :, 0]
            step, x = moved - x, moved
            if (np.einsum("ia,iab,ib->i", step, local, step) < 1e-18).all():
                break
        heights = self.log_density(x)
        # a start between two components may be a saddle, and stay there
        pull = np.einsum("kab,ikb->ika", precision, x[:, None, :] - means)
        curvature = local - np.einsum("ik,ika,ikb->iab", self.responsibilities(x)[:, self._live], pull, pull)
        top = np.linalg.eigvalsh(curvature)[:, 0] > 0
        top[: heavy.size] = True
        found: list[int] = []
        for i in np.argsort(-heights, kind="stable"):
            if not top[i]:
                continue
            apart = x[found] - x[i]
            if (np.einsum("ja,ab,jb->j", apart, local[i], apart) > _SAME_MODE**2).all():
                found.append(int(i))
        return x[found], heights[found]

    # ------------------------------------------------------------------------------------------------ metrics

    @cached_property
    def _cloud(self) -> tuple[np.ndarray, np.ndarray]:
        """Points (m, d) that stand for the model, and their weights: the same normal numbers for every model."""
        log_weights, means, factors = self._state
        points = means[:, None, :] + np.einsum("kab,mb->kma", factors, _normals(self.dimension))
        weights = np.repeat(np.exp(log_weights) / points.shape[1], points.shape[1])
        return points.reshape(-1, self.dimension), weights / weights.sum()

    @cached_property
    def _reference(self) -> tuple[np.ndarray, np.ndarray]:
        """Points of this model, and the logarithm of its density there: what KL from it is estimated on."""
        points = self.sample(_KL_POINTS, _SEED)
        return points, self.log_density(points)

    @cached_property
    def _sorted_projections(self) -> list[tuple[np.ndarray, np.ndarray]]:
        points, weights = self._cloud
        lines = (points @ direction for direction in _directions(self.dimension))
        return [(line[order], np.cumsum(weights[order])) for line in lines for order in [np.argsort(line)]]

    def entropy(self) -> float:
        """Differential entropy in nats, on 512 fixed points of each component.

        Their first two moments are those of the normal law, so that it is exact for one component.
        """
        points, weights = self._cloud
        return float(-(weights @ self.log_density(points)))

    def peak(self) -> float:
        """Return the density at the greatest of the `modes`."""
        return float(np.exp(self.modes()[1].max()))

    def kl_divergence(self, other: GaussianMixture) -> tuple[float, float]:
        """Kullback–Leibler divergence KL(self‖other) in nats, and its standard error: the mean of 20,000 fixed points.

        The points are of this model, and the same for every `other`, so that differences are more precise than values.
        """
        points, own = self._reference
        difference = own - self._comparable(other).log_density(points)
        return float(difference.mean()), float(difference.std(ddof=1) / math.sqrt(difference.size))

    def sliced_w2(self, other: GaussianMixture) -> float:
        """Sliced 2-Wasserstein distance: the root of the mean, over 16 fixed directions, of W2² of the projections.

        Each model is 512 fixed points a component; in one dimension there is one direction. Between such laws on the
        line W2² is the integral of the squared difference of quantile functions, which is evaluated exactly.
        """
        pairs = zip(self._sorted_projections, self._comparable(other)._sorted_projections, strict=True)
        return math.sqrt(float(np.mean([_line_w2_squared(*one, *two) for one, two in pairs])))

    def mode_masses(self, origin: GaussianMixture) -> np.ndarray:
        """Mass of this model in each component of another, by the responsibilities of that other's components."""
        self._comparable(origin)
        points, weights = self._cloud
        return np.asarray(weights @ origin.responsibilities(points))

    @cached_property
    def _own_masses(self) -> np.ndarray:
        return self.mode_masses(self)

    def _comparable(self, other: Any) -> GaussianMixture:
        if not isinstance(other, GaussianMixture) or other.dimension != self.dimension:
            raise DomainError("other", other, f"a GaussianMixture in {self.dimension} dimensions")
        return other

    def measure(self, metric: str, origin: GaussianMixture) -> float:
        match metric:
            case "live_components":
                return float(self._live.size)
            case "live_modes":
                return float(len(self.modes()[0]))
            case "mode_mass_error":
                return float(np.abs(self.mode_masses(origin) - origin._own_masses).sum() / 2)
            case "sliced_w2":
                return self.sliced_w2(origin)
            case "kl_from_origin":
                return origin.kl_divergence(self)[0]
            case "kl_from_origin_se":
                return origin.kl_divergence(self)[1]
            case "entropy":
                return self.entropy()
        raise DomainError("metric", metric, "one of " + ", ".join(map(repr, self.metric_names)))

    # ------------------------------------------------------------------------------------------------ fits

    def check(self, loss: Loss, regime: Regime, decoding: Decoding | None = None) -> None:
        check_density("GaussianMixture", loss, decoding)
        if not isinstance(loss, TruncatedCrossEntropy):
            return
        if loss.mask == "current" and loss.scale == "relative":
            raise UnsupportedCombinationError(
                "GaussianMixture does not go with scale='relative', mask='current': around no fixed centre such a mask "
                "has no objective, and no order in which a fixed point is the smallest; take mask='previous'"
            )
        if loss.mask == "current" and self.variance_floor is not None:
            raise UnsupportedCombinationError(
                "variance_floor goes with CrossEntropy and mask='previous': the hinge gains nothing from a component "
                "that contracts beyond the threshold"
            )
        if loss.vacuous not in ("auto", "warm") or (loss.vacuous == "warm" and loss.mask == "previous"):
            raise UnsupportedCombinationError(
                f"GaussianMixture does not go with vacuous={loss.vacuous!r} for mask={loss.mask!r}: "
                + (
                    "where all points are masked the search stays where it is, which is 'warm'"
                    if loss.mask == "current"
                    else "these fits are never a choice among minimisers"
                )
            )

    def decoded(self, decoding: Decoding | None) -> GaussianMixture:
        """Return the mixture that points are drawn from: with VarianceScaling every covariance times its factor."""
        if not isinstance(decoding, VarianceScaling):
            return self
        return self._exactly(self.weights, self.means, math.sqrt(decoding.factor) * self._factors)

    def _exactly(self, weights: np.ndarray, means: np.ndarray, factors: np.ndarray) -> GaussianMixture:
        """Return a mixture with these settings and parameters, bit by bit; factors (K, d, d) of the covariances."""
        model = object.__new__(GaussianMixture)
        covs = factors @ factors.transpose(0, 2, 1)
        arrays = {"weights": weights, "means": means.reshape(self.means.shape), "covs": covs.reshape(self.covs.shape)}
        for name in ("weights", "means", "covs", "tol", "max_iter", "start", "variance_floor"):
            value = arrays.get(name, getattr(self, name))
            if name in arrays:
                value.flags.writeable = False
            object.__setattr__(model, name, value)
        object.__setattr__(model, "_factors", factors)
        return model

    def fit(self, data: Any, loss: Loss) -> MixtureFit:
        if isinstance(data, Counts):
            raise DomainError("data", data, "an array of points: Counts are for discrete families")
        points = finite_array("data", data, ndim=self.means.ndim)
        self.check(loss, Replace())
        if points.ndim == 2 and points.shape[1] != self.dimension:
            raise DomainError("data", f"points of {points.shape[1]} coordinates", f"points of {self.dimension}")
        return self._fitted(points, loss, remove=False)

    def _fitted(self, points: np.ndarray, loss: Loss, *, remove: bool) -> MixtureFit:
        """Fit to checked data; `remove` components whose covariance becomes singular, else raise."""
        columns = self._columns(points)
        kept = np.ones(columns.shape[1], bool)
        if isinstance(loss, TruncatedCrossEntropy):
            if loss.mask == "current":
                return _Search(self, columns, loss.floor, remove).fit(None)
            level = -loss.floor + (float(self.modes()[1][0]) if loss.scale == "relative" else 0.0)
            kept = self.log_density(points) <= level
            if np.count_nonzero(kept) <= self.dimension:
                return self._unchanged(columns, kept)
        elif kept.size <= self.dimension:
            raise DomainError("data", f"{kept.size} points", f"at least {self.dimension + 1} points")
        return _Search(self, columns, None, remove).fit(kept)

    def _unchanged(self, columns: np.ndarray, kept: np.ndarray) -> MixtureFit:
        weights = kept.astype(np.float64)
        objective = float((weights * -self.log_density(columns.T)).mean())
        return MixtureFit(
            model=self,
            objective=objective,
            weights=weights,
            masked_weight=float((~kept).sum()),
            boundary_index=np.empty(0, np.int64),
            vacuous=True,
            n_iter=0,
            history=np.array([objective]),
            bound=0.0,
            converged=True,
            vanished=(),
            singular=(),
            removed_at=(),
        )

    def recursion(
        self, loss: Loss, sizes: np.ndarray, regime: Regime, sampler: str, decoding: Decoding | None = None
    ) -> Recursion:
        supply = regime.supply(sizes)
        if supply.fitted.min() <= self.dimension:
            admissible = f"at least {self.dimension + 1}, or no covariance can be fitted"
            raise DomainError("n_samples", int(supply.fitted.min()), admissible)
        return _MixtureRecursion(self, loss, supply, decoding)


class _Search:
    """One search for a mixture: its current components, and which were removed on the way."""

    def __init__(self, model: GaussianMixture, columns: np.ndarray, floor: float | None, remove: bool) -> None:
        self.model, self.columns, self.floor, self.remove = model, columns, floor, remove
        self.means = model.means.reshape(model.weights.size, -1).copy()
        self.factors = model._factors.copy()
        self.weights = model.weights.copy()
        self.vanished: list[int] = []
        self.singular: list[int] = []
        self.removed_at: list[int] = []

    def fit(self, kept: np.ndarray | None) -> MixtureFit:
        """Fit by EM to the points that are kept, or by descent on the hinge form to all."""
        columns = self.columns if kept is None or kept.all() else np.ascontiguousarray(self.columns[:, kept])
        if self.model.start == "k-means++":
            self.weights, self.means, self.factors = _seeded(columns, self.weights.size)
        if self.model.variance_floor is not None:
            self._raise_variances(self.model.variance_floor)
        max_iter = self.model.max_iter
        history, bounds = np.empty(max_iter + 1), np.full(max_iter + 1, np.inf)
        weights = np.ones(columns.shape[1]) if self.floor is None else np.zeros(columns.shape[1])
        steps, converged = self._descend(columns, weights, history, bounds)
        model = self.model._exactly(self.weights, self.means, self.factors)
        loss = -model.log_density(columns.T)
        if self.floor is not None:
            loss = np.maximum(loss, self.floor)
            if loss.max() <= self.floor:
                weights[:] = 0
        history[steps] = loss.mean()
        full = weights if kept is None else kept.astype(np.float64)
        last = history[steps - 1] - history[steps] if steps else 0.0
        return MixtureFit(
            model=model,
            objective=float(loss.sum() / full.size),
            weights=full,
            masked_weight=float((1 - full).sum()),
            boundary_index=np.flatnonzero((full > 0) & (full < 1)),
            vacuous=not full.any(),
            n_iter=steps,
            history=history[: steps + 1].copy(),
            bound=float(last if self.floor is None else bounds[min(steps, max_iter - 1)]),
            converged=converged,
            vanished=tuple(self.vanished),
            singular=tuple(self.singular),
            removed_at=tuple(self.removed_at),
        )

    def _descend(
        self, columns: np.ndarray, weights: np.ndarray, history: np.ndarray, bounds: np.ndarray
    ) -> tuple[int, bool]:
        from tce_theory.kernels import mixture as kernel

        model, steps = self.model, 0
        anchor = np.full(columns.shape[1], 0.5)
        while True:
            live = np.flatnonzero(self.weights > 0)
            log_weights, means, factors = np.log(self.weights[live]), self.means[live], self.factors[live]
            if self.floor is None:
                least = model.variance_floor or 0.0
                steps, reason, component, converged = kernel.em(
                    columns, log_weights, means, factors, least, model.tol, steps, model.max_iter, history
                )
            else:
                state = (log_weights, means, factors)
                steps, reason, component, converged = self._lower_hinge(
                    columns, state, steps, anchor, weights, history, bounds
                )
            self.weights[live], self.means[live], self.factors[live] = np.exp(log_weights), means, factors
            if reason == kernel.DONE:
                self.weights /= self.weights.sum()
                return steps, converged
            self._remove(int(live[component]), reason == kernel.SINGULAR, steps)

    def _lower_hinge(
        self,
        columns: np.ndarray,
        state: tuple[np.ndarray, np.ndarray, np.ndarray],
        steps: int,
        anchor: np.ndarray,
        weights: np.ndarray,
        history: np.ndarray,
        bounds: np.ndarray,
    ) -> tuple[int, int, int, bool]:
        """Repeat steps, as `em` does, until one is proved to be the last or too many in a row have proved nothing."""
        from tce_theory.kernels import mixture as kernel

        (size, d), n, tol = state[1].shape, columns.shape[1], self.model.tol
        share, z, spread, loss = np.empty((size, n)), np.empty((size, d, n)), np.empty(n), np.empty(n)
        rounding, width, unproved = kernel.rounding_of(columns), np.full(1, np.inf), 0
        while steps < self.model.max_iter:
            kernel.expectation(columns, *state, share, z, spread, loss)
            history[steps], bounds[steps], lowered, proved = kernel.hinge_step(
                *state, self.floor, tol, share, z, spread, loss, anchor, width, weights
            )
            unproved = 0 if proved else unproved + 1
            if unproved == _UNPROVED or (proved and not lowered):
                return steps, kernel.DONE, -1, bool(bounds[steps] <= tol)
            if lowered:
                steps += 1
                reason, component = kernel.lost(state[0], state[2], rounding, n)
                if reason != kernel.DONE:
                    return steps, reason, component, False
        return steps, kernel.DONE, -1, False

    def _remove(self, component: int, singular: bool, steps: int) -> None:
        """Give a component the weight 0; its mean and covariance stay as they were."""
        if singular and not self.remove:
            raise DegenerateFitError(
                f"the covariance of component {component} becomes singular after {steps} steps: the likelihood has no "
                "maximum there; variance_floor bounds it"
            )
        if np.count_nonzero(self.weights) == 1:
            raise DegenerateFitError("the covariance of the last component is singular: the likelihood has no maximum")
        (self.singular if singular else self.vanished).append(component)
        self.removed_at.append(steps)
        self.weights[component] = 0.0
        self.weights /= self.weights.sum()

    def _raise_variances(self, least: float) -> None:
        """Raise the start to the floor, without which the first step might not descend."""
        values, vectors = np.linalg.eigh(self.factors @ self.factors.transpose(0, 2, 1))
        raised = np.einsum("kab,kb,kcb->kac", vectors, np.maximum(values, least), vectors)
        low = (values < least).any(axis=1)
        self.factors[low] = np.linalg.cholesky(raised[low])


class _MixtureRecursion(GenericRecursion):
    """Recursion that survives the loss of components, and reports it.

    The events "vanished" and "singular" have the first generation in which a component was removed for this reason, or
    −1; "unconverged" counts the searches that ended before they had converged. "underflow" has the first generation
    whose last component has no covariance that floats could hold, or −1: the model stays what it was from there on.
    """

    def run_block(
        self,
        rng: np.random.Generator,
        replicates: int,
        metrics: Sequence[str],
        functions: Mapping[str, Callable[[Any], float]],
        control: Control,
    ) -> Block:
        generations = self.supply.drawn.size
        values = {name: np.full((replicates, generations + 1), np.nan) for name in (*metrics, *functions)}
        events = {name: np.zeros(replicates, np.int64) for name in ("vacuous", "unconverged")}
        events |= {name: np.full(replicates, -1, np.int64) for name in ("vanished", "singular", "underflow")}
        origin = self.model
        assert isinstance(origin, GaussianMixture)
        for r in range(replicates):
            model, pool = origin, origin.sample(1, rng)[:0]
            for t in range(generations + 1):
                if control.stop[0]:
                    return Block({}, {})
                masked = math.nan
                if t > 0 and events["underflow"][r] < 0:
                    data, pool = self._data(rng, t - 1, model, pool)
                    try:
                        fit = model._fitted(data, self.loss, remove=True)
                        model, masked = fit.model, fit.masked_weight
                        _count(events, r, t, fit)
                    except DegenerateFitError:
                        events["underflow"][r] = t
                if t > 0:
                    control.progress[control.slot] += 1
                for name in metrics:
                    values[name][r, t] = masked if name == "masked_weight" else model.measure(name, origin)
                for name, function in functions.items():
                    values[name][r, t] = function(model)
        return Block(values, events)


def _count(events: dict[str, np.ndarray], replicate: int, generation: int, fit: MixtureFit) -> None:
    events["vacuous"][replicate] += fit.vacuous
    events["unconverged"][replicate] += not fit.converged
    for name, lost in (("vanished", fit.vanished), ("singular", fit.singular)):
        if lost and events[name][replicate] < 0:
            events[name][replicate] = generation


@lru_cache
def _normals(dimension: int) -> np.ndarray:
    """Return fixed normal points (m, d), in pairs of opposite ones, with mean 0 and covariance 1 exactly."""
    half = np.random.default_rng(_SEED).standard_normal((_NORMALS // 2, dimension))
    points = np.concatenate([half, -half])
    root = np.linalg.cholesky(points.T @ points / len(points))
    return np.asarray(np.linalg.solve(root, points.T).T)


@lru_cache
def _directions(dimension: int) -> np.ndarray:
    """Return fixed unit vectors: evenly spaced in the plane, else random."""
    if dimension == 1:
        return np.ones((1, 1))
    if dimension == 2:
        angles = math.pi * np.arange(_DIRECTIONS) / _DIRECTIONS
        return np.column_stack([np.cos(angles), np.sin(angles)])
    vectors = np.random.default_rng(_SEED).standard_normal((_DIRECTIONS, dimension))
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def _line_w2_squared(x: np.ndarray, below_x: np.ndarray, y: np.ndarray, below_y: np.ndarray) -> float:
    """W2² of two laws on the line, given by sorted points and the cumulative masses up to each."""
    cuts = np.sort(np.concatenate([below_x[:-1], below_y[:-1]]))
    edges = np.concatenate([[0.0], cuts, [1.0]])
    i = np.concatenate([[0], np.searchsorted(below_x[:-1], cuts, side="right")])
    j = np.concatenate([[0], np.searchsorted(below_y[:-1], cuts, side="right")])
    return float((np.diff(edges) * (x[i] - y[j]) ** 2).sum())


def _seeded(columns: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Weights, means and factors of clusters around points that k-means++ has chosen."""
    rng = np.random.default_rng(_SEEDING)
    points = columns.T
    n = len(points)
    chosen = [int(rng.integers(n))]
    nearest = ((points - points[chosen[0]]) ** 2).sum(axis=1)
    cluster = np.zeros(n, np.int64)
    for k in range(1, size):
        total = nearest.sum()
        chosen.append(int(rng.choice(n, p=nearest / total)) if total > 0 else int(rng.integers(n)))
        distance = ((points - points[chosen[k]]) ** 2).sum(axis=1)
        cluster[distance < nearest] = k
        nearest = np.minimum(nearest, distance)
    # a covariance that all clusters share is regular wherever one can be
    centres = points[chosen].copy()
    for k in range(size):
        if (cluster == k).any():
            centres[k] = points[cluster == k].mean(axis=0)
    deviations = points - centres[cluster]
    pooled = deviations.T @ deviations / n
    try:
        factor = np.linalg.cholesky(pooled)
    except np.linalg.LinAlgError:
        raise DegenerateFitError("the data lie on fewer points or in fewer dimensions than components need") from None
    counts = np.bincount(cluster, minlength=size) + 1.0
    return counts / counts.sum(), centres, np.tile(factor, (size, 1, 1))
