# %% [markdown]
# # What zero-drift truncation gains over cross entropy
#
# A run is faithful as long as $|\log(\sigma_t^2/\sigma_0^2)| \le b$. How much longer is that with relative truncation
# at its best, with no drift of $\log\sigma^2$, than under cross entropy? In the diffusion limit both are Brownian
# motions, and the mean exit times solve differential equations.

# %%
import math

import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero
from flint import arb, ctx

from tce_theory import TruncatedCrossEntropy
from tce_theory.exact import gaussian_first_passage
from tce_theory.theory.truncated import extension_law, log_critical_radius, relative_gamma

b, k, z = sp.symbols("b k z", positive=True)
x = sp.Symbol("x", real=True)
n = sp.Symbol("n", positive=True)

# %% [markdown]
# ## The diffusion limit
#
# Under cross entropy the steps of $\log\sigma^2$ are independent, with mean $-2/n + O(n^{-2})$ (mean fitted) or $-1/n +
# O(n^{-2})$ (known) and variance $2/n + O(n^{-2})$ (`gaussian-ce-law`: digamma and trigamma). At the radius of zero
# drift the variance is $2/n + O(n^{-2})$ as well: the kurtosis of a kept point tends to 3 as $a_{log} \to 0$, and
# $\kappa/k \to 2/n$ (`critical-truncation`; $\mathrm{E}[1/K] = 1/n + O(n^{-2})$, and the drift given $k$ varies with
# $K$ by $O(n^{-2})$ only; too few points for a fit have a probability below any power of $1/n$). Fourth central moments
# of a step are $O(n^{-2})$, by the expansion of $\log V$ there, so that Lindeberg's condition holds. By Donsker's
# theorem (for rows of independent steps) $\log\sigma^2$ in time $t/n$ tends to a Brownian motion with variance 2 and
# drift $-k$, where $k = 2$, 1 or 0. Exit times of the band converge with it, because a Brownian motion that reaches an
# end of the band is beyond it at once, and so do their means, because they have geometric tails uniformly in $n$: from
# anywhere in the band, the chance to be out after $n$ more steps is bounded below.

# %%
for fitted, drift in ((1, -2), (0, -1)):
    degrees = n - fitted
    mean_step = -1 / degrees + sp.log(degrees / n)  # psi(y) = log y - 1/(2y) + O(y^-2) at y = degrees/2
    equal(sp.limit(n * mean_step, n, sp.oo), drift, f"n times the mean step, {'fitted' if fitted else 'known'} mean")
    equal(sp.limit(n * 2 / degrees, n, sp.oo), 2, "n times the variance of a step: psi'(y) = 1/y + O(y^-2)")

# %%
a = sp.Symbol("a", positive=True)
density = sp.exp(-(z**2) / 2)
moments = [sp.integrate(z**i * density, (z, a, sp.oo)) / sp.integrate(density, (z, a, sp.oo)) for i in (2, 4)]
equal(sp.limit(moments[1] / moments[0] ** 2 - 1, a, 0), 2, "kappa tends to 2 as the radius tends to 0")

# %% [markdown]
# ## Mean exit times
#
# Let $u(x)$ be the mean time, in units of $n$ generations, at which the motion from $x$ leaves $(-b, b)$. With variance
# 2 and drift $-k$ the generator is $u'' - k u'$, so that $u'' - k u' = -1$ and $u(\pm b) = 0$ (Dynkin's formula; $u$ is
# smooth and bounded). Solve for both cases.

# %%
u = sp.Function("u")


def exit_time(drift):
    """Solve u'' − drift u' = −1 with u(±b) = 0."""
    equation = sp.Eq(u(x).diff(x, 2) - drift * u(x).diff(x), -1)
    solution = sp.dsolve(equation, u(x), ics={u(b): 0, u(-b): 0}).rhs
    zero(sp.simplify(equation.lhs.subs(u(x), solution).doit() + 1), "the solution solves the equation")
    zero(sp.simplify(solution.subs(x, b)), "it vanishes at b")
    zero(sp.simplify(solution.subs(x, -b)), "it vanishes at -b")
    return sp.simplify(solution.subs(x, 0))


with_drift = exit_time(k)
equal(with_drift.rewrite(sp.exp), (b / k * sp.tanh(k * b / 2)).rewrite(sp.exp), "cross entropy: (b/k) tanh(kb/2)")

# %%
without_drift = exit_time(0)
equal(without_drift, b**2 / 2, "zero drift: b^2/2")

# %% [markdown]
# ## The ratio
#
# The factor $n$ cancels.

# %%
ratio = sp.simplify(without_drift / (b / k * sp.tanh(k * b / 2)))
fitted = equal(ratio.subs(k, 2), b * sp.coth(b), "mean fitted").rhs
known = equal(ratio.subs(k, 1), b / 2 * sp.coth(b / 2), "mean known").rhs
states("extension-law", "fitted-mean", sp.Eq(sp.Function("r")(b), fitted))

# %%
states("extension-law", "known-mean", sp.Eq(sp.Function("r")(b), known))

# %% [markdown]
# ## It grows from 1
#
# The slope of $b\coth b$ is $(\sinh b\cosh b - b)/\sinh^2 b$, and $\sinh b\cosh b = \frac12\sinh 2b > b$: the
# difference vanishes at 0 and has the slope $\cosh 2b - 1 = 2\sinh^2 b > 0$. The other law is the same function at
# $b/2$.

# %%
numerator = sp.sinh(b) * sp.cosh(b) - b
zero((sp.diff(fitted, b) - numerator / sp.sinh(b) ** 2).rewrite(sp.exp), "the slope of b coth b")
equal(numerator.subs(b, 0), 0, "its numerator vanishes at 0")
zero((sp.diff(numerator, b) - 2 * sp.sinh(b) ** 2).rewrite(sp.exp), "and has the slope 2 sinh(b)^2")
holds(2 * sp.sinh(b) ** 2 > 0, "which is positive")
equal(sp.limit(fitted, b, 0), 1, "the limit at 0")
equal(known, fitted.subs(b, b / 2), "the law for a known mean is that at b/2")

# %% [markdown]
# ## Tight tolerances
#
# A band of a factor of two in $\sigma^2$ is $b = \log 2$. For a factor of 2.3 the band must be wide: as $b\coth b$ is
# increasing, the sign of $b\coth b - 2.3$ at both ends of an interval encloses the only solution. The signs are
# certain, by ball arithmetic.

# %%
at_log_two = equal(
    fitted.subs(b, sp.log(2)).rewrite(sp.exp), sp.Rational(5, 3) * sp.log(2), "at b = log 2: (5/3) log 2"
).rhs
ctx.dps = 30
enclosed = arb(2).log() * 5 / 3
print(f"(5/3) log 2 = {enclosed.str(12)}")
holds(bool(abs(enclosed - arb("1.1552")) < arb("5e-5")), "1.1552 to all digits (interval arithmetic)")

# %%


def excess(width):
    return width * width.coth() - arb("2.3")


low, high = arb("2.249395"), arb("2.249405")
print(f"b coth b - 2.3 at the ends: {excess(low).str(6)}, {excess(high).str(6)}")
holds(
    bool(excess(low) < 0) and bool(excess(high) > 0),
    "2.3 is reached at b = 2.24940 to all digits (interval arithmetic)",
)
holds(bool(low.exp() > arb("9.48")), "a band of more than a factor of 9.48 on either side (interval arithmetic)")

# %% [markdown]
# ## Finite $n$ (numerical)
#
# From the exact first-passage laws of both walks, at integer times and with the previous model kept where too few
# points are left. The excess over the limit about halves as $n$ grows fourfold.

# %%
excesses = {}
for size in (100, 400):
    loss = TruncatedCrossEntropy(relative_gamma(log_critical_radius(size)), scale="relative", mask="previous")
    band = {"low": 0.5**0.5, "high": 2**0.5, "horizon": 12 * size}  # of the scale
    held, under_ce = (gaussian_first_passage(size, **band, **more).restricted_mean for more in ({"loss": loss}, {}))
    excesses[size] = held / under_ce - extension_law(math.log(2))
    print(f"n = {size}: {held:.4f} against {under_ce:.4f} generations, ratio {held / under_ce:.4f}")
holds(bool(0.45 < excesses[400] / excesses[100] < 0.6), "the excess falls about as the root of n (numerical)")

# %% [markdown]
# ## The function of the library

# %%
agrees("theory.truncated.extension_law", fitted, where={"b": (1e-3, 20.0)})
agrees("theory.truncated.extension_law", known, where={"b": (1e-3, 20.0)}, fixed={"fit_mean": False})
agrees_at("theory.truncated.extension_law", {"b": float(sp.log(2))}, at_log_two)
