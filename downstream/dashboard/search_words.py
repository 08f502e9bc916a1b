"""What a search asks for: words, each of which may say where to look.

``token:import``, ``text:"for loop"``, ``label:12``; ``concept:`` takes all words up to the next
place. Words without a place are looked for in tokens, texts and labels.
"""

import re
from dataclasses import dataclass

_PLACED = re.compile(
    r'(token|text|label):("[^"]*"|\S*)|'
    r'(concept):\s*("[^"]*"|(?:(?!\s(?:token|text|label|concept):).)*)'
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a search asks for."""

    anywhere: str = ""
    token: str = ""
    text: str = ""
    label: str = ""
    concept: str = ""


def wanted_of(search: str) -> Wanted:
    """Return what a search asks for; of a place named twice the last holds."""
    placed: dict[str, str] = {}
    for place, value, concept, words in _PLACED.findall(search):
        placed[place or concept] = (
            (value or words).strip().strip('"').strip() if concept else (value.strip('"'))
        )
    rest = " ".join(_PLACED.sub(" ", search).split())
    return Wanted(anywhere=rest, **placed)
