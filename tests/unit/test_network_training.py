"""Training of networks: settings, engines against plain loops and against each other, early stopping, exact fits."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from threadpoolctl import threadpool_info

import tce_theory as tce
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.models.markov import MarkovChain
from tce_theory.neural._blas import one_blas_thread
from tce_theory.neural.network import Architecture
from tce_theory.neural.training import ContextCounts, Training, head_record, kernel_loss, train

CE = tce.CrossEntropy()
NETWORK = Architecture(5, 2, 3, (6,))
TABULAR = Architecture(4, 1, None)


def half(p):
    return 1.0 - 0.5 * p


def generator(seed=1):
    return np.random.default_rng(seed)


def windows(network, n=200, seed=1):
    """Windows of a sequence whose tokens depend on the one before."""
    rng = generator(seed)
    rows = rng.dirichlet(np.ones(network.vocabulary), network.vocabulary)
    tokens = [0]
    for u in rng.random(n + network.context):
        tokens.append(int(min(np.searchsorted(np.cumsum(rows[tokens[-1]]), u), network.vocabulary - 1)))
    return np.lib.stride_tricks.sliding_window_view(np.array(tokens[1:]), network.context + 1)


def trained(network, data, loss=CE, *, theta=None, seed=1, previous=None, **settings):
    start = network.initial(generator(9)) if theta is None else theta
    return train(network, start, data, loss, Training(**settings), generator(seed), previous)


def gradient(network, theta, data, loss, reduction="mean"):
    """The mean gradient, as one step of rate 1 of the full batch takes it."""
    settings = {"optimiser": "sgd", "rate": 1.0, "epochs": 1, "engine": "counts", "reduction": reduction}
    return theta - trained(network, data, loss, theta=theta, **settings).theta


class TestSettings:
    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"optimiser": "rmsprop"}, "optimiser must be one of 'adam', 'sgd', got 'rmsprop'"),
            ({"rate": 0.0}, "rate must be a finite number above 0, got 0.0"),
            ({"rate": math.nan}, "rate must be a finite number, got nan"),
            ({"optimiser": "sgd", "momentum": 1.0}, r"momentum must be a number in \[0, 1\), got 1.0"),
            ({"final_rate": 1.5}, r"final_rate must be a number in \[0, 1\], got 1.5"),
            ({"batch": 0}, "batch must be an integer of at least 1, got 0"),
            ({"epochs": 2.5}, "epochs must be an integer of at least 1, got 2.5"),
            ({"engine": "gpu"}, "engine must be one of 'auto', 'exact', 'counts', 'minibatch', got 'gpu'"),
            ({"reduction": "sum"}, "reduction must be one of 'mean', 'mean-unmasked', got 'sum'"),
            ({"start": "cold"}, "start must be one of 'warm', 'scratch', got 'cold'"),
            ({"held_out": 1.0}, r"held_out must be a number in \[0, 1\), got 1.0"),
            ({"held_out": 0.1, "patience": 0}, "patience must be an integer of at least 1, got 0"),
            ({"keep": "first"}, "keep must be one of 'last', 'best', 'retention', got 'first'"),
            ({"label_smoothing": 1.0}, r"label_smoothing must be a number in \[0, 1\), got 1.0"),
            ({"control": "dropout"}, "control must be one of 'none', 'random-mask', 'matched-step', got 'dropout'"),
        ],
    )
    def test_what_is_out_of_range_is_refused(self, settings, message):
        with pytest.raises(DomainError, match=f"^{message}$"):
            Training(**settings)

    @pytest.mark.parametrize(
        ("settings", "message"),
        [
            ({"momentum": 0.9}, "momentum goes with optimiser='sgd'"),
            ({"patience": 2}, "patience needs held_out"),
            ({"keep": "best"}, "keep='best' needs held_out"),
            ({"engine": "exact", "held_out": 0.1}, "engine='exact' does not go with held_out"),
        ],
    )
    def test_options_without_effect_are_refused(self, settings, message):
        with pytest.raises(UnsupportedCombinationError, match=message):
            Training(**settings)

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ((1, 2, 3, ()), "vocabulary must be an integer of at least 2, got 1"),
            ((5, 0, 3, ()), "context must be an integer of at least 1"),
            ((5, 2, 0, ()), "embedding must be an integer of at least 1, got 0"),
            ((5, 2, 3, (4, 0)), "hidden must be an integer of at least 1, got 0"),
            ((5, 2, 3, 64), "hidden must be a tuple of widths"),
            ((5, 2, None, (4,)), "hidden must be .* for a tabular model"),
            ((100, 3, None, ()), "context must be such that a tabular model has at most 65,536 contexts"),
        ],
    )
    def test_architectures_that_cannot_be_are_refused(self, arguments, message):
        with pytest.raises(DomainError, match=message):
            Architecture(*arguments)

    def test_a_table_of_too_many_contexts_is_refused(self):
        network = Architecture(100, 3, 2, (2,))
        with pytest.raises(DomainError, match="at most 65,536 contexts"):
            network.table(network.initial(generator()))

    def test_auto_takes_the_engine_that_fits(self):
        auto = Training()
        assert auto.engine_for(TABULAR) == "exact"
        assert auto.engine_for(Architecture(16, 3, 2, (2,))) == "counts"
        assert auto.engine_for(Architecture(17, 3, 2, (2,))) == "minibatch"
        with pytest.raises(UnsupportedCombinationError, match="needs a tabular model"):
            Training(engine="exact").engine_for(NETWORK)
        with pytest.raises(UnsupportedCombinationError, match="engine='counts' trains"):
            Training(held_out=0.5).engine_for(TABULAR)

    @pytest.mark.parametrize(
        ("loss", "message"),
        [
            (tce.TCE(0.5, scale="relative"), "scale='relative': the most probable token would always be masked"),
            (tce.TCE(0.5, vacuous="max-entropy"), "vacuous='max-entropy' does not go with engine='counts'"),
            (tce.TCE(1.5), r"gamma must be in \(0, 1\] for probabilities, got 1.5"),
        ],
    )
    def test_losses_without_meaning_are_refused(self, loss, message):
        with pytest.raises(ValueError, match=message):
            trained(NETWORK, windows(NETWORK), loss, epochs=1)

    @pytest.mark.parametrize(
        ("data", "message"),
        [
            (np.zeros((0, 3), int), "data must be a nonempty integer array of windows"),
            (np.zeros((4, 2), int), r"data must be .* shape \(n, 3\), got 'an array of int64 of shape \(4, 2\)'"),
            (np.zeros((4, 3)), "data must be a nonempty integer array"),
            (np.full((4, 3), 5), "data must be tokens from 0 to 4, got 5"),
            (np.full((4, 3), -1), "data must be tokens from 0 to 4, got -1"),
            (
                ContextCounts(np.zeros((1, 1), int), np.ones((1, 5))),
                "data must be counts of 5 tokens after contexts of 2",
            ),
        ],
    )
    def test_data_of_another_shape_are_refused(self, data, message):
        with pytest.raises(DomainError, match=message):
            trained(NETWORK, data, epochs=1)

    def test_bad_counts_and_parameters_are_refused(self):
        with pytest.raises(DomainError, match="counts must be nonnegative"):
            ContextCounts(np.zeros((1, 1), int), np.array([[1.0, -1.0]]))
        with pytest.raises(DomainError, match="contexts must be an integer array of shape"):
            ContextCounts(np.zeros((2, 1), int), np.array([[1.0, 1.0]]))
        with pytest.raises(DomainError, match="counts have at most"):
            ContextCounts.from_windows(np.arange(20_000).reshape(-1, 2), 20_000)
        theta = NETWORK.initial(generator())
        with pytest.raises(DomainError, match=f"theta must be a vector of {theta.size} parameters"):
            trained(NETWORK, windows(NETWORK), theta=theta[1:])
        theta[3] = np.nan
        with pytest.raises(DomainError, match="theta must be finite, got nan"):
            trained(NETWORK, windows(NETWORK), theta=theta)
        counts = ContextCounts.from_windows(windows(NETWORK), 5)
        with pytest.raises(UnsupportedCombinationError, match="takes windows"):
            trained(NETWORK, counts, engine="minibatch")
        with pytest.raises(UnsupportedCombinationError, match="held_out needs windows"):
            trained(NETWORK, counts, held_out=0.1)
        with pytest.raises(DomainError, match="held_out must be a share that leaves some of 1 windows"):
            trained(NETWORK, windows(NETWORK, 1), held_out=0.9)


class TestNetwork:
    def test_the_head_is_the_last_part_and_linear_in_the_features(self):
        for network in (NETWORK, Architecture(5, 2, 3), Architecture(5, 2, 3, (4, 7))):
            theta = network.initial(generator())
            contexts = network.all_contexts()
            head = network.head(theta)
            assert np.shares_memory(head, theta)
            assert head.ctypes.data + head.nbytes == theta.ctypes.data + theta.nbytes
            features = network.features(theta, contexts)
            logits = features @ head[: -network.vocabulary].reshape(features.shape[1], -1) + head[-network.vocabulary :]
            expected = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
            np.testing.assert_allclose(network.log_probs(theta, contexts), expected, rtol=1e-12, atol=1e-13)

    def test_a_tabular_model_is_its_table(self):
        network = Architecture(3, 2, None)
        theta = generator().normal(size=27)
        table = np.exp(theta.reshape(9, 3))
        np.testing.assert_allclose(network.table(theta), table / table.sum(axis=1, keepdims=True), rtol=1e-13)
        assert network.features(theta, np.array([[0, 1], [2, 2]])).argmax(axis=1).tolist() == [1, 8]
        assert network.head(theta) is theta
        assert network.all_contexts()[5].tolist() == [1, 2]

    def test_target_log_probs_are_those_of_the_rows_whatever_the_pieces(self):
        theta, data = NETWORK.initial(generator()), windows(NETWORK, 2500)
        rows = NETWORK.log_probs(theta, data[:, :2])
        np.testing.assert_array_equal(NETWORK.target_log_probs(theta, data), rows[np.arange(len(data)), data[:, 2]])

    def test_counts_are_those_of_the_windows(self):
        data = windows(NETWORK, 300)
        for vocabulary in (5, 2**40):  # contexts that are coded in one number, and some that cannot be
            if vocabulary == 5:
                counted = ContextCounts.from_windows(data, 5)
            else:
                codes = np.unique(data[:, :2], axis=0)
                counted = ContextCounts(codes, counted.counts)
            assert counted.counts.sum() == 300
            for context, row in zip(counted.contexts, counted.counts, strict=True):
                here = data[(data[:, :2] == context).all(axis=1), 2]
                assert row.tolist() == np.bincount(here, minlength=5).tolist()

    def test_long_contexts_are_counted_too(self):
        data = generator().integers(0, 3, (50, 61))
        counted = ContextCounts.from_windows(data, 3)  # 3**60 does not fit into an integer
        assert counted.contexts.shape == (50, 60)
        assert counted.counts.sum() == 50


def test_initial_parameters_have_the_variances_that_are_stated():
    network = Architecture(100, 4, 25, (100, 50))
    theta, here = network.initial(generator()), 100 * 25
    assert theta[:here].var() == pytest.approx(1.0, rel=0.1)
    for n_in, n_out in ((100, 100), (100, 50), (50, 100)):
        matrix, bias = np.split(theta[here : here + (n_in + 1) * n_out], [n_in * n_out])
        assert matrix.var() == pytest.approx(1 / n_in, rel=0.1)  # 5,000 numbers: a standard error of 2 %
        assert not bias.any()
        here += (n_in + 1) * n_out
    assert here == theta.size
    assert not TABULAR.initial(generator()).any()


class TestEngines:
    @pytest.mark.parametrize("batch", [16, 4])  # with and without a table of the five tokens' first layer
    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    @pytest.mark.parametrize(("optimiser", "momentum"), [("adam", 0.0), ("sgd", 0.0), ("sgd", 0.9)])
    def test_minibatches_are_a_plain_loop(self, optimiser, momentum, reduction, batch):
        loss, data, epochs = tce.TCE(0.3), windows(NETWORK, 50), 3
        settings = {"optimiser": optimiser, "momentum": momentum, "reduction": reduction, "rate": 0.05}
        ours = trained(NETWORK, data, loss, batch=batch, epochs=epochs, final_rate=0.2, engine="minibatch", **settings)
        theta, rng = NETWORK.initial(generator(9)), generator()
        first, second, step, steps = np.zeros(theta.size), np.zeros(theta.size), 0, epochs * -(-50 // batch)
        for _ in range(epochs):
            order = rng.permutation(50)
            for begin in range(0, 50, batch):  # the last batch has two windows
                rate = 0.05 * (1 - 0.8 * step / (steps - 1))
                slope = gradient(NETWORK, theta, data[order[begin : begin + batch]], loss, reduction)
                step += 1
                if optimiser == "adam":
                    first, second = 0.9 * first + 0.1 * slope, 0.999 * second + 0.001 * slope**2
                    change = first / (1 - 0.9**step) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
                else:
                    change = first = momentum * first + slope
                theta = theta - rate * change
        assert (ours.steps, ours.epochs, ours.diverged, ours.averages) == (steps, epochs, False, None)
        # theta minus a step rounds, and Adam divides by small second moments
        np.testing.assert_allclose(ours.theta, theta, rtol=1e-6, atol=1e-8)
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(ours.theta, theta * 1.001, rtol=1e-6, atol=1e-8)

    @pytest.mark.parametrize("loss", [CE, tce.TCE(0.4), tce.FocalLoss(2.0)], ids=str)
    @pytest.mark.parametrize("network", [NETWORK, Architecture(5, 2, 3), Architecture(5, 2, None)], ids=str)
    def test_a_batch_of_all_windows_is_the_full_batch(self, network, loss):
        data, rng = windows(network, 120), generator(3)
        theta = network.initial(rng) + rng.standard_normal(network.n_parameters)
        settings = {
            "epochs": 20, "optimiser": "sgd", "momentum": 0.5, "rate": 0.3, "final_rate": 0.1, "theta": theta,
        }  # fmt: skip
        full = trained(network, data, loss, engine="counts", **settings)
        batches = trained(network, data, loss, engine="minibatch", batch=1000, **settings)
        np.testing.assert_allclose(full.theta, batches.theta, rtol=1e-8, atol=1e-9)
        assert full.steps == batches.steps == 20
        if loss == tce.TCE(0.4):
            assert 0.3 < head_record(network, full.theta, data, loss).unmasked_share < 0.99  # it masks

    def test_the_result_depends_on_the_seed_alone(self):
        data = windows(NETWORK)
        settings = {"engine": "minibatch", "epochs": 2, "start": "scratch"}

        def run(seed):
            return trained(NETWORK, data, seed=seed, **settings).theta

        with ThreadPoolExecutor(2) as pool:
            for seed, theta in zip((1, 2, 1), pool.map(run, (1, 2, 1)), strict=True):
                np.testing.assert_array_equal(theta, run(seed))
        assert not np.array_equal(run(1), run(2))

    def test_a_warm_start_begins_at_theta_and_leaves_it(self):
        data, theta = windows(NETWORK), NETWORK.initial(generator(3))
        before = theta.copy()
        warm = trained(NETWORK, data, theta=theta, epochs=1, rate=1e-9)
        np.testing.assert_allclose(warm.theta, theta, atol=1e-8)
        np.testing.assert_array_equal(theta, before)
        scratch = trained(NETWORK, data, theta=theta, epochs=1, rate=1e-9, start="scratch")
        np.testing.assert_allclose(scratch.theta, NETWORK.initial(generator()), atol=1e-8)

    def test_when_all_is_masked_the_model_stays(self):
        data, theta = windows(NETWORK), NETWORK.initial(generator(3))
        for engine in ("counts", "minibatch"):
            for reduction in ("mean", "mean-unmasked"):
                result = trained(
                    NETWORK, data, tce.TCE(1e-9), theta=theta, epochs=2, engine=engine, reduction=reduction
                )
                np.testing.assert_array_equal(result.theta, theta)
        record = head_record(NETWORK, theta, data, tce.TCE(1e-9))
        assert (record.unmasked_share, record.product, record.certificate) == (0.0, 0.0, 0.0)
        assert math.isnan(record.unmasked_entropy)

    @pytest.mark.slow
    def test_a_weight_given_as_a_function(self):
        data = windows(NETWORK, 120)
        loss = tce.WeightedCrossEntropy(half)
        assert kernel_loss(loss)[0] == 6
        full = trained(NETWORK, data, loss, engine="counts", epochs=5, optimiser="sgd")
        batches = trained(NETWORK, data, loss, engine="minibatch", batch=120, epochs=5, optimiser="sgd")
        np.testing.assert_allclose(full.theta, batches.theta, rtol=1e-9, atol=1e-10)


class TestDivergence:
    @pytest.mark.parametrize("held_out", [0.0, 0.1])
    @pytest.mark.parametrize("engine", ["counts", "minibatch"])
    def test_it_stops_and_says_so(self, engine, held_out):
        result = trained(
            NETWORK,
            windows(NETWORK),
            engine=engine,
            optimiser="sgd",
            rate=1e300,
            epochs=50,
            batch=64,
            held_out=held_out,
        )
        assert result.diverged
        # after one step the loss is not finite: that is seen in the next step, which is another epoch of a full batch
        assert (result.epochs, result.steps) == (2 if engine == "counts" else 1, 1)
        assert result.held_out_loss is None
        assert result.averages is None

    def test_a_token_that_a_tabular_model_has_lost_is_an_infinite_loss(self):
        theta = np.full(TABULAR.n_parameters, -np.inf)
        theta[::4] = 0.0
        for engine in ("counts", "minibatch"):
            assert trained(TABULAR, windows(TABULAR), theta=theta, engine=engine, epochs=2).diverged

    @pytest.mark.parametrize("loss", [CE, tce.TCE(0.55), tce.TCE(0.55, mask="previous"), tce.FocalLoss()], ids=str)
    @pytest.mark.parametrize("engine", ["counts", "minibatch"])
    def test_a_token_that_was_lost_and_does_not_occur_is_no_divergence(self, engine, loss):
        network, theta = Architecture(3, 0, None), np.array([0.0, 0.0, -np.inf])
        data = np.array([[0]] * 6 + [[1]] * 4)
        settings = {"optimiser": "sgd", "engine": engine, "epochs": 20}
        result = trained(network, data, loss, theta=theta, **settings)
        without = trained(Architecture(2, 0, None), data, loss, theta=theta[:2], **settings)
        assert not result.diverged
        np.testing.assert_allclose(result.theta, [*without.theta, -np.inf], rtol=1e-12)
        assert (result.theta[:2] != 0).all()


class TestHeldOut:
    def test_what_is_held_out_is_not_trained_on(self):
        network, data = Architecture(4, 0, None), np.array([[0]] * 60 + [[1]] * 30 + [[2]] * 10)
        result = trained(network, data, engine="counts", held_out=0.3, epochs=200, optimiser="sgd", rate=2.0)
        order = generator().permutation(100)
        kept, out = data[order[30:]], data[order[:30]]
        shares = np.bincount(kept[:, 0], minlength=4) / 70
        np.testing.assert_allclose(network.table(result.theta)[0, :3], shares[:3], atol=0.02)
        expected = -network.target_log_probs(result.theta, out).mean()
        assert result.held_out_loss == pytest.approx(expected, rel=1e-14)

    def test_early_stopping_and_keeping_the_best(self):
        data = windows(NETWORK, 60)
        settings = {"engine": "minibatch", "batch": 8, "held_out": 0.4, "rate": 0.05, "epochs": 40}
        losses = [
            # the moments and the order of all earlier epochs are those of the whole training
            trained(NETWORK, data, **settings | {"epochs": epochs}).held_out_loss
            for epochs in range(1, 41)
        ]
        best = int(np.argmin(losses))
        assert 0 < best < 30  # it overfits
        stopped = trained(NETWORK, data, patience=5, **settings)
        rises = next(i for i in range(5, 40) if min(losses[: i - 4]) <= min(losses[i - 4 : i + 1]))
        assert stopped.epochs == rises + 1
        assert stopped.held_out_loss == losses[rises]
        kept = trained(NETWORK, data, keep="best", **settings)
        assert kept.epochs == 40
        assert kept.held_out_loss == losses[best]
        np.testing.assert_array_equal(kept.theta, trained(NETWORK, data, **settings | {"epochs": best + 1}).theta)


EXACT_LOSSES = {
    "CE": CE,
    "TCE": tce.TCE(0.5),
    "TCE, vacuous": tce.TCE(0.2),
    "TCE, max-entropy": tce.TCE(0.2, vacuous="max-entropy"),
    "TCE, previous": tce.TCE(0.4, mask="previous"),
    "focal": tce.FocalLoss(2.0),
    "focal, detached": tce.FocalLoss(2.0, detach=True),
    "smooth": tce.SmoothTruncatedCrossEntropy(0.5, 0.2),
}


class TestExact:
    @pytest.mark.parametrize("loss", EXACT_LOSSES.values(), ids=EXACT_LOSSES)
    def test_exact_fits_are_those_of_the_markov_chain(self, loss):
        rows = generator(2).dirichlet(np.ones(4), 4)
        chain = MarkovChain(rows, start=np.full(4, 0.25))
        data = windows(TABULAR, 60)
        data = data[data[:, 0] != 2]  # a context that is not seen keeps its row
        result = trained(TABULAR, data, loss, theta=np.log(rows).ravel())
        assert (result.epochs, result.steps, result.diverged) == (1, 1, False)
        np.testing.assert_allclose(
            TABULAR.table(result.theta), chain.fit(data, loss).model.transition, rtol=1e-12, atol=1e-14
        )

    def test_the_previous_mask_is_that_of_the_model_before(self):
        """What was not seen keeps the row of theta; the mask, and what is masked altogether, is the other's."""
        before, theta = generator(2).dirichlet(np.ones(4), 4), generator(3).standard_normal((4, 4))
        data, loss = windows(TABULAR, 60), tce.TCE(0.4, mask="previous")
        data = data[data[:, 0] != 2]
        result = trained(TABULAR, data, loss, theta=theta.ravel(), previous=np.log(before).ravel())
        fitted = MarkovChain(before, start=np.full(4, 0.25)).fit(data, loss).model.transition
        seen = [0, 1, 3]
        np.testing.assert_allclose(TABULAR.table(result.theta)[seen], fitted[seen], rtol=1e-12, atol=1e-14)
        np.testing.assert_array_equal(result.theta.reshape(4, 4)[2], theta[2])
        by_theta = TABULAR.table(trained(TABULAR, data, loss, theta=theta.ravel()).theta)
        assert np.abs(by_theta - fitted)[seen].max() > 0.01

    def test_probabilities_are_infinitely_many_data(self):
        law, conditional = np.array([0.1, 0.2, 0.3, 0.4]), generator(2).dirichlet(np.ones(4), 4)
        data = ContextCounts(np.arange(4)[:, None], law[:, None] * conditional)
        for loss in (CE, tce.TCE(0.5), tce.FocalLoss(2.0)):
            fitted = TABULAR.table(trained(TABULAR, data, loss).theta)
            counts = ContextCounts(data.contexts, np.rint(data.counts * 1e12))
            np.testing.assert_allclose(fitted, TABULAR.table(trained(TABULAR, counts, loss).theta), atol=1e-9)
        np.testing.assert_allclose(TABULAR.table(trained(TABULAR, data).theta), conditional, rtol=1e-13)

    @pytest.mark.parametrize("loss", [CE, tce.TCE(0.5), tce.FocalLoss(2.0), tce.FocalLoss(1.0, detach=True)], ids=str)
    def test_gradient_descent_on_the_table_ends_at_the_exact_fit(self, loss):
        data = ContextCounts.from_windows(windows(TABULAR, 400), 4)
        theta = np.zeros(TABULAR.n_parameters)
        exact = TABULAR.table(trained(TABULAR, data, loss, theta=theta).theta)
        settings = {"engine": "counts", "optimiser": "sgd", "rate": 10.0, "final_rate": 0.0, "epochs": 80_000}
        descent = trained(TABULAR, data, loss, theta=theta, **settings)
        np.testing.assert_allclose(TABULAR.table(descent.theta), exact, atol=1e-4)
        other = tce.TCE(0.5 * 1.01) if loss == tce.TCE(0.5) else tce.FocalLoss(2.1)
        wrong = TABULAR.table(trained(TABULAR, data, other, theta=theta).theta)
        with pytest.raises(AssertionError):
            np.testing.assert_allclose(TABULAR.table(descent.theta), wrong, atol=1e-4)


class TestHead:
    @pytest.mark.parametrize("reduction", ["mean", "mean-unmasked"])
    @pytest.mark.parametrize("loss", [CE, tce.TCE(0.4), tce.FocalLoss(2.0), tce.TCE(0.3, mask="previous")], ids=str)
    @pytest.mark.parametrize("network", [NETWORK, Architecture(5, 2, None)], ids=str)
    def test_averages_over_gradient_descent_balance_exactly(self, network, loss, reduction):
        """Floor-on-average: Σ κ (CE_S − H_S) = (‖θ_0‖² − ‖θ_T‖²)/(2η) + (η/2) Σ ‖g‖²."""
        eta, rng = 0.3, generator(3)
        theta = network.initial(rng) + rng.standard_normal(network.n_parameters)
        settings = {"engine": "counts", "optimiser": "sgd", "rate": eta, "epochs": 60, "reduction": reduction}
        averages = trained(network, windows(network), loss, theta=theta, **settings).averages
        assert averages.steps == 60
        assert averages.rate == eta
        if reduction == "mean-unmasked":
            assert averages.unmasked == 60
        elif isinstance(loss, tce.TruncatedCrossEntropy):
            assert 20 < averages.unmasked < 58  # it masks, and not everything
        change = (averages.squared_start - averages.squared_end) / (2 * eta)
        noise = eta / 2 * averages.squared_gradient
        assert averages.gap == pytest.approx(change + noise, rel=1e-9)
        assert averages.gap != pytest.approx(change + 1.001 * noise, rel=1e-9)

    def test_averages_are_sums_of_what_the_head_record_says(self):
        loss, data = tce.TCE(0.3), windows(NETWORK)
        settings = {"engine": "counts", "optimiser": "sgd", "rate": 0.5}
        theta, shares, gaps, levels = NETWORK.initial(generator(9)), 0.0, 0.0, 0.0
        for _ in range(5):
            record = head_record(NETWORK, theta, data, loss)
            shares += record.unmasked_share
            gaps += record.unmasked_share * record.product
            levels += record.unmasked_share * (record.unmasked_entropy - record.floor)
            theta = trained(NETWORK, data, loss, theta=theta, epochs=1, **settings).theta
        averages = trained(NETWORK, data, loss, epochs=5, **settings).averages
        ours = averages.unmasked, averages.gap, averages.level
        np.testing.assert_allclose(ours, [shares, gaps, levels], rtol=1e-10)

    def test_the_record_under_the_mask_of_the_model_before(self):
        theta, before, data = NETWORK.initial(generator(1)), NETWORK.initial(generator(2)), windows(NETWORK)
        record = head_record(NETWORK, theta, data, tce.TCE(0.2, mask="previous"), before)
        unmasked = NETWORK.target_log_probs(before, data) <= math.log(0.2)
        assert record.unmasked_share == unmasked.mean()
        assert 0.1 < unmasked.mean() < 0.9
        rows = NETWORK.probs(theta, data[unmasked, :2])
        log_p = NETWORK.target_log_probs(theta, data[unmasked])
        assert record.unmasked_cross_entropy == pytest.approx(-log_p.mean(), rel=1e-12)
        assert record.unmasked_entropy == pytest.approx(-(rows * np.log(rows)).sum(axis=1).mean(), rel=1e-12)

    def test_the_record_of_windows_is_that_of_their_counts(self):
        network = Architecture(17, 3, 2, (4,))  # too many contexts to be counted at once
        theta, data = network.initial(generator()), windows(network, 3000)
        for loss in (tce.TCE(0.05), tce.TCE(0.05, mask="previous")):
            before = network.initial(generator(2))
            one = head_record(network, theta, data, loss, before)
            other = head_record(network, theta, ContextCounts.from_windows(data, 17), loss, before)
            for name in ("unmasked_share", "unmasked_cross_entropy", "unmasked_entropy", "product", "certificate"):
                assert getattr(one, name) == pytest.approx(getattr(other, name), rel=1e-10, abs=1e-13)


def threads_of_blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_one_thread_of_blas_in_nested_and_overlapping_blocks():
    before = threads_of_blas()
    with one_blas_thread():
        with one_blas_thread():
            assert threads_of_blas() == {1}
        assert threads_of_blas() == {1}
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(lambda seed: trained(NETWORK, windows(NETWORK), seed=seed, epochs=1), range(4)))
        assert threads_of_blas() == {1}
    assert threads_of_blas() == before
    with pytest.raises(ZeroDivisionError), one_blas_thread():
        _ = 1 / 0
    assert threads_of_blas() == before
