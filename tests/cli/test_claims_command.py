"""``tce claims``: that its numbers are those of its commands, and what it prints."""

import json
import shlex
import subprocess
import sys
from dataclasses import replace

import pytest

from tce_theory import claims as library
from tce_theory.claims import CLAIMS, evaluate
from tce_theory.cli import claims as command


def at(document, path):
    """Return what is at a place of JSON."""
    for part in path.split("/"):
        if "=" in part:
            wanted = dict(pair.split("=", 1) for pair in part.split("&"))
            (document,) = [entry for entry in document if all(str(entry[key]) == wanted[key] for key in wanted)]
        else:
            document = document[int(part) if isinstance(document, list) else part]
    return document


def check(finding, document):
    """Assert that a finding, as JSON has it, is what a command prints."""
    value = at(document, finding["path"])
    number, low, high = (value["ratio"], value["low"], value["high"]) if isinstance(value, dict) else (value,) * 3
    assert (finding["number"], finding["low"]) == (number, low)
    assert finding["high"] == ("Infinity" if finding["is_lower_bound"] else high)
    assert finding["shown"].removeprefix("≥ ").startswith(f"{number:#.3g}".rstrip("."))


def quick_claims():
    """The claims with the probes alone whose commands take less than half a second."""
    quick = ("tce theory", "--probs 0.9,0.1")
    for claim in CLAIMS:
        probes = tuple(probe for probe in claim.probes if any(part in probe.command for part in quick))
        if probes:
            yield replace(claim, probes=probes)


def test_numbers_are_those_of_the_commands(succeed):
    document = evaluate(command.ask, list(quick_claims())).to_dict()
    report = json.loads(json.dumps(document).replace("Infinity", '"Infinity"'))
    findings = [finding for claim in report["claims"] for finding in claim["findings"]]
    assert len({finding["command"] for finding in findings}) == 3
    for finding in findings:
        check(finding, succeed(*shlex.split(finding["command"])[1:], "--json").json)


@pytest.mark.slow
def test_all_numbers_are_those_of_the_commands(succeed):
    report = succeed("claims", "--json").json
    documents = {}
    for claim in report["claims"]:
        for finding in claim["findings"]:
            if line := finding["command"]:
                if line not in documents:
                    documents[line] = succeed(*shlex.split(line)[1:], "--json").json
                check(finding, documents[line])
    assert len(documents) == 23
    # what theory says of the settings: most of it, and all of it where the number is exact; of networks it says little
    tested = [finding for claim in report["claims"] for finding in claim["findings"] if finding["command"]]
    tested = [finding for finding in tested if finding["kind"] not in ("studied", "")]
    unexpected = [finding for finding in tested if finding["outcome"] != finding["expected"]]
    assert all(finding["kind"] == "simulated" for finding in unexpected)
    assert len(unexpected) < len(tested) / 4


@pytest.mark.slow
def test_a_command_can_be_pasted_into_a_shell():
    (line,) = {probe.command for claim in CLAIMS for probe in claim.probes if "0.99,0.01" in probe.command}
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {line}"], capture_output=True, text=True, check=True).stdout
    assert words.splitlines() == shlex.split(line)
    shown = subprocess.run(
        [sys.executable, "-m", "tce_theory.cli", *shlex.split(line)[1:], "--json"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert json.loads(shown.stdout)["factor"]["ratio"] == command.ask(line)["factor"]["ratio"]


def test_the_report(succeed, monkeypatch):
    ratio = {"ratio": 0.5, "low": 0.4, "high": 0.625, "is_lower_bound": False, "is_restricted": False}
    answer = {"factor": ratio, "is_exact": False, "rows": [{"extension_law": 1.155}]}
    answer["candidates"] = [{"value": 0.2, "factor": ratio, "is_exact": False}]
    answer["functions"] = {"extension_law": {"status": "diffusion limit"}}
    asked = []
    recorded = command.ask("tce report")
    monkeypatch.setattr(
        command, "ask", lambda line: asked.append(line) or (recorded if line == "tce report" else answer)
    )
    shown = succeed("claims", "factor").out
    assert "claim: TCE lets fidelity last more than 2.3 times as long. (factor)" in shown
    assert "0.500 [0.400, 0.625]" in shown
    assert "harm *" in shown
    assert "verdict: does not hold at this scale" in shown
    assert [line.partition("] ")[2] for line in shown.splitlines() if line.startswith("[")] == asked
    document = succeed("claims", "factor", "--json").json
    (claim,) = document["claims"]
    assert claim["verdict"] == "does not hold at this scale"
    assert len(claim["findings"]) == len(library.named(["factor"])[0].probes)


def test_wrong_name(run):
    outcome = run("claims", "dely")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("tce claims: claim must be one of delay, variance,")
    assert len(outcome.err.splitlines()) == 1


def test_a_command_that_fails_is_no_finding(monkeypatch):
    monkeypatch.setattr(command, "main", lambda arguments: 2)
    with pytest.raises(RuntimeError, match="tce demo ended with exit code 2"):
        command.ask("tce demo")


def test_an_interrupted_command_interrupts(monkeypatch):
    monkeypatch.setattr(command, "main", lambda arguments: 130)
    with pytest.raises(KeyboardInterrupt):
        command.ask("tce demo")
