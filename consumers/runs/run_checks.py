"""Checks before a run is created: names, histogram bin edges, masked tokens, corpus."""

from collections.abc import Sequence

import numpy as np

from consumers.models.language_model import LanguageModel
from consumers.runs.specs import RunSpec
from streams.arrays import F32, I64
from streams.bounds import MAX_BATCH_TOKENS
from streams.errors import ModelError, RunError, SettingsError
from streams.names import check_name
from streams.records.corpus import CorpusRecord
from streams.records.measures import default_edges


def check_names(spec: RunSpec) -> None:
    """Raise SettingsError unless the names of run and sources are usable and unique."""
    check_name(spec.name, "run")
    names = [check_name(source.name, "source") for source in spec.sources]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise SettingsError(f"two sources are named {name!r}")


def check_corpus(corpus: CorpusRecord, model: LanguageModel) -> None:
    """Raise ModelError if the rows of a corpus do not fit the model, RunError if no batch can."""
    if corpus.batch_rows * corpus.context > MAX_BATCH_TOKENS:
        raise RunError(
            f"the record of corpus {corpus.name} speaks of {corpus.batch_rows:,} rows of "
            f"{corpus.context:,} tokens a batch, and none holds more than {MAX_BATCH_TOKENS:,}"
        )
    if corpus.limit_of_ids() > model.vocabulary:
        raise ModelError(
            f"corpus {corpus.name} has token ids up to {corpus.limit_of_ids() - 1} (tokenizer "
            f"{corpus.tokenizer}), model {model.location} knows {model.vocabulary}"
        )
    if corpus.context > model.context:
        raise ModelError(
            f"corpus {corpus.name} has rows of {corpus.context} tokens, model {model.location} "
            f"takes {model.context}"
        )


def bin_edges(edges: Sequence[float] | None) -> F32:
    """Return the histogram edges as float32; RunError unless they rise."""
    if edges is None:
        return default_edges()
    found = np.asarray(edges, np.float32)
    if not len(found) or not np.isfinite(found).all() or (np.diff(found) <= 0).any():
        raise RunError("histogram edges must be numbers that rise")
    return found


def masked_ids(spec: RunSpec, corpus: CorpusRecord) -> I64:
    """Return the token ids that count as absent, ascending."""
    special = corpus.special_ids if spec.mask_special else ()
    outside = [i for i in spec.mask_ids if not 0 <= i < corpus.vocabulary]
    if outside:
        raise RunError(f"mask_ids: {outside[0]} lies outside the {corpus.vocabulary} token ids")
    return np.asarray(sorted({*special, *spec.mask_ids}), np.int64)


def masked_positions(spec: RunSpec, corpus: CorpusRecord) -> I64:
    """Return the positions that count as absent, ascending."""
    outside = [p for p in spec.mask_positions if not 0 <= p < corpus.context]
    if outside:
        raise RunError(f"mask_positions: {outside[0]} lies outside rows of {corpus.context} tokens")
    return np.asarray(sorted(set(spec.mask_positions)), np.int64)
