"""Drawing predictions: what is left of a vocabulary over generations."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tce_theory.plotting.figures import metric_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from tce_theory.prediction import Comparison, Prediction

__all__ = ["prediction_overview"]

_LABELS = {"types": "support", "entropy": "entropy", "heterozygosity": "heterozygosity"}
_STANDARD_ERRORS = 2


def prediction_overview(prediction: Prediction, comparison: Comparison | None = None) -> Figure:
    """Draw vocabulary, entropy and heterozygosity over generations, one panel each.

    Parameters
    ----------
    prediction : tce_theory.prediction.Prediction
    comparison : tce_theory.prediction.Comparison, optional
        Simulated means, drawn as points with bars of two standard errors either way.

    Returns
    -------
    matplotlib.figure.Figure
        Generations are on a logarithmic axis, without generation 0. `tce_theory.plotting.save` saves it.

    Examples
    --------
    >>> from tce_theory.models.categorical import Categorical
    >>> from tce_theory.prediction import predict
    >>> prediction = predict(Categorical.zipf(100), n_samples=1000, generations=100)
    >>> [ax.get_ylabel() for ax in prediction_overview(prediction).axes]
    ['surviving classes', 'entropy (nats)', 'heterozygosity 1 − Σp²']
    """
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    with style():
        figure = Figure(figsize=(7.2, 2.9))
        for ax, metric in zip(figure.subplots(1, 3), prediction.metric_names, strict=True):
            _panel(ax, prediction, comparison, metric)
        handles, labels = figure.axes[0].get_legend_handles_labels()
        figure.legend(
            handles, labels, loc="outside upper center", ncols=2,
            title=f"{prediction.model.size:,} classes, n = {prediction.n_samples:,}, CE",
        )  # fmt: skip
    return figure


def _panel(ax: Axes, prediction: Prediction, comparison: Comparison | None, metric: str) -> None:
    shown = prediction.generations > 0
    generations = prediction.generations[shown]
    ax.plot(generations, getattr(prediction, metric)[shown], label="predicted mean")
    if comparison is not None:
        ax.errorbar(
            generations, comparison.means[metric][shown],
            _STANDARD_ERRORS * comparison.standard_errors[metric][shown], color="C2", linestyle="none", marker="o",
            markersize=3, label=f"mean of {comparison.replicates:,} simulated, ± {_STANDARD_ERRORS} standard errors",
        )  # fmt: skip
    ax.set_xscale("log")
    ax.set_xlabel("generation")
    ax.set_ylabel(metric_label(_LABELS[metric]))
    ax.set_ylim(0, 1.08 * float(getattr(prediction, metric).max()) or None)
    ax.ticklabel_format(axis="y", useMathText=True, scilimits=(-4, 5))
