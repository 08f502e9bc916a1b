"""The page that steers: a prompt continued with a feature's direction added, and without."""

from dataclasses import asdict
from typing import Any

from downstream.dashboard import pages
from downstream.dashboard.model_page import MOST_CHARACTERS, ModelPage, answer_of
from downstream.rendering.data import LoadedSnapshot
from streams.asking.effects import Steered

_ALPHAS = "-2, 1, 2, 4"
_MOST_ALPHAS = 12
_TOKENS = 30


class SteeringPage(ModelPage):
    """Answers ``/steer/RUN``."""

    async def _page(self, snapshot: LoadedSnapshot, run: str, asked: Any) -> pages.Page:
        feature, prompt = asked.get("feature", "").strip(), asked.get("prompt", "")
        written = asked.get("alphas", _ALPHAS)
        scale = _maximum(snapshot, feature)
        if scale is None:
            return pages.refusal("Only a feature that is watched alone and active can steer.", 400)
        alphas = _numbers(written)
        if alphas is None or len(prompt) > MOST_CHARACTERS:
            return pages.refusal(
                f"Strengths are up to {_MOST_ALPHAS} numbers, such as {_ALPHAS}; a prompt has up "
                f"to {MOST_CHARACTERS:,} characters.",
                400,
            )
        found: Steered | None = None
        problem = ""
        if self._client and prompt.strip():
            asking = self._client.steer(prompt, feature, alphas, scale, _TOKENS)
            found, problem = await answer_of(asking, snapshot)
        values = {
            "snapshot": snapshot,
            "run": run,
            "feature": feature,
            "prompt": prompt,
            "alphas": written,
            "scale": scale,
            "problem": problem,
            "served": self._client is not None,
            "steered": found,
        }
        data: dict[str, Any] = {"run": run, "feature": feature, "prompt": prompt}
        data |= {"problem": problem, "answer": asdict(found) if found else None}
        return pages.Page("steer.html", f"Steering · {run}", values, lambda: data)


def _maximum(snapshot: LoadedSnapshot, label: str) -> float | None:
    """Return the maximum activation of a feature by its label; None for none that is active."""
    source, _, index = label.rpartition(":")
    clustering = snapshot.clustering(f"features/{source}", 0) if source else None
    number = snapshot.find(clustering, index) if clustering else None
    found = float(snapshot.high[number]) if number is not None else 0.0
    return found if found > 0 else None


def _numbers(written: str) -> list[float] | None:
    try:
        found = [float(part) for part in written.split(",") if part.strip()]
    except ValueError:
        return None
    sound = 0 < len(found) <= _MOST_ALPHAS and all(abs(one) <= 1000 for one in found)
    return found if sound else None
