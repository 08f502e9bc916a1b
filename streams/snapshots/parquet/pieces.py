"""Writing Parquet piece by piece, so that a table need not be in memory at once."""

import io

import pyarrow as pa
import pyarrow.parquet as pq

_ROWS_PER_GROUP = 4096


class ParquetEncoder:
    """Turns the pieces of one table into the bytes of one file, which are given out as they come.

    The bytes depend on the schema, the rows, and where the pieces end.
    """

    def __init__(self, schema: pa.Schema) -> None:
        self._sink = _Sink()
        self._writer = pq.ParquetWriter(
            self._sink,
            schema,
            compression="snappy",
            use_dictionary=[_leaf(field) for field in schema if not _hardly_repeats(field.type)],
            write_page_index=True,
        )

    def add(self, piece: pa.Table) -> bytes:
        """Return what the file grows by."""
        self._writer.write_table(piece, row_group_size=_ROWS_PER_GROUP)
        return self._sink.taken()

    def end(self) -> bytes:
        """Return what ends the file."""
        self._writer.close()
        return self._sink.taken()


def _hardly_repeats(kind: pa.DataType) -> bool:
    """Return whether values hardly ever repeat, as what is measured, sample keys, and the texts of
    tokens: a dictionary would cost and gain nothing."""
    each = kind.value_type if pa.types.is_list(kind) else kind
    return bool(
        pa.types.is_floating(each)
        or pa.types.is_fixed_size_binary(each)
        or pa.types.is_binary(each)
    )


def _leaf(field: pa.Field) -> str:
    """Return Parquet's name of the values of a column."""
    return f"{field.name}.list.element" if pa.types.is_list(field.type) else str(field.name)


class _Sink(io.RawIOBase):
    """Holds what was written until it is taken."""

    def __init__(self) -> None:
        super().__init__()
        self._blocks: list[bytes] = []
        self._at = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def write(self, data: object) -> int:
        block = bytes(memoryview(data))  # type: ignore[arg-type]
        self._blocks.append(block)
        self._at += len(block)
        return len(block)

    def taken(self) -> bytes:
        """Return what came since the last call."""
        blocks, self._blocks = self._blocks, []
        return b"".join(blocks)
