"""``tce predict``."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tce_theory.cli._models import CategoricalOptions
from tce_theory.cli._options import (
    OUTPUT,
    PLOT_SUFFIXES,
    SIZES,
    Jobs,
    Json,
    Quiet,
    accepting,
    check_file,
    numeric,
    refuse,
    textual,
)
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import Command, app
from tce_theory.progress import shown_stages

if TYPE_CHECKING:
    from rich.table import Table

    from tce_theory.prediction import Comparison, Prediction


@dataclass(frozen=True, kw_only=True)
class PredictionOptions:
    """The options of ``tce predict`` beside those of generation 0."""

    n_samples: Annotated[
        int, numeric("--n-samples", SIZES, "Points drawn for each generation, to 9e15.", also=("--n",))
    ]
    generations: Annotated[int, numeric("--generations", SIZES, "Generations after generation 0, to 1e6.")]
    replicates: Annotated[
        int | None, numeric("--compare", SIZES, "Simulate this many replicates too, where that is possible.")
    ] = None
    seed: Annotated[int | None, numeric("--seed", SIZES, "Seed of --compare; fresh if not given.")] = None
    n_jobs: Jobs = -1
    share: Annotated[
        float, numeric("--share", OUTPUT, "Say when no more than this share is left.", metavar="NUMBER")
    ] = 0.5
    plot: Annotated[Path | None, textual("--plot", "FILE", OUTPUT, "Draw it; FILE ends in .pdf, .png or .svg.")] = None
    json: Json = False
    quiet: Quiet = False


@app.command(cls=Command)
@accepting(CategoricalOptions, PredictionOptions)
def predict(law: CategoricalOptions, options: PredictionOptions) -> None:
    """Predict what is left of a vocabulary after generations of cross entropy, at any scale.

    Expected surviving types, entropy and heterozygosity, with stated errors.
    Each generation is fitted to points of its predecessor alone. Nothing is
    offered for other losses or fresh data: see tce simulate categorical.

    Example: tce predict --zipf 1e7 --n 1e13 --generations 10000
    """
    from tce_theory.prediction import predict as predict_diversity
    from tce_theory.validation import number_in

    if options.replicates is None:
        refuse({"seed": options.seed}, "--compare R")
    check_file("plot", options.plot, PLOT_SUFFIXES)
    number_in("share", options.share, 0.0, 1.0, open_low=True)
    with shown_stages(options.quiet or options.json) as show:
        _say(show, "predicting")
        start = law.build()
        prediction = predict_diversity(
            start.model,  # type: ignore[arg-type]
            n_samples=options.n_samples,
            generations=options.generations,
        )
        possible = [name for name in prediction.metric_names if getattr(prediction, name)[0] > 0]
        left = {name: prediction.half_life(name, options.share) for name in possible}
        comparison = None
        if options.replicates is not None:
            _say(show, "simulating")
            comparison = prediction.compare(options.replicates, seed=options.seed, n_jobs=options.n_jobs)
    if options.plot is not None:
        from tce_theory.plotting import save
        from tce_theory.plotting.prediction import prediction_overview

        save(prediction_overview(prediction, comparison), options.plot)
    if options.json:
        report: dict[str, Any] = {"generation_0": start.text, **prediction.to_dict()}
        report["share_left"] = {"share": options.share, **left}
        report["comparison"] = None if comparison is None else comparison.to_dict()
        print_json(report)
        return
    _print(prediction, start.text, options.share, left, comparison)
    if options.plot is not None:
        print_line(output_console(), "file", os.fspath(options.plot))


def _say(show: Any, stage: str) -> None:
    if show is not None:
        show(stage)


def _print(
    prediction: "Prediction", start: str, share: float, left: dict[str, int | None], comparison: "Comparison | None"
) -> None:
    console = output_console()
    print_line(console, "generation 0", start)
    print_line(console, "recursion", f"CE, {prediction.n_samples} points a generation, expected values")
    console.print(prediction.table())
    for line in prediction.statements():
        print_line(console, "error", line)
    reached = ", ".join(
        f"{name} not by generation {prediction.generations[-1]}" if when is None else f"{name} at generation {when}"
        for name, when in left.items()
    )
    if reached:
        print_line(console, f"{100 * share:g} % left", f"{reached} (of the expected curve, not of a single run)")
    if comparison is not None:
        console.print(_differences(prediction, comparison))
        print_line(
            console, "compared", f"simulated less predicted, ± one standard error; {comparison.replicates} replicates"
        )
        print_line(console, "seed", str(comparison.seed))


def _differences(prediction: "Prediction", comparison: "Comparison") -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("generation", justify="right")
    for name in prediction.metric_names:
        table.add_column(name, justify="right")
    for row, generation in list(enumerate(prediction.generations))[1:]:  # generation 0 is given
        cells = []
        for name in prediction.metric_names:
            difference = comparison.means[name][row] - getattr(prediction, name)[row]
            cells.append(f"{difference:+.1e} ± {comparison.standard_errors[name][row]:.0e}")
        table.add_row(str(generation), *cells)
    return table
