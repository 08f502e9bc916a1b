"""Answers to what is asked of finished snapshots, first or again: compared, and as bytes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from consumers.asking.record import versions
from downstream.reading.snapshot import Snapshot
from millrace.comparison_records import (
    ComparisonRecord,
    DictionariesRecord,
    DomainRecord,
    opened,
)

if TYPE_CHECKING:
    from millrace.answer_files import Form


def answered(
    record: ComparisonRecord, snapshots: Sequence[Snapshot], form: "Form", table: str
) -> bytes:
    """Return the answer to a record, of the snapshots that it names, as bytes.

    table: of CSV and Parquet, where there are several. Raises SnapshotError for what the snapshots
    do not hold.
    """
    if isinstance(record, DomainRecord):
        from downstream.analysis.domain_features import domain_features
        from millrace.concept_files import written_domain

        (one,) = snapshots
        features = domain_features(
            one, record.domain, record.against, level=record.level, top=record.top
        )
        return written_domain(features, record, form)
    if isinstance(record, DictionariesRecord):
        from downstream.analysis.dictionaries import compare_dictionaries
        from millrace.dictionary_comparison import written_dictionaries
        from millrace.dictionary_loading import loader

        (one,) = snapshots
        load = loader(record.places) if record.weights else None
        found = compare_dictionaries(one, load, record.choices, only=record.only)
        return written_dictionaries(found, record, form, table)
    from downstream.analysis.models import compare_models
    from millrace.model_comparison import written_models

    return written_models(compare_models(snapshots), record, form, table)


def answered_again(record: ComparisonRecord, now: str, form: "Form", table: str) -> bytes:
    """Return the answer to a record, of the same content; it holds the record of it now.

    Raises SnapshotError, too, if a snapshot is another.
    """
    renewed = replace(record, asked=now, versions=versions())
    return answered(renewed, opened(record), form, table)
