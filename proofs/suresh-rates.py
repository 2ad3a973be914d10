# %% [markdown]
# # How fast Poisson and Bernoulli models degenerate
#
# A model whose mean has become 0 stays there. Let $N_k$ be the sum of the $n$ points that generation $k$ is fitted to:
# $N_k = n\lambda_k$ or $N_k = n p_k$, and $N_0 = n\lambda_0$ or $n p$ at the start, which need not be an integer. The
# model of generation $k$ is degenerate if $N_k = 0$.

# %%
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

k, n = (sp.Symbol(name, integer=True, positive=True) for name in ("k", "n"))
rate, p = sp.symbols("rate p", nonnegative=True)
g = sp.Function("g", positive=True)

# %% [markdown]
# ## Poisson
#
# A sum of $n$ independent Poisson$(\lambda)$ variables is Poisson$(n\lambda)$: given $N_{k-1}$, $N_k$ is
# Poisson$(N_{k-1})$. For $u \ge 0$
# $$\mathbb{E}\left(e^{-uN_k} \mid N_{k-1}\right) = e^{-N_{k-1}(1 - e^{-u})}, \qquad
# \Pr(N_k = 0 \mid N_{k-1}) = e^{-N_{k-1}} .$$

# %%
u, x = sp.symbols("u x", positive=True)
count = sp.Symbol("i", integer=True, nonnegative=True)
series = sp.summation(x**count / sp.factorial(count), (count, 0, sp.oo))  # with x = N e^(-u)
previous = sp.Symbol("N", positive=True)
transform = sp.exp(-previous) * series.subs(x, previous * sp.exp(-u))
equal(transform, sp.exp(-previous * (1 - sp.exp(-u))), "the transform of a Poisson law of mean N")

# %% [markdown]
# Claim: $\Pr(N_k = 0 \mid N_{k-j}) = e^{-g_j N_{k-j}}$ for $j = 1, \ldots, k$. For $j = 1$ this is the last formula,
# with $g_1 = 1$. If it holds for $j$, then, conditioning on one generation before,
# $$\Pr(N_k = 0 \mid N_{k-j-1}) = \mathbb{E}\left(e^{-g_j N_{k-j}} \mid N_{k-j-1}\right) =
# e^{-N_{k-j-1}(1 - e^{-g_j})} = e^{-g_{j+1} N_{k-j-1}} .$$
# For $j = k$ it is $\Pr(N_k = 0) = e^{-n\lambda_0 g_k}$.

# %%
one_back = -sp.expand_log(sp.log(transform.subs(u, g(k))), force=True) / previous  # of exp(-N g)
states("suresh-rates", "recursion", sp.Eq(g(k + 1), sp.simplify(one_back)))

# %%
poisson = 1 - sp.exp(-n * rate * g(k))
states("suresh-rates", "poisson", sp.Eq(sp.Function("survival")(k), poisson))

# %% [markdown]
# ## Bernoulli
#
# Given $p_{k-1}$, $N_k$ is binomial: $\mathbb{E}(e^{-uN_k} \mid p_{k-1}) = (1 - p_{k-1}(1 - e^{-u}))^n$. Since
# $1 - y \le e^{-y}$, this is at most $e^{-np_{k-1}(1 - e^{-u})} = e^{-N_{k-1}(1 - e^{-u})}$, the transform of the
# Poisson case; likewise $\Pr(N_k = 0 \mid p_{k-1}) = (1 - p_{k-1})^n \le e^{-N_{k-1}}$. The induction above goes
# through with $\le$ in place of $=$: $\Pr(N_k = 0) \le e^{-np g_k}$.
#
# $e^{-y} - 1 + y$ vanishes at 0 and has the slope $1 - e^{-y}$, of the sign of $y$.

# %%
share = sp.Symbol("share", positive=True)
binomial = sp.Add(1 - share, share * sp.exp(-u))  # one point: 0 with probability 1 - share, else 1
equal(binomial, 1 - share * (1 - sp.exp(-u)), "the transform of one point, the n-th power of which is that of N_k")
y = sp.Symbol("y", real=True)
zero((sp.exp(-y) - 1 + y).subs(y, 0), "no difference at 0")
equal(sp.diff(sp.exp(-y) - 1 + y, y), 1 - sp.exp(-y), "the slope")
bernoulli = 1 - sp.exp(-n * p * g(k))
states("suresh-rates", "bernoulli", sp.Ge(sp.Function("survival")(k), bernoulli))

# %% [markdown]
# ## The rate
#
# With $y = g/2 > 0$, $\frac{1}{1 - e^{-g}} = \frac{1}{2} + \frac{1}{2}\coth y$. We show
# $1 \le y\coth y \le 1 + y^2/3$ for $y > 0$, which says
# $$\frac{1}{g} + \frac{1}{2} \le \frac{1}{1 - e^{-g}} \le \frac{1}{g} + \frac{1}{2} + \frac{g}{12} .$$
# The two differences below vanish at 0 and have nonnegative slopes: $A(y) = y\cosh y - \sinh y$ has
# $A' = y\sinh y \ge 0$, and $B(y) = (1 + y^2/3)\sinh y - y\cosh y$ has $B' = \frac{y}{3}\,A(y) \ge 0$.

# %%
y, rate_now = sp.symbols("y g", positive=True)
equal(1 / (1 - sp.exp(-2 * y)), sp.Rational(1, 2) + sp.coth(y).rewrite(sp.exp) / 2, "with coth")
lower = y * sp.cosh(y) - sp.sinh(y)
upper = (1 + y**2 / 3) * sp.sinh(y) - y * sp.cosh(y)
zero(lower.subs(y, 0), "A(0) = 0")
zero(upper.subs(y, 0), "B(0) = 0")
equal(sp.diff(lower, y), y * sp.sinh(y), "A'")
equal(sp.diff(upper, y), y / 3 * lower, "B'")
holds(y * sp.sinh(y) > 0, "A increases")
equal((sp.coth(y) - 1 / y) * y * sp.sinh(y), lower, "A >= 0 is the lower bound")
equal((1 / y + y / 3 - sp.coth(y)) * y * sp.sinh(y), upper, "B >= 0 is the upper bound")
equal(
    sp.Rational(1, 2) + (1 / y + y / 3).subs(y, rate_now / 2) / 2,
    1 / rate_now + sp.Rational(1, 2) + rate_now / 12,
    "in terms of g",
)

# %% [markdown]
# **From above.** $1/g_{k+1} \ge 1/g_k + \frac{1}{2}$ and $1/g_1 = 1$, so by induction $1/g_k \ge (k + 1)/2$: $g_k \le
# 2/(k+1)$, and $g_k \to 0$. It decreases because $1 - e^{-g} < g$.

# %%
equal((k + 1) / 2 + sp.Rational(1, 2), ((k + 1) / 2).subs(k, k + 1), "the step of the induction")
equal(((k + 1) / 2).subs(k, 1), 1, "its start")
states("suresh-rates", "above", sp.Le(g(k), 2 / (k + 1)))

# %% [markdown]
# **From below.** With what has just been shown, and with $\frac{1}{k+1} \le -\log\left(1 - \frac{1}{k+1}\right) =
# \log(k+1) - \log k$, which is $1 - y \le e^{-y}$ at $y = \frac{1}{k+1}$,
# $$\frac{1}{g_{k+1}} \le \frac{1}{g_k} + \frac{1}{2} + \frac{g_k}{12} \le \frac{1}{g_k} + \frac{1}{2} +
# \frac{1}{6(k+1)} \le \frac{1}{g_k} + \frac{1}{2} + \frac{\log(k+1) - \log k}{6} .$$
# By induction $1/g_k \le \frac{k+1}{2} + \frac{\log k}{6}$.

# %%
equal((2 / (k + 1)) / 12, 1 / (6 * (k + 1)), "the bound from above put in")
zero(sp.log(1 - 1 / (k + 1)).simplify() - sp.log(k / (k + 1)), "the logarithm: log k - log(k + 1)")
inverse = (k + 1) / 2 + sp.log(k) / 6
equal(inverse.subs(k, 1), 1, "the start of the induction")
equal(inverse + sp.Rational(1, 2) + (sp.log(k + 1) - sp.log(k)) / 6, inverse.subs(k, k + 1), "its step")
equal(1 / inverse, 2 / (k + 1 + sp.log(k) / 3), "the bound")
states("suresh-rates", "below", sp.Ge(g(k), 2 / (k + 1 + sp.log(k) / 3)))

# %% [markdown]
# ## The functions of the library
#
# The reference runs the recursion to 40 digits.


# %%
def suresh_rate(k):
    """g_k by its recursion."""
    value = mpmath.mpf(1)
    for _ in range(int(k) - 1):
        value = -mpmath.expm1(-value)
    return value


agrees("theory.literature.suresh_rate", suresh_rate, where={"k": range(1, 300)})
agrees(
    "theory.literature.poisson_survival",
    lambda k, n, rate: -mpmath.expm1(-n * rate * suresh_rate(k)),
    where={"k": range(1, 300), "n": range(1, 50), "rate": (0.01, 3.0)},
)
agrees(
    "theory.literature.bernoulli_survival_bound",
    lambda k, n, p: -mpmath.expm1(-n * p * suresh_rate(k)),
    where={"k": range(1, 300), "n": range(1, 50), "p": (0.01, 1.0)},
)
