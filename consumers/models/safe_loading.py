"""Weights from safetensors alone, and no code that comes with a model.

A folder may hold pickled weights beside a file that only looks like safetensors, an index that
leads out of it, or a configuration that names Python files (``auto_map``): none of it is used.
Where transformers has the architecture itself, its own class is taken instead of those files.
"""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Never

from streams.bounds import shown
from streams.errors import ModelError
from streams.regular_files import read_bounded
from streams.strict_json import JsonError, parse_json

_WEIGHTS, _INDEX = "model.safetensors", "model.safetensors.index.json"
_SIZES = "config.json"
_CONFIGS = (_SIZES, "tokenizer_config.json", "processor_config.json")
_PICKLED = (".bin", ".pt", ".pth", ".ckpt")
_MOST_BYTES = 64 * 2**20
_LAYERS = ("num_hidden_layers", "n_layer", "n_layers", "num_layers")
_MOST_LAYERS = 1024
_MOST = 2**40  # numbers of a configuration that are sizes are far below
_TORCH_LOADS = {"weights_only": True}


def check_model_folder(folder: Path) -> None:
    """Raise ModelError unless the weights of a folder are safetensors and it asks for no code."""
    for name in _CONFIGS:
        if (folder / name).is_file():
            _check_config(folder, name)
    if (folder / _WEIGHTS).is_file():
        return
    if (folder / _INDEX).is_file():
        _check_index(folder)
        return
    pickled = sorted(path.name for path in folder.iterdir() if path.suffix in _PICKLED)
    what = f"only {', '.join(pickled)}" if pickled else f"no weights (no {_WEIGHTS})"
    raise ModelError(
        f"model folder {folder} has {what}: weights are read from safetensors alone, "
        "since pickled ones can run code; if you trust them, convert them once: "
        "transformers.AutoModelForCausalLM.from_pretrained(FOLDER).save_pretrained(NEW_FOLDER)"
    )


def read_object(file: Path, most: int = _MOST_BYTES) -> dict[str, Any]:
    """Return the JSON object of a file; raises ModelError that names the file."""
    try:
        # Configurations of state-space models hold Infinity where there is no limit.
        found = parse_json(read_bounded(file, most), most, finite=False)
    except OSError as error:
        raise ModelError(f"{file}: {error.strerror or 'cannot be read'}") from error
    except JsonError as error:
        raise ModelError(f"{file} {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} holds no JSON object")
    return found


def _check_config(folder: Path, name: str) -> None:
    config = read_object(folder / name)
    for part in (config, *(value for value in config.values() if isinstance(value, dict))):
        for key, value in part.items():
            most = _MOST_LAYERS if key in _LAYERS else _MOST
            if name == _SIZES and type(value) is int and abs(value) > most:
                raise ModelError(f"{folder / name}: {key} is {shown(value)}, more than {most:,}")
    if name == _SIZES and config.get("auto_map"):
        _check_native(folder / name, config.get("model_type"))
    named = config.get("transformers_weights")
    if named is not None and named not in (_WEIGHTS, _INDEX):
        raise ModelError(f"{folder / name} names other weights ({shown(named)}) than {_WEIGHTS}")


def _check_native(file: Path, kind: object) -> None:
    """Raise ModelError unless transformers itself has the architecture of a configuration.

    Many folders of known architectures still name the code that they were first published with.
    """
    from transformers import CONFIG_MAPPING

    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        raise ModelError(
            f"{file} asks for code that comes with the model (auto_map), which is never run, and "
            f"this transformers has no architecture of its own for model_type {shown(str(kind))}"
        )


def _check_index(folder: Path) -> None:
    listed = read_object(folder / _INDEX).get("weight_map")
    if not isinstance(listed, dict) or not listed:
        raise ModelError(f"{folder / _INDEX} has no weight_map")
    for name in dict.fromkeys(map(str, listed.values())):
        plain = name.endswith(".safetensors") and not set(name) & set("/\\\0")
        if not plain or not (folder / name).is_file():
            raise ModelError(
                f"{folder / _INDEX} names {shown(name)}, which is no safetensors file in the folder"
            )


@contextmanager
def safetensors_only() -> Iterator[None]:
    """Have transformers read safetensors alone and run no code of a model while the block runs.

    Also for models by their name, and where a library would ask otherwise by itself. What torch
    still unpickles (dictionaries that were published so) is limited to plain tensors.
    """
    import torch
    from transformers import PreTrainedModel, dynamic_module_utils

    usual = PreTrainedModel.__dict__["from_pretrained"]
    fetching, loading = dynamic_module_utils.get_cached_module_file, torch.load
    PreTrainedModel.from_pretrained = classmethod(_with(usual.__func__, use_safetensors=True))
    dynamic_module_utils.get_cached_module_file = _no_code
    torch.load = _with(loading, **_TORCH_LOADS)
    try:
        yield
    finally:
        PreTrainedModel.from_pretrained = usual
        dynamic_module_utils.get_cached_module_file = fetching
        torch.load = loading


def _with(function: Callable[..., Any], **always: Any) -> Callable[..., Any]:
    """Return a function that is called with some arguments in any case."""

    @functools.wraps(function)
    def called(*arguments: Any, **named: Any) -> Any:
        return function(*arguments, **{**named, **always})

    return called


def _no_code(*arguments: Any, **_: Any) -> Never:
    where = arguments[0] if arguments else "the model"
    raise ModelError(f"{where} asks for code that comes with it, which is never run")
