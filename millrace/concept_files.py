"""Features of a concept in the form that is asked for: a page, JSON, CSV or Parquet."""

import json
from collections.abc import Iterator
from dataclasses import asdict, fields
from typing import Any

import pyarrow as pa

from consumers.asking.concept_record import ConceptRecord, to_plain
from downstream.analysis.domain_features import DomainFeatures
from downstream.reading.token_text import visible
from millrace.answer_files import Form, json_bytes, lines_bytes, table_bytes
from millrace.comparison_records import DomainRecord
from millrace.comparison_records import to_plain as domain_plain
from streams.asking.concept import ConceptAnswer, ConceptFeature, Separation

_NUMBERS = tuple(field.name for field in fields(Separation))
CONCEPT_FEATURES = pa.schema(
    [
        pa.field("rank", pa.int32()),
        pa.field("source", pa.string()),
        pa.field("index", pa.int32()),
        pa.field("active_with", pa.float64()),
        pa.field("active_without", pa.float64()),
        *(pa.field(name, pa.float64()) for name in _NUMBERS),
        *(pa.field(f"held_back_{name}", pa.float64()) for name in _NUMBERS),
        pa.field("confirmed", pa.bool_()),
    ]
)
"""Ranks count from 1 in each source; held_back_ is null without texts held back."""


def written(answer: ConceptAnswer, record: ConceptRecord, form: Form) -> bytes:
    """Return an answer as bytes: JSON with all of it, tables with CONCEPT_FEATURES."""
    plain = to_plain(record)
    if form == "table":
        return lines_bytes(_page(answer))
    if form == "json":
        return json_bytes({"record": plain, "answer": asdict(answer)})
    found = pa.Table.from_pylist(list(_rows(answer)), schema=CONCEPT_FEATURES)
    return table_bytes(found, json.dumps(plain).encode(), form)


def written_domain(found: DomainFeatures, record: DomainRecord, form: Form) -> bytes:
    """Return features of a domain as bytes."""
    plain = domain_plain(record)
    if form == "table":
        return lines_bytes(_domain_page(found))
    if form == "json":
        names = ("against", "tokens", "rows", "tried", "significant")
        answer = {name: getattr(found, name) for name in names}
        answer["features"] = found.table.to_pylist()
        return json_bytes({"record": plain, "answer": answer})
    return table_bytes(found.table.arrow, json.dumps(plain).encode(), form)


def _ranked(answer: ConceptAnswer) -> Iterator[tuple[int, ConceptFeature]]:
    rank: dict[str, int] = {}
    for one in answer.features:
        rank[one.source] = rank.get(one.source, 0) + 1
        yield rank[one.source], one


def _rows(answer: ConceptAnswer) -> Iterator[dict[str, Any]]:
    for rank, one in _ranked(answer):
        held = asdict(one.held_back) if one.held_back else {}
        yield {
            "rank": rank,
            **{n: getattr(one, n) for n in ("source", "index", "active_with", "active_without")},
            **asdict(one.chosen),
            **{f"held_back_{name}": value for name, value in held.items()},
            "confirmed": one.confirmed,
        }


def _page(answer: ConceptAnswer) -> Iterator[str]:
    with_, without = answer.texts_with, answer.texts_without
    yield (
        f"chosen on {with_[0]} texts with and {without[0]} without, by {answer.by} activation; "
        f"held back {with_[1]} and {without[1]}"
    )
    yield (
        f"{answer.significant:,} of {answer.tried:,} features tell them apart "
        f"(Benjamini-Hochberg, level {answer.level:g}); intervals {1 - answer.level:.0%}"
    )
    head = f"{'AUROC':>7} {'interval':>15} {'difference':>11} {'interval':>21}"
    yield f"{'feature':<18} {head} {'corrected p':>12} {'held back':>10} {'interval':>15}"
    for _, one in _ranked(answer):
        held = one.held_back
        again = f"{held.auroc:>10.3f} {_between(held.auroc_low, held.auroc_high)}" if held else ""
        mark = "  confirmed" if one.confirmed else ""
        yield f"{visible(one.label):<18} {_numbers(one.chosen)} {again}{mark}".rstrip()


def _numbers(one: Separation) -> str:
    spread = f"{one.difference_low:.4g} to {one.difference_high:.4g}"
    return (
        f"{one.auroc:>7.3f} {_between(one.auroc_low, one.auroc_high)} {one.difference:>11.4g} "
        f"{spread:>21} {one.corrected:>12.3g}"
    )


def _between(low: float, high: float) -> str:
    return f"{f'{low:.3f} to {high:.3f}':>15}"


def _domain_page(found: DomainFeatures) -> Iterator[str]:
    names = ", ".join(visible(name) or "(beyond the budget)" for name in found.against)
    yield f"{visible(found.domain)} against {names}: counts of the whole corpus, exact"
    yield (
        f"{found.rows[0]:,} and {found.rows[1]:,} rows, {found.tokens[0]:,} and "
        f"{found.tokens[1]:,} tokens"
    )
    yield (
        f"{found.significant:,} of {found.tried:,} features tell them apart (Benjamini-Hochberg, "
        f"level {found.level:g}); intervals {1 - found.level:.0%}, for text like this, rows taken "
        "as independent"
    )
    yield (
        f"{'feature':<26} {'AUROC':>7} {'interval':>15} {'rows with':>10} {'without':>9} "
        f"{'log odds':>9} {'interval':>17} {'corrected p':>12}"
    )
    for row in found.table.to_pylist():
        odds = f"{row['log_odds_low']:.2f} to {row['log_odds_high']:.2f}"
        yield (
            f"{visible(_named(row)):<26} {row['auroc']:>7.3f} "
            f"{_between(row['auroc_low'], row['auroc_high'])} {row['share_with']:>10.3%} "
            f"{row['share_without']:>9.3%} {row['log_odds']:>9.2f} {odds:>17} "
            f"{row['corrected']:>12.3g}"
        )


def _named(row: dict[str, Any]) -> str:
    return f"{row['clustering'].removeprefix('features/')}:{row['label']}"
