"""From a page to an answer: HTML or JSON, compressed, with an ETag."""

import gzip
import hashlib
import json
from collections.abc import Callable
from importlib.resources import files
from typing import Any

from aiohttp import web
from jinja2 import PackageLoader

from downstream.dashboard.editing import Editing
from downstream.dashboard.pages import Moved, Page
from downstream.dashboard.progress import RunProgress
from downstream.dashboard.watch import Shelf
from downstream.rendering import addresses
from downstream.rendering.assets import served_assets
from downstream.rendering.attached import attachments_of
from downstream.rendering.environment import environment

Maker = Callable[[Shelf], Page | Moved]

_WORTH_PACKING = 1400
_EFFORT = 5
_JSON = "application/json"
EMBEDDABLE = web.ResponseKey("embeddable", bool)
"""What an answer says of itself: pages of named origins may show it in a frame."""


class Answers:
    """Makes answers; the templates are read once. runs: those that are not finished, now."""

    def __init__(
        self, runs: Callable[[], tuple[RunProgress, ...]] = tuple, editing: Editing | None = None
    ) -> None:
        self.runs = runs
        self.editing = editing
        self._templates = environment(
            addresses, served_assets(), served=True, more=[PackageLoader("downstream.dashboard")]
        )
        self._build = _build()

    def tag(self, request: web.Request, shelf: Shelf, run: str = "") -> str:
        """Return the ETag of what an address shows of a run, or of all, in the form asked for.

        It follows from the content of the snapshot and of what is attached to it, what is said of
        it, and this program.
        """
        name, _, pinned = run.partition("@")
        form = _JSON if wants_json(request) else request.query.get("format", "")
        parts = [self._build, form, str(shelf.looked)]
        for manifests in [shelf.listed[name]] if name in shelf.listed else shelf.listed.values():
            for each in manifests:
                parts += [each.run, each.snapshot, each.created, each.content]
        for snapshot in shelf.snapshots.values():
            parts += [snapshot.name, str(snapshot.text_index.ready)]
            parts += [f"{a.kind}/{a.name} {a.hash}" for a in attachments_of(snapshot).known]
        parts.append(repr(shelf.written(name).log[-1:]))
        parts.append(str(len(shelf.written(name).log)))
        parts.append(str(self.editing.knows(request)) if self.editing else "")
        parts += [text for problem in shelf.problems.items() for text in problem]
        made = hashlib.sha256(repr(parts).encode()).hexdigest()[:32]
        return "" if pinned else f'W/"{made}"'

    def unchanged(self, tag: str) -> web.Response:
        """Return the answer to who has the page already."""
        return web.Response(status=304, headers=_headers(tag))

    def response(
        self, request: web.Request, shelf: Shelf, page: Page | Moved, tag: str = ""
    ) -> web.Response:
        """Return a page as the request wants it. tag: its ETag, if it may be kept."""
        if isinstance(page, Moved):
            kept = {} if page.for_good else {"Cache-Control": "no-store"}
            status = 308 if page.for_good else 303
            return web.Response(status=status, headers={"Location": page.address, **kept})
        asked = request.query.get("format")
        if wants_json(request):
            kind, text = _JSON, json.dumps(page.data(), ensure_ascii=False, allow_nan=False)
        elif asked == "md" and page.markdown:
            kind, text = "text/markdown", page.markdown(str(request.url.origin()))
        elif asked == "snippet" and page.snippet:  # to be read and pasted, not shown
            kind, text = "text/plain", self._rendered(request, shelf, page, page.snippet)
        else:
            kind, text = "text/html", self._rendered(request, shelf, page, page.template)
        headers = _headers(tag if page.status == 200 else "")
        body = text.encode()
        if len(body) > _WORTH_PACKING and "gzip" in request.headers.get("Accept-Encoding", ""):
            body = gzip.compress(body, _EFFORT, mtime=0)
            headers["Content-Encoding"] = "gzip"
        answer = web.Response(
            body=body, status=page.status, content_type=kind, charset="utf-8", headers=headers
        )
        answer[EMBEDDABLE] = page.embeddable
        return answer

    def _rendered(self, request: web.Request, shelf: Shelf, page: Page, template: str) -> str:
        named: dict[str, Any] = {"title": page.title, "shelf": shelf, "query": request.query}
        named |= {"runs": self.runs(), "editing": self.editing and self.editing.possible}
        named["site"] = str(request.url.origin())
        named["editor"] = bool(self.editing and self.editing.knows(request))
        found: str = self._templates.get_template(template).render({**named, **page.values})
        return found


def wants_json(request: web.Request) -> bool:
    """Return whether JSON is asked for, by the address or by a program's Accept."""
    asked = request.query.get("format")
    accepted = request.headers.get("Accept", "")
    return asked == "json" or (asked is None and _JSON in accepted and "text/html" not in accepted)


def _headers(tag: str) -> dict[str, str]:
    found = {"Vary": "Accept, Accept-Encoding", "Cache-Control": "no-cache"}
    return {**found, "ETag": tag} if tag else found


def _build() -> str:
    """Return a hash of what makes pages: modules, templates and static files."""
    digest = hashlib.sha256()
    waiting = [files("downstream.dashboard"), files("downstream.rendering")]
    while waiting:
        for each in sorted(waiting.pop().iterdir(), key=lambda one: one.name):
            if each.is_dir() and each.name != "__pycache__":
                waiting.append(each)
            elif each.is_file():
                digest.update(each.read_bytes())
    return digest.hexdigest()
