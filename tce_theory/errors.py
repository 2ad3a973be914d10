"""Errors and warnings of the library."""

from __future__ import annotations

__all__ = [
    "DefinitionError",
    "DegenerateFitError",
    "DomainError",
    "InterruptedRunWarning",
    "RunFileError",
    "StatisticalWarning",
    "StoreError",
    "UnsupportedCombinationError",
    "WorkersError",
]


class DomainError(ValueError):
    """An argument lies outside its admissible range.

    Parameters
    ----------
    argument : str
        Name of the argument.
    value : object
        What was given.
    admissible : str
        What would be right, as a phrase that follows "must be".

    Examples
    --------
    >>> raise DomainError("gamma", -1, "a finite number above 0")
    Traceback (most recent call last):
    ...
    tce_theory.errors.DomainError: gamma must be a finite number above 0, got -1
    """

    def __init__(self, argument: str, value: object, admissible: str) -> None:
        self.argument = argument
        self.value = value
        self.admissible = admissible
        super().__init__(f"{argument} must be {admissible}, got {value!r}")


class UnsupportedCombinationError(ValueError):
    """Family, loss, regime and sampler do not go together; the message says why."""


class DegenerateFitError(ValueError):
    """The fit does not exist: the likelihood of these data has no maximum, or the training of a network diverged."""


class RunFileError(ValueError):
    """A file is not a readable run: truncated, foreign, or written by a newer version."""


class DefinitionError(ValueError):
    """A definition of experiments is wrong; the message has the path in the file, and what is admissible."""


class StoreError(RuntimeError):
    """A store of experiments cannot be used: damaged, foreign, newer, in use, or the disk is full."""


class WorkersError(RuntimeError):
    """The workers of an experiment were lost; what had finished is kept, and the same command goes on from there."""


class StatisticalWarning(UserWarning):
    """The computation is right, but the number may not mean what a reader would think."""


class InterruptedRunWarning(UserWarning):
    """A simulation was interrupted; what had finished is kept."""
