"""The same workloads under pytest-benchmark: `pytest benchmarks --benchmark-enable`, for tracking over time."""

from __future__ import annotations

import pytest
from pytest_benchmark.fixture import BenchmarkFixture
from workloads import Workload, workloads

PAIRS = workloads()


@pytest.mark.parametrize("workload", [pair for pair in PAIRS if not pair.at_most], ids=lambda pair: pair.name)
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_library(benchmark: BenchmarkFixture, workload: Workload, n_jobs: int) -> None:
    benchmark.extra_info["generations"] = workload.generations
    benchmark.pedantic(workload.ours, args=(n_jobs,), rounds=3, warmup_rounds=1)


@pytest.mark.parametrize("workload", PAIRS, ids=lambda pair: f"{pair.other_name}: {pair.name}")
def test_other(benchmark: BenchmarkFixture, workload: Workload) -> None:
    benchmark.extra_info["generations"] = workload.other_generations
    benchmark.pedantic(workload.other, rounds=3, warmup_rounds=1)
