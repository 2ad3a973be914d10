# %% [markdown]
# # TCE is cross entropy until a frequency exceeds the threshold
#
# With $CE_i(\theta) = -\log p_\theta(x_i)$ and $g = -\log \gamma$, cross entropy minimises the mean of $CE_i$ and TCE
# the mean of $\max(CE_i, g)$.

# %%
import warnings
from itertools import product

import sympy as sp
from checking import equal, holds, states, zero

import tce_theory as tce

gamma, sigma = sp.symbols("gamma sigma", positive=True)

# %% [markdown]
# ## One fit
#
# Let $\hat\theta$ be the unique minimiser of the mean cross entropy, with $p_{\hat\theta}(x_i) \le \gamma$ for all
# samples, that is $CE_i(\hat\theta) \ge g$. Then for every $\theta$
# $$\frac{1}{n} \sum_i \max(CE_i(\theta), g) \ge \frac{1}{n} \sum_i CE_i(\theta) \ge \frac{1}{n} \sum_i CE_i(\hat\theta)
# = \frac{1}{n} \sum_i \max(CE_i(\hat\theta), g),$$
# so $\hat\theta$ minimises the objective of TCE. The second inequality is strict for $\theta \ne \hat\theta$: it is the
# only minimiser, and no convention for choosing among minimisers is needed.

# %%
ce, floor, excess = sp.symbols("c g e", real=True)
maximum = sp.Max(ce, floor)
holds((sp.Max(0, floor - ce)) >= 0, "max(c, g) − c = max(0, g − c) ≥ 0")
for above in (True, False):
    offset = sp.Symbol("e", nonnegative=True)
    value = maximum.subs(ce, floor + offset if above else floor - offset)
    shown = sp.Max(0, floor - ce).subs(ce, floor + offset if above else floor - offset)
    equal(value - (floor + offset if above else floor - offset), shown, f"the identity for c {'≥' if above else '≤'} g")

# %% [markdown]
# **Categorical.** For frequencies $f$ the cross entropy $-\sum_i f_i \log q_i$ has the unique minimiser $q = f$: with
# $u_i = q_i/f_i$ on the drawn classes, $-\sum f_i \log u_i \ge \sum f_i (1 - u_i) = 1 - \sum_{\text{drawn}} q_i \ge 0$,
# because $-\log u \ge 1 - u$, strictly for $u \ne 1$. A sample of class $i$ has the probability $f_i$ under this fit.
# So if no frequency exceeds $\gamma$, the TCE fit is $f$.

# %%
u = sp.Symbol("u", positive=True)
gap = -sp.log(u) - (1 - u)
equal(gap.subs(u, 1), 0, "−log u and 1 − u touch at u = 1")
equal(sp.diff(gap, u).subs(u, 1), 0, "with the same slope")
holds(sp.diff(gap, u, 2) > 0, "and −log u is strictly convex")
f, q = sp.symbols("f q", positive=True)
zero(sp.expand(f * (1 - u).subs(u, q / f) - (f - q)), "f (1 − q/f) = f − q for each drawn class")

# %% [markdown]
# ## The paths
#
# Let $F_t$ be the random numbers of generation $t$ and $D(p, F)$ the data that they give from the model $p$, for
# instance by inverting the distribution function of $p$ at uniform numbers. Suppose that the two models of generation
# $t$ are equal. Then the data of generation $t + 1$ are equal, and if no frequency among them exceeds $\gamma$ the two
# fits are equal too. By induction from generation 0 the paths are the same until, in some generation $\tau$, a
# frequency exceeds $\gamma$ for the first time; the frequencies of generation $\tau$ themselves are still common to
# both.
#
# ## They part
#
# In generation $\tau$ the model of cross entropy is $f$ with $\max f > \gamma$. A TCE fit without a probability above
# $\gamma$ is another model. Fits of this kind are
#
# - the fits that are not vacuous: there is a drawn class $i$ with $q_i < \gamma$. If some $q_j > \gamma$, moving a
#   little mass from $j$ to $i$ leaves $\max(-\log q_j, g) = g$ as it is and lowers $-f_i \log q_i$: $q$ was no
#   minimiser;
# - the warm-started fits from a model without a probability above $\gamma$ (`support-floor`).

# %%
q_i, f_i, moved = sp.symbols("q_i f_i epsilon", positive=True)
holds(sp.diff(-f_i * sp.log(q_i + moved), moved) < 0, "the loss of the drawn class falls as mass moves to it")

# %% [markdown]
# **Where they do not part**: two classes, $\gamma = .9$, all draws in class 1. The frequencies are $(1, 0)$. Under
# `drawn-only` the class that is not drawn is lost, and the model is $(1, 0)$ as for cross entropy.
#
# A check by enumeration, two classes (numerical): the library's fits from $(1/2, 1/2)$ for every sample of ten points.

# %%
warnings.simplefilter("ignore", tce.StatisticalWarning)  # a vacuous fit says so
start = tce.Categorical([0.5, 0.5])
for threshold, convention in product((0.6, 0.75, 0.9), ("warm", "drawn-only")):
    for count in range(11):
        frequencies = [count / 10, 1 - count / 10]
        fitted = tce.fit(start, tce.Counts([count, 10 - count]), tce.TCE(threshold, vacuous=convention)).model.probs
        same = bool(abs(fitted[0] - frequencies[0]) < 1e-12)
        capped = max(frequencies) > threshold + 1e-12
        lost = convention == "drawn-only" and count in (0, 10)
        assert same is (not capped or lost), (threshold, convention, count)
print("✓ the fits of 66 samples agree exactly where they should (numerical)")

# %% [markdown]
# ## Gaussian
#
# The density of $N(\mu, \sigma^2)$ is largest at $\mu$. If that peak is at most $\gamma$, no sample has a density above
# $\gamma$, and the first section applies. The cross-entropy fit here is that of maximum likelihood, `ddof` 0 (the
# divisor $n - 1$ minimises nothing, and TCE has no version with it). It is unique as soon as two samples differ, for
# with $v = \sigma^2$ and the mean square $s$ of the samples around $\mu$ the mean cross entropy is $\frac{1}{2}
# \log(2\pi v) + \frac{s}{2v}$, which for fixed $\mu$ falls for $v < s$ and rises for $v > s$, and at $v = s$ increases
# with $s$, which is least at the sample mean alone.

# %%
x, mu = sp.symbols("x mu", real=True)
density = sp.exp(-((x - mu) ** 2) / (2 * sigma**2)) / (sp.sqrt(2 * sp.pi) * sigma)
peak = density.subs(x, mu)
zero(sp.diff(sp.log(density), x) + (x - mu) / sigma**2, "the density rises up to μ and falls beyond")
[critical] = sp.solve(sp.Eq(peak, gamma), sigma)
holds(sp.diff(peak, sigma) < 0, "the peak falls with σ: it is at most γ if and only if σ is at least the root")
states("neutral-until-cap", "gaussian", sp.Ge(sigma, critical))

# %%
v, s = sp.symbols("v s", positive=True)
mean_ce = sp.log(2 * sp.pi * v) / 2 + s / (2 * v)
equal(sp.diff(mean_ce, v), (v - s) / (2 * v**2), "the slope in the variance")
holds(sp.diff(sp.expand_log(mean_ce.subs(v, s)), s) > 0, "the profile increases with the mean square")

# %% [markdown]
# **The converse fails.** Data $\pm 1$, $\gamma = .3$: the cross-entropy fit is $\mu = 0$, $\sigma = 1 < \sigma_c$, its
# peak exceeds $\gamma$, but the density at the samples does not. By the first section it is the TCE fit.

# %%
threshold = sp.Rational(3, 10)
at_samples = density.subs({mu: 0, sigma: 1, x: 1})
holds(critical.subs(gamma, threshold) > 1, "σ = 1 is below σ_c")
holds(peak.subs(sigma, 1) > threshold, "the peak exceeds γ")
holds(at_samples < threshold, "but no sample lies there")
fitted = tce.fit(tce.Gaussian(), [-1.0, 1.0], tce.TCE(0.3)).model
holds(abs(fitted.mean) < 1e-12 and abs(fitted.std - 1) < 1e-12, "the library's fit is the same (numerical)")
