"""``tce theory`` lists the registry, evaluates its closed forms, and answers bad input with one line."""

import importlib

import numpy as np
import pytest

import tce_theory as tce
from tce_theory import plotting
from tce_theory.cli import _ranges, _tex


def fails(run, *argv):
    outcome = run("theory", *argv)
    assert (outcome.code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    return outcome.err


# --- the registry ---


def test_every_theorem_is_listed_with_its_status(succeed):
    out = succeed("theory").out
    for theorem in tce.theorems.every().values():
        line = next(line for line in out.splitlines() if line.split()[:1] == [theorem.slug])
        assert theorem.status.value in line


def test_the_list_as_json_is_the_registry(succeed):
    listed = succeed("theory", "--json").json["theorems"]
    assert [entry["slug"] for entry in listed] == list(tce.theorems.every())
    assert {key for entry in listed for key in entry} == {
        "slug", "title", "status", "hypotheses", "claims", "source", "depends_on", "proof",
    }  # fmt: skip


def test_listing_does_not_load_sympy():
    import subprocess
    import sys

    code = "import sys, tce_theory.cli; tce_theory.cli.main(['theory']); assert 'sympy' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.DEVNULL)


def test_a_theorem_is_shown_with_hypotheses_relation_functions_and_proof(succeed):
    out = succeed("theory", "tail-inflation").out
    theorem = tce.theorems.get("tail-inflation")
    hypotheses = map(_tex.as_text, theorem.hypotheses)
    for part in (theorem.title, *hypotheses, theorem.source, theorem.proof, "tail_inflation: --a", "erfc"):
        assert part in out


def test_a_theorem_as_json_has_its_relations(succeed):
    claims = {claim["name"]: claim for claim in succeed("theory", "tail-inflation", "--json").json["claims"]}
    assert claims["factor"]["relation"].startswith("Eq(eta(a)")
    assert claims["growth"]["relation"] is None


def test_a_theorem_is_shown_with_what_its_parameters_mean(succeed):
    lines = succeed("theory", "gaussian-ce-law").out.splitlines()
    assert "--t: Generation, from 0." in lines
    # its docstring refers to that of another function
    assert "--n: Points a generation: at least 2 with a fitted mean, at least 1 with a known one." in lines
    (flag,) = [line for line in lines if line.startswith("--fit-mean: ")]
    assert flag.endswith("Default: true.")


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"$\sigma_f = \frac{1}{\gamma\sqrt{2\pi e}}$, then", "σ_f = 1/(γ√(2π e)), then"),
        (r"$b\coth b$", "b coth b"),
        (r"$\frac{b}{2}\coth\frac{b}{2}$", "(b/2) coth(b/2)"),
        (
            r"$\frac{1}{n}\left(1 + \frac{1}{n}\right) + \frac{\eta}{2} \frac{1}{T} \sum_t g_t$",
            "(1/n) (1 + 1/n) + (η/2) (1/T) Σ_t g_t",
        ),
        (r"$\log \frac{2}{n - d} - \nabla_{\theta_h} \hat\sigma \ge 0$", "log (2/(n - d)) - ∇_{θ_h} σ̂ ≥ 0"),
        (r"$W_{t+1} = \max(0, W_t + \xi_t)$", "W_{t+1} = max(0, W_t + ξ_t)"),
        (r"$a_{mean} \ge 10^{-12}$", "a_mean ≥ 10⁻¹²"),
        (r"$\mathrm{E}e^{-uS}\,\mathrm{Var} X$", "E e^(-uS) Var X"),
        (r"$\left(1 + \frac{5}{12n}\right) \lVert \bar z \rVert^2$", "(1 + 5/(12n)) ‖z̄‖²"),
        (r"$\binom{n}{k} \in \{0, 1\}$", "C(n, k) ∈ {0, 1}"),
        ("`slug` and 5 dollars", "`slug` and 5 dollars"),
    ],
)
def test_formulas_as_text(tex, text):
    assert _tex.as_text(tex) == text


def test_no_formula_of_the_registry_is_left_in_tex():
    for theorem in tce.theorems.every().values():
        for statement in (*theorem.hypotheses, *(claim.statement for claim in theorem.claims)):
            assert not set("$\\") & set(_tex.as_text(statement)), statement


def test_every_closed_form_and_every_parameter_of_it_is_explained():
    for theorem in tce.theorems.every().values():
        for path in theorem.functions:
            module, _, name = path.rpartition(".")
            if not module.startswith("theory."):
                continue
            function = getattr(importlib.import_module(f"tce_theory.{module}"), name)
            assert _ranges.summary_of(function), path
            for parameter in _ranges.parameters_of(function):
                assert parameter.meaning, (path, parameter.name)
                assert not parameter.meaning.startswith("See `"), (path, parameter.name)


# --- values ---


def test_a_value(succeed):
    (row,) = succeed("theory", "tail-inflation", "--a", "0.5", "--json").json["rows"]
    assert row["tail_inflation"] == tce.theory.truncated.tail_inflation(0.5)
    assert row["relative_gamma"] == tce.theory.truncated.relative_gamma(0.5)


def test_value_and_option_may_be_one_word(succeed):
    assert succeed("theory", "tail-inflation", "--a=0.5").out == succeed("theory", "tail-inflation", "--a", "0.5").out


def test_a_value_is_printed_with_twelve_digits(succeed):
    assert "1.57053888518" in succeed("theory", "tail-inflation", "--a", "0.5", "--quiet").out


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,2,4", [1, 2, 4]),
        ("0:2:5", [0, 0.5, 1, 1.5, 2]),
        ("1:100:log:3", [1, 10, 100]),
        ("100:1:log:3", [100, 10, 1]),
        ("0:1", np.linspace(0, 1, 11)),
    ],
)
def test_lists_and_ranges(succeed, text, expected):
    rows = succeed("theory", "tail-inflation", "--a", text, "--json").json["rows"]
    np.testing.assert_allclose([row["a"] for row in rows], expected, rtol=1e-14, atol=0)
    values = [tce.theory.truncated.tail_inflation(row["a"]) for row in rows]
    assert [row["tail_inflation"] for row in rows] == values


def test_a_range_of_an_integer_parameter_is_one_of_integers(succeed):
    rows = succeed("theory", "gaussian-ce-law", "--n", "10:1000:log", "--json").json["rows"]
    sizes = [row["n"] for row in rows]
    assert sizes == [10, 16, 25, 40, 63, 100, 158, 251, 398, 631, 1000]
    assert all(isinstance(size, int) for size in sizes)


def test_short_integer_ranges_have_no_duplicates(succeed):
    rows = succeed("theory", "gaussian-ce-law", "--n", "2:5", "--json").json["rows"]
    assert [row["n"] for row in rows] == [2, 3, 4, 5]


def test_only_the_functions_whose_parameters_are_given_are_evaluated(succeed):
    without = succeed("theory", "gaussian-ce-law", "--n", "10", "--json").json["rows"][0]
    assert "log_variance_drift" in without
    assert not any(name.startswith("expected_variance") for name in without)
    both = succeed("theory", "gaussian-ce-law", "--n", "10", "--t", "3", "--json").json["rows"][0]
    assert both["expected_variance"] == tce.theory.gaussian.expected_variance(3, 10)


def test_one_function_may_be_asked_for(succeed):
    arguments = ("--function", "expected_variance", "--n", "10", "--t", "3", "--json")
    assert list(succeed("theory", "gaussian-ce-law", *arguments).json["rows"][0]) == ["expected_variance"]


def test_booleans_choose_the_fit(succeed):
    arguments = ("gaussian-ce-law", "--n", "10", "--t", "3", "--function", "expected_variance", "--json")
    known = succeed("theory", *arguments, "--fit-mean", "false").json
    assert known["rows"][0]["expected_variance"] == tce.theory.gaussian.expected_variance(3, 10, fit_mean=False) == 1.0
    assert known["parameters"]["fit_mean"] is False


def test_functions_have_several_spellings(succeed):
    expected = succeed("theory", "gaussian-ce-law", "--function", "std_factor", "--n", "10").out
    for name in ("std-factor", "theory.gaussian.std_factor", "tce_theory.theory.gaussian.std_factor"):
        assert succeed("theory", "gaussian-ce-law", "--function", name, "--n", "10").out == expected


def test_a_closed_form_without_parameters_may_be_asked_for(succeed):
    arguments = ("wall-population", "--function", "largest_overshoot", "--json")
    assert succeed("theory", *arguments).json["rows"] == [
        {f"largest_overshoot.{key}": value for key, value in tce.theory.wall.largest_overshoot()._asdict().items()}
    ]
    assert "largest_overshoot" not in succeed("theory", "wall-population", "--tau", "0.5").out


def test_parameters_may_be_written_as_in_python(succeed):
    arguments = ("theory", "gaussian-ce-law", "--n", "10", "--t", "3")
    assert succeed(*arguments, "--fit_mean", "false").out == succeed(*arguments, "--fit-mean", "false").out


def test_values_say_what_they_are_and_how_firmly_they_are_known(succeed):
    out = succeed("theory", "wright-fisher", "--n", "100", "--p", "0.3").out
    (limit,) = [line for line in out.splitlines() if line.startswith("absorption_time_limit: ")]
    assert "Mean absorption time" in limit
    assert limit.endswith("[diffusion limit]")
    (fixation,) = [line for line in out.splitlines() if line.startswith("fixation_probability: ")]
    assert not fixation.endswith("]")  # proved, as the theorem
    functions = succeed("theory", "wright-fisher", "--n", "100", "--p", "0.3", "--json").json["functions"]
    assert functions["absorption_time_limit"]["status"] == "diffusion limit"
    assert functions["fixation_probability"]["status"] == "proved"


def test_matrices_are_shown_row_by_row(succeed):
    arguments = ("tce-gradient", "--probs", "0.5,0.5", "--frequencies", "0.3,0.7", "--gamma", "0.5", "--quiet")
    assert "tce_hessian: [0.25, -0.25], [-0.25, 0.25]" in succeed("theory", *arguments).out


def test_tables_in_a_pipe_have_one_line_a_row(succeed):
    lines = succeed("theory", "gaussian-ce-law", "--n", "10,100", "--t", "5", "--quiet").out.strip().splitlines()
    assert len(lines) == 4  # heading, rule, two rows
    assert lines[0].split()[0] == "n"
    assert "variance_of_variance" in lines[0]
    assert [len(line.split()) for line in (lines[0], *lines[2:])] == [11, 11, 11]


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_digit_is_folded_on_a_terminal(succeed, monkeypatch, width):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")
    monkeypatch.setenv("COLUMNS", str(width))
    out = succeed("theory", "gaussian-ce-law", "--n", "10,100", "--t", "5", "--quiet").out
    lines = out.splitlines()
    assert max(map(len, lines)) <= width
    for name in ("log_variance_step_variance", "expected_variance"):
        (heading,) = [line for line in lines if name in line.split()]
        row = lines[lines.index(heading) + 2].split()
        value = getattr(tce.theory.gaussian, name)
        expected = value(5, 10) if name == "expected_variance" else value(10)
        assert float(row[heading.split().index(name)]) == pytest.approx(expected, rel=1e-11)


def test_several_ranges_are_combined(succeed):
    table = succeed("theory", "gaussian-ce-law", "--n", "10,100", "--t", "1,2,3", "--json").json
    assert [(row["n"], row["t"]) for row in table["rows"]] == [(n, t) for n in (10, 100) for t in (1, 2, 3)]


def test_vectors(succeed):
    one = succeed("theory", "cap-bias", "--probs", "0.6,0.3,0.1", "--gamma", "0.5", "--json").json["rows"][0]
    assert one["cap_bias"] == pytest.approx(0.1, rel=1e-14)
    zipf = succeed("theory", "cap-bias", "--probs", "zipf:10", "--gamma", "0.15,0.2", "--json").json["rows"]
    probs = tce.Categorical.zipf(10).probs
    expected = [tce.theory.categorical.cap_bias(probs, gamma) for gamma in (0.15, 0.2)]
    assert [row["cap_bias"] for row in zipf] == expected


def test_closed_forms_without_parameters_are_shown_with_their_value(succeed):
    line = next(line for line in succeed("theory", "wall-population").out.splitlines() if "largest_overshoot" in line)
    tau, std = tce.theory.wall.largest_overshoot()
    assert f"value.tau = {tau:.12g}, value.std = {std:.12g}" in line


@pytest.mark.parametrize("suffix", ["png", "pdf", "svg"])
def test_a_plot(succeed, tmp_path, suffix):
    path = tmp_path / f"plot.{suffix}"
    assert str(path) in succeed("theory", "gaussian-ce-law", "--n", "10:100:log", "--t", "1,5", "--plot", path).out
    assert path.stat().st_size > 1000


def test_a_plot_over_the_numbers_where_words_vary_too(succeed, tmp_path):
    path = tmp_path / "plot.svg"
    succeed("theory", "relative-fixed-point", "--mask", "current,previous", "--a", "0.1:0.9:3", "--plot", path)
    assert path.stat().st_size > 1000


def test_a_plot_is_finer_than_its_table_and_has_the_range_on_its_axis(succeed, tmp_path, monkeypatch):
    drawn = {}
    monkeypatch.setattr(plotting, "closed_forms", lambda rows, **how: drawn.update(how, rows=rows))
    monkeypatch.setattr(plotting, "save", lambda figure, path: None)
    arguments = ("gaussian-ce-law", "--n", "10,100", "--t", "0:1000", "--plot", tmp_path / "plot.pdf", "--json")
    assert len(succeed("theory", *arguments).json["rows"]) == 2 * 11
    assert (drawn["x"], drawn["lines"], len(drawn["rows"])) == ("t", ["n"], 2 * 101)


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tail-inflaton"], "slug must be that of a theorem (did you mean tail-inflation?), got 'tail-inflaton'"),
        (["xyzzy"], "slug must be that of a theorem (tce theory lists them), got 'xyzzy'"),
        (["--n", "10"], "--n needs a theorem before it: tce theory SLUG --n …"),
        (["tail-inflation", "--b", "1"], "--b is not a parameter of tail-inflation; it has --a"),
        (["--jsn"], "no such option --jsn; did you mean --json?"),
        (["--plot", "x.png"], "--plot needs a theorem: tce theory SLUG"),
        (["--function", "alpha"], "--function needs a theorem: tce theory SLUG"),
        (["tail-inflation", "--gama", "1"], "--gama is not a parameter of tail-inflation; did you mean --gamma?"),
        (["tail-inflation", "--a", "1", "--jsn"], "did you mean --json?"),
        (["tail-inflation", "--a", "--gamma", "0.5"], "--a needs a value"),
        (["tail-inflation", "--a"], "--a needs a value"),
        (["tail-inflation", "3"], "'3' stands where a parameter such as --a is expected"),
        (["tail-inflation", "--a", "1", "--a", "2"], "--a is given twice; a list is written --a 10,100"),
        (
            ["tail-inflation", "--a", "-1"],
            "--a must be a finite number, or an array of them, in [0, 1e+06] (in tail_inflation; --function",
        ),
        (["tail-inflation", "--a", "one"], "--a must be a number, a list such as 10,100, or a range such as"),
        (["tail-inflation", "--a", "1:x"], "--a must be FROM:TO, FROM:TO:log, FROM:TO:COUNT or FROM:TO:log:COUNT"),
        (["tail-inflation", "--a", "1:2:log:3:4"], "--a must be FROM:TO"),
        (["tail-inflation", "--a", "1:2:0"], "with a COUNT from 2 to 10000"),
        (["tail-inflation", "--a", "1:1"], "--a must be a range with two different ends"),
        (["tail-inflation", "--a", "0:1:log"], "above 0 if it is logarithmic"),
        (["tail-inflation", "--a", "1", "--plot", "x.gif"], "--plot must be a file that ends in .pdf or .png or .svg"),
        (["tail-inflation", "--plot", "x.png"], "--plot needs parameters: --a (tail_inflation, relative_gamma) or"),
        (["tail-inflation", "--a", "1", "--plot", "x.png"], "--plot needs a range, such as --n 10:1000:log"),
        (
            ["tail-inflation", "--a", "1", "--function", "eta"],
            "--function must be one of tail_inflation, relative_radius",
        ),
        (["tail-inflation", "--a", "1", "--function", "tail_inflatoin"], "(did you mean tail_inflation?)"),
        (["tail-inflation", "--a", "1:2:log:3:"], "--a must be FROM:TO"),
        (["tail-inflation", "--a", f"1:{10**400}"], "--a must be FROM:TO"),
        (["tail-inflation", "--a", "1e-300:1e300:log"], "--a must be a range within what a float holds"),
        (["gaussian-ce-law", "--t", "3"], "parameters are missing: --n (log_variance_drift, "),
        (["gaussian-ce-law", "--n", "9", "--std", "2"], "--std is of no use without more parameters: --t --n (log_std"),
        (["gaussian-ce-law", "--n", "2.5:7.5"], "--n must be a range between two integers, got '2.5:7.5'"),
        (["critical-truncation", "--n", "5"], "(in log_critical_radius; --function leaves it out), got 5"),
        (["neutral-until-cap", "--n", "5"], "--n is not a parameter of neutral-until-cap, which has no closed form"),
        (["neutral-until-cap", "--plot", "x.png"], "--plot is of no use for neutral-until-cap, which has no closed"),
        (["neutral-until-cap", "--function", "x"], "--function must be left out, since neutral-until-cap has no"),
        (["cap-bias", "--gamma", "0.5", "--probs", "zipf:1e9"], "--probs must be zipf:K[:EXPONENT] with at most 1000"),
        (
            ["relative-fixed-point", "--a", "0.5", "--mask", "current,previous", "--plot", "x.png"],
            "--plot needs a range",
        ),
        (
            [
                *("tce-gradient", "--function", "tce_gradient", "--plot", "x.png"),
                *("--probs", "0.5,0.5", "--frequencies", "0.3,0.7", "--gamma", "0.3:0.9"),
            ],
            "--plot needs closed forms that are one number for each point, and not tce_gradient",
        ),
        (["gaussian-ce-law", "--n", "10.5"], "--n must be an integer"),
        (["gaussian-ce-law", "--n", "10", "--fit-mean", "maybe"], "--fit-mean must be true or false, got 'maybe'"),
        (["cap-bias", "--gamma", "0.5", "--probs", "0.5,x"], "--probs must be numbers with commas between them"),
        (["cap-bias", "--gamma", "0.5", "--probs", "0.5,0.4"], "--probs must be a vector of nonnegative numbers"),
        (["gaussian-ce-law", "--n", "10:1000:999", "--t", "1:999:999"], "990009 combinations together, 100000 are"),
    ],
)
def test_bad_input(run, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert message in fails(run, *arguments)
    assert not list(tmp_path.iterdir())
