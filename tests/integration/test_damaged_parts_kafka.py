"""A paused worker, a snapshot in mid-run, and a file that is lost before it is put together."""

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from consumers.health.group_lag import readings
from consumers.plan import make_plan
from consumers.snapshots.assembly import shard_manifests
from consumers.snapshots.snapshots import published, request_snapshot
from millrace.local_kafka import NativeKafka
from streams import topics
from streams.snapshots.failed_manifest import find_failed
from streams.transport.connect import connect
from tests.chaos.corpus import chaos_run, write
from tests.chaos.harness import Chaos, assert_exact, chaos, run_until_final


@pytest.mark.kafka
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_mid_run_snapshot_that_lost_a_file_ends_no_worker_and_keeps_no_run_from_its_end(
    native_kafka: NativeKafka, tmp_path: Path
) -> None:
    plan = make_plan(chaos_run("lost-file", str(tmp_path)))
    client = connect(native_kafka.url)
    written = write(client, plan.run, batches=200, seed=2)
    with chaos(native_kafka, plan, seed=2) as hurt:
        hurt.hire("aggregates", 2)
        hurt.hire("activations", 1, latency=0.1)
        group, partials = topics.aggregates_app("lost-file"), topics.partials("lost-file", 1, 0)
        wait(hurt, lambda: all(r.at for r in readings(client, group, partials.name).values()))
        paused = hurt.workers[0]
        paused.signal(signal.SIGSTOP)
        paused.paused_until = time.monotonic() + 4.0
        request_snapshot(client, plan.run, "so-far")

        def parts() -> list[Path]:
            entries = published(client, "lost-file").get("so-far", {})
            found = shard_manifests(plan, "so-far", entries).values()
            files = (file for part in found for file in part.files if file.table == "hits")
            return [tmp_path / "lost-file" / file.path for file in files]

        wait(hurt, lambda: bool(parts()))
        parts()[0].unlink()
        manifest = run_until_final(hurt, (), pause=(1.0, 1.0), patience=300)
        assert [worker.starts for worker in hurt.workers] == [1, 1, 1]
    assert_exact(client, plan, manifest, written)
    failed = find_failed(published(client, "lost-file")["so-far"][""])
    client.close()
    assert failed is not None
    assert "hits-" in failed.failed


def wait(hurt: Chaos, until: Callable[[], bool]) -> None:
    """Tend the workers until something is true."""
    for _ in range(1200):
        hurt.tend()
        if until():
            return
        time.sleep(0.1)
    raise AssertionError("nothing came of it in two minutes")
