"""Print one table of speed ratios, each pair measured in this run: `make bench`.

The two sides of a pair run in turn. Costs are processor time, which other work on the machine disturbs least; the gain
of a second thread is wall-clock time and needs two idle processors. The median of the repetitions is shown, with the
smallest and the largest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

from rich.console import Console
from rich.table import Table
from workloads import Workload, cost_of_numbers, workloads


def seconds(clock: Callable[[], float], work: Callable[[], object]) -> float:
    started = clock()
    work()
    return clock() - started


def compare(workload: Workload, repetitions: int) -> dict[str, object]:
    """Measure one pair in turn; ratio of the costs a generation."""
    workload.ours(1), workload.other()  # compile, warm up
    ours, other = [], []
    for _ in range(repetitions):
        ours.append(seconds(time.process_time, lambda: workload.ours(1)) / workload.generations)
        other.append(seconds(time.process_time, workload.other) / workload.other_generations)
    pairs = zip(ours, other, strict=True)
    ratios = [a / b if workload.at_most else b / a for a, b in pairs]
    return summary(workload, ratios, workload.target, ours=statistics.median(ours), other=statistics.median(other))


def scaling(workload: Workload, repetitions: int) -> dict[str, object]:
    """Wall-clock gain of two threads over one."""
    workload.ours(1)
    ratios = []
    for _ in range(repetitions):
        one = seconds(time.perf_counter, lambda: workload.ours(1))
        ratios.append(one / seconds(time.perf_counter, lambda: workload.ours(2)))
    return summary(workload, ratios, 1.7, other_name="one thread, by two")


def summary(workload: Workload, ratios: list[float], target: float, **extra: object) -> dict[str, object]:
    median = statistics.median(ratios)
    at_most = workload.at_most and "other_name" not in extra
    return {
        "work": workload.name,
        "against": extra.pop("other_name", workload.other_name),
        "ratio": median,
        "low": min(ratios),
        "high": max(ratios),
        "target": f"{'≤' if at_most else '≥'} {target:,g}",
        "reached": median <= target if at_most else median >= target,
        **extra,
    }


def table(rows: list[dict[str, object]]) -> Table:
    shown = Table(title="Speed: cost of the other side over ours (of ours over the other's where ≤)")
    for column in ("work", "against", "ratio [low, high]", "to reach", "ours", "other"):
        shown.add_column(column, justify="left" if column in ("work", "against") else "right")
    for row in rows:
        costs = [f"{row[side] * 1e6:,.3g} µs" if side in row else "" for side in ("ours", "other")]
        shown.add_row(
            str(row["work"]), str(row["against"]), f"{row['ratio']:,.3g} [{row['low']:,.3g}, {row['high']:,.3g}]",
            f"{row['target']} {'✓' if row['reached'] else '✗'}", *costs,
        )  # fmt: skip
    return shown


def floor_table(rows: list[dict[str, object]], pairs: list[Workload]) -> Table:
    """How far each kernel is above the cost of its random numbers alone."""
    costs = cost_of_numbers()
    shown = Table(title="Floor: " + ", ".join(f"{name} {cost * 1e9:.1f} ns" for name, cost in costs.items()))
    for column in ("work", "random numbers alone", "ours", "above the floor"):
        shown.add_column(column, justify="left" if column == "work" else "right")
    for row, pair in zip(rows, pairs, strict=True):
        if not pair.at_most:
            lowest, ours = pair.floor(costs), float(str(row["ours"]))
            shown.add_row(pair.name, f"{lowest * 1e6:.3g} µs", f"{ours * 1e6:.3g} µs", f"{ours / lowest:.2f} ×")
    return shown


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repetitions", type=int, default=5)
    parser.add_argument("--scale", type=int, default=1, help="multiplies the length of every workload")
    parser.add_argument("--json", action="store_true", help="print the rows as JSON")
    options = parser.parse_args()
    pairs = workloads(options.scale)
    compared = [compare(pair, options.repetitions) for pair in pairs]
    rows = compared + [scaling(pair, options.repetitions) for pair in pairs if not pair.at_most]
    if options.json:
        print(json.dumps(rows, ensure_ascii=False, indent=1))
    else:
        console = Console(width=150)
        console.print(table(rows))
        console.print(floor_table(compared, pairs))


if __name__ == "__main__":
    main()
