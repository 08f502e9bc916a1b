"""The web service: requests in, pages out; nothing is computed here."""

import asyncio
import json
import logging
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from functools import partial
from importlib.resources import files

from aiohttp import web
from jinja2 import Environment, PackageLoader, StrictUndefined

from downstream.dashboard import addresses, figures, formats, pages
from downstream.dashboard.pages import Moved, Page
from downstream.dashboard.watch import PathSource, Shelf, SnapshotWatch, TopicSource
from streams.errors import SettingsError, SnapshotError, UserError
from streams.transport.access import BrokerAccess
from streams.transport.connect import connect

_log = logging.getLogger(__name__)
_WATCH = web.AppKey("watch", SnapshotWatch)
_TEMPLATES = web.AppKey("templates", Environment)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def make_app(watch: SnapshotWatch) -> web.Application:
    """Return the service over what ``watch`` finds; it starts and stops the watching."""
    app = web.Application(middlewares=[_friendly])
    app[_WATCH] = watch
    app[_TEMPLATES] = _templates()
    app.on_response_prepare.append(_harden)
    app.cleanup_ctx.append(_watching)
    app.router.add_get("/", _home)
    app.router.add_get("/runs/{path:.*}", _run_path)
    app.router.add_get("/components/{run}/{source}", _components)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/state", _state)
    app.router.add_static("/static", str(files("downstream.dashboard") / "static"))
    return app


def serve(
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    broker: BrokerAccess | str | None = None,
    snapshot: str | None = None,
    interval: float = 3.0,
    report: Callable[[str], None] = print,
) -> None:
    """Show the snapshots of a broker, or one snapshot on disk, until interrupted.

    Raises UserError if the port is taken, the broker is away or the snapshot cannot be read.
    """
    if (broker is None) == (snapshot is None):
        raise SettingsError("the dashboard needs either a broker or the path of a snapshot")
    client = connect(broker) if broker else None
    try:
        watch = SnapshotWatch(
            TopicSource(client) if client else PathSource(snapshot or ""), interval
        )
        if snapshot:
            watch.look()
            if not watch.shelf.snapshots:
                raise SnapshotError("; ".join(watch.shelf.problems.values()))
        asyncio.run(_run(make_app(watch), host, port, report))
    finally:
        if client:
            client.close()


async def _run(app: web.Application, host: str, port: int, report: Callable[[str], None]) -> None:
    stopped = asyncio.Event()
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port)
        try:
            await site.start()
        except OSError as error:
            reason = error.strerror or str(error)
            message = f"cannot listen on {host}:{port}: {reason}; try another port"
            raise UserError(message) from error
        for number in (signal.SIGINT, signal.SIGTERM):
            asyncio.get_running_loop().add_signal_handler(number, stopped.set)
        report(f"Dashboard: http://{_shown(host)}:{runner.addresses[0][1]}/  (Ctrl-C ends it)")
        await stopped.wait()
    finally:
        await runner.cleanup()


def _shown(host: str) -> str:
    return f"[{host}]" if ":" in host else host


async def _watching(app: web.Application) -> AsyncIterator[None]:
    app[_WATCH].start()
    yield
    await asyncio.to_thread(app[_WATCH].stop)


async def _home(request: web.Request) -> web.StreamResponse:
    return await _answer(request, partial(pages.home, _shelf(request), request.query))


async def _run_path(request: web.Request) -> web.StreamResponse:
    path = request.rel_url.raw_path
    return await _answer(request, partial(pages.run_path, _shelf(request), path, request.query))


async def _components(request: web.Request) -> web.StreamResponse:
    run, source = request.match_info["run"], request.match_info["source"]
    make = partial(pages.components, _shelf(request), run, source, request.query)
    return await _answer(request, make)


async def _health(request: web.Request) -> web.StreamResponse:
    shelf = _shelf(request)
    body = {"status": "ok", "runs": len(shelf.snapshots), "problems": dict(shelf.problems)}
    return web.json_response(body)


async def _state(request: web.Request) -> web.StreamResponse:
    """Say which snapshot of each run is open, so that a page can tell that it is old."""
    opened = _shelf(request).snapshots.items()
    return web.json_response({run: snapshot.manifest.snapshot for run, snapshot in opened})


def _shelf(request: web.Request) -> Shelf:
    return request.app[_WATCH].shelf


async def _answer(request: web.Request, make: Callable[[], Page | Moved]) -> web.StreamResponse:
    """Make a page beside the event loop and send it, as HTML or as JSON."""
    return await asyncio.to_thread(lambda: _response(request, make()))


def _response(request: web.Request, page: Page | Moved) -> web.StreamResponse:
    if isinstance(page, Moved):
        return web.Response(status=308, headers={"Location": page.address})
    if request.query.get("format") == "json":
        body = json.dumps(page.data, ensure_ascii=False, allow_nan=False)
        return web.Response(text=body, status=page.status, content_type="application/json")
    template = request.app[_TEMPLATES].get_template(page.template)
    html = template.render(
        title=page.title, shelf=_shelf(request), query=request.query, **page.values
    )
    return web.Response(text=html, status=page.status, content_type="text/html")


@web.middleware
async def _friendly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what goes wrong into a page that says so."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        page = pages.not_found("There is no such page.")
        return _response(request, page if error.status == 404 else _refusal(error))
    except SnapshotError as error:
        _log.error("snapshot cannot be read: %s", error)
        return _response(request, pages.failure(f"The snapshot cannot be read: {error}"))
    except Exception:
        _log.exception("request failed: %s", request.rel_url.raw_path)
        return _response(request, pages.failure("The cause is in the service's log."))


def _refusal(error: web.HTTPException) -> Page:
    values = {"message": error.reason, "heading": "This cannot be asked"}
    return Page("problem.html", "Refused", values, {"error": error.reason}, status=error.status)


async def _harden(_: web.Request, response: web.StreamResponse) -> None:
    response.headers.update(HEADERS)


def _templates() -> Environment:
    environment = Environment(
        loader=PackageLoader("downstream.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for module in (formats, figures, addresses):
        environment.globals[module.__name__.rpartition(".")[2]] = module
    return environment
