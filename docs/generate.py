"""Write the pages of the documentation that follow from the library, and check that the reference is complete."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tce_theory
from tce_theory import theorems
from tce_theory.models import compatibility_table
from tce_theory.theorems import markdown

DOCS = Path(__file__).parent

COMPATIBILITY = """\
# What goes with what

What each family accepts. Everything else is refused, with an
{py:class}`~tce_theory.UnsupportedCombinationError` that says why.

"""

THEOREMS = """\
# Theorems

What the library knows, and how firmly. The status is one of

- **proved**: derived, step by step, in `proofs/`;
- **diffusion limit**: holds as the number of points grows, with corrections of relative order $n^{-1/2}$ unless the
  claim says otherwise;
- **numerical**: seen in numbers only;
- **conjecture**; and **refuted**: has been claimed and is false, with the counterexample.

A claim whose status differs from that of its theorem says so. `make proofs` runs all derivations and typesets them;
`tce theory SLUG` evaluates the closed forms.

"""


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Return `rows`, which all have the same keys, as a Markdown table."""
    columns = list(rows[0])
    heads = [column.replace("_", " ").capitalize() for column in columns]
    lines = [heads, ["---"] * len(columns)]
    lines += [[row[column].replace("|", r"\|") for column in columns] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def missing_from_reference() -> set[str]:
    """Return the public names that the reference does not list."""
    listed = re.findall(r"^   (\w+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name for name in tce_theory.__all__ if not name.startswith("_")} - set(listed)


def theorems_page() -> str:
    """Return the table of theorems, and below it what each of them says."""
    every = theorems.every().values()
    parts = [THEOREMS + markdown.overview(every, lambda theorem: f"#{theorem.slug}")]
    for theorem in every:
        says = markdown.linked(markdown.statement(theorem, "{{py:func}}`~{}`".format), "#{}".format)
        parts.append(f"({theorem.slug})=\n## {theorem.title}\n\n`{theorem.slug}`\n\n{says}")
        parts.append(f"**Derivation.** `{theorem.proof}`")
    return "\n\n".join(parts) + "\n"


def main() -> None:
    """Write docs/generated; end with an error if the reference lacks a public name."""
    if missing := missing_from_reference():
        sys.exit("docs/reference.md does not list " + ", ".join(sorted(missing)))
    generated = DOCS / "generated"
    generated.mkdir(exist_ok=True)
    pages = {
        "compatibility.md": COMPATIBILITY + markdown_table(compatibility_table()),
        "theorems.md": theorems_page(),
    }
    for name, text in pages.items():
        (generated / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
