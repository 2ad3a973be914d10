"""Statements that hold on every path, checked at every generation of every replicate.

Slugs density-wall, density-floor, support-floor, neutral-until-cap, cap-bias and flat-gain. Runs with one seed and
``sampler="points"`` are coupled draw by draw. A statement that holds always has no margin; its control is a slightly
stronger statement that some path violates, or a hypothesis that is dropped.
"""

import math
import warnings

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.theory import categorical as theory
from tce_theory.theory import wall

CE = tce.CrossEntropy()


def paths(model, loss, *, n, generations, replicates, seed, metrics, sampler="points", **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(
            model, loss, n_samples=n, generations=generations, replicates=replicates, seed=seed, sampler=sampler,
            metrics=metrics, n_jobs=2, **options,
        )  # fmt: skip


# ------------------------------------------------------------------------------------------------- the wall


class Wall:
    """Coupled paths of CE and TCE, with log variances in units of the critical variance."""

    rounding = 1e-12
    """Of a few hundred sums of logarithms of order 100, of which the walk takes differences."""

    def __init__(self, n, fit_mean, gamma, std=1.0, generations=300, replicates=100):
        model = tce.Gaussian(2.0, std, fit_mean=fit_mean)
        options = {"n": n, "generations": generations, "replicates": replicates, "seed": 17, "metrics": ["log_std"]}
        plain, truncated = paths(model, CE, **options), paths(model, tce.TCE(gamma), **options)
        log_critical = math.log(wall.critical_std(gamma))
        self.steps = 2 * np.diff(plain.metrics["log_std"], axis=1)
        self.log_variance = 2 * (truncated.metrics["log_std"] - log_critical)
        self.vacuous = truncated.events["vacuous"]

    def reflected(self, start=0.0):
        """W_0 = max(0, log(sigma_0^2/sigma_c^2)) (moved by `start` for a control), W_{t+1} = max(0, W_t + step)."""
        walk = np.empty_like(self.log_variance)
        walk[:, 0] = np.maximum(0.0, self.log_variance[:, 0] + start)
        for t in range(self.steps.shape[1]):
            walk[:, t + 1] = np.maximum(0.0, walk[:, t] + self.steps[:, t])
        return walk

    def is_between(self, walk, width=1.0):
        """Does log(sigma_t^2/sigma_c^2) lie in [W_t - width, W_t] on every path and at every t?"""
        gap = walk - self.log_variance
        return bool((gap >= -self.rounding).all() and (gap <= width + self.rounding).all())


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("gamma", [0.05, 0.3, 0.45, 0.62])
@pytest.mark.parametrize("n", [2, 3, 10, 60])
def test_density_wall(n, gamma, fit_mean):
    """At gamma = 0.3 the path starts between the floor and the wall, at 0.05 far below the floor.

    Control: the walk started 0.05 lower, which is below the path wherever nothing has been masked yet.
    """
    found = Wall(n, fit_mean, gamma)
    if gamma == 0.05:  # sigma_0 < sigma_f: the hypothesis fails at generation 0, and holds from generation 1 on
        assert found.log_variance[0, 0] < -1
        found.log_variance, found.steps = found.log_variance[:, 1:], found.steps[:, 1:]
    assert found.is_between(found.reflected())
    if found.log_variance[:, 0].max() > 0:
        assert not found.is_between(found.reflected(-0.05))
    assert (found.vacuous > 0).any() == (n < 60 or gamma == 0.05)


@pytest.mark.parametrize("fit_mean", [True, False])
def test_the_width_of_the_wall_is_needed(fit_mean):
    """Control of the width 1: with n = 2 or 3 some path comes closer to its lower end than a tenth."""
    found = [Wall(n, fit_mean, gamma) for n in (2, 3) for gamma in (0.3, 0.45, 0.62)]
    assert all(one.is_between(one.reflected()) for one in found)
    assert not all(one.is_between(one.reflected(), width=0.9) for one in found)


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("n", [2, 5, 40])
def test_one_step_against_the_wall(n, fit_mean):
    """max(sigma_f^2, e^xi sigma_t^2) <= sigma_{t+1}^2 <= max(sigma_c^2, e^xi sigma_t^2): the floor holds for ever.

    Controls: the floor raised by 5 %, the wall lowered by 5 %, in the variance.
    """
    found = Wall(n, fit_mean, 0.5)
    free = found.log_variance[:, :-1] + found.steps
    after = found.log_variance[:, 1:]
    five = math.log(1.05)

    def holds(floor, top):
        above_floor = (after >= np.maximum(floor, free) - found.rounding).all()
        return bool(above_floor and (after <= np.maximum(top, free) + found.rounding).all())

    assert holds(-1.0, 0.0)
    assert not holds(-1.0, -five)
    if n == 2:
        assert not holds(-1.0 + five, 0.0)


def test_the_floor_is_sharp():
    """A sharp witness: points just beyond sigma_f on either side of the mean have a fit just above sigma_f."""
    gamma = 0.5
    floor = wall.floor_std(gamma)
    for fit_mean in (True, False):
        model = tce.Gaussian(fit_mean=fit_mean)
        for excess in (1e-3, 1e-6):
            result = tce.fit(model, np.array([-1, 1]) * floor * (1 + excess), tce.TCE(gamma))
            assert not result.vacuous
            assert floor <= result.model.std < floor * (1 + 2 * excess)
        with pytest.warns(tce.StatisticalWarning, match="masked"):
            assert tce.fit(model, np.array([-1, 1]) * floor * (1 - 1e-9), tce.TCE(gamma)).vacuous


def test_without_the_threshold_the_floor_is_broken():
    """Dropped hypothesis: cross entropy, whose scale falls through every floor."""
    run = paths(tce.Gaussian(), CE, n=10, generations=300, replicates=20, seed=3, metrics=["std"])
    assert (run.metrics["std"][:, -1] < wall.floor_std(0.5)).all()


# ------------------------------------------------------------------------------------------------- neutral until then


@pytest.mark.parametrize("fit_mean", [True, False])
@pytest.mark.parametrize("n", [2, 10, 100])
def test_a_gaussian_is_neutral_until_the_wall(n, fit_mean):
    """CE and TCE are the same bits until the scale of CE first is below sigma_c; control: until it is 3 % below it.

    They may be the same for longer: a fit below sigma_c masks nothing if no point is near enough to the mean.
    """
    gamma, model = 0.5, tce.Gaussian(fit_mean=fit_mean)
    options = {"n": n, "generations": 200, "replicates": 100, "seed": 23, "metrics": ["mean", "std"]}
    plain, truncated = paths(model, CE, **options).metrics, paths(model, tce.TCE(gamma), **options).metrics
    first = first_time(plain["std"] < wall.critical_std(gamma))
    later = first_time(plain["std"] < 0.97 * wall.critical_std(gamma))
    assert first.min() < 200
    differs = first_time(plain["std"] != truncated["std"])
    assert (differs >= first).all()
    assert (differs < later).any()
    assert (first_time(plain["mean"] != truncated["mean"]) >= first).all()


def first_time(condition):
    """First column in which the condition holds, or the number of columns."""
    return np.where(condition.any(axis=1), condition.argmax(axis=1), condition.shape[1])


@pytest.mark.parametrize(("probs", "n"), [([0.3, 0.7], 15), ([0.1, 0.2, 0.3, 0.4], 8), (np.full(20, 0.05), 30)])
@pytest.mark.parametrize("gamma", [0.8, 0.95])
def test_a_categorical_is_neutral_until_the_cap(probs, n, gamma):
    """The same bits until a frequency of CE first exceeds gamma, in every replicate; control: 10 % above it."""
    model = tce.Categorical(probs)
    metrics = ["max_prob", "entropy", "tv", "kl_to_origin"]
    options = {"n": n, "generations": 150, "replicates": 200, "seed": 29, "metrics": metrics}
    plain, truncated = paths(model, CE, **options).metrics, paths(model, tce.TCE(gamma), **options).metrics
    first = first_time(plain["max_prob"] > gamma)
    later = first_time(plain["max_prob"] > 1.1 * gamma)
    assert first.min() < 150
    for name in metrics:
        assert (first_time(plain[name] != truncated[name]) >= first).all()
    differs = first_time(plain["max_prob"] != truncated["max_prob"])
    assert (differs == first).all()
    if gamma == 0.8:
        assert (differs < later).any()


def test_a_categorical_is_neutral_until_the_cap_in_law_sampling():
    """Without points the counts are the same as long as the models are: a single replicate for each seed."""
    gamma, model = 0.8, tce.Categorical([0.2, 0.3, 0.5])
    first, differs = [], []
    for seed in range(100):
        options = {
            "n": 40,
            "generations": 80,
            "replicates": 1,
            "seed": seed,
            "metrics": ["max_prob"],
            "sampler": "auto",
        }
        plain, truncated = (paths(model, loss, **options).metrics["max_prob"] for loss in (CE, tce.TCE(gamma)))
        first.append(first_time(plain > gamma)[0])
        differs.append(first_time(plain != truncated)[0])
    assert first == differs
    assert min(first) < 80


# ------------------------------------------------------------------------------------------------- the cap


CAPS = [(5, 0.9), (5, 0.7), (5, 0.5), (5, 0.3), (5, 0.2), (3, 1 / 3), (4, 0.25), (30, 0.05), (2, 0.6)]


@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("n", [1, 2, 7, 60])
@pytest.mark.parametrize(("size", "gamma"), CAPS)
def test_support_floor(size, gamma, n, sampler):
    """Warm-started from inside the cap: max q <= gamma, at least ceil(1/gamma) classes, entropy at least h_min."""
    run = paths(
        tce.Categorical(np.full(size, 1 / size)), tce.TCE(gamma, vacuous="warm"), n=n, generations=200, replicates=30,
        seed=31, metrics=["max_prob", "support", "entropy"], sampler=sampler,
    ).metrics  # fmt: skip
    assert run["max_prob"].max() <= gamma * (1 + 1e-14)
    assert run["support"].min() >= theory.surviving_classes_floor(gamma)
    assert run["entropy"].min() >= theory.entropy_floor(gamma) - 1e-13


def test_the_floors_of_the_cap_are_sharp():
    """Witnesses: long runs of few points reach each of the three bounds; 5 % more would be violated."""
    reached = {"max_prob": 0, "support": 0, "entropy": 0}
    for gamma in (0.9, 0.7, 0.3):
        run = paths(
            tce.Categorical(np.full(5, 0.2)), tce.TCE(gamma), n=4, generations=400, replicates=30, seed=37,
            metrics=list(reached),
        ).metrics  # fmt: skip
        reached["max_prob"] += run["max_prob"].max() > 0.95 * gamma
        reached["support"] += run["support"].min() < 1.05 * theory.surviving_classes_floor(gamma)
        reached["entropy"] += run["entropy"].min() < 1.05 * theory.entropy_floor(gamma)
    assert reached["max_prob"] == 3
    assert reached["support"] == 3
    assert reached["entropy"] >= 2


def test_the_floors_of_the_cap_need_their_hypotheses():
    """Outside the cap a model is frozen until the rare class is drawn; drawn-only loses classes; so does CE."""
    frozen = paths(
        tce.Categorical([0.95, 0.05]), tce.TCE(0.9), n=4, generations=60, replicates=300, seed=41,
        metrics=["max_prob", "support"],
    ).metrics["max_prob"]  # fmt: skip
    left = first_time(frozen != 0.95)
    assert left.max() > 5
    for path, t in zip(frozen, left, strict=True):
        assert (path[:t] == 0.95).all()
        assert (path[t:] <= 0.9 * (1 + 1e-14)).all()  # the first non-vacuous fit projects into the cap for good
    for loss in (CE, tce.TCE(0.9, vacuous="drawn-only")):
        run = paths(
            tce.Categorical([0.5, 0.5]), loss, n=4, generations=200, replicates=100, seed=43, metrics=["support"]
        )
        assert (run.metrics["support"][:, -1] == 1).all()


@pytest.mark.parametrize("n", [3, 50, 400])
def test_cap_bias(n):
    """Inside a cap below the true head, total variation is at least the head's excess; control: 5 % more excess."""
    model, gamma = tce.Categorical([0.6, 0.25, 0.1, 0.05]), 0.4
    run = paths(model, tce.TCE(gamma), n=n, generations=60, replicates=100, seed=47, metrics=["max_prob", "tv"]).metrics
    inside = run["max_prob"] <= gamma * (1 + 1e-14)
    assert inside[:, 5:].any()
    bound = theory.cap_bias(model.probs, gamma)
    assert run["tv"][inside].min() >= bound - 1e-14
    assert not (run["tv"][~inside] >= bound).all()  # dropped hypothesis: generation 0 itself
    if n == 400:
        assert run["tv"][inside].min() < 1.05 * bound


@pytest.mark.parametrize("n", [1, 5, 200])
def test_flat_gain(n):
    """From a uniform start with gamma = (1 + d)/K: TV <= d/(1 + d) and support >= K/(1 + d) for ever.

    Controls: CE; and a sharp witness, the fit to data that show K/(1 + d) classes equally often.
    """
    size, delta = 12, 0.5
    model, loss = tce.Categorical(np.full(size, 1 / size)), tce.TCE((1 + delta) / size)
    options = {"n": n, "generations": 400, "replicates": 30, "seed": 53, "metrics": ["tv", "support"]}
    run = paths(model, loss, **options).metrics
    bound, fewest = delta / (1 + delta), round(size / (1 + delta))
    assert run["tv"].max() <= bound + 1e-13
    assert run["support"].min() >= fewest
    without = paths(model, CE, **options).metrics
    assert without["tv"].max() > bound
    assert without["support"].min() < fewest
    witness = tce.fit(model, tce.Counts([1] * fewest + [0] * (size - fewest)), loss).model
    assert witness.total_variation(model) == pytest.approx(bound, rel=1e-14)
    assert np.count_nonzero(witness.probs) == fewest
