"""The fuzz targets under hypothesis: random bytes, and valid bytes that were changed a little."""

import struct
import time
import tracemalloc
import zlib

import numpy as np
import pyarrow as pa
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from consumers.aggregation.shards import new_bucket
from consumers.selection.messages import batch_records
from consumers.selection.selection import select, valid_tokens, with_rows
from streams import topics
from streams.records.corpus import PartitionEnd
from streams.records.partials import HitsPart, SnapshotRequest, SourceEnd
from streams.snapshots import manifests
from streams.snapshots.parquet.pieces import ParquetEncoder
from streams.wire import codec
from tests import factories
from tests.consumers.folding import with_hits
from tests.fuzz.fuzz_decoders import ENGINE, MAGIC, PARQUET, PARQUET_ROWS, PLAN, TARGETS, check
from tests.fuzz.mutations import HOSTILE, edited, nearly
from tests.golden import version_2
from tests.golden.write import HERE

fuzz = settings(
    max_examples=80, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)


def vocabulary():
    """Return a file of 40 tokens in two row groups."""
    encoder = ParquetEncoder(PARQUET)
    rows = PARQUET_ROWS // 2
    texts = [[b"token"] * rows] * (len(PARQUET) - 1)
    tables = [pa.table([range(at, at + rows), *texts], PARQUET) for at in (0, rows)]
    return b"".join([*map(encoder.add, tables), encoder.end()])


def seeds():
    """Return valid bytes for every target that has an inside to reach."""
    by_kind = {type(r).__name__: codec.encode(r) for r in version_2.records().values()}
    batch = factories.batches()[0]
    valid = valid_tokens(PLAN, batch)
    selection = select(PLAN, batch, valid, ENGINE.compute(batch, valid))
    hits = with_rows(selection, np.arange(len(selection.candidates)))
    sent = {
        r.kind: r.value for r in batch_records(PLAN, 0, 0, selection.tally, hits) if r.shard == 0
    }
    part = codec.decode(HitsPart, sent[topics.HITS])
    state = with_hits(PLAN, new_bucket(PLAN, 0, 0), part.hits, 3)
    body = codec.encode(batch)
    frames = struct.pack("<BII", 3, len(body), zlib.crc32(body)) + body
    return {
        **by_kind,
        "hits": sent[topics.HITS],
        "statistics": sent[topics.STATISTICS],
        "source end": codec.encode(SourceEnd(PLAN.id, 0, 1, 5)),
        "snapshot request": codec.encode(SnapshotRequest(PLAN.id, 0, "noon")),
        "state": codec.encode(state),
        "batch": body,
        "end": codec.encode(PartitionEnd("text", 0, 5, 1, 1)),
        "dump frame body": body,
        "dump frames": frames,
        "dump": (HERE / "v2" / "dump").read_bytes(),
        "manifests": manifests.to_json(version_2.manifests()["run-manifest"]),
        "plan": codec.encode(PLAN.run),
        "parquet": vocabulary(),
        "cluster file": b'{"name": "x", "iteration": 1, "clusters": {"a": ["sae:1", "sae:2"]}}',
        "settings": b"[run]\nshards = 3\nedges = [1.0, 2.0]\n[corpus]\nname = 'x'\n",
        "headers": b"17",
        "dead letter": b"17",
        "unknown kind": sent[topics.HITS],
    }


SEEDS = seeds()
TREES = {
    n
    for n in SEEDS
    if n not in ("dump", "dump frames", "manifests", "headers", "dead letter")
    and n not in ("parquet", "cluster file", "settings")
}


def test_every_target_has_a_seed():
    assert SEEDS.keys() == TARGETS.keys()
    assert SEEDS["dump"][:16] == MAGIC


@pytest.mark.parametrize("name", TARGETS)
def test_random_and_nearly_right_bytes_give_a_record_or_our_error(name):
    seed = SEEDS[name]
    TARGETS[name](seed)
    for piece in HOSTILE:
        TARGETS[name](b"\2m" + piece)
        TARGETS[name](b"\2z" + piece)
        TARGETS[name](b"\2z" + zstandard.compress(piece))
        TARGETS[name](seed[: len(seed) // 2] + piece)
    near = nearly(seed) if name in TREES else edited(seed)

    @fuzz
    @given(st.one_of(near, near, st.binary(), st.binary().map(lambda data: b"\2m" + data)))
    def run(data):
        TARGETS[name](data)

    run()


@fuzz
@given(st.binary())
def test_the_function_that_atheris_runs_takes_anything(data):
    check(data)


def test_a_dump_frame_that_claims_4_gb_is_refused_in_bounded_memory():
    tracemalloc.start()
    try:
        TARGETS["dump frames"](struct.pack("<BII", 3, 2**32 - 1, 0) + b"short")
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()


HEAVY = [
    b"[" * 200_000,
    b'{"a":' * 100_000,
    b"[[]," * 100_000,
    b'{"files": [' + b"{}," * 100_000,
    b"9" * 100_000,
    b"PAR1" + b"\x19\xfc\xff\xff\xff\x0f" * 10_000 + struct.pack("<I", 60_000) + b"PAR1",
    b"k = " + b"[" * 50_000,
    b"\1" + b"\x91" * 100_000,
]


@pytest.mark.parametrize("name", TARGETS)
def test_heavy_bytes_take_little_memory_and_time(name):
    for data in HEAVY:
        tracemalloc.start()
        begun = time.process_time()
        try:
            TARGETS[name](data)
            assert tracemalloc.get_traced_memory()[1] < 200 * 2**20
        finally:
            tracemalloc.stop()
        assert time.process_time() - begun < 20
