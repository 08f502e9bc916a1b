"""Tables of the statistic of tokens: those clusters are active at, and how often each occurs."""

import pyarrow as pa

from consumers.statistics.sketch import CERTAINTY
from streams.snapshots.tables import Column, TableForm

_SHARE = "of rows chosen by their sample key, one in `one_in`"
_ERROR = f"in {CERTAINTY:.0%} of cases at most `error` too high, never too low"

FIRINGS = TableForm(
    "token_firings",
    f"Tokens at which a cluster is active, {_SHARE}: all, or the most frequent `budget`.",
    ("cluster", "token"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("token", pa.int32(), "token id"),
        Column(
            "firing_tokens",
            pa.int64(),
            f"valid tokens of this id at which it is active, {_SHARE}",
            "tokens",
            "with error",
            _ERROR,
        ),
        Column(
            "activation_sum",
            pa.int64(),
            "activation summed over these",
            "2^-sum_bits of activation",
            "with error",
            "each rounded to the unit; where `error` is not 0, that of a sketch, never too low",
        ),
        Column("error", pa.int64(), "0 where the counts of the cluster are exact", "tokens"),
    ),
)

MAXIMA = TableForm(
    "token_maxima",
    "How strongly clusters are active at a token, at most: a row for each of `token_firings`.",
    ("cluster", "token"),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("token", pa.int32(), "token id"),
        Column(
            "max_activation",
            pa.float32(),
            f"largest activation at this token, {_SHARE}",
            "activation",
            "with error",
            "exact where `error` of `token_firings` is 0; else that of a sketch, never too low",
        ),
    ),
)

TOTALS = TableForm(
    "token_totals",
    "At how many tokens clusters are active, of the rows that `token_firings` is about.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster; those that are active there nowhere are left out"),
        Column(
            "firing_tokens",
            pa.int64(),
            f"valid tokens at which it is active, {_SHARE}",
            "tokens",
            "sampled",
        ),
    ),
)

TOKENS = TableForm(
    "sampled_tokens",
    f"How often each token occurs, {_SHARE}; zeros are left out.",
    ("token",),
    (
        Column("token", pa.int32(), "token id"),
        Column("tokens", pa.int64(), "valid tokens of this id", "tokens", "sampled"),
    ),
)
