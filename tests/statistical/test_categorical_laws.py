"""The categorical recursion against its exact laws (slugs wright-fisher, tail-extinction, fresh-mix and others).

Each claim is an equivalence test with a margin of half of what the negative control changes; see `equivalence`.
"""

import math
import warnings

import numpy as np
import pytest
from equivalence import (
    assert_equivalent,
    check,
    check_counts,
    check_masses,
    mean_of,
    proportion_of,
    simulated,
)

import tce_theory as tce
from tce_theory.exact import TwoClassChain
from tce_theory.theory import categorical as theory
from tce_theory.theory import regimes

CE = tce.CrossEntropy()


# ------------------------------------------------------------------------------------------------- heterozygosity


@pytest.mark.parametrize(
    ("probs", "n", "t", "replicates", "sampler"),
    [
        ([0.3, 0.7], 20, 20, 60_000, "auto"),
        ([0.3, 0.7], 20, 20, 60_000, "points"),
        ([0.5, 0.5], 520, 100, 60_000, "auto"),  # drawn by conditional binomials
        (tce.Categorical.zipf(50).probs, 100, 50, 12_000, "auto"),  # label by label
        (tce.Categorical.zipf(50).probs, 400, 50, 16_000, "auto"),  # by Poisson numbers
        (tce.Categorical.zipf(50).probs, 100, 50, 12_000, "points"),
    ],
)
def test_heterozygosity_decay(probs, n, t, replicates, sampler):
    """A share (1 - 1/n)^t is left on average, however counts are drawn; control: n changed by 10 %."""
    model = tce.Categorical(probs)
    (left,) = simulated(model, CE, ["heterozygosity"], n=n, t=t, replicates=replicates, seed=n, sampler=sampler)
    check(
        mean_of(left / model.heterozygosity()), *(theory.heterozygosity_decay(t, size) for size in (n, round(1.1 * n)))
    )


@pytest.mark.parametrize("degree", [2, 3, 4])
def test_spectrum(degree):
    """Eigenvalue of degree k from the decay of its eigenfunction f_k, E f_k(q_t) = lambda_k^t f_k(q_0); two classes.

    With z = q (1 - q): f_2 = z; f_3 = z (1 - 2q), the one polynomial of degree 3 that is odd around 1/2 and vanishes
    at the ends; f_4 = z^2 - b z with b = (n - 1) lambda_2 / [n^2 (lambda_2 - lambda_4)], because counts have
    E z'^2 = lambda_4 z^2 + (n - 1)/n^2 E z'. Control: the eigenvalue changed by 4 %.
    """
    n, p, t = 12, 0.2, 3
    second, right = (theory.wright_fisher_eigenvalues(n, k) for k in (2, degree))

    def eigenfunction(q):
        z = q * (1 - q)
        return [z, z * (1 - 2 * q), z * z - (n - 1) * second / (n * n * (second - right or 1)) * z][degree - 2]

    q = two_class_frequency(p, *simulated(
        tce.Categorical([p, 1 - p]), CE, ["tv", "heterozygosity"], n=n, t=t, replicates=500_000, seed=40 + degree
    ))  # fmt: skip
    check(mean_of(eigenfunction(q) / eigenfunction(p)), right**t, (1.04 * right) ** t)


def two_class_frequency(p, tv, heterozygosity):
    """Frequency of class 1 from its distance from p and the heterozygosity, which says on which side of p it lies."""
    above, below = p + tv, p - tv
    is_above = np.abs(2 * above * (1 - above) - heterozygosity) < np.abs(2 * below * (1 - below) - heterozygosity)
    return np.where(is_above, above, below)


def test_fixation_probability():
    """Each class is the last one left with its initial probability; control: 10 % more."""
    probs, n = np.array([0.2, 0.3, 0.5]), 4
    tv, support = simulated(tce.Categorical(probs), CE, ["tv", "support"], n=n, t=60, replicates=110_000, seed=51)
    assert (support == 1).all()  # (1 - 1/n)^60 = 3e-8
    winner = np.abs(tv[:, None] - (1 - probs)).argmin(axis=1)
    for i, p in enumerate(probs):
        check(proportion_of(winner == i), p, 1.1 * p)


# ------------------------------------------------------------------------------------------------- two classes


def drawn_only(gamma):
    return tce.TCE(gamma, vacuous="drawn-only")


def absorption_masses(chain, horizon):
    """Probabilities of losing a class at generation 1, ..., horizon, and of losing none."""
    law, lost = chain.distribution(1), [0.0]
    for _ in range(horizon):
        lost.append(law[0] + law[chain.n])
        law = law @ chain.transition
    return np.append(np.diff(lost), 1 - lost[-1])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (TwoClassChain(20, 0.1), TwoClassChain(22, 0.1)),
        (TwoClassChain(10, 0.5), TwoClassChain(11, 0.5)),
        (TwoClassChain(22, 0.2, loss=drawn_only(0.95)), TwoClassChain(22, 0.2, loss=drawn_only(0.92))),
        (TwoClassChain(12, 0.3, loss=drawn_only(0.85)), TwoClassChain(12, 0.3, loss=drawn_only(0.83))),
    ],
    ids=["CE, p = 0.1", "CE", "TCE, gamma = 0.95", "TCE, gamma = 0.85"],
)
def test_absorption_time(right, wrong):
    """Generations until one of two classes is lost, drawn-only; control: n changed by 10 %, or gamma by 1 to 3 %."""
    horizon, replicates = 40, 80_000
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        run = tce.simulate(
            tce.Categorical([right.prob0, 1 - right.prob0]), right.loss, n_samples=right.n, generations=horizon,
            replicates=replicates, metrics=["support"], seed=right.n, n_jobs=2,
        )  # fmt: skip
    lost = run.events["fixation"]
    masses = [absorption_masses(chain, horizon) for chain in (right, wrong)]
    counts = np.bincount(np.where(lost < 0, horizon + 1, lost), minlength=horizon + 2)[1:]
    means = [mass @ np.minimum(np.arange(1, horizon + 2), horizon) for mass in masses]
    check(mean_of(np.where(lost < 0, horizon, lost)), *means)
    check_masses(counts, *masses)
    if masses[0][-1] < 1e-3:  # then the mean up to the horizon is the mean
        assert means[0] == pytest.approx(right.mean_absorption_time(), rel=1e-2)


@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize(("gamma", "wrong_gamma", "n", "t"), [(0.8, 0.84, 15, 12), (0.9, 0.96, 4, 40)])
def test_two_classes_under_a_warm_start(gamma, wrong_gamma, n, t, sampler):
    """The ergodic chain: its law after few generations, and its stationary one; control: gamma changed by 5 or 7 %."""
    p = 0.4
    right, wrong = (TwoClassChain(n, p, loss=tce.TCE(value)) for value in (gamma, wrong_gamma))
    tv, heterozygosity = simulated(
        tce.Categorical([p, 1 - p]), tce.TCE(gamma), ["tv", "heterozygosity"], n=n, t=t, replicates=75_000, seed=60 + t,
        sampler=sampler,
    )  # fmt: skip

    def law(chain):
        law = chain.stationary_distribution() if t == 40 else chain.distribution(t)
        return law[: n + 1]  # generation 0's model is within the cap, and not kept

    def mean_heterozygosity(chain):
        q = chain.model_probs[: n + 1]
        return law(chain) @ (2 * q * (1 - q))

    check(mean_of(heterozygosity), mean_heterozygosity(right), mean_heterozygosity(wrong))
    # all counts at which the model is at its cap are one cell
    q = two_class_frequency(p, tv, heterozygosity)
    ends = [math.ceil(n * (1 - gamma) - 1e-9), math.floor(n * gamma + 1e-9)]
    cells = np.clip(np.arange(n + 1), *ends)
    counts = np.bincount(np.clip(np.round(n * q).astype(int), *ends), minlength=n + 1)
    check_masses(counts, *(np.bincount(cells, law(chain), minlength=n + 1) for chain in (right, wrong)))


@pytest.mark.parametrize("gamma", [0.95, 0.96, 1.0])
def test_a_threshold_beyond_the_last_count_changes_nothing(gamma):
    """Drawn-only, TCE is CE for gamma >= 1 - 1/n, bit for bit; control: just below."""
    losses = CE, tce.TCE(gamma, vacuous="drawn-only"), tce.TCE(0.949, vacuous="drawn-only")
    with_ce, beyond, below = (
        simulated(tce.Categorical([0.3, 0.7]), loss, ["entropy"], n=20, t=12, replicates=500, seed=5, sampler="points")
        for loss in losses
    )
    assert with_ce[0].tobytes() == beyond[0].tobytes()
    assert with_ce[0].tobytes() != below[0].tobytes()


# ------------------------------------------------------------------------------------------------- tails


def expected_support(probs, n, t):
    """Expected number of classes that survive, exactly: each class against the rest is a chain of two classes."""
    total = 0.0
    for p in probs:
        total += 1 - TwoClassChain(n, float(p)).distribution(t)[0]
    return total


@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("t", [1, 5, 20])
def test_surviving_types(t, sampler):
    """Multinomial sampling against the exact chain of each class, of which the branching process is a lower bound.

    Control: 3 % more classes. The bound itself is too low to pass at t = 20.
    """
    n, model = 200, tce.Categorical.zipf(50)
    (support,) = simulated(model, CE, ["support"], n=n, t=t, replicates=12_000, seed=70 + t, sampler=sampler)
    right = expected_support(model.probs, n, t)
    check(mean_of(support), right, 1.03 * right)
    bound = theory.expected_surviving_types(model.probs, n, t)
    assert bound < right
    assert bound > 0.97 * right


@pytest.mark.parametrize(
    ("size", "n", "t", "replicates"),
    [(10**4, 10**5, 10, 60), pytest.param(10**5, 10**7, 100, 20, marks=pytest.mark.slow)],
)
def test_surviving_types_of_a_large_vocabulary(size, n, t, replicates):
    """Nearly all of Zipf's classes are rare, for which the branching process is sharp; control: t changed by 10 %."""
    model = tce.Categorical.zipf(size)
    (support,) = simulated(model, CE, ["support"], n=n, t=t, replicates=replicates, seed=81)
    right, wrong = (theory.expected_surviving_types(model.probs, n, time) for time in (t, round(1.1 * t)))
    check(mean_of(support), right, wrong)


# ------------------------------------------------------------------------------------------------- fresh data


@pytest.mark.parametrize(
    ("probs", "n", "fraction", "t", "replicates", "sampler"),
    [
        ([0.3, 0.7], 20, 0.05, 1, 30_000, "auto"),
        ([0.3, 0.7], 20, 0.05, 5, 50_000, "auto"),
        ([0.3, 0.7], 20, 0.05, 30, 50_000, "auto"),
        ([0.3, 0.7], 20, 0.05, 30, 50_000, "points"),
        (tce.Categorical.zipf(20).probs, 200, 0.005, 60, 6_000, "auto"),
        (tce.Categorical.zipf(20).probs, 40, 0.02, 60, 14_000, "auto"),
    ],
)
def test_fresh_mix(probs, n, fraction, t, replicates, sampler):
    """Transient and limit of heterozygosity; control: the share of fresh data changed by a fifth.

    Where that moves it by less than 4 % (the first generation does not depend on it) the control is 4 %.
    """
    model = tce.Categorical(probs)
    initial = model.heterozygosity()
    (left,) = simulated(
        model, CE, ["heterozygosity"], n=n, t=t, replicates=replicates, seed=90 + t, sampler=sampler,
        regime=tce.FreshMix(fraction),
    )  # fmt: skip
    right, wrong = (regimes.fresh_mix_heterozygosity(n, share, initial, t=t) for share in (fraction, 1.2 * fraction))
    outcome = check(mean_of(left), right, wrong if abs(wrong - right) > 0.04 * right else 1.04 * right)
    if t == 30:
        limit = regimes.fresh_mix_heterozygosity(n, fraction, initial)
        assert_equivalent(mean_of(left), limit, margin=outcome.margin)


def test_fresh_mix_of_two_classes_has_the_exact_law():
    """The whole law, against the chain with fresh data; control: the share of fresh data changed by a quarter."""
    n, p, fraction, t = 30, 0.3, 0.05, 25
    q = two_class_frequency(p, *simulated(
        tce.Categorical([p, 1 - p]), CE, ["tv", "heterozygosity"], n=n, t=t, replicates=80_000, seed=99,
        regime=tce.FreshMix(fraction),
    ))  # fmt: skip
    counts = np.bincount(np.round(n * q).astype(int), minlength=n + 1)
    masses = [TwoClassChain(n, p, fraction=share).distribution(t)[: n + 1] for share in (fraction, 1.25 * fraction)]
    check_masses(counts, *masses)
    check_counts(counts, *masses)
