"""BatchProcessingStorage: all activations of clusters and their members, batch after batch.

The names and forms are those of SPD's cluster dashboards; what is behind them are ``Blocks``, one
copy of each batch. It grows with the text: the service keeps the best samples instead.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from consumers.storage.blocks import Block, Blocks, DenseBatch, Members
from consumers.storage.cluster_activations import ClusterActivations, Components
from consumers.storage.cluster_id import ClusterId
from consumers.storage.processed_activations import ProcessedActivations
from consumers.storage.text_sample import TextSample
from streams.arrays import F32, I64, U64


@dataclass(slots=True, eq=False)
class BatchProcessingStorage:
    """See the module. Clusters are numbered in the order of ``cluster_id_map``.

    cluster_hash_map: the text of each cluster's id. text_samples: those seen so far, by hash.
    batches: the text samples of each batch. positions: how long its rows are. coactivations:
    samples at which two clusters are above 0, [cluster, cluster] in the order of cluster_indices.
    """

    cluster_id_map: Mapping[int, ClusterId]
    cluster_components: Components
    cluster_hash_map: Mapping[int, str]
    text_samples: dict[str, TextSample]
    batches: list[Sequence[TextSample]]
    positions: list[int]
    coactivations: I64
    _labels: list[str]
    _blocks: Blocks
    _numbers: dict[int, int] = field(default_factory=dict)

    @classmethod
    def create(
        cls, cluster_id_map: Mapping[int, ClusterId], cluster_components: Components
    ) -> "BatchProcessingStorage":
        """Return a storage for these clusters, which has seen nothing."""
        members = [[each["label"] for each in cluster_components[c]] for c in cluster_id_map]
        labels = list(dict.fromkeys(label for each in members for label in each))
        number = {label: at for at, label in enumerate(labels)}
        first = np.cumsum([0, *map(len, members)])
        component = np.array([number[label] for each in members for label in each], np.int64)
        clusters = len(members)
        return cls(
            cluster_id_map=cluster_id_map,
            cluster_components=cluster_components,
            cluster_hash_map={at: each.to_string() for at, each in cluster_id_map.items()},
            text_samples={},
            batches=[],
            positions=[],
            coactivations=np.zeros((clusters, clusters), np.int64),
            _labels=labels,
            _blocks=Blocks(Members(first, component)),
            _numbers={cluster: at for at, cluster in enumerate(cluster_id_map)},
        )

    @property
    def cluster_indices(self) -> list[int]:
        """The clusters, in their order here."""
        return list(self._numbers)

    def _store_activations(
        self,
        cluster_acts: ClusterActivations,
        processed: ProcessedActivations,
        batch_text_samples: Sequence[TextSample],
        batch_size: int,
        seq_len: int,
    ) -> None:
        """Keep a batch: all rows of each cluster that is not 0 everywhere in it.

        Of its members those that are alive. Raises ValueError where shapes, clusters or texts do
        not fit each other, or two texts share a hash; then nothing is kept.
        """
        if len(batch_text_samples) != batch_size or seq_len < 1:
            texts = f"{len(batch_text_samples):,} texts"
            raise ValueError(f"{texts} for {batch_size:,} rows of {seq_len:,} positions")
        if sorted(cluster_acts.cluster_indices) != sorted(self._numbers):
            raise ValueError("the batch has other clusters than the storage was made for")
        known = self._with(batch_text_samples)
        column = {index: at for at, index in enumerate(cluster_acts.cluster_indices)}
        order = [column[cluster] for cluster in self._numbers]
        shape = (batch_size, seq_len)
        clusters = _rows(cluster_acts.activations, order, shape)
        alive, components = self._components(processed, shape)
        keys = [hashlib.sha256(each.full_text.encode()).digest() for each in batch_text_samples]
        high, low = (_halves(keys, at) for at in (0, 8))
        self._blocks.append(
            DenseBatch(clusters, components, alive, high, low, sequence=len(self.batches))
        )
        above = torch.from_numpy(
            (clusters > 0).reshape(len(clusters), batch_size * seq_len)
        ).double()
        self.coactivations += (above @ above.T).long().numpy()
        self.text_samples = known
        self.batches.append(tuple(batch_text_samples))
        self.positions.append(seq_len)

    @property
    def cluster_activations(self) -> dict[str, list[F32]]:
        """Per cluster its rows [position] of the batches in which it is active; views."""
        return {name: [row for b in own for row in b.own] for name, own in self._each()}

    @property
    def cluster_text_hashes(self) -> dict[str, list[str]]:
        """The hash of the text of each of these rows."""
        return {name: [h for b in own for h in self._hashes(b)] for name, own in self._each()}

    @property
    def cluster_tokens(self) -> dict[str, list[Sequence[str]]]:
        """The tokens of each of these rows."""
        return {
            name: [text.tokens for b in own for text in self.batches[b.batch]]
            for name, own in self._each()
        }

    @property
    def component_activations(self) -> dict[str, dict[str, list[F32]]]:
        """Per cluster and member its rows, of the batches in which it is alive; views."""
        return {
            name: {
                label: [row for b, at in self._of_member(own, member) for row in b.rows[at]]
                for member, label in enumerate(self._members(name))
            }
            for name, own in self._each()
        }

    @property
    def component_text_hashes(self) -> dict[str, dict[str, list[str]]]:
        """The hash of the text of each of these rows."""
        return {
            name: {
                label: [h for b, _ in self._of_member(own, member) for h in self._hashes(b)]
                for member, label in enumerate(self._members(name))
            }
            for name, own in self._each()
        }

    def rows_of(self, cluster: int) -> list[F32]:
        """Return a cluster's rows [row, position] of every batch, zeros where it is silent."""
        own = {block.batch: block.own for block in self._blocks.of(self._numbers[cluster])}
        shapes = zip(self.batches, self.positions, strict=True)
        return [
            own.get(number, np.zeros((len(texts), positions), np.float32))
            for number, (texts, positions) in enumerate(shapes)
        ]

    def _each(self) -> Iterator[tuple[str, list[Block]]]:
        for cluster, number in self._numbers.items():
            yield self.cluster_hash_map[cluster], self._blocks.of(number)

    def _members(self, name: str) -> list[str]:
        (cluster,) = (c for c, text in self.cluster_hash_map.items() if text == name)
        return [each["label"] for each in self.cluster_components[cluster]]

    def _of_member(self, own: Sequence[Block], member: int) -> Iterator[tuple[Block, int]]:
        for block in own:
            at = int(np.searchsorted(block.member, member))
            if at < len(block.member) and block.member[at] == member:
                yield block, at

    def _hashes(self, block: Block) -> list[str]:
        return [text.text_hash for text in self.batches[block.batch]]

    def _with(self, texts: Sequence[TextSample]) -> dict[str, TextSample]:
        found = dict(self.text_samples)
        for text in texts:
            if found.setdefault(text.text_hash, text).full_text != text.full_text:
                raise ValueError(f"two different texts have the hash {text.text_hash}")
        return found

    def _components(
        self, processed: ProcessedActivations, shape: tuple[int, int]
    ) -> tuple["np.ndarray[tuple[int, ...], np.dtype[np.bool_]]", F32]:
        """Return which components are alive, and the rows [component, row, position] of all."""
        columns = [processed.get_label_index(label) for label in self._labels]
        alive = np.array([column is not None for column in columns], np.bool_)
        out = np.zeros((len(columns), *shape), np.float32)
        out[alive] = _rows(processed.activations, [c for c in columns if c is not None], shape)
        return alive, out


def _rows(values: Tensor, columns: Sequence[int], shape: tuple[int, int]) -> F32:
    """Return columns of [sample, column] as [column, row, position] on the host."""
    rows, positions = shape
    if len(values) != rows * positions:
        raise ValueError(f"{len(values):,} samples are no {rows:,} rows of {positions:,} positions")
    picked = values.T[torch.tensor(columns, dtype=torch.int64, device=values.device)]
    found: F32 = picked.float().cpu().contiguous().numpy().reshape(len(columns), *shape)
    return found


def _halves(keys: Sequence[bytes], at: int) -> U64:
    return np.array([int.from_bytes(key[at : at + 8], "big") for key in keys], np.uint64)
