"""Tables that CSV and Parquet can hold, by the verb that asks; the first unless one is named."""

from streams.errors import QuestionError

TABLES = {
    "ask": ("features", "totals", "tokens", "values"),
    "compare-dictionaries": ("leaders", "dictionaries", "specialists", "overlap", "matches"),
    "compare-models": ("model_matches", "shared_texts"),
}


def table_of(kind: str, named: str | None) -> str:
    """Return the table of an answer that is wanted; QuestionError if it has none of that name.

    kind: the verb that asks. Answers of verbs that are not listed have one table, of no name.
    """
    tables = TABLES.get(kind, ())
    if named is None:
        return tables[0] if tables else ""
    if named not in tables:
        there = f"the tables {', '.join(tables)}" if tables else "one table: leave out --table"
        raise QuestionError(f"an answer of {kind} has no table {named!r}, but {there}")
    return named
