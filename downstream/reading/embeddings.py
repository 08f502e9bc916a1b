"""Vectors of clusters by a sentence model, of their labels and contexts: attached, and compared.

Of 65,536 clusters at 384 numbers they take 100 MB. They lie in a temporary file, of which blocks
are read to be compared: only the system's cache of files, which it can give up, holds all of them.
"""

import os
import tempfile
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any
from weakref import finalize

import numpy as np
import pyarrow as pa

from streams.arrays import F32, AnyArray
from streams.asking.embedding import MAX_WIDTH
from streams.errors import SnapshotError
from streams.snapshots.attachments import AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_pieces
from streams.snapshots.tables import Column, TableForm

KIND = "embeddings"
VECTORS = ("label_vector", "contexts_vector")
_STORED = np.dtype("<f2")
_ROWS = 4096
_LONGEST = 1.01
"""Length of a vector that float16 may make of one of length 1."""

EMBEDDINGS = TableForm(
    "embeddings",
    "Vectors of a cluster's label and contexts by a sentence model, each of length 1.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("label", pa.string(), "label that was embedded: people's, else a made one; empty "
               "for none"),
        Column("label_vector", pa.binary(), "its vector, float16 in little-endian order; nothing "
               "where there is no label", "1", "with error", "rounded to float16"),
        Column("contexts_vector", pa.binary(), "likewise of its strongest contexts, as one text; "
               "nothing where it was never active", "1", "with error", "rounded to float16"),
    ),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Embeddings:
    """Vectors of all clusters. model, content: name and hash of what made them.

    file: holds float16 [2, cluster, width], of labels and of contexts; zeros where there is none.
    """

    model: str
    content: str
    clusters: int
    width: int
    file: Any

    def similarities(self, query: F32, clusters: slice) -> F32:
        """Return the larger of the two cosines with a vector [width], for each of the clusters.

        NaN for a cluster that has neither vector. Blocks of rows are compared in float32.
        """
        found = np.full((2, clusters.stop - clusters.start), np.nan, np.float32)
        for kind in range(2):
            for start in range(clusters.start, clusters.stop, _ROWS):
                stop = min(start + _ROWS, clusters.stop)
                block = self._block(kind, start, stop)
                cosines = np.where(block.any(axis=1), block @ query, np.nan)
                found[kind, start - clusters.start : stop - clusters.start] = cosines
        larger: F32 = np.fmax(found[0], found[1])
        return larger

    def _block(self, kind: int, start: int, stop: int) -> F32:
        """Return the vectors of a kind of some clusters; requests may read at the same time."""
        row = self.width * _STORED.itemsize
        place = (kind * self.clusters + start) * row
        data = os.pread(self.file.fileno(), (stop - start) * row, place)
        return np.frombuffer(data, _STORED).reshape(-1, self.width).astype(np.float32)


def stored(vectors: F32) -> list[bytes]:
    """Return vectors [text, width] as cells of the table."""
    return [row.tobytes() for row in vectors.astype(_STORED)]


def read_embeddings(attached: AttachmentManifest, clusters: int) -> Embeddings:
    """Return the vectors of an attachment; raises SnapshotError for one that makes no sense."""
    entry = find_entry(attached.tables, EMBEDDINGS.name)
    if entry is None or not entry.schema.equals(EMBEDDINGS.schema):
        raise SnapshotError(f"it has no table {EMBEDDINGS.name!r} of the form this program knows")
    said = {name: attached.provenance.get(name) for name in ("model", "model_sha256", "width")}
    model, content, width = said.values()
    if not (isinstance(model, str) and isinstance(content, str)):
        raise SnapshotError("it does not say what sentence model it is from")
    if type(width) is not int or not 0 < width <= MAX_WIDTH:
        raise SnapshotError(f"its vectors have {str(width)[:40]} numbers")
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.TemporaryFile())
        _copy(attached, file, clusters, width)
        made = Embeddings(model, content, clusters, width, file)
        finalize(made, stack.pop_all().close)
    pa.default_memory_pool().release_unused()
    return made


def _copy(attached: AttachmentManifest, file: Any, clusters: int, width: int) -> None:
    """Write the vectors of an attachment into a file, each in its place."""
    shape = len(VECTORS), clusters, width
    file.truncate(int(np.prod(shape)) * _STORED.itemsize or 1)
    vectors = np.memmap(file, _STORED, "r+", shape=shape)
    for part in read_pieces(attached, EMBEDDINGS.name, columns=["cluster", *VECTORS], size=_ROWS):
        for piece in part:
            cluster = piece["cluster"].to_numpy()
            if len(cluster) and not 0 <= cluster.min() <= cluster.max() < clusters:
                raise SnapshotError("it has vectors of clusters that there are not")
            for kind, name in enumerate(VECTORS):
                _fill(vectors[kind], cluster, piece[name], width)


def _fill(vectors: AnyArray, cluster: AnyArray, cells: pa.BinaryArray, width: int) -> None:
    """Put the vectors of some cells, those that are not empty, into their places."""
    lengths = np.diff(np.frombuffer(cells.buffers()[1], np.int32, len(cells) + 1, 4 * cells.offset))
    there = lengths > 0
    if (lengths[there] != width * _STORED.itemsize).any():
        raise SnapshotError(f"it has a vector that has other than {width:,} numbers")
    rows = np.frombuffer(b"".join(cells.to_pylist()), _STORED).reshape(-1, width)
    norms = np.linalg.norm(rows.astype(np.float32), axis=1)
    if not ((norms > 2 - _LONGEST) & (norms < _LONGEST)).all():  # nor is NaN
        raise SnapshotError("it has a vector whose length is not 1")
    vectors[cluster[there]] = rows
