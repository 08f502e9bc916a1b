"""What keeping all activations of a run will take, foreseen from the first rows of its corpus."""

import math

from consumers.activations.torch_engine import TorchEngine
from consumers.runs.measured_l0 import TOKENS, Sample
from consumers.selection.kept import kept_table
from consumers.selection.selection import cluster_activity, valid_tokens
from streams.errors import NotFiniteError
from streams.records.corpus import CorpusRecord
from streams.snapshots.kept_files import encoded


def kept_size(engine: TorchEngine, corpus: CorpusRecord, first_batch: Sample) -> str:
    """Return in a line what the files will take; that it is not known without rows to measure."""
    said = 'all activations are kept (keep = "activations")'
    batch = first_batch()
    if batch is None:
        return f"{said}: how much that takes cannot be foreseen, the corpus has no rows to read yet"
    rows = batch.first_rows(math.ceil(TOKENS / max(1, batch.ids.shape[1])))
    valid = valid_tokens(engine.plan, rows)
    try:
        found = engine.compute(rows, valid)
    except NotFiniteError as error:
        return f"{said}: how much that takes cannot be foreseen, {error}"
    tokens = cluster_activity(engine.plan, rows, valid, found).tokens
    size = len(encoded(kept_table(rows, tokens))) / len(rows.ids)
    of_token = len(tokens.token) / max(1, int(valid.sum()))
    if corpus.sealed:
        return f"{said}: about {corpus.rows * size / 1e9:,.3g} GB, {of_token:,.1f} a token"
    million = 1e6 / rows.ids.shape[1] * size / 1e9
    return f"{said}: about {million:,.3g} GB per million tokens, {of_token:,.1f} a token"
