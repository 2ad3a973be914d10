# %% [markdown]
# # Under cross entropy the log-variance of a Gaussian is a random walk with a negative drift
#
# Generation $t + 1$ is the maximum-likelihood fit (or its unbiased version) to $n$ points from
# $N(\mu_t, \sigma_t^2)$. Write the points as $x_i = \mu_t + \sigma_t z_i$ with independent standard normal $z_i$. Then
# $$\mu_{t+1} = \mu_t + \sigma_t \bar z, \qquad \sigma_{t+1}^2 = \frac{\sigma_t^2}{m} \sum_i (z_i - c)^2,$$
# with $c = \bar z$ if the mean is fitted and $c = 0$ if it is known. The $z_i$ are independent of everything up to
# generation $t$, and the state enters through $\mu_t$ and $\sigma_t$ alone.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

n, m, nu, t = (sp.Symbol(name, positive=True) for name in ("n", "m", "nu", "t"))
std = sp.Symbol("std", positive=True)
mean_of, variance_of = sp.Function("E"), sp.Function("Var")
xi, sigma_t, mu_t = sp.symbols("xi sigma_t mu_t")

# %% [markdown]
# ## The law of a step (Cochran)
#
# **Mean known.** $\sum z_i^2$ has the law $\chi^2_n$ by definition.
#
# **Mean fitted.** Let $O$ be Helmert's matrix: its first row is $(1, \ldots, 1)/\sqrt{n}$, and its row
# $j = 2, \ldots, n$ is $(1, \ldots, 1, -(j-1), 0, \ldots, 0)/\sqrt{j(j-1)}$ with $j - 1$ ones. It is orthogonal: rows
# have norm 1; row $k > j$ (and the first row) is constant on the first $j$ places, which are all that row $j$ has, and
# the entries of row $j$ sum to 0.

# %%
j = sp.Symbol("j", integer=True, positive=True)
place = sp.Symbol("i", integer=True, positive=True)
ones, last = sp.summation(1, (place, 1, j - 1)), -(j - 1)  # the sum of the first entries of row j, and its entry j
equal((ones + last**2) / (j * (j - 1)), 1, "a row of Helmert's matrix has norm 1")
equal(sp.summation(1 / n, (place, 1, n)), 1, "so has the first row")
zero(ones + last, "the entries of row j sum to 0: its product with a row that is constant there")

# %% [markdown]
# The density of $(z_1, \ldots, z_n)$ depends on $\sum z_i^2$ only, which $O$ preserves, so that $w = Oz$ is a vector of
# independent standard normal numbers again. Now $w_1 = \sqrt{n}\,\bar z$, and
# $$\sum_i (z_i - \bar z)^2 = \sum_i z_i^2 - n\bar z^2 = \sum_j w_j^2 - w_1^2 = \sum_{j \ge 2} w_j^2 .$$
# So the sum of squares has the law $\chi^2_{n-1}$ and is independent of $\bar z$, which is $N(0, 1/n)$. The first
# equality is an expansion of the square, with $\sum z_i = n\bar z$:

# %%
squares, mean = sp.symbols("squares mean", real=True)  # the sum of z_i^2, and the mean
equal(squares - 2 * mean * (n * mean) + n * mean**2, squares - n * mean**2, "sum of squares around the mean")

# %% [markdown]
# Together: $\log\sigma_{t+1}^2 = \log\sigma_t^2 + \xi_{t+1}$, where $\xi_{t+1} = \log(\chi^2_\nu/m)$ with $\nu = n - 1$
# if the mean is fitted and $\nu = n$ if it is known. The $\xi$ are independent because each is a function of fresh
# $z_i$ alone. This is the claim **step**.
#
# ## Moments of a step
#
# For every $a > 0$ the integral below is $2^a \Gamma(a)$. With $a = \nu/2 + s$ it gives, for every $s > -\nu/2$,
# $$\mathbb{E}\,e^{s\xi} = \mathbb{E}\left(\frac{\chi^2_\nu}{m}\right)^s
# = \left(\frac{2}{m}\right)^s \frac{\Gamma(\nu/2 + s)}{\Gamma(\nu/2)} .$$

# %%
x, a = sp.symbols("x a", positive=True)
s = sp.Symbol("s", real=True)
equal(sp.integrate(x ** (a - 1) * sp.exp(-x / 2), (x, 0, sp.oo)), 2**a * sp.gamma(a), "the integral, for a > 0")
moment = (2 / m) ** s * sp.gamma(nu / 2 + s) / sp.gamma(nu / 2)
normalised = (2**a * sp.gamma(a)).subs(a, nu / 2 + s) / (2**a * sp.gamma(a)).subs(a, nu / 2) / m**s
equal(sp.powsimp(sp.expand_power_base(moment)), sp.powsimp(sp.expand_power_base(normalised)), "the moment of order s")

# %% [markdown]
# The moments are finite for $s$ on both sides of 0, so the cumulants of $\xi$ are the derivatives at $s = 0$ of
# $K(s) = \log \mathbb{E}\,e^{s\xi}$.


# %%
def with_digamma(expression):
    """Write polygamma of order 0 as digamma."""
    return expression.replace(sp.polygamma, lambda k, y: sp.digamma(y) if k == 0 else sp.polygamma(k, y))


cumulants = s * sp.log(2 / m) + sp.loggamma(nu / 2 + s) - sp.loggamma(nu / 2)
logarithm = sp.expand_log(sp.log(moment), force=True)  # all factors are positive
zero(sp.expand_log(logarithm - cumulants.replace(sp.loggamma, lambda y: sp.log(sp.gamma(y)))), "K is the logarithm")
drift = with_digamma(sp.diff(cumulants, s).subs(s, 0))
step_variance = sp.diff(cumulants, s, 2).subs(s, 0)
equal(drift, sp.digamma(nu / 2) + sp.log(2 / m), "the mean of a step")
equal(step_variance, sp.polygamma(1, nu / 2), "its variance")

# %%
size, ddof = sp.Symbol("n", integer=True, positive=True), sp.Symbol("ddof", integer=True, nonnegative=True)
fitted = {nu: size - 1, m: size - ddof}
known = {nu: size, m: size}
states("gaussian-ce-law", "drift", sp.Eq(mean_of(xi), drift.subs(fitted)))

# %%
states("gaussian-ce-law", "drift-known-mean", sp.Eq(mean_of(xi), drift.subs(known)))

# %%
states("gaussian-ce-law", "step-variance", sp.Eq(variance_of(xi), step_variance.subs(fitted)))

# %% [markdown]
# $\log\sigma_t = \log\sigma_0 + \frac{1}{2}(\xi_1 + \cdots + \xi_t)$ is a sum of $t$ independent terms: its mean is
# $\log\sigma_0 + \frac{t}{2}\,\mathbb{E}\,\xi$ and its variance $\frac{t}{4}\,\mathrm{Var}\,\xi$, the claim
# **log-moments**.
#
# ## Moments of the scale
#
# $\sigma_t^q = \sigma_0^q\, e^{(q/2)(\xi_1 + \cdots + \xi_t)}$, so that $\mathbb{E}\,\sigma_t^q = \sigma_0^q\,
# (\mathbb{E}\,e^{(q/2)\xi})^t$. For $q = 2$ the factor is $\nu/m$, for $q = 1$ it is a ratio of two Gamma functions.

# %%
mean_factor = equal(moment.subs(s, 1), nu / m, "the mean factor of the variance").rhs
std_factor = sp.sqrt(2 / m) * sp.gamma((nu + 1) / 2) / sp.gamma(nu / 2)
equal(moment.subs(s, sp.Rational(1, 2)), std_factor, "the mean factor of the scale")

# %%
generation = sp.Symbol("t", integer=True, nonnegative=True)
states(
    "gaussian-ce-law",
    "variance",
    sp.Eq(mean_of(sigma_t**2), std**2 * mean_factor.subs(fitted) ** generation),
)

# %%
equal(mean_factor.subs(known), 1, "mean known: the variance keeps its mean")
states("gaussian-ce-law", "std-factor", sp.Eq(sp.Function("f")(size, ddof), std_factor.subs(fitted)))

# %%
states("gaussian-ce-law", "alpha", sp.Eq(sp.Function("alpha")(size), std_factor.subs(fitted).subs(ddof, 1)))

# %%
states(
    "gaussian-ce-law",
    "std",
    sp.Eq(mean_of(sigma_t), std * std_factor.subs(fitted) ** generation),
)

# %%
states(
    "gaussian-ce-law",
    "std-known-mean",
    sp.Eq(mean_of(sigma_t), std * std_factor.subs(known) ** generation),
)

# %% [markdown]
# The factor of the scale is below 1, by the Cauchy–Schwarz inequality, which is strict because $\chi^2_\nu$ is not
# constant: $(\mathbb{E}\,e^{\xi/2})^2 < \mathbb{E}\,e^{\xi} = \nu/m \le 1$.

# %%
k = sp.Symbol("k", integer=True, nonnegative=True)  # n = 2 + k
holds((1 - mean_factor.subs(fitted)).subs(ddof, 0).subs(size, 2 + k).simplify() > 0, "nu/m < 1 with ddof 0")
zero(mean_factor.subs(fitted).subs(ddof, 1) - 1, "nu/m = 1 with ddof 1")

# %% [markdown]
# ## Collapse
#
# For $y > 0$, $\log y \le y - 1$ with equality at $y = 1$ only: the difference $y - 1 - \log y$ is 0 at 1 and has the
# slope $(y - 1)/y$. Put $y = e^\xi/\mathbb{E}\,e^\xi$ and take the mean: because $y$ is not constant,
# $$\mathbb{E}\,\xi < \log\mathbb{E}\,e^\xi = \log\frac{\nu}{m} \le 0 .$$
# So the drift is negative in every case; with ddof $= 1$ or a known mean, where $\nu = m$, too. All moments of $\xi$
# are finite, so by the strong law of large numbers
# $$\frac{1}{t} \log\sigma_t^2 = \frac{1}{t} \log\sigma_0^2 + \frac{1}{t}\sum_{s \le t} \xi_s \to \mathbb{E}\,\xi < 0$$
# almost surely: $\sigma_t \to 0$ at an exponential rate, the claim **collapse**.

# %%
y = sp.Symbol("y", positive=True)
gap = y - 1 - sp.log(y)
equal(sp.diff(gap, y), (y - 1) / y, "slope of y - 1 - log y: negative below 1, positive above")
zero(gap.subs(y, 1), "it vanishes at 1")

# %% [markdown]
# With ddof $= 1$ the mean of $\sigma_t^2$ does not move while $\sigma_t \to 0$. Its variance,
# $\mathbb{E}\,\sigma_t^4 - (\mathbb{E}\,\sigma_t^2)^2$, shows how: with the second moment $\nu(\nu + 2)/m^2$ of the
# factor it grows exponentially; the mean is carried by ever rarer paths (claim **heavy-tail**).

# %%
second = equal(sp.gammasimp(moment.subs(s, 2)), nu * (nu + 2) / m**2, "the second moment of the factor").rhs
spread = std**4 * (second**generation - mean_factor ** (2 * generation)).subs(fitted)
unbiased = std**4 * (((size + 1) / (size - 1)) ** generation - 1)
zero(sp.simplify(spread.subs(ddof, 1) - unbiased), "with ddof 1")
states("gaussian-ce-law", "heavy-tail", sp.Eq(variance_of(sigma_t**2), spread))

# %% [markdown]
# ## The location
#
# Mean fitted. Given the past, $\mu_{t+1} - \mu_t = \sigma_t \bar z$ has mean 0 and variance $\sigma_t^2/n$: $\mu_t$ is
# a martingale, its increments are uncorrelated, and $V_t = \mathrm{Var}\,\mu_t$ solves $V_0 = 0$,
# $V_{t+1} = V_t + \mathbb{E}\,\sigma_t^2/n$.

# %%
relative_ml, relative_unbiased = 1 - (1 - 1 / size) ** generation, generation / size
for relative, correction in ((relative_ml, 0), (relative_unbiased, 1)):
    increment = relative.subs(generation, generation + 1) - relative
    gained = (mean_factor.subs(fitted).subs(ddof, correction) ** generation) / size
    zero(relative.subs(generation, 0), "V starts at 0")
    zero(sp.powsimp(sp.expand(sp.simplify(increment - gained))), f"it grows by E sigma_t^2 / n, ddof {correction}")

# %%
location = sp.Piecewise((relative_ml, sp.Eq(ddof, 0)), (relative_unbiased, True))
states("gaussian-ce-law", "location", sp.Eq(variance_of(mu_t), std**2 * location))

# %% [markdown]
# Under maximum likelihood what the scale loses the location takes up (claim **conservation**):

# %%
equal(
    std**2 * sp.simplify(mean_factor.subs(fitted).subs(ddof, 0)) ** generation + std**2 * relative_ml,
    std**2,
    "E sigma_t^2 + Var mu_t",
)

# %% [markdown]
# ## Large samples
#
# The asymptotic expansions of $\psi$ and $\psi'$ give the leading orders, the claim **large-samples**.

# %%
expansion = sp.series(sp.digamma(1 / x), x, 0, 3).removeO() + sp.log(x)  # psi(1/x) - log(1/x)
zero(expansion + x / 2 + x**2 / 12, "psi(z) - log(z) = -1/(2z) - 1/(12 z^2) + O(z^-3), x = 1/z")
for name, law, limit in (
    ("mean fitted, ddof 0", {nu: n - 1, m: n}, -2),
    ("mean fitted, ddof 1", {nu: n - 1, m: n - 1}, -1),
    ("mean known", {nu: n, m: n}, -1),
):
    leading = expansion.subs(x, 2 / law[nu]) + sp.log(law[nu] / law[m])  # up to O(n^-3)
    zero(sp.limit(n * leading, n, sp.oo) - limit, f"n times the drift tends to {limit}: {name}")
trigamma = sp.series(sp.polygamma(1, 1 / x), x, 0, 3).removeO()
zero(sp.limit(n * trigamma.subs(x, 2 / (n - 1)), n, sp.oo) - 2, "n times the variance of a step tends to 2")

# %% [markdown]
# ## The functions of the library

# %%
sizes, times, ddofs, scales = range(2, 400), range(60), [0, 1], (0.1, 5.0)
agrees("theory.gaussian.log_variance_drift", drift.subs(fitted), where={"n": sizes, "ddof": ddofs})
agrees("theory.gaussian.log_variance_drift", drift.subs(known), where={"n": sizes}, fixed={"fit_mean": False})
agrees("theory.gaussian.log_variance_step_variance", step_variance.subs(fitted), where={"n": sizes})
agrees("theory.gaussian.std_factor", std_factor.subs(fitted), where={"n": sizes, "ddof": ddofs})
agrees("theory.gaussian.std_factor", std_factor.subs(known), where={"n": sizes}, fixed={"fit_mean": False})
agrees("theory.gaussian.alpha", std_factor.subs(fitted).subs(ddof, 1), where={"n": sizes})
where = {"n": sizes, "t": times, "std": scales}
both = {**where, "ddof": ddofs}
agrees("theory.gaussian.expected_variance", std**2 * mean_factor.subs(fitted) ** generation, where=both)
agrees("theory.gaussian.expected_std", std * std_factor.subs(fitted) ** generation, where=both)
agrees("theory.gaussian.variance_of_mean", std**2 * location, where=both)
agrees("theory.gaussian.variance_of_variance", spread, where={**both, "t": range(1, 60)})
known_mean = {"fit_mean": False}
agrees("theory.gaussian.log_variance_step_variance", step_variance.subs(known), where={"n": sizes}, fixed=known_mean)
agrees("theory.gaussian.expected_std", std * std_factor.subs(known) ** generation, where=where, fixed=known_mean)
agrees("theory.gaussian.expected_variance", std**2 * mean_factor.subs(known), where=where, fixed=known_mean)
both = {**both, "std": (0.1, 0.9)}  # both terms of the mean negative
log_mean = sp.log(std) + generation * drift.subs(fitted) / 2
agrees("theory.gaussian.log_std_moments", log_mean, where=both, part="mean")
agrees("theory.gaussian.log_std_moments", generation * step_variance.subs(fitted) / 4, where=both, part="variance")
