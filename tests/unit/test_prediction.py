"""Predictions against enumeration, transition matrices and the exact chain of ancestors."""

import itertools
import json
import math
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy import special, stats

import tce_theory as tce
from tce_theory import plotting
from tce_theory.plotting.prediction import prediction_overview
from tce_theory.prediction import predict
from tce_theory.theory import ancestry
from tce_theory.theory.categorical import expected_surviving_types

ZIPF = tce.Categorical.zipf


# ------------------------------------------------------------------------------------------------- exact, n ≤ 500


def two_class_matrix(n):
    counts = np.arange(n + 1)
    return stats.binom.pmf(counts[None], n, counts[:, None] / n)


@pytest.mark.parametrize("p", [0.5, 0.03])
@pytest.mark.parametrize("n", [1, 2, 12, 60])
def test_two_classes_by_their_transition_matrix(n, p):
    times = [1, 2, 3, 7, 40, 300]
    prediction = predict(tce.Categorical([p, 1 - p]), n_samples=n, generations=times)
    x = np.arange(n + 1) / n
    law, matrix = stats.binom.pmf(np.arange(n + 1), n, p), two_class_matrix(n)
    laws = np.array([law @ np.linalg.matrix_power(matrix, t - 1) for t in times])
    for metric, values in {
        "types": (x > 0) + 1.0 * (x < 1),
        "entropy": special.entr(x) + special.entr(1 - x),
        "heterozygosity": 2 * x * (1 - x),
    }.items():
        np.testing.assert_allclose(getattr(prediction, metric), laws @ values, rtol=1e-10, atol=1e-13)
    assert set(prediction.method) == {"exact"}


def test_three_classes_by_enumeration():
    n, probs = 4, np.array([0.6, 0.3, 0.1])
    states = [c for c in itertools.product(range(n + 1), repeat=3) if sum(c) == n]
    shares = np.array(states) / n
    law = np.array([stats.multinomial.pmf(state, n, probs) for state in states])
    matrix = np.array([[stats.multinomial.pmf(state, n, share) for state in states] for share in shares])
    prediction = predict(tce.Categorical(probs), n_samples=n, generations=[1, 2, 5])
    for row, t in enumerate([1, 2, 5]):
        after = law @ np.linalg.matrix_power(matrix, t - 1)
        assert prediction.types[row] == pytest.approx(after @ (shares > 0).sum(axis=1), rel=1e-11)
        assert prediction.entropy[row] == pytest.approx(after @ special.entr(shares).sum(axis=1), rel=1e-11)
        assert prediction.heterozygosity[row] == pytest.approx(after @ (1 - (shares**2).sum(axis=1)), rel=1e-11)


def test_generation_0_is_the_model():
    model = tce.Categorical([0.5, 0.5, 0.0])
    prediction = predict(model, n_samples=1000, generations=[0])
    assert (prediction.types[0], prediction.entropy[0]) == (2, pytest.approx(math.log(2)))
    assert prediction.types_low[0] == prediction.types_high[0] == 2


def test_one_class_stays():
    for n in (1, 10, 10**12):
        prediction = predict(tce.Categorical([0.0, 1.0]), n_samples=n, generations=[0, 1, 10, 1000])
        np.testing.assert_allclose(prediction.types, 1, rtol=1e-14)
        np.testing.assert_allclose(prediction.entropy, 0, atol=1e-14)
        assert (prediction.heterozygosity == 0).all()


# ------------------------------------------------------------------------------------------------- beyond, n > 500


def by_the_whole_chain(probs, n, times):
    """Types and entropy from the exact law of the number of ancestors, all n states of it, class by class."""
    states = np.arange(n + 1)
    occupied = np.zeros((n + 1, n + 1))
    occupied[0, 0] = 1
    for ball in range(n):
        occupied[ball + 1] = occupied[ball] * states / n
        occupied[ball + 1, 1:] += occupied[ball, :-1] * (1 - states[:-1] / n)
    seen = 1 - (1 - probs[:, None]) ** states
    excess = np.where(states > 0, seen.sum(axis=0) - 1, 0.0)
    log_u = np.arange(-34, math.log(probs.size) + 34, 0.3)
    u = np.exp(log_u)
    start = 0.3 / u @ stats.binom.pmf(states[None], n, -np.expm1(-u / n)[:, None])
    found = []
    for t in range(1, max(times) + 1):
        if t in times:
            found.append((1 + excess[n], start @ excess))
        excess = occupied @ excess
    return np.array(found).T


@pytest.mark.parametrize(
    ("n", "last"), [(600, 3), pytest.param(1500, 2, marks=pytest.mark.slow)], ids=["n600", "n1500"]
)
@pytest.mark.parametrize(
    "probs", [ZIPF(300).probs, np.array([0.999, 0.001]), np.full(1000, 1e-3)], ids=["zipf", "rare", "uniform"]
)
def test_stated_errors_hold_against_the_whole_chain(probs, n, last):
    """And the largest is a fair part of what is stated, which is no better than it has to be."""
    times = sorted({2, 3, 6, *(int(share * n) for share in (0.005, 0.01, 0.1, 1, last))})
    prediction = predict(tce.Categorical(probs), n_samples=n, generations=times)
    types, entropy = by_the_whole_chain(probs, n, times)
    of_types = np.abs(prediction.types - types) / prediction.types_error
    of_entropy = np.abs(prediction.entropy - entropy) / prediction.entropy_error
    assert (of_types < 0.5).all()
    assert (of_entropy < 0.6).all()
    assert of_types.max() > 0.15
    assert of_entropy.max() > 0.15
    assert {"two moments", "two moments, then the chain"} == set(prediction.method)


@pytest.mark.parametrize("n", [1, 300, 501])
@pytest.mark.parametrize("rest", [[1e-9], [1e-6], [1e-12] * 500], ids=["1e-9", "1e-6", "many"])
def test_stated_errors_hold_beside_a_class_of_nearly_all(rest, n):
    """Relative errors alone do not: what is left beside a probability near 1 has few digits."""
    probs = np.array([1 - math.fsum(rest), *rest])
    prediction = predict(tce.Categorical(probs), n_samples=n, generations=[1])
    k = np.arange(n + 1)
    shares, classes = np.unique(probs, return_counts=True)
    laws = stats.binom.pmf(k, n, shares[:, None])
    exact = math.fsum(classes * (laws @ special.entr(k / n)))
    assert abs(prediction.entropy[0] - exact) <= prediction.entropy_error[0]
    assert prediction.entropy_error[0] <= 1.1e-13


def test_methods_meet_at_the_border():
    """On either side of n = 500, for the chain from the start and two moments before it."""
    types, entropy = np.array([
        [prediction.types[0], prediction.entropy[0]]
        for prediction in (predict(ZIPF(1000), n_samples=n, generations=[40]) for n in (499, 500, 501, 502))
    ]).T  # fmt: skip
    # values are smooth in n: second differences are those of a smooth function
    assert np.abs(np.diff(types, 2)).max() < 1e-4
    assert np.abs(np.diff(entropy, 2)).max() < 1e-5


# ------------------------------------------------------------------------------------------------- bounds


def test_values_of_the_ledger():
    low = ancestry.diversity_floor(ancestry.compressed(ZIPF(10**5).probs), 10**7, [10, 100])
    np.testing.assert_allclose(low.types, [91893.235190, 37562.689962], rtol=0, atol=6e-7)
    np.testing.assert_allclose(low.types, expected_surviving_types(ZIPF(10**5).probs, 10**7, [10, 100]), rtol=1e-12)


@pytest.mark.parametrize("t", [1, 2, 5])
def test_floor_is_exact_for_poisson_sampling(t):
    """By the transition matrix of a class with a Poisson number of points of mean what it had before."""
    n, probs, most = 5, np.array([0.7, 0.3]), 150
    counts = np.arange(most + 1)
    matrix = stats.poisson.pmf(counts[None], counts[:, None])
    laws = stats.poisson.pmf(counts[None], n * probs[:, None]) @ np.linalg.matrix_power(matrix, t - 1)
    low = ancestry.diversity_floor(ancestry.compressed(probs), n, t)
    assert low.types == pytest.approx((1 - laws[:, 0]).sum(), rel=1e-12)
    assert low.entropy == pytest.approx((laws @ special.entr(counts / n)).sum(), abs=1e-8)


@pytest.mark.parametrize("n", [3, 100, 1500, 10**9, 9 * 10**15])
def test_bounds_hold(n):
    prediction = predict(ZIPF(1000), n_samples=n, generations=2000)
    rounding = 1e-12 * prediction.types
    assert (prediction.types_low <= prediction.types + rounding).all()
    assert (prediction.types <= prediction.types_high + rounding).all()
    assert (prediction.entropy_low <= prediction.entropy + 1e-12).all()


def test_bounds_are_near_at_scale():
    prediction = predict(ZIPF(10**5), n_samples=10**7, generations=[100])
    assert 0 < prediction.types[0] - prediction.types_low[0] < 2e-6 * prediction.types[0]
    assert 0 < prediction.types_high[0] - prediction.types[0] < 1e-6 * prediction.types[0]
    assert prediction.entropy[0] - prediction.entropy_low[0] == pytest.approx(100 / (2 * 10**7), rel=0.05)


# ------------------------------------------------------------------------------------------------- limits


@pytest.mark.parametrize("n", [50, 1000])
def test_all_is_lost_at_the_rate_of_heterozygosity(n):
    prediction = predict(ZIPF(100), n_samples=n, generations=[9 * n, 10 * n])
    rate = (1 - 1 / n) ** n
    assert prediction.types[1] - 1 == pytest.approx(rate * (prediction.types[0] - 1), rel=1e-4)
    assert prediction.entropy[1] == pytest.approx(rate * prediction.entropy[0], rel=1e-4)


def test_nothing_is_lost_in_the_limit_of_many_points():
    model = ZIPF(1000)
    prediction = predict(model, n_samples=9 * 10**15, generations=[1, 10_000])
    np.testing.assert_allclose(prediction.types, 1000, rtol=1e-12)
    # to first order each generation costs (K − 1)/(2n)
    few = predict(model, n_samples=10**9, generations=[10]).entropy[0]
    assert model.entropy() - few == pytest.approx(10 * 999 / (2 * 10**9), rel=2e-3)


def test_values_fall_with_generations_and_rise_with_points():
    grid = [predict(ZIPF(200, 1.2), n_samples=n, generations=100) for n in (60, 450, 550, 2000)]
    for metric in ("types", "entropy", "heterozygosity"):
        values = np.array([getattr(prediction, metric) for prediction in grid])
        assert (np.diff(values, axis=1) < 0).all()
        assert (np.diff(values[:, 1:], axis=0) > 0).all()


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_spectrum_stands_for_all_classes(exponent):
    probs = ZIPF(20_000, exponent).probs
    spectrum = ancestry.compressed(probs)
    assert spectrum.points.size < 600
    for m in (1, 2, 10, 1e3, 1e5, 1e7):
        seen = -np.expm1(m * np.log1p(-probs)).sum()
        assert spectrum.weights @ -np.expm1(m * np.log1p(-spectrum.points)) == pytest.approx(seen, rel=1e-12)


# ------------------------------------------------------------------------------------------------- the object


@pytest.mark.parametrize("metric", ["types", "entropy", "heterozygosity"])
@pytest.mark.parametrize("share", [0.9, 0.5, 0.1])
def test_half_life_is_the_first_generation(metric, share):
    model = ZIPF(200)
    everything = predict(model, n_samples=100, generations=range(400))
    values = getattr(everything, metric)
    assert values[0] > 0
    expected = int(np.argmax(values <= share * values[0])) if values[-1] <= share * values[0] else None
    assert expected is not None
    assert predict(model, n_samples=100, generations=399).half_life(metric, share) == expected
    assert predict(model, n_samples=100, generations=[expected]).half_life(metric, share) == expected
    if expected > 1:
        assert predict(model, n_samples=100, generations=[expected - 1]).half_life(metric, share) is None


def test_half_life_of_everything_is_generation_0():
    assert predict(ZIPF(5), n_samples=3, generations=10).half_life("types", 1) == 0


def test_one_number_makes_a_grid():
    prediction = predict(ZIPF(5), n_samples=3, generations=120)
    assert prediction.generations.tolist() == [0, 1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 70, 100, 120]
    assert predict(ZIPF(5), n_samples=3, generations=[7, 2, 7]).generations.tolist() == [2, 7]


def test_dict_and_table():
    prediction = predict(ZIPF(50), n_samples=1000, generations=300)
    loaded = json.loads(json.dumps(prediction.to_dict()))
    assert loaded["types"] == prediction.types.tolist()
    assert loaded["method"][-1] == "two moments, then the chain"
    text = str(prediction)
    assert f"{prediction.entropy[-1]:.6f}" in text
    assert "generations 2 to 5: two moments" in text
    assert max(map(len, text.splitlines())) <= 100
    assert repr(prediction) == "<Prediction: 50 classes, 1000 points a generation, 16 generations to 300>"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model": [0.5, 0.5]}, "model must be a Categorical model"),
        ({"n_samples": 0}, "n_samples must be an integer of at least 1"),
        ({"n_samples": 1e16}, "at most 9000000000000000"),
        ({"generations": 0}, "generations must be an integer of at least 1"),
        ({"generations": [-1]}, "generations must be an integer of at least 0"),
        ({"generations": []}, "at least one number"),
        ({"generations": 10**7}, "at most 1000000"),
    ],
)
def test_bad_arguments(change, message):
    arguments = {"model": ZIPF(5), "n_samples": 10, "generations": 10} | change
    with pytest.raises(tce.DomainError, match=message):
        predict(arguments.pop("model"), **arguments)


def test_bad_questions(monkeypatch):
    prediction = predict(tce.Categorical([1.0]), n_samples=10, generations=10)
    with pytest.raises(tce.DomainError, match="above 0 at generation 0"):
        prediction.half_life("entropy")
    with pytest.raises(tce.DomainError, match="'types', 'entropy', 'heterozygosity'"):
        prediction.half_life("support")
    with pytest.raises(tce.DomainError, match="share"):
        prediction.half_life("types", 0)
    with pytest.raises(tce.DomainError, match="replicates"):
        prediction.compare(1)
    larger = predict(ZIPF(20), n_samples=10**9, generations=50)
    monkeypatch.setattr("tce_theory.prediction._MOST_WORK", 5000)
    with pytest.raises(tce.DomainError, match="from 2 to 5 at this size"):
        larger.compare(6)
    monkeypatch.setattr("tce_theory.prediction._MOST_WORK", 1999)
    with pytest.raises(tce.DomainError, match="no simulation reaches"):
        larger.compare(2)


def test_comparison():
    prediction = predict(ZIPF(30), n_samples=50, generations=[0, 5, 20])
    comparison = prediction.compare(300, seed=3)
    again = prediction.compare(300, seed=3, n_jobs=2)
    for metric in prediction.metric_names:
        np.testing.assert_array_equal(comparison.means[metric], again.means[metric])
        difference = comparison.means[metric] - getattr(prediction, metric)
        assert (np.abs(difference) < 5 * comparison.standard_errors[metric] + 1e-12).all()
        assert (comparison.standard_errors[metric][1:] > 0).all()
    assert comparison.to_dict()["types"]["mean"] == comparison.means["types"].tolist()


def test_an_interrupted_comparison_is_none(monkeypatch):
    simulate = tce.simulate

    def interrupted(*arguments, **settings):
        run = simulate(*arguments, **settings)
        kept = {name: values[:-1] for name, values in run.metrics.items()}
        events = {name: values[:-1] for name, values in run.events.items()}
        return replace(run, metrics=kept, events=events, replicates=run.replicates[:-1])

    monkeypatch.setattr("tce_theory.recursion.simulate", interrupted)
    with pytest.raises(KeyboardInterrupt):
        predict(ZIPF(3), n_samples=10, generations=3).compare(20, seed=1)


def test_figure(tmp_path):
    prediction = predict(ZIPF(30), n_samples=50, generations=20)
    figure = prediction_overview(prediction, prediction.compare(50, seed=3))
    (line, *_) = figure.axes[0].get_lines()
    np.testing.assert_array_equal(line.get_xdata(), prediction.generations[1:])
    np.testing.assert_array_equal(line.get_ydata(), prediction.types[1:])
    (points,) = figure.axes[1].containers
    np.testing.assert_array_equal(points[0].get_xdata(), prediction.generations[1:])
    assert plotting.save(figure, tmp_path / "figure.svg").stat().st_size > 0
    assert not prediction_overview(prediction).axes[0].containers


@pytest.mark.slow
def test_example_of_the_documentation(capsys):
    page = (Path(__file__).parents[2] / "docs" / "prediction.md").read_text(encoding="utf-8")
    (code,) = re.findall(r"```python\n(.*?)```", page, flags=re.DOTALL)
    names = {}
    exec(code, names)
    assert "65,372" in capsys.readouterr().out
    assert names["prediction"].half_life("types") == int(re.search(r"# (\d+): the first generation with half", page)[1])


@pytest.mark.slow
@pytest.mark.parametrize("n", [8, 9, 10, 11])
def test_numbers_of_the_documentation(n):
    page = (Path(__file__).parents[2] / "docs" / "prediction.md").read_text(encoding="utf-8")
    (row,) = re.findall(rf"^\| \$10\^\{{?{n}\}}?\$ \|(.*)\|$", page, flags=re.MULTILINE)
    prediction = predict(ZIPF(10**7), n_samples=10**n, generations=[100, 5000, 10_000])
    early, _, late = prediction.types
    expected = [f"{early:,.0f}", f"{late:,.0f}", f"{prediction.entropy[2]:.4f}", f"{prediction.half_life('types'):,}"]
    assert [cell.strip() for cell in row.split("|")] == expected
