"""Vectors of clusters by a sentence model, of their labels and contexts: attached, and compared.

Of 65,536 clusters at 384 numbers they take 100 MB, which are read into a temporary file.
"""

import tempfile
from dataclasses import dataclass

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

    vectors [2, cluster, width]: float16, of labels and of contexts; zeros where there is none.
    """

    model: str
    content: str
    vectors: AnyArray

    @property
    def width(self) -> int:
        """Numbers of a vector."""
        return int(self.vectors.shape[2])

    def similarities(self, query: F32, clusters: slice) -> F32:
        """Return the larger of the two cosines with a vector [width], for each of the clusters.

        NaN for a cluster that has neither vector. Blocks of rows are compared in float32.
        """
        found = np.full((2, clusters.stop - clusters.start), np.nan, np.float32)
        for kind, vectors in enumerate(self.vectors):
            for start in range(clusters.start, clusters.stop, _ROWS):
                stop = min(start + _ROWS, clusters.stop)
                block = vectors[start:stop].astype(np.float32)
                cosines = np.where(block.any(axis=1), block @ query, np.nan)
                found[kind, start - clusters.start : stop - clusters.start] = cosines
        larger: F32 = np.fmax(found[0], found[1])
        return larger


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
    shape = len(VECTORS), clusters, width
    with tempfile.TemporaryFile() as file:
        file.truncate(int(np.prod(shape)) * _STORED.itemsize or 1)
        vectors = np.memmap(file, _STORED, "r+", shape=shape)
    for part in read_pieces(attached, EMBEDDINGS.name, columns=["cluster", *VECTORS], size=_ROWS):
        for piece in part:
            cluster = piece["cluster"].to_numpy()
            if len(cluster) and not 0 <= cluster.min() <= cluster.max() < clusters:
                raise SnapshotError("it has vectors of clusters that there are not")
            for kind, name in enumerate(VECTORS):
                _fill(vectors[kind], cluster, piece[name], width)
    return Embeddings(model, content, vectors)


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
