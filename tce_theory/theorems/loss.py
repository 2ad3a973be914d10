"""Truncated Cross Entropy, its floor of entropy, and the focal loss: the statements."""

from __future__ import annotations

from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]

_FORTIFAI = "ForTIFAI (arXiv 2509.08972)"


def _indices(sp: Any) -> tuple[Any, Any, Any]:
    i, j, size = sp.symbols("i j K", integer=True, positive=True)
    return i, j, size


# The loss


def _gradient(sp: Any) -> Any:
    i, j, size = _indices(sp)
    probs, frequencies, chi = (sp.IndexedBase(name) for name in ("probs", "frequencies", "chi"))
    unmasked = sp.Sum(frequencies[i] * chi[i], (i, 1, size))
    return sp.Eq(sp.Function("dL")(j), probs[j] * unmasked - frequencies[j] * chi[j])


def _hessian(sp: Any) -> Any:
    i, j, size = _indices(sp)
    k = sp.Symbol("k", integer=True, positive=True)
    probs, frequencies, chi = (sp.IndexedBase(name) for name in ("probs", "frequencies", "chi"))
    unmasked = sp.Sum(frequencies[i] * chi[i], (i, 1, size))
    entry = probs[j] * sp.KroneckerDelta(j, k) - probs[j] * probs[k]
    return sp.Eq(sp.Function("d2L")(j, k), unmasked * entry)


def _masked_bound(sp: Any) -> Any:
    gamma = sp.Symbol("gamma", positive=True)
    return sp.Eq(sp.Function("B")(gamma), 1 - gamma)


_TCE_GRADIENT = Theorem(
    slug="tce-gradient",
    title="Gradient and Hessian of TCE",
    hypotheses=(
        r"A softmax over $K$ classes: $q_j = e^{z_j} / \sum_i e^{z_i}$, with logits $z$.",
        r"$f$ is the empirical distribution of the labels, $\gamma \in (0, 1]$ the threshold, $\chi_i = 1$ if $q_i "
        r"\le \gamma$ and 0 otherwise. The mask $\chi$ is held constant when differentiating; no $q_i = \gamma$.",
        r"For natural parameters: $\theta$ is in the interior of those for which the family is defined, and the "
        r"probability or density of the example is not $\gamma > 0$.",
    ),
    claims=(
        Claim(
            name="gradient",
            statement=r"The gradient of $L = \sum_i f_i \chi_i (-\log q_i)$ in the logits is $\partial L/\partial z_j "
            r"= q_j M - f_j \chi_j$ with $M = \sum_i f_i \chi_i$; for one example with label $y$, $\chi_y (q - e_y)$.",
            relation=_gradient,
            function="theory.loss.tce_gradient",
        ),
        Claim(
            name="hessian",
            statement=r"The Hessian is $M (\mathrm{diag}\, q - q q^{\mathrm{T}})$. It is positive semidefinite: "
            r"$v^{\mathrm{T}} (\mathrm{diag}\, q - q q^{\mathrm{T}}) v$ is the variance of $v$ under $q$, and "
            r"vanishes, for $M > 0$, only where $v$ is constant.",
            relation=_hessian,
            function="theory.loss.tce_hessian",
        ),
        Claim(
            name="masked-examples",
            statement=r"A masked example has $|\partial \mathrm{CE} / \partial z_y| < 1 - \gamma$, an unmasked one at "
            r"least $1 - \gamma$.",
            relation=_masked_bound,
            function="theory.loss.masked_gradient_bound",
        ),
        Claim(
            name="natural-parameters",
            statement=r"In the natural parameters $\theta$ of an exponential family with statistic $T$, the gradient "
            r"of one example is $\chi \cdot (\mathbb{E}_\theta T - T(x))$.",
        ),
    ),
    status=Status.PROVED,
    source=f"the loss: {_FORTIFAI}; the derivatives: this project",
)


def _hinge(sp: Any) -> Any:
    i = sp.Symbol("i", integer=True, positive=True)
    n, gamma = sp.Symbol("n", integer=True, positive=True), sp.Symbol("gamma", positive=True)
    cross_entropies = sp.IndexedBase("cross_entropies", real=True)
    mean = sp.Sum(sp.Max(cross_entropies[i], -sp.log(gamma)), (i, 1, n)) / n
    return sp.Eq(sp.Function("L")(gamma), mean)


_HINGE_FORM = Theorem(
    slug="hinge-form",
    title="Training with the mask held constant minimises a continuous, often convex objective",
    hypotheses=(
        r"$n$ samples; $\mathrm{CE}_i(\theta) = -\log p_\theta(x_i)$ is continuously differentiable on an open set of "
        r"parameters $\theta \in \mathbb{R}^d$; $\gamma > 0$ and $g = -\log\gamma$.",
        r"For convexity and what follows from it: every $\mathrm{CE}_i$ is convex in $\theta$ on a convex set "
        r"(natural parameters of an exponential family, logits of a linear softmax).",
        r"For uniqueness of the minimiser: every $\mathrm{CE}_i$ is strictly convex (minimal exponential family).",
    ),
    claims=(
        Claim(
            name="objective",
            statement=r"TCE with its mask held constant has, for almost every $\theta$, the gradient of the "
            r"continuous objective $L_\gamma(\theta) = \frac{1}{n} \sum_i \max(\mathrm{CE}_i(\theta), g)$.",
            relation=_hinge,
            function="theory.loss.hinge_objective",
        ),
        Claim(
            name="stationarity",
            statement=r"$\theta$ is a (Clarke) stationary point of $L_\gamma$ exactly if $\sum_i w_i \nabla "
            r"\mathrm{CE}_i(\theta) = 0$ for weights with $w_i = 1$ where $p_i < \gamma$, $w_i = 0$ where $p_i > "
            r"\gamma$, and $w_i \in [0, 1]$ where $p_i = \gamma$; and exactly if no directional derivative of "
            r"$L_\gamma$ is negative.",
        ),
        Claim(
            name="convexity",
            statement=r"If each $\mathrm{CE}_i$ is convex, so is $L_\gamma$, and every stationary point is a global "
            r"minimum.",
        ),
        Claim(
            name="vacuous",
            statement=r"$L_\gamma \ge g$, with equality exactly where every sample has $p_i \ge \gamma$ (the vacuous "
            r"case). If each $\mathrm{CE}_i$ is convex these $\theta$ form a convex set.",
        ),
        Claim(
            name="uniqueness",
            statement=r"If each $\mathrm{CE}_i$ is strictly convex, and the minimum of $L_\gamma$ is attained and "
            r"above $g$, the minimiser is unique.",
        ),
        Claim(
            name="conditional-models",
            statement=r"For a linear softmax (convex, not strictly) and a minimum that is attained and above $g$: on "
            r"every example that is unmasked, $p_i < \gamma$, at one of two minimisers, both predict the same "
            r"distribution.",
        ),
        Claim(
            name="convexity-is-not-enough",
            statement=r"Convexity is enough for a unique minimiser. It is not: all logits of a softmax can be "
            r"shifted, and of two contexts in a table, one with both labels equally often and one with the first "
            r"label only, $\gamma = 3/4$, the second may predict any $q \ge 3/4$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source=f"the loss: {_FORTIFAI}; subdifferentials: Clarke (1983), Propositions 2.3.3 and 2.3.12",
)


# The floor of the entropy


def _stationary_entropy(sp: Any) -> Any:
    i = sp.Symbol("i", integer=True, positive=True)
    n = sp.Symbol("n", integer=True, positive=True)
    gamma, weight = sp.symbols("gamma total_weight", positive=True)
    cross_entropies = sp.IndexedBase("cross_entropies", real=True)
    excess = sp.Sum(sp.Max(cross_entropies[i] + sp.log(gamma), 0), (i, 1, n))
    return sp.Eq(sp.Function("H")(gamma), -sp.log(gamma) + excess / weight)


def _floor(sp: Any) -> Any:
    gamma = sp.Symbol("gamma", positive=True)
    return sp.Ge(sp.Function("H")(gamma), -sp.log(gamma))


_ENTROPY_IDENTITY = Theorem(
    slug="entropy-identity",
    title="The entropy of a TCE fit never goes below −log γ",
    hypotheses=(
        r"$\theta$ is stationary for $L_\gamma$ with weights $w_i$ as in `hinge-form`, and $N = \sum_i w_i > 0$; $g = "
        r"-\log\gamma$. $H_i$ is the entropy of the model at sample $i$: of its context, for a conditional model.",
        r"The family can be tempered: there is a path of parameters $\theta(\beta)$, $\beta$ near 1, differentiable at "
        r"$\theta(1) = \theta$, whose models are proportional to $p_\theta(x)^\beta$ in all contexts at once (Gaussian "
        r"with free variance, categorical, linear softmax, exponential families with constant base measure; any "
        r"network whose last layer is linear and free, and then $\theta$ may be that layer alone).",
        r"For monotony: in addition each $\mathrm{CE}_i$ is convex in $\theta$; $\bar H(g)$ and $N(g)$ are those of "
        r"any minimiser, with any admissible weights of sum $N > 0$.",
    ),
    claims=(
        Claim(
            name="temperature",
            statement=r"The derivative of $\mathrm{CE}_i$ along the path, in $\beta$ at $\beta = 1$, is "
            r"$\mathrm{CE}_i - H_i$.",
        ),
        Claim(
            name="identity",
            statement=r"$\bar H = \frac{1}{N} \sum_i w_i H_i = \frac{1}{N} \sum_i w_i \mathrm{CE}_i = g + "
            r"\frac{V}{N}$ with $V = \sum_i \max(\mathrm{CE}_i - g, 0)$.",
            relation=_stationary_entropy,
            function="theory.loss.stationary_entropy",
        ),
        Claim(
            name="floor",
            statement=r"$\bar H \ge -\log\gamma$, whatever the data; with equality exactly if no sample has $p_i < "
            r"\gamma$.",
            relation=_floor,
            function="theory.loss.loss_floor",
        ),
        Claim(
            name="monotony",
            statement=r"For $g_1 < g_2$, $\bar H(g_1) \le \bar H(g_2)$ and $N(g_1) \ge N(g_2)$, whichever minimisers "
            r"and weights are taken. If cross entropy has a minimiser, $\bar H_{\mathrm{TCE}} \ge \max(\bar "
            r"H_{\mathrm{CE}}, -\log\gamma)$, where $\bar H_{\mathrm{CE}}$ is the mean over all samples.",
        ),
        Claim(
            name="without-unmasked-samples",
            statement=r"The floor also holds for $N = 0$. It does not: for data $\pm 0.1$ and $\gamma = 0.85$ the "
            r"Gaussian with mean 0 and $\sigma = 0.1$ is stationary, all its samples are masked, and $H = -0.88 < "
            r"0.16 = -\log\gamma$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="other-base-measures",
            statement=r"The floor holds for every exponential family. It does not: for Poisson data $\{0, 20\}$ and "
            r"$\gamma = 0.01$, $\lambda = 10$ is stationary with both samples unmasked, and $H = 2.56 < 4.60 = "
            r"-\log\gamma$. (The base measure $1/x!$ is not constant.)",
            status=Status.REFUTED,
        ),
        Claim(
            name="each-context",
            statement=r"In a conditional model the floor holds in every context. It does not in contexts that are "
            r"masked ($q = (.99, .01)$ with label 1, $\gamma = .9$), nor in every unmasked one: only the weighted "
            r"mean obeys it (a logistic model of one parameter with one example of label 0 at $q = 8/9$ and eight of "
            r"label 1 at $q = 2/3$, $\gamma = .7$, has the entropy $.349 < .357$ at the first).",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form",),
)


def _tempered_mixture(sp: Any) -> Any:
    cross_entropy, posterior, joint = sp.symbols("cross_entropy posterior_entropy joint_entropy", real=True)
    return sp.Eq(sp.Symbol("slope", real=True), cross_entropy + posterior - joint)


def _mixture_excess(sp: Any) -> tuple[Any, Any]:
    """Return γ and g + V/N."""
    relation = _stationary_entropy(sp)
    return sp.Symbol("gamma", positive=True), relation.rhs


def _joint_entropy(sp: Any) -> Any:
    gamma, level = _mixture_excess(sp)
    return sp.Eq(sp.Function("H_joint")(gamma), level + sp.Symbol("mean_posterior_entropy", real=True))


def _mixture_entropy(sp: Any) -> Any:
    gamma, level = _mixture_excess(sp)
    posterior, conditional = sp.symbols("mean_posterior_entropy conditional_entropy", real=True)
    return sp.Eq(sp.Function("H")(gamma), level + posterior - conditional)


def _weak_floor(sp: Any) -> Any:
    gamma, size = sp.Symbol("gamma", positive=True), sp.Symbol("size", integer=True, positive=True)
    return sp.Ge(sp.Function("H")(gamma), -sp.log(gamma) - sp.log(size))


_MIXTURE_ENTROPY_IDENTITY = Theorem(
    slug="mixture-entropy-identity",
    title="For mixtures the floor of the entropy holds for component and point together",
    hypotheses=(
        r"$p_\theta(x) = \sum_{k=1}^K p_\theta(k, x)$ is a mixture; $\theta$ is stationary for $L_\gamma$ with weights "
        r"$w_i$ as in `hinge-form`, $N = \sum_i w_i > 0$, $g = -\log\gamma$ and $V = \sum_i \max(\mathrm{CE}_i - g, "
        r"0)$.",
        r"The joint law of component and point can be tempered: there is a path $\theta(\beta)$, $\beta$ near 1, "
        r"differentiable at $\theta(1) = \theta$, whose joint laws are proportional to $p_\theta(k, x)^\beta$ "
        r"(mixtures of Gaussians with free weights and free covariances).",
        r"$r_i$ is the law of the component given $x_i$, and $H(r_i)$ its entropy; $H(K, X)$, $H(X)$ and $H(K \mid X) "
        r"= H(K, X) - H(X)$ are entropies of the model.",
    ),
    claims=(
        Claim(
            name="temperature",
            statement=r"The derivative of $\mathrm{CE}_i$ along the path, in $\beta$ at $\beta = 1$, is $\mathrm{CE}_i "
            r"+ H(r_i) - H(K, X)$.",
            relation=_tempered_mixture,
        ),
        Claim(
            name="identity",
            statement=r"$H(K, X) = g + \frac{V}{N} + \frac{1}{N} \sum_i w_i H(r_i)$.",
            relation=_joint_entropy,
        ),
        Claim(
            name="floor",
            statement=r"$H(K, X) \ge -\log\gamma$, whatever the data.",
            relation=_floor,
        ),
        Claim(
            name="the-point-alone",
            statement=r"$H(X) = g + \frac{V}{N} - \left[H(K \mid X) - \frac{1}{N} \sum_i w_i H(r_i)\right]$: off the "
            r"value of one component by the difference of two mean posterior entropies, that of the model and that of "
            r"the unmasked data.",
            relation=_mixture_entropy,
        ),
        Claim(
            name="weak-floor",
            statement=r"$H(X) \ge -\log\gamma - H(K \mid X) \ge -\log\gamma - \log K$.",
            relation=_weak_floor,
        ),
        Claim(
            name="the-floor-of-one-component",
            statement=r"Of a mixture, too, $H(X) \ge -\log\gamma$. It is not: two normal laws of variance 1, equally "
            r"likely, at $\pm 2.1$ are stationary for the data $\pm 1.117$, $\pm 3.074$ and $\gamma = 0.1241$, with "
            r"all four points on the threshold (numbers rounded), and $H(X) = -\log\gamma - 0.0224$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form", "entropy-identity"),
)


def _poisson_floor(sp: Any) -> Any:
    gamma, rate = sp.symbols("gamma rate", positive=True)
    return sp.Ge(sp.Function("fit")(gamma, rate), sp.Min(rate, -sp.log(gamma)))


def _poisson_telescope(sp: Any) -> Any:
    rate = sp.Symbol("rate", positive=True)
    first, last = sp.symbols("a b", integer=True, positive=True)

    def mass(x: Any) -> Any:
        return sp.exp(-rate) * rate**x / sp.factorial(x)

    return sp.Eq(sp.Symbol("S"), rate * (mass(last) - mass(first - 1)))


_POISSON_RATE_FLOOR = Theorem(
    slug="poisson-rate-floor",
    title="TCE never lets a Poisson model go extinct, and inflates its rate",
    hypotheses=(
        r"The Poisson family, $p_r(x) = e^{-r} r^x / x!$ with $p_0$ the law of the value 0; $0 < \gamma < 1$, $g = "
        r"-\log\gamma$, and the mask is that of the model that is fitted. The fit minimises $\sum_i \max(-\log "
        r"p_r(x_i), g)$ for any data $x_1, \ldots, x_n$; $\lambda > 0$ is the rate of the previous model.",
        r"If several rates are minimisers (the vacuous case of `hinge-form`: they mask all data) the fit is the one "
        r"nearest to $\lambda$, which is where gradient flow from $\lambda$ ends, or the largest.",
        r"For the population: the data are replaced by the law $p_\lambda$ itself, and the sum by its expectation.",
    ),
    claims=(
        Claim(
            name="floor",
            statement=r"No fit has a rate below $\min(\lambda, -\log\gamma)$; one that is not vacuous, and the "
            r"largest minimiser, none below $-\log\gamma$. Data that are all 0 attain it.",
            relation=_poisson_floor,
            function="theory.loss.poisson_rate_floor",
        ),
        Claim(
            name="no-extinction",
            statement=r"A recursion from $\lambda_0 > 0$ has $\lambda_t \ge \min(\lambda_0, -\log\gamma) > 0$ for "
            r"ever, whatever is drawn.",
        ),
        Claim(
            name="entropy",
            statement=r"Every fit that is not vacuous has an entropy of at least $-\log\gamma$, whatever the data, "
            r"exactly if $\gamma \ge \gamma^*$: there is one $g^* > 0$ with $H(p_{g^*}) = g^*$, and $\gamma^* = "
            r"e^{-g^*} = .2094332$.",
        ),
        Claim(
            name="masked-slope",
            statement=r"Over neighbouring values $a, \ldots, b$ the slope of cross entropy in the log rate, weighted "
            r"with the masses, is $S = \sum_{x=a}^b p_r(x)(r - x) = r\,(p_r(b) - p_r(a - 1))$.",
            relation=_poisson_telescope,
        ),
        Claim(
            name="inflation",
            statement=r"On the population no fit has a rate below $\lambda$. If exactly the values $a, \ldots, b$ "
            r"have a mass above $\gamma$ at $\lambda$, the fit is above $\lambda$, unless $a > 0$ and both neighbours, "
            r"$a - 1$ and $b + 1$, have exactly the mass $\gamma$. It is at most the only rate $R$ at which the "
            r"largest mass is $\gamma$; from $R$ on nothing is masked, and the rate stays.",
        ),
        Claim(
            name="always-inflated",
            statement=r"On the population the rate rises whenever something is masked. Not in a tie: $\lambda = "
            r"\sqrt{2}$ and $\gamma = p_\lambda(0) = p_\lambda(2)$ mask the value 1 alone, and the fit is $\lambda$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="samples",
            statement=r"The fit of every sample has at least the rate of cross entropy, its mean. It has not: a value "
            r"0 and nine values 3, $\gamma = 1/5$, have the mean $2.7$ and the fit $2.2486$, where $p(3) = \gamma$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="previous-mask",
            statement=r"The floor holds for the mask of the previous model. It does not: for $\lambda \ge -\log\gamma$ "
            r"zeros are not masked, and data that are all 0 give the rate 0.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form",),
)


def _rate(sp: Any) -> Any:
    i = sp.Symbol("i", integer=True, positive=True)
    n, entropy = sp.Symbol("n", integer=True, positive=True), sp.Symbol("entropy", real=True)
    cross_entropies, chi = sp.IndexedBase("cross_entropies", real=True), sp.IndexedBase("chi")
    return sp.Eq(sp.Symbol("dH/dt"), sp.Sum(chi[i] * (cross_entropies[i] - entropy), (i, 1, n)))


def _rate_bound(sp: Any) -> Any:
    entropy = sp.Symbol("entropy", real=True)
    gamma, weight = sp.Symbol("gamma", positive=True), sp.Symbol("total_weight", nonnegative=True)
    return sp.Ge(sp.Symbol("dH/dt"), weight * (-sp.log(gamma) - entropy))


def _tabular_rate(sp: Any) -> Any:
    i, j, size = _indices(sp)
    entropy = sp.Symbol("entropy", real=True)
    probs, frequencies, chi = (sp.IndexedBase(name, nonnegative=True) for name in ("probs", "frequencies", "chi"))
    unmasked = sp.Sum(frequencies[i] * chi[i], (i, 1, size))
    term = probs[j] * (sp.log(probs[j]) + entropy) * (probs[j] * unmasked - frequencies[j] * chi[j])
    return sp.Eq(sp.Symbol("dH/dt"), sp.Sum(term, (j, 1, size)))


_ENTROPY_INVARIANCE = Theorem(
    slug="entropy-invariance",
    title="Training flow never takes the entropy below −log γ",
    hypotheses=(
        r"$\gamma > 0$ and $g = -\log\gamma$. $\chi_i = 1$ where $\mathrm{CE}_i > g$, 0 where $\mathrm{CE}_i < g$, "
        r"and any number in $[0, 1]$ where they are equal (Filippov solutions); $N = \sum_i \chi_i$.",
        r"Either natural-gradient flow $\dot\theta = -F(\theta)^{-1} \nabla \sum_i \max(\mathrm{CE}_i, g)$ of a "
        r"minimal exponential family with constant base measure, $F$ its Fisher information, $\theta$ in the interior "
        r"of the natural parameters for as long as the solution exists;",
        r"or plain flow $\dot z = -\nabla L_\gamma$ of the logits of a softmax, with label frequencies $f$, $\chi_j$ "
        r"for class $j$ (a table of contexts: row by row).",
    ),
    claims=(
        Claim(
            name="natural-gradient",
            statement=r"Along natural-gradient flow $dH/dt = \sum_i \chi_i (\mathrm{CE}_i - H)$.",
            relation=_rate,
            function="theory.loss.entropy_rate",
        ),
        Claim(
            name="natural-gradient-bound",
            statement=r"Hence $dH/dt \ge N (g - H)$.",
            relation=_rate_bound,
            function="theory.loss.entropy_rate_bound",
        ),
        Claim(
            name="tabular",
            statement=r"Along plain logit flow $dH/dt = \sum_j q_j (\log q_j + H) (q_j M - f_j \chi_j)$, $M = \sum_i "
            r"f_i \chi_i$.",
            relation=_tabular_rate,
            function="theory.loss.tabular_entropy_rate",
        ),
        Claim(
            name="tabular-sign",
            statement=r"Along plain logit flow $H \le g$ implies $dH/dt \ge 0$.",
        ),
        Claim(
            name="invariance",
            statement=r"In both cases the set of models with $H \ge -\log\gamma$ is never left, and below it the "
            r"entropy does not fall.",
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("tce-gradient",),
)


# The last layer of a network


def _head(sp: Any) -> Any:
    i, size = sp.symbols("i P", integer=True, positive=True)
    parameters, gradient = sp.IndexedBase("parameters"), sp.IndexedBase("gradient")
    return sp.Eq(sp.Symbol("CE_S") - sp.Symbol("H_S"), sp.Sum(parameters[i] * gradient[i], (i, 1, size)))


_HEAD_IDENTITY = Theorem(
    slug="head-identity",
    title="Cross entropy less entropy of a network, from its last layer",
    hypotheses=(
        r"Any network whose last layer is linear, $z = W h + b$ with features $h$ that do not depend on $\theta_h = "
        r"(W, b)$ (the head is not tied to the embedding), followed by softmax. Any parameters.",
        r"$S$ is a nonempty set of targets held fixed, as the unmasked ones are; $L_S$ is their mean cross entropy, "
        r"$\mathrm{CE}_S$ its value and $H_S$ the mean entropy of the predictions.",
    ),
    claims=(
        Claim(
            name="identity",
            statement=r"$\mathrm{CE}_S - H_S = \langle \theta_h, \nabla_{\theta_h} L_S \rangle$ exactly.",
            relation=_head,
            function="theory.loss.head_excess",
        ),
    ),
    status=Status.PROVED,
    source="this project",
)


def _certificate(sp: Any) -> Any:
    parameter, gradient = sp.symbols("parameter_norm gradient_norm", nonnegative=True)
    return sp.Le(abs(sp.Symbol("H_S") - sp.Symbol("CE_S")), parameter * gradient)


def _decay(sp: Any) -> Any:
    decay, norm, n, weight = sp.symbols("decay weight_norm n total_weight", positive=True)
    return sp.Eq(sp.Symbol("H") - sp.Symbol("CE"), decay * norm**2 * n / weight)


_HEAD_CERTIFICATE = Theorem(
    slug="head-certificate",
    title="A computable bound of how far below the floor a network can be",
    hypotheses=(
        r"As in `head-identity`, with $S$ the unmasked targets, $p_i \le \gamma$.",
        r"For decay: the objective is $\frac{1}{n} \sum_i \max(\mathrm{CE}_i, g) + \frac{\lambda}{2} \lVert W "
        r"\rVert^2$ over all $n$ targets, stationary in $(W, b)$ with weights $w_i$ as in `hinge-form`, $N = \sum_i "
        r"w_i > 0$; bars are means with these weights.",
    ),
    claims=(
        Claim(
            name="bound",
            statement=r"$|H_S - \mathrm{CE}_S| \le \lVert \theta_h \rVert \, \lVert \nabla_{\theta_h} L_S \rVert$.",
            relation=_certificate,
            function="theory.loss.head_certificate",
        ),
        Claim(
            name="floor",
            statement=r"Hence $H_S \ge -\log\gamma - \lVert \theta_h \rVert \, \lVert \nabla_{\theta_h} L_S \rVert$ "
            r"at any parameters.",
        ),
        Claim(
            name="decay",
            statement=r"With the penalty, $\bar H = \overline{\mathrm{CE}} + \lambda \lVert W \rVert^2 n/N$ ($\lVert "
            r"\theta_h \rVert^2$ if the bias is decayed too). So $\bar H \ge -\log\gamma + \lambda \lVert W \rVert^2 "
            r"n/N$: decay only strengthens the floor.",
            relation=_decay,
            function="theory.loss.decay_excess",
        ),
        Claim(
            name="decoupled-decay",
            statement=r"The identity also holds for decoupled decay. It does not: where AdamW, full-batch, is at "
            r"rest, each decayed parameter has $\lambda \theta = -G/(|G| + \epsilon)$, $G$ its gradient, so that $\bar "
            r"H - \overline{\mathrm{CE}} = \frac{n}{N} \sum |\theta| |G|$ over the decayed parameters. It is $\ge 0$, "
            r"so that the floor stays, but it is not $\lambda \lVert \theta \rVert^2 n/N$: two logits $\pm 1$, one "
            r"target of the first class, $\lambda = 1$, $\epsilon = 0$ and $\gamma = .9$ are at rest with $0.24$ in "
            r"place of $2$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form", "head-identity"),
)


def _average_excess(sp: Any) -> Any:
    first, last, eta, steps, squares = sp.symbols(
        "initial_norm final_norm step_size steps mean_square_gradient", positive=True
    )
    return sp.Eq(sp.Symbol("A"), (first**2 - last**2) / (2 * eta * steps) + eta / 2 * squares)


def _average_floor(sp: Any) -> Any:
    first, eta, steps, squares, share = sp.symbols(
        "initial_norm step_size steps mean_square_gradient unmasked_share", positive=True
    )
    return sp.Ge(sp.Symbol("B"), -(first**2 / (2 * eta * steps) + eta / 2 * squares) / share)


_FLOOR_ON_AVERAGE = Theorem(
    slug="floor-on-average",
    title="On average over gradient descent every network obeys the floor",
    hypotheses=(
        r"As in `head-identity`. Plain full-batch gradient descent on $\theta = (W, b)$ with step $\eta > 0$: no "
        r"momentum, Adam or decay; the body may be trained too, in any way.",
        r"The loss is averaged over all $n$ targets, so that the gradient of the head is $g_t = \kappa_t \nabla L_S$, "
        r"$\kappa_t$ the share of unmasked targets at step $t$; terms with $\kappa_t = 0$ are 0. $t = 0, \ldots, T - "
        r"1$.",
    ),
    claims=(
        Claim(
            name="identity",
            statement=r"$A = \frac{1}{T} \sum_t \kappa_t (\mathrm{CE}_S - H_S)_t$ is exactly $\frac{\lVert \theta_0 "
            r"\rVert^2 - \lVert \theta_T \rVert^2}{2 \eta T} + \frac{\eta}{2} \frac{1}{T} \sum_t \lVert g_t \rVert^2$.",
            relation=_average_excess,
            function="theory.loss.average_entropy_excess",
        ),
        Claim(
            name="floor",
            statement=r"If the mean $\bar\kappa$ of $\kappa_t$ is positive, $B = \sum_t \kappa_t (H_S + \log\gamma)_t "
            r"/ \sum_t \kappa_t$ is at least $-\frac{1}{\bar\kappa} \left[ \frac{\lVert \theta_0 \rVert^2}{2 \eta T} "
            r"+ \frac{\eta}{2} \frac{1}{T} \sum_t \lVert g_t \rVert^2 \right]$.",
            relation=_average_floor,
            function="theory.loss.average_entropy_floor",
        ),
        Claim(
            name="bounded-features",
            statement=r"If $\lVert h \rVert \le R$ for all features, $\lVert g_t \rVert^2 \le 2 \kappa_t^2 (R^2 + "
            r"1)$. So the floor holds up to $\frac{1}{\bar\kappa} \frac{\lVert \theta_0 \rVert^2}{2 \eta T} + \eta "
            r"(R^2 + 1)$: the last term does not grow as $\bar\kappa \to 0$, the first does.",
        ),
        Claim(
            name="all-masked",
            statement=r"The plain time average of the entropy obeys the floor. It does not: a network that starts "
            r"with all targets masked has gradient 0 and keeps its entropy, as $q = (.99, .01)$ with label 1 and "
            r"$\gamma = .9$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("head-identity",),
)


def _margin(sp: Any) -> Any:
    gamma, threshold = sp.Symbol("gamma", positive=True), sp.Symbol("threshold", real=True)
    parameter, gradient = sp.symbols("parameter_norm gradient_norm", nonnegative=True)
    return sp.Ge(sp.Symbol("H", real=True) - threshold, -sp.log(gamma) - threshold - parameter * gradient)


_FLOOR_INTERVAL = Theorem(
    slug="floor-interval",
    title="For how long the entropy of a network's unmasked targets cannot fail under TCE",
    hypotheses=(
        r"Generations $t = 1, 2, \ldots$, each a network as in `head-identity` (its last layer is linear, free and not "
        r"tied) and any targets; they may come from the generation before in any way.",
        r"$w_i \in [0, 1]$ is 1 for targets with $p_i < \gamma$, 0 for those with $p_i > \gamma$, and any number for "
        r"those with $p_i = \gamma$; $N = \sum_i w_i$. Where $N > 0$ (some target is unmasked) $\bar H = \sum_i w_i "
        r"H_i/N$ is the weighted mean entropy of the predictions and $L = \sum_i w_i \mathrm{CE}_i/N$, differentiated "
        r"with $w$ held constant.",
        r"The metric is $\bar H$, with a threshold $h$: $T$ is the first generation with $N > 0$ and $\bar H < h$. A "
        r"generation with $N = 0$ has no metric and cannot fail.",
    ),
    claims=(
        Claim(
            name="margin",
            statement=r"At any parameters with $N > 0$, $\bar H - h \ge -\log\gamma - h - \lVert \theta_h \rVert \, "
            r"\lVert \nabla_{\theta_h} L \rVert$.",
            relation=_margin,
            function="theory.loss.entropy_margin",
        ),
        Claim(
            name="interval",
            statement=r"$T$ is at least the first generation with $\lVert \theta_h \rVert \, \lVert "
            r"\nabla_{\theta_h} L \rVert > -\log\gamma - h$: as long as the certificate is at most $-\log\gamma - "
            r"h$, the metric has not failed.",
            function="theory.loss.certified_interval",
        ),
        Claim(
            name="stationary",
            statement=r"If $-\log\gamma \ge h$ and each generation with an unmasked target is stationary in "
            r"$\theta_h$ for its loss, $w$ being the weights with which it is (`hinge-form`), then $T = \infty$, "
            r"whatever the data, the body and the decoding.",
        ),
        Claim(
            name="threshold-weights",
            statement=r"For $\gamma \ge 1/2$ this also holds for larger weights on $p_i = \gamma$, such as 1 for all "
            r"$p_i \le \gamma$, as the mask of TCE has them: there $H_i \ge -\log\gamma$.",
        ),
        Claim(
            name="full-weight",
            statement=r"Full weight on $p_i = \gamma$ will do at every $\gamma$. It will not: one feature $h$, three "
            r"classes, no bias; contexts $h = 1$ with $q \propto (44^{16}, 45^{16}, 38^{16})$, and $h = -1/16$, whose "
            r"prediction is proportional to $(1/44, 1/45, 1/38)$. Under $\gamma = q_1 = .3955$ it is stationary with a "
            r"small weight on the targets of class 1 at $h = 1$, and their entropy $.813$ is below $-\log\gamma = "
            r".928$: with enough of them, and full weight, so is the mean.",
            status=Status.REFUTED,
        ),
        Claim(
            name="all-targets",
            statement=r"The mean entropy over all targets obeys the floor as well. It does not: two contexts of a "
            r"table, equally often, one with both labels equally often and $q = (.5, .5)$, one with the first label "
            r"only and $q = (.99, .01)$. Under $\gamma = .6$ this is stationary with $N > 0$, and the mean entropy is "
            r"$.375 < .511 = -\log\gamma$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="all-masked",
            statement=r"A network all of whose targets are masked obeys it, too. It does not: $q = (.99, .01)$ with "
            r"the first label only, $\gamma = .9$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="fixed-scale",
            statement=r"A last layer whose norm is fixed will do. It will not: logits $(a, -a)$ with $|a| = \log 3$, "
            r"labels with frequencies $(.3, .7)$, $\gamma = .7$. Of the two admissible points $q = (.1, .9)$ has the "
            r"smaller loss, its targets of class 1 are unmasked, and their entropy is $.325 < .357 = -\log\gamma$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form", "entropy-identity", "head-identity", "head-certificate"),
)


# The focal loss, and fits to a model's own output


def _focal_weight(sp: Any) -> Any:
    p, k = sp.symbols("p exponent", positive=True)
    return sp.Eq(sp.Function("phi")(p), (1 - p) ** k - k * p * (1 - p) ** (k - 1) * sp.log(p))


def _weighted_stationarity(sp: Any) -> Any:
    i, j, size = _indices(sp)
    probs, frequencies, weights = (sp.IndexedBase(name) for name in ("probs", "frequencies", "weights"))
    total = sp.Sum(frequencies[i] * weights[i], (i, 1, size))
    return sp.Eq(sp.Function("dL")(j), probs[j] * total - frequencies[j] * weights[j])


def _focal_minimiser(sp: Any) -> Any:
    i, j, _ = _indices(sp)
    k = sp.Symbol("exponent", positive=True)
    eta, v = sp.IndexedBase("label_probs", positive=True), sp.IndexedBase("v", positive=True)

    def weight(p: Any) -> Any:
        return (1 - p) ** k - k * p * (1 - p) ** (k - 1) * sp.log(p)

    return sp.Eq(eta[i] / eta[j], v[i] / weight(v[i]) / (v[j] / weight(v[j])))


_FOCAL_GRADIENT = Theorem(
    slug="focal-gradient",
    title="Gradient and minimiser of the focal loss",
    hypotheses=(
        r"The focal loss of a probability $p$ is $F(p) = (1 - p)^k (-\log p)$ with $k > 0$, differentiated through, "
        r"or with the factor $(1 - p)^k$ held constant (detached).",
        r"$\eta$ is a label distribution over $K$ classes, $q = \mathrm{softmax}(z)$; $\varphi$ and $w$ below are "
        r"functions on $(0, 1)$.",
    ),
    claims=(
        Claim(
            name="weight",
            statement=r"The gradient in the logits is that of cross entropy times $\varphi(p) = (1 - p)^k - k p (1 - "
            r"p)^{k - 1} \log p > 0$; detached, times $(1 - p)^k$.",
            relation=_focal_weight,
            function="theory.loss.focal_weight",
        ),
        Claim(
            name="detached-stationarity",
            statement=r"With any weight $w$ the gradient of the mean over labels is $q_j \sum_i f_i w(q_i) - f_j "
            r"w(q_j)$. If $w > 0$, it vanishes exactly where $q_j / w(q_j)$ is proportional to $f_j$.",
            relation=_weighted_stationarity,
            function="theory.loss.weighted_gradient",
        ),
        Claim(
            name="monotony",
            statement=r"$v/\varphi(v)$ and $v/(1 - v)^k$ increase strictly from 0 to $\infty$ on $(0, 1)$, for every "
            r"$k > 0$.",
        ),
        Claim(
            name="minimiser",
            statement=r"The expected loss $\sum_i \eta_i F(v_i)$ over distributions $v$ has exactly one minimiser; on "
            r"the classes with $\eta_i > 0$ it is the only $v$ with $v_i / \varphi(v_i)$ proportional to $\eta_i$ and "
            r"sum 1, elsewhere 0 (for two or more such classes). It keeps the order of $\eta$. Detached the same "
            r"holds with $(1 - v)^k$ in place of $\varphi$ and the integral of $(1 - u)^k/u$ from $v$ to 1 in place "
            r"of $F$.",
            relation=_focal_minimiser,
            function="theory.loss.focal_minimiser",
        ),
    ),
    status=Status.PROVED,
    source="Lin et al. (2017), eq. 4; Charoenphakdee et al. (2021) for the minimiser; this derivation: this project",
    depends_on=("tce-gradient",),
)


def _detached_rate(sp: Any) -> Any:
    size, k = sp.symbols("size exponent", positive=True)
    return sp.Eq(sp.Symbol("rate"), (size - 1) / (size - 1 + k))


def _peak(sp: Any) -> Any:
    k, v = sp.symbols("exponent v", positive=True)
    return sp.Eq((1 - k * v) * (-sp.log(v)), 2 * (1 - v))


_IDEMPOTENCE = Theorem(
    slug="idempotence",
    title="Without sampling noise the bias of categorical TCE does not compound, that of the focal loss does",
    hypotheses=(
        r"Each model is fitted to the distribution $p$ of the model before it, not to samples. For TCE the fit is a "
        r"stationary point $q$ of the categorical objective $\sum_j p_j \max(-\log q_j, g)$, with $q_j > 0$ exactly "
        r"where $p_j > 0$, $S$ the number of these classes; for the Gaussian, of $\mathbb{E} \max(\mathrm{CE}(X), g)$ "
        r"in its scale, $X$ from the population.",
        r"For detached losses: $w$ is continuous, strictly decreasing, and positive on $[0, 1)$, and $S \ge 2$.",
        r"For the focal loss: exponent $k > 0$, $K \ge 2$ classes, fits as in `focal-gradient`.",
    ),
    claims=(
        Claim(
            name="tce",
            statement=r"The categorical fit is idempotent: $q$ is stationary for data from $q$ itself. If $S\gamma > "
            r"1$ it has $\max q \le \gamma$ and is the only distribution on the $S$ classes that is stationary for "
            r"data from $q$.",
        ),
        Claim(
            name="gaussian",
            statement=r"The Gaussian fit (mean known) is not: below $\sigma_c = 1/(\gamma \sqrt{2\pi})$ every fit to "
            r"the population is strictly wider than the population. The scale $.5\,\sigma_c$ goes to $.8121$, "
            r"$.9534$, $.9951$.",
        ),
        Claim(
            name="detached-fixed-points",
            statement=r"Under a detached, strictly decreasing weight the fixed points are the uniform distributions "
            r"on sets of classes, and from any start with support of $S \ge 2$ classes the fits converge to the "
            r"uniform one on these.",
        ),
        Claim(
            name="detached-rate",
            statement=r"Detached focal approaches the uniform distribution on $K$ classes at the linear rate $(K - "
            r"1)/(K - 1 + k)$.",
            relation=_detached_rate,
            function="theory.loss.focal_uniform_rate",
        ),
        Claim(
            name="peak",
            statement=r"$\varphi$ of `focal-gradient` rises to its only maximum $v^*$ and falls from there to 0; $v = "
            r"v^*$ is the only root in $(0, 1)$ of $(1 - kv)(-\log v) = 2(1 - v)$. At $k = 2$, $v^* = .1041$.",
            relation=_peak,
            function="theory.loss.focal_weight_peak",
        ),
        Claim(
            name="instability",
            statement=r"Differentiated focal multiplies small deviations from the uniform distribution on $K$ classes "
            r"by $\varphi/(\varphi - v\varphi')$ at $v = 1/K$, which is above 1 exactly if $1/K < v^*$: uniform is "
            r"then unstable.",
        ),
        Claim(
            name="fewer-classes",
            statement=r"The uniform distribution on $m$ of $K$ classes, $2 \le m < K$, is a stable fixed point of "
            r"differentiated focal if $1/m > v^*$ and $\varphi(1/m) > 1$, an unstable one if $1/m < v^*$ or "
            r"$\varphi(1/m) < 1$; a single class is unstable. For every $k > 0$ the largest $m$ below $1/v^*$ is "
            r"stable, and it is at least 4: with $K > m$ classes, some starts end on fewer. At $k = 2$ exactly $m = 4, "
            r"\ldots, 9$ are stable.",
        ),
        Claim(
            name="ends",
            statement=r"From near uniform on $K = 20$ classes at $k = 2$ differentiated focal ends at uniform on one "
            r"of the stable numbers of classes, 4 to 9, depending on the deviation, nearly always on 6 to 8 where that "
            r"is random: it destroys tails.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="six-classes",
            statement=r"From near uniform on $K = 20$ classes at $k = 2$ differentiated focal ends at six classes of "
            r"$1/6$. Only from some starts: 20 probabilities that fall linearly from $.052$ to $.048$ end at seven of "
            r"$1/7$ (iterated in numbers).",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("tce-gradient", "hinge-form", "focal-gradient"),
)

THEOREMS: tuple[Theorem, ...] = (
    _TCE_GRADIENT,
    _HINGE_FORM,
    _ENTROPY_IDENTITY,
    _MIXTURE_ENTROPY_IDENTITY,
    _POISSON_RATE_FLOOR,
    _ENTROPY_INVARIANCE,
    _HEAD_IDENTITY,
    _HEAD_CERTIFICATE,
    _FLOOR_ON_AVERAGE,
    _FLOOR_INTERVAL,
    _FOCAL_GRADIENT,
    _IDEMPOTENCE,
)
