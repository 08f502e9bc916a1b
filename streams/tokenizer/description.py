"""The JSON description of a tokenizer: its hash, and building it anew with other names."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from tokenizers import Tokenizer as Backend

Description = dict[str, Any]
# What decides which ids a text becomes. The rest says what goes around it or how to show it.
_DECIDING = ("model", "added_tokens", "normalizer", "pre_tokenizer")


def describe(backend: Backend) -> Description:
    """Return the description that the ``tokenizers`` library writes into tokenizer.json."""
    found: Description = json.loads(backend.to_str())
    # Old files leave the type of their model out, and so did old versions of the library.
    found["model"].setdefault("type", type(backend.model).__name__)
    return found


def tokenizer_id(description: Description) -> str:
    """Return a hash of what a tokenizer does, 32 hexadecimal digits.

    Settings that are null or off count as absent, and merges count as pairs, so that the hash does
    not change with the version of the library that wrote the description.
    """
    deciding = {part: _plain(description.get(part)) for part in _DECIDING}
    merges = description["model"].get("merges")
    if merges:
        deciding["model"]["merges"] = [
            merge.split(" ") if isinstance(merge, str) else merge for merge in merges
        ]
    text = json.dumps(deciding, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _plain(v) for k, v in value.items() if v is not None and v is not False}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    return value


def rebuild(description: Description, names: Mapping[str, str]) -> Backend:
    """Return the tokenizer with some tokens under other names and nothing put around texts."""
    model = dict(description["model"])
    vocabulary = model["vocab"]
    if isinstance(vocabulary, dict):
        model["vocab"] = {names.get(piece, piece): number for piece, number in vocabulary.items()}
    else:
        model["vocab"] = [[names.get(piece, piece), score] for piece, score in vocabulary]
    added = [
        {**token, "content": names.get(token["content"], token["content"])}
        for token in description["added_tokens"]
    ]
    changed = {**description, "model": model, "added_tokens": added, "post_processor": None}
    return Backend.from_str(json.dumps(changed))


def part_types(part: Any) -> set[str]:
    """Return the types of a part of a description (a decoder, say) and of all within it."""
    if isinstance(part, list):
        return set().union(*map(part_types, part))
    if not isinstance(part, dict):
        return set()
    own = {part["type"]} if isinstance(part.get("type"), str) else set()
    return own.union(*map(part_types, part.values()))
