"""``millrace compare-models`` on two models with tokenizers of their own, by plain torch."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

import millrace
from tests.downstream.analysis.test_models import Row, shared_part
from tests.millrace.conftest import Program
from tests.millrace.test_run import snapshot_of
from tests.models_on_disk import CONTEXT, save_dictionary, save_model

LETTERS = "abc"
FEATURES = 12
SIDES = {"gpt2": 2, "neox": 3}  # letters of a token


def save_letters(folder: Path, size: int) -> None:
    """Write a tokenizer that cuts text into tokens of so many letters, the last one shorter."""
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokens = ["".join(one) for n in range(1, size + 1) for one in product(LETTERS, repeat=n)]
    vocabulary = {token: number for number, token in enumerate([*tokens, "<end>", "<unknown>"])}
    made = Tokenizer(models.WordLevel(vocabulary, unk_token="<unknown>"))
    made.pre_tokenizer = pre_tokenizers.Split(Regex(f".{{1,{size}}}"), "isolated")
    made.decoder = decoders.Fuse()
    marks = dict.fromkeys(("bos_token", "eos_token", "pad_token"), "<end>")
    PreTrainedTokenizerFast(tokenizer_object=made, unk_token="<unknown>", **marks).save_pretrained(
        folder
    )


def rows_of(model: Path, dictionary: Path, documents: list[str], size: int) -> list[Row]:
    """Return the rows of documents and where features are active, a row at a time."""
    import torch
    from sae_lens import SAE
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    network = AutoModelForCausalLM.from_pretrained(model).eval()
    sae = SAE.load_from_disk(str(dictionary), device="cpu")
    found, long = [], CONTEXT * size
    for number, text in enumerate(documents):
        for start in range(0, len(text), long):
            part = text[start : start + long]
            ids = tokenizer(part)["input_ids"]
            with torch.no_grad():
                states = network(torch.tensor([ids]), output_hidden_states=True).hidden_states
                active = (sae.encode(states[2])[0] > 0).numpy()
            sizes = [len(part[at : at + size]) for at in range(0, len(part), size)]
            found.append(Row(str(number), start, part, np.repeat(active.T, sizes, axis=1)))
    return found


def test_features_of_two_models_match_by_the_text_that_torch_finds_them_active_at(
    program: Program, tmp_path: Path, broker: str
) -> None:
    chance = np.random.default_rng(5)
    lengths = chance.integers(40, 150, 6)
    documents = ["".join(chance.choice(list(LETTERS), int(long))) for long in lengths]
    text = tmp_path / "text.jsonl"
    text.write_text("\n".join(json.dumps({"text": one}) for one in documents))
    runs, rows = [], []
    for number, (shape, size) in enumerate(SIDES.items()):
        model = save_model(tmp_path / shape, shape, seed=number, initializer_range=1.0)
        save_letters(model, size)
        dictionary = save_dictionary(
            tmp_path / f"sae-{shape}", "topk", components=FEATURES, seed=number
        )
        given = (
            text, "--model", model, "--dictionary", dictionary, "--broker", f"{broker}-{shape}",
            "--store", tmp_path / f"store-{shape}", "--device", "cpu", "--batch-size", 8,
            "--run", shape, "--no-pack", "--ranking", "maximum", "--ranking", "shared=1000",
        )  # fmt: skip
        runs.append(snapshot_of(program("run", *given)).store)
        rows.append(rows_of(model, dictionary, documents, size))
    both = np.zeros((FEATURES, FEATURES), int)
    of_a, of_b = both.copy(), both.copy()
    shared = 0
    for one, other in product(*rows):
        part = shared_part(one, other)
        if part is None:
            continue
        shared += part[1] - part[0]
        ours, theirs = (
            row.active[:, part[0] - row.start : part[1] - row.start].astype(int)
            for row in (one, other)
        )
        both += ours @ theirs.T
        of_a += ours.sum(axis=1)[:, None]
        of_b += theirs.sum(axis=1)[None]
    ended = program("compare-models", *runs, "--format", "parquet", "--out", "matches.parquet")
    assert ended.status == 0, ended.lines
    (said,) = json.loads(program("compare-models", *runs, "--format", "json").out)["shared_texts"]
    assert said["bytes"] == shared > 200
    assert (said["of_rows_a"], said["of_rows_b"]) == tuple(map(len, rows))
    jaccard = both / np.maximum(of_a + of_b - both, 1)
    matches = pq.read_table("matches.parquet").to_pylist()
    for run in (0, 1):
        scores = jaccard if run == 0 else jaccard.T
        own = {int(row["label_a"]): row for row in matches if row["a"] == run}
        assert set(own) == set(np.flatnonzero(scores.any(axis=1)).tolist())
        for feature, row in own.items():
            assert row["jaccard"] == pytest.approx(scores[feature].max())
            at = (feature, int(row["label_b"]))[:: 1 if run == 0 else -1]
            counts = [int(table[at]) for table in (both, of_a, of_b)]
            counts = counts if run == 0 else [counts[0], counts[2], counts[1]]
            assert [row["both"], row["of_a"], row["of_b"]] == counts
    assert len({round(row["jaccard"], 6) for row in matches}) > 5
    assert {millrace.open(store).run for store in runs} == set(SIDES)
