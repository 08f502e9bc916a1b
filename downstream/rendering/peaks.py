"""The tokens at which a cluster's best examples peak: what it is called without a label."""

from dataclasses import dataclass

from downstream.reading.token_text import readable
from downstream.rendering.data import LoadedSnapshot


@dataclass(frozen=True, slots=True)
class Peak:
    """A token, as shown, and how many examples peak there."""

    text: str
    count: int


def peaks_of(snapshot: LoadedSnapshot, cluster: int) -> tuple[Peak, ...]:
    """Return the tokens at which most of a cluster's best examples peak."""
    texts: dict[int, str] = snapshot.once("texts of tokens", dict)
    found = []
    for token, count in snapshot.examples.peak_tokens(cluster):
        if (text := texts.get(token)) is None:
            (pieces,) = readable([snapshot.row_bytes([token, token, token])[1]])
            text = texts[token] = "".join(piece.text for piece in pieces)
        found.append(Peak(text, count))
    return tuple(found)


def peak_text(snapshot: LoadedSnapshot, cluster: int) -> str:
    """Return these tokens as one line, "" for a cluster without examples."""
    return " · ".join(peak.text.strip() or peak.text for peak in peaks_of(snapshot, cluster))
