"""Conditions and studies: which cells they make, what they refuse and where, and what stores make of them."""

from __future__ import annotations

import copy
import re
import sqlite3
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from test_definition import SCHEMA, accepts

from tce_theory.errors import DefinitionError, DomainError
from tce_theory.experiments import Definition, definition, load, run, schema
from tce_theory.experiments.conditions import replaced_settings, versions
from tce_theory.experiments.definition import Criterion
from tce_theory.experiments.design import StudyClaim, StudyDesign
from tce_theory.experiments.export import export
from tce_theory.experiments.mapping import ExtensionMap
from tce_theory.experiments.runner import planned

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"
STUDY: dict[str, Any] = {
    "title": "Does truncation keep the spread?",
    "seed": 1,
    "coupled": True,
    "sampler": "points",
    "n_samples": 50,
    "generations": 20,
    "replicates": 30,
    "fidelity": [{"metric": "std", "below": 0.75}, {"metric": "w2_squared", "above": 0.1}],
    "cases": [
        {"label": "narrow", "model": {"family": "gaussian"}},
        {"label": "wide", "model": {"family": "gaussian", "std": 2.0}},
    ],
    "conditions": [
        {"label": "CE", "loss": {"name": "ce"}},
        {"label": "CE, mean known", "loss": {"name": "ce"}, "model": {"fit_mean": False}},
        {"label": "CE again", "loss": {"name": "ce"}},
        {"label": "TCE", "loss": {"name": "tce", "gamma": 0.5}},
    ],
    "study": {
        "question": "Does TCE keep the spread for longer than cross entropy?",
        "baseline": "CE",
        "controls": ["CE, mean known"],
        "primary": {"metric": "std", "below": 0.75},
        "thresholds": {"from": 0.5, "to": 0.9, "num": 5},
        "claims": [
            {"claim": "it does", "conditions": ["TCE"], "settings": ["narrow"], "above": 1.5},
            {"claim": "it does not harm", "conditions": ["TCE", "CE again"]},
        ],
    },
}
NETWORK: dict[str, Any] = {
    "title": "networks",
    "seed": 1,
    "n_samples": 60,
    "generations": 1,
    "replicates": 1,
    "model": {
        "family": "lm",
        "knowledge": {"facts": 4, "relations": 2, "objects": 3, "filler": 0},
        "context": 2,
        "hidden": [4],
        "training": {"epochs": {"from": 1, "to": 8, "num": 3, "spacing": "log"}, "batch_size": 32},
    },
    "conditions": [{"label": "CE", "loss": {"name": "ce"}}],
}
Change = Callable[[dict[str, Any]], object]


def changed(change: Change, document: dict[str, Any] = STUDY) -> dict[str, Any]:
    document = copy.deepcopy(document)
    change(document)
    return document


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in STUDY.items() if name not in names}


def refusal(document: dict[str, Any]) -> str:
    with pytest.raises(DefinitionError) as caught:
        Definition.from_mapping(document)
    line = str(caught.value)
    assert "\n" not in line
    return line


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("conditions") / "study.sqlite"
    run(Definition.from_mapping(STUDY), path)
    return path


# ------------------------------------------------------------------------------------------------------------ cells


def test_cells_are_those_of_all_cases_under_all_conditions_in_order() -> None:
    cells = Definition.from_mapping(STUDY).cells
    names = [(cell.settings["condition"], cell.settings["label"]) for cell in cells]
    conditions = [condition["label"] for condition in STUDY["conditions"]]
    assert names == [(condition, label) for condition in conditions for label in ("narrow", "wide")]
    assert [cell.model.std for cell in cells] == [1.0, 2.0] * 4
    assert [cell.model.fit_mean for cell in cells] == [True, True, False, False, True, True, True, True]
    assert [type(cell.loss).__name__ for cell in cells] == ["CrossEntropy"] * 6 + ["TruncatedCrossEntropy"] * 2
    assert cells[-1].settings["loss.gamma"] == 0.5
    assert cells[2].settings["model.fit_mean"] is False


def test_a_cell_is_what_it_would_be_in_a_definition_of_its_own() -> None:
    for coupled in (False, True):
        cells = Definition.from_mapping({**STUDY, "coupled": coupled}).cells
        common = {**without("cases", "conditions", "study"), "coupled": coupled}
        own = {"model": {"family": "gaussian", "std": 2.0, "fit_mean": False}, "loss": {"name": "ce"}}
        (alone,) = Definition.from_mapping({**common, **own}).cells
        assert (cells[3].key, cells[3].seed) == (alone.key, alone.seed)
        assert {cell.seed for cell in cells} == {1} if coupled else len({cell.seed for cell in cells}) == 6


def test_the_same_simulation_is_there_under_each_condition_and_once_in_one() -> None:
    cells = Definition.from_mapping(STUDY).cells
    assert [cell.key for cell in cells[:2]] == [cell.key for cell in cells[4:6]]
    assert len({cell.key for cell in cells}) == 6
    twice = changed(lambda d: d["cases"].append({**d["cases"][0], "label": "as narrow"}), without("study"))
    assert [cell.settings["label"] for cell in Definition.from_mapping(twice).cells] == ["narrow", "wide"] * 4


def test_conditions_do_without_a_study_and_without_cases_and_labels() -> None:
    document = {**without("study", "cases", "fidelity"), "model": [{"family": "gaussian"}, {"family": "poisson"}]}
    document["model"] = [{"family": "gaussian", "std": [1.0, 3.0]}, {"family": "gaussian", "mean": 2.0}]
    definition = Definition.from_mapping(document)
    assert definition.study is None
    assert len(definition.cells) == 4 * 3
    assert all("label" not in cell.settings for cell in definition.cells)
    # into each of several models
    assert [cell.model.fit_mean for cell in definition.cells[3:6]] == [False] * 3


def test_a_condition_replaces_the_loss_of_all_and_of_a_case() -> None:
    document = {**STUDY, "loss": {"name": "tce", "gamma": [0.1, 0.2]}}
    document = changed(lambda d: d["cases"][1].update(loss={"name": "tce", "gamma": [0.1, 0.2, 0.3]}), document)
    keys = [cell.key for cell in Definition.from_mapping(STUDY).cells]
    assert [cell.key for cell in Definition.from_mapping(document).cells] == keys


def test_the_loss_of_a_condition_is_combined_as_where_it_stands() -> None:
    losses = [{"label": "TCE", "loss": {"name": "tce", "gamma": [0.3, 0.5]}}]
    common = {**without("cases", "study", "fidelity", "conditions", "n_samples"), "model": {"family": "gaussian"}}
    last = Definition.from_mapping({**common, "n_samples": [10, 20], "conditions": losses}).cells
    assert [(cell.n_samples, cell.loss.gamma) for cell in last] == [(10, 0.3), (10, 0.5), (20, 0.3), (20, 0.5)]
    first = {"loss": {"name": "ce"}, **common, "n_samples": [10, 20], "conditions": losses}
    found = Definition.from_mapping(first).cells
    assert [(cell.n_samples, cell.loss.gamma) for cell in found] == [(10, 0.3), (20, 0.3), (10, 0.5), (20, 0.5)]


def test_tables_are_merged_key_by_key_and_values_replaced_whole() -> None:
    early = {"training": {"epochs": {"from": 3, "to": 5, "num": 2}, "rate": 0.1}, "hidden": [8]}
    document = changed(
        lambda d: d["conditions"].append({"label": "early", "loss": {"name": "ce"}, "model": early}), NETWORK
    )
    before, after = versions(document)
    assert before.document["model"] == NETWORK["model"]
    assert after.document["model"] == {
        **NETWORK["model"],
        "hidden": [8],
        # a range is a value: nothing of the one before is left
        "training": {"epochs": {"from": 3, "to": 5, "num": 2}, "rate": 0.1, "batch_size": 32},
    }
    training = "model.training"
    assert replaced_settings(document) == (f"{training}.epochs", f"{training}.rate", "model.hidden")


def test_what_conditions_share_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    parts: list[str] = []

    def counted(part: str, *arguments: Any) -> Any:
        parts.append(part)
        return schema.made(part, *arguments)

    monkeypatch.setattr(definition, "made", counted)
    Definition.from_mapping(STUDY)
    assert Counter(parts) == {"model": 4, "loss": 2}


def test_no_table_of_settings_is_taken_for_a_range() -> None:
    definitions = schema.json_schema()["definitions"]
    of_ranges = [name for name, table in definitions.items() if {"from", "to", "num"} & table["properties"].keys()]
    assert of_ranges == ["Range"]


# --------------------------------------------------------------------------------------------------------- refusals

FORM: list[tuple[Change, str]] = [
    (
        lambda d: d.update(conditions={"label": "x"}),
        "conditions must be a list of tables (write [[conditions]]), got {",
    ),
    (lambda d: d["conditions"][3].pop("loss"), "conditions[3].loss is missing"),
    (lambda d: d["conditions"][3].pop("label"), "conditions[3].label is missing"),
    (lambda d: d["conditions"][3].update(label=""), "conditions[3].label must be a string that is not empty, got ''"),
    (
        lambda d: d["conditions"][3].update(metrics=["std"]),
        "conditions[3].metrics is not known; metrics belongs to the top of the file, before the first [table]",
    ),
    (lambda d: d["conditions"][3].update(los={}), "conditions[3].los is not known; did you mean loss?"),
    (lambda d: d["conditions"][3].update(loss=[{"name": "ce"}]), "conditions[3].loss must be a table, got [{'name'"),
    (
        lambda d: d["conditions"][3].update(loss={"name": "tca"}),
        "conditions[3].loss.name must be one of ce, tce, focal,",
    ),
    (lambda d: d["conditions"][3]["loss"].update(gama=1), "conditions[3].loss.gama is not known; did you mean gamma?"),
    (lambda d: d["study"].pop("baseline"), "study.baseline is missing"),
    (lambda d: d["study"].update(thresholds=[0.5, "x"]), "study.thresholds[1] must be a number, got 'x'"),
    (lambda d: d["study"].update(levle=0.9), "study.levle is not known; did you mean level?"),
    (
        lambda d: d["study"].update(claims={"claim": "x"}),
        "study.claims must be a list of tables (write [[study.claims]]), got {'claim': 'x'}",
    ),
    (lambda d: d["study"]["claims"][1].update(conditions=[]), "study.claims[1].conditions must be a list of 1 or more"),
    (lambda d: d["study"]["claims"][1].pop("claim"), "study.claims[1].claim is missing"),
    (lambda d: d["study"]["primary"].update(metirc="std"), "study.primary.metirc is not known; did you mean metric?"),
]
CONTENT: list[tuple[Change, str]] = [
    # in what a condition puts into models, which is wrong where it stands, once for all models
    (lambda d: d["conditions"][1]["model"].update(ddof="x"), "conditions[1].model.ddof must be an integer, got 'x'"),
    (lambda d: d["conditions"][1]["model"].update(stt=1), "conditions[1].model.stt is not known; did you mean std?"),
    (
        lambda d: d["conditions"][1]["model"].update({"a b": 1}),
        'conditions[1].model."a b" is not known; known are family',
    ),
    (
        lambda d: d["conditions"][1]["model"].update(training={"patience": 3}),
        "conditions[1].model.training does not go with gaussian, but with lm and vae",
    ),
    (
        lambda d: d["conditions"][1]["model"].update(std=[3.0, -1.0]),
        "conditions[1].model.std[1] must be a finite number above 0, got -1.0",
    ),
    (lambda d: d["conditions"][3]["loss"].update(gamma=0), "conditions[3].loss.gamma must be a finite number above 0"),
    # elsewhere, but only under a condition
    (
        lambda d: d["conditions"][3].update(loss={"name": "focal"}),
        "conditions[3]: cases[0]: Gaussian does not go with FocalLoss: its weight is for probabilities, not densities",
    ),
    # whatever the condition is
    (lambda d: d.pop("generations"), "cases[0].generations is missing there and above the cases"),
    (lambda d: d["cases"][1]["model"].update(std="x"), "cases[1].model.std must be a number, got 'x'"),
    # labels
    (
        lambda d: d["conditions"][3].update(label="CE"),
        "conditions[3].label must be different from those before, got 'CE'",
    ),
    (lambda d: d.pop("conditions"), "study must have two [[conditions]] to compare, or more, got 0"),
    (
        lambda d: d.update(conditions=d["conditions"][:1]),
        "study must have two [[conditions]] to compare, or more, got 1",
    ),
    (
        lambda d: d["cases"][1].pop("label"),
        "cases[1].label is missing: a [study] names its settings by the labels of the cases",
    ),
    (
        lambda d: d.update(d.pop("cases")[0]) or d.pop("label"),
        "label is missing: a [study] names its settings by the labels of the cases",
    ),
    (
        lambda d: d["study"].update(baseline="CEE"),
        "study.baseline must be one of CE, CE, mean known, CE again, TCE (did you mean CE?), got 'CEE'",
    ),
    (
        lambda d: d["study"].update(controls=["CE again", "CE"]),
        "study.controls[1] must be one of CE, mean known, CE again, TCE (did you mean TCE?), got 'CE'",
    ),
    (
        lambda d: d["study"].update(controls=["TCE", "TCE"]),
        "study.controls[1] must be different from those before, got 'TCE'",
    ),
    (
        lambda d: d["study"]["claims"][1].update(conditions=["TCE", "CE"]),
        "study.claims[1].conditions[1] must be one of",
    ),
    (
        lambda d: d["study"]["claims"][0].update(settings=["wide", "narow"]),
        "study.claims[0].settings[1] must be one of narrow, wide (did you mean narrow?), got 'narow'",
    ),
    # one cell for each setting and condition
    (
        lambda d: d["cases"][1].update(label="narrow"),
        "study must have one cell for each label of a case under each condition, got 2 for 'narrow' under 'CE'",
    ),
    (
        lambda d: d["conditions"][3]["loss"].update(gamma=[0.3, 0.5]),
        "study must have one cell for each label of a case under each condition, got 2 for 'narrow' under 'TCE'",
    ),
    (
        lambda d: d["conditions"][1]["model"].update(std=3.0),
        "study must have one cell for each label of a case under each condition, got 0 for 'wide' under "
        "'CE, mean known', where it is the same simulation as another case",
    ),
    # numbers and criteria
    (lambda d: d["study"].update(level=1), "study.level must be a number between 0 and 1, got 1.0"),
    (lambda d: d["study"]["claims"][1].update(above=0), "study.claims[1].above must be a number above 0, got 0.0"),
    (
        lambda d: d["study"].update(primary={"metric": "std"}),
        "study.primary must have exactly one of below, above and outside",
    ),
    (
        lambda d: d["study"]["primary"].update(relative=True),
        "study.primary must be one of [[fidelity]], with the same keys and values, which it is not for 'narrow'",
    ),
    (
        lambda d: d["cases"][1].update(fidelity=[{"metric": "std", "below": 0.7}]),
        "study.primary must be one of [[fidelity]], with the same keys and values, which it is not for 'wide'",
    ),
    (
        lambda d: d["study"].update(primary={"metric": "std", "outside": [0.5, 2]}, thresholds=0.5),
        "study.thresholds must be left out for a primary criterion with outside, which has no one threshold, got [0.5]",
    ),
]


@pytest.mark.parametrize(("change", "line"), FORM + CONTENT, ids=[line for _, line in FORM + CONTENT])
def test_says_where_in_the_file_and_what_would_be_right(change: Change, line: str) -> None:
    assert refusal(changed(change)).startswith(line)
    if line.startswith("conditions[1].model"):
        assert "more problem" not in refusal(changed(change))


def test_says_which_table_of_several_models_a_condition_does_not_fit() -> None:
    document = {
        **without("study", "cases", "fidelity"),
        "model": [{"family": "gaussian"}, {"family": "poisson", "rate": 2}],
    }
    line = refusal(document)
    assert line.startswith("conditions[1].model.fit_mean does not go with poisson, but with gaussian")


def test_junk_anywhere_makes_a_definition_or_a_refusal_in_a_line() -> None:
    lines = [
        problem
        for place in (*places(STUDY["conditions"], ("conditions",)), *places(STUDY["study"], ("study",)))
        for junk in (None, {}, [], "", -1, {"from": 1, "to": 2, "num": 2})
        if (problem := problem_of(with_junk(place, junk)))
    ]
    assert len(lines) > 150
    assert not [line for line in lines if "\n" in line]


def places(node: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    yield path
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield from places(value, (*path, key))


def with_junk(place: tuple[Any, ...], junk: Any) -> dict[str, Any]:
    document = copy.deepcopy(STUDY)
    node: Any = document
    for key in place[:-1]:
        node = node[key]
    node[place[-1]] = junk
    return document


def problem_of(document: dict[str, Any]) -> str:
    try:
        Definition.from_mapping(document)
    except DefinitionError as error:
        return str(error)
    return ""


def test_advises_beginners_who_write_one_table_for_several(tmp_path: Path) -> None:
    for name in ("conditions", "study.claims"):
        path = tmp_path / "wrong.toml"
        path.write_text(f'title = "x"\n[{name}]\nlabel = "a"\n[{name}]\nlabel = "b"\n')
        with pytest.raises(DefinitionError, match=re.escape(f"write [[{name}]] each time for several")):
            Definition.read(path)


# ------------------------------------------------------------------------------------------------------- the design


def test_the_design_is_what_the_file_says() -> None:
    assert Definition.from_mapping(STUDY).study == StudyDesign(
        question="Does TCE keep the spread for longer than cross entropy?",
        baseline="CE",
        controls=("CE, mean known",),
        primary=Criterion("std", below=0.75),
        thresholds=(0.5, 0.6, 0.7, 0.8, 0.9),
        level=0.95,
        claims=(
            StudyClaim("it does", ("TCE",), ("narrow",), 1.5),
            StudyClaim("it does not harm", ("TCE", "CE again"), ("narrow", "wide"), 1.0),
        ),
    )


def test_a_design_may_leave_out_controls_thresholds_level_and_claims() -> None:
    def less(document: dict[str, Any]) -> None:
        document.update(document.pop("cases")[0])
        for name in ("controls", "thresholds", "claims"):
            del document["study"][name]
        document["study"]["primary"] = {"metric": "w2_squared", "above": 0.1}

    study = Definition.from_mapping(changed(less)).study
    assert study is not None
    assert (study.controls, study.thresholds, study.claims, study.curve) == ((), (), (), ())


def test_the_curve_is_the_primary_criterion_at_each_threshold() -> None:
    study = Definition.from_mapping(STUDY).study
    assert study is not None
    assert study.curve == tuple(Criterion("std", below=threshold) for threshold in (0.5, 0.6, 0.7, 0.8, 0.9))
    rising = {"primary": {"metric": "w2_squared", "above": 0.1}, "thresholds": [0.1, 0.2]}
    study = Definition.from_mapping({**STUDY, "study": {**STUDY["study"], **rising}}).study
    assert study is not None
    assert study.curve == tuple(Criterion("w2_squared", above=threshold) for threshold in (0.1, 0.2))


def test_the_json_schema_knows_the_form() -> None:
    assert accepts(SCHEMA, STUDY)
    assert accepts(SCHEMA, {**without("cases", "study"), "model": {"family": "gaussian"}})
    for change, line in FORM:
        assert not accepts(SCHEMA, changed(change)), line


# ---------------------------------------------------------------------------------------------- stores and tables


def test_a_store_holds_what_two_conditions_share_once(store: Path) -> None:
    experiment = load(store)
    assert [cell.status for cell in experiment.cells] == ["done"] * 8
    assert str(experiment).endswith("8 cells (8 done), 240 of 240 replicates")
    with sqlite3.connect(store) as connection:
        assert connection.execute("SELECT count(*), count(DISTINCT key) FROM blocks").fetchone() == (6, 6)
        assert connection.execute("SELECT sum(stop - first) FROM blocks").fetchone() == (180,)
    assert len(planned(Definition.from_mapping(STUDY), None)) == 6
    one, other = (experiment.find(condition=name, label="wide").run() for name in ("CE", "CE again"))
    assert (one.metrics["std"] == other.metrics["std"]).all()


def test_a_store_knows_the_design_and_makes_the_same_definition(store: Path) -> None:
    experiment = load(store)
    assert experiment.study == Definition.from_mapping(STUDY).study
    again = Definition.from_mapping(experiment.document)
    # keys of tables are in another order there, and so may settings be
    assert [(dict(cell.settings), cell.key) for cell in again.cells] == [
        (dict(cell.settings), cell.key) for cell in experiment.cells
    ]
    assert again.study == experiment.study


def test_a_study_compares_with_its_baseline(store: Path) -> None:
    experiment = load(store)
    rows = experiment.extension_table()
    assert rows == experiment.extension_table({"condition": "CE"})
    assert [(row["cell"], row["baseline"]) for row in rows[::2]] == [(2, 0), (3, 1), (4, 0), (5, 1), (6, 0), (7, 1)]
    assert all(row["paired"] for row in rows)
    # of what is the same simulation nothing differs
    assert {(row["ratio"], row["low"], row["high"]) for row in rows if row["condition"] == "CE again"} == {(1, 1, 1)}
    # the baseline itself can be a condition that replaces settings of the model
    known = experiment.extension_table({"condition": "CE, mean known"})
    assert [(row["cell"], row["baseline"]) for row in known[::2]] == [(0, 2), (1, 3), (4, 2), (5, 3), (6, 2), (7, 3)]


def test_a_condition_is_no_setting_in_which_cells_have_to_be_equal(tmp_path: Path) -> None:
    def losses_alone(document: dict[str, Any]) -> None:
        del document["study"], document["conditions"][1:3]
        document["conditions"].append({"label": "TCE at 0.3", "loss": {"name": "tce", "gamma": 0.3}})

    experiment = run(Definition.from_mapping(changed(losses_alone)), tmp_path / "losses.sqlite")
    rows = experiment.extension_table()  # over cross entropy
    assert [(row["cell"], row["baseline"]) for row in rows[::2]] == [(2, 0), (3, 1), (4, 0), (5, 1)]
    entries = ExtensionMap.of(experiment).entries
    assert {(entry.setting, entry.gamma) for entry in entries} == {
        (setting, gamma) for setting in ("narrow", "wide") for gamma in (0.5, 0.3)
    }


def test_a_map_is_over_cross_entropy_whatever_a_study_compares_with(tmp_path: Path) -> None:
    def other_way_round(document: dict[str, Any]) -> None:
        del document["conditions"][1:3]
        document["study"].update(baseline="TCE", controls=[], claims=[{"claim": "none", "conditions": ["CE"]}])

    experiment = run(Definition.from_mapping(changed(other_way_round)), tmp_path / "two.sqlite")
    assert [row["condition"] for row in experiment.extension_table()] == ["CE"] * 4
    assert {entry.gamma for entry in ExtensionMap.of(experiment).entries} == {0.5}


def test_two_conditions_that_are_the_baseline_of_a_cell_are_refused(store: Path) -> None:
    with pytest.raises(DomainError, match=r"otherwise equal to the cell condition = TCE, .* \(there are 2\)"):
        load(store).extension_table({"loss.name": "ce"})


def test_tables_and_files_name_the_conditions(store: Path, tmp_path: Path) -> None:
    experiment = load(store)
    assert [row["condition"] for row in experiment.fidelity_table()[::2]] == [
        cell.settings["condition"] for cell in experiment.cells
    ]
    written = export(experiment, tmp_path)
    assert sum(path.suffix == ".npz" for path in written) == 6
    lines = (tmp_path / "extension.csv").read_text().splitlines()
    assert len(lines) == 1 + 2 * 6
    assert '"CE, mean known"' in lines[1]


def test_labelled_arrays_have_the_conditions_as_a_coordinate(store: Path) -> None:
    pytest.importorskip("xarray")
    data = load(store).to_xarray(["std"])
    assert data["condition"].values.tolist() == [cell.settings["condition"] for cell in load(store).cells]


def test_the_page_has_a_study_of_two_settings_under_three_conditions() -> None:
    (text,) = re.findall(r"~~~toml\n(.*?)~~~", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    definition = Definition.from_mapping(tomllib.loads(text))
    assert definition.study is not None
    assert len(definition.cells) == 2 * 3
