"""Studies: what is compared with what, at which level, what follows for the claims, and what a report is made of."""

import json
import math
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

import tce_theory as tce
from tce_theory.errors import DomainError
from tce_theory.experiments import Definition, load, run
from tce_theory.experiments.analysis import _estimates
from tce_theory.experiments.design import Criterion, StudyClaim, StudyDesign
from tce_theory.experiments.mapping import adjusted_p_values
from tce_theory.experiments.report import caveats, controls_in_words, markdown, strongest_in_words, write
from tce_theory.experiments.study import Study, places
from tce_theory.plotting import studies as pictures
from tce_theory.run import Run

WALLS = {
    "title": "Walls",
    "coupled": True,
    "sampler": "points",
    "n_samples": 20,
    "generations": 60,
    "replicates": 20,
    "seed": 3,
    "metrics": ["std", "entropy", "masked_weight"],
    "fidelity": [{"metric": "std", "below": 0.7}, {"metric": "mean", "outside": [-0.4, 0.4]}],
    "model": {"family": "gaussian"},
    "cases": [{"label": "replaced"}, {"label": "fresh", "regime": {"name": "fresh-mix", "fraction": 0.1}}],
    "conditions": [
        {"label": "CE", "loss": {"name": "ce"}},
        {"label": "TCE .5", "loss": {"name": "tce", "gamma": 0.5}},
        {"label": "TCE .45", "loss": {"name": "tce", "gamma": 0.45}},
        {"label": "far above the peak", "loss": {"name": "tce", "gamma": 50.0}},
    ],
    "study": {
        "question": "Does the wall hold the scale?",
        "baseline": "CE",
        "controls": ["far above the peak"],
        "primary": {"metric": "std", "below": 0.7},
        "thresholds": [0.1, 0.6, 0.7],
        "claims": [
            {"claim": "A wall delays", "conditions": ["TCE .5", "TCE .45"]},
            {"claim": "A wall at any height delays", "conditions": ["TCE .5", "far above the peak"]},
            {"claim": "A hundredfold", "conditions": ["TCE .5"], "settings": ["replaced"], "above": 100.0},
        ],
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    path = tmp_path_factory.mktemp("study") / "walls.sqlite"
    run(Definition.from_mapping(WALLS), path, backend="threads")
    return path


@pytest.fixture(scope="module")
def found(store):
    return Study.of(load(store))


def test_primary_factors_hold_together(found, store):
    assert (found.design.comparisons, found.design.control_comparisons) == (2 * 3, 2 * 2)
    assert [(e.setting, e.condition) for e in found.entries[:3]] == [
        ("replaced", "TCE .5"), ("replaced", "TCE .45"), ("replaced", "far above the peak")
    ]  # fmt: skip
    experiment = load(store)
    sides = [experiment.find(label="replaced", condition=name).run() for name in ("CE", "TCE .5")]
    intervals = [side.fidelity_interval("std", below=0.7) for side in sides]
    alone = tce.extension_factor(*intervals, paired=True)
    entry = found.entry("replaced", "TCE .5")
    assert entry.level == pytest.approx(1 - 0.05 / 6)
    assert (entry.ratio, entry.pointwise_low, entry.pointwise_high) == (alone.ratio, alone.low, alone.high)
    assert (entry.p, entry.paired, entry.against) == (alone.ratio_p, True, "CE")
    assert entry.low < entry.pointwise_low < entry.pointwise_high < entry.high
    assert entry.outcome == "yes"


def test_what_changes_nothing_has_no_effect(found):
    entry = found.entry("replaced", "far above the peak")
    assert (entry.ratio, entry.low, entry.high, entry.p, entry.outcome) == (1, 1, 1, 1, "no effect")
    assert found.entry("replaced", "CE") is None


def test_claims(found):
    some, any_height, hundredfold = found.claims
    assert (some.verdict, some.in_words, some.settings) == ("holds", "holds", ("replaced", "fresh"))
    assert any_height.in_words == "only when: TCE .5 (replaced); TCE .5 (fresh); no effect in 2 of 4"
    assert (hundredfold.in_words, hundredfold.findings[0].outcome) == ("does not; short of it", "short of it")
    for finding in some.findings:
        (check,) = finding.controls
        assert (check.against, check.says) == ("far above the peak", "worse")
        assert check.level == pytest.approx(1 - 0.05 / 4)
        # the control is what the baseline is
        assert check.ratio == found.entry(finding.setting, finding.condition).ratio
        assert finding.rivals == ()
    # nothing is a control of itself
    assert [finding.controls for finding in any_height.findings if finding.condition != "TCE .5"] == [(), ()]
    assert some.strongest.low == max(finding.low for finding in some.findings)


def test_curves(found, store):
    primary = {(p.setting, p.condition): p for p in found.curves if p.threshold == 0.7}
    for place, point in primary.items():
        entry = found.entry(*place)
        expected = (entry.ratio, entry.pointwise_low, entry.pointwise_high)
        assert (point.ratio, point.low, point.high) == tuple(float(f"{number:.6g}") for number in expected)
        assert point.level == 0.95
    assert len(found.curves) == 2 * 3 * 3
    # what hardly fails has no factor
    few = [p for p in found.curves if p.threshold == 0.1]
    shares = [p.baseline_censored for p in few]
    assert max(shares) > 0.5
    assert [p.ratio is None for p in few] == [min(p.baseline_censored, p.treated_censored) > 0.5 for p in few]
    assert all("fewer than half" in p.notes for p in few if p.ratio is None)


def test_other_criteria_are_adjusted_for_their_number(found):
    assert {factor.criterion for factor in found.others} == {"mean outside [-0.4, 0.4]"}
    assert len(found.others) == 2 * 3
    adjusted = adjusted_p_values([factor.p for factor in found.others])
    assert [factor.adjusted_p for factor in found.others] == pytest.approx(adjusted, rel=1e-5)


def test_every_metric_is_there(found, store):
    experiment = load(store)
    assert found.metric_names == ("entropy", "masked_weight", "mean", "std")
    assert len(found.metrics) == 2 * 4 * 4
    values = {c: experiment.find(label="fresh", condition=c).run().metrics["std"] for c in ("CE", "TCE .5")}
    path = found.path("fresh", "TCE .5", "std")
    assert path.mean == pytest.approx(values["TCE .5"].mean(axis=0), rel=1e-5)
    assert path.error == pytest.approx(values["TCE .5"].std(axis=0, ddof=1) / math.sqrt(20), rel=5e-3)
    expected = stats.ttest_rel(values["TCE .5"][:, -1], values["CE"][:, -1])
    assert (path.p, path.pairs, path.fewest) == (pytest.approx(expected.pvalue, rel=1e-5), 20, 20)
    limits = expected.confidence_interval(0.95)
    assert (path.difference_low, path.difference_high) == pytest.approx((limits.low, limits.high), rel=1e-5)
    adjusted = adjusted_p_values([p.p for p in found.metrics])
    assert [p.adjusted_p for p in found.metrics] == [
        None if p is None else pytest.approx(p, rel=1e-5) for p in adjusted
    ]
    baseline = found.path("fresh", "CE", "std")
    assert (baseline.difference, baseline.p) == (None, None)
    assert found.path("fresh", "TCE .5", "masked_weight").mean[0] is None  # a fit has no generation 0
    assert found.path("fresh", "TCE .5", "masked_weight").over_generations > 0


def test_cells_say_how_much_has_run(found):
    assert found.is_complete
    assert found.state == "8 of 8 cells are done, 160 of 160 replicates"
    assert {cell.finished for cell in found.cells} == {20}
    assert found.design.versions["numpy"] == np.__version__
    assert found.design.seconds == pytest.approx(sum(cell.seconds for cell in found.cells))


def test_all_of_it_is_json(found):
    document = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert Study.from_dict(document) == found
    for broken in ({}, document | {"entries": [1]}, document | {"title": 3}, document | {"design": None}):
        with pytest.raises(DomainError, match="a study as Study"):
            Study.from_dict(broken)


def test_an_experiment_without_a_study_is_refused(tmp_path):
    plain = {key: value for key, value in WALLS.items() if key not in ("conditions", "study")}
    plain |= {"loss": {"name": "ce"}, "replicates": 2, "generations": 2}
    with pytest.raises(DomainError, match=r"one whose definition has \[study\]"):
        Study.of(run(Definition.from_mapping(plain), tmp_path / "plain.sqlite"))


# -------------------------------------------------------------------------------------------- made up paths

GENERATIONS = 20


def cell(condition, times, *, setting="all", wanted=None, diverged=(), metrics=None):
    """A cell whose replicates fall from 1 to 0.75 at these times."""
    times = np.asarray(times, dtype=np.float64)
    paths = 1 - 0.25 * np.arange(GENERATIONS + 1) / times[:, None]
    paths[list(diverged), 5:] = math.nan
    wanted = times.size if wanted is None else wanted
    found = Run(
        metrics={"kept": paths, **(metrics or {})}, replicates=np.arange(times.size), n_replicates=wanted,
        generations=GENERATIONS, provenance={"seed": 1, "stream": "shared"},
        events={"diverged": np.where(np.isin(np.arange(times.size), diverged), 5, -1)},
    )  # fmt: skip
    return SimpleNamespace(
        settings={"label": setting, "condition": condition}, key=condition, fidelity=(), generations=GENERATIONS,
        replicates=wanted, finished=times.size, error=None, seconds=1.0, run=lambda: found,
        status="done" if times.size == wanted else "partial" if times.size else "missing",
    )  # fmt: skip


def made_up(*cells, controls=(), above=1.0):
    names = list(dict.fromkeys(item.settings["condition"] for item in cells))
    settings = tuple(dict.fromkeys(item.settings["label"] for item in cells))
    design = StudyDesign(
        question="?", baseline=names[0], controls=controls, primary=Criterion("kept", below=0.75), thresholds=(0.75,),
        level=0.95, claims=(StudyClaim("It lasts longer.", (names[1],), settings, above),),
    )  # fmt: skip
    return Study.of(SimpleNamespace(title="Made up", path=Path("x.sqlite"), document={}, cells=cells, study=design))


TIMES = np.linspace(4, 8, 10)


def test_a_lower_bound_has_no_upper_limit():
    study = made_up(cell("CE", TIMES), cell("TCE", np.where(TIMES > 7, 99, 1.2 * TIMES)), above=2.3)
    (finding,) = study.claims[0].findings
    assert finding.is_lower_bound
    assert finding.high < 2.3  # of what happens by the horizon
    assert finding.outcome == "undecided"
    assert finding.shown.startswith("≥ ")


def test_nothing_is_decided_where_nothing_fails():
    study = made_up(
        cell("CE", [30] * 6 + [10] * 4), cell("TCE", [30] * 10), cell("rival", [30] * 10), controls=("rival",)
    )
    (finding,) = study.claims[0].findings
    assert (finding.outcome, study.claims[0].verdict) == ("undecided", "undecided")
    assert finding.notes.startswith("fewer than half of the replicates of either side fail")
    assert finding.controls[0].says == "undecided"
    assert controls_in_words(finding) == "undecided: rival"
    assert study.idle_settings == ("all",)
    assert study.curves[0].ratio is None
    assert "nothing can be found to last longer there" in next(caveats(study))


def test_harm_is_found_where_the_baseline_outlasts_the_horizon():
    """Not only where it fails: a condition that fails when the baseline does not is no undecided matter."""
    study = made_up(
        cell("CE", np.full(10, 30)), cell("TCE", TIMES), cell("rival", np.full(10, 40)), controls=("rival",), above=2.0
    )
    (finding,) = study.claims[0].findings
    assert (study.entry("all", "TCE").outcome, finding.outcome, finding.bound) == ("harm", "harm", "≤")
    assert finding.shown.startswith("≤ 0.3")
    assert finding.controls[0].says == "better"
    assert study.curves[0].ratio == pytest.approx(finding.ratio, rel=1e-5)
    assert study.entry("all", "rival").outcome == "undecided"


def test_what_changes_little_where_the_baseline_outlasts_the_horizon_is_no_lack_of_effect():
    study = made_up(cell("CE", [30] * 6 + [10] * 4), cell("TCE", [30] * 4 + [19.9] * 2 + [10] * 4))
    entry = study.entry("all", "TCE")
    assert 0.9 < entry.low < entry.high <= 1
    assert (entry.treated_censored, entry.outcome) == (0.4, "undecided")


def test_what_mostly_outlasts_the_horizon_is_not_short_of_anything():
    """With some of the baseline censored, the largest factor there is may be below what is claimed."""
    times = np.where(np.arange(10) < 9, 2 * TIMES, 30)
    study = made_up(cell("CE", times), cell("TCE", np.full(10, 90)), above=2.3)
    (finding,) = study.claims[0].findings
    assert finding.high < 2.3
    assert (finding.is_lower_bound, finding.bound) == (False, "~")
    assert finding.outcome == "undecided"
    assert study.entry("all", "TCE").outcome == "yes"


def test_two_replicates_decide_nothing():
    """Resamples of two pairs do not reach beyond them."""
    study = made_up(cell("CE", [5.0, 6.0]), cell("TCE", [9.0, 12.6]))
    entry = study.entry("all", "TCE")
    assert (entry.low, entry.high, entry.outcome) == (0, math.inf, "undecided")
    assert entry.shown == "1.96 [0.00, ∞]"
    assert Study.from_dict(json.loads(json.dumps(study.to_dict()))) == study
    assert pictures.forest_figure(study) is not None


@pytest.mark.filterwarnings("ignore:16 of 16 replicates")
def test_limits_of_rare_tails_are_those_of_students_t():
    """Of ratios near 1, whose logarithms are as good as normal: within a tenth."""
    noise = 0.01 * stats.norm.ppf((np.arange(16) + 0.5) / 16)
    logs = np.random.default_rng(3).permutation(noise)
    level = 1 - 0.05 / 1000
    sides = [_made_up_interval(10 * np.exp(side)) for side in (np.zeros(16), logs)]
    row = _estimates(sides[0], True, level, False, sides[1])
    reach = stats.t.ppf((1 + level) / 2, 15) * logs.std(ddof=1) / 4
    assert np.log([row["low"], row["high"]]) == pytest.approx(logs.mean() + np.array([-reach, reach]), rel=0.1)
    assert row["ratio"] == pytest.approx(np.exp(logs).mean())


def _made_up_interval(times):
    return tce.FidelityInterval(
        times=times, observed=np.ones(times.size, bool), horizon=99, criterion="", interpolated=True,
        replicates=np.arange(times.size), seed=1, stream="shared",
    )  # fmt: skip


def test_a_baseline_that_fails_at_once_has_no_factor():
    study = made_up(cell("CE", TIMES, metrics={"kept": np.zeros((10, GENERATIONS + 1))}), cell("TCE", TIMES))
    entry = study.entry("all", "TCE")
    assert (entry.ratio, entry.outcome) == (None, "undecided")
    assert "baseline.mean must be above 0" in entry.notes


@pytest.mark.parametrize(("number", "shown"), [(1.0, "1.00"), (0.996, "0.996"), (1.0004, "1.0004"), (2.3, "2.30")])
def test_what_is_beside_1_is_not_shown_as_1(number, shown):
    assert places(number) == shown


@pytest.mark.parametrize(
    ("factor", "noise", "says"),
    [(1.0, 0.02, "alike"), (1.0, 0.4, "not told apart"), (1.5, 0.02, "better"), (0.7, 0.02, "worse")],
)
def test_controls(factor, noise, says):
    noise = np.resize([1 - noise, 1 + noise, 1.0], 10)
    study = made_up(
        cell("CE", TIMES / 2), cell("TCE", TIMES), cell("rival", factor * noise * TIMES), controls=("rival",)
    )  # fmt: skip
    (finding,) = study.claims[0].findings
    assert (finding.outcome, finding.controls[0].says) == ("yes", says)
    assert finding.rivals == (() if says == "worse" else ("rival",))
    assert controls_in_words(finding) == ("none: all are worse" if says == "worse" else f"{says}: rival")


def test_what_diverged_has_no_factor():
    study = made_up(
        cell("CE", TIMES), cell("TCE", 2 * TIMES), cell("rival", 2 * TIMES, diverged=[2]), controls=("rival",)
    )  # fmt: skip
    entry = study.entry("all", "rival")
    assert (entry.ratio, entry.outcome, entry.shown) == (None, "undecided", "–")
    assert "diverged" in entry.notes
    assert [item.condition for item in study.diverged] == ["rival"]
    assert controls_in_words(study.claims[0].findings[0]) == "no factor: rival"
    path = study.path("all", "rival", "kept")
    assert (path.fewest, path.pairs) == (9, 9)
    assert "1 of 10 replicates diverged" in next(caveats(study))
    assert pictures.forest_figure(study) is not None


def test_an_unfinished_study_is_analysed_as_far_as_it_goes():
    study = made_up(
        cell("CE", TIMES), cell("TCE", 2 * TIMES[:6], wanted=10), cell("rival", [], wanted=10), controls=("rival",)
    )  # fmt: skip
    assert not study.is_complete
    assert study.state == "1 of 3 cells are done, 16 of 30 replicates"
    entry = study.entry("all", "TCE")
    assert entry.ratio == pytest.approx(2.0)
    assert "TCE: only 6 of 10 replicates have finished" in entry.notes
    assert study.entry("all", "rival").notes == "rival: no replicate has finished"
    assert study.path("all", "rival", "kept") is None
    text = markdown([study])
    assert text.index("**Not finished**: of “Made up” 1 of 3 cells are done") < text.index("## Verdicts")


def test_verdicts_with_something_undecided():
    settings = {"one": 2.0, "two": 1.0, "three": 0.5}
    wild = np.resize([0.5, 2.0, 1.0, 0.8, 1.25], 10)
    cells = [cell("CE", TIMES, setting=setting) for setting in (*settings, "wild")]
    cells += [cell("TCE", factor * TIMES, setting=setting) for setting, factor in settings.items()]
    study = made_up(*cells, cell("TCE", wild * TIMES, setting="wild"))
    (result,) = study.claims
    assert [finding.outcome for finding in result.findings] == ["yes", "no effect", "harm", "undecided"]
    counts = "no effect in 1 of 4; harm in 1 of 4; undecided in 1 of 4"
    assert result.in_words == f"only when: TCE (one); {counts}"
    assert strongest_in_words(result) == "2.00 [2.00, 2.00] (TCE; one: the highest lower limit of 4)"


def test_a_claim_holds_only_if_nothing_is_undecided():
    wild = np.resize([0.5, 2.0, 1.0, 0.8, 1.25], 10)
    factors = {"one": np.full(10, 2.0), "wild": wild}
    cells = [cell("CE", TIMES, setting=setting) for setting in factors]
    study = made_up(*cells, *(cell("TCE", factor * TIMES, setting=setting) for setting, factor in factors.items()))
    assert study.claims[0].in_words == "only when: TCE (one); undecided in 1 of 2"


def test_other_criteria_that_say_the_contrary_are_told_with_the_verdicts(found):
    """A wall of the scale lets the mean wander."""
    text = "“TCE .5” in “replaced” lasts longer by the primary criterion, but fails sooner by others: "
    assert text + "mean outside [-0.4, 0.4]." in [*caveats(found)]
    longer = [replace(factor, ratio=2.0) for factor in found.others]
    unclear = [replace(factor, adjusted_p=0.06) for factor in found.others]
    for others in (longer, unclear):
        assert not [*caveats(replace(found, others=tuple(others)))]


def test_infinite_values_are_no_nonsense():
    rising = np.ones((10, GENERATIONS + 1))
    infinite = rising.copy()
    infinite[3, -1] = math.inf
    study = made_up(
        cell("CE", TIMES, metrics={"kl": infinite}), cell("TCE", 2 * TIMES, metrics={"kl": rising})
    )  # fmt: skip
    assert study.path("all", "CE", "kl").mean[-1] == math.inf
    assert study.path("all", "CE", "kl").error[-1] is None
    assert study.path("all", "TCE", "kl").difference is None
    assert study.to_dict()["metrics"][1]["mean"][-1] == "Infinity"
    assert Study.from_dict(study.to_dict()) == study
    assert "∞" in markdown([study])


# --------------------------------------------------------------------------------------- reports and pictures


def test_the_report_is_made_of_the_recorded_numbers(found, tmp_path):
    recorded = Study.from_dict(json.loads(json.dumps(found.to_dict())))
    written = write([recorded], tmp_path / "walls.md", format="svg")
    written_text = written[0].read_text(encoding="utf-8")
    text = written_text.replace("\u00a0", " ")  # limits are not parted
    assert [path.name for path in written[1:]] == [
        "walls_curves.svg", "walls_forest.svg", "walls_paths.svg"
    ]  # fmt: skip
    assert all(path.read_bytes().startswith(b"<?xml") for path in written[1:])
    for path in written[1:]:
        assert f"(walls_files/{path.name})" in text
    assert text.index("## Verdicts") < text.index("### Over thresholds") < text.index("### Methods")
    for entry in found.entries:
        assert f"| {entry.shown} |" in text
    for factor in found.others:
        assert factor.shown in text
    assert "| far above the peak | loss.name = tce, loss.gamma = 50 |" in text
    assert "| fresh | regime.name = fresh-mix, regime.fraction = 0.1 |" in text
    assert "seed = 3" in text
    assert "Conditions share their noise and are compared pair by pair. " in text
    assert "The model in full, as CE has it: " in text
    assert "fit_mean = True, mean = 0, name = Gaussian, std = 1." in text
    assert "$ tce run walls.toml --store walls.sqlite" in text
    assert "\u00a0" in written_text
    assert written_text == markdown([recorded], lambda number, study, name: place(tmp_path, name))


def place(folder, name):
    return f"walls_files/walls_{name}.svg" if (folder / "walls_files" / f"walls_{name}.svg").exists() else None


def test_two_studies_of_one_name_have_pictures_of_their_own(found, tmp_path):
    small = replace(found, design=replace(found.design, thresholds=()), curves=(), metrics=())
    written = write([small, replace(small, title="Again")], tmp_path / "both.md", format="svg")
    assert [path.name for path in written] == ["both.md", "study1_forest.svg", "study2_forest.svg"]
    assert written[1].read_bytes() == written[2].read_bytes()
    assert written[0].read_text(encoding="utf-8").count("\n## ") == 3


def test_formats_are_known(found, tmp_path):
    with pytest.raises(DomainError, match="format must be"):
        write([found], tmp_path / "walls.md", format="gif")


def test_styles_tell_conditions_apart(found):
    styles = pictures.condition_styles(found)
    assert list(styles) == ["CE", "TCE .5", "TCE .45", "far above the peak"]
    assert styles["CE"]["color"] == "black"
    assert len({str(style) for style in styles.values()}) == 4

    def lightness(name):
        return sum(styles[name]["color"][:3])

    assert lightness("TCE .45") < lightness("TCE .5")  # the lower gamma, the darker


def test_pictures_have_a_panel_a_setting(found):
    forest = pictures.forest_figure(found)
    assert [ax.get_title(loc="left") for ax in forest.axes] == ["replaced", "fresh"]
    assert [text.get_text() for text in forest.axes[0].get_yticklabels()] == list(found.design.conditions[1:])
    assert len(pictures.curves_figure(found).axes) == 4  # the losses, and the controls
    assert len(pictures.paths_figure(found).axes) == 4
    assert pictures.mechanism_figure(found) is None  # Gaussians have neither metric
    with pytest.raises(DomainError, match="setting must be"):
        pictures.forest(forest.axes[0], found, "nowhere")
