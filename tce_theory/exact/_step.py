"""The step of log σ² under cross entropy, ξ = log(χ²_ν/m): density, tails and moment generating function."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

from tce_theory.theory._special import expm1_minus_arg, log_gamma_ratio, stirling_remainder
from tce_theory.theory.gaussian import log_variance_drift, log_variance_step_variance, step_law
from tce_theory.theory.wall import wall_tail_index
from tce_theory.validation import positive_integer

__all__ = ["Step"]


@dataclass(frozen=True)
class Step:
    """Law of one step; `shape` is ν/2 and `log_mean` is log(ν/m)."""

    shape: float
    log_mean: float
    mean: float
    std: float
    lundberg: float
    """Positive root of E exp(q ξ) = 1."""

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
