"""KV cache: whether a model's forward with cached keys and values is true to the one without."""

import torch

from consumers.models.language_model import one_line
from consumers.models.model import Model
from consumers.models.tolerances import TOLERANCE

_ROWS, _FIRST, _TOKENS = 2, 3, 7
_HIDDEN = 2**16  # bytes of a token's keys and values where a model does not say its sizes


def cache_fault(model: Model, vocabulary: int) -> str:
    """Return why a model's cache of keys and values cannot be used, in a few words; "" if it can.

    A short text is read at once and token by token: the logits must agree as far as two forwards of
    one model do, and there must be none that another order of the same sums would not explain.
    """
    net = getattr(model, "net", None)
    if not getattr(getattr(net, "adapter", None), "supports_kv_cache", False):
        return "this architecture has none"
    ids = torch.arange(_ROWS * _TOKENS, device=model.device).view(_ROWS, -1) * 7 % vocabulary
    whole = model.logits(ids).float()
    try:
        found, past = model.extend(ids[:, :_FIRST])
        gaps = [found.float() - whole[:, _FIRST - 1]]
        for at in range(_FIRST, _TOKENS):
            if past is None:
                return "this architecture gives none"
            found, past = model.extend(ids[:, at : at + 1], past=past)
            gaps.append(found.float() - whole[:, at])
    except Exception as error:  # whatever a model's own code raises where it takes no cache
        return f"it failed: {one_line(error)}"
    off = float(max(gap.norm() for gap in gaps) / whole[:, _FIRST - 1 :].norm())
    return "" if off <= TOLERANCE[_dtype(model)] else f"its logits are {off:.1e} off"


def _dtype(model: Model) -> torch.dtype:
    """Return the type of a model's weights."""
    found: torch.dtype = getattr(model, "dtype", torch.float32)
    return found


def token_bytes(model: Model) -> int:
    """Return how many bytes the keys and values of a token take, at most."""
    sizes = getattr(getattr(model, "net", None), "cfg", None)
    layers, width = getattr(sizes, "n_layers", None), getattr(sizes, "d_model", None)
    if not isinstance(layers, int) or not isinstance(width, int):
        return _HIDDEN
    return 2 * layers * width * _dtype(model).itemsize
