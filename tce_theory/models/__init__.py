"""The families: one file each, with parameters, sampling, densities, distances, exact fits and recursion."""

from __future__ import annotations

from typing import TYPE_CHECKING

__all__ = ["compatibility_table", "decoding_table"]

if TYPE_CHECKING:
    from tce_theory.models.base import Model


def compatibility_table() -> list[dict[str, str]]:
    """Return which loss, scale, mask and regime each family accepts, with the reason where it refuses.

    Returns
    -------
    list of dict
        One row for each family and loss, with text in every column.

    Examples
    --------
    >>> compatibility_table()[0]
    {'family': 'Gaussian', 'loss': 'CrossEntropy()', 'regimes': 'all', 'verdict': 'exact fit'}
    """
    from tce_theory.losses import TCE, CrossEntropy, FocalLoss, Loss, SmoothTruncatedCrossEntropy, WeightedCrossEntropy
    from tce_theory.regimes import Accumulate, AccumulateSubsample, FreshMix, Replace, Staged

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
    regimes = (Replace(), FreshMix(0.1), Accumulate(), AccumulateSubsample(), Staged(2))
    rows = []
    for family, model in _families().items():
        for name, loss in losses.items():
            accepted, verdict = [], model.fit_kind
            for regime in regimes:
                try:
                    model.check(loss, regime)
                    accepted.append(type(regime).__name__)
                except ValueError as error:
                    verdict = f"refused: {error}"
            shown = "all" if len(accepted) == len(regimes) else ", ".join(accepted) or "none"
            rows.append({"family": family, "loss": name, "regimes": shown, "verdict": verdict})
    return rows


def decoding_table() -> list[dict[str, str]]:
    """Return which ways to decode each family accepts, with the reason where it refuses.

    Returns
    -------
    list of dict
        One row for each family, and a column for each way.

    Examples
    --------
    >>> decoding_table()[0]["VarianceScaling(factor)"]
    'yes'
    """
    from tce_theory.decoding import BeamSearch, Decoding, Temperature, TopK, TopP, VarianceScaling
    from tce_theory.losses import CrossEntropy
    from tce_theory.regimes import Replace

    ways: dict[str, Decoding] = {
        "Temperature(temperature)": Temperature(0.5),
        "TopK(k)": TopK(2),
        "TopP(p)": TopP(0.5),
        "VarianceScaling(factor)": VarianceScaling(0.5),
        "BeamSearch(width)": BeamSearch(2),
    }

    def verdict(model: Model, way: Decoding) -> str:
        try:
            model.check(CrossEntropy(), Replace(), way)
        except ValueError as error:
            return f"refused: {error}"
        return "yes"

    return [
        {"family": family, **{name: verdict(model, way) for name, way in ways.items()}}
        for family, model in _families().items()
    ]


def _families() -> dict[str, Model]:
    """Return a model of each family, and of the variants that go with other things."""
    import numpy as np

    from tce_theory.models.bernoulli import Bernoulli
    from tce_theory.models.categorical import Categorical
    from tce_theory.models.gaussian import Gaussian
    from tce_theory.models.markov import MarkovChain
    from tce_theory.models.mixture import GaussianMixture
    from tce_theory.models.multivariate import MultivariateGaussian
    from tce_theory.models.poisson import Poisson
    from tce_theory.models.regression import LinearRegression
    from tce_theory.neural.images import ImageSource
    from tce_theory.neural.language_model import NeuralLanguageModel
    from tce_theory.neural.sources import KnowledgeCorpus
    from tce_theory.neural.vae import VariationalAutoencoder

    facts, images = KnowledgeCorpus(facts=4), ImageSource(np.linspace(0, 1, 64 * 4).reshape(64, 4))
    return {
        "Gaussian": Gaussian(),
        "Gaussian(ddof=1)": Gaussian(ddof=1),
        "MultivariateGaussian": MultivariateGaussian(np.zeros(2), np.eye(2)),
        "GaussianMixture": GaussianMixture.two_moons(),
        "Categorical": Categorical([0.6, 0.4]),
        "MarkovChain": MarkovChain([[0.6, 0.4], [0.4, 0.6]]),
        "Bernoulli": Bernoulli(0.6),
        "LinearRegression": LinearRegression(np.array([1.0, -1.0]), 0.5),
        "LinearRegression(fit_noise=True)": LinearRegression(np.array([1.0, -1.0]), 0.5, fit_noise=True),
        "Poisson": Poisson(3.0),
        "NeuralLanguageModel": NeuralLanguageModel(facts),
        "NeuralLanguageModel(embedding=None)": NeuralLanguageModel(facts, context=2, embedding=None, hidden=()),
        "VariationalAutoencoder": VariationalAutoencoder(images),
    }


def _halving(p: float) -> float:
    return 1.0 - 0.5 * p
