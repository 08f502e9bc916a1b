"""Arrow's own files, as the datasets library keeps them: both its file and its stream form."""

from collections.abc import Iterator
from typing import Any

from producers.documents import MAX_BAD_BYTES, Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.arrow_messages import CheckedStream
from producers.readers.opening import MOST_IN_MEMORY, Opened
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
                for column in chosen.columns:
                    _expect_inside(column)
                # A value that many rows share takes its bytes for each of them as Python's.
                at_once = min(max(MOST_IN_MEMORY // max(chosen.nbytes, 1), 1), ROWS)
                for start in range(0, chosen.num_rows, at_once):
                    part = chosen.slice(start, at_once)
                    yield from documents_of(part, file, fields, bad, done)
                    done += part.num_rows
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            said = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
            where = f"{file.address} after row {done}" if done else file.address
            bad.add(where, f"it is no readable Arrow file ({said})", file.head[:MAX_BAD_BYTES])


def _batches(file: Opened) -> tuple[list[str], Iterator[Any]]:
    import pyarrow as pa

    stream = file.stream
    if file.head.startswith(MAGIC):  # a stream, between the magic and a footer that finds its parts
        stream = file.seekable()
        stream.seek(len(MAGIC))
    opened = pa.ipc.open_stream(CheckedStream(stream))
    return opened.schema.names, iter(opened)


def _expect_inside(array: Any) -> None:
    """Raise ArrowInvalid if a value claims to lie outside its buffers, which Arrow would read.

    Text that is no UTF-8 is a matter of its row alone.
    """
    import pyarrow as pa

    try:
        array.validate(full=True)
    except pa.ArrowInvalid as error:
        if "UTF8" not in str(error):
            raise
        for child in _children(array):
            _expect_inside(child)


def _children(array: Any) -> list[Any]:
    """Return the arrays that an array is made of; the first that is wrong hides the others."""
    import pyarrow as pa

    kind = array.type
    if pa.types.is_struct(kind):
        return [array.field(number) for number in range(kind.num_fields)]
    if pa.types.is_dictionary(kind):
        return [array.dictionary]
    return [array.values] if hasattr(array, "values") else []
