"""The result of a simulation, and its file."""

import copy
import io
import json
import os
import pickle
import signal
import stat
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from tce_theory.errors import DomainError, RunFileError
from tce_theory.run import Run

TINY = np.nextafter(0.0, 1.0)


def make(**changes):
    std = np.array([[1.0, 0.5, TINY, -0.0], [1.0, 1.5, np.inf, -np.inf], [1.0, 0.1 + 0.2, 1e308, 0.25]])
    masked = np.array([[np.nan, 1, 2, 3], [np.nan, 0, 0, 0], [np.nan, 5, np.nan, 7]])
    parts = {
        "metrics": {"std": std, "masked_weight": masked},
        "replicates": np.array([0, 2, 5]),
        "n_replicates": 6,
        "generations": 3,
        "events": {"vacuous": np.array([0, 1, 2]), "underflow": np.array([-1, 3, -1])},
        "provenance": {
            "seed": 2**127 + 1,
            "family": "Gaussian(mean=0.0, std=1.0)",
            "loss": "TruncatedCrossEntropy(gamma=0.85)",
            "regime": "Replace()",
            "parameters": {"mean": 0.1 + 0.2, "title": "Größe γ"},
            "command": None,
        },
    }
    return Run(**(parts | changes))


def bits(array):
    return array.dtype.str, array.shape, array.tobytes()


def assert_same(left, right):
    for name in ("metrics", "events"):
        ours, theirs = getattr(left, name), getattr(right, name)
        assert list(ours) == list(theirs)
        assert all(bits(ours[key]) == bits(theirs[key]) for key in ours)
    assert bits(left.replicates) == bits(right.replicates)
    assert (left.n_replicates, left.generations) == (right.n_replicates, right.generations)
    assert dict(left.provenance) == dict(right.provenance)


# ------------------------------------------------------------------------------------------------- the object


def test_what_a_run_says_of_itself():
    run = make()
    assert run.interrupted
    assert run.seed == 2**127 + 1
    first, second = str(run).splitlines()
    assert first == repr(run)
    assert first.startswith(
        "<Run: 3 of 6 replicates (interrupted), 3 generations, seed 1701411834604692317316873037158"
    )
    assert first.endswith("; metrics std, masked_weight>")
    assert second == "Gaussian(mean=0.0, std=1.0), TruncatedCrossEntropy(gamma=0.85), Replace()"
    whole = make(replicates=np.arange(3), n_replicates=3, provenance={"seed": 7})
    assert not whole.interrupted
    assert str(whole) == "<Run: 3 replicates, 3 generations, seed 7; metrics std, masked_weight>"


def test_nothing_in_a_run_can_be_changed_and_nothing_is_copied():
    std = np.ones((1, 2))
    run = Run(metrics={"std": std}, replicates=[0], n_replicates=1, generations=1, events={}, provenance={"seed": 1})
    assert np.shares_memory(run.metrics["std"], std)
    for array in (run.metrics["std"], run.replicates):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    with pytest.raises(TypeError):
        run.metrics["other"] = std
    with pytest.raises(TypeError):
        run.provenance["seed"] = 2
    with pytest.raises(AttributeError):
        run.generations = 2
    std[0, 0] = 2  # the caller's own array stays the caller's


def test_a_run_without_a_replicate():
    """Interrupted before the first block was done."""
    run = make(
        metrics={"std": np.empty((0, 4))}, replicates=np.empty(0, dtype=np.int64), events={}, provenance={"seed": 1}
    )
    assert run.interrupted
    with pytest.raises(DomainError, match="at least one replicate"):
        run.fidelity_interval("std", below=1)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_replicates": 0}, "n_replicates must be an integer of at least 1"),
        ({"generations": 2.5}, "generations must be an integer"),
        ({"generations": 4}, "metrics['std'].shape must be that of a float64 array of shape (3, 5), got (3, 4)"),
        ({"metrics": {"std": np.ones(3)}}, "metrics['std'].shape"),
        (
            {"metrics": {"std": np.ones((3, 4), dtype=complex)}},
            "metrics['std'].dtype must be float64, got 'complex128'",
        ),
        ({"metrics": {"std": np.full((3, 4), "1")}}, "metrics['std'].dtype must be float64"),
        ({"metrics": {1: np.ones((3, 4))}}, "metrics must be a mapping from names to arrays"),
        ({"metrics": [np.ones((3, 4))]}, "metrics must be a mapping from names to arrays"),
        ({"events": {"vacuous": np.ones(2, dtype=int)}}, "events['vacuous'].shape"),
        ({"events": {"vacuous": np.ones(3)}}, "events['vacuous'].dtype must be int64, got 'float64'"),
        ({"replicates": np.array([0, 2, 6])}, "replicates must be increasing indices up to 5, got 6"),
        ({"replicates": np.array([-1, 2, 3])}, "replicates must be increasing indices up to 5, got -1"),
        ({"replicates": np.array([0, 2, 2])}, "replicates must be increasing indices up to 5, got 2"),
        ({"replicates": np.array([2, 0, 3])}, "replicates must be increasing indices up to 5, got 0"),
        ({"replicates": np.zeros((3, 1), dtype=int)}, "replicates.shape"),
        ({"provenance": {}}, "provenance['seed'] must be an integer, got None"),
        ({"provenance": {"seed": True}}, "provenance['seed'] must be an integer"),
        ({"provenance": {"seed": 1, "cov": np.eye(2)}}, "provenance must be a mapping that JSON can hold"),
        ({"provenance": {"seed": 1, "gamma": float("nan")}}, "provenance must be a mapping that JSON can hold"),
        ({"provenance": 3}, "provenance must be a mapping that JSON can hold"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(DomainError) as caught:
        make(**changes)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_fidelity_interval_of_a_metric():
    run = make()
    found = run.fidelity_interval("std", below=0.75, relative=True, interpolate=False)
    assert found.times.tolist() == [1, 3, 1]
    assert found.replicates.tolist() == [0, 2, 5]
    assert found.seed == run.seed
    assert found.criterion == "std below 0.75 × generation 0"
    assert not found.interpolated


def test_an_unknown_metric_is_refused_with_those_there_are():
    with pytest.raises(DomainError, match="metric must be one of 'std', 'masked_weight', got 'entropy'"):
        make().fidelity_interval("entropy", below=1)


def test_missing_values_name_the_replicate_of_the_run():
    with pytest.raises(DomainError, match="masked_weight of replicate 5 at generation 2"):
        make().fidelity_interval("masked_weight", above=2)


@pytest.mark.parametrize("clone", [copy.deepcopy, copy.copy, lambda run: pickle.loads(pickle.dumps(run))])
def test_runs_can_be_copied_and_sent_to_other_processes(clone):
    run = make()
    assert_same(clone(run), run)


# --------------------------------------------------------------------------------------------------- the file


@pytest.mark.parametrize("name", ["run.npz", "no suffix", "Läufe γ = 0.85 (日本).npz", ".hidden"])
def test_a_saved_run_comes_back_bit_by_bit_from_exactly_its_path(tmp_path, name):
    folder = tmp_path / "ein Ordner für γ"
    folder.mkdir()
    run = make()
    run.save(folder / name)
    assert [path.name for path in folder.iterdir()] == [name]
    assert_same(Run.load(str(folder / name)), run)
    loaded = Run.load(folder / name)
    with pytest.raises(ValueError, match="read-only"):
        loaded.metrics["std"][0] = 1


def test_payloads_of_nan_and_names_that_look_like_files_survive(tmp_path):
    odd = np.full((3, 4), np.array(0x7FF8_0000_DEAD_BEEF, dtype=np.uint64).view(np.float64))
    run = make(metrics={"x": odd, "x.npy": odd + 1, "a/b": odd, "γ [nats]": odd, "file": odd}, events={})
    run.save(tmp_path / "run.npz")
    assert_same(Run.load(tmp_path / "run.npz"), run)


def test_numpy_alone_opens_the_file(tmp_path):
    make().save(tmp_path / "run.npz")
    with np.load(tmp_path / "run.npz", allow_pickle=False) as archive:
        assert set(archive.files) == {
            "metadata", "replicates", "metrics/std", "metrics/masked_weight", "events/vacuous", "events/underflow"
        }  # fmt: skip
        assert json.loads(archive["metadata"].tobytes())["schema"] == 1


def test_the_file_has_the_usual_permissions_and_replaces_what_was_there(tmp_path):
    path = tmp_path / "run.npz"
    path.write_bytes(b"old")
    reference = tmp_path / "reference"
    reference.touch()
    make().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(reference.stat().st_mode)
    assert_same(Run.load(path), make())


def test_a_symbolic_link_is_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "run.npz"
    link.symlink_to(tmp_path / "elsewhere" / "real.npz")
    make().save(link)
    assert link.is_symlink()
    assert_same(Run.load(tmp_path / "elsewhere" / "real.npz"), make())


@pytest.mark.parametrize("stage", ["savez", "fsync", "replace"])
@pytest.mark.parametrize("error", [OSError("no space left on device"), KeyboardInterrupt()])
def test_a_writer_that_fails_leaves_the_old_file_whole_and_nothing_else(tmp_path, monkeypatch, stage, error):
    path = tmp_path / "run.npz"
    make().save(path)
    before = path.read_bytes()

    def fail(file, *_args, **_kwargs):
        if stage == "savez":
            file.write(b"PK\x03\x04 half an archive")
        raise error

    monkeypatch.setattr({"savez": np, "fsync": os, "replace": os}[stage], stage, fail)
    with pytest.raises(type(error)):
        make(provenance={"seed": 1}).save(path)
    assert path.read_bytes() == before
    assert [found.name for found in tmp_path.iterdir()] == ["run.npz"]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="there is no SIGKILL")
def test_a_writer_that_is_killed_leaves_the_old_file_whole(tmp_path):
    path = tmp_path / "run.npz"
    make().save(path)
    before = path.read_bytes()
    script = (
        "import os, signal, sys\n"
        "from tce_theory.run import Run\n"
        "run = Run.load(sys.argv[1])\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "run.save(sys.argv[1])\n"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    ended = subprocess.run([sys.executable, "-c", script, path], env=environment, capture_output=True, check=False)
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    assert path.read_bytes() == before
    # what was half written is beside it, under a name that no reader looks for
    assert sorted(found.suffix for found in tmp_path.iterdir()) == [".npz", ".tmp"]


def test_a_missing_file_and_a_folder_are_the_systems_own_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        Run.load(tmp_path / "none.npz")
    with pytest.raises(OSError, match="directory") as caught:
        Run.load(tmp_path)
    assert not isinstance(caught.value, RunFileError)
    with pytest.raises(FileNotFoundError):
        make().save(tmp_path / "no folder" / "run.npz")


def refusal(path):
    with pytest.raises(RunFileError) as caught:
        Run.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: not a readable run: ")
    assert "\n" not in message
    return message


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "run.npz"
    make().save(path)
    return path


def test_a_truncated_file(saved):
    whole = saved.read_bytes()
    lengths = np.unique(np.linspace(0, len(whole) - 1, 80).astype(int))
    assert len(lengths) == 80
    for length in lengths:
        saved.write_bytes(whole[:length])
        message = refusal(saved)
        assert ("empty" if length == 0 else "archive" if length < 4 else "truncated or damaged") in message


def test_a_damaged_file_is_refused_or_harmless(saved):
    """A bit in a time stamp of the archive changes nothing; every other one must be noticed."""
    whole = bytearray(saved.read_bytes())
    run, rng = Run.load(saved), np.random.default_rng(0)
    refused = 0
    for position in rng.choice(len(whole), 300, replace=False):
        damaged = whole.copy()
        damaged[position] ^= 1 << int(rng.integers(8))
        saved.write_bytes(damaged)
        try:
            loaded = Run.load(saved)
        except RunFileError:
            refused += 1
        else:
            assert_same(loaded, run)
    assert refused > 150


@pytest.mark.parametrize("size", [1, 3, 4, 100, 5000])
def test_random_bytes(tmp_path, size):
    path = tmp_path / "noise"
    for seed in range(10):
        path.write_bytes(np.random.default_rng(seed).bytes(size))
        assert "not an .npz archive" in refusal(path)
        path.write_bytes(b"PK\x03\x04" + np.random.default_rng(seed).bytes(size))
        assert "truncated or damaged" in refusal(path)


def test_an_empty_file(tmp_path):
    (tmp_path / "empty").touch()
    assert "it is empty" in refusal(tmp_path / "empty")


def test_foreign_files(tmp_path):
    path = tmp_path / "foreign.npz"
    np.savez(path, x=np.ones(3))
    assert "an .npz archive, but not one of tce_theory" in refusal(path)
    np.savez(path, metadata=np.frombuffer(b'{"format": "other"}', dtype=np.uint8))
    assert "not one of tce_theory" in refusal(path)
    np.savez(path, metadata=np.frombuffer(b"[1, 2]", dtype=np.uint8))
    assert "not one of tce_theory" in refusal(path)
    np.savez(path, metadata=np.array(["run"]))
    assert "metadata are not JSON" in refusal(path)
    np.savez(path, metadata=np.frombuffer(b"[" * 100_000, dtype=np.uint8))
    assert "metadata are not JSON" in refusal(path)
    with path.open("wb") as file:
        np.save(file, np.ones(3))
    assert "not an .npz archive" in refusal(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.npy", "hello")
    assert "'metadata' is not an array" in refusal(path)
    path.write_text("generation,std\n0,1.0\n")
    assert "not an .npz archive" in refusal(path)


def rewrite(path, *, metadata=None, drop=(), **arrays):
    """The saved run with some of its entries changed."""
    with np.load(path) as archive:
        entries = {name: archive[name] for name in archive.files}
    content = json.loads(entries["metadata"].tobytes()) | (metadata or {})
    content = {key: value for key, value in content.items() if key not in drop}
    entries["metadata"] = np.frombuffer(json.dumps(content).encode(), dtype=np.uint8)
    entries |= {name.replace("__", "/"): array for name, array in arrays.items()}
    with path.open("wb") as file:
        np.savez(file, **{name: array for name, array in entries.items() if name not in drop})


def test_a_newer_schema(saved):
    rewrite(saved, metadata={"schema": 2, "metrics": {"of": "another kind"}})
    assert "schema 2, of a newer version of tce_theory (this one reads 1)" in refusal(saved)


@pytest.mark.parametrize("key", ["schema", "n_replicates", "generations", "metrics", "events", "provenance"])
def test_metadata_that_lack_a_key(saved, key):
    rewrite(saved, drop=[key])
    assert f"its metadata lack {key!r}" in refusal(saved)


@pytest.mark.parametrize("name", ["replicates", "metrics/std", "events/vacuous"])
def test_a_missing_array(saved, name):
    rewrite(saved, drop=[name])
    assert f"array {name!r} is missing" in refusal(saved)
    rewrite(saved, drop=["metadata"])
    assert "not one of tce_theory" in refusal(saved)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics__std": np.ones((3, 5))}, "metrics['std'].shape must be"),
        ({"metrics__std": np.ones((2, 4))}, "metrics['std'].shape must be"),
        ({"metrics__std": np.full((3, 4), "a")}, "metrics['std'].dtype must be"),
        ({"events__vacuous": np.ones((3, 1), dtype=int)}, "events['vacuous'].shape must be"),
        ({"replicates": np.arange(4)}, "metrics['std'].shape must be"),
        ({"replicates": np.array([0, 2, 2])}, "replicates must be increasing indices"),
        ({"replicates": np.array([0.0, 2.0, 5.0])}, "replicates.dtype must be int64"),
        ({"metadata": {"generations": 5}}, "metrics['std'].shape must be"),
        ({"metadata": {"generations": True}}, "generations must be"),
        ({"metadata": {"n_replicates": 5}}, "replicates must be increasing indices up to 4"),
        ({"metadata": {"n_replicates": "6"}}, "metadata lack 'n_replicates', or it is not of type int"),
        ({"metadata": {"metrics": ["std", 3]}}, "names of metrics and events are not all strings"),
        ({"metadata": {"metrics": ["std", "entropy"]}}, "array 'metrics/entropy' is missing"),
        ({"metadata": {"provenance": {"seed": "1"}}}, "provenance['seed'] must be an integer"),
        ({"metadata": {"provenance": {"seed": 1, "gamma": float("inf")}}}, "provenance must be"),
    ],
)
def test_parts_of_a_file_that_do_not_fit(saved, changes, message):
    rewrite(saved, **changes)
    assert message in refusal(saved)


class Trap:
    """Leaves a trace when it is unpickled."""

    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return Path.touch, (self.trace,)


@pytest.mark.parametrize("name", ["metadata", "replicates", "metrics__std", "events__vacuous"])
def test_nothing_is_ever_unpickled(saved, tmp_path, name):
    trace = tmp_path / "trace"
    trap = np.empty(1, dtype=object)
    trap[0] = Trap(trace)
    if name == "metadata":
        np.savez(saved, allow_pickle=True, metadata=trap)
    else:
        rewrite(saved, **{name: trap})
    assert "Object arrays cannot be loaded" in refusal(saved)
    saved.write_bytes(pickle.dumps(trap))
    assert "not an .npz archive" in refusal(saved)
    assert not trace.exists()
    np.load(io.BytesIO(pickle.dumps(trap)), allow_pickle=True)
    assert trace.exists()  # the trap works


def test_an_absurd_shape_is_an_error_and_not_the_end_of_memory(saved):
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<i8", "fortran_order": False, "shape": (10**16,)})
    with np.load(saved) as archive:
        metadata = archive["metadata"]
    with zipfile.ZipFile(saved, "w") as archive:
        for name, content in (("metadata", None), ("metrics/std", header.getvalue())):
            buffer = io.BytesIO()
            np.save(buffer, metadata)
            archive.writestr(f"{name}.npy", content or buffer.getvalue())
    assert "array 'metrics/std' is damaged" in refusal(saved)
