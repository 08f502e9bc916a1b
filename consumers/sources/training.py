"""What a dictionary's metadata says about how it was trained."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Training:
    """How a dictionary was trained, in SAELens' terms; None or empty for what is not said.

    prepend_bos: rows began with a BOS. context: tokens per row. positions: start, stop and step of
    the only positions of a row that it saw. excluded: token ids that it never saw, True for all
    special ones. separate: each document had rows of its own. separator: what stood between the
    documents of a row: "bos", "eos", "sep", "none" or an id. model, dataset: their names. writes:
    the hook that a transcoder writes to. sparsity: non-zeros per token that it was published with.
    """

    prepend_bos: bool | None = None
    context: int | None = None
    positions: tuple[int | None, ...] = ()
    excluded: bool | tuple[int, ...] = False
    separate: bool | None = None
    separator: str | int | None = None
    model: str | None = None
    dataset: str | None = None
    writes: str | None = None
    sparsity: float | None = None


def training_of(metadata: Mapping[str, Any]) -> Training:
    """Return what metadata says; what has the wrong type there says nothing."""
    positions = metadata.get("seqpos_slice")
    excluded = metadata.get("exclude_special_tokens")
    if isinstance(excluded, list | tuple):
        excluded = tuple(i for i in excluded if type(i) is int)
    return Training(
        prepend_bos=_of(bool, metadata, "prepend_bos"),
        context=_positive(metadata.get("context_size")),
        positions=_slice(positions) if isinstance(positions, list | tuple) else (),
        excluded=excluded if isinstance(excluded, bool | tuple) else False,
        separate=_of(bool, metadata, "disable_concat_sequences"),
        separator=_separator(metadata),
        model=_of(str, metadata, "model_name"),
        dataset=_of(str, metadata, "dataset_path"),
        writes=_of(str, metadata, "hook_name_out"),
        sparsity=_sparsity(metadata),
    )


def _of(kind: type, metadata: Mapping[str, Any], key: str) -> Any:
    value = metadata.get(key)
    return value if type(value) is kind else None


def _positive(value: Any) -> int | None:
    return value if type(value) is int and value > 0 else None


def _slice(values: Iterable[Any]) -> tuple[int | None, ...]:
    """Return the arguments of a slice, empty if it takes everything or is none."""
    parts = tuple(values)
    usable = 0 < len(parts) <= 3 and all(p is None or type(p) is int for p in parts)
    return parts if usable and any(p is not None for p in parts) else ()


def _separator(metadata: Mapping[str, Any]) -> str | int | None:
    value = metadata.get("sequence_separator_token", "")
    if value is None:
        return "none"
    known = type(value) is int or value in ("bos", "eos", "sep")
    return value if known else None


def _sparsity(metadata: Mapping[str, Any]) -> float | None:
    for key in ("l0", "average_l0", "mean_l0"):
        if isinstance(value := metadata.get(key), int | float) and value > 0:
            return float(value)
    return None
