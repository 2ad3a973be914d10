"""Checks of the Gaussian model under cross entropy."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from scipy import special

from tce_theory.exact import log_variance_cdf
from tce_theory.losses import CrossEntropy
from tce_theory.models.gaussian import Gaussian
from tce_theory.regimes import FreshMix
from tce_theory.theory import gaussian as theory
from tce_theory.verification.checks import check
from tce_theory.verification.estimates import distance_to_law, mean_of, variance_of
from tce_theory.verification.study import Study

__all__ = ["chi_square_mean"]


class _Fit(NamedTuple):
    fit_mean: bool
    ddof: int

    def __str__(self) -> str:
        return f"mean fitted, ddof {self.ddof}" if self.fit_mean else "mean known"

    @property
    def options(self) -> dict[str, Any]:
        return self._asdict()

    def law(self, n: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Degrees of freedom and divisor: a step is log(χ²_ν/m)."""
        return (n - 1, n - self.ddof) if self.fit_mean else (n, n)


_BIASED, _UNBIASED, _KNOWN = _FITS = (_Fit(True, 0), _Fit(True, 1), _Fit(False, 0))
_DRAWN = 250_000
"""Of a pooled sample, as many as a distance to a law needs."""
_Cdf = Callable[[np.ndarray], np.ndarray]


def chi_square_mean(function: Callable[[np.ndarray], np.ndarray], nu: Any) -> Any:
    """Mean of a function of log χ²_ν by quadrature: the trapezoidal rule in log χ², which has no closed form in it.

    `function` gets an array with an axis more than `nu`; what it returns may grow like a power of χ² below ν/4.
    """
    half = np.asarray(nu, dtype=np.float64)[..., None] / 2
    spread = 14 / np.sqrt(half)
    low, high = -spread - 45 / half, np.log1p(2 * spread + 90 / half)
    steps = low + (high - low) * np.linspace(0.0, 1.0, 6001)  # log of χ²/ν
    weight = np.exp(half * (steps - np.expm1(steps)))
    return (weight * function(steps + np.log(2 * half))).sum(axis=-1) / weight.sum(axis=-1)


def _steps(study: Study, n: int, t: int, replicates: int, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """Return log σ_s/σ_0 and (μ_s − μ_0)/σ_0 for s = 0 … t, from σ_0 = 2 and μ_0 = 1."""
    run = study.simulate(
        Gaussian(1.0, 2.0, **fit.options), CrossEntropy(),
        n_samples=n, generations=t, replicates=replicates, metrics=["log_std", "mean"],
    )  # fmt: skip
    return run.metrics["log_std"] - math.log(2.0), (run.metrics["mean"] - 1.0) / 2.0


def _runs(study: Study, n: int, t: int, count: int, fit: _Fit) -> tuple[np.ndarray, np.ndarray]:
    """Return σ_t/σ_0 and (μ_t − μ_0)/σ_0 of `count` runs: consecutive pieces, each from where the last one ended.

    Generation t depends on generation t − 1 alone, and in units of its scale not even on that, so that the pieces are
    independent.
    """
    pieces = 10
    log_std, mean = _steps(study, n, pieces * t, count // pieces, fit)
    start, end = slice(0, -1, t), slice(t, None, t)
    ratio = np.exp(log_std[:, end] - log_std[:, start])
    return ratio.ravel(), ((mean[:, end] - mean[:, start]) / np.exp(log_std[:, start])).ravel()


def _law(
    study: Study, quantity: str, sample: np.ndarray, right: _Cdf, wrong: _Cdf, *, change: str, setting: str
) -> None:
    apart = float(np.abs(right(sample) - wrong(sample)).max())
    distances = distance_to_law(sample, right), distance_to_law(sample, wrong)
    study.law(quantity, *distances, apart, change=change, setting=setting, size=sample.size)


@check("gaussian-ce-law")
def log_scale(study: Study) -> None:
    """Mean of log σ_t, variance of its steps, and its law against the exact one, for each fit."""
    for fit, n in ((_BIASED, 5), (_UNBIASED, 2), (_KNOWN, 2)):
        _log_scale(study, fit, n)


def _log_scale(study: Study, fit: _Fit, n: int) -> None:
    t, replicates = 240, study.size(16_000, 50_000)
    log_std, _ = _steps(study, n, t, replicates, fit)
    mean = float(theory.log_std_moments(t, n, **fit.options).mean)
    setting = f"{fit}, n = {n}, t = {t}"
    study.equal(
        f"E log σ_t/σ_0, {setting}", mean_of(log_std[:, t]), mean, 1.05 * mean, size=replicates,
        change="drift 5 % larger", setting=f"recursion, {setting}",
    )  # fmt: skip
    variance = float(theory.log_variance_step_variance(n, **fit.options))
    steps = 2 * np.diff(log_std[:, :141], axis=1).ravel()
    study.equal(
        f"Var ξ, {fit}, n = {n}", variance_of(steps), variance, 1.05 * variance, size=steps.size,
        change="5 % larger", setting=f"steps of the recursion, {setting}",
    )  # fmt: skip
    nodes = np.linspace(2.2, -0.2, 1001) * 2 * mean
    exact = np.asarray(log_variance_cdf(nodes, t, n, **fit.options))
    _law(
        study, f"law of log σ_t², {setting}", 2 * log_std[:, t],
        lambda x: np.interp(x, nodes, exact), lambda x: np.interp(x / 1.05, nodes, exact),
        change="all steps 5 % larger", setting="recursion against the inverted characteristic function",
    )  # fmt: skip


@check("gaussian-ce-law")
def first_generations(study: Study) -> None:
    """Mean of log σ_t after few generations, counted one by one, by sufficient statistics and by points."""
    t, replicates = 5, study.size(16_000, 160_000)
    for fit, n in ((_BIASED, 5), (_UNBIASED, 2), (_KNOWN, 2)):
        for sampler, drawn in (("auto", "statistics"), ("points", "points")):
            run = study.simulate(
                Gaussian(1.0, 2.0, **fit.options), CrossEntropy(), n_samples=n, generations=t, replicates=replicates,
                metrics=["log_std"], sampler=sampler,
            )  # fmt: skip
            means = [float(theory.log_std_moments(s, n, std=2.0, **fit.options).mean) for s in (t, t - 1)]
            setting = f"{fit}, n = {n}, t = {t}, {drawn} drawn"
            study.equal(
                f"E log σ_t, {setting}", mean_of(run.metrics["log_std"][:, t]), *means, size=replicates,
                change="one generation less", setting=f"recursion, {setting}, σ_0 = 2",
            )  # fmt: skip


@check("gaussian-ce-law")
def one_step(study: Study) -> None:
    """Law of a step, of the move of the mean, and their independence, with every point drawn."""
    n, t, replicates = 5, 25, study.size(36_000, 120_000)
    run = study.simulate(
        Gaussian(1.0, 2.0), CrossEntropy(), n_samples=n, generations=t, replicates=replicates,
        metrics=["log_std", "mean"], sampler="points",
    )  # fmt: skip
    log_std, mean = run.metrics["log_std"], run.metrics["mean"]
    steps = 2 * np.diff(log_std, axis=1)
    moves = np.diff(mean, axis=1) / np.exp(log_std[:, :-1]) * math.sqrt(n)
    setting = "mean fitted, ddof 0, n = 5, t ≤ 25, every point drawn"
    _law(
        study, "law of n exp(ξ), n = 5", n * np.exp(steps.ravel()[:_DRAWN]),
        lambda x: special.gammainc((n - 1) / 2, x / 2), lambda x: special.gammainc(1.05 * (n - 1) / 2, x / 2),
        change="χ² with 5 % more degrees of freedom", setting=setting,
    )  # fmt: skip
    _law(
        study, "law of (μ_{t+1} − μ_t) √n/σ_t, n = 5", moves.ravel(),
        special.ndtr, lambda x: special.ndtr(x / 1.07),
        change="standard deviation 7 % larger", setting=setting,
    )  # fmt: skip
    centred = (steps - float(theory.log_variance_drift(n))) / math.sqrt(float(theory.log_variance_step_variance(n)))
    products = {
        "correlation of ξ and the squared move": centred * (moves**2 - 1) / math.sqrt(2),
        "correlation of consecutive ξ": centred[:, 1:] * centred[:, :-1],
    }
    for quantity, product in products.items():
        study.equal(
            f"{quantity}, n = 5", mean_of(product), 0.0, 0.05, size=product.size,
            change="correlated by 0.05", setting=setting,
        )  # fmt: skip


@check("gaussian-ce-law")
def moments(study: Study) -> None:
    """Means of σ_t, σ_t² and (μ_t − μ_0)², and their sum, for each fit."""
    n, t, count = 5, 3, study.size(1_000_000, 3_000_000)
    loss = {}
    for fit in _FITS:
        std, shift = _runs(study, n, t, count, fit)
        found = {
            "E σ_t": (std, theory.expected_std),
            "E σ_t²": (std**2, theory.expected_variance),
            "Var μ_t": (shift**2, theory.variance_of_mean),
        }
        if not fit.fit_mean:
            del found["Var μ_t"]
        setting = f"{fit}, n = {n}, t = {t}"
        for quantity, (sample, law) in found.items():
            predicted = float(law(t, n, **fit.options))
            study.equal(
                f"{quantity}, {setting}", mean_of(sample), predicted, 1.05 * predicted, size=sample.size,
                change="5 % larger", setting=f"recursion, {setting}, σ_0 = 1",
            )  # fmt: skip
        total = std**2 + shift**2
        loss[fit] = abs(float(total.mean()) - 1)
        if fit == _BIASED:
            study.equal(
                f"E σ_t² + Var μ_t, {setting}", mean_of(total), 1.0, 0.95, size=std.size,
                change="5 % lost", setting=f"recursion, {setting}, σ_0 = 1",
            )  # fmt: skip
    study.counterexample(
        "E σ_t² + Var μ_t = σ_0²", 0.1 - loss[_UNBIASED], 0.1 - loss[_BIASED], hypothesis="ddof = 0",
        setting=f"mean fitted, ddof 1, n = {n}, t = {t}; slack: 0.1 less the distance",
    )  # fmt: skip


@check("gaussian-ce-law")
def heavy_tail(study: Study) -> None:
    """Variance of σ_t², with ddof = 1, while its mean stays."""
    n, t, count = 100, 3, study.size(1_000_000, 3_000_000)
    std, _ = _runs(study, n, t, count, _UNBIASED)
    predicted = float(theory.variance_of_variance(t, n, ddof=1))
    study.equal(
        "Var σ_t², ddof 1, n = 100, t = 3", variance_of(std**2), predicted, 1.05 * predicted, size=std.size,
        change="5 % larger", setting="recursion, mean fitted, ddof 1, n = 100, t = 3, σ_0 = 1",
    )  # fmt: skip


@check("gaussian-ce-law")
def closed_forms(study: Study) -> None:
    """Compare the moments of one step and of t of them with quadrature of the law of χ²."""
    rng = study.generator()
    size = rng.integers(2, 3000, study.size(40, 400))
    t = rng.integers(1, 200, size.size)
    for fit in _FITS:
        _closed_forms(study, fit, size, t)
    rate = np.log(chi_square_mean(lambda y: np.exp(y / 2), size - 1) / np.sqrt(size - 1))
    log_alpha = np.log(theory.alpha(size))
    study.instances(
        "log α(n)", rate, log_alpha, 1.05 * log_alpha, change="5 % larger", setting="n = 2 … 3000, by quadrature"
    )


def _closed_forms(study: Study, fit: _Fit, n: np.ndarray, t: np.ndarray) -> None:
    nu, m = fit.law(n)
    drift, spread = _step_moments(nu, m)
    half, one, two = (np.log(chi_square_mean(_power(p), nu)) - p * np.log(m) for p in (0.5, 1, 2))
    spread_of_variance = np.exp(t * two) - np.exp(2 * t * one)
    sides = {
        "E ξ": (drift, theory.log_variance_drift(n, **fit.options), 1e-9),
        "Var ξ": (spread, theory.log_variance_step_variance(n, **fit.options), 1e-9),
        "log f": (half, np.log(theory.std_factor(n, **fit.options)), 1e-9),
        "log E σ_t": (t * half, np.log(theory.expected_std(t, n, **fit.options)), 1e-9),
        "Var σ_t²": (spread_of_variance, theory.variance_of_variance(t, n, **fit.options), 1e-8),
    }
    for quantity, (found, predicted, tolerance) in sides.items():
        study.instances(
            f"{quantity}, {fit}", found, predicted, 1.05 * np.asarray(predicted), tolerance=tolerance,
            change="5 % larger", setting="n = 2 … 3000, t < 200 at random, against quadrature",
        )  # fmt: skip


def _power(p: float) -> Callable[[np.ndarray], np.ndarray]:
    """Power of χ², from its logarithm."""
    return lambda y: np.exp(p * y)


def _step_moments(nu: np.ndarray, m: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance of log(χ²_ν/m)."""
    mean = chi_square_mean(lambda y: y, nu)
    return mean - np.log(m), chi_square_mean(lambda y: (y - mean[:, None]) ** 2, nu)


@check("gaussian-ce-law")
def large_samples(study: Study) -> None:
    """Limits of n E ξ and n Var ξ for large n."""
    sizes = (50, 100, 200, 400, 800)
    n = np.array(sizes)
    for fit, limit in zip(_FITS, (-2.0, -1.0, -1.0), strict=True):
        drift, spread = _step_moments(*fit.law(n))
        for quantity, values, end in (("n E ξ", n * drift, limit), ("n Var ξ", n * spread, 2.0)):
            study.limit(
                f"{quantity}, {fit}", sizes, values.tolist(), end, 1.05 * end, order=1.0,
                change="limit 5 % larger", setting="quadrature of the law of χ², n = 50 … 800",
            )  # fmt: skip


@check("gaussian-ce-law")
def collapse(study: Study) -> None:
    """On every path log σ_t falls at its rate, with ddof = 1 too, but not if some of the points are fresh."""
    n, t = 10, 4000
    model = Gaussian(0.0, 1.0, ddof=1)
    rate = float(theory.log_variance_drift(n, ddof=1)) / 2

    def slopes(**options: Any) -> np.ndarray:
        run = study.simulate(
            model, CrossEntropy(), n_samples=n, generations=t, replicates=study.size(150, 1500), metrics=["log_std"],
            **options,
        )  # fmt: skip
        slope: np.ndarray = run.metrics["log_std"][:, t] / t
        return slope

    # t = 4000 has a standard deviation of a tenth of the tolerance
    alone, mixed = slopes(), slopes(regime=FreshMix(0.05))
    study.counterexample(
        "(1/t) log σ_t² → E ξ", 0.5 * abs(rate) - np.abs(mixed - rate), 0.5 * abs(rate) - np.abs(alone - rate),
        hypothesis="all points from generation t alone",
        setting="mean fitted, ddof 1, n = 10, t = 4000, 5 % fresh points; slack: half the rate less the distance",
    )  # fmt: skip


@check("gaussian-ce-law")
def normality(study: Study) -> None:
    """Other points than normal ones give the steps another variance."""
    n, replicates = 20, study.size(20_000, 200_000)
    rng = study.generator()
    predicted = float(theory.log_variance_step_variance(n))
    normal, uniform = (np.log(np.var(points, axis=1)) for points in (
        rng.standard_normal((replicates, n)), rng.uniform(-1.0, 1.0, (replicates, n))
    ))  # fmt: skip
    slack = [0.2 * predicted - abs(float(np.var(step)) - predicted) for step in (uniform, normal)]
    study.counterexample(
        "Var ξ = ψ'((n − 1)/2)", *slack, hypothesis="normal points",
        setting="uniform points, n = 20; slack: a fifth less the distance",
    )  # fmt: skip


@check("gaussian-w2")
def distance(study: Study) -> None:
    """W2 as the cost of the monotone coupling, by quadrature, below that of all other normal couplings."""
    rng = study.generator()
    count = study.size(100, 1000)
    means, stds = rng.normal(0, 2, (count, 2)), rng.lognormal(0, 1, (count, 2))
    predicted = (means[:, 0] - means[:, 1]) ** 2 + (stds[:, 0] - stds[:, 1]) ** 2
    s = np.linspace(-45.0, 45.0, 1001)  # levels 1/(1 + e^−s), by the trapezoidal rule
    standard = np.sign(s) * -special.ndtri(special.expit(-np.abs(s)))
    weight = (s[1] - s[0]) * special.expit(s) * special.expit(-s)
    first, second = (means[:, i, None] + stds[:, i, None] * standard for i in (0, 1))
    found = (first - second) ** 2 @ weight
    study.instances(
        "W_2² of two normal laws", found, predicted, 1.05 * predicted,
        change="5 % larger", setting="random means and scales, against quadrature of the quantile functions",
    )  # fmt: skip
    correlation = np.append(rng.uniform(-1, 1, 50), 1.0)
    cost = (means[:, :1] - means[:, 1:]) ** 2 + (stds**2).sum(axis=1, keepdims=True)
    cost = cost - 2 * correlation * stds.prod(axis=1, keepdims=True)
    study.everywhere(
        "cost of a coupling ≥ W_2²", cost - predicted[:, None], cost - 1.05 * predicted[:, None],
        change="W_2² 5 % larger", setting="normal couplings with random correlation, and with correlation 1",
    )  # fmt: skip


@check("gaussian-w2")
def mean_square(study: Study) -> None:
    """Mean of W2² over the recursion, for each fit."""
    count = study.size(800_000, 3_000_000)
    for fit, n, t in ((_BIASED, 5, 3), (_UNBIASED, 20, 3), (_KNOWN, 20, 3)):
        std, shift = _runs(study, n, t, count, fit)
        sample = shift**2 + (std - 1) ** 2
        predicted = float(theory.expected_w2_squared(t, n, **fit.options))
        setting = f"{fit}, n = {n}, t = {t}"
        study.equal(
            f"E W_2², {setting}", mean_of(sample), predicted, 1.05 * predicted, size=sample.size,
            change="5 % larger", setting=f"recursion, {setting}, σ_0 = 1",
        )  # fmt: skip


@check("gaussian-w2")
def closed_form(study: Study) -> None:
    """E W2² by the moments of one step, from quadrature, and its growth."""
    rng = study.generator()
    n = rng.integers(2, 1000, study.size(50, 500))
    t = np.arange(1, 60) * 5
    found = {}
    for fit in _FITS:
        nu, m = fit.law(n)
        half, one = (chi_square_mean(_power(p), nu) / m**p for p in (0.5, 1.0))
        variance = one[:, None] ** np.arange(t[-1])
        moved = np.cumsum(variance, axis=1)[:, t - 1] / n[:, None] if fit.fit_mean else 0.0
        found[fit] = moved + one[:, None] ** t + 1 - 2 * half[:, None] ** t
        predicted = theory.expected_w2_squared(t, n[:, None], **fit.options)
        study.instances(
            f"E W_2², {fit}", found[fit], predicted, 1.05 * np.asarray(predicted), tolerance=1e-9,
            change="5 % larger", setting="n < 1000 at random, t = 5 … 295, by quadrature of the law of χ²",
        )  # fmt: skip
        study.everywhere(
            f"E W_2² increases, {fit}", np.diff(found[fit], axis=1),
            np.diff(found[fit], axis=1) - 0.05 * found[fit][:, 1:],
            change="by 5 % of it every five generations", setting="n < 1000 at random, t = 5 … 295",
        )  # fmt: skip
    study.counterexample(
        "E W_2² < 2 σ_0²", 2 - found[_UNBIASED], 2 - np.maximum(found[_BIASED], found[_KNOWN]),
        hypothesis="ddof = 0 or the mean known", setting="mean fitted, ddof 1, n < 1000 at random, t = 5 … 295",
    )  # fmt: skip
