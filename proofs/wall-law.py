# %% [markdown]
# # Above the wall the variance has a Pareto tail
#
# By `density-wall` $Y_t = \log(\sigma_t^2/\sigma_c^2)$ lies in $[W_t - 1, W_t]$, where $W_{t+1} = \max(0, W_t + \xi_t)$
# and $\xi = \log(\chi^2_\nu/n)$ is the step of cross entropy: $\nu = n - 1$ if the mean is fitted, $\nu = n$ if it is
# known. A factor $e^{Y - W} \in [e^{-1}, 1]$ does not change a power law's exponent. So we need the stationary law of
# $W$.

# %%
import mpmath
import sympy as sp
from checking import agrees, equal, holds, states, zero
from flint import arb, ctx

n, kappa, x = sp.symbols("n kappa x", positive=True)
shape = sp.Symbol("a", positive=True)  # nu/2: chi-square is twice a Gamma(a) variable

# %% [markdown]
# ## The equation of the exponent
#
# $W_t = \max_{s \le t}(S_t - S_s)$ when $W_0 = 0$ (`density-wall`). Read backwards in time the steps have the same
# joint law, so $W_t$ has the law of $\max_{s \le t} S_s$, which increases to $M = \sup_{s \ge 0} S_s$, finite because
# $E\xi < 0$. So $\Pr(W_t > y)$ increases to $\Pr(M > y)$: the stationary law of $W$ is that of $M$. The tail of such a
# supremum is ruled by the $\kappa > 0$ with $E e^{\kappa\xi} = 1$.

# %%
gamma_density = x ** (shape - 1) * sp.exp(-x) / sp.gamma(shape)
moment = sp.integrate(x**kappa * gamma_density, (x, 0, sp.oo))
equal(moment, sp.gamma(shape + kappa) / sp.gamma(shape), "moments of a Gamma variable")
generating = (2 / n) ** kappa * sp.gamma(shape + kappa) / sp.gamma(shape)  # E exp(kappa xi)
fitted = generating.subs(shape, (n - 1) / 2)
equation = states("wall-law", "tail-index", sp.Eq(fitted, 1))
equation

# %% [markdown]
# ## Exactly one positive root
#
# $f(\kappa) = \log E e^{\kappa\xi}$ is strictly convex:
# $f'' = \psi'(\nu/2 + \kappa) = \sum_{j \ge 0} (\nu/2 + \kappa + j)^{-2} > 0$. It vanishes at 0, and a strictly convex
# function has at most two zeros.
#
# *Mean fitted.* At $\kappa = 2$ the moment is $1 - 1/n^2$, so $f(2) < 0$. At $\kappa = 3$ it is
# $1 + (3 - 1/n - 3/n^2)/n > 1$ for $n \ge 2$. So there is a root in $(2, 3)$, and no other positive one.
#
# *Mean known.* $E e^\xi = 1$: $\kappa = 1$, for every $n$.

# %%
log_moment = kappa * sp.log(2 / n) + sp.loggamma(shape + kappa) - sp.loggamma(shape)
zero(sp.diff(log_moment, kappa, 2) - sp.polygamma(1, shape + kappa), "the second derivative is a trigamma function")
j = sp.Symbol("j", nonnegative=True)
holds((shape + kappa + j) ** -2 > 0, "a sum of positive terms")
equal(log_moment.subs(kappa, 0), 0, "f(0) = 0")
at_2, at_3 = (sp.factor(sp.gammasimp(sp.expand_func(fitted.subs(kappa, k)))) for k in (2, 3))
equal(at_2, 1 - 1 / n**2, "the moment at 2")
equal(at_3, 1 + (3 - 1 / n - 3 / n**2) / n, "the moment at 3")
more = sp.Symbol("m", nonnegative=True)  # n = 2 + m
holds(sp.expand(n**2 * (3 - 1 / n - 3 / n**2)).subs(n, 2 + more).expand() > 0, "which is above 1 for n >= 2")
zero(sp.gammasimp(generating.subs({shape: n / 2, kappa: 1})) - 1, "mean known: the moment at 1")

# %% [markdown]
# ## The tail, for every $n$
#
# *Upper bound (Lundberg).* $e^{\kappa S_t}$ is a nonnegative martingale that starts at 1, since $E e^{\kappa\xi} = 1$.
# By Ville's inequality $\Pr(\sup_t e^{\kappa S_t} \ge c) \le 1/c$. With $c = x^\kappa$ this is
# $\Pr(M \ge \log x) \le x^{-\kappa}$, and $\sigma^2 \le \sigma_c^2 e^W$:
# $$\Pr(\sigma^2/\sigma_c^2 > x) \le x^{-\kappa} \qquad (x \ge 1).$$
#
# *Lower bound (Cramér).* $\xi$ has a density and $E[|\xi| e^{\kappa\xi}] < \infty$ (all exponential moments are
# finite), so that $e^{\kappa y}\Pr(M > y)$ tends to a positive constant (Asmussen 2003, theorem XIII.5.3; Feller 1971,
# section XII.5). With $\sigma^2 \ge \sigma_c^2 e^{W - 1}$, $\Pr(\sigma^2/\sigma_c^2 > x) \ge \Pr(M > 1 + \log x)$,
# which is at least a positive multiple of $x^{-\kappa}$: $e^{\kappa y}\Pr(M > y)$ is positive, has a positive limit,
# and on every bounded interval is at least the value of the decreasing $\Pr(M > y)$ at its end.
#
# Both bounds hold for the stationary law of $Y$: started at $\sigma_0 = \sigma_c$, $W_0 = 0$ and $Y_t \in [W_t - 1,
# W_t]$, so that $\Pr(W_t > y + 1) \le \Pr(Y_t > y) \le \Pr(W_t > y)$; let $t \to \infty$, where the law of $Y_t$ tends
# to the stationary one in total variation (`density-wall`).

# %%
level = sp.Symbol("c", positive=True)
equal(sp.exp(-kappa * sp.log(x)), x**-kappa, "Lundberg's bound at y = log x")
equal(sp.exp(-kappa * (1 + sp.log(x))), sp.exp(-kappa) * x**-kappa, "a shift by 1 is a factor exp(-kappa)")

# %% [markdown]
# ## The root for large $n$
#
# Let $f_2 = f(2) = \log(1 - n^{-2})$ and $f_2' = f'(2)$. By convexity $f$ lies above its tangent at 2, so that the root
# is at most $2 + \delta$ with $\delta = -f_2/f_2'$. And $f'' = \psi'((n-1)/2 + \kappa) \le B = \psi'((n+3)/2)$ for
# $\kappa \ge 2$, as $\psi'$ decreases: at the root $2 + \rho$, $0 \le f_2 + f_2'\rho + B\rho^2/2$, hence
# $\rho \ge \delta - B\delta^2/(2f_2')$. With $f_2' = 2/n + \ldots$ and $B = 2/n + \ldots$ both ends are
# $\frac{1}{2n} + O(n^{-2})$.

# %%
small = sp.Symbol("z", positive=True)  # 1/n
slope_at_2 = sp.diff(log_moment, kappa).subs({shape: (n - 1) / 2, kappa: 2})
slope_series = sp.series(sp.expand_log(slope_at_2.subs(n, 1 / small), force=True), small, 0, 3)
curvature = sp.series(sp.polygamma(1, (1 / small + 3) / 2), small, 0, 3)
equal(slope_series.removeO().coeff(small, 0), 0, "f'(2) has no constant term")
equal(slope_series.removeO().coeff(small, 1), 2, "f'(2) = 2/n + ...")
equal(curvature.removeO().coeff(small, 1), 2, "B = 2/n + ...")
value_at_2 = sp.log(1 - small**2)
tangent = sp.series(-value_at_2 / slope_series.removeO(), small, 0, 2).removeO()
equal(tangent, small / 2, "delta = 1/(2n) + O(1/n^2)")
zero(sp.limit(-value_at_2 / small**2, small, 0) - 1, "-f(2) = 1/n^2 + ...")
correction = curvature.removeO() * tangent**2 / (2 * slope_series.removeO())
zero(sp.limit(correction / small**2, small, 0) - sp.Rational(1, 8), "the two ends differ by O(1/n^2)")

# %% [markdown]
# The values at $n = 10$ and $n = 100$, by ball arithmetic: $f$ is negative at the lower end of an interval around the
# rounded value and positive at the upper one, and it has one positive root.

# %%
ctx.prec = 120


def ball_log_moment(points, at):
    half = arb(points - 1) / 2
    return at * (arb(2) / points).log() + (half + at).lgamma() - half.lgamma()


for points, value in ((10, "2.053486"), (100, "2.005033")):
    below, above = (arb(value) - arb("5e-7"), arb(value) + arb("5e-7"))
    signs = bool(ball_log_moment(points, below) < 0) and bool(ball_log_moment(points, above) > 0)
    holds(signs, f"kappa = {value} at n = {points}, to all digits given")

# %% [markdown]
# ## The diffusion limit of $W$
#
# The drift is $\psi(\nu/2) + \log(2/n)$ and the variance $\psi'(\nu/2)$ (`gaussian-ce-law`): as $n \to \infty$, $n$
# times these tend to $-k$ and 2, with $k = 2$ if the mean is fitted and $k = 1$ if it is known. In time $t/n$ the walk
# becomes Brownian motion with drift $-k$ and variance 2, reflected at 0.

# %%
inverse = 1 / small
for nu, k in ((inverse - 1, 2), (inverse, 1)):
    drift = sp.series(sp.expand_log(sp.digamma(nu / 2) + sp.log(2 * small), force=True), small, 0, 2).removeO()
    equal(drift, -k * small, f"the drift is -{k}/n + O(1/n^2)")
    spread = sp.series(sp.polygamma(1, nu / 2), small, 0, 2).removeO()
    equal(spread, 2 * small, "the variance is 2/n + O(1/n^2)")

# %% [markdown]
# Its stationary density $p$ solves $p'' + k p' = 0$ with no flux at the wall, $p' + kp = 0$ at 0. The solution of mass
# 1 is exponential with rate $k$.

# %%
y = sp.Symbol("y", nonnegative=True)
k = sp.Symbol("k", positive=True)
p = sp.Function("p")
general = sp.dsolve(p(y).diff(y, 2) + k * p(y).diff(y), p(y)).rhs
constants = sorted(general.free_symbols - {y, k}, key=str)
(no_flux,) = sp.solve(sp.diff(general, y).subs(y, 0) + k * general.subs(y, 0), constants[0])
decaying = general.subs(constants[0], no_flux)
(mass,) = sp.solve(sp.Eq(sp.integrate(decaying, (y, 0, sp.oo)), 1), constants[1])
stationary = decaying.subs(constants[1], mass)
zero(stationary - k * sp.exp(-k * y), "the stationary density")
sp.Eq(p(y), stationary)

# %% [markdown]
# That is the guess. That the stationary laws converge to it, and not only the processes, is seen from the exact tail.
#
# *Upper bound.* $\Pr(M > y) \le e^{-\kappa y} \to e^{-ky}$, as $\kappa \to k$.
#
# *Lower bound.* Change the measure: under $P_\kappa$ the steps are independent with the law of $\xi$ weighted by
# $e^{\kappa\xi}$, that is, $e^\xi n/2$ has the law Gamma$(\nu/2 + \kappa)$. Their cumulants are the derivatives of $f$
# at $\kappa$; the mean is $f'(\kappa) > 0$, as $f$ is strictly convex with $f(0) = f(\kappa) = 0$. So the walk passes
# every level $y \ge 0$; let $\tau$ be the first time with $S_\tau > y$ and $R = S_\tau - y$. Then
# $$\Pr(M > y) = E_\kappa e^{-\kappa S_\tau} = e^{-\kappa y} E_\kappa e^{-\kappa R}
# \ge e^{-\kappa y} e^{-\kappa\delta} P_\kappa(R \le \delta) \qquad \text{for every } \delta > 0 .$$
# $R > \delta$ needs a step above $\delta$ among the first $\tau$. Whether $s < \tau$ is known before step $s$, so that
# by Wald's identity and Markov's inequality
# $$P_\kappa(R > \delta) \le E_\kappa\tau \cdot P_\kappa(\xi > \delta) \le E_\kappa\tau \cdot E_\kappa\xi^4/\delta^4,
# \qquad E_\kappa\tau = \frac{y + E_\kappa R}{f'(\kappa)}, \qquad E_\kappa R \le \frac{E_\kappa\xi^2}{f'(\kappa)},$$
# the last by Lorden's inequality (1970, theorem 1). The orders are: $f'(\kappa) \ge c/n$,
# $E_\kappa\xi^2 = O(1/n)$, $E_\kappa\xi^4 = O(1/n^2)$. So $E_\kappa\tau = O(n)$ and $P_\kappa(R > \delta) = O(1/n)$:
# the lower bound tends to $e^{-ky} e^{-k\delta}$. Let $\delta \to 0$: $\Pr(M > y) \to e^{-ky}$ for every $y \ge 0$.
#
# The orders: the cumulants at $\kappa$ are $c_1 = f'(\kappa)$, which increases with $\kappa$, and
# $c_j = \psi^{(j-1)}(\nu/2 + \kappa)$, $j \ge 2$, whose sizes decrease; $c_3 < 0$. With a fitted mean
# $2 < \kappa < 3$, so that $c_1$ lies between its values at 2 and 3, and the others are at most as large as at 2. With
# a known mean $\kappa = 1$.

# %%
c_1, c_2, c_3, c_4, step = sp.symbols("c_1 c_2 c_3 c_4 s")
generating_function = sp.exp(c_1 * step + c_2 * step**2 / 2 + c_3 * step**3 / 6 + c_4 * step**4 / 24)
second, fourth = (sp.expand(sp.diff(generating_function, step, order).subs(step, 0)) for order in (2, 4))
equal(second, c_1**2 + c_2, "the second moment in terms of cumulants")
equal(fourth, c_1**4 + 6 * c_1**2 * c_2 + 3 * c_2**2 + 4 * c_1 * c_3 + c_4, "the fourth moment")


def order_of(expression, power, why):
    """Return the limit of `expression` times n^power, by the series at 1/n = 0."""
    series = sp.series(sp.expand_log(expression, force=True), small, 0, power + 1).removeO()
    return equal(sp.limit(series / small**power, small, 0), series.coeff(small, power), why).rhs


inverse_n = 1 / small
for half, low, high, k in (((inverse_n - 1) / 2, 2, 3, 2), (inverse_n / 2, 1, 1, 1)):
    slopes = [
        order_of(sp.digamma(half + at) + sp.log(2 * small), 1, "n times the mean of a step is bounded")
        for at in (low, high)
    ]
    holds(slopes[0] == k and slopes[1] >= k, "it is at least k > 0 in the limit")
    spread = order_of(sp.polygamma(1, half + low), 1, "n times the variance is bounded")
    tail_order = order_of(sp.polygamma(3, half + low), 3, "n^3 times the fourth cumulant is bounded")
    holds(spread == 2 and tail_order > 0, "so the moments are O(1/n) and O(1/n^2), as c_1 c_3 < 0")

# %% [markdown]
# ## From $W$ to the variance
#
# $e^W$ has Pareto's law with index $k$. That is also the limit law of $\sigma^2/\sigma_c^2 = e^Y$, because
# $D = W - Y \in [0, 1]$ tends to 0 in probability. Units: $\sigma_c = 1$; $\tau = \sigma_t$; $\delta \in (0, 1/2)$ is
# fixed; "rarely" means with a probability of at most $C/n^2$ a generation, whatever the past, with $C$ depending on
# $\delta$ alone.
#
# *One generation is close to the population's.* Let $y(Y) = \log s(\tau)^2$, $Y = \log\tau^2$, be the population map of
# `wall-population`: continuous, increasing, $y(Y) > Y$ for $Y < 0$ and $y(Y) = Y$ for $Y \ge 0$. Claim: for every
# $\epsilon > 0$ and $Y_t \in [-1, \log 4]$ only rarely $|Y_{t+1} - y(Y_t)| > \epsilon$.
#
# With $\mu_t = 0$ let $L_\tau(\theta) = E\max(u_\theta(\tau Z), 0)$, $u_\theta$ the surplus of the loss
# (`density-floor`), $\theta$ the natural parameters (or the one of them, if the mean is known), in an open convex set.
# It is convex, has one minimiser (`hinge-form`, with the expectation in place of the sum: some mass is always
# unmasked), that of `wall-population`, and is continuous in $\tau$ and $\theta$ together. There are finitely many
# parameters $\theta_1, \ldots, \theta_J$ and a $c > 0$ such that for all $\tau \in [e^{-1/2}, 2]$ every convex function
# within $c$ of $L_\tau$ at these parameters has all its minimisers within $\epsilon$ (in $\log\sigma^2$) of that of
# $L_\tau$. For suppose not. Take $c = 1/j$ and the first $j$ points of a dense sequence of parameters: there are
# $\tau_j$ and convex $f_j$ that violate it. Along a subsequence $\tau_j \to \tau$, and $f_j \to L_\tau$ on a dense set,
# as does $L_{\tau_j}$. Convex functions that converge on a dense set converge uniformly on compact sets (Rockafellar
# 1970, theorem 10.8), so that on a small sphere around the minimiser of $L_\tau$ both are larger than in its centre
# from some $j$ on: their minimisers are inside. This is a contradiction.
#
# The objective of a sample is convex, and at each $\theta_i$ an average of $n$ independent terms with mean
# $L_\tau(\theta_i)$ and fourth central moments $m_4$ that are bounded for $\tau \le 2$ ($u_\theta(x)$ is a polynomial
# in $x$). The fourth moment of the deviation is at most $3m_4/n^2$; so it exceeds $c$ at one of the $J$ parameters
# rarely. (This holds in the vacuous case too: *all* minimisers are close.)
#
# In the same way $|\xi| > \eta$ is rare for every fixed $\eta > 0$, as $E\xi^4 = O(n^{-2})$ (the cumulants above
# at $\kappa = 0$). In particular for
# $Y_t > \log 4$ rarely $\hat\sigma^2 \le 1$; else $Y_{t+1} = Y_t + \xi_t > 0$ (`density-floor`).

# %%
m_4, m_2, size = sp.symbols("m_4 m_2 n", positive=True)
deviation = (size * m_4 + 3 * size * (size - 1) * m_2**2) / size**4  # n terms (i i i i), 3 n (n - 1) terms (i i j j)
more_points, jensen = sp.Symbol("p", nonnegative=True), sp.Symbol("j", nonnegative=True)  # n = 1 + p, m_4 = m_2^2 + j
slack = sp.simplify((3 * m_4 / size**2 - deviation) * size**4 / size)
holds(
    sp.expand(slack.subs(m_4, m_2**2 + jensen).subs(size, 1 + more_points)) >= 0,
    "the fourth moment of an average is at most 3 m_4/n^2",
)

# %% [markdown]
# *Climbing and staying.* Let $\rho > 0$ be the least value of $y(Y) - Y$ on $[-1, -\delta/2]$ (continuous and
# positive), $\epsilon = \min(\rho/2, \delta/4)$, and $m \ge 2/\rho$ an integer. Call a generation *exceptional* if
# $|Y_{t+1} - y(Y_t)| > \epsilon$ with $Y_t \le \log 4$, or $\hat\sigma^2 \le 1$ with $Y_t > \log 4$, or
# $|\xi_t| > \delta/(2m)$: all rare. As long as none is,
#
# - from $Y_t < -\delta/2$ follows $Y_{t+1} \ge Y_t + \rho/2$: from $[-1, 0]$ it takes at most $m$ generations to be at
#   or above $-\delta/2$;
# - from $Y_t \ge -\delta/2$ follows $Y_{t+1} \ge y(Y_t) - \epsilon \ge Y_t - \epsilon \ge -\delta$ for
#   $Y_t \le \log 4$, and $Y_{t+1} > 0$ beyond. With the first line: once $Y \ge -\delta/2$, $Y$ stays above $-\delta$;
# - from $Y_t, Y_{t+1} \ge -\delta$ and $D_t \le \delta$ follows $D_{t+1} \le \delta$:
#   $W_{t+1} = \max(0, W_t + \xi_t) \le \max(0, Y_t + \xi_t + \delta) = \delta + \max(-\delta, Y_t + \xi_t) \le
#   \delta + Y_{t+1}$ (`density-wall`).
#
# Let $W_u = 0$. Then $Y_u \in [-1, 0]$, at most $m$ generations later $Y \ge -\delta/2$, while $W \le m\,\delta/(2m)$:
# $D \le \delta$. It stays so until the first exception.
#
# *In the stationary law.* Start with $Y_0$ from the stationary law and $W_0 = \max(0, Y_0)$; then $D_0 \le 1$. Look at
# generation $Tn$, where $Y$ has the stationary law again. $D_{Tn} \le \delta$ unless (i) there was an exception:
# probability at most $Tn \cdot C/n^2 \to 0$ as $n \to \infty$; or (ii) $W$ was not at 0 by generation $Tn - m$. Then
# $W_0 + S_{Tn-m} > 0$. As $S_{Tn}$ has mean about $-kT$ and variance about $2T$, and
# $\Pr(W_0 > kT/2) \le e^{-k^2T/2}$ (Lundberg's bound above), (ii) has by Chebyshev's inequality a probability of at
# most $e^{-k^2T/2} + 8/(k^2T) + o(1)$.
#
# $W_{Tn}$ differs from the walk that starts at 0 only if (ii), as both agree from the first return to 0 on, and that
# one has the law of $\max_{s \le Tn} S_s$. This differs from $M$ with a probability of at most
# $\Pr(S_{Tn} > -kT/2) + \Pr(M > kT/2)$, bounded in the same way. Let $n \to \infty$, then $T \to \infty$: in the
# stationary law $Y$ is within $\delta$ of a variable whose law tends to the exponential one, but for a probability that
# tends to 0. As $\delta$ is arbitrary, the law of $Y$ tends to it. (How fast is not shown here.)

# %%
level_t, gap = sp.symbols("Y_t delta", positive=True)
xi = sp.Symbol("xi", real=True)
for case, at in (("Y + xi >= -delta", sp.Symbol("p", nonnegative=True)), ("below", sp.Symbol("q", negative=True))):
    zero(
        (sp.Max(0, level_t + xi + gap) - (gap + sp.Max(-gap, level_t + xi))).subs(xi, at - gap - level_t),
        f"max(0, Y + xi + delta) = delta + max(-delta, Y + xi), {case}",
    )
horizon = sp.Symbol("T", positive=True)
k = sp.Symbol("k", positive=True)
equal(2 * horizon / (k * horizon / 2) ** 2, 8 / (k**2 * horizon), "Chebyshev's bound")
equal(sp.exp(-k * (k * horizon / 2)), sp.exp(-(k**2) * horizon / 2), "Lundberg's bound, as the index is at least k")

# %%
ratio, probability = sp.symbols("ratio probability", positive=True)
over = sp.Symbol("r", positive=True)
survival = sp.simplify(sp.integrate(stationary, (y, sp.log(1 + over), sp.oo))).subs(over, ratio - 1)
equal(survival, ratio**-k, "Pareto's law: Pr(exp(W) > ratio) = ratio^(-k)")
density = -sp.diff(ratio**-k, ratio)
remaining = sp.Symbol("s", positive=True)  # 1 - probability
zero((remaining ** (-1 / k)) ** -k - remaining, "the quantile inverts the survival function")
quantile = (1 - probability) ** (-1 / k)
states("wall-law", "limit", sp.Eq(sp.Function("P")(ratio), (ratio**-k).subs(k, 2)))
states("wall-law", "limit-density", sp.Eq(sp.Function("f")(ratio), density.subs(k, 2)))
states("wall-law", "limit-quantile", sp.Eq(sp.Function("q")(probability), quantile.subs(k, 2)))
law = states("wall-law", "limit-known-mean", sp.Eq(sp.Function("P")(ratio), (ratio**-k).subs(k, 1)))
law

# %% [markdown]
# ## The functions of the library
#
# The reference for $\kappa$ solves the equation in the bracket of the proof.


# %%
def exact_index(n):
    half = (n - 1) / 2

    def excess(at):
        return (mpmath.loggamma(half + at) - mpmath.loggamma(half)) / at + mpmath.log(2 / n)

    return mpmath.findroot(excess, (2, 3), solver="anderson", tol=1e-60)


agrees("theory.wall.wall_tail_index", exact_index, where={"n": range(2, 2000)})
agrees("theory.wall.wall_tail_index", sp.Integer(1), where={"n": range(1, 2000)}, fixed={"fit_mean": False})
for fit_mean, index in ((True, 2), (False, 1)):
    fixed = {"fit_mean": fit_mean}
    agrees("theory.wall.limit_survival", ratio**-index, where={"ratio": (1.0, 1e3)}, fixed=fixed)
    agrees("theory.wall.limit_density", density.subs(k, index), where={"ratio": (1.0, 1e3)}, fixed=fixed)
    agrees("theory.wall.limit_quantile", quantile.subs(k, index), where={"probability": (0.0, 0.999)}, fixed=fixed)
