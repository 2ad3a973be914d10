"""The kernels give the same numbers as plain Python, without numba's compiler.

This file is also a script, which a process with NUMBA_DISABLE_JIT=1 runs: it computes a little with every kernel and
saves the numbers. Random numbers are the same bits in both. Results are, too, but for sums whose order is left to the
compiler, over the points of a Gaussian and over squared probabilities, which move the last digits.
"""

import os
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.kernels import categorical, gaussian

CE = tce.CrossEntropy()


def generator(seed):
    return np.random.Generator(np.random.SFC64(seed))


def halving(p):
    return 1.0 - 0.5 * p


def recursions():
    """Runs that pass through every branch of the kernels that advance: families, rules, samplers, regimes."""
    known, fitted, unbiased = tce.Gaussian(1.0, 2.0, fit_mean=False), tce.Gaussian(1.0, 2.0), tce.Gaussian(ddof=1)
    few, several, many = tce.Categorical([0.5, 0.3, 0.2]), tce.Categorical.zipf(8), tce.Categorical.zipf(60)
    fresh = {"regime": tce.FreshMix(0.3)}
    points = {"sampler": "points"}
    runs = {
        "law": (fitted, CE, {}),
        "law, known mean": (known, CE, {}),
        "law, ddof": (unbiased, CE, {}),
        "law, underflow": (fitted, CE, {"n_samples": 2, "generations": 500}),
        "law, fresh": (fitted, CE, fresh),
        "law, known mean, fresh": (known, CE, fresh),
        "points": (fitted, CE, points),
        "points, ddof, fresh": (unbiased, CE, points | fresh),
        "points, underflow": (fitted, CE, points | {"n_samples": 2, "generations": 500}),
        "absolute": (fitted, tce.TCE(0.3), {"n_samples": 40}),
        "absolute, few points": (fitted, tce.TCE(0.3), {"n_samples": 3}),
        "absolute, known mean": (known, tce.TCE(0.3), {}),
        "absolute, fresh": (fitted, tce.TCE(0.3), fresh),
        "relative": (fitted, tce.TCE(0.8, scale="relative"), {}),
        "relative, fresh": (known, tce.TCE(0.8, scale="relative"), fresh),
        "previous": (fitted, tce.TCE(0.3, mask="previous"), {}),
        "previous, few points": (fitted, tce.TCE(0.3, mask="previous"), {"n_samples": 3}),
        "previous, fresh": (known, tce.TCE(0.3, mask="previous"), fresh),
        "previous, relative": (fitted, tce.TCE(0.8, scale="relative", mask="previous"), {}),
        "previous, relative, fresh": (known, tce.TCE(0.8, scale="relative", mask="previous"), fresh),
        "labels": (several, CE, {}),
        "Poisson numbers": (several, CE, {"n_samples": 100}),
        "Poisson numbers, large and small means": (many, CE, {"n_samples": 2000, "generations": 4}),
        "binomials": (few, CE, {"n_samples": 2000}),
        "categorical points": (several, CE, points),
        "categorical fresh": (several, CE, fresh),
        "categorical points, fresh": (several, CE, points | fresh),
        "warm": (several, tce.TCE(0.3), {"n_samples": 3}),
        "warm, from outside": (tce.Categorical([0.9, 0.06, 0.04]), tce.TCE(0.45), {"n_samples": 2}),
        "warm, fresh": (several, tce.TCE(0.3), {"n_samples": 3} | fresh),
        "warm, points": (several, tce.TCE(0.15), points),
        "max-entropy": (several, tce.TCE(0.3, vacuous="max-entropy"), {"n_samples": 3}),
        "max-entropy, empty cap": (few, tce.TCE(0.2, vacuous="max-entropy"), {"n_samples": 3}),
        "drawn-only": (several, tce.TCE(0.3, vacuous="drawn-only"), {"n_samples": 3}),
        "categorical previous": (several, tce.TCE(0.3, mask="previous"), {}),
        "categorical previous, fresh": (several, tce.TCE(0.3, mask="previous"), {"n_samples": 3} | fresh),
        "focal": (several, tce.FocalLoss(2.0), {"generations": 4}),
        "focal, detached": (several, tce.FocalLoss(2.0, detach=True), {"generations": 4}),
        "smooth": (several, tce.SmoothTruncatedCrossEntropy(0.5, 0.1), {"generations": 4}),
        "function of a model": (several, tce.TCE(0.3), {"metrics": {"own": lambda m: m.entropy()}}),
        "function of a Gaussian": (fitted, tce.TCE(0.3), {"metrics": {"own": lambda m: m.entropy()}}),
    }
    return paths(runs)


def paths(runs):
    found = {}
    for name, (model, loss, options) in runs.items():
        settings = {"n_samples": 12, "generations": 8, "replicates": 1, "seed": 5, "metrics": model.metric_names}
        run = tce.simulate(model, loss, **settings | options)
        for group in (run.metrics, run.events):
            found |= {f"{name}: {key}": values for key, values in group.items()}
    return found


def fits():
    """Fits of one sample by every rule, and the kernels below them."""
    found = {}
    x = generator(1).standard_normal(25)
    for name, model, loss in (
        ("absolute", tce.Gaussian(), tce.TCE(0.6)),
        ("absolute, known mean", tce.Gaussian(fit_mean=False), tce.TCE(0.6)),
        ("absolute, ties", tce.Gaussian(), tce.TCE(0.7)),
        ("vacuous", tce.Gaussian(), tce.TCE(0.05)),
        ("relative", tce.Gaussian(), tce.TCE(0.7, scale="relative")),
        ("previous", tce.Gaussian(), tce.TCE(0.3, mask="previous")),
        ("cross entropy", tce.Gaussian(ddof=1), CE),
    ):
        fit = tce.fit(model, np.round(x, 1) if name == "absolute, ties" else x, loss)
        values = fit.model.mean, fit.model.std, fit.objective, fit.masked_weight, *fit.weights
        found[f"fit {name}"] = np.array(values)
    model, counts = tce.Categorical([0.4, 0.3, 0.2, 0.1]), tce.Counts([40, 7, 2, 1])
    for name, loss, data in (
        ("cap", tce.TCE(0.5), counts),
        ("warm", tce.TCE(0.6), tce.Counts([0, 0, 0, 1])),
        ("uniform", tce.TCE(0.5), tce.Counts([3, 1, 0, 0])),
        ("max-entropy", tce.TCE(0.6, vacuous="max-entropy"), tce.Counts([0, 0, 0, 1])),
        ("drawn-only", tce.TCE(0.6, vacuous="drawn-only"), tce.Counts([0, 0, 0, 1])),
        ("previous", tce.TCE(0.35, mask="previous"), counts),
        ("focal", tce.FocalLoss(2.0), counts),
        ("focal, detached", tce.FocalLoss(2.0, detach=True), counts),
        ("smooth", tce.SmoothTruncatedCrossEntropy(0.5, 0.2), counts),
    ):
        fit = tce.fit(model, data, loss)
        found[f"fit {name}"] = np.array([*fit.model.probs, fit.objective, fit.masked_weight])
    found["upper variance"] = np.array([gaussian.upper_variance(d2) for d2 in (0.0, 1e-9, 0.1, 0.3, 0.3678, 0.4)])
    found["radius"] = np.array([gaussian.radius2_at(q) for q in (0.1, 0.4, 0.9, 1.0, 2.0)])
    return found


def numbers():
    """Random numbers of the samplers; whole numbers, which have to be the same."""
    means, counts = np.geomspace(0.01, 1e8, 300), np.empty(300, np.int64)
    categorical.draw_poisson(generator(2), means, 1.0, 300, counts, np.empty(300), np.empty(300, np.int64))
    found = {"Poisson": counts}
    weights = np.array([0.1, 0.0, 0.7, 0.2])
    for n in (10, 300, 30_000):
        counts = np.zeros(4, np.int64)
        scratch = np.empty(4), np.empty(4 * categorical.GUIDE, np.int64)
        categorical.draw_law(generator(3), n, weights, 4, counts, *scratch)
        found[f"multinomial {n}"] = counts
    return found


def most():
    return recursions() | fits() | numbers()


def weighted():
    """A weight given as a function, whose kernels are compiled anew in every session: ten seconds."""
    loss = tce.WeightedCrossEntropy(halving)
    fit = tce.fit(tce.Categorical([0.4, 0.3, 0.2, 0.1]), tce.Counts([40, 7, 2, 1]), loss)
    runs = {"weighted": (tce.Categorical.zipf(8), loss, {"generations": 4})}
    return paths(runs) | {"fit weighted": np.array([*fit.model.probs, fit.objective, fit.masked_weight])}


PARTS = {"most": most, "weighted": weighted}


def computed(part):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        return PARTS[part]()


def order_is_left_open(name):
    """Whether sums whose order is left to the compiler enter: over points of a Gaussian, and over squares."""
    over_points = ("points", "absolute", "relative", "previous", "fit ", "function of a Gaussian")
    return name.startswith(over_points) or name.endswith(": heterozygosity")


@pytest.mark.parametrize("part", ["most", pytest.param("weighted", marks=pytest.mark.slow)])
def test_kernels_without_the_compiler(part, tmp_path):
    script, file = Path(__file__), tmp_path / "plain.npz"
    environment = os.environ | {"NUMBA_DISABLE_JIT": "1", "PYTHONPATH": str(Path(tce.__file__).parents[1])}
    subprocess.run([sys.executable, script, part, file], check=True, timeout=300, env=environment)
    with np.load(file) as saved:
        plain = dict(saved)
    compiled = computed(part)
    assert plain.keys() == compiled.keys()
    for name, values in compiled.items():
        if values.dtype == np.int64:
            np.testing.assert_array_equal(plain[name], values, err_msg=name)
        else:
            np.testing.assert_allclose(plain[name], values, rtol=1e-12, atol=1e-14, err_msg=name)
    differ = {name for name, values in compiled.items() if plain[name].tobytes() != values.tobytes()}
    assert all(order_is_left_open(name) for name in differ), differ


if __name__ == "__main__":
    np.savez(sys.argv[2], **computed(sys.argv[1]))


@pytest.mark.slow
def test_a_weight_of_a_module_leaves_nothing_in_the_cache(tmp_path):
    """The cache on disk must not hold kernels compiled for a user's function: later sessions may lack its module."""
    (tmp_path / "weights.py").write_text("def halving(p):\n    return 1.0 - 0.5 * p\n")
    run = "tce.simulate(tce.Categorical.zipf(10), {loss}, n_samples=20, generations=2, seed=1)"
    with_weight = "import weights; " + run.format(loss="tce.WeightedCrossEntropy(weights.halving)")
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    for code, path in ((with_weight, str(tmp_path)), (run.format(loss="tce.TCE(0.3)"), "")):
        subprocess.run(
            [sys.executable, "-c", f"import tce_theory as tce; {code}"],
            env={**environment, "PYTHONPATH": path}, check=True, cwd=tmp_path / "cache" if path == "" else tmp_path,
        )  # fmt: skip


@pytest.mark.slow
def test_a_kernel_gives_the_same_bits_compiled_and_from_the_cache(tmp_path):
    code = (
        "import tce_theory as tce, sys; run = tce.simulate(tce.Gaussian(), tce.TCE(0.5), n_samples=1000, "
        "generations=50, replicates=8, seed=3, metrics=['std']); sys.stdout.buffer.write(run.metrics['std'].tobytes())"
    )
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)}
    compiled, cached = (
        subprocess.run([sys.executable, "-c", code], env=environment, check=True, capture_output=True).stdout
        for _ in range(2)
    )
    assert compiled == cached
