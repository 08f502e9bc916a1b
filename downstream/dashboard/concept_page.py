"""The page that finds a concept's features: those that tell texts with it from texts without."""

from dataclasses import asdict
from typing import Any

from downstream.dashboard import pages
from downstream.dashboard.model_page import ModelPage, answer_of, feature_links
from downstream.rendering.data import LoadedSnapshot
from streams.asking.concept import ConceptAnswer

SCORES = {
    "maximum": "largest activation in it",
    "mean": "mean activation over it",
    "last": "activation at its last token",
}
HELD_BACK = {"half": 0.5, "none": 0.0}
_MOST_CHARACTERS = 4000
_TOP = 20


class ConceptPage(ModelPage):
    """Answers ``/concept/RUN``."""

    async def _page(self, snapshot: LoadedSnapshot, run: str, asked: Any) -> pages.Page:
        present, absent = asked.get("present", ""), asked.get("absent", "")
        by, check = asked.get("by", "maximum"), asked.get("check", "half")
        if by not in SCORES or check not in HELD_BACK:
            return pages.refusal(
                "A text\u2019s number and what checks are one of those listed.", 400
            )
        if max(len(present), len(absent)) > _MOST_CHARACTERS:
            return pages.refusal(f"A side has up to {_MOST_CHARACTERS:,} characters here.", 400)
        found: ConceptAnswer | None = None
        problem = ""
        sides = _lines(present), _lines(absent)
        if self._client and any(sides):
            asking = self._client.concept(*sides, by, HELD_BACK[check], _TOP)
            found, problem = await answer_of(asking, snapshot)
        features = found.features if found else ()
        values = {
            "snapshot": snapshot,
            "run": run,
            "present": present,
            "absent": absent,
            "by": by,
            "scores": SCORES,
            "check": check,
            "most": _MOST_CHARACTERS,
            "problem": problem,
            "served": self._client is not None,
            "found": found,
            "links": feature_links(snapshot, run, ((one.source, one.index) for one in features)),
        }
        data: dict[str, Any] = {"run": run, "present": sides[0], "absent": sides[1], "by": by}
        data |= {"problem": problem, "answer": asdict(found) if found else None}
        return pages.Page("concept.html", f"Concept · {run}", values, lambda: data)


def _lines(written: str) -> list[str]:
    return [line for line in written.splitlines() if line.strip()]
