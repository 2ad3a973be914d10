# %% [markdown]
# # A uniform truth is kept near for ever by a cap slightly above it
#
# $p_0$ is uniform on $K$ classes and $\gamma = (1 + \delta)/K$ with $0 \le \delta \le K - 1$, so that $p_0$ is in
# $C_\gamma$ and $\gamma \le 1$. By `support-floor` every warm-started generation is in $C_\gamma$, whatever is drawn.
# Both claims are about any $q \in C_\gamma$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

size, delta = sp.Symbol("size", positive=True), sp.Symbol("delta", nonnegative=True)
gamma = (1 + delta) / size

# %% [markdown]
# ## Total variation
#
# $\mathrm{TV}(q, p_0) = \sum (q_i - 1/K)_+$. A class with $q_i > 1/K$ contributes
# $$q_i - \frac{1}{K} = q_i \left(1 - \frac{1}{Kq_i}\right) \le q_i \left(1 - \frac{1}{K\gamma}\right)
#   = q_i\,\frac{\delta}{1 + \delta} ,$$
# because $q_i \le \gamma$; any other contributes $0 \le q_i\,\delta/(1 + \delta)$. Add up: $\sum q_i = 1$.

# %%
q, under = sp.symbols("q u", positive=True)
zero(q * (1 - 1 / (size * q)) - (q - 1 / size), "the term of a class above 1/K")
factor = sp.simplify(1 - 1 / (size * gamma))
equal(factor, delta / (1 + delta), "1 − 1/(Kγ) = δ/(1 + δ)")
slack = factor * q - (q - 1 / size)
zero(sp.simplify(slack - (gamma - q) / (1 + delta)), "the slack of the term is (γ − q)/(1 + δ), at least 0")

# %%
states("flat-gain", "total variation", sp.Le(sp.Function("TV")(delta), factor, evaluate=False))

# %% [markdown]
# *Equality* needs no slack anywhere (let $\delta > 0$; for $\delta = 0$ both sides are 0 and $K/(1 + \delta) = K$):
# each class has $q_i = \gamma$, or $q_i \le 1/K$ and $q_i\,\delta/(1 + \delta) = 0$, which is $q_i = 0$. So $q$ is
# $\gamma$ on $1/\gamma = K/(1 + \delta)$ classes, and there is such a $q \in C_\gamma$ if and only if this is an
# integer; then equality does hold. It is reached in generation 1 if the $n$ points happen to fall into exactly $S =
# K/(1 + \delta)$ classes, $S\gamma = 1$: the fit is $\gamma$ on each of them (`warm-degenerate`). With $n < K/(1 +
# \delta)$ points (and $\delta > 0$) equality is never reached: $S\gamma \le n\gamma < 1$ at every generation, and a
# flow that stops after a finite time leaves every class positive.

# %%
number = size / (1 + delta)
equal(number * (gamma - 1 / size), delta / (1 + delta), "TV of γ on K/(1 + δ) classes, 0 on the others")

# %% [markdown]
# ## Classes
#
# At least $\lceil 1/\gamma \rceil$ classes have positive probability (`support-floor`).

# %%
equal(1 / gamma, size / (1 + delta), "1/γ")
bound = sp.ceiling(1 / gamma)
states("flat-gain", "classes", sp.Ge(sp.Function("support")(size, delta), bound, evaluate=False))

# %% [markdown]
# ## The dropped hypothesis
#
# Cross entropy is $\gamma = 1$, $\delta = K - 1$, and the bounds say nothing: one class may survive, at total variation
# $1 - 1/K$. And from a truth that is not uniform the bound fails at once (`cap-bias`): $p_0 = (.8, .2)$, $\delta = .1$
# has $\gamma = .55$ and total variation at least $.25$, against $\delta/(1 + \delta) = .0909$.

# %%
equal((delta / (1 + delta)).subs(delta, size - 1), 1 - 1 / size, "the bound at γ = 1")
cap = gamma.subs({delta: sp.Rational(1, 10), size: 2})
holds(sp.Rational(8, 10) - cap > (delta / (1 + delta)).subs(delta, sp.Rational(1, 10)), ".8 − .55 = .25 > 1/11")

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.categorical.flat_gain_total_variation", factor, where={"delta": (0.0, 10.0)})
agrees("theory.categorical.flat_gain_support", bound, where={"size": range(50, 10000), "delta": (0.0, 40.0)})
