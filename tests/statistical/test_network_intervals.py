"""Fidelity intervals of tabular networks that gradient descent trains, against exact laws and the analytic simulator.

Slug: tabular-limit. Times are in whole generations, up to a horizon. Margins are at most half of what the negative
control changes: one point more of twelve (8 %), a threshold γ 5 % higher; for text five tokens more of 16.
For rows they are at most 6 % of the mean, for text 15 %.
"""

import warnings

import numpy as np
import pytest
from equivalence import assert_different, assert_equivalent, check, difference_of, mean_of

import tce_theory as tce
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.sources import MarkovSource
from tce_theory.neural.training import Training
from tce_theory.verification.checks._networks import Passage, intervals_of_networks

CE, TCE, FOCAL = tce.CrossEntropy(), tce.TCE(0.8), tce.FocalLoss(1.0)

# --- independent rows of one table, against the exact chain of two classes

PASSAGES = {
    "CE": (Passage(CE, 12, 0.5, "entropy", 0.36, 40), {"n": 13}, 4.0, 40),
    "TCE": (Passage(TCE, 20, 0.7, "tv", 0.28, 40), {"loss": tce.TCE(0.84)}, 2.0, 50),
    "focal": (Passage(FOCAL, 12, 0.5, "entropy", 0.62, 40), {"n": 13}, 4.0, 40),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PASSAGES)
def test_rows_of_a_table_have_the_exact_mean_interval(name):
    passage, change, rate, steps = PASSAGES[name]
    training = Training(optimiser="sgd", rate=rate, final_rate=0.0, epochs=steps, engine="counts")
    times = intervals_of_networks(passage, np.random.default_rng(11), 30_000, training)
    right, wrong = passage.exact(), passage._replace(**change).exact()
    margin = min(abs(wrong - right) / 2, 0.06 * right)
    assert_equivalent(mean_of(times), right, margin=margin)
    assert_different(mean_of(times), wrong, margin=margin)


def test_rows_of_a_table_in_short():
    passage = Passage(CE, 12, 0.5, "entropy", 0.36, 20)
    training = Training(optimiser="sgd", rate=4.0, final_rate=0.0, epochs=40, engine="counts")
    times = intervals_of_networks(passage, np.random.default_rng(12), 2000, training)
    check(mean_of(times), passage.exact(), passage._replace(n=16).exact())


# --- text written by a table, against the simulator of Markov chains

CHAIN = tce.MarkovChain([[0.8, 0.2], [0.3, 0.7]])
TOKENS, MORE, HORIZON = 16, 21, 12


def intervals(model, loss, tokens, replicates, seed):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        run = tce.simulate(
            model, loss, n_samples=tokens, generations=HORIZON, replicates=replicates, seed=seed, n_jobs=2,
            metrics=["kl_rate_from_origin"],
        )  # fmt: skip
    return mean_of(run.fidelity_interval("kl_rate_from_origin", above=0.2, interpolate=False).times)


EXACT = Training(engine="exact")
LARGE = Training(optimiser="sgd", rate=8.0, final_rate=0.0, epochs=200, engine="counts")
# a large step jumps over the cap, beyond which nothing pulls it back: intervals would be 7 % shorter than exact ones
SMALL = Training(optimiser="sgd", rate=1.0, final_rate=0.0, epochs=600, engine="counts")


def of_network(loss, training):
    """Mean interval of tables that write `TOKENS` tokens a generation, trained by gradient descent or exactly."""
    model = NeuralLanguageModel(
        MarkovSource(CHAIN), context=1, embedding=None, hidden=(), training=training, length=TOKENS, prompts="real"
    )
    return intervals(model, loss, TOKENS, 3000, seed=21)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("loss", "training"),
    [
        pytest.param(CE, EXACT, id="CE, exact fits"),
        pytest.param(CE, LARGE, id="CE"),
        pytest.param(TCE, SMALL, id="TCE"),
        pytest.param(FOCAL, LARGE, id="focal"),
    ],
)
def test_text_of_a_table_has_the_interval_of_a_markov_chain(loss, training):
    right, wrong = (intervals(CHAIN, loss, tokens, 30_000, seed=22) for tokens in (TOKENS, MORE))
    margin = min(abs(wrong.value - right.value) / 2, 0.15 * right.value)
    found = of_network(loss, training)
    assert_equivalent(difference_of(found, right), 0.0, margin=margin)
    assert_different(difference_of(found, wrong), 0.0, margin=margin)
