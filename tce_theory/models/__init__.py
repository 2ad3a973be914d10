"""The families: one file each, with parameters, sampling, densities, distances, exact fits and recursion."""

from __future__ import annotations

__all__ = ["compatibility_table"]


def compatibility_table() -> list[dict[str, str]]:
    """Return which loss, scale, mask and regime each family accepts, with the reason where it refuses.

    Returns
    -------
    list of dict
        One row for each family and loss, with text in every column.

    Examples
    --------
    >>> compatibility_table()[0]
    {'family': 'Gaussian', 'loss': 'CrossEntropy()', 'regimes': 'Replace, FreshMix', 'verdict': 'exact fit'}
    """
    from tce_theory.losses import TCE, CrossEntropy, FocalLoss, Loss, SmoothTruncatedCrossEntropy, WeightedCrossEntropy
    from tce_theory.models.categorical import Categorical
    from tce_theory.models.gaussian import Gaussian
    from tce_theory.regimes import FreshMix, Replace

    losses: dict[str, Loss] = {
        "CrossEntropy()": CrossEntropy(),
        "TCE(gamma)": TCE(0.9),
        "TCE(gamma, scale='relative')": TCE(0.9, scale="relative"),
        "TCE(gamma, mask='previous')": TCE(0.9, mask="previous"),
        "TCE(gamma, scale='relative', mask='previous')": TCE(0.9, scale="relative", mask="previous"),
        "TCE(gamma, vacuous='warm')": TCE(0.9, vacuous="warm"),
        "TCE(gamma, vacuous='max-entropy')": TCE(0.9, vacuous="max-entropy"),
        "TCE(gamma, vacuous='drawn-only')": TCE(0.9, vacuous="drawn-only"),
        "TCE(1.5)": TCE(1.5),
        "FocalLoss()": FocalLoss(),
        "FocalLoss(detach=True)": FocalLoss(detach=True),
        "SmoothTruncatedCrossEntropy(gamma, width)": SmoothTruncatedCrossEntropy(0.9, 0.1),
        "WeightedCrossEntropy(weight)": WeightedCrossEntropy(_halving),
    }
    regimes = (Replace(), FreshMix(0.1))
    families = {"Gaussian": Gaussian(), "Gaussian(ddof=1)": Gaussian(ddof=1), "Categorical": Categorical([0.6, 0.4])}
    rows = []
    for family, model in families.items():
        for name, loss in losses.items():
            accepted, verdict = [], "exact fit"
            for regime in regimes:
                try:
                    model.check(loss, regime)
                    accepted.append(type(regime).__name__)
                except ValueError as error:
                    verdict = f"refused: {error}"
            rows.append({"family": family, "loss": name, "regimes": ", ".join(accepted) or "none", "verdict": verdict})
    return rows


def _halving(p: float) -> float:
    return 1.0 - 0.5 * p
