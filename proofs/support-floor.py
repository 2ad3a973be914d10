# %% [markdown]
# # A capped model stays capped: how many classes and how much entropy survive for ever
#
# Start from $q_0 \in C_\gamma = \{q : \max q \le \gamma\}$ and fit each generation by warm-started TCE to data drawn
# from the generation before. Nothing is assumed about how the data come out.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

gamma = sp.Symbol("gamma", positive=True)

# %% [markdown]
# ## Every generation is in $C_\gamma$
#
# Let $S$ be the number of classes that are drawn in a generation.
#
# - $S\gamma > 1$: the fit is $\min(\gamma, f_i/\lambda)$, in $C_\gamma$ (`capped-projection`), whatever the previous
#   model was.
# - $S\gamma = 1$: the fit is $\gamma$ on each drawn class, in $C_\gamma$ as well (`warm-degenerate`).
# - $S\gamma < 1$: the fit is the end of the gradient flow from the previous model. Along the flow the largest
#   probability does not rise while it is above $\gamma$ (`warm-degenerate`, "No class climbs above the cap"), so that
#   from within $C_\gamma$ it stays there.
#
# By induction all generations are in $C_\gamma$. From outside, the first generation with $S\gamma \ge 1$ is in
# $C_\gamma$ by the first two cases, and then all later ones are.
#
# ## Classes
#
# If $s$ classes have positive probability, $1 = \sum q_i \le s\gamma$. So $s \ge 1/\gamma$, and $s$ is an integer:
# $s \ge \lceil 1/\gamma\rceil$.

# %%
support = sp.ceiling(1 / gamma)
states("support-floor", "classes", sp.Eq(sp.Function("s_min")(gamma), support))

# %% [markdown]
# ## Entropy
#
# Let $\eta(x) = -x\log x$, $\eta(0) = 0$, so that $H(q) = \sum \eta(q_i)$. It is strictly concave.
#
# *Two classes strictly between 0 and $\gamma$ are never the least.* Let $0 < q_j \le q_i < \gamma$, and move mass
# $u$ from $j$ to $i$, up to $u^* = \min(q_j, \gamma - q_i) > 0$; the sum stays 1 and all stays in $[0, \gamma]$. The
# entropy changes at the rate $\eta'(q_i + u) - \eta'(q_j - u) = -\log\frac{q_i + u}{q_j - u} < 0$ for $0 < u < u^*$,
# so it falls strictly. At $u^*$ one of the two is at 0 or at $\gamma$.

# %%
x, y, u = sp.symbols("x y u", positive=True)
part = -x * sp.log(x)
holds(sp.diff(part, x, 2) < 0, "η is strictly concave")
moved = -(x + u) * sp.log(x + u) - (y - u) * sp.log(y - u)
zero(sp.diff(moved, u) - (sp.log(y - u) - sp.log(x + u)), "the rate of change is log (y − u)/(x + u)")
holds((x + u) - (x - u) > 0, "with y ≤ x: y − u ≤ x − u < x + u, so the logarithm is negative")

# %% [markdown]
# Repeat: each move lowers the entropy and the number of classes strictly between. After at most $K - 1$ moves at most
# one class is left strictly between 0 and $\gamma$. Say $k$ classes are at $\gamma$ and one has
# $r = 1 - k\gamma \in [0, \gamma)$; then $k \le 1/\gamma < k + 1$, $k = \lfloor 1/\gamma \rfloor = m$. All such points
# have the same entropy,
# $$h_{min}(\gamma) = -m\gamma\log\gamma - r\log r ,$$
# and every other point of $C_\gamma$ has more. The point exists if there are classes enough,
# $\lceil 1/\gamma\rceil \le K$, which is $K\gamma \ge 1$, $C_\gamma$ not empty. It also has exactly
# $\lceil 1/\gamma\rceil$ classes: both bounds are sharp.

# %%
whole = sp.floor(1 / gamma)
rest = 1 - whole * gamma
vertex = whole * part.subs(x, gamma) + part.subs(x, rest)
states("support-floor", "entropy", sp.Eq(sp.Function("h_min")(gamma), vertex))

# %% [markdown]
# $h_{min} \ge -\log\gamma$, with $m\gamma + r = 1$:
# $h_{min} + \log\gamma = -r\,(\log r - \log\gamma) = r\log(\gamma/r)$, which is positive if $0 < r < \gamma$, and 0 if
# $r = 0$, where $1/\gamma$ is an integer.

# %%
m, r = sp.symbols("m r", positive=True)
zero(
    sp.expand((-m * gamma * sp.log(gamma) - r * sp.log(r) + sp.log(gamma)).subs(m, (1 - r) / gamma))
    - sp.expand(r * (sp.log(gamma) - sp.log(r))),
    "h_min + log γ = r log(γ/r)",
)
w = sp.Symbol("w", positive=True)  # γ = r (1 + w)
holds(sp.log(1 + w) > 0, "r log(γ/r) = r log(1 + w) is positive for γ = r (1 + w), w > 0")

# %% [markdown]
# ## A start outside the cap
#
# $q_0 = (.95, .05)$, $\gamma = .9$. If class 2 is not drawn, $S = 1$, $S\gamma < 1$, and the drawn class has
# $.95 > \gamma$: every sample is masked and the model is frozen (`warm-degenerate`), with an entropy below
# $h_{min}(.9)$. With $n$ points this lasts over $t$ generations with probability $.95^{nt} > 0$. When class 2 is drawn,
# $S\gamma = 1.8 > 1$ (if class 1 is drawn too), or class 2 alone is drawn and raised to $\gamma$: the fit is in
# $C_\gamma$ from then on.

# %%
cap = sp.Rational(9, 10)
start = [sp.Rational(95, 100), sp.Rational(5, 100)]
frozen = sum(part.subs(x, value) for value in start)
least = vertex.subs(gamma, cap)
equal(least, -cap * sp.log(cap) - (1 - cap) * sp.log(1 - cap), "h_min(.9) = −.9 log .9 − .1 log .1")
holds(start[0] > cap, "the drawn class is above γ")
holds(frozen < least, "H(.95, .05) < h_min(.9)")
sp.Eq(sp.Symbol("H_0"), frozen), sp.Eq(sp.Symbol("h_min"), least)

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.categorical.surviving_classes_floor", support, where={"gamma": (0.001, 1.0)})
agrees("theory.categorical.entropy_floor", vertex, where={"gamma": (0.001, 1.0)})
agrees("theory.categorical.entropy_floor", vertex, where={"gamma": (0.5, 1.0)})
