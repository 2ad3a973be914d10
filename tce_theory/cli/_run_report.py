"""What is shown of a run: its setting in a few lines, a table, what happened, and the same as JSON."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tce_theory.cli._output import print_line, short

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.table import Table

    from tce_theory.fidelity import FidelityInterval
    from tce_theory.regimes import Supply
    from tce_theory.run import Run

__all__ = ["RunReport", "fidelity_line", "fidelity_summary"]

_QUANTILES = {"median": 0.5, "q05": 0.05, "q95": 0.95}
_COUNTED = ("vacuous", "unconverged")
"""Events that are counted; of the others the first generation is known."""
_IN_WORDS = {
    "vacuous": "the unmasked data determined no fit, a convention did",
    "unsolved": "a fit could not be certified, and the model stays what it was",
    "unconverged": "the search for a fit ended before it had converged",
    "diverged": "training diverged, and there are no values from there on",
    "vanished": "a component stood for no point any more and was removed",
    "singular": "a component contracted to a point or a line and was removed",
    "extinction": "the rate is 0 and stays 0",
    "fixation": "one class is left",
    "underflow": "the scale is below the smallest number there is",
}


def fidelity_summary(metric: str, interval: "FidelityInterval") -> dict[str, Any]:
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


def fidelity_line(fidelity: dict[str, Any]) -> str:
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


def _summary(values: "np.ndarray") -> dict[str, "np.ndarray"]:
    """Mean, median and quantiles over replicates, generation by generation."""
    import numpy as np

    with np.errstate(all="ignore"):  # the mean of numbers that are infinite, or nearly
        summary = {"mean": values.mean(axis=0)}
    for name, probability in _QUANTILES.items():
        # one of the values, where interpolation between infinite ones would have none
        summary[name] = np.quantile(values, probability, axis=0, method="inverted_cdf")
    return summary


def _range(numbers: "np.ndarray") -> str:
    """First and last of numbers that grow, or how far those reach that do not."""
    low, high = int(numbers.min()), int(numbers.max())
    return f"{low}" if low == high else f"{low} … {high}"


@dataclass(frozen=True)
class RunReport:
    """What is shown of a run.

    Parameters
    ----------
    run : Run
    origin : str
        What generation 0 is.
    supply : Supply
        Where the data of the generations come from.
    fidelity : dict, optional
        From `fidelity_summary`.
    notes : list of str
    """

    run: "Run"
    origin: str
    supply: "Supply"
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
        """Count the replicates with each event; and how often it occurs, or when first."""
        events: dict[str, dict[str, int | None]] = {}
        for name, values in self.run.events.items():
            if name in _COUNTED:
                events[name] = {"replicates": int((values > 0).sum()), "fits": int(values.sum())}
            else:
                when = values[values >= 0]
                events[name] = {"replicates": int(when.size), "first": int(when.min()) if when.size else None}
        return events

    def print(self, console: "Console", *, fresh_seed: bool) -> None:
        run = self.run
        print_line(console, "generation 0", self.origin)
        print_line(console, "loss", run.provenance["loss"])
        if (control := run.provenance["model"].get("training", {}).get("control", "none")) != "none":
            print_line(console, "control", f"{control}: cross entropy, beside a twin with this loss")
        print_line(console, "recursion", self.setting())
        console.print(self._table())
        if self.fidelity is not None:
            print_line(console, "fidelity", fidelity_line(self.fidelity))
        for name, words in self.event_lines().items():
            print_line(console, name, words)
        for note in self.notes:
            print_line(console, "note", note)
        if fresh_seed:
            print_line(console, "seed", f"{run.seed} (fresh; --seed {run.seed} makes this run again)")

    def setting(self) -> str:
        """Regime, decoding, and all sizes; those of fits where they are not those of what is drawn."""
        run, drawn, fitted = self.run, self.supply.drawn, self.supply.fitted
        found = f"{run.replicates.size} of {run.n_replicates}" if run.interrupted else f"{run.n_replicates}"
        decoding = run.provenance["decoding"]
        parts = [
            run.provenance["regime"],
            *([] if decoding is None else [f"decoded with {decoding}"]),
            f"{found} replicates of {run.generations} generations",
            f"{_range(drawn)} points a generation",
        ]
        if (fitted != drawn).any():
            parts.append(f"fits to {_range(fitted)} points")
        return ", ".join(parts)

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

    def event_lines(self) -> dict[str, str]:
        """Say in a line each what has happened to how many replicates."""
        return {name: self._event_line(name, event) for name, event in self._events().items() if event["replicates"]}

    def _event_line(self, name: str, event: dict[str, int | None]) -> str:
        when = f"the earliest at generation {event['first']}" if "first" in event else f"{event['fits']} fits"
        where = f"in {event['replicates']} of {self.run.replicates.size} replicates, {when}"
        return f"{where} ({_IN_WORDS[name]})"
