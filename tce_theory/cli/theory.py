"""``tce theory``: the registry of theorems, and the values of their closed forms."""

import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tce_theory.cli._options import OUTPUT, PLOT_SUFFIXES, Json, check_file, flag, textual
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.cli._ranges import Parameter, parameters_of, read
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.theorems import Theorem

_SHOWN_ENTRIES = 8
_MOST_ROWS = 100_000
_PARAMETERS = "Parameters"


@app.command(cls=Command, context_settings={"ignore_unknown_options": True})
def theory(
    slug: Annotated[
        str | None, typer.Argument(metavar="SLUG", help="A theorem; without one, all are listed.", show_default=False)
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(metavar="--PARAMETER VALUE…", help="Parameters of its closed forms.", show_default=False),
    ] = None,
    function: Annotated[
        str | None, textual("--function", "NAME", _PARAMETERS, "Evaluate this closed form only, if there are several.")
    ] = None,
    plot: Annotated[
        Path | None, textual("--plot", "FILE", OUTPUT, "Draw the values over a range; FILE ends in .pdf, .png or .svg.")
    ] = None,
    json: Json = False,
    quiet: Annotated[bool, flag("--quiet", OUTPUT, "Print the values only.")] = False,
) -> None:
    """List the theorems, show one, or evaluate its closed forms.

    A value is a number (100), a list (10,100,1000) or a range FROM:TO[:log][:COUNT] (10:1000:log). For a vector: its
    entries (0.5,0.3,0.2) or zipf:K[:EXPONENT].

    Example: tce theory gaussian-ce-law --n 10:1000:log --t 100
    """
    if slug is None or slug.startswith("-"):
        if slug or arguments:
            raise BadInputError(f"{slug} needs a theorem before it: tce theory SLUG {slug} …")
        _list(json)
        return
    from tce_theory import theorems

    theorem = theorems.get(slug)
    given = _pairs(arguments or [])
    check_file("plot", plot, PLOT_SUFFIXES)
    if not given:
        if plot is not None or function is not None:
            option = "--plot" if plot is not None else "--function"
            raise BadInputError(f"{option} needs parameters: {_usage(theorem)}")
        _show(theorem, json)
        return
    table = _tabulate(theorem, given, function)
    if json:
        print_json({"slug": slug, "status": theorem.status.value, "parameters": table.fixed, "rows": table.rows})
    else:
        _print_table(theorem, table, quiet)
    if plot is not None:
        _plot(theorem, table, plot)
        if not json:
            print_line(output_console(), "file", os.fspath(plot))


def _pairs(arguments: Sequence[str]) -> dict[str, str]:
    """Read ``--name value`` and ``--name=value`` into a dictionary."""
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        name, equals, value = rest.pop(0).partition("=")
        if not name.startswith("--") or name == "--":
            raise BadInputError(f"{name!r} stands where a parameter such as --n is expected")
        if not equals:
            if not rest:
                raise BadInputError(f"{name} needs a value")
            value = rest.pop(0)
        if name in given:
            raise BadInputError(f"{name} is given twice; a list is written {name} 10,100")
        given[name] = value
    return given


# ------------------------------------------------------------------------------------------------- the registry


def _list(json: bool) -> None:
    from tce_theory import theorems

    every = theorems.every().values()
    if json:
        print_json({"theorems": [_as_json(theorem) for theorem in every]})
        return
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("slug", no_wrap=True)
    table.add_column("status")
    table.add_column("title")
    for theorem in every:
        table.add_row(theorem.slug, theorem.status.value, theorem.title)
    console = output_console()
    console.print(table)
    print_line(console, "more", "tce theory SLUG shows one of them and the parameters of its closed forms")


def _as_json(theorem: "Theorem") -> dict[str, Any]:
    return {
        "slug": theorem.slug,
        "title": theorem.title,
        "status": theorem.status.value,
        "hypotheses": list(theorem.hypotheses),
        "claims": [
            {
                "name": claim.name,
                "statement": claim.statement,
                "status": theorem.status_of(claim).value,
                "function": claim.function,
            }
            for claim in theorem.claims
        ],
        "source": theorem.source,
        "depends_on": list(theorem.depends_on),
        "proof": theorem.proof,
    }


def _show(theorem: "Theorem", json: bool) -> None:
    if json:
        relations = {claim.name: claim.sympy_relation() for claim in theorem.claims}
        shown = _as_json(theorem)
        for claim in shown["claims"]:
            relation = relations[claim["name"]]
            claim["relation"] = None if relation is None else str(relation)
        print_json(shown)
        return
    import sympy

    console = output_console()
    print_line(console, "theorem", f"{theorem.title} ({theorem.slug})")
    print_line(console, "status", theorem.status.value)
    for hypothesis in theorem.hypotheses:
        print_line(console, "if", hypothesis)
    for claim in theorem.claims:
        status = theorem.status_of(claim)
        print_line(console, claim.name, claim.statement + ("" if status is theorem.status else f" [{status.value}]"))
        if (relation := claim.sympy_relation()) is not None:
            pretty = sympy.pretty(relation, use_unicode=True, num_columns=max(40, console.width - 6))
            console.print("\n".join("    " + line for line in pretty.splitlines()), markup=False, soft_wrap=True)
    print_line(console, "source", theorem.source)
    if theorem.depends_on:
        print_line(console, "depends on", ", ".join(theorem.depends_on))
    print_line(console, "proof", theorem.proof)
    for name, callable_ in _functions(theorem, None).items():
        print_line(console, "function", f"tce_theory.{name}: {' '.join(map(_as_usage, parameters_of(callable_)))}")


def _as_usage(parameter: Parameter) -> str:
    return parameter.option if parameter.required else f"[{parameter.option}]"


# ------------------------------------------------------------------------------------------------- values


@dataclass(frozen=True)
class _Tabulation:
    """Values of closed forms at all combinations of their parameters; one row a combination."""

    fixed: dict[str, Any]
    """Parameters with one value."""
    varied: list[str]
    """Parameters with several."""
    logarithmic: set[str]
    rows: list[dict[str, Any]] = field(default_factory=list)

    @property
    def columns(self) -> list[str]:
        names = dict.fromkeys(name for row in self.rows for name in row)
        return [name for name in names if name not in self.varied]


def _functions(theorem: "Theorem", wanted: str | None) -> dict[str, Callable[..., Any]]:
    """Return the closed forms of a theorem by their dotted names, or the one that is wanted."""
    loaded = {claim.function: claim.load_function() for claim in theorem.claims if claim.function}
    forms = {name: function for name, function in loaded.items() if name.startswith("theory.") and callable(function)}
    if wanted is None:
        return forms
    chosen = {name: function for name, function in forms.items() if wanted in (name, name.rpartition(".")[2])}
    if not chosen:
        admissible = " or ".join(name.rpartition(".")[2] for name in forms) or f"left out: {theorem.slug} has no number"
        raise DomainError("function", wanted, admissible)
    return chosen


def _usage(theorem: "Theorem") -> str:
    forms = [
        f"{' '.join(item.option for item in parameters_of(function) if item.required)} ({name.rpartition('.')[2]})"
        for name, function in _functions(theorem, None).items()
    ]
    return " or ".join(forms) or f"{theorem.slug} has no closed form to evaluate"


def _tabulate(theorem: "Theorem", given: Mapping[str, str], wanted: str | None) -> _Tabulation:
    functions = _functions(theorem, wanted)
    known = {item.option: item for function in functions.values() for item in parameters_of(function)}
    for option in given:
        if option not in known:
            of = f"{theorem.slug}; it has {', '.join(known)}" if known else f"{theorem.slug}, which has no closed form"
            raise BadInputError(f"{option} is not a parameter of {of}")
    values: dict[str, list[Any]] = {}
    logarithmic = set()
    for option, text in given.items():
        parameter = known[option]
        values[parameter.name], is_logarithmic = read(parameter, text)
        if is_logarithmic:
            logarithmic.add(parameter.name)
    complete = {
        name: function
        for name, function in functions.items()
        if all(item.name in values for item in parameters_of(function) if item.required)
    }
    if not complete:
        raise BadInputError(f"parameters are missing: {_usage(theorem)}")
    if unused := [
        option
        for option, item in known.items()
        if option in given
        and not any(item.name in {p.name for p in parameters_of(function)} for function in complete.values())
    ]:
        raise BadInputError(f"{', '.join(unused)} is of no use without more parameters: {_usage(theorem)}")
    n_rows = 1
    for choices in values.values():
        n_rows *= len(choices)
    if n_rows > _MOST_ROWS:
        raise BadInputError(f"the ranges have {n_rows} combinations together, {_MOST_ROWS} are admitted")
    varied = [name for name, choices in values.items() if len(choices) > 1]
    table = _Tabulation(
        fixed={name: choices[0] for name, choices in values.items() if name not in varied},
        varied=varied,
        logarithmic=logarithmic,
    )
    for combination in itertools.product(*values.values()):
        point = dict(zip(values, combination, strict=True))
        row = {name: point[name] for name in varied}
        for name, function in complete.items():
            row |= _evaluate(name.rpartition(".")[2], function, point)
        table.rows.append(row)
    return table


def _evaluate(name: str, function: Callable[..., Any], point: Mapping[str, Any]) -> dict[str, Any]:
    """Value of a closed form at a point: one entry, or one a field where it returns several."""
    accepted = {item.name: item for item in parameters_of(function)}
    try:
        value = function(**{key: given for key, given in point.items() if key in accepted})
    except DomainError as error:
        parameter = accepted.get(error.argument)
        raise DomainError(parameter.option if parameter else error.argument, error.value, error.admissible) from None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {f"{name}.{key}": _plain(item) for key, item in zip(value._fields, value, strict=True)}
    return {name: _plain(value)}


def _plain(value: Any) -> Any:
    """Turn what NumPy returns into what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else value


def _print_table(theorem: "Theorem", table: _Tabulation, quiet: bool) -> None:
    from rich import box
    from rich.table import Table

    console = output_console()
    if not quiet:
        print_line(console, "theorem", f"{theorem.title} ({theorem.slug}), {theorem.status.value}")
        settings = ", ".join(f"{name} = {_cell(value)}" for name, value in table.fixed.items())
        if settings:
            print_line(console, "at", settings)
    if not table.varied:
        for name in table.columns:
            print_line(console, name, _cell(table.rows[0][name]))
        return
    grid = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for heading in (*table.varied, *table.columns):
        grid.add_column(heading, justify="right", overflow="fold")
    for row in table.rows:
        grid.add_row(*(_cell(row.get(name)) for name in (*table.varied, *table.columns)))
    console.print(grid)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case float():
            return {"inf": "∞", "-inf": "−∞", "nan": "–"}.get(str(value), f"{value:.12g}")
        case list():
            shown = ", ".join(_cell(item) for item in value[:_SHOWN_ENTRIES])
            return shown if len(value) <= _SHOWN_ENTRIES else f"{shown}, … ({len(value)} entries)"
    return str(value)


def _plot(theorem: "Theorem", table: _Tabulation, path: Path) -> None:
    if not table.varied:
        raise BadInputError("--plot needs a range, such as --n 10:1000:log")
    from tce_theory.plotting import closed_forms, save

    figure = closed_forms(
        table.rows,
        x=table.varied[0],
        lines=table.varied[1:],
        panels=table.columns,
        title=f"{theorem.title} ({theorem.status.value})",
        log_x=table.varied[0] in table.logarithmic,
    )
    save(figure, path)
