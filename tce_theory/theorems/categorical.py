"""Categorical models: the statements."""

from __future__ import annotations

from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]

# Drift and loss of classes under cross entropy


def _heterozygosity_decay(sp: Any) -> Any:
    n, t = sp.Symbol("n", positive=True, integer=True), sp.Symbol("t", nonnegative=True, integer=True)
    return sp.Eq(sp.Function("H")(t) / sp.Function("H")(0), (1 - 1 / n) ** t)


def _eigenvalue(sp: Any) -> Any:
    n, k = sp.symbols("n k", nonnegative=True, integer=True)
    return sp.Eq(sp.Function("lambda")(k), sp.factorial(n) / (sp.factorial(n - k) * n**k))


def _multiplicity(sp: Any) -> Any:
    k, num_classes = sp.symbols("k num_classes", nonnegative=True, integer=True)
    return sp.Eq(
        sp.Function("M")(k, num_classes), sp.gamma(k + num_classes - 1) / (sp.gamma(k + 1) * sp.gamma(num_classes - 1))
    )


def _fixation(sp: Any) -> Any:
    p = sp.Symbol("p", nonnegative=True)
    return sp.Eq(sp.Function("P")(p), p)


def _diffusion_time(sp: Any) -> Any:
    n, p = sp.symbols("n p", positive=True)
    return sp.Eq(sp.Function("T")(p), -2 * n * (p * sp.log(p) + (1 - p) * sp.log(1 - p)))


def _time_lower(sp: Any) -> Any:
    n, p = sp.symbols("n p", positive=True)
    return sp.Ge(sp.Function("T")(p), -n * (p * sp.log(p) + (1 - p) * sp.log(1 - p)))


def _time_upper(sp: Any) -> Any:
    n, p = sp.symbols("n p", positive=True)
    return sp.Le(sp.Function("T")(p), n * (1 + sp.log(n)))


_WRIGHT_FISHER = Theorem(
    slug="wright-fisher",
    title="Cross entropy on its own samples is Wright–Fisher drift",
    hypotheses=(
        r"$K \ge 2$ classes with probabilities $p_0 = (p_1, \ldots, p_K)$ at generation 0.",
        r"Generation $t + 1$ is the vector of frequencies of $n \ge 1$ independent draws from generation $t$: cross "
        r"entropy in the replace regime.",
    ),
    claims=(
        Claim(
            name="heterozygosity",
            statement=r"With $H = 1 - \sum_i p_i^2$, $\mathbb{E} H_t = (1 - 1/n)^t H_0$.",
            relation=_heterozygosity_decay,
            function="theory.categorical.heterozygosity_decay",
        ),
        Claim(
            name="eigenvalues",
            statement=r"The eigenvalues of the chain are $\lambda_k = \prod_{i < k} (1 - i/n)$, $k = 0, \ldots, n$, "
            r"and the chain is diagonalisable.",
            relation=_eigenvalue,
            function="theory.categorical.wright_fisher_eigenvalues",
        ),
        Claim(
            name="multiplicity",
            statement=r"Degree $k$ contributes $\lambda_k$ with multiplicity $\binom{k + K - 2}{k}$, the number of "
            r"monomials of degree $k$ in $K - 1$ variables. ($\lambda_0 = \lambda_1 = 1$ has both, $K$ together.)",
            relation=_multiplicity,
            function="theory.categorical.wright_fisher_multiplicity",
        ),
        Claim(
            name="fixation",
            statement=r"Almost surely one class is left in the end; it is class $i$ with probability $p_i$.",
            relation=_fixation,
            function="theory.categorical.fixation_probability",
        ),
        Claim(
            name="diffusion-time",
            statement=r"The mean time until one of two classes is lost is $-2n\,[p \log p + (1 - p) \log(1 - p)]$ in "
            r"the limit $n \to \infty$.",
            status=Status.DIFFUSION_LIMIT,
            relation=_diffusion_time,
            function="theory.categorical.absorption_time_limit",
        ),
        Claim(
            name="time-lower",
            statement=r"At every $n$ that mean time is at least $-n\,[p \log p + (1 - p) \log(1 - p)]$, half of the "
            r"limit.",
            relation=_time_lower,
        ),
        Claim(
            name="time-upper",
            statement=r"At every $n$ it is at most $n(1 + \log n)$, from every $p$.",
            relation=_time_upper,
        ),
        Claim(
            name="exact-times",
            statement=r"That mean time is the solution of a linear system with rational coefficients: 11.9806621… for "
            r"$n = 20$, $p = 1/10$ and 136.602278… for $n = 100$, $p = 1/2$.",
        ),
    ),
    status=Status.PROVED,
    source="Fisher (1930), Wright (1931); eigenvalues: Feller (1951); diffusion: Kimura (1955), Ewens (2004)",
)


def _survival_step(sp: Any) -> Any:
    t, s = sp.Symbol("t", nonnegative=True, integer=True), sp.Function("s")
    return sp.Eq(s(t + 1), 1 - sp.exp(-s(t)))


def _extinction_step(sp: Any) -> Any:
    t, q = sp.Symbol("t", nonnegative=True, integer=True), sp.Function("q")
    return sp.Eq(q(t + 1), sp.exp(q(t) - 1))


def _class_survival(sp: Any) -> tuple[Any, Any]:
    t, n = sp.symbols("t n", nonnegative=True, integer=True)
    p = sp.Symbol("p", nonnegative=True)
    return sp.Function("S")(t, n, p), 1 - sp.Function("q")(t) ** (n * p)


def _surviving_types(sp: Any) -> Any:
    t, n = sp.symbols("t n", nonnegative=True, integer=True)
    i, size = sp.symbols("i K", positive=True, integer=True)
    probs = sp.Function("probs")
    return sp.Eq(sp.Function("N")(t), sp.Sum(1 - sp.Function("q")(t) ** (n * probs(i)), (i, 1, size)))


def _survival_limit(sp: Any) -> Any:
    t = sp.Symbol("t", positive=True, integer=True)
    return sp.Eq(sp.Limit(2 / sp.Function("s")(t) - t - sp.log(t) / 3, t, sp.oo), sp.Symbol("C"))


_TAIL_EXTINCTION = Theorem(
    slug="tail-extinction",
    title="Rare classes die out like a critical branching process",
    hypotheses=(
        r"Cross entropy in the replace regime; a class of probability $p$ at generation 0.",
        r"Poisson sampling: the number of points of a class of probability $p_t$ in generation $t + 1$ is Poisson "
        r"with mean $n p_t$, and it is refitted to that number over $n$. Multinomial sampling: $n$ draws.",
        r"$q_0 = 0$, $q_{t+1} = e^{q_t - 1}$, and $s_t = 1 - q_t$.",
    ),
    claims=(
        Claim(
            name="survival-step",
            statement=r"A Galton–Watson process with Poisson(1) offspring from one individual survives $t$ "
            r"generations with probability $s_t$, $s_{t+1} = 1 - e^{-s_t}$, $s_0 = 1$.",
            relation=_survival_step,
            function="theory.categorical.survival_probability",
        ),
        Claim(
            name="extinction-step",
            statement=r"Its probability of extinction is $q_{t+1} = e^{q_t - 1}$, $q_0 = 0$.",
            relation=_extinction_step,
            function="theory.categorical.extinction_probability",
        ),
        Claim(
            name="poisson",
            statement=r"Under Poisson sampling the class survives $t$ generations with probability exactly $1 - "
            r"q_t^{np}$.",
            relation=lambda sp: sp.Eq(*_class_survival(sp)),
            function="theory.categorical.class_survival_probability",
        ),
        Claim(
            name="multinomial",
            statement=r"Under multinomial sampling it does so with probability at least $1 - q_t^{np}$.",
            relation=lambda sp: sp.Ge(*_class_survival(sp)),
            function="theory.categorical.class_survival_probability",
        ),
        Claim(
            name="surviving-types",
            statement=r"The expected number of classes that survive $t$ generations is $\sum_i (1 - q_t^{n p_i})$ "
            r"under Poisson sampling, and at least that under multinomial sampling.",
            relation=_surviving_types,
            function="theory.categorical.expected_surviving_types",
        ),
        Claim(
            name="example",
            statement=r"For Zipf(1) with $K = 10^5$ and $n = 10^7$ that is 91893.235190 at $t = 10$ and "
            r"37562.689962 at $t = 100$, to six decimals.",
        ),
        Claim(
            name="asymptotics",
            statement=r"$2/s_t = t + \frac{1}{3} \log t + C + o(1)$ as $t \to \infty$.",
            relation=_survival_limit,
            function="theory.categorical.survival_constant",
        ),
        Claim(
            name="constant",
            statement=r"$1.79824 < C < 1.79826$.",
        ),
        Claim(
            name="constant-digits",
            statement=r"$C = 1.79824815423139$, by an asymptotic series whose remainder is not bounded here.",
            status=Status.NUMERICAL,
        ),
    ),
    status=Status.PROVED,
    source="branching: Kolmogorov (1938), Athreya & Ney (1972); bound: Suresh et al. (2024); constant: this project",
)


def _tce_is_ce(sp: Any) -> Any:
    return sp.Ge(sp.Symbol("gamma", positive=True), 1 - 1 / sp.Symbol("n", positive=True, integer=True))


def _persistence_bound(sp: Any) -> Any:
    n, gamma = sp.Symbol("n", positive=True, integer=True), sp.Symbol("gamma", positive=True)
    return sp.Ge(sp.Function("T")(n, gamma), 1 / (gamma**n + (1 - gamma) ** n))


def _persistence_upper_bound(sp: Any) -> Any:
    n, gamma = sp.Symbol("n", positive=True, integer=True), sp.Symbol("gamma", positive=True)
    visits = 1 + 1 / (gamma**n + (1 - gamma) ** n)
    return sp.Le(sp.Function("T")(n, gamma), n / (4 * gamma * (1 - gamma)) * visits)


def _persistence_at_half(sp: Any) -> Any:
    n = sp.Symbol("n", positive=True, integer=True)
    return sp.Eq(sp.Function("T")(n, sp.Rational(1, 2)), 2 ** (n - 1))


def _persistence(sp: Any) -> Any:
    n, gamma = sp.Symbol("n", positive=True, integer=True), sp.Symbol("gamma", positive=True)
    return sp.sqrt(2 * n * gamma * (1 - gamma)) * sp.log(gamma / (1 - gamma)) * gamma ** (-n)


def _log_persistence(sp: Any) -> Any:
    n, gamma = sp.Symbol("n", positive=True, integer=True), sp.Symbol("gamma", positive=True)
    return sp.log(2 * n * gamma * (1 - gamma)) / 2 + sp.log(sp.log(gamma / (1 - gamma))) - n * sp.log(gamma)


def _warm_heterozygosity(sp: Any) -> Any:
    gamma = sp.Symbol("gamma", positive=True)
    return sp.Eq(sp.Function("H")(gamma), (2 * gamma - 1) / sp.log(gamma / (1 - gamma)))


_TWO_CLASS_PERSISTENCE = Theorem(
    slug="two-class-persistence",
    title="A cap turns the persistence of two classes from linear in n to exponential",
    hypotheses=(
        r"Two classes; generation $t + 1$ is the TCE fit to $n$ draws from generation $t$, with a threshold $\gamma$ "
        r"in $[1/2, 1]$: where both classes are drawn, the frequencies clipped to $[1 - \gamma, \gamma]$.",
        r"A class that is not drawn is lost (convention `drawn-only`), or kept at $1 - \gamma$ (`warm`, from a model "
        r"with both probabilities in $[1 - \gamma, \gamma]$), as each claim says.",
        r"$T$ is the first generation at which a class is lost; $p_0$ is in $[1 - \gamma, \gamma]$.",
    ),
    claims=(
        Claim(
            name="equality",
            statement=r"`drawn-only`: TCE is cross entropy, for every sample, if $\gamma \ge 1 - 1/n$; and only if, "
            r"for $n \ge 2$.",
            status=Status.PROVED,
            relation=_tce_is_ce,
            function="theory.categorical.tce_is_ce",
        ),
        Claim(
            name="bound",
            statement=r"`drawn-only`: $\frac{1}{\gamma^n + (1 - \gamma)^n} \le \mathbb{E} T \le 2^{n-1}$ at every "
            r"$n$: exponential in $n$ for every $\gamma < 1$, where cross entropy has at most $n(1 + \log n)$ "
            r"(`wright-fisher`), of order $n$ in the diffusion limit.",
            status=Status.PROVED,
            relation=_persistence_bound,
        ),
        Claim(
            name="upper-bound",
            statement=r"`drawn-only`, $\gamma < 1$: $\mathbb{E} T \le \frac{n}{4\gamma(1 - \gamma)}\left(1 + "
            r"\frac{1}{\gamma^n + (1 - \gamma)^n}\right)$ at every $n$. With the lower bound, $\frac{1}{n}\log "
            r"\mathbb{E} T \to -\log\gamma$ for every $\gamma$ in $[1/2, 1)$.",
            status=Status.PROVED,
            relation=_persistence_upper_bound,
        ),
        Claim(
            name="half",
            statement=r"`drawn-only`: for $\gamma = 1/2$, $\mathbb{E} T = 2^{n-1}$ exactly.",
            status=Status.PROVED,
            relation=_persistence_at_half,
        ),
        Claim(
            name="exact-times",
            statement=r"`drawn-only`, $n = 100$, $p_0 = 1/2$: $\mathbb{E} T$ is 279516.367 for $\gamma = .9$ and "
            r"1211.11382 for $\gamma = .95$, to all digits given.",
            status=Status.PROVED,
        ),
        Claim(
            name="mean-time",
            statement=r"`drawn-only`: for fixed $\gamma$ in $(1/2, 1)$ and $n \to \infty$, $\mathbb{E} T \sim "
            r"\sqrt{2n\gamma(1 - \gamma)}\, \log\left(\frac{\gamma}{1 - \gamma}\right) \gamma^{-n}$. Not uniform in "
            r"$\gamma$ at either end.",
            relation=lambda sp: sp.Eq(sp.Function("T")(sp.Symbol("n"), sp.Symbol("gamma")), _persistence(sp)),
            function="theory.categorical.two_class_persistence_limit",
        ),
        Claim(
            name="log-mean-time",
            statement=r"In logarithms, $\log \mathbb{E} T - \log n = -n \log \gamma - \frac{1}{2} \log n + O(1)$: the "
            r"time leaves the order $n$ of cross entropy behind.",
            relation=lambda sp: sp.Eq(sp.Function("log_T")(sp.Symbol("n"), sp.Symbol("gamma")), _log_persistence(sp)),
            function="theory.categorical.log_two_class_persistence_limit",
        ),
        Claim(
            name="correction",
            statement=r"The relative error of the leading order falls like $n^{-1/2}$: exact over formula is .796, "
            r".880, .936 at $\gamma = .9$, $n = 100$, 400, 1600.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="sign",
            statement=r"*The leading order overestimates at usable $n$.* At $n = 400$, $\gamma = .99$ the exact time "
            r"is 1.39 times the leading order.",
            status=Status.REFUTED,
        ),
        Claim(
            name="warm-ergodic",
            statement=r"`warm` with $\gamma < 1$: no class is ever lost; the chain of counts has one stationary law, "
            r"which it approaches at a geometric rate from any start, so that it forgets $p_0$.",
            status=Status.PROVED,
        ),
        Claim(
            name="warm-heterozygosity",
            statement=r"`warm`: the stationary mean of $2p(1 - p)$ tends to $\frac{2\gamma - 1}{\log(\gamma/(1 - "
            r"\gamma))}$ as $n \to \infty$.",
            relation=_warm_heterozygosity,
            function="theory.categorical.warm_heterozygosity_limit",
        ),
    ),
    status=Status.DIFFUSION_LIMIT,
    source="this project; mean ladder height: Spitzer (1956), Feller (1971, chapter XII)",
    depends_on=("capped-projection", "warm-degenerate", "wright-fisher"),
)


def _no_peak_above(sp: Any) -> Any:
    sigma, gamma = sp.symbols("sigma gamma", positive=True)
    return sp.Ge(sigma, 1 / (gamma * sp.sqrt(2 * sp.pi)))


_NEUTRAL_UNTIL_CAP = Theorem(
    slug="neutral-until-cap",
    title="TCE is cross entropy until a frequency exceeds the threshold",
    hypotheses=(
        r"Both recursions start from the same model and use the same random numbers: the data of generation $t + 1$ "
        r"are a function of the model of generation $t$ and of these numbers.",
        r"Cross entropy has a unique fit (for the Gaussian: two samples differ, `ddof` 0), and TCE has its scale "
        r"`absolute` and its mask `current`; any convention for the vacuous case.",
    ),
    claims=(
        Claim(
            name="fit",
            statement=r"If no sample has a probability (density) above $\gamma$ under the cross-entropy fit, this is "
            r"the unique TCE fit. Categorical: if no frequency exceeds $\gamma$.",
        ),
        Claim(
            name="coupling",
            statement=r"Categorical: the two paths are the same up to, and not including, the first generation at "
            r"which some frequency exceeds $\gamma$.",
        ),
        Claim(
            name="parting",
            statement=r"In that generation they part if the TCE fit has no probability above $\gamma$. So it is for "
            r"every fit that is not vacuous, and for every warm-started one from a model without a probability above "
            r"$\gamma$. They need not part under `drawn-only`: if one class alone is drawn it is the fit of both.",
        ),
        Claim(
            name="gaussian",
            statement=r"Gaussian: the paths are the same as long as the density of the cross-entropy fit is nowhere "
            r"above $\gamma$, that is $\sigma \ge \sigma_c = \frac{1}{\gamma \sqrt{2\pi}}$.",
            relation=_no_peak_above,
        ),
        Claim(
            name="gaussian-converse",
            statement=r"*The Gaussian paths part as soon as $\sigma < \sigma_c$.* Not so if no sample lies where the "
            r"fitted density exceeds $\gamma$: for the data $\pm 1$ and $\gamma = .3$ nothing is masked at $\sigma = "
            r"1 < \sigma_c = 1.3298$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("support-floor",),
)


def _composition(sp: Any) -> Any:
    points = sp.Symbol("points", positive=True, integer=True)
    return sp.Eq(sp.Function("H")(1) / sp.Function("H")(0), 1 - 1 / points)


_TAILS_UNPROTECTED = Theorem(
    slug="tails-unprotected",
    title="Below the cap, TCE leaves the loss of diversity as it is",
    hypotheses=(
        r"$U$ is a set of classes fixed in advance; $P_U > 0$ is its probability under generation $t$ and $u_i = "
        r"p_i/P_U$ its composition, with heterozygosity $H_U = 1 - \sum_{i \in U} u_i^2$.",
        r"Generation $t + 1$ is fitted to $n$ draws from generation $t$, of which $N_U$ fall into $U$.",
        r"The TCE fit is that of `capped-projection` (more than $1/\gamma$ classes are drawn).",
    ),
    claims=(
        Claim(
            name="conditional-law",
            statement=r"Given $N_U$, and whatever the loss, the counts within $U$ are multinomial: $N_U$ draws from "
            r"$u$.",
        ),
        Claim(
            name="factor",
            statement=r"The composition of the draws within $U$ has $\mathbb{E}[H_U' \mid N_U] = (1 - 1/N_U)\, H_U$ "
            r"for $N_U \ge 1$.",
            relation=_composition,
            function="theory.categorical.composition_decay",
        ),
        Claim(
            name="uncapped",
            statement=r"Where no class of $U$ is capped, the composition of the fitted model within $U$ is that of "
            r"the draws.",
        ),
        Claim(
            name="mass",
            statement=r"The expected factor $\mathbb{E}[(1 - 1/N_U)\, 1\{N_U \ge 1\}]$ increases with $P_U$, strictly "
            r"for $n \ge 2$: a cap elsewhere slows the loss within $U$ by the mass that it sends there, and by nothing "
            r"else.",
        ),
        Claim(
            name="given-uncapped",
            statement=r"*The factor is $1 - 1/N_U$ also given that no class of $U$ is capped.* That event selects "
            r"even compositions: $p = (.25, .25, .5)$, $n = 3$, $\gamma = .6$, $U$ the first two classes: given $N_U "
            r"= 2$ and no cap the factor is 1, not $1/2$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("capped-projection", "wright-fisher"),
)


def _drift_tail(sp: Any) -> Any:
    n, t = sp.Symbol("n", positive=True, integer=True), sp.Symbol("t", nonnegative=True, integer=True)
    c = sp.Symbol("ratio", positive=True)
    return sp.Le(sp.Function("P")(t, n, c), sp.Min(1, (1 - 1 / n) ** t / c))


def _drift_mean(sp: Any) -> Any:
    n, s = sp.Symbol("n", positive=True, integer=True), sp.Symbol("s", nonnegative=True, integer=True)
    c = sp.Symbol("ratio", positive=True)
    return sp.Le(sp.Function("T")(n, c), s + n * (1 - 1 / n) ** s / c)


def _drift_linear(sp: Any) -> Any:
    n, c = sp.Symbol("n", positive=True, integer=True), sp.Symbol("ratio", positive=True)
    return sp.Le(sp.Function("T")(n, c), n * (1 + sp.log(1 / c)))


def _drift_lower(sp: Any) -> Any:
    n, size = sp.Symbol("n", positive=True, integer=True), sp.Symbol("num_classes", positive=True, integer=True)
    c, start = sp.symbols("ratio heterozygosity", positive=True)
    return sp.Ge(sp.Function("T")(n, c), n * (1 - c) * start / (1 - 1 / size))


def _fano_entropy(sp: Any) -> Any:
    size, e = sp.Symbol("num_classes", positive=True, integer=True), sp.Symbol("e", positive=True)
    return sp.Le(sp.Function("H")(e, size), -(1 - e) * sp.log(1 - e) - e * sp.log(e / (size - 1)))


def _entropy_lower(sp: Any) -> Any:
    n, size = sp.Symbol("n", positive=True, integer=True), sp.Symbol("num_classes", positive=True, integer=True)
    start, threshold = sp.symbols("entropy threshold", positive=True)
    return sp.Ge(sp.Function("T_h")(n), n * (start - threshold) / (size - 1))


_DRIFT_INTERVAL = Theorem(
    slug="drift-interval",
    title="The fidelity interval of cross entropy is of the order of n, that of TCE can be infinite",
    hypotheses=(
        r"As in `wright-fisher`: $K \ge 2$ classes, $p_0$ with $D_0 > 0$, where $D_t = 1 - \sum_i p_{t,i}^2$ and $H_t$ "
        r"is the entropy; generation $t + 1$ is the vector of frequencies of $n$ draws from generation $t$. (One row "
        r"of a table that is drawn from $n$ times a generation; for other rows see the claim on sizes.)",
        r"$T$ is the first generation with $D_t < c D_0$, $0 < c \le 1$, and $T_h$ the first with $H_t < h$, $0 < h "
        r"\le H_0$.",
    ),
    claims=(
        Claim(
            name="tail",
            statement=r"$\Pr(T > t) \le \min\left(1, \frac{1}{c}\left(1 - \frac{1}{n}\right)^t\right)$.",
            relation=_drift_tail,
            function="theory.categorical.drift_survival_bound",
        ),
        Claim(
            name="mean",
            statement=r"$\mathbb{E} T \le s + \frac{n}{c} \left(1 - \frac{1}{n}\right)^s$, with $s$ the number of $t "
            r"\ge 0$ for which $(1 - 1/n)^t > c$.",
            relation=_drift_mean,
            function="theory.categorical.drift_interval_bound",
        ),
        Claim(
            name="linear",
            statement=r"Hence $\mathbb{E} T \le n\,(1 + \log\frac{1}{c})$, whatever $K$ and $p_0$.",
            relation=_drift_linear,
        ),
        Claim(
            name="lower",
            statement=r"$\mathbb{E} T \ge n (1 - c) \frac{D_0}{1 - 1/K}$: from the uniform distribution, $n(1 - c)$.",
            relation=_drift_lower,
            function="theory.categorical.drift_interval_floor",
        ),
        Claim(
            name="entropy-of-heterozygosity",
            statement=r"A distribution on $K$ classes with $1 - \sum_i p_i^2 = D$ has $H \le -(1 - e) \log(1 - e) - e "
            r"\log\frac{e}{K - 1}$, $e = (1 - \frac{1}{K})(1 - \sqrt{1 - \frac{KD}{K - 1}})$; attained by $(1 - e, "
            r"\frac{e}{K - 1}, \ldots)$.",
            relation=_fano_entropy,
            function="theory.categorical.largest_entropy",
        ),
        Claim(
            name="entropy",
            statement=r"The bound increases with $D$; let $d(h)$ be where it is $h$. Then $\Pr(T_h > t) \le \min(1, "
            r"\frac{1}{c}(1 - \frac{1}{n})^t)$ and $\mathbb{E} T_h \le n\,(1 + \log\frac{1}{c})$ with $c = d(h)/D_0$, "
            r"which is at most 1.",
            function="theory.categorical.least_heterozygosity",
        ),
        Claim(
            name="entropy-lower",
            statement=r"$\mathbb{E} T_h \ge n\,\frac{H_0 - h}{K - 1}$.",
            relation=_entropy_lower,
            function="theory.categorical.entropy_interval_floor",
        ),
        Claim(
            name="sizes",
            statement=r"If generation $t + 1$ has $n_t$ draws, with $n_t$ known before they are made, $0 \le n_t \le "
            r"n$, and a row without draws stays as it is, the upper bounds hold for the number of generations with "
            r"draws up to $T$ (also if draws end before).",
        ),
        Claim(
            name="two-classes",
            statement=r"For $K = 2$ the mean of $T$ is the solution of a linear system: 16.3871… for $n = 20$ and "
            r"63.4558… for $n = 100$, from $p_0 = (1/2, 1/2)$ to $c = 1/2$ (bounds: 10 and 33.51, 50 and 168.97).",
        ),
        Claim(
            name="capped",
            statement=r"TCE with a warm start, from a $p_0$ without a probability above $\gamma$, has $H_t \ge "
            r"h_{min}(\gamma) \ge -\log\gamma$ at every generation (`support-floor`): for every $h \le "
            r"h_{min}(\gamma)$ it never fails.",
        ),
        Claim(
            name="where-the-mean-crosses",
            statement=r"The mean of $T$ is about where $\mathbb{E} D_t$ crosses $c D_0$, $n \log\frac{1}{c}$. It need "
            r"not be, on either side: for $n = 2$ and $p_0 = (1/2, 1/2)$, $\mathbb{E} T = 2$ for every $c$, and "
            r"$\mathbb{E} D_t$ crosses at $t = 1$ for $c = .9$, at $t = 7$ for $c = .01$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project; entropy and heterozygosity: Harremoës & Topsøe (2001)",
    depends_on=("wright-fisher", "support-floor"),
)


_DRIFT: tuple[Theorem, ...] = (
    _WRIGHT_FISHER,
    _TAIL_EXTINCTION,
    _TWO_CLASS_PERSISTENCE,
    _NEUTRAL_UNTIL_CAP,
    _TAILS_UNPROTECTED,
    _DRIFT_INTERVAL,
)

# What a cap on confidence does and leaves


def _multiplier(sp: Any) -> Any:
    m, mass, gamma = sp.symbols("m F_m gamma", positive=True)
    return sp.Eq(sp.Symbol("lambda", positive=True), (1 - mass) / (1 - m * gamma))


def _water_filling(sp: Any) -> Any:
    frequency, multiplier, gamma = sp.symbols("f_i lambda gamma", positive=True)
    return sp.Eq(sp.Symbol("q_i", positive=True), sp.Min(gamma, frequency / multiplier))


_CAPPED_PROJECTION = Theorem(
    slug="capped-projection",
    title="The categorical fit is water-filling, the nearest capped distribution in every f-divergence",
    hypotheses=(
        r"$f$ is a distribution on $K$ classes, positive on $S$ of them, the drawn ones.",
        r"$0 < \gamma \le 1$ and $S\gamma > 1$; $C_\gamma = \{q : \max q \le \gamma\}$.",
        r"The fit minimises $L_\gamma(q) = \sum_i f_i \max(-\log q_i, -\log\gamma)$ over all distributions $q$.",
    ),
    claims=(
        Claim(
            name="fit",
            statement=r"The fit is unique, $q_i = \min(\gamma, f_i/\lambda)$, with $\lambda$ the one number for which "
            r"this sums to 1. The weights that make it stationary are $1$ below the cap and $\lambda\gamma/f_i \in "
            r"(0, 1]$ at it, and $\lambda$ is their mean under $f$.",
            relation=_water_filling,
            function="theory.categorical.capped_projection",
        ),
        Claim(
            name="multiplier",
            statement=r"$\lambda = (1 - F_m)/(1 - m\gamma) \in (0, 1]$, where $m$ is the number of classes with $f_i "
            r"> \lambda\gamma$ and $F_m$ their mass; they are the $m$ largest, and $m \le \lceil 1/\gamma \rceil - 1$.",
            relation=_multiplier,
            function="theory.categorical.capped_projection",
        ),
        Claim(
            name="divergences",
            statement=r"The fit is the projection of $f$ on $C_\gamma$ in every f-divergence $D_\varphi(f \| q) = "
            r"\sum_i q_i\,\varphi(f_i/q_i)$, $\varphi$ convex: in $\mathrm{KL}(f \| q)$, in $\mathrm{KL}(q \| f)$, in "
            r"total variation, and so on; the only one if $\varphi$ is strictly convex.",
        ),
        Claim(
            name="monotone capping",
            statement=r"Start from no capped class; cap all classes with $f_i > \lambda\gamma$, $\lambda$ from the "
            r"classes capped so far, until there is none. $\lambda$ never rises, no class has to be released, and "
            r"after at most $m + 1$ passes this is the fit.",
        ),
        Claim(
            name="reciprocal",
            statement=r"For $S\gamma = 1$ the minimiser is unique as well: $\gamma$ on each drawn class. For $S\gamma "
            r"< 1$ every $q$ with $q_i \ge \gamma$ on the drawn classes is one.",
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("hinge-form",),
)


def _end_of_the_flow(sp: Any) -> Any:
    n_drawn, gamma, mass = sp.symbols("S gamma U", positive=True)
    on, off = sp.symbols("L_on L_off", real=True)
    return sp.Eq(n_drawn * sp.log(gamma * mass / (1 - n_drawn * gamma)), on + off)


def _free_mass(sp: Any) -> Any:
    start, clock = sp.symbols("q_0j tau", positive=True)
    return sp.Eq(sp.Symbol("a_j", positive=True), start / (1 + clock * start))


_WARM_DEGENERATE = Theorem(
    slug="warm-degenerate",
    title="Where warm-started training ends when the drawn classes fit under the cap",
    hypotheses=(
        r"$\dot z \in -\partial L_\gamma(z)$, the gradient flow in the logits of a softmax, from $q_0 = q(z_0)$; sums "
        r"are over classes with $q_{0} > 0$.",
        r"$S$ classes are drawn, each with $q_0 > 0$; $S\gamma < 1$ unless the claim says otherwise.",
        r"$q_0 \in C_\gamma$, or $S = 1$ and the drawn class has $q_0 \le \gamma$, unless the claim says otherwise.",
    ),
    claims=(
        Claim(
            name="finite time",
            statement=r"The flow stops after a finite time, in a model with $q_i \ge \gamma$ on every drawn class; "
            r"from any $q_0$, within $C_\gamma$ or not.",
        ),
        Claim(
            name="free classes",
            statement=r"Off the drawn classes the unnormalised masses are $a_j = q_{0j}/(1 + \tau q_{0j})$ with one "
            r"clock $\tau = \int M/Z\,dt \ge 0$ for all of them.",
            relation=_free_mass,
        ),
        Claim(
            name="end",
            statement=r"The end is $q_i = \gamma$ on the drawn classes and $(1 - S\gamma)\,a_j/U$ off them, $U = "
            r"\sum_j a_j$, where $S \log\frac{\gamma U}{1 - S\gamma} = L_{on} + L_{off}$ with $L_{on} = \sum \log "
            r"q_{0i}$ over the drawn classes and $L_{off} = \sum \log(1 + \tau q_{0j})$ over the others. It does not "
            r"depend on the frequencies.",
            relation=_end_of_the_flow,
            function="theory.categorical.warm_end",
        ),
        Claim(
            name="one clock",
            statement=r"Exactly one $\tau \ge 0$ solves that equation; it is 0 if and only if every drawn class has "
            r"$q_0 = \gamma$.",
        ),
        Claim(
            name="reciprocal",
            statement=r"For $S\gamma = 1$ and any $q_0$ the flow tends to the uniform distribution on the drawn "
            r"classes.",
        ),
        Claim(
            name="frozen",
            statement=r"For any $\gamma$ and $q_0$: if every drawn class has $q_0 > \gamma$ the model stays as it is. "
            r"$C_\gamma$ is empty if $K\gamma < 1$.",
        ),
        Claim(
            name="no dependence on the frequencies outside the cap",
            statement=r"The end does not depend on $f$ for any $q_0$. Counterexample: $q_0 = (.8, .1, .1)$, $\gamma = "
            r".15$, classes 2 and 3 drawn: the more frequent of the two ends strictly above $\gamma$, the other at "
            r"$\gamma$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="ends outside the cap",
            statement=r"$q_0 = (.8, .1, .06, .04)$, $\gamma = .15$, classes 2 and 3 drawn: the end is $(.6218, .1718, "
            r".1500, .0564)$ for $f = (.9, .1)$ on the two and $(.6430, .1500, .1519, .0551)$ for $f = (.1, .9)$. With "
            r"six classes of $.04/6$ in place of the fourth, $C_\gamma$ is not empty, and the first three end at "
            r"$(.6201, .1715, .1500)$ and $(.6413, .1500, .1519)$.",
            status=Status.NUMERICAL,
        ),
    ),
    status=Status.PROVED,
    source="this project; existence and uniqueness of the flow: Brezis (1973)",
    depends_on=("hinge-form", "tce-gradient"),
)


def _least_entropy(sp: Any) -> Any:
    gamma = sp.Symbol("gamma", positive=True)
    whole = sp.floor(1 / gamma)
    rest = 1 - whole * gamma
    return sp.Eq(sp.Function("h_min")(gamma), -whole * gamma * sp.log(gamma) - rest * sp.log(rest))


def _least_support(sp: Any) -> Any:
    gamma = sp.Symbol("gamma", positive=True)
    return sp.Eq(sp.Function("s_min")(gamma), sp.ceiling(1 / gamma))


_SUPPORT_FLOOR = Theorem(
    slug="support-floor",
    title="A capped model stays capped: how many classes and how much entropy survive for ever",
    hypotheses=(
        r"$q_0 \in C_\gamma$, $0 < \gamma \le 1$ (so that $K\gamma \ge 1$).",
        r"Each generation is the warm-started fit to any data drawn from the generation before.",
    ),
    claims=(
        Claim(name="invariance", statement=r"Every generation is in $C_\gamma$, whatever is drawn."),
        Claim(
            name="classes",
            statement=r"At least $\lceil 1/\gamma \rceil$ classes have positive probability, at every generation.",
            relation=_least_support,
            function="theory.categorical.surviving_classes_floor",
        ),
        Claim(
            name="entropy",
            statement=r"$H \ge h_{min}(\gamma) = -m\gamma\log\gamma - r\log r$ at every generation, with $m = \lfloor "
            r"1/\gamma \rfloor$ and $r = 1 - m\gamma$ ($0 \log 0 = 0$).",
            relation=_least_entropy,
            function="theory.categorical.entropy_floor",
        ),
        Claim(
            name="sharp",
            statement=r"Both bounds are attained on $C_\gamma$, by $\gamma$ on $m$ classes and $r$ on one; and "
            r"$h_{min}(\gamma) \ge -\log\gamma$ with equality if and only if $1/\gamma$ is an integer.",
        ),
        Claim(
            name="return",
            statement=r"From $q_0 \notin C_\gamma$: the first fit with $S\gamma \ge 1$ is in $C_\gamma$, and so are "
            r"all later ones.",
        ),
        Claim(
            name="floor from a start outside the cap",
            statement=r"The same holds for every $q_0$. Counterexample: $q_0 = (.95, .05)$, $\gamma = .9$ is frozen "
            r"for as long as class 2 is not drawn, with $H = .1985 < h_{min}(.9) = .3251$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("capped-projection", "warm-degenerate"),
)


def _anticap_condition(sp: Any) -> Any:
    f, gamma = sp.symbols("f gamma", positive=True)
    return sp.Gt(-f * sp.log(f) - (1 - f) * sp.log(1 - f), -(1 - f) * sp.log(1 - gamma), evaluate=False)


def _anticap_threshold(sp: Any) -> Any:
    f = sp.Symbol("f", positive=True)
    return sp.Eq(sp.Function("gamma_c")(f), 1 - (1 - f) * f ** (f / (1 - f)))


_LITERAL_ANTICAP = Theorem(
    slug="literal-anticap",
    title="The literal loss, with a mask that moves, can push confidence up to the threshold",
    hypotheses=(
        r"Two classes with frequencies $f$ and $1 - f$, $1/2 \le f < 1$, and $1/2 < \gamma < 1$.",
        r"$\ell(q) = -f\,\chi(q)\log q - (1 - f)\,\chi(1 - q)\log(1 - q)$ for $0 < q < 1$, with $\chi(p) = 1$ if $p "
        r"\le \gamma$ and 0 else: the loss itself is minimised, the mask is not held constant.",
    ),
    claims=(
        Claim(
            name="condition",
            statement=r"For $f < \gamma$: the infimum of $\ell$ is approached as $q \downarrow \gamma$ and attained "
            r"nowhere if and only if $h(f) > -(1 - f)\log(1 - \gamma)$, $h$ the binary entropy (at $f = 1/2$ also as "
            r"$1 - q \downarrow \gamma$). Else the minimum is $h(f)$, at $q = f$.",
            relation=_anticap_condition,
            function="theory.categorical.literal_loss_anticaps",
        ),
        Claim(
            name="beyond the threshold",
            statement=r"For $f \ge \gamma$ the infimum is always approached as $q \downarrow \gamma$ and attained "
            r"nowhere; the condition holds there too.",
        ),
        Claim(
            name="threshold",
            statement=r"Equivalently $\gamma < \gamma_c(f) = 1 - (1 - f)\,f^{f/(1 - f)}$, which lies in $(f, 1)$.",
            relation=_anticap_threshold,
            function="theory.categorical.literal_anticap_threshold",
        ),
        Claim(
            name="example",
            statement=r"$f = (.8, .2)$, $\gamma = .9$: the infimum $-.2\log .1 = .4605$ is below $h(.8) = .5004$, the "
            r"loss at the data's own frequencies; $\gamma_c = .91808$.",
        ),
    ),
    status=Status.PROVED,
    source="this project, on the loss of ForTIFAI (arXiv 2509.08972)",
)


def _bias_bound(sp: Any) -> Any:
    size, gamma, i = sp.Symbol("K", integer=True, positive=True), sp.Symbol("gamma", positive=True), sp.Idx("i")
    p = sp.IndexedBase("p")
    return sp.Ge(sp.Function("TV")(size), sp.Sum(sp.Max(p[i] - gamma, 0), (i, 1, size)), evaluate=False)


def _bias_kl(sp: Any) -> Any:
    m, i = sp.Symbol("m", integer=True, positive=True), sp.Idx("i")
    gamma, p = sp.Symbol("gamma", positive=True), sp.IndexedBase("p")
    left = 1 - sp.Sum(p[i], (i, 1, m))
    head = sp.Sum(p[i] * sp.log(p[i] / gamma), (i, 1, m))
    return sp.Eq(sp.Symbol("KL"), head + left * sp.log(left / (1 - m * gamma)))


_CAP_BIAS = Theorem(
    slug="cap-bias",
    title="A cap below the true head costs fidelity at once",
    hypotheses=(
        r"$p_0$ is the truth on $K$ classes and $0 < \gamma \le 1$ with $K\gamma \ge 1$.",
        r"$p_t \in C_\gamma$: at every generation from the first fit with $S\gamma \ge 1$ on, under warm start.",
    ),
    claims=(
        Claim(
            name="bound",
            statement=r"$\mathrm{TV}(p_t, p_0) \ge \sum_i (p_{0i} - \gamma)_+$.",
            relation=_bias_bound,
            function="theory.categorical.cap_bias",
        ),
        Claim(
            name="attained",
            statement=r"The capped projection of $p_0$ attains it if $p_0$ is positive on more than $1/\gamma$ "
            r"classes: "
            r"water-filling takes from no class below $\gamma$.",
            function="theory.categorical.water_filling_bias",
        ),
        Claim(
            name="divergence",
            statement=r"$\mathrm{KL}(p_0 \| q) = \sum_{i \le m} p_{0i}\log\frac{p_{0i}}{\gamma} + (1 - "
            r"F_m)\log\lambda$ for the capped projection $q$ of such a $p_0$, classes ranked, with $m$, $F_m$ and "
            r"$\lambda = (1 - F_m)/(1 - m\gamma)$ as in `capped-projection`; the least of all $q \in C_\gamma$.",
            relation=_bias_kl,
            function="theory.categorical.water_filling_bias",
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("capped-projection", "support-floor"),
)


def _flat_variation(sp: Any) -> Any:
    delta = sp.Symbol("delta", nonnegative=True)
    return sp.Le(sp.Function("TV")(delta), delta / (1 + delta), evaluate=False)


def _flat_support(sp: Any) -> Any:
    size, delta = sp.Symbol("size", positive=True), sp.Symbol("delta", nonnegative=True)
    return sp.Ge(sp.Function("support")(size, delta), sp.ceiling(size / (1 + delta)), evaluate=False)


_FLAT_GAIN = Theorem(
    slug="flat-gain",
    title="A uniform truth is kept near for ever by a cap slightly above it",
    hypotheses=(
        r"$p_0$ is uniform on $K$ classes, $\gamma = (1 + \delta)/K$ with $0 \le \delta \le K - 1$.",
        r"Each generation is the warm-started fit to any data drawn from the generation before.",
    ),
    claims=(
        Claim(
            name="total variation",
            statement=r"$\mathrm{TV}(p_t, p_0) \le \frac{\delta}{1 + \delta}$ at every generation. On $C_\gamma$ the "
            r"bound is attained if and only if $K/(1 + \delta)$ is an integer, and then by the fit to points that fall "
            r"into exactly $K/(1 + \delta)$ classes.",
            relation=_flat_variation,
            function="theory.categorical.flat_gain_total_variation",
        ),
        Claim(
            name="classes",
            statement=r"At least $\lceil K/(1 + \delta) \rceil$ classes have positive probability at every generation.",
            relation=_flat_support,
            function="theory.categorical.flat_gain_support",
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("warm-degenerate", "support-floor"),
)


def _averaged_gap(sp: Any) -> Any:
    distance, step, steps, square = sp.symbols("distance step steps gradient_square", positive=True)
    bound = distance**2 / (2 * step * steps) + step * square / 2
    return sp.Le(sp.Function("gap")(step, steps), bound, evaluate=False)


_TABULAR_LIMIT = Theorem(
    slug="tabular-limit",
    title="A network without hidden layers on one-hot contexts is the categorical model, row by row",
    hypotheses=(
        r"Contexts are one-hot; the logits of context $c$ are the column $z_c$ of a matrix, without a bias that "
        r"contexts share.",
        r"(Sub)gradient descent with a constant step $\eta$ for $T$ steps from $z_0$; $\bar z$ is the mean of $z_0, "
        r"\ldots, z_{T-1}$.",
        r"$z^*$ is a finite minimiser of the row's objective: there is one if and only if $S\gamma < 1$, or all $K$ "
        r"classes are drawn and $K\gamma \ge 1$.",
    ),
    claims=(
        Claim(
            name="rows",
            statement=r"The objective is a sum of the rows' objectives, each weighted by the share $\pi_c$ of its "
            r"context; the rows do not interact, and descent with step $\eta$ is descent with step $\eta\pi_c$ on row "
            r"$c$.",
        ),
        Claim(
            name="gap",
            statement=r"$L(\bar z) - L(z^*) \le \frac{\|z_0 - z^*\|^2}{2\eta T} + \frac{\eta G^2}{2}$ if every "
            r"(sub)gradient on the way has $\|v\|^2 \le G^2$ (`gradient_square`); with any finite $z$ in place of "
            r"$z^*$ as well.",
            relation=_averaged_gap,
            function="theory.categorical.tabular_gap_bound",
        ),
        Claim(name="gradients", statement=r"$\|v\|^2 \le 2$ for every row, so that $G^2 = 2$ will do."),
        Claim(
            name="minimiser",
            statement=r"If $S\gamma < 1$ there are many minimisers, and the gradient flow (not the mean of descent) "
            r"ends at that of `warm-degenerate`; if all $K$ classes are drawn and $K\gamma > 1$, the minimiser is "
            r"`capped-projection`.",
        ),
        Claim(
            name="constant step",
            statement=r"$f = (.9, .07, .03)$, $\gamma = .6$: the logits averaged over the steps 10,000 to 20,000 give "
            r"$q_1 = .641, .612, .602$ for $\eta = 1, .3, .05$; the error is of the order of $\eta$.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="decaying step",
            statement=r"With a step that falls linearly from 1 to 0 in 40,000 steps, tables of five contexts and five "
            r"classes, all drawn, end within $10^{-4}$ of the exact fits under cross entropy, TCE ($\gamma = .4$) and "
            r"the focal loss; slower where a class is exactly on the edge of the cap, as in $f = (8, 1, 1, 2, 11)/23$.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="fidelity intervals",
            statement=r"Recursions of tables trained so, under TCE with steps too small to jump over the cap, have the "
            r"mean fidelity intervals of the categorical model: within 6 % of the exact ones of two classes, within "
            r"15 % of those of Markov chains that write text.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="a finite minimiser for more than 1/gamma drawn classes",
            statement=r"$S\gamma > 1$ is enough for a finite $z^*$. Counterexample: $f = (.5, .5, 0)$, $\gamma = .9$: "
            r"$L > \log 2$ at every finite $z$, and $\log 2$ is the infimum.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project; bound for averages of subgradient descent: Shor (1985), Nesterov (2004)",
    depends_on=("hinge-form", "tce-gradient", "capped-projection", "warm-degenerate"),
)


def _sharpening(sp: Any) -> Any:
    ratio, temperature = sp.Symbol("r_t", real=True), sp.Symbol("T", positive=True)
    return sp.Eq(sp.Symbol("r_next", real=True), ratio / temperature)


_MODE_SEEKING_LIMIT = Theorem(
    slug="mode-seeking-limit",
    title="What a cap leaves of a model that is sharpened at every generation",
    hypotheses=(
        r"Population recursion (no sampling): $p_{t+1}$ is the TCE fit to $p_t^{1/T}/\sum p_t^{1/T}$, temperature $T "
        r"< 1$.",
        r"$p_0 > 0$ on all $K$ classes, ranked $p_{(1)} \ge p_{(2)} \ge \ldots$; $K\gamma \ge 1$, $0 < \gamma \le 1$; "
        r"$M = \lceil 1/\gamma \rceil - 1$.",
    ),
    claims=(
        Claim(
            name="capped stay capped",
            statement=r"A class with $p_t \ge \gamma$ has $p_{t+1} = \gamma$, also from a $p_0$ outside $C_\gamma$; "
            r"equal classes stay equal.",
        ),
        Claim(
            name="log-ratios",
            statement=r"Between two classes below the cap at $t + 1$, $r_t = \log(p_{t,i}/p_{t,j})$ grows by the "
            r"factor $1/T$: $r_{t+1} = r_t/T$.",
            relation=_sharpening,
        ),
        Claim(
            name="limit",
            statement=r"Put ties in one group. $p_t$ tends to $\gamma$ on the groups that together have fewer than "
            r"$1/\gamma$ classes, equal parts of the rest on the next group, and 0 on the others. So with $p_{(M)} > "
            r"p_{(M+1)} > p_{(M+2)}$ it is $\gamma$ on $M$ classes and $1 - M\gamma$ on one; if $1/\gamma$ is an "
            r"integer $p_{(M+1)} > p_{(M+2)}$ is enough.",
            function="theory.categorical.mode_seeking_limit",
        ),
        Claim(
            name="entropy",
            statement=r"Under these conditions $H(p_t) \to h_{min}(\gamma)$ of `support-floor`. For cross entropy, "
            r"$\gamma = 1$, it tends to 0 if the mode is unique.",
            function="theory.categorical.entropy_floor",
        ),
        Claim(
            name="least entropy with ties",
            statement=r"$H(p_t) \to h_{min}(\gamma)$ for every $p_0$. Counterexample: $(.3, .3, .2, .2)$, $\gamma = "
            r".9$ tends to $(.5, .5, 0, 0)$, with $H = \log 2 > h_{min}(.9) = .3251$.",
            status=Status.REFUTED,
        ),
        Claim(
            name="greedy decoding",
            statement=r"Greedy decoding with warm start does not get there: only the mode is drawn, $S\gamma < 1$, "
            r"and the model stops at `warm-degenerate`. Zipf(1), $K = 20$, $\gamma = .5$: $H = 2.0516$, but $h_{min} "
            r"= .6931$.",
            status=Status.NUMERICAL,
        ),
        Claim(
            name="top-p decoding",
            statement=r"Nor does top-p decoding. Zipf(1), $K = 20$, $\gamma = .5$, top-p .9: from the sixth "
            r"generation on the model is $(12, 6, 4, 3)/25$ on four classes, $H = 1.2425$. The cap never acts: cross "
            r"entropy ends there too.",
        ),
        Claim(
            name="what stops top-p decoding",
            statement=r"In this example too few drawn classes, $S\gamma < 1$, stop the model early. Counterexample: "
            r"$S\gamma \ge 2$ at every generation; it stops because the last class has more than $1 - .9$.",
            status=Status.REFUTED,
        ),
    ),
    status=Status.PROVED,
    source="this project",
    depends_on=("capped-projection", "warm-degenerate", "support-floor"),
)

_CAP: tuple[Theorem, ...] = (
    _CAPPED_PROJECTION,
    _WARM_DEGENERATE,
    _SUPPORT_FLOOR,
    _LITERAL_ANTICAP,
    _CAP_BIAS,
    _FLAT_GAIN,
    _TABULAR_LIMIT,
    _MODE_SEEKING_LIMIT,
)

THEOREMS: tuple[Theorem, ...] = (*_CAP, *_DRIFT)
