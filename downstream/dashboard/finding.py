"""Finding clusters by what they do: by label, member, the tokens they peak at, words in examples.

By concept: by the cosine of vectors, which ``near_concept`` compares.
"""

import logging
from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from downstream.dashboard.labels import Marks, made_matches
from downstream.dashboard.search_words import wanted_of
from downstream.derived.tokens import TOKEN_FEATURES, Tokens
from downstream.rendering.attached import attachments_of
from downstream.rendering.data import LoadedClustering, LoadedSnapshot
from streams.arrays import F32, I32, I64, Bool
from streams.errors import SnapshotError
from streams.snapshots.table_reading import expected_schema, read_table

_log = logging.getLogger(__name__)

NO_MARKS = Marks()


@dataclass(frozen=True, eq=False)
class Found:
    """Which clusters of a clustering match, and why. Arrays have one entry per cluster.

    peaks: how many of its examples peak at a token looked for. texts: how many of their texts hold
    the words looked for. active: at how many such tokens it is active, in the rows of the
    attachment ``tokens``, 0 without one. examples: how many were looked at. similarity: to the
    concept looked for, None if there was none.
    """

    keep: Bool
    peaks: I64
    texts: I64
    active: I64
    examples: I64
    labelled: Bool
    similarity: F32 | None = None

    def why(self, at: int) -> tuple[int, int, int]:
        """Return how many examples of a cluster of the clustering peak there, and have the text;
        and at how many tokens it is active."""
        return int(self.peaks[at]), int(self.texts[at]), int(self.active[at])

    def order(self) -> I64:
        """Return the clusters that match, the best first: most like the concept looked for, or
        most active at the token; then labels, then peaks, then texts."""
        kept = np.flatnonzero(self.keep)
        if self.similarity is not None:
            return kept[np.argsort(-self.similarity[kept], kind="stable")]
        worth = (self.labelled[kept].astype(np.int64) * 2**20 + self.peaks[kept]) * 2**20
        worth += self.texts[kept]
        if not self.active.any():
            return kept[np.argsort(-worth, kind="stable")]
        return kept[np.lexsort((-worth, -self.active[kept]))]


def find(
    snapshot: LoadedSnapshot,
    clustering: LoadedClustering,
    search: str,
    marks: Marks = NO_MARKS,
    similarity: F32 | None = None,
) -> Found:
    """Return the clusters of a clustering that match all that a search asks for.

    similarity [cluster of the clustering]: to the concept of the search, NaN where it is unknown;
    None if that could not be compared, and nothing matches then.
    """
    span = slice(clustering.first, clustering.stop)
    count, wanted = clustering.stop - clustering.first, wanted_of(search)
    none = np.zeros(count, np.int64)
    labelled = _labels(snapshot, span, wanted.label or wanted.anywhere)
    if name := wanted.label or wanted.anywhere:
        labelled[marks.labelled(name)] = True
    named = labelled | made_matches(snapshot, span, wanted.label or wanted.anywhere)
    peaks, texts, active = none, none, none
    if token := wanted.token or wanted.anywhere:
        peaks = _peaks(snapshot, span, token)
    if wanted.token:
        active = _active(snapshot, span, wanted.token)
    if text := wanted.text or wanted.anywhere:
        texts = _texts(snapshot, span, text)
    keep: Bool = np.ones(count, bool)
    if wanted.anywhere:
        somewhere = named & (not wanted.label)
        somewhere |= (peaks > 0) & (not wanted.token)
        somewhere |= (texts > 0) & (not wanted.text)
        keep &= somewhere
    if wanted.label:
        keep &= named
    if wanted.token:
        keep &= (peaks > 0) | (active > 0)
    if wanted.text:
        keep &= texts > 0
    if wanted.concept:
        keep &= False if similarity is None else np.isfinite(similarity)
    examples = np.diff(snapshot.examples.first)[span]
    return Found(keep, peaks, texts, active, examples, labelled, similarity)


def _labels(snapshot: LoadedSnapshot, span: slice, asked: str) -> Bool:
    """Return which labels hold a text, or which clusters hold the member it names."""
    if not asked:
        return np.zeros(span.stop - span.start, bool)
    lowered = snapshot.once("lowered labels", lambda: pc.utf8_lower(snapshot.labels))
    if asked.isdecimal() and (exact := pc.index(lowered[span], pa.scalar(asked)).as_py()) >= 0:
        keep: Bool = np.zeros(span.stop - span.start, bool)  # a number is that feature's alone
        keep[exact] = True
    else:
        match = pc.match_substring(lowered[span], asked.lower())
        keep = np.array(match.to_numpy(zero_copy_only=False))
    holders = np.asarray(snapshot.holders(asked), np.int64) - span.start
    keep[holders[(holders >= 0) & (holders < len(keep))]] = True
    return keep


def _peaks(snapshot: LoadedSnapshot, span: slice, asked: str) -> I64:
    """Return how many examples of each cluster peak at a token that reads as asked for."""
    ids = _ids(snapshot, asked)
    if not len(ids):
        return np.zeros(span.stop - span.start, np.int64)
    index = snapshot.examples
    # By token, so that only the examples of the wanted ones are looked at.
    order, bounds = snapshot.once("examples by token", partial(_by_token, snapshot))
    ids = ids[ids < len(bounds) - 1]
    found = [index.cluster[order[bounds[i] : bounds[i + 1]]] for i in ids.tolist()]
    cluster = np.concatenate([np.zeros(0, np.int64), *found])
    inside = (cluster >= span.start) & (cluster < span.stop)
    return np.bincount(cluster[inside] - span.start, minlength=span.stop - span.start)


def _by_token(snapshot: LoadedSnapshot) -> tuple[I32, I64]:
    """Return the examples in the order of the token that they peak at, and where each begins."""
    token = snapshot.examples.token
    order = np.argsort(token, kind="stable").astype(np.int32)
    return order, np.r_[0, np.cumsum(np.bincount(token))]


def _ids(snapshot: LoadedSnapshot, asked: str) -> I64:
    """Return the token ids that read as asked for."""
    words = snapshot.once("words", lambda: _words(snapshot))
    same = pc.equal(words, asked.strip().casefold()).to_numpy(zero_copy_only=False)
    return np.flatnonzero(same)


def _active(snapshot: LoadedSnapshot, span: slice, asked: str) -> I64:
    """Return at how many tokens that read as asked for each cluster is active, 0 if unknown."""
    found, ids = np.zeros(span.stop - span.start, np.int64), _ids(snapshot, asked)
    kind, columns = Tokens().kind, ["cluster", "firing_tokens"]
    for attached in attachments_of(snapshot).now():
        if attached.kind != kind or not len(ids):
            continue
        try:
            if expected_schema(attached, TOKEN_FEATURES.name) != TOKEN_FEATURES.schema:
                continue
            wanted = [("token", "in", ids.tolist())]
            rows = read_table(attached, TOKEN_FEATURES.name, columns=columns, filters=wanted)
        except SnapshotError as error:
            # The snapshot itself is well: examples can be searched all the same.
            _log.error("attachment cannot be read: %s/%s %s", kind, attached.name, error)
            continue
        cluster, count = (rows[name].to_numpy().astype(np.int64) for name in columns)
        ours = (cluster >= span.start) & (cluster < span.stop)
        np.add.at(found, cluster[ours] - span.start, count[ours])
        break  # another one of the kind counts the same tokens
    return found


def _texts(snapshot: LoadedSnapshot, span: slice, asked: str) -> I64:
    """Return how many examples of each cluster have a text that holds all words asked for."""
    samples, index = snapshot.text_index.find(asked), snapshot.examples
    first = index.first[span.start : span.stop + 1]
    found = np.zeros(span.stop - span.start, np.int64)
    some = np.flatnonzero(np.diff(first))
    if not len(samples) or not len(some):
        return found
    chosen = np.zeros(len(snapshot.text), np.uint8)
    chosen[samples] = 1
    # A cluster has at most MOST examples here, which a byte counts; they lie together.
    held = chosen[index.sample[first[0] : first[-1]]]
    found[some] = np.add.reduceat(held, first[some] - first[0])
    return found


def _words(snapshot: LoadedSnapshot) -> pa.StringArray:
    """Return what each token id reads without blanks around and case; null where it is no text."""
    size = max(snapshot.vocabulary, default=-1) + 1
    return pa.array([_word(snapshot.vocabulary.get(i, b"")) for i in range(size)], pa.string())


def _word(raw: bytes) -> str | None:
    try:
        return raw.decode().strip().casefold() or None
    except UnicodeDecodeError:
        return None
