"""Drawing studies: primary factors, curves over thresholds, and paths of metrics, one panel a setting.

Everything is drawn from a `Study`, that is from numbers alone. A condition has the same colour and line everywhere.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.experiments.study import places
from tce_theory.plotting.figures import metric_label
from tce_theory.validation import one_of

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tce_theory.experiments.study import Entry, Study

__all__ = [
    "condition_styles",
    "curves_figure",
    "factor_curves",
    "forest",
    "forest_figure",
    "mechanism_figure",
    "metric_paths",
    "paths_figure",
]

_WIDTHS = {1: 5.0, 2: 7.2, 3: 7.2}
"""Inches of figures, by columns of panels."""
_SEQUENTIAL = "viridis"
_DARKEST, _LIGHTEST = 0.0, 0.85
"""Part of the map that stands out against white."""
_DISTINCT = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#7F7F7F")
_LINES: tuple[Any, ...] = ("-", "--", "-.", ":", (0, (5, 1)), (0, (4, 1, 1, 1, 1, 1)), (0, (1, 1)))
_BAND_OPACITY = 0.15
_MARKERS = {"≥": "^", "≤": "v", "~": "o"}
"""What a longer horizon could make of a factor."""
_WIDEST = 50.0
"""Limits further from 1 do not make axes longer: those of very few replicates are."""
_MOST_BANDS = 2
_TICKS = (
    [2.0**power for power in range(-10, 11)],
    [digit * 10.0**power for power in range(-3, 4) for digit in (1, 1.5, 2, 3, 5, 7)],
    [place / 10 for place in range(1, 50)],
    [place / 50 for place in range(1, 250)],
)
"""Numbers on axes of factors, from coarse to fine."""
_LETTER = 0.066
"""Inches of a letter."""


def condition_styles(study: Study) -> dict[str, dict[str, Any]]:
    """Return colour and line style of each condition.

    The baseline is black. Losses with a threshold have colours of a sequential map, the darker the lower gamma; one
    that comes twice is dashed. Controls, and what else there is, have colours and lines of their own.

    Parameters
    ----------
    study : Study

    Returns
    -------
    dict
        Options of `matplotlib.axes.Axes.plot` by condition.
    """
    from matplotlib import colormaps

    gammas = _gammas(study)
    levels = sorted(set(gammas.values()))
    shades = np.linspace(_DARKEST, _LIGHTEST, max(len(levels), 2))
    seen: dict[float, int] = {}
    styles: dict[str, dict[str, Any]] = {}
    others = 0
    for name in study.design.conditions:
        if name == study.design.baseline:
            styles[name] = {"color": "black", "linestyle": "-"}
        elif name in gammas:
            place = seen[gammas[name]] = seen.get(gammas[name], -1) + 1
            shade = colormaps[_SEQUENTIAL](shades[levels.index(gammas[name])])
            styles[name] = {"color": shade, "linestyle": _LINES[place % len(_LINES)]}
        else:
            styles[name] = {"color": _DISTINCT[others % len(_DISTINCT)], "linestyle": _LINES[others % len(_LINES)]}
            others += 1
    return styles


def _gammas(study: Study) -> dict[str, float]:
    """Return the thresholds of the losses that have one, of conditions that are no controls."""
    left_out = {study.design.baseline, *study.design.controls}
    names = ("loss.gamma", "loss.gamma_over_peak")
    found = {c.condition: c.settings[name] for c in study.cells for name in names if name in c.settings}
    return {name: float(gamma) for name, gamma in found.items() if name not in left_out}


def forest(ax: Axes, study: Study, setting: str) -> Axes:
    """Draw the primary factors of a setting, one condition a row, with intervals that hold together.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    study : Study
    setting : str

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. A dotted line is at 1, dashed ones at what claims ask for; an arrow marks a lower bound, a hollow point an
        outcome that is undecided.

    Raises
    ------
    DomainError
        If there is no such setting.
    """
    entries = _entries(study, setting)
    styles = condition_styles(study)
    ratios = [e.ratio for e in study.entries if e.ratio]
    limits = [*ratios, *(min(max(e.low, 1 / _WIDEST), _WIDEST) for e in study.entries if e.low is not None)]
    limits += [min(e.high, _WIDEST) for e in study.entries if e.high is not None]
    bars = sorted({result.above for result in study.claims} - {1.0})
    lowest, highest = min([1.0, *limits]), max([1.0, *limits, *bars])
    room = 1.1 * (highest / lowest) ** 0.05
    left, right = lowest / room, highest * room * (highest / lowest) ** 0.35  # numbers stand on the right
    ax.axvline(1.0, color="0.35", linestyle=":", linewidth=1.0)
    for bar in bars:
        ax.axvline(bar, color="0.35", linestyle="--", linewidth=0.8)
        ax.annotate(
            f"{bar:g}",
            (bar, 1),
            xycoords=ax.get_xaxis_transform(),
            xytext=(0, 2),
            textcoords="offset points",
            ha="center",
            va="bottom",
            fontsize="x-small",
            color="0.35",
        )
    for row, entry in enumerate(entries):
        _forest_row(ax, row, entry, styles[entry.condition]["color"], (left, right))
    ax.set_xscale("log")
    ax.set_xlim(left, right)
    _set_ticks(ax.xaxis)
    ax.set_yticks(range(len(entries)), [entry.condition for entry in entries])
    ax.set_ylim(len(entries) - 0.4, -0.6)
    ax.set_xlabel(f"factor over {study.design.baseline}")
    return ax


def _forest_row(ax: Axes, row: int, entry: Entry, color: Any, limits: tuple[float, float]) -> None:
    place, text, shade = limits[1], "no factor", "0.35"
    if entry.ratio is not None and entry.low is not None and entry.high is not None:
        low, high = max(entry.low, limits[0]), min(entry.high, limits[1])
        ax.plot([low, high], [row, row], color=color, linestyle="-", linewidth=1.4, solid_capstyle="butt")
        face = "white" if entry.outcome == "undecided" else color
        ax.plot(entry.ratio, row, "o", markersize=4.5, color=color, markerfacecolor=face)
        if entry.is_lower_bound:
            ax.plot(high, row, ">", markersize=4.5, color=color)
        text, shade = f"{entry.bound} {places(entry.ratio)}".strip(), "black"
    # in a column of their own, where no interval is in the way
    ax.annotate(text, (place, row), ha="right", va="center", fontsize="small", color=shade)


def factor_curves(
    ax: Axes, study: Study, setting: str, conditions: Sequence[str], *, bands: Sequence[str] = ()
) -> Axes:
    """Draw factors over the threshold at which the primary metric fails.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    study : Study
    setting : str
    conditions : sequence of str
    bands : sequence of str
        Of which of them the 95 % intervals, each by itself, are drawn as well.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. Triangles are lower bounds, or upper ones if they point down; circles could become either with a longer
        horizon. A line ends where fewer than half of the replicates of either side fail.

    Raises
    ------
    DomainError
        If there is no such setting or condition.
    """
    from matplotlib.ticker import MaxNLocator

    one_of("setting", setting, study.design.settings)
    styles = condition_styles(study)
    for condition in conditions:
        one_of("conditions", condition, study.design.conditions)
        points = [p for p in study.curves if (p.setting, p.condition) == (setting, condition)]
        x = [point.threshold for point in points]
        ratio, low, high = (_column([getattr(p, name) for p in points]) for name in ("ratio", "low", "high"))
        ax.plot(x, ratio, label=condition, **styles[condition])
        if condition in bands:
            ax.fill_between(x, low, high, color=styles[condition]["color"], alpha=_BAND_OPACITY, linewidth=0)
        for bound, marker in _MARKERS.items():
            marked = [place for place, p in enumerate(points) if p.bound == bound and p.ratio is not None]
            shade = styles[condition]["color"]
            face = "white" if marker == "o" else shade
            ax.plot(
                np.take(x, marked),
                ratio[marked],
                linestyle="none",
                marker=marker,
                markersize=3,
                color=shade,
                markerfacecolor=face,
                markeredgewidth=0.7,
            )
    ax.axhline(1.0, color="0.35", linestyle=":", linewidth=1.0)
    if study.design.threshold is not None:
        ax.axvline(study.design.threshold, color="0.75", linewidth=0.8, linestyle="-", zorder=0)
    ends = min(study.design.thresholds), max(study.design.thresholds)
    room = 0.03 * (ends[1] - ends[0])
    ax.set_xlim(ends[0] - room, ends[1] + room)
    if study.design.direction == "below":
        ax.invert_xaxis()  # what fails later stands further to the right
    ax.xaxis.set_major_locator(MaxNLocator(5))
    ax.set_yscale("log")
    _set_ticks(ax.yaxis)
    ax.set_xlabel(f"{metric_label(study.design.metric)}: threshold" + " × generation 0" * study.design.relative)
    ax.set_ylabel(f"factor over {study.design.baseline}")
    return ax


def metric_paths(
    ax: Axes, study: Study, setting: str, metric: str, conditions: Sequence[str], *, bands: Sequence[str] = ()
) -> Axes:
    """Draw means of a metric over replicates, generation by generation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    study : Study
    setting, metric : str
    conditions : sequence of str
    bands : sequence of str
        Of which of them two standard errors to either side are drawn as well.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    DomainError
        If there is no such setting, metric or condition.
    """
    from matplotlib.ticker import MaxNLocator

    one_of("setting", setting, study.design.settings)
    one_of("metric", metric, study.metric_names)
    styles = condition_styles(study)
    for condition in conditions:
        one_of("conditions", condition, study.design.conditions)
        path = study.path(setting, condition, metric)
        if path is None:
            continue
        mean, error = _column(path.mean), _column(path.error)
        generations = np.arange(mean.size)
        ax.plot(generations, mean, label=condition, **styles[condition])
        if condition in bands:
            shade = styles[condition]["color"]
            ax.fill_between(
                generations, mean - 2 * error, mean + 2 * error, color=shade, alpha=_BAND_OPACITY, linewidth=0
            )
    ax.set_xlim(0, study.design.generations)
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("generation")
    ax.set_ylabel(metric_label(metric))
    return ax


# ------------------------------------------------------------------------------------------------------- figures


def forest_figure(study: Study) -> Figure | None:
    """Draw the primary factors of all settings, side by side.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if there is no factor.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from tce_theory.experiments import Definition, run
    >>> from tce_theory.experiments.study import Study
    >>> definition = Definition.from_mapping({
    ...     "title": "A wall", "seed": 1, "n_samples": 50, "generations": 150, "replicates": 50, "coupled": True,
    ...     "label": "Gaussian", "model": {"family": "gaussian"}, "fidelity": [{"metric": "std", "below": 0.7}],
    ...     "conditions": [{"label": "CE", "loss": {"name": "ce"}},
    ...                    {"label": "TCE", "loss": {"name": "tce", "gamma": 0.5}}],
    ...     "study": {"question": "Does the wall hold?", "baseline": "CE", "thresholds": [0.6, 0.7],
    ...               "primary": {"metric": "std", "below": 0.7}}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = Study.of(run(definition, Path(folder, "wall.sqlite")))
    >>> figure = forest_figure(study)
    >>> [(ax.get_title(loc="left"), [label.get_text() for label in ax.get_yticklabels()]) for ax in figure.axes]
    [('Gaussian', ['TCE'])]
    >>> curves_figure(study).axes[0].get_ylabel(), paths_figure(study).axes[0].get_ylabel()
    ('factor over CE', 'standard deviation σ')
    >>> mechanism_figure(study) is None  # neither masked shares nor predictive entropies were recorded
    True
    """
    if not any(entry.ratio is not None for entry in study.entries):
        return None
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    settings = study.design.settings
    columns = _columns(len(settings))
    rows = math.ceil(len(settings) / columns)
    names = _LETTER * max(map(len, study.design.conditions))
    height = 0.95 + 0.21 * (len(study.design.conditions) - 1)
    with style():
        figure = Figure(figsize=(_WIDTHS[columns], rows * height + 0.35))
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
        for ax in panels[len(settings) :]:
            ax.remove()
        for ax, setting in zip(panels, settings, strict=False):
            forest(ax, study, setting)
            ax.set_title(_wrapped(setting, (_WIDTHS[columns] - names) / columns), fontsize="medium", pad=13)
        level = f"{100 * study.design.level:g} %"
        note = (
            f"until {study.design.criterion}; intervals hold together with {level}; "
            "hollow: undecided; arrow: lower bound"
        )
        figure.supxlabel(textwrap.fill(note, int(_WIDTHS[columns] / _LETTER)), fontsize="small")
    return figure


def curves_figure(study: Study) -> Figure | None:
    """Draw the curves over thresholds of all settings: losses with a threshold above, controls below.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if there is no curve.
    """
    if not any(point.ratio is not None for point in study.curves):
        return None
    found = {point.condition for point in study.curves if point.ratio is not None}
    treated = [group[1:] for group in _groups(study) if found & {*group[1:]}]
    note = "bands: 95 % by itself; triangles: lower or upper bounds; circles: either; grey line: the primary threshold"

    def draw(ax: Axes, setting: str, conditions: Sequence[str]) -> None:
        factor_curves(ax, study, setting, conditions, bands=_with_bands(study, setting, conditions))

    return _grid(study, [(names, draw) for names in treated], note)


def paths_figure(study: Study) -> Figure | None:
    """Draw the primary metric over the generations, in all settings.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if nothing has run.
    """
    return _paths_of(study, [study.design.metric])


def mechanism_figure(study: Study) -> Figure | None:
    """Draw what is masked and the entropy of predictions over the generations, in all settings.

    Returns
    -------
    matplotlib.figure.Figure or None
        None if neither is recorded.
    """
    return _paths_of(study, study.mechanism)


def _paths_of(study: Study, metrics: Sequence[str]) -> Figure | None:
    shown = [name for name in metrics if name in study.metric_names]
    if not shown:
        return None

    def drawing(metric: str) -> Callable[[Axes, str, Sequence[str]], None]:
        def draw(ax: Axes, setting: str, conditions: Sequence[str]) -> None:
            bands = [study.design.baseline, *_with_bands(study, setting, conditions)]
            metric_paths(ax, study, setting, metric, conditions, bands=bands)

        return draw

    rows = [(names, drawing(metric)) for metric in shown for names in _groups(study)]
    return _grid(study, rows, "means over replicates; bands: two standard errors")


def _grid(
    study: Study, rows: Sequence[tuple[Sequence[str], Callable[[Axes, str, Sequence[str]], None]]], note: str
) -> Figure:
    """Draw a row of panels for each group of conditions, and a column for each setting, as many as fit."""
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    settings = study.design.settings
    columns = _columns(len(settings))
    pieces = [settings[first : first + columns] for first in range(0, len(settings), columns)]
    named = list(dict.fromkeys(name for names, _ in rows for name in names))
    in_a_row = max(1, int(_WIDTHS[columns] / (0.6 + _LETTER * max(map(len, named)))))
    lines = math.ceil(len(named) / in_a_row)
    with style():
        figure = Figure(figsize=(_WIDTHS[columns], 1.95 * len(rows) * len(pieces) + 0.17 * lines + 0.5))
        panels = figure.subplots(len(rows) * len(pieces), columns, squeeze=False, sharey="row")
        handles: dict[str, Any] = {}
        for place, (piece, (names, draw)) in enumerate((piece, row) for piece in pieces for row in rows):
            is_first, is_last = place % len(rows) == 0, place % len(rows) == len(rows) - 1
            for ax in panels[place][len(piece) :]:
                ax.remove()
            for column, (ax, setting) in enumerate(zip(panels[place], piece, strict=False)):
                draw(ax, setting, names)
                handles |= dict(zip(*reversed(ax.get_legend_handles_labels()), strict=True))
                if is_first:
                    ax.set_title(_wrapped(setting, _WIDTHS[columns] / columns), fontsize="medium")
                if not is_last:
                    ax.set_xlabel("")
                if column:
                    ax.set_ylabel("")
        figure.legend(
            handles=[handles[name] for name in named if name in handles],
            loc="outside lower center",
            ncols=in_a_row,
            title=note,
            title_fontsize="small",
        )
    return figure


def _set_ticks(axis: Any) -> None:
    """Put at least three round numbers on a logarithmic axis, however short it is."""
    from matplotlib.ticker import NullLocator

    low, high = sorted(axis.get_view_interval())
    for ticks in _TICKS:
        shown = [tick for tick in ticks if low <= tick <= high]
        if len(shown) >= 3:
            break
    axis.set_ticks(shown)
    axis.set_major_formatter("{x:g}")
    axis.set_minor_locator(NullLocator())


def _columns(number: int) -> int:
    return number // 2 if number == 4 else min(number, 3)


def _groups(study: Study) -> list[list[str]]:
    """Return the baseline with the conditions that are tested, and with the controls if there are any."""
    design = study.design
    tested = [name for name in design.conditions if name not in {design.baseline, *design.controls}]
    return [[design.baseline, *names] for names in (tested, list(design.controls)) if names]


def _with_bands(study: Study, setting: str, conditions: Sequence[str]) -> list[str]:
    """Return the conditions whose bands can be shown without hiding others: the largest and the smallest factor."""
    found = [entry for entry in _entries(study, setting) if entry.condition in conditions and entry.ratio is not None]
    found.sort(key=lambda entry: entry.ratio or 0.0)
    return [entry.condition for entry in [*found[:1], *found[1:][-1:]]][:_MOST_BANDS]


def _entries(study: Study, setting: str) -> list[Entry]:
    one_of("setting", setting, study.design.settings)
    return [entry for entry in study.entries if entry.setting == setting]


def _column(values: Sequence[float | None]) -> np.ndarray:
    """Return numbers to be drawn; what is missing or infinite leaves a gap."""
    column = np.array([math.nan if value is None else value for value in values], dtype=np.float64)
    return np.where(np.isfinite(column), column, np.nan)


def _wrapped(text: str, inches: float) -> str:
    return textwrap.fill(text, int(inches / (1.35 * _LETTER)))
