"""Cells of experiments for people: what varies between them is a column, what does not is said once."""

import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tce_theory.cli._output import encodable, print_line, short

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from tce_theory.experiments.definition import Definition
    from tce_theory.experiments.results import Experiment, StoredCell

_MOST_ROWS = 40
_HALF = _MOST_ROWS // 2
_MOST_ENTRIES = 4
_ESTIMATES = ("median", "median_low", "median_high", "mean", "mean_low", "mean_high", "share_censored")
_GROUPS = ("condition", "label", "model", "loss", "regime", "decoding")
_NAMES = {
    "model.family": "model",
    "loss.name": "loss",
    "regime.name": "regime",
    "decoding.name": "decoding",
    "regime.then.name": "then",
}


# ------------------------------------------------------------------------------------------------ in words


def in_words(value: Any) -> str:
    """Write a setting."""
    match value:
        case None:
            return "–"
        case bool():
            return str(value).lower()
        case float():
            return f"{value:.6g}"
        case [list(), _, _, *_]:  # a matrix has its first row alone
            return f"[{in_words(value[0])}, …] ({len(value)})"
        case list() | tuple():
            shown = ", ".join(in_words(item) for item in value[:_MOST_ENTRIES])
            return f"[{shown}]" if len(value) <= _MOST_ENTRIES else f"[{shown}, …] ({len(value)})"
    return str(value)


def size_in_words(size: float) -> str:
    """Write a number of bytes."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if size < 999.5 or unit == "GB":
            break
        size /= 1000
    return f"{size:.3g} {unit}" if size < 999.5 else f"{size:,.0f} {unit}"


def time_in_words(seconds: float) -> str:
    """Write a time."""
    if seconds < 99.5:
        return f"{seconds:.2g} s"
    if seconds < 99.5 * 60:
        return f"{seconds / 60:.2g} min"
    hours = seconds / 3600
    return f"{hours:.2g} h" if hours < 99.5 else f"{hours:,.0f} h"


def rate_in_words(rate: float) -> str:
    """Write how many there are of something in a second."""
    return f"{float(f'{rate:.3g}'):,.0f}" if rate >= 100 else f"{rate:.2g}"


def count(number: int, what: str) -> str:
    """Write how many there are of something whose plural ends in s."""
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


# ------------------------------------------------------------------------------------------------ settings


def print_head(console: "Console", experiment: "Definition | Experiment") -> None:
    """Print the title of a definition or of a store, and the theorems that it bears on."""
    print_line(console, "title", experiment.title)
    if experiment.theorems:
        print_line(console, "theorems", ", ".join(experiment.theorems))


def print_settings(console: "Console", cells: Sequence[Any]) -> None:
    """Say which settings all cells share; `cells` are those of a definition or of a store."""
    vary = set(_varying(cells))
    shared = {name: value for name, value in cells[0].settings.items() if name not in vary}
    print_line(console, "settings", ", ".join(f"{name} = {in_words(value)}" for name, value in shared.items()))


def _varying(cells: Sequence[Any]) -> list[str]:
    """Return the settings that are not the same in all cells; those of a model, a loss and a regime come first."""
    from tce_theory.experiments import tables

    names = tables.varying(cells)
    groups = [*_GROUPS, *names]
    return sorted(names, key=lambda name: groups.index(name if "." not in name else name.partition(".")[0]))


def cell_in_words(settings: Mapping[str, Any], cells: Sequence[Any]) -> str:
    """Write those settings of a cell by which it differs from others; all if it is the only one."""
    names = _varying(cells) or list(settings)
    return ", ".join(f"{name} = {in_words(settings[name])}" for name in names if name in settings)


def others_in_words(number: int, store: object) -> str:
    """Say that a store has blocks that a definition does not use."""
    what = "other block is" if number == 1 else "other blocks are"
    where = "of cells that this definition does not have (or of other versions of the results)"
    return f"{number:,} {what} in {store}, {where}; {'it is' if number == 1 else 'they are'} kept"


def _headings(names: Iterable[str], cells: Sequence[Any], taken: Sequence[str] = ()) -> list[str]:
    """Return what columns are called: the last part of a name, unless another setting or column has that too."""
    from tce_theory.experiments import tables

    parts = [*(_last_part(name) for name in tables.names_of(cells)), *taken]
    return [part if parts.count(part := _last_part(name)) < 2 else name for name in names]


def _last_part(name: str) -> str:
    return _NAMES.get(name, name.rpartition(".")[2])


# ---------------------------------------------------------------------------------------------- the tables


def shown(number: int) -> list[int]:
    """Return the places of those cells that are shown: the first and the last."""
    if number <= _MOST_ROWS:
        return list(range(number))
    return [*range(_HALF), *range(number - _HALF, number)]


def print_cells(
    console: "Console", cells: Sequence[Any], columns: Sequence[str], rows: Mapping[int, Sequence[str]]
) -> None:
    """Print a table of cells; on a terminal that is too narrow for it, two lines for each of them.

    Parameters
    ----------
    console : rich.console.Console
    cells : sequence
        All cells of an experiment, of its definition or of its store.
    columns : sequence of str
        Headings of what is said beside the settings that vary.
    rows : mapping of int to sequence of str
        What is said of those cells that are shown, by their places.
    """
    from rich import box
    from rich.table import Table

    names = _varying(cells)
    headings = [*_headings(names, cells, columns), *columns]
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, show_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right", no_wrap=True)
    left_out = len(cells) - len(shown(len(cells)))
    gap = encodable(console, "⋮")
    lines: list[list[str] | None] = []
    for number, (place, content) in enumerate(rows.items()):
        if left_out and number == _HALF:
            lines.append(None)
        settings = (in_words(cells[place].settings.get(name)) for name in names)
        lines.append([encodable(console, text) for text in (*settings, *content)])
    for line in lines:
        table.add_row(*line or [gap] * len(headings))
    console.print()
    if fits(console, table):
        console.print(table)
    else:
        for line in lines:
            for text in [gap] if line is None else record(headings, line, len(names), console.width):
                console.print(text, soft_wrap=True, markup=False)
    console.print()
    if left_out:
        print_line(console, gap, f"{left_out:,} of {len(cells):,} cells are not shown")


def fits(console: "Console", table: "Table") -> bool:
    """Say whether a table can be shown with nothing cut; a file or a pipe is made as wide as it needs."""
    from rich.measure import Measurement

    needed = Measurement.get(console, console.options.update(max_width=10_000), table).maximum
    if not console.is_terminal:
        console.width = max(console.width, needed)
    return needed <= console.width


def record(headings: Sequence[str], line: Sequence[str], settings: int, width: int) -> Iterator[str]:
    """Write a row of a table below each other: so many settings of a cell, and what is said of it."""
    entries = [f"{heading} {text}".replace(" ", "\xa0") for heading, text in zip(headings, line, strict=True)]
    for part, indent in ((entries[:settings], ""), (entries[settings:], "  ")):
        # broken between entries alone; one that is longer than a line is for the terminal to wrap
        text = textwrap.fill(
            ", ".join(part),
            width,
            initial_indent=indent,
            subsequent_indent=f"{indent}  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        if part:
            yield text.replace("\xa0", " ")


# ----------------------------------------------------------------------------------------------- the results


def print_results(console: "Console", experiment: "Experiment") -> None:
    """Print how long the cells of an experiment stay faithful, or where their metrics end."""
    from tce_theory.experiments import tables

    cells = experiment.cells
    places = shown(len(cells))
    chosen = [cells[place] for place in places]
    found: dict[str, dict[int, dict[str, Any]]] = {}
    for row in tables.fidelity_rows(chosen):
        found.setdefault(row["criterion"], {})[places[row["cell"]]] = row
    for criterion, rows in found.items():
        _print_fidelity(console, cells, criterion, rows)
    if not found:
        _print_metrics(console, cells, places)


def _print_fidelity(
    console: "Console", cells: "Sequence[StoredCell]", criterion: str, rows: Mapping[int, Mapping[str, Any]]
) -> None:
    print_line(console, "fidelity", f"{criterion}: generations, with 95 % confidence limits")
    status = _status(cells)
    columns = [*(["status"] if status else []), "median", "95 %", "mean", "95 %", "censored"]
    marked = [row["notes"] for row in rows.values() if _is_marked(row)]
    content = {place: [*status.get(place, []), *_fidelity(row)] for place, row in rows.items()}
    print_cells(console, cells, columns, content)
    if any(row["share_censored"] for row in rows.values()):
        print_line(console, "censored", "replicates that stay faithful to the end; means count them as that long")
    if marked:
        others = f" (and {count(len(marked) - 1, 'cell')} more)" if len(marked) > 1 else ""
        print_line(console, "note *", f"{marked[0]}{others}")


def _fidelity(row: Mapping[str, Any]) -> list[str]:
    mark = "*" if _is_marked(row) else ""
    median, mean = (_estimate(row, statistic) for statistic in ("median", "mean"))
    share = row["share_censored"]
    return [median[0] + mark, median[1], *mean, "–" if share is None else f"{100 * share:.3g} %"]


def _is_marked(row: Mapping[str, Any]) -> bool:
    """Whether there is something to say about an interval, or about why there is none."""
    return bool(row["notes"]) and row["finished"] > 0


def _estimate(row: Mapping[str, Any], statistic: str) -> tuple[str, str]:
    value, low, high = (row[f"{statistic}{part}"] for part in ("", "_low", "_high"))
    limits = "–" if low is None else f"{_shorter(low)} – {_shorter(high)}"
    return "–" if value is None else short(value), limits


def _shorter(limit: float) -> str:
    return f"{limit:.3g}" if 1e-3 <= limit < 999.5 else short(limit)


def _status(cells: "Sequence[StoredCell]") -> dict[int, list[str]]:
    """Return the status of each cell in words, by place; nothing if all are done."""
    if all(cell.status == "done" for cell in cells):
        return {}
    return {place: [cell.status] for place, cell in enumerate(cells)}


def _print_metrics(console: "Console", cells: "Sequence[StoredCell]", places: Sequence[int]) -> None:
    """Print the means of the metrics in the last generation."""
    import numpy as np

    status = _status(cells)
    means: dict[int, dict[str, str]] = {place: {} for place in places}
    diverged = 0
    for place in places:
        if cells[place].finished:
            run = cells[place].run()
            diverged += run.diverged
            with np.errstate(all="ignore"):  # the mean of numbers that are infinite, or nearly
                means[place] = {name: short(float(values[:, -1].mean())) for name, values in run.metrics.items()}
    names = list(dict.fromkeys(name for found in means.values() for name in found))
    print_line(console, "metrics", "means over the replicates in the last generation")
    rows = {place: [*status.get(place, []), *(found.get(n, "–") for n in names)] for place, found in means.items()}
    print_cells(console, cells, [*(["status"] if status else []), *names], rows)
    if diverged:
        there = (
            f"the training of {count(diverged, 'replicate')} diverged: they have no values, and their cells no means"
        )
        print_line(console, "diverged", there)


def cells_as_json(experiment: "Experiment") -> list[dict[str, Any]]:
    """Return the cells with their fidelity intervals."""
    from tce_theory.experiments import tables

    fidelity: dict[int, list[dict[str, Any]]] = {}
    for row in tables.fidelity_rows(experiment.cells):
        summary = {name: row[name] for name in ("criterion", *_ESTIMATES, "notes")}
        fidelity.setdefault(row["cell"], []).append(summary)
    return [
        {
            "key": cell.key,
            "settings": dict(cell.settings),
            "status": cell.status,
            "replicates": cell.replicates,
            "finished": cell.finished,
            "error": cell.error,
            "fidelity": fidelity.get(place, []),
        }
        for place, cell in enumerate(experiment.cells)
    ]
