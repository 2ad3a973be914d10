"""The claims of the source: the rules that make verdicts of numbers, and what the texts say of the settings."""

import importlib.util
import math
import shlex
from collections import Counter
from pathlib import Path

import pytest

import tce_theory as tce
from tce_theory import claims
from tce_theory.claims import CLAIMS, OUTCOMES, UNTESTED, Claim, Finding, Probe, evaluate, judge, named, verdict

PROBES = [probe for claim in CLAIMS for probe in claim.probes]
COMMANDS = list(dict.fromkeys(probe.command for probe in PROBES if probe.command))


def factor(ratio, low, high, **more):
    return {"ratio": ratio, "low": low, "high": high, "is_lower_bound": False, "is_restricted": False} | more


def probe(command="tce x", **more):
    settings = {"where": "a coin", "measured": "until it falls", "expected": "yes", "because": "it does"}
    return Probe(**settings | more, command=command)


def claim(*probes, name="coin"):
    return Claim(name=name, statement="Coins fall.", place="here", reading="above 1", probes=probes)


@pytest.mark.parametrize(
    ("asks", "bar", "limits", "outcome"),
    [
        ("above", 1, (1.01, 1.05), "yes"),
        ("above", 1, (1.0, 1.0), "no effect"),
        ("above", 1, (0.91, 1.1), "no effect"),
        ("above", 1, (0.89, 1.05), "undecided"),
        ("above", 1, (0.95, 1.12), "undecided"),
        ("above", 1, (0.97, 0.99), "harm"),
        ("above", 2.3, (2.31, 3.0), "yes"),
        ("above", 2.3, (1.01, 1.05), "short of it"),
        ("above", 2.3, (0.8, 2.2), "short of it"),
        ("above", 2.3, (0.95, 1.05), "no effect"),
        ("above", 2.3, (0.5, 0.9), "harm"),
        ("above", 2.3, (1.9, 2.6), "undecided"),
        ("above", 2.3, (1.9, math.inf), "undecided"),
        ("equal", 0, (1e-10, 1e-10), "yes"),
        ("equal", 0, (-0.01, -0.01), "no"),
        ("equal", 0, (0.01, 0.01), "no"),
        ("equal", 0, (-0.01, 0.02), "undecided"),
        ("not above", 1, (0.5, 1.0), "yes"),
        ("not above", 1, (1.1, 1.2), "no"),
        ("not above", 1, (0.9, 1.2), "undecided"),
    ],
)
def test_what_an_interval_says(asks, bar, limits, outcome):
    assert judge(asks, bar, *limits) == outcome


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        (["yes", "yes", UNTESTED], "holds"),
        (["yes", "undecided"], "holds"),
        (["yes", "harm", "no effect", "undecided", UNTESTED], "holds only in 1 of 3 settings"),
        (["harm", "short of it", "no"], "does not hold at this scale"),
        (["undecided", UNTESTED], "undecided"),
        ([UNTESTED], UNTESTED),
    ],
)
def test_verdict_follows_from_outcomes(outcomes, expected):
    assert verdict([Finding(probe=probe(), outcome=outcome) for outcome in outcomes]) == expected


def test_numbers_are_taken_from_their_places_and_each_command_runs_once():
    asked = []

    def ask(command):
        asked.append(command)
        if command == "tce t":
            return {"rows": [{"drift": -0.25}], "functions": {"drift": {"status": "numerical"}}}
        return {
            "factor": factor(8.0, 7.0, 9.0, is_lower_bound=True, is_restricted=True),
            "is_exact": True,
            "rivals": [
                {"value": 0.1, "is_exact": False, "factor": factor(1.3, 1.1, 1.5)},
                {"value": 0.2, "is_exact": True, "factor": factor(0.5, 0.5, 0.5, is_restricted=True, horizon=2000.0)},
            ],
        }

    report = evaluate(
        ask,
        [
            claim(probe(), probe(path="rivals/value=0.2/factor"), probe(path="rivals/0/factor")),
            claim(probe(command="tce t", path="rows/0/drift", asks="equal"), probe(), probe(command=""), name="other"),
        ],
    )
    assert asked == ["tce x", "tce t"]
    bound, restricted, simulated = report.findings["coin"]
    assert (bound.shown, bound.kind, bound.high, bound.horizon) == ("≥ 8.00 exact", "exact", math.inf, None)
    assert (restricted.shown, restricted.outcome) == ("0.500 exact", "harm")
    assert restricted.name == "a coin: until it falls (within 2,000 generations)"
    assert (simulated.shown, simulated.kind) == ("1.30 [1.10, 1.50]", "simulated")
    drift, again, untested = report.findings["other"]
    assert (drift.shown, drift.outcome, drift.is_as_expected) == ("-0.250 numerical", "no", False)
    assert again == bound
    assert (untested.shown, untested.outcome) == ("–", UNTESTED)
    assert report.conditions(report.claims[0])[1] == (f"{restricted.name} (harm)",)


def test_outcomes_that_chance_may_have_made_are_named():
    limits = [(1.001, 1.21), (1.5, 1.6), (0.2, 0.4)]
    answers = {
        f"tce {k}": {"factor": factor(math.sqrt(a * b), a, b), "is_exact": False} for k, (a, b) in enumerate(limits)
    }
    report = evaluate(answers.__getitem__, [claim(*(probe(command=command) for command in answers))])
    assert [item.probe.command for item in report.shaky] == ["tce 0"]
    assert "1 of the outcomes would be another one: a coin" in report.summary[1]


def test_a_wrong_name_is_refused():
    with pytest.raises(tce.DomainError, match=r"claim must be one of delay, .*, got 'dely'"):
        named(["factor", "dely"])


# ------------------------------------------------------------------------------------------------- the claims


def test_every_claim_has_settings_in_which_it_is_expected_to_hold_to_do_nothing_and_to_harm():
    for item in CLAIMS:
        expected = Counter(one.expected for one in item.probes)
        assert expected["yes"], item.name
        assert expected["no effect"], item.name
        assert expected["harm"], item.name


def test_probes_are_complete():
    assert len({item.name for item in CLAIMS}) == len(CLAIMS) == 5
    for item in PROBES:
        assert item.expected in OUTCOMES
        assert (item.expected == UNTESTED) == (not item.command), item.name
        if item.command == "tce report":  # of what is recorded; not all of it rests on a theorem
            assert item.slug is None or item.slug in tce.theorems.every(), item.name
        elif item.command:
            assert item.slug in tce.theorems.every(), item.name
            assert shlex.split(item.command)[0] == "tce"
            assert "--seed 1" in item.command or shlex.split(item.command)[1] == "theory"
    for item in CLAIMS:
        places = [(one.command, one.path, one.where) for one in item.probes]
        assert len(places) == len(set(places))


def test_thresholds_in_commands_are_those_of_theory():
    from tce_theory.theory import truncated

    gammas = {float(value) for command in COMMANDS for value in _option(command, "--gammas").split(",") if value}
    radii = [truncated.mean_critical_radius(100), truncated.log_critical_radius(100)]
    for radius in radii:
        assert min(abs(truncated.relative_gamma(radius) - gamma) for gamma in gammas) < 1e-9
    (given,) = {_option(command, "--a") for command in COMMANDS} - {""}
    assert float(given) == pytest.approx(radii[0], rel=1e-9)
    (width,) = {_option(command, "--b") for command in COMMANDS} - {""}
    assert float(width) == pytest.approx(math.log(2), rel=1e-8)


def test_numbers_in_reasons_are_true():
    from tce_theory.theory import categorical, truncated, wall

    said = {item.because for item in PROBES}

    def says(*parts):
        return any(all(part in text for part in parts) for text in said)

    walls = {gamma: wall.critical_std(gamma) for gamma in (0.5, 0.85)}
    assert says(f"σ = {walls[0.5]:.2f}".replace("0.", "."), f"ends at {0.5**0.5:.2f}".replace("0.", "."))
    assert says(f"σ = {walls[0.85]:.2f}".replace("0.", "."))
    assert says(f"factor is {wall.wall_extension(math.log(2), -2 * math.log(walls[0.5])):.1f}")
    zipf = tce.Categorical.zipf(100)
    assert says(f"{zipf.peak():.2f}".replace("0.", "."))
    assert categorical.surviving_classes_floor(0.1) == 10
    assert 0.5 < categorical.entropy_floor(0.1) / zipf.measure("entropy", zipf) < 0.75
    assert says("ten classes", "50 %")
    assert round(truncated.expected_masked(truncated.relative_radius(0.99), 100)) == 11
    assert says("eleven points of a hundred")
    assert truncated.extension_law(math.log(9.4)) < 2.3 < truncated.extension_law(math.log(9.5))
    words = tce.Categorical.from_text(_standard_text())
    assert 0.078 > words.peak() > 0.078 / 1.2
    assert says("3,600 words")
    assert words.probs.size == pytest.approx(3600, rel=0.1)


def _standard_text():
    from tce_theory.models.text import standard_text

    return standard_text()


def _option(command, name):
    arguments = shlex.split(command)
    return arguments[arguments.index(name) + 1] if name in arguments else ""


# ------------------------------------------------------------------------------------------------- the page


def test_the_page_has_verdicts_numbers_and_commands(monkeypatch):
    path = Path(__file__).parents[2] / "docs" / "generate.py"
    monkeypatch.syspath_prepend(path.parent)
    spec = importlib.util.spec_from_file_location("generate_docs", path)
    generate = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(generate)
    item = claim(probe(command="tce a | b", slug="cap-bias"), probe(command="", expected=UNTESTED))
    monkeypatch.setattr(claims, "CLAIMS", (item,))
    monkeypatch.setattr(generate, "ask", lambda command: {"factor": factor(0.5, 0.4, 0.625), "is_exact": False})
    page = generate.claims_page()
    assert "| [Coins fall.](#claim-coin) | does not hold at this scale; 1 not tested yet |" in page
    assert "**Verdict: does not hold at this scale.**" in page
    assert "| 0.500 [0.400, 0.625] | **harm**, not as expected | [1](#command-1) |" in page
    assert "[`cap-bias`](#cap-bias)" in page
    assert "(command-1)=\n**1**\n```text\ntce a | b\n```\n- `factor`: until it falls" in page
    assert "| **not tested yet** | – |" in page


def test_the_page_of_the_replication_says_what_is_recorded(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "docs")
    import replication

    page = replication.page(lambda *_: None)
    assert page.index("## Verdicts") < page.index("## In short") < page.index("### Over thresholds")
    assert page.count("\n- **") > 8
    core = replication.studies()["replication"]
    entry = core.entry(replication.REPLACED, "random mask")
    assert f"{entry.shown}, and cross entropy with steps as long" in page
    # a sentence that the record contradicts ends it
    with pytest.raises(SystemExit, match="is said to be yes, not harm"):
        replication.factor(core, replication.REPLACED, "TCE γ = .3", "yes")
