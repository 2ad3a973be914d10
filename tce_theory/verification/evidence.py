"""What a check of a theorem found."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

__all__ = ["LEAST_POWER", "Control", "Evidence"]

LEAST_POWER = 0.99
"""A control that would be rejected less often shows nothing."""


@dataclass(frozen=True, kw_only=True)
class Control:
    """The same check on a claim that is wrong; it has to be rejected.

    Attributes
    ----------
    change : str
        What is wrong about it: a constant changed by a few per cent, or a hypothesis that is dropped.
    predicted : float
        What the wrong claim predicts.
    rejected : bool
        Whether the check rejected it.
    power : float
        Probability, as estimated, with which it does.
    """

    change: str
    predicted: float
    rejected: bool
    power: float


@dataclass(frozen=True, kw_only=True)
class Evidence:
    """One quantity of a theorem: what was observed against what is predicted, and the control.

    Attributes
    ----------
    slug, check, quantity : str
        The theorem, the check, and what is compared.
    kind : str
        "equivalence": confidence limits within a margin of the prediction. "pathwise": no exception on any replicate
        and generation; observed is the least slack. "instances": equal on random instances; observed is the largest
        relative error. "limit": convergence at the stated order, which is what is observed. "counterexample": the claim
        fails without a hypothesis; observed is the least slack, which has to be negative. "error": it raised one.
    setting : str
        What was simulated or computed.
    observed, predicted, margin : float
    low, high : float
        Confidence limits of what was observed.
    error : float
        Probability with which each limit is wrong; 0 if nothing is random.
    size : int
        Replicates, or instances.
    seed : int
        Of the run; with slug, check and effort it makes the evidence again.
    seconds : float
        Of the check up to here, from its last evidence.
    verdict : str
        "holds", "fails" or "imprecise".
    control : Control
    """

    slug: str
    check: str
    quantity: str
    kind: str
    setting: str
    observed: float
    predicted: float
    margin: float
    low: float
    high: float
    error: float
    size: int
    seed: int
    seconds: float
    verdict: str
    control: Control

    @property
    def passed(self) -> bool:
        """Whether the claim holds, and its control was rejected with enough power."""
        return self.verdict == "holds" and self.control.rejected and self.control.power >= LEAST_POWER

    def as_json(self) -> dict[str, Any]:
        """Return all of it as a dictionary of numbers and strings."""
        return asdict(self) | {"passed": self.passed}
