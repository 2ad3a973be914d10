"""Checks of the data regimes. Those without a simulator run as plain recursions here, with every point drawn."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import optimize, stats

from tce_theory.exact import TwoClassChain
from tce_theory.losses import CrossEntropy
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.regimes import FreshMix
from tce_theory.theory import regimes as theory
from tce_theory.verification.checks import _regression, check
from tce_theory.verification.estimates import mean_of
from tce_theory.verification.study import Study

__all__ = ["_regression"]  # imported for its checks, which register themselves

_LARGER = "5 % larger"


def _mean(study: Study, quantity: str, sample: np.ndarray, predicted: Any, setting: str) -> None:
    """Hold the mean of a sample against a prediction; the wrong one is 5 % larger."""
    value = float(predicted)
    study.equal(
        quantity, mean_of(sample), value, 1.05 * value, change=_LARGER, setting=setting, size=sample.size
    )  # fmt: skip


def _same(study: Study, quantity: str, found: Any, predicted: Any, setting: str, *, tolerance: float = 1e-9) -> None:
    """Assert equality on instances; the wrong prediction is 5 % larger."""
    study.instances(
        quantity, found, predicted, 1.05 * np.asarray(predicted), change=_LARGER, setting=setting, tolerance=tolerance
    )


# ----------------------------------------------------------------------------------------------- accumulate


_CORRELATION = 0.9


def _pooled_gaussian(
    rng: np.random.Generator, n: int, t: int, replicates: int, *, ddof: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance fitted to all points so far, from N(0, 1)."""
    mean, variance = np.zeros(replicates), np.ones(replicates)
    total, squares = np.zeros(replicates), np.zeros(replicates)
    for i in range(1, t + 1):
        points = mean[:, None] + np.sqrt(variance)[:, None] * rng.standard_normal((replicates, n))
        total = total + points.sum(axis=1)
        squares = squares + (points**2).sum(axis=1)
        mean = total / (i * n)
        variance = (squares - i * n * mean**2) / (i * n - ddof)
    return mean, variance


def _pooled_pairs(rng: np.random.Generator, n: int, t: int, replicates: int) -> np.ndarray:
    """Covariance fitted to all points in the plane so far; the components start at variance 1, correlation 0.9."""
    mean, sums = np.zeros((2, replicates)), np.zeros((5, replicates))
    first, both, second = (np.full(replicates, value) for value in (1.0, _CORRELATION, 1.0))
    for i in range(1, t + 1):
        slope = both / np.sqrt(first)
        rest = np.sqrt(second - slope**2)
        noise = rng.standard_normal((2, n, replicates))
        x, y = mean[0] + np.sqrt(first) * noise[0], mean[1] + slope * noise[0] + rest * noise[1]
        sums += np.array([side.sum(axis=0) for side in (x, y, x * x, x * y, y * y)])
        mean, second_moments = sums[:2] / (i * n), sums[2:] / (i * n)
        first, both, second = second_moments - np.array([mean[0] ** 2, mean[0] * mean[1], mean[1] ** 2])
    return both


@check("accumulate")
def gaussian(study: Study) -> None:
    """Mean variance of a Gaussian, in one dimension and in two, and what the mean has taken up."""
    rng = study.generator()
    n, t, replicates = 4, 6, study.size(320_000, 1_200_000)
    mean, variance = _pooled_gaussian(rng, n, t, replicates)
    factor = float(theory.accumulate_factor(n, t=t))
    name = f"n = {n}, t = {t}"
    setting = f"all points kept, every one drawn, ddof 0, {name}"
    _mean(study, f"E σ_t²/σ_0², {name}", variance, factor, setting)
    _mean(study, f"E σ_t² + Var μ_t, {name}", variance + mean**2, 1.0, setting)
    _, unbiased = _pooled_gaussian(rng, n, t, replicates // 4, ddof=1)
    slack = [0.05 - abs(float(side.mean()) / factor - 1) for side in (unbiased, variance)]
    study.counterexample(
        "E σ_t² = r_t σ_0²", *slack, hypothesis="ddof = 0",
        setting=f"ddof 1, {name}; slack: 5 % less the relative distance",
    )  # fmt: skip
    n, t, replicates = 6, 3, study.size(200_000, 800_000)
    covariance = _pooled_pairs(rng, n, t, replicates)
    name = f"n = {n}, t = {t}"
    factor = float(theory.accumulate_factor(n, t=t))
    _mean(study, f"E Σ_t/Σ_0, off the diagonal, {name}", covariance / _CORRELATION, factor,
          f"two dimensions, correlation {_CORRELATION}, {name}")  # fmt: skip


@check("accumulate")
def heterozygosity(study: Study) -> None:
    """Mean heterozygosity of a categorical model that keeps all its data, and of one that does not."""
    rng = study.generator()
    n, t, replicates = 3, 5, study.size(90_000, 400_000)
    truth = np.array([0.5, 0.3, 0.15, 0.05])
    found = {}
    for keep in (True, False):
        probs = np.broadcast_to(truth, (replicates, truth.size))
        counts = np.zeros((replicates, truth.size), dtype=np.int64)
        for _ in range(t):
            counts = rng.multinomial(n, probs) + (counts if keep else 0)
            probs = counts / counts.sum(axis=1, keepdims=True)
        found[keep] = (1 - (probs**2).sum(axis=1)) / (1 - (truth**2).sum())
    predicted = float(theory.accumulate_factor(n, t=t))
    setting = f"all points kept, four classes, n = {n}, t = {t}"
    _mean(study, f"E H_t/H_0, n = {n}, t = {t}", found[True], predicted, setting)
    limit = float(theory.accumulate_factor(n))
    study.counterexample(
        "E H_t ≥ r_∞ H_0", found[False].mean() - limit, found[True].mean() - limit, hypothesis="all points are kept",
        setting=f"only the last points kept, four classes, n = {n}, t = {t}",
    )  # fmt: skip


@check("accumulate")
def product(study: Study) -> None:
    """Compare the product of the factors with its closed form, and with its limit."""
    n = np.unique(np.geomspace(1, 1000, 30).astype(int))
    t = np.array([1, 2, 5, 20, 100, 1000])
    factors = np.cumprod(1 - 1 / (n[:, None] * np.arange(1, t[-1] + 1) ** 2), axis=1)[:, t - 1]
    loss = 1 - np.asarray(theory.accumulate_factor(n[:, None], t=t))
    _same(study, "1 − r_t", 1 - factors, loss, "n = 1 … 1000, t = 1 … 1000, against the product")
    for size in (2, 10):
        sizes = (500, 1000, 2000)
        values = np.cumprod(1 - 1 / (size * np.arange(1, sizes[-1] + 1) ** 2))[np.array(sizes) - 1]
        limit = float(theory.accumulate_factor(size))
        study.limit(
            f"r_t → r_∞, n = {size}", sizes, values.tolist(), limit, 1.05 * limit, order=1.0,
            change=_LARGER, setting="product of the factors, t = 500 … 2000",
        )  # fmt: skip
    wide, end = factors[n >= 2], np.asarray(theory.accumulate_factor(n[n >= 2]))[:, None]
    study.everywhere(
        "r_t decreases to r_∞", np.concatenate([wide - end, -np.diff(wide, axis=1)], axis=1), wide - 1.05 * end,
        change="r_∞ 5 % larger", setting="product of the factors, n = 2 … 1000, t = 1 … 1000",
    )  # fmt: skip


def _regression_errors(designs: list[np.ndarray], *, accumulate: bool) -> np.ndarray:
    """Mean of |w_t − w|² over the noise, with one array of designs for each fit and σ = 1.

    It is the sum of squares of the responses to the noise: labels are columns, one for each noise of each fit, and
    least squares runs on them as on any labels.
    """
    (replicates, n, d), t = designs[0].shape, len(designs)
    labels: list[np.ndarray] = []
    weights = np.zeros((replicates, d, n * t))
    for i in range(t):
        noise = np.zeros((n, n * t))
        noise[:, i * n : (i + 1) * n] = np.eye(n)
        labels.append(designs[i] @ weights + noise)
        first = 0 if accumulate else i
        rows, targets = (np.concatenate(part[first : i + 1], axis=1) for part in (designs, labels))
        transposed = rows.swapaxes(1, 2)
        weights = np.linalg.solve(transposed @ rows, transposed @ targets)
    error: np.ndarray = (weights**2).sum(axis=(1, 2))
    return error


@check("accumulate")
def regression(study: Study) -> None:
    """Excess test error of linear regression on the labels of the last fit, and on all labels so far."""
    rng = study.generator()
    n, d, t, pieces = 20, 2, 2, study.size(25, 250)
    name = f"n = {n}, d = {d}, t = {t}"
    setting = f"least squares on random designs, responses to every noise, {name}, σ = 1"
    for kept, quantity, predicted in (
        (False, "error on the last labels", theory.regression_replace_error(t, n, d)),
        (True, "error on all labels", theory.regression_accumulate_error(n, d, t=t)),
    ):
        errors = [_regression_errors([rng.standard_normal((1000, n, d))] * t, accumulate=kept) for _ in range(pieces)]
        _mean(study, f"{quantity}, {name}", np.concatenate(errors), predicted, setting)
    n, d, t = 10, 4, 5
    designs = [rng.standard_normal((1500, n, d)) for _ in range(t)]
    shared = designs[:1] * t
    one = [_regression_errors([design], accumulate=True) for design in designs]
    growth = float(theory.regression_accumulate_error(n, d, t=t)) / float(theory.regression_replace_error(1, n, d))
    setting = f"least squares on random designs, responses to every noise, n = {n}, d = {d}, t = {t}"
    errors = [_regression_errors(shared, accumulate=kept) for kept in (False, True)]
    _same(study, "error on the last labels over that of one fit", errors[0] / one[0], float(t), setting)
    _same(study, "error on all labels over that of one fit", errors[1] / one[0], growth, setting)
    apart = float(_regression_errors(designs, accumulate=True).mean() / np.mean(one)) / growth
    slack = [0.05 - abs(ratio - 1) for ratio in (apart, float((errors[1] / one[0]).mean()) / growth)]
    study.counterexample(
        "error on all labels = that of one fit times Σ 1/i²", *slack, hypothesis="one design for all fits",
        setting=f"a new design for each fit, n = {n}, d = {d}, t = {t}; slack: 5 % less the relative distance",
    )  # fmt: skip
    sizes, design = (200, 400, 800), rng.standard_normal((n, d))
    response = [_accumulated_response(design, size) for size in sizes]
    study.limit(
        "error on all labels over that of one fit", sizes, response, math.pi**2 / 6, 1.05 * math.pi**2 / 6, order=1.0,
        change="π²/6 5 % larger", setting="least squares on one random design, t = 200 … 800",
    )  # fmt: skip
    sides = [
        theory.regression_accumulate_error(rows, d) / theory.regression_replace_error(1, rows, d) for rows in (9, 30)
    ]
    _same(study, "limit of the error on all labels over that of one fit", sides, [response[-1] + 1 / 800.5] * 2,
          "least squares at t = 800, and the tail of Σ 1/i²", tolerance=1e-6)  # fmt: skip


def _accumulated_response(design: np.ndarray, t: int) -> float:
    """Error after t fits over that of one, by least squares on the mean label; noise e_j is one vector, or 0."""
    inverse = np.linalg.pinv(design)
    noise = design @ np.ones(design.shape[1])  # with a part that the fit sees
    weights, labels = np.zeros((design.shape[1], t)), np.zeros((design.shape[0], t))
    for i in range(t):
        labels += design @ weights
        labels[:, i] += noise
        weights = inverse @ labels / (i + 1)
    return float((weights**2).sum() / ((inverse @ noise) ** 2).sum())


# ----------------------------------------------------------------------------------------------- accumulate-subsample

_DRAWS = ("without replacement", "with replacement", "mixture")


def _subsampled(rng: np.random.Generator, n: int, t: int, replicates: int, draw: str) -> np.ndarray:
    """Return θ_t, θ_0 = 0 and σ = 1, with every point drawn."""
    pool = np.empty((replicates, t * n))
    models = np.zeros((replicates, t + 1))
    for i in range(1, t + 1):
        if draw == "mixture":
            chosen = np.take_along_axis(models, rng.integers(0, i, (replicates, n)), axis=1)
            models[:, i] = (chosen + rng.standard_normal((replicates, n))).mean(axis=1)
            continue
        pool[:, (i - 1) * n : i * n] = models[:, i - 1, None] + rng.standard_normal((replicates, n))
        if draw == "with replacement":
            chosen = np.take_along_axis(pool, rng.integers(0, i * n, (replicates, n)), axis=1)
        else:
            chosen = rng.permuted(pool[:, : i * n], axis=1)[:, :n]
        models[:, i] = chosen.mean(axis=1)
    return models[:, t]


def _subsample_variances(n: int, t: int, draw: str) -> np.ndarray:
    """E θ_i², i = 1 … t, from the second moments of all pairs of points, σ = 1.

    Points of one generation are alike: `square[a]` is that of a point of generation a, `pair[a, b]` that of two points
    of generations a and b, two different ones if a = b.
    """
    square, pair = np.zeros(t), np.zeros((t, t))
    variances = np.empty(t + 1)
    variances[0] = 0.0
    cross = np.zeros(t)  # E θ_i x for a point x of generation a
    with_theta = np.zeros((t + 1, t + 1))  # E θ_i θ_j, for the mixture
    for i in range(1, t + 1):
        if draw == "mixture":
            # two of the n points come from independently chosen models
            among = with_theta[:i, :i]
            variances[i] = (np.trace(among) / i + 1) / n + (1 - 1 / n) * among.mean()
            with_theta[i, :i] = with_theta[:i, i] = among.mean(axis=0)
            with_theta[i, i] = variances[i]
            continue
        new = i - 1
        square[new], pair[new, new] = variances[new] + 1, variances[new]
        pair[new, :new] = pair[:new, new] = cross[:new]
        points = i * n
        same = n * square[:i].sum()
        different = n * n * pair[:i, :i].sum() - n * np.trace(pair[:i, :i])
        if draw == "with replacement":
            variances[i] = same / points / n + (1 - 1 / n) * (same + different) / points**2
        else:
            variances[i] = same / points / n + ((1 - 1 / n) * different / (points * (points - 1)) if n > 1 else 0.0)
        cross[:i] = (n * pair[:i, :i].sum(axis=1) - np.diag(pair)[:i] + square[:i]) / points
    return variances[1:]


@check("accumulate-subsample")
def every_point(study: Study) -> None:
    """Variance of θ_t with every point drawn, for the three ways to draw."""
    rng = study.generator()
    n, t = 2, 4
    for draw in _DRAWS:
        theta = _subsampled(rng, n, t, study.size(700_000, 2_000_000), draw)
        name = f"{draw}, n = {n}, t = {t}"
        predicted = theory.accumulate_subsample_variance(t, n, draw=draw)
        _mean(study, f"E (θ_t − θ_0)², {name}", theta**2, predicted, f"every point drawn, {name}, σ = 1")
    n, t, replicates = 10, 20, study.size(2000, 20_000)
    last = np.zeros(replicates)
    for _ in range(t):
        last = last + rng.standard_normal((replicates, n)).mean(axis=1)
    ceiling = float(theory.accumulate_subsample_limit(n)) + 9 / (4 * n * (n - 1))
    kept = float(_subsample_variances(n, t, "without replacement")[-1])
    study.counterexample(
        "E (θ_t − θ_0)² below its limit and 9/(4n(n − 1))", ceiling - float((last**2).mean()),
        ceiling - kept, hypothesis="points from all data so far",
        setting=f"n points from the last model alone, n = {n}, t = {t}",
    )  # fmt: skip


@check("accumulate-subsample")
def second_moments(study: Study) -> None:
    """Exact variance and its leading order, against the second moments of all pairs of points."""
    longest = study.size(100, 600)
    t = np.arange(1, longest + 1)
    squares = np.cumsum(1 / t**2)
    sizes = np.unique(np.geomspace(2, 1000, 30).astype(int))
    for draw, leading in zip(_DRAWS, (3 * squares - 2, 2 * squares, squares), strict=True):
        found = np.array([_subsample_variances(int(n), longest, draw) for n in sizes])
        setting = f"second moments of all pairs of points, n = 2 … 1000, t ≤ {longest}"
        predicted = theory.accumulate_subsample_variance(t, sizes[:, None], draw=draw)
        _same(study, f"E (θ_t − θ_0)², {draw}", found, predicted, setting)
        bound, distance = 9 / (4 * (sizes[:, None] - 1)), sizes[:, None] * found - leading
        study.everywhere(
            f"leading order within 9/(4(n − 1)), {draw}", bound - np.abs(distance),
            bound - np.abs(distance - 0.05 * leading), change="leading order 5 % larger", setting=setting,
        )  # fmt: skip
        limit = sizes * np.asarray(theory.accumulate_subsample_limit(sizes, draw=draw))
        study.limit(
            f"n V_t for large n, t = {longest}, {draw}", sizes.tolist(), (sizes * found[:, -1]).tolist(),
            float(leading[-1]), 1.05 * float(leading[-1]), order=1.0, change=_LARGER, setting=setting,
        )  # fmt: skip
        far = np.array([1000, 2000, 4000])
        sums = np.cumsum(1 / np.arange(1.0, far[-1] + 1) ** 2)[far - 1]
        slope, offset = {"without replacement": (3, -2), "with replacement": (2, 0), "mixture": (1, 0)}[draw]
        constant = float(limit[0])
        study.limit(
            f"leading order for large t, {draw}", far.tolist(), (slope * sums + offset).tolist(), constant,
            1.05 * constant, order=1.0, change=_LARGER, setting="t = 1000 … 4000",
        )  # fmt: skip
        alone = np.arange(1, 201)
        one = _subsample_variances(1, alone.size, draw)
        _same(study, f"E (θ_t − θ_0)², n = 1, {draw}", one, np.cumsum(1 / alone), "second moments, n = 1, t ≤ 200")
        ceiling = limit[:1] + 9 / 4
        study.counterexample(
            f"n V_t below its limit and 9/4, {draw}", ceiling - one, (ceiling - sizes[:, None] * found).min(axis=1),
            hypothesis="n ≥ 2", setting="second moments, n = 1, t ≤ 200",
        )  # fmt: skip


# ----------------------------------------------------------------------------------------------- golden-mix


def _mixed_mean(
    rng: np.random.Generator, fresh: int, synthetic: int, w: float, t: int, replicates: int, *, reuse: bool = False
) -> np.ndarray:
    """Return θ_t, θ_0 = 0 and σ = 1, with every point drawn; with `reuse` the fresh points are the same in all fits."""
    theta, real = np.zeros(replicates), rng.standard_normal((replicates, fresh)).mean(axis=1)
    for i in range(t):
        if i and not reuse:
            real = rng.standard_normal((replicates, fresh)).mean(axis=1)
        theta = (1 - w) * (theta + rng.standard_normal((replicates, synthetic)).mean(axis=1)) + w * real
    return theta


@check("golden-mix")
def recursion(study: Study) -> None:
    """Variance of the mixed mean at small and large t, and what k is."""
    rng = study.generator()
    replicates = study.size(700_000, 2_500_000)
    fresh, synthetic, w = 4, 2, 0.3
    for t in (2, 5):
        name = f"n = 4, two synthetic points, w = 0.3, t = {t}"
        theta = _mixed_mean(rng, fresh, synthetic, w, t, replicates)
        predicted = theory.golden_mix_variance(fresh, w, fresh / synthetic, t=t)
        _mean(study, f"E (θ_t − θ_0)², {name}", theta**2, predicted, f"every point drawn, {name}, σ = 1")
    t, w = 6, 0.5
    few = study.size(50_000, 500_000)
    theta = _mixed_mean(rng, 1, 4, w, t, few)
    right, wrong = (float(theory.golden_mix_variance(1, w, k, t=t)) for k in (1 / 4, 4))
    study.equal(
        "E (θ_t − θ_0)², one fresh and four synthetic points, w = 1/2, t = 6", mean_of(theta**2), right, wrong,
        change="k synthetic over fresh points", setting="every point drawn, σ = 1", size=few,
    )  # fmt: skip
    best = float(theory.golden_mix_weight(1.0))
    slack = [1 - float((_mixed_mean(rng, 1, 1, best, 20, few, reuse=reuse) ** 2).mean()) for reuse in (True, False)]
    study.counterexample(
        "V_∞ at w* below σ²/n", *slack, hypothesis="fresh points drawn anew for every fit",
        setting="the same fresh point in all fits, n = k = 1, t = 20",
    )  # fmt: skip


def _step_sum(n: Any, w: Any, k: Any, t: int) -> np.ndarray:
    """Variance at generation t: what the noise of each generation has left there, σ = 1."""
    left = np.asarray(1 - np.asarray(w, dtype=np.float64))[..., None] ** (2 * np.arange(t))
    noise = (1 - np.asarray(w)) ** 2 * k / n + np.asarray(w) ** 2 / n
    total: np.ndarray = noise * left.sum(axis=-1)
    return total


@check("golden-mix")
def best_weight(study: Study) -> None:
    """Variance at every t and its limit, and the weight at which the limit is least, by search."""
    rng = study.generator()
    count = study.size(60, 600)
    n, synthetic, w = rng.integers(1, 50, count), rng.integers(1, 50, count), rng.uniform(0.05, 1.0, count)
    k = n / synthetic
    for t in (1, 5, 25):
        _same(study, f"V_t, t = {t}", _step_sum(n, w, k, t), theory.golden_mix_variance(n, w, k, t=t),
              "sum over the noise of all generations, at random")  # fmt: skip
    _same(study, "V_∞", _step_sum(n, w, k, 1500), theory.golden_mix_variance(n, w, k),
          "sum over the noise of 1500 generations, at random")  # fmt: skip
    searched = [
        optimize.minimize_scalar(
            lambda u, each=each: float(_step_sum(1.0, u, each, 1500)), bounds=(0.02, 1.0), method="bounded",
            options={"xatol": 1e-9},
        )
        for each in k[:25]
    ]  # fmt: skip
    weights = theory.golden_mix_weight(k[:25])
    _same(study, "w*", [item.x for item in searched], weights, "search of the least sum, at random", tolerance=1e-5)
    _same(study, "least n V_∞/σ²", [item.fun for item in searched], weights, "search of the least sum, at random")
    golden = (math.sqrt(5) - 1) / 2
    one = optimize.minimize_scalar(
        lambda u: float(_step_sum(1.0, u, 1.0, 1500)), bounds=(0.02, 1.0), method="bounded", options={"xatol": 1e-9}
    )
    _same(study, "w* for k = 1", [one.x], [golden], "search against (√5 − 1)/2", tolerance=1e-5)


# ----------------------------------------------------------------------------------------------- staged


def _staged_categorical(
    rng: np.random.Generator, truth: np.ndarray, m: int, i: int, replicates: int, *, fresh: bool = True
) -> np.ndarray:
    """Probabilities at stage i; without `fresh` data the corpus is regenerated alone."""
    start = np.broadcast_to(truth, (replicates, truth.size))
    counts = rng.multinomial(m, start)
    for stage in range(i):
        size = (stage + 1) * m if fresh else m
        counts = rng.multinomial(size, counts / size)
        if fresh:
            counts = counts + rng.multinomial(m, start)
    probs: np.ndarray = counts / ((i + 1) * m if fresh else m)
    return probs


def _staged_gaussian(rng: np.random.Generator, m: int, i: int, replicates: int) -> np.ndarray:
    """Return σ_i² over σ_0², with every point drawn."""
    corpus = rng.standard_normal((replicates, m))
    for stage in range(i):
        again = rng.standard_normal((replicates, (stage + 1) * m))
        regenerated = corpus.mean(axis=1, keepdims=True) + corpus.std(axis=1, keepdims=True) * again
        corpus = np.concatenate([regenerated, rng.standard_normal((replicates, m))], axis=1)
    variance: np.ndarray = corpus.var(axis=1)
    return variance


@check("staged")
def simulated(study: Study) -> None:
    """Measure what a categorical model and a Gaussian have lost at a stage, with every point drawn."""
    rng = study.generator()
    m, i = 3, 3
    truth = np.array([0.5, 0.3, 0.2])
    probs = _staged_categorical(rng, truth, m, i, study.size(450_000, 1_600_000))
    lost = 1 - (1 - (probs**2).sum(axis=1)) / (1 - (truth**2).sum())
    predicted = 1 - float(theory.staged_factor(m, i=i))
    setting = f"every point drawn, m = {m}, i = {i}"
    _mean(study, f"1 − E H_i/H_0, three classes, m = {m}, i = {i}", lost, predicted, setting)
    m, i = 1, 2
    variance = _staged_gaussian(rng, m, i, study.size(1_000_000, 3_000_000))
    predicted = 1 - float(theory.staged_factor(m, i=i))
    setting = f"Gaussian, every point drawn, m = {m}, i = {i}"
    _mean(study, f"1 − E σ_i²/σ_0², m = {m}, i = {i}", 1 - variance, predicted, setting)
    alone = _staged_categorical(rng, truth, 3, 10, study.size(20_000, 200_000), fresh=False)
    fed = _staged_categorical(rng, truth, 3, 10, study.size(20_000, 200_000))
    slack = [1 / 3 - float(1 - (1 - (side**2).sum(axis=1)).mean() / (1 - (truth**2).sum())) for side in (alone, fed)]
    study.counterexample(
        "L_i ≤ 1/m", *slack, hypothesis="a fresh fraction at every stage",
        setting="three classes, m = 3, i = 10, regenerated alone",
    )  # fmt: skip
    stored = rng.multinomial(3 * 11, truth, size=fed.shape[0]) / (3 * 11)  # real data of all stages
    lost_by = [1 - float((1 - (side**2).sum(axis=1)).mean() / (1 - (truth**2).sum())) for side in (stored, fed)]
    study.counterexample(
        "L_i ≥ 1/(2m + 1)", *(side - 1 / 7 for side in lost_by), hypothesis="every point regenerated",
        setting="three classes, m = 3, i = 10, all real data kept",
    )  # fmt: skip


def _descent(m: int, last: int) -> np.ndarray:
    """Probability that two draws with replacement from corpus i come from one real point, i = 0 … last; it is L_i.

    They are one point of the corpus, or two that were both regenerated, each from a point of the corpus before.
    """
    together = np.empty(last + 1)
    together[0] = 1 / m
    for i in range(1, last + 1):
        size, old = (i + 1) * m, i * m
        together[i] = 1 / size + old * (old - 1) / size**2 * together[i - 1]
    return together


@check("staged")
def shares(study: Study) -> None:
    """Shares of the corpus by counting, the loss by descent of its points, and the limit."""
    last, m = 12, 5
    regenerated = np.zeros(m, dtype=int)  # how often each point of the corpus has been regenerated
    real, corpus, least, most = [], [], [], []
    for i in range(last + 1):
        if i:
            regenerated = np.concatenate([regenerated + 1, np.zeros(m, dtype=int)])
        counts = np.bincount(regenerated) / regenerated.size
        real.append(float(counts[0]))
        least.append(float(counts.min()))
        most.append(float(counts.max()))
        corpus.append(regenerated.size / (m * (last + 1)))
    stage = np.arange(last + 1)
    setting = f"points of the corpus counted, m = {m}, stages 0 … {last}"
    _same(study, "share of real data", real, theory.staged_real_share(stage), setting)
    _same(study, "size of the corpus", corpus, theory.staged_corpus_share(stage, last + 1), setting)
    _same(study, "least share of data regenerated j times", least, theory.staged_real_share(stage), setting)
    _same(study, "largest share of data regenerated j times", most, theory.staged_real_share(stage), setting)
    sizes = np.unique(np.geomspace(1, 1000, 20).astype(int))
    found = np.array([_descent(int(each), 4000) for each in sizes])
    stages = np.array([0, 1, 2, 5, 20, 100, 1000])
    lost = 1 - np.asarray(theory.staged_factor(sizes[:, None], i=stages))
    _same(study, "L_i", found[:, stages], lost, "descent of two points of the corpus, m = 1 … 1000, i ≤ 1000")
    for each, path in zip(sizes[[0, 9]].tolist(), found[[0, 9]], strict=True):
        times = (1000, 2000, 4000)
        limit = 1 - float(theory.staged_factor(each))
        study.limit(
            f"L_i → 1/(2m + 1), m = {each}", times, path[list(times)].tolist(), limit, 1.05 * limit, order=1.0,
            change=_LARGER, setting="descent of two points of the corpus, i = 1000 … 4000",
        )  # fmt: skip
    end = 1 / (2 * sizes[:, None] + 1)
    study.everywhere(
        "L_i decreases to 1/(2m + 1)", np.concatenate([found - end, -np.diff(found, axis=1)], axis=1),
        found - 1.05 * end, change="limit 5 % larger", setting="descent of two points, m = 1 … 1000, i ≤ 4000",
    )  # fmt: skip


# ----------------------------------------------------------------------------------------------- fresh-mix


def _chain_moments(n: int, prob0: float, fraction: float, t: int | None) -> tuple[float, float]:
    """Mean heterozygosity and variance of the probability, of two classes at generation t, or in the long run."""
    chain = TwoClassChain(n, prob0, fraction=fraction)
    masses = chain.stationary_distribution() if t is None else chain.distribution(t)
    probs = chain.model_probs
    return float(masses @ (2 * probs * (1 - probs))), float(masses @ (probs - prob0) ** 2)


@check("fresh-mix")
def categorical(study: Study) -> None:
    """Mean heterozygosity of five classes over the recursion, by counts and by points."""
    model = Categorical([0.4, 0.3, 0.15, 0.1, 0.05])
    n, t, fraction, replicates = 20, 8, 0.05, study.size(24_000, 300_000)
    name = f"n = {n}, α = {fraction}, t = {t}"
    predicted = theory.fresh_mix_heterozygosity(n, fraction, model.heterozygosity(), t=t)
    for sampler, drawn in (("auto", "counts"), ("points", "every point")):
        run = study.simulate(
            model, CrossEntropy(), n_samples=n, generations=t, replicates=replicates, regime=FreshMix(fraction),
            metrics=["heterozygosity"], sampler=sampler,
        )  # fmt: skip
        sample = run.metrics["heterozygosity"][:, t]
        _mean(study, f"E H_t, {name}, {drawn} drawn", sample, predicted, f"recursion of five classes, {name}")


@check("fresh-mix")
def exact_chain(study: Study) -> None:
    """Moments of two classes at every t and in the long run, and their Beta law, against the exact chain."""
    cases = [(20, 0.3, 0.02), (50, 0.5, 0.1), (100, 0.3, 0.01), (7, 0.1, 0.3), (200, 0.05, 0.004)]
    times = (1, 5, 25, 100)
    found = [[_chain_moments(*case, t)[0] for t in times] for case in cases]
    predicted = [
        [float(theory.fresh_mix_heterozygosity(n, share, 2 * p * (1 - p), t=t)) for t in times] for n, p, share in cases
    ]
    _same(study, "E H_t", found, predicted, "exact chain of two classes, n = 7 … 200, t = 1 … 100")
    long_run = np.array([_chain_moments(*case, None) for case in cases])
    limits = [float(theory.fresh_mix_heterozygosity(n, share, 2 * p * (1 - p))) for n, p, share in cases]
    setting = "stationary law of the exact chain, n = 7 … 200"
    _same(study, "E H_∞", long_run[:, 0], limits, setting)
    beta = [stats.beta(*theory.fresh_mix_beta(n, share, p)) for n, p, share in cases]
    _same(study, "stationary variance", long_run[:, 1], [float(law.var()) for law in beta], setting)
    thetas = [float(theory.fresh_mix_theta(n, share)) for n, _, share in cases]
    implied = [p * (1 - p) / v - 1 for (_, p, _), v in zip(cases, long_run[:, 1], strict=True)]
    _same(study, "θ", implied, thetas, "from the stationary variance of the exact chain")
    prob0, strength, sizes = 0.3, 1.0, (50, 100, 200, 400)  # strength n α
    thirds = []
    for n in sizes:
        chain = TwoClassChain(n, prob0, fraction=strength / n)
        thirds.append(float(chain.stationary_distribution() @ chain.model_probs**3))
    right, wrong = (
        float(stats.beta(2 * c * prob0, 2 * c * (1 - prob0)).moment(3)) for c in (strength, 1.05 * strength)
    )
    study.limit(
        "E p³ of the stationary law, n α = 1", sizes, thirds, right, wrong, order=1.0,
        change="n α 5 % larger in the Beta law", setting="exact chain of two classes, p_0 = 0.3, n = 50 … 400",
    )  # fmt: skip


@check("fresh-mix")
def fresh_number(study: Study) -> None:
    """Show that a fixed number of fresh points leaves another variance than a random one."""
    rng = study.generator()
    n, prob0, replicates = 2, 0.3, study.size(40_000, 400_000)
    predicted = prob0 * (1 - prob0) / (1 + float(theory.fresh_mix_theta(n, 0.5)))
    fixed = random = np.full(replicates, prob0)
    for _ in range(30):
        fixed = (rng.binomial(1, fixed) + rng.binomial(1, prob0, replicates)) / n
        random = rng.binomial(n, (random + prob0) / 2) / n
    slack = [0.05 - abs(float(((side - prob0) ** 2).mean()) / predicted - 1) for side in (fixed, random)]
    study.counterexample(
        "stationary variance p_0(1 − p_0)/(1 + θ)", *slack, hypothesis="each point fresh with probability α",
        setting="one fresh point of two, p_0 = 0.3, t = 30; slack: 5 % less the relative distance",
    )  # fmt: skip


@check("fresh-mix")
def gaussian_recursion(study: Study) -> None:
    """Mean variance and squared shift of a Gaussian over all generations of the recursion, for each fit."""
    n, fraction, t = 20, 0.3, 100
    ages = np.arange(1, t + 1)
    for fit_mean, ddof, replicates in ((True, 0, 26_000), (True, 1, 26_000), (False, 0, 8000)):
        replicates = study.size(replicates, 4 * replicates)
        run = study.simulate(
            Gaussian(1.0, 2.0, fit_mean=fit_mean, ddof=ddof), CrossEntropy(), n_samples=n, generations=t,
            replicates=replicates, regime=FreshMix(fraction), metrics=["std", "mean"],
        )  # fmt: skip
        moments = theory.fresh_mix_gaussian_moments(n, fraction, t=ages, fit_mean=fit_mean, ddof=ddof)
        variance = (run.metrics["std"][:, 1:] ** 2).mean(axis=1) / 4
        shift = ((run.metrics["mean"][:, 1:] - 1) ** 2).mean(axis=1) / 4
        fit = f"ddof {ddof}" if fit_mean else "mean known"
        name = f"{fit}, n = {n}, α = {fraction}, t = 1 … {t}"
        setting = f"recursion, means over the generations of a replicate, {name}"
        _mean(study, f"E σ_t²/σ_0², {name}", variance, np.mean(moments.variance), setting)
        if fit_mean:
            _mean(study, f"E (μ_t − μ_0)²/σ_0², {name}", shift, np.mean(moments.squared_shift), setting)
    run = study.simulate(
        Gaussian(1.0, 2.0), CrossEntropy(), n_samples=n, generations=t, replicates=study.size(7000, 40_000),
        regime=FreshMix(fraction), metrics=["mean"], sampler="points",
    )  # fmt: skip
    shift = ((run.metrics["mean"][:, 1:] - 1) ** 2).mean(axis=1) / 4
    predicted = float(np.mean(theory.fresh_mix_gaussian_moments(n, fraction, t=ages).squared_shift))
    name = f"ddof 0, n = {n}, α = {fraction}, t = 1 … {t}, every point drawn"
    study.equal(
        f"E (μ_t − μ_0)²/σ_0², {name}", mean_of(shift), predicted, 1.1 * predicted, change="10 % larger",
        setting=f"recursion, means over the generations of a replicate, {name}", size=shift.size,
    )  # fmt: skip


def _moment_map(n: int, fraction: float, ddof: int) -> tuple[np.ndarray, np.ndarray]:
    """Matrix and constant of the recursion of (s, m), from quadrature of the mixture at three models; σ_0 = 1."""
    z, weight = np.polynomial.hermite_e.hermegauss(20)
    weight = weight / weight.sum()

    def following(variance: float, squared_shift: float) -> np.ndarray:
        points = np.concatenate([math.sqrt(squared_shift) + math.sqrt(variance) * z, z])
        weights = np.concatenate([(1 - fraction) * weight, fraction * weight])
        mean = weights @ points
        spread = weights @ (points - mean) ** 2
        # of the mean and the variance of n independent points
        return np.array([spread * (n - 1) / (n - ddof), mean**2 + spread / n])

    constant = following(0.0, 0.0)
    return np.column_stack([following(1.0, 0.0) - constant, following(0.0, 1.0) - constant]), constant


@check("fresh-mix")
def gaussian_moments(study: Study) -> None:
    """Moments at every t and in the limit, and the critical fraction, by quadrature of the mixture."""
    rng = study.generator()
    count = study.size(30, 300)
    n, share = rng.integers(2, 200, count), rng.uniform(0.02, 0.9, count)
    share = np.where(rng.random(count) < 0.3, share / n, share)  # some below the critical fraction
    times = (1, 3, 10, 40)
    setting = "n < 200 and α at random, by quadrature of the mixture"
    for ddof in (0, 1):
        found = np.array([_iterated(int(a), float(b), ddof, times) for a, b in zip(n, share, strict=True)])
        predicted = theory.fresh_mix_gaussian_moments(n[:, None], share[:, None], t=np.array(times), ddof=ddof)
        _same(study, f"E σ_t²/σ_0², ddof {ddof}", found[..., 0], predicted.variance, f"{setting}, t = 1 … 40")
        _same(study, f"E (μ_t − μ_0)²/σ_0², ddof {ddof}", found[..., 1], predicted.squared_shift, setting)
        if ddof == 0:
            _same(study, "E σ_t² + E (μ_t − μ_0)² over σ_0², ddof 0", found.sum(axis=-1),
                  np.ones(found.shape[:2]), setting)  # fmt: skip
    above = np.asarray(theory.fresh_mix_critical_fraction(n)) * 1.1 + 0.9 * rng.random(count) * 0.5
    ends = np.array([_fixed_point(int(a), float(b)) for a, b in zip(n, above, strict=True)])
    limit = theory.fresh_mix_gaussian_moments(n, above, ddof=1)
    _same(study, "E σ_∞²/σ_0², ddof 1", ends[:, 0], limit.variance, "fixed point by quadrature, α above α_c at random")
    _same(study, "E (μ_∞ − μ_0)²/σ_0², ddof 1", ends[:, 1], limit.squared_shift,
          "fixed point by quadrature, α above α_c at random")  # fmt: skip
    critical = [
        optimize.brentq(lambda a, size=size: _growth(size, a) - 1, 0.02 / size, 0.9, xtol=1e-14)
        for size in n[:15].tolist()
    ]  # fmt: skip
    _same(study, "α_c", critical, theory.fresh_mix_critical_fraction(n[:15]), "largest eigenvalue 1, by quadrature",
          tolerance=1e-8)  # fmt: skip
    ages = tuple(range(1, 200))
    slack = [10 - _iterated(2, fraction, 1, ages)[:, 0] for fraction in (0.1, 0.3)]
    study.counterexample(
        "E σ_t² < 10 σ_0² with fresh data", *slack, hypothesis="α above α_c = 0.219",
        setting="ddof 1, n = 2, α = 0.1 against α = 0.3, t < 200, by quadrature",
    )  # fmt: skip


def _iterated(n: int, fraction: float, ddof: int, times: tuple[int, ...]) -> np.ndarray:
    """Return (s, m) at the given generations."""
    matrix, constant = _moment_map(n, fraction, ddof)
    state, path = np.array([1.0, 0.0]), []
    for t in range(1, times[-1] + 1):
        state = matrix @ state + constant
        if t in times:
            path.append(state)
    return np.array(path)


def _fixed_point(n: int, fraction: float) -> np.ndarray:
    matrix, constant = _moment_map(n, fraction, 1)
    return np.linalg.solve(np.eye(2) - matrix, constant)


def _growth(n: int, fraction: float) -> float:
    """Largest eigenvalue of the recursion of (s, m) with ddof 1, the factor of its fastest growth."""
    return float(np.linalg.eigvals(_moment_map(n, fraction, 1)[0]).real.max())
