"""Bytes that are nearly right: edits of the bytes, and edits of the MessagePack tree in them."""

from copy import deepcopy
from typing import Any

import msgpack
import zstandard
from hypothesis import strategies as st

from streams.wire import codec, frames

HOSTILE = (
    b"\xc6\xff\xff\xff\xff",  # 4 GB of bytes
    b"\xdb\xff\xff\xff\xff",  # 4 GB of text
    b"\xdd\xff\xff\xff\xff",  # 4 G items
    b"\xdf\xff\xff\xff\xff",  # 4 G pairs
    b"\xc9\xff\xff\xff\xff\x01",  # 4 GB of an extension
    b"\xd7\xff\xff\xff\xff\xff\xff\xff\xff\xff",  # a time stamp out of range
    b"\xcf\xff\xff\xff\xff\xff\xff\xff\xff",  # 2**64 - 1
    b"\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00",  # NaN
    b"\xa2\xc3\x28",  # text that is no UTF-8
    b"\xc1",  # nothing at all
)

_array = st.tuples(
    st.sampled_from(["|b1", "|u1", "<u4", "<i4", "<i8", "<f4", "<u8", "|O", ">i4", "<M8", "", "f"]),
    st.lists(st.sampled_from([0, 1, 2, 3, -1, 2**39, 2**63, True, None, "1"]), max_size=4),
    st.sampled_from([b"", b"\0" * 4, b"\xff" * 8, b"\2" * 12, b"\0\0\x80\x7f" * 2, "text", None]),
).map(list)
_strange = st.one_of(
    st.sampled_from(
        [None, True, False, 0, 1, -1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1, -(2**63)]
    ),
    st.sampled_from([0.5, float("nan"), float("inf"), 1e308, "", "x", "a/../b", b"", b"\xff", []]),
    st.sampled_from([{}, {"a": 1}, [[]], [{}], msgpack.ExtType(5, b"x"), msgpack.Timestamp(1)]),
    _array,
)


@st.composite
def edited(draw: st.DrawFn, seed: bytes) -> bytes:
    """Return ``seed`` after up to three edits: a byte changed, a piece cut out or put in."""
    data = bytearray(seed)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(data)))
        stop = at + draw(st.integers(0, 4))
        piece = st.one_of(st.binary(max_size=4), st.sampled_from(HOSTILE))
        data[at:stop] = draw(piece)
    return bytes(data)


@st.composite
def regrown(draw: st.DrawFn, seed: bytes) -> bytes:
    """Return ``seed`` with up to two nodes of its tree replaced by something else."""
    framed = seed[:2] == codec.PACKED
    tree = msgpack.unpackb(frames.unframed(seed[2:]) if framed else seed[2:], raw=False)
    for _ in range(draw(st.integers(1, 2))):
        parent, key = _choose(draw, tree)
        if draw(st.integers(0, 9)) == 0 and isinstance(parent, dict):
            del parent[key]
        else:
            parent[key] = deepcopy(draw(_strange))
    body = bytes(msgpack.packb(tree, use_bin_type=True))
    return seed[:2] + (zstandard.compress(body) if framed else body)


def _choose(draw: st.DrawFn, tree: Any) -> tuple[Any, Any]:
    """Return the place of a node: what it is in, and under which key."""
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        keys = list(node) if isinstance(node, dict) else range(len(node))
        for key in keys:
            places.append((node, key))
            if isinstance(node[key], dict | list):
                walk(node[key])

    walk(tree)
    return draw(st.sampled_from(places)) if places else ({0: 0}, 0)


def nearly(seed: bytes) -> st.SearchStrategy[bytes]:
    """Return bytes that are nearly ``seed``, the bytes of a record."""
    return st.one_of(regrown(seed), edited(seed))
