"""The HTTP endpoint of a worker or producer: ``/metrics``, ``/live`` and ``/ready``.

This module imports prometheus_client, so import it only where something is served.
"""

import json
import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any
from wsgiref.simple_server import WSGIRequestHandler, make_server

from prometheus_client import CollectorRegistry, ProcessCollector, core, make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer
from prometheus_client.registry import Collector

from streams.errors import SettingsError
from streams.monitoring.metrics import Metric
from streams.monitoring.verdict import Health, Verdict

_SECONDS_FOR_A_REQUEST = 10.0


@dataclass(frozen=True, slots=True)
class Address:
    """Where it is served; port 0 takes a free one."""

    host: str
    port: int


def family(metric: Metric) -> Any:
    """Return an empty family of Prometheus' client for a metric; add values with ``add_metric``."""
    kinds = {
        "counter": core.CounterMetricFamily,
        "gauge": core.GaugeMetricFamily,
        "summary": core.SummaryMetricFamily,
    }
    return kinds[metric.kind](metric.name, metric.help, labels=metric.labels)


class _Handler(WSGIRequestHandler):
    """Logs nothing, and waits for a client that says nothing no longer than it should."""

    timeout = _SECONDS_FOR_A_REQUEST

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@contextmanager
def served(collector: Collector, health: Health, address: Address) -> Iterator[int]:
    """Serve the endpoint while the block runs; yields the port. Raises SettingsError if taken."""
    registry = CollectorRegistry()
    registry.register(collector)
    ProcessCollector(registry=registry)
    try:
        server = _server(address, _routes(make_wsgi_app(registry), health))
    except (OSError, OverflowError) as error:
        where = f"{address.host}:{address.port}"
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"metrics cannot be served at {where}: {reason}") from error
    thread = threading.Thread(target=server.serve_forever, name="metrics", daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _server(address: Address, app: Any) -> Any:
    # IPv6 where the address is one; the name of a host gets what it resolves to first.
    found = socket.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)

    class Server(ThreadingWSGIServer):
        address_family = found[0][0]

    return make_server(address.host, address.port, app, Server, handler_class=_Handler)


def _routes(metrics: Any, health: Health) -> Callable[[dict[str, Any], Any], Iterable[bytes]]:
    probes: dict[str, Callable[[], Verdict]] = {"/live": health.live, "/ready": health.ready}

    def app(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        path = environ.get("PATH_INFO", "")
        if path == "/metrics":
            answer: Iterable[bytes] = metrics(environ, start_response)
            return answer
        if path not in probes:
            verdict, status = Verdict(False, "ask for /metrics, /live or /ready"), 404
        elif environ.get("REQUEST_METHOD") not in ("GET", "HEAD"):
            verdict, status = Verdict(False, "use GET"), 405
        else:
            verdict = probes[path]()
            status = 200 if verdict.ok else 503
        body = json.dumps(asdict(verdict)).encode() + b"\n"
        headers = [("Content-Type", "application/json"), ("Content-Length", str(len(body)))]
        start_response(f"{status} {HTTPStatus(status).phrase}", headers)
        return [b"" if environ.get("REQUEST_METHOD") == "HEAD" else body]

    return app
