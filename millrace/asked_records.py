"""Everything that was asked of models, kept as records in a store: listed, read, asked again."""

import json
import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from millrace.asking import now
from streams.errors import QuestionError, StreamError
from streams.snapshots.entry_log import EntryLog
from streams.snapshots.store import open_store

if TYPE_CHECKING:
    from consumers.asking.concept_record import ConceptRecord
    from consumers.asking.record import AskRecord
    from consumers.asking.setup import Setup
    from consumers.interventions.record import InterventionRecord
    from consumers.interventions.requests import Ablation, Steering
    from millrace.answer_files import Form
    from millrace.comparison_records import ComparisonRecord
    from millrace.settings import Settings
    from streams.asking.concept import ConceptQuestion
    from streams.asking.question import Question

    AnyRecord = AskRecord | ConceptRecord | InterventionRecord | ComparisonRecord

FOLDER = "asked"
MOST = 1000
MOST_BYTES = 2**18
"""Of one record: the largest that a text of a page makes is a hundredth of it."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class AskedEntry:
    """A record as it is listed. id: names it. kind: the verb that asks it again. text: the first.

    features: those that were named. domains: of a corpus, where no text was asked about. runs:
    whose snapshots were compared.
    """

    id: str
    asked: str
    kind: str
    texts: int
    text: str
    features: tuple[str, ...]
    domains: tuple[str, ...] = ()
    runs: tuple[str, ...] = ()


def log_of(settings: "Settings", snapshot: str | None) -> EntryLog:
    """Return where what is asked is kept: in the store of the snapshot, or else of the settings."""
    if snapshot is None:
        return EntryLog(open_store(settings.store), (FOLDER,))
    from downstream.reading.locating import locate

    return EntryLog(open_store(locate(snapshot, settings.run.name).store), (FOLDER,))


def keep(settings: "Settings", snapshot: str | None, record: "AnyRecord") -> None:
    """Add a record to the log, and let the oldest beyond MOST go.

    What cannot be kept is logged: the answer is there, and its own form can hold the record.
    """
    _keep(lambda: log_of(settings, snapshot), record)


def keep_in(store: str, record: "AnyRecord") -> None:
    """Add a record to the log of a store, as ``keep`` does. store: its folder or address."""
    _keep(lambda: EntryLog(open_store(store), (FOLDER,)), record)


def _keep(open_log: Callable[[], EntryLog], record: "AnyRecord") -> None:
    try:
        data = as_json(record)
        if len(data) > MOST_BYTES:
            _log.warning("what was asked is not kept: its record has %d bytes", len(data))
            return
        log = open_log()
        log.add(record.asked, data)
        log.keep_newest(MOST)
    except (OSError, StreamError) as error:
        _log.warning("what was asked is not kept: %s", error)


def keeper(
    settings: "Settings", snapshot: str | None, setup: "Setup"
) -> "Callable[[Question | Steering | Ablation | ConceptQuestion], None]":
    """Return what keeps a question or an intervention that a model answers now."""

    def kept(wanted: "Question | Steering | Ablation | ConceptQuestion") -> None:
        keep(settings, snapshot, record_of(wanted, setup))

    return kept


def record_of(
    wanted: "Question | Steering | Ablation | ConceptQuestion", setup: "Setup"
) -> "AnyRecord":
    """Return the record of what is asked now."""
    from consumers.asking.concept_record import concept_record
    from consumers.asking.record import ask_record
    from consumers.interventions.record import intervention_record
    from streams.asking.concept import ConceptQuestion
    from streams.asking.question import Question

    if isinstance(wanted, Question):
        return ask_record(wanted, setup, now())
    if isinstance(wanted, ConceptQuestion):
        return concept_record(wanted, setup, now())
    return intervention_record(wanted, setup, now())


def entries(log: EntryLog) -> Iterator[AskedEntry]:
    """Yield what was asked, the newest first; what cannot be read is passed over."""
    for name in reversed(log.names()):
        try:
            yield _entry(name.removesuffix(".json"), _record_in(log.read(name), name))
        except (OSError, QuestionError):
            continue


def read(log: EntryLog, entry: str) -> "AnyRecord":
    """Return a record by its id, or by how that begins; QuestionError if there is no such one."""
    found = [name for name in log.names() if name.startswith(entry)]
    if len(found) != 1 or not entry:
        count = f"{len(found)} records begin" if found and entry else "no record begins"
        raise QuestionError(f"{count} with {entry!r} in {log.store.address_of(*log.folder)}")
    return _record_in(log.read(found[0]), found[0])


def answered_again(
    settings: "Settings", record: "AnyRecord", form: "Form", named: str | None = None
) -> bytes:
    """Return the answer to a record as bytes; errors as in ``ask_again``, ``steered``, ``opened``.

    named: the table that CSV and Parquet hold, of an answer that has several.
    """
    from consumers.asking.concept_record import ConceptRecord
    from consumers.asking.record import AskRecord
    from consumers.interventions.requests import Steering
    from millrace import answer_files, comparison_answers, concept_files, intervention_files
    from millrace.answer_table_names import table_of
    from millrace.asking import ask_record_again
    from millrace.comparison_records import ComparisonRecord
    from millrace.concepts import found_features
    from millrace.intervening import ablated, steered

    table = table_of(_entry("", record).kind, named)
    if isinstance(record, ComparisonRecord):
        return comparison_answers.answered_again(record, now(), form, table)
    if isinstance(record, AskRecord):
        return answer_files.written(*ask_record_again(settings, record), form, table)
    if isinstance(record, ConceptRecord):
        return concept_files.written(*found_features(settings, None, record), form)
    if isinstance(record.request, Steering):
        return intervention_files.written(*steered(settings, None, record), form)
    return intervention_files.written(*ablated(settings, None, record), form)


def as_json(record: "AnyRecord") -> bytes:
    """Return a record as JSON."""
    from consumers.asking import concept_record
    from consumers.asking import record as ask_record
    from consumers.interventions import record as intervention_record
    from millrace import comparison_records

    if isinstance(record, comparison_records.ComparisonRecord):
        plain = comparison_records.to_plain(record)
    elif isinstance(record, ask_record.AskRecord):
        plain = ask_record.to_plain(record)
    elif isinstance(record, concept_record.ConceptRecord):
        plain = concept_record.to_plain(record)
    else:
        plain = intervention_record.to_plain(record)
    return json.dumps(plain, ensure_ascii=False, indent=1).encode() + b"\n"


def _record_in(data: bytes, where: str) -> "AnyRecord":
    from consumers.asking import concept_record
    from consumers.asking import record as ask_record
    from consumers.interventions import record as intervention_record
    from millrace import comparison_records

    form = ask_record.form_of(data, where)
    if form in comparison_records.FORMATS:
        return comparison_records.read_record(form, data, where)
    if form == concept_record.FORMAT:
        return concept_record.read_record(data, where)
    if form == intervention_record.FORMAT:
        return intervention_record.read_record(data, where)
    return ask_record.read_record(data, where)


def _entry(name: str, record: "AnyRecord") -> AskedEntry:
    from consumers.asking.concept_record import ConceptRecord
    from consumers.asking.record import AskRecord
    from consumers.interventions.requests import Steering
    from millrace.comparison_records import ComparisonRecord

    if isinstance(record, ComparisonRecord):
        return _comparison_entry(name, record)
    if isinstance(record, AskRecord):
        kind, texts, features = "ask", record.question.texts, record.question.features
    elif isinstance(record, ConceptRecord):
        kind, features = "concept", ()
        texts = (*record.question.present, *record.question.absent)
    elif isinstance(record.request, Steering):
        kind, texts = "steer", record.request.prompts
        features = (record.request.feature,)
    else:
        kind, texts, features = "ablate", record.request.texts, record.request.features
    return AskedEntry(name, record.asked, kind, len(texts), texts[0], features)


def _comparison_entry(name: str, record: "ComparisonRecord") -> AskedEntry:
    from millrace.comparison_records import DictionariesRecord, DomainRecord, runs_of

    kind, domains = "compare-models", tuple[str, ...]()
    if isinstance(record, DomainRecord):
        kind = "concept"
        domains = (record.domain,) if record.against is None else (record.domain, record.against)
    elif isinstance(record, DictionariesRecord):
        kind = "compare-dictionaries"
    runs = tuple(one.run for one in runs_of(record))
    return AskedEntry(name, record.asked, kind, 0, "", (), domains, runs)
