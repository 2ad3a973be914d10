"""Each way of comparing accepts what is right, rejects what is wrong, and says when it cannot tell."""

import json

import numpy as np
import pytest

import tce_theory as tce
from tce_theory import theorems, verification
from tce_theory.verification import checks
from tce_theory.verification.estimates import mean_of
from tce_theory.verification.evidence import LEAST_POWER
from tce_theory.verification.study import BUDGET, MOST_CLAIMS, Study

WHERE = {"change": "5 % more", "setting": "numbers"}


@pytest.fixture
def study():
    return Study("gaussian-ce-law", "example")


def only(study):
    (evidence,) = study.evidence
    return evidence


def normals(mean, size, seed=1):
    return mean + np.random.default_rng(seed).standard_normal(size)


# --- equivalence ---


def test_equal_accepts_the_truth_and_rejects_the_control(study):
    study.equal("mean", mean_of(normals(1.0, 10**6)), 1.0, 1.05, size=10**6, **WHERE)
    evidence = only(study)
    assert (evidence.verdict, evidence.control.rejected, evidence.passed) == ("holds", True, True)
    assert evidence.control.power > LEAST_POWER
    assert evidence.low < evidence.observed < evidence.high
    assert 2 * evidence.error * MOST_CLAIMS == pytest.approx(BUDGET)


def test_equal_rejects_what_is_wrong(study):
    study.equal("mean", mean_of(normals(1.05, 10**6)), 1.0, 1.05, size=10**6, **WHERE)
    evidence = only(study)
    assert evidence.verdict == "fails"
    assert not evidence.control.rejected
    assert not evidence.passed


def test_equal_is_imprecise_with_too_few_replicates(study):
    study.equal("mean", mean_of(normals(1.0, 1000)), 1.0, 1.05, size=1000, **WHERE)
    evidence = only(study)
    assert (evidence.verdict, evidence.control.power, evidence.passed) == ("imprecise", 0.0, False)


# --- pathwise ---


def test_everywhere(study):
    slack = np.random.default_rng(1).random((1000, 5))
    study.everywhere("x ≥ 0", slack, slack - 0.05, **WHERE)
    evidence = only(study)
    assert evidence.passed
    assert evidence.observed == slack.min()
    assert evidence.size == 5000


def test_one_exception_fails(study):
    slack = np.ones((1000, 5))
    slack[500, 3] = -1e-6
    study.everywhere("x ≥ 0", slack, slack - 2, **WHERE)
    assert only(study).verdict == "fails"


def test_a_control_without_exceptions_is_not_rejected(study):
    study.everywhere("x ≥ 0", np.ones((10, 5)), np.ones((10, 5)), **WHERE)
    evidence = only(study)
    assert (evidence.verdict, evidence.control.rejected, evidence.control.power) == ("holds", False, 0.0)
    assert not evidence.passed


def test_a_control_that_is_seldom_rejected_has_too_little_power(study):
    wrong = np.ones((1000, 5))
    wrong[0, 0] = -1.0
    study.everywhere("x ≥ 0", np.ones((1000, 5)), wrong, **WHERE)
    evidence = only(study)
    assert evidence.control.rejected
    assert evidence.control.power < LEAST_POWER
    assert not evidence.passed


# --- instances ---


def test_instances(study):
    found = 1 + np.random.default_rng(1).random(100)
    study.instances("x", found * (1 + 1e-12), found, 1.05 * found, **WHERE)
    evidence = only(study)
    assert evidence.passed
    assert evidence.observed == pytest.approx(1e-12, rel=0.1)
    assert evidence.control.power == 1.0


def test_instances_fail_beyond_rounding(study):
    found = np.ones(100)
    predicted = found.copy()
    predicted[7] = 1.001
    study.instances("x", found, predicted, 1.05 * found, **WHERE)
    assert only(study).verdict == "fails"


def test_zero_equals_zero(study):
    study.instances("x", np.zeros(3), np.zeros(3), np.ones(3), **WHERE)
    assert only(study).passed


# --- counterexamples and limits ---


def test_counterexample(study):
    study.counterexample("bound", [-0.5, 1.0], [0.1, 1.0], hypothesis="x > 0", setting="numbers")
    assert only(study).passed


@pytest.mark.parametrize(("slack", "with_it"), [([0.5, 1.0], [0.1, 1.0]), ([-0.5, 1.0], [-0.1, 1.0])])
def test_no_counterexample(study, slack, with_it):
    study.counterexample("bound", slack, with_it, hypothesis="x > 0", setting="numbers")
    assert not only(study).passed


@pytest.mark.parametrize(("order", "passes"), [(0.5, True), (1.0, False)])
def test_limit(study, order, passes):
    sizes = [100, 1000, 10_000]
    values = [2 + 3 / np.sqrt(n) + 1 / n for n in sizes]
    study.limit("value", sizes, values, 2.0, 2.1, order=order, **WHERE)
    evidence = only(study)
    assert evidence.passed is passes
    assert evidence.observed == pytest.approx(0.5, abs=0.02)
    assert evidence.control.predicted < 0.2


def test_a_wrong_limit_fails(study):
    sizes = [100, 1000, 10_000]
    study.limit("value", sizes, [2 + 3 / np.sqrt(n) for n in sizes], 2.1, 2.0, order=0.5, **WHERE)
    assert only(study).verdict == "fails"


# --- random numbers ---


def test_streams_are_keyed_by_seed_slug_and_check():
    first = Study("a", "b").generator().random(3)
    np.testing.assert_array_equal(first, Study("a", "b").generator().random(3))
    for other in (Study("a", "c"), Study("b", "b"), Study("a", "b", seed=1)):
        assert not np.array_equal(first, other.generator().random(3))


def test_successive_streams_differ(study):
    assert not np.array_equal(study.generator().random(3), study.generator().random(3))


# --- the whole ---


def test_every_theorem_is_checked():
    assert {check.slug for check in checks.every()} == set(theorems.every())


def test_names_of_checks_are_unique():
    names = [(check.slug, check.name) for check in checks.every()]
    assert len(names) == len(set(names))


def test_results_do_not_depend_on_the_number_of_processes():
    """But for the last bits of linear algebra, which depend on its threads."""
    one, two = (tce.verify(["gaussian-w2", "cap-bias"], n_jobs=n_jobs) for n_jobs in (1, 2))
    assert len(one.evidence) == len(two.evidence)
    for first, second in zip(one.evidence, two.evidence, strict=True):
        assert (first.quantity, first.verdict, first.size) == (second.quantity, second.verdict, second.size)
        assert first.observed == pytest.approx(second.observed, rel=1e-12, abs=1e-10)


@pytest.mark.slow
def test_the_whole_verifier():
    """Every theorem holds, and is shown to fail without some hypothesis."""
    report = tce.verify(n_jobs=-1)
    assert report.passed, str(report.failures)
    assert {item.slug for item in report.evidence if item.kind == "counterexample"} == set(theorems.every())


def test_report():
    report = tce.verify("cap-bias")
    assert report.passed
    assert not report.failures
    assert json.loads(json.dumps(report.to_json(), allow_nan=False))["passed"] is True
    assert "cap-bias" in str(report)
    assert "all hold, and every control is rejected" in report.summary
    page = report.to_html()
    assert page.startswith("<!DOCTYPE html>")
    assert "http" not in page.replace("http-equiv", "")


def test_one_failure_fails_the_report():
    study = Study("cap-bias", "example")
    study.instances("x", np.ones(3), 2 * np.ones(3), 3 * np.ones(3), **WHERE)
    report = verification.VerificationReport(tuple(study.evidence), "quick", 0, 1.0)
    assert not report.passed
    assert report.failures == tuple(study.evidence)
    assert "1 FAIL" in report.summary
    assert "class=failed" in report.to_html()


def test_a_check_that_raises_fails_its_theorem_and_no_other(monkeypatch):
    def raises(study):
        raise ZeroDivisionError("no")

    cap_bias = tuple(check for check in checks.every() if check.slug == "cap-bias")
    monkeypatch.setattr(verification, "every", lambda: (checks.Check("gaussian-w2", "raises", raises), *cap_bias))
    report = tce.verify(n_jobs=1)
    (failure,) = report.failures
    assert (failure.slug, failure.quantity, failure.setting) == ("gaussian-w2", "raises raised ZeroDivisionError", "no")
    assert len(report.evidence) > 1
    assert "NaN" not in str(report.to_html())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"slugs": "cap-bia"}, "did you mean cap-bias"),
        ({"effort": "slow"}, "effort must be one of 'quick', 'full'"),
        ({"seed": -1}, "seed must be an integer of at least 0"),
        ({"n_jobs": 0}, "n_jobs must be a positive integer, or -1 for all processors, got 0"),
    ],
)
def test_bad_arguments(arguments, message):
    with pytest.raises(tce.DomainError, match=message):
        tce.verify(**arguments)
