# %% [markdown]
# # TCE is cross entropy with a reflecting wall
#
# A Gaussian is fitted again and again to $n$ points drawn from its last fit. Write $Y_t = \log(\sigma_t^2/\sigma_c^2)$,
# where $\sigma_c$ is the scale at which the peak density is the threshold $\gamma$; the floor
# $\sigma_f = \sigma_c e^{-1/2}$ is at $Y = -1$. Let $\xi_t = \log(\hat\sigma_{t+1}^2/\sigma_t^2)$, where
# $\hat\sigma_{t+1}^2$ is the variance that *cross entropy* fits to the points that generation $t + 1$ is fitted to.

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, zero

from tce_theory import theorems

gamma, std = sp.symbols("gamma sigma", positive=True)
peak = 1 / (std * sp.sqrt(2 * sp.pi))
(sigma_c,) = sp.solve(sp.Eq(peak, gamma), std)
equal(peak.subs(std, sigma_c), gamma, "sigma_c solves it, the only one, as the peak falls with sigma")
holds(sp.diff(peak, std) < 0, "the peak density falls with sigma")
states("density-wall", "critical-scale", sp.Eq(sp.Function("sigma_c")(gamma), sigma_c))

# %% [markdown]
# The points are $x_i = \mu_t + \sigma_t z_i$ with standard normal $z_i$ that are independent of the past, and
# $\hat\sigma_{t+1}^2/\sigma_t^2$ is the variance of the $z_i$ around 0 or around their mean. So the $\xi_t$ are
# independent and have one law, that of `gaussian-ce-law`, *whatever TCE has done before*: the steps are those of cross
# entropy, on the path of TCE. The points are all the same (or, with a known mean, all at the mean) with probability 0.
# On every other path all $\xi_t$ are finite, and these are the paths that are meant by "every path".
#
# ## One step
#
# `density-floor` bounds every fit:
# $\max(\sigma_f^2, \hat\sigma_{t+1}^2) \le \sigma_{t+1}^2 \le \max(\sigma_c^2, \hat\sigma_{t+1}^2)$. Divide by
# $\sigma_c^2$ and take logarithms (increasing, so that they pass through the maximum): with
# $\hat\sigma_{t+1}^2 = e^{\xi_t}\sigma_t^2$,
# $$\max(-1, Y_t + \xi_t) \le Y_{t+1} \le \max(0, Y_t + \xi_t) .$$

# %%
critical = sp.Symbol("sigma_c", positive=True)
y, xi, following = sp.symbols("y xi y_next", real=True)
lower = theorems.get("density-floor").claim("lower").sympy_relation()
upper = theorems.get("density-floor").claim("upper").sympy_relation()
of_floor = {symbol.name: symbol for symbol in lower.free_symbols}
path = {  # variances in terms of Y_t, Y_{t+1} and xi_t
    of_floor["gamma"]: 1 / (critical * sp.sqrt(2 * sp.pi)),
    of_floor["ce_variance"]: sp.exp(xi) * critical**2 * sp.exp(y),
    of_floor["variance"]: critical**2 * sp.exp(following),
}


def logarithm(variance):
    """log(variance/sigma_c^2), also through a maximum."""
    if isinstance(variance, sp.Max):
        return sp.Max(*(logarithm(member) for member in variance.args))
    return sp.expand_log(sp.log(sp.simplify(variance.subs(path) / critical**2)), force=True)


equal(logarithm(lower.lhs), following, "log(sigma_{t+1}^2/sigma_c^2)")
lower_step = sp.Ge(following, logarithm(lower.rhs), evaluate=False)
states("density-wall", "one-step-lower", lower_step)
upper_step = sp.Le(following, logarithm(upper.rhs), evaluate=False)
states("density-wall", "one-step-upper", upper_step)
upper_step

# %% [markdown]
# *Vacuous generations.* The two inequalities need of the fit to a vacuous sample that it lies in
# $[\sigma_f, \sigma_c]$. Every minimiser is at most $\sigma_c$, but only the choice of largest entropy is at least
# $\sigma_f$ for all such samples: the minimisers are all $\sigma$ with surplus
# $\log(\sigma/\sigma_c) + v^2/(2\sigma^2) \le 0$ at the largest distance $v$ (`density-floor`), and the fit
# $\hat\sigma$ of cross entropy is one of them if $v$ is small enough. Whoever keeps it then loses the wall:
# $\gamma = 0.85$, points $\pm 0.1$, $\hat\sigma = v = 0.1$, from $\sigma_t = \sigma_f$.

# %%
threshold, distance = sp.Rational(85, 100), sp.Rational(1, 10)
surplus = sp.log(distance / sigma_c.subs(gamma, threshold)) + sp.Rational(1, 2)
holds(surplus < 0, "sigma = 0.1 masks both points: a minimiser of the vacuous case")
kept = 2 * sp.log(distance / sigma_c.subs(gamma, threshold))  # the next Y, if cross entropy's fit is kept
holds(kept < -1, "it violates the lower bound, which is at least -1")

# %% [markdown]
# ## Every step: the reflected walk
#
# Let $W_0 = \max(0, Y_0)$ and $W_{t+1} = \max(0, W_t + \xi_t)$, and $Y_0 \ge -1$. Then $W_t - 1 \le Y_t \le W_t$ for
# every $t$, by induction.
#
# *Start.* If $Y_0 \ge 0$, then $W_0 = Y_0$. If $-1 \le Y_0 < 0$, then $W_0 = 0$, and $Y_0 \in [-1, 0]$.
#
# *Step.* Let it hold at $t$: $Y_t = W_t - d$ with $0 \le d \le 1$. As the maximum is monotone,
# $$Y_{t+1} \le \max(0, W_t - d + \xi_t) \le \max(0, W_t + \xi_t) = W_{t+1},$$
# $$Y_{t+1} \ge \max(-1, W_t - d + \xi_t) \ge \max(-1, W_t - 1 + \xi_t) = \max(0, W_t + \xi_t) - 1 = W_{t+1} - 1 .$$
# The last line is where it matters that the floor is *one* below the wall: a common shift passes through the maximum.

# %%
walk = sp.Symbol("W", nonnegative=True)
shifted = sp.Max(-1, walk - 1 + xi)
for case, value in (("W + xi >= 0", sp.Symbol("p", nonnegative=True)), ("W + xi < 0", sp.Symbol("m", negative=True))):
    zero(
        (shifted - (sp.Max(0, walk + xi) - 1)).subs(xi, value - walk),
        f"max(-1, W - 1 + xi) = max(0, W + xi) - 1, {case}",
    )
gap, room = sp.symbols("d e", nonnegative=True)  # Y = W - d, and 1 - d = e
holds((walk + xi) - (walk - gap + xi) >= 0, "W - d + xi <= W + xi")
holds(sp.expand((walk - (1 - room) + xi) - (walk - 1 + xi)) >= 0, "W - d + xi >= W - 1 + xi, where d = 1 - e")

# %% [markdown]
# If $Y_0 < -1$, then $Y_1 \ge -1$ by the floor, and the statement holds from generation 1 on.
#
# ## The walk as a maximum
#
# With $S_t = \xi_0 + \cdots + \xi_{t-1}$, $W_t = \max(W_0 + S_t, \max_{s \le t}(S_t - S_s))$. For $t = 0$ this is
# $\max(W_0, 0)$. From $t$ to $t + 1$: $\xi_t$ is added to each member of the maximum, and the new member with
# $s = t + 1$ is 0. So it obeys the same recursion.

# %%
sum_before, first, largest = sp.symbols("S W_0 M", real=True)  # M = -min of S_s, s <= t
inside = sp.Max(first + sum_before, sum_before + largest)
shift = sp.Symbol("c", real=True)
for low, high in ((first, largest), (largest, first)):
    rise = sp.Symbol("r", nonnegative=True)
    zero(
        (sp.Max(first + sum_before + shift, sum_before + largest + shift) - (inside + shift)).subs(high, low + rise),
        "a common step passes through the maximum",
    )

# %% [markdown]
# ## Recurrence
#
# *The drift is negative.* By Jensen's inequality (strict, as $\xi$ is not constant) $E\xi < \log E e^\xi$, and
# $E e^\xi$ is $1 - 1/n$ with a fitted mean and 1 with a known one: $E\xi < 0$. The step has finite mean and variance
# (`gaussian-ce-law`).

# %%
n = sp.Symbol("n", positive=True)
moment = sp.simplify(sp.gammasimp(sp.gamma((n - 1) / 2 + 1) / sp.gamma((n - 1) / 2) * (2 / n)))
equal(moment, 1 - 1 / n, "E exp(xi), mean fitted: chi-square with n - 1 degrees of freedom over n")
zero(sp.gammasimp(sp.gamma(n / 2 + 1) / sp.gamma(n / 2) * (2 / n)) - 1, "E exp(xi), mean known")

# %% [markdown]
# *$W$ returns to 0 in finite mean time.* From $W = w$ the walk moves by $\max(-w, \xi)$, whose mean tends to $E\xi < 0$
# as $w \to \infty$ (dominated convergence): there is a $K$ with mean move at most $E\xi/2$ for $w > K$. By Foster's
# criterion $[0, K]$ is reached from any $w$ in a mean time of at most $w/(|E\xi|/2)$. From $[0, K]$ the walk is at 0
# after one step with probability at least $\Pr(\xi < -K) > 0$, as $\log\chi^2$ takes every real value. Geometrically
# many attempts, each of bounded mean length: the mean time until $W = 0$ is finite, and bounded for starts in a bounded
# interval.
#
# *So does $\sigma$ to $[\sigma_f, \sigma_c]$.* Where $W_t = 0$, $Y_t \in [-1, 0]$.
#
# *One stationary law.* The scales alone are a Markov chain, because the fit moves along when the points are shifted.
# Let $C = [\sigma_f, 2\sigma_c]$. From $\sigma \in C$ the event $\hat\sigma > \sigma_c$ makes
# $\sigma_{t+1} = \hat\sigma$, and $\hat\sigma^2 = \sigma^2\chi^2_\nu/n$ has a density that is positive and continuous
# jointly in $\sigma$ and $\hat\sigma$; on the compact set $C \times [\sigma_c, 2\sigma_c]$ it has a positive minimum.
# So for some $\epsilon > 0$ the next law from any point of $C$ contains $\epsilon$ times the uniform law on
# $[\sigma_c, 2\sigma_c] \subset C$: $C$ is a small set, and there is no period. From every point of $C$ the walk starts
# at $W \le \log 4$, so that the mean time of return to $C$ is bounded on $C$. Such a chain is positive Harris
# recurrent, and its law converges in total variation to its only stationary law (Meyn and Tweedie 2009, theorem
# 13.0.1). Without truncation $Y_t = Y_0 + S_t \to -\infty$: that is the collapse.
#
# ## Neither bound can be improved
#
# Known mean 0, $\sigma_c = 1$, any $t \ge 0$. By the walk, $D_t = W_t - Y_t \le 1$. So a sample with
# $\hat\sigma_{t+1}^2 \le e^{-1}$ makes $W_{t+1} = 0$, whatever came before:
# $W_t + \xi_t = W_t - Y_t + \log\hat\sigma_{t+1}^2 \le 1 - 1$.
#
# *The lower bound.* If the points tend to $(e^{-1/2}, 0, \ldots, 0)$, then $\sigma_{t+1} \to \sigma_f$, so that
# $Y_{t+1} \to -1$. For at the limit the minimiser is unique (`density-floor`: $v = \sigma_f$); the objective is convex
# in the natural parameters and depends continuously on the points, and minimisers of convex functions that converge
# pointwise tend to the minimiser of the limit, if that is unique (Rockafellar 1970, theorems 10.8 and 27.2). With a
# fitted mean $(e^{-1/2}, -e^{-1/2}, 0, \ldots, 0)$ does the same. Points close to these, with the outer ones nearer to
# 0 than $e^{-1/2}$, have $\hat\sigma_{t+1}^2 < e^{-1}$ if the others are close enough to 0: $W_{t+1} = 0$.
#
# *The upper bound.* If all points tend to 0, all are masked at once, $\sigma_{t+1} \to \sigma_c$ (`density-floor`,
# $v \to 0$), so that $Y_{t+1} \to 0$, and again $W_{t+1} = 0$; the same with a fitted mean.
#
# Every open set of points has positive probability, from every $\sigma_t$. What is left to see is the variance in the
# first case, with the outer points at $(1 - c)e^{-1/2}$, $0 < c < 1$, and the others at 0.

# %%
more = sp.Symbol("m", nonnegative=True)  # n = 1 + m, or n = 2 + m with a fitted mean
odds = sp.Symbol("o", positive=True)  # 1 - c = 1/(1 + o), any number in (0, 1)
for outer, points in ((1, 1 + more), (2, 2 + more)):
    ce_variance = outer * (1 / (1 + odds)) ** 2 * sp.exp(-1) / points
    numerator = sp.factor(sp.simplify(sp.exp(-1) - ce_variance) * sp.E * points * (1 + odds) ** 2)
    holds(sp.expand(numerator) > 0, "the variance of cross entropy is below exp(-1)")
log_variance = sp.Symbol("l", nonnegative=True)  # the log of the variance is -1 - l
slack = sp.Symbol("e", nonnegative=True)  # D = 1 - e
holds(((1 - slack) + (-1 - log_variance)).expand() <= 0, "W + xi <= 0")
zero(sp.log(1) - sp.log(sp.exp(-sp.Rational(1, 2)) ** 2) - 1, "the two limits of Y are one apart: all of the width")

# %% [markdown]
# ## The functions of the library
#
# On a path of rational steps, computed here by the formula with the maximum and in the library by the recursion.

# %%
agrees("theory.wall.critical_std", sigma_c, where={"gamma": (1e-3, 1e3)})
steps = [sp.Rational(k, 16) for k in (-9, 4, 13, -2, -30, 7, -1, 5, 5, -11)]
start = sp.Rational(3, 8)
sums = [sp.Add(*steps[:t]) for t in range(len(steps) + 1)]
walk_path = [sp.Max(start + sums[t], *(sums[t] - sums[s] for s in range(t + 1))) for t in range(len(sums))]
arguments = {"steps": [float(step) for step in steps], "start": float(start)}
agrees_at("theory.wall.reflected_walk", arguments, walk_path)
agrees_at("theory.wall.log_variance_bounds", arguments, walk_path, part="upper")
agrees_at("theory.wall.log_variance_bounds", arguments, [w - 1 for w in walk_path], part="lower")
