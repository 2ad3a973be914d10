"""The natural scale of a threshold: the largest density or probability of every family."""

import numpy as np
import pytest

import tce_theory as tce

GRID = np.linspace(-4, 4, 401)
PLANE = np.stack(np.meshgrid(GRID, GRID), axis=-1).reshape(-1, 2)


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (tce.Gaussian(1.0, 0.5), lambda model: np.exp(model.log_density(GRID))),
        (tce.Categorical([0.2, 0.5, 0.3]), lambda model: model.probs),
        (tce.Bernoulli(0.3), lambda model: np.exp(model.log_density(np.arange(2)))),
        (tce.Poisson(0.4), lambda model: np.exp(model.log_density(np.arange(50)))),
        (tce.Poisson(7.3), lambda model: np.exp(model.log_density(np.arange(50)))),
        (tce.Poisson(7.0), lambda model: np.exp(model.log_density(np.arange(50)))),
        (tce.MarkovChain([[0.9, 0.1], [0.05, 0.95]]), lambda model: model.transition),
        (
            tce.MultivariateGaussian([0.0, 1.0], [[1.0, 0.5], [0.5, 2.0]]),
            lambda model: np.exp(model.log_density(PLANE)),
        ),
        (tce.GaussianMixture([0.7, 0.3], [-1.0, 1.0], [0.25, 0.04]), lambda model: np.exp(model.log_density(GRID))),
        (tce.GaussianMixture.two_moons(), lambda model: np.exp(model.log_density(PLANE))),
        (
            tce.LinearRegression([2.0], 0.5),
            lambda model: np.exp(model.log_density(np.column_stack([np.zeros(401), GRID]))),
        ),
    ],
    ids=lambda item: type(item).__name__,
)
def test_peak_is_the_largest_value(model, values):
    largest = np.max(values(model))
    assert largest <= model.peak() * (1 + 1e-12)
    # grids are 0.02 apart: within a 20th of a standard deviation of the mode, where a density is down by 1/800
    assert largest > model.peak() * (1 - 2e-3)
