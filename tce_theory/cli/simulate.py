"""``tce simulate``: a command a family, and what all of them do."""

import os
from pathlib import Path
from typing import TYPE_CHECKING

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
from tce_theory.cli._options import PLOT_SUFFIXES, accepting, check_file
from tce_theory.cli._output import collected_notes, output_console, print_json, print_line
from tce_theory.cli._program import Command, InterruptedWorkError, app
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
    from tce_theory.run import Run


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


def _simulate(zero: Generation0, options: SimulationOptions, replicates: int = REPLICATES) -> None:
    """Check everything that can be checked, simulate, save, and report."""
    from tce_theory.recursion import simulate
    from tce_theory.regimes import sample_sizes

    model, loss, regime, decoding = zero.model, loss_of(options), regime_of(options), decoding_of(options)
    n_samples = sizes_of(options)
    check_file("out", options.out, (".npz",))
    check_file("plot", options.plot, PLOT_SUFFIXES)
    metrics = list(options.metrics or model.default_metrics)
    followed = followed_metric(model, options, options.metrics or [])
    if followed is not None:
        check_threshold(model, followed, options)
        metrics.append(followed)
    with collected_notes() as notes:
        run = simulate(
            model,
            loss,
            n_samples=n_samples,
            generations=options.generations,
            replicates=replicates if options.replicates is None else options.replicates,
            regime=regime,
            decoding=decoding,
            metrics=metrics,
            seed=options.seed,
            n_jobs=options.n_jobs,
            progress=not options.quiet,
            sampler=options.sampler,
        )
        if options.out is not None:
            run.save(options.out)  # before anything else can go wrong
        try:
            fidelity = None if followed is None else fidelity_summary(followed, interval_of(run, followed, options))
            supply = regime.supply(sample_sizes(n_samples, run.generations))
            _report(RunReport(run, zero.text, supply, fidelity, list(dict.fromkeys(notes))), options)
        except KeyboardInterrupt:
            raise InterruptedWorkError(_what_is_kept(run, options.out)) from None
    if run.interrupted:
        raise InterruptedWorkError(_what_is_kept(run, options.out))


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
