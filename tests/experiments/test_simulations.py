"""The definitions that ship: valid, explained, listed, and able to run."""

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

import tce_theory as tce
from tce_theory import theorems
from tce_theory.exact.first_passage import gaussian_first_passage
from tce_theory.exact.two_class import TwoClassChain
from tce_theory.experiments import Definition, Experiment, run
from tce_theory.experiments.definition import Cell, Criterion
from tce_theory.experiments.results import StoredCell
from tce_theory.experiments.schema import SCHEMA_FILE, json_schema
from tce_theory.experiments.study import STUDIES as RECORDS
from tce_theory.experiments.study import Study
from tce_theory.metrics import heterozygosity
from tce_theory.theory.categorical import entropy_floor
from tce_theory.theory.literature import mad_log_variance_drift, poisson_survival
from tce_theory.theory.regimes import (
    accumulate_factor,
    fresh_mix_heterozygosity,
    regression_accumulate_error,
    regression_replace_error,
    staged_factor,
)
from tce_theory.verification.estimates import compare, mean_of

FOLDER = Path(__file__).parents[2] / "simulations"
FILES = sorted(FOLDER.glob("*.toml"))
INDEX = (FOLDER / "README.md").read_text(encoding="utf-8")
SCHEMA_LINE = "#:schema "


def by_name(path: Path) -> str:
    return path.name


RECORDED = [
    Study.from_dict(study)
    for file in sorted(RECORDS.glob("*.json"))
    for study in json.loads(file.read_text(encoding="utf-8"))["studies"]
]
"""The studies that come with the library."""


@cache
def definition_of(path: Path) -> Definition:
    return Definition.read(path)


def cut_down(path: Path, replicates: int, generations: int) -> Definition:
    """Return a shipped definition with fewer replicates and generations."""
    return Definition.from_mapping(
        cut(tomllib.loads(path.read_text(encoding="utf-8")), replicates, generations), folder=path.parent
    )


def cut(table: dict, replicates: int, generations: int) -> dict:
    most = {"replicates": replicates, "generations": generations}
    return {
        name: [cut(case, replicates, generations) for case in value]
        if name == "cases"
        else at_most(value, most[name])
        if name in most
        else value
        for name, value in table.items()
    }


def at_most(value: int | list[int], most: int) -> int | list[int]:
    return [min(item, most) for item in value] if isinstance(value, list) else min(value, most)


def assert_complete(experiment: Experiment, definition: Definition) -> None:
    assert [cell.status for cell in experiment.cells] == ["done"] * len(definition.cells)
    for cell, wanted in zip(experiment.cells, definition.cells, strict=True):
        result = cell.run()
        assert set(result.metrics) == set(wanted.metrics)
        for values in result.metrics.values():
            assert values.shape == (wanted.replicates, wanted.generations + 1)
            assert not np.isnan(values[:, 1:]).any()


def test_there_are_definitions_and_the_index_lists_just_them() -> None:
    assert len(FILES) >= 8
    assert re.findall(r"^## \[.*\]\((.*)\)$", INDEX, flags=re.MULTILINE) == [path.name for path in FILES]


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_definition_is_valid_and_explained(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    definition = definition_of(path)

    assert lines[0].startswith(SCHEMA_LINE)
    assert (FOLDER / lines[0].removeprefix(SCHEMA_LINE)).resolve() == SCHEMA_FILE.resolve()

    comment = "\n".join(lines[1 : next(number for number, line in enumerate(lines) if not line.startswith("#"))])
    assert re.search(r"^# Question: [^?]*\?", comment, flags=re.MULTILINE)
    assert re.search(r"^# How to read it: ", comment, flags=re.MULTILINE)
    assert max(map(len, lines)) <= 120

    assert definition.theorems
    assert set(definition.theorems) <= set(theorems.every())


@pytest.mark.parametrize("path", FILES, ids=by_name)
def test_index_says_what_the_definition_says(path: Path) -> None:
    definition = definition_of(path)
    entry = INDEX.split(f"]({path.name})")[1].split("\n## ")[0]
    named = re.search(r"^Theorems: (.*?)\.", entry, flags=re.MULTILINE | re.DOTALL).group(1)
    assert tuple(re.findall(r"`([^`]*)`", named)) == definition.theorems
    assert re.search(r"(\d+) cells", entry).group(1) == str(len(definition.cells))


def test_smoke_definition_runs_as_it_is(tmp_path: Path) -> None:
    path = FOLDER / "smoke.toml"
    assert_complete(run(path, tmp_path / "smoke.sqlite"), definition_of(path))


def test_smoke_definition_has_all_that_a_definition_can_name() -> None:
    tables = json_schema()["definitions"].values()
    known = {
        word
        for table in tables
        for key in ("family", "name", "growth")
        for word in table["properties"].get(key, {}).get("enum", [])
    }
    used = {
        cell.settings.get(name)
        for cell in definition_of(FOLDER / "smoke.toml").cells
        for name in ("model.family", "loss.name", "regime.name", "decoding.name", "n_samples.growth")
    }
    assert known
    assert known - {"vae"} == used - {None}  # its digits need an optional extra, which this file must not


LONG = {"merging_modes", "text_bigrams"}
"""Definitions whose generations take a second."""
STUDIES = [path for path in FILES if path.stem.startswith("replication")]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(p, marks=[pytest.mark.slow] * (p.stem in LONG))
        for p in FILES
        if p.stem != "smoke" and p not in STUDIES
    ],
    ids=by_name,
)
def test_definition_runs_cut_down(path: Path, tmp_path: Path) -> None:
    definition = cut_down(path, replicates=3, generations=5)
    assert_complete(run(definition, tmp_path / "store.sqlite"), definition)


@pytest.mark.parametrize(
    "path",
    [pytest.param(p, marks=[pytest.mark.slow] * (p.stem != "replication")) for p in STUDIES],
    ids=by_name,
)
def test_study_runs_cut_down(path: Path, tmp_path: Path) -> None:
    table = cut(tomllib.loads(path.read_text(encoding="utf-8")), replicates=2, generations=2)
    for part in (table, *table["cases"]):
        if "n_samples" in part:
            part["n_samples"] = 100
    experiment = run(Definition.from_mapping(table, folder=path.parent), tmp_path / "store.sqlite")
    study = Study.of(experiment)
    assert study.is_complete
    settings, conditions = len(table["cases"]), len(table["conditions"])
    assert len(study.entries) == settings * (conditions - 1)
    assert len(study.metrics) == settings * conditions * len(table["metrics"])


@pytest.mark.parametrize("study", RECORDED, ids=lambda study: study.store)
def test_recorded_studies_are_those_of_the_definitions(study: Study) -> None:
    path = FOLDER / Path(study.store).with_suffix(".toml").name
    definition = definition_of(path)
    assert study.is_complete
    assert study.document == definition.document
    found = [(cell.setting, cell.condition, cell.key, cell.replicates) for cell in study.cells]
    wanted = [(c.settings["label"], c.settings["condition"], c.key, c.replicates) for c in definition.cells]
    assert sorted(found) == sorted(wanted)


# -------------------------------------------------------------------------------- against exact laws and closed forms

ERROR = 1e-4
"""Of each claim below: 27 claims, so that a right program fails with a probability below 0.003."""


def ran(stem: str, tmp_path: Path, *, where: Callable[[Cell], bool]) -> Iterator[tuple[StoredCell, Cell]]:
    """Yield the cells of a shipped definition that are wanted, run with at least 10,000 replicates."""
    document = tomllib.loads((FOLDER / f"{stem}.toml").read_text(encoding="utf-8"))
    for table in (document, *document.get("cases", [])):
        if "replicates" in table:
            table["replicates"] = 10_000
    definition = Definition.from_mapping(document)
    definition = replace(definition, cells=tuple(cell for cell in definition.cells if where(cell)))
    return zip(run(definition, tmp_path / f"{stem}.sqlite").cells, definition.cells, strict=True)


def interval(stored: StoredCell, criterion: Criterion) -> np.ndarray:
    return stored.run().fidelity_interval(**asdict(criterion)).times


def assert_mean(values: np.ndarray, exact: float) -> None:
    """Claim a mean to within 10 %; a prediction that is 20 % off has to be rejected."""
    estimate = mean_of(values)
    for predicted, verdict in ((exact, "equivalent"), (1.2 * exact, "different")):
        outcome = compare(estimate, predicted, 0.1 * exact, ERROR)
        assert outcome.verdict == verdict, str(outcome)


@pytest.mark.slow
@pytest.mark.parametrize("stem", ["gaussian_collapse", "relative_truncation"])
def test_intervals_follow_their_exact_law(stem: str, tmp_path: Path) -> None:
    for stored, cell in ran(stem, tmp_path, where=lambda cell: cell.n_samples == 10):
        for criterion in cell.fidelity:
            low, high = criterion.outside or (criterion.below, np.inf)
            law = gaussian_first_passage(
                cell.n_samples,
                low=np.exp(low),
                high=np.exp(high),
                horizon=cell.generations,
                fit_mean=cell.model.fit_mean,
                ddof=cell.model.ddof,
                loss=cell.loss,
            )
            assert_mean(interval(stored, criterion), law.restricted_mean)


@pytest.mark.slow
def test_two_classes_coexist_as_long_as_the_chain_says(tmp_path: Path) -> None:
    for stored, cell in ran(
        "two_class", tmp_path, where=lambda cell: cell.n_samples == 50 and cell.generations <= 1000
    ):
        exact = TwoClassChain(cell.n_samples, 0.5, loss=cell.loss).mean_absorption_time()
        (criterion,) = cell.fidelity
        assert_mean(interval(stored, criterion), exact)


@pytest.mark.slow
def test_fresh_data_hold_the_heterozygosity_that_theory_says(tmp_path: Path) -> None:
    def where(cell: Cell) -> bool:
        return (
            cell.loss == tce.CrossEntropy() and isinstance(cell.model, tce.Categorical) and cell.regime.fraction == 0.01
        )

    for stored, cell in ran("fresh_mix", tmp_path, where=where):
        truth = heterozygosity(cell.model.probs)
        exact = fresh_mix_heterozygosity(cell.n_samples, cell.regime.fraction, truth, t=cell.generations)
        assert_mean(stored.run().metrics["heterozygosity"][:, -1], float(exact))


@pytest.mark.slow
def test_labels_of_a_models_own_drift_as_theory_says(tmp_path: Path) -> None:
    def where(cell: Cell) -> bool:
        if cell.model.fit_noise or cell.loss != tce.CrossEntropy():
            return False
        return cell.model.design == "shared" or cell.regime == tce.Replace()

    for stored, cell in ran("relabelling", tmp_path, where=where):
        t, n, d = cell.generations, cell.n_samples, cell.model.coefficients.size
        replaced = cell.regime == tce.Replace()
        exact = regression_replace_error(t, n, d) if replaced else regression_accumulate_error(n, d, t=t)
        assert_mean(stored.run().metrics["excess_error"][:, -1], float(exact))


@pytest.mark.slow
def test_data_that_are_kept_or_grow_hold_what_theory_says(tmp_path: Path) -> None:
    def where(cell: Cell) -> bool:
        known = isinstance(cell.regime, (tce.Accumulate, tce.Staged)) or not isinstance(cell.n_samples, int)
        # where little is left, 10,000 replicates are too few
        return isinstance(cell.model, tce.Categorical) and known and cell.settings.get("n_samples.ratio") != 1.02

    for stored, cell in ran("regimes", tmp_path, where=where):
        n, t = cell.n_samples, cell.generations
        match cell.regime:
            case tce.Accumulate():
                left = accumulate_factor(n, t=t)
            case tce.Staged():
                left = staged_factor(n, i=t - 1)
            case _:
                left = np.prod(1 - 1 / np.array(n))
        assert_mean(stored.run().metrics["heterozygosity"][:, -1], float(left) * heterozygosity(cell.model.probs))


@pytest.mark.slow
def test_counts_die_out_as_theory_says(tmp_path: Path) -> None:
    def where(cell: Cell) -> bool:
        return isinstance(cell.model, tce.Poisson) and cell.loss == tce.CrossEntropy()

    for stored, cell in ran("counts_extinction", tmp_path, where=where):
        alive = 1 - stored.run().metrics["extinct"]
        assert_mean(alive[:, 20], float(poisson_survival(20, cell.n_samples, cell.model.rate)))


@pytest.mark.slow
def test_decoding_ends_where_theory_says(tmp_path: Path) -> None:
    def where(cell: Cell) -> bool:
        if isinstance(cell.model, tce.Gaussian):
            return cell.model.ddof == 1 and cell.decoding.factor < 1
        return cell.decoding == tce.Temperature(0.7)

    for stored, cell in ran("decoding", tmp_path, where=where):
        found = stored.run().metrics
        if isinstance(cell.model, tce.Gaussian):
            drift = mad_log_variance_drift(cell.n_samples, cell.decoding.factor)
            assert_mean(-2 * found["log_std"][:, -1], -cell.generations * float(drift))
        else:
            floor = 0.0 if cell.loss == tce.CrossEntropy() else entropy_floor(cell.loss.gamma)
            np.testing.assert_allclose(found["entropy"][:, -1], floor, rtol=1e-9)


@pytest.mark.slow
def test_coupled_paths_are_the_same_until_the_cap(tmp_path: Path) -> None:
    experiment = run(FOLDER / "neutral.toml", tmp_path / "neutral.sqlite")
    baseline, *treated = (cell.run() for cell in experiment.cells)
    for cell, result in zip(experiment.cells[1:], treated, strict=True):
        above = baseline.metrics["max_prob"] > cell.settings["loss.gamma"]
        before = ~np.maximum.accumulate(above, axis=1)
        for name, values in baseline.metrics.items():
            np.testing.assert_array_equal(result.metrics[name][before], values[before])
        assert above.any(axis=1).mean() > 0.9
        assert (result.metrics["max_prob"] != baseline.metrics["max_prob"])[above].mean() > 0.9
