"""A concept's features from settings, a run, a snapshot or a record: the answer and its record."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from millrace.asking import load_setup, now, open_asker, texts_of
from streams.asking.concept import ConceptAnswer, ConceptQuestion
from streams.regular_files import read_bounded

if TYPE_CHECKING:
    from consumers.asking.concept_record import ConceptRecord
    from millrace.settings import Settings


def found_features(
    settings: "Settings", snapshot: str | None, wanted: "ConceptQuestion | ConceptRecord | Path"
) -> "tuple[ConceptAnswer, ConceptRecord]":
    """Return the features of a concept, or of that of a record, and the record of it now.

    Raises QuestionError, and what ``open_asker`` raises.
    """
    from consumers.asking.concept import find_features
    from consumers.asking.concept_record import ConceptRecord, concept_record, read_record
    from consumers.asking.record import MAX_BYTES

    if isinstance(wanted, Path):
        wanted = read_record(read_bounded(wanted, MAX_BYTES), str(wanted))
    if isinstance(wanted, ConceptRecord):
        asker, question = load_setup(settings, wanted.setup), wanted.question
    else:
        asker, question = open_asker(settings, snapshot), wanted
    return find_features(asker, question), concept_record(question, asker.setup, now())


def texts_given(texts: Sequence[str], files: Sequence[Path]) -> tuple[str, ...]:
    """Return texts of the command line and those of files, a line each."""
    return (*texts, *texts_of(files, lines=True))
