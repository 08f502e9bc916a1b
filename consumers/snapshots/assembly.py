"""Assembly of run manifests from shard manifests, with back-off: what can be put together, or not.

A snapshot that is not final is put together or given up by name, whatever is wrong with it: it
never stands in the way of the run. The parts of the final one can be written again while their
shards have owners, so a manifest that lists missing or damaged files is withdrawn.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TypeVar

from tenacity import Retrying, retry_if_exception_type, stop_after_attempt, wait_exponential

from consumers.plan import Plan
from consumers.snapshots.failed_snapshots import give_up, is_broker_away
from consumers.snapshots.joining import joined
from consumers.snapshots.refused_share import refused_records, verdict
from consumers.snapshots.snapshots import is_settled, publish, published
from consumers.snapshots.withdrawals import MOST, Withdrawal, times_withdrawn, withdraw
from streams.catalog.followed_topic import FollowedTopic
from streams.errors import (
    DamagedPartError,
    LostBatchError,
    LostInputError,
    SnapshotError,
    StoreError,
)
from streams.names import is_name
from streams.snapshots.failed_manifest import FailedManifest
from streams.snapshots.manifests import (
    FINAL,
    RefusedRecord,
    RunManifest,
    ShardManifest,
    shard_manifest,
    to_json,
)
from streams.snapshots.store import open_store, write_manifest
from streams.snapshots.table_reading import check_part
from streams.transport.client import Client

log = logging.getLogger(__name__)

T = TypeVar("T")
_ATTEMPTS = 5
_LONGEST_WAIT = 4.0

Entries = Mapping[str, bytes]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What came of a look. waiting: some snapshot still lacks shards."""

    made: tuple[RunManifest, ...] = ()
    failed: tuple[FailedManifest, ...] = ()
    withdrawn: tuple[Withdrawal, ...] = ()
    waiting: bool = False


def patiently(act: Callable[[], T], seconds: float = 0.5) -> T:
    """Return what ``act`` does, trying again for a while, ``seconds`` first, at a StoreError."""
    attempts = Retrying(
        retry=retry_if_exception_type(StoreError),
        stop=stop_after_attempt(_ATTEMPTS),
        wait=wait_exponential(multiplier=seconds, max=_LONGEST_WAIT),
        reraise=True,
    )
    return attempts(act)


class Assembler:
    """Puts the snapshots of a run together. Used by the owner of shard 0, from one thread.

    refused_share: the share of batches that may be refused in a run that ends well.
    """

    def __init__(
        self, plan: Plan, client: Client, refused_share: float, pause: float = 0.5
    ) -> None:
        self._plan = plan
        self._client = client
        self._refused_share = refused_share
        self._pause = pause

    def assemble_ready(self, snapshots: Mapping[str, Entries]) -> Assembly:
        """Write the run manifest of every snapshot whose shards are all there and that has none.

        snapshots: what is published of the run. The final one comes first. Raises StoreError if it
        cannot be written or read after several tries, and LostInputError if the corpus no longer
        holds a sample of it.
        """
        found = Assembly()
        for snapshot in sorted(snapshots, key=lambda name: (name != FINAL, name)):
            entries = snapshots[snapshot]
            parts = shard_manifests(self._plan, snapshot, entries)
            if is_settled(self._plan, snapshot, entries):
                continue
            if len(parts) == self._plan.run.shards:
                shards = [parts[shard] for shard in range(self._plan.run.shards)]
                final = snapshot == FINAL
                more = self._final(shards, entries) if final else self._in_mid_run(shards)
            else:
                more = Assembly(waiting=bool(parts) or snapshot == FINAL)
            found = _joined(found, more)
        return found

    def _in_mid_run(self, shards: Sequence[ShardManifest]) -> Assembly:
        snapshot = shards[0].snapshot
        try:
            refused = refused_records(self._plan, self._client)
            made = patiently(lambda: self._assemble(shards, refused), self._pause)
        except Exception as error:  # whatever it is, the run can do without this snapshot
            if is_broker_away(error):
                raise
            log.warning("Snapshot %s is given up: %s", snapshot, error, exc_info=error)
            return self._given_up(snapshot, str(error) or type(error).__name__)
        return Assembly(made=(made,))

    def _final(self, shards: Sequence[ShardManifest], entries: Entries) -> Assembly:
        refused = refused_records(self._plan, self._client)
        said = verdict(self._plan.run, shards[0], refused, self._refused_share)
        if said.failed:
            return self._given_up(FINAL, said.failed)
        try:
            made = patiently(lambda: self._assemble(shards, refused, said.excess), self._pause)
        except StoreError:
            raise
        except LostBatchError as lost:
            raise LostInputError(str(lost), for_good=True) from lost
        except SnapshotError as error:
            why = error  # for the function, which may outlive the block
            damaged = patiently(lambda: self._damaged(shards, why), self._pause)
            return self._withdraw(damaged, entries)
        return Assembly(made=(made,))

    def _assemble(
        self,
        shards: Sequence[ShardManifest],
        refused: tuple[RefusedRecord, ...],
        excess: str = "",
    ) -> RunManifest:
        manifest = joined(self._plan, shards, refused, self._client, excess)
        write_manifest(open_store(manifest.store), manifest)
        publish(self._client, f"{manifest.run}/{manifest.snapshot}", to_json(manifest))
        return manifest

    def _damaged(self, shards: Sequence[ShardManifest], error: SnapshotError) -> dict[int, str]:
        """Return why the manifest of a shard is to be withdrawn, for each that is.

        Where no file is damaged in itself it is that of the error; else all of them: they do not
        go together.
        """
        store = open_store(self._plan.run.store)
        found = {}
        for shard in shards:
            for file in shard.files:
                try:
                    check_part(store, self._plan.run.name, file)
                except DamagedPartError as damage:
                    found[shard.shard] = str(damage)
                    break
                if isinstance(error, DamagedPartError) and error.path == file.path:
                    found[shard.shard] = str(error)
        return found or {shard.shard: str(error) for shard in shards}

    def _withdraw(self, damaged: Mapping[int, str], entries: Entries) -> Assembly:
        times = {s: times_withdrawn(self._plan, s, entries) + 1 for s in damaged}
        for shard, why in damaged.items():
            if times[shard] > MOST:
                return self._given_up(
                    FINAL,
                    f"the files of shard {shard} were written {times[shard]} times and were "
                    f"missing or damaged each time, the last time: {why}; mend the store "
                    f"{self._plan.run.store}, which has to be one place for all workers, and run "
                    "millrace repair",
                )
        withdrawn = []
        for shard, why in damaged.items():
            log.warning("Shard %d has to write its final part again: %s", shard, why)
            withdrawn.append(withdraw(self._client, self._plan, shard, times[shard], why))
        return Assembly(withdrawn=tuple(withdrawn), waiting=True)

    def _given_up(self, snapshot: str, why: str) -> Assembly:
        failed = give_up(self._plan, self._client, snapshot, why)
        return Assembly(failed=(failed,) if failed else ())


def assemble_ready(
    plan: Plan, client: Client, refused_share: float, followed: FollowedTopic | None = None
) -> Assembly:
    """Look once, as an ``Assembler`` does; ``published`` explains ``followed``."""
    entries = published(client, plan.run.name, followed)
    return Assembler(plan, client, refused_share).assemble_ready(entries)


def _joined(first: Assembly, second: Assembly) -> Assembly:
    return Assembly(
        first.made + second.made,
        first.failed + second.failed,
        first.withdrawn + second.withdrawn,
        first.waiting or second.waiting,
    )


def shard_manifests(plan: Plan, snapshot: str, entries: Entries) -> dict[int, ShardManifest]:
    """Return a snapshot's shard manifests by shard; junk on the topic is passed over."""
    found: dict[int, ShardManifest] = {}
    if not is_name(snapshot):
        return found
    for name, value in entries.items():
        with suppress(SnapshotError):
            manifest = shard_manifest(value)
            stands = (manifest.run, manifest.run_id, manifest.snapshot)
            named = stands == (plan.run.name, plan.id, snapshot)
            final = manifest.complete or snapshot != FINAL
            if named and name == str(manifest.shard) and final:
                found[manifest.shard] = manifest
    return {shard: m for shard, m in found.items() if 0 <= shard < plan.run.shards}
