"""Drawing maps of extension factors, and the choice of a threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.plotting.figures import extension_factors

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tce_theory.choice import GammaChoice
    from tce_theory.experiments.mapping import ExtensionMap, MapEntry

__all__ = ["choice_overview", "extension_map", "gamma_candidates"]

_COLOURS = "PuOr_r"  # two hues that all readers tell apart; lightness alone tells how far from 1
_STRONGEST = 8.0
"""Factors beyond this, or below its inverse, have the darkest shade."""
_MARKS = {"helps": "▲", "harms": "▼", "neutral": "=", "undecided": "?"}
_CELL = (0.62, 0.19)
"""Inches of an entry."""
_MARGINS = {"right": 0.15, "title": 0.32, "axis": 0.42}
_LETTER = 0.068
"""Inches of a letter in the names of the rows."""


def extension_map(found: ExtensionMap, *, settings: Sequence[str] | None = None) -> Figure:
    """Draw a map: a panel for each setting, a row for each criterion and sample size, a column for each threshold.

    Parameters
    ----------
    found : ExtensionMap
    settings : sequence of str, optional
        Which of its settings, in this order; all if not given.

    Returns
    -------
    matplotlib.figure.Figure
        Factors as numbers and as shades of their logarithm: orange above 1, purple below. ▲ helps, ▼ harms,
        = neutral, ? undecided; ≥ a lower bound. `tce_theory.plotting.save` saves it.

    Raises
    ------
    DomainError
        If there is no such setting.

    Examples
    --------
    >>> from tce_theory.experiments.mapping import ExtensionMap, MapEntry
    >>> entry = MapEntry(setting="Gaussian", n_samples=100, gamma=0.5, gamma_over_peak=1.25, criterion="std below 0.7",
    ...                  ratio=3.0, low=2.5, high=3.6, is_lower_bound=False, p=1e-9, adjusted_p=1e-8, verdict="helps",
    ...                  notes="", cell=1)
    >>> figure = extension_map(ExtensionMap("One entry", (entry,), 0.05, 0.1))
    >>> [text.get_text() for text in figure.axes[0].texts]
    ['3.0▲']
    """
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    shown = found.settings if settings is None else tuple(settings)
    for name in shown:
        if name not in found.settings:
            raise DomainError("settings", name, f"among {', '.join(map(repr, found.settings))}")
    panels = [[entry for entry in found.entries if entry.setting == name] for name in shown]
    grids = [_Grid(entries) for entries in panels]
    left = 0.15 + _LETTER * max(len(name) for grid in grids for name in grid.names)
    width = left + _MARGINS["right"] + _CELL[0] * max(len(grid.columns) for grid in grids)
    heights = [_MARGINS["title"] + _MARGINS["axis"] + _CELL[1] * len(grid.rows) for grid in grids]
    caption = 0.45
    with style():
        figure = Figure(figsize=(width, sum(heights) + caption))
        figure.set_layout_engine("none")  # the panels have their places
        top = figure.get_figheight()
        for name, grid, height in zip(shown, grids, heights, strict=True):
            box = (
                left / width,
                (top - height + _MARGINS["axis"]) / figure.get_figheight(),
                _CELL[0] * len(grid.columns) / width,
                _CELL[1] * len(grid.rows) / figure.get_figheight(),
            )
            grid.draw(figure.add_axes(box), name)
            top -= height
        figure.text(0.5, 0.12 / figure.get_figheight(), _legend(found), ha="center", va="bottom", fontsize="small")
    return figure


def _legend(found: ExtensionMap) -> str:
    return (
        "extension factor over CE: ▲ helps, ▼ harms (false discovery rate "
        f"{100 * found.significance:g} %),\n= within {100 * found.margin:g} % of 1, ? undecided, ≥ lower bound"
    )


class _Grid:
    """The entries of one setting, by row and column."""

    def __init__(self, entries: Sequence[MapEntry]) -> None:
        self.relative = all(entry.gamma_over_peak is not None for entry in entries)
        self.columns = sorted({self._position(entry) for entry in entries})
        sizes = {entry.n_samples for entry in entries}
        self.rows = list(dict.fromkeys((entry.criterion, entry.n_samples) for entry in entries))
        self.rows.sort(key=lambda row: [entry.criterion for entry in entries].index(row[0]))
        self.names = [f"{criterion}, n = {n:,}" if len(sizes) > 1 else criterion for criterion, n in self.rows]
        self.entries = {
            (self.rows.index((entry.criterion, entry.n_samples)), self.columns.index(self._position(entry))): entry
            for entry in entries
        }

    def _position(self, entry: MapEntry) -> float:
        return entry.gamma if entry.gamma_over_peak is None or not self.relative else entry.gamma_over_peak

    def draw(self, ax: Axes, title: str) -> None:
        values = np.full((len(self.rows), len(self.columns)), np.nan)
        for place, entry in self.entries.items():
            if entry.ratio is not None:
                values[place] = math.log(min(max(entry.ratio, 1 / _STRONGEST), _STRONGEST))
        limit = math.log(_STRONGEST)
        ax.pcolormesh(values, cmap=_COLOURS, vmin=-limit, vmax=limit, edgecolors="white", linewidth=0.6)
        for (row, column), entry in self.entries.items():
            is_dark = abs(values[row, column]) > 0.62 * limit
            ax.text(
                column + 0.5,
                row + 0.52,
                _text(entry),
                ha="center",
                va="center",
                fontsize="x-small",
                color="white" if is_dark else "black",
            )
        ax.set_title(title, loc="left", fontsize="medium")
        ax.set_xticks(np.arange(len(self.columns)) + 0.5, [f"{value:.4g}" for value in self.columns])
        ax.set_yticks(np.arange(len(self.rows)) + 0.5, self.names)
        ax.set_xlabel("γ / greatest density or probability" if self.relative else "γ")
        ax.tick_params(length=0, labelsize="small")
        ax.invert_yaxis()
        for spine in ax.spines.values():
            spine.set_visible(False)


def _text(entry: MapEntry) -> str:
    if entry.ratio is None:
        return "–"
    number = f"{entry.ratio:.2f}" if entry.ratio < 1.995 else f"{entry.ratio:.1f}" if entry.ratio < 99.5 else ">99"
    return f"{'≥' if entry.is_lower_bound else ''}{number}{_MARKS[entry.verdict]}"


def gamma_candidates(ax: Axes, choice: GammaChoice) -> Axes:
    """Draw the extension factors of all candidates over gamma, with those of fresh and of accumulated data as lines.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    choice : GammaChoice
        With at least one candidate.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. The chosen threshold is a filled point, lower bounds have an arrow.
    """
    from matplotlib.ticker import LogLocator, NullLocator

    for option in choice.candidates:
        factor, gamma = option.factor, float(option.value or 0)
        limits = [[max(factor.ratio - factor.low, 0)], [max(factor.high - factor.ratio, 0)]]
        is_chosen = option.value == choice.gamma
        style: dict[str, Any] = {"markerfacecolor": "black" if is_chosen else "white", "markersize": 5}
        ax.errorbar(gamma, factor.ratio, yerr=limits, fmt="o", color="black", capsize=2, linestyle="-", **style)
        if factor.is_lower_bound:
            ax.annotate("↑", (gamma, factor.high), ha="center", va="bottom", fontsize="small")
    ax.axhline(1.0, color="0.35", linestyle=":", linewidth=1.0)
    for option in _shown_rivals(choice):
        label = "all data kept" if option.value is None else f"{100 * option.value:g} % fresh"
        ax.axhline(option.factor.ratio, color="C0" if option.value is None else "C1", linestyle="--", linewidth=0.9)
        ax.annotate(
            label,
            (1.01, option.factor.ratio),
            xycoords=ax.get_yaxis_transform(),
            va="center",
            fontsize="small",
        )
    ax.set_xscale("log")
    ax.set_yscale("log")
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.set_major_formatter("{x:g}")
        axis.set_minor_locator(NullLocator())
    ax.set_xlabel("threshold γ")
    ax.set_ylabel("extension factor over CE")
    return ax


def _shown_rivals(choice: GammaChoice) -> list[Any]:
    """Return rivals whose lines stand apart."""
    shown: list[Any] = []
    for option in reversed(choice.rivals):
        if all(abs(math.log(option.factor.ratio / other.factor.ratio)) > 0.35 for other in shown):
            shown.append(option)
    return shown


def choice_overview(choice: GammaChoice) -> Figure:
    """Draw what `choose_gamma` found: the candidates, and beside them what the best one does to other metrics.

    Parameters
    ----------
    choice : GammaChoice
        With at least one candidate.

    Returns
    -------
    matplotlib.figure.Figure

    Examples
    --------
    >>> import tce_theory as tce
    >>> choice = tce.choose_gamma(tce.Categorical([0.6, 0.4]), n_samples=20, generations=50, metric="support", below=2,
    ...                           gammas=[0.8, 0.9], replicates=100, seed=1)
    >>> [ax.get_xlabel() for ax in choice_overview(choice).axes]
    ['threshold γ', 'extension factor over CE']
    """
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    effects = {
        effect.metric: effect.factor
        for effect in choice.side_effects
        if effect.factor.low > 0 and math.isfinite(effect.factor.high)
    }
    with style():
        figure = Figure(figsize=(7.2, max(2.8, 0.9 + 0.24 * len(effects))), layout="constrained")
        axes = figure.subplots(1, 2 if effects else 1, squeeze=False)[0]
        gamma_candidates(axes[0], choice)
        axes[0].set_title(f"until {choice.criterion}", fontsize="small", loc="left")
        if effects:
            extension_factors(axes[1], effects)
            axes[1].set_title(f"other metrics, γ = {choice.best:.4g}", fontsize="small", loc="left")
    return figure
