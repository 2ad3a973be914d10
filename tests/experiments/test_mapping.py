"""Maps of extension factors: which verdict an entry gets, and what a map is made of."""

import json
import tomllib
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from tce_theory.cli import main
from tce_theory.errors import DomainError
from tce_theory.experiments import Definition, load, run
from tce_theory.experiments.mapping import MAPS, ExtensionMap, MapEntry, _verdict, adjusted_p_values, map_extension
from tce_theory.plotting.maps import extension_map

REFERENCE = Path(__file__).parents[2] / "docs" / "reference_map.json"
WALLS = {
    "title": "Walls",
    "seed": 1,
    "n_samples": [20, 50],
    "generations": 150,
    "replicates": 200,
    "model": {"family": "gaussian"},
    "regime": [{"name": "replace"}, {"name": "fresh-mix", "fraction": 0.05}],
    "loss": [{"name": "ce"}, {"name": "tce", "gamma": [0.5, 2.0]}],
    "fidelity": [{"metric": "std", "below": 0.7}, {"metric": "mean", "outside": [-0.4, 0.4]}],
}


@pytest.fixture(scope="module")
def walls(tmp_path_factory):
    store = tmp_path_factory.mktemp("maps") / "walls.sqlite"
    run(Definition.from_mapping(WALLS), store)
    return store


@pytest.fixture(scope="module")
def found(walls):
    return ExtensionMap.of(load(walls))


@pytest.mark.parametrize(
    ("ratio", "low", "high", "adjusted_p", "verdict"),
    [
        (1.5, 1.2, 1.9, 0.01, "helps"),
        (1.5, 1.2, 1.9, 0.05, "helps"),
        (1.5, 1.01, 1.9, 0.06, "undecided"),
        (0.7, 0.6, 0.8, 0.01, "harms"),
        (1.01, 0.95, 1.08, 0.9, "neutral"),
        (1.01, 0.9, 1 / 0.9, 0.9, "neutral"),
        (1.01, 0.89, 1.08, 0.9, "undecided"),
        (1.01, 0.95, 1.2, 0.9, "undecided"),
        (None, None, None, None, "undecided"),
        (2.0, 2.0, 2.0, None, "undecided"),
    ],
)
def test_verdicts(ratio, low, high, adjusted_p, verdict):
    row = {"ratio": ratio, "low": low, "high": high, "baseline_censored": 0.0, "treated_censored": 0.5}
    assert _verdict(row, adjusted_p, 0.05, 0.1) == verdict


def test_no_failures_are_no_evidence():
    row = {"ratio": 1.0, "low": 1.0, "high": 1.0, "baseline_censored": 1.0, "treated_censored": 1.0}
    assert _verdict(row, 1.0, 0.05, 0.1) == "undecided"


def test_p_values_are_adjusted_for_their_number():
    p = [0.001, None, 0.2, 0.03]
    expected = false_discovery_control([0.001, 0.2, 0.03], method="by")
    assert adjusted_p_values(p) == [expected[0], None, expected[1], expected[2]]
    assert adjusted_p_values([None]) == [None]
    # with many entries an effect has to be clearer
    assert adjusted_p_values([0.01])[0] == 0.01
    assert adjusted_p_values([0.01] + [0.9] * 50)[0] > 0.5


def test_noise_alone_is_seldom_a_discovery():
    """Of 1000 maps of 60 entries without an effect at most 5 % have any verdict of an effect: 80 have 4 sd to spare."""
    rng = np.random.default_rng(1)
    maps = rng.uniform(size=(1000, 60))
    assert sum(min(adjusted_p_values(p)) <= 0.05 for p in maps.tolist()) < 80
    # and without the adjustment nearly all have
    assert sum(p.min() <= 0.05 for p in maps) > 900


def test_entries_are_compared_with_cross_entropy_in_the_same_setting(found, walls):
    experiment = load(walls)
    assert len(found.entries) == 2 * 2 * 2 * 2
    assert found.settings == ("replace", "fresh-mix, fraction 0.05")
    rows = {(row["cell"], row["criterion"]): row for row in experiment.extension_table()}
    for entry in found.entries:
        row = rows[entry.cell, entry.criterion]
        cell = experiment.cells[entry.cell]
        assert (entry.ratio, entry.low, entry.high, entry.p) == (row["ratio"], row["low"], row["high"], row["ratio_p"])
        assert (entry.n_samples, entry.gamma) == (cell.settings["n_samples"], cell.settings["loss.gamma"])
        assert entry.p <= entry.adjusted_p <= 1


def test_a_wall_helps_the_scale_and_harms_the_mean(found):
    verdicts = {(e.setting, e.n_samples, e.gamma, e.criterion.split()[0]): e.verdict for e in found.entries}
    for n in (20, 50):
        assert verdicts["replace", n, 0.5, "std"] == "helps"
    assert verdicts["replace", 20, 0.5, "mean"] == "harms"
    assert verdicts["replace", 50, 2.0, "std"] != "helps"
    counts = Counter(entry.verdict for entry in found.entries)
    assert str(found) == (
        f"Walls: 16 entries, {counts['helps']} helps, {counts['harms']} harms, {counts['neutral']} neutral, "
        f"{counts['undecided']} undecided"
    )


def test_what_reaches_a_factor_comes_with_its_price(found):
    reached = found.reaching(2.0)
    assert reached
    for entry, harmed in reached:
        assert entry.low >= 2.0
        assert all((other.cell, other.verdict) == (entry.cell, "harms") for other in harmed)
    assert any(harmed for _, harmed in reached)
    assert found.reaching(1e9) == []


def test_significance_and_margin_decide(walls):
    experiment = load(walls)
    strict = ExtensionMap.of(experiment, significance=1e-300, margin=0.99)
    assert {entry.verdict for entry in strict.entries} <= {"neutral", "undecided"}
    assert "neutral" in {entry.verdict for entry in strict.entries}


@pytest.mark.parametrize("settings", [{"significance": 0}, {"significance": 1}, {"margin": 1.5}, {"margin": "wide"}])
def test_levels_are_shares(walls, settings):
    with pytest.raises(DomainError, match=next(iter(settings))):
        ExtensionMap.of(load(walls), **settings)


def test_a_definition_without_truncation_has_no_map(tmp_path):
    smooth = WALLS | {"model": {"family": "categorical", "zipf": {"size": 3}}, "n_samples": 10, "generations": 3}
    smooth |= {"loss": [{"name": "ce"}, {"name": "focal"}], "fidelity": [{"metric": "tv", "above": 0.3}]}
    with pytest.raises(DomainError, match="one with TCE cells that have fidelity criteria"):
        map_extension(Definition.from_mapping(smooth), tmp_path / "smooth.sqlite")


def test_what_has_no_map_is_refused_before_it_is_run(tmp_path, capsys):
    alone = WALLS | {"loss": {"name": "tce", "gamma": 0.5}}
    with pytest.raises(DomainError, match="one with cells of cross entropy, to compare those of TCE with"):
        map_extension(Definition.from_mapping(alone), tmp_path / "alone.sqlite")
    (tmp_path / "alone.toml").write_text(
        'title = "Alone"\nmodel = { family = "gaussian" }\nloss = { name = "tce", gamma = 0.5 }\n'
        'n_samples = 20\ngenerations = 5\nreplicates = 4\nseed = 1\nfidelity = [{ metric = "std", below = 0.7 }]\n'
    )
    assert main(["map", str(tmp_path / "alone.toml"), "--store", str(tmp_path / "alone.sqlite")]) == 2
    assert "experiment must be one with cells of cross entropy" in capsys.readouterr().err
    assert not (tmp_path / "alone.sqlite").exists()


def test_growth_is_part_of_the_setting(tmp_path):
    growing = [{"growth": "linear", "first": 20, "step": 5}, {"growth": "listed", "sizes": [30, 20, 30]}]
    definition = Definition.from_mapping(WALLS | {"n_samples": [20, *growing], "generations": 3, "replicates": 4})
    entries = map_extension(definition, tmp_path / "growth.sqlite").entries
    found = {(entry.n_samples, entry.setting) for entry in entries if entry.setting.startswith(("growth", "replace"))}
    assert (20, "replace") in found
    assert any(size == 20 and "growth linear" in setting and "step 5" in setting for size, setting in found)
    assert any(size == 30 and "growth listed" in setting for size, setting in found)


def test_the_figure_has_a_panel_a_setting_and_a_number_an_entry(found):
    figure = extension_map(found)
    assert [ax.get_title(loc="left") for ax in figure.axes] == list(found.settings)
    assert sum(len(ax.texts) for ax in figure.axes) == len(found.entries)
    assert len(extension_map(found, settings=["replace"]).axes) == 1
    with pytest.raises(DomainError, match="settings must be among"):
        extension_map(found, settings=["nowhere"])


def test_marks_of_the_figure():
    entries = [
        MapEntry(
            setting="all",
            n_samples=10,
            gamma=float(column + 1),
            gamma_over_peak=None,
            criterion="tv above 0.1",
            ratio=ratio,
            low=ratio,
            high=ratio,
            is_lower_bound=bound,
            p=None,
            adjusted_p=None,
            verdict=verdict,
            notes="",
            cell=column,
        )
        for column, (ratio, bound, verdict) in enumerate(
            [(1.5, False, "helps"), (250.0, True, "helps"), (0.25, False, "harms"), (1.0, False, "neutral")]
        )
    ]
    figure = extension_map(ExtensionMap("Marks", (*entries,), 0.05, 0.1))
    assert [text.get_text() for text in figure.axes[0].texts] == ["1.50▲", "≥>99▲", "0.25▼", "1.00="]


def test_maps_that_come_with_the_library_can_be_read():
    assert set(MAPS) == {"quick", "reference"}
    for path in MAPS.values():
        definition = Definition.read(path)
        names = {cell.settings["loss.name"] for cell in definition.cells}
        assert names == {"ce", "tce"}
        assert all(cell.fidelity for cell in definition.cells)


def test_the_recorded_reference_map_has_the_entries_of_its_definition():
    recorded = json.loads(REFERENCE.read_text(encoding="utf-8"))["entries"]
    expected = [
        (place, cell.n_samples, cell.loss.gamma)
        for place, cell in enumerate(Definition.read(MAPS["reference"]).cells)
        if cell.settings["loss.name"] == "tce"
        for _ in cell.fidelity
    ]
    assert [(entry["cell"], entry["n_samples"], entry["gamma"]) for entry in recorded] == expected


@pytest.mark.slow
@pytest.mark.parametrize(
    ("label", "multiples"), [("Gaussian, absolute", [1.0, 1.2]), ("Markov, rows (.9, .1)", [1.03])]
)
def test_the_recorded_reference_map_is_what_comes_out(label, multiples, tmp_path):
    document = tomllib.loads(MAPS["reference"].read_text(encoding="utf-8"))
    case = next(case for case in document["cases"] if case["label"] == label)
    n_samples = case["n_samples"] if isinstance(case["n_samples"], int) else case["n_samples"][0]
    loss = [{"name": "ce"}, {"name": "tce", "gamma_over_peak": multiples}]
    document["cases"] = [case | {"n_samples": n_samples, "loss": loss}]
    again = map_extension(Definition.from_mapping(document), tmp_path / "again.sqlite")
    recorded = {
        (entry["gamma_over_peak"], entry["criterion"]): entry
        for entry in json.loads(REFERENCE.read_text(encoding="utf-8"))["entries"]
        if entry["setting"] == label and entry["n_samples"] == n_samples
    }
    assert len(again.entries) == len(multiples) * len(case["fidelity"])
    for entry in again.entries:
        before = recorded[entry.gamma_over_peak, entry.criterion]
        for name in ("ratio", "low", "high", "p"):
            assert getattr(entry, name) == pytest.approx(before[name], rel=1e-9)


# ---------------------------------------------------------------------------------------------- command line


def test_map_of_a_store(walls, capsys, tmp_path):
    assert main(["map", str(walls), "--plot", str(tmp_path / "map.pdf")]) == 0
    shown = capsys.readouterr().out
    assert "16 entries" in shown
    assert "≥ 2.3: " in shown
    assert (tmp_path / "map.pdf").read_bytes().startswith(b"%PDF")


def test_map_on_a_narrow_terminal(walls, capsys, monkeypatch):
    monkeypatch.setattr("tce_theory.cli.map.fits", lambda console, table: False)
    monkeypatch.setenv("COLUMNS", "60")
    assert main(["map", str(walls)]) == 0
    lines = capsys.readouterr().out.splitlines()
    start = lines.index("replace")
    assert lines[start + 1] == "until std below 0.7"
    assert lines[start + 2].startswith("  best ")
    assert "…" not in "".join(lines[start : start + 6])  # no number is cut
    assert "at γ 0.5" in "".join(lines[start : start + 6])


def test_map_as_json(walls, capsys, found):
    assert main(["map", str(walls), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [entry["verdict"] for entry in document["entries"]] == [entry.verdict for entry in found.entries]


def test_map_of_a_definition_runs_it_first(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "small.toml").write_text(
        'title = "Small"\nmodel = { family = "gaussian" }\nloss = [{ name = "ce" }, { name = "tce", gamma = 0.5 }]\n'
        "n_samples = 20\ngenerations = 50\nreplicates = 40\nseed = 1\n"
        'fidelity = [{ metric = "std", below = 0.7 }]\n'
    )
    assert main(["map", "small.toml", "--quiet"]) == 0
    first = capsys.readouterr().out
    assert "1 entries" in first or "1 entry" in first
    assert (tmp_path / "small.sqlite").exists()
    assert main(["map", "small.toml", "--quiet"]) == 0
    assert "nothing is missing" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "nowhere: no such map or file; maps that come with the library are quick, reference"),
        (["quick", "--significance", "2"], "--significance must be a number between 0 and 1, got 2"),
        (["quick", "--plot", "map.doc"], "--plot must be a file that ends in .pdf or .png or .svg, got map.doc"),
    ],
)
def test_bad_input(arguments, message, capsys):
    assert main(["map", *arguments]) == 2
    assert message in capsys.readouterr().err.replace("'", "")
