"""`simulate`: the one entry point for every family, loss and regime."""

from __future__ import annotations

import contextlib
import math
import os
import platform
import sys
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, ThreadPoolExecutor, wait
from dataclasses import fields, replace
from datetime import UTC, datetime
from functools import lru_cache
from importlib.metadata import version
from typing import Any

import numpy as np

from tce_theory.decoding import Decoding
from tce_theory.errors import DegenerateFitError, DomainError, InterruptedRunWarning, StatisticalWarning
from tce_theory.losses import Loss
from tce_theory.models.base import Block, Control, Model, Recursion
from tce_theory.regimes import Regime, Replace, sample_sizes
from tce_theory.run import Run
from tce_theory.validation import boolean, one_of, positive_integer, recorded_seed

__all__ = ["simulate"]

Metrics = Iterable[str | Callable[[Any], float]] | Mapping[str, Callable[[Any], float]]

# metrics whose mean over replicates is far from its expectation once the scale is nearly log-normal
_LOG_NORMAL = {"std", "w2_squared", "kl_from_origin", "kl_to_origin"}
_SLOT_STRIDE = 8  # counters of different threads lie in different cache lines
_POLL_SECONDS = 0.1


def simulate(
    model: Model,
    loss: Loss,
    *,
    n_samples: int | Sequence[int] | Callable[[int], int],
    generations: int,
    replicates: int = 1,
    regime: Regime | None = None,
    decoding: Decoding | None = None,
    metrics: Metrics | None = None,
    seed: int | None = None,
    n_jobs: int = 1,
    progress: bool = False,
    sampler: str = "auto",
) -> Run:
    """Simulate generations of models, each fitted to data drawn from its predecessor.

    Parameters
    ----------
    model : Model
        Generation 0, the truth; it sets the family.
    loss : Loss
        What each generation minimises; the table "what goes with what" of the documentation says which go together.
    n_samples : int, sequence of int or callable
        Points drawn for each generation; if they differ, one number for each, or a function of the generation 1, 2, ….
        What a regime makes of them is said there.
    generations : int
        Generations after generation 0.
    replicates : int
        Independent repetitions.
    regime : Regime, optional
        Where the points come from; `Replace()` if not given.
    decoding : Decoding, optional
        How a model's law is changed when points are drawn from it: `Temperature`, `TopK` or `TopP` for classes,
        `VarianceScaling` for densities, `BeamSearch` for language models; not at all if not given.
    metrics : iterable of str or callable, or mapping of str to callable, optional
        Names of the family's metrics, and functions of a model that return a number (much slower); the family's
        `default_metrics` if not given.
    seed : int, optional
        Nonnegative; fresh entropy, which the run records, if not given.
    n_jobs : int
        Threads; −1 for one a processor. Results do not depend on it.
    progress : bool
        Show a progress bar on the standard error stream, if that is a terminal and the work takes over a second.
    sampler : {"auto", "points"}
        ``"auto"`` samples sufficient statistics in law where the fit depends on nothing else, so that the cost does not
        grow with `n_samples`. ``"points"`` draws every point with numbers that are the same for every loss: runs of
        one seed are then coupled draw by draw (slug `neutral-until-cap`).

    Returns
    -------
    Run
        `run.metrics[name]` is float64 (replicates, generations + 1); column 0 is generation 0. `run.events` counts
        the "vacuous" generations of each replicate, and has the first generation, or −1, of what can happen to a
        family: "underflow" (Gaussian families: the scale has left the range of a float, its logarithm goes on; a
        mixture stays as it is from there on), "fixation" (categorical: one class is left), "extinction" (Poisson: the
        rate is 0), "vanished" and "singular" (mixture: a component's weight or covariance). "unconverged" counts
        the fits of a mixture that had not converged; "unsolved" (Gaussian in d dimensions under absolute TCE) says
        where a fit could not be certified and the replicate ended.

    Raises
    ------
    DomainError
        If an argument is not admissible.
    UnsupportedCombinationError
        If family, loss and regime do not go together.

    Warns
    -----
    InterruptedRunWarning
        If the run was interrupted from the keyboard; the blocks that had finished are returned.
    StatisticalWarning
        If means over replicates are not what they seem (log-normal scales), or if fits were vacuous.

    Notes
    -----
    Replicates are drawn in fixed blocks, each with a stream of its own keyed by (seed, block): results are the same,
    bit for bit, for every `n_jobs`, and the first replicates of a longer run are those of a shorter one.

    Threads come from the standard library rather than joblib: the thread that waits must stay free to show progress and
    to answer Ctrl-C while kernels run.

    Examples
    --------
    >>> import tce_theory as tce
    >>> run = tce.simulate(tce.Gaussian(), tce.CrossEntropy(), n_samples=100, generations=50, replicates=1000, seed=1)
    >>> run.metrics["std"].shape
    (1000, 51)
    >>> float(run.metrics["log_std"][:, 50].mean().round(3))
    -0.479
    """
    boolean("progress", progress)
    model, loss, regime, decoding = _checked(model, loss, regime, decoding)
    generations = positive_integer("generations", generations)
    replicates = positive_integer("replicates", replicates)
    sizes = sample_sizes(n_samples, generations)
    names, functions = _split_metrics(model, metrics)
    seed = recorded_seed(seed)
    one_of("sampler", sampler, ("auto", "points"))
    recursion = model.recursion(loss, sizes, regime, sampler, decoding)
    values = {name: np.empty((replicates, generations + 1)) for name in (*names, *functions)}
    with recursion.surroundings():
        blocks = _run_blocks(recursion, values, names, functions, seed, workers(n_jobs), progress)
    setting = {
        **_described(model, loss, regime, decoding),
        "n_samples": int(sizes[0]) if (sizes == sizes[0]).all() else sizes.tolist(),
        "generations": generations,
        "replicates": replicates,
        "sampler": sampler,
    }
    run = _assemble(recursion, values, blocks, {**setting, **_provenance(seed, recursion)})
    _warn(run, loss, [block.last_log_scale for block in blocks.values() if block.last_log_scale is not None])
    return run


def _checked(model: Any, loss: Any, regime: Any, decoding: Any) -> tuple[Model, Loss, Regime, Decoding | None]:
    if not isinstance(model, Model):
        raise DomainError("model", model, "a model of this library, such as Gaussian() or Categorical(probs)")
    if not isinstance(loss, Loss):
        raise DomainError("loss", loss, "a loss of this library, such as CrossEntropy() or TCE(gamma)")
    regime = Replace() if regime is None else regime
    if not isinstance(regime, Regime):
        raise DomainError("regime", regime, "a regime of this library, such as Replace() or FreshMix(fraction)")
    if decoding is not None and not isinstance(decoding, Decoding):
        raise DomainError("decoding", decoding, "a way to decode, such as Temperature(0.7) or VarianceScaling(0.9)")
    model.check(loss, regime, decoding)
    return model, loss, regime, decoding


def _split_metrics(model: Model, metrics: Any) -> tuple[list[str], dict[str, Callable[[Any], float]]]:
    """Split the wanted metrics into names of the family's own and functions of a model."""
    if metrics is None:
        return list(model.default_metrics), {}
    if isinstance(metrics, str) or not isinstance(metrics, Iterable):
        raise DomainError("metrics", metrics, "a list of names and functions, or a mapping from names to functions")
    items: Sequence[Any] = list(metrics.items()) if isinstance(metrics, Mapping) else list(metrics)
    names: list[str] = []
    functions: dict[str, Callable[[Any], float]] = {}
    for item in items:
        if isinstance(metrics, Mapping):
            name, function = item
        elif callable(item):
            name, function = getattr(item, "__name__", type(item).__name__), item
        else:
            names.append(one_of("metrics", item, model.metric_names))
            continue
        if not callable(function) or not isinstance(name, str):
            raise DomainError("metrics", {name: function}, "a mapping from names to functions of a model")
        if name in model.metric_names or name in functions:
            raise DomainError("metrics", name, "a name that is not taken (in a mapping every function has its own)")
        functions[name] = _numeric(name, function)
    if not items:
        raise DomainError("metrics", metrics, "at least one name or function")
    return list(dict.fromkeys(names)), functions


def _numeric(name: str, function: Callable[[Any], float]) -> Callable[[Any], float]:
    """Make a user's metric fail with its name, and with what it returned."""

    def evaluate(model: Any) -> float:
        try:
            value = function(model)
        except Exception as error:
            error.add_note(f"in the metric {name!r}, of {model!r}")
            raise
        try:
            return float(value)
        except (TypeError, ValueError):
            raise DomainError(f"metric {name!r}", value, "a function that returns a number") from None

    return evaluate


def workers(n_jobs: Any) -> int:
    if n_jobs == -1 and not isinstance(n_jobs, bool):
        return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        return positive_integer("n_jobs", n_jobs)
    except DomainError:
        raise DomainError("n_jobs", n_jobs, "a positive integer, or -1 for all processors") from None


def simulate_part(
    recursion: Recursion,
    rows: range,
    *,
    metrics: Sequence[str],
    seed: int,
    stop: np.ndarray | None = None,
) -> Block | None:
    """Run some of the replicates of `simulate` in the calling thread, with the same results bit for bit.

    Parameters
    ----------
    recursion : Recursion
        From `Model.recursion`.
    rows : range
        Replicates; the first is a multiple of the recursion's block size.
    metrics : sequence of str
        Names of the family's own.
    seed : int
        As of `simulate`.
    stop : uint8 array (1,), optional
        Set to 1 by another thread to end early.

    Returns
    -------
    Block or None
        None if stopped.
    """
    size = recursion.block_size
    if rows.start % size or rows.step != 1 or not rows:
        raise DomainError("rows", rows, f"replicates from a multiple of {size} on")
    stop = np.zeros(1, np.uint8) if stop is None else stop
    control = Control(stop, np.zeros(1, np.int64), 0)
    parts = []
    with recursion.surroundings():
        for first in range(rows.start, rows.stop, size):
            rng, count = block_generator(seed, first // size), min(size, rows.stop - first)
            parts.append(recursion.run_block(rng, count, metrics, {}, control))
            if stop[0]:
                return None
    return Block(
        {name: np.concatenate([part.metrics[name] for part in parts]) for name in metrics},
        {name: np.concatenate([part.events[name] for part in parts]) for name in parts[0].events},
    )


def block_generator(seed: int, block: int) -> np.random.Generator:
    """Return the stream of a block; SFC64 is the fastest of NumPy's bit generators inside the kernels."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence(seed, spawn_key=(block,))))


def _rows(recursion: Recursion, replicates: int, block: int) -> slice:
    """Replicates of a block."""
    first = block * recursion.block_size
    return slice(first, min(first + recursion.block_size, replicates))


def _run_blocks(
    recursion: Recursion,
    values: dict[str, np.ndarray],
    names: list[str],
    functions: dict[str, Callable[[Any], float]],
    seed: int,
    workers: int,
    progress: bool,
) -> dict[int, Block]:
    """Run all blocks in threads and fill `values`; return what else the blocks that finished have yielded."""
    replicates, generations = next(iter(values.values())).shape
    n_blocks = math.ceil(replicates / recursion.block_size)
    workers = min(workers, n_blocks)
    stop = np.zeros(1, np.uint8)
    counters = np.zeros(n_blocks * _SLOT_STRIDE, np.int64)
    finished: dict[int, Block] = {}

    def work(worker: int) -> None:
        # blocks are dealt in turn, so that each thread does its share without a queue
        for block in range(worker, n_blocks, workers):
            rows = _rows(recursion, replicates, block)
            rng, control = block_generator(seed, block), Control(stop, counters, block * _SLOT_STRIDE)
            result = recursion.run_block(rng, rows.stop - rows.start, names, functions, control)
            if stop[0]:
                return
            for name, array in result.metrics.items():
                values[name][rows] = array
            finished[block] = replace(result, metrics={})

    with ThreadPoolExecutor(workers, thread_name_prefix="simulate") as pool:
        futures = [pool.submit(work, worker) for worker in range(workers)]
        try:
            _wait(futures, counters, replicates * (generations - 1), progress)
        except KeyboardInterrupt:
            stop[0] = 1
        except BaseException:
            stop[0] = 1
            raise
    for future in futures:
        future.result()  # raises what a worker raised
    if not finished:
        raise KeyboardInterrupt
    return finished


def _wait(futures: list[Future[None]], counters: np.ndarray, total: int, progress: bool) -> None:
    with _progress_bar(total) if progress else contextlib.nullcontext() as update:
        pending = set(futures)
        while pending:
            done, pending = wait(pending, _POLL_SECONDS, FIRST_EXCEPTION)
            for future in done:
                future.result()
            if update is not None:
                update(int(counters.sum()))


@contextlib.contextmanager
def _progress_bar(total: int) -> Iterator[Callable[[int], None] | None]:
    """Show replicate-generations done and their rate, from the first second on, on a terminal only."""
    if not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    started = time.monotonic()
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rate]:.3g} generations/s"),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )
    task = bar.add_task("", total=total, rate=0.0)

    def update(done: int) -> None:
        elapsed = time.monotonic() - started
        if elapsed > 1 and not bar.live.is_started:
            bar.start()
        stage = "simulating" if done else "compiling the kernel, once after installation"
        bar.update(task, completed=done, rate=done / max(elapsed, 1e-9), description=stage)

    try:
        yield update
    finally:
        if bar.live.is_started:
            bar.stop()


def _assemble(
    recursion: Recursion, values: dict[str, np.ndarray], blocks: dict[int, Block], provenance: dict[str, Any]
) -> Run:
    order, wanted = sorted(blocks), provenance["replicates"]
    spans = [_rows(recursion, wanted, block) for block in order]
    replicates = np.concatenate([np.arange(span.start, span.stop) for span in spans])
    if replicates.size < wanted:  # interrupted
        values = {name: array[replicates] for name, array in values.items()}
    return Run(
        metrics=values,
        replicates=replicates,
        n_replicates=wanted,
        generations=provenance["generations"],
        events={name: np.concatenate([blocks[b].events[name] for b in order]) for name in blocks[order[0]].events},
        provenance=provenance,
    )


def _described(model: Model, loss: Loss, regime: Regime, decoding: Decoding | None) -> dict[str, Any]:
    return {
        "family": model.describe()["name"],
        "model": model.describe(),
        "loss": repr(loss),
        "loss_parameters": {item.name: _plain(getattr(loss, item.name)) for item in fields(loss)},  # type: ignore[arg-type]
        "regime": repr(regime),
        "decoding": None if decoding is None else repr(decoding),
    }


def _provenance(seed: int, recursion: Recursion) -> dict[str, Any]:
    return {
        "seed": seed,
        "block_size": recursion.block_size,
        "stream": recursion.stream,
        "bit_generator": "SFC64",
        "versions": versions(),
        "platform": platform.platform(),
        "command": list(sys.argv),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }


@lru_cache(maxsize=1)
def versions() -> dict[str, str]:
    names = ("tce_theory", "numpy", "scipy", "numba")
    return {"python": platform.python_version(), **{name: version(name) for name in names}}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool)) else getattr(value, "__qualname__", repr(value))


def _warn(run: Run, loss: Loss, last_log_scales: list[np.ndarray]) -> None:
    if run.interrupted:
        warnings.warn(
            f"interrupted: {run.replicates.size} of {run.n_replicates} replicates had finished and are kept",
            InterruptedRunWarning,
            stacklevel=3,
        )
    vacuous = int(run.events["vacuous"].sum())
    if vacuous:
        share = vacuous / (run.replicates.size * run.generations)
        warnings.warn(
            f"{share:.2%} of the fits were vacuous at {loss!r}: the unmasked data determined none, a convention did",
            StatisticalWarning,
            stacklevel=3,
        )
    ended = int((run.events.get("unsolved", np.full(1, -1)) >= 0).sum())
    if ended:
        warnings.warn(
            f"{ended} replicates ended at a fit that could not be certified (event 'unsolved'): their model stays what "
            "it was",
            StatisticalWarning,
            stacklevel=3,
        )
    diverged = run.events.get("diverged", np.full(1, -1))
    if (diverged >= 0).all():
        raise DegenerateFitError(
            f"the training of all {diverged.size} replicates diverged, first at generation {diverged.min()}: lower "
            "Training.rate"
        )
    if (diverged >= 0).any():
        warnings.warn(
            f"the training of {(diverged >= 0).sum()} of {diverged.size} replicates diverged (event 'diverged'): their "
            "metrics are NaN from there on; lower Training.rate",
            StatisticalWarning,
            stacklevel=3,
        )
    if run.replicates.size > 1 and last_log_scales and set(run.metrics) & _LOG_NORMAL:
        spread = float(np.concatenate(last_log_scales).var(ddof=1))
        if spread > 1:
            warnings.warn(
                f"the variance of log std is {spread:.3g} at the last generation: the scale is nearly log-normal, and "
                "means of std or variance over replicates are far below their expectations; look at log_std or medians",
                StatisticalWarning,
                stacklevel=3,
            )
