"""Runs of several losses on the same axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from tce_theory.errors import DomainError
from tce_theory.plotting.figures import loss_label, metric_label, run_title, trajectories
from tce_theory.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = ["comparison"]

_QUANTILES = (0.05, 0.5, 0.95)
_COLUMNS = 2
_SHARES = frozenset({"retention", "recall", "masked_share", "average_masked_share", "reconstruction_accuracy"})
_BESIDE = 3
"""Runs of which a legend has room in one row."""


def comparison(runs: Sequence[Run], metrics: Sequence[str] | None = None) -> Figure:
    """Draw metrics of several runs over generations, one panel a metric and one line a run.

    Parameters
    ----------
    runs : sequence of Run
        Of the same number of generations, such as one for each loss; `loss_label` names them in the legend.
    metrics : sequence of str, optional
        In the order of the panels; those of the first run if not given.

    Returns
    -------
    matplotlib.figure.Figure
        Medians over replicates, with bands from the 5 % to the 95 % quantile. Infinite values are left out.

    Raises
    ------
    DomainError
        If there is no run, or one lacks a metric or has another number of generations.

    Examples
    --------
    >>> import tce_theory as tce
    >>> losses = tce.CrossEntropy(), tce.TCE(0.5)
    >>> runs = [tce.simulate(tce.Gaussian(), loss, n_samples=50, generations=9, replicates=20, seed=1,
    ...                      metrics=["std", "entropy"]) for loss in losses]
    >>> figure = comparison(runs)
    >>> [ax.get_ylabel() for ax in figure.axes], len(figure.axes[0].lines)
    (['standard deviation σ', 'entropy (nats)'], 2)
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from tce_theory.plotting import style

    if not runs:
        raise DomainError("runs", list(runs), "at least one run")
    names = list(runs[0].metrics if metrics is None else metrics)
    for run in runs:
        missing = [name for name in names if name not in run.metrics]
        if missing or not names:
            raise DomainError("metrics", missing or names, "at least one metric, which every run has")
        if run.generations != runs[0].generations:
            raise DomainError("runs", f"{run.generations} generations", f"{runs[0].generations}, as the first run has")
    columns = min(_COLUMNS, len(names))
    rows = math.ceil(len(names) / columns)
    with style():
        figure = Figure(figsize=(3.6 * columns, 2.3 * rows + 1.0))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in panels[len(names) :]:
            ax.remove()
        for ax, name in zip(panels, names, strict=False):
            for run in runs:
                trajectories(ax, run, name, quantiles=_QUANTILES)
            ax.set_xlabel("generation")
            ax.set_ylabel(metric_label(name))
            ax.set_xlim(0, runs[0].generations)
            if name in _SHARES:
                ax.set_ylim(-0.02, 1.02)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles = panels[0].get_legend_handles_labels()[0]
        in_a_row = 1 if columns == 1 else min(_BESIDE, len(runs))
        title = f"{run_title(runs[0])}\nmedians, and bands from the 5 % to the 95 % quantile"
        labels = [loss_label(run) for run in runs]
        legend = figure.legend(handles, labels, loc="outside upper center", ncols=in_a_row, title=title)
        legend.get_title().set_multialignment("center")
    return figure
