"""``tce demo``."""

from pathlib import Path
from typing import Annotated

from tce_theory.cli._options import OUTPUT, SIZES, ZERO, Jobs, Json, Quiet, flag, numeric, textual
from tce_theory.cli._output import output_console, print_json, print_line
from tce_theory.cli._program import Command, InterruptedWorkError, app
from tce_theory.progress import shown_stages


@app.command(cls=Command)
def demo(
    text: Annotated[
        Path | None,
        textual("--text", "FILE", ZERO, "Text whose words are generation 0; one of Python's if not given."),
    ] = None,
    out: Annotated[Path, textual("--out", "DIR", OUTPUT, "Directory for figure and numbers.")] = Path("tce-demo"),
    seed: Annotated[int, numeric("--seed", SIZES, "Seed of the random numbers.")] = 0,
    quick: Annotated[bool, flag("--quick", SIZES, "Fewer replicates and generations: some seconds.")] = False,
    n_jobs: Jobs = -1,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show in a minute what TCE does: a table, a figure, and the numbers behind them."""
    from tce_theory.demo import run_demo

    before = _files_in(out)
    try:
        with shown_stages(quiet) as stage:
            result = run_demo(text=text, out=out, seed=seed, quick=quick, n_jobs=n_jobs, progress=stage)
    except KeyboardInterrupt:
        written = sorted(name for name, when in _files_in(out).items() if before.get(name) != when)
        kept = f"{', '.join(written)} in {out} is kept" if written else "nothing is kept"
        raise InterruptedWorkError(f"interrupted: {kept}") from None
    if json:
        print_json(result.summary)
        return
    console = output_console()
    console.print(result.table())
    for note in result.notes:
        print_line(console, "note", note)
    print_line(console, "files", f"{', '.join(path.name for path in result.files)} in {out}")
    print_line(console, "time", f"{result.seconds:.1f} s")


def _files_in(directory: Path) -> dict[str, int]:
    """Return the names of the files in a directory, and when they were written."""
    return {path.name: path.stat().st_mtime_ns for path in directory.glob("*")}
