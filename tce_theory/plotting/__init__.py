"""Drawing runs and fidelity intervals: axes in, axes out, under one style sheet.

Nothing here touches the global state of pyplot. Matplotlib is loaded when something is drawn.
"""

from __future__ import annotations

import io
import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tce_theory.files import write_atomically
from tce_theory.plotting.comparisons import comparison
from tce_theory.plotting.figures import (
    closed_forms,
    extension_factors,
    loss_label,
    metric_label,
    reference_line,
    run_label,
    run_overview,
    survival,
    trajectories,
)
from tce_theory.plotting.images import image_rows
from tce_theory.validation import one_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

__all__ = [
    "closed_forms",
    "comparison",
    "extension_factors",
    "image_rows",
    "loss_label",
    "metric_label",
    "reference_line",
    "run_label",
    "run_overview",
    "save",
    "style",
    "survival",
    "trajectories",
]

_SHEET = Path(__file__).with_name("tce_theory.mplstyle")
# dates would make two runs of the same code differ
_UNDATED: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "png": {}, "svg": {"Date": None}}


def style() -> AbstractContextManager[None]:
    """Return a context in which Matplotlib draws in the style of this package, whatever the user's own settings.

    Returns
    -------
    context manager
        Make the figure inside, and save it inside too (`save` does): fonts are embedded, and ticks made, on saving.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> with style():
    ...     axes = Figure().subplots()
    >>> axes.spines["top"].get_visible()
    False
    """
    import matplotlib.style

    return matplotlib.style.context(_SHEET, after_reset=True)


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Save a figure in this package's style, atomically, and the same bytes for the same figure.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    path : str or os.PathLike
        Where to; its suffix, .pdf, .png or .svg, is the format.

    Returns
    -------
    pathlib.Path
        The path.

    Raises
    ------
    DomainError
        If the suffix is not one of the three.
    OSError
        If the file cannot be written. What was there before stays whole.

    Examples
    --------
    >>> import tempfile
    >>> from matplotlib.figure import Figure
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save(Figure(), Path(folder, "empty.pdf")).read_bytes()[:4]
    b'%PDF'
    """
    path = Path(path)
    kind = one_of("suffix of path", path.suffix.lower(), tuple(f".{kind}" for kind in _UNDATED))[1:]
    content = io.BytesIO()
    with style():
        figure.savefig(content, format=kind, metadata=_UNDATED[kind])
    write_atomically(path, lambda file: file.write(content.getvalue()))
    return path
