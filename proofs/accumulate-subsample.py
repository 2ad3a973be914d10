# %% [markdown]
# # A fixed number of points from all data so far: the variance of a mean stays bounded
#
# Location model: points of generation $t$ are $\theta_t$ plus noise of mean 0 and known variance; units are such that
# this variance is 1, and $\theta_0 = 0$. The pool of generation $t$ is
#
# - *stored*: $n$ points from each of the models $0, \ldots, t - 1$, and $\theta_t$ is the mean of $n$ of these $tn$
#   points, drawn with or without replacement;
# - *mixture*: the equal mixture of the models $0, \ldots, t - 1$, and $\theta_t$ is the mean of $n$ independent points
#   of it.
#
# Let $M_t$ be the mean of the pool and $Q_t$ its mean square, $m_t = \mathbb{E}\,M_t^2$, $q_t = \mathbb{E}\,Q_t$ and
# $u_t = q_t - m_t$, the mean variance of the pool.

# %%

import mpmath
import sympy as sp
from checking import agrees, equal, holds, states

n, t = sp.symbols("n t", integer=True, positive=True)
m, q, u, c = sp.symbols("m q u c", nonnegative=True)

# %% [markdown]
# ## One fit
#
# Given the pool, $\mathbb{E}\,\theta_t = M_t$. With independent draws $\mathrm{Var}\,\theta_t = (Q_t - M_t^2)/n$.
# Without replacement from $N$ points two different draws have the mean product $((NM)^2 - NQ)/(N(N-1))$, and
# $$\mathbb{E}\,\theta_t^2 = \frac{Q}{n} + \frac{n-1}{n}\,\frac{NM^2 - Q}{N-1} = M^2 + \frac{Q -
# M^2}{n}\,\frac{N-n}{N-1} .$$ Either way $v_t = \mathbb{E}\,\theta_t^2 = m_t + \frac{c_t}{n}\,u_t$, with $c_t = 1$ for
# independent draws and $c_t = \frac{n(t-1)}{tn-1}$ for draws without replacement from $N = tn$ points.

# %%
mean, square, pool = sp.symbols("M Q N", positive=True)
pairs = ((pool * mean) ** 2 - pool * square) / (pool * (pool - 1))
without = square / n + (n - 1) / n * pairs
equal(without, mean**2 + (square - mean**2) / n * (pool - n) / (pool - 1), "the mean square of the fit")

# %%
share = equal(((pool - n) / (pool - 1)).subs(pool, t * n), n * (t - 1) / (t * n - 1), "c_t without replacement").rhs

# %% [markdown]
# ## One generation of the pool
#
# **Stored.** The mean of the $n$ new points is $\theta_t + \bar\varepsilon$ with $\mathbb{E}\,\bar\varepsilon^2 = 1/n$,
# and their mean square is $v_t + 1$ on average. So $M_{t+1} = (tM_t + \theta_t + \bar\varepsilon)/(t+1)$, and because
# $\mathbb{E}\,M_t\theta_t = m_t$,
# $$m_{t+1} = \frac{t^2 m_t + 2t m_t + v_t + 1/n}{(t+1)^2} = m_t + \frac{c_t u_t + 1}{n(t+1)^2}, \qquad
# q_{t+1} = \frac{t q_t + v_t + 1}{t+1} .$$
# They start with the $n$ points of the truth: $m_1 = 1/n$, $q_1 = 1$, $u_1 = 1 - 1/n$.
#
# **Mixture.** $M_t$ and $Q_t - 1$ are the mean and the mean square of $\theta_0, \ldots, \theta_{t-1}$:
# $$m_{t+1} = \frac{t^2 m_t + 2t m_t + v_t}{(t+1)^2} = m_t + \frac{u_t}{n(t+1)^2}, \qquad
# q_{t+1} - 1 = \frac{t(q_t - 1) + v_t}{t+1} .$$
# They start with $m_1 = 0$, $q_1 = 1$, $u_1 = 1$.

# %%
later = t + 1
fit = m + c * u / n  # v
step_stored = (t**2 * m + 2 * t * m + fit + 1 / n) / later**2
equal(step_stored, m + (c * u + 1) / (n * later**2), "the mean of the stored pool")

# %%
step_mixture = (t**2 * m + 2 * t * m + fit.subs(c, 1)) / later**2
equal(step_mixture, m + u / (n * later**2), "the mean of the mixture")

# %%
square_stored = (t * (u + m) + fit + 1) / later
square_mixture = 1 + (t * (u + m - 1) + fit.subs(c, 1)) / later
next_stored, next_mixture = square_stored - step_stored, square_mixture - step_mixture  # u of the next generation

# %% [markdown]
# ## The spread of the pool is nearly 1
#
# For $n \ge 2$ and every $t \ge 1$
# $$1 - \frac{1}{n} \le u_t \le \frac{n}{n-1} \quad \text{(stored)}, \qquad 1 \le u_t \le \frac{n}{n-1} \quad
# \text{(mixture)},$$ and therefore $|u_t - 1| \le \frac{1}{n-1}$.
#
# *From below*, by induction: the starts are the lower bounds, and with $0 \le c \le 1$ each step keeps them, because
# the right sides here are sums of nonnegative terms:

# %%
low = 1 - 1 / n
equal(
    next_stored - low,
    (u - low) * t / later + (u * c + 1) * t / (n * later**2),
    "stored: the excess over 1 - 1/n",
)

# %%
equal(next_mixture - 1, (u - 1) * t / later + u * t / (n * later**2), "mixture: the excess over 1")

# %% [markdown]
# *From above*, by induction: the starts are below $U = n/(n-1)$, and what is left to $U$ after a step is again a sum of
# terms that are nonnegative when $u \le U$ and $c \le 1$. It uses $1 + U/n = U$.

# %%
top = n / (n - 1)
equal(1 + top / n, top, "the property of U")
left_stored = (top - u) * t / later + (top - u * c) / (n * later) + (u * c + 1) / (n * later**2)
equal(top - next_stored, left_stored, "stored: what is left to U")

# %%
left_mixture = (top - u) * t / later + (top - u) / (n * later) + u / (n * later**2)
equal(top - next_mixture, left_mixture, "mixture: what is left to U")
equal(top - 1, 1 / (n - 1), "the distance of U from 1; that of 1 - 1/n is smaller")

# %% [markdown]
# ## The leading order
#
# Summing the steps of $m$,
# $$n v_t = n m_1 + \sum_{s=1}^{t-1} \frac{c_s u_s + \kappa}{(s+1)^2} + c_t u_t,$$
# with $\kappa = 1$ and $n m_1 = 1$ (stored), or 0 and 0 (mixture). To leading order in $1/n$, $u = 1$ and $c_s$ is
# $c^0_s = 1$ or, without replacement, $1 - 1/s$. Let $S_t = \sum_{i \le t} 1/i^2$. Then the sum is
# $3S_t - 2$ without replacement, $2S_t$ with replacement, $S_t$ for the mixture: right at $t = 1$, and with the right
# increments.

# %%
leading_share = 1 - 1 / t
equal(sp.limit(share, n, sp.oo), leading_share, "c_t for large n")
cases = {
    "without replacement": (leading_share, 1, 3, -2),
    "with replacement": (sp.Integer(1), 1, 2, 0),
    "mixture": (sp.Integer(1), 0, 1, 0),
}
for name, (c0, kappa, slope, offset) in cases.items():
    start = kappa + c0.subs(t, 1)  # n m_1 is kappa in all three cases
    equal(start, slope * 1 + offset, f"{name}: t = 1, where S = 1")
    increment = (c0 + kappa) / later**2 + c0.subs(t, later) - c0
    equal(increment, slope / later**2, f"{name}: the increment is a multiple of that of S")

# %% [markdown]
# ## Its error
#
# $|c_s u_s - c^0_s| \le c_s|u_s - 1| + |c_s - c^0_s|$. The first is at most $\frac{1}{n-1}$. Without replacement
# $$0 \le c_s - c^0_s = \frac{s-1}{s(sn-1)} \le \frac{s-1}{s^2(n-1)} \le \frac{1}{4(n-1)},$$
# because $sn - 1 \ge s(n-1)$ and $4(s-1) \le s^2$. The weights of these errors add up to
# $1 + \sum_{s<t}(s+1)^{-2} \le S_\infty = \pi^2/6$. So the error of the leading order is at most
# $\frac{5}{4}\,\frac{\pi^2}{6}\,\frac{1}{n-1} < \frac{9}{4(n-1)}$ at every $t \ge 1$: the claim **finite**.

# %%
equal(share - leading_share, (t - 1) / (t * (t * n - 1)), "the difference of the shares")
equal(t * n - 1 - t * (n - 1), t - 1, "sn - 1 exceeds s(n - 1) by s - 1")
equal(t**2 - 4 * (t - 1), (t - 2) ** 2, "s^2 exceeds 4(s - 1) by a square")
index = sp.Symbol("i", integer=True, positive=True)
basel = equal(sp.summation(1 / index**2, (index, 1, sp.oo)), sp.pi**2 / 6, "the sum of inverse squares").rhs
holds(sp.Rational(5, 4) * basel < sp.Rational(9, 4), "5 pi^2/24 < 9/4")

# %% [markdown]
# ## The limits
#
# At fixed $n \ge 2$ the variance converges. $m_t$ increases, by terms of order $1/t^2$, so it has a limit. And
# $\delta_t = U - u_t \to 0$: with $a = 1 - \frac{1}{n} > 0$ the steps above are
# $$0 \le \delta_{t+1} \le \left(1 - \frac{a}{t+1}\right)\delta_t + \frac{b}{t^2}$$
# for some $b$ (without replacement $U - uc = \delta + u(1 - c)$, and $1 - c_t = \frac{n-1}{tn-1} \le \frac{1}{t}$). So
# $\delta_t$ is at most $\sum_{s<t} \frac{b}{s^2} \prod_{r=s+1}^{t-1}\left(1 - \frac{a}{r+1}\right)$ plus $\delta_1$
# times such a product. Every product tends to 0, because $\sum 1/r = \infty$, and the terms stay below $b/s^2$, which
# has a finite sum: by dominated convergence $\delta_t \to 0$. So $v_t$ tends to $m_\infty + \frac{U}{n}$, because
# $c_t \to 1$.
#
# By the claim **finite** this limit differs from $3S_\infty - 2$, $2S_\infty$, $S_\infty$ over $n$, the leading order
# below, by at most $\frac{9}{4n(n-1)}$.

# %%
equal(1 - share, (n - 1) / (t * n - 1), "1 - c without replacement")
equal((t * n - 1) - t * (n - 1), t - 1, "which is at most 1/t, because this is nonnegative")
equal(t / later + 1 / (n * later), 1 - (1 - 1 / n) / later, "the factor of the distance to U")
std = sp.Symbol("std", positive=True)
constants = {name: slope * basel + offset for name, (_, _, slope, offset) in cases.items()}
limits = {name: constant * std**2 / n for name, constant in constants.items()}
for name, claim in (
    ("without replacement", "without-replacement"),
    ("with replacement", "with-replacement"),
    ("mixture", "mixture"),
):
    states("accumulate-subsample", claim, sp.Eq(sp.Function("leading")(n), limits[name]))
list(constants.values())

# %% [markdown]
# ## One point
#
# With $n = 1$ every fit is one point of the pool, or one new point at one of the old fits: $c_t = 1$ for $t \ge 2$,
# $u_1 = 0$ if the points are stored, and $v_t = m_t + u_t = q_t$. In all three cases $q_1 = 1$ and $q_{t+1} = q_t +
# \frac{1}{t+1}$: the variance is the harmonic number, which has no bound.

# %%
one = {n: 1, c: 1}
equal(share.subs(n, 1).subs(t, t + 1), 1, "c_t for n = 1 and t >= 2")
equal(fit.subs(one), m + u, "the variance is q")
harmonic = sp.harmonic(t)
for following in (square_stored, square_mixture):
    increment = sp.expand_func(harmonic.subs(t, later)) - harmonic
    equal(following.subs(one) - (m + u), increment, "q grows by 1/(t+1), as the harmonic number")
equal(harmonic.subs(t, 1), 1, "q_1 = 1")
states("accumulate-subsample", "one-point", sp.Eq(sp.Function("V")(t), std**2 * harmonic))

# %% [markdown]
# ## The functions of the library
#
# The reference runs the recursions for $m$ and $q$ as they were first written, to 40 digits.


# %%
def variance_at(draw):
    """E theta_t^2 by the recursion of m and q."""

    def variance(t, n, std):
        stored = draw != "mixture"
        m, q = (1 / n, mpmath.mpf(1)) if stored else (mpmath.mpf(0), mpmath.mpf(1))
        for s in range(1, int(t) + 1):
            share = n * (s - 1) / (s * n - 1) if draw == "without replacement" else 1
            v = m + share * (q - m) / n
            m = (s**2 * m + 2 * s * m + v + (1 / n if stored else 0)) / (s + 1) ** 2
            q = (s * q + v + 1) / (s + 1)
        return std**2 * v

    return variance


for name in cases:
    where = {"t": range(1, 60), "n": range(2, 50), "std": (0.1, 3.0)}
    agrees("theory.regimes.accumulate_subsample_variance", variance_at(name), where=where, fixed={"draw": name})
    alone = {"draw": name, "n": 1}
    where = {"t": range(1, 100), "std": (0.1, 3.0)}
    agrees("theory.regimes.accumulate_subsample_variance", std**2 * harmonic, where=where, fixed=alone)
    where = {"n": range(2, 500), "std": (0.1, 3.0)}
    agrees("theory.regimes.accumulate_subsample_limit", limits[name], where=where, fixed={"draw": name})
