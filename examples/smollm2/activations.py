"""What the dictionary is trained on: rows of tokens, and the residuals at its hook for them.

A row is the tokenizer's BOS and then 127 tokens of one document, as in the run.  Position 0 is
left out: the residual of the first token of a row has a norm of its own, whatever the text.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

import debian_text
import numpy as np
import torch
from torch import Tensor

BLOCK = 6
HOOK = f"blocks.{BLOCK}.hook_resid_pre"
CONTEXT = 128
PART = 256  # rows of one file of activations
VALIDATION_SHARE = 0.05
# The share of the documents of a package that is used: the dictionary (of English) is long.
SHARES = {"linux-doc-6.1": 1.0, "dict-gcide": 0.25, "debian-handbook": 1.0}


def documents(packages: Path, split: str) -> list[debian_text.Document]:
    """Return the documents of a split, "train" or "validation", in an order drawn by name."""
    kept = []
    for name, read in debian_text.PACKAGES.items():
        (package,) = packages.glob(f"{name}_*.deb")
        for document in read(package):
            held_out = debian_text.draw("split", document.id) < VALIDATION_SHARE
            if (
                held_out == (split == "validation")
                and debian_text.draw("use", document.id) < SHARES[name]
            ):
                kept.append(document)
    return sorted(kept, key=lambda document: debian_text.draw("order", document.id))


def rows(model: Path, texts: list[str], limit: int) -> Tensor:
    """Return full rows of token ids, `[row, 128]` int64, at most `limit` of them."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model)
    found: list[list[int]] = []
    step = CONTEXT - 1
    for start in range(0, len(texts), 64):
        for ids in tokenizer(texts[start : start + 64], add_special_tokens=False)["input_ids"]:
            full = range(0, len(ids) - step + 1, step)
            found += [[tokenizer.bos_token_id, *ids[i : i + step]] for i in full]
        if len(found) >= limit:
            break
    return torch.tensor(found[:limit])


def first_blocks(model: Path) -> torch.nn.Module:
    """Return the model up to the hook: its first blocks, without norm and unembedding."""
    from transformers import AutoModel

    trunk = AutoModel.from_pretrained(model, dtype=torch.float32).eval()
    trunk.layers = trunk.layers[:BLOCK]
    trunk.norm = torch.nn.Identity()
    return trunk


@torch.inference_mode()
def residuals(trunk: torch.nn.Module, batch: Tensor) -> Tensor:
    """Return the residuals at the hook without position 0, `[row * 127, width]` float32."""
    hidden = trunk(batch, use_cache=False).last_hidden_state
    return hidden[:, 1:].flatten(0, 1)


def part_files(store: Path) -> list[Path]:
    """Return the finished files of activations, in order."""
    return sorted(store.glob("part-*.npy"))


def stored_tokens(files: Iterable[Path]) -> int:
    """Return how many activations files hold."""
    return sum(len(np.load(path, mmap_mode="r")) for path in files)


def collect(model: Path, packages: Path, store: Path, tokens: int, worker: int, of: int) -> None:
    """Write the activations of training rows as files of float16; finished files are kept.

    Worker `worker` of `of` makes every `of`-th file, so that several may work at once.
    """
    store.mkdir(parents=True, exist_ok=True)
    listed = store / "rows.npy"
    if not listed.exists():
        texts = [document.text for document in documents(packages, "train")]
        ids = rows(model, texts, -(-tokens // (CONTEXT - 1))).numpy().astype(np.uint16)
        draft = store / f".rows-{worker}.npy"
        # Neighbouring rows are of one document: in another order each file has a bit of everything.
        np.save(draft, np.random.default_rng(0).permutation(ids))
        draft.rename(listed)
    ids = np.load(listed)
    trunk = first_blocks(model)
    for number in range(worker, -(-len(ids) // PART), of):
        part = store / f"part-{number:05}.npy"
        if part.exists():
            continue
        batch = torch.from_numpy(ids[number * PART : (number + 1) * PART].astype(np.int64))
        found = torch.cat([residuals(trunk, piece) for piece in batch.split(32)])
        draft = store / f".part-{number:05}.npy"
        np.save(draft, found.half().numpy())
        draft.rename(part)
        print(f"{part.name}: {len(found):,} tokens", flush=True)


def batches(store: Path, size: int, seed: int, read: Path | None = None) -> Iterator[Tensor]:
    """Yield batches `[size, width]` float32 for ever, from 8 files at a time, each pass anew.

    A pass goes over the files that are there when it begins. read: where the names of files are
    noted as they are read, a line each.
    """
    generator = np.random.default_rng(seed)
    while True:
        files = part_files(store)
        order = generator.permutation(len(files))
        for start in range(0, len(files), 8):
            some = [files[i] for i in order[start : start + 8]]
            mixed = np.concatenate([np.load(path) for path in some])
            if read is not None:
                with read.open("a", encoding="utf-8") as note:
                    note.writelines(f"{path.name}\n" for path in some)
            mixed = mixed[generator.permutation(len(mixed))]
            for at in range(0, len(mixed) - size + 1, size):
                yield torch.from_numpy(mixed[at : at + size]).float()
