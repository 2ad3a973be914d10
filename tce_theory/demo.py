"""The demonstration behind ``tce demo``: cross entropy against TCE on a Gaussian and on the words of a text.

Both parts put simulations beside predictions that owe nothing to them, and are chosen to show where TCE helps, where it
changes nothing and what it costs.
"""

from __future__ import annotations

import json
import math
import os
import platform
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError, StatisticalWarning
from tce_theory.exact import FirstPassageLaw, gaussian_first_passage
from tce_theory.fidelity import ExtensionFactor, FidelityInterval, extension_factor
from tce_theory.files import write_atomically
from tce_theory.losses import TCE, CrossEntropy, Loss
from tce_theory.models.base import Model
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.models.text import count_tokens, read_text, standard_text
from tce_theory.plotting import extension_factors, reference_line, save, style, survival, trajectories
from tce_theory.recursion import simulate
from tce_theory.run import Run
from tce_theory.theory.categorical import cap_bias, expected_surviving_types
from tce_theory.theory.wall import critical_std, floor_std, wall_mean_interval
from tce_theory.validation import positive_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from rich.table import Table

__all__ = ["DemoResult", "DemoRow", "Prediction", "run_demo"]

GAUSSIAN_SAMPLES = 100
LOG_BAND = math.log(2)
"""Half-width of the band in log σ²: a model has failed when its variance is off by a factor of 2."""
BAND = (math.exp(-LOG_BAND / 2), math.exp(LOG_BAND / 2))
"""The same band for σ/σ_0."""
IDLE_GAMMA = 0.85
"""Its wall σ_c = 0.469 σ_0 lies below the band, so that it cannot act before a model has failed."""
ACTING_GAMMAS = (0.4, 0.5)
"""Their walls, 0.997 σ_0 and 0.798 σ_0, lie inside the band."""
VOCABULARY_GENERATIONS = (1, 2, 5, 10, 20, 50, 100)

GAUSSIAN_CRITERION = ("σ²", "× 2 or ÷ 2")
TEXT_CRITERIA: dict[str, tuple[tuple[str, str], dict[str, Any]]] = {
    "support": (("words", "< 50 %"), {"below": 0.5, "relative": True}),
    "entropy": (("entropy", "< 95 %"), {"below": 0.95, "relative": True}),
    "tv": (("TV", "> 0.2"), {"above": 0.2}),
}
_MOST_TEXT_WORK = 50_000_000
"""Words × generations × replicates: a large vocabulary gets fewer replicates, so that it takes no longer."""
_FEWEST_TEXT_REPLICATES = 20
_LARGE_VOCABULARY = 100
"""Words from which on the number that survive stays so near its expectation that both cross a threshold together."""


@dataclass(frozen=True)
class _Size:
    gaussian_replicates: int
    gaussian_generations: int
    walk_replicates: int
    text_replicates: int
    text_generations: int


_FULL = _Size(2000, 600, 20_000, 100, 100)
_QUICK = _Size(400, 400, 4_000, 40, 50)


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What theory says about a mean fidelity interval.

    Attributes
    ----------
    kind : str
        "exact": the law at this n, up to the horizon. "limit": the diffusion limit n → ∞, without a horizon (slug
        `wall-extension`). "walk": the reflected walk of slug `density-wall` at this n, simulated in law up to the
        horizon. "expected": where the expected number of surviving words crosses the threshold (`tail-extinction`).
    mean : float
        In generations.
    median : float or None
    standard_error : float or None
        Of the mean, where it is simulated.
    """

    kind: str
    mean: float
    median: float | None = None
    standard_error: float | None = None


@dataclass(frozen=True, kw_only=True)
class DemoRow:
    """One line of the demonstration's table: a fidelity interval under one loss.

    Attributes
    ----------
    family : str
        "Gaussian" or "text".
    metric, criterion : str
        What is watched, and what counts as failure.
    loss : str
        "CE" or "TCE".
    gamma : float or None
        Threshold of TCE.
    replicates : int
    horizon : float
        Generation to which all replicates were followed.
    median, mean : float
        In generations; the mean is restricted to the horizon, an unreached median is inf.
    median_ci, mean_ci : tuple of float
        95 % confidence limits.
    standard_error : float
        Of the mean.
    share_censored : float
    extension : ExtensionFactor or None
        Against cross entropy with other random numbers; None for cross entropy itself.
    predictions : tuple of Prediction
    """

    family: str
    metric: str
    criterion: str
    loss: str
    gamma: float | None
    replicates: int
    horizon: float
    median: float
    median_ci: tuple[float, float]
    mean: float
    mean_ci: tuple[float, float]
    standard_error: float
    share_censored: float
    extension: ExtensionFactor | None
    predictions: tuple[Prediction, ...]


@dataclass(frozen=True, kw_only=True)
class DemoResult:
    """What the demonstration found and wrote.

    Attributes
    ----------
    rows : tuple of DemoRow
    notes : tuple of str
        Sentences to print below the table.
    summary : dict
        What is in ``summary.json``: the same for the same seed and versions. An infinite number is None.
    files : tuple of pathlib.Path
        Runs, summary and figures.
    seconds : float
    """

    rows: tuple[DemoRow, ...]
    notes: tuple[str, ...]
    summary: dict[str, Any]
    files: tuple[Path, ...]
    seconds: float

    def table(self) -> Table:
        """Return the table of fidelity intervals, which fits 80 columns."""
        from rich import box
        from rich.table import Table

        horizons = ", ".join(dict.fromkeys(f"{row.family} {row.horizon:g}" for row in self.rows))
        table = Table(
            title="How long does a model stay faithful that is trained on its own output?",
            caption=f"Generations and 95 % limits; means up to the horizon ({horizons})\n"
            "limit: n → ∞; walk: wall walk at this n; expected: from expected vocabulary",
            box=box.SIMPLE_HEAD,
            show_edge=False,
            padding=0,
        )
        for heading in ("Family,\nfailure", "\nLoss"):
            table.add_column(heading, no_wrap=True)
        for heading in ("\nMedian", "\nMean", "Cen-\nsored", "Extension\nover CE", "Log-\nrank p", "Predicted\nmean"):
            table.add_column(heading, no_wrap=True, justify="right")
        for i, row in enumerate(self.rows):
            last = i + 1 == len(self.rows) or row.metric != self.rows[i + 1].metric
            table.add_row(*_cells(row), end_section=last)
        return table


def run_demo(
    *,
    text: str | os.PathLike[str] | None = None,
    out: str | os.PathLike[str] = "tce-demo",
    seed: int = 0,
    quick: bool = False,
    n_jobs: int = -1,
    progress: Callable[[str], None] | None = None,
) -> DemoResult:
    """Run the demonstration and write its runs, summary and figure.

    Parameters
    ----------
    text : str or os.PathLike, optional
        Name of a text file in UTF-8; the help topics that every Python installation carries if not given. Each
        generation draws as many words as the text has.
    out : str or os.PathLike
        Directory to write to, which is made if need be.
    seed : int
        Nonnegative. The runs have seeds of their own that follow from it: losses are compared with independent noise.
    quick : bool
        Fewer replicates and generations.
    n_jobs : int
        Threads; −1 for one a processor. Results do not depend on it.
    progress : callable, optional
        Called with a few words at the beginning of every stage.

    Returns
    -------
    DemoResult

    Raises
    ------
    DomainError
        If `text` is not a file with at least two different words, or another argument is not admissible.
    OSError
        If a file cannot be read or written.
    KeyboardInterrupt
        If it was interrupted; what had been written stays.

    Notes
    -----
    Slugs `gaussian-ce-law`, `density-wall`, `density-floor`, `wall-extension`, `tail-extinction`, `neutral-until-cap`
    and `cap-bias`.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = run_demo(out=folder, quick=True)
    ...     sorted(path.suffix for path in result.files if path.stem == "demo")
    ['.pdf', '.png']
    >>> result.rows[0].loss, result.rows[0].predictions[0].kind, round(result.rows[0].predictions[0].mean, 2)
    ('CE', 'exact', 25.35)
    """
    started = time.monotonic()
    size = _QUICK if quick else _FULL
    ensemble = _Ensemble(size, positive_integer("seed", seed, minimum=0), n_jobs, progress or _say_nothing)
    corpus = _Corpus.read(text)
    folder = _directory(out)
    with _collected_warnings() as warned:
        parts = _gaussian_part(ensemble), _text_part(ensemble, corpus)
        ensemble.stage("writing runs and figure")
        files = [_save_run(folder, name, run) for part in parts for name, run in part.runs.items()]
        files += _save_figure(folder, parts)
    rows = tuple(row for part in parts for row in part.rows)
    notes = (*(note for part in parts for note in part.notes), *warned)
    summary = _plain(
        {
            "tce_theory": version("tce_theory"),
            "seed": ensemble.seed,
            "quick": bool(quick),
            "gaussian": parts[0].facts,
            "text": parts[1].facts,
            "rows": [asdict(row) for row in rows],
            "notes": notes,
            "files": [file.name for file in files],
        }
    )
    target = folder / "summary.json"
    content = (json.dumps(summary, indent=2, ensure_ascii=False, allow_nan=False) + "\n").encode()
    write_atomically(target, lambda file: file.write(content))
    return DemoResult(
        rows=rows, notes=notes, summary=summary, files=(*files, target), seconds=time.monotonic() - started
    )


# ------------------------------------------------------------------------------------------------- the two parts


@dataclass(frozen=True)
class _Ensemble:
    """What all simulations of one demonstration share."""

    size: _Size
    seed: int
    n_jobs: int
    stage: Callable[[str], None]

    def seed_of(self, role: str) -> int:
        """Return a seed that depends on the demonstration's seed and on the role alone."""
        return int(np.random.SeedSequence([self.seed, int.from_bytes(role.encode(), "big")]).generate_state(1)[0])

    def simulate(self, name: str, model: Model, loss: Loss, *, seed: int | None = None, **settings: Any) -> Run:
        self.stage(f"simulating {name}")
        run = simulate(model, loss, seed=self.seed_of(name) if seed is None else seed, n_jobs=self.n_jobs, **settings)
        if run.interrupted:  # a table of what had finished would pass for the demonstration
            raise KeyboardInterrupt
        return run


@dataclass(frozen=True)
class _Part:
    """One half of the demonstration: runs by the stems of their files, findings, and panels of the figure."""

    runs: dict[str, Run]
    rows: tuple[DemoRow, ...]
    notes: tuple[str, ...]
    facts: dict[str, Any]
    panels: tuple[Callable[[Axes], None], ...]


def _gaussian_part(ensemble: _Ensemble) -> _Part:
    size = ensemble.size
    settings: dict[str, Any] = {
        "n_samples": GAUSSIAN_SAMPLES,
        "generations": size.gaussian_generations,
        "replicates": size.gaussian_replicates,
    }
    gammas = (*ACTING_GAMMAS, IDLE_GAMMA)
    losses = {"gaussian-ce": CrossEntropy()} | {f"gaussian-tce-{gamma}": TCE(gamma) for gamma in gammas}
    runs = {
        name: ensemble.simulate(name, Gaussian(), loss, metrics=["std", "mean"], **settings)
        for name, loss in losses.items()
    }
    ce, *treated = runs.values()
    tce = dict(zip(gammas, treated, strict=True))
    # once more on the numbers of the threshold that does not act, drawn point by point as TCE draws them
    runs["gaussian-ce-coupled"] = coupled = ensemble.simulate(
        "gaussian-ce-coupled",
        Gaussian(),
        CrossEntropy(),
        metrics=["std"],
        seed=tce[IDLE_GAMMA].seed,
        sampler="points",
        **settings,
    )
    identical = _identical_until_failure(coupled, tce[IDLE_GAMMA])

    ensemble.stage("computing predictions")
    law = gaussian_first_passage(GAUSSIAN_SAMPLES, low=BAND[0], high=BAND[1], horizon=size.gaussian_generations)
    exact = (Prediction(kind="exact", mean=law.restricted_mean, median=law.median),)
    predictions = {gamma: _wall_predictions(gamma, ensemble) for gamma in ACTING_GAMMAS} | {IDLE_GAMMA: exact}
    baseline = _gaussian_interval(ce)
    rows = (
        _row("Gaussian", GAUSSIAN_CRITERION, None, baseline, None, exact),
        *(
            _row("Gaussian", GAUSSIAN_CRITERION, gamma, _gaussian_interval(run), baseline, predictions[gamma])
            for gamma, run in tce.items()
        ),
    )
    return _Part(
        runs=runs,
        rows=rows,
        notes=_gaussian_notes(rows, identical, ce, tce),
        facts={
            **settings,
            "band": BAND,
            "walls": [{"gamma": gamma, "wall": critical_std(gamma), "floor": floor_std(gamma)} for gamma in gammas],
            "coupled": {"gamma": IDLE_GAMMA, "replicates": size.gaussian_replicates, "identical": identical},
        },
        panels=(partial(_draw_scale, ce, tce), partial(_draw_survival, ce, tce, law)),
    )


def _gaussian_interval(run: Run) -> FidelityInterval:
    return run.fidelity_interval("std", outside=BAND, relative=True, interpolate=False)


def _wall_predictions(gamma: float, ensemble: _Ensemble) -> tuple[Prediction, ...]:
    depth = -2 * math.log(critical_std(gamma))
    rng = np.random.default_rng(ensemble.seed_of(f"wall walk {gamma}"))
    times = _wall_walk_times(depth, ensemble.size.gaussian_generations, ensemble.size.walk_replicates, rng)
    return (
        Prediction(kind="limit", mean=float(wall_mean_interval(GAUSSIAN_SAMPLES, LOG_BAND, depth))),
        Prediction(kind="walk", mean=float(times.mean()), standard_error=_standard_error(times)),
    )


def _wall_walk_times(depth: float, horizon: int, replicates: int, rng: np.random.Generator) -> np.ndarray:
    """Simulate when the reflected walk W of slug `density-wall` rises above the band, at most the horizon.

    log(σ_t²/σ_c²) ≤ W_t, so that σ never leaves its band upwards before W does.
    """
    times = np.full(replicates, horizon)
    walking, walk = np.arange(replicates), np.full(replicates, depth)
    for t in range(1, horizon + 1):
        steps = np.log(rng.chisquare(GAUSSIAN_SAMPLES - 1, walk.size) / GAUSSIAN_SAMPLES)
        walk = np.maximum(0.0, walk + steps)
        over = walk > depth + LOG_BAND
        times[walking[over]] = t
        walking, walk = walking[~over], walk[~over]
    return times


def _identical_until_failure(ce: Run, tce: Run) -> int:
    """Count the replicates that fail at the same time and were the same, number for number, before."""
    one, other = _gaussian_interval(ce), _gaussian_interval(tce)
    before = np.arange(ce.generations + 1) < (one.times + ~one.observed)[:, None]
    same_path = ((ce.metrics["std"] == tce.metrics["std"]) | ~before).all(axis=1)
    return int((same_path & (one.times == other.times) & (one.observed == other.observed)).sum())


def _gaussian_notes(rows: Sequence[DemoRow], identical: int, ce: Run, tce: Mapping[float, Run]) -> tuple[str, ...]:
    baseline, *walls = rows[: 1 + len(ACTING_GAMMAS)]
    exact = baseline.predictions[0].mean
    replicates, horizon = baseline.replicates, ce.generations
    idle_std, ce_std = (_median(np.abs(run.metrics["std"][:, -1])) for run in (tce[IDLE_GAMMA], ce))
    acting_mean, ce_mean = (_median(np.abs(run.metrics["mean"][:, -1])) for run in (tce[ACTING_GAMMAS[-1]], ce))
    comparisons = "; ".join(
        f"γ = {row.gamma:g} (wall at {critical_std(row.gamma):.3f} σ₀): {_number(row.predictions[0].mean)} in the "
        f"limit n → ∞, {_number(row.predictions[1].mean)} for the wall walk at n = {GAUSSIAN_SAMPLES}, "
        f"{_number(row.mean)} simulated"
        for row in walls
    )
    return (
        f"Gaussian, n = {GAUSSIAN_SAMPLES}, {replicates:,} replicates: the simulated mean under CE is "
        f"{_in_standard_errors(baseline.mean - exact, baseline.standard_error)} from the exact {exact:.2f}.",
        f"γ = {IDLE_GAMMA:g} cannot lengthen this interval: its wall σ_c = {critical_std(IDLE_GAMMA):.3f} σ₀ lies "
        f"below the band, which ends at {BAND[0]:.3f} σ₀. Drawn with the same random numbers as CE, {identical:,} of "
        f"{replicates:,} replicates were the same, number for number, until they failed at the same time. What it can "
        f"do comes later: at generation {horizon} the median σ is {idle_std:.3f} σ₀, under CE {ce_std:.2g} σ₀.",
        f"Walls inside the band act. Mean intervals: {comparisons}. The limit is approached slowly, as n^(−1/2).",
        f"TCE holds the scale but not the place: at generation {horizon} the median of |μ| is {acting_mean:.2f} σ₀ "
        f"under γ = {ACTING_GAMMAS[-1]:g}, and {ce_mean:.2f} σ₀ under CE.",
    )


@dataclass(frozen=True)
class _Corpus:
    source: str
    counts: dict[str, int]

    @classmethod
    def read(cls, text: str | os.PathLike[str] | None) -> _Corpus:
        if text is None:
            source, content = f"help topics of Python {platform.python_version()}", standard_text()
        else:
            path = Path(text)
            if not path.is_file():
                raise DomainError("text", os.fspath(text), "the name of a text file")
            source, content = path.name, read_text(path)
        counts = count_tokens(content)
        if len(counts) < 2:
            raise DomainError("text", source, "a text with at least two different words")
        return cls(source, counts)


def _text_part(ensemble: _Ensemble, corpus: _Corpus) -> _Part:
    model = Categorical.from_counts(corpus.counts)
    acting = (float(model.probs[0]) + 1 / model.size) / 2
    settings: dict[str, Any] = {
        "n_samples": sum(corpus.counts.values()),
        "generations": ensemble.size.text_generations,
        "replicates": _text_replicates(model.size, ensemble.size),
        "metrics": ["support", "entropy", "heterozygosity", "tv", "max_prob"],
    }
    ce = ensemble.simulate("text-ce", model, CrossEntropy(), **settings)
    cap = ensemble.simulate("text-tce-acting", model, TCE(acting), **settings)
    idle = ensemble.simulate(f"text-tce-{IDLE_GAMMA}", model, TCE(IDLE_GAMMA), **settings)

    ensemble.stage("computing predictions")
    expected = np.asarray(
        expected_surviving_types(model.probs, settings["n_samples"], np.arange(settings["generations"] + 1))
    )
    rows = []
    for metric, (criterion, threshold) in TEXT_CRITERIA.items():
        baseline = ce.fidelity_interval(metric, **threshold)
        predicted = _predicted_loss_of_words(expected, threshold["below"]) if metric == "support" else ()
        rows.append(_row("text", criterion, None, baseline, None, predicted))
        # one line is enough to see that a threshold that is never reached changes nothing
        for gamma, run in ((acting, cap), (IDLE_GAMMA, idle))[: 2 if metric == "support" else 1]:
            rows.append(_row("text", criterion, gamma, run.fidelity_interval(metric, **threshold), baseline, ()))
    vocabulary = _vocabulary(ce, expected)
    reached = int((idle.metrics["max_prob"] >= IDLE_GAMMA).any(axis=1).sum())
    bias = float(cap_bias(model.probs, acting))
    return _Part(
        runs={"text-ce": ce, "text-tce-acting": cap, f"text-tce-{IDLE_GAMMA}": idle},
        rows=tuple(rows),
        notes=_text_notes(corpus, model, vocabulary, acting, ce, cap, bias, reached),
        facts={
            **settings,
            "source": corpus.source,
            "words": model.size,
            "acting_gamma": acting,
            "cap_bias": bias,
            "idle_gamma_reached": reached,
            "vocabulary": vocabulary,
            "means_at_the_horizon": {
                "ce": _means_at_the_horizon(ce),
                "acting": _means_at_the_horizon(cap),
                "generation 0": {name: float(values[0, 0]) for name, values in ce.metrics.items()},
            },
        },
        panels=(partial(_draw_words, ce, cap, acting, expected),),
    )


def _text_replicates(words: int, size: _Size) -> int:
    affordable = _MOST_TEXT_WORK // (words * size.text_generations)
    return min(size.text_replicates, max(_FEWEST_TEXT_REPLICATES, affordable))


def _predicted_loss_of_words(expected: np.ndarray, share: float) -> tuple[Prediction, ...]:
    """When the expected number of surviving words falls below a share, interpolated as fidelity intervals are."""
    (below,) = np.nonzero(expected < share * expected[0])
    if expected[0] < _LARGE_VOCABULARY or not below.size:
        return ()
    last, first = expected[below[0] - 1], expected[below[0]]
    return (Prediction(kind="expected", mean=float(below[0] - (share * expected[0] - first) / (last - first))),)


def _vocabulary(run: Run, expected: np.ndarray) -> list[dict[str, float]]:
    """Words that survive, simulated and expected."""
    return [
        {
            "generation": t,
            "simulated": float(run.metrics["support"][:, t].mean()),
            "standard_error": _standard_error(run.metrics["support"][:, t]),
            "expected": float(expected[t]),
        }
        for t in VOCABULARY_GENERATIONS
        if t <= run.generations
    ]


def _means_at_the_horizon(run: Run) -> dict[str, float]:
    return {name: float(values[:, -1].mean()) for name, values in run.metrics.items()}


def _text_notes(
    corpus: _Corpus,
    model: Categorical,
    vocabulary: Sequence[dict[str, float]],
    acting: float,
    ce: Run,
    cap: Run,
    bias: float,
    reached: int,
) -> tuple[str, ...]:
    words = "; ".join(
        f"generation {row['generation']}: {row['simulated']:,.1f}, expected {row['expected']:,.1f} "
        f"({_in_standard_errors(row['simulated'] - row['expected'], row['standard_error'])})"
        for row in vocabulary
        if row["generation"] in (1, 10, vocabulary[-1]["generation"])
    )
    before, after = _means_at_the_horizon(ce), _means_at_the_horizon(cap)
    replicates = ce.replicates.size
    most_frequent = next(iter(corpus.counts))
    if reached:
        idle = f"a word reached it in {reached} of {replicates} replicates; until one does, TCE is CE."
    else:
        idle = f"no word reached it in {replicates} replicates, and until one does, TCE is CE."
    return (
        f"Text ({corpus.source}): {sum(corpus.counts.values()):,} words, {model.size:,} different ones, {replicates} "
        f"replicates. Words that survive CE: {words}. The expectation is exact for Poisson sampling, here a lower "
        "bound.",
        f"γ = {acting:.3g} caps “{most_frequent}” (p = {model.probs[0]:.3g}). At generation {ce.generations}, against "
        f"CE: entropy {after['entropy']:.2f} against {before['entropy']:.2f} nats ({model.entropy():.2f} at first), "
        f"words {after['support']:,.0f} against {before['support']:,.0f}, total variation from the text "
        f"{after['tv']:.3f} against {before['tv']:.3f}; the cap alone costs at least {bias:.3f} of it.",
        f"γ = {IDLE_GAMMA:g} on the text: {idle}",
    )


# --------------------------------------------------------------------------------------------------- statistics


def _row(
    family: str,
    criterion: tuple[str, str],
    gamma: float | None,
    interval: FidelityInterval,
    baseline: FidelityInterval | None,
    predictions: tuple[Prediction, ...],
) -> DemoRow:
    return DemoRow(
        family=family,
        metric=criterion[0],
        criterion=criterion[1],
        loss="CE" if gamma is None else "TCE",
        gamma=gamma,
        replicates=interval.times.size,
        horizon=interval.horizon,
        median=interval.median,
        median_ci=interval.ci("median"),
        mean=interval.mean,
        mean_ci=interval.ci("mean"),
        standard_error=_standard_error(interval.times),
        share_censored=interval.share_censored,
        extension=None if baseline is None else extension_factor(baseline, interval),
        predictions=predictions,
    )


def _standard_error(sample: np.ndarray) -> float:
    return float(sample.std(ddof=1) / math.sqrt(sample.size))


def _median(values: np.ndarray) -> float:
    return float(np.median(values))


# -------------------------------------------------------------------------------------------------- the figure

_Look = dict[str, Any]
_CE_LOOK: _Look = {"color": "#000000", "linestyle": "-"}
_TCE_LOOKS: dict[float, _Look] = {
    0.4: {"color": "#009E73", "linestyle": ":"},
    0.5: {"color": "#0072B2", "linestyle": "--"},
    IDLE_GAMMA: {"color": "#D55E00", "linestyle": "-."},
}
_CAP_LOOK: _Look = {"color": "#0072B2", "linestyle": "--"}
_PREDICTION_LOOK: _Look = {"color": "#000000", "linestyle": "none", "marker": "o", "markersize": 4, "mfc": "white"}


def _save_figure(folder: Path, parts: Sequence[_Part]) -> list[Path]:
    from matplotlib.figure import Figure

    panels = [panel for part in parts for panel in part.panels]
    panels.append(partial(_draw_factors, [row for part in parts for row in part.rows]))
    with style():
        figure = Figure(figsize=(7.2, 5.4))
        # each row is laid out by itself: the long names in one take no room from the other
        rows: Any = figure.subfigures(2)
        axes = [ax for row in rows for ax in row.subplots(1, 2)]
        for letter, ax, panel in zip("abcd", axes, panels, strict=True):
            panel(ax)
            ax.set_title(f"{letter}  {ax.get_title(loc='left')}")
    return [save(figure, folder / name) for name in ("demo.pdf", "demo.png")]


def _draw_scale(ce: Run, tce: Mapping[float, Run], ax: Axes) -> None:
    strongest = ACTING_GAMMAS[-1]
    quartiles = (0.25, 0.5, 0.75)
    trajectories(ax, ce, "std", quantiles=quartiles, label="CE", **_CE_LOOK)
    for gamma in (strongest, IDLE_GAMMA):
        trajectories(ax, tce[gamma], "std", quantiles=quartiles, label=f"TCE, γ = {gamma:g}", **_TCE_LOOKS[gamma])
    walls = {gamma: (critical_std(gamma), f"wall σ$_c$({gamma:g})") for gamma in (strongest, IDLE_GAMMA)}
    for gamma, (height, name) in walls.items():
        reference_line(ax, float(height), name, color=_TCE_LOOKS[gamma]["color"], side="beside")
    floor = float(floor_std(IDLE_GAMMA))
    reference_line(ax, floor, f"floor σ$_f$({IDLE_GAMMA:g})", color=_TCE_LOOKS[IDLE_GAMMA]["color"], side="beside")
    ax.axhspan(*BAND, color="0.92", linewidth=0, label="faithful: σ² × 2 or ÷ 2", zorder=0)
    ax.set(yscale="log", ylim=(0.03, 2), xlim=(0, min(300, ce.generations)), xlabel="generation")
    ax.set_yticks(ticks := [0.05, 0.1, 0.2, 0.5, 1, 2], [f"{tick:g}" for tick in ticks])
    ax.set_ylabel("σ/σ₀: median and quartiles")
    ax.set_title(f"Gaussian, n = {GAUSSIAN_SAMPLES}: scale")
    ax.legend(loc="lower left")


def _draw_survival(ce: Run, tce: Mapping[float, Run], law: FirstPassageLaw, ax: Axes) -> None:
    survival(ax, _gaussian_interval(ce), label="CE", **_CE_LOOK)
    for gamma, run in tce.items():
        survival(ax, _gaussian_interval(run), label=f"TCE, γ = {gamma:g}", **_TCE_LOOKS[gamma])
    marks = _marked_generations(law.horizon)
    ax.plot(marks, law.survival[marks], label="CE, exact law", **_PREDICTION_LOOK)
    ax.set(xscale="log", xlim=(1, ce.generations), ylim=(0, 1.03), xlabel="generation")
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_ylabel("share still faithful")
    ax.set_title(f"Gaussian, n = {GAUSSIAN_SAMPLES}: fidelity")
    ax.legend(loc="lower left")


def _draw_words(ce: Run, cap: Run, acting: float, expected: np.ndarray, ax: Axes) -> None:
    trajectories(ax, ce, "support", label="CE", **_CE_LOOK)
    trajectories(ax, cap, "support", label=f"TCE, γ = {acting:.3g}", **_CAP_LOOK)
    marks = _marked_generations(ce.generations)
    ax.plot(marks, expected[marks], label="CE, Poisson sampling", **_PREDICTION_LOOK)
    ax.set(xlim=(0, ce.generations), ylim=(0, None), xlabel="generation", ylabel="words that survive")
    ax.yaxis.set_major_formatter("{x:,g}")
    ax.set_title(f"Text, n = {ce.provenance['n_samples']:,}: vocabulary")
    ax.legend(loc="upper right")


def _draw_factors(rows: Sequence[DemoRow], ax: Axes) -> None:
    factors, colors = {}, []
    for row in rows:
        if row.extension is not None and row.gamma is not None:
            factors[f"{row.metric}, γ = {row.gamma:.3g}"] = row.extension
            colors.append(_TCE_LOOKS.get(row.gamma, _CAP_LOOK)["color"])
    extension_factors(ax, factors, colors=colors)
    ax.set_title("What TCE buys, and costs")


def _marked_generations(horizon: int) -> np.ndarray:
    """Whole generations up to the horizon that are about evenly spaced on a logarithmic axis."""
    return np.unique(np.geomspace(1, min(horizon, 100), 14).round().astype(int))


# ------------------------------------------------------------------------------------------- words, numbers, files


def _cells(row: DemoRow) -> tuple[str, ...]:
    """Return the cells of one row, of two lines each: the number, and its interval or what it is."""
    factor = row.extension
    if factor is None:
        extension, p = "", ""
    else:
        sign = "≥ " if factor.is_lower_bound else ""
        extension = f"{sign}{_number(factor.ratio)}\n{_range((factor.low, factor.high))}"
        p = _p_value(factor.logrank_p)
    median = _number(row.median) if math.isfinite(row.median) else f"> {row.horizon:g}"
    return (
        f"{row.family}\n{row.metric} {row.criterion}",
        row.loss if row.gamma is None else f"{row.loss}\nγ {row.gamma:.3g}",
        f"{median}\n{_range(row.median_ci)}",
        f"{_number(row.mean)}\n{_range(row.mean_ci)}",
        f"{100 * row.share_censored:.3g} %",
        extension,
        p,
        _predicted(row.predictions),
    )


def _predicted(predictions: tuple[Prediction, ...]) -> str:
    between = "\n" if len(predictions) == 1 else " "
    return "\n".join(f"{_number(prediction.mean)}{between}{prediction.kind}" for prediction in predictions)


def _number(value: float) -> str:
    if not math.isfinite(value):
        return "∞"
    return f"{value:,.0f}" if value >= 100 or value.is_integer() else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _range(limits: tuple[float, float]) -> str:
    return "–".join(_number(limit) for limit in limits)


def _p_value(p: float | None) -> str:
    if p is None:
        return ""
    if p < 1e-99:
        return "<1e-99"
    return f"{p:.2f}" if p >= 0.01 else f"{p:.0e}"


def _in_standard_errors(difference: float, standard_error: float) -> str:
    if standard_error == 0:
        return f"{difference:+.1f}, without spread"
    return f"{difference / standard_error:+.1f} standard errors".replace("-", "−")


def _say_nothing(stage: str) -> None:
    """Receive the stages where nobody wants to know."""


@contextmanager
def _collected_warnings() -> Iterator[list[str]]:
    """Collect statistical warnings, each message once, in the list that is yielded; others are shown afterwards."""
    messages: list[str] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", StatisticalWarning)
        # the demonstration shows medians and quartiles of the scale, no means
        warnings.filterwarnings("ignore", "the variance of log std", StatisticalWarning)
        yield messages
    for warning in caught:
        if issubclass(warning.category, StatisticalWarning):
            messages.append(f"Mind: {warning.message}.")
        else:
            warnings.warn_explicit(warning.message, warning.category, warning.filename, warning.lineno)
    messages[:] = dict.fromkeys(messages)


def _directory(out: str | os.PathLike[str]) -> Path:
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError):
        raise DomainError("out", os.fspath(out), "the name of a directory, or of nothing yet") from None
    return folder


def _save_run(folder: Path, stem: str, run: Run) -> Path:
    path = folder / f"{stem}.npz"
    run.save(path)
    return path


def _plain(value: Any) -> Any:
    """Return a value in JSON's types, with None for what is infinite."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    return value
