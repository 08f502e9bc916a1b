"""Identity of a run: two hashes over a canonical text of its record, not over bytes on the wire.

``run_id`` keys states and partials: it covers all that their layout depends on. ``identity`` covers
what decides numbers and nothing else: it is the same wherever models and results are kept and
however the state is cut up, and it is what people compare.
"""

import dataclasses
import hashlib
import json
from collections.abc import Iterator
from typing import Any

import numpy as np

from streams.records.runs import RunRecord
from streams.wire import codec

LAYOUT = 2
"""Counted up when the addresses of counters or the numbers of tables follow another rule."""

_SAID_ONLY = frozenset({"created", "warnings", "model.reason"})
_NO_LAYOUT = _SAID_ONLY | {"store", "model.location", "sources.location"}
_NO_NUMBERS = _NO_LAYOUT | {
    "name", "shards", "bucket_bytes", "record_bytes", "clusterings.content", "keep",
}  # fmt: skip


def run_id(run: RunRecord) -> str:
    """Return the hash that travels in every partial and state, 32 hexadecimal digits."""
    return _hash(f"millrace run, layout {LAYOUT}", run, _NO_LAYOUT)


def identity(run: RunRecord) -> str:
    """Return the hash of what decides the numbers of a run, 32 hexadecimal digits."""
    return _hash("millrace numbers", run, _NO_NUMBERS)


def differences(one: RunRecord, other: RunRecord) -> list[str]:
    """Return the names of the settings that two records differ in, for people."""
    first, second = (dict(_lines(run, _SAID_ONLY)) for run in (one, other))
    apart = (n for n in {**first, **second} if first.get(n) != second.get(n))
    return list(dict.fromkeys(name.partition("[")[0].partition(".")[0] for name in apart))


def _hash(head: str, run: RunRecord, without: frozenset[str]) -> str:
    digest = hashlib.sha256(f"{head}\n".encode())
    for name, value in _lines(run, without):
        digest.update(f"{name} {value}\n".encode())
    return digest.hexdigest()[:32]


def _lines(value: Any, without: frozenset[str], name: str = "", bare: str = "") -> Iterator[Any]:
    """Yield (name, value) of everything in a record, in the order of its fields.

    A field that came after a release is left out at its default, so that hashes stay. Numbers read
    alike whatever type holds them; an array or a list of words is one value, a hash.
    bare: the name without places in lists, as ``without`` names what to leave out.
    """
    if bare in without:
        return
    if dataclasses.is_dataclass(value):
        for field in dataclasses.fields(value):
            if codec.is_left_out(field, value):
                continue
            inner = f"{name}.{field.name}" if name else field.name
            plain = f"{bare}.{field.name}" if bare else field.name
            yield from _lines(getattr(value, field.name), without, inner, plain)
    elif isinstance(value, np.ndarray):
        kind = "<f8" if value.dtype.kind == "f" else "<i8"
        digest = hashlib.sha256(np.ascontiguousarray(value, kind).tobytes()).hexdigest()
        yield name, f"{list(value.shape)} {digest}"
    elif isinstance(value, tuple) and any(map(dataclasses.is_dataclass, value)):
        for at, item in enumerate(value):
            yield from _lines(item, without, f"{name}[{at}]", bare)
    elif isinstance(value, tuple):
        yield (
            name,
            hashlib.sha256(json.dumps([_plain(each) for each in value]).encode()).hexdigest(),
        )
    else:
        yield name, json.dumps(_plain(value))


def _plain(value: Any) -> Any:
    """Return a scalar as JSON has it; a whole number is an integer whatever type holds it."""
    if isinstance(value, np.generic):
        value = value.item()
    return int(value) if isinstance(value, float) and value.is_integer() else value
