"""The schema of a definition: what its tables hold, as pydantic models, and the errors of those in one line.

A setting that can vary is given as one value, as a list, or as a range, and read as `Swept`. The tables of models,
losses and regimes have the parameters of their constructors: a new one is a line of `CONSTRUCTORS`. The schema checks
names, types and choices; what numbers are admissible is checked by the constructors themselves, value by value.

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
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
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

from tce_theory.decoding import Temperature, TopK, TopP, VarianceScaling
from tce_theory.errors import DefinitionError
from tce_theory.files import write_atomically
from tce_theory.losses import CrossEntropy, FocalLoss, SmoothTruncatedCrossEntropy, TruncatedCrossEntropy
from tce_theory.models.bernoulli import Bernoulli
from tce_theory.models.categorical import Categorical
from tce_theory.models.gaussian import Gaussian
from tce_theory.models.poisson import Poisson
from tce_theory.regimes import Accumulate, AccumulateSubsample, FreshMix, Replace, Staged

__all__ = [
    "CONSTRUCTORS",
    "REQUIRED",
    "SCHEMA_FILE",
    "SEVERAL",
    "CaseTable",
    "CriterionTable",
    "DefinitionTable",
    "Swept",
    "Table",
    "hint",
    "json_schema",
    "plain",
    "shown",
    "validated",
    "write_json_schema",
]

SCHEMA_FILE = Path(__file__).with_name("definition.schema.json")
REQUIRED = ("model", "loss", "n_samples", "generations", "replicates", "seed")
SEVERAL = ("model", "loss", "regime", "cases", "fidelity")
"""Of these a file can have several tables."""
CONSTRUCTORS: dict[str, dict[str, Callable[..., Any]]] = {
    "model": {"gaussian": Gaussian, "categorical": Categorical, "bernoulli": Bernoulli, "poisson": Poisson},
    "loss": {
        "ce": CrossEntropy,
        "tce": TruncatedCrossEntropy,
        "focal": FocalLoss,
        "smooth": SmoothTruncatedCrossEntropy,
    },
    "regime": {
        "replace": Replace,
        "fresh-mix": FreshMix,
        "accumulate": Accumulate,
        "accumulate-subsample": AccumulateSubsample,
        "staged": Staged,
    },
    "decoding": {
        "tempered": Temperature,
        "top-k": TopK,
        "top-p": TopP,
        "variance-scaling": VarianceScaling,
    },
}
"""What the words of a definition stand for. Their tables have the parameters of these; categorical and staged have
tables of their own."""

_MOST_VALUES = 1_000_000
_MOST_CLASSES = 10_000_000
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
Vector: TypeAlias = Annotated[list[Number], Field(min_length=1)]
_TYPES = {"float": Number, "int": Integer, "bool": Boolean, "str": Word}


def _form(given: Any) -> str:
    return "several" if isinstance(given, list) else "range" if isinstance(given, dict) else "one"


def _form_of_vector(given: Any) -> str:
    return "several" if isinstance(given, list) and any(isinstance(item, list) for item in given) else "one"


def _form_of_tables(given: Any) -> str:
    return "several" if isinstance(given, list) else "one"


def _swept(one: Any) -> Any:
    """Return the annotation of a setting that can vary, from that of one value."""
    length = Field(min_length=1, max_length=_MOST_VALUES)
    value = Annotated[one, AfterValidator(lambda value: Swept((value,), "one")), Tag("one")]
    several = Annotated[list[one], length, AfterValidator(lambda v: Swept(tuple(v), "several")), Tag("several")]
    if one is Vector:
        return Annotated[_union(value, several), Discriminator(_form_of_vector)]
    if one not in (Number, Integer):
        return Annotated[_union(value, several), Discriminator(_form_of_tables)]
    read: Callable[[list[float]], Iterable[Any]] = _rounded if one is Integer else tuple
    spaced = Annotated[Range, AfterValidator(lambda r: Swept(tuple(read(r.values())), "range")), Tag("range")]
    return Annotated[_union(value, several, spaced), Discriminator(_form)]


def _union(*forms: Any) -> Any:
    return functools.reduce(operator.or_, forms)


# ---------------------------------------------------------------------------------------- tables of the library's own


def _table_of(key: str, word: str, constructor: Callable[..., Any]) -> type[Table]:
    """Make the table of a model, a loss or a regime from the signature and the docstring of its constructor."""
    summary = " ".join((inspect.getdoc(constructor) or "").split("\n\n")[0].split())
    fields: dict[str, Any] = {key: (Literal[word], Field(description=summary))}
    documented = _documented(constructor)
    for item in inspect.signature(constructor).parameters.values():
        choices, description = documented.get(item.name, ((), None))
        annotation = _swept(Literal[choices] if choices else _TYPES[str(item.annotation)])
        if item.default is inspect.Parameter.empty:
            fields[item.name] = (annotation, Field(description=description))
        else:
            fields[item.name] = (annotation, _optional(description, item.default))
    table: type[Table] = create_model(f"{constructor.__name__}Table", __base__=Table, __doc__=summary, **fields)
    return table


def _optional(description: str | None, default: Any = None) -> Any:
    """Return a field that may be left out, which leaves it to the constructor; its default is shown in editors."""
    return Field(None, description=description, json_schema_extra={"default": default})


def _documented(constructor: Callable[..., Any]) -> dict[str, tuple[tuple[str, ...], str | None]]:
    """Read choices and description of each parameter from a docstring in the style of numpydoc."""
    section = (inspect.getdoc(constructor) or "").partition("Parameters\n----------\n")[2].split("\n\n")[0]
    found = {}
    for name, kind, text in re.findall(r"^(\w+) : ([^\n]*)\n((?: [^\n]*(?:\n|$))*)", section, flags=re.MULTILINE):
        choices = tuple(re.findall(r'"([^"]*)"', kind)) if kind.startswith("{") else ()
        found[name] = (choices, " ".join(text.replace("`", "").split()) or None)
    return found


if TYPE_CHECKING:
    Numbers: TypeAlias = Swept
    Integers: TypeAlias = Swept
    Vectors: TypeAlias = Swept
    Words: TypeAlias = Swept
    Units: TypeAlias = Swept
    Samplers: TypeAlias = Swept
else:
    Numbers, Integers, Vectors, Words = map(_swept, (Number, Integer, Vector, Word))
    Units, Samplers = _swept(Literal["word", "char"]), _swept(Literal["auto", "points"])


class ZipfTable(Table):
    """Zipf's law on the classes 1, …, size."""

    size: Integers = Field(description="Number of classes.")
    exponent: Numbers = _optional("Probabilities are proportional to i^(−exponent).", 1.0)


class CategoricalTable(Table):
    """Law on K classes, from just one of probs, zipf, counts, text and standard_text."""

    family: Literal["categorical"] = Field(description="Law on K classes.")
    probs: Vectors = _optional("Probabilities, which sum to 1.")
    zipf: ZipfTable = _optional("Zipf's law.")
    counts: Vectors = _optional("Frequencies of the classes.")
    text: Words = _optional("A text file; its path starts from the folder of the definition.")
    standard_text: Literal[True] = _optional("true: the help topics that come with Python.")
    unit: Units = _optional("What is counted in a text.", "word")

    @model_validator(mode="after")
    def _from_one_source(self) -> CategoricalTable:
        sources = self.model_fields_set - {"family", "unit"}
        if len(sources) != 1:
            raise _refused("given by just one of probs, zipf, counts, text and standard_text")
        if "unit" in self.model_fields_set and not sources & {"text", "standard_text"}:
            raise _refused("given by text or standard_text for unit to have a meaning")
        return self


_REPLACE = _table_of("name", "replace", Replace)
_FRESH_MIX = _table_of("name", "fresh-mix", FreshMix)

if TYPE_CHECKING:
    LaterTable: TypeAlias = Table
else:
    LaterTable = Annotated[_union(_REPLACE, _FRESH_MIX), Field(discriminator="name")]


class StagedTable(Table):
    """The schedule of the source: the corpus grows by a fresh part a stage, and the rest is regenerated."""

    name: Literal["staged"] = Field(description="A fresh part a stage, and the rest regenerated.")
    stages: Integers = Field(description="Number of stages; each is a generation.")
    then: LaterTable = _optional("What comes after the last stage.")


def _choice(part: str, key: str, own: Mapping[str, type[Table]]) -> Any:
    """Return the annotation of a model, a loss or a regime: one of several tables, or a list of them."""
    tables = {word: own.get(word) or _table_of(key, word, made) for word, made in CONSTRUCTORS[part].items()}
    for table in tables.values():
        table.siblings = tables
    one: Any = Annotated[_union(*tables.values()), Field(discriminator=key)]
    several = Annotated[list[one], Field(min_length=1, max_length=_MOST_VALUES), Tag("several")]
    return Annotated[_union(Annotated[one, Tag("one")], several), Discriminator(_form_of_tables)]


if TYPE_CHECKING:
    ModelTable: TypeAlias = Table | list[Table]
    LossTable: TypeAlias = Table | list[Table]
    RegimeTable: TypeAlias = Table | list[Table]
    DecodingTable: TypeAlias = Table | list[Table]
else:
    ModelTable = _choice("model", "family", {"categorical": CategoricalTable})
    LossTable = _choice("loss", "name", {})
    RegimeTable = _choice("regime", "name", {"replace": _REPLACE, "fresh-mix": _FRESH_MIX, "staged": StagedTable})
    DecodingTable = _choice("decoding", "name", {})


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

    model: ModelTable = _optional("Generation 0, the truth; it sets the family.")
    loss: LossTable = _optional("What each generation minimises.")
    regime: RegimeTable = _optional("Where the data come from; all from the previous generation if not given.")
    decoding: DecodingTable = _optional("How a model's law is changed when points are drawn; not at all if not given.")
    n_samples: Integers = _optional("Points drawn for each generation.")
    generations: Integers = _optional("Generations after generation 0.")
    replicates: Integers = _optional("Independent repetitions.")
    sampler: Samplers = _optional("Whether sufficient statistics are sampled in law where that is enough.", "auto")
    seed: Integers = _optional("Seed of the random numbers.")
    metrics: Annotated[list[Word], Field(min_length=1)] = _optional("Metrics that are recorded.")
    fidelity: Annotated[list[CriterionTable], Field(min_length=1)] = _optional("Criteria, each for every cell.")
    combine: Literal["grid", "zip"] = _optional("How settings that vary are combined.", "grid")


class DefinitionTable(CaseTable):
    """A definition of experiments: which simulations `tce run` does."""

    title: Annotated[Word, Field(min_length=1)] = Field(description="What it is about, in a line.")
    theorems: list[Word] = Field([], description="Slugs of the theorems that it bears on.")
    coupled: Boolean = Field(False, description="Whether cells with one seed use the same random numbers.")
    cases: Annotated[list[CaseTable], Field(min_length=1, max_length=_MOST_VALUES)] = _optional(
        "Settings in place of those above, case by case."
    )


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
    "fidelity": "a list of tables (write [[fidelity]])",
}
# pydantic's marks of the choice that it made, none of which is the name of a setting
_TAGS = {"one", "several", "range", *(word for words in CONSTRUCTORS.values() for word in words)}


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


def validated(document: Mapping[str, Any]) -> DefinitionTable:
    """Check a document in JSON's types against the schema.

    Raises
    ------
    DefinitionError
        With the first problem in one line: its path in the file, what is admissible, and what there is.
    """
    try:
        return DefinitionTable.model_validate(document)
    except ValidationError as error:
        problems = error.errors(include_url=False)
    more = len(problems) - 1
    count = f" (and {more} more problem{'s' if more > 1 else ''})" if more else ""
    raise DefinitionError(_line(problems[0]) + count)


def _line(problem: Mapping[str, Any]) -> str:
    """Write a problem in one line."""
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    parts = [part for part in problem["loc"] if part not in _TAGS]
    match kind:
        case "unknown_key":
            return _unknown(parts, given, context)
        case "missing":
            return f"{path_of(parts)} is missing"
        case "union_tag_invalid" | "union_tag_not_found":
            key = re.findall(r"'([^']*)'", context["discriminator"])[0]
            return _unknown_choice(parts, key, given)
        case "literal_error":
            choices = re.findall(r"'([^']*)'", context["expected"]) or ["true"]
            return f"{path_of(parts)} must be {_among(given, choices)}, got {shown(given)}"
        case "list_type" if parts[-1] in _LISTS:
            return f"{path_of(parts)} must be {_LISTS[parts[-1]]}, got {shown(given)}"
    admissible = _ADMISSIBLE.get(kind, problem["msg"]).format(**context)
    return f"{path_of(parts)} must be {admissible}, got {shown(given)}"


def _unknown(parts: Sequence[str | int], given: Mapping[str, Any], context: Mapping[str, Any]) -> str:
    """Say what an unknown key may have been meant to be."""
    key, known = context["key"], context["known"]
    path = path_of([*parts, key])
    if context["others"]:
        word = next(given[choice] for choice in ("family", "name") if choice in given)
        return f"{path} does not go with {word}, but with {' and '.join(context['others'])}"
    if key in _keys(DefinitionTable):
        return f"{path} is not known; {key} belongs to the top of the file, before the first [table]"
    return f"{path} is not known; {hint(key, known) or 'known are ' + ', '.join(known)}"


def _unknown_choice(parts: Sequence[str | int], key: str, given: Mapping[str, Any]) -> str:
    """Say that a table lacks the word that chooses, or has an unknown one."""
    part = next(name for name in reversed(parts) if isinstance(name, str))
    words, path = list(CONSTRUCTORS[part]), path_of([*parts, key])
    if key not in given:
        return f"{path} is missing: one of {', '.join(words)}"
    word = given[key]
    line = f"{path} must be {_among(word, words)}, got {shown(word)}"
    if isinstance(word, list):
        return f"{line}: give a list of tables, [[{part}]], for several"
    reason = _ONLY_IN_PYTHON.get(word) if isinstance(word, str) else None
    return f"{line}: {reason}" if reason else line


def _among(given: Any, choices: Sequence[str]) -> str:
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


def path_of(parts: Sequence[str | int]) -> str:
    """Write a path in a file as one does in Python; quoted where a key is no plain word."""
    path = ""
    for part in parts:
        if isinstance(part, int):
            path += f"[{part}]"
        else:
            path += f".{part}" if re.fullmatch(r"[\w-]+", part) else f".{json.dumps(part)}"
    return path.removeprefix(".") or "the definition"


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
    schema["anyOf"] = [{"required": list(REQUIRED)}, {"required": ["cases"]}]
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
