"""``tce theory``: the registry of theorems, and the values of their closed forms."""

import difflib
import itertools
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

import typer

from tce_theory.cli._options import OUTPUT, PLOT_SUFFIXES, Json, check_file, flag, textual
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.cli._ranges import Parameter, parameters_of, read, summary_of
from tce_theory.cli._tex import as_text
from tce_theory.errors import DomainError
from tce_theory.progress import shown_stages

if TYPE_CHECKING:
    from rich.console import Console

    from tce_theory.theorems import Theorem

_SHOWN_ENTRIES = 8
_MOST_ROWS = 100_000
_DRAWN_POINTS = 101
_NARROW = 72
"""Columns below which a table of the theorems has no room."""
_PARAMETERS = "Parameters"
_OWN_OPTIONS = ("--function", "--plot", "--json", "--quiet", "--help")


@app.command(cls=Command, context_settings={"ignore_unknown_options": True})
def theory(
    slug: Annotated[
        str | None, typer.Argument(metavar="SLUG", help="A theorem; without one, all are listed.", show_default=False)
    ] = None,
    arguments: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="--PARAMETER VALUE…",
            help="Parameters of its closed forms; tce theory SLUG says which.",
            show_default=False,
        ),
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
    """List the theorems, show one with the parameters of its closed forms, or evaluate these.

    A value is a number (100), a list (10,100,1000) or a range FROM:TO[:log][:COUNT] (10:1000:log). For a vector: its
    entries (0.5,0.3,0.2) or zipf:K[:EXPONENT].

    Example: tce theory gaussian-ce-law --n 10:1000:log --t 100
    """
    if slug is None or slug.startswith("-"):
        _refuse_options_without_theorem(slug, plot, function)
        _list(json)
        return
    from tce_theory import theorems

    theorem = theorems.get(slug)
    forms = _forms(theorem, function)
    given = _pairs(arguments or [], forms, slug if function is None else function)
    check_file("plot", plot, PLOT_SUFFIXES)
    if not given and (function is None or any(form.required for form in forms)):
        if plot is not None or function is not None:
            option = "--plot" if plot is not None else "--function"
            if not forms:
                raise BadInputError(f"{option} is of no use for {slug}, which has no closed form")
            raise BadInputError(f"{option} needs parameters: {_usage(forms)}")
        _show(theorem, json)
        return
    table = _tabulate(forms, given, quiet)
    drawn = None
    if plot is not None:
        _check_plot(table)
        drawn = _tabulate(forms, given, quiet, finely=True)
    if json:
        _print_json(theorem, table)
    else:
        _print_table(theorem, table, quiet)
    if plot is not None and drawn is not None:
        _plot(theorem, drawn, plot)
        if not json:
            print_line(output_console(), "file", os.fspath(plot))


def _refuse_options_without_theorem(option: str | None, plot: Path | None, function: str | None) -> None:
    if option is None:
        option = "--plot" if plot is not None else "--function" if function is not None else None
        if option is not None:
            raise BadInputError(f"{option} needs a theorem: tce theory SLUG --PARAMETER VALUE {option} …")
        return
    if near := difflib.get_close_matches(option, _OWN_OPTIONS, 1, 0.8):
        raise BadInputError(f"no such option {option}; did you mean {near[0]}?")
    raise BadInputError(f"{option} needs a theorem before it: tce theory SLUG {option} …")


def _pairs(arguments: Sequence[str], forms: "Sequence[_Form]", owner: str) -> dict[str, str]:
    """Read ``--name value`` and ``--name=value`` into a dictionary of the options of closed forms."""
    known = _parameters(forms)
    given: dict[str, str] = {}
    rest = list(arguments)
    while rest:
        written, equals, value = rest.pop(0).partition("=")
        option = written.replace("_", "-")
        if not option.startswith("--") or option == "--":
            example = next(iter(known), "--n")
            raise BadInputError(f"{written!r} stands where a parameter such as {example} is expected")
        if option not in known:
            raise BadInputError(f"{written} is not a parameter of {owner}{_hint(option, known)}")
        if not equals:
            if not rest or rest[0].startswith("--"):
                raise BadInputError(f"{option} needs a value")
            value = rest.pop(0)
        if option in given:
            raise BadInputError(f"{option} is given twice; a list is written {option} 10,100")
        given[option] = value
    return given


def _hint(option: str, known: Mapping[str, Parameter]) -> str:
    near = difflib.get_close_matches(option, [*known, *_OWN_OPTIONS], 1, 0.8)
    if near:
        return f"; did you mean {near[0]}?"
    return f"; it has {', '.join(known)}" if known else ", which has no closed form"


# ------------------------------------------------------------------------------------------------- the registry


def _list(json: bool) -> None:
    from tce_theory import theorems

    every = theorems.every().values()
    if json:
        print_json({"theorems": [_as_json(theorem) for theorem in every]})
        return
    console = output_console()
    if console.width < _NARROW:
        for theorem in every:
            console.print(f"{theorem.slug} ({theorem.status.value})", style="bold", markup=False)
            console.print(theorem.title, markup=False)
    else:
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        table.add_column("slug", no_wrap=True)
        table.add_column("status", no_wrap=True)
        table.add_column("title")
        for theorem in every:
            table.add_row(theorem.slug, theorem.status.value, theorem.title)
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
    console = output_console()
    labels = ["depends on", *(claim.name for claim in theorem.claims)]

    def line(label: str, content: str) -> None:
        _print_labelled(console, [(label, content)], labels)

    line("theorem", f"{theorem.title} ({theorem.slug})")
    line("status", theorem.status.value)
    for hypothesis in theorem.hypotheses:
        line("if", as_text(hypothesis))
    for claim in theorem.claims:
        status = theorem.status_of(claim)
        line(claim.name, as_text(claim.statement) + ("" if status is theorem.status else f" [{status.value}]"))
        if (relation := claim.sympy_relation()) is not None:
            console.print(_typeset(relation, console), markup=False, soft_wrap=True)
    line("source", theorem.source)
    if theorem.depends_on:
        line("depends on", ", ".join(theorem.depends_on))
    line("proof", theorem.proof)
    forms = _forms(theorem, None)
    for form in forms:
        line("function", f"tce_theory.{form.path}: {_as_usage(form)}{_in_brackets(form.summary)}")
    for option, parameter in _parameters(forms).items():
        default = "" if parameter.default is None else f" Default: {_cell(parameter.default)}."
        line(option, parameter.meaning + default)


def _typeset(relation: Any, console: "Console") -> str:
    """Set a relation in two dimensions, or in one where it is too wide for the terminal."""
    import sympy

    lines = sympy.pretty(relation, use_unicode=True, wrap_line=False).splitlines()
    if console.is_terminal and max(map(len, lines)) > console.width - 4:
        equation = isinstance(relation, sympy.Eq)
        lines = [f"{relation.lhs} = {relation.rhs}" if equation else str(relation)]
    return "\n".join("    " + text.rstrip() for text in lines)


def _as_usage(form: "_Form") -> str:
    """Return the options of a closed form, or its value if it has no parameter."""
    if not form.parameters:
        values = _evaluate(form, {}, alone=True)
        return ", ".join(f"{name.replace(form.name, 'value', 1)} = {_cell(value)}" for name, value in values.items())
    return " ".join(item.option if item.required else f"[{item.option}]" for item in form.parameters)


def _in_brackets(summary: str) -> str:
    return f" ({summary})" if summary else ""


def _print_labelled(console: "Console", entries: Sequence[tuple[str, str]], labels: Sequence[str]) -> None:
    """Print contents behind their labels; on a terminal in a column of their own, as wide as `labels` need.

    A long label is folded; a narrow terminal has the label in a line of its own.
    """
    from rich.table import Table
    from rich.text import Text

    widest = max(map(len, labels)) + 1
    column = min(widest, max(13, 2 * console.width // 5))
    for label, content in entries:
        text = Text(" ".join(content.split()))
        if not console.is_terminal:
            console.print(Text(f"{label}: ").append_text(text), soft_wrap=True)
        elif console.width < _NARROW:
            console.print(Text(f"{label}:", style="bold"))
            console.print(text)
        else:
            grid = Table.grid(padding=(0, 1))
            grid.add_column(style="bold", width=column, overflow="fold")
            grid.add_column(overflow="fold")
            grid.add_row(f"{label}:", text)
            console.print(grid)


# ------------------------------------------------------------------------------------------------- values


class _Form(NamedTuple):
    """A closed form of a theorem."""

    path: str
    """Dotted name, as ``"theory.wall.critical_std"``."""
    status: str
    """How firmly the claims are known that it computes."""
    function: Callable[..., Any]
    parameters: tuple[Parameter, ...]

    @property
    def name(self) -> str:
        return self.path.rpartition(".")[2]

    @property
    def summary(self) -> str:
        return summary_of(self.function)

    @property
    def required(self) -> list[Parameter]:
        return [item for item in self.parameters if item.required]


@dataclass(frozen=True)
class _Tabulation:
    """Values of closed forms at all combinations of their parameters; one row a combination."""

    forms: "list[_Form]"
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

    def form_of(self, column: str) -> _Form:
        return next(form for form in self.forms if form.name == column.partition(".")[0])


def _forms(theorem: "Theorem", wanted: str | None) -> list[_Form]:
    """Return the closed forms of a theorem, or the one that is wanted."""
    functions = {claim.function: claim.load_function() for claim in theorem.claims if claim.function}
    forms = [
        _Form(path, _status(theorem, path), function, tuple(parameters_of(function)))
        for path, function in functions.items()
        if path.startswith("theory.") and callable(function)
    ]
    if wanted is None:
        return forms
    asked = wanted.removeprefix("tce_theory.").replace("-", "_")
    chosen = [form for form in forms if asked in (form.path, form.name)]
    if not chosen:
        near = difflib.get_close_matches(asked, [form.name for form in forms], 1)
        names = ", ".join(form.name for form in forms)
        admissible = f"one of {names}" if forms else f"left out, since {theorem.slug} has no closed form"
        raise DomainError("function", wanted, admissible + (f" (did you mean {near[0]}?)" if near else ""))
    return chosen


def _status(theorem: "Theorem", path: str) -> str:
    statuses = dict.fromkeys(theorem.status_of(claim).value for claim in theorem.claims if claim.function == path)
    return ", ".join(statuses)


def _parameters(forms: Sequence[_Form]) -> dict[str, Parameter]:
    """Return the parameters of closed forms by their options; what one form is strict about holds for all."""
    known: dict[str, Parameter] = {}
    for item in (item for form in forms for item in form.parameters):
        if item.option not in known or known[item.option].kind == "number" != item.kind:
            known[item.option] = item
    return known


def _usage(forms: Sequence[_Form]) -> str:
    """Say which parameters which closed forms need."""
    names: dict[str, list[str]] = {}
    for form in forms:
        if form.parameters:
            names.setdefault(" ".join(item.option for item in form.required), []).append(form.name)
    return " or ".join(f"{options} ({', '.join(users)})" for options, users in names.items())


def _tabulate(forms: Sequence[_Form], given: Mapping[str, str], quiet: bool, *, finely: bool = False) -> _Tabulation:
    """Evaluate closed forms; `finely` has more values in the first range, for a plot."""
    known = _parameters(forms)
    values: dict[str, list[Any]] = {}
    logarithmic = set()
    for option, text in given.items():
        parameter = known[option]
        if finely and ":" in text and parameter.kind in ("number", "integer"):
            values[parameter.name], is_logarithmic = read(parameter, text, _DRAWN_POINTS)
            finely = False
        else:
            values[parameter.name], is_logarithmic = read(parameter, text)
        if is_logarithmic:
            logarithmic.add(parameter.name)
    complete = [
        form for form in forms if all(item.name in values for item in form.required) and (form.parameters or not given)
    ]
    if not complete:
        raise BadInputError(f"parameters are missing: {_usage(forms)}")
    used = {item.option for form in complete for item in form.parameters}
    for option in given:
        if option not in used:
            users = [form for form in forms if option in {item.option for item in form.parameters}]
            raise BadInputError(f"{option} is of no use without more parameters: {_usage(users)}")
    n_rows = 1
    for choices in values.values():
        n_rows *= len(choices)
    if n_rows > _MOST_ROWS:
        raise BadInputError(f"the ranges have {n_rows} combinations together, {_MOST_ROWS} are admitted")
    varied = [name for name, choices in values.items() if len(choices) > 1]
    table = _Tabulation(
        forms=complete,
        fixed={name: _plain(choices[0]) for name, choices in values.items() if name not in varied},
        varied=varied,
        logarithmic=logarithmic,
    )
    with shown_stages(quiet or n_rows == 1) as stage:
        for combination in itertools.product(*values.values()):
            if stage is not None:
                stage(f"value {len(table.rows) + 1} of {n_rows}")
            point = dict(zip(values, combination, strict=True))
            row = {name: point[name] for name in varied}
            for form in complete:
                row |= _evaluate(form, point, alone=len(complete) == 1)
            table.rows.append(row)
    return table


def _evaluate(form: _Form, point: Mapping[str, Any], *, alone: bool) -> dict[str, Any]:
    """Value of a closed form at a point: one entry, or one a field where it returns several."""
    accepted = {item.name: item for item in form.parameters}
    try:
        value = form.function(**{key: given for key, given in point.items() if key in accepted})
    except DomainError as error:
        parameter = accepted.get(error.argument)
        option = parameter.option if parameter else error.argument
        admissible = error.admissible if alone else f"{error.admissible} (in {form.name}; --function leaves it out)"
        value = point.get(error.argument, error.value)
        if parameter and parameter.kind == "vector":  # what is wrong with it, and not a million entries
            value = error.value
        raise DomainError(option, value, admissible) from None
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return {f"{form.name}.{key}": _plain(item) for key, item in zip(value._fields, value, strict=True)}
    return {form.name: _plain(value)}


def _plain(value: Any) -> Any:
    """Turn what NumPy returns into what JSON knows."""
    return value.tolist() if hasattr(value, "tolist") else value


def _print_json(theorem: "Theorem", table: _Tabulation) -> None:
    functions = {
        form.name: {"function": form.path, "status": form.status, "meaning": form.summary} for form in table.forms
    }
    print_json(
        {
            "slug": theorem.slug,
            "status": theorem.status.value,
            "functions": functions,
            "parameters": table.fixed,
            "rows": table.rows,
        }
    )


def _print_table(theorem: "Theorem", table: _Tabulation, quiet: bool) -> None:
    console = output_console()
    entries = []
    if not quiet:
        entries = [("theorem", f"{theorem.title} ({theorem.slug}), {theorem.status.value}")]
        if table.fixed:
            entries.append(("at", ", ".join(f"{name} = {_cell(value)}" for name, value in table.fixed.items())))
    labels = ["theorem", *table.columns]
    if not table.varied:
        explained = set()
        for name in table.columns:
            form = table.form_of(name)
            meaning = "" if quiet or form.name in explained else _meaning(theorem, form, "({})")
            entries.append((name, f"{_cell(table.rows[0][name])} {meaning}"))
            explained.add(form.name)
        _print_labelled(console, entries, labels)
        return
    _print_labelled(console, entries, labels)
    _print_grid(console, table)
    if not quiet:
        _print_labelled(console, [(form.name, _meaning(theorem, form)) for form in table.forms], labels)


def _meaning(theorem: "Theorem", form: _Form, template: str = "{}") -> str:
    """Say what a closed form is, and how firmly it is known where that is not as for the whole theorem."""
    status = "" if form.status == theorem.status.value else f" [{form.status}]"
    return (template.format(form.summary) if form.summary else "") + status


def _print_grid(console: "Console", table: _Tabulation) -> None:
    """Print values in columns; those that do not fit beside each other on a terminal below each other."""
    columns = {name: [name, *(_cell(row.get(name)) for row in table.rows)] for name in (*table.varied, *table.columns)}
    widths = {name: max(map(len, cells)) for name, cells in columns.items()}
    stub = sum(widths[name] + 3 for name in table.varied)
    blocks: list[list[str]] = [[]]
    room = width = console.width - stub if console.is_terminal else None
    for name in table.columns:
        if room is not None and width is not None:
            if blocks[-1] and widths[name] > room:
                blocks.append([])
                room = width
            room -= widths[name] + 3
        blocks[-1].append(name)
    for block in blocks:
        shown = [*table.varied, *block]
        lines = [
            "   ".join(cell.rjust(widths[name]) for name, cell in zip(shown, cells, strict=True))
            for cells in zip(*(columns[name] for name in shown), strict=True)
        ]
        lines.insert(1, "─" * len(lines[0]))
        console.print("\n" + "\n".join(lines) + "\n", markup=False, soft_wrap=True)


def _cell(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "true" if value else "false"
        case float():
            return {"inf": "∞", "-inf": "−∞", "nan": "–"}.get(str(value), f"{value + 0.0:.12g}")
        case list():
            entries = value[:_SHOWN_ENTRIES]
            shown = ", ".join(f"[{_cell(item)}]" if isinstance(item, list) else _cell(item) for item in entries)
            return shown if len(value) <= _SHOWN_ENTRIES else f"{shown}, … ({len(value)} entries)"
    return str(value)


def _check_plot(table: _Tabulation) -> None:
    """Refuse what cannot be drawn, before anything is printed."""
    if not any(_is_number(table.rows[0][name]) for name in table.varied):
        raise BadInputError("--plot needs a range, such as --n 10:1000:log")
    if not any(all(_is_number(row.get(name)) for row in table.rows) for name in table.columns):
        unfit = ", ".join(table.columns)
        raise BadInputError(f"--plot needs closed forms that are one number for each point, and not {unfit}")


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _plot(theorem: "Theorem", table: _Tabulation, path: Path) -> None:
    from tce_theory.plotting import closed_forms, save

    numeric = [name for name in table.varied if _is_number(table.rows[0][name])]
    x = max(numeric, key=lambda name: len({row[name] for row in table.rows}))
    statuses = [theorem.status.value]
    statuses += [f"{form.name}: {form.status}" for form in table.forms if form.status != theorem.status.value]
    figure = closed_forms(
        table.rows,
        x=x,
        lines=[name for name in table.varied if name != x],
        panels=table.columns,
        title=f"{theorem.title} ({'; '.join(statuses)})",
        log_x=x in table.logarithmic,
    )
    save(figure, path)
