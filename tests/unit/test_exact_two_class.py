"""Two-class chains (wright-fisher, two-class-persistence, fresh-mix, tail-extinction)."""

import dataclasses
import importlib
import itertools
import math
import pathlib
import warnings
from fractions import Fraction

import mpmath
import numpy as np
import pytest
from scipy import stats

import tce_theory as tce
from tce_theory.errors import DomainError, UnsupportedCombinationError
from tce_theory.exact import TwoClassChain
from tce_theory.exact._binomial import binomial_matrix
from tce_theory.theory import categorical, regimes


def drawn_only(gamma):
    return tce.TCE(gamma, vacuous="drawn-only")


def stepped(p):
    """A weight that jumps."""
    return 1.0 - 0.5 * p if p < 0.6 else 0.1


WEIGHTED = tce.WeightedCrossEntropy(stepped)
CAPS = [
    tce.TCE(gamma, vacuous=vacuous)
    for gamma in (0.2, 0.5, 0.75, 0.95, 1.0)
    for vacuous in ("auto", "max-entropy", "drawn-only")
]
FILTERS = [tce.TCE(gamma, mask="previous") for gamma in (0.2, 0.5, 0.75, 0.95, 1.0)]
SMOOTH = [
    tce.FocalLoss(2.0),
    tce.FocalLoss(0.3),
    tce.FocalLoss(40.0),
    tce.FocalLoss(3.0, detach=True),
    tce.SmoothTruncatedCrossEntropy(0.7, 0.05),
    tce.SmoothTruncatedCrossEntropy(0.3, 0.01),
]
LOSSES = [tce.CrossEntropy(), *CAPS, *FILTERS, *SMOOTH]


def heterozygosity(chain):
    q = chain.model_probs
    return 2 * q * (1 - q)


# --- binomial probabilities


@pytest.mark.parametrize("n", [1, 2, 9, 10, 11, 100, 1500])
def test_binomial_probabilities_keep_their_digits(n):
    probs = np.array([0.0, 1e-12, 0.1, 0.37, 0.5, 0.999, 1.0])
    matrix = binomial_matrix(n, probs)
    assert matrix.shape == (probs.size, n + 1)
    with mpmath.workdps(40):
        for p, row in zip(probs, matrix, strict=True):
            for j in np.unique(np.linspace(0, n, 25).astype(int)):
                exact = mpmath.binomial(n, int(j)) * mpmath.mpf(p) ** int(j) * (1 - mpmath.mpf(p)) ** (n - int(j))
                if exact > 1e-290:
                    slack = 1e-14 + 1e-15 * float(-mpmath.log(exact))
                    assert float(abs(row[j] / exact - 1)) < slack
                else:
                    assert row[j] < 1e-289
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-13)


def test_transitions_to_a_rare_class_keep_their_digits_with_nearly_only_fresh_data():
    # p_0 + (1 − α)(q − p_0) rounds at the size of q: 1e-9 would have seven digits left
    for fraction in (1.0, 1 - 2.0**-40):
        chain = TwoClassChain(3, 1e-9, loss=drawn_only(0.9375), fraction=fraction)
        with mpmath.workdps(40):
            for state, q in enumerate(chain.model_probs):
                p = (1 - mpmath.mpf(fraction)) * mpmath.mpf(float(q)) + fraction * mpmath.mpf(1e-9)
                exact = [float(math.comb(3, j) * p**j * (1 - p) ** (3 - j)) for j in range(4)]
                np.testing.assert_allclose(chain.transition[state, :4], exact, rtol=1e-13)


def test_binomial_probabilities_of_a_rare_complement():
    rare = np.array([1e-300, 1e-18, 1e-9])
    matrix = binomial_matrix(7, 1 - rare, rare)
    np.testing.assert_allclose(matrix[:, ::-1], binomial_matrix(7, rare), rtol=1e-13)
    np.testing.assert_allclose(matrix[:, 6], 7 * rare, rtol=1e-7)


# --- fits


def fitted(loss, previous, count, n):
    """What the library fits, its own way."""
    model = tce.Categorical([0.5, 0.5])._exactly(np.array(previous))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)  # of vacuous fits
        return tce.fit(model, tce.Counts([count, n - count]), loss).model.probs


@pytest.mark.parametrize("loss", [*LOSSES, WEIGHTED], ids=str)
@pytest.mark.parametrize(("prob0", "fraction"), [(0.3, 0.0), (0.98, 0.0), (0.98, 0.1)])
def test_every_transition_is_a_fit_of_the_library(loss, prob0, fraction):
    n = 9
    chain = TwoClassChain(n, prob0, loss=loss, fraction=fraction)
    q = chain.model_probs
    assert q.shape == (n + 2,)
    assert q[chain.start] == prob0
    kinds = [int(np.abs(q - value).argmin()) for value in q.round(12)]  # states with the same model are one
    for state in range(n + 2):
        probs = [q[state], 1 - q[state]]
        law = stats.binom.pmf(np.arange(n + 1), n, (1 - fraction) * q[state] + fraction * prob0)
        expected = np.zeros(n + 2)
        for count in np.flatnonzero(law):
            new = fitted(loss, probs, count, n)[0]
            nearest = int(np.abs(q - new).argmin())
            assert q[nearest] == pytest.approx(new, rel=1e-13, abs=1e-15)
            expected[kinds[nearest]] += law[count]
        row = np.bincount(kinds, chain.transition[state], minlength=n + 2)
        np.testing.assert_allclose(row, expected, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize("loss", [*SMOOTH, WEIGHTED], ids=str)
def test_fits_are_stationary_by_the_weight_of_the_loss(loss):
    n = 200
    counts = np.arange(1, n)
    q = TwoClassChain(n, 0.3, loss=loss).model_probs[1:n]
    assert np.all(np.diff(q) >= 0)
    np.testing.assert_allclose(q, 1 - q[::-1], rtol=1e-12)

    def pull(p):
        return loss.weight(p) / p

    with np.errstate(divide="ignore"):
        low, high = (
            np.log(counts * pull(q * step)) - np.log((n - counts) * pull(1 - q * step)) for step in (1 - 1e-9, 1 + 1e-9)
        )
    known = np.isfinite(low) & np.isfinite(high)  # steep weights are below the range of float64 in places
    assert known.sum() > n / 2
    assert (low[known] >= -1e-7).all()
    assert (high[known] <= 1e-7).all()
    assert ((low > 0) & (high < 0))[known].mean() > 0.9


def test_fits_to_thousands_of_points():
    for loss in (tce.FocalLoss(2.0), tce.SmoothTruncatedCrossEntropy(0.9, 0.02)):
        q = TwoClassChain(2000, 0.5, loss=loss).model_probs
        for count in (1, 2, 77, 500, 999, 1000, 1500, 1999):
            assert q[count] == pytest.approx(fitted(loss, [0.5, 0.5], count, 2000)[0], rel=1e-12)


# --- absorption


def test_absorption_times_of_the_ledger():
    assert TwoClassChain(100, 0.5).mean_absorption_time() == pytest.approx(136.602278, abs=5e-7)
    assert TwoClassChain(20, 0.1).mean_absorption_time() == pytest.approx(11.9806621, abs=5e-8)
    assert TwoClassChain(100, 0.5, loss=drawn_only(0.9)).mean_absorption_time() == pytest.approx(279516.367, abs=5e-4)
    assert TwoClassChain(100, 0.5, loss=drawn_only(0.95)).mean_absorption_time() == pytest.approx(1211.11382, abs=5e-6)


@pytest.mark.parametrize(
    ("n", "ratio"), [(100, 0.796), (400, 0.880), pytest.param(1600, 0.936, marks=pytest.mark.slow)]
)
def test_persistence_against_its_leading_order(n, ratio):
    gamma = 0.9
    leading = math.sqrt(2 * n * gamma * (1 - gamma)) * math.log(gamma / (1 - gamma)) * gamma**-n
    time = TwoClassChain(n, 0.5, loss=drawn_only(gamma)).mean_absorption_time()
    assert time / leading == pytest.approx(ratio, abs=5e-4)


def rational_chain(n, prob0, model, keep=lambda state, count: None):
    """Models and transition matrix in rational arithmetic; `keep` gives the states that do not follow the count."""
    models = [model(i) for i in range(n + 1)] + [prob0]
    matrix = [[Fraction(0)] * (n + 2) for _ in models]
    for state, q in enumerate(models):
        for count in range(n + 1):
            target = keep(state, count)
            probability = math.comb(n, count) * q**count * (1 - q) ** (n - count)
            matrix[state][count if target is None else target] += probability
    return models, matrix


def rational_exit_time(matrix, inside):
    """Mean time outside `inside`, from the last state, by Gauss–Jordan elimination."""
    states = [i for i, here in enumerate(inside) if here]
    rows = [[Fraction(int(i == j)) - matrix[i][j] for j in states] for i in states]
    times = [Fraction(1)] * len(states)
    for k, i in itertools.product(range(len(states)), repeat=2):
        if i != k and rows[i][k]:
            factor = rows[i][k] / rows[k][k]
            rows[i] = [a - factor * b for a, b in zip(rows[i], rows[k], strict=True)]
            times[i] -= factor * times[k]
    return times[-1] / rows[-1][-1]


def clipped(n, gamma):
    def model(i):
        q = Fraction(i, n)
        return q if gamma is None or i in (0, n) else min(gamma, max(1 - gamma, q))

    return model


@pytest.mark.parametrize("gamma", [None, Fraction(1, 2), Fraction(3, 4), Fraction(15, 16)])
def test_absorption_time_in_rational_arithmetic(gamma):
    # binary fractions, so that both computations are about the same chain
    n, prob0 = 8, Fraction(3, 16)
    models, matrix = rational_chain(n, prob0, clipped(n, gamma))
    exact = rational_exit_time(matrix, [0 < q < 1 for q in models])
    loss = tce.CrossEntropy() if gamma is None else drawn_only(float(gamma))
    assert TwoClassChain(n, float(prob0), loss=loss).mean_absorption_time() == pytest.approx(float(exact), rel=1e-13)


@pytest.mark.parametrize("prob0", [Fraction(5, 16), Fraction(13, 16)])
def test_filtering_by_the_previous_model_in_rational_arithmetic(prob0):
    n, gamma = 8, Fraction(3, 4)  # 13/16 is masked at once

    def keep(state, count):
        q = prob0 if state == n + 1 else Fraction(state, n)
        if q > gamma:
            return state if count == n else 0
        if 1 - q > gamma:
            return state if count == 0 else n
        return None

    models, matrix = rational_chain(n, prob0, lambda i: Fraction(i, n), keep)
    chain = TwoClassChain(n, float(prob0), loss=tce.TCE(float(gamma), mask="previous"))
    np.testing.assert_allclose(chain.transition, np.array(matrix, dtype=float), rtol=1e-13)
    exact = rational_exit_time(matrix, [0 < q < 1 for q in models])
    assert chain.mean_absorption_time() == pytest.approx(float(exact), rel=1e-13)


def test_long_times_keep_their_digits():
    # γ = 1/2: every model but the absorbed ones is (1/2, 1/2), and the time is geometric
    for n in (20, 200, 1000):
        value = TwoClassChain(n, 0.5, loss=drawn_only(0.5)).mean_absorption_time()
        assert value == pytest.approx(2.0 ** (n - 1), rel=1e-10)


def test_time_beyond_float_is_refused():
    chain = TwoClassChain(1100, 0.5, loss=drawn_only(0.5))
    with pytest.raises(DomainError, match="beyond 1e308"):
        chain.mean_absorption_time()
    with pytest.raises(DomainError, match="beyond 1e308"):
        chain.quasi_stationary_distribution()


def test_tce_is_ce_for_gamma_near_one():
    n = 40
    ce = TwoClassChain(n, 0.3)
    last = TwoClassChain(n, 0.3, loss=drawn_only(1 - 1 / n))
    np.testing.assert_allclose(last.model_probs, ce.model_probs, rtol=1e-14)
    shorter = ce.mean_absorption_time()
    assert TwoClassChain(n, 0.3, loss=drawn_only(1 - 1.5 / n)).mean_absorption_time() > shorter * 1.01
    # with γ = 1 a class that is not drawn is lost under every convention
    for vacuous in ("warm", "max-entropy", "drawn-only"):
        chain = TwoClassChain(n, 0.3, loss=tce.TCE(1.0, vacuous=vacuous))
        np.testing.assert_array_equal(chain.model_probs, ce.model_probs)
        assert chain.mean_absorption_time() == pytest.approx(shorter, rel=1e-13)


def test_absorption_where_it_is_trivial_or_never():
    assert TwoClassChain(1, 0.3).mean_absorption_time() == 1.0
    assert TwoClassChain(10, 0.0).mean_absorption_time() == 0.0
    assert TwoClassChain(10, 0.5, loss=tce.TCE(0.9)).mean_absorption_time() == math.inf
    assert TwoClassChain(10, 0.5, fraction=1e-9).mean_absorption_time() == math.inf
    # the largest entropy brings a lost class back; a warm start does not
    assert TwoClassChain(10, 1.0, loss=tce.TCE(0.9, vacuous="max-entropy")).mean_absorption_time() == math.inf
    assert TwoClassChain(10, 1.0, loss=tce.TCE(0.9)).mean_absorption_time() == 0.0
    # what the previous model masks on both sides is frozen
    assert TwoClassChain(10, 0.5, loss=tce.TCE(0.3, mask="previous")).mean_absorption_time() == math.inf
    # and one class above γ is lost when the other is drawn
    time = TwoClassChain(10, 0.8, loss=tce.TCE(0.7, mask="previous")).mean_absorption_time()
    assert time == pytest.approx(1 / (1 - 0.8**10), rel=1e-13)


def test_absorption_time_approaches_the_diffusion_limit():
    errors = [
        1 - TwoClassChain(n, 0.3).mean_absorption_time() / categorical.absorption_time_limit(n, 0.3) for n in (50, 400)
    ]
    assert errors[1] < 0.006 < errors[0] < 0.05


# --- law at a generation


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": drawn_only(0.8)},
        {"loss": tce.TCE(0.8)},
        {"loss": tce.TCE(0.6)},
        {"loss": tce.TCE(0.6, mask="previous")},
        {"loss": tce.FocalLoss(2.0)},
        {"fraction": 0.2},
    ],
)
def test_distribution_is_the_power_of_the_transition(settings):
    chain = TwoClassChain(12, 0.3, **settings)
    np.testing.assert_allclose(chain.transition.sum(axis=1), 1, rtol=1e-13)
    law = np.eye(14)[chain.start]
    for t in range(20):
        np.testing.assert_allclose(chain.distribution(t), law, rtol=1e-12, atol=1e-15)
        law = law @ chain.transition
    assert chain.distribution(10**9).sum() == pytest.approx(1, rel=1e-6)


def test_mean_absorption_time_is_the_sum_of_survival():
    chain = TwoClassChain(12, 0.3, loss=drawn_only(0.7))
    survival = [1.0]
    while survival[-1] > 1e-14:
        law = chain.distribution(len(survival))
        survival.append(law[1:12].sum())
    assert chain.mean_absorption_time() == pytest.approx(sum(survival), rel=1e-10)


@pytest.mark.parametrize("fraction", [0.0, 0.01, 0.3, 1.0])
def test_heterozygosity_is_the_closed_form(fraction):
    n, prob0 = 37, 0.2
    chain = TwoClassChain(n, prob0, fraction=fraction)
    for t in (1, 2, 10, 100):
        expected = regimes.fresh_mix_heterozygosity(n, fraction, 2 * prob0 * (1 - prob0), t=t)
        assert chain.distribution(t) @ heterozygosity(chain) == pytest.approx(expected, rel=1e-12)


def test_survival_of_a_class_is_at_least_the_poisson_value():
    n, prob0 = 50, 0.04
    chain = TwoClassChain(n, prob0)
    for t in (1, 2, 5, 20):
        multinomial = 1 - chain.distribution(t)[0]
        poisson = 1 - categorical.extinction_probability(t) ** (n * prob0)
        assert poisson < multinomial
    # sharp: the bound is the limit of rare classes with the same expected count
    rare = TwoClassChain(500, 0.004).distribution(5)[0]
    assert 1 - rare == pytest.approx(1 - categorical.extinction_probability(5) ** 2, rel=5e-3)


# --- warm start above the cap


def test_warm_start_above_the_cap_is_frozen_until_the_rare_class_is_drawn():
    n, prob0, gamma = 10, 0.95, 0.9
    chain = TwoClassChain(n, prob0, loss=tce.TCE(gamma))
    for t in range(5):
        assert chain.distribution(t)[chain.start] == pytest.approx(prob0 ** (n * t), rel=1e-13)
    np.testing.assert_allclose(chain.model_probs[-4:], [0.8, gamma, gamma, prob0], rtol=1e-15)
    assert chain.transition[:-1, chain.start].max() == 0
    inside = TwoClassChain(n, 0.85, loss=tce.TCE(gamma))
    assert inside.transition[:, chain.start].max() == 0
    np.testing.assert_array_equal(inside.transition[:-1], chain.transition[:-1])
    # for good: what follows does not remember the start
    laws = [each.stationary_distribution() for each in (chain, inside)]
    np.testing.assert_allclose(*laws, rtol=1e-10, atol=1e-16)
    # the mean of the geometric time until then
    assert chain.mean_fidelity_time("max_prob", below=0.93) == pytest.approx(1 / (1 - prob0**n), rel=1e-12)


def test_warm_start_below_one_half():
    # no model is within the cap: the first one with both classes at γ or more is kept for ever
    n, gamma = 6, 0.2
    frozen = TwoClassChain(n, 0.4, loss=tce.TCE(gamma))
    np.testing.assert_array_equal(frozen.model_probs, 0.4)
    assert frozen.mean_fidelity_time("tv", above=0.0) == math.inf
    moves = TwoClassChain(n, 0.9, loss=tce.TCE(gamma))
    assert moves.mean_fidelity_time("tv", above=0.0) == pytest.approx(1 / (1 - 0.9**n), rel=1e-13)
    np.testing.assert_allclose(moves.model_probs[:-1], 0.8, rtol=1e-15)
    assert moves.distribution(500) @ moves.model_probs == pytest.approx(0.8, rel=1e-12)


# --- stationary law


def test_fresh_mix_heterozygosity_of_the_ledger():
    chain = TwoClassChain(100, 0.3, fraction=0.01)
    assert chain.stationary_distribution() @ heterozygosity(chain) == pytest.approx(0.2785906198, abs=5e-11)


def test_stationary_law_with_hardly_any_fresh_data():
    # nearly always one class is alone, and which one is as in generation 0
    n, prob0 = 30, 0.3
    for fraction in (1e-6, 1e-30, 1e-200):
        chain = TwoClassChain(n, prob0, fraction=fraction)
        law = chain.stationary_distribution()
        assert law @ chain.model_probs == pytest.approx(prob0, rel=1e-13)
        limit = regimes.fresh_mix_heterozygosity(n, fraction, 2 * prob0 * (1 - prob0))
        assert law @ heterozygosity(chain) == pytest.approx(limit, rel=1e-12)


def test_warm_start_forgets_the_origin():
    # the diffusion limit is (2γ − 1)/log(γ/(1 − γ)), with corrections of order n^(−1/2)
    gamma, limit = 0.9, 0.8 / math.log(9)
    values = {}
    for n in (100, 400):
        chain = TwoClassChain(n, 0.5, loss=tce.TCE(gamma, vacuous="warm"))
        law = chain.stationary_distribution()
        np.testing.assert_allclose(law @ chain.transition, law, atol=1e-15)
        np.testing.assert_allclose(TwoClassChain(n, 0.2, loss=tce.TCE(gamma)).stationary_distribution(), law)
        values[n] = law @ heterozygosity(chain)
    assert 2 * values[400] - values[100] == pytest.approx(limit, rel=2e-3)
    assert values[400] == pytest.approx(limit, rel=0.03)


def test_stationary_law_far_from_the_ends():
    # γ = 1/2: the counts are binomial, of which most are beyond the range of float64
    n = 1200
    law = TwoClassChain(n, 0.5, loss=tce.TCE(0.5)).stationary_distribution()
    np.testing.assert_allclose(law[:-1], binomial_matrix(n, np.array([0.5]))[0], rtol=1e-10)


def test_stationary_law_of_a_filter_with_fresh_data():
    # above γ a class is lost as soon as the other one is drawn: the models end up at (1, 0) and (0, 1), in turns
    n, prob0, fraction = 8, 0.3, 0.1
    chain = TwoClassChain(n, prob0, loss=tce.TCE(0.75, mask="previous"), fraction=fraction)
    law = chain.stationary_distribution()
    leave = [1 - (1 - fraction * p) ** n for p in (prob0, 1 - prob0)]
    assert law[0] == pytest.approx(leave[1] / sum(leave), rel=1e-13)
    assert law[n] == pytest.approx(leave[0] / sum(leave), rel=1e-13)
    assert law[0] + law[n] == pytest.approx(1, rel=1e-15)


def test_stationary_law_of_a_chain_that_ends_is_refused():
    for settings in ({}, {"loss": drawn_only(0.9)}, {"loss": tce.FocalLoss(2.0)}):
        with pytest.raises(UnsupportedCombinationError, match="lost for ever"):
            TwoClassChain(10, 0.5, **settings).stationary_distribution()


# --- quasi-stationary law


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": drawn_only(0.8)},
        {"loss": tce.FocalLoss(2.0)},
        {"loss": tce.SmoothTruncatedCrossEntropy(0.9, 0.1)},
        {"loss": tce.TCE(0.999, mask="previous")},
    ],
    ids=str,
)
def test_quasi_stationary_law_is_what_power_iteration_and_spectrum_give(settings):
    chain = TwoClassChain(25, 0.3, **settings)
    law = chain.quasi_stationary_distribution()
    powers, inside = np.linalg.matrix_power(chain.transition, 4096)[chain.start], slice(1, 25)
    assert powers[inside].sum() > 1e-100
    np.testing.assert_allclose(law.probabilities[inside], powers[inside] / powers[inside].sum(), rtol=1e-9)
    assert law.probabilities[[0, 25, 26]].max() == 0
    # one is an eigenvalue for each class that can be alone
    assert 1 - law.rate == pytest.approx(float(chain.spectrum()[2].real), abs=1e-13)
    assert law.error < 1e-11
    following = law.probabilities @ chain.transition
    np.testing.assert_allclose(following[inside], (1 - law.rate) * law.probabilities[inside], rtol=1e-12)


def test_quasi_stationary_rates_keep_their_digits():
    for n in (60, 1000):
        law = TwoClassChain(n, 0.3, loss=drawn_only(0.5)).quasi_stationary_distribution()
        assert law.rate == pytest.approx(2.0 ** (1 - n), rel=1e-10)
        assert law.mean_time == pytest.approx(2.0 ** (n - 1), rel=1e-10)
    # rarely, and so from the quasi-stationary law: the mean time is 1/rate
    chain = TwoClassChain(300, 0.5, loss=drawn_only(0.85))
    law = chain.quasi_stationary_distribution()
    assert law.rate < 1e-20
    assert chain.mean_absorption_time() * law.rate == pytest.approx(1, rel=1e-12)


def test_quasi_stationary_rate_of_drift():
    # the first eigenvalue below 1 is 1 − 1/n, exactly
    for n in (2, 10, 500):
        law = TwoClassChain(n, 0.2).quasi_stationary_distribution()
        assert law.rate == pytest.approx(1 / n, rel=1e-11)
        assert abs(law.rate * n - 1) <= law.error + 1e-13


def test_quasi_stationary_law_in_rational_arithmetic():
    # the eigenvalue 1 − 1/3 of drift among the counts 1, 2 with three points; by symmetry the law is even
    law = TwoClassChain(3, 0.4).quasi_stationary_distribution()
    np.testing.assert_allclose(law.probabilities, [0, 0.5, 0.5, 0, 0], rtol=1e-15)
    assert law.rate == pytest.approx(1 / 3, rel=1e-15)


def test_quasi_stationary_law_of_a_frozen_model():
    law = TwoClassChain(10, 0.9, loss=tce.TCE(0.7, mask="previous")).quasi_stationary_distribution()
    assert law.probabilities[-1] == 1.0
    assert law.rate == pytest.approx(1 - 0.9**10, rel=1e-13)


@pytest.mark.parametrize(
    ("chain", "message"),
    [
        (TwoClassChain(10, 0.5, loss=tce.TCE(0.9)), "no class need ever be lost"),
        (TwoClassChain(10, 0.5, fraction=0.1), "no class need ever be lost"),
        (TwoClassChain(1, 0.5), "a class is lost at once"),
        (TwoClassChain(10, 1.0), "a class is lost at once"),
        (TwoClassChain(10, 0.5, loss=tce.TCE(0.7, mask="previous")), "depends on the start"),
    ],
)
def test_quasi_stationary_law_is_refused(chain, message):
    with pytest.raises(UnsupportedCombinationError, match=message):
        chain.quasi_stationary_distribution()


# --- spectrum


@pytest.mark.parametrize("n", [1, 2, 20, 100])
def test_spectrum_of_wright_fisher(n):
    expected = categorical.wright_fisher_eigenvalues(n, np.arange(n + 1))
    np.testing.assert_allclose(TwoClassChain(n, 0.5).spectrum(), expected, atol=1e-12)


def test_spectrum_is_real_under_every_convention():
    losses = tce.CrossEntropy(), drawn_only(0.8), tce.TCE(0.8), tce.FocalLoss(3.0)
    for loss, fraction in itertools.product(losses, (0.0, 0.2)):
        chain = TwoClassChain(30, 0.3, loss=loss, fraction=fraction)
        assert np.abs(np.linalg.eigvals(chain.transition).imag).max() < 1e-6
        spectrum = chain.spectrum()
        assert spectrum.shape == (31,)
        assert spectrum[0] == pytest.approx(1, rel=1e-12)
        assert spectrum.min() > -1e-6


def test_spectrum_of_a_filter_has_its_self_loops():
    n, gamma = 12, 0.75
    spectrum = TwoClassChain(n, 0.3, loss=tce.TCE(gamma, mask="previous")).spectrum()
    for i in (10, 11):
        assert np.abs(spectrum - (i / n) ** n).min() < 1e-12
    assert np.all(np.diff(np.abs(spectrum)) <= 1e-12)


# --- fidelity


@pytest.mark.parametrize("metric", [name for name in tce.Categorical.metric_names if name != "masked_weight"])
def test_metrics_are_those_of_a_simulation(metric):
    n, prob0, horizon = 6, 0.3, 3
    chain = TwoClassChain(n, prob0)
    run = tce.simulate(
        tce.Categorical([prob0, 1 - prob0]), tce.CrossEntropy(), n_samples=n, generations=horizon, replicates=2000,
        metrics=[metric], seed=3,
    )  # fmt: skip
    values = chain._metric(metric)
    seen = np.unique(run.metrics[metric].round(9))
    with np.errstate(invalid="ignore"):  # a difference of infinities
        assert all(np.any((values == value) | (np.abs(values - value) < 1e-8)) for value in seen)
    assert seen.size == np.unique(values.round(9)).size
    assert values[-1] == pytest.approx(run.metrics[metric][0, 0])


def test_fidelity_law_in_rational_arithmetic():
    n, prob0 = 8, Fraction(5, 16)
    models, matrix = rational_chain(n, prob0, clipped(n, Fraction(3, 4)))
    chain = TwoClassChain(n, float(prob0), loss=drawn_only(0.75))
    inside = [abs(q - prob0) <= Fraction(1, 4) for q in models]
    exact = rational_exit_time(matrix, inside)
    assert chain.mean_fidelity_time("tv", above=0.25) == pytest.approx(float(exact), rel=1e-13)
    law = chain.fidelity_interval("tv", above=0.25, horizon=40)
    assert law.n_nodes == sum(inside)
    row = [Fraction(int(i == n + 1)) for i in range(n + 2)]
    for t in range(1, 8):
        row = [sum(p * matrix[i][j] for i, p in enumerate(row) if p) for j in range(n + 2)]
        lost = sum(p for p, here in zip(row, inside, strict=True) if not here)
        assert law.mass[t - 1] == pytest.approx(float(lost), rel=1e-13)
        row = [p if here else Fraction(0) for p, here in zip(row, inside, strict=True)]
        assert abs(law.survival[t] - float(sum(row))) <= law.error < 1e-12


@pytest.mark.parametrize(
    ("metric", "criterion"),
    [
        ("entropy", {"below": 0.75, "relative": True}),
        ("max_prob", {"above": 0.81}),
        ("heterozygosity", {"outside": (0.31, 0.49)}),
        ("kl_to_origin", {"above": 0.05}),
        ("support", {"below": 2}),
    ],
)
def test_fidelity_law_is_a_law(metric, criterion):
    chain = TwoClassChain(20, 0.3, loss=drawn_only(0.9))
    law = chain.fidelity_interval(metric, **criterion, horizon=5000)
    assert law.survival[0] == 1
    assert law.mass.min() >= 0
    assert np.all(np.diff(law.survival) <= 0)
    assert law.error < 1e-11
    np.testing.assert_allclose(1 - np.cumsum(law.mass), law.survival[1:], atol=law.error)
    assert law.survival[-1] < 1e-14
    assert chain.mean_fidelity_time(metric, **criterion) == pytest.approx(law.restricted_mean, rel=1e-11)
    for array in (law.mass, law.survival):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_fidelity_of_the_support_is_absorption():
    chain = TwoClassChain(30, 0.3, loss=drawn_only(0.9))
    assert chain.mean_fidelity_time("support", below=2) == pytest.approx(chain.mean_absorption_time(), rel=1e-14)
    assert TwoClassChain(30, 0.3).mean_fidelity_time("support_fraction", below=1.0) == pytest.approx(
        TwoClassChain(30, 0.3).mean_absorption_time(), rel=1e-14
    )


def test_fidelity_beyond_the_threshold_and_never():
    chain = TwoClassChain(30, 0.3)
    law = chain.fidelity_interval("entropy", below=0.65, horizon=10)
    assert law.median == law.restricted_mean == chain.mean_fidelity_time("entropy", below=0.65) == 0.0
    assert law.mass.sum() == law.survival.sum() == 0
    # fixation of the class with 0.3 takes the total variation to 0.7; of the other one, to 0.3
    assert chain.mean_fidelity_time("tv", above=0.5) == math.inf
    stuck = chain.fidelity_interval("tv", above=0.5, horizon=3000)
    assert stuck.survival[-1] == pytest.approx(0.7, abs=0.2)
    assert stuck.median == math.inf
    assert chain.mean_fidelity_time("tv", above=0.75) == math.inf
    # survival ends in zero, not in subnormal numbers
    short = TwoClassChain(2, 0.5).fidelity_interval("support", below=2, horizon=3000)
    assert short.survival[-1] == 0.0
    np.testing.assert_allclose(short.survival[:900], 0.5 ** np.arange(900), rtol=1e-12)


@pytest.mark.parametrize(
    ("metric", "criterion", "message"),
    [
        ("masked_weight", {"above": 1}, "^metric must be one of 'entropy'"),
        ("std", {"below": 1}, "^metric must be"),
        ("entropy", {}, "below"),
        ("entropy", {"below": 1.0, "above": 2.0}, "below"),
        ("kl_to_origin", {"above": 2.0, "relative": True}, "generation 0 must be positive"),
        ("entropy", {"below": 0.5, "horizon": 0}, "^horizon must be"),
        ("entropy", {"below": 0.5, "horizon": 10**8}, "^horizon must be"),
    ],
)
def test_fidelity_domain(metric, criterion, message):
    with pytest.raises(DomainError, match=message):
        TwoClassChain(10, 0.5).fidelity_interval(metric, **{"horizon": 10, **criterion})


@pytest.fixture(scope="module")
def equivalence():
    """Equivalence tests of the statistical suite, with its error budget."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(pathlib.Path(__file__).parents[1] / "statistical"))
        yield importlib.import_module("equivalence")


@pytest.mark.parametrize(
    ("n", "prob0", "loss", "metric", "criterion", "wrong", "fraction"),
    [
        (20, 0.3, tce.CrossEntropy(), "entropy", {"below": 0.75, "relative": True}, {"n": 22}, 0.0),
        (20, 0.3, drawn_only(0.85), "tv", {"above": 0.22}, {"loss": drawn_only(0.9)}, 0.0),
        # above the cap: frozen until the rare class is drawn
        (12, 0.97, tce.TCE(0.8), "entropy", {"above": 0.55}, {"prob0": 0.975}, 0.0),
        (12, 0.6, tce.TCE(0.7, mask="previous"), "support", {"below": 2}, {"n": 13}, 0.0),
        (20, 0.5, tce.CrossEntropy(), "max_prob", {"above": 0.77}, {"fraction": 0.25}, 0.2),
        (15, 0.2, tce.FocalLoss(1.0, detach=True), "tv", {"above": 0.2}, {"n": 20}, 0.0),
    ],
    ids=["CE", "drawn-only", "warm", "previous", "fresh", "focal"],
)
def test_fidelity_law_against_simulation(equivalence, n, prob0, loss, metric, criterion, wrong, fraction):
    """Law and restricted mean of the interval; control: one constant of the chain changed by 1 to 30 %."""
    # the fit of the focal loss is slow, and generation 3 is late for it
    horizon, replicates = (3, 20_000) if isinstance(loss, tce.FocalLoss) else (25, 40_000)
    settings = {"n": n, "prob0": prob0, "loss": loss, "fraction": fraction}
    chains = [TwoClassChain(**settings), TwoClassChain(**{**settings, **wrong})]
    right, control = (chain.fidelity_interval(metric, **criterion, horizon=horizon) for chain in chains)
    regime = tce.FreshMix(fraction) if fraction else tce.Replace()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", tce.StatisticalWarning)
        run = tce.simulate(
            tce.Categorical([prob0, 1 - prob0]), loss, n_samples=n, generations=horizon, replicates=replicates,
            metrics=[metric], seed=40 + n, regime=regime,
        )  # fmt: skip
    interval = run.fidelity_interval(metric, **criterion, interpolate=False)
    times = np.where(interval.observed, interval.times, horizon + 1).astype(int)
    counts = np.bincount(times, minlength=horizon + 2)[1:]
    masses = [np.append(law.mass, law.survival[-1]) for law in (right, control)]
    equivalence.check(equivalence.mean_of(interval.times), right.restricted_mean, control.restricted_mean)
    equivalence.check_counts(counts, *masses)


# --- the object


def test_chain_is_frozen_and_so_are_its_arrays():
    chain = TwoClassChain(10.0, 0.5)
    assert type(chain.n) is int
    assert chain.loss == tce.CrossEntropy()
    with pytest.raises(dataclasses.FrozenInstanceError):
        chain.n = 5
    for array in (chain.transition, chain.model_probs, chain.sampling_probs):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


@pytest.mark.parametrize(
    ("arguments", "settings", "argument"),
    [
        ((0, 0.5), {}, "n"),
        ((4001, 0.5), {}, "n"),
        ((10, 1.1), {}, "prob0"),
        ((10, 0.5), {"loss": tce.TCE(1.1)}, "gamma"),
        ((10, 0.5), {"loss": 0.9}, "loss"),
        ((10, 0.5), {"loss": tce.WeightedCrossEntropy(lambda p: p)}, "weight"),
        ((10, 0.5), {"fraction": -0.1}, "fraction"),
    ],
)
def test_domain(arguments, settings, argument):
    with pytest.raises(DomainError, match=f"^{argument} must be"):
        TwoClassChain(*arguments, **settings)


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (tce.TCE(0.5, scale="relative"), "would always be masked"),
        (tce.TCE(0.5, mask="previous", vacuous="warm"), "the previous model is kept"),
    ],
)
def test_losses_that_make_no_sense_are_refused(loss, message):
    with pytest.raises(UnsupportedCombinationError, match=message):
        TwoClassChain(10, 0.5, loss=loss)


def test_rounding_of_the_rare_class_masks_nothing():
    # 1 − 0.7 is above 0.3 by rounding, which would freeze a model whose class 2 is unmasked
    chain = TwoClassChain(10, 0.7, loss=tce.TCE(0.3, mask="previous"))
    assert chain.transition[chain.start, 0] == pytest.approx(1 - 0.7**10, rel=1e-13)


def test_generation_below_zero_is_refused():
    with pytest.raises(DomainError, match=r"^t must be"):
        TwoClassChain(10, 0.3).distribution(-1)


def test_warm_start_accepts_its_edge_whatever_the_rounding():
    chain = TwoClassChain(10, 0.3, loss=tce.TCE(0.7))
    assert chain.mean_absorption_time() == math.inf
    assert chain.transition[:, chain.start].max() == 0
