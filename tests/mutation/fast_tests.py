"""Which modules are mutated, and which tests have to notice; none takes long."""

from collections.abc import Sequence
from dataclasses import dataclass

PACKAGES = (
    "streams/transport",
    "consumers/aggregation",
    "consumers/health",
    "consumers/snapshots",
)

_AGENTS = (
    "tests/integration/test_deleted_input.py",
    "tests/integration/test_repair.py",
    "tests/integration/test_refusals.py",
)


@dataclass(frozen=True, slots=True)
class FastTests:
    """Tests in the order in which they are run. broker: whether they need a Kafka."""

    paths: tuple[str, ...]
    broker: bool = False


_UNITS = "tests/streams/transport"
_CLIENTS = "tests/integration/test_clients.py"
_KAFKA = FastTests((_UNITS, _CLIENTS, "tests/integration/test_kafka_client.py"), broker=True)
_TABLE = {
    "streams/transport/kafka": _KAFKA,
    "streams/transport/connect.py": _KAFKA,
    "streams/transport": FastTests(
        (_UNITS, _CLIENTS, "tests/integration/test_transport_conformance.py")
    ),
    "streams/transport/faust/durable_table.py": FastTests(
        (_UNITS, "tests/consumers/health/test_group.py")
    ),
    "consumers/aggregation": FastTests(("tests/consumers/aggregation",)),
    "consumers/health": FastTests(("tests/consumers/health",)),
    "consumers/health/run_status.py": FastTests(
        ("tests/consumers/health", "tests/millrace/test_listing.py")
    ),
    "consumers/health/corpus_log.py": FastTests(("tests/consumers/health", _AGENTS[0])),
    "consumers/health/missing.py": FastTests(("tests/consumers/health", *_AGENTS[:2])),
    "consumers/health/refusals.py": FastTests(("tests/consumers/health", _AGENTS[2])),
    "consumers/health/watchdog.py": FastTests(
        ("tests/consumers/health", *_AGENTS[:2], "tests/integration/test_watchdog.py")
    ),
    "consumers/snapshots": FastTests(
        (
            "tests/consumers/snapshots",
            "tests/streams/snapshots/test_failed_manifest.py",
            "tests/consumers/service/test_shard_writer.py",
            "tests/integration/test_refusals.py",
        )
    ),
}
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


def fast_tests(file: str) -> FastTests:
    """Return the tests of a module; the longest entry of the table that its path begins with."""
    return _TABLE[max((entry for entry in _TABLE if file.startswith(entry)), key=len)]


def arguments(tests: FastTests) -> Sequence[str]:
    """Return what pytest is called with."""
    names = " and ".join(f"not {name}" for name in LEFT_OUT)
    marks = () if tests.broker else ("-m", "not kafka")
    return (*tests.paths, "-k", names, *marks)
