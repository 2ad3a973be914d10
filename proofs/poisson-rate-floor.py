# %% [markdown]
# # TCE never lets a Poisson model go extinct, and inflates its rate
#
# $p_r(x) = e^{-r}r^x/x!$, $0 < \gamma < 1$, $g = -\log\gamma > 0$. In the log rate $\theta = \log r$ the cross entropy
# $-\log p_r(x) = e^\theta - x\theta + \log x!$ is convex, with the slope $r - x$. By `hinge-form` a rate $r > 0$ is a
# minimiser exactly if $\sum_i w_i(r - x_i) = 0$ with $w_i = 1$ where $p_r(x_i) < \gamma$, $0$ where it is above, and
# $w_i \in [0, 1]$ where it is $\gamma$. A minimum is attained: with a value $x_i > 0$ the objective grows without bound
# as $r \to 0$ and as $r \to \infty$; if all are 0 every rate up to $g$ is a (vacuous) minimiser, $r = 0$ included.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, zero

r, gamma, previous = sp.symbols("r gamma rate", positive=True)
x = sp.Symbol("x", integer=True, nonnegative=True)


def mass(value, rate=r):
    return sp.exp(-rate) * rate**value / sp.factorial(value)


theta = sp.Symbol("theta", real=True)
cross_entropy = sp.exp(theta) - x * theta + sp.log(sp.factorial(x))
zero(sp.diff(cross_entropy, theta) - (sp.exp(theta) - x), "slope of the cross entropy in the log rate: r − x")
holds(sp.diff(cross_entropy, theta, 2) > 0, "it is convex")

# %% [markdown]
# ## The floor
#
# $p_r(x)/p_r(x-1) = r/x$: the masses rise up to $x \le r$ and fall from there on. Let $r < g$. The masses of all $x \le
# r$ are at least $p_r(0) = e^{-r} > e^{-g} = \gamma$: such values are masked, with the weight 0. What has a weight is
# larger than $r$, so that $\sum_i w_i(r - x_i) < 0$ if any weight is positive. Hence no minimiser with an unmasked
# point has a rate below $g$, and below $g$ the slope of the objective is nowhere positive: the minimisers are an
# interval of which the upper end is at least $g$.

# %%
y = sp.Symbol("y", integer=True, positive=True)
equal(sp.gammasimp(mass(y) / mass(y - 1)), r / y, "ratio of neighbouring masses")
equal(mass(0), sp.exp(-r), "the mass of 0")
gap = sp.Symbol("d", positive=True)  # g − r
holds(sp.log(sp.exp(gap)) > 0, "e^(−r)/γ = e^(g − r) > 1")
beyond = sp.Symbol("k", positive=True)  # x − r of an unmasked value
holds((r - (r + beyond)) < 0, "an unmasked value pulls the rate up")

# %% [markdown]
# A fit that is not vacuous is a minimiser with an unmasked point: its rate is at least $g$. The largest minimiser is at
# least $g$. The minimiser nearest to $\lambda$ is $\lambda$; or the lower end of the interval, above $\lambda$; or the
# upper end, which is at least $g$. So it is at least $\min(\lambda, g)$. (Gradient flow on a line, of a convex
# objective, moves towards the interval of minimisers and ends where it meets it.)
#
# *Attained.* Data that are all 0 are masked for $r < g$, not for $r > g$, where the slope $r$ is positive. The
# minimisers are the rates up to $g$, the nearest one to $\lambda$ is $\min(\lambda, g)$.
#
# *No extinction.* $\lambda_{t+1} \ge \min(\lambda_t, g) \ge \min(\min(\lambda_0, g), g) = \min(\lambda_0, g)$, by
# induction.

# %%
start, level = sp.symbols("lambda_0 g", positive=True)
zero(sp.Min(sp.Min(start, level), level) - sp.Min(start, level), "the induction")
states("poisson-rate-floor", "floor", sp.Ge(sp.Function("fit")(gamma, previous), sp.Min(previous, -sp.log(gamma))))

# %% [markdown]
# ## The entropy
#
# $H(r) = r - r\log r + \mathbb{E}\log X!$. The derivative of $\mathbb{E} f(X)$ in the rate is $\mathbb{E}[f(X+1) -
# f(X)]$, because $\partial_r p_r(x) = p_r(x - 1) - p_r(x)$. So
# $$H' = \mathbb{E}\log\frac{X + 1}{r}, \qquad H'' = \mathbb{E}\log\frac{X + 2}{X + 1} - \frac{1}{r} .$$
# *It rises.* By Jensen's inequality $H' \ge -\log\mathbb{E}\frac{r}{X + 1} = -\log(1 - e^{-r}) > 0$.
#
# *It is strictly concave.* $\log\frac{X+2}{X+1} \le \frac{1}{X+1}$, and $\mathbb{E}\frac{1}{X+1} = \frac{1 -
# e^{-r}}{r} < \frac{1}{r}$.

# %%
zero(sp.gammasimp((sp.diff(mass(y), r) - (mass(y - 1) - mass(y))) / mass(y)), "derivative of a mass in the rate")
zero(sp.diff(mass(0), r) + mass(0), "also that of 0")
zero(sp.diff(r - r * sp.log(r), r) + sp.log(r), "of the terms that are no expectation")
inverse = sp.summation(mass(x) / (x + 1), (x, 0, sp.oo))
equal(inverse, (1 - sp.exp(-r)) / r, "E 1/(X + 1)")
holds(1 - sp.exp(-r) < 1, "hence H' > 0 and H'' < 0")
u = sp.Symbol("u", positive=True)
holds(sp.diff(u - sp.log(1 + u), u).simplify() > 0, "log(1 + u) ≤ u, as the difference rises from 0")

# %% [markdown]
# So $H(r) - r$ is strictly concave. At 0 it vanishes, with the slope $+\infty$ (the bound $-\log(1 - e^{-r})$ of $H'$),
# and it tends to $-\infty$: $H(r) \le (r + 1)\log(r + 1) - r\log r$, the entropy of the geometric law with the same
# mean, the largest there is. It is positive below one root $g^* > 0$ and negative beyond.
#
# A fit that is not vacuous has $r \ge g$. If $g \le g^*$, $H(r) \ge H(g) \ge g$. If $g > g^*$, take $m$ values 0
# and one value $X > g$ so large that $p_g(X) < \gamma$. At the rate $g$ the zeros are on the threshold; with the
# weight $w = (X - g)/(mg)$ for each, which is at most 1 for $m$ large, $mwg + (g - X) = 0$: $g$ is the fit, it is not
# vacuous, and $H(g) < g$.

# %%
m, X = sp.symbols("m X", positive=True)
weight = (X - level) / (m * level)
zero(m * weight * (level - 0) + (level - X), "stationary at the rate g")
equal(sp.log(mass(0, level)), -level, "zeros are on the threshold there")

# %% [markdown]
# Ball arithmetic encloses the root: $H(r) - r = -r\log r + \mathbb{E}\log X!$ at two rates, with terms up to 60. The
# rest of $\mathbb{E}\log X!$ is at least 0, and, because $\log x! \le x(x-1)$ for $x \ge 1$, at most $\sum_{x > 60}
# x(x - 1)p_r(x) = r^2\Pr(X \ge 59)$.

# %%
from flint import arb, ctx

equal(sp.gammasimp(y * (y - 1) * mass(y) / mass(y - 2)), r**2, "x(x − 1) p(x) = r² p(x − 2)")
ctx.prec = 200


def entropy_less_rate(rate):
    probs = [(-rate).exp() * rate**k / arb.fac_ui(k) for k in range(61)]
    inner = sum((q * arb.fac_ui(k).log() for k, q in enumerate(probs)), arb(0))
    rest = rate**2 * (1 - sum(probs[:59], arb(0)))
    return inner + arb(0).union(rest) - rate * rate.log()


low, high = arb("1.56335025"), arb("1.56335027")
holds(bool(entropy_less_rate(low) > 0) and bool(entropy_less_rate(high) < 0), "g* is between 1.56335025 and 1.56335027")
threshold = (-low).exp().union((-high).exp())
holds(bool(threshold < arb("0.20943325")) and bool(threshold > arb("0.20943315")), f"γ* in {threshold.str(9)}")

# %% [markdown]
# ## The population
#
# Because $r\,p_r(x) = (x + 1)p_r(x + 1)$, each term of $S = \sum_{x=a}^b p_r(x)(r - x)$ is a difference of $x\,p_r(x)$
# at neighbours, and $S = (b + 1)p_r(b + 1) - a\,p_r(a) = r(p_r(b) - p_r(a - 1))$, with $p_r(-1) = 0$.

# %%
zero(
    sp.gammasimp((mass(x) * (r - x) - ((x + 1) * mass(x + 1) - x * mass(x))) / mass(x)),
    "a term is a difference of neighbours",
)
a, b = sp.symbols("a b", integer=True, positive=True)
telescoped = (b + 1) * mass(b + 1) - a * mass(a)
zero(sp.gammasimp((telescoped - r * (mass(b) - mass(a - 1))).expand() / mass(b)), "the ends")
at_rate = {r: previous}
states("poisson-rate-floor", "masked-slope", sp.Eq(sp.Symbol("S"), (r * (mass(b) - mass(a - 1))).subs(at_rate)))

# %% [markdown]
# Let $r = \lambda$ be the rate of the population. Over all values $\sum_x p_r(x)(r - x) = 0$: the slope of the
# objective is $-S$ over what is masked. Suppose that exactly $a \le x \le b$ have $p_r(x) > \gamma$ (masses rise and
# fall, so that these are neighbours, with a mode of $p_r$ among them: $a \le r < b + 1$). Just above $r$ the same are
# masked, and $b + 1$ beside if it has exactly the mass $\gamma$, for its mass grows with the rate, while that of $a -
# 1$ falls. With $B$ the last of them, $p_r(B) \ge \gamma \ge p_r(a - 1)$: the slope to the right is $-r(p_r(B) - p_r(a
# - 1)) \le 0$, and by convexity no minimiser is below $r$. It is negative, and the minimiser above $r$, unless $p_r(B)
# = \gamma = p_r(a - 1)$, that is unless both neighbours are on the threshold. Then the slope to the right is 0, and
# that to the left, where $a - 1$ is masked and $b + 1$ is not, is $-r(p_r(b) - p_r(a - 2)) < 0$: $r$ is the minimiser.
# (Something is unmasked, so that the objective is strictly convex: there is one minimiser.)
#
# *The upper bound.* The largest mass, $p_r(\lfloor r\rfloor)$, is continuous in $r$, falls strictly, from 1 to 0: its
# slope on $k < r < k + 1$ is $p_r(k)(k/r - 1) < 0$. So it is $\gamma$ at one rate $R$, and something is masked exactly
# below $R$. Above $R$ the slope of the objective is that of cross entropy, $r' - \lambda > 0$ for $\lambda < R < r'$:
# the minimiser is at most $R$. For $\lambda \ge R$ the slope at $\lambda$ is that of cross entropy to the right, 0, and
# to the left it is not positive (at $R$ itself the values on the threshold are masked there, and $S \ge 0$ over these):
# the fit is $\lambda$.

# %%
masked, neighbour = sp.symbols("p_B q", positive=True)
zero((-r * (masked - neighbour)).subs(neighbour, masked), "both on the threshold: no slope to the right")
zero(sp.gammasimp((sp.diff(mass(y), r) - mass(y) * (y / r - 1)) / mass(y)), "slope of a mass in the rate")

# %% [markdown]
# ## What does not hold
#
# *A tie.* $\lambda = \sqrt 2$: $p(0) = p(2) = e^{-\sqrt 2} =: \gamma < p(1) = \sqrt2\,\gamma$. The value 1 alone is
# above the threshold, both of its neighbours are on it: the rate stays, though something is masked.

# %%
root = sp.sqrt(2)
equal(mass(0, root), mass(2, root), "0 and 2 are on the threshold")
holds(mass(1, root) > mass(0, root), "1 is masked")
zero(mass(1, root) * (root - 1) + mass(2, root) * (root - 2), "no slope to the right, where 1 and 2 are masked")
holds(mass(0, root) * root + mass(1, root) * (root - 1) > 0, "a negative one to the left, where 0 and 1 are")

# %% [markdown]
# *Samples.* A value 0 and nine values 3, $\gamma = \frac{1}{5}$; the mean is $\frac{27}{10}$. $p_r(3)$ rises up to $r
# = 3$; it is below $\frac{1}{5}$ at $r = 2.248$ and above at $2.249$. At the rate $r$ between them with $p_r(3) =
# \gamma$ the value 0 is unmasked, $e^{-r} < \frac{1}{5}$, and $r + 9w(r - 3) = 0$ has a solution $w$ in $[0, 1]$,
# because $0 < r \le 9(3 - r)$.

# %%
ends = sp.Rational(2248, 1000), sp.Rational(2249, 1000)
holds(mass(3, ends[0]) < sp.Rational(1, 5), "p(3) < γ at 2.248")
holds(mass(3, ends[1]) > sp.Rational(1, 5), "p(3) > γ at 2.249")
holds(sp.exp(-ends[0]) < sp.Rational(1, 5), "0 is unmasked")
holds(ends[1] <= 9 * (3 - ends[1]), "the weight is at most 1")
holds(ends[1] < sp.Rational(27, 10), "the fit is below the mean")

# %% [markdown]
# *The mask of the previous model.* For $\lambda \ge g$ its mass of 0 is $e^{-\lambda} \le \gamma$: zeros are not
# masked, and the fit of data that are all 0 is that of cross entropy, the rate 0.

# %%
more = sp.Symbol("h", nonnegative=True)  # λ − g
holds(sp.log(sp.exp(-more)) <= 0, "e^(−λ)/γ = e^(g − λ) ≤ 1")

# %% [markdown]
# ## The function of the library

# %%
agrees(
    "theory.loss.poisson_rate_floor",
    sp.Min(previous, -sp.log(gamma)),
    where={"gamma": (1e-6, 0.999), "rate": (1e-3, 5.0)},
)
