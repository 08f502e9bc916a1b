"""What is to be said of a run's end when batches of its corpus were refused."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from consumers.plan import Plan
from streams import topics
from streams.deadletters import distinct, read_dead_letters
from streams.records.runs import RunRecord
from streams.snapshots.manifests import RefusedRecord, ShardManifest
from streams.transport.client import Client


@dataclass(frozen=True, slots=True)
class RefusedShare:
    """failed: why the run has failed, since batches were refused and nothing is left of its text.
    excess: why it ends with status 1 although it has its final snapshot. Both empty: all is well.
    """

    failed: str = ""
    excess: str = ""


def verdict(
    run: RunRecord, part: ShardManifest, refused: Iterable[RefusedRecord], most: float
) -> RefusedShare:
    """Return what a complete shard's part says of the run. refused: what the run's dead letters
    say. most: the share of batches that may be refused."""
    batches = sum(last + 1 for last in part.chain)
    if not part.tokens and not part.refused and batches:
        return RefusedShare(excess=f"the masks leave none of the tokens of its {batches:,} batches")
    if not part.refused or (part.tokens and part.refused <= most * batches):
        return RefusedShare()
    corpus = topics.tokens(run.corpus, run.partitions).name
    cause = _cause(record for record in refused if record.topic == corpus)
    if not part.tokens:
        counted = "all" if part.refused == batches else f"{part.refused:,} of"
        left = "" if part.refused == batches else ", the rest has no token that counts"
        return RefusedShare(failed=f"{counted} {batches:,} batches were refused{left}: {cause}")
    return RefusedShare(
        excess=f"{part.refused:,} of {batches:,} batches were refused, more than the "
        f"{most:.3g} that limits.refused_share allows: {cause}"
    )


def refused_records(plan: Plan, client: Client) -> tuple[RefusedRecord, ...]:
    """Return what a run has refused so far, each original position once, in order."""
    letters = read_dead_letters(client, run=plan.run.name)
    ours = (entry.refusal for entry in distinct(r for r in letters if r.refusal.run_id == plan.id))
    found = (
        RefusedRecord(r.origin.topic, r.origin.partition, r.origin.offset, r.error, r.message)
        for r in ours
    )
    return tuple(sorted(found, key=lambda r: (r.topic, r.partition, r.offset)))


def _cause(refused: Iterable[RefusedRecord]) -> str:
    """Return the most frequent error and one of its messages."""
    found = list(refused)
    if not found:
        return "their dead letters are gone"
    ((error, times),) = Counter(record.error for record in found).most_common(1)
    message = next(record.message for record in found if record.error == error)
    return f"{times:,} times {error}, for one {message}"
