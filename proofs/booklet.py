"""Run the derivations and write them as pages, from which Sphinx makes the booklet.

``python proofs/booklet.py [SLUG …] [--out DIRECTORY]`` runs all derivations, or those that are named, and writes one
Markdown page each, and an index, into the directory. It ends with an error if a step of a derivation fails, if one
takes more than a minute, or if it leaves out what the registry has. A run of all brings the index in README.md up to
date.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import io
import re
import sys
import time
import traceback
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import joblib
import matplotlib
import sympy as sp
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from tce_theory import plotting, theorems
from tce_theory.errors import DomainError
from tce_theory.files import write_atomically
from tce_theory.theorems import markdown

HERE = Path(__file__).parent
MOST_SECONDS = 60.0

INTRODUCTION = """\
# The theorems and their derivations

Each page states a theorem, its hypotheses and how firmly it is known, and derives it. Steps are checked by computer
algebra as the booklet is made: a ✓ stands for a check that was run and could have failed. What is only seen in numbers
says so.

The order is that of reading: a derivation uses only what comes before it.
"""

GRAPH = """\
## Which derivation uses which

An arrow goes from what is used to where it is used.

![Graph of the derivations](dependencies.svg)
"""


@dataclass(frozen=True)
class Cell:
    """A cell of a derivation: prose, or code with what it printed and what it evaluated to."""

    source: str
    is_prose: bool
    printed: str = ""
    value: Any = None


@dataclass(frozen=True)
class Outcome:
    """A derivation that was run; `failure` says which step failed and how, or what the derivation leaves out."""

    slug: str
    cells: list[Cell]
    seconds: float
    failure: str = ""


# --- running ---


def cells_of(script: str) -> Iterator[Cell]:
    """Split a script in percent format into its cells."""
    for head, body in re.findall(r"^# %%(.*)\n((?:(?!# %%).*\n?)*)", script, flags=re.MULTILINE):
        is_prose = "[markdown]" in head
        source = re.sub(r"^# ?", "", body, flags=re.MULTILINE) if is_prose else body
        if source.strip():
            yield Cell(source.strip(), is_prose)


def run(slug: str) -> Outcome:
    """Run one derivation, cell by cell."""
    sys.path.insert(0, str(HERE))
    import checking  # the one that the derivation imports

    checking.stated.clear()
    checking.agreed.clear()
    path = HERE / f"{slug}.py"
    namespace: dict[str, Any] = {"__name__": "__main__", "__file__": str(path)}
    done: list[Cell] = []
    start = time.perf_counter()
    for cell in cells_of(path.read_text(encoding="utf-8")):
        printed = io.StringIO()
        try:
            with contextlib.redirect_stdout(printed):
                value = None if cell.is_prose else evaluate(cell.source, str(path), namespace)
        except Exception:
            return Outcome(slug, done, time.perf_counter() - start, f"{cell.source}\n\n{traceback.format_exc()}")
        done.append(Cell(cell.source, cell.is_prose, printed.getvalue(), as_tex(value)))
    missing = left_out(theorems.get(slug), checking.stated, checking.agreed)
    return Outcome(slug, done, time.perf_counter() - start, missing)


def left_out(theorem: theorems.Theorem, stated: Container[tuple[str, str]], agreed: Container[str]) -> str:
    """Say which registered relations a derivation has not arrived at, and which closed forms it has not met."""
    claims = [claim.name for claim in theorem.claims if claim.relation and (theorem.slug, claim.name) not in stated]
    functions = [name for name in theorem.functions if name.startswith("theory.") and name not in agreed]
    lines = [f"the derivation does not arrive at the claim {name!r}" for name in claims]
    return "\n".join(lines + [f"the derivation is not held against tce_theory.{name}" for name in functions])


def evaluate(source: str, filename: str, namespace: dict[str, Any]) -> Any:
    """Run the statements of a cell, and return the value of its last line if that is an expression."""
    tree = ast.parse(source, filename)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, filename, "exec"), namespace)
    if last is None:
        return None
    return eval(compile(ast.Expression(last.value), filename, "eval"), namespace)


def as_tex(value: Any) -> list[str]:
    """Return what a cell evaluated to as formulas; what is not mathematics is left out."""
    if isinstance(value, (sp.Basic, sp.MatrixBase)) and value not in (sp.true, sp.false):
        return [sp.latex(value, mat_delim="(", mat_str="matrix", ln_notation=False)]
    if isinstance(value, (list, tuple)):
        return [formula for item in value for formula in as_tex(item)]
    return []


# --- pages ---


def page(outcome: Outcome) -> str:
    """Return a theorem and its derivation as Markdown."""
    theorem = theorems.get(outcome.slug)
    used_by = [other.slug for other in theorems.every().values() if theorem.slug in other.depends_on]
    parts = [displayed(markdown.statement(theorem))]
    for label, slugs in (("Uses", theorem.depends_on), ("Used by", used_by)):
        if slugs:
            parts.append(f"**{label}.** " + ", ".join(f"`{slug}`" for slug in slugs))
    for cell in outcome.cells:
        parts.append(prose(cell.source) if cell.is_prose else code(cell))
    head = f"# {theorem.title}\n\nSlug `{theorem.slug}`.\n\n"
    return head + markdown.linked("\n\n".join(parts), "{}.md".format) + "\n"


def prose(source: str) -> str:
    """Put the headings of a derivation below that of its page."""
    source = re.sub(r"^# .*", "## Derivation", source, count=1, flags=re.MULTILINE)
    return displayed(re.sub(r"^##(?= (?!Derivation$))", "###", source, flags=re.MULTILINE))


def code(cell: Cell) -> str:
    """Return a code cell with its checks as a list and its value as formulas."""
    parts = [f"```python\n{cell.source}\n```"]
    for line in cell.printed.splitlines():
        parts.append(f"*{escaped(line)}*" if line.startswith("✓") else f"```text\n{line}\n```")
    parts += [f"$$\n{formula}\n$$" for formula in cell.value]
    return "\n\n".join(parts)


def displayed(source: str) -> str:
    """Give displayed formulas lines of their own, with the punctuation that follows them."""
    return re.sub(r"\s*\$\$\s*(.+?)\s*\$\$\s*([.,;]?)[ \n]*", r"\n\n$$\n\1\2\n$$\n\n", source, flags=re.DOTALL)


def escaped(text: str) -> str:
    """Escape what would be markup in a line of text."""
    return re.sub(r"([\\`*_{}\[\]<>$|#])", r"\\\1", text)


def index(outcomes: Sequence[Outcome]) -> str:
    """Return the first page: the theorems in reading order, and which uses which."""
    slugs = [outcome.slug for outcome in outcomes]
    table = markdown.overview((theorems.get(slug) for slug in slugs), lambda theorem: f"{theorem.slug}.md")
    contents = "\n".join(["```{toctree}", ":hidden:", ":numbered: 1", "", *slugs, "```"])
    return "\n".join([INTRODUCTION, table, GRAPH, contents, ""])


def with_index(readme: str) -> str:
    """Return the text of README.md with the table of theorems between its marks brought up to date."""
    table = markdown.overview(theorems.every().values(), lambda theorem: f"{theorem.slug}.py")
    return re.sub(r"(<!-- index -->\n).*(<!-- end of index -->)", rf"\1\n{table}\n\2", readme, flags=re.DOTALL)


def dependency_graph() -> Figure:
    """Draw the theorems in reading order, and arcs from what is used to where it is used."""
    every = list(theorems.every().values())
    heights = {theorem.slug: -row for row, theorem in enumerate(every)}
    with plotting.style():
        figure = Figure(figsize=(6.5, 0.21 * len(every)))
        ax = figure.subplots()
        cycle = matplotlib.rcParams["axes.prop_cycle"].by_key()["color"]
        for number, (subject, group) in enumerate(theorems.by_subject().items()):
            color = cycle[number % len(cycle)]
            for theorem in group:
                ax.plot(0, heights[theorem.slug], ".", color=color)
                ax.text(-0.5, heights[theorem.slug], theorem.slug, ha="right", va="center", fontsize=7.5, color=color)
                for used in theorem.depends_on:
                    ax.add_patch(_arc(heights[used], heights[theorem.slug], color))
            ax.text(-10, heights[group[0].slug], subject, ha="right", va="center", weight="bold", color=color)
        ax.set_xlim(-14.5, 11)
        ax.set_ylim(-len(every) + 0.2, 0.8)
        ax.axis("off")
    return figure


def _arc(start: float, end: float, color: str) -> FancyArrowPatch:
    look = {"connectionstyle": "arc3,rad=-0.6", "arrowstyle": "-|>", "mutation_scale": 6, "linewidth": 0.8}
    return FancyArrowPatch((0, start), (0, end), shrinkA=2, shrinkB=2, color=color, **look)


# --- the program ---


def report(outcomes: Sequence[Outcome]) -> int:
    """Print times and failures; return how many derivations failed."""
    failures = 0
    for outcome in outcomes:
        is_slow = outcome.seconds > MOST_SECONDS
        failures += bool(outcome.failure) or is_slow
        verdict = "FAILED" if outcome.failure else f"TOO SLOW (more than {MOST_SECONDS:g} s)" if is_slow else "ok"
        print(f"{outcome.slug:28s} {outcome.seconds:6.1f} s  {verdict}")
        if outcome.failure:
            print(outcome.failure)
    return failures


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the derivations and write the pages."""
    parser = argparse.ArgumentParser(description="Run the derivations and write them as Markdown pages.")
    parser.add_argument("slugs", metavar="SLUG", nargs="*", help="derivations to run; all if none is named")
    parser.add_argument("--out", type=Path, default=Path("build/proofs/source"), help="directory for the pages")
    parser.add_argument("--jobs", type=int, default=-1, help="processes; one a processor if not given")
    settings = parser.parse_args(arguments)
    try:
        slugs = [theorems.get(slug).slug for slug in settings.slugs] or list(theorems.every())
        settings.out.mkdir(parents=True, exist_ok=True)
    except (DomainError, OSError) as error:
        parser.error(str(error))
    outcomes = joblib.Parallel(n_jobs=settings.jobs)(joblib.delayed(run)(slug) for slug in slugs)
    if report(outcomes):
        return 1
    texts = {f"{outcome.slug}.md": page(outcome) for outcome in outcomes} | {"index.md": index(outcomes)}
    for name, text in texts.items():
        write_atomically(settings.out / name, lambda file, text=text: file.write(text.encode()))
    plotting.save(dependency_graph(), settings.out / "dependencies.svg")
    if not settings.slugs:
        readme = HERE / "README.md"
        text = with_index(readme.read_text(encoding="utf-8"))
        write_atomically(readme, lambda file: file.write(text.encode()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
