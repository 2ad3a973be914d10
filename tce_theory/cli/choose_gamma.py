"""``tce choose-gamma``: a command a family, and what all of them do."""

import math
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tce_theory.cli._models import (
    BernoulliOptions,
    CategoricalOptions,
    GaussianOptions,
    Generation0,
    MarkovOptions,
    MixtureOptions,
    MultivariateOptions,
    PoissonOptions,
    RegressionOptions,
)
from tce_theory.cli._options import (
    LOSS,
    OUTPUT,
    PLOT_SUFFIXES,
    SIZES,
    Jobs,
    Json,
    Quiet,
    accepting,
    check_file,
    given_one,
    numbers,
    numeric,
    textual,
)
from tce_theory.cli._output import output_console, print_json, print_line, short
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.cli._simulation import (
    FEW_REPLICATES,
    REPLICATES,
    DecodingOptions,
    RegimeOptions,
    ThresholdOptions,
    criterion_of,
    decoding_of,
    regime_of,
)

if TYPE_CHECKING:
    from rich.console import Console

    from tce_theory.choice import GammaChoice, Option
    from tce_theory.fidelity import ExtensionFactor


@dataclass(frozen=True, kw_only=True)
class ChoiceOptions(DecodingOptions, RegimeOptions, ThresholdOptions):
    """The options of ``tce choose-gamma`` that do not depend on the family."""

    metric: Annotated[str, textual("--metric", "NAME", "Fidelity interval", "The metric that has to last.")]
    n_samples: Annotated[int, numeric("--n-samples", SIZES, "Points drawn for each generation.", also=("--n",))]
    generations: Annotated[int, numeric("--generations", SIZES, "The horizon: generations after generation 0.")]
    replicates: Annotated[
        int | None,
        numeric("--replicates", SIZES, "Of every simulation; 1000 if not given, for markov and mixture 32."),
    ] = None
    seed: Annotated[int | None, numeric("--seed", SIZES, "Seed of the random numbers; fresh if not given.")] = None
    n_jobs: Jobs = -1
    gammas: Annotated[
        str | None, textual("--gammas", "G,G,…", LOSS, "Candidates; spread around the peak if not given.")
    ] = None
    scale: Annotated[
        str, textual("--scale", "absolute|relative", LOSS, "gamma is a density, or a share of its peak.")
    ] = "absolute"
    mask: Annotated[
        str, textual("--mask", "current|previous", LOSS, "Masked by the model being fitted, or by the one before it.")
    ] = "current"
    plot: Annotated[
        Path | None, textual("--plot", "FILE", OUTPUT, "Draw the comparison; FILE ends in .pdf, .png or .svg.")
    ] = None
    json: Json = False
    quiet: Quiet = False


choosing = typer.Typer(help="Choose the threshold of TCE for a model, a sample size, a metric and a horizon, if any.")
app.add_typer(choosing, name="choose-gamma")


@choosing.command(cls=Command)
@accepting(GaussianOptions, ChoiceOptions)
def gaussian(model: GaussianOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a Gaussian.

    Example: tce choose-gamma gaussian --n 100 --generations 500 --metric std --outside 0.7,1.4 --relative
    """
    _choose(model.build(), options)


@choosing.command(cls=Command)
@accepting(CategoricalOptions, ChoiceOptions)
def categorical(model: CategoricalOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for frequencies of words, or any law on K classes.

    Example: tce choose-gamma categorical --zipf 100 --n 1000 --generations 300 --metric tv --above 0.3
    """
    _choose(model.build(), options)


@choosing.command(cls=Command)
@accepting(BernoulliOptions, ChoiceOptions)
def bernoulli(model: BernoulliOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a coin.

    Example: tce choose-gamma bernoulli --prob 0.3 --n 50 --generations 300 --metric entropy --below 0.3
    """
    _choose(model.build(), options)


@choosing.command(cls=Command)
@accepting(PoissonOptions, ChoiceOptions)
def poisson(model: PoissonOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a Poisson law.

    Example: tce choose-gamma poisson --rate 2 --n 50 --generations 200 --metric rate --outside 1,4
    """
    _choose(model.build(), options)


@choosing.command(cls=Command)
@accepting(MarkovOptions, ChoiceOptions)
def markov(model: MarkovOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a Markov chain, such as the bigrams of a text.

    Example: tce choose-gamma markov --transition "0.9,0.1;0.1,0.9" --n 1000 --generations 200 --metric tv --above 0.05
    """
    _choose(model.build(), options, FEW_REPLICATES)


@choosing.command(cls=Command)
@accepting(MultivariateOptions, ChoiceOptions)
def multivariate(model: MultivariateOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a Gaussian in several dimensions.

    Example: tce choose-gamma multivariate --n 100 --generations 100 --metric log_det --below -1 --replicates 100
    """
    _choose(model.build(), options)


@choosing.command(cls=Command)
@accepting(MixtureOptions, ChoiceOptions)
def mixture(model: MixtureOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for a mixture of Gaussians.

    Example: tce choose-gamma mixture --n 200 --generations 30 --metric live_modes --below 6
    """
    _choose(model.build(), options, FEW_REPLICATES)


@choosing.command(cls=Command)
@accepting(RegressionOptions, ChoiceOptions)
def regression(model: RegressionOptions, options: ChoiceOptions) -> None:
    """Choose a threshold for linear regression.

    Example: tce choose-gamma regression --n 100 --generations 50 --metric excess_error --above 1
    """
    _choose(model.build(), options)


def _choose(zero: Generation0, options: ChoiceOptions, replicates: int = REPLICATES) -> None:
    from tce_theory.choice import choose_gamma

    check_file("plot", options.plot, PLOT_SUFFIXES)
    if given_one({name: getattr(options, name) for name in ("below", "above", "outside")}) is None:
        raise BadInputError(
            "a threshold is missing: --below, --above or --outside, which says when --metric has failed"
        )
    gammas = None if options.gammas is None else numbers("gammas", options.gammas, "numbers such as 0.3,0.5")
    choice = choose_gamma(
        zero.model,
        n_samples=options.n_samples,
        generations=options.generations,
        metric=options.metric,
        **criterion_of(options),
        gammas=gammas,
        scale=options.scale,
        mask=options.mask,
        regime=regime_of(options),
        decoding=decoding_of(options),
        replicates=replicates if options.replicates is None else options.replicates,
        seed=options.seed,
        n_jobs=options.n_jobs,
        progress=not options.quiet,
    )
    if options.json:
        print_json(choice.to_dict() | {"generation_0": zero.text})
    else:
        _print(output_console(), zero, choice, fresh_seed=options.seed is None)
    if options.plot is not None:
        from tce_theory.plotting import save
        from tce_theory.plotting.maps import choice_overview

        save(choice_overview(choice), options.plot)
        if not options.json:
            print_line(output_console(), "file", os.fspath(options.plot))


# ------------------------------------------------------------------------------------------------- the report


def _print(console: "Console", zero: Generation0, choice: "GammaChoice", *, fresh_seed: bool) -> None:
    setting = choice.setting
    print_line(console, "generation 0", zero.text)
    print_line(
        console,
        "recursion",
        f"{setting['regime']}, {setting['n_samples']:,} points a generation, {setting['generations']:,} generations",
    )
    print_line(console, "until", f"{choice.criterion}: {choice.baseline_mean:.4g} generations under cross entropy")
    _print_options(console, "gamma", choice.candidates, choice.best)
    if choice.rivals:
        _print_options(console, "cross entropy with", choice.rivals, None)
    print_line(console, "answer", _answer(choice))
    if choice.equivalent_fraction is not None:
        print_line(console, "as much as", _equivalent(choice.equivalent_fraction))
    if choice.side_effects:
        _print_side_effects(console, choice)
    for note in choice.notes:
        print_line(console, "note", note)
    if fresh_seed:
        print_line(console, "seed", f"{setting['seed']} (fresh; --seed {setting['seed']} gives this answer again)")


def _print_options(console: "Console", head: str, options: "tuple[Option, ...]", best: float | None) -> None:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column(head)
    table.add_column("factor", justify="right")
    table.add_column("95 %", justify="right")
    table.add_column("")
    for option in options:
        mark = "best" if best is not None and option.value == best else ""
        table.add_row(_name(option), *_factor(option.factor, option.is_exact), mark)
    console.print(table)


def _name(option: "Option") -> str:
    match option.name:
        case "gamma":
            return short(option.value or 0.0)
        case "fraction":
            return f"{100 * (option.value or 0):g} % fresh data"
    return "all data kept"


def _factor(factor: "ExtensionFactor", is_exact: bool = False) -> tuple[str, str]:
    bound = "≥ " if factor.is_lower_bound else ""
    limits = "exact" if is_exact else f"{factor.low:.2f} – {factor.high:.2f}"
    return f"{bound}{factor.ratio:.2f}", limits


def _answer(choice: "GammaChoice") -> str:
    if choice.factor is None:
        return "nothing to choose"
    ratio, limits = _factor(choice.factor, choice.is_exact)
    measured = "" if choice.is_exact else ", measured anew"
    if choice.gamma is None:
        return f"none helps: the best, gamma = {short(choice.best or 0)}, has the factor {ratio} ({limits}{measured})"
    return f"gamma = {short(choice.gamma)} extends the interval by the factor {ratio} ({limits}{measured})"


def _equivalent(fraction: tuple[float, float, float]) -> str:
    value, low, high = (f"{100 * item:.2g} %" if math.isfinite(item) else "more than 50 %" for item in fraction)
    limits = "" if low == high else f" ({low} – {high})"
    return f"{value} of fresh data in every generation{limits}, under cross entropy"


def _print_side_effects(console: "Console", choice: "GammaChoice") -> None:
    from rich import box
    from rich.table import Table

    print_line(console, "other metrics", "until they are as far off as under cross entropy when half have failed")
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("metric")
    table.add_column("from", justify="right")
    table.add_column("by", justify="right")
    table.add_column("factor", justify="right")
    table.add_column("95 %", justify="right")
    table.add_column("")
    for effect in choice.side_effects:
        factor = effect.factor
        verdict = "harmed" if factor.high < 1 else "helped" if factor.low > 1 else ""
        table.add_row(effect.metric, short(effect.start), short(effect.distance), *_factor(factor), verdict)
    console.print(table)
