"""Pictures of images that models generate: a row for each generation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from tce_theory.errors import DomainError
from tce_theory.validation import positive_integer

if TYPE_CHECKING:
    from matplotlib.axes import Axes

__all__ = ["image_rows"]

_GAP = 1  # pixels between images


def image_rows(
    axes: Axes, rows: Mapping[str, np.ndarray], shape: tuple[int, int], *, columns: int | None = None
) -> Axes:
    """Draw images side by side, in rows with a label each: dark on light, whatever the style.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
    rows : mapping of str to array (n, height * width)
        Images with grey levels in [0, 1], for each label, from the top on.
    shape : tuple of int
        Height and width of an image, as `ImageSource.shape` has them.
    columns : int, optional
        Images of each row that are shown, the first; as many as the shortest row has if not given.

    Returns
    -------
    matplotlib.axes.Axes

    Raises
    ------
    DomainError
        If there is no row, or the images are not of this shape.

    Examples
    --------
    >>> from matplotlib.figure import Figure
    >>> rows = {"real": np.zeros((5, 16)), "generation 1": np.ones((4, 16))}
    >>> axes = image_rows(Figure().subplots(), rows, (4, 4))
    >>> [label.get_text() for label in axes.get_yticklabels()]
    ['real', 'generation 1']
    """
    height, width = shape
    images = [np.asarray(row, np.float64) for row in rows.values()]
    if not images:
        raise DomainError("rows", rows, "at least one row of images")
    for label, row in zip(rows, images, strict=True):
        if row.ndim != 2 or row.shape[1] != height * width or not len(row):
            raise DomainError(f"rows[{label!r}]", f"shape {row.shape}", f"of shape (n, {height * width})")
    shortest = min(map(len, images))
    shown = shortest if columns is None else positive_integer("columns", columns, maximum=shortest)
    sheet = np.full((len(images) * (height + _GAP) - _GAP, shown * (width + _GAP) - _GAP), np.nan)
    for i, row in enumerate(images):
        for j, image in enumerate(row[:shown]):
            top, left = i * (height + _GAP), j * (width + _GAP)
            sheet[top : top + height, left : left + width] = image.reshape(height, width)
    axes.imshow(sheet, cmap="gray_r", vmin=0.0, vmax=1.0, interpolation="nearest")
    axes.set_xticks([])
    axes.set_yticks(np.arange(len(images)) * (height + _GAP) + (height - 1) / 2, list(rows))
    axes.tick_params(length=0)
    axes.grid(False)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return axes
