"""One fit of a model to data under a loss, and what it reports."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np
from numpy.typing import ArrayLike

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.losses import Loss
from tce_theory.validation import finite_array

if TYPE_CHECKING:
    from tce_theory.models.base import Model

__all__ = ["Counts", "Fit", "fit"]

ModelT = TypeVar("ModelT", bound="Model")


@dataclass(frozen=True, eq=False, init=False)
class Counts:
    """How often each class was seen, as data for a discrete family.

    Parameters
    ----------
    values : array_like of int, shape (K,)
        Counts, one for each class, at least one of them above 0.

    Raises
    ------
    DomainError
        If a count is negative or not a whole number, or all are 0.

    Examples
    --------
    >>> Counts([3, 0, 1]).total
    4
    """

    values: np.ndarray

    def __init__(self, values: ArrayLike) -> None:
        array = finite_array("counts", values)
        bad = (array < 0) | (array != np.floor(array)) | (array > 2**53)
        if bad.any():
            raise DomainError("counts", float(array[bad][0]), "nonnegative whole numbers, at most 2**53")
        if not array.any():
            raise DomainError("counts", "all 0", "above 0 for at least one class")
        if array.sum() > 2**53:
            raise DomainError("counts", f"a total of {array.sum():g}", "at most 2**53 in total")
        whole = array.astype(np.int64)
        whole.flags.writeable = False
        object.__setattr__(self, "values", whole)

    @property
    def total(self) -> int:
        """Sample size."""
        return int(self.values.sum())


@dataclass(frozen=True, eq=False)
class Fit(Generic[ModelT]):
    """Result of `fit`.

    Parameters
    ----------
    model : Model
        The fitted model.
    objective : float
        What the fit minimises, as a mean over all data, in nats: max(−log p, −log gamma) for TCE (slug `hinge-form`).
        Where the mask is not decided by the fitted density alone (relative scale, previous mask) there is no such
        objective, and this is the mean of w·(−log p), the loss that the source reports.
    weights : numpy.ndarray
        Weight w in [0, 1] of each data point, or of each class for a discrete family: 0 is masked. The loss is
        stationary with these weights. A weighted loss has its own weight here, a focal loss that is differentiated
        through its gradient factor, which may exceed 1.
    masked_weight : float
        Sum of 1 − w over the data.
    boundary_index : numpy.ndarray
        Data points (or classes) that sit exactly on p = gamma, whose weight the stationarity fixes between 0 and 1.
    vacuous : bool
        Whether everything is masked (or, under a previous mask, all but one point of a Gaussian with a free mean, or
        all but d points of a mixture in d dimensions), so that the fit is a matter of convention.
    n_iter : int
        Steps of the search; 0 for a closed form.
    """

    model: ModelT
    objective: float
    weights: np.ndarray = field(repr=False)
    masked_weight: float
    boundary_index: np.ndarray
    vacuous: bool
    n_iter: int

    @classmethod
    def weighted(
        cls,
        model: ModelT,
        objective: float,
        weights: np.ndarray,
        *,
        n_iter: int,
        vacuous: bool = False,
        boundary: np.ndarray | None = None,
    ) -> Fit[ModelT]:
        """Make the result of a fit whose data have one weight each; `boundary` says which of them are on p = gamma."""
        return Fit(
            model=model,
            objective=objective,
            weights=weights,
            masked_weight=float((1 - weights).sum()),
            boundary_index=np.empty(0, np.int64) if boundary is None else np.flatnonzero(boundary),
            vacuous=vacuous,
            n_iter=n_iter,
        )

    @property
    def boundary_weight(self) -> np.ndarray:
        """Weights of the data points (or classes) on the boundary, in the order of `boundary_index`."""
        return np.asarray(self.weights[self.boundary_index])


def fit(model: ModelT, data: Any, loss: Loss) -> Fit[ModelT]:
    """Fit a model's family to data under a loss, exactly.

    Parameters
    ----------
    model : Model
        Where training starts from: it sets the family and what is known (such as a fixed mean); its parameters matter
        to previous masks and to vacuous fits.
    data : array_like or Counts
        Points, shape (n,), for a continuous family; integer labels, shape (n,), or `Counts` for a discrete one.
    loss : Loss
        See `tce_theory.losses`. What goes with what is checked, and refused with the reason.

    Returns
    -------
    Fit

    Raises
    ------
    DomainError
        If the data or the threshold are not admissible for the family.
    UnsupportedCombinationError
        If the family has no such fit.
    DegenerateFitError
        If the likelihood has no maximum (identical points under cross entropy).

    Warns
    -----
    StatisticalWarning
        If the fit is vacuous, and therefore a convention.

    Notes
    -----
    Slugs `hinge-form`, `capped-projection`, `warm-degenerate`, `density-wall`, `relative-fixed-point`.

    Examples
    --------
    >>> import tce_theory as tce
    >>> tce.fit(tce.Categorical([0.5, 0.3, 0.2]), tce.Counts([90, 7, 3]), tce.TCE(0.6)).model.probs
    array([0.6 , 0.28, 0.12])
    >>> result = tce.fit(tce.Gaussian(), [-0.6, -0.1, 0.2, 0.7], tce.TCE(0.5))
    >>> round(result.model.std, 6), round(result.masked_weight, 6)
    (0.65, 2.0)
    """
    from tce_theory.models.base import Model

    if not isinstance(model, Model):
        raise DomainError("model", model, "a model of this library, such as Gaussian() or Categorical(probs)")
    if not isinstance(loss, Loss):
        raise DomainError("loss", loss, "a loss of this library, such as CrossEntropy() or TCE(gamma)")
    result = model.fit(data, loss)
    if result.vacuous:
        warnings.warn(
            f"the data that {loss!r} leaves unmasked determine no fit: this one is chosen by convention",
            StatisticalWarning,
            stacklevel=2,
        )
    return result
