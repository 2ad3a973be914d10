"""Controls of a language model's training: label smoothing, random masks, matched steps, epochs chosen by retention."""

import math
import warnings
from dataclasses import replace

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.errors import UnsupportedCombinationError
from tce_theory.kernels import network as kernel
from tce_theory.neural import training as engines
from tce_theory.neural.images import ImageSource
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.metrics import Yardstick
from tce_theory.neural.network import Architecture
from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource
from tce_theory.neural.training import ContextCounts, HeadAverages, Training, head_record, train
from tce_theory.neural.vae import VariationalAutoencoder

CE, CAP = tce.CrossEntropy(), tce.TCE(0.3)
NETWORK = Architecture(5, 2, 3, (6,))
TABULAR = Architecture(4, 1, None)
FACTS = KnowledgeCorpus(facts=8, relations=2, objects=4, filler=1, filler_words=3, filler_entropy=0.8)
CHAIN = MarkovSource(tce.MarkovChain([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.3, 0.3, 0.4]]))
CONTROLS = ("random-mask", "matched-step")
EVERY_CONTROL = pytest.mark.parametrize("control", CONTROLS)
EVERY_OPTIMISER = pytest.mark.parametrize(
    "optimiser",
    [{"rate": 0.05}, {"optimiser": "sgd", "rate": 0.5}, {"optimiser": "sgd", "rate": 0.2, "momentum": 0.9}],
    ids=["adam", "sgd", "momentum"],
)


def generator(seed=1):
    return np.random.default_rng(seed)


def windows(network=NETWORK, n=50, seed=1):
    """Windows whose last token mostly follows from the one before, so that a network becomes confident of it."""
    rng = generator(seed)
    rows = rng.integers(0, network.vocabulary, (n, network.context + 1))
    follows = rng.random(n) < 0.8
    rows[follows, -1] = (rows[follows, -2] + 1) % network.vocabulary
    return rows


def trained(loss=CE, network=NETWORK, data=None, *, theta=None, rng=None, score=None, **settings):
    start = network.initial(generator(9)) if theta is None else theta
    training = Training(**{"engine": "minibatch", "batch": 16, "epochs": 3} | settings)
    data = windows(network) if data is None else data
    return train(network, start, data, loss, training, generator() if rng is None else rng, score=score)


# ------------------------------------------------------------------------------- a network and its training in NumPy


def log_probs(theta, contexts):
    """Those of `NETWORK`, for real or complex parameters: float64 (n, 5)."""
    embeddings, one, one_bias, two, two_bias = np.split(theta, np.cumsum([15, 36, 6, 30]))
    x = embeddings.reshape(5, 3)[contexts].reshape(len(contexts), 6)
    z = np.tanh(x @ one.reshape(6, 6) + one_bias) @ two.reshape(6, 5) + two_bias
    z = z - z.real.max(axis=1, keepdims=True)
    return z - np.log(np.exp(z).sum(axis=1, keepdims=True))


def slope_of(theta, rows, weights, smoothing=0.0):
    """Gradient, by the complex step, of the weighted sum of the cross entropies of targets that are smoothed."""
    targets = (1 - smoothing) * np.eye(5)[rows[:, -1]] + smoothing / 5
    gradient = np.empty(theta.size)
    for i in range(theta.size):
        moved = theta.astype(complex)
        moved[i] += 1e-30j
        gradient[i] = -(weights @ (targets * log_probs(moved, rows[:, :-1])).sum(axis=1)).imag / 1e-30
    return gradient


def plain_loop(weigh, *, optimiser="adam", rate, momentum=0.0, reduction="mean", lengths=None):
    """Train as `trained` does; return the parameters, what each step left out, and how far each step moved.

    `weigh` gives the weights of a batch from the number of the step and the probabilities of the targets; `lengths`
    are those that steps are scaled to.
    """
    data, theta, rng = windows(), NETWORK.initial(generator(9)), generator()
    first, second, left_out, moved, step = 0.0, 0.0, [], [], 0
    for _ in range(3):
        order = rng.permutation(50)
        for begin in range(0, 50, 16):
            rows = data[order[begin : begin + 16]]
            p = np.exp(log_probs(theta, rows[:, :-1]))[np.arange(len(rows)), rows[:, -1]]
            weights = weigh(step, p)
            mean_of = len(rows) if reduction == "mean" else max(weights.sum(), 1)
            slope = slope_of(theta, rows, weights) / mean_of
            step += 1
            if optimiser == "adam":
                first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
            else:
                change = first = momentum * first + slope
            change = rate * change
            if lengths is not None:
                change *= lengths[step - 1] / np.linalg.norm(change)
            theta = theta - change
            left_out.append(int(len(rows) - weights.sum()))
            moved.append(np.linalg.norm(change))
    return theta, left_out, moved


def capped(step, p):
    return (p <= CAP.gamma).astype(float)


def at_random(left_out):
    """Weights that leave out so many targets, the last ones of batches that are in random order."""
    return lambda step, p: (np.arange(p.size) < p.size - left_out[step]).astype(float)


def plain(step, p):
    return np.ones(p.size)


class Steps:
    """What each step of every training in minibatches left out, and how far it moved; an array for each training."""

    def __init__(self, monkeypatch):
        self.left_out, self.lengths, self.train_epoch = [], [], kernel.train_epoch
        monkeypatch.setattr(kernel, "train_epoch", self)

    def __call__(self, theta, *rest):
        order, batch, first_step, left_out = rest[6], rest[7], rest[17], rest[-2]
        if first_step == 0:
            self.left_out.append([])
            self.lengths.append([])
        loss = 0.0
        for i, begin in enumerate(range(0, order.size, batch)):
            before = theta.copy()
            one = (*rest[:6], order[begin : begin + batch], *rest[7:17], first_step + i, *rest[18:])
            loss += self.train_epoch(theta, *one)[0]
            self.left_out[-1].append(left_out[first_step + i])
            self.lengths[-1].append(np.linalg.norm(theta - before))
        return loss, i + 1


@pytest.fixture
def steps(monkeypatch):
    return Steps(monkeypatch)


# ------------------------------------------------------------------------------------------------- label smoothing


class TestLabelSmoothing:
    @pytest.mark.parametrize("batch", [60, 4])  # with and without a table of the five tokens' first layer
    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    def test_the_gradient_is_that_of_smoothed_targets(self, reduction, batch):
        rows, theta = windows(n=batch), NETWORK.initial(generator(2)) + 0.5
        expected = slope_of(theta, rows, np.full(batch, 1 / batch), 0.2)
        for engine in ("minibatch", "counts"):
            settings = {"engine": engine, "batch": batch, "epochs": 1, "optimiser": "sgd", "rate": 1.0}
            result = trained(CE, data=rows, theta=theta, label_smoothing=0.2, reduction=reduction, **settings)
            np.testing.assert_allclose(theta - result.theta, expected, rtol=1e-10, atol=1e-14)
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(slope_of(theta, rows, np.full(batch, 1 / batch), 0.202), expected, rtol=1e-3)

    @pytest.mark.parametrize("engine", ["exact", "counts", "minibatch"])
    def test_a_table_ends_at_the_smoothed_frequencies(self, engine):
        counts = np.array([[6.0, 2.0, 0.0, 0.0], [0.0, 8.0, 0.0, 0.0], [1.0, 2.0, 3.0, 2.0]])
        data = ContextCounts(np.arange(3)[:, None], counts)
        if engine == "minibatch":
            contexts, tokens = np.nonzero(counts)
            pairs = np.column_stack([contexts, tokens])
            data = np.repeat(pairs, counts[contexts, tokens].astype(int), axis=0)
        settings = {"engine": engine, "label_smoothing": 0.1}
        if engine != "exact":
            settings |= {"optimiser": "sgd", "rate": 3.0, "epochs": 3000, "batch": 24}
        result = trained(CE, TABULAR, data, **settings)
        expected = 0.9 * counts / 8 + 0.1 / 4
        table = TABULAR.table(result.theta)
        np.testing.assert_allclose(table[:3], expected, rtol=1e-12 if engine == "exact" else 1e-9)
        np.testing.assert_array_equal(table[3], 0.25)  # a context that was not seen stays

    def test_without_smoothing_the_kernel_is_that_of_cross_entropy(self, monkeypatch):
        expected = trained(CE)
        np.testing.assert_array_equal(trained(CE, label_smoothing=0.0).theta, expected.theta)
        monkeypatch.setattr(engines, "_coded", lambda loss, share: (kernel.SMOOTHED_LABELS, 1.0, share, None))
        np.testing.assert_array_equal(trained(CE).theta, expected.theta)
        assert not np.array_equal(trained(CE, label_smoothing=1e-9).theta, expected.theta)

    def test_the_floor_on_average_is_an_identity_of_what_is_trained(self):
        settings = {"engine": "counts", "optimiser": "sgd", "rate": 0.3, "epochs": 40}
        averages = trained(CE, label_smoothing=0.3, **settings).averages
        assert isinstance(averages, HeadAverages)
        drift = (averages.squared_start - averages.squared_end) / (2 * averages.rate * averages.steps)
        right = drift + averages.rate / 2 * averages.squared_gradient / averages.steps
        assert averages.gap / averages.steps == pytest.approx(right, rel=1e-10)

    @pytest.mark.parametrize("engine", ["counts", "minibatch"])
    def test_nothing_is_left_out(self, engine):
        assert trained(CE, label_smoothing=0.2, engine=engine).masked_share == pytest.approx(0.0, abs=1e-15)


# --------------------------------------------------------------------------------------------------------- twins


class TestRandomMask:
    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    @EVERY_OPTIMISER
    def test_it_is_a_plain_loop_beside_its_twin(self, optimiser, reduction):
        """Every step leaves out as many targets as that of a twin that is trained by hand."""
        twin, left_out, _ = plain_loop(capped, reduction=reduction, **optimiser)
        assert len(set(left_out)) > 4  # it masks now less and now more
        ours = trained(CAP, control="random-mask", reduction=reduction, **optimiser)
        theta, _, _ = plain_loop(at_random(left_out), reduction=reduction, **optimiser)
        np.testing.assert_allclose(ours.theta, theta, rtol=1e-6, atol=1e-8)
        sizes = np.tile([16, 16, 16, 2], 3)
        assert ours.masked_share == pytest.approx((np.array(left_out) / sizes).mean(), rel=1e-14)
        assert not np.allclose(ours.theta, twin, rtol=1e-3)
        one_more = list(left_out)
        one_more[5] += 1
        assert not np.allclose(
            ours.theta, plain_loop(at_random(one_more), reduction=reduction, **optimiser)[0], rtol=1e-6, atol=1e-8
        )

    def test_every_step_leaves_out_as_many_as_that_of_its_twin(self, steps):
        result = trained(CAP, data=windows(n=500), epochs=20, control="random-mask")
        twin, own = steps.left_out
        assert own == twin
        assert result.steps == len(own) == 20 * 32
        trained(CAP, data=windows(n=500), epochs=20)
        assert steps.left_out[-1] == twin  # the twin is the training that TCE would have
        trained(CE, data=windows(n=500), epochs=20)
        assert not any(steps.left_out[-1])

    def test_where_all_is_masked_nothing_moves(self):
        theta = NETWORK.initial(generator(3))
        for reduction in ("mean", "mean-unmasked"):
            result = trained(tce.TCE(1e-9), theta=theta, control="random-mask", reduction=reduction)
            np.testing.assert_array_equal(result.theta, theta)
            assert result.masked_share == 1.0


class TestMatchedStep:
    @EVERY_OPTIMISER
    def test_it_is_a_plain_loop_beside_its_twin(self, optimiser):
        _, _, lengths = plain_loop(capped, **optimiser)
        theta, _, _ = plain_loop(plain, lengths=lengths, **optimiser)
        ours = trained(CAP, control="matched-step", **optimiser)
        np.testing.assert_allclose(ours.theta, theta, rtol=1e-6, atol=1e-8)
        assert ours.masked_share == 0.0
        longer = list(lengths)
        longer[5] *= 1.001
        assert not np.allclose(ours.theta, plain_loop(plain, lengths=longer, **optimiser)[0], rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    @EVERY_OPTIMISER
    def test_every_update_is_as_long_as_that_of_its_twin(self, steps, optimiser, reduction):
        settings = {"data": windows(n=500), "epochs": 5, "reduction": reduction} | optimiser
        trained(CAP, control="matched-step", **settings)
        twin, own = steps.lengths
        np.testing.assert_allclose(own, twin, rtol=1e-11)
        trained(CAP, **settings)
        np.testing.assert_allclose(steps.lengths[-1], twin, rtol=1e-11)
        trained(CE, **settings)
        assert np.isclose(steps.lengths[-1], twin, rtol=1e-3, atol=0).mean() < 0.1  # unmatched they differ
        assert not any(steps.left_out[1])

    def test_where_all_is_masked_nothing_moves(self):
        theta = NETWORK.initial(generator(3))
        result = trained(tce.TCE(1e-9), theta=theta, control="matched-step")
        np.testing.assert_array_equal(result.theta, theta)


class TestTwins:
    @EVERY_OPTIMISER
    @EVERY_CONTROL
    def test_where_nothing_is_masked_it_is_cross_entropy(self, control, optimiser):
        np.testing.assert_array_equal(
            trained(tce.TCE(1.0), control=control, **optimiser).theta, trained(CE, **optimiser).theta
        )

    @pytest.mark.parametrize("start", ["warm", "scratch"])
    @EVERY_CONTROL
    def test_it_takes_the_random_numbers_of_one_training(self, control, start):
        one, two = generator(), generator()
        trained(CAP, rng=one, control=control, start=start)
        trained(CE, rng=two, start=start)
        assert one.bit_generator.state == two.bit_generator.state

    @EVERY_CONTROL
    def test_it_diverges_where_its_twin_does(self, control):
        result = trained(tce.TCE(0.9), control=control, optimiser="sgd", rate=1e300, epochs=50)
        assert result.diverged

    @EVERY_CONTROL
    def test_stopping_stops_both(self, steps, control):
        theta = NETWORK.initial(generator(9))
        training = Training(engine="minibatch", control=control)
        result = train(NETWORK, theta, windows(), CAP, training, generator(), stop=np.ones(1, np.uint8))
        assert (result.steps, result.diverged, steps.lengths) == (0, False, [])
        assert math.isnan(result.masked_share)
        np.testing.assert_array_equal(result.theta, theta)

    @EVERY_CONTROL
    def test_a_fit_is_one_of_cross_entropy(self, control):
        training = Training(engine="minibatch", epochs=2, control=control)
        model = NeuralLanguageModel(CHAIN, context=2, embedding=3, hidden=(4,), training=training)
        fit = model.fit(model.sample(50, seed=1), tce.TCE(1e-9), seed=1)
        assert (fit.vacuous, fit.masked_weight, fit.n_iter) == (False, 0.0, 2)
        assert fit.objective == pytest.approx(-fit.model.log_probs(model.sample(50, seed=1)).mean(), rel=1e-12)


def test_a_fit_whose_parameters_have_run_away_is_refused(monkeypatch):
    """With this seed all numbers stay finite, but for the cross entropy at the end."""
    ended, run_epochs = [], engines.run_epochs
    monkeypatch.setattr(engines, "run_epochs", lambda *arguments: ended.append(run_epochs(*arguments)) or ended[-1])
    training = Training(optimiser="sgd", rate=1e200, epochs=6, engine="minibatch")
    model = NeuralLanguageModel(CHAIN, context=2, embedding=3, hidden=(4,), length=8, training=training)
    with pytest.raises(tce.DegenerateFitError, match="take a smaller rate than 1e\\+200"):
        model.fit(CHAIN.stream(50, generator()), CE, seed=4)
    assert (ended[0].diverged, np.isfinite(ended[0].theta).all()) == (False, True)


# ------------------------------------------------------------------------------------------------- what is recorded


class TestMaskedShare:
    def test_of_minibatches_is_the_mean_over_the_steps(self):
        _, left_out, _ = plain_loop(capped, rate=0.05)
        expected = (np.array(left_out) / np.tile([16, 16, 16, 2], 3)).mean()
        assert 0.05 < expected < 0.95
        assert trained(CAP, rate=0.05).masked_share == pytest.approx(expected, rel=1e-14)
        assert trained(CE).masked_share == 0.0

    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    @pytest.mark.parametrize("loss", [CAP, tce.TCE(0.3, mask="previous"), tce.FocalLoss(2.0)], ids=str)
    def test_of_full_batches_is_the_mean_over_the_steps(self, loss, reduction):
        start = trained(CE, epochs=20).theta
        settings = {"engine": "counts", "reduction": reduction, "theta": start}
        thetas = [start, *(trained(loss, epochs=epochs, **settings).theta for epochs in (1, 2, 3))]
        shares = [1 - head_record(NETWORK, theta, windows(), loss, start).unmasked_share for theta in thetas]
        result = trained(loss, epochs=4, **settings)
        assert 0.05 < result.masked_share < 0.95
        assert result.masked_share == pytest.approx(np.mean(shares), rel=1e-10)

    def test_an_exact_fit_takes_no_steps(self):
        assert math.isnan(trained(CE, TABULAR, engine="exact").masked_share)

    @pytest.mark.parametrize("control", ["none", *CONTROLS])
    def test_of_a_run(self, control):
        """Under a control the metrics at the end are those of cross entropy, and no generation is vacuous."""
        training = Training(engine="minibatch", epochs=2, batch=16, control=control)
        model = NeuralLanguageModel(CHAIN, context=2, embedding=3, hidden=(4,), training=training)
        metrics = ["masked_share", "average_masked_share", "floor_gap", "unmasked_entropy"]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tce.StatisticalWarning)
            run = tce.simulate(model, tce.TCE(1e-9), n_samples=40, generations=2, replicates=1, seed=1, metrics=metrics)
        found = {name: values[0, 1:].tolist() for name, values in run.metrics.items()}
        assert found["masked_share"] == ([1.0, 1.0] if control == "none" else [0.0, 0.0])
        assert found["average_masked_share"] == ([0.0, 0.0] if control == "matched-step" else [1.0, 1.0])
        assert np.isnan(run.metrics["average_masked_share"][0, 0])
        assert run.events["vacuous"].tolist() == ([2] if control == "none" else [0])
        if control != "none":
            assert found["floor_gap"] == found["unmasked_entropy"]  # a loss without threshold has its floor at 0


# ----------------------------------------------------------------------------------------------- keep = "retention"


def facts_model(**settings):
    training = Training(
        **{"epochs": 12, "engine": "minibatch", "batch": 16, "rate": 0.02, "keep": "retention"} | settings
    )
    return NeuralLanguageModel(FACTS, context=2, embedding=3, hidden=(4,), training=training)


class TestRetention:
    def test_the_first_of_the_best_epochs_is_kept(self):
        scores = {}

        def score(theta):
            scores[theta.tobytes()] = [0.2, 0.7, 0.5, 0.7, 0.1][len(scores)]
            return scores[theta.tobytes()]

        kept = trained(CE, epochs=5, keep="retention", score=score)
        np.testing.assert_array_equal(kept.theta, trained(CE, epochs=2).theta)
        assert (kept.epochs, len(scores)) == (5, 5)

    def test_held_out_loss_is_that_of_the_epoch_that_is_kept(self):
        values = iter([0.1, 0.9, 0.3])
        settings = {"epochs": 3, "held_out": 0.2}
        kept = trained(CE, keep="retention", score=lambda theta: next(values), **settings)
        stopped = trained(CE, **settings | {"epochs": 2})
        np.testing.assert_array_equal(kept.theta, stopped.theta)
        assert kept.held_out_loss == stopped.held_out_loss != trained(CE, **settings).held_out_loss

    def test_a_fit_has_the_largest_retention_of_all_epochs(self):
        model = facts_model(epochs=6, rate=0.01)
        data = replace(model, training=Training()).sample(200, seed=1)

        def retention(training):
            fitted = replace(model, training=training).fit(data, CE, seed=2).model
            return fitted.measure("retention", model)

        last = [retention(replace(model.training, keep="last", epochs=epochs)) for epochs in range(1, 7)]
        assert retention(model.training) == max(last) > last[-1]  # the last is not the best, so that it matters

    def test_facts_are_those_shown_so_far(self, monkeypatch):
        asked, measure = [], Yardstick.measure

        def spy(self, theta, names, shown=None):
            asked.append((tuple(names), shown))
            return measure(self, theta, names, shown)

        monkeypatch.setattr(Yardstick, "measure", spy)
        model = facts_model(epochs=2)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", tce.StatisticalWarning)
            tce.simulate(
                model, CE, n_samples=60, generations=3, replicates=1, seed=1, regime=tce.Staged(3), metrics=["recall"]
            )
        shown = [parts for names, parts in asked if names == ("retention",)]
        assert shown == [(1, 3), (1, 3), (2, 3), (2, 3), None, None]


# ---------------------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"control": "random-mask", "engine": "counts"},
            "control='random-mask' needs engine='minibatch', got 'counts'",
        ),
        (
            {"control": "matched-step", "engine": "exact"},
            "control='matched-step' needs engine='minibatch', got 'exact'",
        ),
        ({"control": "random-mask", "held_out": 0.1}, "control='random-mask' does not go with held_out=0.1"),
        ({"control": "random-mask", "held_out": 0.1, "patience": 2}, "does not go with held_out=0.1"),
        ({"control": "random-mask", "keep": "retention"}, "does not go with keep='retention'"),
        ({"control": "matched-step", "keep": "best", "held_out": 0.1}, "does not go with keep='best'"),
        ({"control": "matched-step", "label_smoothing": 0.1}, "does not go with label_smoothing=0.1"),
        ({"control": "random-mask", "batch": 1}, "control='random-mask' does not go with batch=1: of one target"),
        ({"engine": "exact", "keep": "retention"}, "engine='exact' does not go with keep='retention'"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(settings, message):
    with pytest.raises(UnsupportedCombinationError, match=message) as caught:
        Training(**settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("loss", "settings", "message"),
    [
        (CAP, {"label_smoothing": 0.1}, r"label_smoothing=0.1 needs CrossEntropy\(\), got TruncatedCrossEntropy"),
        (tce.FocalLoss(2.0), {"label_smoothing": 0.1}, r"label_smoothing=0.1 needs CrossEntropy\(\), got FocalLoss"),
        (CE, {"control": "random-mask"}, r"control='random-mask' needs TruncatedCrossEntropy.*, got CrossEntropy\(\)"),
        (tce.TCE(0.3, mask="previous"), {"control": "matched-step"}, "control='matched-step' needs .*mask='current'"),
        (
            CAP,
            {"control": "matched-step", "engine": "auto"},
            "needs engine='minibatch': .*engine='auto' makes 'counts'",
        ),
        (CE, {"keep": "retention"}, "keep='retention' needs a score"),
    ],
)
def test_losses_and_networks_that_controls_do_not_go_with_are_refused(loss, settings, message):
    with pytest.raises(UnsupportedCombinationError, match=message):
        trained(loss, **settings)


def test_a_run_is_refused_before_it_begins():
    model = NeuralLanguageModel(CHAIN, context=2, training=Training(label_smoothing=0.1))
    with pytest.raises(UnsupportedCombinationError, match=r"label_smoothing=0\.1 needs"):
        tce.simulate(model, CAP, n_samples=10**12, generations=1)
    with pytest.raises(UnsupportedCombinationError, match="of this network engine='auto' makes 'counts'"):
        NeuralLanguageModel(CHAIN, context=2, training=Training(control="random-mask"))
    with pytest.raises(UnsupportedCombinationError, match="of this network engine='auto' makes 'exact'"):
        NeuralLanguageModel(CHAIN, embedding=None, hidden=(), training=Training(control="random-mask"))


@pytest.mark.parametrize(("source", "context"), [(CHAIN, 2), (FACTS, 1)], ids=["no facts", "contexts too short"])
def test_retention_needs_facts(source, context):
    with pytest.raises(UnsupportedCombinationError, match="keep='retention' needs a source with facts"):
        NeuralLanguageModel(source, context=context, training=Training(keep="retention"))


@pytest.mark.parametrize(
    ("settings", "shown"),
    [
        ({"label_smoothing": 0.1}, "label_smoothing=0.1"),
        ({"control": "random-mask"}, "control='random-mask'"),
        ({"keep": "retention"}, "keep='retention'"),
    ],
)
def test_autoencoders_have_no_controls(settings, shown):
    images = ImageSource(generator().random((60, 9)))
    model = VariationalAutoencoder(images, training=Training(epochs=1, **settings))
    with pytest.raises(UnsupportedCombinationError, match=f"does not go with {shown}, which is for language models"):
        tce.simulate(model, CAP, n_samples=10, generations=1)


def test_a_file_holds_the_controls(tmp_path):
    training = Training(engine="minibatch", control="matched-step")
    NeuralLanguageModel(CHAIN, context=2, training=training).save(tmp_path / "model.npz")
    assert NeuralLanguageModel.load(tmp_path / "model.npz", CHAIN).training == training
