"""What workers, producers and runs say off a terminal, as lines and as JSON."""

import json
import logging
import os
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from consumers.health import reporting
from consumers.health.progress import Progress, WorkerPosition
from consumers.health.reporting import Reporter, speed
from consumers.selection.worker import Outcome
from millrace.logs import set_up_logs
from producers.produced import Produced, reported
from streams.deadletters import Origin, Refusal
from streams.errors import CorpusError
from streams.monitoring import events
from streams.transport.memory.broker import forget
from tests import factories
from tests.millrace.conftest import Ended, Program
from tests.service import Service, make_service

NAME = "logging"
BROKER = f"memory://{NAME}"
LINE = re.compile(
    r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d{3} (INFO|WARNING) streams.monitoring.events: "
)


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    yield make_service(BROKER, tmp_path / "store", "test")
    forget(NAME)


def said(ended: Ended) -> list[str]:
    """Return the lines of events without time and level; all lines must be such."""
    assert all(LINE.match(line) for line in ended.lines), ended.lines
    return [LINE.sub("", line) for line in ended.lines]


def as_json(ended: Ended) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ended.lines]


def served(service: Service, program: Program, *options: str) -> Ended:
    """Have the activation side done, then run an aggregate worker to the final snapshot."""
    from tests.integration.test_repair import activations_done

    with service.client.sender() as sender:
        sender.send("partials.test", 1, b"junk\n")
    service.serve(1, 0, until=lambda: activations_done(service))
    return program(*options, "aggregates", "--run", "test", "--until-done", "--broker", BROKER)


def test_a_worker_says_when_it_starts_is_assigned_refuses_writes_and_ends(
    program: Program, service: Service
) -> None:
    ended = served(service, program)
    assert ended.status == 0
    lines = said(ended)
    assert lines[0] == "Worker started: run test, 0 for activations, 1 for aggregates"
    assert "Rebalanced: aggregates of run test, partitions 0, 1, 2 of partials.test" in lines
    assert any(
        line.startswith("Dead letter: partials.test, partition 1, offset 0") for line in lines
    )
    assert len([line for line in lines if "Snapshot final of run test: part of shard" in line]) == 3
    assert any(line.startswith("Snapshot final of run test written: content ") for line in lines)
    assert lines[-1].startswith("Worker ended: run test, the final snapshot is there, ")


@pytest.mark.parametrize("where", ["before", "after", "environment"])
def test_every_line_is_one_json_object(
    program: Program, service: Service, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if where == "environment":
        monkeypatch.setenv("MILLRACE_LOG_FORMAT", "json")
    options = ("--log-format", "json") if where == "before" else ()
    if where == "after":
        before = program

        def program(*arguments: Any) -> Ended:
            return before(*arguments, "--log-format", "json")

    lines = as_json(served(service, program, *options))
    names = [line["event"] for line in lines]
    assert names[0] == "worker_started"
    assert names[-1] == "worker_ended"
    assert {"rebalanced", "dead_letter", "part_written", "snapshot_written"} <= set(names)
    known = {event.name: event.fields for event in events.EVENTS}
    for line in lines:
        assert list(line) == ["time", "level", "logger", "message", "event", *known[line["event"]]]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00", line["time"])
    (refused,) = [line for line in lines if line["event"] == "dead_letter"]
    assert (refused["level"], refused["topic"], refused["offset"]) == (
        "warning",
        "partials.test",
        0,
    )


def test_a_whole_run_says_nothing_but_json(
    program: Program, disk: Path, text: Path, tmp_path: Path
) -> None:
    ended = program(
        *("run", text, "--skip-bad", "--model", disk / "gpt2", "--dictionary", disk / "standard"),
        *("--device", "cpu", "--store", tmp_path / "store", "--broker", BROKER),
        *("--log-format", "json"),
    )
    forget(NAME)
    assert ended.status == 0, ended.lines
    said = as_json(ended)
    names = [line["event"] for line in said]
    assert {"producer_started", "worker_started", "snapshot_written", "program_said"} <= set(names)
    texts = [line["text"] for line in said if line["event"] == "program_said"]
    assert any(one.startswith("load ") and "; forward " in one for one in texts)
    assert any(one.startswith("content ") for one in texts)


def test_the_last_error_is_an_event_too(program: Program) -> None:
    ended = program("--log-format", "json", "runs", "show", "none", "--broker", BROKER)
    (line,) = as_json(ended)
    assert ended.status == 2
    assert (line["event"], line["status"], line["level"]) == ("program_failed", 2, "error")
    assert line["cause"].startswith("there is no run 'none'")


def test_a_traceback_in_json_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        set_up_logs(0, "json")
        try:
            raise ValueError("odd\nthing")
        except ValueError:
            logging.getLogger("millrace.cli").exception("What was unforeseen:")
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(False)
    (line,) = capfd.readouterr().err.splitlines()
    assert "ValueError" in json.loads(line)["exc_info"]


def test_passwords_of_addresses_are_hidden_and_the_line_stays_json(
    capfd: pytest.CaptureFixture[str],
) -> None:
    root = logging.getLogger()
    before = list(root.handlers), root.level
    try:
        set_up_logs(0, "json")
        message = 'no answer of "kafka://anna:hunter2@host:1" or s3://b?token=hunter2"x\nmore'
        logging.getLogger("millrace.cli").warning("%s", message)
        refusal = fields_of_a_dead_letter(cause=message)
        events.say(events.DEAD_LETTER, **refusal)
    finally:
        root.handlers[:], root.level = before
        logging.captureWarnings(False)
    lines = capfd.readouterr().err.splitlines()
    assert [json.loads(line)["event"] for line in lines] == [None, "dead_letter"]
    assert "hunter2" not in "".join(lines)


def fields_of_a_dead_letter(**changes: Any) -> dict[str, Any]:
    return dict.fromkeys(events.DEAD_LETTER.fields, "x") | changes


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "text.jsonl"
    path.write_text('{"text": "w1 w2 w3"}\nno JSON\n{"text": "w4 w5"}\n')
    return path


def test_a_producer_says_when_it_starts_skips_and_ends(
    program: Program, disk: Path, text: Path
) -> None:
    ended = program("produce", text, "--tokenizer", disk / "gpt2", "--skip-bad", "--broker", BROKER)
    forget(NAME)
    assert ended.status == 0
    dead, started, *_, end = said(ended)
    assert started == "Producer started: corpus corpus"
    assert dead.startswith(f"Dead letter: {text} line 2, partition ?, offset ?: UnreadableDocument")
    assert end.startswith("Producer ended: corpus corpus, the corpus is complete, 2 rows, ")


def test_a_producer_that_cannot_start_says_its_error_alone(program: Program, disk: Path) -> None:
    refusal = program("produce", "--tokenizer", disk / "gpt2", "--broker", BROKER).refusal()
    forget(NAME)
    assert refusal.startswith("no text is named")


def test_progress_has_done_total_rates_and_time_left(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, events.LOGGER)
    moments = iter((0.0, 10.0))
    progress = Progress()
    reporter = Reporter(
        factories.plan(name="r"), progress, clock=moments.__next__, processor=lambda: 0.0
    )
    reporter.sample()
    for _ in range(20):
        progress.activated(Outcome((), tokens=100, rows=4))
    lag = {0: 30, 1: 10}
    progress.note_position(
        1,
        WorkerPosition("g", "tokens.text", lag, {}, "activations", {0: 25, 1: 5}, {}, 20, 60),
    )
    reporter.sample()
    reporter.report()
    (record,) = caplog.records
    assert record.getMessage() == (
        "Progress: activations, 20 of 60 records, 8.0 rows/s, 200.0 tokens/s, ETA 15s"
    )
    assert record.fields["lag"] == 40  # type: ignore[attr-defined]


def test_tokens_that_every_shard_counts_are_counted_once() -> None:
    progress = Progress()
    progress.sample(0.0, reporting.totals(progress, 0.0))
    for _ in range(3):
        progress.applied(100, 0.1, rows=4)
    chains = {0: (1,), 1: (1,), 2: (1,)}
    progress.note_position(1, WorkerPosition("g", "partials.r", {}, chains))
    progress.sample(1.0, reporting.totals(progress, 0.0))
    found = speed(progress, "aggregates")
    assert (found.tokens, found.rows, found.records) == (100.0, 4.0, 3.0)


def test_it_reports_every_so_often(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, events.LOGGER)
    progress = Progress()
    progress.note_position(1, WorkerPosition("g", "partials.r", {0: 1}, {0: (1,)}, total=5))
    with Reporter(factories.plan(), progress, every=0.1, sample_every=0.02):
        deadline = time.monotonic() + 30
        while len(caplog.records) < 3 and time.monotonic() < deadline:
            time.sleep(0.01)
    assert {record.event for record in caplog.records} == {"progress"}  # type: ignore[attr-defined]
    assert len(caplog.records) >= 3


def test_a_producer_reports_and_says_how_it_ended(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, events.LOGGER)
    produced = Produced("words", total=1000)
    assert not produced.ready().ok

    def produce() -> None:
        with reported(produced, every=0.05, sample_every=0.01):
            produced.advance(4, 100)
            produced.say("corpus words broke off")
            refusal = Refusal(Origin("a line 1"), "UnreadableDocument", "odd", "produce", "x")
            produced.refuse(refusal)
            assert produced.ready().ok
            deadline = time.monotonic() + 30
            while "Progress" not in caplog.text and time.monotonic() < deadline:
                time.sleep(0.01)
            raise CorpusError("no text")

    with pytest.raises(CorpusError, match="no text"):
        produce()
    assert "Progress: producer, 100 of 1,000 tokens" in caplog.text
    assert "Producer: corpus words broke off" in caplog.text
    assert "Producer ended: corpus words, no text, 4 rows, 100 tokens" in caplog.text
    assert produced.refused == 1
    assert not produced.live().ok
    assert produced.eta() is None or produced.eta() > 0  # type: ignore[operator]


def test_the_endpoint_of_a_producer_is_there_while_it_waits_for_text(
    disk: Path, tmp_path: Path
) -> None:
    from millrace.local_kafka.broker import free_port

    port = free_port()
    command = [sys.executable, "-m", "millrace", "produce", "-", "--tokenizer", str(disk / "gpt2")]
    process = subprocess.Popen(
        [*command, "--broker", "memory://x", "--metrics-port", str(port)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
    )
    assert process.stdin is not None
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        while process.poll() is None:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/live", timeout=5) as answer:
                    assert json.loads(answer.read()) == {
                        "ok": True,
                        "reason": "the process answers",
                    }
                    break
            except OSError:
                time.sleep(0.1)
        _, err = process.communicate(b"w1 w2 w3\n")
        assert process.returncode == 0, err
        assert b"Producer ended: corpus corpus, the corpus is complete" in err
    finally:
        watchdog.cancel()
        process.kill()
        process.wait()
