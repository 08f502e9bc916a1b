"""Measured L0: features active per token on a corpus' first rows, against what dictionaries say."""

import logging
import math
from collections.abc import Callable

import numpy as np

from consumers.activations.torch_engine import TorchEngine
from consumers.selection.selection import valid_tokens
from streams.errors import NotFiniteError
from streams.records.corpus import TokenBatch

log = logging.getLogger(__name__)

Sample = Callable[[], TokenBatch | None]
"""The first batch of a corpus, made when it is asked for; None where it cannot be had."""

TOKENS = 1024
"""About so many tokens are measured on."""
_OFF = 1 / 3


def l0_lines(engine: TorchEngine, first_batch: Sample) -> tuple[str, ...]:
    """Return a line for each dictionary whose L0 is off the one it was published with by a third.

    L0 is the mean number of non-zero features per valid token, dropped ones left out; it is
    measured on about 1,024 tokens of the first batch. Nothing is computed if no dictionary says its
    own, nor said where there are no rows or they cannot be computed.
    """
    published = {s.name: s.training.sparsity for s in engine.sources if s.training.sparsity}
    if not published:
        return ()
    batch = first_batch()
    if batch is None:
        log.info("L0 is not compared with the published one: the corpus has no rows to read yet")
        return ()
    rows = batch.first_rows(math.ceil(TOKENS / max(1, batch.ids.shape[1])))
    valid = valid_tokens(engine.plan, rows)
    tokens = int(valid.sum())
    if not tokens:
        return ()
    try:
        component = engine.compute(rows, valid).component
    except NotFiniteError as error:
        log.info("L0 is not compared with the published one: %s", error)
        return ()
    counts = np.diff(np.searchsorted(component, engine.plan.component_first))
    found = {s.name: int(n) / tokens for s, n in zip(engine.sources, counts, strict=True)}
    return tuple(
        f"dictionary {name!r} has {found[name]:,.1f} active features per token (L0) on the first "
        f"{tokens:,} tokens of corpus {batch.corpus}, and was published with {l0:,.1f}: usual "
        "causes are a hook other than the one it was trained on, a BOS that is missing or should "
        "not be there, and values normalised in another way"
        for name, l0 in published.items()
        if abs(found[name] / l0 - 1) > _OFF
    )
