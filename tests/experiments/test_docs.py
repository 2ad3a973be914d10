"""The examples of docs/experiments.md do what the page says."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

import tce_theory as tce

PAGE = Path(__file__).parents[2] / "docs" / "experiments.md"


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    return str(found)


def test_the_definition_is_valid_and_has_the_cells_that_one_expects() -> None:
    definition = tce.experiments.Definition.from_mapping(tomllib.loads(block("toml")))
    assert len(definition.cells) == 2 * (1 + 5)


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("xarray")
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    exec(compile(block("python"), str(PAGE), "exec"), names)
    experiment = names["experiment"]
    assert isinstance(experiment, tce.experiments.Experiment)
    assert [cell.status for cell in experiment.cells] == ["done"] * 4
