"""What readers of Arrow's tables share: from rows to documents."""

from collections.abc import Iterator, Sequence
from typing import Any

from producers.documents import Document, RefusedDocuments
from producers.fields import Fields, document_of
from producers.readers.opening import Opened
from streams.errors import CorpusError


def check_columns(address: str, found: Sequence[str], fields: Fields) -> None:
    """Raise CorpusError if a table lacks a column that is asked for."""
    missing = fields.missing(found)
    if missing is not None:
        raise CorpusError(
            f"{address} has no column {missing!r}: name one of {', '.join(found)} as the field"
        )


def documents_of(
    rows: Any, file: Opened, fields: Fields, bad: RefusedDocuments, before: int
) -> Iterator[Document]:
    """Yield the documents of a record batch. before: how many rows of the file lie before it."""
    for number, record in enumerate(_records(rows), start=before + 1):
        where = f"{file.address} row {number}"
        try:
            if isinstance(record, UnicodeDecodeError):
                raise ValueError(f"it is not UTF-8 (byte 0x{record.object[record.start]:02x})")
            document = document_of(record, fields, f"{file.name}:{number}")
        except ValueError as error:
            bad.add(where, str(error), repr(record).encode(errors="replace"))
            continue
        yield document


def _records(rows: Any) -> Iterator[Any]:
    """Yield each row as a map, or the error of one whose text is no UTF-8."""
    try:
        yield from rows.to_pylist()
    except UnicodeDecodeError:
        for number in range(rows.num_rows):
            try:
                yield rows.slice(number, 1).to_pylist()[0]
            except UnicodeDecodeError as error:
                yield error
