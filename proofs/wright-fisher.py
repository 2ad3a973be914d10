# %% [markdown]
# # Cross entropy on its own samples is Wright–Fisher drift
#
# There are $K$ classes. Generation $t + 1$ is the vector of frequencies $p' = N/n$ of $n$ independent draws from
# generation $t$: the counts $N = (N_1, \ldots, N_K)$ are multinomial with the probabilities $p$.
#
# Everything follows from one generating function, $\mathbb{E} \prod_i z_i^{N_i} = (\sum_i p_i z_i)^n$: each draw gives
# $z_i$ with probability $p_i$, and draws are independent.

# %%
from fractions import Fraction
from math import comb

import flint
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

from tce_theory.exact import TwoClassChain

n, k, t = sp.symbols("n k t", positive=True, integer=True)
p, z = sp.symbols("p z", positive=True)

# %% [markdown]
# ## Factorial moments
#
# Differentiating $j$ times with respect to $z_i$ at $z = 1$ gives $\mathbb{E}[N_i (N_i - 1) \cdots (N_i - j + 1)]$. Let
# $R = \sum_{l \ne i} p_l z_l$ be the rest of the sum, which does not contain $z_i$. The first derivative of
# $(p z + R)^m$ is $m p\, (p z + R)^{m - 1}$: one factor $p$ comes out, and the exponent falls by one. This holds for
# the exponent $m = n, n - 1, \ldots$ and for each variable in turn, so by induction, with $a = (a_1, \ldots, a_K)$,
# $|a| = \sum a_i$ and the falling factorial $(x)_j = x (x - 1) \cdots (x - j + 1)$,
# $$\mathbb{E} \prod_i (N_i)_{a_i} = (n)_{|a|} \prod_i p_i^{a_i},$$
# because at $z = 1$ what is left of the sum is $1$. The factors $m$ that came out are $n, n - 1, \ldots, n - |a| + 1$.

# %%
R, m = sp.symbols("R m", positive=True)
equal(
    sp.diff((p * z + R) ** m, z), m * p * (p * z + R) ** (m - 1), "one derivative takes out m p and lowers the exponent"
)

# %%
mean_count = n * p  # a = 1
second_factorial = n * (n - 1) * p**2  # a = 2
equal(
    second_factorial + mean_count - mean_count**2,
    n * p * (1 - p),
    "the variance of one count is that of a binomial law",
)

# %% [markdown]
# ## Heterozygosity
#
# For one class, $\mathbb{E} p_i'^2 = \mathbb{E}[(N_i)_2 + N_i]/n^2$. This is linear in $p_i^2$ and $p_i$, so summing
# over the classes, with $S = \sum_i p_i^2$ and $\sum_i p_i = 1$, gives $\mathbb{E}[S' \mid p]$ for any $K$.

# %%
S = sp.Symbol("S", positive=True)
square = sp.expand((second_factorial + mean_count) / n**2)
coefficients = sp.Poly(square, p)
equal(
    coefficients.coeff_monomial(p**2) * p**2 + coefficients.coeff_monomial(p) * p,
    square,
    "E p'^2 is a combination of p^2 and p alone",
)

# %%
next_sum = coefficients.coeff_monomial(p**2) * S + coefficients.coeff_monomial(p) * 1
equal(1 - next_sum, (1 - 1 / n) * (1 - S), "one generation keeps 1 − 1/n of the heterozygosity")

# %% [markdown]
# Taking means, $\mathbb{E} H_{t+1} = (1 - 1/n)\, \mathbb{E} H_t$: a geometric sequence.

# %%
H, time = sp.Function("H"), sp.Symbol("t", nonnegative=True, integer=True)
solution = sp.rsolve(H(time + 1) - (1 - 1 / n) * H(time), H(time), {H(0): H(0)})
zero(solution.subs(time, 0) - H(0), "it starts at H(0)")
zero(
    sp.simplify(solution.subs(time, time + 1) / solution) - (1 - 1 / n), "and its ratio is 1 − 1/n at every generation"
)
states("wright-fisher", "heterozygosity", sp.Eq(H(time) / H(0), (1 - 1 / n) ** time))

# %% [markdown]
# ## Eigenvalues
#
# The chain acts on functions of the state by $(Pf)(p) = \mathbb{E} f(p')$. Take the free frequencies
# $x = (p_1, \ldots, p_{K-1})$, and let $V_k$ be the polynomials in $x$ of degree at most $k$.
#
# **$P$ is triangular.** A power is a combination of falling factorials, $N^j = (N)_j + \text{lower ones}$: this is
# $N (N)_j = (N)_{j+1} + j (N)_j$, applied again and again. So a monomial of degree $k$ in the counts is
# $\prod_i (N_i)_{a_i}$ plus products of falling factorials of lower total degree, and with the factorial moments
# $$P x^a = \frac{(n)_k}{n^k}\, x^a + \text{monomials of lower degree}, \qquad |a| = k .$$
# Hence $P$ maps $V_k$ into itself, and on the quotient $V_k/V_{k-1}$ it is multiplication by
# $\lambda_k = (n)_k/n^k = \prod_{i<k}(1 - i/n)$.

# %%
N, j = sp.symbols("N j", positive=True, integer=True)
equal(
    N * sp.ff(N, j).rewrite(sp.gamma),
    (sp.ff(N, j + 1) + j * sp.ff(N, j)).rewrite(sp.gamma),
    "N (N)_j = (N)_{j+1} + j (N)_j",
)

# %%
eigenvalue = sp.factorial(n) / (sp.factorial(n - k) * n**k)
zero(sp.gammasimp((eigenvalue.subs(k, k + 1) / eigenvalue).rewrite(sp.gamma)) - (1 - k / n), "λ_{k+1} = (1 − k/n) λ_k")
equal(eigenvalue.subs(k, 0), 1, "λ_0 = 1")
states("wright-fisher", "eigenvalues", sp.Eq(sp.Function("lambda")(k), eigenvalue))

# %% [markdown]
# **Polynomials of degree up to $n$ are all functions on the states.** The states are the points $N$ with
# $N_1 + \cdots + N_{K-1} \le n$. Take $e_a(N) = \prod_{i<K} \binom{N_i}{a_i}$, a polynomial of degree $|a|$, for each
# state $a$. It is 1 at $N = a$, and 0 at every state $N \ne a$ unless $N_i \ge a_i$ for all $i$, which needs
# $|N| > |a|$. Ordering the states by $|N|$, the matrix $e_a(N)$ is triangular with ones on the diagonal. So the $e_a$
# with $|a| \le n$, which span $V_n$ (there are as many as monomials of degree up to $n$), are a basis of the functions
# on the states, and the eigenvalues of the chain are those of $P$ on $V_n$: $\lambda_k$ as many times as there are
# monomials of degree exactly $k$ in $K - 1$ variables, for $k = 0, \ldots, n$.
#
# **The number of monomials.** Let $M(k, K)$ be this number. A monomial of degree $k$ in $K$ free variables either
# contains the last variable (divide by it: degree $k - 1$, same variables) or does not (one variable less):
# $M(k, K + 1) = M(k - 1, K + 1) + M(k, K)$, with $M(0, K) = 1$ and, for one variable, $M(k, 2) = 1$. The binomial
# coefficient $\binom{k + K - 2}{k}$ satisfies all three.

# %%
classes = sp.Symbol("num_classes", positive=True, integer=True)


def multiplicity(degree, size):
    return sp.gamma(degree + size - 1) / (sp.gamma(degree + 1) * sp.gamma(size - 1))


zero(
    sp.gammasimp((multiplicity(k - 1, classes + 1) + multiplicity(k, classes)) / multiplicity(k, classes + 1)) - 1,
    "the recursion of the number of monomials (Pascal's)",
)
equal(multiplicity(0, classes), 1, "one monomial of degree 0")
equal(sp.simplify(multiplicity(k, 2)), 1, "one monomial of each degree in one variable")
states("wright-fisher", "multiplicity", sp.Eq(sp.Function("M")(k, classes), multiplicity(k, classes)))

# %% [markdown]
# A count of the states confirms it: $\sum_{k \le n} \binom{k + K - 2}{k} = \binom{n + K - 1}{n}$, by induction over
# $n$.

# %%
states_up_to = sp.gamma(n + classes) / (sp.gamma(n + 1) * sp.gamma(classes))
zero(
    sp.gammasimp((states_up_to.subs(n, n - 1) + multiplicity(n, classes)) / states_up_to) - 1,
    "one more degree: the states of one more draw",
)
equal(states_up_to.subs(n, 0), multiplicity(0, classes), "and both are 1 for n = 0")

# %% [markdown]
# **Diagonalisable.** On $V_1$ the chain is the identity, because $\mathbb{E} p_i' = p_i$. For $2 \le k \le n$ the
# numbers $\lambda_k$ are distinct from each other and from 1, as $\lambda_{k+1}/\lambda_k = 1 - k/n < 1$ with
# $\lambda_k > 0$. So $P - \lambda_k$ is invertible on $V_{k-1}$ and, given $f$ of degree $k$, $(P - \lambda_k) f$ is in
# $V_{k-1}$ and equals $(P - \lambda_k) g$ for some $g$ in $V_{k-1}$: then $f - g$ is an eigenfunction with the leading
# terms of $f$.
#
# ## Fixation
#
# $p_i$ is a bounded martingale, $\mathbb{E}[p_i' \mid p] = p_i$. By the first section $\mathbb{E} H_t \to 0$; $H$ takes
# finitely many values and is 0 only if one class has all; once it is 0 it stays so. Hence almost surely $p_t$ ends at a
# vertex, and by bounded convergence $\Pr(\text{class } i \text{ is left}) = \lim \mathbb{E} p_{t,i} = p_i$.

# %%
equal(mean_count / n, p, "frequencies are martingales")
holds(1 - 1 / n < 1, "the heterozygosity decays to 0")

# %%
fixation = sp.Symbol("P_fix")
[at_limit] = sp.solve(sp.Eq(1 * fixation + 0 * (1 - fixation), mean_count / n), fixation)
q = sp.Symbol("p", nonnegative=True)
states("wright-fisher", "fixation", sp.Eq(sp.Function("P")(q), at_limit.subs(p, q)))

# %% [markdown]
# ## Mean time to fixation of two classes, diffusion limit
#
# One generation moves $p$ by a step of mean 0 and variance $p(1 - p)/n$. For a smooth $u$,
# $\mathbb{E} u(p') = u(p) + \frac{p(1 - p)}{2n} u''(p) + O(n^{-2})$, the next central moments being of order $n^{-2}$.
# The mean time $u$ to absorption satisfies $u = 1 + \mathbb{E} u(p')$ inside, so to leading order
# $\frac{p(1 - p)}{2n} u'' = -1$ with $u(0) = u(1) = 0$. (Status: diffusion limit. That the times of the chain, divided
# by $n$, converge is a standard theorem on diffusion approximation, Ethier & Kurtz 1986, chapter 10, which is not
# derived here.)

# %%
moments = {2: n * p * (1 - p), 3: n * p * (1 - p) * (1 - 2 * p), 4: n * p * (1 - p) * (1 + 3 * (n - 2) * p * (1 - p))}
factorial_to_central = {
    order: sp.expand(
        sum(
            sp.binomial(order, power)
            * (-n * p) ** (order - power)
            * sum(
                sp.functions.combinatorial.numbers.stirling(power, r) * sp.expand_func(sp.ff(n, r)) * p**r
                for r in range(power + 1)
            )
            for power in range(order + 1)
        )
    )
    for order in (2, 3, 4)
}
for order, central in moments.items():
    equal(factorial_to_central[order], central, f"central moment {order} of a count")
for order in (3, 4):
    scaled = sp.limit(moments[order] / n**order * n**2, n, sp.oo)
    holds(scaled.is_finite, f"that of order {order} is of order n^-2 or less in the frequency")

# %%
mean_time = -2 * n * (p * sp.log(p) + (1 - p) * sp.log(1 - p))
zero(p * (1 - p) / (2 * n) * sp.diff(mean_time, p, 2) + 1, "the equation holds")
equal(sp.limit(mean_time, p, 0), 0, "u(0) = 0")
equal(sp.limit(mean_time, p, 1, "-"), 0, "u(1) = 0")
states("wright-fisher", "diffusion-time", sp.Eq(sp.Function("T")(p), mean_time))

# %% [markdown]
# The solution is unique: the difference of two has a vanishing second derivative and vanishes at both ends.
#
# ## Bounds at every n
#
# Let $T$ be the generation at which one of two classes is lost, $x$ the frequency of class 1, $f$ the next one, and
# $h(x) = -x\log x - (1 - x)\log(1 - x)$.
#
# **From below.** $\mathbb{E} f = x$, so that $\mathbb{E}[-f\log x - (1 - f)\log(1 - x)] = h(x)$, and
# $$h(x) - \mathbb{E} h(f) = \mathbb{E}\left[f\log\frac{f}{x} + (1 - f)\log\frac{1 - f}{1 - x}\right]
#   \le \mathbb{E}\left[f\left(\frac{f}{x} - 1\right) + (1 - f)\left(\frac{1 - f}{1 - x} - 1\right)\right]
#   = \frac{\mathbb{E}(f - x)^2}{x(1 - x)} = \frac{1}{n},$$
# by $\log u \le u - 1$ (a term with the factor $f = 0$ or $1 - f = 0$ is 0 on both sides). So $\mathbb{E} h(p_t)$ falls
# by at most $\Pr(T > t)/n$ in generation $t + 1$, as it stays once a class is lost. It falls from $h(p)$ to 0: $h$ is
# bounded, and $p_t$ ends at a vertex. Summed over $t$, $h(p) \le \mathbb{E} T/n$.

# %%
share, following = sp.symbols("x f", positive=True)
rest_now, rest_next = 1 - share, 1 - following
chi_square = following * (following / share - 1) + rest_next * (rest_next / rest_now - 1)
zero(sp.simplify(chi_square - (following - share) ** 2 / (share * rest_now)), "both terms together")
frequency_variance = (second_factorial + mean_count - mean_count**2) / n**2
equal(frequency_variance.subs(p, share) / (share * rest_now), 1 / n, "E (f − x)² is x (1 − x)/n")
touch = z - 1 - sp.log(z)
equal(touch.subs(z, 1), 0, "log u ≤ u − 1: both sides are the same at u = 1")
equal(sp.diff(touch, z).subs(z, 1), 0, "with the same slope")
holds(sp.diff(touch, z, 2) > 0, "and the difference is convex")
binary_entropy = -p * sp.log(p) - (1 - p) * sp.log(1 - p)
states("wright-fisher", "time-lower", sp.Ge(sp.Function("T")(p), n * binary_entropy))

# %% [markdown]
# **From above.** For $n = 1$, $T = 1$. Let $n \ge 2$. With both classes left, $H = 2x(1 - x) \ge 2(n - 1)/n^2$ (from
# generation 1 on $x$ is one of $1/n, \ldots, 1 - 1/n$). By Markov's inequality, with $H_0 \le 1/2$,
# $$\Pr(T > t) \le \frac{n^2}{2(n - 1)}\, \mathbb{E} H_t \le c\left(1 - \frac{1}{n}\right)^t \le c\, e^{-t/n},
#   \qquad c = \frac{n^2}{4(n - 1)}, \qquad 1 \le c \le \frac{n}{2} .$$
# (At $t = 0$ the bound holds as $c \ge 1$.) Let $s$ be the least integer that is at least $n\log c$: from there on
# $c\,(1 - 1/n)^t \le (1 - 1/n)^{t - s}$. So
# $$\mathbb{E} T = \sum_{t \ge 0} \Pr(T > t) \le s + \sum_{t \ge s} \left(1 - \frac{1}{n}\right)^{t - s} = s + n
#   \le n\log\frac{n}{2} + 1 + n \le n(1 + \log n) ,$$
# because $1 \le n\log 2$ for $n \ge 2$.

# %%
more = sp.Symbol("m", nonnegative=True, integer=True)  # n = 2 + m
c = n**2 / (4 * (n - 1))
holds(sp.factor(sp.together((c - 1).subs(n, 2 + more))) >= 0, "c ≥ 1")
holds(sp.factor(sp.together((n / 2 - c).subs(n, 2 + more))) >= 0, "c ≤ n/2")
a = sp.Symbol(
    "a", nonnegative=True, integer=True
)  # a frequency (1 + a)/n with 1 + b points of the other class, n = 2 + a + b
b = sp.Symbol("b", nonnegative=True, integer=True)
holds(sp.expand((1 + a) * (1 + b) - (1 + a + b)) >= 0, "n² x (1 − x) = (1 + a)(1 + b) ≥ 1 + a + b = n − 1")
upper = n * (1 + sp.log(n))
zero(sp.expand_log(upper - (n * sp.log(n / 2) + 1 + n) - (n * sp.log(2) - 1), force=True), "the last step")
holds(2 * sp.log(2) > 1, "n log 2 ≥ 2 log 2 > 1")
states("wright-fisher", "time-upper", sp.Le(sp.Function("T")(p), upper))

# %% [markdown]
# ## Exact times
#
# Without the limit, the mean times $u_i$ from $i$ points of class 1 solve
# $u_i = 1 + \sum_{0<j<n} \binom{n}{j} (i/n)^j (1 - i/n)^{n-j} u_j$. Multiplied by $n^n$ the coefficients are integers,
# and the system is solved exactly over the rationals. By symmetry $u_i = u_{n-i}$, which halves it.


# %%
def exact_time(size: int, start: int) -> Fraction:
    """Mean generations from `start` points of class 1 until one class is lost."""
    half = size // 2
    weight = [[comb(size, b) * a**b * (size - a) ** (size - b) for b in range(size + 1)] for a in range(half + 1)]
    assert all(sum(row) == size**size for row in weight), "rows are probability vectors"
    rows = [
        [
            (size**size if a == b else 0) - weight[a][b] - (weight[a][size - b] if b != size - b else 0)
            for b in range(1, half + 1)
        ]
        for a in range(1, half + 1)
    ]
    solved = flint.fmpz_mat(rows).solve(flint.fmpz_mat([[size**size]] * half))
    value = solved[min(start, size - start) - 1, 0]
    return Fraction(int(value.p), int(value.q))


small, large = exact_time(20, 2), exact_time(100, 50)
for value, digits, name in ((small, "11.9806621", "n = 20, p = 1/10"), (large, "136.602278", "n = 100, p = 1/2")):
    places = len(digits.split(".")[1])
    holds(abs(value - Fraction(digits)) <= Fraction(1, 2 * 10**places), f"{name}: {digits} to {places} places, exactly")

# %% [markdown]
# The diffusion limit is 13.0 and 138.6 for these two.
#
# ## The functions of the library

# %%
for chain, value in ((TwoClassChain(20, 0.1), small), (TwoClassChain(100, 0.5), large)):
    holds(
        abs(chain.mean_absorption_time() / float(value) - 1) < 1e-12, f"n = {chain.n}: TwoClassChain agrees (numerical)"
    )
agrees(
    "theory.categorical.heterozygosity_decay", (1 - 1 / n) ** t, where={"n": [2, 17, 10**6, 10**12], "t": range(2000)}
)
agrees(
    "theory.categorical.wright_fisher_eigenvalues",
    lambda n, k: mpmath.rf(n - k + 1, k) / n**k,
    where={"n": [60, 1000, 10**6, 10**12], "k": range(60)},
)
agrees(
    "theory.categorical.wright_fisher_multiplicity",
    multiplicity(k, classes),
    where={"k": range(300), "num_classes": range(2, 300)},
)
agrees(
    "theory.categorical.log_wright_fisher_multiplicity",
    lambda k, num_classes: mpmath.log(mpmath.binomial(k + num_classes - 2, k)),
    where={"k": [1, 2, 50, 10**4], "num_classes": [3, 50, 10**6]},
)
agrees("theory.categorical.fixation_probability", p, where={"p": (0.0, 1.0)})
agrees("theory.categorical.absorption_time_limit", mean_time, where={"n": range(1, 10**6), "p": (0.0, 1.0)})
