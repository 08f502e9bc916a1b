"""Train the dictionary of this example with SAELens' trainer; every stage goes on where it stopped.

python fetch.py --training            # the model, and more text than a run needs
python train_dictionary.py collect    # or --worker 0 --of 2, --worker 1 --of 2
python train_dictionary.py train --tokens 5000000
python measure.py                     # report.json
"""

from __future__ import annotations

import itertools
import json
from dataclasses import dataclass
from pathlib import Path

import activations
import click
import torch
from sae_lens import SAE
from sae_lens.config import SAETrainerConfig
from sae_lens.constants import ACTIVATION_SCALER_CFG_FILENAME, SAE_WEIGHTS_FILENAME
from sae_lens.saes.sae import SAEMetadata
from sae_lens.saes.topk_sae import TopKTrainingSAE, TopKTrainingSAEConfig
from sae_lens.training.sae_trainer import SAETrainer
from safetensors.torch import load_file, save_file
from sparse_topk import SparseTopK

HERE = Path(__file__).resolve().parent
WORK = HERE.parents[1] / ".millrace" / "smollm2"
BATCH = 1024
RATE = 8e-4
WARM_UP = 100  # steps
DEAD_AFTER = 200  # steps without firing, some 200,000 tokens
CHECKPOINT_EVERY = 250_000  # tokens
READ = "files-read.txt"  # beside the checkpoints: which files of activations were read


@dataclass(frozen=True)
class Shape:
    """How large a dictionary is, and how many of its latents may be active at a token."""

    latents: int = 4096
    active: int = 32


def new_sae(shape: Shape, width: int) -> TopKTrainingSAE:
    """Return the untrained dictionary with SAELens' initial weights."""
    config = TopKTrainingSAEConfig(
        d_in=width,
        d_sae=shape.latents,
        k=shape.active,
        apply_b_dec_to_input=False,
        normalize_activations="expected_average_only_in",
        device="cpu",
        metadata=SAEMetadata(
            model_name="SmolLM2-135M-Instruct",
            hook_name=activations.HOOK,
            context_size=activations.CONTEXT,
            prepend_bos=True,
        ),
    )
    return SparseTopK(config)


def start_from_residuals(trainer: SAETrainer, store: Path) -> None:
    """Point decoder and encoder along real residuals, and centre both on their mean.

    A direction that occurs in the text is in use from the first step, which a short training needs.
    """
    sae = trainer.sae
    some = -(-sae.cfg.d_sae // BATCH)
    sample = torch.cat(list(itertools.islice(activations.batches(store, BATCH, seed=1), some)))
    scale = sae.cfg.d_in**0.5 / sample.norm(dim=1).mean()
    trainer.activation_scaler.scaling_factor = float(scale)
    sample *= scale
    mean = sample.mean(0)
    directions = torch.nn.functional.normalize(sample[: sae.cfg.d_sae] - mean)
    with torch.no_grad():
        sae.W_dec.copy_(directions * sae.W_dec.norm(dim=1, keepdim=True))
        # The rule looks at the encoder's products times the decoder's norm.
        sae.W_enc.copy_(directions.T / sae.W_dec.norm(dim=1))
        sae.b_dec.copy_(mean)
        sae.b_enc.copy_(-mean @ sae.W_enc)
        # Directions overlap, so that their sum is too long: the factor that fits best.
        some = sample[:BATCH]
        rebuilt = sae.decode(sae.encode(some)) - mean
        factor = ((some - mean) * rebuilt).sum() / rebuilt.pow(2).sum()
        sae.W_enc *= factor
        sae.b_enc *= factor


def newest(checkpoints: Path) -> Path | None:
    """Return the newest finished checkpoint, if there is one; the scaler is its last file."""
    finished = checkpoints.glob(f"*/{ACTIVATION_SCALER_CFG_FILENAME}")
    return max((file.parent for file in finished), key=lambda path: int(path.name), default=None)


def train(store: Path, checkpoints: Path, tokens: int, shape: Shape) -> TopKTrainingSAE:
    """Train until `tokens` activations were seen, going over the stored ones as often as needed.

    What is stored meanwhile is taken in from the next pass on.
    """
    resumed = newest(checkpoints)
    steps = tokens // BATCH
    config = SAETrainerConfig(
        total_training_samples=tokens,
        train_batch_size_samples=BATCH,
        lr=RATE,
        lr_end=RATE / 20,
        lr_scheduler_name="constant",
        lr_warm_up_steps=min(WARM_UP, steps // 10),
        lr_decay_steps=steps // 2,
        dead_feature_window=DEAD_AFTER,
        n_checkpoints=tokens // CHECKPOINT_EVERY,
        checkpoint_path=str(checkpoints),
    )
    checkpoints.mkdir(parents=True, exist_ok=True)
    seed = int(resumed.name) if resumed else 0
    provider = activations.batches(store, BATCH, seed, checkpoints / READ)
    width = next(activations.batches(store, BATCH, seed=0)).shape[1]
    sae = new_sae(shape, width)
    if resumed:
        sae.load_state_dict(TopKTrainingSAE.load_from_disk(resumed).state_dict())
    trainer = SAETrainer(config, sae, provider)
    if resumed:
        trainer.load_trainer_state(resumed)
        seen = trainer.n_training_samples
        trainer.checkpoint_thresholds = [at for at in trainer.checkpoint_thresholds if at > seen]
    else:
        start_from_residuals(trainer, store)
    return trainer.fit()


def save_bfloat16(sae: TopKTrainingSAE, folder: Path) -> None:
    """Save the SAE for inference, its weights as bfloat16, and read it back by SAELens."""
    sae.save_inference_model(folder)
    weights = folder / SAE_WEIGHTS_FILENAME
    save_file({name: w.bfloat16() for name, w in load_file(weights).items()}, weights)
    SAE.load_from_disk(folder, device="cpu")


@click.group()
@click.option("--work", type=click.Path(path_type=Path), default=WORK, show_default=True)
@click.option("--threads", default=2, show_default=True)
@click.pass_context
def cli(context: click.Context, work: Path, threads: int) -> None:
    """Train the dictionary, one stage after the other."""
    torch.set_num_threads(threads)
    context.obj = work


@cli.command("collect")
@click.option("--tokens", default=5_500_000, show_default=True, help="Activations to store.")
@click.option("--worker", default=0, show_default=True, help="Which of the workers this is.")
@click.option("--of", default=1, show_default=True, help="Workers at once.")
@click.pass_obj
def collect_command(work: Path, tokens: int, worker: int, of: int) -> None:
    """Run the first blocks over the training text and store the residuals, 1.2 kB a token."""
    activations.collect(work / "model", work / "packages", work / "activations", tokens, worker, of)


@cli.command("train")
@click.option("--tokens", default=5_000_000, show_default=True, help="Activations to train on.")
@click.option("--latents", default=Shape.latents, show_default=True)
@click.option("--active", default=Shape.active, show_default=True, help="Active ones at a token.")
@click.option("--out", type=click.Path(path_type=Path), default=HERE / "sae", show_default=True)
@click.pass_obj
def train_command(work: Path, tokens: int, latents: int, active: int, out: Path) -> None:
    """Train, and save the dictionary with how it was trained."""
    torch.manual_seed(0)
    sae = train(work / "activations", work / "checkpoints", tokens, Shape(latents, active))
    save_bfloat16(sae, out)
    read = (work / "checkpoints" / READ).read_text(encoding="utf-8").split()
    distinct = activations.stored_tokens(work / "activations" / name for name in {*read})
    training = {"tokens_trained_on": tokens, "distinct_tokens": min(tokens, distinct)}
    (work / "training.json").write_text(json.dumps(training, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    cli()
