"""Write the pages of the documentation that follow from the library, and check that the reference is complete."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import tce_theory
from tce_theory.models import compatibility_table

DOCS = Path(__file__).parent

COMPATIBILITY = """\
# What goes with what

What each family accepts. Everything else is refused, with an
{py:class}`~tce_theory.UnsupportedCombinationError` that says why.

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


def main() -> None:
    """Write docs/generated; end with an error if the reference lacks a public name."""
    if missing := missing_from_reference():
        sys.exit("docs/reference.md does not list " + ", ".join(sorted(missing)))
    generated = DOCS / "generated"
    generated.mkdir(exist_ok=True)
    page = COMPATIBILITY + markdown_table(compatibility_table())
    (generated / "compatibility.md").write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
