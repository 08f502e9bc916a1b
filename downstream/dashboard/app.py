"""The web service: requests in, pages out; nothing is computed here."""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from functools import partial
from importlib.resources import files

from aiohttp import web

from downstream.dashboard import openapi, pages
from downstream.dashboard.ablating import AblationPage
from downstream.dashboard.answers import EMBEDDABLE, Answers, Maker
from downstream.dashboard.compare_page import compare_page
from downstream.dashboard.concept_page import ConceptPage
from downstream.dashboard.concepts import concept_of
from downstream.dashboard.dictionaries_page import dictionaries_page
from downstream.dashboard.editing import Editing
from downstream.dashboard.events import Events, state
from downstream.dashboard.hardening import security_headers
from downstream.dashboard.manifest_sources import PathSource, TopicSource
from downstream.dashboard.map_page import map_page
from downstream.dashboard.model_client import ModelClient
from downstream.dashboard.problems import said
from downstream.dashboard.progress import Look, ProgressWatch, RunProgress
from downstream.dashboard.start_page import Starting
from downstream.dashboard.starting import Starter
from downstream.dashboard.steering import SteeringPage
from downstream.dashboard.store_source import StoreSource
from downstream.dashboard.trying import Trying
from downstream.dashboard.watch import SnapshotWatch
from downstream.rendering import addresses
from streams.errors import SettingsError, SnapshotError
from streams.http_serving import serve_app
from streams.transport.access import BrokerAccess
from streams.transport.connect import connect

_DASHBOARD = "Dashboard: {url}  (Ctrl-C ends it)"
_log = logging.getLogger(__name__)
_WATCH = web.AppKey("watch", SnapshotWatch)
_ANSWERS = web.AppKey("answers", Answers)
_EVENTS = web.AppKey("events", Events)
_STARTING = web.AppKey("starting", Starting)
_ORIGINS = web.AppKey("origins", tuple[str, ...])
_MODEL: web.AppKey[ModelClient | None] = web.AppKey("model")
_FOLLOWED = web.AppKey("followed", tuple[SnapshotWatch | ProgressWatch, ...])

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def make_app(
    watch: SnapshotWatch,
    progress: ProgressWatch | None = None,
    *,
    edit_token: str | None = None,
    embed_origins: Sequence[str] = (),
    model: ModelClient | None = None,
    starter: Starter | None = None,
    start_token: str | None = None,
) -> web.Application:
    """Return the service over what ``watch`` finds; it starts and stops the watching.

    edit_token: who knows it may write labels, stars and notes; without one nobody may.
    embed_origins: sites whose pages may show features in a frame, by ``?embed=1``.
    model: asks a model service about texts that people try, and for the vectors of concepts that
    they search for; None where there is none.
    starter: makes runs, for who knows the start token.
    """
    slashes = web.normalize_path_middleware(
        append_slash=False, remove_slash=True, redirect_class=web.HTTPPermanentRedirect
    )
    app = web.Application(middlewares=[_friendly, slashes])
    app[_WATCH] = watch
    runs: Callable[[], tuple[RunProgress, ...]] = (lambda: progress.runs) if progress else tuple
    editing = Editing(watch, edit_token)
    app[_ANSWERS] = Answers(runs, editing)
    app[_EVENTS] = Events(lambda: state(watch.shelf, runs()))
    app[_STARTING] = starting = Starting(watch, starter, start_token)
    app[_ORIGINS], app[_MODEL] = tuple(embed_origins), model
    app[_FOLLOWED] = (watch, progress) if progress else (watch,)
    app.on_response_prepare.append(_harden)
    app.on_shutdown.append(_let_go)
    app.cleanup_ctx.append(_watching)
    app.router.add_get("/", _home)
    app.router.add_get(r"/runs/{path:[\s\S]*}", _run_path)
    app.router.add_get("/components/{run}/{source}", _components)
    app.router.add_get(r"/maps/{path:[\s\S]*}", _maps)
    app.router.add_get("/compare/", _compare)
    app.router.add_get("/dictionaries/{run}", _dictionaries)
    app.router.add_get("/try/{run}", Trying(watch, app[_ANSWERS], model).answer)
    app.router.add_get("/steer/{run}", SteeringPage(watch, app[_ANSWERS], model).answer)
    app.router.add_get("/ablate/{run}", AblationPage(watch, app[_ANSWERS], model).answer)
    app.router.add_get("/concept/{run}", ConceptPage(watch, app[_ANSWERS], model).answer)
    app.router.add_get("/start/", _start)
    app.router.add_post("/start/", starting.answer)
    for path in ("/runs", "/compare", "/start"):
        app.router.add_get(path, _with_slash)
    app.router.add_get("/healthz", _health)
    app.router.add_get("/state", _state)
    app.router.add_get("/openapi.json", _openapi)
    app.router.add_get("/events", app[_EVENTS].answer)
    app.router.add_get("/annotations/{run}", editing.log)
    app.router.add_post("/annotations/{run}", editing.answer)
    app.router.add_static("/static", str(files("downstream.rendering") / "static"))
    return app


def serve(
    host: str = "127.0.0.1",
    port: int = 8080,
    *,
    broker: BrokerAccess | str | None = None,
    snapshot: str | None = None,
    store: str | None = None,
    progress: Look | None = None,
    edit_token: str | None = None,
    embed_origins: Sequence[str] = (),
    model: ModelClient | None = None,
    starter: Starter | None = None,
    start_token: str | None = None,
    interval: float = 3.0,
    report: Callable[[str], None] = print,
) -> None:
    """Show the snapshots of a broker, those of a store, or one on disk, until interrupted.

    progress: tells how far runs are that are not finished. edit_token, embed_origins, model,
    starter, start_token: see ``make_app``.

    Raises UserError if the port is taken, the broker is away or the snapshot cannot be read.
    """
    if [broker, snapshot, store].count(None) != 2:
        raise SettingsError("the dashboard needs either a broker, a store or a snapshot's path")
    client = connect(broker) if broker else None
    try:
        source = TopicSource(client) if client else PathSource(snapshot or "")
        watch = SnapshotWatch(StoreSource(store) if store else source, interval)
        if snapshot:
            watch.look()
            if not watch.shelf.snapshots:
                raise SnapshotError("; ".join(watch.shelf.problems.values()))
        followed = ProgressWatch(progress) if progress else None
        app = make_app(
            watch,
            followed,
            edit_token=edit_token,
            embed_origins=embed_origins,
            model=model,
            starter=starter,
            start_token=start_token,
        )
        asyncio.run(serve_app(app, host, port, lambda url: report(_DASHBOARD.format(url=url))))
    finally:
        if client:
            client.close()


async def _watching(app: web.Application) -> AsyncIterator[None]:
    for each in app[_FOLLOWED]:
        each.start()
    yield
    for each in app[_FOLLOWED]:
        await asyncio.to_thread(each.stop)


async def _let_go(app: web.Application) -> None:
    app[_EVENTS].close()


async def _home(request: web.Request) -> web.StreamResponse:
    return await _searched(request, "", pages.home)


async def _run_path(request: web.Request) -> web.StreamResponse:
    path = request.rel_url.raw_path
    run = addresses.parse(path)[0]
    return await _searched(request, run, partial(pages.run_path, raw_path=path))


async def _searched(
    request: web.Request, run: str, make: Callable[..., pages.Page | pages.Moved]
) -> web.StreamResponse:
    """Answer with what a search finds; of a concept the model service is asked first."""
    concept = await concept_of(request.query, request.app[_MODEL])
    make = partial(make, asked=request.query, concept=concept)
    return await _answer(request, run, make, kept=concept is None)


async def _components(request: web.Request) -> web.StreamResponse:
    run, source = request.match_info["run"], request.match_info["source"]
    return await _answer(
        request, run, lambda shelf: pages.components(shelf, run, source, request.query)
    )


async def _maps(request: web.Request) -> web.StreamResponse:
    path = request.rel_url.raw_path
    run = addresses.parse(path, addresses.MAPS)[0]
    return await _answer(request, run, lambda shelf: map_page(shelf, path, request.query))


async def _dictionaries(request: web.Request) -> web.StreamResponse:
    run = request.match_info["run"]
    return await _answer(request, run, lambda shelf: dictionaries_page(shelf, run, request.query))


async def _start(request: web.Request) -> web.StreamResponse:
    starting = request.app[_STARTING]
    return await _answer(request, "@", lambda shelf: starting.page(request, shelf))


async def _compare(request: web.Request) -> web.StreamResponse:
    """Compare two clusterings; what cannot be read is said, and nothing takes its place."""
    return await _answer(request, "@", lambda shelf: compare_page(shelf, request.query))


async def _with_slash(request: web.Request) -> web.StreamResponse:
    """Send an address that lacks its last slash to the page."""
    address = request.rel_url.with_path(f"{request.rel_url.path}/", keep_query=True)
    raise web.HTTPPermanentRedirect(str(address))


async def _health(request: web.Request) -> web.StreamResponse:
    """Say whether pages can be served: 200 if some can, or if there is nothing to show yet."""
    shelf = request.app[_WATCH].shelf
    body = {
        "status": shelf.health,
        "runs": len(shelf.snapshots),
        "problems": dict(shelf.problems),
    }
    serving = shelf.health in ("ok", "degraded", "waiting")
    return web.json_response(body, status=200 if serving else 503)


async def _state(request: web.Request) -> web.StreamResponse:
    """Say which snapshot of each run is open, so that a page can tell that it is old."""
    opened = request.app[_WATCH].shelf.snapshots.items()
    return web.json_response({run: snapshot.manifest.snapshot for run, snapshot in opened})


async def _openapi(_: web.Request) -> web.StreamResponse:
    return web.json_response(openapi.document())


async def _answer(
    request: web.Request, run: str, make: Maker, *, kept: bool = True
) -> web.StreamResponse:
    """Answer with a page, made beside the event loop unless the browser has it already.

    kept: whether it follows from what its tag says, which what a model service says does not.
    """
    watch, answers = request.app[_WATCH], request.app[_ANSWERS]
    tag = answers.tag(request, watch.shelf, run) if kept else ""
    if tag and tag in request.headers.get("If-None-Match", ""):
        return answers.unchanged(tag)
    return await asyncio.to_thread(_made, request, run, make, tag)


def _made(request: web.Request, run: str, make: Maker, tag: str) -> web.StreamResponse:
    """Make a page; of a snapshot that cannot be read any more, that of the one in its place."""
    watch, answers = request.app[_WATCH], request.app[_ANSWERS]
    shelf = watch.shelf
    try:
        return answers.response(request, shelf, make(shelf), tag)
    except SnapshotError as error:
        _log.error("snapshot cannot be read: %s", error)
        if "@" in run:
            page = pages.failure(f"This snapshot cannot be read: {said(error)}.", status=503)
            return answers.response(request, shelf, page)
        named = shelf.snapshots.get(run) if run else next(iter(shelf.snapshots.values()), None)
        if named is None or watch.replaced(named, error) is None:
            return answers.response(request, watch.shelf, pages.unreadable(named, error))
    shelf = watch.shelf
    tag = answers.tag(request, shelf, run) if tag else ""
    return answers.response(request, shelf, make(shelf), tag)


@web.middleware
async def _friendly(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what goes wrong into a page that says so."""
    answers, shelf = request.app[_ANSWERS], request.app[_WATCH].shelf
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        page = pages.not_found("There is no such page.")
        if error.status != 404:
            page = pages.refusal(error.reason, error.status)
        return answers.response(request, shelf, page)
    except Exception:
        _log.exception("request failed: %s", request.rel_url.raw_path)
        page = pages.failure("The cause is in the service's log.")
        return answers.response(request, shelf, page)


async def _harden(request: web.Request, response: web.StreamResponse) -> None:
    origins = request.app[_ORIGINS] if response.get(EMBEDDABLE) else ()
    response.headers.update(security_headers(origins))
