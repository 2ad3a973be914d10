"""What a check is handed: its random numbers, its effort, and the ways in which it may compare."""

from __future__ import annotations

import math
import time
import warnings
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from tce_theory.errors import StatisticalWarning
from tce_theory.recursion import simulate
from tce_theory.run import Run
from tce_theory.verification.estimates import Estimate, compare
from tce_theory.verification.evidence import Control, Evidence

__all__ = ["BUDGET", "ERROR", "MOST_CLAIMS", "Study"]

BUDGET = 1e-6
"""Probability that a run of all checks reports a failure of something true, or accepts something false."""
MOST_CLAIMS = 250
ERROR = BUDGET / (2 * MOST_CLAIMS)
"""Probability with which each of the two confidence limits of a claim is wrong."""

_VERDICTS = {"equivalent": "holds", "different": "fails", "imprecise": "imprecise"}


class Study:
    """One run of one check; collects `evidence`.

    Parameters
    ----------
    slug, check : str
        The theorem and the name of the check.
    effort : {"quick", "full"}
    seed : int
        Of the whole run; the stream of this check is keyed by it and by the name of the check.
    """

    def __init__(self, slug: str, check: str, *, effort: str = "quick", seed: int = 0) -> None:
        self.slug, self.check, self.effort, self.seed = slug, check, effort, seed
        self.evidence: list[Evidence] = []
        self._sequence = np.random.SeedSequence([seed, zlib.crc32(f"{slug}/{check}".encode())])
        self._clock = time.perf_counter()

    def size(self, quick: int, full: int) -> int:
        """Return the number of replicates or instances at this effort."""
        return quick if self.effort == "quick" else full

    def generator(self) -> np.random.Generator:
        """Return a generator with a stream of its own."""
        return np.random.Generator(np.random.SFC64(self._sequence.spawn(1)[0]))

    def simulate(self, model: Any, loss: Any, **settings: Any) -> Run:
        """Simulate with a seed of its own; warnings about what a mean says are left out, the check is about that."""
        return self.coupled(model, [loss], **settings)[0]

    def coupled(self, model: Any, losses: Sequence[Any], **settings: Any) -> list[Run]:
        """As `simulate`, with one seed for all losses: with ``sampler="points"`` the draws are the same."""
        seed = int(self._sequence.spawn(1)[0].generate_state(1, np.uint32)[0])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", StatisticalWarning)
            return [simulate(model, loss, seed=seed, n_jobs=1, **settings) for loss in losses]

    # --- ways to compare ---

    def equal(
        self, quantity: str, estimate: Estimate, predicted: float, wrong: float, *, change: str, setting: str, size: int
    ) -> None:
        """Hold an estimate against a prediction, with half of the distance to the wrong one for a margin."""
        margin = abs(predicted - wrong) / 2
        right, control = (compare(estimate, value, margin, ERROR) for value in (predicted, wrong))
        half_width = (right.high - right.low) / 2
        deviation = estimate.standard_error or half_width
        # the control is accepted only if the estimate comes within margin − half-width of the wrong value; an estimate
        # without any spread comes from a kernel that is broken, and shows nothing
        reach = (abs(wrong - predicted) - margin + half_width) / deviation if deviation else -math.inf
        power = float(1 - special.ndtr(-reach)) if right.verdict != "imprecise" else 0.0
        self._add(
            kind="equivalence", quantity=quantity, setting=setting, observed=right.observed, predicted=predicted,
            margin=margin, low=right.low, high=right.high, error=ERROR, size=size, verdict=_VERDICTS[right.verdict],
            control=Control(change=change, predicted=wrong, rejected=control.verdict == "different", power=power),
        )  # fmt: skip

    def law(
        self, quantity: str, right: Estimate, wrong: Estimate, apart: float, *, change: str, setting: str, size: int
    ) -> None:
        """Hold a sample against a law by its distance from it; the control is its distance from a wrong law.

        The two laws are `apart`; half of this is the margin. The control is accepted only if the limit of its distance
        is below half of the true one, which has probability `ERROR`.
        """
        margin = apart / 2
        found, control = (compare(estimate, 0.0, margin, ERROR) for estimate in (right, wrong))
        self._add(
            kind="equivalence", quantity=quantity, setting=setting, observed=found.observed, predicted=0.0,
            margin=margin, low=found.low, high=found.high, error=ERROR, size=size, verdict=_VERDICTS[found.verdict],
            control=Control(
                change=change, predicted=0.0, rejected=control.verdict == "different",
                power=0.0 if control.verdict == "imprecise" else 1 - ERROR,
            ),
        )  # fmt: skip

    def everywhere(
        self, quantity: str, slack: Any, wrong_slack: Any, *, change: str, setting: str, tolerance: float = 1e-9
    ) -> None:
        """Assert that `slack` is nonnegative, up to rounding, on every replicate (first axis) and generation.

        The control is the slack of a claim that is wrong: it has to be negative somewhere. Its power is that of as many
        independent replicates, with the lower confidence limit (99 %) of the share in which it is.
        """
        slack, wrong_slack = np.asarray(slack, dtype=np.float64), np.asarray(wrong_slack, dtype=np.float64)
        replicates = wrong_slack.shape[0]
        caught = int((wrong_slack.reshape(replicates, -1).min(axis=1) < -tolerance).sum())
        share = float(special.betaincinv(caught, replicates - caught + 1, 0.01)) if caught else 0.0
        least = float(slack.min())
        self._add(
            kind="pathwise", quantity=quantity, setting=setting, observed=least, predicted=0.0, margin=tolerance,
            low=least, high=least, error=0.0, size=slack.size, verdict="holds" if least >= -tolerance else "fails",
            control=Control(
                change=change, predicted=0.0, rejected=caught > 0, power=-math.expm1(replicates * math.log1p(-share)),
            ),
        )  # fmt: skip

    def instances(
        self,
        quantity: str,
        found: Any,
        predicted: Any,
        wrong: Any,
        *,
        change: str,
        setting: str,
        tolerance: float = 1e-9,
        scale: Any = None,
    ) -> None:
        """Assert that two sides are equal on random instances; reported is the worst error.

        It is relative to the size of the sides, or to `scale` (such as the norm of a vector that is compared
        elementwise).
        """
        found, predicted, wrong = (np.asarray(side, dtype=np.float64) for side in (found, predicted, wrong))
        scale = np.maximum(np.abs(found), np.abs(predicted)) if scale is None else np.asarray(scale, dtype=np.float64)
        scale = np.where(scale > 0, scale, 1.0)
        worst = float((np.abs(found - predicted) / scale).max())
        rejected = np.abs(found - wrong) > 2 * tolerance * scale
        missed = int((~rejected).sum())
        share = float(special.betaincinv(rejected.size - missed, missed + 1, 0.01)) if rejected.any() else 0.0
        self._add(
            kind="instances", quantity=quantity, setting=setting, observed=worst, predicted=0.0, margin=tolerance,
            low=worst, high=worst, error=0.0, size=found.size, verdict="holds" if worst <= tolerance else "fails",
            control=Control(
                change=change, predicted=float((np.abs(found - wrong) / scale).min()), rejected=bool(rejected.any()),
                power=1.0 if missed == 0 else -math.expm1(found.size * math.log1p(-share)),
            ),
        )  # fmt: skip

    def counterexample(
        self, quantity: str, slack: Any, slack_with: Any, *, hypothesis: str, setting: str, tolerance: float = 1e-9
    ) -> None:
        """Assert that a bound fails somewhere without a hypothesis, and, for control, nowhere with it.

        `slack` and `slack_with` are nonnegative where the bound holds.
        """
        least = float(np.min(slack))
        with_it = float(np.min(slack_with))
        self._add(
            kind="counterexample", quantity=quantity, setting=setting, observed=least, predicted=0.0, margin=tolerance,
            low=least, high=least, error=0.0, size=int(np.size(slack)),
            verdict="holds" if least < -tolerance else "fails",
            control=Control(
                change=f"with the hypothesis: {hypothesis}", predicted=with_it, rejected=with_it >= -tolerance,
                power=1.0,
            ),
        )  # fmt: skip

    def limit(
        self,
        quantity: str,
        sizes: Sequence[float],
        values: Sequence[float],
        predicted: float,
        wrong: float,
        *,
        order: float,
        change: str,
        setting: str,
        tolerance: float = 0.2,
    ) -> None:
        """Assert that exact values at growing sizes converge to a limit with an error of the stated order.

        Reported is the order from the last two sizes, log(e_1/e_2)/log(n_2/n_1); towards a wrong limit it tends to 0.
        """
        found, control = (_order(sizes, values, limit) for limit in (predicted, wrong))
        margin = tolerance * order
        self._add(
            kind="limit", quantity=f"{quantity}: order of convergence", setting=setting, observed=found,
            predicted=order, margin=margin, low=found, high=found, error=0.0, size=len(sizes),
            verdict="holds" if abs(found - order) <= margin else "fails",
            control=Control(change=change, predicted=control, rejected=abs(control - order) > margin, power=1.0),
        )  # fmt: skip

    def broken(self, error: Exception) -> None:
        """Note that the check raised an error: a failure."""
        self._add(
            kind="error", quantity=f"{self.check} raised {type(error).__name__}", setting=str(error), observed=math.nan,
            predicted=math.nan, margin=math.nan, low=math.nan, high=math.nan, error=0.0, size=0, verdict="fails",
            control=Control(change="none", predicted=math.nan, rejected=False, power=0.0),
        )  # fmt: skip

    def _add(self, **fields: Any) -> None:
        now = time.perf_counter()
        seconds, self._clock = now - self._clock, now
        self.evidence.append(Evidence(slug=self.slug, check=self.check, seed=self.seed, seconds=seconds, **fields))


def _order(sizes: Sequence[float], values: Sequence[float], limit: float) -> float:
    first, last = (abs(values[i] - limit) for i in (-2, -1))
    return math.log(first / last) / math.log(sizes[-1] / sizes[-2])
