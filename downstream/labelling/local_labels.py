"""Labels that need no language model: telling tokens, what stands before them, logit lens.

Deterministic: the same snapshot and attachments give the same labels. Every cluster that was active
has one, and of those that never were the features that have a logit lens.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from scipy.sparse import csr_matrix

from downstream.derived.derivation import Derived
from downstream.derived.logit_lens import LOGIT_LENS
from downstream.derived.neighbours import NEIGHBOURS
from downstream.labelling.contrast import (
    TellingToken,
    shares_beside,
    telling_tokens,
    token_shares,
)
from downstream.labelling.peak_tokens import EXAMPLES, read_peak_tokens
from downstream.reading.made_labels import LABELS
from downstream.reading.snapshot import Snapshot
from downstream.reading.token_text import readable
from streams.arrays import I64
from streams.snapshots.attachments import DEFAULT, AttachmentManifest
from streams.snapshots.table_entry import find_entry
from streams.snapshots.table_reading import read_table
from streams.snapshots.tables import Column, TableForm

AUTHOR = "millrace local labeller 1: top tokens, logit lens, contrast with neighbours"
CONVENTION = "folded"
_TOKENS, _PROMOTED, _SINGLES = 3, 3, "features/"
_LONGEST = 20
"""Characters of a token that are shown: some tokens are nothing but blanks."""

_BEFORE = 0.5
"""Share of a cluster's activation that one token before the peak needs to be named."""

EVIDENCE = TableForm(
    "local_label_evidence",
    "What the label of the local labeller is from.",
    ("cluster",),
    (
        Column("cluster", pa.int32(), "cluster"),
        Column("tokens", pa.list_(pa.int32()), "ids at which its best examples peak, the most "
               "telling first"),
        Column("shares", pa.list_(pa.float32()), "each one's share of the examples' activation",
               "1", "sampled"),
        Column("other_shares", pa.list_(pa.float32()), "the mean of that over its neighbours by "
               "decoder direction, or over the rest of its clustering", "1", "sampled"),
        Column("before", pa.list_(pa.int32()), "the id in front of the peak that is named, if any"),
        Column("promoted", pa.list_(pa.int32()), "ids of the largest logits in the logit lens"),
    ),
)  # fmt: skip


def local_labels(snapshot: Snapshot) -> Derived:
    """Return the labels of a snapshot's clusters and what they are from.

    Neighbours and logit lens are those attached under the name "default"; what is not attached is
    left out and said. Raises SnapshotError if the snapshot or an attachment cannot be read.
    """
    peaks = read_peak_tokens(snapshot)
    numbers = snapshot.clusters.arrow.select(["clustering", "iteration"])
    count = len(numbers)
    first = _first(numbers)
    singles = _singles(numbers, first)
    nearest, left_out = _nearest(snapshot, singles, count), []
    if nearest is None:
        left_out.append("neighbours: none are attached, so features are compared with all others")
        nearest = csr_matrix((count, count))
    promoted = _promoted(snapshot, singles)
    if promoted is None:
        left_out.append("logit lens: none is attached, so no label says what a feature promotes")
    own = token_shares(peaks.cluster, peaks.token, peaks.score, count)
    before = token_shares(peaks.cluster, peaks.before, peaks.score, count)
    at = telling_tokens(own, shares_beside(own, nearest, first), _TOKENS)
    ahead = telling_tokens(before, shares_beside(before, nearest, first), 1)
    texts: dict[int, str] = {}
    rows: list[dict[str, Any]] = []
    labels: list[str] = []
    for cluster in range(count):
        named = _named_before(at[cluster], ahead[cluster])
        lens = (promoted or {}).get(cluster, ())
        if not at[cluster] and not lens:
            continue
        ids = {*(one.token for one in at[cluster]), *(one.token for one in named), *lens}
        texts.update({token: _text(snapshot, token) for token in ids if token not in texts})
        labels.append(_label(at[cluster], named, lens, texts))
        rows.append(
            {
                "cluster": cluster,
                "tokens": [one.token for one in at[cluster]],
                "shares": [one.share for one in at[cluster]],
                "other_shares": [one.neighbours for one in at[cluster]],
                "before": [one.token for one in named],
                "promoted": list(lens),
            }
        )
    clusters = [row["cluster"] for row in rows]
    columns = {"cluster": clusters, "label": labels, "author": [AUTHOR] * len(rows)}
    return Derived(
        {LABELS: LABELS.table(columns), EVIDENCE: pa.Table.from_pylist(rows, EVIDENCE.schema)},
        {
            "labeller": AUTHOR,
            "ranking": snapshot.rankings[0],
            "examples": EXAMPLES,
            "neighbours": bool(nearest.nnz),
            "logit_lens": CONVENTION if promoted is not None else "",
        },
        left_out,
    )


def _first(numbers: pa.Table) -> I64:
    """Return where each clustering begins, and behind them the number of clusters."""
    keys = list(zip(*(numbers[name].to_pylist() for name in numbers.column_names), strict=True))
    starts = [at for at in range(len(keys)) if at == 0 or keys[at] != keys[at - 1]]
    return np.array([*starts, len(keys)], np.int64)


def _singles(numbers: pa.Table, first: I64) -> dict[str, int]:
    """Return the first cluster of each source whose features are watched alone."""
    named = ((numbers["clustering"][at].as_py(), at) for at in first[:-1].tolist())
    return {n.removeprefix(_SINGLES): at for n, at in named if n.startswith(_SINGLES)}


def _attached(snapshot: Snapshot, form: TableForm, kind: str) -> AttachmentManifest | None:
    for one in snapshot.attachments:
        entry = find_entry(one.tables, form.name)
        if (one.kind, one.name) == (kind, DEFAULT) and entry and entry.schema.equals(form.schema):
            return one
    return None


def _nearest(snapshot: Snapshot, singles: Mapping[str, int], count: int) -> csr_matrix | None:
    """Return 1 [cluster, cluster] for each neighbour by decoder in the feature's own source."""
    attached = _attached(snapshot, NEIGHBOURS, "neighbours")
    if attached is None:
        return None
    columns = ["source", "index", "other_source", "other_indices"]
    wanted = [("direction", "==", "decoder")]
    rows = read_table(attached, NEIGHBOURS.name, columns=columns, filters=wanted).to_pylist()
    pairs = [
        (singles[row["source"]] + row["index"], singles[row["source"]] + other)
        for row in rows
        if row["source"] == row["other_source"] and row["source"] in singles
        for other in row["other_indices"]
    ]
    a, b = np.array(pairs, np.int64).reshape(-1, 2).T
    return csr_matrix((np.ones(len(a)), (a, b)), shape=(count, count))


def _promoted(snapshot: Snapshot, singles: Mapping[str, int]) -> Mapping[int, Sequence[int]] | None:
    """Return the tokens of the largest logits of each feature, by its cluster."""
    attached = _attached(snapshot, LOGIT_LENS, "logit_lens")
    if attached is None:
        return None
    columns = ["source", "index", "top_tokens"]
    wanted = [("convention", "==", CONVENTION)]
    rows = read_table(attached, LOGIT_LENS.name, columns=columns, filters=wanted)
    return {
        singles[source] + index: tuple(tokens[:_PROMOTED])
        for source, index, tokens in zip(*(rows[n].to_pylist() for n in columns), strict=True)
        if source in singles
    }


def _named_before(
    at: Sequence[TellingToken], ahead: Sequence[TellingToken]
) -> Sequence[TellingToken]:
    """Return the token in front of the peak if most of the activation has it, and others less."""
    return [one for one in ahead if at and one.share >= _BEFORE and one.share >= 2 * one.neighbours]


def _label(
    at: Sequence[TellingToken],
    named: Sequence[TellingToken],
    promoted: Sequence[int],
    texts: Mapping[int, str],
) -> str:
    parts = [", ".join(texts[one.token] for one in at) or "never active"]
    parts += [f"after {texts[one.token]}" for one in named]
    if promoted:
        parts.append(f"promotes {', '.join(texts[token] for token in promoted)}")
    return "; ".join(parts)


def _text(snapshot: Snapshot, token: int) -> str:
    """Return a token as people read it, with signs for blanks and what is invisible."""
    raw = snapshot.row_bytes([token, token, token])[1]
    text = "".join(piece.glyph or piece.text for piece in readable([raw])[0])
    text = text.strip() or text
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 1]}…"
