# %% [markdown]
# # What a cap leaves of a model that is sharpened at every generation
#
# Population recursion: sample at temperature $T < 1$, infinitely often, and fit by TCE. With $\beta = 1/T > 1$,
# $$s_i = \frac{p_{t,i}^\beta}{\sum_j p_{t,j}^\beta}, \qquad p_{t+1,i} = \min(\gamma, s_i/\lambda)$$
# with $\lambda \le 1$ (`capped-projection`; all $K$ classes are positive and $K\gamma \ge 1$. For $K\gamma = 1$ the
# fit is uniform, $C_\gamma$ has only this member, and so has the limit below; let $K\gamma > 1$). All classes stay
# positive for ever. $p_1$ and all later generations are in $C_\gamma$.

# %%
import numpy as np
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero

from tce_theory.theory import categorical

temperature, gamma = sp.symbols("T gamma", positive=True)

# %% [markdown]
# ## Capped classes stay capped
#
# Equal classes stay equal, and because $p \mapsto \min(\gamma, p^\beta/\ldots)$ does not fall, no class overtakes
# another (it can only draw level at $\gamma$).
#
# Let $p_i \ge \gamma$, in any distribution $p$; the claim is that class $i$ is at the cap after the step. Suppose that
# it is not, and let $i$ be the largest class of this kind. The set $A$ of the $m$ classes at the cap after the step
# then holds classes with $p_j \ge p_i$ only, so that the others have the mass $Q = 1 - \sum_{j \in A} p_j \le 1 -
# m\gamma$, and $p_j \le p_i$. Each term of $\sum_{j \notin A} p_j^\beta$ is $p_j^{\beta - 1} p_j \le p_i^{\beta - 1}
# p_j$, so that the sum is at most $p_i^{\beta - 1} Q$. As $1 - m\gamma$ is left for the classes outside $A$, which
# share it out in proportion to $p^\beta$, class $i$ gets
# $$\frac{(1 - m\gamma)\, p_i^\beta}{\sum_{j \notin A} p_j^\beta}
#   \ge \frac{(1 - m\gamma)\, p_i^\beta}{p_i^{\beta - 1} Q} = \frac{1 - m\gamma}{Q}\, p_i \ge p_i \ge \gamma :$$
# it is at the cap after all.

# %%
p_i, p_j, beta = sp.symbols("p_i p_j beta", positive=True)
zero(sp.powsimp(p_j ** (beta - 1) * p_j) - p_j**beta, "a term of the sum in two factors")
room, mass, slack = sp.symbols("R Q u", positive=True)  # R = 1 − mγ
received = room * p_i**beta / (p_i ** (beta - 1) * mass)
equal(sp.powsimp(received), room / mass * p_i, "the share of class i, with the sum replaced by its bound")
holds(sp.expand((mass + slack) / mass - 1) > 0, "R/Q > 1 for R = Q + u; and R/Q = 1 at R = Q")

# %% [markdown]
# ## Log-ratios of the others
#
# Two classes below the cap at $t + 1$ are $s_i/\lambda$ and $s_j/\lambda$: the normaliser and $\lambda$ cancel.

# %%
level, normaliser = sp.symbols("lambda N", positive=True)
new_i, new_j = (p ** (1 / temperature) / normaliser / level for p in (p_i, p_j))
ratio_next = sp.expand_log(sp.log(new_i), force=True) - sp.expand_log(sp.log(new_j), force=True)
ratio = sp.log(p_i) - sp.log(p_j)
equal(ratio_next, ratio / temperature, "the new log-ratio is the old one over T")
now = sp.Symbol("r_t", real=True)
states("mode-seeking-limit", "log-ratios", sp.Eq(sp.Symbol("r_next", real=True), now / temperature))

# %% [markdown]
# ## The limit
#
# The set of capped classes grows, and is some $A$ of $k$ classes from a generation $t_0$ on. As all classes are
# positive and $K\gamma > 1$, $A$ is not all of them, and $k\gamma < 1$.
#
# A class outside $A$ has been below the cap at every generation $1, \ldots, t$. So the log-ratio of two of them is
# $\beta^t$ times what it was at the start: it is 0 if they were tied at the start, and tends to $\pm\infty$ if not.
# Let $B$ be the group of the most probable classes outside $A$, $b$ of them, tied at the start. All others outside $A$
# vanish relative to $B$; $1 - k\gamma$ is left for the classes outside $A$, so
# $$p_{t,i} \to \gamma \quad (i \in A), \qquad p_{t,i} \to \frac{1 - k\gamma}{b} \quad (i \in B),$$
# and $p_{t,i} \to 0$ for the rest.
#
# Which classes are in $A$? Number the groups of ties by falling initial probability, $c_j$ the number of classes in
# the first $j$. Ties are capped together, and no class overtakes another; so $A$ is the first $j - 1$ groups and $B$
# the $j$-th for some $j$: $k = c_{j-1}$, $b = c_j - c_{j-1}$. Since $k\gamma < 1$, $c_{j-1} < 1/\gamma$. Since no
# probability exceeds $\gamma$, the limit on $B$ does not, and $1 - c_{j-1}\gamma \le (c_j - c_{j-1})\gamma$, which is
# $c_j \ge 1/\gamma$. There is exactly one such $j$: the group of the class with rank $\lceil 1/\gamma \rceil = M + 1$.

# %%
before, after = sp.symbols("c_before c_after", positive=True)
slack = (after - before) * gamma - (1 - before * gamma)
zero(sp.expand(slack - (after * gamma - 1)), "(c_j − c_{j−1})γ ≥ 1 − c_{j−1}γ is c_jγ ≥ 1")

# %% [markdown]
# **Without ties at that rank**, $p_{(M)} > p_{(M+1)} > p_{(M+2)}$, the group is one class and $c_{j-1} = M$: the limit
# is $\gamma$ on $M$ classes and $1 - M\gamma$ on one. If $1/\gamma$ is not an integer, $M = \lfloor 1/\gamma \rfloor$
# and this is the point of least entropy of `support-floor`. If it is, $M + 1 = 1/\gamma$ and $1 - M\gamma = \gamma$:
# $\gamma$ on $1/\gamma$ classes, the point of least entropy again; and then $p_{(M+1)} > p_{(M+2)}$ is enough, because
# it makes $c_j = M + 1$, and each of the group has $(1 - c_{j-1}\gamma)/(c_j - c_{j-1}) = \gamma$. Entropy is
# continuous on the finitely many classes, so that $H(p_t) \to h_{min}(\gamma)$. Cross entropy is $\gamma = 1$,
# $M = 0$: with one mode, all goes to it, and $H \to 0$.

# %%
number = 1 / gamma
equal((1 - before * gamma) / (number - before), gamma, "the share of a class if the groups fill 1/γ exactly")
equal((1 - (number - 1) * gamma), gamma, "1 − Mγ for M = 1/γ − 1")

# %% [markdown]
# ## Ties
#
# $p_0 = (.3, .3, .2, .2)$, $\gamma = .9$: no class of a tied pair can have more than half, so the cap never acts,
# $p_t = (a, a, b, b)$ with $b/a = (2/3)^{\beta^t} \to 0$, and $a = 1/(2(1 + b/a)) \to \frac{1}{2}$. The limit has
# entropy $\log 2 > h_{min}(.9)$.

# %%
quotient, power = sp.symbols("x n", positive=True)
share = 1 / (2 * (1 + quotient))
zero(2 * share + 2 * quotient * share - 1, "(a, a, xa, xa) sums to 1")
equal(sp.limit(sp.Rational(2, 3) ** power, power, sp.oo), 0, "(2/3)^n → 0 as n = β^t → ∞")
equal(share.subs(quotient, 0), sp.Rational(1, 2), "a at b/a = 0")
cap = sp.Rational(9, 10)
least = -cap * sp.log(cap) - (1 - cap) * sp.log(1 - cap)
holds(sp.log(2) > least, "log 2 > h_min(.9)")
sp.Gt(sp.log(2), least, evaluate=False)

# %% [markdown]
# ## Top-p decoding
#
# The smallest set of the most probable classes with mass at least $.9$ is drawn, at its relative frequencies. Zipf(1)
# on 20 classes, $\gamma = .5$, in exact arithmetic: if the largest frequency is at most $\gamma$ the fit is the
# frequencies themselves, with or without the cap.

# %%
model = [sp.Rational(1, rank) / sp.harmonic(20) for rank in range(1, 21)]
kept, half, top_p = [], sp.Rational(1, 2), sp.Rational(9, 10)
for _ in range(7):
    count = next(c for c in range(1, len(model) + 1) if sum(model[:c]) >= top_p)
    kept.append(count)
    model = [value / sum(model[:count]) for value in model[:count]]
    assert max(model) <= half, "the cap would act"
holds(min(kept) * half >= 2, "at least four classes are drawn at every generation, Sγ ≥ 2, and the cap never acts")
holds(kept[:7] == [14, 10, 8, 6, 5, 4, 4], "classes drawn: 14, 10, 8, 6, 5, 4, 4")
holds(model == [sp.Rational(k, 25) for k in (12, 6, 4, 3)], "from the sixth generation on: (12, 6, 4, 3)/25")
holds(1 - model[-1] < top_p, "without its last class there is less than .9: the model is a fixed point")
final = -sum(value * sp.log(value) for value in model)
holds(final > sp.log(2) + sp.Rational(1, 2), "its entropy is far above h_min(.5) = log 2")
sp.Eq(sp.Symbol("H"), final)

# %% [markdown]
# ## Greedy decoding (numerical)
#
# Only the mode is drawn: $S\gamma = .5 < 1$, and the model stops where the mode has $\gamma$ (`warm-degenerate`),
# after one generation.

# %%
zipf = 1 / np.arange(1, 21)
end = categorical.warm_end(zipf / zipf.sum(), np.arange(20) == 0, 0.5).probs
entropy = float(-np.sum(end * np.log(end)))
holds(abs(entropy - 2.0516) < 5e-5, f"greedy decoding ends at H = {entropy:.4f} (numerical)")
holds(categorical.warm_end(end, np.arange(20) == 0, 0.5).clock == 0, "and stays there (numerical)")

# %% [markdown]
# ## The functions of the library

# %%
tenth = sp.Rational(1, 10)
cases = [
    ([4, 3, 2, 1], sp.Rational(3, 10), [3 * tenth, 3 * tenth, 3 * tenth, tenth]),
    ([1, 2, 3, 4], sp.Rational(9, 10), [0, 0, tenth, 9 * tenth]),
    ([3, 3, 2, 2], sp.Rational(9, 10), [half, half, 0, 0]),
    ([4, 2, 2, 2], sp.Rational(1, 2), [half, half / 3, half / 3, half / 3]),
    ([4, 4, 1, 1], sp.Rational(1, 2), [half, half, 0, 0]),
    ([4, 3, 2, 1], sp.Integer(1), [1, 0, 0, 0]),
]
for weights, threshold, limit in cases:
    arguments = {"probs": [weight / 10 for weight in weights], "gamma": float(threshold)}
    agrees_at("theory.categorical.mode_seeking_limit", arguments, [sp.sympify(value) for value in limit])

# %%
whole = sp.floor(1 / gamma)
rest = 1 - whole * gamma
agrees(
    "theory.categorical.entropy_floor",
    -whole * gamma * sp.log(gamma) - rest * sp.log(rest),
    where={"gamma": (0.05, 1.0)},
)
