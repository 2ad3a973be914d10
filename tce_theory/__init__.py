"""Theory and simulation of model collapse, and of what Truncated Cross Entropy (TCE) changes about it.

>>> import tce_theory as tce
>>> run = tce.simulate(tce.Gaussian(), tce.TCE(0.5), n_samples=100, generations=200, replicates=64, seed=1)
>>> bool(run.metrics["std"].min() > tce.theory.wall.floor_std(0.5))
True

Names are loaded when they are first used: importing the package loads neither NumPy nor numba.
"""

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

_HOMES = {
    "CrossEntropy": "losses",
    "TruncatedCrossEntropy": "losses",
    "TCE": "losses",
    "FocalLoss": "losses",
    "SmoothTruncatedCrossEntropy": "losses",
    "WeightedCrossEntropy": "losses",
    "Gaussian": "models.gaussian",
    "Categorical": "models.categorical",
    "GaussianMixture": "models.mixture",
    "MixtureFit": "models.mixture",
    "LinearRegression": "models.regression",
    "MarkovChain": "models.markov",
    "MultivariateGaussian": "models.multivariate",
    "Poisson": "models.poisson",
    "Bernoulli": "models.bernoulli",
    "NeuralLanguageModel": "neural.language_model",
    "VariationalAutoencoder": "neural.vae",
    "Training": "neural.training",
    "KnowledgeCorpus": "neural.sources",
    "MarkovSource": "neural.sources",
    "TextSource": "neural.sources",
    "ImageSource": "neural.images",
    "Counts": "fitting",
    "Fit": "fitting",
    "fit": "fitting",
    "Replace": "regimes",
    "FreshMix": "regimes",
    "Accumulate": "regimes",
    "AccumulateSubsample": "regimes",
    "Staged": "regimes",
    "LinearGrowth": "regimes",
    "choose_gamma": "choice",
    "GammaChoice": "choice",
    "map_extension": "experiments.mapping",
    "ExtensionMap": "experiments.mapping",
    "GeometricGrowth": "regimes",
    "Temperature": "decoding",
    "TopK": "decoding",
    "TopP": "decoding",
    "VarianceScaling": "decoding",
    "BeamSearch": "decoding",
    "simulate": "recursion",
    "Run": "run",
    "FidelityInterval": "fidelity",
    "ExtensionFactor": "fidelity",
    "extension_factor": "fidelity",
    "predict": "prediction",
    "Prediction": "prediction",
    "verify": "verification",
    "VerificationReport": "verification",
    "DefinitionError": "errors",
    "DomainError": "errors",
    "UnsupportedCombinationError": "errors",
    "DegenerateFitError": "errors",
    "RunFileError": "errors",
    "StoreError": "errors",
    "WorkersError": "errors",
    "StatisticalWarning": "errors",
    "InterruptedRunWarning": "errors",
}
_MODULES = ("exact", "experiments", "metrics", "plotting", "theorems", "theory")

__all__ = [*_HOMES, *_MODULES]

if TYPE_CHECKING:
    from tce_theory import exact, experiments, metrics, plotting, theorems, theory
    from tce_theory.choice import GammaChoice, choose_gamma
    from tce_theory.decoding import BeamSearch, Temperature, TopK, TopP, VarianceScaling
    from tce_theory.errors import (
        DefinitionError,
        DegenerateFitError,
        DomainError,
        InterruptedRunWarning,
        RunFileError,
        StatisticalWarning,
        StoreError,
        UnsupportedCombinationError,
        WorkersError,
    )
    from tce_theory.experiments.mapping import ExtensionMap, map_extension
    from tce_theory.fidelity import ExtensionFactor, FidelityInterval, extension_factor
    from tce_theory.fitting import Counts, Fit, fit
    from tce_theory.losses import (
        TCE,
        CrossEntropy,
        FocalLoss,
        SmoothTruncatedCrossEntropy,
        TruncatedCrossEntropy,
        WeightedCrossEntropy,
    )
    from tce_theory.models.bernoulli import Bernoulli
    from tce_theory.models.categorical import Categorical
    from tce_theory.models.gaussian import Gaussian
    from tce_theory.models.markov import MarkovChain
    from tce_theory.models.mixture import GaussianMixture, MixtureFit
    from tce_theory.models.multivariate import MultivariateGaussian
    from tce_theory.models.poisson import Poisson
    from tce_theory.models.regression import LinearRegression
    from tce_theory.neural.images import ImageSource
    from tce_theory.neural.language_model import NeuralLanguageModel
    from tce_theory.neural.sources import KnowledgeCorpus, MarkovSource, TextSource
    from tce_theory.neural.training import Training
    from tce_theory.neural.vae import VariationalAutoencoder
    from tce_theory.prediction import Prediction, predict
    from tce_theory.recursion import simulate
    from tce_theory.regimes import (
        Accumulate,
        AccumulateSubsample,
        FreshMix,
        GeometricGrowth,
        LinearGrowth,
        Replace,
        Staged,
    )
    from tce_theory.run import Run
    from tce_theory.verification import VerificationReport, verify


def __getattr__(name: str) -> object:
    if name in _HOMES:
        value = getattr(_import_module(f"{__name__}.{_HOMES[name]}"), name)
    elif name in _MODULES:
        value = _import_module(f"{__name__}.{name}")
    elif name == "__version__":
        from importlib.metadata import version

        value = version(__name__)
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
