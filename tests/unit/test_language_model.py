"""Neural language models as a family: corpora in all regimes, streams, divergence, files, refusals."""

import hashlib
import json
import math
import pickle
import warnings
from dataclasses import replace

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.decoding import BeamSearch
from tce_theory.models.base import Control
from tce_theory.neural import recursion
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource, TextSource
from tce_theory.neural.training import ContextCounts, Training
from tce_theory.recursion import block_generator, simulate_part

CE = tce.CrossEntropy()
CHAIN = tce.MarkovChain([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]])
SOURCE = MarkovSource(CHAIN)
FACTS = KnowledgeCorpus(facts=8, relations=2, objects=4, filler=1, filler_words=3, filler_entropy=0.8)
TEXT = TextSource("it was the best of times, it was the worst of times; " * 20)
METRICS = ["entropy_rate", "kl_rate_from_origin", "heldout_cross_entropy", "masked_share", "distinct_2"]


def small(source=SOURCE, **options):
    settings = {"context": 2, "embedding": 3, "hidden": (4,), "length": 8, "training": Training(epochs=4)}
    return NeuralLanguageModel(source, **settings | options)


def run_of(model, loss=CE, **options):
    settings = {"n_samples": 40, "generations": 3, "replicates": 2, "seed": 5, "metrics": METRICS} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(model, loss, **settings)


def bits(run, rows=slice(None), columns=slice(None)):
    return {name: array[rows, columns].tobytes() for name, array in run.metrics.items()}


class Spy:
    """What every training of a run was given, in order, and what came of it."""

    def __init__(self, monkeypatch):
        self.windows, self.start, self.previous, self.theta = [], [], [], []
        self.train = recursion.train
        monkeypatch.setattr(recursion, "train", self)

    def __call__(self, architecture, theta, windows, loss, training, rng, previous=None, **rest):
        result = self.train(architecture, theta, windows, loss, training, rng, previous, **rest)
        for seen, value in ((self.windows, windows), (self.start, theta), (self.previous, previous)):
            seen.append(value.copy())
        self.theta.append(result.theta.copy())
        return result


@pytest.fixture
def spy(monkeypatch):
    return Spy(monkeypatch)


# ------------------------------------------------------------------------------------------------- corpora


def is_continuous(windows, length):
    """Whether windows of each block follow one another."""
    follows = (windows[1:, :-1] == windows[:-1, 1:]).all(axis=1)
    inside = np.arange(1, len(windows)) % length != 0
    return bool(follows[inside].all())


@pytest.mark.parametrize(
    ("regime", "sizes"),
    [
        (tce.Replace(), [20, 20, 20]),
        (tce.FreshMix(0.5), [20, 20, 20]),
        (tce.Accumulate(), [20, 40, 60]),
        (tce.AccumulateSubsample(), [20, 20, 20]),
        (tce.Staged(2, tce.Replace()), [20, 40, 20]),
    ],
)
def test_sizes(spy, regime, sizes):
    run = run_of(small(), regime=regime, n_samples=20, replicates=1)
    assert [windows.shape for windows in spy.windows] == [(size, 3) for size in sizes]
    assert all(windows.dtype == np.int64 and windows.min() >= 0 and windows.max() < 3 for windows in spy.windows)
    assert run.metrics["masked_share"].shape == (1, 4)
    assert np.isnan(run.metrics["masked_share"][:, 0]).all()


def test_samples_that_grow_and_blocks_that_do_not_fit(spy):
    run_of(small(), n_samples=[5, 21, 43], replicates=1)
    assert [len(windows) for windows in spy.windows] == [5, 21, 43]
    assert is_continuous(spy.windows[0], 8)
    assert is_continuous(spy.windows[2], 8)


def test_every_block_continues_the_block_before_it_of_the_corpus_before(spy):
    run_of(small(), replicates=1)
    for before, after in zip(spy.windows[:-1], spy.windows[1:], strict=True):
        ends, starts = before[7::8, 1:], after[::8, :-1]
        assert np.array_equal(starts, np.roll(ends, 1, axis=0))
        assert is_continuous(after, 8)


def test_real_prompts_are_contexts_of_real_text(spy):
    """Of a source that counts up, which no untrained network does."""
    cycle = MarkovSource(tce.MarkovChain(np.roll(np.eye(5), 1, axis=1)))
    run_of(small(cycle, prompts="real", training=Training(epochs=1)), replicates=1, metrics=["heldout_cross_entropy"])
    for windows in spy.windows[1:]:
        prompts = windows[::8, :-1]
        assert np.array_equal(prompts[:, 1], (prompts[:, 0] + 1) % 5)
        assert not np.array_equal(windows[:, -1], (windows[:, -2] + 1) % 5)


def test_the_first_corpus_is_real_and_not_decoded(spy):
    run_of(small(), replicates=1, decoding=tce.TopK(1), generations=2)
    assert is_continuous(spy.windows[0], len(spy.windows[0]) + 1)
    rng = block_generator(5, 0)
    rng.spawn(1)
    data, _, _ = rng.spawn(3)
    tokens = SOURCE.stream(42, data)
    assert np.array_equal(spy.windows[0], np.lib.stride_tricks.sliding_window_view(tokens, 3))
    greedy = {}
    for *context, token in spy.windows[1].tolist():
        greedy.setdefault(tuple(context), set()).add(token)
    assert all(len(tokens) == 1 for tokens in greedy.values())


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_fresh_blocks(spy, share):
    """Real text counts up; a network that was never trained does not."""
    cycle = MarkovSource(tce.MarkovChain(np.roll(np.eye(5), 1, axis=1)))
    model = small(cycle, training=Training(epochs=1, rate=1e-12))
    run_of(model, regime=tce.FreshMix(share), n_samples=1600, replicates=1, metrics=["masked_share"])
    for windows in spy.windows[1:]:
        counts_up = (windows[:, -1] == (windows[:, -2] + 1) % 5).reshape(-1, 8)
        fresh = counts_up.all(axis=1)
        if share in (0.0, 1.0):
            assert fresh.all() == bool(share)
        else:
            assert 0.25 < fresh.mean() < 0.55  # of 200 blocks, four standard deviations
        assert not counts_up[~fresh, -1].all() or share == 1


def subjects_and_relations(windows, corpus=FACTS):
    """Which facts are stated in windows of 2 + 1 tokens, by subject and relation."""
    objects = np.unique(np.concatenate([corpus.facts.true, corpus.facts.false]))
    pairs = windows[np.isin(windows[:, -1], objects)][:, :2]
    known = {tuple(pair): fact for fact, (pair,) in enumerate(corpus.facts.contexts(2).tolist())}
    return {known[tuple(pair)] for pair in pairs.tolist() if tuple(pair) in known}


def test_stages_take_disjoint_parts_of_the_facts(spy):
    run_of(small(FACTS), regime=tce.Staged(4), generations=4, n_samples=200, replicates=1, metrics=["retention"])
    part = FACTS.facts.part_of(4)
    for stage, windows in enumerate(spy.windows):
        fresh = windows[-200:]
        assert subjects_and_relations(fresh) == set(np.flatnonzero(part == stage))
        assert len(windows) == 200 * (stage + 1)


def test_a_stage_regenerates_the_whole_corpus_before_block_by_block(spy):
    run_of(small(), regime=tce.Staged(3), replicates=1)
    for before, after in zip(spy.windows[:-1], spy.windows[1:], strict=True):
        ends, starts = before[7::8, 1:], after[: len(before) : 8, :-1]
        assert np.array_equal(starts, np.roll(ends, 1, axis=0))


def test_accumulated_windows_stay_and_subsamples_come_from_them(spy):
    run_of(small(), regime=tce.Accumulate(), replicates=1)
    first, second, third = spy.windows
    assert np.array_equal(second[:40], first)
    assert np.array_equal(third[:80], second)
    spy.windows.clear()
    run_of(small(), regime=tce.AccumulateSubsample(), replicates=1)
    assert np.array_equal(np.sort(spy.windows[0], axis=0), np.sort(first, axis=0))
    kinds, counts = np.unique(spy.windows[1], axis=0, return_counts=True)
    pool = np.concatenate([first, second[40:]])
    for kind, count in zip(kinds, counts, strict=True):
        assert count <= (pool == kind).all(axis=1).sum()


@pytest.mark.parametrize("decoding", [None, tce.Temperature(0.7), tce.TopP(0.8), BeamSearch(2, repetition_penalty=1.5)])
@pytest.mark.parametrize("source", [SOURCE, FACTS, TEXT], ids=["chain", "facts", "text"])
def test_every_source_with_every_decoding(source, decoding):
    run = run_of(small(source), n_samples=60, generations=2, decoding=decoding, metrics=None)
    for values in run.metrics.values():
        assert np.isfinite(values[:, 1:]).all()
    assert set(run.events) == {"vacuous", "diverged"}
    assert (run.events["diverged"] == -1).all()


# ------------------------------------------------------------------------------------------------- streams


def test_bits_do_not_depend_on_the_number_of_threads_or_replicates():
    one = run_of(small(), replicates=3)
    assert one.provenance["block_size"] == 1
    assert bits(run_of(small(), replicates=3, n_jobs=2)) == bits(one)
    assert bits(run_of(small(), replicates=2), slice(0, 2)) == bits(one, slice(0, 2))
    longer = run_of(small(), replicates=1, generations=5)
    assert bits(longer, slice(0, 1), slice(0, 4)) == bits(one, slice(0, 1))
    assert bits(run_of(small(), replicates=3, seed=6)) != bits(one)


def test_a_part_of_a_run():
    regime, sizes = tce.Staged(3), np.full(3, 40)
    whole = run_of(small(), tce.TCE(0.6), regime=regime, replicates=3)
    prepared = small().recursion(tce.TCE(0.6), sizes, regime, "auto")
    part = simulate_part(prepared, range(1, 3), metrics=METRICS, seed=5)
    for name in METRICS:
        assert part.metrics[name].tobytes() == whole.metrics[name][1:].tobytes()
    assert simulate_part(prepared, range(1), metrics=METRICS, seed=5, stop=np.ones(1, np.uint8)) is None


def test_it_stops_between_generations():
    control = Control(np.zeros(1, np.uint8), np.zeros(8, np.int64), 0)

    def stop(model):
        control.stop[0] = model.parameters is not None
        return 0.0

    prepared = small().recursion(CE, np.full(50, 40), tce.Replace(), "auto")
    prepared.run_block(block_generator(1, 0), 1, [], {"stop": stop}, control)
    assert control.progress[0] == 1


def test_losses_of_one_seed_share_real_text_and_the_first_network(spy):
    regime = tce.Staged(3)
    for loss in (CE, tce.TCE(0.5)):
        run_of(small(), loss, regime=regime, replicates=1)
    first, second = slice(0, 3), slice(3, 6)
    assert np.array_equal(spy.start[0], spy.start[3])
    assert np.array_equal(spy.windows[0], spy.windows[3])
    for one, other in zip(spy.windows[first], spy.windows[second], strict=True):
        assert np.array_equal(one[-40:], other[-40:])  # the fresh part
    assert not np.array_equal(spy.theta[0], spy.theta[3])


def test_training_starts_warm_and_masks_by_the_model_before(spy):
    run_of(small(), tce.TCE(0.6, mask="previous"), replicates=1)
    for t in (1, 2):
        assert np.array_equal(spy.start[t], spy.theta[t - 1])
    for start, previous in zip(spy.start, spy.previous, strict=True):
        assert np.array_equal(start, previous)


def test_a_network_as_generation_0(spy):
    theta = small().architecture.initial(np.random.default_rng(3))
    model = small(parameters=theta)
    run = run_of(model, replicates=1)
    assert np.array_equal(spy.start[0], theta)
    assert run.metrics["kl_rate_from_origin"][0, 0] == model.measure("kl_rate_from_origin", model) > 0.01
    assert not is_continuous(spy.windows[0], len(spy.windows[0]) + 1)  # written in blocks
    assert is_continuous(spy.windows[0], 8)


def test_golden_example():
    """Results of a small run, which a change of any part of the recursion would change."""
    regime = tce.Staged(2, tce.FreshMix(0.3))
    run = run_of(small(), tce.TCE(0.6), regime=regime, decoding=tce.Temperature(0.8), replicates=1)
    assert run.metrics["kl_rate_from_origin"][0] == pytest.approx(GOLDEN["kl_rate_from_origin"], rel=1e-6)
    assert run.metrics["distinct_2"][0, 1:] == pytest.approx(GOLDEN["distinct_2"], rel=1e-6)


GOLDEN = {
    "kl_rate_from_origin": [0.0, 0.2418222334, 0.2071520334, 0.1887655699],
    "distinct_2": [0.2285714286, 0.2571428571, 0.2857142857],
}


# ------------------------------------------------------------------------------------------------- divergence


def wild(**options):
    return small(training=Training(optimiser="sgd", rate=1e200, epochs=6, engine="minibatch"), **options)


def test_divergence_is_an_event_and_ends_the_replicate():
    metrics, control = (
        ["heldout_cross_entropy", "masked_share"],
        Control(np.zeros(1, np.uint8), np.zeros(1, np.int64), 0),
    )
    prepared = wild().recursion(CE, np.full(3, 40), tce.Replace(), "auto")
    block = prepared.run_block(block_generator(1, 0), 1, metrics, {}, control)
    assert block.events["diverged"].tolist() == [1]
    assert np.isnan(block.metrics["heldout_cross_entropy"][:, 1:]).all()
    assert np.isfinite(block.metrics["heldout_cross_entropy"][:, 0]).all()
    assert control.progress[0] == 3  # none is left to do


def test_a_fit_that_diverges_is_refused():
    with pytest.raises(tce.DegenerateFitError, match="take a smaller rate than 1e\\+200"):
        tce.fit(wild(), SOURCE.stream(50, np.random.default_rng(1)), CE)


# ------------------------------------------------------------------------------------------------- one model


@pytest.mark.parametrize("source", [SOURCE, FACTS, TEXT], ids=["chain", "facts", "text"])
def test_a_model_of_every_source(source):
    model = small(source)
    windows = model.sample(30, seed=1)
    assert windows.shape == (30, 3)
    assert np.array_equal(windows, model.sample(30, seed=1))
    fit = tce.fit(model, windows, tce.TCE(0.9))
    trained = fit.model
    assert trained.parameters.size == model.architecture.n_parameters
    assert trained.parameters is not model.parameters
    assert trained.yardstick is model.yardstick
    assert trained.sample(30, seed=1).shape == (30, 3)
    greedy = trained.decoded(tce.TopK(1))
    assert np.array_equal(greedy.sample(64, seed=3)[1:8], greedy.sample(64, seed=3)[1:8])
    p = trained.target_probs(windows)
    assert p.shape == (30,)
    assert ((p > 0) & (p <= 1)).all()
    assert fit.weights.tolist() == (p <= 0.9).astype(float).tolist()
    assert fit.masked_weight == (p > 0.9).sum()
    assert fit.objective == pytest.approx(np.maximum(-np.log(p), -math.log(0.9)).mean(), rel=1e-12)
    assert 0 < trained.peak() <= 1
    described = json.dumps(model.describe())
    assert described == json.dumps(small(source).describe())
    assert described != json.dumps(trained.describe())
    assert "times" not in described
    assert "checkpoints" not in described


def test_fit_from_a_seed_from_tokens_and_from_counts():
    model = small(training=Training(epochs=3, engine="counts"))
    tokens = SOURCE.stream(52, np.random.default_rng(1))
    windows = np.lib.stride_tricks.sliding_window_view(tokens, 3)
    one = model.fit(windows, tce.TCE(0.4), seed=7)
    assert np.array_equal(model.fit(tokens, tce.TCE(0.4), seed=7).model.parameters, one.model.parameters)
    assert not np.array_equal(model.fit(tokens, tce.TCE(0.4), seed=8).model.parameters, one.model.parameters)
    counts = model.fit(ContextCounts.from_windows(windows, 3), tce.TCE(0.4), seed=7)
    assert np.array_equal(counts.model.parameters, one.model.parameters)
    assert counts.weights.shape == (ContextCounts.from_windows(windows, 3).counts.size,)
    assert counts.masked_weight == pytest.approx(one.masked_weight)
    assert counts.objective == pytest.approx(one.objective)
    again = one.model.fit(tokens, CE)
    assert not np.array_equal(again.model.parameters, one.model.parameters)
    assert again.n_iter == 3


def test_weights_of_an_exact_fit_are_those_of_the_chain():
    """On gamma a weight is what stationarity says, and not 0 or 1 as rounding would have it."""
    table = small(context=1, embedding=None, hidden=(), training=Training())
    tokens = SOURCE.stream(400, np.random.default_rng(2))
    for gamma in (0.5, 0.62, 0.95):
        ours, exact = tce.fit(table, tokens, tce.TCE(gamma)), tce.fit(CHAIN, tokens, tce.TCE(gamma))
        assert ours.model.to_chain().probs == pytest.approx(exact.model.probs, rel=1e-12)
        windows = np.lib.stride_tricks.sliding_window_view(tokens, 2)
        assert ours.weights == pytest.approx(exact.weights.reshape(3, 3)[windows[:, 0], windows[:, 1]], rel=1e-9)
        assert ours.masked_weight == pytest.approx(exact.masked_weight, rel=1e-9)
        assert ours.objective == pytest.approx(exact.objective, rel=1e-12)
    everything = tce.fit(table, tokens, tce.TCE(0.62))
    assert len(everything.boundary_index)
    assert (everything.boundary_weight < 1).all()
    counts = ContextCounts.from_windows(np.lib.stride_tricks.sliding_window_view(tokens, 2), 3)
    (share,) = set(table.fit(counts, tce.TCE(0.62)).boundary_weight.tolist())
    assert share == pytest.approx(everything.boundary_weight[0])


def test_a_vacuous_fit_is_said_so():
    model = small(context=1, embedding=None, hidden=(), training=Training(engine="counts", optimiser="sgd", epochs=9))
    sure = model.fit([0, 1] * 20, CE).model.fit([0, 1] * 20, CE).model
    with pytest.warns(tce.StatisticalWarning, match="determine no fit"):
        fit = tce.fit(sure, [0, 1] * 20, tce.TCE(0.4))
    assert fit.vacuous
    assert np.array_equal(fit.model.parameters, sure.parameters)
    run = run_of(small(training=Training(engine="counts", epochs=3)), tce.TCE(0.01), replicates=1)
    assert run.events["vacuous"].tolist() == [3]
    assert (run.metrics["masked_share"][0, 1:] == 1).all()


def test_laws():
    model = small(context=1, embedding=None, hidden=(), training=Training(), length=5)
    assert model.to_chain().transition == pytest.approx(CHAIN.transition)
    law = model.law(tce.TopK(1))  # real text is not decoded
    assert law.counts == pytest.approx(CHAIN.start[:, None] * CHAIN.transition)
    trained = model.fit(law, tce.TCE(0.65)).model
    assert trained.to_chain().transition[1:] == pytest.approx(CHAIN.transition[1:], rel=1e-9)
    assert trained.to_chain().transition[0].max() == pytest.approx(0.65)
    cold = trained.law(tce.Temperature(0.5))
    rows = trained.to_chain().transition ** 2
    rows /= rows.sum(axis=1, keepdims=True)
    assert cold.counts / cold.counts.sum(axis=1, keepdims=True) == pytest.approx(rows)
    occupied = sum(CHAIN.start @ np.linalg.matrix_power(rows, step) for step in range(5)) / 5
    assert cold.counts.sum(axis=1) == pytest.approx(occupied)
    with pytest.raises(tce.UnsupportedCombinationError, match="as a whole"):
        trained.law(BeamSearch())


def test_no_context_at_all():
    model = small(
        MarkovSource(tce.MarkovChain([[0.8, 0.2], [0.8, 0.2]])),
        context=0,
        embedding=None,
        hidden=(),
        training=Training(),
    )
    run = run_of(model, metrics=["kl_rate_from_origin", "entropy_rate", "predictive_entropy"], replicates=1)
    assert run.metrics["entropy_rate"] == pytest.approx(run.metrics["predictive_entropy"])
    assert (run.metrics["kl_rate_from_origin"][0, 1:] > 0).all()
    trained = model.fit([0, 0, 0, 1], CE).model
    assert trained.to_chain().transition == pytest.approx(np.array([[0.75, 0.25]] * 2))
    assert trained.law().counts == pytest.approx(np.array([[0.75, 0.25]]))


def test_tokens_that_an_exact_fit_has_lost_are_never_written():
    model = small(context=1, embedding=None, hidden=(), training=Training())
    trained = model.fit([0, 1, 0, 1, 0, 0], CE).model
    assert np.isneginf(trained.parameters).any()
    assert set(map(tuple, trained.sample(400, seed=1)[1:, :].tolist())) >= {(0, 0), (0, 1), (1, 0)}
    windows = trained.sample(400, seed=1)
    assert not ((windows[:, 0] == 1) & (windows[:, 1] == 1)).any()
    assert trained.measure("kl_rate_from_origin", model) == math.inf
    hot = trained.decoded(tce.Temperature(1e6)).sample(4000, seed=1)
    assert not ((hot[:, 0] == 1) & (hot[:, 1] == 1)).any()
    assert (hot[hot[:, 0] == 0, 1] == 1).mean() > 0.4


# ------------------------------------------------------------------------------------------------- files


def test_a_model_comes_back_from_its_file(tmp_path):
    model = small(FACTS, prompts="real", training=Training(epochs=2, optimiser="sgd", momentum=0.5))
    trained = model.fit(model.sample(40, seed=1), CE).model
    path = tmp_path / "network"
    for one in (model, trained):
        one.save(path)
        back = NeuralLanguageModel.load(path, FACTS)
        assert back.describe() == one.describe()
        assert (back.parameters is None) == (one.parameters is None)
    assert back.parameters.tobytes() == trained.parameters.tobytes()
    assert pickle.loads(pickle.dumps(trained)).parameters.tobytes() == trained.parameters.tobytes()


def test_a_table_with_lost_tokens_comes_back(tmp_path):
    model = small(context=1, embedding=None, hidden=(), training=Training())
    trained = model.fit([0, 1, 0, 1, 0, 0], CE).model
    trained.save(tmp_path / "table")
    assert NeuralLanguageModel.load(tmp_path / "table", SOURCE).parameters.tobytes() == trained.parameters.tobytes()


def test_damaged_and_foreign_files(tmp_path):
    path = tmp_path / "network"
    model = small()
    model.fit(model.sample(40, seed=1), CE).model.save(path)
    whole = path.read_bytes()
    with pytest.raises(tce.RunFileError, match="another source"):
        NeuralLanguageModel.load(path, TEXT)
    with pytest.raises(FileNotFoundError):
        NeuralLanguageModel.load(tmp_path / "none", SOURCE)
    rng = np.random.default_rng(1)
    for size in (0, 1, 30, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:size])
        with pytest.raises(tce.RunFileError) as caught:
            NeuralLanguageModel.load(path, SOURCE)
        assert "\n" not in str(caught.value)
    for content in (b"hello", rng.bytes(3000)):
        path.write_bytes(content)
        with pytest.raises(tce.RunFileError):
            NeuralLanguageModel.load(path, SOURCE)
    run_of(model, replicates=1, generations=1).save(path)
    with pytest.raises(tce.RunFileError, match="no checkpoint"):
        NeuralLanguageModel.load(path, SOURCE)


def test_the_network_of_every_generation_is_kept(tmp_path, spy):
    folder = tmp_path / "kept"
    run = run_of(small(checkpoints=folder), n_jobs=2)
    assert bits(run) == bits(run_of(small()))
    assert run.provenance["model"] == run_of(small()).provenance["model"]
    names = sorted(path.name for path in folder.iterdir())
    assert names == [f"replicate-{r:04d}-generation-{t:04d}.npz" for r in (0, 1) for t in (1, 2, 3)]
    for r, t in ((0, 1), (1, 3)):
        kept = NeuralLanguageModel.load(folder / f"replicate-{r:04d}-generation-{t:04d}.npz", SOURCE)
        assert kept.measure("entropy_rate", kept) == run.metrics["entropy_rate"][r, t]
        assert hashlib.sha256(kept.parameters.tobytes()).hexdigest() == kept.describe()["parameters"]


# ------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"source": CHAIN}, "source must be a source of text"),
        ({"training": 3}, "training must be a Training"),
        ({"context": 0}, "context must be an integer of at least 1"),
        ({"length": 0}, "length must be"),
        ({"prompts": "none"}, "prompts must be one of"),
        ({"hidden": 64}, "hidden must be a tuple"),
        ({"embedding": None}, "hidden must be \\(\\)"),
        (
            {"parameters": np.zeros(3)},
            "parameters must be 57 numbers, those of this network, got '3 numbers'|parameters",
        ),
        ({"source": TextSource("to be or not to be " * 5), "context": 40}, "context must be below the 9 tokens"),
    ],
)
def test_what_is_no_model(options, message):
    with pytest.raises(tce.DomainError, match=message):
        small(**options)


@pytest.mark.parametrize(
    ("loss", "decoding", "message"),
    [
        (tce.TCE(0.5, scale="relative"), None, "relative"),
        (tce.TCE(1.5), None, "in \\(0, 1\\]"),
        (tce.TCE(0.5, vacuous="max-entropy"), None, "is vacuous='warm'"),
        (tce.TCE(0.5, vacuous="drawn-only"), None, "is vacuous='warm'"),
        (CE, tce.VarianceScaling(0.9), "for densities"),
    ],
)
def test_what_does_not_go_together(loss, decoding, message):
    with pytest.raises(ValueError, match=message) as caught:
        run_of(small(), loss, decoding=decoding)
    assert "\n" not in str(caught.value)


def test_exact_fits_have_the_conventions_of_categorical_models():
    table = small(context=1, embedding=None, hidden=(), training=Training())
    for rule in ("max-entropy", "drawn-only"):
        table.check(tce.TCE(0.5, vacuous=rule), tce.Replace())
    with pytest.raises(tce.DomainError, match="rising"):
        table.check(tce.WeightedCrossEntropy(lambda p: 0.5 + 0.5 * p), tce.Replace())
    with pytest.raises(tce.UnsupportedCombinationError, match="tabular"):
        small(training=Training(engine="exact"))


@pytest.mark.parametrize(
    ("model", "metric"),
    [
        (small(), "retention"),
        (small(FACTS, context=1), "retention"),
        (small(TEXT), "recall"),
        (small(TEXT, context=5), "entropy_rate"),
        (small(), "average_excess"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.source.describe()["name"],
)
def test_metrics_that_a_source_does_not_have_are_refused_at_once(model, metric):
    with pytest.raises(tce.DomainError, match="one of 'predictive_entropy'"):
        run_of(model, metrics=[metric], n_samples=10**6)
    with pytest.raises(tce.DomainError, match="metric must be one of"):
        model.measure(metric, model)


@pytest.mark.parametrize(
    ("options", "settings", "sizes"),
    [
        ({}, {}, [10**6, 40, 40]),
        ({}, {"regime": tce.FreshMix(0.1)}, [40, 40, 10**6]),
        ({"prompts": "real"}, {}, [40, 40, 10**6]),
        ({}, {"regime": tce.Staged(3)}, [40, 40, 400]),
        ({"source": FACTS}, {"regime": tce.Staged(9, tce.Replace())}, [40] * 3),
    ],
    ids=["first", "fresh", "prompts", "part", "parts"],
)
def test_too_little_text_is_refused_at_once(spy, options, settings, sizes):
    with pytest.raises(tce.DomainError, match=r"n must be at most|parts must be an integer .* at most 2\*\*3"):
        run_of(small(**{"source": TEXT} | options), n_samples=sizes, metrics=None, **settings)
    assert not spy.windows


def test_text_that_a_network_writes_can_be_longer_than_the_real_one(spy):
    run_of(small(TEXT), n_samples=[40, 40, 2000], metrics=["masked_share"], replicates=1)
    assert len(spy.windows[2]) == 2000


@pytest.mark.parametrize("data", [[0, 1], np.zeros((4, 2), int), np.zeros((4, 3)), [0, 1, 2, 3], [], [[[0]]]])
def test_data_that_are_no_windows(data):
    with pytest.raises(tce.DomainError, match="data must be"):
        small().fit(data, CE)


def test_the_law_of_a_text_is_not_known():
    for use in (small(TEXT).to_chain, lambda: small(TEXT).target_probs([0, 1, 2])):
        with pytest.raises(tce.UnsupportedCombinationError, match="not known as a chain of order 2"):
            use()
    long = small(TEXT, context=5)
    with pytest.raises(tce.DomainError, match="65,536 contexts"):
        long.to_chain()
    assert small(TEXT).peak() == 1


def test_a_run_whose_replicates_all_diverge_is_refused():
    with pytest.raises(tce.DegenerateFitError, match=r"of all 2 replicates diverged, first at generation 1: lower"):
        run_of(wild(), metrics=["masked_share"])


def test_replicates_that_diverge_are_reported(monkeypatch):
    original = recursion.train

    def failing(architecture, theta, *more, **rest):
        result = original(architecture, theta, *more, **rest)
        return replace(result, diverged=bool(theta[0] > 0))

    monkeypatch.setattr(recursion, "train", failing)
    with pytest.warns(tce.StatisticalWarning, match=r"of 6 replicates diverged .* lower Training.rate"):
        run = tce.simulate(small(), CE, n_samples=40, generations=3, replicates=6, metrics=METRICS, seed=5)
    ended = run.events["diverged"] >= 0
    assert 0 < ended.sum() < 6
    for r in range(6):
        for values in run.metrics.values():
            first = run.events["diverged"][r] if ended[r] else 4
            assert np.isnan(values[r, first:]).all()
            assert np.isfinite(values[r, 1:first]).all()
    with pytest.raises(tce.DomainError, match=r"diverged must be none.* of 6 replicates"):
        run.fidelity_interval("heldout_cross_entropy", above=100.0)


def test_a_training_can_be_stopped():
    """Epoch by epoch is bit by bit what all at once is, and a stop that is set beforehand lets none begin."""
    model = small(training=Training(epochs=5, engine="minibatch"))
    windows = model.sample(60, seed=1)
    theta = model.architecture.initial(np.random.default_rng(1))

    def trained(stop):
        return recursion.train(
            model.architecture, theta, windows, CE, model.training, np.random.default_rng(2), stop=stop
        )

    whole, watched, stopped = trained(None), trained(np.zeros(1, np.uint8)), trained(np.ones(1, np.uint8))
    np.testing.assert_array_equal(whole.theta, watched.theta)
    assert (whole.epochs, stopped.epochs) == (5, 0)
    np.testing.assert_array_equal(stopped.theta, theta)
