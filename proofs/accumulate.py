# %% [markdown]
# # Keeping all data so far stops the collapse at a finite distance
#
# Each model gives $n$ points, the truth first, and all are kept. Let $M_t$ be the mean and $Q_t$ the mean square of the
# $tn$ points that generation $t$ is fitted to. The fit has their mean and variance: $\mu_t = M_t$ and
# $\sigma_t^2 = Q_t - M_t^2$.

# %%
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

t, n, d, i = sp.symbols("t n d i", integer=True, positive=True)

# %% [markdown]
# ## One generation
#
# The $n$ new points have, given the past, mean $\mu_t$ and variance $\sigma_t^2$. So their own mean $\bar x$ has
# $\mathbb{E}\,\bar x = M_t$ and $\mathbb{E}\,\bar x^2 = M_t^2 + \sigma_t^2/n$, and the mean of their squares has
# expectation $\sigma_t^2 + M_t^2 = Q_t$. The pool then has
# $$M_{t+1} = \frac{t M_t + \bar x}{t + 1}, \qquad \mathbb{E}\,Q_{t+1} = \frac{t Q_t + Q_t}{t + 1} = Q_t .$$
# The first generation is the case $t = 0$, with an empty pool and the truth as the model that is drawn from.

# %%
mean, variance, new = sp.symbols("M sigma2 xbar", real=True)  # M_t, sigma_t^2, the mean of the new points
pooled = sp.expand(((t * mean + new) / (t + 1)) ** 2)
expected = pooled.subs(new**2, mean**2 + variance / n).subs(new, mean)
equal(expected, mean**2 + variance / (n * (t + 1) ** 2), "the mean of the square of the new M")

# %%
second = mean**2 + variance  # Q_t
equal((t * second + second) / (t + 1), second, "it is also the mean of the new Q")
shrunk = equal(second - expected, variance * (1 - 1 / (n * (t + 1) ** 2)), "the mean of the new variance").rhs

# %% [markdown]
# So $\mathbb{E}\,\sigma_{t+1}^2 = (1 - \frac{1}{n(t+1)^2})\,\mathbb{E}\,\sigma_t^2$ for $t \ge 0$, hence
# $\mathbb{E}\,\sigma_t^2 = r_t\,\sigma_0^2$ with the product $r_t$. And $\mathbb{E}\,Q_t$ never changes:
# $\mathbb{E}\,\sigma_t^2 + \mathbb{E}\,\mu_t^2 = \sigma_0^2 + \mu_0^2$ with $\mathbb{E}\,\mu_t = \mu_0$, which is
# $\mathbb{E}\,\sigma_t^2 + \mathrm{Var}\,\mu_t = \sigma_0^2$.

# %%
factor = (shrunk / variance).subs(t, i - 1)
product = sp.Product(sp.simplify(factor), (i, 1, t))
registered_form = sp.Product(1 - 1 / (n * i**2), (i, 1, t))
zero(product.function - registered_form.function, "the factor of generation i")
states("accumulate", "product", sp.Eq(sp.Function("r")(t), registered_form))

# %% [markdown]
# **More dimensions.** Apply this to $v^T x$ for any fixed $v$: $v^T\Sigma_t v$ has the factor $r_t$ for every $v$, so
# $\mathbb{E}\,\Sigma_t = r_t\,\Sigma_0$.
#
# **Categorical.** Apply it to the indicator of class $j$: its mean is $p_j$ and its variance $p_j(1 - p_j)$, under the
# model and in the data. Summed over the classes this is $H = 1 - \sum_j p_j^2$, so that $\mathbb{E} H_t = r_t H_0$
# (claim
# **heterozygosity**).

# %%
p = sp.Symbol("p", nonnegative=True)
equal(p - p**2, p * (1 - p), "mean square minus squared mean of an indicator")

# %% [markdown]
# ## The product in closed form
#
# With $z = 1/\sqrt n$ the factors are $1 - z^2/i^2$. Take $n \ge 2$, so that $0 < z < 1$, and let
# $$F(t) = \frac{\sin\pi z}{\pi z}\,\frac{\Gamma(t+1+z)\,\Gamma(t+1-z)}{\Gamma(t+1)^2} .$$
# $F(0) = 1$ is the reflection formula, and $F(t)/F(t-1) = (t+z)(t-z)/t^2$.

# %%
z = sp.Symbol("z", positive=True)
ratio = sp.gamma(t + 1 + z) * sp.gamma(t + 1 - z) / sp.gamma(t + 1) ** 2
closed = sp.sin(sp.pi * z) / (sp.pi * z) * ratio
equal(sp.gammasimp(sp.gamma(1 + z) * sp.gamma(1 - z)), sp.pi * z / sp.sin(sp.pi * z), "reflection: F(0) = 1")
equal(sp.gammasimp(closed / closed.subs(t, t - 1)), 1 - z**2 / t**2, "the ratio of neighbours")
states("accumulate", "closed-form", sp.Eq(sp.Function("r")(t), closed.subs(z, 1 / sp.sqrt(n))))

# %% [markdown]
# ## The limit
#
# $f(z) = \log\Gamma(t+1+z) + \log\Gamma(t+1-z)$ is even, and convex because $\log\Gamma$ is convex; so it increases for
# $z \ge 0$, and for $0 \le z \le 1$ lies between $f(0)$ and $f(1)$:
# $$1 \le \frac{\Gamma(t+1+z)\,\Gamma(t+1-z)}{\Gamma(t+1)^2} \le \frac{\Gamma(t+2)\,\Gamma(t)}{\Gamma(t+1)^2} =
# \frac{t+1}{t} \to 1 .$$
# So $r_t$ tends to $\sin(\pi z)/(\pi z)$, positive for $z < 1$. For $n = 1$ the first factor is 0, and so is
# $\sin\pi$. All factors lie in $[0, 1)$: $r_t$ decreases (for $n = 1$ it is 0 from the first fit on).

# %%
logs = sp.loggamma(t + 1 + z) + sp.loggamma(t + 1 - z)
curvature = sp.polygamma(1, t + 1 + z) + sp.polygamma(1, t + 1 - z)
equal(sp.diff(logs, z, 2), curvature, "the curvature: psi' is a sum of squares, hence positive")
equal(sp.gammasimp(ratio.subs(z, 1)), (t + 1) / t, "the upper end")
equal(sp.limit((t + 1) / t, t, sp.oo), 1, "it tends to 1")
equal(registered_form.function.subs({n: 1, i: 1}), 0, "n = 1: the first factor vanishes")
limit = sp.sin(sp.pi / sp.sqrt(n)) / (sp.pi / sp.sqrt(n))
equal(limit.subs(n, 1), 0, "and so does the limit")
states("accumulate", "limit", sp.Eq(sp.Function("r")(sp.oo), limit))

# %% [markdown]
# ## Linear regression
#
# $X$ has $n$ rows of $d$ standard normal entries. Least squares gives $X^+ y$ with $X^+ = (X^T X)^{-1} X^T$, so that
# labels $y = Xw + e$ give $w + X^+ e$. A further row $x$ of such a design is missed by
# $\mathbb{E}(x^T\delta)^2 = |\delta|^2$, where $\delta$ is the error of the coefficients.
#
# **One fit.** Given $X$, $\mathbb{E}|X^+ e|^2 = \sigma^2\,\mathrm{tr}\,X^+ X^{+T} = \sigma^2\,\mathrm{tr}(X^T X)^{-1}$.
# Let $x_1$ be the first column, $X_2$ the others, $b$ the coefficients of the regression of $x_1$ on them,
# $\rho = x_1 - X_2 b$ what is left, and $v = (1, -b)/|\rho|^2$. Then $Xv = \rho/|\rho|^2$, and since $\rho$ is
# orthogonal to $X_2$ and $x_1^T\rho = |\rho|^2$, $X^T X v = (1, 0, \ldots, 0)$: $v$ is the first column of $(X^T
# X)^{-1}$, whose first entry is therefore $1/|\rho|^2$. Given $X_2$, $\rho$ is the projection of a standard normal
# vector on $n - d + 1$ dimensions, and $|\rho|^2$ has the law $\chi^2_{n-d+1}$. The other diagonal entries are alike.
# With $\mathbb{E}(1/\chi^2_k) = 1/(k - 2)$ for $k > 2$,
# $$\mathbb{E}\,\mathrm{tr}(X^T X)^{-1} = \frac{d}{n - d - 1}, \qquad n \ge d + 2 .$$

# %%
x, excess = sp.symbols("x excess", positive=True)  # excess = k - 2 > 0
k = excess + 2
inverse = sp.integrate(x ** (k / 2 - 2) * sp.exp(-x / 2), (x, 0, sp.oo)) / (2 ** (k / 2) * sp.gamma(k / 2))
equal(sp.gammasimp(inverse), 1 / excess, "the mean of one over chi-square")
trace = equal(d * (1 / excess).subs(excess, n - d + 1 - 2), d / (n - d - 1), "the mean of the trace").rhs

# %%
a, b, c = sp.symbols("a b c", positive=True)  # squared norms of two columns, their product
schur = sp.Matrix([[a, c], [c, b]]).inv()[0, 0]
equal(schur, 1 / (a - c**2 / b), "two columns, for illustration: one over the squared norm of the residual")

# %% [markdown]
# **Replace.** Labels of the last fit: $\delta_t = \delta_{t-1} + X^+ e_t$ with $\delta_0 = 0$. Given $X$ the terms are
# independent with mean 0, so the errors add up to $t$ times that of one fit.

# %%
noise_std = sp.Symbol("noise_std", positive=True)
one_fit = noise_std**2 * trace
states("accumulate", "regression-replace", sp.Eq(sp.Function("error")(t), t * one_fit))

# %% [markdown]
# **Accumulate.** $\sum_{j \le t}|y_j - Xw|^2 = t\,|\bar y - Xw|^2 + \mathrm{const}$: the fit is that of the mean label,
# and $\delta_t = \frac{1}{t}\sum_{j \le t}(\delta_{j-1} + X^+ e_j)$. Therefore
# $t\,\delta_t - (t-1)\,\delta_{t-1} = \delta_{t-1} + X^+ e_t$, which is $\delta_t = \delta_{t-1} + \frac{1}{t} X^+
# e_t$: the terms $\frac{1}{j} X^+ e_j$ are independent given $X$, and the errors are those of one fit times $\sum
# 1/j^2$.

# %%
previous, noise = sp.symbols("previous noise", real=True)  # one component of delta_{t-1} and of X^+ e_t
current = ((t - 1) * previous + previous + noise) / t
equal(current, previous + noise / t, "the step of the error")
accumulated = one_fit * sp.Sum(1 / i**2, (i, 1, t))
states("accumulate", "regression-accumulate", sp.Eq(sp.Function("error")(t), accumulated))

# %%
euler = sp.summation(1 / i**2, (i, 1, sp.oo))
states("accumulate", "regression-limit", sp.Eq(sp.Function("error")(sp.oo), one_fit * euler))

# %% [markdown]
# All terms of the sum are positive, so it increases to its limit $\pi^2/6$.
#
# ## The functions of the library

# %%
holds((1 / i**2) > 0, "the terms are positive")
sizes, times = range(2, 300), range(1, 80)
agrees("theory.regimes.accumulate_factor", closed.subs(z, 1 / sp.sqrt(n)), where={"n": sizes, "t": times})
agrees(
    "theory.regimes.accumulate_factor",
    lambda n, t: mpmath.fprod(1 - 1 / (n * j**2) for j in range(1, int(t) + 1)),
    where={"n": range(1, 5), "t": times},
)
agrees("theory.regimes.accumulate_factor", limit, where={"n": sizes})
where = {"n": range(20, 60), "d": range(1, 18), "noise_std": (0.1, 3.0)}
agrees("theory.regimes.regression_replace_error", t * one_fit, where={**where, "t": times})
agrees(
    "theory.regimes.regression_accumulate_error",
    lambda t, n, d, noise_std: (
        noise_std**2 * d / (n - d - 1) * mpmath.fsum(1 / mpmath.mpf(j) ** 2 for j in range(1, int(t) + 1))
    ),
    where={**where, "t": times},
)
agrees("theory.regimes.regression_accumulate_error", one_fit * euler, where=where)
