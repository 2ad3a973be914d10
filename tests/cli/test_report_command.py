"""``tce report``: what it prints, writes and refuses."""

import json

import pytest

from tce_theory.experiments import Definition
from tce_theory.experiments import run as simulate
from tce_theory.experiments import study as library

DEFINITION = {
    "title": "Walls",
    "coupled": True,
    "sampler": "points",
    "n_samples": 20,
    "generations": 40,
    "replicates": 30,
    "seed": 3,
    "metrics": ["std"],
    "fidelity": [{"metric": "std", "below": 0.7}],
    "model": {"family": "gaussian"},
    "cases": [{"label": "replaced"}, {"label": "fresh", "regime": {"name": "fresh-mix", "fraction": 0.1}}],
    "conditions": [
        {"label": "CE", "loss": {"name": "ce"}},
        {"label": "TCE", "loss": {"name": "tce", "gamma": 0.5}},
        {"label": "rival", "loss": {"name": "tce", "gamma": 0.5, "mask": "previous"}},
    ],
    "study": {
        "question": "Does the wall hold the scale?",
        "baseline": "CE",
        "controls": ["rival"],
        "primary": {"metric": "std", "below": 0.7},
        "claims": [{"claim": "A wall delays", "conditions": ["TCE"]}],
    },
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("report")
    simulate(Definition.from_mapping(DEFINITION), folder / "walls.sqlite", backend="threads")
    return folder


@pytest.fixture
def store(folder):
    return folder / "walls.sqlite"


def test_verdicts_come_first(succeed, store):
    shown = succeed("report", store).out
    lines = shown.splitlines()
    assert lines[0] == "study: Walls"
    assert lines[1] == "question: Does the wall hold the scale?"
    assert shown.index("A wall delays") < shown.index("factors: over CE, until std below 0.7")
    assert "holds" in shown
    study = succeed("report", store, "--json").json["studies"][0]
    for entry in study["entries"]:
        assert f"{entry['ratio']:.2f} [{entry['low']:.2f}, {entry['high']:.2f}] {entry['outcome']}" in shown
    assert lines[-1].startswith("the rest: --json")


def test_json_can_be_reported_again(succeed, store, tmp_path):
    first = succeed("report", store, "--json")
    (tmp_path / "recorded.json").write_text(first.out, encoding="utf-8")
    again = succeed("report", tmp_path / "recorded.json", "--json")
    assert again.out == first.out
    twice = succeed("report", tmp_path / "recorded.json", store, "--json").json["studies"]
    assert twice == first.json["studies"] * 2
    assert succeed("report", tmp_path / "recorded.json").out == succeed("report", store).out


def test_the_report_is_written_with_its_pictures(succeed, store, tmp_path):
    shown = succeed("report", store, "--out", tmp_path / "walls.md", "--format", "svg").out
    files = [line.removeprefix("file: ") for line in shown.splitlines() if line.startswith("file: ")]
    assert files == [str(tmp_path / "walls.md"), *(str(path) for path in written(tmp_path))]
    assert [path.name for path in written(tmp_path)] == ["walls_forest.svg", "walls_paths.svg"]
    assert (tmp_path / "walls.md").read_text(encoding="utf-8").startswith("# Report: Walls\n")


def written(folder):
    return sorted((folder / "walls_files").iterdir())


def test_a_narrow_terminal_has_a_table_a_setting(succeed, store, monkeypatch):
    monkeypatch.setattr("tce_theory.cli.report.fits", lambda console, table: False)
    lines = succeed("report", store).out.splitlines()
    assert [line.split() for line in lines if line.endswith("outcome ")] == [
        ["replaced", "factor", "outcome"], ["fresh", "factor", "outcome"]
    ]  # fmt: skip


def test_without_a_file_it_is_the_studies_of_the_library(succeed, run, store, tmp_path, monkeypatch):
    monkeypatch.setattr(library, "STUDIES", tmp_path)
    outcome = run("report")
    assert (outcome.code, outcome.out) == (2, "")
    assert "no study comes with this version of the library: give a FILE" in outcome.err
    document = succeed("report", store, "--json").json
    for name in ("b", "a"):
        document["studies"][0]["title"] = f"Study {name}"
        (tmp_path / f"{name}.json").write_text(json.dumps(document))
    titles = [line for line in succeed("report").out.splitlines() if line.startswith("study: ")]
    assert titles == ["study: Study a", "study: Study b"]


def test_a_record_that_lacks_factors_is_refused(succeed, run, store, tmp_path):
    document = succeed("report", store, "--json").json
    document["studies"][0]["design"]["baseline"] = "another"
    (tmp_path / "x.json").write_text(json.dumps(document))
    outcome = run("report", tmp_path / "x.json")
    assert (outcome.code, outcome.out) == (2, "")
    assert "this is one whose factors are not those of its conditions" in outcome.err


def test_a_store_that_is_named_twice_is_reported_once(succeed, store):
    assert succeed("report", store, store).out == succeed("report", store).out


def test_a_file_in_place_of_the_folder_of_pictures(run, store, tmp_path):
    (tmp_path / "x_files").touch()
    outcome = run("report", store, "--out", tmp_path / "x.md")
    assert (outcome.code, outcome.out) == (2, "")
    assert "x.md needs the folder x_files for its pictures" in outcome.err
    assert [path.name for path in tmp_path.glob("x*")] == ["x_files"]


def test_recorded_studies_can_be_read():
    assert [*library.STUDIES.glob("*.json")]
    for path in library.STUDIES.glob("*.json"):
        for document in json.loads(path.read_text(encoding="utf-8"))["studies"]:
            assert library.Study.from_dict(document).is_complete


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.json", "{", "x.json must be the store of a definition with [study], or what tce report --json has written"),
        ("x.json", "[1]", "x.json must be the store"),
        ("x.json", '{"cells": []}', "x.json must be the store"),
        ("x.json", '{"studies": []}', "and has no study"),
        ("x.json", '{"studies": [{}]}', "what tce report --json has written; this is one without 'title'"),
        ("x.toml", 'title = "x"', "; tce run "),
    ],
)
def test_bad_files(run, tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    outcome = run("report", tmp_path / name)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert len(outcome.err.splitlines()) == 1


def test_a_store_without_a_study(run, tmp_path):
    plain = {key: value for key, value in DEFINITION.items() if key not in ("conditions", "study", "cases")}
    plain |= {"loss": {"name": "ce"}, "generations": 2}
    simulate(Definition.from_mapping(plain), tmp_path / "plain.sqlite", backend="threads")
    outcome = run("report", tmp_path / "plain.sqlite")
    assert (outcome.code, len(outcome.err.splitlines())) == (2, 1)
    assert "plain.sqlite must be the store of a definition with [study]" in outcome.err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere.sqlite"], "nowhere.sqlite: no such file or directory"),
        (["--out", "report.html"], "--out must be a file that ends in .md"),
        (["--out", "report.md", "--format", "gif"], "--format must be"),
        (["--format", "pdf"], "--format needs --out"),
    ],
)
def test_bad_input(run, store, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    outcome = run("report", *([store] if arguments[0].startswith("--") else []), *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert list(tmp_path.iterdir()) == []
