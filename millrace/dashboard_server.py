"""Serving the dashboard over HTTP from settings."""

import re
import socket
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from millrace.progress_bars import say
from streams import topics
from streams.deadletters import dead_letter
from streams.errors import SettingsError, UserError
from streams.regular_files import read_bounded
from streams.transport.access import BrokerAccess

if TYPE_CHECKING:
    from downstream.dashboard.model_client import ModelClient
    from downstream.dashboard.progress import Look
    from streams.transport.client import Client

_ORIGIN = re.compile(r"https?://(\[[0-9a-f:]+\]|[A-Za-z0-9.-]+)(:[0-9]{1,5})?")
_SHORTEST_TOKEN, _LONGEST_TOKEN = 12, 1024


def expect_port(host: str, port: int) -> None:
    """Raise UserError, before any work is done, if the pages could not be served at a port."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((host, port))
        except OSError as error:
            reason = error.strerror or str(error)
            raise UserError(f"cannot listen on {host}:{port}: {reason}; try another port") from None


def token_in(path: Path) -> str:
    """Return the token in a file; raises SettingsError if it is too short to keep anybody out."""
    token = read_bounded(str(path), _LONGEST_TOKEN).decode(errors="replace").strip()
    if len(token) < _SHORTEST_TOKEN or not token.isprintable():
        raise SettingsError(
            f"the token in {path} must be a line of {_SHORTEST_TOKEN} characters or more"
        )
    return token


@dataclass(frozen=True, slots=True)
class Start:
    """What the page "Start here" needs. token: who knows it may make runs; None shows the command.

    settings_file: the dashboard's own. store: where new runs write their snapshots. serving:
    whether workers are started for them, on this machine.
    """

    token: str | None
    settings_file: Path | None
    store: str
    serving: bool = False


def origin(text: str) -> str:
    """Return an origin such as https://notes.example.org; raises SettingsError for another."""
    if not _ORIGIN.fullmatch(text):
        raise SettingsError(
            f"{text!r} is no origin: a scheme, a host and maybe a port, as https://example.org"
        )
    return text


def model_client(url: str, token_file: Path | None) -> "ModelClient | None":
    """Return what asks the model service at an address, None without one.

    Raises SettingsError for an address that is none.
    """
    from downstream.dashboard.model_client import ModelClient

    if not url:
        return None
    if not _ORIGIN.fullmatch(plain := url.rstrip("/")):
        raise SettingsError(f"model_service: {url!r} is no address such as http://127.0.0.1:8090/")
    return ModelClient(f"{plain}/", token_in(token_file) if token_file else None)


def serve_pages(
    address: str | None,
    broker: BrokerAccess,
    host: str,
    port: int,
    token: str | None = None,
    embed_origins: Sequence[str] = (),
    model: "ModelClient | None" = None,
    start: Start | None = None,
) -> None:
    """Serve one snapshot, all of a store, or all that a broker announces, until interrupted.

    token: who knows it may write labels; without one nobody may. embed_origins: sites whose pages
    may show features in a frame. model: asks a model service about texts that people try.
    start: how the page "Start here" makes runs on the broker.
    """
    from downstream.dashboard.app import serve
    from downstream.dashboard.store_source import is_store
    from downstream.reading.locating import locate
    from millrace.starting import RunStarter
    from streams.transport.connect import connect

    common: Any = {"edit_token": token, "embed_origins": embed_origins, "report": say}
    common["model"] = model
    if address is None and broker.is_embedded:
        raise SettingsError(
            "name the MANIFEST of a snapshot, a STORE, or a --broker other processes can reach"
        )
    if address is None:
        with closing(connect(broker)) as client:
            look = _progress_of(client)
            with ExitStack() as stack:
                if start is not None:
                    place = (start.settings_file, broker.address, start.store)
                    starter = RunStarter(client, *place, serving=start.serving)
                    stack.callback(starter.close)
                    common |= {"starter": starter, "start_token": start.token}
                serve(host, port, broker=broker, progress=look, **common)
    elif is_store(address):
        serve(host, port, store=address, **common)
    else:
        locate(address)
        serve(host, port, snapshot=address, **common)


def _progress_of(client: "Client") -> "Look":
    """Return what tells of the runs on a broker that have no final snapshot."""
    from consumers.health.run_status import run_status
    from downstream.dashboard.progress import RunProgress, Side
    from streams.catalog.corpora import list_corpora
    from streams.catalog.runs import list_runs

    letters = LetterCounts(client)

    def look() -> list[RunProgress]:
        found = [run_status(client, run) for run in list_runs(client)]
        if all(status.finished for status in found):
            return []
        sizes = {c.name: c.tokens / c.batches for c in list_corpora(client) if c.batches}
        refused = letters.now()
        return [
            RunProgress(
                run=status.name,
                model=status.model,
                corpus=status.corpus,
                sides=tuple(
                    Side(
                        side.side,
                        side.records,
                        side.acknowledged,
                        side.lag,
                        watermark=side.watermark,
                        workers=side.workers,
                    )
                    for side in status.sides
                ),
                failed=status.failed,
                tokens_per_batch=sizes.get(status.corpus),
                dead_letters=refused.get(status.name, 0),
            )
            for status in found
            if not status.finished
        ]

    return look


class LetterCounts:
    """How many records of each run were refused; each look reads what is new of the dead letters.

    A record that several workers refused counts once.
    """

    def __init__(self, client: "Client") -> None:
        self._client = client
        self._next = 0
        self._seen: dict[str, set[tuple[str, int, int]]] = {}

    def now(self) -> dict[str, int]:
        """Return the counts by run."""
        topic = topics.DEAD_LETTERS.name
        if topic in self._client.topics():
            for record in self._client.read(topic, 0, self._next):
                refusal, self._next = dead_letter(record).refusal, record.offset + 1
                origin = refusal.origin
                place = origin.topic, origin.partition, origin.offset
                self._seen.setdefault(refusal.run, set()).add(place)
        return {run: len(places) for run, places in self._seen.items()}
