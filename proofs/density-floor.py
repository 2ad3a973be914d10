# %% [markdown]
# # A Gaussian fitted by TCE is never narrower than the floor, nor than that of cross entropy
#
# Points $x_1, \ldots, x_n$, a Gaussian $N(\mu, \sigma^2)$, and an absolute threshold $\gamma$. A point is masked where
# its density exceeds $\gamma$, that is, where its loss $\mathrm{CE} = -\log p$ is below $g = -\log\gamma$. The scale at
# which the *peak* of the density is $\gamma$ is $\sigma_c$.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero

gamma, std, critical = sp.symbols("gamma std sigma_c", positive=True)
y = sp.Symbol("y", real=True)  # x - mu
density = sp.exp(-(y**2) / (2 * std**2)) / (std * sp.sqrt(2 * sp.pi))
sigma_c = 1 / (gamma * sp.sqrt(2 * sp.pi))
zero(density.subs(y, 0).subs(std, sigma_c) - gamma, "the peak density at sigma_c is gamma")

# %% [markdown]
# In units of $\sigma_c$ the threshold drops out: the loss of a point exceeds $g$ by
# $$\mathrm{CE} - g = \log\frac{\sigma}{\sigma_c} + \frac{y^2}{2\sigma^2}, \qquad y = x - \mu .$$

# %%
surplus = sp.log(std / critical) + y**2 / (2 * std**2)  # CE - g
loss_surplus = sp.expand_log(-sp.log(density) + sp.log(gamma), force=True)
zero(
    sp.expand_log(loss_surplus - surplus.subs(critical, sigma_c), force=True),
    "the surplus of the loss, in units of sigma_c",
)

# %% [markdown]
# ## What a fit satisfies
#
# TCE is the gradient of the mean of $\max(\mathrm{CE}_i, g)$ (`hinge-form`). Its stationary points are those with
# $\sum_i w_i \nabla \mathrm{CE}_i = 0$ for weights $w_i = 1$ where $\mathrm{CE}_i > g$, $w_i = 0$ where
# $\mathrm{CE}_i < g$, and any $w_i \in [0, 1]$ where they are equal. In $\sigma$ (and in $\mu$, if it is fitted) this
# reads
# $$\sum_i w_i \left(y_i^2 - \sigma^2\right) = 0, \qquad \sum_i w_i y_i = 0 \quad (\mu \text{ fitted}).$$
# A minimum exists. If all points are the same (or, with a known mean, all at the mean), every $\sigma \le \sigma_c$ at
# that place has the least possible value, $g$: the vacuous case below with $v = 0$. Otherwise the objective is at least
# the mean of the $\mathrm{CE}_i$, which is, in units of $\sigma_c$ and up to $g$, $\log\sigma + m/(2\sigma^2)$ with the
# mean square distance $m = \hat\sigma^2 + (\bar x - \mu)^2 \ge \hat\sigma^2 > 0$ (or $m = \hat\sigma^2$, if the mean is
# known). It tends to $\infty$ as $\sigma \to 0$, uniformly in $\mu$, and as $\sigma \to \infty$; and as $|\mu| \to
# \infty$, because it is at least $(1 + \log m)/2$. A continuous function that is large outside a compact set has a
# minimum. If its value exceeds $g$, some point has $\mathrm{CE}_i > g$ and counts; if it is $g$, we are in the vacuous
# case.

# %%
zero(sp.diff(surplus, std) * std**3 + (y**2 - std**2), "the derivative in sigma is -(y^2 - sigma^2)/sigma^3")
zero(sp.diff(surplus, y) * std**2 - y, "the derivative in mu = x - y is -y/sigma^2")
square = sp.Symbol("m", positive=True)
mean_loss = sp.log(std) + square / (2 * std**2)
zero(sp.diff(mean_loss, std) - (std**2 - square) / std**3, "the mean loss falls in sigma until sigma^2 = m, then rises")
zero(sp.expand_log(mean_loss.subs(std, sp.sqrt(square)), force=True) - (1 + sp.log(square)) / 2, "its least value")

# %% [markdown]
# ## The floor
#
# Let at least one weight be positive, $N = \sum_i w_i > 0$. Only points with $\mathrm{CE}_i \ge g$ have a positive
# weight, so that $\sum_i w_i (\mathrm{CE}_i - g) \ge 0$. But by stationarity $\sum_i w_i y_i^2 = N\sigma^2$, and
# $$0 \le \sum_i w_i (\mathrm{CE}_i - g) = N \log\frac{\sigma}{\sigma_c} + \frac{\sum_i w_i y_i^2}{2\sigma^2}
# = N\left(\log\frac{\sigma}{\sigma_c} + \frac{1}{2}\right),$$
# hence $\sigma \ge \sigma_c e^{-1/2} = \sigma_f$. The number of points and the data do not matter. At $\sigma_f$ the
# entropy of the model is $-\log\gamma$: this is `entropy-identity` for the Gaussian.

# %%
weight, squares = sp.symbols("N Q", positive=True)  # sums of w_i and of w_i y_i^2
total = weight * sp.log(std / critical) + squares / (2 * std**2)
surplus_at_fit = equal(
    total.subs(squares, weight * std**2), weight * (sp.log(std / critical) + sp.Rational(1, 2)), "the sum at the fit"
)
scale = sp.Symbol("x", positive=True)
slope = sp.diff(sp.log(scale) + sp.Rational(1, 2), scale)
holds(slope > 0, "the bracket increases with sigma: it is nonnegative from its zero on, and only there")
equal((sp.log(scale) + sp.Rational(1, 2)).subs(scale, sp.exp(-sp.Rational(1, 2))), 0, "its zero is at exp(-1/2)")
surplus_at_fit

# %%
sigma_f = sigma_c * sp.exp(-sp.Rational(1, 2))
entropy = sp.log(2 * sp.pi * sp.E * std**2) / 2
zero(sp.expand_log(sp.simplify(entropy.subs(std, sigma_f) + sp.log(gamma)), force=True), "the entropy at sigma_f")
floor = states("density-floor", "floor", sp.Ge(std, sigma_f, evaluate=False))
floor

# %% [markdown]
# ## Not narrower than cross entropy
#
# The weights grow with the distance: $y_i^2 < y_j^2$ implies $w_i \le w_j$, because $\mathrm{CE} - g$ grows with $y^2$.
# For sequences that are ordered alike, Chebyshev's inequality says that the weighted mean of $y^2$ is at least the
# plain one:
# $$n\sum_i w_i y_i^2 - \sum_i w_i \sum_j y_j^2 = \frac{1}{2}\sum_{i,j} (w_i - w_j)(y_i^2 - y_j^2) \ge 0 ,$$
# since each term is a product of two numbers of one sign. The identity holds pair by pair: the pair $(i, j)$ and the
# pair $(j, i)$ together contribute, to $\sum_{i,j}(w_i y_i^2 - w_i y_j^2)$, which is the left side, what they
# contribute to the right.
#
# So $\sigma^2 = \sum_i w_i y_i^2/N \ge \frac{1}{n}\sum_i y_i^2$. If $\mu$ is known, the right side is $\hat\sigma^2$.
# If it is fitted, $\mu$ is not the sample mean, but the mean square around any point is at least the one around the
# sample mean: $\frac{1}{n}\sum_i (x_i - \mu)^2 = \hat\sigma^2 + (\bar{x} - \mu)^2$.

# %%
w_i, w_j, a_i, a_j = sp.symbols("w_i w_j a_i a_j", real=True)  # a = y^2
left = (w_i * a_i - w_i * a_j) + (w_j * a_j - w_j * a_i)
right = sp.Rational(1, 2) * ((w_i - w_j) * (a_i - a_j) + (w_j - w_i) * (a_j - a_i))
zero(sp.expand(left - right), "Chebyshev's identity, pair by pair")
step, rise = sp.symbols("dw da", nonnegative=True)
holds(sp.expand(right.subs({w_i: w_j + step, a_i: a_j + rise})) >= 0, "a pair that is ordered alike contributes >= 0")
squared = sp.Symbol("a", nonnegative=True)
holds(sp.diff(squared / (2 * std**2), squared) > 0, "the loss grows with y^2, and so do the weights")

# %%
x, mean, centre = sp.symbols("x m mu", real=True)  # m is the sample mean
zero(
    sp.expand((x - centre) ** 2 - ((x - mean) ** 2 + 2 * (x - mean) * (mean - centre) + (mean - centre) ** 2)),
    "the square around mu; summed over the sample the middle term vanishes, as the x - m sum to 0",
)

# %% [markdown]
# ## Not wider than the wall, unless cross entropy is
#
# If $\sigma > \sigma_c$, the peak of the fitted density is below $\gamma$: then nothing is masked, all weights are 1,
# and the stationary point is that of cross entropy, $\sigma = \hat\sigma$. So either $\sigma \le \sigma_c$ or
# $\sigma = \hat\sigma$, and in both cases $\sigma \le \max(\hat\sigma, \sigma_c)$. If $\hat\sigma \ge \sigma_c$, the
# two bounds are equal: $\sigma = \hat\sigma$. Then $\hat\sigma^2 = \sigma^2 \ge \hat\sigma^2 + (\bar{x} - \mu)^2$, so
# that the location is that of cross entropy too.

# %%
beyond = sp.Symbol("delta", positive=True)
holds(
    (surplus.subs(std, critical * (1 + beyond))).subs(y, 0) > 0,
    "above sigma_c even a point at the mean has a loss above g",
)

# %% [markdown]
# ## All points masked at once
#
# The vacuous case: some model has $\mathrm{CE}_i \le g$ for all $i$. Then the least value of the objective is $g$, and
# it is attained by *every* such model: those with $p(v) \ge \gamma$ at the largest distance $v = \max_i |x_i - \mu|$.
# Where that is possible is seen from the surplus at $v$ as a function of $\sigma$: it falls until $\sigma = v$ and
# rises after it, and its least value, $\log(v/\sigma_c) + 1/2$, is at most 0 if and only if $v \le \sigma_f$.

# %%
v = sp.Symbol("v", positive=True)
at_v = surplus.subs(y, v)
zero(sp.diff(at_v, std) - (std**2 - v**2) / std**3, "the slope has the sign of sigma - v")
zero(at_v.subs(std, v) - (sp.log(v / critical) + sp.Rational(1, 2)), "the least surplus")

# %% [markdown]
# The largest-entropy choice is the largest of these models, the upper end of the interval: there the surplus at $v$ is
# 0. With $W = 2\log(\sigma/\sigma_c)$ this is $W e^W = -(v/\sigma_c)^2$, and the upper end, $\sigma \ge v$, is the
# branch $W \ge -1$, Lambert's $W_0$. ($\sigma \ge v$ implies $W = -(v/\sigma)^2 \ge -1$.) It falls from $\sigma_c$ at
# $v = 0$ to $\sigma_f$ at $v = \sigma_f$, where $W = -1$. So both bounds hold here as well:
# $\sigma_f \le \sigma \le \sigma_c$, and $\hat\sigma \le v \le \sigma_f$, since the mean square distance from the mean
# is at most the largest one (and that from the sample mean at most that from any other point).
#
# If $\mu$ is fitted too, the upper end is largest where $v$ is smallest: at the midrange, with half the range for $v$.
# At identical points $v = 0$ and the fit is $\sigma_c$. Ties do no harm anywhere above: points at one distance from
# $\mu$ that share the threshold may have different weights, and contribute 0 to Chebyshev's sum.

# %%
w = sp.Symbol("W", negative=True)
zero(
    sp.expand(2 * (at_v.subs(std, critical * sp.exp(w / 2))) - (w + v**2 / critical**2 * sp.exp(-w))),
    "twice the surplus is W + (v/sigma_c)^2 exp(-W)",
)
inner = -((v / critical) ** 2)
upper = critical * sp.exp(sp.LambertW(inner) / 2)
lambert = sp.LambertW(inner)
zero(
    sp.expand(2 * (at_v.subs(std, critical * sp.exp(w / 2)))).subs(v**2, -w * sp.exp(w) * critical**2),
    "which is 0 where W exp(W) = -(v/sigma_c)^2",
)
equal(upper.subs(v, critical * sp.exp(-sp.Rational(1, 2))), critical * sp.exp(-sp.Rational(1, 2)), "at v = sigma_f")
zero(sp.limit(upper, v, 0) - critical, "at v = 0")

# %% [markdown]
# Along the branch $-1 < W < 0$ the square of the distance, $-W e^W$ in units of $\sigma_c^2$, falls as $W$ grows, so
# that $\sigma$ falls as $v$ grows.

# %%
depth = sp.Symbol("q", positive=True)  # 1 + W
zero(sp.diff(-w * sp.exp(w), w) + (1 + w) * sp.exp(w), "the slope is -(1 + W) exp(W)")
holds(-depth * sp.exp(depth - 1) < 0, "and negative for W > -1")
distance = sp.Symbol("distance", positive=True)
boundary = upper.subs(critical, sigma_c).subs(v, distance)
vacuous = states("density-floor", "vacuous", sp.Eq(sp.Function("sigma")(distance, gamma), boundary))
vacuous

# %% [markdown]
# Together: $\max(\sigma_f^2, \hat\sigma^2) \le \sigma^2 \le \max(\sigma_c^2, \hat\sigma^2)$ for every fit.

# %%
variance, ce_variance = sp.symbols("variance ce_variance", positive=True)
lower_bound = sp.Max(sp.simplify(sigma_f**2), ce_variance)
upper_bound = sp.Max(sp.simplify(sigma_c**2), ce_variance)
lower = states("density-floor", "lower", sp.Ge(variance, lower_bound, evaluate=False))
states("density-floor", "upper", sp.Le(variance, upper_bound, evaluate=False))
lower

# %% [markdown]
# ## The bounds cannot be improved
#
# The mean is known and 0, $\sigma_c = 1$. Each of these is a stationary point, and as the objective is convex
# (`hinge-form`) the fit:
#
# - $(\sigma_f, 0, \ldots, 0)$: at $\sigma = \sigma_f$ the outer point has $\mathrm{CE} = g$ and the others are masked.
#   All points are masked at once by this model alone ($v = \sigma_f$), so it is the fit, and $\sigma = \sigma_f$ while
#   $\hat\sigma = \sigma_f/\sqrt{n}$.
# - $(v, -v)$, $\sigma_f \le v \le 1$: at $\sigma = v = \hat\sigma$ both points have
#   $\mathrm{CE} - g = \log v + 1/2 \ge 0$.
# - all points at 0: the vacuous case with $v = 0$, $\sigma = \sigma_c$.

# %%
unit = surplus.subs(critical, 1)
half = sp.exp(-sp.Rational(1, 2))
equal(unit.subs({std: half, y: half}), 0, "the outer point is on the threshold")
holds(sp.simplify(unit.subs({std: half, y: 0})) < 0, "a point at the mean is masked")
zero(unit.subs({std: v, y: v}) - (sp.log(v) + sp.Rational(1, 2)), "both points of (v, -v)")

# %% [markdown]
# ## Without its hypotheses
#
# *A sample that counts.* With all weights 0 every point of the vacuous set is stationary, also below the floor:
# $\gamma = 0.85$ and data $\pm 0.1$. The fit of cross entropy is $\sigma = 0.1$; it masks both points, so that the
# gradient of TCE is 0. A model that is trained from there stays there, and only the largest-entropy choice moves it up.

# %%
threshold, at = sp.Rational(85, 100), sp.Rational(1, 10)
counterexample = density.subs({std: at, y: at})
holds(counterexample > threshold, "both points have a density above gamma at sigma = 0.1: they are masked")
holds(at < sigma_f.subs(gamma, threshold), "and 0.1 is below the floor")
sp.Eq(sp.Symbol("sigma_f"), sp.N(sigma_f.subs(gamma, threshold), 12), evaluate=False)

# %% [markdown]
# *The mask of the model that is fitted.* Masking by the previous generation's model has no floor: see
# `wall-population`.
#
# ## The functions of the library

# %%
agrees("theory.wall.floor_std", sigma_f, where={"gamma": (1e-3, 1e3)})
agrees(
    "theory.wall.next_variance_bounds", lower_bound, part="lower", where={"ce_variance": (0, 1), "gamma": (0.1, 3.0)}
)
agrees(
    "theory.wall.next_variance_bounds", upper_bound, part="upper", where={"ce_variance": (0, 1), "gamma": (0.1, 3.0)}
)
agrees("theory.wall.boundary_std", boundary, where={"distance": (0.0, 0.24), "gamma": (0.1, 1.0)})
agrees_at("theory.wall.boundary_std", {"distance": 0.0, "gamma": 0.5}, sigma_c.subs(gamma, 0.5))
