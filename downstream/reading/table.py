"""A table as people use it: Arrow inside, with the meaning of each column."""

from collections.abc import Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from streams.errors import UserError
from streams.snapshots.table_entry import ColumnEntry

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

_ROWS_SHOWN = 10


class Table:
    """Rows of a snapshot or of an attachment. Arrow's other programs take it as it is."""

    def __init__(self, name: str, arrow: pa.Table, meaning: Sequence[ColumnEntry] = ()) -> None:
        self.name = name
        self.arrow = arrow
        self._meaning = {column.name: column for column in meaning}

    @property
    def column_names(self) -> list[str]:
        """The names of its columns."""
        return [str(name) for name in self.arrow.column_names]

    def about(self, column: str) -> ColumnEntry:
        """Return what a column is: its unit, its meaning, and how exact it is."""
        if column not in self._meaning:
            raise UserError(f"nothing is known of a column {column!r} of the table {self.name!r}")
        return self._meaning[column]

    def to_pandas(self) -> "pd.DataFrame":
        """Return a pandas frame; raises UserError if pandas is not there."""
        try:
            import pandas  # noqa: F401
        except ImportError as error:
            raise _missing("to_pandas", "pandas") from error
        return self.arrow.to_pandas()

    def to_polars(self) -> "pl.DataFrame":
        """Return a polars frame; raises UserError if polars is not there."""
        try:
            import polars
        except ImportError as error:
            raise _missing("to_polars", "polars") from error
        found = polars.from_arrow(self.arrow)
        return found if isinstance(found, polars.DataFrame) else found.to_frame()

    def to_pylist(self) -> list[dict[str, Any]]:
        """Return the rows as dictionaries."""
        found: list[dict[str, Any]] = self.arrow.to_pylist()
        return found

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self.arrow.__arrow_c_stream__(requested_schema)

    def __getitem__(self, column: str) -> pa.ChunkedArray:
        return self.arrow[column]

    def __len__(self) -> int:
        return len(self.arrow)

    def __repr__(self) -> str:
        return f"<table {self.name}: {len(self):,} rows, {', '.join(self.column_names)}>"

    def _repr_html_(self) -> str:
        heads = "".join(f"<th>{escape(name)}</th>" for name in self.column_names)
        rows = "".join(
            f"<tr>{''.join(f'<td>{escape(_short(value))}</td>' for value in row.values())}</tr>"
            for row in self.arrow.slice(0, _ROWS_SHOWN).to_pylist()
        )
        more = f"<p>{len(self):,} rows</p>" if len(self) > _ROWS_SHOWN else ""
        return f"<table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table>{more}"


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def _missing(what: str, package: str) -> UserError:
    return UserError(f"{what} needs the package {package}, which is not installed here: install it")
