"""The demonstration from end to end: what it prints, what it writes, and whether its numbers are right."""

import io
import json
import math

import numpy as np
import pytest
from rich.console import Console
from scipy.special import ndtri

import tce_theory as tce
from tce_theory.demo import BAND, GAUSSIAN_SAMPLES, IDLE_GAMMA, run_demo
from tce_theory.exact import gaussian_first_passage
from tce_theory.models.text import standard_text
from tce_theory.theory.categorical import expected_surviving_types

Z = float(ndtri(1 - 0.0001 / 2))  # of a 99.99 % interval


@pytest.fixture(scope="session")
def demo(tmp_path_factory):
    folder = tmp_path_factory.mktemp("demo")
    stages = []
    return run_demo(out=folder / "new" / "folder", seed=7, quick=True, progress=stages.append), stages


@pytest.fixture(scope="session")
def result(demo):
    return demo[0]


@pytest.fixture(scope="session")
def runs(result):
    return {path.stem: tce.Run.load(path) for path in result.files if path.suffix == ".npz"}


def gaussian_rows(result):
    return {row.gamma: row for row in result.rows if row.family == "Gaussian"}


def contains(row, mean):
    return abs(row.mean - mean) < Z * row.standard_error


# --- the numbers


def test_rows_hold_what_the_runs_say(result, runs):
    for gamma, row in gaussian_rows(result).items():
        run = runs["gaussian-ce" if gamma is None else f"gaussian-tce-{gamma}"]
        std = run.metrics["std"]
        outside = (std < 0.5**0.5) | (std > 2**0.5)
        times = np.where(outside.any(axis=1), outside.argmax(axis=1), run.generations)
        assert row.mean == pytest.approx(times.mean(), rel=1e-12)
        assert row.share_censored == pytest.approx((~outside.any(axis=1)).mean(), abs=1e-12)
        assert row.standard_error == pytest.approx(times.std(ddof=1) / math.sqrt(times.size))
        assert row.median_ci[0] <= row.median <= row.median_ci[1]
        assert row.mean_ci[0] < row.mean < row.mean_ci[1]
    assert [row.loss for row in result.rows] == ["CE"] + ["TCE"] * 3 + ["CE", "TCE", "TCE", "CE", "TCE", "CE", "TCE"]


def test_simulations_agree_with_their_predictions(result):
    rows = gaussian_rows(result)
    for gamma in (None, IDLE_GAMMA):
        (exact,) = rows[gamma].predictions
        assert exact.kind == "exact"
        assert contains(rows[gamma], exact.mean)
    for gamma in (0.4, 0.5):
        limit, walk = rows[gamma].predictions
        assert (limit.kind, walk.kind) == ("limit", "walk")
        # at n = 100 the limit is not a prediction, and is not sold as one
        assert not contains(rows[gamma], limit.mean)
        # σ cannot leave its band upwards before the walk does: but for the few that leave it downwards, a lower bound
        assert rows[gamma].mean > walk.mean - Z * math.hypot(rows[gamma].standard_error, walk.standard_error)
    words = next(row for row in result.rows if row.family == "text")
    assert words.predictions[0].kind == "expected"
    assert contains(words, words.predictions[0].mean)


@pytest.mark.filterwarnings("ignore:the variance of log std")
def test_the_exact_prediction_would_be_caught_if_it_were_for_another_n(result):
    # in law, and so many that a change of n by 10 % shows
    run = tce.simulate(
        tce.Gaussian(),
        tce.CrossEntropy(),
        n_samples=GAUSSIAN_SAMPLES,
        generations=gaussian_rows(result)[None].horizon,
        replicates=40_000,
        metrics=["std"],
        seed=11,
    )
    interval = run.fidelity_interval("std", outside=BAND, relative=True, interpolate=False)
    half_width = Z * interval.times.std(ddof=1) / math.sqrt(interval.times.size)
    predicted = gaussian_rows(result)[None].predictions[0].mean
    wrong = [
        gaussian_first_passage(n, low=BAND[0], high=BAND[1], horizon=run.generations).restricted_mean for n in (90, 110)
    ]
    assert half_width < min(abs(predicted - other) for other in wrong) / 3
    assert abs(interval.mean - predicted) < half_width
    assert all(abs(interval.mean - other) > half_width for other in wrong)


def test_the_threshold_below_the_band_changes_nothing_and_the_others_do(result, runs):
    rows = gaussian_rows(result)
    idle = rows[IDLE_GAMMA].extension
    assert idle.low < 1 < idle.high
    assert idle.logrank_p > 0.001
    for gamma, least in ((0.4, 2.0), (0.5, 4.0)):
        assert rows[gamma].extension.low > least
        assert rows[gamma].extension.logrank_p < 1e-20
    coupled = result.summary["gaussian"]["coupled"]
    assert coupled["identical"] == coupled["replicates"] == 400
    # the same count would see a threshold that acts: the paths of another one are not the same
    ce, acting = runs["gaussian-ce-coupled"], runs["gaussian-tce-0.5"]
    assert ce.seed == runs[f"gaussian-tce-{IDLE_GAMMA}"].seed != acting.seed


def test_counting_identical_paths_sees_a_threshold_that_acts():
    from tce_theory.demo import _identical_until_failure

    ce, acting = (
        tce.simulate(
            tce.Gaussian(),
            loss,
            n_samples=100,
            generations=100,
            replicates=50,
            seed=3,
            sampler="points",
            metrics=["std"],
        )
        for loss in (tce.CrossEntropy(), tce.TCE(0.5))
    )
    assert _identical_until_failure(ce, ce) == 50
    assert _identical_until_failure(ce, acting) < 10


def test_compared_runs_share_no_noise(runs):
    seeds = [run.seed for name, run in runs.items() if name != "gaussian-ce-coupled"]
    assert len(set(seeds)) == len(seeds) == 7


def test_the_cap_on_a_text_buys_entropy_and_costs_total_variation(result):
    text = result.summary["text"]
    assert text["n_samples"] > 10_000
    means = text["means_at_the_horizon"]
    assert means["acting"]["entropy"] > means["ce"]["entropy"]
    assert means["acting"]["tv"] > means["ce"]["tv"]
    factors = {
        row.metric: row.extension for row in result.rows if row.family == "text" and row.gamma == text["acting_gamma"]
    }
    assert factors["entropy"].low > 1.2
    assert factors["TV"].high < 0.9
    assert text["idle_gamma_reached"] == 0


def test_vocabulary_follows_the_expectation(result, runs):
    support = runs["text-ce"].metrics["support"]
    text = result.summary["text"]
    probs = tce.Categorical.from_text(standard_text()).probs
    assert [row["generation"] for row in text["vocabulary"]] == [1, 2, 5, 10, 20, 50]
    for row in text["vocabulary"]:
        assert row["simulated"] == support[:, row["generation"]].mean()
        assert abs(row["simulated"] - row["expected"]) < Z * row["standard_error"]
        more = expected_surviving_types(probs, round(1.1 * text["n_samples"]), row["generation"])
        assert abs(row["simulated"] - more) > Z * row["standard_error"]


# --- what it prints and writes


def test_summary_is_what_was_written(result):
    (written,) = (path for path in result.files if path.name == "summary.json")
    assert json.loads(written.read_text(encoding="utf-8")) == result.summary
    assert len(result.summary["rows"]) == len(result.rows)
    assert result.summary["notes"] == list(result.notes)
    assert result.summary["files"] == [path.name for path in result.files if path != written]


def test_files_are_whole(result, runs):
    folder = result.files[0].parent
    assert set(result.files) == set(folder.iterdir())
    assert len(runs) == 8
    pdf, png = ((folder / f"demo.{kind}").read_bytes() for kind in ("pdf", "png"))
    assert pdf.startswith(b"%PDF")
    assert pdf.rstrip().endswith(b"%%EOF")
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    width, height = (int.from_bytes(png[start : start + 4], "big") for start in (16, 20))
    assert (width, height) == (1440, 1080)


def test_the_same_seed_gives_the_same_files(result, tmp_path):
    again = run_demo(out=tmp_path, seed=7, quick=True, n_jobs=1)
    assert again.summary == result.summary
    for one, other in zip(result.files, again.files, strict=True):
        assert one.name == other.name
        if one.suffix != ".npz":  # runs say when they were made
            assert one.read_bytes() == other.read_bytes()


def rendered(result, width):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(result.table())
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100])
def test_table_fits(result, width):
    text = rendered(result, width)
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= width
    for row in result.rows:
        assert f"{row.metric} {row.criterion}" in text
    assert "exact" in text
    assert "limit" in text
    assert "n → ∞" in text


def test_notes_are_sentences_with_the_numbers(result):
    assert all(note.endswith(".") for note in result.notes)
    together = " ".join(result.notes)
    assert f"{gaussian_rows(result)[None].predictions[0].mean:.2f}" in together
    assert "400 of 400 replicates" in together
    assert "standard errors" in together


def test_stages_are_announced(demo):
    _, stages = demo
    assert stages[0] == "simulating gaussian-ce"
    assert stages[-1] == "writing runs and figure"
    assert len(stages) == 11


# --- texts


@pytest.mark.parametrize(
    "content",
    [
        pytest.param("a b", id="two words"),
        pytest.param("a " * 19 + "b", id="above the threshold", marks=pytest.mark.slow),
        pytest.param("one two three four five six seven eight nine ten", id="uniform", marks=pytest.mark.slow),
    ],
)
def test_tiny_texts(result, tmp_path, capfd, content):
    # whatever warning came through would be an error here
    path = tmp_path / "tiny.txt"
    path.write_text(content)
    tiny = run_demo(text=path, out=tmp_path, seed=8, quick=True)
    assert tiny.summary["text"]["source"] == "tiny.txt"
    assert tiny.summary["text"]["n_samples"] == len(content.split())
    assert "…" not in rendered(tiny, 80)
    assert any("fits were vacuous" in note for note in tiny.notes)
    assert len(set(tiny.notes)) == len(tiny.notes)
    assert capfd.readouterr() == ("", "")
    assert tiny.rows[0].mean != result.rows[0].mean  # another seed, other numbers


def test_a_text_of_ones_own(tmp_path):
    path = tmp_path / "text"  # a name without a suffix
    path.write_text(standard_text()[:50_000], encoding="utf-8")
    result = run_demo(text=str(path), out=tmp_path, quick=True)
    assert result.summary["text"]["source"] == "text"
    assert "expected" in rendered(result, 80)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "text must be a text with at least two different words, got 'text.txt'"),
        (b"same same same", "text must be a text with at least two different words, got 'text.txt'"),
        (b"caf\xe9 au lait", "text must be a file in UTF-8"),
        (None, "text must be the name of a text file, got"),
    ],
)
def test_a_text_that_will_not_do(tmp_path, content, message):
    path = tmp_path / "text.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(tce.DomainError, match=message) as caught:
        run_demo(text=path, out=tmp_path / "out", quick=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("below", [False, True])
def test_a_file_where_the_directory_should_be(tmp_path, below):
    (tmp_path / "taken").write_text("")
    with pytest.raises(tce.DomainError, match=r"^out must be the name of a directory"):
        run_demo(out=tmp_path / "taken" / "below" if below else tmp_path / "taken", quick=True)


def test_a_negative_seed_is_refused(tmp_path):
    with pytest.raises(tce.DomainError, match=r"^seed must be"):
        run_demo(out=tmp_path, seed=-1)
