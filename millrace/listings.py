"""What verbs print with ``--json``: one document, its keys those of the classes here.

Keys stay; new ones may be added. ``docs/operations.md`` lists them.
"""

import base64
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, is_dataclass
from typing import Any

from streams.deadletters import DeadLetter, Refusal, Refused
from streams.records.corpus import CorpusRecord
from streams.records.run_identity import run_id
from streams.records.runs import RunRecord
from streams.snapshots.stored_snapshots import StoredSnapshot


@dataclass(frozen=True, slots=True)
class ListedRun:
    """A run of the broker."""

    name: str
    run_id: str
    corpus: str
    model: str
    sources: tuple[str, ...]
    k: int
    shards: int
    store: str
    created: str


@dataclass(frozen=True, slots=True)
class RunList:
    """``runs list``. stored: without a broker, what lies in the store; else empty."""

    runs: tuple[ListedRun, ...]
    stored: tuple[StoredSnapshot, ...] = ()


@dataclass(frozen=True, slots=True)
class ListedCorpus:
    """A corpus. records: of its topic, per partition; None in a list, or if the topic is gone."""

    name: str
    sealed: bool
    partitions: int
    tokenizer: str
    tokenizer_id: str
    vocabulary: int
    context: int
    batch_rows: int
    pack: bool
    bos_id: int | None
    pad_id: int
    special_ids: tuple[int, ...]
    fingerprint: str
    batches: int
    rows: int
    tokens: int
    documents: int
    records: Mapping[int, int] | None = None


@dataclass(frozen=True, slots=True)
class ListedDeadLetter:
    """A refused position. number: of its first dead letter. times: how many there are of it.

    topic, partition, offset, timestamp: where it stood, see ``streams.deadletters.Origin``. key,
    value: of ``dlq show`` alone, in base64; None if the record had none.
    """

    number: int
    times: int
    topic: str
    partition: int
    offset: int
    timestamp: int
    error: str
    message: str
    stage: str
    app: str
    run: str
    run_id: str
    key: str | None = None
    value: str | None = None


def listed_run(run: RunRecord) -> ListedRun:
    """Return a run as it is listed."""
    return ListedRun(
        run.name,
        run_id(run),
        run.corpus,
        run.model.location,
        tuple(source.name for source in run.sources),
        run.k,
        run.shards,
        run.store,
        run.created,
    )


def listed_corpus(record: CorpusRecord, records: Mapping[int, int] | None = None) -> ListedCorpus:
    """Return a corpus as it is listed or shown."""
    known = {name: getattr(record, name) for name in ListedCorpus.__slots__ if name != "records"}
    return ListedCorpus(**known, records=records)


def listed_dead_letter(found: Refused | DeadLetter) -> ListedDeadLetter:
    """Return a dead letter as it is listed, or as it is shown with its bytes."""
    refusal: Refusal = found.refusal
    origin = refusal.origin
    return ListedDeadLetter(
        found.number,
        1 if isinstance(found, DeadLetter) else found.times,
        origin.topic,
        origin.partition,
        origin.offset,
        origin.timestamp,
        refusal.error,
        refusal.message,
        refusal.stage,
        refusal.app,
        refusal.run,
        refusal.run_id,
        _base64(found.key) if isinstance(found, DeadLetter) else None,
        _base64(found.value) if isinstance(found, DeadLetter) else None,
    )


def to_json(value: Any) -> str:
    """Return one of these values, or several as a list, as a JSON document."""
    plain = asdict(value) if is_dataclass(value) and not isinstance(value, type) else _each(value)
    return json.dumps(plain, indent=1, allow_nan=False)


def _each(values: Iterable[Any]) -> list[Any]:
    return [asdict(value) for value in values]


def _base64(data: bytes | None) -> str | None:
    return None if data is None else base64.b64encode(data).decode()
