"""Derivations are run cell by cell; a step that fails, or a claim that is left out, is a failure."""

import sys
from pathlib import Path

import pytest
import sympy as sp

from tce_theory import theorems

PROOFS = Path(__file__).parents[2] / "proofs"
SAMPLE = ("tail-inflation", "tce-gradient", "head-identity", "cap-bias", "golden-mix")
"""A few quick ones; the others run in `make test-slow` and `make proofs`."""


@pytest.fixture(scope="module", autouse=True)
def on_path():
    sys.path.insert(0, str(PROOFS))
    yield
    sys.path.remove(str(PROOFS))


@pytest.fixture
def booklet():
    import booklet

    return booklet


@pytest.fixture
def checking():
    import checking

    return checking


slugs = [pytest.param(slug, marks=() if slug in SAMPLE else pytest.mark.slow, id=slug) for slug in theorems.every()]


@pytest.mark.parametrize("slug", slugs)
def test_derivation(booklet, slug):
    outcome = booklet.run(slug)
    assert outcome.failure == ""
    assert outcome.seconds < booklet.MOST_SECONDS
    assert any(cell.printed.startswith("✓") for cell in outcome.cells)


# --- the checks can fail ---

x = sp.Symbol("x", positive=True)


def test_zero(checking):
    checking.zero((x + 1) ** 2 - x**2 - 2 * x - 1)
    with pytest.raises(AssertionError, match="not shown to be 0"):
        checking.zero((x + 1) ** 2 - x**2 - 2 * x)


def test_equal(checking):
    assert checking.equal(sp.sin(x) ** 2, 1 - sp.cos(x) ** 2).lhs == sp.sin(x) ** 2
    with pytest.raises(AssertionError, match="not shown to be equal"):
        checking.equal(sp.sin(x), x)


def test_holds(checking):
    checking.holds(x + 1 > 0, "positive")
    for undecided in (x > 1, x < 0):
        with pytest.raises(AssertionError, match="not decided"):
            checking.holds(undecided, "wrong")


def inflation(factor=1, name="a"):
    a = sp.Symbol(name, positive=True)
    return sp.Eq(
        sp.Function("eta")(a), 1 + factor * a * sp.sqrt(2 / sp.pi) * sp.exp(-(a**2) / 2) / sp.erfc(a / sp.sqrt(2))
    )


def test_states(checking):
    checking.states("tail-inflation", "factor", inflation())
    with pytest.raises(AssertionError, match="registered"):
        checking.states("tail-inflation", "factor", inflation(sp.Rational(101, 100)))
    with pytest.raises(AssertionError, match="registered"):
        checking.states("tail-inflation", "factor", inflation(name="b"))
    with pytest.raises(AssertionError, match="GreaterThan derived, Equality registered"):
        checking.states("tail-inflation", "factor", sp.Ge(*inflation().args))
    with pytest.raises(AssertionError, match="has no relation"):
        checking.states("tail-inflation", "growth", inflation())


def test_agrees(checking):
    where = {"a": (0.0, 3.0)}
    checking.agrees("theory.truncated.tail_inflation", inflation().rhs, where=where)
    with pytest.raises(AssertionError, match="derived"):
        checking.agrees("theory.truncated.tail_inflation", inflation().rhs * (1 + sp.Rational(1, 10**11)), where=where)
    with pytest.raises(AssertionError, match="no range is given for a"):
        checking.agrees("theory.truncated.tail_inflation", inflation().rhs, where={})


# --- the booklet ---


def write(monkeypatch, tmp_path, booklet, text):
    monkeypatch.setattr(booklet, "HERE", tmp_path)
    (tmp_path / "tail-inflation.py").write_text(text, encoding="utf-8")
    return booklet.run("tail-inflation")


def test_cells_are_told_apart(booklet):
    cells = list(
        booklet.cells_of("# %% [markdown]\n# # Title\n#\n# prose\n\n# %%\nx = 1\nx\n\n# %%\n# comment\ny = 2\n")
    )
    assert [cell.is_prose for cell in cells] == [True, False, False]
    assert cells[0].source == "# Title\n\nprose"
    assert cells[2].source == "# comment\ny = 2"


def test_a_failing_step_is_reported_with_its_cell(monkeypatch, tmp_path, booklet):
    outcome = write(monkeypatch, tmp_path, booklet, "# %%\nx = 1\n\n# %%\nassert x == 2, 'no'\n\n# %%\nx = 3\n")
    assert len(outcome.cells) == 1
    assert "assert x == 2" in outcome.failure
    assert "AssertionError: no" in outcome.failure


def test_what_is_left_out_is_reported(monkeypatch, tmp_path, booklet):
    outcome = write(monkeypatch, tmp_path, booklet, "# %%\nx = 1\n")
    lines = outcome.failure.splitlines()
    assert "the derivation does not arrive at the claim 'factor'" in lines
    assert "the derivation is not held against tce_theory.theory.truncated.tail_inflation" in lines


def test_a_page_has_statement_checks_and_formulas(booklet):
    text = booklet.page(booklet.run("tail-inflation"))
    assert text.startswith("# Leaving out the centre")
    assert "**Status:** proved" in text
    assert "\n## Derivation\n" in text
    assert "*✓ the tail probability*" in text
    assert "$$\n\\eta" in text


def test_slow_and_failing_derivations_fail_the_build(booklet, capsys):
    good = booklet.Outcome("a", [], 1.0)
    assert booklet.report([good]) == 0
    assert booklet.report([good, booklet.Outcome("b", [], 61.0), booklet.Outcome("c", [], 1.0, "why")]) == 2
    out = capsys.readouterr().out
    assert "TOO SLOW" in out
    assert "FAILED\nwhy" in out


def test_displayed_formulas_stand_alone(booklet):
    assert booklet.displayed("so $$a = b$$, and") == "so\n\n$$\na = b,\n$$\n\nand"


def test_the_index_in_the_readme_is_that_of_the_registry(booklet):
    text = (PROOFS / "README.md").read_text(encoding="utf-8")
    assert booklet.with_index(text) == text, "make proofs brings it up to date"
