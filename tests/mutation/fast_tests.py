"""Which modules are mutated, and which tests have to notice; none takes long."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
PACKAGES = (
    "streams/transport",
    "consumers/aggregation",
    "consumers/health",
    "consumers/snapshots",
)

_DELETED = "tests/integration/test_deleted_input.py"
_REPAIR = "tests/integration/test_repair.py"
_REFUSALS = "tests/integration/test_refusals.py"
_CLIENTS = "tests/integration/test_clients.py"
_CONFORMANCE = "tests/integration/test_transport_conformance.py"


@dataclass(frozen=True, slots=True)
class Suite:
    """Tests that are run in one go. broker: whether they need a Kafka."""

    paths: tuple[str, ...]
    broker: bool = False


_UNITS = Suite(("tests/streams/transport",))
_HEALTH = Suite(("tests/consumers/health",))
_KAFKA = Suite((_CLIENTS, "tests/integration/test_kafka_client.py"), broker=True)
# Behind the tests of a module's own name, those of its package; the last see what is left.
_TABLE = {
    "streams/transport/memory": (Suite((_CLIENTS, _CONFORMANCE)), _UNITS),
    "streams/transport/kafka": (_UNITS, _KAFKA),
    "streams/transport/connect.py": (_UNITS, _KAFKA),
    "streams/transport": (_UNITS, Suite((_CLIENTS, _CONFORMANCE))),
    "consumers/aggregation": (Suite(("tests/consumers/aggregation",)),),
    "consumers/health": (_HEALTH,),
    "consumers/health/run_status.py": (_HEALTH, Suite(("tests/millrace/test_listing.py",))),
    "consumers/health/corpus_log.py": (_HEALTH, Suite((_DELETED,))),
    "consumers/health/missing.py": (_HEALTH, Suite((_DELETED, _REPAIR))),
    "consumers/health/refusals.py": (_HEALTH, Suite((_REFUSALS,))),
    "consumers/health/watchdog.py": (
        _HEALTH, Suite((_DELETED, _REPAIR, "tests/integration/test_watchdog.py")),
    ),
    "consumers/snapshots": (
        Suite(("tests/consumers/snapshots", "tests/streams/snapshots/test_failed_manifest.py")),
        Suite(("tests/consumers/service/test_shard_writer.py", _REFUSALS)),
    ),
}  # fmt: skip
# Many schedules take minutes; what they would notice by chance has tests of its own.
LEFT_OUT = (
    "without_a_rule",
    "leaves_the_chain_incomplete",
    "seed_replays",
    "never_answers",
    "killed_and_come_back",
    "however_often_a_worker_starts",
    "next_start_goes_on_behind",
)
SCHEDULES = {"MILLRACE_SCHEDULES": "100", "MILLRACE_SERVICE_SCHEDULES": "5"}


def suites(file: str) -> Sequence[Suite]:
    """Return the tests of a module in the order in which they are tried.

    First those of its own name, if there are any; then the longest entry of the table that its
    path begins with.
    """
    module = Path("tests", file)
    mirror = module.with_name(f"test_{module.name}").as_posix()
    others = _TABLE[max((entry for entry in _TABLE if file.startswith(entry)), key=len)]
    return (Suite((mirror,)), *others) if (CHECKOUT / mirror).exists() else others


def arguments(suite: Suite) -> Sequence[str]:
    """Return what pytest is called with."""
    names = " and ".join(f"not {name}" for name in LEFT_OUT)
    return (*suite.paths, "-k", names, *(() if suite.broker else ("-m", "not kafka")))
