"""Real processes on a real broker under real signals, and the oracle's content at the end.

The long version is ``make chaos``.
"""

from pathlib import Path

import pytest

from consumers.plan import make_plan
from millrace.local_kafka import NativeKafka
from streams.transport.connect import connect
from tests.chaos.corpus import chaos_run, write
from tests.chaos.harness import EVERY_FAULT, assert_exact, chaos, run_until_final


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_killed_paused_and_visited_workers_and_a_broker_that_restarts_cost_no_exactness(
    native_kafka: NativeKafka, tmp_path: Path
) -> None:
    plan = make_plan(chaos_run("chaos", str(tmp_path)))
    client = connect(native_kafka.url)
    written = write(client, plan.run, batches=800, seed=1)
    client.close()
    with chaos(native_kafka, plan, seed=1) as hurt:
        hurt.hire("aggregates", 2)
        hurt.hire("activations", 2, latency=0.1)
        manifest = run_until_final(hurt, EVERY_FAULT, pause=(3.0, 5.0), patience=400)
        assert hurt.faults.total() == len(EVERY_FAULT)
        assert sum(worker.starts for worker in hurt.workers) > len(hurt.workers)
    client = connect(native_kafka.url)
    assert_exact(client, plan, manifest, written)
    client.close()
