"""The tables of a snapshot: the columns of each, their types, units and meaning, and its key.

This is the one definition: files are written after it, every manifest carries it, and the page on
formats is checked against it. A new number gets a table of its own, by cluster, hit or run; columns
are not added to a table that is there. Statistics that a run may leave out define their tables in
their own files, in ``consumers/statistics``.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import pyarrow as pa

Meaning = Literal["exact", "sampled", "with error"]


@dataclass(frozen=True, slots=True)
class Column:
    """A column. unit: of its numbers, empty for names and labels. error: how far off, if it is."""

    name: str
    type: pa.DataType
    description: str
    unit: str = ""
    meaning: Meaning = "exact"
    error: str = ""


@dataclass(frozen=True)
class TableForm:
    """A table. key: the columns that name a row, which stands once in all files of the table."""

    name: str
    description: str
    key: tuple[str, ...]
    columns: tuple[Column, ...]

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns and their types for Arrow."""
        return pa.schema([(column.name, column.type) for column in self.columns])

    def table(self, columns: Mapping[str, Any]) -> pa.Table:
        """Return a table of exactly these columns, cast to their types."""
        arrays = [
            column if isinstance(column, pa.Array) else pa.array(column, field.type)
            for field in self.schema
            for column in [columns[field.name]]
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


_PLACE = (
    Column("partition", pa.int32(), "place: partition of the corpus"),
    Column("sequence", pa.int64(), "place: batch in the partition"),
    Column("row", pa.int32(), "place: row in the batch"),
)
_ROUNDED = "each token's activation is rounded to the unit before it is added"

CLUSTERS = TableForm(
    "clusters",
    "One row per cluster; a single feature is a cluster of one.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "number, counting through all clusterings of the run"),
        Column("clustering", pa.string(), "clustering; `features/<source>` for single features"),
        Column("iteration", pa.int32(), "iteration of the clustering"),
        Column("label", pa.string(), "label; the feature's index for a single feature"),
        Column("members", pa.list_(pa.string()), "features in it, `source:index`"),
        Column("dropped_members", pa.list_(pa.string()), "features that the settings leave out"),
        Column("firing_tokens", pa.int64(), "valid tokens at which it is active", "tokens"),
        Column("firing_rows", pa.int64(), "rows with such a token", "rows"),
        Column(
            "activation_density",
            pa.float64(),
            "`firing_tokens` / valid tokens",
            "share of valid tokens",
        ),
        Column(
            "activation_sum",
            pa.int64(),
            "activation summed where it is active",
            "2^-sum_bits of activation",
            "with error",
            _ROUNDED,
        ),
        Column(
            "mean_activation",
            pa.float64(),
            "`activation_sum` x 2^-sum_bits / `firing_tokens`, 0 where never active",
            "activation",
            "with error",
            "at most half of 2^-sum_bits",
        ),
        Column(
            "min_activation",
            pa.float32(),
            "smallest activation where it is active, 0 where never",
            "activation",
        ),
        Column("max_activation", pa.float32(), "largest activation, 0 where never", "activation"),
        Column(
            "activation_histogram",
            pa.list_(pa.int64()),
            "active tokens per bin of activation; the first bin lies below the first edge",
            "tokens",
        ),
        Column("coactivation_counted", pa.bool_(), "its clustering is in `coactivation`"),
        Column("member_coactivation_counted", pa.bool_(), "it is in `member_coactivation`"),
    ),
)

HITS = TableForm(
    "hits",
    "Examples, max-activating and others: one row per cluster, ranking and rank.",
    ("cluster", "ranking", "rank"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("ranking", pa.string(), "what orders them: `maximum`, `last`, `random` and others"),
        Column("rank", pa.int32(), "0 is best"),
        Column(
            "score",
            pa.float32(),
            "what the ranking shows: an activation, mean or sum",
            "activation",
        ),
        Column("sample", pa.binary(16), "sample key: a hash of tokenizer, token ids and mask"),
        Column("peak", pa.int32(), "position of the score", "position"),
        *_PLACE,
        Column("positions", pa.list_(pa.int32()), "where it is active in the row", "position"),
        Column("activations", pa.list_(pa.float32()), "its activation there", "activation"),
        Column(
            "member_indices",
            pa.list_(pa.int32()),
            "of each value of a member that is not zero: which of `members`",
        ),
        Column("member_positions", pa.list_(pa.int32()), "its position", "position"),
        Column("member_activations", pa.list_(pa.float32()), "its signed value", "activation"),
    ),
)

SAMPLES = TableForm(
    "samples",
    "The text of the examples: one row per place that some hit names; join on the place.",
    ("partition", "sequence", "row"),
    (
        *_PLACE,
        Column("sample", pa.binary(16), "sample key"),
        Column("document", pa.string(), "document id"),
        Column("domain", pa.string(), "domain"),
        Column("ids", pa.list_(pa.int32()), "token ids up to the last that is no padding"),
    ),
)

COACTIVATION = TableForm(
    "coactivation",
    "Pairs of clusters of one clustering that are active at one token; zeros are left out.",
    ("cluster_a", "cluster_b"),
    (
        Column("cluster_a", pa.int32(), "cluster"),
        Column("cluster_b", pa.int32(), "another of the same clustering, cluster_a < cluster_b"),
        Column("tokens", pa.int64(), "valid tokens at which both are active", "tokens"),
    ),
)

MEMBER_COACTIVATION = TableForm(
    "member_coactivation",
    "Pairs of members of one cluster that are active at one token; zeros are left out.",
    ("cluster", "member_a", "member_b"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("member_a", pa.int32(), "which of `members`"),
        Column("member_b", pa.int32(), "member_a <= member_b; equal: the member's own tokens"),
        Column("tokens", pa.int64(), "valid tokens at which both are active", "tokens"),
    ),
)

FEATURES = TableForm(
    "features",
    "One row per feature of each source: of a dictionary, a neuron, a weight component.",
    ("feature",),
    (
        Column("feature", pa.int32(), "number, counting through all sources of the run"),
        Column("source", pa.string(), "source"),
        Column("index", pa.int32(), "index in the source"),
        Column("firing_tokens", pa.int64(), "valid tokens at which it is active", "tokens"),
        Column(
            "activation_density",
            pa.float64(),
            "`firing_tokens` / valid tokens",
            "share of valid tokens",
        ),
        Column("dead", pa.bool_(), "it was active nowhere, and is not dropped"),
        Column("dropped", pa.bool_(), "the settings leave it out"),
    ),
)

TOTALS = TableForm(
    "totals",
    "One row for the run.",
    (),
    (
        Column("tokens", pa.int64(), "valid tokens", "tokens"),
        Column("rows", pa.int64(), "rows with one", "rows"),
        Column("batches", pa.int64(), "batches applied, refused ones among them", "batches"),
        Column("refused", pa.int64(), "batches that are dead letters", "batches"),
    ),
)

VOCABULARY = TableForm(
    "vocabulary",
    "One row per token id.",
    ("id",),
    (
        Column("id", pa.int32(), "token id"),
        Column("token", pa.binary(), "its bytes; they need not be whole characters"),
        Column("first", pa.binary(), "its bytes where it begins a row"),
        Column("last", pa.binary(), "its bytes where it ends one"),
        Column("alone", pa.binary(), "its bytes where it is all of one"),
    ),
)

TABLES: dict[str, TableForm] = {
    form.name: form
    for form in (
        CLUSTERS,
        HITS,
        SAMPLES,
        COACTIVATION,
        MEMBER_COACTIVATION,
        FEATURES,
        TOTALS,
        VOCABULARY,
    )
}
