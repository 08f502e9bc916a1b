"""The least rights on a Kafka broker that each verb needs; docs/kafka-rights.md shows this table.

``Read`` and ``Write`` include ``Describe``, as Kafka has it. No verb needs a right to the cluster,
and nothing uses transactions.
"""

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

from streams import topics

Kind = Literal["topic", "group"]

CORPORA, RUNS = topics.CORPORA.name, topics.RUNS.name
SNAPSHOTS, DEAD_LETTERS = topics.SNAPSHOTS.name, topics.DEAD_LETTERS.name
TOKENS, PARTIALS = topics.TOKENS, topics.PARTIALS
ACTIVATIONS, AGGREGATES = topics.activations_app(""), topics.aggregates_app("")
CHANGELOGS = AGGREGATES


@dataclass(frozen=True, slots=True, order=True)
class Right:
    """One operation on one topic or group, or on all that begin with a name (it ends in a dot)."""

    kind: Kind
    name: str
    operation: str

    @property
    def is_prefixed(self) -> bool:
        """Whether it is given for everything that begins with the name."""
        return self.name.endswith(".")


def _topic(name: str, *operations: str) -> tuple[Right, ...]:
    return tuple(Right("topic", name, operation) for operation in operations)


def _group(name: str, *operations: str) -> tuple[Right, ...]:
    return tuple(Right("group", name, operation) for operation in operations)


_PRODUCE = (
    *_topic(CORPORA, "Create", "Read", "Write"),
    *_topic(TOKENS, "Create", "Read", "Write"),
)
_CREATE = (
    *_topic(CORPORA, "Read"),
    *_topic(TOKENS, "Read"),
    *_topic(RUNS, "Create", "Read", "Write"),
    *_topic(SNAPSHOTS, "Create", "Describe"),
    *_topic(DEAD_LETTERS, "Create", "Describe"),
    *_topic(PARTIALS, "Create", "Describe"),
    *_topic(CHANGELOGS, "Create", "Describe"),
)
_ACTIVATIONS = (
    *_topic(RUNS, "Read"),
    *_topic(TOKENS, "Read"),
    *_topic(PARTIALS, "Write"),
    *_topic(SNAPSHOTS, "Read", "Write"),
    *_topic(DEAD_LETTERS, "Write"),
    *_group(ACTIVATIONS, "Read"),
)
_AGGREGATES = (
    *_topic(RUNS, "Read"),
    *_topic(CORPORA, "Read"),
    *_topic(TOKENS, "Read"),
    *_topic(PARTIALS, "Read"),
    *_topic(CHANGELOGS, "Read", "Write"),
    *_topic(SNAPSHOTS, "Read", "Write"),
    *_topic(DEAD_LETTERS, "Read", "Write"),
    *_group(AGGREGATES, "Read"),
    *_group(ACTIVATIONS, "Describe"),
)

RIGHTS: Mapping[str, tuple[Right, ...]] = {
    "produce": _PRODUCE,
    "produce --skip-bad": (*_PRODUCE, *_topic(DEAD_LETTERS, "Create", "Write")),
    "runs create": _CREATE,
    "activations": _ACTIVATIONS,
    "aggregates": _AGGREGATES,
    "run": tuple(
        dict.fromkeys(
            right
            for verb in (_PRODUCE, _CREATE, _ACTIVATIONS, _AGGREGATES)
            for right in verb
            if right != Right("group", ACTIVATIONS, "Describe")
        )
    ),
    "snapshot": (
        *_topic(RUNS, "Read"),
        *_topic(TOKENS, "Describe"),
        *_topic(PARTIALS, "Write"),
        *_topic(SNAPSHOTS, "Read"),
    ),
    "dashboard": _topic(SNAPSHOTS, "Read"),
    "runs list": _topic(RUNS, "Read"),
    "runs show": (
        *_topic(RUNS, "Read"),
        *_topic(SNAPSHOTS, "Read"),
        *_topic(TOKENS, "Read"),
        *_topic(PARTIALS, "Describe"),
        *_topic(CHANGELOGS, "Read"),
        *_group(ACTIVATIONS, "Describe"),
        *_group(AGGREGATES, "Describe"),
    ),
    "runs delete": (
        *_topic(RUNS, "Read", "Write"),
        *_topic(SNAPSHOTS, "Read", "Write"),
        *_topic(PARTIALS, "Describe", "Delete"),
        *_topic(CHANGELOGS, "Describe", "Delete"),
        *_group(ACTIVATIONS, "Delete"),
        *_group(AGGREGATES, "Delete"),
    ),
    "corpora list": _topic(CORPORA, "Read"),
    "corpora show": (*_topic(CORPORA, "Read"), *_topic(TOKENS, "Describe")),
    "corpora dump": (*_topic(CORPORA, "Read"), *_topic(TOKENS, "Read")),
    "corpora load": _PRODUCE,
    "corpora rebatch": _PRODUCE,
    "corpora delete": (
        *_topic(CORPORA, "Read", "Write"),
        *_topic(TOKENS, "Describe", "Delete"),
        *_topic(RUNS, "Read"),
        *_topic(SNAPSHOTS, "Read"),
    ),
    "dlq list": _topic(DEAD_LETTERS, "Read"),
    "dlq show": _topic(DEAD_LETTERS, "Read"),
    "dlq export": _topic(DEAD_LETTERS, "Read"),
    "repair": (
        *_topic(RUNS, "Read"),
        *_topic(TOKENS, "Read"),
        *_topic(PARTIALS, "Describe"),
        *_topic(CHANGELOGS, "Read"),
        *_group(ACTIVATIONS, "Read"),
        *_group(AGGREGATES, "Describe"),
    ),
    "oracle": (
        *_topic(RUNS, "Read"),
        *_topic(CORPORA, "Read"),
        *_topic(TOKENS, "Read"),
    ),
    "ask": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read")),
    "concept": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read")),
    "steer": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read")),
    "ablate": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read")),
    "serve-model": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read")),
    "check": (*_topic(RUNS, "Read"), *_topic(CORPORA, "Read"), *_topic(TOKENS, "Read")),
    "tune": (*_topic(CORPORA, "Read"), *_topic(TOKENS, "Read")),
}


def acl_commands(
    rights: Sequence[Right], principal: str, prefix: str, bootstrap: str
) -> Iterator[str]:
    """Yield ``kafka-acls.sh`` commands that give rights, one per topic or group."""
    for (kind, name), some in groupby(sorted(rights), lambda right: (right.kind, right.name)):
        given = list(some)
        pattern = " --resource-pattern-type prefixed" if given[0].is_prefixed else ""
        operations = " ".join(f"--operation {right.operation}" for right in given)
        yield (
            f"kafka-acls.sh --bootstrap-server {bootstrap} --add "
            f"--allow-principal {shlex.quote(f'User:{principal}')} {operations} "
            f"--{kind} {prefix}{name}{pattern}"
        )
