"""Statements: loss."""

from __future__ import annotations

from tce_theory.theorems.statement import Theorem

__all__ = ["THEOREMS"]

THEOREMS: tuple[Theorem, ...] = ()
