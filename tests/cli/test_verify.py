"""``tce verify``."""

import pytest

from tce_theory.verification import checks
from tce_theory.verification.checks import Check


def test_a_theorem(succeed):
    out = succeed("verify", "cap-bias", "--jobs", "1").out
    assert "cap-bias" in out
    assert "all hold, and every control is rejected" in out


def test_json(succeed):
    report = succeed("verify", "cap-bias", "--jobs", "1", "--json").json
    assert report["passed"] is True
    assert {item["slug"] for item in report["evidence"]} == {"cap-bias"}
    assert all(item["control"]["rejected"] for item in report["evidence"])


def test_controls_are_shown_on_demand(succeed):
    assert ": rejected" not in succeed("verify", "cap-bias", "--jobs", "1").out
    assert "rejected" in succeed("verify", "cap-bias", "--jobs", "1", "--controls").out


def test_html(succeed, tmp_path):
    page = tmp_path / "report.html"
    succeed("verify", "cap-bias", "--jobs", "1", "--html", page)
    assert "cap-bias" in page.read_text(encoding="utf-8")


@pytest.fixture
def broken(monkeypatch):
    """Put a check in place whose claim is wrong."""

    def wrong(study):
        study.instances("1 = 2", [1.0], [2.0], [3.0], change="3", setting="arithmetic")

    monkeypatch.setattr(checks, "every", lambda: (Check("cap-bias", "wrong", wrong),))
    monkeypatch.setattr("tce_theory.verification.every", checks.every)


@pytest.mark.usefixtures("broken")
def test_a_failure_has_exit_code_1_and_says_how_to_reproduce_it(run):
    outcome = run("verify", "cap-bias", "--jobs", "1", "--seed", "7")
    assert outcome.code == 1
    assert "FAILED" in outcome.out
    assert 'import tce_theory as tce; print(tce.verify("cap-bias", effort="quick", seed=7))' in outcome.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["cap-bia"], "tce verify: slug must be that of a theorem (did you mean cap-bias?), got 'cap-bia'"),
        (["--effort", "slow"], "tce verify: --effort must be one of 'quick', 'full', got 'slow'"),
        (["--seed", "x"], "tce verify: --seed must be an integer of at least 0, got 'x'"),
        (["--jobs", "0"], "tce verify: --jobs must be a positive integer, or -1 for all processors, got 0"),
        (["--html", "x.pdf"], "tce verify: --html must be a file that ends in .html, got 'x.pdf'"),
    ],
)
def test_bad_input(run, arguments, message):
    outcome = run("verify", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(message)
