# %% [markdown]
# # For mixtures the floor of the entropy holds for component and point together
#
# A mixture $p_\theta(x) = \sum_k p_\theta(k, x)$ cannot be tempered: $p_\theta(x)^\beta$ is no mixture of the family,
# so that `entropy-identity` does not apply. The joint law of component and point can. Write $u_i = \mathrm{CE}_i =
# -\log p_\theta(x_i)$, $g = -\log\gamma$, $r_{ik} = p_\theta(k \mid x_i)$, and let $w_i$ be the weights of a stationary
# point as in `hinge-form`, $N = \sum_i w_i > 0$.

# %%
import mpmath
import sympy as sp
from checking import equal, holds, states, summed, zero

# %% [markdown]
# ## Gaussian mixtures can be tempered
#
# With $\Sigma_k/\beta$ in place of $\Sigma_k$ and weights proportional to $\pi_k^\beta |\Sigma_k|^{(1-\beta)/2}$ the
# joint law is proportional to $p(k, x)^\beta$. In formulas, in one dimension: the logarithm of the tempered joint
# density, less $\beta$ times that of the original, depends neither on $x$ nor on $k$ (not on $\pi$, $\mu$, $\sigma$).

# %%
x, mean = sp.symbols("x mu_k", real=True)
weight, sigma, beta = sp.symbols("pi_k sigma_k beta", positive=True)


def log_normal(deviation):
    return -((x - mean) ** 2) / (2 * deviation**2) - sp.log(deviation) - sp.log(2 * sp.pi) / 2


new_log_weight = beta * sp.log(weight) + (1 - beta) * sp.log(sigma)  # |Σ|^{(1 − β)/2}; up to the common normalisation
change = new_log_weight + log_normal(sigma / sp.sqrt(beta)) - beta * (sp.log(weight) + log_normal(sigma))
for symbol in (x, mean, weight, sigma):
    zero(sp.simplify(sp.diff(sp.expand_log(change), symbol)), f"the difference does not depend on {symbol}")

# %% [markdown]
# ($d$ dimensions: $|\Sigma_k/\beta| = \beta^{-d}|\Sigma_k|$, and the power of $\beta$ is common to all components.)
# Weights and covariances are free, and the path is differentiable.
#
# ## Its slope
#
# Along the path $p_\beta(x) = \sum_k p(k, x)^\beta/Z(\beta)$ with $Z(\beta) = \sum_k \int p(k, x)^\beta\,dx$. A generic
# term $q^\beta$, $q = p(k, x)$, has the slope $q\log q$ at $\beta = 1$. So $Z'(1) = -H(K, X)$, $Z(1) = 1$, and the
# slope of $\log\sum_k p(k, x_i)^\beta$ is $\sum_k p(k, x_i)\log p(k, x_i)/p(x_i)$. Here $p(k, x_i) = r_{ik}\,e^{-u_i}$.

# %%
q = sp.Symbol("q", positive=True)
equal(sp.diff(q**beta, beta).subs(beta, 1), q * sp.log(q), "slope of a generic term")
r_k, u = sp.Symbol("r_k", positive=True), sp.Symbol("cross_entropy", real=True)
posterior, joint = sp.symbols("posterior_entropy joint_entropy", real=True)
generic = sp.expand(r_k * (sp.log(r_k) - u))  # p(k, x) log p(k, x)/p(x)
log_r = sp.Symbol("log_r_k", real=True)
numerator = summed(generic.subs(sp.log(r_k), log_r), {r_k * log_r: -posterior, r_k: 1})
Z = sp.Function("Z")(beta)
slope_of_log_z = sp.diff(sp.log(Z), beta).subs(sp.Derivative(Z, beta), -joint).subs(Z, 1)
slope = equal(-numerator + slope_of_log_z, u + posterior - joint, "the slope of CE_i = −log p_β(x_i), at β = 1").rhs
states("mixture-entropy-identity", "temperature", sp.Eq(sp.Symbol("slope", real=True), slope))

# %% [markdown]
# (The integral may be differentiated, as in `entropy-identity`.)
#
# ## The identity
#
# At the stationary point $\sum_i w_i$ times the slope is 0, and $w_i(u_i - g) = \max(u_i - g, 0)$ (`entropy-identity`).
# With $\bar H_r = \frac1N\sum_i w_i H(r_i)$:

# %%
gamma, N = sp.symbols("gamma total_weight", positive=True)
g = -sp.log(gamma)
w_i, u_i, h_i, V = sp.symbols("w_i u_i h_i V", real=True)
mean_posterior, conditional = sp.symbols("mean_posterior_entropy conditional_entropy", real=True)
# the sum of w u is N g + V
total = summed(w_i * (u_i + h_i - joint), {w_i * u_i: N * g + V, w_i * h_i: N * mean_posterior, w_i: N})
entropy = equal(sp.solve(total, joint)[0], g + V / N + mean_posterior, "H(K, X) = g + V/N + mean H(r_i)").rhs
i, n = sp.Symbol("i", integer=True, positive=True), sp.Symbol("n", integer=True, positive=True)
excess = sp.Sum(sp.Max(sp.IndexedBase("cross_entropies", real=True)[i] - g, 0), (i, 1, n))
states("mixture-entropy-identity", "identity", sp.Eq(sp.Function("H_joint")(gamma), entropy.subs(V, excess)))
of_point = sp.Eq(sp.Function("H")(gamma), entropy.subs(V, excess) - conditional)  # H(X) = H(K, X) − H(K | X)
states("mixture-entropy-identity", "the-point-alone", of_point)

# %% [markdown]
# ## The floors
#
# $V \ge 0$ and $H(r_i) \ge 0$, hence $H(K, X) \ge g$. And $H(K \mid X)$, a mean of entropies of laws on $K$ components,
# is at most $\log K$ (Gibbs: $\log(1/(Kr)) \le 1/(Kr) - 1$, averaged under $r$).

# %%
nonnegative = {V: sp.Symbol("V", nonnegative=True), mean_posterior: sp.Symbol("h", nonnegative=True)}
holds((entropy - g).subs(nonnegative) >= 0, "H(K, X) ≥ g")
states("mixture-entropy-identity", "floor", sp.Ge(sp.Function("H")(gamma), g))
size = sp.Symbol("size", integer=True, positive=True)
t = sp.Symbol("t", positive=True)
equal(sp.solve(sp.diff(t - 1 - sp.log(t), t), t)[0], 1, "t − 1 − log t is least at t = 1, for it is convex:")
holds(sp.diff(t - 1 - sp.log(t), t, 2) > 0, "its second derivative is positive; there it is 0")
zero(summed(r_k * (1 / (size * r_k) - 1), {1: size, r_k: 1}), "the mean of 1/(K r) − 1 under r, so log K ≥ H(r)")
states("mixture-entropy-identity", "weak-floor", sp.Ge(sp.Function("H")(gamma), g - sp.log(size)))

# %% [markdown]
# ## Without the component the floor fails
#
# Two normal laws of variance 1, equally likely, at $\pm m$. The level set $p = \gamma$ may have four points, $\pm x_1$
# within and $\pm x_2$ outside of the modes. Let these be the data, all of them on the threshold, with weights $w_1$,
# $w_2$, in $[0, 1]$, of which the share of the second is $\rho$. By symmetry the point is stationary if the moments of
# a component are right: the derivatives in its mean and in its variance vanish if
# $$\rho\,x_2\tanh(m x_2) + (1 - \rho)\,x_1\tanh(m x_1) = m, \qquad \rho\,x_2^2 + (1 - \rho)\,x_1^2 = 1 + m^2,$$
# because $2r - 1 = \tanh(mx)$. With $m = 2.1$ these equations and $p(x_1) = p(x_2)$ have a solution.

# %%
a, m = sp.symbols("a m", positive=True)
towards = 1 / (1 + sp.exp(-2 * m * a))  # responsibility of the component at m for the point a
zero(sp.simplify((2 * towards - 1 - sp.tanh(m * a)).rewrite(sp.exp)), "2r − 1 = tanh(ma)")
share = sp.Symbol("rho", positive=True)
first = towards * (a - m) + (1 - towards) * (-a - m)  # the points a and −a, for the mean of the component at m
zero(sp.simplify((first - (a * sp.tanh(m * a) - m)).rewrite(sp.exp)), "derivative in the mean")
second = towards * (a - m) ** 2 + (1 - towards) * (a + m) ** 2 - 1
on_mean = (a**2 + m**2 - 2 * m * a * sp.tanh(m * a) - 1).rewrite(sp.exp)
zero(sp.simplify(second.rewrite(sp.exp) - on_mean), "derivative in the variance; with a tanh(ma) → m: a² − m² − 1")

# %%
mpmath.mp.dps = 30
centre = mpmath.mpf("2.1")


def density(point):
    return (mpmath.npdf(point, centre) + mpmath.npdf(point, -centre)) / 2


def equations(inner, outer, part):
    moment = part * outer * mpmath.tanh(centre * outer) + (1 - part) * inner * mpmath.tanh(centre * inner)
    return [moment - centre, part * outer**2 + (1 - part) * inner**2 - 1 - centre**2, density(inner) - density(outer)]


inner, outer, part = mpmath.findroot(equations, (1.12, 3.07, 0.507))
threshold = density(outer)
level = mpmath.quad(lambda point: -density(point) * mpmath.log(density(point)), mpmath.linspace(-14, 14, 57))
print(f"x_1 = {mpmath.nstr(inner, 8)}, x_2 = {mpmath.nstr(outer, 8)}, rho = {mpmath.nstr(part, 8)}")
print(f"gamma = {mpmath.nstr(threshold, 8)}, H(X) + log gamma = {mpmath.nstr(level + mpmath.log(threshold), 8)}")
holds(bool(0 < part < 1), "both weights are positive (numerical)")
holds(
    bool(max(abs(value) for value in equations(inner, outer, part)) < mpmath.mpf(10) ** -25), "a solution (numerical)"
)
holds(bool(abs(level + mpmath.log(threshold) + mpmath.mpf("0.0224")) < 0.0001), "H(X) = g − 0.0224 (numerical)")
numbers = (inner - mpmath.mpf("1.117"), outer - mpmath.mpf("3.074"), 10 * (threshold - mpmath.mpf("0.1241")))
holds(all(abs(value) < mpmath.mpf("0.001") for value in numbers), "the digits of the statement (numerical)")


def part_of_entropy(point):
    towards_right = 1 / (1 + mpmath.exp(-2 * centre * point))
    return -sum(value * mpmath.log(value) for value in (towards_right, 1 - towards_right))


posterior_of_data = part * part_of_entropy(outer) + (1 - part) * part_of_entropy(inner)
of_model = mpmath.quad(lambda point: density(point) * part_of_entropy(point), mpmath.linspace(-14, 14, 57))
difference = level + mpmath.log(threshold) - (posterior_of_data - of_model)
holds(bool(abs(difference) < mpmath.mpf(10) ** -15), "the identity at this point, V = 0 (numerical)")
