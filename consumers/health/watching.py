"""How far a run has come, as anybody can see it from the broker."""

from collections.abc import Iterator
from dataclasses import dataclass

from consumers.health.dead_letters import printable
from consumers.snapshots.snapshots import final_manifest, published
from streams import topics
from streams.errors import SnapshotError, SnapshotFailedError
from streams.plan import Plan, make_plan
from streams.runs import RunRecord, run_id
from streams.snapshot import RunManifest, run_manifest
from streams.transport.client import Client

_DEAD_LETTERS_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Reading:
    """How far a group has come in a partition: offsets of the first record kept, of the first one
    that is not acknowledged, and behind the last."""

    start: int
    at: int
    end: int

    @property
    def lag(self) -> int:
        """Records that are not acknowledged."""
        return max(0, self.end - self.at)


def readings(client: Client, group: str, topic: str) -> dict[int, Reading]:
    """Return how far a group has acknowledged each partition of a topic."""
    committed = client.committed(group, topic)
    starts, ends = client.starts(topic), client.ends(topic)
    return {p: Reading(starts[p], max(committed.get(p, 0), starts[p]), ends[p]) for p in ends}


def lag(client: Client, group: str, topic: str) -> tuple[int, int]:
    """Return how many records of a topic a group has acknowledged, and how many there are."""
    found = readings(client, group, topic).values()
    return sum(r.at - r.start for r in found), sum(r.end - r.start for r in found)


def progress_lines(client: Client, run: RunRecord) -> Iterator[str]:
    """Yield lines that say what a run is, the lag of its sides, and its snapshots."""
    plan = make_plan(run)
    yield f"run {run.name} (id {run_id(run)}), created {run.created or 'at an unknown time'}"
    yield f"corpus {run.corpus}, model {run.model.location} ({run.model.dtype})"
    for source in run.sources:
        yield f"{source.kind} {source.name}: {source.components:,} components at {source.hook}"
    yield f"{plan.clusters:,} clusters, k={run.k}, {run.shards} shards, store {run.store}"
    sides = (
        ("activations", topics.activations_app(run.name), topics.tokens(run.corpus, 1).name),
        ("aggregates", topics.aggregates_app(run.name), topics.partials(run.name, 1, 0).name),
    )
    final = _is_final(client, plan)
    for side, group, topic in sides:
        yield f"{side}: {_progress(*lag(client, group, topic), final)}"
    yield from _snapshots(client, run)


def _progress(done: int, total: int, final: bool) -> str:
    """Return how far a side has come; once the final snapshot is there it is done in any case."""
    if not final or done == total:
        return f"{done:,} of {total:,} records acknowledged, lag {total - done:,}"
    return (
        f"done, the final snapshot holds the whole corpus; {total - done:,} of {total:,} records "
        "were not acknowledged, since a worker ended before it could or they came later"
    )


def _is_final(client: Client, plan: Plan) -> bool:
    try:
        return final_manifest(client, plan) is not None
    except SnapshotFailedError:
        return False


def _snapshots(client: Client, run: RunRecord) -> Iterator[str]:
    for name, entries in sorted(published(client, run.name).items()):
        if "" not in entries:
            written = sum(map(str.isdecimal, entries))
            yield f"snapshot {name}: {written} of {run.shards} shards written"
            continue
        try:
            manifest = run_manifest(entries[""])
        except SnapshotFailedError as error:
            yield printable(f"snapshot {name}: failed, {error.why}")
            continue
        except SnapshotError as error:
            yield f"snapshot {name}: {error}"
            continue
        kind = "final" if manifest.final else "in mid-run"
        yield f"snapshot {name}: {kind}, {manifest.created}, content {manifest.content}"
        if manifest.excess_refusals:
            yield printable(f"  {manifest.excess_refusals}")
        yield from _dead_letters(manifest)


def _dead_letters(manifest: RunManifest) -> Iterator[str]:
    found = manifest.dead_letters
    for letter in found[:_DEAD_LETTERS_SHOWN]:
        yield printable(
            f"  refused: {letter.topic}, partition {letter.partition}, offset {letter.offset}: "
            f"{letter.error}: {letter.message}"
        )
    if len(found) > _DEAD_LETTERS_SHOWN:
        yield f"  and {len(found) - _DEAD_LETTERS_SHOWN:,} more, see millrace dlq list"
