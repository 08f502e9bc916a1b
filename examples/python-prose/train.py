"""Make the python-prose example: a small language model, a sparse autoencoder and clusters.

Everything starts from text that comes with every Python: the sources of the standard
library, the docstrings in them, and the language reference that `help()` prints.  The
stages are chained commands of one program and run in this order:

    python train.py corpus tokenizer model sae clusters report

One convention holds everywhere, in training and in use.  A *row* is `<|endoftext|>`
followed by at most 127 consecutive tokens of one document.  Rows never join documents.
A short row is padded on the right, and neither the padding nor position 0 counts.
"""

from __future__ import annotations

import ast
import hashlib
import inspect
import json
import math
import os
import re
import shutil
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

BOS = "<|endoftext|>"
BOS_ID = 0
CONTEXT = 128
LAYER = 2
HOOK = f"blocks.{LAYER}.hook_resid_post"
LATENTS = 1024
SOURCE = "sae"
VALIDATION_SHARE = 0.1
# Training rows, beside all validation rows, in which firing is counted.
SAMPLE = 2000
# How often a document of each kind is read in one pass over the training text.
REPEATS = {"code": 1, "docstrings": 3, "reference": 4}
# Tests, vendored packages and files that hold generated tables.
SKIP_PARTS = {"test", "tests", "idle_test", "site-packages", "encodings", "pydoc_data"}
SKIP_FILES = {
    "html/entities.py",
    "msilib/schema.py",
    "msilib/sequence.py",
    "stringprep.py",
}


@dataclass
class Settings:
    """What the options of the whole program say; every stage gets it."""

    work: Path
    out: Path
    seed: int


@dataclass
class Limit:
    """When a training ends: after some tokens or some minutes, whichever comes first."""

    tokens: int
    minutes: float

    def progress(self, seen: int, started: float) -> float:
        """Return how much of the training is over, from 0 to 1."""
        elapsed = (time.monotonic() - started) / 60
        return max(seen / self.tokens, elapsed / self.minutes)


@dataclass
class Document:
    """One text: a source file, the docstrings of a file, or a reference topic."""

    name: str
    kind: str
    split: str
    text: str


# --------------------------------------------------------------------------- helpers


def split_of(name: str) -> str:
    """Put a document in a split by a hash of its name, so that no run can move it."""
    digest = hashlib.sha256(name.encode()).digest()
    share = int.from_bytes(digest[:4], "big") / 2**32
    return "validation" if share < VALIDATION_SHARE else "train"


def publish(draft: Path, final: Path) -> None:
    """Put a finished folder or file in its place, in place of an older one."""
    if draft.is_dir() and final.exists():
        old = Path(tempfile.mkdtemp(dir=final.parent, prefix=".old-"))
        final.rename(old / "old")
        draft.rename(final)
        shutil.rmtree(old)
    else:
        os.replace(draft, final)


def write_json(path: Path, value: object) -> None:
    """Write a JSON file so that a reader sees the old one or the new one, never half."""
    draft = path.with_name(f".{path.name}.draft")
    draft.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    publish(draft, path)


def record(settings: Settings, section: str, value: dict[str, Any]) -> None:
    """Set one section of report.json and show it."""
    path = settings.out / "report.json"
    report = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    report[section] = value
    write_json(path, report)
    click.echo(f"{section}: {json.dumps(value, indent=2)}")


def load_documents(settings: Settings) -> list[Document]:
    """Read back what the `corpus` stage wrote."""
    lines = (settings.work / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    return [Document(**json.loads(line)) for line in lines]


# ---------------------------------------------------------------------------- corpus


def docstrings_of(source: str) -> str:
    """Return the docstrings of a module, cleaned of indentation, one after the other."""
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (node for node in ast.walk(ast.parse(source)) if isinstance(node, kinds))
    found = (ast.get_docstring(node, clean=False) for node in nodes)
    return "\n\n".join(inspect.cleandoc(text) for text in found if text and len(text) > 40)


def library_documents() -> Iterator[Document]:
    """Yield every module of the standard library, and its docstrings by themselves."""
    root = Path(sysconfig.get_path("stdlib"))
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        name = relative.as_posix()
        generated = name in SKIP_FILES or name.startswith(("_sysconfigdata", "config-"))
        if generated or SKIP_PARTS.intersection(relative.parts):
            continue
        try:
            source = path.read_text(encoding="utf-8")
            prose = docstrings_of(source)
        except (SyntaxError, UnicodeDecodeError):
            continue
        # Both documents share the file's split: a docstring is in the source as well.
        for kind, text in (("code", source), ("docstrings", prose)):
            if len(text) > 200:
                yield Document(f"{kind}/{name}", kind, split_of(name), text)


def reference_documents() -> Iterator[Document]:
    """Yield the topics of the language reference, each paragraph only where it comes first."""
    from pydoc_data.topics import topics

    seen: set[str] = set()
    for name, text in sorted(topics.items()):
        # Some topics repeat whole sections of others; a repeat could cross the split.
        kept = []
        for paragraph in re.split(r"\n\s*\n", text):
            key = " ".join(paragraph.split())
            if key not in seen:
                kept.append(paragraph.rstrip())
            if len(key) > 40:
                seen.add(key)
        prose = "\n\n".join(kept).strip()
        if len(prose) > 200:
            yield Document(f"reference/{name}", "reference", split_of(name), prose)


def build_corpus(settings: Settings) -> None:
    """Collect the documents and write them, one JSON line each, to the work folder."""
    documents = [*library_documents(), *reference_documents()]
    settings.work.mkdir(parents=True, exist_ok=True)
    with (settings.work / "corpus.jsonl").open("w", encoding="utf-8") as file:
        for document in documents:
            file.write(json.dumps(asdict(document)) + "\n")
    summary: dict[str, Any] = {}
    for kind in REPEATS:
        for split in ("train", "validation"):
            texts = [d.text for d in documents if (d.kind, d.split) == (kind, split)]
            summary[f"{kind}/{split}"] = {
                "documents": len(texts),
                "characters": sum(map(len, texts)),
            }
    record(settings, "corpus", summary)


# ------------------------------------------------------------------------- tokenizer


def build_tokenizer(settings: Settings, vocabulary: int) -> None:
    """Train a byte-level BPE on the training documents, weighted as the model reads them."""
    from tokenizers import ByteLevelBPETokenizer
    from transformers import PreTrainedTokenizerFast

    texts = [
        document.text
        for document in load_documents(settings)
        if document.split == "train"
        for _ in range(REPEATS[document.kind])
    ]
    bpe = ByteLevelBPETokenizer()
    bpe.train_from_iterator(texts, vocab_size=vocabulary, special_tokens=[BOS], show_progress=False)
    draft = settings.work / "tokenizer"
    draft.mkdir(exist_ok=True)
    bpe.save(str(draft / "bpe.json"))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(draft / "bpe.json"),
        bos_token=BOS,
        eos_token=BOS,
        pad_token=BOS,
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    assert tokenizer.convert_tokens_to_ids(BOS) == BOS_ID
    tokenizer.save_pretrained(draft)
    (draft / "bpe.json").unlink()
    record(settings, "tokenizer", {"vocabulary": len(tokenizer)})


# ------------------------------------------------------------------------------ rows


@dataclass
class Tokens:
    """The tokens of one document."""

    document: Document
    ids: list[int]


def tokenize(settings: Settings, split: str) -> list[Tokens]:
    """Turn the documents of one split into tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(settings.work / "tokenizer" / "tokenizer.json"))
    documents = [d for d in load_documents(settings) if d.split == split]
    encoded = tokenizer.encode_batch([d.text for d in documents], add_special_tokens=False)
    return [Tokens(d, e.ids) for d, e in zip(documents, encoded, strict=True)]


def cut(ids: list[int], first: int = CONTEXT - 1) -> Iterator[list[int]]:
    """Cut a document in rows; `first` is the length of the first piece.

    The rows are padded with -1.
    """
    size = CONTEXT - 1
    starts = [0, *range(first, len(ids), size)] if first else range(0, len(ids), size)
    for start, end in zip(starts, [*starts[1:], len(ids)], strict=True):
        piece = ids[start:end]
        yield [BOS_ID, *piece, *[-1] * (size - len(piece))]


def fixed_rows(texts: list[Tokens]) -> Tensor:
    """Cut every document from its beginning: the rows that validation and use see."""
    return torch.tensor([row for text in texts for row in cut(text.ids)])


def training_rows(texts: list[Tokens], rng: np.random.Generator) -> Tensor:
    """Return one shuffled pass over the texts, cut at a new place every time."""
    rows = [
        row
        for text in texts
        for _ in range(REPEATS[text.document.kind])
        for row in cut(text.ids, int(rng.integers(CONTEXT - 1)))
    ]
    return torch.tensor(rows)[torch.from_numpy(rng.permutation(len(rows)))]


def batches(texts: list[Tokens], seed: int, size: int) -> Iterator[Tensor]:
    """Yield batches of training rows without end."""
    rng = np.random.default_rng(seed)
    while True:
        rows = training_rows(texts, rng)
        yield from rows[: len(rows) // size * size].split(size)


# ----------------------------------------------------------------------------- model


def next_token_loss(logits: Tensor, rows: Tensor, reduction: str = "mean") -> Tensor:
    """Cross-entropy of every real token of the rows given those before it."""
    return F.cross_entropy(
        logits[:, :-1].float().flatten(0, 1),
        rows[:, 1:].flatten(),
        ignore_index=-1,
        reduction=reduction,
    )


def new_model(vocabulary: int) -> Any:
    """Return an untrained GPT-2 of four small layers."""
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=vocabulary,
        n_positions=CONTEXT,
        n_embd=128,
        n_layer=4,
        n_head=4,
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        bos_token_id=BOS_ID,
        eos_token_id=BOS_ID,
        pad_token_id=BOS_ID,
    )
    return GPT2LMHeadModel(config)


def optimizers(model: Any, rate: float) -> list[torch.optim.Optimizer]:
    """Return Muon for the matrices inside the blocks and AdamW for everything else."""
    matrices: list[Tensor] = []
    others: list[Tensor] = []
    for name, parameter in model.named_parameters():
        inside = ".h." in name and parameter.ndim == 2
        (matrices if inside else others).append(parameter)
    return [
        torch.optim.Muon(matrices, lr=rate, weight_decay=0.05, adjust_lr_fn="match_rms_adamw"),
        torch.optim.AdamW(others, lr=rate, betas=(0.9, 0.98), weight_decay=0.0),
    ]


def set_rates(chosen: list[torch.optim.Optimizer], rate: float, progress: float) -> None:
    """Warm up over the first 3% of the training, then fall in a line to zero."""
    factor = min((progress + 0.001) / 0.03, (1 - progress) / 0.97)
    for optimizer in chosen:
        for group in optimizer.param_groups:
            group["lr"] = rate * factor


def fit_model(
    model: Any, rows: Iterator[Tensor], rate: float, limit: Limit, fuse: bool
) -> dict[str, Any]:
    """Train until the limit on tokens or on minutes, whichever comes first."""

    def loss_of(batch: Tensor) -> Tensor:
        logits = model(input_ids=batch.clamp(min=0), use_cache=False).logits
        return next_token_loss(logits, batch)

    run: Callable[[Tensor], Tensor] = torch.compile(loss_of) if fuse else loss_of
    chosen = optimizers(model, rate)
    started, step, seen, smooth = time.monotonic(), 0, 0, math.nan
    while (progress := limit.progress(seen, started)) < 1:
        batch = next(rows)
        set_rates(chosen, rate, progress)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            loss = run(batch)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        for optimizer in chosen:
            optimizer.step()
            optimizer.zero_grad()
        seen += int((batch[:, 1:] >= 0).sum())
        smooth = loss.item() if step == 0 else 0.97 * smooth + 0.03 * loss.item()
        if step % 50 == 0:
            pace = seen / (time.monotonic() - started)
            click.echo(f"model {progress:.0%}: loss {smooth:.3f}, {pace:,.0f} tokens/s")
        step += 1
    minutes = round((time.monotonic() - started) / 60, 1)
    return {"tokens_seen": seen, "steps": step, "minutes": minutes}


def train_model(settings: Settings, batch: int, rate: float, limit: Limit, fuse: bool) -> None:
    """Train the transformer and save it, with the tokenizer, as a Hugging Face folder."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(settings.work / "tokenizer")
    texts = tokenize(settings, "train")
    model = new_model(len(tokenizer))
    done = fit_model(model, batches(texts, settings.seed, batch), rate, limit, fuse)
    save_model(settings, model, tokenizer)
    value = {
        "parameters": model.num_parameters(),
        "tokens_in_training_text": sum(len(t.ids) for t in texts),
        "tokens_in_one_pass": sum(REPEATS[t.document.kind] * len(t.ids) for t in texts),
        **done,
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
    }
    record(settings, "model", value)


def save_model(settings: Settings, model: Any, tokenizer: Any) -> None:
    """Write the model folder beside its final place and swap it in."""
    draft = settings.out / ".model.draft"
    model.save_pretrained(draft)
    tokenizer.save_pretrained(draft)
    (draft / "model.safetensors").chmod(0o644)
    publish(draft, settings.out / "model")


# ------------------------------------------------------------------------------- sae


def load_bridge(settings: Settings) -> Any:
    """Load the model as the dashboards do."""
    from transformer_lens.model_bridge import TransformerBridge

    bridge = TransformerBridge.boot_transformers(str(settings.out / "model"), device="cpu")
    return bridge.eval()


def load_sae(settings: Settings) -> Any:
    """Load the autoencoder as the dashboards do."""
    from sae_lens import SAE

    return SAE.load_from_disk(str(settings.out / "sae"), device="cpu").eval()


@torch.no_grad()
def residuals(bridge: Any, rows: Tensor) -> Tensor:
    """Return what flows through the hook point: (rows, positions, width)."""
    kept: list[Tensor] = []
    bridge.run_with_hooks(
        rows.clamp(min=0),
        return_type=None,
        stop_at_layer=LAYER + 1,
        fwd_hooks=[(HOOK, lambda value, hook: kept.append(value.detach()))],
    )
    return kept[0]


def counted(rows: Tensor) -> Tensor:
    """Mark the positions that count: neither position 0 nor padding."""
    mask = rows >= 0
    mask[:, 0] = False
    return mask


def activations(bridge: Any, texts: list[Tokens], seed: int, size: int) -> Iterator[Tensor]:
    """Yield shuffled batches of residual vectors without end, position 0 left out."""
    pool: list[Tensor] = []
    generator = torch.Generator().manual_seed(seed)
    for rows in batches(texts, seed, 128):
        pool.append(residuals(bridge, rows)[counted(rows)])
        if len(pool) == 16:
            mixed = torch.cat(pool)
            mixed = mixed[torch.randperm(len(mixed), generator=generator)]
            yield from mixed[: len(mixed) // size * size].split(size)
            pool = []


def new_sae(width: int, active: float) -> Any:
    """Return an untrained BatchTopK autoencoder; SAELens saves it as a JumpReLU one."""
    from sae_lens import BatchTopKTrainingSAE, BatchTopKTrainingSAEConfig
    from sae_lens.saes.sae import SAEMetadata

    metadata = SAEMetadata(
        model_name="python-prose",
        hook_name=HOOK,
        context_size=CONTEXT,
        prepend_bos=True,
        dataset_path="Python standard library sources, docstrings and language reference",
    )
    config = BatchTopKTrainingSAEConfig(
        d_in=width,
        d_sae=LATENTS,
        k=active,
        device="cpu",
        normalize_activations="expected_average_only_in",
        metadata=metadata,
    )
    return BatchTopKTrainingSAE(config)


@torch.no_grad()
def start_from(sae: Any, vectors: Tensor) -> None:
    """Begin with the directions of real vectors, which leaves fewer latents dead.

    The trainer scales its input to a mean norm of sqrt(width), so this does the same.
    """
    vectors = vectors * (vectors.shape[1] ** 0.5 / vectors.norm(dim=1).mean())
    centre = vectors.mean(0)
    picked = vectors[torch.randperm(len(vectors))[:LATENTS]]
    sae.b_dec.copy_(centre)
    sae.W_dec.copy_(0.1 * F.normalize(picked - centre, dim=1))
    sae.W_enc.copy_(sae.W_dec.T)


def train_sae(settings: Settings, tokens: int, active: float, rate: float) -> None:
    """Train the autoencoder with SAELens' trainer and save it in SAELens' format."""
    from sae_lens.config import SAETrainerConfig
    from sae_lens.training.sae_trainer import SAETrainer

    size = 1024
    steps = tokens // size
    bridge = load_bridge(settings)
    sae = new_sae(bridge.cfg.d_model, active)
    started = time.monotonic()
    stream = activations(bridge, tokenize(settings, "train"), settings.seed + 1, size)
    start_from(sae, torch.cat([next(stream) for _ in range(10)]))
    config = SAETrainerConfig(
        total_training_samples=steps * size,
        train_batch_size_samples=size,
        lr=rate,
        lr_end=rate / 10,
        lr_warm_up_steps=steps // 20,
        lr_decay_steps=steps // 3,
        dead_feature_window=100,
        feature_sampling_window=500,
        n_batches_for_norm_estimate=50,
    )
    SAETrainer(cfg=config, sae=sae, data_provider=stream).fit()
    draft = settings.out / ".sae.draft"
    sae.save_inference_model(draft)
    publish(draft, settings.out / "sae")
    value = {
        "hook": HOOK,
        "latents": LATENTS,
        "tokens_seen": steps * size,
        "minutes": round((time.monotonic() - started) / 60, 1),
        "threads": torch.get_num_threads(),
    }
    record(settings, "sae", value)


# -------------------------------------------------------------------------- clusters


@dataclass
class Firing:
    """Where the latents fire in some rows."""

    rows: Tensor
    peaks: Tensor  # (rows, latents): the strongest activation in each row
    count: Tensor  # (latents,): positions with a positive activation
    mass: Tensor  # (latents, vocabulary): activation summed by the token it falls on


@torch.no_grad()
def firing(settings: Settings, rows: Tensor) -> Firing:
    """Run the model and the autoencoder over rows and keep what the other stages need."""
    bridge, sae = load_bridge(settings), load_sae(settings)
    peaks, count = [], torch.zeros(LATENTS)
    mass = torch.zeros(bridge.cfg.d_vocab, LATENTS)
    for part in rows.split(128):
        acts = sae.encode(residuals(bridge, part)) * counted(part)[..., None]
        peaks.append(acts.amax(1))
        count += (acts > 0).sum((0, 1))
        mass.index_add_(0, part.clamp(min=0).flatten(), acts.flatten(0, 1))
    return Firing(rows, torch.cat(peaks), count, mass.T.contiguous())


def sample_rows(settings: Settings, size: int) -> Tensor:
    """Return a fixed sample: training rows first, and all validation rows after them."""
    rng = np.random.default_rng(settings.seed + 2)
    train = training_rows(tokenize(settings, "train"), rng)[:size]
    return torch.cat([train, fixed_rows(tokenize(settings, "validation"))])


def label_of(number: int, members: list[int], found: Firing, tokenizer: Any) -> str:
    """Name a cluster by the tokens its members fire on, for example `07 self cls`."""
    share = found.mass[members]
    share = (share / share.sum(1, keepdim=True).clamp(min=1e-9)).sum(0)
    words: list[str] = []
    for token in share.topk(12).indices.tolist():
        text = tokenizer.decode([token])
        word = {"\n": "newline"}.get(text, "spaces" if not text.strip() else text.strip())
        if word.isprintable() and "\ufffd" not in word and word not in words:
            words.append(word)
    return f"{number:02d} {' '.join(words[:3])}"


def build_clusters(settings: Settings, groups_wanted: int) -> None:
    """Join latents whose decoder directions are close, by Ward linkage on unit vectors."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(settings.out / "model")
    found = firing(settings, sample_rows(settings, SAMPLE))
    alive = torch.nonzero(found.count > 0).flatten()
    directions = F.normalize(load_sae(settings).W_dec.detach()[alive], dim=1)
    tree = linkage(directions.numpy(), method="ward")
    groups: dict[int, list[int]] = {}
    for latent, group in zip(
        alive.tolist(), fcluster(tree, groups_wanted, "maxclust"), strict=True
    ):
        groups.setdefault(int(group), []).append(latent)
    kept = sorted((g for g in groups.values() if 3 <= len(g) <= 20), key=len, reverse=True)
    clusters = {
        label_of(number, members, found, tokenizer): [f"{SOURCE}:{i}" for i in members]
        for number, members in enumerate(kept)
    }
    value = {"name": "decoder-directions", "iteration": 0, "clusters": clusters}
    write_json(settings.out / "clusters.json", value)
    sizes = [len(g) for g in kept]
    record(
        settings,
        "clusters",
        {
            "clusters": len(kept),
            "groups": len(groups),
            "sample_tokens": int(counted(found.rows).sum()),
            "smallest": min(sizes),
            "largest": max(sizes),
            "latents_in_a_cluster": sum(sizes),
            "latents_alive": len(alive),
        },
    )


# ---------------------------------------------------------------------------- report


def ngram_losses(train: list[Tokens], rows: Tensor, vocabulary: int) -> dict[str, float]:
    """Loss of a unigram and a bigram model of the training documents, on the same tokens.

    The bigram falls back on the unigram as Witten and Bell do: the more different tokens
    follow a token, the more weight its fallback has.
    """
    single = np.ones(vocabulary)
    pairs: Counter[tuple[int, int]] = Counter()
    for row in (row for text in train for row in cut(text.ids)):
        real = [each for each in row if each >= 0]
        np.add.at(single, real[1:], 1)
        pairs.update(pairwise(real))
    unigram = single / single.sum()
    total, kinds = np.zeros(vocabulary), np.zeros(vocabulary)
    for (token, _), number in pairs.items():
        total[token] += number
        kinds[token] += 1
    before, after = rows[:, :-1].flatten().numpy(), rows[:, 1:].flatten().numpy()
    before, after = before[after >= 0], after[after >= 0]
    seen = np.array([pairs[pair] for pair in zip(before.tolist(), after.tolist(), strict=True)])
    weight = np.maximum(kinds[before], 1)
    bigram = (seen + weight * unigram[after]) / (total[before] + weight)
    return {
        "unigram_loss": float(-np.log(unigram[after]).mean()),
        "bigram_loss": float(-np.log(bigram).mean()),
    }


@torch.no_grad()
def total_loss(bridge: Any, rows: Tensor, change: Callable[[Tensor], Tensor] | None) -> float:
    """Sum of the loss of the rows, with the residuals after position 0 changed if asked."""

    def splice(value: Tensor, hook: Any) -> Tensor:
        assert change is not None
        return torch.cat([value[:, :1], change(value[:, 1:])], dim=1)

    hooks = [(HOOK, splice)] if change is not None else []
    logits = bridge.run_with_hooks(rows.clamp(min=0), return_type="logits", fwd_hooks=hooks)
    return next_token_loss(logits, rows, "sum").item()


def mean_loss(bridge: Any, rows: Tensor, change: Callable[[Tensor], Tensor] | None = None) -> float:
    """Mean loss over the real tokens of rows."""
    total = math.fsum(total_loss(bridge, part, change) for part in rows.split(64))
    return total / int((rows[:, 1:] >= 0).sum())


@torch.no_grad()
def reconstruction(bridge: Any, sae: Any, rows: Tensor) -> dict[str, float]:
    """Measure how many latents fire and how much of the variance they explain."""
    vectors = torch.cat([residuals(bridge, part)[counted(part)] for part in rows.split(128)])
    active, error = 0, 0.0
    for part in vectors.split(8192):
        acts = sae.encode(part)
        active += int((acts > 0).sum())
        error += float((part - sae.decode(acts)).square().sum())
    variance = float((vectors - vectors.mean(0)).square().sum())
    return {"l0": active / len(vectors), "explained_variance": 1 - error / variance}


def report(settings: Settings) -> None:
    """Measure everything on the validation documents, from the files as they are delivered."""
    bridge, sae = load_bridge(settings), load_sae(settings)
    texts = tokenize(settings, "validation")
    rows = fixed_rows(texts)
    plain = mean_loss(bridge, rows)
    spliced = mean_loss(bridge, rows, lambda x: sae.decode(sae.encode(x)))
    zeroed = mean_loss(bridge, rows, torch.zeros_like)
    found = firing(settings, sample_rows(settings, SAMPLE))
    sampled = int(counted(found.rows).sum())
    values: dict[str, Any] = {
        "validation_tokens": int(counted(rows).sum()),
        "loss": plain,
        **ngram_losses(tokenize(settings, "train"), rows, bridge.cfg.d_vocab),
        "loss_by_kind": {
            kind: mean_loss(bridge, fixed_rows([t for t in texts if t.document.kind == kind]))
            for kind in REPEATS
        },
        **reconstruction(bridge, sae, rows),
        "loss_with_reconstruction": spliced,
        "loss_with_zeros": zeroed,
        "loss_recovered": (zeroed - spliced) / (zeroed - plain),
        "firing_sample_tokens": sampled,
        "dead_latents": int((found.count == 0).sum()),
        "dead_share": float((found.count == 0).float().mean()),
        "median_density": float((found.count / sampled).median()),
        "latents_over_10_percent": int((found.count / sampled > 0.1).sum()),
    }
    record(settings, "evaluation", values)


# ------------------------------------------------------------------------------ look


@torch.no_grad()
def show(settings: Settings, latents: list[int], size: int, sample: int) -> None:
    """Print the strongest rows of latents, and some rows drawn evenly from weaker ones."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(settings.out / "model")
    bridge, sae = load_bridge(settings), load_sae(settings)
    found = firing(settings, sample_rows(settings, sample))
    density = found.count / int(counted(found.rows).sum())
    for latent in latents:
        peaks = found.peaks[:, latent]
        order = peaks.argsort(descending=True)[: int((peaks > 0).sum())]
        spread = order[size :: max(1, len(order) // 5)][:5]
        tokens = [tokenizer.decode([t]) for t in found.mass[latent].topk(8).indices.tolist()]
        click.echo(f"\n=== latent {latent}: density {density[latent]:.2%}, mostly on {tokens}")
        for row in found.rows[torch.cat([order[:size], spread])]:
            acts = sae.encode(residuals(bridge, row[None]))[0, :, latent] * counted(row[None])[0]
            place = int(acts.argmax())
            before = tokenizer.decode(row[max(1, place - 22) : place].tolist())
            after = tokenizer.decode(row[place + 1 : place + 9].clamp(min=0).tolist())
            text = f"{before}[[{tokenizer.decode([int(row[place])])}]]{after.replace(BOS, '')}"
            click.echo(f"  {acts[place]:6.2f}  {text!r}")


# ----------------------------------------------------------------------- command line


@click.group(chain=True)
@click.option(
    "--work",
    type=click.Path(path_type=Path),
    default=Path(tempfile.gettempdir()) / "python-prose",
    help="Folder for the corpus and the tokenizer, which are not delivered.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    default=Path(__file__).resolve().parent,
    help="Folder that gets model/, sae/, clusters.json and report.json.",
)
@click.option("--seed", default=0, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.pass_context
def cli(context: click.Context, work: Path, out: Path, seed: int, threads: int) -> None:
    """Make the python-prose example, one stage after the other."""
    torch.manual_seed(seed)
    torch.set_num_threads(threads)
    out.mkdir(parents=True, exist_ok=True)
    context.obj = Settings(work, out, seed)


@cli.command("corpus")
@click.pass_obj
def corpus_command(settings: Settings) -> None:
    """Collect the text."""
    build_corpus(settings)


@cli.command("tokenizer")
@click.option("--vocabulary", default=4096, show_default=True)
@click.pass_obj
def tokenizer_command(settings: Settings, vocabulary: int) -> None:
    """Train the tokenizer."""
    build_tokenizer(settings, vocabulary)


@cli.command("model")
@click.option("--tokens", default=14_000_000, show_default=True, help="Tokens to train on.")
@click.option("--minutes", default=60.0, show_default=True, help="End after this time at most.")
@click.option("--batch", default=32, show_default=True, help="Rows in a batch.")
@click.option("--rate", default=5e-3, show_default=True, help="Highest learning rate.")
@click.option("--fuse", is_flag=True, help="Use torch.compile; needs a C++ compiler.")
@click.pass_obj
def model_command(
    settings: Settings, tokens: int, minutes: float, batch: int, rate: float, fuse: bool
) -> None:
    """Train the transformer."""
    train_model(settings, batch, rate, Limit(tokens, minutes), fuse)


@cli.command("sae")
@click.option("--tokens", default=2_000_000, show_default=True, help="Tokens to train on.")
@click.option("--active", default=20.0, show_default=True, help="Latents per token, on average.")
@click.option("--rate", default=1e-3, show_default=True, help="Highest learning rate.")
@click.pass_obj
def sae_command(settings: Settings, tokens: int, active: float, rate: float) -> None:
    """Train the sparse autoencoder."""
    train_sae(settings, tokens, active, rate)


@cli.command("clusters")
@click.option("--groups", default=80, show_default=True, help="Groups to cut the tree into.")
@click.pass_obj
def clusters_command(settings: Settings, groups: int) -> None:
    """Group the latents."""
    build_clusters(settings, groups)


@cli.command("report")
@click.pass_obj
def report_command(settings: Settings) -> None:
    """Measure the model and the autoencoder."""
    report(settings)


@cli.command("look")
@click.argument("latents", type=int, nargs=-1, required=True)
@click.option("--texts", default=10, show_default=True, help="Strongest rows to print.")
@click.option("--sample", default=SAMPLE, show_default=True, help="Training rows to search.")
@click.pass_obj
def look_command(settings: Settings, latents: tuple[int, ...], texts: int, sample: int) -> None:
    """Print where some latents fire."""
    show(settings, list(latents), texts, sample)


if __name__ == "__main__":
    cli()
