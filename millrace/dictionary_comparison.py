"""Compared dictionaries in the form that is asked for: a page, JSON, CSV or Parquet."""

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from downstream.analysis.dictionaries import DictionaryComparison
from downstream.reading.token_text import visible
from millrace.answer_files import Form, json_bytes, lines_bytes, table_bytes
from millrace.comparison_records import DictionariesRecord, to_plain

SMALL = ("dictionaries", "leaders", "specialists", "overlap")
"""Tables that JSON holds; that of matches is as long as the dictionaries are wide."""


def written_dictionaries(
    found: DictionaryComparison, record: DictionariesRecord, form: Form, table: str
) -> bytes:
    """Return compared dictionaries as bytes. table: of CSV and Parquet."""
    if form == "table":
        return lines_bytes(_dictionary_page(found))
    if form == "json":
        tables = {name: found.tables[name].to_pylist() for name in SMALL}
        return json_bytes({"record": to_plain(record), "notes": list(found.notes), **tables})
    return table_bytes(found.tables[table], json.dumps(to_plain(record)).encode(), form)


def _dictionary_page(found: DictionaryComparison) -> Iterator[str]:
    yield (
        f"{'dictionary':<16} {'features':>9} {'active':>9} {'dead':>7} {'L0':>8} {'explained':>9} "
        f"{'CE rec.':>8}  hook"
    )
    for row in found.tables["dictionaries"].to_pylist():
        measured = [_share(row[n]) for n in ("explained_variance", "cross_entropy_recovered")]
        yield (
            f"{visible(row['source']):<16} {row['features']:>9,} {row['active']:>9,} "
            f"{row['dead_share']:>7.1%} {row['l0']:>8.2f} {measured[0]:>9} {measured[1]:>8}  "
            f"{visible(row['hook'])}"
        )
        for what in ("neuronpedia", "cached_at"):
            if row[what]:
                yield f"{'':<16} {what.replace('_', ' ')} {visible(row[what])}"
    for by in ("strongest", "frequent", "selective"):
        rows = [row for row in found.tables["leaders"].to_pylist() if row["by"] == by]
        if rows:
            yield f"most {by}" if by != "strongest" else "strongest"
        yield from (_leader(row) for row in rows)
    yield from _specialist_lines(found.tables["specialists"].to_pylist())
    for row in found.tables["overlap"].to_pylist():
        ways = ", ".join(
            f"{way} {row[f'by_{way}']:,}"
            for way in ("decoder", "coactivation", "contexts")
            if row[f"by_{way}"] is not None
        )
        yield (
            f"{visible(row['source'])} in {visible(row['other_source'])}: {row['shared']:,} of "
            f"{row['active']:,} active features shared ({ways}), {row['alone']:,} alone"
        )
    yield from (f"note: {visible(note)}" for note in found.notes)


def _leader(row: Mapping[str, Any]) -> str:
    domain = ""
    if row["domain"] is not None:
        domain = f"  {visible(row['domain'])} {row['share']:.1%}, x {row['selectivity']:.2f}"
    name = visible(f"{row['source']}:{row['index']}")
    return (
        f"  {name:<18} maximum {row['max_activation']:<9.4g} density "
        f"{row['activation_density']:<9.3%}{domain}"
    )


def _specialist_lines(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if rows:
        yield "specialists by domain"
    lists: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in rows:
        lists.setdefault((row["source"], row["domain"]), []).append(row)
    for (source, domain), own in lists.items():
        best = ", ".join(
            f"{row['index']} ({row['share']:.0%})" for row in own if row["rank"] is not None
        )
        yield f"  {visible(source)}, {visible(domain)}: {own[0]['specialists']:,}; {best or 'none'}"


def _share(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
