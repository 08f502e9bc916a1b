"""Logit lens: the tokens that a feature's decoder direction makes more and less likely.

One matrix product over all features, in blocks of rows; logits are those of an activation of 1.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from downstream.derived.derivation import (
    FEATURE_COLUMNS,
    Derived,
    Given,
    Options,
    computed,
    feature_columns,
    list_column,
)
from downstream.derived.dictionaries import Dictionary, provenance
from downstream.derived.largest import largest, row_blocks, smallest
from downstream.derived.output_weights import has_output_weights, output_weights
from downstream.derived.unembedding import CONVENTIONS, Unembedding
from streams.arrays import F32, F64, I64
from streams.errors import ModelError
from streams.snapshots.tables import Column, TableForm

_RESIDUAL = ("hook_resid_pre", "hook_resid_mid", "hook_resid_post", "hook_embed")
_ADDED = ("hook_attn_out", "hook_mlp_out")
_BLOCK = 2**24
"""Logits of a block of features: 64 MiB, with which the product is near its best speed."""

LOGIT_LENS = TableForm(
    "logit_lens",
    "What a feature's decoder direction adds to the logits, per activation of 1.",
    ("feature", "convention"),
    (
        *FEATURE_COLUMNS,
        Column("convention", pa.string(), "`raw`, or `folded`: with the final norm's gain"),
        Column(
            "top_tokens", pa.list_(pa.int32()), "token ids of the largest logits, largest first"
        ),
        computed("top_logits", pa.list_(pa.float32()), "their logits", "logit"),
        Column("bottom_tokens", pa.list_(pa.int32()), "token ids of the smallest, smallest first"),
        computed("bottom_logits", pa.list_(pa.float32()), "their logits", "logit"),
        computed("min_logit", pa.float32(), "smallest over the vocabulary", "logit"),
        computed("max_logit", pa.float32(), "largest over the vocabulary", "logit"),
        computed("mean_logit", pa.float32(), "mean over the vocabulary", "logit"),
        computed("std_logit", pa.float32(), "standard deviation over it", "logit"),
        computed(
            "histogram",
            pa.list_(pa.int64()),
            "tokens per bin; bins are equally wide from `min_logit` to `max_logit`",
            "tokens",
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class _Tokens:
    """The unembedding [token, width] of the tokens counted, their mean and their covariance.

    With these two, mean and variance of the logits along a direction need no pass over the logits.
    """

    weights: F32
    mean: F64
    covariance: F64

    @classmethod
    def of(cls, weights: F32) -> "_Tokens":
        """Return the tokens of an unembedding with their mean and covariance, in float64."""
        mean: F64 = weights.mean(axis=0, dtype=np.float64)
        covariance = np.zeros((len(mean), len(mean)))
        for block in row_blocks(*weights.shape):
            centred = weights[block] - mean
            covariance += centred.T @ centred
        return cls(weights, mean, covariance / len(weights))

    def moments(self, directions: F32) -> Iterator[tuple[str, F32]]:
        """Yield mean and standard deviation [n] of the logits of directions [n, width]."""
        exact = directions.astype(np.float64)
        variance = np.einsum("ij,ij->i", exact @ self.covariance, exact)
        yield "mean_logit", (exact @ self.mean).astype(np.float32)
        yield "std_logit", np.sqrt(np.maximum(variance, 0)).astype(np.float32)


@dataclass(frozen=True, slots=True)
class LogitLens:
    """Top and bottom tokens and a histogram of every feature, by both conventions."""

    kind: str = "logit_lens"
    summary: str = "top and bottom tokens of each decoder direction, and a histogram"
    forms: tuple[TableForm, ...] = (LOGIT_LENS,)

    def derive(self, given: Given, options: Options) -> Derived:
        """Return the lens of all sources that write to the residual stream."""
        found = [*map(_of_dictionary, given.dictionaries), *map(_of_neurons, given.neurons)]
        wanted = [each for each in found if isinstance(each, _Written)]
        left_out = [each for each in found if isinstance(each, str)]
        if not wanted:
            raise ModelError(f"no logit lens: {'; '.join(left_out) or 'the run has no dictionary'}")
        unembedding = given.unembedding
        count = min(len(unembedding.weights), given.tokens)
        tokens = _Tokens.of(unembedding.weights[:count])
        parts, said = [], []
        for one in sorted(wanted, key=lambda one: given.first_feature(one.name)):
            directions, how = one.directions(unembedding)
            parts.append(_table(given, one.name, directions, unembedding, tokens, options))
            said.append(how)
        made: dict[str, Any] = {
            **unembedding.provenance(),
            "tokens": count,
            "k": options.k,
            "dictionaries": said,
        }
        return Derived({LOGIT_LENS: pa.concat_tables(parts)}, made, left_out)


@dataclass(frozen=True, slots=True)
class _Written:
    """A source that writes to the residual stream.

    directions: from a model to what its features write, [feature, width], and the provenance.
    """

    name: str
    directions: Callable[[Unembedding], tuple[F32, dict[str, Any]]]


def _of_dictionary(dictionary: Dictionary) -> _Written | str:
    """Return what a dictionary writes, or why it has no logit lens."""
    name, hook = dictionary.name, dictionary.writes
    if dictionary.decoder is None:
        return f"{name}: it has no decoder directions"
    if not _reaches_residual(hook):
        where = hook or "nowhere that its metadata names"
        return f"{name}: it writes to {where}, which is not the residual stream"

    def directions(model: Unembedding) -> tuple[F32, dict[str, Any]]:
        decoder = dictionary.decoder
        assert decoder is not None
        if not has_output_weights(hook):
            return decoder, provenance(dictionary)
        through, matrix = output_weights(model, hook)
        if decoder.shape[1] != len(matrix):
            raise ModelError(
                f"dictionary {name!r} writes {decoder.shape[1]} values, and {through} of "
                f"{model.location} reads {len(matrix)}"
            )
        return decoder @ matrix, {**provenance(dictionary), "through": through}

    return _Written(name, directions)


def _of_neurons(source: Mapping[str, Any]) -> _Written | str:
    """Return what the values of a hook write, each alone; or why they have no logit lens."""
    name, hook, count = str(source["name"]), str(source["hook"]), int(source["components"])
    if not _reaches_residual(hook):
        return f"{name}: values of {hook} are not written to the residual stream"

    def directions(model: Unembedding) -> tuple[F32, dict[str, Any]]:
        through, matrix = "", np.eye(model.width, dtype=np.float32)
        if has_output_weights(hook):
            through, matrix = output_weights(model, hook)
        if len(matrix) != count:
            raise ModelError(
                f"neurons {name!r} are {count} values of {hook}, and {model.location} has "
                f"{len(matrix)}"
            )
        return np.ascontiguousarray(matrix), {"source": name, "writes": hook, "through": through}

    return _Written(name, directions)


def _reaches_residual(hook: str) -> bool:
    return hook.rpartition(".")[2] in (*_RESIDUAL, *_ADDED) or has_output_weights(hook)


def _table(
    given: Given,
    name: str,
    directions: F32,
    unembedding: Unembedding,
    tokens: _Tokens,
    options: Options,
) -> pa.Table:
    """Return the rows of a source, for each feature both conventions."""
    if directions.shape[1] != unembedding.width:
        raise ModelError(
            f"dictionary {name!r} writes {directions.shape[1]} values, and the unembedding "
            f"of {unembedding.location} reads {unembedding.width}"
        )
    named = feature_columns(given, name, len(directions))
    both = []
    for convention in CONVENTIONS:
        seen = directions if convention == "raw" else unembedding.folded(directions)
        columns = {
            **named,
            "convention": pa.array([convention] * len(directions)),
            **_columns(seen, tokens, options),
        }
        both.append(pa.table(columns, LOGIT_LENS.schema))
    order = np.arange(2 * len(directions)).reshape(2, -1)[::-1].T.reshape(-1)  # folded < raw
    return pa.concat_tables(both).take(pa.array(order))


def _columns(directions: F32, tokens: _Tokens, options: Options) -> dict[str, pa.Array]:
    """Return the numbers of each direction [n, width] over the tokens."""
    weights = tokens.weights
    k = min(options.k, len(weights))
    found: dict[str, list[Any]] = {}
    blocks = row_blocks(len(directions), len(weights), _BLOCK)
    # One buffer for all blocks: fresh memory for each would cost as much as half of the product.
    buffer = np.empty((blocks[0].stop, len(weights)), np.float32)
    for block in blocks:
        logits = buffer[: block.stop - block.start]
        np.matmul(directions[block], weights.T, out=logits)
        for name, values in (*tokens.moments(directions[block]), *_block(logits, k, options.bins)):
            found.setdefault(name, []).append(values)
    whole = {name: np.concatenate(parts) for name, parts in found.items()}
    return {n: list_column(v) if v.ndim == 2 else pa.array(v) for n, v in whole.items()}


def _block(logits: F32, k: int, bins: int) -> Iterator[tuple[str, Any]]:
    """Yield the columns of a block of logits [feature, token]."""
    ends = []
    for side, places in (("top", largest(logits, k)), ("bottom", smallest(logits, k))):
        values = np.take_along_axis(logits, places, axis=1)
        yield f"{side}_tokens", places.astype(np.int32)
        yield f"{side}_logits", values
        ends.append(values[:, 0])
    high, low = ends
    yield "min_logit", low
    yield "max_logit", high
    yield "histogram", _histograms(logits, low, high, bins)


def _histograms(logits: F32, low: F32, high: F32, bins: int) -> I64:
    """Return how many values of each row lie in each of equally wide bins [row, bin].

    The last bin holds its upper end.
    """
    found = np.empty((len(logits), bins), np.int64)
    scaled = np.empty(logits.shape[1], np.float32)
    bin_of = np.empty(logits.shape[1], np.int64)
    widths = high.astype(np.float64) - low
    for row, values in enumerate(logits):  # a row and its copies stay in the processor's cache
        np.subtract(values, low[row], out=scaled)
        scaled *= np.float32(bins / widths[row] if widths[row] > 0 else 0)
        np.copyto(bin_of, scaled, casting="unsafe")
        counts = np.bincount(bin_of, minlength=bins + 1)
        found[row] = counts[:bins]
        found[row, -1] += counts[bins:].sum()
    return found
