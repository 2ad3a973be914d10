"""First-passage law of the scale of a Gaussian model, without Monte Carlo.

Under cross entropy and under the previous-mask relative rule log(σ_t²/σ_0²) is a random walk (slugs `gaussian-ce-law`,
`scale-no-go`). Let its step have the density f and the probability q of 0. The probability s_t(x) of staying in the
band for t generations from x obeys s_0 = 1, s_{t+1}(x) = q s_t(x) + ∫_band f(y − x) s_t(y) dy. Composite Gauss–Legendre
quadrature makes this a matrix (Nyström's method), whose transpose carries the masses of the walks in the band from
generation to generation, with spectral accuracy where f is smooth. Where it is not, at `LogVarianceStep.kinks`, the
integrals of f against the polynomials through the nodes take the place of f times the weights; and s_t is not smooth
that far from the ends of the band, so that panels end there.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from tce_theory.errors import DomainError
from tce_theory.exact._piecewise import lagrange
from tce_theory.exact._step import LogVarianceStep, step_under
from tce_theory.exact.law import FirstPassageLaw
from tce_theory.losses import CrossEntropy, Loss
from tce_theory.theory._arguments import flag
from tce_theory.validation import number_in, positive_integer

__all__ = ["gaussian_first_passage"]

_CROSS_ENTROPY = CrossEntropy()
_ORDER = 16
_PANEL_WIDTH = 5.0
"""Standard deviations of a step to a panel of 16 nodes on the first grid: 1e-12 from n = 20 on, 1e-4 for n = 2."""
_REFINEMENT = 1.5
_MOST_REFINEMENTS = 4
_MOST_REFINEMENTS_OF_KINKS = 9
_ROUGHEST = 6
"""Panels end where s_t has a term of a lower power of the distance."""
_MOST_NODES = 20_000
_LONGEST = 10**7
_LARGEST_SAMPLE = 10**6
"""Beyond it scipy's incomplete gamma functions are wrong in the tails: by 1e-9 at n = 10^7, by 1e-7 at n = 10^9."""
_NEGLIGIBLE_STEP = 1e-18
"""Probability beyond which steps are left out of the matrix, on either side."""
_ROUNDING = 4e-15
"""Of sums over the nodes, which two grids may share."""
_EXTINCT = 1e-290
"""Survival below which the rest of the law is 0: subnormal numbers would be slow and wrong."""


def gaussian_first_passage(
    n: int,
    *,
    low: float = 0.0,
    high: float = math.inf,
    horizon: int,
    fit_mean: bool = True,
    ddof: int = 0,
    tolerance: float = 1e-8,
    loss: Loss = _CROSS_ENTROPY,
) -> FirstPassageLaw:
    """Law of the first generation at which σ_t/σ_0 is outside (low, high).

    Parameters
    ----------
    n : int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one, at most 10^6 (10^4 under TCE).
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
    loss : CrossEntropy or TruncatedCrossEntropy
        TCE with ``scale="relative"``, ``mask="previous"`` and `ddof` 0: points within a = sqrt(−2 log γ) standard
        deviations σ_t of the mean of the model that drew them are left out, and with fewer than two left (one, if the
        mean is known) the model stays as it is.

    Returns
    -------
    FirstPassageLaw
        Probabilities at the integer times 1 … horizon, as `fidelity_interval` measures them with ``interpolate=False``.

    Raises
    ------
    DomainError
        If an argument is out of range, or the band is so wide against a step (of width about sqrt(2/n) in log σ²) that
        the quadrature would need over 20,000 nodes, or γ is so near 0 that σ all but never changes.
    UnsupportedCombinationError
        If under `loss` log σ² is not a random walk (TCE on the absolute scale), or one with a step that is not known
        (the current model's mask).

    Notes
    -----
    Slugs `gaussian-ce-law` and `scale-no-go`. Time and memory grow with the number of nodes, about 5 for each standard
    deviation of a step in the band, and time with the horizon.

    Under truncation the law of the step has to be computed first. It is a mixture over the number of kept points, whose
    sums of squares have Laplace transforms in scaled complementary error functions. `error` includes the effect of its
    error, 1e-13 to 1e-11 a generation survived, which is estimated by a second discretisation. This takes .1 to 1 s if
    at most 5 are kept in practically every generation, or many and γ is near 1, and up to 10 s else; steps are cached.

    An unbounded side is cut where it is all but irrelevant, at a distance d with Pr(the walk ever rises by d within the
    horizon) ≤ tolerance/10 by Doob's inequality for exp(q X_t)/E[exp(q ξ)]^t; walks beyond the cut count as surviving.

    Examples
    --------
    The factor-2 band in σ² with 100 points a generation:

    >>> law = gaussian_first_passage(100, low=0.5**0.5, high=2**0.5, horizon=2000)
    >>> law.median, round(law.restricted_mean, 6), law.error < 1e-8
    (20.0, 25.353133, True)

    With the innermost two points of a generation left out, on average, log σ² has no drift (slug
    `critical-truncation`). The mean interval is then longer by about b coth(b) = 1.155, b = log 2 (slug
    `extension-law`, a limit for large n):

    >>> from tce_theory.losses import TruncatedCrossEntropy
    >>> gamma = math.exp(-(0.025188678**2) / 2)
    >>> loss = TruncatedCrossEntropy(gamma, scale="relative", mask="previous")
    >>> held = gaussian_first_passage(100, low=0.5**0.5, high=2**0.5, horizon=2000, loss=loss)
    >>> round(held.restricted_mean, 6), round(held.restricted_mean / law.restricted_mean, 4)
    (30.060632, 1.1857)
    """
    n = positive_integer("n", n, maximum=_LARGEST_SAMPLE)
    fit_mean = flag("fit_mean", fit_mean)
    low = number_in("low", low, 0.0, 1.0)
    high = _upper_end(high)
    if low == 1:
        raise DomainError("low", low, "a number in [0, 1): the ratio starts at 1")
    if low == 0 and high == math.inf:
        raise DomainError("low", low, "above 0, or high finite: without a band there is no passage")
    horizon = positive_integer("horizon", horizon, maximum=_LONGEST)
    tolerance = number_in("tolerance", tolerance, 1e-12, 0.1)
    step = step_under(loss, n, fit_mean, ddof)

    band, cut_off = _Band.of(step, low, high, horizon, tolerance / 10)
    panels = max(1, math.ceil((band.top - band.bottom) / (_PANEL_WIDTH * step.width)))
    coarse = _propagate(step, band, panels, horizon, n)
    for _ in range(_MOST_REFINEMENTS_OF_KINKS if step.kinks else _MOST_REFINEMENTS):
        panels = math.ceil(_REFINEMENT * panels)
        fine = _propagate(step, band, panels, horizon, n)
        # a step that is off by an error in law shifts survival by at most that error a generation survived
        fixed = _ROUNDING + cut_off + step.error * math.fsum(fine.survival[:-1])
        error = _discrepancy(coarse, fine) + fixed
        if error <= tolerance:
            fine.mass.flags.writeable = fine.survival.flags.writeable = False
            return FirstPassageLaw(fine.mass, fine.survival, error, fine.n_nodes)
        if fixed > tolerance:
            break
        coarse = fine
    raise DomainError("tolerance", tolerance, f"at least {error:.1e}, what can be reached")


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
    def of(cls, step: LogVarianceStep, low: float, high: float, horizon: int, bound: float) -> tuple[_Band, float]:
        """Band, and the bound on the error of its cuts."""
        bottom = 2 * math.log(low) if low > 0 else -math.inf
        top = 2 * math.log(high)
        rise = _improbable_rise(step, horizon, bound)
        fall = _improbable_fall(step, horizon, bound) if step.mean > 0 else math.inf
        if bottom == -math.inf:
            # what is this far below the top does not come back to it, or the walk does not come there
            return cls(min(max(top - rise, -fall), -step.width), top, False, True), bound
        # what is this far above the bottom does not come back to it, which is all that matters without a top
        ceiling = rise if top < math.inf else max(min(rise, bottom + fall), step.width)
        if top > ceiling:
            return cls(bottom, ceiling, True, False), bound
        return cls(bottom, top, True, True), 0.0

    def exits(self, step: LogVarianceStep, start: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities of leaving from `start` in one step: through an end of the band, and over a cut."""
        below, above = step.below(self.bottom - start), step.above(self.top - start)
        through = self.exit_below * below + self.exit_above * above
        return through, below + above - through

    def edges(self, kinks: tuple[tuple[float, int], ...]) -> np.ndarray:
        """Return the ends of the band, and points between them at which survival is not smooth.

        A step over a kink of order r lands on a point at which survival has a term of order s: at the start of that
        step it has one of order r + s + 1. The ends have order 0, where survival as a function of the start drops to 0.
        """
        found, fresh = {self.bottom, self.top}, [(self.bottom, 0), (self.top, 0)]
        while fresh:
            fresh = [
                (end - kink, order + roughness + 1)
                for end, order in fresh
                for kink, roughness in kinks
                if order + roughness + 1 < _ROUGHEST and self.bottom < end - kink < self.top
            ]
            found.update(end for end, _ in fresh)
        ends = np.array(sorted(found))
        inner = ends[1:-1][np.diff(ends)[:-1] > 1e-9 * (self.top - self.bottom)]
        return np.concatenate([ends[:1], inner, ends[-1:]])


def _improbable_rise(step: LogVarianceStep, horizon: int, bound: float) -> float:
    """Distance by which the walk rises within the horizon with probability at most `bound`.

    exp(q X_t)/E[exp(q ξ)]^t is a martingale (Doob), so that Pr(max X ≥ d) is at most
    exp(−q d) max(1, E[exp(q ξ)]^t) for every q > 0: any choice gives a bound, a fine grid a good one.
    """
    q = step.lundberg * np.geomspace(1, 1e6, 601)
    distances = (-math.log(bound) + horizon * np.maximum(step.log_mgf(q), 0.0)) / q
    return float(distances.min())


def _improbable_fall(step: LogVarianceStep, horizon: int, bound: float) -> float:
    """Distance by which the walk falls within the horizon with probability at most `bound`, in the same way."""
    q = step.exponents_below
    distances = (-math.log(bound) + horizon * np.maximum(step.log_mgf_below(q), 0.0)) / q
    return float(distances.min())


class _Solution(NamedTuple):
    """Mass at 1 … horizon and survival at 0 … horizon, on a grid."""

    mass: np.ndarray
    survival: np.ndarray
    n_nodes: int


def _propagate(step: LogVarianceStep, band: _Band, panels: int, horizon: int, n: int) -> _Solution:
    """Solution on a grid of at least `panels` panels."""
    grid = _Grid.of(band.edges(step.kinks), panels)
    needed = grid.nodes.size
    if needed > _MOST_NODES:
        raise DomainError("n", n, f"smaller, or the band narrower: it needs {needed} nodes, {_MOST_NODES} are admitted")
    origin = np.zeros(1)
    start = _transitions(step, origin, grid).toarray()[0]
    transition = _transitions(step, grid.nodes, grid).T.tocsr()
    exits, cuts = band.exits(step, grid.nodes)
    first_exit, first_cut = (float(part[0]) for part in band.exits(step, origin))

    mass = np.zeros(horizon)
    survival = np.zeros(horizon + 1)
    survival[0] = 1.0
    mass[0], beyond_cut = max(first_exit, 0.0), first_cut
    masses, unmoved = start, step.atom
    for t in range(1, horizon + 1):
        inside = masses.sum() + unmoved
        survival[t] = min(inside + beyond_cut, survival[t - 1])  # but for rounding the former
        if inside < _EXTINCT:
            survival[t:] = beyond_cut
            break
        if t < horizon:
            mass[t] = max(masses @ exits + unmoved * first_exit, 0.0)
            beyond_cut += masses @ cuts + unmoved * first_cut
            masses = transition @ masses
            if unmoved:
                masses += unmoved * start
                unmoved *= step.atom
    return _Solution(mass, survival, needed)


class _Grid(NamedTuple):
    """Composite Gauss–Legendre quadrature."""

    edges: np.ndarray
    nodes: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, ends: np.ndarray, panels: int) -> _Grid:
        """At least `panels` panels, of nearly the same width, with an edge at each of `ends`."""
        lengths = np.diff(ends)
        counts = np.maximum(np.ceil(panels * lengths / lengths.sum() - 1e-9), 1).astype(np.int64)
        pieces = [_composite_gauss_legendre(*piece) for piece in zip(ends[:-1], ends[1:], counts, strict=True)]
        nodes, weights = (np.concatenate(parts) for parts in zip(*pieces, strict=True))
        edges = [np.linspace(*piece, endpoint=False) for piece in zip(ends[:-1], ends[1:], counts, strict=True)]
        return cls(np.append(np.concatenate(edges), ends[-1]), nodes, weights)


def _composite_gauss_legendre(bottom: float, top: float, panels: int) -> tuple[np.ndarray, np.ndarray]:
    points, weights = np.polynomial.legendre.leggauss(_ORDER)
    width = (top - bottom) / panels
    nodes = bottom + width * (np.arange(panels)[:, None] + (points + 1) / 2)
    return nodes.ravel(), np.tile(weights * width / 2, panels)


def _transitions(step: LogVarianceStep, starts: np.ndarray, grid: _Grid) -> sparse.csr_array:
    """Matrix of what the walks from each start bring to each node, but for those that do not move and for exits."""
    shortest, longest = step.quantiles(_NEGLIGIBLE_STEP)
    first = np.searchsorted(grid.nodes, starts + shortest)
    last = np.searchsorted(grid.nodes, starts + longest)
    if step.kinks:  # whole panels, and one more for a kink at the end of the law
        first = np.maximum(first // _ORDER - 1, 0) * _ORDER
        last = np.minimum(-(-last // _ORDER) + 1, grid.edges.size - 1) * _ORDER
    counts = last - first
    row_ends = np.concatenate([[0], np.cumsum(counts)])
    columns = np.arange(row_ends[-1]) - np.repeat(row_ends[:-1] - first, counts)
    values = step.density(grid.nodes[columns] - np.repeat(starts, counts)) * grid.weights[columns]
    if step.kinks:
        _integrate_kinks(step, starts, grid, row_ends[:-1] - first, values)
    matrix = sparse.csr_array((values, columns, row_ends), shape=(starts.size, grid.nodes.size))
    if step.atom and starts.size == grid.nodes.size:
        matrix = matrix + step.atom * sparse.eye_array(starts.size, format="csr")
    return matrix


def _integrate_kinks(
    step: LogVarianceStep, starts: np.ndarray, grid: _Grid, offsets: np.ndarray, values: np.ndarray
) -> None:
    """Replace f times weights by integrals of f against Lagrange polynomials in panels that hold a kink of f.

    The entry of row i and column j is ``values[offsets[i] + j]``.
    """
    kinks = np.array(sorted(location for location, _ in step.kinks))
    points = np.add.outer(starts, kinks)
    row, kink = np.nonzero((points > grid.edges[0]) & (points < grid.edges[-1]))
    point = points[row, kink]
    panel = np.searchsorted(grid.edges, point, side="right") - 1
    left, right = grid.edges[panel], grid.edges[panel + 1]
    # from each kink to the next or to the end of the panel, and from the start of the panel to its first kink
    following = np.append(points, np.full((starts.size, 1), math.inf), axis=1)[row, kink + 1]
    preceding = np.append(np.full((starts.size, 1), -math.inf), points, axis=1)[row, kink]
    opens = preceding < left
    begin = np.concatenate([point, left[opens]])
    end = np.concatenate([np.minimum(following, right), point[opens]])
    row, panel = np.concatenate([row, row[opens]]), np.concatenate([panel, panel[opens]])
    left, right = np.concatenate([left, left[opens]]), np.concatenate([right, right[opens]])

    gauss, gauss_weights = np.polynomial.legendre.leggauss(_ORDER)
    y = begin[:, None] + (end - begin)[:, None] * (gauss + 1) / 2
    amounts = step.density(y - starts[row][:, None]) * gauss_weights * (end - begin)[:, None] / 2
    basis = lagrange(2 * (y - left[:, None]) / (right - left)[:, None] - 1)
    entries = (offsets[row] + panel * _ORDER)[:, None] + np.arange(_ORDER)
    values[entries] = 0.0
    np.add.at(values, entries, np.einsum("sg,sgj->sj", amounts, basis))


def _discrepancy(coarse: _Solution, fine: _Solution) -> float:
    """Largest change in survival between two grids, or between the two ways in which one grid gives it."""
    change = np.abs(fine.survival - coarse.survival).max()
    imbalance = np.abs(1 - np.cumsum(fine.mass) - fine.survival[1:]).max()
    return float(max(change, imbalance))
