"""Reading Parquet files of strangers within a budget.

A few bytes of Parquet can stand for gigabytes: a run of equal values costs no more bytes when it is
long, and neither does a long text that stands in a dictionary once. So before a row group is
decoded, the headers of its pages are read (see parquet_pages.py) and what it will take is added up;
a file is refused once that is more than ``decoded_limit``, which follows from its size.
"""

from collections.abc import Iterator, Sequence
from threading import Lock
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from streams.snapshots.parquet import page_headers
from streams.snapshots.parquet.page_headers import (
    DATA,
    DATA_V2,
    DICTIONARY,
    PLAIN,
    PLAIN_DICTIONARY,
    PageError,
)
from streams.snapshots.parquet.row_filters import (
    Filters,
    columns_of,
    expression_of,
    groups_that_can_match,
)

FREE_BYTES = 64 * 2**20
"""What any file may take when it is decoded, however small it is."""

MOST_PER_BYTE = 64
"""What it may take beyond, for each of its bytes: ours take up to 30."""

_LEVELS = 4  # bytes beside each value while it is decoded: whether it is there, where its list ends
_OFFSET = 4  # bytes that say where a text or a list ends
_LARGEST_DICTIONARY = 4 * 2**20
_LEAST_FOOTER, _LARGEST_FOOTER = 2**20, 32 * 2**20
_SCHEMA_ELEMENTS = 512  # Arrow goes down a schema by recursion
_CODECS = ("UNCOMPRESSED", "SNAPPY", "ZSTD")
_WIDTHS = {"BOOLEAN": 1, "INT32": 4, "INT64": 8, "FLOAT": 4, "DOUBLE": 8, "INT96": 12}


def decoded_limit(size: int, more: int = 0) -> int:
    """Return the bytes that a file of ``size`` bytes may take when it is decoded.

    more: what is known to be long although it costs few bytes, such as histograms of zeros.
    """
    return FREE_BYTES + MOST_PER_BYTE * size + more


class DecodeBudget:
    """Bytes that a file may still take when it is decoded. Its readers, in any thread, share it."""

    def __init__(self, limit: int) -> None:
        self.limit = self._left = limit
        self._lock = Lock()

    def pay(self, cost: int) -> bool:
        """Take bytes from it; return whether there were as many."""
        with self._lock:
            self._left -= cost
            return self._left >= 0


class BudgetedParquet:
    """A Parquet file that is decoded row group by row group, within its budget.

    size: of the file. rows: those it must have, None for as many as it says. budget: the decoded
    bytes that it may take in all. schema: the columns it must have. footer: its own, if it was read
    before. Raises PageError (a ValueError), or what Arrow raises, for a file that is broken, has
    other columns or another number of rows, or takes more.
    """

    def __init__(
        self,
        file: BinaryIO,
        *,
        size: int,
        rows: int | None,
        budget: DecodeBudget,
        schema: pa.Schema,
        footer: Any = None,
    ) -> None:
        if footer is None:
            _check_footer(file, size)
        # Arrow's readers ahead of time would fetch the whole file, and decode it in threads that
        # wait for each other: slower, too.
        self._rows = pq.ParquetFile(
            file,
            metadata=footer,
            pre_buffer=False,
            thrift_string_size_limit=_LARGEST_FOOTER,
            thrift_container_size_limit=2**20,
        )
        self._file = file
        self._budget = budget
        self._size = size
        self._paid: set[tuple[int, int]] = set()
        if not self._rows.schema_arrow.equals(schema):
            raise OtherColumnsError("it has other columns")
        self._check_rows(rows)
        leaves = (self._rows.schema.column(number) for number in range(len(self._rows.schema)))
        # Of each column of numbers or texts: the table's column that it is of, and its width.
        self._leaves = [(leaf.path.partition(".")[0], leaf.length or 0) for leaf in leaves]

    def close(self) -> None:
        """Let go of the file's footer; whoever opened the file closes it."""
        self._rows.close()

    def table(
        self, columns: Sequence[str] | None = None, filters: Filters | None = None
    ) -> pa.Table:
        """Return the rows that match, of all columns or of some."""
        metadata = self._rows.metadata
        groups = groups_that_can_match(metadata, filters)
        wanted = columns_of(filters, columns)
        found = []
        for group in filter(self._has_rows, groups):
            self._pay(group, wanted)
            part = self._rows.read_row_group(group, columns=wanted, use_threads=False)
            found.append(part if filters is None else part.filter(expression_of(filters)))
        schema = self._rows.schema_arrow
        empty = schema.remove_metadata().empty_table()
        joined = pa.concat_tables([part.replace_schema_metadata() for part in found] or [empty])
        return joined if columns is None else joined.select(list(columns))

    @property
    def footer(self) -> Any:
        """Its footer, which saves reading it when the file is opened again."""
        return self._rows.metadata

    def row_group(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the rows of one row group, of all columns or of some."""
        wanted = None if columns is None else list(columns)
        self._pay(number, wanted)
        found = self._rows.read_row_group(number, columns=wanted, use_threads=False)
        return found.replace_schema_metadata()

    def pieces(self, size: int, columns: Sequence[str] | None = None) -> Iterator[pa.RecordBatch]:
        """Yield all rows, up to ``size`` at a time; nothing is decoded before it is asked for."""
        wanted = None if columns is None else list(columns)
        for groups in self._groups_of(size):
            for group in groups:
                self._pay(group, wanted)
            yield from self._rows.iter_batches(
                size, row_groups=groups, columns=wanted, use_threads=False
            )

    def _groups_of(self, size: int) -> Iterator[list[int]]:
        """Yield row groups that follow one another, as many as hold ``size`` rows, or one."""
        groups, rows = list[int](), 0
        for group in filter(self._has_rows, range(self._rows.num_row_groups)):
            more = self._rows.metadata.row_group(group).num_rows
            if groups and rows + more > size:
                yield groups
                groups, rows = [], 0
            groups.append(group)
            rows += more
        if groups:
            yield groups

    def _has_rows(self, group: int) -> bool:
        return bool(self._rows.metadata.row_group(group).num_rows)

    def _check_rows(self, promised: int | None) -> None:
        metadata = self._rows.metadata
        rows = metadata.num_rows if promised is None else promised
        groups = [metadata.row_group(g).num_rows for g in range(metadata.num_row_groups)]
        if metadata.num_rows != rows or sum(groups) != rows or min(groups, default=0) < 0:
            raise PageError(f"it has {metadata.num_rows} rows where {rows} are promised")

    def _pay(self, group: int, columns: Sequence[str] | None) -> None:
        """Take from the budget what columns of a row group need; each is paid for once."""
        metadata = self._rows.metadata.row_group(group)
        for number, (name, width) in enumerate(self._leaves):
            if (group, number) in self._paid or not (columns is None or name in columns):
                continue
            column = metadata.column(number)
            if not self._budget.pay(self._cost(column, metadata.num_rows, width)):
                raise PageError(
                    f"it would take more than {self._budget.limit:,} bytes of memory, which no "
                    f"file of {self._size:,} bytes needs"
                )
            self._paid.add((group, number))

    def _cost(self, column: Any, rows: int, width: int) -> int:
        """Return the bytes that a column of a row group takes at most while it is decoded.

        width: of texts of fixed length.
        """
        if column.file_path or column.compression not in _CODECS:
            raise PageError("it has a column that lies elsewhere, or is packed in an unknown way")
        start = column.data_page_offset
        if column.has_dictionary_page and 0 < column.dictionary_page_offset < start:
            start = column.dictionary_page_offset
        length = column.total_compressed_size
        if start < len(page_headers.MAGIC) or length < 0 or start + length > self._size:
            raise PageError("it has a column that lies outside it")
        text = column.physical_type == "BYTE_ARRAY"
        fixed = _WIDTHS.get(column.physical_type, width)
        cost = rows * _OFFSET
        values = longest = 0
        for page in page_headers.pages(self._file, start, length):
            cost += page.uncompressed
            if page.kind == DICTIONARY:
                _check_dictionary(page)
                longest = self._longest(page, column.compression) if text else 0
                continue
            if page.kind not in (DATA, DATA_V2):
                continue
            if page.encoding == PLAIN:
                each = _OFFSET if text else fixed
            elif page.encoding in (PLAIN_DICTIONARY, page_headers.RLE_DICTIONARY):
                each = _OFFSET + longest if text else fixed
            else:
                raise PageError("it has a column in an encoding that is not used here")
            values += page.values
            cost += page.values * (each + _LEVELS)
        if values != column.num_values or values < rows:
            raise PageError("its footer and its pages disagree about the number of values")
        return cost

    def _longest(self, page: page_headers.ParquetPage, codec: str) -> int:
        self._file.seek(page.at)
        body = self._file.read(page.compressed)
        if codec != "UNCOMPRESSED":
            body = pa.Codec(codec.lower()).decompress(body, page.uncompressed, asbytes=True)
        return page_headers.longest_entry(body)


class OtherColumnsError(PageError):
    """The file is no part of the table it should be of."""


def _check_dictionary(page: page_headers.ParquetPage) -> None:
    if page.uncompressed > _LARGEST_DICTIONARY or page.encoding not in (PLAIN, PLAIN_DICTIONARY):
        raise PageError("it has a dictionary that is too large, or in an unknown encoding")


def _check_footer(file: BinaryIO, size: int) -> None:
    """Raise PageError for a footer that would take Arrow more memory or stack than it should."""
    file.seek(max(size - page_headers.TAIL, 0))
    length = page_headers.footer_length(file.read(page_headers.TAIL))
    largest = min(max(size // 4, _LEAST_FOOTER), _LARGEST_FOOTER)
    if length > min(size - page_headers.TAIL - len(page_headers.MAGIC), largest):
        raise PageError(f"its footer claims {length:,} of {size:,} bytes")
    file.seek(size - page_headers.TAIL - length)
    if page_headers.schema_elements(file.read(length)) > _SCHEMA_ELEMENTS:
        raise PageError(f"its schema has more than {_SCHEMA_ELEMENTS} elements")
    file.seek(0)
