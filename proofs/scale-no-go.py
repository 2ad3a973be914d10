# %% [markdown]
# # No scale-equivariant rule holds the scale of a Gaussian
#
# A rule turns the previous model $N(\mu, \sigma^2)$ and $n$ points drawn from it into the next model. It is
# *equivariant* if shifting and scaling the points and the previous model together shifts and scales the next model in
# the same way. Cross entropy is equivariant, and so is relative truncation with either mask, because it compares
# distances with scales only. An absolute threshold on densities is not: a density changes with the scale.

# %%
import mpmath
import numpy as np
import sympy as sp
from checking import agrees, equal, holds, states, summed, zero

from tce_theory import theorems
from tce_theory.theory import gaussian, truncated

# %% [markdown]
# ## A random walk
#
# Write the points as $x_i = \mu_t + \sigma_t z_i$ with standard normal $z_i$, fresh in every generation. By
# equivariance $\sigma_{t+1} = \sigma_t\,F(z_1, \ldots, z_n)$, where $F$ is the scale that the rule makes of the points
# $z$ and the previous model $N(0, 1)$. So $\xi_{t+1} = \log(\sigma_{t+1}^2/\sigma_t^2) = 2\log F$ depends on the fresh
# noise alone: the $\xi_t$ are independent, have the same law, and the law does not depend on $\mu_0$ or $\sigma_0$. (A
# generation in which the rule keeps the previous model has $F = 1$.)
#
# The step of algebra, for the three statistics that these rules are made of: the variance of chosen points around their
# mean or a fixed centre, the distance of a point from the centre in units of the scale, and the density, which is not
# equivariant.

# %%
mu = sp.Symbol("mu", real=True)
sigma, n, a = sp.symbols("sigma n a", positive=True)
z = sp.Symbol("z", real=True)
point = mu + sigma * z
kept, total, squares = sp.symbols("k s q", real=True)  # number of chosen points, sum of their z and of their z²
over_chosen = {sp.Integer(1): kept, z: total, z**2: squares}
sum_of_x, sum_of_x_squared = summed(point, over_chosen), summed(point**2, over_chosen)
variance_of_x = sum_of_x_squared / kept - (sum_of_x / kept) ** 2
zero(variance_of_x - sigma**2 * (squares / kept - (total / kept) ** 2), "variance of chosen points: factor sigma^2")
equal(sp.expand((point - mu) ** 2 / sigma**2), z**2, "squared distance in scales: unchanged")
density = sp.exp(-(z**2) / 2) / (sigma * sp.sqrt(2 * sp.pi))
equal(density / density.subs(sigma, 1), 1 / sigma, "density: changes with the scale")

# %% [markdown]
# ## The rules fulfil the hypotheses
#
# Let $n \ge 2$ with a fitted mean, $n \ge 1$ with a known one. In units of the previous scale, with $w_0$ the variance
# of all points: under *cross entropy* the factor is $w_0$, $\chi^2$ up to a constant, and $\log\chi^2$ is integrable.
#
# *Previous mask.* With probability $1 - P < 1$ too few points are left, the previous model is kept, and $\xi = 0$. Else
# $\xi = \log V$ is integrable (`critical-truncation`: $V \ge (y_1 - y_2)^2/(2k)$, or $V \ge y_1^2/k$, and $\mathrm{E}V
# < \infty$) and has a continuous law. So $\mathrm{E}\xi = P\,\mathrm{E}[\log V \mid \text{fit}]$, which has the sign of
# the drift given a fit, and $\xi$ is not 0 almost surely.
#
# *Current mask*, $a \le 1$, squared distances $d_i^2$ from the fixed centre. Let $T(w)$ be the mean of those $d_i^2 \ge
# a^2 w$. Leaving out the smallest of some numbers does not lower their mean, so that $T$ is nondecreasing and $T(w) \ge
# w_0$. For $w \le \max d_i^2$ the farthest point is kept, as $a \le 1$, and $T(w) \le \max d_i^2$. So $w_0, T(w_0),
# T(T(w_0)), \ldots$ increases, below any fixed point, and ends after at most $n$ changes of the set of kept points at
# the smallest one: $w_0 \le \sigma_{t+1}^2/\sigma_t^2 \le \max d_i^2$. Both ends are positive and finite almost surely,
# $\log w_0$ is integrable, and $\mathrm{E}\max d_i^2 < \infty$: hence $\mathrm{E}|\xi| < \infty$. And $\xi > 0$ where
# $w_0 > 1$, which has positive probability.

# %%
average, gap_below, others = sp.symbols("A gap m", positive=True)  # of m + 1 numbers; one is A − gap
left = ((others + 1) * average - (average - gap_below)) / others  # mean of the other m
equal(left - average, gap_below / others, "leaving out a number below the mean raises the mean")

# %% [markdown]
# ## What a random walk can do
#
# Let $\xi$ not be 0 almost surely. A random walk on the line then does one of three things, each with probability 1
# (Feller 1971, volume II, XII.2): it tends to $-\infty$, to $+\infty$, or oscillates between them, $\liminf = -\infty$
# and $\limsup = +\infty$. (The limes superior is unchanged by permutations of finitely many steps, so that it is a
# constant $c$, possibly infinite, by Hewitt and Savage; and $c = \xi_1 + c'$, with $c'$ that of the later steps and
# equal to $c$, is impossible for a finite $c$ and a $\xi_1$ that is not 0.) Where $\mathrm{E}\xi$ exists the strong law
# of large numbers decides: to $-\infty$ for $\mathrm{E}\xi < 0$, to $+\infty$ for $\mathrm{E}\xi > 0$; for
# $\mathrm{E}\xi = 0$ it is recurrent (Chung and Fuchs), and oscillates. In terms of the scale: $\sigma \to 0$,
# $\sigma \to \infty$, or both limits are reached in turn.
#
# There is no stationary law of $\sigma$ on $(0, \infty)$. If $\log\sigma_0^2$, independent of the steps, had the law of
# $\log\sigma_0^2 + \xi_1$, the characteristic functions would satisfy $\chi(\theta) = \chi(\theta)\,\chi_\xi(\theta)$.
# Around $\theta = 0$, $\chi$ has no zero, so that $\chi_\xi = 1$ there, and $\xi = 0$ almost surely: for such $\theta$,
# $\mathrm{E}(1 - \cos\theta\xi) = 0$ with an integrand that is nonnegative.

# %%
chi, chi_step = sp.symbols("chi chi_xi", complex=True, nonzero=True)
(step_function,) = sp.solve(sp.Eq(chi, chi * chi_step), chi_step)
equal(step_function, 1, "where chi is not 0, that of the step is 1")
theta, xi = sp.symbols("theta xi", real=True)
equal(sp.trigsimp(1 - sp.cos(theta * xi) - 2 * sp.sin(theta * xi / 2) ** 2), 0, "1 - cos is twice a square")

# %% [markdown]
# ## The criterion of the source
#
# The source keeps the mean of the variance: $\lambda\,\eta(a) = 1$. Because $\eta$ increases continuously and strictly
# from 1 to $\infty$ (`tail-inflation`), there is exactly one such $a \ge 0$ for every $\lambda$ in $(0, 1]$.

# %%
bias = sp.Symbol("bias", positive=True)
radius = sp.Function("a")(bias)
inflation = theorems.get("tail-inflation").claim("factor").sympy_relation().rhs
(variable,) = inflation.free_symbols
states("scale-no-go", "criterion", sp.Eq(bias * inflation.subs(variable, radius), 1))

# %% [markdown]
# ## It does not prevent collapse
#
# Let the mean of the factor be at most 1, $\mathrm{E}e^\xi \le 1$. For every real $\xi$, $\xi \le e^\xi - 1$, with
# equality at $\xi = 0$ alone: the difference has the slope $e^\xi - 1$, negative below 0 and positive above. Taking
# means, $\mathrm{E}\xi$ exists (possibly $-\infty$) and $\mathrm{E}\xi < \mathrm{E}e^\xi - 1 \le 0$, strictly, because
# $\xi$ is not 0 almost surely. By the strong law $\log\sigma_t^2 \to -\infty$. If $\mathrm{E}e^\xi = 1$ the mean of
# $\sigma_t^2$ is $\sigma_0^2$ in every generation, and still $\sigma_t \to 0$ almost surely.

# %%
gap = sp.exp(xi) - 1 - xi
equal(gap.subs(xi, 0), 0, "equality at 0")
equal(sp.diff(gap, xi), sp.exp(xi) - 1, "the slope of the difference")
equal((sp.exp(xi) - 1).subs(xi, 0), 0, "the slope vanishes at 0")
holds(sp.diff(sp.exp(xi) - 1, xi) > 0, "and increases: it is negative below 0 and positive above")

# %% [markdown]
# This covers the criterion itself, with the previous mask, the mean fitted and $\lambda = 1 - 1/n$, for every $n \ge
# 2$: at $\eta = n/(n-1)$ the mean factor $\eta\,(1 - \mathrm{E}[1/K \mid K \ge 2])$ (`critical-truncation`) is at most
# 1, because $K \le n$, and below 1 for $n > 2$, where $K < n$ with positive probability. It is the sampling noise of
# the kept points, not that of all $n$, that reduces the variance. Where the previous model is kept the factor is 1,
# which leaves the mean factor at most 1.

# %%
noise = sp.Symbol("e", nonnegative=True)  # E[1/K] − 1/n
at_most_one = sp.simplify(1 - n / (n - 1) * (1 - 1 / n - noise))
equal(at_most_one, noise * n / (n - 1), "1 less the mean factor is n/(n-1) times E[1/K] - 1/n, which is not negative")

# %% [markdown]
# **Counterexample** to the claim that the variance is then stable: two points, a known mean and no truncation. The
# factor is $\chi^2_2/2$, a standard exponential variable: its mean is 1, and the mean of its logarithm is
# $\psi(1) = -C = -0.577\ldots$

# %%
v = sp.Symbol("v", positive=True)
equal(sp.integrate(v * sp.exp(-v), (v, 0, sp.oo)), 1, "the mean factor is 1")
drift = equal(sp.integrate(sp.log(v) * sp.exp(-v), (v, 0, sp.oo)), sp.digamma(1), "the drift is psi(1)").rhs
holds(sp.digamma(1) < 0, "which is negative: the scale collapses")

# %% [markdown]
# ## Half the rate
#
# With the previous mask and the mean fitted, $\lambda = 1 - 1/n$, the criterion is $\eta(a) = n/(n-1)$. Its solution in
# powers of $1/n$, from $\eta = 1 + xa + x^2a^2 + O(a^3)$ with $x = \sqrt{2/\pi}$, goes into the drift at
# $a = \alpha/n + \beta/n^2$ (`critical-truncation`; what is left out of $a$ is $O(n^{-3})$, a change of $\beta$ by
# $O(1/n)$, and the expansion is uniform in bounded $\beta$). All of this is given at least two kept points, whose
# probability differs from 1 by less than any power of $1/n$.

# %%
alpha = sp.Symbol("alpha", positive=True)
beta = sp.Symbol("beta", real=True)
tiny = sp.Symbol("delta", positive=True)  # 1/n
eta_series = sp.series(inflation.subs(variable, a), a, 0, 3).removeO()
condition = sp.expand(
    sp.series(eta_series.subs(a, alpha * tiny + beta * tiny**2) - 1 / (1 - tiny), tiny, 0, 3).removeO()
)
(alpha_value,) = sp.solve(condition.coeff(tiny, 1), alpha)
(beta_value,) = sp.solve(condition.coeff(tiny, 2).subs(alpha, alpha_value), beta)
equal(alpha_value, sp.sqrt(sp.pi / 2), "alpha")
equal(beta_value, 0, "beta")

# %%
expansion = theorems.get("critical-truncation").claim("drift-order").sympy_relation().rhs
by_name = {symbol.name: symbol for symbol in expansion.free_symbols}
at_criterion = expansion.subs({by_name["alpha"]: alpha_value, by_name["beta"]: beta_value, by_name["n"]: n})
half_rate = sp.expand(at_criterion)
states("scale-no-go", "half-rate", sp.Eq(sp.Function("drift")(n), half_rate))

# %% [markdown]
# Cross entropy is $\alpha = \beta = 0$ in the same expansion: $-2/n$ to leading order.

# %%
untruncated = expansion.subs({by_name["alpha"]: 0, by_name["beta"]: 0, by_name["n"]: n})
equal(sp.limit(untruncated * n, n, sp.oo), -2, "n times the drift of cross entropy")
ratio = sp.series((half_rate / untruncated).subs(n, 1 / tiny), tiny, 0, 2).removeO().subs(tiny, 1 / n)
states("scale-no-go", "half-rate-ratio", sp.Eq(sp.Function("ratio")(n), ratio))

# %% [markdown]
# Half of the rate is a limit. For few points the ratio is far from it, and above 1 for $n = 4$: there the criterion
# makes the collapse faster, also if generations that keep the previous model are counted (numerical).

# %%
sizes = np.array([3, 4, 5, 10, 100])
at_radius, of_ce = truncated.stable_radius_drift(sizes), gaussian.log_variance_drift(sizes)
with_kept = at_radius * truncated.kept_probability(truncated.stable_radius(1 - 1 / sizes), sizes)
for row in zip(sizes, at_radius, with_kept, of_ce, at_radius / of_ce, strict=True):
    print("n = {}: drift {:.5f}, with kept models {:.5f}, cross entropy {:.5f}, ratio {:.4f}".format(*row))
holds(bool(with_kept[1] < of_ce[1] and at_radius[1] < of_ce[1]), "n = 4: faster than cross entropy (numerical)")
draws = np.random.default_rng(4).standard_normal((400_000, 4))
chosen = np.abs(draws) >= truncated.stable_radius(0.75)
counts = np.maximum(chosen.sum(axis=1), 1)
deviations = np.where(chosen, draws - (np.where(chosen, draws, 0).sum(axis=1) / counts)[:, None], 0)
steps = np.log((deviations**2).sum(axis=1)[counts >= 2] / counts[counts >= 2])
error = steps.std() / steps.size**0.5
print(f"n = 4, simulated: {steps.mean():.4f} with a standard error of {error:.4f}")
holds(bool(abs(steps.mean() - at_radius[1]) < 4 * error), "n = 4: the drift agrees with a simulation (numerical)")

# %% [markdown]
# ## The functions of the library
#
# The expansion is within $10^{-12}$ for $n \ge 10^8$.

# %%


def radius_of(bias):
    def excess(value):
        return 1 + value * mpmath.npdf(value) / (mpmath.erfc(value / mpmath.sqrt(2)) / 2) - 1 / bias

    return mpmath.findroot(excess, (0, mpmath.sqrt(1 / bias - 1)), solver="anderson")


agrees("theory.truncated.stable_radius", radius_of, where={"bias": (0.05, 0.99)})
agrees("theory.truncated.stable_radius_drift", half_rate, where={"n": [10**8, 10**9, 10**10]}, points=3)
