# %% [markdown]
# # Below the cap, TCE leaves the loss of diversity as it is
#
# $U$ is a set of classes fixed in advance, $P$ its probability under the model of generation $t$ and $u_i = p_i/P$ its
# composition. Generation $t + 1$ draws $n$ points, of which $N$ fall into $U$. $H_U = 1 - \sum_{i \in U} u_i^2$, and
# $H_U'$ is the same for the frequencies within $U$ of the points drawn.

# %%
from fractions import Fraction
from itertools import product
from math import comb, factorial

import sympy as sp
from checking import agrees, equal, holds, states, zero

n, N = sp.symbols("n N", positive=True, integer=True)
P, p, u = sp.symbols("P p u", positive=True)

# %% [markdown]
# ## The draws within U
#
# Whatever the loss, given the model the counts are multinomial. Write $A = \prod_{i \in U} N_i!$ and
# $B = \prod_{i \in U} p_i^{N_i}$ for the counts in $U$, with $\sum_{i \in U} N_i = N$. Summed over the counts outside
# of $U$, the multinomial theorem gives the joint probability
# $$\frac{n!}{A\,(n - N)!}\, B\, (1 - P)^{n - N} .$$
# $N$ itself is binomial. The ratio is $\frac{N!}{A} \frac{B}{P^N} = \frac{N!}{A} \prod_{i \in U} u_i^{N_i}$: given $N$
# the points within $U$ are $N$ draws from the composition $u$.

# %%
A, B = sp.symbols("A B", positive=True)
joint = sp.factorial(n) / (A * sp.factorial(n - N)) * B * (1 - P) ** (n - N)
binomial = sp.factorial(n) / (sp.factorial(N) * sp.factorial(n - N)) * P**N * (1 - P) ** (n - N)
equal(joint / binomial, sp.factorial(N) / A * B / P**N, "the law of the counts within U, given N")
zero(sp.powsimp(p**N / P**N - (p / P) ** N, force=True), "each class contributes u_i to the power of its count")

# %% [markdown]
# ## The factor
#
# So the step within $U$ is a Wright–Fisher step with $N \ge 1$ points. One count is binomial, $\mathbb{E} N_i = N u_i$
# and $\mathbb{E} N_i(N_i - 1) = N (N - 1) u_i^2$ (`wright-fisher`), which makes $\mathbb{E}\, (N_i/N)^2$ linear in
# $u_i^2$ and $u_i$. Summed over $U$, with $S = \sum u_i^2$ and $\sum u_i = 1$:

# %%
S = sp.Symbol("S", positive=True)
points = sp.Symbol("points", positive=True, integer=True)
square = sp.Poly(sp.expand((points * (points - 1) * u**2 + points * u) / points**2), u)
holds(square.degree() == 2 and square.coeff_monomial(1) == 0, "a combination of u² and u")
next_sum = square.coeff_monomial(u**2) * S + square.coeff_monomial(u) * 1
factor = sp.simplify((1 - next_sum) / (1 - S))
H = sp.Function("H")
states("tails-unprotected", "factor", sp.Eq(H(1) / H(0), factor))

# %% [markdown]
# ## The fitted model
#
# If more than $1/\gamma$ classes are drawn the TCE fit is $q_i = \min(\gamma, f_i/\lambda)$ (`capped-projection`).
# Where no class of $U$ is capped, $q_i = f_i/\lambda$ on $U$ with one $\lambda$, so that
# $q_i/\sum_{j \in U} q_j = f_i/\sum_{j \in U} f_j$: the composition of the draws.

# %%
f, F, lam = sp.symbols("f F lambda", positive=True)
equal((f / lam) / (F / lam), f / F, "λ cancels from the composition")

# %% [markdown]
# ## What mass does
#
# Let $h(0) = h(1) = 0$ and $h(N) = 1 - 1/N$. The expected factor is $\mathbb{E} h(N)$ with $N$ binomial $(n, P)$; where
# $N = 0$ nothing of $U$ is drawn. The derivative of a binomial probability $b_n(k) = \binom{n}{k} P^k (1 - P)^{n-k}$ is
# $n\,[b_{n-1}(k - 1) - b_{n-1}(k)]$, so, summing by parts,
# $$\frac{d}{dP} \mathbb{E}\, h(N) = n \sum_{k=0}^{n-1} b_{n-1}(k)\, [h(k + 1) - h(k)] .$$
# The differences are $0$ for $k = 0$ and $\frac{1}{k (k + 1)} > 0$ for $k \ge 1$: the factor increases with $P$,
# strictly for $n \ge 2$ and $0 < P < 1$.

# %%
k = sp.Symbol("k", positive=True, integer=True)


def mass(size, count):
    coefficient = sp.gamma(size + 1) / (sp.gamma(count + 1) * sp.gamma(size - count + 1))
    return coefficient * P**count * (1 - P) ** (size - count)


slope = sp.diff(mass(n, k), P) / mass(n, k)
claimed = n * (mass(n - 1, k - 1) - mass(n - 1, k)) / mass(n, k)
zero(
    sp.simplify(sp.gammasimp(sp.powsimp(sp.expand(slope - claimed)))),
    "the derivative of a binomial probability, 0 < k < n",
)
zero(sp.simplify(sp.diff((1 - P) ** n, P) + n * (1 - P) ** (n - 1)), "for k = 0, where b_{n−1}(−1) = 0")
zero(sp.simplify(sp.diff(P**n, P) - n * P ** (n - 1)), "for k = n, where b_{n−1}(n) = 0")
difference = (1 - 1 / (k + 1)) - (1 - 1 / k)
equal(difference, 1 / (k * (k + 1)), "the differences of h")
holds(1 / (k * (k + 1)) > 0, "which are positive")

# %% [markdown]
# A cap outside of $U$ lowers the capped classes and raises all others by the same factor $1/\lambda \ge 1$. It acts on
# $U$ through $P$ alone: given $P$, the law of $N$ and of the draws within $U$ is that of cross entropy.
#
# ## Counterexample: given that no class of U is capped
#
# The event that no class of $U$ is capped depends on the composition of the draws, so conditioning on it is another
# matter. Take $p = (1/4, 1/4, 1/2)$, $n = 3$, $\gamma = 3/5$, $U$ the first two classes, and $N = 2$. The samples are
# $(2, 0, 1)$, $(0, 2, 1)$ and $(1, 1, 1)$; in the first two the frequency $2/3$ is capped (two classes are drawn, and
# $2\gamma > 1$). What is left is the even composition.

# %%
probs, size, cap = (Fraction(1, 4), Fraction(1, 4), Fraction(1, 2)), 3, Fraction(3, 5)
weights = {True: Fraction(0), False: Fraction(0)}
sums = {True: Fraction(0), False: Fraction(0)}
for counts in product(range(size + 1), repeat=3):
    inside = counts[0] + counts[1]
    if sum(counts) != size or inside != 2:
        continue
    assert sum(count > 0 for count in counts) * cap > 1  # the fit is a capped projection
    weight = Fraction(factorial(size))
    for count, prob in zip(counts, probs, strict=True):
        weight *= prob**count / factorial(count)
    capped = max(counts[:2]) > cap * size
    weights[capped] += weight
    sums[capped] += weight * (1 - sum(Fraction(count, inside) ** 2 for count in counts[:2]))
initial = 1 - 2 * Fraction(1, 2) ** 2
holds(
    sum(sums.values()) / sum(weights.values()) == initial * (1 - Fraction(1, 2)), "over all samples the factor is 1/2"
)
holds(sums[False] / weights[False] == initial, "given no cap it is 1")
holds(sum(weights.values()) == comb(3, 2) * Fraction(1, 8), "the probability of N = 2")

# %% [markdown]
# ## The function of the library

# %%
agrees("theory.categorical.composition_decay", factor, where={"points": [2, 3, 50, 10**6, 10**12]})
