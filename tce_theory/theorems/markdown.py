"""Theorems as Markdown, for the documentation and the booklet of derivations."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from tce_theory.theorems.statement import Claim, Theorem

__all__ = ["linked", "overview", "statement"]


def statement(theorem: Theorem, link: Callable[[str], str] = "`{}`".format) -> str:
    """Return what a theorem says, as Markdown with TeX between dollars: status, hypotheses, claims, source, functions.

    `link` makes the mention of a function of its dotted name.

    Examples
    --------
    >>> import tce_theory as tce
    >>> print(statement(tce.theorems.get("tail-inflation")).splitlines()[0])
    **Status:** proved
    """
    parts = [f"**Status:** {theorem.status.value}", "**Hypotheses.** " + " ".join(theorem.hypotheses)]
    parts += [_in_words(theorem, claim, link) for claim in theorem.claims]
    parts.append(f"**Source.** {theorem.source}")
    return "\n\n".join(parts) + "\n"


def overview(theorems: Iterable[Theorem], link: Callable[[Theorem], str]) -> str:
    """Return a table of theorems; `link` gives the address of each.

    Examples
    --------
    >>> import tce_theory as tce
    >>> theorem = tce.theorems.get("tail-inflation")
    >>> print(overview([theorem], lambda theorem: theorem.proof).splitlines()[-1])
    | [`tail-inflation`](proofs/tail-inflation.py) | Leaving out the ... | proved |  |
    """
    lines = ["| Slug | Title | Status | Uses |", "| --- | --- | --- | --- |"]
    for theorem in theorems:
        uses = ", ".join(f"`{slug}`" for slug in theorem.depends_on)
        lines.append(f"| [`{theorem.slug}`]({link(theorem)}) | {theorem.title} | {theorem.status.value} | {uses} |")
    return "\n".join(lines) + "\n"


def linked(text: str, address: Callable[[str], str]) -> str:
    """Make the slugs of theorems between backticks links to where `address` says.

    Examples
    --------
    >>> linked("By `tail-inflation` and `numpy`.", "#{}".format)
    'By [`tail-inflation`](#tail-inflation) and `numpy`.'
    """
    from tce_theory import theorems

    def link(match: re.Match[str]) -> str:
        return f"[{match[0]}]({address(match[1])})" if match[1] in theorems.every() else match[0]

    return re.sub(r"(?<!\[)`([a-z0-9-]+)`", link, text)


def _in_words(theorem: Theorem, claim: Claim, link: Callable[[str], str]) -> str:
    status = theorem.status_of(claim)
    label = claim.name.capitalize().replace("-", " ") + ("" if status is theorem.status else f", {status.value}")
    function = f" Computed by {link(f'tce_theory.{claim.function}')}." if claim.function else ""
    return f"**{label}.** {claim.statement}{function}"
