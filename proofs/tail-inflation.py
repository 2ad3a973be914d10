# %% [markdown]
# # Leaving out the centre of a Gaussian inflates its variance
#
# Let $X \sim N(\mu, \sigma^2)$ and condition on $|X - \mu| \ge a\sigma$: the samples that relative truncation with the
# previous generation's mask keeps. In units of $\sigma$ and around $\mu$ this is a standard normal $Z$ given
# $|Z| \ge a$.

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
# $z^2\varphi(z)$ over $z \ge a$, divided by the probability $1 - \Phi(a)$; both halves of the line contribute alike.
# Take $a > 0$; at $a = 0$ nothing is left out and the factor is 1, which is what the formula gives there.

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
# In the same way
# $$(1 + a^2)(1 - \Phi(a)) - a\,\varphi(a) = \int_a^\infty (z - a)^2\,\varphi(z)\,dz > 0$$
# says $a\,h(a) < 1 + a^2$, that is, $\eta(a) < 2 + a^2$.

# %%
zero(sp.diff(hazard, a) - hazard * (hazard - a), "h' = h (h - a)")
equal(
    sp.integrate((z - a) * density, (z, a, sp.oo)),
    density.subs(z, a) - a * sp.erfc(a / sp.sqrt(2)) / 2,
    "the integral of a positive function",
)

# %%
equal(
    sp.integrate((z - a) ** 2 * density, (z, a, sp.oo)),
    (1 + a**2) * sp.erfc(a / sp.sqrt(2)) / 2 - a * density.subs(z, a),
    "the integral of another positive function",
)

# %%
h = sp.Symbol("h", positive=True)
excess = sp.Symbol("e", positive=True)  # h - a
slope = h + a * h * excess  # of eta, with h' = h (h - a) put in
holds(slope > 0, "the slope of eta is positive")
equal((1 + a * hazard).subs(a, 0), 1, "eta(0) = 1")

# %% [markdown]
# ## The recursion of the mean
#
# Given $K = k \ge 1$ kept points of a generation with scale $\sigma_t$, around a known mean, the fitted variance is the
# mean of $k$ squares, each of conditional mean $\eta(a)\sigma_t^2$, whatever $k$ is. Times a bias $\lambda$, and
# averaged over $\sigma_t$: $\mathrm{E}\,\sigma_{t+1}^2 = \lambda\,\eta(a)\,\mathrm{E}\,\sigma_t^2$.

# %%
k, bias, variance = sp.symbols("k lambda V", positive=True)
eta_of_a = sp.Function("eta")(a)
equal(bias * (k * eta_of_a * variance) / k, bias * eta_of_a * variance, "one generation")
(constant,) = sp.solve(sp.Eq(bias * eta_of_a * variance, variance), eta_of_a)
equal(constant * bias, 1, "the mean is constant if and only if lambda eta = 1")

# %% [markdown]
# ## The threshold
#
# The density at a distance of $a$ scales is $e^{-a^2/2}$ of its peak, in every dimension: for $0 < \gamma \le 1$ it is
# above $\gamma$ times the peak within the radius at which both are equal. (For $\gamma > 1$ it never is.)

# %%
gamma = sp.Symbol("gamma", positive=True)
relative_density = equal(density.subs(z, a) / density.subs(z, 0), sp.exp(-(a**2) / 2), "relative to the peak").rhs
radius = sp.sqrt(-2 * sp.log(gamma))
zero(relative_density.subs(a, radius) - gamma, "at this radius it is gamma")
holds(sp.diff(-relative_density, a) > 0, "and it decreases with the distance")
states("tail-inflation", "radius", sp.Eq(sp.Function("a")(gamma), radius))

# %%
states("tail-inflation", "threshold", sp.Eq(sp.Function("gamma")(a), relative_density))

# %% [markdown]
# ## In $d$ dimensions
#
# Half the squared length of a standard normal vector has the Gamma law with shape $d/2$, density
# $g^{d/2-1}e^{-g}/\Gamma(d/2)$, and $|Z| \ge a$ says $g \ge a^2/2$. By symmetry the conditional mean of each coordinate
# is 0 and its variance is that of every other: $\mathrm{E}(|Z|^2 \mid |Z| \ge a)/d$. The integrals are upper incomplete
# gamma functions, by their definition.

# %%
d, g = sp.symbols("dimension g", positive=True)
w = a**2 / 2
probability = sp.uppergamma(d / 2, w) / sp.gamma(d / 2)  # integral of g^(d/2-1) e^-g over g ≥ w
mean_length = 2 * sp.uppergamma(d / 2 + 1, w) / sp.gamma(d / 2)  # of 2g: |Z|² = 2g
zero(sp.diff(sp.uppergamma(d / 2, g), g) + g ** (d / 2 - 1) * sp.exp(-g), "the integrand of the probability")
zero(sp.diff(sp.uppergamma(d / 2 + 1, g), g) + g * g ** (d / 2 - 1) * sp.exp(-g), "the integrand of the mean")
upper = sp.uppergamma(d / 2 + 1, w) / sp.gamma(d / 2 + 1)
in_dimensions = upper / probability
equal(mean_length / probability / d, in_dimensions, "the variance of a coordinate")
states("tail-inflation", "dimensions", sp.Eq(sp.Function("eta")(a, d), in_dimensions))

# %% [markdown]
# For $d = 1$ this is $1 + a h(a)$ again, and for $d = 2$ it is $1 + a^2/2$.

# %%
equal(sp.expand_func(in_dimensions.subs(d, 1)), 1 + a * hazard, "one dimension")
equal(sp.expand_func(in_dimensions.subs(d, 2)), 1 + a**2 / 2, "two dimensions")

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.truncated.tail_inflation", 1 + a * hazard, where={"a": (0.0, 30.0)})
agrees("theory.truncated.tail_inflation", in_dimensions, where={"a": (0.01, 30.0), "dimension": range(1, 200)})
agrees("theory.truncated.relative_radius", radius, where={"gamma": (1e-6, 0.999)})
agrees("theory.truncated.relative_gamma", relative_density, where={"a": (0.0, 30.0)})
