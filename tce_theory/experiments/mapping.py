"""Maps of extension factors: where TCE helps, where it does nothing, and where it harms, over a whole definition.

A map is read off a definition whose cells are cross entropy and TCE in the same settings: each cell of TCE and each of
its criteria is an entry, compared with cross entropy. With hundreds of entries some look significant by chance; the
verdicts allow for that.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scipy.stats import false_discovery_control

from tce_theory.errors import DomainError
from tce_theory.experiments.definition import Definition
from tce_theory.experiments.results import Experiment, StoredCell, run
from tce_theory.experiments.tables import varying
from tce_theory.validation import finite_number

__all__ = [
    "MAPS",
    "VERDICTS",
    "ExtensionMap",
    "MapEntry",
    "adjusted_p_values",
    "best",
    "check_levels",
    "located",
    "map_extension",
]

MAPS = {path.stem: path for path in sorted(Path(__file__).with_name("maps").glob("*.toml"))}
"""The definitions of maps that come with the library, by name."""
VERDICTS = ("helps", "harms", "neutral", "undecided")


@dataclass(frozen=True, kw_only=True)
class MapEntry:
    """One criterion in one cell, against cross entropy in the same setting.

    Attributes
    ----------
    setting : str
        Model, regime, decoding, scale and mask of the threshold, and how samples grow, as far as they vary.
    n_samples : int
        Of generation 1, where samples grow.
    gamma : float
    gamma_over_peak : float or None
        gamma as a multiple of the greatest density or probability of generation 0, where the definition has it so.
    criterion : str
        What counts as failure.
    ratio, low, high : float or None
        Extension factor with its 95 % interval, by itself; None where there is none, for a reason in `notes`.
    is_lower_bound : bool
    p, adjusted_p : float or None
        Two-sided p-value of equal means, and the same adjusted for the number of entries.
    verdict : str
        One of `VERDICTS`.
    notes : str
    cell : int
        Index of the cell in the experiment.
    """

    setting: str
    n_samples: int
    gamma: float
    gamma_over_peak: float | None
    criterion: str
    ratio: float | None
    low: float | None
    high: float | None
    is_lower_bound: bool
    p: float | None
    adjusted_p: float | None
    verdict: str
    notes: str
    cell: int

    @property
    def factor(self) -> str:
        """The extension factor in words, with its interval; a dash if there is none."""
        if self.ratio is None:
            return "–"
        return f"{'≥ ' if self.is_lower_bound else ''}{self.ratio:.2f} [{self.low:.2f}, {self.high:.2f}]"


@dataclass(frozen=True, eq=False, repr=False)
class ExtensionMap:
    """Extension factors of TCE over all settings of an experiment, with verdicts.

    Attributes
    ----------
    title : str
    entries : tuple of MapEntry
    significance : float
        False discovery rate of the verdicts "helps" and "harms" together: the expected share of wrong ones among them.
    margin : float
        "neutral" says that the 95 % interval lies within [1 − margin, 1/(1 − margin)].

    Notes
    -----
    An entry helps or harms if its p-value, adjusted for the number of entries by the method of Benjamini and Yekutieli
    (2001), which allows for any dependence, is at most `significance`. Of the others it is neutral if the interval is
    within the margin, and undecided if it is not: then more replicates would say more.

    All of it is about means restricted to the horizon of the cell. Where the survival curves cross, another horizon may
    have another ratio, even one on the other side of 1; and of what hardly fails by the horizon the ratio is near 1
    whatever the loss does later, so that "neutral" says no more than that nothing happens by then. One run of cross
    entropy is the baseline of all entries of a setting, and several criteria are read off each run.
    """

    title: str
    entries: tuple[MapEntry, ...]
    significance: float
    margin: float

    @classmethod
    def of(cls, experiment: Experiment, *, significance: float = 0.05, margin: float = 0.1) -> ExtensionMap:
        """Read the map off an experiment, as far as it has been run.

        Parameters
        ----------
        experiment : Experiment
        significance : float
            In (0, 1).
        margin : float
            In (0, 1).

        Raises
        ------
        DomainError
            If an argument is out of range, or the experiment has no cross entropy or no TCE with a fidelity criterion.
        """
        significance, margin = check_levels(significance, margin)
        check_cells(experiment)
        rows = [row for row in experiment.extension_table({"loss.name": "ce"}) if _is_truncated(experiment, row)]
        adjusted = adjusted_p_values([row["ratio_p"] for row in rows])
        parts = _Settings(experiment, [row["cell"] for row in rows])
        entries = [
            parts.entry(row, p, _verdict(row, p, significance, margin)) for row, p in zip(rows, adjusted, strict=True)
        ]
        return cls(experiment.title, tuple(entries), significance, margin)

    def __repr__(self) -> str:
        return f"<ExtensionMap: {self}>"

    def __str__(self) -> str:
        found = Counter(entry.verdict for entry in self.entries)
        return f"{self.title}: {len(self.entries)} entries, " + ", ".join(f"{found[v]} {v}" for v in VERDICTS)

    @cached_property
    def settings(self) -> tuple[str, ...]:
        """The different settings, in order."""
        return tuple(dict.fromkeys(entry.setting for entry in self.entries))

    def table(self) -> list[dict[str, Any]]:
        """Return all entries as rows."""
        return [asdict(entry) for entry in self.entries]

    @property
    def rows(self) -> dict[tuple[str, str], list[MapEntry]]:
        """The entries of each setting and criterion."""
        found: dict[tuple[str, str], list[MapEntry]] = {}
        for setting in self.settings:
            for entry in self.entries:
                if entry.setting == setting:
                    found.setdefault((setting, entry.criterion), []).append(entry)
        return found

    def reaching(self, factor: float) -> list[tuple[MapEntry, list[MapEntry]]]:
        """Return where a factor is reached, and at what price.

        Parameters
        ----------
        factor : float

        Returns
        -------
        list of (MapEntry, list of MapEntry)
            Each entry that helps and whose lower limit is at least `factor`; with it the criteria of the same cell
            that TCE harms.
        """
        found = []
        for entry in self.entries:
            if entry.verdict == "helps" and (entry.low or 0) >= factor:
                harmed = [other for other in self.entries if other.cell == entry.cell and other.verdict == "harms"]
                found.append((entry, harmed))
        return found


def best(entries: Sequence[MapEntry]) -> MapEntry | None:
    """Return the entry with the largest factor of those that help, if any does."""
    helping = [entry for entry in entries if entry.verdict == "helps"]
    return max(helping, key=lambda entry: entry.ratio or 0, default=None)


def located(name: str | os.PathLike[str]) -> tuple[Path, str]:
    """Return the file of a map that comes with the library, or of the user's, and the store that it has by default."""
    if isinstance(name, str) and name in MAPS:
        return MAPS[name], f"map_{name}.sqlite"
    return Path(name), f"{Path(name).stem}.sqlite"


def map_extension(
    definition: str | os.PathLike[str] | Definition = "quick",
    store: str | os.PathLike[str] | None = None,
    *,
    significance: float = 0.05,
    margin: float = 0.1,
    **options: Any,
) -> ExtensionMap:
    """Run the simulations of a map, or what a store lacks of them, and read the map off.

    Parameters
    ----------
    definition : str, os.PathLike or Definition
        "quick" or "reference", which come with the library; a file in TOML; or a definition. Its cells are cross
        entropy and TCE in the same settings, with fidelity criteria.
    store : str or os.PathLike, optional
        Where results are kept; by default map_quick.sqlite or map_reference.sqlite, or as for `run`.
    significance, margin : float
        As of `ExtensionMap`.
    **options
        Those of `tce_theory.experiments.runner.run`, such as ``n_jobs=-1``.

    Returns
    -------
    ExtensionMap

    Raises
    ------
    DefinitionError, DomainError, FileNotFoundError, StoreError, WorkersError
        As `tce_theory.experiments.run`; DomainError also if there is nothing to map.

    Examples
    --------
    >>> import tempfile
    >>> from tce_theory.experiments import Definition
    >>> definition = Definition.from_mapping({
    ...     "title": "Walls", "seed": 1, "n_samples": 50, "generations": 200, "replicates": 200,
    ...     "model": {"family": "gaussian"}, "loss": [{"name": "ce"}, {"name": "tce", "gamma": [0.5, 2.0]}],
    ...     "fidelity": [{"metric": "std", "below": 0.7}, {"metric": "mean", "outside": [-0.4, 0.4]}]})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     walls = map_extension(definition, Path(folder, "walls.sqlite"))
    >>> [(entry.gamma, entry.criterion, entry.verdict) for entry in walls.entries]
    [(0.5, 'std below 0.7', 'helps'), (0.5, 'mean outside [-0.4, 0.4]', 'harms'), (2.0, ...), (2.0, ...)]
    """
    significance, margin = check_levels(significance, margin)
    if isinstance(definition, (str, os.PathLike)):
        path, usual_store = located(definition)
        store = usual_store if store is None else store
        definition = Definition.read(path)
    if isinstance(definition, Definition):
        check_cells(definition)
    return ExtensionMap.of(run(definition, store, **options), significance=significance, margin=margin)


def check_levels(significance: float, margin: float) -> tuple[float, float]:
    """Return both as numbers, or raise DomainError if one is not in (0, 1)."""
    for name, value in (("significance", significance), ("margin", margin)):
        if not 0 < finite_number(name, value) < 1:
            raise DomainError(name, value, "a number between 0 and 1")
    return float(significance), float(margin)


def check_cells(experiment: Definition | Experiment) -> None:
    """Raise DomainError if there is nothing to map: before the simulations, whose time it would be too late to save."""
    if not any(cell.settings["loss.name"] == "tce" and cell.fidelity for cell in experiment.cells):
        raise DomainError("experiment", experiment.title, "one with TCE cells that have fidelity criteria")
    if not any(cell.settings["loss.name"] == "ce" for cell in experiment.cells):
        raise DomainError(
            "experiment", experiment.title, "one with cells of cross entropy, to compare those of TCE with"
        )


def _is_truncated(experiment: Experiment, row: Mapping[str, Any]) -> bool:
    return bool(experiment.cells[row["cell"]].settings["loss.name"] == "tce")


def adjusted_p_values(p_values: Sequence[float | None]) -> list[float | None]:
    """Adjust p-values for their number (Benjamini and Yekutieli 2001); None stays."""
    known = [p for p in p_values if p is not None]
    adjusted = iter(false_discovery_control(known, method="by").tolist() if known else [])
    return [None if p is None else next(adjusted) for p in p_values]


def _verdict(row: Mapping[str, Any], adjusted_p: float | None, significance: float, margin: float) -> str:
    if adjusted_p is None or row["ratio"] is None:
        return "undecided"
    if row["baseline_censored"] == row["treated_censored"] == 1:
        return "undecided"  # nothing has failed on either side
    if adjusted_p <= significance:
        return "helps" if row["ratio"] > 1 else "harms"
    is_near_1 = 1 - margin <= row["low"] and row["high"] <= 1 / (1 - margin)
    return "neutral" if is_near_1 else "undecided"


def _first_size(settings: Mapping[str, Any]) -> int:
    """Return the sample size of generation 1."""
    for name, first in (("n_samples", int), ("n_samples.first", int), ("n_samples.sizes", lambda sizes: sizes[0])):
        if name in settings:
            return int(first(settings[name]))
    raise KeyError("n_samples")


class _Settings:
    """What cells are called on a map: their label, and what else varies among the cells that have it."""

    _OF_AXES = (
        "n_samples.first",
        "loss.name",
        "loss.gamma",
        "loss.gamma_over_peak",
        "seed",
        "replicates",
        "generations",
    )

    def __init__(self, experiment: Experiment, numbers: Sequence[int]) -> None:
        self.cells = experiment.cells
        found: dict[Any, list[StoredCell]] = {}
        for number in numbers:
            cell = self.cells[number]
            found.setdefault(cell.settings.get("label"), []).append(cell)
        self.varying = {
            label: [
                name
                for name in varying(cells)
                if name not in ("condition", "label", "n_samples") and not name.startswith(self._OF_AXES)
            ]
            for label, cells in found.items()
        }

    def entry(self, row: Mapping[str, Any], adjusted_p: float | None, verdict: str) -> MapEntry:
        cell = self.cells[row["cell"]]
        return MapEntry(
            setting=self._words(cell.settings),
            n_samples=_first_size(cell.settings),
            gamma=cell.loss_parameters["gamma"],
            gamma_over_peak=cell.settings.get("loss.gamma_over_peak"),
            criterion=row["criterion"],
            ratio=row["ratio"],
            low=row["low"],
            high=row["high"],
            is_lower_bound=bool(row["is_lower_bound"]),
            p=row["ratio_p"],
            adjusted_p=adjusted_p,
            verdict=verdict,
            notes=row["notes"],
            cell=row["cell"],
        )

    def _words(self, settings: Mapping[str, Any]) -> str:
        label = settings.get("label")
        words = [
            str(settings[name])
            if name.endswith((".name", ".family"))
            else f"{name.rpartition('.')[2]} {settings[name]}"
            for name in self.varying[label]
            if name in settings
        ]
        return ", ".join([*([label] if label else []), *words]) or "all"
