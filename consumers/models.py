"""Language models through transformer-lens: load one, and read the values at its hooks."""

import difflib
import hashlib
import logging
import math
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from streams.errors import ModelError

log = logging.getLogger(__name__)

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_PROCESSING = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
_GATES = {
    "attn.hook_result": "set_use_attn_result",
    "hook_q_input": "set_use_split_qkv_input",
    "hook_k_input": "set_use_split_qkv_input",
    "hook_v_input": "set_use_split_qkv_input",
    "hook_mlp_in": "set_use_hook_mlp_in",
    "hook_attn_in": "set_use_attn_in",
}
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


class _AllSeen(Exception):
    """Raised inside the model when the last wanted hook has fired: nothing later is computed."""


@dataclass(frozen=True, slots=True, eq=False)
class LanguageModel:
    """A causal model on its device. hooks: every name that can be asked for.

    Weights are used as they were published unless a dictionary asks for processing, so a dictionary
    trained on a model with folded or centred weights must say so in its metadata.
    """

    location: str
    net: Any
    device: torch.device
    vocabulary: int
    context: int
    hooks: tuple[str, ...]
    options: Mapping[str, Any]

    def run(self, ids: Tensor, hooks: Sequence[str]) -> dict[str, Tensor]:
        """Return the value of each hook for ids [row, position], from one forward pass.

        The pass ends at the last of the hooks. Rows are padded on the right and carry no mask: in a
        causal model no token sees the padding. Raises ModelError for a hook that does not fire.
        """
        seen: dict[str, Tensor] = {}
        wanted = set(hooks)

        def keep(name: str) -> Any:
            def hook_function(value: Tensor, hook: Any) -> None:
                seen.setdefault(name, value)
                if len(seen) == len(wanted):
                    raise _AllSeen

            return hook_function

        with (
            torch.inference_mode(),
            self.net.hooks(fwd_hooks=[(name, keep(name)) for name in sorted(wanted)]),
        ):
            try:
                self.net(ids, return_type=None, **self.options)
            except _AllSeen:
                return seen
        silent = ", ".join(sorted(wanted - seen.keys()))
        raise ModelError(f"hook {silent} does not fire when {self.location} reads text")

    def widths(self, hooks: Iterable[str]) -> dict[str, int]:
        """Return how many values each hook has per token; [head, value] hooks count both.

        Raises ModelError for an unknown name, for a hook without one vector per token, and for a
        model in which a token sees later ones. Turns on hooks that transformer-lens keeps off.
        """
        names = sorted(set(hooks))
        for name in names:
            self._check_name(name)
            self._open(name)
        if not names:
            return {}
        short, long = (self._probe(names, length) for length in (3, 5))
        return {name: self._width(name, short[name], long[name]) for name in names}

    def content(self) -> str:
        """Return a hash of all parameters: names, types, shapes and bytes."""
        return content_of(self.net.named_parameters())

    def _check_name(self, name: str) -> None:
        if name not in self.hooks:
            raise ModelError(f"{self.location} has no hook {name!r}{close(name, self.hooks)}")

    def _open(self, name: str) -> None:
        for suffix, setter in _GATES.items():
            if name.endswith(suffix):
                getattr(self.net, setter)(True)

    def _probe(self, names: Sequence[str], length: int) -> dict[str, Tensor]:
        row = torch.arange(1, length + 1, device=self.device) % self.vocabulary
        return self.run(row.expand(2, -1), names)

    def _width(self, name: str, short: Tensor, long: Tensor) -> int:
        per_token = short.ndim in (3, 4) and short.shape[2:] == long.shape[2:]
        if not per_token or [*short.shape[:2], *long.shape[:2]] != [2, 3, 2, 5]:
            raise ModelError(
                f"hook {name} of {self.location} has no vector per token, but the shape "
                f"{list(long.shape)} for 2 rows of 5 tokens"
            )
        gap = (short.float() - long[:, :3].float()).norm()
        if gap > (1e-3 if short.dtype == torch.float32 else 0.05) * short.float().norm():
            raise ModelError(
                f"{self.location} is no causal language model: at {name} a token sees later ones, "
                "so that padding would change the numbers"
            )
        return math.prod(short.shape[2:])


def load_model(
    location: str, device: str = "auto", dtype: str = "float32", processing: Sequence[str] = ()
) -> LanguageModel:
    """Return the model that a transformer-lens name or a local Hugging Face folder stands for.

    processing: weight processing that a dictionary asks for, see ``processing_of``. Raises
    ModelError in one line for anything that cannot be loaded; no pickled weights are read.
    """
    if dtype not in DTYPES:
        raise ModelError(f"unknown model dtype {dtype!r}: take one of {', '.join(DTYPES)}")
    place = pick_device(device)
    folder = Path(location).expanduser()
    if folder.is_dir():
        _check_folder(folder)
        location = str(folder)
    elif not _HUB_NAME.fullmatch(location):
        raise ModelError(f"there is no model folder {location}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        net, options = _boot(location, place, DTYPES[dtype], folder.is_dir(), processing)
    net.eval()
    vocabulary, context = int(net.cfg.d_vocab), int(net.cfg.n_ctx)
    names = tuple(sorted(net.hook_dict))
    return LanguageModel(location, net, place, vocabulary, context, names, options)


def processing_of(wishes: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Return the weight processing that dictionaries ask for, by their name.

    Raises ModelError if they disagree or ask for what cannot be done here.
    """
    found: dict[tuple[str, ...], str] = {}
    for name, options in wishes.items():
        wanted = {key: value for key, value in options.items() if value not in (False, None)}
        for key, value in wanted.items():
            if key not in _PROCESSING or value is not True:
                raise ModelError(
                    f"dictionary {name!r} was trained on a model loaded with {key}={value!r}, "
                    "which Millrace cannot do"
                )
        found.setdefault(tuple(sorted(wanted)), name)
    if len(found) > 1:
        (one, first), (other, second) = list(found.items())[:2]
        raise ModelError(
            f"dictionaries {first!r} and {second!r} need different weights of the model "
            f"({_words(one)} against {_words(other)}): put them into two runs"
        )
    return next(iter(found), ())


def pick_device(wanted: str) -> torch.device:
    """Return the device for cpu, cuda, cuda:N, mps or auto; ModelError if it is not there."""
    has_mps = torch.backends.mps.is_available()
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "mps" if has_mps else "cpu")
    kind, _, number = wanted.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (number and not number.isdigit()):
        raise ModelError(f"unknown device {wanted!r}: take cpu, cuda, cuda:N, mps or auto")
    there = {"cpu": 1, "cuda": torch.cuda.device_count(), "mps": int(has_mps)}[kind]
    if int(number or 0) >= there:
        raise ModelError(f"this machine has no device {wanted}")
    return torch.device(wanted)


def content_of(tensors: Iterable[tuple[str, Tensor]], also: str = "") -> str:
    """Return a hash, 32 hexadecimal digits, of named tensors and of a text."""
    digest = hashlib.blake2b(also.encode(), digest_size=16)
    for name, tensor in sorted(tensors, key=lambda item: item[0]):
        digest.update(f"\0{name}\0{tensor.dtype}\0{list(tensor.shape)}\0".encode())
        flat = tensor.detach().reshape(-1).cpu().contiguous()
        digest.update(flat.view(torch.uint8).numpy())
    return digest.hexdigest()


def close(name: str, known: Iterable[str]) -> str:
    """Return the end of an error message that suggests names like ``name``."""
    like = difflib.get_close_matches(name, list(known), n=3, cutoff=0.5)
    return f"; close to it: {', '.join(like)}" if like else ""


def one_line(error: BaseException) -> str:
    """Return what an error of another library says, as one short line."""
    text = " ".join(str(error).split()) or type(error).__name__
    if len(text) > 200:
        text = text.split(". ")[0]
    return text if len(text) <= 200 else text[:197] + "..."


def _check_folder(folder: Path) -> None:
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no Hugging Face model folder: it has no config.json")
    if not any(folder.glob("*.safetensors")):
        pickled = sorted(p.name for p in folder.iterdir() if p.suffix in (".bin", ".pt", ".pth"))
        what = f"only {', '.join(pickled)}" if pickled else "no weights"
        raise ModelError(
            f"model folder {folder} has {what}: weights are read from safetensors alone, "
            "since pickled ones can run code"
        )


def _boot(
    location: str, device: torch.device, dtype: torch.dtype, local: bool, processing: Sequence[str]
) -> tuple[Any, dict[str, Any]]:
    """Return the model and the options of its forward: bridge first, HookedTransformer second."""
    from transformer_lens.model_bridge import TransformerBridge
    from transformers.utils import logging as hub_logging

    hub_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    steps = {step: step in processing for step in _PROCESSING}
    try:
        net: Any = TransformerBridge.boot_transformers(location, device=device, dtype=dtype)
    except Exception as error:  # whatever the libraries raise, the person gets one line
        if local or not _official(location):
            what = f"cannot load model {location}"
            if not local:
                what = f"{location} is neither a model folder nor a name that can be loaded"
            raise ModelError(f"{what}: {one_line(error)}") from error
        return _boot_hooked(location, device, dtype, steps), {}
    config = net.original_model.config
    two_sided = config.is_encoder_decoder or "MaskedLM" in str(net.cfg.architecture)
    if two_sided or not net.adapter.supports_causal_loss:
        raise ModelError(f"{location} is no causal language model, so it cannot be used")
    if processing:
        net.process_weights(**steps)
    return net, {"use_cache": False}


def _official(name: str) -> bool:
    from transformer_lens.supported_models import MODEL_ALIASES, OFFICIAL_MODEL_NAMES

    return name in OFFICIAL_MODEL_NAMES or any(name in names for names in MODEL_ALIASES.values())


def _boot_hooked(
    name: str, device: torch.device, dtype: torch.dtype, steps: Mapping[str, bool]
) -> Any:
    """Return a HookedTransformer of an official name that the bridge could not load."""
    from transformer_lens import HookedTransformer

    try:
        return HookedTransformer.from_pretrained_no_processing(
            name, device=device, dtype=dtype, **steps
        )
    except Exception as error:  # as in _boot
        raise ModelError(f"cannot load model {name}: {one_line(error)}") from error


def _words(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
