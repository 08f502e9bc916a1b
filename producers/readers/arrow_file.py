"""Arrow's own files, as the datasets library keeps them: both its file and its stream form."""

from collections.abc import Iterator
from typing import Any

from producers.documents import MAX_BAD_BYTES, Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.opening import Opened
from producers.readers.tables import check_columns, documents_of

MAGIC = b"ARROW1\0\0"
_STREAM = b"\xff\xff\xff\xff"
ROWS = 256


class ArrowFile:
    """Arrow IPC files and streams; Feather's second version is the former."""

    name = "arrow"
    suffixes = (".arrow", ".feather", ".ipc")

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return whether the file begins as one of Arrow's does."""
        return head.startswith(MAGIC) or head.startswith(_STREAM)

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield a document per row; its id is ``name:row``, counted from 1, unless a field says.

        Raises CorpusError if a named column is missing: no row could be read then.
        """
        import pyarrow as pa

        done = 0
        try:
            names, batches = _batches(file)
            check_columns(file.address, names, fields)
            columns = fields.columns(names)
            for rows in batches:
                chosen = rows.select(columns)
                for start in range(0, chosen.num_rows, ROWS):
                    part = chosen.slice(start, ROWS)
                    yield from documents_of(part, file, fields, bad, done)
                    done += part.num_rows
        except (pa.ArrowException, OSError) as error:
            said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
            where = f"{file.address} after row {done}" if done else file.address
            bad.add(where, f"it is no readable Arrow file ({said})", file.head[:MAX_BAD_BYTES])


def _batches(file: Opened) -> tuple[list[str], Iterator[Any]]:
    import pyarrow as pa

    if file.head.startswith(MAGIC):
        opened = pa.ipc.open_file(file.seekable())
        found = (opened.get_batch(n) for n in range(opened.num_record_batches))
        return opened.schema.names, found
    stream = pa.ipc.open_stream(file.stream)
    return stream.schema.names, iter(stream)
