"""What the derivations have in common: steps that are checked, and the way back to the registry and the library.

Every check raises if it fails and prints a line if it holds. None of them is numerical but `agrees`, which is the last
step of a derivation and says so.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import mpmath
import numpy as np
import sympy as sp

from tce_theory import theorems

__all__ = ["agrees", "agrees_at", "equal", "holds", "states", "summed", "zero"]

_DIGITS = 40
_TOLERANCE = 1e-12
_POINTS = 25

stated: set[tuple[str, str]] = set()
"""Slug and name of the registered claims that `states` has met."""
agreed: set[str] = set()
"""Functions of the library that `agrees` has held against a derivation."""


def zero(expression: Any, why: str = "") -> None:
    """Assert that `expression` is 0 by symbolic simplification."""
    if not _vanishes(sp.sympify(expression)):
        raise AssertionError(f"not shown to be 0: {expression}")
    print(f"✓ {why or 'the difference is 0'}")


def equal(left: Any, right: Any, why: str = "") -> Any:
    """Assert that both sides are the same by symbolic simplification, and return their equation."""
    if not _vanishes(sp.sympify(left) - sp.sympify(right)):
        raise AssertionError(f"not shown to be equal: {left} and {right}")
    print(f"✓ {why or 'both sides are the same'}")
    return sp.Eq(left, right, evaluate=False)


def holds(condition: Any, why: str) -> None:
    """Assert a condition that sympy decides from the assumptions on its symbols, as in ``holds(x**2 >= 0, …)``."""
    if condition not in (True, sp.true):
        raise AssertionError(f"not decided: {condition} ({why})")
    print(f"✓ {why}")


def summed(term: Any, sums: Mapping[Any, Any]) -> Any:
    """Sum a generic term over its index, for any number of terms, by linearity.

    Parameters
    ----------
    term : sympy expression
        A polynomial in the symbols that depend on the index, with coefficients that do not.
    sums : mapping
        The sum of each monomial in these symbols, as in ``{1: n, x: S, x * y: T}``. All symbols in its keys depend on
        the index; all others do not.
    """
    generic = sorted(set().union(*(sp.sympify(monomial).free_symbols for monomial in sums)), key=str)
    known = {sp.sympify(monomial): value for monomial, value in sums.items()}
    total = sp.Integer(0)
    for powers, coefficient in sp.Poly(sp.expand(term), *generic).terms():
        if coefficient == 0:  # the polynomial 0 has one term
            continue
        monomial = sp.prod(symbol**power for symbol, power in zip(generic, powers, strict=True))
        if monomial not in known or coefficient.free_symbols & set(generic):
            raise AssertionError(f"the sum of {coefficient * monomial} is not known")
        total += coefficient * known[monomial]
    return total


def states(slug: str, claim: str, derived: Any) -> Any:
    """Assert that `derived`, a sympy relation, is what the registry says under that name; return the relation.

    Same kind of relation, and both sides equal by simplification; symbols are matched by name, whatever their
    assumptions, which have to be at least those of the registry.
    """
    registered = theorems.get(slug).claim(claim).sympy_relation()
    if registered is None:
        raise AssertionError(f"{slug}, {claim}: the registry has no relation")
    if registered.func is not derived.func:
        raise AssertionError(f"{slug}, {claim}: {derived.func.__name__} derived, {registered.func.__name__} registered")
    same_names = {symbol.name: symbol for symbol in derived.free_symbols}
    registered = registered.subs({symbol: same_names.get(symbol.name, symbol) for symbol in registered.free_symbols})
    for ours, theirs in zip(derived.args, registered.args, strict=True):
        if not _vanishes(ours - theirs):
            raise AssertionError(f"{slug}, {claim}: derived {ours}, registered {theirs}")
    stated.add((slug, claim))
    print(f"✓ this is the claim {claim!r} of {slug}")
    return derived


def agrees(
    function: str,
    reference: Any,
    *,
    where: Mapping[str, Any],
    fixed: Mapping[str, Any] | None = None,
    part: str | None = None,
    points: int = _POINTS,
) -> None:
    """Assert that a function of the library equals `reference` at random admissible points to 1e-12.

    Parameters
    ----------
    function : str
        As in the registry: ``"theory.truncated.tail_inflation"``.
    reference : sympy expression or callable
        An expression in symbols named as the parameters, or a function of mpmath numbers by these names.
    where : mapping
        Range of each parameter: ``(low, high)`` for uniform numbers, a `range` or a list to choose from.
    fixed : mapping, optional
        Arguments that the function of the library takes beside.
    part : str, optional
        Field of the result, if that is a named tuple.
    """
    claim = theorems.Claim(name="", statement="", function=function)
    evaluate = claim.load_function()
    assert evaluate is not None
    exact = reference if callable(reference) and not isinstance(reference, sp.Basic) else _as_function(reference, where)
    source = random.Random(function)
    worst = 0.0
    with mpmath.workdps(_DIGITS):
        for _ in range(points):
            point = {name: _draw(source, choice) for name, choice in where.items()}
            right = exact(**{name: mpmath.mpf(value) for name, value in point.items()})
            result = evaluate(**point, **(fixed or {}))
            found = result if part is None else getattr(result, part)
            worst = max(worst, float(abs(mpmath.mpf(found) - right) / max(abs(right), mpmath.mpf(10) ** -300)))
            if not worst <= _TOLERANCE:
                raise AssertionError(f"{function} at {point}: {found}, derived {mpmath.nstr(right, 17)}")
    agreed.add(function)
    where_in = function if part is None else f"{function}, {part},"
    print(f"✓ {where_in} agrees at {points} random points, relative difference at most {worst:.1e} (numerical)")


def agrees_at(function: str, arguments: Mapping[str, Any], reference: Any, *, part: str | None = None) -> None:
    """Assert that a function of the library at one point, which may be a vector, equals `reference` to 1e-12.

    Parameters
    ----------
    function : str
        As in the registry: ``"theory.categorical.capped_projection"``.
    arguments : mapping
        Arguments of the function.
    reference : sympy number, or sequence of them
        The derived value; every component is compared relative to its own size.
    part : str, optional
        Field of the result, if that is a named tuple.
    """
    evaluate = theorems.Claim(name="", statement="", function=function).load_function()
    assert evaluate is not None
    result = evaluate(**arguments)
    result = getattr(result, part) if part is not None else result
    found = np.ravel(result).tolist()  # a matrix by rows
    exact = [sp.N(value, _DIGITS) for value in (reference if isinstance(reference, list | tuple) else [reference])]
    assert len(found) == len(exact), f"{function}: {len(found)} values, {len(exact)} derived"
    smallest = sp.Float(10) ** -300
    worst = max(
        float(abs(sp.Float(float(ours), _DIGITS) - value) / sp.Max(abs(value), smallest))
        for ours, value in zip(found, exact, strict=True)
    )
    if not worst <= _TOLERANCE:
        raise AssertionError(f"{function} at {dict(arguments)}: {found}, derived {[sp.N(v, 17) for v in exact]}")
    agreed.add(function)
    where = f"{function}, {part}," if part else function
    print(f"✓ {where} agrees at the point above, relative difference at most {worst:.1e} (numerical)")


def _as_function(expression: Any, names: Iterable[str]) -> Callable[..., Any]:
    by_name = {symbol.name: symbol for symbol in sp.sympify(expression).free_symbols}
    if unknown := set(by_name) - set(names):
        raise AssertionError(f"no range is given for {', '.join(sorted(unknown))}")
    symbols = {name: by_name.get(name, sp.Symbol(name)) for name in names}
    compiled = sp.lambdify(list(symbols.values()), expression, "mpmath")
    return lambda **values: mpmath.mpf(compiled(*(values[name] for name in symbols)))


def _draw(source: random.Random, choice: Any) -> Any:
    if isinstance(choice, tuple):
        low, high = choice
        return source.uniform(low, high)
    return source.choice(choice)


def _vanishes(expression: Any) -> bool:
    """Whether an expression is 0, by the cheapest way of several that shows it."""
    return any(simplify(expression) == 0 for simplify in _SIMPLIFICATIONS)


_SIMPLIFICATIONS: tuple[Callable[[Any], Any], ...] = (
    lambda expression: expression,
    sp.expand,
    sp.simplify,
    sp.gammasimp,
    lambda expression: sp.simplify(expression.rewrite(sp.exp)),
    lambda expression: sp.simplify(expression.rewrite(sp.erf)),
    lambda expression: sp.simplify(sp.expand_func(expression)),
)
