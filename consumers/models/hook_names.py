"""Hooks by the names that other tools give them: modules of transformers, words with a number."""

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from consumers.models.language_model import LanguageModel

# A block by its place in transformers' model, whatever its list is called, and a part of the block.
_MODULE = re.compile(
    r"(?:[\w.]+\.)?(?:layers?|h|blocks?|decoder\.layers)\.(\d+)"
    r"(?:\.(mlp|feed_forward|ffn|self_attn|attn|attention|self_attention))?"
    r"(?:\.(?:output|out|hook_out))?"
)
_PARTS = {None: "hook_resid_post", "mlp": "hook_mlp_out", "feed_forward": "hook_mlp_out"}
_PARTS |= {"ffn": "hook_mlp_out"}
# The usual names of what a block adds and what runs through it, with or without "hook_".
_WORDS = re.compile(r"(?<![a-z])(resid_pre|resid_mid|resid_post|attn_out|mlp_out|mlp_in)(?![a-z])")


def hook_named(name: str, model: LanguageModel) -> str:
    """Return the hook of a model that a name means; the name itself if it cannot be told.

    A module of transformers, or a block by its place in one, means what it gives out.
    """
    if name in model.hooks:
        return name
    return next((hook for hook in _meanings(name, model) if hook in model.hooks), name)


def _meanings(name: str, model: LanguageModel) -> Iterator[str]:
    """Yield the hooks that a name could mean, the surest first."""
    yield from _modules(model, name)
    if found := _MODULE.fullmatch(name):
        block, part = f"blocks.{found[1]}", found[2]
        yield f"{block}.{_PARTS.get(part, 'hook_attn_out')}"
        if part is None:
            yield f"{block}.hook_out"
    numbers = set(re.findall(r"(?<![a-zA-Z\d])[lL]?(\d+)(?!\d)", name.replace("_", ".")))
    words = _WORDS.findall(name.replace("hook_", ""))
    if len(numbers) == len(words) == 1:
        yield f"blocks.{numbers.pop()}.hook_{words[0]}"


def _modules(model: LanguageModel, name: str) -> Iterator[str]:
    """Yield the hook at what a module gives, if exactly one module has a path that ends so."""
    original = getattr(model.net, "original_model", None)
    if original is None:
        return
    wanted = name.removesuffix(".output")
    points: dict[str, Any] = {}
    for path, module in original.named_modules():
        bare = path.replace("._original_component", "")
        point = getattr(module, "hook_out", None)
        if point is not None and f".{bare}".endswith(f".{wanted}"):
            points.setdefault(bare, point)
    if len(points) == 1:
        (point,) = points.values()
        yield from _names(point, model.net.hook_dict)


def _names(point: Any, known: Mapping[str, Any]) -> Collection[str]:
    """Return the names of a hook point, the usual ones of the residual stream first."""
    return sorted(
        (name for name, other in known.items() if other is point),
        key=lambda name: (
            not name.endswith("hook_resid_post"),
            not name.startswith("blocks"),
            name,
        ),
    )
