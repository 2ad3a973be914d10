"""The registry of statements: what is claimed, on which hypotheses, how firmly, and where it is derived and computed.

>>> import tce_theory as tce
>>> theorem = tce.theorems.get("tail-inflation")
>>> theorem.status.value, theorem.proof, theorem.functions[0]
('proved', 'proofs/tail-inflation.py', 'theory.truncated.tail_inflation')

The modules have the names of those in `tce_theory.theory`. Neither importing nor listing the registry imports sympy;
only `Claim.sympy_relation` does.
"""

from __future__ import annotations

import difflib
import functools
import importlib

from tce_theory.errors import DomainError
from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["Claim", "Status", "Theorem", "by_subject", "every", "get", "nearest"]

_SUBJECTS = ("loss", "gaussian", "truncated", "wall", "categorical", "regimes", "literature")
"""Modules in reading order; each has its theorems in reading order."""


@functools.cache
def every() -> dict[str, Theorem]:
    """Return all theorems by slug, in reading order.

    Examples
    --------
    >>> len({theorem.slug for theorem in every().values()}) == len(every())
    True
    """
    return {theorem.slug: theorem for group in by_subject().values() for theorem in group}


@functools.cache
def by_subject() -> dict[str, tuple[Theorem, ...]]:
    """Return the theorems of each subject, in reading order.

    Examples
    --------
    >>> [theorem.slug for theorem in by_subject()["truncated"]][0]
    'tail-inflation'
    """
    return {subject: importlib.import_module(f"{__name__}.{subject}").THEOREMS for subject in _SUBJECTS}


def get(slug: str) -> Theorem:
    """Return the theorem of that slug.

    Raises
    ------
    DomainError
        If there is none; the message suggests the nearest slugs.

    Examples
    --------
    >>> get("tail-inflaton")
    Traceback (most recent call last):
    ...
    tce_theory.errors.DomainError: slug must be that of a theorem (did you mean tail-inflation?), got 'tail-inflaton'
    """
    theorem = every().get(slug)
    if theorem is None:
        near = nearest(slug)
        hint = f"did you mean {' or '.join(near)}?" if near else "tce theory lists them"
        raise DomainError("slug", slug, f"that of a theorem ({hint})")
    return theorem


def nearest(slug: str) -> list[str]:
    """Return up to three slugs that are spelled nearly like `slug`, or that contain it.

    Examples
    --------
    >>> nearest("entropy-identty")[0]
    'entropy-identity'
    """
    asked = str(slug).lower().replace("_", "-")
    containing = [known for known in every() if asked and asked in known]
    return (containing or difflib.get_close_matches(asked, every(), 3, 0.75))[:3]
