"""The result of a simulation: paths of metrics with their provenance, and a file format for them."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import IO, Any

import numpy as np

from tce_theory.errors import DomainError, RunFileError
from tce_theory.fidelity import FidelityInterval, fidelity_interval
from tce_theory.files import write_atomically
from tce_theory.validation import one_of, positive_integer

__all__ = ["Run"]

_FORMAT = "tce_theory run"
_SCHEMA = 1
_METADATA = {
    "schema": int,
    "n_replicates": int,
    "generations": int,
    "metrics": list,
    "events": list,
    "provenance": dict,
}
_ZIP_START = b"PK\x03\x04"
# what NumPy's reader raises on damaged archives is an open list (zipfile, zlib, struct, tokenize, memory for an absurd
# shape, ...), so that a promise of one kind of error cannot name them
_DAMAGE = Exception


@dataclass(frozen=True, eq=False, repr=False, kw_only=True)
class Run:
    """Paths of metrics over generations, replicate by replicate, and where they come from.

    Parameters
    ----------
    metrics : Mapping of str to numpy.ndarray
        Float64 (R, generations + 1) each; column 0 is generation 0. Metrics that describe a fit, such as
        "masked_weight", have no value at generation 0 and NaN in column 0. R is the number of `replicates`.
    replicates : numpy.ndarray
        Int64 (R,): indices of the replicates that are present, increasing. An interrupted run has fewer than it was
        asked for, and this says which.
    n_replicates : int
        Number of replicates asked for.
    generations : int
        Number of generations after generation 0.
    events : Mapping of str to numpy.ndarray
        Int64 (R,) each: counts or first generations, such as "vacuous" (number of vacuous generations) and "underflow"
        (first generation at which the scale underflowed, −1 if none).
    provenance : Mapping of str to Any
        What it takes to make the run again, in JSON's types: at least the "seed", an int. `str` of a run shows
        "family", "loss" and "regime" if they are strings. Tuples become lists, as in JSON.

    Raises
    ------
    DomainError
        If the arrays do not fit together or the provenance is not JSON.

    Notes
    -----
    Arrays are read-only views of what is given: nothing is copied.

    Examples
    --------
    >>> import numpy as np
    >>> run = Run(metrics={"std": np.array([[1.0, 0.8, 0.4], [1.0, 1.1, 0.9]])}, replicates=np.arange(2),
    ...           n_replicates=2, generations=2, events={}, provenance={"seed": 7})
    >>> run
    <Run: 2 replicates, 2 generations, seed 7; metrics std>
    >>> run.fidelity_interval("std", below=0.5, relative=True).times
    array([1.75, 2.  ])
    """

    metrics: Mapping[str, np.ndarray]
    replicates: np.ndarray
    n_replicates: int
    generations: int
    events: Mapping[str, np.ndarray]
    provenance: Mapping[str, Any]

    def __post_init__(self) -> None:
        n_replicates = positive_integer("n_replicates", self.n_replicates)
        generations = positive_integer("generations", self.generations)
        replicates = _read_only("replicates", self.replicates, np.int64, (None,))
        wrong = (replicates < 0) | (replicates >= n_replicates) | (np.diff(replicates, prepend=-1) < 1)
        if wrong.any():
            raise DomainError("replicates", int(replicates[wrong][0]), f"increasing indices up to {n_replicates - 1}")
        rows = replicates.size
        checked = {
            "n_replicates": n_replicates,
            "generations": generations,
            "replicates": replicates,
            "metrics": _read_only_mapping("metrics", self.metrics, np.float64, (rows, generations + 1)),
            "events": _read_only_mapping("events", self.events, np.int64, (rows,)),
            "provenance": _as_json(self.provenance),
        }
        for name, value in checked.items():
            object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        found = f"{self.replicates.size} of {self.n_replicates}" if self.interrupted else f"{self.n_replicates}"
        return (
            f"<Run: {found} replicates{' (interrupted)' if self.interrupted else ''}, {self.generations} generations, "
            f"seed {self.seed}; metrics {', '.join(self.metrics)}>"
        )

    def __str__(self) -> str:
        named = [self.provenance.get(key) for key in ("family", "loss", "regime")]
        second = ", ".join(value for value in named if isinstance(value, str))
        return f"{self!r}\n{second}" if second else repr(self)

    def __reduce__(self) -> tuple[Any, ...]:
        # mapping proxies cannot be pickled or copied, what they show can
        state = {field.name: getattr(self, field.name) for field in fields(self)}
        for name in ("metrics", "events", "provenance"):
            state[name] = dict(state[name])
        return _rebuild, (state,)

    @property
    def interrupted(self) -> bool:
        """Whether replicates are missing that were asked for."""
        return self.replicates.size < self.n_replicates

    @property
    def diverged(self) -> int:
        """Number of replicates whose training diverged: their metrics are NaN from there on."""
        return int((self.events["diverged"] >= 0).sum()) if "diverged" in self.events else 0

    @property
    def seed(self) -> int:
        """Seed that reproduces the run."""
        return int(self.provenance["seed"])

    @property
    def _stream(self) -> str | None:
        """What decides, beside the seed, whether two runs share their noise."""
        if "stream" not in self.provenance:
            return None
        # replicates of a block take their numbers one after the other, so that the next one's depend on the length
        size = self.provenance.get("block_size")
        return f"{self.provenance['stream']}, blocks of {size}, {self.generations} generations"

    def fidelity_interval(
        self,
        metric: str,
        *,
        below: float | None = None,
        above: float | None = None,
        outside: tuple[float, float] | None = None,
        relative: bool = False,
        interpolate: bool = True,
    ) -> FidelityInterval:
        """First generation at which a metric crosses a threshold, replicate by replicate.

        Parameters
        ----------
        metric : str
            Name of a metric of this run.
        below, above, outside, relative, interpolate
            As in `tce_theory.fidelity.fidelity_interval`.

        Returns
        -------
        FidelityInterval
            Times to failure, right-censored at the last generation; they carry the run's seed and replicates.

        Raises
        ------
        DomainError
            If there is no such metric, the run has no replicate, or the thresholds are not admissible.

        Examples
        --------
        >>> import numpy as np
        >>> run = Run(metrics={"kl": np.array([[0.0, 0.2, np.inf]])}, replicates=np.arange(1), n_replicates=1,
        ...           generations=2, events={}, provenance={"seed": 7})
        >>> run.fidelity_interval("kl", above=0.1).times
        array([0.5])
        >>> run.fidelity_interval("kl", above=0.5).times
        array([2.])
        """
        one_of("metric", metric, tuple(self.metrics))
        if self.diverged:
            found = f"{self.diverged} of {self.replicates.size} replicates"
            raise DomainError("diverged", found, "none: where training has diverged there are no values")
        return fidelity_interval(
            self.metrics[metric],
            below=below,
            above=above,
            outside=outside,
            relative=relative,
            interpolate=interpolate,
            metric=metric,
            replicates=self.replicates,
            seed=self.seed,
            stream=self._stream,
        )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the run to one file, atomically.

        Parameters
        ----------
        path : str or os.PathLike
            Where to: exactly this path, no suffix is added. A symbolic link is followed.

        Raises
        ------
        OSError
            If the file cannot be written. What was there before stays whole.

        Notes
        -----
        The file is a NumPy .npz archive without pickles, which `numpy.load` opens: "replicates", "metrics/<name>",
        "events/<name>", and "metadata", JSON in UTF-8 as an array of bytes with the format, its schema and the rest.

        Examples
        --------
        >>> import numpy as np, pathlib, tempfile
        >>> run = Run(metrics={"std": np.ones((2, 4))}, replicates=np.arange(2), n_replicates=2, generations=3,
        ...           events={}, provenance={"seed": 7})
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     run.save(pathlib.Path(folder, "run.npz"))
        ...     Run.load(pathlib.Path(folder, "run.npz"))
        <Run: 2 replicates, 3 generations, seed 7; metrics std>
        """
        metadata = {
            "format": _FORMAT,
            "schema": _SCHEMA,
            "n_replicates": self.n_replicates,
            "generations": self.generations,
            "metrics": list(self.metrics),
            "events": list(self.events),
            "provenance": dict(self.provenance),
        }
        arrays = {
            "metadata": np.frombuffer(json.dumps(metadata).encode(), dtype=np.uint8),
            "replicates": self.replicates,
            **{f"metrics/{name}": array for name, array in self.metrics.items()},
            **{f"events/{name}": array for name, array in self.events.items()},
        }
        write_atomically(path, lambda file: np.savez(file, allow_pickle=False, **arrays))

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Run:
        """Read a run that `save` has written. Nothing in the file is ever executed.

        Parameters
        ----------
        path : str or os.PathLike
            Where from.

        Returns
        -------
        Run
            Equal bit by bit to what was saved.

        Raises
        ------
        RunFileError
            If the file is truncated, damaged, foreign, or written by a newer version; the message says which.
        OSError
            If the file cannot be opened (FileNotFoundError if there is none).

        Examples
        --------
        >>> Run.load("no such run.npz")
        Traceback (most recent call last):
        ...
        FileNotFoundError: [Errno 2] No such file or directory: 'no such run.npz'
        """
        with open(path, "rb") as file:
            try:
                return _read(file, path)
            except DomainError as error:
                raise _broken(path, str(error)) from error


def _rebuild(state: dict[str, Any]) -> Run:
    return Run(**state)


def _read_only(argument: str, value: Any, dtype: Any, shape: tuple[int | None, ...]) -> np.ndarray:
    kind = np.dtype(dtype).name
    array = np.asarray(value)
    if array.ndim != len(shape) or any(want not in (None, size) for want, size in zip(shape, array.shape, strict=True)):
        wanted = "one dimension" if shape == (None,) else f"shape {shape}"
        raise DomainError(f"{argument}.shape", array.shape, f"that of a {kind} array of {wanted}")
    try:
        view = array.astype(dtype, casting="same_kind", copy=False).view()
    except TypeError:
        raise DomainError(f"{argument}.dtype", array.dtype.name, kind) from None
    view.flags.writeable = False
    return view


def _read_only_mapping(argument: str, value: Any, dtype: Any, shape: tuple[int, ...]) -> Mapping[str, np.ndarray]:
    if not isinstance(value, Mapping) or not all(isinstance(name, str) for name in value):
        got = list(value) if isinstance(value, Mapping) else type(value).__name__
        raise DomainError(argument, got, "a mapping from names to arrays")
    return MappingProxyType({name: _read_only(f"{argument}[{name!r}]", value[name], dtype, shape) for name in value})


def _as_json(provenance: Any) -> Mapping[str, Any]:
    """Return the provenance as it will be read back, so that what cannot be saved fails before hours are spent."""
    try:
        plain = json.loads(json.dumps(dict(provenance), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise DomainError("provenance", _one_line(error), "a mapping that JSON can hold") from None
    if not isinstance(plain.get("seed"), int) or isinstance(plain["seed"], bool):
        raise DomainError("provenance['seed']", plain.get("seed"), "an integer")
    return MappingProxyType(plain)


def _broken(path: str | os.PathLike[str], reason: str) -> RunFileError:
    return RunFileError(f"{os.fspath(path)}: not a readable run: {reason}")


def _read(file: IO[bytes], path: str | os.PathLike[str]) -> Run:
    archive = _archive(file, path)
    metadata = _metadata(archive, path)
    return Run(
        metrics={name: _member(archive, f"metrics/{name}", path) for name in metadata["metrics"]},
        replicates=_member(archive, "replicates", path),
        n_replicates=metadata["n_replicates"],
        generations=metadata["generations"],
        events={name: _member(archive, f"events/{name}", path) for name in metadata["events"]},
        provenance=metadata["provenance"],
    )


def _archive(file: IO[bytes], path: str | os.PathLike[str]) -> Any:
    start = file.read(len(_ZIP_START))
    file.seek(0)
    if not start:
        raise _broken(path, "it is empty")
    if start != _ZIP_START:
        raise _broken(path, "it is not an .npz archive")
    try:
        return np.load(file, allow_pickle=False)
    except _DAMAGE as error:
        raise _broken(path, f"it is truncated or damaged ({_one_line(error)})") from error


def _metadata(archive: Any, path: str | os.PathLike[str]) -> dict[str, Any]:
    if "metadata" not in archive.files:
        raise _broken(path, "it is an .npz archive, but not one of tce_theory")
    text = _member(archive, "metadata", path).tobytes()
    try:
        metadata = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _broken(path, f"its metadata are not JSON ({_one_line(error)})") from error
    if not isinstance(metadata, dict) or metadata.get("format") != _FORMAT:
        raise _broken(path, "it is an .npz archive, but not one of tce_theory")
    schema = metadata.get("schema")
    if isinstance(schema, int) and schema > _SCHEMA:
        raise _broken(path, f"it has schema {schema}, of a newer version of tce_theory (this one reads {_SCHEMA})")
    for key, kind in _METADATA.items():
        if not isinstance(metadata.get(key), kind):
            raise _broken(path, f"its metadata lack {key!r}, or it is not of type {kind.__name__}")
    if not all(isinstance(name, str) for name in (*metadata["metrics"], *metadata["events"])):
        raise _broken(path, "names of metrics and events are not all strings")
    return metadata


def _member(archive: Any, name: str, path: str | os.PathLike[str]) -> np.ndarray:
    try:
        # with its suffix, because NumPy would take "x.npy" for another name of "x"
        member = archive[f"{name}.npy"]
    except KeyError:
        raise _broken(path, f"array {name!r} is missing") from None
    except _DAMAGE as error:
        raise _broken(path, f"array {name!r} is damaged or of a forbidden type ({_one_line(error)})") from error
    if not isinstance(member, np.ndarray):
        raise _broken(path, f"{name!r} is not an array")
    return member


def _one_line(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
