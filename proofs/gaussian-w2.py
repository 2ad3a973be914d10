# %% [markdown]
# # Mean squared Wasserstein distance to generation 0 under cross entropy
#
# $W_2^2(P, Q)$ is the least $\mathbb{E}(X - Y)^2$ over all joint laws with $X \sim P$, $Y \sim Q$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

mu1, mu2 = sp.symbols("mu1 mu2", real=True)
sigma1, sigma2 = sp.symbols("sigma1 sigma2", positive=True)

# %% [markdown]
# ## Between two Gaussians
#
# For any joint law with covariance $c = \mathrm{Cov}(X, Y)$,
# $$\mathbb{E}(X - Y)^2 = (\mu_1 - \mu_2)^2 + \sigma_1^2 + \sigma_2^2 - 2c ,$$
# and $c \le \sigma_1\sigma_2$ by the Cauchy–Schwarz inequality. So $(\mu_1 - \mu_2)^2 + (\sigma_1 - \sigma_2)^2$ is a
# lower bound, and it is attained: $X = \mu_1 + \sigma_1 Z$ and $Y = \mu_2 + \sigma_2 Z$ with one standard normal $Z$
# have $c = \sigma_1\sigma_2$. This is the claim **distance**.

# %%
z = sp.Symbol("z", real=True)
density = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
coupled = sp.integrate(sp.expand((mu1 - mu2 + (sigma1 - sigma2) * z) ** 2) * density, (z, -sp.oo, sp.oo))
bound = (mu1 - mu2) ** 2 + sigma1**2 + sigma2**2 - 2 * sigma1 * sigma2
equal(coupled, (mu1 - mu2) ** 2 + (sigma1 - sigma2) ** 2, "the cost of the joint law with one Z")
equal(coupled, bound, "it is the lower bound")

# %% [markdown]
# ## The mean
#
# Expand: $W_2^2 = (\mu_t - \mu_0)^2 + \sigma_t^2 + \sigma_0^2 - 2\sigma_0\sigma_t$. From `gaussian-ce-law` come
# $\mathbb{E}\,\sigma_t = \sigma_0 f^t$ and, with the mean fitted, $\mathbb{E}(\mu_t - \mu_0)^2 +
# \mathbb{E}\,\sigma_t^2$: it is $\sigma_0^2$ with ddof $= 0$ and $\sigma_0^2(t/n + 1)$ with ddof $= 1$. With a known
# mean it is $\mathbb{E}\,\sigma_t^2 = \sigma_0^2$.

# %%
n, ddof = sp.Symbol("n", integer=True, positive=True), sp.Symbol("ddof", integer=True, nonnegative=True)
t, std = sp.Symbol("t", integer=True, nonnegative=True), sp.Symbol("std", positive=True)
location, scale, second = sp.symbols("location scale second")  # E (mu_t - mu_0)^2, E sigma_t, E sigma_t^2
mean_square = location + second + std**2 - 2 * std * scale
f = sp.Symbol("f", positive=True)


def mean_w2(location_and_second):
    """E W2^2 from E (mu_t - mu_0)^2 + E sigma_t^2."""
    return mean_square.subs(second, location_and_second - location).subs(scale, std * f**t)


maximum_likelihood = equal(mean_w2(std**2), 2 * std**2 * (1 - f**t), "ddof 0, or known mean").rhs

# %%
unbiased = equal(mean_w2(std**2 * (t / n + 1)), std**2 * (t / n + 2 - 2 * f**t), "ddof 1").rhs

# %%
fitted_factor = sp.sqrt(2) / sp.sqrt(n - ddof) * sp.gamma(n / 2) / sp.gamma((n - 1) / 2)
known_factor = sp.sqrt(2) / sp.sqrt(n) * sp.gamma((n + 1) / 2) / sp.gamma(n / 2)
fitted = std**2 * sp.Piecewise(
    ((maximum_likelihood / std**2).subs(f, fitted_factor), sp.Eq(ddof, 0)),
    (sp.expand(unbiased / std**2).subs(f, fitted_factor), True),
)
states("gaussian-w2", "mean-square", sp.Eq(sp.Function("E")(sp.Symbol("W_2") ** 2), fitted))

# %%
known = maximum_likelihood.subs(f, known_factor)
states("gaussian-w2", "known-mean", sp.Eq(sp.Function("E")(sp.Symbol("W_2") ** 2), known))

# %% [markdown]
# ## Growth
#
# $0 < f < 1$ (`gaussian-ce-law`), so that $1 - f^t$ increases with $t$ to 1. With ddof $= 0$ or a known mean the mean
# squared distance therefore increases to $2\sigma_0^2$ and stays below it. With ddof $= 1$ the term
# $\sigma_0^2\,t/n$ comes on top and exceeds every bound. This is the claim **growth**.

# %%
k, gap = sp.Symbol("k", positive=True), sp.Symbol("gap", positive=True)
below_one = 1 / (1 + gap)  # any number in (0, 1)
step = maximum_likelihood.subs(t, t + 1) - maximum_likelihood
zero(step - 2 * std**2 * f**t * (1 - f), "one step adds 2 sigma_0^2 f^t (1 - f)")
holds((2 * std**2 * below_one**k * sp.simplify(1 - below_one)) > 0, "which is positive for f in (0, 1)")
equal(2 * std**2 - maximum_likelihood, 2 * std**2 * f**t, "what is left to the bound is positive")
equal(unbiased, maximum_likelihood + std**2 * t / n, "ddof 1 adds a term without a bound")

# %% [markdown]
# ## The function of the library

# %%
where = {"n": range(2, 300), "t": range(1, 60), "std": (0.1, 5.0)}
agrees("theory.gaussian.expected_w2_squared", fitted, where={**where, "ddof": [0, 1]})
agrees("theory.gaussian.expected_w2_squared", known, where=where, fixed={"fit_mean": False})
