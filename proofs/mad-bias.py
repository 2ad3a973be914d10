# %% [markdown]
# # Sampling bias shrinks the mean covariance geometrically, and every path faster
#
# Generation $t + 1$ is the sample mean and the unbiased sample covariance
# $\Sigma_{t+1} = \frac{1}{n-1}\sum_i (x_i - \bar x)(x_i - \bar x)^T$ of $n$ points from $N(\mu_t, \lambda\Sigma_t)$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

n = sp.Symbol("n", integer=True, positive=True)
t = sp.Symbol("t", integer=True, nonnegative=True)
bias = sp.Symbol("bias", positive=True)  # lambda

# %% [markdown]
# ## The mean
#
# Take any two components of the points, with means $a$, $b$ and covariance $c$ given the past. Independent points give
# $\mathbb{E}\sum_i x_i y_i = n(c + ab)$ and $\mathbb{E}\,\bar x\bar y = c/n + ab$, and
# $\sum_i (x_i - \bar x)(y_i - \bar y) = \sum_i x_i y_i - n\bar x\bar y$.

# %%
a, b, c = sp.symbols("a b c", real=True)
products, mean_x, mean_y = sp.symbols("products mean_x mean_y", real=True)
expanded = products - mean_x * (n * mean_y) - mean_y * (n * mean_x) + n * mean_x * mean_y
equal(expanded, products - n * mean_x * mean_y, "the sum of products around the means")
equal((n * (c + a * b) - n * (c / n + a * b)) / (n - 1), c, "the sample covariance is unbiased")

# %% [markdown]
# Here $c$ is an entry of $\lambda\Sigma_t$. So $\mathbb{E}(\Sigma_{t+1} \mid \Sigma_t) = \lambda\Sigma_t$ for every
# entry, and $M_t = \mathbb{E}\,\Sigma_t$ solves $M_{t+1} = \lambda M_t$, which gives $M_t = \lambda^t\,\Sigma_0$.

# %%
equal(bias ** (t + 1), bias * bias**t, "the powers solve the recursion")
equal((bias**t).subs(t, 0), 1, "and start at 1")
states("mad-bias", "mean", sp.Eq(sp.Function("m")(t), bias**t))

# %% [markdown]
# ## The paths
#
# Fix $v$ with $v^T\Sigma_0 v > 0$. The numbers $y_i = v^T x_i$ are independent $N(v^T\mu_t, \lambda\,v^T\Sigma_t v)$
# given the past, and $v^T\Sigma_{t+1}v$ is their unbiased sample variance. By Cochran's theorem (`gaussian-ce-law`,
# step with ddof $= 1$)
# $$v^T\Sigma_{t+1}v = \lambda\,v^T\Sigma_t v\,\frac{\chi^2_{n-1}}{n-1}$$
# with a $\chi^2$ variable whose law does not depend on the past, and which is therefore independent of it. So
# $\log v^T\Sigma_t v$ is a random walk: its mean step is $\log\lambda$ plus the drift of `gaussian-ce-law` with ddof $=
# 1$, and by the strong law of large numbers $\frac{1}{t}\log v^T\Sigma_t v$ tends to it almost surely.

# %%
s, nu = sp.symbols("s nu", positive=True)
cumulants = s * sp.log(2 / (n - 1)) + sp.loggamma((n - 1) / 2 + s) - sp.loggamma((n - 1) / 2)
drift = sp.diff(cumulants, s).subs(s, 0).replace(sp.polygamma, lambda k, z: sp.digamma(z))
rate = sp.log(bias) + sp.digamma((n - 1) / 2) - sp.log((n - 1) / 2)
zero(sp.expand_log(sp.log(bias) + drift - rate, force=True), "the mean step")
states("mad-bias", "path", sp.Eq(sp.Function("rate")(n), rate))

# %% [markdown]
# That drift is negative (`gaussian-ce-law`, collapse): the rate is below $\log\lambda$, the rate of the mean.
#
# ## Collapse
#
# If the rate is negative, $v^T\Sigma_t v \to 0$ almost surely for every fixed $v$; where $v^T\Sigma_0 v = 0$ it stays
# 0. Take the finitely many $v = e_i$ and $v = e_i + e_j$: every entry tends to 0 almost surely, because
# $$e_i^T\Sigma e_j = \frac{1}{2}\left[(e_i + e_j)^T\Sigma(e_i + e_j) - e_i^T\Sigma e_i - e_j^T\Sigma e_j\right] .$$

# %%
p11, p12, p22 = sp.symbols("p11 p12 p22", real=True)
matrix = sp.Matrix([[p11, p12], [p12, p22]])  # the entries i, j of a symmetric matrix
e1, e2 = sp.Matrix([1, 0]), sp.Matrix([0, 1])
both = ((e1 + e2).T * matrix * (e1 + e2))[0] - (e1.T * matrix * e1)[0] - (e2.T * matrix * e2)[0]
equal(both / 2, p12, "the entry from three quadratic forms")

# %% [markdown]
# The rate is negative if and only if $\lambda < \lambda^* = \frac{n-1}{2}\,e^{-\psi((n-1)/2)}$, and $\lambda^* > 1$
# because the drift is negative: so for all $\lambda \le 1$, and for $\lambda$ in $(1, \lambda^*)$, where
# $\mathbb{E}\,\Sigma_t = \lambda^t\Sigma_0$ grows. For $n = 2$, $\lambda^* = \frac{1}{2} e^{\gamma + 2\log 2} =
# 2e^{\gamma}$, $\gamma = 0.577\ldots$ Euler's constant.

# %%
critical = (n - 1) / 2 * sp.exp(-sp.digamma((n - 1) / 2))
zero(sp.expand_log(rate.subs(bias, critical), force=True), "the rate vanishes at the critical bias")
holds(sp.diff(rate, bias) > 0, "and increases with the bias")
smallest = equal(sp.expand_func(critical.subs(n, 2).rewrite(sp.polygamma)), 2 * sp.exp(sp.EulerGamma), "n = 2")
smallest

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.literature.mad_variance_factor", bias**t, where={"t": range(100), "bias": (0.01, 2.0)})
agrees("theory.literature.mad_log_variance_drift", rate, where={"n": range(2, 300), "bias": (0.01, 5.0)})
