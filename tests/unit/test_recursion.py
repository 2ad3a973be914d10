"""`simulate`: determinism, metrics, events, errors, warnings, interrupts."""

import json
import math
import os
import subprocess
import sys
import textwrap
import time
import warnings
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.models.base import Control
from tce_theory.recursion import block_generator
from tce_theory.theory import gaussian as theory

CE = tce.CrossEntropy()


def run_of(model, loss, **options):
    """A run of 200 replicates, without the warnings about what its means say."""
    settings = {"n_samples": 10, "generations": 12, "replicates": 200, "seed": 1} | options
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return tce.simulate(model, loss, **settings)


def bits(run, rows=slice(None)):
    return {name: array[rows].tobytes() for name, array in (*run.metrics.items(), *run.events.items())}


SETTINGS = {
    "Gaussian, law": (tce.Gaussian(1.0, 2.0), CE, {}),
    "Gaussian, ddof 1": (tce.Gaussian(ddof=1), CE, {}),
    "Gaussian, points": (tce.Gaussian(fit_mean=False), CE, {"sampler": "points"}),
    "Gaussian, fresh": (tce.Gaussian(), CE, {"regime": tce.FreshMix(0.2)}),
    "Gaussian, fresh, points": (tce.Gaussian(), CE, {"regime": tce.FreshMix(0.2), "sampler": "points"}),
    "Gaussian, TCE": (tce.Gaussian(), tce.TCE(0.5), {"metrics": ["std", "mean", "masked_weight"]}),
    "Gaussian, TCE, known mean": (tce.Gaussian(fit_mean=False), tce.TCE(0.5), {}),
    "Gaussian, TCE, fresh": (tce.Gaussian(), tce.TCE(0.5), {"regime": tce.FreshMix(0.2)}),
    "Gaussian, relative": (tce.Gaussian(), tce.TCE(0.9, scale="relative"), {}),
    "Gaussian, previous": (tce.Gaussian(), tce.TCE(0.5, mask="previous"), {}),
    "Gaussian, relative, previous": (tce.Gaussian(), tce.TCE(0.9, scale="relative", mask="previous"), {}),
    "Categorical, law": (tce.Categorical.zipf(8), CE, {"n_samples": 40}),
    "Categorical, many classes": (tce.Categorical.zipf(300), CE, {"metrics": ["support", "tv", "kl_from_origin"]}),
    "Categorical, points": (tce.Categorical.zipf(8), CE, {"sampler": "points"}),
    "Categorical, fresh": (tce.Categorical.zipf(8), CE, {"regime": tce.FreshMix(0.2)}),
    "Categorical, TCE": (tce.Categorical.zipf(8), tce.TCE(0.3), {"metrics": list(tce.Categorical.metric_names)}),
    "Categorical, TCE, max-entropy": (tce.Categorical.zipf(8), tce.TCE(0.3, vacuous="max-entropy"), {}),
    "Categorical, TCE, drawn-only": (tce.Categorical.zipf(8), tce.TCE(0.3, vacuous="drawn-only"), {}),
    "Categorical, previous": (tce.Categorical.zipf(8), tce.TCE(0.3, mask="previous"), {}),
    "Categorical, focal": (tce.Categorical.zipf(8), tce.FocalLoss(2.0), {"generations": 4}),
    "Categorical, smooth": (tce.Categorical.zipf(8), tce.SmoothTruncatedCrossEntropy(0.5, 0.1), {"generations": 4}),
    "user metric": (tce.Gaussian(), CE, {"metrics": {"second moment": lambda m: m.std**2 + m.mean**2}}),
}
EVERY_SETTING = pytest.mark.parametrize("setting", SETTINGS.values(), ids=SETTINGS)


# ------------------------------------------------------------------------------------------------- determinism


@EVERY_SETTING
def test_bits_do_not_depend_on_the_number_of_threads(setting):
    model, loss, options = setting
    one = run_of(model, loss, **options)
    assert one.provenance["block_size"] < 200
    for n_jobs in (2, 3, -1):
        assert bits(run_of(model, loss, n_jobs=n_jobs, **options)) == bits(one)
    assert bits(run_of(model, loss, seed=2, **options)) != bits(one)


@EVERY_SETTING
def test_the_first_replicates_of_a_longer_run(setting):
    """150 of 200, which do not end with a block; and the first generations of the first replicate of a longer run."""
    model, loss, options = setting
    whole = run_of(model, loss, **options)
    assert bits(run_of(model, loss, **options | {"replicates": 150})) == bits(whole, slice(150))
    generations = options.get("generations", 12)
    longer = run_of(model, loss, **options | {"replicates": 1, "generations": 2 * generations})
    for name, path in whole.metrics.items():
        assert longer.metrics[name][0, : generations + 1].tobytes() == path[0].tobytes()


@EVERY_SETTING
def test_a_block_on_its_own(setting):
    """What a rerun of some blocks needs: the block's stream is keyed by seed and block alone."""
    model, loss, options = setting
    whole = run_of(model, loss, **options)
    metrics = options.get("metrics", model.default_metrics)
    names, functions = ([], metrics) if isinstance(metrics, dict) else (list(metrics), {})
    sizes = np.full(options.get("generations", 12), options.get("n_samples", 10))
    recursion = model.recursion(loss, sizes, options.get("regime", tce.Replace()), options.get("sampler", "auto"))
    block = 2
    rows = slice(block * recursion.block_size, (block + 1) * recursion.block_size)
    control = Control(np.zeros(1, np.uint8), np.zeros(1, np.int64), 0)
    found = recursion.run_block(block_generator(1, block), recursion.block_size, names, functions, control)
    for name, array in found.metrics.items():
        assert array.tobytes() == whole.metrics[name][rows].tobytes()
    for name, array in found.events.items():
        assert array.tobytes() == whole.events[name][rows].tobytes()


def test_seeds_are_recorded():
    settings = {"n_samples": 50, "generations": 3, "replicates": 10}  # fresh seeds: large enough never to warn
    runs = [tce.simulate(tce.Gaussian(), CE, **settings) for _ in range(2)]
    assert runs[0].seed != runs[1].seed
    assert bits(runs[0]) != bits(runs[1])
    for run in runs:
        assert bits(tce.simulate(tce.Gaussian(), CE, seed=run.seed, **settings)) == bits(run)
    for seed in (0, 2**64 + 1, 2**128, np.int64(7)):
        run = tce.simulate(tce.Gaussian(), CE, seed=seed, **settings)
        assert run.seed == seed
        assert type(run.seed) is int


def test_provenance_suffices_to_make_the_run_again():
    model = tce.Gaussian(0.5, 2.0, fit_mean=False)
    run = run_of(model, tce.TCE(0.3), regime=tce.FreshMix(0.25), sampler="points", seed=9)
    found = json.loads(json.dumps(dict(run.provenance)))
    assert found["model"] == {"name": "Gaussian", "mean": 0.5, "std": 2.0, "fit_mean": False, "ddof": 0}
    assert {name: found[name] for name in ("n_samples", "generations", "replicates", "seed", "sampler")} == {
        "n_samples": 10, "generations": 12, "replicates": 200, "seed": 9, "sampler": "points",
    }  # fmt: skip
    parameters = {name: found["model"][name] for name in ("mean", "std", "fit_mean", "ddof")}
    again = run_of(
        tce.Gaussian(**parameters), tce.TCE(**found["loss_parameters"]), regime=eval(found["regime"], vars(tce)),
        n_samples=found["n_samples"], sampler=found["sampler"], seed=found["seed"],
    )  # fmt: skip
    assert bits(again) == bits(run)
    assert set(found["versions"]) == {"tce_theory", "python", "numpy", "scipy", "numba"}
    text = tce.simulate(tce.Categorical([0.5, 0.5]), CE, n_samples=3, generations=1, seed=1).provenance["model"]
    assert text["probs"] == [0.5, 0.5]


def test_progress_changes_nothing_and_stays_silent_without_a_terminal(capfd):
    quiet = run_of(tce.Gaussian(), CE)
    assert bits(run_of(tce.Gaussian(), CE, progress=True)) == bits(quiet)
    assert capfd.readouterr() == ("", "")


# ------------------------------------------------------------------------------------------------- metrics


def test_shapes_and_generation_0():
    model = tce.Gaussian(-1.0, 3.0)
    run = run_of(model, tce.TCE(0.1), metrics=tce.Gaussian.metric_names)
    for name, values in run.metrics.items():
        assert values.shape == (200, 13)
        assert values.dtype == np.float64
        start = values[:, 0]
        if name == "masked_weight":
            assert np.isnan(start).all()
            assert ((values[:, 1:] >= 0) & (values[:, 1:] <= 10)).all()
            assert (values[:, 1:] > 0).any()
        else:
            expected = {"mean": -1.0, "std": 3.0, "log_std": math.log(3), "entropy": model.entropy()}.get(name, 0.0)
            assert start == pytest.approx(np.full(200, expected), rel=1e-15)
    model = tce.Categorical([0.5, 0.3, 0.2, 0.0])
    run = run_of(model, tce.TCE(0.6), metrics=tce.Categorical.metric_names)
    expected = {
        "entropy": model.entropy(), "heterozygosity": 0.62, "support": 3.0, "support_fraction": 1.0, "max_prob": 0.5,
        "tv": 0.0, "kl_to_origin": 0.0, "kl_from_origin": 0.0, "masked_weight": np.nan,
    }  # fmt: skip
    assert set(run.metrics) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(run.metrics[name][:, 0], value, rtol=1e-15, atol=1e-16)
    assert run_of(model, CE).metrics.keys() == set(tce.Categorical.default_metrics)


def test_masked_weight_is_what_the_fit_reports():
    """The first generation of a run by points, repeated by hand from the same stream."""
    for model, loss in (
        (tce.Gaussian(2.0, 0.5), tce.TCE(0.9)),
        (tce.Gaussian(2.0, 0.5, fit_mean=False), tce.TCE(0.9)),
        (tce.Gaussian(2.0, 0.5), tce.TCE(0.9, scale="relative")),
        (tce.Gaussian(2.0, 0.5), tce.TCE(0.9, mask="previous")),
    ):
        run = tce.simulate(
            model, loss, n_samples=30, generations=1, seed=4, metrics=["mean", "std", "masked_weight"], sampler="points"
        )
        fit = tce.fit(model, model.mean + model.std * block_generator(4, 0).standard_normal(30), loss)
        assert run.metrics["masked_weight"][0, 1] == pytest.approx(fit.masked_weight, rel=1e-9)
        assert run.metrics["mean"][0, 1] == pytest.approx(fit.model.mean, rel=1e-12)
        assert run.metrics["std"][0, 1] == pytest.approx(fit.model.std, rel=1e-12)
    assert (run_of(tce.Gaussian(), CE, metrics=["masked_weight"]).metrics["masked_weight"][:, 1:] == 0).all()


def kl_to_origin(model):
    return model.kl_divergence(tce.Gaussian(1.0, 2.0))


GAUSSIAN_METRICS = {
    "a mean": ("mean", lambda m: m.mean),
    "a scale": ("std", lambda m: m.std),
    "an entropy": ("entropy", lambda m: m.entropy()),
    "a divergence": ("kl_to_origin", kl_to_origin),
    "another": ("kl_from_origin", lambda m: tce.Gaussian(1.0, 2.0).kl_divergence(m)),
    "a distance": ("w2_squared", lambda m: m.w2_squared(tce.Gaussian(1.0, 2.0))),
}
TRUTH = tce.Categorical([0.5, 0.25, 0.15, 0.1])
CATEGORICAL_METRICS = {
    "a largest": ("max_prob", lambda m: m.probs.max()),
    "an entropy": ("entropy", lambda m: m.entropy()),
    "a heterozygosity": ("heterozygosity", lambda m: m.heterozygosity()),
    "a support": ("support", lambda m: np.count_nonzero(m.probs)),
    "a divergence": ("kl_to_origin", lambda m: m.kl_divergence(TRUTH)),
    "another": ("kl_from_origin", TRUTH.kl_divergence),
    "a distance": ("tv", lambda m: m.total_variation(TRUTH)),
}


@pytest.mark.parametrize(
    ("model", "loss", "pairs"),
    [
        (tce.Gaussian(1.0, 2.0), CE, GAUSSIAN_METRICS),
        (tce.Gaussian(1.0, 2.0), tce.TCE(0.25), GAUSSIAN_METRICS),
        (TRUTH, CE, CATEGORICAL_METRICS),
        (TRUTH, tce.TCE(0.6), CATEGORICAL_METRICS),
    ],
)
def test_functions_of_a_model_equal_the_metrics_of_the_family(model, loss, pairs):
    """To rounding, also where a family's metric is infinite, and without changing what else is drawn."""
    names = [name for name, _ in pairs.values()]
    functions = {own: function for own, (_, function) in pairs.items()}
    options = {"replicates": 70, "generations": 8, "n_samples": 6}
    plain = run_of(model, loss, metrics=names, **options)
    run = run_of(model, loss, metrics=functions, **options)
    mixed = run_of(model, loss, metrics=[*names, length_of_name], **options)
    for own, (name, _) in pairs.items():
        np.testing.assert_allclose(run.metrics[own], plain.metrics[name], rtol=1e-14, atol=1e-15)
        assert mixed.metrics[name].tobytes() == plain.metrics[name].tobytes()
    assert run.metrics.keys() == set(functions)
    for name, values in plain.events.items():
        assert run.events[name].tobytes() == values.tobytes()


def length_of_name(model):
    return len(type(model).__name__)


def test_functions_are_named_by_the_user_or_by_themselves():
    run = run_of(tce.Gaussian(), CE, metrics=[length_of_name, "std", "std"], replicates=2)
    assert list(run.metrics) == ["std", "length_of_name"]
    assert (run.metrics["length_of_name"] == len("Gaussian")).all()
    mapped = run_of(tce.Gaussian(), CE, metrics={"x": lambda m: m.std, "y": lambda m: m.mean}, replicates=2)
    assert list(mapped.metrics) == ["x", "y"]


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        ("std", "metrics must be a list of names and functions, or a mapping"),
        (7, "metrics must be a list of names and functions, or a mapping"),
        ([], "metrics must be at least one name or function"),
        (["variance"], "metrics must be one of 'mean', 'std'"),
        ([3], "metrics must be one of 'mean', 'std'"),
        ({"x": "std"}, "metrics must be a mapping from names to functions"),
        ({3: length_of_name}, "metrics must be a mapping from names to functions"),
        ({"std": length_of_name}, "metrics must be a name that "),
        ([length_of_name, length_of_name], "metrics must be a name that "),
        ({"x": lambda m: "high"}, "metric 'x' must be a function that returns a number, got 'high'"),
        ({"x": lambda m: None}, "metric 'x' must be a function that returns a number, got None"),
        ({"x": lambda m: [1, 2]}, "metric 'x' must be a function that returns a number"),
    ],
)
def test_wrong_metrics_are_refused(metrics, message):
    with pytest.raises(tce.DomainError) as caught:
        run_of(tce.Gaussian(), CE, metrics=metrics)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_error_in_a_function_is_raised_as_it_is(n_jobs):
    def fails(model):
        if model.std < 0.5:
            raise ZeroDivisionError("by the user")
        return 1.0

    started = time.monotonic()
    with pytest.raises(ZeroDivisionError, match="by the user"):
        run_of(tce.Gaussian(), CE, metrics=[fails], replicates=20_000, n_jobs=n_jobs)
    assert time.monotonic() - started < 5  # the other blocks stop; all of them would take far longer


# ------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model": 3}, "model must be a model of this library"),
        ({"model": tce.Gaussian}, "model must be a model of this library"),
        ({"loss": "CE"}, "loss must be a loss of this library"),
        ({"loss": tce.CrossEntropy}, "loss must be a loss of this library"),
        ({"regime": "replace"}, "regime must be a regime of this library"),
        ({"regime": tce.FreshMix}, "regime must be a regime of this library"),
        ({"decoding": 0.7}, "decoding must be a way to decode"),
        ({"n_samples": 0}, "n_samples must be an integer"),
        ({"n_samples": 10.5}, "n_samples must be an integer"),
        ({"n_samples": True}, "n_samples must be an integer"),
        ({"n_samples": "10"}, "n_samples must be an integer"),
        ({"n_samples": float("nan")}, "n_samples must be an integer"),
        ({"n_samples": 1}, "n_samples must be at least 2 for CrossEntropy(), or no scale can be fitted"),
        ({"n_samples": 2**60}, "n_samples must be an integer"),
        ({"generations": 0}, "generations must be an integer"),
        ({"generations": -3}, "generations must be an integer"),
        ({"replicates": 0}, "replicates must be an integer"),
        ({"replicates": None}, "replicates must be an integer"),
        ({"seed": -1}, "seed must be an integer"),
        ({"seed": 1.5}, "seed must be an integer"),
        ({"seed": "one"}, "seed must be an integer"),
        ({"seed": 2**129}, "seed must be an integer"),
        ({"n_jobs": 0}, "n_jobs must be a positive integer, or -1 for all processors, got 0"),
        ({"n_jobs": -2}, "n_jobs must be a positive integer, or -1 for all processors, got -2"),
        ({"n_jobs": True}, "n_jobs must be a positive integer, or -1 for all processors"),
        ({"sampler": "law"}, "sampler must be one of 'auto', 'points', got 'law'"),
        ({"sampler": None}, "sampler must be one of 'auto', 'points'"),
        ({"loss": tce.TCE(0.5, scale="relative")}, "gamma must be at least e^(-1/2) = 0.606531 for the relative scale"),
        ({"model": tce.Categorical([0.5, 0.5]), "loss": tce.TCE(1.5)}, "gamma must be in (0, 1] for probabilities"),
    ],
)
def test_inadmissible_arguments_are_refused_in_one_line(changes, message):
    settings = {"model": tce.Gaussian(), "loss": CE, "n_samples": 10, "generations": 3, "seed": 1} | changes
    with pytest.raises(tce.DomainError) as caught:
        tce.simulate(settings.pop("model"), settings.pop("loss"), **settings)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


def test_what_people_write_is_understood():
    run = tce.simulate(tce.Gaussian(), CE, n_samples=1e4, generations=np.int64(2), replicates=3.0, seed=1)
    assert run.metrics["std"].shape == (3, 3)
    assert run.provenance["n_samples"] == 10_000


@pytest.mark.parametrize(
    ("model", "loss", "reason"),
    [
        (tce.Gaussian(), tce.FocalLoss(), "its weight is for probabilities, not densities"),
        (tce.Gaussian(), tce.SmoothTruncatedCrossEntropy(0.5, 0.1), "its weight is for probabilities"),
        (tce.Gaussian(ddof=1), tce.TCE(0.5), "goes with CrossEntropy alone: TCE is maximum likelihood"),
        (tce.Gaussian(), tce.TCE(0.5, vacuous="warm"), "only the fit of largest entropy is determined"),
        (tce.Gaussian(), tce.TCE(0.9, scale="relative", vacuous="max-entropy"), "never a choice among minimisers"),
        (tce.Gaussian(), tce.TCE(0.9, mask="previous", vacuous="max-entropy"), "never a choice among minimisers"),
        (tce.Categorical([0.5, 0.5]), tce.TCE(0.9, scale="relative"), "most probable class would always be masked"),
        (tce.Categorical([0.5, 0.5]), tce.TCE(0.9, mask="previous", vacuous="warm"), "the previous model is kept"),
    ],
)
def test_what_does_not_go_together_is_refused_with_the_reason(model, loss, reason):
    with pytest.raises(tce.UnsupportedCombinationError) as caught:
        tce.simulate(model, loss, n_samples=10, generations=2, seed=1)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


# ------------------------------------------------------------------------------------------------- warnings


def test_warnings_say_what_the_numbers_do_not_mean():
    with pytest.warns(tce.StatisticalWarning, match="the variance of log std is .* at the last generation") as caught:
        tce.simulate(tce.Gaussian(), CE, n_samples=10, generations=60, replicates=50, seed=1)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    with pytest.warns(tce.StatisticalWarning, match="log std"):  # also where only what it concerns is recorded
        tce.simulate(tce.Gaussian(), CE, n_samples=10, generations=60, replicates=50, seed=1, metrics=["std"])
    with pytest.warns(tce.StatisticalWarning, match=r"^100\.00% of the fits were vacuous at TruncatedCross"):
        tce.simulate(tce.Gaussian(), tce.TCE(0.1), n_samples=1, generations=3, seed=1)
    with pytest.warns(tce.StatisticalWarning, match="vacuous"):
        tce.simulate(tce.Categorical([0.5, 0.5]), tce.TCE(0.9), n_samples=1, generations=3, seed=1)


@pytest.mark.parametrize(
    "settings",
    [
        {"generations": 10, "replicates": 200},  # Var log std = 10/(2 x 10)
        {"generations": 60, "replicates": 1},  # no variance of one replicate
        {"generations": 60, "replicates": 50, "loss": tce.TCE(0.4)},  # the wall bounds it
    ],
)
def test_no_warning_without_a_reason(settings):
    settings = {"loss": CE, "n_samples": 10, "seed": 1} | settings
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*vacuous.*")
        warnings.filterwarnings("error", message=".*log std.*")
        tce.simulate(tce.Gaussian(), settings.pop("loss"), **settings)


# ------------------------------------------------------------------------------------------------- events


@pytest.mark.parametrize(("sampler", "fit_mean"), [("auto", True), ("points", True), ("auto", False)])
def test_underflow(sampler, fit_mean):
    """n = 2 for 3,000 generations: the scale leaves the range of a float, its logarithm keeps the law's drift.

    The drift is about -0.98 a generation (-0.64 with a known mean and one sample), the standard deviation of log std
    at the end 61, and of its mean over 40 replicates 10: six of these are 2 %.
    """
    n, generations = (2, 3000) if fit_mean else (1, 3000)
    run = run_of(
        tce.Gaussian(5.0, 2.0, fit_mean=fit_mean), CE, n_samples=n, generations=generations, replicates=40,
        metrics=tce.Gaussian.metric_names, sampler=sampler,
    )  # fmt: skip
    std, log_std, mean = (run.metrics[name] for name in ("std", "log_std", "mean"))
    assert np.isfinite(log_std).all()
    assert np.isfinite(mean).all()
    law = theory.log_std_moments(generations, n, std=2.0, fit_mean=fit_mean)
    error = math.sqrt(law.variance / 40)
    assert abs(law.mean) > 50 * error
    assert abs(log_std[:, -1].mean() - law.mean) < 5 * error
    assert (std[:, -1] == 0).all()
    assert (run.events["underflow"] == (std == 0).argmax(axis=1)).all()
    ordinary = std > 1e-300
    np.testing.assert_allclose(np.log(std[ordinary]), log_std[ordinary], rtol=1e-13, atol=1e-13)
    assert log_std[std == 0].max() < -744
    # a mean can move for as long as the scale is above its rounding
    assert (mean[:, -1] == mean[:, -100]).all()
    for name in ("entropy", "kl_to_origin", "w2_squared"):
        assert np.isfinite(run.metrics[name]).all()
    assert not np.isnan(run.metrics["kl_from_origin"]).any()  # from a law to a point mass it is infinite
    assert np.isinf(run.metrics["kl_from_origin"][:, -1]).all()


@pytest.mark.parametrize("fit_mean", [True, False])
def test_overflow(fit_mean):
    """A relative threshold near its limit multiplies the scale at every generation."""
    run = run_of(
        tce.Gaussian(fit_mean=fit_mean), tce.TCE(0.61, scale="relative"), n_samples=100, generations=1000, replicates=5,
        metrics=tce.Gaussian.metric_names,
    )  # fmt: skip
    assert np.isfinite(run.metrics["log_std"]).all()
    assert run.metrics["log_std"][:, -1].min() > 710
    std = run.metrics["std"]
    assert np.isinf(std[:, -1]).all()
    assert (run.events["underflow"] == np.isinf(std).argmax(axis=1)).all()
    for name, values in run.metrics.items():
        assert not np.isnan(values[:, 1:]).any(), name


def test_functions_have_no_value_where_the_scale_has_left_the_range():
    run = run_of(tce.Gaussian(), CE, n_samples=2, generations=1000, replicates=2, metrics=["std", length_of_name])
    np.testing.assert_array_equal(np.isnan(run.metrics["length_of_name"]), run.metrics["std"] == 0)


@pytest.mark.parametrize("std", [1e-300, 1e300])
@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("regime", [tce.Replace(), tce.FreshMix(0.2)], ids=str)
def test_scales_near_the_ends_of_the_range(std, sampler, regime):
    """A change of units changes nothing but units."""
    options = {"n_samples": 10, "generations": 30, "replicates": 5, "metrics": ["log_std"], "sampler": sampler}
    scaled = run_of(tce.Gaussian(std=std), CE, regime=regime, **options).metrics["log_std"]
    plain = run_of(tce.Gaussian(), CE, regime=regime, **options).metrics["log_std"]
    np.testing.assert_allclose(scaled - math.log(std), plain, rtol=0, atol=1e-11)


def test_fixation():
    run = run_of(tce.Categorical([0.5, 0.3, 0.2]), CE, n_samples=6, generations=80, metrics=["support", "entropy"])
    fixed = run.metrics["support"] == 1
    assert (run.events["fixation"] == np.where(fixed.any(axis=1), fixed.argmax(axis=1), -1)).all()
    assert (run.metrics["entropy"][fixed] == 0).all()
    assert (np.diff(run.metrics["support"], axis=1) <= 0).all()
    assert (run_of(tce.Categorical([1.0, 0.0]), CE).events["fixation"] == 0).all()
    kept = run_of(tce.Categorical([0.5, 0.3, 0.2]), tce.TCE(0.8), n_samples=6, generations=80)
    assert (kept.events["fixation"] == -1).all()


def test_vacuous_generations_are_counted():
    """Gaussian: all points within 2 sigma_f of each other; categorical: fewer classes drawn than 1/gamma."""
    one = run_of(tce.Gaussian(), tce.TCE(0.3), n_samples=1)
    assert (one.events["vacuous"] == 12).all()
    single = run_of(tce.Categorical([0.5, 0.5]), tce.TCE(0.9), n_samples=1, metrics=["masked_weight"])
    assert (single.events["vacuous"] == 12).all()
    assert (single.metrics["masked_weight"][:, 1:] == 1).all()
    some = run_of(tce.Gaussian(), tce.TCE(0.3), n_samples=3, metrics=["masked_weight"])
    assert (some.events["vacuous"] == (some.metrics["masked_weight"][:, 1:] == 3).sum(axis=1)).all()
    assert 0 < some.events["vacuous"].mean() < 12
    assert (run_of(tce.Gaussian(), CE).events["vacuous"] == 0).all()


# ------------------------------------------------------------------------------------------------- regimes


@pytest.mark.parametrize("name", [name for name, setting in SETTINGS.items() if "regime" not in setting[2]])
def test_no_fresh_data_is_to_replace(name):
    """Not in law alone: bit for bit."""
    model, loss, options = SETTINGS[name]
    without = run_of(model, loss, **options)
    assert bits(run_of(model, loss, regime=tce.FreshMix(0.0), **options)) == bits(without)


@pytest.mark.parametrize("sampler", ["auto", "points"])
@pytest.mark.parametrize("model", [tce.Gaussian(1.0, 2.0), tce.Categorical.zipf(6)], ids=["Gaussian", "Categorical"])
def test_nothing_but_fresh_data_has_no_memory(model, sampler):
    """Generations are independent fits of the truth: no correlation, and the law of the first one.

    With 20,000 replicates a correlation has a standard error of 0.007. Control: with a fresh share of 0.7 correlations
    from one generation to the next are found.
    """
    name = "mean" if isinstance(model, tce.Gaussian) else "heterozygosity"
    options = {"n_samples": 12, "generations": 6, "replicates": 20_000, "metrics": [name], "sampler": sampler}
    values = run_of(model, CE, regime=tce.FreshMix(1.0), **options).metrics[name][:, 1:]
    correlation = np.corrcoef(values, rowvar=False)
    assert np.abs(correlation - np.eye(6)).max() < 5 / math.sqrt(20_000)
    assert np.abs(values.mean(axis=0) - values[:, 0].mean()).max() < 5 * values.std() * math.sqrt(2 / 20_000)
    assert np.abs(values.std(axis=0) / values[:, 0].std() - 1).max() < 0.05
    mixed = run_of(model, CE, regime=tce.FreshMix(0.7), **options).metrics[name][:, 1:]
    assert np.diag(np.corrcoef(mixed, rowvar=False), 1).min() > 5 / math.sqrt(20_000)


# ------------------------------------------------------------------------------------------------- size


def test_a_large_vocabulary():
    """A million classes and 10^8 points for two generations take seconds."""
    model = tce.Categorical.zipf(10**6)
    started = time.monotonic()
    run = tce.simulate(model, CE, n_samples=10**8, generations=2, seed=1, metrics=["support", "heterozygosity", "tv"])
    assert time.monotonic() - started < 20
    support = run.metrics["support"][0]
    # 6.8 points of the rarest class are expected: Poisson losses, with a standard deviation below 200
    expected = -np.expm1(-(10**8) * model.probs).sum()
    assert abs(support[1] - expected) < 1500
    assert support[2] < support[1]
    assert run.metrics["heterozygosity"][0] == pytest.approx(model.heterozygosity(), abs=1e-5)


def test_cost_in_law_does_not_grow_with_the_sample():
    started = time.monotonic()
    run = tce.simulate(tce.Gaussian(), CE, n_samples=10**15, generations=100, replicates=1000, seed=1)
    assert time.monotonic() - started < 5
    assert run.metrics["log_std"][:, -1].std() == pytest.approx(math.sqrt(100 / 2e15), rel=0.2)


# ------------------------------------------------------------------------------------------------- interrupts

INTERRUPT = """
    import os, signal, sys, threading, time, warnings
    import numpy as np
    import tce_theory as tce

    model, loss, settings = tce.Gaussian(), tce.CrossEntropy(), dict(n_samples=20, generations=20, seed=3)
    whole = tce.simulate(model, loss, replicates=256, **settings)
    calls = 0

    def interrupting(m):
        # 21 generations a replicate: in the third of four blocks of 64
        global calls
        calls += 1
        if calls == 21 * 150:
            signal.raise_signal(signal.SIGINT)
            time.sleep(0.5)  # all blocks together take less time than the main thread to wake up
        return m.std

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        run = tce.simulate(model, loss, replicates=256, metrics=["std", interrupting], **settings)
    assert run.interrupted and run.n_replicates == 256
    assert run.replicates.tolist() == list(range(128)), run.replicates
    assert run.metrics["std"].tobytes() == whole.metrics["std"][:128].tobytes()
    assert run.events["underflow"].shape == (128,)
    assert [w.category for w in caught] == [tce.InterruptedRunWarning]
    assert str(caught[0].message) == "interrupted: 128 of 256 replicates had finished and are kept"
    run.save(sys.argv[1])
    loaded = tce.Run.load(sys.argv[1])
    assert loaded.interrupted and loaded.metrics["std"].tobytes() == run.metrics["std"].tobytes()

    # before the first block is done there is nothing to keep
    calls = 21 * 140
    try:
        tce.simulate(model, loss, replicates=256, metrics=[interrupting], **settings)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("no KeyboardInterrupt")

    # deep inside of kernels that take minutes
    for model, loss, n, sampler in (
        (tce.Gaussian(), tce.TCE(0.5), 100_000, "auto"),
        (tce.Categorical.zipf(1000), tce.CrossEntropy(), 100_000, "points"),
    ):
        tce.simulate(model, loss, n_samples=100, generations=2, seed=1, sampler=sampler)
        sent = []
        def send():
            sent.append(time.monotonic())
            os.kill(os.getpid(), signal.SIGINT)
        threading.Timer(0.5, send).start()
        try:
            tce.simulate(model, loss, n_samples=n, generations=10**6, seed=1, n_jobs=2, replicates=4, sampler=sampler,
                         metrics=["entropy"])
        except KeyboardInterrupt:
            took = time.monotonic() - sent[0]
        assert took < 1, took
    print("done")
"""


def test_interrupts(tmp_path):
    """From a user's function and from outside: returns within a second, with the blocks that had finished."""
    script = tmp_path / "interrupt.py"
    script.write_text(textwrap.dedent(INTERRUPT))
    result = subprocess.run(
        [sys.executable, script, tmp_path / "run.npz"], capture_output=True, text=True, timeout=120, check=False,
        env=os.environ | {"PYTHONPATH": str(Path(tce.__file__).parents[1])},
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert result.stdout == "done\n"
