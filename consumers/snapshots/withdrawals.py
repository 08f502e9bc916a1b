"""Shard manifests that were withdrawn, because files that they list are missing or damaged.

The assembler of the final snapshot takes such a manifest off the topic; the owner of the shard,
who has its state, sees that and writes the part again. How often that happened lies beside it, so
that it comes to an end across restarts.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from pydantic import TypeAdapter, ValidationError

from consumers.plan import Plan
from streams import topics
from streams.snapshots.manifests import FINAL
from streams.transport.client import Client

MOST = 3
"""How often a shard's part is written again; a store that loses it once more will not keep it."""


@dataclass(frozen=True, slots=True)
class Withdrawal:
    """The last withdrawal of a shard's final manifest. times: how many there have been. why: a
    line."""

    run_id: str
    shard: int
    times: int
    why: str


def withdraw(client: Client, plan: Plan, shard: int, times: int, why: str) -> Withdrawal:
    """Take the final manifest of a shard off the topic, noting that it is done ``times`` times."""
    made = Withdrawal(plan.id, shard, times, why)
    key = f"{plan.run.name}/{FINAL}/{shard}"
    with client.sender() as sender:
        # In this order: should the second one be lost, it is withdrawn again, and counted.
        value = _adapter().dump_json(made)
        sender.send(topics.SNAPSHOTS.name, 0, value, key=f"{key}/withdrawn".encode())
        sender.send(topics.SNAPSHOTS.name, 0, None, key=key.encode())
        sender.flush()
    return made


def times_withdrawn(plan: Plan, shard: int, entries: Mapping[str, bytes]) -> int:
    """Return how often a shard's final manifest was withdrawn, from what is published for it."""
    try:
        found = _adapter().validate_json(entries.get(f"{shard}/withdrawn", b""))
    except ValidationError:
        return 0
    return found.times if (found.run_id, found.shard) == (plan.id, shard) else 0


@cache
def _adapter() -> TypeAdapter[Withdrawal]:
    return TypeAdapter(Withdrawal)
