"""Sum of squares of k points that a mask has kept, each a standard normal number y given |y| ≥ a, by Laplace inversion.

With a known mean it is Q = Σ y_i², with a fitted one Q = Σ (y_i − ȳ)². Because

    exp(−u Σ (y_i − ȳ)²) = sqrt(uk/π) ∫ exp(−u Σ (y_i − c)²) dc,

the transform E exp(−uQ) is sqrt(uk/π) ∫ N(u, c)^k dc with N(u, c) = E exp(−u (y − c)²), which is a pair of scaled
complementary error functions of complex argument; for a known mean it is N(u, 0)^k.

For many points the transform decays so fast that it is inverted on a vertical line (`ManyPoints`). For few points the
density has singularities: if m of the k points are positive, then Q ≥ q_m = 4a² m(k − m)/k (mean known: Q ≥ ka²), and
just above q_m the density is proportional to (Q − q_m)^(k−1), or, where all have one sign, to Q^((k−3)/2). Each such
pattern has a transform exp(−u q_m) G(u) with G analytic off the negative real axis, which is inverted on a hyperbola
that opens to the left (`Pattern`; Weideman and Trefethen 2007, Math. Comp. 76, 1341), to the same absolute accuracy of
Q times the density however near q_m.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from scipy import special

__all__ = ["Kept", "ManyPoints", "Pattern", "Resolution"]

_EXPONENT = 41.0
"""exp(−41) = 1.6e-18: what is that small is left out."""
_RESERVE = 25.0
"""For the constants in the errors of the quadratures."""
_BLOCK = 2**15
"""Complex numbers at once: 0.5 MB an array, so that a few fit into the cache."""


@dataclass(frozen=True)
class Resolution:
    """Parameters of the discretisation; two of them give two independent results."""

    contour_step: float = 0.083
    centre_step: float = 0.07
    """Of the integral over c along a rotated line, in the variable t of c − c_m ∝ sinh t."""
    line_step: float = 1.0
    """Of the vertical line, in units of what the range of Q asks for; at most 1."""
    line_abscissa: float = 3.0
    """Of the vertical line, in units of one over the largest Q."""
    line_centre_step: float = 0.25
    """Of the integral over c for u on that line, in standard deviations of a mean of k normal numbers."""


@dataclass(frozen=True)
class Kept:
    """Law of a kept point: radius of the mask, and whether squares are taken from the mean of the points."""

    radius: float
    fit_mean: bool

    @cached_property
    def log_tail(self) -> float:
        """Logarithm of Pr(|y| ≥ a) exp(a²/2)."""
        return math.log(special.erfcx(self.radius / math.sqrt(2)))

    @cached_property
    def square_mean(self) -> float:
        """E y²."""
        return 1 + self.radius * self._hazard

    @cached_property
    def square_std(self) -> float:
        """Standard deviation of y²."""
        a = self.radius
        return math.sqrt(3 + (a**3 + 3 * a) * self._hazard - self.square_mean**2)

    @cached_property
    def _hazard(self) -> float:
        return math.sqrt(2 / math.pi) * math.exp(-self.log_tail)

    def log_one_side(self, u: np.ndarray, c: np.ndarray) -> np.ndarray:
        """Return log E[exp(−u (y − c)²) | y ≥ a], elementwise, for Re(u) > −1/2."""
        a, beta = self.radius, 1 + 2 * u
        z = (a * beta - 2 * u * c) / np.sqrt(2 * beta)
        saddle = _is_saddle(z)
        logarithm = np.where(
            saddle, math.log(2) + a * a / 2 - u * c * c / beta, _log_erfcx(z, saddle) - u * (a - c) ** 2
        )
        value: np.ndarray = logarithm - 0.5 * np.log(beta) - self.log_tail
        return value

    def log_known_mean(self, u: np.ndarray) -> np.ndarray:
        """Return log E exp(−u y²), elementwise."""
        return self.log_one_side(u, np.zeros(1))


def _is_saddle(z: np.ndarray) -> np.ndarray:
    """Where erfcx(z) is 2 exp(z²) to 17 digits, and would overflow if z were larger."""
    saddle: np.ndarray = (z.real < 0) & ((z * z).real > _EXPONENT)
    return saddle


def _log_erfcx(z: np.ndarray, saddle: np.ndarray) -> np.ndarray:
    """Return log erfcx(z) but where `saddle`."""
    logarithm: np.ndarray = np.log(special.wofz(1j * np.where(saddle, 0.0, z)))
    return logarithm


@dataclass(frozen=True)
class Pattern:
    """Share of the density of Q of k kept points that comes from m positive ones (mean known: from any).

    Parameters
    ----------
    kept : Kept
    k, m : int
    greatest : float
        Q beyond which the density is negligible.
    resolution : Resolution
    prob : float
        Probability of k points: the less it and the share are, the fewer digits of the density matter.
    """

    kept: Kept
    k: int
    m: int
    greatest: float
    resolution: Resolution
    prob: float = 1.0
    _windows: dict[int, tuple[np.ndarray, np.ndarray]] = field(default_factory=dict, compare=False, repr=False)

    _RATIO = 512.0
    _ANGLE = math.pi / 6
    _END = 9.75

    @property
    def least(self) -> float:
        """q_m."""
        pairs = 4 * self.m * (self.k - self.m) / self.k if self.kept.fit_mean else self.k
        return self.kept.radius**2 * pairs

    @cached_property
    def _exponent_needed(self) -> float:
        """As `_EXPONENT`, for a density that counts with the probability of the pattern."""
        return max(_EXPONENT + min(math.log(self.prob) + self.log_share + 5.0, 0.0), 3.0)

    @property
    def _coarsening(self) -> float:
        """Factor of the steps; quadrature converges exponentially in one over the step, up to a constant."""
        return (_EXPONENT + _RESERVE) / (self._exponent_needed + _RESERVE)

    @property
    def log_share(self) -> float:
        """Logarithm of the probability of the pattern."""
        if not self.kept.fit_mean:
            return 0.0
        return math.log(math.comb(self.k, self.m)) - self.k * math.log(2)

    def density(self, excess: np.ndarray) -> np.ndarray:
        """Return the density of Q at q_m + excess, 0 < excess ≤ greatest − q_m; it integrates to the share."""
        density = np.zeros(excess.size)
        near = excess < self._near
        if near.any():
            density[near] = self._density_near_zero(excess[near])
        windows = np.floor(np.log(self._end(0) / excess) / math.log(self._RATIO)).astype(np.int64)
        for window in np.unique(windows[~near]):
            inside = ~near & (windows == window)
            u, amplitudes = self._contour(int(window))
            density[inside] = (np.exp(np.multiply.outer(excess[inside], u)) @ amplitudes).real if u.size else 0.0
        return density

    @property
    def _near(self) -> float:
        """Below it, the density of points of one sign is that of the limit to 16 digits."""
        return (1e-8 / (1 + self.kept.radius)) ** 2 if self.kept.fit_mean and self.m == self.k else 0.0

    def least_quantile(self, tail: float) -> float:
        """Lower bound on the value that Q is below with probability `tail`, together with the pattern."""
        if self._near == 0:
            return self.least
        # the limit at 0 of the density's ratio to the chi-square density is also its upper bound
        level = min(tail / math.exp(self._log_coincidence), 1.0)
        return 2 * float(special.gammaincinv((self.k - 1) / 2, level))

    @property
    def _log_coincidence(self) -> float:
        """Logarithm of the probability that k coinciding points are beyond a, over that of k kept points."""
        end = special.erfcx(self.kept.radius * math.sqrt(self.k / 2)) / 2
        return math.log(end) - self.k * self.kept.log_tail

    def _density_near_zero(self, q: np.ndarray) -> np.ndarray:
        shape = (self.k - 1) / 2
        log_chi_square = (shape - 1) * np.log(q) - shape * math.log(2) - math.lgamma(shape) - q / 2
        density: np.ndarray = np.exp(log_chi_square + self._log_coincidence)
        return density

    def _end(self, window: int) -> float:
        """Largest excess of a window, 512 times its smallest."""
        return (self.greatest - self.least) * self._RATIO**-window

    def _is_negligible(self, window: int) -> bool:
        """Whether the probability of the excesses of a window is negligible (Chernoff's bound)."""
        bound = math.exp(1 + self.log_share) * abs(self.transform(np.array([1 / self._end(window)]))[0])
        return bool(self.prob * bound < math.exp(-_EXPONENT))

    def _contour(self, window: int) -> tuple[np.ndarray, np.ndarray]:
        """Nodes on the hyperbola for the excesses of a window, and what multiplies exp(u · excess)."""
        if window not in self._windows and self._is_negligible(window):
            self._windows[window] = np.empty(0), np.empty(0)
        if window not in self._windows:
            # with more points the transform grows faster towards its singularities
            step = self.resolution.contour_step * min(1.0, 20 / self.k) * self._coarsening
            # the decay at the end of the contour is exp(-0.0024 cosh(end))
            end = self._END + math.log(self._exponent_needed / _EXPONENT)
            theta = (np.arange(math.ceil(end / step)) + 0.5) * step
            mu = 5 / self._end(window)
            u = mu * (1 + np.sin(1j * theta - self._ANGLE))
            slopes = mu * np.cos(1j * theta - self._ANGLE)
            amplitudes = step / math.pi * slopes * np.exp(self.log_share) * self.transform(u)
            self._windows[window] = u, amplitudes
        return self._windows[window]

    def transform(self, u: np.ndarray) -> np.ndarray:
        """Return G(u), E[exp(−u (Q − q_m))] given the pattern."""
        a, k, beta = self.kept.radius, self.k, 1 + 2 * u
        common = -k * (0.5 * np.log(beta) + self.kept.log_tail)
        if self.kept.fit_mean:
            return self._integral_over_centres(u, common)
        transform: np.ndarray = np.exp(common + k * np.log(special.wofz(1j * a * np.sqrt(beta / 2))))
        return transform

    def _integral_over_centres(self, u: np.ndarray, common: np.ndarray) -> np.ndarray:
        """Integrate over c, along the line through c_m = a(2m − k)/k on which the integrand decays.

        About c_m it is exp(−uk (c − c_m)²), while all points are at the ends of their ranges; further out it becomes
        exp(−uk c²/(1 + 2u)), if all points are inside. With arg(c − c_m) = −arg(u)/4 both decay, and so do the
        mixtures of them; sinh takes in the two scales.
        """
        k = self.k
        half, beta = np.angle(u) / 2, 1 + 2 * u
        turn = np.exp(0.5j * half)
        widest = np.maximum(1 / np.cos(half), np.abs(beta) / np.cos(half - np.angle(beta)))
        if self.m < k:
            widest = np.minimum(widest, k / (min(self.m, k - self.m) * np.cos(half)))
        end = np.arcsinh(np.sqrt(self._exponent_needed * widest))
        size = 2 * math.ceil(end.max() / (self.resolution.centre_step * self._coarsening)) + 1
        t = np.linspace(-1, 1, size) * end[:, None]
        offset = np.sinh(t) * (turn / np.sqrt(k * u))[:, None]
        exponent = self._exponent(u[:, None], beta[:, None], offset, -((turn[:, None] * np.sinh(t)) ** 2))
        total = (np.cosh(t) * np.exp(exponent + common[:, None])).sum(axis=1)
        integral: np.ndarray = 2 * end / (size - 1) * turn * total / math.sqrt(math.pi)
        return integral

    def _exponent(self, u: np.ndarray, beta: np.ndarray, offset: np.ndarray, quadratic: np.ndarray) -> np.ndarray:
        """Logarithm of the integrand at c = c_m + offset; `quadratic` is −uk offset²."""
        a, k = self.kept.radius, self.k
        exponent = quadratic
        for points, side in ((self.m, 1), (k - self.m, -1)):
            if points == 0:
                continue
            z = (a + 4 * u * a * (k - points) / k - side * 2 * u * offset) / np.sqrt(2 * beta)
            saddle = _is_saddle(z)
            exponent = exponent + points * np.where(saddle, math.log(2) + z * z, _log_erfcx(z, saddle))
        if self.m < k:
            return exponent
        # the same without the cancellation of −uk offset² and k z²
        return np.where(saddle, k * (math.log(2) + a * a / 2 - u * (a + offset) ** 2 / beta), exponent)


@dataclass(frozen=True)
class ManyPoints:
    """Densities of Q for several numbers of kept points, within a factor of about two, with their probabilities.

    Parameters
    ----------
    kept : Kept
    probs : mapping of int to float
        Probability of each number of kept points.
    greatest : float
        Q beyond which the density is negligible for each of these numbers.
    resolution : Resolution
    """

    kept: Kept
    probs: Mapping[int, float]
    greatest: float
    resolution: Resolution

    _NEGLIGIBLE = 1e-16

    def density(self, k: int, q: np.ndarray) -> np.ndarray:
        """Return the density of Q for k points, times the probability of k."""
        nodes, amplitudes = self._line
        wave = np.exp(np.multiply.outer(q, nodes))
        density: np.ndarray = (wave @ amplitudes[k]).real
        return density

    @cached_property
    def _line(self) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Nodes on the line, and for each k what multiplies exp(uq)."""
        spacing = 2 * math.pi / self.greatest * self.resolution.line_step
        imaginary = (np.arange(math.ceil(self._highest_frequency / spacing)) + 0.5) * spacing
        nodes = self._abscissa + 1j * imaginary
        transforms = self.transforms(nodes)
        return nodes, {k: spacing / math.pi * prob * transforms[k] for k, prob in self.probs.items()}

    @property
    def _abscissa(self) -> float:
        return self.resolution.line_abscissa / self.greatest

    @property
    def _highest_frequency(self) -> float:
        """Where the transforms, times the probabilities of k, have become negligible."""
        frequency = self._abscissa
        samples = sorted({min(self.probs), max(self.probs), max(self.probs, key=lambda k: self.probs[k])})
        while True:
            transforms = self.transforms(np.array([self._abscissa + 1j * frequency]), samples)
            if all(self.probs[k] * frequency * abs(transforms[k][0]) < self._NEGLIGIBLE for k in samples):
                return frequency
            frequency *= 1.25

    def transforms(self, u: np.ndarray, sizes: Iterable[int] | None = None) -> dict[int, np.ndarray]:
        """Return E exp(−uQ) for each k, u of positive real part."""
        sizes = sorted(self.probs if sizes is None else sizes)
        if not self.kept.fit_mean:
            log_transform = self.kept.log_known_mean(u)
            return {k: np.exp(k * log_transform) for k in sizes}
        centres, spacing = self._centres
        transforms = {k: 2 * spacing * np.sqrt(u * k / math.pi) for k in sizes}
        block = max(1, _BLOCK // centres.size)
        for start in range(0, u.size, block):
            part = u[start : start + block, None]
            either = [np.exp(self.kept.log_one_side(part, side * centres)) for side in (1, -1)]
            shared = (either[0] + either[1]) / 2
            power, exponent = shared ** sizes[0], sizes[0]
            for k in sizes:
                if k > exponent:
                    power *= shared if k == exponent + 1 else shared ** (k - exponent)
                    exponent = k
                transforms[k][start : start + block] *= power.sum(axis=1)
        return transforms

    @cached_property
    def _centres(self) -> tuple[np.ndarray, float]:
        """Positive nodes c of the integral over the centre, whose integrand is even."""
        a = self.kept.radius
        farthest = a + 1.5 + math.sqrt(_EXPONENT / (min(self.probs) * min(self._abscissa, 0.5)))
        spacing = self.resolution.line_centre_step / (math.sqrt(max(self.probs)) * (1 + a))
        return (np.arange(math.ceil(farthest / spacing)) + 0.5) * spacing, spacing
