"""All activations of a run that kept them: every one by cluster and place, read from its files."""

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa

from streams.errors import SnapshotError
from streams.snapshots.kept_files import ACTIVATIONS, SCHEMA, read_batches
from streams.snapshots.manifests import RunManifest
from streams.snapshots.parquet.row_filters import Filters
from streams.snapshots.store import open_store

_PLACE = (pa.field("partition", pa.int32()), pa.field("sequence", pa.int64()))


@dataclass(frozen=True, slots=True, eq=False)
class KeptActivations:
    """Activations of the batches that the snapshot's chains name.

    Columns: partition, sequence, cluster, row, position, token (its id) and activation; rows by
    partition, sequence, cluster, row and position. In mid-run these are the batches that every
    shard has counted.
    """

    manifest: RunManifest

    @property
    def chain(self) -> tuple[int, ...]:
        """The last batch of each partition that is in, -1 for none."""
        return tuple(min(each) for each in zip(*self.manifest.chains, strict=True))

    def of(self, cluster: int) -> pa.Table:
        """Return every activation of a cluster, by its number.

        Raises SnapshotError if a file is missing or damaged.
        """
        return self.between(cluster, cluster + 1)

    def between(self, first: int, stop: int) -> pa.Table:
        """Return those of clusters first to stop - 1, each file read once; errors as for ``of``."""
        span = [("cluster", ">=", first), ("cluster", "<", stop)]
        parts = list(self._pieces(span))
        return pa.concat_tables(parts) if parts else _EMPTY

    def batches(self) -> Iterator[pa.Table]:
        """Yield the activations of all clusters, a batch at a time; errors as for ``of``."""
        return self._pieces(None)

    def _pieces(self, filters: Filters | None) -> Iterator[pa.Table]:
        store, manifest = open_store(self.manifest.store), self.manifest
        found = read_batches(store, manifest.run, manifest.run_id, self.chain, filters)
        for partition, sequence, table in found:
            place = [
                pa.repeat(pa.scalar(number, field.type), len(table))
                for number, field in zip((partition, sequence), _PLACE, strict=True)
            ]
            yield pa.Table.from_arrays([*place, *table.columns], schema=_EMPTY.schema)


_EMPTY = pa.schema([*_PLACE, *SCHEMA]).empty_table()


def has_kept(manifest: RunManifest) -> bool:
    """Return whether a run kept its activations."""
    return manifest.about.get("keep") == ACTIVATIONS


def kept_activations(manifest: RunManifest) -> KeptActivations:
    """Return the activations that a run kept; raises SnapshotError if it did not."""
    if not has_kept(manifest):
        raise SnapshotError(
            f"run {manifest.run} did not keep its activations: make one with "
            f'keep = "{ACTIVATIONS}" under [run]'
        )
    return KeptActivations(manifest)
