"""The step of log σ² under the previous-mask relative rule: an atom at 0, and a density with a few singular points.

Of n points K are kept, those at least a = sqrt(−2 log γ) standard deviations from the mean of the model that they were
drawn from: K is binomial. With fewer than two (one, if the mean is known) the model stays; else the step is
ξ = log(Q/K), with Q the sum of squares of the kept points.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any

import numpy as np
from scipy import special

from tce_theory.exact._binomial import binomial_matrix
from tce_theory.exact._kept_squares import Kept, ManyPoints, Pattern, Resolution
from tce_theory.exact._piecewise import Piecewise

__all__ = ["LEAST_CHANGE", "PreviousMaskStep"]

LEAST_CHANGE = 1e-12
"""Probability of a step other than 0, below which there is nothing to compute."""

_NEGLIGIBLE = 1e-18
"""Probability of a number of kept points, or of a tail, that is left out."""
_FINE = Resolution()
_OTHER = Resolution(contour_step=0.092, centre_step=0.062, line_step=0.8, line_abscissa=4.0, line_centre_step=0.2)
"""A second discretisation, by which the error of the first is estimated."""
_INTERPOLATION = 3e-14
_SMALLEST = 1e-40
"""Factor of the variance below which a step has a probability of less than 1e-19, whatever is kept."""
_MOST_BROKEN = 10
"""Kept points up to which the singular points are edges; beyond, ten derivatives exist there."""
_ROUGH = 6
"""Kept points up to which quadrature has to know of the singular points."""


@dataclass(frozen=True, eq=False)
class PreviousMaskStep:
    """Law of one step; see `LogVarianceStep`."""

    atom: float
    mean: float
    std: float
    width: float
    lundberg: float
    error: float
    kinks: tuple[tuple[float, int], ...]
    law: Piecewise

    @classmethod
    @lru_cache(maxsize=32)
    def of(cls, n: int, radius: float, fit_mean: bool) -> PreviousMaskStep | None:
        """Step for n points a generation, or None if it is 0 but for a probability of 1e-12."""
        mixture = _Mixture.of(n, Kept(radius, fit_mean))
        if sum(mixture.probs.values()) < LEAST_CHANGE:
            return None
        law = Piecewise.of(mixture.density, mixture.edges(), _INTERPOLATION)
        nodes, weights = law.nodes.ravel(), law.weights.ravel()
        mass = weights * law.values.ravel()
        change = np.abs(law.values.ravel() - _Mixture.of(n, mixture.kept, _OTHER).density(nodes))
        mean = float(mass @ nodes)
        return cls(
            atom=mixture.atom,
            mean=mean,
            std=math.sqrt(float(mass @ (nodes - mean) ** 2) + mixture.atom * mean**2),
            width=mixture.narrowest,
            lundberg=1e-4 / mixture.narrowest,
            error=float(weights @ change) + law.error + abs(mixture.atom + float(mass.sum()) - 1),
            kinks=tuple(kink for kink in mixture.kinks(_ROUGH) if law.edges[0] - 1e-9 < kink[0] < law.edges[-1]),
            law=law,
        )

    def density(self, step: np.ndarray) -> np.ndarray:
        """Density of ξ off the atom."""
        return self.law(np.asarray(step))

    def below(self, step: Any) -> np.ndarray:
        """Pr(ξ < step)."""
        step = np.asarray(step)
        probability: np.ndarray = np.maximum(self.law.integral(step), 0.0) + self.atom * (step > 0)
        return probability

    def above(self, step: Any) -> np.ndarray:
        """Pr(ξ > step)."""
        step = np.asarray(step)
        rest = self.law.integral(np.asarray(math.inf)) - self.law.integral(step)
        probability: np.ndarray = np.maximum(rest, 0.0) + self.atom * (step < 0)
        return probability

    def transform(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the integral of the density times exp(i s ξ) for each frequency s."""
        return self.law.transform(frequencies)

    def quantiles(self, tail: float) -> tuple[float, float]:
        """Return the ends of the computed law, beyond which a step has a probability of at most about 1e-18."""
        return float(self.law.edges[0]), float(self.law.edges[-1])

    def log_mgf(self, q: np.ndarray) -> np.ndarray:
        """Return log E exp(q ξ), of a step within the ends of the computed law, for real q."""
        nodes = np.append(self.law.nodes.ravel(), 0.0)
        mass = np.append((self.law.weights * self.law.values).ravel(), self.atom)
        value: np.ndarray = special.logsumexp(np.multiply.outer(q, nodes), axis=-1, b=np.maximum(mass, 0.0))
        return value

    def log_mgf_below(self, q: np.ndarray) -> np.ndarray:
        """Return log E exp(−q ξ), in the same sense."""
        return self.log_mgf(-q)

    @property
    def exponents_below(self) -> np.ndarray:
        """Exponents q to choose from in bounds by E exp(−q ξ)."""
        return np.geomspace(1e-6, 1e3, 451) / self.width


@dataclass(frozen=True)
class _Mixture:
    """Density of ξ as the mixture over the number of kept points."""

    kept: Kept
    atom: float
    probs: dict[int, float]
    greatest: dict[int, float]
    few: tuple[tuple[float, Pattern], ...]
    many: tuple[ManyPoints, ...]

    @classmethod
    def of(cls, n: int, kept: Kept, resolution: Resolution = _FINE) -> _Mixture:
        masked, unmasked = special.erf(kept.radius / math.sqrt(2)), special.erfc(kept.radius / math.sqrt(2))
        law = binomial_matrix(n, np.array([unmasked]), np.array([masked]))[0]
        least = 2 if kept.fit_mean else 1
        probs = {k: float(law[k]) for k in range(least, n + 1) if law[k] > _NEGLIGIBLE}
        most_few = (24 if kept.radius <= 1 else 40) if kept.fit_mean else 12
        few = [k for k in probs if k <= most_few]
        greatest = {k: _greatest(kept, k, prob) for k, prob in probs.items()}
        patterns = [
            (
                (2 if kept.fit_mean and 2 * m > k else 1) * probs[k],
                Pattern(kept, k, m, greatest[k], resolution, probs[k]),
            )
            for k in few
            for m in (range((k + 1) // 2, k + 1) if kept.fit_mean else (k,))
        ]
        patterns = [
            (prob, pattern)
            for prob, pattern in patterns
            if prob * math.exp(pattern.log_share) > _NEGLIGIBLE and pattern.least < pattern.greatest
        ]
        many = tuple(
            ManyPoints(kept, {k: probs[k] for k in group}, max(greatest[k] for k in group), resolution)
            for group in _octaves([k for k in probs if k > most_few])
        )
        return cls(kept, float(law[:least].sum()), probs, greatest, tuple(patterns), many)

    @cached_property
    def narrowest(self) -> float:
        """Standard deviation of ξ given the largest number of kept points, to leading order."""
        return self.kept.square_std / (self.kept.square_mean * math.sqrt(max(self.probs)))

    @cached_property
    def ranges(self) -> dict[int, tuple[float, float]]:
        """For each number of kept points the range of Q but for negligible probabilities."""
        least = dict.fromkeys(self.probs, math.inf)
        for prob, pattern in self.few:
            least[pattern.k] = min(least[pattern.k], pattern.least_quantile(_NEGLIGIBLE / prob))
        for group in self.many:
            least.update(_least_of_group(group))
        return {k: (least[k], self.greatest[k]) for k in self.probs}

    def density(self, step: np.ndarray) -> np.ndarray:
        """Density of ξ off the atom."""
        factor, density = np.exp(step), np.zeros(step.size)
        for prob, pattern in self.few:
            excess = pattern.k * factor - pattern.least
            inside = (excess > 0) & (pattern.k * factor < self.ranges[pattern.k][1])
            density[inside] += prob * pattern.k * factor[inside] * pattern.density(excess[inside])
        for group in self.many:
            for k in group.probs:
                low, high = self.ranges[k]
                inside = (k * factor > low) & (k * factor < high)
                density[inside] += k * factor[inside] * group.density(k, k * factor[inside])
        return density

    def edges(self) -> np.ndarray:
        """Edges of the panels to start from: singular points, and between them at most two standard deviations."""
        low = min(math.log(max(least / k, _SMALLEST)) for k, (least, _) in self.ranges.items())
        high = max(math.log(greatest / k) for k, (_, greatest) in self.ranges.items())
        inside = [location for location, _ in self.kinks(_MOST_BROKEN) if low + 1e-9 < location < high]
        ends = np.array([low, *sorted(inside), high])
        counts = np.ceil(np.diff(ends) / min(2 * self.narrowest, 1.5)).astype(np.int64)
        pieces = [np.linspace(a, b, count, endpoint=False) for a, b, count in zip(ends, ends[1:], counts, strict=False)]
        return np.append(np.concatenate(pieces), high)

    def kinks(self, most: int) -> tuple[tuple[float, int], ...]:
        """Points from which on the density has an added term proportional to (ξ − point)^order, and the orders.

        Those of up to `most` kept points, if these have a probability that matters.
        """
        found: dict[float, tuple[float, int]] = {}
        for prob, pattern in self.few:
            if pattern.least > 0 and pattern.k <= most and prob * math.exp(pattern.log_share) > 1e-13:
                location = math.log(pattern.least / pattern.k)
                same = found.get(round(location, 9), (location, most))
                found[round(location, 9)] = same[0], min(same[1], pattern.k - 1)
        return tuple(sorted(found.values()))


def _octaves(sizes: Sequence[int]) -> list[list[int]]:
    """Split ascending numbers into groups whose largest is less than twice the smallest."""
    groups: list[list[int]] = []
    for k in sizes:
        if not groups or k >= 2 * groups[-1][0]:
            groups.append([])
        groups[-1].append(k)
    return groups


def _greatest(kept: Kept, k: int, prob: float) -> float:
    """Chernoff's bound on Q ≤ Σ y², exceeded with negligible probability."""
    u = np.linspace(0.005, 0.495, 99)
    return float(((math.log(prob / _NEGLIGIBLE) + k * kept.log_known_mean(-u).real) / u).min())


def _least_of_group(group: ManyPoints) -> dict[int, float]:
    """Chernoff's bound on Q from below for each number of kept points."""
    u = np.geomspace(1e-3, 1e4, 85)
    transforms = group.transforms(u.astype(np.complex128))
    return {k: _chernoff(u, np.abs(transforms[k]), prob) for k, prob in group.probs.items()}


def _chernoff(u: np.ndarray, transform: np.ndarray, prob: float) -> float:
    """Largest q with prob · exp(uq) E exp(−uQ) negligible for some u, or 0."""
    kept = transform > 1e-290
    bounds = (math.log(_NEGLIGIBLE / prob) - np.log(transform[kept])) / u[kept]
    return max(float(bounds.max()), 0.0)
