"""Writing labels, stars and notes from pages and programs: off unless the server has a token.

Who sends the token, in a form or as ``Authorization: Bearer``, may write. A browser then keeps a
cookie that other sites cannot use.
"""

import asyncio
from datetime import UTC, datetime
from urllib.parse import urlsplit

from aiohttp import web

from downstream.dashboard.labels import json_lines
from downstream.dashboard.token_access import TokenAccess
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering import addresses
from streams.errors import SnapshotError
from streams.snapshots.annotations import Annotation, write_annotation
from streams.snapshots.store import open_store

_MOST_BYTES = 2**17
_KINDS = ("label", "star", "note")


class Editing:
    """Takes what people write. token: who knows it may write; without one nobody may."""

    def __init__(self, watch: SnapshotWatch, token: str | None) -> None:
        self._watch = watch
        self._access = TokenAccess(token, "edit")

    @property
    def possible(self) -> bool:
        """Whether anybody may write."""
        return self._access.possible

    def knows(self, request: web.Request, given: str = "") -> bool:
        """Return whether a request comes from who knows the token."""
        return self._access.knows(request, given)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Write one annotation and send the browser back to the cluster."""
        if not self.possible:
            raise web.HTTPForbidden(reason="this server takes no labels: it has no edit token")
        if not same_origin(request):
            raise web.HTTPForbidden(reason="this came from another site")
        if (request.content_length or 0) > _MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, request.content_length or 0)
        form = await request.post()
        said = {name: value for name, value in form.items() if isinstance(value, str)}
        if not self.knows(request, said.get("token", "")):
            raise web.HTTPForbidden(reason="this is not the edit token of this server")
        run = request.match_info["run"]
        await asyncio.to_thread(self._write, run, said)
        back = addresses.cluster_address(
            run, said["clustering"], int(said.get("iteration", "0")), said["label"]
        )
        response = web.Response(status=303, headers={"Location": back, "Cache-Control": "no-store"})
        self._access.remember(response)
        return response

    async def log(self, request: web.Request) -> web.StreamResponse:
        """Give all that people wrote about a run as lines of JSON."""
        run, shelf = request.match_info["run"], self._watch.shelf
        if run not in shelf.snapshots:
            raise web.HTTPNotFound
        body = await asyncio.to_thread(lambda: b"".join(json_lines(shelf.written(run))))
        name = f'attachment; filename="{run}-annotations.jsonl"'
        headers = {"Content-Disposition": name, "Cache-Control": "no-cache"}
        return web.Response(body=body, content_type="application/jsonl", headers=headers)

    def _write(self, run: str, said: dict[str, str]) -> None:
        snapshot = self._watch.shelf.snapshots.get(run)
        iteration = said.get("iteration", "0")
        if snapshot is None or not (iteration.isascii() and iteration.isdecimal()):
            raise web.HTTPNotFound
        clustering = snapshot.clustering(said.get("clustering", ""), int(iteration[:9]))
        if clustering is None or snapshot.find(clustering, said.get("label", "")) is None:
            raise web.HTTPNotFound
        if said.get("kind") not in _KINDS or not said.get("author", "").strip():
            raise web.HTTPBadRequest(reason="an annotation needs a kind and an author")
        annotation = Annotation(
            run=run,
            clustering=clustering.name,
            iteration=clustering.iteration,
            label=said["label"],
            kind=said["kind"],  # type: ignore[arg-type] # one of _KINDS
            text=said.get("text", "").replace("\r\n", "\n").strip(),
            author=said["author"].strip(),
            at=datetime.now(UTC).isoformat(),
        )
        try:
            write_annotation(open_store(snapshot.manifest.store), annotation)
        except SnapshotError as error:
            raise web.HTTPBadRequest(reason="this cannot be written: see the log") from error
        self._watch.read_labels(run)


def same_origin(request: web.Request) -> bool:
    """Return whether a form was sent by a page of this server, as far as the browser says."""
    origin = request.headers.get("Origin")
    return origin is None or urlsplit(origin).netloc == request.host
