"""First-passage law of the scale of a Gaussian model under cross entropy, without Monte Carlo.

log(σ_t²/σ_0²) is a random walk whose step has a smooth density f (slug `gaussian-ce-law`). The density of the walks
that have stayed in their band so far obeys u_1(x) = f(x), u_{t+1}(x) = ∫_band u_t(y) f(x − y) dy, which composite
Gauss–Legendre quadrature solves with spectral accuracy (Nyström's method).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from tce_theory.errors import DomainError
from tce_theory.exact._step import Step
from tce_theory.theory._arguments import flag
from tce_theory.validation import number_in, positive_integer

__all__ = ["FirstPassageLaw", "gaussian_first_passage"]

_ORDER = 16
_PANEL_WIDTH = 5.0
"""Standard deviations of a step to a panel of 16 nodes on the first grid: 1e-12 from n = 20 on, 1e-4 for n = 2."""
_REFINEMENT = 1.5
_MOST_REFINEMENTS = 4
_MOST_NODES = 20_000
_LONGEST = 10**7
_LARGEST_SAMPLE = 10**6
"""Beyond it scipy's incomplete gamma functions are wrong in the tails: by 1e-9 at n = 10^7, by 1e-7 at n = 10^9."""
_NEGLIGIBLE_STEP = 1e-18
"""Probability beyond which steps are left out of the matrix, on either side."""
_EXTINCT = 1e-290
"""Survival below which the rest of the law is 0: subnormal numbers would be slow and wrong."""


@dataclass(frozen=True, eq=False)
class FirstPassageLaw:
    """Law of the first generation τ at which σ is outside its band.

    Attributes
    ----------
    mass : ndarray of float, shape (horizon,)
        ``mass[t - 1]`` = Pr(τ = t), t = 1 … horizon.
    survival : ndarray of float, shape (horizon + 1,)
        ``survival[t]`` = Pr(τ > t), t = 0 … horizon.
    error : float
        Estimate of the largest error in `survival`: the change on refining the grid, and the bound on what was cut off
        an unbounded band.
    n_nodes : int
        Nodes of the quadrature.
    """

    mass: np.ndarray
    survival: np.ndarray
    error: float
    n_nodes: int

    @property
    def horizon(self) -> int:
        """Last generation of the law."""
        return self.mass.size

    @property
    def restricted_mean(self) -> float:
        """E min(τ, horizon) in generations, with an error of at most about horizon · `error`."""
        return math.fsum(self.survival[:-1])

    @property
    def median(self) -> float:
        """Smallest t with Pr(τ ≤ t) ≥ 1/2, or inf if that is beyond the horizon."""
        passed = np.flatnonzero(self.survival <= 0.5)
        return float(passed[0]) if passed.size else math.inf


def gaussian_first_passage(
    n: int,
    *,
    low: float = 0.0,
    high: float = math.inf,
    horizon: int,
    fit_mean: bool = True,
    ddof: int = 0,
    tolerance: float = 1e-8,
) -> FirstPassageLaw:
    """Law of the first generation at which σ_t/σ_0 is outside (low, high), under cross entropy.

    Parameters
    ----------
    n : int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one, at most 10^6.
    low, high : float
        Band of σ_t/σ_0, 0 ≤ low < 1 < high ≤ inf, with at least one side in (0, inf). A threshold on a monotone
        function of σ is one on σ: an entropy loss of d nats is low = exp(−d), a factor c in the variance is sqrt(c).
    horizon : int
        Last generation of the law, at most 10^7.
    fit_mean : bool
        Whether the mean is fitted or known.
    ddof : {0, 1}
        0 divides the sum of squares by n (maximum likelihood), 1 by n − 1; with a known mean only 0.
    tolerance : float
        Largest admissible error in any survival probability, in [1e-12, 0.1].

    Returns
    -------
    FirstPassageLaw
        Probabilities at the integer times 1 … horizon, as `fidelity_interval` measures them with ``interpolate=False``.

    Raises
    ------
    DomainError
        If an argument is out of range, or the band is so wide against a step (of width about sqrt(2/n) in log σ²) that
        the quadrature would need over 20,000 nodes.

    Notes
    -----
    Slug `gaussian-ce-law`. Time and memory grow with the number of nodes, about 5 for each standard deviation of a
    step in the band, and time with the horizon.

    An unbounded side is cut where it is all but irrelevant, at a distance d with Pr(the walk ever rises by d within the
    horizon) ≤ tolerance/10 by Doob's inequality for exp(q X_t)/E[exp(q ξ)]^t; walks beyond the cut count as surviving.

    Examples
    --------
    The factor-2 band in σ² with 100 points a generation:

    >>> law = gaussian_first_passage(100, low=0.5**0.5, high=2**0.5, horizon=2000)
    >>> law.median, round(law.restricted_mean, 6), law.error < 1e-8
    (20.0, 25.353133, True)
    """
    n = positive_integer("n", n, maximum=_LARGEST_SAMPLE)
    step = Step.of(n, flag("fit_mean", fit_mean), ddof)
    low = number_in("low", low, 0.0, 1.0)
    high = _upper_end(high)
    if low == 1:
        raise DomainError("low", low, "a number in [0, 1): the ratio starts at 1")
    if low == 0 and high == math.inf:
        raise DomainError("low", low, "above 0, or high finite: without a band there is no passage")
    horizon = positive_integer("horizon", horizon, maximum=_LONGEST)
    tolerance = number_in("tolerance", tolerance, 1e-12, 0.1)

    band, cut_off = _Band.of(step, low, high, horizon, tolerance / 10)
    panels = max(1, math.ceil((band.top - band.bottom) / (_PANEL_WIDTH * step.std)))
    coarse = _propagate(step, band, panels, horizon, n)
    for _ in range(_MOST_REFINEMENTS):
        panels = math.ceil(_REFINEMENT * panels)
        fine = _propagate(step, band, panels, horizon, n)
        error = _discrepancy(coarse, fine) + cut_off
        if error <= tolerance:
            mass, survival = fine
            mass.flags.writeable = survival.flags.writeable = False
            return FirstPassageLaw(mass, survival, error, panels * _ORDER)
        coarse = fine
    raise DomainError("tolerance", tolerance, f"at least {error:.1e}, what refining the grid reaches")


def _upper_end(high: Any) -> float:
    if isinstance(high, (int, float)) and high == math.inf:
        return math.inf
    try:
        high = number_in("high", high, 1.0, np.finfo(np.float64).max, open_low=True)
    except DomainError:
        raise DomainError("high", high, "above 1, or inf: the ratio starts at 1") from None
    return float(high)


@dataclass(frozen=True)
class _Band:
    """Band of log(σ²/σ_0²) that is computed on; an open end is a cut, beyond which walks count as surviving."""

    bottom: float
    top: float
    exit_below: bool
    exit_above: bool

    @classmethod
    def of(cls, step: Step, low: float, high: float, horizon: int, bound: float) -> tuple[_Band, float]:
        """Band, and the bound on the error of its cuts."""
        bottom = 2 * math.log(low) if low > 0 else -math.inf
        top = 2 * math.log(high)
        rise = _improbable_rise(step, horizon, bound)
        if bottom == -math.inf:
            # what is this far below the top does not come back to it
            return cls(min(top - rise, -step.std), top, False, True), bound
        if top > rise:
            return cls(bottom, rise, True, False), bound
        return cls(bottom, top, True, True), 0.0

    def exits(self, step: Step, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of leaving from `start` in one step: through an end of the band, and over a cut."""
        below, above = step.below(self.bottom - start), step.above(self.top - start)
        through = self.exit_below * below + self.exit_above * above
        return through, below + above - through


def _improbable_rise(step: Step, horizon: int, bound: float) -> float:
    """Distance by which the walk rises within the horizon with probability at most `bound`.

    exp(q X_t) is a submartingale for q at or above the Lundberg exponent, so that Pr(max X ≥ d) is at most
    exp(−q d) E[exp(q ξ)]^t for each of these q: any choice gives a bound, a fine grid a good one.
    """
    q = step.lundberg * np.geomspace(1, 1e6, 601)
    distances = (-math.log(bound) + horizon * np.maximum(step.log_mgf(q), 0.0)) / q
    return float(distances.min())


def _propagate(step: Step, band: _Band, panels: int, horizon: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Mass at 1 … horizon and survival at 0 … horizon on a grid of `panels` panels."""
    if panels * _ORDER > _MOST_NODES:
        needed = panels * _ORDER
        raise DomainError("n", n, f"smaller, or the band narrower: it needs {needed} nodes, {_MOST_NODES} are admitted")
    nodes, weights = _composite_gauss_legendre(band.bottom, band.top, panels)
    kernel = _kernel(step, nodes, weights)
    exits, cuts = band.exits(step, nodes)

    mass = np.zeros(horizon)
    survival = np.zeros(horizon + 1)
    survival[0] = 1.0
    mass[0], beyond_cut = map(float, band.exits(step, np.zeros(())))
    density = step.density(nodes)
    for t in range(1, horizon + 1):
        weighted = weights * density
        inside = weighted.sum()
        survival[t] = min(inside + beyond_cut, 1.0)
        if inside < _EXTINCT:
            survival[t:] = beyond_cut
            break
        if t < horizon:
            mass[t] = weighted @ exits
            beyond_cut += weighted @ cuts
            density = kernel @ density
    return mass, survival


def _composite_gauss_legendre(bottom: float, top: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(_ORDER)
    width = (top - bottom) / panels
    nodes = bottom + width * (np.arange(panels)[:, None] + (points + 1) / 2)
    return nodes.ravel(), np.tile(weights * width / 2, panels)


def _kernel(step: Step, nodes: np.ndarray, weights: np.ndarray) -> sparse.csr_array:
    """Matrix w_j f(x_i − x_j), where the step x_i − x_j is not negligible."""
    shortest, longest = step.quantiles(_NEGLIGIBLE_STEP)
    first = np.searchsorted(nodes, nodes - longest)
    counts = np.searchsorted(nodes, nodes - shortest) - first
    row_ends = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(row_ends[-1]) - np.repeat(row_ends[:-1] - first, counts)
    values = step.density(np.repeat(nodes, counts) - nodes[columns]) * weights[columns]
    return sparse.csr_array((values, columns, row_ends), shape=(nodes.size, nodes.size))


def _discrepancy(coarse: tuple[np.ndarray, np.ndarray], fine: tuple[np.ndarray, np.ndarray]) -> float:
    """Largest change in survival between two grids, or between the two ways in which one grid gives it."""
    mass, survival = fine
    change = np.abs(survival - coarse[1]).max()
    imbalance = np.abs(1 - np.cumsum(mass) - survival[1:]).max()
    return float(max(change, imbalance))
