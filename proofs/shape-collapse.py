# %% [markdown]
# # The shape of a covariance matrix collapses, whatever holds its volume
#
# A Gaussian in $d$ dimensions is fitted again and again by maximum likelihood to $n$ points of its last fit;
# $n \ge d + 1$ if the mean is fitted. Write $\Sigma_t = A_t A_t^\top$. The points are $\mu_t + A_t z_i$ with standard
# normal $z_i$, and the fit is
# $$\Sigma_{t+1} = A_t\, \frac{Z Z^\top}{n}\, A_t^\top ,$$
# where the columns of $Z$ are the centred $z_i$. By Cochran's theorem $Z Z^\top$ has the law of $G G^\top$, with $G$ a
# $d \times (n-1)$ matrix of independent standard normal numbers, independent of the past. (Known mean: $n$ columns
# instead of $n - 1$.)

# %%
import math

import numpy as np
import sympy as sp
from checking import agrees, equal, holds, states, zero

from tce_theory import theorems

n, d, i, k = sp.symbols("n d i k", positive=True, integer=True)

# %% [markdown]
# ## Determinants of Gaussian matrices: Bartlett's decomposition
#
# Let $G$ be $k \times m$, $m \ge k$, with rows $g_1, \ldots, g_k$. $\det(GG^\top)$ is the squared volume of the
# parallelepiped of the rows: the product of the squared distances of $g_i$ from the span of $g_1, \ldots, g_{i-1}$
# (Gram–Schmidt). The rows are independent and the law of $g_i$ is invariant under rotations, so the squared distance
# from any subspace of dimension $i - 1$ that is independent of $g_i$ has the law of $m - i + 1$ squared standard normal
# numbers. Given the rows before, this law does not depend on them, so that the distances are independent:
# $$\det(GG^\top) \sim \prod_{i=1}^{k} \chi^2_{m-i+1}, \qquad m = n - 1:\quad \prod_{i=1}^{k} \chi^2_{n-i} .$$
# The algebra is that of the Cholesky factor: with $GG^\top = LL^\top$, $\det = \prod L_{ii}^2$, and $L_{ii}$ is the
# distance. For two rows:

# %%
a, b, c = sp.symbols("a b c", positive=True)  # |g_1|^2, <g_1, g_2>, |g_2|^2
gram = sp.Matrix([[a, b], [b, c]])
distance = c - b**2 / a  # |g_2|^2 minus its part along g_1
zero(sp.simplify(gram.det() - a * distance), "det of the Gram matrix = |g_1|^2 times the squared distance of g_2")

# %% [markdown]
# The step from $k - 1$ to $k$ rows is the same with a block in place of $a$. Let $H$ be the matrix of the rows before
# and $B = HH^\top$; the point of their span nearest to $g$ is $H^\top B^{-1} H g$ (its difference from $g$ is
# orthogonal to the rows: $Hg - BB^{-1}Hg = 0$), at a squared distance of $c - v^\top B^{-1} v$ with $c = |g|^2$ and
# $v = Hg$. Subtract from the last row of the Gram matrix the combination $v^\top B^{-1}$ of the others: what is left in
# it is $(0, c - v^\top B^{-1} v)$, and the determinant is $\det B \cdot (c - v^\top B^{-1} v)$.
#
# ## Every principal minor is a random walk
#
# Let $U$ be $d \times k$ with fixed orthonormal columns, and $B_t = A_t^\top U$, a $d \times k$ matrix. Then
# $U^\top\Sigma_t U = B_t^\top B_t$, and $U^\top\Sigma_{t+1}U = (B_t^\top G)(B_t^\top G)^\top/n$. The columns of
# $B_t^\top G$ are independent $N(0, B_t^\top B_t)$ vectors: $B_t^\top G$ has the law of
# $(B_t^\top B_t)^{1/2} \tilde{G}$ with a $k \times (n-1)$ matrix $\tilde{G}$ of standard normal numbers, independent of
# the past. Taking determinants,
# $$\log\det(U^\top\Sigma_{t+1}U) - \log\det(U^\top\Sigma_t U) = \log\frac{\det(\tilde{G}\tilde{G}^\top)}{n^k}
# \sim \sum_{i=1}^{k} \log\frac{\chi^2_{n-i}}{n} ,$$
# with a law that does not depend on the past: the steps are independent and identically distributed. With columns of
# the identity for $U$, these are the principal minors of $\Sigma_t$. The law of large numbers gives, for each of them,
# almost surely
# $$\frac{1}{t}\log\det(U^\top\Sigma_t U) \to \lambda_1 + \cdots + \lambda_k, \qquad
# \lambda_i = E\log\frac{\chi^2_{n-i}}{n} = \psi\left(\frac{n-i}{2}\right) + \log\frac{2}{n} .$$

# %%
x, shape, power = sp.symbols("x alpha p", positive=True)
density = x ** (shape - 1) * sp.exp(-x) / sp.gamma(shape)  # chi-square with 2 alpha degrees of freedom is 2 x
moment = sp.integrate(x**power * density, (x, 0, sp.oo))
mean_log = sp.diff(moment, power).subs(power, 0).doit()
equal(sp.simplify(mean_log), sp.digamma(shape), "E log of a Gamma variable, by the derivative of its moments at 0")
exponent = sp.digamma((n - i) / 2) + sp.log(2 / n)
zero(mean_log.subs(shape, (n - i) / 2) + sp.log(2 / n) - exponent, "E log(chi-square/n), n - i degrees of freedom")
rate = states("shape-collapse", "exponents", sp.Eq(sp.Symbol("lambda_i"), exponent))
states(
    "shape-collapse",
    "exponents-known-mean",
    sp.Eq(sp.Symbol("lambda_i"), mean_log.subs(shape, (n - i + 1) / 2) + sp.log(2 / n)),
)
rate

# %% [markdown]
# ## From minors to eigenvalues
#
# Let $\ell_1 \ge \cdots \ge \ell_d > 0$ be the eigenvalues of $\Sigma_t$. The sum of all $k \times k$ principal minors
# is the elementary symmetric polynomial $e_k$ of the eigenvalues (both are the coefficient of $x^{d-k}$ in
# $\det(x I + \Sigma)$, up to sign the same). So
# $$\ell_1 \cdots \ell_k \le e_k = \sum_{|I| = k} \det\Sigma_I \le \binom{d}{k}\,\ell_1 \cdots \ell_k .$$
# A sum of finitely many positive terms that all grow at the exponential rate $\lambda_1 + \cdots + \lambda_k$ grows at
# that rate; so does the product of the $k$ largest eigenvalues. Subtract the rates for $k - 1$ from those for $k$:
# almost surely $\frac{1}{t}\log\ell_k \to \lambda_k$.

# %%
size = 3
entries = sp.Matrix(size, size, lambda row, column: sp.Symbol(f"s{min(row, column)}{max(row, column)}"))
characteristic = sp.Poly((x * sp.eye(size) + entries).det(), x)
for order in range(1, size + 1):
    minors = [
        entries[list(chosen), list(chosen)].det() for chosen in sp.utilities.iterables.subsets(range(size), order)
    ]
    zero(
        sp.expand(characteristic.coeff_monomial(x ** (size - order)) - sum(minors)),
        f"illustration, d = 3: the coefficient is the sum of the minors of order {order}",
    )

# %% [markdown]
# (In general: expand $\det(xI + \Sigma)$ by multilinearity in its columns, each of which is a column of $xI$ or of
# $\Sigma$.)
#
# ## The condition number
#
# $\frac{1}{t}\log(\ell_1/\ell_d) \to \lambda_1 - \lambda_d$, which is positive, as $\psi$ increases. For large $n$ it
# is $(d-1)/n$.

# %%
first, last = exponent.subs(i, 1), exponent.subs(i, d)
gap = sp.digamma((n - 1) / 2) - sp.digamma((n - d) / 2)
zero(first - last - gap, "the logarithms of 2/n cancel")
growth = states("shape-collapse", "condition-number", sp.Eq(sp.Symbol("gap"), gap))
argument = sp.Symbol("x", positive=True)
holds(sp.polygamma(1, argument) > 0, "the slope of digamma is positive")
small, dimension = sp.symbols("z d", positive=True)  # z = 1/n
large_n = sp.series(gap.subs(d, dimension).subs(n, 1 / small), small, 0, 2).removeO()
equal(sp.simplify(large_n), (dimension - 1) * small, "(d - 1)/n + O(1/n^2)")
growth

# %% [markdown]
# ## Truncation holds the volume
#
# Under TCE with an absolute threshold let $v_c = (2\pi)^{-d}\gamma^{-2}$ be the determinant at which the peak density,
# $(2\pi)^{-d/2}|\Sigma|^{-1/2}$, is $\gamma$. The loss of a point at $y$ from the mean exceeds $g = -\log\gamma$ by
# $\frac{1}{2}\left(\log(|\Sigma|/v_c) + y^\top\Sigma^{-1}y\right)$, and the entropy of the model exceeds $g$ by
# $\frac{1}{2}\left(\log(|\Sigma|/v_c) + d\right)$. The points are in general position (almost surely): they span
# $\mathbb{R}^d$, if the mean is fitted around any centre.
#
# *The fit.* If some point is unmasked at the minimum, the minimiser is unique (`hinge-form`: a minimal exponential
# family; the minimum is attained, as the mean loss of points in general position tends to $\infty$ at the border). If
# not, the minimisers are all models with $y^\top\Sigma^{-1}y \le \ell$ for all points, $\ell = -\log(|\Sigma|/v_c)$.
# Write $\Sigma = E/\ell$: then $y^\top E^{-1} y \le 1$, the ellipsoid of $E$ contains the points, and
# $|E| = \ell^d|\Sigma| = v_c\,\ell^d e^{-\ell}$. The largest entropy is the least $\ell$. For $\ell < d$ the right side
# grows with $\ell$; so the least $\ell$ is where $E$ is the ellipsoid of least volume that contains the points, which
# is unique (John 1948), and $0 < \ell \le d$: otherwise ($|E| > v_c d^d e^{-d}$, the largest value) no $\ell$ is
# possible at all, and the case is not vacuous. The fit is unique in each case, and therefore moves along with linear
# maps and shifts of the points.
#
# *The floor and the wall.* $Y' = \log(|\Sigma'|/v_c)$ of the fit is at least $-d$: by `entropy-identity` if a point is
# unmasked, by $Y' = -\ell \ge -d$ if not. It is at least $\hat{Y} = \log(|\hat\Sigma|/v_c)$, $\hat\Sigma$ the fit of
# cross entropy: in the first case by the monotony in `entropy-identity`; in the second the entropy of $\hat\Sigma$, its
# mean loss, is at most the mean loss of the fit, which is at most $g$, and the entropy of the fit is at least $g$. And
# if $Y' > 0$ nothing is masked: $Y' = \hat{Y}$. Together
# $$\max(-d, \hat{Y}) \le Y' \le \max(0, \hat{Y}) .$$
# These are the one-step bounds of `density-wall` with $-d$ in place of $-1$. With $\hat{Y} = Y + \xi$, where
# $\xi = \log\det(ZZ^\top/n)$ has the law above and mean $\lambda_1 + \cdots + \lambda_d$, the induction there gives
# $W_t - d \le Y_t \le W_t$. The mean is negative: $\psi(x) < \log x$ (Jensen's inequality for the logarithm of a Gamma
# variable), so that $\lambda_i < \log((n - i)/n) < 0$.

# %%
log_volume_ratio, radius2 = sp.symbols("Y R", real=True)
gamma, determinant = sp.symbols("gamma v", positive=True)
dim = sp.Symbol("d", positive=True)
critical_volume = (2 * sp.pi) ** (-dim) / gamma**2
peak = (2 * sp.pi) ** (-dim / 2) / sp.sqrt(determinant)
equal(sp.simplify(peak.subs(determinant, critical_volume)), gamma, "the peak density at the critical determinant")
loss = -sp.log(peak) + radius2 / 2
in_units = loss.subs(determinant, critical_volume * sp.exp(log_volume_ratio)) + sp.log(gamma)
zero(sp.expand(sp.expand_log(in_units, force=True)) - (log_volume_ratio + radius2) / 2, "the surplus of the loss")
entropy = (dim * sp.log(2 * sp.pi) + dim + sp.log(determinant)) / 2
surplus_of_entropy = entropy.subs(determinant, critical_volume * sp.exp(log_volume_ratio)) + sp.log(gamma)
zero(sp.expand(sp.expand_log(surplus_of_entropy, force=True)) - (log_volume_ratio + dim) / 2, "that of the entropy")
level = sp.Symbol("l", positive=True)
volume_of_level = level**dim * sp.exp(-level)
zero(
    sp.simplify(sp.diff(volume_of_level, level) - level ** (dim - 1) * sp.exp(-level) * (dim - level)),
    "the volume grows with l up to l = d, and falls after it",
)
walk, step = sp.Symbol("W", nonnegative=True), sp.Symbol("xi", real=True)
for case, value in (("W + xi >= 0", sp.Symbol("p", nonnegative=True)), ("W + xi < 0", sp.Symbol("m", negative=True))):
    zero(
        (sp.Max(-dim, walk - dim + step) - (sp.Max(0, walk + step) - dim)).subs(step, value - walk),
        f"max(-d, W - d + xi) = max(0, W + xi) - d, {case}",
    )

# %% [markdown]
# ## It does not hold the shape
#
# Let $\Sigma_t = A_t A_t^\top$. The density of $A z$ under $N(0, A S A^\top)$ is that of $z$ under $N(0, S)$ divided by
# $|\det A|$. So the fit to points $A_t z_i$ is $\Sigma_{t+1} = A_t S_t A_t^\top$, where $S_t$ is the fit to the $z_i$
# with threshold $\gamma|\det A_t|$. It depends on the past through $|\Sigma_t|$ alone, and as the law of the $z_i$ is
# invariant under rotations and the fit goes along, so is the law of $S_t$ given the past. Truncation sees the volume,
# not the shape.
#
# *Recurrence.* So $Y_t = \log(|\Sigma_t|/v_c)$ is a Markov chain. The argument of `density-wall` applies with
# $C = [-d, \log 4]$: the steps have a negative mean, and a density that is positive and continuous on the whole line
# (that of a sum of independent $\log\chi^2$ variables); where $\hat{Y} > 0$, $Y' = Y + \xi$. It is positive Harris
# recurrent.
#
# *Integrability.* In its stationary law all $\log s_j$ are integrable, $s_1 \ge \cdots \ge s_d$ the eigenvalues of $S$.
# Let $\hat{S} = ZZ^\top/n$ be the fit of cross entropy to the $z_i$, and $R$ the largest distance of a $z_i$ from 0;
# $\log R$ and $\log|\hat{S}|$ are integrable, and their law does not depend on the state. All $z_i$ are at most $2R$
# from a centre in their convex hull, where the fitted one is: a weighted mean of points.
#
# - $\log|S| \ge \log|\hat{S}|$, as seen above.
# - If a point is unmasked, stationarity says $S = \sum_i w_i y_i y_i^\top/\sum_i w_i$, so that $s_1 \le 4R^2$.
# - If not, $S = E/\ell$ with the ellipsoid of least volume $E$ around the $z_i$. By John's theorem
#   $E = d\sum_i w_i y_i y_i^\top$ with weights of sum 1, its centre is their weighted mean, and its largest eigenvalue
#   is at most $4dR^2$. As $y_i^\top E^{-1} y_i \le 1$ means that $E - y_i y_i^\top$ is nonnegative definite, so is
#   $E - \hat{S}$, and $|E| \ge |\hat{S}|$. The critical determinant is $e^{-Y}$ in these units: $|E| = \ell^d
#   e^{-\ell - Y} \le \ell^d e^d$ ($Y \ge -d$, $\ell > 0$), so that $\ell \ge |\hat{S}|^{1/d}/e$ and
#   $\log s_1 \le \log(4dR^2) + 1 - \frac{1}{d}\log|\hat{S}|$.
#
# So $\log s_1$ is bounded above by an integrable variable, and all
# $\log s_j \ge \log s_d \ge \log|S| - (d - 1)\log s_1$ are bounded below by one.
#
# *The rate.* For a unit vector $e$, $\log(e^\top\Sigma_{t+1}e) - \log(e^\top\Sigma_t e) = \log(v_t^\top S_t v_t)$ with
# the unit vector $v_t = A_t^\top e/|A_t^\top e|$, which is known before the points are drawn. By rotation the joint law
# of $v_t^\top S_t v_t$ and $|S_t|$ given the past is that of $S_{11}$ and $|S|$ given $Y_t$. So these numbers, together
# with $Y_{t+1}$, are a Markov chain whose transitions depend on $Y_t$ alone: it is positive Harris recurrent with $Y$.
# By the law of large numbers for such chains (Meyn and Tweedie 2009, theorem 17.1.7) almost surely
# $$\frac{1}{t}\log(e^\top\Sigma_t e) \to \lambda := E\log S_{11}, \qquad \frac{1}{t}\log|\Sigma_t| \to E\log|S| = 0$$
# with expectations in the stationary law: the last limit is 0, because $Y_t$ returns to $[-d, 0]$ for ever.
#
# *It is positive.* Given $|\Sigma_t|$, $S = O\,\mathrm{diag}(s)\,O^\top$ with a uniform rotation $O$ that is
# independent of the eigenvalues (by rotation invariance, $S$ can be replaced by its image under an independent uniform
# rotation), and $S_{11} = \sum_j s_j v_j^2$ with $v$ uniform on the sphere. By Jensen's inequality
# $$\log\sum_j s_j v_j^2 \ge \sum_j v_j^2 \log s_j, \qquad E v_j^2 = \frac{1}{d} \quad\Rightarrow\quad
# \lambda \ge \frac{1}{d} E\log\det S = 0,$$
# with equality only if all $s_j$ are the same almost surely, because for $d \ge 2$ almost surely all $v_j^2 > 0$. That
# is not so: from every state $\hat{Y} > 0$ has positive probability, $S = \hat{S}$ there, and the matrix $ZZ^\top$ with
# $n - 1 \ge d$ (known mean: $n \ge d$) Gaussian columns has a density, so that it is almost surely no multiple of the
# identity. So $\lambda > 0$.
#
# The largest eigenvalue of $\Sigma_t$ is at least $e^\top\Sigma_t e$, and the smallest at most $|\Sigma_t|^{1/d}$: the
# logarithm of the condition number grows at least by $\lambda$ a generation, for ever, while the volume stands at the
# wall. ($\lambda$ does not depend on $\gamma$, as $\gamma$ enters through $Y$ alone.)

# %%
holds(sp.diff(-sp.log(x), x, 2) > 0, "-log is strictly convex: Jensen's inequality")
angle = sp.Symbol("theta", real=True)
second_moment = sp.integrate(sp.cos(angle) ** 2, (angle, 0, 2 * sp.pi)) / (2 * sp.pi)
zero(second_moment - sp.Rational(1, 2), "E v_1^2 = 1/d for d = 2; in general by symmetry, as the squares sum to 1")

# %% [markdown]
# In two dimensions the rate has a closed form in the eigenvalues of the factors. The exponents are (by trace and
# determinant, as above) $E\log S_{11}$ and $E\log\det S - E\log S_{11}$, so that their distance is
# $2E\log S_{11} - E\log\det S$. Given the eigenvalues $s_1 = p^2$, $s_2 = q^2$,
# $S_{11} = p^2\cos^2\theta + q^2\sin^2\theta$ with a uniform angle. This is
# $\left(\frac{p+q}{2}\right)^2 |1 + \rho e^{2i\theta}|^2$ with $\rho = (p - q)/(p + q)$, and the mean of
# $\log|1 + \rho e^{2i\theta}|$ is 0 for $|\rho| < 1$ (the real part of a power series in $e^{2i\theta}$ without
# constant term). Hence
# $$\lambda_1 - \lambda_2 = E\left[4\log\frac{p + q}{2} - 2\log(pq)\right],$$
# which for cross entropy has to be $\psi((n-1)/2) - \psi((n-2)/2)$ again (mean fitted; $n + 1$ in place of $n$ if it is
# known).

# %%
p, q = sp.symbols("p q", positive=True)
rho = (p - q) / (p + q)
squared_modulus = 1 + 2 * rho * sp.cos(2 * angle) + rho**2  # |1 + rho exp(2 i theta)|^2
zero(
    sp.simplify(
        sp.expand_trig(((p + q) / 2) ** 2 * squared_modulus - p**2 * sp.cos(angle) ** 2 - q**2 * sp.sin(angle) ** 2)
    ),
    "S_11 in polar form",
)

# %% [markdown]
# ## TCE in two dimensions (numerical)
#
# That the rate under TCE is that of cross entropy is not proved, and need not be exactly so. We simulate the chain of
# $|\Sigma_t|$ with a known mean and $n = 20$, and average the formula above over the factors. In units in which the
# critical determinant is 1, the loss exceeds $-\log\gamma$ by $\frac{1}{2}(\log|\Sigma| + x^\top\Sigma^{-1}x)$; the
# convex objective is minimised over $\Sigma^{-1}$ by Newton steps on a smooth hinge, $\epsilon\log(1 + e^{u/\epsilon})$
# with $\epsilon \to 0.001$. (In the vacuous case this would not be the choice of largest entropy; the case does not
# occur at this $n$, which is checked.)


# %%
def features(points):
    """Return x1^2/2, x1 x2, x2^2/2: the loss is linear in them, with the entries of the precision matrix."""
    return np.stack([points[..., 0] ** 2 / 2, points[..., 0] * points[..., 1], points[..., 1] ** 2 / 2], axis=-1)


def surplus_of(precision, linear):
    determinant = precision[:, 0] * precision[:, 2] - precision[:, 1] ** 2
    log_determinant = np.log(np.where(determinant > 0, determinant, 1.0))
    values = linear @ precision[..., None] - log_determinant[:, None, None] / 2
    return np.where(determinant[:, None] > 0, values[..., 0], np.inf), determinant


def fit_tce(points):
    """Covariance matrices that TCE fits to batches of points, shape (batch, n, 2); the critical determinant is 1."""
    linear, n_points = features(points), points.shape[1]
    moments = np.swapaxes(points, 1, 2) @ points / n_points
    moments *= np.maximum(np.linalg.det(moments) ** -0.5, 1.0)[:, None, None]
    inverse = np.linalg.inv(moments)
    precision = np.stack([inverse[:, 0, 0], inverse[:, 0, 1], inverse[:, 1, 1]], axis=1)
    curvature = np.array([[0.0, 0.0, 1.0], [0.0, -2.0, 0.0], [1.0, 0.0, 0.0]])  # of the determinant
    for width in (0.3, 0.1, 0.03, 0.01, 0.003, 0.001):
        for _ in range(10):
            surplus, determinant = surplus_of(precision, linear)
            weight = 1 / (1 + np.exp(-np.clip(surplus / width, -500, 500)))
            slope = precision @ curvature / determinant[:, None]  # of log determinant
            by_point = linear - slope[:, None, :] / 2
            gradient = (weight[..., None] * by_point).mean(axis=1)
            spread = by_point * (weight * (1 - weight))[..., None] / width
            hessian = np.swapaxes(spread, 1, 2) @ by_point / n_points
            log_part = slope[:, :, None] * slope[:, None, :] - curvature / determinant[:, None, None]
            hessian += weight.mean(axis=1)[:, None, None] * log_part / 2 + 1e-12 * np.eye(3)
            step = -np.linalg.solve(hessian, gradient[..., None])[..., 0]
            descent, length = (gradient * step).sum(axis=1), np.ones(len(step))
            value = width * np.logaddexp(0, surplus / width).mean(axis=1)
            for _ in range(25):
                moved, _ = surplus_of(precision + length[:, None] * step, linear)
                worse = ~(
                    width * np.logaddexp(0, moved / width).mean(axis=1) <= value + 1e-4 * length * descent + 1e-14
                )
                if not worse.any():
                    break
                length[worse] /= 2
            precision = precision + length[:, None] * step
            if np.abs(descent).max() < 1e-11:
                break
    return np.linalg.inv(precision[:, [[0, 1], [1, 2]]])


def gap_of(factors):
    """Return the mean of the formula over the batches, and its standard error over replicates."""
    roots = np.sqrt(np.linalg.eigvalsh(factors))
    gaps = 4 * np.log(roots.sum(axis=-1) / 2) - 2 * np.log(roots.prod(axis=-1))
    return gaps.mean(), gaps.mean(axis=0).std(ddof=1) / math.sqrt(gaps.shape[1])


rng = np.random.default_rng(20)
replicates, generations, warm_up, points_each = 150, 70, 30, 20
log_volume = np.zeros(replicates)
factors_tce, factors_ce = [], []
volume_walk = np.zeros(replicates)  # the walk W of the volume, started at the wall
outside, least_unmasked = 0.0, points_each
for generation in range(generations):
    normal = rng.standard_normal((replicates, points_each, 2))
    unit = np.exp(log_volume / 4)[:, None, None]
    fit = fit_tce(unit * normal)
    inverse = np.linalg.inv(fit)
    surplus, _ = surplus_of(inverse[:, [0, 0, 1], [0, 1, 1]], features(unit * normal))
    least_unmasked = min(least_unmasked, (surplus > 0.01).sum(axis=1).min())
    factor = fit / unit**2
    log_volume += np.log(np.linalg.det(factor))
    of_cross_entropy = np.swapaxes(normal, 1, 2) @ normal / points_each
    volume_walk = np.maximum(volume_walk + np.log(np.linalg.det(of_cross_entropy)), 0.0)
    outside = max(outside, (log_volume - volume_walk).max(), (volume_walk - 2 - log_volume).max())
    if generation >= warm_up:
        factors_tce.append(factor)
        factors_ce.append(of_cross_entropy)
REGISTERED = theorems.get("shape-collapse").claim("tce-rate").statement
known = float(sp.N(gap.subs({n: points_each + 1, d: 2})))
for loss, factors in (("TCE", factors_tce), ("cross entropy", factors_ce)):
    value, error = gap_of(np.array(factors))
    print(f"  {loss}: {value:.5f} ± {error:.5f}, the rate of cross entropy is {known:.5f} (numerical)")
    holds(abs(value - known) < 4 * error, f"{loss}: within four standard errors (numerical)")
    holds(4 * error < 0.1 * known, "which are less than 10 % of the rate (numerical)")
    if loss == "TCE":
        holds(f"{value:.4f} ± {error:.4f}" in REGISTERED, "as the registry quotes it (numerical)")
        holds(f"against {known:.4f}" in REGISTERED, "and the rate of cross entropy (numerical)")
holds(outside < 0.01, f"W - 2 <= Y <= W on every path, but for {outside:.4f}, the smoothing of the hinge (numerical)")
holds(least_unmasked > 0, f"no fit was vacuous: at least {least_unmasked} points were unmasked (numerical)")
holds((volume_walk - log_volume).max() > 0.5, "and the two are not the same (numerical)")

# %% [markdown]
# ## The functions of the library

# %%
sizes = range(12, 5000)
agrees("theory.wall.eigenvalue_drift", exponent, where={"i": range(1, 11), "n": sizes})
known_mean = exponent.subs(i, i - 1)
agrees("theory.wall.eigenvalue_drift", known_mean, where={"i": range(1, 11), "n": sizes}, fixed={"fit_mean": False})
agrees("theory.wall.condition_number_drift", gap, where={"d": range(2, 11), "n": sizes})
agrees(
    "theory.wall.condition_number_drift",
    gap.subs(n, n + 1),
    where={"d": range(2, 11), "n": sizes},
    fixed={"fit_mean": False},
)
