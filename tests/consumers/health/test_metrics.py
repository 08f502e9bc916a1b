import urllib.error
import urllib.request

import pytest

from consumers.health.metrics import Address, served
from consumers.health.progress import Progress, WorkerPosition
from consumers.selection.worker import Outcome
from streams.errors import SettingsError, ShapeError

LOCAL = Address("127.0.0.1", 0)


def scraped(progress: Progress) -> dict[str, float]:
    with served(progress, LOCAL) as port:
        answer = urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5)
        with answer:
            lines = answer.read().decode().splitlines()
    pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    return {name: float(value) for name, value in pairs}


def test_what_was_done_is_exposed_under_the_names_of_the_documentation():
    progress = Progress(clock=lambda: 1234.5)
    progress.activated(Outcome((), tokens=10, rows=2, hits=3), 0.25)
    progress.activated(Outcome((), ShapeError("odd")), 0.5)
    progress.applied(10, 0.125)
    progress.applied(0, 0.125, duplicate=True)
    progress.applied(0, 0.25, refused=True)
    progress.flushed(2.0, 5000, 40.0)
    progress.note_position(1, WorkerPosition("aggregates.r", "partials.r", {2: 7}, {2: (4, -1)}))
    found = scraped(progress)
    expected = {
        'millrace_records_total{side="activations"}': 2,
        'millrace_records_total{side="aggregates"}': 3,
        'millrace_dead_letters_total{side="activations"}': 1,
        'millrace_dead_letters_total{side="aggregates"}': 1,
        'millrace_batch_seconds_count{side="activations"}': 2,
        'millrace_batch_seconds_sum{side="activations"}': 0.75,
        'millrace_batch_seconds_sum{side="aggregates"}': 0.5,
        'millrace_last_progress_timestamp_seconds{side="aggregates"}': 1234.5,
        "millrace_duplicates_skipped_total": 1,
        "millrace_flush_seconds_count": 1,
        "millrace_flush_seconds_sum": 2,
        "millrace_flush_bytes_total": 5000,
        "millrace_flush_interval_seconds": 40,
        "millrace_tokens_total": 10,
        "millrace_hits_total": 3,
        'kafka_consumergroup_lag{consumergroup="aggregates.r",partition="2",topic="partials.r"}': 7,
        'millrace_chain{partition="0",shard="2"}': 4,
        'millrace_chain{partition="1",shard="2"}': -1,
    }
    assert {name: found.get(name) for name in expected} == expected
    assert found["process_resident_memory_bytes"] > 0


def test_a_worker_that_has_done_nothing_yet_answers():
    assert scraped(Progress())["millrace_duplicates_skipped_total"] == 0


def test_a_port_that_is_taken_is_named():
    with (
        served(Progress(), LOCAL) as port,
        pytest.raises(SettingsError, match=f"metrics cannot be served at 127.0.0.1:{port}"),
        served(Progress(), Address("127.0.0.1", port)),
    ):
        pass
