# %% [markdown]
# # Gradient and minimiser of the focal loss
#
# The focal loss of the probability $p$ of the label is $F(p) = (1 - p)^k(-\log p)$, $k > 0$. Cross entropy is $k = 0$.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, summed, zero

p, k, v = sp.symbols("p exponent v", positive=True)
F = (1 - p) ** k * (-sp.log(p))
phi = (1 - p) ** k - k * p * (1 - p) ** (k - 1) * sp.log(p)

# %% [markdown]
# ## The weight
#
# By `tce-gradient` the slope of $q_y$ in $z_j$ is $q_y(\delta_{jy} - q_j)$. So that of $F(q_y)$ is $-q_y
# F'(q_y)\cdot(q_j - \delta_{jy})$: the gradient of cross entropy, $q - e_y$, times $-pF'(p)$ at $p = q_y$.

# %%
equal(-p * sp.diff(-sp.log(p), p), 1, "cross entropy: the factor −p F' is 1")
equal(-p * sp.diff(F, p), phi, "focal loss: the factor")
states("focal-gradient", "weight", sp.Eq(sp.Function("phi")(p), phi))

# %% [markdown]
# On $(0, 1)$ both of its terms are positive, as $-\log p > 0$. Detached, $(1 - p)^k$ is a constant, and only $-\log p$
# is differentiated: the factor is $(1 - p)^k$.

# %%
rest, log_p = sp.symbols("r L", positive=True)  # r = 1 − p and L = −log p
holds((rest**k + k * p * rest ** (k - 1) * log_p) > 0, "φ > 0 on (0, 1)")
zero(phi - (rest**k + k * p * rest ** (k - 1) * log_p).subs({rest: 1 - p, log_p: -sp.log(p)}), "φ in these terms")

# %% [markdown]
# ## Stationarity of a detached weight
#
# With a weight $w$ of the probability, held constant, label $i$ contributes $f_i w_i(q_j - \delta_{ij})$ to the slope
# in $z_j$. Sum over $i$, with $M = \sum_i f_i w_i$.

# %%
f, w, delta = sp.symbols("f_i w_i delta_ij")
f_j, w_j, q_j, M = sp.symbols("f_j w_j q_j M", positive=True)
gradient = summed(f * w * (q_j - delta), {f * w: M, f * w * delta: f_j * w_j})
equal(gradient, q_j * M - f_j * w_j, "gradient in z_j")
index, place, size = sp.symbols("i j K", integer=True, positive=True)
probs, frequencies, weights = (sp.IndexedBase(name) for name in ("probs", "frequencies", "weights"))
total = sp.Sum(frequencies[index] * weights[index], (index, 1, size))
entries = {q_j: probs[place], f_j: frequencies[place], w_j: weights[place], M: total}
states("focal-gradient", "detached-stationarity", sp.Eq(sp.Function("dL")(place), gradient.subs(entries)))

# %% [markdown]
# Let $w > 0$; then $M > 0$. If the gradient is 0, $q_j/w_j = f_j/M$ is proportional to $f_j$. Conversely let $q_j = c
# f_j w_j$ for all $j$: summed, $1 = cM$, and the gradient is 0.

# %%
c = sp.Symbol("c", positive=True)
equal(sp.solve(gradient, q_j)[0] / w_j, f_j / M, "q_j/w_j where the gradient vanishes")
equal(summed(c * f * w, {f * w: M}), c * M, "the sum of q_j = c f_j w_j, which is 1")
zero(gradient.subs(q_j, c * f_j * w_j).subs(c, 1 / M), "then the gradient vanishes")

# %% [markdown]
# ## Monotony
#
# *Detached.* $\log\frac{v}{(1 - v)^k}$ has the slope $\frac{1}{v} + \frac{k}{1 - v} > 0$; $v/(1 - v)^k$ goes from 0 to
# $\infty$.

# %%
equal(sp.diff(sp.log(v) - k * sp.log(1 - v), v), 1 / v + k / (1 - v), "slope of log v − k log(1 − v)")
holds(1 / v + k / rest > 0, "with r = 1 − v > 0 it is positive")

# %% [markdown]
# *Differentiated.* $R(v) = v/\varphi(v)$ has the slope $(\varphi - v\varphi')/\varphi^2$. With $L = -\log v$
# $$(1 - v)^{2-k}(\varphi - v\varphi') = (1 - v)^2 + 2kv(1 - v) + k(k - 1)v^2 L .$$

# %%
phi_v = phi.subs(p, v)
equal(
    sp.diff(v / sp.Function("f")(v), v),
    (sp.Function("f")(v) - v * sp.diff(sp.Function("f")(v), v)) / sp.Function("f")(v) ** 2,
    "slope of R",
)
numerator = (1 - v) ** 2 + 2 * k * v * (1 - v) + k * (k - 1) * v**2 * (-sp.log(v))
zero(sp.powsimp(sp.expand((1 - v) ** (2 - k) * (phi_v - v * sp.diff(phi_v, v)) - numerator)), "the numerator")

# %% [markdown]
# If $k \ge 1$, all three terms are nonnegative, and the first is positive. If $k < 1$, use
# $$v L \le 1 - v \quad (0 < v \le 1),$$
# which holds because $\frac{1 - v}{v} + \log v$ is 0 at $v = 1$ and has the slope $-\frac{1 - v}{v^2} \le 0$. With
# $vL = 1 - v - s$, $s \ge 0$, the numerator is $(1 - v)^2 + k(1 + k)v(1 - v) + k(1 - k)vs$, all terms nonnegative and
# the first positive. So $R$ increases strictly for every $k > 0$.

# %%
zero(((1 - v) / v + sp.log(v)).subs(v, 1), "value 0 at v = 1")
equal(sp.diff((1 - v) / v + sp.log(v), v), -(1 - v) / v**2, "slope")
beyond, s, below_1 = sp.Symbol("m", nonnegative=True), sp.Symbol("s", nonnegative=True), sp.Symbol("l", positive=True)
holds(rest**2 + 2 * (1 + beyond) * v * rest + (1 + beyond) * beyond * v**2 * log_p > 0, "k = 1 + m ≥ 1: positive")
with_s = (1 - v) ** 2 + 2 * k * v * (1 - v) + k * (k - 1) * v * (1 - v - s)
equal(with_s, (1 - v) ** 2 + k * (1 + k) * v * (1 - v) + k * (1 - k) * v * s, "the numerator with v L = 1 − v − s")
holds(rest**2 + k * (1 + k) * v * rest + k * below_1 * v * s > 0, "k = 1 − l < 1: positive")

# %% [markdown]
# As $v \to 0$, $\varphi \to 1$ and $R \to 0$. By the same inequality $\varphi = (1 - v)^k\left(1 + k\frac{vL}{1 -
# v}\right) \le (1 + k)(1 - v)^k$, so $R \ge \frac{v}{(1 + k)(1 - v)^k} \to \infty$ as $v \to 1$.

# %%
equal(phi_v, (1 - v) ** k * (1 + k * (-v * sp.log(v)) / (1 - v)), "φ, with the power taken out")
zero(sp.limit(v * sp.log(v), v, 0, "+"), "v log v → 0 as v → 0, so φ → 1")
share = sp.Symbol("o", nonnegative=True)  # v L/(1 − v), and 1 less it
lack = sp.Symbol("t", nonnegative=True)
holds(sp.expand((1 + k) - (1 + k * (1 - lack))) >= 0, "1 + k o ≤ 1 + k for o = 1 − t ≤ 1")

# %% [markdown]
# ## The minimiser
#
# Minimise $\sum_i\eta_i F(v_i)$ over distributions $v$. It is continuous with values in $[0, \infty]$ on a compact set,
# so a minimiser exists, and its value is finite. $F$ is strictly decreasing, $F' = -\varphi/v < 0$, and $F(0) =
# \infty$. So $v_i > 0$ where $\eta_i > 0$, and $v_i = 0$ where $\eta_i = 0$: else this mass would lower the sum
# elsewhere. If only one $\eta_i$ is positive, $v_i = 1$. If two or more are, these $v_i$ lie in $(0, 1)$, and mass can
# be moved from any $j$ to any $i$ both ways:
# $$\eta_i F'(v_i) = \eta_j F'(v_j), \qquad \text{that is} \qquad \eta_i\frac{\varphi(v_i)}{v_i} =
# \eta_j\frac{\varphi(v_j)}{v_j} .$$

# %%
equal(sp.diff(F, p), -phi / p, "the slope of F")
v_i, v_j = sp.symbols("v_i v_j", positive=True)
eta_i, eta_j = sp.symbols("eta_i eta_j", positive=True)
(solved,) = sp.solve(sp.Eq(eta_i * sp.Symbol("A") / v_i, eta_j * sp.Symbol("B") / v_j), eta_i)
zero(solved / eta_j - ((v_i / sp.Symbol("A")) / (v_j / sp.Symbol("B"))), "the ratio, with φ(v_i) = A and φ(v_j) = B")

# %%
label_probs, vs = sp.IndexedBase("label_probs", positive=True), sp.IndexedBase("v", positive=True)
ratio = (solved / eta_j).subs({sp.Symbol("A"): phi.subs(p, v_i), sp.Symbol("B"): phi.subs(p, v_j)})
by_index = {v_i: vs[index], v_j: vs[place]}
states("focal-gradient", "minimiser", sp.Eq(label_probs[index] / label_probs[place], ratio.subs(by_index)))

# %% [markdown]
# There is one such $v$ only. By monotony $R$ has an inverse from $(0, \infty)$ to $(0, 1)$, increasing; $v_i =
# R^{-1}(\lambda\eta_i)$ for some $\lambda > 0$, and $\sum_i R^{-1}(\lambda\eta_i)$ increases strictly with $\lambda$,
# so that it is 1 once at most. Larger $\eta_i$ have larger $v_i$.
#
# *Detached.* $G(v) = \int_v^1 (1 - u)^k/u\,du$ has $G' = -(1 - v)^k/v < 0$ and $G(0) = \infty$, and $v/(1 - v)^k$ takes
# the place of $R$: the argument is the same. The gradient of $\sum_i\eta_i G(q_i)$ in the logits is that of the
# detached loss.

# %%
u = sp.Symbol("u", positive=True)
equal(sp.diff(sp.Integral((1 - u) ** k / u, (u, v, 1)), v), -((1 - v) ** k) / v, "the slope of G")
zero(-v * (-((1 - v) ** k) / v) - ((1 - v) ** k), "its factor −v G' is the detached weight")

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.loss.focal_weight", phi, where={"p": (0.0, 1.0), "exponent": (0.01, 40.0)})
agrees(
    "theory.loss.focal_weight", (1 - p) ** k, where={"p": (0.0, 1.0), "exponent": (0.01, 40.0)}, fixed={"detach": True}
)
point_q, point_f, point_w = ([sp.Rational(x, 64) for x in row] for row in ((40, 16, 8), (20, 40, 4), (8, 16, 96)))
point_M = sum(a * b for a, b in zip(point_f, point_w, strict=True))
derived = [
    gradient.subs({q_j: a, f_j: b, w_j: c, M: point_M}) for a, b, c in zip(point_q, point_f, point_w, strict=True)
]
names = ("probs", "frequencies", "weights")
columns = ([float(x) for x in row] for row in (point_q, point_f, point_w))
agrees_at("theory.loss.weighted_gradient", dict(zip(names, columns, strict=True)), derived)

# %% [markdown]
# The solver works with $x = \mathrm{logit}(v)$, $dv/dx = v(1 - v)$, and with $o = -\frac{v\log v}{1 - v}$. It needs the
# slope of $\log R$ in $x$.

# %%
odds = -v * sp.log(v) / (1 - v)
slope_in_x = ((1 - v) + 2 * k * v + k * (k - 1) * v * odds) / (1 + k * odds)
log_ratio = sp.log(v) - k * sp.log(1 - v) - sp.log(1 + k * odds)
zero(sp.diff(log_ratio, v) * v * (1 - v) - slope_in_x, "the slope of log R in the logit")

# %% [markdown]
# The solver is given the $\eta$ that belong to a known $v$, and has to find it.

# %%
known = [sp.Rational(6, 10), sp.Rational(399, 1000), sp.Rational(1, 1000)]
for exponent in (sp.Rational(1, 2), sp.Integer(2), sp.Integer(30)):
    for detach, factor in ((False, phi), (True, (1 - p) ** k)):
        eta = [float(sp.N(value / factor.subs({p: value, k: exponent}), 30)) for value in known]
        scaled = [value / sum(eta) for value in eta]
        arguments = {"label_probs": scaled, "exponent": float(exponent), "detach": detach}
        agrees_at("theory.loss.focal_minimiser", arguments, known)
