"""What the loops of the storing step spend their time on: each operation alone, as often."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from benchmarks.references.storing import TokenMajor, active_clusters
from benchmarks.timing import Spread, interleaved
from streams.arrays import AnyArray

_Operation = Callable[[], object]
# Operation -> the references that do it.
USED_BY = {
    "the loops alone": ("R0", "R1"),
    "look for empty clusters, one by one": ("R0", "R1"),
    "look for empty clusters, all at once": ("R2",),
    "row out of a tensor": ("R0",),
    "row out of a tensor, .cpu().numpy()": ("R0",),
    "row out of an array": ("R1", "R2"),
    "append row and key": ("R0", "R1"),
    "extend by rows and keys": ("R2",),
}


def profile(batch: TokenMajor, rounds: int, whole: Mapping[str, Spread]) -> list[dict[str, Any]]:
    """Return, per operation, its time, and that as a share of each reference that does it.

    whole: seconds of the references in the same run.
    """
    seconds = interleaved(_operations(batch), rounds)
    return [
        {"operation": name, "ms": Spread(tuple(1e3 * s for s in seconds[name].values))}
        | {f"of {r}": seconds[name].median / whole[r].median for r in USED_BY[name]}
        for name in USED_BY
    ]


def _operations(batch: TokenMajor) -> dict[str, _Operation]:
    clusters, components = batch.clusters.numpy(), batch.components.numpy()
    samples = range(len(batch.keys))
    columns = [c for members in batch.column for c in members if c is not None]
    rows = [components[sample, :, 0] for sample in samples] if columns else []

    def loops() -> None:
        for _ in samples:
            for _ in columns:
                pass

    def one_by_one() -> None:
        for cluster in range(clusters.shape[2]):
            np.abs(clusters[:, :, cluster]).max()

    def tensor_rows() -> None:
        for sample in samples:
            for column in columns:
                batch.components[sample, :, column]

    def transfers() -> None:
        for sample in samples:
            for column in columns:
                batch.components[sample, :, column].cpu().numpy()

    def array_rows() -> None:
        for sample in samples:
            for column in columns:
                components[sample, :, column]

    def append() -> None:
        for _ in columns:
            kept: list[AnyArray] = []
            keys: list[bytes] = []
            for row, key in zip(rows, batch.keys, strict=True):
                kept.append(row)
                keys.append(key)

    def extend() -> None:
        for _ in columns:
            kept: list[AnyArray] = []
            keys: list[bytes] = []
            kept.extend(rows)
            keys.extend(batch.keys)

    return {
        "the loops alone": loops,
        "look for empty clusters, one by one": one_by_one,
        "look for empty clusters, all at once": lambda: active_clusters(clusters),
        "row out of a tensor": tensor_rows,
        "row out of a tensor, .cpu().numpy()": transfers,
        "row out of an array": array_rows,
        "append row and key": append,
        "extend by rows and keys": extend,
    }
