"""The values whose bytes lie in ``v2``, written out: what version 2 must mean for ever.

Nothing here may change. A new version gets a file of its own.
"""

from typing import Any

import numpy as np

from streams.records.corpus import CorpusRecord, PartitionEnd, TokenBatch, Vocabulary
from streams.records.hits import Hits
from streams.records.measures import Measure
from streams.records.partials import (
    BucketState,
    HitsPart,
    SnapshotRequest,
    SourceEnd,
    Statistics,
)
from streams.records.runs import Clustering, Model, RunRecord, Source
from streams.records.tallies import BucketTally
from streams.snapshots.manifests import RunManifest, ShardManifest
from streams.snapshots.table_entry import ColumnEntry, PartFile, TableEntry

RUN_ID = "0c9e0f0e1b2a39485766778899aabbcc"


def records() -> dict[str, Any]:
    """Return one record of each kind that goes through the codec, by the name of its file."""
    return {
        "token-batch": token_batch(),
        "partition-end": PartitionEnd("text", 1, 2**33, 12345, 678901),
        "corpus-record": CorpusRecord(
            name="text",
            partitions=2,
            tokenizer="gpt2",
            tokenizer_id="sha256:00",
            vocabulary=50257,
            context=128,
            batch_rows=64,
            pack=True,
            bos_id=50256,
            pad_id=50256,
            special_ids=(50256, 3),
            fingerprint="f00d",
            sealed=True,
            batches=7,
            rows=400,
            tokens=51200,
            documents=33,
        ),
        "corpus-record-open": CorpusRecord(
            "text", 1, "t", "", 9, 4, 2, False, None, 0, (), fingerprint=""
        ),
        "vocabulary": Vocabulary("text", (b"", b"a", b"\xff\x00", "ü".encode())),
        "run-record": run_record(),
        "hits-part": HitsPart(RUN_ID, 2, 1, 2**40, hits()),
        "statistics": Statistics(
            RUN_ID, 0, 1, 17, 3, 9, 512, 8, refused=False, tallies=(tally(3, 7), tally(8, 2**40))
        ),
        "statistics-refused": Statistics(RUN_ID, 0, 1, 18, 0, 9, 0, 0, refused=True),
        "source-end": SourceEnd(RUN_ID, 3, 1, 100000),
        "snapshot-request": SnapshotRequest(RUN_ID, 3, "at-noon"),
        "bucket-state": bucket_state(),
    }


def token_batch() -> TokenBatch:
    """Return two rows, one padded, with ids of three and five digits."""
    return TokenBatch(
        corpus="text",
        partition=1,
        sequence=300,
        ids=np.array([[464, 50256, 11], [7, 0, 0]], np.uint32),
        mask=np.array([[True, True, True], [True, False, False]]),
        keys=np.arange(32, dtype=np.uint8).reshape(2, 16),
        documents=("first", ""),
        domains=("prose", "ünïcode"),
    )


def run_record() -> RunRecord:
    """Return a run with a source of each kind and two clusterings."""
    return RunRecord(
        name="prose",
        corpus="text",
        partitions=2,
        context=128,
        model=Model("gpt2", "sha256:aa", 50257, "bfloat16", 4, 2),
        sources=(
            Source(
                "sae", "dictionary", "sae-lens:x", "sha256:bb", "blocks.0.hook_resid_pre", 24576
            ),
            Source(
                "mlp", "neurons", "", "", "blocks.0.mlp.hook_post", 3072, "absolute", 0.5, (1, 70),
                False, True,
            ),
            Source("low", "weights", "v.safetensors", "sha256:cc", "hook_embed", 8, "negative"),
        ),
        clusterings=(
            Clustering(
                "groups", 2, "sha256:dd", ("a", "b"), np.array([2, 1], np.int32),
                np.array([0, 0, 1], np.int32), np.array([5, 24575, 3071], np.int32), False,
            ),
            Clustering(
                "none", 0, "", (), np.zeros(0, np.int32), np.zeros(0, np.int32),
                np.zeros(0, np.int32),
            ),
        ),
        shards=4,
        store="/data/store",
        statistics=(
            Measure("activation@1", '{"sum_bits":16}'),
            Measure("activation_histogram@1", '{"edges":[0.0,0.5,1.0,2.5]}'),
            Measure("coactivation@1"),
            Measure("member_coactivation@1"),
        ),
        rankings=(Measure("maximum@1", '{"k":50}'), Measure("last@1", '{"k":50}')),
        masked_ids=np.array([50256, 0], np.int64),
        masked_positions=np.array([0], np.int64),
        bucket_bytes=2**20,
        record_bytes=2**22,
        created="2026-01-02T03:04:05+00:00",
    )  # fmt: skip


def hits() -> Hits:
    """Return two hits, the second with two entries, at the edges of their types."""
    return Hits(
        table=np.array([0, 70000], np.uint32),
        score=np.array([0.25, 3.5], np.float32),
        sample_high=np.array([2**64 - 1, 5], np.uint64),
        sample_low=np.array([0, 2**63], np.uint64),
        peak=np.array([0, 127], np.int32),
        partition=np.array([1, 0], np.int32),
        sequence=np.array([2**40, 0], np.int64),
        row=np.array([0, 255], np.int32),
        rows=np.array([1, 2], np.int32),
        member=np.array([0, 0, 300], np.int32),
        position=np.array([0, 126, 127], np.int32),
        value=np.array([-0.25, 1.0, 3.5], np.float32),
    )


def tally(bucket: int, largest: int) -> BucketTally:
    """Return a tally of three counters and two clusters."""
    return BucketTally(
        bucket=bucket,
        count_at=np.array([0, 5, 70000], np.uint32),
        count=np.array([1, 2, largest], np.int64),
        sum_at=np.array([0, 3], np.uint32),
        sum=np.array([2**20, largest], np.int64),
        low=np.array([0.125, 1.0], np.float32),
        high=np.array([0.25, 8.0], np.float32),
    )


def bucket_state() -> BucketState:
    """Return a state of two clusters, one of which never fired."""
    return BucketState(
        run=RUN_ID,
        shard=1,
        bucket=4,
        position=2**34,
        chain=np.array([-1, 12], np.int64),
        batches=np.array([-1, 13], np.int64),
        tokens=9000,
        rows=80,
        refused=1,
        counts=np.array([0, 3, 2**33], np.int64),
        sums=np.array([0, 2**50], np.int64),
        low=np.array([np.inf, 0.5], np.float32),
        high=np.array([-np.inf, 2.0], np.float32),
        hits=hits(),
    )


def manifests() -> dict[str, Any]:
    """Return the manifests, which are JSON, by the name of their files."""
    file = PartFile("hits", "parts/hits-0000-00.parquet", 10, 2048, "ab" * 32)
    column = ColumnEntry("score", "float32", "activation at the peak", "activation")
    table = TableEntry("hits", "Examples.", ("score",), 20, "ef" * 32, True, (column,))
    return {
        "shard-manifest": ShardManifest(
            2, "prose", RUN_ID, "final", 1, True, (12, 12), 9000, 80, 1, (file,)
        ),
        "run-manifest": RunManifest(
            version=2,
            run="prose",
            run_id=RUN_ID,
            identity="ba" * 16,
            snapshot="final",
            final=True,
            content="cd" * 32,
            created="2026-01-02T03:04:05+00:00",
            store="/data/store",
            chains=((12, 12), (12, 12)),
            tables=(table,),
            files=(file, file),
            about={"k": 50, "edges": [0.5, 1.0], "model": "gpt2"},
        ),
    }


def dump() -> list[Any]:
    """Return the entries of the dump."""
    found = records()
    names = ("corpus-record", "vocabulary", "token-batch", "partition-end")
    return [found[name] for name in names]
