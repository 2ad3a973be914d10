"""What is shown of runs of several losses: one table, a column a generation, and the factors between them."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tce_theory.cli._output import print_line, short
from tce_theory.cli._run_report import RunReport, fidelity_line

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tce_theory.fidelity import ExtensionFactor

__all__ = ["ComparisonReport"]

_COLUMNS = 7
"""Generations that have room on a terminal of 80 columns."""


@dataclass(frozen=True)
class ComparisonReport:
    """What is shown of runs that differ in their loss.

    Parameters
    ----------
    reports : dict of str to RunReport
        By the name of the loss; the first is the baseline.
    factors : dict of str to ExtensionFactor
        Of other losses over the first; empty if no fidelity interval was asked for, or none can be compared.
    notes : list of str
    """

    reports: dict[str, RunReport]
    factors: "dict[str, ExtensionFactor]"
    notes: list[str]

    def as_json(self) -> dict[str, Any]:
        return {
            "runs": {name: report.as_json() for name, report in self.reports.items()},
            "extension_factors": {
                name: {"ratio": factor.ratio, "low": factor.low, "high": factor.high}
                for name, factor in self.factors.items()
            },
            "notes": self.notes,
        }

    def print(self, console: "Console", *, fresh_seed: bool) -> None:
        first = next(iter(self.reports.values()))
        print_line(console, "generation 0", first.origin)
        print_line(console, "recursion", first.setting())
        console.print(self._table())
        print_line(console, "table", "means over replicates; --json has medians and quantiles")
        for name, report in self.reports.items():
            if report.fidelity is not None:
                print_line(console, name, fidelity_line(report.fidelity))
        for name, factor in self.factors.items():
            baseline = next(iter(self.reports))
            print_line(console, name, f"extension factor {factor} over {baseline}, replicate by replicate")
        for name, report in self.reports.items():
            for event, words in report.event_lines().items():
                print_line(console, f"{name}, {event}", words)
        for name, report in self.reports.items():
            for note in report.notes:
                print_line(console, f"{name}, note", note)
        for note in self.notes:
            print_line(console, "note", note)
        if fresh_seed:
            print_line(console, "seed", f"{first.run.seed} (fresh; --seed {first.run.seed} makes these runs again)")

    def _table(self) -> "Table":
        import warnings

        import numpy as np
        from rich import box
        from rich.table import Table

        runs = {name: report.run for name, report in self.reports.items()}
        first = next(iter(runs.values()))
        last, last_name = first.generations, list(runs)[-1]
        shown = sorted({0, 1, *(round(last * step / (_COLUMNS - 2)) for step in range(1, _COLUMNS - 1))})
        table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("generation")
        for generation in shown:
            table.add_column(str(generation), justify="right")
        for metric in first.metrics:
            table.add_row(metric)
            for name, run in runs.items():
                with warnings.catch_warnings(), np.errstate(all="ignore"):
                    warnings.simplefilter("ignore", RuntimeWarning)
                    means = run.metrics[metric][:, shown].mean(axis=0)
                numbers = [short(float(f"{mean:.3g}")) for mean in means]
                table.add_row(f"  {name}", *numbers, end_section=name == last_name)
        return table
