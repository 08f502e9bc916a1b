"""Workers of a run as processes of their own, on a Kafka of our own."""

import contextlib
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from kafka import KafkaAdminClient
from kafka.errors import KafkaError

from benchmarks.crew_worker import ACTIVATIONS, AGGREGATES, Taken
from benchmarks.replay import replay_plan
from benchmarks.shapes import Shape
from consumers.plan import Plan, make_plan
from millrace.local_kafka import NativeKafka
from streams import topics
from streams.catalog.runs import put_run
from streams.errors import BrokerError
from streams.transport.client import Client

_PATIENCE = 120.0
_LOOKS = 8


@dataclass(frozen=True, slots=True)
class Load:
    """What workers are to do. l0: features per token. latency: seconds that a batch takes."""

    shape: Shape
    k: int
    l0: float
    latency: float = 0.0
    shards: int = 4
    partitions: int = 8


def create_run(client: Client, load: Load, name: str, store: Path) -> Plan:
    """Create a run over the corpus ``NAME-text``, whose topic is there and empty afterwards."""
    drawn = replay_plan(load.shape, shards=load.shards, k=load.k, partitions=load.partitions).run
    run = replace(drawn, name=name, corpus=f"{name}-text", store=str(store))
    client.create_topics([*topics.SHARED, topics.tokens(run.corpus, run.partitions)])
    put_run(client, run)
    return make_plan(run)


@contextlib.contextmanager
def crew(
    broker: NativeKafka, plan: Plan, load: Load, workers: Mapping[str, int]
) -> Iterator[list["subprocess.Popen[str]"]]:
    """Yield workers of a run, so many for each role, that have joined their groups.

    Every partition of the input is assigned then. They are ended with the block if they have not
    ended by themselves. Raises BrokerError if they do not join.
    """
    with contextlib.ExitStack() as stack:
        started = []
        for role, count in workers.items():
            for _ in range(count):
                started.append(_started(broker, plan, load, role))
                stack.callback(_ended, started[-1])
        _wait_until_joined(broker, plan, workers)
        yield started


def _started(broker: NativeKafka, plan: Plan, load: Load, role: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.crew_worker", role, broker.url, plan.run.name]
    command += ["--l0", str(load.l0), "--latency", str(load.latency)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def _ended(worker: "subprocess.Popen[str]") -> None:
    if worker.poll() is None:
        worker.kill()
    worker.wait()


def _wait_until_joined(broker: NativeKafka, plan: Plan, workers: Mapping[str, int]) -> None:
    groups = {
        ACTIVATIONS: topics.activations_app(plan.run.name),
        AGGREGATES: topics.aggregates_app(plan.run.name),
    }
    wait_until_joined(broker.bootstrap, {groups[role]: count for role, count in workers.items()})


def wait_until_joined(bootstrap: str, wanted: Mapping[str, int]) -> None:
    """Wait until each group has so many members, all with work; raise BrokerError if not."""
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    deadline = time.monotonic() + _PATIENCE
    still = 0
    try:
        # A group may be whole for a moment only, before somebody asks for another assignment.
        while still < _LOOKS:
            time.sleep(0.25)
            still = still + 1 if _have_joined(admin, wanted) else 0
            if time.monotonic() > deadline:
                raise BrokerError(f"the workers did not join within {_PATIENCE:.0f} s")
    finally:
        admin.close()


def _have_joined(admin: KafkaAdminClient, wanted: Mapping[str, int]) -> bool:
    """Return whether each group has as many members as wanted, all of them with work to do."""
    try:
        found = admin.describe_groups(list(wanted))
    except KafkaError:  # until the broker has made its topic of groups
        return False
    return all(
        found[group]["group_state"] == "Stable"
        and len(found[group]["members"]) == count
        and all(m["member_assignment"]["assigned_partitions"] for m in found[group]["members"])
        for group, count in wanted.items()
    )


def taken(workers: Sequence["subprocess.Popen[str]"]) -> list[Taken]:
    """Return what each worker took, once all have ended; raise RuntimeError if one failed."""
    found = []
    for worker in workers:
        said, _ = worker.communicate()
        if worker.returncode:
            raise RuntimeError(f"a worker ended with status {worker.returncode}")
        found.append(Taken(**json.loads(said)))
    return found
