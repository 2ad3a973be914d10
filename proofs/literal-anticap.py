# %% [markdown]
# # The literal loss, with a mask that moves, can push confidence up to the threshold
#
# Two classes have frequencies $f$ and $1 - f$ with $\frac{1}{2} \le f < 1$; the model gives them $q$ and $1 - q$,
# $0 < q < 1$. The literal loss counts a class only while its probability is at most $\gamma$,
# $\frac{1}{2} < \gamma < 1$:
# $$\ell(q) = -f\,\chi(q)\log q - (1 - f)\,\chi(1 - q)\log(1 - q) ,$$
# where $\chi(p) = 1$ if $p \le \gamma$, else 0.
# In training the mask is a constant of the gradient and the objective is another one (`hinge-form`). Here $\ell$
# itself is minimised.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero

f, gamma, q = sp.symbols("f gamma q", positive=True)
cross_entropy = -f * sp.log(q) - (1 - f) * sp.log(1 - q)

# %% [markdown]
# ## Three intervals
#
# As $\gamma > \frac{1}{2}$, at most one class is above $\gamma$.
#
# **Both count**, $1 - \gamma \le q \le \gamma$: $\ell$ is the cross entropy, strictly convex in $q$ with its minimum
# over $(0, 1)$ at $q = f$, where it is the binary entropy $h(f)$.
#
# **Class 1 is masked**, $q > \gamma$: $\ell(q) = -(1 - f)\log(1 - q)$ rises strictly. Its infimum over the interval is
# the limit $B = -(1 - f)\log(1 - \gamma)$ as $q \downarrow \gamma$, and it is not attained, because at $q = \gamma$
# class 1 counts.
#
# **Class 2 is masked**, $q < 1 - \gamma$: $\ell(q) = -f\log q$ falls strictly. Its infimum is the limit
# $B' = -f\log(1 - \gamma)$ as $q \uparrow 1 - \gamma$, not attained either, and $B' \ge B$ because $f \ge 1 - f$, with
# equality only at $f = \frac{1}{2}$.

# %%
zero(sp.diff(cross_entropy, q).subs(q, f), "the cross entropy is stationary at q = f")
curvature = sp.diff(cross_entropy, q, 2)
equal(curvature, f / q**2 + (1 - f) / (1 - q) ** 2, "its curvature, a sum of two positive terms")

# %%
only_second = -(1 - f) * sp.log(1 - q)
only_first = -f * sp.log(q)
equal(sp.diff(only_second, q), (1 - f) / (1 - q), "the slope where class 1 is masked is positive")
equal(sp.diff(only_first, q), -f / q, "the slope where class 2 is masked is negative")
above = only_second.subs(q, gamma)
below = only_first.subs(q, 1 - gamma)
zero((below - above) + (2 * f - 1) * sp.log(1 - gamma), "B' − B = −(2f − 1) log(1 − γ) ≥ 0")

# %% [markdown]
# ## Frequencies below the threshold
#
# Let $f < \gamma$. Then $f \in [1 - \gamma, \gamma]$, as $f \ge \frac{1}{2} > 1 - \gamma$, and the minimum over the
# first interval is $h(f)$. The infimum of $\ell$ is $\min(h(f), B)$. If $h(f) > B$ it is $B$: approached as
# $q \downarrow \gamma$ and attained nowhere. If $h(f) \le B$ it is $h(f)$, and attained at $q = f$.

# %%
entropy = cross_entropy.subs(q, f)
states("literal-anticap", "condition", sp.Gt(entropy, above, evaluate=False))

# %% [markdown]
# ## The threshold
#
# Divide by $1 - f > 0$ and solve for $\gamma$: $h(f) > B$ is $\log(1 - \gamma) > -h(f)/(1 - f)$, or
# $\gamma < \gamma_c(f)$ with $1 - \gamma_c = e^{-h(f)/(1 - f)} = (1 - f)\,f^{f/(1 - f)}$.

# %%
share = sp.Symbol("f", positive=True)
room = (1 - share) * share ** (share / (1 - share))
log_room = sp.log(1 - f) + f / (1 - f) * sp.log(f)  # log of room
equal(log_room, -entropy / (1 - f), "log(1 − γ_c) = −h(f)/(1 − f)")
equal(sp.exp(sp.log(1 - f)) * sp.exp(f / (1 - f) * sp.log(f)), room, "its exponential")
states("literal-anticap", "threshold", sp.Eq(sp.Function("gamma_c")(f), 1 - room))

# %% [markdown]
# $f < \gamma_c < 1$: $0 < f^{f/(1-f)} < 1$ for $0 < f < 1$, because $\frac{f}{1 - f}\log f < 0$. So
# $0 < 1 - \gamma_c < 1 - f$.

# %%
w = sp.Symbol("w", positive=True)  # f = 1/(1 + w) takes every value in (0, 1)
exponent = (f / (1 - f) * sp.log(f)).subs(f, 1 / (1 + w))
equal(exponent, -sp.log(1 + w) / w, "the exponent at f = 1/(1 + w)")
holds(-sp.log(1 + w) / w < 0, "it is negative")

# %% [markdown]
# ## Frequencies at or above the threshold
#
# Let $f \ge \gamma$. On the first interval the cross entropy falls (its minimum is at $f \ge \gamma$), so the least
# value there is at $q = \gamma$: $-f\log\gamma + B > B$. The infimum is $B$ again, approached as
# $q \downarrow \gamma$, attained nowhere. And $\gamma \le f < \gamma_c$: the condition holds here as well. So for
# every $f \in [\frac{1}{2}, 1)$ the literal loss anti-caps if and only if $\gamma < \gamma_c(f)$.

# %%
zero(cross_entropy.subs(q, gamma) - above + f * sp.log(gamma), "ℓ(γ) − B = −f log γ, positive for γ < 1")

# %% [markdown]
# ## The example
#
# $f = .8$, $\gamma = .9$: the fit of training, with the mask held constant, is $q = .8$. The literal loss is
# $h(.8) = .5004$ there and $.4605$ just above $\gamma$.

# %%
point = {f: sp.Rational(8, 10), gamma: sp.Rational(9, 10)}
holds((entropy - above).subs(point) > 0, "h(.8) > −.2 log .1")
equal((1 - room).subs(point), sp.Rational(91808, 100000), "γ_c(.8)")
sp.Eq(sp.Symbol("h"), entropy.subs(point)), sp.Eq(sp.Symbol("B"), above.subs(point))

# %% [markdown]
# ## The functions of the library

# %%
agrees("theory.categorical.literal_anticap_threshold", 1 - room, where={"f": (0.5, 0.999)})
frequencies = [sp.Rational(1, 2), sp.Rational(3, 5), sp.Rational(4, 5), sp.Rational(99, 100)]
caps = [sp.Rational(51, 100), sp.Rational(3, 4), sp.Rational(9, 10), sp.Rational(99, 100), sp.Rational(999, 1000)]
# f = 1/2, γ = 3/4 is left out: h(f) = B there, and the last bit of γ decides
pairs = [(a, b) for a in frequencies for b in caps if (a, b) != (sp.Rational(1, 2), sp.Rational(3, 4))]
verdicts = [sp.Integer(int(bool((entropy - above).subs({f: a, gamma: b}) > 0))) for a, b in pairs]
holds(set(verdicts) == {0, 1}, "both answers occur among the points below")
arguments = {"f": [float(a) for a, _ in pairs], "gamma": [float(b) for _, b in pairs]}
agrees_at("theory.categorical.literal_loss_anticaps", arguments, verdicts)
