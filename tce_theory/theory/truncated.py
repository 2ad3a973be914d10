"""Gaussian model under relative truncation: samples within a radius of a scales around the centre are masked.

The threshold is relative to the peak of the density, so that a sample is masked where its Mahalanobis radius is below
a = sqrt(−2 log γ).
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special

from tce_theory.theory._arguments import FloatOrArray, numbers_in, numbers_or_scalar

__all__ = ["tail_inflation"]


def tail_inflation(a: Any) -> FloatOrArray:
    """Factor η(a) by which leaving out what lies within a scales of the centre inflates the variance.

    Parameters
    ----------
    a : float or array of float
        Truncation radius in units of the scale, at least 0.

    Returns
    -------
    float or ndarray
        η(a) = 1 + a h(a) ≥ 1, h the hazard of the standard normal law; of the shape of `a`.

    Raises
    ------
    DomainError
        If `a` is negative or not finite.

    Notes
    -----
    Slug `tail-inflation`. h(a) = sqrt(2/π)/erfcx(a/sqrt(2)), which neither overflows nor cancels.

    Examples
    --------
    >>> round(tail_inflation(1.0), 12)
    2.525135276161
    """
    radius = numbers_in("a", a, 0.0)
    hazard = math.sqrt(2 / math.pi) / special.erfcx(radius / math.sqrt(2))
    return numbers_or_scalar(np.asarray(1 + radius * hazard))
