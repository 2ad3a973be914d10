"""Checks of results of the literature on cross entropy in the replace regime."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import integrate, optimize, special, stats

from tce_theory.exact import TwoClassChain, log_variance_cdf
from tce_theory.theory import gaussian, literature
from tce_theory.verification.checks import _counts, check
from tce_theory.verification.checks.gaussian import chi_square_mean
from tce_theory.verification.estimates import mean_of, proportion_of
from tce_theory.verification.study import Study

__all__ = ["_counts"]  # imported for its checks, which register themselves

_LARGER = "5 % larger"


def _same(study: Study, quantity: str, found: Any, predicted: Any, setting: str, *, tolerance: float = 1e-9) -> None:
    """Assert equality on instances; the wrong prediction is 5 % larger."""
    study.instances(
        quantity, found, predicted, 1.05 * np.asarray(predicted), change=_LARGER, setting=setting, tolerance=tolerance
    )


# ----------------------------------------------------------------------------------------------- gaussian-tail-bounds


def _log_moment(nu: Any, q: float) -> np.ndarray:
    """Log of E (χ²_ν/ν)^(q/2), by quadrature."""
    degrees = np.asarray(nu, dtype=np.float64)
    moment: np.ndarray = np.log(chi_square_mean(lambda y: np.exp(q / 2 * y), degrees)) - q / 2 * np.log(degrees)
    return moment


def _level(t: int, nu: int, q: int) -> float:
    """Return log ε/σ_0 at which the order q is the best one: t times the slope of the log-moment."""
    return t * float(_log_moment(nu, q + 1e-3) - _log_moment(nu, q - 1e-3)) / 2e-3


def _log_tail(t: int, nu: int, level: float, q: int) -> float:
    """Log of Pr(σ_t > ε), however small it is, for steps χ²_ν/ν, σ_0 = 1 and level = log ε.

    Weighted by σ_t^q, the law of σ_t² is that of a product of factors χ²_{ν+q}/ν. With X = log σ_t − log ε the
    probability is E σ_t^q/ε^q · E [exp(−qX); X > 0] under the weighted law, which is that of a known mean with ν + q
    points, but for the divisor.
    """
    x = np.linspace(0.0, 40.0 / q, 8001)
    divisor = t * math.log((nu + q) / nu)
    below = np.asarray(log_variance_cdf(2 * (level + x) - divisor, t, nu + q, fit_mean=False))
    weighted = integrate.simpson(q * np.exp(-q * x) * (below - below[0]), x=x)
    return t * float(_log_moment(nu, q)) - q * level + math.log(weighted)


@check("gaussian-tail-bounds")
def bounds(study: Study) -> None:
    """Each bound against exact tails, where its exponent is nearly that of the tail, and without a fitted mean."""
    around = np.linspace(-1.0, 1.0, study.size(10, 60))
    cases = (
        ("(σ_0/ε) α(n)^t", literature.bertrand_tail_bound, 2, 1500, 1),
        ("(σ_0/ε) exp(−t/(4n − 1))", literature.suresh_tail_bound, 100, 150_000, 1),
        ("the best bound", literature.best_tail_bound, 3, 1500, 2),
    )
    for name, function, n, t, q in cases:
        levels = _level(t, n - 1, q) + around * math.sqrt(t / n)
        tails = np.array([_log_tail(t, n - 1, float(level), q) for level in levels])
        bound = np.asarray(function(t, n, np.exp(levels), log=True))
        decay = bound + levels if q == 1 else bound  # of the bounds with one moment the part that grows with t
        study.everywhere(
            f"Pr(σ_t > ε) ≤ {name}, n = {n}, t = {t}", bound - tails, bound + 0.05 * decay - tails,
            change="exponent 5 % larger",
            setting=f"logs of exact tails, however small, where the best order is near {q}, n = {n}, t = {t}",
        )  # fmt: skip
    n, t = 2, 500
    level = _level(t, n, 1)
    least = float(literature.bertrand_tail_bound(t, n, math.exp(level), log=True))
    study.counterexample(
        "Pr(σ_t > ε) ≤ (σ_0/ε) α(n)^t", least - _log_tail(t, n, level, 1), least - _log_tail(t, n - 1, level, 1),
        hypothesis="mean fitted", setting=f"mean known, n = {n}, t = {t}, best order 1, logs of exact tails",
    )  # fmt: skip


@check("gaussian-tail-bounds")
def random_tails(study: Study) -> None:
    """Hold the three bounds against exact tails at random; where ε is small all of them are sharp."""
    rng = study.generator()
    count = study.size(40, 400)
    n, t = rng.integers(2, 60, count), rng.integers(1, 100, count)
    moments = gaussian.log_std_moments(t, n, ddof=1)
    levels = np.asarray(moments.mean) + rng.uniform(-5, 3, count) * np.sqrt(np.asarray(moments.variance))
    cdf = [log_variance_cdf(2 * x, int(s), int(size), ddof=1) for x, s, size in zip(levels, t, n, strict=True)]
    tails = 1 - np.array(cdf, dtype=np.float64)[:, None]
    functions = (literature.best_tail_bound, literature.bertrand_tail_bound, literature.suresh_tail_bound)
    limits = np.column_stack([np.asarray(function(t, n, np.exp(levels))) for function in functions])
    study.everywhere(
        "Pr(σ_t > ε) ≤ the three bounds", limits - tails, 0.95 * limits - tails, change="5 % smaller",
        setting="n < 60, t < 100, ε at random, tails from the exact law",
    )  # fmt: skip


@check("gaussian-tail-bounds")
def first_moment(study: Study) -> None:
    """Bounds of α(n), and its place in the two bounds with the first moment."""
    n = np.unique(np.geomspace(2, 2000, study.size(150, 1500)).astype(int))
    log_alpha = _log_moment(n - 1, 1.0)
    study.everywhere(
        "α(n) < exp(−1/(4n − 3))", -1 / (4 * n - 3) - log_alpha, -1 / (3.8 * n - 3) - log_alpha,
        change="4n 5 % smaller", setting="α by quadrature, n = 2 … 2000, logs", tolerance=0.0,
    )  # fmt: skip
    t = np.array([1, 10, 100, 1000])
    epsilon = np.exp(log_alpha[:, None] * t) * 1.5 + 0.01  # so that neither bound is 1
    least = np.asarray(literature.bertrand_tail_bound(t, n[:, None], epsilon, log=True))
    predicted = log_alpha[:, None] * t - np.log(epsilon)
    _same(study, "log of (σ_0/ε) α(n)^t", np.minimum(predicted, 0), least, "α by quadrature, n = 2 … 2000")
    wider = np.asarray(literature.suresh_tail_bound(t, n[:, None], epsilon, log=True))
    study.everywhere(
        "the bound with α(n) is the lower one", wider - least, wider - 0.05 * t / (4 * n[:, None] - 1) - least,
        change="1/(4n − 1) 5 % larger", setting="n = 2 … 2000, t = 1 … 1000",
    )  # fmt: skip


@check("gaussian-tail-bounds")
def best_order(study: Study) -> None:
    """Find the best order and its bound by search, and the curvature of the logarithm of the bound."""
    rng = study.generator()
    count = study.size(15, 150)
    n, t = rng.integers(2, 40, count), rng.integers(1, 60, count)
    moments = gaussian.log_std_moments(t, n, ddof=1)
    levels = np.asarray(moments.mean) + rng.uniform(0.3, 2.0, count) * np.sqrt(np.asarray(moments.variance))

    def exponent(q: float, i: int) -> float:
        return float(t[i] * _log_moment(n[i] - 1, q) - q * levels[i])

    searched = [
        optimize.minimize_scalar(lambda q, i=i: exponent(q, i), bracket=(0.0, 1.0), options={"xtol": 1e-9})
        for i in range(count)
    ]  # fmt: skip
    setting = "moments by quadrature, n < 40, t < 60, ε at random"
    orders = np.asarray(literature.best_tail_order(t, n, np.exp(levels)))
    least = literature.best_tail_bound(t, n, np.exp(levels), log=True)
    _same(study, "best order", [item.x for item in searched], orders, setting, tolerance=1e-5)
    _same(study, "log of the best bound", [item.fun for item in searched], least, setting)
    h, q = 0.02, rng.uniform(0.1, 4, count)
    curvature = [
        (exponent(q[i] + h, i) - 2 * exponent(q[i], i) + exponent(q[i] - h, i)) / h**2 for i in range(count)
    ]  # fmt: skip
    predicted = t / 4 * special.polygamma(1, (n - 1 + q) / 2)
    _same(study, "second derivative of the log of the bound", curvature, predicted, setting, tolerance=3e-3)
    low = np.asarray(moments.mean) - 0.3 * np.sqrt(np.asarray(moments.variance))
    rise = np.array([[t[i] * _log_moment(n[i] - 1, s) - s * low[i] for s in (0.01, 0.1, 1.0)] for i in range(count)])
    study.counterexample(
        "some order has a bound below 1", -rise.reshape(-1), [-item.fun for item in searched],
        hypothesis="ε above exp(E log σ_t)", setting=f"ε below it, orders 0.01 … 1, {setting}",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- mad-bias


def _fitted_covariance(
    rng: np.random.Generator, n: int, t: int, bias: float, replicates: int, ddof: int
) -> tuple[np.ndarray, np.ndarray]:
    """Entries (1, 1) and (1, 2) of Σ_t in two dimensions, every point drawn, from variances 1 and correlation 0.9."""
    first, both, second = np.ones(replicates), np.full(replicates, 0.9), np.ones(replicates)
    for _ in range(t):
        noise = rng.standard_normal((2, n, replicates))
        noise -= noise.mean(axis=1, keepdims=True)  # the sample mean is taken off the points in any case
        slope = both / np.sqrt(first)
        x, y = np.sqrt(first) * noise[0], slope * noise[0] + np.sqrt(second - slope**2) * noise[1]
        first, both, second = (bias * (u * v).sum(axis=0) / (n - ddof) for u, v in ((x, x), (x, y), (y, y)))
    return first, both


def _log_directions(
    rng: np.random.Generator, n: int, d: int, t: int, bias: float, replicates: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logs of vᵀΣ_t v, v = (1, …, 1), of tr Σ_t, and of det Σ_t/tr Σ_t^(d − 1), from Σ_0 = 1.

    In two dimensions the last is the least eigenvalue within a factor of 2. The Cholesky factor of Σ_t is a product of
    those of Wishart matrices (Bartlett, n ≥ d + 1); scales are taken out as it goes.
    """
    product = np.broadcast_to(np.eye(d), (replicates, d, d))
    log_scale = np.zeros(replicates)
    log_det = np.zeros(replicates)
    lower = np.tril(np.ones((d, d)), -1)
    for _ in range(t):
        factor = rng.standard_normal((replicates, d, d)) * lower
        diagonal = np.sqrt(rng.chisquare(n - 1 - np.arange(d), (replicates, d)))
        factor[:, np.arange(d), np.arange(d)] = diagonal
        product = product @ factor * math.sqrt(bias / (n - 1))
        log_det += 2 * np.log(diagonal).sum(axis=1) + d * math.log(bias / (n - 1))
        size = np.abs(product).max(axis=(1, 2))
        product, log_scale = product / size[:, None, None], log_scale + 2 * np.log(size)
    along = log_scale + np.log((product.sum(axis=1) ** 2).sum(axis=1))
    trace = log_scale + np.log((product**2).sum(axis=(1, 2)))
    return along, trace, log_det - (d - 1) * trace


@check("mad-bias")
def mean_covariance(study: Study) -> None:
    """Mean of Σ_t in two dimensions, with every point drawn, and with the other divisor."""
    rng = study.generator()
    n, t, bias, replicates = 10, 2, 0.9, study.size(240_000, 900_000)
    variance, covariance = _fitted_covariance(rng, n, t, bias, replicates, 1)
    factor = float(literature.mad_variance_factor(t, bias))
    name = f"λ = {bias}, n = {n}, t = {t}"
    for quantity, sample in (("on the diagonal", variance), ("off the diagonal", covariance / 0.9)):
        study.equal(
            f"E Σ_t/Σ_0, {quantity}, {name}", mean_of(sample), factor, 1.05 * factor, change=_LARGER,
            setting=f"two dimensions, every point drawn, {name}", size=replicates,
        )  # fmt: skip
    biased, _ = _fitted_covariance(rng, n, t, bias, replicates // 8, 0)
    slack = [0.1 - abs(float(side.mean()) / factor - 1) for side in (biased, variance)]
    study.counterexample(
        "E Σ_t = λ^t Σ_0", *slack, hypothesis="the unbiased sample covariance",
        setting=f"ddof 0, {name}; slack: 10 % less the relative distance",
    )  # fmt: skip


@check("mad-bias")
def paths(study: Study) -> None:
    """Rate at which Σ_t falls along a fixed direction, and collapse beyond λ = 1."""
    rng = study.generator()
    n, d, t, bias, replicates = 6, 3, 200, 0.9, study.size(8000, 80_000)
    along, _, _ = _log_directions(rng, n, d, t, bias, replicates)
    rate = float(literature.mad_log_variance_drift(n, bias))
    name = f"λ = {bias}, n = {n}"
    study.equal(
        f"(1/t) E log vᵀΣ_t v, {name}, t = {t}", mean_of((along - math.log(d)) / t), rate, 1.05 * rate,
        change=_LARGER, setting=f"products of Wishart factors in three dimensions, v = (1, 1, 1), {name}",
        size=replicates,
    )  # fmt: skip
    sizes = np.unique(np.geomspace(2, 2000, 40).astype(int))
    shrinkage = rng.uniform(0.2, 0.95, sizes.size)
    drift = chi_square_mean(lambda y: y, sizes - 1) - np.log(sizes - 1)
    _same(study, "rate along a direction", np.log(shrinkage) + drift,
          literature.mad_log_variance_drift(sizes, shrinkage), "quadrature of the law of χ², n = 2 … 2000")  # fmt: skip
    study.everywhere(
        "rate along a direction < log λ", -drift, -drift - 1.05 / (sizes - 1),
        change="by more than 1.05/(n − 1)", setting="quadrature of the law of χ², n = 2 … 2000",
    )  # fmt: skip
    critical = (n - 1) / 2 * math.exp(-float(special.digamma((n - 1) / 2)))
    t = 4000
    _, below, least = _log_directions(rng, n, 2, t, 0.9 * critical, 60)
    _, above, _ = _log_directions(rng, n, 2, t, 1.1 * critical, 60)
    study.counterexample(
        "Σ_t → 0: log tr Σ_t < 0 at t = 4000", -above, -below, hypothesis="λ below its critical value, 1.24",
        setting=f"λ = {1.1 * critical:.3f} against {0.9 * critical:.3f}, two dimensions, n = {n}",
    )  # fmt: skip
    rate = float(literature.mad_log_variance_drift(n, 0.9 * critical))
    tolerance = 0.7 * abs(rate)
    study.counterexample(
        "(1/t) log vᵀΣ_t v → its rate", tolerance - np.abs(least / t - rate), tolerance - np.abs(below / t - rate),
        hypothesis="v fixed, not an eigenvector of Σ_t",
        setting=f"least eigenvalue of Σ_t against its trace, two dimensions, n = {n}, t = {t}",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- suresh-rates


def _poisson_zero(mean: float, k: int, largest: int = 300) -> np.ndarray:
    """Pr(N_j = 0), j = 1 … k, of N_1 ~ Poisson(mean), N_{j+1} ~ Poisson(N_j), as a chain on 0 … largest."""
    counts = np.arange(largest + 1)
    transition = stats.poisson.pmf(counts[None, :], counts[:, None])
    law, zero = stats.poisson.pmf(counts, mean), []
    for _ in range(k):
        zero.append(law[0])
        law = law @ transition
    return np.array(zero)


@check("suresh-rates")
def poisson(study: Study) -> None:
    """Survival of the Poisson model with every point drawn, and against the chain of its counts."""
    rng = study.generator()
    n, k, rate, replicates = 3, 3, 0.7, study.size(500_000, 2_500_000)
    means = np.full(replicates, rate)
    for _ in range(k):
        means = rng.poisson(np.broadcast_to(means, (n, replicates))).mean(axis=0)
    right = float(literature.poisson_survival(k, n, rate))
    wrong = -math.expm1(1.05 * math.log1p(-right))
    study.equal(
        f"Pr(λ_k ≠ 0), n = {n}, λ_0 = {rate}, k = {k}", proportion_of(means > 0), right, wrong,
        change="exponent 5 % larger", setting="every point drawn", size=replicates,
    )  # fmt: skip
    last = 30
    ages = np.arange(1, last + 1)
    cases = [(1, 0.3), (2, 1.0), (5, 1.3), (10, 0.9)]
    dead = np.array([-np.log(_poisson_zero(size * mean, last)) for size, mean in cases])
    alive = np.array([-np.log1p(-np.asarray(literature.poisson_survival(ages, size, mean))) for size, mean in cases])
    _same(study, "−log Pr(λ_k = 0)", dead, alive, "chain of the counts, n λ_0 = 0.3 … 9, k ≤ 30", tolerance=1e-8)
    _same(study, "g_k", -np.log(_poisson_zero(1.0, last)), literature.suresh_rate(ages),
          "chain of the counts, n λ_0 = 1, k ≤ 30", tolerance=1e-8)  # fmt: skip


@check("suresh-rates")
def bernoulli(study: Study) -> None:
    """Survival of a Bernoulli model against the exact chain: a bound that is nearly sharp for small p."""
    k = np.array([1, 2, 5, 10, 20, 40])
    cases = [(n, x / n) for n in (200, 300, 400) for x in (0.3, 0.5, 1.0, 2.0)]
    cases += [(10, 0.5), (20, 0.2), (5, 0.9), (1, 0.3)]
    alive = np.array([_alive(TwoClassChain(n, p), k) for n, p in cases])
    least = np.array([literature.bernoulli_survival_bound(k, n, p) for n, p in cases])
    study.everywhere(
        "Pr(p_k ≠ 0) ≥ 1 − exp(−n p g_k)", alive - least, alive + np.expm1(1.05 * np.log1p(-least)),
        change="exponent 5 % larger", setting="exact chain of two classes, n = 1 … 400, k = 1 … 40",
    )  # fmt: skip
    poisson_alive = [1 - _poisson_zero(n * p, int(k[-1]))[k - 1] for n, p in cases]
    study.counterexample(
        "Pr(not degenerate) ≤ 1 − exp(−n p g_k)", least - alive, least - np.array(poisson_alive),
        hypothesis="Poisson points", setting="exact chains, n p = 0.3 … 5, k = 1 … 40",
    )  # fmt: skip


def _alive(chain: TwoClassChain, k: np.ndarray) -> list[float]:
    return [1 - float(chain.distribution(int(age))[0]) for age in k]


@check("suresh-rates")
def rates(study: Study) -> None:
    """Bounds of g_k to large k."""
    k = np.arange(1, study.size(1_000_000, 10_000_000) + 1)
    g = np.asarray(literature.suresh_rate(k))
    setting = f"k = 1 … {k[-1]}"
    _same(study, "g_{k+1}", g[1:1001], 1 - np.exp(-g[:1000]), "k = 1 … 1000", tolerance=1e-12)
    study.everywhere(
        "g_k ≤ 2/(k + 1)", 2 / g - (k + 1), 2 / g - (k + 1) / 0.95, change="5 % smaller", setting=setting,
    )  # fmt: skip
    study.everywhere(
        "g_k ≥ 2/(k + 1 + log(k)/3)", k + 1 + np.log(k) / 3 - 2 / g, k + 1 + 0.95 * np.log(k) / 3 - 2 / g,
        change="log(k)/3 5 % smaller", setting=setting,
    )  # fmt: skip
    study.everywhere(
        "g_k decreases", -np.diff(g) / g[1:] ** 2, 0.475 - (-np.diff(g) / g[1:] ** 2),
        change="by less than 0.475 g_k²", setting=setting,
    )  # fmt: skip
