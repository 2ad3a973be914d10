# %% [markdown]
# # Leaving out the centre of a Gaussian inflates its variance
#
# Let $X \sim N(\mu, \sigma^2)$ and condition on $|X - \mu| \ge a\sigma$: the samples that relative truncation with the
# previous generation's mask keeps. In units of $\sigma$ and around $\mu$ this is a standard normal $Z$ given $|Z| \ge a$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

a = sp.Symbol("a", positive=True)
z = sp.Symbol("z", real=True)
density = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)

# %% [markdown]
# ## The factor
#
# The conditional law is symmetric, so its mean is 0 and its variance is the second moment: the integral of
# $z^2\varphi(z)$ over $z \ge a$, divided by the probability $1 - \Phi(a)$; both halves of the line contribute alike. Take
# $a > 0$; at $a = 0$ nothing is left out and the factor is 1, which is what the formula gives there.

# %%
tail = sp.integrate(density, (z, a, sp.oo))
second_moment = sp.integrate(z**2 * density, (z, a, sp.oo))
equal(tail, sp.erfc(a / sp.sqrt(2)) / 2, "the tail probability")

# %%
hazard = density.subs(z, a) / (sp.erfc(a / sp.sqrt(2)) / 2)
equal(second_moment / tail, 1 + a * hazard, "the conditional second moment is 1 + a h(a)")

# %%
states("tail-inflation", "factor", sp.Eq(sp.Function("eta")(a), 1 + a * hazard))

# %% [markdown]
# ## Growth
#
# The hazard solves $h' = h\,(h - a)$. For $a \ge 0$ it lies above $a$: with $\varphi'(z) = -z\varphi(z)$,
# $$\varphi(a) - a\,(1 - \Phi(a)) = \int_a^\infty (z - a)\,\varphi(z)\,dz > 0 .$$
# So $h > 0$ and $h' > 0$, and $\eta' = h + a h' > 0$. From $h(a) > a$ follows $\eta(a) > 1 + a^2$ for $a > 0$.

# %%
zero(sp.diff(hazard, a) - hazard * (hazard - a), "h' = h (h - a)")
equal(
    sp.integrate((z - a) * density, (z, a, sp.oo)),
    density.subs(z, a) - a * sp.erfc(a / sp.sqrt(2)) / 2,
    "the integral of a positive function",
)

# %%
h = sp.Symbol("h", positive=True)
excess = sp.Symbol("e", positive=True)  # h - a
slope = h + a * h * excess  # of eta, with h' = h (h - a) put in
holds(slope > 0, "the slope of eta is positive")
equal((1 + a * hazard).subs(a, 0), 1, "eta(0) = 1")

# %% [markdown]
# ## The function of the library

# %%
agrees("theory.truncated.tail_inflation", 1 + a * hazard, where={"a": (0.0, 30.0)})
