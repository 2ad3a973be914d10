"""``tce store``: check a store, and export it."""

import os
from pathlib import Path
from typing import Annotated

import typer

from tce_theory.cli._cells import count
from tce_theory.cli._options import OUTPUT, Json, Quiet, textual
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import BadInputError, Command, app
from tce_theory.progress import shown_stages

_UNSOUND = 1
_OWN = "definition.json"
"""A file that every export writes, by which its folder is known."""

_Store = Annotated[Path, typer.Argument(metavar="STORE", help="File that tce run writes.")]

store = typer.Typer(help="Check what tce run has stored, or export it as tables and arrays.")
app.add_typer(store, name="store")


@store.command(cls=Command)
def check(store: _Store, json: Json = False, quiet: Quiet = False) -> None:
    """Read everything in a store, and compare it with its checksums.

    Exit code 1 if anything is damaged.

    Example: tce store check smoke.sqlite
    """
    from tce_theory.experiments.store import Store

    with Store.reading(store) as opened, shown_stages(quiet or json) as stage:

        def show(number: int, total: int) -> None:
            if stage is not None:
                stage(f"block {number:,} of {total:,}")

        problems = opened.check(show)
        blocks = {} if problems else opened.blocks()
    if json:
        print_json({"store": store, "sound": not problems, "problems": problems})
    elif problems:
        for problem in problems:
            print(problem)
    else:
        number = count(sum(map(len, blocks.values())), "block")
        print(f"{store}: sound ({number} of {count(len(blocks), 'cell')}, with all arrays)")
    if problems:
        raise typer.Exit(_UNSOUND)


@store.command(cls=Command)
def export(
    store: _Store,
    out: Annotated[Path, textual("--out", "DIR", OUTPUT, "Folder for the files; made if there is none.")],
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Write tables (CSV) of cells, fidelity intervals and trajectories, and the arrays of each cell (.npz).

    A folder with other files in it is refused; an earlier export is replaced.

    Example: tce store export smoke.sqlite --out smoke
    """
    from tce_theory.experiments.export import export as export_files
    from tce_theory.experiments.results import load

    experiment = load(store)
    if out.is_dir() and any(out.iterdir()) and not (out / _OWN).is_file():
        raise BadInputError(f"--out must be a new or an empty folder, or one of an earlier export, got {str(out)!r}")
    with shown_stages(quiet or json) as stage:
        if stage is not None:
            stage(f"exporting {count(len(experiment.cells), 'cell')}")
        files = export_files(experiment, out)
    if json:
        print_json({"store": store, "folder": out, "files": [path.relative_to(out) for path in files]})
        return
    console = output_console()
    tables = [path.name for path in files if path.parent == out]
    print_line(console, "files", f"{', '.join(tables)} in {os.fspath(out)}")
    print_line(
        console, "arrays", f"{count(len(files) - len(tables), 'file')} in {out / 'runs'}, for tce_theory.Run.load"
    )
