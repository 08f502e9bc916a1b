"""A Kafka broker on this machine without Docker: fetched by Maven, run by Java as our child."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType

from millrace.local_kafka.broker import NativeKafka
from millrace.local_kafka.jars import cache_folder, jars, java, maven

__all__ = ["NativeKafka", "cache_folder", "jars", "java", "maven", "run_broker"]

SERVING_HEAP_MEGABYTES = 1024


def run_broker(
    port: int,
    data: Path,
    cache: Path,
    announce: Callable[[str], None],
    heap_megabytes: int = SERVING_HEAP_MEGABYTES,
) -> None:
    """Serve a broker at ``port`` until interrupted or terminated, from a main thread.

    Its records stay in ``data`` and are served again the next time. ``announce`` gets a line for
    the person who waits, before the first download and when the broker is ready.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        announce(f"Starting Kafka; its jars are kept in {cache}")
        with NativeKafka(cache, data, port, heap_megabytes) as broker:
            announce(f"Kafka serves {broker.url} from {data}; stop it with Ctrl-C")
            while True:
                time.sleep(0.5)
                broker.check()
    except KeyboardInterrupt:
        announce("Kafka has stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
