"""What a model's published code gives: the reference that every other forward is held against.

That is transformers' own class with eager attention. It is run before transformer-lens wraps it,
on rows of random tokens, and what each of its blocks gives is kept until the wrapped model was
compared.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from consumers.models.forwards import by_rows, first_tensor

_ROWS, _LENGTH = 2, 32


@dataclass(frozen=True, slots=True, eq=False)
class Published:
    """ids: random tokens [row, position]. blocks: what each block gives, by its path, in order."""

    ids: Tensor
    blocks: Mapping[str, Tensor]

    def gaps(self, net: nn.Module) -> tuple[float, ...]:
        """Return how far another model of the same modules is off after each block.

        Infinite from the first block on that it does not give, or where its code fails.
        """
        try:
            found = _outputs(net, self.ids, list(self.blocks))
        except Exception:  # whatever its code raises: it gives nothing that could be compared
            found = {}
        missing = torch.zeros(0)
        return tuple(
            difference(value, found.get(path, missing)) for path, value in self.blocks.items()
        )


def observe(net: nn.Module, vocabulary: int, context: int) -> Published | None:
    """Return what a Hugging Face model gives after its blocks; None if it has no list of blocks."""
    paths = _block_paths(net)
    if not paths:
        return None
    chance = torch.Generator().manual_seed(0)
    ids = torch.randint(vocabulary, (_ROWS, min(_LENGTH, context)), generator=chance)
    ids = ids.to(next(net.parameters()).device)
    return Published(ids, _outputs(net, ids, paths))


def difference(expected: Tensor, found: Tensor) -> float:
    """Return the largest distance between two vectors of a token, relative to their length.

    Both [row, position, ...]. Vectors shorter than the median count as if they had its length.
    Other shapes or types are infinitely different; NaN if one of the values is.
    """
    if (expected.shape, expected.dtype) != (found.shape, found.dtype):
        return float("inf")
    if not expected.is_floating_point():
        return 0.0 if torch.equal(expected, found) else float("inf")
    one, other = expected.flatten(2).float(), found.flatten(2).float()
    lengths = one.norm(dim=-1)
    scale = torch.maximum(lengths, lengths.median()).clamp_min(torch.finfo(torch.float32).tiny)
    return float(((one - other).norm(dim=-1) / scale).max())


def _block_paths(net: nn.Module) -> Sequence[str]:
    """Return the paths of a model's blocks: of the members of its longest list of modules."""
    lists = [(name, m) for name, m in net.named_modules() if isinstance(m, nn.ModuleList)]
    if not lists:
        return ()
    # The outermost of equally long ones: experts of a block are a list, too.
    path, blocks = max(lists, key=lambda found: (len(found[1]), -found[0].count(".")))
    layers = getattr(getattr(net, "config", None), "num_hidden_layers", None)
    same = [(name, m) for name, m in lists if len(m) == layers]
    if same:
        path, blocks = min(same, key=lambda found: found[0].count("."))
    return [f"{path}.{number}" for number in range(len(blocks))]


def _outputs(net: nn.Module, ids: Tensor, paths: Sequence[str]) -> dict[str, Tensor]:
    """Return [row, position, width] after each block of a path, as far as they are reached."""
    seen: dict[str, Tensor] = {}

    def keep(path: str) -> Any:
        def hook(_module: nn.Module, _given: Any, output: Any) -> None:
            seen.setdefault(path, by_rows(first_tensor(output), ids).clone())

        return hook

    handles = [net.get_submodule(path).register_forward_hook(keep(path)) for path in paths]
    try:
        with torch.inference_mode():
            net(input_ids=ids, use_cache=False)
    finally:
        for handle in handles:
            handle.remove()
    return {path: seen[path] for path in paths if path in seen}
