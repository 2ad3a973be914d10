"""Law of the scale of a Gaussian model at one generation, without Monte Carlo."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.exact._step import LogVarianceStep, Step, step_under
from tce_theory.losses import CrossEntropy, Loss
from tce_theory.theory._arguments import FloatOrArray, flag, numbers_in, numbers_or_scalar
from tce_theory.validation import positive_integer

__all__ = ["log_variance_cdf"]

_CROSS_ENTROPY = CrossEntropy()
_NEGLIGIBLE = 1e-17
_BLOCK = 2**20
"""Complex numbers at once: 16 MB."""
_SMALL = 5e-12
"""Where the series may end if its terms fall like this over the frequency cubed: the rest sums to a fifteenth of it."""
_MOST_FREQUENCIES = 2**16


def log_variance_cdf(
    x: Any, t: int, n: int, *, fit_mean: bool = True, ddof: int = 0, loss: Loss = _CROSS_ENTROPY
) -> FloatOrArray:
    """Probability that log(σ_t²/σ_0²) is at most x.

    Parameters
    ----------
    x : float or array of float
        Where the distribution function is taken, in nats.
    t : int
        Generation, from 1.
    n : int
        Points a generation: at least 2 with a fitted mean, at least 1 with a known one.
    fit_mean : bool
        Whether the mean is fitted or known.
    ddof : {0, 1}
        0 divides the sum of squares by n (maximum likelihood), 1 by n − 1; with a known mean only 0.
    loss : CrossEntropy or TruncatedCrossEntropy
        TCE with ``scale="relative"``, ``mask="previous"``; then n is at most 10^4 and `ddof` 0.

    Returns
    -------
    float or ndarray
        In [0, 1], of the shape of `x`, with an absolute error of about 1e-12, t times 1e-12 under truncation.

    Raises
    ------
    DomainError
        If an argument is out of range; under truncation, also if so few of the points are kept that the density has
        singularities which 65,536 frequencies do not resolve.
    UnsupportedCombinationError
        If under `loss` log σ² is not a random walk, or one with a step that is not known.

    Notes
    -----
    Slugs `gaussian-ce-law` and `scale-no-go`. The characteristic function φ of the sum of t steps, under cross entropy
    (Γ(ν/2 + is)/Γ(ν/2) (2/m)^(is))^t, is inverted by the series of Davies (1973, Biometrika 60, 415), F(x) = 1/2 −
    Σ_k Im[φ(s_k) exp(−i s_k x)]/(π(k + 1/2)) with s_k = (k + 1/2)Δ. Its error is at most the probability of lying 2π/Δ
    away from x, here below 1e-16.

    Under truncation a step is 0 with the probability that too few points are kept. The parts of the law that come from
    such steps alone, and from one other, are added as they are; only what is smoother goes into the series.

    Examples
    --------
    After 100 generations of 100 points the mean of log σ² is −2.02; the median lies close to it:

    >>> round(log_variance_cdf(-2.0185, 100, 100), 4)
    0.4991

    Leaving out the innermost two points a generation, on average, takes the drift away:

    >>> from tce_theory.losses import TruncatedCrossEntropy
    >>> loss = TruncatedCrossEntropy(math.exp(-(0.025188678**2) / 2), scale="relative", mask="previous")
    >>> round(log_variance_cdf(0.0, 100, 100, loss=loss), 4)
    0.4991
    """
    points = numbers_in("x", x, -math.inf)
    generation = positive_integer("t", t)
    step = step_under(loss, n, flag("fit_mean", fit_mean), ddof)
    bottom, top = _range(step, generation)
    spacing = 2 * math.pi / (top - bottom)
    rough = _Rough(step, generation, top)
    frequencies, transform = _smooth_transform(rough, spacing, n)
    amplitudes = transform / (math.pi * frequencies / spacing)
    flat = points.ravel()
    values = np.empty(flat.size)
    block = max(1, _BLOCK // max(frequencies.size, 1))
    for start in range(0, flat.size, block):
        part = flat[start : start + block]
        # the series is periodic: beyond the range the function is 0 or 1
        waves = np.exp(-1j * np.outer(np.clip(part, bottom, top), frequencies))
        inside = (1 - rough.mass) / 2 - (waves @ amplitudes).imag + rough.below(part)
        values[start : start + block] = np.where(part < bottom, 0.0, np.where(part > top, 1.0, inside))
    return numbers_or_scalar(np.clip(values, 0.0, 1.0).reshape(points.shape))


class _Rough:
    """The part of the law of t steps that the series would resolve slowly or not at all.

    With q the atom and f the density of a step it is q^t at 0, t q^(t−1) f, and, if f jumps to J at its lower end ξ_0,
    C(t, 2) q^(t−2) h∗h with h(ξ) = J exp(−r (ξ − ξ_0)) above ξ_0, so that f − h is continuous there; r is so large that
    h∗h is negligible above `top`.
    """

    def __init__(self, step: LogVarianceStep, t: int, top: float) -> None:
        self.step, self.t = step, t
        self._none = step.atom**t
        self._one = t * step.atom ** (t - 1) if step.atom > 0 or t == 1 else 0.0
        if isinstance(step, Step):
            self._one = 0.0  # its density is smooth
        jumps = [location for location, order in step.kinks if order == 0]
        self._start = jumps[0] if jumps else 0.0
        self._jump = float(step.density(np.asarray(self._start + 1e-9))) if jumps else 0.0
        self._rate = max(45 / (top - 2 * self._start), self._jump) if jumps else 1.0
        pairs = t * (t - 1) / 2 * step.atom ** max(t - 2, 0) if t > 1 else 0.0
        self._two = pairs * (self._jump / self._rate) ** 2

    @property
    def mass(self) -> float:
        """Its total probability."""
        return self._none + self._one * (1 - self.step.atom) + self._two

    def below(self, x: np.ndarray) -> np.ndarray:
        """Its probability of at most x."""
        at_zero = x >= 0
        probability = np.where(at_zero, self._none, 0.0)
        if self._one:
            probability += self._one * (self.step.below(x) - self.step.atom * (x > 0))
        if self._two:
            z = self._rate * np.maximum(x - 2 * self._start, 0.0)
            probability += self._two * -np.expm1(np.log1p(z) - z)
        return probability

    def transform(self, s: np.ndarray, density_transform: np.ndarray) -> np.ndarray:
        """Its characteristic function, given that of f."""
        pair = (np.exp(1j * s * self._start) / (1 - 1j * s / self._rate)) ** 2
        total: np.ndarray = self._none + self._one * density_transform + self._two * pair
        return total


def _smooth_transform(rough: _Rough, spacing: float, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Frequencies of the series, and the characteristic function at them of what is left without the rough part."""
    step, t = rough.step, rough.t
    if isinstance(step, Step):
        frequencies = (np.arange(math.ceil(_cut_off(step, t) / spacing)) + 0.5) * spacing
        return frequencies, np.exp(t * step.log_mgf(1j * frequencies))
    if rough.mass >= 1 - 1e-15:
        return np.empty(0), np.empty(0)
    transforms = [np.empty(0)]
    size = 256
    while size <= _MOST_FREQUENCIES:
        done = sum(part.size for part in transforms)
        frequencies = (np.arange(done, size) + 0.5) * spacing
        density = step.transform(frequencies)
        transforms.append((step.atom + density) ** t - rough.transform(frequencies, density))
        if np.abs(transforms[-1][-size // 8 :]).max() < _SMALL:
            return (np.arange(size) + 0.5) * spacing, np.concatenate(transforms)
        size *= 2
    raise DomainError("n", n, "larger, or t: the density has singularities that 65536 frequencies do not resolve")


def _range(step: LogVarianceStep, t: int) -> tuple[float, float]:
    """Interval that log(σ_t²/σ_0²) leaves with negligible probability on either side (Chernoff bounds)."""
    level = -math.log(_NEGLIGIBLE)
    q_up = np.geomspace(1e-3, 1e3, 601) * math.sqrt(level / t) / step.width
    top = (level + t * step.log_mgf(q_up)) / q_up
    q_down = step.exponents_below
    bottom = -(level + t * step.log_mgf_below(q_down)) / q_down
    return float(bottom.max()), float(top.min())


def _cut_off(step: Step, t: int) -> float:
    """Frequency beyond which the characteristic function is negligible; its modulus falls monotonely."""
    frequencies = np.geomspace(1e-3, 1e6, 1801) / (step.std * math.sqrt(t))
    decay = t * step.log_mgf(1j * frequencies).real
    return float(frequencies[np.argmax(decay < math.log(_NEGLIGIBLE))])
