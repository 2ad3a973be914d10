"""Looking for damage in a store."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from tce_theory.errors import StoreError

if TYPE_CHECKING:
    from tce_theory.experiments.store import Store, StoredBlock

__all__ = ["problems"]

_IN_JSON = {
    "definitions": "SELECT rowid, description, digest FROM definitions",
    "models": "SELECT rowid, description, digest FROM models",
    "machines": "SELECT rowid, description, digest FROM machines",
    "cells": "SELECT cells.rowid, record, cells.digest, key, replicates, models.digest FROM cells "
    "LEFT JOIN models ON models.id = cells.model",
}


def problems(store: Store, progress: Callable[[int, int], None] | None) -> Iterator[str]:
    """Yield a line for each problem; where one leaves nothing to look at, go on with the next thing."""
    for look in (_of_sqlite, _of_references, _of_texts, _of_ranges, lambda store: _of_blocks(store, progress)):
        try:
            yield from look(store)
        except StoreError as error:
            yield _without_path(store, error)


def _without_path(store: Store, error: StoreError) -> str:
    return str(error).removeprefix(f"{store.path}: ")


def _of_sqlite(store: Store) -> Iterator[str]:
    for (line,) in store.rows("PRAGMA integrity_check"):
        if line != "ok":
            yield f"SQLite: {line}".replace("\n", " ")


def _of_references(store: Store) -> Iterator[str]:
    for table, row, parent, _ in store.rows("PRAGMA foreign_key_check"):
        yield f"{table}: row {row} refers to a row of {parent} that is not there"


def _of_texts(store: Store) -> Iterator[str]:
    from tce_theory.experiments.store import digest_of, digest_of_cell

    for table, query in _IN_JSON.items():
        for row, text, digest, *rest in store.rows(query):
            try:
                json.loads(text)
            except (TypeError, ValueError) as error:
                yield f"{table}: row {row} is not JSON: {error}"
            else:
                text = text if isinstance(text, str) else text.decode(errors="replace")
                if digest != (digest_of_cell(rest[0], rest[1], rest[2], text) if rest else digest_of(text)):
                    yield f"{table}: row {row}: its checksum is wrong"


def _of_ranges(store: Store) -> Iterator[str]:
    for table in ("blocks", "failures"):
        query = f"SELECT rowid, first, stop FROM {table} WHERE NOT (first >= 0 AND stop > first AND stop < 1e18)"
        for row, first, stop in store.rows(query):
            yield f"{table}: row {row} has the replicates from {first} to before {stop}"


def _of_blocks(store: Store, progress: Callable[[int, int], None] | None) -> Iterator[str]:
    found = store.blocks()
    total, done = sum(map(len, found.values())), 0
    for blocks in found.values():
        furthest: tuple[StoredBlock, dict[str, np.ndarray]] | None = None
        for block in blocks:
            done += 1
            try:
                metrics, events = store.arrays(block)
            except StoreError as error:
                yield _without_path(store, error)
            else:
                here = block, {**metrics, **events}
                if not metrics:
                    yield f"{block}: it has no metrics"
                if len({array.shape for array in metrics.values()}) > 1:
                    yield f"{block}: its metrics have different numbers of generations"
                if furthest is not None:
                    yield from _disagreements(*furthest, *here)
                if furthest is None or block.rows.stop > furthest[0].rows.stop:
                    furthest = here
            if progress is not None:
                progress(done, total)


def _disagreements(
    left: StoredBlock, ours: dict[str, np.ndarray], right: StoredBlock, theirs: dict[str, np.ndarray]
) -> Iterator[str]:
    """Compare two blocks, of which the left begins first, on the replicates that they have in common."""
    first, stop = right.rows.start, min(left.rows.stop, right.rows.stop)
    if first >= stop:
        return
    other_rows = f"replicates {left.rows.start} to {left.rows.stop - 1}"
    if ours.keys() != theirs.keys():
        yield f"{right}: it has other metrics or events than {other_rows}"
    for name in sorted(ours.keys() & theirs.keys()):
        one, other = ours[name][first - left.rows.start : stop - left.rows.start], theirs[name][: stop - first]
        if one.dtype != other.dtype or one.tobytes() != other.tobytes():
            yield f"{right}: {name} differs from that of {other_rows}, which overlap"
