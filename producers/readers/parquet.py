"""Parquet files, read a few hundred rows at a time."""

from collections.abc import Iterator
from pathlib import Path

from producers.documents import MAX_BAD_BYTES, Document, Fields, Refusals, document_of
from streams.errors import CorpusError

ROWS = 256


def read_parquet(path: Path, name: str, fields: Fields, bad: Refusals) -> Iterator[Document]:
    """Yield a document per row; its id is ``name:row``, counted from 1, unless a field says.

    Raises CorpusError if a named column is missing: no row could be read then.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            _check_columns(path, file.schema_arrow.names, fields)
            for rows in file.iter_batches(ROWS, columns=fields.names()):
                for record in rows.to_pylist():
                    number += 1
                    try:
                        document = document_of(record, fields, f"{name}:{number}")
                    except ValueError as error:
                        bad.add(f"{path} row {number}", str(error), repr(record).encode())
                        continue
                    yield document
    except FileNotFoundError:
        raise
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        place = f"{path} after row {number}" if number else str(path)
        bad.add(place, f"it is no readable Parquet file ({reason})", _head(path))


def _check_columns(path: Path, found: list[str], fields: Fields) -> None:
    missing = [name for name in fields.names() if name not in found]
    if missing:
        raise CorpusError(
            f"{path} has no column {missing[0]!r}: name one of {', '.join(found)} as the field"
        )


def _head(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_BAD_BYTES)
