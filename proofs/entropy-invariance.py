# %% [markdown]
# # Training flow never takes the entropy below $-\log\gamma$
#
# Write $u_i = \mathrm{CE}_i$ and $g = -\log\gamma$. On the threshold, $u_i = g$, the mask $\chi_i$ may be anything in
# $[0, 1]$: the masked gradient jumps there, and a solution of the flow may slide along the threshold (Filippov). The
# steps below hold for every such choice, so for every solution, at almost every time.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, summed, zero

g, H, gamma = sp.Symbol("g", real=True), sp.Symbol("entropy", real=True), sp.Symbol("gamma", positive=True)

# %% [markdown]
# ## Natural gradient
#
# An exponential family with constant base measure, $\log p_\theta(x) = \theta\cdot T(x) - A(\theta)$ up to a constant
# $c$. Then
# $$u_i = A - \theta\cdot T_i + c, \qquad H = A - \theta\cdot\nabla A + c,$$
# because $\mathbb{E}_\theta T = \nabla A$ (`tce-gradient`). So $\nabla H = -F\theta$ with $F = \nabla^2 A$, which is
# the Fisher information, the covariance of $T$. In components: $\partial_a(A - \sum_b\theta_b\,\partial_b A) =
# \partial_a A - \partial_a A - \sum_b\theta_b\,\partial_a\partial_b A$. One component $b = a$ and one $b \ne a$ stand
# for all.

# %%
theta_a, theta_b = sp.symbols("theta_a theta_b", real=True)
A = sp.Function("A")(theta_a, theta_b)
entropy = A - theta_a * sp.diff(A, theta_a) - theta_b * sp.diff(A, theta_b)
equal(
    sp.diff(entropy, theta_a),
    -(theta_a * sp.diff(A, theta_a, 2) + theta_b * sp.diff(A, theta_a, theta_b)),
    "a component of ∇H is that of −Fθ",
)

# %% [markdown]
# Along $\dot\theta = -F^{-1}\sum_i\chi_i\nabla u_i$, $\nabla u_i = \nabla A - T_i$, with $F$ symmetric and, in a
# minimal family, invertible,
# $$\frac{dH}{dt} = \langle\nabla H, \dot\theta\rangle = \langle F\theta, F^{-1}\sum_i\chi_i\nabla u_i\rangle = \sum_i
# \chi_i\langle\theta, \nabla A - T_i\rangle = \sum_i\chi_i (u_i - H) .$$
# The last step: $u_i - H = (A - \theta\cdot T_i + c) - (A - \theta\cdot\nabla A + c)$. The second but one, in general:
# $F\theta$ paired with $y$, where $Fy = r$, is $\theta$ paired with $r$, by symmetry of $F$.

# %%
size = sp.Symbol("d", integer=True, positive=True)
F = sp.MatrixSymbol("F", size, size)
theta, r = sp.MatrixSymbol("theta", size, 1), sp.MatrixSymbol("r", size, 1)
pairing = (F * theta).T * F.inverse() * r
symmetric = sp.refine(pairing.doit(), sp.Q.symmetric(F))
holds(sp.simplify(symmetric - theta.T * r) == sp.ZeroMatrix(1, 1), "(Fθ)ᵀ F⁻¹ r = θᵀ r for a symmetric F of any size")
A_0, theta_T, theta_dA, constant = sp.symbols("A thetaT thetadA c", real=True)
zero((A_0 - theta_T + constant) - (A_0 - theta_dA + constant) - (theta_dA - theta_T), "u − H = ⟨θ, ∇A⟩ − ⟨θ, T⟩")

# %%
index, n = sp.symbols("i n", integer=True, positive=True)
losses, mask = sp.IndexedBase("cross_entropies", real=True), sp.IndexedBase("chi")
rate = sp.Sum(mask[index] * (losses[index] - H), (index, 1, n))
states("entropy-invariance", "natural-gradient", sp.Eq(sp.Symbol("dH/dt"), rate))

# %% [markdown]
# Where $\chi_i > 0$, $u_i \ge g$. So $\chi_i(u_i - H) \ge \chi_i(g - H)$, and the sum is at least $N(g - H)$, $N =
# \sum_i\chi_i$.

# %%
chi, above = sp.symbols("chi_i a", nonnegative=True)  # u = g + a where the mask is not 0
N = sp.Symbol("total_weight", nonnegative=True)
holds(sp.expand(chi * (g + above - H) - chi * (g - H)) >= 0, "a term is at least χ (g − H)")
bound = summed(chi * (g - H), {chi: N})
states("entropy-invariance", "natural-gradient-bound", sp.Ge(sp.Symbol("dH/dt"), bound.subs(g, -sp.log(gamma))))

# %% [markdown]
# ## Plain flow of the logits of a softmax
#
# Now $\dot z_j = f_j\chi_j - q_j M$ (`tce-gradient`), with $M = \sum_i f_i\chi_i$. The slope of $H = -\sum_i q_i\log
# q_i$ in $z_j$ is $-q_j(\log q_j + H)$: with $\partial q_i/\partial z_j = q_i(\delta_{ij} - q_j)$ the generic term
# $-q_i\log q_i$ has the slope $-(\log q_i + 1)q_i(\delta_{ij} - q_j)$, and then sum over $i$.

# %%
q = sp.Symbol("q_i", positive=True)
equal(sp.diff(-q * sp.log(q), q), -(sp.log(q) + 1), "slope of a generic term in q_i")
weighted_log, delta, log_q = sp.symbols("qlog_i delta_ij log_q", real=True)  # q_i log q_i is one symbol
q_i, q_j, log_j = sp.symbols("q_gen q_j log_qj", real=True)
slope_H = summed(
    -(weighted_log + q_i) * (delta - q_j),
    {weighted_log * delta: q_j * log_j, q_i * delta: q_j, weighted_log: -H, q_i: 1},
)
zero(slope_H - (-q_j * (log_j + H)), "slope of the entropy in z_j")

# %% [markdown]
# So $\frac{dH}{dt} = \sum_j q_j(\log q_j + H)(q_j M - f_j\chi_j)$.

# %%
i, j, K = sp.symbols("i j K", integer=True, positive=True)
probs, frequencies, chis = (sp.IndexedBase(name, nonnegative=True) for name in ("probs", "frequencies", "chi"))
unmasked = sp.Sum(frequencies[i] * chis[i], (i, 1, K))
velocity = frequencies[j] * chis[j] - probs[j] * unmasked
term = slope_H.subs({q_j: probs[j], log_j: sp.log(probs[j])}) * velocity
tabular = sp.Sum(probs[j] * (sp.log(probs[j]) + H) * (probs[j] * unmasked - frequencies[j] * chis[j]), (j, 1, K))
equal(term, tabular.function, "a term of the chain rule")
states("entropy-invariance", "tabular", sp.Eq(sp.Symbol("dH/dt"), tabular))

# %% [markdown]
# Suppose $H \le g$. Split the sum:
# $$\frac{dH}{dt} = M\sum_j q_j^2(\log q_j + H) - \sum_j f_j\chi_j q_j(\log q_j + H) .$$
#
# *Second sum.* Where $\chi_j > 0$, $-\log q_j \ge g \ge H$, so $\log q_j + H \le 0$, and the term with its sign is $\ge
# 0$.
#
# *First sum.* $\sum_j q_j(\log q_j + H) = 0$, so that $\sum_j q_j\cdot q_j(\log q_j + H)$ is the covariance of $q_j$
# and $\log q_j$ under $q$. For two independent draws $j, k$ from $q$ twice a covariance is the mean of $(q_j -
# q_k)(\log q_j - \log q_k) \ge 0$, a product of two differences of the same sign. Here: with $m_1 = \sum q_j q_j$,
# $m_2 = \sum q_j\log q_j = -H$, $m_{12} = \sum_j q_j\,q_j\log q_j$, summing over $j$ and then over $k$, each with
# weights $q$.

# %%
share, x_j, y_j, x_k, y_k, share_k = sp.symbols("w_j x_j y_j x_k y_k w_k", real=True)
m_1, m_2, m_12 = sp.symbols("m_1 m_2 m_12", real=True)
over_j = summed(
    share * (x_j - x_k) * (y_j - y_k), {share: 1, share * x_j: m_1, share * y_j: m_2, share * x_j * y_j: m_12}
)
over_both = summed(share_k * over_j, {share_k: 1, share_k * x_k: m_1, share_k * y_k: m_2, share_k * x_k * y_k: m_12})
equal(over_both, 2 * (m_12 - m_1 * m_2), "the mean over both draws is twice the covariance")
first_sum = summed(share * x_j * (y_j + H), {share * x_j * y_j: m_12, share * x_j: m_1})
zero(first_sum - ((m_12 - m_1 * m_2).subs(m_2, -H)), "which is the first sum, since Σ q log q = −H")

# %%
small, ratio = sp.Symbol("q_k", positive=True), sp.Symbol("rho", positive=True)
larger = small * (1 + ratio)
holds(sp.expand_log(sp.log(larger) - sp.log(small)) > 0, "q_j > q_k: the logarithms differ with the same sign")
holds(sp.expand(larger - small) > 0, "as the numbers do")
slack_1, slack_2, f_j = sp.symbols("b c f_j", nonnegative=True)  # −log q_j = g + b, g = H + c
log_masked = -(H + slack_2 + slack_1)
holds(-f_j * chi * ratio * (log_masked + H) >= 0, "a term of the second sum, with its sign")

# %% [markdown]
# ## Invariance
#
# The entropy is a continuous function of the parameters, and a solution of the flow is absolutely continuous in time,
# so $H(t)$ is too, with the derivatives above at almost every time. In both cases $H(t) \le g$ implies $dH/dt \ge 0$:
# for the natural gradient because $N(g - H) \ge 0$.
#
# Suppose $H(0) \ge g$ and $H(t_1) < g$. Let $t_0$ be the last time before $t_1$ with $H(t_0) = g$. On $(t_0, t_1]$ $H <
# g$, so $dH/dt \ge 0$ almost everywhere, and $H(t_1) \ge H(t_0) = g$: a contradiction. If $H < g$ throughout an
# interval, the same shows that $H$ does not fall there.

# %%
lack = sp.Symbol("e", nonnegative=True)  # g − H
holds((N * (g - H)).subs(g, H + lack).expand() >= 0, "natural gradient: the bound is ≥ 0 where H ≤ g")

# %% [markdown]
# ## The functions of the library

# %%
values = [sp.Rational(1, 16), sp.Rational(1, 2), sp.Integer(2)]
masks = {mask[k + 1]: value for k, value in enumerate([0, 1, 1])}  # γ = 3/4: g = 0.288
with_values = {losses[k + 1]: value for k, value in enumerate(values)}
reference = rate.subs(n, len(values)).doit().subs(with_values).subs(masks).subs(H, sp.Rational(5, 4))
arguments = {"cross_entropies": [float(value) for value in values], "gamma": 0.75, "entropy": 1.25}
agrees_at("theory.loss.entropy_rate", arguments, reference)
agrees(
    "theory.loss.entropy_rate_bound",
    bound.subs(g, -sp.log(gamma)),
    where={"entropy": (-3.0, 3.0), "gamma": (0.01, 5.0), "total_weight": (0.0, 50.0)},
)

# %%
point_q = [sp.Rational(k, 64) for k in (44, 12, 8)]
point_f = [sp.Rational(k, 16) for k in (5, 10, 1)]
entries = {
    base[k + 1]: value
    for base, column in ((probs, point_q), (frequencies, point_f), (chis, [0, 1, 1]))
    for k, value in enumerate(column)
}
H_of_q = -sum(value * sp.log(value) for value in point_q)
reference = tabular.subs(K, 3).doit().subs(entries).subs(H, H_of_q)
as_floats = {"probs": [float(v) for v in point_q], "frequencies": [float(v) for v in point_f], "gamma": 0.5}
agrees_at("theory.loss.tabular_entropy_rate", as_floats, reference)
