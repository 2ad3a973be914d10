"""Gaussian and Categorical as laws: parameters, sampling, densities, distances, texts; metrics as functions."""

import dataclasses
import json
import math

import mpmath as mp
import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

import tce_theory as tce
from tce_theory import metrics
from tce_theory.models import compatibility_table, decoding_table
from tce_theory.models.text import count_tokens, read_text, standard_text, tokens

GAUSSIANS = [tce.Gaussian(), tce.Gaussian(-1.5, 0.3), tce.Gaussian(2.0, 4.0), tce.Gaussian(2.001, 4.002)]


# -- Gaussian ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", GAUSSIANS)
def test_gaussian_density_and_entropy(model):
    law = stats.norm(model.mean, model.std)
    points = np.linspace(-20, 20, 101)
    np.testing.assert_allclose(model.log_density(points), law.logpdf(points), rtol=1e-13)
    assert model.log_density(points.reshape(101, 1)).shape == (101, 1)
    assert model.entropy() == pytest.approx(law.entropy(), rel=1e-13)
    low, high = model.mean - 12 * model.std, model.mean + 12 * model.std
    total = quad(lambda x: math.exp(model.log_density(x)), low, high, epsabs=1e-13)[0]
    assert total == pytest.approx(1, abs=1e-11)
    entropy = quad(lambda x: -math.exp(model.log_density(x)) * model.log_density(x), low, high, epsabs=1e-13)[0]
    assert entropy == pytest.approx(model.entropy(), abs=1e-10)


@pytest.mark.parametrize("p", GAUSSIANS)
@pytest.mark.parametrize("q", GAUSSIANS)
def test_gaussian_distances_by_quadrature(p, q):
    def integrand(x):
        return math.exp(p.log_density(x)) * (p.log_density(x) - q.log_density(x))

    divergence = quad(integrand, p.mean - 12 * p.std, p.mean + 12 * p.std, epsabs=1e-13, limit=200)[0]
    assert p.kl_divergence(q) == pytest.approx(divergence, rel=1e-9, abs=1e-11)
    assert (p.kl_divergence(q) == 0) == (p == q)
    # the optimal coupling of laws on the line pairs equal quantiles
    levels = (np.arange(200_000) + 0.5) / 200_000
    coupled = ((p.mean + p.std * stats.norm.ppf(levels)) - (q.mean + q.std * stats.norm.ppf(levels))) ** 2
    assert p.w2_squared(q) == pytest.approx(coupled.mean(), rel=1e-3, abs=1e-15)
    assert p.w2_squared(q) == q.w2_squared(p)


@pytest.mark.parametrize("log_ratio", [0.0, 1e-12, 1e-8, 4.9e-4, 5.1e-4, 1e-2, 1.0, -3.0, 30.0, -300.0])
@pytest.mark.parametrize("shift", [0.0, 1e-9, 1.0, -40.0])
def test_gaussian_kl_keeps_its_digits(log_ratio, shift):
    with mp.workdps(60):
        ratio, moved = mp.mpf(log_ratio), mp.mpf(shift)
        exact = (mp.expm1(2 * ratio) - 2 * ratio + moved**2) / 2
    assert float(metrics.gaussian_kl(shift, log_ratio, 0.0, 0.0)) == pytest.approx(float(exact), rel=1e-12)


def test_gaussian_kl_of_arrays_and_beyond_the_range():
    values = metrics.gaussian_kl(np.zeros(3), np.array([0.0, 1.0, 2.0]), 0.0, 0.0)
    assert values.shape == (3,)
    assert float(metrics.gaussian_kl(0.0, 400.0, 0.0, 0.0)) == math.inf
    assert float(metrics.gaussian_kl(0.0, -400.0, 0.0, 0.0)) == pytest.approx(399.5)


def test_gaussian_samples():
    model = tce.Gaussian(3.0, 0.5)
    sample = model.sample(20_000, seed=1)
    assert sample.shape == (20_000,)
    assert sample.dtype == np.float64
    # an equivalence test: the Kolmogorov–Smirnov distance is below 0.0138 with probability .999 under the law
    assert stats.kstest(sample, stats.norm(3.0, 0.5).cdf).statistic < 0.0138
    assert stats.kstest(sample, stats.norm(3.0, 0.5 * 1.1).cdf).statistic > 0.0138  # the control: ten per cent wider
    np.testing.assert_array_equal(sample, model.sample(20_000, seed=1))
    assert (sample != model.sample(20_000, seed=2)).any()
    rng = np.random.default_rng(1)
    first, second = model.sample(3, rng), model.sample(3, rng)
    assert (first != second).all()


def test_gaussian_from_samples():
    samples = [1.0, 2.0, 3.0, 4.0]
    assert tce.Gaussian.from_samples(samples) == tce.Gaussian(2.5, math.sqrt(1.25))
    unbiased = tce.Gaussian.from_samples(samples, ddof=1)
    assert (unbiased.std, unbiased.ddof) == (pytest.approx(math.sqrt(5 / 3), rel=1e-15), 1)
    known = tce.Gaussian.from_samples(samples, fit_mean=False, mean=1.0)
    assert (known.mean, known.std) == (1.0, pytest.approx(math.sqrt(14 / 4), rel=1e-15))
    assert not known.fit_mean
    with pytest.raises(tce.DegenerateFitError):
        tce.Gaussian.from_samples([2.0, 2.0])
    with pytest.raises(tce.DomainError, match="nan"):
        tce.Gaussian.from_samples([1.0, math.nan])


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"mean": math.nan}, "mean must be a finite number"),
        ({"mean": "0"}, "mean must be a finite number"),
        ({"std": 0.0}, "std must be a finite number above 0"),
        ({"std": -1.0}, "std must be"),
        ({"std": math.inf}, "std must be"),
        ({"std": True}, "std must be"),
        ({"fit_mean": 1}, "fit_mean must be True or False"),
        ({"ddof": 2}, "ddof must be 0 or 1"),
        ({"ddof": True}, "ddof must be 0 or 1"),
        ({"ddof": 1, "fit_mean": False}, "ddof must be 0 where the mean is known"),
    ],
)
def test_gaussian_parameters_that_are_refused(arguments, complaint):
    with pytest.raises(tce.DomainError, match=complaint):
        tce.Gaussian(**arguments)


def test_gaussian_is_a_value():
    model = tce.Gaussian(np.float64(1.0), 2)
    assert model == tce.Gaussian(1.0, 2.0)
    assert hash(model) == hash(tce.Gaussian(1.0, 2.0))
    assert repr(model) == "Gaussian(mean=1.0, std=2.0, fit_mean=True, ddof=0)"
    assert eval(repr(model), {"Gaussian": tce.Gaussian}) == model
    assert json.loads(json.dumps(model.describe())) == model.describe()
    for name in ("mean", "std", "fit_mean", "ddof"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(model, name, 1)
    for n in (0, -1, 1.5, "3"):
        with pytest.raises(tce.DomainError, match="n must be an integer"):
            model.sample(n)


def test_densities_far_away_do_not_overflow():
    assert tce.Gaussian(0.0, 1e-300).log_density(1.0) == -math.inf
    assert tce.Gaussian(0.0, 1e-300).log_density(0.0) == pytest.approx(300 * math.log(10) - 0.5 * math.log(2 * math.pi))


# -- Categorical ------------------------------------------------------------------------------------------------------


def test_categorical_measures():
    rng = np.random.default_rng(2)
    for _ in range(50):
        p, q = (tce.Categorical(rng.dirichlet(np.ones(6))) for _ in range(2))
        assert p.size == 6
        assert p.entropy() == pytest.approx(stats.entropy(p.probs), rel=1e-13)
        assert p.kl_divergence(q) == pytest.approx(stats.entropy(p.probs, q.probs), rel=1e-12)
        assert p.total_variation(q) == pytest.approx(0.5 * np.abs(p.probs - q.probs).sum(), rel=1e-12)
        assert p.heterozygosity() == pytest.approx(1 - (p.probs**2).sum(), rel=1e-13)
        np.testing.assert_allclose(p.log_density([0, 5, 5]), np.log(p.probs[[0, 5, 5]]), rtol=1e-15)
        assert p.kl_divergence(p) == p.total_variation(p) == 0


def test_categorical_with_lost_classes():
    lost, whole = tce.Categorical([1.0, 0.0]), tce.Categorical([0.5, 0.5])
    assert lost.entropy() == lost.heterozygosity() == 0
    assert lost.log_density([0, 1]).tolist() == [0, -math.inf]
    assert whole.kl_divergence(lost) == math.inf
    assert lost.kl_divergence(whole) == pytest.approx(math.log(2))
    assert (lost.sample(100, seed=3) == 0).all()


def test_categorical_samples():
    model = tce.Categorical([0.5, 0.3, 0.15, 0.05])
    labels = model.sample(20_000, seed=4)
    assert labels.dtype == np.int64
    counts = np.bincount(labels, minlength=4)
    # chi-square with 3 degrees of freedom: its .999 quantile
    assert stats.chisquare(counts, 20_000 * model.probs).statistic < 16.3
    assert stats.chisquare(counts, 20_000 * np.array([0.48, 0.32, 0.15, 0.05])).statistic > 16.3  # the control
    np.testing.assert_array_equal(labels, model.sample(20_000, seed=4))


def test_categorical_distances_need_equal_sizes():
    for method in ("kl_divergence", "total_variation"):
        with pytest.raises(tce.DomainError, match="a model of 2 classes"):
            getattr(tce.Categorical([0.5, 0.5]), method)(tce.Categorical([1.0]))


@pytest.mark.parametrize(
    ("probs", "complaint"),
    [
        ([0.5, 0.6], "sums to 1.1"),
        ([1.5, -0.5], "-0.5 at index 1"),
        ([0.5, math.nan], "nan at index 1"),
        ([], "1 dimension"),
        ([[0.5, 0.5]], "1 dimension"),
        ("half", "finite numbers"),
    ],
)
def test_probabilities_that_are_refused(probs, complaint):
    with pytest.raises(tce.DomainError, match=complaint):
        tce.Categorical(probs)


def test_rounding_of_the_sum_is_divided_out():
    assert tce.Categorical([0.1, 0.2, 0.7 + 1e-10]).probs.sum() == pytest.approx(1, abs=1e-15)
    with pytest.raises(tce.DomainError):
        tce.Categorical([0.1, 0.2, 0.7 + 1e-8])


def test_categorical_is_immutable():
    given = np.array([0.5, 0.5])
    model = tce.Categorical(given, labels=["a", "b"])
    given[0] = 9
    assert model.probs.tolist() == [0.5, 0.5]
    with pytest.raises(ValueError, match="read-only"):
        model.probs[0] = 1
    with pytest.raises(dataclasses.FrozenInstanceError):
        model.probs = given
    with pytest.raises(tce.DomainError, match="a sequence of 2 names"):
        tce.Categorical([0.5, 0.5], labels=["a"])
    fitted = tce.fit(model, [0, 1, 1], tce.CrossEntropy()).model
    with pytest.raises(ValueError, match="read-only"):
        fitted.probs[0] = 1


def test_categorical_prints_shortly():
    assert repr(tce.Categorical([0.5, 0.25, 0.25])) == "Categorical([0.5 , 0.25, 0.25])"
    assert repr(tce.Categorical.zipf(1000)).endswith(", size=1000)")
    assert len(repr(tce.Categorical.zipf(100_000))) < 120


def test_categorical_describes_itself():
    model = tce.Categorical([0.5, 0.3, 0.2])
    described = json.loads(json.dumps(model.describe()))
    assert described["probs"] == [0.5, 0.3, 0.2]
    large = tce.Categorical.zipf(20_000)
    assert "probs" not in large.describe()
    assert large.describe()["probs_sha256"] != tce.Categorical.zipf(20_000, 1.1).describe()["probs_sha256"]


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.5, -1.0])
def test_zipf(exponent):
    model = tce.Categorical.zipf(50, exponent)
    weights = np.arange(1.0, 51) ** -exponent
    np.testing.assert_allclose(model.probs, weights / weights.sum(), rtol=1e-13)


def test_zipf_at_extremes():
    assert tce.Categorical.zipf(1).probs.tolist() == [1]
    assert tce.Categorical.zipf(10, 1e4).probs[0] == 1
    assert tce.Categorical.zipf(10, -1e4).probs[-1] == 1
    for size, exponent, complaint in ((0, 1.0, "size"), (2.5, 1.0, "size"), (3, math.inf, "exponent")):
        with pytest.raises(tce.DomainError, match=complaint):
            tce.Categorical.zipf(size, exponent)


def test_from_counts():
    assert tce.Categorical.from_counts([3, 1]).probs.tolist() == [0.75, 0.25]
    assert tce.Categorical.from_counts(tce.Counts([3, 1]), labels=["a", "b"]).labels == ("a", "b")
    model = tce.Categorical.from_counts({"be": 3, "not": 1})
    assert (model.labels, model.probs.tolist()) == (("be", "not"), [0.75, 0.25])
    with pytest.raises(tce.DomainError, match="all 0"):
        tce.Categorical.from_counts([0, 0])
    with pytest.raises(tce.DomainError):
        tce.Categorical.from_counts({})


# -- texts ------------------------------------------------------------------------------------------------------------


def test_from_a_string():
    model = tce.Categorical.from_text("To be, or not to be; that's the question — isn’t it?")
    assert model.labels == ("be", "to", "isn’t", "it", "not", "or", "question", "that's", "the")
    np.testing.assert_allclose(model.probs, np.array([2, 2, 1, 1, 1, 1, 1, 1, 1]) / 11)


def test_from_a_file(tmp_path):
    text = "one two two\nthree three three"
    path = tmp_path / "words.txt"
    path.write_text(text, encoding="utf-8")
    expected = tce.Categorical.from_text(text)
    for name in (path, str(path)):
        model = tce.Categorical.from_text(name)
        assert model.labels == expected.labels == ("three", "two", "one")
        np.testing.assert_array_equal(model.probs, expected.probs)


def test_a_byte_order_mark_is_not_a_character(tmp_path):
    path = tmp_path / "marked.txt"
    path.write_bytes(b"\xef\xbb\xbfabca")
    assert tce.Categorical.from_text(path, unit="char").labels == ("a", "b", "c")


def test_characters():
    model = tce.Categorical.from_text("Aa b", unit="char")
    assert model.labels == (" ", "A", "a", "b")  # characters are taken as they are


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(FileNotFoundError):
        tce.Categorical.from_text(tmp_path / "missing.txt")
    for name in (str(tmp_path / "missing.txt"), "missing.txt", "no/such/file", "corpus"):
        with pytest.raises(tce.DomainError, match="the path of an existing file"):
            tce.Categorical.from_text(name)
    latin = tmp_path / "latin.txt"
    latin.write_bytes("été".encode("latin-1"))
    with pytest.raises(tce.DomainError, match="a file in UTF-8"):
        tce.Categorical.from_text(latin)
    empty = tmp_path / "empty.txt"
    empty.touch()
    with pytest.raises(tce.DomainError, match="at least one word"):
        tce.Categorical.from_text(empty)


@pytest.mark.parametrize("text", ["", "  \n", "?! …"])
def test_texts_without_a_word(text):
    with pytest.raises(tce.DomainError, match="at least one word"):
        tce.Categorical.from_text(text)


def test_arguments_of_from_text_that_are_refused():
    with pytest.raises(tce.DomainError, match="unit must be one of 'word', 'char'"):
        tce.Categorical.from_text("to be", unit="token")
    for value in (None, 3, b"to be"):
        with pytest.raises(tce.DomainError, match="text must be a string or a path"):
            tce.Categorical.from_text(value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("春眠不覺曉，處處聞啼鳥。", ["春眠不覺曉", "處處聞啼鳥"]),  # no spaces: clauses are runs of letters
        ("日本語のテスト", ["日本語のテスト"]),
        ("Привет, мир", ["привет", "мир"]),
        ("हिन्दी किताब", ["हिन्दी", "किताब"]),  # vowel signs are marks, not letters
        ("cafe\u0301 café", ["cafe\u0301", "café"]),
        ("rock'n'roll 'quoted' l’été", ["rock'n'roll", "quoted", "l’été"]),
        ("x² = 3,14", ["x²", "3", "14"]),
    ],
)
def test_words_of_many_scripts(text, words):
    assert tokens(text) == words


def test_chinese_by_characters():
    text = "處處聞啼鳥" * 2000  # one word and too long for the name of a file
    model = tce.Categorical.from_text(text, unit="char")
    np.testing.assert_allclose(dict(zip(model.labels, model.probs, strict=True))["處"], 0.4)
    assert tce.Categorical.from_text(text).size == 1


def test_strings_that_are_no_names_of_files():
    for text in ("to be " * 1000, "line\nbreak", "null\0 byte", "/" + "a" * 300 + " b", "春眠不覺曉"):
        assert read_text(text) == text


def test_the_standard_text_has_a_heavy_tail():
    counts = count_tokens(standard_text())
    values = np.array(list(counts.values()))
    assert (values[:-1] >= values[1:]).all()
    assert values.size > 3000
    assert (values == 1).mean() > 0.25
    assert sum(counts.values()) == len(tokens(standard_text()))


# -- what goes with what ----------------------------------------------------------------------------------------------


def test_decoding_table():
    rows = {row.pop("family"): row for row in decoding_table()}
    assert {name for name, verdict in rows["MarkovChain"].items() if verdict == "yes"} == {
        "Temperature(temperature)",
        "TopK(k)",
        "TopP(p)",
    }
    assert rows["GaussianMixture"]["VarianceScaling(factor)"] == "yes"
    assert "which is for classes" in rows["Gaussian"]["TopK(k)"]
    assert all(verdict.startswith("refused: Poisson does not go with") for verdict in rows["Poisson"].values())


def test_compatibility_table():
    rows = compatibility_table()
    assert all(list(row) == ["family", "loss", "regimes", "verdict"] for row in rows)
    assert all(isinstance(cell, str) and cell for row in rows for cell in row.values())
    verdicts = {(row["family"], row["loss"]): row["verdict"] for row in rows}
    assert len(verdicts) == len(rows)
    assert verdicts["Gaussian", "TCE(1.5)"] == "exact fit"
    assert verdicts["Categorical", "TCE(1.5)"].startswith("refused: gamma must be in (0, 1]")
    assert verdicts["Gaussian", "FocalLoss()"].startswith("refused")
    assert verdicts["Categorical", "FocalLoss()"] == "exact fit"


def test_complex_data_are_refused_and_not_cut():
    with pytest.raises(tce.DomainError, match="data must be an array of finite numbers"):
        tce.Gaussian().fit(np.array([1 + 1j, 2.0]), tce.CrossEntropy())


@pytest.mark.parametrize("seed", ["a", -1, 1.5, np.random.RandomState(1)], ids=str)
@pytest.mark.parametrize(
    "model", [tce.Gaussian(), tce.Categorical([0.5, 0.5]), tce.GaussianMixture.two_moons()], ids=repr
)
def test_seeds_of_samples_are_nonnegative_integers_or_generators(model, seed):
    with pytest.raises(tce.DomainError, match="seed must be an integer of at least 0"):
        model.sample(3, seed=seed)
    assert len(model.sample(3)) == len(model.sample(3, seed=np.random.default_rng(1))) == 3
