"""Vectors of the labels and strongest contexts of all clusters, by a sentence model handed in."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import Derived
from downstream.labelling.context_text import WINDOW, plain, window_at
from downstream.labelling.scores.text_vectors import Embed
from downstream.reading.embeddings import EMBEDDINGS, stored
from downstream.reading.made_labels import MadeLabels, read_made_labels
from downstream.reading.snapshot import Snapshot
from downstream.rendering.stored_text import StoredText, read_stored_text
from streams.arrays import I64
from streams.errors import SnapshotError
from streams.snapshots.table_reading import read_table

CONTEXTS = 5
_AT_ONCE = 512
_PLACE = ("partition", "sequence", "row")


@dataclass(frozen=True, slots=True)
class SentenceEmbedder:
    """A sentence model. name, content: of it, and its hash. embed: gives vectors [text, width]."""

    name: str
    content: str
    embed: Embed


def cluster_embeddings(
    snapshot: Snapshot,
    embedder: SentenceEmbedder,
    *,
    contexts: int = CONTEXTS,
    advance: Callable[[int], None] = lambda clusters: None,
) -> Derived:
    """Return a row for every cluster that has a label or was active, some hundred at a time.

    contexts: how many of the run's first ranking are read as one text. advance: is given how many
    clusters were done. Raises SnapshotError if the snapshot cannot be read or has nothing to embed.
    """
    labels = _Labels(snapshot)
    texts = _ContextTexts(snapshot, contexts)
    count, pieces = len(snapshot.clusters), list[pa.Table]()
    people = made = width = 0
    for start in range(0, count, _AT_ONCE):
        clusters = range(start, min(start + _AT_ONCE, count))
        written = {c: text for c in clusters if (text := labels.written.get(c))}
        said = {c: text for c in clusters if (text := written.get(c) or labels.made_of(c))}
        shown = {c: text for c in clusters if (text := texts.of(c))}
        people, made = people + len(written), made + len(said) - len(written)
        vectors = embedder.embed([*said.values(), *shown.values()])
        width = max(width, vectors.shape[1])
        cells = stored(vectors)
        by_label = dict(zip(said, cells[: len(said)], strict=True))
        by_context = dict(zip(shown, cells[len(said) :], strict=True))
        some = [c for c in clusters if c in said or c in shown]
        columns = {
            "cluster": some,
            "label": [said.get(c, "") for c in some],
            "label_vector": [by_label.get(c, b"") for c in some],
            "contexts_vector": [by_context.get(c, b"") for c in some],
        }
        pieces.append(EMBEDDINGS.table(columns))
        advance(len(clusters))
    table = pa.concat_tables([EMBEDDINGS.schema.empty_table(), *pieces])
    if not len(table):
        raise SnapshotError("no cluster has a label or was active: there is nothing to embed")
    provenance = {
        "model": embedder.name,
        "model_sha256": embedder.content,
        "width": width,
        "labels": {"people": people, "made": made},
        "contexts": {"ranking": snapshot.rankings[0], "most": contexts, "tokens": WINDOW},
    }
    return Derived({EMBEDDINGS: table}, provenance)


class _Labels:
    """Labels by the number of their cluster: what people wrote, and what programs made."""

    def __init__(self, snapshot: Snapshot) -> None:
        named = snapshot.clusters.arrow.select(["clustering", "iteration", "label"]).to_batches()
        self.written = _written(snapshot, named)
        self._made: MadeLabels = read_made_labels(snapshot.attachments, len(snapshot.clusters))

    def made_of(self, cluster: int) -> str:
        """Return the label that a program made, "" for none."""
        made = self._made.of(cluster)
        return made.text if made else ""


def _written(snapshot: Snapshot, named: Sequence[pa.RecordBatch]) -> Mapping[int, str]:
    """Return the labels that people wrote, on one line, by cluster."""
    wanted = {target: one.label for target, one in snapshot.annotations.now.items() if one.label}
    if not wanted:
        return {}
    rows = (row for batch in named for row in zip(*(c.to_pylist() for c in batch), strict=True))
    found = ((at, wanted.get(target)) for at, target in enumerate(rows))
    return {at: text for at, label in found if label and (text := plain(label).strip())}


def _text_of(snapshot: Snapshot) -> StoredText:
    try:
        return read_stored_text(snapshot.manifest)
    except ValueError as error:
        raise SnapshotError(f"snapshot {snapshot.name!r} makes no sense: {error}") from error


class _ContextTexts:
    """The strongest contexts of each cluster, each a window of tokens around its peak."""

    def __init__(self, snapshot: Snapshot, most: int) -> None:
        self._snapshot = snapshot
        self._text: StoredText = _text_of(snapshot)
        filters = [("ranking", "==", snapshot.rankings[0]), ("rank", "<", most)]
        columns = ("cluster", "rank", "peak", *_PLACE)
        hits = read_table(snapshot.manifest, "hits", columns=columns, filters=filters)
        hits = hits.sort_by([("cluster", "ascending"), ("rank", "ascending")])
        places = np.stack([hits[name].to_numpy() for name in _PLACE], axis=1)
        self._sample: I64 = self._text.places.find(places)
        if (self._sample < 0).any():
            raise SnapshotError(f"snapshot {snapshot.name!r} lacks the text of an example")
        self._peak = hits["peak"].to_numpy()
        numbers = np.arange(len(snapshot.clusters) + 1)
        self._first = np.searchsorted(hits["cluster"].to_numpy(), numbers)

    def of(self, cluster: int) -> str:
        """Return the contexts of a cluster as one text, best first, "" for none."""
        return " … ".join(filter(None, self._windows(cluster)))

    def _windows(self, cluster: int) -> Iterator[str]:
        for at in range(self._first[cluster], self._first[cluster + 1]):
            ids = self._text.row(int(self._sample[at]))
            window = window_at(len(ids), int(self._peak[at]))
            shown = self._snapshot.row_bytes(ids)[window.start : window.stop]
            yield plain(b"".join(shown).decode(errors="replace")).strip()
