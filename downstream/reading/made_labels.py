"""Labels of clusters that programs made, from attachments of the kind ``labels``.

They stand beside what people write (``streams.snapshots.annotations``), never in its place: a
reader shows them where nobody wrote a label.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from streams.arrays import I32
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import Column, TableForm

_log = logging.getLogger(__name__)

KIND = "labels"
LOCAL = "local"
"""Name of the attachment whose labels no language model made: others come before it."""

LABELS = TableForm(
    "labels",
    "What a program calls a cluster.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("label", pa.string(), "its label, one line"),
        Column("author", pa.string(), "what made it, and how"),
    ),
)


@dataclass(frozen=True, slots=True)
class MadeLabel:
    """A label and what made it."""

    text: str
    author: str


@dataclass(frozen=True, eq=False)
class MadeLabels:
    """The label of each cluster that has one.

    texts [label]: in the order of their clusters. author [label]: which of ``authors`` made it.
    at [cluster]: which label it has, -1 for none; of a cluster beyond its end there is none.
    """

    texts: pa.StringArray
    author: I32
    authors: tuple[str, ...]
    at: I32

    def of(self, cluster: int) -> MadeLabel | None:
        """Return the label of a cluster, None if it has none."""
        place = int(self.at[cluster]) if 0 <= cluster < len(self.at) else -1
        if place < 0:
            return None
        return MadeLabel(str(self.texts[place].as_py()), self.authors[self.author[place]])


def read_made_labels(attachments: Iterable[AttachmentManifest], clusters: int) -> MadeLabels:
    """Return the labels of a snapshot's clusters from what is attached to it.

    Where several attachments label a cluster the newest holds, that of no language model last. One
    that cannot be read is logged and passed over.
    """
    at, texts, authors = np.full(clusters, -1, np.int32), list[str](), list[str]()
    ours = [one for one in attachments if one.kind == KIND]
    for one in sorted(ours, key=lambda each: (each.name != LOCAL, each.created, each.name)):
        try:
            rows = labels_table(one)
        except SnapshotError as error:
            _log.error("labels cannot be read: %s/%s %s", one.kind, one.name, error)
            continue
        for cluster, text, author in zip(
            *(rows[name].to_pylist() for name in LABELS.schema.names), strict=True
        ):
            if 0 <= cluster < clusters and text:
                at[cluster] = len(texts)
                texts.append(text)
                authors.append(author)
    kept = np.flatnonzero(at >= 0)
    places = at[kept]
    at[kept] = np.arange(len(kept), dtype=np.int32)
    names = tuple(dict.fromkeys(authors))
    number = {name: place for place, name in enumerate(names)}
    return MadeLabels(
        pa.array([texts[place] for place in places], pa.string()),
        np.array([number[authors[place]] for place in places], np.int32),
        names,
        at,
    )


def labels_table(attached: AttachmentManifest) -> pa.Table:
    """Return the table of an attachment of labels; raises SnapshotError if it has none."""
    entry = find_entry(attached.tables, LABELS.name)
    if entry is None or not entry.schema.equals(LABELS.schema):
        raise SnapshotError(f"it has no table {LABELS.name!r} of the form that this program knows")
    return read_table(attached, LABELS.name)
