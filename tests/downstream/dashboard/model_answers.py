"""What a model service says to the pages, as JSON's own types, and of what model it says it."""

from dataclasses import replace
from typing import Any

from streams.asking.effects import Ablated, Effect, Shift
from streams.snapshots.manifests import RunManifest

_EFFECT = Effect("sae", 2, 0.25, -0.5, 7, 6, (Shift(" <i>", 3, 0.5), Shift("off\n", 4, -0.5)))
ABLATED = Ablated("clamp", (_EFFECT, replace(_EFFECT, source="<b>", index=99, kl=0.125)))


def with_contents(manifest: RunManifest) -> RunManifest:
    """Return a snapshot whose manifest says what its model and dictionaries hold."""
    sources = [{**source, "content": f"{source['name']}-c"} for source in manifest.about["sources"]]
    return replace(manifest, about={**manifest.about, "model_content": "m", "sources": sources})


def body(manifest: RunManifest, answer: Any, **changes: Any) -> dict[str, Any]:
    """Return an answer beside the model that gives it. changes: of that."""
    sources = [{"name": s["name"], "content": s["content"]} for s in manifest.about["sources"]]
    model = {"content": manifest.about["model_content"], "sources": sources} | changes
    return {"answer": answer, "model": model}
