"""Kafka beside a card: the broker and the aggregators in processes of their own on this host."""

import contextlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

from benchmarks.crew import wait_until_joined
from millrace.local_kafka import SERVING_HEAP_MEGABYTES, NativeKafka, cache_folder
from streams import topics
from streams.errors import UserError
from streams.records.runs import RunRecord

AGGREGATORS = 2


@contextlib.contextmanager
def broker(data: Path) -> Iterator["NativeKafka | str"]:
    """Yield a broker of our own, or why there is none here: without Java or Kafka's jars."""
    with contextlib.ExitStack() as stack:
        try:
            started = stack.enter_context(
                NativeKafka(cache_folder(os.environ), data, heap_megabytes=SERVING_HEAP_MEGABYTES)
            )
        except (UserError, OSError) as error:
            yield str(error)
            return
        yield started


def aggregators(kafka: NativeKafka) -> Callable[[RunRecord], AbstractContextManager[None]]:
    """Return what starts the aggregators of a run and waits until they have joined."""

    @contextlib.contextmanager
    def started(run: RunRecord) -> Iterator[None]:
        command = [sys.executable, "-m", "millrace", "aggregates", "--broker", kafka.url]
        command += ["--run", run.name, "--until-done", "--wait", "60"]
        workers = [subprocess.Popen(command, stderr=subprocess.DEVNULL) for _ in range(AGGREGATORS)]
        try:
            group = topics.aggregates_app(run.name)
            wait_until_joined(kafka.bootstrap, {group: AGGREGATORS})
            yield
        finally:
            for worker in workers:
                worker.terminate()
            for worker in workers:
                worker.wait()

    return started
