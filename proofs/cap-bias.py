# %% [markdown]
# # A cap below the true head costs fidelity at once
#
# $p_0$ is the truth on $K$ classes, and $p_t$ is in $C_\gamma = \{q : \max q \le \gamma\}$, which has a member if
# $K\gamma \ge 1$. This is so at every generation from the first fit with $S\gamma \ge 1$ on, under warm start
# (`support-floor`).

# %%
import random

import sympy as sp
from checking import agrees_at, equal, holds, states, zero

gamma = sp.Symbol("gamma", positive=True)
i = sp.Idx("i")
p = sp.IndexedBase("p")

# %% [markdown]
# ## The bound
#
# Both distributions sum to 1, so that $\sum (p_{0i} - p_{ti}) = 0$: the positive parts of the differences and the
# negative parts have the same sum, and
# $$\mathrm{TV}(p_t, p_0) = \frac{1}{2} \sum |p_{0i} - p_{ti}| = \sum (p_{0i} - p_{ti})_+ .$$
# Since $p_{ti} \le \gamma$ and $x \mapsto x_+$ does not fall, each term is at least $(p_{0i} - \gamma)_+$.

# %%
x = sp.Symbol("x", real=True)
zero((sp.Max(x, 0) - (sp.Abs(x) + x) / 2).rewrite(sp.Piecewise).simplify(), "x₊ = (|x| + x)/2, and Σ x = 0")
step = sp.Symbol("u", nonnegative=True)
holds((x + step) - x >= 0, "lowering γ to p_t ≤ γ raises the argument by a number u ≥ 0")

# %%
size = sp.Symbol("K", integer=True, positive=True)
bound = sp.Sum(sp.Max(p[i] - gamma, 0), (i, 1, size))
states("cap-bias", "bound", sp.Ge(sp.Function("TV")(size), bound, evaluate=False))

# %% [markdown]
# ## Water-filling attains it
#
# Let $q_i = \min(\gamma, p_{0i}/\lambda)$ be the capped projection of $p_0$ (`capped-projection`, with $p_0$ for $f$;
# $S\gamma > 1$ for the $S$ classes that $p_0$ does not exclude). $\lambda \le 1$. A class with $p_{0i} \le \gamma$ has
# $q_i \ge p_{0i}$: either $q_i = \gamma \ge p_{0i}$, or $q_i = p_{0i}/\lambda \ge p_{0i}$. A class with
# $p_{0i} > \gamma$ has $p_{0i}/\lambda > \gamma$ and $q_i = \gamma$. So the positive parts of $p_{0i} - q_i$ are
# $(p_{0i} - \gamma)_+$ exactly.

# %%
truth, gap = sp.symbols("p_i u", positive=True)  # λ = 1/(1 + u), u ≥ 0
holds(sp.expand(truth * (1 + gap) - truth) > 0, "p/λ > p for λ = 1/(1 + u) < 1, and p/λ = p at λ = 1")

# %% [markdown]
# ## Its KL divergence
#
# The $m$ capped classes, ranked first, contribute $p_{0i}\log(p_{0i}/\gamma)$, and every other class
# $p_{0i}\log\frac{p_{0i}}{p_{0i}/\lambda} = p_{0i}\log\lambda$; these have the mass $1 - F_m$.

# %%
level = sp.Symbol("lambda", positive=True)
zero(sp.expand_log(truth * sp.log(truth / (truth / level)) - truth * sp.log(level)), "a class below the cap")
m = sp.Symbol("m", integer=True, positive=True)
left = 1 - sp.Sum(p[i], (i, 1, m))
head = sp.Sum(p[i] * sp.log(p[i] / gamma), (i, 1, m))
divergence = head + left * sp.log(level)

# %%
states("cap-bias", "divergence", sp.Eq(sp.Symbol("KL"), divergence.subs(level, left / (1 - m * gamma))))

# %% [markdown]
# No $q \in C_\gamma$ has less: $\mathrm{KL}(p_0 \| q)$ is an f-divergence (`capped-projection`).
#
# ## The functions of the library
#
# Exact truths and thresholds: both distances, from the definition of the distances and of water-filling.


# %%
def water_filling(frequencies, cap):
    """Monotone capping in exact arithmetic."""
    capped = set()
    while True:
        rest = sum(value for k, value in enumerate(frequencies) if k not in capped)
        now = rest / (1 - len(capped) * cap)
        above = capped | {k for k, value in enumerate(frequencies) if value > now * cap}
        if above == capped:
            return [min(cap, value / now) for value in frequencies]
        capped = above


source = random.Random("cap-bias")
for count in (2, 5, 12):
    weights = [source.randint(1, 1000) for _ in range(count)]
    exact = [sp.Rational(weight, sum(weights)) for weight in weights]
    cap = sp.Rational(int(2**20 * (1 / count + 0.2 * source.random() * (1 - 1 / count))) + 1, 2**20)
    nearest = water_filling(exact, cap)
    arguments = {"probs": [float(value) for value in exact], "gamma": float(cap)}
    variation = sum(max(a - cap, 0) for a in exact)
    equal(
        sum(abs(a - b) for a, b in zip(exact, nearest, strict=True)) / 2, variation, "water-filling attains the bound"
    )
    forward = sum(a * sp.log(a / b) for a, b in zip(exact, nearest, strict=True))
    backward = sum(b * sp.log(b / a) for a, b in zip(exact, nearest, strict=True))
    agrees_at("theory.categorical.cap_bias", arguments, variation)
    agrees_at("theory.categorical.water_filling_bias", arguments, [variation, forward, backward])
