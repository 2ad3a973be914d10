"""The README's Python prints what the README says."""

from __future__ import annotations

import contextlib
import io
import re
import warnings
from pathlib import Path

README = Path(__file__).parents[2] / "README.md"


def test_the_six_lines_print_what_the_readme_shows() -> None:
    text = README.read_text(encoding="utf-8")
    found = re.search(r"```python\n(.*?)```\n+```text\n(.*?)```", text, flags=re.DOTALL)
    assert found is not None, "the README has no Python block followed by its output"
    code, shown = found.groups()
    assert len([line for line in code.splitlines() if line and not line.startswith("import")]) <= 6
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(compile(code, str(README), "exec"), {})
    assert printed.getvalue() == shown


def test_every_file_that_the_map_names_exists() -> None:
    text = README.read_text(encoding="utf-8")
    house = re.search(r"## The house\n+```\n(.*?)```", text, flags=re.DOTALL)
    assert house is not None
    names = [
        name.strip(",") for line in house[1].splitlines() for name in line.split()[:2] if "." in name or "/" in name
    ]
    missing = [
        name for name in names if not any((README.parent / folder / name).exists() for folder in ("", "tce_theory"))
    ]
    assert names
    assert not missing
