"""Health against SAELens and transformer-lens by hand: variance explained, losses, L0."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from consumers.activations.torch_engine import TorchEngine
from consumers.oracle.oracle import Oracle
from consumers.runs.creation import prepare_run
from consumers.runs.loading import load_engine
from consumers.runs.specs import DictionarySpec, NeuronsSpec, RunSpec
from consumers.selection.selection import select
from streams.errors import RunError
from streams.records.corpus import CorpusRecord, TokenBatch
from tests.models_on_disk import CONTEXT, WORDS, save_dictionary

READ, WRITTEN = "blocks.1.hook_resid_post", "blocks.1.hook_mlp_out"
ROWS, CHOSEN = 12, 8


def batch_of() -> tuple[TokenBatch, Any]:
    """Return random rows, of which those from ``CHOSEN`` on have keys that are not chosen."""
    random = np.random.default_rng(5)
    ids = random.integers(0, WORDS, (ROWS, CONTEXT)).astype(np.uint32)
    mask = np.arange(CONTEXT) < random.integers(0, CONTEXT + 1, ROWS)[:, None]
    mask[0], mask[1] = True, False
    keys = np.zeros((ROWS, 16), np.uint8)
    keys[CHOSEN:, 7] = 1
    none = ("",) * ROWS
    valid = mask.copy()
    valid[:, 0], valid[2, 5] = False, False
    return TokenBatch("words", 0, 0, ids, mask, keys, none, none), valid


def losses(logits: torch.Tensor, ids: torch.Tensor, asked: torch.Tensor) -> torch.Tensor:
    chances = logits[:, :-1].log_softmax(-1).gather(2, ids[:, 1:, None])[..., 0]
    return -chances[asked].double().mean()


def by_hand(model: Path, folder: Path, written: str) -> dict[str, float]:
    """Return what SAELens and transformer-lens give, all rows at once."""
    from sae_lens import SAE
    from transformer_lens.model_bridge import TransformerBridge

    batch, valid = batch_of()
    ids = torch.from_numpy(batch.ids[:CHOSEN].astype(np.int64))
    tokens = torch.from_numpy(valid[:CHOSEN])
    asked = tokens[:, :-1] & tokens[:, 1:]
    bridge = TransformerBridge.boot_transformers(str(model), device="cpu")
    sae = SAE.load_from_disk(folder)
    with torch.inference_mode():
        logits, cache = bridge.run_with_cache(ids)
        rebuilt = sae(cache[READ])

        def spliced(to: torch.Tensor) -> torch.Tensor:
            def place(values: torch.Tensor, hook: Any) -> torch.Tensor:
                return torch.where(tokens[..., None], to, values)

            return bridge.run_with_hooks(ids, fwd_hooks=[(written, place)])

        own = losses(logits, ids, asked)
        others = [losses(spliced(to), ids, asked) for to in (rebuilt, rebuilt * 0)]
        target, error = cache[written][tokens], (cache[written] - rebuilt)[tokens]
        mean_of_squares = target.double().pow(2).sum(-1).mean()
        variance = mean_of_squares - target.double().mean(0).pow(2).sum()
    return {
        "explained_variance": float(1 - error.double().pow(2).sum(-1).mean() / variance),
        "cross_entropy": float(own),
        "cross_entropy_reconstructed": float(others[0]),
        "cross_entropy_ablated": float(others[1]),
        "cross_entropy_recovered": float((others[1] - others[0]) / (others[1] - own)),
        "tokens": int(tokens.sum()),
        "predictions": int(asked.sum()),
    }


@pytest.mark.filterwarnings("ignore")
def test_numbers_are_those_of_saelens_and_do_not_depend_on_where_they_are_computed(
    disk: Path, tmp_path: Path, spec: RunSpec, corpus: CorpusRecord
) -> None:
    sae = save_dictionary(tmp_path / "sae", "jumprelu", metadata={"l0": 20.5})
    over = save_dictionary(
        tmp_path / "over", "transcoder", metadata={"hook_name_out": WRITTEN}, seed=1
    )
    sources = (
        DictionarySpec("sae", path=str(sae), dropped=(3,)),
        NeuronsSpec("neurons", hook="blocks.0.mlp.hook_post"),
        DictionarySpec("over", path=str(over)),
    )
    wanted = replace(spec, sources=sources, statistics=("health",))
    plan = prepare_run(wanted, corpus).plan
    engine = load_engine(plan, "cpu")
    batch, valid = batch_of()
    found = engine.compute(batch, valid)
    on_device = TorchEngine(plan, engine.model, engine.sources, on_device=True)
    same = on_device.compute_on_device(batch, valid).measured["health@1"]
    np.testing.assert_array_equal(found.measured["health@1"], same)
    assert len(select(plan, batch, valid, found).tally.count)

    oracle = Oracle(plan, engine)
    oracle.add(replace(batch, mask=valid))
    rows = {row["source"]: row for row in oracle.tables([b"a"])["health"].to_pylist()}
    assert list(rows) == ["neurons", "over", "sae"]
    for name, folder, written in (("sae", sae, READ), ("over", over, WRITTEN)):
        expected = by_hand(disk / "gpt2", folder, written)
        for key, value in expected.items():
            assert rows[name][key] == pytest.approx(value, rel=1e-4, abs=2e-6), (name, key)
        assert rows[name]["sampled_rows"] == valid[:CHOSEN].any(axis=1).sum()
    nothing = rows["neurons"]
    assert (nothing["tokens"], nothing["predictions"], nothing["explained_variance"]) == (0, 0, 0)
    assert (rows["sae"]["published_l0"], nothing["published_l0"]) == (20.5, 0)
    first = plan.component_first
    active = (found.component >= first[0]) & (found.component < first[1])
    assert rows["sae"]["l0"] == active.sum() / valid.sum()


def test_a_model_whose_logits_cannot_be_trusted_is_refused(
    spec: RunSpec, corpus: CorpusRecord, monkeypatch: pytest.MonkeyPatch
) -> None:
    from consumers.models.language_model import LanguageModel
    from streams.errors import ModelError

    def off(*_: Any) -> None:
        raise ModelError("off its published code")

    monkeypatch.setattr(LanguageModel, "logits", off)
    with pytest.raises(RunError, match="statistic health needs logits: off its published code"):
        prepare_run(replace(spec, statistics=("health",)), corpus)
