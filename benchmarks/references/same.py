"""Whether two ways of keeping activations kept the same, bit for bit."""

from collections.abc import Sequence
from dataclasses import fields

import numpy as np

from benchmarks.references.storing import Usable
from consumers.storage.blocks import Blocks, Members
from consumers.storage.top_blocks import TopBlock, TopBlocks
from streams.arrays import AnyArray


def stored_in(blocks: Blocks, members: Members) -> list[Usable]:
    """Return what blocks hold in the form of the references, in copies."""
    return [_usable(blocks, cluster) for cluster in range(len(members.first) - 1)]


def assert_same_stored(ours: Sequence[Usable], theirs: Sequence[Usable]) -> None:
    """Raise AssertionError unless every cluster has the same rows of the same samples."""
    assert len(ours) == len(theirs)
    for a, b in zip(ours, theirs, strict=True):
        assert a.keys == b.keys
        assert a.member_keys == b.member_keys
        assert a.members.keys() == b.members.keys()
        if a.keys:
            assert_same_bits(a.rows, b.rows)
        for member, rows in a.members.items():
            assert_same_bits(rows, b.members[member])


def assert_same_top(ours: TopBlocks, theirs: Sequence[TopBlock]) -> None:
    """Raise AssertionError unless every cluster has the same best samples and rows."""
    for cluster, expected in enumerate(theirs):
        found = ours.of(cluster)
        for column in fields(TopBlock):
            assert_same_bits(getattr(found, column.name), getattr(expected, column.name))


def assert_same_bits(a: AnyArray, b: AnyArray) -> None:
    """Raise AssertionError unless two arrays agree in dtype, shape and every bit."""
    assert (a.dtype, a.shape) == (b.dtype, b.shape)
    assert a.tobytes() == b.tobytes()


def _usable(blocks: Blocks, cluster: int) -> Usable:
    rows, members = [], dict[int, list[AnyArray]]()
    keys, member_keys = list[bytes](), dict[int, list[bytes]]()
    for block in blocks.of(cluster):
        of_batch = _keys(blocks, block.batch)
        rows.append(block.own)
        keys += of_batch
        for at, member in enumerate(block.member.tolist()):
            members.setdefault(member, []).append(block.rows[at])
            member_keys.setdefault(member, []).extend(of_batch)
    own = np.concatenate(rows) if rows else np.zeros((0, 0), np.float32)
    return Usable(keys, own, member_keys, {m: np.concatenate(r) for m, r in members.items()})


def _keys(blocks: Blocks, batch: int) -> list[bytes]:
    return [key.tobytes() for key in np.stack(blocks.samples(batch), axis=1).astype(">u8")]
