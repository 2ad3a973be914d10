# %% [markdown]
# # Gradient and Hessian of TCE
#
# A softmax model has probabilities $q_j = e^{z_j}/Z$ with $Z = \sum_i e^{z_i}$, over any number $K$ of classes. The
# data have the label distribution $f$. TCE with its mask held constant is
# $$L = \sum_i f_i \chi_i (-\log q_i) = \sum_i f_i \chi_i (\log Z - z_i), \qquad \chi_i = 1 \text{ if } q_i \le \gamma,
# \text{ else } 0 .$$
# Off the threshold, where no $q_i = \gamma$, the mask is constant near $z$, so that these are derivatives of the loss
# as it is trained.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, summed, zero

z_j, z_k = sp.symbols("z_j z_k", real=True)
others = sp.Symbol("R", positive=True)  # the terms of Z that hold neither z_j nor z_k, however many
Z = others + sp.exp(z_j) + sp.exp(z_k)
q_j, q_k = sp.exp(z_j) / Z, sp.exp(z_k) / Z

# %% [markdown]
# ## Derivatives of softmax
#
# All other classes enter through the number $R = Z - e^{z_j} - e^{z_k}$, which does not depend on $z_j$ and $z_k$; so
# two classes and $R$ stand for any $K$.

# %%
equal(sp.diff(sp.log(Z), z_j), q_j, "the slope of log Z in z_j is q_j")
equal(sp.diff(q_j, z_j), q_j - q_j**2, "the slope of q_j in its own logit")
zero(sp.diff(q_j, z_k) - (-q_j * q_k), "the slope of q_j in another logit, k ≠ j")

# %% [markdown]
# ## Gradient
#
# Class $i$ contributes $f_i\chi_i(\log Z - z_i)$, whose slope in $z_j$ is $f_i\chi_i(q_j - \delta_{ij})$. Now sum over
# $i$. By linearity it is enough to know the sums of the monomials: $\sum_i f_i\chi_i = M$ and $\sum_i
# f_i\chi_i\delta_{ij} = f_j\chi_j$.

# %%
f, chi, delta = sp.symbols("f_i chi_i delta_ij")  # depend on the index i
f_j, chi_j, M, q = sp.symbols("f_j chi_j M q_j")  # do not
gradient = summed(f * chi * (q - delta), {f * chi: M, f * chi * delta: f_j * chi_j})
zero(gradient - (q * M - f_j * chi_j), "gradient in z_j")

# %% [markdown]
# For one example with label $y$, $f = e_y$: $M = \chi_y$, and the gradient is $\chi_y (q - e_y)$.

# %%
equal(gradient.subs({f_j: delta, M: chi_j}), chi_j * (q - delta), "one example: f_j = δ_jy, and χ_j = χ_y = M at j = y")
zero(gradient.subs({f_j: 0, M: chi}) - chi * (q - 0), "one example: other classes than its label")

# %%
index, place, size = sp.symbols("i j K", integer=True, positive=True)
probs, frequencies, mask = (sp.IndexedBase(name) for name in ("probs", "frequencies", "chi"))
unmasked = sp.Sum(frequencies[index] * mask[index], (index, 1, size))
entries = {q: probs[place], f_j: frequencies[place], chi_j: mask[place], M: unmasked}
states("tce-gradient", "gradient", sp.Eq(sp.Function("dL")(place), gradient.subs(entries)))

# %% [markdown]
# Its components sum to 0, as they must: adding a constant to all logits changes nothing.

# %%
zero(summed(q * M - f * chi, {q: 1, f * chi: M}), "the components of the gradient sum to 0")

# %% [markdown]
# ## Hessian
#
# $M$ and $f_j\chi_j$ are constants, so that the Hessian is $M\,\partial q_j/\partial z_k$: by the derivatives above
# $M(q_j - q_j^2)$ for $k = j$ and $-M q_j q_k$ for $k \ne j$, which is $M(q_j\delta_{jk} - q_j q_k)$ in both cases.

# %%
same = sp.Symbol("same", real=True)  # the Kronecker symbol: 1 on the diagonal, 0 off it
entry = q_j * same - q_j * (same * q_j + (1 - same) * q_k)
equal(entry.subs(same, 1), sp.diff(q_j, z_j), "on the diagonal")
zero(entry.subs(same, 0) - (sp.diff(q_j, z_k)), "off the diagonal")
a, b = sp.symbols("a b")  # q_j, and the q of the other index, which is q_j too on the diagonal
unified = a * same - a * b
zero(unified.subs(b, same * a + (1 - same) * b).subs(same, 1) - (a - a**2), "one formula: on the diagonal")
zero(unified.subs(b, same * a + (1 - same) * b).subs(same, 0) + a * b, "one formula: off it")

# %%
other = sp.Symbol("k", integer=True, positive=True)
hessian = unmasked * unified.subs({a: probs[place], b: probs[other], same: sp.KroneckerDelta(place, other)})
states("tce-gradient", "hessian", sp.Eq(sp.Function("d2L")(place, other), hessian))

# %% [markdown]
# The quadratic form of $\mathrm{diag}\,q - qq^{\mathrm{T}}$ at a vector $v$ is $\sum_i q_i v_i^2 - (\sum_i q_i v_i)^2$.
# With $m = \sum_i q_i v_i$ this is the variance $\sum_i q_i (v_i - m)^2 \ge 0$. As all $q_i > 0$, it vanishes only
# where every $v_i = m$.

# %%
q_i, v_i, mean, square = sp.symbols("q_i v_i m s", real=True)
variance = summed(q_i * (v_i - mean) ** 2, {q_i: 1, q_i * v_i: mean, q_i * v_i**2: square})
zero(variance - (square - mean**2), "the quadratic form is a variance")

# %% [markdown]
# ## Masked and unmasked examples
#
# The cross entropy of one example has the slope $q_y - 1$ in its label's logit. So $|\partial\mathrm{CE}/\partial
# z_y| = 1 - q_y$, which is decreasing in $q_y$ and is $1 - \gamma$ on the threshold: smaller where $q_y > \gamma$
# (masked), at least $1 - \gamma$ where $q_y \le \gamma$.

# %%
gamma, excess = sp.symbols("gamma epsilon", positive=True)
lack = sp.Symbol("d", nonnegative=True)
slope = sp.diff(sp.log(Z) - z_j, z_j)
equal(slope, q_j - 1, "the slope is q_y − 1")
equal(slope, -(others + sp.exp(z_k)) / Z, "and negative: so its size is 1 − q_y")
label = sp.Symbol("q_y", positive=True)
size_of_slope = 1 - label
on_threshold = size_of_slope.subs(label, gamma)
holds(on_threshold - size_of_slope.subs(label, gamma + excess) > 0, "masked, q_y = γ + ε: smaller than 1 − γ")
holds(size_of_slope.subs(label, gamma - lack) - on_threshold >= 0, "unmasked, q_y = γ − d: at least 1 − γ")
states("tce-gradient", "masked-examples", sp.Eq(sp.Function("B")(gamma), on_threshold))

# %% [markdown]
# ## Natural parameters
#
# In an exponential family $p_\theta(x) = h(x)\,e^{\theta\cdot T(x) - A(\theta)}$ the cross entropy of $x$ is
# $A(\theta) - \theta\cdot T(x) - \log h(x)$, where $e^{A}$ is the sum (or integral) over $x$ of $h(x)\,e^{\theta\cdot
# T(x)}$. One component $\theta$, with all the others held fixed in $h$, is enough. A generic term of $e^A$ has the
# slope $T h e^{\theta T}$ (in the interior of the natural parameters sum and derivative may be exchanged), so the slope
# of $e^A$ is the sum of these, $e^A\,\mathbb{E}_\theta T$, and that of $A$ is $\mathbb{E}_\theta T$.

# %%
theta, T_x, base, log_base = sp.symbols("theta T h log_h", real=True)
term = base * sp.exp(theta * T_x)
total, A = sp.Function("E", positive=True)(theta), sp.Symbol("A")
equal(sp.diff(term, theta), T_x * term, "slope of a generic term of e^A")
moment = sp.Symbol("S", real=True)  # the sum of T h e^{θT}
slope_A = sp.diff(sp.log(total), theta).subs(sp.Derivative(total, theta), moment)
equal(slope_A, moment / total, "slope of A: the mean of T, because h e^{θT}/e^A are the probabilities")
expected = sp.Symbol("ET", real=True)
loss = sp.Function("A")(theta) - theta * T_x - log_base
zero(
    sp.diff(loss, theta).subs(sp.Derivative(sp.Function("A")(theta), theta), expected) - (expected - T_x), "E T − T(x)"
)

# %% [markdown]
# ## The functions of the library

# %%
point_q = [sp.Rational(n, 64) for n in (40, 16, 8)]
point_f = [sp.Rational(n, 16) for n in (5, 10, 1)]
point_mask = [0, 1, 1]  # γ = 1/2
point_M = sum(a * b for a, b in zip(point_f, point_mask, strict=True))
as_floats = {
    "probs": [float(x) for x in point_q],
    "frequencies": [float(x) for x in point_f],
    "gamma": 0.5,
}
derived = [
    gradient.subs({q: a, f_j: b, chi_j: c, M: point_M}) for a, b, c in zip(point_q, point_f, point_mask, strict=True)
]
agrees_at("theory.loss.tce_gradient", as_floats, derived)
matrix = [point_M * (a * int(j == k) - a * b) for j, a in enumerate(point_q) for k, b in enumerate(point_q)]
agrees_at("theory.loss.tce_hessian", as_floats, matrix)
agrees("theory.loss.masked_gradient_bound", 1 - gamma, where={"gamma": (0.0, 1.0)})
