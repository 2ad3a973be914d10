"""What networks write, and what sources stream, against exact laws.

Each claim is an equivalence test with a margin of half of what the negative control changes; see `equivalence`.
"""

import itertools

import numpy as np
import pytest
from equivalence import check_counts

import tce_theory as tce
from tce_theory.models.categorical import Categorical
from tce_theory.models.markov import MarkovChain
from tce_theory.neural.generation import generate
from tce_theory.neural.network import Architecture
from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource

LENGTH = 3
DECODINGS = [None, tce.Temperature(0.7), tce.TopK(2), tce.TopP(0.8)]


def law_of_texts(architecture, theta, prompt, decoding):
    """Probabilities of all continuations, in lexicographic order."""
    law = np.empty(architecture.vocabulary**LENGTH)
    for i, text in enumerate(itertools.product(range(architecture.vocabulary), repeat=LENGTH)):
        law[i] = 1.0
        for at, token in enumerate(text):
            context = np.array([(*prompt, *text[:at])[-architecture.context :]])
            probs = np.exp(architecture.log_probs(theta, context))[0]
            law[i] *= Categorical(probs).decoded(decoding).probs[token]
    return law


@pytest.mark.parametrize("decoding", DECODINGS, ids=repr)
@pytest.mark.parametrize(
    "architecture", [Architecture(3, 2, None), Architecture(4, 2, 3, (5,))], ids=["tabular", "network"]
)
def test_texts_have_the_law_of_the_network(architecture, decoding):
    """The control is a network with logits 10 % larger."""
    theta = 0.7 * np.random.default_rng(4).standard_normal(architecture.n_parameters)
    prompt, other = (1, 0), theta.copy()
    architecture.head(other)[:] *= 1.1
    right, wrong = (law_of_texts(architecture, parameters, prompt, decoding) for parameters in (theta, other))
    texts = generate(architecture, theta, np.tile(prompt, (500_000, 1)), LENGTH, decoding, np.random.default_rng(5))
    codes = texts @ architecture.vocabulary ** np.arange(LENGTH - 1, -1, -1)
    possible = right > 0
    counts = np.bincount(codes, minlength=right.size)
    assert counts[~possible].sum() == 0
    check_counts(counts[possible], right[possible], wrong[possible])


def test_streams_of_a_chain_have_its_law():
    """The first so many successors of a context are independent; the control moves 5 % of a row to the next one."""
    matrix = np.random.default_rng(4).dirichlet(np.full(3, 2.0), 9)
    stream = MarkovSource(MarkovChain(matrix, order=2, length=5)).stream(1_200_000, np.random.default_rng(5))
    contexts = 3 * stream[:-2] + stream[1:-1]
    for context in (0, 5):
        successors = stream[2:][contexts == context][:40_000]
        assert successors.size == 40_000
        right = matrix[context]
        check_counts(np.bincount(successors, minlength=3), right, 0.95 * right + 0.05 * np.roll(right, 1))


def test_sentences_of_a_corpus_have_its_law():
    """The control of facts is that the first is stated 10 % more often, that of filler an entropy 3 % smaller."""
    corpus, fewer = (KnowledgeCorpus(facts=8, filler=2, filler_words=6, filler_entropy=h) for h in (1.5, 1.455))
    n, parts = 200_000, 2
    sentences = corpus.stream(5 * n, np.random.default_rng(5), (1, parts)).reshape(n, 5)
    facts = 3 * sentences[:, 0] + sentences[:, 1] - 3
    counts = np.bincount(facts, minlength=8)[corpus.facts.part_of(parts) == 1]
    more = np.array([1.1, 1.0, 1.0, 1.0])
    check_counts(counts, np.full(4, 1 / 4), more / more.sum())
    words = sentences[:, 3:].ravel() - (corpus.vocabulary - 6)
    check_counts(np.bincount(words, minlength=6), corpus.filler_law, fewer.filler_law)
