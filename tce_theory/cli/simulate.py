"""``tce simulate``: the families, and what all of them have in common."""

import os
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._generation0 import csv_column, text_model, zipf_model
from tce_theory.cli._options import (
    FIDELITY,
    LOSS,
    OUTPUT,
    PLOT_SUFFIXES,
    SIZES,
    ZERO,
    Jobs,
    Json,
    Quiet,
    accepting,
    as_option,
    check_file,
    flag,
    is_given,
    numbers,
    numeric,
    refuse,
    textual,
)
from tce_theory.cli._output import collected_notes, output_console, print_json, print_line, short
from tce_theory.cli._program import BadInputError, Command, InterruptedWorkError, app
from tce_theory.errors import DomainError, StatisticalWarning

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from tce_theory.fidelity import FidelityInterval
    from tce_theory.losses import Loss
    from tce_theory.models.base import Model
    from tce_theory.run import Run

_LOSSES = {
    "ce": ("CrossEntropy", ()),
    "tce": ("TruncatedCrossEntropy", ("gamma", "scale", "mask", "vacuous")),
    "focal": ("FocalLoss", ("exponent", "detach")),
    "smooth": ("SmoothTruncatedCrossEntropy", ("gamma", "width")),
}
_THRESHOLDS = ("below", "above", "outside")
_QUANTILES = {"median": 0.5, "q05": 0.05, "q95": 0.95}

_Column = Annotated[
    str | None,
    textual("--column", "NAME|N", ZERO, "Column of the CSV file, by name or counted from 1."),
]
_NoHeader = Annotated[
    bool, flag("--no-header", ZERO, "The first row of the CSV file is data too. Otherwise words in it are a header.")
]


@dataclass(frozen=True, kw_only=True)
class SimulationOptions:
    """The options of ``tce simulate`` that do not depend on the family; names are those of `simulate`'s arguments."""

    n_samples: Annotated[int, numeric("--n-samples", SIZES, "Points drawn for each generation.", also=("--n",))]
    generations: Annotated[int, numeric("--generations", SIZES, "Generations after generation 0.")]
    replicates: Annotated[int, numeric("--replicates", SIZES, "Independent repetitions.")] = 1000
    fraction: Annotated[
        float | None,
        numeric("--fresh", SIZES, "Share of points from generation 0; 0 if not given.", metavar="SHARE"),
    ] = None
    sampler: Annotated[
        str,
        textual("--sampler", "auto|points", SIZES, "auto: statistics where they suffice; points: always every point."),
    ] = "auto"
    seed: Annotated[int | None, numeric("--seed", SIZES, "Seed of the random numbers; fresh if not given.")] = None
    n_jobs: Jobs = -1
    loss: Annotated[str, textual("--loss", "ce|tce|focal|smooth", LOSS, "What each generation minimises.")] = "ce"
    gamma: Annotated[float | None, numeric("--gamma", LOSS, "tce, smooth: confidence threshold.", metavar="NUMBER")] = (
        None
    )
    scale: Annotated[
        str | None,
        textual("--scale", "absolute|relative", LOSS, "tce: gamma is a density (default), or a share of its peak."),
    ] = None
    mask: Annotated[
        str | None,
        textual("--mask", "current|previous", LOSS, "tce: masked by the model being fitted (default), or before it."),
    ] = None
    vacuous: Annotated[
        str | None,
        textual("--vacuous", "NAME", LOSS, "tce: the fit if all is masked: auto, warm, max-entropy or drawn-only."),
    ] = None
    exponent: Annotated[
        float | None, numeric("--exponent", LOSS, "focal: power of 1 - p; 2 if not given.", metavar="NUMBER")
    ] = None
    detach: Annotated[bool, flag("--detach", LOSS, "focal: its factor is a constant of the gradient.")] = False
    width: Annotated[
        float | None, numeric("--width", LOSS, "smooth: width of the threshold in log p.", metavar="NUMBER")
    ] = None
    below: Annotated[
        float | None, numeric("--below", FIDELITY, "It ends when the metric falls below this.", metavar="NUMBER")
    ] = None
    above: Annotated[
        float | None, numeric("--above", FIDELITY, "It ends when the metric rises above this.", metavar="NUMBER")
    ] = None
    outside: Annotated[
        str | None, textual("--outside", "LOW,HIGH", FIDELITY, "It ends when the metric leaves this band.")
    ] = None
    fidelity_metric: Annotated[
        str | None,
        textual("--fidelity-metric", "NAME", FIDELITY, "The metric; that of --metric if there is just one."),
    ] = None
    relative: Annotated[
        bool, flag("--relative", FIDELITY, "Thresholds are multiples of the value at generation 0.")
    ] = False
    no_interpolate: Annotated[
        bool, flag("--no-interpolate", FIDELITY, "Count whole generations, without interpolation between them.")
    ] = False
    metrics: Annotated[
        list[str] | None,
        textual("--metric", "NAME", OUTPUT, "Metric to record, see above; may be given several times."),
    ] = None
    out: Annotated[Path | None, textual("--out", "FILE.npz", OUTPUT, "Save the run, for tce_theory.Run.load.")] = None
    plot: Annotated[
        Path | None, textual("--plot", "FILE", OUTPUT, "Draw the run; FILE ends in .pdf, .png or .svg.")
    ] = None
    json: Json = False
    quiet: Quiet = False


simulation = typer.Typer(help="Simulate generations of models, each fitted to data drawn from its predecessor.")
app.add_typer(simulation, name="simulate")


@simulation.command(cls=Command)
@accepting(SimulationOptions)
def gaussian(
    options: SimulationOptions,
    *,
    mean: Annotated[float | None, numeric("--mean", ZERO, "Mean; 0 if not given.", metavar="NUMBER")] = None,
    std: Annotated[
        float | None, numeric("--std", ZERO, "Standard deviation, above 0; 1 if not given.", metavar="NUMBER")
    ] = None,
    csv: Annotated[
        Path | None, textual("--csv", "FILE", ZERO, "Fit generation 0 to a column of this CSV file.")
    ] = None,
    column: _Column = None,
    no_header: _NoHeader = False,
    fit_mean: Annotated[
        bool, flag("--fit-mean/--known-mean", ZERO, "Whether fits estimate the mean, or it is known.")
    ] = True,
    ddof: Annotated[
        int, numeric("--ddof", ZERO, "0 for the maximum-likelihood variance, 1 for the unbiased one.", metavar="0|1")
    ] = 0,
) -> None:
    """Simulate a Gaussian whose standard deviation, and mean unless it is known, are fitted anew each generation.

    Example: tce simulate gaussian --n 100 --generations 500 --loss tce --gamma 0.5

    Metrics of the model: mean, std, log_std, entropy. Of the fit: masked_weight.
    Against generation 0: kl_from_origin, kl_to_origin, w2_squared.
    """
    from tce_theory.models.gaussian import Gaussian

    if csv is None:
        refuse({"column": column, "no_header": no_header}, "--csv FILE")
        model = Gaussian(0.0 if mean is None else mean, 1.0 if std is None else std, fit_mean=fit_mean, ddof=ddof)
        _simulate(model, None, options)
        return
    if std is not None:
        raise BadInputError("--std does not go with --csv, whose standard deviation is taken")
    if mean is not None and fit_mean:
        raise BadInputError("--mean goes with --csv only if it is known: add --known-mean")
    values, name = csv_column("csv", csv, column, no_header)
    model = Gaussian.from_samples(values, fit_mean=fit_mean, ddof=ddof, mean=0.0 if mean is None else mean)
    _simulate(model, f"fitted to {len(values)} numbers, {name} of {csv}", options)


@simulation.command(cls=Command)
@accepting(SimulationOptions)
def categorical(
    options: SimulationOptions,
    *,
    probs: Annotated[
        str | None, textual("--probs", "P,P,…", ZERO, "Probabilities of the classes, which sum to 1.")
    ] = None,
    zipf: Annotated[
        str | None, textual("--zipf", "K[:EXPONENT]", ZERO, "Zipf's law on K classes; exponent 1 if not given.")
    ] = None,
    counts: Annotated[
        Path | None,
        textual("--counts", "FILE", ZERO, "Frequencies from a column of this CSV file."),
    ] = None,
    column: _Column = None,
    no_header: _NoHeader = False,
    text: Annotated[
        Path | None,
        textual(
            "--text",
            "FILE",
            ZERO,
            "Frequencies in this text; one of Python's if nothing is given.",
        ),
    ] = None,
    unit: Annotated[
        str | None, textual("--unit", "word|char", ZERO, "What is counted in a text: words if not given.")
    ] = None,
) -> None:
    """Simulate frequencies of words, or any law on K classes, fitted anew each generation.

    Example: tce simulate categorical --zipf 1000 --n 10000 --generations 50 --metric tv --above 0.1

    Metrics of the model: entropy, heterozygosity, support, support_fraction, max_prob.
    Against generation 0: tv, kl_to_origin, kl_from_origin. Of the fit: masked_weight.
    """
    from tce_theory.models.categorical import Categorical

    sources = {"probs": probs, "zipf": zipf, "counts": counts, "text": text}
    given = [name for name, value in sources.items() if value is not None]
    if len(given) > 1:
        raise BadInputError(f"{' and '.join(map(as_option, given))} do not go together: give one of them")
    if counts is None:
        refuse({"column": column, "no_header": no_header}, "--counts FILE")
    if given and text is None:
        refuse({"unit": unit}, "--text FILE")
    model: Model
    source = None
    if probs is not None:
        model = Categorical(numbers("probs", probs, "numbers with commas between them, such as 0.5,0.3,0.2"))
    elif zipf is not None:
        model = zipf_model(zipf)
    elif counts is not None:
        values, name = csv_column("counts", counts, column, no_header)
        model, source = Categorical.from_counts(values), f"{name} of {counts}"
    else:
        model, source = text_model(text, unit or "word")
    _simulate(model, source, options)


def _simulate(model: "Model", source: str | None, options: SimulationOptions) -> None:
    """Check everything that can be checked, simulate, save, and report."""
    from tce_theory.recursion import simulate
    from tce_theory.regimes import FreshMix, Replace

    loss = _loss(options)
    check_file("out", options.out, (".npz",))
    check_file("plot", options.plot, PLOT_SUFFIXES)
    metrics = list(options.metrics or model.default_metrics)
    followed = _followed_metric(model, options)
    if followed is not None:
        _check_threshold(model, followed, options)
        metrics.append(followed)
    with collected_notes() as notes:
        run = simulate(
            model,
            loss,
            n_samples=options.n_samples,
            generations=options.generations,
            replicates=options.replicates,
            regime=Replace() if options.fraction is None else FreshMix(options.fraction),
            metrics=metrics,
            seed=options.seed,
            n_jobs=options.n_jobs,
            progress=not options.quiet,
            sampler=options.sampler,
        )
        if options.out is not None:
            run.save(options.out)  # before anything else can go wrong
        try:
            origin = repr(model) if source is None else f"{model!r}, {source}"
            fidelity = None if followed is None else _fidelity_summary(followed, _interval(run, followed, options))
            _report(_Report(run, origin, fidelity, list(dict.fromkeys(notes))), options)
        except KeyboardInterrupt:
            raise InterruptedWorkError(_what_is_kept(run, options.out)) from None
    if run.interrupted:
        raise InterruptedWorkError(_what_is_kept(run, options.out))


def _report(report: "_Report", options: SimulationOptions) -> None:
    if options.json:
        print_json(report.as_json())
    else:
        report.print(output_console(), fresh_seed=options.seed is None)
    if options.plot is not None:
        from tce_theory.plotting import run_overview, save

        save(run_overview(report.run), options.plot)
    if not options.json:
        for path in (options.out, options.plot):
            if path is not None:
                print_line(output_console(), "file", os.fspath(path))


def _loss(options: SimulationOptions) -> "Loss":
    from tce_theory import losses

    if options.loss == "weighted":
        raise BadInputError(
            "--loss weighted needs Python, because its weight is a function: "
            "tce_theory.simulate(model, tce_theory.WeightedCrossEntropy(weight), ...)"
        )
    if options.loss not in _LOSSES:
        raise DomainError("loss", options.loss, "one of " + ", ".join(_LOSSES))
    class_name, allowed = _LOSSES[options.loss]
    every = dict.fromkeys(name for _, names in _LOSSES.values() for name in names)
    given = {name: getattr(options, name) for name in every if is_given(getattr(options, name))}
    for name in given:
        if name not in allowed:
            fitting = " or ".join(f"--loss {loss}" for loss, (_, names) in _LOSSES.items() if name in names)
            raise BadInputError(f"{as_option(name)} does not go with --loss {options.loss}, but with {fitting}")
    for name in ("gamma", "width"):
        if name in allowed and name not in given:
            raise BadInputError(f"--loss {options.loss} needs {as_option(name)} NUMBER")
    loss: Loss = getattr(losses, class_name)(**given)
    return loss


def _what_is_kept(run: "Run", out: Path | None) -> str:
    found = f"interrupted: {run.replicates.size} of {run.n_replicates} replicates had finished"
    if out is None:
        return f"{found}; nothing is saved, for want of --out FILE.npz"
    return f"{found} and are saved in {out}; tce_theory.Run.load({os.fspath(out)!r}).replicates says which"


def _followed_metric(model: "Model", options: SimulationOptions) -> str | None:
    """Name of the metric whose fidelity interval is wanted, if any is."""
    if all(getattr(options, name) is None for name in _THRESHOLDS):
        names = ("fidelity_metric", "relative", "no_interpolate")
        refuse({name: getattr(options, name) for name in names}, "a threshold: --below, --above or --outside")
        return None
    from tce_theory.validation import one_of

    recorded = options.metrics or []
    followed = options.fidelity_metric or (recorded[0] if len(recorded) == 1 else None)
    if followed is None:
        raise BadInputError(f"a threshold needs --fidelity-metric: one of {', '.join(model.metric_names)}")
    return one_of("fidelity_metric" if options.fidelity_metric else "metrics", followed, model.metric_names)


def _interval(run: "Run", metric: str, options: SimulationOptions) -> "FidelityInterval":
    outside = None
    if options.outside is not None:
        admissible = "LOW,HIGH: two numbers, the lower one first"
        band = numbers("outside", options.outside, admissible)
        if len(band) != 2 or not band[0] < band[1]:
            raise DomainError("outside", options.outside, admissible)
        outside = (band[0], band[1])
    return run.fidelity_interval(
        metric,
        below=options.below,
        above=options.above,
        outside=outside,
        relative=options.relative,
        interpolate=not options.no_interpolate,
    )


def _check_threshold(model: "Model", metric: str, options: SimulationOptions) -> None:
    """Ask for the fidelity interval of the smallest run there is: what would be refused after hours is refused now."""
    from tce_theory.losses import CrossEntropy
    from tce_theory.recursion import simulate

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)
        run = simulate(model, CrossEntropy(), n_samples=2, generations=1, metrics=[metric], seed=0)
        _interval(run, metric, options)


def _fidelity_summary(metric: str, interval: "FidelityInterval") -> dict[str, Any]:
    enough = interval.times.size > 1
    return {
        "metric": metric,
        "criterion": interval.criterion,
        "interpolated": interval.interpolated,
        "horizon": interval.horizon,
        "median": interval.median,
        "median_ci": list(interval.ci("median")) if enough else None,
        "mean": interval.mean,
        "mean_ci": list(interval.ci("mean")) if enough else None,
        "share_censored": interval.share_censored,
    }


# ------------------------------------------------------------------------------------------------- reports


def _summary(values: "np.ndarray") -> dict[str, "np.ndarray"]:
    """Mean, median and quantiles over replicates, generation by generation."""
    import numpy as np

    with np.errstate(all="ignore"):  # the mean of numbers that are infinite, or nearly
        summary = {"mean": values.mean(axis=0)}
    for name, probability in _QUANTILES.items():
        # one of the values, where interpolation between infinite ones would have none
        summary[name] = np.quantile(values, probability, axis=0, method="inverted_cdf")
    return summary


@dataclass(frozen=True)
class _Report:
    """What is shown of a run."""

    run: "Run"
    origin: str
    fidelity: dict[str, Any] | None
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        run = self.run
        return {
            "provenance": dict(run.provenance),
            "generation_0": self.origin,
            "replicates": int(run.replicates.size),
            "interrupted": run.interrupted,
            "metrics": {
                name: {key: column.tolist() for key, column in _summary(values).items()}
                for name, values in run.metrics.items()
            },
            "events": self._events(),
            "fidelity": self.fidelity,
            "notes": self.notes,
        }

    def _events(self) -> dict[str, dict[str, int | None]]:
        """Count the replicates with each event; and how often it occurs (vacuous fits), or when first (the others)."""
        events: dict[str, dict[str, int | None]] = {}
        for name, values in self.run.events.items():
            if name == "vacuous":
                events[name] = {"replicates": int((values > 0).sum()), "fits": int(values.sum())}
            else:
                when = values[values >= 0]
                events[name] = {"replicates": int(when.size), "first": int(when.min()) if when.size else None}
        return events

    def print(self, console: "Console", *, fresh_seed: bool) -> None:
        run, provenance = self.run, self.run.provenance
        found = f"{run.replicates.size} of {run.n_replicates}" if run.interrupted else f"{run.n_replicates}"
        points = provenance["n_samples"]
        sizes = f"{found} replicates of {run.generations} generations, {points} points a generation"
        print_line(console, "generation 0", self.origin)
        print_line(console, "loss", provenance["loss"])
        print_line(console, "recursion", f"{provenance['regime']}, {sizes}")
        console.print(self._table())
        if self.fidelity is not None:
            print_line(console, "fidelity", _fidelity_line(self.fidelity))
        for name, event in self._events().items():
            if event["replicates"]:
                print_line(console, name, self._event_line(event))
        for note in self.notes:
            print_line(console, "note", note)
        if fresh_seed:
            print_line(console, "seed", f"{run.seed} (fresh; --seed {run.seed} makes this run again)")

    def _table(self) -> "Table":
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("metric")
        for heading in ("generation", "mean", "median", "5 %", "95 %"):
            table.add_column(heading, justify="right", overflow="fold")
        last = self.run.generations
        shown = sorted({round(last * quarter / 4) for quarter in range(5)})
        for name, values in self.run.metrics.items():
            summary = _summary(values[:, shown])
            for row, generation in enumerate(shown):
                numbers = [short(float(column[row])) for column in summary.values()]
                table.add_row(name if row == 0 else "", str(generation), *numbers, end_section=generation == last)
        return table

    def _event_line(self, event: dict[str, int | None]) -> str:
        when = f"the earliest at generation {event['first']}" if "first" in event else f"{event['fits']} fits"
        return f"in {event['replicates']} of {self.run.replicates.size} replicates, {when}"


def _fidelity_line(fidelity: dict[str, Any]) -> str:
    """Say in a line how long a metric stays within its threshold."""

    def estimate(name: str) -> str:
        limits = fidelity[f"{name}_ci"]
        return f"{name} {short(fidelity[name])}" + (f" [{short(limits[0])}, {short(limits[1])}]" if limits else "")

    limits = ", 95 % confidence limits" if fidelity["mean_ci"] else ""
    restricted = ", to which the mean is restricted" if fidelity["share_censored"] else ""
    return (
        f"{fidelity['criterion']}: {estimate('median')}, {estimate('mean')} generations{limits}; "
        f"{100 * fidelity['share_censored']:.3g} % censored at generation {fidelity['horizon']:g}{restricted}"
    )
