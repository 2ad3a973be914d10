# %% [markdown]
# # The best fixed weight of fresh data is given by the golden ratio
#
# A mean $\theta$ is estimated again and again, with known variance $\sigma^2$: $n$ fresh points from the truth
# $\theta_0$ have mean $\bar y$, and $n_s$ synthetic points from $\theta_t$ have mean $\bar x$;
# $\theta_{t+1} = (1 - w)\,\bar x + w\,\bar y$.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

n, t = sp.symbols("n t", integer=True, positive=True)
w, k, std = sp.symbols("w k std", positive=True)
synthetic, variance = sp.symbols("n_s V", positive=True)

# %% [markdown]
# ## The recursion, and what $k$ is
#
# Let $V_t = \mathbb{E}(\theta_t - \theta_0)^2$, $V_0 = 0$. Given $\theta_t$, $\bar x - \theta_t$ and $\bar y -
# \theta_0$ are independent with mean 0 and variances $\sigma^2/n_s$ and $\sigma^2/n$, so that
# $$V_{t+1} = (1 - w)^2\left(V_t + \frac{\sigma^2}{n_s}\right) + w^2\,\frac{\sigma^2}{n} .$$
# In units of $\sigma^2/n$ the first of these variances is $n/n_s$: with $k = n/n_s$, fresh over synthetic points, the
# two enter as $k$ and 1. That is the convention under which the formula below holds.

# %%
step = (1 - w) ** 2 * (variance + std**2 / synthetic) + w**2 * std**2 / n
in_k = equal(
    step.subs(synthetic, n / k),
    (1 - w) ** 2 * (variance + k * std**2 / n) + w**2 * std**2 / n,
    "with k = n / n_s",
).rhs
limit = sp.solve(in_k - variance, variance)
assert len(limit) == 1  # the step is linear in V
fixed_point = equal(limit[0], std**2 / n * (k * (1 - w) ** 2 + w**2) / (w * (2 - w)), "the fixed point").rhs
fixed_point

# %% [markdown]
# With $k$ read the other way round, synthetic over fresh points, the same formula is wrong (claim **convention**): four
# times as many synthetic as fresh points and $w = \frac{1}{2}$ have the variance $\frac{5}{12}\,\sigma^2/n$, not
# $\frac{5}{3}\,\sigma^2/n$.

# %%
exact = sp.solve((step - variance).subs({synthetic: 4 * n, w: sp.Rational(1, 2)}), variance)[0]
formula = fixed_point.subs({k: 4, w: sp.Rational(1, 2)})
equal(formula, sp.Rational(5, 3) * std**2 / n, "what the formula says for k = 4")
equal(exact, sp.Rational(5, 12) * std**2 / n, "four times as many synthetic points, w = 1/2")
equal(fixed_point.subs({k: sp.Rational(1, 4), w: sp.Rational(1, 2)}), exact, "what the formula says for k = 1/4")
[formula, exact]

# %% [markdown]
# ## Every generation
#
# The distance to the fixed point is multiplied by $(1 - w)^2 < 1$ each time. From $V_0 = 0$:
# $V_t = V_\infty\,(1 - (1 - w)^{2t})$.

# %%
zero(in_k - fixed_point - (1 - w) ** 2 * (variance - fixed_point), "the distance to the fixed point")
transient = fixed_point * (1 - (1 - w) ** (2 * t))
zero(transient.subs(t, 0), "V_0 = 0")
later = transient.subs(t, t + 1) - in_k.subs(variance, transient)
zero(sp.simplify(sp.expand(sp.powsimp(sp.expand(sp.simplify(later))))), "it solves the recursion")
states("golden-mix", "variance", sp.Eq(sp.Function("V")(t), transient))

# %%
states("golden-mix", "limit", sp.Eq(sp.Function("V")(sp.oo), fixed_point))

# %% [markdown]
# ## The best weight
#
# $$\frac{dV_\infty}{dw} = \frac{\sigma^2}{n}\,\frac{2\,(w^2 + kw - k)}{w^2(2-w)^2} .$$
# The bracket increases strictly with $w$, from $-k$ at 0 to 1 at $w = 1$: it has exactly one root $w^*$ in $(0, 1)$,
# and $V_\infty$ decreases before it and increases after it. So $w^*$ is the only minimum in $(0, 1]$.

# %%
bracket = w**2 + k * w - k
equal(sp.diff(fixed_point, w), std**2 / n * 2 * bracket / (w * (2 - w)) ** 2, "the slope")
holds(sp.diff(bracket, w) > 0, "the bracket increases")
zero(bracket.subs(w, 0) + k, "its value at 0 is -k")
zero(bracket.subs(w, 1) - 1, "its value at 1 is 1")

# %%
best = (sp.sqrt(k**2 + 4 * k) - k) / 2
zero(bracket.subs(w, best), "the root")
positive = 2 * k / (sp.sqrt(k**2 + 4 * k) + k)
equal(sp.radsimp(best - positive), 0, "it can be written without a difference")
holds(positive > 0, "so it is positive; the other root, -(k + sqrt(k^2 + 4k))/2, is not")
states("golden-mix", "weight", sp.Eq(sp.Function("w")(k), best))

# %%
equal(best.subs(k, 1), (sp.sqrt(5) - 1) / 2, "as many fresh as synthetic points: one over the golden ratio")
equal(best.subs(k, 1), 1 / sp.GoldenRatio.expand(func=True), "the golden ratio is (1 + sqrt 5)/2")

# %% [markdown]
# At the root $k = w^2/(1 - w)$. Put in, $V_\infty = w\,\sigma^2/n$: less than the variance $\sigma^2/n$ of the fresh
# points alone, because $w^* < 1$.

# %%
equal(sp.solve(bracket, k)[0], w**2 / (1 - w), "k at the root")
equal(fixed_point.subs(k, w**2 / (1 - w)), w * std**2 / n, "the variance at the root")
least = best * std**2 / n
states("golden-mix", "least", sp.Eq(sp.Function("least")(k), least))

# %% [markdown]
# ## The functions of the library

# %%
where = {"n": range(1, 200), "w": (0.01, 1.0), "k": (0.01, 20.0), "std": (0.1, 5.0)}
agrees("theory.regimes.golden_mix_variance", transient, where={**where, "t": range(1, 50)})
agrees("theory.regimes.golden_mix_variance", fixed_point, where=where)
agrees("theory.regimes.golden_mix_weight", best, where={"k": (0.001, 1000.0)})
