"""A model with dictionaries, a transcoder and neurons to intervene in, and SAELens' own objects."""

from pathlib import Path
from typing import Any

import pytest
import torch

from consumers.asking.asker import Asker
from consumers.asking.setup import setup_of
from consumers.interventions.changes import ChangedRow
from consumers.interventions.intervener import Intervener
from consumers.runs.creation import prepare_run
from consumers.runs.specs import DictionarySpec, ModelSpec, NeuronsSpec, RunSpec
from producers.settings import CorpusSettings
from streams.tokenizer.loading import load_tokenizer
from tests.models_on_disk import CONTEXT, save_dictionary, save_model

RESID, READS, WRITES = "blocks.1.hook_resid_post", "blocks.1.mlp.hook_in", "blocks.1.hook_mlp_out"
TEXTS = ("w1 w2 w3 w4", "w9 w8 w7")
SOURCES = ("standard", "topk", "transcoder", "neurons")


class Loaded:
    """An intervener, transformer-lens' model, and SAELens' dictionaries by number of source."""

    def __init__(self, folder: Path, shape: str, **changes: Any) -> None:
        save_model(folder / shape, shape, **changes)
        for name in ("standard", "topk"):
            save_dictionary(folder / name, name, hook=RESID)
        out = {"hook_name_out": WRITES}
        save_dictionary(folder / "transcoder", "transcoder", hook=READS, metadata=out)
        how = CorpusSettings("texts", str(folder / shape), context=CONTEXT, bos="always")
        tokenizer = load_tokenizer(str(folder / shape))
        corpus = how.record(tokenizer)
        spec = RunSpec(
            name="run",
            store="store",
            model=ModelSpec(str(folder / shape), device="cpu", micro_batch=3, threads=1),
            sources=(
                *(DictionarySpec(name, path=str(folder / name)) for name in SOURCES[:3]),
                NeuronsSpec("neurons", RESID),
            ),
            k=1,
        )
        engine = prepare_run(spec, corpus)
        self.intervener = Intervener(Asker(setup_of(engine.plan.run, corpus), engine, tokenizer))
        model: Any = engine.model
        self.net: Any = model.net
        from sae_lens import SAE

        self.saes: list[Any] = [SAE.load_from_disk(folder / name).eval() for name in SOURCES[:3]]
        codes = [self.codes(row)[1:].sum(0) for row in self.intervener.rows(TEXTS)]
        self.feature = int(torch.stack(codes).sum(0).argmax())  # the one most active on TEXTS

    def codes(self, row: ChangedRow) -> torch.Tensor:
        """Return the first dictionary's features at each token of a row, by the libraries."""
        ids = torch.from_numpy(row.ids)[None]
        with torch.inference_mode():
            _, cache = self.net.run_with_cache(ids, names_filter=[RESID])
            found: torch.Tensor = self.saes[0].encode(cache[RESID][0])
        return found


@pytest.fixture(scope="session", params=["gpt2", "llama"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Loaded:
    return Loaded(tmp_path_factory.mktemp("changed"), request.param)
