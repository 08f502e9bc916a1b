"""Every metric moves where it says it does, on both transports, and probes and logs follow."""

import json
import logging
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

from consumers.activations.device_status import device_status
from consumers.activations.engine import Activations, Engine
from consumers.health.limits import Limits
from consumers.health.metrics import Address, served
from consumers.health.progress import Progress
from consumers.models.devices import say_device
from consumers.plan import make_plan
from consumers.runs.loading import load_engine
from consumers.service.serving import Crew, serve_run
from millrace.cli import run_program
from millrace.corpus import prepare_text
from millrace.local_kafka.broker import free_port
from millrace.producing import produce_corpus
from millrace.settings import load_settings
from streams import topics
from streams.catalog.runs import get_run
from streams.monitoring import events
from streams.monitoring.metrics import LIVE, METRICS, Metric, Process
from streams.transport.connect import connect
from streams.transport.memory.broker import forget
from tests.models_on_disk import save_dictionary, save_model

HOST = "127.0.0.1"
PATIENCE = 120.0
# Of what goes wrong, and what takes half a minute.
UNSEEN = (
    events.PROGRAM_SAID,
    events.PROGRAM_FAILED,
    events.SNAPSHOT_FAILED,
    events.PRODUCER_SAID,
    events.PROGRESS,
)
Values = Mapping[str, Mapping[str, float]]


@pytest.fixture(params=["memory", pytest.param("kafka", marks=pytest.mark.kafka)])
def url(request: pytest.FixtureRequest, prefix: str) -> Iterator[str]:
    if request.param == "memory":
        yield f"memory://{prefix}"
        forget(prefix)
    else:
        request.getfixturevalue("kafka")  # deletes what the test leaves behind
        yield request.getfixturevalue("kafka_url")


@dataclass
class Scraper:
    """Asks again and again, in a thread, for what is served at a port.

    seen: per series, the sums over its labels that it had, 0 first. Ends once ``enough``.
    """

    port: int
    enough: Callable[["Scraper"], bool] = lambda scraper: False
    whenever_done: Callable[[], None] = lambda: None
    seen: dict[str, set[float]] = field(default_factory=dict)
    labels: dict[str, set[tuple[str, ...]]] = field(default_factory=dict)
    probes: dict[str, set[int]] = field(default_factory=dict)
    _ended: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> "Scraper":
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _run(self) -> None:
        deadline = time.monotonic() + PATIENCE
        while not self._ended.wait(0.03):
            try:
                self.scrape()
            except OSError:
                continue  # not there yet, or not any more
            if self.enough(self) or time.monotonic() > deadline:
                self.whenever_done()
                return

    def scrape(self) -> None:
        with urllib.request.urlopen(f"http://{HOST}:{self.port}/metrics", timeout=5) as answer:
            text = answer.read().decode()
        sums: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                sums[sample.name] = sums.get(sample.name, 0.0) + sample.value
                self.labels.setdefault(sample.name, set()).add(tuple(sample.labels))
        for name in {*sums, *self.seen}:
            self.seen.setdefault(name, {0.0}).add(sums.get(name, 0.0))
        for path in ("/live", "/ready"):
            try:
                with urllib.request.urlopen(f"http://{HOST}:{self.port}{path}", timeout=5) as said:
                    self.probes.setdefault(path, set()).add(said.status)
            except urllib.error.HTTPError as error:
                with error:
                    self.probes.setdefault(path, set()).add(error.code)

    def still(self, wanted: list[Metric]) -> list[str]:
        """Return the series that never had two values."""
        names = [name for metric in wanted for name in metric.series]
        return [name for name in names if len(self.seen.get(name, ())) < 2]


def metrics_of(*processes: Process) -> list[Metric]:
    """Return the metrics that move in these processes; whether one lives changes at its end."""
    return [m for m in METRICS if set(m.on) & set(processes) and m is not LIVE]


@dataclass(frozen=True)
class Slow:
    """An engine that takes its time, so that there is something to look at."""

    engine: Engine

    def compute(self, batch: Any, valid: Any) -> Activations:
        time.sleep(0.05)
        return self.engine.compute(batch, valid)


def write_settings(folder: Path, url: str, prefix: str, documents: int) -> Path:
    """Write a text with an unreadable line, a model, a dictionary and the settings over them."""
    save_model(folder / "model", "gpt2")
    save_dictionary(folder / "sae", "standard")
    lines = [
        json.dumps({"text": " ".join(f"w{(n * i) % 59}" for i in range(40))})
        for n in range(documents)
    ]
    lines.insert(5, "no JSON")
    (folder / "text.jsonl").write_text("\n".join(lines))
    file = folder / "run.toml"
    file.write_text(
        f'broker = "{url}"\nstore = "store"\n'
        f'[corpus]\nname = "{prefix}-text"\ntext = ["text.jsonl"]\nbatch_rows = 16\n'
        f"skip_bad = true\nlimit_tokens = {documents * 100}\n"
        f'[run]\nname = "{prefix}"\nk = 3\nshards = 2\n'
        '[model]\npath = "model"\ndevice = "cpu"\n'
        '[[dictionaries]]\nname = "sae"\npath = "sae"\n'
    )
    return file


def test_every_metric_of_a_producer_moves(url: str, prefix: str, tmp_path: Path) -> None:
    chosen = load_settings(write_settings(tmp_path, url, prefix, documents=20_000), {})
    client, port = connect(url), free_port()
    with Scraper(port) as scraper:
        produce_corpus(client, prepare_text(chosen, client), Address(HOST, port))
    client.close()
    assert scraper.still(metrics_of("producer")) == []
    assert scraper.probes["/live"] == {200}
    assert 200 in scraper.probes["/ready"]


def written(records: list[logging.LogRecord]) -> bool:
    """Return whether the log says that a snapshot is there, and not merely parts of it."""
    name = events.SNAPSHOT_WRITTEN.name
    return any(getattr(record, "event", None) == name for record in records)


def test_every_metric_of_workers_moves(
    url: str, prefix: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, events.LOGGER)
    file = write_settings(tmp_path, url, prefix, documents=900)
    client = connect(url)
    produce_corpus(client, prepare_text(load_settings(file, {}), client))
    assert run_program(["runs", "create", "--settings", str(file)]) == 0
    plan = make_plan(get_run(client, prefix))
    corpus = topics.tokens(plan.run.corpus, plan.run.partitions).name
    with client.sender() as sender:
        # A dead letter on each side, and a batch that comes a second time.
        again = next(iter(client.read(corpus, 0)))
        sender.send(corpus, 0, again.value, key=again.key, headers=again.headers)
        sender.send(corpus, 1, b"junk")
        sender.send(topics.partials(prefix, 2, 0).name, 0, b"junk")

    engine = load_engine(plan, "cpu")
    progress = Progress(device=partial(device_status, engine))
    wanted = metrics_of("activations", "aggregates")
    worker = Scraper(
        0,
        lambda scraper: not scraper.still(wanted) and written(list(caplog.records)),
        lambda: os.kill(os.getpid(), signal.SIGTERM),
    )
    with served(progress, Address(HOST, 0)) as worker.port, worker:
        say_device(engine.model.device)  # as the verb does, which is tried elsewhere
        serve_run(
            plan,
            url,
            Crew(1, 1),
            lambda: Slow(engine),
            progress,
            until_final=False,
            limits=Limits(incomplete=2.0),
        )
    assert worker.still(wanted) == []
    for metric in wanted:
        for name in metric.series:
            assert {tuple(sorted(found)) for found in worker.labels[name]} == {
                tuple(sorted(metric.labels))
            }, name
    # Whether it is asked before it is ready is a matter of time.
    assert worker.probes["/live"] == {200}
    assert {200} <= worker.probes["/ready"] <= {200, 503}
    client.close()

    said = [record.event for record in caplog.records if hasattr(record, "event")]
    for event in events.EVENTS:
        if event not in UNSEEN:
            assert event.name in said, event.name
    assert said[-1] == "worker_ended"
