"""Loading a tokenizer as ``AutoTokenizer`` would, without importing it where that can be spared."""

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer as Backend

from streams.errors import ModelError
from streams.hub_errors import out_of_reach
from streams.tokenizer.python_tokenizer import python_tokenizer
from streams.tokenizer.tokenizer import Tokenizer, make_tokenizer

_PLAIN_CLASSES = ("TokenizersBackend", "PreTrainedTokenizerFast")
_NAMED = ("bos", "eos", "unk", "sep", "pad", "cls", "mask")
# Settings by which AutoTokenizer makes something else of tokenizer.json than what it says.
_CHANGES = (
    "add_bos_token",
    "add_eos_token",
    "added_tokens_decoder",
    "additional_special_tokens",
    "auto_map",
    "extra_special_tokens",
    "split_special_tokens",
)
# Above this size it may mend the pre-tokenizers of a family of models.
_LARGEST_PLAIN = 100_000


def load_tokenizer(location: str) -> Tokenizer:
    """Return the tokenizer of a model by hub name or local folder; no code of the model is run.

    Raises ModelError, in one line, if there is none or it cannot be used.
    """
    folder = Path(location).expanduser()
    if folder.is_dir():
        _refuse_devices(folder)
        plain = _load_plain(folder, location)
        return _load_auto(str(folder), location) if plain is None else plain
    if folder.exists() or location.startswith(("/", "./", "../", "~")):
        raise ModelError(f"tokenizer: {location} is no folder; name a model or a folder with one")
    return _load_auto(location, location)


def _refuse_devices(folder: Path) -> None:
    """Raise ModelError if what should be a file of a tokenizer is none (a FIFO never ends)."""
    for name in ("tokenizer_config.json", "config.json", "tokenizer.json"):
        file = folder / name
        if file.exists() and not file.is_file():
            raise ModelError(f"tokenizer: {file} is no regular file")


def _load_plain(folder: Path, location: str) -> Tokenizer | None:
    """Return the tokenizer that tokenizer.json describes if AutoTokenizer adds nothing to it.

    That saves four seconds of imports. Anything out of the ordinary is left to AutoTokenizer.
    """
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
        if config.get("tokenizer_class") not in _PLAIN_CLASSES:
            return None
        if any(config.get(name) for name in _CHANGES):
            return None
        backend = Backend.from_file(str(folder / "tokenizer.json"))
    except Exception:  # the library raises nothing narrower; AutoTokenizer will say what is wrong
        return None
    names = _named_ids(backend, {name: config.get(f"{name}_token") for name in _NAMED})
    added = backend.get_added_tokens_decoder()
    ordinary = all(number in added and added[number].special for number in names.values())
    named = sum(config.get(f"{name}_token") is not None for name in _NAMED)
    if not ordinary or len(names) < named or backend.get_vocab_size() > _LARGEST_PLAIN:
        return None
    return make_tokenizer(location, backend, names)


def _load_auto(name: str, location: str) -> Tokenizer:
    loaded = load_auto(name, location)
    if not loaded.is_fast:
        return python_tokenizer(location, loaded)
    backend: Backend = loaded.backend_tokenizer
    tokens = {name: getattr(loaded, f"{name}_token", None) for name in _NAMED}
    return make_tokenizer(location, backend, _named_ids(backend, tokens))


def load_auto(name: str, location: str) -> Any:
    """Return what ``AutoTokenizer`` loads; ModelError, in one line, if it cannot."""
    with _quiet():
        try:
            from transformers import AutoTokenizer

            return AutoTokenizer.from_pretrained(name, trust_remote_code=False)
        except Exception as error:  # whatever the library raises, the tokenizer cannot be had
            raise ModelError(
                f"tokenizer: cannot load {location} ({_reason(error)}); give a hub model or a "
                "local folder with a tokenizer"
            ) from error


def _named_ids(backend: Backend, tokens: dict[str, Any]) -> dict[str, int]:
    found = {}
    for name, token in tokens.items():
        content = token.get("content") if isinstance(token, dict) else token
        number = None if content is None else backend.token_to_id(str(content))
        if number is not None:
            found[name] = number
    return found


def _reason(error: Exception) -> str:
    """Return the first sentence of what a library said."""
    if away := out_of_reach(error):
        return away
    text = str(error).strip() or type(error).__name__
    if "trust_remote_code" in text:
        return "it needs code that comes with it (auto_map), which is never run"
    return text.splitlines()[0].split(". ")[0].rstrip(".: ")


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the libraries from logging what we are about to say in one line."""
    loggers = [logging.getLogger(name) for name in ("transformers", "huggingface_hub")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
