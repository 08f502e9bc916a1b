"""The page that tries a text: asked of a model service, shown by token and by feature."""

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from downstream.dashboard import pages
from downstream.dashboard.model_page import MOST_CHARACTERS, ModelPage, answer_of, feature_links
from downstream.reading.token_text import visible
from downstream.rendering.data import LoadedSnapshot
from streams.asking.answer import Answer, TextAnswer

_LEVELS = 16


@dataclass(frozen=True, slots=True)
class TriedToken:
    """A token as shown. level: of the feature that is looked at, or of the strongest; of 16."""

    text: str
    title: str
    level: int


class Trying(ModelPage):
    """Answers ``/try/RUN``."""

    async def _page(self, snapshot: LoadedSnapshot, run: str, asked: Any) -> pages.Page:
        text, feature = asked.get("text", ""), asked.get("feature", "").strip()
        if len(text) > MOST_CHARACTERS:
            return pages.refusal(f"A text may have {MOST_CHARACTERS:,} characters here.", 400)
        found: Answer | None = None
        problem = ""
        if self._client and text.strip():
            asking = self._client.ask(text, [feature] if feature else [])
            found, problem = await answer_of(asking, snapshot)
        return _try_page(snapshot, run, text, feature, found, problem, self._client is not None)


def _try_page(
    snapshot: LoadedSnapshot,
    run: str,
    text: str,
    feature: str,
    found: Answer | None,
    problem: str,
    served: bool,
) -> pages.Page:
    tried = found.texts[0] if found and found.texts else None
    listed = [(one.source, one.index) for one in tried.features] if tried else []
    values: dict[str, Any] = {
        "snapshot": snapshot,
        "run": run,
        "text": text,
        "feature": feature,
        "problem": problem,
        "served": served,
        "tried": tried,
        "tokens": list(_tokens(tried)) if tried else [],
        "links": feature_links(snapshot, run, listed),
    }
    data: dict[str, Any] = {"run": run, "text": text, "problem": problem}
    data["answer"] = asdict(tried) if tried else None
    return pages.Page("try.html", f"A text · {run}", values, lambda: data)


def _tokens(tried: TextAnswer) -> Iterator[TriedToken]:
    """Yield the tokens with what is active there, the activations as shares of the largest."""
    chosen = tried.values[0] if tried.values else None
    strongest = [max((one.activation for one in listed), default=0.0) for listed in tried.at_tokens]
    levels = [abs(value or 0.0) for value in chosen.values] if chosen else strongest
    most = max(levels, default=0.0) or 1.0
    for at, (shown, level) in enumerate(zip(tried.tokens, levels, strict=True)):
        listed = (f"{one.source}:{one.index} {one.activation:.3g}" for one in tried.at_tokens[at])
        said = ", ".join(listed)
        if chosen and level:
            said = f"{chosen.source}:{chosen.index} {chosen.values[at]:.3g}; {said}"
        title = said or "nothing is active" if tried.counted[at] else "does not count"
        yield TriedToken(visible(shown), title, math.ceil(_LEVELS * level / most))
