"""The page "Start here": makes a run for who knows a token, and shows others the command."""

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from aiohttp import web

from downstream.dashboard.editing import same_origin
from downstream.dashboard.pages import Page
from downstream.dashboard.starting import (
    MICRO_BATCHES,
    Job,
    Offered,
    Starter,
    StartError,
    commands,
    settings_text,
    wanted_of,
)
from downstream.dashboard.token_access import TokenAccess
from downstream.dashboard.watch import Shelf, SnapshotWatch
from streams.errors import StreamError

_MOST_BYTES = 2**16


class Starting:
    """Shows the form, and takes it. starter: None where there is no broker to make runs on."""

    def __init__(self, watch: SnapshotWatch, starter: Starter | None, token: str | None) -> None:
        self._watch = watch
        self._starter = starter
        self._access = TokenAccess(token if starter else None, "start")

    def page(self, request: web.Request, shelf: Shelf, problem: str = "") -> Page:
        """Return the form, with the settings and the commands of what it asks so far."""
        offered, problem = self._offered(shelf, problem)
        asked: Mapping[str, Any] = request.query
        values: dict[str, Any] = {
            "offered": offered,
            "asked": asked,
            "chosen": [value for name, value in asked.items() if name != "name"],
            "micro_batches": MICRO_BATCHES,
            "possible": self._access.possible,
            "known": self._access.knows(request),
            "jobs": self._jobs(),
            "broker": self._starter is not None,
            "settings": "",
            "commands": (),
        }
        if asked.get("name") is not None and not problem:
            try:
                wanted = wanted_of(asked, offered)
                values |= {"settings": settings_text(wanted), "commands": commands(wanted)}
            except StartError as error:
                problem = f"{error}."
        values["problem"] = problem

        def data() -> dict[str, Any]:
            return {
                "offered": asdict(offered),
                "jobs": [asdict(job) for job in self._jobs()],
                **{name: values[name] for name in ("settings", "commands", "problem")},
            }

        return Page("start.html", "Start here", values, data)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Make the run that a form asks for, and send the browser to where it is followed."""
        if self._starter is None or not self._access.possible:
            raise web.HTTPForbidden(reason="this server makes no runs: it has no start token")
        if not same_origin(request):
            raise web.HTTPForbidden(reason="this came from another site")
        if (request.content_length or 0) > _MOST_BYTES:
            raise web.HTTPRequestEntityTooLarge(_MOST_BYTES, request.content_length or 0)
        form = await request.post()
        if not self._access.knows(request, str(form.get("token", ""))):
            raise web.HTTPForbidden(reason="this is not the start token of this server")
        offered, problem = await asyncio.to_thread(self._offered, self._watch.shelf, "")
        try:
            if problem:
                raise StartError(problem)
            self._starter.start(wanted_of(form, offered))
        except StartError as error:
            raise web.HTTPBadRequest(reason=str(error)) from error
        response = web.Response(status=303, headers={"Location": "/start/"})
        self._access.remember(response)
        return response

    def _jobs(self) -> tuple[Job, ...]:
        return tuple(self._starter.jobs) if self._starter else ()

    def _offered(self, shelf: Shelf, problem: str) -> tuple[Offered, str]:
        """Return what broker and store hold, and what went wrong."""
        offered = Offered()
        try:
            offered = self._starter.offered() if self._starter else offered
        except StreamError:
            problem = problem or "The broker cannot be asked what it holds."
        manifests = (one for listed in shelf.listed.values() for one in listed)
        return offered.joined(manifests), problem
