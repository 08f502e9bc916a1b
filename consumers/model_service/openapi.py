"""The service for questions as an OpenAPI document; schemas follow from the classes."""

from typing import Any

from pydantic import TypeAdapter

from consumers.interventions.requests import Ablation, Steering
from consumers.model_service.limits import AskLimits
from streams.asking.answer import Answer
from streams.asking.concept import ConceptAnswer, ConceptQuestion
from streams.asking.effects import Ablated, Steered
from streams.asking.embedding import Embedded, EmbeddingRequest
from streams.asking.question import Question

_REFUSED = {
    "400": "the question cannot be answered: the error says why",
    "401": "the service wants its token as Authorization: Bearer",
    "413": "the request is too large",
    "415": "the request is not application/json",
    "500": "the model failed",
    "501": "the model that this needs is not installed: the error says how it is had",
    "503": "too many questions wait: ask again after Retry-After seconds",
}


def document(limits: AskLimits) -> dict[str, Any]:
    """Return the document."""
    _, schemas = TypeAdapter.json_schemas(
        [
            ("question", "validation", TypeAdapter(Question)),
            ("answer", "serialization", TypeAdapter(Answer)),
            ("steering", "validation", TypeAdapter(Steering)),
            ("steered", "serialization", TypeAdapter(Steered)),
            ("ablation", "validation", TypeAdapter(Ablation)),
            ("ablated", "serialization", TypeAdapter(Ablated)),
            ("embedding request", "validation", TypeAdapter(EmbeddingRequest)),
            ("embedded", "serialization", TypeAdapter(Embedded)),
            ("concept", "validation", TypeAdapter(ConceptQuestion)),
            ("features", "serialization", TypeAdapter(ConceptAnswer)),
        ],
        ref_template="#/components/schemas/{model}",
    )
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Millrace model service",
            "version": "1",
            "description": f"Active features of up to {limits.texts} texts with "
            f"{limits.characters:,} characters and {limits.tokens:,} tokens.",
        },
        "paths": {
            "/ask": _post("Active features of texts", "Question", "Answer"),
            "/steer": _post(
                "Continuations with a feature's direction added, beside plain ones",
                "Steering",
                "Steered",
            ),
            "/ablate": _post(
                "What replacing the activation of features does to texts", "Ablation", "Ablated"
            ),
            "/embed": _post(
                "Vectors of texts by a sentence model, each of length 1",
                "EmbeddingRequest",
                "Embedded",
            ),
            "/concept": _post(
                "Features that tell texts with a concept from texts without it",
                "ConceptQuestion",
                "ConceptAnswer",
            ),
            "/healthz": {
                "get": {
                    "summary": "Whether questions are answered, how many wait, and by what model",
                    "responses": {
                        "200": {"description": "they are"},
                        "503": {"description": "they are not"},
                    },
                }
            },
        },
        "components": {"schemas": schemas["$defs"]},
    }


def _post(summary: str, takes: str, gives: str) -> dict[str, Any]:
    body = {
        "type": "object",
        "properties": {"answer": _ref(gives), "model": {}},
        "required": ["answer", "model"],
    }
    return {
        "post": {
            "summary": summary,
            "requestBody": {"required": True, "content": _content(_ref(takes))},
            "responses": {
                "200": {
                    "description": "the answer, and what model gave it",
                    "content": _content(body),
                },
                **{code: {"description": said} for code, said in _REFUSED.items()},
            },
        }
    }


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _content(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
