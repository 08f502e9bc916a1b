"""Language models through transformer-lens: by name or from a local Hugging Face folder."""

import json
import logging
import re
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from consumers.models.devices import pick_device
from consumers.models.hooked_transformer import is_official_name, load_hooked_transformer
from consumers.models.language_model import Fidelity, LanguageModel, one_line
from consumers.models.published import Published, observe
from consumers.models.safe_loading import check_model_folder, safetensors_only
from consumers.models.text_part import load_text_part
from consumers.models.twins import NoTwinError, make_eager_twin
from streams.errors import InstallError, ModelError
from streams.no_installs import no_installs

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
_PROCESSING = ("fold_ln", "center_writing_weights", "center_unembed", "fold_value_biases")
_HUB_NAME = re.compile(r"[\w-][\w.-]*(/[\w-][\w.-]*)?")


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
    with (
        warnings.catch_warnings(),
        no_installs(f"loading model {location}"),
        safetensors_only(),
    ):
        warnings.simplefilter("ignore")
        net, options, fidelity = _boot(location, place, DTYPES[dtype], folder.is_dir(), processing)
    net.eval()
    vocabulary, context = int(net.cfg.d_vocab), int(net.cfg.n_ctx)
    names = tuple(sorted(net.hook_dict))
    processed = bool(processing)
    return LanguageModel(
        location,
        net,
        place,
        vocabulary,
        context,
        names,
        options,
        processed,
        fidelity=fidelity,
        warnings=_reads_prompts(location, net),
    )


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


def _reads_prompts(location: str, net: Any) -> tuple[str, ...]:
    """Return a warning for a model that was trained to see all of a prompt at each of its tokens.

    PaliGemma is one. Its eager code is causal where nobody says what the prompt is; its fused code
    is not.
    """
    config = getattr(getattr(net, "original_model", None), "config", None)
    text = None if config is None else config.get_text_config(decoder=True)
    if getattr(text, "use_bidirectional_attention", None) is not True:
        return ()
    return (
        f"{location} was trained on prompts whose tokens see each other in both directions "
        "(use_bidirectional_attention); here a token sees earlier ones alone, as in the answer "
        "that follows a prompt",
    )


def _check_folder(folder: Path) -> None:
    adapter = folder / "adapter_config.json"
    if adapter.is_file():
        base = _text(adapter, "base_model_name_or_path") or "another model"
        raise ModelError(
            f"{folder} holds an adapter (LoRA) for {base}, not a model: merge it into the model "
            "(peft's merge_and_unload) and save that with save_pretrained"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} is no Hugging Face model folder: it has no config.json")
    check_model_folder(folder)


def _text(file: Path, key: str) -> str:
    """Return a text of a JSON file, empty if there is none."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    value = found.get(key) if isinstance(found, dict) else None
    return value if isinstance(value, str) else ""


def _boot(
    location: str, device: torch.device, dtype: torch.dtype, local: bool, processing: Sequence[str]
) -> tuple[Any, dict[str, Any], Fidelity | None]:
    """Return the model, the options of its forward, and how true it is to the published code.

    A bridge first, HookedTransformer second.
    """
    from transformer_lens.model_bridge import TransformerBridge
    from transformers.utils import logging as hub_logging

    hub_logging.disable_progress_bar()
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    steps = {step: step in processing for step in _PROCESSING}
    try:
        own = _load_own(location, device, dtype)
        known = None if own is None else observe(own, *_sizes(own))
        net: Any = TransformerBridge.boot_transformers(
            location,
            device=device,
            dtype=dtype,
            tokenizer=_blank_tokenizer(),
            trust_remote_code=False,
            hf_model=own,
        )
    except (ModelError, InstallError):
        raise
    except Exception as error:  # whatever the libraries raise, the person gets one line
        if local or not is_official_name(location):
            what = f"cannot load model {location}"
            if not local:
                what = f"{location} is neither a model folder nor a name that can be loaded"
            raise ModelError(f"{what}: {one_line(error)}") from error
        return load_hooked_transformer(location, device, dtype, steps), {}, None
    config = net.original_model.config
    two_sided = config.is_encoder_decoder or "MaskedLM" in str(net.cfg.architecture)
    if two_sided or not net.adapter.supports_causal_loss:
        raise ModelError(f"{location} is no causal language model, so it cannot be used")
    fidelity = None if known is None else _fidelity(known, net)
    if processing:
        net.process_weights(**steps)
    return net, {"use_cache": False}, fidelity


def _load_own(location: str, device: torch.device, dtype: torch.dtype) -> Any | None:
    """Return transformers' own causal model with eager attention; None if it has none for this."""
    from transformers import AutoConfig, AutoModelForCausalLM
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING

    config = AutoConfig.from_pretrained(location, trust_remote_code=False)
    own = load_text_part(location, config, dtype)
    if own is None:
        if type(config) not in MODEL_FOR_CAUSAL_LM_MAPPING or config.is_encoder_decoder:
            return None
        own = AutoModelForCausalLM.from_pretrained(
            location,
            config=config,
            dtype=dtype,
            attn_implementation="eager",
            trust_remote_code=False,
            use_safetensors=True,
        )
    own.config.output_attentions = True  # for the hooks of attention patterns
    return own.to(device).eval().requires_grad_(False)


def _sizes(own: Any) -> tuple[int, int]:
    """Return how many ids a model knows and how many positions it takes, as far as it says so."""
    config = own.config
    limits = (getattr(config, key, None) for key in ("max_position_embeddings", "n_positions"))
    return int(config.vocab_size), min((n for n in limits if isinstance(n, int)), default=2**16)


def _fidelity(known: Published, net: Any) -> Fidelity:
    """Return how far transformer-lens, and transformers with its weights, are off."""
    never = (float("inf"),) * len(known.blocks)
    try:
        twin = known.gaps(make_eager_twin(net, ()).net)
    except NoTwinError:
        twin = never
    return Fidelity(known.gaps(net.original_model), twin)


def _blank_tokenizer() -> Any:
    """Return a tokenizer of one word: workers get ids, but the bridge insists on having one."""
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    one = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    return PreTrainedTokenizerFast(tokenizer_object=one, eos_token="?", unk_token="?")


def _words(names: Sequence[str]) -> str:
    return ", ".join(names) or "none"
