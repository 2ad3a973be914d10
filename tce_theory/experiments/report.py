"""Reports of studies in Markdown, with pictures beside them. All numbers and words are those of the `Study`."""

from __future__ import annotations

import math
import os
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tce_theory.claims import UNDECIDED, YES
from tce_theory.experiments.study import (
    ALIKE,
    BETTER,
    NOT_TOLD_APART,
    CellSummary,
    ClaimResult,
    Design,
    Factor,
    Finding,
    MetricPath,
    Study,
    listed,
    places,
)
from tce_theory.experiments.tables import short
from tce_theory.files import write_atomically
from tce_theory.validation import one_of

__all__ = [
    "FORMATS",
    "SIGNIFICANCE",
    "caveats",
    "controls_in_words",
    "files_of",
    "markdown",
    "strongest_in_words",
    "write",
]

FORMATS = ("png", "pdf", "svg")
SIGNIFICANCE = 0.05
"""Adjusted p-values up to this are marked in tables."""
_MOST_COLUMNS, _MOST_SHORT_COLUMNS = 4, 10
_AXES_OF_STUDIES = ("label", "condition")
_PICTURES = {
    "forest": "Primary extension factors with intervals that hold together",
    "curves": "Extension factors over thresholds of the primary metric",
    "paths": "The primary metric by generation",
    "mechanism": "What is masked, and the entropy of predictions, by generation",
}

_PARTED = re.compile(r"(?<=\d,) (?=[\d.∞]+\])|(?<=[≥≤~±]) (?=\d)| (?=±)")

Rows = Iterable[Sequence[str]]


def write(studies: Sequence[Study], path: str | os.PathLike[str], *, format: str = "png") -> list[Path]:
    """Write a report of studies, and its pictures into a folder beside it.

    Parameters
    ----------
    studies : sequence of Study
    path : str or os.PathLike
        Of the report; pictures of "report.md" are in "report_files".
    format : {"png", "pdf", "svg"}
        Of the pictures.

    Returns
    -------
    list of pathlib.Path
        What was written: the report, and its pictures. Each file is whole or not there.

    Raises
    ------
    DomainError
        If `format` is none of the three.
    OSError
        If a file cannot be written.
    """
    from tce_theory.plotting import save
    from tce_theory.plotting import studies as pictures

    one_of("format", format, FORMATS)
    path = Path(path)
    folder = files_of(path)
    folder.mkdir(exist_ok=True)
    written: list[Path] = []

    def draw(number: int, study: Study, name: str) -> str | None:
        figure = getattr(pictures, f"{name}_figure")(study)
        if figure is None:
            return None
        stem = Path(study.store).stem if len({s.store for s in studies}) == len(studies) else f"study{number + 1}"
        written.append(save(figure, folder / f"{stem}_{name}.{format}"))
        return f"{folder.name}/{written[-1].name}"

    text = markdown(studies, draw)
    write_atomically(path, lambda file: file.write(text.encode()))
    return [path, *written]


def files_of(path: Path) -> Path:
    """Return the folder of a report's pictures: for "report.md" it is "report_files" beside it."""
    return path.with_name(f"{path.stem}_files")


def markdown(studies: Sequence[Study], draw: Callable[[int, Study, str], str | None] = lambda *_: None) -> str:
    """Return a report of studies: verdicts first, then study by study what they rest on.

    Parameters
    ----------
    studies : sequence of Study
    draw : callable, optional
        Makes a picture, given the number of the study, the study and the picture's name, and returns where it is; None
        if there is nothing to be drawn. Without it there are no pictures.

    Returns
    -------
    str

    Examples
    --------
    >>> import tempfile
    >>> from tce_theory.experiments import Definition, run
    >>> definition = Definition.from_mapping({
    ...     "title": "A wall", "seed": 1, "n_samples": 50, "generations": 150, "replicates": 50, "coupled": True,
    ...     "label": "Gaussian", "model": {"family": "gaussian"}, "fidelity": [{"metric": "std", "below": 0.7}],
    ...     "conditions": [{"label": "CE", "loss": {"name": "ce"}},
    ...                    {"label": "TCE", "loss": {"name": "tce", "gamma": 0.5}}],
    ...     "study": {"question": "Does the wall hold?", "baseline": "CE",
    ...               "primary": {"metric": "std", "below": 0.7},
    ...               "claims": [{"claim": "It holds the scale.", "conditions": ["TCE"]}]}})
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     study = Study.of(run(definition, Path(folder, "wall.sqlite")))
    >>> for line in markdown([study]).splitlines()[2:7]:
    ...     print(line)
    ## Verdicts
    <BLANKLINE>
    | study | claim | verdict | factor | controls not found worse |
    | --- | --- | --- | --- | --- |
    | A wall, until std below 0.7 | It holds the scale. | **holds** | ... (TCE; Gaussian) | – |
    """
    parts = [f"# Report: {studies[0].title}" if len(studies) == 1 else f"# Report of {len(studies)} studies"]
    parts += [f"**Not finished**: of “{s.title}” {s.state}." for s in studies if not s.is_complete]
    parts += ["## Verdicts", *_verdicts(studies)]
    for number, study in enumerate(studies):
        parts += _study(study, lambda name, number=number, study=study: draw(number, study, name))  # type: ignore[misc]
    return "\n\n".join(parts) + "\n"


def strongest_in_words(result: ClaimResult) -> str:
    """Return the factor with the highest lower limit of a claim, and where that is."""
    found = result.strongest
    if found is None:
        return "–"
    more = f": the highest lower limit of {len(result.findings)}" if len(result.findings) > 1 else ""
    return f"{found.shown} ({found.condition}; {found.setting}{more})"


def controls_in_words(finding: Finding | None) -> str:
    """Return which controls are not found to be worse than a condition, and how far that goes."""
    if finding is None or not finding.controls:
        return "–"
    groups: dict[str, list[str]] = {BETTER: [], ALIKE: [], NOT_TOLD_APART: [], UNDECIDED: [], "no factor": []}
    for check in finding.controls:
        groups.get("no factor" if check.ratio is None else check.says, []).append(check.against)
    return "; ".join(f"{says}: {', '.join(names)}" for says, names in groups.items() if names) or "none: all are worse"


def caveats(study: Study) -> Iterator[str]:
    """Yield where nothing is decided or there is no factor, and why, and where other criteria say the contrary."""
    if study.idle_settings:
        yield (
            f"In {listed([f'“{s}”' for s in study.idle_settings], 'and')} fewer than half of the replicates of "
            f"{study.design.baseline} fail within {study.design.generations} generations: nothing can be found to last "
            "longer there, only to fail sooner."
        )
    for cell in study.diverged:
        yield (
            f"Under “{cell.condition}” in “{cell.setting}” the training of {cell.diverged} of {cell.finished} "
            "replicates diverged: there is no factor."
        )
    lasting = {(f.condition, f.setting) for r in study.claims for f in r.findings if f.outcome == YES}
    for condition, setting in sorted(lasting, key=lambda place: study.design.conditions.index(place[0])):
        found = [f for f in study.others if (f.condition, f.setting) == (condition, setting)]
        sooner = [f.criterion for f in found if _mark(f) and f.ratio is not None and f.ratio < 1]
        if sooner:
            yield (
                f"“{condition}” in “{setting}” lasts longer by the primary criterion, but fails sooner by others: "
                f"{listed(sooner, 'and')}."
            )


# ------------------------------------------------------------------------------------------------------- verdicts


def _verdicts(studies: Sequence[Study]) -> Iterator[str]:
    headings = ["study", "claim", "verdict", "factor", "controls not found worse"]
    rows = []
    for study in studies:
        for place, result in enumerate(study.claims):
            first = f"{study.title}, until {study.design.criterion}" if place == 0 else ""
            above = f" (factor above {result.above:g})" if result.above != 1 else ""
            words = (strongest_in_words(result), controls_in_words(result.strongest))
            rows.append([first, result.claim + above, f"**{result.in_words}**", *words])
    yield _table(headings, rows)
    if remarks := [f"- {line}" for study in studies for line in caveats(study)]:
        yield "\n".join(remarks)
    yield from _legend(studies)


def _legend(studies: Sequence[Study]) -> Iterator[str]:
    levels = listed([f"{100 * level:g} %" for level in dict.fromkeys(s.design.level for s in studies)], "or")
    ends = listed([str(end) for end in dict.fromkeys(s.design.generations for s in studies)], "or")
    yield (
        "A factor is the mean time until failure under a condition over that under the baseline, both restricted to "
        f"the horizon, {ends} generations: what has not failed by then counts as if it failed there. In brackets are "
        f"limits that hold together with {levels} for all primary factors of a study (Bonferroni); claims of more than "
        "1 are judged by the same limits. Of a claim about several conditions or settings the factor with the highest "
        "lower limit is shown, and the controls are those of that one; all others are in the tables below."
    )
    yield (
        "With a longer horizon a factor marked “≥” could only be larger (some runs of the condition outlast it, and "
        "none of the baseline), one marked “≤” only smaller (the reverse), and one marked “~” either (some of both "
        "do)."
    )
    if any(study.design.controls for study in studies):
        yield (
            "A control is “better” than the condition if the interval of the condition's factor over it is below 1, "
            "“worse” if it is above 1, “alike” if it has 1 in it and is within a tenth of 1, and “not told apart” if "
            "it has 1 in it and is wider: that the data do not say which of the two lasts longer does not mean that "
            "they last equally long."
        )


_OUTCOMES = (
    "An outcome is “yes” if the whole interval is above what the claim asks, “harm” if it is below 1, “no effect” if "
    "it has 1 in it and is within a tenth of 1, “short of it” if it is below what is asked, and “undecided” otherwise. "
    "Where most runs of the condition outlast the horizon, or the factor is marked “≥”, the upper limit does not "
    "count, since nothing is known of what comes later; where most of the baseline do, the lower limit does not. A "
    "claim “holds” if all of its outcomes are “yes” and holds “only when” some are; “does not” says that none is, and "
    "that some are decided."
)

# -------------------------------------------------------------------------------------------------------- a study


def _study(study: Study, draw: Callable[[str], str | None]) -> Iterator[str]:
    yield f"## {study.title}"
    yield study.question
    if study.claims:
        yield "### Findings"
        yield _findings(study)
        yield _OUTCOMES
    if study.claims and study.design.controls:
        yield "### Claimed conditions against controls"
        yield (
            "The factor of each claimed condition over each control, with limits that hold together with "
            f"{100 * study.design.level:g} % for all {study.design.control_comparisons} of them, and what it says of "
            "the control."
        )
        yield _controls(study)
    if study.curves:
        yield "### Over thresholds"
        yield (
            f"Factors over {study.design.baseline} where failure of {study.design.metric} begins "
            f"{study.design.direction} other thresholds, each by itself; “–” where fewer than half of the replicates "
            "of either side fail, so that next to nothing happens."
        )
        yield from _picture(draw, "curves")
        yield from _curves(study)
    yield f"### Primary factors: {study.design.criterion}"
    yield from _picture(draw, "forest")
    yield (
        "“censored”: share of the replicates that outlast the horizon. “diverged”: replicates whose training did; a "
        "condition with any has no factor. “all masked”: share of the generations, over all replicates, whose training "
        "ended with every target left out. “p”: two-sided, of equal mean times, by itself."
    )
    yield from _by_setting(study, _primary)
    yield from _picture(draw, "paths")
    if study.mechanism:
        yield "### Mechanism"
        yield from _picture(draw, "mechanism")
        yield from _by_setting(study, _mechanism)
    yield f"### Every metric at generation {study.design.generations}"
    yield (
        "Means over replicates ± standard errors. “*”: different from the baseline, p ≤ 0.05 after adjustment for all "
        "metrics, settings and conditions of the study (Benjamini and Yekutieli 2001)."
    )
    yield from _by_setting(study, _last_metrics)
    if study.others:
        yield "### Other criteria"
        yield (
            "Extension factors over the baseline with 95 % intervals, each by itself; “–” where fewer than half of the "
            "replicates of either side fail. “*”: p ≤ 0.05 after adjustment for all factors of these tables together "
            "(Benjamini and Yekutieli 2001)."
        )
        yield from _by_setting(study, _others)
    yield "### Methods"
    yield from _methods(study)
    yield from _notes(study)
    if deviations := study.document.get("study", {}).get("deviations"):
        yield "### Deviations from the source"
        yield "\n".join(f"- {' '.join(line.split())}" for line in deviations)
    yield "### To run it again"
    yield from _again(study)


def _picture(draw: Callable[[str], str | None], name: str) -> Iterator[str]:
    place = draw(name)
    if place is not None:
        yield f"![{_PICTURES[name]}]({place})"


def _findings(study: Study) -> str:
    rows = []
    for result in study.claims:
        for place, finding in enumerate(result.findings):
            claim = f"{result.claim}: **{result.in_words}**" if place == 0 else ""
            above = f"above {result.above:g}"
            rows.append([claim, finding.setting, finding.condition, finding.shown, above, finding.outcome])
    return _table(["claim", "setting", "condition", "factor", "claimed", "outcome"], rows)


def _controls(study: Study) -> str:
    """Return a table of each condition that is claimed to do something against each control."""
    findings = {(f.setting, f.condition): f for result in study.claims for f in result.findings}
    rows = []
    for (setting, condition), finding in findings.items():
        found = {c.against: "–" if c.ratio is None else f"{c.shown} {c.says}" for c in finding.controls}
        rows.append([setting, condition, *(found.get(control, "itself") for control in study.design.controls)])
    return _table(["setting", "condition", *study.design.controls], rows)


def _curves(study: Study) -> Iterator[str]:
    """Yield the table of the curves; pictures alone cannot be read to two digits."""
    thresholds = study.design.thresholds
    for setting in study.design.settings:
        points = {(p.condition, p.threshold): p for p in study.curves if p.setting == setting}
        rows = [
            [condition, *(_ratio(points[condition, threshold]) for threshold in thresholds)]
            for condition in study.design.conditions
            if condition != study.design.baseline
        ]
        yield f"{setting}: factors by threshold of {study.design.metric}"
        yield _tables(["condition", *(f"{threshold:.4g}" for threshold in thresholds)], rows, _MOST_SHORT_COLUMNS)


def _ratio(factor: Factor) -> str:
    return "–" if factor.ratio is None else f"{factor.bound}{places(factor.ratio)}"


def _by_setting(study: Study, table: Callable[[Study, str], str]) -> Iterator[str]:
    for setting in study.design.settings:
        yield f"**{setting}**"
        yield table(study, setting)


def _primary(study: Study, setting: str) -> str:
    rows = []
    for cell in study.cells:
        if cell.setting != setting:
            continue
        masked = f"{100 * cell.vacuous / (cell.finished * study.design.generations or 1):.0f} %"
        mean = "–" if cell.mean is None else f"{cell.mean:.1f} [{_one(cell.mean_low)}, {_one(cell.mean_high)}]"
        censored = "–" if cell.share_censored is None else f"{100 * cell.share_censored:.0f} %"
        row = [cell.condition, f"{cell.finished}", f"{cell.diverged}", masked, mean, censored]
        entry = study.entry(setting, cell.condition)
        if entry is None:
            rows.append([*row, "baseline", "", "", ""])
            continue
        alone = "–" if entry.ratio is None else f"[{places(entry.pointwise_low)}, {places(entry.pointwise_high)}]"
        rows.append([*row, entry.shown, alone, _p(entry.p), entry.outcome])
    level = f"{100 * study.design.level:g} %"
    headings = ["condition", "replicates", "diverged", "all masked", "generations until failure [95 %]", "censored"]
    return _table([*headings, f"factor [{level} together]", "[95 % alone]", "p", "outcome"], rows)


def _mechanism(study: Study, setting: str) -> str:
    rows = []
    for condition in study.design.conditions:
        paths = [study.path(setting, condition, name) for name in study.mechanism]
        entry = study.entry(setting, condition)
        words = [
            text for name, path in zip(study.mechanism, paths, strict=True) for text in _mechanism_words(name, path)
        ]
        rows.append([condition, *words, entry.shown if entry else "baseline"])
    headings = [
        heading
        for name in study.mechanism
        for heading in (
            (f"{name}, mean over generations",)
            if "masked" in name
            else (f"{name}, mean over generations", f"{name}, generation {study.design.generations}")
        )
    ]
    return _table(["condition", *headings, "factor"], rows)


def _mechanism_words(name: str, path: MetricPath | None) -> tuple[str, ...]:
    if path is None:
        return ("–",) if "masked" in name else ("–", "–")
    mean = _three(path.over_generations)
    return (mean,) if "masked" in name else (mean, _with_error(path))


def _last_metrics(study: Study, setting: str) -> str:
    rows = []
    for condition in study.design.conditions:
        paths = [study.path(setting, condition, name) for name in study.metric_names]
        rows.append([condition, *("–" if path is None else _with_error(path) + _mark(path) for path in paths)])
    return _tables(["condition", *study.metric_names], rows)


def _others(study: Study, setting: str) -> str:
    found = {(factor.condition, factor.criterion): factor for factor in study.others if factor.setting == setting}
    criteria = list(dict.fromkeys(criterion for _, criterion in found))
    rows = [
        [condition, *(found[condition, c].shown + _mark(found[condition, c]) for c in criteria)]
        for condition in study.design.conditions
        if condition != study.design.baseline
    ]
    return _tables(["condition", *criteria], rows)


def _with_error(path: MetricPath) -> str:
    error = path.error[-1]
    return _three(path.last) + ("" if error is None else f" ± {error:.2g}")


def _mark(record: Any) -> str:
    return "*" if record.adjusted_p is not None and record.adjusted_p <= SIGNIFICANCE else ""


# -------------------------------------------------------------------------------------------------------- methods


def _methods(study: Study) -> Iterator[str]:
    design = study.design
    shared, of_settings, of_conditions = _settings(study)
    yield (
        f"{len(design.settings)} {'settings' if len(design.settings) > 1 else 'setting'} under "
        f"{len(design.conditions)} conditions, {design.replicates} replicates each, followed for {design.generations} "
        f"generations. Question, baseline ({design.baseline}), controls ({listed(design.controls, 'and') or 'none'}), "
        f"primary criterion ({design.criterion}), thresholds and claims are stated in the definition, which is written "
        f"before anything is run. It took {_duration(study)}, added up over workers"
        + (
            f", with {', '.join(f'{name} {version}' for name, version in design.versions.items())}."
            if design.versions
            else "."
        )
    )
    yield f"All cells: {_words(shared)}."
    yield _table(["setting", "its own"], [[name, _words(found)] for name, found in of_settings.items()])
    yield _table(["condition", "its own"], [[name, _words(found)] for name, found in of_conditions.items()])
    yield from _models(study)
    yield _inference(study)


def _models(study: Study) -> Iterator[str]:
    """Yield each model in full, as it is under the baseline."""
    groups: dict[str, list[str]] = {}
    for setting, model in study.design.models.items():
        words = _words({name: value for name, value in _flat(model) if value is not None})
        groups.setdefault(words, []).append(setting)
    for words, settings in groups.items():
        where = f" in {listed([f'“{setting}”' for setting in settings], 'and')}" if len(groups) > 1 else ""
        yield f"The model in full, as {study.design.baseline} has it{where}: {words}."


def _flat(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _inference(study: Study) -> str:
    design = study.design
    paired = {entry.paired for entry in study.entries if entry.ratio is not None}
    how = {
        frozenset({True}): "Conditions share their noise and are compared pair by pair. ",
        frozenset({False}): "Replicates of different conditions are independent. ",
        frozenset({True, False}): "Conditions are compared pair by pair where they share their noise. ",
    }.get(frozenset(paired), "")
    level = f"{100 * design.level:g} %"
    families = [f"{design.comparisons} primary factors, with an interval at {_each(design, design.comparisons)} each"]
    if design.control_comparisons:
        each = _each(design, design.control_comparisons)
        families.append(f"{design.control_comparisons} factors of claimed conditions over controls, at {each} each")
    together = "those of each family hold" if len(families) > 1 else "they hold"
    return (
        f"{how}A replicate fails when its metric crosses the threshold, by linear interpolation between generations; "
        "one that does not by the horizon is censored there. A factor is the ratio of the mean times restricted to the "
        "horizon; its interval is an expanded percentile bootstrap over replicates (Hesterberg 2015). There are "
        f"{' and '.join(families)}: {together} together with {level}. Limits over thresholds, by other criteria and of "
        "single metrics are at 95 %, each by itself."
    )


def _each(design: Design, comparisons: int) -> str:
    return f"{100 * (1 - (1 - design.level) / comparisons):.4g} %"


def _settings(study: Study) -> tuple[dict[str, Any], dict[str, dict[str, Any]], dict[str, dict[str, Any]]]:
    """Return settings that all cells share, those that differ between settings, and those between conditions."""
    names = [n for n in dict.fromkeys(n for cell in study.cells for n in cell.settings) if n not in _AXES_OF_STUDIES]
    by_setting = {s: [c for c in study.cells if c.setting == s] for s in study.design.settings}
    by_condition = {n: [c for c in study.cells if c.condition == n] for n in study.design.conditions}

    def differs(groups: Mapping[str, Sequence[Any]], name: str) -> bool:
        return any(len({repr(cell.settings.get(name)) for cell in cells}) > 1 for cells in groups.values())

    between_conditions = [name for name in names if differs(by_setting, name)]
    between_settings = [name for name in names if differs(by_condition, name) and name not in between_conditions]
    rest = [name for name in names if name not in {*between_conditions, *between_settings}]

    def of(cells: Sequence[Any], wanted: Sequence[str]) -> dict[str, Any]:
        return {name: cells[0].settings[name] for name in wanted if cells and name in cells[0].settings}

    return (
        of(study.cells, rest),
        {name: of(cells, between_settings) for name, cells in by_setting.items()},
        {name: of(cells, between_conditions) for name, cells in by_condition.items()},
    )


def _words(settings: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {short(value)}" for name, value in settings.items()) or "–"


def _notes(study: Study) -> Iterator[str]:
    """Yield what the analysis remarks, each remark once, with the number of results that it is about."""
    records: tuple[CellSummary | Factor, ...] = (
        *study.cells,
        *study.entries,
        *(c for r in study.claims for f in r.findings for c in f.controls),
    )
    notes = (note for record in records for note in record.notes.split("; ") if note)
    # how many did fail is in the tables
    found = Counter(note.partition(": ")[2] if "with fewer than" in note else note for note in notes)
    if found:
        yield "Remarks on primary results and controls, with the number of results that they are about:"
        yield "\n".join(f"- {note} ({number})" for note, number in found.items())


def _again(study: Study) -> Iterator[str]:
    stem = Path(study.store).stem
    yield "\n".join(
        [
            "```console",
            f"$ tce run {stem}.toml --store {study.store}",
            f"$ tce report {study.store} --out {stem}.md",
            "```",
        ]
    )
    yield (
        f"where {stem}.toml is the definition (simulations/{stem}.toml if it comes with the library). Results are the "
        "same bit for bit with the same versions of packages, on any number of processors; a run that was interrupted "
        "goes on where it was."
    )


def _duration(study: Study) -> str:
    seconds = study.design.seconds
    if seconds < 100:
        return f"{seconds:.2g} s"
    return f"{seconds / 60:.0f} minutes" if seconds < 6000 else f"{seconds / 3600:.3g} hours"


# ------------------------------------------------------------------------------------------------------ Markdown


def _tables(headings: Sequence[str], rows: Sequence[Sequence[str]], most: int = _MOST_COLUMNS) -> str:
    """Return a table, or several of about the same width if it has too many columns for a page."""
    columns = len(headings) - 1
    if not columns:
        return _table(headings, rows)
    width = math.ceil(columns / math.ceil(columns / most))
    parts = [range(first, min(first + width, columns + 1)) for first in range(1, columns + 1, width)]
    return "\n\n".join(
        _table([headings[0], *(headings[c] for c in part)], [[row[0], *(row[c] for c in part)] for row in rows])
        for part in parts
    )


def _table(headings: Sequence[str], rows: Rows) -> str:
    lines = [headings, ["---"] * len(headings), *rows]
    return "\n".join("| " + " | ".join(map(_in_a_cell, line)) + " |" for line in lines)


def _in_a_cell(text: str) -> str:
    """Return text that is a cell of a table, whose limits and bounds are not parted at the end of a line."""
    text = " ".join(text.replace("|", "\\|").split())
    return _PARTED.sub("\u00a0", text)


def _one(number: float | None) -> str:
    return "–" if number is None else f"{number:.1f}"


def _three(number: float | None) -> str:
    return "–" if number is None else f"{number:.3g}".replace("inf", "∞")


def _p(p: float | None) -> str:
    return "–" if p is None else "< 0.0001" if p < 1e-4 else f"{p:.2g}"
