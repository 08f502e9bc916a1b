"""The page that ablates: what replacing the activation of features does to a text."""

import math
from dataclasses import asdict
from typing import Any

from downstream.dashboard import pages
from downstream.dashboard.model_page import (
    MOST_CHARACTERS,
    ModelPage,
    answer_of,
    feature_links,
)
from downstream.rendering.data import LoadedSnapshot
from streams.asking.effects import Ablated

REPLACEMENTS = {
    "zero": "zero",
    "mean": "its mean over the text",
    "resample": "values drawn from the text",
    "clamp": "this activation",
}
_MOST_FEATURES = 64
_TOP = 20


class AblationPage(ModelPage):
    """Answers ``/ablate/RUN``."""

    async def _page(self, snapshot: LoadedSnapshot, run: str, asked: Any) -> pages.Page:
        text, written = asked.get("text", ""), asked.get("features", "").strip()
        by, value = asked.get("by", "zero"), asked.get("value", "0")
        features = written.replace(",", " ").split()
        number = _number(value)
        if by not in REPLACEMENTS or number is None:
            return pages.refusal("An activation is replaced by a number or by what is listed.", 400)
        if len(text) > MOST_CHARACTERS or len(features) > _MOST_FEATURES:
            return pages.refusal(
                f"A text has up to {MOST_CHARACTERS:,} characters, and up to {_MOST_FEATURES} "
                "features are ablated here.",
                400,
            )
        found: Ablated | None = None
        problem = ""
        if self._client and text.strip():
            asking = self._client.ablate(text, features, _TOP, by, number)
            found, problem = await answer_of(asking, snapshot)
        effects = found.effects if found else ()
        values = {
            "snapshot": snapshot,
            "run": run,
            "text": text,
            "features": written,
            "by": by,
            "value": value,
            "replacements": REPLACEMENTS,
            "top": _TOP,
            "problem": problem,
            "served": self._client is not None,
            "ablated": found,
            "largest": max((one.kl for one in effects), default=0.0),
            "links": feature_links(snapshot, run, ((one.source, one.index) for one in effects)),
        }
        data: dict[str, Any] = {"run": run, "text": text, "features": features, "by": by}
        data |= {"problem": problem, "answer": asdict(found) if found else None}
        return pages.Page("ablate.html", f"Ablation · {run}", values, lambda: data)


def _number(written: str) -> float | None:
    try:
        found = float(written)
    except ValueError:
        return None
    return found if math.isfinite(found) and abs(found) < 1e6 else None
