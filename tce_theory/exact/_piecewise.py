"""Functions of one variable as polynomials between edges, found by adaptive bisection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import special

__all__ = ["NODES", "Piecewise", "lagrange"]

NODES = 16
"""Gauss–Legendre nodes of a panel."""
_POINTS, _WEIGHTS = np.polynomial.legendre.leggauss(NODES)
_DEGREES = np.arange(NODES)
_AT_POINTS = np.polynomial.legendre.legvander(_POINTS, NODES - 1)
_TO_COEFFICIENTS = (_DEGREES[:, None] + 0.5) * (_AT_POINTS * _WEIGHTS[:, None]).T
_MOST_BISECTIONS = 12


def lagrange(points: np.ndarray) -> np.ndarray:
    """Return the Lagrange polynomials of the Gauss–Legendre nodes at `points` in [−1, 1]; shape (…, 16)."""
    values: np.ndarray = np.polynomial.legendre.legvander(points, NODES - 1) @ _TO_COEFFICIENTS
    return values


@dataclass(frozen=True, eq=False)
class Piecewise:
    """A function that is a polynomial of degree 15 between consecutive edges, and 0 outside all of them.

    Parameters
    ----------
    edges : ndarray of float, shape (panels + 1,)
    values : ndarray of float, shape (panels, 16)
        At the Gauss–Legendre nodes of each panel.
    error : float
        Estimate of the integral of the interpolation error.
    """

    edges: np.ndarray
    values: np.ndarray
    error: float

    @classmethod
    def of(cls, function: Callable[[np.ndarray], np.ndarray], edges: np.ndarray, tolerance: float) -> Piecewise:
        """Approximate `function`, bisecting panels until what each leaves out integrates to at most `tolerance`."""
        done: list[tuple[np.ndarray, np.ndarray]] = []
        left, right, error = edges[:-1], edges[1:], 0.0
        for bisection in range(_MOST_BISECTIONS + 1):
            half = (right - left) / 2
            nodes = (left + half)[:, None] + half[:, None] * _POINTS
            values = function(nodes.ravel()).reshape(nodes.shape)
            rest = half * np.abs(values @ _TO_COEFFICIENTS[-2:].T).sum(axis=1)
            ready = (rest <= tolerance) | (bisection == _MOST_BISECTIONS)
            error += rest[ready].sum()
            done.append((left[ready], values[ready]))
            middle = (left + half)[~ready]
            left, right = np.concatenate([left[~ready], middle]), np.concatenate([middle, right[~ready]])
            if left.size == 0:
                break
        starts = np.concatenate([part[0] for part in done])
        order = np.argsort(starts)
        values = np.concatenate([part[1] for part in done])[order]
        return cls(np.append(starts[order], edges[-1]), values, float(error))

    @cached_property
    def widths(self) -> np.ndarray:
        """Of the panels."""
        return np.diff(self.edges)

    @cached_property
    def nodes(self) -> np.ndarray:
        """Gauss–Legendre nodes of all panels, shape (panels, 16)."""
        nodes: np.ndarray = self.edges[:-1, None] + self.widths[:, None] * (_POINTS + 1) / 2
        return nodes

    @cached_property
    def weights(self) -> np.ndarray:
        """Weights of the nodes, shape (panels, 16)."""
        weights: np.ndarray = self.widths[:, None] * _WEIGHTS / 2
        return weights

    @cached_property
    def _coefficients(self) -> np.ndarray:
        """Legendre coefficients, shape (16, panels)."""
        return np.ascontiguousarray((self.values @ _TO_COEFFICIENTS.T).T)

    @cached_property
    def _integral_coefficients(self) -> np.ndarray:
        """Legendre coefficients of the integral from the first edge on, shape (17, panels)."""
        inner = self._coefficients / (2 * _DEGREES[:, None] + 1) * (self.widths / 2)
        integral = np.zeros((NODES + 1, self.widths.size))
        integral[1:] += inner
        integral[: NODES - 1] -= inner[1:]
        # the integral of P_0 from −1 is x + 1
        totals = 2 * inner[0]
        integral[0] += inner[0] + np.concatenate([[0.0], np.cumsum(totals)[:-1]])
        return integral

    def __call__(self, x: np.ndarray) -> np.ndarray:
        """Value at each x."""
        inside = (x >= self.edges[0]) & (x <= self.edges[-1])
        return np.where(inside, self._evaluate(self._coefficients, x), 0.0)

    def integral(self, x: np.ndarray) -> np.ndarray:
        """Integral from −∞ to each x."""
        return self._evaluate(self._integral_coefficients, np.clip(x, self.edges[0], self.edges[-1]))

    def _evaluate(self, coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Clenshaw's recurrence."""
        panel = np.clip(np.searchsorted(self.edges, x, side="right") - 1, 0, self.widths.size - 1)
        y = 2 * (x - self.edges[panel]) / self.widths[panel] - 1
        before: np.ndarray = np.zeros_like(y)
        last: np.ndarray = np.zeros_like(y)
        for degree in range(coefficients.shape[0] - 1, -1, -1):
            following = (2 * degree + 1) / (degree + 1) * y * last - (degree + 1) / (degree + 2) * before
            before, last = last, coefficients[degree][panel] + following
        return last

    def transform(self, frequencies: np.ndarray) -> np.ndarray:
        """Return ∫ f(x) exp(isx) dx for each s, with the spherical Bessel functions that Legendre polynomials have."""
        total = np.zeros(frequencies.size, dtype=np.complex128)
        middles = (self.edges[:-1] + self.edges[1:]) / 2
        halves, group = np.unique((self.widths / 2).round(12), return_inverse=True)
        for i, half in enumerate(halves):
            waves = np.exp(1j * np.multiply.outer(frequencies, middles[group == i]))
            bessel = special.spherical_jn(_DEGREES, (half * frequencies)[:, None])
            total += 2 * half * (waves @ self._coefficients.T[group == i] * bessel * 1j**_DEGREES).sum(axis=1)
        return total
