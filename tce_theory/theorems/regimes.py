"""Statements: regimes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]


def _symbols(sp: Any, names: str) -> Any:
    """Positive integers."""
    return sp.symbols(names, integer=True, positive=True)


def _accumulate_product(sp: Any) -> Any:
    t, n, i = _symbols(sp, "t n i")
    return sp.Eq(sp.Function("r")(t), sp.Product(1 - 1 / (n * i**2), (i, 1, t)))


def _accumulate_closed(sp: Any) -> Any:
    t, n = _symbols(sp, "t n")
    z = 1 / sp.sqrt(n)
    ratio = sp.gamma(t + 1 + z) * sp.gamma(t + 1 - z) / sp.gamma(t + 1) ** 2
    return sp.Eq(sp.Function("r")(t), sp.sin(sp.pi * z) / (sp.pi * z) * ratio)


def _accumulate_limit(sp: Any) -> Any:
    n = _symbols(sp, "n")
    return sp.Eq(sp.Function("r")(sp.oo), sp.sin(sp.pi / sp.sqrt(n)) / (sp.pi / sp.sqrt(n)))


def _regression_replace(sp: Any) -> Any:
    t, n, d = _symbols(sp, "t n d")
    noise_std = sp.Symbol("noise_std", positive=True)
    return sp.Eq(sp.Function("error")(t), t * noise_std**2 * d / (n - d - 1))


def _regression_accumulate(sp: Any) -> Any:
    t, n, d, i = _symbols(sp, "t n d i")
    noise_std = sp.Symbol("noise_std", positive=True)
    return sp.Eq(sp.Function("error")(t), noise_std**2 * d / (n - d - 1) * sp.Sum(1 / i**2, (i, 1, t)))


def _regression_limit(sp: Any) -> Any:
    n, d = _symbols(sp, "n d")
    noise_std = sp.Symbol("noise_std", positive=True)
    return sp.Eq(sp.Function("error")(sp.oo), sp.pi**2 / 6 * noise_std**2 * d / (n - d - 1))


def _subsample_limit(constant: Callable[[Any], Any]) -> Callable[[Any], Any]:
    def relation(sp: Any) -> Any:
        n, std = _symbols(sp, "n"), sp.Symbol("std", positive=True)
        return sp.Eq(sp.Function("leading")(n), constant(sp) * std**2 / n)

    return relation


def _subsample_one_point(sp: Any) -> Any:
    t, std = _symbols(sp, "t"), sp.Symbol("std", positive=True)
    return sp.Eq(sp.Function("V")(t), std**2 * sp.harmonic(t))


def _golden_variance(sp: Any) -> Any:
    n, t = _symbols(sp, "n t")
    w, k, std = sp.symbols("w k std", positive=True)
    limit = std**2 / n * (k * (1 - w) ** 2 + w**2) / (w * (2 - w))
    return sp.Eq(sp.Function("V")(t), limit * (1 - (1 - w) ** (2 * t)))


def _golden_limit(sp: Any) -> Any:
    n = _symbols(sp, "n")
    w, k, std = sp.symbols("w k std", positive=True)
    return sp.Eq(sp.Function("V")(sp.oo), std**2 / n * (k * (1 - w) ** 2 + w**2) / (w * (2 - w)))


def _golden_weight(sp: Any) -> Any:
    k = sp.Symbol("k", positive=True)
    return sp.Eq(sp.Function("w")(k), (sp.sqrt(k**2 + 4 * k) - k) / 2)


def _golden_least(sp: Any) -> Any:
    n = _symbols(sp, "n")
    k, std = sp.symbols("k std", positive=True)
    return sp.Eq(sp.Function("least")(k), (sp.sqrt(k**2 + 4 * k) - k) / 2 * std**2 / n)


def _staged_real(sp: Any) -> Any:
    i = sp.Symbol("i", integer=True, nonnegative=True)
    return sp.Eq(sp.Function("r")(i), 1 / (i + 1))


def _staged_corpus(sp: Any) -> Any:
    i, stages = sp.Symbol("i", integer=True, nonnegative=True), _symbols(sp, "stages")
    return sp.Eq(sp.Function("c")(i), (i + 1) / stages)


def _staged_loss(sp: Any) -> Any:
    i, m = sp.Symbol("i", integer=True, nonnegative=True), _symbols(sp, "m")
    loss = sp.Function("L")
    return sp.Eq((i + 2) ** 2 * loss(i + 1), (i + 1) * (i + 1 - 1 / m) * loss(i) + (i + 2) / m)


def _staged_limit(sp: Any) -> Any:
    m = _symbols(sp, "m")
    return sp.Eq(sp.Function("L")(sp.oo), 1 / (2 * m + 1))


_ACCUMULATE = Theorem(
    slug="accumulate",
    title="Keeping all data so far stops the collapse at a finite distance",
    hypotheses=(
        r"Cross entropy. $n \ge 1$ points are drawn from every model, the truth $p_0$ first, and all are kept: "
        r"generation $t$ is fitted to the $tn$ points drawn from generations $0, \ldots, t - 1$.",
        r"The fit has the mean and the variance of its data: a Gaussian with fitted mean and ddof $= 0$ (in any "
        r"dimension), or a categorical model.",
        r"Linear regression: a design of $n \ge d + 2$ rows with $d$ independent standard normal entries each, the "
        r"same for all fits; labels $Xw + e$ with the $w$ of the truth for the first fit and of the last fit for the "
        r"next, and fresh noise $e$, independent of $X$ and of all before, with independent entries of mean 0 and "
        r"variance $\sigma^2$. The excess test error after $t$ fits is $\mathbb{E}|w_t - "
        r"w|^2$.",
    ),
    claims=(
        Claim(
            name="product",
            statement=r"$\mathbb{E}\,\sigma_t^2 = r_t\,\sigma_0^2$ with $r_t = \prod_{i=1}^{t}\left(1 - \frac{1}{n "
            r"i^2}\right)$, and $\mathbb{E}\,\sigma_t^2 + \mathrm{Var}\,\mu_t = \sigma_0^2$ at every $t$.",
            relation=_accumulate_product,
            function="theory.regimes.accumulate_factor",
        ),
        Claim(
            name="closed-form",
            statement=r"With $z = 1/\sqrt{n}$, $n \ge 2$: $r_t = \frac{\sin \pi z}{\pi "
            r"z}\,\frac{\Gamma(t+1+z)\,\Gamma(t+1-z)}{\Gamma(t+1)^2}$.",
            relation=_accumulate_closed,
            function="theory.regimes.accumulate_factor",
        ),
        Claim(
            name="limit",
            statement=r"$r_t$ decreases to $r_\infty = \frac{\sin(\pi/\sqrt{n})}{\pi/\sqrt{n}}$: 0 for $n = 1$, else "
            r"positive.",
            relation=_accumulate_limit,
            function="theory.regimes.accumulate_factor",
        ),
        Claim(
            name="heterozygosity",
            statement=r"Categorical: $\mathbb{E} H_t = r_t H_0$ for $H = 1 - \sum_i p_i^2$.",
        ),
        Claim(
            name="regression-replace",
            statement=r"Linear regression on the labels of the last fit alone: the excess test error is "
            r"$\frac{t\,\sigma^2 d}{n - d - 1}$.",
            relation=_regression_replace,
            function="theory.regimes.regression_replace_error",
        ),
        Claim(
            name="regression-accumulate",
            statement=r"On all labels so far: $\frac{\sigma^2 d}{n - d - 1} \sum_{i=1}^{t} \frac{1}{i^2}$.",
            relation=_regression_accumulate,
            function="theory.regimes.regression_accumulate_error",
        ),
        Claim(
            name="regression-limit",
            statement=r"The latter increases to $\frac{\pi^2}{6}$ times the error of one fit.",
            relation=_regression_limit,
            function="theory.regimes.regression_accumulate_error",
        ),
    ),
    status=Status.PROVED,
    source="the regime and the regression after Gerstgrasser et al. (2024), Gaussians after Kazdan et al. (2024); "
    "heterozygosity: this project",
)

_ACCUMULATE_SUBSAMPLE = Theorem(
    slug="accumulate-subsample",
    title="A fixed number of points, at least two, from all data so far: the variance of a mean stays bounded",
    hypotheses=(
        r"Location model: the known variance is $\sigma^2$, and $\theta_t$ is the mean of $n$ points, $n \ge 2$ unless "
        r"said otherwise; $\theta_0$ is the truth.",
        r"Stored: $n$ points are drawn from each of the models $0, \ldots, t - 1$ and kept; $\theta_t$ is the mean of "
        r"$n$ points drawn from these $tn$, without or with replacement.",
        r"Mixture: $\theta_t$ is the mean of $n$ fresh points from the equal mixture of the models $0, \ldots, t - 1$.",
    ),
    claims=(
        Claim(
            name="finite",
            statement=r"With $S_t = \sum_{i=1}^{t} 1/i^2$, $\frac{n}{\sigma^2}\,\mathbb{E}(\theta_t - \theta_0)^2$ is "
            r"$3S_t - 2$ without replacement, $2S_t$ with replacement and $S_t$ for the mixture, with an error of at "
            r"most $\frac{9}{4(n-1)}$ at every $t \ge 1$.",
            function="theory.regimes.accumulate_subsample_variance",
        ),
        Claim(
            name="without-replacement",
            statement=r"As $t \to \infty$ the variance converges; without replacement its limit is "
            r"$\left(\frac{\pi^2}{2} - 2\right)\frac{\sigma^2}{n}$ up to $\frac{9\,\sigma^2}{4n(n-1)}$.",
            relation=_subsample_limit(lambda sp: sp.pi**2 / 2 - 2),
            function="theory.regimes.accumulate_subsample_limit",
        ),
        Claim(
            name="with-replacement",
            statement=r"With replacement the limit is $\frac{\pi^2}{3}\,\frac{\sigma^2}{n}$, with the same error.",
            relation=_subsample_limit(lambda sp: sp.pi**2 / 3),
        ),
        Claim(
            name="mixture",
            statement=r"For the mixture it is $\frac{\pi^2}{6}\,\frac{\sigma^2}{n}$, with the same error.",
            relation=_subsample_limit(lambda sp: sp.pi**2 / 6),
        ),
        Claim(
            name="one-point",
            statement=r"With $n = 1$ the variance is $\sigma^2 \sum_{i=1}^{t} 1/i$ in all three cases: not bounded.",
            relation=_subsample_one_point,
            function="theory.regimes.accumulate_subsample_variance",
        ),
    ),
    status=Status.PROVED,
    source="the regime after Kazdan et al. (2024); the constants and their error: this project",
)

_GOLDEN_MIX = Theorem(
    slug="golden-mix",
    title="The best fixed weight of fresh data is given by the golden ratio",
    hypotheses=(
        r"Location model with known variance $\sigma^2$: $\theta_{t+1} = (1 - w)\,\bar x + w\,\bar y$, $0 < w \le 1$, "
        r"with $\bar x$ the mean of $n/k$ points from generation $t$ and $\bar y$ that of $n$ fresh points from the "
        r"truth $\theta_0$, all independent given $\theta_t$; $k > 0$ is the number of fresh over that of synthetic "
        r"points, both positive integers.",
    ),
    claims=(
        Claim(
            name="variance",
            statement=r"$\mathbb{E}(\theta_t - \theta_0)^2 = V_\infty\left(1 - (1-w)^{2t}\right)$ with $V_\infty$ as "
            r"follows.",
            relation=_golden_variance,
            function="theory.regimes.golden_mix_variance",
        ),
        Claim(
            name="limit",
            statement=r"$V_\infty = \frac{\sigma^2}{n}\,\frac{k(1-w)^2 + w^2}{w(2-w)}$.",
            relation=_golden_limit,
            function="theory.regimes.golden_mix_variance",
        ),
        Claim(
            name="weight",
            statement=r"$V_\infty$ is least at $w^* = \frac{\sqrt{k^2 + 4k} - k}{2}$ and nowhere else; with as many "
            r"fresh as synthetic points this is $\frac{\sqrt{5} - 1}{2}$.",
            relation=_golden_weight,
            function="theory.regimes.golden_mix_weight",
        ),
        Claim(
            name="least",
            statement=r"The least limiting variance is $w^*\,\frac{\sigma^2}{n}$, below that of the fresh points "
            r"alone.",
            relation=_golden_least,
        ),
        Claim(
            name="convention",
            statement=r"$k$ cannot be read as the number of synthetic over that of fresh points: with four synthetic "
            r"points for each fresh one and $w = 1/2$ the variance tends to $\frac{5}{12}\,\frac{\sigma^2}{n}$, the "
            r"formula at $k = 1/4$, and not to $\frac{5}{3}\,\frac{\sigma^2}{n}$, the formula at $k = 4$.",
        ),
    ),
    status=Status.PROVED,
    source="after He et al. (2025); the variance of every generation: this project",
)

_STAGED = Theorem(
    slug="staged",
    title="The staged schedule: a growing corpus with a shrinking share of real data",
    hypotheses=(
        r"The real data are cut into $N$ equal fractions of $m$ points. Stage 0 trains on the first; stage $i$ trains "
        r"on the corpus of stage $i - 1$, every point of it regenerated by the model of stage $i - 1$, and the next "
        r"fraction.",
        r"For the heterozygosity $H = 1 - \sum_i p_i^2$: cross entropy on a categorical model, real points "
        r"independent with law $p_0$, regenerated points independent given the model. For the variance: the same "
        r"with a Gaussian, mean fitted and ddof $= 0$.",
    ),
    claims=(
        Claim(
            name="real-share",
            statement=r"The share of real data in the corpus of stage $i$ is $\frac{1}{i+1}$, and that of data "
            r"regenerated $j$ times is the same for every $j \le i$.",
            relation=_staged_real,
            function="theory.regimes.staged_real_share",
        ),
        Claim(
            name="corpus",
            statement=r"The corpus of stage $i$ is $\frac{i+1}{N}$ of the size of all real data.",
            relation=_staged_corpus,
            function="theory.regimes.staged_corpus_share",
        ),
        Claim(
            name="heterozygosity",
            statement=r"$L_i = 1 - \mathbb{E} H_i/H_0$ has $L_0 = \frac{1}{m}$ and $(i+2)^2 L_{i+1} = (i+1)\left(i + "
            r"1 - \frac{1}{m}\right) L_i + \frac{i+2}{m}$. The same holds for $L_i = 1 - "
            r"\mathbb{E}\,\sigma_i^2/\sigma_0^2$ of a Gaussian.",
            relation=_staged_loss,
            function="theory.regimes.staged_factor",
        ),
        Claim(
            name="limit",
            statement=r"With ever new fractions $L_i$ decreases to $\frac{1}{2m+1}$: about half of what one fraction "
            r"alone loses. The share of real data tends to 0, and nothing collapses.",
            relation=_staged_limit,
        ),
    ),
    status=Status.PROVED,
    source="the schedule: ForTIFAI (arXiv 2509.08972); its heterozygosity: this project",
)


def _fresh_symbols(sp: Any) -> tuple[Any, Any, Any, Any]:
    n, t = sp.Symbol("n", positive=True, integer=True), sp.Symbol("t", nonnegative=True, integer=True)
    fraction, initial = sp.Symbol("fraction", positive=True), sp.Symbol("heterozygosity0", nonnegative=True)
    return n, t, fraction, initial


def _fresh_theta(sp: Any) -> Any:
    n, _, fraction, _ = _fresh_symbols(sp)
    return sp.Eq(sp.Symbol("theta"), (n - 1) * fraction * (2 - fraction))


def _fresh_transient(sp: Any) -> Any:
    n, t, fraction, initial = _fresh_symbols(sp)
    theta, rate = (n - 1) * fraction * (2 - fraction), (1 - 1 / n) * (1 - fraction) ** 2
    return sp.Eq(sp.Function("H")(t), initial * (theta + rate**t) / (1 + theta))


def _fresh_limit(sp: Any) -> Any:
    n, _, fraction, initial = _fresh_symbols(sp)
    theta = (n - 1) * fraction * (2 - fraction)
    return sp.Eq(sp.Function("H")(sp.oo), initial * theta / (1 + theta))


def _fresh_beta_variance(sp: Any) -> Any:
    n, _, fraction, _ = _fresh_symbols(sp)
    prob0 = sp.Symbol("prob0", positive=True)
    return sp.Eq(sp.Function("Var")(sp.oo), prob0 * (1 - prob0) / (1 + (n - 1) * fraction * (2 - fraction)))


def _fresh_gaussian_mixture(sp: Any) -> Any:
    _, t, fraction, _ = _fresh_symbols(sp)
    s, m = sp.Function("s"), sp.Function("m")
    return (1 - fraction) * s(t) + fraction + fraction * (1 - fraction) * m(t)


def _fresh_gaussian_variance(sp: Any) -> Any:
    n, t, _, _ = _fresh_symbols(sp)
    ddof = sp.Symbol("ddof", nonnegative=True, integer=True)
    return sp.Eq(sp.Function("s")(t + 1), _fresh_gaussian_mixture(sp) * (n - 1) / (n - ddof))


def _fresh_gaussian_shift(sp: Any) -> Any:
    n, t, fraction, _ = _fresh_symbols(sp)
    m = sp.Function("m")
    return sp.Eq(m(t + 1), (1 - fraction) ** 2 * m(t) + _fresh_gaussian_mixture(sp) / n)


def _fresh_critical(sp: Any) -> Any:
    n, _, _, _ = _fresh_symbols(sp)
    return sp.Eq(sp.Symbol("alpha_c"), (2 * n + 1 - sp.sqrt(4 * n**2 + 1)) / (2 * n))


def _fresh_unbiased_shift(sp: Any) -> Any:
    n, _, fraction, _ = _fresh_symbols(sp)
    return sp.Eq(sp.Function("m")(sp.oo), 1 / (n * fraction * (2 - fraction) - (1 - fraction)))


def _fresh_unbiased_variance(sp: Any) -> Any:
    _, _, fraction, _ = _fresh_symbols(sp)
    return sp.Eq(sp.Function("s")(sp.oo), 1 + (1 - fraction) * _fresh_unbiased_shift(sp).rhs)


_FRESH_MIX = Theorem(
    slug="fresh-mix",
    title="A share of fresh data in every generation stops the drift at a finite distance",
    hypotheses=(
        r"Cross entropy. Each point of generation $t + 1$ is drawn from generation 0 with probability $\alpha$ "
        r"(`fraction`), else from generation $t$, independently: $n$ points from $(1 - \alpha) p_t + \alpha p_0$.",
        r"Categorical: $H = 1 - \sum_i p_i^2$; $\theta = (n - 1)\, \alpha\, (2 - \alpha)$, $\lambda = (1 - 1/n)(1 - "
        r"\alpha)^2$.",
        r"Gaussian: the mean is fitted, $n \ge 2$, unless said otherwise; $s_t = \mathbb{E} \sigma_t^2/\sigma_0^2$, "
        r"$m_t = \mathbb{E} (\mu_t - \mu_0)^2/\sigma_0^2$.",
    ),
    claims=(
        Claim(
            name="theta",
            statement=r"$\theta = (n - 1)\, \alpha\, (2 - \alpha)$ measures fresh data against sampling noise.",
            relation=_fresh_theta,
            function="theory.regimes.fresh_mix_theta",
        ),
        Claim(
            name="transient",
            statement=r"$\mathbb{E} H_t = H_0\, \frac{\theta + \lambda^t}{1 + \theta}$ for every $t \ge 0$.",
            relation=_fresh_transient,
            function="theory.regimes.fresh_mix_heterozygosity",
        ),
        Claim(
            name="limit",
            statement=r"$\mathbb{E} H_t \to H_0\, \frac{\theta}{1 + \theta}$: .2785906198… for $n = 100$, $\alpha = "
            r".01$, $p_0 = (.3, .7)$.",
            relation=_fresh_limit,
            function="theory.regimes.fresh_mix_heterozygosity",
        ),
        Claim(
            name="beta-variance",
            statement=r"Two classes, $\alpha > 0$, $0 < p_0 < 1$: the stationary law of $p$ has mean $p_0$ and "
            r"variance $p_0 (1 - p_0)/(1 + \theta)$ at every $n$; for $n \ge 2$ these are those of Beta($\theta p_0$, "
            r"$\theta (1 - p_0)$).",
            relation=_fresh_beta_variance,
            function="theory.regimes.fresh_mix_beta",
        ),
        Claim(
            name="beta-law",
            statement=r"As $n \to \infty$ with $n\alpha$ fixed, it tends to Beta($2n\alpha p_0$, $2n\alpha (1 - "
            r"p_0)$), and $\theta/(2n\alpha) \to 1$.",
            status=Status.DIFFUSION_LIMIT,
            function="theory.regimes.fresh_mix_beta",
        ),
        Claim(
            name="gaussian-variance",
            statement=r"With $v = (1 - \alpha) s + \alpha + \alpha (1 - \alpha) m$, the variance of the mixture, $s' "
            r"= v\, \frac{n - 1}{n - \mathrm{ddof}}$.",
            relation=_fresh_gaussian_variance,
            function="theory.regimes.fresh_mix_gaussian_moments",
        ),
        Claim(
            name="gaussian-shift",
            statement=r"And $m' = (1 - \alpha)^2 m + v/n$.",
            relation=_fresh_gaussian_shift,
            function="theory.regimes.fresh_mix_gaussian_moments",
        ),
        Claim(
            name="gaussian-ml",
            statement=r"Maximum likelihood (`ddof` 0): $s_t + m_t = 1$ at every $t$, and $s_t = \frac{\theta + "
            r"\lambda^t}{1 + \theta}$, as the heterozygosity.",
        ),
        Claim(
            name="gaussian-known-mean",
            statement=r"With a known mean (which is not fitted) $s_t = 1$ at every $t$.",
        ),
        Claim(
            name="critical-fraction",
            statement=r"`ddof` 1: $s_t$ and $m_t$ stay bounded if and only if $\alpha > \alpha_c$, the root of $n "
            r"\alpha (2 - \alpha) = 1 - \alpha$, about $1/(2n)$; else $m_t \to \infty$, and $s_t \to \infty$ too "
            r"unless $\alpha = 0$.",
            relation=_fresh_critical,
            function="theory.regimes.fresh_mix_critical_fraction",
        ),
        Claim(
            name="unbiased-shift",
            statement=r"`ddof` 1 and $\alpha > \alpha_c$: $m_t \to m_\infty = \frac{1}{n \alpha (2 - \alpha) - (1 - "
            r"\alpha)}$.",
            relation=_fresh_unbiased_shift,
            function="theory.regimes.fresh_mix_gaussian_moments",
        ),
        Claim(
            name="unbiased-variance",
            statement=r"`ddof` 1 and $\alpha > \alpha_c$: $s_t \to 1 + (1 - \alpha)\, m_\infty$.",
            relation=_fresh_unbiased_variance,
            function="theory.regimes.fresh_mix_gaussian_moments",
        ),
        Claim(
            name="any-share",
            statement=r"*Any share of fresh data keeps the variance bounded.* Not the mean variance with `ddof` 1: "
            r"for $n = 2$, $\alpha = 1/10$ it grows by a factor that tends to 1.08 a generation.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="Wright (1931) with parent-independent mutation; Gaussian moments: this project",
    depends_on=("wright-fisher",),
)

THEOREMS: tuple[Theorem, ...] = (_ACCUMULATE, _ACCUMULATE_SUBSAMPLE, _GOLDEN_MIX, _STAGED, _FRESH_MIX)
