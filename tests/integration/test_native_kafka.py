"""A broker of our own: what it leaves behind, and serving it from the command line."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import pytest

from millrace.local_kafka import NativeKafka
from millrace.local_kafka.broker import free_port
from streams.errors import BrokerError
from streams.transport.client import TopicSpec
from streams.transport.connect import connect

pytestmark = pytest.mark.kafka

SERVE = """
import sys
from pathlib import Path
from millrace.local_kafka import run_broker
port, data, cache = sys.argv[1:]
run_broker(int(port), Path(data), Path(cache), lambda line: print(line, flush=True), 384)
"""


@contextmanager
def serve(port, data, cache):
    with subprocess.Popen(
        [sys.executable, "-c", SERVE, str(port), str(data), str(cache)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    ) as process:
        try:
            assert process.stdout.readline().startswith("Starting Kafka")
            assert f"kafka://127.0.0.1:{port}" in process.stdout.readline()
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM])
def test_served_records_are_there_the_next_time(native_cache, tmp_path, ending):
    port = free_port()
    with serve(port, tmp_path, native_cache) as process:
        client = connect(f"kafka://127.0.0.1:{port}")
        client.create_topics([TopicSpec("records", 1)])
        with client.sender() as sender:
            sender.send("records", 0, b"kept")
        client.close()
        process.send_signal(ending)
        assert process.wait(60) == 0
        assert "has stopped" in process.stdout.read()

    other_port = free_port()
    with NativeKafka(native_cache, tmp_path, other_port) as again:
        client = connect(again.url)
        assert [record.value for record in client.read("records", 0)] == [b"kept"]
        client.close()


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ties a child to its parent")
def test_broker_ends_with_a_process_that_is_killed(native_cache, tmp_path):
    port = free_port()
    with serve(port, tmp_path, native_cache) as process:
        process.kill()
    time.sleep(1)
    with NativeKafka(native_cache, tmp_path, port) as again:
        assert again.pid is not None


def test_temporary_data_are_removed(native_cache, tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    with NativeKafka(native_cache, heap_megabytes=384):
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []


def test_taken_port_is_named(native_kafka, native_cache, tmp_path):
    port = int(native_kafka.bootstrap.rpartition(":")[2])
    with pytest.raises(BrokerError, match=f"port {port} is taken"):
        NativeKafka(native_cache, tmp_path, port).start()


def test_broker_that_cannot_start_says_why_at_once(native_cache, tmp_path):
    with pytest.raises(BrokerError, match=r"the local Kafka has ended: .*heap"):
        NativeKafka(native_cache, tmp_path, heap_megabytes=4).start()
