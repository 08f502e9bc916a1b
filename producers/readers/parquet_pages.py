"""How many rows of a Parquet file can be decoded at once, as the headers of its pages say.

A page says how long it is unpacked, and Arrow makes room for that; a text that stands in a
dictionary once, or is the beginning of all others in a page, takes its bytes for each row that has
it. What is usual is read as it always was.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO

from producers.readers.opening import MOST_IN_MEMORY
from streams.snapshots.parquet import page_headers
from streams.snapshots.parquet.page_headers import DATA, DATA_V2, DICTIONARY, PageError

ROWS = 256
MOST_PER_BYTE = 256
_LEVELS = 8  # bytes beside each value while it is decoded
_LONGEST_HEADER = 16 * 2**20  # some writers keep the smallest and largest text there in full
_DELTA_BYTE_ARRAY = 7
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8, "INT96": 12}
_CODECS = {"SNAPPY": "snappy", "GZIP": "gzip", "BROTLI": "brotli", "ZSTD": "zstd"}


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of values: its bytes unpacked, with levels, and the longest text that may repeat."""

    values: int
    size: int
    repeated: int


def rows_at_once(file: BinaryIO, metadata: Any, group: int, roots: Sequence[str]) -> int:
    """Return how many rows of a row group to decode at a time, ``ROWS`` at most.

    metadata: of the whole file. roots: the top-level columns that are read. Raises PageError if one
    row may take more than ``MOST_IN_MEMORY`` bytes, or a column of lists more than that and
    ``MOST_PER_BYTE`` for each of its bytes in the file: where a row of those begins is not known
    before it is decoded. Raises ArrowException for a dictionary that cannot be unpacked.
    """
    at_once = ROWS
    for number in range(metadata.num_columns):
        column = metadata.row_group(group).column(number)
        if column.path_in_schema.split(".")[0] not in roots:
            continue
        leaf = metadata.schema.column(number)
        found = list(_pages(file, column, leaf.length or 0))
        if leaf.max_repetition_level:
            most = max(MOST_IN_MEMORY, MOST_PER_BYTE * column.total_compressed_size)
            _expect(sum(page.size + page.values * page.repeated for page in found), most)
            continue
        while (size := _largest(found, at_once)) > MOST_IN_MEMORY and at_once > 1:
            at_once //= 2
        _expect(size, MOST_IN_MEMORY)
    return at_once


def _expect(size: int, most: int) -> None:
    if size > most:
        raise PageError(f"it would take {size:,} bytes of memory, more than {most:,}")


def _largest(pages: Sequence[_Page], rows: int) -> int:
    """Return the most bytes that any so many rows in succession take of a column without lists."""
    largest = held = reached = stop = first = 0
    for number, page in enumerate(pages):
        first += page.values
        # So many rows that begin with the last one of this page end before first - 1 + rows.
        while reached < len(pages) and (reached <= number or stop < first - 1 + rows):
            held += pages[reached].size
            stop += pages[reached].values
            reached += 1
        largest = max(largest, held)
        held -= page.size
    return largest + rows * max((page.repeated for page in pages), default=0)


def _pages(file: BinaryIO, column: Any, width: int) -> Iterator[_Page]:
    """Yield the pages of values of a column chunk. width: of texts of fixed length."""
    start = column.data_page_offset
    if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
        start = column.dictionary_page_offset
    if column.file_path or start < len(page_headers.MAGIC):
        raise PageError("it has a column that lies elsewhere")
    text = column.physical_type == "BYTE_ARRAY"
    each = _LEVELS + (0 if text else _WIDTHS.get(column.physical_type, width))
    longest = 0
    length = column.total_compressed_size
    for page in page_headers.pages(file, start, length, longest_header=_LONGEST_HEADER):
        _expect(page.uncompressed, MOST_IN_MEMORY)
        if page.kind == DICTIONARY:
            longest = _longest(file, page, column.compression) if text else 0
        elif page.kind in (DATA, DATA_V2):
            prefix = page.uncompressed if page.encoding == _DELTA_BYTE_ARRAY else longest
            yield _Page(page.values, page.uncompressed + page.values * each, prefix)


def _longest(file: BinaryIO, page: page_headers.ParquetPage, codec: str) -> int:
    """Return the length of the longest text in a dictionary; its own where it cannot be told."""
    import pyarrow as pa

    file.seek(page.at)
    body = file.read(page.compressed)
    if codec in _CODECS:
        body = pa.Codec(_CODECS[codec]).decompress(body, page.uncompressed, asbytes=True)
    elif codec != "UNCOMPRESSED":
        return page.uncompressed
    return page_headers.longest_entry(body)
