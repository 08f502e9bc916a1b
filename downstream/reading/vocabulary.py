"""What each token of a vocabulary shows, alone and within a row."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from downstream.reading.examples import ends_of
from streams.snapshots.manifests import RunManifest
from streams.snapshots.table_reading import read_table


@dataclass(frozen=True, slots=True)
class DecodedVocabulary:
    """The table of that name, a row per token id. An id beyond it reads ``⟨id 7⟩``."""

    table: pa.Table

    def token_text(self, token: int) -> str:
        """Return what a token reads by itself, by its id."""
        return self._shown("token", token).decode(errors="replace")

    def row_bytes(self, ids: Sequence[int]) -> list[bytes]:
        """Return what each token of a row shows, as the tokenizer decodes the row."""
        found = [self._shown("token", token_id) for token_id in ids]
        for place, at in ends_of(ids).items():
            if place in self.table.column_names:
                found[at] = self._shown(place, ids[at])
        return found

    def _shown(self, column: str, token_id: int) -> bytes:
        if not 0 <= token_id < len(self.table):
            return f"⟨id {token_id}⟩".encode()
        found: bytes = self.table[column][token_id].as_py()
        return found


def read_vocabulary(manifest: RunManifest) -> DecodedVocabulary:
    """Return the vocabulary of a snapshot. Raises SnapshotError if it cannot be read."""
    return DecodedVocabulary(read_table(manifest, "vocabulary").sort_by("id").combine_chunks())
