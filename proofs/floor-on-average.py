# %% [markdown]
# # On average over gradient descent every network obeys the floor
#
# Plain gradient descent on the last layer, $\theta_{t+1} = \theta_t - \eta g_t$; the body of the network may change
# too, in any way. The loss is averaged over all $n$ targets, of which the share $\kappa_t$ is unmasked. Write $x_t =
# \kappa_t (\mathrm{CE}_S - H_S)_t$, and 0 if nothing is unmasked.

# %%
import sympy as sp
from checking import agrees, equal, holds, states, summed, zero

eta, T = sp.symbols("step_size steps", positive=True)

# %% [markdown]
# ## The gradient of the head
#
# The sum over the $|S| = \kappa n$ unmasked targets divided by $n$ has the gradient $g_t = \kappa_t\nabla L_S$. By
# `head-identity` $\langle\theta_t, g_t\rangle = \kappa_t(\mathrm{CE}_S - H_S)_t = x_t$, for the features of that
# moment. If nothing is unmasked, $g_t = 0$, and both sides are 0.

# %%
n, members, total = sp.symbols("n m G", positive=True)  # m unmasked targets, whose gradients add up to G
zero(total / n - ((members / n) * (total / members)), "the mean over all is κ times the mean over the unmasked")

# %% [markdown]
# ## The identity
#
# Expand the squared norm: $\lVert\theta_{t+1}\rVert^2 = \lVert\theta_t\rVert^2 - 2\eta\langle\theta_t, g_t\rangle +
# \eta^2\lVert g_t\rVert^2$.

# %%
theta_c, g_c, norm2, inner, g2 = sp.symbols("theta_c g_c theta2 x g2", real=True)
after = summed((theta_c - eta * g_c) ** 2, {theta_c**2: norm2, theta_c * g_c: inner, g_c**2: g2})
zero(after - (norm2 - 2 * eta * inner + eta**2 * g2), "squared norm after a step, summed over components")

# %% [markdown]
# So $2\eta x_t = \lVert\theta_t\rVert^2 - \lVert\theta_{t+1}\rVert^2 + \eta^2\lVert g_t\rVert^2$. Sum over $t = 0,
# \ldots, T - 1$: the squared norms telescope, to $\lVert\theta_0\rVert^2 - \lVert\theta_T\rVert^2$. Divide by $2\eta
# T$.

# %%
x_t, before_t, after_t, g2_t = sp.symbols("x_t a_t b_t g2_t", real=True)
(one_step,) = sp.solve(sp.Eq(after_t, before_t - 2 * eta * x_t + eta**2 * g2_t), x_t)
first, last, squares, share = sp.symbols("initial_norm final_norm mean_square_gradient unmasked_share", positive=True)
rest = sp.Symbol("M", real=True)  # the sum of the squared norms at t = 1, …, T − 1, which occurs in both sums
average = summed(one_step / T, {before_t: first**2 + rest, after_t: rest + last**2, g2_t: T * squares})
identity = equal(average, (first**2 - last**2) / (2 * eta * T) + eta / 2 * squares, "the time average of x_t, exactly")
identity

# %%
states("floor-on-average", "identity", sp.Eq(sp.Symbol("A"), identity.rhs))

# %% [markdown]
# ## The floor
#
# On $S$ every cross entropy is at least $g = -\log\gamma$, so $(H_S - g)_t \ge (H_S - \mathrm{CE}_S)_t$, and
# $\kappa_t(H_S + \log\gamma)_t \ge -x_t$. Sum over $t$, use the identity, leave out $\lVert\theta_T\rVert^2 \ge 0$, and
# divide by $\sum_t \kappa_t = T\bar\kappa > 0$.

# %%
kappa, above, H, g = (
    sp.Symbol("kappa", nonnegative=True),
    sp.Symbol("a", nonnegative=True),
    *sp.symbols("H g", real=True),
)
CE = g + above
equal(kappa * (H - g) + kappa * (CE - H), kappa * above, "κ (H − g) + x = κ (CE − g)")
holds(kappa * above >= 0, "which is not negative")
lower = -(identity.rhs + last**2 / (2 * eta * T)) * T / (T * share)
zero(-identity.rhs * T / (T * share) - lower - last**2 / (2 * eta * T * share), "what is left out")
holds(last**2 / (2 * eta * T * share) >= 0, "is not negative")
bound = -(first**2 / (2 * eta * T) + eta / 2 * squares) / share
zero(lower - bound, "the bound")
states("floor-on-average", "floor", sp.Ge(sp.Symbol("B"), bound))

# %% [markdown]
# ## Bounded features
#
# One unmasked target with features $h$ has, in the row $W_j$ and $b_j$, the gradient $\delta_j(h, 1)$ with $\delta =
# q - e_y$. Its squared norm is $\lVert\delta\rVert^2(\lVert h\rVert^2 + 1)$, and $\lVert\delta\rVert^2 = (1 - q_y)^2 +
# \sum_{j \ne y} q_j^2 \le 2(1 - q_y)^2 \le 2$, because a sum of squares of nonnegative numbers is at most the square of
# their sum, here $1 - q_y$. So each gradient of a target is at most $\sqrt{2(R^2 + 1)}$ long, their sum at most $\kappa
# n$ times that, and $\lVert g_t\rVert^2 \le 2\kappa_t^2(R^2 + 1)$.

# %%
delta_j, h_d, delta2, h2 = sp.symbols("delta_j h_d delta2 h2", real=True)
row = summed((delta_j * h_d) ** 2, {h_d**2: h2}) + delta_j**2  # the row of W, and the bias
equal(summed(row, {delta_j**2: delta2}), delta2 * (h2 + 1), "squared norm of the gradient of one target")
part, others = sp.symbols("q_j s", nonnegative=True)
holds(sp.expand((part + others) ** 2 - (part**2 + others**2)) >= 0, "(a + b)² ≥ a² + b²: by induction for any sum")
miss, lost = sp.Symbol("e", nonnegative=True), sp.Symbol("l", nonnegative=True)  # e = 1 − q_y, and e + l = 1
holds(sp.expand(2 * (miss + lost) ** 2 - 2 * miss**2) >= 0, "2 e² ≤ 2 for e ≤ 1")

# %% [markdown]
# With $\kappa_t \le 1$: $\kappa_t^2 \le \kappa_t$, so the mean of $\lVert g_t\rVert^2$ is at most $2\bar\kappa(R^2 +
# 1)$, and the floor holds up to $\frac{\lVert\theta_0\rVert^2}{2\eta T\bar\kappa} + \eta(R^2 + 1)$.

# %%
R, masked = sp.Symbol("R", positive=True), sp.Symbol("m_t", nonnegative=True)  # κ + m = 1
equal(kappa * (kappa + masked) - kappa**2, kappa * masked, "κ − κ² = κ m, with κ + m = 1")
holds(kappa * masked >= 0, "is not negative")
equal(
    -bound.subs(squares, 2 * share * (R**2 + 1)),
    first**2 / (2 * eta * T * share) + eta * (R**2 + 1),
    "the bound for bounded features",
)

# %% [markdown]
# ## When everything is masked
#
# Nothing is said about steps with $\kappa_t = 0$, and the plain time average of the entropy need not obey the floor.
# One context with label 1 throughout, $q = (.99, .01)$ at the start and $\gamma = .9$: every target is masked, $g_t =
# 0$, the network stays as it is, and its entropy is below $-\log\gamma$ at every step: $H = \log 100 -
# \frac{99}{100}\log 99$, and $100^{100}/99^{99} < (10/9)^{100}$.

# %%
holds(sp.Rational(99, 100) > sp.Rational(9, 10), "masked")
H_stuck = -sp.Rational(99, 100) * sp.log(sp.Rational(99, 100)) - sp.log(sp.Rational(1, 100)) / 100
zero(sp.expand_log(100 * H_stuck - (100 * sp.log(100) - 99 * sp.log(99)), force=True), "its entropy")
holds(sp.Integer(100) ** 100 * 9**100 < sp.Integer(99) ** 99 * 10**100, "H < −log γ")

# %% [markdown]
# ## The functions of the library

# %%
ranges = {
    "initial_norm": (0.5, 50.0),
    "step_size": (1e-4, 1.0),
    "steps": range(1, 10**6),
    "mean_square_gradient": (0.0, 2.0),
}
# both terms of the identity are kept positive, so that 1e-12 is asked of a number that is not a small difference
agrees(
    "theory.loss.average_entropy_excess",
    identity.rhs,
    where={**ranges, "initial_norm": (20.0, 50.0), "final_norm": (0.0, 19.0)},
)
agrees("theory.loss.average_entropy_floor", bound, where={**ranges, "unmasked_share": (0.01, 1.0)})
