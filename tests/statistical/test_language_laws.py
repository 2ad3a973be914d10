"""The tabular limit of language models: their recursion has the law of that of Markov chains.

The error budget is that of the suite (see `equivalence`), in which each claim counts. The control of each claim has
another constant: a fifth more data, a gamma that is 5 per cent larger, an exponent that is 10 per cent larger; margins
are half of the difference.
"""

import numpy as np
import pytest
from equivalence import check, difference_of, mean_of

import tce_theory as tce
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.sources import MarkovSource
from tce_theory.neural.training import Training

ROWS = np.array([[0.6, 0.3, 0.1], [0.2, 0.5, 0.3], [0.3, 0.2, 0.5]])
LENGTH, N, TIME, GAMMA = 40, 400, 4, 0.55
KL, ENTROPY = "kl_rate_to_origin", "entropy_rate"
CHAIN = tce.MarkovChain(ROWS.copy(), length=LENGTH)
TABLE = NeuralLanguageModel(
    MarkovSource(CHAIN), context=1, embedding=None, hidden=(), length=LENGTH, prompts="real", parameters=np.log(ROWS),
    training=Training(engine="exact"),
)  # fmt: skip


def ends(model, loss, metric, *, replicates, seed, n=N, **options):
    run = tce.simulate(
        model, loss, n_samples=n, generations=TIME, replicates=replicates, seed=seed, metrics=[metric], n_jobs=2,
        **options,
    )  # fmt: skip
    return mean_of(run.metrics[metric][:, -1])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "loss", "control", "n", "options"),
    [
        (KL, tce.CrossEntropy(), tce.CrossEntropy(), N * 6 // 5, {}),
        (KL, tce.CrossEntropy(), tce.CrossEntropy(), N * 6 // 5, {"regime": tce.FreshMix(0.3)}),
        (KL, tce.FocalLoss(2.0), tce.FocalLoss(2.2), N, {}),
        (ENTROPY, tce.TCE(GAMMA), tce.TCE(1.05 * GAMMA), N, {}),
        (
            ENTROPY,
            tce.TCE(GAMMA),
            tce.TCE(1.05 * GAMMA),
            N,
            {"regime": tce.Staged(TIME), "decoding": tce.Temperature(0.8)},
        ),
    ],
    ids=["CE", "CE, fresh", "focal", "TCE", "TCE, staged, temperature"],
)
def test_a_table_of_logits_is_a_markov_chain(metric, loss, control, n, options):
    """Both start from the truth; prompts are real contexts, 40 tokens apart, of a chain that forgets within a few."""
    ours = ends(TABLE, loss, metric, replicates=6000, seed=1, **options)
    exact = ends(CHAIN, loss, metric, replicates=20_000, seed=2, **options)
    other = ends(CHAIN, control, metric, replicates=20_000, seed=3, n=n, **options)
    check(difference_of(ours, exact), 0.0, other.value - exact.value)
