"""Parquet files, read a few hundred rows at a time."""

from collections.abc import Iterator
from typing import Any

from producers.documents import MAX_BAD_BYTES, Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.opening import Opened
from producers.readers.parquet_pages import rows_at_once
from producers.readers.tables import check_columns, documents_of
from streams.snapshots.parquet.page_headers import PageError

MAGIC = b"PAR1"


class Parquet:
    """Parquet, by its first bytes."""

    name = "parquet"
    suffixes = (".parquet", ".pq")

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether the file begins as Parquet does."""
        return head.startswith(MAGIC)

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield a document per row; its id is ``name:row``, counted from 1, unless a field says.

        A group of rows that is damaged is passed over. Raises CorpusError if a named column is
        missing: no row could be read then.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        stored = file.seekable()
        try:
            # Nothing is decoded ahead: what a row group may take is looked at first.
            table = pq.ParquetFile(stored, pre_buffer=False)
        except (pa.ArrowException, OSError) as error:
            bad.add(file.address, _reason(error), file.head[:MAX_BAD_BYTES])
            return
        check_columns(file.address, table.schema_arrow.names, fields)
        columns = fields.columns(table.schema_arrow.names)
        first = 0
        for group in range(table.num_row_groups):
            done = first
            try:
                at_once = rows_at_once(stored, table.metadata, group, columns)
                for rows in table.iter_batches(at_once, row_groups=[group], columns=columns):
                    yield from documents_of(rows, file, fields, bad, done)
                    done += rows.num_rows
            except (pa.ArrowException, OSError, PageError) as error:
                stop = first + table.metadata.row_group(group).num_rows
                where = f"{file.address} rows {done + 1} to {stop}"
                bad.add(where, _reason(error), file.head[:MAX_BAD_BYTES])
            first += table.metadata.row_group(group).num_rows


def _reason(error: Any) -> str:
    said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
    return f"it is no readable Parquet ({said})"
