"""L0 on the first rows is SAELens' own, and said where a dictionary was published with another."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from consumers.runs.specs import RunSpec
from streams.records.corpus import CorpusRecord, TokenBatch
from streams.records.run_identity import run_id
from tests.consumers.conftest import with_source
from tests.consumers.created import create_run
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary

ROWS, USED = 70, 1024 // CONTEXT
HOOK = "blocks.1.hook_resid_post"


def batch_of(rows: int) -> TokenBatch:
    random = np.random.default_rng(3)
    ids = random.integers(0, WORDS + 1, (rows, CONTEXT)).astype(np.uint32)  # end marks among them
    mask = np.arange(CONTEXT) < random.integers(1, CONTEXT + 1, rows)[:, None]
    none = ("",) * rows
    return TokenBatch("words", 0, 0, ids, mask, np.zeros((rows, 16), np.uint8), none, none)


def l0_of(model: Path, folder: Path, batch: TokenBatch) -> float:
    """Return the mean number of features that SAELens finds at the first rows' tokens."""
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

    ids = batch.ids[:USED].astype(np.int64)
    bridge = TransformerBridge.boot_transformers(str(model), device="cpu")
    with torch.inference_mode():
        values = bridge.run_with_cache(torch.from_numpy(ids))[1][HOOK]
        found = SAE.load_from_disk(folder).encode(values).numpy()
    counts = batch.mask[:USED] & (ids < WORDS)
    return float((found != 0).sum(axis=-1)[counts].mean())


@pytest.mark.filterwarnings("ignore")
def test_an_l0_off_by_more_than_a_third_is_said(
    disk: Path, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    batch = batch_of(ROWS)
    true = l0_of(disk / "gpt2", disk / "standard", batch)

    def created(name: str, l0: float, first: TokenBatch | None = batch) -> tuple[str, ...]:
        folder = save_dictionary(tmp_path / name, "standard", metadata={"l0": l0})
        run = create_run(with_source(spec, path=str(folder)), corpus, sample=lambda: first)
        assert run_id(run) == run_id(replace(run, warnings=()))
        return run.warnings

    (line,) = created("high", true * 1.6)
    tokens = int((batch.mask[:USED] & (batch.ids[:USED] < WORDS)).sum())
    assert f"'sae' has {true:,.1f} active features per token (L0) on the first {tokens} " in line
    assert f"published with {true * 1.6:,.1f}: usual causes" in line
    assert all(cause in line for cause in ("hook", "BOS", "normalised"))
    assert len(created("low", true / 1.4)) == 1
    assert created("near", true * 1.4) == created("also near", true / 1.3) == ()
    nothing = replace(batch, mask=np.zeros_like(batch.mask))
    assert created("no text", true * 9, None) == created("no token", true * 9, nothing) == ()


def test_rows_are_not_asked_for_where_no_dictionary_says_its_l0(
    spec: RunSpec, corpus: CorpusRecord
) -> None:
    asked: list[int] = []
    create_run(spec, corpus, sample=lambda: asked.append(1))
    assert not asked
