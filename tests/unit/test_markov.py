"""Markov chains: construction, sequences, fits row by row, metrics against enumeration and linear algebra."""

import itertools
import json
import math
import warnings

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.markov import MarkovChain
from tce_theory.models.text import standard_text
from tce_theory.recursion import block_generator

CE = tce.CrossEntropy()
LOSSES = {
    "CE": CE,
    "TCE": tce.TCE(0.7),
    "TCE, low": tce.TCE(0.3),
    "TCE, max-entropy": tce.TCE(0.4, vacuous="max-entropy"),
    "TCE, drawn-only": tce.TCE(0.4, vacuous="drawn-only"),
    "TCE, previous": tce.TCE(0.6, mask="previous"),
    "focal": tce.FocalLoss(2.0),
    "focal, detached": tce.FocalLoss(2.0, detach=True),
    "smooth": tce.SmoothTruncatedCrossEntropy(0.5, 0.2),
}
EVERY_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
REGIMES = (tce.Replace(), tce.FreshMix(0.2), tce.Accumulate(), tce.AccumulateSubsample(), tce.Staged(3, tce.Replace()))


def random_chain(rng, size=3, order=1, zeros=0.3, **options):
    """A chain of which some transitions are impossible; from uniform starts."""
    rows = rng.dirichlet(np.ones(size), size**order)
    rows[rng.random(rows.shape) < zeros] = 0.0
    rows[rows.sum(axis=1) == 0, 0] = 1.0
    start = np.full(size**order, 1 / size**order)
    return MarkovChain(rows / rows.sum(axis=1, keepdims=True), order=order, start=start, **options)


def simulated(model, loss, **options):
    settings = {"n_samples": 30, "generations": 8, "replicates": 5, "seed": 1} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(model, loss, **settings)


def context_matrix(model):
    """Transition matrix of the contexts."""
    matrix = np.zeros((model.n_contexts, model.n_contexts))
    np.add.at(matrix, (model.frame.rows, model.frame.next_row), model.probs)
    return matrix


def laws_of_sequences(models):
    """Probabilities of all sequences of transitions, by enumeration, given the context that each starts with."""
    first = models[0]
    out = [[] for _ in models]
    for context in range(first.n_contexts):
        edges = [range(*first.frame.offsets[row : row + 2]) for row in range(first.n_contexts)]
        stack = [(context, 0, np.full(len(models), first.start[context]))]
        while stack:
            row, depth, mass = stack.pop()
            if depth == first.length:
                for law, value in zip(out, mass, strict=True):
                    law.append(value)
                continue
            for e in edges[row]:
                stack.append((first.frame.next_row[e], depth + 1, mass * [m.probs[e] for m in models]))
    return np.array(out)


# ------------------------------------------------------------------------------------------------- construction


def test_contexts_of_a_matrix_are_in_lexicographic_order():
    rng = np.random.default_rng(1)
    matrix = rng.dirichlet(np.ones(3), 9)
    chain = MarkovChain(matrix, order=2)
    assert (chain.order, chain.size, chain.n_contexts) == (2, 3, 9)
    np.testing.assert_array_equal(chain.transition, matrix)
    for edge, (oldest, last, following) in enumerate(chain.ngrams):
        assert chain.frame.rows[edge] == 3 * oldest + last
        assert chain.frame.next_row[edge] == 3 * last + following
        assert chain.probs[edge] == matrix[3 * oldest + last, following]


def test_counts_of_a_text_by_hand():
    chain = MarkovChain.from_text("a b a c a b b", order=1)  # closed: b b, b a
    found = {tuple(chain.labels[i] for i in ngram): p for ngram, p in zip(chain.ngrams, chain.probs, strict=True)}
    assert found == pytest.approx({
        ("a", "b"): 2 / 3, ("a", "c"): 1 / 3, ("b", "a"): 2 / 3, ("b", "b"): 1 / 3, ("c", "a"): 1.0,
    })  # fmt: skip
    np.testing.assert_allclose(chain.start, [3 / 7, 3 / 7, 1 / 7])


@pytest.mark.parametrize(("unit", "order"), [("word", 1), ("word", 2), ("char", 1), ("char", 3)])
def test_every_context_of_a_closed_text_has_a_row_and_its_frequencies_are_stationary(unit, order):
    text = "the cat sat on the mat; the dog sat on the cat, and the mat sat on a log. the end"
    chain = MarkovChain.from_text(text, unit=unit, order=order)
    contexts = {tuple(ngram[:-1]) for ngram in chain.ngrams.tolist()}
    assert {tuple(ngram[1:]) for ngram in chain.ngrams.tolist()} <= contexts
    assert chain.n_contexts == len(contexts)
    np.testing.assert_allclose(np.add.reduceat(chain.probs, chain.frame.offsets[:-1]), 1, rtol=1e-14)
    np.testing.assert_allclose(chain.start @ context_matrix(chain), chain.start, atol=1e-15)
    np.testing.assert_allclose(chain.occupation(), chain.start, atol=1e-13)
    starts = chain.ngrams[chain.frame.offsets[:-1], :-1]
    np.testing.assert_array_equal(chain.ngrams[np.arange(len(chain.probs)), 1:], starts[chain.frame.next_row])


def test_the_matrix_of_a_text_is_sparse():
    chain = MarkovChain.from_text("to be or not to be")
    matrix = chain.transition
    assert matrix.shape == (4, 4)
    assert matrix.nnz == 5
    np.testing.assert_allclose(matrix.toarray(), context_matrix(chain))


@pytest.mark.parametrize("order", [1, 2])
def test_stationary_law(order):
    rng = np.random.default_rng(order)
    for _ in range(20):
        chain = MarkovChain(rng.dirichlet(np.full(3, 0.5), 3**order), order=order)
        np.testing.assert_allclose(chain.start @ context_matrix(chain), chain.start, atol=1e-13)
    transient = MarkovChain([[0.5, 0.5, 0], [0, 0.2, 0.8], [0, 0.4, 0.6]])
    np.testing.assert_allclose(transient.start, [0, 1 / 3, 2 / 3], atol=1e-15)
    large = np.zeros((600, 600))  # the sparse solve: a cycle with steps of 1 and 2
    large[np.arange(600), (np.arange(600) + 1) % 600] = 0.5
    large[np.arange(600), (np.arange(600) + 2) % 600] = 0.5
    np.testing.assert_allclose(MarkovChain(large).start, 1 / 600, rtol=1e-9)


TWO_CLASSES = [[1.0, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: MarkovChain([[0.5, 0.5]]), r"transition must be of shape \(K\*\*1, K\)"),
        (lambda: MarkovChain([[0.5, 0.5], [0.5, 0.5]], order=2), r"of shape \(K\*\*2, K\)"),
        (lambda: MarkovChain([[0.5, 0.5], [0.5, 0.6]]), "row 1 of transition must be a vector of nonnegative"),
        (lambda: MarkovChain([0.5, 0.5]), "transition must be an array of finite numbers with 2"),
        (lambda: MarkovChain(TWO_CLASSES), "2 closed classes"),
        (lambda: MarkovChain(TWO_CLASSES, start=[1.0, 0.0, 0.0]), "the number of contexts"),
        (lambda: MarkovChain([[0.5, 0.5]] * 2, labels=["a"]), "labels must be a sequence of 2 names"),
        (lambda: MarkovChain([[0.5, 0.5]] * 2, length=0), "length must be an integer of at least 1"),
        (lambda: MarkovChain([[0.5, 0.5]] * 2, order=0), "order must be an integer of at least 1"),
        (lambda: MarkovChain.from_text("two words", order=2), "a text of more than 2 tokens"),
        (lambda: MarkovChain.from_text("two words", unit="line"), "unit must be one of"),
        (lambda: MarkovChain.from_text(" ".join(map(str, range(5000))), order=5), "order must be at most 4"),
    ],
)
def test_domain_errors(build, message):
    with pytest.raises(tce.DomainError, match=message):
        build()


def test_combinations_that_are_refused():
    chain = MarkovChain([[0.5, 0.5]] * 2)
    for loss, message in [
        (tce.TCE(0.9, scale="relative"), "most probable symbol"),
        (tce.TCE(1.5), r"in \(0, 1\]"),
        (tce.TCE(0.5, mask="previous", vacuous="warm"), "previous row is kept"),
        (tce.WeightedCrossEntropy(lambda p: p), "nonincreasing"),
    ]:
        with pytest.raises(ValueError, match=message):
            chain.check(loss, tce.Replace())
    with pytest.raises(tce.UnsupportedCombinationError, match="Temperature, TopK or TopP"):
        chain.check(CE, tce.Replace(), tce.VarianceScaling(0.5))


def test_description_is_json_and_tells_chains_apart():
    one = MarkovChain([[0.5, 0.5], [0.2, 0.8]])
    found = json.loads(json.dumps(one.describe()))
    assert {key: found[key] for key in ("name", "order", "length", "size", "contexts", "transitions")} == {
        "name": "MarkovChain", "order": 1, "length": 100, "size": 2, "contexts": 2, "transitions": 4,
    }  # fmt: skip
    others = MarkovChain([[0.5, 0.5], [0.3, 0.7]]), MarkovChain([[0.5, 0.5], [0.2, 0.8]], start=[1, 0])
    assert len({model.describe()["sha256"] for model in (one, *others)}) == 3


# ------------------------------------------------------------------------------------------------- sequences


def test_samples_are_sequences():
    rng = np.random.default_rng(3)
    for order in (1, 2):
        chain = random_chain(rng, order=order, length=7)
        sample = chain.sample(40, seed=5)
        assert sample.shape == (40, order + 1)
        follows = (sample[1:, :-1] == sample[:-1, 1:]).all(axis=1)
        assert follows[np.arange(39) % 7 != 6].all()  # within a sequence
        places = {tuple(ngram): p for ngram, p in zip(chain.ngrams.tolist(), chain.probs, strict=True)}
        assert min(places[tuple(ngram)] for ngram in sample.tolist()) > 0


def test_impossible_starts_and_transitions_are_never_drawn():
    chain = MarkovChain([[0, 1, 0], [0, 0, 1], [1, 0, 0]], start=[0, 1, 0], length=2)
    assert chain.sample(6, seed=1).tolist() == [[1, 2], [2, 0]] * 3


# ------------------------------------------------------------------------------------------------- metrics


@pytest.mark.parametrize(("size", "order", "length"), [(2, 1, 5), (3, 1, 4), (2, 2, 4), (2, 1, 1)])
def test_rates_are_those_of_the_laws_of_sequences(size, order, length):
    """Entropy given the start and divergences, per token, from the probabilities of all sequences."""
    rng = np.random.default_rng(7)
    infinite = 0
    for _ in range(6):
        origin = random_chain(rng, size, order, length=length)
        mixed = 0.5 * origin.probs + 0.5 * origin.probs**2
        if rng.random() < 0.5:  # a transition is lost
            mixed[rng.integers(mixed.size)] = 0.0
        rows = mixed.reshape(origin.n_contexts, -1)
        rows[rows.sum(axis=1) == 0] = origin.transition[rows.sum(axis=1) == 0]
        model = origin._exactly((rows / rows.sum(axis=1, keepdims=True)).ravel())
        p, q, starts = laws_of_sequences([origin, model, origin._exactly(np.ones(origin.probs.size))])
        conditional = -(q[q > 0] * np.log(q[q > 0] / starts[q > 0])).sum() / length
        assert model.measure("entropy_rate", origin) == pytest.approx(conditional, abs=1e-13)
        assert model.measure("kl_rate_to_origin", origin) == pytest.approx(
            (q[q > 0] * np.log(q[q > 0] / p[q > 0])).sum() / length, abs=1e-13
        )
        forth = math.inf if (q[p > 0] == 0).any() else (p[p > 0] * np.log(p[p > 0] / q[p > 0])).sum() / length
        infinite += forth == math.inf
        assert model.measure("kl_rate_from_origin", origin) == pytest.approx(forth, abs=1e-13)
    assert infinite > 0 or length == 1


def test_occupation_against_linear_algebra():
    rng = np.random.default_rng(8)
    for length in (1, 3, 100, 5000):
        for _ in range(5):
            chain = random_chain(rng, 4, length=length)
            matrix, powers = context_matrix(chain), [chain.start]
            for _ in range(length - 1):
                powers.append(powers[-1] @ matrix)
            np.testing.assert_allclose(chain.occupation(), np.mean(powers, axis=0), atol=1e-12)


def test_occupation_of_reducible_and_periodic_chains_tends_to_the_limit_of_cesaro():
    """Context 0 goes to the class {1, 2} with probability 1/4, to the cycle {3, 4} with 3/4."""
    matrix = np.zeros((5, 5))
    matrix[0, [1, 3]] = 0.25, 0.75
    matrix[1, [1, 2]], matrix[2, [1, 2]] = (0.5, 0.5), (0.25, 0.75)
    matrix[3, 4] = matrix[4, 3] = 1.0
    chain = MarkovChain(matrix, start=[1, 0, 0, 0, 0], length=10_001)
    limit = [0, 0.25 / 3, 0.5 / 3, 0.375, 0.375]
    np.testing.assert_allclose(chain.occupation(), limit, atol=2e-4)
    assert chain.measure("absorbing_share", chain) == pytest.approx(0.75, abs=1e-4)
    assert chain.measure("longest_cycle", chain) == 2


def test_cycles():
    """Two cycles, of which one is reached; a way that leads into a cycle is not part of it."""
    matrix = np.zeros((7, 7))
    for here, there in ((0, 1), (1, 2), (2, 3), (3, 1), (4, 5), (5, 6), (6, 4)):
        matrix[here, there] = 1.0
    chain = MarkovChain(matrix, start=[1, 0, 0, 0, 0, 0, 0], length=10)
    assert chain.measure("longest_cycle", chain) == 3
    assert chain.measure("absorbing_share", chain) == pytest.approx(0.9)
    free = MarkovChain([[0.5, 0.5], [1.0, 0.0]])
    assert [free.measure(name, free) for name in ("longest_cycle", "absorbing_share")] == [0, 0]


def test_total_variation_and_support():
    origin = MarkovChain([[0.6, 0.4], [0.2, 0.8]])  # stationary: 1/3, 2/3
    model = origin._exactly(np.array([0.9, 0.1, 0.0, 1.0]))
    assert model.measure("tv", origin) == pytest.approx(0.3 / 3 + 0.2 * 2 / 3)
    assert model.measure("support", origin) == 3
    assert model.measure("kl_rate_from_origin", origin) == math.inf
    with pytest.raises(tce.DomainError, match="metric must be one of"):
        model.measure("distinct_ngrams", origin)
    with pytest.raises(tce.DomainError, match="the same transitions"):
        model.measure("tv", MarkovChain(np.full((3, 3), 1 / 3)))


# ------------------------------------------------------------------------------------------------- fits


@EVERY_LOSS
def test_rows_are_fitted_as_categorical_models(loss):
    rng = np.random.default_rng(9)
    for _ in range(25):
        chain = random_chain(rng, 4, zeros=0.2)
        counts = rng.poisson(rng.choice([0.3, 5.0]), chain.probs.size) * (chain.probs > 0)
        if not counts.any():
            continue
        result = chain.fit(tce.Counts(counts), loss)
        masked, objective = 0.0, 0.0
        for row in range(4):
            places = slice(4 * row, 4 * row + 4)
            if counts[places].any():
                alone = tce.Categorical(chain.probs[places]).fit(tce.Counts(counts[places]), loss)
                np.testing.assert_array_equal(result.model.probs[places], alone.model.probs)
                np.testing.assert_array_equal(result.weights[places], alone.weights)
                masked += alone.masked_weight
                objective += alone.objective * counts[places].sum() / counts.sum()
            else:
                np.testing.assert_array_equal(result.model.probs[places], chain.probs[places])
        assert result.masked_weight == pytest.approx(masked)
        assert result.objective == pytest.approx(objective)


@EVERY_LOSS
def test_the_kernel_fits_as_the_family_does(loss):
    """One generation, of which the data are found again: a replicate's stream is known."""
    rng = np.random.default_rng(10)
    for seed in range(8):
        chain = random_chain(rng, 4, zeros=0.2, length=6)
        found = []
        simulated(
            chain, loss, n_samples=25, generations=1, replicates=2, seed=seed,
            metrics={"chain": lambda model, found=found: found.append(model) or 0.0},
        )  # fmt: skip
        streams = block_generator(seed, 0).spawn(2)
        for stream, model in zip(streams, found[2:], strict=True):
            expected = chain.fit(chain.sample(25, stream), loss).model
            np.testing.assert_array_equal(model.probs, expected.probs)


def test_entropy_identity_of_every_fit():
    """Weighted mean entropy of the rows is −log γ + V/N, row by row and hence together (slug entropy-identity)."""
    rng, gamma, held = np.random.default_rng(11), 0.6, 0
    for _ in range(40):
        chain = random_chain(rng, 5, zeros=0.0)
        counts = rng.poisson(6.0, chain.probs.size)
        result = chain.fit(tce.Counts(counts), tce.TCE(gamma))
        weight = result.weights * counts
        kept = np.add.reduceat(weight, chain.frame.offsets[:-1])
        probs = result.model.probs
        entropies = np.add.reduceat(
            -np.where(probs > 0, probs * np.log(np.maximum(probs, 1e-300)), 0), np.arange(0, 25, 5)
        )
        losses = -np.log(probs, out=np.zeros(25), where=probs > 0)
        excess = (counts * np.maximum(losses + math.log(gamma), 0))[counts > 0].sum()
        if kept.sum() > 0 and not result.vacuous and (np.add.reduceat(counts > 0, chain.frame.offsets[:-1]) > 1).all():
            assert (kept @ entropies) / kept.sum() == pytest.approx(-math.log(gamma) + excess / kept.sum(), abs=1e-12)
            held += 1
    assert held > 20


def test_data_of_every_kind():
    chain = MarkovChain(np.full((4, 2), 0.5), order=2)
    sequence = [0, 1, 1, 0, 1, 1, 1]
    ngrams = [sequence[i : i + 3] for i in range(5)]
    counts = np.zeros(8, int)
    for a, b, c in ngrams:
        counts[4 * a + 2 * b + c] += 1
    models = [chain.fit(data, CE).model.probs for data in (sequence, ngrams, tce.Counts(counts))]
    np.testing.assert_array_equal(models[0], models[1])
    np.testing.assert_array_equal(models[0], models[2])
    np.testing.assert_allclose(models[0], [0.5, 0.5, 0, 1, 0, 1, 0.5, 0.5])
    text = MarkovChain.from_text("to be or not to be")
    for data, message in [
        ([0.5, 0.1], "integer symbols"),
        ([1], "integer symbols"),
        ([[0, 1, 2]], "integer symbols"),
        ([0, 9], "symbols from 0 to 3"),
        ([0, 2], "n-grams that generation 0's rows list"),
        (tce.Counts([1, 2]), "counts of 5 transitions"),
    ]:
        with pytest.raises(tce.DomainError, match=message):
            text.fit(data, CE)


def test_a_fit_is_vacuous_if_that_of_every_row_is():
    chain = MarkovChain([[0.5, 0.5], [0.5, 0.5]])
    with pytest.warns(tce.StatisticalWarning, match="convention"):
        assert tce.fit(chain, [[0, 1], [1, 1]], tce.TCE(0.9)).vacuous
    partly = tce.fit(chain, [[0, 1], [0, 0], [1, 1]], tce.TCE(0.9))
    assert not partly.vacuous
    assert partly.masked_weight == pytest.approx(1)


@pytest.mark.slow  # compiled for the session
def test_a_weight_that_is_a_function():
    chain = MarkovChain([[0.5, 0.3, 0.2]] * 3, length=20)
    run = simulated(chain, tce.WeightedCrossEntropy(lambda p: 1.0 / (1.0 + p)), n_samples=60, generations=2)
    assert np.isfinite(run.metrics["entropy_rate"]).all()


# ------------------------------------------------------------------------------------------------- recursion


@pytest.mark.parametrize("regime", REGIMES, ids=str)
@pytest.mark.parametrize("decoding", [None, tce.Temperature(0.7), tce.TopK(2), tce.TopP(0.8)], ids=str)
def test_every_regime_and_decoding_runs(regime, decoding):
    rng = np.random.default_rng(12)
    chain = random_chain(rng, 4, zeros=0.2, length=9)
    for loss in (CE, tce.TCE(0.6)):
        run = simulated(chain, loss, regime=regime, decoding=decoding, metrics=MarkovChain.metric_names)
        for name, values in run.metrics.items():
            first = 1 if name in ("distinct_ngrams", "masked_weight") else 0
            assert not np.isnan(values[:, first:]).any(), name
            assert np.isnan(values[:, :first]).all(), name
        assert run.metrics["tv"].min() >= 0
        assert run.metrics["absorbing_share"].max() <= 1 + 1e-12


def test_results_depend_on_neither_threads_nor_how_much_else_is_run():
    chain = random_chain(np.random.default_rng(13), 4, length=9)
    for regime in REGIMES:
        one = simulated(chain, tce.TCE(0.6), regime=regime, replicates=150, metrics=["tv", "entropy_rate"])
        assert one.provenance["block_size"] == 64
        two = simulated(chain, tce.TCE(0.6), regime=regime, replicates=150, metrics=["tv", "entropy_rate"], n_jobs=2)
        fewer = simulated(chain, tce.TCE(0.6), regime=regime, replicates=70, generations=5, metrics=["tv"])
        np.testing.assert_array_equal(one.metrics["entropy_rate"], two.metrics["entropy_rate"])
        np.testing.assert_array_equal(one.metrics["tv"], two.metrics["tv"])
        np.testing.assert_array_equal(fewer.metrics["tv"], one.metrics["tv"][:70, :6])


def test_models_do_not_change_the_draws():
    """Losses are coupled token by token: equal until a row is capped (slug neutral-until-cap)."""
    chain = MarkovChain([[0.4, 0.3, 0.3]] * 3, length=30)
    plain, loose = (
        simulated(chain, loss, n_samples=300, generations=5, replicates=20, metrics=["kl_rate_to_origin"])
        for loss in (CE, tce.TCE(0.9))
    )
    np.testing.assert_array_equal(plain.metrics["kl_rate_to_origin"], loose.metrics["kl_rate_to_origin"])
    tight = simulated(chain, tce.TCE(0.4), n_samples=300, generations=5, replicates=20, metrics=["kl_rate_to_origin"])
    assert (tight.metrics["kl_rate_to_origin"] != plain.metrics["kl_rate_to_origin"])[:, 1:].any()


def test_unseen_rows_keep_their_model():
    """Sequences start with context 0 and stay among {0, 1}: the rows of 2 and 3 are never seen."""
    matrix = [[0.5, 0.5, 0, 0], [0.3, 0.7, 0, 0], [0.1, 0.2, 0.3, 0.4], [0.25, 0.25, 0.25, 0.25]]
    chain, found = MarkovChain(matrix, start=[1, 0, 0, 0]), []
    simulated(chain, CE, metrics={"rows": lambda model: found.append(model.transition[2:]) or 0.0})
    for rows in found:
        np.testing.assert_array_equal(rows, matrix[2:])


def test_accumulated_data_are_kept_as_counts():
    """What was seen once stays seen."""
    chain = MarkovChain(np.full((2, 2), 0.5), length=7)
    run = simulated(
        chain, CE, regime=tce.Accumulate(), n_samples=3, generations=40, replicates=200, metrics=["distinct_ngrams"]
    )
    types = run.metrics["distinct_ngrams"][:, 1:]
    assert (np.diff(types, axis=1) >= 0).all()


def test_bigrams_and_characters_of_the_standard_text_run():
    for unit, order in (("word", 1), ("char", 2)):
        chain = MarkovChain.from_text(standard_text()[:60_000], unit=unit, order=order)
        run = simulated(
            chain, tce.TCE(0.9), n_samples=6000, generations=3, replicates=2, metrics=MarkovChain.metric_names
        )
        assert run.metrics["support"][:, 0].tolist() == [chain.probs.size] * 2
        assert (run.metrics["entropy_rate"] > 0).all()
        # nothing that is lost comes back
        assert (np.diff(run.metrics["support"], axis=1) <= 0).all()


def test_combinations_of_transitions_and_orders_agree():
    """An order-2 chain whose rows depend on the last symbol alone is the order-1 chain: same occupation, same rates."""
    rng = np.random.default_rng(14)
    first, other = rng.dirichlet(np.ones(3), 3), rng.dirichlet(np.ones(3), 3)
    one, two = MarkovChain(first), MarkovChain(np.tile(first, (3, 1)), order=2)
    for name, value in (("entropy_rate", one.entropy_rate()), ("tv", 0.0)):
        assert two.measure(name, two) == pytest.approx(value, abs=1e-13)
    changed, changed_two = one._exactly(other.ravel()), two._exactly(np.tile(other, (3, 1)).ravel())
    for name in ("tv", "kl_rate_from_origin"):
        assert changed_two.measure(name, two) == pytest.approx(changed.measure(name, one), abs=1e-12)
    pairs = itertools.pairwise(one.sample(5, seed=1).tolist())
    assert all(before[1] == after[0] for before, after in pairs)
