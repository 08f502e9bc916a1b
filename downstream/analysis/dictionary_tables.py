"""Tables of compared dictionaries: a row per dictionary, per feature and partner, per pair."""

import pyarrow as pa

from streams.snapshots.tables import Column, TableForm

WAYS = ("decoder", "coactivation", "contexts")
HEALTH = {
    "explained_variance": "1 - squared error of the reconstruction / distance from the mean",
    "cross_entropy_recovered": "(ablated - reconstructed) / (ablated - own)",
}

DICTIONARIES = TableForm(
    "dictionaries",
    "One row per dictionary of the run.",
    ("source",),
    (
        Column("source", pa.string(), "dictionary"),
        Column("hook", pa.string(), "hook point that it reads"),
        Column("features", pa.int64(), "features"),
        Column("active", pa.int64(), "features that are active at some token"),
        Column("dead_share", pa.float64(), "dead features / those not left out", "1"),
        Column("l0", pa.float64(), "active features per valid token", "features"),
        *(
            Column(name, pa.float64(), f"{said}; null if not measured", "1", "sampled")
            for name, said in HEALTH.items()
        ),
        Column("location", pa.string(), "where the run found it"),
        Column("neuronpedia", pa.string(), "its page at Neuronpedia, empty if none is known"),
        Column("cached_at", pa.string(), "where it lies on this machine, empty if it does not"),
    ),
)

MATCHES = TableForm(
    "matches",
    "The best partner of each active feature in each other dictionary, three ways.",
    ("source", "index", "other_source"),
    (
        Column("source", pa.string(), "dictionary"),
        Column("index", pa.int32(), "feature's index in it"),
        Column("other_source", pa.string(), "the other dictionary"),
        Column("decoder_index", pa.int32(), "feature of it with the nearest decoder direction"),
        Column("decoder", pa.float64(), "cosine of the two", "1", "with error", "float32"),
        Column("coactivation_index", pa.int32(), "feature of it most active at the same tokens"),
        Column("coactivation", pa.float64(), "tokens of both / of one, in the rows of the ranking "
               "`shared` in which both are known", "1", "sampled"),
        Column("contexts_index", pa.int32(), "feature of it with most of the same examples"),
        Column("contexts", pa.float64(), "examples of both / of one, by their samples", "1"),
        Column("shared", pa.bool_(), "one of the three reaches its threshold"),
    ),
)  # fmt: skip

OVERLAP = TableForm(
    "overlap",
    "How many active features of a dictionary another one has, too.",
    ("source", "other_source"),
    (
        Column("source", pa.string(), "dictionary"),
        Column("other_source", pa.string(), "the other dictionary"),
        Column("active", pa.int64(), "its active features"),
        *(
            Column(f"by_{way}", pa.int64(), f"of them those whose `{way}` reaches the threshold; "
                   "null if it is not known")
            for way in WAYS
        ),
        Column("shared", pa.int64(), "those that are shared one way or the other"),
        Column("alone", pa.int64(), "those that only this one has"),
    ),
)  # fmt: skip
