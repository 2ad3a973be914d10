# %% [markdown]
# # Cross entropy less entropy of a network, from its last layer
#
# A network of any kind ends in a linear layer, $z = Wh + b$, with $K$ logits $z$ and $D$ features $h$, and a softmax.
# Let $\theta_h = (W, b)$; the features do not depend on it. For one target with label $y$ let $u = \log Z - z_y$ be its
# cross entropy, $Z = \sum_j e^{z_j}$, and $H$ the entropy of its prediction.

# %%
import sympy as sp
from checking import agrees_at, equal, states, summed, zero

# %% [markdown]
# ## Scaling the layer scales the logits
#
# $z_j$ is linear and homogeneous in $(W, b)$: with $s\theta_h$ in place of $\theta_h$ it is $s z_j$, for any $D$. This
# is why the bias has to be counted in, and why the head must not be tied to anything that the features depend on.

# %%
s, bias = sp.Symbol("s", positive=True), sp.Symbol("b_j", real=True)
weight, feature, logit = sp.symbols("W_jd h_d a", real=True)  # a: the sum of W_jd h_d over d
scaled = summed(s * weight * feature, {weight * feature: logit}) + s * bias
zero(scaled - (s * (logit + bias)), "the logits of sθ are s z")

# %% [markdown]
# By the chain rule, for any function $L$ of $\theta_h$ (here with $S$ held fixed), $\langle\theta_h, \nabla L\rangle$
# is the slope of $L(s\theta_h)$ in $s$ at $s = 1$. So it remains to find the slope of $\log Z(s) - s z_y$ with $Z(s) =
# \sum_j e^{s z_j}$.

# %%
z_j, z_y = sp.symbols("z_j z_y", real=True)
equal(sp.diff(sp.exp(s * z_j), s), z_j * sp.exp(s * z_j), "slope of a generic term of Z")
Z, moment = sp.Symbol("Z", positive=True), sp.Symbol("Z_1", real=True)  # at s = 1: the sums of e^z and of z e^z
partition = sp.Function("Z")(s)
slope = sp.diff(sp.log(partition) - s * z_y, s).subs(sp.Derivative(partition, s), moment).subs(partition, Z)
zero(slope - (moment / Z - z_y), "slope of the cross entropy: the mean logit less that of the label")

# %% [markdown]
# ## It is cross entropy less entropy
#
# With $q_j = e^{z_j}/Z$, $-\log q_j = \log Z - z_j$, and the entropy is $\sum_j q_j(\log Z - z_j)$.

# %%
e_j, log_Z = sp.Symbol("e_j", positive=True), sp.Symbol("log_Z", real=True)  # e_j = exp(z_j)
entropy = summed(e_j / Z * (log_Z - z_j), {e_j: Z, e_j * z_j: moment})
equal(entropy, log_Z - moment / Z, "the entropy is log Z less the mean logit")
zero((log_Z - z_y) - entropy - slope, "CE − H is the slope in s")

# %% [markdown]
# So $u_i - H_i = \langle\theta_h, \nabla u_i\rangle$ for every target, at any parameters. Averaged over a fixed set $S$
# of $m$ targets, both sides linear, this is the claim. The path $s\theta_h$ is the temperature direction of
# `entropy-identity`.

# %%
u_i, H_i, m = sp.Symbol("u_i", real=True), sp.Symbol("H_i", real=True), sp.Symbol("m", positive=True)
sum_u, sum_H = sp.symbols("sum_u sum_H", real=True)
mean_excess = summed((u_i - H_i) / m, {u_i: sum_u, H_i: sum_H})
zero(mean_excess - (sum_u / m - sum_H / m), "the mean of the excesses is CE_S − H_S")

# %% [markdown]
# Written out over all $P$ entries of $\theta_h$ and of the gradient:

# %%
index, size = sp.symbols("i P", integer=True, positive=True)
parameters, gradient = sp.IndexedBase("parameters"), sp.IndexedBase("gradient")
inner = sp.Sum(parameters[index] * gradient[index], (index, 1, size))
states("head-identity", "identity", sp.Eq(sp.Symbol("CE_S") - sp.Symbol("H_S"), inner))

# %% [markdown]
# ## An example, worked out
#
# Three classes, two features, one target of class 0: the gradient by differentiation, entry by entry, against the
# identity, and against the function of the library.

# %%
W = sp.Matrix(3, 2, sp.symbols("W0:6", real=True))
b = sp.Matrix(sp.symbols("b0:3", real=True))
h = sp.Matrix([sp.Rational(3, 2), sp.Rational(-1, 4)])
z = W * h + b
loss = sp.log(sum(sp.exp(value) for value in z)) - z[0]
entries = [*W, *b]
point = dict(zip(entries, [sp.Rational(k, 4) for k in (3, -2, 5, 1, -4, 2, 1, -1, 6)], strict=True))
slopes = [sp.diff(loss, entry).subs(point) for entry in entries]
q = [(sp.exp(value) / sum(sp.exp(other) for other in z)).subs(point) for value in z]
entropy_here = -sum(value * sp.log(value) for value in q)
by_identity = sum(entry * slope_here for entry, slope_here in zip(point.values(), slopes, strict=True))
zero(sp.simplify(sp.expand_log(loss.subs(point) - entropy_here - by_identity, force=True)), "CE − H = ⟨θ, ∇L⟩")
arguments = {"parameters": [float(v) for v in point.values()], "gradient": [float(v) for v in slopes]}
agrees_at("theory.loss.head_excess", arguments, by_identity)
