"""Drawing functions: each draws on the axes that it is given and returns them.

Colours and line styles that are not given come from the style's cycle, so that what is drawn in turn on the same axes
differs in both.
"""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.fidelity import ExtensionFactor, FidelityInterval
from tce_theory.run import Run
from tce_theory.validation import finite_array, finite_number, one_of, positive_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = [
    "closed_forms",
    "extension_factors",
    "loss_label",
    "metric_label",
    "reference_line",
    "run_label",
    "run_overview",
    "survival",
    "trajectories",
]

_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_BAND_OPACITY = 0.18
_PATH_WIDTH = 0.5
_TITLE_WIDTH = 50
"""Characters in a line of a title above one column of panels."""

_SIDES: dict[str, tuple[tuple[int, int], Any, Any]] = {
    "above": ((-2, 2), "right", "bottom"),
    "below": ((-2, -2), "right", "top"),
    "beside": ((3, 0), "left", "center"),
}
_METRIC_LABELS = {
    "mean": "mean μ",
    "std": "standard deviation σ",
    "log_std": "log σ",
    "entropy": "entropy (nats)",
    "kl_from_origin": "KL(p₀ ‖ pₜ) (nats)",
    "kl_to_origin": "KL(pₜ ‖ p₀) (nats)",
    "w2_squared": "squared W₂ distance W₂²(p₀, pₜ)",
    "masked_weight": "masked weight (points)",
    "heterozygosity": "heterozygosity 1 − Σp²",
    "support": "surviving classes",
    "support_fraction": "share of surviving classes",
    "max_prob": "largest probability",
    "tv": "total variation TV(p₀, pₜ)",
    "prob": "probability of 1",
    "variance": "variance",
    "rate": "rate",
    "entropy_rate": "entropy rate (nats a token)",
    "kl_rate_from_origin": "KL(p₀ ‖ pₜ) (nats a token)",
    "kl_rate_to_origin": "KL(pₜ ‖ p₀) (nats a token)",
    "distinct_ngrams": "different n-grams in the data",
    "longest_cycle": "longest absorbing cycle (tokens)",
    "absorbing_share": "share in absorbing cycles",
    "mean_drift": "drift of the mean (in σ₀)",
    "log_det": "log det Σ",
    "log_condition": "log condition number of Σ",
    "live_components": "live components",
    "live_modes": "modes of the density",
    "mode_mass_error": "total variation of mode masses",
    "sliced_w2": "sliced W₂ distance",
    "kl_from_origin_se": "standard error of KL(p₀ ‖ pₜ)",
    "excess_error": "excess test error ‖wₜ − w₀‖²",
    "error_along": "error along w₀",
    "error_across": "squared error across w₀",
    "coefficient_norm": "norm of the coefficients ‖wₜ‖",
    "noise_std": "noise σ",
    "log_noise_std": "log σ of the noise",
    "predictive_entropy": "predictive entropy (nats)",
    "heldout_cross_entropy": "held-out CE (nats)",
    "calibration_error": "expected calibration error",
    "retention": "facts retained",
    "recall": "facts recalled",
    "confidence_real": "mean p of real targets",
    "confidence_synthetic": "mean p of own targets",
    "distinct_1": "different tokens (share)",
    "distinct_2": "different 2-grams (share)",
    "distinct_3": "different 3-grams (share)",
    "unigram_kl": "KL of unigrams (nats)",
    "masked_share": "share of masked targets",
    "average_masked_share": "share masked in training",
    "unmasked_entropy": "unmasked entropy (nats)",
    "unmasked_cross_entropy": "unmasked CE (nats)",
    "floor_gap": "H + log γ, unmasked (nats)",
    "head_product": "⟨θ, ∇L⟩ of the head (nats)",
    "head_certificate": "‖θ‖ ‖∇L‖ of the head (nats)",
    "elbo": "evidence lower bound (nats)",
    "confidence": "mean p of real pixels",
    "average_excess": "mean κ (CE − H) (nats)",
    "average_excess_identity": "from the head's norm (nats)",
    "average_floor_slack": "mean H above its bound (nats)",
    "latent_spread": "spread of latents",
    "class_entropy": "entropy of classes (nats)",
    "reconstruction_accuracy": "accuracy on reconstructions",
    "frechet": "Fréchet distance",
    "nearest_neighbour": "nearest-neighbour distance",
}
_FAMILY_LABELS = {("MarkovChain", "support"): "surviving transitions"}
_SHARES = {"extinct": "share of extinct replicates", "fixed": "share of replicates at 0 or 1"}
"""Metrics that are 0 or 1, of which quantiles say nothing, and what their mean is."""
_COUNTS = frozenset({"support", "live_modes", "live_components", "distinct_ngrams", "longest_cycle"})
_LOSS_NAMES = {
    "CrossEntropy": "CE",
    "TruncatedCrossEntropy": "TCE",
    "FocalLoss": "focal loss",
    "SmoothTruncatedCrossEntropy": "smooth TCE",
    "WeightedCrossEntropy": "weighted CE",
}
_PARAMETER_NAMES = {"gamma": "γ = {:.3g}", "width": "width {:.3g}", "exponent": "exponent {:.3g}"}
_CHOICES = {
    ("scale", "relative"): "relative",
    ("mask", "previous"): "previous mask",
    ("vacuous", "warm"): "warm",
    ("vacuous", "max-entropy"): "max-entropy",
    ("vacuous", "drawn-only"): "drawn-only",
    ("detach", True): "detached",
}


def metric_label(metric: str) -> str:
    """Label of an axis for a metric, with its unit; the name itself for a metric of the user's own.

    Examples
    --------
    >>> metric_label("entropy"), metric_label("skewness")
    ('entropy (nats)', 'skewness')
    """
    return _METRIC_LABELS.get(metric, metric)


def run_label(run: Run) -> str:
    """Name a run in a legend by its loss, threshold and sample size (or least and largest one), as far as is known.

    Examples
    --------
    >>> import numpy as np
    >>> provenance = {"seed": 1, "n_samples": 100, "loss": "TruncatedCrossEntropy(gamma=0.5)",
    ...               "loss_parameters": {"gamma": 0.5}}
    >>> run = Run(metrics={"std": np.ones((1, 2))}, replicates=np.arange(1), n_replicates=1, generations=1,
    ...           events={}, provenance=provenance)
    >>> run_label(run)
    'TCE, γ = 0.5, n = 100'
    """
    parts = [loss_label(run)]
    if "n_samples" in run.provenance:
        sizes = np.ravel(run.provenance["n_samples"])
        parts.append(" … ".join(f"{size:,}" for size in dict.fromkeys((int(sizes.min()), int(sizes.max())))))
        parts[-1] = f"n = {parts[-1]}"
    return ", ".join(parts)


def loss_label(run: Run) -> str:
    """Name the loss of a run with its threshold, as far as is known.

    Examples
    --------
    >>> import tce_theory as tce
    >>> loss_label(tce.simulate(tce.Gaussian(), tce.TCE(0.5), n_samples=20, generations=1, seed=1))
    'TCE, γ = 0.5'
    """
    loss = str(run.provenance.get("loss", "run")).partition("(")[0]
    words = [_LOSS_NAMES.get(loss, loss), *_parameters_in_words(run.provenance.get("loss_parameters", {}))]
    control = control_of(run)
    if control is not None:  # cross entropy is trained, and TCE says how much of it
        words[0] = f"{control.replace('-', ' ')} of {words[0]}"
    return ", ".join(words)


def control_of(run: Run) -> str | None:
    """Return the control that a run's networks were trained with: a setting of `Training`; None without one."""
    model = run.provenance.get("model")
    training = model.get("training") if isinstance(model, Mapping) else None
    control = training.get("control") if isinstance(training, Mapping) else None
    return None if control in (None, "none") else str(control)


def _parameters_in_words(parameters: Mapping[str, Any]) -> list[str]:
    numbers = [text.format(parameters[name]) for name, text in _PARAMETER_NAMES.items() if name in parameters]
    return numbers + [text for (name, value), text in _CHOICES.items() if parameters.get(name) == value]


def trajectories(
    ax: Axes,
    run: Run,
    metric: str,
    *,
    quantiles: Sequence[float] = _QUANTILES,
    label: str | None = None,
    color: Any = None,
    linestyle: Any = None,
    paths: int = 0,
) -> Axes:
    """Draw the quantiles of a metric over replicates, generation by generation.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    run : Run
    metric : str
        Name of a metric of the run.
    quantiles : sequence of float
        An odd number of increasing levels in (0, 1): the middle one is a line, the others bound bands around it. They
        are sample quantiles without interpolation (``method="inverted_cdf"``), which infinite values allow.
    label : str, optional
        For the legend; `run_label` if not given.
    color, linestyle : optional
        Of the line and, lighter, of the bands; next in the cycle if not given.
    paths : int
        How many replicates, the first ones, are drawn as thin lines.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. Generation 0 is left out for metrics that have no value there.

    Raises
    ------
    DomainError
        If the run has no such metric or no replicate, or `quantiles` or `paths` are not admissible.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> run = Run(metrics={"std": np.array([[1.0, 0.8], [1.0, 0.9], [1.0, 1.2]])}, replicates=np.arange(3),
    ...           n_replicates=3, generations=1, events={}, provenance={"seed": 7})
    >>> ax = trajectories(Figure().subplots(), run, "std")
    >>> ax.lines[0].get_ydata()
    array([1. , 0.9])
    """
    values = _values(run, metric)
    levels = _levels(quantiles)
    paths = positive_integer("paths", paths, minimum=0)
    first = 1 if np.isnan(values[:, 0]).all() else 0
    generations = np.arange(first, values.shape[1])
    rows = np.quantile(values[:, first:], levels, axis=0, method="inverted_cdf")
    middle = levels.size // 2
    (line,) = ax.plot(
        generations, rows[middle], label=run_label(run) if label is None else label, **_given(color, linestyle)
    )
    for low, high in zip(rows[:middle], rows[:middle:-1], strict=True):
        ax.fill_between(generations, low, high, color=line.get_color(), alpha=_BAND_OPACITY, linewidth=0)
    for path in values[:paths, first:]:
        ax.plot(generations, path, color=line.get_color(), linestyle="-", linewidth=_PATH_WIDTH, alpha=0.6)
    return ax


def survival(
    ax: Axes,
    interval: FidelityInterval,
    *,
    label: str | None = None,
    color: Any = None,
    linestyle: Any = None,
    level: float = 0.95,
) -> Axes:
    """Draw the Kaplan–Meier curve of a fidelity interval with its pointwise confidence band.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    interval : FidelityInterval
    label : str, optional
        For the legend; the criterion if not given.
    color, linestyle : optional
        Of the curve and, lighter, of the band; next in the cycle if not given.
    level : float
        Confidence level of the band, in (0, 1).

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. A plus sign ends a curve that is censored at the horizon.

    Raises
    ------
    DomainError
        If `level` is not in (0, 1).

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from tce_theory.fidelity import fidelity_interval
    >>> interval = fidelity_interval(np.array([[1.0, 0.4, 0.2], [1.0, 0.9, 0.3]]), below=0.5, interpolate=False)
    >>> ax = survival(Figure().subplots(), interval)
    >>> ax.lines[0].get_xydata()
    array([[0. , 1. ],
           [1. , 0.5],
           [2. , 0. ]])
    """
    curve = interval.survival(level)
    (line,) = ax.plot(
        [0.0, *curve.times],
        [1.0, *curve.survival],
        drawstyle="steps-post",
        label=interval.criterion if label is None else label,
        **_given(color, linestyle),
    )
    ax.fill_between(
        curve.times, curve.low, curve.high, step="post", color=line.get_color(), alpha=_BAND_OPACITY, linewidth=0
    )
    if interval.is_restricted:
        ax.plot(curve.times[-1:], curve.survival[-1:], marker="+", linestyle="none", color=line.get_color())
    return ax


def reference_line(
    ax: Axes, y: float, label: str, *, color: Any = "0.35", linestyle: Any = ":", side: str = "above"
) -> Axes:
    """Draw a horizontal line across the axes, with its name at the right end.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    y : float
    label : str
    color, linestyle : optional
    side : {"above", "below", "beside"}
        Where the name stands: above or below the line, or beside it outside the axes.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`.

    Raises
    ------
    DomainError
        If `y` is not finite, or `side` is none of the three.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> ax = reference_line(Figure().subplots(), 0.5, "half")
    >>> ax.texts[0].get_text()
    'half'
    """
    y = finite_number("y", y)
    offset, horizontal, vertical = _SIDES[one_of("side", side, tuple(_SIDES))]
    ax.axhline(y, color=color, linestyle=linestyle, linewidth=1.0)
    ax.annotate(
        label,
        (1, y),
        xycoords=ax.get_yaxis_transform(),
        xytext=offset,
        textcoords="offset points",
        horizontalalignment=horizontal,
        verticalalignment=vertical,
        color=color,
        fontsize="small",
    )
    return ax


def extension_factors(ax: Axes, factors: Mapping[str, ExtensionFactor], *, colors: Sequence[Any] | None = None) -> Axes:
    """Draw extension factors with their intervals, one a row, against 1 (no effect), on a logarithmic axis.

    Parameters
    ----------
    ax : matplotlib.axes.Axes
    factors : Mapping of str to ExtensionFactor
        The names of the rows, from above, and their factors, which are above 0 and have finite limits.
    colors : sequence of color, optional
        One for each row; black if not given.

    Returns
    -------
    matplotlib.axes.Axes
        `ax`. The number stands beside each point, away from 1, with ≥ for a lower bound.

    Raises
    ------
    DomainError
        If there is no factor, or one is not above 0 or has an infinite limit.

    Examples
    --------
    >>> import numpy as np
    >>> from matplotlib.figure import Figure
    >>> from tce_theory.fidelity import extension_factor, fidelity_interval
    >>> rate = np.random.default_rng(1).uniform(0.01, 0.03, (2, 200, 1))
    >>> sides = [fidelity_interval(np.exp(-r * np.arange(101)), below=0.75) for r in (rate[0], rate[1] / 2)]
    >>> ax = extension_factors(Figure().subplots(), {"half the rate": extension_factor(*sides)})
    >>> ax.texts[0].get_text()
    '2.12'
    """
    if not factors:
        raise DomainError("factors", factors, "a mapping with at least one extension factor")
    for name, factor in factors.items():
        if not (factor.low > 0 and math.isfinite(factor.high)):
            raise DomainError(f"factors[{name!r}]", str(factor), "an extension factor with limits in (0, inf)")
    shades = ["black"] * len(factors) if colors is None else list(colors)
    for row, (factor, shade) in enumerate(zip(factors.values(), shades, strict=True)):
        limits = [[factor.ratio - factor.low], [factor.high - factor.ratio]]
        ax.errorbar(factor.ratio, row, xerr=limits, fmt="o", markersize=4, capsize=2.5, color=shade, linestyle="-")
        is_longer = factor.ratio >= 1
        ax.annotate(
            f"{'≥ ' if factor.is_lower_bound else ''}{factor.ratio:.2f}",
            (factor.high if is_longer else factor.low, row),
            xytext=(5 if is_longer else -5, 0),
            textcoords="offset points",
            horizontalalignment="left" if is_longer else "right",
            verticalalignment="center",
            fontsize="small",
        )
    ax.axvline(1.0, color="0.35", linestyle=":", linewidth=1.0)
    lowest, highest = min(1.0, *(f.low for f in factors.values())), max(1.0, *(f.high for f in factors.values()))
    room = 1.6 * (highest / lowest) ** 0.2  # on both sides, for the numbers
    ax.set_xscale("log", base=2 if highest / lowest < 50 else 10)
    ax.set_xlim(lowest / room, highest * room)
    ax.xaxis.set_major_formatter("{x:g}")
    ax.set_yticks(range(len(factors)), list(factors))
    ax.set_ylim(len(factors) - 0.5, -0.5)
    ax.set_xlabel("extension factor over CE")
    return ax


def run_overview(run: Run) -> Figure:
    """Draw every metric of a run over generations, one panel each.

    Parameters
    ----------
    run : Run

    Returns
    -------
    matplotlib.figure.Figure
        Medians with bands that hold the middle 50 % and 90 % of the replicates; of a metric that is 0 or 1 ("extinct",
        "fixed") the share of replicates where it is 1. A Gaussian under an absolute threshold gets its wall σ_c and
        floor σ_f (slugs `density-wall`, `density-floor`). `tce_theory.plotting.save` saves it.

    Raises
    ------
    DomainError
        If the run has no metric or no replicate.

    Examples
    --------
    >>> import numpy as np
    >>> run = Run(metrics={"std": np.ones((2, 4)), "entropy": np.ones((2, 4))}, replicates=np.arange(2),
    ...           n_replicates=2, generations=3, events={}, provenance={"seed": 7})
    >>> [ax.get_ylabel() for ax in run_overview(run).axes]
    ['standard deviation σ', 'entropy (nats)']
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    from tce_theory.plotting import style

    if not run.metrics:
        raise DomainError("run.metrics", dict(run.metrics), "at least one metric")
    columns = min(2, len(run.metrics))
    rows = math.ceil(len(run.metrics) / columns)
    title = run_title(run)
    with style():
        figure = Figure(figsize=(3.6 * columns, 2.5 * rows + 0.5 + 0.15 * title.count("\n")))
        panels = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax in panels[len(run.metrics) :]:
            ax.remove()
        for ax, metric in zip(panels, run.metrics, strict=False):
            _panel(ax, run, metric)
            ax.set_xlabel("generation")
            ax.set_xlim(0, run.generations)
            ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        handles = _overview_handles(run, panels[0].lines[0].get_color())
        legend = figure.legend(handles=handles, loc="outside upper center", ncols=3 if columns == 2 else 1, title=title)
        legend.get_title().set_multialignment("center")
    return figure


def run_title(run: Run) -> str:
    """Family and replicates; in a second line regime and decoding, where they are not the plain ones."""
    provenance = run.provenance
    title = f"{provenance.get('family', 'model')}, {run.replicates.size:,} replicates"
    plain = (None, "Replace()")
    special = [str(provenance[name]) for name in ("regime", "decoding") if provenance.get(name) not in plain]
    return "\n".join([title, ", ".join(special)] if special else [title])


def _panel(ax: Axes, run: Run, metric: str) -> None:
    """Draw one metric over generations: quantiles over replicates, or their share where it is 0 or 1."""
    from matplotlib.ticker import MaxNLocator

    if metric in _SHARES:
        ax.plot(_values(run, metric).mean(axis=0))
        ax.set_ylim(-0.02, 1.02)
        ax.set_ylabel(_SHARES[metric])
        return
    trajectories(ax, run, metric)
    for y, name, side in _thresholds(run, metric):
        reference_line(ax, y, name, side=side)
    ax.set_ylabel(_FAMILY_LABELS.get((str(run.provenance.get("family")), metric), metric_label(metric)))
    if metric in _COUNTS:
        ax.yaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    if metric.startswith("kl_"):
        _divergence_panel(ax, run.metrics[metric])


def _divergence_panel(ax: Axes, values: np.ndarray) -> None:
    """Make what explodes readable: a logarithmic axis beyond three decades, and a word where the median is infinite."""
    later = np.quantile(values[:, 1:], (_QUANTILES[0], 0.5, _QUANTILES[-1]), axis=0, method="inverted_cdf")
    positive = later[np.isfinite(later) & (later > 0)]
    if positive.size and positive.max() > 1000 * positive.min():
        ax.set_yscale("log")
    infinite = np.isinf(later[1])
    if infinite.any():
        first = int(infinite.argmax())
        for_ever = infinite[first:].all()
        when = f"from generation {first + 1} on" if for_ever else f"in {infinite.sum()} generations"
        ax.text(
            0.97,
            0.5,
            f"median infinite\n{when}",
            transform=ax.transAxes,
            ha="right",
            va="center",
            fontsize="small",
            color="0.35",
        )


def _overview_handles(run: Run, color: Any) -> list[Any]:
    """Return what the legend of an overview shows: the meaning of line and bands."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    if set(run.metrics) <= set(_SHARES):
        return [Line2D([], [], color=color, label=run_label(run))]
    shades = [1 - (1 - _BAND_OPACITY) ** layers for layers in (2, 1)]
    bands = [
        Patch(color=color, alpha=shade, linewidth=0, label=f"middle {share} %")
        for shade, share in zip(shades, (50, 90), strict=True)
    ]
    return [Line2D([], [], color=color, label=f"{run_label(run)}: median"), *bands]


def closed_forms(
    rows: Sequence[Mapping[str, Any]],
    *,
    x: str,
    panels: Sequence[str],
    lines: Sequence[str] = (),
    title: str = "",
    log_x: bool = False,
) -> Figure:
    """Draw closed forms over a parameter: one panel a form, one line for each combination of the other parameters.

    Parameters
    ----------
    rows : sequence of mapping
        Values by name, one row for each combination of parameters.
    x : str
        The parameter on the horizontal axis.
    panels : sequence of str
        Names of the closed forms. Vertical axes are logarithmic where positive values span more than three decades.
    lines : sequence of str
        The other parameters with several values.
    title : str
    log_x : bool
        Whether the horizontal axis is logarithmic.

    Returns
    -------
    matplotlib.figure.Figure

    Raises
    ------
    DomainError
        If no panel has a number in every row.

    Examples
    --------
    >>> figure = closed_forms([{"n": 1, "f": 2.0}, {"n": 2, "f": 1.0}], x="n", panels=["f"])
    >>> figure.axes[0].get_ylabel(), figure.axes[0].lines[0].get_ydata().tolist()
    ('f', [2.0, 1.0])
    """
    from matplotlib.figure import Figure

    from tce_theory.plotting import style

    drawn = [name for name in panels if all(_is_number(row.get(name)) for row in rows)]
    if not drawn:
        raise DomainError("panels", list(panels), "closed forms with one number for each combination of parameters")
    columns = min(2, len(drawn))
    n_rows = math.ceil(len(drawn) / columns)
    with style():
        figure = Figure(figsize=(3.6 * columns, 2.5 * n_rows + 0.4))
        grid = figure.subplots(n_rows, columns, squeeze=False).ravel()
        for ax in grid[len(drawn) :]:
            ax.remove()
        for ax, name in zip(grid, drawn, strict=False):
            for label, group in _grouped(rows, lines).items():
                ax.plot([row[x] for row in group], [row[name] for row in group], label=label)
            values = np.array([row[name] for row in rows], dtype=np.float64)
            positive = values[np.isfinite(values)]
            if positive.size and positive.min() > 0 and positive.max() > 1000 * positive.min():
                ax.set_yscale("log")
            if log_x:
                ax.set_xscale("log")
            ax.set_xlabel(x)
            ax.set_ylabel(name)
        if lines:
            handles = grid[0].get_legend_handles_labels()[0]
            figure.legend(handles=handles, loc="outside lower center", ncols=min(len(handles), 2 * columns))
        figure.suptitle(textwrap.fill(title, _TITLE_WIDTH * columns), fontsize=9)
    return figure


def _grouped(rows: Sequence[Mapping[str, Any]], names: Sequence[str]) -> dict[str, list[Mapping[str, Any]]]:
    groups: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        label = ", ".join(f"{name} = {row[name]:.4g}" if _is_number(row[name]) else str(row[name]) for name in names)
        groups.setdefault(label, []).append(row)
    return groups


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _thresholds(run: Run, metric: str) -> list[tuple[float, str, str]]:
    """Heights, names, and sides of the names, of the lines that theory draws into the panel of a metric."""
    from tce_theory.theory import wall

    parameters = run.provenance.get("loss_parameters", {})
    is_absolute = parameters.get("scale") == "absolute" and parameters.get("mask") == "current"
    if metric != "std" or run.provenance.get("family") != "Gaussian" or not is_absolute:
        return []
    gamma = parameters["gamma"]
    # the paths of σ stay near or above the wall: below it there is room
    return [
        (float(wall.critical_std(gamma)), "wall σ$_c$", "below"),
        (float(wall.floor_std(gamma)), "floor σ$_f$", "above"),
    ]


def _values(run: Run, metric: str) -> np.ndarray:
    values = run.metrics[one_of("metric", metric, tuple(run.metrics))]
    if values.shape[0] == 0:
        raise DomainError("run", "0 replicates", "a run with at least one replicate")
    return values


def _levels(quantiles: Sequence[float]) -> np.ndarray:
    levels = finite_array("quantiles", quantiles)
    if levels.size % 2 == 0 or levels[0] <= 0 or levels[-1] >= 1 or (np.diff(levels) <= 0).any():
        raise DomainError("quantiles", list(quantiles), "an odd number of increasing levels in (0, 1)")
    return levels


def _given(color: Any, linestyle: Any) -> dict[str, Any]:
    # None would switch the cycle off for the other of the two
    return {name: value for name, value in (("color", color), ("linestyle", linestyle)) if value is not None}
