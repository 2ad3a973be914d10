"""Files that hold a trained network: its settings as JSON, and its arrays, in NumPy's format .npz without pickles."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tce_theory.errors import RunFileError
from tce_theory.files import write_atomically

__all__ = ["generation_file", "read_checkpoint", "write_checkpoint"]

_SCHEMA = 1
# what NumPy's reader raises on damaged archives is an open list
_DAMAGE = Exception


def write_checkpoint(
    path: str | os.PathLike[str], kind: str, settings: Mapping[str, Any], arrays: Mapping[str, np.ndarray]
) -> None:
    """Write a checkpoint; the file is whole or not there.

    Parameters
    ----------
    path : str or os.PathLike
        Taken as it is: no suffix is added.
    kind : str
        Name of the class that is saved.
    settings : mapping
        In JSON's types.
    arrays : mapping of str to ndarray
        Of numbers.

    Raises
    ------
    OSError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.NamedTemporaryFile() as file:
    ...     write_checkpoint(file.name, "Net", {"width": 3}, {"theta": np.arange(2.0)})
    ...     read_checkpoint(file.name, "Net")
    ({'width': 3}, {'theta': array([0., 1.])})
    """
    header = json.dumps({"kind": kind, "schema": _SCHEMA, "settings": dict(settings)})
    content: dict[str, Any] = {"header": np.array(header), **{f"array.{name}": a for name, a in arrays.items()}}
    write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **content))


def read_checkpoint(path: str | os.PathLike[str], kind: str) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Read a checkpoint of a class.

    Returns
    -------
    settings : dict
    arrays : dict of str to ndarray
        Without NaN or infinity.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    RunFileError
        If the file is damaged, foreign, written by a newer version, or holds another class.
    """
    name = os.fspath(path)
    try:
        with open(path, "rb") as opened, np.load(opened, allow_pickle=False) as file:
            header = json.loads(str(file["header"]))
            arrays = {key.removeprefix("array."): file[key] for key in file.files if key != "header"}
        found, schema, settings = header["kind"], header["schema"], dict(header["settings"])
    except OSError:
        raise
    except _DAMAGE:
        raise RunFileError(f"{name} is no checkpoint of a network, or it is damaged") from None
    if schema != _SCHEMA:
        raise RunFileError(f"{name} was written by another version: its schema is {schema!r}, not {_SCHEMA}")
    if found != kind:
        raise RunFileError(f"{name} holds a {found}, not a {kind}")
    for key, array in arrays.items():
        if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
            raise RunFileError(f"{name}: {key} does not hold finite numbers alone")
    return settings, arrays


def generation_file(folder: str | os.PathLike[str], rng: np.random.Generator, generation: int) -> Path:
    """Return where `simulate` keeps the network of a generation, in a folder that is made if need be.

    Parameters
    ----------
    folder : str or os.PathLike
    rng : numpy.random.Generator
        Of the block, which is a replicate: its stream has the replicate's number.
    generation : int
    """
    Path(folder).mkdir(parents=True, exist_ok=True)
    (replicate, *_) = rng.bit_generator.seed_seq.spawn_key  # type: ignore[attr-defined]
    return Path(folder, f"replicate-{replicate:04d}-generation-{generation:04d}.npz")
