"""What a verification found, as a table, as JSON and as a page."""

from __future__ import annotations

import html
import io
import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tce_theory import theorems
from tce_theory.verification.evidence import Evidence

if TYPE_CHECKING:
    from rich.table import Table

    from tce_theory.theorems import Theorem

__all__ = ["COLUMNS", "WIDTH", "VerificationReport", "cells"]

COLUMNS = ("quantity", "kind", "verdict", "observed", "predicted", "margin", "control", "power", "seconds")
WIDTH = 200
"""Characters in a line where no terminal limits it."""
_NARROW = 120
_NUMBERS = ("observed", "predicted", "margin", "power", "seconds")

_PAGE = """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>tce verify</title>
<style>
body {{ font: 15px/1.4 sans-serif; margin: 2em; }}
table {{ border-collapse: collapse; }}
th, td {{ border-bottom: 1px solid #ccc; padding: .25em .6em; text-align: left; vertical-align: top; }}
td.number {{ text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }}
tr.failed {{ background: #fde2dc; }}
small {{ color: #555; }}
</style>
<h1>{title}</h1>
<p>{summary}</p>
<table><tr>{heads}</tr>
{rows}
</table></html>
"""


@dataclass(frozen=True)
class VerificationReport:
    """Evidence on theorems.

    Attributes
    ----------
    evidence : tuple of Evidence
        In the reading order of the theorems.
    effort : str
    seed : int
    seconds : float
        Of the whole run.
    """

    evidence: tuple[Evidence, ...]
    effort: str
    seed: int
    seconds: float

    @property
    def passed(self) -> bool:
        """Whether there is evidence, every claim holds and every control was rejected."""
        return bool(self.evidence) and not self.failures

    @property
    def failures(self) -> tuple[Evidence, ...]:
        """Claims that do not hold, and those whose control was not rejected."""
        return tuple(item for item in self.evidence if not item.passed)

    @property
    def summary(self) -> str:
        """One line."""
        theorems = _counted(len({item.slug for item in self.evidence}), "theorem", "theorems")
        quantities = _counted(len(self.evidence), "quantity", "quantities")
        found = "all hold, and every control is rejected" if self.passed else f"{len(self.failures)} FAIL"
        return f"{theorems}, {quantities}: {found} ({self.effort} effort, seed {self.seed}, {self.seconds:.1f} s)"

    def to_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary of numbers and strings."""
        return {
            "passed": self.passed,
            "effort": self.effort,
            "seed": self.seed,
            "seconds": self.seconds,
            "evidence": [item.as_json() for item in self.evidence],
        }

    def to_html(self) -> str:
        """Return a page that needs no other file."""
        rows = []
        for theorem, group in self._by_theorem():
            rows.append(
                f'<tr><th colspan="{len(COLUMNS)}">{theorem.slug}: {theorem.title} ({theorem.status})</th></tr>'
            )
            for item in group:
                texts = [html.escape(text) for text in cells(item)]
                texts[0] += f"<br><small>{html.escape(item.setting)}</small>"
                marked = [
                    f'<td class="number">{text}</td>' if name in _NUMBERS else f"<td>{text}</td>"
                    for name, text in zip(COLUMNS, texts, strict=True)
                ]
                rows.append(f"<tr{'' if item.passed else ' class=failed'}>{''.join(marked)}</tr>")
        heads = "".join(f"<th>{name}</th>" for name in COLUMNS)
        return _PAGE.format(
            title="Theorems against computation", summary=self.summary, heads=heads, rows="\n".join(rows)
        )

    def table(self, *, controls: bool = True, width: int = WIDTH) -> Table:
        """Return the evidence as a table for a terminal; with `controls`, what the wrong claims were.

        Below 120 characters of `width` it leaves out what is looked up least.
        """
        from rich import box
        from rich.table import Table

        table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
        hidden = set() if controls else {"control"}
        if width < _NARROW:
            hidden |= {"kind", "margin", "power", "seconds"}
        shown = [i for i, name in enumerate(COLUMNS) if name not in hidden]
        for i in shown:
            is_number = COLUMNS[i] in _NUMBERS
            table.add_column(COLUMNS[i], justify="right" if is_number else "left", no_wrap=is_number, overflow="fold")
        for theorem, group in self._by_theorem():
            table.add_row(f"{theorem.slug} ({theorem.status})", style="bold")
            for item in group:
                quantity, *rest = (cells(item)[i] for i in shown)
                table.add_row(f"  {quantity}", *rest, style="" if item.passed else "bold red")
        return table

    def _by_theorem(self) -> Iterator[tuple[Theorem, list[Evidence]]]:
        for slug, group in itertools.groupby(self.evidence, key=lambda item: item.slug):
            yield theorems.get(slug), list(group)

    def __str__(self) -> str:
        from rich.console import Console

        text = io.StringIO()
        console = Console(file=text, width=WIDTH)
        console.print(self.table())
        console.print(self.summary)
        return text.getvalue()


def cells(item: Evidence) -> list[str]:
    """Return what a table shows of a piece of evidence, by `COLUMNS`."""
    verdict, change = item.verdict, item.control.change
    if item.kind == "counterexample":
        verdict = "fails, as it must" if item.verdict == "holds" else "holds, though it should not"
        control = f"{change}: {'it holds' if item.control.rejected else 'it FAILS'}"
    else:
        control = f"{change}: {'rejected' if item.control.rejected else 'NOT rejected'}"
    if not item.control.rejected:
        verdict += ", control NOT rejected"
    return [
        item.quantity,
        item.kind,
        verdict,
        _number(item.observed),
        _number(item.predicted),
        _number(item.margin),
        control,
        f"{math.floor(1e4 * item.control.power) / 1e4:.4f}",
        f"{item.seconds:.1f}",
    ]


def _counted(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"


def _number(value: float) -> str:
    return "–" if math.isnan(value) else f"{value:.4g}"
