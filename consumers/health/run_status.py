"""What a run is, how far it has come and what it left, as anybody can see it from the broker."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from consumers.health.dead_letters import printable
from consumers.health.group_lag import Reading, readings
from consumers.health.missing import lost_input
from consumers.plan import Plan, make_plan
from consumers.snapshots.snapshots import final_manifest, published
from streams import topics
from streams.errors import SnapshotError, SnapshotFailedError
from streams.monitoring.durations import duration
from streams.records.run_identity import identity, run_id
from streams.records.runs import RunRecord
from streams.snapshots.manifests import RefusedRecord, run_manifest
from streams.transport.client import Client

_DEAD_LETTERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class SideStatus:
    """How far one side of a run has come in its input; None for what cannot be known any more.

    records: of the topic it reads, None if that was deleted. acknowledged, lag: of these.
    records_per_second: as measured just now, None if it was not. eta_seconds: until the lag is
    gone at this rate, None where nothing moved. watermark: the share that is acknowledged of the
    partition that is furthest behind. workers: how many read it now, None where nobody can say.
    """

    side: str
    topic: str
    records: int | None
    acknowledged: int | None
    lag: int | None
    records_per_second: float | None = None
    eta_seconds: float | None = None
    watermark: float | None = None
    workers: int | None = None


@dataclass(frozen=True, slots=True)
class SnapshotStatus:
    """A snapshot of a run. state: final, mid-run, incomplete (shards are missing), failed (it was
    given up) or unreadable.

    shards: parts written so far. problem: why it failed or cannot be read. refused: dead letters
    that the snapshot counts. excess_refusals: that they are more than the limits allow.
    """

    name: str
    state: str
    shards: int
    created: str | None = None
    content: str | None = None
    manifest: str | None = None
    problem: str | None = None
    excess_refusals: str | None = None
    refused: tuple[RefusedRecord, ...] = ()


@dataclass(frozen=True, slots=True)
class RankingStatus:
    """What examples are ranked by, and how many are kept in each table of a cluster."""

    name: str
    k: int


@dataclass(frozen=True, slots=True)
class SourceStatus:
    """A source of components of a run."""

    name: str
    kind: str
    hook: str
    components: int


@dataclass(frozen=True, slots=True)
class RunStatus:
    """All that ``runs show`` says. finished: the final snapshot is there. failed: why it will never
    be, None while it may.

    corpus_on_broker: False once the corpus was deleted, which a finished run does not mind.
    """

    name: str
    run_id: str
    identity: str
    created: str
    finished: bool
    failed: str | None
    corpus: str
    corpus_on_broker: bool
    model: str
    dtype: str
    sources: tuple[SourceStatus, ...]
    clusters: int
    k: int
    rankings: tuple[RankingStatus, ...]
    shards: int
    store: str
    sides: tuple[SideStatus, ...]
    snapshots: tuple[SnapshotStatus, ...]


def run_status(
    client: Client,
    run: RunRecord,
    seconds: float = 0.0,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> RunStatus:
    """Return how a run stands. seconds: how long to measure rates; 0 measures none."""
    plan = make_plan(run)
    finished, failed = False, None
    try:
        finished = final_manifest(client, plan) is not None
    except SnapshotFailedError as error:
        failed = error.why
    there = client.topics()
    corpus_there = topics.tokens(run.corpus, 1).name in there
    if failed is None and corpus_there and topics.partials(run.name, 1, 0).name in there:
        lost = lost_input(client, plan)
        failed = None if lost is None else str(lost)
    sides = _sides(client, run)
    if seconds > 0 and not (finished or failed) and any(side.lag for side in sides):
        sides = _with_rates(client, run, sides, seconds, sleep, clock)
    return RunStatus(
        name=run.name,
        run_id=run_id(run),
        identity=identity(run),
        created=run.created,
        finished=finished,
        failed=failed,
        corpus=run.corpus,
        corpus_on_broker=corpus_there,
        model=run.model.location,
        dtype=run.model.dtype,
        sources=tuple(SourceStatus(s.name, s.kind, s.hook, s.components) for s in run.sources),
        clusters=plan.clusters,
        k=run.k,
        rankings=tuple(RankingStatus(given.name, given.k) for given in plan.rankings),
        shards=run.shards,
        store=run.store,
        sides=sides,
        snapshots=tuple(_snapshots(client, plan)),
    )


def _sides(client: Client, run: RunRecord) -> tuple[SideStatus, ...]:
    there = client.topics()
    inputs = (
        ("activations", topics.activations_app(run.name), topics.tokens(run.corpus, 1).name),
        ("aggregates", topics.aggregates_app(run.name), topics.partials(run.name, 1, 0).name),
    )
    return tuple(
        _side(side, topic, readings(client, group, topic), client.members(group))
        if topic in there
        else SideStatus(side, topic, None, None, None)
        for side, group, topic in inputs
    )


def _side(side: str, topic: str, found: Mapping[int, Reading], workers: int | None) -> SideStatus:
    records = sum(r.end - r.start for r in found.values())
    done = sum(r.at - r.start for r in found.values())
    shares = ((r.at - r.start) / (r.end - r.start) for r in found.values() if r.end > r.start)
    return SideStatus(
        side,
        topic,
        records,
        done,
        sum(r.lag for r in found.values()),
        watermark=min(shares, default=None),
        workers=workers,
    )


def _with_rates(
    client: Client,
    run: RunRecord,
    before: Sequence[SideStatus],
    seconds: float,
    sleep: Callable[[float], None],
    clock: Callable[[], float],
) -> tuple[SideStatus, ...]:
    """Look again after ``seconds``."""
    begun = clock()
    sleep(seconds)
    now = _sides(client, run)
    elapsed = clock() - begun
    return tuple(
        _rated(side, (side.acknowledged or 0) - (old.acknowledged or 0), elapsed)
        for side, old in zip(now, before, strict=True)
    )


def _rated(side: SideStatus, more: int, seconds: float) -> SideStatus:
    rate = max(0, more) / seconds
    eta = side.lag / rate if rate and side.lag is not None else None
    return replace(side, records_per_second=rate, eta_seconds=eta)


def _snapshots(client: Client, plan: Plan) -> Iterator[SnapshotStatus]:
    for name, entries in sorted(published(client, plan.run.name).items()):
        shards = sum(map(str.isdecimal, entries))
        if "" not in entries:
            yield SnapshotStatus(name, "incomplete", shards)
            continue
        try:
            manifest = run_manifest(entries[""])
        except SnapshotFailedError as error:
            yield SnapshotStatus(name, "failed", shards, problem=error.why)
            continue
        except SnapshotError as error:
            yield SnapshotStatus(name, "unreadable", shards, problem=str(error))
            continue
        yield SnapshotStatus(
            name,
            "final" if manifest.final else "mid-run",
            shards,
            manifest.created,
            manifest.content,
            f"{manifest.store}/{manifest.run}/{manifest.snapshot}/manifest.json",
            excess_refusals=manifest.excess_refusals or None,
            refused=manifest.dead_letters,
        )


def status_lines(status: RunStatus) -> Iterator[str]:
    """Yield a status as lines for people."""
    created = status.created or "at an unknown time"
    yield f"run {status.name} (identity {status.identity}), created {created}"
    gone = "" if status.corpus_on_broker else " (deleted)"
    yield f"corpus {status.corpus}{gone}, model {status.model} ({status.dtype})"
    for source in status.sources:
        yield f"{source.kind} {source.name}: {source.components:,} components at {source.hook}"
    yield (
        f"{status.clusters:,} clusters, k={status.k}, {status.shards} shards, store {status.store}"
    )
    ranked = ", ".join(f"{one.name} ({one.k:,})" for one in status.rankings)
    yield f"examples by {ranked}"
    if status.failed is not None:
        yield printable(f"cannot be finished: {status.failed}")
    for side in status.sides:
        yield f"{side.side}: {_side_says(side, status)}"
    for snapshot in status.snapshots:
        yield printable(f"snapshot {snapshot.name}: {_snapshot_says(snapshot, status.shards)}")
        if snapshot.excess_refusals:
            yield printable(f"  {snapshot.excess_refusals}")
        yield from _refused(snapshot)


def _side_says(side: SideStatus, status: RunStatus) -> str:
    if status.finished and side.lag != 0:
        done = "done, the final snapshot holds the whole corpus"
        if side.lag is None:
            return done
        return (
            f"{done}; {side.lag:,} of {side.records:,} records were not acknowledged, since a "
            "worker ended before it could or they came later"
        )
    if side.records is None:
        return (
            f"topic {side.topic} is not on the broker any more, so the run cannot be finished: "
            "delete it, or produce the corpus again and create a new run"
        )
    said = f"{side.acknowledged:,} of {side.records:,} records acknowledged, lag {side.lag:,}"
    if side.records_per_second is None or not side.lag:
        return said
    if side.eta_seconds is None:
        return f"{said}, none in these seconds (no worker, or it acknowledges less often)"
    return f"{said}, {side.records_per_second:,.1f} records/s, ETA {duration(side.eta_seconds)}"


def _snapshot_says(snapshot: SnapshotStatus, shards: int) -> str:
    if snapshot.state == "incomplete":
        return f"{snapshot.shards} of {shards} shards written"
    if snapshot.problem is not None:
        return f"{'failed, ' if snapshot.state == 'failed' else ''}{snapshot.problem}"
    kind = "final" if snapshot.state == "final" else "in mid-run"
    return f"{kind}, {snapshot.created}, content {snapshot.content}"


def _refused(snapshot: SnapshotStatus) -> Iterator[str]:
    found = snapshot.refused
    for letter in found[:_DEAD_LETTERS_SHOWN]:
        yield printable(
            f"  refused: {letter.topic}, partition {letter.partition}, offset {letter.offset}: "
            f"{letter.error}: {letter.message}"
        )
    if len(found) > _DEAD_LETTERS_SHOWN:
        yield f"  and {len(found) - _DEAD_LETTERS_SHOWN:,} more, see millrace dlq list"
