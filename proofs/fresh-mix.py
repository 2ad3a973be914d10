# %% [markdown]
# # A share of fresh data in every generation stops the drift at a finite distance
#
# Each of the $n$ points of generation $t + 1$ is drawn from generation 0 with probability $\alpha$ (the `fraction` of
# the library), else from generation $t$: they are independent draws from the mixture of both. Cross entropy is fitted
# to them.

# %%
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero

n = sp.Symbol("n", positive=True, integer=True)
t = sp.Symbol("t", nonnegative=True, integer=True)
alpha = sp.Symbol("fraction", positive=True)
initial = sp.Symbol("heterozygosity0", nonnegative=True)

# %% [markdown]
# ## Categorical: one generation
#
# The mixture is $m_i = (1 - \alpha) p_i + \alpha p_{0i}$. Given the model $p$, one frequency has
# $\mathbb{E} p_i' = m_i$ and $\mathbb{E} p_i'^2 = (1 - 1/n)\, m_i^2 + m_i/n$ (`wright-fisher`). With $S = \sum p_i^2$,
# $X = \sum p_i p_{0i}$, $S_0 = \sum p_{0i}^2$, the sum of $m_i^2$ is that of three products, for any number of classes.

# %%
p, p0, S, X, S0 = sp.symbols("p p_0 S X S_0", positive=True)
mixture = (1 - alpha) * p + alpha * p0
square = sp.Poly(mixture**2, p, p0)
holds(set(square.monoms()) == {(2, 0), (1, 1), (0, 2)}, "m² is a combination of p², p p_0 and p_0²")
sum_of_squares = square.coeff_monomial(p**2) * S + square.coeff_monomial(p * p0) * X + square.coeff_monomial(p0**2) * S0
next_sum = (1 - 1 / n) * sum_of_squares + 1 / n  # the m_i sum to 1
sp.Eq(sp.Symbol("S'"), next_sum)

# %% [markdown]
# Take the mean over $p$. By induction $\mathbb{E} p_t = p_0$: it holds for $t = 0$, and
# $\mathbb{E} p_{t+1} = (1 - \alpha)\, \mathbb{E} p_t + \alpha p_0$. So $\mathbb{E} X = S_0$. With
# $H = 1 - \mathbb{E} S$ and $H_0 = 1 - S_0$ the recursion is linear in $H$.

# %%
equal(mixture.subs(p, p0), p0, "the mean stays at p_0")
H = sp.Symbol("H", nonnegative=True)
step = 1 - next_sum.subs({X: S0}).subs({S: 1 - H, S0: 1 - initial})
retained = (1 - 1 / n) * (1 - alpha) ** 2
gained = (1 - 1 / n) * alpha * (2 - alpha) * initial
equal(step, retained * H + gained, "H' = (1 − 1/n) [(1 − α)² H + α(2 − α) H_0]")

# %% [markdown]
# ## Categorical: all generations
#
# The fixed point is $H_0 \theta/(1 + \theta)$ with $\theta = (n - 1) \alpha (2 - \alpha)$. The distance from it is
# multiplied by $\lambda = (1 - 1/n)(1 - \alpha)^2$ a generation, from
# $H_0 - H_0 \theta/(1 + \theta) = H_0/(1 + \theta)$.

# %%
theta = (n - 1) * alpha * (2 - alpha)
fixed = initial * theta / (1 + theta)
zero(sp.factor(step.subs(H, fixed) - fixed), "the fixed point")
equal(sp.diff(step, H), retained, "the distance from it shrinks by λ")
transient = initial * (theta + retained**t) / (1 + theta)
zero(sp.factor(transient.subs(t, 0) - initial), "it starts at H_0")
zero(sp.simplify(step.subs(H, transient) - transient.subs(t, t + 1)), "and follows the recursion")
states("fresh-mix", "theta", sp.Eq(sp.Symbol("theta"), theta))
states("fresh-mix", "transient", sp.Eq(sp.Function("H")(t), transient))

# %% [markdown]
# $0 \le \lambda \le 1 - 1/n < 1$ for every $\alpha$ in $[0, 1]$, so $\lambda^t \to 0$.

# %%
share = sp.Symbol("b", nonnegative=True)  # α = b/(1 + b) runs over [0, 1)
holds(sp.factor(1 - ((1 - alpha) ** 2).subs(alpha, share / (1 + share))) >= 0, "(1 − α)² ≤ 1")
holds(1 - 1 / n < 1, "1 − 1/n < 1")
power = sp.Symbol("Lambda")
limit = transient.subs(retained**t, power).subs(power, 0)
states("fresh-mix", "limit", sp.Eq(sp.Function("H")(sp.oo), limit))

# %%
example = limit.subs({n: 100, alpha: sp.Rational(1, 100), initial: sp.Rational(42, 100)})
holds(abs(example - sp.Rational("0.2785906198")) < sp.Rational(1, 2) / 10**10, f"n = 100, α = .01, p_0 = .3: {example}")

# %% [markdown]
# ## Two classes: variance and law
#
# With $\alpha > 0$ (and $0 < p_0 < 1$) every count has a positive probability from every state, so the chain has one
# stationary law, and the moments converge to its moments. Its mean is $p_0$, and
# $H = \mathbb{E}[2x(1 - x)] = 2\,[p_0 - p_0^2 - \mathrm{Var}\, x]$ gives the variance.

# %%
prob0, variance = sp.symbols("prob0 V", positive=True)
[found] = sp.solve(sp.Eq(2 * (prob0 - (variance + prob0**2)), limit.subs(initial, 2 * prob0 * (1 - prob0))), variance)
states("fresh-mix", "beta-variance", sp.Eq(sp.Function("Var")(sp.oo), sp.factor(found)))

# %% [markdown]
# Beta($a$, $b$) has the mean $\frac{a}{a + b}$ and the variance $\frac{ab}{(a + b)^2 (a + b + 1)}$: with $a = \theta
# p_0$, $b = \theta (1 - p_0)$ these are the same. (For $n = 1$, $\theta = 0$: there is no such Beta law; the model is
# $(1, 0)$ or $(0, 1)$, with the variance $p_0(1 - p_0)$.)

# %%
a, b = theta * prob0, theta * (1 - prob0)
zero(sp.simplify(a / (a + b) - prob0), "the mean of the Beta law")
zero(sp.simplify(a * b / ((a + b) ** 2 * (a + b + 1)) - found), "its variance")

# %% [markdown]
# **The law** (diffusion limit; convergence of the stationary laws is not derived here). Let $\alpha = c/n$ with $c$
# fixed. A generation moves $x$ by a step of mean $\alpha (p_0 - x)$ and variance $m(1 - m)/n$,
# $m = x + \alpha(p_0 - x)$; times $n$ these tend to $c\,(p_0 - x)$ and $x(1 - x)$. The stationary density $f$ of the
# diffusion has no flux, $c\,(p_0 - x) f - \frac{1}{2}\,[x (1 - x) f]' = 0$. The density of Beta($2cp_0$, $2c(1 - p_0)$)
# solves this; the equation is linear of first order, so up to its norm there is no other.

# %%
x, c, large = sp.symbols("x c n", positive=True)
mixed = x + c / large * (prob0 - x)
equal(sp.limit(large * (mixed - x), large, sp.oo), c * (prob0 - x), "the mean step")
equal(sp.limit(large * mixed * (1 - mixed) / large, large, sp.oo), x * (1 - x), "the variance of a step")
density = x ** (2 * c * prob0 - 1) * (1 - x) ** (2 * c * (1 - prob0) - 1)
flux = c * (prob0 - x) * density - sp.diff(x * (1 - x) * density, x) / 2
zero(sp.simplify(sp.expand(sp.simplify(flux / density))), "the Beta density has no flux")
equal(sp.limit((theta / (2 * n * alpha)).subs(alpha, c / large).subs(n, large), large, sp.oo), 1, "θ/(2nα) → 1")

# %% [markdown]
# ## Gaussian: one generation
#
# Let $d = \mu_t - \mu_0$, in units where $\sigma_0 = 1$. The mixture
# $(1 - \alpha) N(\mu_t, \sigma_t^2) + \alpha N(\mu_0, 1)$ has, around $\mu_0$, the mean $(1 - \alpha) d$ and the second
# moment $(1 - \alpha)(\sigma_t^2 + d^2) + \alpha$.

# %%
d, sigma_sq = sp.symbols("d v_t", real=True)
centre = (1 - alpha) * d
spread = (1 - alpha) * (sigma_sq + d**2) + alpha - centre**2
equal(spread, (1 - alpha) * sigma_sq + alpha + alpha * (1 - alpha) * d**2, "the variance of the mixture")

# %% [markdown]
# For $n$ independent draws of any law with mean $c$ and variance $v$ the sample mean has mean $c$ and variance $v/n$,
# and the sum of squares around it has the mean $n\, \mathbb{E} x^2 - n\, \mathbb{E} \bar x^2 = (n - 1) v$. Both are
# linear in $\sigma_t^2$ and $d^2$, so with $s = \mathbb{E} \sigma_t^2$ and $m = \mathbb{E} d^2$ the means follow a
# closed recursion.

# %%
mean, v = sp.symbols("c v", real=True)
equal(n * (v + mean**2) - n * (v / n + mean**2), (n - 1) * v, "the mean sum of squares")
s, m, ddof = sp.Function("s"), sp.Function("m"), sp.Symbol("ddof", nonnegative=True, integer=True)
v_t = (1 - alpha) * s(t) + alpha + alpha * (1 - alpha) * m(t)
zero(v_t - spread.expand().subs(d**2, m(t)).subs(sigma_sq, s(t)).expand(), "the mean variance of the mixture")
states("fresh-mix", "gaussian-variance", sp.Eq(s(t + 1), v_t * (n - 1) / (n - ddof)))
states("fresh-mix", "gaussian-shift", sp.Eq(m(t + 1), sp.expand(centre**2).subs(d**2, m(t)) + v_t / n))

# %% [markdown]
# ## Maximum likelihood
#
# With `ddof` 0 the sum $s + m$ stays at 1. Put $m = 1 - s$: the recursion of $s$ is that of the heterozygosity with
# $H_0 = 1$, and so is the start.

# %%
s_now, m_now = sp.symbols("s m", nonnegative=True)
v_now = v_t.subs({s(t): s_now, m(t): m_now})
next_s, next_m = v_now * (n - 1) / n, (1 - alpha) ** 2 * m_now + v_now / n
equal((next_s + next_m).subs(m_now, 1 - s_now), 1, "s + m stays at 1")
equal(next_s.subs(m_now, 1 - s_now), step.subs({H: s_now, initial: 1}), "s follows the heterozygosity")

# %% [markdown]
# With a known mean $d = 0$, and the variance is fitted by the mean square around that mean, which has the mean $v$. So
# $s' = (1 - \alpha) s + \alpha$ from $s = 1$: it stays there.

# %%
equal(v_now.subs({m_now: 0, s_now: 1}), 1, "known mean: s stays at 1")

# %% [markdown]
# ## The unbiased divisor
#
# With `ddof` 1, $s' = v$. Let $z = s - 1$; then $(z, m)' = A (z, m) + (0, 1/n)$ with a matrix $A$ of nonnegative
# entries, from $(0, 0)$. So both components never decrease. Let $\Delta = \det(I - A)$.

# %%
z = sp.Symbol("z", real=True)
system = sp.Matrix([v_now - 1, (1 - alpha) ** 2 * m_now + v_now / n]).subs(s_now, 1 + z)
A = system.jacobian([z, m_now])
forcing = sp.simplify(system.subs({z: 0, m_now: 0}))
equal(forcing[0], 0, "no forcing of z")
equal(forcing[1], 1 / n, "m is forced by 1/n")
inside = {alpha: share / (1 + share)}  # 0 ≤ α < 1
for entry in A:
    holds(sp.factor(entry.subs(inside)) >= 0, "an entry of A is nonnegative")
determinant = sp.factor((sp.eye(2) - A).det())
equal(determinant, alpha * (n * alpha * (2 - alpha) - (1 - alpha)) / n, "Δ = α [n α (2 − α) − (1 − α)]/n")

# %% [markdown]
# The eigenvalues are real, as the off-diagonal entries have a nonnegative product, and the smaller one is at most each
# diagonal entry, hence at most $1 - \alpha < 1$ for $\alpha > 0$.
#
# - If $\Delta > 0$, the product of $1 - \lambda_1$ and $1 - \lambda_2$ is positive, so both are below 1; and neither is
#   below $-1$, as for a nonnegative matrix the larger one is the larger in absolute value. The recursion converges to
#   its fixed point.
# - If $\Delta \le 0$ and $0 < \alpha < 1$, the larger eigenvalue is at least 1. Its left eigenvector has positive
#   components (Perron; the off-diagonal entries are positive), and its product with $(z, m)$ is multiplied by at least
#   1 and increased by a positive constant in each generation: it grows without bound. Since
#   $z' \ge \alpha(1 - \alpha) m$ and $m' \ge (1 - \alpha) z/n$, both components do.
# - If $\alpha = 0$, $z = 0$ and $m = t/n$.

# %%
gap = sp.expand((A[0, 0] - A[1, 1]) ** 2 + 4 * A[0, 1] * A[1, 0])
zero(sp.expand((A[0, 0] + A[1, 1]) ** 2 - 4 * A.det() - gap), "the discriminant is a square plus a nonnegative product")
for entry in (A[0, 1], A[1, 0]):
    holds(
        sp.factor(entry.subs(alpha, sp.Symbol("B", positive=True) / (1 + sp.Symbol("B", positive=True)))) > 0,
        "an off-diagonal entry is positive for 0 < α < 1",
    )
without = system.subs(alpha, 0)
equal(without[0].subs(z, 0), 0, "α = 0: z stays at 0")
equal(without[1].subs(z, 0), m_now + 1 / n, "α = 0: m gains 1/n a generation")

# %% [markdown]
# The bracket $n \alpha (2 - \alpha) - (1 - \alpha)$ increases with $\alpha$ on $[0, 1]$, from $-1$ to $n$: one root
# $\alpha_c$.

# %%
bracket = n * alpha * (2 - alpha) - (1 - alpha)
holds(sp.factor(sp.diff(bracket, alpha).subs(inside)) > 0, "the bracket increases")
equal(bracket.subs(alpha, 0), -1, "from −1")
equal(bracket.subs(alpha, 1), n, "to n")
root = (2 * n + 1 - sp.sqrt(4 * n**2 + 1)) / (2 * n)
zero(sp.expand(bracket.subs(alpha, root)), "the smaller root of the quadratic equation")
zero(sp.expand((2 * n + 1) ** 2 - (4 * n**2 + 1)) - 4 * n, "2n + 1 exceeds the square root: α_c > 0")
zero(sp.expand((4 * n**2 + 1) - 1**2) - 4 * n**2, "and the square root exceeds 1: α_c < 1")
states("fresh-mix", "critical-fraction", sp.Eq(sp.Symbol("alpha_c"), root))
tiny = sp.Symbol("epsilon", positive=True)
equal(sp.limit(2 / tiny * root.subs(n, 1 / tiny), tiny, 0), 1, "2 n α_c → 1")

# %%
[shift_limit] = sp.solve(sp.Eq(determinant * m_now, sp.simplify(alpha / n)), m_now)  # Cramer's rule for m
fixed_point = (sp.eye(2) - A).LUsolve(sp.Matrix([0, 1 / n]))
zero(sp.simplify(fixed_point[1] - shift_limit), "the fixed point of m")
zero(sp.simplify(fixed_point[0] - (1 - alpha) * shift_limit), "and of s − 1")
shift = 1 / bracket
zero(sp.simplify(shift - shift_limit), "m in the limit")
states("fresh-mix", "unbiased-shift", sp.Eq(m(sp.oo), shift))
states("fresh-mix", "unbiased-variance", sp.Eq(s(sp.oo), 1 + (1 - alpha) * shift))

# %% [markdown]
# **Counterexample**: fresh data alone do not keep the mean variance bounded. For $n = 2$, $\alpha = 1/10$,
# $\alpha_c = .219$: the larger eigenvalue is $27/25$. (It is the mean that grows; `gaussian-ce-law` shows for
# $\alpha = 0$ how far a typical replicate can be from it.)

# %%
case = A.subs({n: 2, alpha: sp.Rational(1, 10)})
holds(max(case.eigenvals()) == sp.Rational(27, 25), "the variance grows by 27/25 = 1.08 a generation in the end")
holds(root.subs(n, 2) > sp.Rational(1, 10), "α is below α_c")

# %% [markdown]
# ## The functions of the library

# %%
shares = (0.0, 1.0)
agrees("theory.regimes.fresh_mix_theta", theta, where={"n": [2, 10, 10**12], "fraction": shares})
agrees(
    "theory.regimes.fresh_mix_heterozygosity",
    limit,
    where={"n": [2, 10, 10**12], "fraction": shares, "heterozygosity0": (0.0, 1.0)},
)
agrees(
    "theory.regimes.fresh_mix_heterozygosity",
    transient,
    where={"n": [2, 10, 10**6], "fraction": shares, "heterozygosity0": (0.0, 1.0), "t": range(1000)},
)
agrees("theory.regimes.fresh_mix_critical_fraction", root, where={"n": [2, 3, 100, 10**6, 10**9]})
for part, parameter in (("a", a), ("b", b)):
    agrees(
        "theory.regimes.fresh_mix_beta", parameter, where={"n": [2, 99], "fraction": shares, "prob0": (0, 1)}, part=part
    )


# %%
def iterated(component, divisor):
    def value(n, fraction, t):
        s_value, m_value = mpmath.mpf(1), mpmath.mpf(0)
        for _ in range(int(t)):
            mixed = (1 - fraction) * s_value + fraction + fraction * (1 - fraction) * m_value
            s_value, m_value = mixed * (n - 1) / (n - divisor), (1 - fraction) ** 2 * m_value + mixed / n
        return (s_value, m_value)[component]

    return value


where = {"n": [2, 3, 100, 10**9], "fraction": shares, "t": range(1, 300)}
agrees(
    "theory.regimes.fresh_mix_gaussian_moments",
    sp.Integer(1),
    where=where,
    fixed={"fit_mean": False},
    part="variance",
)
for component, part in enumerate(("variance", "squared_shift")):
    for divisor in (0, 1):
        agrees(
            "theory.regimes.fresh_mix_gaussian_moments",
            iterated(component, divisor),
            where=where,
            fixed={"ddof": divisor},
            part=part,
        )
    expression = (1 + (1 - alpha) * shift, shift)[component]
    agrees(
        "theory.regimes.fresh_mix_gaussian_moments",
        expression,
        where={"n": [10, 100, 10**6], "fraction": (0.1, 1.0)},
        fixed={"ddof": 1},
        part=part,
    )
