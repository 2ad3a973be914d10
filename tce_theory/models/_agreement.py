"""What families have in common in `Model.check`: which losses and ways to decode go with densities, or with classes."""

from __future__ import annotations

from tce_theory.decoding import BeamSearch, Decoding, VarianceScaling
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.losses import CrossEntropy, Loss, TruncatedCrossEntropy

__all__ = ["check_classes", "check_density", "check_largest_entropy", "check_probabilities"]


def check_classes(family: str, decoding: Decoding | None, what: str = "classes") -> None:
    """Refuse ways to decode that are for densities, or for networks; `what` is drawn."""
    if isinstance(decoding, (BeamSearch, VarianceScaling)):
        raise UnsupportedCombinationError(
            f"{family} does not go with {decoding!r}, which is for {_made_for(decoding)}: "
            f"{what} take Temperature, TopK or TopP"
        )


def check_density(family: str, loss: Loss, decoding: Decoding | None) -> None:
    """Refuse ways to decode that are for classes or networks, and losses whose weight is for probabilities."""
    if decoding is not None and not isinstance(decoding, VarianceScaling):
        raise UnsupportedCombinationError(
            f"{family} does not go with {decoding!r}, which is for {_made_for(decoding)}: "
            "a density takes VarianceScaling(factor)"
        )
    if not isinstance(loss, (CrossEntropy, TruncatedCrossEntropy)):
        raise UnsupportedCombinationError(
            f"{family} does not go with {type(loss).__name__}: its weight is for probabilities, not densities"
        )


def _made_for(decoding: Decoding) -> str:
    if isinstance(decoding, BeamSearch):
        return "networks"
    return "densities" if isinstance(decoding, VarianceScaling) else "classes"


def check_largest_entropy(family: str, loss: TruncatedCrossEntropy, is_choice: bool) -> None:
    """Refuse conventions for vacuous fits but that of largest entropy, and that one where there is no choice."""
    if loss.vacuous in (("auto", "max-entropy") if is_choice else ("auto",)):
        return
    reason = (
        "only the fit of largest entropy is determined by the data"
        if is_choice
        else "these fits are never a choice among minimisers"
    )
    raise UnsupportedCombinationError(
        f"{family} does not go with vacuous={loss.vacuous!r} for scale={loss.scale!r}, mask={loss.mask!r}: {reason}"
    )


def check_probabilities(family: str, loss: TruncatedCrossEntropy, what: str = "class", kept: str = "model") -> None:
    """Refuse TCE that has no meaning on probabilities; `what` is masked, and what is `kept` if all of it is."""
    if loss.scale == "relative":
        raise UnsupportedCombinationError(
            f"{family} does not go with scale='relative': the most probable {what} would always be masked"
        )
    if loss.gamma > 1:
        raise DomainError("gamma", loss.gamma, "in (0, 1] for probabilities")
    if loss.mask == "previous" and loss.vacuous != "auto":
        raise UnsupportedCombinationError(
            f"{family} with mask='previous' does not go with vacuous={loss.vacuous!r}: "
            f"if everything is masked the previous {kept} is kept"
        )
