"""The schema of a definition: what its tables hold, as pydantic models, and the errors of those in one line.

A setting that can vary is given as one value, as a list, or as a range, and read as `Swept`. The tables of models,
losses, regimes and so on have the parameters of their constructors, and know how to make what they stand for: a new one
is a line of `TABLES`. The schema checks names, types and choices; what numbers are admissible is checked by the
constructors themselves, value by value.

``python -m tce_theory.experiments.schema`` writes the JSON schema, with which editors complete and check a definition.
"""

from __future__ import annotations

import difflib
import functools
import inspect
import json
import math
import operator
import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, TypeAlias

import numpy as np
from pydantic import (
    AfterValidator,
    AllowInfNan,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    Tag,
    ValidationError,
    WithJsonSchema,
    create_model,
    model_validator,
)
from pydantic_core import PydanticCustomError

from tce_theory.decoding import BeamSearch, Temperature, TopK, TopP, VarianceScaling
from tce_theory.errors import DefinitionError, DomainError
from tce_theory.files import write_atomically
from tce_theory.losses import CrossEntropy, FocalLoss, SmoothTruncatedCrossEntropy, TruncatedCrossEntropy
from tce_theory.models.base import Model
from tce_theory.models.bernoulli import Bernoulli
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.models.markov import MarkovChain
from tce_theory.models.mixture import GaussianMixture
from tce_theory.models.multivariate import MultivariateGaussian
from tce_theory.models.poisson import Poisson
from tce_theory.models.regression import LinearRegression
from tce_theory.models.text import standard_text
from tce_theory.neural.images import ImageSource
from tce_theory.neural.language_model import NeuralLanguageModel
from tce_theory.neural.sources import KnowledgeCorpus, LanguageSource, MarkovSource, TextSource
from tce_theory.neural.training import Training
from tce_theory.neural.vae import VariationalAutoencoder
from tce_theory.regimes import (
    Accumulate,
    AccumulateSubsample,
    FreshMix,
    GeometricGrowth,
    LinearGrowth,
    Replace,
    Staged,
)
from tce_theory.validation import positive_integer, positive_number

__all__ = [
    "REQUIRED",
    "SCHEMA_FILE",
    "SEVERAL",
    "TABLES",
    "CaseTable",
    "ClaimTable",
    "CriterionTable",
    "DefinitionTable",
    "GammaOverPeak",
    "StudyTable",
    "Swept",
    "Table",
    "among",
    "hint",
    "is_range",
    "json_schema",
    "made",
    "path_of",
    "plain",
    "shown",
    "validated",
    "write_json_schema",
]

SCHEMA_FILE = Path(__file__).with_name("definition.schema.json")
REQUIRED = ("model", "loss", "n_samples", "generations", "replicates", "seed")
SEVERAL = ("model", "loss", "regime", "cases", "conditions", "fidelity", "study.claims")
"""Of these a file can have several tables."""
_MOST_VALUES = 1_000_000
_MOST_CLASSES, _MOST_MODES, _MOST_DIMENSIONS = 10_000_000, 10_000, 100
_DEEPEST = 20
_ONLY_IN_PYTHON = {
    "weighted": (
        "its weight is a function, which a file cannot hold: use "
        "tce_theory.simulate(model, tce_theory.WeightedCrossEntropy(weight), ...)"
    )
}


# --------------------------------------------------------------------------------------------- values that can vary


@dataclass(frozen=True)
class Swept:
    """The values of a setting, and in which form the file gives them: "one", "several" or "range"."""

    values: tuple[Any, ...]
    form: str

    def paths(self, path: str) -> list[str]:
        """Return where in the file each value stands, if they all stand at `path`."""
        match self.form:
            case "one":
                return [path]
            case "several":
                return [f"{path}[{index}]" for index in range(len(self.values))]
        return [f"{path} (range)"] * len(self.values)


def _refused(admissible: str) -> PydanticCustomError:
    """Return the error of a value that must be something else; pydantic adds its path."""
    return PydanticCustomError("admissible", "must be {admissible}", {"admissible": admissible})


class Table(BaseModel):
    """A table of the file; unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    siblings: ClassVar[Mapping[str, type[Table]]] = {}
    """The tables that could stand in its place, by the word that chooses."""

    @model_validator(mode="before")
    @classmethod
    def _known(cls, given: Any) -> Any:
        if not isinstance(given, dict):
            raise _refused("a table")
        known = _keys(cls)
        for key in given:
            if key not in known:
                others = [word for word, table in cls.siblings.items() if key in _keys(table)]
                raise PydanticCustomError("unknown_key", "{key}", {"key": key, "known": known, "others": others})
        return given


@functools.cache
def _keys(table: type[Table]) -> tuple[str, ...]:
    return tuple(item.alias or name for name, item in table.model_fields.items())


class Range(Table):
    """Values that are evenly spaced, both ends included. For settings that are whole numbers they are rounded."""

    start: Annotated[float, Strict(), AllowInfNan(False)] = Field(alias="from", description="First value.")
    stop: Annotated[float, Strict(), AllowInfNan(False)] = Field(alias="to", description="Last value.")
    num: Annotated[int, Strict(), Field(ge=2, le=_MOST_VALUES)] = Field(description="Number of values.")
    spacing: Literal["linear", "log"] = Field("linear", description='"log": the ratio of neighbours is the same.')

    @model_validator(mode="after")
    def _has_values(self) -> Range:
        if self.start == self.stop:
            raise _refused("a range with two different ends")
        if self.spacing == "log" and min(self.start, self.stop) <= 0:
            raise _refused('a range with both ends above 0, because of spacing = "log"')
        if not math.isfinite(self.stop - self.start):
            raise _refused("a range whose ends differ by a finite number")
        return self

    def values(self) -> list[float]:
        space = np.geomspace if self.spacing == "log" else np.linspace
        inner = space(self.start, self.stop, self.num)[1:-1]
        # 0.3 and not 0.30000000000000004, on every machine: the cell is that of a list with 0.3
        return [self.start, *(float(f"{value:.15g}") for value in inner), self.stop]


def _as_integer(given: Any) -> Any:
    """Let 1e6, which TOML reads as a float, be an integer."""
    return int(given) if isinstance(given, float) and given.is_integer() else given


def _as_float(given: Any) -> Any:
    """Refuse integers beyond the range of a float, of which pydantic makes infinity or an error of its own."""
    if isinstance(given, int) and abs(given) > 2**1023:
        raise _refused("a finite number")
    return given


def _rounded(values: list[float]) -> list[int]:
    return list(dict.fromkeys(round(value) for value in values))


Number: TypeAlias = Annotated[
    float, BeforeValidator(_as_float), Strict(), AllowInfNan(False), WithJsonSchema({"type": "number"})
]
# 1e6 is an integer here, but a number in old drafts of JSON schema
Integer: TypeAlias = Annotated[
    int, BeforeValidator(_as_integer), Strict(), WithJsonSchema({"type": "number", "multipleOf": 1})
]
Boolean: TypeAlias = Annotated[bool, Strict()]
Word: TypeAlias = Annotated[str, Strict()]
_TYPES = {
    "float": Number,
    "float | None": Number,
    "int": Integer,
    "int | None": Integer,
    "bool": Boolean,
    "str": Word,
    "str | None": Word,
}
_LENGTH, _NOT_EMPTY = Field(min_length=1, max_length=_MOST_VALUES), Field(min_length=1)
_DEEPEST_ARRAY = 3


def _form(given: Any) -> str:
    return "several" if isinstance(given, list) else "range" if isinstance(given, dict) else "one"


def is_range(given: Any) -> bool:
    """Return whether it is the table of a range: one value, and no table of settings."""
    return isinstance(given, dict) and not {"from", "to", "num"}.isdisjoint(given)


def _one_or_several(given: Any) -> str:
    return "several" if isinstance(given, list) else "one"


def _list_of(value: Any, length: Any = _NOT_EMPTY) -> Any:
    return Annotated[list[value], length]


def _one(value: Any) -> Any:
    """Return the annotation of one value of a setting, from that of the value."""
    return Annotated[value, AfterValidator(lambda value: Swept((value,), "one"))]


def _several(value: Any) -> Any:
    given = _list_of(value, _LENGTH)
    return Annotated[given, AfterValidator(lambda given: Swept(tuple(given), "several"))]


def _spaced(read: Callable[[list[float]], Iterable[Any]]) -> Any:
    return Annotated[Range, AfterValidator(lambda given: Swept(tuple(read(given.values())), "range"))]


def _swept(value: Any) -> Any:
    """Return the annotation of a setting that can vary, from that of one value."""
    one, several = _one(value), _several(value)
    if value not in (Number, Integer):
        return _tagged(_one_or_several, one=one, several=several)
    spaced = _spaced(_rounded if value is Integer else tuple)
    return _tagged(_form, one=one, several=several, range=spaced)


def _swept_array(*depths: int, of: Any = Number) -> Any:
    """Return the annotation of arrays that can vary: lists in lists as deep as said, or a list of the deepest ones."""
    nested = [of]
    for _ in range(max(depths)):
        nested.append(_list_of(nested[-1]))
    tags = {depth: f"depth {depth}" for depth in depths}

    def form(given: Any) -> str:
        depth = _depth(given)
        if depth > max(depths):
            return "several"
        return tags[min(found for found in depths if found >= depth)]

    one = {tag: _one(nested[depth]) for depth, tag in tags.items()}
    return _tagged(form, **one, several=_several(nested[max(depths)]))


def _depth(given: Any) -> int:
    """How deep lists are in lists, up to one more than arrays can have; the deepest counts."""
    depth, level = 0, [given]
    while depth <= _DEEPEST_ARRAY and (lists := [item for item in level if isinstance(item, list)]):
        depth, level = depth + 1, [item for inner in lists for item in inner]
    return depth


def _tagged(form: Callable[[Any], str], **tagged: Any) -> Any:
    """Return the annotation of what has one of several forms, of which a function tells the tag."""
    return Annotated[_union(*(Annotated[value, Tag(tag)] for tag, value in tagged.items())), Discriminator(form)]


def _union(*forms: Any) -> Any:
    return functools.reduce(operator.or_, forms)


# ---------------------------------------------------------------------------------------- tables of the library's own


@dataclass(frozen=True)
class Way:
    """A way to say what a table stands for.

    Parameters
    ----------
    make : callable
        Takes all that is given, by its keys.
    needs : tuple of str
        Keys that have to be there, and are not in any other way.
    takes : tuple of str
        Keys that may be there in this way, and in others that say so, alone.
    in_folder : bool
        Whether `make` also takes the folder in which paths start.
    """

    make: Callable[..., Any]
    needs: tuple[str, ...] = ()
    takes: tuple[str, ...] = ()
    in_folder: bool = False

    def __str__(self) -> str:
        return " + ".join(self.needs)


class ChoiceTable(Table):
    """A table that a word in it chooses among others, and that stands for a part of a simulation."""

    ways: ClassVar[tuple[Way, ...]] = ()

    @model_validator(mode="after")
    def _in_one_way(self) -> ChoiceTable:
        own = self._way(self.model_fields_set)
        if own is None:
            *most, last = map(str, self.ways)
            raise _refused(f"given by just one of {', '.join(most)} and {last}")
        for key in self.model_fields_set:
            takers = [way for way in self.ways if key in way.takes]
            if takers and own not in takers:
                raise _refused(f"given by {' or '.join(map(str, takers))} for {key} to have a meaning")
        return self

    @classmethod
    def _way(cls, given: Collection[str]) -> Way | None:
        """Return the way in which it is given, if it is just one."""
        sources = {key for way in cls.ways for key in way.needs if key in given}
        return next((way for way in cls.ways if {*way.needs} == sources), None)

    @classmethod
    def make(cls, given: Mapping[str, Any], folder: Path) -> Any:
        """Make what it stands for, from one choice of its settings, which has been checked."""
        way = cls._way(given)
        assert way is not None
        return way.make(**given, **({"folder": folder} if way.in_folder else {}))


def made(part: str, settings: Mapping[str, Any], folder: Path) -> Any:
    """Make a model, a loss, and so on, from one choice of its settings by dotted names; paths start in the folder."""
    given: dict[str, Any] = {}
    for name, value in settings.items():
        *outer, last = name.split(".")
        functools.reduce(lambda node, key: node.setdefault(key, {}), outer, given)[last] = value
    return _made(part, given, folder)


def _made(part: str, given: Mapping[str, Any], folder: Path) -> Any:
    key = _key_of(part)
    rest = {name: value for name, value in given.items() if name != key}
    return TABLES[part][given[key]].make(rest, folder)


def _key_of(part: str) -> str:
    """Return the key of the word that chooses."""
    return {"model": "family", "n_samples": "growth"}.get(part, "name")


# -------------------------------------------------------------------------------------------- tables and constructors


def _table_of(
    part: str,
    word: str,
    constructor: Callable[..., Any],
    *,
    types: Mapping[str, Any] | None = None,
    more: Mapping[str, Any] | None = None,
    ways: tuple[Way, ...] = (),
) -> type[ChoiceTable]:
    """Make the table that a word stands for from the signature and the docstring of its constructor.

    Parameters
    ----------
    part, word : str
    constructor : callable
    types : mapping, optional
        Annotations of parameters that do not follow from those of the constructor; None leaves a parameter out.
    more : mapping, optional
        Settings that are no parameters of the constructor.
    ways : tuple of Way
        The constructor alone if there are none.
    """
    summary = _summary(constructor)
    fields: dict[str, Any] = {_key_of(part): (Literal[word], Field(description=summary))}
    several_ways = any(way.needs for way in ways)
    fields |= {**(more or {}), **_fields_of(constructor, types or {}, needed=not several_ways)}
    table: type[ChoiceTable] = create_model(
        f"{constructor.__name__}Table", __base__=ChoiceTable, __doc__=summary, **fields
    )
    table.ways = ways or (Way(constructor),)
    return table


def _summary(constructor: Callable[..., Any]) -> str:
    return " ".join((inspect.getdoc(constructor) or "").split("\n\n")[0].split())


def _fields_of(constructor: Callable[..., Any], types: Mapping[str, Any], needed: bool) -> dict[str, Any]:
    """Return a field for each parameter of a constructor; those without a default are required if `needed`."""
    fields: dict[str, Any] = {}
    documented = _documented(constructor)
    for item in inspect.signature(constructor).parameters.values():
        if item.kind is item.VAR_KEYWORD or types.get(item.name, item) is None:
            continue
        choices, description = documented.get(item.name, ((), None))
        annotation = types.get(item.name) or _swept(Literal[choices] if choices else _TYPES[str(item.annotation)])
        if item.default is inspect.Parameter.empty:
            optional = Field(description=description) if needed else _optional(description)
        else:
            optional = _optional(description, item.default)
        fields[item.name] = annotation, optional
    return fields


def _optional(description: str | None, default: Any = None) -> Any:
    """Return a field that may be left out, which leaves it to the constructor; its default is shown in editors."""
    return Field(None, description=description, json_schema_extra={"default": default})


def _documented(constructor: Callable[..., Any]) -> dict[str, tuple[tuple[str, ...], str | None]]:
    """Read choices and description of each parameter from a docstring in the style of numpydoc."""
    section = (inspect.getdoc(constructor) or "").partition("Parameters\n----------\n")[2].split("\n\n")[0]
    found = {}
    for name, kind, text in re.findall(r"^(\w+) : ([^\n]*)\n((?: [^\n]*(?:\n|$))*)", section, flags=re.MULTILINE):
        choices = tuple(re.findall(r'"([^"]*)"', kind)) if kind.startswith("{") else ()
        found[name] = (choices, " ".join(text.replace("`", "").split()) or kind)
    return found


if TYPE_CHECKING:
    Numbers: TypeAlias = Swept
    Integers: TypeAlias = Swept
    Words: TypeAlias = Swept
    Units: TypeAlias = Swept
    Samplers: TypeAlias = Swept
    Sizes: TypeAlias = Swept
else:
    Numbers, Integers, Words = map(_swept, (Number, Integer, Word))
    Units, Samplers = _swept(Literal["word", "char"]), _swept(Literal["auto", "points"])
    Sizes = _swept_array(1, of=Integer)
_VECTORS, _MATRICES = _swept_array(1), _swept_array(2)


# ------------------------------------------------------------------------------------------------------------- models


class ZipfTable(Table):
    """Zipf's law on the classes 1, …, size."""

    size: Integers = Field(description="Number of classes.")
    exponent: Numbers = _optional("Probabilities are proportional to i^(−exponent).", 1.0)


class TwoMoonsTable(Table):
    """Equally likely round Gaussians along two interleaved half circles of radius 1."""

    modes: Integers = _optional("Even; one half of them on each half circle, evenly spaced.", 8)
    std: Numbers = _optional("Of each Gaussian, in each direction.", 0.2)


_OF_TEXTS = {
    "text": (Words, _optional("A text file; its path starts from the folder of the definition.")),
    "standard_text": (Literal[True], _optional("true: the help topics that come with Python.")),
    "unit": (Units, _optional("What is counted in a text.", "word")),
}


def _text_ways(from_text: Callable[..., Model], *takes: str) -> tuple[Way, Way]:
    """Return the ways to make a model from a text: from a file, and from the text that every Python has."""

    def from_file(folder: Path, text: str, **options: Any) -> Model:
        path = folder / os.path.expanduser(text)
        try:
            return from_text(path, **options)
        except DomainError as error:
            if error.argument in options:
                raise
            admissible = error.admissible
        except OSError as error:
            tried = repr(os.path.abspath(path))
            admissible = f"a file that can be read ({error.strerror or type(error).__name__}: {tried})"
        except ValueError as error:  # no name of a file at all
            admissible = f"a file that can be read ({error})"
        raise DomainError("text", text, admissible)

    def from_standard_text(**given: Any) -> Model:
        options = {name: value for name, value in given.items() if name != "standard_text"}
        return from_text(standard_text(), **options)

    return (
        Way(from_file, needs=("text",), takes=("unit", *takes), in_folder=True),
        Way(from_standard_text, needs=("standard_text",), takes=("unit", *takes)),
    )


def _table_in(constructor: Callable[..., Any], *required: str) -> type[Table]:
    """Return the table of an argument that is an object itself, from the object's constructor."""
    fields = _fields_of(constructor, {}, needed=True)
    for name in required:  # although the constructor has a default: an empty table would be none
        annotation, field = fields[name]
        fields[name] = annotation, Field(description=field.description)
    return create_model(f"{constructor.__name__}Table", __base__=Table, __doc__=_summary(constructor), **fields)


def _language_model(
    source: LanguageSource,
    *,
    training: Mapping[str, Any] | None = None,
    hidden: list[int] | None = None,
    tabular: bool = False,
    **options: Any,
) -> NeuralLanguageModel:
    shape: dict[str, Any] = {} if hidden is None else {"hidden": tuple(hidden)}
    if tabular and (hidden is not None or "embedding" in options):
        raise DomainError("tabular", tabular, "left out for a network that has hidden or embedding")
    if tabular:
        shape = {"embedding": None, "hidden": ()}
    if training is not None:
        shape["training"] = replace(NeuralLanguageModel.training, **training)
    return NeuralLanguageModel(source, **shape, **options)


def _of_facts(knowledge: Mapping[str, Any], **options: Any) -> NeuralLanguageModel:
    return _language_model(KnowledgeCorpus(**knowledge), **options)


def _of_chain(transition: list[list[float]], **options: Any) -> NeuralLanguageModel:
    return _language_model(MarkovSource(MarkovChain(transition)), **options)


def _of_text(
    path_or_text: Path | str, unit: str = "char", vocabulary: int | None = None, **options: Any
) -> NeuralLanguageModel:
    most = {} if vocabulary is None else {"vocabulary": vocabulary}
    return _language_model(TextSource(path_or_text, unit=unit, **most), **options)


def _autoencoder(
    source: ImageSource,
    *,
    training: Mapping[str, Any] | None = None,
    hidden: list[int] | None = None,
    **options: Any,
) -> VariationalAutoencoder:
    shape: dict[str, Any] = {} if hidden is None else {"hidden": tuple(hidden)}
    if training is not None:
        shape["training"] = replace(VariationalAutoencoder.training, **training)
    return VariationalAutoencoder(source, **shape, **options)


def _of_digits(binary: bool = False, **given: Any) -> VariationalAutoencoder:
    options = {name: value for name, value in given.items() if name != "digits"}
    try:
        source = ImageSource.digits(binary=binary)
    except ImportError:
        admissible = "left out for images, or scikit-learn installed: pip install 'tce_theory[digits]'"
        raise DomainError("digits", True, admissible) from None
    return _autoencoder(source, **options)


def _of_images(
    folder: Path, images: str, labels: str | None = None, binary: bool = False, **options: Any
) -> VariationalAutoencoder:
    paths = [None if name is None else folder / os.path.expanduser(name) for name in (images, labels)]
    assert paths[0] is not None
    return _autoencoder(ImageSource.from_file(paths[0], paths[1], binary=binary), **options)


def _zipf(zipf: Mapping[str, Any]) -> Categorical:
    size = positive_integer("size", zipf["size"], maximum=_MOST_CLASSES)
    return Categorical.zipf(size, zipf.get("exponent", 1.0))


def _from_counts(counts: list[float]) -> Categorical:
    return Categorical.from_counts(counts)


def _two_moons(two_moons: Mapping[str, Any], **options: Any) -> GaussianMixture:
    positive_integer("modes", two_moons.get("modes", 2), maximum=_MOST_MODES)
    return GaussianMixture.two_moons(**two_moons, **options)


def _standard_normal(dimension: int, **options: Any) -> MultivariateGaussian:
    d = positive_integer("dimension", dimension, maximum=_MOST_DIMENSIONS)
    return MultivariateGaussian(np.zeros(d), np.eye(d), **options)


_TRAINING = _table_in(Training)
_MODELS = {
    "gaussian": _table_of("model", "gaussian", Gaussian),
    "categorical": _table_of(
        "model",
        "categorical",
        Categorical,
        types={"probs": _VECTORS, "labels": None},
        more={
            "zipf": (ZipfTable, _optional("Zipf's law.")),
            "counts": (_VECTORS, _optional("Frequencies of the classes.")),
            **_OF_TEXTS,
        },
        ways=(
            Way(Categorical, needs=("probs",)),
            Way(_zipf, needs=("zipf",)),
            Way(_from_counts, needs=("counts",)),
            *_text_ways(Categorical.from_text),
        ),
    ),
    "bernoulli": _table_of("model", "bernoulli", Bernoulli),
    "poisson": _table_of("model", "poisson", Poisson),
    "multivariate": _table_of(
        "model",
        "multivariate",
        MultivariateGaussian,
        types={"mean": _VECTORS, "cov": _MATRICES},
        more={"dimension": (Integers, _optional("Number of dimensions of the standard normal law."))},
        ways=(Way(_standard_normal, needs=("dimension",)), Way(MultivariateGaussian, needs=("mean", "cov"))),
    ),
    "mixture": _table_of(
        "model",
        "mixture",
        GaussianMixture,
        types={"weights": _VECTORS, "means": _swept_array(1, 2), "covs": _swept_array(1, 3)},
        more={"two_moons": (TwoMoonsTable, _optional("Gaussians along two half circles: a law with many modes."))},
        ways=(Way(_two_moons, needs=("two_moons",)), Way(GaussianMixture, needs=("weights", "means", "covs"))),
    ),
    "markov": _table_of(
        "model",
        "markov",
        MarkovChain,
        types={"transition": _MATRICES, "start": _VECTORS, "labels": None},
        more=_OF_TEXTS,
        ways=(Way(MarkovChain, needs=("transition",), takes=("start",)), *_text_ways(MarkovChain.from_text)),
    ),
    "regression": _table_of("model", "regression", LinearRegression, types={"coefficients": _VECTORS}),
    "lm": _table_of(
        "model",
        "lm",
        NeuralLanguageModel,
        types={
            "source": None,
            "parameters": None,
            "checkpoints": None,
            "decoding": None,
            "embedding": Integers,
            "hidden": _swept_array(1, of=Integer),
            "training": _TRAINING,
        },
        more={
            "knowledge": (_table_in(KnowledgeCorpus, "facts"), _optional("A corpus of facts.")),
            "transition": (_MATRICES, _optional("A Markov chain: rows of its transition matrix.")),
            "vocabulary": (Integers, _optional("Tokens of a text at most; the rest is one.")),
            "tabular": (Literal[True], _optional("true: no network, but a law for each context.")),
            **_OF_TEXTS,
            "unit": (Units, _optional("What the tokens of a text are.", "char")),
        },
        ways=(
            Way(_of_facts, needs=("knowledge",)),
            Way(_of_chain, needs=("transition",)),
            *_text_ways(_of_text, "vocabulary"),
        ),
    ),
    "vae": _table_of(
        "model",
        "vae",
        VariationalAutoencoder,
        types={
            "source": None,
            "parameters": None,
            "code_std": None,
            "checkpoints": None,
            "hidden": _swept_array(1, of=Integer),
            "training": _TRAINING,
        },
        more={
            "digits": (Literal[True], _optional("true: the handwritten digits of scikit-learn.")),
            "images": (Words, _optional("A .npy file; its path starts from the folder of the definition.")),
            "labels": (Words, _optional("The same: the class of each image.")),
            "binary": (_swept(Boolean), _optional("Black or white pixels.", False)),
        },
        ways=(
            Way(_of_digits, needs=("digits",)),
            Way(_of_images, needs=("images",), takes=("labels",), in_folder=True),
        ),
    ),
}


# ------------------------------------------------------------------------------------------------------------ losses


@dataclass(frozen=True)
class GammaOverPeak:
    """TCE whose threshold is a multiple of the greatest density or probability of generation 0."""

    multiple: float
    options: Mapping[str, Any]

    def loss_for(self, model: Model) -> TruncatedCrossEntropy:
        return TruncatedCrossEntropy(self.multiple * model.peak(), **self.options)


def _gamma_over_peak(gamma_over_peak: float, **options: Any) -> GammaOverPeak:
    positive_number("gamma_over_peak", gamma_over_peak)
    if options.get("scale") == "relative":
        admissible = 'left out for scale = "relative", where gamma is a share of the peak already'
        raise DomainError("gamma_over_peak", gamma_over_peak, admissible)
    return GammaOverPeak(gamma_over_peak, options)


_OF_PEAK = {
    "gamma_over_peak": (
        Numbers,
        _optional("In place of gamma: a multiple of the greatest density or probability of generation 0."),
    )
}


# ------------------------------------------------------------------------------------------------ regimes, and so on


def _staged(stages: int, then: Mapping[str, Any] | None = None) -> Staged:
    return Staged(stages, None if then is None else _made("then", then, Path()))


def _listed(sizes: list[int]) -> tuple[int, ...]:
    return tuple(sizes)


_REPLACE, _FRESH_MIX = _table_of("regime", "replace", Replace), _table_of("regime", "fresh-mix", FreshMix)
_LATER = {"replace": _REPLACE, "fresh-mix": _FRESH_MIX}


class ListedTable(ChoiceTable):
    """Sample sizes that are listed, one for each generation."""

    ways = (Way(_listed),)
    growth: Literal["listed"] = Field(description="Sample sizes that are listed, one for each generation.")
    sizes: Sizes = Field(description="Points of each generation.")


def _choice(part: Mapping[str, type[ChoiceTable]], key: str) -> Any:
    one: Any = _union(*part.values())
    return Annotated[one, Field(discriminator=key)]


TABLES: dict[str, Mapping[str, type[ChoiceTable]]] = {
    "then": _LATER,
    "model": _MODELS,
    "loss": {
        "ce": _table_of("loss", "ce", CrossEntropy),
        "tce": _table_of(
            "loss",
            "tce",
            TruncatedCrossEntropy,
            more=_OF_PEAK,
            ways=(
                Way(TruncatedCrossEntropy, needs=("gamma",)),
                Way(_gamma_over_peak, needs=("gamma_over_peak",)),
            ),
        ),
        "focal": _table_of("loss", "focal", FocalLoss),
        "smooth": _table_of("loss", "smooth", SmoothTruncatedCrossEntropy),
    },
    "regime": {
        "replace": _REPLACE,
        "fresh-mix": _FRESH_MIX,
        "accumulate": _table_of("regime", "accumulate", Accumulate),
        "accumulate-subsample": _table_of("regime", "accumulate-subsample", AccumulateSubsample),
        "staged": _table_of("regime", "staged", Staged, types={"then": _choice(_LATER, "name")}, ways=(Way(_staged),)),
    },
    "decoding": {
        "tempered": _table_of("decoding", "tempered", Temperature),
        "top-k": _table_of("decoding", "top-k", TopK),
        "top-p": _table_of("decoding", "top-p", TopP),
        "variance-scaling": _table_of("decoding", "variance-scaling", VarianceScaling),
        "beam-search": _table_of("decoding", "beam-search", BeamSearch),
    },
    "n_samples": {
        "linear": _table_of("n_samples", "linear", LinearGrowth),
        "geometric": _table_of("n_samples", "geometric", GeometricGrowth),
        "listed": ListedTable,
    },
}
"""What the words of a definition stand for; "then" is what comes after the stages of a regime."""
for _tables in TABLES.values():
    for _table in _tables.values():
        _table.siblings = _tables


def _choices(part: str) -> Any:
    """Return the annotation of a part of a simulation: one of several tables, or a list of them."""
    one = _choice(TABLES[part], _key_of(part))
    return _tagged(_one_or_several, one=one, several=_list_of(one, _LENGTH))


def _form_of_size(given: Any) -> str:
    return "table" if isinstance(given, dict) else "one"


def _form_of_sizes(given: Any) -> str:
    # a table is a range, unless it has a key that ranges do not have and others have
    growth = {key for table in TABLES["n_samples"].values() for key in _keys(table)}
    return "table" if isinstance(given, dict) and not growth.isdisjoint(given) else _form(given)


def _sample_sizes() -> Any:
    """Return the annotation of n_samples: what an integer is elsewhere, and tables of sizes that grow."""
    one, table = _one(Integer), _choice(TABLES["n_samples"], "growth")
    several = _list_of(_tagged(_form_of_size, one=one, table=table), _LENGTH)
    return _tagged(_form_of_sizes, one=one, range=_spaced(_rounded), table=table, several=several)


if TYPE_CHECKING:
    ModelTable: TypeAlias = Table | list[Table]
    LossTable: TypeAlias = Table | list[Table]
    OneLossTable: TypeAlias = Table
    RegimeTable: TypeAlias = Table | list[Table]
    DecodingTable: TypeAlias = Table | list[Table]
    SampleSizes: TypeAlias = Swept | Table | list[Swept | Table]
else:
    ModelTable, LossTable, RegimeTable, DecodingTable = map(_choices, ("model", "loss", "regime", "decoding"))
    OneLossTable = _choice(TABLES["loss"], "name")
    SampleSizes = _sample_sizes()


# ----------------------------------------------------------------------------------------------------- the definition


class CriterionTable(Table):
    """A fidelity criterion, with just one of below, above and outside."""

    metric: Word = Field(description="A metric of the family.")
    below: Number = _optional("Threshold of a metric that falls.")
    above: Number = _optional("Threshold of a metric that rises.")
    outside: Annotated[list[Number], Field(min_length=2, max_length=2)] = _optional("Band [low, high] that it leaves.")
    relative: Boolean = Field(False, description="Whether thresholds are multiples of the value at generation 0.")
    interpolate: Boolean = Field(True, description="Whether times are interpolated between generations.")


class CaseTable(Table):
    """Settings of `tce_theory.simulate`, most of them one value, a list, or a range."""

    label: Word = _optional("What the cells are called, on a map for instance.")
    model: ModelTable = _optional("Generation 0, the truth; it sets the family.")
    loss: LossTable = _optional("What each generation minimises.")
    regime: RegimeTable = _optional("Where the data come from; all from the previous generation if not given.")
    decoding: DecodingTable = _optional("How a model's law is changed when points are drawn; not at all if not given.")
    n_samples: SampleSizes = _optional("Points drawn for each generation.")
    generations: Integers = _optional("Generations after generation 0.")
    replicates: Integers = _optional("Independent repetitions.")
    sampler: Samplers = _optional("Whether sufficient statistics are sampled in law where that is enough.", "auto")
    seed: Integers = _optional("Seed of the random numbers.")
    metrics: Annotated[list[Word], Field(min_length=1)] = _optional("Metrics that are recorded.")
    fidelity: Annotated[list[CriterionTable], Field(min_length=1)] = _optional("Criteria, each for every cell.")
    combine: Literal["grid", "zip"] = _optional("How settings that vary are combined.", "grid")


NotEmpty: TypeAlias = Annotated[Word, Field(min_length=1)]
Labels: TypeAlias = Annotated[list[Word], Field(min_length=1)]


class ConditionTable(Table):
    """What is compared in a study: how models are trained."""

    label: NotEmpty = Field(description="What the condition is called.")
    loss: OneLossTable = Field(description="What each generation minimises, in place of every other loss.")
    model: dict[str, Any] = _optional("Settings in place of those of every model, by name.")


class ClaimTable(Table):
    """A claim of a study: under these conditions fidelity intervals are longer than under the baseline."""

    claim: NotEmpty = Field(description="What is claimed, in a line.")
    conditions: Labels = Field(description="Labels of the conditions that it is about.")
    settings: Labels = _optional("Labels of the cases that it is about; all if not given.")
    above: Number = Field(1.0, description="Extension factor that is claimed to be exceeded.")


class StudyTable(Table):
    """What a comparison of conditions asks, stated before it is run."""

    question: NotEmpty = Field(description="What is asked.")
    baseline: Word = Field(description="Label of the condition that the others are compared with.")
    controls: list[Word] = Field([], description="Labels of the conditions that a claim has to be held against.")
    primary: CriterionTable = Field(description="The criterion that decides; one of those of fidelity.")
    thresholds: Numbers = _optional("Thresholds in place of that of the primary criterion: its curve.")
    level: Number = Field(0.95, description="Confidence level of all intervals of the primary criterion together.")
    claims: Annotated[list[ClaimTable], Field(min_length=1)] = _optional("What is claimed.")
    deviations: list[NotEmpty] = Field([], description="What is done otherwise than in a study that this one repeats.")


class DefinitionTable(CaseTable):
    """A definition of experiments: which simulations `tce run` does."""

    title: Annotated[Word, Field(min_length=1)] = Field(description="What it is about, in a line.")
    theorems: list[Word] = Field([], description="Slugs of the theorems that it bears on.")
    coupled: Boolean = Field(False, description="Whether cells with one seed use the same random numbers.")
    cases: Annotated[list[CaseTable], Field(min_length=1, max_length=_MOST_VALUES)] = _optional(
        "Settings in place of those above, case by case."
    )
    conditions: Annotated[list[ConditionTable], Field(min_length=1)] = _optional(
        "How models are trained; all cases are run under each of them."
    )
    study: StudyTable = _optional("What the conditions are compared for.")


# ------------------------------------------------------------------------------------------------------------ errors

_ADMISSIBLE = {
    "float_type": "a number",
    "int_type": "an integer",
    "bool_type": "true or false",
    "string_type": "a string",
    "string_too_short": "a string that is not empty",
    "finite_number": "a finite number",
    "list_type": "a list",
    "model_type": "a table",
    "model_attributes_type": "a table",
    "greater_than_equal": "at least {ge}",
    "less_than_equal": "at most {le}",
    "too_short": "a list of {min_length} or more",
    "too_long": "a list of {max_length} or fewer",
    "admissible": "{admissible}",
}
_LISTS = {
    "metrics": 'a list such as ["std"]',
    "theorems": 'a list such as ["tail-inflation"]',
    "cases": "a list of tables (write [[cases]])",
    "claims": "a list of tables (write [[study.claims]])",
    "conditions": "a list of tables (write [[conditions]])",
    "fidelity": "a list of tables (write [[fidelity]])",
}
# pydantic's marks of the choice that it made, none of which is the name of a setting
_TAGS = {"one", "several", "range", "table", *(word for words in TABLES.values() for word in words)}
_TAGS |= {f"depth {depth}" for depth in range(_DEEPEST_ARRAY + 1)}


def plain(value: Any, path: tuple[str | int, ...] = ()) -> Any:
    """Return a copy of what a definition holds in JSON's types: of NumPy's arrays and numbers, and of tuples, too.

    Raises
    ------
    DefinitionError
        If there is anything else in it, such as a function, a model, a date or a number that is not finite.
    """
    if len(path) > _DEEPEST:
        raise DefinitionError(f"{path_of(path[:3])} must be nested less deeply than {_DEEPEST} times")
    match value:
        case bool():
            return value
        case np.generic() | np.ndarray() if value.dtype.kind in "biufU":
            return plain(value.tolist(), path)
        case str() | int():
            return str(value) if isinstance(value, str) else int(value)
        case float() if math.isfinite(value):
            return float(value)
        case float():
            admissible = "a finite number"
        case list() | tuple():
            return [plain(item, (*path, index)) for index, item in enumerate(value)]
        case Mapping():
            for key in value:
                if not isinstance(key, str):
                    raise DefinitionError(f"{path_of(path)} must have strings as keys, got {shown(key)}")
            return {str(key): plain(item, (*path, key)) for key, item in value.items()}
        case _:
            admissible = (
                "a string, a number, true, false, a list or a table (functions and objects exist only in Python: "
                "give them to tce_theory.simulate)"
            )
    raise DefinitionError(f"{path_of(path)} must be {admissible}, got {shown(value)}")


def validated(document: Mapping[str, Any], places: Mapping[str, str] | None = None) -> DefinitionTable:
    """Check a document in JSON's types against the schema.

    Parameters
    ----------
    document : mapping
    places : mapping, optional
        As of `path_of`.

    Raises
    ------
    DefinitionError
        With the first problem in one line: its path in the file, what is admissible, and what there is.
    """
    try:
        return DefinitionTable.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    # what a condition puts into several models is one problem
    more = (len({_line(problem, places) for problem in problems}) if places else len(problems)) - 1
    count = f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
    raise DefinitionError(_line(problems[0], places or {}) + count)


def _line(problem: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Write a problem in one line."""
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    parts = [part for part in problem["loc"] if part not in _TAGS]
    match kind:
        case "unknown_key":
            return _unknown(parts, given, context, places)
        case "missing":
            return f"{path_of(parts, places)} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            key = re.findall(r"'([^']*)'", context["discriminator"])[0]
            return _unknown_choice(parts, key, given, places)
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"]) or ["true"]
            return f"{path_of(parts, places)} must be {among(given, choices)}, got {shown(given)}"
        case "list_type" if parts[-1] in _LISTS:
            return f"{path_of(parts, places)} must be {_LISTS[parts[-1]]}, got {shown(given)}"
    admissible = _ADMISSIBLE.get(kind, problem["msg"]).format(**context)
    return f"{path_of(parts, places)} must be {admissible}, got {shown(given)}"


def _unknown(
    parts: Sequence[str | int], given: Mapping[str, Any], context: Mapping[str, Any], places: Mapping[str, str]
) -> str:
    """Say what an unknown key may have been meant to be."""
    key, known = context["key"], context["known"]
    path = path_of([*parts, key], places)
    if context["others"]:
        word = next(given[choice] for choice in map(_key_of, TABLES) if choice in given)
        return f"{path} does not go with {word}, but with {' and '.join(context['others'])}"
    if key in _keys(DefinitionTable):
        return f"{path} is not known; {key} belongs to the top of the file, before the first [table]"
    return f"{path} is not known; {hint(key, known) or 'known are ' + ', '.join(known)}"


def _unknown_choice(parts: Sequence[str | int], key: str, given: Mapping[str, Any], places: Mapping[str, str]) -> str:
    """Say that a table lacks the word that chooses, or has an unknown one."""
    part = next(name for name in reversed(parts) if isinstance(name, str))
    words, path = list(TABLES[part]), path_of([*parts, key], places)
    if key not in given:
        return f"{path} is missing: one of {', '.join(words)}"
    word = given[key]
    line = f"{path} must be {among(word, words)}, got {shown(word)}"
    if isinstance(word, list):
        return f"{line}: give a list of tables, [[{part}]], for several"
    reason = _ONLY_IN_PYTHON.get(word) if isinstance(word, str) else None
    return f"{line}: {reason}" if reason else line


def among(given: Any, choices: Sequence[str]) -> str:
    """Return what is admissible where words are to choose from, and which of them may have been meant."""
    near = hint(given, choices)
    every = ", ".join(choices)
    return (every if len(choices) == 1 else f"one of {every}") + (f" ({near})" if near else "")


def hint(given: Any, known: Iterable[str]) -> str:
    """Return a question that suggests the nearest of the known names; empty if none is near."""
    known = list(known)
    near = difflib.get_close_matches(given, known, 1, 0.6) if isinstance(given, str) else []
    if not near and isinstance(given, str) and given:
        near = [name for name in known if name.startswith(given)]
    return f"did you mean {near[0]}?" if len(near) == 1 else ""


def path_of(parts: Sequence[str | int], places: Mapping[str, str] | None = None) -> str:
    """Write a path in a file as one does in Python; quoted where a key is no plain word.

    Parameters
    ----------
    parts : sequence of str and int
    places : mapping, optional
        Of paths whose content stands elsewhere in the file, and where that is.

    Examples
    --------
    >>> path_of(["cases", 0, "loss", "gamma"], {"cases[0].loss": "conditions[2].loss"})
    'conditions[2].loss.gamma'
    """
    path = ""
    for part in parts:
        path = _step(path, part)
        path = (places or {}).get(path, path)
    return path or "the definition"


def _step(path: str, part: str | int) -> str:
    if isinstance(part, int):
        return f"{path}[{part}]"
    key = part if re.fullmatch(r"[\w-]+", part) else json.dumps(part)
    return f"{path}.{key}" if path else key


def shown(value: Any) -> str:
    """Show a value in a message, cut if it is long."""
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


# ------------------------------------------------------------------------------------------------------- JSON schema


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a definition, in draft 4, which all editors of TOML read.

    Examples
    --------
    >>> json_schema()["required"]
    ['title']
    """
    schema = _tidied(DefinitionTable.model_json_schema(by_alias=True, ref_template="#/definitions/{model}"))
    # what each case leaves out is checked when the file is read
    under_conditions = ["conditions" if name == "loss" else name for name in REQUIRED]
    schema["anyOf"] = [{"required": list(REQUIRED)}, {"required": under_conditions}, {"required": ["cases"]}]
    return {"$schema": "http://json-schema.org/draft-04/schema#", **schema}


def _tidied(node: Any) -> Any:
    """Bring what pydantic writes, in a newer draft, to draft 4, without titles that repeat names."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    tidy = {key: _tidied(value) for key, value in node.items() if key not in ("discriminator", "const")}
    if isinstance(tidy.get("title"), str):
        del tidy["title"]
    if tidy.get("default", ...) is None:
        del tidy["default"]
    if "const" in node:
        tidy["enum"] = [node["const"]]
    if "$defs" in tidy:
        tidy["definitions"] = tidy.pop("$defs")
    if "$ref" in tidy and len(tidy) > 1:
        tidy["allOf"] = [{"$ref": tidy.pop("$ref")}]
    return tidy


def write_json_schema(path: str | os.PathLike[str] = SCHEMA_FILE) -> None:
    """Write the JSON schema to a file."""
    text = json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    write_atomically(path, lambda file: file.write(text.encode()))


if __name__ == "__main__":
    write_json_schema()
    print(SCHEMA_FILE)
