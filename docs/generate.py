"""Write the pages of the documentation that follow from the library, and check that the reference is complete."""

from __future__ import annotations

import json
import re
import sys
import textwrap
from pathlib import Path

import replication

import tce_theory
from tce_theory import claims, theorems
from tce_theory.cli.claims import ask
from tce_theory.experiments.mapping import VERDICTS, ExtensionMap, MapEntry, best
from tce_theory.experiments.study import Study
from tce_theory.models import compatibility_table, decoding_table
from tce_theory.plotting import save
from tce_theory.plotting import studies as pictures
from tce_theory.plotting.maps import extension_map
from tce_theory.theorems import markdown

DOCS = Path(__file__).parent
REFERENCE_MAP = DOCS / "reference_map.json"
"""What `tce map reference --json` printed."""
REACHED = 2.3

COMPATIBILITY = """\
# What goes with what

What each family accepts. Everything else is refused, with an
{py:class}`~tce_theory.UnsupportedCombinationError` that says why.

"""

THEOREMS = """\
# Theorems

What the library knows, and how firmly. The status is one of

- **proved**: derived, step by step, in `proofs/`;
- **diffusion limit**: holds as the number of points grows, with corrections of relative order $n^{-1/2}$ unless the
  claim says otherwise;
- **numerical**: seen in numbers only;
- **conjecture**; and **refuted**: has been claimed and is false, with the counterexample.

A claim whose status differs from that of its theorem says so. `make proofs` runs all derivations and typesets them;
`tce theory SLUG` evaluates the closed forms.

"""

MAP = """\
# The reference map

What `tce map reference` finds, at a false discovery rate of {significance:g} %:

> {found}

An entry is one criterion under one threshold in one setting, against cross entropy; the cases are those of
`tce_theory/experiments/maps/reference.toml`. Which of them help or harm depends on thresholds of the metrics and on
the horizon, too: these were fixed before the map was run.

```{{figure}} reference_map.png
:alt: extension factors over settings, criteria and thresholds
:width: 100%

Extension factors: ▲ helps, ▼ harms, = within 10 % of 1, ? undecided, ≥ a lower bound.
```

"best" is the largest factor of those that help, with its 95 % interval by itself; the largest of many is likely to be
lucky as well.

"""

CLAIMS = """\
# The claims of the source

What is claimed of TCE where it comes from (ForTIFAI, [arXiv 2509.08972](https://arxiv.org/abs/2509.08972)), and what is
found here, by `tce claims`. Each claim is probed in settings for which theory says beforehand what to expect: where TCE
should do well, where it should do nothing, and where harm. Every number comes from a command, which prints it again;
what is in square brackets is a 95 % interval. What a number says to a claim follows from it by rule:

- **yes**: the whole interval is above 1, or what else the claim asks for;
- **harm**: it is below 1; **no effect**: it has 1 in it, and is within a tenth of 1;
- **short of it**: it is below what the claim asks for, but no harm;
- **no**: the claim asks for something else than a factor, and this is not it;
- **undecided**: the interval is too wide to say.

A claim *holds* if all settings that are decided say yes, *does not hold at this scale* if none does, and else *only* in
those that are listed.

"""

COMMANDS = """\
Without `--json` they print tables to read, with it the very numbers of this page, in the places that are named: keys,
places in lists, and `key=value` for the entry of a list that has it.
"""


def markdown_table(rows: list[dict[str, str]]) -> str:
    """Return `rows`, which all have the same keys, as a Markdown table."""
    columns = list(rows[0])
    heads = [column.replace("_", " ").capitalize() for column in columns]
    lines = [heads, ["---"] * len(columns)]
    lines += [[row[column].replace("|", r"\|") for column in columns] for row in rows]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def missing_from_reference() -> set[str]:
    """Return the public names that the reference does not list."""
    listed = re.findall(r"^   (\w+)$", (DOCS / "reference.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {name for name in tce_theory.__all__ if not name.startswith("_")} - set(listed)


def theorems_page() -> str:
    """Return the table of theorems, and below it what each of them says."""
    every = theorems.every().values()
    parts = [THEOREMS + markdown.overview(every, lambda theorem: f"#{theorem.slug}")]
    for theorem in every:
        says = markdown.linked(markdown.statement(theorem, "{{py:func}}`~{}`".format), "#{}".format)
        parts.append(f"({theorem.slug})=\n## {theorem.title}\n\n`{theorem.slug}`\n\n{says}")
        parts.append(f"**Derivation.** `{theorem.proof}`")
    return "\n\n".join(parts) + "\n"


def claims_page() -> str:
    """Return what is found of the claims of the source."""
    report = claims.evaluate(ask)
    commands = list(dict.fromkeys(probe.command for claim in report.claims for probe in claim.probes if probe.command))
    parts = [CLAIMS + markdown_table([_in_short(report, claim) for claim in report.claims])]
    for claim in report.claims:
        parts.append(f"(claim-{claim.name})=\n## {claim.statement.rstrip('.')}")
        parts.append(f"In the source: {claim.place}. Here the claim holds where {claim.reading}.")
        parts.append("\n".join(_verdict(report, claim)))
        parts.append(markdown_table([_finding(item, commands) for item in report.findings[claim.name]]).rstrip())
    parts.append("## How to read the numbers\n\n" + "\n".join(f"- {line}" for line in (*report.summary, *claims.NOTES)))
    parts.append("## Commands\n\n" + COMMANDS)
    parts += [_command(report, number, text) for number, text in enumerate(commands, 1)]
    return "\n\n".join(parts) + "\n"


def _in_short(report: claims.Report, claim: claims.Claim) -> dict[str, str]:
    untested = sum(item.outcome == claims.UNTESTED for item in report.findings[claim.name])
    rest = f"; {untested} not tested yet" if untested else ""
    return {"claim": f"[{claim.statement}](#claim-{claim.name})", "verdict": report.verdict(claim) + rest}


def _verdict(report: claims.Report, claim: claims.Claim) -> list[str]:
    holds, fails, unknown = report.conditions(claim)
    lines = [f"**Verdict: {report.verdict(claim)}.**\n"]
    for label, items in (("Yes", holds), ("Not", fails), ("Not known", unknown)):
        lines += [f"- {label}: {'; '.join(items)}."] if items else []
    return lines


def _command(report: claims.Report, number: int, text: str) -> str:
    every = [item for items in report.findings.values() for item in items if item.probe.command == text]
    places = dict.fromkeys(f"- `{item.probe.path}`: {item.probe.measured}" for item in every)
    # so that a printed page has all of it
    lines = textwrap.wrap(text, 80, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
    shown = " \\\n".join(lines)
    return f"(command-{number})=\n**{number}**\n```text\n{shown}\n```\n" + "\n".join(places)


def _finding(item: claims.Finding, commands: list[str]) -> dict[str, str]:
    probe = item.probe
    slug = f" ([`{probe.slug}`](#{probe.slug}))" if probe.slug else ""
    number = commands.index(probe.command) + 1 if probe.command else 0
    return {
        "setting: what is measured": item.name,
        "expected": f"{probe.expected}: {probe.because}{slug}",
        "found": item.shown,
        "for the claim": f"**{item.outcome}**" + ("" if item.is_as_expected else ", not as expected"),
        "command": f"[{number}](#command-{number})" if number else "–",
    }


def reference_map_page(found: ExtensionMap) -> str:
    """Write what `tce map reference --json` found, which is recorded beside the documentation."""
    table = [
        {
            "setting": setting,
            "until": criterion,
            "best": _best(entries),
            **{verdict: str(sum(entry.verdict == verdict for entry in entries)) for verdict in VERDICTS},
        }
        for (setting, criterion), entries in found.rows.items()
    ]
    reached = found.reaching(REACHED)
    prices = [
        {
            "setting": f"{entry.setting}, n = {entry.n_samples:,}, γ = {entry.gamma:.4g}",
            "until": entry.criterion,
            "factor": entry.factor,
            "harmed in the same cell": "; ".join(f"{other.criterion}: {other.ratio:.2f}" for other in harmed) or "–",
        }
        for entry, harmed in reached
    ]
    unpaid = sum(not harmed for _, harmed in reached)
    tail = f"{len(reached)} entries; in {unpaid} of them no criterion that was looked at is harmed."
    head = MAP.format(found=found, significance=100 * found.significance)
    reached_head = "## Where 2.3 is reached, and at what price"
    return "\n\n".join([head + markdown_table(table), reached_head, tail, markdown_table(prices)])


def replication_page(folder: Path) -> str:
    """Write the report of the studies that come with the library; their pictures go to the folder."""

    def draw(_: int, study: Study, name: str) -> str | None:
        figure = getattr(pictures, f"{name}_figure")(study)
        return None if figure is None else save(figure, folder / f"{Path(study.store).stem}_{name}.png").name

    return replication.page(draw)


def recorded_map() -> ExtensionMap:
    """Return the reference map as it was recorded."""
    recorded = json.loads(REFERENCE_MAP.read_text(encoding="utf-8"))
    entries = tuple(MapEntry(**entry) for entry in recorded.pop("entries"))
    return ExtensionMap(entries=entries, **recorded)


def _best(entries: list[MapEntry]) -> str:
    largest = best(entries)
    return "–" if largest is None else f"{largest.factor} at n = {largest.n_samples:,}, γ = {largest.gamma:.4g}"


def main() -> None:
    """Write docs/generated; end with an error if the reference lacks a public name."""
    if missing := missing_from_reference():
        sys.exit("docs/reference.md does not list " + ", ".join(sorted(missing)))
    generated = DOCS / "generated"
    generated.mkdir(exist_ok=True)
    reference_map = recorded_map()
    save(extension_map(reference_map), generated / "reference_map.png")
    pages = {
        "claims.md": claims_page(),
        "reference_map.md": reference_map_page(reference_map),
        "compatibility.md": "\n\n".join(
            [COMPATIBILITY + markdown_table(compatibility_table()), "## Decoding", markdown_table(decoding_table())]
        ),
        "theorems.md": theorems_page(),
        "replication.md": replication_page(generated),
    }
    for name, text in pages.items():
        (generated / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
