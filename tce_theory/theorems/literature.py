"""Results of the literature on cross entropy in the replace regime: the statements."""

from __future__ import annotations

from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]


def _tail(sp: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Symbols of the tail bounds, and what they bound."""
    t = sp.Symbol("t", integer=True, nonnegative=True)
    n = sp.Symbol("n", integer=True, positive=True)
    epsilon, std = sp.Symbol("epsilon", positive=True), sp.Symbol("std", positive=True)
    return t, n, epsilon, std, sp.Function("tail")(t, n, epsilon)


def _alpha(sp: Any, n: Any) -> Any:
    return sp.sqrt(2) / sp.sqrt(n - 1) * sp.gamma(n / 2) / sp.gamma((n - 1) / 2)


def _bertrand(sp: Any) -> Any:
    t, n, epsilon, std, tail = _tail(sp)
    return sp.Le(tail, sp.Min(1, std / epsilon * _alpha(sp, n) ** t))


def _suresh(sp: Any) -> Any:
    t, n, epsilon, std, tail = _tail(sp)
    return sp.Le(tail, sp.Min(1, std / epsilon * sp.exp(-t / (4 * n - 1))))


def _alpha_bound(sp: Any) -> Any:
    n = sp.Symbol("n", integer=True, positive=True)
    return sp.Lt(_alpha(sp, n), sp.exp(-1 / (4 * n - 3)), evaluate=False)


def _best_order(sp: Any) -> Any:
    t, n, epsilon, std, _ = _tail(sp)
    q = sp.Symbol("q", positive=True)
    return sp.Eq(sp.digamma((n - 1 + q) / 2), sp.log((n - 1) / 2) + 2 / t * sp.log(epsilon / std), evaluate=False)


def _best(sp: Any) -> Any:
    t, n, epsilon, std, tail = _tail(sp)
    q = sp.Symbol("q", positive=True)
    moment = 2 ** (q / 2) / (n - 1) ** (q / 2) * sp.gamma((n - 1 + q) / 2) / sp.gamma((n - 1) / 2)
    return sp.Le(tail, (std / epsilon) ** q * moment**t)


def _mad_mean(sp: Any) -> Any:
    t = sp.Symbol("t", integer=True, nonnegative=True)
    bias = sp.Symbol("bias", positive=True)
    return sp.Eq(sp.Function("m")(t), bias**t)


def _mad_path(sp: Any) -> Any:
    n, bias = sp.Symbol("n", integer=True, positive=True), sp.Symbol("bias", positive=True)
    return sp.Eq(sp.Function("rate")(n), sp.log(bias) + sp.digamma((n - 1) / 2) - sp.log((n - 1) / 2))


def _extinction(sp: Any) -> tuple[Any, Any, Any]:
    k, n = (sp.Symbol(name, integer=True, positive=True) for name in ("k", "n"))
    return k, n, sp.Function("g", positive=True)(k)


def _poisson(sp: Any) -> Any:
    k, n, g = _extinction(sp)
    rate = sp.Symbol("rate", nonnegative=True)
    return sp.Eq(sp.Function("survival")(k), 1 - sp.exp(-n * rate * g))


def _bernoulli(sp: Any) -> Any:
    k, n, g = _extinction(sp)
    p = sp.Symbol("p", nonnegative=True)
    return sp.Ge(sp.Function("survival")(k), 1 - sp.exp(-n * p * g))


def _rate_recursion(sp: Any) -> Any:
    k, _, g = _extinction(sp)
    return sp.Eq(g.subs(k, k + 1), 1 - sp.exp(-g))


def _rate_above(sp: Any) -> Any:
    k, _, g = _extinction(sp)
    return sp.Le(g, 2 / (k + 1))


def _rate_below(sp: Any) -> Any:
    k, _, g = _extinction(sp)
    return sp.Ge(g, 2 / (k + 1 + sp.log(k) / 3))


_TAIL_BOUNDS = Theorem(
    slug="gaussian-tail-bounds",
    title="Bounds of the probability that the scale of a Gaussian has survived",
    hypotheses=(
        r"Those of `gaussian-ce-law`, mean fitted with ddof $= 1$, $n \ge 2$; $\varepsilon > 0$.",
        r"$\alpha(n)$ is the factor of $\mathbb{E}\,\sigma_t$ a generation.",
    ),
    claims=(
        Claim(
            name="bertrand",
            statement=r"$\Pr(\sigma_t > \varepsilon) \le \min\left(1, "
            r"\frac{\sigma_0}{\varepsilon}\,\alpha(n)^t\right)$.",
            relation=_bertrand,
            function="theory.literature.bertrand_tail_bound",
        ),
        Claim(
            name="alpha",
            statement=r"$\alpha(n) < e^{-1/(4n-3)} < e^{-1/(4n-1)}$ for every $n \ge 2$.",
            relation=_alpha_bound,
        ),
        Claim(
            name="suresh",
            statement=r"$\Pr(\sigma_t > \varepsilon) \le \min\left(1, "
            r"\frac{\sigma_0}{\varepsilon}\,e^{-t/(4n-1)}\right)$, which is never below the bound with $\alpha(n)$.",
            relation=_suresh,
            function="theory.literature.suresh_tail_bound",
        ),
        Claim(
            name="best",
            statement=r"For every $q \ge 0$, $\Pr(\sigma_t > \varepsilon) \le "
            r"\left(\frac{\sigma_0}{\varepsilon}\right)^q "
            r"\left(\mathbb{E}\left(\chi^2_{n-1}/(n-1)\right)^{q/2}\right)^t$. For $t \ge 1$ the logarithm of the "
            r"right side is strictly convex in $q$.",
            relation=_best,
            function="theory.literature.best_tail_bound",
        ),
        Claim(
            name="best-order",
            statement=r"For $t \ge 1$ the best $q$ is 0, with the bound 1, if $\varepsilon \le "
            r"e^{\mathbb{E}\log\sigma_t}$; else it is the only root of $\psi\left(\frac{n-1+q}{2}\right) = "
            r"\log\frac{n-1}{2} + \frac{2}{t}\log\frac{\varepsilon}{\sigma_0}$.",
            relation=_best_order,
            function="theory.literature.best_tail_order",
        ),
    ),
    status=Status.PROVED,
    source="after Bertrand et al. (2024) and Suresh et al. (2024); the exponent $1/(4n-3)$ and the best order: this "
    "project",
    depends_on=("gaussian-ce-law",),
)

_MAD_BIAS = Theorem(
    slug="mad-bias",
    title="Sampling bias shrinks the mean covariance geometrically, and every path faster",
    hypotheses=(
        r"Generation $t + 1$ is fitted to $n \ge 2$ independent points from $N(\mu_t, \lambda\Sigma_t)$ in $d$ "
        r"dimensions, $\lambda > 0$, by the sample mean and the unbiased sample covariance.",
    ),
    claims=(
        Claim(
            name="mean",
            statement=r"$\mathbb{E}\,\Sigma_t = \lambda^t\,\Sigma_0$.",
            relation=_mad_mean,
            function="theory.literature.mad_variance_factor",
        ),
        Claim(
            name="path",
            statement=r"For every fixed $v$ with $v^T \Sigma_0 v > 0$, almost surely "
            r"$\frac{1}{t}\log v^T \Sigma_t v \to \log\lambda + \psi\left(\frac{n-1}{2}\right) - \log\frac{n-1}{2} "
            r"< \log\lambda$.",
            relation=_mad_path,
            function="theory.literature.mad_log_variance_drift",
        ),
        Claim(
            name="collapse",
            statement=r"Whenever that rate is negative, $\Sigma_t \to 0$ almost surely: for $\lambda \le 1$, and also "
            r"for $\lambda$ above 1 and below $\frac{n-1}{2}\,e^{-\psi((n-1)/2)}$, where $\mathbb{E}\,\Sigma_t$ grows.",
        ),
    ),
    status=Status.PROVED,
    source="the mean, and the collapse with a bias of at most 1, after Alemohammad et al. (2024); the rate of the "
    "paths and the collapse beyond 1: this project",
    depends_on=("gaussian-ce-law",),
)

_SURESH_RATES = Theorem(
    slug="suresh-rates",
    title="How fast Poisson and Bernoulli models degenerate",
    hypotheses=(
        r"$g_1 = 1$ and $g_{k+1} = 1 - e^{-g_k}$.",
        r"Poisson: generation $k$ has the mean $\lambda_k$ of $n$ independent points of law Poisson$(\lambda_{k-1})$, "
        r"$\lambda_0 \ge 0$. Bernoulli: generation $k$ has the mean $p_k$ of $n$ independent points of law "
        r"Bernoulli$(p_{k-1})$, $0 \le p_0 = p \le 1$.",
    ),
    claims=(
        Claim(
            name="recursion",
            statement=r"$g_{k+1} = 1 - e^{-g_k}$, and $g_k$ decreases to 0.",
            relation=_rate_recursion,
            function="theory.literature.suresh_rate",
        ),
        Claim(
            name="poisson",
            statement=r"$\Pr(\lambda_k \ne 0) = 1 - e^{-n\lambda_0 g_k}$.",
            relation=_poisson,
            function="theory.literature.poisson_survival",
        ),
        Claim(
            name="bernoulli",
            statement=r"$\Pr(p_k \ne 0) \ge 1 - e^{-n p g_k}$.",
            relation=_bernoulli,
            function="theory.literature.bernoulli_survival_bound",
        ),
        Claim(name="above", statement=r"$g_k \le \frac{2}{k+1}$ for every $k \ge 1$.", relation=_rate_above),
        Claim(
            name="below",
            statement=r"$g_k \ge \frac{2}{k + 1 + \frac{1}{3}\log k}$ for every $k \ge 1$.",
            relation=_rate_below,
        ),
    ),
    status=Status.PROVED,
    source="after Suresh et al. (2024); the bounds of $g_k$: this project",
)

THEOREMS = (_TAIL_BOUNDS, _MAD_BIAS, _SURESH_RATES)
