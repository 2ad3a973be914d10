"""What the registry is made of: theorems, their claims, and how firmly each is known."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

__all__ = ["Claim", "Status", "Theorem"]


class Status(StrEnum):
    """How firmly a claim is known."""

    PROVED = "proved"
    DIFFUSION_LIMIT = "diffusion limit"
    """Holds as n → ∞, with corrections of relative order n^(−1/2) unless the claim says otherwise."""
    NUMERICAL = "numerical"
    """Seen in numbers only."""
    CONJECTURE = "conjecture"
    REFUTED = "refuted"
    """Has been claimed and is false; the claim gives the counterexample."""


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One statement of a theorem.

    Attributes
    ----------
    name : str
        Short name, unique within the theorem, as ``"drift"``.
    statement : str
        Markdown with TeX between dollars: one to three sentences.
    status : Status, optional
        That of the theorem if not given.
    relation : callable, optional
        Takes the module sympy and returns the statement as a sympy relation. Its symbols have the names of the
        function's parameters, Greek letters spelled. Handed in, so that reading the registry does not import sympy.
    function : str, optional
        Function of the library that evaluates the claim, as ``"theory.truncated.tail_inflation"``.
    """

    name: str
    statement: str
    status: Status | None = None
    relation: Callable[[Any], Any] | None = None
    function: str | None = None

    def sympy_relation(self) -> Any:
        """Return the statement as a sympy relation, or None if it is not one; imports sympy."""
        return None if self.relation is None else self.relation(importlib.import_module("sympy"))

    def load_function(self) -> Callable[..., Any] | None:
        """Return the function that evaluates the claim, or None if there is none."""
        if self.function is None:
            return None
        module, _, name = self.function.rpartition(".")
        function: Callable[..., Any] = getattr(importlib.import_module(f"tce_theory.{module}"), name)
        return function


@dataclass(frozen=True, kw_only=True)
class Theorem:
    """An entry of the registry.

    Attributes
    ----------
    slug : str
        Name under which code, proofs, simulations, figures and documentation speak of it.
    title : str
        One line.
    hypotheses : tuple of str
        Markdown with TeX between dollars, one hypothesis each.
    claims : tuple of Claim
        What holds under the hypotheses, and what has been claimed and does not.
    status : Status
        Of the theorem as a whole; claims that differ say so.
    source : str
        Author, year and equation, or "this project".
    depends_on : tuple of str
        Slugs that the proof uses.
    """

    slug: str
    title: str
    hypotheses: tuple[str, ...]
    claims: tuple[Claim, ...]
    status: Status
    source: str
    depends_on: tuple[str, ...] = ()

    @property
    def statement(self) -> str:
        """The claims in one text: Markdown with TeX between dollars."""
        return "\n\n".join(self._in_words(claim) for claim in self.claims)

    @property
    def functions(self) -> tuple[str, ...]:
        """Functions of the library that evaluate the claims, as ``"theory.truncated.tail_inflation"``."""
        return tuple(dict.fromkeys(claim.function for claim in self.claims if claim.function is not None))

    @property
    def proof(self) -> str:
        """File of the derivation, from the top of the repository."""
        return f"proofs/{self.slug}.py"

    def claim(self, name: str) -> Claim:
        """Return the claim of that name; raises KeyError if there is none."""
        for claim in self.claims:
            if claim.name == name:
                return claim
        raise KeyError(f"{self.slug} has no claim {name!r}, but {', '.join(claim.name for claim in self.claims)}")

    def status_of(self, claim: Claim) -> Status:
        """Return how firmly `claim` is known."""
        return self.status if claim.status is None else claim.status

    def __repr__(self) -> str:
        return f"<Theorem {self.slug}: {self.title} ({self.status})>"

    def _repr_markdown_(self) -> str:
        """Show the whole statement in a notebook."""
        from tce_theory.theorems import markdown

        return f"**{self.title}**\n\n{markdown.statement(self)}"

    def _in_words(self, claim: Claim) -> str:
        status = self.status_of(claim)
        return claim.statement if status is self.status else f"({status.capitalize()}) {claim.statement}"
