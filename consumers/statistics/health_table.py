"""The table ``health``: what each of its columns means."""

import pyarrow as pa

from streams.snapshots.tables import Column, TableForm

_LOSS, _SHARE = "nats per prediction", "1 where perfect"
_OTHERWISE = "of `predictions`; 0 where there is none"

HEALTH = TableForm(
    "health",
    "How well each source does: activity, and what is lost where its reconstruction takes the "
    "place of the hook. Its dead features are in `features`.",
    ("source",),
    (
        Column("source", pa.string(), "source"),
        Column(
            "l0", pa.float64(), "features active per valid token, on average", "features per token"
        ),
        Column(
            "published_l0",
            pa.float64(),
            "what the dictionary was published with; 0 where it does not say",
            "features per token",
        ),
        Column(
            "sampled_rows",
            pa.int64(),
            "rows that the rest is from: one in `one_in` by the sample key",
            "rows",
        ),
        Column(
            "tokens",
            pa.int64(),
            "valid tokens of these at which the source rebuilds its hook; 0 if it cannot",
            "tokens",
            "sampled",
        ),
        Column(
            "explained_variance",
            pa.float64(),
            "1 - squared error of the reconstruction / squared distance from the mean of `tokens`; "
            "0 where there is none",
            _SHARE,
            "sampled",
        ),
        Column(
            "predictions",
            pa.int64(),
            "pairs of valid tokens side by side, of which the second is predicted",
            "tokens",
            "sampled",
        ),
        Column(
            "cross_entropy", pa.float64(), f"the model's own loss {_OTHERWISE}", _LOSS, "sampled"
        ),
        Column(
            "cross_entropy_reconstructed",
            pa.float64(),
            f"loss with the reconstruction in place of the hook at valid tokens {_OTHERWISE}",
            _LOSS,
            "sampled",
        ),
        Column(
            "cross_entropy_ablated",
            pa.float64(),
            f"loss with zeros there {_OTHERWISE}",
            _LOSS,
            "sampled",
        ),
        Column(
            "cross_entropy_recovered",
            pa.float64(),
            "(ablated - reconstructed) / (ablated - own); 0 where zeros make no difference",
            _SHARE,
            "sampled",
        ),
    ),
)
