"""Keeping all activations of a run: each batch is written before its records are sent.

A batch that comes again is written again, with the same rows. A refused one has an empty file, so
that every sequence of a chain has one. When the last of several is written they become one file.
"""

from threading import Lock

import numpy as np
import pyarrow as pa

from consumers.plan import Plan
from consumers.statistics.activity import ClusterTokens
from streams.records.corpus import TokenBatch
from streams.snapshots.kept_files import MERGED, SCHEMA, kept_path, merge_kept, write_kept
from streams.snapshots.store import open_store

_LARGE = 4 * 2**20
"""Files of more bytes are not small, and merging takes twice the time of writing: they stay."""


class Keeper:
    """Writes the activations of a run's clusters into its store."""

    def __init__(self, plan: Plan) -> None:
        self._run, self._id = plan.run.name, plan.id
        self._store = open_store(plan.run.store)
        self._lock = Lock()  # a refused batch is written by the thread of the device
        self._written: dict[int, set[int]] = {}  # sequences of a partition that may be merged

    def keep(self, batch: TokenBatch, tokens: ClusterTokens) -> None:
        """Write where clusters are active in a batch; raises StoreError."""
        self._write(batch.partition, batch.sequence, kept_table(batch, tokens))

    def keep_nothing(self, partition: int, sequence: int) -> None:
        """Write that a batch is refused; raises StoreError."""
        self._write(partition, sequence, SCHEMA.empty_table())

    def _write(self, partition: int, sequence: int, table: pa.Table) -> None:
        path = kept_path(self._id, partition, sequence, sequence)
        size = write_kept(self._store, self._run, path, table)
        if self._is_last(partition, sequence) and size <= _LARGE:
            merge_kept(self._store, self._run, self._id, partition, sequence)

    def _is_last(self, partition: int, sequence: int) -> bool:
        """Return whether a batch is the last of those that become one file.

        It has the largest sequence, or it is the last of all that were written here, where threads
        finish in another order.
        """
        with self._lock:
            written = self._written.setdefault(partition, set())
            written.add(sequence)
            first = sequence - sequence % MERGED
            written.intersection_update(range(first, first + MERGED))
            return len(written) == MERGED or sequence == first + MERGED - 1


def kept_table(batch: TokenBatch, tokens: ClusterTokens) -> pa.Table:
    """Return where clusters are active in a batch, by cluster, row and position."""
    row, position = np.divmod(tokens.token, np.int32(batch.ids.shape[1]))
    clusters = np.arange(len(tokens.first) - 1, dtype=np.int32)
    columns = (
        np.repeat(clusters, np.diff(tokens.first)),
        row,
        position,
        batch.ids[row, position].astype(np.int32),
        tokens.activity,
    )
    arrays = [pa.array(one, field.type) for one, field in zip(columns, SCHEMA, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)
