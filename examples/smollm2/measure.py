"""Measure the saved dictionary on text that it was not trained on, and write report.json.

    python measure.py --validation-rows 200 --firing-tokens 500000

Losses are in nats per token, over all predictions of a row but those of position 0, which keeps
its own residual when the others are replaced.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import activations
import click
import torch
from sae_lens import SAE
from torch import Tensor
from train_dictionary import HERE, WORK

Change = Callable[[Tensor], Tensor]


def replacing(change: Change) -> Callable[[Any, Any, Any], None]:
    """Return a hook that changes the residuals of a block in place, but for position 0."""

    def replace(_module: Any, _inputs: Any, output: Any) -> None:
        hidden = output[0] if isinstance(output, tuple) else output
        hidden[:, 1:] = change(hidden[:, 1:])

    return replace


@torch.inference_mode()
def losses(model: Path, rows: Tensor, changes: dict[str, Change]) -> dict[str, float]:
    """Return the model's loss with each change of the residuals at the hook, by its name."""
    from transformers import AutoModelForCausalLM

    whole = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32).eval()
    block = whole.model.layers[activations.BLOCK - 1]
    totals = dict.fromkeys(changes, 0.0)
    for batch in rows.split(8):
        for name, change in changes.items():
            hook = block.register_forward_hook(replacing(change))
            logits = whole(batch, use_cache=False).logits[:, 1:-1]
            hook.remove()
            flat = logits.reshape(-1, logits.shape[-1])
            found = torch.nn.functional.cross_entropy(flat, batch[:, 2:].reshape(-1))
            totals[name] += float(found) * len(batch)
    return {name: total / len(rows) for name, total in totals.items()}


@torch.inference_mode()
def reconstruction(sae: SAE, residuals: Tensor) -> dict[str, float]:
    """Return active latents per token, and the share of the residuals' variance that is kept."""
    latents = torch.cat([(sae.encode(part) > 0).sum(1) for part in residuals.split(4096)])
    rebuilt = torch.cat([sae.decode(sae.encode(part)) for part in residuals.split(4096)])
    missed = (residuals - rebuilt).pow(2).sum()
    spread = (residuals - residuals.mean(0)).pow(2).sum()
    return {"l0": float(latents.float().mean()), "explained_variance": float(1 - missed / spread)}


@torch.inference_mode()
def firing(sae: SAE, store: Path, tokens: int) -> dict[str, Any]:
    """Return how many latents never fire on so many stored activations, and how often others do."""
    counts, seen = torch.zeros(sae.cfg.d_sae), 0
    for batch in activations.batches(store, 4096, seed=2):
        counts += (sae.encode(batch) > 0).sum(0)
        seen += len(batch)
        if seen >= min(tokens, activations.stored_tokens(activations.part_files(store))) - 4096:
            break
    density = counts / seen
    return {
        "firing_sample_tokens": seen,
        "dead_latents": int((counts == 0).sum()),
        "median_density": float(density.median()),
        "latents_over_10_percent": int((density > 0.1).sum()),
    }


@click.command()
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--sae", "folder", type=click.Path(path_type=Path), default=HERE / "sae")
@click.option("--out", type=click.Path(path_type=Path), default=HERE / "report.json")
@click.option("--validation-rows", default=200, show_default=True)
@click.option("--firing-tokens", default=500_000, show_default=True)
@click.option("--threads", default=2, show_default=True)
def main(
    work: Path, folder: Path, out: Path, validation_rows: int, firing_tokens: int, threads: int
) -> None:
    """Measure the dictionary and write the report."""
    torch.set_num_threads(threads)
    sae = SAE.load_from_disk(folder, device="cpu")
    held_out = activations.documents(work / "packages", "validation")
    texts = [document.text[:2500] for document in held_out]  # a few rows of each
    rows = activations.rows(work / "model", texts, validation_rows)
    trunk = activations.first_blocks(work / "model")
    residuals = torch.cat([activations.residuals(trunk, part) for part in rows.split(32)])
    changes: dict[str, Change] = {
        "loss": lambda x: x,
        "loss_with_reconstruction": lambda x: sae.decode(sae.encode(x)),
        "loss_with_zeros": torch.zeros_like,
    }
    found: dict[str, float] = losses(work / "model", rows, changes)
    plain, zeros = found["loss"], found["loss_with_zeros"]
    report = {
        "model": "SmolLM2-135M-Instruct",
        "hook": activations.HOOK,
        "latents": sae.cfg.d_sae,
        **json.loads((work / "training.json").read_text(encoding="utf-8")),
        "validation_tokens": residuals.shape[0],
        **reconstruction(sae, residuals),
        **found,
        "loss_recovered": (zeros - found["loss_with_reconstruction"]) / (zeros - plain),
        **firing(sae, work / "activations", firing_tokens),
    }
    out.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    print(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
