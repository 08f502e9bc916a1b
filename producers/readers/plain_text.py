"""Plain text: a file is one document."""

from collections.abc import Iterator

from producers.documents import MAX_BAD_BYTES, Document, RefusedDocuments
from producers.fields import Fields
from producers.readers.opening import Opened


class PlainText:
    """Whole files as text: UTF-8, or what ``encoding`` says."""

    name = "text"
    suffixes = (".txt", ".text", ".md", ".rst")

    def recognises(self, head: bytes, fields: Fields) -> bool:
        """Return False: anything may be text."""
        return False

    def read(self, file: Opened, fields: Fields, bad: RefusedDocuments) -> Iterator[Document]:
        """Yield the whole file as one document, named like it; an empty file has none."""
        data = file.stream.read(fields.max_document_bytes + 1)
        if len(data) > fields.max_document_bytes:
            bad.add(file.address, fields.too_long, data[:MAX_BAD_BYTES])
            return
        encoding = fields.encoding or "utf-8-sig"
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            found = f"byte 0x{data[error.start]:02x}"
            kind = fields.encoding or "UTF-8"
            bad.add(f"{file.address} line {line}", f"it is not {kind} ({found})", data)
            return
        if text:
            yield Document(file.name, "", text)
