# %% [markdown]
# # Training with the mask held constant minimises a continuous, often convex objective
#
# Write $u_i(\theta) = \mathrm{CE}_i(\theta) = -\log p_\theta(x_i)$, continuously differentiable in $\theta$, and $g =
# -\log\gamma$. A sample is unmasked, $p_i < \gamma$, where $u_i > g$, and masked where $u_i < g$. Training follows
# $\frac{1}{n}\sum_i \chi_i \nabla u_i$ with the mask $\chi_i$ held constant. The objective is
# $$L_\gamma(\theta) = \frac{1}{n}\sum_i \max(u_i(\theta), g) .$$

# %%
import sympy as sp
from checking import agrees_at, equal, holds, states, summed, zero

u, g = sp.symbols("u g", real=True)

# %% [markdown]
# ## The gradient, almost everywhere
#
# Where $u_i \ne g$, the term $\max(u_i, g)$ is near $\theta$ either $u_i$ or the constant $g$, with gradient $\nabla
# u_i$ or 0: the masked gradient.

# %%
above, below = sp.Symbol("a", positive=True), sp.Symbol("b", positive=True)
equal(sp.Max(g + above, g), g + above, "unmasked, u = g + a: the term is u")
zero(sp.Max(g - below, g) - g, "masked, u = g − b: the term is constant")

# %% [markdown]
# On the level set $E = \{u_i = g\}$, almost every point of $E$ is a point of density of $E$ (Lebesgue), and there
# $\nabla u_i = 0$: if it were not, $u_i - g$ would by differentiability have no zero in a cone around $\nabla u_i$ near
# the point, and that cone takes a fixed share of every small ball. Where $\nabla u_i = 0$ and $u_i = g$, $|\max(u_i,
# g) - g| \le |u_i - g|$ is of smaller order than the distance, so the gradient of the term is 0 too, and so is the
# masked gradient, whatever $\chi_i$. Hence both agree at almost every $\theta$, for every continuously differentiable
# family. $L_\gamma$ is continuous, and locally Lipschitz, as a sum of maxima of such functions.

# %%
zero((sp.Max(g + above, g) - g) - sp.Abs(above), "u − g = a > 0: max(u, g) − g = |u − g|")
holds(sp.Max(g - below, g) - g < sp.Abs(-below), "u − g = −b < 0: max(u, g) − g = 0 < |u − g|")

# %%
index, size = sp.symbols("i n", integer=True, positive=True)
gamma = sp.Symbol("gamma", positive=True)
losses = sp.IndexedBase("cross_entropies", real=True)
objective = sp.Sum(sp.Max(losses[index], -sp.log(gamma)), (index, 1, size)) / size
states("hinge-form", "objective", sp.Eq(sp.Function("L")(gamma), objective))

# %% [markdown]
# ## Stationary points
#
# Let $s_i = \langle\nabla u_i, d\rangle$ be the slope of $u_i$ in a direction $d$. The directional derivative of
# $\max(u_i, g)$ is $s_i$ where $u_i > g$, 0 where $u_i < g$, and $\max(s_i, 0)$ where $u_i = g$. In all three cases it
# is the largest of $w_i s_i$ over the admissible weights: $w_i = 1$, $w_i = 0$, $w_i \in [0, 1]$. For the third: a
# linear function of $w$ on $[0, 1]$ is largest at an end.

# %%
w = sp.Symbol("w", nonnegative=True)
rest = sp.Symbol("r", nonnegative=True)  # 1 − w
up, down = sp.Symbol("s_up", nonnegative=True), sp.Symbol("s_down", nonpositive=True)
zero((up - w * up) - (1 - w) * up, "max(s, 0) − w s = (1 − w) s for s ≥ 0")
holds(rest * up >= 0, "which is ≥ 0 for w ≤ 1, and 0 at w = 1")
holds(0 - w * down >= 0, "max(s, 0) − w s = −w s ≥ 0 for s ≤ 0, and 0 at w = 0")

# %% [markdown]
# So $n L_\gamma'(\theta; d) = \max_w \langle \sum_i w_i\nabla u_i, d\rangle$: the support function, at $d$, of the
# compact convex set
# $$\partial = \left\{\sum_i w_i\nabla u_i : w \text{ admissible}\right\} .$$
# A compact convex set contains 0 exactly if its support function is nowhere negative (if 0 is outside, let $-d$ be its
# point nearest to 0: then $\langle y, -d\rangle \ge \lVert d\rVert^2 > 0$ for all $y$ in the set, and the support
# function at $d$ is negative). So $0 \in \partial$ exactly if no directional derivative of $L_\gamma$ is negative.
#
# $\partial/n$ is also Clarke's generalised gradient. Each $\max(u_i, g)$ is a maximum of continuously differentiable
# functions, hence regular, with the generalised gradient $\{w_i\nabla u_i\}$ (Clarke 1983, Proposition 2.3.12), and for
# regular functions that of a sum is the sum (Corollary 3 of Proposition 2.3.3).
#
# The two checked steps of the argument about the nearest point: for $y$ in the set the segment to $y$ stays in it, so
# that $t \mapsto \lVert p + t(y - p)\rVert^2$, $p = -d$, is at its least on $[0, 1]$ at $t = 0$, where its slope is
# $2\langle p, y - p\rangle$; so $\langle p, y\rangle \ge \lVert p\rVert^2$.

# %%
t, pp, py, yy = sp.symbols("t pp py yy", real=True)  # t and the inner products of p and y
along_segment = pp + 2 * t * (py - pp) + t**2 * (yy - 2 * py + pp)
equal(sp.diff(along_segment, t).subs(t, 0), 2 * (py - pp), "slope at the nearest point, which cannot be negative")
p_c, y_c = sp.symbols("p_c y_c", real=True)  # a generic component
inner = {p_c**2: pp, p_c * y_c: py, y_c**2: yy}
zero(summed((p_c + t * (y_c - p_c)) ** 2, inner) - along_segment, "the squared distance, summed over components")

# %% [markdown]
# ## Convexity
#
# Let every $u_i$ be convex. Then $\max(u_i, g)$ is convex, as a maximum of convex functions, and so is $L_\gamma$. If
# $0 \in \partial$ with weights $w$, then for every $\theta'$
# $$\max(u_i(\theta'), g) \ge w_i u_i(\theta') + (1 - w_i) g \ge w_i\left[u_i(\theta) + \langle\nabla u_i(\theta),
# \theta' - \theta\rangle\right] + (1 - w_i) g .$$
# Summed over $i$ the inner products vanish. At $\theta$ itself the rest is $\max(u_i(\theta), g)$: with $w_i = 1$ it is
# $u_i$, with $w_i = 0$ it is $g$, and where $u_i = g$ it is $g$ for every $w_i$. So $L_\gamma(\theta') \ge
# L_\gamma(\theta)$.

# %%
u_new, tangent = sp.symbols("u_new k", real=True)
lower = w * u_new + rest * g
zero((u_new - lower).subs(rest, 1 - w) - (1 - w) * (u_new - g), "u' − [w u' + (1 − w) g] = (1 − w)(u' − g)")
zero((g - lower).subs(rest, 1 - w) - w * (g - u_new), "g − [w u' + (1 − w) g] = w (g − u')")

# %% [markdown]
# The larger of $u'$ and $g$ exceeds the mean of both: by the first line if it is $u'$, by the second if it is $g$.

# %%
holds(rest * above >= 0, "u' − g = a ≥ 0: the first difference is ≥ 0")
holds(w * below >= 0, "g − u' = b ≥ 0: the second difference is ≥ 0")
zero((w * u + (1 - w) * g).subs(w, 1) - u, "at θ, unmasked")
zero((w * u + (1 - w) * g).subs(w, 0) - g, "at θ, masked")
zero((w * u + (1 - w) * g).subs(u, g) - g, "at θ, on the threshold, for every w")

# %% [markdown]
# Cross entropy is convex in the natural parameters of an exponential family, and in the logits of a linear softmax:
# along a line $\theta + td$ it is $A(t) - $ (a linear function of $t$), and $A = \log Z$ with $Z = \sum_x e^{a_x + t
# b_x}$ (a sum or an integral). The derivatives of a generic term give $Z' = Z_1 = \sum_x b_x e^{a_x + tb_x}$ and $Z'' =
# Z_2 = \sum_x b_x^2 e^{a_x + tb_x}$, and $A''$ is the variance of $b$ under the model: at least 0, and 0 only where
# $b = \langle d, T\rangle$ is constant. In a minimal family that is excluded for $d \ne 0$, and every $u_i$ is
# *strictly* convex.

# %%
a_x, b_x, e_x = sp.symbols("a_x b_x e_x", real=True)
Z0, Z1, Z2 = sp.symbols("Z Z_1 Z_2", positive=True)
zero(sp.diff(sp.exp(a_x + t * b_x), t) - b_x * sp.exp(a_x + t * b_x), "slope of a generic term of Z")
zero(sp.diff(sp.exp(a_x + t * b_x), t, 2) - b_x**2 * sp.exp(a_x + t * b_x), "its curvature")
total = sp.Function("Z")(t)
curvature = sp.diff(sp.log(total), t, 2)
for derivative, value in ((total.diff(t, 2), Z2), (total.diff(t), Z1), (total, Z0)):
    curvature = curvature.subs(derivative, value)
mean_b = Z1 / Z0
variance = summed(e_x / Z0 * (b_x - mean_b) ** 2, {e_x: Z0, e_x * b_x: Z1, e_x * b_x**2: Z2})
equal(curvature, variance, "the curvature of A is the variance of b")

# %% [markdown]
# ## The vacuous case
#
# Every term is at least $g$, so $L_\gamma \ge g$, with equality exactly if every $u_i \le g$, that is $p_i \ge \gamma$.
# For convex $u_i$ the set $\{u_i \le g\}$ is convex, and so is the intersection over $i$.

# %%
share = sp.Symbol("t01", nonnegative=True)  # t and 1 − t of a point between two
other = sp.Symbol("t10", nonnegative=True)
slack_1, slack_2 = sp.symbols("c_1 c_2", nonnegative=True)  # g − u at both points
at_most = share * (g - slack_1) + other * (g - slack_2)  # convexity: u between them is at most this
zero((g - at_most).subs(other, 1 - share) - (share * slack_1 + (1 - share) * slack_2), "g less that mean")
holds(share * slack_1 + other * slack_2 >= 0, "is not negative")

# %% [markdown]
# ## Uniqueness
#
# Let all $u_i$ be convex, and let $\theta_0 \ne \theta_1$ both attain $m = \min L_\gamma > g$. On the segment
# $\theta_t$ between them $L_\gamma$ is convex, at most $m$, and at least $m$: constant. A sum of convex functions that
# is constant has affine terms: each is convex, and is the constant less the other terms, hence concave. So $F_i(t) =
# \max(u_i(\theta_t), g)$ is affine for every $i$.
#
# *Strictly convex.* As $L_\gamma(\theta_{1/2}) = m > g$, some $F_i(1/2) > g$. An affine function that is at least $g$
# on $[0, 1]$ and above $g$ somewhere inside is above $g$ on all of $(0, 1)$: the check below. So $u_i = F_i$ on $(0,
# 1)$, affine, against strict convexity. The minimiser is unique.

# %%
left, right = sp.symbols("l r", nonnegative=True)  # F_i − g at both ends
inside = sp.Symbol("tau", positive=True)  # in (0, 1), and its complement
complement = sp.Symbol("tau_c", positive=True)
positive_end = sp.Symbol("l_plus", positive=True)
zero(((1 - t) * left + t * right).subs({left: 0, right: 0}), "both ends at g: nowhere above g")
holds(complement * positive_end + inside * right > 0, "left end above g: above g inside")
holds(complement * left + inside * positive_end > 0, "right end above g: above g inside")

# %% [markdown]
# *Linear softmax.* Let example $i$ be unmasked at one of the minimisers, $u_i > g$ there. Then $F_i > g$ on $(0, 1)$ by
# the same check, $u_i$ is affine there, and its curvature, the variance of $b$ under the prediction, is 0. All
# probabilities are positive, so $b$ is constant: the logits of that example at the two minimisers differ by a constant,
# and the predictions are the same.

# %%
shift, z_x = sp.symbols("c z_x", real=True)
zero(
    sp.exp(z_x + shift) / (Z0 * sp.exp(shift)) - (sp.exp(z_x) / Z0),
    "a common shift of the logits, which multiplies Z by e^c",
)

# %% [markdown]
# ## Where uniqueness fails
#
# Strict convexity cannot be dropped: by the line above all logits of a softmax can be shifted, so that parameters are
# never unique, only predictions. And predictions are unique only for unmasked examples. Two contexts, each with its own
# logit $z_1, z_2$ of the first of two classes: in context 1 both labels occur equally often, in context 2 only the
# first. With $\gamma = 3/4$ the minimum needs $z_1 = 0$, but every $z_2$ with $q \ge 3/4$ does.

# %%
z_1, more = sp.Symbol("z_1", real=True), sp.Symbol("m", nonnegative=True)
context_1 = (sp.log(1 + sp.exp(-z_1)) + sp.log(1 + sp.exp(z_1))) / 2
zero(sp.diff(context_1, z_1).subs(z_1, 0), "context 1, both labels unmasked near z_1 = 0: stationary there")
holds(sp.simplify(sp.diff(context_1, z_1, 2) * (1 + sp.exp(z_1)) ** 2 / sp.exp(z_1)) == 1, "and strictly convex")
equal(context_1.subs(z_1, 0), sp.log(2), "with the value log 2 > log(4/3) = g")
q_2 = 1 / (1 + sp.exp(-(sp.log(3) + more)))
zero(q_2.subs(more, 0) - sp.Rational(3, 4), "context 2 is on the threshold at z_2 = log 3")
holds(sp.diff(q_2, more) > 0, "and masked beyond, where its term stays at g")

# %% [markdown]
# ## The function of the library

# %%
values = [sp.Rational(1, 64), sp.Rational(1, 2), sp.Integer(2), sp.Rational(7, 8)]
threshold = sp.Rational(3, 4)
entries = {losses[k + 1]: x for k, x in enumerate(values)}
mean_of_maxima = objective.subs(size, len(values)).doit().subs(entries).subs(gamma, threshold)
agrees_at("theory.loss.hinge_objective", {"cross_entropies": [float(x) for x in values], "gamma": 0.75}, mean_of_maxima)
