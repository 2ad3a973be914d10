# %% [markdown]
# # Without sampling noise the scale climbs to the wall and stays
#
# Let the data be infinitely many: their law is the previous generation itself, $N(\mu, \sigma_t^2)$. In units of
# $\sigma_c$ the scale goes from $\tau = \sigma_t/\sigma_c$ to $s = \sigma_{t+1}/\sigma_c$. We need the hazard
# $h = \varphi/(1 - \Phi)$ of the standard normal law and $\eta(u) = 1 + u\,h(u)$, the factor by which leaving out
# $|z| < u$ inflates the variance (`tail-inflation`).

# %%
import mpmath
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero
from flint import arb, ctx

u, a, tau, s = sp.symbols("u a tau s", positive=True)
z = sp.Symbol("z", real=True)
normal = sp.exp(-(z**2) / 2) / sp.sqrt(2 * sp.pi)


def hazard(at):
    return sp.sqrt(2 / sp.pi) * sp.exp(-(at**2) / 2) / sp.erfc(at / sp.sqrt(2))


def eta(at):
    return 1 + at * hazard(at)


# %% [markdown]
# ## Two bounds of the hazard
#
# $u < h(u) < u + 1/u$ for $u > 0$. The left one is proved in `tail-inflation`; the right one, too, is an integral of
# something positive:
# $$\int_u^\infty (z - u)^2 \varphi(z)\,dz = (1 + u^2)(1 - \Phi(u)) - u\varphi(u) > 0 .$$
# The hazard solves $h' = h(h - u)$. So with $h = u + k/u$ we have $0 < k < 1$, where $k$ depends on $u$.

# %%
tail = sp.erfc(u / sp.sqrt(2)) / 2
equal(
    sp.integrate((z - u) ** 2 * normal, (z, u, sp.oo)),
    (1 + u**2) * tail - u * normal.subs(z, u),
    "the integral of a positive function",
)
equal(
    sp.integrate((z - u) * normal, (z, u, sp.oo)),
    normal.subs(z, u) - u * tail,
    "another one, which gives the lower bound",
)
zero(sp.diff(hazard(u), u) - hazard(u) * (hazard(u) - u), "h' = h (h - u)")

# %% [markdown]
# In what follows $h$ stands for $h(u)$; $k = u(h - u)$, and $1 - k$ is a positive number that sympy is told of.

# %%
h, rest = sp.symbols("h l", positive=True)  # l = 1 - k
h_slope = h * (1 - rest) / u  # h' = h (h - u) = h k/u
eta_of_h = 1 + u * h
eta_slope = h + u * h_slope  # eta' = h + u h'

# %% [markdown]
# ## The equation of the fit
#
# At scale $s$ (in units of $\sigma_c$) the loss of $x$ exceeds $-\log\gamma$ by $\log s + x^2/(2s^2)$
# (`density-floor`). For $s \ge 1$ nothing is masked. For $s < 1$ the points with $|x| < s\,\alpha$,
# $\alpha = \sqrt{-2\log s}$, are. The fit is where the kept points have the mean square $s^2$. For $N(0, \tau^2)$ they
# have $\tau^2\eta(u)$ with $u = s\alpha/\tau$:
# $$s^2 = \tau^2 \eta(u), \qquad u = \frac{s}{\tau}\sqrt{-2\log s} .$$
# A solution $s \ge 1$ has $s = \tau$, which is possible if and only if $\tau \ge 1$; a solution $s < 1$ has $u > 0$ and
# $s > \tau$, as $\eta(u) > 1$, which is possible for $\tau < 1$ only. So every $\tau \ge 1$ is fixed. If the mean is
# fitted, the centre is stationary by symmetry, so that this is a minimiser of the convex objective (`hinge-form`, whose
# arguments hold with the integral over the law of the data in place of the sum). As some mass is always unmasked, the
# objective is above its floor there and the minimiser is unique: the location stays.

# %%
surplus = sp.log(s) + z**2 / (2 * s**2)
edge = s * sp.sqrt(-2 * sp.log(s))
zero(surplus.subs(z, edge), "the edge of the mask is at s sqrt(-2 log s)")
u_of_s = s * sp.sqrt(-2 * sp.log(s)) / tau
equation = states("wall-population", "map", sp.Eq(s**2, tau**2 * eta(u_of_s)))
equation

# %% [markdown]
# ## Exactly one solution
#
# Solve for $s$ and $\tau$ in terms of $u$. By the equation $u^2 = (s/\tau)^2\alpha^2 = \eta(u)\alpha^2$, hence
# $-2\log s = u^2/\eta(u)$, and $\tau = s/\sqrt{\eta(u)}$:
# $$-\log s = \frac{u^2}{2\eta(u)}, \qquad -\log\tau = \frac{u^2}{2\eta(u)} + \frac{1}{2}\log\eta(u) .$$
# Conversely, each $u > 0$ gives a pair $(s, \tau)$ with $s < 1$ that solves the equation. So for given $\tau < 1$ there
# are as many solutions as there are $u > 0$ with the right value of $-\log\tau$.

# %%
log_s = -(u**2) / (2 * eta(u))
log_tau = log_s - sp.log(eta(u)) / 2
ratio = sp.sqrt(eta(u))  # s/tau
zero(sp.simplify(sp.exp(log_s - log_tau) - ratio), "s/tau = sqrt(eta)")
zero(
    ratio**2 * (-2 * log_s) - u**2, "(s/tau)^2 (-2 log s) = u^2; both roots are positive: the pair solves the equation"
)

# %% [markdown]
# The first term increases: the numerator of its slope is $2u\eta - u^2\eta' = u\left(2 + uh(1 - k)\right) > 0$. The
# second increases, because $\eta' = h + uh' > 0$. So $-\log\tau$ increases strictly with $u$, from 0 at $u = 0$ to
# $\infty$, as $\eta(u) \ge 1 + u^2$. Every $\tau \in (0, 1)$ has exactly one $u$, and one $s$; and $s$ falls with $u$
# as $\tau$ does: $s$ grows with $\tau$.

# %%
slope = 2 * u * eta_of_h - u**2 * eta_slope
zero(sp.expand(slope - u * (2 + u * h * rest)), "the numerator of the slope of u^2/eta")
holds(u * (2 + u * h * rest) > 0, "it is positive")
above = sp.Symbol("k", positive=True)  # u (h - u) = k > 0 here
holds(sp.expand(h + u * h * above / u) > 0, "eta' is positive")
holds(sp.expand((1 + u * (u + above / u)) - (1 + u**2)) > 0, "eta > 1 + u^2")
zero(sp.limit(log_tau, u, 0), "-log tau at u = 0")

# %% [markdown]
# ## No fixed point below the wall, no oscillation
#
# For $\tau < 1$: $s < 1$, because $u > 0$; $s > \tau$, because $\eta > 1$; and $s > e^{-1/2}$, because
# $u^2/\eta(u) < u^2/(1 + u^2) < 1$ (this is the floor again). The sequence $\tau_t$ increases and is bounded by 1; the
# map is continuous (the inverse of a continuous increasing function), so that the limit is a fixed point, and the only
# one in $(0, 1]$ is 1.

# %%
holds(sp.simplify(1 - u**2 / (1 + u**2)) > 0, "u^2/(1 + u^2) < 1")
holds(sp.expand((1 + u * h) - 1) > 0, "eta > 1")

# %% [markdown]
# ## Near the wall: $\varepsilon' \approx \pi\varepsilon^2$
#
# $\tau \to 1$ is $u \to 0$. Expand $\varepsilon = 1 - \tau$ and $\varepsilon' = 1 - s$ in powers of $u$. Both are
# analytic there, and $\varepsilon$ begins with $u$, so that $\varepsilon'$ is a power series in $\varepsilon$; it
# begins with $\pi\varepsilon^2$.

# %%
series_eps = sp.series(1 - sp.exp(log_tau), u, 0, 3).removeO()
series_next = sp.series(1 - sp.exp(log_s), u, 0, 4).removeO()
equal(series_eps.coeff(u, 1), 1 / sp.sqrt(2 * sp.pi), "epsilon = u/sqrt(2 pi) + ...")
equal(series_next.coeff(u, 0), 0, "epsilon' has no constant term")
equal(series_next.coeff(u, 1), 0, "nor a linear one")
equal(series_next.coeff(u, 2), sp.Rational(1, 2), "epsilon' = u^2/2 + ...")
rate = sp.simplify(series_next.coeff(u, 2) / series_eps.coeff(u, 1) ** 2)
epsilon = sp.Symbol("epsilon", positive=True)
limit = sp.Limit(sp.Function("f")(epsilon) / epsilon**2, epsilon, 0)
near = states("wall-population", "near-wall", sp.Eq(limit, rate, evaluate=False))
near

# %% [markdown]
# ## The previous mask
#
# Masked by the previous generation's model, of scale $\tau < 1$, points with $|x| < \tau a$, $a = \sqrt{-2\log\tau}$,
# are left out, whatever the fit: $s^2 = \tau^2\eta(a) = e^{-a^2}\eta(a)$.

# %%
a_of_tau = sp.sqrt(-2 * sp.log(tau))
previous = tau * sp.sqrt(eta(a_of_tau))
states("wall-population", "previous-mask", sp.Eq(s, previous))
log_square = -(a**2) + sp.log(eta(a))  # log s^2
zero(sp.expand_log(sp.log(sp.exp(-(a**2) / 2) ** 2), force=True) + a**2, "tau^2 = exp(-a^2)")

# %% [markdown]
# It has no floor: $\eta(a) < 2 + a^2$ by the upper bound of the hazard, so that $s^2 < e^{-a^2}(2 + a^2) \to 0$ as
# $\tau \to 0$. And it overshoots: $\log s^2$ begins with $a\,h(0) > 0$. As $\varepsilon = 1 - \tau$ begins with
# $a^2/2$, the excess $s - 1$ begins with $\sqrt{\varepsilon/\pi}$.

# %%
equal(sp.limit(sp.exp(-(a**2)) * (2 + a**2), a, sp.oo), 0, "the bound vanishes")
equal(sp.expand(1 + a * (a + 1 / a)), 2 + a**2, "the bound of eta")
equal(sp.series(log_square, a, 0, 2).removeO(), sp.sqrt(2 / sp.pi) * a, "log s^2 near the wall")
excess = (sp.exp(log_square / 2) - 1) / sp.sqrt((1 - sp.exp(-(a**2) / 2)) / sp.pi)
zero(sp.limit(excess, a, 0, "+") - 1, "s - 1 over sqrt(epsilon/pi) tends to 1")

# %% [markdown]
# ## The largest overshoot
#
# The slope of $\log s^2$ in $a$ is $\eta'/\eta - 2a$; times $\eta$ it is $D = a h^2 + (1 - 3a^2) h - 2a$. We show that
# $D$ changes its sign once, from $+$ to $-$. With $h = a q$,
# $$\frac{D}{a} = (q - 2) - a^2 q (3 - q) .$$
# $q = h/a$ falls strictly from $\infty$ to 1: $a^2 q' = a h' - h = h\,(a(h - a) - 1) < 0$, and $1 < q < 1 + 1/a^2$.
#
# - While $q \ge 3$: $q - 2 > 0$ and the other term is not negative, $D > 0$.
# - Once $q \le 2$: $q - 2 \le 0$, and $a^2q(3-q) > 0$, $D < 0$.
# - In between $D > 0$ if and only if $a^2 < R(q) = \frac{q - 2}{q(3 - q)}$. $R$ increases with $q$ there, so $R(q(a))$
#   falls as $a$ grows, while $a^2$ grows: they cross once.
#
# So $s$ has one maximum over all $\tau < 1$, at the zero of $D$. It is in $0 < a < 1$: $D \to h(0) > 0$ at 0, and at
# $a = 1$ $q = h(1) < 2$ by the upper bound of the hazard.

# %%
q = sp.Symbol("q", positive=True)
h_a = sp.Symbol("h", positive=True)
numerator = (h_a + a * h_a * (h_a - a)) - 2 * a * (1 + a * h_a)  # eta' - 2 a eta
slope_terms = a * h_a**2 + (1 - 3 * a**2) * h_a - 2 * a
zero(sp.expand(numerator - slope_terms), "D")
zero(sp.expand(slope_terms.subs(h_a, a * q) / a - ((q - 2) - a**2 * q * (3 - q))), "D in terms of q")
zero(
    sp.expand((h_a * (a * (h_a - a))) - h_a - (h_a * (a * (h_a - a) - 1))),
    "a h' - h = h (a (h - a) - 1), which is negative as h < a + 1/a",
)
barrier = (q - 2) / (q * (3 - q))
zero(
    sp.simplify(sp.diff(barrier, q) - ((q - 2) ** 2 + 2) / (q**2 * (3 - q) ** 2)),
    "the slope of R, a sum of squares over a square",
)
stationary = sp.Eq(a * hazard(a) ** 2 + (1 - 3 * a**2) * hazard(a), 2 * a)
states("wall-population", "overshoot", stationary)

# %% [markdown]
# Its value, by ball arithmetic: $D$ has opposite signs at the two ends of an interval of length $2 \cdot 10^{-15}$, and
# $\tau$ and $s$ are enclosed by their values on that interval.

# %%
ctx.prec = 120


def ball_hazard(at):
    return (arb(2) / arb.pi()).sqrt() * (-at * at / 2).exp() / (at / arb(2).sqrt()).erfc()


def ball_slope(at):
    value = ball_hazard(at)
    return at * value * value + (1 - 3 * at * at) * value - 2 * at


low, high = arb(0), arb(1)
while high - low > arb("2e-15"):
    middle = (low + high) / 2
    low, high = (middle, high) if ball_slope(middle) > 0 else (low, middle)
holds(bool(ball_slope(low) > 0) and bool(ball_slope(high) < 0), "D is positive at the left end, negative at the right")
radius = low.union(high)
ball_tau = (-radius * radius / 2).exp()
ball_std = ball_tau * (1 + radius * ball_hazard(radius)).sqrt()
print(f"  a in {radius.str(17)}\n  tau in {ball_tau.str(17)}\n  s in {ball_std.str(17)}")
holds(bool(abs(ball_tau - arb("0.8916275")) < arb("5e-8")), "tau = 0.8916275 to all digits given")
holds(bool(abs(ball_std - arb("1.10619071")) < arb("5e-9")), "s = 1.10619071 to all digits given")

# %% [markdown]
# ## The functions of the library
#
# The reference solves $-\log\tau(u) = -\log\tau$ for $u$ in the bracket above, at 40 digits.

# %%
explicit_tau, explicit_s = (sp.lambdify(u, expression, "mpmath") for expression in (log_tau, log_s))


def reference(tau):
    root = mpmath.findroot(
        lambda at: explicit_tau(at) - mpmath.log(tau), (mpmath.mpf(10) ** -30, 1 / tau), solver="anderson", tol=1e-60
    )
    return mpmath.exp(explicit_s(root))


agrees("theory.wall.population_map", reference, where={"tau": (0.05, 0.999)})
agrees("theory.wall.population_map", previous, where={"tau": (0.05, 0.999)}, fixed={"mask": "previous"})
agrees("theory.wall.population_map", tau, where={"tau": (1.0, 5.0)})
best_tau, best_std = (sp.Float(ball.mid().str(30, radius=False), 30) for ball in (ball_tau, ball_std))
agrees_at("theory.wall.largest_overshoot", {}, [best_tau, best_std])
