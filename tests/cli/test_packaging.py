"""The wheel holds the library and nothing else, and works away from the checkout."""

import json
import os
import subprocess
import sys
import zipfile
from importlib.metadata import PathDistribution
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", directory]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    (path,) = directory.glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Directory that holds the installed wheel alone."""
    target = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-index", "--no-deps"]
    subprocess.run([*pip, "--target", target, wheel], check=True, capture_output=True)
    return target


@pytest.fixture(scope="module")
def run_python(installed, tmp_path_factory):
    """Run Python outside the checkout: the library comes from the wheel, its dependencies from this environment."""
    directory = tmp_path_factory.mktemp("elsewhere")

    def run(*arguments):
        environment = os.environ | {"PYTHONPATH": str(installed)}
        return subprocess.run(
            [sys.executable, *arguments],
            cwd=directory,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    return run


def test_wheel_holds_the_whole_library_and_nothing_else(wheel):
    names = {name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")}
    library = {name for name in names if ".dist-info/" not in name}
    files = {path for path in (ROOT / "tce_theory").rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    assert library == {path.relative_to(ROOT).as_posix() for path in files}
    assert {name.partition("/")[0] for name in names - library} == {
        wheel.name.removesuffix("-py3-none-any.whl") + ".dist-info"
    }
    assert "tce_theory/py.typed" in library
    assert any(name.startswith("tce_theory/plotting/") and name.endswith(".mplstyle") for name in library)


def test_wheel_has_the_licence_and_the_command(installed):
    (path,) = installed.glob("*.dist-info")
    distribution = PathDistribution(path)
    (command,) = distribution.entry_points
    assert (command.group, command.name, command.value) == ("console_scripts", "tce", "tce_theory.cli:main")
    assert (path / "licenses" / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert distribution.metadata["License-Expression"] == "MIT"


def test_installed_library_is_what_is_imported(run_python, installed):
    result = run_python("-c", "import tce_theory; print(tce_theory.__file__)")
    assert result.returncode == 0, result.stderr
    assert Path(result.stdout.strip()).is_relative_to(installed)


@pytest.mark.slow  # compiles the kernels
def test_demo_runs_from_the_wheel(run_python, tmp_path):
    result = run_python("-m", "tce_theory.cli", "demo", "--quick", "--out", str(tmp_path))
    assert result.returncode == 0, result.stderr
    assert json.loads((tmp_path / "summary.json").read_text())
    assert (tmp_path / "demo.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "demo.png").read_bytes().startswith(b"\x89PNG")
