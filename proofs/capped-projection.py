# %% [markdown]
# # The categorical fit is water-filling, the nearest capped distribution in every f-divergence
#
# Let $f$ be the frequencies of $K$ classes and $S$ the number of positive ones (the drawn classes). A categorical model
# can be any distribution $q$; the TCE fit minimises
# $$L_\gamma(q) = \sum_i f_i \max(-\log q_i, -\log\gamma) .$$
# Suppose $S\gamma > 1$: the drawn classes do not all fit at $\gamma$. Write $C_\gamma = \{q : \max q \le \gamma\}$.

# %%
import random

import sympy as sp
from checking import agrees_at, equal, holds, states, summed, zero

gamma, level, frequency = sp.symbols("gamma lambda f_i", positive=True)
m, mass = sp.symbols("m F_m", positive=True)

# %% [markdown]
# ## The water level
#
# For $\lambda > 0$ let $g(\lambda) = \sum_i \min(\gamma, f_i/\lambda)$. It is continuous and nonincreasing. As
# $\lambda \to 0$ it tends to $S\gamma > 1$, and at 1 it is $\sum_i \min(\gamma, f_i) \le \sum_i f_i = 1$. So there is a
# $\lambda \in (0, 1]$ with $g(\lambda) = 1$. There, some drawn class is below the cap, because else $g = S\gamma > 1$;
# its term is strictly decreasing in $\lambda$, so that there is only one such $\lambda$.
#
# Let $m$ classes have $f_i > \lambda\gamma$, and let $F_m$ be their mass. They are the $m$ largest. The equation
# $g(\lambda) = 1$ is then linear in $1/\lambda$.

# %%
(root,) = sp.solve(sp.Eq(m * gamma + (1 - mass) / level, 1), level)
equal(root, (1 - mass) / (1 - m * gamma), "the level that m capped classes of mass F leave")

# %%
states("capped-projection", "multiplier", sp.Eq(level, root))

# %% [markdown]
# Since some drawn class is not among the $m$, $1 - F_m > 0$, and $m\gamma = 1 - (1 - F_m)/\lambda < 1$. So
# $m < 1/\gamma$, and as $m$ is an integer $m \le \lceil 1/\gamma \rceil - 1$.
#
# ## It is the fit
#
# Put $q^*_i = \min(\gamma, f_i/\lambda)$. The proof is a tangent below each term of $L_\gamma$, chosen such that the
# tangents add up to something that does not depend on how $q$ shares out its mass. The tangents come from
# $$x - 1 - \log x \ge 0 \quad (x > 0), \text{ with equality only at } x = 1,$$
# because the left side is convex with its only stationary point, and the value 0, at $x = 1$.

# %%
x = sp.Symbol("x", positive=True)
excess = x - 1 - sp.log(x)
holds(sp.diff(excess, x, 2) > 0, "x − 1 − log x is strictly convex")
zero(sp.diff(excess, x).subs(x, 1), "its slope at 1 is 0")
zero(excess.subs(x, 1), "its value at 1 is 0")

# %% [markdown]
# *A drawn class below the cap*, $q^*_i = f_i/\lambda < \gamma$ (or $= \gamma$). With $x = q_i/q^*_i$,
# $$\max(-\log q_i, -\log\gamma) \ge -\log q_i \ge -\log q^*_i - w_i\,\frac{q_i - q^*_i}{q^*_i}, \qquad w_i = 1 .$$
#
# *A class at the cap*, $q^*_i = \gamma$. For every $w_i \in [0, 1]$
# $$\max(-\log q_i, -\log\gamma) \ge -\log\gamma - w_i\,\frac{q_i - \gamma}{\gamma} :$$
# if $q_i \ge \gamma$ the left side is $-\log\gamma$ and the last term is not positive; if $q_i < \gamma$ the left side
# is at least $-\log\gamma + (\gamma - q_i)/\gamma$ by the first case, and $w_i \le 1$.

# %%
q, start, weight = sp.symbols("q q_star w", positive=True)
equal(
    -sp.log(q) - (-sp.log(start) - (q - start) / start),
    excess.subs(x, q / start),
    "the gap of the tangent is x − 1 − log x at x = q/q*",
)

# %% [markdown]
# Choose $w_i = \lambda\gamma/f_i$ at the cap. This is in $(0, 1]$, because $f_i \ge \lambda\gamma$ there. Then *every*
# drawn class has the same slope $f_i w_i/q^*_i = \lambda$:

# %%
equal(frequency * 1 / (frequency / level), level, "below the cap: f w / q* with w = 1 and q* = f/λ")
equal(frequency * (level * gamma / frequency) / gamma, level, "at the cap: f w / q* with w = λγ/f and q* = γ")

# %% [markdown]
# Multiply each inequality by $f_i$ and add over the drawn classes, whose $q^*_i$ sum to 1:
# $$L_\gamma(q) - L_\gamma(q^*) \ge -\lambda \left(\sum_{f_i > 0} q_i - 1\right) \ge 0 ,$$
# because $\lambda > 0$ and $q$ has no more than mass 1 on the drawn classes. So $q^*$ is a minimiser.
#
# *There is no other.* If $L_\gamma(q) = L_\gamma(q^*)$ every inequality above is an equation. Below the cap this forces
# $x = 1$, $q_i = q^*_i$. At the cap, $q_i < \gamma$ would make $x - 1 - \log x > 0$ at $x = q_i/\gamma$, and
# $q_i > \gamma$ would make $w_i(q_i - \gamma)/\gamma > 0$; so $q_i = \gamma$. The drawn classes then have all the mass.
#
# %%
drawn_mass = sp.Symbol("Q", positive=True)  # what q has on the drawn classes
slack = summed(-level * (q - start), {q: drawn_mass, start: 1})
equal(slack, level * (1 - drawn_mass), "the sum of the tangents' slopes, at least 0 as Q ≤ 1")

# %% [markdown]
# The $w_i$ are the weights that make the fit stationary (`hinge-form`), and their mean under $f$ is $\lambda$, what the
# mask leaves:

# %%
kept = (1 - mass) + m * level * gamma
zero((kept - level).subs(level, root), "Σ f w = (1 − F_m) + m λγ is λ")

# %%
states("capped-projection", "fit", sp.Eq(sp.Symbol("q_i", positive=True), sp.Min(gamma, frequency / level)))

# %% [markdown]
# ## It is the projection in every f-divergence
#
# Let $\varphi$ be convex on $(0, \infty)$ and $D_\varphi(f \| q) = \sum_i q_i\,\varphi(f_i/q_i)$, with the usual
# limits where a probability is 0 ($q\varphi(f/q) \to f \lim_{t\to\infty} \varphi(t)/t$ as $q \to 0$, and
# $\varphi(0) = \lim_{t \to 0}\varphi(t)$, which may be infinite). For instance:

# %%
ratio = sp.Symbol("t", positive=True)
equal(q * (ratio * sp.log(ratio)).subs(ratio, frequency / q), frequency * sp.log(frequency / q), "φ = t log t: KL(f‖q)")
equal(q * (-sp.log(ratio)).subs(ratio, frequency / q), q * sp.log(q / frequency), "φ = −log t: KL(q‖f)")

# %% [markdown]
# **Tangents.** Write $r_i = f_i/q^*_i$ and let $s_i$ be a slope of $\varphi$ at $r_i$ (any number between the one-sided
# derivatives). Multiply $\varphi(f/q) \ge \varphi(r) + s\,(f/q - r)$ by $q$, with $f = r q^*$:
# $$q\,\varphi(f/q) \ge q^*\varphi(r) + (q - q^*)\,c, \qquad c = \varphi(r) - r s .$$
# $c$ is where the tangent at $r$ meets the axis. In the limit $q \to 0$ the inequality remains.

# %%
value_new, value, slope, r = sp.symbols("phi_new phi s r", real=True)
bracket = value_new - value - slope * (r * start / q - r)  # at least 0 by convexity; phi_new is φ(f/q), f = r q*
zero(
    q * value_new - (start * value + (q - start) * (value - r * slope)) - q * bracket,
    "the gap of the inequality is q times the gap of the tangent",
)

# %% [markdown]
# **The intercept falls.** For $0 \le r_1 < r_2$, $c_1 \ge c_2$. Indeed
# $c_1 - c_2 = [\varphi(r_1) - \varphi(r_2) - s_2(r_1 - r_2)] + r_1 (s_2 - s_1)$: the bracket is the gap between
# $\varphi$ and its tangent at $r_2$, and slopes of a convex function do not fall.

# %%
r1, r2, s1, s2, v1, v2 = sp.symbols("r1 r2 s1 s2 phi1 phi2", real=True)
zero((v1 - r1 * s1) - (v2 - r2 * s2) - ((v1 - v2 - s2 * (r1 - r2)) + r1 * (s2 - s1)), "c₁ − c₂ in two terms ≥ 0")

# %% [markdown]
# **The sum.** Below the cap $r_i = \lambda$ for every drawn class; choose the same slope there for all of them, so
# that all have the same intercept $c_0$. At the cap $r_i = f_i/\gamma \ge \lambda$, so that $c_i \le c_0$ (where
# $r_i = \lambda$ choose the same slope). A class that was not drawn has $q^*_i = 0$ and the term
# $q_i\varphi(0) \ge q_i c_0$, since the tangent at $\lambda$ lies below $\varphi$ at 0: put $c_i = c_0$ for it. Let
# $q \in C_\gamma$. Because $q$ and $q^*$ both sum to 1, $c_0$ can be taken out:
# $$D_\varphi(f \| q) - D_\varphi(f \| q^*) \ge \sum_i (q_i - q^*_i)\,c_i = \sum_i (q_i - q^*_i)(c_i - c_0)
#   = \sum_{\text{at the cap}} (q_i - \gamma)(c_i - c_0) \ge 0 ,$$
# as neither factor is positive. So $q^*$ is a projection whatever $\varphi$ is.
#
# If $\varphi$ is strictly convex it is the only one. $D_\varphi(f \| q^*)$ is finite, as $q^* > 0$ on the drawn classes
# and both are 0 elsewhere; so for another projection every inequality above is an equation. For a drawn class with
# $q_i > 0$ this needs $f_i/q_i = r_i$, that is $q_i = q^*_i$. And $q_i = 0$ would need
# $f_i \lim_{t\to\infty} \varphi(t)/t = q^*_i(\varphi(r_i) - c_i) = f_i s_i$, while the slopes of a strictly convex
# $\varphi$ beyond $r_i$ rise strictly above $s_i$, so that this limit exceeds $s_i$. So $q = q^*$ on the drawn classes,
# which have all the mass. For total variation, $\varphi = |t - 1|/2$, there are others.

# %%
c, c_0, a_sum, b_sum = sp.symbols("c c_0 A B", real=True)
shifted = summed((q - start) * (c - c_0), {q * c: a_sum, start * c: b_sum, q: 1, start: 1})
equal(shifted, a_sum - b_sum, "Σ (q − q*)(c − c₀) = Σ (q − q*) c, because both sum to 1")
cap_room, fall = sp.symbols("a b", nonnegative=True)  # γ − q and c_0 − c at the cap
holds((-cap_room) * (-fall) >= 0, "a term of the sum: the product of two numbers that are not positive")

# %% [markdown]
# For distances that are no f-divergence this fails. The nearest capped distribution in the Euclidean norm to
# $(.9, .07, .03)$ at $\gamma = .6$ shares the excess out evenly, $(.6, .22, .18)$, and is nearer than the fit
# $(.6, .28, .12)$:

# %%
truth = sp.Matrix([sp.Rational(90, 100), sp.Rational(7, 100), sp.Rational(3, 100)])
fit = sp.Matrix([sp.Rational(60, 100), sp.Rational(28, 100), sp.Rational(12, 100)])
even = sp.Matrix([sp.Rational(60, 100), sp.Rational(22, 100), sp.Rational(18, 100)])
holds((truth - even).dot(truth - even) < (truth - fit).dot(truth - fit), "the Euclidean distance prefers another point")

# %% [markdown]
# ## Monotone capping
#
# For a set $A$ of classes with mass $F$ and $|A|\gamma < 1$, $F < 1$, let
# $g_A(\lambda) = |A|\gamma + (1 - F)/\lambda$, the total if exactly $A$ is capped, and
# $\lambda_A = (1 - F)/(1 - |A|\gamma)$ its root. Because $\min(\gamma, f/\lambda)$ is at most either, $g \le g_A$ for
# every $A$. Let $\lambda^*$ be the root of $g$ and $A^*$ the classes with $f_i > \lambda^*\gamma$.
#
# Start from $A = \emptyset$ and replace $A$ by $A' = A \cup \{i : f_i > \lambda_A\gamma\}$ until nothing changes.
#
# 1. *Only classes of $A^*$ are ever capped.* $g_A(\lambda^*) \ge g(\lambda^*) = 1$ and $g_A$ falls, so
#    $\lambda_A \ge \lambda^*$, and $f_i > \lambda_A\gamma$ implies $f_i > \lambda^*\gamma$. Since $A \subseteq A^*$,
#    $|A|\gamma < 1$ and $F < 1$ remain.
# 2. *The level does not rise.* $g_{A'}(\lambda_A) = 1 - \sum_{A' \setminus A} (f_i/\lambda_A - \gamma) \le 1$, so
#    $\lambda_{A'} \le \lambda_A$. So a class that was capped because of $f_i > \lambda_A\gamma$ is above the level
#    ever after, and is never released.
# 3. *It ends at the fit.* When nothing changes, the classes of $A$ are those above $\lambda_A\gamma$, so that
#    $g(\lambda_A) = g_A(\lambda_A) = 1$ and $\lambda_A = \lambda^*$. Every pass but the last adds a class of $A^*$: at
#    most $m + 1$.

# %%
size, added, added_mass = sp.symbols("A k F_k", positive=True)
total = size * gamma + (1 - mass) / level
grown = (size + added) * gamma + (1 - mass - added_mass) / level
zero(grown - (total - (added_mass / level - added * gamma)), "adding k classes of mass F_k lowers g_A by Σ (f/λ − γ)")

# %% [markdown]
# ## The border $S\gamma = 1$
#
# A term of $L_\gamma$ is at least $-\log\gamma$, and all of them attain it if and only if $q_i \ge \gamma$ on every
# drawn class. With $S\gamma = 1$ this is one point, $\gamma$ on each drawn class; with $S\gamma < 1$ it is a whole
# set, and the data do not decide between its members (`warm-degenerate`).
#
# ## Examples
#
# Zipf's law with exponent 1 on ten classes, $\gamma = .15$; and $f = (.9, .07, .03)$, $\gamma = .6$, both in exact
# arithmetic.


# %%
def water_filling(frequencies, cap):
    """Monotone capping in exact arithmetic: probabilities, level, number of capped classes."""
    capped = set()
    while True:
        rest = sum(value for i, value in enumerate(frequencies) if i not in capped)
        now = rest / (1 - len(capped) * cap)
        above = capped | {i for i, value in enumerate(frequencies) if value > now * cap}
        if above == capped:
            return [min(cap, value / now) for value in frequencies], now, len(capped)
        capped = above


zipf = [sp.Rational(1, i) / sp.harmonic(10) for i in range(1, 11)]
cap = sp.Rational(15, 100)
probs, water_level, n_capped = water_filling(zipf, cap)
equal(water_level, sp.Rational(2761, 7381) / sp.Rational(55, 100), "λ of the example")
holds(sp.Eq(n_capped, 3), "three classes are capped")
zero(sum(probs) - 1, "the probabilities sum to 1")
holds(sp.Matrix(water_filling(list(truth), sp.Rational(6, 10))[0]) == fit, "(.9, .07, .03) becomes (.6, .28, .12)")
sp.Eq(level, water_level)

# %% [markdown]
# ## The function of the library
#
# Random frequencies, as integers over their sum, and thresholds that are exact in binary.

# %%
source = random.Random("capped-projection")
for size in (2, 3, 8, 30):
    counts = [source.randint(1, 1000) for _ in range(size)]
    exact = [sp.Rational(count, sum(counts)) for count in counts]
    cap = sp.Rational(source.randint(2**20 // size + 1, 2**20), 2**20)
    probs, water_level, n_capped = water_filling(exact, cap)
    point = {"frequencies": [float(value) for value in exact], "gamma": float(cap)}
    agrees_at("theory.categorical.capped_projection", point, probs, part="probs")
    agrees_at("theory.categorical.capped_projection", point, water_level, part="multiplier")
    agrees_at("theory.categorical.capped_projection", point, sp.Integer(n_capped), part="n_capped")
