"""Kept activations: the files that activation workers write, one for each stretch of a partition.

No list of them is kept: the chain of a run says which batches count, and a file's name follows from
the run's id, its partition and the sequences that it holds. What else lies there is ignored.

A batch has a file of its own first. Once all of ``MERGED`` that follow one another are there, from
a multiple of it on, they become one file, and their own go when it is there. So at any moment, also
after a kill, a batch that was written is in its own file, in the merged one, or in both.
"""

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress

import numpy as np
import pyarrow as pa

from streams.errors import DamagedPartError, SnapshotError
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.snapshots.parquet.reading import BudgetedParquet, DecodeBudget, decoded_limit
from streams.snapshots.parquet.row_filters import Filters
from streams.snapshots.store import Store, file_exists, write_file, write_pieces
from streams.snapshots.store_errors import os_errors
from streams.snapshots.table_reading import open_file

FOLDER = "activations"
ACTIVATIONS = "activations"
"""What ``keep`` of a run record says for all activations."""

MERGED = 8
"""Batches of a partition that one file may hold: sequences n * MERGED to (n + 1) * MERGED - 1."""

SCHEMA = pa.schema(
    [
        ("cluster", pa.int32()),
        ("row", pa.int32()),
        ("position", pa.int32()),
        ("token", pa.int32()),
        ("activation", pa.float32()),
    ]
)
MERGED_SCHEMA = pa.schema([pa.field("sequence", pa.int64()), *SCHEMA])
_FORM = re.compile(r"([0-9a-f]{32})-\d{5}-\d{10}-\d{10}\.parquet(\.[0-9a-f]{32}\.tmp)?")


def kept_path(run_id: str, partition: int, first: int, last: int) -> str:
    """Return where the activations of sequences first to last lie, relative to the run's folder."""
    return f"{FOLDER}/{run_id}-{partition:05d}-{first:010d}-{last:010d}.parquet"


def merged_path(run_id: str, partition: int, sequence: int) -> str:
    """Return where a batch's activations lie once they are in one file with others."""
    first = sequence - sequence % MERGED
    return kept_path(run_id, partition, first, first + MERGED - 1)


def is_kept_by(path: str, run_id: str) -> bool:
    """Return whether a path relative to a run's folder is a kept file, or a draft, of a run."""
    folder, _, name = path.partition("/")
    found = _FORM.fullmatch(name) if folder == FOLDER else None
    return found is not None and found[1] == run_id


def encoded(table: pa.Table) -> bytes:
    """Return the bytes of a kept file; the same for the same rows."""
    encoder = ParquetEncoder(SCHEMA)
    return encoder.add(table) + encoder.end()


def write_kept(store: Store, run: str, path: str, table: pa.Table) -> int:
    """Write a kept file, which appears whole; return its size. Raises StoreError."""
    data = encoded(table)
    write_file(store, store.path(run, path), data)
    return len(data)


def merge_kept(store: Store, run: str, run_id: str, partition: int, sequence: int) -> None:
    """Merge the batches among which ``sequence`` is into one file, if each has its own.

    The same batches make the same file in any worker, and nothing goes before it is there.
    Raises StoreError if it cannot be written.
    """
    first = sequence - sequence % MERGED
    own = [kept_path(run_id, partition, each, each) for each in range(first, first + MERGED)]
    merged = store.path(run, merged_path(run_id, partition, sequence))
    try:
        write_pieces(store, merged, _merged_bytes(store, run, first, own))
    except DamagedPartError:
        if not file_exists(store, merged):
            return  # some batches are not there yet, or cannot be read: all stay as they are
    for path in own:
        # Another worker may have removed it, or nothing may be removed here: what stays is ignored.
        with suppress(OSError):
            store.files.rm_file(store.path(run, path))


def _merged_bytes(store: Store, run: str, first: int, paths: Sequence[str]) -> Iterator[bytes]:
    """Yield the bytes of a merged file; one batch at a time is in memory."""
    encoder = ParquetEncoder(MERGED_SCHEMA)
    for sequence, path in enumerate(paths, first):
        table = read_kept(store, run, path)
        yield encoder.add(_with_sequence(table, sequence))
    yield encoder.end()


def _with_sequence(table: pa.Table, sequence: int) -> pa.Table:
    column = pa.repeat(pa.scalar(sequence, pa.int64()), len(table))
    return pa.Table.from_arrays([column, *table.columns], schema=MERGED_SCHEMA)


def read_kept(
    store: Store,
    run: str,
    path: str,
    filters: Filters | None = None,
    schema: pa.Schema = SCHEMA,
) -> pa.Table:
    """Return the rows of a kept file that match. schema: of a file of one batch, or of several.

    Raises DamagedPartError if it is missing or no such file.
    """
    where = store.path(run, path)
    try:
        with os_errors(), open_file(store, where) as file:
            size = file.seek(0, io.SEEK_END)
            budget = DecodeBudget(decoded_limit(size))
            rows = BudgetedParquet(file, size=size, rows=None, budget=budget, schema=schema)
            with closing(rows):
                return rows.table(schema.names, filters)
    except (OSError, ValueError, OverflowError, MemoryError, pa.ArrowException) as error:
        raise DamagedPartError(path, f"cannot read {where}: {error}") from error


def read_batches(
    store: Store, run: str, run_id: str, chain: tuple[int, ...], filters: Filters | None = None
) -> Iterator[tuple[int, int, pa.Table]]:
    """Yield partition, sequence and rows of every batch up to the chain's, -1 for none.

    Raises SnapshotError for a chain that is none, and DamagedPartError for a batch that is in no
    file or in a damaged one.
    """
    for partition, last in enumerate(chain):
        if last < -1:
            raise SnapshotError(f"a chain of the snapshot ends at {last}")
        for first in range(0, last + 1, MERGED):
            sequences = range(first, min(first + MERGED, last + 1))
            yield from _some_batches(store, run, run_id, partition, sequences, filters)


def _some_batches(
    store: Store,
    run: str,
    run_id: str,
    partition: int,
    sequences: range,
    filters: Filters | None,
) -> Iterator[tuple[int, int, pa.Table]]:
    path = merged_path(run_id, partition, sequences[0])
    for sequence in sequences:
        if not file_exists(store, store.path(run, path)):
            try:
                own = kept_path(run_id, partition, sequence, sequence)
                yield partition, sequence, read_kept(store, run, own, filters)
                continue
            except DamagedPartError:
                # It may have been merged between the two looks.
                if not file_exists(store, store.path(run, path)):
                    raise
        table = read_kept(store, run, path, filters, MERGED_SCHEMA)
        held = table["sequence"].to_numpy()
        for each in range(sequence, sequences.stop):
            begin, end = np.searchsorted(held, [each, each + 1])
            yield partition, each, table.slice(begin, end - begin).select(SCHEMA.names)
        return
