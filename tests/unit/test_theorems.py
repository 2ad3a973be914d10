"""The registry is complete, consistent, and tied to code, derivations and documentation."""

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

import pytest
import sympy as sp
from docutils.utils.math.latex2mathml import tex2mathml

import tce_theory as tce
from tce_theory import theorems
from tce_theory.theorems import Claim, Status, Theorem, markdown

PROOFS = Path(__file__).parents[2] / "proofs"
NO_DERIVATIONS = {"booklet", "checking"}
EVERY = list(theorems.every().values())

LEDGER = {
    "tce-gradient",
    "hinge-form",
    "entropy-identity",
    "mixture-entropy-identity",
    "poisson-rate-floor",
    "entropy-invariance",
    "head-identity",
    "head-certificate",
    "floor-on-average",
    "floor-interval",
    "focal-gradient",
    "capped-projection",
    "warm-degenerate",
    "support-floor",
    "literal-anticap",
    "idempotence",
    "gaussian-ce-law",
    "gaussian-w2",
    "tail-inflation",
    "scale-no-go",
    "critical-truncation",
    "relative-fixed-point",
    "density-floor",
    "density-wall",
    "wall-law",
    "wall-population",
    "extension-law",
    "wall-extension",
    "wright-fisher",
    "drift-interval",
    "tail-extinction",
    "two-class-persistence",
    "neutral-until-cap",
    "cap-bias",
    "tails-unprotected",
    "flat-gain",
    "fresh-mix",
    "accumulate",
    "accumulate-subsample",
    "golden-mix",
    "staged",
    "suresh-rates",
    "gaussian-tail-bounds",
    "mad-bias",
    "mean-wanders",
    "tabular-limit",
    "mode-seeking-limit",
    "shape-collapse",
}


def test_the_whole_ledger_is_registered():
    assert set(theorems.every()) == LEDGER


def test_slugs_are_unique():
    slugs = [theorem.slug for group in theorems.by_subject().values() for theorem in group]
    assert len(slugs) == len(set(slugs))


def test_every_theorem_has_its_derivation_and_every_derivation_its_theorem():
    derived = {path.stem for path in PROOFS.glob("*.py")} - NO_DERIVATIONS
    assert derived == set(theorems.every())


def test_derivations_use_only_what_comes_before_them():
    before = set()
    for theorem in EVERY:
        assert set(theorem.depends_on) <= before, theorem.slug
        before.add(theorem.slug)


@pytest.mark.parametrize("theorem", EVERY, ids=lambda theorem: theorem.slug)
def test_entry(theorem):
    assert theorem.claims
    assert theorem.hypotheses
    names = [claim.name for claim in theorem.claims]
    assert len(names) == len(set(names))
    for claim in theorem.claims:
        relation, function = claim.sympy_relation(), claim.load_function()
        assert relation is None or isinstance(relation, sp.core.relational.Relational), claim.name
        assert function is None or callable(function)


@pytest.mark.parametrize("theorem", EVERY, ids=lambda theorem: theorem.slug)
def test_formulas_can_be_typeset(theorem):
    text = markdown.statement(theorem)
    formulas = re.findall(r"\$\$(.+?)\$\$|\$(.+?)\$", text, flags=re.DOTALL)
    assert text.count("$") % 2 == 0
    for display, inline in formulas:
        tex2mathml(display or inline)


def modules():
    for module in pkgutil.walk_packages(tce.__path__, "tce_theory."):
        if not module.name.endswith("__main__"):
            yield importlib.import_module(module.name)


def docstrings():
    for module in modules():
        members = [item for _, item in inspect.getmembers(module) if getattr(item, "__module__", "") == module.__name__]
        for item in [module, *members]:
            yield getattr(item, "__name__", str(item)), inspect.getdoc(item) or ""


def test_slugs_in_docstrings_are_registered():
    mentioned = {}
    for name, text in docstrings():
        for line in re.findall(r"^Slugs? (`.*)$", text, flags=re.MULTILINE):
            mentioned |= dict.fromkeys(re.findall(r"`([a-z0-9-]+)`", line.partition(":")[0]), name)
    assert len(mentioned) > 20
    assert {slug: name for slug, name in mentioned.items() if slug not in theorems.every()} == {}


def closed_forms():
    for module in modules():
        if re.fullmatch(r"tce_theory\.theory\.[a-z]\w*", module.__name__):
            for name in module.__all__:
                if inspect.isfunction(getattr(module, name)):
                    yield f"{module.__name__}.{name}", getattr(module, name)


def test_every_closed_form_names_its_theorem():
    nameless = [name for name, form in closed_forms() if not re.search("^Slugs? `", inspect.getdoc(form), re.MULTILINE)]
    assert nameless == []


def test_what_is_documented_as_an_integer_is_annotated_as_one():
    # the command line reads from the annotation that a range is one of integers
    for name, form in closed_forms():
        for parameter in inspect.signature(form).parameters.values():
            documented = re.search(rf"^[\w, ]*\b{parameter.name}\b[\w, ]* : (.*)$", inspect.getdoc(form), re.MULTILINE)
            if documented and parameter.annotation in ("Any", "Integers"):
                is_integer = documented[1].startswith("int")
                assert (parameter.annotation == "Integers") == is_integer, f"{name}, {parameter.name}"


def test_a_claim_without_a_status_has_that_of_its_theorem():
    plain, refuted = Claim(name="a", statement="A."), Claim(name="b", statement="B.", status=Status.REFUTED)
    theorem = Theorem(slug="s", title="T", hypotheses=(), claims=(plain, refuted), status=Status.PROVED, source="")
    assert (theorem.status_of(plain), theorem.status_of(refuted)) == (Status.PROVED, Status.REFUTED)
    assert theorem.statement == "A.\n\n(Refuted) B."
    assert theorem.claim("b") is refuted
    with pytest.raises(KeyError, match="s has no claim 'c', but a, b"):
        theorem.claim("c")


@pytest.mark.parametrize(
    ("wrong", "right"),
    [
        ("tail-inflaton", "tail-inflation"),
        ("Tail_Inflation", "tail-inflation"),
        ("entropy", "entropy-identity"),
        ("gaussian", "gaussian-ce-law"),
    ],
)
def test_the_nearest_slugs_are_suggested(wrong, right):
    assert right in theorems.nearest(wrong)
    with pytest.raises(tce.DomainError, match=right):
        theorems.get(wrong)


@pytest.mark.parametrize("nonsense", ["", "qqqqqq", 7, None])
def test_nothing_is_suggested_for_nonsense(nonsense):
    with pytest.raises(tce.DomainError, match="tce theory lists them"):
        theorems.get(nonsense)
