"""Compared models in the form that is asked for: a page, JSON, CSV or Parquet."""

import json
from collections.abc import Iterator
from itertools import islice
from typing import Any

from downstream.analysis.models import ModelComparison
from downstream.reading.token_text import visible
from millrace.answer_files import Form, json_bytes, lines_bytes, table_bytes
from millrace.comparison_records import ModelsRecord, to_plain


def written_models(found: ModelComparison, record: ModelsRecord, form: Form, table: str) -> bytes:
    """Return compared models as bytes. table: of CSV and Parquet."""
    plain = to_plain(record)
    if form == "table":
        return lines_bytes(_model_page(found, record.top))
    if form == "json":
        best = [row for rows in _best_matches(found, record.top) for row in rows]
        shared = found.shared.to_pylist()
        return json_bytes({"record": plain, "notes": list(found.notes), "shared_texts": shared,
                      "best_matches": best})  # fmt: skip
    wanted = found.shared if table == "shared_texts" else found.matches
    return table_bytes(wanted, json.dumps(plain).encode(), form)


def _best_matches(found: ModelComparison, top: int) -> Iterator[list[dict[str, Any]]]:
    """Yield the best mutual matches of each two runs, each two once."""
    mutual = [row for row in found.matches.to_pylist() if row["mutual"]]
    mutual.sort(key=lambda row: (-row["jaccard"], -row["both"], row["cluster_a"]))
    for pair in found.shared.to_pylist():
        of_both = (row for row in mutual if (row["a"], row["b"]) == (pair["a"], pair["b"]))
        yield [*islice(of_both, top)]


def _model_page(found: ModelComparison, top: int) -> Iterator[str]:
    for number, run in enumerate(found.runs):
        yield f"{number}: run {visible(run.run)}, model {visible(str(run.about.get('model')))}"
    for pair, rows in zip(found.shared.to_pylist(), _best_matches(found, top), strict=True):
        yield (
            f"{pair['a']} and {pair['b']} share {pair['documents']:,} documents: "
            f"{pair['rows_a']:,} of {pair['of_rows_a']:,} and {pair['rows_b']:,} of "
            f"{pair['of_rows_b']:,} stored rows, {pair['bytes']:,} bytes of text"
        )
        for row in rows:
            one, other = (
                visible(f"{row[f'clustering_{s}'].removeprefix('features/')}:{row[f'label_{s}']}")
                for s in "ab"
            )
            yield (
                f"  {one:<18} {other:<18} {row['jaccard']:>6.3f}  {row['both']:,} bytes of "
                f"{row['of_a']:,} and {row['of_b']:,}"
            )
    yield from (f"note: {visible(note)}" for note in found.notes)
