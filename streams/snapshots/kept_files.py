"""Kept activations: the files that activation workers write, one for each stretch of a partition.

No list of them is kept: the chain of a run says which batches count, and a file's name follows from
the run's id, its partition and the sequences that it holds. What else lies there is ignored.
"""

import io
import re
from collections.abc import Iterator
from contextlib import closing

import pyarrow as pa

from streams.errors import DamagedPartError, SnapshotError
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.snapshots.parquet.reading import BudgetedParquet, DecodeBudget, decoded_limit
from streams.snapshots.parquet.row_filters import Filters
from streams.snapshots.store import Store, write_file
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_reading import open_file

FOLDER = "activations"
ACTIVATIONS = "activations"
"""What ``keep`` of a run record says for all activations."""

SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("row", pa.int32()),
        ("position", pa.int32()),
        ("token", pa.int32()),
        ("activation", pa.float32()),
    ]
)
_FORM = re.compile(r"([0-9a-f]{32})-\d{5}-\d{10}-\d{10}\.parquet(\.[0-9a-f]{32}\.tmp)?")


def kept_path(run_id: str, partition: int, first: int, last: int) -> str:
    """Return where the activations of sequences first to last lie, relative to the run's folder."""
    return f"{FOLDER}/{run_id}-{partition:05d}-{first:010d}-{last:010d}.parquet"


def is_kept_by(path: str, run_id: str) -> bool:
    """Return whether a path relative to a run's folder is a kept file, or a draft, of a run."""
    folder, _, name = path.partition("/")
    found = _FORM.fullmatch(name) if folder == FOLDER else None
    return found is not None and found[1] == run_id


def encoded(table: pa.Table) -> bytes:
    """Return the bytes of a kept file; the same for the same rows."""
    encoder = ParquetEncoder(SCHEMA)
    return encoder.add(table) + encoder.end()


def write_kept(store: Store, run: str, path: str, table: pa.Table) -> None:
    """Write a kept file, which appears whole; raises StoreError."""
    write_file(store, store.path(run, path), encoded(table))


def read_kept(store: Store, run: str, path: str, filters: Filters | None = None) -> pa.Table:
    """Return the rows of a kept file that match.

    Raises DamagedPartError if it is missing or no such file.
    """
    where = store.path(run, path)
    try:
        with os_errors(), open_file(store, where) as file:
            size = file.seek(0, io.SEEK_END)
            budget = DecodeBudget(decoded_limit(size))
            rows = BudgetedParquet(file, size=size, rows=None, budget=budget, schema=SCHEMA)
            with closing(rows):
                return rows.table(SCHEMA.names, filters)
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise DamagedPartError(path, f"cannot read {where}: {error}") from error


def kept_paths(run_id: str, chain: tuple[int, ...]) -> Iterator[tuple[int, int, str]]:
    """Yield partition, sequence and path of every batch up to the chain's, -1 for none.

    Raises SnapshotError for a chain that is none.
    """
    for partition, last in enumerate(chain):
        if last < -1:
            raise SnapshotError(f"a chain of the snapshot ends at {last}")
        for sequence in range(last + 1):
            yield partition, sequence, kept_path(run_id, partition, sequence, sequence)
