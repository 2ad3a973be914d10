"""Gaussian model under cross entropy: the statements."""

from __future__ import annotations

from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]

# ddof is a symbol with the values 0 and 1, as the parameter of the functions


def _size(sp: Any) -> Any:
    return sp.Symbol("n", integer=True, positive=True)


def _arguments(sp: Any) -> tuple[Any, Any, Any, Any]:
    t = sp.Symbol("t", integer=True, nonnegative=True)
    return t, _size(sp), sp.Symbol("std", positive=True), sp.Symbol("ddof", integer=True, nonnegative=True)


def _mean(sp: Any, what: Any) -> Any:
    return sp.Function("E")(what)


def _variance_of(sp: Any, what: Any) -> Any:
    return sp.Function("Var")(what)


def _std_factor(sp: Any, n: Any, ddof: Any) -> Any:
    return sp.sqrt(2) / sp.sqrt(n - ddof) * sp.gamma(n / 2) / sp.gamma((n - 1) / 2)


def _known_mean_factor(sp: Any, n: Any) -> Any:
    return sp.sqrt(2) / sp.sqrt(n) * sp.gamma((n + 1) / 2) / sp.gamma(n / 2)


def _drift(sp: Any) -> Any:
    _, n, _, ddof = _arguments(sp)
    return sp.Eq(_mean(sp, sp.Symbol("xi")), sp.digamma((n - 1) / 2) + sp.log(2 / (n - ddof)))


def _known_mean_drift(sp: Any) -> Any:
    n = _size(sp)
    return sp.Eq(_mean(sp, sp.Symbol("xi")), sp.digamma(n / 2) + sp.log(2 / n))


def _step_variance(sp: Any) -> Any:
    n = _size(sp)
    return sp.Eq(_variance_of(sp, sp.Symbol("xi")), sp.polygamma(1, (n - 1) / 2))


def _variance(sp: Any) -> Any:
    t, n, std, ddof = _arguments(sp)
    return sp.Eq(_mean(sp, sp.Symbol("sigma_t") ** 2), std**2 * ((n - 1) / (n - ddof)) ** t)


def _factor(sp: Any) -> Any:
    _, n, _, ddof = _arguments(sp)
    return sp.Eq(sp.Function("f")(n, ddof), _std_factor(sp, n, ddof))


def _alpha(sp: Any) -> Any:
    n = _size(sp)
    return sp.Eq(sp.Function("alpha")(n), _std_factor(sp, n, 1))


def _std(sp: Any) -> Any:
    t, n, std, ddof = _arguments(sp)
    return sp.Eq(_mean(sp, sp.Symbol("sigma_t")), std * _std_factor(sp, n, ddof) ** t)


def _known_mean_std(sp: Any) -> Any:
    t, n, std, _ = _arguments(sp)
    return sp.Eq(_mean(sp, sp.Symbol("sigma_t")), std * _known_mean_factor(sp, n) ** t)


def _location(sp: Any) -> Any:
    t, n, std, ddof = _arguments(sp)
    relative = sp.Piecewise((1 - (1 - 1 / n) ** t, sp.Eq(ddof, 0)), (t / n, True))
    return sp.Eq(_variance_of(sp, sp.Symbol("mu_t")), std**2 * relative)


def _spread(sp: Any) -> Any:
    t, n, std, ddof = _arguments(sp)
    second, mean = (n - 1) * (n + 1) / (n - ddof) ** 2, (n - 1) / (n - ddof)
    return sp.Eq(_variance_of(sp, sp.Symbol("sigma_t") ** 2), std**4 * (second**t - mean ** (2 * t)))


def _w2(sp: Any) -> Any:
    t, n, std, ddof = _arguments(sp)
    power = _std_factor(sp, n, ddof) ** t
    relative = sp.Piecewise((2 - 2 * power, sp.Eq(ddof, 0)), (t / n + 2 - 2 * power, True))
    return sp.Eq(_mean(sp, sp.Symbol("W_2") ** 2), std**2 * relative)


def _known_mean_w2(sp: Any) -> Any:
    t, n, std, _ = _arguments(sp)
    return sp.Eq(_mean(sp, sp.Symbol("W_2") ** 2), 2 * std**2 * (1 - _known_mean_factor(sp, n) ** t))


_CE_LAW = Theorem(
    slug="gaussian-ce-law",
    title="Under cross entropy the log-variance of a Gaussian is a random walk with a negative drift",
    hypotheses=(
        r"Generation 0 is $N(\mu_0, \sigma_0^2)$ with $\sigma_0 > 0$; generation $t + 1$ is fitted to $n$ independent "
        r"points drawn from generation $t$ alone.",
        r"Mean fitted, $n \ge 2$: $\mu_{t+1}$ is the sample mean and $\sigma_{t+1}^2$ the sum of squares around it "
        r"over $n$ (ddof $= 0$, maximum likelihood) or $n - 1$ (ddof $= 1$). Mean known, $n \ge 1$: the mean stays "
        r"$\mu_0$, and $\sigma_{t+1}^2$ is the mean square around it.",
        r"$\nu = n - 1$ and $m = n - \mathrm{ddof}$ if the mean is fitted, $\nu = m = n$ if it is known.",
    ),
    claims=(
        Claim(
            name="step",
            statement=r"$\log\sigma_{t+1}^2 = \log\sigma_t^2 + \xi_{t+1}$ with independent steps that have the law of "
            r"$\log(\chi^2_\nu/m)$, independent of the past. Given the past, a fitted $\mu_{t+1}$ is $N(\mu_t, "
            r"\sigma_t^2/n)$ and independent of $\xi_{t+1}$.",
        ),
        Claim(
            name="drift",
            statement=r"Mean fitted: $\mathbb{E}\,\xi = \psi\left(\frac{n-1}{2}\right) + \log\frac{2}{n - "
            r"\mathrm{ddof}}$.",
            relation=_drift,
            function="theory.gaussian.log_variance_drift",
        ),
        Claim(
            name="drift-known-mean",
            statement=r"Mean known: $\mathbb{E}\,\xi = \psi\left(\frac{n}{2}\right) + \log\frac{2}{n}$.",
            relation=_known_mean_drift,
        ),
        Claim(
            name="step-variance",
            statement=r"$\mathrm{Var}\,\xi = \psi'\left(\frac{\nu}{2}\right)$: with a fitted mean "
            r"$\psi'\left(\frac{n-1}{2}\right)$.",
            relation=_step_variance,
            function="theory.gaussian.log_variance_step_variance",
        ),
        Claim(
            name="log-moments",
            statement=r"$\mathbb{E}\log\sigma_t = \log\sigma_0 + \frac{t}{2}\,\mathbb{E}\,\xi$ and "
            r"$\mathrm{Var}\log\sigma_t = \frac{t}{4}\,\mathrm{Var}\,\xi$.",
            function="theory.gaussian.log_std_moments",
        ),
        Claim(
            name="variance",
            statement=r"Mean fitted: $\mathbb{E}\,\sigma_t^2 = \sigma_0^2\left(\frac{n-1}{n-\mathrm{ddof}}\right)^t$, "
            r"that is $\sigma_0^2 (1 - 1/n)^t$ with ddof $= 0$ and $\sigma_0^2$ with ddof $= 1$. Mean known: "
            r"$\sigma_0^2$.",
            relation=_variance,
            function="theory.gaussian.expected_variance",
        ),
        Claim(
            name="std-factor",
            statement=r"Mean fitted: $\mathbb{E}\,\sigma_{t+1} = f\,\mathbb{E}\,\sigma_t$ with "
            r"$f = \sqrt{\frac{2}{n-\mathrm{ddof}}}\,\frac{\Gamma(n/2)}{\Gamma((n-1)/2)} < 1$.",
            relation=_factor,
            function="theory.gaussian.std_factor",
        ),
        Claim(
            name="alpha",
            statement=r"With ddof $= 1$ the factor is "
            r"$\alpha(n) = \sqrt{\frac{2}{n-1}}\,\frac{\Gamma(n/2)}{\Gamma((n-1)/2)}$.",
            relation=_alpha,
            function="theory.gaussian.alpha",
        ),
        Claim(
            name="std",
            statement=r"Mean fitted: $\mathbb{E}\,\sigma_t = \sigma_0 f^t$.",
            relation=_std,
            function="theory.gaussian.expected_std",
        ),
        Claim(
            name="std-known-mean",
            statement=r"Mean known: $\mathbb{E}\,\sigma_t = \sigma_0 \left(\sqrt{\frac{2}{n}}\,"
            r"\frac{\Gamma((n+1)/2)}{\Gamma(n/2)}\right)^t$.",
            relation=_known_mean_std,
        ),
        Claim(
            name="location",
            statement=r"Mean fitted: $\mu_t$ is a martingale, and $\mathrm{Var}\,\mu_t = \sigma_0^2 (1 - (1 - "
            r"1/n)^t)$ with ddof $= 0$, $t\,\sigma_0^2/n$ with ddof $= 1$.",
            relation=_location,
            function="theory.gaussian.variance_of_mean",
        ),
        Claim(
            name="conservation",
            statement=r"Mean fitted, ddof $= 0$: $\mathbb{E}\,\sigma_t^2 + \mathrm{Var}\,\mu_t = \sigma_0^2$ at every "
            r"$t$.",
        ),
        Claim(
            name="collapse",
            statement=r"In every case, ddof $= 1$ included, $\frac{1}{t}\log\sigma_t^2 \to \mathbb{E}\,\xi < 0$ "
            r"almost surely; in particular $\sigma_t \to 0$ almost surely.",
        ),
        Claim(
            name="large-samples",
            statement=r"As $n \to \infty$, $n\,\mathbb{E}\,\xi \to -2$ (mean fitted, ddof $= 0$) or $-1$ (the two "
            r"other cases), and $n\,\mathrm{Var}\,\xi \to 2$.",
        ),
        Claim(
            name="heavy-tail",
            statement=r"Mean fitted: $\mathrm{Var}\,\sigma_t^2 = \sigma_0^4\left[\left(\frac{(n-1)(n+1)}"
            r"{(n-\mathrm{ddof})^2}\right)^t - \left(\frac{n-1}{n-\mathrm{ddof}}\right)^{2t}\right]$. With ddof $= 1$ "
            r"it is $\sigma_0^4\left[\left(\frac{n+1}{n-1}\right)^t - 1\right]$: the mean of $\sigma_t^2$ stays at "
            r"$\sigma_0^2$ while $\sigma_t \to 0$, carried by ever rarer paths.",
            relation=_spread,
            function="theory.gaussian.variance_of_variance",
        ),
    ),
    status=Status.PROVED,
    source="Cochran (1934) for the law of the step; the recursion after Shumailov et al. (2024), Alemohammad et al. "
    "(2024), Bertrand et al. (2024)",
)

_W2 = Theorem(
    slug="gaussian-w2",
    title="Mean squared Wasserstein distance to generation 0 under cross entropy",
    hypotheses=(
        r"Those of `gaussian-ce-law`; $W_2$ is the 2-Wasserstein distance between $N(\mu_t, \sigma_t^2)$ and "
        r"$N(\mu_0, \sigma_0^2)$.",
        r"$f$ is the factor of $\mathbb{E}\,\sigma_t$ a generation; with ddof $= 1$ it is $\alpha(n)$.",
    ),
    claims=(
        Claim(
            name="distance",
            statement=r"$W_2^2(N(\mu_1, \sigma_1^2), N(\mu_2, \sigma_2^2)) = (\mu_1 - \mu_2)^2 + (\sigma_1 - "
            r"\sigma_2)^2$.",
        ),
        Claim(
            name="mean-square",
            statement=r"Mean fitted: $\mathbb{E}\,W_2^2$ is $2\sigma_0^2 (1 - f^t)$ with ddof $= 0$, and "
            r"$\sigma_0^2 \left(\frac{t}{n} + 2 - 2\alpha(n)^t\right)$ with ddof $= 1$.",
            relation=_w2,
            function="theory.gaussian.expected_w2_squared",
        ),
        Claim(
            name="known-mean",
            statement=r"Mean known: $\mathbb{E}\,W_2^2 = 2\sigma_0^2 (1 - f^t)$.",
            relation=_known_mean_w2,
        ),
        Claim(
            name="growth",
            statement=r"$\mathbb{E}\,W_2^2$ increases with $t$ in every case. With ddof $= 1$ it exceeds every bound; "
            r"in the two other cases it stays below $2\sigma_0^2$, to which it converges.",
        ),
    ),
    status=Status.PROVED,
    source="after Shumailov et al. (2024), where it diverges for the unbiased fit; the exact values: this project",
    depends_on=("gaussian-ce-law",),
)

THEOREMS = (_CE_LAW, _W2)
