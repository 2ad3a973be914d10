"""Generation 0 as options: a dataclass a family, with the options of its model, for every command that needs one.

Options have the names of the constructor's parameters; a default that the constructor has is left to it.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from tce_theory.cli._generation0 import csv_column, csv_columns, text_model, zipf_model
from tce_theory.cli._options import ZERO, flag, given_one, is_given, matrix, numbers, numeric, refuse, textual
from tce_theory.cli._program import BadInputError
from tce_theory.errors import DomainError

if TYPE_CHECKING:
    from tce_theory.models.base import Model

__all__ = [
    "BernoulliOptions",
    "CategoricalOptions",
    "GaussianOptions",
    "Generation0",
    "MarkovOptions",
    "MixtureOptions",
    "MultivariateOptions",
    "PoissonOptions",
    "RegressionOptions",
]

_MOST_DIMENSIONS = 100  # of a MultivariateGaussian
_MOST_COEFFICIENTS = 10_000
_MOST_MODES = 10_000
_VECTOR = "numbers with commas between them, such as "

_Column = Annotated[
    str | None,
    textual("--column", "NAME|N", ZERO, "Column of the CSV file, by name or counted from 1."),
]
_NoHeader = Annotated[
    bool, flag("--no-header", ZERO, "The first row of the CSV file is data too. Otherwise words in it are a header.")
]
_FitMean = Annotated[bool, flag("--fit-mean/--known-mean", ZERO, "Whether fits estimate the mean, or it is known.")]
_Ddof = Annotated[
    int, numeric("--ddof", ZERO, "0 for the maximum-likelihood variance, 1 for the unbiased one.", metavar="0|1")
]


@dataclass(frozen=True)
class Generation0:
    """The model that a recursion starts from, and what it is in a line."""

    model: "Model"
    text: str


def _described(model: "Model", source: str | None = None) -> Generation0:
    import re

    import numpy as np

    # short, and of arrays the numbers alone
    with np.printoptions(precision=4, threshold=16, edgeitems=2):
        text = re.sub(r"array\((.*?)(, shape=\([\d, ]*\))?\)", r"\1", repr(model), flags=re.DOTALL)
    return Generation0(model, text if source is None else f"{text}, {source}")


@dataclass(frozen=True, kw_only=True)
class GaussianOptions:
    """Options of a `Gaussian`."""

    mean: Annotated[float | None, numeric("--mean", ZERO, "Mean; 0 if not given.", metavar="NUMBER")] = None
    std: Annotated[
        float | None, numeric("--std", ZERO, "Standard deviation, above 0; 1 if not given.", metavar="NUMBER")
    ] = None
    csv: Annotated[Path | None, textual("--csv", "FILE", ZERO, "Fit generation 0 to a column of this CSV file.")] = None
    column: _Column = None
    no_header: _NoHeader = False
    fit_mean: _FitMean = True
    ddof: _Ddof = 0

    def build(self) -> Generation0:
        from tce_theory.models.gaussian import Gaussian

        settings: dict[str, Any] = {"fit_mean": self.fit_mean, "ddof": self.ddof}
        mean = 0.0 if self.mean is None else self.mean
        if self.csv is None:
            refuse({"column": self.column, "no_header": self.no_header}, "--csv FILE")
            return _described(Gaussian(mean, 1.0 if self.std is None else self.std, **settings))
        if self.std is not None:
            raise BadInputError("--std does not go with --csv, whose standard deviation is taken")
        _check_known_mean(self.mean, self.fit_mean)
        values, name = csv_column("csv", self.csv, self.column, self.no_header)
        model = Gaussian.from_samples(values, mean=mean, **settings)
        return _described(model, f"fitted to {len(values)} numbers, {name} of {self.csv}")


def _check_known_mean(mean: Any, fit_mean: bool) -> None:
    if mean is not None and fit_mean:
        raise BadInputError("--mean goes with --csv only if it is known: add --known-mean")


@dataclass(frozen=True, kw_only=True)
class CategoricalOptions:
    """Options of a `Categorical`."""

    probs: Annotated[str | None, textual("--probs", "P,P,…", ZERO, "Probabilities of the classes, which sum to 1.")] = (
        None
    )
    zipf: Annotated[
        str | None, textual("--zipf", "K[:EXPONENT]", ZERO, "Zipf's law on K classes; exponent 1 if not given.")
    ] = None
    counts: Annotated[Path | None, textual("--counts", "FILE", ZERO, "Frequencies from a column of this CSV file.")] = (
        None
    )
    column: _Column = None
    no_header: _NoHeader = False
    text: Annotated[
        Path | None, textual("--text", "FILE", ZERO, "Frequencies in this text; one of Python's if nothing is given.")
    ] = None
    unit: Annotated[
        str | None, textual("--unit", "word|char", ZERO, "What is counted in a text: words if not given.")
    ] = None

    def build(self) -> Generation0:
        from tce_theory.models.categorical import Categorical

        source = given_one({"probs": self.probs, "zipf": self.zipf, "counts": self.counts, "text": self.text})
        if source != "counts":
            refuse({"column": self.column, "no_header": self.no_header}, "--counts FILE")
        if source not in (None, "text"):
            refuse({"unit": self.unit}, "--text FILE")
        if self.probs is not None:
            return _described(Categorical(numbers("probs", self.probs, _VECTOR + "0.5,0.3,0.2")))
        if self.zipf is not None:
            return _described(zipf_model(self.zipf))
        if self.counts is not None:
            values, name = csv_column("counts", self.counts, self.column, self.no_header)
            return _described(Categorical.from_counts(values), f"{name} of {self.counts}")
        return _described(*text_model(Categorical.from_text, self.text, self.unit or "word"))


@dataclass(frozen=True, kw_only=True)
class BernoulliOptions:
    """Options of a `Bernoulli`."""

    prob: Annotated[float, numeric("--prob", ZERO, "Probability of 1.", metavar="NUMBER")] = 0.5

    def build(self) -> Generation0:
        from tce_theory.models.bernoulli import Bernoulli

        return _described(Bernoulli(self.prob))


@dataclass(frozen=True, kw_only=True)
class PoissonOptions:
    """Options of a `Poisson`."""

    rate: Annotated[float, numeric("--rate", ZERO, "Rate, which is mean and variance.", metavar="NUMBER")] = 1

    def build(self) -> Generation0:
        from tce_theory.models.poisson import Poisson

        return _described(Poisson(self.rate))


@dataclass(frozen=True, kw_only=True)
class MarkovOptions:
    """Options of a `MarkovChain`."""

    transition: Annotated[
        str | None,
        textual("--transition", "P,P;P,P", ZERO, "Rows of the transition matrix, one for each context."),
    ] = None
    start: Annotated[
        str | None,
        textual("--start", "P,P,…", ZERO, "Law of a sequence's first context; the stationary law if not given."),
    ] = None
    text: Annotated[
        Path | None, textual("--text", "FILE", ZERO, "n-grams of this text; of one of Python's if nothing is given.")
    ] = None
    unit: Annotated[str | None, textual("--unit", "word|char", ZERO, "Symbols of a text: words if not given.")] = None
    order: Annotated[int, numeric("--order", ZERO, "Symbols in a context: n-grams have one more.")] = 1
    length: Annotated[int, numeric("--length", ZERO, "Symbols in a sequence, which begins anew.")] = 100

    def build(self) -> Generation0:
        from tce_theory.models.markov import MarkovChain

        given_one({"transition": self.transition, "text": self.text})
        settings: dict[str, Any] = {"order": self.order, "length": self.length}
        if self.transition is None:
            refuse({"start": self.start}, "--transition")
            return _described(*text_model(MarkovChain.from_text, self.text, self.unit or "word", **settings))
        refuse({"unit": self.unit}, "--text FILE")
        rows = matrix("transition", self.transition, "rows of equal length, such as 0.9,0.1;0.3,0.7")
        start = None if self.start is None else numbers("start", self.start, _VECTOR + "0.5,0.5")
        return _described(MarkovChain(rows, start=start, **settings))


@dataclass(frozen=True, kw_only=True)
class MultivariateOptions:
    """Options of a `MultivariateGaussian`."""

    dimension: Annotated[
        int | None, numeric("--dimension", ZERO, "Standard normal in D dimensions; 2 if nothing is given.", metavar="D")
    ] = None
    mean: Annotated[str | None, textual("--mean", "M,M,…", ZERO, "Mean; 0 if not given.")] = None
    cov: Annotated[
        str | None, textual("--cov", "V,C;C,V", ZERO, "Rows of the covariance matrix; the identity if not given.")
    ] = None
    csv: Annotated[Path | None, textual("--csv", "FILE", ZERO, "Fit generation 0 to columns of this CSV file.")] = None
    column: Annotated[
        list[str] | None,
        textual("--column", "NAME|N", ZERO, "Column of the CSV file; may be given several times, or all are taken."),
    ] = None
    no_header: _NoHeader = False
    structure: Annotated[
        str, textual("--structure", "NAME", ZERO, "What is fitted: full, diagonal or isotropic covariance.")
    ] = "full"
    fit_mean: _FitMean = True
    ddof: _Ddof = 0

    def build(self) -> Generation0:
        import numpy as np

        from tce_theory.models.multivariate import MultivariateGaussian

        given_one({"dimension": self.dimension, "cov": self.cov, "csv": self.csv})
        given_one({"dimension": self.dimension, "mean": self.mean})
        settings: dict[str, Any] = {"structure": self.structure, "fit_mean": self.fit_mean, "ddof": self.ddof}
        mean = None if self.mean is None else np.array(numbers("mean", self.mean, _VECTOR + "0,1"))
        if self.csv is not None:
            _check_known_mean(mean, self.fit_mean)
            points, names = csv_columns("csv", self.csv, self.column or [], self.no_header)
            model = MultivariateGaussian.from_samples(points, mean=mean, **settings)
            return _described(model, f"fitted to {len(points)} points, {names} of {self.csv}")
        refuse({"column": self.column, "no_header": self.no_header}, "--csv FILE")
        if self.cov is not None:
            cov = np.array(matrix("cov", self.cov, "rows of equal length, such as 2,0.5;0.5,1"))
            mean = np.zeros(len(cov)) if mean is None else mean
        else:
            mean = np.zeros(_dimension(self.dimension, _MOST_DIMENSIONS)) if mean is None else mean
            cov = np.eye(mean.size)
        return _described(MultivariateGaussian(mean, cov, **settings))


def _dimension(given: Any, most: int) -> int:
    from tce_theory.validation import positive_integer

    return 2 if given is None else positive_integer("dimension", given, maximum=most)


@dataclass(frozen=True, kw_only=True)
class MixtureOptions:
    """Options of a `GaussianMixture`."""

    modes: Annotated[
        int | None, numeric("--modes", ZERO, "Round Gaussians along two moons, an even number; 8 if not given.")
    ] = None
    std: Annotated[
        float | None, numeric("--std", ZERO, "Their standard deviation; 0.2 if not given.", metavar="NUMBER")
    ] = None
    means: Annotated[
        str | None, textual("--means", "M,M/M,M", ZERO, "Instead of the moons: means, one for each component.")
    ] = None
    covs: Annotated[
        str | None,
        textual("--covs", "V,C;C,V/…", ZERO, "Their covariance matrices; identities if not given."),
    ] = None
    weights: Annotated[
        str | None, textual("--weights", "P,P,…", ZERO, "Their probabilities; all equal if not given.")
    ] = None
    start: Annotated[
        str | None,
        textual("--start", "NAME", ZERO, "Where fits start: warm (default), from the model before, or k-means++."),
    ] = None
    tol: Annotated[
        float | None, numeric("--tol", ZERO, "A fit ends when a step gains less; 1e-6 if not given.", metavar="NUMBER")
    ] = None
    max_iter: Annotated[int | None, numeric("--max-iter", ZERO, "Most steps of a fit; 1000 if not given.")] = None
    variance_floor: Annotated[
        float | None,
        numeric(
            "--variance-floor", ZERO, "Least variance of fits in any direction; none if not given.", metavar="NUMBER"
        ),
    ] = None

    def build(self) -> Generation0:
        from tce_theory.models.mixture import GaussianMixture
        from tce_theory.validation import positive_integer

        names = ("start", "tol", "max_iter", "variance_floor")
        settings = {name: getattr(self, name) for name in names if is_given(getattr(self, name))}
        if self.means is None:
            refuse({"covs": self.covs, "weights": self.weights}, "--means")
            moons = {name: getattr(self, name) for name in ("modes", "std") if is_given(getattr(self, name))}
            if self.modes is not None:
                positive_integer("modes", self.modes, minimum=2, maximum=_MOST_MODES)
            model = GaussianMixture.two_moons(**moons, **settings)
            std = float(model.covs[0, 0, 0]) ** 0.5
            shape = f"two moons of {model.weights.size} components with standard deviation {std:.4g}"
            rest = [f"{name}={value!r}" for name, value in settings.items()]
            return Generation0(model, ", ".join([f"GaussianMixture, {shape}", *rest]))
        for name, value in (("modes", self.modes), ("std", self.std)):
            if is_given(value):
                raise BadInputError(f"--{name} does not go with --means: it belongs to the two moons")
        return _described(self._explicit(self.means, settings))

    def _explicit(self, means: str, settings: dict[str, Any]) -> "Model":
        import numpy as np

        from tce_theory.models.mixture import GaussianMixture

        centres = [
            numbers("means", part, "means with / between them, such as -2/2 or 0,0/3,1") for part in means.split("/")
        ]
        size, dimension = len(centres), len(centres[0])
        if any(len(centre) != dimension for centre in centres):
            raise DomainError("means", means, "means of one length, such as 0,0/3,1")
        admissible = "matrices with / between them, such as 1,0;0,1/2,0;0,1, or variances in one dimension"
        spreads = np.tile(np.eye(dimension), (size, 1, 1)).tolist()
        if self.covs is not None:
            spreads = [matrix("covs", part, admissible) for part in self.covs.split("/")]
        if any(len(cov) != dimension or len(cov[0]) != dimension for cov in spreads) or len(spreads) != size:
            raise DomainError("covs", self.covs, f"{size} {admissible}")
        weights = [1 / size] * size
        if self.weights is not None:
            weights = numbers("weights", self.weights, _VECTOR + "0.5,0.5")
        if dimension == 1:
            return GaussianMixture(weights, np.ravel(centres), np.ravel(spreads), **settings)
        return GaussianMixture(weights, centres, spreads, **settings)


@dataclass(frozen=True, kw_only=True)
class RegressionOptions:
    """Options of a `LinearRegression`."""

    coefficients: Annotated[str | None, textual("--coefficients", "C,C,…", ZERO, "Coefficients of the inputs.")] = None
    dimension: Annotated[
        int | None,
        numeric("--dimension", ZERO, "D equal coefficients of norm 1; 2 of them if nothing is given.", metavar="D"),
    ] = None
    noise_std: Annotated[
        float, numeric("--noise-std", ZERO, "Standard deviation of the labels' noise.", metavar="NUMBER")
    ] = 1
    design: Annotated[
        str, textual("--design", "fresh|shared", ZERO, "Inputs: new ones each generation, or the same for all.")
    ] = "fresh"
    fit_noise: Annotated[bool, flag("--fit-noise", ZERO, "Fits estimate the noise, too; otherwise it is known.")] = (
        False
    )

    def build(self) -> Generation0:
        import numpy as np

        from tce_theory.models.regression import LinearRegression

        given_one({"coefficients": self.coefficients, "dimension": self.dimension})
        if self.coefficients is not None:
            coefficients = np.array(numbers("coefficients", self.coefficients, _VECTOR + "1,-2"))
        else:
            d = _dimension(self.dimension, _MOST_COEFFICIENTS)
            coefficients = np.full(d, d**-0.5)
        return _described(LinearRegression(coefficients, self.noise_std, design=self.design, fit_noise=self.fit_noise))
