"""``tce predict``."""

import pytest

import tce_theory as tce
from tce_theory.prediction import predict

LAW = ("predict", "--zipf", "1000:1.1", "--n", "1e6", "--generations", "100")


def test_table_and_half_lives(succeed):
    out = succeed(*LAW).out
    prediction = predict(tce.Categorical.zipf(1000, 1.1), n_samples=10**6, generations=100)
    for row, generation in enumerate(prediction.generations):
        (line,) = [
            line for line in out.splitlines() if line.split()[:1] == [str(generation)] and len(line.split()) == 6
        ]
        assert line.split()[1::2] == [
            f"{prediction.types[row]:,.1f}",
            f"{prediction.entropy[row]:.6f}",
            f"{prediction.heterozygosity[row]:.6f}",
        ]
    assert "1000000 points a generation" in out
    assert "types not by generation 100" in out
    assert "not of a single run" in out


def test_share(succeed):
    prediction = predict(tce.Categorical.zipf(1000, 1.1), n_samples=10**6, generations=100)
    when = prediction.half_life("types", 0.99)
    assert f"99 % left: types at generation {when}," in succeed(*LAW, "--share", "0.99").out
    assert succeed(*LAW, "--share", "0.99", "--json").json["share_left"]["types"] == when


def test_json_is_the_prediction(succeed):
    report = succeed(*LAW, "--json").json
    prediction = predict(tce.Categorical.zipf(1000, 1.1), n_samples=10**6, generations=100)
    assert {name: report[name] for name in prediction.to_dict()} == prediction.to_dict()
    assert report["share_left"] == {"share": 0.5, "types": None, "entropy": None, "heterozygosity": None}
    assert report["comparison"] is None
    assert report["generation_0"].startswith("Categorical(")


def test_counts_of_a_file(succeed, tmp_path):
    path = tmp_path / "counts.csv"
    path.write_text("word,count\nthe,60\nof,30\nand,10\n", encoding="utf-8")
    argv = ("predict", "--counts", path, "--column", "count", "--n", "50", "--generations", "20", "--json")
    expected = predict(tce.Categorical([0.6, 0.3, 0.1]), n_samples=50, generations=20)
    assert succeed(*argv).json["types"] == expected.types.tolist()


def test_text(succeed, tmp_path):
    path = tmp_path / "text.txt"
    path.write_text("to be or not to be", encoding="utf-8")
    report = succeed("predict", "--text", path, "--n", "50", "--generations", "20", "--json").json
    assert report["types"][0] == report["classes"] == 4


def test_comparison(succeed):
    argv = ("predict", "--zipf", "30", "--n", "50", "--generations", "20", "--compare", "200", "--seed", "4")
    comparison = predict(tce.Categorical.zipf(30), n_samples=50, generations=20).compare(200, seed=4)
    assert succeed(*argv, "--json").json["comparison"] == comparison.to_dict()
    out = succeed(*argv).out
    assert "simulated less predicted" in out
    assert "seed: 4" in out


def test_fresh_seed_is_shown(succeed):
    argv = ("predict", "--zipf", "30", "--n", "50", "--generations", "20", "--compare", "20")
    (seed,) = [line.split()[1] for line in succeed(*argv).out.splitlines() if line.startswith("seed:")]
    assert succeed(*argv, "--seed", seed, "--json").json["comparison"]["seed"] == int(seed)


def test_plot(succeed, tmp_path):
    path = tmp_path / "prediction.pdf"
    assert f"file: {path}" in succeed(*LAW, "--plot", path).out
    assert path.read_bytes().startswith(b"%PDF")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--n", "1e16"), "--n-samples must be an integer of at least 1 and at most 9000000000000000, got 1e+16"),
        (("--generations", "0"), "--generations must be an integer of at least 1"),
        (("--generations", "many"), "--generations must be an integer of at least 1"),
        (("--share", "1.5"), "--share must be a number in (0, 1], got 1.5"),
        (("--seed", "1"), "--seed needs --compare R"),
        (("--compare", "1"), "--compare must be an integer of at least 2"),
        (("--compare", "1e9"), "--compare must be from 2 to 100000 at this size, got 1000000000.0"),
        (("--text", "missing.txt"), "--zipf and --text do not go together"),
        (("--zipf", "x"), "--zipf must be K or K:EXPONENT"),
        (("--plot", "prediction.doc"), "--plot must be a file that ends in .pdf or .png or .svg"),
    ],
)
def test_bad_input_is_one_line(run, options, message):
    given = dict(zip(LAW[1::2], LAW[2::2], strict=True)) | dict([options])
    outcome = run("predict", *(word for pair in given.items() for word in pair))
    assert outcome.code == 2
    assert message in outcome.err
    assert outcome.err.count("\n") == 1
    assert outcome.out == ""


def test_missing_sizes(run):
    assert "--n-samples is missing" in run("predict", "--zipf", "10", "--generations", "5").err
