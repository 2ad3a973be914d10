"""Numerical checks of the theorems, each with a negative control that has to be rejected."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable

import joblib

from tce_theory import theorems
from tce_theory.errors import DomainError
from tce_theory.validation import one_of, positive_integer
from tce_theory.verification.checks import Check, every
from tce_theory.verification.evidence import Control, Evidence
from tce_theory.verification.report import VerificationReport
from tce_theory.verification.study import MOST_CLAIMS, Study

__all__ = ["Control", "Evidence", "VerificationReport", "verify"]


def verify(
    slugs: str | Iterable[str] | None = None,
    *,
    effort: str = "quick",
    seed: int = 0,
    n_jobs: int = 1,
    progress: Callable[[list[Evidence]], None] | None = None,
) -> VerificationReport:
    """Check theorems numerically.

    Parameters
    ----------
    slugs : str or iterable of str, optional
        Which theorems; all if not given.
    effort : {"quick", "full"}
    seed : int
    n_jobs : int
        Processes; −1 for one a processor. Results do not depend on it, but for rounding in linear algebra.
    progress : callable, optional
        Called with the evidence of each check as it ends.

    Returns
    -------
    VerificationReport

    Raises
    ------
    DomainError
        If an argument is out of range.

    Notes
    -----
    The probability that a run of everything reports a failure of something that is true is below 1e-6.

    Examples
    --------
    >>> verify("gaussian-w2").passed
    True
    """
    one_of("effort", effort, ("quick", "full"))
    positive_integer("seed", seed, minimum=0)
    processes = _processes(n_jobs)
    wanted = theorems.every() if slugs is None else [slugs] if isinstance(slugs, str) else list(slugs)
    chosen = {theorems.get(slug).slug for slug in wanted}
    start = time.perf_counter()
    found: dict[int, list[Evidence]] = {}
    tasks = [(i, item) for i, item in enumerate(every()) if item.slug in chosen]
    parallel = joblib.Parallel(n_jobs=processes, return_as="generator_unordered")
    for i, evidence in parallel(joblib.delayed(_run)(i, item.slug, item.name, effort, seed) for i, item in tasks):
        found[i] = evidence
        if progress is not None:
            progress(evidence)
    ordered = tuple(item for i in sorted(found) for item in found[i])
    if sum(item.kind == "equivalence" for item in ordered) > MOST_CLAIMS:
        raise RuntimeError(f"more than {MOST_CLAIMS} statistical claims: the error budget does not hold")
    return VerificationReport(ordered, effort, seed, time.perf_counter() - start)


def _processes(n_jobs: int) -> int:
    try:
        return -1 if n_jobs == -1 else positive_integer("n_jobs", n_jobs)
    except DomainError:
        raise DomainError("n_jobs", n_jobs, "a positive integer, or -1 for all processors") from None


def _run(place: int, slug: str, name: str, effort: str, seed: int) -> tuple[int, list[Evidence]]:
    study = Study(slug, name, effort=effort, seed=seed)
    try:
        _check(slug, name).function(study)
    except Exception as error:  # a check that cannot be made is a failure of its theorem, not of the whole run
        study.broken(error)
    return place, study.evidence


def _check(slug: str, name: str) -> Check:
    return next(item for item in every() if (item.slug, item.name) == (slug, name))
