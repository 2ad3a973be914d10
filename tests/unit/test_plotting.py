import re
import subprocess
import sys
import zlib

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

import tce_theory as tce
from tce_theory import plotting
from tce_theory.fidelity import extension_factor, fidelity_interval


def make_run(metrics, **provenance):
    rows, columns = next(iter(metrics.values())).shape
    return tce.Run(
        metrics=metrics,
        replicates=np.arange(rows),
        n_replicates=rows,
        generations=columns - 1,
        events={},
        provenance={"seed": 1, **provenance},
    )


@pytest.fixture
def ax():
    with plotting.style():
        yield Figure().subplots()


@pytest.fixture
def paths():
    return np.random.default_rng(3).standard_normal((41, 8)).cumsum(axis=1)


@pytest.fixture(scope="module")
def truncated():
    return tce.simulate(tce.Gaussian(), tce.TCE(0.5), n_samples=20, generations=30, replicates=40, seed=2)


def bands(ax):
    """Lower and upper edge of each band, by generation."""
    edges = []
    for band in ax.collections:
        assert isinstance(band, PolyCollection)
        x, y = band.get_paths()[0].vertices.T
        columns = np.unique(x)
        edges.append(([y[x == t].min() for t in columns], [y[x == t].max() for t in columns]))
    return edges


# --- trajectories


def sorted_quantile(values, level):
    """Smallest value with at least this share of the sample at or below it."""
    ordered = np.sort(values, axis=0)
    return ordered[int(np.ceil(level * len(ordered))) - 1]


def test_trajectories_draws_the_quantiles(ax, paths):
    levels = (0.05, 0.25, 0.5, 0.75, 0.95)
    assert plotting.trajectories(ax, make_run({"x": paths}), "x", quantiles=levels) is ax
    (median,) = ax.lines
    np.testing.assert_array_equal(median.get_xdata(), np.arange(8))
    np.testing.assert_array_equal(median.get_ydata(), sorted_quantile(paths, 0.5))
    outer, inner = bands(ax)
    for (low, high), (below, above) in zip((outer, inner), ((0.05, 0.95), (0.25, 0.75)), strict=True):
        np.testing.assert_array_equal(low, sorted_quantile(paths, below))
        np.testing.assert_array_equal(high, sorted_quantile(paths, above))


def test_trajectories_draws_single_replicates(ax, paths):
    plotting.trajectories(ax, make_run({"x": paths}), "x", quantiles=[0.5], paths=3)
    np.testing.assert_array_equal([line.get_ydata() for line in ax.lines[1:]], paths[:3])
    assert not ax.collections
    assert [line.get_label() for line in ax.lines[1:]] == [f"_child{i}" for i in (1, 2, 3)]


def test_trajectories_leaves_out_a_generation_without_value(ax, paths):
    paths[:, 0] = np.nan
    plotting.trajectories(ax, make_run({"masked_weight": paths}), "masked_weight")
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), np.arange(1, 8))


def test_trajectories_of_infinite_values(ax, paths):
    paths[:30, 5:] = np.inf
    plotting.trajectories(ax, make_run({"kl_from_origin": paths}), "kl_from_origin")
    drawn = ax.lines[0].get_ydata()
    np.testing.assert_array_equal(np.isposinf(drawn), [False] * 5 + [True] * 3)
    assert not np.isnan(drawn).any()


def test_what_is_drawn_in_turn_differs_in_colour_and_in_style(ax, paths):
    for _ in range(6):
        plotting.trajectories(ax, make_run({"x": paths}), "x")
    assert len({line.get_color() for line in ax.lines}) == 6
    assert len({str(line._unscaled_dash_pattern) for line in ax.lines}) == 6


def test_given_colour_and_style(ax, paths):
    plotting.trajectories(ax, make_run({"x": paths}), "x", color="red", linestyle=":", label="mine")
    (line,) = ax.lines
    assert (line.get_color(), line.get_linestyle(), line.get_label()) == ("red", ":", "mine")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"metric": "y"}, "metric"),
        ({"quantiles": (0.1, 0.9)}, "quantiles"),
        ({"quantiles": (0.5, 0.1, 0.9)}, "quantiles"),
        ({"quantiles": (0.0, 0.5, 1.0)}, "quantiles"),
        ({"paths": -1}, "paths"),
    ],
)
def test_trajectories_refuses(ax, paths, arguments, named):
    with pytest.raises(tce.DomainError, match=rf"^{named} must be"):
        plotting.trajectories(ax, make_run({"x": paths}), **({"metric": "x"} | arguments))


def test_a_run_without_replicates_is_refused(ax):
    empty = tce.Run(
        metrics={"x": np.empty((0, 3))},
        replicates=np.empty(0, np.int64),
        n_replicates=4,
        generations=2,
        events={},
        provenance={"seed": 1},
    )
    with pytest.raises(tce.DomainError, match="at least one replicate"):
        plotting.trajectories(ax, empty, "x")


# --- survival


def test_survival_draws_the_share_that_has_not_failed(ax, paths):
    interval = fidelity_interval(paths, below=-1.0, interpolate=False)
    assert 0 < interval.share_censored < 1
    assert plotting.survival(ax, interval, label="CE") is ax
    curve, censored = ax.lines
    times, share = curve.get_data()
    assert curve.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(times, [0.0, *np.unique(interval.times)])
    # those that start beyond their threshold fail at time 0, after the point (0, 1) where the curve begins
    assert share[0] == 1 > share[1]
    failed = interval.times[interval.observed]
    np.testing.assert_allclose(share[1:], [1 - (failed <= t).mean() * (failed.size / 41) for t in times[1:]])
    assert censored.get_xydata().tolist() == [[7.0, interval.share_censored]]
    assert censored.get_marker() == "+"


def test_survival_without_censoring_ends_at_zero_and_without_a_mark(ax):
    plotting.survival(ax, fidelity_interval([[1.0, 0.4, 0.2], [1.0, 0.9, 0.3]], below=0.5))
    (curve,) = ax.lines
    assert curve.get_ydata()[-1] == 0
    assert curve.get_label() == "metric below 0.5"


def test_survival_band_is_that_of_the_interval(ax, paths):
    interval = fidelity_interval(paths, below=-1.0, interpolate=False)
    plotting.survival(ax, interval, level=0.8)
    expected = interval.survival(0.8)
    vertices = ax.collections[0].get_paths()[0].vertices
    for edge in (expected.low, expected.high):
        assert np.isin(edge, vertices[:, 1]).all()


# --- the rest


def test_reference_line(ax):
    assert plotting.reference_line(ax, 0.3, "floor", side="beside") is ax
    assert list(ax.lines[0].get_ydata()) == [0.3, 0.3]
    assert ax.texts[0].get_text() == "floor"
    with pytest.raises(tce.DomainError, match=r"^side must be"):
        plotting.reference_line(ax, 0.3, "floor", side="left")
    with pytest.raises(tce.DomainError, match=r"^y must be"):
        plotting.reference_line(ax, np.inf, "floor")


def test_extension_factors_draws_ratios_and_limits(ax):
    rate = np.random.default_rng(1).uniform(0.01, 0.03, (2, 200, 1))
    one, other = (fidelity_interval(np.exp(-r * np.arange(81)), below=0.75) for r in (rate[0], rate[1] / 2))
    factors = {"longer": extension_factor(one, other), "shorter": extension_factor(other, one)}
    plotting.extension_factors(ax, factors)
    drawn = [container.lines for container in ax.containers]
    for row, ((point, caps, _), factor) in enumerate(zip(drawn, factors.values(), strict=True)):
        assert point.get_xydata().tolist() == [[factor.ratio, row]]
        np.testing.assert_allclose([cap.get_xdata()[0] for cap in caps], [factor.low, factor.high])
    assert [text.get_text() for text in ax.texts] == [f"{factor.ratio:.2f}" for factor in factors.values()]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["longer", "shorter"]
    assert ax.yaxis.get_inverted()
    low, high = ax.get_xlim()
    assert low < factors["shorter"].low < 1 < factors["longer"].high < high
    with pytest.raises(tce.DomainError, match="at least one extension factor"):
        plotting.extension_factors(ax, {})


@pytest.mark.parametrize(
    ("loss", "name"),
    [
        (tce.CrossEntropy(), "CE, n = 1,000"),
        (tce.TCE(0.5), "TCE, γ = 0.5, n = 1,000"),
        (tce.TCE(0.25, mask="previous"), "TCE, γ = 0.25, previous mask, n = 1,000"),
        (tce.FocalLoss(detach=True), "focal loss, exponent 2, detached, n = 1,000"),
        (tce.SmoothTruncatedCrossEntropy(0.9, 0.1), "smooth TCE, γ = 0.9, width 0.1, n = 1,000"),
    ],
)
def test_a_run_is_named_by_loss_threshold_and_sample_size(loss, name):
    run = tce.simulate(tce.Categorical([0.5, 0.3, 0.2]), loss, n_samples=1000, generations=1, seed=1)
    assert plotting.run_label(run) == name


def test_overview_has_a_panel_for_every_metric(truncated):
    figure = plotting.run_overview(truncated)
    assert [ax.get_ylabel() for ax in figure.axes] == ["mean μ", "standard deviation σ", "log σ", "entropy (nats)"]
    assert {ax.get_xlabel() for ax in figure.axes} == {"generation"}
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == [
        "TCE, γ = 0.5, n = 20: median",
        "middle 50 %",
        "middle 90 %",
    ]
    assert legend.get_title().get_text() == "Gaussian, 40 replicates"
    heights = sorted(line.get_ydata()[0] for line in figure.axes[1].lines[1:])
    assert heights == [tce.theory.wall.floor_std(0.5), tce.theory.wall.critical_std(0.5)]


def test_overview_of_any_run(paths, tmp_path):
    # three metrics leave an empty place, one is a function of the user's, and nothing is known of where they come from
    run = make_run({"x": paths, "masked_weight": np.where(np.arange(8) == 0, np.nan, paths), "skewness": paths})
    figure = plotting.run_overview(run)
    assert [ax.get_ylabel() for ax in figure.axes] == ["x", "masked weight (points)", "skewness"]
    assert plotting.save(figure, tmp_path / "run.png").read_bytes().startswith(b"\x89PNG\r\n\x1a\n")


@pytest.mark.parametrize("suffix", ["pdf", "png", "svg"])
def test_the_same_figure_is_the_same_file(truncated, tmp_path, suffix):
    one, other = (
        plotting.save(plotting.run_overview(truncated), tmp_path / f"{i}.{suffix}").read_bytes() for i in range(2)
    )
    assert one == other
    assert {path.name for path in tmp_path.iterdir()} == {f"0.{suffix}", f"1.{suffix}"}


def test_fonts_are_embedded_as_truetype(truncated, tmp_path):
    content = plotting.save(plotting.run_overview(truncated), tmp_path / "run.pdf").read_bytes()
    streams = re.findall(rb"stream\r?\n(.*?)\r?\nendstream", content, flags=re.DOTALL)
    whole = content + b"".join(zlib.decompressobj().decompress(stream) for stream in streams if stream[:1] == b"x")
    assert b"/FontFile2" in whole
    assert b"/Type3" not in whole
    assert b"/CreationDate" not in whole


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(tce.DomainError, match=r"^suffix of path must be one of '\.pdf', '\.png', '\.svg', got '\.gif'"):
        plotting.save(Figure(), tmp_path / "run.gif")


def test_a_file_that_cannot_be_written_leaves_the_old_one(tmp_path):
    target = tmp_path / "run.png"
    target.mkdir()
    with pytest.raises(OSError):
        plotting.save(Figure(), target)
    assert list(tmp_path.iterdir()) == [target]


def test_style_does_not_leak_and_ignores_the_users_settings():
    with mpl.rc_context({"font.size": 31, "axes.facecolor": "red"}):
        with plotting.style():
            assert mpl.rcParams["font.size"] == 9
            assert mpl.rcParams["axes.facecolor"] == "white"
            assert mpl.rcParams["pdf.fonttype"] == 42
        assert mpl.rcParams["font.size"] == 31


def test_nothing_loads_pyplot(tmp_path):
    code = """
import sys
import numpy as np
import tce_theory as tce
from tce_theory import plotting
assert "matplotlib" not in sys.modules
run = tce.Run(metrics={"std": np.ones((2, 4))}, replicates=np.arange(2), n_replicates=2, generations=3, events={},
              provenance={"seed": 1})
plotting.save(plotting.run_overview(run), sys.argv[1])
assert "matplotlib.pyplot" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, tmp_path / "run.pdf"], check=True)
