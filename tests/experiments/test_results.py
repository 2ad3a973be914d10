"""What is read back from a store: runs bit for bit, tables, labelled arrays, and files for other programs."""

import csv
import dataclasses
import json
import os
import shutil
import stat
import subprocess
import sys

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.experiments import Definition, Experiment, blocks, load, run
from tce_theory.experiments.blocks import BlockError, Task
from tce_theory.experiments.export import export
from tce_theory.experiments.store import Store
from tce_theory.fidelity import fidelity_interval

BASE = {
    "title": "Längen & „Quotes“, with commas",
    "theorems": ["density-wall", "wall-extension"],
    "seed": 1,
    "n_samples": 10,
    "generations": 12,
    "replicates": 70,
    "model": {"family": "gaussian"},
    "loss": [{"name": "ce"}, {"name": "tce", "gamma": [0.4, 0.5]}],
    "metrics": ["std"],
}
BELOW = {"metric": "std", "below": 0.75}


def definition(**changes):
    return Definition.from_mapping({**BASE, **changes})


@pytest.fixture
def store(tmp_path):
    return tmp_path / "results of Löwe.sqlite"


def part(cell, first, stop):
    return blocks.run(Task(cell, range(first, stop)))


def filled(store, given, *results):
    """Make a store that holds just these blocks and failures."""
    with Store.writing(store) as target:
        target.add_definition(given)
        for result in results:
            (target.add_failure if isinstance(result, BlockError) else target.add_block)(result)
    return load(store)


def assert_same_run(found, expected):
    assert set(found.metrics) == set(expected.metrics)
    assert set(found.events) == set(expected.events)
    for side in ("metrics", "events"):
        for name, array in getattr(expected, side).items():
            got = getattr(found, side)[name]
            assert (got.dtype, got.tobytes()) == (array.dtype, array.tobytes()), name
    np.testing.assert_array_equal(found.replicates, expected.replicates)


# ----------------------------------------------------------------------------------------------------------- runs

FAMILIES = {
    "gaussian": {"metrics": ["std", "masked_weight", "mean"], "regime": {"name": "fresh-mix", "fraction": 0.2}},
    "gaussian by points": {"sampler": "points", "n_samples": 3, "loss": {"name": "tce", "gamma": 0.9}},
    "categorical": {
        "model": {"family": "categorical", "zipf": {"size": 6}},
        "metrics": ["entropy", "support", "masked_weight", "kl_from_origin"],
    },
}


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.filterwarnings("ignore::tce_theory.StatisticalWarning")
def test_runs_are_those_of_simulate(store, name):
    given = definition(replicates=150, **FAMILIES[name])
    experiment = run(given, store, n_jobs=1)
    for cell, wanted in zip(experiment.cells, given.cells, strict=True):
        expected = tce.simulate(
            wanted.model,
            wanted.loss,
            regime=wanted.regime,
            n_samples=wanted.n_samples,
            generations=wanted.generations,
            replicates=wanted.replicates,
            metrics=wanted.metrics,
            sampler=wanted.sampler,
            seed=cell.seed,
        )
        found = cell.run()
        assert_same_run(found, expected)
        assert not found.interrupted
        common = expected.provenance.keys() - {"created", "command"}
        common -= {"versions", "platform"}
        assert {name: found.provenance[name] for name in common} == {n: expected.provenance[n] for n in common}
        (machine,) = found.provenance["machines"]
        assert machine["versions"] == expected.provenance["versions"]
        assert machine["platform"] == expected.provenance["platform"]
        assert found.provenance["key"] == cell.key
        assert found.provenance["title"] == BASE["title"]


def test_what_describes_a_fit_has_no_value_at_generation_0_and_events_are_kept(store):
    given = definition(metrics=["masked_weight"], loss={"name": "tce", "gamma": 5.0}, n_samples=2)
    with np.errstate(all="ignore"):
        found = run(given, store, n_jobs=1).cells[0].run()
    assert np.isnan(found.metrics["masked_weight"][:, 0]).all()
    assert not np.isnan(found.metrics["masked_weight"][:, 1:]).any()
    assert found.events["vacuous"].dtype == np.int64
    assert found.events["vacuous"].max() > 0


def test_each_replicate_is_taken_once_after_an_extension(store):
    """The last stream of a cell that was extended is run again from its beginning."""
    run(definition(), store, n_jobs=1)
    extended = definition(replicates=150)
    experiment = run(extended, store, n_jobs=1)
    with Store.reading(store) as reader:
        rows = [block.rows for block in reader.blocks()[extended.cells[0].key]]
    assert sum(map(len, rows)) > 150  # else nothing overlaps, and the test says nothing
    cell = experiment.cells[0]
    assert (cell.status, cell.finished) == ("done", 150)
    direct = tce.simulate(
        tce.Gaussian(),
        tce.CrossEntropy(),
        n_samples=10,
        generations=12,
        replicates=150,
        metrics=["std"],
        seed=cell.seed,
    )
    assert_same_run(cell.run(), direct)


def test_a_definition_that_wants_fewer_replicates_gets_no_more(store):
    more = run(definition(replicates=150), store, n_jobs=1).cells[0].run()
    fewer = run(definition(replicates=10), store, n_jobs=1).cells[0]
    assert (fewer.finished, fewer.status) == (10, "done")
    assert fewer.run().n_replicates == 10
    np.testing.assert_array_equal(fewer.run().metrics["std"], more.metrics["std"][:10])


def test_partial_failed_and_missing_cells(store):
    given = definition(replicates=200)
    first, second, _ = given.cells
    broken = BlockError(second.key, range(64), "ValueError: as if", "Traceback …")
    experiment = filled(store, given, part(first, 64, 128), part(first, 192, 200), broken)
    partial, failed, missing = experiment.cells
    assert [cell.status for cell in experiment.cells] == ["partial", "failed", "missing"]
    assert str(experiment).endswith("3 cells (1 partial, 1 failed, 1 missing), 72 of 600 replicates")
    assert experiment.path.name in repr(experiment)

    assert repr(partial).endswith("loss.name = ce; partial, 72 of 200 replicates>")

    found = partial.run()
    assert found.interrupted
    assert found.n_replicates == 200
    np.testing.assert_array_equal(found.replicates, [*range(64, 128), *range(192, 200)])
    whole = run(given, tmp := store.with_name("whole.sqlite"), n_jobs=1).cells[0].run()
    np.testing.assert_array_equal(found.metrics["std"], whole.metrics["std"][found.replicates])
    assert tmp.exists()

    with pytest.raises(tce.StoreError, match=r"loss.name = tce, loss.gamma = 0.4.*: ValueError: as if"):
        failed.run()
    with pytest.raises(tce.StoreError, match=r"loss.gamma = 0.5.*: it has not been run"):
        missing.run()


def test_a_failure_beyond_what_is_wanted_is_none(store):
    given = definition(replicates=200)
    cell = given.cells[0]
    failed = BlockError(cell.key, range(128, 192), "ValueError: as if", "")
    assert filled(store, given, part(cell, 0, 64), failed).cells[0].status == "failed"
    found = filled(store, definition(replicates=128)).cells[0]
    assert (found.status, found.error) == ("partial", None)
    found = filled(store, definition(replicates=192), part(cell, 64, 192)).cells[0]  # the failure is mended
    assert (found.status, found.error) == ("done", None)
    # failures are read before blocks: one that was mended in between is none
    found = filled(store, definition(replicates=192), dataclasses.replace(failed, rows=range(64))).cells[0]
    assert (found.status, found.error) == ("done", None)


def test_loading_reads_no_array(store, monkeypatch):
    run(definition(), store, n_jobs=1)
    read = []
    arrays = Store.arrays
    monkeypatch.setattr(
        Store, "arrays", lambda self, block, *some: read.append(block.key) or arrays(self, block, *some)
    )
    experiment = load(store)
    experiment.table()
    repr(experiment)
    assert not read
    experiment.cells[1].run()
    assert set(read) == {experiment.cells[1].key}


def test_a_store_that_is_being_written_can_be_read(store):
    given = definition(replicates=200)
    cell = given.cells[0]
    filled(store, given)
    with Store.writing(store) as target:
        target.add_block(part(cell, 0, 64))
        before = load(store)
        target.add_block(part(cell, 64, 128))
        assert before.cells[0].run().replicates.size == 64  # what was there when it was loaded
        assert load(store).cells[0].run().replicates.size == 128


def test_a_read_only_store_in_a_read_only_folder(store):
    run(definition(), store, n_jobs=1)
    content = store.read_bytes()
    store.chmod(stat.S_IRUSR)
    store.parent.chmod(stat.S_IRUSR | stat.S_IXUSR)
    try:
        assert load(store).cells[0].run().replicates.size == 70
    finally:
        store.parent.chmod(stat.S_IRWXU)
    assert store.read_bytes() == content
    assert os.listdir(store.parent) == [store.name]


def test_a_store_that_was_replaced_gives_the_same_run_or_none(store):
    given = definition()
    one, other, _ = given.cells
    experiment = filled(store, given, part(one, 0, 70), part(other, 0, 70))
    before = experiment.cells[0].run()
    store.unlink()
    filled(store, given, part(other, 0, 70), part(one, 0, 70))  # in another order
    assert_same_run(experiment.cells[0].run(), before)
    store.unlink()
    filled(store, given, part(other, 0, 70))
    with pytest.raises(tce.StoreError, match=f"cell {one.key}.* since the store was loaded"):
        experiment.cells[0].run()


def test_the_store_follows_the_name_of_the_definition(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = """
        title = "From a file"
        seed = 1
        n_samples = 10
        generations = 2
        replicates = 3
        model = {family = "gaussian"}
        loss = {name = "ce"}
    """
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "of a file.toml").write_text(text, encoding="utf-8")
    experiment = run("folder/of a file.toml", n_jobs=1)
    assert experiment.path == tmp_path / "of a file.sqlite"
    monkeypatch.chdir("/")
    assert experiment.cells[0].run().replicates.size == 3
    with pytest.raises(tce.DomainError, match="store must be the path of a file"):
        run(definition())


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: run(BASE, "x.sqlite"), "definition must be the path of a file or a Definition .*, got <class 'dict'>"),
        (lambda: run(None), "definition must be the path of a file or a Definition .*, got <class 'NoneType'>"),
        (lambda: run(definition(), 17), "store must be the path of a file, got <class 'int'>"),
        (lambda: load(17), "path must be the path of a store, got <class 'int'>"),
    ],
)
def test_what_is_no_path_is_refused(call, message):
    with pytest.raises(tce.DomainError, match=f"^{message}$"):
        call()


def test_one_cell_is_in_the_singular(store):
    assert str(filled(store, definition(loss={"name": "ce"}))).endswith(": 1 cell (1 missing), 0 of 70 replicates")
    assert ": 3 cells (3 missing), " in repr(filled(store, definition()))


def test_importing_experiments_loads_nothing_heavy():
    code = (
        "import sys, tce_theory.experiments as e; e.__all__; dir(e);"
        "print({'pydantic', 'joblib', 'sqlite3', 'numpy'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert found.stdout.strip() == "set()"
    assert tce.experiments.Experiment is Experiment


# --------------------------------------------------------------------------------------------------------- finding


def test_find(store):
    experiment = filled(store, definition(loss=[{"name": "ce"}, {"name": "tce", "gamma": [0.1, 1 / 3]}]))
    assert experiment.find(**{"loss.gamma": 0.3333333333333}) is experiment.cells[2]
    assert experiment.find(**{"loss.name": "ce"}, n_samples=10) is experiment.cells[0]
    assert (experiment.title, experiment.theorems) == (BASE["title"], ("density-wall", "wall-extension"))
    with pytest.raises(tce.DomainError, match=r"settings must be one of .*loss\.gamma.*, got 'gamma'"):
        experiment.find(gamma=0.1)
    with pytest.raises(tce.DomainError, match=r"there are loss\.gamma = \[0\.1, 0\.333333\], got 'loss\.gamma = 0\.2'"):
        experiment.find(**{"loss.gamma": 0.2})
    with pytest.raises(tce.DomainError, match=r"2 have them, which differ in loss\.gamma = \[0\.1, 0\.333333\]"):
        experiment.find(**{"loss.name": "tce"})


def test_table(store):
    given = definition()
    experiment = filled(store, given, part(given.cells[1], 0, 64))
    row = experiment.table()[1]
    assert 0 < row.pop("seconds") < 60
    assert row == {
        "cell": 1,
        "loss.name": "tce",
        "loss.gamma": 0.4,
        "key": given.cells[1].key,
        "status": "partial",
        "replicates": 70,
        "finished": 64,
        "error": None,
    }
    assert experiment.table()[0]["loss.gamma"] is None
    assert {"n_samples", "model.family", "seed"} <= experiment.table(all_settings=True)[0].keys()


# ---------------------------------------------------------------------------------------------------- fidelity


def test_fidelity_table(store):
    given = definition(fidelity=[BELOW, {"metric": "std", "outside": [0.8, 1.3], "interpolate": False}])
    ce, tce_cell, _ = given.cells
    experiment = filled(store, given, part(ce, 0, 70), part(tce_cell, 0, 1))
    rows = experiment.fidelity_table()
    assert [row["cell"] for row in rows] == [0, 0, 1, 1, 2, 2]
    assert [row["criterion"] for row in rows[:2]] == ["std below 0.75", "std outside [0.8, 1.3] (whole generations)"]
    interval = experiment.cells[0].run().fidelity_interval("std", below=0.75)
    first = rows[0]
    assert (first["median"], first["mean"]) == (interval.median, interval.mean)
    assert (first["mean_low"], first["mean_high"]) == interval.ci("mean")
    assert (first["median_low"], first["median_high"]) == interval.ci("median")
    assert (first["share_censored"], first["finished"], first["notes"]) == (interval.share_censored, 70, "")
    # one replicate has no limits; and what would be a warning is a note
    assert rows[2]["mean"] is not None
    assert rows[2]["mean_low"] is None
    assert "fewer than 20 failures" in rows[2]["notes"]
    assert rows[4]["mean"] is None
    assert rows[4]["notes"] == "no replicate has finished"


def compared(experiment, row, **options):
    baseline, treated = experiment.cells[row["baseline"]].run(), experiment.cells[row["cell"]].run()
    sides = [side.fidelity_interval("std", below=0.75) for side in (baseline, treated)]
    return tce.extension_factor(*sides, **options)


def assert_same_factor(row, factor):
    assert {name: row[name] for name in dataclasses.asdict(factor) if name in row} == {
        name: value for name, value in dataclasses.asdict(factor).items() if name in row
    }
    assert {"ratio", "low", "high", "logrank_p", "is_restricted", "is_lower_bound", "paired"} <= row.keys()


@pytest.mark.filterwarnings("ignore::tce_theory.StatisticalWarning")
def test_extension_table_compares_with_the_baseline_of_the_same_settings(store):
    given = definition(n_samples=[8, 16], fidelity=[BELOW], generations=40)
    experiment = run(given, store, n_jobs=1)
    rows = experiment.extension_table()
    assert len(rows) == 4
    assert [row["cell"] for row in rows] == sorted(row["cell"] for row in rows)
    for row in rows:
        cell, baseline = experiment.cells[row["cell"]], experiment.cells[row["baseline"]]
        assert cell.settings["loss.name"] == "tce"
        assert baseline.settings["loss.name"] == "ce"
        assert baseline.settings["n_samples"] == cell.settings["n_samples"]
        assert_same_factor(row, compared(experiment, row))
        few = experiment.cells[row["cell"]].run().fidelity_interval("std", below=0.75).observed.sum() < 20
        assert ("fewer than 20 failures" in row["notes"]) == few
    other = experiment.extension_table({"n_samples": 8})
    assert [(row["loss.name"], row["loss.gamma"]) for row in other] == [("ce", None), ("tce", 0.4), ("tce", 0.5)]
    for row in other:
        baseline = experiment.cells[row["baseline"]].settings
        assert (baseline["n_samples"], baseline.get("loss.gamma")) == (8, row["loss.gamma"])


def test_a_baseline_by_one_parameter_keeps_the_others(store):
    loss = {"name": "tce", "gamma": [0.4, 0.5], "mask": ["current", "previous"]}
    rows = filled(store, definition(loss=loss, fidelity=[BELOW])).extension_table({"loss.gamma": 0.4})
    cells = load(store).cells
    assert [cells[row["baseline"]].settings["loss.mask"] for row in rows] == [row["loss.mask"] for row in rows]
    assert {row["loss.mask"] for row in rows} == {"current", "previous"}
    assert {row["notes"] for row in rows} == {"no replicate has finished"}


def test_a_baseline_is_simulated_in_the_same_way_if_there_is_one(store):
    experiment = filled(store, definition(generations=[12, 20], seed=[1, 2], fidelity=[BELOW]))
    rows = experiment.extension_table()
    assert len(rows) == 8
    for row in rows:
        baseline = experiment.cells[row["baseline"]].settings
        assert (baseline["generations"], baseline["seed"]) == (row["generations"], row["seed"])


def test_comparisons_are_in_the_order_of_the_cells(store):
    losses = [{"name": "ce"}, {"name": "tce", "gamma": 0.4}, {"name": "tce", "gamma": 0.5}]
    cases = [{"loss": loss, "n_samples": [8, 16]} for loss in losses]
    rows = filled(store, definition(cases=cases, fidelity=[BELOW])).extension_table()
    assert [(row["cell"], row["baseline"]) for row in rows] == [(2, 0), (3, 1), (4, 0), (5, 1)]


def test_a_baseline_may_be_simulated_in_another_way_if_there_is_no_equal_one(store):
    cases = [
        {"loss": {"name": "ce"}, "generations": 30},
        {"loss": {"name": "ce"}, "generations": 30, "regime": {"name": "fresh-mix", "fraction": 0.5}},
        {"loss": {"name": "tce", "gamma": 0.5}, "regime": {"name": "replace"}, "sampler": "points", "replicates": 9},
    ]
    experiment = filled(store, definition(cases=cases, fidelity=[BELOW]))
    (row,) = experiment.extension_table()
    assert (row["cell"], row["baseline"]) == (2, 0)


def test_cells_that_share_their_noise_are_compared_in_pairs_on_what_both_have(store):
    given = definition(coupled=True, sampler="points", replicates=120, generations=40, fidelity=[BELOW])
    ce, one, two = given.cells
    experiment = filled(store, given, part(ce, 0, 120), part(one, 0, 120), part(two, 64, 120))
    whole, part_of_it = experiment.extension_table()
    assert whole["paired"]
    assert part_of_it["paired"]
    assert_same_factor(whole, compared(experiment, whole, paired=True))
    sides = [experiment.cells[i].run().metrics["std"] for i in (0, 2)]
    pairs = [fidelity_interval(side, below=0.75) for side in (sides[0][64:], sides[1])]
    assert_same_factor(part_of_it, tce.extension_factor(*pairs, paired=True))

    other = store.with_name("other.sqlite")
    fewer, none = filled(other, given, part(ce, 64, 120), part(one, 0, 120), part(two, 0, 64)).extension_table()
    pairs = [fidelity_interval(experiment.cells[i].run().metrics["std"][64:], below=0.75) for i in (0, 1)]
    assert_same_factor(fewer, tce.extension_factor(*pairs, paired=True))
    assert none["notes"].split("; ") == [
        "only 64 of 120 replicates have finished",
        "the baseline: only 56 of 120 replicates have finished",
        "replicates must be at least 2 that both sides have finished, got 0",
    ]


@pytest.mark.parametrize(
    ("changes", "baseline", "message"),
    [
        ({}, {"loss.name": "focal"}, "baseline must be settings of at least one cell, got 'loss.name = focal'"),
        ({}, {}, "baseline must be settings of at least one cell"),
        ({}, 17, r'^baseline must be a mapping of settings such as \{"loss.name": "tce"\}, got 17$'),
        ({}, "ce", "^baseline must be a mapping of settings .*, got 'ce'$"),
        ({}, {"loss.name": "tce"}, r"equal to the cell loss.name = ce \(there are 2\), got 'loss.name = tce'"),
        (
            {"cases": [{"loss": {"name": "ce"}}, {"loss": {"name": "tce", "gamma": 0.5}, "n_samples": 20}]},
            {"loss.name": "ce"},
            r"equal to the cell n_samples = 20, loss.name = tce, loss.gamma = 0.5 \(there is none\)",
        ),
    ],
)
def test_baselines_that_do_not_fit_are_refused(store, changes, baseline, message):
    with pytest.raises(tce.DomainError, match=message):
        filled(store, definition(**changes)).extension_table(baseline)


def test_a_criterion_that_generation_0_meets_is_a_note(store):
    fidelity = [{"metric": "std", "outside": [1.7, 2.4]}, {"metric": "std", "outside": [0.9, 1.1]}]
    given = definition(fidelity=fidelity)
    met, unmet = filled(store, given, part(given.cells[0], 0, 70)).fidelity_table()[:2]
    assert (met["median"], met["mean"], met["share_censored"]) == (0, 0, 0)
    assert met["notes"] == (
        "generation 0 meets the criterion already, so that every time is 0: "
        "thresholds should be such that generation 0 does not cross them"
    )
    assert unmet["mean"] > 0
    assert "generation 0" not in unmet["notes"]


def test_what_cannot_be_compared_is_a_note(store):
    given = definition(fidelity=[{"metric": "std", "above": 0.5}])
    rows = filled(store, given, *(part(cell, 0, 64) for cell in given.cells[:2])).extension_table()
    assert rows[0]["ratio"] is None
    assert "; generation 0 meets the criterion already, so that every time is 0: " in rows[0]["notes"]
    assert "baseline.mean must be above 0" in rows[0]["notes"]
    assert rows[1]["notes"] == "the baseline: only 64 of 70 replicates have finished; no replicate has finished"


def test_what_is_partly_finished_does_not_pass_for_complete(store):
    given = definition(fidelity=[BELOW])
    ce, partial, _ = given.cells
    experiment = filled(store, given, part(ce, 0, 70), part(partial, 0, 64))
    assert [row["status"] for row in experiment.fidelity_table()] == ["done", "partial", "missing"]
    assert [row["status"] for row in experiment.extension_table()] == ["partial", "missing"]
    assert "finished" not in experiment.fidelity_table()[0]["notes"]
    for row in (experiment.fidelity_table()[1], experiment.extension_table()[0]):
        assert row["notes"].startswith("only 64 of 70 replicates have finished")


def test_noise_is_not_paired_across_numbers_of_generations(store):
    """A stream serves replicate after replicate, so that a longer run has other paths."""
    cases = [{"loss": {"name": "ce"}, "generations": 20}, {"loss": {"name": "tce", "gamma": 0.5}, "generations": 30}]
    given = definition(coupled=True, sampler="points", cases=cases, fidelity=[BELOW])
    (row,) = filled(store, given, *(part(cell, 0, 70) for cell in given.cells)).extension_table()
    assert not row["paired"]
    assert row["logrank_p"] is not None
    assert "no pairs, and not quite independent" in row["notes"]
    assert "paired=True" not in row["notes"]


# ------------------------------------------------------------------------------------------------------- xarray


def test_xarray_of_all_combinations(store):
    given = definition(n_samples=[8, 16], loss={"name": "tce", "gamma": [0.4, 0.5, 0.6]}, metrics=["std", "entropy"])
    experiment = run(given, store, n_jobs=1)
    data = experiment.to_xarray()
    assert dict(data.sizes) == {"gamma": 3, "n_samples": 2, "replicate": 70, "generation": 13}
    assert data["std"].dims == ("gamma", "n_samples", "replicate", "generation")
    assert set(data.data_vars) == {"std", "entropy", "vacuous", "underflow"}
    for cell in experiment.cells:
        place = {"gamma": cell.settings["loss.gamma"], "n_samples": cell.settings["n_samples"]}
        found, expected = data.sel(place), cell.run()
        np.testing.assert_array_equal(found["std"].transpose("replicate", "generation"), expected.metrics["std"])
        np.testing.assert_array_equal(found["vacuous"], expected.events["vacuous"])
        assert found["key"] == cell.key
    assert data.attrs == {"title": BASE["title"], "theorems": "density-wall, wall-extension"}
    assert data["entropy"].attrs["units"] == "nat"
    assert data["generation"].attrs["units"] == "generations"
    assert set(experiment.to_xarray(["std"]).data_vars) == {"std"}
    with pytest.raises(tce.DomainError, match="metrics must be one of entropy, std, got 'mean'"):
        experiment.to_xarray(["mean"])


def test_xarray_labels_of_what_is_no_number(store):
    data = filled(store, definition(model={"family": "gaussian", "std": [1, 2]})).to_xarray()
    assert list(data["loss"].values) == ["ce", "tce(gamma=0.4)", "tce(gamma=0.5)"]
    # "std" is a metric too
    assert data["std"].dims == ("model_std", "loss", "replicate", "generation")
    assert list(data["model_std"].values) == [1, 2]
    assert data["std"].isnull().all()


def test_xarray_labels_are_different_where_their_words_are_not(store):
    probs = [[0.1, 0.1, 0.1, 0.1, 0.1, x, 0.4 - x, 0.1] for x in (0.1, 0.2)]
    data = filled(store, definition(model={"family": "categorical", "probs": probs}, metrics=["tv"])).to_xarray()
    label = "categorical(probs=[0.1, 0.1, 0.1, 0.1, 0.1, …, 0.1])"
    assert list(data["model"].values) == [f"{label} #0", f"{label} #1"]


def test_xarray_of_one_cell(store):
    data = run(definition(loss={"name": "ce"}), store, n_jobs=1).to_xarray()
    assert data["std"].dims == ("replicate", "generation")
    assert not data["std"].isnull().any()


def test_xarray_of_cells_that_are_no_product_pads_with_nan(store):
    cases = [
        {"loss": {"name": "ce"}, "generations": 5},
        {
            "loss": {"name": "tce", "gamma": 0.5, "vacuous": "max-entropy"},
            "replicates": 3,
            "metrics": ["entropy"],
        },
    ]
    experiment = run(definition(cases=cases), store, n_jobs=1)
    data = experiment.to_xarray()
    assert dict(data.sizes) == {"cell": 2, "replicate": 70, "generation": 13}
    assert list(data["loss_name"].values) == ["ce", "tce"]
    np.testing.assert_array_equal(data["gamma"], [np.nan, 0.5])
    assert list(data["loss_vacuous"].values) == ["", "max-entropy"]  # "vacuous" is an event
    np.testing.assert_array_equal(data["std"][0, :, :6], experiment.cells[0].run().metrics["std"])
    assert data["std"][0, :, 6:].isnull().all()
    assert data["std"][1].isnull().all()
    assert data["entropy"][1, 3:].isnull().all()
    assert not data["entropy"][1, :3].isnull().any()


def test_xarray_says_when_it_is_missing(store, monkeypatch):
    experiment = filled(store, definition())
    monkeypatch.setitem(sys.modules, "xarray", None)
    with pytest.raises(ImportError, match=r"pip install 'tce_theory\[xarray\]'"):
        experiment.to_xarray()


# ------------------------------------------------------------------------------------------------------- export


def table_of(path):
    text = path.read_bytes().decode("utf-8")
    assert text.count("\r\n") == text.count("\n")
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_export(store, tmp_path):
    model = {"family": "gaussian", "fit_mean": False}
    given = definition(fidelity=[BELOW], replicates=200, metrics=["masked_weight"], model=model)
    ce, one, _ = given.cells
    broken = BlockError(one.key, range(64, 128), 'ValueError: "so", it says', "")
    experiment = filled(store, given, part(ce, 0, 200), part(one, 0, 64), broken)
    folder = tmp_path / "new" / "täbles"
    paths = export(experiment, folder)
    assert [path.relative_to(folder).as_posix() for path in paths] == [
        "definition.json",
        "cells.csv",
        "fidelity.csv",
        "extension.csv",
        "trajectories.csv",
        f"runs/{ce.key}.npz",
        f"runs/{one.key}.npz",
    ]
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())

    document = json.loads(paths[0].read_text(encoding="utf-8"))
    assert [cell.key for cell in Definition.from_mapping(document).cells] == [cell.key for cell in given.cells]
    cells = table_of(folder / "cells.csv")
    assert [row["status"] for row in cells] == ["done", "failed", "missing"]
    assert (cells[1]["loss.gamma"], cells[0]["loss.gamma"], cells[0]["model.fit_mean"]) == ("0.4", "", "false")
    assert cells[1]["error"] == 'ValueError: "so", it says'
    assert float(cells[0]["seconds"]) == experiment.cells[0].seconds
    for name, rows in {"fidelity": experiment.fidelity_table(), "extension": experiment.extension_table()}.items():
        for written, row in zip(table_of(folder / f"{name}.csv"), rows, strict=True):
            assert written.keys() == row.keys()
            numbers = {key: value for key, value in row.items() if isinstance(value, float)}
            assert {key: float(written[key]) for key in numbers} == numbers

    for path, cell in zip(paths[-2:], experiment.cells, strict=False):
        loaded = tce.Run.load(path)
        assert_same_run(loaded, cell.run())
        assert loaded.provenance == cell.run().provenance
    assert tce.Run.load(paths[-1]).interrupted

    rows = [row for row in table_of(folder / "trajectories.csv") if row["metric"] == "std"]
    assert [(row["cell"], row["generation"]) for row in rows] == [(str(c), str(g)) for c in (0, 1) for g in range(13)]
    values = experiment.cells[1].run().metrics["std"]
    np.testing.assert_array_equal([float(row["mean"]) for row in rows[13:]], values.mean(axis=0))
    for column, share in (("median", 0.5), ("q05", 0.05), ("q95", 0.95)):
        expected = np.quantile(values, share, axis=0, method="inverted_cdf")
        np.testing.assert_array_equal([float(row[column]) for row in rows[13:]], expected)


def test_export_of_infinite_values_and_of_what_has_no_value(store, tmp_path):
    model = {"family": "categorical", "probs": [0.98, 0.01, 0.01]}
    given = definition(model=model, loss={"name": "ce"}, metrics=["kl_from_origin", "kl_to_origin", "masked_weight"])
    experiment = run(given, store, n_jobs=1)
    rows = table_of(export(experiment, tmp_path)[2])
    assert table_of(tmp_path / "cells.csv")[0]["model.probs"] == "[0.98, 0.01, 0.01]"
    assert experiment.cells[0].run().metrics["kl_to_origin"].shape == (70, 13)
    infinite = [row for row in rows if row["mean"] == "inf"]
    assert infinite
    assert {row["q95"] for row in infinite if row["generation"] == "12"} == {"inf"}
    start = next(row for row in rows if (row["metric"], row["generation"]) == ("masked_weight", "0"))
    assert [start[name] for name in ("mean", "median", "q05", "q95")] == ["nan"] * 4


def test_export_leaves_out_what_has_no_baseline(store, tmp_path):
    experiment = run(definition(loss={"name": "tce", "gamma": [0.4, 0.5]}, fidelity=[BELOW]), store, n_jobs=1)
    names = [path.name for path in export(experiment, tmp_path)]
    assert "fidelity.csv" in names
    assert "extension.csv" not in names


def test_export_of_one_key_with_two_numbers_of_replicates_keeps_the_longer_run(store, tmp_path):
    experiment = run(definition(loss={"name": "ce"}, replicates=[70, 30]), store, n_jobs=1)
    assert [cell.finished for cell in experiment.cells] == [70, 30]
    *_, path = export(experiment, tmp_path)
    assert tce.Run.load(path).replicates.size == 70
    assert len(list((tmp_path / "runs").iterdir())) == 1


def test_export_writes_whole_files_or_none(store, tmp_path, monkeypatch):
    experiment = run(definition(), store, n_jobs=1)
    folder = tmp_path / "tables"
    export(experiment, folder)
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def broken(self, block, *some):
        raise tce.StoreError("as if it were damaged")

    monkeypatch.setattr(Store, "arrays", broken)
    with pytest.raises(tce.StoreError):
        export(experiment, folder)
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before
    shutil.rmtree(folder)
