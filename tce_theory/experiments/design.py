"""What a study has stated before it is run: its question, the criterion that decides, and what it claims."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from tce_theory.errors import DefinitionError, DomainError
from tce_theory.experiments.schema import CriterionTable, StudyTable, among, shown
from tce_theory.fidelity import fidelity_interval

if TYPE_CHECKING:
    from tce_theory.experiments.definition import Cell

__all__ = ["Criterion", "CriterionError", "StudyClaim", "StudyDesign", "check_cells", "check_labels", "criterion_of"]


class CriterionError(ValueError):
    """A criterion that makes no sense, or does not go with a model."""


@dataclass(frozen=True)
class Criterion:
    """A fidelity criterion: arguments of `Run.fidelity_interval`."""

    metric: str
    below: float | None = None
    above: float | None = None
    outside: tuple[float, float] | None = None
    relative: bool = False
    interpolate: bool = True


def criterion_of(table: CriterionTable, path: str) -> Criterion:
    """Return the criterion of a table of the file, which stands at `path`; CriterionError if it makes no sense."""
    options = table.model_dump()
    metric, outside = options.pop("metric"), options.pop("outside")
    criterion = Criterion(metric, outside=None if outside is None else tuple(outside), **options)
    try:
        fidelity_interval([[1.0, 1.0]], **asdict(criterion))  # of a path that stays where it is
    except DomainError as error:
        if error.argument == "threshold":
            raise CriterionError(f"{path} must have {error.admissible}, got {error.value}") from None
        raise CriterionError(f"{path}.{error.argument} must be {error.admissible}, got {error.value}") from None
    return criterion


@dataclass(frozen=True)
class StudyClaim:
    """A claim: under some conditions fidelity intervals are longer than under the baseline.

    Attributes
    ----------
    claim : str
        In words.
    conditions : tuple of str
        Labels of the conditions that it is about.
    settings : tuple of str
        Labels of the cases that it is about.
    above : float
        Extension factor that is claimed to be exceeded.
    """

    claim: str
    conditions: tuple[str, ...]
    settings: tuple[str, ...]
    above: float = 1.0


@dataclass(frozen=True)
class StudyDesign:
    """What a comparison of conditions asks, as its definition has stated it before it was run.

    Attributes
    ----------
    question : str
    baseline : str
        Label of the condition that the others are compared with.
    controls : tuple of str
        Labels of the conditions that claims are to be held against.
    primary : Criterion
        The criterion that decides; a fidelity criterion of every cell.
    thresholds : tuple of float
        Thresholds in place of the primary criterion's, for its curve; empty if none are given.
    level : float
        Confidence level of all intervals of the primary criterion together.
    claims : tuple of StudyClaim

    Examples
    --------
    >>> from tce_theory.experiments import Definition
    >>> study = Definition.from_mapping({
    ...     "title": "Does truncation help?", "seed": 1, "coupled": True, "n_samples": 50, "generations": 40,
    ...     "replicates": 100, "label": "Gaussian", "model": {"family": "gaussian"},
    ...     "fidelity": [{"metric": "std", "below": 0.75}],
    ...     "conditions": [{"label": "CE", "loss": {"name": "ce"}},
    ...                    {"label": "TCE 0.5", "loss": {"name": "tce", "gamma": 0.5}}],
    ...     "study": {"question": "Does TCE keep the spread?", "baseline": "CE", "thresholds": [0.6, 0.75, 0.9],
    ...               "primary": {"metric": "std", "below": 0.75},
    ...               "claims": [{"claim": "TCE lasts longer", "conditions": ["TCE 0.5"]}]},
    ... }).study
    >>> study.claims
    (StudyClaim(claim='TCE lasts longer', conditions=('TCE 0.5',), settings=('Gaussian',), above=1.0),)
    >>> [criterion.below for criterion in study.curve]
    [0.6, 0.75, 0.9]
    """

    question: str
    baseline: str
    controls: tuple[str, ...]
    primary: Criterion
    thresholds: tuple[float, ...]
    level: float
    claims: tuple[StudyClaim, ...]

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> StudyDesign | None:
        """Return the design that a definition in JSON's types states, whose form has been checked; None without one."""
        if "study" not in document:
            return None
        table = StudyTable.model_validate(document["study"])
        try:
            primary = criterion_of(table.primary, "study.primary")
        except CriterionError as error:
            raise DefinitionError(str(error)) from None
        every = tuple(_settings(document))
        return cls(
            question=table.question,
            baseline=table.baseline,
            controls=tuple(table.controls),
            primary=primary,
            thresholds=tuple(table.thresholds.values) if table.thresholds else (),
            level=table.level,
            claims=tuple(
                StudyClaim(item.claim, tuple(item.conditions), tuple(item.settings or every), item.above)
                for item in table.claims or ()
            ),
        )

    @property
    def curve(self) -> tuple[Criterion, ...]:
        """The primary criterion at each of the thresholds."""
        if self.primary.below is None:
            return tuple(replace(self.primary, above=threshold) for threshold in self.thresholds)
        return tuple(replace(self.primary, below=threshold) for threshold in self.thresholds)


def _settings(document: Mapping[str, Any]) -> list[str]:
    """Return the labels of the cases, each once."""
    labels = [case.get("label", document.get("label", "")) for case in document.get("cases", [{}])]
    return list(dict.fromkeys(labels))


# ------------------------------------------------------------------------------------------------------------ checks


def check_labels(document: Mapping[str, Any], study: StudyDesign | None) -> None:
    """Refuse conditions and a study whose labels or numbers do not fit each other."""
    labels = [condition["label"] for condition in document.get("conditions", ())]
    _check_different(labels, "conditions[{}].label")
    if study is None:
        return
    if len(labels) < 2:
        raise DefinitionError(f"study must have two [[conditions]] to compare, or more, got {len(labels)}")
    for index, case in enumerate(document.get("cases", [{}])):
        if not case.get("label", document.get("label")):
            path = f"cases[{index}].label" if "cases" in document else "label"
            raise DefinitionError(f"{path} is missing: a [study] names its settings by the labels of the cases")
    _check_names(study, labels, _settings(document))
    _check_numbers(study)


def _check_names(study: StudyDesign, conditions: Sequence[str], settings: Sequence[str]) -> None:
    _check_among([study.baseline], conditions, "study.baseline")
    compared = [label for label in conditions if label != study.baseline]
    _check_among(study.controls, compared, "study.controls[{}]")
    for index, claim in enumerate(study.claims):
        _check_among(claim.conditions, compared, f"study.claims[{index}].conditions[{{}}]")
        _check_among(claim.settings, settings, f"study.claims[{index}].settings[{{}}]")


def _check_among(labels: Sequence[str], known: Sequence[str], path: str) -> None:
    possible = set(known)
    for index, label in enumerate(labels):
        if label not in possible:
            raise DefinitionError(f"{path.format(index)} must be {among(label, known)}, got {shown(label)}")
    _check_different(labels, path)


def _check_different(labels: Sequence[str], path: str) -> None:
    before: set[str] = set()
    for index, label in enumerate(labels):
        if label in before:
            raise DefinitionError(f"{path.format(index)} must be different from those before, got {shown(label)}")
        before.add(label)


def _check_numbers(study: StudyDesign) -> None:
    if not 0 < study.level < 1:
        raise DefinitionError(f"study.level must be a number between 0 and 1, got {study.level}")
    for index, claim in enumerate(study.claims):
        if not claim.above > 0:
            raise DefinitionError(f"study.claims[{index}].above must be a number above 0, got {claim.above}")
    if study.thresholds and study.primary.outside is not None:
        raise DefinitionError(
            "study.thresholds must be left out for a primary criterion with outside, which has no one threshold, "
            f"got {shown(list(study.thresholds))}"
        )


def check_cells(study: StudyDesign, cells: Sequence[Cell], document: Mapping[str, Any]) -> None:
    """Refuse a study in which a setting is not just one cell under a condition, or lacks the primary criterion."""
    found = Counter((cell.settings["condition"], cell.settings["label"]) for cell in cells)
    for condition in document["conditions"]:
        for setting in _settings(document):
            number = found[condition["label"], setting]
            if number != 1:
                raise DefinitionError(
                    f"study must have one cell for each label of a case under each condition, got {number} for "
                    f"{shown(setting)} under {shown(condition['label'])}"
                    f"{'' if number else ', where it is the same simulation as another case'}"
                )
    for cell in cells:
        if study.primary not in cell.fidelity:
            raise DefinitionError(
                "study.primary must be one of [[fidelity]], with the same keys and values, which it is not for "
                f"{shown(cell.settings['label'])}"
            )
