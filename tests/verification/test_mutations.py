"""A verifier that nothing can make fail shows nothing: deliberately broken copies of the library are caught by it.

Each mutation changes one place in a copy of the package; `tce verify`, run on the theorem that the place belongs to,
has to end with exit code 1. Most are slow, because the copy's kernels have to be compiled.
"""

import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

import tce_theory

PACKAGE = Path(tce_theory.__file__).parent


@dataclass(frozen=True)
class Mutation:
    name: str
    slug: str
    file: str
    old: str
    new: str


MUTATIONS = [
    Mutation(
        "mask strictly less than the threshold",
        "tce-gradient",
        "losses.py",
        "at.value <= self.gamma",
        "at.value < self.gamma",
    ),
    Mutation(
        "wrong ddof",
        "gaussian-ce-law",
        "kernels/gaussian.py",
        "scale *= spread * math.sqrt(chi2 / (n - ddof))",
        "scale *= spread * math.sqrt(chi2 / (n - 1))",
    ),
    Mutation(
        "a degree of freedom too many",
        "gaussian-ce-law",
        "kernels/gaussian.py",
        "chi2 = 2.0 * rng.standard_gamma(0.5 * (n - lost))\n                if fit_mean:",
        "chi2 = 2.0 * rng.standard_gamma(0.5 * n)\n                if fit_mean:",
    ),
    Mutation(
        "noise of the mean",
        "gaussian-ce-law",
        "kernels/gaussian.py",
        "step = spread * math.ldexp(scale, int(power)) * (rng.standard_normal() / math.sqrt(n))",
        "step = spread * math.ldexp(scale, int(power)) * (rng.standard_normal() / math.sqrt(0.9 * n))",
    ),
    Mutation(
        "wall in the wrong place",
        "density-wall",
        "kernels/gaussian.py",
        "ratio = unit / threshold",
        "ratio = 1.1 * unit / threshold",
    ),
    Mutation(
        "previous mask keeps too little",
        "critical-truncation",
        "kernels/gaussian.py",
        "count, sum1, _, _ = _sums(y, 0.0, radius * radius)",
        "count, sum1, _, _ = _sums(y, 0.0, 2.0 * radius * radius)",
    ),
    Mutation(
        "relative radius",
        "relative-fixed-point",
        "kernels/gaussian.py",
        "return radius * radius * q * (1.0 - 1e-12)",
        "return radius * radius * q * 1.05",
    ),
    Mutation(
        "wrong cap",
        "capped-projection",
        "kernels/categorical.py",
        "probs[i] = min(gamma, counts[i] / multiplier)",
        "probs[i] = min(1.02 * gamma, counts[i] / multiplier)",
    ),
    Mutation(
        "multiplier of the capped projection",
        "capped-projection",
        "kernels/categorical.py",
        "multiplier = (n - above) / (1.0 - capped * gamma)",
        "multiplier = (n - above) / (1.0 - 0.98 * capped * gamma)",
    ),
    Mutation(
        "clock of the warm start",
        "warm-degenerate",
        "kernels/categorical.py",
        "previous / (1.0 + tau * previous)",
        "previous / (1.0 + tau)",
    ),
    Mutation(
        "off by one generation",
        "wright-fisher",
        "kernels/categorical.py",
        "fixation[r] = first + t",
        "fixation[r] = first + t - 1",
    ),
    Mutation(
        "a point too few",
        "wright-fisher",
        "kernels/categorical.py",
        "    for _ in range(n):\n        u = rng.random()",
        "    for _ in range(n - 1):\n        u = rng.random()",
    ),
    Mutation(
        "share of fresh data",
        "fresh-mix",
        "kernels/categorical.py",
        "weights[i] = (1.0 - mixed) * weights[i] + mixed * truth[i]",
        "weights[i] = (1.0 - 2.0 * mixed) * weights[i] + 2.0 * mixed * truth[i]",
    ),
    Mutation(
        "gradient of the focal loss",
        "focal-gradient",
        "kernels/categorical.py",
        "return (parameter - 1.0) * log_q + math.log(",
        "return parameter * log_q + math.log(",
    ),
    Mutation(
        "mask of a network",
        "tabular-limit",
        "kernels/network.py",
        "counts[i, j] if z[i, j] <= gamma else 0.0",
        "counts[i, j] if z[i, j] <= 1.03 * gamma else 0.0",
    ),
    Mutation(
        "gradient of a network",
        "head-identity",
        "kernels/network.py",
        "z[i, j] = z[i, j] * mass - weighted[0, j]",
        "z[i, j] = 0.97 * z[i, j] * mass - weighted[0, j]",
    ),
    Mutation(
        "squared gradients over a training",
        "floor-on-average",
        "kernels/network.py",
        "averages[GRADIENT] += squared",
        "averages[GRADIENT] += 0.97 * squared",
    ),
]
SAMPLE = "mask strictly less than the threshold"


def verify(folder, slug, mutation=None):
    """Run the verifier of a copy of the package; return its exit code and the quantities that failed."""
    package = folder / "tce_theory"
    shutil.copytree(PACKAGE, package, ignore=shutil.ignore_patterns("__pycache__"))
    if mutation is not None:
        source = (package / mutation.file).read_text(encoding="utf-8")
        (package / mutation.file).write_text(source.replace(mutation.old, mutation.new), encoding="utf-8")
    environment = os.environ | {"PYTHONPATH": str(folder), "NUMBA_CACHE_DIR": str(folder / "cache")}
    command = [sys.executable, "-m", "tce_theory.cli", "verify", slug, "--jobs", "1", "--json"]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, [item["quantity"] for item in json.loads(done.stdout)["evidence"] if not item["passed"]]


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_what_is_broken_is_there_once(mutation):
    assert (PACKAGE / mutation.file).read_text(encoding="utf-8").count(mutation.old) == 1


@pytest.mark.parametrize(
    "mutation",
    [pytest.param(item, id=item.name, marks=() if item.name == SAMPLE else pytest.mark.slow) for item in MUTATIONS],
)
def test_a_broken_library_is_caught(tmp_path, mutation):
    code, failed = verify(tmp_path, mutation.slug, mutation)
    assert code == 1
    assert failed


@pytest.mark.slow
@pytest.mark.parametrize("slug", sorted({mutation.slug for mutation in MUTATIONS}))
def test_an_unbroken_copy_passes(tmp_path, slug):
    assert verify(tmp_path, slug) == (0, [])
