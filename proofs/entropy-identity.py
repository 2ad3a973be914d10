# %% [markdown]
# # The entropy of a TCE fit never goes below $-\log\gamma$
#
# Write $u_i = \mathrm{CE}_i(\theta) = -\log p_\theta(x_i)$, $g = -\log\gamma$. By `hinge-form`, $\theta$ is stationary
# if $\sum_i w_i\nabla u_i = 0$ with $w_i = 1$ where $u_i > g$, $w_i = 0$ where $u_i < g$, and $w_i \in [0, 1]$ where
# $u_i = g$. Suppose $N = \sum_i w_i > 0$. Let $H_i$ be the entropy of the model at sample $i$ (of its context, if the
# model is conditional; else they are all the same).

# %%
import sympy as sp
from checking import agrees, agrees_at, equal, holds, states, summed, zero

g, gamma = sp.Symbol("g", real=True), sp.Symbol("gamma", positive=True)
N = sp.Symbol("N", positive=True)

# %% [markdown]
# ## Temperature
#
# Suppose there is a path of parameters $\theta(\beta)$, $\beta$ near 1, differentiable at $\theta(1) = \theta$, whose
# models are proportional to $p_\theta(x)^\beta$. Along it the cross entropy of a point is $-\beta\log p(x) + \log
# Z(\beta)$, where $Z(\beta) = \sum_x p(x)^\beta$ (or the integral). A generic term of $Z$ has the slope $p\log p$ at
# $\beta = 1$, so $Z'(1) = \sum_x p\log p = -H$, and $Z(1) = 1$.

# %%
beta = sp.Symbol("beta", positive=True)
p, entropy, u = sp.Symbol("p", positive=True), sp.Symbol("H", real=True), sp.Symbol("u", real=True)
equal(sp.diff(p**beta, beta).subs(beta, 1), p * sp.log(p), "slope of a generic term of Z: the sum of these is −H")
Z = sp.Function("Z")(beta)
along = beta * u + sp.log(Z)  # u = −log p(x)
slope = sp.diff(along, beta).subs(sp.Derivative(Z, beta), -entropy).subs(Z, 1)
zero(slope - (u - entropy), "slope of the cross entropy along the path, at β = 1")

# %% [markdown]
# (For continuous $x$ sum and derivative may be exchanged where $Z$ is finite near $\beta = 1$: $Z$ is then the Laplace
# transform of the law of $\log p$ under $p$, hence analytic.)
#
# Which families? *Gaussian with free variance:* $\sigma^2/\beta$ in place of $\sigma^2$. *Softmax whose logits can be
# scaled* (categorical, linear softmax, networks): $\beta z$. *Exponential family with constant base measure:*
# $\beta\theta$. Each is a path of models proportional to $p^\beta$: the logarithms differ from $\beta\log p$ by what
# does not depend on $x$.

# %%
x, mean, scale, z, log_z = sp.symbols("x mu s z log_Z", real=True)
sigma = sp.Symbol("sigma", positive=True)
log_density = -((x - mean) ** 2) / (2 * sigma**2) - sp.log(sigma * sp.sqrt(2 * sp.pi))
tempered = log_density.subs(sigma, sigma / sp.sqrt(beta))
zero(sp.diff(tempered - beta * log_density, x), "Gaussian: log p with σ²/β, less β log p, does not depend on x")
zero(
    sp.diff((beta * z - scale) - beta * (z - log_z), z), "softmax, and exponential families with constant base measure"
)

# %% [markdown]
# ## The identity
#
# The slope of $\sum_i w_i u_i$ along the path is the inner product of $\sum_i w_i\nabla u_i = 0$ with its tangent: 0.
# (The weights are constants. Of a network it is enough that it is stationary in the last layer, along which the path
# runs, with the features held fixed; it need not be differentiable elsewhere.) So $\sum_i w_i(u_i - H_i) = 0$:
# $$\bar H := \frac{1}{N}\sum_i w_i H_i = \frac{1}{N}\sum_i w_i u_i .$$
# Next $w_i(u_i - g) = \max(u_i - g, 0)$ in each of the three cases, so with $V = \sum_i \max(u_i - g, 0)$ the right
# side is $g + V/N$.

# %%
w, a, b = sp.Symbol("w", nonnegative=True), sp.Symbol("a", positive=True), sp.Symbol("b", positive=True)
zero((w * (u - g) - sp.Max(u - g, 0)).subs(w, 1).subs(u, g + a), "unmasked, u = g + a and w = 1")
zero((w * (u - g) - sp.Max(u - g, 0)).subs(w, 0).subs(u, g - b), "masked, u = g − b and w = 0")
zero((w * (u - g) - sp.Max(u - g, 0)).subs(u, g), "on the threshold, any w")

# %%
w_i, u_i, H_i, sum_wu, sum_wH = sp.symbols("w_i u_i H_i U E", real=True)
stationarity = summed(w_i * (u_i - H_i), {w_i * u_i: sum_wu, w_i * H_i: sum_wH})
equal(sp.solve(stationarity, sum_wH)[0] / N, sum_wu / N, "weighted mean entropy = weighted mean cross entropy")
V = summed(w_i * (u_i - g), {w_i * u_i: sum_wu, w_i: N})  # the sum of the excesses
zero(sum_wu / N - (g + V / N), "which is g + V/N")

# %%
index, size = sp.symbols("i n", integer=True, positive=True)
losses, weight = sp.IndexedBase("cross_entropies", real=True), sp.Symbol("total_weight", positive=True)
excess = sp.Sum(sp.Max(losses[index] - g, 0), (index, 1, size))
identity = sp.Eq(sp.Function("H")(gamma), (g + excess / weight).subs(g, -sp.log(gamma)))
states("entropy-identity", "identity", identity)

# %% [markdown]
# $V$ is a sum of nonnegative terms, so $\bar H \ge g = -\log\gamma$, with equality exactly if all are 0: no sample has
# $u_i > g$.

# %%
excess_of_all, unmasked = sp.Symbol("V", nonnegative=True), sp.Symbol("V_plus", positive=True)
zero((g + V / N).subs(sum_wu, N * g) - g, "V = 0: equality")
holds((g + excess_of_all / N) - g >= 0, "the floor")
holds((g + unmasked / N) - g > 0, "strictly, if some sample is unmasked off the threshold")
states("entropy-identity", "floor", sp.Ge(sp.Function("H")(gamma), -sp.log(gamma)))

# %% [markdown]
# ## Monotony in the floor
#
# Now let every $u_i$ be convex in $\theta$. Let $\theta_1$ be stationary at $g_1$ with weights $w_i$ of sum $N_1 > 0$,
# hence a minimiser, and $\theta_2$ at $g_2 > g_1$ with weights of sum $N_2 > 0$.
#
# *A lower bound for all $\theta$ and $g$.* The larger of two numbers is at least their mean with weights $w_i$ and $1 -
# w_i$, and a convex function lies above its tangent:
# $$\max(u_i(\theta), g) \ge w_i u_i(\theta) + (1 - w_i)g \ge w_i\left[u_i(\theta_1) + \langle\nabla u_i(\theta_1),
# \theta - \theta_1\rangle\right] + (1 - w_i)g .$$
# Sum over $i$: the inner products add up to 0, and $\sum_i w_i u_i(\theta_1) = N_1\bar H_1$ by the identity (of which
# only the definition $\bar H_1 = \frac1{N_1}\sum_i w_i u_i$ is used). With $n L_g(\theta) = \sum_i\max(u_i(\theta), g)$
# $$n(L_g(\theta) - g) \ge N_1(\bar H_1 - g) \quad \text{for all } \theta, g, \qquad
# n(L_{g_1}(\theta_1) - g_1) = N_1(\bar H_1 - g_1) .$$

# %%
n, H_1, N_1 = sp.symbols("n H_1 N_1", real=True)
below_max = summed(w_i * u_i + (1 - w_i) * g, {w_i * u_i: N_1 * H_1, w_i: N_1, 1: n})
equal(below_max - n * g, N_1 * (H_1 - g), "the sum of the lower bounds, less n g")

# %% [markdown]
# (Equality at $\theta_1$, $g_1$ is the identity $w_i(u_i - g) = \max(u_i - g, 0)$ above, summed.)
#
# *Exchange.* Use the bound of $\theta_1$ at $(\theta_2, g_2)$, and that of $\theta_2$ at $(\theta_1, g_1)$:
# $$N_2(\bar H_2 - g_2) \ge N_1(\bar H_1 - g_2), \qquad N_1(\bar H_1 - g_1) \ge N_2(\bar H_2 - g_1) .$$
# Their sum is $(N_1 - N_2)(g_2 - g_1) \ge 0$, so $N_1 \ge N_2$: a higher floor leaves no more unmasked.

# %%
g_1, H_2, N_2 = sp.symbols("g_1 H_2 N_2", real=True)
step = sp.Symbol("d", positive=True)  # g_2 − g_1
g_2 = g_1 + step
first = N_2 * (H_2 - g_2) - N_1 * (H_1 - g_2)  # both are ≥ 0
second = N_1 * (H_1 - g_1) - N_2 * (H_2 - g_1)
equal(first + second, (N_1 - N_2) * step, "the sum of the two inequalities")

# %% [markdown]
# *Case $\bar H_1 \le g_2$.* By the floor $\bar H_2 \ge g_2 \ge \bar H_1$.
#
# *Case $\bar H_1 > g_2$.* The first inequality, and $N_1 \ge N_2$, give $N_2(\bar H_2 - g_2) \ge N_1(\bar H_1 - g_2)
# \ge N_2(\bar H_1 - g_2)$; divide by $N_2 > 0$: $\bar H_2 \ge \bar H_1$.

# %%
more, high = sp.Symbol("m", nonnegative=True), sp.Symbol("h", positive=True)  # N_1 − N_2 and H_1 − g_2
holds((N_1 * (H_1 - g_2) - N_2 * (H_1 - g_2)).subs(N_1, N_2 + more).subs(H_1, g_2 + high).expand() >= 0, "second step")
zero(
    first.subs(N_1, N_2 + more).subs(H_1, g_2 + high) - (N_2 * (H_2 - (g_2 + high)) - more * high),
    "so N_2 (H_2 − H_1) is the first difference, ≥ 0, plus m h ≥ 0",
)

# %% [markdown]
# *Cross entropy* is the case where all $w_i = 1$. Suppose it has a minimiser. Let $\theta_1$ minimise $\sum_i u_i$, so
# $N_1 = n$ and the lower bound holds with $\bar H_1 = \bar H_{\mathrm{CE}}$; it did not use $g_1$. Always $N_2 \le n =
# N_1$, and the two cases apply as they stand. So $\bar H_{\mathrm{TCE}} \ge \max(\bar H_{\mathrm{CE}}, -\log\gamma)$.

# %%
zero(below_max.subs(N_1, n) - n * g - (n * (H_1 - g)), "all weights 1: the bound of cross entropy, for every g")

# %% [markdown]
# ## Without its hypotheses
#
# *No unmasked sample.* Data $\pm 1/10$, $\gamma = 17/20$, and the Gaussian with mean 0 and $\sigma = 1/10$, which is
# the fit of cross entropy. Its density at the data is above $\gamma$, so that all samples are masked, every admissible
# weight is 0, and $\theta$ is stationary. The differential entropy $\frac{1}{2}\log(2\pi e\sigma^2)$ is below
# $-\log\gamma$, because $2\pi e \sigma^2\gamma^2 < 1$.

# %%
tenth, threshold = sp.Rational(1, 10), sp.Rational(17, 20)
zero(tenth**2 - ((-tenth) ** 2 + tenth**2) / 2, "σ² is the mean square of the data")
density = sp.exp(-sp.Rational(1, 2)) / (tenth * sp.sqrt(2 * sp.pi))
holds(density > threshold, "both samples are masked")
holds(2 * sp.pi * sp.E * tenth**2 * threshold**2 < 1, "the entropy is below −log γ")


# %% [markdown]
# *A base measure that is not constant.* The Poisson family $p(x) = e^{-\lambda}\lambda^x/x!$ has the base measure
# $1/x!$; $p^\beta$ normalised is not Poisson. Data $\{0, 20\}$, $\gamma = 1/100$, $\lambda = 10$. Both samples have $p
# < \gamma$, so both weights are 1, and $\lambda = 10$ is stationary.

# %%
rate = sp.Symbol("lambda", positive=True)


def poisson(x):
    return sp.exp(-rate) * rate**x / sp.factorial(x)


slope = sum(sp.diff(-sp.log(poisson(x)), rate) for x in (0, 20))
zero(slope.subs(rate, 10), "stationary")
for value in (0, 20):
    holds(poisson(value).subs(rate, 10) < sp.Rational(1, 100), f"p({value}) < γ: unmasked")

# %% [markdown]
# Its entropy is below $-\log\gamma = \log 100$. By Gibbs' inequality $H(p) \le -\sum_x p(x)\log q(x)$ for every law
# $q$. Take the geometric one with the same mean 10, $q(x) = \frac{1}{11}\left(\frac{10}{11}\right)^x$: the right side
# is $\log 11 + 10\log \frac{11}{10}$. It is below $\log 100$ because $11^{11} < 10^{12}$.

# %%
x_i, p_x = sp.symbols("x_i p_x", real=True)
cross = summed(-p_x * (sp.log(sp.Rational(1, 11)) + x_i * sp.log(sp.Rational(10, 11))), {p_x: 1, p_x * x_i: 10})
zero(sp.expand_log(cross - (11 * sp.log(11) - 10 * sp.log(10)), force=True), "the bound is 11 log 11 − 10 log 10")
holds(sp.Integer(11) ** 11 < sp.Integer(10) ** 12, "11 log 11 − 10 log 10 < 2 log 10 = log 100")

# %% [markdown]
# The identity itself fails: cross entropies have the mean $(u(0) + u(20))/2$, which is above $g$, and the entropy is
# below. Ball arithmetic encloses it: terms up to $x = 80$, and for the rest $0 \le -p\log p \le p\,(10 + x^2)$, because
# $\log x! \le x^2$; for $x \ge 11$, $x^2 p(x) \le \frac{11}{10}x(x-1)p(x) = 110\,p(x - 2)$.

# %%
from flint import arb, ctx

x_s = sp.Symbol("x", integer=True, positive=True)
zero(
    sp.gammasimp(x_s * (x_s - 1) * poisson(x_s) - rate**2 * poisson(x_s - 2)).subs(rate, 10), "x(x−1) p(x) = 100 p(x−2)"
)
past_11 = sp.Symbol("y", nonnegative=True)
square_bound = sp.Rational(11, 10) * x_s * (x_s - 1) - x_s**2
holds(sp.expand(square_bound.subs(x_s, 11 + past_11)) >= 0, "x² ≤ 1.1 x (x − 1) for x ≥ 11")
ctx.prec = 200
probs = [arb(-10).exp() * arb(10) ** k / arb.fac_ui(k) for k in range(81)]
tail = 1 - sum(probs[:79], arb(0))  # Pr(X ≥ 79), which bounds both tails below
head = -sum((q * q.log() for q in probs), arb(0))
enclosure = head + (arb(0).union(10 * tail + 110 * tail))
holds(bool(enclosure > arb("2.56")) and bool(enclosure < arb("2.57")), f"entropy of Poisson(10) in {enclosure.str(12)}")

# %% [markdown]
# *A masked context.* A table of two contexts, $\gamma = 9/10$. In context 1 only label 1 occurs and $q = (.99, .01)$;
# it is masked. In context 2 both labels occur equally often and $q = (\frac{1}{2}, \frac{1}{2})$: unmasked and
# stationary. The whole is stationary, with $N$ from context 2 alone, and $H_1 < -\log\gamma$, because $H_1 = \log 100 -
# \frac{99}{100}\log 99$ and $100^{100} / 99^{99} < (10/9)^{100}$.

# %%
holds(sp.Rational(99, 100) > sp.Rational(9, 10), "context 1 is masked")
H_masked = -(sp.Rational(99, 100) * sp.log(sp.Rational(99, 100)) + sp.log(sp.Rational(1, 100)) / 100)
zero(sp.expand_log(100 * H_masked - (100 * sp.log(100) - 99 * sp.log(99)), force=True), "100 H_1")
holds(sp.Integer(100) ** 100 * 9**100 < sp.Integer(99) ** 99 * 10**100, "H_1 < −log γ")

# %% [markdown]
# *A single unmasked context.* A logistic model of one parameter $\theta$: the log odds of label 1 are $3\theta$ in
# context A and $\theta$ in context B, so that scaling $\theta$ is the temperature of both. One example of A has label
# 0, eight of B have label 1; $\gamma = 7/10$. At $\theta = \log 2$ the labels have the probabilities $\frac{1}{9}$ and
# $\frac{2}{3}$: all unmasked. It is stationary, and convex. But $H_A < -\log\gamma$, because $729\cdot 343 < 256\cdot
# 1000$; only the mean over all nine obeys the floor.

# %%
theta = sp.Symbol("theta", real=True)
loss_A, loss_B = sp.log(1 + sp.exp(3 * theta)), sp.log(1 + sp.exp(-theta))
at = {theta: sp.log(2)}
zero(sp.diff(loss_A + 8 * loss_B, theta).subs(at), "stationary")
equal(sp.exp(-loss_A).subs(at), sp.Rational(1, 9), "probability of the label in A")
equal(sp.exp(-loss_B).subs(at), sp.Rational(2, 3), "probability of the label in B")
holds(sp.Rational(2, 3) < sp.Rational(7, 10), "unmasked")


def binary_entropy(q):
    return -q * sp.log(q) - (1 - q) * sp.log(1 - q)


H_A, H_B = binary_entropy(sp.Rational(1, 9)), binary_entropy(sp.Rational(1, 3))
zero(sp.expand_log(3 * H_A - (6 * sp.log(3) - 8 * sp.log(2)), force=True), "3 H_A = log(3^6/2^8)")
holds(sp.Integer(3) ** 6 * 7**3 < sp.Integer(2) ** 8 * 10**3, "3^6/2^8 < (10/7)^3: H_A < −log γ")
zero(
    sp.expand_log((H_A + 8 * H_B - (loss_A + 8 * loss_B)).subs(at), force=True),
    "but the mean entropy over all nine is the mean cross entropy",
)

# %% [markdown]
# ## The functions of the library

# %%
values, level = [sp.Rational(1, 16), sp.Rational(1, 2), sp.Integer(2)], sp.Rational(3, 4)
with_values = {losses[k + 1]: value for k, value in enumerate(values)}
reference = identity.rhs.subs(size, len(values)).doit().subs(with_values).subs({gamma: level, weight: 2})
arguments = {"cross_entropies": [float(value) for value in values], "gamma": 0.75, "total_weight": 2}
agrees_at("theory.loss.stationary_entropy", arguments, reference)
agrees("theory.loss.loss_floor", -sp.log(gamma), where={"gamma": (1e-6, 20.0)})
