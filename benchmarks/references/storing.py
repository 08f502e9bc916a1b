"""Storing a batch's activations by cluster, the ways that a cluster dashboard began with.

All of them keep one row per sample in Python lists. What they keep are views into the batch's own
array, which is token-major: a row's positions lie far apart until ``usable`` brings them together.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from consumers.storage.blocks import DenseBatch, Members
from streams.arrays import F32, AnyArray


@dataclass(frozen=True, slots=True, eq=False)
class TokenMajor:
    """One batch as the original has it.

    clusters: float32 [sample, position, cluster]. components: float32 [sample, position, column],
    dead ones left out. column: for each cluster its members' columns, None for a dead one. keys and
    tokens: of each sample.
    """

    clusters: Tensor
    components: Tensor
    column: Sequence[Sequence[int | None]]
    keys: Sequence[bytes]
    tokens: Sequence[Sequence[str]]


@dataclass(slots=True, eq=False)
class Stored:
    """Lists per cluster, and per cluster and member: rows [position] and whose they are."""

    rows: list[list[F32]]
    keys: list[list[bytes]]
    tokens: list[list[Sequence[str]]]
    member_rows: list[list[list[F32]]]
    member_keys: list[list[list[bytes]]]


@dataclass(frozen=True, slots=True, eq=False)
class Usable:
    """A cluster's data in arrays of its own: rows [sample, position] of the samples ``keys``.

    members, member_keys: the same by member; one that was dead in every batch is in neither.
    """

    keys: list[bytes]
    rows: F32
    member_keys: dict[int, list[bytes]]
    members: dict[int, F32]


def empty(column: Sequence[Sequence[int | None]]) -> Stored:
    """Return lists without anything in them for clusters with these members."""
    return Stored(
        rows=[[] for _ in column],
        keys=[[] for _ in column],
        tokens=[[] for _ in column],
        member_rows=[[[] for _ in members] for members in column],
        member_keys=[[[] for _ in members] for members in column],
    )


def store_copying(stored: Stored, batch: TokenMajor) -> None:
    """R0: a triple loop that calls ``.cpu()`` for each component inside."""
    clusters = batch.clusters.cpu().numpy()
    for cluster, members in enumerate(batch.column):
        acts = clusters[:, :, cluster]
        if np.abs(acts).max(initial=0) == 0:
            continue
        for sample, key in enumerate(batch.keys):
            stored.rows[cluster].append(acts[sample])
            stored.keys[cluster].append(key)
            stored.tokens[cluster].append(batch.tokens[sample])
            for member, column in enumerate(members):
                if column is not None:
                    row = batch.components[sample, :, column].cpu().numpy()
                    stored.member_rows[cluster][member].append(row)
                    stored.member_keys[cluster][member].append(key)


def store_hoisted(stored: Stored, batch: TokenMajor) -> None:
    """R1: the triple loop with both transfers before it."""
    clusters, components = batch.clusters.cpu().numpy(), batch.components.cpu().numpy()
    for cluster, members in enumerate(batch.column):
        acts = clusters[:, :, cluster]
        if np.abs(acts).max(initial=0) == 0:
            continue
        for sample, key in enumerate(batch.keys):
            stored.rows[cluster].append(acts[sample])
            stored.keys[cluster].append(key)
            stored.tokens[cluster].append(batch.tokens[sample])
            for member, column in enumerate(members):
                if column is not None:
                    stored.member_rows[cluster][member].append(components[sample, :, column])
                    stored.member_keys[cluster][member].append(key)


def store_at_once(stored: Stored, batch: TokenMajor) -> None:
    """R1a: R1 with the empty clusters found at once."""
    clusters, components = batch.clusters.cpu().numpy(), batch.components.cpu().numpy()
    for cluster in active_clusters(clusters):
        acts = clusters[:, :, cluster]
        for sample, key in enumerate(batch.keys):
            stored.rows[cluster].append(acts[sample])
            stored.keys[cluster].append(key)
            stored.tokens[cluster].append(batch.tokens[sample])
            for member, column in enumerate(batch.column[cluster]):
                if column is not None:
                    stored.member_rows[cluster][member].append(components[sample, :, column])
                    stored.member_keys[cluster][member].append(key)


def store_extending(stored: Stored, batch: TokenMajor) -> None:
    """R2: R1a with one ``extend`` per list instead of appends."""
    clusters, components = batch.clusters.cpu().numpy(), batch.components.cpu().numpy()
    samples = range(len(batch.keys))
    for cluster in active_clusters(clusters):
        acts = clusters[:, :, cluster]
        stored.rows[cluster].extend(acts[sample] for sample in samples)
        stored.keys[cluster].extend(batch.keys)
        stored.tokens[cluster].extend(batch.tokens)
        for member, column in enumerate(batch.column[cluster]):
            if column is not None:
                rows = [components[sample, :, column] for sample in samples]
                stored.member_rows[cluster][member].extend(rows)
                stored.member_keys[cluster][member].extend(batch.keys)


def active_clusters(clusters: F32) -> AnyArray:
    """Return the clusters of [sample, position, cluster] that are not zero everywhere."""
    active: AnyArray = np.flatnonzero(np.abs(clusters).max(axis=(0, 1), initial=0) > 0)
    return active


def usable(stored: Stored) -> list[Usable]:
    """R1f and R2f go on with this: every cluster's rows copied into arrays of their own."""
    return [
        Usable(
            keys=keys,
            rows=np.stack(rows) if rows else np.zeros((0, 0), np.float32),
            member_keys={m: k for m, k in enumerate(member_keys) if k},
            members={m: np.stack(r) for m, r in enumerate(member_rows) if r},
        )
        for keys, rows, member_keys, member_rows in zip(
            stored.keys, stored.rows, stored.member_keys, stored.member_rows, strict=True
        )
    ]


def token_major(batch: DenseBatch, members: Members) -> TokenMajor:
    """Return a batch as the original has it, in copies of its own; made-up tokens of text."""
    alive = np.flatnonzero(batch.alive)
    columns = {int(component): column for column, component in enumerate(alive)}
    at = zip(members.first[:-1].tolist(), members.first[1:].tolist(), strict=True)
    keys = np.stack([batch.sample_high, batch.sample_low], axis=1).astype(">u8")
    positions = batch.clusters.shape[2]
    return TokenMajor(
        clusters=torch.from_numpy(_last(batch.clusters)),
        components=torch.from_numpy(_last(batch.components[alive])),
        column=[[columns.get(c) for c in members.component[a:b].tolist()] for a, b in at],
        keys=[key.tobytes() for key in keys],
        tokens=[[f"token {position}" for position in range(positions)]] * len(keys),
    )


def _last(values: F32) -> F32:
    return np.ascontiguousarray(values.transpose(1, 2, 0))
