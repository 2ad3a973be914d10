"""Sources of language models: laws against enumeration, facts and their tests, parts of the data, bad input."""

import itertools
import math
from functools import lru_cache

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.markov import MarkovChain
from tce_theory.models.text import standard_text
from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource, TextSource

POEM = "the cat sat on the mat; the dog sat on the cat, and the mat sat on a log. the end\n"
CORPORA = {
    "default": {},
    "no filler": {"filler": 0},
    "one relation": {"facts": 7, "relations": 1, "filler": 1},
    "uneven": {"facts": 11, "relations": 4, "objects": 5, "filler": 3, "filler_words": 4, "filler_entropy": 1.0},
    "fixed filler": {"filler_entropy": 0.0},
    "uniform filler": {"filler_words": 8, "filler_entropy": math.log(8)},
}
EVERY_CORPUS = pytest.mark.parametrize("options", CORPORA.values(), ids=CORPORA)


def rng(seed=1):
    return np.random.default_rng(seed)


@lru_cache
def tables(chain):
    """Probabilities of the contexts to start with, and of the n-grams."""
    starts = chain.ngrams[chain.frame.offsets[:-1], :-1].tolist()
    contexts = {tuple(context): p for context, p in zip(starts, chain.start, strict=True)}
    return contexts, {tuple(ngram): p for ngram, p in zip(chain.ngrams.tolist(), chain.probs, strict=True)}


def probability(chain, tokens):
    """Probability of tokens as the beginning of a stream, by the chain rule."""
    contexts, successors = tables(chain)
    mass = contexts.get(tokens[: chain.order], 0.0)
    for at in range(len(tokens) - chain.order):
        mass *= successors.get(tokens[at : at + chain.order + 1], 0.0)
    return mass


# ------------------------------------------------------------------------------------------------- chains


@pytest.mark.parametrize("start", [None, [0.2, 0.5, 0.3]])
@pytest.mark.parametrize(("order", "higher"), [(1, 2), (1, 3), (2, 3)])
def test_a_chain_of_higher_order_has_the_same_law(order, higher, start):
    matrix = rng().dirichlet(np.ones(3), 3**order)
    matrix[0] = [0.0, 1.0, 0.0]
    law = MarkovChain(matrix, order=order, length=7, start=start if order == 1 else None)
    lifted = MarkovSource(law).chain(higher)
    assert (lifted.order, lifted.size, lifted.n_contexts, lifted.length) == (higher, 3, 3**higher, 7)
    now = MarkovChain(
        matrix, order=order, start=MarkovChain(matrix, order=order, start=law.start, length=8192).occupation()
    )
    for tokens in itertools.product(range(3), repeat=higher + 2):
        assert probability(lifted, tokens) == pytest.approx(probability(now, tokens), abs=1e-12)
    np.testing.assert_array_equal(lifted.ngrams, MarkovChain(np.full((3**higher, 3), 1 / 3), order=higher).ngrams)
    if start is None:
        np.testing.assert_allclose(lifted.occupation(), lifted.start, atol=1e-14)
        assert lifted.entropy_rate() == pytest.approx(law.entropy_rate(), rel=1e-13)


def test_a_chain_of_its_own_order_is_itself_and_one_of_lower_order_is_none():
    law = MarkovChain(rng().dirichlet(np.ones(2), 4), order=2)
    source = MarkovSource(law)
    assert source.chain(2) is law
    assert source.chain(1) is None
    assert source.chain(0) is None
    assert source.chain(40) is None  # 2^40 contexts
    assert source.chain(80) is None  # no number for a context


def test_a_sparse_chain_keeps_to_the_ngrams_it_has():
    source = MarkovSource(MarkovChain.from_text("to be or not to be that is the question to be"))
    lifted = source.chain(3)
    assert lifted.labels == source.labels
    assert lifted.entropy_rate() == pytest.approx(source.entropy, rel=1e-13)
    assert lifted.start.sum() == pytest.approx(1, rel=1e-14)
    assert {tuple(ngram[:2]) for ngram in lifted.ngrams.tolist()} == set(map(tuple, source.law.ngrams.tolist()))


def test_streams_of_a_chain():
    cycle = MarkovSource(MarkovChain([[0, 1, 0], [0, 0, 1], [1, 0, 0]], length=2, labels=["a", "b", "c"]))
    stream = cycle.stream(50, rng())
    assert stream.dtype == np.int64
    np.testing.assert_array_equal(np.diff(stream) % 3, 1)  # never begun anew
    np.testing.assert_array_equal(cycle.stream(50, rng()), stream)
    np.testing.assert_array_equal(cycle.stream(1, rng()), stream[:1])
    np.testing.assert_array_equal(cycle.held_out, cycle.held_out)
    assert cycle.held_out.size >= 1000
    assert not cycle.held_out.flags.writeable
    assert (cycle.labels, cycle.vocabulary, cycle.facts, cycle.entropy) == (("a", "b", "c"), 3, None, 0.0)
    assert MarkovSource(MarkovChain(np.eye(2), start=[0.5, 0.5])).labels == ("0", "1")


def test_a_stream_begins_with_a_context_from_start():
    law = MarkovChain(np.full((4, 2), 0.5), order=2, start=[0, 0, 1, 0])
    assert all(MarkovSource(law).stream(2, rng(seed)).tolist() == [1, 0] for seed in range(20))


@pytest.mark.parametrize(
    ("matrix", "start", "expected"),
    [
        ([[0.9, 0.1], [0.05, 0.95]], [1, 0], [1 / 3, 2 / 3]),
        ([[0, 1], [1, 0]], [1, 0], [0.5, 0.5]),
        ([[1, 0], [0, 1]], [0.25, 0.75], [0.25, 0.75]),
    ],
    ids=["forgets", "periodic", "reducible"],
)
def test_the_law_of_a_chain_is_that_of_its_streams_and_not_of_how_they_begin(matrix, start, expected):
    source = MarkovSource(MarkovChain(np.array(matrix, float), start=start, length=3))
    assert source.chain(1).start == pytest.approx(expected, abs=1e-3)
    two = source.chain(2)
    assert two.start.reshape(2, 2).sum(axis=1) == pytest.approx(expected, abs=1e-3)
    rows = np.array(matrix)
    entropy = -(np.array(expected) @ np.where(rows > 0, rows * np.log(np.maximum(rows, 1e-9)), 0)).sum()
    assert source.entropy == pytest.approx(entropy, abs=1e-3)
    assert (two.length, two.entropy_rate()) == (3, pytest.approx(entropy, abs=1e-3))


# ------------------------------------------------------------------------------------------------- facts


@EVERY_CORPUS
def test_a_corpus_is_the_chain_that_it_says(options):
    """Exact: what its sentences state, its entropy, and that of the chain; every stream has probability above 0."""
    corpus = KnowledgeCorpus(**options)
    order = max(2, corpus.filler)
    chain = corpus.chain(order)
    assert corpus.chain(order - 1) is None
    assert chain.entropy_rate() == pytest.approx(corpus.entropy, rel=1e-12)
    assert chain.start.sum() == pytest.approx(1, rel=1e-13)
    np.testing.assert_allclose(np.add.reduceat(chain.probs, chain.frame.offsets[:-1]), 1, rtol=1e-13)
    np.testing.assert_allclose(chain.occupation(), chain.start, atol=1e-14)
    assert chain._counts(corpus.stream(2000, rng())).sum() == 2000 - order
    higher = corpus.chain(order + 1)
    assert higher.entropy_rate() == pytest.approx(corpus.entropy, rel=1e-12)
    told = {ngram[-3:]: p for ngram, p in tables(higher)[1].items()}
    subjects = [corpus.labels.index(f"subject{1 + f // corpus.relations}") for f in range(corpus.n_facts)]
    relations = [corpus.labels.index(f"relation{1 + f % corpus.relations}") for f in range(corpus.n_facts)]
    assert all(told[fact] == 1.0 for fact in zip(subjects, relations, corpus.facts.true.tolist(), strict=True))


def test_sentences():
    corpus = KnowledgeCorpus(facts=9, relations=3, objects=4, filler=2, filler_words=5, filler_entropy=1.5)
    assert corpus.vocabulary == 3 + 3 + 4 + 5
    sentences = corpus.stream(5 * 400, rng()).reshape(400, 5)
    kinds = [{corpus.labels[token].rstrip("0123456789") for token in column} for column in sentences.T]
    assert kinds == [{"subject"}, {"relation"}, {"object"}, {"word"}, {"word"}]
    stated = sentences[:, 0] * 3 + sentences[:, 1] - 3
    np.testing.assert_array_equal(sentences[:, 2], corpus.facts.true[stated])
    assert set(stated.tolist()) == set(range(9))
    np.testing.assert_array_equal(corpus.stream(1998, rng()), sentences.ravel()[:1998])
    assert corpus.tokens(7.5) == 338


def test_parts_of_a_corpus_have_facts_of_their_own():
    corpus = KnowledgeCorpus(facts=20)
    parts = corpus.facts.part_of(6)
    assert np.bincount(parts).tolist() in ([4, 3, 3, 4, 3, 3], [3, 3, 4, 3, 3, 4])
    for i in range(6):
        sentences = corpus.stream(2000, rng(i), (i, 6)).reshape(-1, 5)
        stated = sentences[:, 0] * 3 + sentences[:, 1] - 7
        assert set(stated.tolist()) == set(np.flatnonzero(parts == i).tolist())


@EVERY_CORPUS
def test_false_objects_are_objects_and_false(options):
    corpus = KnowledgeCorpus(**options)
    objects = {number for number, label in enumerate(corpus.labels) if label.startswith("object")}
    assert set(corpus.facts.true.tolist()) | set(corpus.facts.false.tolist()) <= objects
    assert (corpus.facts.true != corpus.facts.false).all()


def test_objects_are_drawn_uniformly_from_the_seed():
    corpora = [KnowledgeCorpus(facts=600, objects=3, seed=seed) for seed in (1, 1, 2)]
    pairs = [np.stack([corpus.facts.true, corpus.facts.false]) for corpus in corpora]
    np.testing.assert_array_equal(pairs[0], pairs[1])
    assert (pairs[0] != pairs[2]).any(axis=1).all()
    _, counts = np.unique(pairs[0], axis=1, return_counts=True)
    assert counts.size == 6  # every pair of different objects, 100 times on average
    assert counts.min() > 60
    assert counts.max() < 140


@pytest.mark.parametrize("context", [2, 3, 4, 7, 13])
def test_contexts_of_facts_are_real_and_end_before_the_object(context):
    corpus = KnowledgeCorpus(facts=12, filler=2)
    contexts = corpus.facts.contexts(context)
    assert contexts.shape == (12, 1 if context == 2 else 4, context)
    np.testing.assert_array_equal(contexts[..., -2] * 3 + contexts[..., -1] - 4, np.arange(12)[:, None].repeat(
        contexts.shape[1], 1
    ))  # fmt: skip
    chain = corpus.chain(2)
    windows = np.concatenate([contexts, np.broadcast_to(corpus.facts.true[:, None, None], (*contexts.shape[:2], 1))], 2)
    for window in windows.reshape(-1, context + 1):
        assert probability(chain, tuple(window.tolist())) > 0
    np.testing.assert_array_equal(corpus.facts.contexts(context), contexts)
    if context > 3:
        assert np.unique(contexts[..., :-2].reshape(-1, context - 2), axis=0).shape[0] > 12


def test_a_table_that_knows_the_corpus_passes_the_test_of_facts():
    corpus = KnowledgeCorpus(facts=6, relations=2, objects=3, filler=1, filler_words=2, filler_entropy=0.5)
    chain = corpus.chain(3)
    _, law = tables(chain)
    for contexts, true, false in zip(corpus.facts.contexts(3), corpus.facts.true, corpus.facts.false, strict=True):
        for context in contexts.tolist():
            assert law[*context, int(true)] > law.get((*context, int(false)), 0.0)


@pytest.mark.parametrize("entropy", [0.0, 1e-6, 0.3, 2.0, 2.9, math.log(20)])
def test_filler_has_the_entropy_that_was_asked_for(entropy):
    law = KnowledgeCorpus(filler_entropy=entropy).filler_law
    found = -(law[law > 0] * np.log(law[law > 0])).sum()
    assert law.sum() == pytest.approx(1, rel=1e-14)
    assert found == pytest.approx(entropy, rel=1e-7, abs=1e-12)
    assert (np.diff(law) <= 0).all()


# ------------------------------------------------------------------------------------------------- texts


def test_tokens_of_a_text_are_its_most_frequent_ones_and_the_rest_is_one():
    source = TextSource(POEM * 5, unit="word", vocabulary=4)
    assert source.labels == ("the", "on", "sat", "<unknown>")  # 6, 3, 3 a verse, ties in alphabetical order
    whole = np.concatenate([source.training, source.held_out])
    words = (POEM * 5).replace(";", "").replace(",", "").replace(".", "").split()
    assert [source.labels[token] for token in whole] == [w if w in ("the", "on", "sat") else "<unknown>" for w in words]
    everything = TextSource(POEM, vocabulary=1000)
    assert "".join(everything.labels[t] for t in np.concatenate([everything.training, everything.held_out])) == POEM
    assert "<unknown>" not in everything.labels
    assert everything.entropy is None
    assert everything.chain(3) is None
    assert everything.facts is None


def test_the_last_tenth_of_a_text_is_held_out():
    source = TextSource("a\n" * 450 + "c" * 100)
    assert source.labels == ("\n", "a", "c")
    assert source.held_out.tolist() == [2] * 100
    assert set(source.stream(900, rng()).tolist()) == {0, 1}


def test_streams_of_a_text_are_stretches_of_a_cycle():
    source = TextSource(POEM * 3)
    cycle = np.tile(source.training, 2)
    firsts = set()
    for seed in range(200):
        stream = source.stream(source.training.size - 5, rng(seed))
        places = [at for at in range(source.training.size) if (cycle[at : at + stream.size] == stream).all()]
        assert len(places) == 1
        firsts.update(places)
    assert min(firsts) < 20 < source.training.size - 20 < max(firsts)
    np.testing.assert_array_equal(np.sort(source.stream(source.training.size, rng())), np.sort(source.training))


@pytest.mark.parametrize("parts", [1, 3, 7])
def test_parts_of_a_text_are_disjoint_and_together_all_of_it(parts):
    source = TextSource("".join(map(chr, range(20000, 20500))), vocabulary=1000)  # every character once, in order
    seen = []
    for i in range(parts):
        size = (i + 1) * 450 // parts - i * 450 // parts
        stretch = np.sort(source.stream(size, rng(), (i, parts)))
        np.testing.assert_array_equal(np.diff(stretch), 1)
        seen += stretch.tolist()
    assert seen == source.training.tolist()


def test_what_a_source_can_give_is_known_before_it_is_drawn():
    text = TextSource("".join(map(chr, range(20000, 20500))), vocabulary=1000)
    text.require(450)
    text.require(150, (2, 3))
    for n, part in ((451, None), (151, (2, 3)), (0, None), (1, (3, 3))):
        with pytest.raises(tce.DomainError) as drawn:
            text.stream(n, rng(), part)
        with pytest.raises(tce.DomainError) as required:
            text.require(n, part)
        assert str(drawn.value) == str(required.value)
    KnowledgeCorpus().require(10**9, (59, 60))
    with pytest.raises(tce.DomainError, match="parts must be"):
        KnowledgeCorpus().require(5, (0, 61))


def test_the_standard_text_and_files(tmp_path):
    source = TextSource()
    assert source.training.size + source.held_out.size == len(standard_text())
    assert 64 < source.vocabulary <= 128
    file = tmp_path / "poem.txt"
    file.write_text(POEM, encoding="utf-8")
    assert TextSource(file).describe() == TextSource(str(file)).describe() == TextSource(POEM).describe()


# ------------------------------------------------------------------------------------------------- descriptions


def test_descriptions_tell_data_apart():
    sources = [
        MarkovSource(MarkovChain([[0.5, 0.5], [0.5, 0.5]])),
        MarkovSource(MarkovChain([[0.4, 0.6], [0.5, 0.5]])),
        KnowledgeCorpus(),
        KnowledgeCorpus(seed=1),
        KnowledgeCorpus(filler=3),
        TextSource(POEM),
        TextSource(POEM, unit="word"),
        TextSource(POEM, vocabulary=5),
        TextSource(POEM + " "),
        TextSource(POEM.replace("e", "ö")),  # the same numbers, other characters
    ]
    descriptions = [repr(source.describe()) for source in sources]
    assert len(set(descriptions)) == len(sources)
    assert repr(KnowledgeCorpus()) == (
        "KnowledgeCorpus(facts=60, relations=3, objects=20, filler=2, filler_words=20, filler_entropy=2, seed=0)"
    )
    assert repr(TextSource(POEM)) == f"TextSource({len(POEM)} chars, vocabulary={len(set(POEM))})"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: MarkovSource([[1.0]]), r"law must be a MarkovChain, got \[\[1.0\]\]"),
        (lambda: MarkovSource(MarkovChain([[1.0]])), "law must be a chain of at least 2, got 'a chain of 1 symbol'"),
        (lambda: KnowledgeCorpus(facts=0), "facts must be an integer of at least 1, got 0"),
        (lambda: KnowledgeCorpus(facts=2, relations=3), "relations must be an integer of at least 1 and at most 2"),
        (lambda: KnowledgeCorpus(objects=1), "objects must be an integer of at least 2, got 1"),
        (lambda: KnowledgeCorpus(filler=-1), "filler must be an integer of at least 0, got -1"),
        (lambda: KnowledgeCorpus(filler_words=0), "filler_words must be an integer of at least 1, got 0"),
        (lambda: KnowledgeCorpus(filler_entropy=3.0), r"filler_entropy must be a number in \[0, 2.99573\], got 3.0"),
        (lambda: KnowledgeCorpus(seed=-1), "seed must be an integer of at least 0"),
        (lambda: KnowledgeCorpus().tokens(0), "mentions must be a finite number above 0, got 0"),
        (lambda: KnowledgeCorpus().facts.contexts(1), "context must be an integer of at least 2, got 1"),
        (lambda: KnowledgeCorpus().facts.part_of(61), "parts must be an integer of at least 1 and at most 60, got 61"),
        (
            lambda: KnowledgeCorpus().stream(5, rng(), (2, 2)),
            r"part must be a pair \(i, parts\) with i from 0 to parts − 1, got \(2, 2\)",
        ),
        (lambda: KnowledgeCorpus().stream(5, rng(), 3), r"part must be a pair \(i, parts\), got 3"),
        (lambda: KnowledgeCorpus().stream(0, rng()), "n must be an integer of at least 1, got 0"),
        (
            lambda: MarkovSource(MarkovChain(np.eye(2), start=[1, 0])).stream(5, rng(), (0, 0)),
            "parts must be an integer",
        ),
        (lambda: TextSource("a b\n" * 4), "text must be a text of at least 20 chars, got '16 chars'"),
        (lambda: TextSource("\n"), "text must be a text of at least 20 chars, got '1 chars'"),
        (
            lambda: TextSource("\n" * 30),
            r"text must be a text of at least two different chars, got \"char '\\\\n' alone\"",
        ),
        (lambda: TextSource("to be " * 5, unit="word"), "text must be a text of at least 20 words, got '10 words'"),
        (lambda: TextSource("no " * 50, unit="word"), "text must be a text of at least two different words"),
        (lambda: TextSource("missing.txt"), "text must be a text, or the path of an existing file"),
        (lambda: TextSource(POEM, unit="line"), "unit must be one of 'char', 'word', got 'line'"),
        (lambda: TextSource(POEM, vocabulary=1), "vocabulary must be an integer of at least 2, got 1"),
        (
            lambda: TextSource(POEM).stream(1000, rng()),
            "n must be at most 74, the chars in the training part of the text",
        ),
        (
            lambda: TextSource(POEM).stream(20, rng(), (1, 5)),
            "n must be at most 15, the chars in part 1 of 5 of the text",
        ),
        (lambda: TextSource(POEM).stream(1, rng(), (0, 80)), "parts must be an integer of at least 1 and at most 74"),
    ],
)
def test_bad_input_ends_with_one_line(make, message):
    with pytest.raises(tce.DomainError, match=message) as caught:
        make()
    assert "\n" not in str(caught.value)
