"""Generation: against plain Python token by token, beams against an exhaustive search, bad input."""

import itertools

import numpy as np
import pytest

import tce_theory as tce
from tce_theory.decoding import BeamSearch, Temperature, TopK, TopP
from tce_theory.models import decoding_table
from tce_theory.models.categorical import Categorical
from tce_theory.models.markov import MarkovChain
from tce_theory.neural import generation
from tce_theory.neural.generation import generate
from tce_theory.neural.network import Architecture

ARCHITECTURES = {
    "tabular, no context": Architecture(3, 0, None),
    "tabular": Architecture(4, 2, None),
    "linear": Architecture(5, 2, 4),
    "one layer": Architecture(6, 3, 4, (7,)),
    "three layers": Architecture(70, 2, 3, (9, 5, 8)),
}
EVERY_ARCHITECTURE = pytest.mark.parametrize("architecture", ARCHITECTURES.values(), ids=ARCHITECTURES)
DECODINGS = [None, Temperature(0.6), Temperature(3.0), TopK(1), TopK(2), TopK(100), TopP(0.01), TopP(0.7), TopP(1.0)]
EVERY_DECODING = pytest.mark.parametrize("decoding", DECODINGS, ids=repr)


def rng(seed=1):
    return np.random.default_rng(seed)


def network_of(architecture, seed=1, scale=1.5):
    return scale * rng(seed).standard_normal(architecture.n_parameters)


def prompts_of(architecture, n, seed=2):
    return rng(seed).integers(architecture.vocabulary, size=(n, architecture.context))


def log_probs(architecture, theta, tokens):
    context = np.array(tokens[len(tokens) - architecture.context :], np.int64).reshape(1, -1)
    return architecture.log_probs(theta, context)[0]


def drawn(law, prompt, uniforms):
    """Continue a prompt in plain Python; `law` gives the probabilities after some tokens."""
    tokens = list(prompt)
    for u in uniforms:
        tokens.append(int(np.searchsorted(np.cumsum(law(tokens)), u, side="right")))
    return tokens[len(prompt) :]


def searched(architecture, theta, prompt, length, width, penalty):
    """Search with beams in plain Python; return the best continuation and its score."""
    beams = [((), 0.0)]
    for _ in range(length):
        candidates = []
        for continuation, score in beams:
            found = log_probs(architecture, theta, (*prompt, *continuation))
            for token, log_prob in enumerate(found):
                factor = penalty if token in (*prompt, *continuation) else 1.0
                candidates.append(((*continuation, token), score + factor * log_prob))
        beams = sorted(candidates, key=lambda candidate: -candidate[1])[:width]  # stable
    return beams[0]


# ------------------------------------------------------------------------------------------------- drawing


@EVERY_DECODING
@EVERY_ARCHITECTURE
def test_tokens_are_those_of_plain_python_from_the_same_numbers(architecture, decoding):
    theta, prompts = network_of(architecture), prompts_of(architecture, 6)

    def law(tokens):
        return Categorical(np.exp(log_probs(architecture, theta, tokens))).decoded(decoding).probs

    found = generate(architecture, theta, prompts, 5, decoding, rng(3))
    assert found.dtype == np.int64
    expected = [drawn(law, prompt, row) for prompt, row in zip(prompts.tolist(), rng(3).random((6, 5)), strict=True)]
    assert found.tolist() == expected


@EVERY_DECODING
def test_a_table_writes_what_the_chain_of_the_same_decoding_does(decoding):
    matrix = rng().dirichlet(np.ones(3), 9)
    transition = MarkovChain(matrix, order=2).decoded(decoding).transition
    architecture, prompts = Architecture(3, 2, None), prompts_of(Architecture(3, 2, None), 8)
    found = generate(architecture, np.log(matrix).ravel(), prompts, 20, decoding, rng(3))
    expected = [
        drawn(lambda tokens: transition[3 * tokens[-2] + tokens[-1]], prompt, row)
        for prompt, row in zip(prompts.tolist(), rng(3).random((8, 20)), strict=True)
    ]
    assert found.tolist() == expected


@pytest.mark.parametrize("decoding", [None, TopK(2), TopP(0.8), BeamSearch(3, 1.5)], ids=repr)
def test_what_is_remembered_changes_nothing(decoding, monkeypatch):
    """Nor how many continuations advance together, which follows from it; nor the rows that come after."""
    architecture = ARCHITECTURES["one layer"]
    theta, prompts = network_of(architecture), prompts_of(architecture, 150)
    whole = generate(architecture, theta, prompts, 12, decoding, rng(3))
    np.testing.assert_array_equal(generate(architecture, theta, prompts[:40], 12, decoding, rng(3)), whole[:40])
    for laws in (0, 1, 7, 151):
        monkeypatch.setattr(generation, "_REMEMBERED", laws * architecture.vocabulary)
        np.testing.assert_array_equal(generate(architecture, theta, prompts, 12, decoding, rng(3)), whole)


def test_many_prompts_are_continued_one_chunk_after_the_other():
    architecture = Architecture(3, 1, None)
    theta, prompts = network_of(architecture), prompts_of(architecture, 9000)
    found = generate(architecture, theta, prompts, 2, None, rng(3))
    cumulative = np.cumsum(architecture.table(theta), axis=1)
    uniforms, last = rng(3).random((9000, 2)), prompts[:, 0]
    for step in range(2):
        last = (cumulative[last] <= uniforms[:, step, None]).sum(axis=1)
        np.testing.assert_array_equal(found[:, step], last)


def test_of_ties_those_stay_that_come_first():
    architecture = Architecture(6, 0, None)
    theta, prompts = np.array([0.0, 1.0, 0.0, 1.0, 1.0, 0.0]), np.empty((500, 0), np.int64)
    for decoding, tokens in (
        (TopK(2), {1, 3}),
        (TopK(4), {0, 1, 3, 4}),
        (TopP(0.4), {1, 3}),
        (TopP(0.8), {0, 1, 3, 4}),
        (TopP(1e-14), {1}),
        (TopP(5e-324), {1}),  # a nucleus has one token at least
    ):
        assert set(generate(architecture, theta, prompts, 1, decoding, rng()).ravel().tolist()) == tokens


def test_truncation_is_that_of_the_categorical_family():
    """Many ties, masses on the border of the nucleus, and laws of very different shape."""
    from tce_theory.kernels import generation as kernel

    numbers = rng()
    for _ in range(300):
        size = int(numbers.integers(2, 40))
        weights = numbers.choice([1e-300, 1e-9, 0.125, 0.25, 0.5, 1.0], size) * numbers.choice([1.0, 0.3], size)
        decoding = TopK(int(numbers.integers(2, 45))) if numbers.random() < 0.5 else TopP(numbers.uniform(0.01, 1.0))
        expected = Categorical(weights / weights.sum()).decoded(decoding).probs
        found = weights.copy()
        code, parameter = generation._kernel_decoding(decoding)
        kernel._truncate(found, weights.sum(), code, parameter, np.empty((3, size)))
        np.testing.assert_allclose(found / found.sum(), expected, rtol=1e-14)


class Constant:
    """Stands for a generator whose uniform numbers are all the same."""

    def __init__(self, u):
        self.u = u

    def random(self, shape):
        return np.full(shape, self.u)


@EVERY_DECODING
@EVERY_ARCHITECTURE
def test_the_smallest_and_largest_numbers_give_possible_tokens(architecture, decoding):
    theta, prompts = network_of(architecture, scale=0.5), prompts_of(architecture, 30)
    for u, end in ((0.0, 0), (1 - 2.0**-53, -1)):
        found = generate(architecture, theta, prompts, 1, decoding, Constant(u))[:, 0]
        for prompt, token in zip(prompts, found, strict=True):
            law = Categorical(np.exp(log_probs(architecture, theta, prompt))).decoded(decoding).probs
            assert token == np.flatnonzero(law)[end]


def test_extreme_parameters():
    architecture = ARCHITECTURES["one layer"]
    theta, prompts = network_of(architecture, scale=1e5), prompts_of(architecture, 50)
    greedy = generate(architecture, theta, prompts, 10, TopK(1), rng())
    for decoding in (None, Temperature(1e-320), Temperature(1e-3), TopP(0.5), BeamSearch(1)):
        np.testing.assert_array_equal(generate(architecture, theta, prompts, 10, decoding, rng()), greedy)
    hot = generate(architecture, theta, prompts, 100, Temperature(1e300), rng())
    assert np.bincount(hot.ravel(), minlength=6).min() > 700


def test_exponentials_and_tangents():
    from tce_theory.kernels import generation as kernel

    x = np.concatenate([np.linspace(-1400, 1400, 100_001), np.linspace(-1, 1, 1001), [0.0, -1e-300]])
    values, powers = x.copy(), np.empty(x.size)
    kernel._exponentials(values, 0.5, powers)
    np.testing.assert_allclose(values, np.exp(0.5 * x), rtol=4.5e-16)
    values = np.array([-np.inf, -1e6, 1e6])
    kernel._exponentials(values, 1.0, powers[:3].copy())
    assert np.isfinite(values).all()
    assert values[0] == values[1] < 1e-300
    values = x.copy()
    kernel._tanh(values, powers)
    np.testing.assert_allclose(values, np.tanh(x), atol=3e-16)


# ------------------------------------------------------------------------------------------------- beams


@pytest.mark.parametrize(("width", "penalty"), [(1, 1.0), (2, 1.0), (5, 3.0), (40, 1.3)])
@EVERY_ARCHITECTURE
def test_beams_are_those_of_plain_python(architecture, width, penalty):
    theta, prompts = network_of(architecture), prompts_of(architecture, 4)
    found = generate(architecture, theta, prompts, 4, BeamSearch(width, penalty), rng())
    expected = [searched(architecture, theta, prompt, 4, width, penalty)[0] for prompt in prompts.tolist()]
    assert list(map(tuple, found.tolist())) == expected


@EVERY_ARCHITECTURE
def test_one_beam_is_greedy(architecture):
    theta, prompts = network_of(architecture), prompts_of(architecture, 100)
    beam, greedy = (generate(architecture, theta, prompts, 20, way, rng()) for way in (BeamSearch(1), TopK(1)))
    np.testing.assert_array_equal(beam, greedy)


@pytest.mark.parametrize("penalty", [1.0, 2.0])
def test_as_many_beams_as_continuations_find_the_best_of_all(penalty):
    architecture = Architecture(4, 2, 3, (5,))
    theta, prompts = network_of(architecture), prompts_of(architecture, 6)
    found = generate(architecture, theta, prompts, 4, BeamSearch(4**4, penalty), rng())

    def score(prompt, continuation):
        return sum(
            log_probs(architecture, theta, (*prompt, *continuation[:at]))[token]
            * (penalty if token in (*prompt, *continuation[:at]) else 1.0)
            for at, token in enumerate(continuation)
        )

    for prompt, continuation in zip(prompts.tolist(), found.tolist(), strict=True):
        scores = {every: score(prompt, every) for every in itertools.product(range(4), repeat=4)}
        assert tuple(continuation) == max(scores, key=scores.get)


def test_more_beams_look_further():
    """What is best in the end begins with the third best token."""
    theta = np.log([[0.4, 0.35, 0.25], [0.34, 0.33, 0.33], [0.005, 0.005, 0.99]]).ravel()
    for width, expected in ((1, 0), (2, 0), (3, 2)):
        found = generate(Architecture(3, 1, None), theta, np.array([[0]]), 3, BeamSearch(width), rng())
        assert found.tolist() == [[expected] * 3]


def test_ties_of_beams_go_to_the_better_beam_and_the_lower_token():
    architecture = Architecture(3, 0, None)
    prompts = np.empty((2, 0), np.int64)
    assert generate(architecture, np.zeros(3), prompts, 3, BeamSearch(4), rng()).tolist() == [[0, 0, 0]] * 2
    # a penalty makes every token new; all orders are equally good
    assert generate(architecture, np.zeros(3), prompts, 3, BeamSearch(4, 1.5), rng()).tolist() == [[0, 1, 2]] * 2


def test_the_penalty_counts_tokens_of_the_prompt():
    architecture = Architecture(3, 2, None)
    theta = np.tile(np.log([0.5, 0.3, 0.2]), 9)
    prompts = np.array([[0, 0], [2, 1]])
    found = generate(architecture, theta, prompts, 1, BeamSearch(3, 3.0), rng())
    assert found.tolist() == [[1], [0]]  # log .3 against 3 log .5; log .5 against 3 log .3 and 3 log .2


def test_beams_take_no_random_numbers():
    architecture, numbers = Architecture(3, 1, None), rng()
    generate(architecture, np.zeros(9), np.zeros((2, 1), np.int64), 3, BeamSearch(2), numbers)
    assert numbers.random() == rng().random()


# ------------------------------------------------------------------------------------------------- what goes with what


def test_only_networks_take_beams():
    verdicts = {row["family"]: row["BeamSearch(width)"] for row in decoding_table()}
    for family, verdict in verdicts.items():
        assert (verdict == "yes") == family.startswith("NeuralLanguageModel"), (family, verdict)
        assert verdict == "yes" or "BeamSearch(width=2, repetition_penalty=1.0)" in verdict
    for model, message in (
        (tce.Gaussian(), "which is for networks: a density takes VarianceScaling"),
        (Categorical([0.5, 0.5]), "which is for networks: classes take Temperature, TopK or TopP"),
        (MarkovChain([[0.5, 0.5], [0.5, 0.5]]), "which is for networks: symbols take Temperature, TopK or TopP"),
    ):
        with pytest.raises(tce.UnsupportedCombinationError, match=message):
            model.check(tce.CrossEntropy(), tce.Replace(), BeamSearch())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: BeamSearch(0), "width must be an integer of at least 1, got 0"),
        (lambda: BeamSearch(2, 0.9), "repetition_penalty must be a finite number of at least 1, got 0.9"),
        (lambda: BeamSearch(2, np.inf), "repetition_penalty must be a finite number"),
    ],
)
def test_bad_beams(make, message):
    with pytest.raises(tce.DomainError, match=message):
        make()


TABLE = Architecture(3, 1, None)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"prompts": np.zeros((2, 2), int)}, r"prompts must be integer tokens of shape \(P, 1\)"),
        ({"prompts": np.zeros((0, 1), int)}, r"prompts must be integer tokens of shape \(P, 1\)"),
        (
            {"prompts": np.zeros((2, 1))},
            r"prompts must be integer .*, got 'an array of float64 of shape \(2, 1\)",
        ),
        ({"prompts": np.array([[0], [3]])}, "prompts must be tokens from 0 to 2, got 3"),
        ({"prompts": np.array([[0], [-1]])}, "prompts must be tokens from 0 to 2, got -1"),
        ({"theta": np.zeros(8)}, r"theta must be of shape \(9,\), got 'an array of shape \(8,\)'"),
        ({"theta": np.full(9, np.nan)}, r"theta must be finite \(the training diverged\), got nan"),
        ({"length": 0}, "length must be an integer of at least 1, got 0"),
    ],
)
def test_bad_input(options, message):
    arguments = {"theta": np.zeros(9), "prompts": np.zeros((2, 1), int), "length": 2} | options
    with pytest.raises(tce.DomainError, match=message):
        generate(TABLE, decoding=None, rng=rng(), **arguments)


def test_decodings_of_densities_are_refused():
    with pytest.raises(tce.UnsupportedCombinationError, match="tokens take Temperature, TopK, TopP or BeamSearch"):
        generate(TABLE, np.zeros(9), np.zeros((2, 1), int), 2, tce.VarianceScaling(0.5), rng())
