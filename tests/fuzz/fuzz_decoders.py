"""Every decoder of bytes from outside: a record or one of our own errors, and nothing else.

The same ``TARGETS`` run with hypothesis in CI (test_decoders.py) and for hours with atheris, which
the project does not depend on:

    python -m venv /tmp/fuzz && /tmp/fuzz/bin/pip install -e . atheris
    /tmp/fuzz/bin/python -m tests.fuzz.fuzz_decoders --corpus /tmp/fuzz/corpus -max_total_time=3600

``--corpus FOLDER`` is filled with the golden bytes first; the other options are libFuzzer's. A
finding is written to ./crash-*; to see it again, give that file as the only argument.
"""

import io
import struct
import sys
import tempfile
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pyarrow as pa

from consumers.aggregation import overlay as overlays
from consumers.aggregation.overlay import Overlay, bucket_key
from consumers.plan import make_plan
from consumers.runs.clusters import load_clustering
from consumers.selection.worker import ActivationWorker
from millrace.settings import load_settings
from streams import topics
from streams.deadletters import dead_letter
from streams.dump import read_dump
from streams.errors import RecordError, RunError, StreamError
from streams.records.partials import BucketState
from streams.records.runs import RunRecord
from streams.snapshots import manifests
from streams.snapshots.parquet.reading import BudgetedParquet, DecodeBudget
from streams.snapshots.tables import TABLES
from streams.transport.client import StoredRecord
from streams.wire import codec
from tests import factories
from tests.golden import version_2
from tests.streams.same import bits
from tests.streams.strategies import KINDS

PLAN = factories.plan()
ENGINE = factories.DenseEngine(PLAN)
MAGIC = b"millrace corpus\x02"
PARQUET = TABLES["vocabulary"].schema
PARQUET_ROWS = 40


def decode_record(kind: type) -> Callable[[bytes], None]:
    """Return a target that decodes a kind; what it finds can be written and read again."""

    def target(data: bytes) -> None:
        try:
            found = codec.decode(kind, data)
        except RecordError:
            return
        assert bits(codec.decode(kind, codec.encode(found))) == bits(found)
        if hasattr(kind, "PACKED"):
            assert bits(codec.decode(kind, codec.encode_packed(found))) == bits(found)

    return target


def apply_partial(kind: bytes) -> Callable[[bytes], None]:
    """Return a target that checks a partial; one that passes can be applied and flushed."""

    def target(data: bytes) -> None:
        overlay = Overlay(PLAN)
        overlay.load(0, ())
        try:
            found = overlays.partial(PLAN, 0, kind, data)
        except RecordError:
            return
        overlay.apply(0, 0, found)
        for _, _, value in overlay.flush():
            codec.decode(BucketState, value)

    return target


def load_state(data: bytes) -> None:
    """Load a bucket's state; one that passes takes an end record and is flushed."""
    overlay = Overlay(PLAN)
    try:
        overlay.load(0, [(bucket_key(0, 0), data)])
    except RecordError:
        return
    overlay.start(0)
    overlay.is_complete(0)


def handle_batch(data: bytes) -> None:
    """Give a worker a record of the corpus; each bucket hears of it once, whatever it was."""
    headers = {topics.KIND: topics.BATCH, topics.SEQUENCE: b"0"}
    outcome = ActivationWorker(PLAN, ENGINE).handle(0, data, headers)
    shards = [r.shard for r in outcome.records if r.kind == topics.STATISTICS]
    assert shards == list(range(PLAN.run.shards))


def handle_end(data: bytes) -> None:
    """Give a worker the end of a partition; every shard hears of it or none."""
    headers = {topics.KIND: topics.END, topics.SEQUENCE: b"5"}
    outcome = ActivationWorker(PLAN, ENGINE).handle(0, data, headers)
    assert len(outcome.records) == (0 if outcome.error else PLAN.run.shards)
    for record in outcome.records:
        overlay = Overlay(PLAN)
        overlay.load(record.shard, ())
        overlay.apply(
            record.shard, 0, overlays.partial(PLAN, record.shard, record.kind, record.value)
        )
        list(overlay.flush())


def handle_headers(data: bytes) -> None:
    """Give a worker a record whose sequence is any bytes."""
    ActivationWorker(PLAN, ENGINE).handle(0, b"junk", {topics.SEQUENCE: data})


def read_file(data: bytes) -> None:
    """Read a dump."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        _in_one_line(lambda: list(read_dump(Path(file.name))))


def _in_one_line(read: Callable[[], object]) -> None:
    try:
        read()
    except StreamError as error:
        _expect_one_line(error)


def _expect_one_line(error: StreamError) -> None:
    if "\n" in str(error) or len(str(error)) > 2000:
        raise AssertionError("an error of more than one line, or an endless one") from error


def read_frames(data: bytes) -> None:
    """Read a dump whose compression is whole and whose frames are anything."""
    read_file(MAGIC + pa.compress(data, codec="zstd", asbytes=True))


def read_frame_body(data: bytes) -> None:
    """Read a dump with one frame, its length and checksum right, around any bytes."""
    for kind in (1, 2, 3, 4, 9):
        read_frames(struct.pack("<BII", kind, len(data), zlib.crc32(data)) + data)


def read_manifests(data: bytes) -> None:
    """Read both manifests."""
    for reader in (manifests.run_manifest, manifests.shard_manifest):
        _in_one_line(partial(reader, data))


def plan_run(data: bytes) -> None:
    """Make the plan of a run record; one that passes can be refused, but not in another way."""
    try:
        make_plan(codec.decode(RunRecord, data))
    except (RecordError, RunError) as error:
        _expect_one_line(error)


def read_parquet(data: bytes) -> None:
    """Read a file of a table, whole and in pieces, within its budget."""
    for read in (lambda file: file.table(), lambda file: list(file.pieces(8))):
        try:
            read(
                BudgetedParquet(
                    io.BytesIO(data),
                    size=len(data),
                    rows=PARQUET_ROWS,
                    budget=DecodeBudget(2**24),
                    schema=PARQUET,
                )
            )
        except (OSError, ValueError, pa.ArrowException):
            continue


def read_clusters(data: bytes) -> None:
    """Read a cluster file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        _in_one_line(lambda: load_clustering(file.name, PLAN.run.sources))


def read_settings(data: bytes) -> None:
    """Read a settings file."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        _in_one_line(lambda: load_settings(Path(file.name), {}))


def read_dead_letter(data: bytes) -> None:
    """Read a dead letter whose headers, key and value are any bytes."""
    names = ("topic", "partition", "offset", "timestamp")
    headers = tuple((f"x-original-{name}", data) for name in names)
    headers += (("x-error-message", data), ("x-run", data))
    dead_letter(StoredRecord("dead-letters", 0, 0, 0, data, data, headers))


TARGETS: dict[str, Callable[[bytes], None]] = {
    **{kind.__name__: decode_record(kind) for kind in KINDS},
    "hits": apply_partial(topics.HITS),
    "statistics": apply_partial(topics.STATISTICS),
    "source end": apply_partial(topics.SOURCE_END),
    "snapshot request": apply_partial(topics.SNAPSHOT_REQUEST),
    "unknown kind": apply_partial(b"\xff"),
    "state": load_state,
    "batch": handle_batch,
    "end": handle_end,
    "headers": handle_headers,
    "dump": read_file,
    "dump frames": read_frames,
    "dump frame body": read_frame_body,
    "manifests": read_manifests,
    "plan": plan_run,
    "parquet": read_parquet,
    "cluster file": read_clusters,
    "settings": read_settings,
    "dead letter": read_dead_letter,
}


def check(data: bytes) -> None:
    """Give all but the first byte to the target that it names."""
    if data:
        list(TARGETS.values())[data[0] % len(TARGETS)](data[1:])


def main() -> None:
    """Run atheris until it is stopped or finds something."""
    import atheris

    arguments = sys.argv[:]
    if "--corpus" in arguments:
        at = arguments.index("--corpus")
        folder = Path(arguments[at + 1])
        folder.mkdir(parents=True, exist_ok=True)
        arguments[at : at + 2] = [str(folder)]
        for number in range(len(TARGETS)):
            for name, record in version_2.records().items():
                (folder / f"{number}-{name}").write_bytes(bytes([number]) + codec.encode(record))
    atheris.instrument_all()
    atheris.Setup(arguments, check)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
