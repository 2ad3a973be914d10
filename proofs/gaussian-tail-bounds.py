# %% [markdown]
# # Bounds of the probability that the scale of a Gaussian has survived
#
# Mean fitted, ddof $= 1$: by `gaussian-ce-law`, $\sigma_t^2 = \sigma_0^2\,Y_1 \cdots Y_t$ with independent
# $Y_i \sim \chi^2_{n-1}/(n-1)$, and
# $$\mathbb{E}\,Y^s = \left(\frac{2}{n-1}\right)^s \frac{\Gamma(\frac{n-1}{2} + s)}{\Gamma(\frac{n-1}{2})}, \qquad s \ge
# 0.$$

# %%
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

n = sp.Symbol("n", integer=True, positive=True)
t = sp.Symbol("t", integer=True, nonnegative=True)
q, epsilon, std = (sp.Symbol(name, positive=True) for name in ("q", "epsilon", "std"))
tail = sp.Function("tail")(t, n, epsilon)


def moment(s):
    """E Y^s."""
    return 2**s / (n - 1) ** s * sp.gamma((n - 1) / 2 + s) / sp.gamma((n - 1) / 2)


# %% [markdown]
# ## Markov's inequality
#
# For $q \ge 0$, on the event $\sigma_t > \varepsilon$ the variable $(\sigma_t/\varepsilon)^q$ is at least 1, and it is
# nowhere negative; so $\Pr(\sigma_t > \varepsilon) \le \varepsilon^{-q}\,\mathbb{E}\,\sigma_t^q =
# (\sigma_0/\varepsilon)^q\,(\mathbb{E}\,Y^{q/2})^t$.

# %%
states("gaussian-tail-bounds", "best", sp.Le(tail, (std / epsilon) ** q * moment(q / 2) ** t))

# %% [markdown]
# $q = 1$ gives the bound of Bertrand et al., with $\alpha(n) = \mathbb{E}\,Y^{1/2}$; a probability is at most 1 anyway.

# %%
alpha = sp.sqrt(2) / sp.sqrt(n - 1) * sp.gamma(n / 2) / sp.gamma((n - 1) / 2)
equal(moment(sp.Rational(1, 2)), alpha, "the moment of order 1/2")
bertrand = sp.Min(1, std / epsilon * alpha**t)
states("gaussian-tail-bounds", "bertrand", sp.Le(tail, bertrand))

# %% [markdown]
# ## $\alpha(n) < e^{-1/(4n-3)}$ for every $n \ge 2$
#
# Put $x = (n-1)/2 \ge 1/2$ and $r(x) = \Gamma(x + \frac{1}{2})/(\Gamma(x)\sqrt{x})$, which is $\alpha(n)$; and
# $4n - 3 = 8x + 1$. It is to be shown that
# $$D(x) = \log r(x) + \frac{1}{8x + 1} < 0 .$$
# We show that $D(x + 1) > D(x)$ for all $x > 0$ and that $D(y) \to 0$ as $y \to \infty$. Then
# $D(x) < D(x + 1) < D(x + 2) < \cdots \to 0$.

# %%
x = sp.Symbol("x", positive=True)
r = sp.gamma(x + sp.Rational(1, 2)) / (sp.gamma(x) * sp.sqrt(x))
equal((4 * n - 3).subs(n, 2 * x + 1), 8 * x + 1, "the denominator")
equal(alpha.subs(n, 2 * x + 1), r, "alpha(2x + 1) = r(x)")

# %% [markdown]
# **The limit.** $\Gamma$ is log-convex: $\Gamma(\frac{a+b}{2})^2 \le \Gamma(a)\,\Gamma(b)$, which is the Cauchy–Schwarz
# inequality for $\Gamma(\frac{a+b}{2}) = \int u^{(a-1)/2} u^{(b-1)/2} e^{-u}\,du$. With $(a, b) = (x, x + 1)$ it gives
# $r(x)^2 \le 1$; with $(x + \frac{1}{2}, x + \frac{3}{2})$ it gives $r(x)^2 \ge x/(x + \frac{1}{2})$. So $r(x) \to 1$.

# %%
half = sp.Rational(1, 2)
above = sp.gamma(x) * sp.gamma(x + 1) / (sp.gamma(x) ** 2 * x)
equal(sp.gammasimp(above), 1, "r(x)^2 is at most this")
below = r**2 * sp.gamma(x + 1) ** 2 / (sp.gamma(x + half) * sp.gamma(x + 3 * half))
equal(sp.gammasimp(below), x / (x + half), "r(x)^2 is at least this, because the factor put in is at most 1")
zero(sp.limit(x / (x + half), x, sp.oo) - 1, "both ends tend to 1")

# %% [markdown]
# **The increment.** By $\Gamma(z + 1) = z\,\Gamma(z)$,
# $$\frac{r(x+1)^2}{r(x)^2} = \frac{(x + \frac{1}{2})^2}{x(x+1)} = 1 + y, \qquad y = \frac{1}{4x(x+1)},$$
# so that $D(x + 1) - D(x) = \frac{1}{2}\log(1 + y) + \frac{1}{8x+9} - \frac{1}{8x+1}$.

# %%
ratio = sp.gammasimp(r.subs(x, x + 1) ** 2 / r**2)
y = 1 / (4 * x * (x + 1))
equal(ratio, 1 + y, "the ratio of squares")

# %% [markdown]
# Here $\log(1 + y) > 2y/(2 + y)$ for $y > 0$: the difference vanishes at 0 and has the slope $y^2/((1+y)(2+y)^2)$.

# %%
v = sp.Symbol("v", positive=True)
gap = sp.log(1 + v) - 2 * v / (2 + v)
zero(gap.subs(v, 0), "no difference at 0")
slope = equal(sp.diff(gap, v), v**2 / ((1 + v) * (2 + v) ** 2), "the slope").rhs
holds(slope > 0, "it is positive")

# %% [markdown]
# With $\frac{1}{2} \cdot \frac{2y}{2+y} = \frac{1}{8x^2 + 8x + 1}$ the increment exceeds
# $$\frac{1}{8x^2+8x+1} - \frac{8}{(8x+1)(8x+9)} = \frac{16x + 1}{(8x^2+8x+1)(8x+1)(8x+9)} > 0 .$$

# %%
equal(y / (2 + y), 1 / (8 * x**2 + 8 * x + 1), "half of the lower bound of the logarithm")
difference = 1 / (8 * x**2 + 8 * x + 1) + 1 / (8 * x + 9) - 1 / (8 * x + 1)
positive = (16 * x + 1) / ((8 * x**2 + 8 * x + 1) * (8 * x + 1) * (8 * x + 9))
equal(difference, positive, "a lower bound of the increment")
holds(positive > 0, "it is positive: D increases from x to x + 1")

# %%
states("gaussian-tail-bounds", "alpha", sp.Lt(alpha, sp.exp(-1 / (4 * n - 3)), evaluate=False))

# %% [markdown]
# Because $4n - 3 < 4n - 1$, $\alpha(n)^t \le e^{-t/(4n-3)} \le e^{-t/(4n-1)}$: the bound of Suresh et al. follows from
# that of Bertrand et al., and is never below it.

# %%
j = sp.Symbol("j", integer=True, nonnegative=True)  # n = 2 + j
exponents = (1 / (4 * n - 3) - 1 / (4 * n - 1)).subs(n, 2 + j)
holds(sp.factor(exponents) > 0, "1/(4n - 3) > 1/(4n - 1)")
suresh = sp.Min(1, std / epsilon * sp.exp(-t / (4 * n - 1)))
states("gaussian-tail-bounds", "suresh", sp.Le(tail, suresh))

# %% [markdown]
# ## The best power
#
# Take $t \ge 1$. The logarithm of the bound is
# $$L(q) = q\log\frac{\sigma_0}{\varepsilon} + t\left[\frac{q}{2}\log\frac{2}{n-1} +
# \log\Gamma\left(\frac{n-1+q}{2}\right)
# - \log\Gamma\left(\frac{n-1}{2}\right)\right], \qquad L(0) = 0 .$$
# Its second derivative is $\frac{t}{4}\,\psi'(\frac{n-1+q}{2})$, and $\psi'(z) = \sum_{i \ge 0} (z + i)^{-2} > 0$: $L$
# is strictly convex, and $L'$ increases strictly, from $L'(0) = \mathbb{E}\log\sigma_t - \log\varepsilon$ to $\infty$,
# because $\psi(z) \to \infty$.
#
# - If $\log\varepsilon \le \mathbb{E}\log\sigma_t$, then $L' > 0$ for $q > 0$: the best $q$ is 0, and the bound is 1.
# - Otherwise $L'$ has exactly one root, and there the bound is least; it is below 1, because $L'(0) < 0$.


# %%
def with_digamma(expression):
    """Write polygamma of order 0 as digamma."""
    return expression.replace(sp.polygamma, lambda k, z: sp.digamma(z) if k == 0 else sp.polygamma(k, z))


time = sp.Symbol("t", integer=True, positive=True)
log_moment = q / 2 * sp.log(2 / (n - 1)) + sp.loggamma((n - 1 + q) / 2) - sp.loggamma((n - 1) / 2)
exponent = q * sp.log(std / epsilon) + time * log_moment
zero(exponent.subs(q, 0), "L(0) = 0")
equal(sp.diff(exponent, q, 2), time / 4 * sp.polygamma(1, (n - 1 + q) / 2), "the second derivative")

# %%
slope = with_digamma(sp.diff(exponent, q))
at_zero = sp.log(std) + time / 2 * (sp.digamma((n - 1) / 2) + sp.log(2 / (n - 1))) - sp.log(epsilon)
zero(sp.expand_log(slope.subs(q, 0) - at_zero), "L'(0) = E log sigma_t - log epsilon")

# %%
argument = sp.digamma((n - 1 + q) / 2)
level = sp.log(sp.Rational(1, 2)) + sp.log(n - 1) + 2 / time * sp.log(epsilon / std)
solved = sp.solve(slope.subs(argument, v), v)  # linear in the digamma function
assert len(solved) == 1
zero(sp.expand_log(sp.expand(solved[0] - level), force=True), "L' = 0 gives the value of the digamma function")
order = sp.Eq(argument, sp.log((n - 1) / 2) + 2 / time * sp.log(epsilon / std), evaluate=False)
zero(sp.expand_log(order.rhs - level, force=True), "the same, written as in the registry")
states("gaussian-tail-bounds", "best-order", order)

# %% [markdown]
# ## The functions of the library
#
# The best power has no closed form: the reference below solves the last equation to 40 digits.


# %%
def best_order(t, n, epsilon, std):
    """Root of L', by bisection within a bracket that L' changes sign in; 0 if L'(0) is not negative."""
    half, level = (n - 1) / 2, mpmath.log((n - 1) / 2) + 2 / t * mpmath.log(epsilon / std)
    if mpmath.digamma(half) >= level:
        return mpmath.mpf(0)
    # psi(z) > log z - 1/z: at z = exp(level) + 2 it is above level
    low, high = half, mpmath.exp(level) + 2
    while high - low > high * mpmath.mpf(10) ** -38:
        middle = (low + high) / 2
        low, high = (middle, high) if mpmath.digamma(middle) < level else (low, middle)
    return 2 * low - 2 * half


def best_bound(t, n, epsilon, std):
    """The bound at that power."""
    power, half = best_order(t, n, epsilon, std), (n - 1) / 2
    step = mpmath.loggamma(half + power / 2) - mpmath.loggamma(half) - power / 2 * mpmath.log(half)
    return mpmath.exp(t * step - power * mpmath.log(epsilon / std))


where = {"t": range(1, 200), "n": range(2, 100), "epsilon": (0.5, 3.0), "std": (0.5, 3.0)}
agrees("theory.literature.bertrand_tail_bound", bertrand, where=where)
agrees("theory.literature.suresh_tail_bound", suresh, where=where)
agrees("theory.literature.best_tail_order", best_order, where=where)
agrees("theory.literature.best_tail_bound", best_bound, where=where)
