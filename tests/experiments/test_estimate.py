"""What `tce run --dry-run` tells: blocks, bytes, and seconds from probes."""

import numpy as np
import pytest

from tce_theory.experiments import blocks, estimate, runner
from tce_theory.experiments.definition import Definition
from tce_theory.experiments.store import Store

GAUSSIAN = {"model": {"family": "gaussian"}, "loss": {"name": "ce"}}
COMMON = {"title": "Probes", "generations": 20, "replicates": 100, "n_samples": 50, "metrics": ["std"], "seed": 1}


def tasks_of(**settings):
    definition = Definition.from_mapping(COMMON | GAUSSIAN | settings)
    return [task for cell in definition.cells for task in blocks.missing(cell, [])]


@pytest.fixture
def synthetic(monkeypatch):
    """Probes of a machine on which time is a known function of a cell; the list of cells that were probed."""
    probed = []

    def probe(cell, replicates, limit):
        probed.append(cell)
        return replicates * cell.generations * seconds_of_generation(cell)

    monkeypatch.setattr(estimate, "_probe", probe)
    monkeypatch.setattr(estimate, "_BLOCK_SECONDS", 0.0)
    monkeypatch.setattr(estimate, "_BYTE_SECONDS", 0.0)
    return probed


def seconds_of_generation(cell):
    return 1e-6 * np.mean(np.power(cell.n_samples, 1.2))


def seconds_of(tasks):
    return sum(len(task.rows) * task.cell.generations * seconds_of_generation(task.cell) for task in tasks)


def test_nothing_to_do():
    assert estimate.estimate([]) == estimate.Estimate(0, 0.0, 0)


@pytest.mark.parametrize(
    "settings",
    [
        {"n_samples": list(range(10, 110)), "generations": 100},
        {"n_samples": [10, 20], "generations": 100, "replicates": 3000, "metrics": ["std", "entropy"]},
        {"n_samples": list(range(10, 210)), "replicates": 8},
    ],
    ids=["many cells", "many replicates", "small blocks"],
)
def test_bytes_are_those_by_which_a_store_grows(tmp_path, settings):
    path = tmp_path / "store.sqlite"
    with Store.writing(path):
        empty = path.stat().st_size
    runner.run(Definition.from_mapping(COMMON | GAUSSIAN | settings), path, n_jobs=1)
    grown = path.stat().st_size - empty
    assert estimate.estimate(tasks_of(**settings)).bytes == pytest.approx(grown, rel=0.2)


def test_a_wide_sweep_is_not_probed_cell_by_cell(synthetic):
    tasks = tasks_of(loss={"name": "tce", "gamma": 0.3}, n_samples=list(range(10, 2010)))
    found = estimate.estimate(tasks, n_jobs=1)
    assert found.blocks == len(tasks) >= 2000
    assert len({cell.key for cell in synthetic}) <= 10
    assert {10, 2009} <= {cell.n_samples for cell in synthetic}
    assert found.seconds == pytest.approx(seconds_of(tasks), rel=0.05)


def test_a_sweep_over_orders_of_magnitude(synthetic):
    tasks = tasks_of(loss={"name": "tce", "gamma": 0.3}, n_samples={"from": 10, "to": 1e5, "num": 60, "spacing": "log"})
    assert estimate.estimate(tasks, n_jobs=1).seconds == pytest.approx(seconds_of(tasks), rel=0.1)


def test_cells_of_other_kinds_are_probed_apart(synthetic):
    losses = [
        {"name": "ce"},
        {"name": "tce", "gamma": 0.3},
        {"name": "tce", "gamma": 0.3, "mask": "previous"},
        {"name": "tce", "gamma": 0.8, "scale": "relative"},
    ]
    models = [{"family": "gaussian"}, {"family": "gaussian", "fit_mean": False}]
    regimes = [{"name": "replace"}, {"name": "fresh-mix", "fraction": [0.1, 0.2]}]
    estimate.estimate(
        tasks_of(loss=losses, model=models, regime=regimes, sampler=["auto", "points"], n_samples=[10, 20])
    )
    kinds = {
        (cell.model.fit_mean, cell.loss, type(cell.regime), cell.recursion.stream, cell.n_samples) for cell in synthetic
    }
    # under cross entropy the samplers differ, under the others they do not
    assert len(kinds) == 2 * 5 * 2 * 2


def test_cells_that_are_decoded_are_probed_apart(synthetic):
    decoding = [{"name": "tempered", "temperature": [0.5, 0.7]}, {"name": "top-k", "k": 2}]
    estimate.estimate(tasks_of(model={"family": "categorical", "zipf": {"size": 5}}, metrics=["tv"], decoding=decoding))
    assert {type(cell.decoding).__name__ for cell in synthetic} == {"Temperature", "TopK"}


def test_samples_that_grow_are_ordered_by_their_mean(synthetic):
    steps = list(range(0, 2000, 10))
    tasks = tasks_of(loss={"name": "tce", "gamma": 0.3}, n_samples={"growth": "linear", "first": 50, "step": steps})
    assert estimate.estimate(tasks, n_jobs=1).seconds == pytest.approx(seconds_of(tasks), rel=0.1)
    assert len({cell.key for cell in synthetic}) <= 10


def test_workers_share_the_work_but_not_a_block(synthetic):
    many = tasks_of(loss={"name": "tce", "gamma": 0.3}, n_samples=[100, 101, 102, 103])
    alone, together = (estimate.estimate(many, n_jobs=n_jobs).seconds for n_jobs in (1, 2))
    assert together == pytest.approx(alone / 2)
    one = many[:1]
    alone, together = (estimate.estimate(one, n_jobs=n_jobs).seconds for n_jobs in (1, 2))
    assert together == pytest.approx(alone)


def test_probing_a_cell_of_hours_ends():
    (task, *_) = tasks_of(loss={"name": "tce", "gamma": 0.3}, n_samples=100_000, generations=1_000_000)
    assert estimate.estimate([task], n_jobs=1).seconds > 100  # 10^11 normals


def test_probes_leave_results_as_they_are():
    tasks = tasks_of(n_samples=[10, 20])
    before = [blocks.run(task) for task in tasks]
    estimate.estimate(tasks)
    after = [blocks.run(task) for task in tasks]
    for one, other in zip(before, after, strict=True):
        np.testing.assert_array_equal(one.metrics["std"], other.metrics["std"])
