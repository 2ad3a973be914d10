# %% [markdown]
# # Where warm-started training ends when the drawn classes fit under the cap
#
# Let $f$ be the frequencies of the drawn classes, $S$ of them, and
# $L_\gamma(z) = \sum_i f_i \max(\mathrm{CE}_i(z), g)$ with $\mathrm{CE}_i = -\log q_i(z)$, $g = -\log\gamma$, and $q$
# the softmax of $z$. If $S\gamma < 1$ every $q$ with $q_i \ge \gamma$ on the drawn classes attains the minimum $g$, and
# the fit is a matter of where training starts. Warm start means: follow
# $$\dot z \in -\partial L_\gamma(z), \qquad q(z_0) = q_0 ,$$
# to its end. Classes with $q_0 = 0$ stay at 0 in a softmax; leave them out, so that $q_0 > 0$ from here on. Adding a
# constant to all logits changes nothing; take $z_0 = \log q_0$.
#
# $L_\gamma$ is convex and continuous (`hinge-form`), so that the flow exists, is absolutely continuous, and is unique
# (Brezis 1973): two solutions never move apart. By `tce-gradient` and `hinge-form`, at almost every time
# $$\dot z_j = f_j w_j - q_j M, \qquad M = \sum_i f_i w_i ,$$
# with $w_i = 1$ where $q_i < \gamma$, $w_i = 0$ where $q_i > \gamma$, some $w_i \in [0, 1]$ where $q_i = \gamma$, and
# $f_j = 0$ off the drawn classes.

# %%
import math

import numpy as np
import sympy as sp
from checking import agrees_at, equal, holds, states, summed, zero
from scipy.integrate import solve_ivp

gamma, n_drawn = sp.symbols("gamma S", positive=True)

# %% [markdown]
# ## It stops after a finite time
#
# For any $q_0$ and $S\gamma < 1$. Choose a model $\hat q$ with all drawn classes above $\gamma$: some
# $\gamma' \in (\gamma, 1/S)$ on each of them and the rest on the others, or $\gamma' = 1/S$ if there are no others. Let
# $\hat z = \log\hat q$ and $\delta = \log(\gamma'/\gamma) > 0$, so that $\mathrm{CE}_i(\hat z) = g - \delta$ for all
# drawn classes. $\mathrm{CE}_i$ is convex in the logits, and $w_i > 0$ only where $\mathrm{CE}_i(z) \ge g$; so
# $$\frac{d}{dt}\,\frac{1}{2}\|z - \hat z\|^2
#   = \left\langle \sum_i f_i w_i \nabla\mathrm{CE}_i(z),\, \hat z - z\right\rangle
#   \le \sum_i f_i w_i \left(\mathrm{CE}_i(\hat z) - \mathrm{CE}_i(z)\right) \le -\delta M .$$
# As long as some drawn class is below $\gamma$, $M \ge f_{min}$, the least of the positive frequencies: the squared
# distance falls at a rate of at least $2\delta f_{min}$, and this cannot last longer than
# $\|z_0 - \hat z\|^2/(2\delta f_{min})$. Then every drawn class has $q_i \ge \gamma$, $z$ is a minimiser,
# $0 \in \partial L_\gamma(z)$, and by uniqueness the flow stays there.

# %%
ours, theirs, above, delta = sp.symbols("CE_z g u delta", real=True)
equal(
    (theirs - delta - ours).subs(ours, theirs + above),
    -delta - above,
    "with CE(z) = g + u, u ≥ 0, a term is −δ − u ≤ −δ",
)

# %% [markdown]
# ## What is conserved
#
# **The sum of the logits:** $\sum_j \dot z_j = \sum_j f_j w_j - M\sum_j q_j = M - M = 0$.

# %%
f_j, w_j, q_j = sp.symbols("f_j w_j q_j", nonnegative=True)
pull = sp.Symbol("M", positive=True)
velocity = f_j * w_j - q_j * pull
zero(summed(velocity, {f_j * w_j: pull, q_j: 1}), "Σ ż, with Σ f w = M and Σ q = 1")

# %% [markdown]
# **One clock for all free classes.** A class that no data pull (not drawn, or masked) has $\dot z_j = -q_j M$ with
# $q_j = e^{z_j}/Z$, $Z = \sum_k e^{z_k}$. Then $e^{-z_j}$ grows at the rate $M/Z$, which is the same for all of them.

# %%
t = sp.Symbol("t", nonnegative=True)
z = sp.Function("z", real=True)(t)
normaliser, start, clock = sp.symbols("Z q_0j tau", positive=True)
rate = sp.diff(sp.exp(-z), t).subs(sp.diff(z, t), -sp.exp(z) / normaliser * pull)
equal(rate, pull / normaliser, "d/dt exp(−z) = M/Z for a free class")

# %% [markdown]
# With $\tau = \int M/Z\,dt \ge 0$, a class that is free all the time has $e^{-z_j} = 1/q_{0j} + \tau$. The classes that
# were not drawn are free all the time; let $a_j = e^{z_j}$ be their unnormalised masses and $U = \sum_j a_j$.

# %%
free = 1 / (1 / start + clock)
equal(free, start / (1 + clock * start), "the unnormalised mass of a free class")

# %%
states("warm-degenerate", "free classes", sp.Eq(sp.Symbol("a_j", positive=True), start / (1 + clock * start)))

# %% [markdown]
# ## No class climbs above the cap
#
# Let $b(t) = \max_k q_k(t)$. While $b > \gamma$ it does not rise. The maximum of finitely many absolutely continuous
# functions is absolutely continuous, and where it is differentiable its derivative is that of a class $k$ that attains
# it. That class is above $\gamma$, so not drawn or masked, and with
# $\frac{d}{dt}\log q_k = \dot z_k - \sum_i q_i \dot z_i$:
# $$\frac{d}{dt}\log q_k = -q_k M - \sum_i q_i f_i w_i + M \sum_i q_i^2 \le M \left(\sum_i q_i^2 - q_k\right) \le 0 ,$$
# because $\sum_i q_i^2 \le q_k \sum_i q_i = q_k$ when $q_k$ is the largest. So if $q_0 \in C_\gamma$ the flow stays in
# $C_\gamma$: above $\gamma$, $b$ would have had to rise. Nothing here needs $S\gamma < 1$.

# %%
moment, drawn_moment, top = sp.symbols("Q A q_k", nonnegative=True)
mean_velocity = summed(q_j * velocity, {q_j * f_j * w_j: drawn_moment, q_j**2: moment})
climb = (0 - top * pull) - mean_velocity  # of log q_k, with f w = 0 for a class that no data pull
zero(climb - (pull * (moment - top) - drawn_moment), "the slope of log q_k, Q = Σ q², A = Σ q f w ≥ 0")
shares = sp.Symbol("u", nonnegative=True)  # q_k − q_i
zero(sp.expand(top * (top - shares) - (top - shares) ** 2 - shares * (top - shares)), "q_k q − q² = (q_k − q) q ≥ 0")

# %% [markdown]
# ## The end point
#
# Let $q_0 \in C_\gamma$. At the end every drawn class has $q_i \ge \gamma$, and by the last section $q_i \le \gamma$;
# so $q_i = \gamma$. (If $S = 1$ and $q_{0i} \le \gamma$, the same holds for any $q_0$: the flow stops when the one
# drawn class reaches $\gamma$.) The others have the rest, $U/Z = 1 - S\gamma$, which gives $Z$, and
# $z_i = \log(\gamma Z)$ for the drawn classes. Put this into the conserved sum of the logits: with
# $L_{on} = \sum\log q_{0i}$ over the drawn classes, $L_{off} = \sum\log(1 + \tau q_{0j})$ and $A = \sum\log q_{0j}$
# over the others,
# $$S \log(\gamma Z) + A - L_{off} = L_{on} + A .$$

# %%
mass = sp.Symbol("U", positive=True)
on, off, logs = sp.symbols("L_on L_off A", real=True)
(total,) = sp.solve(sp.Eq(mass / normaliser, 1 - n_drawn * gamma), normaliser)
equal(sp.expand_log(sp.log(free)), sp.log(start) - sp.log(1 + clock * start), "a term of Σ z over the free classes")

# %%
after = n_drawn * sp.log(gamma * total) + (logs - off)
before = on + logs
condition = sp.Eq(n_drawn * sp.log(gamma * mass / (1 - n_drawn * gamma)), on + off)
zero((after - before) - (condition.lhs - condition.rhs), "the conserved sum, after minus before, is this equation")
states("warm-degenerate", "end", condition)

# %% [markdown]
# The frequencies are not in it: only which classes were drawn matters.
#
# ## Exactly one clock
#
# Let $G(\tau) = L_{on} + L_{off}(\tau) - S\log\frac{\gamma U(\tau)}{1 - S\gamma}$. Term by term,
# $\frac{d}{d\tau}\log(1 + \tau q) = a$ and $\frac{da}{d\tau} = -a^2$, so that
# $$G' = \sum_j a_j + S\,\frac{\sum_j a_j^2}{U} > 0 .$$

# %%
equal(sp.diff(sp.log(1 + clock * start), clock), start / (1 + clock * start), "the slope of log(1 + τq) is a")
zero(sp.diff(start / (1 + clock * start), clock) + (start / (1 + clock * start)) ** 2, "the slope of a is −a²")

# %% [markdown]
# $G(0) = \sum_{on}\log\frac{q_{0i}}{\gamma} - S\log\frac{U(0)}{1 - S\gamma} \le 0$: every $q_{0i} \le \gamma$, and
# $U(0) = 1 - \sum_{on} q_{0i} \ge 1 - S\gamma$. It is 0 if and only if every drawn class has $q_0 = \gamma$. As
# $\tau \to \infty$, $L_{off} \to \infty$ and $-\log U$ rises, so $G \to \infty$. (There is a class off the drawn ones:
# else $\sum q_0 \le S\gamma < 1$.) So $G$ has exactly one root $\tau \ge 0$.
#
# The library brackets the root with $G(\tau) - G(0) \ge \log(1 + \tau \max q)$ (leave out what is positive) and
# $G' \le U(0) + S \max q$ (as $a_j \le q_{0j}$, and $\sum a_j^2 \le U \max a$); the maximum is over the free classes.

# %% [markdown]
# ## The border $S\gamma = 1$
#
# For any $q_0$. For a convex $L$ and the flow $\dot z = -v$, $v \in \partial L(z)$, and any $y$:
# $\frac{d}{dt}\frac{1}{2}\|z - y\|^2 = \langle v, y - z\rangle \le L(y) - L(z)$, and $L$ does not rise; integrate:
# $$L(z(t)) - L(y) \le \frac{\|z_0 - y\|^2}{2t} \quad \text{for every } y ,$$
# so $L(z(t)) \to \inf L$. Here $\inf L_\gamma = g$: let all logits off the drawn classes go to $-\infty$ at equal
# logits on them. Every term is at least $f_i g$, so each tends to it: $\liminf q_i \ge \gamma$ for every drawn class.
# As the $S$ of them have no more than 1, $\limsup q_i \le 1 - (S - 1)\gamma = \gamma$. So $q_i \to \gamma = 1/S$, and
# all else goes to 0.

# %%
equal((1 - (n_drawn - 1) * gamma).subs(gamma, 1 / n_drawn), 1 / n_drawn, "what is left for one drawn class at Sγ = 1")

# %% [markdown]
# ## Frozen models
#
# If every drawn class has $q_0 > \gamma$, $L_\gamma = g$ near $z_0$, its gradient is 0, and nothing moves. And
# $q \in C_\gamma$ has $1 = \sum q_i \le K\gamma$, so that $C_\gamma$ is empty if $K\gamma < 1$.
#
# ## Outside $C_\gamma$ the frequencies matter
#
# Take $q_0 = (.8, .1, .1)$, $\gamma = .15$, and draw classes 2 and 3 with frequencies $f_2 > f_3$. Write
# $s = q_2 + q_3$.
#
# *Class 2 reaches $\gamma$ first.* While both are below $\gamma$, $w = 1$ and $M = 1$, and
# $\dot z_2 - \dot z_3 = f_2 - f_3 - (q_2 - q_3)$, which is positive where $q_2 = q_3$: so $q_2 > q_3$ from then on.
# Both end at $\gamma$ or above, so class 2 gets to $\gamma$ first, while $q_3 < \gamma$.
#
# *Then it goes through.* While $w_3 = 1$, with $M = f_2 w_2 + f_3$,
# $$\frac{d}{dt}\log q_2 = f_2 w_2 \left[(1 - q_2)^2 + q_1^2 + q_3^2\right]
#   + f_3\left[\sum_k q_k^2 - q_2 - q_3\right] .$$

# %%
q1, q2, q3, f2, f3, w2 = sp.symbols("q1 q2 q3 f2 f3 w2", nonnegative=True)
weight = f2 * w2 + f3
squares = q1**2 + q2**2 + q3**2
slope = (f2 * w2 - q2 * weight) - (q2 * f2 * w2 + q3 * f3) + weight * squares
zero(
    sp.expand(slope - (f2 * w2 * ((1 - q2) ** 2 + q1**2 + q3**2) + f3 * (squares - q2 - q3))),
    "the slope of log q₂, in two terms",
)

# %% [markdown]
# The first term is not negative. For the second, $q_1 = 1 - s$ and $q_2^2 + q_3^2 \ge s^2/2$, so that the bracket is
# at least $1 - 3s + \frac{3}{2} s^2$, which is positive for $s < 1 - 1/\sqrt3 = .4226$. So $\log q_2$ rises at a rate
# of at least a positive constant times $f_3$ whenever $q_3 \le .15$ and $q_2 \le .25$, whatever $w_2$ is. It rises
# through $\gamma$, and it cannot come back to $\gamma$ while $q_3 < \gamma$, because just above $\gamma$ it rises. The
# flow ends when class 3 arrives at $\gamma$: **the end has $q_2 > \gamma = q_3$.**
#
# With $f_2 < f_3$ the two change places, since $q_0$ is symmetric: the end has $q_3 > \gamma = q_2$. So it depends on
# $f$.

# %%
s = sp.Symbol("s", positive=True)
zero(q2**2 + q3**2 - ((q2 + q3) ** 2 + (q2 - q3) ** 2) / 2, "q₂² + q₃² = (s² + (q₂ − q₃)²)/2 ≥ s²/2")
bound = sp.expand((1 - s) ** 2 + s**2 / 2 - s)
equal(bound, 1 - 3 * s + sp.Rational(3, 2) * s**2, "the lower bound of the bracket")
holds(set(sp.solve(bound, s)) == {1 - 1 / sp.sqrt(3), 1 + 1 / sp.sqrt(3)}, "its roots are 1 ± 1/√3")
holds(sp.Rational(15, 100) + sp.Rational(25, 100) < 1 - 1 / sp.sqrt(3), "s ≤ .40 is below the smaller root")

# %% [markdown]
# ### How much (numerical)
#
# The flow, integrated from mask to mask with an error of about $10^{-11}$. Where a class arrives at $\gamma$ it is
# checked that it rises on either side, and so goes through. The last line has $K\gamma > 1$, so that $C_\gamma$ is not
# empty: six classes in the place of the fourth.


# %%
def integrate(start, frequencies, cap):
    """End of the flow from outside the cap, for drawn classes that go through the cap and stay above it."""
    logits, drawn, passed = np.log(start), np.flatnonzero(frequencies), set()

    def model(logits):
        masses = np.exp(logits - logits.max())
        return masses / masses.sum()

    def velocity(logits, masked):
        q = model(logits)
        pulls = np.array([0.0 if i in masked else f for i, f in enumerate(frequencies)])
        return pulls - q * pulls.sum()

    while len(passed) < len(drawn):
        active = [i for i in drawn if i not in passed]
        events = [lambda t, x, i=i: math.log(model(x)[i] / cap) for i in active]
        for event in events:
            event.terminal, event.direction = True, 1
        result = solve_ivp(
            lambda t, x: velocity(x, passed), (0, 1e4), logits, "DOP853", events=events, rtol=1e-12, atol=1e-13
        )
        arrived = active[next(k for k, times in enumerate(result.t_events) if times.size)]
        logits = result.y[:, -1]
        passed.add(arrived)
        q = model(logits)
        if len(passed) < len(drawn):
            for masked in (passed, passed - {arrived}):
                speed = velocity(logits, masked)
                assert speed[arrived] - q @ speed > 0, "the class would be held at the cap"
            assert all(q[i] > cap - 1e-9 for i in passed)
    return q


for share in (0.9, 0.1):
    end = integrate(np.array([0.8, 0.1, 0.06, 0.04]), np.array([0, share, 1 - share, 0]), 0.15)
    print(f"f = ({share}, {1 - share:.1f}) on classes 2 and 3: {end.round(4)} (numerical)")
    expected = [0.6218, 0.1718, 0.15, 0.0564] if share == 0.9 else [0.6430, 0.15, 0.1519, 0.0551]
    assert np.abs(end - expected).max() < 6e-5
for share in (0.9, 0.1):
    end = integrate(np.array([0.8, 0.1, 0.06] + [0.04 / 6] * 6), np.array([0, share, 1 - share] + [0] * 6), 0.15)
    print(f"f = ({share}, {1 - share:.1f}), nine classes: {end[:3].round(4)} (numerical)")
    assert np.abs(end[:3] - ([0.6201, 0.1715, 0.15] if share == 0.9 else [0.6413, 0.15, 0.1519])).max() < 6e-5

# %% [markdown]
# ## The function of the library
#
# The example of three free classes and one drawn, and two of several drawn classes, with the root of $G$ at 40 digits.


# %%
def end_point(start, drawn, cap):
    """Solve G(τ) = 0 by bisection in exact terms at high precision."""
    on_classes = [value for i, value in enumerate(start) if i in drawn]
    off_classes = [value for i, value in enumerate(start) if i not in drawn]
    room = 1 - len(drawn) * cap

    def g(clock):
        masses = [value / (1 + clock * value) for value in off_classes]
        lost = sum(sp.log(1 + clock * value) for value in off_classes)
        return sum(sp.log(value) for value in on_classes) + lost - len(drawn) * sp.log(cap * sum(masses) / room)

    symbol = sp.Symbol("x")
    root = sp.nsolve(g(symbol), symbol, (sp.Rational(1, 1000), 1000), solver="anderson", prec=50, verify=False)
    assert abs(sp.N(g(root), 45)) < sp.Float(10) ** -40, "not a root"
    shared = [value / (1 + root * value) for value in off_classes]
    rest = iter([room * value / sum(shared) for value in shared])
    return [cap if i in drawn else next(rest) for i in range(len(start))], root


tenth = sp.Rational(1, 10)
cases = [
    ([4 * tenth, 3 * tenth, 2 * tenth, tenth], {3}, 6 * tenth),
    ([4 * tenth, 3 * tenth, 2 * tenth, tenth], {1, 3}, 45 * tenth / 10),
    ([sp.Rational(k, 36) for k in range(8, 0, -1)], {2, 5, 7}, sp.Rational(3, 10)),
]
for start_point, drawn, cap in cases:
    exact, root = end_point(start_point, drawn, cap)
    arguments = {
        "previous": [float(value) for value in start_point],
        "drawn": [i in drawn for i in range(len(start_point))],
        "gamma": float(cap),
    }
    agrees_at("theory.categorical.warm_end", arguments, exact, part="probs")
    agrees_at("theory.categorical.warm_end", arguments, root, part="clock")
exact, _ = end_point(*cases[0])
holds(
    [round(float(value), 8) for value in exact] == [0.15625721, 0.13591163, 0.10783116, 0.6], "the example (numerical)"
)
