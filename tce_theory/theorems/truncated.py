"""Gaussian model under relative truncation: the statements."""

from __future__ import annotations

from typing import Any

from tce_theory.theorems.statement import Claim, Status, Theorem

__all__ = ["THEOREMS"]


def _inflation(sp: Any) -> Any:
    a = sp.Symbol("a", nonnegative=True)
    density = sp.exp(-(a**2) / 2) / sp.sqrt(2 * sp.pi)
    hazard = density / (sp.erfc(a / sp.sqrt(2)) / 2)
    return sp.Eq(sp.Function("eta")(a), 1 + a * hazard)


_TAIL_INFLATION = Theorem(
    slug="tail-inflation",
    title="Leaving out the centre of a Gaussian inflates its variance",
    hypotheses=(
        r"$X \sim N(\mu, \sigma^2)$ with $\sigma > 0$.",
        r"$a \ge 0$ is the truncation radius in units of $\sigma$.",
    ),
    claims=(
        Claim(
            name="factor",
            statement=r"$\mathrm{Var}(X \mid |X - \mu| \ge a\sigma) = \eta(a)\,\sigma^2$ with $\eta(a) = 1 + a\,h(a)$, "
            r"where $h = \varphi/(1 - \Phi)$ is the hazard of the standard normal law.",
            relation=_inflation,
            function="theory.truncated.tail_inflation",
        ),
        Claim(
            name="growth",
            statement=r"$\eta$ is strictly increasing, $\eta(0) = 1$, and $\eta(a) > 1 + a^2$ for $a > 0$.",
        ),
    ),
    status=Status.PROVED,
    source="ForTIFAI (arXiv 2509.08972); moments of a truncated normal law: Johnson, Kotz & Balakrishnan (1994)",
)

THEOREMS = (_TAIL_INFLATION,)
