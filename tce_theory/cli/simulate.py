"""``tce simulate``: a command a family, and what all of them do."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from tce_theory.cli._comparison import ComparisonReport
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
from tce_theory.cli._networks import (
    AutoencoderOptions,
    LanguageOptions,
    NetworkOptions,
    TrainingOptions,
    completed,
    losses_of,
)
from tce_theory.cli._options import PLOT_SUFFIXES, accepting, check_file, refuse
from tce_theory.cli._output import collected_notes, output_console, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, InterruptedWorkError, app
from tce_theory.cli._run_report import RunReport, fidelity_summary
from tce_theory.cli._simulation import (
    FEW_REPLICATES,
    REPLICATES,
    SimulationOptions,
    check_threshold,
    decoding_of,
    followed_metric,
    interval_of,
    loss_of,
    regime_of,
    sizes_of,
)

if TYPE_CHECKING:
    from tce_theory.decoding import Decoding
    from tce_theory.fidelity import ExtensionFactor, FidelityInterval
    from tce_theory.losses import Loss
    from tce_theory.regimes import Regime
    from tce_theory.run import Run


_IMAGES = 1000
"""Drawn for each generation, where --n is not given."""

simulation = typer.Typer(help="Simulate generations of models, each fitted to data drawn from its predecessor.")
app.add_typer(simulation, name="simulate")


@simulation.command(cls=Command)
@accepting(GaussianOptions, SimulationOptions)
def gaussian(model: GaussianOptions, options: SimulationOptions) -> None:
    """Simulate a Gaussian whose standard deviation, and mean unless it is known, are fitted anew each generation.

    Example: tce simulate gaussian --n 100 --generations 500 --loss tce --gamma 0.5

    Metrics of the model: mean, std, log_std, entropy. Of the fit: masked_weight.
    Against generation 0: kl_from_origin, kl_to_origin, w2_squared.
    """
    _simulate(model.build(), options)


@simulation.command(cls=Command)
@accepting(CategoricalOptions, SimulationOptions)
def categorical(model: CategoricalOptions, options: SimulationOptions) -> None:
    """Simulate frequencies of words, or any law on K classes, fitted anew each generation.

    Example: tce simulate categorical --zipf 1000 --n 10000 --generations 50 --metric tv --above 0.1

    Metrics of the model: entropy, heterozygosity, support, support_fraction, max_prob.
    Against generation 0: tv, kl_to_origin, kl_from_origin. Of the fit: masked_weight.
    """
    _simulate(model.build(), options)


@simulation.command(cls=Command)
@accepting(BernoulliOptions, SimulationOptions)
def bernoulli(model: BernoulliOptions, options: SimulationOptions) -> None:
    """Simulate a coin whose probability is fitted anew each generation, until it always falls the same way.

    Example: tce simulate bernoulli --prob 0.3 --n 50 --generations 200 --metric fixed

    Metrics of the model: prob, entropy, variance, fixed (1 if the probability is 0 or 1).
    Against generation 0: tv, kl_to_origin, kl_from_origin. Of the fit: masked_weight.
    """
    _simulate(model.build(), options)


@simulation.command(cls=Command)
@accepting(PoissonOptions, SimulationOptions)
def poisson(model: PoissonOptions, options: SimulationOptions) -> None:
    """Simulate a Poisson law whose rate is fitted anew each generation, until it is extinct: until the rate is 0.

    Example: tce simulate poisson --rate 2 --n 50 --generations 200 --loss tce --gamma 0.2

    Metrics of the model: rate, entropy, extinct (1 if the rate is 0).
    Against generation 0: kl_to_origin, kl_from_origin, tv. Of the fit: masked_weight.
    """
    _simulate(model.build(), options)


@simulation.command(cls=Command)
@accepting(MarkovOptions, SimulationOptions)
def markov(model: MarkovOptions, options: SimulationOptions) -> None:
    """Simulate a Markov chain, such as the bigrams of a text: the law after each context is fitted anew.

    Example: tce simulate markov --unit char --order 2 --n 20000 --generations 50 --temperature 0.9

    Metrics of the model: entropy_rate, support (of transitions), longest_cycle, absorbing_share.
    Against generation 0: kl_rate_from_origin, kl_rate_to_origin, tv.
    Of the data and the fit: distinct_ngrams, masked_weight.
    """
    _simulate(model.build(), options, FEW_REPLICATES)


@simulation.command(cls=Command)
@accepting(MultivariateOptions, SimulationOptions)
def multivariate(model: MultivariateOptions, options: SimulationOptions) -> None:
    """Simulate a Gaussian in several dimensions whose covariance matrix is fitted anew each generation.

    Example: tce simulate multivariate --dimension 10 --n 200 --generations 100 --metric log_condition

    Metrics of the model: log_det, log_condition (of the covariance matrix), entropy. Of the fit: masked_weight.
    Against generation 0: mean_drift, kl_from_origin, kl_to_origin, w2_squared.
    """
    _simulate(model.build(), options)


@simulation.command(cls=Command)
@accepting(MixtureOptions, SimulationOptions)
def mixture(model: MixtureOptions, options: SimulationOptions) -> None:
    """Simulate a mixture of Gaussians, fitted anew each generation: two moons of eight modes, which merge.

    Example: tce simulate mixture --n 200 --generations 50 --loss tce --gamma 0.1

    Metrics of the model: live_components, live_modes, entropy. Of the fit: masked_weight.
    Against generation 0: mode_mass_error, sliced_w2, kl_from_origin, kl_from_origin_se (its standard error).
    """
    _simulate(model.build(), options, FEW_REPLICATES)


@simulation.command(cls=Command)
@accepting(RegressionOptions, SimulationOptions)
def regression(model: RegressionOptions, options: SimulationOptions) -> None:
    """Simulate linear regression: each generation labels inputs with the model before it, and is fitted to them.

    Example: tce simulate regression --dimension 10 --n 100 --generations 50 --regime accumulate

    Metrics of the model: coefficient_norm, noise_std, log_noise_std, entropy. Of the fit: masked_weight.
    Against generation 0: excess_error, error_along, error_across, kl_from_origin, kl_to_origin.
    """
    _simulate(model.build(), options)


@simulation.command("lm", cls=Command)
@accepting(LanguageOptions, TrainingOptions, NetworkOptions)
def language_model(model: LanguageOptions, training: TrainingOptions, options: NetworkOptions) -> None:
    """Simulate a neural language model that is trained on what the one before it wrote.

    Without options: cross entropy and TCE at gamma 0.9 and 0.3 on a corpus of facts, over six stages that each add
    real data, decoded at temperature 0.7.

    Example: tce simulate lm --beams 5 --regime replace --metric recall --below 0.75

    Of real text: heldout_cross_entropy, predictive_entropy, calibration_error, confidence_real.
    Of facts: retention, recall. Of a Markov chain, exactly: entropy_rate, kl_rate_from_origin, kl_rate_to_origin.
    Of the data: distinct_1, distinct_2, distinct_3, unigram_kl. Of the fit: masked_share, average_masked_share,
    confidence_synthetic, unmasked_entropy, unmasked_cross_entropy, floor_gap, head_product, head_certificate.
    """
    zero = model.build(training)
    if options.loss is None:  # what is compared by default has both losses
        refuse({"control": training.control}, "--loss tce")
        refuse({"label_smoothing": training.label_smoothing}, "--loss ce")
    if model.mentions is not None and options.n_samples is not None:
        raise BadInputError("--mentions and --n do not go together: give one of them")
    options = completed(options, model.tokens(zero.model), staged=True)
    model.check_size(zero.model, options)
    _compare(zero, options, (0.9, 0.3))


@simulation.command("vae", cls=Command)
@accepting(AutoencoderOptions, TrainingOptions, NetworkOptions)
def autoencoder(model: AutoencoderOptions, training: TrainingOptions, options: NetworkOptions) -> None:
    """Simulate a variational autoencoder of images that is trained on what the one before it drew.

    Without options: cross entropy and TCE at gamma 0.9 and 0.7, pixel by pixel, on real handwritten digits.

    Example: tce simulate vae --images faces.npy --loss tce --gamma 0.9 --fresh 0.1 --plot faces.png

    Metrics: latent_spread, frechet, nearest_neighbour; with labels class_entropy, reconstruction_accuracy.
    Of the fit: masked_share.
    """
    zero = model.build(training)
    _compare(zero, completed(options, _IMAGES, staged=False), (0.9, 0.7))


@dataclass(frozen=True, kw_only=True)
class _Scenario:
    """All of a simulation but its loss, checked as far as it can be."""

    zero: Generation0
    options: SimulationOptions
    n_samples: "int | Callable[[int], int]"
    regime: "Regime"
    decoding: "Decoding | None"
    metrics: list[str]
    followed: str | None

    @classmethod
    def of(cls, zero: Generation0, options: SimulationOptions) -> "_Scenario":
        regime, decoding, n_samples = regime_of(options), decoding_of(options), sizes_of(options)
        check_file("out", options.out, (".npz",))
        check_file("plot", options.plot, PLOT_SUFFIXES)
        metrics = list(options.metrics or zero.model.default_metrics)
        followed = followed_metric(zero.model, options, options.metrics or [])
        if followed is not None:
            check_threshold(zero.model, followed, options)
            metrics.append(followed)
        return cls(
            zero=zero,
            options=options,
            n_samples=n_samples,
            regime=regime,
            decoding=decoding,
            metrics=list(dict.fromkeys(metrics)),
            followed=followed,
        )

    def run(self, loss: "Loss", seed: int | None, replicates: int) -> "Run":
        from tce_theory.recursion import simulate

        return simulate(
            self.zero.model,
            loss,
            n_samples=self.n_samples,
            generations=self.options.generations,
            replicates=replicates if self.options.replicates is None else self.options.replicates,
            regime=self.regime,
            decoding=self.decoding,
            metrics=self.metrics,
            seed=seed,
            n_jobs=self.options.n_jobs,
            progress=not self.options.quiet,
            sampler=self.options.sampler,
        )

    def interval(self, run: "Run") -> "FidelityInterval | None":
        """Return the interval that was asked for; where replicates have diverged there is none."""
        return None if self.followed is None or run.diverged else interval_of(run, self.followed, self.options)

    def report(self, run: "Run", interval: "FidelityInterval | None", notes: list[str]) -> RunReport:
        from tce_theory.regimes import sample_sizes

        if self.followed is not None and run.diverged:
            notes = [*notes, "no fidelity interval, for want of the values of replicates that diverged"]
        fidelity = None if self.followed is None or interval is None else fidelity_summary(self.followed, interval)
        supply = self.regime.supply(sample_sizes(self.n_samples, run.generations))
        return RunReport(run, self.zero.text, supply, fidelity, list(dict.fromkeys(notes)))


def _simulate(zero: Generation0, options: SimulationOptions, replicates: int = REPLICATES) -> None:
    """Check everything that can be checked, simulate, save, and report."""
    loss, scenario = loss_of(options), _Scenario.of(zero, options)
    with collected_notes() as notes:
        run = scenario.run(loss, options.seed, replicates)
        if options.out is not None:
            run.save(options.out)  # before anything else can go wrong
        try:
            _report(scenario.report(run, scenario.interval(run), notes), options)
        except KeyboardInterrupt:
            raise InterruptedWorkError(_what_is_kept(run, options.out)) from None
    if run.interrupted:
        raise InterruptedWorkError(_what_is_kept(run, options.out))


def _compare(zero: Generation0, options: NetworkOptions, gammas: tuple[float, ...]) -> None:
    """Simulate one loss as of other families, or several with one seed, which are compared in pairs."""
    from tce_theory.plotting import comparison, loss_label, save
    from tce_theory.validation import recorded_seed

    losses = losses_of(options, gammas)
    if len(losses) == 1:
        _simulate(zero, options)
        return
    if options.out is not None:
        raise BadInputError("--out needs --loss NAME: a file holds one run")
    if getattr(zero.model, "checkpoints", None) is not None:
        raise BadInputError("--checkpoints needs --loss NAME: a folder holds the networks of one run")
    scenario, seed = _Scenario.of(zero, options), recorded_seed(options.seed)
    for loss in losses:  # all of them, before the first takes its time
        zero.model.check(loss, scenario.regime, scenario.decoding)
    reports: dict[str, RunReport] = {}
    intervals: dict[str, FidelityInterval | None] = {}
    for loss in losses:
        with collected_notes() as notes:
            run = scenario.run(loss, seed, REPLICATES)
            if run.interrupted:
                raise InterruptedWorkError(f"interrupted while {loss!r} was simulated; nothing is kept")
            name = loss_label(run)
            intervals[name] = scenario.interval(run)
            reports[name] = scenario.report(run, intervals[name], notes)
    with collected_notes() as notes:
        factors = _factors(intervals)
    report = ComparisonReport(reports, factors, list(dict.fromkeys(notes)))
    if options.json:
        print_json(report.as_json())
    else:
        report.print(output_console(), fresh_seed=options.seed is None)
    if options.plot is not None:
        save(comparison([item.run for item in reports.values()]), options.plot)
        if not options.json:
            print_line(output_console(), "file", os.fspath(options.plot))


def _factors(intervals: "dict[str, FidelityInterval | None]") -> "dict[str, ExtensionFactor]":
    """Extension factors over the first loss, where there is one."""
    from tce_theory.fidelity import extension_factor

    (_, baseline), *others = intervals.items()
    if baseline is None or baseline.times.size < 2 or not baseline.mean > 0:
        return {}
    return {
        name: extension_factor(baseline, other, paired=True)
        for name, other in others
        if other is not None and (baseline.observed.any() or other.observed.any())  # else there is nothing to compare
    }


def _report(report: RunReport, options: SimulationOptions) -> None:
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


def _what_is_kept(run: "Run", out: Path | None) -> str:
    found = f"interrupted: {run.replicates.size} of {run.n_replicates} replicates had finished"
    if out is None:
        return f"{found}; nothing is saved, for want of --out FILE.npz"
    return f"{found} and are saved in {out}; tce_theory.Run.load({os.fspath(out)!r}).replicates says which"
