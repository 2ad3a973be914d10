"""The recursion of Markov chains: against the generic one, exact laws of small cases, and the ledger.

Each claim is an equivalence test with a margin of half of what the negative control changes; see `equivalence`.
"""

import warnings

import numpy as np
import pytest
from equivalence import (
    assert_different,
    assert_equivalent,
    check,
    check_masses,
    difference_of,
    mean_of,
    simulated,
)
from scipy import stats

import tce_theory as tce
from tce_theory.exact import TwoClassChain
from tce_theory.models.base import Control
from tce_theory.models.generic import GenericRecursion
from tce_theory.models.markov import MarkovChain
from tce_theory.recursion import block_generator

CE = tce.CrossEntropy()
MATRIX = [[0.7, 0.2, 0.1], [0.3, 0.3, 0.4], [0.15, 0.25, 0.6]]
N, T = 24, 4


def of_kernel(loss, regime, decoding, length, replicates, seed, n=N):
    return simulated(
        MarkovChain(MATRIX, length=length), loss, ["entropy_rate", "support", "tv"], n=n, t=T, replicates=replicates,
        seed=seed, regime=regime, decoding=decoding,
    )  # fmt: skip


def of_reference(loss, regime, decoding, length, replicates, seed, n=N):
    """The generic recursion: points by `sample`, fits by `fit`, in Python."""
    model = MarkovChain(MATRIX, length=length)
    recursion = GenericRecursion(model, loss, regime.supply(np.full(T, n)), decoding)
    control = Control(np.zeros(1, np.uint8), np.zeros(1, np.int64), 0)
    names = ["entropy_rate", "support", "tv"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        block = recursion.run_block(block_generator(seed, 0), replicates, names, {}, control)
    return [block.metrics[name][:, T] for name in names]


# sequences of one token make a fresh sequence a fresh token, as in the generic recursion
CASES = {
    "replace": (tce.Replace(), None, 8),
    "fresh": (tce.FreshMix(0.3), None, 1),
    "accumulate": (tce.Accumulate(), None, 8),
    "subsample": (tce.AccumulateSubsample(), None, 8),
    "staged": (tce.Staged(2, tce.Replace()), None, 8),
    "replace, temperature": (tce.Replace(), tce.Temperature(0.5), 8),
    "fresh, top-k": (tce.FreshMix(0.3), tce.TopK(1), 1),
    "accumulate, top-p": (tce.Accumulate(), tce.TopP(0.8), 8),
    "subsample, temperature": (tce.AccumulateSubsample(), tce.Temperature(0.5), 8),
    "staged, top-k": (tce.Staged(2, tce.Replace()), tce.TopK(2), 8),
}


def compared_with_the_reference(case, loss, replicates, factor, of_kernels=20_000):
    """Means of entropy rate, support and total variation; control: n times a factor, or no decoding where there is."""
    regime, decoding, length = CASES[case]
    size, replicates = (round(factor * N), replicates) if decoding is None else (N, replicates)
    reference = of_reference(loss, regime, decoding, length, replicates, seed=1)
    ours = of_kernel(loss, regime, decoding, length, of_kernels, seed=2)
    wrong = of_kernel(loss, regime, None, length, of_kernels, seed=3, n=size)
    seen = 0
    for own, other, changed in zip(ours, reference, wrong, strict=True):
        margin = abs(own.mean() - changed.mean()) / 2
        right, control = difference_of(mean_of(own), mean_of(other)), difference_of(mean_of(changed), mean_of(other))
        if right.reach(2e-5) < margin:  # else this metric hardly tells them apart
            assert_equivalent(right, 0.0, margin=margin)
            assert_different(control, 0.0, margin=margin)
            seen += 1
    assert seen > 0


@pytest.mark.slow
@pytest.mark.parametrize("loss", [CE, tce.TCE(0.6)], ids=str)
@pytest.mark.parametrize("case", CASES)
def test_the_kernel_has_the_law_of_the_generic_recursion(case, loss):
    compared_with_the_reference(case, loss, 1000, 5 / 3)


def test_the_kernel_has_the_law_of_the_generic_recursion_in_short():
    compared_with_the_reference("replace", CE, 250, 2, of_kernels=5000)


# ------------------------------------------------------------------------------------------------- one row


@pytest.mark.slow
@pytest.mark.parametrize(("loss", "wrong_loss"), [(CE, None), (tce.TCE(0.85), tce.TCE(0.8))], ids=["CE", "TCE"])
def test_sequences_of_one_token_make_every_row_categorical(loss, wrong_loss):
    """With prompts for a context alone its row is the chain of two classes, exactly; control: n, or gamma, changed."""
    n, p, t = 15, 0.4, 6
    model = MarkovChain([[p, 1 - p], [0.5, 0.5]], start=[1, 0], length=1)
    (tv,) = simulated(model, loss, ["tv"], n=n, t=t, replicates=40_000, seed=5)
    right = TwoClassChain(n, p, loss=loss)
    wrong = TwoClassChain(n + 4, p) if wrong_loss is None else TwoClassChain(n, p, loss=wrong_loss)
    means = [chain.distribution(t) @ np.abs(chain.model_probs - p) for chain in (right, wrong)]
    check(mean_of(tv), *means)


@pytest.mark.slow
def test_visits_of_a_row_are_binomial_where_every_token_has_a_prompt():
    """Distance of a row that was seen N times, N binomial; control: prompts of .9 and .1 rather than even."""
    n = 12

    def distance(size):  # E |k/size - 1/2|; a row that is not seen stays as it is
        k = np.arange(size + 1)
        return stats.binom.pmf(k, size, 0.5) @ np.abs(k / size - 0.5) if size else 0.0

    distances = np.array([distance(size) for size in range(n + 1)])
    masses = [
        sum(stats.binom.pmf(np.arange(n + 1), n, share) @ distances / 2 for share in shares)
        for shares in ((0.5, 0.5), (0.9, 0.1))
    ]
    model = MarkovChain([[0.5, 0.5], [0.5, 0.5]], length=1)
    (tv,) = simulated(model, CE, ["tv"], n=n, t=1, replicates=60_000, seed=6)
    check(mean_of(tv), *masses)


def test_an_absorbing_class_is_reached_with_its_probability():
    """A sequence of 3 tokens from context 0 ends in context 1 with probability 1 - .5^3; control: 1 - .5^2."""
    model = MarkovChain([[0.5, 0.5], [0.0, 1.0]], start=[1, 0], length=3)
    sample = model.sample(3 * 20_000, seed=10).reshape(20_000, 3, 2)
    check(mean_of(sample[:, -1, 1]), 1 - 0.5**3, 1 - 0.5**2)


def test_law_of_transition_counts_of_a_sequence():
    """How often state 1 follows state 1 in a sequence of 6 tokens, by enumeration; control: another row."""
    p, length, laws = np.array([[0.7, 0.3], [0.2, 0.8]]), 6, []
    for matrix in (p, np.array([[0.7, 0.3], [0.3, 0.7]])):
        law = np.zeros((2, length + 1))
        law[:, 0] = 0.4, 0.6
        for _ in range(length):
            new = np.zeros_like(law)
            for here in range(2):
                for there in range(2):
                    moved = law[here] * matrix[here, there]
                    new[there, 1:] += moved[:-1] if here == there == 1 else 0
                    new[there] += 0 if here == there == 1 else moved
            law = new
        laws.append(law.sum(axis=0))
    model = MarkovChain(p, start=[0.4, 0.6], length=length)
    sample = model.sample(length * 40_000, seed=8).reshape(40_000, length, 2)
    check_masses(np.bincount((sample == 1).all(axis=2).sum(axis=1), minlength=length + 1), *laws)


def test_whole_sequences_are_fresh():
    """Under FreshMix the fresh sequences of a generation are all or nothing: one sequence of n tokens, two models.

    Generation 1 always has the symbol 0 alone (greedy decoding); a fresh sequence brings 1 with probability
    1 - .5^20. Control: the share changed by 15 %.
    """
    model = MarkovChain([[0.5, 0.5], [0.5, 0.5]], start=[1, 0], length=20)
    (support,) = simulated(
        model, CE, ["distinct_ngrams"], n=20, t=1, replicates=22_000, seed=9, regime=tce.FreshMix(0.4),
        decoding=tce.TopK(1),
    )  # fmt: skip
    check(mean_of(support > 1), 0.4, 0.46)


# ------------------------------------------------------------------------------------------------- the ledger's map


@pytest.mark.slow
@pytest.mark.parametrize(
    ("likely", "gamma", "metric", "low", "high"),
    [
        (0.9, 1.03 * 0.9, "kl_rate_from_origin", 3.0, 5.0),
        (0.9, 1.05 * 0.9, "kl_rate_from_origin", 3.0, 5.0),
        (0.99, 1.003 * 0.99, "kl_rate_from_origin", 10.0, np.inf),  # cross entropy loses a transition at once
        (0.99, 1.003 * 0.99, "tv", 0.0, 0.2),
        (0.99, 1.003 * 0.99, "kl_rate_to_origin", 0.0, 0.2),
    ],
)
def test_where_a_cap_helps_a_chain_and_where_it_harms(likely, gamma, metric, low, high):
    """Extension factors at a threshold of .05, numerical: ten rows with two successors, n = 1,000.

    A cap above the row's maximum keeps rare successors, so that KL(p_0‖p_t) stays finite; rows then wander, and what
    they forget shows in the other distances, which cross entropy keeps small by losing a rare successor for good.
    """
    matrix, row = np.zeros((10, 10)), np.arange(10)
    matrix[row, (row + 1) % 10], matrix[row, (row + 3) % 10] = likely, 1 - likely
    intervals = []
    for seed, loss in enumerate((CE, tce.TCE(gamma))):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tce.StatisticalWarning)
            run = tce.simulate(
                MarkovChain(matrix), loss, n_samples=1000, generations=250, replicates=300, metrics=[metric],
                seed=31 + seed, n_jobs=2,
            )  # fmt: skip
            intervals.append(run.fidelity_interval(metric, above=0.05))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        factor = tce.extension_factor(*intervals)
    assert low < factor.low
    assert factor.high < high
