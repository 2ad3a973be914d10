# %% [markdown]
# # Rare classes die out like a critical branching process
#
# A class of probability $p$ has $n p$ expected points in generation 1; the model is refitted to the frequencies, and a
# class without a point is lost. Let $q_0 = 0$, $q_{t+1} = e^{q_t - 1}$ and $s_t = 1 - q_t$.

# %%
import flint
import mpmath
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero

from tce_theory.theory import categorical

t = sp.Symbol("t", nonnegative=True, integer=True)
n, p, x = sp.symbols("n p x", nonnegative=True)
q, s = sp.Function("q"), sp.Function("s")

# %% [markdown]
# ## The branching process
#
# In a Galton–Watson process with Poisson(1) offspring, condition on the first generation: with $k$ children the line is
# extinct by generation $t + 1$ if each of the $k$ independent lines is extinct $t$ generations later. So its
# probability of extinction follows $q_{t+1} = \sum_k \frac{e^{-1}}{k!} q_t^k$ from $q_0 = 0$ (the first individual is
# there).

# %%
k = sp.Symbol("k", nonnegative=True, integer=True)
value = sp.Symbol("q", positive=True)
offspring = sp.exp(-1) / sp.factorial(k)
generating = sp.summation(offspring * value**k, (k, 0, sp.oo))
equal(generating, sp.exp(value - 1), "the generating function of the offspring")
states("tail-extinction", "extinction-step", sp.Eq(q(t + 1), generating.subs(value, q(t))))

# %%
survival_step = (1 - generating).subs(value, 1 - s(t))
states("tail-extinction", "survival-step", sp.Eq(s(t + 1), survival_step))

# %% [markdown]
# ## Poisson sampling: exact
#
# Claim: started from the probability $x$, the class is extinct by generation $t$ with probability $G_t(x) = q_t^{nx}$
# (for $t = 0$ this is 1 if $x = 0$ and 0 otherwise). If it holds for $t$, then after one more generation at the front,
# which gives a Poisson number $N$ with mean $nx$ and the frequency $N/n$,
# $$G_{t+1}(x) = \mathbb{E}\, q_t^{N} = e^{nx(q_t - 1)} = q_{t+1}^{nx} .$$

# %%
poisson = sp.exp(-n * x) * (n * x) ** k / sp.factorial(k)
after_one = sp.exp(-n * x) * sp.exp(n * x * value)  # the exponential series of (n x q)^k / k!
equal(
    sp.exp(-n * x) * sp.summation((n * x * value) ** k / sp.factorial(k), (k, 0, sp.oo)),
    after_one,
    "the generating function of N",
)
zero(poisson * value**k - sp.exp(-n * x) * (n * x * value) ** k / sp.factorial(k), "term by term")
zero(sp.log(after_one) - n * x * sp.log(generating), "E q^N = (e^(q−1))^(n x): the induction step")

# %%
survival = 1 - q(t) ** (n * p)
states("tail-extinction", "poisson", sp.Eq(sp.Function("S")(t, n, p), survival))

# %% [markdown]
# ## Multinomial sampling: a lower bound
#
# Now $N$ is binomial with $n$ draws and probability $x$, and the claim is $G_t(x) \le q_t^{nx}$. It holds with equality
# at $t = 0$. If it holds for $t$, then
# $$G_{t+1}(x) = \mathbb{E}\, G_t(N/n) \le \mathbb{E}\, q_t^N
# = (1 - x(1 - q_t))^n \le e^{-nx(1 - q_t)} = q_{t+1}^{nx} .$$
# The first inequality is the induction hypothesis at each value of $N$; the second one is $1 - y \le e^{-y}$ for
# $y = x(1 - q_t)$ in $[0, 1]$: the difference $e^{-y} - 1 + y$ vanishes at 0, as does its derivative, and its second
# derivative is positive.

# %%
size = sp.Symbol("n", positive=True, integer=True)
y = sp.Symbol("y", nonnegative=True)
draw = x * value + (1 - x)  # one draw is in the class, or not
equal(draw, 1 - x * (1 - value), "the generating function of one draw")
gap = sp.exp(-y) - 1 + y
equal(gap.subs(y, 0), 0, "the gap vanishes at 0")
equal(sp.diff(gap, y).subs(y, 0), 0, "and so does its slope")
holds(sp.diff(gap, y, 2) > 0, "its second derivative is positive, so that the gap is nonnegative for y ≥ 0")
zero(-size * x * (1 - value) - size * x * sp.log(generating), "the exponent of the bound is n x log q_{t+1}")
states("tail-extinction", "multinomial", sp.Ge(sp.Function("S")(t, n, p), survival))

# %% [markdown]
# The bound is sharp for rare classes: with $n x = c$ fixed and $n \to \infty$ the law of $N$ tends to the Poisson one.

# %%
c = sp.Symbol("c", positive=True)
equal(
    sp.limit((1 - c * (1 - value) / size) ** size, size, sp.oo), sp.exp(-c * (1 - value)), "the limit of rare classes"
)

# %% [markdown]
# ## Surviving types
#
# The expected number of classes that survive is the sum of their probabilities to survive, whether these are
# independent or not.

# %%
i, classes = sp.symbols("i K", positive=True, integer=True)
probs = sp.Function("probs")
number = sp.Symbol("n", nonnegative=True, integer=True)
term = survival.subs({n: number, p: probs(i)})
states("tail-extinction", "surviving-types", sp.Eq(sp.Function("N")(t), sp.Sum(term, (i, 1, classes))))

# %% [markdown]
# **The example**, Zipf(1) with $K = 10^5$ and $n = 10^7$, in ball arithmetic: every rounding is enclosed.


# %%
def survival_ball(generations: int) -> flint.arb:
    result = flint.arb(1)
    for _ in range(generations):
        result = -(-result).expm1()
    return result


def zipf_types(generations: int, size: int = 10**5, points: int = 10**7) -> flint.arb:
    log_q = (-survival_ball(generations)).log1p()
    harmonic = sum((flint.arb(1) / j for j in range(1, size + 1)), flint.arb(0))
    return sum((-((log_q * points / (j * harmonic)).expm1()) for j in range(1, size + 1)), flint.arb(0))


flint.ctx.prec = 100
for generations, digits in ((10, "91893.235190"), (100, "37562.689962")):
    enclosure = zipf_types(generations)
    print(f"t = {generations}: {enclosure.str(15)}")
    holds(
        bool(abs(enclosure - flint.arb(digits)) < flint.arb("0.5e-6")), f"{digits} to six decimals, by ball arithmetic"
    )

# %% [markdown]
# ## Asymptotics
#
# Let $u_t = 2/s_t$, so $u_0 = 2$. The step $s' = 1 - e^{-s}$ becomes
# $$u' = u\,F(2/u), \qquad F(x) = \frac{x}{1 - e^{-x}} = \frac{x}{2} + \frac{x}{2} \coth \frac{x}{2} .$$
# The expansion of the hyperbolic cotangent in partial fractions (Euler) is
# $\frac{x}{2} \coth \frac{x}{2} = 1 + \sum_{k \ge 1} \frac{2x^2}{x^2 + 4\pi^2 k^2}$. Splitting
# $\frac{2 x^2}{x^2 + 4 \pi^2 k^2} = \frac{x^2}{2\pi^2k^2} - \frac{2 x^4}{4\pi^2k^2\,(x^2 + 4\pi^2k^2)}$ and summing,
# $$F(x) = 1 + \frac{x}{2} + \frac{x^2}{12} - r(x), \qquad
# 0 \le r(x) \le \sum_k \frac{2 x^4}{16 \pi^4 k^4} = \frac{x^4}{720} .$$

# %%
w, m = sp.Symbol("x", positive=True), sp.Symbol("k", positive=True, integer=True)
equal((w / (1 - sp.exp(-w))).rewrite(sp.exp), (w / 2 + w / 2 * sp.coth(w / 2)).rewrite(sp.exp), "F in terms of coth")
whole = 2 * w**2 / (w**2 + 4 * sp.pi**2 * m**2)
quadratic = w**2 / (2 * sp.pi**2 * m**2)
rest = 2 * w**4 / (4 * sp.pi**2 * m**2 * (w**2 + 4 * sp.pi**2 * m**2))
zero(sp.together(whole - quadratic + rest), "each partial fraction is split")
equal(sp.summation(quadratic, (m, 1, sp.oo)), w**2 / 12, "the quadratic terms add up to x²/12")
bound = 2 * w**4 / (16 * sp.pi**4 * m**4)
holds(sp.factor(sp.together(bound / rest - 1)) > 0, "each remainder is below the bound")
holds(rest > 0, "and positive")
equal(sp.summation(bound, (m, 1, sp.oo)), w**4 / 720, "the bounds add up to x⁴/720")

# %% [markdown]
# In $u$, with $x = 2/u$: $u' = u + 1 + \frac{1}{3u} - \rho$ with $0 \le \rho \le \frac{1}{45 u^3}$. As
# $\frac{1}{3u} > \frac{1}{45u^3}$ for $u \ge 2$, each step is above 1, so $u_t \ge t + 2$ by induction; and as
# $\frac{1}{3u} \le \frac{1}{6}$ it is at most $7/6$.

# %%
u, rho = sp.Symbol("u", positive=True), sp.Symbol("rho", nonnegative=True)
expansion = sp.expand(u * (1 + w / 2 + w**2 / 12).subs(w, 2 / u))
equal(expansion, u + 1 + 1 / (3 * u), "the step without its remainder")
remainder = sp.simplify(u * (2 / u) ** 4 / 720)
equal(remainder, 1 / (45 * u**3), "the bound on the remainder")
d = sp.Symbol("d", nonnegative=True)  # u = 2 + d
holds(sp.together((1 / (3 * u) - remainder).subs(u, 2 + d)) > 0, "1/(3u) exceeds the remainder for u ≥ 2")
holds(sp.together((sp.Rational(1, 6) - 1 / (3 * u)).subs(u, 2 + d)) >= 0, "1/(3u) ≤ 1/6 for u ≥ 2")

# %% [markdown]
# Now let $\varphi(u) = u - \frac{1}{3} \log u$ and $e = \varphi(u') - \varphi(u) - 1$. With
# $\delta = u'/u - 1 = (1 + \frac{1}{3u} - \rho)/u$,
# $$e = \frac{1}{3u} - \rho - \frac{1}{3} \log(1 + \delta), \qquad \frac{1}{u} \le \delta \le \frac{7}{6u} .$$
#
# - From $\log(1 + \delta) \le \delta$: $e \ge \frac{1}{3u} - \rho - \frac{\delta}{3}$, which equals
#   $-\frac{1}{9u^2} - \rho\,(1 - \frac{1}{3u})$ and is at least $-\frac{1}{9u^2} - \frac{1}{45u^3}$. This is above
#   $-\frac{1}{4u^2}$ for $u \ge 2$.
# - From $\log(1 + \delta) \ge \delta - \delta^2/2$, $\delta \ge 1/u$ and $\rho \ge 0$:
#   $e \le \frac{1}{3u} - \frac{1}{3u} + \frac{\delta^2}{6} \le \frac{49}{216 u^2} < \frac{1}{4u^2}$.
#
# So $|e| \le \frac{1}{4u^2}$. Both bounds on the logarithm hold for $\delta \ge 0$: the differences vanish at 0 and
# increase.

# %%
delta = sp.Symbol("delta", nonnegative=True)
upper, lower = delta - sp.log(1 + delta), sp.log(1 + delta) - delta + delta**2 / 2
for difference, name in ((upper, "log(1 + δ) ≤ δ"), (lower, "log(1 + δ) ≥ δ − δ²/2")):
    equal(difference.subs(delta, 0), 0, f"{name} holds at 0")
    holds(sp.factor(sp.together(sp.diff(difference, delta))) >= 0, f"{name}: the difference does not decrease")
ratio = (1 + 1 / (3 * u) - rho) / u
equal(
    1 / (3 * u) - rho - ratio / 3,
    -1 / (9 * u**2) - rho * (1 - 1 / (3 * u)),
    "the lower bound on e, before ρ is bounded",
)
holds(
    sp.together((1 / (4 * u**2) - 1 / (9 * u**2) - remainder).subs(u, 2 + d)) > 0, "the lower bound is above −1/(4u²)"
)
equal((sp.Rational(7, 6) / u) ** 2 / 6, sp.Rational(49, 216) / u**2, "the upper bound on e")
holds(sp.Rational(49, 216) < sp.Rational(1, 4), "and it is below 1/(4u²)")

# %% [markdown]
# Since $u_j \ge j + 2$, the sum of $e_j$ converges absolutely, and
# $\varphi(u_t) - t = \varphi(2) + \sum_{j < t} e_j \to C$. From $t + 2 \le u_t$ and
# $u_t = t + C + \frac{1}{3} \log u_t + o(1)$ follows $u_t/t \to 1$, so $\log u_t$ may be replaced by $\log t$:
# $2/s_t = t + \frac{1}{3} \log t + C + o(1)$. The tail of the sum is bounded by
# $$\sum_{j \ge T} \frac{1}{4 u_j^2} \le \frac{1}{4} \sum_{j \ge T} \frac{1}{(j + 2)(j + 1)} = \frac{1}{4 (T + 1)} .$$

# %%
j, T = sp.symbols("j T", positive=True, integer=True)
telescope = 1 / (j + 1) - 1 / (j + 2)
zero(sp.together(1 / ((j + 2) * (j + 1)) - telescope), "the bound telescopes")
holds(sp.together(1 / ((j + 2) * (j + 1)) - 1 / (j + 2) ** 2) > 0, "and it is a bound")
equal(sp.limit(1 / (T + 1) - 1 / (j + 2), j, sp.oo), 1 / (T + 1), "its sum from T on")
positive_t = sp.Symbol("t", positive=True, integer=True)
limit = sp.Limit(2 / s(positive_t) - positive_t - sp.log(positive_t) / 3, positive_t, sp.oo)
states("tail-extinction", "asymptotics", sp.Eq(limit, sp.Symbol("C")))

# %% [markdown]
# **The constant**, enclosed: at $T = 10^5$ in ball arithmetic, $\varphi(u_T) - T$ widened by $\frac{1}{4(T + 1)}$.

# %%
horizon = 10**5
at_horizon = 2 / survival_ball(horizon)
tail = flint.arb(0, 1) / (4 * (horizon + 1))
constant = at_horizon - at_horizon.log() / 3 - horizon + tail
print(f"C is in {constant.str(12)}")
holds(bool(constant > flint.arb("1.79824")) and bool(constant < flint.arb("1.79826")), "1.79824 < C < 1.79826")

# %% [markdown]
# **More digits.** The error $e$ can be pushed to any order: there are coefficients $a_1, a_2, \ldots$ for which
# $\varphi(u) = u - \frac{1}{3} \log u + \sum_k a_k u^{-k}$ increases by 1 in a generation, as a formal series in
# $\varepsilon = 1/u$. (The remainder of this series is not bounded here; the library uses it, and its digits beyond the
# enclosure are numerical.)

# %%
order = 8
eps = sp.Symbol("epsilon")
step = sp.series(w / (1 - sp.exp(-w)), w, 0, order + 2).removeO().subs(w, 2 * eps)  # u'/u
unknown = sp.symbols(f"a1:{order}")
change = sp.expand((step - 1) / eps) - 1 - sp.series(sp.log(step), eps, 0, order + 1).removeO() / 3
for power, a in enumerate(unknown, start=1):
    change += a * eps**power * (sp.series(step ** (-power), eps, 0, order + 1 - power).removeO() - 1)
change = sp.expand(change)
equal(change.coeff(eps, 0), 0, "no term of order 0 is left")
equal(change.coeff(eps, 1), 0, "nor one of order 1")
coefficients = {}
for power in range(2, order + 1):
    [found] = sp.solve(change.coeff(eps, power).subs(coefficients), unknown[power - 2])
    coefficients[unknown[power - 2]] = found
sp.Tuple(*coefficients.values())

# %%
holds(
    all(
        abs(float(a) - ours) < 1e-18
        for a, ours in zip(coefficients.values(), categorical._ABEL, strict=True)  # exact fractions, rounded once
    ),
    "these are the coefficients in the library",
)
with mpmath.workdps(40):
    late = mpmath.mpf(1)
    for _ in range(300):
        late = -mpmath.expm1(-late)
    late = 2 / late
    series = sum(mpmath.mpf(a.p) / a.q / late**power for power, a in enumerate(coefficients.values(), start=1))
    digits = sp.Float(late - mpmath.log(late) / 3 - 300 + series, 30)
agrees_at("theory.categorical.survival_constant", {}, digits)
holds(bool(abs(flint.arb(str(digits)) - constant) < flint.arb("1e-5")), "within the enclosure (numerical)")

# %% [markdown]
# ## The functions of the library


# %%
def survival_at(t):
    result = mpmath.mpf(1)
    for _ in range(int(t)):
        result = -mpmath.expm1(-result)
    return result


def class_survival(t, n, p):
    return 1 - (1 - survival_at(t)) ** (n * p)


agrees("theory.categorical.survival_probability", survival_at, where={"t": range(400)})
agrees("theory.categorical.extinction_probability", lambda t: 1 - survival_at(t), where={"t": range(1, 400)})
agrees(
    "theory.categorical.class_survival_probability",
    class_survival,
    where={"t": range(1, 200), "n": [1, 100, 10**9], "p": (1e-9, 1.0)},
)
given = [0.5, 0.25, 0.125, 0.0625, 0.0625]
agrees(
    "theory.categorical.expected_surviving_types",
    lambda t, n: sum(class_survival(t, n, each) for each in given),
    where={"t": range(200), "n": [1, 10, 10**6]},
    fixed={"probs": given},
)
