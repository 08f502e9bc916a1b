"""Tokens, documents and domains of the places that hits name, as the oracle takes them."""

from collections.abc import Mapping
from dataclasses import dataclass

import pyarrow as pa

from streams.records.corpus import TokenBatch
from streams.snapshots.tables import SAMPLES

Place = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Sample:
    """A row of a corpus: the ids up to its last token that is no padding."""

    key: bytes
    document: str
    domain: str
    ids: list[int]


def sample_of(batch: TokenBatch, row: int) -> Sample:
    """Return one row of a batch."""
    length = int(batch.row_lengths()[row])
    return Sample(
        batch.keys[row].tobytes(),
        batch.documents[row],
        batch.domains[row],
        batch.ids[row, :length].tolist(),
    )


def samples_table(samples: Mapping[Place, Sample]) -> pa.Table:
    """Return the samples as a table, sorted by place."""
    places = sorted(samples)
    rows = [samples[place] for place in places]
    columns = [
        [p for p, _, _ in places],
        [s for _, s, _ in places],
        [r for _, _, r in places],
        [sample.key for sample in rows],
        [sample.document for sample in rows],
        [sample.domain for sample in rows],
        [sample.ids for sample in rows],
    ]
    arrays = [pa.array(c, f.type) for c, f in zip(columns, SAMPLES.schema, strict=True)]
    return pa.Table.from_arrays(arrays, schema=SAMPLES.schema)
