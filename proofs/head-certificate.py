# %% [markdown]
# # A computable bound of how far below the floor a network can be
#
# By `head-identity`, at any parameters, $\mathrm{CE}_S - H_S = \langle\theta_h, \nabla_{\theta_h} L_S\rangle$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, summed, zero

# %% [markdown]
# ## The bound
#
# Cauchy–Schwarz, with its proof: for vectors $x, y$ of any length and every real $t$, $0 \le \sum_c(x_c - t y_c)^2$. If
# $y \ne 0$, put $t = \langle x, y\rangle/\lVert y\rVert^2$. If $y = 0$, both sides of the claim are 0.

# %%
x_c, y_c, t, xy = sp.symbols("x_c y_c t xy", real=True)
xx, yy = sp.symbols("xx yy", positive=True)  # squared norms
inner = {x_c**2: xx, x_c * y_c: xy, y_c**2: yy}
square = summed((x_c - t * y_c) ** 2, inner)
zero(square.subs(t, xy / yy) - (xx * yy - xy**2) / yy, "so ‖x‖²‖y‖² − ⟨x, y⟩² is ‖y‖² times a sum of squares, ≥ 0")

# %%
norm, slope = sp.symbols("parameter_norm gradient_norm", nonnegative=True)
zero((xx * yy).subs({xx: norm**2, yy: slope**2}) - (norm * slope) ** 2, "⟨x, y⟩² ≤ (‖x‖‖y‖)²")
states("head-certificate", "bound", sp.Le(abs(sp.Symbol("H_S") - sp.Symbol("CE_S")), norm * slope))

# %% [markdown]
# ## The floor
#
# On $S$, the unmasked targets, $p_i \le \gamma$, so each $\mathrm{CE}_i \ge -\log\gamma$, and so is their mean: $H_S
# \ge \mathrm{CE}_S - \lVert\theta_h\rVert\lVert\nabla L_S\rVert \ge -\log\gamma - \lVert\theta_h\rVert\lVert\nabla
# L_S\rVert$.

# %%
gamma, share = sp.symbols("gamma r", positive=True)  # p = γ/(1 + r), or γ itself
zero(sp.expand_log(-sp.log(gamma / (1 + share)) - (-sp.log(gamma) + sp.log(1 + share))), "CE of p = γ/(1 + r)")
holds(sp.log(1 + share) > 0, "exceeds −log γ")
CE, H, floor, gap = sp.symbols("CE H g e", real=True)
above = sp.Symbol("a", nonnegative=True)  # CE_S − g
slack = sp.Symbol("k", nonnegative=True)  # H − CE + bound
equal((CE - norm * slope + slack).subs(CE, floor + above) - (floor - norm * slope), above + slack, "both gaps add up")
holds(above + slack >= 0, "the floor less the bound")

# %% [markdown]
# ## Weight decay
#
# The objective is $\frac{1}{n}\sum_i\max(u_i, g) + \frac{\lambda}{2}\lVert W\rVert^2$ over all $n$ targets, the bias
# undecayed. Stationary in $(W, b)$, with weights $w_i$ as in `hinge-form` (the penalty is smooth, so its gradient adds
# to each element of the generalised gradient):
# $$\frac{1}{n}\sum_i w_i\nabla_W u_i + \lambda W = 0, \qquad \frac{1}{n}\sum_i w_i\nabla_b u_i = 0 .$$
# Take the inner product with $(W, b)$. By `head-identity` for each target, $\langle(W, b), \nabla u_i\rangle = u_i -
# H_i$.

# %%
penalty, W_c, decay = sp.symbols("W2 W_c decay", real=True)
equal(sp.diff(decay / 2 * W_c**2, W_c), decay * W_c, "gradient of the penalty")
paired = summed(W_c * decay * W_c, {W_c**2: penalty})
w_i, u_i, H_i, sum_wu, sum_wH = sp.symbols("w_i u_i H_i sum_wu sum_wH", real=True)
n, N = sp.symbols("n total_weight", positive=True)
stationary = summed(w_i * (u_i - H_i) / n, {w_i * u_i: sum_wu, w_i * H_i: sum_wH}) + paired
(entropies,) = sp.solve(stationary, sum_wH)
gain = equal(entropies / N - sum_wu / N, decay * penalty * n / N, "mean entropy less mean cross entropy")
gain

# %%
positive_decay, W_norm = sp.symbols("decay weight_norm", positive=True)
positive = gain.rhs.subs({decay: positive_decay, penalty: W_norm**2})
states("head-certificate", "decay", sp.Eq(sp.Symbol("H") - sp.Symbol("CE"), positive))

# %% [markdown]
# If the bias is decayed too, the same holds with $(W, b)$ in place of $W$ in the penalty. Where $w_i > 0$, $u_i \ge g$,
# so the weighted mean of $u_i$ is at least $g$ (as in `entropy-identity`), and $\bar H \ge -\log\gamma + \lambda\lVert
# W\rVert^2 n/N$: decay raises the entropy above the floor.

# %%
holds(positive > 0, "the gain is positive")
weight, excess = sp.symbols("w_pos c_i", nonnegative=True)
holds(sp.expand(weight * (floor + excess) - weight * floor) >= 0, "a term: w u ≥ w g, so the mean is ≥ g")

# %% [markdown]
# ## Decoupled decay
#
# Full-batch AdamW at rest: the gradient $G$ of a parameter is constant, so the running means are $m = G$, $v = G^2$,
# and rest means $G/(|G| + \epsilon) + \lambda\theta = 0$ (an undecayed parameter has $G = 0$). Then $\langle\theta,
# G\rangle$ has the terms $-\frac{1}{\lambda}\frac{G^2}{|G| + \epsilon} = -|\theta||G|$. Its negative times $n/N$ is
# $\bar H - \overline{\mathrm{CE}}$, by the pairing above: still $\ge 0$. It is not $\lambda\lVert\theta\rVert^2 n/N$,
# of which a term is $|\theta||G|$ divided by $|G| + \epsilon$.

# %%
G, epsilon, rate = sp.symbols("G epsilon lambda", positive=True)
at_rest = -G / (rate * (G + epsilon))  # for G > 0; for G < 0 both signs change
zero(G / (G + epsilon) + rate * at_rest, "at rest")
equal(-at_rest * G, sp.Abs(at_rest) * G, "−θ G = |θ| |G|")
holds(-at_rest * G > 0, "≥ 0: the floor stays")
ratio = sp.simplify((rate * at_rest**2) / (-at_rest * G))
zero(ratio - (1 / (G + epsilon)), "what penalised decay would have given, over what there is")

# %% [markdown]
# Such a point: two classes, one feature of value 1, no bias, so that the two weights are the logits; one target, of the
# first class, so $n = N = 1$. At the logits $(1, -1)$ its probability is $1/(1 + e^{-2}) = .881 < \gamma = .9$:
# unmasked. The gradients are $\mp 1/(1 + e^2)$. With $\lambda = 1$ and $\epsilon = 0$ it is at rest, and $\bar H -
# \overline{\mathrm{CE}} = 2/(1 + e^2) = .238$, in place of $\lambda\lVert\theta\rVert^2 n/N = 2$.

# %%
logits = sp.symbols("z_1 z_2", real=True)
loss = sp.log(sp.exp(logits[0]) + sp.exp(logits[1])) - logits[0]
at = {logits[0]: 1, logits[1]: -1}
holds(sp.exp(-loss).subs(at) < sp.Rational(9, 10), "unmasked")
slopes = [sp.simplify(sp.diff(loss, logit).subs(at)) for logit in logits]
for logit, slope_here, sign in zip(logits, slopes, (-1, 1), strict=True):
    equal(slope_here, sign / (1 + sp.E**2), f"the gradient in {logit}")
    zero(slope_here / sp.Abs(slope_here) + 1 * at[logit], "at rest for λ = 1, ε = 0")
q = [sp.exp(logit).subs(at) / (sp.E + 1 / sp.E) for logit in logits]
entropy = -sum(value * sp.expand_log(sp.log(value), force=True) for value in q)
by_weights = sum(sp.Abs(at[logit] * slope_here) for logit, slope_here in zip(logits, slopes, strict=True))
equal(by_weights, 2 / (1 + sp.E**2), "Σ |θ| |G|")
zero(sp.simplify(sp.expand_log(entropy - loss.subs(at) - by_weights, force=True)), "H − CE is Σ |θ| |G|")
holds(by_weights < 2, "and not λ ‖θ‖² = 2")

# %% [markdown]
# ## The functions of the library

# %%
agrees(
    "theory.loss.head_certificate", norm * slope, where={"parameter_norm": (0.0, 100.0), "gradient_norm": (0.0, 1.0)}
)
agrees(
    "theory.loss.decay_excess",
    positive,
    where={"decay": (0.0, 1.0), "weight_norm": (0.0, 100.0), "n": range(1, 10**6), "total_weight": (0.5, 1e6)},
)
