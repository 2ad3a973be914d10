# %% [markdown]
# # For how long the entropy of a network's unmasked targets cannot fail under TCE
#
# By `head-identity`, for a target with features $h$ that do not depend on $\theta_h = (W, b)$, $\mathrm{CE}_i - H_i =
# \langle\theta_h, \nabla_{\theta_h}\mathrm{CE}_i\rangle$. Weights $w_i \ge 0$ are constants; $N = \sum_i w_i > 0$.

# %%
import flint
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, summed, zero

gamma = sp.Symbol("gamma", positive=True)
w_i, u_i, H_i = sp.symbols("w_i u_i H_i", real=True)
N, sum_wu, sum_wH = sp.symbols("N U E", real=True)

# %% [markdown]
# ## The margin
#
# Multiply by $w_i/N$ and add up: with $L = \sum_i w_i\mathrm{CE}_i/N$, its value $\bar u$ and the metric $\bar H$,
# $\bar u - \bar H = \langle\theta_h, \nabla L\rangle$.

# %%
weighted = summed(w_i * (u_i - H_i) / N, {w_i * u_i: sum_wu, w_i * H_i: sum_wH})
zero(weighted - (sum_wu / N - sum_wH / N), "the weighted mean of CE − H")

# %% [markdown]
# By Cauchy–Schwarz (`head-certificate`), $\bar H \ge \bar u - \lVert\theta_h\rVert\lVert\nabla L\rVert$. Where $w_i >
# 0$, $p_i \le \gamma$, so that $u_i \ge -\log\gamma$, and so is the mean $\bar u$.

# %%
parameter, gradient = sp.symbols("parameter_norm gradient_norm", nonnegative=True)
threshold, H = sp.symbols("threshold H", real=True)
weight, excess, slack = sp.symbols("w_pos a k", nonnegative=True)  # a = u_i + log γ; k = what Cauchy–Schwarz leaves
above = weight * (-sp.log(gamma) + excess) - weight * -sp.log(gamma)
holds(sp.expand(above) >= 0, "a term: w u ≥ −w log γ")
entropy = -sp.log(gamma) + excess - parameter * gradient + slack
right = -sp.log(gamma) - threshold - parameter * gradient
equal(entropy - threshold - right, excess + slack, "H̄ − h, less the margin")
holds(excess + slack >= 0, "is not negative")
states("floor-interval", "margin", sp.Ge(H - threshold, right))

# %% [markdown]
# ## The interval
#
# If a generation fails, $\bar H < h$, its margin is negative: $\lVert\theta_h\rVert\lVert\nabla L\rVert > -\log\gamma -
# h$. So the first that fails is not before the first with such a certificate. Nothing is used about where the targets
# come from, or about other generations.
#
# In numbers: with the certificates $1/100, 1/20, 3/10, 1/50$, $\gamma = 3/10$ and $h = 1$ the first that is above
# $\log\frac{10}{3} - 1 = .204$ is the third. With $h = 5/4 > \log\frac{10}{3}$ none is certified, not even at 0.

# %%
certificates = [sp.Rational(1, 100), sp.Rational(1, 20), sp.Rational(3, 10), sp.Rational(1, 50)]
room = sp.log(sp.Rational(10, 3)) - 1
pattern = [bool(value > room) for value in certificates]
holds(pattern == [False, False, True, False], "above −log γ − h: the third alone")
first = 1 + pattern.index(True)
holds(not any(value > sp.log(sp.Rational(10, 3)) - sp.Rational(1, 2) for value in certificates), "none for h = 1/2")
holds(sp.log(sp.Rational(10, 3)) - sp.Rational(5, 4) < 0, "and all for h = 5/4")

# %% [markdown]
# ## Stationary generations
#
# Stationary in $\theta_h$ means (`hinge-form`, the features held fixed) that $\sum_i w_i\nabla\mathrm{CE}_i = 0$ for
# some admissible $w$. With these weights $\nabla L = 0$, the certificate is 0, and it exceeds $-\log\gamma - h \ge 0$
# at no generation: $T = \infty$. (This is the floor of `entropy-identity`, generation by generation.)

# %%
zero(right.subs(gradient, 0) - (-sp.log(gamma) - threshold), "the margin of a stationary generation")

# %% [markdown]
# ## The weights on the threshold
#
# Let $p_i = \gamma \ge 1/2$. To join all other classes into one lowers the entropy or keeps it: of two with $x$ and
# $y$, $-x\log x - y\log y \ge -(x + y)\log(x + y)$, as $x, y \le x + y$. So $H_i \ge -\gamma\log\gamma - (1 -
# \gamma)\log(1 - \gamma)$, which is $-\log\gamma + (1 - \gamma)\log\frac{\gamma}{1 - \gamma} \ge -\log\gamma = u_i$.
# Let $w$ be the weights of stationarity, and $w' \ge w$ differ from them on the threshold only:
# $$\sum_i w'_i(H_i - u_i) = \sum_i w_i(H_i - u_i) + \sum_{p_i = \gamma}(w'_i - w_i)(H_i + \log\gamma) \ge 0,$$
# because the first sum is 0. So $\bar H$ is at least the mean of $u_i$ with these weights too, which is at least
# $-\log\gamma$.

# %%
x, y = sp.symbols("x y", positive=True)
zero(
    sp.expand_log(-x * sp.log(x) - y * sp.log(y) + (x + y) * sp.log(x + y))
    - sp.expand(x * (sp.log(x + y) - sp.log(x)) + y * (sp.log(x + y) - sp.log(y))),
    "what joining takes away: x log((x + y)/x) + y log((x + y)/y)",
)
holds(sp.log(1 + y / x) > 0, "of which each term is positive")

# %%
joined = -gamma * sp.log(gamma) - (1 - gamma) * sp.log(1 - gamma)
gain = (1 - gamma) * (sp.log(gamma) - sp.log(1 - gamma))
equal(joined + sp.log(gamma), gain, "H_i + log γ of two classes")
odds = sp.Symbol("r", nonnegative=True)  # γ/(1 − γ) = 1 + r, from γ = 1/2 on
equal((gamma / (1 - gamma)).subs(gamma, (1 + odds) / (2 + odds)), 1 + odds, "γ ≥ 1/2 is γ/(1 − γ) ≥ 1")
holds(sp.log(1 + odds) >= 0, "and its logarithm is not negative")

# %% [markdown]
# **Below 1/2 it fails.** One feature $h$, three classes, logits $Wh$ with $W = 16\,(\log 44, \log 45, \log 38)$. In the
# context $h = 1$ the prediction is $q \propto (44^{16}, 45^{16}, 38^{16})$; in the context $h = -1/16$ it is $r \propto
# (1/44, 1/45, 1/38)$. Put $\gamma = q_1$. There are $m$ targets of class 1 at $h = 1$, all on the threshold, and $n$
# targets at $h = -1/16$ with label frequencies $f = r - \frac{16}{100}(q - e_1)$, positive and rational; there are $n$
# for which these are whole numbers. All their classes have $r_j < \gamma$: unmasked.

# %%
bases = [sp.Integer(44), sp.Integer(45), sp.Integer(38)]
q = [base**16 / sum(other**16 for other in bases) for base in bases]
r = [1 / base / sum(1 / other for other in bases) for base in bases]
cap = q[0]
frequencies = [r_j - sp.Rational(16, 100) * (q_j - int(j == 0)) for j, (q_j, r_j) in enumerate(zip(q, r, strict=True))]
holds(all(f > 0 for f in frequencies), "label frequencies are positive")
zero(sum(frequencies) - 1, "and sum to 1")
holds(all(r_j < cap for r_j in r), "all classes at h = −1/16 are below γ")
zero(q[1] / q[0] - (bases[1] / bases[0]) ** 16, "logits of h = 1: 16 log of the bases")
zero(r[1] / r[0] - bases[0] / bases[1], "those of h = −1/16: −1/16 of these")

# %% [markdown]
# The gradient in $W$, with weight $w$ on the first: $w m (q - e_1) - \frac{n}{16}(r - f)$. It vanishes for $w m =
# n/100$, so that the point is stationary for every $m \ge n/100$.

# %%
for j, (q_j, r_j, f_j) in enumerate(zip(q, r, frequencies, strict=True)):
    zero((q_j - int(j == 0)) / 100 - (r_j - f_j) / 16, f"component {j + 1}, per n")

# %% [markdown]
# With full weight the mean entropy is $(m H(q) + n H(r))/(m + n)$, which tends to $H(q)$ as $m$ grows. And $H(q) <
# -\log\gamma$, by ball arithmetic.


# %%
def ball(value):
    return flint.arb(flint.fmpq(int(value.p), int(value.q)))


entropy_q = -sum((ball(q_j) * ball(q_j).log() for q_j in q), flint.arb(0))
floor = -ball(cap).log()
print("H(q) in", entropy_q, "and −log γ in", floor)
holds(bool(entropy_q < floor), "H(q) < −log γ")

# %% [markdown]
# ## What it does not say
#
# **All targets.** Two contexts of a table (one-hot features, no bias), two targets each. The first has each label once
# and $q = (1/2, 1/2)$: its gradient is $q - f = 0$. The second has label 1 and $q = (.99, .01)$, masked under $\gamma =
# 3/5$: no gradient. Stationary, with $N = 2$; the mean over both contexts is below $-\log\gamma$.

# %%
unmasked = sp.log(2)
masked = -sp.Rational(99, 100) * sp.log(sp.Rational(99, 100)) - sp.log(sp.Rational(1, 100)) / 100
holds(sp.Rational(1, 2) < sp.Rational(3, 5) < sp.Rational(99, 100), "the first is unmasked, the second masked")
zero(sp.Rational(1, 2) - sp.Rational(1, 2), "the gradient of the first")
holds((unmasked + masked) / 2 < -sp.log(sp.Rational(3, 5)) < unmasked, "below the floor; the unmasked ones are above")

# %% [markdown]
# **All masked.** The second context alone, under $\gamma = .9$: $N = 0$, nothing moves.

# %%
holds(masked < -sp.log(sp.Rational(9, 10)), "H < −log γ")

# %% [markdown]
# **A fixed scale.** Logits $(a, -a)$ with $|a| = \log 3$: $q_1$ is $9/10$ or $1/10$. Labels with frequencies $(.3,
# .7)$, $\gamma = .7$, $g = -\log .7$. At $q_1 = 1/10$ the second label is masked, and $L_\gamma = .3\log 10 + .7 g$; at
# $q_1 = 9/10$ the first is, and $L_\gamma = .3 g + .7\log 10$, which is more. At the better one $S$ is the targets of
# class 1, and their entropy is that of $(.1, .9)$.

# %%
for sign, prob in ((1, sp.Rational(9, 10)), (-1, sp.Rational(1, 10))):
    zero(sp.simplify(1 / (1 + sp.exp(-2 * sign * sp.log(3)))) - prob, f"q_1 at a = {sign} log 3")
g = -sp.log(sp.Rational(7, 10))
better, worse = ((a * sp.log(10) + (1 - a) * g) for a in (sp.Rational(3, 10), sp.Rational(7, 10)))
zero(sp.expand(worse - better - sp.Rational(4, 10) * (sp.log(10) - g)), "the difference of the losses")
holds(sp.log(10) - g > 0, "is positive")
entropy_there = -sp.log(sp.Rational(1, 10)) / 10 - 9 * sp.log(sp.Rational(9, 10)) / 10
holds(entropy_there < g, "and the entropy is below −log γ")

# %% [markdown]
# ## The functions of the library

# %%
agrees(
    "theory.loss.entropy_margin",
    # with a threshold below 0 all but one term have one sign, so that 1e-12 is asked of no small difference
    right,
    where={"gamma": (0.01, 0.5), "threshold": (-5.0, -1.0), "parameter_norm": (0.0, 10.0), "gradient_norm": (0.0, 0.1)},
)
agrees_at(
    "theory.loss.certified_interval", {"certificates": [0.01, 0.05, 0.3, 0.02], "gamma": 0.3, "threshold": 1.0}, first
)
agrees_at("theory.loss.certified_interval", {"certificates": [0.01, 0.05], "gamma": 0.3, "threshold": 1.25}, 1)
