# %% [markdown]
# # A network without hidden layers on one-hot contexts is the categorical model, row by row
#
# There are $C$ contexts and $K$ classes. Context $c$ is coded by the unit vector $e_c$, and the logits are $We_c$, the
# column $z_c$ of the $K \times C$ matrix $W$; there is no bias that contexts share. Let $\pi_c$ be the share of
# context $c$ in the data, and $f_c$ the frequencies of the classes after it. The objective of TCE is
# $$L(W) = \sum_c \pi_c L_c(z_c), \qquad L_c(z) = \sum_i f_{ci} \max(-\log q_i(z), -\log\gamma) .$$

# %%
import math

import sympy as sp
from checking import agrees, equal, holds, states, summed, zero

# %% [markdown]
# ## Rows
#
# Logit $j$ of context $c$ is $\sum_k W_{jk}(e_c)_k = W_{jc}$: the term of context $c$ depends on its own column alone.
# So the gradient in column $c$ is $\pi_c\nabla L_c(z_c)$, and a step $\eta$ on $W$ is a step $\eta\pi_c$ on each row's
# problem. From here on there is one row; write $f$, $z$, $L$.

# %%
weights, j, k = sp.IndexedBase("W"), sp.Idx("j"), sp.Idx("k")
c = sp.Symbol("c", integer=True, positive=True)
contexts = c + sp.Symbol("d", integer=True, nonnegative=True)  # C ≥ c
logit = sp.Sum(weights[j, k] * sp.KroneckerDelta(k, c), (k, 1, contexts)).doit()
equal(logit, weights[j, c], "the logit is the entry of column c, for any number of contexts")

# %% [markdown]
# ## The length of a subgradient
#
# $v = \sum_i f_i w_i (q - e_i)$ with $w_i \in [0, 1]$ (`tce-gradient`, `hinge-form`). For any $i$, the $q_k$ other
# than $q_i$ sum to $1 - q_i$ and are nonnegative, so that their squares sum to at most $(1 - q_i)^2$, and
# $$\|q - e_i\|^2 = \sum_{k \ne i} q_k^2 + (1 - q_i)^2 \le 2(1 - q_i)^2 \le 2 .$$
# By the triangle inequality $\|v\| \le \sum_i f_i w_i \|q - e_i\| \le \sqrt2$: $G^2 = 2$ always bounds $\|v\|^2$.

# %%
q_a, q_b = sp.symbols("q_a q_b", nonnegative=True)
holds(sp.expand((q_a + q_b) ** 2 - q_a**2 - q_b**2) >= 0, "q_a² + q_b² ≤ (q_a + q_b)²: merge the others two by two")
own, label, other, rest = sp.symbols("q_i e q_k R", nonnegative=True)  # e is 1 at i and 0 else; R = Σ of the others' q²
squared = summed((other - label) ** 2, {other**2: own**2 + rest, other * label: own, label**2: 1})
zero(sp.expand(2 * (1 - own) ** 2 - squared - ((1 - own) ** 2 - rest)), "2(1 − q_i)² − ‖q − e_i‖² = (1 − q_i)² − R ≥ 0")

# %% [markdown]
# ## The gap of the averaged logits
#
# $z_{k+1} = z_k - \eta v_k$ with $v_k \in \partial L(z_k)$, and $y$ any finite point. Let $D_k = \|z_k - y\|^2$. Each
# component of the difference gives
# $$D_{k+1} = D_k - 2\eta\langle v_k, z_k - y\rangle + \eta^2\|v_k\|^2 .$$

# %%
z, v, y, step = sp.symbols("z v y step", real=True)
zero(
    sp.expand((z - step * v - y) ** 2 - ((z - y) ** 2 - 2 * step * v * (z - y) + step**2 * v**2)),
    "a component of the identity",
)

# %% [markdown]
# $L$ is convex (`hinge-form`): $\langle v_k, z_k - y\rangle \ge L(z_k) - L(y)$. With $\|v_k\|^2 \le G^2$,
# $$2\eta\,(L(z_k) - L(y)) \le D_k - D_{k+1} + \eta^2 G^2 .$$
# Add over $k = 0, \ldots, T - 1$. The distances telescope to $D_0 - D_T \le D_0$. Divide by $2\eta T$; by Jensen's
# inequality $L(\bar z) \le \frac{1}{T}\sum_k L(z_k)$ for the mean $\bar z$. With $y = z^*$ this is the claim; it holds
# for any finite $y$.

# %%
size, steps, square, distance = sp.symbols("step steps gradient_square distance", positive=True)
last = sp.Symbol("D_T", nonnegative=True)
telescoped = (distance**2 - last + steps * size**2 * square) / (2 * size * steps)
bound = distance**2 / (2 * size * steps) + size * square / 2
zero(sp.expand(bound - telescoped - last / (2 * size * steps)), "the bound is above the telescoped sum by D_T/(2ηT)")
holds(last / (2 * size * steps) >= 0, "which is not negative")
states("tabular-limit", "gap", sp.Le(sp.Function("gap")(size, steps), bound, evaluate=False))

# %% [markdown]
# The bound is convex in $\eta$; its least value is at $\eta = \|z_0 - z^*\|/(G\sqrt T)$, and falls like $1/\sqrt T$.
# At a constant $\eta$ it tends to $\eta G^2/2$ as $T \to \infty$, not to 0.

# %%
best = distance / sp.sqrt(square * steps)
zero(sp.diff(bound, size).subs(size, best), "stationary in η")
holds(sp.diff(bound, size, 2) > 0, "convex in η")
equal(bound.subs(size, best), distance * sp.sqrt(square / steps), "the bound at the best step")
equal(sp.limit(bound, steps, sp.oo), size * square / 2, "the bound for T → ∞")

# %% [markdown]
# ## When a finite minimiser exists
#
# A finite $z$ is a $q$ with all $q_i > 0$. Let $S$ classes be drawn.
#
# - $S\gamma < 1$: put $\gamma' \in (\gamma, 1/S)$ on each drawn class and the rest on the others ($1/K$ on each if all
#   are drawn): $L = -\log\gamma$, the minimum. Finite minimisers exist; they are many. Gradient flow picks the one of
#   `warm-degenerate`, in closed form from a start in $C_\gamma$.
# - $S\gamma \ge 1$ and all $K$ classes drawn: the one minimiser among all distributions is
#   $\min(\gamma, f_i/\lambda)$, or uniform for $K\gamma = 1$ (`capped-projection`). It is positive, so its logarithm
#   is a finite $z^*$.
# - $S\gamma \ge 1$ and some class not drawn: the one minimiser among all distributions is 0 on that class. A finite
#   $z$ has a larger objective; the infimum is approached as the logit goes to $-\infty$, and attained at no finite $z$.
#
# So $S\gamma > 1$ is not enough. With $f = (\frac{1}{2}, \frac{1}{2}, 0)$, $\gamma = .9$, and $q_3 > 0$: by
# $x - 1 - \log x \ge 0$ at $x = 2q_i$,
# $$L \ge -\frac{\log q_1 + \log q_2}{2} \ge \log 2 + \frac{(1 - 2q_1) + (1 - 2q_2)}{2} = \log 2 + q_3 > \log 2 ,$$
# while $\log 2$ is the infimum, approached as $q \to (\frac{1}{2}, \frac{1}{2}, 0)$.

# %%
q1, q2 = sp.symbols("q1 q2", positive=True)
tangents = sum(sp.Rational(1, 2) * (sp.log(2) - (2 * value - 1)) for value in (q1, q2))
equal(tangents, sp.log(2) + (1 - q1 - q2), "the sum of the tangents is log 2 + q₃")
x = sp.Symbol("x", positive=True)
holds(sp.diff(x - 1 - sp.log(x), x, 2) > 0, "x − 1 − log x is strictly convex, with its minimum 0 at x = 1")
zero((x - 1 - sp.log(x)).subs(x, 1) + sp.diff(x - 1 - sp.log(x), x).subs(x, 1) ** 2, "value and slope are 0 at x = 1")

# %% [markdown]
# The gap bound with $y$ in place of $z^*$ needs no minimiser: for every finite $y$,
# $L(\bar z) \le L(y) + \|z_0 - y\|^2/(2\eta T) + \eta G^2/2$.
#
# ## A constant step leaves an error (numerical)
#
# $f = (.9, .07, .03)$, $\gamma = .6$: all classes are drawn, and the minimiser is $(.6, .28, .12)$. The mean of the
# logits over the second half of a long run, at three steps:


# %%
def averaged_head(step, steps):
    """Probability of class 1 at the mean of the logits over the second half of gradient descent from 0."""
    frequencies, logits, total = (0.9, 0.07, 0.03), [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]

    def model(logits):
        masses = [math.exp(value) for value in logits]
        return [value / sum(masses) for value in masses]

    for k in range(2 * steps):
        if k >= steps:
            total = [a + b for a, b in zip(total, logits, strict=True)]
        probs = model(logits)
        pulls = [share if prob <= 0.6 else 0.0 for share, prob in zip(frequencies, probs, strict=True)]
        mass = sum(pulls)
        logits = [a - step * (prob * mass - pull) for a, prob, pull in zip(logits, probs, pulls, strict=True)]
    return model([value / steps for value in total])[0]


found = [averaged_head(step, 10_000) for step in (1.0, 0.3, 0.05)]
holds(
    [round(value, 3) for value in found] == [0.641, 0.612, 0.602],
    f"q_1 = {[round(value, 5) for value in found]} (numerical)",
)
errors = [(value - 0.6) / step for value, step in zip(found, (1.0, 0.3, 0.05), strict=True)]
holds(max(errors) < 1.2 * min(errors), "the errors are nearly proportional to the step (numerical)")

# %% [markdown]
# ## The function of the library

# %%
agrees(
    "theory.categorical.tabular_gap_bound",
    bound,
    where={"distance": (0.0, 20.0), "step": (0.001, 2.0), "steps": range(1, 10**6, 997), "gradient_square": (0.0, 2.0)},
)
