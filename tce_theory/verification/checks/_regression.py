"""Checks of linear regression on its own labels: the recursion of the library against the laws that it is to have."""

from __future__ import annotations

import math

import numpy as np
from scipy import stats

from tce_theory.losses import TCE, CrossEntropy
from tce_theory.models.regression import LinearRegression
from tce_theory.regimes import Accumulate, Replace
from tce_theory.theory import regimes as theory
from tce_theory.theory import wall
from tce_theory.verification.checks import check
from tce_theory.verification.estimates import mean_of
from tce_theory.verification.study import Study

_CE = CrossEntropy()
_NOISE = 0.5
_D = 10


def _model(design: str, d: int = _D, *, fit_noise: bool = False) -> LinearRegression:
    return LinearRegression(np.ones(d), _NOISE, design=design, fit_noise=fit_noise)


def _fresh_design_error(n: int, d: int, t: int) -> float:
    """Excess error of `Accumulate` with a new design for every fit, with noise 1.

    With A_i the sum of X_j'X_j, j ≤ i, and u the error of the coefficients, A_i u_i = A_i u_{i−1} + X_i'e_i. The
    designs are alike, hence E tr A_i⁻¹ X_i'X_i A_i⁻¹ = E tr A_i⁻¹/i = d/(i (i n − d − 1)), and these add up.
    """
    i = np.arange(1, t + 1)
    return float((d / (i * (i * n - d - 1))).sum())


@check("accumulate")
def regression_recursion(study: Study) -> None:
    """Excess error of the simulated recursion: last labels alone, and all of them; one design, and a new one each."""
    n, t, replicates = 60, 5, study.size(40_000, 200_000)
    kept = theory.regression_accumulate_error(n, _D, noise_std=_NOISE, t=t)
    replaced = theory.regression_replace_error(t, n, _D, noise_std=_NOISE)
    for design, regime, predicted in (
        ("fresh", Replace(), replaced),
        ("shared", Replace(), replaced),
        ("shared", Accumulate(), kept),
        ("fresh", Accumulate(), _NOISE**2 * _fresh_design_error(n, _D, t)),
    ):
        run = study.simulate(
            _model(design),
            _CE,
            n_samples=n,
            generations=t,
            replicates=replicates,
            regime=regime,
            metrics=["excess_error"],
        )
        study.equal(
            f"E |w_t − w|², n = {n}, d = {_D}, t = {t}", mean_of(run.metrics["excess_error"][:, t]), float(predicted),
            1.08 * float(predicted), change="8 % larger", setting=f"{regime}, {design} design", size=replicates,
        )  # fmt: skip


@check("accumulate")
def regression_designs(study: Study) -> None:
    """With a new design for each fit errors add up to less than with one design for all."""
    n, d, t, replicates = 20, _D, 5, study.size(40_000, 200_000)
    run = study.simulate(
        _model("fresh", d), _CE, n_samples=n, generations=t, replicates=replicates, regime=Accumulate(),
        metrics=["excess_error"],
    )  # fmt: skip
    study.equal(
        f"E |w_t − w|², n = {n}, d = {d}, t = {t}", mean_of(run.metrics["excess_error"][:, t]),
        _NOISE**2 * _fresh_design_error(n, d, t),
        float(theory.regression_accumulate_error(n, d, noise_std=_NOISE, t=t)),
        change="one design for all fits", setting="Accumulate(), fresh design", size=replicates,
    )  # fmt: skip


@check("tail-inflation")
def regression_labels_left_out(study: Study) -> None:
    """Known noise: labels that the model before finds likely are dropped; those that are left are noisier."""
    gamma, n, d, replicates = 0.7, 60, 4, study.size(1500, 15_000)
    a = math.sqrt(-2 * math.log(gamma))
    share = 2 * stats.norm.sf(a)
    inflation = 1 + a * stats.norm.pdf(a) / stats.norm.sf(a)
    kept = np.arange(d + 2, n + 1)
    fits = float((stats.binom.pmf(kept, n, share) * d / (kept - d - 1)).sum())
    run = study.simulate(
        _model("fresh", d), TCE(gamma, "relative", mask="previous"), n_samples=n, generations=1, replicates=replicates,
        metrics=["excess_error"],
    )  # fmt: skip
    study.equal(
        f"E |w_1 − w|², n = {n}, d = {d}", mean_of(run.metrics["excess_error"][:, 1]), _NOISE**2 * inflation * fits,
        _NOISE**2 * fits, change="η = 1", setting=f"regression, gamma = {gamma} of the peak, previous mask",
        size=replicates,
    )  # fmt: skip


@check("density-floor")
def regression_noise(study: Study) -> None:
    """Fitted noise never falls below the floor; in the worst case it comes near."""
    gamma, n, d, t, replicates = 1.0, 6, 2, 20, study.size(20, 200)
    model = LinearRegression(np.ones(d), float(wall.critical_std(gamma)), fit_noise=True)
    run = study.simulate(
        model, TCE(gamma), n_samples=n, generations=t, replicates=replicates, metrics=["log_noise_std"]
    )
    log_std, floor = run.metrics["log_noise_std"], math.log(float(wall.floor_std(gamma)))
    study.everywhere(
        "σ ≥ σ_f", log_std - floor, log_std - floor - math.log(1.1), change="σ_f 10 % larger",
        setting=f"regression with fitted noise, n = {n}, d = {d}, t ≤ {t}",
    )  # fmt: skip
