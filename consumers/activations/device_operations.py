"""Operations that a selection on a device needs, tried out on devices that may lack some.

CUDA and the processor have all of them. Others, as MPS, are asked once: what raises there, or gives
something else than on the processor, is lacking, and the selection then happens on the host.
"""

from collections.abc import Callable, Mapping
from functools import cache

import torch
from torch import Tensor

Operation = Callable[[torch.device], Tensor]

_COMPLETE = ("cpu", "cuda")


def _numbers(device: torch.device) -> Tensor:
    """Return int64 values, some beyond float32's and int32's range."""
    return torch.tensor([5, 2**33, 5, 2**33 + 1, 0], device=device)


def _small(device: torch.device) -> Tensor:
    return torch.tensor([3, 0, 3, 1, 2], device=device)


def _activations(device: torch.device) -> Tensor:
    return torch.tensor([1.5, -2.0, 0.0, 2.0, 3.25], device=device)


def _pairs(device: torch.device) -> Tensor:
    ones = torch.eye(3, device=device) + 1
    return (ones @ ones.T).long().fill_diagonal_(0)


OPERATIONS: Mapping[str, Operation] = {
    "int64 arithmetic": lambda on: (_numbers(on) << 3) + (_numbers(on) & 3) - _numbers(on),
    "int64 products modulo 2**64": lambda on: _numbers(on) * 0x14D049BB133111EB ^ _numbers(on) >> 2,
    "int64 rounded to float32": lambda on: (_numbers(on) * 0x1FF000001).float(),
    "int64 cumsum": lambda on: _numbers(on).cumsum(0),
    "int64 cummax": lambda on: _numbers(on).cummax(0).values,
    "int64 argsort": lambda on: _numbers(on).argsort(stable=True),
    "int64 sort": lambda on: torch.cat(_numbers(on)[1:].sort()),
    "int64 unique": lambda on: torch.cat(
        torch.unique(_numbers(on), return_inverse=True, return_counts=True)
    ),
    "int64 topk": lambda on: _numbers(on).topk(2).values,
    "int64 searchsorted": lambda on: torch.searchsorted(_numbers(on).sort().values, _numbers(on)),
    "int64 index_add": lambda on: _numbers(on).index_add_(0, _small(on), _numbers(on)),
    "int64 scatter_reduce": lambda on: _numbers(on).scatter_reduce_(
        0, _small(on), _numbers(on), "amin"
    ),
    "float32 scatter_reduce": lambda on: _activations(on).scatter_reduce_(
        0, _small(on), _activations(on), "amax"
    ),
    "bincount": lambda on: torch.bincount(_small(on), minlength=7),
    "bucketize": lambda on: torch.bucketize(
        _activations(on), torch.tensor([0.0, 1.5, 2.0], device=on), right=True
    ),
    "nonzero": lambda on: _activations(on).nonzero(),
    "repeat_interleave": lambda on: _numbers(on).repeat_interleave(_small(on)),
    "float32 as bits": lambda on: _activations(on).view(torch.int32).long(),
    "float32 round": lambda on: (_activations(on) * 2.0**20).round().long(),
    "0/1 products": _pairs,
}
"""By the name that is said where one is lacking; small, but with values that show a wrong type."""


def lacking_operations(
    device: torch.device, operations: Mapping[str, Operation] = OPERATIONS
) -> tuple[str, ...]:
    """Return the names of operations that a device has not, or computes otherwise."""
    return tuple(name for name, tried in operations.items() if not _works(tried, device))


@cache
def lacks(device: torch.device) -> tuple[str, ...]:
    """Return what ``lacking_operations`` does, asked once; nothing for the processor and CUDA."""
    return () if device.type in _COMPLETE else lacking_operations(device)


def _works(operation: Operation, device: torch.device) -> bool:
    expected = operation(torch.device("cpu"))
    try:
        return torch.equal(operation(device).cpu(), expected)
    except (RuntimeError, TypeError):  # NotImplementedError is a RuntimeError
        return False
