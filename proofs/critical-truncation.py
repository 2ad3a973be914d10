# %% [markdown]
# # Truncation that balances the sampling noise masks about two samples
#
# Of $n$ points from $N(\mu_t, \sigma_t^2)$ those within $a\sigma_t$ of $\mu_t$ are masked; the next Gaussian is fitted
# to the rest by maximum likelihood. Work in units of $\sigma_t$ and around $\mu_t$: the points are standard normal, and
# a kept point $y$ is a standard normal $Z$ given $|Z| \ge a$. Write $p = \mathrm{Pr}(|Z| \ge a)$, $q = 1 - p$, $K$ for
# the number of kept points and $V = \sigma_{t+1}^2/\sigma_t^2$ for the factor. Two balances are of interest: of the
# mean, $\mathrm{E}V = 1$, and of the logarithm, $\mathrm{E}\log V = 0$. The second decides whether the scale survives
# (`scale-no-go`).

# %%
import math

import mpmath
import numpy as np
import sympy as sp
from checking import agrees, equal, holds, states, summed, zero
from flint import acb, arb, ctx

from tce_theory.theory import truncated

a, n, k, u, z = sp.symbols("a n k u z", positive=True)
density = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)
p = equal(2 * sp.integrate(density, (z, a, sp.oo)), sp.erfc(a / sp.sqrt(2)), "the probability of keeping a point").rhs
q = equal(1 - p, sp.erf(a / sp.sqrt(2)), "the probability of masking it").rhs

# %% [markdown]
# ## How many points are kept
#
# $K$ is binomial with parameters $n$ and $p$. The expected number of masked points is $nq$, and at least two points are
# kept unless none or one is, which has probability $q^n$ or $n p q^{n-1}$.

# %%
none, one = sp.binomial(n, 0) * q**n, sp.binomial(n, 1) * p * q ** (n - 1)
kept = equal(1 - sp.expand_func(none) - sp.expand_func(one), 1 - q**n - n * p * q ** (n - 1)).rhs
states("critical-truncation", "masked", sp.Eq(sp.Function("m")(a, n), n * q))
states("critical-truncation", "enough-kept", sp.Eq(sp.Function("P")(a, n), kept))

# %% [markdown]
# ## The mean of the factor
#
# A kept point has mean 0, by symmetry, and second moment $\eta = 1 + a h(a)$ (`tail-inflation`). Given $K = k$, with a
# fitted mean $V = \overline{y^2} - \bar y^2$, and $\bar y$ has mean 0 and variance $\eta/k$: of the $k^2$ products
# $y_i y_j$ in $(\sum y_i)^2$ the $k$ squares have mean $\eta$, and the others, of independent points, mean 0.

# %%
eta = sp.Symbol("eta", positive=True)
square_of_mean = (k * eta + k * (k - 1) * 0) / k**2
given_k = equal(eta - square_of_mean, eta * (1 - 1 / k), "the mean factor given k kept points").rhs

# %% [markdown]
# Averaged over $K$, given that it is at least 2, this is $\eta(a)\,(1 - \mathrm{E}[1/K \mid K \ge 2])$. With a known
# mean $V = \overline{y^2}$, and the mean factor is $\eta(a)$, which is 1 at $a = 0$ alone.

# %%
hazard = density.subs(z, a) / (p / 2)
j = sp.Symbol("k", integer=True)
inverse = sp.Sum(sp.binomial(n, j) * p**j * q ** (n - j) / j, (j, 2, n)) / kept
mean_factor = (1 + a * hazard) * (1 - inverse)
states("critical-truncation", "mean-factor", sp.Eq(sp.Function("f")(a, n), mean_factor))

# %% [markdown]
# ## Balance of the mean: existence for every $n \ge 2$
#
# Given $2 \le K \le n$, $1/n \le \mathrm{E}[1/K \mid K \ge 2] \le 1/2$. Where $\eta(a) < n/(n-1)$ the mean factor is
# therefore below 1; where $\eta(a) = 2$ it is at least 1. It is continuous in $a$ (a finite sum of continuous terms
# over a positive one), and $\eta$ grows continuously from 1 without bound (`tail-inflation`), so that it takes the
# value 1 at some $a$ with $n/(n-1) \le \eta(a) \le 2$. For $n = 2$ both ends are $\eta = 2$. There is no root beyond:
# for $\eta(a) > 2$ the factor is above 1. (That there is one root between is seen in numbers only.)

# %%
more, share = sp.symbols("m s", nonnegative=True)
size = 2 + more  # n ≥ 2
largest = (size / (size - 1)) * (1 - 1 / size)
equal(largest, 1, "at eta = n/(n-1), with E[1/K] replaced by its least value 1/n, the factor is 1")
smallest = 2 * (1 - (sp.Rational(1, 2) - share))
holds(smallest >= 1, "at eta = 2, with E[1/K] = 1/2 - s and s ≥ 0, the factor is at least 1")

# %% [markdown]
# ## The drift, from Laplace transforms
#
# For positive numbers $x_0$ and $x$, $\log x = \log x_0 + \int_0^\infty (e^{-ux_0} - e^{-ux})\,du/u$ (Frullani): both
# sides agree at $x = x_0$, and their derivatives in $x$ agree. For random $x_0 = S_0$, $x = S$ take means: for each
# pair of values the integrand has one sign and the integral is $\log(S/S_0)$, which is integrable, so that Fubini's
# theorem applies to independent $S_0$ and $S$. ($\mathrm{E}|\log S| < \infty$: upwards $\mathrm{E}S < \infty$,
# downwards $S \ge (y_1 - y_2)^2/2$ with a bounded density of $y_1 - y_2$, or $S \ge y_1^2$ with a known mean; see
# below.)

# %%
x = sp.Symbol("x", positive=True)
equal(
    sp.integrate(sp.diff(-sp.exp(-u * x) / u, x), (u, 0, sp.oo)),
    1 / x,
    "the derivative of the integral is that of log x",
)

# %% [markdown]
# Let $S$ be the sum of squares of $k$ kept points around their mean $\bar y$. From
# $\sum_i (y_i - m)^2 = S + k(m - \bar y)^2$ and a Gaussian integral,
# $$e^{-uS} = \sqrt{ku/\pi}\int_{-\infty}^{\infty} e^{-u\sum_i (y_i - m)^2}\,dm ,$$
# and the mean of the integrand is a $k$-th power, as the points are independent.

# %%
y, m, mean, squares = sp.symbols("y m ybar Q", real=True)  # Q is the sum of the squares of the points
around = summed((y - m) ** 2, {sp.Integer(1): k, y: k * mean, y**2: squares})
about_mean = summed((y - mean) ** 2, {sp.Integer(1): k, y: k * mean, y**2: squares})
zero(around - about_mean - k * (m - mean) ** 2, "sum of (y - m)^2 = S + k (m - ybar)^2")
zero(sp.sqrt(k * u / sp.pi) * sp.integrate(sp.exp(-u * k * m**2), (m, -sp.oo, sp.oo)) - 1, "the Gaussian integral")

# %% [markdown]
# In one factor complete the square. With $v = 1/(1 + 2u)$ and $M = (1 - v)m$,
# $$e^{-u(y-m)^2}\,\varphi(y) = \sqrt v\;e^{-M^2/(2(1-v))}\;\varphi_{M,v}(y),$$
# where $\varphi_{M,v}$ is the density of $N(M, v)$. Over $|y| \ge a$, divided by $p$:
# $\sqrt v\,e^{-M^2/(2(1-v))}\,R(v, M)$ with $R(v, M) = \mathrm{Pr}(|\sqrt v Z + M| \ge a)/p$.

# %%
v = 1 / (1 + 2 * u)
shift = (1 - v) * m
left = -u * (y - m) ** 2 - y**2 / 2
right = -(shift**2) / (2 * (1 - v)) - (y - shift) ** 2 / (2 * v)
zero(left - right, "the completed square")
zero(1 / sp.sqrt(2 * sp.pi) - sp.sqrt(v) / sp.sqrt(2 * sp.pi * v), "the constants")

# %% [markdown]
# The $k$-th power is $v^{k/2} e^{-kM^2/(2(1-v))} R^k$, and $dm = dM/(1 - v)$: the integral is a mean over
# $M \sim N(0, (1-v)/k)$, with the constant that follows.

# %%
normalisation = sp.sqrt(2 * sp.pi * (1 - v) / k) / (1 - v)  # of exp(-k M²/(2(1-v))) dm
equal(
    sp.sqrt(k * u / sp.pi) * v ** (k / 2) * normalisation / v ** ((k - 1) / 2),
    1,
    "E exp(-uS) = v^((k-1)/2) E R(v, M)^k",
)

# %% [markdown]
# For a known mean there is no $m$: the same square with $m = 0$ gives $v^{k/2} R(v, 0)^k$. Without truncation $R = 1$,
# and $S$ is $\chi^2$ with $k - 1$ or $k$ degrees of freedom, as it must be. The library evaluates these integrals; here
# is the one for one kept point and a known mean, $n = 1$, with $S_0$ standard exponential: $\mathrm{E}\log S_0 = -C$,
# Euler's constant.

# %%
one_factor = sp.lambdify((u, a), sp.sqrt(v) * sp.erfc(a / sp.sqrt(2 * v)) / sp.erfc(a / sp.sqrt(2)), "mpmath")


def drift_of_one(a):
    def integrand(t):
        return (1 / (1 + t) - one_factor(t, a)) / t

    return -mpmath.euler + mpmath.quad(integrand, [0, 0.1, 1, 10, 1000, mpmath.inf])


def variance_of_one(a):
    weight = [
        mpmath.quad(lambda t, i=i: (2 * mpmath.log(t)) ** i * mpmath.npdf(t), [a, a + 1, a + 20]) for i in range(3)
    ]
    return weight[2] / weight[0] - (weight[1] / weight[0]) ** 2


one_point = {"n": 1, "fit_mean": False}
agrees("theory.truncated.log_variance_drift", drift_of_one, where={"a": (0.6, 3.0)}, fixed=one_point, points=4)
agrees(
    "theory.truncated.log_variance_step_variance", variance_of_one, where={"a": (0.3, 2.0)}, fixed=one_point, points=4
)

# %% [markdown]
# And with a fitted mean, two points: $V = (y_1 - y_2)^2/4$. For $r > 0$ the density of $|y_1 - y_2|$ at $r$ is, up to a
# factor, $e^{-r^2/4}$ times $\mathrm{Pr}(Z \ge \sqrt2(a + r/2))$ for points on the same side and
# $\mathrm{Pr}(0 \le Z \le \sqrt2(r/2 - a))$ for points on opposite sides, $r \ge 2a$: with the smaller point, or the
# smaller distance, as the variable of integration both are Gaussian integrals.

# %%
r, y0 = sp.symbols("r y0", positive=True)
same_side = -(y0**2) / 2 - (y0 + r) ** 2 / 2  # exponents of the two densities
opposite_sides = -(y0**2) / 2 - (r - y0) ** 2 / 2
zero(same_side - (-(r**2) / 4 - (y0 + r / 2) ** 2), "same side: centred at -r/2, variance 1/2, from y0 = a")
zero(opposite_sides - (-(r**2) / 4 - (y0 - r / 2) ** 2), "opposite sides: centred at r/2, from y0 = a to r - a")


def drift_of_two(a):
    def weight(t):
        # same side: 2 sides, 2 orders, 1 tail; opposite sides: 2 orders, 2 halves of the interval
        opposite = mpmath.erf(t / 2 - a) / 2 if t > 2 * a else mpmath.mpf(0)
        return mpmath.exp(a**2 - t**2 / 4) * (mpmath.ncdf(-mpmath.sqrt(2) * (a + t / 2)) + opposite)

    pieces = [0, 0.5, 2 * a, 2 * a + 1, 2 * a + 4, 2 * a + 20]
    total = mpmath.quad(weight, pieces)
    return mpmath.quad(lambda t: 2 * mpmath.log(t / 2) * weight(t), pieces) / total


agrees("theory.truncated.log_variance_drift", drift_of_two, where={"a": (0.3, 2.0)}, fixed={"n": 2}, points=2)

# %% [markdown]
# ## Many kept points: the expansion in $1/k$
#
# Let $w = y^2/\eta - 1$ and $\zeta = y/\sqrt\eta$ for a kept point, $X = \bar w$ and $Y = \bar\zeta^2$, so that
# $V = \eta\,(1 + X - Y)$ (mean fitted) or $\eta\,(1 + X)$ (known). With $\kappa = \mathrm{E}w^2$ and
# $\tau = \mathrm{E}w^3$ and because $\zeta^2 = 1 + w$, all moments that matter follow. $X$ is of order $k^{-1/2}$ and
# $Y$ of order $k^{-1}$; up to $k^{-2}$ the Taylor polynomial of $\log(1 + X - Y)$ with $X^iY^j$, $i + 2j \le 4$, is
# needed, hence sums of moments of total degree at most 4 in $(w, \zeta)$. They come from the generating function of one
# point to the power $k$, $(1 + g)^k = \sum_r \binom{k}{r} g^r$, where $g$ has no constant term.

# %%
kappa, tau, fourth = sp.symbols("kappa tau omega", positive=True)
moments_of_w = [1, 0, kappa, tau, fourth]  # E w^i
s, t, order = sp.symbols("s t epsilon")


def moment_of_point(i, j):
    """E w^i ζ^j: 0 for odd j by symmetry, else E w^i (1 + w)^(j/2)."""
    if j % 2:
        return 0
    return sum(sp.binomial(j // 2, r) * moments_of_w[i + r] for r in range(j // 2 + 1))


pairs = [(i, j) for i in range(5) for j in range(5) if 1 <= i + j <= 4]
of_point = sum(
    moment_of_point(i, j) * (order * s) ** i * (order * t) ** j / (sp.factorial(i) * sp.factorial(j)) for i, j in pairs
)
power_of_point = sp.Integer(1)
generating = sp.Integer(1)
for r in range(1, 5):
    power_of_point = sum(sp.expand(power_of_point * of_point).coeff(order, e) * order**e for e in range(5))
    generating += sp.expand_func(sp.binomial(k, r)) * power_of_point
generating = sp.Poly(sp.expand(generating.subs(order, 1)), s, t)


def mean_of_product(i, j):
    """E X^i Y^j, exactly."""
    coefficient = generating.coeff_monomial(s**i * t ** (2 * j)) * sp.factorial(i) * sp.factorial(2 * j)
    return sp.expand(coefficient / k ** (i + 2 * j))


equal(mean_of_product(1, 0), 0, "E X = 0")
equal(mean_of_product(0, 1), 1 / k, "E Y = 1/k")
equal(mean_of_product(1, 1), kappa / k**2, "E XY = kappa/k^2")
equal(mean_of_product(4, 0), (fourth + 3 * (k - 1) * kappa**2) / k**3, "E X^4")

# %% [markdown]
# Means of the Taylor polynomials of $\log(1 + X - Y)$ and its square, weight by weight ($X$ counts 1, $Y$ counts 2).

# %%
X, Y, e = sp.symbols("X Y e")


def mean_to_second_order(function, known_mean=False):
    """Mean of a function of e, e standing for X − Y, to order k^−2."""
    polynomial = sp.series(function, e, 0, 5).removeO()
    weighted = sp.expand(polynomial.subs(e, order * X - (0 if known_mean else order**2 * Y)))
    kept_terms = sp.Poly(sum(weighted.coeff(order, i) for i in range(5)), X, Y)
    mean_value = sum(c * mean_of_product(*powers) for powers, c in kept_terms.terms() if any(powers))
    expanded = sp.expand(mean_value)
    return sum(expanded.coeff(k, -i) * k**-i for i in (1, 2))


log_mean = mean_to_second_order(sp.log(1 + e))
equal(log_mean, -(1 + kappa / 2) / k + (tau / 3 - 3 * kappa**2 / 4 - sp.Rational(3, 2)) / k**2, "E log V - log eta")

# %%
log_mean_known = mean_to_second_order(sp.log(1 + e), known_mean=True)
equal(log_mean_known, -(kappa / 2) / k + (tau / 3 - 3 * kappa**2 / 4) / k**2, "the same with a known mean")

# %%
variances = []
for known in (False, True):
    first = mean_to_second_order(sp.log(1 + e), known_mean=known)
    variance = sp.expand(mean_to_second_order(sp.log(1 + e) ** 2, known_mean=known) - first**2)
    variances.append(sum(variance.coeff(k, -i) * k**-i for i in (1, 2)))
equal(variances[1], kappa / k + (sp.Rational(5, 2) * kappa**2 - tau) / k**2, "variance of log V, mean known")
equal(variances[0], kappa / k + (sp.Rational(5, 2) * kappa**2 - tau + 2) / k**2, "variance of log V, mean fitted")

# %% [markdown]
# **The remainder** is $O(k^{-5/2})$, at any $a$ and uniformly in $0 \le a \le 1$. On the event $|X - Y| \le 1/2$
# Taylor's theorem leaves at most $C|X - Y|^5$ and products $X^iY^j$ with $i + 2j \ge 5$, whose means are $O(k^{-5/2})$:
# the moments of a kept point are bounded uniformly, and means of independent centred variables have $\mathrm{E}|X|^r =
# O(k^{-r/2})$ (Marcinkiewicz–Zygmund). The complement has probability $O(k^{-8})$ (Markov's inequality with the 16th
# power). There the polynomial has a bounded second moment, and $\mathrm{E}(\log V)^2$ is $O(\log^2 k)$ for $k \ge 2$:
# upwards $V \le \overline{y^2}$; downwards $V \ge (y_1 - y_2)^2/(2k)$, and $y_1 - y_2$ has a bounded density (with a
# known mean $V \ge y_1^2/k$). By Cauchy–Schwarz this part is $O(k^{-4}\log k)$. The same holds for the square of the
# logarithm.

# %%
y1, y2, mid = sp.symbols("y1 y2 c", real=True)
least = (y1 - mid) ** 2 + (y2 - mid) ** 2 - (y1 - y2) ** 2 / 2
equal(least, 2 * (mid - (y1 + y2) / 2) ** 2, "S ≥ (y1 - y2)^2/2: two of its terms exceed it by a square")

# %% [markdown]
# ## Few masked points: the expansion in $1/n$
#
# Put $a = \alpha/n + \beta/n^2$. The hazard at 0 is $x = \sqrt{2/\pi}$. From the moments of a kept point, by
# integration:

# %%
eta_of_a = 1 + a * hazard
fourth_moment = sp.simplify(2 * sp.integrate(z**4 * density, (z, a, sp.oo)) / p)
sixth_moment = sp.simplify(2 * sp.integrate(z**6 * density, (z, a, sp.oo)) / p)
equal(fourth_moment, 3 * eta_of_a + a**3 * hazard, "E y^4")
equal(sixth_moment, 5 * fourth_moment + a**5 * hazard, "E y^6")

# %%
rate = sp.sqrt(2 / sp.pi)
eta_series = sp.series(eta_of_a, a, 0, 3).removeO()
kappa_series = sp.series(fourth_moment / eta_of_a**2 - 1, a, 0, 2).removeO()
tau_zero = (sixth_moment / eta_of_a**3 - 3 * fourth_moment / eta_of_a**2 + 2).subs(a, 0)
equal(eta_series, 1 + rate * a + rate**2 * a**2, "eta to second order")
equal(kappa_series, 2 - 3 * rate * a, "kappa to first order")
equal(tau_zero, 8, "tau at a = 0")

# %% [markdown]
# The number $B = n - K$ of masked points is binomial with mean $nq$, and $nq = xna + O(na^3)$ is bounded. From
# $$\frac{1}{n - B} = \frac1n + \frac{B}{n^2} + \frac{B^2}{n^2(n - B)}$$
# and $n - B \ge n/2$ but for an event whose probability decays faster than any power of $n$ (there $n - B \ge 1$, all
# terms are bounded by a power of $n$; the condition $K \ge 2$ is of the same kind):
# $\mathrm{E}[1/K] = 1/n + q/n + O(n^{-3})$ and $\mathrm{E}[1/K^2] = 1/n^2 + O(n^{-3})$.

# %%
B = sp.Symbol("B", nonnegative=True)
zero(1 / (n - B) - 1 / n - B / n**2 - B**2 / (n**2 * (n - B)), "1/K in powers of B/n")
equal(sp.series(q, a, 0, 3).removeO(), rate * a, "q = x a + O(a^3)")
alpha, tiny = sp.symbols("alpha delta", positive=True)  # delta = 1/n
beta = sp.Symbol("beta", real=True)
radius = alpha * tiny + beta * tiny**2
inverse_mean = tiny + rate * radius * tiny  # E 1/K
inverse_square_mean = tiny**2


def to_second_order(expression):
    return sp.collect(sp.expand(sp.series(expression, tiny, 0, 3).removeO()), tiny)


def drift(log_mean_given_k):
    """Put in the series, and the means over K of 1/k and 1/k²."""
    eta_here, kappa_here = eta_series.subs(a, radius), kappa_series.subs(a, radius)
    expanded = sp.expand(log_mean_given_k)
    terms = expanded.coeff(k, -1) * inverse_mean + expanded.coeff(k, -2) * inverse_square_mean
    return to_second_order(sp.log(eta_here) + terms.subs({kappa: kappa_here, tau: tau_zero}))


drift_fitted, drift_known = drift(log_mean), drift(log_mean_known)
states(
    "critical-truncation",
    "drift-order",
    sp.Eq(sp.Function("drift")(alpha, beta, n), sp.expand(drift_fitted.subs(tiny, 1 / n))),
)

# %% [markdown]
# ## The critical radii
#
# *Fitted mean, logarithm.* For $0 \le na \le C$, $n$ times the drift is $xna - 2 + O(1/n)$, uniformly: for large $n$ it
# is negative for $na \le 2/x - \varepsilon$ and positive at $na = 2/x + \varepsilon$. The drift is continuous in $a$,
# so that there is a smallest root, and $n a_{log} \to 2/x = \sqrt{2\pi}$. In the next order the coefficient of $n^{-2}$
# must vanish at the root. The other two balances go the same way; for the mean the equation is
# $\log\eta + \log(1 - \mathrm{E}[1/K]) = 0$.

# %%


def two_terms(expansion):
    """α and β at which the coefficients of 1/n and 1/n² vanish, as a function of n."""
    (first,) = sp.solve(expansion.coeff(tiny, 1), alpha)
    (second,) = sp.solve(sp.expand(expansion.coeff(tiny, 2).subs(alpha, first)), beta)
    return sp.simplify(first), sp.simplify(second)


mean_balance = to_second_order(sp.log(eta_series.subs(a, radius)) + sp.log(1 - inverse_mean))
results = {}
for name, expansion in (("mean", mean_balance), ("log", drift_fitted), ("known", drift_known)):
    results[name] = two_terms(sp.expand(expansion))
equal(results["mean"][0], sp.sqrt(sp.pi / 2), "leading order of a_mean")
equal(results["log"][0], sp.sqrt(2 * sp.pi), "leading order of a_log")
equal(results["log"][1] / results["log"][0], sp.Rational(5, 12), "the next term of a_log")

# %%
for claim, name in (("mean-order", "mean"), ("log-order", "log"), ("log-order-known-mean", "known")):
    first, second = results[name]
    states("critical-truncation", claim, sp.Eq(sp.Function("a")(n), first / n + second / n**2))

# %% [markdown]
# ## About two points are masked
#
# $nq = n\,\mathrm{erf}(a/\sqrt2)$ at these radii.

# %%
masked = {
    name: to_second_order(rate * (first + second * tiny)).subs(tiny, 1 / n) for name, (first, second) in results.items()
}
equal(masked["log"], 2 + sp.Rational(5, 6) / n, "two at zero drift")
equal(masked["mean"], 1 + 1 / n, "one at zero drift of the mean")
equal(masked["known"], 1 - sp.Rational(2, 3) / n, "one at zero drift, mean known")

# %% [markdown]
# ## More points, more drift
#
# *Given $K = k$.* Let $U_k = S/(k-1)$ be the unbiased variance of $k$ kept points (mean fitted), or $U_k = S/k$
# (known). $U_{k+1}$ is the mean of the $k + 1$ variances $U_k^{(i)}$ that leave out one point: without $y_i$ the sum of
# squares is $S - \frac{k+1}{k}(y_i - \bar y)^2$. The logarithm is strictly concave and the $U_k^{(i)}$ are not all
# equal, so that $\log U_{k+1} > \frac{1}{k+1}\sum_i \log U_k^{(i)}$ and $\mathrm{E}\log U_{k+1} > \mathrm{E}\log U_k$.
# The factor $V$ is $U_k$ times $1 - 1/k$ (mean fitted) or $U_k$ (known): the drift given $k$ strictly increases with
# $k$.

# %%
without = (k * mean + mean - y) / k  # mean of the other k points, of k + 1 with mean ybar
spread_without = squares - y**2 - k * without**2
spread = squares - (k + 1) * mean**2
zero(spread_without - spread + (k + 1) / k * (y - mean) ** 2, "the sum of squares without one point")
of_all = {sp.Integer(1): k + 1, y: (k + 1) * mean, y**2: squares}
left_out = summed(spread - (k + 1) / k * (y - mean) ** 2, of_all)
equal(left_out / ((k + 1) * (k - 1)), spread / k, "mean fitted: the mean of the U without one point is U")
left_out_known = summed(squares - y**2, of_all)
equal(left_out_known / ((k + 1) * k), squares / (k + 1), "the same with a known mean")
rising = sp.Symbol("j", positive=True)  # k − 1
holds(sp.diff(1 - 1 / (1 + rising), rising).factor() > 0, "1 - 1/k increases with k")

# %% [markdown]
# *Averaged over $K$.* For $a > 0$ the ratio of the masses of $k$ under $n + 1$ and under $n$ points is proportional to
# $1/(n + 1 - k)$ for $k \le n$, infinite at $k = n + 1$: it increases with $k$, also given that $K$ is at least 2 (or
# 1). So $K$ is stochastically larger for $n + 1$ points (likelihood-ratio order), and a strictly increasing function of
# $K$ has a strictly larger mean: the drift, and with $1 - 1/K$ the mean factor, strictly increase with $n$. Both are
# below the balance at $a = 0$ for every $n$, and continuous; where one is positive (above 1) at some $a$ for $n$ points
# it is so for $n + 1$ points, also at a root for $n$: the smallest root for $n + 1$ points exists and is smaller.

# %%
ratio_of_masses = sp.binomial(n + 1, k) * p**k * q ** (n + 1 - k) / (sp.binomial(n, k) * p**k * q ** (n - k))
equal(sp.gammasimp(ratio_of_masses), q * (n + 1) / (n + 1 - k), "the ratio of the masses of k")
rest = sp.Symbol("rest", positive=True)  # n + 1 − k
holds(sp.diff(1 / rest, rest) < 0, "it increases with k")

# %% [markdown]
# ## Existence of zero drift
#
# The drift is continuous in $a$: given $k$ it is the integral of $\log V$ times the normal densities over all
# $|y_i| \ge a$, divided by $p^k$, and this function is integrable over the whole space (dominated convergence).
#
# *Mean known, every $n \ge 1$.* At $a = 0$ the drift is $\psi(n/2) - \log(n/2) < 0$: by Jensen's inequality
# $\mathrm{E}\log\chi^2_n < \log n$. At $a = 1$ every kept point has $y^2 \ge 1$, so that $V \ge 1$ and, as $V > 1$
# almost surely, the drift is positive.
#
# *Mean fitted, upwards.* By Jensen's inequality $\mathrm{E}\log V < \log\mathrm{E}V$, as $V$ is not constant. Up to the
# smallest $a_{mean}$ the mean factor is at most 1 (it is $1 - 1/n$ at 0), and the drift is negative: every root lies
# beyond.
#
# *Mean fitted, existence for every $n \ge 9$.* As the drift increases with $n$, one radius at which it is positive for
# $n = 9$ is enough: $a = 1/2$, by ball arithmetic. Let $g$ be the Laplace transform of $S$, over $K$ as well, and take
# for $S_0$ an exponential law of mean $c$: $\mathrm{E}\log S = \log c - C - \int_0^\infty (g(u) - 1/(1 + cu))\,du/u$.
# $g$ is convex and $g(0) = 1$, so that on $0, u_0, u_1, \ldots, u_N$ the chords lie above it, and an integral of chords
# is elementary. Beyond $u_N$, $R \le 1/p$ and $v \le 1/(2u)$ bound $g$ by
# $\sum_k \mathrm{Pr}(K = k)\,p^{-k}(2u)^{-(k-1)/2}$. In $g$ itself put $M = \sqrt{(1-v)/k}\,X$ with a standard normal
# $X$, then $X = \sqrt k\,x$: one integral over $x$ serves all $k$, with the weight
# $\sqrt{k/(2\pi)}\,e^{-kx^2/2}$, and $M = \sqrt{1-v}\,x$. Beyond $|x| = 8$ the integrand is at most
# $n p^{-n} e^{-x^2}$, and the integral less than $n p^{-n} e^{-64}$.

# %%
low_end, high_end, low_value, high_value = sp.symbols("u0 u1 g0 g1", positive=True)
chord = low_value + (high_value - low_value) * (u - low_end) / (high_end - low_end)
chord_slope = (high_value - low_value) / (high_end - low_end)
elementary = (low_value - chord_slope * low_end) * sp.log(u) + chord_slope * u
zero(sp.diff(elementary, u) - chord / u, "the antiderivative of a chord over u")
c = sp.Symbol("c", positive=True)
zero(sp.diff(sp.log(u / (1 + c * u)), u) - 1 / (u * (1 + c * u)), "that of the transform of the exponential law over u")
zero(sp.diff(-2 / (k - 1) * u ** (-(k - 1) / 2), u) - u ** (-(k - 1) / 2) / u, "that of the bound beyond")
equal(sp.sqrt((1 - v) / k) * sp.sqrt(k), sp.sqrt(1 - v), "M = sqrt(1 - v) x")


# %%
def drift_at_least(size, radius, steps=10, reach=9):
    """Lower bound of the drift, mean fitted, as a ball; the grid of u is exp(−reach) … exp(reach)."""
    keep = (radius / arb(2).sqrt()).erfc()
    masses = {i: math.comb(size, i) * keep**i * (1 - keep) ** (size - i) for i in range(2, size + 1)}
    weights = {i: mass / sum(masses.values()) for i, mass in masses.items()}

    def transform(u):
        narrow = 1 / (1 + 2 * u)
        root, unit = (2 * narrow).sqrt(), (1 - narrow).sqrt()
        factors = {i: weights[i] * (i / (2 * arb.pi() * narrow)).sqrt() for i in weights}

        def integrand(x, _):
            outside = (((radius - unit * x) / root).erfc() + ((radius + unit * x) / root).erfc()) / (2 * keep)
            power = narrow.sqrt() * (-x * x / 2).exp() * outside
            total = acb(0)
            for i in range(size, 1, -1):
                total = total * power + factors[i]
            return total * power * power

        integral = acb.integral(integrand, 0, 8, rel_tol=arb(2) ** -30, abs_tol=arb(2) ** -40)
        return 2 * integral.real + size * keep**-size * arb(0, 2e-28)  # 2e-28 > exp(−64)

    grid = [(arb(i) / steps).exp() for i in range(-reach * steps, reach * steps + 1)]
    values = [transform(u) for u in grid]
    integral = values[0] - 1  # the chord from 0; all of these less the exponential law, which comes last
    for left, right, at_left, at_right in zip(grid, grid[1:], values, values[1:], strict=False):
        slope = (at_right - at_left) / (right - left)
        integral += (at_left - slope * left) * (right / left).log() + slope * (right - left)
    for i, weight in weights.items():
        integral += weight * keep**-i * arb(2) / (i - 1) * (2 * grid[-1]) ** (-arb(i - 1) / 2)
    mean_size = arb(size)
    # ∫ (1 − 1/(1 + cu)) du/u up to the first point of the grid, −∫ 1/(1 + cu) du/u beyond it
    integral += (1 + mean_size * grid[0]).log() - ((1 + mean_size * grid[0]) / (mean_size * grid[0])).log()
    return mean_size.log() - arb.const_euler() - integral - sum(w * arb(i).log() for i, w in weights.items())


ctx.prec = 64
bound = drift_at_least(9, arb("0.5"))
print(
    f"n = 9, a = 0.5: the drift is at least {bound.str(6)}; {truncated.log_variance_drift(0.5, 9):.6f} by the library"
)
holds(bool(bound > 0), "n = 9: the drift is positive at a = 0.5 (interval arithmetic)")
zero(given_k.subs({eta: 1, k: n}) - (1 - 1 / n), "without truncation the mean factor is 1 - 1/n")

# %% [markdown]
# *For $n \le 8$* there is no root, numerically: for $n = 8$, and then for fewer points as well, the drift is negative
# on a grid. That for $n \ge 9$ there are two roots is numerical, too, and that the mean factor is 1 at one radius only.

# %%
grid = np.concatenate([np.linspace(0, 1, 21), np.linspace(1.25, 8, 10)])
holds(bool(max(truncated.log_variance_drift(grid, 8)) < -0.07), "n = 8: negative on a grid (numerical)")
for size in (9, 20):
    signs = np.sign(truncated.log_variance_drift(grid, size))
    holds(bool(np.count_nonzero(np.diff(signs)) == 2), f"n = {size}: two changes of sign on a grid (numerical)")
for size in (2, 3, 10, 100, 10_000):
    edges = [truncated.stable_radius(1 - 1 / size), truncated.stable_radius(0.5)]  # eta = n/(n−1) and 2
    within = np.concatenate([edges[0] * (1 + np.linspace(-0.01, 5, 60) / size), np.linspace(0.05, 1.01, 60) * edges[1]])
    signs = np.sign(truncated.variance_factor(np.sort(within), size) - 1)
    holds(bool(np.count_nonzero(np.diff(signs)) == 1), f"n = {size}: one balance of the mean on a grid (numerical)")
ten = truncated.log_variance_drift(np.array([0.308929, 0.308930, 0.79146, 0.79147]), 10)
holds(bool(ten[0] < 0 < ten[1] and ten[2] > 0 > ten[3]), "n = 10: zeros at 0.308929 and 0.79146 (numerical)")

# %% [markdown]
# ## The most likely share
#
# Leaving out the most likely share $f$ of the points is masking within the radius that holds this share, $q = f$, up to
# the fluctuation of that radius, which is neglected here (this step is numerical). To first order $a = f/x$, and
# $\log\eta = f$.

# %%
share, count = sp.symbols("share n", positive=True)
(share_radius,) = sp.solve(rate * a - share, a)
inflation_of_share = sp.series(sp.log(eta_series.subs(a, share_radius)), share, 0, 2).removeO()
noise = sp.expand(log_mean.subs(kappa, 2)).coeff(k, -1) / count
states("critical-truncation", "top-share", sp.Eq(sp.Function("drift")(share, count), inflation_of_share + noise))

# %%
points, dropped, replicates = 200, 10, 20_000
magnitudes = np.random.default_rng(1).standard_normal((replicates, points))
order_by_likelihood = np.argsort(np.abs(magnitudes), axis=1)  # nearest to the centre first
left = np.take_along_axis(magnitudes, order_by_likelihood[:, dropped:], axis=1)
steps = np.log(left.var(axis=1))
predicted, error = dropped / points - 2 / points, steps.std() / replicates**0.5
print(f"f = 0.05, n = 200: drift {steps.mean():.4f} with a standard error of {error:.4f}, f - 2/n = {predicted:.4f}")
holds(bool(abs(steps.mean() - predicted) < 0.05**2 + 4 * error), "f - 2/n up to f^2 (numerical)")

# %% [markdown]
# ## The functions of the library
#
# The two-term expansions are within $10^{-12}$ of the roots for $n \ge 10^8$.

# %%
agrees("theory.truncated.expected_masked", n * q, where={"a": (0.0, 5.0), "n": range(1, 1000)})
agrees("theory.truncated.kept_probability", kept, where={"a": (0.05, 1.5), "n": range(2, 40)})
for name, function, options in (
    ("mean", "mean_critical_radius", {}),
    ("log", "log_critical_radius", {}),
    ("known", "log_critical_radius", {"fit_mean": False}),
):
    first, second = results[name]
    agrees(
        f"theory.truncated.{function}", first / n + second / n**2, where={"n": [10**8, 10**10]}, fixed=options, points=4
    )
agrees("theory.truncated.top_share_drift", share - 2 / count, where={"share": (0.0, 0.5), "n": range(2, 1000)})


def mean_factor_by_sum(a, n):
    size, keep = int(n), mpmath.erfc(a / mpmath.sqrt(2))
    masses = {i: mpmath.binomial(size, i) * keep**i * (1 - keep) ** (size - i) for i in range(2, size + 1)}
    mean_inverse = sum(mass / i for i, mass in masses.items()) / sum(masses.values())
    return (1 + a * mpmath.npdf(a) / (keep / 2)) * (1 - mean_inverse)


agrees("theory.truncated.variance_factor", mean_factor_by_sum, where={"a": (0.0, 3.0), "n": range(2, 400)})
