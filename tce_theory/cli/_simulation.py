"""What a simulation is made of beside its model: options, and what the library makes of them.

Names of fields are those of the arguments of the library, which its errors name.
"""

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tce_theory.cli._options import (
    DECODING,
    FIDELITY,
    LOSS,
    OUTPUT,
    REGIME,
    SIZES,
    Jobs,
    Json,
    Quiet,
    as_option,
    flag,
    given_one,
    is_given,
    number,
    numbers,
    numeric,
    refuse,
    textual,
)
from tce_theory.cli._program import BadInputError
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from collections.abc import Callable

    from tce_theory.decoding import Decoding
    from tce_theory.fidelity import FidelityInterval
    from tce_theory.losses import Loss
    from tce_theory.models.base import Model
    from tce_theory.regimes import Regime
    from tce_theory.run import Run

__all__ = [
    "FEW_REPLICATES",
    "REPLICATES",
    "DecodingOptions",
    "FidelityOptions",
    "LossOptions",
    "OutputOptions",
    "RegimeOptions",
    "SimulationOptions",
    "SizeOptions",
    "ThresholdOptions",
    "check_threshold",
    "criterion_of",
    "decoding_of",
    "followed_metric",
    "interval_of",
    "loss_of",
    "regime_of",
    "sizes_of",
]


REPLICATES = 1000
FEW_REPLICATES = 32
"""Where none are asked for, of families whose fits take long."""

# ------------------------------------------------------------------------------------------------- sizes


@dataclass(frozen=True, kw_only=True)
class SizeOptions:
    """How much is simulated, and with which random numbers."""

    n_samples: Annotated[int, numeric("--n-samples", SIZES, "Points drawn for each generation.", also=("--n",))]
    growth: Annotated[
        str | None,
        textual("--growth", "KIND:NUMBER", SIZES, "They grow from --n on: linear:STEP or geometric:RATIO."),
    ] = None
    generations: Annotated[int, numeric("--generations", SIZES, "Generations after generation 0.")]
    replicates: Annotated[
        int | None,
        numeric("--replicates", SIZES, "Independent repetitions; 1000 if not given, for markov and mixture 32."),
    ] = None
    sampler: Annotated[
        str,
        textual("--sampler", "auto|points", SIZES, "auto: statistics where they suffice; points: always every point."),
    ] = "auto"
    seed: Annotated[int | None, numeric("--seed", SIZES, "Seed of the random numbers; fresh if not given.")] = None
    n_jobs: Jobs = -1


def sizes_of(options: SizeOptions) -> "int | Callable[[int], int]":
    """Return the `n_samples` of `simulate`."""
    from tce_theory.regimes import GeometricGrowth, LinearGrowth
    from tce_theory.validation import positive_integer

    if options.growth is None:
        return options.n_samples
    first = positive_integer("n_samples", options.n_samples)
    last = positive_integer("generations", options.generations)
    kind, _, amount = options.growth.partition(":")
    growth: LinearGrowth | GeometricGrowth | None = None
    with contextlib.suppress(DomainError):
        if kind == "linear":
            growth = LinearGrowth(first, number(amount))
        elif kind == "geometric":
            growth = GeometricGrowth(first, number(amount))
    if growth is None:
        admissible = "linear:STEP, a whole number of at least 0, or geometric:RATIO, a number of at least 1"
        raise DomainError("growth", options.growth, admissible)
    if growth(last) > 2**53:
        raise DomainError("growth", options.growth, f"so slow that generation {last} has at most 2**53 points")
    return growth


# ------------------------------------------------------------------------------------------------- regimes

_REGIMES = {
    "replace": "Replace",
    "fresh-mix": "FreshMix",
    "accumulate": "Accumulate",
    "accumulate-subsample": "AccumulateSubsample",
    "staged": "Staged",
}


@dataclass(frozen=True, kw_only=True)
class RegimeOptions:
    """Where the data of a generation come from."""

    regime: Annotated[
        str | None,
        textual(
            "--regime",
            "NAME",
            REGIME,
            "replace (default), fresh-mix, accumulate, accumulate-subsample or staged.",
        ),
    ] = None
    fraction: Annotated[
        float | None,
        numeric(
            "--fresh",
            REGIME,
            "fresh-mix: share of points from generation 0; alone it means fresh-mix.",
            metavar="SHARE",
        ),
    ] = None
    stages: Annotated[
        int | None, numeric("--stages", REGIME, "staged: generations that each add a fresh part of --n points.")
    ] = None
    then: Annotated[
        str | None,
        textual("--then", "NAME", REGIME, "staged: what follows the stages, replace or fresh-mix."),
    ] = None


def regime_of(options: RegimeOptions) -> "Regime":
    from tce_theory import regimes

    name = options.regime or ("replace" if options.fraction is None else "fresh-mix")
    if name not in _REGIMES:
        raise DomainError("regime", name, f"one of {', '.join(_REGIMES)}")
    if options.then not in (None, "replace", "fresh-mix"):
        raise DomainError("then", options.then, "replace or fresh-mix")
    if name != "staged":
        refuse({"stages": options.stages, "then": options.then}, "--regime staged")
    elif options.stages is None:
        raise BadInputError("--regime staged needs --stages N")
    if "fresh-mix" not in (name, options.then):
        refuse({"fresh": options.fraction}, "fresh-mix: as --regime, or as --then of --regime staged")
    elif options.fraction is None:
        raise BadInputError("fresh-mix needs --fresh SHARE")

    def simple(name: str) -> "Regime":
        arguments = (options.fraction,) if name == "fresh-mix" else ()
        regime: Regime = getattr(regimes, _REGIMES[name])(*arguments)
        return regime

    if name == "staged":
        assert options.stages is not None
        return regimes.Staged(options.stages, then=None if options.then is None else simple(options.then))
    return simple(name)


# ------------------------------------------------------------------------------------------------- losses

_LOSSES = {
    "ce": ("CrossEntropy", ()),
    "tce": ("TruncatedCrossEntropy", ("gamma", "scale", "mask", "vacuous")),
    "focal": ("FocalLoss", ("exponent", "detach")),
    "smooth": ("SmoothTruncatedCrossEntropy", ("gamma", "width")),
}


@dataclass(frozen=True, kw_only=True)
class LossOptions:
    """What each generation minimises."""

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


def loss_of(options: LossOptions) -> "Loss":
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


# ------------------------------------------------------------------------------------------------- decoding


@dataclass(frozen=True, kw_only=True)
class DecodingOptions:
    """How a model's law is changed when points are drawn from it."""

    temperature: Annotated[
        float | None,
        numeric("--temperature", DECODING, "Classes: probabilities to the power 1/T.", metavar="T"),
    ] = None
    k: Annotated[int | None, numeric("--top-k", DECODING, "Classes: the K most probable ones alone.", metavar="K")] = (
        None
    )
    p: Annotated[
        float | None,
        numeric("--top-p", DECODING, "Classes: the fewest that have probability P (nucleus sampling).", metavar="P"),
    ] = None
    beams: Annotated[
        int | None, numeric("--beams", DECODING, "Networks: beam search of this width.", metavar="WIDTH")
    ] = None
    repetition_penalty: Annotated[
        float | None,
        numeric("--repetition-penalty", DECODING, "beams: of what was said already; 1 if not given.", metavar="FACTOR"),
    ] = None
    factor: Annotated[
        float | None,
        numeric("--variance-scaling", DECODING, "Densities: variances times this factor.", metavar="FACTOR"),
    ] = None


def decoding_of(options: DecodingOptions) -> "Decoding | None":
    from tce_theory import decoding

    ways: dict[str, tuple[str, Any]] = {
        "temperature": ("Temperature", options.temperature),
        "top_k": ("TopK", options.k),
        "top_p": ("TopP", options.p),
        "beams": ("BeamSearch", options.beams),
        "variance_scaling": ("VarianceScaling", options.factor),
    }
    chosen = given_one({name: value for name, (_, value) in ways.items()})
    if chosen != "beams":
        refuse({"repetition_penalty": options.repetition_penalty}, "--beams WIDTH")
    if chosen is None:
        return None
    class_name, value = ways[chosen]
    penalty = () if options.repetition_penalty is None else (options.repetition_penalty,)
    try:
        way: Decoding = getattr(decoding, class_name)(value, *penalty)
    except DomainError as error:
        if error.argument != "width":
            raise
        raise DomainError("beams", error.value, error.admissible) from None  # --width is that of a loss
    return way


# ------------------------------------------------------------------------------------------------- fidelity

_THRESHOLDS = ("below", "above", "outside")


@dataclass(frozen=True, kw_only=True)
class ThresholdOptions:
    """When a fidelity interval ends."""

    below: Annotated[
        float | None, numeric("--below", FIDELITY, "It ends when the metric falls below this.", metavar="NUMBER")
    ] = None
    above: Annotated[
        float | None, numeric("--above", FIDELITY, "It ends when the metric rises above this.", metavar="NUMBER")
    ] = None
    outside: Annotated[
        str | None, textual("--outside", "LOW,HIGH", FIDELITY, "It ends when the metric leaves this band.")
    ] = None
    relative: Annotated[
        bool, flag("--relative", FIDELITY, "Thresholds are multiples of the value at generation 0.")
    ] = False


def criterion_of(options: ThresholdOptions) -> dict[str, Any]:
    """Return the arguments of the library that say when an interval ends."""
    outside = None
    if options.outside is not None:
        admissible = "LOW,HIGH: two numbers, the lower one first"
        band = numbers("outside", options.outside, admissible)
        if len(band) != 2 or not band[0] < band[1]:
            raise DomainError("outside", options.outside, admissible)
        outside = (band[0], band[1])
    return {"below": options.below, "above": options.above, "outside": outside, "relative": options.relative}


@dataclass(frozen=True, kw_only=True)
class FidelityOptions(ThresholdOptions):
    """Whose fidelity interval is wanted, and when it ends."""

    fidelity_metric: Annotated[
        str | None,
        textual("--fidelity-metric", "NAME", FIDELITY, "The metric; that of --metric if there is just one."),
    ] = None
    no_interpolate: Annotated[
        bool, flag("--no-interpolate", FIDELITY, "Count whole generations, without interpolation between them.")
    ] = False


def followed_metric(model: "Model", options: FidelityOptions, recorded: list[str]) -> str | None:
    """Name of the metric whose fidelity interval is wanted, if any is."""
    if all(getattr(options, name) is None for name in _THRESHOLDS):
        names = ("fidelity_metric", "relative", "no_interpolate")
        refuse({name: getattr(options, name) for name in names}, "a threshold: --below, --above or --outside")
        return None
    from tce_theory.validation import one_of

    followed = options.fidelity_metric or (recorded[0] if len(recorded) == 1 else None)
    if followed is None:
        raise BadInputError(f"a threshold needs --fidelity-metric: one of {', '.join(model.metric_names)}")
    return one_of("fidelity_metric" if options.fidelity_metric else "metrics", followed, model.metric_names)


def interval_of(run: "Run", metric: str, options: FidelityOptions) -> "FidelityInterval":
    return run.fidelity_interval(metric, **criterion_of(options), interpolate=not options.no_interpolate)


def check_threshold(model: "Model", metric: str, options: FidelityOptions) -> None:
    """Refuse now what would be refused after hours: ask for the interval of a run in which nothing changes."""
    import warnings

    import numpy as np

    from tce_theory.errors import StatisticalWarning
    from tce_theory.run import Run

    try:
        values = np.full((1, 2), model.measure(metric, model))
    except DomainError:  # it describes a fit, and generation 0 is none
        values = np.array([[np.nan, 0.0]])
    still = Run(
        metrics={metric: values},
        replicates=np.arange(1),
        n_replicates=1,
        generations=1,
        events={},
        provenance={"seed": 0},
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", StatisticalWarning)
        interval_of(still, metric, options)


# ------------------------------------------------------------------------------------------------- all of them


@dataclass(frozen=True, kw_only=True)
class OutputOptions:
    """What is recorded, shown and saved."""

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


# fields of the last base come first
@dataclass(frozen=True, kw_only=True)
class SimulationOptions(OutputOptions, FidelityOptions, DecodingOptions, LossOptions, RegimeOptions, SizeOptions):
    """The options of ``tce simulate`` that do not depend on the family."""
