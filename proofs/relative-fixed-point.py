# %% [markdown]
# # Self-consistent relative truncation on the population
#
# The model of scale $s\sigma$ masks what lies within $a s\sigma$ of the centre, and $s\sigma$ is the scale of what is
# left. In units of $\sigma$ the population is a standard normal $Z$ in $d$ dimensions, and
# $$s^2 = \frac{1}{d}\,\mathrm{E}\left(|Z|^2 \mid |Z| \ge a s\right) = \eta_d(a s) .$$
# For which radii $a$ is there a solution, how many, and how large?

# %%
import mpmath
import numpy as np
import sympy as sp
from checking import agrees, equal, holds, states, zero
from flint import arb, ctx

a, s, w, g, x, y, n = sp.symbols("a s w g x y n", positive=True)
alpha, d = sp.symbols("alpha dimension", positive=True)  # alpha = d/2

# %% [markdown]
# ## In half the squared radius
#
# $G = |Z|^2/2$ has the Gamma law with shape $\alpha = d/2$: density $g^{\alpha-1}e^{-g}/\Gamma(\alpha)$. With
# $w = (as)^2/2$ the equation is $s^2 = \mathrm{E}(G \mid G \ge w)/\alpha$. Because $s^2 = 2w/a^2$, for $a > 0$ it says
# $$m(w) := \frac{1}{w}\,\mathrm{E}(G \mid G \ge w) = \frac{d}{a^2} .$$

# %%
conditional_mean = sp.uppergamma(alpha + 1, w) / sp.uppergamma(alpha, w)
m = sp.Symbol("m", positive=True)
(solution,) = sp.solve(sp.Eq(2 * w / a**2, m * w / (d / 2)), m)
equal(solution, d / a**2, "the equation in m")

# %% [markdown]
# In one dimension this is the equation in the hazard: $\mathrm{E}(G \mid G \ge w)/\alpha = 1 + z h(z)$ at $z = as$.

# %%
u = sp.Symbol("u", positive=True)
density = sp.exp(-(u**2) / 2) / sp.sqrt(2 * sp.pi)
second_moment = sp.integrate(u**2 * density, (u, a * s, sp.oo)) / sp.integrate(density, (u, a * s, sp.oo))
hazard = density.subs(u, a * s) / (sp.erfc(a * s / sp.sqrt(2)) / 2)
equal(second_moment, 1 + a * s * hazard, "one dimension: the conditional second moment")
scale = sp.Function("s")(a)
states("relative-fixed-point", "equation", sp.Eq(scale**2, (1 + a * s * hazard).subs(s, scale)))

# %% [markdown]
# ## $m$ strictly decreases
#
# Given $G \ge w$ the ratio $X = G/w$ has a density proportional to $x^{\alpha-1}e^{-wx}$ on $x \ge 1$, and
# $m(w) = \mathrm{E}X$. With $f_i(w) = \int_1^\infty x^{\alpha-1+i}e^{-wx}\,dx$ one has $m = f_1/f_0$ and
# $f_i' = -f_{i+1}$, because the derivative of the integrand in $w$ is that of the next one with its sign changed. So
# $m' =
# -\mathrm{Var}\,X < 0$: $X$ is not constant.

# %%
integrand = x ** (alpha - 1) * sp.exp(-w * x)
zero(sp.diff(integrand, w) + x * integrand, "the derivative of the integrand")
f = [sp.Function(f"f{i}")(w) for i in range(3)]
slope = sp.diff(f[1] / f[0], w).subs({sp.diff(f[i], w): -f[i + 1] for i in (0, 1)})
variance = f[2] / f[0] - (f[1] / f[0]) ** 2
equal(slope, -variance, "m' = -Var X")

# %% [markdown]
# ## Its range is $(1, \infty)$
#
# Write $\mathrm{E}(G \mid G \ge w) = w + e(w)$, so that $m = 1 + e(w)/w$. The excess $G - w$, given $G \ge w$, has a
# density proportional to $(1 + y/w)^{\alpha-1}e^{-y}$ on $y > 0$. As a function of $y$, the derivative in $w$ of the
# logarithm of this density is $-(\alpha-1)\,y/(w(w+y))$ (and a constant from the normalisation), and $y/(w+y)$
# increases with $y$. For $\alpha \ge 1$ a larger $w$ therefore moves the law of the excess down in likelihood ratio,
# for $\alpha \le 1$ up, and $e$ is monotone in $w$. As $w \to 0$, $e(w) \to \mathrm{E}G = \alpha$; as $w \to \infty$
# the density tends to $e^{-y}$, and $e(w) \to 1$ (dominated convergence). So $e$ lies between $1$ and $\alpha$.

# %%
log_density = (alpha - 1) * sp.log(1 + y / w) - y
zero(sp.diff(log_density, w) + (alpha - 1) * y / (w * (w + y)), "its derivative in w")
holds(sp.diff(y / (w + y), y).factor() > 0, "y/(w + y) increases with y")
equal(sp.integrate(y * sp.exp(-y), (y, 0, sp.oo)), 1, "the mean of the limit for large w")
equal(
    sp.simplify(sp.integrate(g**alpha * sp.exp(-g), (g, 0, sp.oo)) / sp.gamma(alpha)),
    alpha,
    "the mean of G, the limit at 0",
)

# %% [markdown]
# Hence $m(w) \to \infty$ as $w \to 0$ and $m(w) \to 1$ as $w \to \infty$, and $m$ takes every value above 1 exactly
# once and no other. The equation $m(w) = d/a^2$ has exactly one solution if $a^2 < d$ and none if $a^2 \ge d$. (For
# $a = 0$ it is $s^2 = \mathrm{E}G/\alpha = 1$.) With $d/a^2$ falling in $a$, $w$ increases with $a$, and so does
# $s^2 = \mathrm{E}(G \mid G \ge w)/\alpha$.
#
# Solved for $w$, the equation is $w = c\,e(w)$ with $c = a^2/(d - a^2)$: the root lies between $c$ and $c\,\alpha$.
# This is the bracket that the library uses.

# %%
excess = sp.Symbol("e", positive=True)
(root,) = sp.solve(sp.Eq(1 + excess / w, d / a**2), w)
equal(root, excess * a**2 / (d - a**2), "w = c e(w)")
s_squared = equal(2 * root / a**2, 2 * excess / (d - a**2), "s^2 in terms of the mean excess").rhs

# %% [markdown]
# The monotonicity of the conditional mean, in formulas, with the hazard $r$ of $G$:
# $\frac{d}{dw}\mathrm{E}(G \mid G \ge w) = r(w)\,e(w) > 0$.

# %%
gamma_hazard = w ** (alpha - 1) * sp.exp(-w) / sp.uppergamma(alpha, w)
rise = sp.diff(conditional_mean, w) - gamma_hazard * (conditional_mean - w)
zero(sp.simplify(rise), "the slope of the conditional mean")

# %% [markdown]
# In one dimension the edge $a = 1$ is the threshold $\gamma = e^{-a^2/2}$ of the peak:

# %%
equal(sp.exp(-(a**2) / 2).subs(a, 1), sp.exp(-sp.Rational(1, 2)), "the threshold at the edge")

# %% [markdown]
# ## Two dimensions
#
# For $\alpha = 1$ the excess is exponential whatever $w$ is, $e = 1$.

# %%
equal(sp.expand_func(conditional_mean.subs(alpha, 1)), w + 1, "two dimensions: E(G | G ≥ w) = w + 1")
plane = s_squared.subs({excess: 1, d: 2})
states("relative-fixed-point", "plane", sp.Eq(sp.Function("s")(a) ** 2, plane))

# %% [markdown]
# ## Near the edge
#
# As $a^2 \to d$, $w = c\,e(w) \ge c\min(1, \alpha) \to \infty$. Integration by parts gives
# $\Gamma(\alpha, w) = w^{\alpha-1}e^{-w} + (\alpha - 1)\Gamma(\alpha - 1, w)$; three times, with
# $\Gamma(\beta, w) = O(w^{\beta-1}e^{-w})$ for the rest,
# $$w^{1-\alpha}e^{w}\,\Gamma(\alpha, w) = 1 + \frac{\alpha-1}{w} + \frac{(\alpha-1)(\alpha-2)}{w^2} + O(w^{-3}) .$$

# %%
parts = sp.diff(-(g ** (alpha - 1)) * sp.exp(-g), g) + (alpha - 1) * g ** (alpha - 2) * sp.exp(-g)
zero(parts - g ** (alpha - 1) * sp.exp(-g), "integration by parts")
tiny = sp.Symbol("delta", positive=True)  # 1/w
bracket = 1 + (alpha - 1) * tiny + (alpha - 1) * (alpha - 2) * tiny**2
upper = sp.uppergamma(alpha + 1, w) - alpha * sp.uppergamma(alpha, w) - w**alpha * sp.exp(-w)
zero(sp.diff(upper, w), "Γ(α + 1, w) = α Γ(α, w) + w^α e^-w: same derivatives, and both sides vanish as w → ∞")
mean_excess = alpha - 1 / tiny + (1 / tiny) / bracket  # E(G | G ≥ w) − w with w^α e^−w/Γ(α, w) = w/bracket
excess_series = sp.series(sp.simplify(mean_excess), tiny, 0, 2).removeO()
equal(excess_series, 1 + (alpha - 1) * tiny, "e(w) = 1 + (alpha - 1)/w + O(w^-2)")

# %% [markdown]
# In $s^2 = 2e/(d - a^2)$ put $1/w = (d - a^2)/(a^2 e)$, with $e \to 1$ and $a^2 \to d$ in the second term; what is left
# out is $O(w^{-2})/(d - a^2) = O(d - a^2)$.

# %%
gap = sp.Symbol("u", positive=True)  # d − a²
one_over_w = gap / ((d - gap) * excess)
second_term = sp.limit((2 * (alpha - 1) * one_over_w / gap).subs(excess, 1), gap, 0).subs(alpha, d / 2)
near_edge = 2 / (d - a**2) + sp.expand(second_term)
states("relative-fixed-point", "edge", sp.Eq(sp.Function("s")(a, d) ** 2, near_edge))
zero(near_edge.subs(d, 1) - (2 / (1 - a**2) - 1), "one dimension: 2/(1 - a^2) - 1")

# %% [markdown]
# ## Against the previous mask
#
# For $a > 0$ the solution has $s^2 = \eta_d(as) > 1$, and because $\eta_d$ increases, $s^2 = \eta_d(as) > \eta_d(a)$:
# the population step $2\log s$ of the self-consistent rule exceeds that of the previous mask, $\log\eta_d(a)$.

# %%
step = equal(sp.log(s**2), 2 * sp.log(s), "the step of log sigma^2").rhs
states("relative-fixed-point", "drift", sp.Eq(sp.Function("drift")(a), step.subs(s, scale)))

# %% [markdown]
# ## The variance of a step, to leading order
#
# In one dimension, with a known centre, the fit to $n$ points is the smallest zero $w_n$ of the mean of
# $\psi_w(z) = (z^2 - w)\,1\{z^2 \ge a^2 w\}$. The expectation $G(w)$ has one zero $w = s^2$, where
# $c\,h(c) = s^2 - 1$ at $c = as$.
#
# *Consistency.* $w_n$ is the limit of $w \mapsto T_n(w)$, the mean of the $z_i^2 \ge a^2 w$, from the mean of all
# $z_i^2$ upwards (`scale-no-go` has this in detail), and $T_n$ is nondecreasing. Almost surely $T_n \to T$, with $T(w)
# = \mathrm{E}(Z^2 \mid Z^2 \ge a^2w)$, uniformly on bounded intervals (Glivenko and Cantelli: $\psi_w$ depends on $z$
# through half-lines), and $T(w) > w$ below $s^2$, $T(w) < w$ above. For large $n$ therefore $T_n(s^2 + \varepsilon) <
# s^2 + \varepsilon$, which stops the iteration below $s^2 + \varepsilon$, and $T_n(w) > w$ on $[\frac12, s^2 -
# \varepsilon]$, so that no fixed point is there: $w_n \to s^2$.
#
# *Limit law.* The functions $\psi_w$ for $w$ near $s^2$ jump in $w$, so that the smooth delta method does not apply;
# but they are a Donsker class, because the sets $z^2 \ge a^2w$ are nested and the envelope $z^2 + w$ has a second
# moment, and $\psi_w \to \psi_{s^2}$ in mean square. Then (van der Vaart 1998, theorem 19.26) $\sqrt n(w_n - s^2)$
# tends to a normal law of variance $\mathrm{E}\psi_w^2/G'(w)^2$ at $w = s^2$, where $G'(w) \ne 0$ is shown below, and
# $\log w_n$ to leading order has the variance $\mathrm{E}\psi_w^2/(n w^2 G'(w)^2)$. (A centre that is the mean of all
# points is a second parameter of the same kind; it contributes nothing to this order, because the derivative of the
# expectation in the centre is 0 by symmetry.)

# %%
c, root_w = sp.symbols("c w", positive=True)
tail = sp.integrate(density, (u, c, sp.oo))
tail_second = sp.integrate(u**2 * density, (u, c, sp.oo))
tail_fourth = sp.integrate(u**4 * density, (u, c, sp.oo))
expectation = (2 * (tail_second - root_w * tail)).subs(c, a * sp.sqrt(root_w))
h = sp.Symbol("h", positive=True)  # hazard at c: φ(c) = h · tail
slope_at = sp.diff(expectation, root_w).subs(root_w, s**2)
slope_in_h = -2 * tail.subs(c, a * s) * (1 - (1 - a**2) * a * s * hazard / 2)
zero(slope_at - slope_in_h, "G'(w) = -p(c) (1 - (1 - a^2) c h(c)/2)")

# %% [markdown]
# So $G' = -p(c) D$ at the zero. $D$ is positive: with $G(w) = \mathrm{Pr}(Z^2 \ge a^2w)\,(T(w) - w)$, $G' = p(c)\,(T' -
# 1)$ there, and $D = 1 - T'$. For $a > 0$, $T(w)/w = a^2 m(a^2w/2)$ has the derivative $\frac{a^4}{2} m' < 0$ (above),
# which at the zero is $(T' - 1)/w$. For $a = 0$, $D = 1$.

# %%
slope_of_T, slope_of_p, slope_of_m, at, p_at, m_at = sp.symbols("T1 p1 m1 w0 p0 m0")  # to first order at the zero w0
first_order_T = at + slope_of_T * (root_w - at)
first_order_p = p_at + slope_of_p * (root_w - at)
first_order_m = m_at + slope_of_m * (a**2 * root_w / 2 - a**2 * at / 2)
slope_of_G = sp.diff(first_order_p * (first_order_T - root_w), root_w).subs(root_w, at)
equal(slope_of_G, p_at * (slope_of_T - 1), "G' = p (T' - 1) where T(w) = w")
slope_of_ratio = sp.diff(first_order_T / root_w, root_w).subs(root_w, at)
equal(sp.simplify(slope_of_ratio), (slope_of_T - 1) / at, "(T/w)' = (T' - 1)/w there")
equal(sp.diff(a**2 * first_order_m, root_w), a**4 * slope_of_m / 2, "(T/w)' = a^4 m'/2")

# %%
psi_squared = 2 * (tail_fourth - 2 * s**2 * tail_second + s**4 * tail)
p_tail = 2 * tail
hazard_at_c = density.subs(u, c) / tail
kappa_in_h = 3 * (1 + c * h) + c**3 * h - 2 * s**2 * (1 + c * h) + s**4
zero(psi_squared / p_tail - kappa_in_h.subs(h, hazard_at_c), "E psi^2 over p(c), in the hazard")
on_solution = kappa_in_h.subs(h, (s**2 - 1) / c)
kappa = (3 * s**2 + c**2 * (s**2 - 1)) / s**4 - 1
equal(on_solution / s**4, kappa, "with c h = s^2 - 1: kappa w^2")

# %%
slope_on_solution = 1 - (1 - a**2) * (s**2 - 1) / 2
step_variance = kappa.subs(c, a * s) / (n * sp.erfc(a * s / sp.sqrt(2)) * slope_on_solution**2)
states("relative-fixed-point", "step-variance", sp.Eq(sp.Function("variance")(a, n), step_variance.subs(s, scale)))

# %% [markdown]
# ## Two values, enclosed
#
# $s^2 > \eta(as)$ says $m(w) < 1/a^2$, which holds above the solution and not below. In ball arithmetic its sign at
# both ends of an interval is certain, so that the solution lies in it.

# %%


def residual(radius, scale_value):
    z = radius * scale_value
    hazard_value = (-z * z / 2).exp() / (2 * arb.pi()).sqrt() / ((z / arb(2).sqrt()).erfc() / 2)
    return scale_value**2 - 1 - z * hazard_value


ctx.dps = 40
for radius, digits in (("0.5", "1.36960494464"), ("0.9", "3.10660934774")):
    half_digit = arb("5e-12")
    low, high = residual(arb(radius), arb(digits) - half_digit), residual(arb(radius), arb(digits) + half_digit)
    print(f"residuals at {digits} -/+ 5e-12: {low.str(8)}, {high.str(8)}")
    holds(bool(low < 0) and bool(high > 0), f"s({radius}) = {digits} to all digits (interval arithmetic)")

# %% [markdown]
# ## Finite samples (numerical)
#
# On a sample the rule is $s^2 = $ mean of $z_i^2$ over $|z_i| \ge as$. With $|z|$ sorted downwards, $s_k$ the root mean
# square of the $k$ largest is a fixed point if and only if exactly these are kept, $|z_{(k)}| \ge a s_k > |z_{(k+1)}|$.
# Often there are several.

# %%
magnitudes = -np.sort(-np.abs(np.random.default_rng(0).standard_normal((20_000, 100))), axis=1)
radii = 0.3 * np.sqrt(np.cumsum(magnitudes**2, axis=1) / np.arange(1, 101))
following = np.concatenate([magnitudes[:, 1:], np.zeros((20_000, 1))], axis=1)
fixed_points = ((magnitudes >= radii) & (radii > following)).sum(axis=1)
several = (fixed_points > 1).mean()
print(
    f"a = 0.3, n = 100: {several:.1%} of 20000 samples have several fixed points, {(fixed_points == 0).mean():.1%} none"
)
holds(bool(abs(several - 0.16) < 0.015), "about 16 % have several (numerical, standard error 0.3 %)")

# %% [markdown]
# ## Several dimensions on finite samples
#
# Let $y_1, \ldots, y_n$ be the deviations from the fixed centre, $S_0$ the mean of all $y_i y_i^{\mathrm T}$, and
# $S_{k+1}$ the mean over the points with $y_i^{\mathrm T} S_k^{-1} y_i \ge a^2$, for $a \le 1$.
#
# *A masked point is small in every direction.* By the Cauchy–Schwarz inequality $(v^{\mathrm T}y)^2 \le
# (v^{\mathrm T} S v)(y^{\mathrm T} S^{-1} y)$ for every $v$, so that a point with $y^{\mathrm T} S^{-1} y < a^2$ has
# $y y^{\mathrm T} \preceq a^2 S \preceq S$.
#
# *The iteration increases.* Suppose $S_{k-1} \preceq S_k$ (with the mask of $S_{-1} = 0$ empty). Then $y^{\mathrm T}
# S_k^{-1} y \le y^{\mathrm T} S_{k-1}^{-1} y$: what was masked stays masked. $S_k$ is a weighted mean of $S_{k+1}$ and
# of the $y_i y_i^{\mathrm T}$ that are masked now and were not before, each $\preceq S_k$; so $S_{k+1} \succeq S_k$.
# The masked set grows, and after at most $n$ steps it stays. It never is everything: the mean of $y^{\mathrm T}
# S_k^{-1} y$ over the points that $S_k$ is fitted to is $d$, so that some are at least $d \ge a^2$.
#
# *The end is the smallest.* Let $S$ be any self-consistent fit. $S_0$ is a weighted mean of $S$ and of points that $S$
# masks, each $\preceq S$; so $S_0 \preceq S$. If $S_k \preceq S$, then $S$ masks all that $S_k$ does, $S_{k+1}$ is a
# weighted mean of $S$ and of points that $S$ masks, and $S_{k+1} \preceq S$.
#
# With one variance $s^2$ for all directions the same holds for the traces: a masked point has $|y|^2/d < a^2 s^2/d \le
# s^2$ for $a^2 \le d$. With a variance for each axis, $y_j^2 \le S_{jj}\, y^{\mathrm T} S^{-1} y$ takes the place of
# the first step. For a full covariance and $a > 1$ the first step fails, and with it the rest.

# %%
one, other, S_1, S_2 = sp.symbols("y_1 y_2 S_1 S_2", positive=True)  # in principal axes of S, two at a time
v_1, v_2 = sp.symbols("v_1 v_2", real=True)
form, inner = one**2 / S_1 + other**2 / S_2, v_1 * one + v_2 * other
square = (v_1 * S_1 * other / S_2 - v_2 * one) ** 2 * S_2 / S_1
zero((v_1**2 * S_1 + v_2**2 * S_2) * form - inner**2 - square, "Cauchy–Schwarz: the difference is a square")

# %% [markdown]
# That samples without any self-consistent fit exist for $a > 1$ is shown by all sets of points of small ones.

# %%
sets = (np.arange(1, 2**8)[:, None] >> np.arange(8)) % 2 == 1
without = 0
for points in np.random.default_rng(0).standard_normal((400, 8, 2)):
    y = points - points.mean(axis=0)
    covs = np.einsum("sn,ni,nj->sij", sets, y, y) / sets.sum(axis=1)[:, None, None]
    regular = np.linalg.det(covs) > 1e-9 * covs[:, 0, 0] * covs[:, 1, 1]
    distances = np.einsum("ni,sij,nj->sn", y, np.linalg.inv(np.where(regular[:, None, None], covs, np.eye(2))), y)
    without += not ((distances >= 1.3**2) == sets).all(axis=1)[regular].any()
print(f"a = 1.3, 8 points in the plane: {without / 400:.1%} of 400 samples have no self-consistent fit")
holds(bool(abs(without / 400 - 0.45) < 0.1), "about 45 % (numerical, standard error 2.5 %)")

# %% [markdown]
# ## The functions of the library

# %%


def solve(a, dimension=1):
    """Root of m(w) = d/a² at high precision, by the bracket above; s from w."""
    shape = mpmath.mpf(dimension) / 2
    ratio = a**2 / (dimension - a**2)
    low, high = ratio * min(1, shape), ratio * max(1, shape)
    if low == high:
        return mpmath.sqrt(2 * low) / a

    def excess_over(w):
        return mpmath.gammainc(shape + 1, w) / mpmath.gammainc(shape, w) / w - dimension / a**2

    return mpmath.sqrt(2 * mpmath.findroot(excess_over, (low, high), solver="anderson")) / a


agrees("theory.truncated.relative_fixed_point", solve, where={"a": (0.01, 0.99)}, points=10)
agrees("theory.truncated.relative_fixed_point", solve, where={"a": (0.01, 1.4), "dimension": range(2, 30)}, points=10)
agrees("theory.truncated.relative_fixed_point", sp.sqrt(plane), where={"a": (0.0, 1.41)}, fixed={"dimension": 2})
agrees("theory.truncated.population_drift", lambda a: 2 * mpmath.log(solve(a)), where={"a": (0.01, 0.99)}, points=10)

by_numbers = sp.lambdify((a, n, s), step_variance, "mpmath")


def variance_of_step(a, n):
    return by_numbers(a, n, solve(a))


agrees(
    "theory.truncated.population_step_variance", variance_of_step, where={"a": (0.01, 0.9), "n": range(1, 99)}, points=5
)
