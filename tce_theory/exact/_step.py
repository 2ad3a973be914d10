"""The step of log σ², a random walk under scale-equivariant rules (slug `scale-no-go`).

Under cross entropy it is ξ = log(χ²_ν/m), in closed form; under the previous-mask relative rule it is computed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from scipy import special

from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.losses import CrossEntropy, TruncatedCrossEntropy
from tce_theory.theory._special import expm1_minus_arg, log_gamma_ratio, stirling_remainder
from tce_theory.theory.gaussian import log_variance_drift, log_variance_step_variance, step_law
from tce_theory.theory.wall import wall_tail_index
from tce_theory.validation import positive_integer

__all__ = ["LogVarianceStep", "Step", "step_under"]

_MOST_TRUNCATED = 10**4


class LogVarianceStep(Protocol):
    """What the laws of the walk need of its step ξ."""

    @property
    def atom(self) -> float:
        """Pr(ξ = 0), where that is not the density's."""

    @property
    def mean(self) -> float:
        """E ξ."""

    @property
    def width(self) -> float:
        """Standard deviation of the narrowest part of the law."""

    @property
    def lundberg(self) -> float:
        """Exponent q from which on bounds by E exp(q ξ) are sought."""

    @property
    def exponents_below(self) -> np.ndarray:
        """Exponents q for which bounds by E exp(−q ξ) are sought."""

    @property
    def error(self) -> float:
        """Estimate of the integral of the error of the density."""

    @property
    def kinks(self) -> tuple[tuple[float, int], ...]:
        """Points from which on the density has an added term proportional to (ξ − point)^order, and the orders."""

    def density(self, step: np.ndarray) -> np.ndarray:
        """Density of ξ off the atom."""

    def below(self, step: Any) -> np.ndarray:
        """Pr(ξ < step)."""

    def above(self, step: Any) -> np.ndarray:
        """Pr(ξ > step)."""

    def transform(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the integral of the density times exp(i s ξ) for each frequency s."""

    def quantiles(self, tail: float) -> tuple[float, float]:
        """Return steps that have at most about the probability `tail` below and above them."""

    def log_mgf(self, q: Any) -> Any:
        """Return log E exp(q ξ), q > 0."""

    def log_mgf_below(self, q: np.ndarray) -> np.ndarray:
        """Return log E exp(−q ξ), q > 0."""


def step_under(loss: Any, n: Any, fit_mean: bool, ddof: int) -> LogVarianceStep:
    """Step for n points a generation under `loss`; refuses what is not a random walk with a computable step."""
    if isinstance(loss, CrossEntropy):
        return Step.of(n, fit_mean, ddof)
    if not isinstance(loss, TruncatedCrossEntropy):
        raise UnsupportedCombinationError(
            f"{loss!r} has no known law of σ: CrossEntropy, and TCE with scale='relative', mask='previous', have one"
        )
    if loss.scale != "relative":
        raise UnsupportedCombinationError(
            "scale='absolute' has no law of this kind: log σ² is not a random walk, its step depends on σ; "
            "theory.wall has the laws of the wall"
        )
    if loss.mask != "previous":
        raise UnsupportedCombinationError(
            "mask='current' has no known law: the step of log σ² solves a fixed-point equation on the sample"
        )
    if loss.vacuous != "auto":
        raise UnsupportedCombinationError(
            f"vacuous={loss.vacuous!r} has no meaning with mask='previous': nothing is chosen among minimisers"
        )
    if ddof != 0 or isinstance(ddof, bool):
        raise UnsupportedCombinationError("ddof=1 goes with CrossEntropy alone: TCE is maximum likelihood")
    if loss.relative_radius == 0:
        return Step.of(n, fit_mean, ddof)
    from tce_theory.exact._previous_mask import LEAST_CHANGE, PreviousMaskStep

    size = positive_integer("n", n, minimum=2 if fit_mean else 1, maximum=_MOST_TRUNCATED)
    step = PreviousMaskStep.of(size, loss.relative_radius, fit_mean)
    if step is None:
        admissible = f"larger: in a generation of {size} points σ changes with a probability below {LEAST_CHANGE:g}"
        raise DomainError("gamma", loss.gamma, admissible)
    return step


@dataclass(frozen=True)
class Step:
    """Law of one step; `shape` is ν/2 and `log_mean` is log(ν/m)."""

    shape: float
    log_mean: float
    mean: float
    std: float
    lundberg: float
    """Positive root of E exp(q ξ) = 1."""

    atom = 0.0
    error = 0.0
    kinks = ()

    @classmethod
    def of(cls, n: Any, fit_mean: bool, ddof: int) -> Step:
        """Step for n points a generation; raises DomainError as `step_law` does, and for anything but one n."""
        size = positive_integer("n", n, minimum=2 if fit_mean else 1)
        law = step_law(size, fit_mean=fit_mean, ddof=ddof)
        return cls(
            shape=float(law.degrees_of_freedom) / 2,
            log_mean=float(law.log_mean_factor),
            mean=float(log_variance_drift(size, fit_mean=fit_mean, ddof=ddof)),
            std=math.sqrt(float(log_variance_step_variance(size, fit_mean=fit_mean, ddof=ddof))),
            # E exp(ξ) = ν/m: without bias the root is 1
            lundberg=float(wall_tail_index(size)) if fit_mean and ddof == 0 else 1.0,
        )

    @property
    def width(self) -> float:
        """Standard deviation."""
        return self.std

    @property
    def exponents_below(self) -> np.ndarray:
        """Exponents below ν/2, dense near both ends."""
        return self.shape * np.concatenate([np.geomspace(1e-12, 0.5, 600), 1 - np.geomspace(1e-6, 0.5, 100)])

    def density(self, step: np.ndarray) -> np.ndarray:
        """Density of ξ, in a form that keeps its digits when ν is large and the law is narrow."""
        log_density = -self.shape * expm1_minus_arg(step - self.log_mean) + self._log_height
        density: np.ndarray = np.exp(log_density)
        return density

    def below(self, step: Any) -> np.ndarray:
        """Pr(ξ < step)."""
        probability: np.ndarray = special.gammainc(self.shape, self._gamma_variable(step))
        return probability

    def above(self, step: Any) -> np.ndarray:
        """Pr(ξ > step)."""
        probability: np.ndarray = special.gammaincc(self.shape, self._gamma_variable(step))
        return probability

    def transform(self, frequencies: np.ndarray) -> np.ndarray:
        """Return the characteristic function at each frequency."""
        transform: np.ndarray = np.exp(self.log_mgf(1j * frequencies))
        return transform

    def quantiles(self, tail: float) -> tuple[float, float]:
        """Return the steps that have probability `tail` below and above them."""
        low = math.log(special.gammaincinv(self.shape, tail) / self.shape)
        high = math.log(special.gammainccinv(self.shape, tail) / self.shape)
        return low + self.log_mean, high + self.log_mean

    def log_mgf(self, q: Any) -> Any:
        """Return log E exp(q ξ) for real or complex q with Re(q) ≥ 0."""
        return log_gamma_ratio(self.shape, q) + q * self.log_mean

    def log_mgf_below(self, q: np.ndarray) -> np.ndarray:
        """Return log E exp(−q ξ) for 0 < q < ν/2."""
        value: np.ndarray = -log_gamma_ratio(self.shape - q, q) - q * (np.log1p(-q / self.shape) + self.log_mean)
        return value

    @property
    def _log_height(self) -> float:
        """Logarithm of the density at log(ν/m): a log a − a − log Γ(a), a = ν/2."""
        if self.shape < 10:
            return self.shape * (math.log(self.shape) - 1) - math.lgamma(self.shape)
        return math.log(self.shape / (2 * math.pi)) / 2 - float(stirling_remainder(self.shape))

    def _gamma_variable(self, step: Any) -> Any:
        # a Gamma(ν/2) variable is χ²/2; beyond exp(700) its tail is 0 as it is at exp(700)
        return self.shape * np.exp(np.minimum(np.asarray(step) - self.log_mean, 700.0))
