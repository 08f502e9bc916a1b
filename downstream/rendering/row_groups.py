"""A table of a snapshot by cluster: its files' footers are kept, and single row groups read."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from streams.snapshots.manifests import RunManifest
from streams.snapshots.store import open_store
from streams.snapshots.table_entry import PartFile
from streams.snapshots.table_reading import expected_schema, opened_part, parts_of

_CLUSTER = "cluster"

Seen = Callable[[pa.Table], None]


@dataclass(frozen=True, slots=True)
class _RowGroup:
    """A row group, and the smallest and largest cluster in it."""

    file: int
    number: int
    low: int
    high: int


class RowGroups:
    """Rows of a table by their cluster."""

    def __init__(
        self,
        manifest: RunManifest,
        name: str,
        footers: Sequence[tuple[PartFile, Any]],
        groups: Sequence[_RowGroup],
    ) -> None:
        self._manifest = manifest
        self._schema = expected_schema(manifest, name)
        self._footers = footers
        self._groups = groups

    def rows(self, clusters: Iterable[int], columns: Sequence[str]) -> pa.Table:
        """Return the rows of clusters in the order of the files; raises SnapshotError."""
        wanted = sorted(set(clusters))
        needed = [g for g in self._groups if any(g.low <= c <= g.high for c in wanted)]
        found = [self._schema.empty_table().select([*columns])]
        store = open_store(self._manifest.store)
        for file in sorted({group.file for group in needed}):
            part, footer = self._footers[file]
            with opened_part(store, self._manifest, part, self._schema, footer=footer) as opened:
                for group in (group for group in needed if group.file == file):
                    rows = opened.row_group(group.number, list({*columns, _CLUSTER}))
                    at = pc.is_in(rows[_CLUSTER], pa.array(wanted, rows[_CLUSTER].type))
                    found.append(rows.filter(at).select([*columns]))
        return pa.concat_tables(found)


def read_row_groups(
    manifest: RunManifest, name: str, columns: Sequence[str] = (), seen: Seen = lambda rows: None
) -> RowGroups:
    """Read a table through once, each file compared with its checksum, and keep the footers.

    seen: called with each row group in turn, with its ``columns`` and its cluster. Raises
    SnapshotError, and ValueError for a row without a cluster.
    """
    store, schema = open_store(manifest.store), expected_schema(manifest, name)
    footers: list[tuple[PartFile, Any]] = []
    groups: list[_RowGroup] = []
    for part in parts_of(manifest, name):
        with opened_part(store, manifest, part, schema, check=True) as file:
            for number in range(file.footer.num_row_groups):
                if not file.footer.row_group(number).num_rows:
                    continue
                rows = file.row_group(number, list({*columns, _CLUSTER}))
                bounds = pc.min_max(rows[_CLUSTER], skip_nulls=False).as_py()
                if bounds["min"] is None:
                    raise ValueError(f"the table {name!r} has rows of no cluster")
                groups.append(_RowGroup(len(footers), number, bounds["min"], bounds["max"]))
                seen(rows)
            footers.append((part, file.footer))
    return RowGroups(manifest, name, footers, groups)
