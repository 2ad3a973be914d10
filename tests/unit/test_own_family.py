"""The worked example of the documentation, a family of a user's own: the code is taken from the page and run."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import re
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce

PAGE = Path(__file__).parents[2] / "docs" / "own_family.md"
CE = tce.CrossEntropy()
REGIMES = [
    tce.Replace(),
    tce.FreshMix(0.3),
    tce.Accumulate(),
    tce.AccumulateSubsample(),
    tce.Staged(3, then=tce.Replace()),
]


def code_of_the_page():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    return blocks[0]


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    """The code of the page as a module, and what it prints."""
    file = tmp_path_factory.mktemp("page") / "own_family.py"
    file.write_text(code_of_the_page(), encoding="utf-8")
    specification = importlib.util.spec_from_file_location("own_family", file)
    module, printed = importlib.util.module_from_spec(specification), io.StringIO()
    sys.modules["own_family"] = module  # where dataclasses look for the names in annotations
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        specification.loader.exec_module(module)
    yield module, printed.getvalue()
    del sys.modules["own_family"]


@pytest.fixture
def truth(page):
    return page[0].KernelDensity(np.random.default_rng(1).standard_normal(200), 0.4)


def test_the_page(page):
    module, printed = page
    before, after = (float(number) for number in printed.strip("[]\n").split())
    assert before == pytest.approx(module.truth.points.var() + 0.09, abs=0.005)
    assert after > before + 1
    lines = [line for line in code_of_the_page().splitlines() if line.strip()]
    assert len(lines) < 60
    assert max(map(len, lines)) <= 120


@pytest.mark.filterwarnings("ignore::tce_theory.errors.StatisticalWarning")  # vacuous fits are counted
@pytest.mark.parametrize("loss", [CE, tce.TCE(0.25, mask="previous")], ids=str)
@pytest.mark.parametrize("regime", REGIMES, ids=str)
def test_every_regime(truth, loss, regime):
    options = {"n_samples": 20, "generations": 5, "replicates": 6, "regime": regime, "metrics": truth.metric_names}
    one = tce.simulate(truth, loss, seed=1, n_jobs=1, **options)
    for name, values in one.metrics.items():
        assert np.isfinite(values[:, 1:]).all()
        assert np.isnan(values[:, 0]).all() == (name == "masked_weight")
    masked = one.metrics["masked_weight"][:, 1:]
    assert (masked == 0).all() if loss == CE else masked.sum() > 0
    for jobs, seed, same in ((2, 1, True), (1, 2, False)):
        other = tce.simulate(truth, loss, seed=seed, n_jobs=jobs, **options)
        assert np.array_equal(one.metrics["variance"], other.metrics["variance"]) == same
    first = tce.simulate(truth, loss, seed=1, **options | {"replicates": 2})
    np.testing.assert_array_equal(first.metrics["variance"], one.metrics["variance"][:2])


def test_silverman_and_own_functions(page, truth):
    automatic = page[0].KernelDensity(truth.points)
    assert automatic.width == pytest.approx(1.06 * truth.points.std() * 200**-0.2)

    def spread(model):
        return np.ptp(model.points)

    run = tce.simulate(automatic, CE, n_samples=30, generations=3, replicates=2, seed=1, metrics=["bandwidth", spread])
    assert run.metrics["spread"][0, 0] == np.ptp(truth.points)
    assert np.ptp(run.metrics["bandwidth"]) > 0
    assert run.provenance["model"]["name"] == "KernelDensity"


def test_the_density_is_one(truth):
    x = np.linspace(-8, 8, 4001)
    assert np.trapezoid(np.exp(truth.log_density(x)), x) == pytest.approx(1, abs=1e-6)


def test_one_fit(truth):
    data = truth.sample(50, seed=3)
    fit = tce.fit(truth, data, tce.TCE(0.25, mask="previous"))
    kept = np.exp(truth.log_density(data)) <= 0.25
    np.testing.assert_array_equal(fit.model.points, data[kept])
    assert fit.masked_weight == (~kept).sum() > 0
    with pytest.warns(tce.StatisticalWarning, match="convention"):
        assert tce.fit(truth, data, tce.TCE(1e-9, mask="previous")).model is truth


@pytest.mark.parametrize(
    ("loss", "decoding"),
    [
        (tce.TCE(0.5), None),
        (tce.TCE(0.5, "relative", mask="previous"), None),
        (tce.FocalLoss(), None),
        (CE, tce.VarianceScaling(0.9)),
        (CE, tce.TopK(1)),
    ],
    ids=str,
)
def test_what_has_no_meaning_is_refused(truth, loss, decoding):
    with pytest.raises(tce.UnsupportedCombinationError, match="KernelDensity"):
        tce.simulate(truth, loss, n_samples=10, generations=2, decoding=decoding, seed=1)


def test_the_law_of_the_page(truth):
    """E v_{t+1} = (1 − 1/n) v_t + h², to 3.5 standard errors at a fixed seed; control: without the 1/n, without h²."""
    n, h, t = 10, 0.4, 4
    run = tce.simulate(truth, CE, n_samples=n, generations=t, replicates=800, seed=5)
    found = run.metrics["variance"]

    def predicted(share, added):
        value = found[0, 0]
        for _ in range(t):
            value = (1 - share) * value + added
        return value

    error = found[:, t].std() / np.sqrt(len(found))
    assert abs(found[:, t].mean() - predicted(1 / n, h**2)) < 3.5 * error
    for wrong in (predicted(0, h**2), predicted(1 / n, 0)):
        assert abs(found[:, t].mean() - wrong) > 7 * error
