"""What a model service says to the pages, as JSON's own types, and of what model it says it."""

from dataclasses import replace
from typing import Any

from streams.asking.answer import AnsweringSource
from streams.asking.concept import ConceptAnswer, ConceptFeature, Separation
from streams.asking.effects import Ablated, Effect, Shift
from streams.snapshots.manifests import RunManifest

_EFFECT = Effect("sae", 2, 0.25, -0.5, 7, 6, (Shift(" <i>", 3, 0.5), Shift("off\n", 4, -0.5)))
ABLATED = Ablated("clamp", (_EFFECT, replace(_EFFECT, source="<b>", index=99, kl=0.125)))

_CHOSEN = Separation(0.875, 0.6, 0.98, 1.5, 0.25, 2.75, 0.001, 0.0125)
_CHECKED = Separation(0.75, 0.4, 0.9, 1.25, -0.5, 3.0, 0.02, 0.04)
CONCEPT = ConceptAnswer(
    (AnsweringSource("sae", "dictionary", "hook", 5),),
    "maximum",
    0.05,
    (2, 2),
    (3, 2),
    5,
    1,
    (
        ConceptFeature("sae", 2, 1.0, 0.5, _CHOSEN, _CHECKED, True),
        ConceptFeature("<b>", 99, 1.0, 0.5, _CHECKED, _CHECKED, False),
    ),
)


def with_contents(manifest: RunManifest) -> RunManifest:
    """Return a snapshot whose manifest says what its model and dictionaries hold."""
    sources = [{**source, "content": f"{source['name']}-c"} for source in manifest.about["sources"]]
    return replace(manifest, about={**manifest.about, "model_content": "m", "sources": sources})


def body(manifest: RunManifest, answer: Any, **changes: Any) -> dict[str, Any]:
    """Return an answer beside the model that gives it. changes: of that."""
    sources = [{"name": s["name"], "content": s["content"]} for s in manifest.about["sources"]]
    model = {"content": manifest.about["model_content"], "sources": sources} | changes
    return {"answer": answer, "model": model}
