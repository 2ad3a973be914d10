"""Metrics of language models against slow definitions in plain NumPy, and the identities of the head."""

import math
import warnings
from collections import Counter

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.neural import metrics, recursion
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.network import Architecture
from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource, TextSource
from tce_theory.neural.training import ContextCounts, Training, head_record, train

CE = tce.CrossEntropy()
CHAIN = tce.MarkovChain([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
SOURCE = MarkovSource(CHAIN)
FACTS = KnowledgeCorpus(facts=8, relations=2, objects=4, filler=1, filler_words=3, filler_entropy=0.8)
TEXT = TextSource("it was the best of times, it was the worst of times; " * 20)


def small(source=SOURCE, **options):
    settings = {"context": 2, "embedding": 3, "hidden": (4,), "length": 8, "training": Training(epochs=4)}
    return NeuralLanguageModel(source, **settings | options)


def run_of(model, loss=CE, **options):
    settings = {"n_samples": 60, "generations": 3, "replicates": 1, "seed": 5} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(model, loss, **settings)


def trained(source, **options):
    model = small(source, **options)
    return model.fit(model.sample(80, seed=1), CE, seed=2).model


def logits(model, context):
    """What the network says after one context, layer by layer."""
    shape, theta = model.architecture, list(model.parameters)

    def take(*size):
        part = np.array(theta[: math.prod(size)]).reshape(size)
        del theta[: part.size]
        return part

    x = take(shape.vocabulary, shape.embedding)[np.array(context)].ravel()
    for width in shape.hidden:
        matrix, bias = take(x.size, width), take(width)
        x = np.tanh(x @ matrix + bias)
    matrix, bias = take(x.size, shape.vocabulary), take(shape.vocabulary)
    assert not theta
    return x @ matrix + bias


def law(model, context):
    z = logits(model, context)
    return np.exp(z - z.max()) / np.exp(z - z.max()).sum()


def held_out(source, k):
    tokens = source.held_out
    return [(tuple(tokens[i : i + k]), int(tokens[i + k])) for i in range(len(tokens) - k)]


class Spy:
    """What every fit of a run was given, and what came of it."""

    def __init__(self, monkeypatch):
        self.fits, self.train = [], recursion.train
        monkeypatch.setattr(recursion, "train", self)

    def __call__(self, architecture, theta, windows, loss, training, rng, previous=None, **rest):
        result = self.train(architecture, theta, windows, loss, training, rng, previous, **rest)
        self.fits.append((theta.copy(), windows.copy(), result.theta.copy()))
        return result


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


# ------------------------------------------------------------------------------------------------- of a model


@pytest.mark.parametrize("source", [FACTS, TEXT], ids=["facts", "text"])
def test_on_held_out_text(source):
    model = trained(source)
    laws = {context: law(model, context) for context, _ in held_out(source, 2)}
    pairs = held_out(source, 2)
    if len(pairs) > 8192:
        pairs = [pairs[int(i)] for i in np.linspace(0, len(pairs) - 1, 8192)]
    assert model.measure("heldout_cross_entropy", model) == pytest.approx(
        np.mean([-math.log(laws[c][x]) for c, x in pairs]), rel=1e-12
    )
    entropies = {c: -(p * np.log(p)).sum() for c, p in laws.items()}
    assert model.measure("predictive_entropy", model) == pytest.approx(np.mean([entropies[c] for c, _ in pairs]))
    assert model.measure("confidence_real", model) == pytest.approx(np.mean([laws[c][x] for c, x in pairs]))
    bins = {}
    for c, x in pairs:
        top = laws[c].max()
        bins.setdefault(min(int(top * 15), 14), []).append((top, float(laws[c].argmax() == x)))
    error = sum(len(b) * abs(np.mean([hit for _, hit in b]) - np.mean([top for top, _ in b])) for b in bins.values())
    assert model.measure("calibration_error", model) == pytest.approx(error / len(pairs), rel=1e-9)


def test_the_truth_on_held_out_text():
    """Of a known law: entropy and cross entropy agree to sampling error, and the calibration error is small."""
    for model in (small(), small(FACTS), small(FACTS, context=3)):
        values = {name: model.measure(name, model) for name in metrics.TEXT}
        assert values["predictive_entropy"] == pytest.approx(model.source.entropy, rel=0.02)
        assert values["heldout_cross_entropy"] == pytest.approx(model.source.entropy, rel=0.03)
        assert values["calibration_error"] < 0.03
        assert math.exp(-values["heldout_cross_entropy"]) < values["confidence_real"] < 1  # Jensen
    windows = np.array([[0, 1, 2], [2, 2, 0]])
    assert small().target_probs(windows) == pytest.approx(CHAIN.transition[windows[:, 1], windows[:, 2]])
    text = small(TEXT)
    assert all(math.isnan(text.measure(name, text)) for name in metrics.TEXT)


def test_facts():
    model = trained(FACTS, context=3)
    scores = np.array(
        [np.mean([np.log(law(model, c)) for c in several], axis=0) for several in FACTS.facts.contexts(3).tolist()]
    )
    kept = [
        row[true] > row[false] for row, true, false in zip(scores, FACTS.facts.true, FACTS.facts.false, strict=True)
    ]
    first = [row.argmax() == true for row, true in zip(scores, FACTS.facts.true, strict=True)]
    assert 0 < np.mean(kept) < 1
    assert model.measure("retention", model) == pytest.approx(np.mean(kept))
    assert model.measure("recall", model) == pytest.approx(np.mean(first))
    part = FACTS.facts.part_of(4)
    for shown in (1, 3):
        values = model.yardstick.measure(model.parameters, metrics.FACTS, (shown, 4))
        assert values["retention"] == pytest.approx(np.mean(np.array(kept)[part < shown]))
        assert values["recall"] == pytest.approx(np.mean(np.array(first)[part < shown]))
    origin = small(FACTS)
    assert (origin.measure("retention", origin), origin.measure("recall", origin)) == (1, 1)


def test_a_fact_that_ties_is_neither_retained_nor_recalled():
    """Recall is the stricter of the two: a network that knows nothing at all recalls nothing."""
    size = FACTS.vocabulary
    table = small(FACTS, embedding=None, hidden=(), parameters=np.zeros(size**3))
    assert (table.measure("retention", table), table.measure("recall", table)) == (0, 0)
    logits = np.zeros((size**2, size))
    logits[:, FACTS.facts.true] = 1.0  # of all facts: each ties with those of other objects
    table = small(FACTS, embedding=None, hidden=(), parameters=logits)
    assert np.unique(FACTS.facts.true).size > 1
    assert table.measure("recall", table) == 0


def test_facts_that_real_text_has_not_shown_are_not_counted(monkeypatch):
    seen, measure = [], metrics.Yardstick.measure

    def spied(self, theta, names, shown=None):
        seen.append(shown)
        return measure(self, theta, names, shown)

    monkeypatch.setattr(metrics.Yardstick, "measure", spied)
    run_of(small(FACTS), regime=tce.Staged(3, tce.Replace()), generations=4, metrics=["retention"])
    assert seen == [None, (1, 3), (2, 3), None, None]


def test_divergences_and_entropy_rates_are_those_of_chains():
    model = trained(SOURCE)
    table = np.array([law(model, (a, b)) for a in range(3) for b in range(3)])
    lifted = SOURCE.chain(2)
    origin, ours = (
        tce.MarkovChain(rows, order=2, start=lifted.start, length=8) for rows in (lifted.transition.copy(), table)
    )
    assert model.to_chain().transition == pytest.approx(table, rel=1e-12)
    for name in ("kl_rate_from_origin", "kl_rate_to_origin", "entropy_rate"):
        assert model.measure(name, small()) == pytest.approx(ours.measure(name, origin), rel=1e-9), name
    truth = small()
    assert truth.measure("kl_rate_from_origin", truth) == 0
    assert truth.measure("entropy_rate", truth) == pytest.approx(CHAIN.entropy_rate(), rel=1e-9)


def test_the_divergence_from_a_law_with_impossible_tokens():
    """Of a corpus of facts, whose contexts and transitions are few among those that are possible."""
    model = trained(FACTS, context=3)
    chain = FACTS.chain(3)
    occupied = tce.MarkovChain.occupation(chain)
    total = 0.0
    for (*context, token), row, p in zip(chain.ngrams.tolist(), chain.frame.rows, chain.probs, strict=True):
        total += occupied[row] * p * (math.log(p) - math.log(law(model, context)[token])) if p > 0 else 0.0
    assert model.measure("kl_rate_from_origin", model) == pytest.approx(total, rel=1e-9)
    assert model.measure("kl_rate_to_origin", model) == math.inf


def test_the_entropy_rate_after_contexts_of_a_text():
    model = trained(TEXT, length=3)
    v = TEXT.vocabulary
    laws = np.array([law(model, (a, b)) for a in range(v) for b in range(v)])
    now = np.zeros(v * v)
    for context, _ in held_out(TEXT, 2):
        now[context[0] * v + context[1]] += 1 / (TEXT.held_out.size - 2)
    total = 0.0
    for _ in range(3):
        total += -(now[:, None] * laws * np.log(laws)).sum() / 3
        after = np.zeros(v * v)
        for row in np.flatnonzero(now):
            after[row % v * v : row % v * v + v] += now[row] * laws[row]
        now = after
    assert model.measure("entropy_rate", model) == pytest.approx(total, rel=1e-9)


# --------------------------------------------------------------------------------------------------- of a fit


def naive_distinct(rows, n):
    grams = [tuple(row[i : i + n]) for row in rows for i in range(len(row) - n + 1)]
    return len(set(grams)) / len(grams)


@pytest.mark.parametrize("regime", [tce.Replace(), tce.Staged(3)], ids=str)
def test_metrics_of_the_data(spy, regime):
    names = ["confidence_synthetic", "distinct_1", "distinct_2", "distinct_3", "unigram_kl", "masked_share"]
    loss = tce.TCE(0.6)
    run = run_of(small(), loss, regime=regime, metrics=names, n_samples=60)
    unigrams = CHAIN.start
    for t, (_, windows, theta) in enumerate(spy.fits, 1):
        values = {name: run.metrics[name][0, t] for name in names}
        model = small(parameters=theta)
        p = np.array([law(model, window[:-1])[window[-1]] for window in windows])
        staged = isinstance(regime, tce.Staged)
        own = np.arange(len(windows)) < len(windows) - 60 if staged and t > 1 else np.full(len(windows), True)
        assert values["confidence_synthetic"] == pytest.approx(p[own].mean(), rel=1e-10)
        assert values["masked_share"] == pytest.approx((p > 0.6).mean())
        tokens = windows[own, -1].tolist()
        rows = [tokens[i : i + 8] for i in range(0, len(tokens), 8)]
        for n in (1, 2, 3):
            assert values[f"distinct_{n}"] == pytest.approx(naive_distinct(rows, n), rel=1e-12)
        shares = {token: count / len(windows) for token, count in Counter(windows[:, -1].tolist()).items()}
        divergence = sum(share * math.log(share / unigrams[token]) for token, share in shares.items())
        assert values["unigram_kl"] == pytest.approx(divergence, rel=1e-6)
    assert all(np.isnan(run.metrics[name][0, 0]) for name in names)


def test_distinct_keeps_to_blocks_and_to_large_vocabularies():
    rng = np.random.default_rng(1)
    for size in (2, 2**30):
        tokens, blocks = rng.integers(size, size=50), np.arange(50) // 7
        rows = [tokens[blocks == block].tolist() for block in range(8)]
        for n in (1, 2, 3):
            assert metrics.distinct(tokens, blocks, n) == naive_distinct(rows, n)
    assert metrics.distinct(np.array([1, 2]), np.array([0, 0]), 3) == 0
    assert metrics.distinct(np.array([1, 2, 3]), np.array([0, 1, 2]), 2) == 0


def test_unigrams():
    assert metrics.unigram_divergence(np.array([0, 1]), np.array([1.0, 0.0])) == math.inf
    assert metrics.unigram_divergence(np.array([0, 0]), np.array([1.0, 0.0])) == 0
    assert small().yardstick.unigrams == pytest.approx(CHAIN.start)
    everything = np.concatenate([TEXT.training, TEXT.held_out])
    assert small(TEXT).yardstick.unigrams == pytest.approx(np.bincount(everything) / everything.size)
    exact = small(FACTS).yardstick.unigrams
    counted = np.bincount(FACTS.stream(200_000, np.random.default_rng(1)), minlength=exact.size) / 200_000
    assert np.abs(counted - exact).max() < 0.005
    assert small(FACTS, context=1).yardstick.unigrams == pytest.approx(exact, abs=0.005)  # where no chain is known


# --------------------------------------------------------------------------------------------------- the head

LOSSES = (CE, tce.TCE(0.9), tce.TCE(0.3), tce.FocalLoss(2.0), tce.TCE(0.6, mask="previous"))
ENGINES = {
    "minibatch": Training(engine="minibatch", epochs=3),
    "counts": Training(engine="counts", epochs=30),
    "descent": Training(engine="counts", optimiser="sgd", epochs=30),
}


@pytest.mark.parametrize("loss", LOSSES, ids=repr)
@pytest.mark.parametrize("training", ENGINES.values(), ids=ENGINES)
def test_the_head_at_the_end_of_every_fit(spy, training, loss):
    """`head-identity` to 1e-10 at every generation, each side as it is defined; and the certificate."""
    options = {"metrics": [*metrics.HEAD, "masked_share"], "decoding": tce.Temperature(0.7)}
    run = run_of(small(FACTS, training=training), loss, **options)
    values = {name: array[0, 1:] for name, array in run.metrics.items()}
    assert np.isfinite(values["unmasked_entropy"]).all()
    excess = values["unmasked_cross_entropy"] - values["unmasked_entropy"]
    assert np.abs(values["head_product"] - excess).max() < 1e-10
    assert (np.abs(values["head_product"]) <= values["head_certificate"]).all()
    gamma = getattr(loss, "gamma", 1.0)
    assert values["floor_gap"] == pytest.approx(values["unmasked_entropy"] + math.log(gamma), abs=1e-12)
    for t, (before, windows, theta) in enumerate(spy.fits):
        model, previous = small(FACTS, parameters=theta), small(FACTS, parameters=before)
        laws = np.array([law(model, window[:-1]) for window in windows])
        p = laws[np.arange(len(windows)), windows[:, -1]]
        masking = p if loss != LOSSES[-1] else np.array([law(previous, w[:-1])[w[-1]] for w in windows])
        weights = np.asarray(loss.weight(masking))
        entropies = -(laws * np.log(laws)).sum(axis=1)
        assert values["unmasked_cross_entropy"][t] == pytest.approx((weights * -np.log(p)).sum() / weights.sum())
        assert values["unmasked_entropy"][t] == pytest.approx((weights * entropies).sum() / weights.sum())
        product = 0.0
        for weight, window, q in zip(weights, windows, laws, strict=True):
            z = logits(model, window[:-1])
            product += weight * (q @ z - z[window[-1]]) / weights.sum()
        assert values["head_product"][t] == pytest.approx(product, abs=1e-9)
        assert values["masked_share"][t] == pytest.approx(1 - weights.mean(), abs=1e-12)


def test_no_unmasked_target():
    run = run_of(small(training=ENGINES["descent"]), tce.TCE(0.01), metrics=[*metrics.HEAD, *metrics.AVERAGES])
    for name in ("unmasked_entropy", "unmasked_cross_entropy", "floor_gap", "average_floor_slack"):
        assert (run.metrics[name][:, 1:] == math.inf).all()
    for name in ("head_product", "head_certificate", "average_excess"):
        assert (run.metrics[name][:, 1:] == 0).all()


@pytest.mark.parametrize("loss", [CE, tce.TCE(0.5)], ids=repr)
def test_averages_over_a_training(spy, loss):
    """`floor-on-average`: both sides from the network after every single step."""
    training = Training(engine="counts", optimiser="sgd", rate=0.3, epochs=12)
    run = run_of(small(training=training), loss, metrics=metrics.AVERAGES, generations=2)
    for t, (start, windows, end) in enumerate(spy.fits, 1):
        shape, rng, gamma = small().architecture, np.random.default_rng(1), getattr(loss, "gamma", 1.0)
        theta, steps, level, shares = start, [], 0.0, 0.0
        for _ in range(12):
            record = head_record(shape, theta, windows, loss)
            share = record.unmasked_share
            steps.append(share * (record.unmasked_cross_entropy - record.unmasked_entropy))
            level += share * (record.unmasked_entropy + math.log(gamma))
            shares += share
            after = train(
                shape, theta, windows, loss, Training(engine="counts", optimiser="sgd", rate=0.3, epochs=1), rng
            ).theta
            theta, before = after, theta
            steps[-1] = (steps[-1], np.linalg.norm(shape.head(after) - shape.head(before)) / 0.3)
        assert theta == pytest.approx(end, rel=1e-9)
        excess, slopes = np.array(steps).T
        squared = [float(shape.head(one) @ shape.head(one)) for one in (start, end)]
        curvature = 0.15 * (slopes**2).mean()
        bound = squared[0] / (2 * 0.3 * 12) + curvature
        assert run.metrics["average_excess"][0, t] == pytest.approx(excess.mean(), abs=1e-10)
        identity = (squared[0] - squared[1]) / (2 * 0.3 * 12) + curvature
        assert run.metrics["average_excess_identity"][0, t] == pytest.approx(identity, abs=1e-9)
        assert abs(run.metrics["average_excess"][0, t] - run.metrics["average_excess_identity"][0, t]) < 1e-10
        assert run.metrics["average_floor_slack"][0, t] == pytest.approx((level + 12 * bound) / shares, rel=1e-9)
        assert run.metrics["average_floor_slack"][0, t] >= 0


@pytest.mark.parametrize(
    ("loss", "holds"),
    [
        (CE, True),
        (tce.TCE(0.4), True),
        (tce.FocalLoss(3.0), True),
        (tce.TCE(0.4, mask="previous"), False),
        (tce.SmoothTruncatedCrossEntropy(0.3, 0.5), False),
    ],
    ids=["CE", "TCE", "focal", "previous", "smooth"],
)
def test_the_floor_needs_targets_that_are_unmasked_by_their_own_probability(loss, holds):
    source = MarkovSource(tce.MarkovChain(np.full((3, 3), 0.05) + 0.85 * np.eye(3)))
    model = small(source, context=1, training=Training(engine="counts", optimiser="sgd", rate=1.0, epochs=300))
    names = ["average_floor_slack", "floor_gap", "head_certificate"]
    slack, gap, certificate = (
        array[:, 1:] for array in run_of(model, loss, n_samples=300, metrics=names).metrics.values()
    )
    assert (slack.min() >= 0) == holds
    assert ((gap + certificate).min() >= 0) == holds


@pytest.mark.parametrize(
    "training",
    [
        Training(engine="counts"),
        Training(engine="counts", optimiser="sgd", momentum=0.5),
        Training(engine="counts", optimiser="sgd", final_rate=0.5),
        Training(engine="counts", optimiser="sgd", held_out=0.2, keep="best"),
        Training(engine="minibatch", optimiser="sgd"),
    ],
    ids=["Adam", "momentum", "decay", "best", "minibatch"],
)
def test_averages_need_plain_descent(training):
    assert not set(metrics.AVERAGES) & set(small(training=training).metric_names)


# --------------------------------------------------------------------------------------------------- exact fits


@pytest.mark.parametrize("gamma", [0.2, 0.45, 0.62, 0.95])
def test_the_record_of_an_exact_fit(gamma):
    """At the fit itself H_S = CE_S, and H_S is at least −log gamma: `entropy-identity`, with weights on the cap."""
    shape = Architecture(3, 1, None)
    tokens = SOURCE.stream(300, np.random.default_rng(4))
    windows = np.lib.stride_tricks.sliding_window_view(tokens, 2).copy()
    result = train(shape, np.zeros(9), windows, tce.TCE(gamma), Training(), np.random.default_rng(1))
    record = metrics.capped_record(shape, result.theta, windows, gamma)
    fit = CHAIN.fit(tokens, tce.TCE(gamma))
    if gamma == 0.2:
        assert record.unmasked_share == 0
        assert metrics.head_metrics(record)["unmasked_entropy"] == math.inf
        return
    assert 1 - record.unmasked_share == pytest.approx(fit.masked_weight / len(windows), abs=1e-9)
    assert abs(record.product) < 1e-12
    assert record.unmasked_cross_entropy == pytest.approx(record.unmasked_entropy, rel=1e-12)
    assert record.unmasked_entropy >= -math.log(gamma) - 1e-12
    counted = metrics.capped_record(shape, result.theta, ContextCounts.from_windows(windows, 3), gamma)
    assert counted.unmasked_share == pytest.approx(record.unmasked_share)
    off = result.theta + np.random.default_rng(2).normal(
        0, 0.1, 9
    )  # off the fit the identity holds, the floor need not
    moved = metrics.capped_record(shape, off - np.log(np.exp(off.reshape(3, 3)).sum(1)).repeat(3), windows, gamma)
    assert moved.product == pytest.approx(moved.unmasked_cross_entropy - moved.unmasked_entropy, abs=1e-12)
    assert abs(moved.product) > 1e-4


def test_a_cap_of_1_masks_nothing():
    """TCE with gamma = 1 is cross entropy, also where a token is certain."""
    shape, theta = Architecture(2, 1, None), np.array([0.0, -np.inf, np.log(0.5), np.log(0.5)])
    windows = np.array([[0, 0], [0, 0], [1, 0], [1, 1]])
    found, expected = metrics.capped_record(shape, theta, windows, 1.0), head_record(shape, theta, windows, CE)
    assert (found.unmasked_share, expected.unmasked_share) == (1.0, 1.0)
    assert found.unmasked_entropy == pytest.approx(expected.unmasked_entropy)
    assert metrics.capped_weights(shape, theta, windows, 1.0).tolist() == [1.0] * 4
