# %% [markdown]
# # The fidelity interval of cross entropy is of the order of n, that of TCE can be infinite
#
# There are $K$ classes; generation $t + 1$ is the vector of frequencies of $n$ draws from generation $t$. With $D = 1 -
# \sum_i p_i^2$, `wright-fisher` has $\mathbb{E}[D_{t+1} \mid p_t] = (1 - 1/n) D_t$. $T$ is the first generation with
# $D_t < c D_0$, $D_0 > 0$ and $0 < c \le 1$.

# %%
from fractions import Fraction
from math import comb

import flint
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

n = sp.Symbol("n", positive=True, integer=True)
t, s = sp.symbols("t s", nonnegative=True, integer=True)
c = sp.Symbol("ratio", positive=True)
rate = 1 - 1 / n

# %% [markdown]
# ## The tail
#
# $T > t$ implies $D_t \ge c D_0$. By Markov's inequality $\Pr(T > t) \le \mathbb{E} D_t/(c D_0)$.

# %%
start = sp.Symbol("heterozygosity", positive=True)
markov = sp.simplify(start * rate**t / (c * start))
zero(markov - rate**t / c, "E D_t over c D_0")
tail = sp.Min(1, markov)
states("drift-interval", "tail", sp.Le(sp.Function("P")(t, n, c), tail))

# %% [markdown]
# ## The mean
#
# $\mathbb{E} T = \sum_{t \ge 0}\Pr(T > t)$. The minimum is 1 for the $s$ values $t < s$ with $(1 - 1/n)^t > c$, and a
# geometric sequence from there on.

# %%
x, length = sp.symbols("x m", positive=True)
geometric = (1 - x**length) / (1 - x)
zero(sp.simplify(geometric.subs(length, length + 1) - geometric - x**length), "partial sums of a geometric sequence")
rest = rate**s / c * (1 / (1 - x)).subs(x, rate)
mean = s + sp.simplify(rest)
zero(sp.simplify(mean - (s + n * rate**s / c)), "s ones, and the rest")
states("drift-interval", "mean", sp.Le(sp.Function("T")(n, c), s + n * rate**s / c))

# %% [markdown]
# ## Linear in n
#
# For $n = 1$, $T = 1$. For $n \ge 2$ let $s_0 = \log\frac{1}{c}/(-\log(1 - \frac{1}{n}))$, where $(1 - 1/n)^{s_0} = c$:
# $s$ is the least integer that is at least $s_0$. The function $f(y) = y + \frac{n}{c}(1 - \frac{1}{n})^y$ is convex
# and has the same value $s_0 + n$ at $s_0$ and at $s_0 + 1$; so $f(s) \le s_0 + n$ in between. Finally $-\log(1 - 1/n)
# \ge 1/n$, so $s_0 \le n\log\frac{1}{c}$.

# %%
y = sp.Symbol("y", real=True)
more = sp.Symbol("m", nonnegative=True, integer=True)  # n = 2 + m
f = y + n / c * sp.exp(y * sp.log(rate))
crossing = sp.log(c) / sp.log(rate)
zero(sp.simplify(f.subs(y, crossing) - (crossing + n)), "f(s_0) = s_0 + n")
zero(sp.simplify(sp.expand(f.subs(y, crossing + 1), power_exp=True) - (crossing + n)), "f(s_0 + 1) = s_0 + n")
curvature = sp.diff(f, y, 2).subs(n, 2 + more)
zero(
    curvature - (2 + more) / c * sp.log(1 - 1 / (2 + more)) ** 2 * sp.exp(y * sp.log(1 - 1 / (2 + more))),
    "the second derivative",
)
holds(sp.simplify((1 - 1 / n).subs(n, 2 + more)) > 0, "1 − 1/n > 0: a square times positive numbers, f is convex")

# %%
part = sp.Symbol("v", positive=True)  # 1/n
touch = -sp.log(1 - part) - part
equal(touch.subs(part, 0), 0, "−log(1 − v) − v is 0 at v = 0")
zero(sp.simplify(sp.diff(touch, part) - part / (1 - part)), "with the slope v/(1 − v) > 0: so −log(1 − v) ≥ v")
linear = n * (1 + sp.log(1 / c))
zero(sp.expand_log(linear - (n * -sp.log(c) + n), force=True), "s_0 + n with s_0 = n log(1/c)")
states("drift-interval", "linear", sp.Le(sp.Function("T")(n, c), linear))

# %% [markdown]
# Both are attained: $n = 2$, $p_0 = (1/2, 1/2)$. Generation 1 is $(1/2, 1/2)$ again with probability $1/2$, else one
# class is left. So $\Pr(T > t) = 2^{-t}$ and $\mathbb{E} T = 2$ for every $c$; for $c = 1$ the bounds are the same.

# %%
same = sp.Rational(comb(2, 1), 4)
zero(same - sp.Rational(1, 2), "one of each, with probability 1/2")
zero(tail.subs({n: 2, c: 1, t: 5}) - same**5, "the tail at c = 1, t = 5")
equal(linear.subs({n: 2, c: 1}), sp.summation(same**t, (t, 0, sp.oo)), "the mean")

# %% [markdown]
# This also shows that the mean time need not be near where $\mathbb{E} D_t$ crosses $c D_0$: that is the least $t$ with
# $2^{-t} < c$.

# %%
for ratio, crosses in ((sp.Rational(9, 10), 1), (sp.Rational(1, 100), 7)):
    holds(same**crosses < ratio <= same ** (crosses - 1), f"the mean crosses at t = {crosses} for c = {ratio}")

# %% [markdown]
# ## From below
#
# $D_{t \wedge T} + \frac{1}{n}\sum_{u < t \wedge T} D_u$ is a martingale: one generation before $T$ takes $D_u/n$ from
# $D$ on average. As $t \to \infty$, with $D$ bounded and $\mathbb{E} T < \infty$, $\mathbb{E}\sum_{u < T} D_u = n(D_0 -
# \mathbb{E} D_T)$. There $D_T < c D_0$, and $D_u \le 1 - 1/K$, because $\sum_i p_i^2 \ge 1/K$.

# %%
D, size = sp.Symbol("D", positive=True), sp.Symbol("num_classes", positive=True, integer=True)
zero(sp.expand(rate * D + D / n - D), "what is lost is added")
p_i, total_square = sp.symbols("p_i Q", real=True)
equal(sp.expand((p_i - 1 / size) ** 2), p_i**2 - 2 * p_i / size + 1 / size**2, "a square, ≥ 0")
zero(sp.expand(total_square - 2 / size + size / size**2) - (total_square - 1 / size), "summed: Σ p² − 1/K ≥ 0")
lower = n * (start - c * start) / (1 - 1 / size)
states("drift-interval", "lower", sp.Ge(sp.Function("T")(n, c), n * (1 - c) * start / (1 - 1 / size)))
zero(sp.simplify(lower - n * (1 - c) * start / (1 - 1 / size)), "n (D_0 − c D_0) over the largest D")

# %% [markdown]
# ## The largest entropy with a given heterozygosity
#
# Let $0 < D < 1 - 1/K$ (at the ends $p$ is a vertex or uniform, and the claim is clear). Put $a = 1 - e$ and $b = e/(K
# - 1)$ with the $e$ for which $a^2 + (K - 1) b^2 = 1 - D$ and $a \ge b$.

# %%
e = sp.Symbol("e", positive=True)
a, b = 1 - e, e / (size - 1)
het = 2 * e - e**2 * size / (size - 1)
zero(sp.simplify(1 - a**2 - (size - 1) * b**2 - het), "D in terms of e")
error = (1 - 1 / size) * (1 - sp.sqrt(1 - D * size / (size - 1)))
zero(sp.simplify(het.subs(e, error) - D), "solved for e")
zero(sp.simplify(sp.diff(het, e) - 2 * (1 - e * size / (size - 1))), "D increases with e up to e = 1 − 1/K, a = b")

# %% [markdown]
# *No probability exceeds $a$.* If $p_1 = x \ge 1/K$, the others sum to $1 - x$ and their squares to at least $(1 -
# x)^2/(K - 1)$. So $1 - D \ge x^2 + (1 - x)^2/(K - 1)$, which increases in $x \ge 1/K$ and is $1 - D$ at $x = a$.

# %%
z = sp.Symbol("z", positive=True)
least_square = z**2 + (1 - z) ** 2 / (size - 1)
zero(sp.simplify(sp.diff(least_square, z) - 2 * (z * size - 1) / (size - 1)), "its slope, not negative from 1/K on")
zero(sp.simplify(least_square.subs(z, a) - (1 - het)), "its value at a")

# %% [markdown]
# *Interpolation.* Let $\pi$ be the quadratic polynomial that equals $\eta(x) = -x\log x$ at $b$, with its slope, and at
# $a$. The error of Hermite interpolation is $\eta(x) - \pi(x) = \frac{1}{6}\eta'''(\xi)\,(x - b)^2(x - a)$ for $x > 0$,
# with some $\xi$ between these points. As $\eta''' > 0$, $\eta \le \pi$ on $(0, a]$, and at 0 by continuity. Now
# $\sum_i\pi(p_i)$ depends on $\sum p_i = 1$ and $\sum p_i^2 = 1 - D$ alone: it is the same for $p$ and for $(a, b,
# \ldots, b)$, where it is the entropy. So $H(p) \le \sum_i\pi(p_i) = \eta(a) + (K - 1)\eta(b)$.

# %%
zero(sp.diff(-z * sp.log(z), z, 3) - 1 / z**2, "η''' = 1/x² > 0")
A, B, C = sp.symbols("A B C", real=True)
at_p = A * 1 + B * size + C * (1 - het)
at_ab = A * (a + (size - 1) * b) + B * size + C * (a**2 + (size - 1) * b**2)
zero(sp.simplify(at_p - at_ab), "Σ (A p + B + C p²) at both")
entropy = -(1 - e) * sp.log(1 - e) - e * sp.log(e / (size - 1))
zero(
    sp.simplify(sp.expand_log(-a * sp.log(a) - (size - 1) * b * sp.log(b) - entropy, force=True)),
    "the entropy of (a, b, …, b)",
)
named = entropy.subs(e, error).subs(D, start)
states("drift-interval", "entropy-of-heterozygosity", sp.Le(sp.Function("H")(e, size), entropy))

# %% [markdown]
# ## The entropy
#
# Along $e$ from 0 to $1 - 1/K$ both $D$ and the bound increase. So $H_t \ge h$ implies $D_t \ge d(h)$, and $T_h > t$
# implies $D_t \ge d(h) = c D_0$. With $h \le H_0$, $d(h) \le D_0$. The rest is as above.

# %%
slope = sp.diff(entropy, e)
zero(sp.simplify(sp.expand_log(slope - sp.log((1 - e) * (size - 1) / e), force=True)), "the slope, log(a/b) ≥ 0")

# %% [markdown]
# *From below.* Let $f$ be the next generation and $x$ the present one, on the classes with $x_i > 0$. As in
# `wright-fisher`, $H(x) - \mathbb{E} H(f) = \mathbb{E}\sum_i f_i\log\frac{f_i}{x_i} \le \mathbb{E}\sum_i
# f_i(\frac{f_i}{x_i} - 1) = \sum_i\frac{\mathbb{E} (f_i - x_i)^2}{x_i}$, and the variance of $f_i$ is $x_i(1 - x_i)/n$:
# at most $(K - 1)/n$ together. So $H_{t \wedge T_h} + \frac{K - 1}{n}(t \wedge T_h)$ is a submartingale; as $t \to
# \infty$, $H_0 \le \mathbb{E} H_{T_h} + \frac{K - 1}{n}\mathbb{E} T_h$, and $H_{T_h} < h$.

# %%
x_i, f_i = sp.symbols("x_i f_i", positive=True)
excess = f_i * (f_i / x_i - 1) - (f_i - x_i) ** 2 / x_i
zero(sp.expand(excess - (f_i - x_i)), "a term, but for f − x, which sums to 0")
zero(sp.expand(x_i * (1 - x_i) / n / x_i - (1 - x_i) / n), "its mean: (1 − x_i)/n, which sums to (K − 1)/n")
H_0, threshold = sp.symbols("entropy threshold", positive=True)
time = sp.Symbol("E_T", positive=True)
(bound,) = sp.solve(sp.Eq(H_0, threshold + (size - 1) / n * time), time)
states("drift-interval", "entropy-lower", sp.Ge(sp.Function("T_h")(n), bound))

# %% [markdown]
# ## Sizes that vary
#
# If $n_t \ge 1$ draws are made, a number that is known before, $\mathbb{E}[D_{t+1} \mid p_t, n_t] = (1 - 1/n_t) D_t \le
# (1 - 1/n) D_t$ for $n_t \le n$. By induction over the generations with draws $\mathbb{E} D \le (1 - 1/n)^t D_0$ after
# $t$ of them, where $D$ is 0 on paths that have fewer, and only this was used for the upper bounds.

# %%
fewer, missing = sp.Symbol("n_t", positive=True), sp.Symbol("k", nonnegative=True)  # n = n_t + k
holds(sp.factor(1 / fewer - 1 / (fewer + missing)) >= 0, "1/n_t ≥ 1/n")

# %% [markdown]
# ## Under TCE
#
# With a warm start from a $p_0$ in $C_\gamma$ each generation is in $C_\gamma$ (`support-floor`): $H_t \ge
# h_{min}(\gamma)$. And the entropy of every $q \in C_\gamma$ is at least $-\log\gamma$, as each $-\log q_i \ge
# -\log\gamma$.

# %%
gamma, spare, weight = (
    sp.Symbol("gamma", positive=True),
    sp.Symbol("r", nonnegative=True),
    sp.Symbol("q_i", nonnegative=True),
)
zero(sp.expand_log(-sp.log(gamma / (1 + spare)) + sp.log(gamma) - sp.log(1 + spare), force=True), "−log q_i + log γ")
holds(weight * sp.log(1 + spare) >= 0, "is not negative, for q_i = γ/(1 + r)")

# %% [markdown]
# ## Two classes
#
# From $i$ points of class 1 with $D = 2x(1 - x) \ge c D_0$, $x = i/n$, the mean time $u_i$ solves $u_i = 1 +
# \sum_j\Pr(j \mid i) u_j$ over such $j$. Multiplied by $n^n$ the coefficients are integers. From $p_0 = (1/2, 1/2)$, $c
# = 1/2$ and even $n$, $u_{n/2}$ is the mean of $T$.


# %%
def exact_interval(points: int) -> Fraction:
    """Mean first generation with less than half of the heterozygosity of two equal classes."""
    inside = [i for i in range(points + 1) if 8 * i * (points - i) >= points**2]  # 2 x (1 − x) ≥ 1/4
    rows = [
        [(points**points if i == j else 0) - comb(points, j) * i**j * (points - i) ** (points - j) for j in inside]
        for i in inside
    ]
    solved = flint.fmpz_mat(rows).solve(flint.fmpz_mat([[points**points]] * len(inside)))
    value = solved[inside.index(points // 2), 0]
    return Fraction(int(value.p), int(value.q))


for points, digits in ((20, "16.3871"), (100, "63.4558")):
    value = exact_interval(points)
    print(points, float(value))
    holds(0 <= value - Fraction(digits) < Fraction(1, 10**4), f"n = {points}: {digits}…")
    holds(points // 2 < value < points, "above n (1 − c), below n (1 + log 2)")

# %% [markdown]
# ## The functions of the library


# %%
def bound_of_mean(n, ratio):
    """Sum of the minimum, with s found by counting up."""
    keep = 1 - 1 / mpmath.mpf(n)
    certain = 0
    while keep**certain > ratio:
        certain += 1
    return certain + n * keep**certain / ratio


def heterozygosity_of(entropy, num_classes):
    """Heterozygosity of (1 − e, e/(K − 1), …) with this entropy, by bisection of e."""
    low, high = mpmath.mpf(0), 1 - 1 / mpmath.mpf(num_classes)
    for _ in range(150):
        middle = (low + high) / 2
        value = -(1 - middle) * mpmath.log(1 - middle) - middle * mpmath.log(middle / (num_classes - 1))
        low, high = (middle, high) if value < entropy else (low, middle)
    return 2 * low - low**2 * num_classes / (num_classes - 1)


agrees(
    "theory.categorical.drift_survival_bound", tail, where={"t": range(500), "n": range(2, 300), "ratio": (0.05, 1.0)}
)
agrees("theory.categorical.drift_interval_bound", bound_of_mean, where={"n": range(1, 60), "ratio": (0.05, 1.0)})
agrees(
    "theory.categorical.drift_interval_floor",
    n * (1 - c) * start / (1 - 1 / size),
    where={
        "n": range(1, 10**6),
        "ratio": (0.01, 0.9),
        "heterozygosity": (0.0, 0.5),
        "num_classes": range(2, 1000),
    },
)
agrees(
    "theory.categorical.largest_entropy",
    named,
    where={"heterozygosity": (0.001, 0.49), "num_classes": [2, 3, 20, 10**4]},
)
agrees(
    "theory.categorical.least_heterozygosity",
    heterozygosity_of,
    where={"entropy": (0.001, 0.69), "num_classes": [2, 3, 20, 10**4]},
)
agrees(
    "theory.categorical.entropy_interval_floor",
    bound,
    where={"n": range(1, 10**6), "entropy": (3.0, 5.0), "threshold": (0.1, 1.0), "num_classes": range(150, 1000)},
)
