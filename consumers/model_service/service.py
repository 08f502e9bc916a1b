"""A model behind HTTP: questions in, answers out, as JSON."""

import asyncio
import hmac
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict
from functools import cache, partial
from typing import Any, TypeVar

from aiohttp import web
from pydantic import TypeAdapter, ValidationError

from consumers.asking.asker import Asker
from consumers.interventions.requests import Ablation, Steering
from consumers.model_service.limits import AskLimits
from consumers.model_service.openapi import document
from consumers.model_service.queue import BusyError, QuestionQueue
from streams.asking.concept import ConceptAnswer, ConceptQuestion
from streams.asking.effects import Ablated, Steered
from streams.asking.embedding import Embedded, EmbeddingRequest
from streams.asking.question import Question
from streams.errors import MissingModelError, QuestionError, StreamError
from streams.strict_json import JsonError, parse_json

Keep = Callable[[Question | Steering | Ablation | ConceptQuestion], None]

_log = logging.getLogger(__name__)
_QUEUE = web.AppKey("queue", QuestionQueue)
_ABOUT = web.AppKey("about", dict[str, Any])
_KEEP: web.AppKey[Keep] = web.AppKey("keep")
_LIMITS = web.AppKey("limits", AskLimits)

T = TypeVar("T")
R = TypeVar("R", Steering, Ablation, ConceptQuestion)
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
_HEADERS = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


def make_service(
    asker: Asker,
    limits: AskLimits = AskLimits(),
    *,
    token: str | None = None,
    steer: Callable[[Steering], Steered] | None = None,
    ablate: Callable[[Ablation], Ablated] | None = None,
    embed: Callable[[EmbeddingRequest], Embedded] | None = None,
    concept: Callable[[ConceptQuestion], ConceptAnswer] | None = None,
    keep: Keep | None = None,
) -> web.Application:
    """Return the service of a loaded model.

    steer, ablate, concept, embed: answer ``/steer`` and so on, which are not there else.
    keep: is given what was answered, in a thread; texts that were embedded are not kept.
    token: who does not send it as ``Authorization: Bearer`` may ask for ``/healthz`` alone.
    """
    queue = QuestionQueue(partial(asker.ask_all, tokens=limits.tokens), limits)
    app = web.Application(middlewares=[_as_json, _allowing(token)], client_max_size=limits.body)
    app[_QUEUE], app[_LIMITS], app[_ABOUT] = queue, limits, _about(asker)
    app[_KEEP] = keep or (lambda wanted: None)
    app.cleanup_ctx.append(_answering)
    app.router.add_post("/ask", _ask)
    if steer is not None:
        app.router.add_post("/steer", _answering_alone(Steering, AskLimits.check_steering, steer))
    if ablate is not None:
        app.router.add_post("/ablate", _answering_alone(Ablation, AskLimits.check_ablation, ablate))
    if concept is not None:
        app.router.add_post(
            "/concept", _answering_alone(ConceptQuestion, AskLimits.check_concept, concept)
        )
    if embed is not None:
        app.router.add_post("/embed", _embedding(embed))
    app.router.add_get("/healthz", _health)
    app.router.add_get("/openapi.json", _openapi)
    return app


def _allowing(token: str | None) -> Any:
    """Return what lets those in who know the token; all of them without one."""

    @web.middleware
    async def allowed(request: web.Request, handler: Handler) -> web.StreamResponse:
        given = request.headers.get("Authorization", "").removeprefix("Bearer ")
        known = token is None or hmac.compare_digest(given.encode(), token.encode())
        if not known and request.path != "/healthz":
            raise web.HTTPUnauthorized(reason="send the token of this service as a bearer token")
        # A page of another site can make a browser of this machine send plain forms here.
        if request.method == "POST" and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(reason="send JSON, as application/json")
        return await handler(request)

    return allowed


async def _answering(app: web.Application) -> AsyncIterator[None]:
    app[_QUEUE].start()
    yield
    await app[_QUEUE].stop()


async def _ask(request: web.Request) -> web.StreamResponse:
    limits = request.app[_LIMITS]
    question = _read(_questions(), await request.read(), limits)
    limits.check(question)
    answer = await request.app[_QUEUE].ask(question)
    await asyncio.to_thread(request.app[_KEEP], question)
    return _json({"answer": asdict(answer), "model": request.app[_ABOUT]})


def _answering_alone(
    kind: type[R], check: Callable[[AskLimits, R], None], work: Callable[[R], Any]
) -> Handler:
    """Return what answers what is asked of a kind by itself, in the model's thread."""
    adapter = TypeAdapter(kind)

    async def answer(request: web.Request) -> web.StreamResponse:
        limits = request.app[_LIMITS]
        wanted = _read(adapter, await request.read(), limits)
        check(limits, wanted)
        found = await request.app[_QUEUE].alone(partial(work, wanted))
        await asyncio.to_thread(request.app[_KEEP], wanted)
        return _json({"answer": asdict(found), "model": request.app[_ABOUT]})

    return answer


def _embedding(work: Callable[[EmbeddingRequest], Embedded]) -> Handler:
    """Return what answers with the vectors of texts, in the model's thread."""
    adapter = TypeAdapter(EmbeddingRequest)

    async def answer(request: web.Request) -> web.StreamResponse:
        limits = request.app[_LIMITS]
        wanted = _read(adapter, await request.read(), limits)
        limits.check(wanted)
        found = await request.app[_QUEUE].alone(partial(work, wanted))
        return _json({"answer": asdict(found), "model": request.app[_ABOUT]})

    return answer


async def _health(request: web.Request) -> web.StreamResponse:
    """Say whether questions are answered, and how many wait."""
    queue = request.app[_QUEUE]
    status = "ok" if queue.alive else "stopped"
    body = {"status": status, "waiting": queue.waiting, "model": request.app[_ABOUT]}
    return _json(body, 200 if queue.alive else 503)


async def _openapi(request: web.Request) -> web.StreamResponse:
    return _json(document(request.app[_LIMITS]))


@web.middleware
async def _as_json(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Turn what goes wrong into JSON that says so."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        return _json({"error": error.reason}, error.status)
    except QuestionError as error:
        return _json({"error": str(error)}, 400)
    except BusyError as error:
        return _json({"error": str(error)}, 503, {"Retry-After": "1"})
    except MissingModelError as error:
        return _json({"error": str(error)}, 501)
    except StreamError as error:
        return _json({"error": str(error)}, 500)
    except Exception:
        _log.exception("question failed: %s", request.rel_url.raw_path)
        return _json({"error": "this did not work; the cause is in the service's log"}, 500)


def _read(adapter: TypeAdapter[T], body: bytes, limits: AskLimits) -> T:
    """Return what a request's body holds; raises QuestionError."""
    try:
        return adapter.validate_python(parse_json(body, limits.body))
    except JsonError as error:
        raise QuestionError(f"the question {error}") from error
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise QuestionError(f"{where or 'question'}: {first['msg']}") from error


@cache
def _questions() -> TypeAdapter[Question]:
    return TypeAdapter(Question)


def _about(asker: Asker) -> dict[str, Any]:
    """Return what those who ask are told of the model: nothing of this machine's folders."""
    setup = asker.setup
    return {
        "name": setup.model.location.rstrip("/").rpartition("/")[2],
        "content": setup.model.content,
        "sources": [
            {"name": s.name, "content": s.content, "hook": s.hook, "features": s.components}
            for s in setup.sources
        ],
    }


def _json(
    body: dict[str, Any], status: int = 200, headers: dict[str, str] | None = None
) -> web.Response:
    return web.json_response(
        body,
        status=status,
        headers={**_HEADERS, **(headers or {})},
        dumps=partial(json.dumps, ensure_ascii=False, allow_nan=False),
    )
